/* Cutting a tensor into lists of views: split, chunk, unbind and their kin; meshgrid,
 * broadcast_tensors. */
#include <string.h>
#include "core/alloc.h"
#include "dispatch/iter.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/ops.h"

#define L(x) ((long long)(x))
#define MAX_PARTS ((int64_t)1 << 40) /* far beyond any memory; keeps sizes in bytes from overflowing */
#define INTS_TEXT(ints) lp_format_ints(ints, (char[256]){0}, 256)

bool lp_vec_new(LpTensorVec *vec, int64_t count) {
  vec->count = 0;
  vec->data = NULL;
  CHECK(count <= MAX_PARTS, LP_ERR_MEMORY, "a list of %lld tensors is too long", L(count));
  vec->data = lp_calloc((size_t)count * sizeof *vec->data);
  if (!vec->data) return false;
  vec->count = count;
  return true;
}

/* Sets entry i; on NULL frees the list and returns false. */
static bool put(LpTensorVec *vec, int64_t i, LpTensor *t) {
  vec->data[i] = t;
  if (t) return true;
  lp_tensor_vec_free(vec);
  return false;
}

static LpTensor *slice_alias(LpTensor *t, int64_t dim, int64_t start, int64_t length) {
  int64_t sizes[LP_MAX_DIMS];
  memcpy(sizes, t->sizes, (size_t)t->ndim * sizeof *sizes);
  sizes[dim] = length;
  return lp_tensor_alias(t, lp_ints(sizes, t->ndim), lp_strides(t),
                         t->offset_elems + start * t->strides[dim]);
}

/* --- split
 * ------------------------------------------------------------------------------------ */

bool lp_impl_split_with_sizes(LpTensor *self, LpInts split_sizes, int64_t dim,
                              LpTensorVec *results) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT, "expects at least a 1-dimensional tensor");
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  int64_t size = self->sizes[dim], sum = 0;
  for (int64_t i = 0; i < split_sizes.count; i++) {
    CHECK(
        split_sizes.data[i] >= 0 && split_sizes.data[i] <= size, LP_ERR_ARGUMENT,
        "split sizes must be non-negative and sum to %lld (the size of dim %lld), got %s",
        L(size), L(dim), INTS_TEXT(split_sizes));
    sum += split_sizes.data[i];
    if (sum > size) break;
  }
  CHECK(sum == size, LP_ERR_ARGUMENT,
        "split sizes must sum exactly to %lld (the size of dim %lld), got %s", L(size),
        L(dim), INTS_TEXT(split_sizes));
  TRY(lp_vec_new(results, split_sizes.count));
  for (int64_t i = 0, at = 0; i < split_sizes.count; at += split_sizes.data[i++])
    TRY(put(results, i, slice_alias(self, dim, at, split_sizes.data[i])));
  return true;
}

bool lp_impl_split(LpTensor *self, int64_t split_size, int64_t dim,
                   LpTensorVec *results) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT, "expects at least a 1-dimensional tensor");
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  int64_t size = self->sizes[dim];
  CHECK(split_size >= 0, LP_ERR_ARGUMENT, "split_size must not be negative, got %lld",
        L(split_size));
  CHECK(split_size > 0 || size == 0, LP_ERR_ARGUMENT,
        "split_size can only be 0 if the dim's size is 0, but dim %lld has size %lld",
        L(dim), L(size));
  int64_t count = split_size == 0 || size == 0 ? 1 : (size - 1) / split_size + 1;
  TRY(lp_vec_new(results, count));
  for (int64_t i = 0; i < count; i++) {
    int64_t at = i * split_size, rest = size - at;
    TRY(put(results, i,
            slice_alias(self, dim, at, rest < split_size ? rest : split_size)));
  }
  return true;
}

bool lp_composite_split_sizes(LpTensor *self, LpInts split_size, int64_t dim,
                              LpTensorVec *results) {
  return lp_split_with_sizes(self, split_size, dim, results);
}

bool lp_composite_chunk(LpTensor *self, int64_t chunks, int64_t dim,
                        LpTensorVec *results) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT, "expects at least a 1-dimensional tensor");
  CHECK(chunks > 0, LP_ERR_ARGUMENT, "chunks must be greater than 0, got %lld",
        L(chunks));
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  int64_t size = self->sizes[dim], each = size > 0 ? (size - 1) / chunks + 1 : 0;
  if (each > 0) return lp_split(self, each, dim, results);
  /* An empty dim still gives as many chunks as were asked for. */
  CHECK(chunks <= MAX_PARTS, LP_ERR_MEMORY, "a list of %lld tensors is too long", L(chunks));
  int64_t *zeros = lp_calloc((size_t)chunks * sizeof *zeros);
  if (!zeros) return false;
  bool ok = lp_split_with_sizes(self, lp_ints(zeros, chunks), dim, results);
  lp_free(zeros, (size_t)chunks * sizeof *zeros);
  return ok;
}

bool lp_composite_tensor_split(LpTensor *self, int64_t sections, int64_t dim,
                               LpTensorVec *results) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT,
        "expects at least a 1-dimensional tensor, but got one with %d dims", self->ndim);
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  CHECK(sections > 0, LP_ERR_ARGUMENT,
        "number of sections must be larger than 0, got %lld", L(sections));
  int64_t size = self->sizes[dim], each = size / sections, larger = size % sections;
  TRY(lp_vec_new(results, sections));
  for (int64_t i = 0, at = 0; i < sections; i++) {
    int64_t length = each + (i < larger);
    TRY(put(results, i,
            lp_slice(self, dim, (LpOptInt){true, at}, (LpOptInt){true, at + length}, 1)));
    at += length;
  }
  return true;
}

bool lp_composite_tensor_split_indices(LpTensor *self, LpInts indices, int64_t dim,
                                       LpTensorVec *results) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT,
        "expects at least a 1-dimensional tensor, but got one with %d dims", self->ndim);
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  TRY(lp_vec_new(results, indices.count + 1));
  LpOptInt start = {true, 0};
  for (int64_t i = 0; i <= indices.count; i++) {
    LpOptInt end = {i < indices.count, i < indices.count ? indices.data[i] : 0};
    TRY(put(results, i, lp_slice(self, dim, start, end, 1)));
    start = end;
  }
  return true;
}

bool lp_composite_tensor_split_tensor(LpTensor *self, LpTensor *indices, int64_t dim,
                                      LpTensorVec *results) {
  CHECK(indices->dtype == LP_INT64 && indices->ndim <= 1, LP_ERR_ARGUMENT,
        "tensor_indices_or_sections must be an int64 tensor of 0 or 1 dims, got %s of "
        "shape %s",
        lp_dtype_name((LpDtype)indices->dtype), SHAPE_TEXT(indices));
  CHECK(!indices->physical, LP_ERR_ARGUMENT,
        "vmap: tensor_indices_or_sections must be the same for all examples");
  LpTensor *dense = lp_contiguous_raw(indices);
  if (!dense) return false;
  const int64_t *values = lp_data(dense);
  bool ok = dense->ndim == 0
                ? lp_tensor_split(self, *values, dim, results)
                : lp_tensor_split_indices(self, lp_ints(values, dense->numel), dim, results);
  lp_tensor_release(dense);
  return ok;
}

/* The dim that hsplit, vsplit and dsplit cut. */
static bool named_dim(const LpTensor *self, const char *name, int64_t *dim) {
  int64_t least = name[0] == 'h' ? 1 : name[0] == 'v' ? 2 : 3;
  CHECK(self->ndim >= least, LP_ERR_ARGUMENT,
        "requires a tensor with at least %lld dims, but got one with %d dims", L(least),
        self->ndim);
  *dim = name[0] == 'h' ? (self->ndim > 1) : name[0] == 'v' ? 0 : 2;
  return true;
}

static bool split_named(LpTensor *self, int64_t sections, const char *name,
                        LpTensorVec *results) {
  int64_t dim;
  TRY(named_dim(self, name, &dim));
  CHECK(sections > 0 && self->sizes[dim] % sections == 0, LP_ERR_ARGUMENT,
        "attempted to split along dim %lld, but its size %lld is not divisible by the "
        "split_size %lld",
        L(dim), L(self->sizes[dim]), L(sections));
  return lp_tensor_split(self, sections, dim, results);
}

static bool split_named_indices(LpTensor *self, LpInts indices, const char *name,
                                LpTensorVec *results) {
  int64_t dim;
  TRY(named_dim(self, name, &dim));
  return lp_tensor_split_indices(self, indices, dim, results);
}

bool lp_composite_hsplit(LpTensor *self, int64_t sections, LpTensorVec *results) {
  return split_named(self, sections, "h", results);
}
bool lp_composite_vsplit(LpTensor *self, int64_t sections, LpTensorVec *results) {
  return split_named(self, sections, "v", results);
}
bool lp_composite_dsplit(LpTensor *self, int64_t sections, LpTensorVec *results) {
  return split_named(self, sections, "d", results);
}
bool lp_composite_hsplit_indices(LpTensor *self, LpInts indices, LpTensorVec *results) {
  return split_named_indices(self, indices, "h", results);
}
bool lp_composite_vsplit_indices(LpTensor *self, LpInts indices, LpTensorVec *results) {
  return split_named_indices(self, indices, "v", results);
}
bool lp_composite_dsplit_indices(LpTensor *self, LpInts indices, LpTensorVec *results) {
  return split_named_indices(self, indices, "d", results);
}

bool lp_impl_unbind(LpTensor *self, int64_t dim, LpTensorVec *results) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT, "a 0-d tensor cannot be unbound");
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], n = 0;
  for (int64_t i = 0; i < self->ndim; i++)
    if (i != dim) sizes[n] = self->sizes[i], strides[n++] = self->strides[i];
  TRY(lp_vec_new(results, self->sizes[dim]));
  for (int64_t i = 0; i < self->sizes[dim]; i++)
    TRY(put(results, i,
            lp_tensor_alias(self, lp_ints(sizes, n), lp_ints(strides, n),
                            self->offset_elems + i * self->strides[dim])));
  return true;
}

/* --- grids and broadcasting
 * ------------------------------------------------------------------- */

bool lp_composite_broadcast_tensors(LpTensors tensors, LpTensorVec *results) {
  int64_t shape[LP_MAX_DIMS], ndim = 0;
  LpInts *shapes = lp_alloc((size_t)(tensors.count + 1) * sizeof *shapes);
  if (!shapes) return false;
  for (int64_t i = 0; i < tensors.count; i++) shapes[i] = lp_sizes(tensors.data[i]);
  bool ok = lp_broadcast_shapes(shapes, (int)tensors.count, shape, &ndim);
  lp_free(shapes, (size_t)(tensors.count + 1) * sizeof *shapes);
  TRY(ok);
  TRY(lp_vec_new(results, tensors.count));
  for (int64_t i = 0; i < tensors.count; i++)
    TRY(put(results, i, lp_expand(tensors.data[i], lp_ints(shape, ndim))));
  return true;
}

/* One tensor of the grid: the vector along `at`, expanded over the others. */
static LpTensor *grid_axis(LpTensor *vector, int64_t at, LpInts shape, bool swap) {
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t i = 0; i < shape.count; i++) sizes[i] = i == at ? -1 : 1;
  LpTensor *line = lp_reshape(vector, lp_ints(sizes, shape.count));
  LpTensor *grid = line ? lp_expand(line, shape) : NULL;
  lp_tensor_release(line);
  if (!grid || !swap) return grid;
  LpTensor *swapped = lp_transpose(grid, 0, 1);
  lp_tensor_release(grid);
  return swapped;
}

bool lp_composite_meshgrid(LpTensors tensors, const char *indexing,
                           LpTensorVec *results) {
  CHECK(tensors.count > 0 && tensors.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "expects a non-empty list of tensors");
  bool xy = strcmp(indexing, "xy") == 0;
  CHECK(xy || strcmp(indexing, "ij") == 0, LP_ERR_ARGUMENT,
        "indexing must be one of \"xy\" or \"ij\", but received: \"%s\"", indexing);
  /* "xy" is the grid of the first two vectors swapped, with its first two dims swapped
   * back. */
  bool swap = xy && tensors.count >= 2;
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t i = 0; i < tensors.count; i++) {
    const LpTensor *t = tensors.data[i];
    CHECK(t->ndim <= 1, LP_ERR_ARGUMENT,
          "expects 0-d or 1-d tensors, but tensor %lld has shape %s", L(i),
          SHAPE_TEXT(t));
    CHECK(t->dtype == tensors.data[0]->dtype, LP_ERR_TYPE,
          "expects all tensors to have the same dtype, got %s and %s",
          lp_dtype_name((LpDtype)tensors.data[0]->dtype),
          lp_dtype_name((LpDtype)t->dtype));
    sizes[i] = t->numel;
  }
  TRY(lp_vec_new(results, tensors.count));
  for (int64_t i = 0; i < tensors.count; i++)
    TRY(put(results, i,
            grid_axis(tensors.data[i], i, lp_ints(sizes, tensors.count), swap)));
  return true;
}
