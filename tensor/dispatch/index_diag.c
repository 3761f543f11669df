/* Triangles and diagonals, and copies with one part replaced. */
#include <string.h>
#include "core/parallel.h"
#include "cpu/copy.h"
#include "cpu/tasks.h"
#include "dispatch/index.h"
#include "dispatch/iter.h"
#include "dispatch/reduce.h"
#include "impl.h"

/* --- triangles --------------------------------------------------------------------------------------- */

#define MASK_BYTES 4096

/* Column c of row r is kept when c - r >= diagonal (upper) or <= (lower). edge(r) = r + shift, brought into
 * [0, cols], is the first kept (upper) or the first dropped (lower) column. dst is row-major beside src, or src
 * itself, which may have any strides. */
typedef struct Triangle {
  bool upper, in_place, dense;
  int64_t shift, rows, cols, elem, numel;
  char *src, *dst;
  const LpTensor *geometry; /* of dst, where it is not dense */
  int64_t stripe, stripes;  /* rows of a task, and tasks of a matrix */
  int64_t period;           /* bytes of some whole matrices, whose mask this is */
  char mask[MASK_BYTES];
} Triangle;

static inline int64_t edge_of(const Triangle *t, int64_t r) {
  const int64_t edge = r + t->shift;
  return edge < 0 ? 0 : edge > t->cols ? t->cols : edge;
}

/* n elements of memory, kept or dropped. */
static void whole_part(const Triangle *t, bool kept, int64_t first, int64_t n) {
  const size_t at = (size_t)(first * t->elem), bytes = (size_t)(n * t->elem);
  if (n <= 0) return;
  if (!kept) memset(t->dst + at, 0, bytes);
  else if (!t->in_place) memcpy(t->dst + at, t->src + at, bytes);
}

static void drop_with_steps(const Triangle *t, int64_t matrix, int64_t r) {
  const LpTensor *g = t->geometry;
  const int64_t ndim = lp_ndim(g), step = lp_stride(g, ndim - 1) * t->elem, edge = edge_of(t, r);
  char *dst = t->dst + r * lp_stride(g, ndim - 2) * t->elem;
  for (int64_t d = ndim - 3; d >= 0; d--) {
    dst += matrix % lp_size(g, d) * lp_stride(g, d) * t->elem;
    matrix /= lp_size(g, d);
  }
  for (int64_t c = t->upper ? 0 : edge; c < (t->upper ? edge : t->cols); c++)
    memset(dst + c * step, 0, (size_t)t->elem);
}

/* Task: a stripe of one matrix's rows. Those before `mixed` and from `end` on are of one kind. */
static void triangle_rows(void *ctx, int64_t task) {
  const Triangle *t = ctx;
  const int64_t matrix = task / t->stripes, r0 = task % t->stripes * t->stripe;
  const int64_t r1 = t->rows - r0 < t->stripe ? t->rows : r0 + t->stripe;
  if (!t->dense) {
    for (int64_t r = r0; r < r1; r++) drop_with_steps(t, matrix, r);
    return;
  }
  const int64_t start = matrix * t->rows, cols = t->cols;
  int64_t mixed = 1 - t->shift, end = cols - t->shift;
  mixed = mixed < r0 ? r0 : mixed > r1 ? r1 : mixed;
  end = end < mixed ? mixed : end > r1 ? r1 : end;
  whole_part(t, t->upper, (start + r0) * cols, (mixed - r0) * cols);
  for (int64_t r = mixed; r < end; r++) {
    const int64_t first = (start + r) * cols, edge = edge_of(t, r);
    whole_part(t, !t->upper, first, edge);
    whole_part(t, t->upper, first + edge, cols - edge);
  }
  whole_part(t, !t->upper, (start + end) * cols, (r1 - end) * cols);
}

/* Task: some small matrices, through the mask. */
static void triangle_masked(void *ctx, int64_t task) {
  const Triangle *t = ctx;
  const int64_t first = task * t->period, left = t->numel * t->elem - first;
  lp_copy_kernels()->mask(t->dst + first, t->src + first, t->mask, left < t->period ? left : t->period);
}

static void make_mask(Triangle *t) {
  const int64_t matrix = t->rows * t->cols * t->elem;
  t->period = MASK_BYTES / matrix * matrix;
  memset(t->mask, 0, sizeof t->mask);
  for (int64_t at = 0, r = 0; at < t->period; at += t->cols * t->elem, r = r + 1 < t->rows ? r + 1 : 0) {
    const int64_t edge = edge_of(t, r), first = t->upper ? edge : 0, end = t->upper ? t->cols : edge;
    memset(t->mask + at + first * t->elem, 0xff, (size_t)((end - first) * t->elem));
  }
}

static bool triangle_run(Triangle *t) {
  const int64_t matrix = t->rows * t->cols;
  if (t->numel == 0) return true;
  if (t->dense && t->numel > matrix && matrix * t->elem <= MASK_BYTES) {
    make_mask(t);
    const int64_t tasks = (t->numel * t->elem + t->period - 1) / t->period;
    return lp_run_tasks(tasks, t->period / t->elem, triangle_masked, t);
  }
  t->stripe = (LP_GRAIN / 8 + t->cols - 1) / t->cols;
  if (t->stripe > t->rows) t->stripe = t->rows;
  t->stripes = (t->rows + t->stripe - 1) / t->stripe;
  return lp_run_tasks(t->numel / matrix * t->stripes, t->stripe * t->cols, triangle_rows, t);
}

static LpTensor *triangle(LpTensor *out, LpTensor *self, int64_t diagonal, bool upper) {
  int64_t ndim = lp_ndim(self);
  CHECK(ndim >= 2, LP_ERR_ARGUMENT, "self must have at least 2 dims, got shape %s", SHAPE_TEXT(self));
  LpTensor *fresh = out == self ? lp_tensor_retain(self) : lp_tensor_new(lp_sizes(self), lp_dtype(self), lp_device(self));
  if (!fresh) return NULL;
  Triangle t;
  t.upper = upper;
  t.rows = lp_size(self, ndim - 2);
  t.cols = lp_size(self, ndim - 1);
  t.numel = lp_numel(self);
  t.elem = (int64_t)lp_dtype_size(lp_dtype(self));
  t.in_place = out == self || !self->is_contiguous;
  t.dense = fresh->is_contiguous;
  t.geometry = fresh;
  t.dst = lp_data(fresh);
  t.src = t.in_place ? t.dst : lp_data(self);
  int64_t limit = t.rows + t.cols; /* beyond it nothing changes, and sums do not overflow */
  t.shift = (diagonal > limit ? limit : diagonal < -limit ? -limit : diagonal) + !upper;
  bool ok = (out == self || self->is_contiguous || lp_copy_values(fresh, self)) && triangle_run(&t);
  if (!ok) {
    lp_tensor_release(fresh);
    return NULL;
  }
  return out == self ? fresh : lp_give(out, fresh);
}

LpTensor *lp_impl_tril(LpTensor *out, LpTensor *self, int64_t diagonal) { return triangle(out, self, diagonal, false); }
LpTensor *lp_impl_triu(LpTensor *out, LpTensor *self, int64_t diagonal) { return triangle(out, self, diagonal, true); }

/* --- parts -------------------------------------------------------------------------------------------- */

/* A raw view of t's diagonal of dims a and b, as the last dim. */
static LpTensor *diagonal_part(LpTensor *t, int64_t offset, int64_t a, int64_t b) {
  int64_t ndim = lp_ndim(t), sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], n = 0;
  TRY(lp_wrap_dim(a, ndim, &a));
  TRY(lp_wrap_dim(b, ndim, &b));
  CHECK(a != b, LP_ERR_ARGUMENT, "the diagonal's dims must differ, got %lld twice", (long long)a);
  for (int64_t d = 0; d < ndim; d++) {
    if (d == a || d == b) continue;
    sizes[n] = lp_size(t, d);
    strides[n++] = lp_stride(t, d);
  }
  int64_t rows = lp_size(t, a), cols = lp_size(t, b), start = t->offset_elems, length;
  if (offset >= 0) {
    length = cols - offset < rows ? cols - offset : rows;
    if (length > 0 && lp_numel(t) > 0) start += offset * lp_stride(t, b);
  } else {
    length = rows + offset < cols ? rows + offset : cols;
    if (length > 0 && lp_numel(t) > 0) start -= offset * lp_stride(t, a);
  }
  sizes[n] = length > 0 ? length : 0;
  /* An empty tensor's strides may be of any size. */
  strides[n++] = (int64_t)((uint64_t)lp_stride(t, a) + (uint64_t)lp_stride(t, b));
  return lp_tensor_alias(t, lp_ints(sizes, n), lp_ints(strides, n), start);
}

/* Copies src over part (released); result is what the caller gives back, released on failure. */
static LpTensor *replace(LpTensor *result, LpTensor *part, LpTensor *src) {
  bool ok = result && part;
  if (ok) {
    bool fits = lp_ndim(src) == lp_ndim(part) &&
                !memcmp(src->sizes, part->sizes, (size_t)lp_ndim(src) * sizeof(int64_t));
    ok = fits || lp_fail(LP_ERR_ARGUMENT, "src must have the shape of the part that it replaces, %s, got %s",
                         SHAPE_TEXT(part), SHAPE_TEXT(src));
  }
  ok = ok && lp_copy_values(part, src);
  lp_tensor_release(part);
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}

LpTensor *lp_impl_diag_embed(LpTensor *self, int64_t offset, int64_t dim1, int64_t dim2) {
  int64_t ndim = lp_ndim(self) + 1, sizes[LP_MAX_DIMS];
  CHECK(lp_ndim(self) >= 1 && ndim <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "self must have at least 1 dim, got shape %s",
        SHAPE_TEXT(self));
  TRY(lp_wrap_dim(dim1, ndim, &dim1));
  TRY(lp_wrap_dim(dim2, ndim, &dim2));
  CHECK(dim1 != dim2, LP_ERR_ARGUMENT, "dim1 and dim2 must differ, got %lld twice", (long long)dim1);
  CHECK(offset > -(INT64_C(1) << 62) && offset < INT64_C(1) << 62, LP_ERR_MEMORY,
        "a diagonal %lld off the main one makes more elements than can be counted", (long long)offset);
  int64_t side = lp_size(self, ndim - 2) + (offset < 0 ? -offset : offset);
  for (int64_t d = 0, s = 0; d < ndim; d++) sizes[d] = d == dim1 || d == dim2 ? side : lp_size(self, s++);
  LpTensor *result = lp_tensor_new(lp_ints(sizes, ndim), lp_dtype(self), lp_device(self));
  if (!result) return NULL;
  memset(lp_data(result), 0, (size_t)lp_numel(result) * lp_dtype_size(lp_dtype(self)));
  return replace(result, diagonal_part(result, offset, dim1, dim2), self);
}

LpTensor *lp_impl_diagonal_scatter(LpTensor *self, LpTensor *src, int64_t offset, int64_t dim1, int64_t dim2) {
  LpTensor *result = lp_begin_write(NULL, self);
  return replace(result, result ? diagonal_part(result, offset, dim1, dim2) : NULL, src);
}

LpTensor *lp_impl_select_scatter(LpTensor *self, LpTensor *src, int64_t dim, int64_t index) {
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], n = 0;
  CHECK(lp_ndim(self) > 0, LP_ERR_INDEX, "self must have at least 1 dim");
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  int64_t size = lp_size(self, dim);
  CHECK(index >= -size && index < size, LP_ERR_INDEX, "index %lld is out of range for dim %lld of size %lld",
        (long long)index, (long long)dim, (long long)size);
  LpTensor *result = lp_begin_write(NULL, self);
  if (!result) return NULL;
  for (int64_t d = 0; d < lp_ndim(self); d++) {
    if (d == dim) continue;
    sizes[n] = lp_size(result, d);
    strides[n++] = lp_stride(result, d);
  }
  int64_t start = result->offset_elems + (index < 0 ? index + size : index) * lp_stride(result, dim);
  return replace(result, lp_tensor_alias(result, lp_ints(sizes, n), lp_ints(strides, n), start), src);
}

static int64_t clamp_end(LpOptInt at, int64_t fallback, int64_t size) {
  int64_t i = at.has ? at.value : fallback;
  if (i < 0) i += size;
  return i < 0 ? 0 : i > size ? size : i;
}

LpTensor *lp_impl_slice_scatter(LpTensor *out, LpTensor *self, LpTensor *src, int64_t dim, LpOptInt start,
                                LpOptInt end, int64_t step) {
  CHECK(lp_ndim(self) > 0, LP_ERR_INDEX, "self must have at least 1 dim");
  CHECK(step > 0, LP_ERR_ARGUMENT, "step must be positive, got %lld", (long long)step);
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  int64_t size = lp_size(self, dim), first = clamp_end(start, 0, size), last = clamp_end(end, size, size);
  LpTensor *result = lp_begin_write(NULL, self);
  if (!result) return NULL;
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(self); d++) {
    sizes[d] = lp_size(result, d);
    strides[d] = lp_stride(result, d);
  }
  sizes[dim] = last > first ? (last - first - 1) / step + 1 : 0;
  if (sizes[dim] > 1) strides[dim] *= step;
  int64_t at = result->offset_elems + first * lp_stride(result, dim);
  LpTensor *part = lp_tensor_alias(result, lp_ints(sizes, lp_ndim(self)), lp_ints(strides, lp_ndim(self)), at);
  return lp_give(out, replace(result, part, src));
}

/* --- fill_diagonal ------------------------------------------------------------------------------------ */

static bool fill_diagonal(LpTensor *t, LpScalar value, bool wrap) {
  int64_t ndim = lp_ndim(t), elem = (int64_t)lp_dtype_size(lp_dtype(t)), step = 0, n = 0;
  CHECK(ndim >= 2, LP_ERR_ARGUMENT, "self must have at least 2 dims, got shape %s", SHAPE_TEXT(t));
  for (int64_t d = 0; d < ndim; d++) {
    CHECK(ndim == 2 || lp_size(t, d) == lp_size(t, 0), LP_ERR_ARGUMENT,
          "all dims must be of equal length when there are more than 2, got shape %s", SHAPE_TEXT(t));
    step += lp_stride(t, d);
    if (d == 0 || lp_size(t, d) < n) n = lp_size(t, d);
  }
  LpTensor *v = lp_tensor_from_scalar(value, lp_dtype(t));
  if (!v) return false;
  char *at = lp_data(t);
  for (int64_t i = 0; i < n; i++) memcpy(at + i * step * elem, lp_data(v), (size_t)elem);
  if (wrap && ndim == 2 && lp_size(t, 1) > 0) {
    /* A tall matrix: the diagonal starts anew one row below each full square. */
    int64_t cols = lp_size(t, 1);
    for (int64_t r = cols + 1; r < lp_size(t, 0); r++) {
      int64_t c = r % (cols + 1);
      if (c < cols) memcpy(at + (r * lp_stride(t, 0) + c * lp_stride(t, 1)) * elem, lp_data(v), (size_t)elem);
    }
  }
  lp_tensor_release(v);
  return true;
}

LpTensor *lp_impl_fill_diagonal(LpTensor *out, LpTensor *self, LpScalar fill_value, bool wrap) {
  LpTensor *result = lp_begin_write(out, self);
  if (!result || fill_diagonal(result, fill_value, wrap)) return result;
  lp_tensor_release(result);
  return NULL;
}

LpTensor *lp_impl_fill_diagonal_zero(LpTensor *self, bool wrap) {
  return lp_impl_fill_diagonal(NULL, self, lp_scalar_int(0), wrap);
}
