/* Orthogonal polynomials by their recurrences (DLMF 18.9); see special.h. */
#include <math.h>
#include <stdint.h>
#include "cpu/special.h"
#include "lampad/base.h"

/* Up to here Chebyshev polynomials follow their recurrence; beyond, their closed forms.
 */
#define RECURRENCE_TO 30

/* The degree; -1 for what has none. */
static int64_t degree(double n) {
  return n > -1 && n < 0x1p63 ? (int64_t)n : -1;
}

/* Whether a long recurrence at step k is to stop: its value has become NaN, or by the
 * user. */
static bool stopped(int64_t k, double value) {
  return isnan(value) || ((k & 0xfffff) == 0 && lp_interrupt_pending());
}

/* --- Chebyshev -------------------------------------------------------------------- */

/* Of degree 0 and 1; each further one is 2 x times the last less the one before. */
static double chebyshev(double x, int64_t n, double first) {
  double before = 1, last = first;
  if (n == 0) return 1;
  for (int64_t k = 1; k < n && !isnan(last); k++) {
    double next = 2 * x * last - before;
    before = last;
    last = next;
  }
  return last;
}

static double odd_sign(int64_t n) {
  return n % 2 ? -1 : 1;
}

/* What overflows is NaN, as it would be by the recurrence: a difference of infinities. */
static double finite_or_nan(double x) {
  return isinf(x) ? NAN : x;
}

double lp_chebyshev_polynomial_t_f64(double x, double degree_n) {
  int64_t n = degree(degree_n);
  if (n < 0) return 0;
  if (n <= RECURRENCE_TO || !isfinite(x)) return chebyshev(x, n, x);
  double a = fabs(x), sign = x < 0 ? odd_sign(n) : 1;
  return sign *
         (a <= 1 ? cos((double)n * acos(a)) : finite_or_nan(cosh((double)n * acosh(a))));
}

double lp_chebyshev_polynomial_u_f64(double x, double degree_n) {
  int64_t n = degree(degree_n);
  if (n < 0) return 0;
  if (n <= RECURRENCE_TO || !isfinite(x)) return chebyshev(x, n, 2 * x);
  double a = fabs(x), sign = x < 0 ? odd_sign(n) : 1, m = (double)n + 1;
  double value = a == 1  ? m
                 : a < 1 ? sin(m * acos(a)) / sqrt((1 - a) * (1 + a))
                         : sinh(m * acosh(a)) / sqrt((a - 1) * (a + 1));
  return sign * finite_or_nan(value);
}

/* V(n, x) = cos((n + 1/2) t) / cos(t / 2) and W(n, x) = sin((n + 1/2) t) / sin(t / 2)
 * with x = cos(t), of which each is the other's mirror image. */
static double third_kind(double a, double m) {
  return a <= 1 ? cos(m * acos(a)) / sqrt((1 + a) / 2)
                : cosh(m * acosh(a)) / sqrt((1 + a) / 2);
}
static double fourth_kind(double a, double m) {
  return a == 1  ? 2 * m
         : a < 1 ? sin(m * acos(a)) / sqrt((1 - a) / 2)
                 : sinh(m * acosh(a)) / sqrt((a - 1) / 2);
}

double lp_chebyshev_polynomial_v_f64(double x, double degree_n) {
  int64_t n = degree(degree_n);
  if (n < 0) return 0;
  if (n <= RECURRENCE_TO || !isfinite(x)) return chebyshev(x, n, 2 * x - 1);
  return finite_or_nan(x < 0 ? odd_sign(n) * fourth_kind(-x, (double)n + 0.5)
                             : third_kind(x, (double)n + 0.5));
}

double lp_chebyshev_polynomial_w_f64(double x, double degree_n) {
  int64_t n = degree(degree_n);
  if (n < 0) return 0;
  if (n <= RECURRENCE_TO || !isfinite(x)) return chebyshev(x, n, 2 * x + 1);
  return finite_or_nan(x < 0 ? odd_sign(n) * third_kind(-x, (double)n + 0.5)
                             : fourth_kind(x, (double)n + 0.5));
}

double lp_shifted_chebyshev_polynomial_t_f64(double x, double n) {
  return lp_chebyshev_polynomial_t_f64(2 * x - 1, n);
}
double lp_shifted_chebyshev_polynomial_u_f64(double x, double n) {
  return lp_chebyshev_polynomial_u_f64(2 * x - 1, n);
}
double lp_shifted_chebyshev_polynomial_v_f64(double x, double n) {
  return lp_chebyshev_polynomial_v_f64(2 * x - 1, n);
}
double lp_shifted_chebyshev_polynomial_w_f64(double x, double n) {
  return lp_chebyshev_polynomial_w_f64(2 * x - 1, n);
}

/* --- Hermite, Laguerre, Legendre -------------------------------------------------- */

/* H(k + 1) = 2 x H(k) - 2 k H(k - 1), and the same without the twos: scale is 2 or 1.
 * PyTorch has none above degree 512. */
static double hermite(double x, double degree_n, double scale) {
  int64_t n = degree(degree_n);
  if (n <= 0) return n + 1;
  if (n > 512) return NAN;
  double before = 1, last = scale * x;
  for (int64_t k = 1; k < n && !isnan(last); k++) {
    double next = scale * (x * last - (double)k * before);
    before = last;
    last = next;
  }
  return last;
}

double lp_hermite_polynomial_h_f64(double x, double n) {
  return hermite(x, n, 2);
}
double lp_hermite_polynomial_he_f64(double x, double n) {
  return hermite(x, n, 1);
}

/* (k + 1) L(k + 1) = (2 k + 1 - x) L(k) - k L(k - 1). */
double lp_laguerre_polynomial_l_f64(double x, double degree_n) {
  int64_t n = degree(degree_n);
  if (n <= 0) return n + 1;
  if (x == 0) return 1;
  double before = 1, last = 1 - x;
  for (int64_t k = 1; k < n; k++) {
    if (stopped(k, last)) return NAN;
    double next = ((2 * (double)k + 1 - x) * last - (double)k * before) / ((double)k + 1);
    before = last;
    last = next;
  }
  return last;
}

/* (k + 1) P(k + 1) = (2 k + 1) x P(k) - k P(k - 1). */
double lp_legendre_polynomial_p_f64(double x, double degree_n) {
  int64_t n = degree(degree_n);
  if (n <= 0) return n + 1;
  if (fabs(x) == 1) return x < 0 ? odd_sign(n) : 1;
  double before = 1, last = x;
  for (int64_t k = 1; k < n; k++) {
    if (stopped(k, last)) return NAN;
    double next = ((2 * (double)k + 1) * x * last - (double)k * before) / ((double)k + 1);
    before = last;
    last = next;
  }
  return last;
}
