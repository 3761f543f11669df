/* The loops of convolutions by tiles that the weight's gradient takes; see
 * conv_tiles_parts.h. The depth of a product is two neighbouring columns of 16 lanes; a
 * line of a tile of B is a pair of lanes of one column, and so is a column's half of a
 * tile of A, in which each line is a channel of y. */
#include "cpu/conv_tiles_parts.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/conv_tiles_vectors.h"

/* --- packing
 * ----------------------------------------------------------------------------- */

/* The largest magnitudes so far. */
TILES static inline __m512i look_at(__m512i most, __m512i words) {
  return _mm512_max_epu16(most, _mm512_and_si512(words, _mm512_set1_epi16(0x7fff)));
}

TILES static inline bool is_finite(__m512i most) {
  return _mm512_cmpge_epu16_mask(most, _mm512_set1_epi16(0x7f80)) == 0;
}

/* A pixel of x, where some of its channels, as packed, lie inside the image. */
typedef struct Pixel {
  const uint16_t *words;
  int64_t from, end; /* channels inside */
} Pixel;

static inline Pixel pixel_at(const LpTilesSweep *s, const uint16_t *row, int64_t at) {
  Pixel p = {s->x};
  if (!row) return p;
  p.words = row + at * s->pitch;
  if (s->pitch == s->c) {
    p.end = at >= 0 && at < s->w.in ? s->c : 0;
  } else {
    p.from = at < 0 ? -at * s->pitch : 0;
    p.end = (s->w.in - at) * s->pitch;
    if (p.end > s->c) p.end = s->c;
  }
  return p;
}

TILES static inline __m512i words_of(const Pixel *p, int64_t c) {
  const __mmask32 inside = first_words(p->end - c) & ~first_words(p->from - c);
  return _mm512_maskz_loadu_epi16(inside, p->words + c);
}

TILES bool lp_tiles_pack_x(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                           char *to) {
  const int64_t panel = lp_tiles_x_panel(s);
  __m512i most = _mm512_setzero_si512();
  LpTilesRow rows[LP_TILES_LANES];
  for (int l = 0; l < LP_TILES_LANES; l++) rows[l] = lp_tiles_row(s, &lanes[l], row);
  to += row * s->w.length * (LP_TILES_BYTES / 2);
  for (int64_t place = 0; place < s->w.length; place++)
    for (int l = 0; l < LP_TILES_LANES; l += 2, to += 64) {
      const int64_t at = place * s->w.step;
      const Pixel even = pixel_at(s, rows[l].words, rows[l].at + at),
                  odd = pixel_at(s, rows[l + 1].words, rows[l + 1].at + at);
      char *here = to;
      for (int64_t c = 0; c < s->c; c += 32, here += 2 * panel) {
        const int64_t ahead = c + AHEAD * s->w.step * s->pitch;
        __builtin_prefetch(even.words + ahead);
        __builtin_prefetch(odd.words + ahead);
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
  const uint16_t *from = lane->to + (row * s->w.out + column) * s->k + k;
  __builtin_prefetch(from + AHEAD * s->k);
  return _mm512_maskz_loadu_epi16(first_words(s->k - k), from);
}

TILES bool lp_tiles_pack_y(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
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

/* --- products
 * ---------------------------------------------------------------------------- */

TILES static void sum_tap(const LpTilesSweep *s, const char *a0, const char *b0,
                          float *sums, bool add) {
  const int64_t pairs = lp_ratio_up(s->w.band, 2), a_panel = lp_tiles_y_panel(s),
                b_panel = lp_tiles_x_panel(s),
                rest = s->w.length * (LP_TILES_BYTES / 2) - pairs * LP_TILES_BYTES;
  IN_MEMORY(sums);
  if (add) {
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + 256, 64);
    _tile_loadd(2, sums + 512, 64);
    _tile_loadd(3, sums + 768, 64);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const char *a1 = a0 + a_panel, *b1 = b0 + b_panel;
  for (int64_t row = 0; row < s->h.band; row++, b0 += rest, b1 += rest)
    for (int64_t i = 0; i < pairs; i++) {
      ADD_PRODUCTS(a0, a1, b0, b1, a0 + LP_TILES_BYTES, a1 + LP_TILES_BYTES);
      a0 += LP_TILES_BYTES;
      a1 += LP_TILES_BYTES;
      b0 += LP_TILES_BYTES;
      b1 += LP_TILES_BYTES;
    }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + 256, 64);
  _tile_stored(2, sums + 512, 64);
  _tile_stored(3, sums + 768, 64);
  IN_MEMORY(sums);
}

TILES void lp_tiles_sum(const LpTilesSweep *s, const char *x, const char *y, float *sums,
                        bool add) {
  for (int r = 0; r < s->h.taps; r++)
    for (int q = 0; q < s->w.taps; q++, sums += LP_TILES_SUM_FLOATS)
      sum_tap(s, y, x + s->down[r] + s->across[q], sums, add);
}

/* --- the result
 * ---------------------------------------------------------------------------- */

TILES static inline __m512 add_up(const float *sums, int64_t step, int64_t n) {
  __m512 sum = _mm512_loadu_ps(sums);
  for (int64_t i = 1; i < n; i++) sum = _mm512_add_ps(sum, _mm512_loadu_ps(sums += step));
  return sum;
}

TILES static inline void put_sums(const LpTilesResult *to, int64_t at, __m512 sums,
                                  int64_t count) {
  const __mmask16 there = (__mmask16)first_words(count);
  if (to->rounded)
    _mm256_mask_storeu_epi16((uint16_t *)to->w + at, there,
                             (__m256i)_mm512_cvtneps_pbh(sums));
  else
    _mm512_mask_storeu_ps((float *)to->w + at, there, sums);
}

/* 16 channels of c of one k, for all taps: they lie tap by tap, and go to (c, taps), from
 * place `at` on. */
TILES static void finish_line(const LpTilesSweep *s, const float *sums, int64_t step,
                              int64_t n, const LpTilesResult *to, int64_t at,
                              int64_t count) {
  const int64_t taps = s->kernel_taps;
  if (taps == 1) {
    put_sums(to, at, add_up(sums, step, n), count);
    return;
  }
  for (int64_t t0 = 0; t0 < taps; t0 += 16, sums += 16 * LP_TILES_SUM_FLOATS) {
    const int64_t some = taps - t0 < 16 ? taps - t0 : 16;
    _Alignas(64) float lines[16][16] = {{0}};
    for (int64_t t = 0; t < some; t++)
      _mm512_store_ps(lines[t], add_up(sums + t * LP_TILES_SUM_FLOATS, step, n));
    turn_tile((char *)lines, (const char *)lines);
    for (int64_t c = 0; c < 16 && c < count; c++)
      put_sums(to, at + c * taps + t0, _mm512_load_ps(lines[c]), some);
  }
}

/* The taps of a row are channels of c here, but not in w. */
TILES static void finish_folded(const LpTilesSweep *s, const float *sums, int64_t step,
                                int64_t n, const LpTilesResult *to, int64_t at,
                                int64_t c0) {
  const int64_t row_taps = s->c / s->pitch;
  for (int64_t c = c0; c < c0 + 16 && c < s->c; c++)
    for (int64_t r = 0; r < s->h.taps; r++) {
      const float *from = sums + r * LP_TILES_SUM_FLOATS + c - c0;
      float sum = 0;
      for (int64_t i = 0; i < n; i++) sum += from[i * step];
      put_sums(to, at + (c % s->pitch * s->h.taps + r) * row_taps + c / s->pitch,
               _mm512_set1_ps(sum), 1);
    }
}

void lp_tiles_finish(const LpTilesSweep *s, int64_t k_block, int64_t c_block,
                     const float *sums, int64_t step, int64_t n,
                     const LpTilesResult *to) {
  for (int64_t i = 0; i < 32 && 32 * k_block + i < s->k; i++)
    for (int64_t half = 0; half < 2; half++) {
      const int64_t k = 32 * k_block + i, c = 32 * c_block + 16 * half;
      if (c >= s->c) break;
      const float *from = sums + (i / 16 * 2 + half) * 256 + i % 16 * 16;
      const int64_t at = k * s->c * s->kernel_taps;
      if (s->pitch != s->c)
        finish_folded(s, from, step, n, to, at, c);
      else
        finish_line(s, from, step, n, to, at + c * s->kernel_taps, s->c - c);
    }
}

#else

bool lp_tiles_pack_x(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                     char *to) {
  return false;
}
bool lp_tiles_pack_y(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                     char *to) {
  return false;
}
void lp_tiles_sum(const LpTilesSweep *s, const char *x, const char *y, float *sums,
                  bool add) {}
void lp_tiles_finish(const LpTilesSweep *s, int64_t k_block, int64_t c_block,
                     const float *sums, int64_t step, int64_t n,
                     const LpTilesResult *to) {}

#endif
