/* Fractional max pooling, max unpooling and its adjoint: checks and the split over
 * planes.
 */
#include <stdatomic.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/unpool.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct FractionalJob {
  LpFractionalShape s;
  int type, ndim;
  size_t elem_bytes;
  const char *x;
  const double *samples; /* (planes, ndim) */
  char *y;
  int64_t *index;
  int64_t in_plane, out_plane;
  atomic_bool out_of_memory;
} FractionalJob;

static void planes(void *ctx, int64_t begin, int64_t end) {
  FractionalJob *j = ctx;
  const LpFractionalShape *s = &j->s;
  int64_t longest = s->out[0] + s->out[1] + s->out[2];
  size_t bytes = (size_t)longest * sizeof(int64_t);
  int64_t *work = lp_calloc(bytes);
  if (!work) {
    atomic_store(&j->out_of_memory, true);
    return;
  }
  const int64_t *starts[3] = {work, work + s->out[0], work + s->out[0] + s->out[1]};
  for (int64_t p = begin; p < end && !lp_interrupt_pending(); p++) {
    /* The samples of an image are for its width, then its height; of a volume for depth,
     * height, width: PyTorch's orders. */
    for (int d = 3 - j->ndim; d < 3; d++) {
      int k = j->ndim == 2 ? 2 - d : d;
      lp_fractional_starts(j->type, s->in[d], s->out[d], s->kernel[d],
                           j->samples[p * j->ndim + k], work + (starts[d] - work));
    }
    lp_fractional_max[j->type](
        s, starts, j->x + (size_t)(p * j->in_plane) * j->elem_bytes,
        j->y + (size_t)(p * j->out_plane) * j->elem_bytes, j->index + p * j->out_plane);
  }
  lp_free(work, bytes);
}

bool lp_impl_fractional_max_pool(LpTensor *self, int64_t ndim, LpInts kernel_size,
                                 LpInts output_size, LpTensor *samples,
                                 LpTensor **results) {
  CHECK_FLOATING(self, "input");
  FractionalJob j = {.s = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, .ndim = (int)ndim};
  int64_t lead = lp_ndim(self) - ndim, sizes[LP_MAX_DIMS], batch = 1,
          channels = lp_size(self, lead - 1);
  int first = 3 - (int)ndim;
  TRY(nn_expand(kernel_size, (int)ndim, "kernel_size", j.s.kernel + first));
  TRY(nn_expand(output_size, (int)ndim, "output_size", j.s.out + first));
  for (int64_t d = 0; d < lead; d++) sizes[d] = lp_size(self, d);
  for (int d = first; d < 3; d++) {
    int64_t in = lp_size(self, lead + d - first), k = j.s.kernel[d], out = j.s.out[d];
    CHECK(k > 0, LP_ERR_ARGUMENT, "expected 'kernel_size' of at least 1, got %lld",
          (long long)k);
    CHECK(out >= 0, LP_ERR_ARGUMENT, "expected 'output_size' of at least 0, got %lld",
          (long long)out);
    /* PyTorch asks for room to move in volumes. */
    CHECK(out + k - 1 + (ndim == 3) <= in, LP_ERR_ARGUMENT,
          "%lld windows of %lld elements do not fit into a dim of input %s",
          (long long)out, (long long)k, SHAPE_TEXT(self));
    j.s.in[d] = in;
    sizes[lead + d - first] = out;
  }
  if (lead == 2) batch = lp_size(self, 0);
  CHECK(lp_dtype(samples) == lp_dtype(self), LP_ERR_TYPE,
        "expected '_random_samples' of the dtype of the input, %s, got %s",
        lp_dtype_name(lp_dtype(self)), lp_dtype_name(lp_dtype(samples)));
  CHECK(lp_ndim(samples) == 3 && lp_size(samples, 0) >= batch &&
            lp_size(samples, 1) == channels && lp_size(samples, 2) == ndim,
        LP_ERR_ARGUMENT, "expected '_random_samples' of shape [%lld, %lld, %lld], got %s",
        (long long)batch, (long long)channels, (long long)ndim, SHAPE_TEXT(samples));
  LpDtype dtype = lp_dtype(self);
  j.type = nn_float_index(dtype);
  j.elem_bytes = lp_dtype_size(dtype);
  j.in_plane = j.s.in[0] * j.s.in[1] * j.s.in[2];
  j.out_plane = j.s.out[0] * j.s.out[1] * j.s.out[2];
  LpInts wanted = lp_ints(sizes, lp_ndim(self));
  LpTensor *x = nn_dense(self, dtype), *u = nn_dense(samples, LP_FLOAT64),
           *y = lp_tensor_new(wanted, dtype, lp_device(self)),
           *index = lp_tensor_new(wanted, LP_INT64, lp_cpu());
  bool ok = x && u && y && index;
  if (ok && lp_numel(y)) {
    j.x = lp_data(x);
    j.samples = lp_data(u);
    j.y = lp_data(y);
    j.index = lp_data(index);
    int64_t volume = j.s.kernel[0] * j.s.kernel[1] * j.s.kernel[2] * j.out_plane;
    lp_parallel_for(batch * channels, LP_GRAIN / (volume + 1) + 1, planes, &j);
    if (atomic_load(&j.out_of_memory)) ok = lp_fail(LP_ERR_MEMORY, "out of memory");
  }
  lp_tensor_release(x);
  lp_tensor_release(u);
  if (!ok) {
    lp_drop(&y);
    lp_drop(&index);
  }
  results[0] = y;
  results[1] = index;
  return ok;
}

/* Between the planes of a smaller tensor, which has the indices, and those of a larger
 * one. `inner` planes are interleaved: 1 in row-major memory, else the channels. */
typedef struct PlaneJob {
  LpPlaneMove move;
  char *large, *small;
  const int64_t *index;
  size_t elem_bytes;
  int64_t large_plane, small_plane, inner, block, blocks;
} PlaneJob;

#define BLOCK 16 /* interleaved planes that go together where there are few images */

static void move_planes(void *ctx, int64_t begin, int64_t end) {
  const PlaneJob *j = ctx;
  const size_t e = j->elem_bytes;
  for (int64_t p = begin; p < end; p++) {
    const int64_t image = p / j->blocks, c = p % j->blocks * j->block,
                  left = j->inner - c, small = image * j->small_plane * j->inner + c,
                  large = image * j->large_plane * j->inner + c;
    j->move(j->large + (size_t)large * e, j->small + (size_t)small * e, j->index + small,
            j->small_plane, j->inner, left < j->block ? left : j->block);
  }
}

static void zero(void *ctx, int64_t begin, int64_t end) {
  memset((char *)ctx + begin, 0, (size_t)(end - begin));
}

static void run_planes(PlaneJob *j, const LpPlaneMove moves[4], LpTensor *small,
                       LpTensor *large, LpTensor *index, bool last) {
  j->large = nn_laid_data(large, last);
  j->small = nn_laid_data(small, last);
  j->index = nn_laid_data(index, last);
  j->elem_bytes = lp_dtype_size(lp_dtype(small));
  j->inner = last ? lp_size(small, 1) : 1;
  j->move = moves[__builtin_ctzll(j->elem_bytes)];
  const int64_t images = lp_numel(small) / j->small_plane / j->inner;
  j->block = images < 4 * lp_num_threads() ? BLOCK : j->inner;
  j->blocks = (j->inner + j->block - 1) / j->block;
  lp_parallel_for(images * j->blocks,
                  LP_GRAIN / 4 / (j->small_plane * j->inner / j->blocks + 1) + 1,
                  move_planes, j);
}

LpTensor *lp_impl_max_pool_gather(LpTensor *self, LpTensor *indices, int64_t ndim) {
  const LpDtype dtype = lp_dtype(self);
  const bool last = indices->ndim == ndim + 2 && nn_lies_last(indices);
  PlaneJob j = {.large_plane = 1, .small_plane = 1};
  for (int64_t d = self->ndim - ndim; d < self->ndim; d++) {
    j.large_plane *= self->sizes[d];
    j.small_plane *= indices->sizes[d];
  }
  LpTensor *x = nn_laid(self, dtype, last), *index = nn_laid(indices, LP_INT64, last);
  LpTensor *y = index ? nn_new_laid(index, lp_sizes(indices), dtype, last) : NULL;
  const bool ok = x && y && nn_check_indices(index, last, j.large_plane);
  if (ok && lp_numel(y)) run_planes(&j, lp_plane_gather, y, x, index, last);
  lp_tensor_release(x);
  lp_tensor_release(index);
  if (!ok) lp_drop(&y);
  return y;
}

LpTensor *lp_impl_max_unpool(LpTensor *self, LpTensor *indices, int64_t ndim,
                             LpInts output_size) {
  CHECK_FLOATING(self, "input");
  CHECK(lp_dtype(indices) == LP_INT64, LP_ERR_TYPE, "expected 'indices' of int64, got %s",
        lp_dtype_name(lp_dtype(indices)));
  bool same = lp_ndim(self) == lp_ndim(indices);
  for (int64_t d = 0; same && d < lp_ndim(self); d++)
    same = lp_size(self, d) == lp_size(indices, d);
  CHECK(same, LP_ERR_ARGUMENT, "expected 'indices' of the shape of the input, %s, got %s",
        SHAPE_TEXT(self), SHAPE_TEXT(indices));
  int64_t lead = lp_ndim(self) - ndim, sizes[LP_MAX_DIMS];
  PlaneJob j = {.large_plane = 1, .small_plane = 1};
  for (int64_t d = 0; d < lp_ndim(self); d++) {
    sizes[d] = d < lead ? lp_size(self, d) : output_size.data[d - lead];
    if (d < lead) continue;
    j.small_plane *= lp_size(self, d);
    j.large_plane *= sizes[d];
    CHECK(lp_size(self, d) > 0, LP_ERR_ARGUMENT,
          "expected an input with elements in every dim but the batch, got %s",
          SHAPE_TEXT(self));
    CHECK(sizes[d] >= 0, LP_ERR_ARGUMENT,
          "expected 'output_size' of at least 0, got %lld", (long long)sizes[d]);
  }
  const LpDtype dtype = lp_dtype(self);
  const bool last = lead == 2 && nn_lies_last(self);
  LpTensor *x = nn_laid(self, dtype, last), *index = nn_laid(indices, LP_INT64, last),
           *y = x ? nn_new_laid(x, lp_ints(sizes, lp_ndim(self)), dtype, last) : NULL;
  const bool ok = y && index && nn_check_indices(index, last, j.large_plane);
  if (ok) {
    lp_parallel_for(lp_numel(y) * (int64_t)lp_dtype_size(dtype), LP_GRAIN * 8, zero,
                    nn_laid_data(y, last));
    if (lp_numel(x)) run_planes(&j, lp_plane_scatter, x, y, index, last);
  }
  lp_tensor_release(x);
  lp_tensor_release(index);
  if (!ok) lp_drop(&y);
  return y;
}
