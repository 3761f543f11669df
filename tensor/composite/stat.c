/* Variance with its derivative, quantiles, covariance, and search given as numbers. */
#include <math.h>
#include <string.h>
#include "composite/chain.h"
#include "impl.h"

/* --- variance ------------------------------------------------------------------------------------------- */

LpTensor *lp_composite_var_backward(LpTensor *grad, LpTensor *self, LpInts dim, LpOptScalar correction, bool keepdim) {
  int64_t ndim = lp_ndim(self);
  double count = 1;
  for (int64_t d = 0; d < ndim; d++) {
    bool reduced = dim.count <= 0;
    for (int64_t i = 0; i < dim.count; i++) reduced = reduced || dim.data[i] == d || dim.data[i] + ndim == d;
    if (reduced) count *= (double)lp_size(self, d);
  }
  double factor = 2.0 / (count - (correction.has ? lp_scalar_to_double(correction.value) : 1.0));
  LpTensor *centre = own_sub(lp_own(self), lp_mean_dim(self, dim, true, LP_DTYPE_NONE));
  LpTensor *g = lp_restore_dims(own_mul(lp_own(grad), lp_number(factor)), ndim, dim, keepdim);
  return own_mul(g, centre);
}

static bool with_mean(LpTensor *spread, LpTensor *self, LpInts dim, bool keepdim, LpTensor **results) {
  results[0] = spread;
  results[1] = spread ? lp_mean_dim(self, dim, keepdim, LP_DTYPE_NONE) : NULL;
  if (results[1]) return true;
  lp_tensor_release(results[0]);
  results[0] = NULL;
  return false;
}
static LpOptScalar correction_of(bool unbiased) {
  LpOptScalar c = {true, lp_scalar_int(unbiased)};
  return c;
}

bool lp_composite_var_mean(LpTensor *self, bool unbiased, LpTensor **results) {
  LpInts all = lp_ints_none();
  return with_mean(lp_var_correction(self, all, correction_of(unbiased), false), self, all, false, results);
}
bool lp_composite_var_mean_dim(LpTensor *self, LpInts dim, bool unbiased, bool keepdim, LpTensor **results) {
  return with_mean(lp_var_correction(self, dim, correction_of(unbiased), keepdim), self, dim, keepdim, results);
}
bool lp_composite_var_mean_correction(LpTensor *self, LpInts dim, LpOptScalar correction, bool keepdim,
                                      LpTensor **results) {
  return with_mean(lp_var_correction(self, dim, correction, keepdim), self, dim, keepdim, results);
}
bool lp_composite_std_mean(LpTensor *self, bool unbiased, LpTensor **results) {
  LpInts all = lp_ints_none();
  return with_mean(lp_std_correction(self, all, correction_of(unbiased), false), self, all, false, results);
}
bool lp_composite_std_mean_dim(LpTensor *self, LpInts dim, bool unbiased, bool keepdim, LpTensor **results) {
  return with_mean(lp_std_correction(self, dim, correction_of(unbiased), keepdim), self, dim, keepdim, results);
}
bool lp_composite_std_mean_correction(LpTensor *self, LpInts dim, LpOptScalar correction, bool keepdim,
                                      LpTensor **results) {
  return with_mean(lp_std_correction(self, dim, correction, keepdim), self, dim, keepdim, results);
}

/* --- quantiles ------------------------------------------------------------------------------------------ */

#define MOST_SELECTED 8 /* places of long rows that are selected sooner than sorted */

typedef enum Interpolation { LINEAR, LOWER, HIGHER, MIDPOINT, NEAREST, UNKNOWN } Interpolation;

static Interpolation interpolation_of(const char *name) {
  static const char *const names[] = {"linear", "lower", "higher", "midpoint", "nearest"};
  for (int i = 0; i < UNKNOWN; i++)
    if (!strcmp(name, names[i])) return (Interpolation)i;
  lp_fail(LP_ERR_ARGUMENT, "interpolation must be 'linear', 'lower', 'higher', 'midpoint' or 'nearest', got '%s'", name);
  return UNKNOWN;
}

/* Places among n sorted elements, [..., Q]: q * (count - 1), with the NaN at the end where a row has one. */
static LpTensor *ranks_of(LpTensor *sorted, LpTensor *q, bool ignore_nan) {
  int64_t last = lp_ndim(sorted) - 1, n = lp_size(sorted, last);
  if (ignore_nan) {
    LpTensor *count = own_sum(own_not(lp_isnan(sorted)), lp_ints(&last, 1), true);
    LpTensor *steps = own_cast(own_sub(count, lp_integer(1)), lp_dtype(q));
    LpTensor *ranks = own_mul(steps, lp_own(q));
    LpTensor *least = ranks ? lp_clamp(ranks, (LpOptScalar){true, lp_scalar_int(0)}, (LpOptScalar){.has = false}) : NULL;
    lp_tensor_release(ranks);
    return least;
  }
  LpTensor *end = lp_narrow(sorted, last, n - 1, 1);
  LpTensor *broken = end ? lp_isnan(end) : NULL;
  lp_tensor_release(end);
  LpTensor *ranks = own_mul(lp_own(q), lp_number((double)(n - 1)));
  LpTensor *at_end = lp_tensor_from_scalar(lp_scalar_int(n - 1), lp_dtype(q));
  LpTensor *result = broken && ranks && at_end ? lp_where(broken, at_end, ranks) : NULL;
  lp_tensor_release(broken);
  lp_tensor_release(ranks);
  lp_tensor_release(at_end);
  return result;
}

/* Rows along the last dim: in order, or where few places are wanted as they stand. */
typedef struct Ordered {
  LpTensor *rows;
  bool sorted;
} Ordered;

/* The elements of unsorted rows at the places `at` (1-d) of their order. */
static LpTensor *select_at(LpTensor *rows, LpTensor *at) {
  LpTensor *values[MOST_SELECTED] = {NULL}, *result = NULL;
  const int64_t count = lp_numel(at);
  bool ok = true;
  for (int64_t i = 0; ok && i < count; i++) {
    LpTensor *both[2] = {NULL, NULL};
    ok = lp_kthvalue(rows, ((int64_t *)lp_data(at))[i] + 1, -1, true, both);
    values[i] = both[0];
    lp_tensor_release(both[1]);
  }
  if (ok) result = lp_cat((LpTensors){values, count}, -1);
  for (int64_t i = 0; i < count; i++) lp_tensor_release(values[i]);
  return result;
}

/* The elements at the places given by op(ranks), along the last dim. */
static LpTensor *values_at(const Ordered *o, LpTensor *ranks, LpTensor *(*op)(LpTensor *)) {
  LpTensor *at = own_cast(op(ranks), LP_INT64), *result = NULL;
  if (at && !o->sorted) {
    result = select_at(o->rows, at);
  } else if (at) {
    int64_t sizes[LP_MAX_DIMS], ndim = lp_ndim(o->rows);
    for (int64_t d = 0; d < ndim - 1; d++) sizes[d] = lp_size(o->rows, d);
    sizes[ndim - 1] = lp_size(at, lp_ndim(at) - 1);
    LpTensor *full = lp_expand(at, lp_ints(sizes, ndim));
    result = full ? lp_gather(o->rows, ndim - 1, full, false) : NULL;
    lp_tensor_release(full);
  }
  lp_tensor_release(at);
  return result;
}

static LpTensor *interpolate(const Ordered *sorted, LpTensor *ranks, Interpolation how) {
  if (how == LOWER) return values_at(sorted, ranks, lp_floor);
  if (how == HIGHER) return values_at(sorted, ranks, lp_ceil);
  if (how == NEAREST) return values_at(sorted, ranks, lp_round);
  LpTensor *below = values_at(sorted, ranks, lp_floor), *above = values_at(sorted, ranks, lp_ceil), *result = NULL;
  LpTensor *weight = how == MIDPOINT ? lp_number(0.5) : own_sub(lp_own(ranks), lp_floor(ranks));
  if (below && above && weight) {
    LpTensor *gap = own_mul(own_sub(lp_own(above), lp_own(below)), lp_own(weight));
    result = own_add(lp_own(below), gap);
  }
  lp_tensor_release(below);
  lp_tensor_release(above);
  lp_tensor_release(weight);
  return result;
}

/* Whether selecting beats sorting: few places of long rows without NaN. Batched tensors show no values. */
static bool selects(LpTensor *rows, LpTensor *q, bool *selects) {
  const int64_t n = lp_size(rows, lp_ndim(rows) - 1), count = lp_numel(q);
  *selects = !rows->physical && !q->physical && n >= 512 && count >= 1 && count <= (n < 16384 ? 1 : MOST_SELECTED);
  if (!*selects) return true;
  LpTensor *broken = lp_isnan(rows), *any = broken ? lp_any(broken) : NULL;
  LpScalar value;
  const bool ok = any && lp_item(any, &value);
  if (ok) *selects = !lp_scalar_to_double(value);
  lp_tensor_release(broken);
  lp_tensor_release(any);
  return ok;
}

/* [rest, Q]: quantiles of the rows along x's last dim. */
static LpTensor *quantiles_of_rows(LpTensor *x, LpTensor *q, Interpolation how, bool ignore_nan) {
  const int64_t all = -1;
  LpTensor *points = lp_reshape(q, lp_ints(&all, 1)), *sorted[2] = {NULL, NULL}, *ranks = NULL, *result = NULL;
  Ordered o = {.rows = x};
  bool select;
  if (points && selects(x, points, &select)) {
    if (select) {
      ranks = own_mul(lp_own(points), lp_number((double)(lp_size(x, lp_ndim(x) - 1) - 1)));
    } else if (lp_sort(x, -1, false, sorted)) {
      o = (Ordered){.rows = sorted[0], .sorted = true};
      ranks = ranks_of(sorted[0], points, ignore_nan);
    }
  }
  if (ranks) result = interpolate(&o, ranks, how);
  lp_tensor_release(points);
  lp_tensor_release(ranks);
  lp_tensor_release(sorted[0]);
  lp_tensor_release(sorted[1]);
  return result;
}

static LpTensor *quantile(LpTensor *self, LpTensor *q, LpOptInt dim, bool keepdim, const char *interpolation,
                          bool ignore_nan) {
  Interpolation how = interpolation_of(interpolation);
  if (how == UNKNOWN) return NULL;
  LpDtype dtype = lp_dtype(self);
  CHECK(dtype == LP_FLOAT32 || dtype == LP_FLOAT64, LP_ERR_TYPE, "self must be float32 or float64, got %s",
        lp_dtype_name(dtype));
  CHECK(lp_ndim(q) <= 1, LP_ERR_ARGUMENT, "q must be a number or 1-d, got shape %s", SHAPE_TEXT(q));
  CHECK(lp_dtype(q) == dtype, LP_ERR_TYPE, "q must have self's dtype %s, got %s", lp_dtype_name(dtype),
        lp_dtype_name(lp_dtype(q)));
  CHECK(lp_numel(self) > 0, LP_ERR_ARGUMENT, "self must not be empty");
  for (int64_t i = 0; !q->physical && i < lp_numel(q); i++) {
    const char *at = (const char *)lp_data(q) + (lp_ndim(q) ? i * lp_stride(q, 0) : 0) * (int64_t)lp_dtype_size(dtype);
    double x = dtype == LP_FLOAT32 ? *(const float *)at : *(const double *)at;
    CHECK(x >= 0 && x <= 1, LP_ERR_ARGUMENT, "q must be in [0, 1], got %g", x);
  }
  int64_t ndim = lp_ndim(self), along = 0, all = -1;
  if (dim.has) TRY(lp_wrap_dim(dim.value, ndim, &along));
  LpTensor *x = dim.has && ndim > 0 ? lp_movedim_int(self, along, -1) : lp_reshape(self, lp_ints(&all, 1));
  LpTensor *result = x ? quantiles_of_rows(x, q, how, ignore_nan) : NULL;
  lp_tensor_release(x);
  if (!result) return NULL;
  /* [rest, Q] to [Q, rest], the reduced dims kept when asked for, Q dropped for a single q. */
  LpTensor *front = lp_movedim_int(result, -1, 0);
  lp_tensor_release(result);
  for (int64_t d = 0; front && keepdim && d < ndim; d++)
    if (!dim.has || d == along) front = own_unsqueeze(front, d + 1);
  if (front && lp_ndim(q) == 0) {
    LpTensor *one = lp_select(front, 0, 0);
    lp_tensor_release(front);
    front = one;
  }
  return front;
}

LpTensor *lp_composite_quantile(LpTensor *self, LpTensor *q, LpOptInt dim, bool keepdim, const char *interpolation) {
  return quantile(self, q, dim, keepdim, interpolation, false);
}
LpTensor *lp_composite_nanquantile(LpTensor *self, LpTensor *q, LpOptInt dim, bool keepdim, const char *interpolation) {
  return quantile(self, q, dim, keepdim, interpolation, true);
}
LpTensor *lp_composite_quantile_scalar(LpTensor *self, double q, LpOptInt dim, bool keepdim, const char *interpolation) {
  LpTensor *point = lp_tensor_from_scalar(lp_scalar_float(q), lp_dtype(self));
  LpTensor *result = point ? quantile(self, point, dim, keepdim, interpolation, false) : NULL;
  lp_tensor_release(point);
  return result;
}
LpTensor *lp_composite_nanquantile_scalar(LpTensor *self, double q, LpOptInt dim, bool keepdim,
                                          const char *interpolation) {
  LpTensor *point = lp_tensor_from_scalar(lp_scalar_float(q), lp_dtype(self));
  LpTensor *result = point ? quantile(self, point, dim, keepdim, interpolation, true) : NULL;
  lp_tensor_release(point);
  return result;
}

/* --- covariance ----------------------------------------------------------------------------------------- */

static bool check_weights(LpTensor *w, const char *name, bool integral, int64_t n) {
  if (!w) return true;
  CHECK(lp_ndim(w) <= 1 && lp_numel(w) == n, LP_ERR_ARGUMENT, "%s must be 1-d with one weight for each of the %lld observations, got shape %s",
        name, (long long)n, SHAPE_TEXT(w));
  CHECK(lp_dtype_is_integral(lp_dtype(w), false) == integral, LP_ERR_TYPE, "%s must be %s, got %s", name,
        integral ? "integers" : "floating", lp_dtype_name(lp_dtype(w)));
  if (n == 0) return true;
  LpTensor *least = lp_amin(w, lp_ints(NULL, 0), false);
  LpScalar value;
  bool ok = least && lp_item(least, &value);
  lp_tensor_release(least);
  CHECK(!ok || !(lp_scalar_to_double(value) < 0), LP_ERR_ARGUMENT, "%s must not be negative, got %g", name,
        lp_scalar_to_double(value));
  return ok;
}

LpTensor *lp_composite_cov(LpTensor *self, int64_t correction, LpTensor *fweights, LpTensor *aweights) {
  CHECK(lp_ndim(self) <= 2, LP_ERR_ARGUMENT, "self must have at most 2 dims, got shape %s", SHAPE_TEXT(self));
  CHECK(lp_dtype(self) != LP_BOOL, LP_ERR_TYPE, "self must not be bool");
  int64_t rows = lp_ndim(self) == 2 ? lp_size(self, 0) : 1, n = lp_ndim(self) == 2 ? lp_size(self, 1) : lp_numel(self);
  int64_t shape[2] = {rows, n}, one = 1;
  TRY(check_weights(fweights, "fweights", true, n));
  TRY(check_weights(aweights, "aweights", false, n));
  LpTensor *x = lp_reshape(self, lp_ints(shape, 2));
  if (x && lp_dtype_is_integral(lp_dtype(x), false)) x = own_cast(x, lp_default_dtype());
  if (!x) return NULL;
  LpTensor *w = fweights && aweights ? lp_mul(fweights, aweights) : fweights ? lp_own(fweights) : lp_own(aweights);
  LpTensor *w_sum = w ? lp_sum(w, LP_DTYPE_NONE) : lp_number((double)n);
  LpTensor *norm = NULL, *mean = NULL, *centred = NULL, *result = NULL;
  if (w_sum) {
    LpTensor *lost = lp_integer(correction);
    if (aweights && correction != 0) {
      LpTensor *squares = own_sum(own_mul(lp_own(w), lp_own(aweights)), lp_ints_none(), false);
      lost = own_mul(lost, own_div(squares, lp_own(w_sum)));
    }
    norm = own_sub(lp_own(w_sum), lost);
    mean = w ? own_div(own_sum(lp_mul(x, w), lp_ints(&one, 1), true), lp_own(w_sum))
             : lp_mean_dim(x, lp_ints(&one, 1), true, LP_DTYPE_NONE);
    centred = own_sub(lp_own(x), mean);
  }
  if (norm && centred) {
    LpTensor *other = w ? lp_mul(centred, w) : lp_own(centred), *side = other ? lp_transpose(other, 0, 1) : NULL;
    LpTensor *flipped = side && lp_dtype_is_complex(lp_dtype(side)) ? lp_conj(side) : lp_own(side);
    LpTensor *product = flipped ? lp_matmul(centred, flipped) : NULL;
    result = own_div(product, lp_clamp(norm, (LpOptScalar){true, lp_scalar_int(0)}, (LpOptScalar){.has = false}));
    lp_tensor_release(other);
    lp_tensor_release(side);
    lp_tensor_release(flipped);
    if (result && rows == 1) result = own_reshape(result, lp_ints(NULL, 0));
  }
  LpTensor *all[] = {x, w, w_sum, norm, centred};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lp_tensor_release(all[i]);
  return result;
}

LpTensor *lp_composite_corrcoef(LpTensor *self) {
  LpTensor *c = lp_cov(self, 1, NULL, NULL);
  if (!c) return NULL;
  if (lp_ndim(c) == 0) return own_div(c, lp_own(c));
  LpTensor *diagonal = lp_diagonal(c, 0, 0, 1);
  LpTensor *deviation = diagonal ? lp_sqrt(diagonal) : NULL;
  c = own_div(c, own_unsqueeze(lp_own(deviation), 1));
  c = own_div(c, own_unsqueeze(lp_own(deviation), 0));
  lp_tensor_release(diagonal);
  lp_tensor_release(deviation);
  if (!c || lp_dtype_is_complex(lp_dtype(c))) return c;
  LpTensor *clipped = lp_clamp(c, (LpOptScalar){true, lp_scalar_int(-1)}, (LpOptScalar){true, lp_scalar_int(1)});
  lp_tensor_release(c);
  return clipped;
}

/* --- search --------------------------------------------------------------------------------------------- */

LpTensor *lp_composite_searchsorted_scalar(LpTensor *sorted_sequence, LpScalar self, bool out_int32, bool right,
                                           const char *side, LpTensor *sorter) {
  CHECK(lp_ndim(sorted_sequence) == 1, LP_ERR_ARGUMENT, "sorted_sequence must be 1-d to search one number, got shape %s",
        SHAPE_TEXT(sorted_sequence));
  LpTensor *value = lp_tensor_wrapped(self);
  LpTensor *result = value ? lp_searchsorted_tensor(sorted_sequence, value, out_int32, right, side, sorter) : NULL;
  lp_tensor_release(value);
  return result;
}

LpTensor *lp_composite_bucketize_tensor(LpTensor *self, LpTensor *boundaries, bool out_int32, bool right) {
  CHECK(lp_ndim(boundaries) == 1, LP_ERR_ARGUMENT, "boundaries must be 1-d, got shape %s", SHAPE_TEXT(boundaries));
  LpDtype dtype = lp_promote_types(lp_dtype(self), lp_dtype(boundaries));
  LpTensor *edges = own_cast(lp_own(boundaries), dtype), *values = own_cast(lp_own(self), dtype);
  LpTensor *result = edges && values ? lp_searchsorted_tensor(edges, values, out_int32, right, NULL, NULL) : NULL;
  lp_tensor_release(edges);
  lp_tensor_release(values);
  return result;
}

LpTensor *lp_composite_bucketize_scalar(LpScalar self, LpTensor *boundaries, bool out_int32, bool right) {
  return lp_composite_searchsorted_scalar(boundaries, self, out_int32, right, NULL, NULL);
}
