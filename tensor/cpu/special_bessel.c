/* Bessel and Airy functions; see special.h. Modified ones by Chebyshev series on two
 * ranges each, of the function with its exponential and power taken out. */
#define LP_TABLES_BESSEL
#include <math.h>
#include <stddef.h>
#include "cpu/special.h"
#include "cpu/special_tables.h"

#define SERIES(table, t)                                                                 \
  lp_chebyshev_series(table, (int)(sizeof table / sizeof *table), t)

/* --- of the first and second kind ------------------------------------------------- */

/* The C library's, but NaN at infinity, as in PyTorch. */
double lp_bessel_j0_f64(double x) {
  return isinf(x) ? NAN : j0(x);
}
double lp_bessel_j1_f64(double x) {
  return isinf(x) ? NAN : j1(x);
}
double lp_bessel_y0_f64(double x) {
  return x < 0 || isinf(x) ? NAN : x == 0 ? -INFINITY : y0(x);
}
double lp_bessel_y1_f64(double x) {
  return x < 0 || isinf(x) ? NAN : x == 0 ? -INFINITY : y1(x);
}

double lp_spherical_bessel_j0_f64(double x) {
  return x == 0 ? 1 : isinf(x) ? 0 : sin(x) / x;
}

/* --- modified, of the first kind -------------------------------------------------- */

/* Power series for |x| <= 1, exact at 0: of I0, and of I1 over x/2 (DLMF 10.25.2). */
static double power_series(double x, int order) {
  double u = x * x / 4, sum = 1;
  for (int k = 10; k >= 1; k--) sum = 1 + sum * u / (k * (k + order));
  return sum;
}

double lp_i0e_f64(double x) {
  double a = fabs(x);
  if (a <= 1) return exp(-a) * power_series(x, 0);
  if (a <= 8) return SERIES(i0_small, a / 4 - 1);
  return SERIES(i0_large, 16 / a - 1) / sqrt(a);
}

double lp_i1e_f64(double x) {
  double a = fabs(x);
  if (a <= 1) return exp(-a) * power_series(x, 1) * 0.5 * x;
  if (a <= 8) return SERIES(i1_small, a / 4 - 1) * x;
  return copysign(SERIES(i1_large, 16 / a - 1) / sqrt(a), x);
}

/* exp(a) f without overflow while the product has none; NaN at infinity, where f is 0. */
static double grow(double a, double f) {
  if (a <= 700) return exp(a) * f;
  double half = exp(a / 2);
  return half * f * half;
}

double lp_i0_f64(double x) {
  double a = fabs(x);
  return a <= 1 ? power_series(x, 0) : grow(a, lp_i0e_f64(a));
}

double lp_i1_f64(double x) {
  double a = fabs(x);
  return a <= 1 ? power_series(x, 1) * 0.5 * x : copysign(grow(a, lp_i1e_f64(a)), x);
}

/* --- modified, of the second kind ------------------------------------------------- */

double lp_scaled_modified_bessel_k0_f64(double x) {
  if (!(x > 0)) return x == 0 ? INFINITY : NAN;
  if (x > 1) return SERIES(k0_large, 2 / x - 1) / sqrt(x);
  return exp(x) * (SERIES(k0_small, 2 * x * x - 1) - log(x / 2) * lp_i0_f64(x));
}

double lp_scaled_modified_bessel_k1_f64(double x) {
  if (!(x > 0)) return x == 0 ? INFINITY : NAN;
  if (x > 1) return SERIES(k1_large, 2 / x - 1) / sqrt(x);
  return exp(x) * (SERIES(k1_small, 2 * x * x - 1) / x + log(x / 2) * lp_i1_f64(x));
}

double lp_modified_bessel_k0_f64(double x) {
  if (!(x > 0)) return x == 0 ? INFINITY : NAN;
  if (x > 1) return exp(-x) * (SERIES(k0_large, 2 / x - 1) / sqrt(x));
  return SERIES(k0_small, 2 * x * x - 1) - log(x / 2) * lp_i0_f64(x);
}

double lp_modified_bessel_k1_f64(double x) {
  if (!(x > 0)) return x == 0 ? INFINITY : NAN;
  if (x > 1) return exp(-x) * (SERIES(k1_large, 2 / x - 1) / sqrt(x));
  return SERIES(k1_small, 2 * x * x - 1) / x + log(x / 2) * lp_i1_f64(x);
}

/* --- Airy ------------------------------------------------------------------------- */

/* From the nearest integer by the Taylor series of y'' = x y. */
static double airy_near(double x) {
  double c = rint(x), h = x - c;
  const double *node = airy_nodes + 2 * ((int)c + 10);
  double a0 = node[0], a1 = node[1], a2 = 0.5 * c * a0;
  double power = h * h, sum = a2 * power;
  for (int n = 1; n < 26; n++) {
    double next = (c * a1 + a0) / ((n + 1) * (n + 2)); /* a[n + 2] of a[n], a[n - 1] */
    power *= h;
    sum += next * power;
    a0 = a1;
    a1 = a2;
    a2 = next;
  }
  return node[0] + (node[1] * h + sum);
}

/* Asymptotic series, DLMF 9.7.5 and 9.7.9: zeta = 2/3 |x|^(3/2) is above 22. What its
 * rounding leaves out is `rest`: the sine and the exponential of a large zeta would
 * magnify it. */
static double airy_far(double x) {
  double a = fabs(x), root = sqrt(a), cube = a * root, zeta = 2 * cube / 3;
  double cube_rest = fma(a, root, -cube) + a * (fma(-root, root, a) / (2 * root));
  double rest = (fma(-3, zeta, 2 * cube) + 2 * cube_rest) / 3;
  double scale = 0.56418958354775628695 / sqrt(root); /* 1 / sqrt(pi) */
  double term = 1, parts[4] = {1, 0, 0, 0};           /* by k modulo 4 */
  for (int k = 1; k < 24 && fabs(term) > 1e-18; k++) {
    term *= (6 * k - 5) * (6.0 * k - 3) * (6 * k - 1) / (216.0 * k * (2 * k - 1)) / zeta;
    parts[k % 4] += term;
  }
  if (x > 0)
    return 0.5 * scale * exp(-zeta) * (1 - rest) *
           (parts[0] + parts[2] - parts[1] - parts[3]);
  double even = parts[0] - parts[2], odd = parts[1] - parts[3];
  double s0 = sin(zeta), c0 = cos(zeta), s1 = sin(rest), c1 = cos(rest);
  double s = s0 * c1 + c0 * s1, c = c0 * c1 - s0 * s1;
  /* Of zeta - pi/4: sine (s - c) / sqrt(2), cosine (s + c) / sqrt(2). */
  return scale * 0.70710678118654752440 * ((s + c) * even + (s - c) * odd);
}

double lp_airy_ai_f64(double x) {
  if (fabs(x) <= 10.5) return airy_near(x);
  if (!isfinite(x)) return NAN;
  return x > 110 || x < -1e200 ? 0 : airy_far(x);
}
