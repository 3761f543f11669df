/* The loops of float32 convolutions by tiles; see conv_tiles_parts.h and Note [Split
 * products] in cpu/gemm_split.h. A tile's pairs are of channels c and c + 16; of a weight
 * gradient, of two lanes. */
#include "cpu/conv_tiles_parts.h"

#if defined(__x86_64__) && defined(__linux__) && defined(LP_HAVE_X86_CAPS)
#include "cpu/conv_tiles_vectors.h"

#define PIECES 3
/* A depth of A; of B, whose two tiles of each piece lie together, the lowest piece first:
 * it is read from one end to the other. */
#define A_BYTES (PIECES * LP_TILES_BYTES)
#define B_BYTES (2 * PIECES * LP_TILES_BYTES)

/* --- packing the source
 * ----------------------------------------------------------------------- */

/* Channels c to c + 15. */
AMX static inline __m512 floats_of(const Pixel *p, int64_t c) {
  const __mmask16 inside = lp_first(p->end - c) & (__mmask16)~lp_first(p->from - c);
  return _mm512_maskz_loadu_ps(inside, (const float *)p->channels + c);
}

/* Asks for 32 channels of a pixel of the same lane that is packed soon. */
AMX static inline void ask_ahead(const LpTilesSweep *s, const Pixel *p, int64_t c) {
  const char *there = p->channels + 4 * (c + AHEAD * s->w.step * s->pitch);
  __builtin_prefetch(there);
  __builtin_prefetch(there + 64);
}

AMX static bool pack(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                     char *to) {
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t row = 0; row < lp_tiles_rows(s); row++) {
    LpTilesRow rows[LP_TILES_LANES];
    lp_tiles_find_row(s, lanes, row, rows);
    for (int64_t place = 0; place < s->w.length; place++) {
      for (int l = 0; l < LP_TILES_LANES; l++) {
        const Pixel p = pixel_at(s, &rows[l], place);
        char *line = to + 64 * l;
        for (int64_t c = 0; c < s->c; c += 32, line += A_BYTES) {
          ask_ahead(s, &p, c);
          lp_put_pieces(line, LP_TILES_BYTES, floats_of(&p, c), floats_of(&p, c + 16),
                        sums);
        }
      }
      to += lp_tiles_depth(s->c) * A_BYTES;
    }
  }
  return lp_are_finite(sums);
}

/* --- packing weights
 * -------------------------------------------------------------------------- */

/* Where lines of half a depth of B go: piece by piece down from the upper one. */
#define UPPER(to, half) (to + (2 * (PIECES - 1) + (half)) * LP_TILES_BYTES)
#define DOWN (-2 * LP_TILES_BYTES)

/* 16 neighbours in c, from c0 on, at tap t of k. */
AMX static inline __m512 weights_at(const LpTilesWeights *w, int64_t k, int64_t c0,
                                    int64_t t, __m512i steps) {
  const __mmask16 there = k < w->k ? lp_first(w->c - c0) : 0;
  const float *from = (const float *)w->w + (k * w->c + c0) * w->taps + t;
  if (w->taps == 1) return _mm512_maskz_loadu_ps(there, from);
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, steps, from, 4);
}

/* The taps of a row are channels: of channel `at` as packed at row r of k, k + 1, ... */
AMX static inline __m512 folded_at(const LpTilesWeights *w, int64_t k0, int64_t at,
                                   int64_t r) {
  const int64_t rows = w->taps / w->folded;
  _Alignas(64) float line[16] = {0};
  for (int64_t i = 0; i < 16 && k0 + i < w->k && at < w->c * w->folded; i++)
    line[i] =
        ((const float *)
             w->w)[(((k0 + i) * w->c + at % w->c) * rows + r) * w->folded + at / w->c];
  return _mm512_load_ps(line);
}

AMX static bool pack_folded(const LpTilesWeights *w, int64_t block, char *to) {
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t r = 0; r < w->taps / w->folded; r++)
    for (int64_t at = 0; at < w->c * w->folded; at += 32, to += B_BYTES)
      for (int half = 0; half < 2; half++)
        for (int64_t j = 0; j < 16; j++) {
          const int64_t k = 32 * block + 16 * half;
          lp_put_pieces(UPPER(to, half) + 64 * j, DOWN, folded_at(w, k, at + j, r),
                        folded_at(w, k, at + j + 16, r), sums);
        }
  return lp_are_finite(sums);
}

/* 16 columns of a depth of a tap: channels of c from c0 on, by 32 of k. */
AMX static void pack_turned(const LpTilesWeights *w, int64_t k0, int64_t c0, int64_t t,
                            __m512i steps, char *to, __m512 sums[2]) {
  for (int64_t j = 0; j < 16; j++)
    lp_put_pieces(to + 64 * j, DOWN, weights_at(w, k0 + j, c0, t, steps),
                  weights_at(w, k0 + j + 16, c0, t, steps), sums);
}

/* The same the other way round: 16 of k by 32 channels of c. */
AMX static void pack_straight(const LpTilesWeights *w, int64_t k0, int64_t c0, int64_t t,
                              __m512i steps, char *to, __m512 sums[2]) {
  __m512 low[16], high[16];
  for (int64_t i = 0; i < 16; i++) {
    low[i] = weights_at(w, k0 + i, c0, t, steps);
    high[i] = weights_at(w, k0 + i, c0 + 16, t, steps);
  }
  lp_turn_floats(low);
  lp_turn_floats(high);
  for (int i = 0; i < 16; i++) lp_put_pieces(to + 64 * i, DOWN, low[i], high[i], sums);
}

AMX static bool pack_weights(const LpTilesWeights *w, int64_t block, char *to) {
  if (w->folded) return pack_folded(w, block, to);
  const __m512i steps = _mm512_mullo_epi32(
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
      _mm512_set1_epi32((int)w->taps));
  const int64_t depth = lp_tiles_depth(w->turned ? w->k : w->c);
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (int64_t d = 0; d < depth; d++)
    for (int64_t t = 0; t < w->taps; t++)
      for (int half = 0; half < 2; half++) {
        const int64_t column = 32 * block + 16 * half;
        char *here = UPPER(to + (t * depth + d) * B_BYTES, half);
        if (w->turned)
          pack_turned(w, 32 * d, column, t, steps, here, sums);
        else
          pack_straight(w, column, 32 * d, t, steps, here, sums);
      }
  return lp_are_finite(sums);
}

/* --- products
 * ---------------------------------------------------------------------------- */

#define OF_A(piece, half) ((half ? a1 : a0) + (piece)*LP_TILES_BYTES)
#define OF_B(piece, half) (b + (2 * (PIECES - 1 - (piece)) + (half)) * LP_TILES_BYTES)

/* What is multiplied next is asked for while the tile unit is busy. */
#define BESIDE(part)                                                                     \
  do {                                                                                   \
    fetch(next_b + (part)*LP_TILES_BYTES);                                               \
    if (afar)                                                                            \
      lp_ask_afar(b + FAR_DEPTHS * B_BYTES + (part)*LP_TILES_BYTES, LP_TILES_BYTES);     \
    fetch((part) < PIECES ? next0 + (part)*LP_TILES_BYTES                                \
                          : next1 + ((part)-PIECES) * LP_TILES_BYTES);                   \
  } while (0)

AMX static inline __attribute__((always_inline)) void
sum_products(const LpTilesSweep *s, const LpTilesPair *p, const char *packed,
             const char *weights, bool afar) {
  const int64_t depth = lp_tiles_depth(s->c);
  const char *first0 = packed + p->place[0], *first1 = packed + p->place[1];
  for (int t = 0; t < p->taps; t++) {
    const char *a0 = first0 + p->at[t], *a1 = first1 + p->at[t],
               *b = weights + p->weights[t];
    const int after = t + 1 < p->taps ? t + 1 : 0;
    for (int64_t d = 1; d <= depth; d++) {
      const bool last = d == depth;
      const char *next0 = last ? first0 + p->at[after] : a0 + A_BYTES,
                 *next1 = last ? first1 + p->at[after] : a1 + A_BYTES,
                 *next_b = last ? weights + p->weights[after] : b + B_BYTES;
      SIX_TERMS(OF_A, OF_B, BESIDE);
      a0 = next0;
      a1 = next1;
      b = next_b;
    }
  }
}

AMX static void multiply(const LpTilesSweep *s, const LpTilesPair *p, const char *packed,
                         const char *weights, float *sums) {
  ZERO_SUMS;
  if (p->is_first)
    sum_products(s, p, packed, weights, true);
  else
    sum_products(s, p, packed, weights, false);
  STORE_PAIR(sums);
}

AMX static void put(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                    int64_t row, int64_t column, int64_t k, const float *sums) {
  const int64_t at = (row * s->h.gap * s->w.whole + column * s->w.gap) * s->k + k;
  const __mmask16 low = lp_first(s->k - k), high = lp_first(s->k - k - 16);
  const float *bias = s->bias;
  __m512 b0 = _mm512_setzero_ps(), b1 = b0;
  if (bias) {
    b0 = _mm512_maskz_loadu_ps(low, bias + k);
    b1 = _mm512_maskz_loadu_ps(high, bias + k + 16);
  }
  for (int i = 0; i < LP_TILES_LANES; i++, sums += 32) {
    if (row >= lanes[i].rows || column >= lanes[i].columns) continue;
    float *to = (float *)lanes[i].to + at;
    _mm512_mask_storeu_ps(to, low, _mm512_add_ps(_mm512_loadu_ps(sums), b0));
    _mm512_mask_storeu_ps(to + 16, high, _mm512_add_ps(_mm512_loadu_ps(sums + 16), b1));
  }
}

/* --- the weight gradient
 * ---------------------------------------------------------------------- */

AMX static bool pack_x(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                       char *to) {
  const int64_t piece = lp_tiles_x_piece(s), panel = lp_tiles_x_panel(s);
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  LpTilesRow rows[LP_TILES_LANES];
  lp_tiles_find_row(s, lanes, row, rows);
  to += row * s->w.length * (LP_TILES_BYTES / 2);
  for (int64_t place = 0; place < s->w.length; place++)
    for (int l = 0; l < LP_TILES_LANES; l += 2, to += 64) {
      const Pixel even = pixel_at(s, &rows[l], place),
                  odd = pixel_at(s, &rows[l + 1], place);
      char *here = to;
      for (int64_t c = 0; c < LP_TILES_DEPTH * lp_tiles_depth(s->c);
           c += 16, here += panel) {
        if (c % 32 == 0) {
          ask_ahead(s, &even, c);
          ask_ahead(s, &odd, c);
        }
        lp_put_pieces(here, piece, floats_of(&even, c), floats_of(&odd, c), sums);
      }
    }
  return lp_are_finite(sums);
}

/* Channels from k on of a lane of y at an output. */
AMX static inline __m512 output_of(const LpTilesSweep *s, const LpTilesLane *lane,
                                   int64_t row, int64_t column, int64_t k) {
  if (!lane->image || row >= lane->rows || column >= lane->columns)
    return _mm512_setzero_ps();
  const float *from = (const float *)lane->to + (row * s->w.out + column) * s->k + k;
  __builtin_prefetch(from + AHEAD * s->k);
  return _mm512_maskz_loadu_ps(lp_first(s->k - k), from);
}

AMX static bool pack_y(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                       char *to) {
  const int64_t panel = lp_tiles_y_panel(s), pairs = lp_ratio_up(s->w.band, 2);
  __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  to += row * pairs * A_BYTES;
  for (int64_t column = 0; column < s->w.band; column += 2, to += A_BYTES) {
    char *here = to;
    for (int64_t k = 0; k < LP_TILES_DEPTH * lp_tiles_depth(s->k);
         k += 16, here += panel) {
      __m512 even[16], odd[16];
      for (int j = 0; j < 16; j++) {
        const LpTilesLane *l = lanes + j % 8 * 2;
        even[j] = output_of(s, l, row, column + j / 8, k);
        odd[j] = output_of(s, l + 1, row, column + j / 8, k);
      }
      lp_turn_floats(even);
      lp_turn_floats(odd);
      for (int i = 0; i < 16; i++)
        lp_put_pieces(here + 64 * i, LP_TILES_BYTES, even[i], odd[i], sums);
    }
  }
  return lp_are_finite(sums);
}

#undef OF_B
#undef BESIDE
#define OF_B(piece, half) ((half ? b1 : b0) + (piece)*x_piece)
#define BESIDE(part)                                                                     \
  do {                                                                                   \
    fetch((part) < PIECES ? a0 + A_BYTES + (part)*LP_TILES_BYTES                         \
                          : a1 + A_BYTES + ((part)-PIECES) * LP_TILES_BYTES);            \
    fetch(((part) < PIECES ? b0 : b1) + LP_TILES_BYTES + (part) % PIECES * x_piece);     \
  } while (0)

AMX static void sum_tap(const LpTilesSweep *s, const char *b0, const char *a0,
                        float *sums, bool add) {
  const int64_t pairs = lp_ratio_up(s->w.band, 2), x_piece = lp_tiles_x_piece(s),
                rest = s->w.length * (LP_TILES_BYTES / 2) - pairs * LP_TILES_BYTES;
  const char *a1 = a0 + lp_tiles_y_panel(s), *b1 = b0 + lp_tiles_x_panel(s);
  LOAD_SUMS(sums, add);
  for (int64_t row = 0; row < s->h.band; row++, b0 += rest, b1 += rest)
    for (int64_t i = 0; i < pairs; i++) {
      SIX_TERMS(OF_A, OF_B, BESIDE);
      a0 += A_BYTES;
      a1 += A_BYTES;
      b0 += LP_TILES_BYTES;
      b1 += LP_TILES_BYTES;
    }
  STORE_SUMS(sums);
}

const LpTilesForm lp_tiles_floats = {.element = 4,
                                     .pieces = PIECES,
                                     .pack = pack,
                                     .pack_weights = pack_weights,
                                     .multiply = multiply,
                                     .put = put,
                                     .pack_x = pack_x,
                                     .pack_y = pack_y,
                                     .sum_tap = sum_tap};

#else

const LpTilesForm lp_tiles_floats = {.element = 4, .pieces = 3};

#endif
