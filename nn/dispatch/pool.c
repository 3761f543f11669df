/* Max, average and adaptive pooling over 1 to 3 dims, with and without a batch dim, and
 * their adjoints. The adjoints of max pooling are a scatter and a gather by the recorded
 * indices; average pooling is linear: so all gradients are closed under differentiation.
 */
#include <stdatomic.h>
#include "core/parallel.h"
#include "cpu/index.h"
#include "cpu/pool.h"
#include "dispatch/layout.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct PoolJob {
  LpPoolShape shape;
  int64_t fixed_dims; /* before these, a dim may have no elements */
  int type;
  int64_t in_plane, out_plane; /* elements */
  size_t elem_bytes;
  const char *from;
  char *to;
  int32_t *index32;
  int64_t *index64;
  void (*kernel)(const LpPoolShape *s, const void *from, void *to);
  /* Where the images lie channels last: how many channels, else 0. */
  int64_t channels;
  bool batched; /* the input has a batch dim */
  bool few;     /* the windows, which shape tells, have few elements */
  void (*last)(const LpPoolShape *s, int64_t channels, const void *from, void *to,
               int64_t begin, int64_t end);
  void (*last_grad)(const LpPoolShape *s, int64_t channels, const void *from, void *to);
} PoolJob;

/* Spatial sizes and options aligned to the right of the three slots. */
static bool spatial(LpTensor *self, int ndim, PoolJob *j) {
  CHECK(lp_ndim(self) == ndim + 1 || lp_ndim(self) == ndim + 2, LP_ERR_ARGUMENT,
        "expected an input of %d dims (with batch) or %d dims (without), got %s",
        ndim + 2, ndim + 1, SHAPE_TEXT(self));
  j->batched = lp_ndim(self) == ndim + 2;
  LpPoolShape *s = &j->shape;
  for (int d = 0; d < 3; d++) {
    s->in[d] = s->out[d] = s->kernel[d] = s->stride[d] = s->dilation[d] = 1;
    s->padding[d] = 0;
  }
  int64_t lead = lp_ndim(self) - ndim;
  for (int64_t d = j->fixed_dims; d < lp_ndim(self); d++)
    CHECK(lp_size(self, d) > 0, LP_ERR_ARGUMENT,
          "expected an input with elements in every dim but the batch, got %s",
          SHAPE_TEXT(self));
  for (int d = 0; d < ndim; d++) s->in[3 - ndim + d] = lp_size(self, lead + d);
  return true;
}

static bool windows(LpTensor *self, int ndim, LpInts kernel, LpInts stride,
                    LpInts padding, LpInts dilation, bool ceil_mode, PoolJob *j) {
  j->fixed_dims = lp_ndim(self) == ndim + 2;
  TRY(spatial(self, ndim, j));
  LpPoolShape *s = &j->shape;
  int first = 3 - ndim;
  TRY(nn_expand(kernel, ndim, "kernel_size", s->kernel + first));
  TRY(nn_expand(stride.count > 0 ? stride : kernel, ndim, "stride", s->stride + first));
  TRY(nn_expand(padding, ndim, "padding", s->padding + first));
  TRY(nn_expand(dilation, ndim, "dilation", s->dilation + first));
  for (int d = first; d < 3; d++) {
    int64_t k = s->kernel[d], st = s->stride[d], p = s->padding[d], reach;
    CHECK(k > 0, LP_ERR_ARGUMENT, "expected 'kernel_size' of at least 1, got %lld",
          (long long)k);
    CHECK(st > 0, LP_ERR_ARGUMENT, "expected 'stride' of at least 1, got %lld",
          (long long)st);
    CHECK(s->dilation[d] > 0, LP_ERR_ARGUMENT,
          "expected 'dilation' of at least 1, got %lld", (long long)s->dilation[d]);
    CHECK(k <= INT32_MAX && st <= INT32_MAX && s->dilation[d] <= INT32_MAX,
          LP_ERR_ARGUMENT,
          "expected 'kernel_size', 'stride' and 'dilation' below 2^31, got %lld, %lld "
          "and %lld",
          (long long)k, (long long)st, (long long)s->dilation[d]);
    reach = s->dilation[d] * (k - 1) + 1;
    CHECK(p >= 0 && p <= reach / 2, LP_ERR_ARGUMENT,
          "expected 'padding' of at most half the kernel (%lld), got %lld",
          (long long)(reach / 2), (long long)p);
    int64_t room = s->in[d] + 2 * p - reach;
    int64_t out = room >= 0 ? room / st + (ceil_mode && room % st > 0) + 1
                            : (ceil_mode && room > -st);
    if (ceil_mode && out - 1 > (s->in[d] + p - 1) / st) out--;
    CHECK(out > 0, LP_ERR_ARGUMENT,
          "the result would have no elements: kernel_size %lld over input %s with "
          "padding %lld",
          (long long)k, SHAPE_TEXT(self), (long long)p);
    s->out[d] = out;
  }
  return true;
}

/* A header with the sizes of the pooled input, for the checks; its elements are never
 * read. */
static LpTensor *shape_only(LpTensor *t, LpInts sizes) {
  int64_t strides[LP_MAX_DIMS] = {0};
  return lp_tensor_alias(t, sizes, lp_ints(strides, sizes.count), lp_storage_offset(t));
}

/* self's sizes with the last ones replaced by the shape's out (or in). */
static LpInts sizes_with(LpTensor *self, int ndim, const int64_t *last, int64_t *sizes) {
  int64_t lead = lp_ndim(self) - ndim;
  for (int64_t d = 0; d < lead; d++) sizes[d] = lp_size(self, d);
  for (int d = 0; d < ndim; d++) sizes[lead + d] = last[3 - ndim + d];
  return lp_ints(sizes, lp_ndim(self));
}

/* Wraps around where sizes are beyond all memory; making the result fails then. */
static int64_t volume(const int64_t *dims) {
  return (int64_t)((uint64_t)dims[0] * (uint64_t)dims[1] * (uint64_t)dims[2]);
}

/* bfloat16 pools as it is where channels lie side by side. Else the processor turns the
 * whole of 16-bit floats into float32 sooner than the kernels do element by element. */
static LpDtype pool_dtype(LpTensor *t, bool last) {
  const LpDtype dtype = lp_dtype(t);
  return dtype == LP_BFLOAT16 && last ? dtype : nn_number_dtype(dtype);
}

static void max_planes(void *ctx, int64_t begin, int64_t end) {
  PoolJob *j = ctx;
  for (int64_t p = begin; p < end; p++)
    lp_pool_kernels()->max[j->type](&j->shape,
                                    j->from + (size_t)(p * j->in_plane) * j->elem_bytes,
                                    j->to + (size_t)(p * j->out_plane) * j->elem_bytes,
                                    j->index32 ? j->index32 + p * j->out_plane : NULL,
                                    j->index64 ? j->index64 + p * j->out_plane : NULL);
}

static void adaptive_max_planes(void *ctx, int64_t begin, int64_t end) {
  PoolJob *j = ctx;
  for (int64_t p = begin; p < end; p++)
    lp_pool_kernels()->adaptive_max[j->type](
        &j->shape, j->from + (size_t)(p * j->in_plane) * j->elem_bytes,
        j->to + (size_t)(p * j->out_plane) * j->elem_bytes,
        j->index64 + p * j->out_plane);
}

static void plain_planes(void *ctx, int64_t begin, int64_t end) {
  PoolJob *j = ctx;
  for (int64_t p = begin; p < end; p++)
    j->kernel(&j->shape, j->from + (size_t)(p * j->in_plane) * j->elem_bytes,
              j->to + (size_t)(p * j->out_plane) * j->elem_bytes);
}

/* --- images that lie channels last: from [begin, end) of all pixels of the result, or of
 * images --- */

static void max_last(void *ctx, int64_t begin, int64_t end) {
  const PoolJob *j = ctx;
  for (int64_t at = begin, upto; at < end; at = upto) {
    const int64_t n = at / j->out_plane, first = n * j->out_plane;
    upto = end < first + j->out_plane ? end : first + j->out_plane;
    const int64_t out = first * j->channels;
    lp_pool_kernels()->max_last[j->type](
        &j->shape, j->channels,
        j->from + (size_t)(n * j->in_plane * j->channels) * j->elem_bytes,
        j->to + (size_t)out * j->elem_bytes, j->index32 ? j->index32 + out : NULL,
        j->index64 ? j->index64 + out : NULL, at - first, upto - first);
  }
}

static void average_last(void *ctx, int64_t begin, int64_t end) {
  const PoolJob *j = ctx;
  for (int64_t at = begin, upto; at < end; at = upto) {
    const int64_t n = at / j->out_plane, first = n * j->out_plane;
    upto = end < first + j->out_plane ? end : first + j->out_plane;
    j->last(&j->shape, j->channels,
            j->from + (size_t)(n * j->in_plane * j->channels) * j->elem_bytes,
            j->to + (size_t)(first * j->channels) * j->elem_bytes, at - first,
            upto - first);
  }
}

static void average_grad_last(void *ctx, int64_t begin, int64_t end) {
  const PoolJob *j = ctx;
  for (int64_t n = begin; n < end; n++)
    j->last_grad(&j->shape, j->channels,
                 j->from + (size_t)(n * j->in_plane * j->channels) * j->elem_bytes,
                 j->to + (size_t)(n * j->out_plane * j->channels) * j->elem_bytes);
}

static void scatter_last(void *ctx, int64_t begin, int64_t end) {
  const PoolJob *j = ctx;
  for (int64_t n = begin; n < end; n++) {
    const int64_t in = n * j->in_plane * j->channels;
    char *to = j->to + (size_t)(n * j->out_plane * j->channels) * j->elem_bytes;
    if (j->few)
      lp_pool_kernels()->max_grad_last[j->type](&j->shape, j->channels,
                                                j->from + (size_t)in * j->elem_bytes,
                                                j->index32 + in, to);
    else
      lp_pool_kernels()->scatter_last[j->type](
          to, j->out_plane, j->channels, j->from + (size_t)in * j->elem_bytes,
          j->in_plane, j->index32 ? j->index32 + in : NULL,
          j->index64 ? j->index64 + in : NULL);
  }
}

/* Does t, pooled over ndim dims, lie channels last? */
static bool is_last(const LpTensor *t, int64_t ndim) {
  return t->ndim == ndim + 2 && t->sizes[1] > 1 && nn_lies_last(t);
}

/* Where rows are short, vectors of channels are better, also for images that have to be
 * put in that order: a row's loop would be over before it is under way. Gradients share
 * images among threads, so there have to be some. */
static bool is_best_last(const LpTensor *t, int64_t ndim, const LpPoolShape *s) {
  const bool pairs = s->kernel[2] == 2 && s->stride[2] == 2; /* fast along rows */
  return is_last(t, ndim) ||
         (t->ndim == ndim + 2 && t->sizes[0] >= 4 && t->sizes[1] >= 32 &&
          s->in[2] < (pairs ? 16 : 32) && s->out[2] > 1);
}

static int64_t plane_grain(const PoolJob *j) {
  return LP_GRAIN / 2 / (j->in_plane + j->out_plane) + 1;
}

/* Fills the job's buffers for planes of from -> to. */
static void set_planes(PoolJob *j, LpTensor *from, int64_t from_plane, LpTensor *to,
                       int64_t to_plane) {
  j->type = nn_float_index(lp_dtype(from));
  j->elem_bytes = lp_dtype_size(lp_dtype(from));
  j->from = nn_laid_data(from, j->channels);
  j->to = nn_laid_data(to, j->channels);
  j->in_plane = from_plane;
  j->out_plane = to_plane;
}

static bool max_pool(LpTensor *self, int ndim, PoolJob *j, LpDtype index_dtype,
                     LpTensor **results) {
  CHECK(!lp_dtype_is_complex(lp_dtype(self)) && lp_dtype(self) != LP_BOOL, LP_ERR_TYPE,
        "expected a real input, got %s", lp_dtype_name(lp_dtype(self)));
  int64_t in_plane = volume(j->shape.in), out_plane = volume(j->shape.out),
          sizes[LP_MAX_DIMS];
  CHECK(in_plane < INT32_MAX, LP_ERR_ARGUMENT,
        "expected less than 2^31 elements in a plane, got %s", SHAPE_TEXT(self));
  LpInts out_sizes = sizes_with(self, ndim, j->shape.out, sizes);
  if (is_best_last(self, ndim, &j->shape)) j->channels = lp_size(self, 1);
  const LpDtype dtype = pool_dtype(self, j->channels);
  LpTensor *x = nn_laid(self, dtype, j->channels),
           *y = x ? nn_new_laid(x, out_sizes, dtype, j->channels) : NULL, *index = NULL;
  if (y) {
    int64_t none = 0;
    index = index_dtype == LP_DTYPE_NONE
                ? nn_empty(&none, 1, LP_INT32)
                : nn_new_laid(x, out_sizes, index_dtype, j->channels);
  }
  bool ok = index != NULL;
  if (ok && lp_numel(y)) {
    set_planes(j, x, in_plane, y, out_plane);
    j->index32 = index_dtype == LP_INT32 ? nn_laid_data(index, j->channels) : NULL;
    j->index64 = index_dtype == LP_INT64 ? nn_laid_data(index, j->channels) : NULL;
    if (j->channels)
      lp_parallel_for(lp_numel(y) / j->channels,
                      LP_GRAIN / j->channels / volume(j->shape.kernel) + 1, max_last, j);
    else
      lp_parallel_for(lp_numel(y) / out_plane, plane_grain(j),
                      j->shape.adaptive ? adaptive_max_planes : max_planes, j);
  }
  lp_tensor_release(x);
  if (ok) ok = (y = nn_cast_take(y, lp_dtype(self))) != NULL;
  if (!ok) {
    lp_drop(&y);
    lp_drop(&index);
  }
  results[0] = y;
  results[1] = index;
  return ok;
}

bool lp_impl_max_pool(LpTensor *self, int64_t ndim, LpInts kernel_size, LpInts stride,
                      LpInts padding, LpInts dilation, bool ceil_mode,
                      LpDtype index_dtype, LpTensor **results) {
  PoolJob j = {0};
  TRY(windows(self, (int)ndim, kernel_size, stride, padding, dilation, ceil_mode, &j));
  return max_pool(self, (int)ndim, &j, index_dtype, results);
}

/* Adaptive windows that lie side by side, all of a size, are ordinary ones. Those of
 * narrow windows have loops along the row of results; wide ones are best one by one. */
static void settle(LpPoolShape *s) {
  s->adaptive = s->in[2] > 4 * s->out[2];
  for (int d = 0; d < 3; d++) s->adaptive |= !s->out[d] || s->in[d] % s->out[d] != 0;
  for (int d = 0; d < 3 && !s->adaptive; d++)
    s->kernel[d] = s->stride[d] = s->in[d] / s->out[d];
}

/* out[d] of an adaptive pooling. */
static bool adaptive_windows(LpTensor *self, int ndim, LpInts output_size, bool average,
                             PoolJob *j) {
  j->fixed_dims = average && ndim < 3 ? lp_ndim(self) - ndim : 1;
  TRY(spatial(self, ndim, j));
  CHECK_FLOATING(self, "input");
  TRY(nn_expand(output_size, ndim, "output_size", j->shape.out + 3 - ndim));
  for (int d = 3 - ndim; d < 3; d++) {
    CHECK(j->shape.out[d] >= 0, LP_ERR_ARGUMENT,
          "expected 'output_size' of at least 0, got %lld", (long long)j->shape.out[d]);
  }
  settle(&j->shape);
  return true;
}

bool lp_impl_adaptive_max_pool(LpTensor *self, int64_t ndim, LpInts output_size,
                               LpTensor **results) {
  PoolJob j = {0};
  TRY(adaptive_windows(self, (int)ndim, output_size, false, &j));
  return max_pool(self, (int)ndim, &j, LP_INT64, results);
}

/* --- the adjoints of max pooling
 * ----------------------------------------------------------------- */
static void scatter_planes(void *ctx, int64_t begin, int64_t end) {
  PoolJob *j = ctx;
  for (int64_t p = begin; p < end; p++)
    lp_pool_kernels()->scatter[j->type](
        j->to + (size_t)(p * j->out_plane) * j->elem_bytes, j->out_plane,
        j->from + (size_t)(p * j->in_plane) * j->elem_bytes, j->in_plane,
        j->index32 ? j->index32 + p * j->in_plane : NULL,
        j->index64 ? j->index64 + p * j->in_plane : NULL);
}

static int64_t last_dims(LpInts sizes, int64_t ndim) {
  int64_t n = 1;
  for (int64_t d = sizes.count - ndim; d < sizes.count; d++) n *= sizes.data[d];
  return n;
}

typedef struct Indices {
  const int32_t *at32;
  const int64_t *at64;
  int64_t plane;
  _Atomic bool beyond;
} Indices;

static void look_at_indices(void *ctx, int64_t begin, int64_t end) {
  Indices *j = ctx;
  bool fit = true;
  if (j->at64)
    fit = lp_index_table()->in_range(j->at64 + begin, 1, end - begin, j->plane);
  else
    for (int64_t i = begin; i < end; i++) fit &= j->at32[i] >= 0 && j->at32[i] < j->plane;
  if (!fit) atomic_store(&j->beyond, true);
}

/* They are a result that the user has had in hand. */
bool nn_check_indices(const LpTensor *indices, bool last, int64_t plane) {
  const void *data = nn_laid_data(indices, last);
  Indices j = {.plane = plane};
  if (lp_dtype(indices) == LP_INT32)
    j.at32 = data;
  else
    j.at64 = data;
  lp_parallel_for(lp_numel(indices), LP_GRAIN, look_at_indices, &j);
  for (int64_t i = 0; j.beyond && i < lp_numel(indices); i++) {
    const int64_t at = j.at32 ? j.at32[i] : j.at64[i];
    CHECK(at >= 0 && at < plane, LP_ERR_INDEX,
          "index %lld is out of range: a plane has %lld elements", (long long)at,
          (long long)plane);
  }
  return true;
}

/* gx[index] += g. Indices that came from the windows of `shape` (NULL: from elsewhere)
 * and that no user has had in hand, the int32 ones, need no check: where a window has few
 * elements, each is compared with the index instead of looked up by it. */
static LpTensor *scatter(LpTensor *grad_output, LpTensor *indices, LpInts size,
                         int64_t ndim, const LpPoolShape *shape) {
  const LpDtype dtype = nn_compute_dtype(lp_dtype(grad_output)),
                index_dtype = lp_dtype(indices);
  PoolJob j = {0};
  CHECK(lp_numel(grad_output) == lp_numel(indices), LP_ERR_ARGUMENT,
        "expected 'indices' of the shape of the gradient, %s, got %s",
        SHAPE_TEXT(grad_output), SHAPE_TEXT(indices));
  if (is_last(indices, ndim)) j.channels = lp_size(indices, 1);
  if (shape) j.shape = *shape;
  j.few = shape && j.channels && index_dtype == LP_INT32 && volume(shape->kernel) <= 9;
  LpTensor *g = nn_laid(grad_output, dtype, j.channels),
           *index = nn_laid(indices, index_dtype, j.channels);
  LpTensor *gx = g ? nn_new_laid(g, size, dtype, j.channels) : NULL;
  const int64_t plane = last_dims(size, ndim);
  bool ok = g && index && gx &&
            (!lp_numel(gx) || j.few || nn_check_indices(index, j.channels, plane));
  if (ok && lp_numel(gx)) {
    set_planes(&j, g, last_dims(lp_sizes(g), ndim), gx, plane);
    j.index32 = index_dtype == LP_INT32 ? nn_laid_data(index, j.channels) : NULL;
    j.index64 = index_dtype == LP_INT64 ? nn_laid_data(index, j.channels) : NULL;
    if (j.channels)
      lp_parallel_for(size.data[0], 1, scatter_last, &j);
    else
      lp_parallel_for(lp_numel(gx) / j.out_plane, plane_grain(&j), scatter_planes, &j);
  }
  lp_tensor_release(g);
  lp_tensor_release(index);
  if (!ok) lp_drop(&gx);
  return nn_cast_take(gx, lp_dtype(grad_output));
}

LpTensor *lp_impl_max_pool_scatter(LpTensor *grad_output, LpTensor *indices, LpInts size,
                                   int64_t ndim) {
  return scatter(grad_output, indices, size, ndim, NULL);
}

LpTensor *lp_impl_max_pool_grad(LpTensor *grad_output, LpTensor *indices, LpInts size,
                                int64_t ndim, LpInts kernel_size, LpInts stride,
                                LpInts padding, LpInts dilation, bool ceil_mode) {
  PoolJob j = {0};
  LpTensor *input = shape_only(grad_output, size);
  TRY(input);
  const bool ok =
      windows(input, (int)ndim, kernel_size, stride, padding, dilation, ceil_mode, &j);
  lp_tensor_release(input);
  return ok ? scatter(grad_output, indices, size, ndim, &j.shape) : NULL;
}

/* --- average
 * ------------------------------------------------------------------------------------ */
/* Runs a linear plane kernel over self; gradients are added up in the compute dtype. The
 * result has the given sizes. */
typedef void (*PlaneKernel)(const LpPoolShape *, const void *, void *);
static LpTensor *linear(LpTensor *self, PoolJob *j, int64_t in_plane, LpInts out_sizes,
                        int64_t out_plane, const PlaneKernel kernels[4],
                        bool of_gradient) {
  CHECK(!lp_dtype_is_complex(lp_dtype(self)) && lp_dtype(self) != LP_BOOL, LP_ERR_TYPE,
        "expected a real input, got %s", lp_dtype_name(lp_dtype(self)));
  const int64_t ndim = out_sizes.count - 2;
  if (j->batched && lp_numel(self) && is_best_last(self, ndim, &j->shape))
    j->channels = lp_size(self, 1);
  const LpDtype dtype = pool_dtype(self, j->channels && !of_gradient);
  LpTensor *x = nn_laid(self, dtype, j->channels),
           *y = x ? nn_new_laid(x, out_sizes, dtype, j->channels) : NULL;
  bool ok = y != NULL;
  if (ok && lp_numel(y)) {
    set_planes(j, x, in_plane, y, out_plane);
    j->kernel = kernels[j->type];
    j->last = lp_pool_kernels()->average_last[j->type];
    j->last_grad = lp_pool_kernels()->average_grad_last[j->type];
    if (j->channels && of_gradient)
      lp_parallel_for(lp_size(y, 0), 1, average_grad_last, j);
    else if (j->channels)
      lp_parallel_for(lp_numel(y) / j->channels,
                      LP_GRAIN * out_plane / (j->channels * in_plane) + 1, average_last,
                      j);
    else if (lp_numel(x))
      lp_parallel_for(lp_numel(y) / out_plane, plane_grain(j), plain_planes, j);
    else
      memset(lp_data(y), 0, (size_t)lp_numel(y) * lp_dtype_size(dtype));
  }
  lp_tensor_release(x);
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, lp_dtype(self));
}

static bool average_windows(LpTensor *self, int64_t ndim, LpInts kernel, LpInts stride,
                            LpInts padding, bool ceil_mode, bool count_include_pad,
                            LpOptInt divisor, PoolJob *j) {
  const int64_t one = 1;
  TRY(windows(self, (int)ndim, kernel, stride, padding, lp_ints(&one, 1), ceil_mode, j));
  CHECK(!divisor.has || divisor.value != 0, LP_ERR_ARGUMENT,
        "expected 'divisor_override' not to be 0");
  j->shape.count_include_pad = count_include_pad;
  j->shape.divisor = divisor.has ? divisor.value : 0;
  return true;
}

LpTensor *lp_impl_avg_pool(LpTensor *self, int64_t ndim, LpInts kernel_size,
                           LpInts stride, LpInts padding, bool ceil_mode,
                           bool count_include_pad, LpOptInt divisor_override) {
  PoolJob j = {0};
  int64_t sizes[LP_MAX_DIMS];
  TRY(average_windows(self, ndim, kernel_size, stride, padding, ceil_mode,
                      count_include_pad, divisor_override, &j));
  return linear(self, &j, volume(j.shape.in),
                sizes_with(self, (int)ndim, j.shape.out, sizes), volume(j.shape.out),
                lp_pool_kernels()->average, false);
}

LpTensor *lp_impl_avg_pool_grad(LpTensor *grad_output, LpInts size, int64_t ndim,
                                LpInts kernel_size, LpInts stride, LpInts padding,
                                bool ceil_mode, bool count_include_pad,
                                LpOptInt divisor_override) {
  PoolJob j = {0};
  LpTensor *input = shape_only(grad_output, size);
  TRY(input);
  bool ok = average_windows(input, ndim, kernel_size, stride, padding, ceil_mode,
                            count_include_pad, divisor_override, &j);
  lp_tensor_release(input);
  TRY(ok);
  return linear(grad_output, &j, volume(j.shape.out), size, volume(j.shape.in),
                lp_pool_kernels()->average_grad, true);
}

LpTensor *lp_impl_adaptive_avg_pool(LpTensor *self, int64_t ndim, LpInts output_size) {
  PoolJob j = {0};
  int64_t sizes[LP_MAX_DIMS];
  TRY(adaptive_windows(self, (int)ndim, output_size, true, &j));
  return linear(self, &j, volume(j.shape.in),
                sizes_with(self, (int)ndim, j.shape.out, sizes), volume(j.shape.out),
                j.shape.adaptive ? lp_pool_kernels()->adaptive_average
                                 : lp_pool_kernels()->average,
                false);
}

LpTensor *lp_impl_adaptive_avg_pool_grad(LpTensor *grad_output, LpInts size, int64_t ndim,
                                         LpInts output_size) {
  PoolJob j = {0};
  LpTensor *input = shape_only(grad_output, size);
  TRY(input);
  bool ok = adaptive_windows(input, (int)ndim, output_size, true, &j);
  lp_tensor_release(input);
  TRY(ok);
  return linear(grad_output, &j, volume(j.shape.out), size, volume(j.shape.in),
                j.shape.adaptive ? lp_pool_kernels()->adaptive_average_grad
                                 : lp_pool_kernels()->average_grad,
                true);
}
