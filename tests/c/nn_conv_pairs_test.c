/* Weight gradients of bfloat16 convolutions by pairs against the definition in double;
 * the same with any number of threads; without memory. */
#include "cpu/conv_pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/half.h"
#include "core/parallel.h"
#include "cpu/caps.h"
#include "lampad/memory.h"
#include "test.h"

typedef struct Operands {
  LpConvGeometry g;
  int64_t x_count, y_count, w_count;
  uint16_t *x, *y;
} Operands;

static uint16_t *filled(int64_t n) {
  uint16_t *p = malloc((size_t)n * sizeof *p);
  for (int64_t i = 0; i < n; i++) p[i] = lp_bf16_from_float((float)test_random());
  return p;
}

static Operands operands(const LpConvGeometry *g) {
  const int64_t in = lp_conv_volume(g->in, g->ndim),
                out = lp_conv_volume(g->out, g->ndim);
  Operands o = {*g, g->n * in * g->c, g->n * out * g->k,
                g->k * g->c * lp_conv_volume(g->kernel, g->ndim)};
  o.x = filled(o.x_count);
  o.y = filled(o.y_count);
  return o;
}

static void release(Operands *o) {
  free(o->x);
  free(o->y);
}

static bool run(const Operands *o, LpDtype dtype, void *w) {
  const LpConvCall c = {.pass = LP_CONV_WEIGHT_GRAD,
                        .dtype = LP_BFLOAT16,
                        .weight_dtype = dtype,
                        .channels_last = true,
                        .x = o->x,
                        .w = w,
                        .y = o->y};
  return lp_conv_pairs(&c, &o->g);
}

/* The places of a count along dims, the last one first. */
static void places(int64_t i, const int64_t dims[3], int64_t at[3]) {
  for (int d = 2; d >= 0; d--) {
    at[d] = i % dims[d];
    i /= dims[d];
  }
}

/* The gradient of one weight, and the sum of its terms' magnitudes. */
static double sum_of(const Operands *o, int64_t k, int64_t c, int64_t tap, double *size) {
  const LpConvGeometry *g = &o->g;
  int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3], r[3], at[3];
  lp_conv_widen(g, in, out, kernel, stride, padding, dilation);
  places(tap, kernel, r);
  double sum = *size = 0;
  for (int64_t i = 0; i < o->y_count / g->k; i++) {
    int64_t pixel = i / lp_conv_volume(out, 3);
    places(i, out, at);
    bool inside = true;
    for (int d = 0; d < 3; d++) {
      const int64_t p = at[d] * stride[d] - padding[d] + r[d] * dilation[d];
      inside = inside && p >= 0 && p < in[d];
      pixel = pixel * in[d] + p;
    }
    if (!inside) continue;
    const double term = (double)lp_bf16_to_float(o->x[pixel * g->c + c]) *
                        lp_bf16_to_float(o->y[i * g->k + k]);
    sum += term;
    *size += fabs(term);
  }
  return sum;
}

/* All weights of a few channels, or some of many. */
static void check(const LpConvGeometry *g) {
  Operands o = operands(g);
  const int64_t taps = lp_conv_volume(g->kernel, g->ndim);
  float *w = malloc((size_t)(o.w_count + 1) * sizeof *w);
  uint16_t *rounded = malloc((size_t)(o.w_count + 1) * sizeof *rounded);
  memset(w, 0xff, (size_t)(o.w_count + 1) * sizeof *w);
  rounded[o.w_count] = 0xffff;
  EXPECT(run(&o, LP_FLOAT32, w));
  EXPECT(run(&o, LP_BFLOAT16, rounded));
  EXPECT(isnan(w[o.w_count]) && rounded[o.w_count] == 0xffff);
  const int64_t step = o.w_count * (o.y_count / g->k) / 5000000 + 1;
  double worst = 0;
  for (int64_t i = 0; i < o.w_count; i += step) {
    double size;
    const double sum = sum_of(&o, i / taps / g->c, i / taps % g->c, i % taps, &size),
                 error = fabs(w[i] - sum) / (size + 1e-30);
    if (!(error <= worst)) worst = error;
    EXPECT(rounded[i] == lp_bf16_from_float(w[i]));
  }
  EXPECT_NEAR(worst, 0, 2e-6);
  free(w);
  free(rounded);
  release(&o);
}

static LpConvGeometry geometry(int64_t n, int64_t c, int64_t k, int64_t in,
                               int64_t kernel, int64_t stride, int64_t padding,
                               int64_t dilation) {
  LpConvGeometry g = {.ndim = 2, .n = n, .c = c, .k = k, .groups = 1};
  for (int d = 0; d < 2; d++) {
    g.in[d] = in + 3 * d; /* not square */
    g.kernel[d] = kernel;
    g.stride[d] = stride;
    g.padding[d] = padding;
    g.dilation[d] = dilation;
    g.out[d] = (g.in[d] + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
  }
  return g;
}

TEST(nn_conv_pairs_match_the_definition) {
  if (!lp_cpu_multiplies_bf16()) return;
  const int64_t channels[] = {1, 3, 8, 20, 32, 33, 64, 70};
  for (int i = 0; i < 8; i++)
    for (int64_t stride = 1; stride <= 3; stride++)
      for (int64_t kernel = 1; kernel <= 5; kernel += 2) {
        const LpConvGeometry g =
            geometry(2, channels[i], channels[7 - i], 9, kernel, stride, kernel / 2, 1);
        check(&g);
      }
}

TEST(nn_conv_pairs_of_several_chunks_groups_and_blocks) {
  if (!lp_cpu_multiplies_bf16()) return;
  const LpConvGeometry g[] = {
      geometry(1, 3, 24, 75, 7, 2, 3, 1),    /* an odd number of results */
      geometry(3, 64, 40, 39, 3, 2, 1, 1),   /* groups */
      geometry(2, 300, 530, 11, 1, 2, 0, 1), /* blocks along both sides */
      geometry(2, 96, 72, 13, 4, 2, 1, 1),   /* windows of more than a block's columns */
      geometry(1, 32, 16, 1, 3, 2, 1, 1),    /* hardly a result */
  };
  for (size_t i = 0; i < sizeof g / sizeof *g; i++) check(&g[i]);
}

TEST(nn_conv_pairs_with_gaps_margins_and_other_dims) {
  if (!lp_cpu_multiplies_bf16()) return;
  for (int64_t padding = 0; padding <= 6; padding += 3)
    for (int64_t dilation = 1; dilation <= 3; dilation++) {
      const LpConvGeometry g = geometry(2, 40, 24, 10, 3, 2, padding, dilation);
      check(&g);
    }
  LpConvGeometry g = geometry(2, 48, 33, 12, 3, 2, 1, 1);
  g.kernel[1] = 1, g.padding[1] = 0, g.stride[1] = 3, g.out[1] = 5;
  check(&g);
  g.out[1] = 4; /* fewer than there is room for */
  check(&g);
  g = (LpConvGeometry){.ndim = 1,
                       .n = 3,
                       .c = 40,
                       .k = 48,
                       .groups = 1,
                       .in = {50},
                       .out = {24},
                       .kernel = {5},
                       .stride = {2},
                       .padding = {1},
                       .dilation = {1}};
  check(&g);
  g = (LpConvGeometry){.ndim = 3,
                       .n = 2,
                       .c = 20,
                       .k = 24,
                       .groups = 1,
                       .in = {5, 7, 6},
                       .out = {3, 4, 3},
                       .kernel = {3, 2, 3},
                       .stride = {2, 2, 2},
                       .padding = {1, 1, 1},
                       .dilation = {1, 1, 1}};
  check(&g);
}

TEST(nn_conv_pairs_give_the_same_with_any_number_of_threads) {
  if (!lp_cpu_multiplies_bf16()) return;
  const LpConvGeometry g[] = {geometry(4, 24, 40, 50, 3, 2, 1, 1),
                              geometry(2, 200, 520, 9, 3, 2, 1, 1)};
  const int threads = lp_num_threads();
  for (int i = 0; i < 2; i++) {
    Operands o = operands(&g[i]);
    const size_t bytes = (size_t)o.w_count * sizeof(float);
    float *first = malloc(bytes), *other = malloc(bytes);
    EXPECT(run(&o, LP_FLOAT32, first));
    for (int n = 1; n <= 7; n += 2) {
      lp_set_num_threads(n);
      EXPECT(run(&o, LP_FLOAT32, other));
      EXPECT(memcmp(first, other, bytes) == 0);
    }
    lp_set_num_threads(threads);
    free(first);
    free(other);
    release(&o);
  }
}

TEST(nn_conv_pairs_pass_infinities_and_nan_on) {
  if (!lp_cpu_multiplies_bf16()) return;
  const LpConvGeometry g = geometry(2, 40, 48, 12, 2, 2, 0, 1); /* one tap sees a pixel */
  Operands o = operands(&g);
  o.x[5] = 0x7f80;                 /* pixel 0, channel 5: tap 0 */
  o.x[g.in[1] * g.c + 7] = 0x7fc0; /* the row below, channel 7: tap 2 */
  float *w = malloc((size_t)o.w_count * sizeof *w);
  EXPECT(run(&o, LP_FLOAT32, w));
  for (int64_t i = 0; i < o.w_count; i++) {
    const int64_t c = i / 4 % g.c, tap = i % 4;
    const bool infinite = c == 5 && tap == 0, nan = c == 7 && tap == 2;
    EXPECT(nan ? isnan(w[i]) : infinite ? isinf(w[i]) : isfinite(w[i]));
  }
  free(w);
  release(&o);
}

TEST(nn_conv_pairs_report_that_memory_is_out) {
  if (!lp_cpu_multiplies_bf16()) return;
  const LpConvGeometry g = geometry(2, 64, 64, 14, 3, 2, 1, 1);
  Operands o = operands(&g);
  float *w = malloc((size_t)o.w_count * sizeof *w);
  const int threads = lp_num_threads();
  lp_set_num_threads(1); /* failures are a thread's own */
  int failures = 0;
  bool ok = false;
  for (int64_t after = 0; !ok && after < 20; after++) {
    lp_memory_fail_after(after);
    ok = run(&o, LP_FLOAT32, w);
    lp_memory_fail_after(-1);
    if (ok) break;
    failures++;
    EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
    lp_error_clear();
  }
  lp_set_num_threads(threads);
  EXPECT(ok && failures > 1);
  free(w);
  release(&o);
}
