/* Indexing ops written in terms of others, and derivatives of the reducing scatters. Only op calls, so
 * that their own derivatives follow. */
#include <string.h>
#include "composite/chain.h"
#include "impl.h"

/* --- gathering ------------------------------------------------------------------------------------------ */

/* t (consumed) with zeros behind it up to the given sizes; where t does not fit in, it holds one element or none. */
static LpTensor *pad_to(LpTensor *owned, LpInts sizes) {
  bool fits = owned && lp_ndim(owned) == sizes.count;
  if (owned && !fits && lp_numel(owned)) return own_reshape(owned, sizes);
  for (int64_t d = 0; fits && d < sizes.count; d++) fits = lp_size(owned, d) <= sizes.data[d];
  if (owned && !fits) {
    LpTensor *zeros = lp_zeros_of(owned, sizes);
    lp_tensor_release(owned);
    return zeros;
  }
  for (int64_t d = 0; owned && d < sizes.count && lp_ndim(owned) == sizes.count; d++) {
    int64_t missing = sizes.data[d] - lp_size(owned, d), shape[LP_MAX_DIMS];
    if (missing <= 0) continue;
    memcpy(shape, owned->sizes, (size_t)sizes.count * sizeof *shape);
    shape[d] = missing;
    LpTensor *zeros = lp_zeros_of(owned, lp_ints(shape, sizes.count));
    owned = own_cat(owned, zeros, d);
  }
  return owned;
}

/* t's leading part of index's sizes (a borrowed view, or t itself, owned by the caller). */
static LpTensor *head_of(LpTensor *t, LpTensor *index) {
  LpTensor *head = lp_own(t);
  for (int64_t d = 0; head && d < lp_ndim(index) && d < lp_ndim(t); d++)
    if (lp_size(head, d) != lp_size(index, d)) head = own_narrow(head, d, 0, lp_size(index, d));
  return head;
}

LpTensor *lp_composite_gather_padded(LpTensor *self, int64_t dim, LpTensor *index, LpInts sizes) {
  return pad_to(lp_gather(self, dim, index, false), sizes);
}

/* gather whose indices wrap around, as PyTorch's take_along_dim has them. */
static LpTensor *gather_wrapped(LpTensor *x, int64_t dim, LpTensor *index, int64_t size) {
  if (size == 0 || lp_numel(index) == 0) return lp_gather(x, dim, index, false);
  LpTensor *period = lp_tensor_wrapped(lp_scalar_int(size));
  LpTensor *wrapped = period ? lp_remainder(index, period) : NULL;
  LpTensor *result = wrapped ? lp_gather(x, dim, wrapped, false) : NULL;
  lp_tensor_release(period);
  lp_tensor_release(wrapped);
  return result;
}

LpTensor *lp_composite_take_along_dim(LpTensor *self, LpTensor *indices, LpOptInt dim) {
  int64_t all = -1, d;
  CHECK(lp_dtype(indices) == LP_INT64, LP_ERR_TYPE, "indices must be int64, got %s", lp_dtype_name(lp_dtype(indices)));
  LpTensor *x, *at, *result;
  int64_t size = dim.has ? 0 : lp_numel(self);
  if (!dim.has) {
    x = lp_reshape(self, lp_ints(&all, 1));
    at = lp_reshape(indices, lp_ints(&all, 1));
    result = x && at ? gather_wrapped(x, 0, at, size) : NULL;
  } else {
    int64_t ndim = lp_ndim(self), x_sizes[LP_MAX_DIMS], at_sizes[LP_MAX_DIMS];
    CHECK(lp_ndim(indices) == ndim, LP_ERR_ARGUMENT, "self and indices must have as many dims, got shapes %s and %s",
          SHAPE_TEXT(self), SHAPE_TEXT(indices));
    TRY(lp_wrap_dim(dim.value, ndim, &d));
    for (int64_t i = 0; i < ndim; i++) {
      int64_t a = lp_size(self, i), b = lp_size(indices, i);
      CHECK(i == d || a == b || a == 1 || b == 1, LP_ERR_ARGUMENT,
            "self and indices do not broadcast in dim %lld: shapes %s and %s", (long long)i, SHAPE_TEXT(self),
            SHAPE_TEXT(indices));
      x_sizes[i] = i == d ? a : a == 1 ? b : a;
      at_sizes[i] = i == d ? b : a == 1 ? b : a;
    }
    x = lp_expand(self, lp_ints(x_sizes, ndim));
    at = lp_expand(indices, lp_ints(at_sizes, ndim));
    result = x && at ? gather_wrapped(x, d, at, lp_ndim(self) ? lp_size(self, d) : 1) : NULL;
  }
  lp_tensor_release(x);
  lp_tensor_release(at);
  return result;
}

/* --- reducing scatters ---------------------------------------------------------------------------------- */

LpTensor *lp_composite_index_reduce(LpTensor *self, int64_t dim, LpTensor *index, LpTensor *source, const char *reduce,
                                    bool include_self) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  CHECK(strcmp(reduce, "sum"), LP_ERR_ARGUMENT, "reduce must be 'prod', 'mean', 'amax' or 'amin', got 'sum': use index_add");
  CHECK(lp_ndim(index) <= 1, LP_ERR_INDEX, "index must be 1-d, got shape %s", SHAPE_TEXT(index));
  CHECK(lp_ndim(source) == lp_ndim(self), LP_ERR_ARGUMENT, "source must have as many dims as self, got shapes %s and %s",
        SHAPE_TEXT(source), SHAPE_TEXT(self));
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(source); d++) {
    CHECK(lp_size(source, d) == (d == dim ? lp_numel(index) : lp_size(self, d)), LP_ERR_ARGUMENT,
          "source must have self's shape %s with index's length %lld in dim %lld, got %s", SHAPE_TEXT(self),
          (long long)lp_numel(index), (long long)dim, SHAPE_TEXT(source));
    sizes[d] = d == dim ? lp_numel(index) : 1;
  }
  LpTensor *at = own_expand(own_reshape(lp_own(index), lp_ints(sizes, lp_ndim(source))), lp_sizes(source));
  LpTensor *result = at ? lp_scatter_reduce_two(self, dim, at, source, reduce, include_self) : NULL;
  lp_tensor_release(at);
  return result;
}

/* How many values went into each element of a mean, at least 1. */
static LpTensor *mean_counts(LpTensor *grad, int64_t dim, LpTensor *index, bool include_self) {
  const LpDtype real = lp_dtype_to_real(lp_dtype(grad));
  const LpDevice same = {LP_DEVICE_NONE, 0};
  LpTensor *start = include_self ? lp_new_ones(grad, lp_sizes(grad), real, same, false)
                                 : lp_new_zeros(grad, lp_sizes(grad), real, same, false);
  LpTensor *ones = lp_new_ones(grad, lp_sizes(index), real, same, false);
  LpTensor *counts = start && ones ? lp_scatter_add(start, dim, index, ones) : NULL;
  lp_tensor_release(start);
  lp_tensor_release(ones);
  LpTensor *least = counts ? lp_clamp(counts, (LpOptScalar){true, lp_scalar_int(1)}, (LpOptScalar){.has = false}) : NULL;
  lp_tensor_release(counts);
  return least;
}

/* 1 where `a` equals `b`, in grad's dtype (consumes both). */
static LpTensor *same_as(LpTensor *owned, LpTensor *owned2, LpDtype dtype) { return own_cast(own_eq(owned, owned2), dtype); }

/* For extremes: each element's gradient divided by the number of values that reached it. */
static LpTensor *extreme_share(LpTensor *grad, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *head,
                               LpTensor *result) {
  LpTensor *at_self = same_as(lp_own(self), lp_own(result), lp_dtype(grad));
  LpTensor *at_src = same_as(lp_own(head), lp_gather(result, dim, index, false), lp_dtype(grad));
  LpTensor *count = at_self && at_src ? lp_scatter_add(at_self, dim, index, at_src) : NULL;
  LpTensor *least = count ? lp_clamp(count, (LpOptScalar){true, lp_scalar_int(1)}, (LpOptScalar){.has = false}) : NULL;
  lp_tensor_release(at_self);
  lp_tensor_release(at_src);
  lp_tensor_release(count);
  return own_div(lp_own(grad), least);
}

static LpTensor *is_zero(LpTensor *t) { return own_eq(lp_own(t), lp_integer(0)); }

LpTensor *lp_composite_scatter_reduce_backward_self(LpTensor *grad, LpTensor *self, int64_t dim, LpTensor *index,
                                                    LpTensor *src, const char *reduce, bool include_self,
                                                    LpTensor *result) {
  LpTensor *g = NULL, *head = head_of(src, index);
  if (!head) return NULL;
  if (!strcmp(reduce, "sum")) g = lp_own(grad);
  else if (!strcmp(reduce, "mean")) g = own_div(lp_own(grad), mean_counts(grad, dim, index, include_self));
  else if (!strcmp(reduce, "prod")) {
    LpTensor *others = own_fill(lp_own(self), is_zero(self), 1);
    LpTensor *product = others ? lp_scatter_reduce_two(others, dim, index, head, "prod", include_self) : NULL;
    g = own_div(own_mul(lp_own(grad), product), others);
  } else {
    LpTensor *at_self = same_as(lp_own(self), lp_own(result), lp_dtype(grad));
    g = own_mul(at_self, extreme_share(grad, self, dim, index, head, result));
  }
  lp_tensor_release(head);
  if (!include_self && g) { /* what was overwritten had no part */
    LpTensor *cut = lp_scatter_value(g, dim, index, lp_scalar_int(0));
    lp_tensor_release(g);
    g = cut;
  }
  return g;
}

static LpTensor *own_gather(LpTensor *owned, int64_t dim, LpTensor *index) {
  LpTensor *result = owned ? lp_gather(owned, dim, index, false) : NULL;
  lp_tensor_release(owned);
  return result;
}

/* d(product) / d src: the product of the others; by division but where src itself is the only zero. */
static LpTensor *prod_backward_src(LpTensor *grad, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *head,
                                   bool include_self, LpTensor *result) {
  LpTensor *zero = is_zero(head), *zero_number = own_cast(lp_own(zero), lp_dtype(grad));
  LpTensor *none = lp_zeros_of(grad, lp_sizes(self));
  LpTensor *zeros = none && zero_number ? lp_scatter_add(none, dim, index, zero_number) : NULL;
  LpTensor *alone = own_and(lp_own(zero), own_eq(own_gather(zeros, dim, index), lp_integer(1)));
  LpTensor *masked = alone ? own_fill(lp_own(head), lp_own(alone), 1) : NULL;
  LpTensor *others = masked ? lp_scatter_reduce_two(self, dim, index, masked, "prod", include_self) : NULL;
  LpTensor *by_others = own_gather(own_mul(lp_own(grad), others), dim, index);
  LpTensor *by_division = own_div(own_gather(lp_mul(grad, result), dim, index), own_fill(lp_own(head), lp_own(zero), 1));
  LpTensor *g = alone && by_others && by_division ? lp_where(alone, by_others, by_division) : NULL;
  LpTensor *all[] = {zero, zero_number, none, alone, masked, by_others, by_division};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lp_tensor_release(all[i]);
  return g;
}

LpTensor *lp_composite_scatter_reduce_backward_src(LpTensor *grad, LpTensor *self, int64_t dim, LpTensor *index,
                                                   LpTensor *src, const char *reduce, bool include_self,
                                                   LpTensor *result) {
  LpTensor *g = NULL, *head = head_of(src, index);
  if (!head) return NULL;
  if (!strcmp(reduce, "sum")) g = lp_gather(grad, dim, index, false);
  else if (!strcmp(reduce, "mean"))
    g = own_gather(own_div(lp_own(grad), mean_counts(grad, dim, index, include_self)), dim, index);
  else if (!strcmp(reduce, "prod")) g = prod_backward_src(grad, self, dim, index, head, include_self, result);
  else {
    LpTensor *at_src = same_as(lp_own(head), lp_gather(result, dim, index, false), lp_dtype(grad));
    g = own_mul(at_src, own_gather(extreme_share(grad, self, dim, index, head, result), dim, index));
  }
  lp_tensor_release(head);
  return pad_to(g, lp_sizes(src));
}

/* --- masks ---------------------------------------------------------------------------------------------- */

LpTensor *lp_composite_masked_select(LpTensor *self, LpTensor *mask) {
  CHECK(lp_dtype(mask) == LP_BOOL, LP_ERR_TYPE, "mask must be bool, got %s", lp_dtype_name(lp_dtype(mask)));
  LpTensor *both[2] = {self, mask}, *result = NULL;
  LpTensorVec full = {0};
  TRY(lp_broadcast_tensors((LpTensors){both, 2}, &full));
  if (lp_ndim(full.data[0]) == 0) { /* a 0-d mask picks from a 1-d tensor of one element */
    for (int i = 0; i < 2 && full.data[i]; i++) full.data[i] = own_unsqueeze(full.data[i], 0);
  }
  if (full.data[0] && full.data[1]) result = lp_index(full.data[0], (LpTensors){&full.data[1], 1});
  lp_tensor_vec_free(&full);
  return result;
}

LpTensor *lp_composite_masked_scatter_backward(LpTensor *grad, LpTensor *mask, LpInts sizes) {
  int64_t numel;
  TRY(lp_numel_of(sizes, &numel));
  return own_reshape(pad_to(lp_masked_select(grad, mask), lp_ints(&numel, 1)), sizes);
}

/* --- diagonals ------------------------------------------------------------------------------------------ */

LpTensor *lp_composite_diag(LpTensor *self, int64_t diagonal) {
  CHECK(lp_ndim(self) == 1 || lp_ndim(self) == 2, LP_ERR_ARGUMENT, "self must be 1-d or 2-d, got shape %s",
        SHAPE_TEXT(self));
  if (lp_ndim(self) == 1) return lp_diag_embed(self, diagonal, -2, -1);
  LpTensor *view = lp_diagonal(self, diagonal, 0, 1);
  LpTensor *result = view ? lp_clone(view, LP_FORMAT_NONE) : NULL;
  lp_tensor_release(view);
  return result;
}
