/* Reductions and running sums: values, dtypes, layouts, empty input, NaN, errors, gradients. */
#include "lampad/autograd.h"
#include "values.h"

#define INF INFINITY

TEST(reduce_sum_over_dims) {
  LpTensor *x = TENSOR(LP_FLOAT32, INTS(2, 3), 1, 2, 3, 4, 5, 6);
  EXPECT_TENSOR(lp_sum(x, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, 21);
  EXPECT_TENSOR(lp_sum_dim(x, INTS(0), false, NO_DTYPE), LP_FLOAT32, INTS(3), 0, 5, 7, 9);
  EXPECT_TENSOR(lp_sum_dim(x, INTS(-1), true, NO_DTYPE), LP_FLOAT32, INTS(2, 1), 0, 6, 15);
  EXPECT_TENSOR(lp_sum_dim(x, INTS(0, 1), false, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, 21);
  EXPECT_TENSOR(lp_sum_dim(x, lp_ints(NULL, 0), false, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, 21);
  EXPECT_TENSOR(lp_sum_dim(x, INTS(1), false, LP_FLOAT64), LP_FLOAT64, INTS(2), 0, 6, 15);
  x = strided(x);
  EXPECT_TENSOR(lp_sum_dim(x, INTS(0), false, NO_DTYPE), LP_FLOAT32, INTS(3), 0, 5, 7, 9);
  EXPECT_TENSOR(lp_sum_dim(x, INTS(1), false, NO_DTYPE), LP_FLOAT32, INTS(2), 0, 6, 15);
  lp_tensor_release(x);
}

TEST(reduce_sum_dtypes) {
  LpTensor *bytes = VECTOR(LP_UINT8, 200, 100), *truths = VECTOR(LP_BOOL, 1, 0, 1);
  EXPECT_TENSOR(lp_sum(bytes, NO_DTYPE), LP_INT64, SCALAR_SHAPE, 0, 300);
  EXPECT_TENSOR(lp_sum(truths, NO_DTYPE), LP_INT64, SCALAR_SHAPE, 0, 2);
  EXPECT_TENSOR(lp_sum(truths, LP_BOOL), LP_BOOL, SCALAR_SHAPE, 0, 1);
  EXPECT_TENSOR(lp_mean(bytes, LP_FLOAT32), LP_FLOAT32, SCALAR_SHAPE, 0, 150);
  EXPECT_FAILS(lp_mean(bytes, NO_DTYPE), LP_ERR_TYPE, "uint8");
  EXPECT_TENSOR(lp_prod(bytes, NO_DTYPE), LP_INT64, SCALAR_SHAPE, 0, 20000);
  lp_tensor_release(bytes);
  lp_tensor_release(truths);
}

/* float16 adds in float32 and float32 in wider blocks: 0.1 a million times is off by 5 units in the last place at most,
 * with 4, 8 or 16 lanes. */
TEST(reduce_sum_accuracy) {
  int64_t n = 1000000;
  LpTensor *x = lp_tensor_new(INTS(n), LP_FLOAT32, lp_cpu()), *h = lp_tensor_new(INTS(n), LP_FLOAT16, lp_cpu());
  for (int64_t i = 0; i < n; i++) ((float *)lp_data(x))[i] = 0.1f;
  for (int64_t i = 0; i < n; i++) ((uint16_t *)lp_data(h))[i] = 0x0c00; /* 2^-12 */
  EXPECT_TENSOR(lp_sum(x, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 4e-7, 1e6 * (double)0.1f);
  EXPECT_TENSOR(lp_sum(h, NO_DTYPE), LP_FLOAT16, SCALAR_SHAPE, 1e-3, 1e6 / 4096);
  LpTensor *columns = lp_view(x, INTS(500000, 2)), *rows = lp_view(x, INTS(4, 250000));
  EXPECT_TENSOR(lp_sum_dim(columns, INTS(0), false, NO_DTYPE), LP_FLOAT32, INTS(2), 1e-6, 50000, 50000);
  EXPECT_TENSOR(lp_sum_dim(rows, INTS(1), false, NO_DTYPE), LP_FLOAT32, INTS(4), 1e-6, 25000, 25000, 25000, 25000);
  EXPECT_TENSOR(lp_var_correction(x, NONE, (LpOptScalar){.has = false}, false), LP_FLOAT32, SCALAR_SHAPE, 1e-12, 0);
  LpTensor *all[] = {x, h, columns, rows};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}

TEST(reduce_wide_and_tall) {
  int64_t rows = 700, cols = 1300;
  LpTensor *x = lp_tensor_new(INTS(rows, cols), LP_FLOAT64, lp_cpu());
  for (int64_t i = 0; i < rows * cols; i++) ((double *)lp_data(x))[i] = (double)(i % cols) - (double)(i / cols);
  LpTensor *by_col = lp_sum_dim(x, INTS(0), false, NO_DTYPE), *by_row = lp_sum_dim(x, INTS(1), false, NO_DTYPE);
  LpTensor *highest = lp_amax(x, INTS(0), false), *lowest = lp_amin(x, INTS(1), false), *at[2];
  EXPECT(lp_max_dim(x, 0, false, at));
  for (int64_t c = 0; c < cols; c += 97) {
    EXPECT_NEAR(number_at(by_col, c), 700.0 * (double)c - 699.0 * 350.0, 1e-6);
    EXPECT_NEAR(number_at(highest, c), (double)c, 0);
    EXPECT_NEAR(number_at(at[1], c), 0, 0);
  }
  for (int64_t r = 0; r < rows; r += 97) {
    EXPECT_NEAR(number_at(by_row, r), 1299.0 * 650.0 - 1300.0 * (double)r, 1e-6);
    EXPECT_NEAR(number_at(lowest, r), -(double)r, 0);
  }
  LpTensor *all[] = {x, by_col, by_row, highest, lowest, at[0], at[1]};
  for (int i = 0; i < 7; i++) lp_tensor_release(all[i]);
}

TEST(reduce_empty) {
  LpTensor *x = lp_tensor_new(INTS(0, 3), LP_FLOAT32, lp_cpu()), *results[2];
  EXPECT_TENSOR(lp_sum(x, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, 0);
  EXPECT_TENSOR(lp_mean(x, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, NAN);
  EXPECT_TENSOR(lp_prod_dim_int(x, 0, false, NO_DTYPE), LP_FLOAT32, INTS(3), 0, 1, 1, 1);
  EXPECT_EMPTY(lp_sum_dim(x, INTS(1), false, NO_DTYPE), LP_FLOAT32, INTS(0));
  EXPECT_EMPTY(lp_amax(x, INTS(1), true), LP_FLOAT32, INTS(0, 1));
  EXPECT_TENSOR(lp_all(x), LP_BOOL, SCALAR_SHAPE, 0, 1);
  EXPECT_TENSOR(lp_any(x), LP_BOOL, SCALAR_SHAPE, 0, 0);
  EXPECT_TENSOR(lp_logsumexp(x, INTS(0), false), LP_FLOAT32, INTS(3), 0, -INF, -INF, -INF);
  EXPECT_FAILS(lp_max(x), LP_ERR_INDEX, "numel() == 0");
  EXPECT_FAILS(lp_amax(x, INTS(0), false), LP_ERR_INDEX, "dim 0 to have non-zero size");
  EXPECT_FAILS(lp_max_dim(x, 0, false, results), LP_ERR_INDEX, "non-zero size");
  EXPECT_FAILS(lp_argmax(x, (LpOptInt){.has = false}, false), LP_ERR_INDEX, "numel() == 0");
  EXPECT_FAILS(lp_linalg_vector_norm(x, lp_scalar_float(INF), NONE, false, NO_DTYPE), LP_ERR_ARGUMENT, "identity");
  lp_tensor_release(x);
}

TEST(reduce_scalar_and_errors) {
  LpTensor *x = tensor_of(LP_FLOAT32, SCALAR_SHAPE, (const double[]){5});
  EXPECT_TENSOR(lp_sum_dim(x, INTS(0), false, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, 5);
  EXPECT_TENSOR(lp_argmax(x, (LpOptInt){true, -1}, true), LP_INT64, SCALAR_SHAPE, 0, 0);
  EXPECT_TENSOR(lp_cumsum(x, 0, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, 5);
  EXPECT_FAILS(lp_sum_dim(x, INTS(1), false, NO_DTYPE), LP_ERR_INDEX, "range");
  LpTensor *m = TENSOR(LP_FLOAT32, INTS(2, 2), 1, 2, 3, 4);
  EXPECT_FAILS(lp_sum_dim(m, INTS(0, -2), false, NO_DTYPE), LP_ERR_ARGUMENT, "dim 0 appears multiple times");
  lp_tensor_release(x);
  lp_tensor_release(m);
}

TEST(reduce_extremes_and_nan) {
  LpTensor *x = TENSOR(LP_FLOAT32, INTS(2, 4), 1, 5, NAN, 7, 3, 9, 9, -2), *results[2];
  EXPECT_TENSOR(lp_max(x), LP_FLOAT32, SCALAR_SHAPE, 0, NAN);
  EXPECT_TENSOR(lp_amin(x, INTS(1), false), LP_FLOAT32, INTS(2), 0, NAN, -2);
  EXPECT(lp_max_dim(x, 1, false, results));
  EXPECT_TENSOR(results[0], LP_FLOAT32, INTS(2), 0, NAN, 9);
  EXPECT_TENSOR(results[1], LP_INT64, INTS(2), 0, 2, 1);
  EXPECT(lp_min_dim(x, 0, true, results));
  EXPECT_TENSOR(results[0], LP_FLOAT32, INTS(1, 4), 0, 1, 5, NAN, -2);
  EXPECT_TENSOR(results[1], LP_INT64, INTS(1, 4), 0, 0, 0, 0, 1);
  EXPECT_TENSOR(lp_argmax(x, (LpOptInt){.has = false}, false), LP_INT64, SCALAR_SHAPE, 0, 2);
  EXPECT_TENSOR(lp_nansum(x, INTS(1), false, NO_DTYPE), LP_FLOAT32, INTS(2), 0, 13, 19);
  EXPECT_TENSOR(lp_nanmean(x, INTS(1), false, NO_DTYPE), LP_FLOAT32, INTS(2), 1e-6, 13.0 / 3, 4.75);
  EXPECT_TENSOR(lp_count_nonzero(x, INTS(0)), LP_INT64, INTS(4), 0, 2, 2, 2, 2);
  x = strided(x);
  EXPECT(lp_max_dim(x, 1, false, results));
  EXPECT_TENSOR(results[1], LP_INT64, INTS(2), 0, 2, 1);
  lp_tensor_release(results[0]);
  LpTensor *ints = TENSOR(LP_INT8, INTS(3), -128, 127, 0), *c = TENSOR(LP_COMPLEX64, INTS(2), 1, 2);
  EXPECT_TENSOR(lp_amax(ints, lp_ints(NULL, 0), false), LP_INT8, SCALAR_SHAPE, 0, 127);
  EXPECT_TENSOR(lp_argmin(ints, (LpOptInt){true, 0}, false), LP_INT64, SCALAR_SHAPE, 0, 0);
  EXPECT_FAILS(lp_max(c), LP_ERR_TYPE, "complex64");
  LpTensor *all[] = {x, ints, c};
  for (int i = 0; i < 3; i++) lp_tensor_release(all[i]);
}

TEST(reduce_truth) {
  LpTensor *x = TENSOR(LP_FLOAT32, INTS(2, 2), 0, 0.25, NAN, 3), *bytes = VECTOR(LP_UINT8, 2, 0);
  EXPECT_TENSOR(lp_any_dim(x, 1, false), LP_BOOL, INTS(2), 0, 1, 1);
  EXPECT_TENSOR(lp_all_dim(x, 1, true), LP_BOOL, INTS(2, 1), 0, 0, 1);
  EXPECT_TENSOR(lp_all_dims(x, INTS(0, 1), false), LP_BOOL, SCALAR_SHAPE, 0, 0);
  EXPECT_TENSOR(lp_any(bytes), LP_UINT8, SCALAR_SHAPE, 0, 1);
  lp_tensor_release(x);
  lp_tensor_release(bytes);
}

TEST(reduce_variance_and_norms) {
  LpTensor *x = TENSOR(LP_FLOAT64, INTS(2, 3), 1, 2, 4, -3, 0, 4), *results[2];
  LpOptScalar biased = {true, lp_scalar_int(0)};
  EXPECT_TENSOR(lp_var(x, true), LP_FLOAT64, SCALAR_SHAPE, 1e-12, 106.0 / 15);
  EXPECT_TENSOR(lp_var_dim(x, INTS(1), true, false), LP_FLOAT64, INTS(2), 1e-12, 7.0 / 3, 37.0 / 3);
  EXPECT_TENSOR(lp_std_correction(x, INTS(0), biased, true), LP_FLOAT64, INTS(1, 3), 1e-12, 2, 1, 0);
  EXPECT(lp_var_mean(x, false, results));
  EXPECT_TENSOR(results[0], LP_FLOAT64, SCALAR_SHAPE, 1e-12, 53.0 / 9);
  EXPECT_TENSOR(results[1], LP_FLOAT64, SCALAR_SHAPE, 1e-12, 4.0 / 3);
  LpScalar two = lp_scalar_int(2), one = lp_scalar_int(1), zero = lp_scalar_int(0);
  EXPECT_TENSOR(lp_linalg_vector_norm(x, two, INTS(1), false, NO_DTYPE), LP_FLOAT64, INTS(2), 1e-12, sqrt(21), 5);
  EXPECT_TENSOR(lp_linalg_vector_norm(x, one, INTS(1), true, NO_DTYPE), LP_FLOAT64, INTS(2, 1), 1e-12, 7, 7);
  EXPECT_TENSOR(lp_linalg_vector_norm(x, zero, NONE, false, LP_FLOAT32), LP_FLOAT32, SCALAR_SHAPE, 0, 5);
  EXPECT_TENSOR(lp_linalg_vector_norm(x, lp_scalar_float(INF), NONE, false, NO_DTYPE), LP_FLOAT64, SCALAR_SHAPE, 0, 4);
  EXPECT_TENSOR(lp_linalg_vector_norm(x, lp_scalar_int(3), INTS(1), false, NO_DTYPE), LP_FLOAT64, INTS(2), 1e-12,
                cbrt(73), cbrt(91));
  EXPECT_TENSOR(lp_norm_str(x, "fro", NONE, false, NO_DTYPE), LP_FLOAT64, SCALAR_SHAPE, 1e-12, sqrt(46));
  EXPECT_FAILS(lp_norm_str(x, "max", NONE, false, NO_DTYPE), LP_ERR_ARGUMENT, "'fro'");
  EXPECT_TENSOR(lp_logsumexp(x, INTS(1), false), LP_FLOAT64, INTS(2), 1e-12, log(exp(1) + exp(2) + exp(4)),
                log(exp(-3) + 1 + exp(4)));
  lp_tensor_release(x);
}

TEST(reduce_running) {
  LpTensor *x = TENSOR(LP_INT32, INTS(2, 3), 1, 2, 3, 4, 5, 6), *results[2];
  EXPECT_TENSOR(lp_cumsum(x, 1, NO_DTYPE), LP_INT64, INTS(2, 3), 0, 1, 3, 6, 4, 9, 15);
  EXPECT_TENSOR(lp_cumsum(x, 0, LP_FLOAT32), LP_FLOAT32, INTS(2, 3), 0, 1, 2, 3, 5, 7, 9);
  EXPECT_TENSOR(lp_cumprod(x, -1, NO_DTYPE), LP_INT64, INTS(2, 3), 0, 1, 2, 6, 4, 20, 120);
  EXPECT_TENSOR(lp_diff(x, 1, -1, NULL, NULL), LP_INT32, INTS(2, 2), 0, 1, 1, 1, 1);
  LpTensor *f = VECTOR(LP_FLOAT32, 2, 1, 2, NAN, 9);
  EXPECT(lp_cummax(f, 0, results));
  EXPECT_TENSOR(results[0], LP_FLOAT32, INTS(5), 0, 2, 2, 2, NAN, NAN);
  EXPECT_TENSOR(results[1], LP_INT64, INTS(5), 0, 0, 0, 2, 3, 3);
  EXPECT(lp_cumsum_(x, 0, NO_DTYPE));
  EXPECT_TENSOR(x, LP_INT32, INTS(2, 3), 0, 1, 2, 3, 5, 7, 9);
  LpTensor *y = VECTOR(LP_FLOAT64, 1, 2, 3);
  EXPECT_TENSOR(lp_logcumsumexp(y, 0), LP_FLOAT64, INTS(3), 1e-9, 1, 2.313261688, 3.407605964);
  lp_tensor_release(f);
  lp_tensor_release(y);
}

TEST(reduce_out) {
  LpTensor *x = TENSOR(LP_FLOAT32, INTS(2, 2), 1, 2, 3, 4), *out = lp_tensor_new(INTS(0), LP_FLOAT64, lp_cpu());
  EXPECT(lp_sum_dim_out(out, x, INTS(0), false, NO_DTYPE));
  EXPECT_TENSOR(lp_tensor_retain(out), LP_FLOAT64, INTS(2), 0, 4, 6);
  LpTensor *ints = lp_tensor_new(INTS(2), LP_INT64, lp_cpu());
  EXPECT_FAILS(lp_amax_out(ints, x, INTS(0), false), LP_ERR_TYPE, "can't be cast");
  EXPECT(lp_cumsum_out(x, x, 1, NO_DTYPE)); /* out may be the input itself */
  EXPECT_TENSOR(x, LP_FLOAT32, INTS(2, 2), 0, 1, 3, 3, 7);
  lp_tensor_release(out);
  lp_tensor_release(ints);
}

/* The gradient of sum(f(x) * weights) by x. */
static LpTensor *gradient(LpTensor *x, LpTensor *y) {
  LpTensor *ones = lp_ones_like(y, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE, false), *g = NULL;
  if (!lp_autograd_grad((LpTensors){&y, 1}, (LpTensors){&x, 1}, (LpTensors){&ones, 1}, false, false, false, &g)) g = NULL;
  lp_tensor_release(ones);
  lp_tensor_release(y);
  return g;
}

TEST(reduce_gradients) {
  LpTensor *x = TENSOR(LP_FLOAT64, INTS(2, 2), 2, 0, 3, 3);
  lp_set_requires_grad(x, true);
  EXPECT_TENSOR(gradient(x, lp_prod(x, NO_DTYPE)), LP_FLOAT64, INTS(2, 2), 0, 0, 18, 0, 0);
  EXPECT_TENSOR(gradient(x, lp_amax(x, INTS(1), false)), LP_FLOAT64, INTS(2, 2), 0, 1, 0, 0.5, 0.5);
  EXPECT_TENSOR(gradient(x, lp_mean_dim(x, INTS(0), true, NO_DTYPE)), LP_FLOAT64, INTS(2, 2), 0, 0.5, 0.5, 0.5, 0.5);
  EXPECT_TENSOR(gradient(x, lp_cumprod(x, 1, NO_DTYPE)), LP_FLOAT64, INTS(2, 2), 0, 1, 2, 4, 3);
  EXPECT_TENSOR(gradient(x, lp_std_correction(x, INTS(1), (LpOptScalar){true, lp_scalar_int(0)}, false)), LP_FLOAT64,
                INTS(2, 2), 1e-12, 0.5, -0.5, 0, 0);
  lp_tensor_release(x);
}

TEST(reduce_interrupt) {
  LpTensor *x = lp_tensor_new(INTS(2000, 2000), LP_FLOAT32, lp_cpu());
  memset(lp_data(x), 0, 16000000);
  lp_interrupt();
  EXPECT_FAILS(lp_sum_dim(x, INTS(1), false, NO_DTYPE), LP_ERR_INTERRUPT, "interrupt");
  EXPECT(!lp_interrupt_pending());
  EXPECT_TENSOR(lp_sum(x, NO_DTYPE), LP_FLOAT32, SCALAR_SHAPE, 0, 0);
  lp_tensor_release(x);
}
