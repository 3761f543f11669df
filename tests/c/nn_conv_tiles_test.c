/* float32 convolutions by tiles, of all passes, against the definition in double; what
 * they refuse; the same with any number of threads. */
#include "cpu/conv_tiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/conv_tiles_parts.h"
#include "gemm_values.h"
#include "lampad/memory.h"
#include "test.h"

typedef struct Operands {
  LpConvGeometry g;
  int64_t numbers[3]; /* of x, w, y */
  float *of[3], *bias;
} Operands;
enum { X, W, Y };

/* c to k channels, in 2 dims; out follows. */
static LpConvGeometry geometry(int64_t n, int64_t c, int64_t k, const int64_t in[2],
                               const int64_t kernel[2], const int64_t more[3]) {
  LpConvGeometry g = {.ndim = 2, .n = n, .c = c, .k = k, .groups = 1};
  for (int d = 0; d < 2; d++) {
    g.in[d] = in[d];
    g.kernel[d] = kernel[d];
    g.stride[d] = more[0];
    g.padding[d] = more[1];
    g.dilation[d] = more[2];
    g.out[d] = (in[d] + 2 * more[1] - more[2] * (kernel[d] - 1) - 1) / more[0] + 1;
  }
  return g;
}

static Operands operands(const LpConvGeometry *g) {
  Operands o = {.g = *g,
                .numbers = {g->n * g->in[0] * g->in[1] * g->c,
                            g->k * g->c * g->kernel[0] * g->kernel[1],
                            g->n * g->out[0] * g->out[1] * g->k}};
  for (int i = 0; i < 3; i++) o.of[i] = random_floats(o.numbers[i], 7 + (uint32_t)i);
  o.bias = random_floats(g->k, 11);
  return o;
}

static void release(Operands *o) {
  for (int i = 0; i < 3; i++) free(o->of[i]);
  free(o->bias);
}

/* Sums, and sums of magnitudes, of what the pass writes. */
static void sum_terms(const Operands *o, int writes, bool has_bias, double *sums,
                      double *sizes) {
  const LpConvGeometry *g = &o->g;
  const int other[3][2] = {{W, Y}, {X, Y}, {X, W}};
  for (int64_t y = 0; y < o->numbers[Y] / g->k; y++) {
    const int64_t column = y % g->out[1], row = y / g->out[1] % g->out[0],
                  image = y / g->out[1] / g->out[0];
    for (int64_t k = 0; k < g->k; k++) {
      if (has_bias) {
        sums[y * g->k + k] += o->bias[k];
        sizes[y * g->k + k] += fabs(o->bias[k]);
      }
      for (int64_t r = 0; r < g->kernel[0]; r++)
        for (int64_t q = 0; q < g->kernel[1]; q++) {
          const int64_t h = row * g->stride[0] - g->padding[0] + r * g->dilation[0],
                        w = column * g->stride[1] - g->padding[1] + q * g->dilation[1];
          if (h < 0 || h >= g->in[0] || w < 0 || w >= g->in[1]) continue;
          for (int64_t c = 0; c < g->c; c++) {
            const int64_t at[3] = {((image * g->in[0] + h) * g->in[1] + w) * g->c + c,
                                   ((k * g->c + c) * g->kernel[0] + r) * g->kernel[1] + q,
                                   y * g->k + k};
            const int a = other[writes][0], b = other[writes][1];
            const double term = (double)o->of[a][at[a]] * o->of[b][at[b]];
            sums[at[writes]] += term;
            sizes[at[writes]] += fabs(term);
          }
        }
    }
  }
}

static const LpConvPass pass_of[3] = {LP_CONV_INPUT_GRAD, LP_CONV_WEIGHT_GRAD,
                                      LP_CONV_FORWARD};

static bool run(const Operands *o, int writes, bool has_bias, float *to, bool *refused) {
  LpConvCall c = {.pass = pass_of[writes],
                  .dtype = LP_FLOAT32,
                  .weight_dtype = LP_FLOAT32,
                  .channels_last = true,
                  .x = o->of[X],
                  .w = o->of[W],
                  .y = o->of[Y],
                  .b = has_bias ? o->bias : NULL};
  if (writes == X) c.x = to;
  if (writes == W) c.w = to;
  if (writes == Y) c.y = to;
  return lp_conv_tiles(&c, &o->g, refused);
}

/* The largest error by the sum of magnitudes. */
static double worst_of(const Operands *o, int writes, bool has_bias) {
  const size_t n = (size_t)o->numbers[writes];
  double *sums = calloc(n + 1, sizeof *sums), *sizes = calloc(n + 1, sizeof *sizes);
  float *to = malloc((n + 1) * sizeof *to);
  memset(to, 0xff, (n + 1) * sizeof *to);
  const float after = to[n];
  bool refused;
  EXPECT(run(o, writes, has_bias, to, &refused) && !refused);
  EXPECT(memcmp(&after, &to[n], sizeof after) == 0);
  sum_terms(o, writes, has_bias, sums, sizes);
  double worst = 0;
  for (size_t i = 0; i < n; i++) {
    const double error = fabs(to[i] - sums[i]) / (sizes[i] + 1e-30);
    if (!(error <= worst)) worst = error;
  }
  free(sums);
  free(sizes);
  free(to);
  return worst;
}

static void check(const LpConvGeometry *g) {
  Operands o = operands(g);
  EXPECT_NEAR(worst_of(&o, Y, false), 0, 2e-6);
  EXPECT_NEAR(worst_of(&o, Y, true), 0, 2e-6);
  EXPECT_NEAR(worst_of(&o, X, false), 0, 2e-6);
  EXPECT_NEAR(worst_of(&o, W, false), 0, 2e-6);
  release(&o);
}

static void check_of(int64_t n, int64_t c, int64_t k, int64_t h, int64_t w, int64_t taps,
                     int64_t stride, int64_t padding, int64_t dilation) {
  const int64_t in[2] = {h, w}, kernel[2] = {taps, taps},
                more[3] = {stride, padding, dilation};
  const LpConvGeometry g = geometry(n, c, k, in, kernel, more);
  check(&g);
}

TEST(nn_conv_tiles_match_the_definition) {
  if (!lp_tiles_supported()) return;
  for (int64_t stride = 1; stride <= 3; stride++)
    for (int64_t taps = 1; taps <= 5; taps += 2) {
      check_of(3, 36, 20, 11, 9, taps, stride, taps / 2, 1);
      check_of(1, 33, 70, 8, 13, taps, stride, 0, 1);
      check_of(17, 5, 33, 6, 7, taps, stride, 2, 1);
    }
  check_of(2, 40, 24, 15, 16, 3, 2, 6, 2); /* wide margins, gaps */
  check_of(2, 32, 32, 12, 12, 3, 1, 3, 3);
  check_of(2, 3, 24, 20, 22, 7, 2, 3, 1); /* the taps of a row are channels */
  check_of(3, 1, 40, 13, 14, 5, 1, 2, 1);
  check_of(2, 64, 32, 40, 3, 3, 1, 1, 1); /* long and narrow */
  check_of(2, 32, 40, 3, 70, 3, 2, 1, 1);
  check_of(4, 256, 160, 5, 5, 3, 1, 1, 1); /* many weights */
  check_of(20, 64, 64, 4, 4, 3, 2, 1, 1);
  check_of(1, 32, 32, 1, 1, 3, 1, 1, 1);
  check_of(2, 24, 16, 5, 5, 2, 4, 1, 1); /* pixels that no tap reaches */
}

TEST(nn_conv_tiles_refuse_what_does_not_come_apart) {
  if (!lp_tiles_supported()) return;
  const int64_t in[2] = {9, 8}, kernel[2] = {3, 3}, more[3] = {2, 1, 1};
  const LpConvGeometry g = geometry(3, 40, 36, in, kernel, more);
  const float bad[] = {INFINITY, -INFINITY, NAN};
  for (int writes = X; writes <= Y; writes++)
    for (int spoiled = X; spoiled <= Y; spoiled++)
      for (int i = 0; i < 3 && spoiled != writes; i++) {
        Operands o = operands(&g);
        o.of[spoiled][o.numbers[spoiled] / 2] = bad[i];
        float *to = malloc((size_t)o.numbers[writes] * sizeof *to);
        bool refused;
        EXPECT(!run(&o, writes, false, to, &refused) && refused);
        free(to);
        release(&o);
      }
}

TEST(nn_conv_tiles_give_the_same_with_any_number_of_threads) {
  if (!lp_tiles_supported()) return;
  const int64_t in[2] = {14, 13}, kernel[2] = {3, 3}, more[3] = {2, 1, 1};
  const LpConvGeometry g = geometry(9, 96, 130, in, kernel, more);
  Operands o = operands(&g);
  const int threads = lp_num_threads();
  for (int writes = X; writes <= Y; writes++) {
    const size_t bytes = (size_t)o.numbers[writes] * sizeof(float);
    float *first = malloc(bytes), *other = malloc(bytes);
    bool refused;
    EXPECT(run(&o, writes, false, first, &refused));
    for (int n = 1; n <= 5; n += 2) {
      lp_set_num_threads(n);
      EXPECT(run(&o, writes, false, other, &refused));
      EXPECT(memcmp(first, other, bytes) == 0);
    }
    lp_set_num_threads(threads);
    free(first);
    free(other);
  }
  release(&o);
}

TEST(nn_conv_tiles_report_that_memory_is_out) {
  if (!lp_tiles_supported()) return;
  const int64_t in[2] = {14, 13}, kernel[2] = {3, 3}, more[3] = {2, 1, 1};
  for (int64_t c = 32; c <= 192; c += 160) { /* few and many weights */
    const LpConvGeometry g = geometry(4, c, c, in, kernel, more);
    Operands o = operands(&g);
    for (int writes = X; writes <= Y; writes++) {
      float *to = malloc((size_t)o.numbers[writes] * sizeof *to);
      int failures = 0;
      bool ok = false, refused = false;
      for (int64_t after = 0; !ok && after < 20; after++) {
        lp_memory_fail_after(after);
        ok = run(&o, writes, false, to, &refused);
        lp_memory_fail_after(-1);
        if (ok) break;
        failures++;
        EXPECT(!refused);
        EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
        lp_error_clear();
      }
      EXPECT(ok && failures > 0);
      free(to);
    }
    release(&o);
  }
}
