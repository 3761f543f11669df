/* histogram, frexp and fake_quantize: checks and results; loops in cpu/measure.c. */
#include <math.h>
#include <string.h>
#include "cpu/measure.h"
#include "dispatch/reduce.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/ops.h"

#define L(x) ((long long)(x))

static bool check_float(const LpTensor *t, const char *name) {
  CHECK(lp_dtype_is_floating((LpDtype)t->dtype), LP_ERR_TYPE,
        "%s must be a floating tensor, got %s", name, lp_dtype_name((LpDtype)t->dtype));
  return true;
}

/* t in float64, row-major; the loops take it as a plain array. */
static LpTensor *as_double(LpTensor *t) {
  return lp_dense(t, LP_FLOAT64);
}

/* --- histogram -------------------------------------------------------------------------
 */

/* self as rows of points: (..., D) for histogramdd, each element a point for histogram.
 */
static bool check_points(const LpTensor *self, bool flat, const LpTensor *weight) {
  TRY(check_float(self, "self"));
  CHECK(flat || self->ndim >= 2, LP_ERR_ARGUMENT,
        "self must have at least 2 dims: points in rows, got shape %s", SHAPE_TEXT(self));
  if (!weight) return true;
  CHECK(weight->dtype == self->dtype, LP_ERR_TYPE,
        "weight must have self's dtype %s, got %s", lp_dtype_name((LpDtype)self->dtype),
        lp_dtype_name((LpDtype)weight->dtype));
  int64_t ndim = flat ? self->ndim : self->ndim - 1;
  bool same = weight->ndim == ndim;
  for (int64_t d = 0; same && d < ndim; d++) same = weight->sizes[d] == self->sizes[d];
  CHECK(same, LP_ERR_ARGUMENT,
        "weight must have one number for each point of self (shape %s), got shape %s",
        SHAPE_TEXT(self), SHAPE_TEXT(weight));
  return true;
}

static bool check_edges(const LpTensor *self, const LpTensor *edges, int64_t d) {
  CHECK(edges->ndim == 1 && edges->numel > 0, LP_ERR_ARGUMENT,
        "bins must be 1-d with at least 1 element, got shape %s for dim %lld",
        SHAPE_TEXT(edges), L(d));
  CHECK(edges->numel > 1, LP_ERR_ARGUMENT,
        "bins must be > 0: the edges of dim %lld have one element", L(d));
  CHECK(edges->dtype == self->dtype, LP_ERR_TYPE,
        "bins must have self's dtype %s, got %s for dim %lld",
        lp_dtype_name((LpDtype)self->dtype), lp_dtype_name((LpDtype)edges->dtype), L(d));
  return true;
}

/* The first and last edge of column d: the range given, or the data's own. */
static bool limits(const double *points, int64_t rows, int64_t ndim, int64_t d,
                   LpFloats range, double *low, double *high) {
  *low = 0;
  *high = 1;
  if (range.count > 0) {
    *low = range.data[2 * d];
    *high = range.data[2 * d + 1];
  } else if (rows > 0) {
    *low = *high = points[d];
    for (int64_t i = 1; i < rows; i++) {
      double v = points[i * ndim + d];
      if (v < *low || isnan(v)) *low = v;
      if (v > *high || isnan(v)) *high = v;
    }
  }
  CHECK(isfinite(*low) && isfinite(*high), LP_ERR_ARGUMENT,
        "the range [%g, %g] of dim %lld is not finite", *low, *high, L(d));
  CHECK(*low <= *high, LP_ERR_ARGUMENT,
        "min should not exceed max, but got min %g max %g for dim %lld", *low, *high,
        L(d));
  if (*low == *high) *low -= 0.5, *high += 0.5;
  return true;
}

static bool make_edges(LpTensor *self, LpInts bins, LpFloats range, bool flat,
                       LpTensor **edges) {
  int64_t ndim = flat ? 1 : self->sizes[self->ndim - 1];
  CHECK(bins.count == ndim, LP_ERR_ARGUMENT,
        "bins must hold one number for each of the %lld columns of self, got %lld",
        L(ndim), L(bins.count));
  CHECK(range.count <= 0 || range.count == 2 * ndim, LP_ERR_ARGUMENT,
        "for a %lld-dimensional histogram range should have %lld elements, but got %lld",
        L(ndim), L(2 * ndim), L(range.count));
  for (int64_t d = 0; d < ndim; d++)
    CHECK(bins.data[d] > 0 && bins.data[d] < INT64_MAX, LP_ERR_ARGUMENT,
          "bins must be > 0 and less than 2^63 - 1, got %lld for dim %lld", L(bins.data[d]), L(d));
  LpTensor *points = as_double(self);
  if (!points) return false;
  int64_t rows = ndim > 0 ? points->numel / ndim : 0, made = 0;
  double low, high;
  while (made < ndim && limits(lp_data(points), rows, ndim, made, range, &low, &high)) {
    edges[made] =
        lp_linspace(lp_scalar_float(low), lp_scalar_float(high), bins.data[made] + 1,
                    (LpDtype)self->dtype, self->storage->device, false);
    if (!edges[made]) break;
    made++;
  }
  lp_tensor_release(points);
  if (made == ndim) return true;
  for (int64_t d = 0; d < made; d++) lp_drop(&edges[d]);
  return false;
}

/* counts / (their sum * the cells' sizes). */
static void make_density(const LpGrid *grid, double *cells, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; i++) total += cells[i];
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i;
    double value = cells[i] / total;
    for (int64_t d = grid->ndim - 1; d >= 0; d--) {
      int64_t width = grid->n_edges[d] - 1, at = rest % width;
      rest /= width;
      value /= grid->edges[d][at + 1] - grid->edges[d][at];
    }
    cells[i] = value;
  }
}

static LpTensor *count_points(LpTensor *self, LpTensors bins, LpTensor *weight,
                              bool density) {
  int64_t ndim = bins.count, sizes[LP_MAX_DIMS], n;
  LpGrid grid = {.ndim = ndim};
  LpTensor *edges[LP_MAX_DIMS] = {0};
  bool ok = true;
  for (int64_t d = 0; ok && d < ndim; d++) {
    sizes[d] = bins.data[d]->numel - 1;
    edges[d] = as_double(bins.data[d]);
    ok = edges[d] != NULL;
    grid.edges[d] = ok ? lp_data(edges[d]) : NULL;
    grid.n_edges[d] = sizes[d] + 1;
  }
  LpTensor *points = ok ? as_double(self) : NULL;
  LpTensor *weights = points && weight ? as_double(weight) : NULL;
  LpTensor *cells = NULL, *result = NULL;
  if (points && (!weight || weights) && lp_numel_of(lp_ints(sizes, ndim), &n))
    cells = lp_new_zeros_raw(lp_ints(sizes, ndim), LP_FLOAT64, lp_cpu());
  if (cells) {
    int64_t count = ndim > 0 ? points->numel / ndim : 0;
    if (lp_cpu_histogram(&grid, lp_data(points), weights ? lp_data(weights) : NULL, count,
                         lp_data(cells))) {
      if (density) make_density(&grid, lp_data(cells), n);
      result = lp_cast_raw(cells, (LpDtype)self->dtype);
    } else {
      lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
    }
  }
  for (int64_t d = 0; d < ndim; d++) lp_tensor_release(edges[d]);
  lp_tensor_release(points);
  lp_tensor_release(weights);
  lp_tensor_release(cells);
  return result;
}

static bool give_histogram(LpTensor **outs, LpTensor *self, LpTensor *edges,
                           LpTensor *weight, bool density, LpTensor **results) {
  results[1] = edges;
  results[0] = count_points(self, (LpTensors){&edges, 1}, weight, density);
  if (!results[0]) {
    lp_drop(&results[1]);
    return false;
  }
  return lp_give_all(outs, results, 2);
}

bool lp_impl_histogram_bins_tensor(LpTensor **outs, LpTensor *self, LpTensor *bins,
                                   LpTensor *weight, bool density, LpTensor **results) {
  TRY(check_points(self, true, weight));
  TRY(check_edges(self, bins, 0));
  LpTensor *edges = lp_impl_clone(bins, LP_CONTIGUOUS);
  return edges && give_histogram(outs, self, edges, weight, density, results);
}

bool lp_impl_histogram_bin_ct(LpTensor **outs, LpTensor *self, int64_t bins,
                              LpFloats range, LpTensor *weight, bool density,
                              LpTensor **results) {
  LpTensor *edges;
  TRY(check_points(self, true, weight));
  TRY(make_edges(self, lp_ints(&bins, 1), range, true, &edges));
  return give_histogram(outs, self, edges, weight, density, results);
}

bool lp_impl__histogramdd_bin_edges(LpTensor *self, LpInts bins, LpFloats range,
                                    LpTensor *weight, bool density,
                                    LpTensorVec *results) {
  (void)density;
  TRY(check_points(self, false, weight));
  CHECK(bins.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "at most %d columns, got %lld",
        LP_MAX_DIMS, L(bins.count));
  TRY(lp_vec_new(results, bins.count));
  if (make_edges(self, bins, range, false, results->data)) return true;
  lp_tensor_vec_free(results);
  return false;
}

LpTensor *lp_impl__histogramdd_from_bin_tensors(LpTensor *self, LpTensors bins,
                                                LpTensor *weight, bool density) {
  TRY(check_points(self, false, weight));
  int64_t ndim = self->sizes[self->ndim - 1];
  CHECK(
      bins.count == ndim && ndim <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
      "bins must hold edges for each of the %lld columns of self (at most %d), got %lld",
      L(ndim), LP_MAX_DIMS, L(bins.count));
  for (int64_t d = 0; d < ndim; d++) TRY(check_edges(self, bins.data[d], d));
  return count_points(self, bins, weight, density);
}

/* --- frexp
 * ------------------------------------------------------------------------------ */

/* The dtype that the loops compute in. */
static LpDtype wide(const LpTensor *t) {
  return t->dtype == LP_FLOAT64 ? LP_FLOAT64 : LP_FLOAT32;
}

bool lp_impl_frexp(LpTensor **outs, LpTensor *self, LpTensor **results) {
  TRY(check_float(self, "self"));
  LpTensor *x = lp_dense(self, wide(self));
  LpTensor *mantissa = x ? lp_tensor_new(lp_sizes(x), (LpDtype)x->dtype, lp_cpu()) : NULL;
  results[0] = NULL;
  results[1] = mantissa ? lp_tensor_new(lp_sizes(x), LP_INT32, lp_cpu()) : NULL;
  if (results[1]) {
    lp_cpu_frexp(x->dtype == LP_FLOAT64, lp_data(x), lp_data(mantissa),
                 lp_data(results[1]), x->numel);
    results[0] = lp_cast_raw(mantissa, (LpDtype)self->dtype);
    if (!results[0]) lp_drop(&results[1]);
  }
  lp_tensor_release(x);
  lp_tensor_release(mantissa);
  return results[0] && lp_give_all(outs, results, 2);
}

/* --- fake_quantize
 * ------------------------------------------------------------------------ */

static bool check_zero_points(const LpTensor *zero, const LpFakeQuantize *q) {
  const double *at = lp_data(zero);
  CHECK(q->quant_min <= q->quant_max, LP_ERR_ARGUMENT,
        "quant_min must be less than or equal to quant_max, got %lld and %lld",
        L(q->quant_min), L(q->quant_max));
  for (int64_t c = 0; c < zero->numel; c++)
    CHECK(at[c] >= (double)q->quant_min && at[c] <= (double)q->quant_max, LP_ERR_ARGUMENT,
          "zero_point must be between quant_min and quant_max, got %g", at[c]);
  return true;
}

/* axis -1: one scale for all. */
bool lp_impl_fake_quantize(LpTensor *self, LpTensor *scale, LpTensor *zero_point,
                           int64_t axis, int64_t quant_min, int64_t quant_max,
                           LpTensor **results) {
  LpFakeQuantize q = {
      .channels = 1, .inner = 1, .quant_min = quant_min, .quant_max = quant_max};
  TRY(check_float(self, "self"));
  CHECK(lp_dtype_is_floating((LpDtype)scale->dtype), LP_ERR_TYPE,
        "scale must be a floating tensor, got %s", lp_dtype_name((LpDtype)scale->dtype));
  if (axis >= 0) {
    q.channels = self->sizes[axis];
    for (int64_t d = axis + 1; d < self->ndim; d++) q.inner *= self->sizes[d];
  }
  CHECK(scale->numel == q.channels && zero_point->numel == q.channels, LP_ERR_ARGUMENT,
        "scale and zero_point must have %lld elements each, got shapes %s and %s",
        L(q.channels), SHAPE_TEXT(scale), SHAPE_TEXT(zero_point));
  LpTensor *scales = lp_dense(scale, LP_FLOAT32), *zeros = as_double(zero_point);
  LpTensor *x = scales && zeros ? lp_dense(self, wide(self)) : NULL, *y = NULL;
  results[0] = results[1] = NULL;
  if (x && check_zero_points(zeros, &q)) {
    y = lp_tensor_new(lp_sizes(x), (LpDtype)x->dtype, lp_cpu());
    results[1] = y ? lp_tensor_new(lp_sizes(x), LP_BOOL, lp_cpu()) : NULL;
  }
  if (results[1]) {
    q.scale = lp_data(scales);
    q.zero_point = lp_data(zeros);
    if (x->numel)
      lp_cpu_fake_quantize(&q, x->dtype == LP_FLOAT64, lp_data(x), lp_data(y),
                           lp_data(results[1]), x->numel);
    results[0] = lp_cast_raw(y, (LpDtype)self->dtype);
    if (!results[0]) lp_drop(&results[1]);
  }
  lp_tensor_release(scales);
  lp_tensor_release(zeros);
  lp_tensor_release(x);
  lp_tensor_release(y);
  return results[0] != NULL;
}
