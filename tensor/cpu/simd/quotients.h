/* Loops of remainder, fmod and division to whole numbers for floats and int64; included
 * by template.h behind the functions.
 *
 * Note [Near and far quotients]. Where the quotient is not too large (of int64, the
 * operands) a few vector instructions give what the general function gives, bit for bit.
 * A stretch is computed so, in place into a buffer; elements that were far are computed
 * again one by one. */
#define QUOTIENT_STRETCH 256

#define QUOTIENT_LOOP(name, limit)                                                       \
  static void FN(loop_##name)(T * out, const T *a, const T *b, int64_t n) {              \
    _Alignas(64) T buffer[QUOTIENT_STRETCH];                                             \
    for (int64_t m; n > 0; n -= m, out += m, a += m, b += m) {                           \
      m = n < QUOTIENT_STRETCH ? n : QUOTIENT_STRETCH;                                   \
      T *results = out == a || out == b ? buffer : out;                                  \
      BITS any_far = 0;                                                                  \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < (m & -(int64_t)LP_LANES(T)); i++) {                        \
        any_far |= FN(is_far)(a[i], b[i], limit);                                        \
        results[i] = FN(name##_near)(a[i], b[i]);                                        \
      }                                                                                  \
      for (int64_t i = 0; any_far && i < m; i++)                                         \
        if (FN(is_far)(a[i], b[i], limit)) results[i] = FN(name)(a[i], b[i]);            \
      if (results == buffer) memcpy(out, buffer, (size_t)m * sizeof(T));                 \
    }                                                                                    \
  }

#if IS_FLOAT
/* What is not a number, or is divided by zero or by infinity, is near. */
static inline BITS FN(is_far)(T a, T b, T limit) {
  return (BITS)((BI(fabs)(a / b) >= limit) & (BI(fabs)(a) < (T)INFINITY) & (b != 0));
}
/* a - trunc(a / b) b by fused multiply-add, which leaves the difference exact. Rounding
 * may have made the quotient one too large; then the difference has the wrong sign. */
static inline T FN(mod_near)(T a, T b, T *whole) {
  const T q = BI(trunc)(a / b), finite = FN(sel)(BI(fabs)(b) < (T)INFINITY, b, 0);
  const T r = BI(fma)(-q, finite, a);
  const bool wrong = (r != 0) & ((r < 0) != (a < 0));
  *whole = q - FN(sel)(wrong, BI(copysign)(1, q), 0);
  return BI(copysign)(r + FN(sel)(wrong, BI(copysign)(finite, a), 0), a);
}
static inline T FN(fmod_near)(T a, T b) {
  T whole;
  return FN(mod_near)(a, b, &whole);
}
static inline T FN(remainder_near)(T a, T b) {
  const T mod = FN(fmod_near)(a, b);
  return FN(sel)((mod != 0) & ((b < 0) != (mod < 0)), mod + b, mod);
}
static inline T FN(floor_divide_near)(T a, T b) {
  T whole;
  const T mod = FN(mod_near)(a, b, &whole), quotient = a / b;
  const T below = whole - FN(sel)((mod != 0) & ((b < 0) != (mod < 0)), 1, 0);
  const T result = BI(copysign)(FN(sel)(mod != mod, mod, below), quotient);
  return FN(sel)(b == 0, quotient, result);
}
/* Up to here the steps of floor_divide, each of which rounds, give the whole number. */
#define FLOOR_LIMIT (sizeof(T) == sizeof(double) ? (T)0x1p50 : (T)0x1p21)
#define MOD_LIMIT (4 * FLOOR_LIMIT)
QUOTIENT_LOOP(floor_divide, FLOOR_LIMIT)
QUOTIENT_LOOP(remainder, MOD_LIMIT)
QUOTIENT_LOOP(fmod, MOD_LIMIT)
#undef FLOOR_LIMIT
#undef MOD_LIMIT
#else
static inline BITS FN(is_far)(T a, T b, T limit) {
  return (((W)a + (W)limit) | ((W)b + (W)limit)) >= 2 * (W)limit;
}
#define NEAR(name)                                                                       \
  static inline T FN(name##_near)(T a, T b) {                                            \
    return FN(name##_by)(a, b, FN(quotient_of_doubles)(a, b));                           \
  }                                                                                      \
  QUOTIENT_LOOP(name, (T)1 << 52)
NEAR(div_trunc)
NEAR(floor_divide)
NEAR(remainder)
NEAR(fmod)
#undef NEAR
#endif
#undef QUOTIENT_STRETCH
#undef QUOTIENT_LOOP
