/* The CPU's random fills: blocks of words are drawn, turned into variates, and stored in
 * the dtype of the destination. See random.h. */
#include "cpu/random.h"

#include <math.h>
#include "core/half.h"
#include "core/parallel.h"

LP_DISPATCH(LpRandomKernels, lp_random_kernels)

#define BLOCK 512 /* variates per block */
#define PI 3.14159265358979323846

/* --- storing
 * ---------------------------------------------------------------------------------- */

#define STORE(name, from, type, expression)                                              \
  static void name(char *data, int64_t stride, const void *block, int64_t n) {           \
    const from *values = block;                                                          \
    for (int64_t i = 0; i < n; i++, data += stride) {                                    \
      from v = values[i];                                                                \
      *(type *)data = (expression);                                                      \
    }                                                                                    \
  }

STORE(float_to_f16, float, uint16_t, lp_half_from_float(v))
STORE(float_to_bf16, float, uint16_t, lp_bf16_from_float(v))
STORE(float_to_f32, float, float, v)
STORE(float_to_f64, float, double, v)
STORE(float_to_u8, float, uint8_t, (uint8_t)v)
STORE(float_to_i8, float, int8_t, (int8_t)v)
STORE(float_to_i16, float, int16_t, (int16_t)v)
STORE(float_to_i32, float, int32_t, (int32_t)v)
STORE(float_to_i64, float, int64_t, (int64_t)v)
STORE(float_to_bool, float, uint8_t, v != 0)
STORE(double_to_f16, double, uint16_t, lp_half_from_float((float)v))
STORE(double_to_bf16, double, uint16_t, lp_bf16_from_float((float)v))
STORE(double_to_f32, double, float, (float)v)
STORE(double_to_f64, double, double, v)
STORE(double_to_u8, double, uint8_t, (uint8_t)(int64_t)v)
STORE(double_to_i8, double, int8_t, (int8_t)(int64_t)v)
STORE(double_to_i16, double, int16_t, (int16_t)(int64_t)v)
STORE(double_to_i32, double, int32_t, (int32_t)(int64_t)v)
STORE(double_to_i64, double, int64_t, (int64_t)v)
STORE(double_to_bool, double, uint8_t, v != 0)
STORE(int_to_f16, int64_t, uint16_t, lp_half_from_float((float)v))
STORE(int_to_bf16, int64_t, uint16_t, lp_bf16_from_float((float)v))
STORE(int_to_f32, int64_t, float, (float)v)
STORE(int_to_f64, int64_t, double, (double)v)
STORE(int_to_u8, int64_t, uint8_t, (uint8_t)v)
STORE(int_to_i8, int64_t, int8_t, (int8_t)v)
STORE(int_to_i16, int64_t, int16_t, (int16_t)v)
STORE(int_to_i32, int64_t, int32_t, (int32_t)v)
STORE(int_to_i64, int64_t, int64_t, v)
STORE(int_to_bool, int64_t, uint8_t, v != 0)

typedef void (*Store)(char *data, int64_t stride, const void *block, int64_t n);
#define ROW(from)                                                                        \
  {                                                                                      \
    [LP_UINT8] = from##_to_u8, [LP_INT8] = from##_to_i8, [LP_INT16] = from##_to_i16,     \
    [LP_INT32] = from##_to_i32, [LP_INT64] = from##_to_i64,                              \
    [LP_FLOAT16] = from##_to_f16, [LP_FLOAT32] = from##_to_f32,                          \
    [LP_FLOAT64] = from##_to_f64, [LP_BOOL] = from##_to_bool,                            \
    [LP_BFLOAT16] = from##_to_bf16                                                       \
  }
static const Store stores_float[LP_DTYPE_COUNT] = ROW(float);
static const Store stores_double[LP_DTYPE_COUNT] = ROW(double);
static const Store stores_int[LP_DTYPE_COUNT] = ROW(int);

static float round_to(LpDtype dtype, float v) {
  return dtype == LP_FLOAT16    ? lp_half_to_float(lp_half_from_float(v))
         : dtype == LP_BFLOAT16 ? lp_bf16_to_float(lp_bf16_from_float(v))
                                : v;
}

/* --- drawing
 * ---------------------------------------------------------------------------------- */

static void draw_floats(LpGenerator *g, float *out, int64_t n, float range, float from) {
  uint32_t words[BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    lp_random_words(g, words, take);
    lp_random_kernels()->uniform_float(out + at, words, take, range, from);
  }
}

static void draw_doubles(LpGenerator *g, double *out, int64_t n, double range,
                         double from) {
  uint32_t words[2 * BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    lp_random_words(g, words, 2 * take);
    lp_random_kernels()->uniform_double(out + at, words, take, range, from);
  }
}

void lp_cpu_random_units(LpGenerator *g, double *out, int64_t n, bool wide) {
  if (wide) {
    draw_doubles(g, out, n, 1.0, 0.0);
    return;
  }
  uint32_t words[BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    lp_random_words(g, words, take);
    for (int64_t i = 0; i < take; i++)
      out[at + i] = (double)(int32_t)(words[i] & 0xffffffu) * 0x1p-24;
  }
}

/* A value rounded up to the excluded bound becomes the lower bound. */
static void fill_uniform(const LpRandomFill *f, char *data, int64_t stride, int64_t n) {
  if (f->dtype == LP_FLOAT64) {
    double block[BLOCK];
    for (int64_t at = 0; at < n; at += BLOCK) {
      int64_t take = n - at < BLOCK ? n - at : BLOCK;
      draw_doubles(f->generator, block, take, f->b - f->a, f->a);
      for (int64_t i = 0; i < take; i++) block[i] = block[i] == f->b ? f->a : block[i];
      double_to_f64(data + at * stride, stride, block, take);
    }
    return;
  }
  float from = (float)f->a, to = (float)f->b;
  float first = round_to(f->dtype, from), last = round_to(f->dtype, to);
  float block[BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    draw_floats(f->generator, block, take, to - from, from);
    if (f->dtype == LP_FLOAT32) {
      for (int64_t i = 0; i < take; i++) block[i] = block[i] == last ? first : block[i];
    } else {
      for (int64_t i = 0; i < take; i++) {
        float v = round_to(f->dtype, block[i]);
        block[i] = v == last ? first : v;
      }
    }
    stores_float[f->dtype](data + at * stride, stride, block, take);
  }
}

static void fill_integer(const LpRandomFill *f, char *data, int64_t stride, int64_t n) {
  uint32_t words[2 * BLOCK];
  int64_t block[BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    lp_random_words(f->generator, words, f->wide ? 2 * take : take);
    if (!f->wide && f->range <= UINT32_MAX) {
      uint32_t range = (uint32_t)f->range;
      for (int64_t i = 0; i < take; i++) block[i] = (int64_t)(words[i] % range) + f->base;
    } else {
      for (int64_t i = 0; i < take; i++) {
        uint64_t v = f->wide ? (uint64_t)words[2 * i] << 32 | words[2 * i + 1] : words[i];
        if (f->range) v %= f->range;
        block[i] = (int64_t)(v + (uint64_t)f->base);
      }
    }
    stores_int[f->dtype](data + at * stride, stride, block, take);
  }
}

static void fill_bernoulli(const LpRandomFill *f, char *data, int64_t stride, int64_t n) {
  uint32_t words[2 * BLOCK];
  float block[BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    lp_random_words(f->generator, words, 2 * take);
    lp_random_kernels()->bernoulli(block, words, take, f->a);
    stores_float[f->dtype](data + at * stride, stride, block, take);
  }
}

static void fill_exponential(const LpRandomFill *f, char *data, int64_t stride,
                             int64_t n) {
  double block[BLOCK], scale = -1.0 / f->a;
  float values[BLOCK];
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    draw_doubles(f->generator, block, take, 1.0, 0.0);
    if (f->dtype == LP_FLOAT64) {
      for (int64_t i = 0; i < take; i++) block[i] = scale * log1p(-block[i]);
      double_to_f64(data + at * stride, stride, block, take);
    } else {
      lp_random_kernels()->exponential_float(values, block, take, scale);
      stores_float[f->dtype](data + at * stride, stride, values, take);
    }
  }
}

/* The transforms of uniform or normal doubles, one at a time. */
static void fill_transformed(const LpRandomFill *f, char *data, int64_t stride,
                             int64_t n) {
  double block[BLOCK], a = f->a, b = f->b;
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? n - at : BLOCK;
    if (f->kind == LP_RANDOM_NORMAL || f->kind == LP_RANDOM_LOG_NORMAL) {
      for (int64_t i = 0; i < take; i++)
        block[i] = fma(lp_random_normal(f->generator), b, a);
      if (f->kind == LP_RANDOM_LOG_NORMAL)
        for (int64_t i = 0; i < take; i++) block[i] = exp(block[i]);
    } else {
      draw_doubles(f->generator, block, take, 1.0, 0.0);
      if (f->kind == LP_RANDOM_GEOMETRIC)
        for (int64_t i = 0; i < take; i++) block[i] = ceil(log(block[i]) / log1p(-a));
      else
        for (int64_t i = 0; i < take; i++)
          block[i] = fma(b, tan(PI * (block[i] - 0.5)), a);
    }
    stores_double[f->dtype](data + at * stride, stride, block, take);
  }
}

void lp_cpu_random_fill(const LpRandomFill *f, char *data, int64_t stride, int64_t n) {
  switch (f->kind) {
  case LP_RANDOM_UNIFORM: fill_uniform(f, data, stride, n); break;
  case LP_RANDOM_INTEGER: fill_integer(f, data, stride, n); break;
  case LP_RANDOM_BERNOULLI: fill_bernoulli(f, data, stride, n); break;
  case LP_RANDOM_EXPONENTIAL: fill_exponential(f, data, stride, n); break;
  default: fill_transformed(f, data, stride, n);
  }
}

/* --- normal by groups
 * ------------------------------------------------------------------------- */

typedef struct NormalGroups {
  void *data;
  double mean, std;
} NormalGroups;

static void groups_float(void *ctx, int64_t begin, int64_t end) {
  const NormalGroups *job = ctx;
  lp_random_kernels()->normal_groups_float((float *)job->data + 16 * begin,
                                           16 * (end - begin), (float)job->mean,
                                           (float)job->std);
}

static void groups_double(void *ctx, int64_t begin, int64_t end) {
  const NormalGroups *job = ctx;
  lp_random_kernels()->normal_groups_double((double *)job->data + 16 * begin,
                                            16 * (end - begin), job->mean, job->std);
}

static void normal_half(LpGenerator *g, uint16_t *data, LpDtype dtype, int64_t n,
                        float mean, float std) {
  float block[BLOCK];
  for (int64_t at = 0; at + 16 <= n; at += BLOCK) {
    int64_t take = n - at < BLOCK ? (n - at) / 16 * 16 : BLOCK;
    draw_floats(g, block, take, 1.0f, 0.0f);
    lp_random_kernels()->normal_groups_float(block, take, mean, std);
    stores_float[dtype]((char *)(data + at), sizeof *data, block, take);
  }
  if (n % 16) {
    draw_floats(g, block, 16, 1.0f, 0.0f);
    lp_random_kernels()->normal_groups_float(block, 16, mean, std);
    stores_float[dtype]((char *)(data + n - 16), sizeof *data, block, 16);
  }
}

void lp_cpu_random_normal(LpGenerator *g, void *data, LpDtype dtype, int64_t n,
                          double mean, double std) {
  NormalGroups job = {data, mean, std};
  if (dtype == LP_FLOAT32) {
    float *values = data;
    draw_floats(g, values, n, 1.0f, 0.0f);
    lp_parallel_for(n / 16, LP_GRAIN / 64, groups_float, &job);
    if (n % 16) {
      draw_floats(g, values + n - 16, 16, 1.0f, 0.0f);
      lp_random_kernels()->normal_groups_float(values + n - 16, 16, (float)mean,
                                               (float)std);
    }
  } else if (dtype == LP_FLOAT64) {
    double *values = data;
    draw_doubles(g, values, n, 1.0, 0.0);
    lp_parallel_for(n / 16, LP_GRAIN / 512, groups_double, &job);
    if (n % 16) {
      draw_doubles(g, values + n - 16, 16, 1.0, 0.0);
      lp_random_kernels()->normal_groups_double(values + n - 16, 16, mean, std);
    }
  } else {
    normal_half(g, data, dtype, n, (float)mean, (float)std);
  }
}

/* --- permutations and discrete distributions
 * -------------------------------------------------- */

#define SHUFFLE(type)                                                                    \
  do {                                                                                   \
    type *v = data;                                                                      \
    for (int64_t i = 0; i + 1 < n; i++) {                                                \
      if (at == BLOCK)                                                                   \
        lp_random_words(g, words, n - 1 - i < BLOCK ? n - 1 - i : BLOCK), at = 0;        \
      int64_t j = i + (int64_t)(words[at++] % (uint32_t)(n - i));                        \
      type saved = v[i];                                                                 \
      v[i] = v[j];                                                                       \
      v[j] = saved;                                                                      \
    }                                                                                    \
  } while (0)

/* Below this many elements PyTorch draws 32-bit words, swapping forwards; from it on
 * 64-bit words, inside out, lest the remainder be skewed. */
#define WIDE_PERMUTATION ((int64_t)(UINT32_MAX / 20))

void lp_cpu_random_permutation(LpGenerator *g, void *data, LpDtype dtype, int64_t n) {
  size_t size = lp_dtype_size(dtype);
  if (n >= WIDE_PERMUTATION) { /* only 32- and 64-bit dtypes can hold it: checked by the
                                  caller */
    for (int64_t i = 0; i < n; i++) {
      int64_t j = (int64_t)(lp_random_64(g) % (uint64_t)(i + 1));
      char *at_i = (char *)data + i * (int64_t)size,
           *at_j = (char *)data + j * (int64_t)size;
      for (size_t b = 0; b < size; b++) at_i[b] = at_j[b];
      stores_int[dtype](at_j, 0, &i, 1);
    }
    return;
  }
  for (int64_t i = 0; i < n; i++)
    stores_int[dtype]((char *)data + i * (int64_t)size, 0, &i, 1);
  uint32_t words[BLOCK];
  int at = BLOCK;
  switch (size) {
  case 1: SHUFFLE(uint8_t); break;
  case 2: SHUFFLE(uint16_t); break;
  case 4: SHUFFLE(uint32_t); break;
  default: SHUFFLE(uint64_t);
  }
}

/* Hoermann's transformed rejection (1993) from rate 10 on, products of uniforms below. */
double lp_cpu_random_poisson(LpGenerator *g, double rate) {
  if (rate == 0) return 0;
  if (rate < 10) {
    double bound = exp(-rate), product = lp_random_double(g);
    int64_t k = 0;
    for (; product > bound; k++) product *= lp_random_double(g);
    return (double)k;
  }
  double root = sqrt(rate), log_rate = log(rate);
  double b = 0.931 + 2.53 * root, a = -0.059 + 0.02483 * b;
  double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    double u = lp_random_double(g) - 0.5, v = lp_random_double(g);
    double us = 0.5 - fabs(u);
    double k = floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= v_r) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (log(v) + log(inverse_alpha) - log(a / (us * us) + b) <=
        -rate + k * log_rate - lgamma(k + 1))
      return k;
  }
}

/* The part of log(k!) that Stirling's series adds to its leading terms. */
static double stirling_tail(double k) {
  static const double table[10] = {
      0.0810614667953272,  0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
      0.0166446911898211,  0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
      0.00925546218271273, 0.00833056343336287};
  if (k < 10) return table[(int)k];
  double square = (k + 1) * (k + 1);
  return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1);
}

static double as_stored(double v, bool single) {
  return single ? (float)v : v;
}

/* Hoermann's transformed rejection BTRS (1993) where count * p >= 10. */
static double binomial_rejection(LpGenerator *g, double count, double p, bool single) {
  double mean = as_stored(count * p, single), q = as_stored(1 - p, single);
  double spread = as_stored(sqrt(as_stored(mean * q, single)), single);
  double b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * p, c = mean + 0.5;
  double v_r = 0.92 - 4.2 / b, r = as_stored(p / q, single),
         alpha = (2.83 + 5.1 / b) * spread;
  double m = floor(as_stored(as_stored(count + 1, single) * p, single));
  /* Most draws are taken at once; the bound is for counts whose neighbours a double
   * cannot tell. */
  for (int tries = 0; tries < 10000; tries++) {
    double u = lp_random_double(g) - 0.5, v = lp_random_double(g), us = 0.5 - fabs(u);
    double k = as_stored(floor((2 * a / us + b) * u + c), single);
    if (k < 0 || k > count) continue;
    if (us >= 0.07 && v <= v_r) return k;
    double rest = as_stored(as_stored(count - k, single) + 1, single);
    v = log(v * alpha / (a / (us * us) + b));
    double bound = (m + 0.5) * log((m + 1) / (r * (count - m + 1))) +
                   as_stored(count + 1, single) * log((count - m + 1) / rest) +
                   (k + 0.5) * log(r * rest / as_stored(k + 1, single)) +
                   stirling_tail(m) + stirling_tail(count - m) - stirling_tail(k) -
                   stirling_tail(as_stored(count - k, single));
    if (v <= bound) return k;
  }
  return floor(mean);
}

/* Sums of geometric waiting times otherwise. */
static double binomial_inversion(LpGenerator *g, double count, double p, bool single) {
  double log_q = single ? log1pf(-(float)p) : log1p(-p), sum = 0, successes = 0;
  for (;;) {
    sum += ceil(log(lp_random_double(g)) / log_q);
    if (sum > count) return successes;
    successes++;
  }
}

double lp_cpu_random_binomial(LpGenerator *g, double count, double p, bool single) {
  if (count <= 0 || p <= 0) return 0;
  if (p >= 1) return count;
  if (!(p <= 0.5) && !(p > 0.5)) return NAN;
  if (!(count < INFINITY)) return count;
  double rarer = p <= 0.5 ? p : as_stored(1.0 - p, single);
  double k = as_stored(count * rarer, single) >= 10
                 ? binomial_rejection(g, count, rarer, single)
                 : binomial_inversion(g, count, rarer, single);
  return p <= 0.5 ? k : count - k;
}
