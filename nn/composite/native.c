/* The forms of dropout and of the normalisations that PyTorch's own functions are made
 * of. */
#include "composite/expr.h"
#include "impl.h"

static bool drop_three(LpTensor **results) {
  for (int i = 0; i < 3; i++) lp_drop(&results[i]);
  return false;
}

/* Statistics of a half-precision input are given in its dtype, unless the parameters are
 * wider. */
static bool narrow_statistics(LpTensor *input, LpTensor *weight, LpTensor *bias,
                              LpTensor **results) {
  LpDtype dtype = lp_dtype(input);
  LpTensor *parameter = weight ? weight : bias;
  if (parameter && lp_dtype(parameter) != dtype) return true;
  for (int i = 1; i < 3; i++) {
    LpTensor *cast = lp_to_dtype(results[i], dtype, false, false, LP_FORMAT_NONE);
    if (!cast) return drop_three(results);
    lp_tensor_release(results[i]);
    results[i] = cast;
  }
  return true;
}

bool lp_composite_native_layer_norm_all(LpTensor *input, LpInts normalized_shape,
                                        LpTensor *weight, LpTensor *bias, double eps,
                                        LpTensor **results) {
  TRY(lp_native_layer_norm(input, normalized_shape, weight, bias, eps, results));
  return narrow_statistics(input, weight, bias, results);
}

bool lp_composite_native_batch_norm_all(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                        LpTensor *running_mean, LpTensor *running_var,
                                        bool training, double momentum, double eps,
                                        LpTensor **results) {
  TRY(lp_native_batch_norm(input, weight, bias, running_mean, running_var, training,
                           momentum, eps, results));
  int64_t none = 0;
  for (int i = 1; !training && i < 3; i++) {
    LpTensor *empty = nn_empty(&none, 1, lp_dtype(results[i]));
    lp_tensor_release(results[i]);
    results[i] = empty;
  }
  if (!results[1] || !results[2]) return drop_three(results);
  return narrow_statistics(input, weight, bias, results);
}

bool lp_composite_native_group_norm_sizes(LpTensor *input, LpTensor *weight,
                                          LpTensor *bias, int64_t N, int64_t C,
                                          int64_t HxW, int64_t group, double eps,
                                          LpTensor **results) {
  CHECK(lp_ndim(input) >= 2 && lp_size(input, 0) == N && lp_size(input, 1) == C &&
            lp_numel(input) == N * C * HxW,
        LP_ERR_ARGUMENT, "expected an input of N x C x HxW = %lld x %lld x %lld, got %s",
        (long long)N, (long long)C, (long long)HxW, SHAPE_TEXT(input));
  TRY(lp_native_group_norm(input, group, weight, bias, eps, results));
  /* The statistics again, by ops that carry gradients. */
  int64_t sizes[3] = {N, group, -1}, dim = 2;
  Expr e = {0};
  LpTensor *rows = lp_numel(input) ? x_reshape(&e, input, lp_ints(sizes, 3)) : NULL;
  if (rows) {
    LpTensor *mean = x_mean_dims(&e, rows, lp_ints(&dim, 1), false);
    LpTensor *var = keep(&e, lp_var_dim(rows, lp_ints(&dim, 1), false, false));
    LpTensor *raised = var ? x_offset(&e, var, eps) : NULL;
    LpTensor *rstd = raised ? keep(&e, lp_rsqrt(raised)) : NULL;
    lp_drop(&results[1]);
    lp_drop(&results[2]);
    results[1] = rstd ? lp_tensor_retain(mean) : NULL;
    results[2] = rstd && mean ? lp_tensor_retain(rstd) : NULL;
  }
  expr_end(&e, NULL);
  if (!results[1] || !results[2]) return drop_three(results);
  return narrow_statistics(input, weight, bias, results);
}

bool lp_composite_native_dropout(LpTensor *input, double p, LpOptBool train,
                                 LpTensor **results) {
  CHECK(p >= 0 && p <= 1, LP_ERR_ARGUMENT, "expected 'p' between 0 and 1, got %g", p);
  bool draws = (!train.has || train.value) && lp_numel(input) > 0;
  double kept = 1 - p, scale = kept > 0 ? 1 / kept : 0;
  Expr e = {0};
  LpTensor *mask = keep(&e, lp_tensor_new_like(input, LP_BOOL)), *output = NULL;
  if (mask && (draws ? lp_bernoulli_float_(mask, kept, NULL)
                     : lp_fill_(mask, lp_scalar_bool(true))))
    output = draws ? x_scale(&e, keep(&e, lp_mul(input, mask)), scale)
                   : keep(&e, lp_clone(input, LP_FORMAT_NONE));
  results[0] = lp_tensor_retain(output);
  results[1] = output ? lp_tensor_retain(mask) : NULL;
  expr_end(&e, NULL);
  return results[0] != NULL;
}
