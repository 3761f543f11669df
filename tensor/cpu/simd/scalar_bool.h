/* Elementwise functions on truth values; see scalar.h. Any byte but 0 is true. */

static inline T FN(of)(LpScalar s) { return lp_scalar_to_double(s) != 0; }

static inline T FN(sign)(T x) { return x != 0; }
static inline T FN(sgn)(T x) { return x != 0; }
static inline T FN(conj_physical)(T x) { return x != 0; }
static inline bool FN(isnan)(T x) { return false; }
static inline bool FN(isinf)(T x) { return false; }
static inline bool FN(isfinite)(T x) { return true; }
static inline bool FN(isposinf)(T x) { return false; }
static inline bool FN(isneginf)(T x) { return false; }
static inline bool FN(isreal)(T x) { return true; }
static inline bool FN(signbit)(T x) { return false; }
static inline bool FN(logical_not)(T x) { return x == 0; }
static inline T FN(bitwise_not)(T x) { return x == 0; }

static inline T FN(add)(T a, T b, T alpha) { return (a != 0) | ((alpha != 0) & (b != 0)); }
static inline T FN(mul)(T a, T b) { return (a != 0) & (b != 0); }
static inline T FN(maximum)(T a, T b) { return (a != 0) | (b != 0); }
static inline T FN(minimum)(T a, T b) { return (a != 0) & (b != 0); }
static inline T FN(fmax)(T a, T b) { return (a != 0) | (b != 0); }
static inline T FN(fmin)(T a, T b) { return (a != 0) & (b != 0); }
static inline T FN(heaviside)(T x, T at_zero) { return (x != 0) | (at_zero != 0); }
static inline T FN(bitwise_and)(T a, T b) { return (a != 0) & (b != 0); }
static inline T FN(bitwise_or)(T a, T b) { return (a != 0) | (b != 0); }
static inline T FN(bitwise_xor)(T a, T b) { return (a != 0) != (b != 0); }
static inline bool FN(eq)(T a, T b) { return (a != 0) == (b != 0); }
static inline bool FN(ne)(T a, T b) { return (a != 0) != (b != 0); }
static inline bool FN(lt)(T a, T b) { return (a == 0) & (b != 0); }
static inline bool FN(le)(T a, T b) { return (a == 0) | (b != 0); }
static inline bool FN(gt)(T a, T b) { return (a != 0) & (b == 0); }
static inline bool FN(ge)(T a, T b) { return (a != 0) | (b == 0); }
static inline bool FN(logical_and)(T a, T b) { return (a != 0) & (b != 0); }
static inline bool FN(logical_or)(T a, T b) { return (a != 0) | (b != 0); }
static inline bool FN(logical_xor)(T a, T b) { return (a != 0) != (b != 0); }
static inline T FN(clamp)(T x, T low, T high) { return ((x != 0) | (low != 0)) & (high != 0); }
