/* Batch, layer and group normalisation and their gradients: y = (x - mean) * rstd *
 * weight + bias, with mean and rstd over the elements of a channel, of a row, of a group
 * of channels.
 *
 * Gradient, with g' = g * weight and m() the mean over a set: gx = rstd * (g' - m(g') -
 * xhat * m(g' * xhat)). The sums behind it come from one pass over g and x, the result
 * from a second. Statistics are accumulated in double; variances about a pivot (the set's
 * first element), so that a mean far from zero costs no precision. */
#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/rows.h"
#include "dispatch/layout.h"
#include "dispatch/nn_util.h"
#include "impl.h"
#include "lampad/ops.h"

/* (n, channels, plane) over the dense buffers of one call; where they lie channels last,
 * n counts the pixels of all images and plane is 1. */
typedef struct ChannelJob {
  int type; /* nn_float_index */
  size_t elem_bytes;
  int64_t n, channels, plane;
  const char *x, *g;
  char *y;
  double *mean, *rstd; /* of each channel: in or out */
  double *a, *b, *c;   /* coefficients of the elementwise pass */
  double *s, *q;       /* sums */
  double eps;
} ChannelJob;

static const char *plane_at(const ChannelJob *j, const char *base, int64_t n,
                            int64_t channel) {
  return base + (size_t)((n * j->channels + channel) * j->plane) * j->elem_bytes;
}

static void finish_moments(const ChannelJob *j, int64_t channel, double pivot) {
  double m = (double)(j->n * j->plane), d = j->s[channel] / m;
  double variance = j->q[channel] / m - d * d;
  j->mean[channel] = pivot + d;
  j->q[channel] = variance > 0 || variance != variance
                      ? variance
                      : 0; /* the biased variance from here on */
  j->rstd[channel] = 1 / sqrt(j->q[channel] + j->eps);
}

static void stats_planes(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t c = begin; c < end; c++) {
    double pivot = k->first[j->type](plane_at(j, j->x, 0, c));
    if (!isfinite(pivot)) pivot = 0;
    j->s[c] = j->q[c] = 0;
    for (int64_t n = 0; n < j->n; n++)
      k->moments[j->type](plane_at(j, j->x, n, c), j->plane, pivot, &j->s[c], &j->q[c]);
    finish_moments(j, c, pivot);
  }
}

static void affine_planes(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t n = 0; n < j->n; n++)
    for (int64_t c = begin; c < end; c++)
      k->affine[j->type]((char *)plane_at(j, j->y, n, c), plane_at(j, j->x, n, c),
                         j->plane, j->a[c], j->b[c]);
}

static void grad_sums_planes(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t c = begin; c < end; c++) {
    j->s[c] = j->q[c] = 0;
    for (int64_t n = 0; n < j->n; n++)
      k->grad_moments[j->type](plane_at(j, j->g, n, c), plane_at(j, j->x, n, c), j->plane,
                               j->mean[c], &j->s[c], &j->q[c]);
  }
}

static void combine_planes(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t n = 0; n < j->n; n++)
    for (int64_t c = begin; c < end; c++)
      k->combine[j->type]((char *)plane_at(j, j->y, n, c), plane_at(j, j->g, n, c),
                          plane_at(j, j->x, n, c), j->plane, j->a[c], j->b[c], j->c[c]);
}

/* Columns of a matrix (n, channels): plane is 1. */
static void stats_columns(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  double *pivot = j->mean;
  for (int64_t c = begin; c < end; c++) {
    pivot[c] = k->first[j->type](j->x + (size_t)c * j->elem_bytes);
    if (!isfinite(pivot[c])) pivot[c] = 0;
    j->s[c] = j->q[c] = 0;
  }
  k->column_moments[j->type](j->x + (size_t)begin * j->elem_bytes, j->n, j->channels,
                             end - begin, pivot + begin, j->s + begin, j->q + begin);
  for (int64_t c = begin; c < end; c++) finish_moments(j, c, pivot[c]);
}

static void affine_columns(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  size_t at = (size_t)begin * j->elem_bytes;
  lp_row_kernels()->column_affine[j->type](j->y + at, j->x + at, j->n, j->channels,
                                           end - begin, j->a + begin, j->b + begin);
}

static void grad_sums_columns(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  size_t at = (size_t)begin * j->elem_bytes;
  for (int64_t c = begin; c < end; c++) j->s[c] = j->q[c] = 0;
  lp_row_kernels()->column_grad_moments[j->type](j->g + at, j->x + at, j->n, j->channels,
                                                 end - begin, j->mean + begin,
                                                 j->s + begin, j->q + begin);
}

static void combine_columns(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  size_t at = (size_t)begin * j->elem_bytes;
  lp_row_kernels()->column_combine[j->type](j->y + at, j->g + at, j->x + at, j->n,
                                            j->channels, end - begin, j->a + begin,
                                            j->b + begin, j->c + begin);
}

/* Rows [begin, end) of such a matrix, all channels. */
static void affine_rows(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const size_t at = (size_t)(begin * j->channels) * j->elem_bytes;
  lp_row_kernels()->column_affine[j->type](j->y + at, j->x + at, end - begin, j->channels,
                                           j->channels, j->a, j->b);
}

static void combine_rows(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const size_t at = (size_t)(begin * j->channels) * j->elem_bytes;
  lp_row_kernels()->column_combine[j->type](j->y + at, j->g + at, j->x + at, end - begin,
                                            j->channels, j->channels, j->a, j->b, j->c);
}

/* Sums over pieces of the rows, each into arrays of its own. */
typedef struct RowSums {
  ChannelJob *job;
  bool of_gradient;
  int64_t piece;
  double *s, *q; /* (pieces, channels) */
} RowSums;

static void sum_rows(void *ctx, int64_t begin, int64_t end) {
  const RowSums *r = ctx;
  const ChannelJob *j = r->job;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t p = begin; p < end; p++) {
    const int64_t row = p * r->piece, left = j->n - row,
                  rows = left < r->piece ? left : r->piece;
    const size_t at = (size_t)(row * j->channels) * j->elem_bytes;
    double *s = r->s + p * j->channels, *q = r->q + p * j->channels;
    for (int64_t c = 0; c < j->channels; c++) s[c] = q[c] = 0;
    if (r->of_gradient)
      k->column_grad_moments[j->type](j->g + at, j->x + at, rows, j->channels,
                                      j->channels, j->mean, s, q);
    else
      k->column_moments[j->type](j->x + at, rows, j->channels, j->channels, j->mean, s,
                                 q);
  }
}

typedef enum { STATS, AFFINE, GRAD_SUMS, COMBINE } Pass;

/* The passes over a matrix of many more rows than channels; false: take the other way. */
static bool run_rows(ChannelJob *j, Pass pass) {
  const int64_t threads = lp_num_threads();
  if (j->plane != 1 || j->n < 4 * threads || j->n < j->channels) return false;
  if (pass == AFFINE || pass == COMBINE) {
    lp_parallel_for(j->n, LP_GRAIN / (j->channels + 1) + 1,
                    pass == AFFINE ? affine_rows : combine_rows, j);
    return true;
  }
  RowSums r = {.job = j, .of_gradient = pass == GRAD_SUMS};
  r.piece = (j->n + threads - 1) / threads;
  const int64_t pieces = (j->n + r.piece - 1) / r.piece;
  const size_t bytes = (size_t)(2 * pieces * j->channels) * sizeof(double);
  r.s = lp_alloc(bytes);
  if (!r.s) {
    lp_error_clear();
    return false;
  }
  r.q = r.s + pieces * j->channels;
  for (int64_t c = 0; c < j->channels && pass == STATS; c++) {
    j->mean[c] = lp_row_kernels()->first[j->type](j->x + (size_t)c * j->elem_bytes);
    if (!isfinite(j->mean[c])) j->mean[c] = 0;
  }
  lp_parallel_for(pieces, LP_GRAIN / (r.piece * j->channels + 1) + 1, sum_rows, &r);
  for (int64_t c = 0; c < j->channels; c++) {
    j->s[c] = j->q[c] = 0;
    for (int64_t p = 0; p < pieces; p++) {
      j->s[c] += r.s[p * j->channels + c];
      j->q[c] += r.q[p * j->channels + c];
    }
    if (pass == STATS) finish_moments(j, c, j->mean[c]);
  }
  lp_free(r.s, bytes);
  return true;
}

static void run(ChannelJob *j, Pass pass) {
  static void (*const planes[])(void *, int64_t, int64_t) = {
      stats_planes, affine_planes, grad_sums_planes, combine_planes};
  static void (*const columns[])(void *, int64_t, int64_t) = {
      stats_columns, affine_columns, grad_sums_columns, combine_columns};
  if (run_rows(j, pass)) return;
  int64_t work = j->n * j->plane;
  lp_parallel_for(j->channels, LP_GRAIN / (work + 1) + 1,
                  (j->plane == 1 ? columns : planes)[pass], j);
}

/* The seven double arrays of a job in one block. */
static bool job_arrays(ChannelJob *j, size_t *block_bytes) {
  *block_bytes = (size_t)(j->channels + 1) * 7 * sizeof(double);
  double *all = lp_alloc(*block_bytes);
  TRY(all);
  double **arrays[7] = {&j->mean, &j->rstd, &j->a, &j->b, &j->c, &j->s, &j->q};
  for (int i = 0; i < 7; i++) *arrays[i] = all + (int64_t)i * (j->channels + 1);
  return true;
}

static ChannelJob channel_job(LpTensor *x) {
  ChannelJob j = {.type = nn_float_index(lp_dtype(x)),
                  .elem_bytes = lp_dtype_size(lp_dtype(x))};
  j.n = lp_size(x, 0);
  j.channels = lp_size(x, 1);
  j.plane = 1;
  for (int d = 2; d < x->ndim; d++) j.plane *= x->sizes[d];
  j.x = lp_channels_last_data(x);
  if (j.x) {
    j.n *= j.plane;
    j.plane = 1;
  } else {
    j.x = lp_data(x);
  }
  return j;
}

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

/* t is a vector of one value per channel of the input, or NULL. */
static bool check_vector(LpTensor *t, const char *name, LpTensor *input) {
  if (!t) return true;
  int64_t n = lp_size(input, 1);
  CHECK(lp_ndim(t) == 1 && lp_size(t, 0) == n, LP_ERR_ARGUMENT,
        "expected '%s' of shape [%lld] (one per channel of the input, %s), got %s", name,
        (long long)n, SHAPE_TEXT(input), SHAPE_TEXT(t));
  return nn_check_norm_dtype(t, name, lp_dtype(input));
}

/* A 1-d tensor of the dtype holding the doubles. */
static LpTensor *from_doubles(const double *values, LpInts sizes, LpDtype dtype) {
  LpTensor *t = lp_tensor_new(sizes, LP_FLOAT64, lp_cpu());
  if (t) memcpy(lp_data(t), values, (size_t)lp_numel(t) * sizeof(double));
  return nn_cast_take(t, dtype);
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

bool lp_impl_native_batch_norm(LpTensor *input, LpTensor *weight, LpTensor *bias,
                               LpTensor *running_mean, LpTensor *running_var,
                               bool training, double momentum, double eps,
                               LpTensor **results) {
  CHECK(lp_ndim(input) >= 2, LP_ERR_ARGUMENT,
        "expected 'input' of at least 2 dims (batch, channels), got %s",
        SHAPE_TEXT(input));
  CHECK_FLOATING(input, "input");
  int64_t channels = lp_size(input, 1);
  TRY(check_vector(weight, "weight", input));
  TRY(check_vector(bias, "bias", input));
  TRY(check_vector(running_mean, "running_mean", input));
  TRY(check_vector(running_var, "running_var", input));
  CHECK(training || (running_mean && running_var), LP_ERR_ARGUMENT,
        "expected 'running_mean' and 'running_var' when training is false, got nil");
  if (training && lp_numel(input) == channels && lp_numel(input) > 0)
    return lp_fail(LP_ERR_ARGUMENT,
                   "expected more than 1 value per channel when training, got input %s",
                   SHAPE_TEXT(input));
  LpDtype dtype = lp_dtype(input), stat_dtype = nn_compute_dtype(dtype);
  const bool last = lp_channels_last_data(input) != NULL;
  LpTensor *x = nn_laid(input, dtype, last), *output = NULL, *mean = NULL, *rstd = NULL;
  TRY(x);
  bool failed = false;
  LpTensor *w = doubles(weight, &failed), *b = doubles(bias, &failed), *rm = NULL,
           *rv = NULL;
  ChannelJob j = channel_job(x);
  size_t block_bytes = 0;
  j.eps = eps;
  bool ok = !failed && job_arrays(&j, &block_bytes) &&
            (output = nn_new_laid(x, lp_sizes(x), dtype, last));
  if (ok && training) {
    if (lp_numel(x)) {
      double m = (double)(j.n * j.plane);
      run(&j, STATS);
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
    j.y = nn_laid_data(output, last);
    run(&j, AFFINE);
    ok = (mean = from_doubles(j.mean, lp_ints(&channels, 1), stat_dtype)) &&
         (rstd = from_doubles(j.rstd, lp_ints(&channels, 1), stat_dtype));
  }
  lp_free(j.mean, block_bytes);
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(b);
  lp_tensor_release(rm);
  lp_tensor_release(rv);
  if (!ok) {
    lp_drop(&output);
    lp_drop(&mean);
    lp_drop(&rstd);
  }
  results[0] = output;
  results[1] = mean;
  results[2] = rstd;
  return ok;
}

bool lp_impl_native_batch_norm_backward(LpTensor *grad_output, LpTensor *input,
                                        LpTensor *weight, LpTensor *save_mean,
                                        LpTensor *save_rstd, bool training,
                                        LpTensor **results) {
  LpDtype dtype = lp_dtype(input), weight_dtype = weight ? lp_dtype(weight) : dtype;
  int64_t channels = lp_size(input, 1);
  bool failed = false;
  const bool last = lp_channels_last_data(input) != NULL;
  LpTensor *x = nn_laid(input, dtype, last), *g = nn_laid(grad_output, dtype, last),
           *gx = NULL, *gw = NULL, *gb = NULL;
  LpTensor *w = doubles(weight, &failed), *mean = doubles(save_mean, &failed),
           *rstd = doubles(save_rstd, &failed);
  bool ok = x && g && !failed;
  ChannelJob j = {0};
  size_t block_bytes = 0;
  if (ok) {
    j = channel_job(x);
    j.g = nn_laid_data(g, last);
    ok = job_arrays(&j, &block_bytes) && (gx = nn_new_laid(x, lp_sizes(x), dtype, last));
  }
  if (ok) {
    memcpy(j.mean, lp_data(mean), (size_t)channels * sizeof(double));
    run(&j, GRAD_SUMS);
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
    run(&j, COMBINE);
    ok = (gw = from_doubles(j.q, lp_ints(&channels, 1), weight_dtype)) &&
         (gb = from_doubles(j.s, lp_ints(&channels, 1), weight_dtype));
  }
  lp_free(j.mean, block_bytes);
  lp_tensor_release(x);
  lp_tensor_release(g);
  lp_tensor_release(w);
  lp_tensor_release(mean);
  lp_tensor_release(rstd);
  if (!ok) {
    lp_drop(&gx);
    lp_drop(&gw);
    lp_drop(&gb);
  }
  results[0] = gx;
  results[1] = gw;
  results[2] = gb;
  return ok;
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
  LpTensor *x = nn_laid(self, dtype, lp_channels_last_data(self) != NULL), *result = NULL;
  TRY(x);
  ChannelJob j = channel_job(x);
  size_t block_bytes = 0;
  if (job_arrays(&j, &block_bytes)) {
    /* The moments about zero of the gradient pass: s is the plain sum. */
    for (int64_t c = 0; c < channels; c++) j.mean[c] = 0;
    j.g = j.x;
    run(&j, GRAD_SUMS);
    result = from_doubles(j.s, lp_ints(&channels, 1), dtype);
    lp_free(j.mean, block_bytes);
  }
  lp_tensor_release(x);
  return result;
}
