/* The kernels of cpu/conv_windows.h. */
#include "cpu/simd/simd.h"

#include "cpu/conv_windows.h"

#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include "cpu/simd/lanes.h"

/* Sums fill the registers, but for the vectors of a panel and a number of a window. */
#define VECTORS 2
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
  const int64_t fetch_step = w->fetch ? LP_WINDOWS_LINE : 0;
  V sum[LP_WINDOWS_MOST_RUNS][VECTORS * ROWS][VECTORS];
#pragma GCC unroll 3
  for (int r = 0; r < runs; r++)
#pragma GCC unroll 28
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
#pragma GCC unroll 28
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
#pragma GCC unroll 28
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

/* --- sizes
 * -------------------------------------------------------------------------------- */

/* A kernel for each size that is there: BODY(1), ... */
#define SEVEN(BODY, n)                                                                   \
  BODY(n + 1) BODY(n + 2) BODY(n + 3) BODY(n + 4) BODY(n + 5) BODY(n + 6) BODY(n + 7)

INLINE void multiply_of(const int vectors, const LpWindows *w, int64_t rows) {
#define BODY(n)                                                                          \
  case n:                                                                                \
    if (n <= ROWS) multiply(n, vectors, w);                                              \
    break;
  switch (rows) { SEVEN(BODY, 0) SEVEN(BODY, 7) }
#undef BODY
}

static __attribute__((noinline)) void multiply_1(const LpWindows *w, int64_t rows) {
  multiply_of(1, w, rows);
}
static __attribute__((noinline)) void multiply_2(const LpWindows *w, int64_t rows) {
  multiply_of(2, w, rows);
}

static void multiply_any(const LpWindows *w, int64_t rows) {
  (w->channels > LANES ? multiply_2 : multiply_1)(w, rows);
}

INLINE void add_sums_of(const int runs, const int vectors, const LpWindows *w) {
#define BODY(n)                                                                          \
  case n:                                                                                \
    if (runs * (n)*vectors <= VECTORS * ROWS) add_sums(runs, n, vectors, w);             \
    break;
  switch (w->run) { SEVEN(BODY, 0) SEVEN(BODY, 7) SEVEN(BODY, 14) SEVEN(BODY, 21) }
#undef BODY
}

#define RUNS(runs, vectors)                                                              \
  static                                                                                 \
      __attribute__((noinline)) void add_sums_##runs##_##vectors(const LpWindows *w) {   \
    add_sums_of(runs, vectors, w);                                                       \
  }
RUNS(1, 1)
RUNS(2, 1)
RUNS(3, 1)
RUNS(1, 2)
RUNS(2, 2)
RUNS(3, 2)

static void add_sums_any(const LpWindows *w) {
  static void (*const all[VECTORS][LP_WINDOWS_MOST_RUNS])(const LpWindows *) = {
      {add_sums_1_1, add_sums_2_1, add_sums_3_1},
      {add_sums_1_2, add_sums_2_2, add_sums_3_2}};
  all[w->channels > LANES][w->n_runs - 1](w);
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
  }
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
