/* Elementwise functions on complex numbers; see scalar.h. Products and quotients are the plain
 * formulas, as in PyTorch: C's own recover infinities at several times the cost. */

static inline R FN(re)(T z) { return __real__ z; }
static inline R FN(im)(T z) { return __imag__ z; }
static inline T FN(make)(R re, R im) {
  T z;
  __real__ z = re;
  __imag__ z = im;
  return z;
}
static inline T FN(of)(LpScalar s) {
  return FN(make)((R)lp_scalar_to_double(s), s.kind == LP_SCALAR_COMPLEX ? (R)s.v.c[1] : 0);
}
static inline T FN(times)(T a, T b) {
  return FN(make)(FN(re)(a) * FN(re)(b) - FN(im)(a) * FN(im)(b),
                  FN(re)(a) * FN(im)(b) + FN(im)(a) * FN(re)(b));
}
static inline T FN(scale)(T a, R r) { return FN(make)(FN(re)(a) * r, FN(im)(a) * r); }
/* Smith's method: scaled by the larger part of b, so that no square overflows. Without a
 * branch, for loops over vectors: `large` and `small` are b's parts, `near` the part of a
 * that goes with the large one. */
static inline T FN(over)(T a, T b) {
  const R c = FN(re)(b), d = FN(im)(b), x = FN(re)(a), y = FN(im)(a);
  const bool turned = BR(fabs)(c) < BR(fabs)(d), zero = (c == 0) & (d == 0);
  const R large = VR(sel)(turned, d, c), small = VR(sel)(turned, c, d);
  const R near = VR(sel)(turned, y, x), far = VR(sel)(turned, x, y);
  const R ratio = small / large, scale = 1 / (large + small * ratio);
  const R product = near * ratio;
  const R plus = VR(sel)(turned, product, far), minus = VR(sel)(turned, far, product);
  return FN(make)(VR(sel)(zero, x / BR(fabs)(c), (near + far * ratio) * scale),
                  VR(sel)(zero, y / BR(fabs)(d), (plus - minus) * scale));
}
static inline bool FN(nonzero)(T z) { return FN(re)(z) != 0 || FN(im)(z) != 0; }
static inline T FN(conjugate)(T z) { return FN(make)(FN(re)(z), -FN(im)(z)); }

/* The result of abs and angle is real: its tensor takes the real part. */
static inline T FN(abs)(T z) { return FN(make)(VR(hypot)(FN(re)(z), FN(im)(z)), 0); }
static inline T FN(angle)(T z) { return FN(make)(VR(atan2)(FN(im)(z), FN(re)(z)), 0); }
static inline T FN(neg)(T z) { return FN(make)(-FN(re)(z), -FN(im)(z)); }
static inline T FN(sgn)(T z) {
  R r = VR(hypot)(FN(re)(z), FN(im)(z));
  r = VR(sel)(r == 0, 1, r);
  return FN(make)(FN(re)(z) / r + 0, FN(im)(z) / r + 0); /* of 0 it is 0, without a sign */
}
static inline T FN(conj_physical)(T z) { return FN(conjugate)(z); }
static inline T FN(square)(T z) { return FN(times)(z, z); }
static inline T FN(cube)(T z) { return FN(times)(FN(times)(z, z), z); }
static inline bool FN(isnan)(T z) {
  return (FN(re)(z) != FN(re)(z)) | (FN(im)(z) != FN(im)(z));
}
static inline bool FN(isinf)(T z) {
  return BR(fabs)(FN(re)(z)) == (R)INFINITY || BR(fabs)(FN(im)(z)) == (R)INFINITY;
}
static inline bool FN(isfinite)(T z) {
  return BR(fabs)(FN(re)(z)) < (R)INFINITY && BR(fabs)(FN(im)(z)) < (R)INFINITY;
}
static inline bool FN(isreal)(T z) { return FN(im)(z) == 0; }
static inline bool FN(logical_not)(T z) { return !FN(nonzero)(z); }

static inline T FN(exp)(T z) { return CX(cexp)(z); }
static inline T FN(exp2)(T z) { return CX(cexp)(FN(scale)(z, (R)0.69314718055994530942)); }
static inline T FN(expm1)(T z) {
  R x = FN(re)(z), y = FN(im)(z), half = VR(sin)(y / 2);
  R grown = VR(expm1)(x);
  return FN(make)(grown * VR(cos)(y) - 2 * half * half, (grown + 1) * VR(sin)(y));
}
static inline T FN(log)(T z) { return CX(clog)(z); }
static inline T FN(log2)(T z) { return FN(scale)(CX(clog)(z), (R)1.44269504088896340736); }
static inline T FN(log10)(T z) { return FN(scale)(CX(clog)(z), (R)0.43429448190325182765); }
static inline T FN(log1p)(T z) {
  R x = FN(re)(z), y = FN(im)(z);
  if (BR(fabs)(x) > (R)0.5 || BR(fabs)(y) > (R)0.5) return CX(clog)(FN(make)(x + 1, y));
  return FN(make)((R)0.5 * VR(log1p)(x * (2 + x) + y * y), VR(atan2)(y, x + 1));
}
static inline T FN(sqrt)(T z) { return CX(csqrt)(z); }
static inline T FN(rsqrt)(T z) { return FN(over)(1, CX(csqrt)(z)); }
static inline T FN(reciprocal)(T z) { return FN(over)(1, z); }
static inline T FN(pow)(T a, T b) {
  if (!FN(nonzero)(b)) return 1;
  if (!FN(nonzero)(a)) return FN(re)(b) > 0 ? 0 : CX(cpow)(a, b);
  return CX(cpow)(a, b);
}
/* The operand of the larger real part stays outside the exponential; any NaN gives NaN. */
static inline T FN(logaddexp)(T a, T b) {
  if (FN(isnan)(a) || FN(isnan)(b)) return FN(make)((R)NAN, (R)NAN);
  if (FN(re)(a) == FN(re)(b) && BR(fabs)(FN(re)(a)) == (R)INFINITY)
    return FN(re)(a) < 0 ? b : CX(clog)(CX(cexp)(a) + CX(cexp)(b));
  T high = FN(re)(a) >= FN(re)(b) ? a : b, low = FN(re)(a) >= FN(re)(b) ? b : a;
  if (FN(re)(low) == -(R)INFINITY) return high;
  return high + FN(log1p)(CX(cexp)(low - high));
}
static inline T FN(ldexp)(T a, T b) { return FN(times)(a, FN(exp2)(b)); }
static inline T FN(sin)(T z) { return CX(csin)(z); }
static inline T FN(cos)(T z) { return CX(ccos)(z); }
static inline T FN(tan)(T z) { return CX(ctan)(z); }
static inline T FN(asin)(T z) { return CX(casin)(z); }
static inline T FN(acos)(T z) { return CX(cacos)(z); }
static inline T FN(atan)(T z) { return CX(catan)(z); }
static inline T FN(sinh)(T z) { return CX(csinh)(z); }
static inline T FN(cosh)(T z) { return CX(ccosh)(z); }
static inline T FN(tanh)(T z) { return CX(ctanh)(z); }
static inline T FN(asinh)(T z) { return CX(casinh)(z); }
static inline T FN(acosh)(T z) { return CX(cacosh)(z); }
static inline T FN(atanh)(T z) { return CX(catanh)(z); }
static inline T FN(sinc)(T z) {
  T a = FN(scale)(z, (R)3.14159265358979323846);
  return FN(nonzero)(z) ? FN(over)(CX(csin)(a), a) : 1;
}
/* Of a real part that is far below 0, e^z itself: nothing overflows. */
static inline T FN(sigmoid)(T z) {
  const R x = FN(re)(z), y = FN(im)(z), size = VR(exp)(-BR(fabs)(x));
  const T e = FN(make)(size * VR(cos)(y), size * VR(sin)(VR(sel)(x < 0, y, -y)));
  const T below = FN(make)(1 + FN(re)(e), FN(im)(e));
  return FN(over)(FN(make)(VR(sel)(x < 0, FN(re)(e), 1), VR(sel)(x < 0, FN(im)(e), 0)), below);
}
static inline T FN(silu)(T z) { return FN(times)(z, FN(sigmoid)(z)); }
/* Gradients are conjugated: PyTorch's convention for complex derivatives. */
static inline T FN(sigmoid_backward)(T grad, T y) {
  T slope = FN(times)(FN(make)(1 - FN(re)(y), -FN(im)(y)), y);
  return FN(times)(grad, FN(conjugate)(slope));
}
static inline T FN(tanh_backward)(T grad, T y) {
  T square = FN(times)(y, y);
  return FN(times)(grad, FN(conjugate)(FN(make)(1 - FN(re)(square), -FN(im)(square))));
}
static inline T FN(silu_backward)(T grad, T z) {
  T s = FN(sigmoid)(z);
  T inner = FN(times)(z, FN(make)(1 - FN(re)(s), -FN(im)(s)));
  T slope = FN(times)(s, FN(make)(1 + FN(re)(inner), FN(im)(inner)));
  return FN(times)(grad, FN(conjugate)(slope));
}

static inline T FN(add)(T a, T b, T alpha) { return a + FN(times)(alpha, b); }
static inline T FN(sub)(T a, T b, T alpha) { return a - FN(times)(alpha, b); }
static inline T FN(rsub)(T a, T b, T alpha) { return b - FN(times)(alpha, a); }
static inline T FN(mul)(T a, T b) { return FN(times)(a, b); }
static inline T FN(div)(T a, T b) { return FN(over)(a, b); }
static inline bool FN(eq)(T a, T b) { return FN(re)(a) == FN(re)(b) && FN(im)(a) == FN(im)(b); }
static inline bool FN(ne)(T a, T b) { return !FN(eq)(a, b); }
static inline bool FN(logical_and)(T a, T b) { return FN(nonzero)(a) & FN(nonzero)(b); }
static inline bool FN(logical_or)(T a, T b) { return FN(nonzero)(a) | FN(nonzero)(b); }
static inline bool FN(logical_xor)(T a, T b) { return FN(nonzero)(a) != FN(nonzero)(b); }
static inline bool FN(isclose)(T a, T b, T rtol, T atol, T equal_nan) {
  R gap = VR(hypot)(FN(re)(a) - FN(re)(b), FN(im)(a) - FN(im)(b));
  R allowed = FN(re)(atol) + FN(re)(rtol) * VR(hypot)(FN(re)(b), FN(im)(b));
  return ((FN(re)(a) == FN(re)(b)) & (FN(im)(a) == FN(im)(b))) |
         ((gap < (R)INFINITY) & (gap <= allowed)) |
         ((FN(re)(equal_nan) != 0) & FN(isnan)(a) & FN(isnan)(b));
}
static inline R FN(finite_part)(R x, R nan, R posinf, R neginf) {
  return x != x ? nan : x == (R)INFINITY ? posinf : x == -(R)INFINITY ? neginf : x;
}
static inline T FN(nan_to_num)(T z, T nan, T posinf, T neginf) {
  R n = FN(re)(nan), p = FN(re)(posinf), m = FN(re)(neginf);
  return FN(make)(FN(finite_part)(FN(re)(z), n, p, m), FN(finite_part)(FN(im)(z), n, p, m));
}
static inline T FN(lerp)(T a, T b, T w) {
  T gap = b - a;
  if (VR(hypot)(FN(re)(w), FN(im)(w)) < (R)0.5) return a + FN(times)(w, gap);
  return b - FN(times)(gap, FN(make)(1 - FN(re)(w), -FN(im)(w)));
}
static inline T FN(addcmul)(T a, T b, T c, T value) {
  return a + FN(times)(FN(times)(value, b), c);
}
static inline T FN(addcdiv)(T a, T b, T c, T value) {
  return a + FN(times)(value, FN(over)(b, c));
}
