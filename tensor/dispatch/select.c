/* Choice by a condition and limits: where, masked_fill, clamp. */
#include <math.h>
#include "cpu/pointwise.h"
#include "dispatch/pointwise.h"
#include "impl.h"

LpTensor *lp_choose(LpTensor *out, LpTensor *condition, LpTensor *self, LpTensor *other,
                    LpDtype dtype) {
  LpIter it;
  lp_iter_init(&it);
  lp_iter_output(&it, out);
  lp_iter_input(&it, condition);
  lp_iter_input(&it, self);
  lp_iter_input(&it, other);
  it.cast_inputs = true;
  it.keep_dtype = 1u << 1; /* the condition */
  it.common_dtype = it.output_dtype = dtype;
  it.no_resize = out && (out == self || out == other);
  int log2_size = 0;
  while ((size_t)1 << log2_size < lp_dtype_size(dtype)) log2_size++;
  LpTensor *result = NULL;
  if (lp_iter_build(&it) &&
      lp_iter_run_packed(&it, lp_pointwise_table()->select[log2_size], NULL, NULL))
    result = lp_iter_take(&it, 0);
  lp_iter_done(&it);
  return result;
}

LpTensor *lp_impl_where(LpTensor *out, LpTensor *condition, LpTensor *self,
                        LpTensor *other) {
  CHECK(condition->dtype == LP_BOOL || condition->dtype == LP_UINT8, LP_ERR_TYPE,
        "condition: expected a bool tensor, got %s", lp_dtype_name(condition->dtype));
  return lp_choose(out, condition, self, other,
                   lp_result_type((LpTensor *const[]){self, other}, 2));
}

LpTensor *lp_impl_masked_fill(LpTensor *out, LpTensor *self, LpTensor *mask,
                              LpTensor *value) {
  CHECK(mask->dtype == LP_BOOL, LP_ERR_TYPE, "mask: expected a bool tensor, got %s",
        lp_dtype_name(mask->dtype));
  CHECK(value->ndim == 0, LP_ERR_ARGUMENT,
        "value: expected a number or a 0-dimensional tensor, got shape %s",
        SHAPE_TEXT(value));
  CHECK(lp_dtype_is_complex(self->dtype) || !lp_dtype_is_complex(value->dtype),
        LP_ERR_TYPE, "value: a complex value does not fit self of dtype %s",
        lp_dtype_name(self->dtype));
  return lp_choose(out, mask, value, self, self->dtype);
}

/* --- limits ------------------------------------------------------------------------- */

LpTensor *lp_impl_clamp_tensor(LpTensor *out, LpTensor *self, LpTensor *min,
                               LpTensor *max) {
  CHECK(min || max, LP_ERR_ARGUMENT, "at least one of min and max must be given");
  if (min && max)
    return lp_pointwise(LP_POINTWISE_EXTRA(LP_EXTRA_clamp), out,
                        (LpTensor *[]){self, min, max}, 3, NULL);
  return lp_binary(min ? LP_BINARY_maximum : LP_BINARY_minimum, out, self,
                   min ? min : max, NULL, 0);
}

/* An integer limit beyond what self's dtype can hold is as good as the dtype's own limit;
 * one that nothing can reach is an error. */
static bool fit_limit(const LpTensor *self, LpScalar *limit, bool is_min) {
  LpDtype dtype = (LpDtype)self->dtype;
  if (!lp_dtype_is_integral(dtype, false) || dtype == LP_INT64 ||
      limit->kind != LP_SCALAR_INT)
    return true;
  int bits = (int)lp_dtype_size(dtype) * 8;
  int64_t low = dtype == LP_UINT8 ? 0 : -((int64_t)1 << (bits - 1));
  int64_t high = dtype == LP_UINT8 ? 255 : -low - 1;
  CHECK(is_min ? limit->v.i <= high : limit->v.i >= low, LP_ERR_ARGUMENT,
        "%s: %lld is outside what %s can represent", is_min ? "min" : "max",
        (long long)limit->v.i, lp_dtype_name(dtype));
  if (limit->v.i < low) limit->v.i = low;
  if (limit->v.i > high) limit->v.i = high;
  return true;
}

LpTensor *lp_impl_clamp(LpTensor *out, LpTensor *self, LpOptScalar min, LpOptScalar max) {
  if (min.has) TRY(fit_limit(self, &min.value, true));
  if (max.has) TRY(fit_limit(self, &max.value, false));
  LpTensor *low = min.has ? lp_tensor_wrapped(min.value) : NULL;
  LpTensor *high = max.has ? lp_tensor_wrapped(max.value) : NULL;
  LpTensor *result = NULL;
  if ((low || !min.has) && (high || !max.has))
    result = lp_impl_clamp_tensor(out, self, low, high);
  lp_tensor_release(low);
  lp_tensor_release(high);
  return result;
}

LpTensor *lp_impl_clamp_backward(LpTensor *grad_output, LpTensor *self, LpOptScalar min,
                                 LpOptScalar max) {
  LpScalar limits[2] = {min.has ? min.value : lp_scalar_float(-INFINITY),
                        max.has ? max.value : lp_scalar_float(INFINITY)};
  return lp_pointwise(LP_POINTWISE_EXTRA(LP_EXTRA_clamp_backward), NULL,
                      (LpTensor *[]){grad_output, self}, 2, limits);
}
