/* Special functions of one or two doubles, for the rows of the schema whose dtypes are
 * "double": each is compiled once, and float32 rounds what it gives (Note [Kernels of
 * doubles] in cpu/double.h); erfinv and digamma for float64 alone. A function of NaN is NaN; what stands at poles and outside a
 * domain is said here. Owned by cpu/special_erf.c, special_gamma.c, special_bessel.c,
 * special_polynomial.c. */
#ifndef LP_CPU_SPECIAL_H
#define LP_CPU_SPECIAL_H

/* --- error function and normal distribution --------------------------------------- */

/* The inverse of erf on [-1, 1], infinite at the ends; NaN outside. */
double lp_erfinv_f64(double y);
double lp_erfcx_f64(double x); /* exp(x^2) erfc(x) */
/* The distribution function, its logarithm, its inverse on [0, 1]. */
double lp_ndtr_f64(double x);
double lp_log_ndtr_f64(double x);
double lp_ndtri_f64(double p);

/* --- gamma and zeta --------------------------------------------------------------- */

double lp_digamma_f64(double x); /* NaN at negative integers, -inf at +0, +inf at -0 */
/* The n-th derivative of digamma, n = 0, 1, ... */
double lp_polygamma_f64(double x, double n);
/* Hurwitz: the sum of (q + k)^-x, k = 0, 1, ... */
double lp_zeta_f64(double x, double q);
/* Regularised incomplete gamma, a, x >= 0; both keep their digits where they are small.
 */
double lp_igamma_f64(double a, double x);
double lp_igammac_f64(double a, double x);
/* d x / d a at a fixed value of igamma(a, x): cpu/random_gamma.c. */
double lp_standard_gamma_grad_f64(double a, double x);

/* --- Bessel and Airy functions ---------------------------------------------------- */

double lp_bessel_j0_f64(double x);
double lp_bessel_j1_f64(double x);
double lp_bessel_y0_f64(double x); /* -inf at 0, NaN below */
double lp_bessel_y1_f64(double x);
double lp_i0_f64(double x);
double lp_i0e_f64(double x); /* exp(-|x|) i0(x) */
double lp_i1_f64(double x);
double lp_i1e_f64(double x);
double lp_modified_bessel_k0_f64(double x); /* inf at 0, NaN below */
double lp_modified_bessel_k1_f64(double x);
double lp_scaled_modified_bessel_k0_f64(double x); /* exp(x) K0(x) */
double lp_scaled_modified_bessel_k1_f64(double x);
double lp_spherical_bessel_j0_f64(double x); /* sin(x) / x */
double lp_airy_ai_f64(double x);

/* --- orthogonal polynomials ------------------------------------------------------- */

/* Of degree n, which is truncated to an integer; 0 when that is negative. */
double lp_chebyshev_polynomial_t_f64(double x, double n);
double lp_chebyshev_polynomial_u_f64(double x, double n);
double lp_chebyshev_polynomial_v_f64(double x, double n);
double lp_chebyshev_polynomial_w_f64(double x, double n);
double lp_shifted_chebyshev_polynomial_t_f64(double x, double n); /* of 2 x - 1 */
double lp_shifted_chebyshev_polynomial_u_f64(double x, double n);
double lp_shifted_chebyshev_polynomial_v_f64(double x, double n);
double lp_shifted_chebyshev_polynomial_w_f64(double x, double n);
double lp_hermite_polynomial_h_f64(double x, double n);  /* the physicists' */
double lp_hermite_polynomial_he_f64(double x, double n); /* the probabilists' */
double lp_laguerre_polynomial_l_f64(double x, double n);
double lp_legendre_polynomial_p_f64(double x, double n);

/* --- helpers ---------------------------------------------------------------------- */

/* A Chebyshev series on [-1, 1] whose first coefficient is halved already (Clenshaw's
 * recurrence). */
static inline double lp_chebyshev_series(const double *c, int n, double t) {
  double high = 0, low = 0, twice = t + t;
  for (int i = n - 1; i > 0; i--) {
    double next = c[i] + twice * high - low;
    low = high;
    high = next;
  }
  return c[0] + t * high - low;
}

#endif
