/* Helpers of the nn ops' device-independent half: dense copies, option lists, reductions
 * by name. Included by nn/dispatch and nn/composite only. */
#ifndef LP_NN_DISPATCH_UTIL_H
#define LP_NN_DISPATCH_UTIL_H

#include <string.h>
#include "core/tensor.h"
#include "dispatch/shape.h"

/* t itself (retained) when it is contiguous and of the dtype, else a converted copy;
 * without history. NULL on error. */
LpTensor *nn_dense(LpTensor *t, LpDtype dtype);
/* For an op that knows channels-last memory (dispatch/layout.h): should the call work on
 * it, because t lies so or is a part of what does? */
bool nn_lies_last(const LpTensor *t);
/* `last`: the call works on it, else on row-major memory. t in that order, as nn_dense; a
 * new tensor in it, laid out as `like`, which is in it; and the address of one that is in
 * it. */
LpTensor *nn_laid(LpTensor *t, LpDtype dtype, bool last);
LpTensor *nn_new_laid(const LpTensor *like, LpInts sizes, LpDtype dtype, bool last);
void *nn_laid_data(const LpTensor *t, bool last);
/* For an op whose result has row-major strides whatever its input's are. */
LpTensor *nn_new_hidden(const LpTensor *like, LpInts sizes, LpDtype dtype, bool last);
/* New contiguous CPU tensors. */
LpTensor *nn_empty(const int64_t *sizes, int64_t ndim, LpDtype dtype);
LpTensor *nn_zeros(const int64_t *sizes, int64_t ndim, LpDtype dtype);
/* A tensor of the sizes and the dtype that holds the doubles. */
LpTensor *nn_from_doubles(const double *values, LpInts sizes, LpDtype dtype);
/* The end of an op of n results: they are handed over when ok, else released, and NULL
 * each. Returns ok. */
bool nn_hand_over(bool ok, LpTensor *const *made, int n, LpTensor **results);
/* t (released) converted to dtype, floats to integers as C does, wrapping; NULL in, NULL
 * out. */
LpTensor *nn_cast_take(LpTensor *t, LpDtype dtype);

/* `values` of count 1 or n into out[n]; `what` names the argument in the error. */
bool nn_expand(LpInts values, int n, const char *what, int64_t *out);

/* float32 for the 16-bit floats, otherwise the dtype: what statistics are kept in. */
static inline LpDtype nn_compute_dtype(LpDtype dtype) {
  return dtype == LP_FLOAT16 || dtype == LP_BFLOAT16 ? LP_FLOAT32 : dtype;
}

/* The same, and float64 for integers, which it holds exactly below 2^53. */
static inline LpDtype nn_number_dtype(LpDtype dtype) {
  return lp_dtype_is_integral(dtype, true) ? LP_FLOAT64 : nn_compute_dtype(dtype);
}

/* Index into a kernel table of the four floating dtypes, -1 for others. */
static inline int nn_float_index(LpDtype dtype) {
  return dtype == LP_FLOAT32    ? 0
         : dtype == LP_FLOAT64  ? 1
         : dtype == LP_FLOAT16  ? 2
         : dtype == LP_BFLOAT16 ? 3
                                : -1;
}

#define CHECK_FLOATING(t, name)                                                          \
  CHECK(nn_float_index(lp_dtype(t)) >= 0, LP_ERR_TYPE,                                   \
        "expected '%s' of a floating dtype, got %s", name, lp_dtype_name(lp_dtype(t)))

/* Whether t, a weight or a statistic of a norm, is of the input's dtype, or of float32
 * for 16-bit inputs; t may be NULL. */
static inline bool nn_check_norm_dtype(LpTensor *t, const char *name, LpDtype input) {
  CHECK(
      !t || lp_dtype(t) == input || lp_dtype(t) == nn_compute_dtype(input), LP_ERR_TYPE,
      "expected '%s' of the dtype of the input, %s, got %s: convert one with :to(dtype)",
      name, lp_dtype_name(input), lp_dtype_name(lp_dtype(t)));
  return true;
}

typedef enum NnReduction { NN_NONE, NN_MEAN, NN_SUM, NN_BATCHMEAN } NnReduction;
/* 'none', 'mean', 'sum'; 'batchmean' where allowed. */
bool nn_reduction(const char *text, bool allow_batchmean, NnReduction *result);

/* Indices, dense int32 or int64 in the order `last`, lie in [0, plane). */
bool nn_check_indices(const LpTensor *indices, bool last, int64_t plane);

/* Class indices (dense int64) lie in [0, classes) or are ignore_index. */
bool nn_check_targets(LpTensor *dense_target, int64_t classes, int64_t ignore_index);

#endif
