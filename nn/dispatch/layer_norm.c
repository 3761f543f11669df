/* Layer and RMS normalisation and their gradients over dense rows, with a weight for each
 * column; the mathematics is that of norm.c. RMS norm is layer norm about a mean of 0. */
#include "dispatch/nn_util.h"
#include "dispatch/row_norm.h"
#include "impl.h"

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
  const int64_t n = rows ? lp_numel(input) / rows : 0;
  LpTensor *x = nn_dense(input, dtype), *w = NULL, *b = NULL;
  LpTensor *stats = nn_empty((int64_t[]){2, rows}, 2, LP_FLOAT64);
  LpTensor *y = lp_tensor_new(lp_sizes(input), dtype, lp_device(input)), *mean = NULL,
           *rstd = NULL;
  bool ok = x && stats && y && nn_row_weights(weight, dtype, 1, n, &w) &&
            nn_row_weights(bias, dtype, 1, n, &b);
  if (ok) {
    double *stat = lp_data(stats);
    RowNorm j = {.dtype = dtype,
                 .rows = rows,
                 .n = n,
                 .x = lp_data(x),
                 .w = w ? lp_data(w) : NULL,
                 .b = b ? lp_data(b) : NULL,
                 .period = 1,
                 .mean = centred ? stat : NULL,
                 .rstd = stat + rows,
                 .y = lp_data(y),
                 .eps = eps};
    if (n)
      nn_rows_forward(&j);
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
  const LpDtype dtype = lp_dtype(input), weight_dtype = weight ? lp_dtype(weight) : dtype;
  LpTensor *x = nn_dense(input, dtype), *g = nn_dense(grad_output, dtype), *w = NULL;
  LpTensor *means = mean ? nn_dense(mean, LP_FLOAT64) : NULL,
           *rstds = nn_dense(rstd, LP_FLOAT64);
  LpTensor *gx = lp_tensor_new(lp_sizes(input), dtype, lp_device(input));
  int64_t count = 1;
  for (int64_t d = 0; d < shape.count; d++) count *= shape.data[d];
  LpTensor *totals = nn_zeros((int64_t[]){2, count}, 2, LP_FLOAT64), *gw = NULL,
           *gb = NULL;
  bool ok = x && g && (means || !mean) && rstds && gx && totals &&
            nn_row_weights(weight, dtype, 1, count, &w);
  if (ok && lp_numel(x)) {
    RowNorm j = {.dtype = dtype,
                 .rows = lp_numel(rstds),
                 .n = count,
                 .x = lp_data(x),
                 .g = lp_data(g),
                 .w = w ? lp_data(w) : NULL,
                 .period = 1,
                 .mean = means ? lp_data(means) : NULL,
                 .rstd = lp_data(rstds),
                 .y = lp_data(gx)};
    double *total = lp_data(totals);
    ok = nn_rows_backward(&j, sums ? total : NULL, sums && mean ? total + count : NULL,
                          count, 1);
  }
  if (ok) {
    const double *total = lp_data(totals);
    ok = (gw = nn_from_doubles(total, shape, weight_dtype)) &&
         (!mean || (gb = nn_from_doubles(total + count, shape, weight_dtype)));
  }
  LpTensor *used[] = {x, g, w, means, rstds, totals};
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) lp_tensor_release(used[i]);
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
