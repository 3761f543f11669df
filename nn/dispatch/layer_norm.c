/* Layer and RMS normalisation and their gradients over dense rows, with a weight for each
 * column; the mathematics is that of norm.c. RMS norm is layer norm about a mean of 0. */
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
  const char *x, *g, *w, *b; /* w and b in the dtype of x */
  double *mean, *rstd;       /* of each row; mean NULL: RMS norm */
  char *y;
  char *gw, *gb; /* sums over rows, compute dtype */
  size_t sum_bytes;
  double eps;
} RowJob;

static void row_stats(RowJob *j, int64_t row) {
  const LpRowKernels *k = lp_row_kernels();
  const char *x = j->x + (size_t)(row * j->n) * j->elem_bytes;
  double pivot = j->mean ? k->first[j->type](x) : 0, s = 0, q = 0, m = (double)j->n;
  if (!isfinite(pivot)) pivot = 0;
  k->moments[j->type](x, j->n, pivot, &s, &q);
  const double mean = j->mean ? s / m : 0;
  double variance = q / m - mean * mean;
  if (variance < 0) variance = 0;
  if (j->mean) j->mean[row] = pivot + mean;
  j->rstd[row] = 1 / sqrt(variance + j->eps);
}

static double mean_of(const RowJob *j, int64_t row) {
  return j->mean ? j->mean[row] : 0;
}

static void layer_forward(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t row = begin; row < end; row++) {
    row_stats(j, row);
    size_t at = (size_t)(row * j->n) * j->elem_bytes;
    k->weighted_center[j->type](j->y + at, j->x + at, j->n, mean_of(j, row), j->rstd[row],
                                j->w, j->b);
  }
}

static void layer_backward(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t row = begin; row < end; row++) {
    size_t at = (size_t)(row * j->n) * j->elem_bytes;
    double s = 0, q = 0, r = j->rstd[row], mean = mean_of(j, row), m = (double)j->n;
    k->weighted_grad_moments[j->type](j->g + at, j->x + at, j->n, mean, j->w, &s, &q);
    double slope = -r * r * r * q / m;
    k->weighted_combine[j->type](j->y + at, j->g + at, j->x + at, j->n, j->w, r, slope,
                                 j->mean ? -r * s / m - mean * slope : 0);
  }
}

static void layer_weight_grads(void *ctx, int64_t begin, int64_t end) {
  RowJob *j = ctx;
  const LpRowKernels *k = lp_row_kernels();
  for (int64_t row = 0; row < j->rows; row++) {
    size_t at = (size_t)(row * j->n + begin) * j->elem_bytes;
    k->weight_grads[j->type](j->gw + (size_t)begin * j->sum_bytes,
                             j->gb ? j->gb + (size_t)begin * j->sum_bytes : NULL,
                             j->g + at, j->x + at, end - begin, j->rstd[row],
                             j->mean ? -j->mean[row] * j->rstd[row] : 0);
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

/* results: y; with mean, the means; 1 / deviations. */
static bool normalize(LpTensor *input, LpInts shape, LpTensor *weight, LpTensor *bias,
                      double eps, bool centred, LpTensor **results) {
  TRY(check_normalized(input, shape, weight, bias));
  LpDtype dtype = lp_dtype(input);
  int64_t ndim = lp_ndim(input), sizes[LP_MAX_DIMS], rows = 1;
  for (int64_t d = 0; d < ndim; d++) {
    sizes[d] = d < ndim - shape.count ? lp_size(input, d) : 1;
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
    double *stat = lp_data(stats);
    j.mean = centred ? stat : NULL;
    j.rstd = stat + rows;
    j.y = lp_data(y);
    j.eps = eps;
    if (j.n)
      lp_parallel_for(rows, row_grain(&j), layer_forward, &j);
    else
      memset(stat, 0, (size_t)rows * 2 * sizeof(double));
    const LpInts all = lp_ints(sizes, ndim);
    const LpDtype wide = nn_compute_dtype(dtype);
    ok = (!centred || (mean = nn_from_doubles(j.mean, all, wide))) &&
         (rstd = nn_from_doubles(j.rstd, all, wide));
  }
  lp_tensor_release(x);
  lp_tensor_release(w);
  lp_tensor_release(b);
  lp_tensor_release(stats);
  return nn_hand_over(ok,
                      centred ? (LpTensor *[]){y, mean, rstd} : (LpTensor *[]){y, rstd},
                      centred ? 3 : 2, results);
}

bool lp_impl_native_layer_norm(LpTensor *input, LpInts normalized_shape, LpTensor *weight,
                               LpTensor *bias, double eps, LpTensor **results) {
  return normalize(input, normalized_shape, weight, bias, eps, true, results);
}

bool lp_impl_native_rms_norm(LpTensor *input, LpInts normalized_shape, LpTensor *weight,
                             double eps, LpTensor **results) {
  return normalize(input, normalized_shape, weight, NULL, eps, false, results);
}

/* mean NULL: of RMS norm, which has no bias. `sums`: whether the weight's and the bias's
 * gradients are wanted. */
static bool gradients(LpTensor *grad_output, LpTensor *input, LpInts shape,
                      LpTensor *weight, LpTensor *mean, LpTensor *rstd, bool sums,
                      LpTensor **results) {
  LpDtype dtype = lp_dtype(input), sum_dtype = nn_compute_dtype(dtype);
  LpDtype weight_dtype = weight ? lp_dtype(weight) : dtype;
  LpTensor *x = nn_dense(input, dtype), *g = nn_dense(grad_output, dtype),
           *w = weight ? nn_dense(weight, dtype) : NULL;
  LpTensor *means = mean ? nn_dense(mean, LP_FLOAT64) : NULL,
           *rstds = nn_dense(rstd, LP_FLOAT64);
  LpTensor *gx = lp_tensor_new(lp_sizes(input), dtype, lp_device(input));
  LpTensor *gw = nn_zeros(shape.data, shape.count, sum_dtype);
  LpTensor *gb = mean ? nn_zeros(shape.data, shape.count, sum_dtype) : NULL;
  bool ok =
      x && g && (w || !weight) && (means || !mean) && rstds && gx && gw && (gb || !mean);
  if (ok && lp_numel(x)) {
    RowJob j = row_job(x, lp_numel(rstds));
    j.g = lp_data(g);
    j.w = w ? lp_data(w) : NULL;
    j.mean = means ? lp_data(means) : NULL;
    j.rstd = lp_data(rstds);
    j.y = lp_data(gx);
    j.gw = lp_data(gw);
    j.gb = gb ? lp_data(gb) : NULL;
    j.sum_bytes = lp_dtype_size(sum_dtype);
    lp_parallel_for(j.rows, row_grain(&j), layer_backward, &j);
    if (sums) lp_parallel_for(j.n, LP_GRAIN / (j.rows + 1) + 64, layer_weight_grads, &j);
  }
  lp_tensor_release(x);
  lp_tensor_release(g);
  lp_tensor_release(w);
  lp_tensor_release(means);
  lp_tensor_release(rstds);
  gw = nn_cast_take(gw, weight_dtype);
  if (mean) gb = nn_cast_take(gb, weight_dtype);
  ok = ok && gw && (gb || !mean);
  return nn_hand_over(ok, (LpTensor *[]){gx, gw, gb}, mean ? 3 : 2, results);
}

bool lp_impl_native_layer_norm_backward(LpTensor *grad_output, LpTensor *input,
                                        LpInts normalized_shape, LpTensor *weight,
                                        LpTensor *mean, LpTensor *rstd, unsigned wanted,
                                        LpTensor **results) {
  return gradients(grad_output, input, normalized_shape, weight, mean, rstd, wanted & 6,
                   results);
}

bool lp_impl_native_rms_norm_backward(LpTensor *grad_output, LpTensor *input,
                                      LpInts normalized_shape, LpTensor *weight,
                                      LpTensor *rstd, unsigned wanted,
                                      LpTensor **results) {
  return gradients(grad_output, input, normalized_shape, weight, NULL, rstd, wanted & 2,
                   results);
}
