/* Native ops of one, two and three elementwise operands that need more than a row of the
 * schema: options, absent arguments, results that are not tensors. Kernels by way of
 * dispatch/pointwise.h. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "dispatch/pointwise.h"
#include "impl.h"

#define EXTRA(name) LP_POINTWISE_EXTRA(LP_EXTRA_##name)

/* --- one operand -------------------------------------------------------------------- */

LpTensor *lp_impl_round_decimals(LpTensor *out, LpTensor *self, int64_t decimals) {
  if (decimals == 0) return lp_unary(LP_UNARY_round, out, self, NULL, 0);
  LpScalar scale = lp_scalar_float(pow(10, fabs((double)decimals)));
  return lp_pointwise(decimals > 0 ? EXTRA(round_up) : EXTRA(round_down), out, &self, 1,
                      &scale);
}

LpTensor *lp_impl_nan_to_num(LpTensor *out, LpTensor *self, LpOptFloat nan,
                             LpOptFloat posinf, LpOptFloat neginf) {
  if (lp_dtype_is_integral(self->dtype, true))
    return lp_unary(LP_UNARY_conj_physical, out, self, NULL, 0); /* a copy */
  LpDtype real = lp_dtype_to_real(self->dtype);
  double largest = real == LP_FLOAT16    ? 65504.0
                   : real == LP_BFLOAT16 ? 0x1.FEp127
                   : real == LP_FLOAT32  ? FLT_MAX
                                         : DBL_MAX;
  LpScalar params[3] = {lp_scalar_float(nan.has ? nan.value : 0),
                        lp_scalar_float(posinf.has ? posinf.value : largest),
                        lp_scalar_float(neginf.has ? neginf.value : -largest)};
  return lp_pointwise(EXTRA(nan_to_num), out, &self, 1, params);
}

LpTensor *lp_impl_logit(LpTensor *out, LpTensor *self, LpOptFloat eps) {
  LpScalar limit = lp_scalar_float(eps.has ? eps.value : -1);
  return lp_pointwise(EXTRA(logit), out, &self, 1, &limit);
}

LpTensor *lp_impl_logit_backward(LpTensor *grad_output, LpTensor *self, LpOptFloat eps) {
  LpScalar limit = lp_scalar_float(eps.has ? eps.value : -1);
  return lp_pointwise(EXTRA(logit_backward), NULL, (LpTensor *[]){grad_output, self}, 2,
                      &limit);
}

/* 'none' -> 0, 'tanh' -> 1, else -1 with the error recorded. */
static int gelu_kind(const char *approximate) {
  if (strcmp(approximate, "none") == 0) return 0;
  if (strcmp(approximate, "tanh") == 0) return 1;
  lp_fail(LP_ERR_ARGUMENT, "approximate: expected 'none' or 'tanh', got '%s'",
          approximate);
  return -1;
}

LpTensor *lp_impl_gelu(LpTensor *out, LpTensor *self, const char *approximate) {
  int kind = gelu_kind(approximate);
  if (kind < 0) return NULL;
  return lp_pointwise(kind ? EXTRA(gelu_tanh) : EXTRA(gelu_erf), out, &self, 1, NULL);
}

LpTensor *lp_impl_gelu_backward(LpTensor *grad_output, LpTensor *self,
                                const char *approximate) {
  int kind = gelu_kind(approximate);
  if (kind < 0) return NULL;
  return lp_pointwise(kind ? EXTRA(gelu_tanh_backward) : EXTRA(gelu_erf_backward), NULL,
                      (LpTensor *[]){grad_output, self}, 2, NULL);
}

/* A copy in float64 or complex128, whose gradient returns to self's dtype by itself. A number stays one: pow has
 * short cuts for some. */
LpTensor *lp_impl_widen(LpTensor *self) {
  LpIter it;
  lp_iter_init(&it);
  lp_iter_output(&it, NULL);
  lp_iter_input(&it, self);
  it.output_dtype = lp_dtype_is_complex(self->dtype) ? LP_COMPLEX128 : LP_FLOAT64;
  LpTensor *result = NULL;
  if (lp_iter_build(&it) &&
      lp_iter_run(&it, lp_cast_loop(it.output_dtype, self->dtype), NULL))
    result = lp_iter_take(&it, 0);
  lp_iter_done(&it);
  if (result) result->flags |= self->flags & LP_FLAG_WRAPPED_NUMBER;
  return result;
}

/* --- two operands ------------------------------------------------------------------- */

LpTensor *lp_impl_div_mode(LpTensor *out, LpTensor *self, LpTensor *other,
                           const char *rounding_mode) {
  if (!rounding_mode) return lp_binary(LP_BINARY_div, out, self, other, NULL, 0);
  if (strcmp(rounding_mode, "floor") == 0)
    return lp_binary(LP_BINARY_floor_divide, out, self, other, NULL, 0);
  CHECK(strcmp(rounding_mode, "trunc") == 0, LP_ERR_ARGUMENT,
        "rounding_mode: expected nil, 'trunc' or 'floor', got '%s'", rounding_mode);
  if (lp_dtype_is_integral(self->dtype, true) && lp_dtype_is_integral(other->dtype, true))
    TRY(lp_check_no_zero(other));
  LpTensor *operands[2] = {self, other};
  LpDtype dtype = lp_result_type(operands, 2);
  if ((dtype == LP_FLOAT16 || dtype == LP_BFLOAT16) && lp_numel(other) != 1) {
    /* PyTorch rounds the quotient to the dtype first, unless the divisor is one number.
     */
    LpTensor *quotient = lp_binary(LP_BINARY_div, NULL, self, other, NULL, 0);
    LpTensor *result = quotient ? lp_unary(LP_UNARY_trunc, out, quotient, NULL, 0) : NULL;
    lp_tensor_release(quotient);
    return result;
  }
  return lp_pointwise(EXTRA(div_trunc), out, operands, 2, NULL);
}

static bool is_number(const LpTensor *t) {
  return t->flags & LP_FLAG_WRAPPED_NUMBER;
}

static bool check_same_dtype(const LpTensor *self, const LpTensor *other) {
  CHECK(self->dtype == other->dtype || is_number(self) || is_number(other), LP_ERR_TYPE,
        "self and other must have the same dtype, got %s and %s",
        lp_dtype_name(self->dtype), lp_dtype_name(other->dtype));
  return true;
}

LpTensor *lp_impl_isclose(LpTensor *self, LpTensor *other, double rtol, double atol,
                          bool equal_nan) {
  TRY(check_same_dtype(self, other));
  CHECK(rtol >= 0, LP_ERR_ARGUMENT, "rtol: expected a number of at least 0, got %g",
        rtol);
  CHECK(atol >= 0, LP_ERR_ARGUMENT, "atol: expected a number of at least 0, got %g",
        atol);
  LpTensor *const inputs[2] = {self, other};
  LpDtype common = lp_result_type(inputs, 2);
  if (lp_dtype_is_integral(common, true)) common = LP_FLOAT64;
  LpScalar params[3] = {lp_scalar_float(rtol), lp_scalar_float(atol),
                        lp_scalar_int(equal_nan)};
  return lp_pointwise_as(EXTRA(isclose), NULL, inputs, 2, params, common);
}

/* Whether a fresh bool result is true everywhere; consumes it. */
static bool all_true(LpTensor *mask, bool *result) {
  if (!mask) return false;
  *result = mask->numel == 0 || !memchr(lp_data(mask), 0, (size_t)mask->numel);
  lp_tensor_release(mask);
  return true;
}

bool lp_impl_allclose(LpTensor *self, LpTensor *other, double rtol, double atol,
                      bool equal_nan, bool *result) {
  return all_true(lp_impl_isclose(self, other, rtol, atol, equal_nan), result);
}

bool lp_impl_equal(LpTensor *self, LpTensor *other, bool *result) {
  *result = false;
  if (self->ndim != other->ndim) return true;
  for (int d = 0; d < self->ndim; d++)
    if (self->sizes[d] != other->sizes[d]) return true;
  TRY(check_same_dtype(self, other));
  return all_true(lp_binary(LP_BINARY_eq, NULL, self, other, NULL, 0), result);
}

/* --- three operands ----------------------------------------------------------------- */

LpTensor *lp_impl_lerp(LpTensor *out, LpTensor *self, LpTensor *end, LpTensor *weight) {
  CHECK(self->dtype == end->dtype || is_number(end), LP_ERR_TYPE,
        "end: expected dtype %s as self, got %s", lp_dtype_name(self->dtype),
        lp_dtype_name(end->dtype));
  return lp_pointwise(EXTRA(lerp), out, (LpTensor *[]){self, end, weight}, 3, NULL);
}

LpTensor *lp_impl_addcmul(LpTensor *out, LpTensor *self, LpTensor *tensor1,
                          LpTensor *tensor2, LpScalar value) {
  LpTensor *const inputs[3] = {self, tensor1, tensor2};
  CHECK(value.kind <= LP_SCALAR_INT ||
            !lp_dtype_is_integral(lp_result_type(inputs, 3), true),
        LP_ERR_TYPE, "value: for integral tensors expected an integer, got %g",
        lp_scalar_to_double(value));
  return lp_pointwise(EXTRA(addcmul), out, inputs, 3, &value);
}

LpTensor *lp_impl_addcdiv(LpTensor *out, LpTensor *self, LpTensor *tensor1,
                          LpTensor *tensor2, LpScalar value) {
  CHECK(!lp_dtype_is_integral(tensor1->dtype, true) ||
            !lp_dtype_is_integral(tensor2->dtype, true),
        LP_ERR_TYPE,
        "tensor1 and tensor2 are integral (%s, %s), and integers have no true division "
        "here: convert one "
        "to a floating dtype",
        lp_dtype_name(tensor1->dtype), lp_dtype_name(tensor2->dtype));
  return lp_pointwise(EXTRA(addcdiv), out, (LpTensor *[]){self, tensor1, tensor2}, 3,
                      &value);
}
