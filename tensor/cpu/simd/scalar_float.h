/* Elementwise functions on float and double; see scalar.h. */

#define PI_ ((T)3.14159265358979323846)
#define INV_SQRT2PI_ ((T)0.39894228040143267794)
#define SQRT_2_PI_ ((T)0.79788456080286535588)
#define INV_LN2_ ((T)1.44269504088896340736)
#define LN2_ ((T)0.69314718055994530942)
#define GELU_CUBE_ ((T)0.044715)

static inline T FN(of)(LpScalar s) { return (T)lp_scalar_to_double(s); }

/* c ? a : b of two values already computed; see Note [Vector functions]. */
static inline T FN(sel)(bool c, T a, T b) { return V(sel)(c, a, b); }

/* --- sign, rounding, tests ---------------------------------------------------------- */
static inline T FN(abs)(T x) { return BI(fabs)(x); }
static inline T FN(neg)(T x) { return -x; }
static inline T FN(sign)(T x) { return (T)((x > 0) - (x < 0)); }
static inline T FN(sgn)(T x) { return FN(sign)(x); }
static inline T FN(conj_physical)(T x) { return x; }
static inline T FN(square)(T x) { return x * x; }
static inline T FN(cube)(T x) { return x * x * x; }
static inline T FN(floor)(T x) { return BI(floor)(x); }
static inline T FN(ceil)(T x) { return BI(ceil)(x); }
static inline T FN(trunc)(T x) { return BI(trunc)(x); }
static inline T FN(round)(T x) { return BI(rint)(x); } /* half to even */
static inline T FN(round_up)(T x, T scale) { return BI(rint)(x * scale) / scale; }
static inline T FN(round_down)(T x, T scale) { return BI(rint)(x / scale) * scale; }
static inline T FN(frac)(T x) { return x - BI(trunc)(x); }
static inline bool FN(isnan)(T x) { return x != x; }
static inline bool FN(isinf)(T x) { return BI(fabs)(x) == (T)INFINITY; }
static inline bool FN(isfinite)(T x) { return BI(fabs)(x) < (T)INFINITY; }
static inline bool FN(isposinf)(T x) { return x == (T)INFINITY; }
static inline bool FN(isneginf)(T x) { return x == -(T)INFINITY; }
static inline bool FN(isreal)(T x) { return true; }
static inline bool FN(signbit)(T x) {
  BITS bits;
  memcpy(&bits, &x, sizeof bits);
  return bits >> (sizeof bits * 8 - 1);
}
static inline bool FN(logical_not)(T x) { return x == 0; }
static inline T FN(angle)(T x) { return x < 0 ? PI_ : x != x ? x : 0; }
static inline T FN(nan_to_num)(T x, T nan, T posinf, T neginf) {
  const T other = FN(sel)(x < 0, neginf, posinf), finite = FN(sel)(BI(fabs)(x) == (T)INFINITY, other, x);
  return FN(sel)(x != x, nan, finite);
}
static inline T FN(deg2rad)(T x) { return x * (T)0.017453292519943295769; }
static inline T FN(rad2deg)(T x) { return x * (T)57.295779513082320877; }

/* --- powers, exponentials, logarithms ----------------------------------------------- */
static inline T FN(exp)(T x) { return V(exp)(x); }
static inline T FN(exp2)(T x) { return V(exp2)(x); }
static inline T FN(expm1)(T x) { return V(expm1)(x); }
static inline T FN(log)(T x) { return V(log)(x); }
static inline T FN(log2)(T x) { return V(log2)(x); }
static inline T FN(log10)(T x) { return V(log10)(x); }
static inline T FN(log1p)(T x) { return V(log1p)(x); }
static inline T FN(sqrt)(T x) { return BI(sqrt)(x); }
static inline T FN(rsqrt)(T x) { return 1 / BI(sqrt)(x); }
static inline T FN(reciprocal)(T x) { return 1 / x; }
static inline T FN(pow)(T x, T y) { return V(pow)(x, y); }
static inline T FN(ldexp)(T x, T y) { return x * V(exp2)(y); }
static inline T FN(logaddexp)(T a, T b) {
  T high = a > b ? a : b;
  T sum = high + V(log1p_unit)(V(exp)(-BI(fabs)(a - b)));
  return FN(sel)(a == b && BI(fabs)(a) == (T)INFINITY, a, FN(sel)(a != a || b != b, a + b, sum));
}
static inline T FN(logaddexp2)(T a, T b) {
  T high = a > b ? a : b;
  T sum = high + V(log1p_unit)(V(exp)(-BI(fabs)(a - b) * LN2_)) * INV_LN2_;
  return FN(sel)(a == b && BI(fabs)(a) == (T)INFINITY, a, FN(sel)(a != a || b != b, a + b, sum));
}
static inline T FN(xlogy)(T x, T y) {
  T product = x * V(log)(y);
  return FN(sel)(y != y, y, FN(sel)(x == 0, 0, product));
}
static inline T FN(xlog1py)(T x, T y) {
  T product = x * V(log1p)(y);
  return FN(sel)(y != y, y, FN(sel)(x == 0, 0, product));
}
static inline T FN(logit)(T x, T eps) {
  T high = 1 - eps;
  T z = eps < 0 ? x : x < eps ? eps : x > high ? high : x;
  return V(log)(z / (1 - z));
}
static inline T FN(logit_backward)(T grad, T x, T eps) {
  bool inside = eps < 0 ? x >= 0 && x <= 1 : x >= eps && x <= 1 - eps;
  T d = grad / (x * (1 - x));
  return inside ? d : eps < 0 ? (T)NAN : 0;
}

/* --- trigonometry ------------------------------------------------------------------- */
static inline T FN(sin)(T x) { return V(sin)(x); }
static inline T FN(cos)(T x) { return V(cos)(x); }
static inline T FN(tan)(T x) { return V(tan)(x); }
static inline T FN(asin)(T x) { return V(asin)(x); }
static inline T FN(acos)(T x) { return V(acos)(x); }
static inline T FN(atan)(T x) { return V(atan)(x); }
static inline T FN(sinh)(T x) { return V(sinh)(x); }
static inline T FN(cosh)(T x) { return V(cosh)(x); }
static inline T FN(tanh)(T x) { return V(tanh)(x); }
static inline T FN(asinh)(T x) { return V(asinh)(x); }
static inline T FN(acosh)(T x) { return V(acosh)(x); }
static inline T FN(atanh)(T x) { return V(atanh)(x); }
static inline T FN(atan2)(T y, T x) { return V(atan2)(y, x); }
static inline T FN(hypot)(T x, T y) { return V(hypot)(x, y); }
static inline T FN(sinc)(T x) {
  T a = PI_ * x, s = V(sin)(a) / a;
  return FN(sel)(x == 0, 1, s);
}

/* --- special functions -------------------------------------------------------------- */
static inline T FN(erf)(T x) { return V(erf)(x); }
static inline T FN(erfc)(T x) { return V(erfc)(x); }
static inline T FN(erfinv)(T x) { return V(erfinv)(x); }
static inline T FN(digamma)(T x) { return V(digamma)(x); }
static inline T FN(lgamma)(T x) { return V(lgamma)(x); }
static inline T FN(entr)(T x) {
  T positive = -x * V(log)(x);
  return FN(sel)(x > 0, positive, FN(sel)(x == 0, 0, FN(sel)(x < 0, -(T)INFINITY, x)));
}

/* --- activations -------------------------------------------------------------------- */
static inline T FN(sigmoid)(T x) { return V(gate)(1, x); }
static inline T FN(sigmoid_backward)(T grad, T y) { return grad * ((1 - y) * y); }
static inline T FN(tanh_backward)(T grad, T y) { return grad * (1 - y * y); }
static inline T FN(relu)(T x) { return x < 0 ? 0 : x; }
static inline T FN(relu6)(T x) { return x < 0 ? 0 : x > 6 ? 6 : x; }
static inline T FN(hardtanh)(T x, T low, T high) { return x < low ? low : x > high ? high : x; }
static inline T FN(hardtanh_backward)(T grad, T x, T low, T high) {
  return x > low && x < high ? grad : 0;
}
static inline T FN(threshold)(T x, T limit, T value) { return x <= limit ? value : x; }
static inline T FN(threshold_backward)(T grad, T x, T limit) { return x <= limit ? 0 : grad; }
static inline T FN(leaky_relu)(T x, T slope) { return x > 0 ? x : x * slope; }
static inline T FN(prelu_elements)(T x, T slope) { return FN(leaky_relu)(x, slope); }
static inline T FN(leaky_relu_backward)(T grad, T x, T slope) {
  return x > 0 ? grad : grad * slope;
}
static inline T FN(elu)(T x, T alpha, T scale, T input_scale) {
  T low = V(expm1)(x * input_scale) * (alpha * scale);
  return FN(sel)(x <= 0, low, x * scale);
}
static inline T FN(elu_backward)(T grad, T x, T alpha, T scale, T input_scale) {
  T low = grad * (input_scale * alpha * scale) * V(exp)(x * input_scale);
  return FN(sel)(x > 0, grad * scale, low);
}
static inline T FN(selu)(T x) {
  return FN(elu)(x, (T)1.6732632423543772848, (T)1.0507009873554804934, 1);
}
static inline T FN(celu)(T x, T alpha) { return FN(elu)(x, alpha, 1, 1 / alpha); }
static inline T FN(silu)(T x) { return V(gate)(x, x); }
static inline T FN(silu_backward)(T grad, T x) {
  T rest, s = V(sigmoids)(x, &rest);
  return grad * (s + x * rest * s);
}
/* log(1 + exp(x)) = max(x, 0) + soft(|x|). */
static inline T FN(soft)(T y) { return V(log1p_unit)(V(exp)(-y)); }
static inline T FN(softplus)(T x, T beta, T limit) {
  T z = x * beta, soft = ((z < 0 ? 0 : z) + FN(soft)(BI(fabs)(z))) * (1 / beta);
  return FN(sel)(z > limit, x, soft);
}
static inline T FN(softplus_backward)(T grad, T x, T beta, T limit) {
  T z = x * beta;
  return FN(sel)(z > limit, grad, V(gate)(grad, z));
}
static inline T FN(mish)(T x) { return V(mish)(x); }
static inline T FN(mish_backward)(T grad, T x) { return grad * V(mish_slope)(x); }
static inline T FN(logsigmoid)(T x) {
  return (x < 0 ? x : x != x ? x : 0) - FN(soft)(BI(fabs)(x));
}
static inline T FN(logsigmoid_backward)(T grad, T x) { return V(gate)(grad, -x); }
static inline T FN(gelu_erf)(T x) { return V(gelu)(x); }
static inline T FN(gelu_erf_backward)(T grad, T x) {
  T cdf = V(normal_cdf)(x);
  T pdf = INV_SQRT2PI_ * V(exp)((T)-0.5 * x * x);
  return grad * (cdf + x * pdf);
}
/* (1 + tanh(z / 2)) / 2 is sigmoid(z). */
static inline T FN(gelu_gate)(T x) { return 2 * SQRT_2_PI_ * (x + GELU_CUBE_ * x * x * x); }
static inline T FN(gelu_tanh)(T x) { return V(gate)(x, FN(gelu_gate)(x)); }
static inline T FN(gelu_slope)(T x, T s, T rest) {
  T slope = 2 * SQRT_2_PI_ * (1 + 3 * GELU_CUBE_ * x * x);
  return s + x * rest * (s * slope);
}
static inline T FN(gelu_tanh_backward)(T grad, T x) {
  T rest, s = V(sigmoids)(FN(gelu_gate)(x), &rest);
  return grad * FN(gelu_slope)(x, s, rest);
}
static inline T FN(hardsigmoid)(T x) {
  T y = x + 3;
  return (y < 0 ? 0 : y > 6 ? 6 : y) / 6;
}
static inline T FN(hardsigmoid_backward)(T grad, T x) {
  return x > -3 && x < 3 ? grad / 6 : 0;
}
static inline T FN(hardswish)(T x) {
  T y = x + 3;
  return x * (y < 0 ? 0 : y > 6 ? 6 : y) / 6;
}
static inline T FN(hardswish_backward)(T grad, T x) {
  return x <= -3 ? 0 : x >= 3 ? grad : grad * (x / 3 + (T)0.5);
}
static inline T FN(softshrink)(T x, T lambd) {
  return x > lambd ? x - lambd : x < -lambd ? x + lambd : x * 0;
}
static inline T FN(hardshrink)(T x, T lambd) { return x >= -lambd && x <= lambd ? 0 : x; }
static inline T FN(shrink_backward)(T grad, T x, T lambd) {
  return x > lambd || x < -lambd ? grad : 0;
}

/* --- arithmetic --------------------------------------------------------------------- */
static inline T FN(add)(T a, T b, T alpha) { return a + alpha * b; }
static inline T FN(sub)(T a, T b, T alpha) { return a - alpha * b; }
static inline T FN(rsub)(T a, T b, T alpha) { return b - alpha * a; }
static inline T FN(mul)(T a, T b) { return a * b; }
static inline T FN(div)(T a, T b) { return a / b; }
static inline T FN(div_trunc)(T a, T b) { return BI(trunc)(a / b); }
/* C's fmod, as exact, without its loop over bits where the quotient q = a / b is small:
 * q b and a - q b have room in a double (of floats) or in a fused multiply-add. Rounding
 * may have made q one too large; then a - q b has the wrong sign. Selections rather than
 * branches, as the data decide. */
static inline T FN(mod)(T a, T b) {
#ifdef __FMA__
  const bool fused = true;
#else
  const bool fused = false;
#endif
  if (sizeof(T) == sizeof(double) && !fused) return BI(fmod)(a, b);
  const double q = __builtin_trunc((double)a / (double)b);
  const double limit = sizeof(T) == sizeof(double) ? 0x1p53 : 0x1p29;
  const bool small = (__builtin_fabs(q) < limit) & (BI(fabs)(b) < (T)INFINITY);
  if (__builtin_expect(!small, 0)) return BI(fmod)(a, b);
  double r = fused ? __builtin_fma(-q, (double)b, (double)a) : (double)a - q * (double)b;
  const bool wrong = (r != 0) & ((r < 0) != (a < 0));
  r += wrong ? (double)BI(copysign)(b, a) : 0.0;
  return BI(copysign)((T)r, a);
}
/* Python's float division: exact where a / b is not, towards minus infinity, sign of zero kept. */
static inline T FN(floor_divide)(T a, T b) {
  const T whole = a / b, mod = FN(mod)(a, b);
  if (b == 0) return whole;
  T q = (a - mod) / b;
  q -= (mod != 0) & ((b < 0) != (mod < 0)) ? (T)1 : (T)0;
  T f = BI(floor)(q);
  f += q - f > (T)0.5 ? (T)1 : (T)0;
  return BI(copysign)(f, whole); /* for zeros */
}
static inline T FN(remainder)(T a, T b) { /* the divisor's sign, as Python's % */
  T mod = FN(mod)(a, b);
  return mod != 0 && (b < 0) != (mod < 0) ? mod + b : mod;
}
static inline T FN(fmod)(T a, T b) { return FN(mod)(a, b); }
static inline T FN(maximum)(T a, T b) { return a != a ? a : a > b ? a : b; }
static inline T FN(minimum)(T a, T b) { return a != a ? a : a < b ? a : b; }
static inline T FN(fmax)(T a, T b) { return a >= b || b != b ? a : b; }
static inline T FN(fmin)(T a, T b) { return a <= b || b != b ? a : b; }
static inline T FN(copysign)(T a, T b) { return BI(copysign)(a, b); }
/* Neighbours' bits differ by 1 on either side of zero. */
static inline T FN(nextafter)(T a, T b) {
  BITS bits, sign;
  memcpy(&bits, &a, sizeof bits);
  memcpy(&sign, &b, sizeof sign);
  sign &= (BITS)1 << (sizeof sign * 8 - 1);
  const BITS from_zero = sign | 1, next = (a < b) == (a > 0) ? bits + 1 : bits - 1;
  bits = a == 0 ? from_zero : next;
  T result;
  memcpy(&result, &bits, sizeof result);
  return FN(sel)(a == b, b, FN(sel)((a != a) | (b != b), a + b, result));
}
static inline T FN(heaviside)(T x, T at_zero) { return x == 0 ? at_zero : (T)(x > 0); }
static inline bool FN(eq)(T a, T b) { return a == b; }
static inline bool FN(ne)(T a, T b) { return a != b; }
static inline bool FN(lt)(T a, T b) { return a < b; }
static inline bool FN(le)(T a, T b) { return a <= b; }
static inline bool FN(gt)(T a, T b) { return a > b; }
static inline bool FN(ge)(T a, T b) { return a >= b; }
static inline bool FN(logical_and)(T a, T b) { return (a != 0) & (b != 0); }
static inline bool FN(logical_or)(T a, T b) { return (a != 0) | (b != 0); }
static inline bool FN(logical_xor)(T a, T b) { return (a != 0) != (b != 0); }
static inline bool FN(isclose)(T a, T b, T rtol, T atol, T equal_nan) {
  T gap = BI(fabs)(a - b), allowed = atol + BI(fabs)(rtol * b);
  return (a == b) | ((gap < (T)INFINITY) & (gap <= allowed)) |
         ((equal_nan != 0) & (a != a) & (b != b));
}
static inline T FN(clamp)(T x, T low, T high) {
  const T y = low > x ? low : x, z = high < y ? high : y; /* NaN when x is */
  return FN(sel)((low != low) | (high != high), low + high, z);
}
/* Nothing reaches what is at a limit; an infinite limit stands for none. */
static inline T FN(clamp_backward)(T grad, T x, T low, T high) {
  return (x > low || low == -(T)INFINITY) && (x < high || high == (T)INFINITY) ? grad : 0;
}
static inline T FN(squared_distance)(T a, T b) { return (a - b) * (a - b); }
/* Its slope by a, times a gradient. */
static inline T FN(squared_slope)(T a, T b, T grad) { return 2 * (a - b) * grad; }
/* Of z = |a - b|: a parabola below the bend, straight above it. */
static inline T FN(bent_distance)(T a, T b, T bend, T half, T slope) {
  const T z = BI(fabs)(a - b), square = z * z * half, line = (z - (T)0.5 * bend) * slope;
  return FN(sel)(z < bend, square, line);
}
/* Its slope by a, times a gradient. */
static inline T FN(bent_slope)(T a, T b, T grad, T bend, T steep) {
  return grad * FN(clamp)(a - b, -bend, bend) * steep;
}
/* Both ends are exact; the nearer end is the base, which keeps the result monotonic. */
static inline T FN(lerp)(T a, T b, T w) {
  return BI(fabs)(w) < (T)0.5 ? a + w * (b - a) : b - (b - a) * (1 - w);
}
static inline T FN(addcmul)(T a, T b, T c, T value) { return a + value * b * c; }
static inline T FN(addcdiv)(T a, T b, T c, T value) { return a + value * (b / c); }

#undef PI_
#undef INV_SQRT2PI_
#undef SQRT_2_PI_
#undef INV_LN2_
#undef GELU_CUBE_
