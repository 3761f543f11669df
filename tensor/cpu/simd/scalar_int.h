/* Elementwise functions on the integers; see scalar.h. Arithmetic wraps, as in PyTorch. */

static inline T FN(of)(LpScalar s) { return (T)lp_scalar_to_int(s); }

static inline T FN(neg)(T x) { return (T)(0 - (W)x); }
static inline T FN(abs)(T x) { return x < 0 ? FN(neg)(x) : x; }
static inline T FN(sign)(T x) { return (T)((x > 0) - (x < 0)); }
static inline T FN(sgn)(T x) { return FN(sign)(x); }
static inline T FN(conj_physical)(T x) { return x; }
static inline T FN(square)(T x) { return (T)((W)x * (W)x); }
static inline T FN(floor)(T x) { return x; }
static inline T FN(ceil)(T x) { return x; }
static inline T FN(trunc)(T x) { return x; }
static inline T FN(round)(T x) { return x; }
static inline bool FN(isnan)(T x) { return false; }
static inline bool FN(isinf)(T x) { return false; }
static inline bool FN(isfinite)(T x) { return true; }
static inline bool FN(isposinf)(T x) { return false; }
static inline bool FN(isneginf)(T x) { return false; }
static inline bool FN(isreal)(T x) { return true; }
static inline bool FN(signbit)(T x) { return x < 0; }
static inline bool FN(logical_not)(T x) { return x == 0; }
static inline T FN(bitwise_not)(T x) { return (T)~x; }
static inline T FN(relu)(T x) { return x < 0 ? 0 : x; }
static inline T FN(relu6)(T x) { return x < 0 ? 0 : x > 6 ? 6 : x; }
static inline T FN(hardtanh)(T x, T low, T high) { return x < low ? low : x > high ? high : x; }
static inline T FN(threshold)(T x, T limit, T value) { return x <= limit ? value : x; }
static inline T FN(threshold_backward)(T grad, T x, T limit) { return x <= limit ? 0 : grad; }

static inline T FN(add)(T a, T b, T alpha) { return (T)((W)a + (W)alpha * (W)b); }
static inline T FN(sub)(T a, T b, T alpha) { return (T)((W)a - (W)alpha * (W)b); }
static inline T FN(rsub)(T a, T b, T alpha) { return (T)((W)b - (W)alpha * (W)a); }
static inline T FN(mul)(T a, T b) { return (T)((W)a * (W)b); }
/* Division by zero is refused before the loop; the guards keep the processor from
 * trapping. Of numbers below 2^52 a floating-point quotient, which there are vector
 * instructions for, rounds to the whole number only where it is one. */
static inline T FN(divisor)(T b) { return b == 0 || (b == (T)-1 && IS_SIGNED) ? 1 : b; }
static inline T FN(guarded)(T a, T b, T q) {
  return b == 0 ? 0 : b == (T)-1 && IS_SIGNED ? FN(neg)(a) : q;
}
static inline T FN(quotient_of_doubles)(T a, T b) {
  return FN(guarded)(a, b, (T)((double)a / (double)FN(divisor)(b)));
}
static inline T FN(div_trunc)(T a, T b) {
  if (sizeof(T) == sizeof(int32_t)) return FN(quotient_of_doubles)(a, b);
  if (sizeof(T) < sizeof(int32_t))
    return FN(guarded)(a, b, (T)(int32_t)((float)a / (float)FN(divisor)(b)));
  return FN(guarded)(a, b, (T)(a / FN(divisor)(b)));
}
/* By the quotient q, which is rounded towards zero. */
static inline T FN(div_trunc_by)(T a, T b, T q) { return q; }
static inline T FN(fmod_by)(T a, T b, T q) {
  return b == 0 ? 0 : (T)((W)a - (W)q * (W)b);
}
static inline T FN(floor_divide_by)(T a, T b, T q) {
  const T r = FN(fmod_by)(a, b, q);
  return (r != 0) & ((r < 0) != (b < 0)) ? (T)((W)q - 1) : q;
}
static inline T FN(remainder_by)(T a, T b, T q) {
  const T r = FN(fmod_by)(a, b, q);
  return (r != 0) & ((r < 0) != (b < 0)) ? (T)(r + b) : r;
}
static inline T FN(fmod)(T a, T b) { return FN(fmod_by)(a, b, FN(div_trunc)(a, b)); }
static inline T FN(floor_divide)(T a, T b) {
  return FN(floor_divide_by)(a, b, FN(div_trunc)(a, b));
}
static inline T FN(remainder)(T a, T b) {
  return FN(remainder_by)(a, b, FN(div_trunc)(a, b));
}
static inline T FN(pow)(T base, T exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == (T)-1 ? (exponent & 1 ? (T)-1 : 1) : 0;
  W result = 1, factor = (W)base;
  for (; exponent > 0; exponent >>= 1, factor *= factor)
    if (exponent & 1) result *= factor;
  return (T)result;
}
static inline T FN(maximum)(T a, T b) { return a > b ? a : b; }
static inline T FN(minimum)(T a, T b) { return a < b ? a : b; }
static inline T FN(fmax)(T a, T b) { return a > b ? a : b; }
static inline T FN(fmin)(T a, T b) { return a < b ? a : b; }
static inline T FN(heaviside)(T x, T at_zero) { return x == 0 ? at_zero : (T)(x > 0); }
static inline T FN(bitwise_and)(T a, T b) { return (T)(a & b); }
static inline T FN(bitwise_or)(T a, T b) { return (T)(a | b); }
static inline T FN(bitwise_xor)(T a, T b) { return (T)(a ^ b); }
static inline T FN(bitwise_left_shift)(T a, T b) {
  int bits = (int)sizeof(T) * 8;
  return b < 0 || (uint64_t)b >= (uint64_t)bits ? 0 : (T)((W)a << b);
}
static inline T FN(bitwise_right_shift)(T a, T b) {
  int bits = (int)sizeof(T) * 8;
  if (b < 0 || (uint64_t)b >= (uint64_t)bits) return a < 0 ? (T)-1 : 0;
  return (T)(a >> b);
}
static inline W FN(gcd_abs)(T a, T b) {
  W x = a < 0 ? 0 - (W)a : (W)a, y = b < 0 ? 0 - (W)b : (W)b;
  while (y != 0) {
    W r = x % y;
    x = y;
    y = r;
  }
  return x;
}
static inline T FN(gcd)(T a, T b) { return (T)FN(gcd_abs)(a, b); }
static inline T FN(lcm)(T a, T b) {
  W g = FN(gcd_abs)(a, b);
  if (g == 0) return 0;
  W x = a < 0 ? 0 - (W)a : (W)a, y = b < 0 ? 0 - (W)b : (W)b;
  T product = (T)(x / g * y);
  return FN(abs)(product);
}
static inline bool FN(eq)(T a, T b) { return a == b; }
static inline bool FN(ne)(T a, T b) { return a != b; }
static inline bool FN(lt)(T a, T b) { return a < b; }
static inline bool FN(le)(T a, T b) { return a <= b; }
static inline bool FN(gt)(T a, T b) { return a > b; }
static inline bool FN(ge)(T a, T b) { return a >= b; }
static inline bool FN(logical_and)(T a, T b) { return (a != 0) & (b != 0); }
static inline bool FN(logical_or)(T a, T b) { return (a != 0) | (b != 0); }
static inline bool FN(logical_xor)(T a, T b) { return (a != 0) != (b != 0); }
static inline T FN(clamp)(T x, T low, T high) {
  T y = x < low ? low : x;
  return y > high ? high : y;
}
static inline T FN(addcmul)(T a, T b, T c, T value) {
  return (T)((W)a + (W)value * (W)b * (W)c);
}
