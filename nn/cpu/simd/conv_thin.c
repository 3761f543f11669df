/* The kernels of cpu/conv_thin.h. */
#include "cpu/simd/simd.h"

#include "cpu/conv_thin.h"

#if defined(LP_CAP_avx512) || defined(LP_CAP_avx2)
#include "cpu/simd/lanes.h"
#include "cpu/simd/words.h"

/* Results of a row, or weights, whose sums are in registers together. */
#if defined(LP_CAP_avx512)
#define RESULTS 14
#define WEIGHTS 12
#else
#define RESULTS 10
#define WEIGHTS 8
#endif

/* --- numbers
 * --------------------------------------------------------------------------------- */

/* The first n of a vector, floats or bfloat16. */
INLINE V read_part(const void *from, int64_t n, bool half) {
  if (!half) return load_part(from, n);
#if defined(LP_CAP_avx512)
  return (V)(widen_words((Halves)_mm256_maskz_loadu_epi16(mask_of(n), from)) << 16);
#else
  Halves h = {0};
  memcpy(&h, from, n < LANES ? (size_t)n * 2 : sizeof h);
  return (V)(widen_words(h) << 16);
#endif
}

INLINE void write_part(void *to, V v, int64_t n, bool half) {
  if (!half) {
    store_part(to, v, n);
    return;
  }
  const Halves h = bf16_of_floats(v);
#if defined(LP_CAP_avx512)
  _mm256_mask_storeu_epi16(to, mask_of(n), (__m256i)h);
#else
  memcpy(to, &h, n < LANES ? (size_t)n * 2 : sizeof h);
#endif
}

/* Bytes of so many. */
INLINE int64_t bytes_of(int64_t numbers, bool half) {
  return numbers * (half ? 2 : (int64_t)sizeof(float));
}

/* --- laying rows
 * ------------------------------------------------------------------------------- */

/* A block's channels of neighbouring pixels are far apart: the processor would not see
 * what comes next. */
#define AHEAD 16

typedef int32_t Order __attribute__((vector_size(LP_VECTOR_BYTES)));

/* `each` is a constant where the orders are to stay in registers; c: in bytes. */
INLINE void lay_pixels(const int64_t each, const Order *orders, const char *from,
                       int64_t c, int64_t channels, int64_t count, bool half, float *to) {
  for (; count > 0; count--, from += c) {
    __builtin_prefetch(from + AHEAD * c);
    const V pixel = read_part(from, channels, half);
#pragma GCC unroll 8
    for (int64_t j = 0; j < each; j++, to += LANES)
      store(to, __builtin_shuffle(pixel, orders[j]));
  }
}

INLINE void lay_row(const LpThin *t, int64_t row, bool half, float *to) {
  Order orders[LANES];
  memcpy(orders, t->orders, (size_t)t->each * sizeof *orders);
  const int64_t pixel = t->each * LANES, first = t->first * t->stride[2] - t->padding[2];
  int64_t begin = first < 0 ? 0 : first, end = first + t->width;
  if (end > t->in[2]) end = t->in[2];
  if (end <= begin) begin = end = first; /* padding alone */
  memset(to, 0, (size_t)((begin - first) * pixel) * sizeof *to);
  const char *from = (const char *)t->x + bytes_of((row * t->in[2] + begin) * t->c, half);
  const int64_t c = bytes_of(t->c, half);
  float *at = to + (begin - first) * pixel;
  switch (t->each) {
  case 1: lay_pixels(1, orders, from, c, t->channels, end - begin, half, at); break;
  case 2: lay_pixels(2, orders, from, c, t->channels, end - begin, half, at); break;
  case 4: lay_pixels(4, orders, from, c, t->channels, end - begin, half, at); break;
  case 8: lay_pixels(8, orders, from, c, t->channels, end - begin, half, at); break;
  default:
    lay_pixels(t->each, orders, from, c, t->channels, end - begin, half, at);
    break;
  }
  memset(to + (end - first) * pixel, 0,
         (size_t)((first + t->width - end) * pixel) * sizeof *to);
}

static void lay_floats(const LpThin *t, int64_t row, float *to) {
  lay_row(t, row, false, to);
}
static void lay_halves(const LpThin *t, int64_t row, float *to) {
  lay_row(t, row, true, to);
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
      if (t->rows[slot] != row) {
        if (t->half)
          lay_halves(t, row, to);
        else
          lay_floats(t, row, to);
      }
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
                          const int64_t *taps, int64_t count, int64_t o, bool half,
                          char *y) {
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
  for (int i = 0; i < results; i++)
    write_part(y + bytes_of((o + i) * t->k, half), sum[i], t->used, half);
}

INLINE void multiply_rows(const LpThin *t, int64_t begin, int64_t end, bool half) {
  const float *rows[LP_THIN_ROWS];
  int64_t taps[LP_THIN_ROWS];
  for (int64_t r = begin; r < end; r++) {
    const int64_t count = reach(t, r, rows, taps);
    char *y = (char *)t->y + bytes_of((r * t->out[2] + t->first) * t->k, half);
    int64_t o = 0;
    for (; o + RESULTS <= t->count; o += RESULTS)
      multiply_some(RESULTS, t, rows, taps, count, o, half, y);
    for (; o + 4 <= t->count; o += 4) multiply_some(4, t, rows, taps, count, o, half, y);
    for (; o < t->count; o++) multiply_some(1, t, rows, taps, count, o, half, y);
  }
}

static void multiply(const LpThin *t, int64_t begin, int64_t end) {
  if (t->half)
    multiply_rows(t, begin, end, true);
  else
    multiply_rows(t, begin, end, false);
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
    const char *y =
        (const char *)t->y + bytes_of((r * t->out[2] + t->first) * t->k, t->half);
    for (int64_t o = 0; o < out; o++)
      store(row + o * LANES,
            read_part(y + bytes_of(o * t->k, t->half), t->used, t->half));
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
