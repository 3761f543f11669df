/* Elementwise kernels: values against mathematics, special cases, dtypes, strides,
 * errors. */
#include "dispatch/pointwise.h"
#include <stdlib.h>
#include "core/parallel.h"
#include "dispatch/shape.h"
#include "lampad/memory.h"
#include "lampad/ops.h"
#include "test.h"

#define INTS(...)                                                                        \
  lp_ints((const int64_t[]){__VA_ARGS__},                                                \
          sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define COUNT(a) ((int64_t)(sizeof(a) / sizeof *(a)))
#define TENSOR(dtype, ...)                                                               \
  make(dtype, (double[]){__VA_ARGS__}, COUNT(((double[]){__VA_ARGS__})))

static LpTensor *make(LpDtype dtype, const double *values, int64_t n) {
  LpTensor *t = lp_tensor_new(lp_ints(&n, 1), dtype, lp_cpu());
  lp_cast_loop(dtype, LP_FLOAT64)((char *[]){lp_data(t), (char *)values},
                                  (int64_t[]){(int64_t)lp_dtype_size(dtype), 8}, n, NULL);
  return t;
}
static double value(LpTensor *t, int64_t i) {
  double v = NAN;
  if (!t) return NAN;
  lp_cast_loop(LP_FLOAT64, t->dtype)(
      (char *[]){(char *)&v, (char *)lp_data(t) + i * (int64_t)lp_dtype_size(t->dtype)},
      (int64_t[]){8, 0}, 1, NULL);
  return v;
}
/* Consumes t. Compares relatively, NaN equal to NaN. */
static void expect_values(int line, LpTensor *t, LpDtype dtype, const double *want,
                          int64_t n, double tol) {
  if (!t) {
    test_failure(__FILE__, line, "failed: %s", lp_last_error()->message);
    return;
  }
  if (t->dtype != dtype || t->numel != n)
    test_failure(__FILE__, line, "got %s of %lld elements", lp_dtype_name(t->dtype),
                 (long long)t->numel);
  else
    for (int64_t i = 0; i < n; i++) {
      double got = value(t, i);
      bool same = got == want[i] || (isnan(got) && isnan(want[i])) ||
                  fabs(got - want[i]) <= tol * fabs(want[i]);
      if (!same)
        test_failure(__FILE__, line, "element %lld is %.17g, expected %.17g",
                     (long long)i, got, want[i]);
    }
  lp_tensor_release(t);
}
#define EXPECT_VALUES(call, dtype, tol, ...)                                             \
  expect_values(__LINE__, call, dtype, (double[]){__VA_ARGS__},                          \
                COUNT(((double[]){__VA_ARGS__})), tol)

typedef LpTensor *(*Unary)(LpTensor *);

TEST(pointwise_elementary_functions) {
  /* f(0.7) to 20 digits. */
  static const struct {
    const char *name;
    Unary f;
    double at, want;
  } table[] = {{"exp", lp_exp, 0.7, 2.0137527074704765216},
               {"exp2", lp_exp2, 0.7, 1.6245047927124710452},
               {"expm1", lp_expm1, 1e-10, 1.00000000005e-10},
               {"log", lp_log, 0.7, -0.35667494393873237891},
               {"log2", lp_log2, 0.7, -0.51457317282975824043},
               {"log10", lp_log10, 0.7, -0.15490195998574316929},
               {"log1p", lp_log1p, 1e-10, 9.9999999995e-11},
               {"sqrt", lp_sqrt, 0.7, 0.83666002653407554798},
               {"rsqrt", lp_rsqrt, 0.7, 1.1952286093343936400},
               {"sin", lp_sin, 0.7, 0.64421768723769105367},
               {"cos", lp_cos, 0.7, 0.76484218728448842626},
               {"tan", lp_tan, 0.7, 0.84228838046307944813},
               {"asin", lp_asin, 0.7, 0.77539749661075306374},
               {"acos", lp_acos, 0.7, 0.79539883018414355549},
               {"atan", lp_atan, 0.7, 0.61072596438920861654},
               {"sinh", lp_sinh, 0.7, 0.75858370183953350346},
               {"cosh", lp_cosh, 0.7, 1.2551690056309430182},
               {"tanh", lp_tanh, 0.7, 0.60436777711716349631},
               {"asinh", lp_asinh, 0.7, 0.65266656608235578681},
               {"acosh", lp_acosh, 1.7, 1.1232309825872958895},
               {"atanh", lp_atanh, 0.7, 0.86730052769405319443},
               {"sigmoid", lp_sigmoid, 0.7, 0.66818777216816610653},
               {"erf", lp_erf, 0.7, 0.67780119383741847298},
               {"erfc", lp_erfc, 0.7, 0.32219880616258152702},
               {"erfinv", lp_erfinv, 0.7, 0.73286907795921685222},
               {"lgamma", lp_lgamma, 0.7, 0.26086724653166651439},
               {"digamma", lp_digamma, 0.7, -1.2200235536979346147},
               {"sinc", lp_sinc, 0.7, 0.36788301057177418929},
               {"silu", lp_silu, 0.7, 0.46773144051771627457},
               {"mish", lp_mish, 0.7, 0.56114837764385190172},
               {"logsigmoid", lp_logsigmoid, 0.7, -0.40318604888545789319}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    LpTensor *d = TENSOR(LP_FLOAT64, table[i].at), *f = TENSOR(LP_FLOAT32, table[i].at);
    LpTensor *rd = table[i].f(d), *rf = table[i].f(f);
    if (!(fabs(value(rd, 0) - table[i].want) <= 1e-12 * fabs(table[i].want)))
      test_failure(__FILE__, __LINE__, "%s(%g) = %.17g, expected %.17g", table[i].name,
                   table[i].at, value(rd, 0), table[i].want);
    /* the argument is rounded, too: a few ulp of slack */
    if (!(fabs(value(rf, 0) - table[i].want) <= 4e-7 * fabs(table[i].want)))
      test_failure(__FILE__, __LINE__, "%s(%gf) = %.9g, expected %.9g", table[i].name,
                   table[i].at, value(rf, 0), table[i].want);
    lp_tensor_release(rd);
    lp_tensor_release(rf);
    lp_tensor_release(d);
    lp_tensor_release(f);
  }
}

TEST(pointwise_special_values) {
  LpTensor *x = TENSOR(LP_FLOAT32, INFINITY, -INFINITY, NAN, 0, -0.0, 200, -200);
  EXPECT_VALUES(lp_exp(x), LP_FLOAT32, 0, INFINITY, 0, NAN, 1, 1, INFINITY, 0);
  EXPECT_VALUES(lp_tanh(x), LP_FLOAT32, 0, 1, -1, NAN, 0, 0, 1, -1);
  EXPECT_VALUES(lp_erf(x), LP_FLOAT32, 0, 1, -1, NAN, 0, 0, 1, -1);
  EXPECT_VALUES(lp_sigmoid(x), LP_FLOAT32, 0, 1, 0, NAN, 0.5, 0.5, 1, 0);
  EXPECT_VALUES(lp_relu(x), LP_FLOAT32, 0, INFINITY, 0, NAN, 0, 0, 200, 0);
  EXPECT_VALUES(lp_softplus(x, lp_scalar_int(1), lp_scalar_int(20)), LP_FLOAT32, 1e-6,
                INFINITY, 0, NAN, 0.69314718055994530942, 0.69314718055994530942, 200, 0);
  EXPECT_VALUES(lp_isnan(x), LP_BOOL, 0, 0, 0, 1, 0, 0, 0, 0);
  EXPECT_VALUES(lp_isinf(x), LP_BOOL, 0, 1, 1, 0, 0, 0, 0, 0);
  EXPECT_VALUES(lp_isfinite(x), LP_BOOL, 0, 0, 0, 0, 1, 1, 1, 1);
  EXPECT_VALUES(lp_signbit(x), LP_BOOL, 0, 0, 1, signbit((float)NAN) != 0, 0, 1, 0, 1);
  EXPECT_VALUES(lp_sign(x), LP_FLOAT32, 0, 1, -1, 0, 0, 0, 1, -1);
  EXPECT_VALUES(lp_nan_to_num(x, (LpOptFloat){0}, (LpOptFloat){true, 7}, (LpOptFloat){0}),
                LP_FLOAT32, 1e-7, 7, -3.4028234663852886e38, 0, 0, 0, 200, -200);
  lp_tensor_release(x);
  LpTensor *halves = TENSOR(LP_FLOAT64, 0.5, 1.5, 2.5, -0.5, -1.5);
  EXPECT_VALUES(lp_round(halves), LP_FLOAT64, 0, 0, 2, 2, 0, -2);
  EXPECT_VALUES(lp_floor(halves), LP_FLOAT64, 0, 0, 1, 2, -1, -2);
  EXPECT_VALUES(lp_trunc(halves), LP_FLOAT64, 0, 0, 1, 2, 0, -1);
  EXPECT_VALUES(lp_frac(halves), LP_FLOAT64, 0, 0.5, 0.5, 0.5, -0.5, -0.5);
  lp_tensor_release(halves);
  LpTensor *poles = TENSOR(LP_FLOAT64, 0, -1, 1, -1.5);
  EXPECT_VALUES(lp_digamma(poles), LP_FLOAT64, 1e-13, -INFINITY, NAN,
                -0.57721566490153286061, 0.70315664064524318723);
  EXPECT_VALUES(lp_polygamma(1, poles), LP_FLOAT64, 1e-13, INFINITY, INFINITY,
                1.6449340668482264365, 9.3792466449891237539);
  EXPECT_VALUES(lp_erfinv(poles), LP_FLOAT64, 0, 0, -INFINITY, INFINITY, NAN);
  lp_tensor_release(poles);
}

TEST(pointwise_activations) {
  LpTensor *x = TENSOR(LP_FLOAT64, -2, -0.25, 0, 0.25, 2, 8);
  EXPECT_VALUES(lp_gelu(x, "none"), LP_FLOAT64, 1e-12, -0.045500263896358413,
                -0.10032341857926907, 0, 0.14967658142073093, 1.9544997361036416,
                7.9999999999999951);
  EXPECT_VALUES(lp_gelu(x, "tanh"), LP_FLOAT64, 1e-9, -0.045402305912224981,
                -0.10032464929831500, 0, 0.14967535070168500, 1.954597694087647, 8);
  EXPECT_VALUES(lp_leaky_relu(x, lp_scalar_float(0.5)), LP_FLOAT64, 0, -1, -0.125, 0,
                0.25, 2, 8);
  EXPECT_VALUES(lp_elu(x, lp_scalar_int(2), lp_scalar_int(1), lp_scalar_int(1)),
                LP_FLOAT64, 1e-12, -1.7293294335267746, -0.44239843385719026, 0, 0.25, 2,
                8);
  EXPECT_VALUES(lp_hardtanh(x, lp_scalar_int(-1), lp_scalar_int(1)), LP_FLOAT64, 0, -1,
                -0.25, 0, 0.25, 1, 1);
  EXPECT_VALUES(lp_relu6(x), LP_FLOAT64, 0, 0, 0, 0, 0.25, 2, 6);
  EXPECT_VALUES(lp_hardswish(x), LP_FLOAT64, 1e-15, -1.0 / 3, -0.25 * 2.75 / 6, 0,
                0.25 * 3.25 / 6, 5.0 / 3, 8);
  EXPECT_VALUES(lp_softshrink(x, lp_scalar_float(0.5)), LP_FLOAT64, 0, -1.5, 0, 0, 0, 1.5,
                7.5);
  EXPECT_VALUES(lp_hardshrink(x, lp_scalar_float(0.5)), LP_FLOAT64, 0, -2, 0, 0, 0, 2, 8);
  EXPECT_VALUES(lp_threshold(x, lp_scalar_float(0.1), lp_scalar_int(20)), LP_FLOAT64, 0,
                20, 20, 20, 0.25, 2, 8);
  EXPECT_FAILS(lp_gelu(x, "sigmoid"), LP_ERR_ARGUMENT,
               "expected 'none' or 'tanh', got 'sigmoid'");
  lp_tensor_release(x);
}

TEST(pointwise_integers_follow_python) {
  LpTensor *a = TENSOR(LP_INT32, 7, -7, 7, -7, -2147483648.0),
           *b = TENSOR(LP_INT32, 2, 2, -2, -2, -1);
  LpScalar one = lp_scalar_int(1);
  EXPECT_VALUES(lp_floor_divide(a, b), LP_INT32, 0, 3, -4, -4, 3, -2147483648.0);
  EXPECT_VALUES(lp_remainder(a, b), LP_INT32, 0, 1, 1, -1, -1, 0);
  EXPECT_VALUES(lp_fmod(a, b), LP_INT32, 0, 1, -1, 1, -1, 0);
  EXPECT_VALUES(lp_div(a, b), LP_FLOAT32, 0, 3.5, -3.5, -3.5, 3.5, 2147483648.0);
  EXPECT_VALUES(lp_div_mode(a, b, "trunc"), LP_INT32, 0, 3, -3, -3, 3, -2147483648.0);
  EXPECT_VALUES(lp_add(a, b, lp_scalar_int(-1)), LP_INT32, 0, 5, -9, 9, -5,
                -2147483647.0);
  EXPECT_VALUES(lp_neg(a), LP_INT32, 0, -7, 7, -7, 7, -2147483648.0);
  EXPECT_VALUES(lp_pow(b, b), LP_INT32, 0, 4, 4, 0, 0, -1);
  EXPECT_FAILS(lp_add(a, b, lp_scalar_float(0.5)), LP_ERR_TYPE,
               "alpha must not be a floating point number");
  LpTensor *zero = TENSOR(LP_INT32, 1, 1, 0, 1, 1),
           *minus = lp_tensor_wrapped(lp_scalar_int(-1));
  EXPECT_FAILS(lp_floor_divide(a, zero), LP_ERR_ARGUMENT, "ZeroDivisionError");
  EXPECT_FAILS(lp_remainder(a, zero), LP_ERR_ARGUMENT, "ZeroDivisionError");
  EXPECT_FAILS(lp_div_mode(a, zero, "trunc"), LP_ERR_ARGUMENT, "ZeroDivisionError");
  EXPECT_FAILS(lp_pow(a, minus), LP_ERR_ARGUMENT, "negative integer powers");
  EXPECT_FAILS(lp_div_mode(a, b, "round"), LP_ERR_ARGUMENT,
               "'trunc' or 'floor', got 'round'");
  EXPECT_FAILS(lp_frac(a), LP_ERR_TYPE, "expected a tensor of floating dtype, got int32");
  LpTensor *bytes = TENSOR(LP_UINT8, 250, 3), *ten = TENSOR(LP_UINT8, 10, 5);
  EXPECT_VALUES(lp_add(bytes, ten, one), LP_UINT8, 0, 4, 8);
  EXPECT_VALUES(lp_sub(bytes, ten, one), LP_UINT8, 0, 240, 254);
  EXPECT_VALUES(lp_gcd(bytes, ten), LP_UINT8, 0, 10, 1);
  EXPECT_VALUES(lp_lcm(ten, ten), LP_UINT8, 0, 10, 5);
  EXPECT_VALUES(lp_bitwise_left_shift(bytes, ten), LP_UINT8, 0, 0, 96);
  LpTensor *all[] = {a, b, zero, minus, bytes, ten};
  for (int i = 0; i < 6; i++) lp_tensor_release(all[i]);
}

TEST(pointwise_bools) {
  LpTensor *a = TENSOR(LP_BOOL, 1, 1, 0, 0), *b = TENSOR(LP_BOOL, 1, 0, 1, 0);
  LpScalar one = lp_scalar_int(1);
  EXPECT_VALUES(lp_add(a, b, one), LP_BOOL, 0, 1, 1, 1, 0);
  EXPECT_VALUES(lp_mul(a, b), LP_BOOL, 0, 1, 0, 0, 0);
  EXPECT_VALUES(lp_bitwise_xor(a, b), LP_BOOL, 0, 0, 1, 1, 0);
  EXPECT_VALUES(lp_lt(a, b), LP_BOOL, 0, 0, 0, 1, 0);
  EXPECT_VALUES(lp_bitwise_not(a), LP_BOOL, 0, 0, 0, 1, 1);
  EXPECT_VALUES(lp_exp(b), LP_FLOAT32, 1e-6, 2.7182818284590452, 1, 2.7182818284590452,
                1);
  EXPECT_FAILS(lp_sub(a, b, one), LP_ERR_TYPE, "logical_xor");
  EXPECT_FAILS(lp_neg(a), LP_ERR_TYPE, "logical_not");
  lp_tensor_release(a);
  lp_tensor_release(b);
}

TEST(pointwise_floats_of_two) {
  LpTensor *a = TENSOR(LP_FLOAT64, 7, -7, NAN, 0, 3),
           *b = TENSOR(LP_FLOAT64, -2, 2, 1, -0.0, INFINITY);
  EXPECT_VALUES(lp_floor_divide(a, b), LP_FLOAT64, 0, -4, -4, NAN, NAN, 0);
  EXPECT_VALUES(lp_remainder(a, b), LP_FLOAT64, 0, -1, 1, NAN, NAN, 3);
  EXPECT_VALUES(lp_maximum(a, b), LP_FLOAT64, 0, 7, 2, NAN, 0, INFINITY);
  EXPECT_VALUES(lp_fmin(a, b), LP_FLOAT64, 0, -2, -7, 1, 0, 3);
  EXPECT_VALUES(lp_copysign(a, b), LP_FLOAT64, 0, -7, 7, NAN, 0, 3);
  EXPECT_VALUES(lp_atan2(a, b), LP_FLOAT64, 1e-15, 1.8490959858000080,
                -1.2924966677897853, NAN, M_PI, 0);
  EXPECT_VALUES(lp_logaddexp(b, b), LP_FLOAT64, 1e-15, -1.3068528194400547,
                2.6931471805599453, 1.6931471805599453, 0.69314718055994531, INFINITY);
  LpTensor *two = lp_tensor_wrapped(lp_scalar_int(2)),
           *half = lp_tensor_wrapped(lp_scalar_float(0.5));
  EXPECT_VALUES(lp_pow(a, two), LP_FLOAT64, 0, 49, 49, NAN, 0, 9);
  EXPECT_VALUES(lp_pow(a, half), LP_FLOAT64, 1e-15, 2.6457513110645906, NAN, NAN, 0,
                1.7320508075688773);
  EXPECT_VALUES(lp_pow(two, b), LP_FLOAT64, 1e-15, 0.25, 4, 2, 1, INFINITY);
  LpTensor *h = TENSOR(LP_FLOAT16, 1, -0.0), *up = TENSOR(LP_FLOAT16, 2, 1);
  EXPECT_VALUES(lp_nextafter(h, up), LP_FLOAT16, 0, 1.0009765625, 5.9604644775390625e-08);
  EXPECT_VALUES(lp_add(h, half, lp_scalar_int(1)), LP_FLOAT16, 0, 1.5, 0.5);
  EXPECT_VALUES(lp_exp(h), LP_FLOAT16, 0, 2.71875, 1);
  LpTensor *all[] = {a, b, two, half, h, up};
  for (int i = 0; i < 6; i++) lp_tensor_release(all[i]);
}

TEST(pointwise_complex) {
  LpTensor *z = lp_tensor_new(INTS(2), LP_COMPLEX128, lp_cpu());
  memcpy(lp_data(z), (double[]){3, 4, 0, 0}, 32);
  EXPECT_VALUES(lp_abs(z), LP_FLOAT64, 1e-15, 5, 0);
  EXPECT_VALUES(lp_angle(z), LP_FLOAT64, 1e-15, 0.92729521800161223, 0);
  EXPECT_VALUES(lp_isreal(z), LP_BOOL, 0, 0, 1);
  LpTensor *s = lp_sqrt(z), *c = lp_conj(z), *q = lp_div(z, c);
  EXPECT(s && ((double *)lp_data(s))[0] == 2 && ((double *)lp_data(s))[1] == 1);
  EXPECT(c && ((double *)lp_data(c))[1] == -4);
  EXPECT_NEAR(((double *)lp_data(q))[0], -0.28, 1e-15);
  EXPECT_NEAR(((double *)lp_data(q))[1], 0.96, 1e-15);
  EXPECT_FAILS(lp_lt(z, z), LP_ERR_TYPE, "got complex128");
  LpTensor *all[] = {z, s, c, q};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}

/* Tails, strides, broadcasting and threads give the bits that whole vectors give. */
TEST(pointwise_is_the_same_at_every_place) {
  const int64_t n = 100003;
  LpTensor *x = lp_tensor_new(INTS(n), LP_FLOAT32, lp_cpu());
  for (int64_t i = 0; i < n; i++)
    ((float *)lp_data(x))[i] = (float)((i * 7919 % 2003) - 1001) / 200;
  Unary functions[] = {lp_exp, lp_tanh, lp_erf, lp_sin, lp_sigmoid, lp_silu, lp_log1p};
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    LpTensor *whole = functions[f](x);
    bool same = whole != NULL;
    for (int64_t at = 0; same && at < 40; at++) {
      LpTensor *part = lp_tensor_alias(x, INTS(1 + at), INTS(1), at * 997),
               *r = functions[f](part);
      same = same && memcmp(lp_data(r), (float *)lp_data(whole) + at * 997,
                            (size_t)(1 + at) * 4) == 0;
      lp_tensor_release(part);
      lp_tensor_release(r);
    }
    LpTensor *every = lp_tensor_alias(x, INTS(300), INTS(333), 5),
             *r = functions[f](every);
    for (int64_t i = 0; same && i < 300; i++)
      same =
          memcmp((float *)lp_data(r) + i, (float *)lp_data(whole) + 5 + 333 * i, 4) == 0;
    EXPECT(same);
    lp_tensor_release(every);
    lp_tensor_release(r);
    lp_tensor_release(whole);
  }
  lp_tensor_release(x);
}

TEST(pointwise_in_place_and_out) {
  LpTensor *x = TENSOR(LP_FLOAT32, 1, 2, 3), *y = TENSOR(LP_FLOAT64, 10, 20, 30),
           *i = TENSOR(LP_INT64, 1, 2, 3);
  EXPECT(lp_add_(x, y, lp_scalar_int(1)) && value(x, 2) == 33 && x->dtype == LP_FLOAT32);
  EXPECT(lp_mul_(i, i) && value(i, 2) == 9);
  EXPECT_FAILS(lp_add_(i, x, lp_scalar_int(1)), LP_ERR_TYPE,
               "Float can't be cast to the desired output type Long");
  EXPECT_FAILS(lp_sigmoid_(i), LP_ERR_TYPE, "can't be cast");
  LpTensor *pair = lp_tensor_new(INTS(2, 3), LP_FLOAT32, lp_cpu()),
           *out = TENSOR(LP_FLOAT64, 0);
  EXPECT_FAILS(lp_add_(x, pair, lp_scalar_int(1)), LP_ERR_ARGUMENT,
               "[3] doesn't match the broadcast shape [2, 3]");
  EXPECT(lp_exp_out(out, x) && out->numel == 3 &&
         fabs(value(out, 0) / 59874.1417 - 1) < 1e-6);
  LpTensor *truth = TENSOR(LP_FLOAT32, 0, 0, 0);
  EXPECT(lp_gt_out(truth, y, x) && value(truth, 0) == 0);
  LpTensor *all[] = {x, y, i, pair, out, truth};
  for (int k = 0; k < 6; k++) lp_tensor_release(all[k]);
}

TEST(pointwise_selection) {
  LpTensor *x = TENSOR(LP_FLOAT32, -2, -1, 0, 1, NAN),
           *m = TENSOR(LP_BOOL, 1, 0, 1, 0, 0);
  LpTensor *nine = lp_tensor_wrapped(lp_scalar_int(9)),
           *i = TENSOR(LP_INT64, 1, 2, 3, 4, 5);
  LpOptScalar low = {true, lp_scalar_float(-1.5)}, high = {true, lp_scalar_int(0)},
              none = {0};
  EXPECT_VALUES(lp_where(m, x, nine), LP_FLOAT32, 0, -2, 9, 0, 9, 9);
  EXPECT_VALUES(lp_where(m, i, nine), LP_INT64, 0, 1, 9, 3, 9, 9);
  EXPECT_VALUES(lp_masked_fill(x, m, nine), LP_FLOAT32, 0, 9, -1, 9, 1, NAN);
  EXPECT_VALUES(lp_clamp(x, low, high), LP_FLOAT32, 0, -1.5, -1, 0, 0, NAN);
  EXPECT_VALUES(lp_clamp(x, none, high), LP_FLOAT32, 0, -2, -1, 0, 0, NAN);
  EXPECT_VALUES(lp_clamp(i, low, none), LP_FLOAT32, 0, 1, 2, 3, 4, 5);
  EXPECT_FAILS(lp_clamp(x, none, none), LP_ERR_ARGUMENT, "at least one of min and max");
  EXPECT_FAILS(lp_where(x, x, x), LP_ERR_TYPE,
               "condition: expected a bool tensor, got float32");
  EXPECT_FAILS(lp_masked_fill(x, m, i), LP_ERR_ARGUMENT,
               "0-dimensional tensor, got shape [5]");
  bool result = true;
  EXPECT(lp_equal(x, x, &result) && !result); /* NaN */
  EXPECT(lp_equal(i, i, &result) && result);
  EXPECT(lp_equal(i, nine, &result) && !result);
  EXPECT(lp_allclose(x, x, 1e-5, 1e-8, true, &result) && result);
  EXPECT_FAILS(lp_allclose(x, i, 1e-5, 1e-8, true, &result), LP_ERR_TYPE,
               "same dtype, got float32 and int64");
  LpTensor *all[] = {x, m, nine, i};
  for (int k = 0; k < 4; k++) lp_tensor_release(all[k]);
}

TEST(pointwise_survives_failing_allocations) {
  LpTensor *x = TENSOR(LP_FLOAT16, 1, 2, 3),
           *y = lp_tensor_new(INTS(4, 1), LP_FLOAT32, lp_cpu()), *r = NULL;
  memset(lp_data(y), 0, 16);
  int failures = 0;
  for (; !r && failures < 30; failures++) {
    lp_memory_fail_after(failures);
    r = lp_clamp(y, (LpOptScalar){true, lp_scalar_int(0)},
                 (LpOptScalar){true, lp_scalar_int(1)});
  }
  lp_memory_fail_after(-1);
  EXPECT(r && failures > 3 && lp_last_error()->code == LP_ERR_MEMORY);
  lp_tensor_release(r);
  r = lp_add(x, y, lp_scalar_int(1));
  EXPECT(r && r->dtype == LP_FLOAT32 && r->numel == 12 && value(r, 11) == 3);
  lp_tensor_release(r);
  lp_tensor_release(x);
  lp_tensor_release(y);
}

/* Rows with gaps between them against the differences of small integers: two rows, a row
 * and a number from either side, into a new tensor and in place. */
TEST(pointwise_takes_rows_as_they_lie) {
  const LpDtype dtypes[] = {LP_UINT8, LP_INT16, LP_FLOAT32, LP_FLOAT64, LP_COMPLEX128};
  const int threads = lp_num_threads();
  for (int n_threads = 1; n_threads <= 3; n_threads++)
    for (int d = 0; d < COUNT(dtypes); d++)
      for (int64_t n = 20; n < 200; n += 7) {
        lp_set_num_threads(n_threads);
        const int64_t rows = 40000 / n, width = n + 3;
        LpTensor *x = lp_tensor_new(INTS(rows, width), LP_FLOAT64, lp_cpu());
        double *from = lp_data(x);
        for (int64_t i = 0; i < x->numel; i++) from[i] = (double)(i * 7 % 50);
        LpTensor *y = lp_cast_raw(x, dtypes[d]), *a = lp_narrow(y, 1, 3, n),
                 *b = lp_narrow(y, 1, 0, n), *column = lp_narrow(y, 1, 1, 1);
        LpTensor *copy = lp_clone(y, LP_CONTIGUOUS), *inner = lp_narrow(copy, 1, 2, n);
        LpTensor *other = lp_clone(y, LP_CONTIGUOUS), *less = lp_narrow(other, 1, 2, n);
        const LpScalar one = lp_scalar_int(1);
        EXPECT(lp_sub_(inner, b, one) && lp_sub_(less, column, one));
        LpTensor *results[] = {lp_sub(a, b, one), lp_sub(a, column, one),
                               lp_sub(column, a, one), lp_contiguous_raw(inner),
                               lp_contiguous_raw(less)};
        for (int k = 0; k < COUNT(results); k++) {
          LpTensor *wide = lp_cast_raw(results[k], LP_FLOAT64);
          const double *got = lp_data(wide);
          int bad = 0;
          for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < n; j++) {
              const double *row = from + i * width;
              const double want[] = {row[j + 3] - row[j], row[j + 3] - row[1],
                                     row[1] - row[j + 3], row[j + 2] - row[j],
                                     row[j + 2] - row[1]};
              const double wraps = dtypes[d] == LP_UINT8 && want[k] < 0 ? 256 : 0;
              bad += got[i * n + j] != want[k] + wraps;
            }
          if (bad)
            test_failure(__FILE__, __LINE__, "%s, rows of %d, case %d: %d wrong",
                         lp_dtype_name(dtypes[d]), (int)n, k, bad);
          lp_tensor_release(wide);
          lp_tensor_release(results[k]);
        }
        LpTensor *all[] = {x, y, a, b, column, inner, copy, less, other};
        for (int k = 0; k < COUNT(all); k++) lp_tensor_release(all[k]);
      }
  lp_set_num_threads(threads);
}
