/* Norms and condition numbers of matrices; cross and inner products along a dim;
 * distances. */
#include <math.h>
#include <string.h>
#include "composite/steps.h"
#include "dispatch/iter.h"
#include "dispatch/linalg.h"
#include "impl.h"
#include "lampad/ops.h"

/* --- matrix norms
 * -------------------------------------------------------------------------------------
 */

static bool two_dims(const LpTensor *t, LpInts dim, int64_t *d) {
  CHECK(t->ndim >= 2, LP_ERR_ARGUMENT, "self must have at least 2 dims, got shape %s",
        SHAPE_TEXT(t));
  CHECK(dim.count == 2, LP_ERR_ARGUMENT, "dim must name 2 dims, got %lld",
        (long long)dim.count);
  TRY(lp_wrap_dim(dim.data[0], t->ndim, &d[0]));
  TRY(lp_wrap_dim(dim.data[1], t->ndim, &d[1]));
  CHECK(d[0] != d[1], LP_ERR_ARGUMENT, "dim names the same dim twice: %lld and %lld",
        (long long)dim.data[0], (long long)dim.data[1]);
  return true;
}

static LpTensor *converted(LpTensor *t, LpDtype dtype) {
  return dtype == LP_DTYPE_NONE || dtype == (LpDtype)t->dtype
             ? lp_tensor_retain(t)
             : lp_to_copy(t, dtype, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE);
}

/* Puts back dims of size 1 at the places of d. */
static LpTensor *keep_dims(LpTensor *t, const int64_t *d) {
  Steps s = {0};
  int64_t low = d[0] < d[1] ? d[0] : d[1], high = d[0] < d[1] ? d[1] : d[0];
  STEP(one, lp_unsqueeze(t, low));
  STEP(result, lp_unsqueeze(one, high));
  return steps_finish(&s, result);
}

/* Norms that are a largest value are 0 where there is none to choose from: zeros of t's
 * shape without the dims of d. */
static LpTensor *largest_of_none(LpTensor *t, const int64_t *d, bool keepdim) {
  int64_t sizes[LP_MAX_DIMS], n = 0;
  for (int64_t i = 0; i < t->ndim; i++) {
    if (i != d[0] && i != d[1])
      sizes[n++] = t->sizes[i];
    else if (keepdim)
      sizes[n++] = 1;
  }
  LpDtype dtype = (LpDtype)t->dtype;
  if (lp_dtype_is_complex(dtype)) dtype = lp_dtype_to_real(dtype);
  return lp_zeros(lp_ints(sizes, n), dtype, lp_cpu(), false);
}

/* By singular values: 0 the sum, 2 the largest, -2 the smallest. */
static LpTensor *spectral(LpTensor *t, const int64_t *d, int which, bool keepdim) {
  Steps s = {0};
  STEP(moved, lp_movedim(t, lp_ints(d, 2), lp_ints((int64_t[]){-2, -1}, 2)));
  STEP(sv, lp_linalg_svdvals(moved));
  LpInts last = lp_ints((int64_t[]){-1}, 1);
  if (which == 2 && sv->sizes[sv->ndim - 1] == 0)
    return steps_finish(&s, steps_note(&s, largest_of_none(t, d, keepdim)));
  STEP(result, which == 0   ? lp_sum_dim(sv, last, false, LP_DTYPE_NONE)
               : which == 2 ? lp_amax(sv, last, false)
                            : lp_amin(sv, last, false));
  if (keepdim) RESTEP(result, keep_dims(result, d));
  return steps_finish(&s, result);
}

/* By sums of moduli along one dim: order 1 down the columns, inf along the rows. */
static LpTensor *by_sums(LpTensor *t, const int64_t *d, double order, bool keepdim) {
  Steps s = {0};
  int64_t summed = fabs(order) == 1 ? d[0] : d[1],
          chosen = fabs(order) == 1 ? d[1] : d[0];
  if (order > 0 && t->sizes[chosen] == 0) return largest_of_none(t, d, keepdim);
  STEP(size, lp_abs(t));
  STEP(sums, lp_sum_dim(size, lp_ints(&summed, 1), true, LP_DTYPE_NONE));
  STEP(result, order > 0 ? lp_amax(sums, lp_ints(&chosen, 1), true)
                         : lp_amin(sums, lp_ints(&chosen, 1), true));
  if (!keepdim) RESTEP(result, lp_squeeze_dims(result, lp_ints(d, 2)));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_matrix_norm(LpTensor *self, LpScalar ord, LpInts dim,
                                          bool keepdim, LpDtype dtype) {
  int64_t d[2];
  TRY(two_dims(self, dim, d));
  double order = lp_scalar_to_double(ord);
  CHECK(fabs(order) == 1 || fabs(order) == 2 || isinf(order), LP_ERR_ARGUMENT,
        "ord must be 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc', got %g", order);
  Steps s = {0};
  STEP(t, converted(self, dtype));
  STEP(result, fabs(order) == 2 ? spectral(t, d, (int)order, keepdim)
                                : by_sums(t, d, order, keepdim));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_matrix_norm_str_ord(LpTensor *self, const char *ord,
                                                  LpInts dim, bool keepdim,
                                                  LpDtype dtype) {
  int64_t d[2];
  TRY(two_dims(self, dim, d));
  bool frobenius = !strcmp(ord, "fro");
  CHECK(frobenius || !strcmp(ord, "nuc"), LP_ERR_ARGUMENT,
        "ord must be 'fro', 'nuc' or a number, got '%s'", ord);
  Steps s = {0};
  STEP(t, converted(self, dtype));
  STEP(result, frobenius ? lp_linalg_vector_norm(t, lp_scalar_int(2), lp_ints(d, 2),
                                                 keepdim, LP_DTYPE_NONE)
                         : spectral(t, d, 0, keepdim));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_norm(LpTensor *self, LpOptScalar ord, LpInts dim,
                                   bool keepdim, LpDtype dtype) {
  if (!ord.has) {
    if (dim.count >= 0)
      return lp_linalg_vector_norm(self, lp_scalar_int(2), dim, keepdim, dtype);
    return lp_linalg_vector_norm(self, lp_scalar_int(2), lp_ints_none(), keepdim, dtype);
  }
  if (dim.count < 0) {
    CHECK(self->ndim == 1 || self->ndim == 2, LP_ERR_ARGUMENT,
          "with ord and without dim, self must have 1 or 2 dims, got shape %s",
          SHAPE_TEXT(self));
    if (self->ndim == 1)
      return lp_linalg_vector_norm(self, ord.value, lp_ints_none(), keepdim, dtype);
    return lp_linalg_matrix_norm(self, ord.value, lp_ints((int64_t[]){0, 1}, 2), keepdim,
                                 dtype);
  }
  if (dim.count == 1) return lp_linalg_vector_norm(self, ord.value, dim, keepdim, dtype);
  return lp_linalg_matrix_norm(self, ord.value, dim, keepdim, dtype);
}

LpTensor *lp_composite_linalg_norm_ord_str(LpTensor *self, const char *ord, LpInts dim,
                                           bool keepdim, LpDtype dtype) {
  int64_t both[2] = {-2, -1};
  CHECK(dim.count >= 0 || self->ndim == 2, LP_ERR_ARGUMENT,
        "with ord '%s' self must be a matrix, got shape %s", ord, SHAPE_TEXT(self));
  return lp_linalg_matrix_norm_str_ord(self, ord, dim.count >= 0 ? dim : lp_ints(both, 2),
                                       keepdim, dtype);
}

/* --- condition numbers
 * ------------------------------------------------------------------------------------ */

LpTensor *lp_composite_linalg_cond(LpTensor *self, LpOptScalar p) {
  TRY(lp_check_matrix(self, "self"));
  double order = p.has ? lp_scalar_to_double(p.value) : 2;
  Steps s = {0};
  if (fabs(order) == 2) {
    STEP(sv, lp_linalg_svdvals(self));
    STEP_CHECK(sv->sizes[sv->ndim - 1] > 0, LP_ERR_ARGUMENT,
               "self has no elements: shape %s", SHAPE_TEXT(self));
    STEP(first, lp_select(sv, -1, 0));
    STEP(last, lp_select(sv, -1, -1));
    STEP(result, order > 0 ? lp_div(first, last) : lp_div(last, first));
    return steps_finish(&s, result);
  }
  TRY(lp_check_square(self, "self"));
  LpInts dims = lp_ints((int64_t[]){-2, -1}, 2);
  STEP(inverse, lp_linalg_inv(self));
  STEP(a, lp_linalg_matrix_norm(self, p.value, dims, false, LP_DTYPE_NONE));
  STEP(b, lp_linalg_matrix_norm(inverse, p.value, dims, false, LP_DTYPE_NONE));
  STEP(result, lp_mul(a, b));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_cond_p_str(LpTensor *self, const char *p) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  LpInts dims = lp_ints((int64_t[]){-2, -1}, 2);
  Steps s = {0};
  STEP(inverse, lp_linalg_inv(self));
  STEP(a, lp_linalg_matrix_norm_str_ord(self, p, dims, false, LP_DTYPE_NONE));
  STEP(b, lp_linalg_matrix_norm_str_ord(inverse, p, dims, false, LP_DTYPE_NONE));
  STEP(result, lp_mul(a, b));
  return steps_finish(&s, result);
}

/* --- products along a dim
 * ------------------------------------------------------------------------------------ */

LpTensor *lp_composite_linalg_vecdot(LpTensor *x, LpTensor *y, int64_t dim) {
  Steps s = {0};
  STEP(left, lp_conj(x));
  STEP(product, lp_mul(left, y));
  STEP(result, lp_sum_dim(product, lp_ints(&dim, 1), false, LP_DTYPE_NONE));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_cross(LpTensor *self, LpTensor *other, int64_t dim) {
  CHECK(self->ndim == other->ndim, LP_ERR_ARGUMENT,
        "both tensors must have the same number of dims, got shapes %s and %s",
        SHAPE_TEXT(self), SHAPE_TEXT(other));
  int64_t d;
  TRY(lp_wrap_dim(dim, self->ndim, &d));
  CHECK(self->ndim > 0 && self->sizes[d] == 3 && other->sizes[d] == 3, LP_ERR_ARGUMENT,
        "dim %lld must have size 3 in both, got shapes %s and %s", (long long)dim,
        SHAPE_TEXT(self), SHAPE_TEXT(other));
  Steps s = {0};
  LpTensor *a[3], *b[3], *parts[3];
  for (int i = 0; i < 3; i++) {
    a[i] = steps_note(&s, lp_select(self, d, i));
    b[i] = steps_note(&s, lp_select(other, d, i));
    if (!a[i] || !b[i]) return steps_drop(&s);
  }
  for (int i = 0; i < 3; i++) {
    STEP(plus, lp_mul(a[(i + 1) % 3], b[(i + 2) % 3]));
    STEP(minus, lp_mul(a[(i + 2) % 3], b[(i + 1) % 3]));
    STEP(part, lp_sub(plus, minus, lp_scalar_int(1)));
    parts[i] = part;
  }
  STEP(result, lp_stack((LpTensors){parts, 3}, d));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_cross(LpTensor *self, LpTensor *other, LpOptInt dim) {
  int64_t d = dim.value;
  if (!dim.has) { /* the first dim of size 3 */
    for (d = 0; d < self->ndim && self->sizes[d] != 3; d++) continue;
    CHECK(d < self->ndim, LP_ERR_ARGUMENT, "no dim has size 3: shape %s",
          SHAPE_TEXT(self));
  }
  return lp_linalg_cross(self, other, d);
}

/* --- distances
 * --------------------------------------------------------------------------------------------------
 */

static bool check_compute_mode(const char *mode) {
  CHECK(!strcmp(mode, "use_mm_for_euclid_dist_if_necessary") ||
            !strcmp(mode, "use_mm_for_euclid_dist") ||
            !strcmp(mode, "donot_use_mm_for_euclid_dist"),
        LP_ERR_ARGUMENT,
        "compute_mode must be 'use_mm_for_euclid_dist_if_necessary', "
        "'use_mm_for_euclid_dist' or "
        "'donot_use_mm_for_euclid_dist', got '%s'",
        mode);
  return true;
}

/* t as a batch of matrices, (all of the batch dims, rows, columns), in the dtype. */
static LpTensor *as_batch(LpTensor *t, LpInts batch, LpDtype dtype) {
  int64_t wide[LP_MAX_DIMS], rows = t->sizes[t->ndim - 2],
                             columns = t->sizes[t->ndim - 1];
  int64_t n = 1;
  for (int64_t d = 0; d < batch.count; d++) n *= wide[d] = batch.data[d];
  wide[batch.count] = rows, wide[batch.count + 1] = columns;
  Steps s = {0};
  STEP(cast, converted(t, dtype));
  STEP(expanded, lp_expand(cast, lp_ints(wide, batch.count + 2)));
  STEP(result, lp_reshape(expanded, lp_ints((int64_t[]){n, rows, columns}, 3)));
  return steps_finish(&s, result);
}

/* PyTorch takes the product of matrices from this many rows on. */
#define ROWS_FOR_PRODUCT 25

LpTensor *lp_composite_cdist(LpTensor *x1, LpTensor *x2, double p,
                             const char *compute_mode) {
  TRY(check_compute_mode(compute_mode));
  CHECK(lp_dtype_is_floating(x1->dtype) && lp_dtype_is_floating(x2->dtype), LP_ERR_TYPE,
        "x1 and x2 must be floating, got %s and %s", lp_dtype_name(x1->dtype),
        lp_dtype_name(x2->dtype));
  CHECK(x1->ndim >= 2 && x2->ndim >= 2 &&
            x1->sizes[x1->ndim - 1] == x2->sizes[x2->ndim - 1],
        LP_ERR_ARGUMENT,
        "x1 and x2 must be (..., rows, columns) with equal columns, got shapes %s and %s",
        SHAPE_TEXT(x1), SHAPE_TEXT(x2));
  CHECK(p >= 0, LP_ERR_ARGUMENT, "p must be >= 0, got %g", p);
  const int64_t n = x1->sizes[x1->ndim - 2], r = x2->sizes[x2->ndim - 2];
  int64_t sizes[LP_MAX_DIMS], count;
  const LpInts batches[] = {lp_ints(x1->sizes, x1->ndim - 2),
                            lp_ints(x2->sizes, x2->ndim - 2)};
  TRY(lp_broadcast_shapes(batches, 2, sizes, &count));
  const bool product =
      compute_mode[0] == 'u' && (!strcmp(compute_mode, "use_mm_for_euclid_dist") ||
                                 n > ROWS_FOR_PRODUCT || r > ROWS_FOR_PRODUCT);
  LpDtype dtype = lp_promote_types(x1->dtype, x2->dtype);
  LpDtype computed = dtype == LP_FLOAT64 ? LP_FLOAT64 : LP_FLOAT32;
  Steps s = {0};
  STEP(a, as_batch(x1, lp_ints(sizes, count), computed));
  STEP(b, as_batch(x2, lp_ints(sizes, count), computed));
  STEP(distances, lp_pair_distances(a, b, p, product));
  sizes[count] = n, sizes[count + 1] = r;
  STEP(shaped, lp_reshape(distances, lp_ints(sizes, count + 2)));
  STEP(result, converted(shaped, dtype));
  return steps_finish(&s, result);
}

/* The gradient of x1; that of x2 is this one with the roles exchanged. */
LpTensor *lp_composite_pair_distances_backward(LpTensor *grad, LpTensor *x1, LpTensor *x2,
                                               LpTensor *result, double p, bool product) {
  Steps s = {0};
  if (!(product && p == 2) && p > 0 && isfinite(p) && !lp_grad_enabled())
    return lp_pair_distances_slope(grad, x1, x2, result, p);
  if (product && p == 2) { /* sum over j of grad_ij (x1_i - x2_j) / result_ij */
    STEP(ratio, lp_div(grad, result));
    STEP(zero, lp_zeros(lp_ints(NULL, 0), (LpDtype)result->dtype, lp_cpu(), false));
    STEP(none, lp_eq(result, zero));
    STEP(weights, lp_masked_fill(ratio, none, zero));
    STEP(total, lp_sum_dim(weights, lp_ints((int64_t[]){-1}, 1), true, LP_DTYPE_NONE));
    STEP(own, lp_mul(x1, total));
    STEP(others, lp_bmm(weights, x2));
    STEP(sum, lp_sub(own, others, lp_scalar_int(1)));
    return steps_finish(&s, sum);
  }
  STEP(a, lp_unsqueeze(x1, -2));
  STEP(b, lp_unsqueeze(x2, -3));
  STEP(difference, lp_sub(a, b, lp_scalar_int(1)));
  LpInts last = lp_ints((int64_t[]){-1}, 1);
  STEP(each, lp_norm_backward(grad, difference, result, lp_scalar_float(p), last, false));
  STEP(sum, lp_sum_dim(each, lp_ints((int64_t[]){-2}, 1), false, LP_DTYPE_NONE));
  return steps_finish(&s, sum);
}

LpTensor *lp_composite_pdist(LpTensor *self, double p) {
  CHECK(self->ndim == 2, LP_ERR_ARGUMENT, "self must be a matrix of rows, got shape %s",
        SHAPE_TEXT(self));
  CHECK(lp_dtype_is_floating(self->dtype), LP_ERR_TYPE, "self must be floating, got %s",
        lp_dtype_name(self->dtype));
  CHECK(p >= 0, LP_ERR_ARGUMENT, "p must be >= 0, got %g", p);
  if (self->sizes[1] == 0) p = 2; /* no columns: all distances are 0, in every norm */
  Steps s = {0};
  LpDtype computed = self->dtype == LP_FLOAT64 ? LP_FLOAT64 : LP_FLOAT32;
  STEP(rows, converted(self, computed));
  STEP(distances, lp_distances_of_rows(rows, p));
  STEP(result, converted(distances, (LpDtype)self->dtype));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_distances_of_rows_backward(LpTensor *grad, LpTensor *self,
                                                  LpTensor *result, double p) {
  if (p > 0 && isfinite(p) && !lp_grad_enabled())
    return lp_distances_of_rows_slope(grad, self, result, p);
  Steps s = {0};
  int64_t n = self->sizes[0];
  STEP(pairs, lp_triu_indices(n, n, 1, LP_INT64, self->storage->device));
  STEP(rows, lp_select(pairs, 0, 0));
  STEP(columns, lp_select(pairs, 0, 1));
  STEP(a, lp_index_select(self, 0, rows));
  STEP(b, lp_index_select(self, 0, columns));
  STEP(difference, lp_sub(a, b, lp_scalar_int(1)));
  STEP(each, lp_norm_backward(grad, difference, result, lp_scalar_float(p),
                              lp_ints((int64_t[]){-1}, 1), false));
  STEP(none, lp_zeros(lp_sizes(self), (LpDtype)self->dtype, lp_cpu(), false));
  STEP(half, lp_index_add(none, 0, rows, each, lp_scalar_int(1)));
  STEP(sum, lp_index_add(half, 0, columns, each, lp_scalar_int(-1)));
  return steps_finish(&s, sum);
}
