/* The loops of Winograd's convolution: transforms of tiles, vectors along channels, and
 * the products of frequencies. See winograd_kernels.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "cpu/gemm_split.h"
#include "cpu/simd/winograd_lines.h"
#include "cpu/winograd_kernels.h"

/* --- memory */
#ifndef AHEAD
#define AHEAD 32
#endif

static inline V load(const float *p) {
  return *(const Unaligned *)p;
}
static inline V load_some(const float *p, int64_t count) {
  V v = {0};
  memcpy(&v, p, (size_t)count * sizeof *p);
  return v;
}
static inline void store_some(float *p, V v, int64_t count) {
  memcpy(p, &v, (size_t)count * sizeof *p);
}

static inline bool no_nan(V sum) {
  bool ok = true;
  for (int i = 0; i < LANES; i++) ok &= sum[i] == sum[i];
  return ok;
}

/* taps[i][tap] = a vector of w's output channels for input channel i0 + i. */
static void gather_any(const LpWinogradWeights *w, int64_t i0, int64_t count,
                       V taps[][9]) {
  float(*to)[9][LANES] = (float(*)[9][LANES])taps;
  const int64_t outs = w->outs < LANES ? w->outs : LANES;
  if (outs < LANES) memset(taps, 0, (size_t)count * sizeof taps[0]);
  for (int64_t o = 0; o < outs; o++)
    for (int64_t i = 0; i < count; i++) {
      const float *from = w->w + o * w->out_step + (i0 + i) * w->in_step;
      if (w->flipped)
        for (int tap = 0; tap < 9; tap++) to[i][tap][o] = from[8 - tap];
      else
        for (int tap = 0; tap < 9; tap++) to[i][tap][o] = from[tap];
    }
}

/* --- AVX-512 */

#if defined(LP_CAP_avx512) && defined(__x86_64__)
#define WITH_PIECES
#include <immintrin.h>

#define TILE_BYTES 1024

/* A line of pairs (low, high) in each of three tiles. */
static inline void put_line(V low, V high, char *to) {
  const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
  __m512 a = (__m512)low, b = (__m512)high;
  for (int p = 0; p < 3; p++) {
    __m512i bits_a = _mm512_castps_si512(a), bits_b = _mm512_castps_si512(b);
    if (p < 2) bits_b = _mm512_and_si512(bits_b, upper);
    _mm512_store_si512(to + p * TILE_BYTES,
                       _mm512_or_si512(_mm512_srli_epi32(bits_a, 16), bits_b));
    if (p == 2) break;
    a = _mm512_sub_ps(a, _mm512_castsi512_ps(_mm512_and_si512(bits_a, upper)));
    b = _mm512_sub_ps(b, _mm512_castsi512_ps(bits_b));
  }
}

/* Turns 16 x 16 words over. */
static inline void turn_lines(__m512i *r) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

static void turn(char *tiles, int64_t count) {
  for (; count > 0; count--, tiles += TILE_BYTES) {
    __m512i *lines = (__m512i *)tiles, r[16];
    for (int i = 0; i < 16; i++) r[i] = lines[i];
    turn_lines(r);
    for (int i = 0; i < 16; i++) lines[i] = r[i];
  }
}

/* Rows of output channels, in each the taps of 16 input channels one after another. */
static void gather_rows(const float *from, int64_t out_step, V (*taps)[9]) {
  V *to = taps[0];
  for (int block = 0; block < 9; block++, from += 16) {
    __m512i r[16];
    for (int o = 0; o < 16; o++) r[o] = _mm512_loadu_si512(from + o * out_step);
    turn_lines(r);
    for (int i = 0; i < 16; i++) to[16 * block + i] = (V)_mm512_castsi512_ps(r[i]);
  }
}

/* Rows of input channels, in each the taps of 16 output channels one after another: 9
 * vectors. 9 and 16 having no common factor, the 16 numbers of a tap have places of
 * their own in a vector: they are brought together where they are, then put in order. */
static void gather_columns(const float *from, int64_t in_step, int64_t count, bool flipped,
                           V (*taps)[9]) {
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

static void gather(const LpWinogradWeights *w, int64_t i0, int64_t count, V taps[][9]) {
  const float *from = w->w + i0 * w->in_step;
  if (w->outs >= 16 && w->out_step == 9)
    gather_columns(from, w->in_step, count, w->flipped, taps);
  else if (w->outs >= 16 && w->in_step == 9 && count % 16 == 0 && !w->flipped)
    for (int64_t i = 0; i < count; i += 16)
      gather_rows(from + i * 9, w->out_step, taps + i);
  else
    gather_any(w, i0, count, taps);
}
#else
static void gather(const LpWinogradWeights *w, int64_t i0, int64_t count, V taps[][9]) {
  gather_any(w, i0, count, taps);
}
#endif

/* --- tiles */

#define M 2
#define FN(name) name##_2
#include "cpu/simd/winograd_body.h"
#undef M
#undef FN
#define M 4
#define FN(name) name##_4
#include "cpu/simd/winograd_body.h"
#undef M
#undef FN

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

/* rows (a constant at each call) by `vectors`: element (i, t) of A is a[i * row + t *
 * along]; row t of B begins at b[t * ldb]. */
static inline __attribute__((always_inline)) void
block(float *c, int64_t ldc, const float *a, int64_t row, int64_t along, const float *b,
      int64_t ldb, int rows, int vectors, int64_t depth, bool add) {
  V sum[ROWS][2];
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
      sum[i][v] = add ? *(const V *)(c + i * ldc + v * LANES) : (V){0};
  for (int64_t t = 0; t < depth; t++, a += along, b += ldb) {
    V of_b[2];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) of_b[v] = *(const V *)(b + v * LANES);
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) sum[i][v] += a[i * row] * of_b[v];
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) *(V *)(c + i * ldc + v * LANES) = sum[i][v];
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
          const float *b, int64_t ldb, int64_t rows, int vectors, int64_t depth, bool add) {
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

static void product(float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                    int64_t rows, int64_t columns, int64_t depth) {
  for (int64_t j = 0; j < columns; j += 2 * LANES) {
    const int vectors = columns - j > LANES ? 2 : 1;
    for (int64_t i = 0; i < rows; i += ROWS)
      some_rows(c + i * ldc + j, ldc, a + i * lda, lda, 1, b + j * depth, vectors * LANES,
                rows - i < ROWS ? rows - i : ROWS, vectors, depth, false);
  }
}

static void product_grad(float *c, int64_t ldc, const float *a, int64_t lda,
                         const float *b, int64_t ldb, int64_t rows, int64_t columns,
                         int64_t depth, bool add) {
  for (int64_t j = 0; j < columns; j += 2 * LANES) {
    const int vectors = columns - j > LANES ? 2 : 1;
    for (int64_t i = 0; i < rows; i += ROWS)
      some_rows(c + i * ldc + j, ldc, a + i, 1, lda, b + j, ldb,
                rows - i < ROWS ? rows - i : ROWS, vectors, depth, add);
  }
}

const LpWinogradTable LP_SIMD(lp_winograd_table) = {.lanes = LANES,
                                                    .by_2 = tiles_2,
                                                    .by_4 = tiles_4,
#ifdef WITH_PIECES
                                                    .turn = turn,
#endif
                                                    .product = product,
                                                    .product_grad = product_grad};
