/* The errors of float64's elementary functions against long double, in ulp, over their
 * whole range, as the comments of cpu/simd/vecmath_f64.h promise; and those of float32's
 * special functions (cpu/simd/vecmath_special.h) against double. */
#include <float.h>
#include <stdlib.h>
#include "dispatch/pointwise.h"
#include "lampad/ops.h"
#include "test.h"

#define HALF_PI 1.57079632679489661923L
enum { COUNT = 20000 };
typedef LpTensor *(*Unary)(LpTensor *);

static const struct {
  const char *name;
  Unary f;
  long double (*want)(long double);
  double from, to; /* evenly spread; by exponent where from is above 0 */
  double ulps;
} ranges[] = {
    {"exp", lp_exp, expl, -746, 710, 0.81},
    {"exp", lp_exp, expl, -1, 1, 0.81},
    {"exp", lp_exp, expl, DBL_TRUE_MIN, 1, 0.81},
    {"tanh", lp_tanh, tanhl, -20, 20, 1.3},
    {"tanh", lp_tanh, tanhl, -1, 1, 1.3},
    {"tanh", lp_tanh, tanhl, DBL_TRUE_MIN, DBL_MAX, 1.3},
    {"erf", lp_erf, erfl, -6.5, 6.5, 1.4},
    {"erf", lp_erf, erfl, -1.2, 1.2, 1.4},
    {"erf", lp_erf, erfl, DBL_TRUE_MIN, DBL_MAX, 1.4},
    {"log", lp_log, logl, DBL_TRUE_MIN, DBL_MAX, 0.9},
    {"log", lp_log, logl, 0.5, 2, 0.9},
    {"log2", lp_log2, log2l, DBL_TRUE_MIN, DBL_MAX, 2.1},
    {"log2", lp_log2, log2l, 0.5, 2, 2.1},
    {"log10", lp_log10, log10l, DBL_TRUE_MIN, DBL_MAX, 2.1},
    {"log10", lp_log10, log10l, 0.5, 2, 2.1},
    {"expm1", lp_expm1, expm1l, -50, 710, 1.6},
    {"expm1", lp_expm1, expm1l, -1, 1, 1.6},
    {"expm1", lp_expm1, expm1l, DBL_TRUE_MIN, 1, 1.6},
    {"asin", lp_asin, asinl, -1, 1, 1.7},
    {"asin", lp_asin, asinl, DBL_TRUE_MIN, 1, 1.7},
    {"acos", lp_acos, acosl, -1, 1, 1.2},
    {"acos", lp_acos, acosl, 0.99, 1, 1.2},
    {"atan", lp_atan, atanl, -5, 5, 1.5},
    {"atan", lp_atan, atanl, DBL_TRUE_MIN, DBL_MAX, 1.5},
    {"sin", lp_sin, sinl, -140000, 140000, 1},
    {"sin", lp_sin, sinl, -7, 7, 1},
    {"sin", lp_sin, sinl, DBL_TRUE_MIN, 1e9, 1},
    {"cos", lp_cos, cosl, -140000, 140000, 1},
    {"cos", lp_cos, cosl, -7, 7, 1},
    {"cos", lp_cos, cosl, DBL_TRUE_MIN, 1e9, 1},
    {"tan", lp_tan, tanl, -140000, 140000, 2.1},
    {"tan", lp_tan, tanl, -7, 7, 2.1},
    {"tan", lp_tan, tanl, DBL_TRUE_MIN, 1e9, 2.1},
};

/* The distance of two numbers in units of the last place of the second. */
static double distance_ulps(double got, long double want) {
  const double rounded = (double)want;
  if (got == rounded || (isnan(got) && isnan(rounded))) return 0;
  if (!isfinite(got) || !isfinite(rounded)) return INFINITY;
  int exponent;
  frexpl(want, &exponent);
  if (exponent < DBL_MIN_EXP) exponent = DBL_MIN_EXP;
  return (double)ldexpl(fabsl(got - want), DBL_MANT_DIG - exponent);
}

static double place(size_t range, int i) {
  const double from = ranges[range].from, to = ranges[range].to;
  const double part = fmod(i * 0.6180339887498949, 1);
  return from > 0 ? exp2(log2(from) + part * (log2(to) - log2(from)))
                  : from + part * (to - from);
}

TEST(accuracy_of_float64_functions) {
  const int64_t count = COUNT;
  for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++) {
    LpTensor *x = lp_tensor_new(lp_ints(&count, 1), LP_FLOAT64, lp_cpu());
    double *xs = lp_data(x), worst = 0, at = 0;
    for (int i = 0; i < COUNT; i++) xs[i] = place(k, i);
    LpTensor *y = ranges[k].f(x);
    for (int i = 0; i < COUNT; i++) {
      const double error =
          distance_ulps(((double *)lp_data(y))[i], ranges[k].want((long double)xs[i]));
      if (error <= worst) continue;
      worst = error;
      at = xs[i];
    }
    if (worst > ranges[k].ulps)
      test_failure(__FILE__, __LINE__, "%s(%.17g): %.2f ulp", ranges[k].name, at, worst);
    lp_tensor_release(x);
    lp_tensor_release(y);
  }
}

/* One step of Newton's method from float32's own result: erf is well known. */
static double inverse_erf(double y, double got) {
  return got - (erf(got) - y) * 0.88622692545275801365 * exp(got * got);
}

TEST(accuracy_of_float32_special_functions) {
  static const struct {
    const char *name;
    Unary f;
    double from, to; /* by exponent where from is above 0 */
    double ulps;
  } rows[] = {
      {"erfc", lp_erfc, -4, 4, 5},
      {"erfc", lp_erfc, -0.8, 0.8, 5},
      {"erfc", lp_erfc, 1, 9, 5},
      {"erfinv", lp_erfinv, -1, 1, 3},
      {"erfinv", lp_erfinv, -0.1, 0.1, 3},
      {"erfinv", lp_erfinv, 1e-30, 1, 3},
      {"digamma", lp_digamma, 1.46, 1.4632, 1.5},
      {"digamma", lp_digamma, -20, 20, 1.5},
      {"digamma", lp_digamma, 1e-30, 1e30, 1.5},
  };
  const int64_t count = COUNT;
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    const double from = rows[k].from, to = rows[k].to;
    LpTensor *x = lp_tensor_new(lp_ints(&count, 1), LP_FLOAT32, lp_cpu()),
             *wide = lp_tensor_new(lp_ints(&count, 1), LP_FLOAT64, lp_cpu());
    float *xs = lp_data(x);
    for (int i = 0; i < COUNT; i++) {
      const double part = fmod(i * 0.6180339887498949, 1);
      xs[i] = (float)(from > 0 ? exp2(log2(from) + part * (log2(to) - log2(from)))
                               : from + part * (to - from));
      ((double *)lp_data(wide))[i] = xs[i];
    }
    LpTensor *y = rows[k].f(x), *exact = rows[k].f(wide);
    for (int i = 0; i < COUNT; i++) {
      const double got = ((float *)lp_data(y))[i];
      const double want = rows[k].f == lp_erfc     ? erfc(xs[i])
                          : rows[k].f == lp_erfinv ? inverse_erf(xs[i], got)
                                                   : ((double *)lp_data(exact))[i];
      int exponent;
      frexp(want, &exponent);
      const double error = ldexp(fabs(got - want), FLT_MANT_DIG - exponent);
      if (!(error <= rows[k].ulps) && isfinite(want))
        test_failure(__FILE__, __LINE__, "%s(%.9g): %.2f ulp", rows[k].name, xs[i],
                     error);
    }
    lp_tensor_release(x);
    lp_tensor_release(wide);
    lp_tensor_release(y);
    lp_tensor_release(exact);
  }
}

static bool same(double a, double b) {
  return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

TEST(accuracy_at_the_ends) {
  static const double ends[] = {0.0,    -0.0,         INFINITY, -INFINITY, NAN,
                                1,      DBL_TRUE_MIN, DBL_MAX,  -DBL_MAX,  -DBL_TRUE_MIN,
                                709.79, DBL_MIN,      -745.2,   -745.1};
  const int64_t count = sizeof ends / sizeof *ends;
  static const struct {
    const char *name;
    Unary f;
    double (*want)(double);
  } functions[] = {
      {"exp", lp_exp, exp},       {"tanh", lp_tanh, tanh}, {"erf", lp_erf, erf},
      {"log", lp_log, log},       {"log2", lp_log2, log2}, {"log10", lp_log10, log10},
      {"expm1", lp_expm1, expm1}, {"asin", lp_asin, asin}, {"acos", lp_acos, acos},
      {"atan", lp_atan, atan},    {"sin", lp_sin, sin},    {"cos", lp_cos, cos},
      {"tan", lp_tan, tan}};
  LpTensor *x = lp_tensor_new(lp_ints(&count, 1), LP_FLOAT64, lp_cpu());
  memcpy(lp_data(x), ends, sizeof ends);
  for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
    LpTensor *y = functions[k].f(x);
    for (int64_t i = 0; i < count; i++) {
      const double got = ((double *)lp_data(y))[i], want = functions[k].want(ends[i]);
      if (!same(got, want) && distance_ulps(got, want) > 1)
        test_failure(__FILE__, __LINE__, "%s(%g) is %.17g, expected %.17g",
                     functions[k].name, ends[i], got, want);
    }
    lp_tensor_release(y);
  }
  lp_tensor_release(x);
}

/* log10 of powers of ten and log2 of powers of two are whole numbers. */
TEST(accuracy_of_whole_logarithms) {
  const int64_t count = 601;
  LpTensor *x = lp_tensor_new(lp_ints(&count, 1), LP_FLOAT64, lp_cpu());
  double *xs = lp_data(x);
  for (int k = -300; k <= 300; k++) xs[k + 300] = ldexp(1, k);
  LpTensor *y = lp_log2(x);
  for (int k = -300; k <= 300; k++) EXPECT(((double *)lp_data(y))[k + 300] == k);
  lp_tensor_release(y);
  for (int k = 0; k <= 300; k++) {
    char text[16];
    snprintf(text, sizeof text, "1e%d", k);
    xs[k] = strtod(text, NULL);
  }
  y = lp_log10(x);
  for (int k = 0; k <= 300; k++) EXPECT(((double *)lp_data(y))[k] == k);
  lp_tensor_release(y);
  lp_tensor_release(x);
}

/* Next to their zeros functions keep their digits: at the double nearest to k pi / 2 the
 * sine or cosine is what rounding left of pi. */
TEST(accuracy_near_zeros) {
  const int64_t count = 8192;
  LpTensor *x = lp_tensor_new(lp_ints(&count, 1), LP_FLOAT64, lp_cpu());
  double *xs = lp_data(x);
  for (int k = 0; k < count; k++) xs[k] = (double)((k * 10 + 1) * (HALF_PI));
  LpTensor *c = lp_cos(x), *t = lp_tan(x);
  for (int k = 0; k < count; k++) {
    EXPECT(distance_ulps(((double *)lp_data(c))[k], cosl(xs[k])) < 1);
    EXPECT(distance_ulps(((double *)lp_data(t))[k], tanl(xs[k])) < 2.1);
    xs[k] = (double)(k * 10 * (HALF_PI));
  }
  LpTensor *s = lp_sin(x);
  for (int k = 0; k < count; k++)
    EXPECT(distance_ulps(((double *)lp_data(s))[k], sinl(xs[k])) < 1);
  LpTensor *all[] = {x, c, t, s};
  for (int k = 0; k < 4; k++) lp_tensor_release(all[k]);
}
