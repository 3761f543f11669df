/* Matrix products against sums written out, over dtypes, layouts, sizes and scalars. */
#include "core/tensor.h"
#include "lampad/autograd.h"
#include "lampad/memory.h"
#include "lampad/ops.h"
#include "test.h"

static LpTensor *numbers(const int64_t *sizes, int ndim, LpDtype dtype, bool turned) {
  int64_t swapped[4];
  for (int d = 0; d < ndim; d++) swapped[d] = sizes[d];
  if (turned) swapped[ndim - 1] = sizes[ndim - 2], swapped[ndim - 2] = sizes[ndim - 1];
  LpTensor *whole =
      lp_randint_low(-4, 5, lp_ints(swapped, ndim), NULL, LP_FLOAT64, lp_cpu(), false);
  LpTensor *t = lp_to_copy(whole, dtype, lp_cpu(), LP_FORMAT_NONE);
  lp_tensor_release(whole);
  if (!turned) return t;
  LpTensor *view = lp_transpose(t, -2, -1);
  lp_tensor_release(t);
  return view;
}

static double value_at(LpTensor *t, int64_t i, int64_t j) {
  LpTensor *row = lp_select(t, 0, i), *cell = lp_select(row, 0, j);
  LpScalar v = {0};
  lp_item(cell, &v);
  lp_tensor_release(row);
  lp_tensor_release(cell);
  return lp_scalar_to_double(v);
}

/* Small integers are exact in every dtype: the result must be equal. */
static void check_product(LpTensor *c, LpTensor *self, LpTensor *a, LpTensor *b,
                          double beta, double alpha) {
  for (int64_t i = 0; i < a->sizes[0]; i++)
    for (int64_t j = 0; j < b->sizes[1]; j++) {
      double sum = 0;
      for (int64_t k = 0; k < a->sizes[1]; k++)
        sum += value_at(a, i, k) * value_at(b, k, j);
      sum = alpha * sum + (self ? beta * value_at(self, i, j) : 0);
      EXPECT(value_at(c, i, j) == sum);
    }
}

static const LpDtype dtypes[] = {LP_FLOAT32,   LP_FLOAT64,   LP_FLOAT16, LP_BFLOAT16,
                                 LP_INT8,      LP_INT16,     LP_INT32,   LP_INT64,
                                 LP_COMPLEX64, LP_COMPLEX128};

TEST(matmul_layouts_and_dtypes) {
  for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
    for (int turns = 0; turns < 4; turns++) {
      LpTensor *a = numbers((int64_t[]){3, 5}, 2, dtypes[d], turns & 1);
      LpTensor *b = numbers((int64_t[]){5, 4}, 2, dtypes[d], turns & 2);
      LpTensor *self = numbers((int64_t[]){3, 4}, 2, dtypes[d], turns & 1);
      LpTensor *c = lp_mm(a, b);
      EXPECT(c != NULL);
      if (c) check_product(c, NULL, a, b, 0, 1);
      lp_tensor_release(c);
      c = lp_addmm(self, a, b, lp_scalar_int(2), lp_scalar_int(1));
      EXPECT(c != NULL);
      if (c && !lp_dtype_is_complex(dtypes[d]) && dtypes[d] != LP_BFLOAT16)
        check_product(c, self, a, b, 2, 1);
      lp_tensor_release(c);
      lp_tensor_release(a);
      lp_tensor_release(b);
      lp_tensor_release(self);
    }
}

TEST(matmul_large_sizes) {
  static const int64_t sizes[][3] = {
      {70, 65, 80}, {1, 200, 300}, {300, 1, 200}, {129, 3, 257}, {64, 128, 784}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (int turns = 0; turns < 4; turns++) {
      int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
      LpTensor *a = numbers((int64_t[]){m, k}, 2, LP_FLOAT32, turns & 1);
      LpTensor *b = numbers((int64_t[]){k, n}, 2, LP_FLOAT32, turns & 2);
      LpTensor *c = lp_mm(a, b),
               *wide_a = lp_to_copy(a, LP_INT64, lp_cpu(), LP_FORMAT_NONE);
      LpTensor *wide_b = lp_to_copy(b, LP_INT64, lp_cpu(), LP_FORMAT_NONE),
               *exact = lp_mm(wide_a, wide_b);
      LpTensor *rounded = lp_to_copy(exact, LP_FLOAT32, lp_cpu(), LP_FORMAT_NONE);
      bool same = false;
      EXPECT(lp_equal(c, rounded, &same) && same);
      LpTensor *all[] = {a, b, c, wide_a, wide_b, exact, rounded};
      for (size_t t = 0; t < sizeof all / sizeof *all; t++) lp_tensor_release(all[t]);
    }
}

TEST(matmul_beta_zero_ignores_nan) {
  LpTensor *nan = lp_full(lp_ints((int64_t[]){2, 2}, 2), lp_scalar_float(NAN), LP_FLOAT32,
                          lp_cpu(), false);
  LpTensor *one = lp_ones(lp_ints((int64_t[]){2, 2}, 2), LP_FLOAT32, lp_cpu(), false);
  LpTensor *narrow = lp_ones(lp_ints((int64_t[]){2, 1}, 2), LP_FLOAT32, lp_cpu(), false);
  LpTensor *c = lp_addmm(nan, one, one, lp_scalar_int(0), lp_scalar_int(1));
  EXPECT(value_at(c, 0, 0) == 2 && value_at(c, 1, 1) == 2);
  EXPECT(lp_addmm_(nan, one, one, lp_scalar_int(0), lp_scalar_int(3)));
  EXPECT(value_at(nan, 0, 1) == 6);
  LpTensor *empty = lp_ones(lp_ints((int64_t[]){2, 0}, 2), LP_FLOAT32, lp_cpu(), false),
           *flat = lp_t(empty);
  LpTensor *zero = lp_mm(empty, flat);
  EXPECT(value_at(zero, 0, 0) == 0 && value_at(zero, 1, 1) == 0);
  EXPECT_FAILS(lp_mm(one, flat) != NULL, LP_ERR_ARGUMENT,
               "cannot be multiplied (2x2 and 0x2)");
  EXPECT_FAILS(lp_addmm(narrow, flat, empty, lp_scalar_int(1), lp_scalar_int(1)) != NULL,
               LP_ERR_ARGUMENT, "expanded");
  LpTensor *all[] = {nan, one, narrow, c, empty, flat, zero};
  for (size_t t = 0; t < sizeof all / sizeof *all; t++) lp_tensor_release(all[t]);
}

/* out may be one of the operands, and of any layout. */
TEST(matmul_out) {
  LpTensor *a = numbers((int64_t[]){4, 4}, 2, LP_FLOAT32, false),
           *b = numbers((int64_t[]){4, 4}, 2, LP_FLOAT32, true);
  LpTensor *expected = lp_mm(a, b),
           *out = numbers((int64_t[]){4, 4}, 2, LP_FLOAT32, true);
  bool same = false;
  EXPECT(lp_mm_out(out, a, b) && lp_equal(out, expected, &same) && same &&
         out->strides[0] == 1);
  EXPECT(lp_mm_out(a, a, b) && lp_equal(a, expected, &same) && same);
  LpTensor *all[] = {a, b, expected, out};
  for (size_t t = 0; t < sizeof all / sizeof *all; t++) lp_tensor_release(all[t]);
}

/* A failing allocation is an error, and nothing is lost or kept. */
TEST(matmul_failing_allocations) {
  LpTensor *a = numbers((int64_t[]){2, 3, 4}, 3, LP_FLOAT32, true),
           *w = numbers((int64_t[]){5, 4}, 2, LP_FLOAT32, false);
  LpTensor *bias = numbers((int64_t[]){1, 5}, 2, LP_FLOAT32, false);
  LpTensor *square = numbers((int64_t[]){3, 3}, 2, LP_FLOAT64, false);
  LpMemoryStats before, after;
  lp_memory_stats(lp_cpu(), &before);
  for (int op = 0; op < 4; op++)
    for (int64_t at = 0; at < 200; at++) {
      lp_memory_fail_after(at);
      LpTensor *operands[2] = {a, w};
      LpTensor *r = op == 0   ? lp_linear(a, w, bias)
                    : op == 1 ? lp_einsum("bij,kj->bik", (LpTensors){operands, 2})
                    : op == 2
                        ? lp_linalg_matrix_exp(square)
                        : lp_linalg_pinv(square, NULL, NULL, false);
      lp_memory_fail_after(-1);
      if (r) {
        lp_tensor_release(r);
        break;
      }
      EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
      EXPECT(at < 199);
    }
  lp_memory_stats(lp_cpu(), &after);
  EXPECT(after.live_count == before.live_count);
  LpTensor *all[] = {a, w, bias, square};
  for (size_t t = 0; t < sizeof all / sizeof *all; t++) lp_tensor_release(all[t]);
}
