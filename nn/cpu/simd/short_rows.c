/* See cpu/short_rows.h. A vector holds elements of one row; sums of as many rows as it
 * has lanes become one vector, with a lane for each. Elements behind a row count as 0. */
#include <math.h>
#include "core/half.h"
#include "cpu/simd/lanes.h"
#include "cpu/short_rows.h"

#define ELEMS (LP_ROW_SHORT * LP_ROWS_TOGETHER)
#define INLINE static inline __attribute__((always_inline))

/* Of rows as vectors, the sum of each in its lane. Those of which two are left take turns
 * in a vector: lanes whose number has the bit `step` are of the second one. */
INLINE V sum_rows(V rows[LANES]) {
#pragma GCC unroll 4
  for (int step = 1; step < LANES; step *= 2) {
    VI near, far;
#pragma GCC unroll 16
    for (int l = 0; l < LANES; l++) {
      near[l] = l & step ? LANES + l : l;
      far[l] = l & step ? LANES + l - step : l + step;
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i += 2 * step) {
      const V a = rows[i], b = rows[i + step];
      rows[i] = __builtin_shuffle(a, b, near) + __builtin_shuffle(a, b, far);
    }
  }
  return rows[0];
}

/* The sums of the rows there are, and of no others. */
INLINE V sum_some(V sums[LANES], int64_t rows) {
  for (int64_t r = rows; r < LANES; r++) sums[r] = (V){0};
  return sum_rows(sums);
}

/* Up to LANES rows; arrays begin with the first of them. `last`: where the last vector of
 * a row begins, a constant for the shortest ones. */
INLINE void forward_lanes(const LpShortRows *k, const float *x, const float *w,
                          const float *shift, float *y, int64_t rows, double *means,
                          double *rstds, const int64_t last) {
  static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const int64_t n = k->n;
  const V kept = load_part(ones, n - last);
  V sums[LANES];
  float mean[LANES] = {0}, rstd[LANES];
  if (k->centred) {
    for (int64_t r = 0; r < rows; r++) {
      const float *row = x + r * n;
      V s = load_part(row + last, n - last);
      for (int64_t i = 0; i < last; i += LANES) s += load(row + i);
      sums[r] = s;
    }
    const V all = sum_some(sums, rows) / (float)n;
    store(mean, all);
    for (int64_t r = 0; r < rows; r++) means[r] = (double)mean[r];
  }
  for (int64_t r = 0; r < rows; r++) {
    const float *row = x + r * n;
    const V m = (V){0} + mean[r], d = load_part(row + last, n - last) - m * kept;
    V s = d * d;
    for (int64_t i = 0; i < last; i += LANES) {
      const V v = load(row + i) - m;
      s += v * v;
    }
    sums[r] = s;
  }
  store(rstd, sum_some(sums, rows) / (float)n + (float)k->eps);
  for (int64_t r = 0; r < LANES; r++) rstd[r] = 1 / sqrtf(rstd[r]);
  for (int64_t r = 0; r < rows; r++) {
    const V m = (V){0} + mean[r], a = (V){0} + rstd[r];
    rstds[r] = (double)rstd[r];
    for (int64_t i = r * n; i < r * n + last; i += LANES) {
      V v = (load(x + i) - m) * a;
      if (w) v *= load(w + i);
      if (shift) v += load(shift + i);
      store(y + i, v);
    }
    const int64_t i = r * n + last;
    V v = (load_part(x + i, n - last) - m) * a;
    if (w) v *= load_part(w + i, n - last);
    if (shift) v += load_part(shift + i, n - last);
    store_part(y + i, v, n - last);
  }
}

/* Likewise. With d = (x - mean) * rstd and v = g * w, y is rstd * (v - mean(v) - d *
 * mean(v * d)). */
INLINE void backward_lanes(const LpShortRows *k, const float *x, const float *g,
                           const float *w, float *gw, float *gb, float *y, int64_t rows,
                           const double *means, const double *rstds) {
  const int64_t n = k->n;
  V sums[LANES], products[LANES];
  float of_v[LANES], of_d[LANES];
  for (int64_t r = 0; r < rows; r++) {
    const V a = (V){0} + (float)rstds[r],
            m = (V){0} + (k->centred ? (float)means[r] : 0.0f);
    V s = {0}, q = {0};
    for (int64_t i = r * n; i < r * n + n; i += LANES) {
      const int64_t left = r * n + n - i;
      const V grad = load_part(g + i, left), d = (load_part(x + i, left) - m) * a,
              v = w ? grad * load_part(w + i, left) : grad;
      s += v;
      q += v * d;
      if (gw) store_part(gw + i, load_part(gw + i, left) + grad * d, left);
      if (gb) store_part(gb + i, load_part(gb + i, left) + grad, left);
    }
    sums[r] = s;
    products[r] = q;
  }
  store(of_v, sum_some(sums, rows) / (float)n);
  store(of_d, sum_some(products, rows) / (float)n);
  for (int64_t r = 0; r < rows; r++) {
    const V a = (V){0} + (float)rstds[r],
            m = (V){0} + (k->centred ? (float)means[r] : 0.0f),
            s = (V){0} + (k->centred ? of_v[r] : 0.0f), q = (V){0} + of_d[r];
    for (int64_t i = r * n; i < r * n + n; i += LANES) {
      const int64_t left = r * n + n - i;
      const V grad = load_part(g + i, left), d = (load_part(x + i, left) - m) * a,
              v = w ? grad * load_part(w + i, left) : grad;
      store_part(y + i, (v - s - d * q) * a, left);
    }
  }
}

static void forward_f32(const LpShortRows *k) {
  const float *x = k->x, *w = k->w, *shift = k->shift;
  const int64_t last = (k->n - 1) / LANES * LANES;
  for (int64_t r = 0; r < k->rows; r += LANES) {
    const int64_t at = r * k->n, rows = k->rows - r < LANES ? k->rows - r : LANES;
#define FORWARD(last)                                                                    \
  forward_lanes(k, x + at, w ? w + at : NULL, shift ? shift + at : NULL,                 \
                (float *)k->y + at, rows, k->centred ? k->mean + r : NULL, k->rstd + r,  \
                last)
    if (last == 0)
      FORWARD(0);
    else if (last == LANES)
      FORWARD(LANES);
    else
      FORWARD(last);
  }
}

static void backward_f32(const LpShortRows *k) {
  const float *x = k->x, *g = k->g, *w = k->w;
  for (int64_t r = 0; r < k->rows; r += LANES) {
    const int64_t at = r * k->n, rows = k->rows - r < LANES ? k->rows - r : LANES;
    backward_lanes(k, x + at, g + at, w ? w + at : NULL, k->gw ? k->gw + at : NULL,
                   k->gb ? k->gb + at : NULL, (float *)k->y + at, rows,
                   k->centred ? k->mean + r : NULL, k->rstd + r);
  }
}

/* 16-bit floats, by way of float32. */
#define HALVES(name, widen, narrow)                                                      \
  static const float *name##_wide(float *to, const uint16_t *from, int64_t n) {          \
    if (!from) return NULL;                                                              \
    for (int64_t i = 0; i < n; i++) to[i] = widen(from[i]);                              \
    return to;                                                                           \
  }                                                                                      \
  static void name##_through(const LpShortRows *k,                                       \
                             void (*of_floats)(const LpShortRows *)) {                   \
    float x[ELEMS], g[ELEMS], w[ELEMS], shift[ELEMS], y[ELEMS];                          \
    const int64_t n = k->rows * k->n;                                                    \
    LpShortRows wide = *k;                                                               \
    wide.x = name##_wide(x, k->x, n);                                                    \
    wide.g = name##_wide(g, k->g, n);                                                    \
    wide.w = name##_wide(w, k->w, n);                                                    \
    wide.shift = name##_wide(shift, k->shift, n);                                        \
    wide.y = y;                                                                          \
    of_floats(&wide);                                                                    \
    uint16_t *to = k->y;                                                                 \
    for (int64_t i = 0; i < n; i++) to[i] = narrow(y[i]);                                \
  }                                                                                      \
  static void forward_##name(const LpShortRows *k) {                                     \
    name##_through(k, forward_f32);                                                      \
  }                                                                                      \
  static void backward_##name(const LpShortRows *k) {                                    \
    name##_through(k, backward_f32);                                                     \
  }

HALVES(f16, lp_half_to_float, lp_half_from_float)
HALVES(bf16, lp_bf16_to_float, lp_bf16_from_float)

const LpShortRowKernels LP_SIMD(lp_short_row_kernels) = {
    .forward = {forward_f32, NULL, forward_f16, forward_bf16},
    .backward = {backward_f32, NULL, backward_f16, backward_bf16},
};
