/* The kernels of cpu/conv_windows.h. */
#include "cpu/simd/simd.h"

#include "cpu/conv_windows.h"

#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include "cpu/simd/lanes.h"

/* Sums fill the registers, but for the vectors of a panel and a number of a window. */
#define VECTORS 2
#define LINE 16 /* floats of a cache line */
#if defined(LP_CAP_avx512)
#define ROWS 14
#else
#define ROWS 6
#endif

#define INLINE static inline __attribute__((always_inline))

/* For so many products: loaded once, not by each of them. */
INLINE V spread(float x, const int products) {
#if defined(LP_CAP_avx512)
  V v = (V)_mm512_set1_ps(x);
#else
  V v = (V)_mm256_set1_ps(x);
#endif
  if (products > 1) __asm__("" : "+v"(v));
  return v;
}

/* --- results
 * --------------------------------------------------------------------------------- */

/* Window i is at at[i / 3] + i % 3 * step: few pointers reach all. */
#define TRIPLES ((ROWS + 2) / 3)

INLINE void multiply_some(const int rows, const int vectors, const LpWindows *w,
                          const float *windows, float *y) {
  const int64_t step = w->step, k = w->k, last = w->channels - (vectors - 1) * LANES;
  V sum[ROWS][VECTORS];
#pragma GCC unroll 2
  for (int j = 0; j < vectors; j++) {
    const V bias = load(w->bias + j * LANES);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) sum[i][j] = bias;
  }
  const float *b = w->weights;
  for (int64_t r = 0; r < w->n_runs; r++) {
    const float *at[TRIPLES];
    at[0] = windows + w->runs[r];
#pragma GCC unroll 5
    for (int i = 1; i < TRIPLES; i++) at[i] = at[i - 1] + 3 * step;
    for (int64_t d = w->run; d > 0; d--, b += vectors * LANES) {
      V weight[VECTORS];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++) weight[j] = load(b + j * LANES);
#pragma GCC unroll 14
      for (int i = 0; i < rows; i++) {
        const V x = spread(at[i / 3][i % 3 * step], vectors);
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) sum[i][j] += x * weight[j];
      }
#pragma GCC unroll 5
      for (int i = 0; i < TRIPLES; i++) at[i]++;
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) {
      float *to = y + i * k + j * LANES;
      if (j < vectors - 1 || last == LANES)
        store(to, sum[i][j]);
      else
        store_part(to, sum[i][j], last);
    }
}

INLINE void multiply(const int rows, const int vectors, const LpWindows *w) {
  for (int64_t line = 0; line < w->lines; line++) {
    const float *windows = w->windows + line * w->pitch;
    float *y = w->y + line * w->y_pitch;
    for (int64_t i = 0; i < w->count; i += rows)
      multiply_some(rows, vectors, w, windows + i * w->step, y + i * w->k);
  }
}

/* --- weights' gradient
 * ----------------------------------------------------------------------- */

/* whole: the panel's vectors have all their channels. */
INLINE void add_sums_some(const int runs, const int run, const int vectors,
                          const bool whole, const LpWindows *w) {
  const int64_t step = w->step, k = w->k, last = w->channels - (vectors - 1) * LANES;
  const float *fetch = w->fetch ? w->fetch : w->y;
  const int64_t fetch_step = w->fetch ? LINE : 0;
  V sum[LP_WINDOWS_MOST_RUNS][ROWS][VECTORS];
#pragma GCC unroll 3
  for (int r = 0; r < runs; r++)
#pragma GCC unroll 14
    for (int i = 0; i < run; i++)
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++) sum[r][i][j] = (V){0};
  for (int64_t line = 0; line < w->lines; line++) {
    const float *x[LP_WINDOWS_MOST_RUNS], *y = w->y + line * w->y_pitch;
#pragma GCC unroll 3
    for (int r = 0; r < runs; r++) x[r] = w->windows + line * w->pitch + w->runs[r];
    for (int64_t n = w->count; n > 0; n--, y += k, fetch += fetch_step) {
      __builtin_prefetch(fetch, 0, 2);
      V gradient[VECTORS];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++)
        gradient[j] = whole || j < vectors - 1 ? load(y + j * LANES)
                                               : load_part(y + j * LANES, last);
#pragma GCC unroll 3
      for (int r = 0; r < runs; r++) {
#pragma GCC unroll 14
        for (int i = 0; i < run; i++) {
          const V value = spread(x[r][i], vectors);
#pragma GCC unroll 2
          for (int j = 0; j < vectors; j++) sum[r][i][j] += value * gradient[j];
        }
        x[r] += step;
      }
    }
  }
  float *to = w->weights;
#pragma GCC unroll 3
  for (int r = 0; r < runs; r++)
#pragma GCC unroll 14
    for (int i = 0; i < run; i++)
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++, to += LANES) store(to, load(to) + sum[r][i][j]);
}

INLINE void add_sums(const int runs, const int run, const int vectors,
                     const LpWindows *w) {
  if (w->channels == vectors * LANES)
    add_sums_some(runs, run, vectors, true, w);
  else
    add_sums_some(runs, run, vectors, false, w);
}

/* --- tables
 * ------------------------------------------------------------------------------- */

typedef void (*Kernel)(const LpWindows *);
#define MULTIPLY(rows, vectors)                                                          \
  static void multiply_##rows##_##vectors(const LpWindows *w) {                          \
    multiply(rows, vectors, w);                                                          \
  }
#define ADD_SUMS(runs, run, vectors)                                                     \
  static void add_sums_##runs##_##run##_##vectors(const LpWindows *w) {                  \
    add_sums(runs, run, vectors, w);                                                     \
  }
#define BOTH_1(n) MULTIPLY(n, 1) MULTIPLY(n, 2) ADD_SUMS(1, n, 1) ADD_SUMS(1, n, 2)
#define SUMS(runs, n) ADD_SUMS(runs, n, 1) ADD_SUMS(runs, n, 2)
#define OF(name)                                                                         \
  { name##_1, name##_2 }
BOTH_1(1)
BOTH_1(2)
BOTH_1(3)
BOTH_1(4)
BOTH_1(5)
BOTH_1(6)
SUMS(2, 1)
SUMS(2, 2)
SUMS(2, 3)
SUMS(3, 1)
SUMS(3, 2)
#if ROWS == 14
BOTH_1(7)
BOTH_1(8)
BOTH_1(9)
BOTH_1(10)
BOTH_1(11)
BOTH_1(12)
BOTH_1(13)
BOTH_1(14)
SUMS(2, 4)
SUMS(2, 5)
SUMS(2, 6)
SUMS(2, 7)
SUMS(3, 3)
SUMS(3, 4)
#define ALL_OF(name)                                                                     \
  {                                                                                      \
    OF(name##_1), OF(name##_2), OF(name##_3), OF(name##_4), OF(name##_5), OF(name##_6),  \
        OF(name##_7), OF(name##_8), OF(name##_9), OF(name##_10), OF(name##_11),          \
        OF(name##_12), OF(name##_13), OF(name##_14)                                      \
  }
#define ALL_OF_2                                                                         \
  {                                                                                      \
    OF(add_sums_2_1), OF(add_sums_2_2), OF(add_sums_2_3), OF(add_sums_2_4),              \
        OF(add_sums_2_5), OF(add_sums_2_6), OF(add_sums_2_7)                             \
  }
#define ALL_OF_3                                                                         \
  { OF(add_sums_3_1), OF(add_sums_3_2), OF(add_sums_3_3), OF(add_sums_3_4) }
#else
#define ALL_OF(name)                                                                     \
  { OF(name##_1), OF(name##_2), OF(name##_3), OF(name##_4), OF(name##_5), OF(name##_6) }
#define ALL_OF_2                                                                         \
  { OF(add_sums_2_1), OF(add_sums_2_2), OF(add_sums_2_3) }
#define ALL_OF_3                                                                         \
  { OF(add_sums_3_1), OF(add_sums_3_2) }
#endif
static const Kernel all_multiply[ROWS][VECTORS] = ALL_OF(multiply);
static const Kernel all_add_sums[LP_WINDOWS_MOST_RUNS][ROWS][VECTORS] = {
    ALL_OF(add_sums_1), ALL_OF_2, ALL_OF_3};

static void multiply_any(const LpWindows *w, int64_t rows) {
  all_multiply[rows - 1][(w->channels - 1) / LANES](w);
}
static void add_sums_any(const LpWindows *w) {
  all_add_sums[w->n_runs - 1][w->run - 1][(w->channels - 1) / LANES](w);
}

/* --- planes
 * ------------------------------------------------------------------------------- */

INLINE void interleave_some(const int c, float *to, const float *planes, int64_t plane,
                            int64_t count) {
  for (int64_t i = 0; i < count; i++, to += c)
#pragma GCC unroll 4
    for (int j = 0; j < c; j++) to[j] = planes[j * plane + i];
}

static void interleave(float *to, const float *planes, int64_t plane, int64_t count,
                       int64_t c) {
  switch (c) {
  case 1: memcpy(to, planes, (size_t)count * sizeof *to); return;
  case 2: interleave_some(2, to, planes, plane, count); return;
  case 3: interleave_some(3, to, planes, plane, count); return;
  case 4: interleave_some(4, to, planes, plane, count); return;
  default: break;
  }
  for (int64_t j = 0; j < c; j++)
    for (int64_t i = 0; i < count; i++) to[i * c + j] = planes[j * plane + i];
}

const LpWindowsKernels LP_SIMD(lp_windows_kernels) = {.rows = ROWS,
                                                      .columns = VECTORS * LANES,
                                                      .lanes = LANES,
                                                      .multiply = multiply_any,
                                                      .add_sums = add_sums_any,
                                                      .interleave = interleave};

#else /* sums would not fit into so few registers */

const LpWindowsKernels LP_SIMD(lp_windows_kernels) = {0};

#endif
