/* The loops of convolutions by tiles that a forward pass takes; see conv_tiles_parts.h.
 * Functions that touch tiles are compiled for them one by one. */
#include "cpu/conv_tiles_parts.h"
#include "cpu/gemm_split.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/conv_tiles_vectors.h"

bool lp_tiles_supported(void) {
  return lp_split_supported() && __builtin_cpu_supports("avx512bf16");
}

/* --- packing the source
 * ----------------------------------------------------------------------- */

/* The channels of a pixel, from `from` on up to `count` of them, 32 a tile. */
TILES static inline void copy_pixel(char *to, const uint16_t *from, int64_t count,
                                    int64_t ahead) {
  for (; count >= 32; count -= 32, from += 32, to += LP_TILES_BYTES) {
    __builtin_prefetch(from + ahead);
    _mm512_storeu_si512(to, _mm512_loadu_si512(from));
  }
  if (count > 0)
    _mm512_storeu_si512(to, _mm512_maskz_loadu_epi16(first_words(count), from));
}

/* A pixel of which channels [from, end) lie inside the row. */
TILES static inline void copy_part(char *to, const uint16_t *pixel, int64_t from,
                                   int64_t end, int64_t count) {
  for (int64_t c = 0; c < count; c += 32, to += LP_TILES_BYTES) {
    const __mmask32 inside = first_words(end - c) & ~first_words(from - c);
    _mm512_storeu_si512(to, _mm512_maskz_loadu_epi16(inside, pixel + c));
  }
}

/* A place of all lanes. */
TILES static inline void pack_place(const LpTilesSweep *s,
                                    const LpTilesRow rows[LP_TILES_LANES], int64_t place,
                                    char *to) {
  for (int l = 0; l < LP_TILES_LANES; l++, to += 64) {
    const int64_t at = rows[l].at + place * s->w.step;
    if (rows[l].words && s->pitch != s->c)
      copy_part(to, rows[l].words + at * s->pitch, at < 0 ? -at * s->pitch : 0,
                (s->w.in - at) * s->pitch, s->c);
    else if (rows[l].words && at >= 0 && at < s->w.in)
      copy_pixel(to, rows[l].words + at * s->c, s->c, AHEAD * s->w.step * s->c);
    else
      copy_part(to, s->x, 0, 0, s->c);
  }
}

TILES void lp_tiles_pack(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                         char *to) {
  const int64_t place_bytes = lp_tiles_depth(s->c) * LP_TILES_BYTES;
  for (int64_t row = 0; row < lp_tiles_rows(s); row++) {
    LpTilesRow rows[LP_TILES_LANES];
    for (int l = 0; l < LP_TILES_LANES; l++) rows[l] = lp_tiles_row(s, &lanes[l], row);
    for (int64_t place = 0; place < s->w.length; place++, to += place_bytes)
      pack_place(s, rows, place, to);
  }
}

/* --- packing weights
 * -------------------------------------------------------------------------- */

/* Of up to so many taps they are told apart by vectors. */
#define VECTOR_TAPS 16
#define TAPS_AT_ONCE 4 /* each waits for itself only */

/* 32 neighbours in c of a row of k, tap by tap: from (c, taps) to (taps, c). Element c of
 * tap t is word (c * taps + t) % 32 of vector (c * taps + t) / 32. */
typedef struct Untangling {
  int64_t taps;
  __m512i words[VECTOR_TAPS];
  __mmask32 of[VECTOR_TAPS][VECTOR_TAPS];
} Untangling;

TILES static void prepare(Untangling *u, int64_t taps) {
  *u = (Untangling){.taps = taps};
  for (int64_t t = 0; t < taps && taps <= VECTOR_TAPS; t++) {
    uint16_t words[32];
    for (int64_t c = 0; c < 32; c++) {
      words[c] = (uint16_t)((c * taps + t) % 32);
      u->of[t][(c * taps + t) / 32] |= (__mmask32)1 << c;
    }
    u->words[t] = _mm512_loadu_si512(words);
  }
}

TILES static void untangle(const Untangling *u, const uint16_t *from, int64_t count,
                           char *to, int64_t step) {
  const int64_t taps = u->taps;
  if (count < 0) count = 0;
  if (taps > VECTOR_TAPS) {
    for (int64_t t = 0; t < taps; t++) {
      uint16_t line[32] = {0};
      for (int64_t c = 0; c < count; c++) line[c] = from[c * taps + t];
      _mm512_storeu_si512(to + t * step, _mm512_loadu_si512(line));
    }
    return;
  }
  __m512i lines[VECTOR_TAPS];
  for (int64_t v = 0; v < taps; v++)
    lines[v] = _mm512_maskz_loadu_epi16(first_words(count * taps - 32 * v),
                                        from + (count ? 32 * v : 0));
  for (int64_t t = 0; t < taps; t += TAPS_AT_ONCE) {
    __m512i of[TAPS_AT_ONCE];
    for (int i = 0; i < TAPS_AT_ONCE; i++) of[i] = _mm512_setzero_si512();
    for (int64_t v = 0; v < taps; v++)
#pragma GCC unroll 4
      for (int i = 0; i < TAPS_AT_ONCE; i++)
        of[i] = _mm512_mask_permutexvar_epi16(of[i], u->of[t + i][v], u->words[t + i],
                                              lines[v]);
    for (int i = 0; i < TAPS_AT_ONCE && t + i < taps; i++)
      _mm512_storeu_si512(to + (t + i) * step, of[i]);
  }
}

int64_t lp_tiles_weight_block(const LpTilesWeights *w) {
  const int64_t taps = w->folded ? w->taps / w->folded : w->taps,
                depth = w->turned   ? w->k
                        : w->folded ? w->c * w->folded
                                    : w->c;
  return taps * lp_tiles_depth(depth) * 2 * LP_TILES_BYTES;
}

/* Few of them: word by word. */
static void pack_folded(const LpTilesWeights *w, int64_t block, char *to) {
  const int64_t c = w->c * w->folded, depth = lp_tiles_depth(c),
                rows = w->taps / w->folded;
  uint16_t *words = (uint16_t *)to;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t at = 0; at < depth * 32; at++)
      for (int64_t i = 0; i < 32; i++) {
        const int64_t k = 32 * block + i;
        uint16_t *word = words + (r * depth + at / 32) * 1024 + i / 16 * 512 +
                         at % 32 / 2 * 32 + i % 16 * 2 + at % 2;
        const bool there = k < w->k && at < c;
        *word =
            there ? w->w[((k * w->c + at % w->c) * rows + r) * w->folded + at / w->c] : 0;
      }
}

/* A depth of the block's tiles for each tap; lines (taps, 32, 64 bytes) is memory. */
TILES static void pack_depth(const LpTilesWeights *w, const Untangling *u, int64_t block,
                             int64_t d, char *lines, char *to, int64_t tap_step) {
  const int64_t k0 = 32 * (w->turned ? d : block), c0 = 32 * (w->turned ? block : d);
  const int64_t next = 32 * w->taps * (w->turned ? w->c : 1);
  for (int64_t i = 0; i < 32; i++) {
    const uint16_t *from = w->w + ((k0 + i) * w->c + c0) * w->taps;
    for (int64_t t = 0; t <= w->taps; t++) __builtin_prefetch(from + next + 32 * t);
    untangle(u, from, k0 + i < w->k ? (w->c - c0 < 32 ? w->c - c0 : 32) : 0,
             lines + 64 * i, 2048);
  }
  for (int64_t t = 0; t < w->taps; t++, lines += 2048, to += tap_step)
    if (w->turned) {
      for (int j = 0; j < 16; j++)
        store_pairs(to + 64 * j, to + LP_TILES_BYTES + 64 * j,
                    _mm512_loadu_si512(lines + 128 * j),
                    _mm512_loadu_si512(lines + 128 * j + 64));
    } else {
      turn_tile(to, lines);
      turn_tile(to + LP_TILES_BYTES, lines + 16 * 64);
    }
}

TILES void lp_tiles_pack_weights(const LpTilesWeights *w, int64_t block, char *to) {
  if (w->folded) {
    pack_folded(w, block, to);
    return;
  }
  _Alignas(64) char lines[LP_TILES_MOST_KERNEL * 2048];
  Untangling u;
  prepare(&u, w->taps);
  const int64_t depth = lp_tiles_depth(w->turned ? w->k : w->c);
  for (int64_t d = 0; d < depth; d++)
    pack_depth(w, &u, block, d, lines, to + d * 2 * LP_TILES_BYTES,
               depth * 2 * LP_TILES_BYTES);
}

/* --- products
 * ---------------------------------------------------------------------------- */

#define NARROW 16

/* Two outputs of all lanes, and the taps that reach a pixel for one of them. */
typedef struct Pair {
  int64_t row[2], column[2];
  int from_row, to_row, from_column, to_column;
} Pair;

/* The taps that lie inside for output o. */
static void extend(const LpTilesAxis *a, int64_t o, int *from, int *to) {
  int first = 0, end = a->taps;
  const int64_t at = o * a->step;
  while (first < end && (at + a->first[first] < 0 || at + a->first[first] >= a->in))
    first++;
  while (first < end && (at + a->first[end - 1] < 0 || at + a->first[end - 1] >= a->in))
    end--;
  if (first == end) return;
  if (*from == *to) {
    *from = first;
    *to = end;
  } else {
    if (first < *from) *from = first;
    if (end > *to) *to = end;
  }
}

/* Lanes of several bands are at different places. */
static void find_taps(const LpTilesSweep *s, Pair *p) {
  p->from_row = p->from_column = p->to_row = p->to_column = 0;
  for (int i = 0; i < 2; i++) {
    if (s->h.bands == 1) extend(&s->h, p->row[i], &p->from_row, &p->to_row);
    if (s->w.bands == 1 && s->pitch == s->c)
      extend(&s->w, p->column[i], &p->from_column, &p->to_column);
  }
  if (s->h.bands > 1) p->to_row = s->h.taps;
  if (s->w.bands > 1 || s->pitch != s->c) p->to_column = s->w.taps;
}

/* sums (2 outputs, 16 lanes, 32 of k). */
TILES static void multiply(const LpTilesSweep *s, const Pair *p, const char *a0,
                           const char *a1, const char *b, float *sums) {
  const int64_t depth = lp_tiles_depth(s->c);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int r = p->from_row; r < p->to_row; r++)
    for (int q = p->from_column; q < p->to_column; q++) {
      const int64_t at = s->down[r] + s->across[q];
      const char *c0 = a0 + at, *c1 = a1 + at, *w = b + s->w_down[r] + s->w_across[q];
      for (int64_t d = 0; d < depth; d++) {
        ADD_PRODUCTS(c0, c1, w, w + LP_TILES_BYTES, w + 2 * LP_TILES_BYTES,
                     w + 3 * LP_TILES_BYTES);
        c0 += LP_TILES_BYTES;
        c1 += LP_TILES_BYTES;
        w += 2 * LP_TILES_BYTES;
      }
    }
  IN_MEMORY(sums);
  _tile_stored(0, sums, 128);
  _tile_stored(1, sums + 16, 128);
  _tile_stored(2, sums + 512, 128);
  _tile_stored(3, sums + 512 + 16, 128);
  IN_MEMORY(sums);
}

/* One output of all lanes. */
TILES static inline void put(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                             int64_t column, int64_t k0, const float *sums, __m512 b0,
                             __m512 b1) {
  const int64_t at = (row * s->h.gap * s->w.whole + column * s->w.gap) * s->k + k0;
  const __mmask32 there = first_words(s->k - k0);
  for (int i = 0; i < LP_TILES_LANES; i++, sums += 32) {
    if (row >= lanes[i].rows || column >= lanes[i].columns) continue;
    const __m512 low = _mm512_add_ps(_mm512_loadu_ps(sums), b0),
                 high = _mm512_add_ps(_mm512_loadu_ps(sums + 16), b1);
    _mm512_mask_storeu_epi16(lanes[i].to + at, there,
                             (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
}

TILES static inline __m512 bias_at(const LpTilesSweep *s, int64_t k) {
  if (!s->bias || k >= s->k) return _mm512_setzero_ps();
  const __mmask16 there = (__mmask16)first_words(s->k - k);
  return (__m512)_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, s->bias + k)), 16);
}

/* Neighbours along a row, or along a column where the taps that reach beyond a narrow
 * image are so left out for both. */
static void place_pair(const LpTilesSweep *s, int64_t o, Pair *p) {
  const LpTilesAxis *h = &s->h, *w = &s->w;
  const bool down = w->bands == 1 && w->band <= NARROW;
  for (int i = 0; i < 2; i++) {
    const int64_t at = o + i < h->band * w->band ? o + i : o;
    p->row[i] = down ? at % h->band : at / w->band;
    p->column[i] = down ? at / h->band : at % w->band;
  }
  find_taps(s, p);
}

TILES void lp_tiles_multiply(const LpTilesSweep *s,
                             const LpTilesLane lanes[LP_TILES_LANES], const char *packed,
                             int64_t from, int64_t to) {
  const int64_t outputs = s->h.band * s->w.band, depth = lp_tiles_depth(s->c),
                block_bytes = s->kernel_taps * depth * 2 * LP_TILES_BYTES;
  _Alignas(64) float sums[2][1024];
  for (int64_t o = 0; o < outputs; o += 2) {
    Pair p;
    place_pair(s, o, &p);
    const char *a[2];
    for (int i = 0; i < 2; i++)
      a[i] = packed + (p.row[i] * s->w.length + p.column[i]) * depth * LP_TILES_BYTES;
    for (int64_t block = from; block < to; block++) {
      const int64_t k = 32 * block;
      float *here = sums[block % 2];
      multiply(s, &p, a[0], a[1], s->weights + block * block_bytes, here);
      const __m512 b0 = bias_at(s, k), b1 = bias_at(s, k + 16);
      put(s, lanes, p.row[0], p.column[0], k, here, b0, b1);
      if (o + 1 < outputs) put(s, lanes, p.row[1], p.column[1], k, here + 512, b0, b1);
    }
  }
}

#else

bool lp_tiles_supported(void) {
  return false;
}
void lp_tiles_pack(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                   char *to) {}
int64_t lp_tiles_weight_block(const LpTilesWeights *w) {
  return 0;
}
void lp_tiles_pack_weights(const LpTilesWeights *w, int64_t block, char *to) {}
void lp_tiles_multiply(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                       const char *packed, int64_t block) {}

#endif
