/* Scalar special functions that no library gives: used by kernels of every capability.
 * Double precision; float callers round the result. Owned by cpu/special.c. */
#ifndef LP_CPU_SPECIAL_H
#define LP_CPU_SPECIAL_H

#include <stdint.h>

/* The inverse of erf on [-1, 1]; NaN outside. */
double lp_erfinv_f64(double y);
/* The logarithmic derivative of gamma; NaN at negative integers, -inf at +0, +inf at -0.
 */
double lp_digamma_f64(double x);
/* The n-th derivative of digamma, n >= 0. */
double lp_polygamma_f64(int64_t n, double x);

#endif
