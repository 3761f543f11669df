/* Convolutions by parts of their kernels against the definition in double precision. */
#include <stdlib.h>
#include "core/parallel.h"
#include "cpu/caps.h"
#include "cpu/conv_parts.h"
#include "test.h"

/* As of Winograd: nn_winograd_test.c. */
#define TOLERANCE 3e-6

static LpConvGeometry stepping(int64_t step_h, int64_t step_w, int64_t n, int64_t c,
                               int64_t k, int64_t h, int64_t w, int64_t kernel_h,
                               int64_t kernel_w, int64_t pad_h, int64_t pad_w) {
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

static LpConvGeometry geometry(int64_t n, int64_t c, int64_t k, int64_t h, int64_t w,
                               int64_t kernel_h, int64_t kernel_w, int64_t pad_h,
                               int64_t pad_w) {
  return stepping(1, 1, n, c, k, h, w, kernel_h, kernel_w, pad_h, pad_w);
}

/* x, w, y in the order of what the passes write: y, x, w. */
typedef struct Buffers {
  float *data[3], *bias;
  int64_t counts[3];
} Buffers;

static Buffers buffers_of(const LpConvGeometry *g) {
  Buffers b = {.counts = {g->n * g->out[0] * g->out[1] * g->k,
                          g->n * g->in[0] * g->in[1] * g->c,
                          g->k * g->c * g->kernel[0] * g->kernel[1]}};
  for (int i = 0; i < 3; i++) {
    b.data[i] = malloc((size_t)b.counts[i] * sizeof(float));
    for (int64_t j = 0; j < b.counts[i]; j++) b.data[i][j] = (float)test_random();
  }
  b.bias = malloc((size_t)g->k * sizeof(float));
  for (int64_t j = 0; j < g->k; j++) b.bias[j] = (float)test_random();
  return b;
}

static void release(Buffers *b) {
  for (int i = 0; i < 3; i++) free(b->data[i]);
  free(b->bias);
}

static double *expected(LpConvPass pass, const LpConvGeometry *g, const Buffers *b) {
  const float *y = b->data[0], *x = b->data[1], *w = b->data[2];
  const int64_t taps = g->kernel[0] * g->kernel[1];
  double *r = calloc((size_t)b->counts[pass], sizeof *r);
  for (int64_t i = 0; pass == LP_CONV_FORWARD && i < b->counts[0]; i++)
    r[i] = b->bias[i % g->k];
  for (int64_t n = 0; n < g->n; n++)
    for (int64_t at = 0; at < g->out[0] * g->out[1] * taps; at++) {
      const int64_t tap = at % taps, oh = at / taps / g->out[1],
                    ow = at / taps % g->out[1],
                    ih = oh * g->stride[0] + tap / g->kernel[1] - g->padding[0],
                    iw = ow * g->stride[1] + tap % g->kernel[1] - g->padding[1];
      if (ih < 0 || ih >= g->in[0] || iw < 0 || iw >= g->in[1]) continue;
      const int64_t xi = ((n * g->in[0] + ih) * g->in[1] + iw) * g->c,
                    yi = ((n * g->out[0] + oh) * g->out[1] + ow) * g->k;
      for (int64_t k = 0; k < g->k; k++)
        for (int64_t c = 0; c < g->c; c++) {
          const int64_t wi = (k * g->c + c) * taps + tap;
          if (pass == LP_CONV_FORWARD) r[yi + k] += (double)x[xi + c] * w[wi];
          if (pass == LP_CONV_INPUT_GRAD) r[xi + c] += (double)y[yi + k] * w[wi];
          if (pass == LP_CONV_WEIGHT_GRAD) r[wi] += (double)y[yi + k] * x[xi + c];
        }
    }
  return r;
}

static bool run(LpConvPass pass, const LpConvGeometry *g, const Buffers *b) {
  const LpConvCall call = {.pass = pass,
                           .dtype = LP_FLOAT32,
                           .weight_dtype = LP_FLOAT32,
                           .channels_last = true,
                           .x = b->data[1],
                           .w = b->data[2],
                           .y = b->data[0],
                           .b = pass == LP_CONV_FORWARD ? b->bias : NULL};
  return lp_conv_parts(&call, g);
}

static void check(const LpConvGeometry *g) {
  const bool overlap = g->stride[0] == 1 || g->stride[1] == 1; /* no input gradient */
  for (int pass = 0; pass < 3; pass += overlap ? 2 : 1) {
    Buffers b = buffers_of(g);
    double *wanted = expected((LpConvPass)pass, g, &b), errors = 0, sizes = 0;
    EXPECT(run((LpConvPass)pass, g, &b));
    for (int64_t i = 0; i < b.counts[pass]; i++) {
      const double d = b.data[pass][i] - wanted[i];
      errors += d * d;
      sizes += wanted[i] * wanted[i];
    }
    if (!(sqrt(errors / sizes) < TOLERANCE))
      test_failure(__FILE__, __LINE__,
                   "%s, pass %d, %d x %d kernel, steps %d %d: error %g",
                   lp_cpu_capability_name(), pass, (int)g->kernel[0], (int)g->kernel[1],
                   (int)g->stride[0], (int)g->stride[1], sqrt(errors / sizes));
    free(wanted);
    release(&b);
  }
}

static void check_each(const LpConvGeometry *cases, size_t count) {
  const LpCapability best = lp_cpu_capability;
  for (int c = 0; c <= (int)best; c++) {
    lp_cpu_capability = (LpCapability)c;
    for (size_t i = 0; i < count; i++) check(&cases[i]);
  }
  lp_cpu_capability = best;
}

TEST(conv_parts_match_the_definition) {
  const LpConvGeometry cases[] = {
      geometry(2, 17, 9, 11, 13, 5, 5, 2, 2), geometry(1, 24, 40, 15, 9, 5, 5, 0, 4),
      geometry(3, 5, 6, 9, 12, 3, 5, 1, 2),   geometry(2, 8, 16, 12, 12, 6, 4, 3, 0),
      geometry(1, 12, 7, 16, 14, 7, 8, 6, 2), geometry(2, 3, 4, 6, 6, 1, 6, 0, 1),
      geometry(9, 300, 1, 40, 38, 5, 5, 2, 2) /* in two chunks */};
  check_each(cases, sizeof cases / sizeof *cases);
}

TEST(conv_parts_with_steps_match_the_definition) {
  const LpConvGeometry cases[] = {
      stepping(2, 2, 2, 16, 24, 12, 14, 3, 3, 1, 1), /* even and odd sizes, pads */
      stepping(2, 2, 1, 17, 9, 13, 11, 3, 3, 0, 1),
      stepping(2, 2, 3, 33, 40, 9, 16, 3, 3, 2, 0),
      stepping(2, 2, 2, 24, 16, 16, 10, 4, 4, 1, 1),
      stepping(2, 2, 1, 8, 70, 15, 17, 5, 5, 2, 2),
      stepping(2, 2, 1, 20, 12, 16, 13, 6, 3, 2, 1),
      stepping(2, 2, 1, 12, 20, 14, 14, 1, 4, 0, 3),
      stepping(2, 2, 2, 6, 5, 8, 9, 2, 5, 1, 0),
      stepping(2, 1, 2, 40, 20, 12, 15, 3, 5, 1, 2),
      stepping(1, 2, 1, 12, 30, 11, 20, 3, 4, 1, 1),
      stepping(2, 2, 20, 128, 96, 16, 16, 3, 3, 1, 1), /* parts, and blocks, of sums */
      stepping(2, 2, 3, 160, 200, 14, 14, 4, 4, 1, 1), /* columns of some weights */
      stepping(2, 2, 25, 200, 1, 56, 56, 3, 3, 1, 1)}; /* in chunks */
  check_each(cases, sizeof cases / sizeof *cases);
}

TEST(conv_parts_do_not_depend_on_threads) {
  const LpConvGeometry g = geometry(3, 64, 48, 27, 27, 5, 5, 2, 2);
  const int before = lp_num_threads();
  for (int pass = 0; pass < 3; pass += 2) {
    Buffers b = buffers_of(&g);
    const size_t bytes = (size_t)b.counts[pass] * sizeof(float);
    float *first = malloc(bytes);
    for (int threads = 1; threads <= 5; threads += 2) {
      lp_set_num_threads(threads);
      EXPECT(run((LpConvPass)pass, &g, &b));
      if (threads == 1) memcpy(first, b.data[pass], bytes);
      EXPECT(!memcmp(first, b.data[pass], bytes));
    }
    free(first);
    release(&b);
  }
  lp_set_num_threads(before);
}

TEST(conv_parts_serve_what_they_say) {
  LpConvGeometry g = geometry(32, 64, 192, 27, 27, 5, 5, 2, 2);
  for (int pass = 0; pass < 3; pass += 2) {
    g.stride[1] = 3;
    EXPECT(!lp_conv_parts_pays((LpConvPass)pass, &g));
    g.stride[1] = 1;
    g.dilation[0] = 2;
    EXPECT(!lp_conv_parts_pays((LpConvPass)pass, &g));
    g.dilation[0] = 1;
    g.groups = 2;
    EXPECT(!lp_conv_parts_pays((LpConvPass)pass, &g));
    g.groups = 1;
    const LpConvGeometry plain = geometry(32, 64, 192, 28, 28, 3, 3, 1, 1);
    EXPECT(!lp_conv_parts_pays((LpConvPass)pass, &plain));
  }
}
