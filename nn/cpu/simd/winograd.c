/* The loops of Winograd's convolution: transforms of tiles, vectors along channels, and
 * the products of frequencies. See winograd_kernels.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "cpu/simd/words.h"
#include "cpu/winograd_kernels.h"
#include "cpu/winograd_split.h"

typedef float V __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef float Unaligned __attribute__((vector_size(LP_VECTOR_BYTES), aligned(4)));
#define LANES LP_LANES(float)
#define UNROLL _Pragma("GCC unroll 9")

/* --- vectors
 * -------------------------------------------------------------------------- */

#define IS_SHORT(shape, side) (((shape)&LP_WINOGRAD_SHORT_##side) != 0)

/* Channels from c on of a pixel, `count` of them at most. */
INLINE V load(const void *pixel, int64_t c, int64_t count, LpWinogradShape of) {
  if (of & LP_WINOGRAD_HALF) {
    const uint16_t *p = (const uint16_t *)pixel + c;
    Halves h = {0};
    if (count >= LANES)
      memcpy(&h, p, sizeof h);
    else
      memcpy(&h, p, (size_t)count * sizeof *p);
    return (V)(widen_words(h) << 16);
  }
  const float *p = (const float *)pixel + c;
  if (count >= LANES) return *(const Unaligned *)p;
  V v = {0};
  memcpy(&v, p, (size_t)count * sizeof *p);
  return v;
}

INLINE void store(void *pixel, int64_t c, V v, int64_t count, LpWinogradShape of) {
  if (of & LP_WINOGRAD_HALF) {
    const Halves h = bf16_of_floats(v);
    uint16_t *p = (uint16_t *)pixel + c;
    if (count >= LANES)
      memcpy(p, &h, sizeof h);
    else
      memcpy(p, &h, (size_t)count * sizeof *p);
    return;
  }
  float *p = (float *)pixel + c;
  if (count >= LANES)
    *(Unaligned *)p = v;
  else
    memcpy(p, &v, (size_t)count * sizeof *p);
}

static inline bool no_nan(V sum) {
  bool ok = true;
  for (int i = 0; i < LANES; i++) ok &= sum[i] == sum[i];
  return ok;
}

#include "cpu/simd/winograd_lines.h"

/* --- weights
 * -------------------------------------------------------------------------- */

/* Input channels whose weights are turned over at once. */
#define STRIP 32

/* Weights of bfloat16 of a vector of output channels by a strip, as floats in `to`, which
 * has a line more than they need: rows of what lies together. */
static LpWinogradWeights widened(const LpWinogradWeights *w, int64_t i0, int64_t count,
                                 float *to) {
  const int64_t outs = w->outs < LANES ? w->outs : LANES;
  const bool of_ins = w->out_step == 9; /* a row for each, with all outs */
  const int64_t rows = of_ins ? count : outs, numbers = 9 * (of_ins ? outs : count),
                pitch = 9 * (of_ins ? LANES : STRIP),
                step = of_ins ? w->in_step : w->out_step;
  const uint16_t *from = (const uint16_t *)w->w + i0 * w->in_step;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t n = 0; n < numbers; n += LANES)
      *(Unaligned *)(to + r * pitch + n) =
          load(from + r * step, n, numbers - n, LP_WINOGRAD_HALF);
  return (LpWinogradWeights){.w = to,
                             .out_step = of_ins ? 9 : pitch,
                             .in_step = of_ins ? pitch : 9,
                             .outs = outs,
                             .ins = count,
                             .flipped = w->flipped};
}

/* taps[i][tap] = a vector of w's output channels for input channel i0 + i. */
static void gather_any(const LpWinogradWeights *w, int64_t i0, int64_t count,
                       V taps[][9]) {
  float(*to)[9][LANES] = (float(*)[9][LANES])taps;
  const int64_t outs = w->outs < LANES ? w->outs : LANES;
  if (outs < LANES) memset(taps, 0, (size_t)count * sizeof taps[0]);
  for (int64_t o = 0; o < outs; o++)
    for (int64_t i = 0; i < count; i++) {
      const float *from = (const float *)w->w + o * w->out_step + (i0 + i) * w->in_step;
      if (w->flipped)
        for (int tap = 0; tap < 9; tap++) to[i][tap][o] = from[8 - tap];
      else
        for (int tap = 0; tap < 9; tap++) to[i][tap][o] = from[tap];
    }
}

/* --- AVX-512 */

#if defined(LP_CAP_avx512) && defined(__x86_64__)
#define WITH_PIECES
#include "cpu/tiles.h"

/* A line of pairs (low, high) in the tiles of each piece. */
static inline void put_line(V low, V high, char *to, const int places[3]) {
  const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
  __m512 a = (__m512)low, b = (__m512)high;
  for (int p = 0; p < 3; p++) {
    __m512i bits_a = _mm512_castps_si512(a), bits_b = _mm512_castps_si512(b);
    if (p < 2) bits_b = _mm512_and_si512(bits_b, upper);
    _mm512_store_si512(to + places[p],
                       _mm512_or_si512(_mm512_srli_epi32(bits_a, 16), bits_b));
    if (p == 2) break;
    a = _mm512_sub_ps(a, _mm512_castsi512_ps(_mm512_and_si512(bits_a, upper)));
    b = _mm512_sub_ps(b, _mm512_castsi512_ps(bits_b));
  }
}
static const int places_a[3] = LP_WINOGRAD_A_PIECES, places_b[3] = LP_WINOGRAD_B_PIECES;

static void turn(char *tiles, int64_t count) {
  for (; count > 0; count--, tiles += TILE_BYTES) {
    __m512i *lines = (__m512i *)tiles, r[16];
    for (int i = 0; i < 16; i++) r[i] = lines[i];
    lp_turn_lines(r);
    for (int i = 0; i < 16; i++) lines[i] = r[i];
  }
}

/* Rows of output channels, in each the taps of 16 input channels one after another. */
static void gather_rows(const float *from, int64_t out_step, V (*taps)[9]) {
  V *to = taps[0];
  for (int block = 0; block < 9; block++, from += 16) {
    __m512i r[16];
    for (int o = 0; o < 16; o++) r[o] = _mm512_loadu_si512(from + o * out_step);
    lp_turn_lines(r);
    for (int i = 0; i < 16; i++) to[16 * block + i] = (V)_mm512_castsi512_ps(r[i]);
  }
}

/* Rows of input channels, in each the taps of 16 output channels one after another: 9
 * vectors. 9 and 16 having no common factor, the 16 numbers of a tap have places of
 * their own in a vector: they are brought together where they are, then put in order. */
static void gather_columns(const float *from, int64_t in_step, int64_t count,
                           bool flipped, V (*taps)[9]) {
  for (int tap = 0; tap < 9; tap++) {
    __mmask16 place[9] = {0};
    int order[16];
    for (int o = 0; o < 16; o++) {
      place[(9 * o + tap) / 16] |= (__mmask16)(1u << (9 * o + tap) % 16);
      order[o] = (9 * o + tap) % 16;
    }
    const __m512i in_order = _mm512_loadu_si512(order);
    const float *row = from;
    for (int64_t i = 0; i < count; i++, row += in_step) {
      __m512 all = _mm512_maskz_loadu_ps(place[0], row);
      for (int v = 1; v < 9; v++) all = _mm512_mask_loadu_ps(all, place[v], row + 16 * v);
      taps[i][flipped ? 8 - tap : tap] = (V)_mm512_permutexvar_ps(in_order, all);
    }
  }
}

static void gather_floats(const LpWinogradWeights *w, int64_t i0, int64_t count,
                          V taps[][9]) {
  const float *from = (const float *)w->w + i0 * w->in_step;
  if (w->outs >= 16 && w->out_step == 9)
    gather_columns(from, w->in_step, count, w->flipped, taps);
  else if (w->outs >= 16 && w->in_step == 9 && count % 16 == 0 && !w->flipped)
    for (int64_t i = 0; i < count; i += 16)
      gather_rows(from + i * 9, w->out_step, taps + i);
  else
    gather_any(w, i0, count, taps);
}

/* line[c * 9 + tap] = r[tap][c]; seven more are written. */
static void turn_taps(const V r[9], float *line) {
  __m512i lines[16] = {0};
  for (int tap = 0; tap < 9; tap++) lines[tap] = _mm512_castps_si512((__m512)r[tap]);
  lp_turn_lines(lines);
  for (int c = 0; c < 16; c++) _mm512_storeu_si512(line + c * 9, lines[c]);
}
#else
static void gather_floats(const LpWinogradWeights *w, int64_t i0, int64_t count,
                          V taps[][9]) {
  gather_any(w, i0, count, taps);
}

static void turn_taps(const V r[9], float *line) {
  for (int c = 0; c < LANES; c++)
    for (int tap = 0; tap < 9; tap++) line[c * 9 + tap] = r[tap][c];
}
#endif

static void gather(const LpWinogradWeights *w, int64_t i0, int64_t count, V taps[][9]) {
  if (!w->half) {
    gather_floats(w, i0, count, taps);
    return;
  }
  float floats[(LANES * STRIP * 9) + LANES];
  const LpWinogradWeights of_floats = widened(w, i0, count, floats);
  gather_floats(&of_floats, 0, count, taps);
}

/* --- tiles
 * -------------------------------------------------------------------------- */

#define TILED_NAME(name, tile) name##_##tile
#define TILED_PASTE(name, tile) TILED_NAME(name, tile)
#define TILED(name) TILED_PASTE(name, TILE)

/* Calls what is made for one shape, of pixels of one kind. */
#define FOR_SIDES(shape, kind, f, ...)                                                   \
  switch ((shape) & (LP_WINOGRAD_SHORT_DOWN | LP_WINOGRAD_SHORT_ACROSS)) {               \
  case LP_WINOGRAD_WHOLE: return f(__VA_ARGS__, kind);                                   \
  case LP_WINOGRAD_SHORT_DOWN: return f(__VA_ARGS__, LP_WINOGRAD_SHORT_DOWN | (kind));   \
  case LP_WINOGRAD_SHORT_ACROSS:                                                         \
      return f(__VA_ARGS__, LP_WINOGRAD_SHORT_ACROSS | (kind));                          \
  default:                                                                               \
    return f(__VA_ARGS__, LP_WINOGRAD_SHORT_DOWN | LP_WINOGRAD_SHORT_ACROSS | (kind));   \
  }

#define FOR_EITHER(shape, f, ...)                                                        \
  if ((shape)&LP_WINOGRAD_HALF) {                                                        \
    FOR_SIDES(shape, LP_WINOGRAD_HALF, f, __VA_ARGS__)                                   \
  } else {                                                                               \
    FOR_SIDES(shape, LP_WINOGRAD_WHOLE, f, __VA_ARGS__)                                  \
  }

#define TILE 4
#define FOR_KINDS FOR_EITHER
#include "cpu/simd/winograd_body.h"

/* Of bfloat16 alone: Note [Larger tiles]. */
#define TILE 7
#define FOR_KINDS(shape, ...) FOR_SIDES(shape, LP_WINOGRAD_HALF, __VA_ARGS__)
#include "cpu/simd/winograd_body.h"

/* --- tiles of pieces
 * -------------------------------------------------------------------------- */

#ifdef WITH_PIECES
INLINE void row_of_pieces(LpWinogradPixels *pixels, int64_t ahead, int64_t channels,
                          char *to, int64_t step, LpWinogradShape shape) {
  for (int64_t c = 0; c < channels; c += 2 * LANES, to += LP_WINOGRAD_BLOCK_BYTES) {
    V low[LP_WINOGRAD_SIDE * LP_WINOGRAD_SIDE], high[LP_WINOGRAD_SIDE * LP_WINOGRAD_SIDE],
        a[LP_WINOGRAD_SIDE], b[LP_WINOGRAD_SIDE];
    fetch_4(pixels, ahead, c, shape);
    fetch_4(pixels, ahead, c + LANES, shape);
    columns_of_source_4(pixels, shape, c, channels - c, false, low);
    if (c + LANES < channels)
      columns_of_source_4(pixels, shape, c + LANES, channels - c - LANES, false, high);
    else
      memset(high, 0, sizeof high);
    for (int i = 0; i < LP_WINOGRAD_SIDE; i++) {
      char *at = to + i * LP_WINOGRAD_SIDE * step;
      if (!(!IS_SHORT(shape, DOWN) || i != LP_WINOGRAD_SIDE - 2)) continue;
      row_of_source_4(low, shape, i, false, a);
      row_of_source_4(high, shape, i, false, b);
      UNROLL for (int j = 0; j < LP_WINOGRAD_SIDE;
                  j++,
                  at += step) if ((!IS_SHORT(shape, ACROSS) || j != LP_WINOGRAD_SIDE - 2))
          put_line(a[j], b[j], at, places_a);
    }
  }
}
static void input_row(LpWinogradPixels *pixels, int64_t ahead, LpWinogradShape shape,
                      int64_t channels, char *to, int64_t step) {
  FOR_SIDES(shape, LP_WINOGRAD_WHOLE, row_of_pieces, pixels, ahead, channels, to, step)
}

static inline void two_tiles(LpWinogradPixels *first, LpWinogradPixels *second,
                             int64_t channels, char *to, int64_t step, int64_t block_step,
                             bool is_grad) {
  for (int64_t c = 0; c < channels; c += LANES) {
    V low[LP_WINOGRAD_SIDE * LP_WINOGRAD_SIDE], high[LP_WINOGRAD_SIDE * LP_WINOGRAD_SIDE],
        a[LP_WINOGRAD_SIDE], b[LP_WINOGRAD_SIDE];
    char *at = to + c / (2 * LANES) * block_step + c / LANES % 2 * TILE_BYTES;
    columns_of_source_4(first, LP_WINOGRAD_WHOLE, c, channels - c, is_grad, low);
    columns_of_source_4(second, LP_WINOGRAD_WHOLE, c, channels - c, is_grad, high);
    for (int i = 0; i < LP_WINOGRAD_SIDE; i++) {
      row_of_source_4(low, LP_WINOGRAD_WHOLE, i, is_grad, a);
      row_of_source_4(high, LP_WINOGRAD_WHOLE, i, is_grad, b);
      UNROLL for (int j = 0; j < LP_WINOGRAD_SIDE; j++, at += step)
          put_line(a[j], b[j], at, is_grad ? places_a : places_b);
    }
  }
}
static void input_line(LpWinogradPixels *first, LpWinogradPixels *second,
                       int64_t channels, char *to, int64_t step, int64_t block_step) {
  two_tiles(first, second, channels, to, step, block_step, false);
}
static void grad_line(LpWinogradPixels *first, LpWinogradPixels *second, int64_t channels,
                      char *to, int64_t step, int64_t block_step) {
  two_tiles(first, second, channels, to, step, block_step, true);
}

static void weights_block(const LpWinogradWeights *w, char *to, int64_t step) {
  V taps[STRIP][9];
  for (int64_t i0 = 0; i0 < w->ins; i0 += STRIP, to += LP_WINOGRAD_BLOCK_BYTES) {
    const int64_t count = w->ins - i0 < STRIP ? w->ins - i0 : STRIP;
    gather(w, i0, count, taps);
    memset(taps + count, 0, (size_t)(STRIP - count) * sizeof taps[0]);
    for (int64_t i = 0; i < STRIP / 2; i++) {
      V low[LP_WINOGRAD_SIDE * 3], high[LP_WINOGRAD_SIDE * 3], a[LP_WINOGRAD_SIDE],
          b[LP_WINOGRAD_SIDE];
      char *at = to + i * 64;
      columns_of_weights_4(taps[i], low);
      columns_of_weights_4(taps[i + STRIP / 2], high);
      for (int f = 0; f < LP_WINOGRAD_SIDE; f++) {
        line_of_weights_4(low + f * 3, a, 1);
        line_of_weights_4(high + f * 3, b, 1);
        UNROLL for (int j = 0; j < LP_WINOGRAD_SIDE; j++, at += step)
            put_line(a[j], b[j], at, places_b);
      }
    }
  }
}
#endif

/* --- products of floats
 *
 * A block of C stays in registers: ROWS rows by two vectors, with a vector register for
 * each and two for B. */

#if defined(LP_CAP_avx512)
#define ROWS 12
#elif defined(LP_CAP_avx2)
#define ROWS 6
#else
#define ROWS 4
#endif

/* Floats of B: weights may come from afar. */
#define FAR_AHEAD 2048

/* rows (a constant at each call) by `vectors`: element (i, t) of A is a[i * row + t *
 * along]; row t of B begins at b[t * ldb]. */
static inline __attribute__((always_inline)) void
block(float *c, int64_t ldc, const float *a, int64_t row, int64_t along, const float *b,
      int64_t ldb, int rows, int vectors, int64_t depth, bool add) {
  V sum[ROWS][2];
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) sum[i][v] = (V){0};
  for (int64_t t = 0; t < depth; t++, a += along, b += ldb) {
    V of_b[2];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      of_b[v] = *(const V *)(b + v * LANES);
      __builtin_prefetch(b + v * LANES + FAR_AHEAD);
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) sum[i][v] += a[i * row] * of_b[v];
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      V *at = (V *)(c + i * ldc + v * LANES);
      *at = add ? *at + sum[i][v] : sum[i][v];
    }
}

#define CASE(n)                                                                          \
  case n:                                                                                \
    if (vectors == 2)                                                                    \
      block(c, ldc, a, row, along, b, ldb, n, 2, depth, add);                            \
    else                                                                                 \
      block(c, ldc, a, row, along, b, ldb, n, 1, depth, add);                            \
    break

static inline __attribute__((always_inline)) void
some_rows(float *c, int64_t ldc, const float *a, int64_t row, int64_t along,
          const float *b, int64_t ldb, int64_t rows, int vectors, int64_t depth,
          bool add) {
  switch (rows) {
    CASE(1);
    CASE(2);
    CASE(3);
#if ROWS > 4
    CASE(4);
    CASE(5);
#endif
#if ROWS > 6
    CASE(6);
    CASE(7);
    CASE(8);
    CASE(9);
    CASE(10);
    CASE(11);
#endif
  default:
    if (vectors == 2)
      block(c, ldc, a, row, along, b, ldb, ROWS, 2, depth, add);
    else
      block(c, ldc, a, row, along, b, ldb, ROWS, 1, depth, add);
  }
}

/* So many products are summed on their own, which keeps rounding errors from growing with
 * the depth, and a panel of B in the cache. */
#define DEPTH 64

/* Rows in parts of about equal size: a few alone would wait for each other's sums. */
static int64_t rows_at_once(int64_t rows) {
  const int64_t parts = (rows + ROWS - 1) / ROWS;
  return (rows + parts - 1) / parts;
}

static void product(float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                    int64_t rows, int64_t columns, int64_t depth, int64_t first,
                    int64_t whole) {
  const int64_t some = rows_at_once(rows);
  for (int64_t j = 0; j < columns; j += 2 * LANES) {
    const int vectors = columns - j > LANES ? 2 : 1;
    const float *panel = b + j * whole + first * vectors * LANES;
    for (int64_t t = 0; t < depth; t += DEPTH, panel += DEPTH * vectors * LANES)
      for (int64_t i = 0; i < rows; i += some)
        some_rows(c + i * ldc + j, ldc, a + i * lda + t, lda, 1, panel, vectors * LANES,
                  rows - i < some ? rows - i : some, vectors,
                  depth - t < DEPTH ? depth - t : DEPTH, t > 0);
  }
}

static void product_grad(float *c, int64_t ldc, const float *a, int64_t lda,
                         const float *b, int64_t ldb, int64_t rows, int64_t columns,
                         int64_t depth, bool add) {
  const int64_t some = rows_at_once(rows);
  for (int64_t j = 0; j < columns; j += 2 * LANES) {
    const int vectors = columns - j > LANES ? 2 : 1;
    for (int64_t t = 0; t < depth; t += DEPTH)
      for (int64_t i = 0; i < rows; i += some)
        some_rows(c + i * ldc + j, ldc, a + t * lda + i, 1, lda, b + t * ldb + j, ldb,
                  rows - i < some ? rows - i : some, vectors,
                  depth - t < DEPTH ? depth - t : DEPTH, add || t > 0);
  }
}

#define TILES(tile)                                                                      \
  {                                                                                      \
    tile, tile + 2, (tile + 2) * (tile + 2), input_##tile, grad_##tile, weights_##tile,  \
        output_##tile, weight_grad_##tile                                                \
  }

const LpWinogradTable LP_SIMD(lp_winograd_table) = {.lanes = LANES,
                                                    .small = TILES(4),
                                                    .large = TILES(7),
#ifdef WITH_PIECES
                                                    .input_row = input_row,
                                                    .input_line = input_line,
                                                    .grad_line = grad_line,
                                                    .turn = turn,
                                                    .weights_block = weights_block,
#endif
                                                    .product = product,
                                                    .product_grad = product_grad};
