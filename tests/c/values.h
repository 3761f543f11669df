/* Small tensors from lists of numbers, and their comparison, for tests of ops. */
#ifndef LP_TEST_VALUES_H
#define LP_TEST_VALUES_H

#include "core/tensor.h"
#include "lampad/ops.h"
#include "test.h"

#define INTS(...) lp_ints((const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define SCALAR_SHAPE lp_ints(NULL, 0)
#define NONE lp_ints_none()
#define NO_DTYPE LP_DTYPE_NONE
#define COUNT_OF(...) ((int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))
/* TENSOR(LP_FLOAT32, INTS(2, 2), 1, 2, 3, 4) */
#define TENSOR(dtype, sizes, ...) tensor_of(dtype, sizes, (const double[]){__VA_ARGS__})
#define VECTOR(dtype, ...) tensor_of(dtype, INTS(COUNT_OF(__VA_ARGS__)), (const double[]){__VA_ARGS__})
/* Compares dtype, shape and values (NaN equals NaN), and releases t. */
#define EXPECT_TENSOR(t, dtype, sizes, tol, ...) \
  expect_tensor(__FILE__, __LINE__, #t, t, dtype, sizes, tol, (const double[]){__VA_ARGS__})
#define EXPECT_EMPTY(t, dtype, sizes) expect_tensor(__FILE__, __LINE__, #t, t, dtype, sizes, 0, NULL)

static inline void put_number(LpTensor *t, int64_t at, double x) {
  LpTensor *one = lp_tensor_from_scalar(lp_scalar_float(x), lp_dtype(t));
  memcpy((char *)lp_data(t) + at * (int64_t)lp_dtype_size(lp_dtype(t)), lp_data(one), lp_dtype_size(lp_dtype(t)));
  lp_tensor_release(one);
}

static inline LpTensor *tensor_of(LpDtype dtype, LpInts sizes, const double *values) {
  LpTensor *t = lp_tensor_new(sizes, dtype, lp_cpu());
  for (int64_t i = 0; i < lp_numel(t); i++) put_number(t, i, values[i]);
  return t;
}

/* The i-th element in row-major order. */
static inline double number_at(LpTensor *t, int64_t i) {
  int64_t offset = t->offset_elems;
  for (int64_t d = lp_ndim(t) - 1; d >= 0; d--) {
    offset += i % lp_size(t, d) * lp_stride(t, d);
    i /= lp_size(t, d);
  }
  LpTensor *one = lp_tensor_alias(t, SCALAR_SHAPE, SCALAR_SHAPE, offset);
  LpScalar value = lp_scalar_int(0);
  lp_item(one, &value);
  lp_tensor_release(one);
  return lp_scalar_to_double(value);
}

/* The same values laid out column by column: not contiguous. */
static inline LpTensor *strided(LpTensor *t) {
  int64_t strides[LP_MAX_DIMS], next = 1;
  for (int64_t d = 0; d < lp_ndim(t); d++) {
    strides[d] = 2 * next;
    next *= lp_size(t, d);
  }
  LpTensor *s = lp_tensor_new_strided(lp_sizes(t), lp_ints(strides, lp_ndim(t)), lp_dtype(t), lp_cpu());
  lp_copy_(s, t, false);
  lp_tensor_release(t);
  return s;
}

static inline void expect_tensor(const char *file, int line, const char *what, LpTensor *t, LpDtype dtype, LpInts sizes,
                                 double tol, const double *values) {
  if (!t) {
    test_failure(file, line, "%s failed: %s", what, lp_last_error()->message);
    return;
  }
  bool same = lp_dtype(t) == dtype && lp_ndim(t) == sizes.count;
  for (int64_t d = 0; same && d < sizes.count; d++) same = lp_size(t, d) == sizes.data[d];
  if (!same) test_failure(file, line, "%s: %s %s", what, lp_dtype_name(lp_dtype(t)), SHAPE_TEXT(t));
  for (int64_t i = 0; same && i < lp_numel(t); i++) {
    double got = number_at(t, i), want = values[i];
    if (got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= tol * (1 + fabs(want))) continue;
    test_failure(file, line, "%s: element %lld is %.9g, expected %.9g", what, (long long)i, got, want);
    break;
  }
  lp_tensor_release(t);
}

#endif
