/* Operands of the convolutions' tests, and what should come of them. */
#ifndef LP_TEST_CONV_VALUES_H
#define LP_TEST_CONV_VALUES_H

#include <stdlib.h>
#include "cpu/conv.h"
#include "test.h"

static inline float *filled(int64_t n) {
  float *p = aligned_alloc(64, (size_t)((n * 4 + 64) / 64 * 64));
  for (int64_t i = 0; i < n; i++) p[i] = (float)test_random();
  return p;
}

static inline LpConvGeometry stepping(int64_t step_h, int64_t step_w, int64_t n,
                                      int64_t c, int64_t k, int64_t h, int64_t w,
                                      int64_t kernel_h, int64_t kernel_w, int64_t pad_h,
                                      int64_t pad_w) {
  return (LpConvGeometry){.ndim = 2,
                          .n = n,
                          .c = c,
                          .k = k,
                          .groups = 1,
                          .in = {h, w},
                          .out = {(h + 2 * pad_h - kernel_h) / step_h + 1,
                                  (w + 2 * pad_w - kernel_w) / step_w + 1},
                          .kernel = {kernel_h, kernel_w},
                          .stride = {step_h, step_w},
                          .padding = {pad_h, pad_w},
                          .dilation = {1, 1}};
}

typedef struct Buffers {
  float *x, *w, *bias, *y;
  int64_t in, weights, out;
} Buffers;

static inline Buffers buffers_of(const LpConvGeometry *g) {
  Buffers b = {.in = g->n * g->in[0] * g->in[1] * g->c,
               .weights = g->k * g->c * g->kernel[0] * g->kernel[1],
               .out = g->n * g->out[0] * g->out[1] * g->k};
  b.x = filled(b.in);
  b.w = filled(b.weights);
  b.bias = filled(g->k);
  b.y = filled(b.out);
  return b;
}

static inline void release(Buffers *b) {
  free(b->x);
  free(b->w);
  free(b->bias);
  free(b->y);
}

/* What a pass should write, from buffers that it has not written yet. */
static inline double *expected(LpConvPass pass, const LpConvGeometry *g, const Buffers *b,
                               bool has_bias) {
  const int64_t counts[] = {b->out, b->in, b->weights},
                taps = g->kernel[0] * g->kernel[1];
  double *r = calloc((size_t)counts[pass], sizeof *r);
  for (int64_t i = 0; pass == LP_CONV_FORWARD && has_bias && i < b->out; i++)
    r[i] = b->bias[i % g->k];
  for (int64_t n = 0; n < g->n; n++)
    for (int64_t at = 0; at < g->out[0] * g->out[1] * taps; at++) {
      const int64_t tap = at % taps, oh = at / taps / g->out[1],
                    ow = at / taps % g->out[1];
      const int64_t ih = oh * g->stride[0] + tap / g->kernel[1] - g->padding[0],
                    iw = ow * g->stride[1] + tap % g->kernel[1] - g->padding[1];
      if (ih < 0 || ih >= g->in[0] || iw < 0 || iw >= g->in[1]) continue;
      const int64_t x = ((n * g->in[0] + ih) * g->in[1] + iw) * g->c,
                    y = ((n * g->out[0] + oh) * g->out[1] + ow) * g->k;
      for (int64_t k = 0; k < g->k; k++)
        for (int64_t c = 0; c < g->c; c++) {
          const int64_t w = (k * g->c + c) * taps + tap;
          if (pass == LP_CONV_FORWARD) r[y + k] += (double)b->x[x + c] * b->w[w];
          if (pass == LP_CONV_INPUT_GRAD) r[x + c] += (double)b->y[y + k] * b->w[w];
          if (pass == LP_CONV_WEIGHT_GRAD) r[w] += (double)b->y[y + k] * b->x[x + c];
        }
    }
  return r;
}

#endif
