/* Convolutions by parts of their kernels against the definition in double precision. */
#include <stdlib.h>
#include "conv_values.h"
#include "core/parallel.h"
#include "cpu/caps.h"
#include "cpu/conv_parts.h"
#include "test.h"

/* As of Winograd: nn_winograd_test.c. */
#define TOLERANCE 3e-6

static LpConvGeometry geometry(int64_t n, int64_t c, int64_t k, int64_t h, int64_t w,
                               int64_t kernel_h, int64_t kernel_w, int64_t pad_h,
                               int64_t pad_w) {
  return stepping(1, 1, n, c, k, h, w, kernel_h, kernel_w, pad_h, pad_w);
}

/* What a pass writes. */
static float *written(LpConvPass pass, const Buffers *b, int64_t *count) {
  *count = pass == LP_CONV_FORWARD      ? b->out
           : pass == LP_CONV_INPUT_GRAD ? b->in
                                        : b->weights;
  return pass == LP_CONV_FORWARD ? b->y : pass == LP_CONV_INPUT_GRAD ? b->x : b->w;
}

static bool run(LpConvPass pass, const LpConvGeometry *g, const Buffers *b) {
  const LpConvCall call = {.pass = pass,
                           .dtype = LP_FLOAT32,
                           .weight_dtype = LP_FLOAT32,
                           .channels_last = true,
                           .x = b->x,
                           .w = b->w,
                           .y = b->y,
                           .b = pass == LP_CONV_FORWARD ? b->bias : NULL};
  return lp_conv_parts(&call, g);
}

static void check(const LpConvGeometry *g) {
  const bool overlap = g->stride[0] == 1 || g->stride[1] == 1; /* no input gradient */
  for (int pass = 0; pass < 3; pass += overlap ? 2 : 1) {
    Buffers b = buffers_of(g);
    double *wanted = expected((LpConvPass)pass, g, &b, true), errors = 0, sizes = 0;
    int64_t count;
    const float *got = written((LpConvPass)pass, &b, &count);
    EXPECT(run((LpConvPass)pass, g, &b));
    for (int64_t i = 0; i < count; i++) {
      const double d = got[i] - wanted[i];
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
    int64_t count;
    const float *got = written((LpConvPass)pass, &b, &count);
    const size_t bytes = (size_t)count * sizeof(float);
    float *first = malloc(bytes);
    for (int threads = 1; threads <= 5; threads += 2) {
      lp_set_num_threads(threads);
      EXPECT(run((LpConvPass)pass, &g, &b));
      if (threads == 1) memcpy(first, got, bytes);
      EXPECT(!memcmp(first, got, bytes));
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
