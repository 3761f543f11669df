/* The kernels of cpu/conv_thin.h. */
#include "cpu/simd/simd.h"

#include "cpu/conv_thin.h"

#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include "cpu/simd/lanes.h"

/* Results of a row, or weights, whose sums are in registers together. */
#if defined(LP_CAP_avx512)
#define RESULTS 14
#define WEIGHTS 12
#else
#define RESULTS 10
#define WEIGHTS 8
#endif

#define INLINE static inline __attribute__((always_inline))

/* --- laying rows
 * ------------------------------------------------------------------------------- */

/* A block's channels of neighbouring pixels are far apart: the processor would not see
 * what comes next. */
#define AHEAD 16

typedef int32_t Order __attribute__((vector_size(LP_VECTOR_BYTES)));

/* `each` is a constant where the orders are to stay in registers. */
INLINE void lay_pixels(const int64_t each, const Order *orders, const float *from,
                       int64_t c, int64_t channels, int64_t count, float *to) {
  for (; count > 0; count--, from += c) {
    __builtin_prefetch(from + AHEAD * c);
    const V pixel = load_part(from, channels);
#pragma GCC unroll 8
    for (int64_t j = 0; j < each; j++, to += LANES)
      store(to, __builtin_shuffle(pixel, orders[j]));
  }
}

static void lay_row(const LpThin *t, int64_t row, float *to) {
  Order orders[LANES];
  memcpy(orders, t->orders, (size_t)t->each * sizeof *orders);
  const int64_t pixel = t->each * LANES, first = t->first * t->stride[2] - t->padding[2];
  int64_t begin = first < 0 ? 0 : first, end = first + t->width;
  if (end > t->in[2]) end = t->in[2];
  if (end <= begin) begin = end = first; /* padding alone */
  memset(to, 0, (size_t)((begin - first) * pixel) * sizeof *to);
  const float *from = t->x + (row * t->in[2] + begin) * t->c;
  float *at = to + (begin - first) * pixel;
  switch (t->each) {
  case 1: lay_pixels(1, orders, from, t->c, t->channels, end - begin, at); break;
  case 2: lay_pixels(2, orders, from, t->c, t->channels, end - begin, at); break;
  case 4: lay_pixels(4, orders, from, t->c, t->channels, end - begin, at); break;
  case 8: lay_pixels(8, orders, from, t->c, t->channels, end - begin, at); break;
  default: lay_pixels(t->each, orders, from, t->c, t->channels, end - begin, at); break;
  }
  memset(to + (end - first) * pixel, 0,
         (size_t)((first + t->width - end) * pixel) * sizeof *to);
}

/* The rows of x that a row of results takes, laid, and where the weights for each of them
 * begin (in taps); returns their number. */
static int64_t reach(const LpThin *t, int64_t result_row, const float *rows[LP_THIN_ROWS],
                     int64_t taps[LP_THIN_ROWS]) {
  const int64_t oh = result_row % t->out[1], od = result_row / t->out[1] % t->out[0],
                n = result_row / t->out[1] / t->out[0];
  const int64_t size = t->width * t->each * LANES;
  int64_t count = 0;
  for (int64_t kd = 0; kd < t->kernel[0]; kd++) {
    const int64_t id = od * t->stride[0] - t->padding[0] + kd * t->dilation[0];
    if (id < 0 || id >= t->in[0]) continue;
    for (int64_t kh = 0; kh < t->kernel[1]; kh++) {
      const int64_t ih = oh * t->stride[1] - t->padding[1] + kh * t->dilation[1];
      if (ih < 0 || ih >= t->in[1]) continue;
      const int64_t row = (n * t->in[0] + id) * t->in[1] + ih,
                    slot = kd * t->slots + ih % t->slots;
      float *to = t->laid + slot * size;
      if (t->rows[slot] != row) lay_row(t, row, to);
      t->rows[slot] = row;
      rows[count] = to;
      taps[count++] = (kd * t->kernel[1] + kh) * t->kernel[2];
    }
  }
  return count;
}

/* --- results
 * --------------------------------------------------------------------------------- */

/* Pixel i is at at[i / 3] + i % 3 * step: few pointers reach all. */
#define TRIPLES ((RESULTS + 2) / 3)

/* `results` neighbours from the one with number o, of those that rows were laid for, on.
 */
INLINE void multiply_some(const int results, const LpThin *t, const float *const *rows,
                          const int64_t *taps, int64_t count, int64_t o, float *y) {
  const int64_t pixel = t->each * LANES, step = t->stride[2] * pixel;
  V sum[RESULTS];
  const V bias = load(t->bias);
#pragma GCC unroll 14
  for (int i = 0; i < results; i++) sum[i] = bias;
  for (int64_t r = 0; r < count; r++) {
    const float *w = t->weights + taps[r] * pixel, *from = rows[r] + o * step;
    for (int64_t tap = 0; tap < t->kernel[2]; tap++, from += t->dilation[2] * pixel) {
      const float *at[TRIPLES];
      at[0] = from;
#pragma GCC unroll 5
      for (int i = 1; i < TRIPLES; i++) at[i] = at[i - 1] + 3 * step;
      for (int64_t j = t->each; j > 0; j--, w += LANES) {
        const V weight = load(w);
#pragma GCC unroll 14
        for (int i = 0; i < results; i++)
          sum[i] += load(at[i / 3] + i % 3 * step) * weight;
#pragma GCC unroll 5
        for (int i = 0; i < TRIPLES; i++) at[i] += LANES;
      }
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < results; i++) store_part(y + i * t->k, sum[i], t->used);
}

static void multiply(const LpThin *t, int64_t begin, int64_t end) {
  const float *rows[LP_THIN_ROWS];
  int64_t taps[LP_THIN_ROWS];
  for (int64_t r = begin; r < end; r++) {
    const int64_t count = reach(t, r, rows, taps);
    float *y = (float *)t->y + (r * t->out[2] + t->first) * t->k;
    int64_t o = 0;
    for (; o + RESULTS <= t->count; o += RESULTS)
      multiply_some(RESULTS, t, rows, taps, count, o, y + o * t->k);
    for (; o + 4 <= t->count; o += 4)
      multiply_some(4, t, rows, taps, count, o, y + o * t->k);
    for (; o < t->count; o++) multiply_some(1, t, rows, taps, count, o, y + o * t->k);
  }
}

/* --- the weights' gradient
 * ------------------------------------------------------------------- */

/* `weights` of them that lie together, over a row. */
INLINE void sum_some(const int weights, int64_t out, int64_t step, const float *x,
                     const float *y, float *sums) {
  V sum[WEIGHTS];
#pragma GCC unroll 12
  for (int i = 0; i < weights; i++) sum[i] = (V){0};
  for (int64_t o = 0; o < out; o++, x += step, y += LANES) {
    const V gradient = load(y);
#pragma GCC unroll 12
    for (int i = 0; i < weights; i++) sum[i] += load(x + i * LANES) * gradient;
  }
#pragma GCC unroll 12
  for (int i = 0; i < weights; i++)
    store(sums + i * LANES, load(sums + i * LANES) + sum[i]);
}

static void add_sums(const LpThin *t, int64_t begin, int64_t end, float *row,
                     float *sums) {
  const float *rows[LP_THIN_ROWS];
  int64_t taps[LP_THIN_ROWS];
  const int64_t out = t->count, pixel = t->each * LANES, step = t->stride[2] * pixel;
  /* Taps without gaps between them are one run of weights. */
  const bool whole = t->dilation[2] == 1;
  const int64_t runs = whole ? 1 : t->kernel[2],
                run = whole ? t->kernel[2] * t->each : t->each;
  for (int64_t r = begin; r < end; r++) {
    const int64_t count = reach(t, r, rows, taps);
    const float *y = t->y + (r * t->out[2] + t->first) * t->k;
    for (int64_t o = 0; o < out; o++)
      store(row + o * LANES, load_part(y + o * t->k, t->used));
    for (int64_t i = 0; i < count * runs; i++) {
      const float *x = rows[i / runs] + i % runs * t->dilation[2] * pixel;
      float *to = sums + (taps[i / runs] + i % runs) * pixel;
      int64_t e = 0;
      for (; e + WEIGHTS <= run; e += WEIGHTS)
        sum_some(WEIGHTS, out, step, x + e * LANES, row, to + e * LANES);
      for (; e + 4 <= run; e += 4)
        sum_some(4, out, step, x + e * LANES, row, to + e * LANES);
      for (; e < run; e++) sum_some(1, out, step, x + e * LANES, row, to + e * LANES);
    }
  }
}

const LpThinKernels LP_SIMD(lp_thin_kernels) = {
    .lanes = LANES, .results = RESULTS, .multiply = multiply, .add_sums = add_sums};

#else /* sums would not fit into so few registers */

const LpThinKernels LP_SIMD(lp_thin_kernels) = {0};

#endif
