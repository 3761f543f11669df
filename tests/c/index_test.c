/* Indexing: slices, gather and scatter, index tuples, masks, triangles; layouts, errors, duplicates. */
#include "core/parallel.h"
#include "lampad/autograd.h"
#include "values.h"

#define INDEX(...) VECTOR(LP_INT64, __VA_ARGS__)

static LpTensor *matrix(void) { return TENSOR(LP_FLOAT32, INTS(3, 4), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11); }
static LpTensor *tuple(LpTensor *x, LpTensor *a, LpTensor *b, int n) {
  LpTensor *indices[2] = {a, b};
  return lp_index(x, (LpTensors){indices, n});
}

TEST(index_slices) {
  LpTensor *x = matrix(), *at = INDEX(2, 0, 2), *source = TENSOR(LP_FLOAT32, INTS(3, 4), 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  EXPECT_TENSOR(lp_index_select(x, 0, at), LP_FLOAT32, INTS(3, 4), 0, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11);
  EXPECT_TENSOR(lp_index_select(x, -1, at), LP_FLOAT32, INTS(3, 3), 0, 2, 0, 2, 6, 4, 6, 10, 8, 10);
  EXPECT_TENSOR(lp_index_add(x, 0, at, source, lp_scalar_int(2)), LP_FLOAT32, INTS(3, 4), 0, 4, 5, 6, 7, 4, 5, 6, 7, 16,
                17, 18, 19);
  EXPECT_TENSOR(lp_index_fill_int_scalar(x, 1, at, lp_scalar_int(-1)), LP_FLOAT32, INTS(3, 4), 0, -1, 1, -1, 3, -1, 5,
                -1, 7, -1, 9, -1, 11);
  x = strided(x);
  EXPECT_TENSOR(lp_index_select(x, 1, at), LP_FLOAT32, INTS(3, 3), 0, 2, 0, 2, 6, 4, 6, 10, 8, 10);
  EXPECT(lp_index_add_(x, 0, at, source, lp_scalar_int(1)));
  EXPECT_TENSOR(x, LP_FLOAT32, INTS(3, 4), 0, 2, 3, 4, 5, 4, 5, 6, 7, 12, 13, 14, 15);
  x = matrix();
  LpTensor *far = INDEX(0, 3), *none = lp_tensor_new(INTS(0), LP_INT64, lp_cpu());
  EXPECT_FAILS(lp_index_select(x, 0, far), LP_ERR_INDEX, "index 3 is out of bounds for dimension 0 with size 3");
  EXPECT_EMPTY(lp_index_select(x, 0, none), LP_FLOAT32, INTS(0, 4));
  EXPECT_FAILS(lp_index_add(x, 1, at, x, lp_scalar_int(1)), LP_ERR_ARGUMENT, "source must have self's shape");
  EXPECT_FAILS(lp_index_select(x, 0, x), LP_ERR_INDEX, "1-d");
  LpTensor *all[] = {x, at, source, far, none};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}

TEST(index_gather_scatter) {
  LpTensor *x = matrix(), *at = TENSOR(LP_INT64, INTS(2, 3), 0, 2, 1, 3, 3, 0), *src = TENSOR(LP_FLOAT32, INTS(2, 3), 10, 20, 30, 40, 50, 60);
  EXPECT_TENSOR(lp_gather(x, 1, at, false), LP_FLOAT32, INTS(2, 3), 0, 0, 2, 1, 7, 7, 4);
  EXPECT_TENSOR(lp_scatter_add(x, 1, at, src), LP_FLOAT32, INTS(3, 4), 0, 10, 31, 22, 3, 64, 5, 6, 97, 8, 9, 10, 11);
  EXPECT_TENSOR(lp_scatter_value(x, 1, at, lp_scalar_int(-1)), LP_FLOAT32, INTS(3, 4), 0, -1, -1, -1, 3, -1, 5, 6, -1, 8,
                9, 10, 11);
  EXPECT_TENSOR(lp_scatter_reduce_two(x, 1, at, src, "mean", false), LP_FLOAT32, INTS(3, 4), 0, 10, 30, 20, 3, 60, 5, 6,
                45, 8, 9, 10, 11);
  EXPECT_TENSOR(lp_scatter_reduce_two(x, 1, at, src, "amax", true), LP_FLOAT32, INTS(3, 4), 0, 10, 30, 20, 3, 60, 5, 6, 50,
                8, 9, 10, 11);
  EXPECT_FAILS(lp_scatter_reduce_two(x, 1, at, src, "max", true), LP_ERR_ARGUMENT, "'amax'");
  EXPECT_FAILS(lp_gather(x, 0, at, false), LP_ERR_INDEX, "index 3 is out of bounds for dimension 0 with size 3");
  EXPECT_FAILS(lp_gather(x, 1, src, false), LP_ERR_TYPE, "int64");
  LpTensor *line = INDEX(0, 1);
  EXPECT_FAILS(lp_gather(x, 1, line, false), LP_ERR_ARGUMENT, "as many dims");
  x = strided(x);
  EXPECT(lp_scatter_add_(x, 1, at, src));
  EXPECT_TENSOR(lp_take_along_dim(x, at, (LpOptInt){.has = false}), LP_FLOAT32, INTS(6), 0, 10, 22, 31, 3, 3, 10);
  EXPECT_TENSOR(x, LP_FLOAT32, INTS(3, 4), 0, 10, 31, 22, 3, 64, 5, 6, 97, 8, 9, 10, 11);
  LpTensor *all[] = {at, src, line};
  for (int i = 0; i < 3; i++) lp_tensor_release(all[i]);
}

TEST(index_tuples) {
  LpTensor *x = TENSOR(LP_INT64, INTS(2, 3, 2), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
  LpTensor *a = INDEX(1, 0), *b = INDEX(-1, 0), *column = TENSOR(LP_INT64, INTS(2, 1), 0, 2), *three = INDEX(0, 1, 2);
  EXPECT_TENSOR(tuple(x, a, b, 2), LP_INT64, INTS(2, 2), 0, 10, 11, 0, 1);
  EXPECT_TENSOR(tuple(x, NULL, b, 2), LP_INT64, INTS(2, 2, 2), 0, 4, 5, 0, 1, 10, 11, 6, 7);
  LpTensor *apart[3] = {a, NULL, b};
  EXPECT_TENSOR(lp_index(x, (LpTensors){apart, 3}), LP_INT64, INTS(2, 3), 0, 7, 9, 11, 0, 2, 4);
  LpTensor *broadcast[3] = {NULL, column, a};
  EXPECT_TENSOR(lp_index(x, (LpTensors){broadcast, 3}), LP_INT64, INTS(2, 2, 2), 0, 1, 0, 5, 4, 7, 6, 11, 10);
  LpTensor *mask = TENSOR(LP_BOOL, INTS(2, 3), 0, 1, 0, 1, 0, 1);
  EXPECT_TENSOR(tuple(x, mask, NULL, 1), LP_INT64, INTS(3, 2), 0, 2, 3, 6, 7, 10, 11);
  LpTensor *last = INDEX(1, 0, 1);
  EXPECT_TENSOR(tuple(x, mask, last, 2), LP_INT64, INTS(3), 0, 3, 6, 11);
  x = strided(x);
  EXPECT_TENSOR(tuple(x, mask, NULL, 1), LP_INT64, INTS(3, 2), 0, 2, 3, 6, 7, 10, 11);
  LpTensor *far = INDEX(5), *wrong = TENSOR(LP_BOOL, INTS(2, 2), 1, 1, 1, 1), *real = VECTOR(LP_FLOAT32, 1);
  EXPECT_FAILS(tuple(x, NULL, far, 2), LP_ERR_INDEX, "index 5 is out of bounds for dimension 1 with size 3");
  EXPECT_FAILS(tuple(x, wrong, NULL, 1), LP_ERR_INDEX, "the shape of the mask [2, 2] at index 1");
  EXPECT_FAILS(tuple(x, a, three, 2), LP_ERR_ARGUMENT, "index tensors");
  EXPECT_FAILS(tuple(x, real, NULL, 1), LP_ERR_INDEX, "float32");
  LpTensor *many[4] = {a, a, a, a};
  EXPECT_FAILS(lp_index(x, (LpTensors){many, 4}), LP_ERR_INDEX, "too many indices for tensor of dimension 3");
  LpTensor *all[] = {x, a, b, column, three, mask, last, far, wrong, real};
  for (int i = 0; i < 10; i++) lp_tensor_release(all[i]);
}

TEST(index_put) {
  LpTensor *x = matrix(), *a = INDEX(0, 2, 0), *v = TENSOR(LP_FLOAT32, INTS(3, 1), 1, 2, 3), *one = VECTOR(LP_FLOAT32, -1);
  LpTensor *ints = INDEX(1);
  EXPECT_TENSOR(lp_index_put(x, (LpTensors){&a, 1}, v, true), LP_FLOAT32, INTS(3, 4), 0, 4, 5, 6, 7, 4, 5, 6, 7, 10, 11,
                12, 13);
  LpTensor *second[2] = {NULL, a};
  EXPECT(lp_index_put_(x, (LpTensors){second, 2}, one, false));
  EXPECT_TENSOR(lp_clone(x, LP_FORMAT_NONE), LP_FLOAT32, INTS(3, 4), 0, -1, 1, -1, 3, -1, 5, -1, 7, -1, 9, -1, 11);
  EXPECT_FAILS(lp_index_put_(x, (LpTensors){&a, 1}, ints, false), LP_ERR_TYPE, "int64 for the source");
  LpTensor *two = VECTOR(LP_FLOAT32, 1, 2);
  EXPECT_FAILS(lp_index_put_(x, (LpTensors){&a, 1}, two, false), LP_ERR_INDEX, "value tensor of shape [2]");
  LpTensor *all[] = {x, a, v, one, ints, two};
  for (int i = 0; i < 6; i++) lp_tensor_release(all[i]);
}

/* Many rows onto few: the same bits with one thread and with several. */
TEST(index_accumulate_is_deterministic) {
  int64_t rows = 20000, width = 8;
  LpTensor *at = lp_tensor_new(INTS(rows), LP_INT64, lp_cpu()), *v = lp_tensor_new(INTS(rows, width), LP_FLOAT32, lp_cpu());
  LpTensor *x = lp_tensor_new(INTS(64, width), LP_FLOAT32, lp_cpu()), *sums[2];
  uint32_t state = 1;
  const int threads = lp_num_threads();
  for (int64_t i = 0; i < rows * width; i++) {
    state = state * 1664525u + 1013904223u;
    ((float *)lp_data(v))[i] = (float)(state >> 8) / 1e6f;
    if (i < rows) ((int64_t *)lp_data(at))[i] = state >> 16 & 63;
  }
  memset(lp_data(x), 0, 64 * 8 * 4);
  for (int i = 0; i < 2; i++) {
    lp_set_num_threads(i ? 2 : 1);
    sums[i] = lp_index_put(x, (LpTensors){&at, 1}, v, true);
  }
  lp_set_num_threads(threads);
  EXPECT(sums[0] && sums[1] && !memcmp(lp_data(sums[0]), lp_data(sums[1]), 64 * 8 * 4));
  LpTensor *all[] = {at, v, x, sums[0], sums[1]};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}

TEST(index_flat) {
  LpTensor *x = matrix(), *at = TENSOR(LP_INT64, INTS(2, 2), 0, -1, 5, 5), *v = TENSOR(LP_FLOAT32, INTS(2, 2), 1, 2, 3, 4);
  EXPECT_TENSOR(lp_take(x, at), LP_FLOAT32, INTS(2, 2), 0, 0, 11, 5, 5);
  EXPECT_TENSOR(lp_put(x, at, v, true), LP_FLOAT32, INTS(3, 4), 0, 1, 1, 2, 3, 4, 12, 6, 7, 8, 9, 10, 13);
  x = strided(x);
  EXPECT_TENSOR(lp_take(x, at), LP_FLOAT32, INTS(2, 2), 0, 0, 11, 5, 5);
  LpTensor *far = INDEX(12);
  EXPECT_FAILS(lp_take(x, far), LP_ERR_INDEX, "index 12 is out of bounds");
  LpTensor *all[] = {x, at, v, far};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}

TEST(index_masks) {
  LpTensor *x = matrix(), *mask = VECTOR(LP_BOOL, 1, 0, 0, 1), *source = VECTOR(LP_FLOAT32, 1, 2, 3, 4, 5, 6, 7);
  EXPECT_TENSOR(lp_masked_select(x, mask), LP_FLOAT32, INTS(6), 0, 0, 3, 4, 7, 8, 11);
  EXPECT_TENSOR(lp_masked_scatter(x, mask, source), LP_FLOAT32, INTS(3, 4), 0, 1, 1, 2, 2, 3, 5, 6, 4, 5, 9, 10, 6);
  LpTensor *few = VECTOR(LP_FLOAT32, 1, 2);
  EXPECT_FAILS(lp_masked_scatter(x, mask, few), LP_ERR_ARGUMENT, "6 true values, got 2");
  LpTensor *sparse = TENSOR(LP_FLOAT32, INTS(2, 2), 0, NAN, 3, 0);
  EXPECT_TENSOR(lp_nonzero(sparse), LP_INT64, INTS(2, 2), 0, 0, 1, 1, 0);
  LpTensorVec columns = {0};
  EXPECT(lp_where_condition(sparse, &columns) && columns.count == 2);
  EXPECT_TENSOR(lp_tensor_retain(columns.data[0]), LP_INT64, INTS(2), 0, 0, 1);
  EXPECT_TENSOR(lp_tensor_retain(columns.data[1]), LP_INT64, INTS(2), 0, 1, 0);
  lp_tensor_vec_free(&columns);
  LpTensor *zero = tensor_of(LP_BOOL, SCALAR_SHAPE, (const double[]){1});
  EXPECT_EMPTY(lp_nonzero(zero), LP_INT64, INTS(1, 0));
  LpTensor *all[] = {x, mask, source, few, sparse, zero};
  for (int i = 0; i < 6; i++) lp_tensor_release(all[i]);
}

TEST(index_triangles_and_diagonals) {
  LpTensor *x = matrix(), *v = VECTOR(LP_FLOAT32, 7, 8);
  EXPECT_TENSOR(lp_tril(x, 0), LP_FLOAT32, INTS(3, 4), 0, 0, 0, 0, 0, 4, 5, 0, 0, 8, 9, 10, 0);
  EXPECT_TENSOR(lp_triu(x, 2), LP_FLOAT32, INTS(3, 4), 0, 0, 0, 2, 3, 0, 0, 0, 7, 0, 0, 0, 0);
  EXPECT_TENSOR(lp_tril(x, INT64_MIN), LP_FLOAT32, INTS(3, 4), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  EXPECT_TENSOR(lp_diag(v, 1), LP_FLOAT32, INTS(3, 3), 0, 0, 7, 0, 0, 0, 8, 0, 0, 0);
  EXPECT_TENSOR(lp_diag(x, -1), LP_FLOAT32, INTS(2), 0, 4, 9);
  EXPECT_TENSOR(lp_trace(x), LP_FLOAT32, SCALAR_SHAPE, 0, 15);
  EXPECT_FAILS(lp_tril(v, 0), LP_ERR_ARGUMENT, "at least 2 dims");
  LpTensor *row = VECTOR(LP_FLOAT32, 1, 1, 1, 1);
  EXPECT_TENSOR(lp_select_scatter(x, row, 0, -1), LP_FLOAT32, INTS(3, 4), 0, 0, 1, 2, 3, 4, 5, 6, 7, 1, 1, 1, 1);
  EXPECT_FAILS(lp_select_scatter(x, row, 1, 0), LP_ERR_ARGUMENT, "[3], got [4]");
  EXPECT(lp_fill_diagonal_(x, lp_scalar_int(-1), false));
  EXPECT_TENSOR(x, LP_FLOAT32, INTS(3, 4), 0, -1, 1, 2, 3, 4, -1, 6, 7, 8, 9, -1, 11);
  LpTensor *classes = INDEX(2, 0);
  EXPECT_TENSOR(lp_one_hot(classes, -1), LP_INT64, INTS(2, 3), 0, 0, 0, 1, 1, 0, 0);
  EXPECT_FAILS(lp_one_hot(classes, 2), LP_ERR_ARGUMENT, "num_classes = 2, got 2");
  LpTensor *all[] = {v, row, classes};
  for (int i = 0; i < 3; i++) lp_tensor_release(all[i]);
}

TEST(index_gradient_through_tuple) {
  LpTensor *x = matrix(), *a = INDEX(0, 0, 2), *g = NULL;
  lp_set_requires_grad(x, true);
  LpTensor *y = tuple(x, a, NULL, 1);
  LpTensor *total = y ? lp_sum(y, NO_DTYPE) : NULL, *seed = NULL;
  EXPECT(total && lp_autograd_grad((LpTensors){&total, 1}, (LpTensors){&x, 1}, (LpTensors){&seed, 1}, false, false, false, &g));
  EXPECT_TENSOR(g, LP_FLOAT32, INTS(3, 4), 0, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1);
  LpTensor *all[] = {x, a, y, total};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}
