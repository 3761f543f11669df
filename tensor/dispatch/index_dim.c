/* Indexing along one dim: whole slices (index_select, index_add, ...) and element by element
 * (gather, scatter, ...). The walks never give two tasks the same element of a written tensor. */
#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/tasks.h"
#include "dispatch/index.h"
#include "dispatch/reduce.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/ops.h"

static LpIndexKernel put_kernel(const LpTensor *t) {
  return lp_index_table()->put[lp_size_class((int64_t)lp_dtype_size(lp_dtype(t)))];
}
static LpIndexKernel get_kernel(const LpTensor *t) {
  return lp_index_table()->get[lp_size_class((int64_t)lp_dtype_size(lp_dtype(t)))];
}

/* --- slices ------------------------------------------------------------------------------------------ */

/* Walks t's slices index[k] of dim beside v's slices k; the index is checked. v may have stride 0 everywhere (one
 * value); NULL: the value is at `value`. */
static bool slices_run(LpTensor *t, int64_t dim, const LpTensor *index, const LpTensor *v, void *value,
                       LpIndexKernel kernel, bool ordered) {
  int64_t elem = (int64_t)lp_dtype_size(lp_dtype(t)), n = lp_numel(index);
  bool scalar = lp_ndim(t) == 0, one = !v || lp_ndim(v) != lp_ndim(t);
  LpIndexBlocks b = {.kernel = kernel, .ordered = ordered, .t = lp_data(t), .v = v ? lp_data(v) : value, .k = n,
                     .elem_bytes = elem, .offsets = lp_data(index), .scale = scalar ? 0 : lp_stride(t, dim) * elem};
  for (int64_t d = 0; d < lp_ndim(t); d++) {
    int64_t v_stride = one ? 0 : lp_stride(v, d) * elem;
    LpIndexDim walked = {lp_size(t, d), lp_stride(t, d) * elem, v_stride};
    if (d < dim) b.before[b.n_before++] = walked;
    else if (d > dim) b.after[b.n_after++] = walked;
    else b.v_k_stride = v_stride;
  }
  return lp_index_blocks_run(&b);
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
  if (result && !slices_run(self, dim, at, result, NULL, get_kernel(self), false)) {
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
  if (result && !slices_run(result, dim, own_at, own_v, NULL, kernel, true)) {
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

/* One dim of index's shape; t_stride is 0 for the dim that is indexed. Bytes, but for the index in elements. */
typedef struct LineDim {
  int64_t size, t_stride, v_stride, i_stride;
  bool indexed;
} LineDim;

#define CHUNK 1024     /* elements of short rows that go together */
#define SHORT_ROW 64
#define TASK 2048      /* elements; rows are cut where they are much longer */

/* t at (i with index[i] in place of i[dim]) beside v at i, for every i of index's shape: rows along the last dim,
 * blocks of them along the dim before. */
typedef struct Lines {
  LpIndexKernel kernel;
  int64_t elem, scale;
  int n_dims, inside;    /* inside: the dim outside of blocks that is walked by one task, or -1 */
  LineDim dims[LP_MAX_DIMS + 1];
  char *t, *v;
  const int64_t *index;
  bool checks;           /* of indices against size, in the walk */
  int64_t size;
  _Atomic bool out_of_range;
  int64_t rows_piece, rows_pieces, piece, pieces; /* how the last two dims are cut */
  int64_t *together;     /* where some short rows' elements lie without their indices, in elements; or NULL */
  int64_t together_rows;
} Lines;

static bool run_row(Lines *l, LpIndexRow *row) {
  if (l->checks && !lp_index_table()->in_range(row->idx, row->idx_step, row->n, l->size)) return false;
  l->kernel(row);
  return true;
}

/* `rows` rows of n elements; false where an index is out of range. */
static bool run_line_block(Lines *l, char *t, char *v, const int64_t *index, int64_t rows, int64_t n) {
  const LineDim *outer = &l->dims[l->n_dims - 2], *inner = outer + 1;
  if (!l->together) {
    LpIndexRow row = {.t = t, .t_step = inner->t_stride, .idx = index, .idx_step = inner->i_stride, .scale = l->scale,
                      .v = v, .v_step = inner->v_stride, .n = n};
    for (int64_t i = 0; i < rows; i++) {
      TRY(run_row(l, &row));
      row.t += outer->t_stride;
      row.v += outer->v_stride;
      row.idx += outer->i_stride;
    }
    return true;
  }
  int64_t places[CHUNK];
  for (int64_t i = 0; i < rows; i += l->together_rows) {
    const int64_t m = (rows - i < l->together_rows ? rows - i : l->together_rows);
    TRY(lp_index_table()->place(places, l->together, index + i * n, m * n, l->size, l->scale / l->elem));
    l->kernel(&(LpIndexRow){.t = t + i * outer->t_stride, .idx = places, .idx_step = 1, .scale = l->elem,
                            .v = v + i * outer->v_stride, .v_step = inner->v_stride, .n = m * n});
  }
  return true;
}

/* Task: one piece of a block; with all positions of the dim inside. */
static void run_lines(void *ctx, int64_t task) {
  Lines *l = ctx;
  const LineDim *outer = &l->dims[l->n_dims - 2], *inner = outer + 1;
  const int64_t first = task % l->pieces * l->piece, first_row = task / l->pieces % l->rows_pieces * l->rows_piece;
  int64_t rest = task / l->pieces / l->rows_pieces;
  char *t = l->t + first * inner->t_stride + first_row * outer->t_stride;
  char *v = l->v + first * inner->v_stride + first_row * outer->v_stride;
  const int64_t *index = l->index + first * inner->i_stride + first_row * outer->i_stride;
  for (int d = l->n_dims - 3; d >= 0; d--) {
    const LineDim *dim = &l->dims[d];
    if (d == l->inside) continue;
    const int64_t at = rest % dim->size;
    rest /= dim->size;
    t += at * dim->t_stride;
    v += at * dim->v_stride;
    index += at * dim->i_stride;
  }
  const int64_t n = inner->size - first < l->piece ? inner->size - first : l->piece;
  const int64_t rows = outer->size - first_row < l->rows_piece ? outer->size - first_row : l->rows_piece;
  const LineDim once = {.size = 1}, *inside = l->inside < 0 ? &once : &l->dims[l->inside];
  for (int64_t i = 0; i < inside->size; i++) {
    if (!run_line_block(l, t, v + i * inside->v_stride, index + i * inside->i_stride, rows, n)) {
      atomic_store_explicit(&l->out_of_range, true, memory_order_relaxed);
      return;
    }
  }
}

/* Joins neighbouring dims that are one walk for all three; gives two dims at least. */
static void join_line_dims(Lines *l) {
  int n = 0;
  LineDim dims[LP_MAX_DIMS + 1];
  for (int d = 0; d < l->n_dims; d++) {
    LineDim dim = l->dims[d];
    if (dim.size == 1) continue;
    const LineDim *last = n ? &dims[n - 1] : NULL;
    if (last && !dim.indexed && !last->indexed && last->t_stride == dim.t_stride * dim.size &&
        last->v_stride == dim.v_stride * dim.size && last->i_stride == dim.i_stride * dim.size) {
      dim.size *= last->size;
      n--;
    }
    dims[n++] = dim;
  }
  const int missing = n < 2 ? 2 - n : 0;
  for (int d = 0; d < missing; d++) l->dims[d] = (LineDim){.size = 1};
  memcpy(l->dims + missing, dims, (size_t)n * sizeof *dims);
  l->n_dims = n + missing;
}

/* What tasks cut: anything when t is read, all but the indexed dim when it is written. */
static int64_t cut_lines(Lines *l, bool ordered, int64_t numel) {
  const LineDim *outer = &l->dims[l->n_dims - 2], *inner = outer + 1;
  l->inside = -1;
  for (int d = 0; d < l->n_dims - 2 && ordered; d++)
    if (l->dims[d].indexed) l->inside = d;
  l->piece = (ordered && inner->indexed) || inner->size < 4 * TASK ? inner->size : 2 * TASK;
  l->rows_piece = ordered && outer->indexed ? outer->size : (TASK + l->piece - 1) / l->piece;
  if (l->rows_piece > outer->size) l->rows_piece = outer->size;
  l->pieces = (inner->size + l->piece - 1) / l->piece;
  l->rows_pieces = (outer->size + l->rows_piece - 1) / l->rows_piece;
  return numel / (outer->size * inner->size) / (l->inside < 0 ? 1 : l->dims[l->inside].size) * l->pieces * l->rows_pieces;
}

/* Short rows that follow one another in v and the index go together. */
static void bring_together(Lines *l, int64_t *places) {
  const LineDim *outer = &l->dims[l->n_dims - 2], *inner = outer + 1;
  if (inner->size >= SHORT_ROW || outer->size == 1 || inner->i_stride != 1 || outer->i_stride != inner->size ||
      outer->v_stride != inner->size * inner->v_stride)
    return;
  l->together = places;
  l->together_rows = CHUNK / inner->size < outer->size ? CHUNK / inner->size : outer->size;
  for (int64_t i = 0; i < l->together_rows; i++)
    for (int64_t j = 0; j < inner->size; j++)
      *places++ = (i * outer->t_stride + j * inner->t_stride) / l->elem;
}

/* Whether the index is one line along dim, expanded to t's size along all others, as in
 * `x.scatter_add_(0, i[:, None].expand_as(y), y)`: whole slices go where the line says. */
static bool is_one_line(const LpTensor *t, int64_t dim, const LpTensor *index) {
  if (lp_ndim(t) < 2 || lp_numel(index) == lp_size(index, dim)) return false;
  for (int64_t d = 0; d < lp_ndim(index); d++)
    if (d != dim &&
        (lp_size(index, d) != lp_size(t, d) || (lp_stride(index, d) != 0 && lp_size(index, d) > 1)))
      return false;
  return true;
}

/* That line, dense. */
static LpTensor *one_line(LpTensor *index, int64_t dim) {
  LpTensor *line = lp_tensor_alias(index, lp_ints((int64_t[]){lp_size(index, dim)}, 1),
                                   lp_ints((int64_t[]){lp_stride(index, dim)}, 1), index->offset_elems);
  LpTensor *dense = line ? lp_contiguous_raw(line) : NULL;
  lp_tensor_release(line);
  return dense;
}

/* v NULL: one value for all, at `value`. Where an index may still be out of range (`checks`), t and v may
 * be written in part before that is found. */
static bool lines_run(LpTensor *t, int64_t dim, LpTensor *index, const LpTensor *v, void *value,
                      LpIndexKernel kernel, bool checks) {
  int64_t elem = (int64_t)lp_dtype_size(lp_dtype(t)), numel = lp_numel(index), places[CHUNK];
  if (numel == 0) return true;
  if (is_one_line(t, dim, index)) {
    LpTensor *line = one_line(index, dim);
    const bool ok = line && (!checks || lp_check_index_range(line, lp_size(t, dim), dim)) &&
                    slices_run(t, dim, line, v, value, kernel, kernel != get_kernel(t));
    lp_tensor_release(line);
    return ok;
  }
  Lines l = {.kernel = kernel, .elem = elem, .scale = lp_ndim(t) ? lp_stride(t, dim) * elem : elem,
             .n_dims = (int)lp_ndim(index), .t = lp_data(t), .v = v ? lp_data(v) : value, .index = lp_data(index),
             .checks = checks, .size = lp_ndim(t) ? lp_size(t, dim) : 1};
  for (int d = 0; d < l.n_dims; d++)
    l.dims[d] = (LineDim){.size = lp_size(index, d),
                          .t_stride = lp_ndim(t) && d != dim ? lp_stride(t, d) * elem : 0,
                          .v_stride = v && lp_ndim(v) ? lp_stride(v, d) * elem : 0,
                          .i_stride = lp_stride(index, d),
                          .indexed = d == dim};
  join_line_dims(&l);
  bring_together(&l, places);
  const int64_t tasks = cut_lines(&l, kernel != get_kernel(t), numel);
  TRY(lp_run_tasks(tasks, numel / tasks, run_lines, &l));
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
