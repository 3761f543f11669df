/* Gamma's logarithmic derivatives, Hurwitz zeta, incomplete gamma; see special.h. */
#define LP_TABLES_GAMMA
#include <math.h>
#include <stdbool.h>
#include "cpu/special.h"
#include "cpu/special_tables.h"

#define EPS 1.1102230246251565e-16

/* B(2k) of the asymptotic series, k = 1...: Abramowitz and Stegun, table 23.2. */
static const double bernoulli[] = {1.0 / 6,       -1.0 / 30,      1.0 / 42, -1.0 / 30,
                                   5.0 / 66,      -691.0 / 2730,  7.0 / 6,  -3617.0 / 510,
                                   43867.0 / 798, -174611.0 / 330};
#define N_BERNOULLI 10
#define ASYMPTOTIC_FROM 12.0

/* --- digamma, zeta, polygamma ----------------------------------------------------- */

/* x less the nearest integer, exact: what functions of period 1 depend on. */
static double off_integer(double x) {
  return x - rint(x);
}

/* Abramowitz and Stegun 6.3.5 (recurrence), 6.3.7 (reflection), 6.3.18 (series); on [1,
 * 2] by a series that leaves out the root, so that no digits are lost near it. */
double lp_digamma_f64(double x) {
  if (x == 0) return copysign(INFINITY, -x);
  double rest = 0;
  if (x < 0) {
    if (x == floor(x)) return NAN;
    double r = off_integer(x);
    rest = fabs(r) == 0.5 ? 0 : -M_PI / tan(M_PI * r);
    x = 1 - x;
  }
  if (x < ASYMPTOTIC_FROM) {
    const double root = 1.4616321449683622457, root_low = 9.5499954299656977152e-17;
    double sum = 0;
    for (; x < 1; x += 1) sum -= 1 / x;
    for (; x > 2; x -= 1) sum += 1 / (x - 1);
    const int n = sizeof digamma_slope / sizeof *digamma_slope;
    double slope = lp_chebyshev_series(digamma_slope, n, 2 * x - 3);
    return rest + (sum + ((x - root) - root_low) * slope);
  }
  double inverse = 1 / (x * x), power = inverse, series = 0;
  for (int k = 1; k <= N_BERNOULLI; k++, power *= inverse)
    series += bernoulli[k - 1] / (2 * k) * power;
  return rest + (log(x) - 0.5 / x - series);
}

/* Euler-Maclaurin summation for q > 0, s > 1 (Abramowitz and Stegun 23.1.30): terms one
 * by one up to where the asymptotic series serves. */
static double zeta_positive(double s, double q) {
  double sum = 0;
  for (; q < ASYMPTOTIC_FROM + s; q += 1) {
    double term = pow(q, -s);
    sum += term;
    if (term <= 1e-18 * sum) return sum;
  }
  double base = pow(q, -s);
  double tail = pow(q, 1 - s) / (s - 1) + 0.5 * base;
  /* s (s + 1) ... (s + 2k - 2) q^(-s - 2k + 1) / (2k)! */
  double factor = base * s / (2 * q);
  for (int k = 1; k <= N_BERNOULLI; k++) {
    tail += bernoulli[k - 1] * factor;
    factor *= (s + 2 * k - 1) / q * ((s + 2 * k) / q) / ((2.0 * k + 1) * (2.0 * k + 2));
  }
  return sum + tail;
}

double lp_zeta_f64(double x, double q) {
  if (x == 1) return INFINITY;
  if (x < 1) return NAN;
  if (q <= 0 && q == floor(q)) return INFINITY;
  if (isnan(x) || isnan(q) || q == INFINITY) return NAN;
  if (isinf(x) && q > 0) return q > 1 ? NAN : q == 1 ? 1 : INFINITY; /* as in PyTorch */
  if (q > 0) return zeta_positive(x, q);
  if (x != floor(x)) return NAN; /* powers of negative numbers */
  if (isinf(x)) return INFINITY;
  /* The terms below zero are those of |q|, |q| - 1, ... down to a fraction r. */
  double r = -q - floor(-q), below = zeta_positive(x, r) - zeta_positive(x, 1 - q);
  double above = zeta_positive(x, 1 - r);
  return fmod(x, 2) == 0 ? above + below : above - below;
}

/* zeta(2, x) by recurrence and the asymptotic series (6.4.6, 6.4.12), without powers. */
static double trigamma_positive(double x) {
  double sum = 0;
  for (; x < 8; x += 2) { /* two terms by one quotient */
    const double a = x * x, b = (x + 1) * (x + 1);
    sum += (a + b) / (a * b);
  }
  const double inverse = 1 / x, square = inverse * inverse;
  double power = inverse * square, series = 0;
  for (int k = 1; k <= N_BERNOULLI; k++, power *= square)
    series += bernoulli[k - 1] * power;
  return sum + (inverse + 0.5 * square + series);
}

/* (-1)^(n+1) n! zeta(n+1, x) (Abramowitz and Stegun 6.4.10); trigamma of negative x by
 * reflection (6.4.7). */
double lp_polygamma_f64(double x, double n) {
  if (n == 0) return lp_digamma_f64(x);
  if (isnan(x)) return x;
  const double sign = fmod(n, 2) == 0 ? -1 : 1, s = n + 1;
  if (x <= 0 && x == floor(x)) return n == 1 && isinf(x) ? NAN : sign * INFINITY;
  if (n == 1 && x == INFINITY) return 0;
  if (n == 1 && x < 0) {
    double over = M_PI / sin(M_PI * off_integer(x));
    return over * over - trigamma_positive(1 - x);
  }
  if (n == 1) return trigamma_positive(x);
  double zeta = lp_zeta_f64(s, x);
  if (s < 160) return sign * tgamma(s) * zeta;
  return sign * copysign(exp(lgamma(s) + log(fabs(zeta))), zeta); /* n! alone overflows */
}

/* --- incomplete gamma ------------------------------------------------------------- */

/* log gamma(1 + a) for small a, with a's own digits: Abramowitz and Stegun 6.1.33. */
static double lgamma_1p(double a) {
  if (fabs(a) > 0.5) return lgamma(1 + a);
  double sum = 0, power = a;
  const int n = sizeof zeta_less_one / sizeof *zeta_less_one;
  for (int k = 2; k < n + 2; k++) {
    power *= -a;
    sum -= zeta_less_one[k - 2] * power / k;
  }
  return sum - log1p(a) + a * 0.42278433509846713939; /* 1 - Euler's constant */
}

/* mu - log(1 + mu), given ratio = 1 + mu. */
static double less_log1p(double mu, double ratio) {
  if (mu < -0.5 || mu > 0.5) return mu - log(ratio);
  double s = mu / (2 + mu), square = s * s, power = square, sum = 0;
  for (int k = 3; k < 40 && power > 1e-18; k += 2, power *= square) sum += power / k;
  return s * (mu - 2 * sum);
}

/* log of gamma(a) over Stirling's formula: Abramowitz and Stegun 6.1.41. */
static double stirling_rest(double a) {
  double inverse = 1 / a, square = inverse * inverse, sum = 0;
  for (int k = 8; k >= 1; k--)
    sum = sum * square + bernoulli[k - 1] / (2 * k * (2 * k - 1));
  return sum * inverse;
}

/* x^a exp(-x) / gamma(a + 1). */
static double power_over_gamma(double a, double x) {
  if (a < 12) {
    if (x > 1e5) return 0;
    double half = exp(-x / 2);
    return pow(x, a) * half / tgamma(1 + a) * half;
  }
  double phi = less_log1p((x - a) / a, x / a);
  return exp(-a * phi - stirling_rest(a)) / sqrt(2 * M_PI * a);
}

/* P(a, x) / (x^a exp(-x) / gamma(a + 1)): DLMF 8.11.4, all terms positive. */
static double lower_series(double a, double x) {
  double sum = 1, term = 1, n = a;
  for (int i = 0; i < 5000 && term > EPS * sum; i++) {
    n += 1;
    term *= x / n;
    sum += term;
  }
  return sum;
}

/* Q(a, x) / (a x^a exp(-x) / gamma(a + 1)): Legendre's continued fraction, DLMF 8.9.2, by
 * the recurrences of its numerators and denominators; x is above a. */
static double upper_fraction(double a, double x) {
  double b = x + 1 - a, up = 1, up_before = 0, down = b, down_before = 1, h = 1 / b;
  for (int i = 1; i < 5000; i++) {
    double an = -i * (i - a);
    b += 2;
    double up_next = b * up + an * up_before, down_next = b * down + an * down_before;
    up_before = up;
    down_before = down;
    up = up_next;
    down = down_next;
    double last = h;
    h = up / down;
    if (fabs(h - last) <= EPS * h) break;
    if (fabs(down) > 1e150) {
      up *= 1e-150;
      down *= 1e-150;
      up_before *= 1e-150;
      down_before *= 1e-150;
    }
  }
  return h;
}

/* Q(a, x) for x up to about 1: 1 - x^a / gamma(1 + a) (1 + a sum), DLMF 8.7.1, without
 * the difference of numbers near 1. */
static double upper_series(double a, double x) {
  double sum = 0, term = 1;
  for (int n = 1; n < 100; n++) {
    term *= -x / n;
    double part = term / (a + n);
    sum += part;
    if (fabs(part) <= EPS * fabs(sum)) break;
  }
  double log_factor = a * log(x) - lgamma_1p(a);
  return -expm1(log_factor) - exp(log_factor) * a * sum;
}

/* Temme's uniform expansion for large a and x near it: DLMF 8.12.3-4. */
static double uniform(double a, double x, bool upper) {
  double mu = (x - a) / a, phi = less_log1p(mu, x / a), eta = copysign(sqrt(2 * phi), mu);
  double sum = 0;
  for (int k = TEMME_ORDERS - 1; k >= 0; k--) {
    const double *c = temme + k * TEMME_TERMS;
    double value = 0;
    for (int n = TEMME_TERMS - 1; n >= 0; n--) value = value * eta + c[n];
    sum = sum / a + value;
  }
  sum /= sqrt(2 * M_PI * a);
  double size = sqrt(a * phi), decay = exp(-a * phi); /* erfc(size) = decay erfcx(size) */
  double tail = decay * (0.5 * lp_erfcx_f64(size) + (mu > 0 ? sum : -sum));
  return upper == (mu > 0) ? tail : 1 - tail;
}

/* The half of P + Q = 1 that is computed depends on which is small. */
static double incomplete_gamma(double a, double x, bool upper) {
  if (a < 0 || x < 0) return NAN;
  if (a == 0) return x > 0 ? !upper : NAN;
  if (x == 0) return upper;
  if (isinf(a)) return isinf(x) ? NAN : upper;
  if (isinf(x)) return !upper;
  if (isnan(a) || isnan(x)) return NAN;
  if (a > 200 && x > 0.5 * a && x < 2 * a) return uniform(a, x, upper);
  /* P by its series where P is the smaller half, or where P is wanted and the series
   * short. */
  bool small_p = x <= 0.5 ? a > -0.4 / log(x) : x <= 1.1 ? a > 1.1 * x : a >= x;
  if (small_p || (!upper && x < 12)) {
    double p = power_over_gamma(a, x) * lower_series(a, x);
    return upper ? 1 - p : p < 1 ? p : 1;
  }
  if (x <= 1.1) return upper_series(a, x);
  double scale = power_over_gamma(a, x) * a;
  double q = scale == 0 ? 0 : scale * upper_fraction(a, x);
  return upper ? q : 1 - q;
}

double lp_igamma_f64(double a, double x) {
  return incomplete_gamma(a, x, false);
}
double lp_igammac_f64(double a, double x) {
  return incomplete_gamma(a, x, true);
}
