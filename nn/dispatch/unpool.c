/* Fractional max pooling and max unpooling: checks and the split over planes. */
#include <stdatomic.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/unpool.h"
#include "dispatch/layout.h"
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

/* Planes of `inner` neighbouring channels: 1 in row-major memory. */
typedef struct UnpoolJob {
  const char *x;
  const int64_t *index;
  char *y;
  size_t elem_bytes;
  int64_t in_plane, out_plane, inner, blocks;
} UnpoolJob;

#define BLOCK 16 /* channels whose scatters go together */

static void scatter_planes(void *ctx, int64_t begin, int64_t end) {
  UnpoolJob *j = ctx;
  const size_t e = j->elem_bytes;
  for (int64_t p = begin; p < end; p++) {
    const int64_t image = p / j->blocks, c0 = p % j->blocks * BLOCK, left = j->inner - c0,
                  m = left < BLOCK ? left : BLOCK,
                  in = image * j->in_plane * j->inner + c0;
    char *y = j->y + (size_t)(image * j->out_plane * j->inner + c0) * e;
    for (int64_t i = 0; i < j->in_plane; i++)
      for (int64_t c = 0; c < m; c++) {
        const int64_t from = in + i * j->inner + c;
        memcpy(y + (size_t)(j->index[from] * j->inner + c) * e, j->x + (size_t)from * e,
               e);
      }
  }
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
  UnpoolJob j = {.in_plane = 1, .out_plane = 1, .inner = 1};
  for (int64_t d = 0; d < lp_ndim(self); d++) {
    sizes[d] = d < lead ? lp_size(self, d) : output_size.data[d - lead];
    if (d < lead) continue;
    j.in_plane *= lp_size(self, d);
    j.out_plane *= sizes[d];
    CHECK(lp_size(self, d) > 0, LP_ERR_ARGUMENT,
          "expected an input with elements in every dim but the batch, got %s",
          SHAPE_TEXT(self));
    CHECK(sizes[d] >= 0, LP_ERR_ARGUMENT,
          "expected 'output_size' of at least 0, got %lld", (long long)sizes[d]);
  }
  const LpDtype dtype = lp_dtype(self);
  const bool last = lead == 2 && lp_channels_last_data(self);
  LpTensor *x = nn_laid(self, dtype, last), *index = nn_laid(indices, LP_INT64, last),
           *y = x ? nn_new_laid(x, lp_ints(sizes, lp_ndim(self)), dtype, last) : NULL;
  bool ok = y && index;
  j.index = ok ? nn_laid_data(index, last) : NULL;
  for (int64_t i = 0; ok && i < lp_numel(index); i++) {
    const int64_t at = j.index[i];
    if (at < 0 || at >= j.out_plane)
      ok = lp_fail(LP_ERR_INDEX,
                   "index %lld is out of range: a plane of the result has %lld elements",
                   (long long)at, (long long)j.out_plane);
  }
  if (ok) {
    j.x = nn_laid_data(x, last);
    j.y = nn_laid_data(y, last);
    j.elem_bytes = lp_dtype_size(dtype);
    if (last) j.inner = lp_size(x, 1);
    memset(j.y, 0, (size_t)lp_numel(y) * j.elem_bytes);
  }
  if (ok && lp_numel(x)) {
    j.blocks = (j.inner + BLOCK - 1) / BLOCK;
    const int64_t planes = lp_numel(x) / j.in_plane / j.inner * j.blocks,
                  work = (j.in_plane + j.out_plane) * j.inner / j.blocks;
    lp_parallel_for(planes, LP_GRAIN / (work + 1) + 1, scatter_planes, &j);
  }
  lp_tensor_release(x);
  lp_tensor_release(index);
  if (!ok) lp_drop(&y);
  return y;
}
