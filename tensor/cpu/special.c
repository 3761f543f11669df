/* erfinv, digamma, polygamma; see special.h. */
#include "cpu/special.h"

#include <math.h>

/* A first guess (Winitzki 2008, relative error 2e-3), then Halley steps on erf(x) = y,
 * each of which cubes the error. Near 1 the residue is taken from erfc, where erf has no
 * digits left. */
double lp_erfinv_f64(double y) {
  double m = fabs(y);
  if (!(m < 1)) return m == 1 ? copysign(INFINITY, y) : NAN;
  if (m < 1e-8) return y * 0.88622692545275801365; /* sqrt(pi)/2: the next term is y^3 */
  double l = log((1 - m) * (1 + m)), a = 0.147;
  double t = 2 / (M_PI * a) + 0.5 * l;
  double x = sqrt(sqrt(t * t - l / a) - t);
  for (int i = 0; i < 3; i++) {
    double residue = m > 0.5 ? (1 - m) - erfc(x) : erf(x) - m;
    double step = residue / (1.12837916709551257390 * exp(-x * x)); /* 2/sqrt(pi) */
    x -= step / (1 + x * step);
  }
  return copysign(x, y);
}

/* B(2k) of the asymptotic series, k = 1...: Abramowitz and Stegun, table 23.2. */
static const double bernoulli[] = {1.0 / 6,       -1.0 / 30,      1.0 / 42, -1.0 / 30,
                                   5.0 / 66,      -691.0 / 2730,  7.0 / 6,  -3617.0 / 510,
                                   43867.0 / 798, -174611.0 / 330};
#define N_BERNOULLI 10
#define ASYMPTOTIC_FROM 12.0

/* Abramowitz and Stegun 6.3.5 (recurrence), 6.3.7 (reflection), 6.3.18 (series). */
double lp_digamma_f64(double x) {
  if (x == 0) return copysign(INFINITY, -x);
  double reflected = 0;
  if (x < 0) {
    if (x == floor(x)) return NAN;
    double whole;
    reflected = -M_PI / tan(M_PI * modf(x, &whole));
    x = 1 - x;
  }
  double sum = 0;
  for (; x < ASYMPTOTIC_FROM; x += 1) sum -= 1 / x;
  double inverse = 1 / (x * x), power = inverse, series = 0;
  for (int k = 1; k <= N_BERNOULLI; k++, power *= inverse)
    series += bernoulli[k - 1] / (2 * k) * power;
  return reflected + (sum + (log(x) - 0.5 / x - series));
}

/* (-1)^(n+1) n! zeta(n+1, x), the Hurwitz zeta function by Euler-Maclaurin summation
 * (Abramowitz and Stegun 6.4.10, 23.1.30); trigamma of negative x by reflection (6.4.7).
 */
double lp_polygamma_f64(int64_t n, double x) {
  if (n == 0) return lp_digamma_f64(x);
  if (x <= 0 && x == floor(x))
    return n % 2 ? INFINITY : x == 0 ? copysign(INFINITY, -x) : NAN;
  if (n == 1 && x < 0) {
    double whole, s = sin(M_PI * modf(x, &whole));
    return M_PI * M_PI / (s * s) - lp_polygamma_f64(1, 1 - x);
  }
  double s = (double)n + 1, sum = 0, q = x;
  for (; q < ASYMPTOTIC_FROM + (double)n; q += 1) {
    double term = pow(q, -s);
    sum += term;
    if (q > 0 && term < 1e-18 * fabs(sum)) break;
  }
  double base = pow(q, -s), tail = base * q / (s - 1) + 0.5 * base;
  double rising = s, power = base / q,
         factorial = 2; /* s(s+1)...(s+2k-2) q^(-s-2k+1) / (2k)! */
  for (int k = 1; k <= N_BERNOULLI; k++) {
    tail += bernoulli[k - 1] * rising * power / factorial;
    rising *= (s + 2 * k - 1) * (s + 2 * k);
    power /= q * q;
    factorial *= (2.0 * k + 1) * (2.0 * k + 2);
  }
  return (n % 2 ? 1 : -1) * tgamma(s) * (sum + tail);
}
