/* Elementwise ops written in terms of other ops, so that their gradients follow: conj,
 * and the derivative formulas that need a decision the formula language cannot express.
 */
#include <math.h>
#include "composite/chain.h"
#include "core/scalar.h"
#include "core/tensor.h"
#include "impl.h"
#include "lampad/ops.h"

typedef LpTensor *(*Binary)(LpTensor *, LpTensor *);

/* f(a, b), consuming both; NULL when either is. */
static LpTensor *take2(Binary f, LpTensor *a, LpTensor *b) {
  LpTensor *result = a && b ? f(a, b) : NULL;
  lp_tensor_release(a);
  lp_tensor_release(b);
  return result;
}

static LpTensor *take_conj(LpTensor *a) {
  LpTensor *result = a ? lp_conj(a) : NULL;
  lp_tensor_release(a);
  return result;
}

static LpTensor *plus(LpTensor *a, LpTensor *b) {
  return lp_add(a, b, lp_scalar_int(1));
}
static LpTensor *minus(LpTensor *a, LpTensor *b) {
  return lp_sub(a, b, lp_scalar_int(1));
}
static LpTensor *number(double value) {
  return lp_tensor_wrapped(lp_scalar_float(value));
}
static LpTensor *integer(int64_t value) {
  return lp_tensor_wrapped(lp_scalar_int(value));
}
static LpTensor *own(LpTensor *t) {
  return lp_tensor_retain(t);
}

/* condition ? a : b, consuming all three. */
static LpTensor *take_where(LpTensor *condition, LpTensor *a, LpTensor *b) {
  LpTensor *result = condition && a && b ? lp_where(condition, a, b) : NULL;
  lp_tensor_release(condition);
  lp_tensor_release(a);
  lp_tensor_release(b);
  return result;
}

static LpTensor *zeros_as(LpTensor *grad) {
  return take2(lp_mul, own(grad), integer(0));
}

/* --- the tensor itself -------------------------------------------------------------- */

LpTensor *lp_composite_positive(LpTensor *self) {
  CHECK(self->dtype != LP_BOOL, LP_ERR_TYPE, "expected a tensor of numbers, got bool");
  return own(self);
}

LpTensor *lp_composite_conj(LpTensor *self) {
  if (self->flags &
      LP_FLAG_WRAPPED_NUMBER) { /* a number stays one, with all its digits */
    LpScalar value;
    TRY(lp_item(self, &value));
    if (value.kind == LP_SCALAR_COMPLEX) value.v.c[1] = -value.v.c[1];
    return lp_tensor_wrapped(value);
  }
  return lp_dtype_is_complex(self->dtype) ? lp_conj_physical(self) : own(self);
}

LpTensor *lp_composite_resolve_conj(LpTensor *self) {
  return own(self);
}
LpTensor *lp_composite_resolve_neg(LpTensor *self) {
  return own(self);
}

LpTensor *lp_composite_unwrap(LpTensor *self) {
  return self->flags & LP_FLAG_WRAPPED_NUMBER ? lp_widen(self) : own(self);
}

/* --- derivatives -------------------------------------------------------------------- */

/* Complex: (grad - Re(grad conj(s)) s) / |z| with s = z / |z|, and 0 at 0. */
LpTensor *lp_composite_sgn_backward(LpTensor *grad, LpTensor *self, LpTensor *result) {
  if (!lp_dtype_is_complex(self->dtype)) return zeros_as(grad);
  LpTensor *product = take2(lp_mul, own(grad), lp_conj(result));
  LpTensor *twice = take2(plus, own(product), take_conj(own(product)));
  lp_tensor_release(product);
  LpTensor *along = take2(lp_mul, take2(lp_mul, twice, number(0.5)), own(result));
  LpTensor *across = take2(minus, own(grad), along);
  LpTensor *quotient = take2(lp_div, across, lp_abs(self));
  return take_where(take2(lp_eq, own(self), integer(0)), integer(0), quotient);
}

/* Complex: i grad z / |z|^2, and 0 at 0. */
LpTensor *lp_composite_angle_backward(LpTensor *grad, LpTensor *self) {
  if (!lp_dtype_is_complex(self->dtype)) return zeros_as(grad);
  LpTensor *i = lp_tensor_wrapped(lp_scalar_complex(0, 1));
  LpTensor *turned = take2(lp_mul, take2(lp_mul, own(self), i), own(grad));
  LpTensor *square = take2(lp_mul, lp_abs(self), lp_abs(self));
  return take_where(take2(lp_eq, own(self), integer(0)), integer(0),
                    take2(lp_div, turned, square));
}

/* grad * conj(exponent * self^(exponent - 1)), 0 where the exponent is. */
LpTensor *lp_composite_pow_backward_self(LpTensor *grad, LpTensor *self,
                                         LpTensor *exponent) {
  if (exponent->flags & LP_FLAG_WRAPPED_NUMBER) {
    LpScalar e;
    TRY(lp_item(exponent, &e));
    if (lp_scalar_equal(e, lp_scalar_int(0))) return zeros_as(grad);
    if (lp_scalar_equal(e, lp_scalar_int(1))) return own(grad);
    LpTensor *power = lp_scalar_equal(e, lp_scalar_int(2))
                          ? own(self)
                          : take2(lp_pow, own(self),
                                  lp_tensor_wrapped(lp_scalar_sub(e, lp_scalar_int(1))));
    return take2(lp_mul, own(grad), take_conj(take2(lp_mul, power, own(exponent))));
  }
  LpTensor *less = take2(minus, own(exponent), integer(1));
  LpTensor *slope = take2(lp_mul, own(exponent), take2(lp_pow, own(self), less));
  return take_where(take2(lp_eq, own(exponent), integer(0)), integer(0),
                    take2(lp_mul, own(grad), take_conj(slope)));
}

/* grad * conj(result * log(self)), 0 where 0 is raised to something not negative. */
LpTensor *lp_composite_pow_backward_exponent(LpTensor *grad, LpTensor *self,
                                             LpTensor *exponent, LpTensor *result) {
  if (self->flags & LP_FLAG_WRAPPED_NUMBER) {
    LpScalar base;
    TRY(lp_item(self, &base));
    if (base.kind != LP_SCALAR_COMPLEX && lp_scalar_to_double(base) > 0)
      return take2(
          lp_mul, own(grad),
          take_conj(take2(lp_mul, own(result), number(log(lp_scalar_to_double(base))))));
  }
  LpTensor *zero = take2(lp_eq, own(self), integer(0));
  if (!lp_dtype_is_complex(exponent->dtype))
    zero = take2(lp_logical_and, zero, take2(lp_ge, own(exponent), integer(0)));
  LpTensor *slope = take2(lp_mul, own(result), lp_log(self));
  return take_where(zero, integer(0), take2(lp_mul, own(grad), take_conj(slope)));
}

/* Note: gradients of clamp. Self's reaches what is inside the limits, a limit's what it
 * replaced; self and a limit that are equal share it, as in maximum. Where the limits
 * meet or have changed places nothing is shared, and the upper one counts. NaN compares
 * as neither. A limit that is a number is no tensor's equal: it leaves nothing to what is
 * at it. */
static LpTensor *shared(LpTensor *self, LpTensor *limit, LpTensor *min, LpTensor *max) {
  LpTensor *equal = lp_eq(self, limit);
  return min && max ? take2(lp_logical_and, equal, lp_lt(min, max)) : equal;
}

/* all, some / 2 or nothing of the gradient. */
static LpTensor *parts(LpTensor *grad, LpTensor *half, LpTensor *all) {
  return take_where(half, take2(lp_mul, own(grad), number(0.5)),
                    take_where(all, own(grad), integer(0)));
}

static bool is_number(const LpTensor *limit) {
  return limit && (limit->flags & LP_FLAG_WRAPPED_NUMBER);
}

LpTensor *lp_composite_clamp_tensor_backward(LpTensor *grad, LpTensor *self,
                                             LpTensor *min, LpTensor *max) {
  const bool strict = is_number(min) || is_number(max);
  LpTensor *above = min ? strict ? lp_gt(self, min) : own_not(lp_lt(self, min)) : NULL;
  LpTensor *below = max ? strict ? lp_lt(self, max) : own_not(lp_gt(self, max)) : NULL;
  LpTensor *inside = min && max ? take2(lp_logical_and, above, below)
                     : min      ? above
                                : below;
  if (strict) return take_where(inside, own(grad), integer(0));
  LpTensor *half = min ? shared(self, min, min, max) : shared(self, max, min, max);
  if (min && max) half = take2(lp_logical_or, half, shared(self, max, min, max));
  return parts(grad, half, inside);
}

LpTensor *lp_composite_clamp_min_backward(LpTensor *grad, LpTensor *self, LpTensor *min,
                                          LpTensor *max) {
  LpTensor *chosen = max ? take2(lp_logical_and, lp_lt(self, min), lp_le(min, max))
                         : own_not(lp_gt(self, min));
  return parts(grad, shared(self, min, min, max), chosen);
}

LpTensor *lp_composite_clamp_max_backward(LpTensor *grad, LpTensor *self, LpTensor *min,
                                          LpTensor *max) {
  LpTensor *chosen =
      min ? take2(lp_logical_or, take2(lp_logical_and, lp_gt(self, max), lp_le(min, max)),
                  lp_lt(max, min))
          : own_not(lp_lt(self, max));
  return parts(grad, shared(self, max, min, max), chosen);
}
