/* Depthwise loops; see cpu/depthwise.h. For some taps along a row the products of sixteen
 * channels are summed in registers, row by row: so the sums of rows, not of elements, are
 * what is added up in memory. */
#include <string.h>
#include "cpu/simd/simd.h"
#include "core/half.h"
#include "cpu/depthwise.h"
#include "cpu/simd/words.h"

typedef float Lanes __attribute__((vector_size(LP_DEPTHWISE_LANES * sizeof(float))));

/* Sixteen numbers from number i on. */
INLINE void read(Lanes *v, const void *from, int64_t i, bool half) {
  if (!half) {
    memcpy(v, (const float *)from + i, sizeof *v);
    return;
  }
#if LP_VECTOR_BYTES == 64
  Halves h;
  memcpy(&h, (const uint16_t *)from + i, sizeof h);
  *v = (Lanes)(widen_words(h) << 16);
#else
  for (int lane = 0; lane < LP_DEPTHWISE_LANES; lane++)
    (*v)[lane] = lp_bf16_to_float(((const uint16_t *)from)[i + lane]);
#endif
}

#define MOST_TAPS 7 /* at once */
/* Neighbouring outputs have sums of their own where registers suffice. */
#if LP_VECTOR_BYTES == 64
#define NEIGHBOURS 2
#else
#define NEIGHBOURS 1
#endif

/* The products of a row of y with a row of x, which begin at those numbers, for `taps`
 * taps, the first one `left` before an output's place: into sums (taps, lanes). */
INLINE void sum_row(const int taps, int64_t left, const LpDepthwise *d, int64_t x,
                    int64_t y, bool half, float *sums) {
  const int64_t c = d->channels, in = d->in[2], out = d->out[2], stride = d->stride[2],
                step = d->dilation[2], room = in - 1 - (taps - 1) * step + left;
  /* outputs [first, last) have all these taps inside */
  int64_t first = left > 0 ? (left + stride - 1) / stride : 0,
          last = room < 0 ? 0 : room / stride + 1;
  if (last > out) last = out;
  Lanes sum[NEIGHBOURS][MOST_TAPS] = {{{0}}}, gradient, value;
  for (int64_t o = 0; o < out;) {
    if (o >= first && o + NEIGHBOURS <= last) {
      int64_t from = x + (o * stride - left) * c, g = y + o * c;
      for (; o + NEIGHBOURS <= last; o += NEIGHBOURS) {
#pragma GCC unroll 2
        for (int e = 0; e < NEIGHBOURS; e++) {
          read(&gradient, d->y, g + e * c, half);
#pragma GCC unroll 7
          for (int t = 0; t < taps; t++) {
            read(&value, d->x, from + (e * stride + t * step) * c, half);
            sum[e][t] += value * gradient;
          }
        }
        from += NEIGHBOURS * stride * c;
        g += NEIGHBOURS * c;
      }
      continue;
    }
    read(&gradient, d->y, y + o * c, half);
#pragma GCC unroll 7
    for (int t = 0; t < taps; t++) {
      const int64_t at = o * stride - left + t * step;
      if (at < 0 || at >= in) continue;
      read(&value, d->x, x + at * c, half);
      sum[0][t] += value * gradient;
    }
    o++;
  }
#pragma GCC unroll 7
  for (int t = 0; t < taps; t++) {
    Lanes total;
    read(&total, sums, t * LP_DEPTHWISE_LANES, false);
    for (int e = 0; e < NEIGHBOURS; e++) total += sum[e][t];
    memcpy(sums + t * LP_DEPTHWISE_LANES, &total, sizeof total);
  }
}

#define CASE(taps)                                                                       \
  case taps:                                                                             \
    if (d->half)                                                                         \
      sum_row(taps, left, d, x, y, true, sums);                                          \
    else                                                                                 \
      sum_row(taps, left, d, x, y, false, sums);                                         \
    break;
static void sum_taps(int64_t taps, int64_t left, const LpDepthwise *d, int64_t x,
                     int64_t y, float *sums) {
  switch (taps) {
    CASE(1)
    CASE(2)
    CASE(3)
    CASE(4)
    CASE(5)
    CASE(6)
    CASE(7)
  }
}

static void add_sums(const LpDepthwise *d, int64_t channel, int64_t begin, int64_t end,
                     float *sums) {
  const int64_t row_of_x = d->in[2] * d->channels, row_of_y = d->out[2] * d->channels,
                taps = d->kernel[2];
  for (int64_t r = begin; r < end; r++) {
    const int64_t oh = r % d->out[1], od = r / d->out[1] % d->out[0],
                  n = r / d->out[1] / d->out[0];
    const int64_t y = r * row_of_y + channel;
    for (int64_t kd = 0; kd < d->kernel[0]; kd++) {
      const int64_t id = od * d->stride[0] - d->padding[0] + kd * d->dilation[0];
      if (id < 0 || id >= d->in[0]) continue;
      for (int64_t kh = 0; kh < d->kernel[1]; kh++) {
        const int64_t ih = oh * d->stride[1] - d->padding[1] + kh * d->dilation[1];
        if (ih < 0 || ih >= d->in[1]) continue;
        const int64_t x = ((n * d->in[0] + id) * d->in[1] + ih) * row_of_x + channel;
        float *to = sums + (kd * d->kernel[1] + kh) * taps * LP_DEPTHWISE_LANES;
        for (int64_t t = 0; t < taps; t += MOST_TAPS)
          sum_taps(taps - t < MOST_TAPS ? taps - t : MOST_TAPS,
                   d->padding[2] - t * d->dilation[2], d, x, y,
                   to + t * LP_DEPTHWISE_LANES);
      }
    }
  }
}

const LpDepthwiseKernels LP_SIMD(lp_depthwise_kernels) = {
    .sums = add_sums,
};
