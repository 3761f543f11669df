/* Triangles and diagonals, and copies with one part replaced. */
#include <string.h>
#include "cpu/tasks.h"
#include "dispatch/index.h"
#include "dispatch/iter.h"
#include "dispatch/reduce.h"
#include "impl.h"

/* --- triangles --------------------------------------------------------------------------------------- */

typedef struct Triangle {
  bool upper, in_place;
  int64_t diagonal, rows, cols, elem;
  LpTensor *src, *dst;
} Triangle;

static void clear(char *dst, int64_t step, int64_t elem, int64_t n) {
  if (step == elem) memset(dst, 0, (size_t)(n * elem));
  else
    for (int64_t i = 0; i < n; i++) memset(dst + i * step, 0, (size_t)elem);
}

/* Task: one row of one matrix. Column c of row r is kept when c - r >= diagonal (upper), <= (lower). */
static void triangle_row(void *ctx, int64_t task) {
  const Triangle *t = ctx;
  int64_t ndim = lp_ndim(t->src), r = task % t->rows, rest = task / t->rows;
  char *src = lp_data(t->src), *dst = lp_data(t->dst);
  src += r * lp_stride(t->src, ndim - 2) * t->elem;
  dst += r * lp_stride(t->dst, ndim - 2) * t->elem;
  for (int64_t d = ndim - 3; d >= 0; d--) {
    int64_t at = rest % lp_size(t->src, d);
    rest /= lp_size(t->src, d);
    src += at * lp_stride(t->src, d) * t->elem;
    dst += at * lp_stride(t->dst, d) * t->elem;
  }
  int64_t edge = r + t->diagonal + (t->upper ? 0 : 1); /* first kept (upper) or first dropped (lower) column */
  if (edge < 0) edge = 0;
  if (edge > t->cols) edge = t->cols;
  int64_t keep0 = t->upper ? edge : 0, keep1 = t->upper ? t->cols : edge;
  int64_t s_step = lp_stride(t->src, ndim - 1) * t->elem, d_step = lp_stride(t->dst, ndim - 1) * t->elem;
  clear(dst, d_step, t->elem, keep0);
  clear(dst + keep1 * d_step, d_step, t->elem, t->cols - keep1);
  if (t->in_place) return;
  lp_cast_loop(lp_dtype(t->src), lp_dtype(t->src))((char *[]){dst + keep0 * d_step, src + keep0 * s_step},
                                                   (int64_t[]){d_step, s_step}, keep1 - keep0, NULL);
}

static LpTensor *triangle(LpTensor *out, LpTensor *self, int64_t diagonal, bool upper) {
  int64_t ndim = lp_ndim(self);
  CHECK(ndim >= 2, LP_ERR_ARGUMENT, "self must have at least 2 dims, got shape %s", SHAPE_TEXT(self));
  LpTensor *fresh = out == self ? lp_tensor_retain(self) : lp_tensor_new(lp_sizes(self), lp_dtype(self), lp_device(self));
  if (!fresh) return NULL;
  Triangle t = {.upper = upper, .in_place = out == self, .rows = lp_size(self, ndim - 2), .cols = lp_size(self, ndim - 1),
                .elem = (int64_t)lp_dtype_size(lp_dtype(self)), .src = self, .dst = fresh};
  int64_t limit = t.rows + t.cols; /* beyond it nothing changes, and sums do not overflow */
  t.diagonal = diagonal > limit ? limit : diagonal < -limit ? -limit : diagonal;
  bool ok = lp_numel(self) == 0 || lp_run_tasks(lp_numel(self) / t.cols, t.cols, triangle_row, &t);
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
