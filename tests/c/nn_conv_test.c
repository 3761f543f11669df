/* Convolution against the definition, in every pass, geometry and dtype; errors and
 * interrupts. */
#include <stdlib.h>
#include "core/tensor.h"
#include "lampad/memory.h"
#include "lampad/ops.h"
#include "test.h"

static LpTensor *filled(const int64_t *sizes, int64_t ndim, LpDtype dtype) {
  LpTensor *t = lp_tensor_new(lp_ints(sizes, ndim), dtype, lp_cpu());
  for (int64_t i = 0; i < lp_numel(t); i++) {
    if (dtype == LP_FLOAT32)
      ((float *)lp_data(t))[i] = (float)test_random();
    else
      ((double *)lp_data(t))[i] = test_random();
  }
  return t;
}

static double at(LpTensor *t, int64_t i) {
  return lp_dtype(t) == LP_FLOAT32 ? ((float *)lp_data(t))[i] : ((double *)lp_data(t))[i];
}

typedef struct Case {
  int64_t n, c, k, groups, in[2], kernel[2], stride[2], padding[2], dilation[2];
} Case;

/* Calls body for each product x[xi] * w[wi] that goes into y[yi]. */
static void each_term(const Case *s, const int64_t out[2],
                      void (*body)(void *ctx, int64_t xi, int64_t wi, int64_t yi),
                      void *ctx) {
  int64_t cg = s->c / s->groups, kg = s->k / s->groups;
  for (int64_t n = 0; n < s->n; n++)
    for (int64_t k = 0; k < s->k; k++)
      for (int64_t oh = 0; oh < out[0]; oh++)
        for (int64_t ow = 0; ow < out[1]; ow++)
          for (int64_t c = 0; c < cg; c++)
            for (int64_t a = 0; a < s->kernel[0]; a++)
              for (int64_t b = 0; b < s->kernel[1]; b++) {
                int64_t ih = oh * s->stride[0] - s->padding[0] + a * s->dilation[0];
                int64_t iw = ow * s->stride[1] - s->padding[1] + b * s->dilation[1];
                if (ih < 0 || ih >= s->in[0] || iw < 0 || iw >= s->in[1]) continue;
                body(ctx, ((n * s->c + k / kg * cg + c) * s->in[0] + ih) * s->in[1] + iw,
                     ((k * cg + c) * s->kernel[0] + a) * s->kernel[1] + b,
                     ((n * s->k + k) * out[0] + oh) * out[1] + ow);
              }
}

typedef struct Sums {
  LpTensor *x, *w, *g;
  double *y, *gx, *gw;
} Sums;
static void add_term(void *ctx, int64_t xi, int64_t wi, int64_t yi) {
  Sums *s = ctx;
  s->y[yi] += at(s->x, xi) * at(s->w, wi);
  s->gx[xi] += at(s->g, yi) * at(s->w, wi);
  s->gw[wi] += at(s->g, yi) * at(s->x, xi);
}

static double largest_error(LpTensor *t, const double *wanted) {
  double worst = 0, scale = 1e-30;
  for (int64_t i = 0; i < lp_numel(t); i++) {
    worst = fmax(worst, fabs(at(t, i) - wanted[i]));
    scale = fmax(scale, fabs(wanted[i]));
  }
  return worst / scale;
}

static void check_case(const Case *s, LpDtype dtype) {
  int64_t out[2];
  for (int d = 0; d < 2; d++)
    out[d] = (s->in[d] + 2 * s->padding[d] - s->dilation[d] * (s->kernel[d] - 1) - 1) /
                 s->stride[d] +
             1;
  int64_t xs[4] = {s->n, s->c, s->in[0], s->in[1]}, gs[4] = {s->n, s->k, out[0], out[1]};
  int64_t ws[4] = {s->k, s->c / s->groups, s->kernel[0], s->kernel[1]}, none[2] = {0, 0};
  Sums sums = {filled(xs, 4, dtype), filled(ws, 4, dtype), filled(gs, 4, dtype)};
  sums.y = calloc((size_t)lp_numel(sums.g), sizeof(double));
  sums.gx = calloc((size_t)lp_numel(sums.x), sizeof(double));
  sums.gw = calloc((size_t)lp_numel(sums.w), sizeof(double));
  each_term(s, out, add_term, &sums);
  LpInts st = lp_ints(s->stride, 2), pad = lp_ints(s->padding, 2),
         dil = lp_ints(s->dilation, 2), op = lp_ints(none, 2);
  LpTensor *y = lp_convolution(sums.x, sums.w, NULL, st, pad, dil, false, op, s->groups);
  LpTensor *gx = lp_convolution_input_grad(sums.g, sums.w, lp_ints(xs, 4), st, pad, dil,
                                           false, op, s->groups);
  LpTensor *gw = lp_convolution_weight_grad(sums.g, sums.x, lp_ints(ws, 4), st, pad, dil,
                                            false, op, s->groups);
  EXPECT(y && gx && gw);
  double tolerance = dtype == LP_FLOAT32 ? 2e-5 : 1e-12;
  if (y) EXPECT_NEAR(largest_error(y, sums.y), 0, tolerance);
  if (gx) EXPECT_NEAR(largest_error(gx, sums.gx), 0, tolerance);
  if (gw) EXPECT_NEAR(largest_error(gw, sums.gw), 0, tolerance);
  LpTensor *all[] = {sums.x, sums.w, sums.g, y, gx, gw};
  for (int i = 0; i < 6; i++) lp_tensor_release(all[i]);
  free(sums.y);
  free(sums.gx);
  free(sums.gw);
}

TEST(nn_conv_matches_the_definition) {
  static const Case cases[] = {
      {2, 1, 16, 1, {12, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, /* one channel */
      {2, 32, 32, 1, {9, 10}, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, /* Winograd */
      {2, 32, 48, 1, {9, 10}, {3, 3}, {1, 1}, {0, 0}, {1, 1}},
      {2, 16, 32, 1, {8, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1}},    /* stride */
      {1, 6, 10, 2, {9, 7}, {3, 2}, {2, 1}, {1, 0}, {1, 2}},     /* groups, dilation, odd
                                                                    channels */
      {2, 8, 8, 8, {7, 7}, {3, 3}, {1, 1}, {1, 1}, {1, 1}},      /* depthwise */
      {3, 5, 7, 1, {6, 6}, {1, 1}, {1, 1}, {0, 0}, {1, 1}},      /* pointwise */
      {1, 3, 8, 1, {23, 23}, {11, 11}, {4, 4}, {2, 2}, {1, 1}}}; /* AlexNet's first layer
                                                                  */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_case(&cases[i], LP_FLOAT32);
    check_case(&cases[i], LP_FLOAT64);
  }
}

TEST(nn_conv_refuses_what_does_not_fit) {
  int64_t one = 1, zero = 0, xs[4] = {16, 1, 28, 28}, ws[4] = {64, 3, 11, 11},
          small[4] = {1, 3, 4, 4};
  LpTensor *x = filled(xs, 4, LP_FLOAT32), *w = filled(ws, 4, LP_FLOAT32),
           *tiny = filled(small, 4, LP_FLOAT32);
  LpTensor *wide = filled(small, 4, LP_FLOAT64);
  LpInts ones = lp_ints(&one, 1), zeros = lp_ints(&zero, 1);
  EXPECT_FAILS(lp_conv2d(x, w, NULL, ones, zeros, ones, 1), LP_ERR_ARGUMENT,
               "expected input of 3 channels (weight [64, 3, 11, 11], groups 1), got "
               "[16, 1, 28, 28]");
  EXPECT_FAILS(lp_conv2d(tiny, w, NULL, ones, zeros, ones, 1), LP_ERR_ARGUMENT,
               "use more padding or a larger input");
  EXPECT_FAILS(lp_conv2d(tiny, w, NULL, zeros, zeros, ones, 1), LP_ERR_ARGUMENT,
               "expected 'stride' of at least 1");
  EXPECT_FAILS(lp_conv2d(wide, w, NULL, ones, zeros, ones, 1), LP_ERR_TYPE,
               "one dtype, got float64, float32");
  EXPECT_FAILS(lp_conv1d(tiny, w, NULL, ones, zeros, ones, 1), LP_ERR_ARGUMENT,
               "expected 'weight' of 3 dims");
  LpTensor *all[] = {x, w, tiny, wide};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}

TEST(nn_conv_of_an_empty_batch_is_empty) {
  int64_t one = 1, zero = 0, xs[4] = {0, 3, 8, 8}, ws[4] = {4, 3, 3, 3};
  LpTensor *x = filled(xs, 4, LP_FLOAT32), *w = filled(ws, 4, LP_FLOAT32);
  LpTensor *y =
      lp_conv2d(x, w, NULL, lp_ints(&one, 1), lp_ints(&zero, 1), lp_ints(&one, 1), 1);
  EXPECT(y && lp_size(y, 0) == 0 && lp_size(y, 1) == 4 && lp_size(y, 3) == 6);
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(y);
}

TEST(nn_conv_reports_each_failed_allocation) {
  int64_t one = 1, zero = 0, xs[4] = {1, 6, 9, 9}, ws[4] = {5, 6, 3, 3};
  LpTensor *x = filled(xs, 4, LP_FLOAT64), *w = filled(ws, 4, LP_FLOAT64), *y = NULL;
  for (int64_t after = 0; !y && after < 100; after++) {
    lp_memory_fail_after(after);
    y = lp_conv2d(x, w, NULL, lp_ints(&one, 1), lp_ints(&zero, 1), lp_ints(&one, 1), 1);
    if (!y) EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
  }
  lp_memory_fail_after(-1);
  EXPECT(y != NULL);
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(y);
}

TEST(nn_conv_stops_when_interrupted) {
  int64_t one = 1, zero = 0, xs[4] = {64, 2, 5, 5}, ws[4] = {3, 2, 3, 3};
  LpTensor *x = filled(xs, 4, LP_FLOAT64), *w = filled(ws, 4, LP_FLOAT64);
  lp_interrupt();
  EXPECT_FAILS(
      lp_conv2d(x, w, NULL, lp_ints(&one, 1), lp_ints(&zero, 1), lp_ints(&one, 1), 1),
      LP_ERR_INTERRUPT, "interrupted");
  LpTensor *y =
      lp_conv2d(x, w, NULL, lp_ints(&one, 1), lp_ints(&zero, 1), lp_ints(&one, 1), 1);
  EXPECT(y != NULL);
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(y);
}
