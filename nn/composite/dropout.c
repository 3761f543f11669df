/* Dropout and embedding: the noise is PyTorch's, drawn in the same order from the same
 * stream. */
#include <math.h>
#include "autograd/node.h"
#include "composite/expr.h"
#include "dispatch/layout.h"
#include "impl.h"

static LpTensor *same(LpTensor *input) {
  return lp_tensor_retain(input);
}

/* 0 or 1 / (1 - p) for each element, or for each channel of each image. */
static LpTensor *draw(Expr *e, LpTensor *input, double p, bool by_feature) {
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(input); d++)
    sizes[d] = !by_feature || d < 2 ? lp_size(input, d) : 1;
  /* Made from the input, so that under vmap the noise is a batch too. */
  const LpDevice device = lp_device(input);
  const LpDtype dtype = lp_dtype_to_real(lp_dtype(input));
  LpTensor *noise =
      keep(e, by_feature ? lp_new_empty(input, lp_ints(sizes, lp_ndim(input)), dtype,
                                        device, false)
                         : lp_empty_like(input, dtype, device, LP_FORMAT_NONE, false));
  if (!noise || !lp_bernoulli_float_(noise, 1 - p, NULL)) return NULL;
  return lp_is_hidden(input) && !by_feature ? keep(e, nn_laid(noise, dtype, true))
                                            : noise;
}

static LpTensor *apply(Expr *e, LpTensor *input, LpTensor *noise, bool inplace) {
  if (!noise) return NULL;
  if (!inplace) return keep(e, lp_mul(input, noise));
  return lp_mul_(input, noise) ? input : NULL;
}

static LpTensor *dropout(LpTensor *input, double p, bool training, bool inplace,
                         bool by_feature) {
  CHECK(p >= 0 && p <= 1, LP_ERR_ARGUMENT, "expected 'p' between 0 and 1, got %g", p);
  if (p == 0 || !training || !lp_numel(input)) return same(input);
  Expr e = {0};
  if (p == 1) {
    LpTensor *zero = keep(&e, nn_zeros(NULL, 0, lp_dtype(input)));
    return expr_end(&e, apply(&e, input, zero, inplace));
  }
  CHECK(!by_feature || lp_ndim(input) >= 2, LP_ERR_ARGUMENT,
        "expected an input of at least 2 dims (batch, channels), got %s",
        SHAPE_TEXT(input));
  CHECK(lp_dtype_is_differentiable(lp_dtype(input)), LP_ERR_TYPE,
        "expected 'input' of a floating or complex dtype, got %s",
        lp_dtype_name(lp_dtype(input)));
  LpTensor *scale = x_number(&e, 1 - p), *noise = draw(&e, input, p, by_feature);
  if (noise && (!scale || !lp_div_(noise, scale))) noise = NULL;
  return expr_end(&e, apply(&e, input, noise, inplace));
}

LpTensor *lp_composite_dropout(LpTensor *input, double p, bool training, bool inplace) {
  return dropout(input, p, training, inplace, false);
}

/* Whole channels at once; an input of other than batched_ndim dims is a batch of one. */
static LpTensor *channel_dropout(LpTensor *input, double p, bool training, bool inplace,
                                 int64_t batched_ndim) {
  if (lp_ndim(input) == batched_ndim) return dropout(input, p, training, inplace, true);
  LpTensor *batch = lp_unsqueeze(input, 0);
  TRY(batch);
  LpTensor *wide = dropout(batch, p, training, inplace, true);
  lp_tensor_release(batch);
  TRY(wide);
  LpTensor *result = inplace ? same(input) : lp_squeeze_dim(wide, 0);
  lp_tensor_release(wide);
  return result;
}
LpTensor *lp_composite_dropout1d(LpTensor *input, double p, bool training, bool inplace) {
  CHECK(lp_ndim(input) == 2 || lp_ndim(input) == 3, LP_ERR_ARGUMENT,
        "expected an input of 2 or 3 dims, got %s", SHAPE_TEXT(input));
  return channel_dropout(input, p, training, inplace, 3);
}
LpTensor *lp_composite_dropout2d(LpTensor *input, double p, bool training, bool inplace) {
  return channel_dropout(input, p, training, inplace, lp_ndim(input));
}
LpTensor *lp_composite_dropout3d(LpTensor *input, double p, bool training, bool inplace) {
  return channel_dropout(input, p, training, inplace, 5);
}

/* Dropped elements become -alpha', then an affine map restores mean 0 and variance 1. */
static LpTensor *alpha_dropout(LpTensor *input, double p, bool training, bool inplace,
                               bool by_feature) {
  CHECK(p >= 0 && p <= 1, LP_ERR_ARGUMENT, "expected 'p' between 0 and 1, got %g", p);
  if (p == 0 || !training || !lp_numel(input)) return same(input);
  if (p == 1) return dropout(input, p, training, inplace, false);
  CHECK(!by_feature || lp_ndim(input) >= 2, LP_ERR_ARGUMENT,
        "expected an input of at least 2 dims (batch, channels), got %s",
        SHAPE_TEXT(input));
  CHECK_FLOATING(input, "input");
  const double alpha = 1.7580993408473766; /* selu's scale * alpha */
  double a = 1 / sqrt((alpha * alpha * p + 1) * (1 - p));
  Expr e = {0};
  LpTensor *noise = draw(&e, input, p, by_feature);
  LpTensor *shift =
      x_offset(&e, x_scale(&e, x_offset(&e, noise, -1), alpha * a), alpha * a * p);
  LpTensor *result = apply(&e, input, x_scale(&e, noise, a), inplace);
  if (result && shift && inplace)
    result = lp_add_(result, shift, lp_scalar_int(1)) ? result : NULL;
  else
    result = x_add(&e, result, shift);
  return expr_end(&e, result);
}
LpTensor *lp_composite_alpha_dropout(LpTensor *input, double p, bool training,
                                     bool inplace) {
  return alpha_dropout(input, p, training, inplace, false);
}
LpTensor *lp_composite_feature_alpha_dropout(LpTensor *input, double p, bool training,
                                             bool inplace) {
  return alpha_dropout(input, p, training, inplace, true);
}

LpTensor *lp_composite_embedding(LpTensor *input, LpTensor *weight, LpOptInt padding_idx,
                                 LpOptFloat max_norm, double norm_type,
                                 bool scale_grad_by_freq, bool sparse) {
  CHECK(!sparse || !lp_wants_grad(weight), LP_ERR_ARGUMENT,
        "sparse = true is not part of Lampad: gradients are dense");
  CHECK(lp_ndim(weight) == 2, LP_ERR_ARGUMENT,
        "expected 'weight' of 2 dims (rows, features), got %s", SHAPE_TEXT(weight));
  int64_t rows = lp_size(weight, 0), padding = -1;
  if (padding_idx.has) {
    padding = padding_idx.value;
    CHECK(padding >= -rows && padding < rows, LP_ERR_INDEX,
          "expected 'padding_idx' in [%lld, %lld), got %lld", (long long)-rows,
          (long long)rows, (long long)padding);
    if (padding < 0) padding += rows;
  }
  if (max_norm.has) TRY(lp_embedding_renorm_(weight, input, max_norm.value, norm_type));
  return lp_embedding_rows(weight, input, padding, scale_grad_by_freq);
}
