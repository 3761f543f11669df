/* A loop over vectors of 8 doubles, for AVX-512: a table of 16 entries lies in two
 * registers, of which one instruction takes 8. Included by pointwise_f64.c. */
#include <immintrin.h>

/* 2^(k / 16), and what its rounding lost. */
/* clang-format off */
static const _Alignas(64) double sixteenths[16] = {
    1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916, 1.189207115002721,
    1.241857812073484, 1.2968395546510096, 1.3542555469368927, 1.4142135623730951,
    1.4768261459394993, 1.5422108254079407, 1.6104903319492543, 1.681792830507429,
    1.7562521603732995, 1.8340080864093424, 1.9152065613971474};
static const _Alignas(64) double sixteenths_lost[16] = {
    0.0, 8.551889705537965e-17, -3.046782079812471e-17, 8.912812676025408e-17,
    3.982015231465646e-17, 4.658027591836937e-17, 2.5382502794888315e-17,
    7.70094837980299e-17, -9.667293313452913e-17, -3.483994556892796e-17,
    7.949834809697621e-17, 2.4707192569797888e-17, 8.199010020581497e-17,
    2.960140695448873e-17, 3.283107224245627e-17, -1.0619946056195963e-16};
/* clang-format on */

static inline __m512d of_sixteenths(const double table[16], __m512d shifted) {
  return _mm512_permutex2var_pd(_mm512_load_pd(table), _mm512_castpd_si512(shifted),
                                _mm512_load_pd(table + 8));
}

/* exp(x) = 2^(n / 16) e^r, n in the low bits of `shifted`; within 0.7 ulp. Of the
 * numbers that are compared the second lets NaN through. */
static inline __m512d exp_in_sixteenths(__m512d x) {
  const __m512d magic = _mm512_set1_pd(0x1.8p52);
  x = _mm512_min_pd(_mm512_set1_pd(710), _mm512_max_pd(_mm512_set1_pd(-746), x));
  const __m512d shifted = _mm512_fmadd_pd(x, _mm512_set1_pd(23.083120654223414), magic);
  const __m512d n = _mm512_sub_pd(shifted, magic);
  __m512d r = _mm512_fnmadd_pd(n, _mm512_set1_pd(LP_LN2_UPPER / 16), x);
  r = _mm512_fnmadd_pd(n, _mm512_set1_pd(LP_LN2_LOWER / 16), r);
  __m512d q = _mm512_fmadd_pd(r, _mm512_set1_pd(0.0013889128790357046),
                              _mm512_set1_pd(0.008333471951255668));
  q = _mm512_fmadd_pd(r, q, _mm512_set1_pd(0.041666666659672495));
  q = _mm512_fmadd_pd(r, q, _mm512_set1_pd(0.16666666664416957));
  q = _mm512_fmadd_pd(r, q, _mm512_set1_pd(0.5000000000000006));
  const __m512d part = _mm512_fmadd_pd(_mm512_mul_pd(r, r), q, r);
  const __m512d power = of_sixteenths(sixteenths, shifted);
  const __m512d lost = of_sixteenths(sixteenths_lost, shifted);
  const __m512d p = _mm512_add_pd(power, _mm512_fmadd_pd(power, part, lost));
  return _mm512_scalef_pd(p, _mm512_mul_pd(n, _mm512_set1_pd(1.0 / 16)));
}

/* Elements ahead that are asked for. */
#define AHEAD 256
static void loop_exp_f64(double *out, const double *a, const double *b, int64_t n) {
  for (int64_t at = 0; at < n; at += LP_LANES(double)) {
    __builtin_prefetch(a + at + AHEAD);
    __builtin_prefetch(out + at + AHEAD, 1);
    _mm512_storeu_pd(out + at, exp_in_sixteenths(_mm512_loadu_pd(a + at)));
  }
}
#undef AHEAD
#define LP_OWN_LOOP_exp_f64 ~, OWN
