/* The error function's relatives and the normal distribution; see special.h. */
#define LP_TABLES_ERF
#include <math.h>
#include <stddef.h>
#include "cpu/special.h"
#include "cpu/special_tables.h"

#define SQRT_HALF 0.70710678118654752440
#define SQRT_HALF_REST -4.8336466567264565186e-17 /* sqrt(1/2) less its double */
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* exp(x^2): the rounding of the square, which the exponential would magnify, is made
 * good. */
static double exp_square(double x) {
  double square = x * x, rest = fma(x, x, -square);
  return exp(square) * (1 + rest);
}

double lp_erfcx_f64(double x) {
  if (fabs(x) < 0.5) return exp(x * x) * erfc(x);
  if (x < 0) {
    if (x < -26.7) return INFINITY;
    return 2 * exp_square(x) - lp_erfcx_f64(-x);
  }
  if (x > 1e8) return 0.56418958354775628695 / x; /* 1 / sqrt(pi) */
  double t = (x - 3.75) / (x + 3.75);
  return lp_chebyshev_series(erfcx_series, COUNT(erfcx_series), t) / (1 + 2 * x);
}

/* The distribution above x > 1. The rounding of x / sqrt(2), which the tail would
 * magnify, is made good. */
static double normal_tail(double x) {
  if (x > 40) return 0;
  double z = x * SQRT_HALF, rest = fma(x, SQRT_HALF, -z) + x * SQRT_HALF_REST;
  return 0.5 * erfc(z) * (1 - rest * (2 * z + 1 / z));
}

double lp_ndtr_f64(double x) {
  if (x < -1) return normal_tail(-x);
  return x > 1 ? 1 - normal_tail(x) : 0.5 + 0.5 * erf(x * SQRT_HALF);
}

double lp_log_ndtr_f64(double x) {
  if (x < -1) return log(0.5 * lp_erfcx_f64(-x * SQRT_HALF)) - 0.5 * x * x;
  return x > 1 ? log1p(-normal_tail(x)) : log1p(-0.5 * erfc(x * SQRT_HALF));
}

/* --- quantiles -------------------------------------------------------------------- */

static double rational(const double *p, const double *q, double r) {
  double up = p[7], down = q[7];
  for (int i = 6; i >= 0; i--) {
    up = up * r + p[i];
    down = down * r + q[i];
  }
  return up / down;
}

/* Wichura 1988, algorithm AS 241 (PPND16), coefficients of the published approximations.
 * centre: the quantile of 0.5 + q over q, for |q| <= 0.425. */
static double quantile_centre(double q) {
  static const double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                             1.9715909503065514427e+3, 1.3731693765509461125e+4,
                             4.5921953931549871457e+4, 6.7265770927008700853e+4,
                             3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static const double b[] = {1,
                             4.2313330701600911252e+1,
                             6.8718700749205790830e+2,
                             5.3941960214247511077e+3,
                             2.1213794301586595867e+4,
                             3.9307895800092710610e+4,
                             2.8729085735721942674e+4,
                             5.2264952788528545610e+3};
  return rational(a, b, 0.180625 - q * q);
}

/* Minus the quantile of p, for p < 0.075. */
static double quantile_tail(double p) {
  static const double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                             5.76949722146069140550e0,  3.64784832476320460504e0,
                             1.27045825245236838258e0,  2.41780725177450611770e-1,
                             2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static const double d[] = {1,
                             2.05319162663775882187e0,
                             1.67638483018380384940e0,
                             6.89767334985100004550e-1,
                             1.48103976427480074590e-1,
                             1.51986665636164571966e-2,
                             5.47593808499534494600e-4,
                             1.05075007164441684324e-9};
  static const double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                             1.78482653991729133580e0,  2.96560571828504891230e-1,
                             2.65321895265761230930e-2, 1.24266094738807843860e-3,
                             2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static const double f[] = {1,
                             5.99832206555887937690e-1,
                             1.36929880922735805310e-1,
                             1.48753612908506148525e-2,
                             7.86869131145613259100e-4,
                             1.84631831751005468180e-5,
                             1.42151175831644588870e-7,
                             2.04426310338993978564e-15};
  double r = sqrt(-log(p));
  return r <= 5 ? rational(c, d, r - 1.6) : rational(e, f, r - 5);
}

double lp_ndtri_f64(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  double q = p - 0.5;
  if (fabs(q) <= 0.425) return q * quantile_centre(q);
  return q < 0 ? -quantile_tail(p) : quantile_tail(1 - p);
}

/* erf(x) = y when the normal distribution at sqrt(2) x is (1 + y) / 2. */
double lp_erfinv_f64(double y) {
  double m = fabs(y);
  if (!(m < 1)) return m == 1 ? copysign(INFINITY, y) : NAN;
  if (m <= 0.85) return y * (quantile_centre(0.5 * y) * (0.5 * SQRT_HALF));
  return copysign(quantile_tail(0.5 * (1 - m)) * SQRT_HALF, y);
}
