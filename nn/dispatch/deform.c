/* The columns of deformable convolution: checks and the split over images, taps and
 * channels; the loops are in cpu/simd/deform_body.h. */
#include "core/parallel.h"
#include "cpu/deform.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct DeformJob {
  LpDeformShape s;
  int type; /* 0 float, 1 double */
  size_t bytes;
  int64_t batch, taps; /* taps: offset groups * kernel elements */
  const char *x, *offset, *mask, *g;
  char *y, *gx, *goffset, *gmask;
} DeformJob;

static bool describe(LpTensor *input, LpTensor *offset, LpTensor *mask,
                     LpInts kernel_size, LpInts stride, LpInts padding, LpInts dilation,
                     DeformJob *j) {
  CHECK_FLOATING(input, "input");
  CHECK(lp_ndim(input) == 4, LP_ERR_ARGUMENT,
        "expected 'input' of 4 dims (batch, channels, height, width), got %s",
        SHAPE_TEXT(input));
  CHECK(lp_ndim(offset) == 4, LP_ERR_ARGUMENT, "expected 'offset' of 4 dims, got %s",
        SHAPE_TEXT(offset));
  for (int i = 0; i < 2; i++) {
    LpTensor *t = i ? mask : offset;
    CHECK(!t || lp_dtype(t) == lp_dtype(input), LP_ERR_TYPE,
          "expected '%s' of the dtype of 'input', %s, got %s", i ? "mask" : "offset",
          lp_dtype_name(lp_dtype(input)), lp_dtype_name(lp_dtype(t)));
  }
  *j = (DeformJob){.type = lp_dtype(input) == LP_FLOAT64, .batch = lp_size(input, 0)};
  LpDeformShape *s = &j->s;
  TRY(nn_expand(kernel_size, 2, "weight", s->kernel));
  TRY(nn_expand(stride, 2, "stride", s->stride));
  TRY(nn_expand(padding, 2, "padding", s->padding));
  TRY(nn_expand(dilation, 2, "dilation", s->dilation));
  s->channels = lp_size(input, 1);
  for (int d = 0; d < 2; d++) {
    const int64_t most = INT32_MAX;
    CHECK(s->kernel[d] > 0 && s->kernel[d] <= most, LP_ERR_ARGUMENT,
          "expected 'weight' with a kernel of at least 1 element each way, got %lld",
          (long long)s->kernel[d]);
    CHECK(s->stride[d] > 0 && s->stride[d] <= most, LP_ERR_ARGUMENT,
          "expected 'stride' of at least 1, got %lld", (long long)s->stride[d]);
    CHECK(s->padding[d] >= 0 && s->padding[d] <= most, LP_ERR_ARGUMENT,
          "expected 'padding' of at least 0, got %lld", (long long)s->padding[d]);
    CHECK(s->dilation[d] > 0 && s->dilation[d] <= most, LP_ERR_ARGUMENT,
          "expected 'dilation' of at least 1, got %lld", (long long)s->dilation[d]);
    s->in[d] = lp_size(input, d + 2);
    CHECK(s->in[d] <= most, LP_ERR_ARGUMENT, "expected 'input' below 2^31 pixels a side");
    /* Every factor is below 2^31. */
    int64_t span = s->dilation[d] * (s->kernel[d] - 1) + 1;
    int64_t room = s->in[d] + 2 * s->padding[d] - span;
    s->out[d] = room < 0 ? 0 : room / s->stride[d] + 1;
    CHECK(s->out[d] > 0, LP_ERR_ARGUMENT,
          "the kernel spans %lld elements but the padded input has %lld in dim %d",
          (long long)span, (long long)(s->in[d] + 2 * s->padding[d]), d + 2);
  }
  int64_t taps = s->kernel[0] * s->kernel[1];
  CHECK(
      lp_size(offset, 1) >= 2 * taps && lp_size(offset, 1) % (2 * taps) == 0,
      LP_ERR_ARGUMENT,
      "expected 'offset' whose dim 1 is a multiple of 2 * kernel height * width = %lld, "
      "got %s",
      (long long)(2 * taps), SHAPE_TEXT(offset));
  s->groups = lp_size(offset, 1) / (2 * taps);
  j->taps = s->groups * taps;
  CHECK(s->channels % s->groups == 0, LP_ERR_ARGUMENT,
        "expected 'input' whose channels, %lld, are a multiple of the %lld groups of "
        "'offset'",
        (long long)s->channels, (long long)s->groups);
  for (int i = 0; i < 2; i++) {
    LpTensor *t = i ? mask : offset;
    if (!t) continue;
    int64_t wide = i ? j->taps : 2 * j->taps;
    CHECK(lp_ndim(t) == 4 && lp_size(t, 0) == j->batch && lp_size(t, 1) == wide &&
              lp_size(t, 2) == s->out[0] && lp_size(t, 3) == s->out[1],
          LP_ERR_ARGUMENT, "expected '%s' of shape [%lld, %lld, %lld, %lld], got %s",
          i ? "mask" : "offset", (long long)j->batch, (long long)wide,
          (long long)s->out[0], (long long)s->out[1], SHAPE_TEXT(t));
  }
  j->bytes = j->type ? sizeof(double) : sizeof(float);
  return true;
}

/* Image n's part of an array with `each` elements an image; NULL stays NULL. */
#define PART(j, p, n, each) ((p) ? (p) + (size_t)((n) * (each)) * (j)->bytes : NULL)

static int64_t x_each(const DeformJob *j) {
  return j->s.channels * j->s.in[0] * j->s.in[1];
}
static int64_t p_each(const DeformJob *j) {
  return j->taps * j->s.out[0] * j->s.out[1];
}
static int64_t y_each(const DeformJob *j) {
  return j->s.channels / j->s.groups * p_each(j);
}

static void taps(void *ctx, int64_t begin, int64_t end) {
  DeformJob *j = ctx;
  const LpDeformKernels *k = lp_deform_kernels();
  for (int64_t i = begin; i < end && !lp_interrupt_pending(); i++) {
    int64_t n = i / j->taps, tap = i % j->taps;
    const char *x = PART(j, j->x, n, x_each(j)),
               *offset = PART(j, j->offset, n, 2 * p_each(j)),
               *mask = PART(j, j->mask, n, p_each(j));
    if (j->y)
      k->columns[j->type](&j->s, tap, x, offset, mask, PART(j, j->y, n, y_each(j)));
    else
      k->position_grad[j->type](&j->s, tap, x, offset, mask, PART(j, j->g, n, y_each(j)),
                                PART(j, j->goffset, n, 2 * p_each(j)),
                                PART(j, j->gmask, n, p_each(j)));
  }
}

static void run_taps(DeformJob *j) {
  int64_t each = 8 * (j->s.channels / j->s.groups + 2) * j->s.out[0] * j->s.out[1];
  lp_parallel_for(j->batch * j->taps, LP_GRAIN / each + 1, taps, j);
}

static void channels(void *ctx, int64_t begin, int64_t end) {
  DeformJob *j = ctx;
  while (begin < end && !lp_interrupt_pending()) {
    int64_t n = begin / j->s.channels, from = begin - n * j->s.channels;
    int64_t to = end - n * j->s.channels;
    if (to > j->s.channels) to = j->s.channels;
    lp_deform_kernels()->input_grad[j->type](
        &j->s, PART(j, j->offset, n, 2 * p_each(j)), PART(j, j->mask, n, p_each(j)),
        PART(j, j->g, n, y_each(j)), from, to, PART(j, j->gx, n, x_each(j)));
    begin += to - from;
  }
}

LpTensor *lp_impl_deform_columns(LpTensor *input, LpTensor *offset, LpTensor *mask,
                                 LpInts kernel_size, LpInts stride, LpInts padding,
                                 LpInts dilation) {
  DeformJob j;
  TRY(describe(input, offset, mask, kernel_size, stride, padding, dilation, &j));
  LpDtype dtype = nn_compute_dtype(lp_dtype(input));
  int64_t kernel = j.s.kernel[0] * j.s.kernel[1], plane = j.s.out[0] * j.s.out[1];
  int64_t sizes[3] = {j.batch, 0, plane};
  CHECK(!__builtin_mul_overflow(j.s.channels, kernel, &sizes[1]), LP_ERR_MEMORY,
        "the columns of %lld channels and %lld kernel elements are too many",
        (long long)j.s.channels, (long long)kernel);
  LpTensor *x = nn_dense(input, dtype), *at = nn_dense(offset, dtype),
           *m = mask ? nn_dense(mask, dtype) : NULL,
           *y = lp_tensor_new(lp_ints(sizes, 3), dtype, lp_device(input));
  bool ok = x && at && (m || !mask) && y;
  if (ok && lp_numel(y)) {
    j.x = lp_data(x);
    j.offset = lp_data(at);
    j.mask = m ? lp_data(m) : NULL;
    j.y = lp_data(y);
    run_taps(&j);
  }
  lp_tensor_release(x);
  lp_tensor_release(at);
  lp_tensor_release(m);
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, lp_dtype(input));
}

bool lp_impl_deform_columns_backward(LpTensor *grad_output, LpTensor *input,
                                     LpTensor *offset, LpTensor *mask, LpInts kernel_size,
                                     LpInts stride, LpInts padding, LpInts dilation,
                                     unsigned grad_mask, LpTensor **results) {
  DeformJob j;
  results[0] = results[1] = results[2] = NULL;
  TRY(describe(input, offset, mask, kernel_size, stride, padding, dilation, &j));
  LpDtype wanted = lp_dtype(input), dtype = nn_compute_dtype(wanted);
  LpTensor *x = nn_dense(input, dtype), *at = nn_dense(offset, dtype),
           *m = mask ? nn_dense(mask, dtype) : NULL, *g = nn_dense(grad_output, dtype),
           *sources[3] = {input, offset, mask};
  bool ok = x && at && (m || !mask) && g;
  for (int i = 0; i < 3; i++)
    if (ok && (grad_mask >> i & 1) && sources[i])
      ok = (results[i] = nn_zeros(sources[i]->sizes, 4, dtype)) != NULL;
  if (ok && lp_numel(g)) {
    j.x = lp_data(x);
    j.offset = lp_data(at);
    j.mask = m ? lp_data(m) : NULL;
    j.g = lp_data(g);
    j.gx = results[0] ? lp_data(results[0]) : NULL;
    j.goffset = results[1] ? lp_data(results[1]) : NULL;
    j.gmask = results[2] ? lp_data(results[2]) : NULL;
    if (j.goffset || j.gmask) run_taps(&j);
    if (j.gx) {
      int64_t each = 8 * j.s.kernel[0] * j.s.kernel[1] * j.s.out[0] * j.s.out[1];
      lp_parallel_for(j.batch * j.s.channels, LP_GRAIN / each + 1, channels, &j);
    }
  }
  lp_tensor_release(x);
  lp_tensor_release(at);
  lp_tensor_release(m);
  lp_tensor_release(g);
  for (int i = 0; i < 3; i++)
    if (ok && results[i]) ok = (results[i] = nn_cast_take(results[i], wanted)) != NULL;
  for (int i = 0; i < 3 && !ok; i++) lp_drop(&results[i]);
  return ok;
}
