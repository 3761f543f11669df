/* Copies of views, splits that are no views to autograd, and reshaping by PyTorch's old
 * names. Only op calls, so that derivatives follow. */
#include "core/alloc.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/ops.h"

LpTensor *lp_composite_row_major_copy(LpTensor *self) {
  return lp_clone(self, LP_CONTIGUOUS);
}

bool lp_composite_copy_each(LpTensors tensors, LpTensorVec *results) {
  TRY(lp_vec_new(results, tensors.count));
  for (int64_t i = 0; i < tensors.count; i++) {
    if ((results->data[i] = lp_clone(tensors.data[i], LP_CONTIGUOUS))) continue;
    lp_tensor_vec_free(results);
    return false;
  }
  return true;
}

bool lp_composite_unsafe_chunk(LpTensor *self, int64_t chunks, int64_t dim,
                               LpTensorVec *results) {
  CHECK(self->ndim > 0, LP_ERR_ARGUMENT, "expects at least a 1-dimensional tensor");
  CHECK(chunks > 0 && chunks < INT64_MAX / 16, LP_ERR_ARGUMENT,
        "chunks must be greater than 0, got %lld", (long long)chunks);
  TRY(lp_wrap_dim(dim, self->ndim, &dim));
  int64_t size = self->sizes[dim];
  if (size > 0) return lp_unsafe_split(self, (size - 1) / chunks + 1, dim, results);
  /* An empty dim still gives as many chunks as were asked for. */
  size_t bytes = (size_t)chunks * sizeof(int64_t);
  int64_t *zeros = lp_calloc(bytes);
  bool ok =
      zeros && lp_unsafe_split_with_sizes(self, lp_ints(zeros, chunks), dim, results);
  lp_free(zeros, bytes);
  return ok;
}

LpTensor *lp_composite_resize_elements(LpTensor *self, LpInts sizes) {
  int64_t numel;
  TRY(lp_numel_of(sizes, &numel));
  CHECK(numel == self->numel, LP_ERR_ARGUMENT,
        "requested resize to %s (%lld elements in total), but the given tensor has a "
        "shape of %s (%lld elements); resize can only change the shape, while preserving "
        "the number of elements",
        lp_format_ints(sizes, (char[256]){0}, 256), (long long)numel, SHAPE_TEXT(self),
        (long long)self->numel);
  return lp_reshape(self, sizes);
}
