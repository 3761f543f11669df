/* linear_cross_entropy: the cross entropy of a linear layer's scores. */
#include "composite/expr.h"
#include "impl.h"

LpTensor *lp_composite_linear_cross_entropy(LpTensor *input, LpTensor *linear_weight,
                                            LpTensor *target, LpTensor *linear_bias,
                                            LpTensor *weight, const char *reduction,
                                            LpOptInt ignore_index,
                                            double label_smoothing) {
  int64_t ndim = lp_ndim(input), wdim = lp_ndim(linear_weight), sizes[LP_MAX_DIMS], n = 0;
  CHECK(ndim == 1 || ndim == 2, LP_ERR_ARGUMENT,
        "expected 'input' of 1 or 2 dims (batch, features), got %s", SHAPE_TEXT(input));
  CHECK(wdim >= 2, LP_ERR_ARGUMENT,
        "expected 'linear_weight' of at least 2 dims (classes, ..., features), got %s",
        SHAPE_TEXT(linear_weight));
  CHECK(lp_size(input, ndim - 1) == lp_size(linear_weight, wdim - 1), LP_ERR_ARGUMENT,
        "expected 'input' and 'linear_weight' of as many features, got %s and %s",
        SHAPE_TEXT(input), SHAPE_TEXT(linear_weight));
  CHECK(wdim == 2 || ndim == 2, LP_ERR_ARGUMENT,
        "expected 'input' with a batch dim for linear_weight %s, got %s",
        SHAPE_TEXT(linear_weight), SHAPE_TEXT(input));
  if (linear_bias) {
    bool fits = lp_ndim(linear_bias) == wdim - 1;
    for (int64_t d = 0; fits && d < wdim - 1; d++)
      fits = lp_size(linear_bias, d) == lp_size(linear_weight, d);
    CHECK(
        fits, LP_ERR_ARGUMENT,
        "expected 'linear_bias' of the shape of linear_weight without its features, %s, "
        "got %s",
        lp_format_ints(lp_ints(linear_weight->sizes, wdim - 1), (char[256]){0}, 256),
        SHAPE_TEXT(linear_bias));
  }
  int64_t outputs = 1, features = lp_size(input, ndim - 1);
  if (ndim == 2) sizes[n++] = lp_size(input, 0);
  for (int64_t d = 0; d < wdim - 1; d++) {
    sizes[n++] = lp_size(linear_weight, d);
    outputs *= lp_size(linear_weight, d);
  }
  bool probabilities = lp_ndim(target) == n;
  for (int64_t d = 0; probabilities && d < n; d++)
    probabilities = lp_size(target, d) == sizes[d];
  CHECK(!probabilities || !ignore_index.has, LP_ERR_ARGUMENT,
        "'ignore_index' has no meaning for a target of probabilities");
  Expr e = {0};
  int64_t matrix[2] = {outputs, features};
  LpTensor *w = x_reshape(&e, linear_weight, lp_ints(matrix, 2));
  LpTensor *b = linear_bias ? x_reshape(&e, linear_bias, lp_ints(&outputs, 1)) : NULL;
  LpTensor *flat = w && (b || !linear_bias) ? keep(&e, lp_linear(input, w, b)) : NULL;
  LpTensor *scores = x_reshape(&e, flat, lp_ints(sizes, n));
  LpOptBool unset = {0};
  int64_t ignored = ignore_index.has ? ignore_index.value : -100;
  return expr_end(
      &e, scores ? keep(&e, lp_cross_entropy(scores, target, weight, unset, ignored,
                                             unset, reduction, label_smoothing))
                 : NULL);
}
