/* embedding_bag: the two forms of its input, and the checks of its options. */
#include "autograd/node.h"
#include "composite/expr.h"
#include "impl.h"

static bool is_index(LpTensor *t) {
  return lp_dtype(t) == LP_INT64 || lp_dtype(t) == LP_INT32;
}

/* Where each bag begins, and where the last one ends. */
static LpTensor *bounds(LpTensor *input, LpTensor *offsets, bool include_last_offset) {
  LpTensor *given = offsets ? nn_dense(offsets, LP_INT64) : NULL;
  if (offsets && !given) return NULL;
  int64_t n = lp_numel(input), bags = offsets ? lp_numel(offsets) : lp_size(input, 0);
  if (include_last_offset) bags--;
  int64_t count = bags + 1;
  LpTensor *all = nn_empty(&count, 1, LP_INT64);
  if (all) {
    int64_t *to = lp_data(all);
    const int64_t *from = given ? lp_data(given) : NULL;
    for (int64_t b = 0; b <= bags; b++)
      to[b] = !offsets                          ? b * lp_size(input, 1)
              : b < bags || include_last_offset ? from[b]
                                                : n;
    bool fits = bags == 0 || to[0] == 0;
    if (!fits)
      lp_fail(LP_ERR_ARGUMENT, "expected 'offsets' that begin with 0, got %lld",
              (long long)to[0]);
    if (!fits) lp_drop(&all);
  }
  lp_tensor_release(given);
  return all;
}

LpTensor *lp_composite_embedding_bag(LpTensor *input, LpTensor *weight, LpTensor *offsets,
                                     LpOptFloat max_norm, double norm_type,
                                     bool scale_grad_by_freq, const char *mode,
                                     bool sparse, LpTensor *per_sample_weights,
                                     bool include_last_offset, LpOptInt padding_idx) {
  /* The order of old scripts, which PyTorch still takes. */
  if (is_index(weight) && nn_float_index(lp_dtype(input)) >= 0) {
    LpTensor *indices = weight;
    weight = input;
    input = indices;
  }
  bool is_max = !strcmp(mode, "max"), is_sum = !strcmp(mode, "sum");
  CHECK(is_max || is_sum || !strcmp(mode, "mean"), LP_ERR_ARGUMENT,
        "expected 'mode' to be 'sum', 'mean' or 'max', got '%s'", mode);
  CHECK(!sparse || !lp_wants_grad(weight), LP_ERR_ARGUMENT,
        "sparse = true is not part of Lampad: gradients are dense");
  CHECK(lp_ndim(weight) == 2, LP_ERR_ARGUMENT,
        "expected 'weight' of 2 dims (rows, features), got %s", SHAPE_TEXT(weight));
  CHECK_FLOATING(weight, "weight");
  CHECK(is_index(input), LP_ERR_TYPE, "expected 'input' of int64 or int32, got %s",
        lp_dtype_name(lp_dtype(input)));
  CHECK(!offsets || is_index(offsets), LP_ERR_TYPE,
        "expected 'offsets' of int64 or int32, got %s", lp_dtype_name(lp_dtype(offsets)));
  CHECK(lp_ndim(input) == 1 || lp_ndim(input) == 2, LP_ERR_ARGUMENT,
        "expected 'input' of 1 or 2 dims, got %s", SHAPE_TEXT(input));
  CHECK(lp_ndim(input) == 1 || !offsets, LP_ERR_ARGUMENT,
        "expected no 'offsets' for an input of 2 dims, whose rows are the bags");
  CHECK(lp_ndim(input) == 2 || offsets, LP_ERR_ARGUMENT,
        "an input of 1 dim needs 'offsets', where each bag begins");
  CHECK(!offsets || lp_ndim(offsets) == 1, LP_ERR_ARGUMENT,
        "expected 'offsets' of 1 dim, got %s", SHAPE_TEXT(offsets));
  CHECK(!include_last_offset || lp_numel(offsets ? offsets : input) > 0, LP_ERR_ARGUMENT,
        "include_last_offset needs 'offsets' with at least 1 element");
  CHECK(!is_max || !scale_grad_by_freq, LP_ERR_ARGUMENT,
        "mode 'max' cannot scale the gradient by frequency");
  if (per_sample_weights) {
    CHECK(is_sum, LP_ERR_ARGUMENT,
          "per_sample_weights need mode = 'sum', got mode = '%s'", mode);
    CHECK(lp_dtype(per_sample_weights) == lp_dtype(weight), LP_ERR_TYPE,
          "expected 'per_sample_weights' of the dtype of weight, %s, got %s",
          lp_dtype_name(lp_dtype(weight)), lp_dtype_name(lp_dtype(per_sample_weights)));
    bool same = lp_ndim(input) == lp_ndim(per_sample_weights);
    for (int64_t d = 0; same && d < lp_ndim(input); d++)
      same = lp_size(input, d) == lp_size(per_sample_weights, d);
    CHECK(same, LP_ERR_ARGUMENT,
          "expected 'per_sample_weights' of the shape of input, %s, got %s",
          SHAPE_TEXT(input), SHAPE_TEXT(per_sample_weights));
  }
  int64_t padding = -1, rows = lp_size(weight, 0);
  if (padding_idx.has) {
    padding = padding_idx.value;
    CHECK(padding >= -rows && padding < rows, LP_ERR_INDEX,
          "expected 'padding_idx' in [%lld, %lld), got %lld", (long long)-rows,
          (long long)rows, (long long)padding);
    if (padding < 0) padding += rows;
  }
  LpTensor *ends = bounds(input, offsets, include_last_offset);
  TRY(ends);
  LpTensor *results[2] = {NULL, NULL};
  bool ok =
      !max_norm.has || lp_embedding_renorm_(weight, input, max_norm.value, norm_type);
  ok = ok && lp_embedding_bag_rows(weight, input, ends, per_sample_weights, mode,
                                   scale_grad_by_freq, padding, results);
  lp_tensor_release(ends);
  lp_tensor_release(results[1]);
  return ok ? results[0] : NULL;
}
