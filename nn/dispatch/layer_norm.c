/* Layer and group normalisation and their gradients over dense rows; the mathematics is
 * that of norm.c. Layer norm has a weight for each column of a row, group norm one for
 * each channel. */
#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/rows.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct RowJob {
  int type;
  size_t elem_bytes;
  int64_t rows, n;           /* a row has n elements */
  int64_t groups, channels;  /* group norm: row r holds channels / groups channels from (r
                                % groups) on */
  const char *x, *g, *w, *b; /* layer norm: w and b in the dtype of x */
  const double *wd, *bd;     /* group norm: weight and bias, or NULL */
  double *mean, *rstd;       /* of each row */
  double *s, *q;             /* group norm backward: sums of each (row, channel) */
  char *y;
  char *gw, *gb; /* sums over rows, compute dtype */
  size_t sum_bytes;
  double eps;
} RowJob;

static void row_stats(RowJob *j, int64_t row) {
  const LpRowKernels *k = lp_row_kernels();
  const char *x = j->x + (size_t)(row * j->n) * j->elem_bytes;
  double pivot = k->first[j->type](x), s = 0, q = 0, m = (double)j->n;
  if (!isfinite(pivot)) pivot = 0;
  k->moments[j->type](x, j->n, pivot, &s, &q);
  double variance = q / m - (s / m) * (s / m);
  if (variance < 0) variance = 0;
  j->mean[row] = pivot + s / m;
  j->rstd[row] = 1 / sqrt(variance + j->eps);
}

static void layer_forward(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t row = begin; row < end; row++) {
    row_stats(j, row);
    size_t at = (size_t)(row * j->n) * j->elem_bytes;
    k->weighted_center[j->type](j->y + at, j->x + at, j->n, j->mean[row], j->rstd[row],
                                j->w, j->b);
  }
}

static void layer_backward(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t row = begin; row < end; row++) {
    size_t at = (size_t)(row * j->n) * j->elem_bytes;
    double s = 0, q = 0, r = j->rstd[row], mean = j->mean[row], m = (double)j->n;
    k->weighted_grad_moments[j->type](j->g + at, j->x + at, j->n, mean, j->w, &s, &q);
    double slope = -r * r * r * q / m;
    k->weighted_combine[j->type](j->y + at, j->g + at, j->x + at, j->n, j->w, r, slope,
                                 -r * s / m - mean * slope);
  }
}

static void layer_weight_grads(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t row = 0; row < j->rows; row++) {
    size_t at = (size_t)(row * j->n + begin) * j->elem_bytes;
    k->weight_grads[j->type](j->gw + (size_t)begin * j->sum_bytes,
                             j->gb + (size_t)begin * j->sum_bytes, j->g + at, j->x + at,
                             end - begin, j->rstd[row], -j->mean[row] * j->rstd[row]);
  }
}

static void group_forward(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  int64_t per_group = j->channels / j->groups, plane = j->n / per_group;
  for (int64_t row = begin; row < end; row++) {
    row_stats(j, row);
    for (int64_t i = 0; i < per_group; i++) {
      int64_t channel = row % j->groups * per_group + i;
      size_t at = (size_t)(row * j->n + i * plane) * j->elem_bytes;
      double a = j->rstd[row] * (j->wd ? j->wd[channel] : 1);
      k->affine[j->type](j->y + at, j->x + at, plane, a,
                         (j->bd ? j->bd[channel] : 0) - j->mean[row] * a);
    }
  }
}

static void group_backward(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  int64_t per_group = j->channels / j->groups, plane = j->n / per_group;
  for (int64_t row = begin; row < end; row++) {
    double s = 0, q = 0, r = j->rstd[row], mean = j->mean[row], m = (double)j->n;
    double *cs = j->s + row * per_group, *cq = j->q + row * per_group;
    for (int64_t i = 0; i < per_group; i++) {
      int64_t channel = row % j->groups * per_group + i;
      size_t at = (size_t)(row * j->n + i * plane) * j->elem_bytes;
      cs[i] = cq[i] = 0;
      k->grad_moments[j->type](j->g + at, j->x + at, plane, mean, &cs[i], &cq[i]);
      double w = j->wd ? j->wd[channel] : 1;
      s += w * cs[i];
      q += w * cq[i];
      cq[i] *= r;
    }
    double slope = -r * r * r * q / m, shift = -r * s / m - mean * slope;
    for (int64_t i = 0; i < per_group; i++) {
      int64_t channel = row % j->groups * per_group + i;
      size_t at = (size_t)(row * j->n + i * plane) * j->elem_bytes;
      k->combine[j->type](j->y + at, j->g + at, j->x + at, plane,
                          r * (j->wd ? j->wd[channel] : 1), slope, shift);
    }
  }
}

static RowJob row_job(LpTensor *x, int64_t rows) {
  RowJob j = {.type = nn_float_index(lp_dtype(x)),
              .elem_bytes = lp_dtype_size(lp_dtype(x)),
              .rows = rows};
  j.n = rows ? lp_numel(x) / rows : 0;
  j.x = lp_data(x);
  return j;
}

static int64_t row_grain(const RowJob *j) {
  return LP_GRAIN / (j->n + 1) + 1;
}

/* The doubles as a tensor of the given sizes and dtype. */
static LpTensor *stats_tensor(const double *values, const int64_t *sizes, int64_t ndim,
                              LpDtype dtype) {
  LpTensor *t = nn_empty(sizes, ndim, LP_FLOAT64);
  if (t && lp_numel(t)) memcpy(lp_data(t), values, (size_t)lp_numel(t) * sizeof(double));
  return nn_cast_take(t, dtype);
}

static bool check_normalized(LpTensor *input, LpInts shape, LpTensor *weight,
                             LpTensor *bias) {
  CHECK(shape.count >= 1, LP_ERR_ARGUMENT,
        "expected 'normalized_shape' of at least one size, got []");
  bool fits = lp_ndim(input) >= shape.count;
  for (int64_t d = 0; fits && d < shape.count; d++)
    fits = lp_size(input, lp_ndim(input) - shape.count + d) == shape.data[d];
  CHECK(fits, LP_ERR_ARGUMENT,
        "expected 'input' whose last sizes are normalized_shape %s, got %s",
        lp_format_ints(shape, (char[256]){0}, 256), SHAPE_TEXT(input));
  LpTensor *vectors[2] = {weight, bias};
  for (int i = 0; i < 2; i++) {
    if (!vectors[i]) continue;
    bool same = lp_ndim(vectors[i]) == shape.count;
    for (int64_t d = 0; same && d < shape.count; d++)
      same = lp_size(vectors[i], d) == shape.data[d];
    CHECK(same, LP_ERR_ARGUMENT, "expected '%s' of normalized_shape %s, got %s",
          i ? "bias" : "weight", lp_format_ints(shape, (char[256]){0}, 256),
          SHAPE_TEXT(vectors[i]));
  }
  CHECK_FLOATING(input, "input");
  for (int i = 0; i < 2; i++)
    TRY(nn_check_norm_dtype(vectors[i], i ? "bias" : "weight", lp_dtype(input)));
  return true;
}

bool lp_impl_native_layer_norm(LpTensor *input, LpInts normalized_shape, LpTensor *weight,
                               LpTensor *bias, double eps, LpTensor **results) {
  TRY(check_normalized(input, normalized_shape, weight, bias));
  LpDtype dtype = lp_dtype(input);
  int64_t ndim = lp_ndim(input), sizes[LP_MAX_DIMS], rows = 1;
  for (int64_t d = 0; d < ndim; d++) {
    sizes[d] = d < ndim - normalized_shape.count ? lp_size(input, d) : 1;
    rows *= sizes[d];
  }
  LpTensor *x = nn_dense(input, dtype), *w = weight ? nn_dense(weight, dtype) : NULL;
  LpTensor *b = bias ? nn_dense(bias, dtype) : NULL;
  LpTensor *stats = nn_empty((int64_t[]){2, rows}, 2, LP_FLOAT64);
  LpTensor *y = lp_tensor_new(lp_sizes(input), dtype, lp_device(input)), *mean = NULL,
           *rstd = NULL;
  bool ok = x && (w || !weight) && (b || !bias) && stats && y;
  if (ok) {
    RowJob j = row_job(x, rows);
    j.w = w ? lp_data(w) : NULL;
    j.b = b ? lp_data(b) : NULL;
    j.mean = lp_data(stats);
    j.rstd = j.mean + rows;
    j.y = lp_data(y);
    j.eps = eps;
    if (j.n)
      lp_parallel_for(rows, row_grain(&j), layer_forward, &j);
    else
      memset(j.mean, 0, (size_t)rows * 2 * sizeof(double));
    ok = (mean = stats_tensor(j.mean, sizes, ndim, nn_compute_dtype(dtype))) &&
         (rstd = stats_tensor(j.rstd, sizes, ndim, nn_compute_dtype(dtype)));
  }
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(b);
  lp_tensor_release(stats);
  if (!ok) {
    lp_drop(&y);
    lp_drop(&mean);
    lp_drop(&rstd);
  }
  results[0] = y;
  results[1] = mean;
  results[2] = rstd;
  return ok;
}

bool lp_impl_native_layer_norm_backward(LpTensor *grad_output, LpTensor *input,
                                        LpInts normalized_shape, LpTensor *weight,
                                        LpTensor *mean, LpTensor *rstd, unsigned wanted,
                                        LpTensor **results) {
  LpDtype dtype = lp_dtype(input), sum_dtype = nn_compute_dtype(dtype);
  LpDtype weight_dtype = weight ? lp_dtype(weight) : dtype;
  LpTensor *x = nn_dense(input, dtype), *g = nn_dense(grad_output, dtype),
           *w = weight ? nn_dense(weight, dtype) : NULL;
  LpTensor *means = nn_dense(mean, LP_FLOAT64), *rstds = nn_dense(rstd, LP_FLOAT64);
  LpTensor *gx = lp_tensor_new(lp_sizes(input), dtype, lp_device(input));
  LpTensor *gw = nn_zeros(normalized_shape.data, normalized_shape.count, sum_dtype);
  LpTensor *gb = nn_zeros(normalized_shape.data, normalized_shape.count, sum_dtype);
  bool ok = x && g && (w || !weight) && means && rstds && gx && gw && gb;
  if (ok && lp_numel(x)) {
    RowJob j = row_job(x, lp_numel(means));
    j.g = lp_data(g);
    j.w = w ? lp_data(w) : NULL;
    j.mean = lp_data(means);
    j.rstd = lp_data(rstds);
    j.y = lp_data(gx);
    j.gw = lp_data(gw);
    j.gb = lp_data(gb);
    j.sum_bytes = lp_dtype_size(sum_dtype);
    lp_parallel_for(j.rows, row_grain(&j), layer_backward, &j);
    if (wanted & 6) /* of weight or bias */
      lp_parallel_for(j.n, LP_GRAIN / (j.rows + 1) + 64, layer_weight_grads, &j);
  }
  lp_tensor_release(x);
  lp_tensor_release(g);
  lp_tensor_release(w);
  lp_tensor_release(means);
  lp_tensor_release(rstds);
  gw = nn_cast_take(gw, weight_dtype);
  gb = nn_cast_take(gb, weight_dtype);
  ok = ok && gw && gb;
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

bool lp_impl_native_group_norm(LpTensor *input, int64_t num_groups, LpTensor *weight,
                               LpTensor *bias, double eps, LpTensor **results) {
  CHECK(lp_ndim(input) >= 2, LP_ERR_ARGUMENT,
        "expected 'input' of at least 2 dims (batch, channels), got %s",
        SHAPE_TEXT(input));
  CHECK_FLOATING(input, "input");
  int64_t channels = lp_size(input, 1), rows = lp_size(input, 0) * num_groups;
  CHECK(channels > 0 && (lp_size(input, 0) == 0 || lp_numel(input) > 0), LP_ERR_ARGUMENT,
        "expected 'input' with elements in every dim but the batch, got %s",
        SHAPE_TEXT(input));
  CHECK(num_groups > 0 && channels % num_groups == 0, LP_ERR_ARGUMENT,
        "expected a number of channels divisible by num_groups %lld, got input %s",
        (long long)num_groups, SHAPE_TEXT(input));
  LpTensor *vectors[2] = {weight, bias};
  for (int i = 0; i < 2; i++)
    CHECK(!vectors[i] || (lp_ndim(vectors[i]) == 1 && lp_size(vectors[i], 0) == channels),
          LP_ERR_ARGUMENT, "expected '%s' of shape [%lld] (one per channel), got %s",
          i ? "bias" : "weight", (long long)channels, SHAPE_TEXT(vectors[i]));
  for (int i = 0; i < 2; i++)
    TRY(nn_check_norm_dtype(vectors[i], i ? "bias" : "weight", lp_dtype(input)));
  LpDtype dtype = lp_dtype(input);
  LpTensor *x = nn_dense(input, dtype), *w = weight ? nn_dense(weight, LP_FLOAT64) : NULL;
  LpTensor *b = bias ? nn_dense(bias, LP_FLOAT64) : NULL;
  LpTensor *stats = nn_zeros((int64_t[]){2, rows}, 2, LP_FLOAT64);
  LpTensor *y = lp_tensor_new(lp_sizes(input), dtype, lp_device(input)), *mean = NULL,
           *rstd = NULL;
  bool ok = x && (w || !weight) && (b || !bias) && stats && y;
  if (ok) {
    RowJob j = row_job(x, rows);
    j.groups = num_groups;
    j.channels = channels;
    j.wd = w ? lp_data(w) : NULL;
    j.bd = b ? lp_data(b) : NULL;
    j.mean = lp_data(stats);
    j.rstd = j.mean + rows;
    j.y = lp_data(y);
    j.eps = eps;
    if (j.n) lp_parallel_for(rows, row_grain(&j), group_forward, &j);
    int64_t sizes[2] = {lp_size(input, 0), num_groups};
    ok = (mean = stats_tensor(j.mean, sizes, 2, nn_compute_dtype(dtype))) &&
         (rstd = stats_tensor(j.rstd, sizes, 2, nn_compute_dtype(dtype)));
  }
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(b);
  lp_tensor_release(stats);
  if (!ok) {
    lp_drop(&y);
    lp_drop(&mean);
    lp_drop(&rstd);
  }
  results[0] = y;
  results[1] = mean;
  results[2] = rstd;
  return ok;
}

bool lp_impl_native_group_norm_backward(LpTensor *grad_output, LpTensor *input,
                                        int64_t num_groups, LpTensor *weight,
                                        LpTensor *mean, LpTensor *rstd,
                                        LpTensor **results) {
  LpDtype dtype = lp_dtype(input), weight_dtype = weight ? lp_dtype(weight) : dtype;
  int64_t n = lp_size(input, 0), channels = lp_size(input, 1);
  LpTensor *x = nn_dense(input, dtype), *g = nn_dense(grad_output, dtype);
  LpTensor *w = weight ? nn_dense(weight, LP_FLOAT64) : NULL;
  LpTensor *means = nn_dense(mean, LP_FLOAT64), *rstds = nn_dense(rstd, LP_FLOAT64);
  LpTensor *sums = nn_zeros((int64_t[]){2, n, channels}, 3, LP_FLOAT64);
  LpTensor *totals = nn_zeros((int64_t[]){2, channels}, 2, LP_FLOAT64);
  LpTensor *gx = lp_tensor_new(lp_sizes(input), dtype, lp_device(input)), *gw = NULL,
           *gb = NULL;
  bool ok = x && g && (w || !weight) && means && rstds && sums && totals && gx;
  if (ok) {
    RowJob j = row_job(x, n * num_groups);
    j.g = lp_data(g);
    j.groups = num_groups;
    j.channels = channels;
    j.wd = w ? lp_data(w) : NULL;
    j.mean = lp_data(means);
    j.rstd = lp_data(rstds);
    j.s = lp_data(sums);
    j.q = j.s + n * channels;
    j.y = lp_data(gx);
    if (j.n) lp_parallel_for(j.rows, row_grain(&j), group_backward, &j);
    double *total = lp_data(totals);
    for (int64_t i = 0; i < n * channels; i++) {
      total[i % channels] += j.q[i];
      total[channels + i % channels] += j.s[i];
    }
    ok = (gw = stats_tensor(total, &channels, 1, weight_dtype)) &&
         (gb = stats_tensor(total + channels, &channels, 1, weight_dtype));
  }
  LpTensor *all[] = {x, g, w, means, rstds, sums, totals};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lp_tensor_release(all[i]);
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
