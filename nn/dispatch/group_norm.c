/* Group normalisation and its gradient; the mathematics is that of norm.c, over the
 * elements of a group of neighbouring channels of one image. Instance normalisation is
 * that of groups of one channel.
 *
 * Made of the passes over channels (channels.h), image by image, or in row-major memory
 * by as many groups as stay in a processor's own cache between two passes. A group's mean
 * and variance come from its channels': the variance is the mean of theirs plus the
 * variance of their means.
 *
 * Where a channel has few elements, row-major, a group is a row of those passes
 * (row_norm.h) whose weights are a channel's, as many times as it has elements. */
#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "dispatch/channels.h"
#include "dispatch/nn_util.h"
#include "dispatch/row_norm.h"
#include "impl.h"

#define UNIT 16384 /* elements of row-major memory that are treated together */
#define SMALL 64   /* elements of a channel below which groups are rows */

typedef struct GroupJob {
  ChannelJob all; /* over all images: their buffers, arrays of (images, channels) */
  int64_t images, channels, plane, groups, per_group, unit_groups, units;
  bool last; /* channels last */
  const double *w, *b;
  double *mean, *rstd; /* (images, groups) */
} GroupJob;

/* Channels [first, first + job.channels) of an image. */
typedef struct Unit {
  ChannelJob job;
  int64_t image, first;
} Unit;

static Unit unit_of(const GroupJob *j, int64_t i) {
  const int64_t of_image = (j->groups + j->unit_groups - 1) / j->unit_groups,
                group = i % of_image * j->unit_groups, left = j->groups - group;
  Unit u = {.job = j->all, .image = i / of_image, .first = group * j->per_group};
  ChannelJob *c = &u.job;
  c->channels = (left < j->unit_groups ? left : j->unit_groups) * j->per_group;
  c->n = j->last ? j->plane : 1;
  c->plane = j->last ? 1 : j->plane;
  const int64_t at = u.image * j->channels + u.first;
  const size_t bytes = (size_t)(at * j->plane) * c->elem_bytes;
  c->x += bytes;
  c->y += bytes;
  if (c->g) c->g += bytes;
  double **arrays[] = {&c->mean, &c->rstd, &c->a, &c->b, &c->c, &c->s, &c->q};
  for (int k = 0; k < 7; k++) *arrays[k] += at;
  return u;
}

static void forward(void *ctx, int64_t begin, int64_t end) {
  const GroupJob *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    Unit u = unit_of(j, i);
    ChannelJob *c = &u.job;
    nn_channel_pass(c, CHANNEL_STATS);
    for (int64_t from = 0; from < c->channels; from += j->per_group) {
      const int64_t to = from + j->per_group, n = j->per_group,
                    group = (u.image * j->channels + u.first + from) / n;
      double mean = 0, variance = 0;
      for (int64_t k = from; k < to; k++) mean += c->mean[k] / (double)n;
      for (int64_t k = from; k < to; k++)
        variance += (c->q[k] + (c->mean[k] - mean) * (c->mean[k] - mean)) / (double)n;
      const double rstd = 1 / sqrt(variance + c->eps);
      j->mean[group] = mean;
      j->rstd[group] = rstd;
      for (int64_t k = from; k < to; k++) {
        c->a[k] = rstd * (j->w ? j->w[u.first + k] : 1);
        c->b[k] = (j->b ? j->b[u.first + k] : 0) - mean * c->a[k];
      }
    }
    nn_channel_pass(c, CHANNEL_AFFINE);
  }
}

static void backward(void *ctx, int64_t begin, int64_t end) {
  const GroupJob *j = ctx;
  for (int64_t i = begin; i < end; i++) {
    Unit u = unit_of(j, i);
    ChannelJob *c = &u.job;
    const int64_t first_group = (u.image * j->channels + u.first) / j->per_group;
    for (int64_t k = 0; k < c->channels; k++)
      c->mean[k] = j->mean[first_group + k / j->per_group];
    nn_channel_pass(c, CHANNEL_GRAD_SUMS);
    for (int64_t from = 0; from < c->channels; from += j->per_group) {
      const int64_t to = from + j->per_group;
      const double mean = c->mean[from], r = j->rstd[first_group + from / j->per_group],
                   m = (double)(j->per_group * j->plane);
      double s = 0, q = 0;
      for (int64_t k = from; k < to; k++) {
        const double w = j->w ? j->w[u.first + k] : 1;
        s += w * c->s[k];
        q += w * c->q[k];
        c->q[k] *= r;
        c->a[k] = r * w;
      }
      for (int64_t k = from; k < to; k++) {
        c->b[k] = -r * r * r * q / m;
        c->c[k] = -r * s / m - mean * c->b[k];
      }
    }
    nn_channel_pass(c, CHANNEL_COMBINE);
  }
}

/* Units that would leave threads without work go one after the other, each on all. */
static void run(GroupJob *j, void (*body)(void *, int64_t, int64_t)) {
  const int64_t work = j->unit_groups * j->per_group * j->plane,
                threads = lp_num_threads();
  const bool each = j->units < 4 * threads && j->units % threads != 0;
  lp_parallel_for(j->units, each ? j->units : LP_GRAIN / (work + 1) + 1, body, j);
}

/* The job over x, which lies as `last` says, with its arrays. */
static bool job_init(GroupJob *j, LpTensor *x, int64_t groups, bool last,
                     size_t *block_bytes) {
  *j = (GroupJob){.images = lp_size(x, 0),
                  .channels = lp_size(x, 1),
                  .plane = 1,
                  .groups = groups,
                  .per_group = lp_size(x, 1) / groups,
                  .unit_groups = groups,
                  .last = last};
  for (int d = 2; d < x->ndim; d++) j->plane *= x->sizes[d];
  if (!last) {
    const int64_t most = UNIT / (j->per_group * j->plane + 1);
    j->unit_groups = most < 1 ? 1 : most < groups ? most : groups;
  }
  j->units = j->images * ((groups + j->unit_groups - 1) / j->unit_groups);
  j->all = (ChannelJob){.type = nn_float_index(lp_dtype(x)),
                        .elem_bytes = lp_dtype_size(lp_dtype(x)),
                        .x = nn_laid_data(x, last)};
  return nn_channel_arrays(&j->all, j->images * j->channels, block_bytes);
}

static int64_t plane_of(const LpTensor *x) {
  int64_t plane = 1;
  for (int d = 2; d < x->ndim; d++) plane *= x->sizes[d];
  return plane;
}

static bool are_rows(const LpTensor *x, bool last) {
  return !last && plane_of(x) < SMALL;
}

/* The groups of x, dense, as rows; stats: their means and 1 / deviations. */
static RowNorm group_rows(LpTensor *x, int64_t groups, double *stats) {
  const int64_t rows = lp_size(x, 0) * groups;
  return (RowNorm){.dtype = lp_dtype(x),
                   .rows = rows,
                   .n = lp_size(x, 1) / groups * plane_of(x),
                   .x = lp_data(x),
                   .period = groups,
                   .mean = stats,
                   .rstd = stats + rows};
}

static bool rows_forward(LpTensor *x, int64_t groups, LpTensor *weight, LpTensor *bias,
                         double eps, double *stats, LpTensor *y) {
  RowNorm j = group_rows(x, groups, stats);
  const int64_t plane = plane_of(x);
  LpTensor *w = NULL, *b = NULL;
  const bool ok = nn_row_weights(weight, j.dtype, plane, j.n, &w) &&
                  nn_row_weights(bias, j.dtype, plane, j.n, &b);
  if (ok) {
    j.w = w ? lp_data(w) : NULL;
    j.b = b ? lp_data(b) : NULL;
    j.y = lp_data(y);
    j.eps = eps;
    nn_rows_forward(&j);
  }
  lp_tensor_release(w);
  lp_tensor_release(b);
  return ok;
}

static bool rows_backward(LpTensor *x, LpTensor *g, int64_t groups, LpTensor *weight,
                          double *stats, LpTensor *gx, double *totals) {
  RowNorm j = group_rows(x, groups, stats);
  const int64_t plane = plane_of(x), channels = lp_size(x, 1);
  LpTensor *w = NULL;
  bool ok = nn_row_weights(weight, j.dtype, plane, j.n, &w);
  if (ok) {
    j.g = lp_data(g);
    j.w = w ? lp_data(w) : NULL;
    j.y = lp_data(gx);
    ok = nn_rows_backward(&j, totals, totals + channels, channels, plane);
  }
  lp_tensor_release(w);
  return ok;
}

/* By the passes over channels. */
static bool channels_forward(LpTensor *x, int64_t groups, bool last, LpTensor *weight,
                             LpTensor *bias, double eps, double *stats, LpTensor *y) {
  LpTensor *w = weight ? nn_dense(weight, LP_FLOAT64) : NULL,
           *b = bias ? nn_dense(bias, LP_FLOAT64) : NULL;
  GroupJob j;
  size_t block_bytes = 0;
  const bool ok =
      (w || !weight) && (b || !bias) && job_init(&j, x, groups, last, &block_bytes);
  if (ok) {
    j.all.y = nn_laid_data(y, last);
    j.all.eps = eps;
    j.w = w ? lp_data(w) : NULL;
    j.b = b ? lp_data(b) : NULL;
    j.mean = stats;
    j.rstd = stats + lp_size(x, 0) * groups;
    run(&j, forward);
    lp_free(j.all.mean, block_bytes);
  }
  lp_tensor_release(w);
  lp_tensor_release(b);
  return ok;
}

static bool channels_backward(LpTensor *x, LpTensor *g, int64_t groups, bool last,
                              LpTensor *weight, double *stats, LpTensor *gx,
                              double *totals) {
  LpTensor *w = weight ? nn_dense(weight, LP_FLOAT64) : NULL;
  const int64_t channels = lp_size(x, 1);
  GroupJob j;
  size_t block_bytes = 0;
  const bool ok = (w || !weight) && job_init(&j, x, groups, last, &block_bytes);
  if (ok) {
    j.all.g = nn_laid_data(g, last);
    j.all.y = nn_laid_data(gx, last);
    j.w = w ? lp_data(w) : NULL;
    j.mean = stats;
    j.rstd = stats + lp_size(x, 0) * groups;
    run(&j, backward);
    for (int64_t i = 0; i < j.images * channels; i++) {
      totals[i % channels] += j.all.q[i];
      totals[channels + i % channels] += j.all.s[i];
    }
    lp_free(j.all.mean, block_bytes);
  }
  lp_tensor_release(w);
  return ok;
}

bool lp_impl_native_group_norm(LpTensor *input, int64_t num_groups, LpTensor *weight,
                               LpTensor *bias, double eps, LpTensor **results) {
  CHECK(lp_ndim(input) >= 2, LP_ERR_ARGUMENT,
        "expected 'input' of at least 2 dims (batch, channels), got %s",
        SHAPE_TEXT(input));
  CHECK_FLOATING(input, "input");
  const int64_t channels = lp_size(input, 1);
  CHECK(channels > 0 && (lp_size(input, 0) == 0 || lp_numel(input) > 0), LP_ERR_ARGUMENT,
        "expected 'input' with elements in every dim but the batch, got %s",
        SHAPE_TEXT(input));
  CHECK(num_groups > 0 && channels % num_groups == 0, LP_ERR_ARGUMENT,
        "expected a number of channels divisible by num_groups %lld, got input %s",
        (long long)num_groups, SHAPE_TEXT(input));
  TRY(nn_check_channel_vector(weight, "weight", input));
  TRY(nn_check_channel_vector(bias, "bias", input));
  const LpDtype dtype = lp_dtype(input);
  const int64_t sizes[2] = {lp_size(input, 0), num_groups};
  const bool last = nn_lies_last(input);
  LpTensor *x = nn_laid(input, dtype, last);
  LpTensor *stats = nn_zeros((int64_t[]){2, sizes[0] * num_groups}, 2, LP_FLOAT64);
  /* Instance norm is this with a group for each channel, and row-major in PyTorch. */
  LpTensor *y = !x                       ? NULL
                : num_groups == channels ? nn_new_hidden(x, lp_sizes(x), dtype, last)
                                         : nn_new_laid(x, lp_sizes(x), dtype, last),
           *mean = NULL, *rstd = NULL;
  bool ok = y && stats;
  if (ok) {
    double *stat = lp_data(stats);
    ok = are_rows(x, last)
             ? rows_forward(x, num_groups, weight, bias, eps, stat, y)
             : channels_forward(x, num_groups, last, weight, bias, eps, stat, y);
  }
  if (ok) {
    const double *stat = lp_data(stats);
    ok = (mean = nn_from_doubles(stat, lp_ints(sizes, 2), nn_compute_dtype(dtype))) &&
         (rstd = nn_from_doubles(stat + sizes[0] * num_groups, lp_ints(sizes, 2),
                                 nn_compute_dtype(dtype)));
  }
  lp_tensor_release(x);
  lp_tensor_release(stats);
  return nn_hand_over(ok, (LpTensor *[]){y, mean, rstd}, 3, results);
}

bool lp_impl_native_group_norm_backward(LpTensor *grad_output, LpTensor *input,
                                        int64_t num_groups, LpTensor *weight,
                                        LpTensor *mean, LpTensor *rstd,
                                        LpTensor **results) {
  const LpDtype dtype = lp_dtype(input), weight_dtype = weight ? lp_dtype(weight) : dtype;
  const int64_t channels = lp_size(input, 1);
  const bool last = nn_lies_last(input);
  LpTensor *x = nn_laid(input, dtype, last), *g = nn_laid(grad_output, dtype, last);
  const int64_t groups = lp_size(input, 0) * num_groups;
  LpTensor *stats = nn_zeros((int64_t[]){2, groups}, 2, LP_FLOAT64);
  LpTensor *means = nn_dense(mean, LP_FLOAT64), *rstds = nn_dense(rstd, LP_FLOAT64);
  LpTensor *totals = nn_zeros((int64_t[]){2, channels}, 2, LP_FLOAT64);
  LpTensor *gx = x ? nn_new_laid(x, lp_sizes(x), dtype, last) : NULL, *gw = NULL,
           *gb = NULL;
  bool ok = g && means && rstds && stats && totals && gx;
  if (ok) {
    double *stat = lp_data(stats), *total = lp_data(totals);
    memcpy(stat, lp_data(means), (size_t)groups * sizeof(double));
    memcpy(stat + groups, lp_data(rstds), (size_t)groups * sizeof(double));
    ok = are_rows(x, last)
             ? rows_backward(x, g, num_groups, weight, stat, gx, total)
             : channels_backward(x, g, num_groups, last, weight, stat, gx, total);
  }
  if (ok) {
    const double *total = lp_data(totals);
    const LpInts vector = lp_ints(&channels, 1);
    ok = (gw = nn_from_doubles(total, vector, weight_dtype)) &&
         (gb = nn_from_doubles(total + channels, vector, weight_dtype));
  }
  LpTensor *used[] = {x, g, means, rstds, stats, totals};
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) lp_tensor_release(used[i]);
  return nn_hand_over(ok, (LpTensor *[]){gx, gw, gb}, 3, results);
}
