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
                          int64_t depth, const float *windows, float *y) {
  const int64_t step = w->step, k = w->k, last = w->channels - (vectors - 1) * LANES;
  V sum[ROWS][VECTORS];
  const float *b = w->weights, *at[TRIPLES];
#pragma GCC unroll 14
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) sum[i][j] = load(w->bias + j * LANES);
#pragma GCC unroll 5
  for (int i = 0; i < TRIPLES; i++) at[i] = windows + 3 * i * step;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < vectors * LANES; j += LINE) __builtin_prefetch(y + i * k + j, 1);
  for (int64_t d = 0; d < depth; d++, b += vectors * LANES) {
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

INLINE void multiply(const int rows, const int vectors, const LpWindows *w,
                     int64_t depth) {
  for (int64_t line = 0; line < w->lines; line++) {
    const float *windows = w->windows + line * w->pitch;
    float *y = w->y + line * w->y_pitch;
    for (int64_t i = 0; i < w->count; i += rows)
      multiply_some(rows, vectors, w, depth, windows + i * w->step, y + i * w->k);
  }
}

/* --- weights' gradient
 * ----------------------------------------------------------------------- */

/* whole: the panel's vectors have all their channels. */
INLINE void add_sums_some(const int rows, const int vectors, const bool whole,
                          const LpWindows *w) {
  const int64_t step = w->step, k = w->k, last = w->channels - (vectors - 1) * LANES;
  const float *fetch = w->fetch ? w->fetch : w->y;
  const int64_t fetch_step = w->fetch ? LINE : 0;
  V sum[ROWS][VECTORS];
#pragma GCC unroll 14
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) sum[i][j] = (V){0};
  for (int64_t line = 0; line < w->lines; line++) {
    const float *x = w->windows + line * w->pitch, *y = w->y + line * w->y_pitch;
    for (int64_t i = 0; i < w->count; i++, x += step, y += k, fetch += fetch_step) {
      __builtin_prefetch(fetch, 0, 2);
      V gradient[VECTORS];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; j++)
        gradient[j] = whole || j < vectors - 1 ? load(y + j * LANES)
                                               : load_part(y + j * LANES, last);
#pragma GCC unroll 14
      for (int r = 0; r < rows; r++) {
        const V value = spread(x[r], vectors);
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) sum[r][j] += value * gradient[j];
      }
    }
  }
  float *to = w->weights;
#pragma GCC unroll 14
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++, to += LANES) store(to, load(to) + sum[i][j]);
}

INLINE void add_sums(const int rows, const int vectors, const LpWindows *w) {
  if (w->channels == vectors * LANES)
    add_sums_some(rows, vectors, true, w);
  else
    add_sums_some(rows, vectors, false, w);
}

/* --- tables
 * ------------------------------------------------------------------------------- */

typedef void (*Multiply)(const LpWindows *, int64_t);
typedef void (*AddSums)(const LpWindows *);
#define PAIR(rows, vectors)                                                              \
  static void multiply_##rows##_##vectors(const LpWindows *w, int64_t depth) {           \
    multiply(rows, vectors, w, depth);                                                   \
  }                                                                                      \
  static void add_sums_##rows##_##vectors(const LpWindows *w) {                          \
    add_sums(rows, vectors, w);                                                          \
  }
#define PAIRS(rows) PAIR(rows, 1) PAIR(rows, 2)
#define OF(name, rows)                                                                   \
  { name##_##rows##_1, name##_##rows##_2 }
PAIRS(1)
PAIRS(2)
PAIRS(3)
PAIRS(4)
PAIRS(5)
PAIRS(6)
#if ROWS == 14
PAIRS(7)
PAIRS(8)
PAIRS(9)
PAIRS(10)
PAIRS(11)
PAIRS(12)
PAIRS(13)
PAIRS(14)
#define ALL_OF(name)                                                                     \
  {                                                                                      \
    OF(name, 1), OF(name, 2), OF(name, 3), OF(name, 4), OF(name, 5), OF(name, 6),        \
        OF(name, 7), OF(name, 8), OF(name, 9), OF(name, 10), OF(name, 11), OF(name, 12), \
        OF(name, 13), OF(name, 14)                                                       \
  }
#else
#define ALL_OF(name)                                                                     \
  { OF(name, 1), OF(name, 2), OF(name, 3), OF(name, 4), OF(name, 5), OF(name, 6) }
#endif
static const Multiply all_multiply[ROWS][VECTORS] = ALL_OF(multiply);
static const AddSums all_add_sums[ROWS][VECTORS] = ALL_OF(add_sums);

static void multiply_any(const LpWindows *w, int64_t rows, int64_t depth) {
  all_multiply[rows - 1][(w->channels - 1) / LANES](w, depth);
}
static void add_sums_any(const LpWindows *w, int64_t rows) {
  all_add_sums[rows - 1][(w->channels - 1) / LANES](w);
}

/* --- laying
 * ------------------------------------------------------------------------------- */

INLINE void lay_some(const int64_t c, const int64_t channel, const LpWindowsLine *l) {
  const int64_t from_step = l->from_step, step = l->step;
  const float *from = l->from;
  float *to = l->to;
#pragma GCC unroll 4
  for (int64_t n = l->count; n > 0; n--, from += from_step, to += step)
#pragma GCC unroll 16
    for (int64_t i = 0; i < c; i++) to[i] = from[i * channel];
}

static void lay(const LpWindowsLine *l) {
  const int64_t c = l->c;
  if (c == 1) {
    lay_some(1, 1, l);
  } else if (l->channel != 1) {
    if (c == 3)
      lay_some(3, l->channel, l);
    else
      lay_some(c, l->channel, l);
  } else if (c == 2) {
    lay_some(2, 1, l);
  } else if (c == 3) {
    lay_some(3, 1, l);
  } else if (c == 4) {
    lay_some(4, 1, l);
  } else {
    const float *from = l->from;
    float *to = l->to;
    for (int64_t n = l->count; n > 0; n--, from += l->from_step, to += l->step) {
      int64_t i = 0;
      for (; i + LANES <= c; i += LANES) store(to + i, load(from + i));
      if (i < c) store_part(to + i, load_part(from + i, c - i), c - i);
    }
  }
}

const LpWindowsKernels LP_SIMD(lp_windows_kernels) = {.rows = ROWS,
                                                      .columns = VECTORS * LANES,
                                                      .lanes = LANES,
                                                      .multiply = multiply_any,
                                                      .add_sums = add_sums_any,
                                                      .lay = lay};

#else /* sums would not fit into so few registers */

const LpWindowsKernels LP_SIMD(lp_windows_kernels) = {0};

#endif
