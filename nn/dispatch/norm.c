/* Batch normalisation and its gradient: y = (x - mean) * rstd * weight + bias, with mean
 * and rstd over the elements of a channel.
 *
 * Gradient, with g' = g * weight and m() the mean over a set: gx = rstd * (g' - m(g') -
 * xhat * m(g' * xhat)). The sums behind it come from one pass over g and x, the result
 * from a second. */
#include <math.h>
#include "core/alloc.h"
#include "cpu/rows.h"
#include "dispatch/channels.h"
#include "dispatch/layout.h"
#include "dispatch/nn_util.h"
#include "impl.h"
#include "lampad/ops.h"

/* A vector as doubles, NULL when absent; *failed on error. */
static LpTensor *doubles(LpTensor *t, bool *failed) {
  if (!t) return NULL;
  LpTensor *d = nn_dense(t, LP_FLOAT64);
  if (!d) *failed = true;
  return d;
}

static const double *values_of(LpTensor *doubles) {
  return doubles ? lp_data(doubles) : NULL;
}

/* running = (1 - momentum) * running + momentum * batch */
static bool update_running(LpTensor *running, const double *batch, double scale,
                           double momentum) {
  if (!running) return true;
  LpTensor *now = nn_dense(running, LP_FLOAT64);
  TRY(now);
  LpTensor *next = nn_empty(running->sizes, 1, LP_FLOAT64);
  bool ok = next != NULL;
  if (ok) {
    const double *from = lp_data(now);
    double *to = lp_data(next);
    for (int64_t c = 0; c < lp_numel(running); c++)
      to[c] = (1 - momentum) * from[c] + momentum * scale * batch[c];
    ok = lp_copy_into(running, next);
    if (ok) lp_bump_version(running);
  }
  lp_tensor_release(now);
  lp_tensor_release(next);
  return ok;
}

/* The affine map of a batch norm, deferred (Note [Deferred elements] in
 * dispatch/layout.h). Its factors are repeated to rows that are worth a call. */
#define DEFERRED_ROW 512 /* elements, or one pixel's channels */

typedef struct DeferredAffine {
  LpDeferred base;
  int type;
  size_t block_bytes, elem_bytes, factor_bytes;
  int64_t channels, row; /* a multiple of channels */
  char *a, *b;           /* aligned: a vector of factors lies in one line of the cache */
} DeferredAffine;

static void compute_affine(const LpDeferred *base, void *to, int64_t first, int64_t n,
                           LpBounds bounds) {
  const DeferredAffine *d = (const DeferredAffine *)base;
  const LpRowKernels *k = lp_row_kernels();
  const char *x = (const char *)base->source->memory + (size_t)first * d->elem_bytes;
  char *y = to;
  for (int64_t c = first % d->channels, m; n > 0; n -= m) {
    m = d->row - c < n ? d->row - c : n;
    k->affine_each[d->type](y, x, m, d->a + (size_t)c * d->factor_bytes,
                            d->b + (size_t)c * d->factor_bytes, bounds.low, bounds.high);
    x += (size_t)m * d->elem_bytes;
    y += (size_t)m * d->elem_bytes;
    c = 0;
  }
}

static void free_affine(LpDeferred *base) {
  lp_block_free(base, ((DeferredAffine *)base)->block_bytes);
}

static size_t aligned(size_t bytes) {
  return (bytes + LP_ALIGNMENT - 1) / LP_ALIGNMENT * LP_ALIGNMENT;
}

/* Defers y = a * x + b for the job; false: not the case for it. */
static bool defer_affine(LpTensor *y, LpTensor *x, const ChannelJob *j) {
  if (!lp_is_hidden(x) || !lp_is_hidden(y)) return false;
  const bool wide = lp_dtype(x) == LP_FLOAT64;
  const size_t factor_bytes = wide ? sizeof(double) : sizeof(float);
  const int64_t times = j->channels < DEFERRED_ROW ? DEFERRED_ROW / j->channels : 1,
                row = times * j->channels;
  const size_t head = aligned(sizeof(DeferredAffine)),
               factors = aligned((size_t)row * factor_bytes);
  size_t block_bytes;
  DeferredAffine *d = lp_block_alloc(head + 2 * factors, &block_bytes);
  if (!d) {
    lp_error_clear();
    return false;
  }
  *d = (DeferredAffine){.base = {NULL, compute_affine, free_affine},
                        .type = j->type,
                        .block_bytes = block_bytes,
                        .elem_bytes = j->elem_bytes,
                        .factor_bytes = factor_bytes,
                        .channels = j->channels,
                        .row = row,
                        .a = (char *)d + head,
                        .b = (char *)d + head + factors};
  for (int64_t i = 0; i < row; i++) {
    const double scale = j->a[i % j->channels], shift = j->b[i % j->channels];
    if (wide)
      ((double *)d->a)[i] = scale, ((double *)d->b)[i] = shift;
    else
      ((float *)d->a)[i] = (float)scale, ((float *)d->b)[i] = (float)shift;
  }
  lp_defer(y, x, &d->base);
  return true;
}

bool lp_impl_native_batch_norm(LpTensor *input, LpTensor *weight, LpTensor *bias,
                               LpTensor *running_mean, LpTensor *running_var,
                               bool training, double momentum, double eps,
                               LpTensor **results) {
  CHECK(lp_ndim(input) >= 2, LP_ERR_ARGUMENT,
        "expected 'input' of at least 2 dims (batch, channels), got %s",
        SHAPE_TEXT(input));
  CHECK_FLOATING(input, "input");
  int64_t channels = lp_size(input, 1);
  TRY(nn_check_channel_vector(weight, "weight", input));
  TRY(nn_check_channel_vector(bias, "bias", input));
  TRY(nn_check_channel_vector(running_mean, "running_mean", input));
  TRY(nn_check_channel_vector(running_var, "running_var", input));
  CHECK(training || (running_mean && running_var), LP_ERR_ARGUMENT,
        "expected 'running_mean' and 'running_var' when training is false, got nil");
  if (training && lp_numel(input) == channels && lp_numel(input) > 0)
    return lp_fail(LP_ERR_ARGUMENT,
                   "expected more than 1 value per channel when training, got input %s",
                   SHAPE_TEXT(input));
  LpDtype dtype = lp_dtype(input), stat_dtype = nn_compute_dtype(dtype);
  const bool last = nn_lies_last(input);
  LpTensor *x = nn_laid(input, dtype, last), *output = NULL, *mean = NULL, *rstd = NULL;
  TRY(x);
  bool failed = false;
  LpTensor *w = doubles(weight, &failed), *b = doubles(bias, &failed), *rm = NULL,
           *rv = NULL;
  ChannelJob j = nn_channel_job(x);
  size_t block_bytes = 0;
  j.eps = eps;
  bool ok = !failed && nn_channel_arrays(&j, channels, &block_bytes) &&
            (output = nn_new_laid(x, lp_sizes(x), dtype, last));
  if (ok && training) {
    if (lp_numel(x)) {
      double m = (double)(j.n * j.plane);
      nn_channel_pass(&j, CHANNEL_STATS);
      ok = update_running(running_mean, j.mean, 1, momentum) &&
           update_running(running_var, j.q, m / (m - 1), momentum);
    } else {
      for (int64_t c = 0; c < channels; c++) j.mean[c] = 0, j.rstd[c] = 1 / sqrt(eps);
    }
  } else if (ok) {
    rm = doubles(running_mean, &failed);
    rv = doubles(running_var, &failed);
    ok = !failed;
    if (ok) {
      memcpy(j.mean, lp_data(rm), (size_t)channels * sizeof(double));
      lp_row_kernels()->inverse_deviations(lp_data(rv), eps, j.rstd, channels);
    }
  }
  if (ok) {
    const double *scale = values_of(w), *shift = values_of(b);
    for (int64_t c = 0; c < channels; c++) {
      j.a[c] = j.rstd[c] * (scale ? scale[c] : 1);
      j.b[c] = (shift ? shift[c] : 0) - j.mean[c] * j.a[c];
    }
    if (!defer_affine(output, x, &j)) {
      j.y = nn_laid_data(output, last);
      nn_channel_pass(&j, CHANNEL_AFFINE);
    }
    ok = (mean = nn_from_doubles(j.mean, lp_ints(&channels, 1), stat_dtype)) &&
         (rstd = nn_from_doubles(j.rstd, lp_ints(&channels, 1), stat_dtype));
  }
  lp_free(j.mean, block_bytes);
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(b);
  lp_tensor_release(rm);
  lp_tensor_release(rv);
  return nn_hand_over(ok, (LpTensor *[]){output, mean, rstd}, 3, results);
}

bool lp_impl_native_batch_norm_backward(LpTensor *grad_output, LpTensor *input,
                                        LpTensor *weight, LpTensor *save_mean,
                                        LpTensor *save_rstd, bool training,
                                        LpTensor *gate, double gate_low,
                                        LpOptFloat gate_high, LpTensor **results) {
  if (gate && !training) { /* the gradient stands in for x below: write it out */
    const LpScalar low = lp_scalar_float(gate_low),
                   high = lp_scalar_float(gate_high.value);
    LpTensor *behind = gate_high.has ? lp_hardtanh_backward(grad_output, gate, low, high)
                                     : lp_threshold_backward(grad_output, gate, low);
    TRY(behind);
    const bool ok =
        lp_impl_native_batch_norm_backward(behind, input, weight, save_mean, save_rstd,
                                           training, NULL, 0, gate_high, results);
    lp_tensor_release(behind);
    return ok;
  }
  LpDtype dtype = lp_dtype(input), weight_dtype = weight ? lp_dtype(weight) : dtype;
  int64_t channels = lp_size(input, 1);
  bool failed = false;
  const bool last = nn_lies_last(input);
  LpTensor *x = nn_laid(input, dtype, last), *g = nn_laid(grad_output, dtype, last),
           *y = gate ? nn_laid(gate, dtype, last) : NULL, *gx = NULL, *gw = NULL,
           *gb = NULL;
  LpTensor *w = doubles(weight, &failed), *mean = doubles(save_mean, &failed),
           *rstd = doubles(save_rstd, &failed);
  bool ok = x && g && (y || !gate) && !failed;
  ChannelJob j = {0};
  size_t block_bytes = 0;
  if (ok) {
    j = nn_channel_job(x);
    j.g = nn_laid_data(g, last);
    if (y)
      j.gate =
          (LpRowGate){nn_laid_data(y, last), gate_low, gate_high.value, gate_high.has};
    ok = nn_channel_arrays(&j, channels, &block_bytes) &&
         (gx = nn_new_laid(x, lp_sizes(x), dtype, last));
  }
  if (ok) {
    memcpy(j.mean, lp_data(mean), (size_t)channels * sizeof(double));
    nn_channel_pass(&j, CHANNEL_GRAD_SUMS);
    double m = (double)(j.n * j.plane);
    const double *rs = values_of(rstd), *ws = values_of(w);
    for (int64_t c = 0; c < channels; c++) {
      double r = rs[c], scale = r * (ws ? ws[c] : 1);
      double slope = training ? -scale * r * r * j.q[c] / m : 0;
      j.a[c] = scale;
      j.b[c] = slope;
      j.c[c] = training ? -scale * j.s[c] / m - j.mean[c] * slope : 0;
      j.q[c] *= r;
    }
    j.y = nn_laid_data(gx, last);
    if (!training) j.x = j.g; /* its factor is 0, and an infinite x times 0 no number */
    nn_channel_pass(&j, CHANNEL_COMBINE);
    ok = (gw = nn_from_doubles(j.q, lp_ints(&channels, 1), weight_dtype)) &&
         (gb = nn_from_doubles(j.s, lp_ints(&channels, 1), weight_dtype));
  }
  lp_free(j.mean, block_bytes);
  lp_tensor_release(x);
  lp_tensor_release(g);
  lp_tensor_release(y);
  lp_tensor_release(w);
  lp_tensor_release(mean);
  lp_tensor_release(rstd);
  return nn_hand_over(ok, (LpTensor *[]){gx, gw, gb}, 3, results);
}

/* The sum of everything but dim 1. */
LpTensor *lp_impl_channel_sum(LpTensor *self) {
  LpDtype dtype = lp_dtype(self);
  int64_t channels = lp_size(self, 1);
  if (lp_dtype_is_complex(dtype)) {
    int64_t dims[LP_MAX_DIMS], n = 0;
    for (int d = 0; d < self->ndim; d++)
      if (d != 1) dims[n++] = d;
    return lp_sum_dim(self, lp_ints(dims, n), false, LP_DTYPE_NONE);
  }
  LpTensor *x = nn_laid(self, dtype, nn_lies_last(self)), *result = NULL;
  TRY(x);
  ChannelJob j = nn_channel_job(x);
  size_t block_bytes = 0;
  if (nn_channel_arrays(&j, channels, &block_bytes)) {
    /* The moments about zero of the gradient pass: s is the plain sum. */
    for (int64_t c = 0; c < channels; c++) j.mean[c] = 0;
    j.g = j.x;
    nn_channel_pass(&j, CHANNEL_GRAD_SUMS);
    result = nn_from_doubles(j.s, lp_ints(&channels, 1), dtype);
    lp_free(j.mean, block_bytes);
  }
  lp_tensor_release(x);
  return result;
}
