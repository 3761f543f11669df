/* Arithmetic on scalars for derivative formulas: integers stay integers, anything else is
 * computed in double (complex where either side is). Header only. */
#ifndef LP_CORE_SCALAR_H
#define LP_CORE_SCALAR_H

#include "lampad/base.h"

static inline double lp_scalar_imag(LpScalar s) {
  return s.kind == LP_SCALAR_COMPLEX ? s.v.c[1] : 0.0;
}
static inline bool lp_scalar_both_int(LpScalar a, LpScalar b) {
  return a.kind <= LP_SCALAR_INT && b.kind <= LP_SCALAR_INT;
}
static inline LpScalar lp_scalar_make(LpScalar a, LpScalar b, double re, double im) {
  return a.kind == LP_SCALAR_COMPLEX || b.kind == LP_SCALAR_COMPLEX ? lp_scalar_complex(re, im)
                                                                    : lp_scalar_float(re);
}
static inline LpScalar lp_scalar_add(LpScalar a, LpScalar b) {
  if (lp_scalar_both_int(a, b)) return lp_scalar_int((int64_t)((uint64_t)a.v.i + (uint64_t)b.v.i));
  return lp_scalar_make(a, b, lp_scalar_to_double(a) + lp_scalar_to_double(b),
                        lp_scalar_imag(a) + lp_scalar_imag(b));
}
static inline LpScalar lp_scalar_sub(LpScalar a, LpScalar b) {
  if (lp_scalar_both_int(a, b)) return lp_scalar_int((int64_t)((uint64_t)a.v.i - (uint64_t)b.v.i));
  return lp_scalar_make(a, b, lp_scalar_to_double(a) - lp_scalar_to_double(b),
                        lp_scalar_imag(a) - lp_scalar_imag(b));
}
static inline LpScalar lp_scalar_mul(LpScalar a, LpScalar b) {
  if (lp_scalar_both_int(a, b)) return lp_scalar_int((int64_t)((uint64_t)a.v.i * (uint64_t)b.v.i));
  double ar = lp_scalar_to_double(a), ai = lp_scalar_imag(a);
  double br = lp_scalar_to_double(b), bi = lp_scalar_imag(b);
  return lp_scalar_make(a, b, ar * br - ai * bi, ar * bi + ai * br);
}
/* True division: the result is never an integer. */
static inline LpScalar lp_scalar_div(LpScalar a, LpScalar b) {
  double ar = lp_scalar_to_double(a), ai = lp_scalar_imag(a);
  double br = lp_scalar_to_double(b), bi = lp_scalar_imag(b);
  if (bi == 0.0) return lp_scalar_make(a, b, ar / br, ai / br);
  double d = br * br + bi * bi;
  return lp_scalar_make(a, b, (ar * br + ai * bi) / d, (ai * br - ar * bi) / d);
}
static inline LpScalar lp_scalar_neg(LpScalar a) { return lp_scalar_sub(lp_scalar_int(0), a); }
static inline LpScalar lp_scalar_conj(LpScalar a) {
  if (a.kind == LP_SCALAR_COMPLEX) a.v.c[1] = -a.v.c[1];
  return a;
}
static inline bool lp_scalar_equal(LpScalar a, LpScalar b) {
  if (lp_scalar_both_int(a, b)) return a.v.i == b.v.i;
  return lp_scalar_to_double(a) == lp_scalar_to_double(b) && lp_scalar_imag(a) == lp_scalar_imag(b);
}

#endif
