/* See nn_util.h. */
#include "dispatch/nn_util.h"

#include "dispatch/layout.h"
#include "dispatch/shape.h"
#include "lampad/ops.h"

LpTensor *nn_dense(LpTensor *t, LpDtype dtype) {
  if (t->is_contiguous && lp_dtype(t) == dtype) return lp_tensor_retain(t);
  if (t->physical) return lp_to_copy(t, dtype, lp_device(t), LP_CONTIGUOUS);
  LpTensor *copy = lp_tensor_new(lp_sizes(t), dtype, lp_device(t));
  if (copy && !lp_copy_into(copy, t)) lp_drop(&copy);
  return copy;
}

bool nn_lies_last(const LpTensor *t) {
  return lp_channels_last_data(t) || lp_is_hidden_view(t);
}

LpTensor *nn_laid(LpTensor *t, LpDtype dtype, bool last) {
  return last ? lp_channels_last_raw(t, dtype) : nn_dense(t, dtype);
}

LpTensor *nn_new_laid(const LpTensor *like, LpInts sizes, LpDtype dtype, bool last) {
  return last ? lp_tensor_new_laid_as(like, sizes, dtype)
              : lp_tensor_new(sizes, dtype, lp_device(like));
}

LpTensor *nn_new_hidden(const LpTensor *like, LpInts sizes, LpDtype dtype, bool last) {
  return last ? lp_tensor_new_hidden(sizes, dtype)
              : lp_tensor_new(sizes, dtype, lp_device(like));
}

void *nn_laid_data(const LpTensor *t, bool last) {
  return last ? lp_channels_last_data(t) : lp_data(t);
}

LpTensor *nn_cast_take(LpTensor *t, LpDtype dtype) {
  if (!t || lp_dtype(t) == dtype) return t;
  /* A float beyond a narrow integer's range has no defined conversion: pass through
   * int64. */
  bool narrow =
      lp_dtype_is_integral(dtype, false) && dtype != LP_INT64 && lp_dtype(t) != LP_INT64;
  if (narrow && !(t = nn_cast_take(t, LP_INT64))) return NULL;
  LpTensor *result = nn_laid(t, dtype, lp_channels_last_data(t) != NULL);
  lp_tensor_release(t);
  return result;
}

LpTensor *nn_empty(const int64_t *sizes, int64_t ndim, LpDtype dtype) {
  return lp_tensor_new(lp_ints(sizes, ndim), dtype, lp_cpu());
}

LpTensor *nn_zeros(const int64_t *sizes, int64_t ndim, LpDtype dtype) {
  LpTensor *t = nn_empty(sizes, ndim, dtype);
  if (t && !lp_fill_into(t, lp_scalar_int(0))) lp_drop(&t);
  return t;
}

LpTensor *nn_from_doubles(const double *values, LpInts sizes, LpDtype dtype) {
  LpTensor *t = lp_tensor_new(sizes, LP_FLOAT64, lp_cpu());
  if (t && lp_numel(t)) memcpy(lp_data(t), values, (size_t)lp_numel(t) * sizeof(double));
  return nn_cast_take(t, dtype);
}

bool nn_hand_over(bool ok, LpTensor *const *made, int n, LpTensor **results) {
  for (int i = 0; i < n; i++) {
    results[i] = ok ? made[i] : NULL;
    if (!ok) lp_tensor_release(made[i]);
  }
  return ok;
}

bool nn_expand(LpInts values, int n, const char *what, int64_t *out) {
  CHECK(values.count == 1 || values.count == n, LP_ERR_ARGUMENT,
        "'%s' must be one number or a list of %d, got %lld numbers", what, n,
        (long long)values.count);
  for (int i = 0; i < n; i++) {
    out[i] = values.data[values.count == 1 ? 0 : i];
    CHECK(out[i] > INT32_MIN && out[i] < INT32_MAX, LP_ERR_ARGUMENT,
          "'%s' must be of less than 2^31, got %lld", what, (long long)out[i]);
  }
  return true;
}

bool nn_reduction(const char *text, bool allow_batchmean, NnReduction *result) {
  if (!strcmp(text, "mean"))
    *result = NN_MEAN;
  else if (!strcmp(text, "sum"))
    *result = NN_SUM;
  else if (!strcmp(text, "none"))
    *result = NN_NONE;
  else if (allow_batchmean && !strcmp(text, "batchmean"))
    *result = NN_BATCHMEAN;
  else
    return lp_fail(LP_ERR_ARGUMENT,
                   "expected 'reduction' to be 'none', 'mean'%s or 'sum', got '%s'",
                   allow_batchmean ? ", 'batchmean'" : "", text);
  return true;
}
