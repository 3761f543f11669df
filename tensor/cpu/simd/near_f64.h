/* Loops of float64's functions that have a simple common case; included by
 * pointwise_f64.c.
 *
 * A stretch is computed as if all its numbers were near; if one was far, the function of
 * any number is computed for the stretch, too, and taken where they are. In place the
 * first results go to a buffer. */
#define NEAR_STRETCH 256

#define NEAR_LOOP(name, is_far, near)                                                    \
  static void loop_##name##_f64(double *out, const double *a, const double *b,           \
                                int64_t n) {                                             \
    _Alignas(64) double buffer[NEAR_STRETCH];                                            \
    for (int64_t m; n > 0; n -= m, out += m, a += m) {                                   \
      m = n < NEAR_STRETCH ? n : NEAR_STRETCH;                                           \
      const int64_t whole = m & -(int64_t)LP_LANES(double);                              \
      double *results = out == a ? buffer : out;                                         \
      uint64_t any_far = 0;                                                              \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < whole; i++) {                                              \
        any_far |= is_far(a[i]);                                                         \
        results[i] = near(a[i]);                                                         \
      }                                                                                  \
      if (any_far) {                                                                     \
        LP_IVDEP                                                                         \
        for (int64_t i = 0; i < whole; i++) {                                            \
          const double far = lp_##name##_f64(a[i]);                                      \
          results[i] = lp_sel_f64(is_far(a[i]), far, results[i]);                        \
        }                                                                                \
      }                                                                                  \
      if (results == buffer) memcpy(out, buffer, (size_t)m * sizeof(double));            \
    }                                                                                    \
  }

/* Logarithms: near are positive normal numbers. */
static inline bool not_normal(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits - 0x0010000000000000u >= 0x7fe0000000000000u;
}
static inline double log_near(double x) {
  return lp_log_normal_f64(x, 0);
}
static inline double log2_near(double x) {
  return lp_log2_normal_f64(x, 0);
}
static inline double log10_near(double x) {
  return lp_log10_normal_f64(x, 0);
}
NEAR_LOOP(log, not_normal, log_near)
NEAR_LOOP(log2, not_normal, log2_near)
NEAR_LOOP(log10, not_normal, log10_near)
#define LP_OWN_LOOP_log_f64 ~, OWN
#define LP_OWN_LOOP_log2_f64 ~, OWN
#define LP_OWN_LOOP_log10_f64 ~, OWN

#if defined(__FMA__)
/* sin, cos and tan. x = n pi / 2 + r, n whole, |r| up to pi / 4. Half of pi is a sum of
 * three numbers: with |x| below 2^17 what the first (46 bits) leaves is exact, as is the
 * second's (35 bits) product; r is the sum of two numbers with all its digits, however
 * near x is to a zero. Numbers further out take SLEEF's function. */
static inline bool far_from_zero(double x) {
  return __builtin_fabs(x) >= 0x1p17;
}
/* sin(r) and cos(r), and n in the low bits of what is returned. */
static inline uint64_t sine_and_cosine(double x, double *sine, double *cosine) {
  const double magic = 0x1.8p52, shifted = x * 0.6366197723675814 + magic;
  const double n = shifted - magic, first = __builtin_fma(-n, 0x1.921fb54442d00p+0, x);
  const double r = first - n * 0x1.8469898cc0000p-48;
  const double lost =
      ((first - r) - n * 0x1.8469898cc0000p-48) - n * 0x1.45c06e0e68948p-86;
  const double u = r * r, u2 = u * u, u4 = u2 * u2;
  const double s01 = 0.008333333333322427 * u - 0.16666666666666632;
  const double s23 = 2.7557313694169015e-06 * u - 0.00019841269829816161;
  const double s45 = 1.5896806983546463e-10 * u - 2.5050758381640577e-08;
  const double c01 = -0.001388888888887413 * u + 0.0416666666666666;
  const double c23 = -2.755731435284845e-07 * u + 2.4801587289484617e-05;
  const double c45 = -1.1359649717539578e-11 * u + 2.0875723324416526e-09;
  *sine = r + (r * (u * (s01 + (u2 * s23 + u4 * s45))) + lost);
  const double rest = u2 * (c01 + (u2 * c23 + u4 * c45)) - r * lost;
  const double half = 0.5 * u, one = 1 - half;
  *cosine = one + (((1 - one) - half) + rest);
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  return bits;
}
/* The sine of a whole number of quarters further on. */
static inline double sine_of_quarter(double sine, double cosine, uint64_t quarter) {
  const double y = lp_sel_f64(quarter & 1, cosine, sine);
  uint64_t bits;
  memcpy(&bits, &y, sizeof bits);
  bits ^= (quarter & 2) << 62;
  double result;
  memcpy(&result, &bits, sizeof result);
  return result;
}
static inline double sin_near(double x) { /* within 0.9 ulp */
  double sine, cosine;
  const uint64_t quarter = sine_and_cosine(x, &sine, &cosine);
  return lp_sel_f64(x == 0, x, sine_of_quarter(sine, cosine, quarter)); /* -0 too */
}
static inline double cos_near(double x) { /* within 0.9 ulp */
  double sine, cosine;
  const uint64_t quarter = sine_and_cosine(x, &sine, &cosine);
  return sine_of_quarter(sine, cosine, quarter + 1);
}
static inline double tan_near(double x) { /* within 2.1 ulp */
  double sine, cosine;
  const bool odd = sine_and_cosine(x, &sine, &cosine) & 1;
  const double y = lp_sel_f64(odd, -cosine, sine) / lp_sel_f64(odd, sine, cosine);
  return lp_sel_f64(x == 0, x, y);
}

NEAR_LOOP(sin, far_from_zero, sin_near)
NEAR_LOOP(cos, far_from_zero, cos_near)
NEAR_LOOP(tan, far_from_zero, tan_near)
#define LP_OWN_LOOP_sin_f64 ~, OWN
#define LP_OWN_LOOP_cos_f64 ~, OWN
#define LP_OWN_LOOP_tan_f64 ~, OWN
#endif
#undef NEAR_STRETCH
#undef NEAR_LOOP
