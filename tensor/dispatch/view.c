/* Views: other geometries over the same memory, and the internal ops that their gradients
 * need. The generator records the view for autograd; here only geometry is worked out and
 * checked. */
#include <string.h>
#include "dispatch/accumulate.h"
#include "dispatch/layout.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

#define L(x) ((long long)(x))
#define INTS_TEXT(ints) lp_format_ints(ints, (char[256]){0}, 256)

/* A geometry being worked out: room for one dim more than the input. */
typedef struct Geometry {
  int64_t ndim, offset;
  int64_t sizes[LP_MAX_DIMS + 1], strides[LP_MAX_DIMS + 1];
} Geometry;

static Geometry geometry_of(const LpTensor *t) {
  Geometry g = {.ndim = t->ndim, .offset = t->offset_elems};
  memcpy(g.sizes, t->sizes, (size_t)t->ndim * sizeof *t->sizes);
  memcpy(g.strides, t->strides, (size_t)t->ndim * sizeof *t->strides);
  return g;
}

static LpTensor *alias_with(LpTensor *t, const Geometry *g) {
  return lp_tensor_alias(t, lp_ints(g->sizes, g->ndim), lp_ints(g->strides, g->ndim),
                         g->offset);
}

static void remove_dim(Geometry *g, int64_t dim) {
  g->ndim--;
  for (int64_t i = dim; i < g->ndim; i++)
    g->sizes[i] = g->sizes[i + 1], g->strides[i] = g->strides[i + 1];
}

/* --- view and reshape
 * ------------------------------------------------------------------------- */

bool lp_infer_size(LpInts size, int64_t numel, int64_t *out) {
  CHECK(size.count >= 0 && size.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "a tensor has at most %d dims, got %lld", LP_MAX_DIMS, L(size.count));
  int64_t known = 1, unknown = -1;
  bool overflow = false;
  for (int64_t i = 0; i < size.count; i++) {
    out[i] = size.data[i];
    if (size.data[i] == -1) {
      CHECK(unknown < 0, LP_ERR_ARGUMENT,
            "only one dimension can be inferred, but shape %s has several -1",
            INTS_TEXT(size));
      unknown = i;
    } else {
      CHECK(size.data[i] >= 0, LP_ERR_ARGUMENT, "invalid shape dimension %lld in %s",
            L(size.data[i]), INTS_TEXT(size));
      overflow |= __builtin_mul_overflow(known, size.data[i], &known);
    }
  }
  if (unknown >= 0) {
    CHECK(known != 0, LP_ERR_ARGUMENT,
          "cannot reshape a tensor of %lld elements into shape %s because the "
          "unspecified dimension can be any value",
          L(numel), INTS_TEXT(size));
    CHECK(!overflow && numel % known == 0, LP_ERR_ARGUMENT,
          "shape '%s' is invalid for input of size %lld", INTS_TEXT(size), L(numel));
    out[unknown] = numel / known;
    return true;
  }
  CHECK(!overflow && known == numel, LP_ERR_ARGUMENT,
        "shape '%s' is invalid for input of size %lld", INTS_TEXT(size), L(numel));
  return true;
}

bool lp_view_strides(const LpTensor *t, LpInts sizes, int64_t *strides) {
  if (t->is_contiguous || t->numel <= 1) {
    lp_contiguous_strides(sizes, strides);
    return true;
  }
  /* Runs of old dims that lie in memory as one dim must be covered exactly by runs of new
   * dims. */
  int64_t at = sizes.count - 1;
  for (int64_t d = t->ndim - 1; d >= 0;) {
    int64_t run = t->sizes[d], step = t->strides[d];
    for (d--; d >= 0 && (t->sizes[d] == 1 || t->strides[d] == run * step || run == 1);
         d--) {
      if (run == 1) step = t->strides[d];
      run *= t->sizes[d];
    }
    int64_t covered = 1;
    while (at >= 0 && (covered < run || sizes.data[at] == 1)) {
      strides[at] = covered * step;
      covered *= sizes.data[at--];
    }
    if (covered != run) return false;
  }
  return at < 0;
}

LpTensor *lp_impl_view(LpTensor *self, LpInts size) {
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS];
  TRY(lp_infer_size(size, self->numel, sizes));
  LpInts inferred = lp_ints(sizes, size.count);
  CHECK(lp_view_strides(self, inferred, strides), LP_ERR_ARGUMENT,
        "size %s is not compatible with the input's size %s and stride %s: at least one "
        "dimension spans across two "
        "contiguous subspaces; use reshape() instead",
        INTS_TEXT(inferred), SHAPE_TEXT(self), INTS_TEXT(lp_strides(self)));
  return lp_tensor_alias(self, inferred, lp_ints(strides, size.count),
                         self->offset_elems);
}

/* The last dim grows or shrinks with the ratio of the element sizes. */
LpTensor *lp_impl_view_dtype(LpTensor *self, LpDtype dtype) {
  int64_t from = (int64_t)lp_dtype_size((LpDtype)self->dtype),
          to = (int64_t)lp_dtype_size(dtype);
  CHECK(to > 0, LP_ERR_TYPE, "dtype must be given");
  Geometry g = geometry_of(self);
  if (from != to) {
    CHECK(g.ndim > 0, LP_ERR_ARGUMENT,
          "self must not be 0-d to view %s as %s (different element sizes)",
          lp_dtype_name((LpDtype)self->dtype), lp_dtype_name(dtype));
    int64_t last = g.ndim - 1;
    CHECK(g.strides[last] == 1, LP_ERR_ARGUMENT,
          "self.stride(-1) must be 1 to view %s as %s (different element sizes), but got "
          "%lld",
          lp_dtype_name((LpDtype)self->dtype), lp_dtype_name(dtype), L(g.strides[last]));
    if (from > to) {
      int64_t ratio = from / to;
      for (int64_t i = 0; i < last; i++) g.strides[i] *= ratio;
      g.sizes[last] *= ratio;
      g.offset *= ratio;
    } else {
      int64_t ratio = to / from;
      CHECK(g.sizes[last] % ratio == 0 && g.offset % ratio == 0, LP_ERR_ARGUMENT,
            "self.size(-1) and self.storage_offset() must be divisible by %lld to view "
            "%s as %s, but got %lld and %lld",
            L(ratio), lp_dtype_name((LpDtype)self->dtype), lp_dtype_name(dtype),
            L(g.sizes[last]), L(g.offset));
      for (int64_t i = 0; i < last; i++) {
        CHECK(
            g.strides[i] % ratio == 0, LP_ERR_ARGUMENT,
            "self.stride(%lld) must be divisible by %lld to view %s as %s, but got %lld",
            L(i), L(ratio), lp_dtype_name((LpDtype)self->dtype), lp_dtype_name(dtype),
            L(g.strides[i]));
        g.strides[i] /= ratio;
      }
      g.sizes[last] /= ratio;
      g.offset /= ratio;
    }
  }
  return lp_tensor_wrap(self->storage, dtype, lp_ints(g.sizes, g.ndim),
                        lp_ints(g.strides, g.ndim), g.offset);
}

LpTensor *lp_impl_unsafe_view(LpTensor *self, LpInts size) {
  return lp_impl_view(self, size);
}

LpTensor *lp_composite_reshape(LpTensor *self, LpInts shape) {
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS];
  TRY(lp_infer_size(shape, self->numel, sizes));
  LpInts inferred = lp_ints(sizes, shape.count);
  if (lp_view_strides(self, inferred, strides)) return lp_view(self, inferred);
  LpTensor *copy = lp_clone(self, LP_CONTIGUOUS);
  if (!copy) return NULL;
  LpTensor *result = lp_unsafe_view(copy, inferred);
  lp_tensor_release(copy);
  return result;
}

LpTensor *lp_composite_flatten(LpTensor *self, int64_t start_dim, int64_t end_dim) {
  int64_t start, end, sizes[LP_MAX_DIMS], n = 0;
  TRY(lp_wrap_dim(start_dim, self->ndim, &start));
  TRY(lp_wrap_dim(end_dim, self->ndim, &end));
  CHECK(start <= end, LP_ERR_ARGUMENT,
        "start_dim must not come after end_dim, got %lld and %lld", L(start_dim),
        L(end_dim));
  if (self->ndim == 0) return lp_reshape(self, lp_ints((int64_t[]){1}, 1));
  if (start == end) return lp_tensor_retain(self);
  int64_t joined = 1;
  for (int64_t i = start; i <= end; i++) joined *= self->sizes[i];
  for (int64_t i = 0; i < start; i++) sizes[n++] = self->sizes[i];
  sizes[n++] = joined;
  for (int64_t i = end + 1; i < self->ndim; i++) sizes[n++] = self->sizes[i];
  return lp_reshape(self, lp_ints(sizes, n));
}

LpTensor *lp_composite_unflatten(LpTensor *self, int64_t dim, LpInts sizes) {
  int64_t inferred[LP_MAX_DIMS], shape[LP_MAX_DIMS], n = 0;
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT, "self must have at least one dim");
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  CHECK(sizes.count > 0, LP_ERR_ARGUMENT, "sizes must be non-empty");
  if (!lp_infer_size(sizes, self->sizes[dim], inferred))
    return lp_fail_prefix("sizes %s do not multiply up to the size of dim %lld (%lld) in "
                          "the input tensor: ",
                          INTS_TEXT(sizes), L(dim), L(self->sizes[dim])),
           NULL;
  CHECK(self->ndim - 1 + sizes.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "a tensor has at most %d dims", LP_MAX_DIMS);
  for (int64_t i = 0; i < dim; i++) shape[n++] = self->sizes[i];
  for (int64_t i = 0; i < sizes.count; i++) shape[n++] = inferred[i];
  for (int64_t i = dim + 1; i < self->ndim; i++) shape[n++] = self->sizes[i];
  return lp_view(self, lp_ints(shape, n));
}

LpTensor *lp_composite_view_as(LpTensor *self, LpTensor *other) {
  return lp_view(self, lp_sizes(other));
}
LpTensor *lp_composite_reshape_as(LpTensor *self, LpTensor *other) {
  return lp_reshape(self, lp_sizes(other));
}

/* --- aliases
 * ---------------------------------------------------------------------------------- */

LpTensor *lp_impl_alias(LpTensor *self) {
  return lp_tensor_shallow(self);
}
LpTensor *lp_impl_detach(LpTensor *self) {
  return lp_tensor_shallow(self);
}

/* --- order of dims
 * ---------------------------------------------------------------------------- */

/* dims as a permutation of [0, ndim); false with the error recorded. */
static bool check_permutation(const LpTensor *self, LpInts dims, int64_t *perm) {
  CHECK(dims.count == self->ndim, LP_ERR_ARGUMENT,
        "the number of dims in the desired ordering (%lld: %s) must be that of the "
        "tensor (%d: shape %s)",
        L(dims.count), INTS_TEXT(dims), self->ndim, SHAPE_TEXT(self));
  uint64_t seen = 0;
  for (int64_t i = 0; i < dims.count; i++) {
    TRY(lp_wrap_dim(dims.data[i], self->ndim, &perm[i]));
    CHECK(!(seen >> perm[i] & 1), LP_ERR_ARGUMENT,
          "duplicate dims are not allowed, got %s", INTS_TEXT(dims));
    seen |= (uint64_t)1 << perm[i];
  }
  return true;
}

LpTensor *lp_impl_permute(LpTensor *self, LpInts dims) {
  int64_t perm[LP_MAX_DIMS];
  TRY(check_permutation(self, dims, perm));
  Geometry g = {.ndim = self->ndim, .offset = self->offset_elems};
  for (int64_t i = 0; i < g.ndim; i++)
    g.sizes[i] = self->sizes[perm[i]], g.strides[i] = self->strides[perm[i]];
  return alias_with(self, &g);
}

LpTensor *lp_composite_permute_backward(LpTensor *grad, LpInts dims) {
  int64_t perm[LP_MAX_DIMS], inverse[LP_MAX_DIMS];
  TRY(check_permutation(grad, dims, perm));
  for (int64_t i = 0; i < dims.count; i++) inverse[perm[i]] = i;
  return lp_permute(grad, lp_ints(inverse, dims.count));
}

LpTensor *lp_impl_transpose(LpTensor *self, int64_t dim0, int64_t dim1) {
  TRY(lp_wrap_dim(dim0, self->ndim, &dim0));
  TRY(lp_wrap_dim(dim1, self->ndim, &dim1));
  Geometry g = geometry_of(self);
  if (g.ndim > 0) {
    g.sizes[dim0] = self->sizes[dim1], g.sizes[dim1] = self->sizes[dim0];
    g.strides[dim0] = self->strides[dim1], g.strides[dim1] = self->strides[dim0];
  }
  return alias_with(self, &g);
}

LpTensor *lp_impl_t(LpTensor *self) {
  CHECK(self->ndim <= 2, LP_ERR_ARGUMENT,
        "expects a tensor with <= 2 dims, but self is %d-d (shape %s); use transpose()",
        self->ndim, SHAPE_TEXT(self));
  return lp_impl_transpose(self, 0, self->ndim == 2 ? 1 : 0);
}

LpTensor *lp_composite_movedim(LpTensor *self, LpInts source, LpInts destination) {
  CHECK(source.count == destination.count, LP_ERR_ARGUMENT,
        "source and destination must have as many dims, got %s and %s", INTS_TEXT(source),
        INTS_TEXT(destination));
  int64_t perm[LP_MAX_DIMS], from, to;
  uint64_t sources = 0, targets = 0;
  CHECK(source.count <= self->ndim || self->ndim == 0, LP_ERR_ARGUMENT,
        "too many dims: %s for shape %s", INTS_TEXT(source), SHAPE_TEXT(self));
  for (int64_t i = 0; i < source.count; i++) {
    TRY(lp_wrap_dim(source.data[i], self->ndim, &from));
    TRY(lp_wrap_dim(destination.data[i], self->ndim, &to));
    CHECK(!(sources >> from & 1) && !(targets >> to & 1), LP_ERR_ARGUMENT,
          "repeated dims in source %s or destination %s", INTS_TEXT(source),
          INTS_TEXT(destination));
    sources |= (uint64_t)1 << from;
    targets |= (uint64_t)1 << to;
    perm[to] = from;
  }
  if (self->ndim == 0) return lp_alias(self);
  for (int64_t i = 0, next = 0; i < self->ndim; i++) {
    if (targets >> i & 1) continue;
    while (sources >> next & 1) next++;
    perm[i] = next++;
  }
  return lp_permute(self, lp_ints(perm, self->ndim));
}

LpTensor *lp_composite_movedim_int(LpTensor *self, int64_t source, int64_t destination) {
  return lp_composite_movedim(self, lp_ints(&source, 1), lp_ints(&destination, 1));
}

/* --- parts
 * ------------------------------------------------------------------------------------ */

/* index in [-size, size) of the dim, wrapped. */
static bool wrap_index(const LpTensor *self, int64_t dim, int64_t *index) {
  int64_t size = self->sizes[dim];
  CHECK(*index >= -size && *index < size, LP_ERR_INDEX,
        "index %lld is out of range for dim %lld of size %lld (shape %s)", L(*index),
        L(dim), L(size), SHAPE_TEXT(self));
  if (*index < 0) *index += size;
  return true;
}

LpTensor *lp_impl_select(LpTensor *self, int64_t dim, int64_t index) {
  CHECK(self->ndim > 0, LP_ERR_INDEX,
        "a 0-d tensor cannot be indexed; use item() for its value");
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  TRY(wrap_index(self, dim, &index));
  Geometry g = geometry_of(self);
  g.offset += index * g.strides[dim];
  remove_dim(&g, dim);
  return alias_with(self, &g);
}

/* The stride of a dim walked in steps; a step too long to be counted in bytes is never taken. */
static int64_t stepped(int64_t stride, int64_t step) {
  int64_t result, bytes;
  const bool too_long = __builtin_mul_overflow(stride, step, &result) ||
                        __builtin_mul_overflow(result, (int64_t)sizeof(double[2]), &bytes);
  return too_long ? stride : result;
}

LpTensor *lp_impl_slice(LpTensor *self, int64_t dim, LpOptInt start, LpOptInt end,
                        int64_t step) {
  CHECK(self->ndim > 0, LP_ERR_INDEX, "a 0-d tensor cannot be sliced");
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  CHECK(step > 0, LP_ERR_ARGUMENT,
        "slice step must be positive, got %lld; use flip() to reverse", L(step));
  int64_t size = self->sizes[dim], from = start.has ? start.value : 0,
          to = end.has ? end.value : size;
  if (from < 0) from += size;
  if (to < 0) to += size;
  from = from < 0 ? 0 : from > size ? size : from;
  to = to < from ? from : to > size ? size : to;
  Geometry g = geometry_of(self);
  g.offset += from * g.strides[dim];
  g.sizes[dim] = to > from ? (to - from - 1) / step + 1 : 0;
  g.strides[dim] = stepped(g.strides[dim], step);
  return alias_with(self, &g);
}

LpTensor *lp_composite_narrow(LpTensor *self, int64_t dim, int64_t start,
                              int64_t length) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT, "a 0-d tensor cannot be narrowed");
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  int64_t size = self->sizes[dim];
  CHECK(length >= 0, LP_ERR_ARGUMENT, "length must not be negative, got %lld", L(length));
  CHECK(start >= -size && start <= size, LP_ERR_INDEX,
        "start is out of range (expected to be in [%lld, %lld], but got %lld)", L(-size),
        L(size), L(start));
  if (start < 0) start += size;
  CHECK(length <= size - start, LP_ERR_ARGUMENT,
        "start (%lld) + length (%lld) exceeds the size (%lld) of dim %lld", L(start),
        L(length), L(size), L(dim));
  return lp_slice(self, dim, (LpOptInt){true, start}, (LpOptInt){true, start + length},
                  1);
}

LpTensor *lp_impl_diagonal(LpTensor *self, int64_t offset, int64_t dim1, int64_t dim2) {
  CHECK(self->ndim >= 2, LP_ERR_ARGUMENT,
        "needs a tensor with at least 2 dims, got shape %s", SHAPE_TEXT(self));
  TRY(lp_wrap_dim(dim1, self->ndim, &dim1));
  TRY(lp_wrap_dim(dim2, self->ndim, &dim2));
  CHECK(dim1 != dim2, LP_ERR_ARGUMENT, "dim1 and dim2 cannot be the same, got %lld twice",
        L(dim1));
  Geometry g = geometry_of(self);
  int64_t rows = g.sizes[dim1] + (offset < 0 ? offset : 0),
          columns = g.sizes[dim2] - (offset > 0 ? offset : 0);
  int64_t length = rows < columns ? rows : columns,
          stride = (int64_t)((uint64_t)g.strides[dim1] + (uint64_t)g.strides[dim2]);
  if (length < 0) length = 0;
  if (length > 0 && self->numel > 0)
    g.offset += offset >= 0 ? offset * g.strides[dim2] : -offset * g.strides[dim1];
  remove_dim(&g, dim1 > dim2 ? dim1 : dim2);
  remove_dim(&g, dim1 > dim2 ? dim2 : dim1);
  g.sizes[g.ndim] = length;
  g.strides[g.ndim++] = stride;
  return alias_with(self, &g);
}

LpTensor *lp_impl_unfold(LpTensor *self, int64_t dimension, int64_t size, int64_t step) {
  TRY(lp_wrap_dim(dimension, self->ndim, &dimension));
  Geometry g = geometry_of(self);
  if (g.ndim == 0) {
    g.ndim = 1;
    g.sizes[0] = g.strides[0] = 1;
  }
  CHECK(size >= 0 && size <= g.sizes[dimension], LP_ERR_ARGUMENT,
        "size must be in [0, %lld], the size of dim %lld, got %lld",
        L(g.sizes[dimension]), L(dimension), L(size));
  CHECK(step > 0, LP_ERR_ARGUMENT, "step must be positive, got %lld", L(step));
  if (self->ndim == 0) g.ndim = 0, dimension = -1; /* the one element is the window */
  CHECK(g.ndim < LP_MAX_DIMS, LP_ERR_ARGUMENT, "a tensor has at most %d dims",
        LP_MAX_DIMS);
  g.sizes[g.ndim] = size;
  g.strides[g.ndim] = dimension >= 0 ? g.strides[dimension] : 1;
  if (dimension >= 0) {
    g.sizes[dimension] = (g.sizes[dimension] - size) / step + 1;
    g.strides[dimension] = stepped(g.strides[dimension], step);
  }
  g.ndim++;
  int64_t numel;
  TRY(lp_numel_of(lp_ints(g.sizes, g.ndim), &numel));
  return alias_with(self, &g);
}

/* --- size-1 dims
 * ------------------------------------------------------------------------------ */

static LpTensor *squeeze_where(LpTensor *self, uint64_t mask) {
  Geometry g = {.ndim = 0, .offset = self->offset_elems};
  for (int64_t i = 0; i < self->ndim; i++) {
    if ((mask >> i & 1) && self->sizes[i] == 1) continue;
    g.sizes[g.ndim] = self->sizes[i];
    g.strides[g.ndim++] = self->strides[i];
  }
  return alias_with(self, &g);
}

LpTensor *lp_impl_squeeze(LpTensor *self) {
  return squeeze_where(self, ~(uint64_t)0);
}

LpTensor *lp_impl_squeeze_dim(LpTensor *self, int64_t dim) {
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  return squeeze_where(self, (uint64_t)1 << dim);
}

LpTensor *lp_impl_squeeze_dims(LpTensor *self, LpInts dim) {
  uint64_t mask = 0;
  for (int64_t i = 0; i < dim.count; i++) {
    int64_t d;
    TRY(lp_wrap_dim(dim.data[i], self->ndim, &d));
    CHECK(!(mask >> d & 1), LP_ERR_ARGUMENT, "dim %lld appears multiple times in %s",
          L(d), INTS_TEXT(dim));
    mask |= (uint64_t)1 << d;
  }
  return squeeze_where(self, mask);
}

LpTensor *lp_impl_unsqueeze(LpTensor *self, int64_t dim) {
  TRY(lp_wrap_dim(dim, self->ndim + 1, &dim));
  CHECK(self->ndim < LP_MAX_DIMS, LP_ERR_ARGUMENT, "a tensor has at most %d dims",
        LP_MAX_DIMS);
  Geometry g = geometry_of(self);
  for (int64_t i = g.ndim++; i > dim; i--)
    g.sizes[i] = g.sizes[i - 1], g.strides[i] = g.strides[i - 1];
  g.strides[dim] = dim < self->ndim ? self->sizes[dim] * self->strides[dim] : 1;
  g.sizes[dim] = 1;
  return alias_with(self, &g);
}

/* --- in place
 * ---------------------------------------------------------------------------------- */

/* Gives out the geometry of `view` (taken over, may be NULL). The gradient of a view is
 * written back through its geometry, so that one may not change. */
static LpTensor *take_geometry(LpTensor *out, LpTensor *view) {
  if (!view) return NULL;
  bool ok = !(lp_is_view(out) && lp_requires_grad(out)) ||
            lp_fail(LP_ERR_AUTOGRAD, "self is a view that needs a gradient: its shape "
                                     "cannot change in place; use the form "
                                     "without the underscore");
  ok = ok &&
       lp_tensor_set_geometry(out, lp_sizes(view), lp_strides(view), view->offset_elems);
  lp_tensor_release(view);
  return ok ? lp_tensor_retain(out) : NULL;
}

LpTensor *lp_impl_unsqueeze_inplace(LpTensor *out, LpTensor *self, int64_t dim) {
  return take_geometry(out, lp_impl_unsqueeze(self, dim));
}
LpTensor *lp_impl_squeeze_inplace(LpTensor *out, LpTensor *self) {
  return take_geometry(out, lp_impl_squeeze(self));
}
LpTensor *lp_impl_squeeze_dim_inplace(LpTensor *out, LpTensor *self, int64_t dim) {
  return take_geometry(out, lp_impl_squeeze_dim(self, dim));
}
LpTensor *lp_impl_squeeze_dims_inplace(LpTensor *out, LpTensor *self, LpInts dim) {
  return take_geometry(out, lp_impl_squeeze_dims(self, dim));
}
LpTensor *lp_impl_transpose_inplace(LpTensor *out, LpTensor *self, int64_t dim0,
                                    int64_t dim1) {
  return take_geometry(out, lp_impl_transpose(self, dim0, dim1));
}
LpTensor *lp_impl_t_inplace(LpTensor *out, LpTensor *self) {
  return take_geometry(out, lp_impl_t(self));
}
LpTensor *lp_impl_as_strided_inplace(LpTensor *out, LpTensor *self, LpInts size,
                                     LpInts stride, LpOptInt storage_offset) {
  return take_geometry(out, lp_impl_as_strided(self, size, stride, storage_offset));
}

/* --- broadcasting
 * ----------------------------------------------------------------------------- */

LpTensor *lp_impl_expand(LpTensor *self, LpInts size) {
  CHECK(size.count >= self->ndim && size.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "the number of sizes provided (%lld: %s) must be greater or equal to the number "
        "of dims in the tensor (%d: shape %s)",
        L(size.count), INTS_TEXT(size), self->ndim, SHAPE_TEXT(self));
  Geometry g = {.ndim = size.count, .offset = self->offset_elems};
  int64_t lead = size.count - self->ndim;
  for (int64_t i = 0; i < size.count; i++) {
    int64_t want = size.data[i], have = i < lead ? 1 : self->sizes[i - lead];
    if (want == -1 && i >= lead) want = have;
    CHECK(want >= 0, LP_ERR_ARGUMENT,
          "the expanded size (%lld) is not allowed in %s dim %lld", L(want),
          i < lead ? "the leading, non-existing" : "the existing", L(i));
    CHECK(want == have || have == 1, LP_ERR_ARGUMENT,
          "the expanded size of the tensor (%lld) must match the existing size (%lld) at "
          "non-singleton dimension %lld; "
          "target sizes: %s, tensor sizes: %s",
          L(want), L(have), L(i), INTS_TEXT(size), SHAPE_TEXT(self));
    g.sizes[i] = want;
    g.strides[i] = i < lead || want != have ? 0 : self->strides[i - lead];
  }
  /* Nothing is allocated here that would refuse a size beyond counting. */
  int64_t numel;
  TRY(lp_numel_of(lp_ints(g.sizes, g.ndim), &numel));
  for (int64_t i = self->ndim ? lead - 1 : -1; i >= 0; i--)
    if (g.sizes[i] == 1)
      g.strides[i] = i + 1 < g.ndim ? stepped(g.strides[i + 1], g.sizes[i + 1]) : 1;
  return alias_with(self, &g);
}

LpTensor *lp_expand_alias(LpTensor *t, LpInts sizes) {
  return lp_impl_expand(t, sizes);
}

LpTensor *lp_composite_expand_as(LpTensor *self, LpTensor *other) {
  return lp_expand(self, lp_sizes(other));
}

/* --- explicit geometry
 * ------------------------------------------------------------------------ */

LpTensor *lp_impl_as_strided(LpTensor *self, LpInts size, LpInts stride,
                             LpOptInt storage_offset) {
  int64_t extent, offset = storage_offset.has ? storage_offset.value : self->offset_elems;
  TRY(lp_extent_of(size, stride, &extent));
  CHECK(offset >= 0, LP_ERR_ARGUMENT, "storage_offset must not be negative, got %lld",
        L(offset));
  int64_t room =
      (int64_t)(self->storage->size_bytes / lp_dtype_size((LpDtype)self->dtype));
  CHECK(extent == 0 || (offset <= room && extent <= room - offset), LP_ERR_ARGUMENT,
        "sizes %s and strides %s reach %lld elements from storage offset %lld, out of "
        "bounds for a storage of %lld",
        INTS_TEXT(size), INTS_TEXT(stride), L(extent), L(offset), L(room));
  return lp_tensor_alias(self, size, stride, offset);
}

/* --- complex
 * ---------------------------------------------------------------------------------- */

LpTensor *lp_impl_view_as_real(LpTensor *self) {
  CHECK(lp_dtype_is_complex((LpDtype)self->dtype), LP_ERR_TYPE,
        "self must be complex, got %s", lp_dtype_name((LpDtype)self->dtype));
  CHECK(self->ndim < LP_MAX_DIMS, LP_ERR_ARGUMENT, "a tensor has at most %d dims",
        LP_MAX_DIMS);
  Geometry g = geometry_of(self);
  /* An empty tensor's strides may be of any size. */
  for (int64_t i = 0; i < g.ndim; i++) g.strides[i] = (int64_t)(2 * (uint64_t)g.strides[i]);
  g.sizes[g.ndim] = 2;
  g.strides[g.ndim++] = 1;
  return lp_tensor_wrap(self->storage, lp_dtype_to_real((LpDtype)self->dtype),
                        lp_ints(g.sizes, g.ndim), lp_ints(g.strides, g.ndim),
                        g.offset * 2);
}

LpTensor *lp_impl_view_as_complex(LpTensor *self) {
  CHECK(self->dtype == LP_FLOAT32 || self->dtype == LP_FLOAT64, LP_ERR_TYPE,
        "self must be float32 or float64, got %s", lp_dtype_name((LpDtype)self->dtype));
  CHECK(self->ndim > 0 && self->sizes[self->ndim - 1] == 2, LP_ERR_ARGUMENT,
        "self must have a last dimension of size 2, got shape %s", SHAPE_TEXT(self));
  Geometry g = geometry_of(self);
  g.ndim--;
  CHECK(g.strides[g.ndim] == 1, LP_ERR_ARGUMENT,
        "self must have a last dimension with stride 1; call contiguous() first");
  for (int64_t i = 0; i < g.ndim; i++) {
    CHECK(g.strides[i] % 2 == 0, LP_ERR_ARGUMENT,
          "self must have a stride divisible by 2 for all but the last dimension");
    g.strides[i] /= 2;
  }
  CHECK(g.offset % 2 == 0, LP_ERR_ARGUMENT,
        "self must have a storage_offset divisible by 2");
  return lp_tensor_wrap(self->storage, lp_dtype_to_complex((LpDtype)self->dtype),
                        lp_ints(g.sizes, g.ndim), lp_ints(g.strides, g.ndim),
                        g.offset / 2);
}

static LpTensor *complex_part(LpTensor *self, int64_t part) {
  LpTensor *pairs = lp_view_as_real(self);
  if (!pairs) return NULL;
  LpTensor *result = lp_select(pairs, -1, part);
  lp_tensor_release(pairs);
  return result;
}

LpTensor *lp_composite_real(LpTensor *self) {
  if (!lp_dtype_is_complex((LpDtype)self->dtype)) return lp_tensor_retain(self);
  return complex_part(self, 0);
}

LpTensor *lp_composite_imag(LpTensor *self) {
  CHECK(lp_dtype_is_complex((LpDtype)self->dtype), LP_ERR_TYPE,
        "is only defined for complex tensors, got %s",
        lp_dtype_name((LpDtype)self->dtype));
  return complex_part(self, 1);
}

/* --- gradients of views
 * ------------------------------------------------------------------------ */

/* Zeros of the shape, with grad written to the part that `take` cuts out. Takes part
 * over. */
static LpTensor *write_part(LpTensor *whole, LpTensor *part, LpTensor *grad) {
  if (!part || !lp_copy_into(part, grad)) {
    lp_tensor_release(part);
    lp_tensor_release(whole);
    return NULL;
  }
  lp_tensor_release(part);
  return whole;
}

/* They lie as the part's gradient does. */
static LpTensor *zeros_for(LpTensor *grad, LpInts sizes) {
  const LpDtype dtype = (LpDtype)grad->dtype;
  if (sizes.count != grad->ndim || !lp_is_hidden_view(grad))
    return lp_new_zeros_raw(sizes, dtype, grad->storage->device);
  LpTensor *t = lp_tensor_new_hidden(sizes, dtype);
  if (t && !lp_fill_into(t, lp_scalar_int(0))) lp_drop(&t);
  return t;
}

LpTensor *lp_impl_select_backward(LpTensor *grad, LpInts sizes, int64_t dim,
                                  int64_t index) {
  LpTensor *whole = zeros_for(grad, sizes);
  return whole ? write_part(whole, lp_impl_select(whole, dim, index), grad) : NULL;
}

LpTensor *lp_impl_slice_backward(LpTensor *grad, LpInts sizes, int64_t dim,
                                 LpOptInt start, LpOptInt end, int64_t step) {
  LpTensor *whole = zeros_for(grad, sizes);
  return whole ? write_part(whole, lp_impl_slice(whole, dim, start, end, step), grad)
               : NULL;
}

LpTensor *lp_impl_diagonal_backward(LpTensor *grad, LpInts sizes, int64_t offset,
                                    int64_t dim1, int64_t dim2) {
  LpTensor *whole = zeros_for(grad, sizes);
  return whole ? write_part(whole, lp_impl_diagonal(whole, offset, dim1, dim2), grad)
               : NULL;
}

/* Neighbouring windows may overlap; every `apart`-th one does not, and those are added in
 * one go. */
LpTensor *lp_impl_unfold_backward(LpTensor *grad, LpInts sizes, int64_t dimension,
                                  int64_t size, int64_t step) {
  if (sizes.count == 0) return lp_impl_view(grad, sizes);
  LpTensor *whole = zeros_for(grad, sizes);
  if (!whole) return NULL;
  if (!lp_wrap_dim(dimension, sizes.count, &dimension)) goto fail;
  int64_t windows = grad->sizes[dimension], apart = size / step + (size % step != 0);
  if (size == 0) windows = 0;
  for (int64_t k = 0; k < apart && k < windows; k++) {
    LpTensor *from = lp_impl_slice(grad, dimension, (LpOptInt){true, k},
                                   (LpOptInt){true, windows}, apart);
    LpTensor *to = NULL;
    if (from) {
      int64_t strides[LP_MAX_DIMS], along = whole->strides[dimension];
      memcpy(strides, whole->strides, sizeof *strides * (size_t)whole->ndim);
      strides[dimension] = from->sizes[dimension] > 1 ? along * step * apart : along;
      strides[from->ndim - 1] = along;
      to = lp_tensor_alias(whole, lp_sizes(from), lp_ints(strides, from->ndim),
                           whole->offset_elems + k * step * along);
    }
    bool ok = to && lp_add_into(to, from);
    lp_tensor_release(from);
    lp_tensor_release(to);
    if (!ok) goto fail;
  }
  return whole;
fail:
  lp_tensor_release(whole);
  return NULL;
}

/* A geometry over some memory. */
typedef struct Window {
  LpInts sizes, strides;
  int64_t offset;
} Window;

/* Zeros covering everything that two windows on one storage reach; their offsets become
 * relative to it. */
static LpTensor *cover(LpTensor *grad, Window *a, Window *b) {
  int64_t extent_a, extent_b;
  TRY(lp_extent_of(a->sizes, a->strides, &extent_a));
  TRY(lp_extent_of(b->sizes, b->strides, &extent_b));
  int64_t begin = a->offset < b->offset ? a->offset : b->offset;
  int64_t end_a = a->offset + extent_a, end_b = b->offset + extent_b,
          end = end_a > end_b ? end_a : end_b;
  a->offset -= begin;
  b->offset -= begin;
  return lp_new_zeros_raw(lp_ints((int64_t[]){end - begin}, 1), (LpDtype)grad->dtype,
                          grad->storage->device);
}

/* base seen through the window += from; places may repeat. */
static bool add_through(LpTensor *base, const Window *w, LpTensor *from) {
  LpTensor *view = lp_tensor_alias(base, w->sizes, w->strides, w->offset);
  bool ok = view && lp_add_into(view, from);
  lp_tensor_release(view);
  return ok;
}

/* Divides base by how often the window reads each of its places, when it may read one
 * several times. */
static bool share_overlaps(LpTensor *base, const Window *w) {
  LpTensor *view = lp_tensor_alias(base, w->sizes, w->strides, w->offset);
  if (!view) return false;
  bool dense = lp_is_dense(view) || view->numel <= 1;
  lp_tensor_release(view);
  if (dense) return true;
  LpDtype dtype = (LpDtype)base->dtype;
  LpTensor *counts = lp_new_zeros_raw(lp_sizes(base), dtype, base->storage->device);
  LpTensor *one = lp_tensor_from_scalar(lp_scalar_float(1), dtype);
  LpTensor *ones = one ? lp_expand_alias(one, w->sizes) : NULL;
  bool ok =
      counts && ones && add_through(counts, w, ones) && lp_divide_by_counts(base, counts);
  lp_tensor_release(counts);
  lp_tensor_release(one);
  lp_tensor_release(ones);
  return ok;
}

/* A copy of what the window shows of base. */
static LpTensor *read_through(LpTensor *base, const Window *w) {
  LpTensor *view = lp_tensor_alias(base, w->sizes, w->strides, w->offset);
  LpTensor *result =
      view ? lp_tensor_new(w->sizes, (LpDtype)base->dtype, base->storage->device) : NULL;
  bool ok = result && lp_copy_into(result, view);
  lp_tensor_release(view);
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}

/* Written through `to`, shared among the readers of self's window, read through `from`.
 */
static LpTensor *pass_through(LpTensor *values, Window *to, Window *from,
                              const Window *self) {
  LpTensor *base = cover(values, to, from), *result = NULL;
  if (base && add_through(base, to, values) && share_overlaps(base, self))
    result = read_through(base, from);
  lp_tensor_release(base);
  return result;
}

/* The gradient of a read of self's memory through (size, stride, offset), as seen through
 * self's own geometry. Where self reads a place several times, each reader gets an equal
 * share, as in PyTorch. */
LpTensor *lp_impl_as_strided_backward(LpTensor *grad, LpInts self_size,
                                      LpInts self_stride, int64_t self_offset,
                                      LpInts size, LpInts stride,
                                      LpOptInt storage_offset) {
  Window self = {self_size, self_stride, self_offset};
  Window view = {size, stride, storage_offset.has ? storage_offset.value : self_offset};
  return pass_through(grad, &view, &self, &self);
}

/* The adjoint of the above: values in self's geometry, read through (size, stride,
 * offset). */
LpTensor *lp_impl_as_strided_gather(LpTensor *values, LpInts self_size,
                                    LpInts self_stride, int64_t self_offset, LpInts size,
                                    LpInts stride, LpOptInt storage_offset) {
  Window self = {self_size, self_stride, self_offset};
  Window view = {size, stride, storage_offset.has ? storage_offset.value : self_offset};
  return pass_through(values, &self, &view, &self);
}
