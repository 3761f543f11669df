/* See channels.h. Statistics are accumulated in double; variances about a pivot (a
 * channel's first element), so that a mean far from zero costs no precision. */
#include "dispatch/channels.h"

#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/rows.h"
#include "dispatch/layout.h"
#include "dispatch/nn_util.h"

/* Where channel c of image n begins, in bytes. */
static size_t plane_at(const ChannelJob *j, int64_t n, int64_t c) {
  return (size_t)((n * j->channels + c) * j->plane) * j->elem_bytes;
}

/* The gate from its element `at_bytes` on. */
static LpRowGate gate_at(const ChannelJob *j, size_t at_bytes) {
  LpRowGate gate = j->gate;
  if (gate.y) gate.y = (const char *)gate.y + at_bytes;
  return gate;
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
    double pivot = k->first[j->type](j->x + plane_at(j, 0, c));
    if (!isfinite(pivot)) pivot = 0;
    j->s[c] = j->q[c] = 0;
    for (int64_t n = 0; n < j->n; n++)
      k->moments[j->type](j->x + plane_at(j, n, c), j->plane, pivot, &j->s[c], &j->q[c]);
    finish_moments(j, c, pivot);
  }
}

static void affine_planes(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t n = 0; n < j->n; n++)
    for (int64_t c = begin; c < end; c++) {
      const size_t at = plane_at(j, n, c);
      k->affine[j->type](j->y + at, j->x + at, j->plane, j->a[c], j->b[c]);
    }
}

static void grad_sums_planes(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t c = begin; c < end; c++) {
    j->s[c] = j->q[c] = 0;
    for (int64_t n = 0; n < j->n; n++) {
      const size_t at = plane_at(j, n, c);
      k->grad_moments[j->type](j->g + at, gate_at(j, at), j->x + at, j->plane, j->mean[c],
                               &j->s[c], &j->q[c]);
    }
  }
}

static void combine_planes(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t n = 0; n < j->n; n++)
    for (int64_t c = begin; c < end; c++) {
      const size_t at = plane_at(j, n, c);
      k->combine[j->type](j->y + at, j->g + at, gate_at(j, at), j->x + at, j->plane,
                          j->a[c], j->b[c], j->c[c]);
    }
}

/* Columns of a matrix (n, channels): plane is 1. A single one is a row. */
static void column_moments(const ChannelJob *j, const char *x, int64_t rows,
                           int64_t columns, const double *pivot, double *s, double *q) {
  const LpRowKernels *k = lp_row_kernels();
  if (j->channels == 1)
    k->moments[j->type](x, rows, *pivot, s, q);
  else
    k->column_moments[j->type](x, rows, j->channels, columns, pivot, s, q);
}

static void column_affine(const ChannelJob *j, size_t at, int64_t rows, int64_t first,
                          int64_t columns) {
  const LpRowKernels *k = lp_row_kernels();
  const double *a = j->a + first, *b = j->b + first;
  if (j->channels == 1)
    k->affine[j->type](j->y + at, j->x + at, rows, *a, *b);
  else
    k->column_affine[j->type](j->y + at, j->x + at, rows, j->channels, columns, a, b);
}

static void column_grad_moments(const ChannelJob *j, size_t at, int64_t rows,
                                int64_t first, int64_t columns, double *s, double *q) {
  const LpRowKernels *k = lp_row_kernels();
  const LpRowGate gate = gate_at(j, at);
  const char *g = j->g + at, *x = j->x + at;
  const double *mean = j->mean + first;
  if (j->channels == 1)
    k->grad_moments[j->type](g, gate, x, rows, *mean, s, q);
  else
    k->column_grad_moments[j->type](g, gate, x, rows, j->channels, columns, mean, s, q);
}

static void column_combine(const ChannelJob *j, size_t at, int64_t rows, int64_t first,
                           int64_t columns) {
  const LpRowKernels *k = lp_row_kernels();
  const LpRowGate gate = gate_at(j, at);
  const char *g = j->g + at, *x = j->x + at;
  char *y = j->y + at;
  const double *a = j->a + first, *b = j->b + first, *c = j->c + first;
  if (j->channels == 1)
    k->combine[j->type](y, g, gate, x, rows, *a, *b, *c);
  else
    k->column_combine[j->type](y, g, gate, x, rows, j->channels, columns, a, b, c);
}

static void stats_columns(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  double *pivot = j->mean;
  for (int64_t c = begin; c < end; c++) {
    pivot[c] = k->first[j->type](j->x + (size_t)c * j->elem_bytes);
    if (!isfinite(pivot[c])) pivot[c] = 0;
    j->s[c] = j->q[c] = 0;
  }
  column_moments(j, j->x + (size_t)begin * j->elem_bytes, j->n, end - begin,
                 pivot + begin, j->s + begin, j->q + begin);
  for (int64_t c = begin; c < end; c++) finish_moments(j, c, pivot[c]);
}

static void affine_columns(void *ctx, int64_t begin, int64_t end) {
  const ChannelJob *j = ctx;
  column_affine(j, (size_t)begin * j->elem_bytes, j->n, begin, end - begin);
}

static void grad_sums_columns(void *ctx, int64_t begin, int64_t end) {
  ChannelJob *j = ctx;
  for (int64_t c = begin; c < end; c++) j->s[c] = j->q[c] = 0;
  column_grad_moments(j, (size_t)begin * j->elem_bytes, j->n, begin, end - begin,
                      j->s + begin, j->q + begin);
}

static void combine_columns(void *ctx, int64_t begin, int64_t end) {
  const ChannelJob *j = ctx;
  column_combine(j, (size_t)begin * j->elem_bytes, j->n, begin, end - begin);
}

/* Rows [begin, end) of such a matrix, all channels. */
static void affine_rows(void *ctx, int64_t begin, int64_t end) {
  const ChannelJob *j = ctx;
  column_affine(j, (size_t)(begin * j->channels) * j->elem_bytes, end - begin, 0,
                j->channels);
}

static void combine_rows(void *ctx, int64_t begin, int64_t end) {
  const ChannelJob *j = ctx;
  column_combine(j, (size_t)(begin * j->channels) * j->elem_bytes, end - begin, 0,
                 j->channels);
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
  for (int64_t p = begin; p < end; p++) {
    const int64_t row = p * r->piece, left = j->n - row,
                  rows = left < r->piece ? left : r->piece;
    const size_t at = (size_t)(row * j->channels) * j->elem_bytes;
    double *s = r->s + p * j->channels, *q = r->q + p * j->channels;
    for (int64_t c = 0; c < j->channels; c++) s[c] = q[c] = 0;
    if (r->of_gradient)
      column_grad_moments(j, at, rows, 0, j->channels, s, q);
    else
      column_moments(j, j->x + at, rows, j->channels, j->mean, s, q);
  }
}

/* The passes over a matrix of many rows; for sums so many that adding those of the
 * threads, by one of them, takes little time. False: take the other way. */
static bool run_rows(ChannelJob *j, ChannelPass pass) {
  const int64_t threads = lp_parallel_threads(j->n, 1);
  if (j->plane != 1 || threads < 2 || j->n < 4 * threads) return false;
  if (pass == CHANNEL_AFFINE || pass == CHANNEL_COMBINE) {
    /* Back from where the sums have ended: Note [There and back] in dispatch/iter.c. */
    lp_parallel_walk(j->n, LP_GRAIN / (j->channels + 1) + 1,
                     pass == CHANNEL_AFFINE ? affine_rows : combine_rows, j, true);
    return true;
  }
  if (j->n < 4 * threads * threads) return false;
  RowSums r = {.job = j, .of_gradient = pass == CHANNEL_GRAD_SUMS};
  r.piece = (j->n + threads - 1) / threads;
  const int64_t pieces = (j->n + r.piece - 1) / r.piece;
  const size_t bytes = (size_t)(2 * pieces * j->channels) * sizeof(double);
  r.s = lp_alloc(bytes);
  if (!r.s) {
    lp_error_clear();
    return false;
  }
  r.q = r.s + pieces * j->channels;
  for (int64_t c = 0; c < j->channels && pass == CHANNEL_STATS; c++) {
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
    if (pass == CHANNEL_STATS) finish_moments(j, c, j->mean[c]);
  }
  lp_free(r.s, bytes);
  return true;
}

void nn_channel_pass(ChannelJob *j, ChannelPass pass) {
  static void (*const planes[])(void *, int64_t, int64_t) = {
      stats_planes, affine_planes, grad_sums_planes, combine_planes};
  static void (*const columns[])(void *, int64_t, int64_t) = {
      stats_columns, affine_columns, grad_sums_columns, combine_columns};
  if (run_rows(j, pass)) return;
  int64_t work = j->n * j->plane;
  lp_parallel_for(j->channels, LP_GRAIN / (work + 1) + 1,
                  (j->plane == 1 ? columns : planes)[pass], j);
}

bool nn_channel_arrays(ChannelJob *j, int64_t n, size_t *block_bytes) {
  *block_bytes = (size_t)(n + 1) * 7 * sizeof(double);
  double *all = lp_alloc(*block_bytes);
  TRY(all);
  double **arrays[7] = {&j->mean, &j->rstd, &j->a, &j->b, &j->c, &j->s, &j->q};
  for (int i = 0; i < 7; i++) *arrays[i] = all + (int64_t)i * (n + 1);
  return true;
}

ChannelJob nn_channel_job(const LpTensor *x) {
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

bool nn_check_channel_vector(LpTensor *t, const char *name, LpTensor *input) {
  if (!t) return true;
  int64_t n = lp_size(input, 1);
  CHECK(lp_ndim(t) == 1 && lp_size(t, 0) == n, LP_ERR_ARGUMENT,
        "expected '%s' of shape [%lld] (one per channel of the input, %s), got %s", name,
        (long long)n, SHAPE_TEXT(input), SHAPE_TEXT(t));
  return nn_check_norm_dtype(t, name, lp_dtype(input));
}
