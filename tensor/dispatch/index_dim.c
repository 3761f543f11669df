/* Indexing along one dim: whole slices (index_select, index_add, ...) and element by element
 * (gather, scatter, ...). The walks never give two tasks the same element of a written tensor. */
#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/tasks.h"
#include "dispatch/index.h"
#include "dispatch/reduce.h"
#include "impl.h"
#include "lampad/ops.h"

static LpIndexKernel put_kernel(const LpTensor *t) {
  return lp_index_table()->put[lp_size_class((int64_t)lp_dtype_size(lp_dtype(t)))];
}
static LpIndexKernel get_kernel(const LpTensor *t) {
  return lp_index_table()->get[lp_size_class((int64_t)lp_dtype_size(lp_dtype(t)))];
}

/* --- slices ------------------------------------------------------------------------------------------ */

/* Walks t's slices index[k] of dim beside v's slices k. v may have stride 0 everywhere (one value). */
static bool slices_run(LpTensor *t, int64_t dim, const LpTensor *index, const LpTensor *v, LpIndexKernel kernel,
                       bool ordered) {
  int64_t elem = (int64_t)lp_dtype_size(lp_dtype(t)), n = lp_numel(index);
  bool scalar = lp_ndim(t) == 0, one = lp_ndim(v) != lp_ndim(t);
  size_t bytes = (size_t)(n ? n : 1) * sizeof(int64_t);
  int64_t *offsets = lp_calloc(bytes);
  TRY(offsets);
  LpIndexBlocks b = {.kernel = kernel, .ordered = ordered, .t = lp_data(t), .v = lp_data(v), .k = n,
                     .elem_bytes = elem, .offsets = offsets};
  bool ok = lp_add_offsets(index, scalar ? 1 : lp_size(t, dim), scalar ? 0 : lp_stride(t, dim) * elem, dim, offsets);
  for (int64_t d = 0; d < lp_ndim(t); d++) {
    int64_t v_stride = one ? 0 : lp_stride(v, d) * elem;
    LpIndexDim walked = {lp_size(t, d), lp_stride(t, d) * elem, v_stride};
    if (d < dim) b.before[b.n_before++] = walked;
    else if (d > dim) b.after[b.n_after++] = walked;
    else b.v_k_stride = v_stride;
  }
  ok = ok && lp_index_blocks_run(&b);
  lp_free(offsets, bytes);
  return ok;
}

/* index as a 1-d (or 0-d) dense int64 tensor whose elements lie in dim; dim wrapped. */
static LpTensor *slice_index(LpTensor *self, int64_t *dim, LpTensor *index) {
  TRY(lp_wrap_dim(*dim, lp_ndim(self), dim));
  CHECK(lp_ndim(index) <= 1, LP_ERR_INDEX, "index must be 1-d, got shape %s", SHAPE_TEXT(index));
  LpTensor *dense = lp_index_tensor(index, "index");
  if (!dense || lp_check_index_range(dense, lp_ndim(self) ? lp_size(self, *dim) : 1, *dim)) return dense;
  lp_tensor_release(dense);
  return NULL;
}

LpTensor *lp_impl_index_select(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index) {
  LpTensor *at = slice_index(self, &dim, index);
  if (!at) return NULL;
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(self); d++) sizes[d] = d == dim ? lp_numel(at) : lp_size(self, d);
  LpTensor *result = NULL;
  if (lp_ndim(self) == 0 && lp_numel(at) != 1)
    lp_fail(LP_ERR_INDEX, "index must hold one element for a 0-d tensor, got %lld", (long long)lp_numel(at));
  else result = lp_tensor_new(lp_ints(sizes, lp_ndim(self)), lp_dtype(self), lp_device(self));
  if (result && !slices_run(self, dim, at, result, get_kernel(self), false)) {
    lp_tensor_release(result);
    result = NULL;
  }
  lp_tensor_release(at);
  return lp_give(out, result);
}

/* source must have self's shape but for dim, where it is as long as the index. */
static bool check_source(LpTensor *self, int64_t dim, LpTensor *index, LpTensor *source) {
  TRY(lp_check_same_dtype(self, source, "source"));
  bool fits = lp_ndim(source) == lp_ndim(self) || (lp_ndim(source) == 0 && lp_numel(index) == 1 && lp_ndim(self) <= 1);
  for (int64_t d = 0; d < lp_ndim(source) && fits; d++)
    fits = lp_size(source, d) == (d == dim ? lp_numel(index) : lp_size(self, d));
  CHECK(fits, LP_ERR_ARGUMENT,
        "source must have self's shape %s with size %lld (index's length) in dim %lld, got %s", SHAPE_TEXT(self),
        (long long)lp_numel(index), (long long)dim, SHAPE_TEXT(source));
  return true;
}

static LpTensor *write_slices(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *at, LpTensor *v,
                              LpIndexKernel kernel) {
  if (lp_ndim(v) > 0) TRY(lp_check_single(out)); /* one value may be written twice */
  LpTensor *own_at = lp_apart(out, at, "index"), *own_v = own_at ? lp_apart(out, v, "source") : NULL;
  LpTensor *result = own_v ? lp_begin_write(out, self) : NULL;
  if (result && !slices_run(result, dim, own_at, own_v, kernel, true)) {
    lp_tensor_release(result);
    result = NULL;
  }
  lp_tensor_release(own_at);
  lp_tensor_release(own_v);
  return result;
}

LpTensor *lp_impl_index_add(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *source,
                            LpScalar alpha) {
  LpTensor *at = slice_index(self, &dim, index), *scaled = NULL, *result = NULL;
  if (at && check_source(self, dim, at, source)) {
    bool plain = alpha.kind == LP_SCALAR_INT && alpha.v.i == 1;
    LpTensor *factor = plain ? NULL : lp_tensor_wrapped(alpha);
    scaled = plain ? lp_tensor_retain(source) : factor ? lp_mul(source, factor) : NULL;
    lp_tensor_release(factor);
    if (scaled && lp_dtype(scaled) != lp_dtype(self))
      lp_fail(LP_ERR_TYPE, "alpha must fit self's dtype %s", lp_dtype_name(lp_dtype(self)));
    else if (scaled) result = write_slices(out, self, dim, at, scaled, lp_index_table()->add[lp_dtype(self)]);
  }
  lp_tensor_release(scaled);
  lp_tensor_release(at);
  return result;
}

LpTensor *lp_impl_index_copy(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *source) {
  LpTensor *at = slice_index(self, &dim, index), *result = NULL;
  if (at && check_source(self, dim, at, source)) result = write_slices(out, self, dim, at, source, put_kernel(self));
  lp_tensor_release(at);
  return result;
}

LpTensor *lp_impl_index_fill_int_tensor(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *value) {
  CHECK(lp_ndim(value) == 0, LP_ERR_ARGUMENT, "value must be a number or a 0-d tensor, got shape %s", SHAPE_TEXT(value));
  LpTensor *at = slice_index(self, &dim, index), *result = NULL;
  LpTensor *v = at ? lp_dense(value, lp_dtype(self)) : NULL;
  if (v) result = write_slices(out, self, dim, at, v, put_kernel(self));
  lp_tensor_release(v);
  lp_tensor_release(at);
  return result;
}

LpTensor *lp_impl_index_fill_int_scalar(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpScalar value) {
  LpTensor *v = lp_tensor_from_scalar(value, lp_dtype(self));
  LpTensor *result = v ? lp_impl_index_fill_int_tensor(out, self, dim, index, v) : NULL;
  lp_tensor_release(v);
  return result;
}

/* --- element by element ------------------------------------------------------------------------------- */

/* t at (i with index[i] in place of i[dim]) beside v at i, for every i of index's shape. */
typedef struct Lines {
  LpIndexKernel kernel;
  int64_t elem, ndim, dim;
  int64_t sizes[LP_MAX_DIMS], i_strides[LP_MAX_DIMS]; /* of index, in elements */
  int64_t t_strides[LP_MAX_DIMS], v_strides[LP_MAX_DIMS]; /* bytes */
  char *t, *v;
  const int64_t *index;
  bool checks;            /* of indices against size, in the walk */
  int64_t size;
  _Atomic bool out_of_range;
  int64_t inner;          /* the dim of the inner loop: the last of index that is longer than 1 */
  int64_t piece, pieces;  /* how the inner dim is cut; not when it is dim */
} Lines;

/* Task: one position in all dims but dim and the inner one, one piece of the inner dim; dim runs inside, so
 * that no other task writes there. */
static void run_line(void *ctx, int64_t task) {
  Lines *l = ctx;
  int64_t first = task % l->pieces * l->piece, rest = task / l->pieces;
  char *t = l->t + first * (l->inner == l->dim ? 0 : l->t_strides[l->inner]);
  char *v = l->v + first * l->v_strides[l->inner];
  const int64_t *index = l->index + first * l->i_strides[l->inner];
  for (int64_t d = l->ndim - 1; d >= 0; d--) {
    if (d == l->inner || d == l->dim) continue;
    int64_t at = rest % l->sizes[d];
    rest /= l->sizes[d];
    t += at * l->t_strides[d];
    v += at * l->v_strides[d];
    index += at * l->i_strides[d];
  }
  int64_t n = l->sizes[l->inner] - first < l->piece ? l->sizes[l->inner] - first : l->piece;
  LpIndexRow row = {.t = t, .t_step = l->inner == l->dim ? 0 : l->t_strides[l->inner], .idx = index,
                    .idx_step = l->i_strides[l->inner], .scale = l->t_strides[l->dim], .v = v,
                    .v_step = l->v_strides[l->inner], .n = n};
  bool (*in_range)(const int64_t *, int64_t, int64_t, int64_t) = lp_index_table()->in_range;
  int64_t rows = l->inner == l->dim ? 1 : l->sizes[l->dim];
  for (int64_t i = 0; i < rows; i++) {
    if (l->checks && !in_range(row.idx, row.idx_step, n, l->size)) {
      atomic_store_explicit(&l->out_of_range, true, memory_order_relaxed);
      return;
    }
    l->kernel(&row);
    row.idx += l->i_strides[l->dim];
    row.v += l->v_strides[l->dim];
  }
}

/* v NULL: one value for all, at `value`. Where an index may still be out of range (`checks`), t and v may
 * be written in part before that is found. */
static bool lines_run(LpTensor *t, int64_t dim, LpTensor *index, const LpTensor *v, void *value,
                      LpIndexKernel kernel, bool checks) {
  int64_t elem = (int64_t)lp_dtype_size(lp_dtype(t)), numel = lp_numel(index);
  Lines l = {.kernel = kernel, .elem = elem, .ndim = lp_ndim(index), .dim = dim, .t = lp_data(t),
             .v = v ? lp_data(v) : value, .index = lp_data(index), .checks = checks,
             .size = lp_ndim(t) ? lp_size(t, dim) : 1};
  if (numel == 0) return true;
  for (int64_t d = 0; d < l.ndim; d++) {
    l.sizes[d] = lp_size(index, d);
    l.i_strides[d] = lp_stride(index, d);
    l.t_strides[d] = lp_ndim(t) ? lp_stride(t, d) * elem : 0;
    l.v_strides[d] = v && lp_ndim(v) ? lp_stride(v, d) * elem : 0;
  }
  if (l.ndim == 0) { /* as one line of one element */
    l.ndim = 1;
    l.sizes[0] = 1;
    l.t_strides[0] = lp_ndim(t) ? lp_stride(t, 0) * elem : 0;
  }
  l.inner = l.ndim - 1;
  while (l.inner > 0 && l.sizes[l.inner] == 1) l.inner--;
  l.piece = l.inner == dim ? l.sizes[l.inner] : 4096;
  l.pieces = (l.sizes[l.inner] + l.piece - 1) / l.piece;
  int64_t tasks = numel / l.sizes[l.inner] * l.pieces;
  if (l.inner != dim) tasks /= l.sizes[dim];
  TRY(lp_run_tasks(tasks, numel / tasks, run_line, &l));
  return !l.out_of_range || lp_check_index_range(index, l.size, dim); /* which says what is wrong */
}

/* dim wrapped; index of self's number of dims, no larger than self but in dim. */
static bool check_lines(LpTensor *self, int64_t *dim, LpTensor *index, LpTensor *src) {
  if (lp_numel(index) == 0) return true;
  int64_t self_ndim = lp_ndim(self) ? lp_ndim(self) : 1, index_ndim = lp_ndim(index) ? lp_ndim(index) : 1;
  CHECK(self_ndim == index_ndim, LP_ERR_ARGUMENT,
        "index must have as many dims as self (shape %s), got shape %s", SHAPE_TEXT(self), SHAPE_TEXT(index));
  for (int64_t d = 0; d < lp_ndim(index); d++) {
    CHECK(d == *dim || lp_size(index, d) <= (lp_ndim(self) ? lp_size(self, d) : 1), LP_ERR_ARGUMENT,
          "index's size %lld in dim %lld must not be larger than self's %lld (shapes %s and %s)",
          (long long)lp_size(index, d), (long long)d, (long long)(lp_ndim(self) ? lp_size(self, d) : 1),
          SHAPE_TEXT(index), SHAPE_TEXT(self));
    CHECK(!src || lp_ndim(src) == 0 || d >= lp_ndim(src) || lp_size(index, d) <= lp_size(src, d), LP_ERR_ARGUMENT,
          "index's size %lld in dim %lld must not be larger than src's %lld (shapes %s and %s)",
          (long long)lp_size(index, d), (long long)d, (long long)lp_size(src, d), SHAPE_TEXT(index), SHAPE_TEXT(src));
  }
  if (src) {
    TRY(lp_check_same_dtype(self, src, "src"));
    CHECK(lp_numel(src) > 0, LP_ERR_ARGUMENT, "src must have an element for each of index (shape %s), got shape %s",
          SHAPE_TEXT(index), SHAPE_TEXT(src));
    int64_t src_ndim = lp_ndim(src) ? lp_ndim(src) : 1;
    CHECK(src_ndim == index_ndim, LP_ERR_ARGUMENT, "index must have as many dims as src (shape %s), got shape %s",
          SHAPE_TEXT(src), SHAPE_TEXT(index));
  }
  return true;
}

/* The index of such a walk as int64 (an owned reference), its shape checked; dim wrapped. */
static LpTensor *line_index(LpTensor *self, int64_t *dim, LpTensor *index, LpTensor *src) {
  TRY(lp_wrap_dim(*dim, lp_ndim(self), dim));
  LpDtype dtype = lp_dtype(index);
  CHECK(dtype == LP_INT64 || dtype == LP_INT32 || lp_numel(index) == 0, LP_ERR_TYPE,
        "index must be int64 or int32, got %s", lp_dtype_name(dtype));
  LpTensor *at = dtype == LP_INT64 ? lp_tensor_retain(index) : lp_dense(index, LP_INT64);
  if (!at || check_lines(self, dim, at, src)) return at;
  lp_tensor_release(at);
  return NULL;
}

LpTensor *lp_impl_gather(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, bool sparse_grad) {
  LpTensor *at = line_index(self, &dim, index, NULL);
  LpTensor *result = at ? lp_tensor_new(lp_sizes(at), lp_dtype(self), lp_device(self)) : NULL;
  if (result && !lines_run(self, dim, at, result, NULL, get_kernel(self), true)) {
    lp_tensor_release(result);
    result = NULL;
  }
  lp_tensor_release(at);
  return lp_give(out, result);
}

/* What is read while `out` is written must lie apart from it: an index that changes under way leads out of range.
 * Replaces *index and *src by retained tensors; both are NULL after a failure. */
static bool keep_apart(LpTensor *out, LpTensor **index, LpTensor **src) {
  LpTensor *source = *src;
  *src = NULL;
  if ((*index = lp_check_single(out) ? lp_apart(out, *index, "index") : NULL) == NULL) return false;
  if (!source || (*src = lp_apart(out, source, "src"))) return true;
  lp_tensor_release(*index);
  *index = NULL;
  return false;
}

/* What a scatter reads, checked: *index as int64 and *src (or NULL), retained and apart from what is written.
 * Indices are checked beforehand where a user's tensor is written, else (out NULL) on the walk. */
static bool line_operands(LpTensor *out, LpTensor *self, int64_t *dim, LpTensor **index, LpTensor **src) {
  LpTensor *at = line_index(self, dim, *index, *src);
  if (!at) return false;
  *index = at;
  const bool ok = (!out || lp_check_index_range(at, lp_ndim(self) ? lp_size(self, *dim) : 1, *dim)) &&
                  keep_apart(out, index, src);
  lp_tensor_release(at);
  return ok;
}

static LpTensor *scatter(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *src, LpScalar value,
                         LpIndexKernel kernel) {
  TRY(line_operands(out, self, &dim, &index, &src));
  LpTensor *filler = NULL, *result = NULL;
  if (src || (filler = lp_tensor_from_scalar(value, lp_dtype(self)))) {
    result = lp_begin_write(out, self);
    if (result && !lines_run(result, dim, index, src, filler ? lp_data(filler) : NULL, kernel, !out)) {
      lp_tensor_release(result);
      result = NULL;
    }
  }
  lp_tensor_release(filler);
  lp_tensor_release(index);
  lp_tensor_release(src);
  return result;
}

LpTensor *lp_impl_scatter_src(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *src) {
  return scatter(out, self, dim, index, src, lp_scalar_int(0), put_kernel(self));
}
LpTensor *lp_impl_scatter_value(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpScalar value) {
  return scatter(out, self, dim, index, NULL, value, put_kernel(self));
}
LpTensor *lp_impl_scatter_add(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *src) {
  return scatter(out, self, dim, index, src, lp_scalar_int(0), lp_index_table()->add[lp_dtype(self)]);
}

static LpIndexKernel combine_kernel(LpTensor *self, const char *reduce) {
  bool add = !strcmp(reduce, "add"), multiply = !strcmp(reduce, "multiply");
  CHECK(add || multiply, LP_ERR_ARGUMENT, "reduce must be 'add' or 'multiply', got '%s'", reduce);
  return add ? lp_index_table()->add[lp_dtype(self)] : lp_index_table()->mul[lp_dtype(self)];
}
LpTensor *lp_impl_scatter_reduce(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *src,
                                 const char *reduce) {
  LpIndexKernel kernel = combine_kernel(self, reduce);
  return kernel ? scatter(out, self, dim, index, src, lp_scalar_int(0), kernel) : NULL;
}
LpTensor *lp_impl_scatter_value_reduce(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpScalar value,
                                       const char *reduce) {
  LpIndexKernel kernel = combine_kernel(self, reduce);
  return kernel ? scatter(out, self, dim, index, NULL, value, kernel) : NULL;
}

/* The value that a reduction of dtype starts from. */
static LpScalar neutral(const char *reduce, LpDtype dtype) {
  static const int64_t lowest[LP_DTYPE_COUNT] = {[LP_INT8] = INT8_MIN, [LP_INT16] = INT16_MIN,
                                                 [LP_INT32] = INT32_MIN, [LP_INT64] = INT64_MIN};
  static const int64_t highest[LP_DTYPE_COUNT] = {[LP_UINT8] = UINT8_MAX, [LP_INT8] = INT8_MAX,
                                                  [LP_INT16] = INT16_MAX, [LP_INT32] = INT32_MAX,
                                                  [LP_INT64] = INT64_MAX, [LP_BOOL] = 1};
  bool floating = lp_dtype_is_floating(dtype);
  if (!strcmp(reduce, "prod")) return lp_scalar_int(1);
  if (!strcmp(reduce, "amax")) return floating ? lp_scalar_float(-INFINITY) : lp_scalar_int(lowest[dtype]);
  if (!strcmp(reduce, "amin")) return floating ? lp_scalar_float(INFINITY) : lp_scalar_int(highest[dtype]);
  return lp_scalar_int(0);
}

/* Divides result by the number of values that went into each element. */
static bool divide_by_counts(LpTensor *result, int64_t dim, LpTensor *index, bool include_self) {
  LpDtype dtype = lp_dtype_to_real(lp_dtype(result));
  LpTensor *counts = lp_tensor_new(lp_sizes(result), dtype, lp_device(result)), *summed = NULL;
  LpTensor *start = lp_tensor_from_scalar(lp_scalar_int(include_self), dtype), *mean = NULL, *least = NULL;
  bool ok = counts && start && lp_copy_values(counts, start) &&
            (summed = scatter(counts, counts, dim, index, NULL, lp_scalar_int(1), lp_index_table()->add[dtype]));
  if (ok && !include_self) { /* untouched elements keep their value */
    LpTensor *one = lp_tensor_wrapped(lp_scalar_int(1));
    least = one ? lp_maximum(summed, one) : NULL;
    lp_tensor_release(one);
    ok = least != NULL;
  }
  LpTensor *divisor = least ? least : summed;
  if (ok) {
    mean = lp_dtype_is_integral(lp_dtype(result), true) ? lp_div_mode(result, divisor, "floor")
                                                        : lp_div(result, divisor);
    ok = mean && lp_copy_values(result, mean);
  }
  lp_tensor_release(counts);
  lp_tensor_release(summed);
  lp_tensor_release(start);
  lp_tensor_release(least);
  lp_tensor_release(mean);
  return ok;
}

LpTensor *lp_impl_scatter_reduce_two(LpTensor *out, LpTensor *self, int64_t dim, LpTensor *index, LpTensor *src,
                                     const char *reduce, bool include_self) {
  const LpIndexTable *table = lp_index_table();
  LpDtype dtype = lp_dtype(self);
  bool is_mean = !strcmp(reduce, "mean");
  LpIndexKernel kernel = !strcmp(reduce, "sum") || is_mean ? table->add[dtype]
                         : !strcmp(reduce, "prod")         ? table->mul[dtype]
                         : !strcmp(reduce, "amax")         ? table->max[dtype]
                         : !strcmp(reduce, "amin")         ? table->min[dtype]
                                                           : NULL;
  CHECK(kernel, LP_ERR_ARGUMENT, "reduce must be 'sum', 'prod', 'mean', 'amax' or 'amin' (the last two not complex), got '%s'",
        reduce);
  TRY(line_operands(out, self, &dim, &index, &src));
  LpTensor *result = lp_begin_write(out, self);
  LpTensor *start = include_self ? NULL : lp_tensor_from_scalar(neutral(reduce, dtype), dtype);
  bool ok = result && (include_self || (start && lines_run(result, dim, index, NULL, lp_data(start), put_kernel(self), !out)));
  ok = ok && lines_run(result, dim, index, src, NULL, kernel, !out && include_self) &&
       (!is_mean || divide_by_counts(result, dim, index, include_self));
  lp_tensor_release(start);
  lp_tensor_release(index);
  lp_tensor_release(src);
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}
