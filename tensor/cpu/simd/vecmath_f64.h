/* float64's functions of our own; included by vecmath.h, whose Note they follow.
 *
 * Plain C without branches, which gcc vectorises for every capability. The polynomials
 * are minimax fits (Remez's exchange on a grid, at 45 digits) whose own error is below
 * 3e-18. Errors are measured against long double. */

/* 2^n times 2^(bias - 1023), n being in the low bits of `shifted`: a number to which 1.5
 * * 2^52 was added, which rounds it. */
static inline double lp_power_of_two_f64(double shifted, uint64_t bias) {
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 52) + (bias << 52);
  memcpy(&shifted, &bits, sizeof bits);
  return shifted;
}

/* log(2), the upper part with 42 bits: times an exponent it is exact. */
#define LP_LN2_UPPER 0x1.62e42fefa38p-1
#define LP_LN2_LOWER 5.497923018708371e-14

/* exp(x) = 2^n e^r, by Cody and Waite's reduction. e^r - 1 is *upper, which is exact, and
 * what is returned; n stays in *shifted. */
static inline double lp_exp_parts_f64(double x, double *upper, double *shifted) {
  const double magic = 0x1.8p52;
  *shifted = x * 1.4426950408889634 + magic;
  const double n = *shifted - magic;
  *upper = x - n * LP_LN2_UPPER;
  const double r = *upper - n * LP_LN2_LOWER;
  const double r2 = r * r, r4 = r2 * r2;
  const double q01 = 0.166666666666667 * r + 0.5000000000000012;
  const double q23 = 0.008333333333307026 * r + 0.041666666666515514;
  const double q45 = 0.00019841269917751433 * r + 0.0013888888946996317;
  const double q67 = 2.7557215994312586e-06 * r + 2.4801489956861228e-05;
  const double q89 = 2.511795137970982e-08 * r + 2.7631276745149116e-07;
  const double low = q01 + r2 * q23, high = (q45 + r2 * q67) + r4 * q89;
  return r2 * (low + r4 * high) - n * LP_LN2_LOWER;
}
/* e^r itself, by 1 + r and what its rounding loses. */
static inline double lp_exp_mantissa_f64(double x, double *shifted) {
  double upper;
  const double rest = lp_exp_parts_f64(x, &upper, shifted);
  const double sum = 1 + upper, lost = (1 - sum) + upper;
  return sum + (lost + rest);
}

/* exp for arguments in [-708, 709], without the ends' special cases. A NaN stays one. */
static inline double lp_exp_inner_f64(double x) {
  double shifted;
  const double p = lp_exp_mantissa_f64(x, &shifted);
  return p * lp_power_of_two_f64(shifted, 1023);
}

/* Within 0.8 ulp. 2^n is two factors at the ends, where n may leave the exponent's
 * range. */
static inline double lp_exp_f64(double x) {
  double y = x < -746 ? -746 : x, shifted;
  y = y > 710 ? 710 : y;
  const double p = lp_exp_mantissa_f64(y, &shifted);
  const uint64_t bias = y < -600 ? 1023 + 512 : y > 600 ? 1023 - 512 : 1023;
  const double factor = y < -600 ? 0x1p-512 : y > 600 ? 0x1p512 : 1;
  return p * lp_power_of_two_f64(shifted, bias) * factor;
}

/* exp(x) - 1 as 2^n (e^r - 1) + (2^n - 1), so that small x keep their digits; within
 * 1.6 ulp. A part of it is computed where 2^n may be too large. */
static inline double lp_expm1_f64(double x) {
  double y = x < -40 ? -40 : x, upper, shifted; /* -1 below */
  y = y > 710 ? 710 : y;
  const double rest = lp_exp_parts_f64(y, &upper, &shifted);
  const double one = y > 600 ? 0x1p-512 : 1, factor = y > 600 ? 0x1p512 : 1;
  const double scale = lp_power_of_two_f64(shifted, y > 600 ? 1023 - 512 : 1023);
  const double whole = scale - one, sum = whole + scale * upper;
  const double lost = (whole - sum) + scale * upper;
  return __builtin_copysign((sum + (lost + scale * rest)) * factor, x); /* -0 too */
}

/* An odd polynomial near 0, 1 - 2 / (exp(2 |x|) + 1) further out; within 1.3 ulp. */
static inline double lp_tanh_f64(double x) {
  const double size = __builtin_fabs(x), y = size > 20 ? 20 : size; /* 1 from there on */
  const double far = 1 - 2 / (lp_exp_inner_f64(2 * y) + 1);
  const double u = y * y, u2 = u * u, u4 = u2 * u2;
  const double p01 = 0.13333333333331973 * u - 0.33333333333333326;
  const double p23 = 0.0218694885121006 * u - 0.05396825396744836;
  const double p45 = 0.0035921232120262295 * u - 0.008863235105484354;
  const double p67 = 0.0005898271544921687 * u - 0.001455797199312913;
  const double p89 = 9.483666186290057e-05 * u - 0.0002383639698786896;
  const double p1011 = 1.0676102572849625e-05 * u - 3.53003347561444e-05;
  const double p8 = p89 + u2 * p1011 - u4 * 1.8539543738816524e-06;
  const double p = (p01 + u2 * p23) + u4 * ((p45 + u2 * p67) + u4 * p8);
  const double near = y + y * (u * p);
  return __builtin_copysign(lp_sel_f64(size < 0.6875, near, far), x);
}

/* (erf(y) / y - 1), u = y^2, for y up to 0.9. */
static inline double lp_erf_near_f64(double u) {
  const double u2 = u * u, u4 = u2 * u2;
  const double p01 = 0.11283791670953693 * u - 0.37612638903183726;
  const double p23 = 0.005223977621576356 * u - 0.026866170644804108;
  const double p45 = 0.00012055320978862686 * u - 0.0008548326753263602;
  const double p67 = 1.6455189687716995e-06 * u - 1.4925298190617323e-05;
  const double p89 = 1.4044765121602469e-08 * u - 1.6275241239040613e-07;
  const double low = p01 + u2 * p23, high = p45 + u2 * p67;
  const double p = low + u4 * (high + u4 * (p89 - u2 * 8.478835224885221e-10));
  return u * p + 0.12837916709551257; /* 2 / sqrt(pi) - 1 */
}

/* An odd polynomial near 0; further out 1 - exp(p(|x|)), as log(erfc) is smooth, fitted
 * with the weight that erfc has in the result. Within 1.2 ulp, 1.4
 * without fused multiply-add. */
static inline double lp_erf_f64(double x) {
  const double size = __builtin_fabs(x), y = size > 6 ? 6 : size; /* 1 from there on */
  const double y2 = y * y, y4 = y2 * y2, y8 = y4 * y4;
  const double c23 = -0.10276222882057837 * y - 0.6366232919573314;
  const double c45 = 0.00023645028845905474 * y + 0.019108085240808533;
  const double c67 = 0.0005978922817881312 * y - 0.001719566032408772;
  const double c89 = -8.687835578111647e-05 * y - 1.4866552367624652e-05;
  const double c1011 = -1.9058963417240702e-05 * y + 5.230201815279761e-05;
  const double c1213 = -1.002672888749297e-06 * y + 5.03169330001797e-06;
  const double c1415 = -1.6657574114496096e-08 * y + 1.5073658645021624e-07;
  const double c1617 = -6.114922081507226e-11 * y + 1.279963501622858e-09;
  const double c2 = y2 * c23 + (y4 * (c45 + y2 * c67) - 6.791007588661282e-08);
  const double c8 = (c89 + y2 * c1011) + y4 * (c1213 + y2 * c1415);
  const double c16 = c1617 + y2 * 1.3679958699935189e-12;
  const double rest = c2 + y8 * (c8 + y8 * c16);
  const double far = 1 - lp_exp_inner_f64(rest - 1.1283784454901022 * y);
  const double near = y + y * lp_erf_near_f64(y2);
  return __builtin_copysign(lp_sel_f64(size < 0.9, near, far), x);
}

/* x = 2^(n + shift) (1 + r), r from sqrt(1/2) - 1 to sqrt(2) - 1, of a positive normal x.
 * By s = r / (2 + r), log(1 + r) = 2 s + 2/3 s^3 + ... = r - r^2 / 2 + s (r^2 / 2 + 2/3
 * s^2 +
 * ...) = r - rest, of which r carries the digits. Returns n. */
static inline double lp_log_parts_f64(double x, double shift, double *r_out,
                                      double *rest) {
  uint64_t bits, above, whole;
  memcpy(&bits, &x, sizeof bits);
  above = bits - 0x3fe6a09e667f3bcdu; /* sqrt(1/2) */
  bits -= above & 0xfff0000000000000u;
  whole = ((above + 0x3ff0000000000000u) >> 52) | 0x4330000000000000u; /* 2^52 + .. */
  double m, n;
  memcpy(&m, &bits, sizeof m);
  memcpy(&n, &whole, sizeof n);
  const double r = m - 1, s = r / (2 + r), half = 0.5 * (r * r);
  const double u = s * s, u2 = u * u;
  const double q01 = 0.3999999999941541 * u + 0.6666666666666734;
  const double q23 = 0.2222219858512993 * u + 0.285714287422448;
  const double q45 = 0.1531405846182875 * u + 0.18183563860830826;
  const double q = (q01 + u2 * q23) + (u2 * u2) * (q45 + u2 * 0.1479590880574159);
  *r_out = r;
  *rest = half - s * (half + u * q);
  return n - (0x1p52 + 1023 + shift);
}
static inline double lp_log_normal_f64(double x, double shift) { /* within 0.9 ulp */
  double r, rest, n = lp_log_parts_f64(x, shift, &r, &rest);
  return n * LP_LN2_UPPER - ((rest - n * LP_LN2_LOWER) - r);
}
/* Products of r may cancel whole numbers: what rounding loses is added again (with fused
 * multiply-add). Powers of two and of ten give whole numbers. Within 1.3 ulp, 2.1
 * without. */
static inline double lp_log2_normal_f64(double x, double shift) {
  const double scale = 1.4426950408889634;
  double r, rest, n = lp_log_parts_f64(x, shift, &r, &rest);
  const double high = n + r * scale, lost = r * scale - (high - n);
  return high + (lost + (r * 2.0355273740931033e-17 - rest * scale));
}
static inline double lp_log10_normal_f64(double x, double shift) {
  const double scale = 0.4342944819032518;
  double r, rest, n = lp_log_parts_f64(x, shift, &r, &rest);
  const double whole = n * 0x1.34413509f7000p-2 + 0.0; /* exact: the factor has 41 bits */
  const double high = whole + r * scale, lost = r * scale - (high - whole);
  const double low = lost + n * 1.42050232272661e-13;
  return high + (low + (r * 1.098319650216765e-17 - rest * scale));
}
#define LP_LOG_OF_ANY_F64(name)                                                          \
  static inline double lp_##name##_f64(double x) {                                       \
    const _Bool tiny = x < 0x1p-1022;                                                    \
    double y = lp_##name##_normal_f64(x * (tiny ? 0x1p54 : 1), tiny ? 54 : 0);           \
    y = x < INFINITY ? y : x;                                                            \
    return x > 0 ? y : x == 0 ? -INFINITY : NAN;                                         \
  }
LP_LOG_OF_ANY_F64(log)
LP_LOG_OF_ANY_F64(log2)
LP_LOG_OF_ANY_F64(log10)

/* asin(y) / y - 1, u = y^2, for y up to 1/2. */
static inline double lp_asin_near_f64(double u) {
  const double u2 = u * u, u4 = u2 * u2;
  const double p01 = 0.07499999999970221 * u + 0.16666666666666763;
  const double p23 = 0.030381942681559 * u + 0.044642857175161824;
  const double p45 = 0.017351598965056614 * u + 0.022372215720715627;
  const double p67 = 0.011397657774336385 * u + 0.013980975437560526;
  const double p89 = 0.003680385978094051 * u + 0.010787212183694356;
  const double p1011 = -0.02108694138754646 * u + 0.02177014136969054;
  const double p8 = p89 + u2 * p1011 + u4 * 0.032683077054946906;
  return u * ((p01 + u2 * p23) + u4 * ((p45 + u2 * p67) + u4 * p8));
}
#define LP_HALF_PI 1.5707963267948966
#define LP_HALF_PI_LOWER 6.123233995736766e-17
/* For |x| above 1/2, asin(x) = pi / 2 - 2 asin(sqrt((1 - x) / 2)). Within 1.7
 * ulp. */
static inline double lp_asin_f64(double x) {
  const double size = __builtin_fabs(x);
  const _Bool large = size > 0.5;
  const double z = 0.5 - 0.5 * size, y = lp_sel_f64(large, __builtin_sqrt(z), size);
  const double part = y * lp_asin_near_f64(lp_sel_f64(large, z, size * size));
  const double far = LP_HALF_PI - 2 * (y + (part - LP_HALF_PI_LOWER / 2));
  return __builtin_copysign(lp_sel_f64(large, far, y + part), x);
}
/* Within 1.2 ulp. */
static inline double lp_acos_f64(double x) {
  const double size = __builtin_fabs(x);
  const _Bool large = size > 0.5;
  const double z = 0.5 - 0.5 * size, y = lp_sel_f64(large, __builtin_sqrt(z), x);
  const double part = y * lp_asin_near_f64(lp_sel_f64(large, z, x * x));
  const double near = LP_HALF_PI - (y + (part - LP_HALF_PI_LOWER)),
               twice = 2 * (y + part);
  const double below = 2 * (LP_HALF_PI - (y + (part - LP_HALF_PI_LOWER)));
  return lp_sel_f64(large, lp_sel_f64(x < 0, below, twice), near);
}

/* atan by a polynomial in the lesser of |x| and 1 / |x|; within 1.5 ulp. */
static inline double lp_atan_f64(double x) {
  const double size = __builtin_fabs(x);
  const _Bool large = size > 1;
  const double t = lp_sel_f64(large, 1, size) / lp_sel_f64(large, size, 1);
  const double u = t * t, u2 = u * u, u4 = u2 * u2, u8 = u4 * u4;
  const double p01 = 0.19999999999951468 * u - 0.3333333333333307;
  const double p23 = 0.1111111100703782 * u - 0.14285714282575498;
  const double p45 = 0.07692279841767428 * u - 0.09090907003201339;
  const double p67 = 0.0588052793458562 * u - 0.06666404077831135;
  const double p89 = 0.04722323990926247 * u - 0.05253519082182464;
  const double p1011 = 0.03664200243029327 * u - 0.04219183532096499;
  const double p1213 = 0.021985024293125686 * u - 0.029904000650785117;
  const double p1415 = 0.007196612269625498 * u - 0.013900717601203524;
  const double p1617 = 0.0008313408203242961 * u - 0.002884973378358631;
  const double p1819 = 1.3225469447582693e-05 * u - 0.00015216488550653956;
  const double p0 = (p01 + u2 * p23) + u4 * (p45 + u2 * p67);
  const double p8 = (p89 + u2 * p1011) + u4 * (p1213 + u2 * p1415);
  const double part = t * (u * (p0 + u8 * (p8 + u8 * (p1617 + u2 * p1819))));
  const double far = LP_HALF_PI - (t + (part - LP_HALF_PI_LOWER));
  return __builtin_copysign(lp_sel_f64(large, far, t + part), x);
}
