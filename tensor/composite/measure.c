/* Running integrals, bounded norms, segments and simulated quantisation in terms of other
 * ops, so that derivatives follow. */
#include <math.h>
#include <string.h>
#include "composite/chain.h"
#include "composite/steps.h"
#include "dispatch/reduce.h"
#include "impl.h"

#define L(x) ((long long)(x))

/* --- cumulative_trapezoid
 * ---------------------------------------------------------------- */

/* Running sums of widths * (left + right) / 2. Takes widths over. */
static LpTensor *running(LpTensor *y, LpTensor *widths, int64_t dim) {
  int64_t n = lp_size(y, dim);
  LpTensor *ends = own_add(lp_narrow(y, dim, 0, n - 1), lp_narrow(y, dim, 1, n - 1));
  LpTensor *areas = own_mul(widths, ends);
  LpTensor *sums = areas ? lp_cumsum(areas, dim, LP_DTYPE_NONE) : NULL;
  lp_tensor_release(areas);
  return own_div(sums, lp_number(2));
}

static bool check_samples(LpTensor *y, int64_t *dim) {
  CHECK(lp_ndim(y) > 0, LP_ERR_INDEX, "y must have at least 1 dim");
  CHECK(lp_dtype(y) != LP_BOOL, LP_ERR_TYPE, "y must not be bool");
  return lp_wrap_dim(*dim, lp_ndim(y), dim);
}

LpTensor *lp_composite_cumulative_trapezoid_dx(LpTensor *y, LpScalar dx, int64_t dim) {
  TRY(check_samples(y, &dim));
  if (lp_size(y, dim) == 0) return lp_narrow(y, dim, 0, 0);
  return running(y, lp_tensor_wrapped(dx), dim);
}

LpTensor *lp_composite_cumulative_trapezoid_x(LpTensor *y, LpTensor *x, int64_t dim) {
  TRY(check_samples(y, &dim));
  CHECK(lp_ndim(x) > 0, LP_ERR_INDEX, "x must have at least 1 dim");
  CHECK(lp_dtype(x) != LP_BOOL, LP_ERR_TYPE, "x must not be bool");
  if (lp_size(y, dim) == 0) return lp_narrow(y, dim, 0, 0);
  LpTensor *at = lp_own(x);
  if (lp_ndim(x) == 1) { /* along dim, whatever y's other dims */
    int64_t sizes[LP_MAX_DIMS];
    for (int64_t d = 0; d < lp_ndim(y); d++) sizes[d] = d == dim ? lp_size(x, 0) : 1;
    at = own_reshape(at, lp_ints(sizes, lp_ndim(y)));
  }
  int64_t along = dim - lp_ndim(y); /* from the end: x may have fewer dims */
  TRY(at);
  if (-along > lp_ndim(at) || lp_size(at, lp_ndim(at) + along) != lp_size(y, dim)) {
    lp_fail(LP_ERR_ARGUMENT,
            "x must have one value for each sample: y has shape %s and "
            "dim %lld, x shape %s",
            SHAPE_TEXT(y), L(dim), SHAPE_TEXT(x));
    lp_tensor_release(at);
    return NULL;
  }
  LpTensor *widths = lp_diff(at, 1, along, NULL, NULL);
  lp_tensor_release(at);
  return running(y, widths, dim);
}

/* --- renorm
 * ------------------------------------------------------------------------------ */

LpTensor *lp_composite_renorm(LpTensor *self, LpScalar p, int64_t dim, LpScalar maxnorm) {
  CHECK(p.kind != LP_SCALAR_COMPLEX && lp_scalar_to_double(p) > 0, LP_ERR_ARGUMENT,
        "p must be a positive real number");
  double limit = lp_scalar_to_double(maxnorm);
  CHECK(maxnorm.kind != LP_SCALAR_COMPLEX && limit >= 0, LP_ERR_ARGUMENT,
        "maxnorm must be a real number of at least 0, got %g", limit);
  CHECK(lp_ndim(self) >= 2, LP_ERR_ARGUMENT,
        "self must have at least 2 dims, got shape %s", SHAPE_TEXT(self));
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  int64_t dims[LP_MAX_DIMS], n = 0;
  for (int64_t d = 0; d < lp_ndim(self); d++)
    if (d != dim) dims[n++] = d;
  LpDtype dtype = lp_dtype(self), sums = LP_DTYPE_NONE;
  if (dtype == LP_FLOAT16 || dtype == LP_BFLOAT16) sums = LP_FLOAT32;
  Steps s = {0};
  STEP(norm, lp_linalg_vector_norm(self, p, lp_ints(dims, n), true, sums));
  STEP(bound, lp_number(limit));
  STEP(above, lp_gt(norm, bound));
  STEP(least, lp_number(1e-7)); /* as PyTorch, so that the result stays below maxnorm */
  STEP(raised, lp_add(norm, least, lp_scalar_int(1)));
  STEP(factor, lp_div(bound, raised));
  STEP(one, lp_tensor_from_scalar(lp_scalar_int(1), lp_dtype(factor)));
  STEP(scale, lp_where(above, factor, one));
  if (sums != LP_DTYPE_NONE) RESTEP(scale, own_cast(lp_own(scale), dtype));
  STEP(result, lp_mul(self, scale));
  return steps_finish(&s, result);
}

/* --- nonzero_static, isin
 * ------------------------------------------------------------------ */

LpTensor *lp_composite_nonzero_static(LpTensor *self, int64_t size, int64_t fill_value) {
  CHECK(size >= 0, LP_ERR_ARGUMENT, "size must not be negative, got %lld", L(size));
  Steps s = {0};
  STEP(rows, lp_nonzero(self));
  int64_t found = lp_size(rows, 0), ndim = lp_size(rows, 1);
  if (found >= size) {
    STEP(first, lp_narrow(rows, 0, 0, size));
    STEP(copy, lp_clone(first, LP_CONTIGUOUS));
    return steps_finish(&s, copy);
  }
  int64_t sizes[2] = {size - found, ndim};
  STEP(filler, lp_full(lp_ints(sizes, 2), lp_scalar_int(fill_value), LP_INT64,
                       (LpDevice){LP_DEVICE_NONE, 0}, false));
  LpTensor *both[2] = {rows, filler};
  STEP(result, lp_cat((LpTensors){both, 2}, 0));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_isin_scalar_tensor(LpScalar element, LpTensor *test_elements,
                                          bool assume_unique, bool invert) {
  LpTensor *value = lp_tensor_wrapped(element);
  LpTensor *result =
      value ? lp_isin_tensor_tensor(value, test_elements, assume_unique, invert) : NULL;
  lp_tensor_release(value);
  return result;
}

/* --- segment_reduce
 * ------------------------------------------------------------------------ */

typedef enum Segments {
  SEGMENT_SUM,
  SEGMENT_MEAN,
  SEGMENT_MAX,
  SEGMENT_MIN,
  SEGMENT_PROD
} Segments;

static bool segments_of(const char *name, Segments *kind) {
  static const struct {
    const char *name;
    Segments kind;
  } known[] = {{"sum", SEGMENT_SUM},  {"mean", SEGMENT_MEAN}, {"max", SEGMENT_MAX},
               {"amax", SEGMENT_MAX}, {"min", SEGMENT_MIN},   {"amin", SEGMENT_MIN},
               {"prod", SEGMENT_PROD}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    *kind = known[i].kind;
    if (!strcmp(name, known[i].name)) return true;
  }
  return lp_fail(LP_ERR_ARGUMENT,
                 "reduce must be 'sum', 'mean', 'max', 'min' or 'prod', got '%s'", name);
}

/* What is cut: data seen as [outer, n, inner], `count` segments in each row of n. */
typedef struct Cut {
  int64_t outer, n, inner, count;
} Cut;

static bool cut_of(LpTensor *data, LpTensor *given, const char *name, bool lengths,
                   int64_t axis, Cut *c) {
  *c = (Cut){1, lp_size(data, axis), 1, 0};
  CHECK(lp_dtype(given) == LP_INT64 || lp_dtype(given) == LP_INT32, LP_ERR_TYPE,
        "%s must be int64 or int32, got %s", name, lp_dtype_name(lp_dtype(given)));
  bool fits = lp_ndim(given) == axis + 1;
  for (int64_t d = 0; fits && d < axis; d++) fits = lp_size(given, d) == lp_size(data, d);
  CHECK(fits, LP_ERR_ARGUMENT,
        "%s must have the dims of data (shape %s) before axis %lld and one more, got "
        "shape %s",
        name, SHAPE_TEXT(data), L(axis), SHAPE_TEXT(given));
  for (int64_t d = 0; d < lp_ndim(data); d++) {
    if (d < axis) c->outer *= lp_size(data, d);
    if (d > axis) c->inner *= lp_size(data, d);
  }
  c->count = lp_size(given, axis) - (lengths ? 0 : 1);
  CHECK(c->count >= 0, LP_ERR_ARGUMENT, "offsets must have at least one element");
  return true;
}

/* Where each row's segments begin, and where the last ends: int64 [outer, count + 1]. */
static LpTensor *offsets_of(LpTensor *given, bool lengths, bool unsafe, const Cut *c) {
  Steps s = {0};
  int64_t sizes[2] = {c->outer, lengths ? c->count : c->count + 1},
          one[2] = {c->outer, 1};
  STEP(dense, lp_dense(given, LP_INT64));
  STEP(rows, lp_reshape(dense, lp_ints(sizes, 2)));
  const int64_t *at = lp_data(dense);
  for (int64_t i = 0; lengths && !unsafe && i < c->outer; i++) {
    int64_t sum = 0;
    for (int64_t k = 0; k < c->count; k++) {
      int64_t length = at[i * c->count + k];
      STEP_CHECK(length >= 0, LP_ERR_ARGUMENT, "lengths must not be negative, got %lld",
                 L(length));
      STEP_CHECK(length <= c->n - sum, LP_ERR_ARGUMENT,
                 "the lengths of a row must sum to data's size %lld along axis, got more",
                 L(c->n));
      sum += length;
    }
    STEP_CHECK(sum == c->n, LP_ERR_ARGUMENT,
               "the lengths of a row must sum to data's size %lld along axis, got %lld",
               L(c->n), L(sum));
  }
  if (!lengths) {
    for (int64_t i = 0; i < dense->numel; i++)
      STEP_CHECK(at[i] >= 0 && at[i] <= c->n &&
                     (i % (c->count + 1) == 0 || at[i] >= at[i - 1]),
                 LP_ERR_INDEX,
                 "offsets must rise within 0 and data's size %lld along axis, got %lld",
                 L(c->n), L(at[i]));
    return steps_finish(&s, rows);
  }
  STEP(first, lp_zeros_of(rows, lp_ints(one, 2)));
  STEP(ends, lp_cumsum(rows, 1, LP_DTYPE_NONE));
  LpTensor *both[2] = {first, ends};
  STEP(result, lp_cat((LpTensors){both, 2}, 1));
  return steps_finish(&s, result);
}

/* The segment of each of data's rows, int64 [outer * n]: segments are numbered through,
 * and each outer row has one more, for what belongs to none. */
static LpTensor *ids_of(LpTensor *offsets, const Cut *c) {
  Steps s = {0};
  const LpDevice here = {LP_DEVICE_NONE, 0};
  int64_t wide[2] = {c->outer, c->n}, tall[2] = {c->outer, 1}, all = -1;
  STEP(place, lp_arange(lp_scalar_int(c->n), LP_INT64, here, false));
  STEP(places, lp_expand(place, lp_ints(wide, 2)));
  STEP(above, lp_searchsorted_tensor(offsets, places, false, true, NULL, NULL));
  STEP(one, lp_integer(1));
  STEP(number, lp_sub(above, one, lp_scalar_int(1)));
  STEP(each, lp_integer(c->count + 1));
  STEP(id, lp_remainder(number, each)); /* -1, before the first, becomes count */
  STEP(row, lp_arange(lp_scalar_int(c->outer), LP_INT64, here, false));
  RESTEP(row, lp_reshape(row, lp_ints(tall, 2)));
  RESTEP(row, lp_mul(row, each));
  STEP(result, lp_add(id, row, lp_scalar_int(1)));
  RESTEP(result, lp_reshape(result, lp_ints(&all, 1)));
  return steps_finish(&s, result);
}

/* data [outer * n, inner] reduced by ids to [total, inner]. */
static LpTensor *reduce_rows(LpTensor *data, LpTensor *ids, Segments kind,
                             int64_t total) {
  Steps s = {0};
  int64_t sizes[2] = {total, lp_size(data, 1)};
  double start = kind == SEGMENT_MAX    ? -INFINITY
                 : kind == SEGMENT_MIN  ? INFINITY
                 : kind == SEGMENT_PROD ? 1
                                        : 0;
  STEP(initial, lp_new_full(data, lp_ints(sizes, 2), lp_scalar_float(start),
                            LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0}, false));
  if (kind == SEGMENT_SUM || kind == SEGMENT_MEAN) {
    STEP(sum, lp_index_add(initial, 0, ids, data, lp_scalar_int(1)));
    return steps_finish(&s, sum);
  }
  const char *how = kind == SEGMENT_MAX ? "amax" : kind == SEGMENT_MIN ? "amin" : "prod";
  STEP(result, lp_index_reduce(initial, 0, ids, data, how, false));
  return steps_finish(&s, result);
}

/* The initial value joins each segment (taken over: reduced, [outer, count, inner]). */
static LpTensor *with_initial(LpTensor *reduced, Segments kind, LpOptScalar initial) {
  if (!reduced || !initial.has) return reduced;
  Steps s = {0};
  steps_note(&s, reduced);
  STEP(start, lp_tensor_from_scalar(initial.value, lp_dtype(reduced)));
  if (kind == SEGMENT_MAX || kind == SEGMENT_MIN) {
    STEP(less, kind == SEGMENT_MAX ? lp_lt(reduced, start) : lp_gt(reduced, start));
    STEP(result, lp_where(less, start, reduced));
    return steps_finish(&s, result);
  }
  STEP(result, kind == SEGMENT_PROD ? lp_mul(reduced, start)
                                    : lp_add(reduced, start, lp_scalar_int(1)));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_segment_reduce(LpTensor *data, const char *reduce,
                                      LpTensor *lengths, LpTensor *indices,
                                      LpTensor *offsets, int64_t axis, bool unsafe,
                                      LpOptScalar initial) {
  Segments kind;
  Cut c;
  TRY(segments_of(reduce, &kind));
  CHECK(!indices, LP_ERR_ARGUMENT, "indices are not supported; give lengths or offsets");
  CHECK(lengths || offsets, LP_ERR_ARGUMENT, "lengths or offsets must be given");
  CHECK(lp_dtype_is_floating(lp_dtype(data)), LP_ERR_TYPE,
        "data must be a floating tensor, got %s", lp_dtype_name(lp_dtype(data)));
  CHECK(lp_ndim(data) > 0, LP_ERR_ARGUMENT, "data must have at least 1 dim");
  TRY(lp_wrap_dim(axis, lp_ndim(data), &axis));
  LpTensor *given = lengths ? lengths : offsets;
  TRY(cut_of(data, given, lengths ? "lengths" : "offsets", lengths != NULL, axis, &c));
  int64_t rows[2] = {c.outer * c.n, c.inner}, parts[3] = {c.outer, c.count + 1, c.inner};
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(data); d++)
    sizes[d] = d == axis ? c.count : lp_size(data, d);
  Steps s = {0};
  STEP(bounds, offsets_of(given, lengths != NULL, unsafe, &c));
  STEP(ids, ids_of(bounds, &c));
  STEP(flat, lp_reshape(data, lp_ints(rows, 2)));
  STEP(reduced, reduce_rows(flat, ids, kind, c.outer * (c.count + 1)));
  RESTEP(reduced, lp_reshape(reduced, lp_ints(parts, 3)));
  RESTEP(reduced, lp_narrow(reduced, 1, 0, c.count));
  RESTEP(reduced, with_initial(lp_own(reduced), kind, initial));
  if (kind == SEGMENT_MEAN) {
    STEP(length, lp_diff(bounds, 1, 1, NULL, NULL));
    if (initial.has) {
      STEP(one, lp_integer(1));
      RESTEP(length, lp_maximum(length, one));
    }
    RESTEP(length, lp_unsqueeze(length, -1));
    RESTEP(reduced, lp_div(reduced, length));
  }
  STEP(result, lp_reshape(reduced, lp_ints(sizes, lp_ndim(data))));
  return steps_finish(&s, result);
}

/* --- simulated quantisation
 * ------------------------------------------------------------------ */

static LpTensor *fake_quantize(LpTensor *self, LpTensor *scale, LpTensor *zero_point,
                               int64_t axis, int64_t quant_min, int64_t quant_max) {
  LpTensor *both[2] = {NULL, NULL};
  if (!lp_fake_quantize(self, scale, zero_point, axis, quant_min, quant_max, both))
    return NULL;
  lp_tensor_release(both[1]);
  return both[0];
}

LpTensor *lp_composite_fake_quantize_per_tensor_affine(LpTensor *self, double scale,
                                                       int64_t zero_point,
                                                       int64_t quant_min,
                                                       int64_t quant_max) {
  Steps s = {0};
  STEP(scales, lp_tensor_from_scalar(lp_scalar_float(scale), LP_FLOAT64));
  STEP(zeros, lp_tensor_from_scalar(lp_scalar_int(zero_point), LP_INT64));
  STEP(result, fake_quantize(self, scales, zeros, -1, quant_min, quant_max));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_fake_quantize_per_tensor_affine_tensor_qparams(
    LpTensor *self, LpTensor *scale, LpTensor *zero_point, int64_t quant_min,
    int64_t quant_max) {
  return fake_quantize(self, scale, zero_point, -1, quant_min, quant_max);
}

LpTensor *lp_composite_fake_quantize_per_channel_affine(LpTensor *self, LpTensor *scale,
                                                        LpTensor *zero_point,
                                                        int64_t axis, int64_t quant_min,
                                                        int64_t quant_max) {
  LpDtype kind = lp_dtype(zero_point);
  CHECK(lp_dtype(scale) == LP_FLOAT32 || lp_dtype(scale) == LP_BFLOAT16, LP_ERR_TYPE,
        "scale must be float32 or bfloat16, got %s", lp_dtype_name(lp_dtype(scale)));
  CHECK(kind == LP_INT32 || kind == LP_FLOAT32 || kind == LP_FLOAT16, LP_ERR_TYPE,
        "zero_point must be int32, float32 or float16, got %s", lp_dtype_name(kind));
  CHECK(lp_ndim(scale) == 1 && lp_ndim(zero_point) == 1, LP_ERR_ARGUMENT,
        "scale and zero_point must be 1-d, got shapes %s and %s", SHAPE_TEXT(scale),
        SHAPE_TEXT(zero_point));
  CHECK(lp_ndim(self) > 0, LP_ERR_INDEX, "self must have at least 1 dim");
  TRY(lp_wrap_dim(axis, lp_ndim(self), &axis));
  return fake_quantize(self, scale, zero_point, axis, quant_min, quant_max);
}
