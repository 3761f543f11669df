/* The loops of bfloat16 convolutions by tiles; see conv_tiles_parts.h. Functions that
 * touch tiles are compiled for them one by one. */
#include "cpu/conv_tiles_parts.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/conv_tiles_vectors.h"

/* --- packing the source
 * ----------------------------------------------------------------------- */

TILES static inline __m512i words_of(const Pixel *p, int64_t c) {
  const __mmask32 inside = lp_first_words(p->end - c) & ~lp_first_words(p->from - c);
  return _mm512_maskz_loadu_epi16(inside, (const uint16_t *)p->channels + c);
}

/* The bytes from a pixel on to one of the same lane that is packed soon. */
static inline int64_t ahead(const LpTilesSweep *s) {
  return 2 * AHEAD * s->w.step * s->pitch;
}

TILES static bool pack(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                       char *to) {
  for (int64_t row = 0; row < lp_tiles_rows(s); row++) {
    LpTilesRow rows[LP_TILES_LANES];
    lp_tiles_find_row(s, lanes, row, rows);
    for (int64_t place = 0; place < s->w.length; place++) {
      for (int l = 0; l < LP_TILES_LANES; l++) {
        const Pixel p = pixel_at(s, &rows[l], place);
        char *line = to + 64 * l;
        for (int64_t c = 0; c < s->c; c += 32, line += LP_TILES_BYTES) {
          __builtin_prefetch(p.channels + 2 * c + ahead(s));
          _mm512_storeu_si512(line, words_of(&p, c));
        }
      }
      to += lp_tiles_depth(s->c) * LP_TILES_BYTES;
    }
  }
  return true;
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
    lines[v] = _mm512_maskz_loadu_epi16(lp_first_words(count * taps - 32 * v),
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

/* Few of them: word by word. */
static void pack_folded(const LpTilesWeights *w, int64_t block, char *to) {
  const int64_t c = w->c * w->folded, depth = lp_tiles_depth(c),
                rows = w->taps / w->folded;
  const uint16_t *from = w->w;
  uint16_t *words = (uint16_t *)to;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t at = 0; at < depth * 32; at++)
      for (int64_t i = 0; i < 32; i++) {
        const int64_t k = 32 * block + i;
        uint16_t *word = words + (r * depth + at / 32) * 1024 + i / 16 * 512 +
                         at % 32 / 2 * 32 + i % 16 * 2 + at % 2;
        const bool there = k < w->k && at < c;
        *word =
            there ? from[((k * w->c + at % w->c) * rows + r) * w->folded + at / w->c] : 0;
      }
}

/* A depth of the block's tiles for each tap; lines (taps, 32, 64 bytes) is memory. */
TILES static void pack_depth(const LpTilesWeights *w, const Untangling *u, int64_t block,
                             int64_t d, char *lines, char *to, int64_t tap_step) {
  const int64_t k0 = 32 * (w->turned ? d : block), c0 = 32 * (w->turned ? block : d);
  const int64_t next = 32 * w->taps * (w->turned ? w->c : 1);
  for (int64_t i = 0; i < 32; i++) {
    const uint16_t *from = (const uint16_t *)w->w + ((k0 + i) * w->c + c0) * w->taps;
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

TILES static bool pack_weights(const LpTilesWeights *w, int64_t block, char *to) {
  if (w->folded) {
    pack_folded(w, block, to);
    return true;
  }
  _Alignas(64) char lines[LP_TILES_MOST_KERNEL * 2048];
  Untangling u;
  prepare(&u, w->taps);
  const int64_t depth = lp_tiles_depth(w->turned ? w->k : w->c);
  for (int64_t d = 0; d < depth; d++)
    pack_depth(w, &u, block, d, lines, to + d * 2 * LP_TILES_BYTES,
               depth * 2 * LP_TILES_BYTES);
  return true;
}

/* --- products
 * ---------------------------------------------------------------------------- */

TILES static void multiply(const LpTilesSweep *s, const LpTilesPair *p,
                           const char *packed, const char *weights, float *sums) {
  const int64_t depth = lp_tiles_depth(s->c);
  ZERO_SUMS;
  for (int t = 0; t < p->taps; t++) {
    const char *a0 = packed + p->place[0] + p->at[t],
               *a1 = packed + p->place[1] + p->at[t], *b = weights + p->weights[t];
    for (int64_t d = 0; d < depth; d++) {
      ADD_PRODUCTS(a0, a1, b, b + LP_TILES_BYTES, b + 2 * LP_TILES_BYTES,
                   b + 3 * LP_TILES_BYTES);
      a0 += LP_TILES_BYTES;
      a1 += LP_TILES_BYTES;
      b += 2 * LP_TILES_BYTES;
    }
  }
  STORE_PAIR(sums);
}

TILES static inline __m512 bias_at(const LpTilesSweep *s, int64_t k) {
  if (!s->bias || k >= s->k) return _mm512_setzero_ps();
  const __mmask16 there = (__mmask16)lp_first_words(s->k - k);
  return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
                                       there, (const uint16_t *)s->bias + k)),
                                   16);
}

TILES static void put(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                      int64_t row, int64_t column, int64_t k, const float *sums) {
  const int64_t at = (row * s->h.gap * s->w.whole + column * s->w.gap) * s->k + k;
  const __mmask32 there = lp_first_words(s->k - k);
  const __m512 b0 = bias_at(s, k), b1 = bias_at(s, k + 16);
  for (int i = 0; i < LP_TILES_LANES; i++, sums += 32) {
    if (row >= lanes[i].rows || column >= lanes[i].columns) continue;
    const __m512 low = _mm512_add_ps(_mm512_loadu_ps(sums), b0),
                 high = _mm512_add_ps(_mm512_loadu_ps(sums + 16), b1);
    _mm512_mask_storeu_epi16((uint16_t *)lanes[i].to + at, there,
                             (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
}

/* --- the weight gradient: packing
 *
 * The depth of a product is two neighbouring columns of 16 lanes; a line of a tile of B
 * is a pair of lanes of one column, and so is a column's half of a tile of A, in which
 * each line is a channel of y. */

/* The largest magnitudes so far. */
TILES static inline __m512i look_at(__m512i most, __m512i words) {
  return _mm512_max_epu16(most, _mm512_and_si512(words, _mm512_set1_epi16(0x7fff)));
}

TILES static inline bool is_finite(__m512i most) {
  return _mm512_cmpge_epu16_mask(most, _mm512_set1_epi16(0x7f80)) == 0;
}

TILES static bool pack_x(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                         char *to) {
  const int64_t panel = lp_tiles_x_panel(s);
  __m512i most = _mm512_setzero_si512();
  LpTilesRow rows[LP_TILES_LANES];
  lp_tiles_find_row(s, lanes, row, rows);
  to += row * s->w.length * (LP_TILES_BYTES / 2);
  for (int64_t place = 0; place < s->w.length; place++)
    for (int l = 0; l < LP_TILES_LANES; l += 2, to += 64) {
      const Pixel even = pixel_at(s, &rows[l], place),
                  odd = pixel_at(s, &rows[l + 1], place);
      char *here = to;
      for (int64_t c = 0; c < s->c; c += 32, here += 2 * panel) {
        __builtin_prefetch(even.channels + 2 * c + ahead(s));
        __builtin_prefetch(odd.channels + 2 * c + ahead(s));
        const __m512i e = words_of(&even, c), o = words_of(&odd, c);
        most = look_at(look_at(most, e), o);
        store_pairs(here, here + panel, e, o);
      }
    }
  return is_finite(most);
}

/* Channels from k on of a lane of y at an output. */
TILES static inline __m512i output_of(const LpTilesSweep *s, const LpTilesLane *lane,
                                      int64_t row, int64_t column, int64_t k) {
  if (!lane->image || row >= lane->rows || column >= lane->columns)
    return _mm512_setzero_si512();
  const uint16_t *from =
      (const uint16_t *)lane->to + (row * s->w.out + column) * s->k + k;
  __builtin_prefetch(from + AHEAD * s->k);
  return _mm512_maskz_loadu_epi16(lp_first_words(s->k - k), from);
}

TILES static bool pack_y(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                         char *to) {
  const int64_t panel = lp_tiles_y_panel(s), pairs = lp_ratio_up(s->w.band, 2);
  __m512i most = _mm512_setzero_si512();
  to += row * pairs * LP_TILES_BYTES;
  for (int64_t column = 0; column < s->w.band; column += 2, to += LP_TILES_BYTES) {
    char *here = to;
    for (int64_t k = 0; k < s->k; k += 32, here += 2 * panel) {
      _Alignas(64) char lines[2][16][64];
      for (int j = 0; j < 16; j++) {
        const LpTilesLane *l = lanes + j % 8 * 2;
        const int64_t at = column + j / 8;
        const __m512i e = output_of(s, l, row, at, k),
                      o = output_of(s, l + 1, row, at, k);
        most = look_at(look_at(most, e), o);
        store_pairs(lines[0][j], lines[1][j], e, o);
      }
      turn_tile(here, lines[0][0]);
      turn_tile(here + panel, lines[1][0]);
    }
  }
  return is_finite(most);
}

/* --- the weight gradient: products
 * ------------------------------------------------------------ */

TILES static void sum_tap(const LpTilesSweep *s, const char *b0, const char *a0,
                          float *sums, bool add) {
  const int64_t pairs = lp_ratio_up(s->w.band, 2), a_panel = lp_tiles_y_panel(s),
                b_panel = lp_tiles_x_panel(s),
                rest = s->w.length * (LP_TILES_BYTES / 2) - pairs * LP_TILES_BYTES;
  LOAD_SUMS(sums, add);
  const char *a1 = a0 + a_panel, *b1 = b0 + b_panel;
  for (int64_t row = 0; row < s->h.band; row++, b0 += rest, b1 += rest)
    for (int64_t i = 0; i < pairs; i++) {
      ADD_PRODUCTS(a0, a1, b0, b1, a0 + LP_TILES_BYTES, a1 + LP_TILES_BYTES);
      a0 += LP_TILES_BYTES;
      a1 += LP_TILES_BYTES;
      b0 += LP_TILES_BYTES;
      b1 += LP_TILES_BYTES;
    }
  STORE_SUMS(sums);
}

const LpTilesForm lp_tiles_words = {.element = 2,
                                    .pieces = 1,
                                    .pack = pack,
                                    .pack_weights = pack_weights,
                                    .multiply = multiply,
                                    .put = put,
                                    .pack_x = pack_x,
                                    .pack_y = pack_y,
                                    .sum_tap = sum_tap};

#else

const LpTilesForm lp_tiles_words = {.element = 2, .pieces = 1};

#endif
