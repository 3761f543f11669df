/* Derivatives of reductions, and reductions written in terms of others. Only op calls, so that their
 * own derivatives follow. */
#include <math.h>
#include <string.h>
#include "composite/chain.h"
#include "dispatch/reduce.h"
#include "impl.h"
#include "lampad/autograd.h"

bool lp_has_zero(LpTensor *t, bool *ok) {
  t = lp_whole(t);
  LpTensor *count = lp_impl_count_nonzero(t, lp_ints_none());
  *ok = count != NULL;
  bool has = count && *(int64_t *)lp_data(count) < lp_numel(t);
  lp_tensor_release(count);
  return has;
}

LpTensor *lp_restore_dims(LpTensor *owned, int64_t ndim, LpInts dims, bool keepdim) {
  if (!owned || keepdim || ndim == 0) return owned;
  bool reduced[LP_MAX_DIMS] = {false};
  for (int64_t i = 0; i < dims.count; i++) {
    int64_t d;
    if (!lp_wrap_dim(dims.data[i], ndim, &d)) {
      lp_tensor_release(owned);
      return NULL;
    }
    reduced[d] = true;
  }
  for (int64_t d = 0; d < ndim; d++)
    if (dims.count <= 0 || reduced[d]) owned = own_unsqueeze(owned, d);
  return owned;
}

/* --- sums and means ------------------------------------------------------------------------------------- */

LpTensor *lp_composite_reduce_expand(LpTensor *self, LpInts sizes, LpInts dim, bool keepdim) {
  return own_expand(lp_restore_dims(lp_own(self), sizes.count, dim, keepdim), sizes);
}

/* Elements per result of a reduction of a tensor of these sizes. */
static double count_along(LpInts sizes, LpInts dims) {
  double count = 1;
  for (int64_t d = 0; d < sizes.count; d++) {
    bool reduced = dims.count <= 0;
    for (int64_t i = 0; i < dims.count; i++)
      reduced = reduced || dims.data[i] == d || dims.data[i] + sizes.count == d;
    if (reduced) count *= (double)sizes.data[d];
  }
  return count;
}

LpTensor *lp_composite_mean_backward(LpTensor *grad, LpInts sizes, LpInts dim, bool keepdim) {
  LpTensor *share = own_div(lp_own(grad), lp_number(count_along(sizes, dim)));
  return own_expand(lp_restore_dims(share, sizes.count, dim, keepdim), sizes);
}

/* --- choices -------------------------------------------------------------------------------------------- */

LpTensor *lp_composite_pick_backward(LpTensor *grad, LpInts sizes, int64_t dim, LpTensor *indices, bool keepdim) {
  if (sizes.count == 0) return lp_own(grad);
  LpInts one = lp_ints(&dim, 1);
  LpTensor *g = lp_restore_dims(lp_own(grad), sizes.count, one, keepdim);
  LpTensor *at = lp_restore_dims(lp_own(indices), sizes.count, one, keepdim);
  LpTensor *zeros = lp_zeros_of(grad, sizes);
  LpTensor *result = g && at && zeros ? lp_scatter_src(zeros, dim, at, g) : NULL;
  lp_tensor_release(g);
  lp_tensor_release(at);
  lp_tensor_release(zeros);
  return result;
}

bool lp_composite_aminmax(LpTensor *self, LpOptInt dim, bool keepdim, LpTensor **results) {
  LpInts dims = dim.has ? lp_ints(&dim.value, 1) : lp_ints(NULL, 0);
  results[0] = lp_amin(self, dims, keepdim);
  results[1] = results[0] ? lp_amax(self, dims, keepdim) : NULL;
  if (results[1]) return true;
  lp_tensor_release(results[0]);
  results[0] = NULL;
  return false;
}

/* --- products ------------------------------------------------------------------------------------------- */

/* The product along dim of all elements but one, for each: running products from both ends. Right with
 * zeros, where dividing the whole product is not. */
static LpTensor *products_of_others(LpTensor *x, int64_t dim) {
  int64_t n = lp_size(x, dim), sizes[LP_MAX_DIMS];
  memcpy(sizes, x->sizes, (size_t)lp_ndim(x) * sizeof *sizes);
  sizes[dim] = 1;
  LpInts edge = lp_ints(sizes, lp_ndim(x));
  if (n <= 1) return lp_ones_of(x, lp_sizes(x));
  LpTensor *before = own_cumprod(own_cat(lp_ones_of(x, edge), lp_narrow(x, dim, 0, n - 1), dim), dim);
  LpTensor *after = own_flip(lp_narrow(x, dim, 1, n - 1), dim);
  after = own_flip(own_cumprod(own_cat(lp_ones_of(x, edge), after, dim), dim), dim);
  return own_mul(before, after);
}

/* self and result come conjugated. */
LpTensor *lp_composite_prod_backward(LpTensor *grad, LpTensor *self, LpTensor *result) {
  bool ok;
  if (lp_ndim(self) == 0) return lp_own(grad);
  if (!lp_has_zero(self, &ok)) {
    if (!ok) return NULL;
    LpTensor *ratio = lp_div(result, self);
    return own_mul(lp_own(grad), ratio);
  }
  int64_t all = -1;
  LpTensor *flat = lp_reshape(self, lp_ints(&all, 1));
  LpTensor *others = flat ? products_of_others(flat, 0) : NULL;
  lp_tensor_release(flat);
  return own_mul(lp_own(grad), own_reshape(others, lp_sizes(self)));
}

LpTensor *lp_composite_prod_dim_backward(LpTensor *grad, LpTensor *self, LpTensor *result, int64_t dim, bool keepdim) {
  bool ok;
  if (lp_ndim(self) == 0) return lp_own(grad);
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  LpInts one = lp_ints(&dim, 1);
  LpTensor *g = lp_restore_dims(lp_own(grad), lp_ndim(self), one, keepdim);
  if (!lp_has_zero(self, &ok) && ok) {
    LpTensor *whole = lp_restore_dims(lp_own(result), lp_ndim(self), one, keepdim);
    return own_mul(g, own_div(whole, lp_own(self)));
  }
  return own_mul(g, ok ? products_of_others(self, dim) : NULL);
}

/* d result[i] / d x[k] for i >= k is the product of x[0..i] without x[k]. */
static LpTensor *cumprod_slice(LpTensor *grad, LpTensor *x, int64_t dim, int64_t k) {
  int64_t n = lp_size(x, dim), sizes[LP_MAX_DIMS];
  memcpy(sizes, x->sizes, (size_t)lp_ndim(x) * sizeof *sizes);
  sizes[dim] = 1;
  LpTensor *others = lp_ones_of(x, lp_ints(sizes, lp_ndim(x)));
  if (k + 1 < n) others = own_cat(others, own_cumprod(lp_narrow(x, dim, k + 1, n - k - 1), dim), dim);
  if (k > 0) {
    LpTensor *head = lp_narrow(x, dim, 0, k);
    others = own_mul(others, head ? lp_prod_dim_int(head, dim, true, LP_DTYPE_NONE) : NULL);
    lp_tensor_release(head);
  }
  return own_sum(own_mul(others, lp_narrow(grad, dim, k, n - k)), lp_ints(&dim, 1), true);
}

LpTensor *lp_composite_cumprod_backward(LpTensor *grad, LpTensor *self, int64_t dim, LpTensor *result) {
  bool ok;
  if (lp_ndim(self) == 0 || lp_numel(self) == 0) return lp_own(grad);
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  int64_t n = lp_size(self, dim);
  if (n == 1) return lp_own(grad);
  if (!lp_has_zero(self, &ok)) {
    if (!ok) return NULL;
    LpTensor *weighted = lp_mul(grad, result);
    LpTensor *sums = weighted ? lp_reverse_cumsum(weighted, dim) : NULL;
    lp_tensor_release(weighted);
    return own_div(sums, lp_own(self));
  }
  LpTensor *total = cumprod_slice(grad, self, dim, 0);
  for (int64_t k = 1; k < n && total; k++) total = own_cat(total, cumprod_slice(grad, self, dim, k), dim);
  return total;
}

/* d result[i] / d x[j] for i >= j is exp(x[j] - result[i]), at most 1. Sums of logarithms give the
 * gradient in one walk; when its own derivative will be wanted the matrix itself is, for logarithms of
 * zero gradients have none. */
LpTensor *lp_composite_logcumsumexp_backward(LpTensor *grad, LpTensor *self, LpTensor *result, int64_t dim) {
  if (lp_ndim(self) == 0) return lp_own(grad);
  const bool complex = lp_dtype_is_complex(lp_dtype(self));
  if (!lp_grad_enabled())
    return (complex ? lp_logcumsumexp_backward_complex : lp_logcumsumexp_backward_by_logs)(grad, self, result, dim);
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  const int64_t n = lp_size(self, dim), square[2] = {n, n}, rows = -2;
  LpTensor *x = own_unsqueeze(lp_transpose(self, dim, -1), -2), *y = own_unsqueeze(lp_transpose(result, dim, -1), -1);
  LpTensor *ones = lp_ones_of(self, lp_ints(square, 2)), *later = ones ? lp_triu(ones, 1) : NULL;
  lp_tensor_release(ones);
  LpTensor *logs = own_fill(own_sub(x, y), own_cast(later, LP_BOOL), -INFINITY);
  LpTensor *slopes = logs ? lp_exp(logs) : NULL;
  lp_tensor_release(logs);
  if (complex && slopes) {
    LpTensor *plain = slopes;
    slopes = lp_conj(plain);
    lp_tensor_release(plain);
  }
  LpTensor *sums = own_mul(own_unsqueeze(lp_transpose(grad, dim, -1), -1), slopes);
  sums = own_sum(sums, lp_ints(&rows, 1), false);
  LpTensor *back = sums ? lp_transpose(sums, dim, -1) : NULL;
  lp_tensor_release(sums);
  return back;
}

/* --- norms ---------------------------------------------------------------------------------------------- */

LpTensor *lp_composite_norm_backward(LpTensor *grad, LpTensor *self, LpTensor *result, LpScalar ord, LpInts dim,
                                     bool keepdim) {
  double p = lp_scalar_to_double(ord);
  int64_t ndim = lp_ndim(self);
  if (p == 0) return lp_zeros_of(self, lp_sizes(self));
  LpTensor *g = lp_restore_dims(lp_own(grad), ndim, dim, keepdim);
  if (p == 1) return own_mul(lp_sgn(self), g);
  LpTensor *norm = lp_restore_dims(lp_own(result), ndim, dim, keepdim);
  if (!g || !norm) {
    lp_tensor_release(g);
    lp_tensor_release(norm);
    return NULL;
  }
  if (isinf(p)) { /* shared by the elements at the extreme */
    LpTensor *at = own_cast(own_eq(lp_abs(self), norm), lp_dtype(g));
    LpTensor *count = at ? lp_sum_dim(at, dim, true, LP_DTYPE_NONE) : NULL;
    return own_mul(own_mul(lp_sgn(self), at), own_div(g, count));
  }
  LpTensor *zero = lp_integer(0);
  LpTensor *is_zero = zero ? lp_eq(norm, zero) : NULL, *direction, *scale;
  if (p == 2) {
    lp_tensor_release(zero);
    direction = own_fill(own_div(lp_own(self), norm), is_zero, 0);
    return own_mul(direction, g);
  }
  if (p < 1) {
    LpTensor *at_zero = zero ? lp_eq(self, zero) : NULL;
    direction = own_mul(lp_sgn(self), own_pow(lp_abs(self), lp_number(p - 1)));
    direction = own_fill(direction, at_zero, 0);
    scale = own_mul(g, own_pow(norm, lp_number(1 - p)));
    lp_tensor_release(is_zero);
  } else {
    direction = p < 2 ? own_mul(lp_sgn(self), own_pow(lp_abs(self), lp_number(p - 1)))
                      : own_mul(lp_own(self), own_pow(lp_abs(self), lp_number(p - 2)));
    scale = own_fill(own_div(g, own_pow(norm, lp_number(p - 1))), is_zero, 0);
  }
  lp_tensor_release(zero);
  return own_mul(direction, scale);
}

LpTensor *lp_composite_norm(LpTensor *self, LpOptScalar p, LpInts dim, bool keepdim, LpDtype dtype) {
  return lp_linalg_vector_norm(self, p.has ? p.value : lp_scalar_int(2), dim, keepdim, dtype);
}

LpTensor *lp_composite_norm_str(LpTensor *self, const char *p, LpInts dim, bool keepdim, LpDtype dtype) {
  if (!strcmp(p, "nuc")) {
    CHECK(dim.count == 2 || (dim.count < 0 && lp_ndim(self) == 2), LP_ERR_ARGUMENT,
          "the nuclear norm is of matrices: self must have 2 dims or dim must name 2, got shape %s", SHAPE_TEXT(self));
    return lp_linalg_matrix_norm_str_ord(self, p, dim.count == 2 ? dim : lp_ints((int64_t[]){0, 1}, 2), keepdim, dtype);
  }
  double order = !strcmp(p, "fro") ? 2 : !strcmp(p, "inf") ? INFINITY : !strcmp(p, "-inf") ? -INFINITY : NAN;
  CHECK(!isnan(order), LP_ERR_ARGUMENT,
        "p must be a number, 'fro', 'nuc', 'inf' or '-inf', got '%s'; other matrix norms: torch.linalg.matrix_norm", p);
  return lp_linalg_vector_norm(self, lp_scalar_float(order), dim, keepdim, dtype);
}

LpTensor *lp_composite_trace(LpTensor *self) {
  CHECK(lp_ndim(self) == 2, LP_ERR_ARGUMENT, "expected a matrix, got shape %s", SHAPE_TEXT(self));
  LpTensor *diagonal = lp_diagonal(self, 0, 0, 1), *result = diagonal ? lp_sum(diagonal, LP_DTYPE_NONE) : NULL;
  lp_tensor_release(diagonal);
  return result;
}

/* --- differences ---------------------------------------------------------------------------------------- */

LpTensor *lp_composite_diff(LpTensor *self, int64_t n, int64_t dim, LpTensor *prepend, LpTensor *append) {
  CHECK(lp_ndim(self) > 0, LP_ERR_ARGUMENT, "self must have at least 1 dim");
  CHECK(n >= 0, LP_ERR_ARGUMENT, "n must not be negative, got %lld", (long long)n);
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  LpTensor *x = lp_own(self);
  if (n == 0) return x;
  if (prepend) x = own_cat(lp_own(prepend), x, dim);
  if (append) x = own_cat(x, lp_own(append), dim);
  for (int64_t i = 0; i < n && x && (i == 0 || lp_size(x, dim) > 0); i++) {
    int64_t length = lp_size(x, dim), rest = length > 0 ? length - 1 : 0;
    LpTensor *later = lp_narrow(x, dim, length > 0 ? 1 : 0, rest), *earlier = lp_narrow(x, dim, 0, rest);
    bool is_bool = lp_dtype(x) == LP_BOOL;
    lp_tensor_release(x);
    if (is_bool) {
      x = later && earlier ? lp_logical_xor(later, earlier) : NULL;
      lp_tensor_release(later);
      lp_tensor_release(earlier);
    } else {
      x = own_sub(later, earlier);
    }
  }
  return x;
}

/* The sum of (y[i] + y[i + 1]) / 2 times dx along dim; dx is consumed and broadcasts. */
static LpTensor *trapezoids(LpTensor *y, LpTensor *owned_dx, int64_t dim) {
  int64_t n = lp_size(y, dim);
  LpTensor *ends = own_add(lp_narrow(y, dim, 0, n - 1), lp_narrow(y, dim, 1, n - 1));
  LpTensor *areas = own_mul(ends, owned_dx);
  return own_div(own_sum(areas, lp_ints(&dim, 1), false), lp_number(2));
}

/* The integral over fewer than two samples. */
static LpTensor *no_area(LpTensor *y, int64_t dim) {
  LpTensor *none = lp_narrow(y, dim, 0, 0);
  return own_sum(none, lp_ints(&dim, 1), false);
}

LpTensor *lp_composite_trapezoid_dx(LpTensor *y, LpScalar dx, int64_t dim) {
  CHECK(lp_ndim(y) > 0, LP_ERR_ARGUMENT, "y must have at least 1 dim");
  CHECK(lp_dtype(y) != LP_BOOL, LP_ERR_TYPE, "y must not be bool");
  TRY(lp_wrap_dim(dim, lp_ndim(y), &dim));
  if (lp_size(y, dim) < 2) return no_area(y, dim);
  /* Steps of one width: the sum but for half of both ends. */
  LpTensor *ends = own_add(lp_select(y, dim, 0), lp_select(y, dim, -1));
  LpTensor *heights = own_sub(lp_sum_dim(y, lp_ints(&dim, 1), false, LP_DTYPE_NONE), own_mul(ends, lp_number(0.5)));
  return own_mul(heights, lp_tensor_wrapped(dx));
}

LpTensor *lp_composite_trapezoid_x(LpTensor *y, LpTensor *x, int64_t dim) {
  CHECK(lp_ndim(y) > 0 && lp_ndim(x) > 0, LP_ERR_ARGUMENT, "y and x must have at least 1 dim");
  CHECK(lp_dtype(y) != LP_BOOL && lp_dtype(x) != LP_BOOL, LP_ERR_TYPE, "y and x must not be bool");
  TRY(lp_wrap_dim(dim, lp_ndim(y), &dim));
  if (lp_size(y, dim) < 2) return no_area(y, dim);
  LpTensor *at;
  if (lp_ndim(x) != 1) {
    at = lp_own(x);
  } else { /* along dim, whatever y's other dims */
    int64_t sizes[LP_MAX_DIMS];
    CHECK(lp_size(x, 0) == lp_size(y, dim), LP_ERR_ARGUMENT, "x must have y's size %lld in dim %lld, got %lld",
          (long long)lp_size(y, dim), (long long)dim, (long long)lp_size(x, 0));
    for (int64_t d = 0; d < lp_ndim(y); d++) sizes[d] = d == dim ? lp_size(x, 0) : 1;
    at = lp_reshape(x, lp_ints(sizes, lp_ndim(y)));
  }
  int64_t along = at ? dim - lp_ndim(y) : 0; /* from the end: x may have fewer dims */
  LpTensor *dx = at ? lp_diff(at, 1, along, NULL, NULL) : NULL;
  lp_tensor_release(at);
  return trapezoids(y, dx, dim);
}
