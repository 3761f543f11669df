/* Shape ops through their public functions: geometry, values, errors, gradients, failing
 * allocations. */
#include <stdlib.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"
#include "test.h"

#define INTS(...)                                                                        \
  lp_ints((const int64_t[]){__VA_ARGS__},                                                \
          sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define NONE lp_ints(NULL, 0)
#define SOME(v) ((LpOptInt){true, v})
#define NO_INT ((LpOptInt){false, 0})
#define NO_DEVICE ((LpDevice){LP_DEVICE_NONE, 0})
#define LIST(...)                                                                        \
  ((LpTensors){(LpTensor *const[]){__VA_ARGS__},                                         \
               sizeof((LpTensor *[]){__VA_ARGS__}) / sizeof(LpTensor *)})

/* 0, 1, 2, ... in the shape, float64. */
static LpTensor *counting(LpInts sizes) {
  int64_t n;
  lp_numel_of(sizes, &n);
  LpTensor *flat = lp_arange(lp_scalar_int(n), LP_FLOAT64, NO_DEVICE, false),
           *t = lp_view(flat, sizes);
  LpTensor *result = lp_detach(t);
  lp_tensor_release(flat);
  lp_tensor_release(t);
  return result;
}

static double value_at(LpTensor *t, int64_t i) {
  LpTensor *flat = lp_reshape(t, INTS(-1)), *one = lp_select(flat, 0, i);
  LpScalar s = {0};
  lp_item(one, &s);
  lp_tensor_release(flat);
  lp_tensor_release(one);
  return lp_scalar_to_double(s);
}

/* Takes t over; true when it has the shape and the values in row-major order. */
static bool is(LpTensor *t, LpInts shape, const double *values) {
  if (!t) {
    fprintf(stderr, "  failed: %s\n", lp_last_error()->message);
    return false;
  }
  bool ok = t->ndim == shape.count &&
            memcmp(t->sizes, shape.data, (size_t)t->ndim * sizeof(int64_t)) == 0;
  if (!ok) fprintf(stderr, "  shape is %s\n", SHAPE_TEXT(t));
  for (int64_t i = 0; i < t->numel && ok; i++)
    if (value_at(t, i) != values[i]) {
      fprintf(stderr, "  element %lld is %g, expected %g\n", (long long)i, value_at(t, i),
              values[i]);
      ok = false;
    }
  lp_tensor_release(t);
  return ok;
}
#define VALUES(...) ((const double[]){__VA_ARGS__})

TEST(shape_view_infers_and_refuses) {
  LpTensor *x = counting(INTS(2, 6)), *t = lp_transpose(x, 0, 1);
  EXPECT(is(lp_view(x, INTS(3, -1)), INTS(3, 4),
            VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)));
  EXPECT_FAILS(lp_view(x, INTS(5, -1)), LP_ERR_ARGUMENT,
               "shape '[5, -1]' is invalid for input of size 12");
  EXPECT_FAILS(lp_view(x, INTS(-1, -1)), LP_ERR_ARGUMENT,
               "only one dimension can be inferred");
  EXPECT_FAILS(lp_view(x, INTS(-2, 6)), LP_ERR_ARGUMENT, "invalid shape dimension -2");
  EXPECT_FAILS(lp_view(x, INTS(3, 5)), LP_ERR_ARGUMENT, "invalid for input of size 12");
  EXPECT_FAILS(lp_view(t, INTS(12)), LP_ERR_ARGUMENT, "use reshape()");
  EXPECT(is(lp_view(t, INTS(3, 2, 2)), INTS(3, 2, 2),
            VALUES(0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11)));
  LpTensor *flat = lp_reshape(t, INTS(-1));
  EXPECT(!lp_is_same_storage(flat, t));
  EXPECT(is(flat, INTS(12), VALUES(0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11)));
  LpTensor *same = lp_reshape(x, INTS(12));
  EXPECT(lp_is_same_storage(same, x));
  lp_tensor_release(same);
  LpTensor *empty = counting(INTS(0, 3));
  EXPECT_FAILS(lp_view(empty, INTS(0, -1)), LP_ERR_ARGUMENT, "can be any value");
  EXPECT(is(lp_view(empty, INTS(3, -1)), INTS(3, 0), NULL));
  lp_tensor_release(empty);
  lp_tensor_release(x);
  lp_tensor_release(t);
}

TEST(shape_view_follows_every_layout) {
  /* A view that view() grants must read the same elements as a copy of the shape. */
  LpTensor *x = counting(INTS(2, 3, 4, 2));
  const int64_t perms[][4] = {{0, 1, 2, 3}, {1, 0, 2, 3}, {0, 2, 3, 1},
                              {3, 2, 1, 0}, {2, 3, 0, 1}, {0, 3, 1, 2}};
  const int64_t shapes[][4] = {{2, 3, 8, 1}, {6, 8, 1, 1}, {48, 1, 1, 1}, {2, 12, 2, 1},
                               {3, 2, 4, 2}, {4, 2, 2, 3}, {2, 24, 1, 1}};
  int granted = 0;
  for (int p = 0; p < 6; p++) {
    LpTensor *t = lp_permute(x, lp_ints(perms[p], 4)),
             *dense = lp_contiguous(t, LP_CONTIGUOUS);
    for (int s = 0; s < 7; s++) {
      LpTensor *view = lp_view(t, lp_ints(shapes[s], 4)),
               *copy = lp_view(dense, lp_ints(shapes[s], 4));
      for (int64_t i = 0; view && i < 48; i += 5)
        EXPECT_NEAR(value_at(view, i), value_at(copy, i), 0);
      granted += view != NULL;
      lp_tensor_release(view);
      lp_tensor_release(copy);
    }
    lp_tensor_release(t);
    lp_tensor_release(dense);
  }
  EXPECT(granted == 9); /* as many as PyTorch grants */
  lp_tensor_release(x);
}

TEST(shape_dims_move) {
  LpTensor *x = counting(INTS(2, 3));
  EXPECT(is(lp_t(x), INTS(3, 2), VALUES(0, 3, 1, 4, 2, 5)));
  EXPECT(is(lp_permute(x, INTS(-1, 0)), INTS(3, 2), VALUES(0, 3, 1, 4, 2, 5)));
  EXPECT_FAILS(lp_permute(x, INTS(0, 0)), LP_ERR_ARGUMENT, "duplicate dims");
  EXPECT_FAILS(lp_permute(x, INTS(0)), LP_ERR_ARGUMENT,
               "number of dims in the desired ordering");
  EXPECT_FAILS(lp_transpose(x, 0, 2), LP_ERR_INDEX, "[-2, 1], but got 2");
  EXPECT(is(lp_movedim(x, INTS(0), INTS(1)), INTS(3, 2), VALUES(0, 3, 1, 4, 2, 5)));
  EXPECT(is(lp_unsqueeze(x, -1), INTS(2, 3, 1), VALUES(0, 1, 2, 3, 4, 5)));
  LpTensor *wide = lp_unsqueeze(x, 0);
  EXPECT(is(lp_squeeze_dim(wide, 1), INTS(1, 2, 3), VALUES(0, 1, 2, 3, 4, 5)));
  EXPECT(is(lp_squeeze(wide), INTS(2, 3), VALUES(0, 1, 2, 3, 4, 5)));
  EXPECT(is(lp_squeeze_dims(wide, INTS(0, 2)), INTS(2, 3), VALUES(0, 1, 2, 3, 4, 5)));
  EXPECT(is(lp_flatten(wide, 1, 2), INTS(1, 6), VALUES(0, 1, 2, 3, 4, 5)));
  EXPECT(is(lp_unflatten(x, 1, INTS(-1, 1)), INTS(2, 3, 1), VALUES(0, 1, 2, 3, 4, 5)));
  EXPECT_FAILS(lp_flatten(x, 1, 0), LP_ERR_ARGUMENT, "must not come after");
  EXPECT_FAILS(lp_t(wide), LP_ERR_ARGUMENT, "<= 2 dims");
  lp_tensor_release(wide);
  lp_tensor_release(x);
}

TEST(shape_parts) {
  LpTensor *x = counting(INTS(3, 4));
  EXPECT(is(lp_select(x, 1, -1), INTS(3), VALUES(3, 7, 11)));
  EXPECT_FAILS(lp_select(x, 0, 3), LP_ERR_INDEX,
               "index 3 is out of range for dim 0 of size 3");
  EXPECT(is(lp_slice(x, 1, SOME(1), NO_INT, 2), INTS(3, 2), VALUES(1, 3, 5, 7, 9, 11)));
  EXPECT(is(lp_slice(x, 0, SOME(-2), SOME(100), 1), INTS(2, 4),
            VALUES(4, 5, 6, 7, 8, 9, 10, 11)));
  EXPECT(is(lp_slice(x, 0, SOME(2), SOME(1), 1), INTS(0, 4), NULL));
  EXPECT(is(lp_slice(x, 0, NO_INT, NO_INT, INT64_MAX), INTS(1, 4), VALUES(0, 1, 2, 3)));
  EXPECT_FAILS(lp_slice(x, 0, NO_INT, NO_INT, 0), LP_ERR_ARGUMENT,
               "step must be positive");
  EXPECT(is(lp_narrow(x, 1, -2, 2), INTS(3, 2), VALUES(2, 3, 6, 7, 10, 11)));
  EXPECT_FAILS(lp_narrow(x, 1, 3, 2), LP_ERR_ARGUMENT, "exceeds the size (4)");
  EXPECT(is(lp_diagonal(x, 1, 0, 1), INTS(3), VALUES(1, 6, 11)));
  EXPECT(is(lp_diagonal(x, -1, 0, 1), INTS(2), VALUES(4, 9)));
  EXPECT(is(lp_diagonal(x, 9, 0, 1), INTS(0), NULL));
  EXPECT(is(lp_unfold(x, 1, 2, 2), INTS(3, 2, 2),
            VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)));
  EXPECT(is(lp_as_strided(x, INTS(2, 2), INTS(5, 1), SOME(1)), INTS(2, 2),
            VALUES(1, 2, 6, 7)));
  EXPECT_FAILS(lp_as_strided(x, INTS(4, 4), INTS(4, 1), NO_INT), LP_ERR_ARGUMENT,
               "out of bounds");
  EXPECT_FAILS(lp_as_strided(x, INTS(2), INTS(-1), NO_INT), LP_ERR_ARGUMENT, "negative");
  lp_tensor_release(x);
}

TEST(shape_expand) {
  LpTensor *x = counting(INTS(2, 1));
  EXPECT(is(lp_expand(x, INTS(2, -1, 2)), INTS(2, 2, 2), VALUES(0, 0, 1, 1, 0, 0, 1, 1)));
  EXPECT_FAILS(lp_expand(x, INTS(3, 2)), LP_ERR_ARGUMENT,
               "must match the existing size (2)");
  EXPECT_FAILS(lp_expand(x, INTS(2)), LP_ERR_ARGUMENT, "greater or equal");
  EXPECT_FAILS(lp_expand(x, INTS(-1, 2, 2)), LP_ERR_ARGUMENT, "non-existing");
  EXPECT_FAILS(lp_expand(x, INTS(INT64_MAX, 2, 4)), LP_ERR_MEMORY, "more elements");
  LpTensor *wide = lp_expand(x, INTS(3, 2, 4));
  EXPECT(is(lp_sum_to_size(wide, INTS(2, 1)), INTS(2, 1), VALUES(0, 12)));
  EXPECT_FAILS(lp_sum_to_size(wide, INTS(3, 1)), LP_ERR_ARGUMENT, "not expandable");
  lp_tensor_release(wide);
  lp_tensor_release(x);
}

static bool vec_shapes(LpTensorVec *v, int64_t dim, LpInts sizes) {
  bool ok = v->count == sizes.count;
  for (int64_t i = 0; i < v->count && ok; i++)
    ok = lp_size(v->data[i], dim) == sizes.data[i];
  lp_tensor_vec_free(v);
  return ok;
}

static bool has_strides(LpTensor *t, LpInts strides) {
  bool ok = t && t->ndim == strides.count &&
            memcmp(t->strides, strides.data, (size_t)t->ndim * sizeof(int64_t)) == 0;
  lp_tensor_release(t);
  return ok;
}

/* stride() is visible, so it is PyTorch's even where nothing depends on it. */
TEST(shape_strides_of_single_elements) {
  LpTensor *x = counting(INTS(3)), *y = counting(INTS(3, 1)), *one = counting(NONE);
  EXPECT(has_strides(lp_expand(x, INTS(2, 1, 3)), INTS(0, 3, 1)));
  EXPECT(has_strides(lp_expand(y, INTS(1, 3, 4)), INTS(3, 1, 0)));
  EXPECT(has_strides(lp_expand(one, INTS(1, 1)), INTS(0, 0)));
  EXPECT(has_strides(lp_slice(x, 0, SOME(0), SOME(1), 5), INTS(5)));
  EXPECT(has_strides(lp_unfold(x, 0, 3, 2), INTS(2, 1)));
  EXPECT(has_strides(lp_unsqueeze(y, 0), INTS(3, 1, 1)));
  lp_tensor_release(x);
  lp_tensor_release(y);
  lp_tensor_release(one);
}

TEST(shape_splits) {
  LpTensor *x = counting(INTS(7, 2));
  LpTensorVec v;
  EXPECT(lp_split(x, 3, 0, &v) && vec_shapes(&v, 0, INTS(3, 3, 1)));
  EXPECT(lp_split_with_sizes(x, INTS(2, 0, 5), 0, &v) &&
         vec_shapes(&v, 0, INTS(2, 0, 5)));
  EXPECT(lp_chunk(x, 3, 0, &v) && vec_shapes(&v, 0, INTS(3, 3, 1)));
  EXPECT(lp_tensor_split(x, 3, 0, &v) && vec_shapes(&v, 0, INTS(3, 2, 2)));
  EXPECT(lp_tensor_split_indices(x, INTS(2, 1, -1), 0, &v) &&
         vec_shapes(&v, 0, INTS(2, 0, 5, 1)));
  EXPECT(lp_unbind(x, 1, &v) && vec_shapes(&v, 0, INTS(7, 7)));
  EXPECT(lp_hsplit(x, 2, &v) && vec_shapes(&v, 1, INTS(1, 1)));
  EXPECT_FAILS(lp_split_with_sizes(x, INTS(2, 2), 0, &v), LP_ERR_ARGUMENT,
               "sum exactly to 7");
  EXPECT_FAILS(lp_vsplit(x, 2, &v), LP_ERR_ARGUMENT, "not divisible");
  EXPECT_FAILS(lp_split(x, 0, 0, &v), LP_ERR_ARGUMENT, "split_size can only be 0");
  EXPECT_FAILS(lp_chunk(x, 0, 0, &v), LP_ERR_ARGUMENT, "greater than 0");
  EXPECT(lp_chunk(x, INT64_MAX, 1, &v) && vec_shapes(&v, 0, INTS(7, 7)));
  EXPECT_FAILS(lp_tensor_split(x, INT64_MAX, 0, &v), LP_ERR_MEMORY, "too long");
  lp_tensor_release(x);
}

TEST(shape_joins) {
  LpTensor *x = counting(INTS(2, 2)), *row = counting(INTS(1, 2)),
           *i = lp_to_dtype(row, LP_INT64, false, false, LP_FORMAT_NONE);
  LpTensor *legacy = counting(INTS(0)), *cube = counting(INTS(1, 2, 1));
  EXPECT(is(lp_cat(LIST(x, row), 0), INTS(3, 2), VALUES(0, 1, 2, 3, 0, 1)));
  EXPECT(is(lp_cat(LIST(x, x), -1), INTS(2, 4), VALUES(0, 1, 0, 1, 2, 3, 2, 3)));
  LpTensor *mixed = lp_cat(LIST(i, x), 0);
  EXPECT(lp_dtype(mixed) == LP_FLOAT64);
  EXPECT(is(mixed, INTS(3, 2), VALUES(0, 1, 0, 1, 2, 3)));
  EXPECT(is(lp_cat(LIST(legacy, x), 1), INTS(2, 2), VALUES(0, 1, 2, 3)));
  EXPECT(is(lp_cat(LIST(legacy, legacy), 0), INTS(0), NULL));
  EXPECT(is(lp_stack(LIST(row, row), 1), INTS(1, 2, 2), VALUES(0, 1, 0, 1)));
  EXPECT(is(lp_stack(LIST(row, row), -1), INTS(1, 2, 2), VALUES(0, 0, 1, 1)));
  EXPECT_FAILS(lp_cat(LIST(x, row), 1), LP_ERR_ARGUMENT,
               "sizes of tensors must match except in dim 1");
  EXPECT_FAILS(lp_cat(LIST(x, cube), 0), LP_ERR_ARGUMENT, "same number of dims");
  EXPECT_FAILS(lp_stack(LIST(x, row), 0), LP_ERR_ARGUMENT, "equal size");
  EXPECT_FAILS(lp_cat((LpTensors){NULL, 0}, 0), LP_ERR_ARGUMENT, "non-empty list");
  EXPECT(is(lp_vstack(LIST(x, row)), INTS(3, 2), VALUES(0, 1, 2, 3, 0, 1)));
  EXPECT(is(lp_hstack(LIST(x, x)), INTS(2, 4), VALUES(0, 1, 0, 1, 2, 3, 2, 3)));
  EXPECT(is(lp_dstack(LIST(row, row)), INTS(1, 2, 2), VALUES(0, 0, 1, 1)));
  lp_tensor_release(x);
  lp_tensor_release(row);
  lp_tensor_release(i);
  lp_tensor_release(legacy);
  lp_tensor_release(cube);
}

TEST(shape_rearranges) {
  LpTensor *x = counting(INTS(2, 3)), *t = lp_t(x);
  EXPECT(is(lp_flip(x, INTS(1)), INTS(2, 3), VALUES(2, 1, 0, 5, 4, 3)));
  EXPECT(is(lp_flip(t, INTS(0, 1)), INTS(3, 2), VALUES(5, 2, 4, 1, 3, 0)));
  EXPECT(is(lp_rot90(x, 1, INTS(0, 1)), INTS(3, 2), VALUES(2, 5, 1, 4, 0, 3)));
  EXPECT(is(lp_roll(x, INTS(1), NONE), INTS(2, 3), VALUES(5, 0, 1, 2, 3, 4)));
  EXPECT(is(lp_roll(x, INTS(1, -1), INTS(0, 1)), INTS(2, 3), VALUES(4, 5, 3, 1, 2, 0)));
  EXPECT(
      is(lp_rep(x, INTS(2, 1)), INTS(4, 3), VALUES(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5)));
  EXPECT(is(lp_tile(x, INTS(2)), INTS(2, 6), VALUES(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5)));
  EXPECT(is(lp_repeat_interleave_self_int(x, 2, SOME(0), NO_INT), INTS(4, 3),
            VALUES(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5)));
  EXPECT(is(lp_repeat_interleave_self_int(x, 2, NO_INT, NO_INT), INTS(12),
            VALUES(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)));
  EXPECT_FAILS(lp_flip(x, INTS(0, 0)), LP_ERR_ARGUMENT, "multiple times");
  EXPECT_FAILS(lp_rep(x, INTS(2)), LP_ERR_ARGUMENT, "can not be smaller");
  lp_tensor_release(x);
  lp_tensor_release(t);
}

TEST(shape_meshgrid) {
  LpTensor *a = counting(INTS(2)), *b = counting(INTS(3));
  LpTensorVec v;
  EXPECT(lp_meshgrid(LIST(a, b), "ij", &v));
  EXPECT(is(lp_tensor_retain(v.data[0]), INTS(2, 3), VALUES(0, 0, 0, 1, 1, 1)));
  EXPECT(is(lp_tensor_retain(v.data[1]), INTS(2, 3), VALUES(0, 1, 2, 0, 1, 2)));
  lp_tensor_vec_free(&v);
  EXPECT(lp_meshgrid(LIST(a, b), "xy", &v));
  EXPECT(is(lp_tensor_retain(v.data[0]), INTS(3, 2), VALUES(0, 1, 0, 1, 0, 1)));
  EXPECT(is(lp_tensor_retain(v.data[1]), INTS(3, 2), VALUES(0, 0, 1, 1, 2, 2)));
  lp_tensor_vec_free(&v);
  EXPECT_FAILS(lp_meshgrid(LIST(a, b), "no", &v), LP_ERR_ARGUMENT, "\"no\"");
  lp_tensor_release(a);
  lp_tensor_release(b);
}

TEST(shape_complex_parts) {
  LpTensor *x = counting(INTS(2, 2)), *c = lp_view_as_complex(x);
  EXPECT(lp_dtype(c) == LP_COMPLEX128);
  EXPECT(is(lp_real(c), INTS(2), VALUES(0, 2)));
  EXPECT(is(lp_imag(c), INTS(2), VALUES(1, 3)));
  EXPECT_FAILS(lp_imag(x), LP_ERR_TYPE, "complex");
  EXPECT_FAILS(lp_view_as_complex(c), LP_ERR_TYPE, "float32 or float64");
  LpTensor *re = counting(INTS(2, 1)), *im = counting(INTS(3)), *z = lp_complex(re, im);
  EXPECT(
      is(lp_view_as_real(z), INTS(2, 3, 2), VALUES(0, 0, 0, 1, 0, 2, 1, 0, 1, 1, 1, 2)));
  lp_tensor_release(x);
  lp_tensor_release(c);
  lp_tensor_release(re);
  lp_tensor_release(im);
  lp_tensor_release(z);
}

TEST(shape_factories) {
  EXPECT(is(lp_arange_start_step(lp_scalar_int(5), lp_scalar_int(0), lp_scalar_int(-2),
                                 LP_DTYPE_NONE, NO_DEVICE, false),
            INTS(3), VALUES(5, 3, 1)));
  EXPECT(is(lp_arange_start_step(lp_scalar_float(0), lp_scalar_float(1),
                                 lp_scalar_float(0.25), LP_DTYPE_NONE, NO_DEVICE, false),
            INTS(4), VALUES(0, 0.25, 0.5, 0.75)));
  EXPECT(is(
      lp_linspace(lp_scalar_int(0), lp_scalar_int(1), 5, LP_DTYPE_NONE, NO_DEVICE, false),
      INTS(5), VALUES(0, 0.25, 0.5, 0.75, 1)));
  EXPECT(is(
      lp_logspace(lp_scalar_int(0), lp_scalar_int(2), 3, 2, LP_FLOAT64, NO_DEVICE, false),
      INTS(3), VALUES(1, 2, 4)));
  EXPECT(is(lp_eye_m(2, 3, LP_INT64, NO_DEVICE, false), INTS(2, 3),
            VALUES(1, 0, 0, 0, 1, 0)));
  EXPECT(is(lp_tril_indices(3, 2, 0, LP_INT64, NO_DEVICE), INTS(2, 5),
            VALUES(0, 1, 1, 2, 2, 0, 0, 1, 0, 1)));
  EXPECT(is(lp_triu_indices(2, 3, 1, LP_INT64, NO_DEVICE), INTS(2, 3),
            VALUES(0, 0, 1, 1, 2, 2)));
  EXPECT_FAILS(lp_arange_start_step(lp_scalar_int(0), lp_scalar_int(3), lp_scalar_int(0),
                                    LP_DTYPE_NONE, NO_DEVICE, false),
               LP_ERR_ARGUMENT, "nonzero");
  EXPECT_FAILS(lp_arange_start(lp_scalar_int(3), lp_scalar_int(0), LP_DTYPE_NONE,
                               NO_DEVICE, false),
               LP_ERR_ARGUMENT, "step sign");
  EXPECT_FAILS(lp_arange(lp_scalar_float(INFINITY), LP_DTYPE_NONE, NO_DEVICE, false),
               LP_ERR_ARGUMENT, "unsupported range");
  EXPECT_FAILS(lp_eye(-1, LP_DTYPE_NONE, NO_DEVICE, false), LP_ERR_ARGUMENT,
               "greater or equal to 0");
  LpTensor *t = lp_full(INTS(2), lp_scalar_bool(true), LP_DTYPE_NONE, NO_DEVICE, false);
  EXPECT(lp_dtype(t) == LP_BOOL);
  lp_tensor_release(t);
  t = lp_ones(INTS(2), LP_FLOAT32, NO_DEVICE, true);
  EXPECT(lp_requires_grad(t));
  lp_tensor_release(t);
}

/* --- gradients: d(sum(w * f(x))) by the engine against differences
 * --------------------------------- */

typedef LpTensor *(*Fn)(LpTensor *x);

static LpTensor *f_view(LpTensor *x) {
  return lp_view(x, INTS(4, 3));
}
static LpTensor *f_permute(LpTensor *x) {
  return lp_permute(x, INTS(1, 0));
}
static LpTensor *f_select(LpTensor *x) {
  return lp_select(x, 1, -2);
}
static LpTensor *f_slice(LpTensor *x) {
  return lp_slice(x, 1, SOME(1), NO_INT, 2);
}
static LpTensor *f_expand(LpTensor *x) {
  return lp_expand(x, INTS(2, 3, 4));
}
static LpTensor *f_diagonal(LpTensor *x) {
  return lp_diagonal(x, 1, 0, 1);
}
static LpTensor *f_unfold(LpTensor *x) {
  return lp_unfold(x, 1, 3, 1);
}
static LpTensor *f_as_strided(LpTensor *x) {
  return lp_as_strided(x, INTS(3, 3), INTS(2, 1), SOME(1));
}
static LpTensor *f_unsqueeze(LpTensor *x) {
  return lp_unsqueeze(x, -1);
}
static LpTensor *f_flip(LpTensor *x) {
  return lp_flip(x, INTS(0, 1));
}
static LpTensor *f_roll(LpTensor *x) {
  return lp_roll(x, INTS(2), NONE);
}
static LpTensor *f_rep(LpTensor *x) {
  return lp_rep(x, INTS(2, 1, 2));
}
static LpTensor *f_cat(LpTensor *x) {
  return lp_cat(LIST(x, x), 1);
}
static LpTensor *f_stack(LpTensor *x) {
  return lp_stack(LIST(x, x), -1);
}
static LpTensor *f_clone(LpTensor *x) {
  return lp_clone(x, LP_FORMAT_NONE);
}
static LpTensor *f_float(LpTensor *x) {
  return lp_to_copy(x, LP_FLOAT64, NO_DEVICE, LP_FORMAT_NONE);
}
static LpTensor *f_reshape(LpTensor *x) {
  LpTensor *t = lp_t(x), *r = t ? lp_reshape(t, INTS(12)) : NULL;
  lp_tensor_release(t);
  return r;
}
static LpTensor *f_split(LpTensor *x) {
  LpTensorVec v;
  if (!lp_split(x, 3, 1, &v)) return NULL;
  LpTensor *r = lp_tensor_retain(v.data[0]);
  lp_tensor_vec_free(&v);
  return r;
}
static LpTensor *f_unbind(LpTensor *x) {
  LpTensorVec v;
  if (!lp_unbind(x, 0, &v)) return NULL;
  LpTensor *r = lp_tensor_retain(v.data[2]);
  lp_tensor_vec_free(&v);
  return r;
}
static LpTensor *f_copy(LpTensor *x) {
  LpTensor *r = lp_zeros(INTS(2, 3, 4), LP_FLOAT64, NO_DEVICE, false);
  if (r) lp_copy_(r, x, false);
  return r;
}

/* All of these are linear, so the gradient of sum(w * f(x)) at element i is sum(w *
 * f(e_i)), exactly. */
static double weighted(Fn f, LpTensor *x) {
  LpTensor *y = f(x), *c = lp_contiguous(y, LP_CONTIGUOUS);
  double sum = 0;
  for (int64_t i = 0; i < lp_numel(c); i++)
    sum += (double)(i + 1) * ((double *)lp_data(c))[i];
  lp_tensor_release(y);
  lp_tensor_release(c);
  return sum;
}

static void check_gradient(const char *name, Fn f) {
  LpTensor *x = counting(INTS(3, 4));
  lp_set_requires_grad(x, true);
  LpTensor *y = f(x);
  if (!y) {
    test_failure(__FILE__, __LINE__, "%s: %s", name, lp_last_error()->message);
    lp_tensor_release(x);
    return;
  }
  LpTensor *steps = lp_arange_start(lp_scalar_int(1), lp_scalar_int(lp_numel(y) + 1),
                                    LP_FLOAT64, NO_DEVICE, false);
  LpTensor *w = lp_view(steps, lp_sizes(y)), *grad = NULL;
  bool ok = lp_autograd_grad(LIST(y), LIST(x), LIST(w), false, false, false, &grad);
  if (!ok) test_failure(__FILE__, __LINE__, "%s: %s", name, lp_last_error()->message);
  for (int64_t i = 0; i < 12 && ok; i++) {
    LpTensor *e = lp_zeros(INTS(3, 4), LP_FLOAT64, NO_DEVICE, false);
    ((double *)lp_data(e))[i] = 1;
    double want = weighted(f, e), got = value_at(grad, i);
    if (want != got)
      test_failure(__FILE__, __LINE__, "%s: gradient %lld is %g, expected %g", name,
                   (long long)i, got, want);
    lp_tensor_release(e);
  }
  lp_tensor_release(grad);
  lp_tensor_release(w);
  lp_tensor_release(steps);
  lp_tensor_release(y);
  lp_tensor_release(x);
}

TEST(shape_gradients) {
  static const struct {
    const char *name;
    Fn f;
  } all[] = {{"view", f_view},
             {"permute", f_permute},
             {"select", f_select},
             {"slice", f_slice},
             {"expand", f_expand},
             {"diagonal", f_diagonal},
             {"unfold", f_unfold},
             {"as_strided", f_as_strided},
             {"flip", f_flip},
             {"roll", f_roll},
             {"rep", f_rep},
             {"cat", f_cat},
             {"stack", f_stack},
             {"clone", f_clone},
             {"to_copy", f_float},
             {"reshape", f_reshape},
             {"split", f_split},
             {"unbind", f_unbind},
             {"unsqueeze", f_unsqueeze},
             {"copy_", f_copy}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    check_gradient(all[i].name, all[i].f);
}

TEST(shape_as_strided_gradient_shares_overlaps) {
  /* self is one element read three times: each reader gets a third. */
  LpTensor *one = counting(INTS(1)), *wide = lp_expand(one, INTS(3)),
           *x = lp_detach(wide), *grad = NULL;
  lp_set_requires_grad(x, true);
  LpTensor *y = lp_as_strided(x, INTS(1), INTS(1), NO_INT),
           *w = lp_full(INTS(1), lp_scalar_float(6), LP_FLOAT64, NO_DEVICE, false);
  EXPECT(lp_autograd_grad(LIST(y), LIST(x), LIST(w), false, false, false, &grad));
  EXPECT(is(grad, INTS(3), VALUES(2, 2, 2)));
  lp_tensor_release(one);
  lp_tensor_release(wide);
  lp_tensor_release(x);
  lp_tensor_release(y);
  lp_tensor_release(w);
}

/* --- failing allocations
 * ------------------------------------------------------------------------ */

static void run_all(LpTensor *x, LpTensor *row) {
  LpTensorVec v = {NULL, 0};
  Fn fns[] = {f_view, f_permute, f_unfold,  f_flip,  f_roll,
              f_rep,  f_stack,   f_reshape, f_split, f_unbind};
  for (size_t i = 0; i < sizeof fns / sizeof *fns; i++) lp_tensor_release(fns[i](x));
  lp_tensor_release(lp_cat(LIST(x, row), 0));
  lp_tensor_release(lp_vstack(LIST(x, row)));
  if (lp_meshgrid(LIST(row), "ij", &v)) lp_tensor_vec_free(&v);
  if (lp_chunk(x, 2, 0, &v)) lp_tensor_vec_free(&v);
  if (lp_broadcast_tensors(LIST(x, row), &v)) lp_tensor_vec_free(&v);
  lp_tensor_release(lp_repeat_interleave_self_int(x, 2, SOME(0), NO_INT));
  lp_tensor_release(lp_eye(3, LP_DTYPE_NONE, NO_DEVICE, false));
  lp_tensor_release(lp_complex(x, row));
  lp_tensor_release(lp_to_copy(x, LP_INT8, NO_DEVICE, LP_FORMAT_NONE));
  lp_copy_(x, row, false);
}

TEST(shape_ops_survive_failing_allocations) {
  LpTensor *x = counting(INTS(3, 4)),
           *row = lp_arange(lp_scalar_int(4), LP_FLOAT64, NO_DEVICE, false);
  LpMemoryStats before, after;
  lp_memory_stats(lp_cpu(), &before);
  for (int64_t n = 0; n < 160; n++) {
    lp_memory_fail_after(n);
    run_all(x, row);
    lp_memory_fail_after(-1);
  }
  lp_memory_stats(lp_cpu(), &after);
  EXPECT(before.live_bytes == after.live_bytes);
  lp_tensor_release(x);
  lp_tensor_release(row);
}

/* Rows of several lengths, the parts lying as `form` says: 0 dense, 1 beside other
 * elements, 2 turned. */
static LpTensor *part_of(int64_t rows, int64_t n, LpDtype dtype, int form, int seed) {
  LpTensor *x = form == 2 ? lp_tensor_new(INTS(n, rows), dtype, lp_cpu())
                          : lp_tensor_new(INTS(rows, n + form), dtype, lp_cpu());
  unsigned char *bytes = lp_data(x);
  for (size_t i = 0; i < lp_storage_bytes(x); i++)
    bytes[i] = (unsigned char)(i * 31 + (i >> 8) * 7 + (size_t)seed * 13);
  LpTensor *part = form == 2 ? lp_transpose(x, 0, 1) : lp_narrow(x, 1, form, n);
  lp_tensor_release(x);
  return part;
}

static void check_join(LpDtype dtype, int count, int64_t rows, const int64_t *lengths,
                       int form, bool stacks) {
  LpTensor *parts[5] = {0};
  for (int i = 0; i < count; i++)
    parts[i] = part_of(rows, lengths[i], dtype, i % 2 ? form : 0, i);
  const LpTensors list = {parts, count};
  LpTensor *joined = stacks ? lp_stack(list, 2) : lp_cat(list, 1);
  const size_t size = lp_dtype_size(dtype);
  const char *got = lp_data(joined);
  int bad = 0;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t j = 0; j < lp_numel(joined) / rows; j++, got += size) {
      int64_t i = stacks ? j % count : 0, at = stacks ? j / count : j;
      while (!stacks && at >= lengths[i]) at -= lengths[i++];
      const LpTensor *p = parts[i];
      const char *want = (const char *)lp_data(p) +
                         (size_t)(r * lp_stride(p, 0) + at * lp_stride(p, 1)) * size;
      bad += memcmp(got, want, size) != 0;
    }
  if (bad)
    test_failure(__FILE__, __LINE__, "%s of %d tensors of %s, form %d: %d wrong",
                 stacks ? "stack" : "cat", count, lp_dtype_name(dtype), form, bad);
  lp_tensor_release(joined);
  for (int i = 0; i < count; i++) lp_tensor_release(parts[i]);
}

TEST(shape_joins_short_rows) {
  const LpDtype dtypes[] = {LP_UINT8, LP_INT16, LP_FLOAT32, LP_FLOAT64, LP_COMPLEX128};
  const int64_t lengths[][5] = {
      {1, 1, 1, 1, 1}, {3, 3, 3, 3, 3}, {1, 17, 0, 2, 5}, {7, 64, 1, 33, 9}};
  const int threads = lp_num_threads();
  for (int n_threads = 1; n_threads <= 3; n_threads++)
    for (int d = 0; d < 5; d++)
      for (int l = 0; l < 4; l++)
        for (int count = 1; count <= 5; count++)
          for (int form = 0; form < 3; form++) {
            lp_set_num_threads(n_threads);
            const int64_t rows = 40000 / (count * (lengths[l][1] / 2 + 1)) + 7;
            check_join(dtypes[d], count, rows, lengths[l], form, false);
            if (l < 2) check_join(dtypes[d], count, rows, lengths[l], form, true);
          }
  lp_set_num_threads(threads);
}

TEST(shape_flips_rows_of_any_length) {
  const LpDtype dtypes[] = {LP_UINT8, LP_INT16, LP_FLOAT32, LP_FLOAT64, LP_COMPLEX128};
  const int threads = lp_num_threads();
  for (int n_threads = 1; n_threads <= 3; n_threads++)
    for (int d = 0; d < 5; d++)
      for (int64_t n = 1; n <= 70; n += n < 20 ? 1 : 7)
        for (int set = 1; set < 8; set++) {
          lp_set_num_threads(n_threads);
          const int64_t m = set == 2 ? 150 : 5, rows = 40000 / (n * m) + 2;
          LpTensor *x = part_of(rows, m * n, dtypes[d], set % 2, set),
                   *y = lp_unflatten(x, 1, INTS(m, n));
          int64_t dims[3], n_dims = 0;
          for (int i = 0; i < 3; i++)
            if (set >> i & 1) dims[n_dims++] = i;
          LpTensor *f = lp_flip(y, lp_ints(dims, n_dims));
          const size_t size = lp_dtype_size(dtypes[d]);
          const char *got = lp_data(f), *from = lp_data(y);
          int bad = 0;
          for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < m; j++)
              for (int64_t k = 0; k < n; k++, got += size)
                bad += memcmp(got,
                              from + (size_t)((set & 1 ? rows - 1 - i : i) *
                                                  lp_stride(y, 0) +
                                              (set & 2 ? m - 1 - j : j) * n +
                                              (set & 4 ? n - 1 - k : k)) *
                                         size,
                              size) != 0;
          if (bad)
            test_failure(__FILE__, __LINE__, "%s, rows of %d, dims %d: %d wrong",
                         lp_dtype_name(dtypes[d]), (int)n, set, bad);
          lp_tensor_release(f);
          lp_tensor_release(y);
          lp_tensor_release(x);
        }
  lp_set_num_threads(threads);
}
