/* Winograd convolution against the definition in double precision: every pass, odd
 * geometries, every instruction set; NaN and infinity; kept weights; failures. */
#include <stdlib.h>
#include "conv_values.h"
#include "core/half.h"
#include "core/parallel.h"
#include "cpu/caps.h"
#include "cpu/winograd.h"
#include "lampad/memory.h"
#include "test.h"

/* Largest root mean square of the error, in units of that of the result. Measured here:
 * up to 1.0e-6 with tiles of 4 x 4, 3e-7 with 2 x 2. */
#define TOLERANCE 3e-6
/* Of bfloat16 with 7 x 7: up to 8e-6, before it is rounded. */
#define TOLERANCE_OF_LARGER_TILES 2e-5

static LpConvGeometry geometry(int64_t n, int64_t c, int64_t k, int64_t h, int64_t w,
                               int64_t pad_h, int64_t pad_w) {
  return stepping(1, 1, n, c, k, h, w, 3, 3, pad_h, pad_w);
}

/* The result's size is at least what it is on average over results of so many products:
 * one number alone may be near 0. */
static double error_of(const float *got, const double *wanted, int64_t count,
                       int64_t products) {
  double errors = 0, sizes = 0;
  for (int64_t i = 0; i < count; i++) {
    errors += (got[i] - wanted[i]) * (got[i] - wanted[i]);
    sizes += wanted[i] * wanted[i];
  }
  return sqrt(errors / fmax(sizes, (double)(count * products) / 144));
}

static bool run_floats(LpConvPass pass, const LpConvGeometry *g, float *x, float *w,
                       const float *bias, float *y, const void *packed) {
  const LpWinogradCall c = {
      .dtype = LP_FLOAT32, .x = x, .y = y, .w = w, .bias = bias, .packed = packed};
  return lp_winograd_run(pass, g, &c);
}

static void check(const LpConvGeometry *g, bool has_bias) {
  EXPECT(lp_winograd_serves(g));
  for (int pass = 0; pass < 3; pass++) {
    Buffers b = buffers_of(g);
    double *wanted = expected((LpConvPass)pass, g, &b, has_bias);
    float *const written[] = {b.y, b.x, b.w};
    const int64_t counts[] = {b.out, b.in, b.weights};
    EXPECT(
        run_floats((LpConvPass)pass, g, b.x, b.w, has_bias ? b.bias : NULL, b.y, NULL));
    const int64_t products[] = {g->c, g->k, g->n};
    const double error = error_of(written[pass], wanted, counts[pass], products[pass]);
    if (!(error < TOLERANCE))
      test_failure(__FILE__, __LINE__, "%s, pass %d, %d %d %d %dx%d pad %d %d: error %g",
                   lp_cpu_capability_name(), pass, (int)g->n, (int)g->c, (int)g->k,
                   (int)g->in[0], (int)g->in[1], (int)g->padding[0], (int)g->padding[1],
                   error);
    free(wanted);
    release(&b);
  }
}

/* Runs body with each instruction set that this machine has. */
static void with_each_capability(void (*body)(void)) {
  const LpCapability best = lp_cpu_capability;
  for (int c = 0; c <= (int)best; c++) {
    lp_cpu_capability = (LpCapability)c;
    body();
  }
  lp_cpu_capability = best;
}

static void check_geometries(void) {
  static const int64_t cases[][7] = {/* n, c, k, h, w, padding */
                                     {1, 1, 1, 3, 3, 0, 0},
                                     {1, 1, 1, 1, 1, 1, 1},
                                     {1, 1, 2, 1, 1, 2, 2},
                                     {2, 3, 5, 7, 6, 1, 1},
                                     {1, 16, 16, 8, 8, 1, 1},
                                     {1, 17, 33, 9, 11, 0, 2},
                                     {3, 32, 15, 5, 4, 2, 0},
                                     {2, 31, 48, 13, 7, 1, 0},
                                     {1, 64, 64, 14, 14, 1, 1},
                                     {2, 70, 20, 10, 3, 0, 1},
                                     {5, 8, 9, 4, 21, 1, 1},
                                     {1, 40, 70, 23, 17, 2, 1},
                                     {4, 33, 64, 7, 7, 1, 1},
                                     {1, 66, 1, 12, 12, 1, 1},
                                     {2, 1, 49, 16, 15, 1, 1},
                                     {5, 24, 40, 18, 18, 1, 1},
                                     /* the tile unit's, in two passes and in all */
                                     {3, 61, 63, 13, 18, 1, 1},
                                     {2, 90, 59, 17, 14, 2, 0},
                                     {1, 190, 200, 9, 11, 1, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const int64_t *s = cases[i];
    const LpConvGeometry g = geometry(s[0], s[1], s[2], s[3], s[4], s[5], s[6]);
    check(&g, i % 2);
  }
}

TEST(winograd_matches_the_definition) {
  with_each_capability(check_geometries);
}

static void check_random_geometries(void) {
  for (int i = 0; i < 12; i++) {
    int64_t s[7];
    const int64_t most[7] = {5, 70, 70, 12, 12, 3, 3};
    for (int d = 0; d < 7; d++) s[d] = (int64_t)((test_random() + 0.5) * (double)most[d]);
    const LpConvGeometry g =
        geometry(s[0] + 1, s[1] + 1, s[2] + 1, s[3] + 3, s[4] + 3, s[5], s[6]);
    check(&g, i % 2);
  }
}

TEST(winograd_matches_the_definition_on_random_geometries) {
  with_each_capability(check_random_geometries);
}

/* A batch of equal images, which is cut into several blocks in every way there is, beside
 * one of them. */
static void check_blocks(int64_t c, int64_t k, int64_t copies) {
  const LpConvGeometry one = geometry(1, c, k, 14, 15, 1, 1);
  LpConvGeometry many = one;
  many.n = copies;
  for (int pass = 0; pass < 3; pass++) {
    Buffers a = buffers_of(&one), b = buffers_of(&many);
    memcpy(b.w, a.w, (size_t)a.weights * sizeof(float));
    for (int64_t i = 0; i < copies; i++) {
      memcpy(b.x + i * a.in, a.x, (size_t)a.in * sizeof(float));
      memcpy(b.y + i * a.out, a.y, (size_t)a.out * sizeof(float));
    }
    EXPECT(run_floats((LpConvPass)pass, &one, a.x, a.w, a.bias, a.y, NULL));
    EXPECT(run_floats((LpConvPass)pass, &many, b.x, b.w, a.bias, b.y, NULL));
    const float *from = pass == 0 ? a.y : pass == 1 ? a.x : a.w;
    const float *to = pass == 0 ? b.y : pass == 1 ? b.x : b.w;
    const int64_t count = pass == 0 ? a.out : pass == 1 ? a.in : a.weights;
    double *wanted = calloc((size_t)count, sizeof *wanted);
    for (int64_t i = 0; i < count; i++)
      wanted[i] = (double)from[i] * (pass == 2 ? (double)copies : 1);
    for (int64_t i = 0; i < (pass == 2 ? 1 : copies); i++)
      EXPECT_NEAR(error_of(to + i * count, wanted, count, 1), 0, 2 * TOLERANCE);
    free(wanted);
    release(&a);
    release(&b);
  }
}

TEST(winograd_in_blocks) {
  check_blocks(320, 300, 18); /* output channels for each thread, twice over all tiles */
  check_blocks(20, 70, 40);   /* tiles for each thread, and sums of their own */
  check_blocks(100, 120, 40); /* sums of all threads */
  check_blocks(1024, 310, 9); /* sums of some output channels after those of others */
  check_blocks(600, 130, 2);  /* blocks of sums */
}

/* Numbers to bfloat16 and, so that both are the same, back. */
static uint16_t *halved(float *from, int64_t n) {
  uint16_t *to = aligned_alloc(64, (size_t)((n * 2 + 63) / 64 * 64));
  for (int64_t i = 0; i < n; i++) {
    to[i] = lp_bf16_from_float(from[i]);
    from[i] = lp_bf16_to_float(to[i]);
  }
  return to;
}

static void check_half(const LpConvGeometry *g, LpConvPass pass, bool half_weights) {
  Buffers b = buffers_of(g);
  float *const floats[] = {b.y, b.x, b.w};
  const int64_t counts[] = {b.out, b.in, b.weights}, count = counts[pass];
  uint16_t *x = halved(b.x, b.in), *y = halved(b.y, b.out), *w = halved(b.w, b.weights),
           *bias = halved(b.bias, g->k), *const halves[] = {y, x, w};
  double *wanted = expected(pass, g, &b, true);
  const LpWinogradCall c = {.dtype = LP_BFLOAT16,
                            .x = x,
                            .y = y,
                            .w = half_weights ? (void *)w : b.w,
                            .half_weights = half_weights,
                            .bias = bias};
  EXPECT(lp_winograd_run(pass, g, &c));
  const bool rounded = pass != LP_CONV_WEIGHT_GRAD || half_weights;
  float *got = floats[pass];
  for (int64_t j = 0; rounded && j < count; j++)
    got[j] = lp_bf16_to_float(halves[pass][j]);
  /* The result is rounded by 2^-9 / sqrt(3) at most. */
  EXPECT_NEAR(error_of(got, wanted, count, 1), 0,
              rounded ? 2.3e-3 : TOLERANCE_OF_LARGER_TILES);
  free(x);
  free(y);
  free(w);
  free(bias);
  free(wanted);
  release(&b);
}

static void check_halves(void) {
  const LpConvGeometry cases[] = {
      geometry(2, 36, 20, 13, 14, 1, 1), geometry(1, 64, 80, 7, 9, 1, 0),
      geometry(3, 5, 3, 4, 6, 2, 2),     geometry(2, 1, 17, 5, 5, 1, 1),
      geometry(2, 49, 1, 6, 5, 0, 1),    geometry(2, 67, 66, 28, 20, 1, 1),
      geometry(3, 80, 49, 27, 37, 2, 0), geometry(1, 64, 65, 13, 44, 0, 1)};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int pass = 0; pass < 3; pass++)
      for (int half_weights = 0; half_weights < 2; half_weights++)
        check_half(&cases[i], (LpConvPass)pass, half_weights);
}

TEST(winograd_of_bfloat16) {
  with_each_capability(check_halves);
}

/* Rounding is to the nearest, infinities and NaN stay what they are. */
TEST(winograd_rounds_to_bfloat16) {
  const LpConvGeometry g = geometry(1, 3, 4, 4, 4, 1, 1);
  Buffers b = buffers_of(&g);
  for (int64_t i = 0; i < b.in; i++) b.x[i] = 0;
  uint16_t *x = halved(b.x, b.in), *y = halved(b.y, b.out);
  const uint16_t bias[] = {0x7f80, 0x7fc0, 0x3f81, 0x0001};
  const LpWinogradCall c = {.dtype = LP_BFLOAT16, .x = x, .y = y, .w = b.w, .bias = bias};
  EXPECT(lp_winograd_run(LP_CONV_FORWARD, &g, &c));
  for (int64_t i = 0; i < b.out; i++) EXPECT(y[i] == bias[i % 4]);
  free(x);
  free(y);
  release(&b);
}

/* What the call writes to `to` is the same, whatever the number of threads. */
static void check_threads(LpConvPass pass, const LpConvGeometry *g,
                          const LpWinogradCall *c, const void *to, size_t bytes) {
  const int before = lp_num_threads();
  void *first = malloc(bytes);
  for (int threads = 1; threads <= 5; threads += 2) {
    lp_set_num_threads(threads);
    EXPECT(lp_winograd_run(pass, g, c));
    if (threads == 1) memcpy(first, to, bytes);
    EXPECT(!memcmp(first, to, bytes));
  }
  free(first);
  lp_set_num_threads(before);
}

TEST(winograd_does_not_depend_on_threads) {
  const LpConvGeometry cases[] = {geometry(3, 64, 64, 29, 31, 1, 1),
                                  geometry(3, 200, 192, 14, 13, 1, 1),
                                  geometry(1, 48, 50, 9, 9, 0, 1)};
  for (int i = 0; i < 3; i++)
    for (int pass = 0; pass < 3; pass++) {
      Buffers b = buffers_of(&cases[i]);
      float *const to[] = {b.y, b.x, b.w};
      const int64_t counts[] = {b.out, b.in, b.weights};
      const LpWinogradCall c = {
          .dtype = LP_FLOAT32, .x = b.x, .y = b.y, .w = b.w, .bias = b.bias};
      check_threads((LpConvPass)pass, &cases[i], &c, to[pass],
                    (size_t)counts[pass] * sizeof(float));
      release(&b);
    }
}

TEST(winograd_of_bfloat16_does_not_depend_on_threads) {
  const LpConvGeometry cases[] = {geometry(5, 64, 64, 56, 56, 1, 1),
                                  geometry(3, 128, 96, 28, 30, 1, 1),
                                  geometry(2, 200, 192, 14, 13, 1, 1)};
  for (int i = 0; i < 3; i++)
    for (int pass = 0; pass < 3; pass++) {
      Buffers b = buffers_of(&cases[i]);
      uint16_t *x = halved(b.x, b.in), *y = halved(b.y, b.out),
               *w = halved(b.w, b.weights), *const to[] = {y, x, w};
      const int64_t counts[] = {b.out, b.in, b.weights};
      const LpWinogradCall c = {
          .dtype = LP_BFLOAT16, .x = x, .y = y, .w = w, .half_weights = true};
      check_threads((LpConvPass)pass, &cases[i], &c, to[pass],
                    (size_t)counts[pass] * sizeof *x);
      free(x);
      free(y);
      free(w);
      release(&b);
    }
}

TEST(winograd_serves_what_it_says) {
  const LpConvGeometry good = geometry(1, 4, 4, 8, 8, 1, 1);
  LpConvGeometry g = good;
  EXPECT(lp_winograd_serves(&g));
  g.stride[1] = 2;
  EXPECT(!lp_winograd_serves(&g));
  g = good;
  g.dilation[0] = 2;
  EXPECT(!lp_winograd_serves(&g));
  g = good;
  g.groups = 2;
  EXPECT(!lp_winograd_serves(&g));
  g = good;
  g.ndim = 1;
  EXPECT(!lp_winograd_serves(&g));
  g = good;
  g.padding[0] = 3;
  g.out[0] = 12;
  EXPECT(!lp_winograd_serves(&g));
  g = good;
  g.out[0]++; /* a transposed convolution with output_padding */
  EXPECT(!lp_winograd_serves(&g));
}

/* NaN and infinity stay near where they are, and the rest is right: this is also the test
 * of vectors on machines that have the tile unit. */
static void check_not_finite(void) {
  for (int pass = 0; pass < 3; pass++)
    for (int which = 0; which < 2; which++) {
      /* As many channels as the tile unit is used for. */
      const int64_t c = pass == LP_CONV_WEIGHT_GRAD ? 192 : 60, k = c;
      const LpConvGeometry g = geometry(2, c, k, 13, 14, 1, 1);
      Buffers b = buffers_of(&g);
      float *from = pass == LP_CONV_INPUT_GRAD ? b.y : b.x;
      const int64_t at = (13 * 14 + 6 * 14 + 7) * c + 11;
      const float before = from[at];
      double *wanted = expected((LpConvPass)pass, &g, &b, true);
      from[at] = which ? INFINITY : NAN;
      EXPECT(run_floats((LpConvPass)pass, &g, b.x, b.w, b.bias, b.y, NULL));
      from[at] = before;
      if (pass == LP_CONV_WEIGHT_GRAD) {
        /* All that is summed over that pixel of that channel, and only that. */
        for (int64_t i = 0; i < b.weights; i++) {
          if (i / 9 % c == 11) {
            EXPECT(!isfinite(b.w[i]));
            b.w[i] = 0;
            wanted[i] = 0;
          }
        }
        EXPECT_NEAR(error_of(b.w, wanted, b.weights, 1), 0, TOLERANCE);
      } else {
        float *to = pass ? b.x : b.y;
        for (int64_t i = 0; i < 2 * 13 * 14 * c; i++) {
          const int64_t pixel = i / c, h = pixel / 14 % 13, w = pixel % 14;
          const bool touched = pixel >= 13 * 14 && llabs(h - 6) <= 1 && llabs(w - 7) <= 1,
                     near = pixel >= 13 * 14 && llabs(h - 6) <= 3 && llabs(w - 7) <= 3;
          if (touched) EXPECT(!isfinite(to[i]));
          if (near) to[i] = (float)(wanted[i] = 0);
        }
        EXPECT_NEAR(error_of(to, wanted, 2 * 13 * 14 * c, 1), 0, TOLERANCE);
      }
      free(wanted);
      release(&b);
    }
}

TEST(winograd_keeps_nan_and_infinity) {
  with_each_capability(check_not_finite);
}

static void check_kept(void) {
  const LpConvGeometry cases[] = {geometry(1, 36, 50, 9, 9, 1, 1),
                                  geometry(4, 64, 80, 19, 21, 1, 0)};
  for (int i = 0; i < 2; i++) {
    const LpConvGeometry *g = &cases[i];
    Buffers b = buffers_of(g);
    double *wanted = expected(LP_CONV_FORWARD, g, &b, true);
    void *packed =
        aligned_alloc(64, (lp_winograd_packed_bytes(g, LP_FLOAT32) + 63) / 64 * 64);
    lp_winograd_pack(g, LP_FLOAT32, b.w, packed);
    for (int call = 0; call < 2; call++) {
      memset(b.y, 0, (size_t)b.out * sizeof(float));
      EXPECT(run_floats(LP_CONV_FORWARD, g, b.x, b.w, b.bias, b.y, packed));
      EXPECT_NEAR(error_of(b.y, wanted, b.out, 1), 0, TOLERANCE);
    }
    /* An infinity in x: the packed form of this machine may not do. */
    b.x[5] = INFINITY;
    EXPECT(run_floats(LP_CONV_FORWARD, g, b.x, b.w, b.bias, b.y, packed));
    EXPECT(!isfinite(b.y[0]) && isfinite(b.y[b.out - 1]));
    free(packed);
    free(wanted);
    release(&b);
  }
}

TEST(winograd_takes_packed_weights) {
  with_each_capability(check_kept);
}

TEST(winograd_reports_each_failed_allocation) {
  const LpConvGeometry g = geometry(2, 36, 20, 13, 14, 1, 1);
  for (int pass = 0; pass < 3; pass++) {
    Buffers b = buffers_of(&g);
    bool ok = false;
    for (int64_t after = 0; !ok && after < 100; after++) {
      lp_memory_fail_after(after);
      ok = run_floats((LpConvPass)pass, &g, b.x, b.w, NULL, b.y, NULL);
      lp_memory_fail_after(-1);
      if (!ok) EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
    }
    EXPECT(ok);
    lp_error_clear();
    release(&b);
  }
}

TEST(winograd_of_an_empty_batch) {
  const LpConvGeometry g = geometry(0, 8, 8, 6, 6, 1, 1);
  float x[1], y[1], *w = filled(8 * 8 * 9);
  EXPECT(run_floats(LP_CONV_FORWARD, &g, x, w, NULL, y, NULL));
  EXPECT(run_floats(LP_CONV_INPUT_GRAD, &g, x, w, NULL, y, NULL));
  EXPECT(run_floats(LP_CONV_WEIGHT_GRAD, &g, x, w, NULL, y, NULL));
  for (int i = 0; i < 8 * 8 * 9; i++) EXPECT(w[i] == 0);
  free(w);
}

TEST(winograd_stops_when_interrupted) {
  const LpConvGeometry g = geometry(4, 36, 20, 13, 14, 1, 1);
  for (int pass = 0; pass < 3; pass++) {
    Buffers b = buffers_of(&g);
    lp_interrupt();
    EXPECT_FAILS(run_floats((LpConvPass)pass, &g, b.x, b.w, NULL, b.y, NULL),
                 LP_ERR_INTERRUPT, "interrupted");
    EXPECT(!lp_interrupt_pending());
    release(&b);
  }
}
