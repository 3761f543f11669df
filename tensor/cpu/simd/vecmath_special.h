/* float32 special functions that loops over vectors can hold: vecmath.h, by which it is
 * included. Polynomials are fits of the relative error (Lawson's iteration) to values of
 * 40 digits. */
#ifndef LP_CPU_VECMATH_SPECIAL_H
#define LP_CPU_VECMATH_SPECIAL_H

/* 1 - erf(x) up to 0.7, beyond exp(-x^2) / (1 + 2 x) times a polynomial in (x - 3) / (x +
 * 3) that is nearly 1; what the rounding of x^2 loses is found by way of the upper 12
 * bits of x. */
static inline float lp_erfc_f32(float x) {
  const float size = __builtin_fabsf(x), a = size > 10.1f ? 10.1f : size;
  const float t = lp_divide_f32(a - 3, a + 3);
  float p = -1.473143057e-04f;
  p = p * t - 6.824551965e-04f;
  p = p * t + 1.921601826e-03f;
  p = p * t + 2.499743365e-03f;
  p = p * t - 2.377912588e-02f;
  p = p * t + 6.831211597e-02f;
  p = p * t - 1.192727610e-01f;
  p = p * t + 1.296449155e-01f;
  p = p * t - 4.756232724e-02f;
  p = p * t - 1.356211007e-01f;
  p = p * t + 1.253008008e+00f;
  uint32_t bits;
  float upper;
  memcpy(&bits, &a, sizeof bits);
  bits &= 0xfffff000u;
  memcpy(&upper, &bits, sizeof upper);
  const float lower = a - upper, square = a * a;
  const float lost = ((upper * upper - square) + 2 * upper * lower) + lower * lower;
  const float tail = lp_exp_f32(-square) * lp_divide_f32(p - p * lost, 1 + 2 * a);
  const float far = lp_sel_f32(x < 0, 2 - tail, tail);
  return lp_sel_f32(size < 0.7f, 1 - lp_erf_near_f32(x), far);
}

/* erfinv(y) / y by polynomials in w = -log(1 - y^2), from 5 on in its root (after Giles,
 * Approximating the erfinv function, 2010). Within 3 ulp. */
static inline float lp_erfinv_f32(float y) {
  const float rest = (1 - y) * (1 + y), w = -lp_log_f32(rest);
  const float u = w > 5 ? 5 : w, v = __builtin_sqrtf(w < 5 ? 5 : w) - 3;
  float near = -8.791017692e-09f;
  near = near * u + 2.210305183e-07f;
  near = near * u - 1.976461363e-06f;
  near = near * u + 3.983238003e-06f;
  near = near * u + 4.456521492e-05f;
  near = near * u - 1.274816459e-04f;
  near = near * u - 2.334296238e-03f;
  near = near * u + 1.154865418e-02f;
  near = near * u + 2.320138216e-01f;
  near = near * u + 8.862268925e-01f;
  float far = 1.136394494e-04f;
  far = far * v - 3.077465226e-04f;
  far = far * v - 5.376313129e-05f;
  far = far * v + 1.482853084e-03f;
  far = far * v - 3.598987591e-03f;
  far = far * v + 5.687809084e-03f;
  far = far * v - 7.636955474e-03f;
  far = far * v + 9.445192292e-03f;
  far = far * v + 1.001674891e+00f;
  far = far * v + 2.832976818e+00f;
  const float result = y * lp_sel_f32(w < 5, near, far);
  return lp_sel_f32(rest == 0, __builtin_copysignf(INFINITY, y), result);
}

/* digamma, computed in double: reflected from below 1/2, a sum of ten reciprocals as one
 * fraction, with u = y (y + 9), and the asymptotic series (Abramowitz and Stegun 6.3.5,
 * 6.3.7, 6.3.18). Near its root what double loses is below a float's last bit. */
static inline float lp_digamma_f32(float x) {
  const double z = x, r = lp_sel_f64(z == 0, z, z - __builtin_rint(z));
  const _Bool below = z < 0.5;
  const double y = lp_sel_f64(below, 1 - z, z), small = y < 10 ? y : 10;
  const double reflected =
      -3.14159265358979323846 / lp_tan_f64(3.14159265358979323846 * r);
  /* The sum of 1 / (u + c) for c = 0, 8, 14, 18, 20, times 2 y + 9. */
  const double u = small * (small + 9);
  const double below_line = ((((u + 60) * u + 1308) * u + 12176) * u + 40320) * u;
  const double above = (((5 * u + 240) * u + 3924) * u + 24352) * u + 40320;
  const double sum = (2 * small + 9) * above / below_line;
  const double far = lp_sel_f64(y < 10, y + 10, y), inverse = 1 / far,
               q = inverse * inverse;
  double series = -691.0 / 32760;
  series = series * q + 1.0 / 132;
  series = series * q - 1.0 / 240;
  series = series * q + 1.0 / 252;
  series = series * q - 1.0 / 120;
  series = series * q + 1.0 / 12;
  double result = lp_log_f64(far) - 0.5 * inverse - q * series;
  result -= lp_sel_f64(y < 10, sum, 0);
  result += lp_sel_f64(below, reflected, 0);
  return (float)lp_sel_f64((z < 0) & (r == 0), NAN, result);
}

#endif
