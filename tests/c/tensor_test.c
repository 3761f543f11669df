/* Tensor headers and storages: life, geometry, layouts, scalars, failures. */
#include "core/tensor.h"
#include <stdlib.h>
#include "core/alloc.h"
#include "test.h"

#define INTS(...)                                                                        \
  lp_ints((const int64_t[]){__VA_ARGS__},                                                \
          sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static bool ints_equal(LpInts a, LpInts b) {
  return a.count == b.count &&
         memcmp(a.data, b.data, (size_t)a.count * sizeof *a.data) == 0;
}

TEST(tensor_new_is_contiguous) {
  LpTensor *t = lp_tensor_new(INTS(2, 3, 4), LP_FLOAT32, lp_cpu());
  EXPECT(lp_ndim(t) == 3 && lp_numel(t) == 24 && lp_size(t, 1) == 3 &&
         lp_stride(t, 0) == 12);
  EXPECT(lp_is_contiguous(t, LP_CONTIGUOUS) && lp_storage_bytes(t) == 96 &&
         lp_dtype(t) == LP_FLOAT32);
  EXPECT((uintptr_t)lp_data(t) % LP_ALIGNMENT == 0 && lp_device(t).type == LP_CPU);
  lp_tensor_release(t);
}

TEST(tensor_scalar_and_empty_shapes) {
  LpTensor *scalar = lp_tensor_new(lp_ints(NULL, 0), LP_INT64, lp_cpu());
  EXPECT(lp_ndim(scalar) == 0 && lp_numel(scalar) == 1 &&
         lp_is_contiguous(scalar, LP_CONTIGUOUS));
  LpTensor *empty = lp_tensor_new(INTS(3, 0, INT64_MAX), LP_INT64, lp_cpu());
  EXPECT(empty && lp_numel(empty) == 0 && lp_data(empty) != NULL &&
         lp_storage_bytes(empty) == 0);
  lp_tensor_release(scalar);
  lp_tensor_release(empty);
  lp_tensor_release(NULL);
  EXPECT(lp_tensor_retain(NULL) == NULL);
}

TEST(tensor_many_dims) {
  int64_t sizes[LP_MAX_DIMS];
  for (int i = 0; i < LP_MAX_DIMS; i++) sizes[i] = i % 16 == 0 ? 2 : 1;
  LpTensor *t = lp_tensor_new(lp_ints(sizes, LP_MAX_DIMS), LP_BOOL, lp_cpu());
  EXPECT(t && lp_numel(t) == 16 && lp_size(t, 48) == 2);
  lp_tensor_release(t);
  int64_t more[LP_MAX_DIMS + 1] = {0};
  EXPECT_FAILS(lp_tensor_new(lp_ints(more, LP_MAX_DIMS + 1), LP_BOOL, lp_cpu()),
               LP_ERR_ARGUMENT, "at most 64 dims");
}

TEST(tensor_bad_sizes_fail) {
  EXPECT_FAILS(lp_tensor_new(INTS(2, -1), LP_FLOAT32, lp_cpu()), LP_ERR_ARGUMENT,
               "[2, -1]");
  EXPECT_FAILS(lp_tensor_new(INTS(INT64_MAX, 2), LP_FLOAT32, lp_cpu()), LP_ERR_MEMORY,
               "more elements");
  EXPECT_FAILS(lp_tensor_new(INTS((int64_t)1 << 61), LP_FLOAT64, lp_cpu()), LP_ERR_MEMORY,
               "more than any memory");
  EXPECT_FAILS(lp_tensor_new(INTS((int64_t)1 << 40), LP_FLOAT32, lp_cpu()), LP_ERR_MEMORY,
               "4.00 TiB");
  EXPECT_FAILS(lp_tensor_new(INTS(2), LP_FLOAT32, (LpDevice){LP_CUDA, 0}), LP_ERR_DEVICE,
               "cuda");
  EXPECT_FAILS(lp_tensor_new_strided(INTS(2, 2), INTS(1), LP_FLOAT32, lp_cpu()),
               LP_ERR_ARGUMENT, "as many entries");
  EXPECT_FAILS(lp_tensor_new_strided(INTS(2), INTS(-1), LP_FLOAT32, lp_cpu()),
               LP_ERR_ARGUMENT, "negative");
  EXPECT_FAILS(lp_tensor_new_strided(INTS(3, 2), INTS(INT64_MAX / 2, INT64_MAX / 2),
                                     LP_FLOAT32, lp_cpu()),
               LP_ERR_MEMORY, "reach past");
}

TEST(tensor_strided_covers_what_it_reaches) {
  LpTensor *t = lp_tensor_new_strided(INTS(2, 3), INTS(1, 2), LP_FLOAT64, lp_cpu());
  EXPECT(lp_storage_bytes(t) == 48 && !lp_is_contiguous(t, LP_CONTIGUOUS) &&
         lp_is_dense(t));
  LpTensor *like = lp_tensor_new_like(t, LP_FLOAT32);
  EXPECT(ints_equal(lp_strides(like), INTS(1, 2)) && lp_dtype(like) == LP_FLOAT32);
  lp_tensor_release(t);
  lp_tensor_release(like);
  t = lp_tensor_new_strided(INTS(3, 2), INTS(4, 0), LP_FLOAT32, lp_cpu());
  EXPECT(lp_storage_bytes(t) == 36 && !lp_is_dense(t));
  like = lp_tensor_new_like(t, LP_FLOAT32);
  EXPECT(lp_is_contiguous(like, LP_CONTIGUOUS));
  lp_tensor_release(t);
  lp_tensor_release(like);
}

TEST(tensor_like_keeps_the_order_of_holey_strides) {
  LpTensor *t = lp_tensor_new_strided(INTS(3, 4), INTS(2, 6), LP_FLOAT32, lp_cpu());
  LpTensor *like = lp_tensor_new_like(t, LP_FLOAT32);
  EXPECT(ints_equal(lp_strides(like), INTS(1, 3)));
  lp_tensor_release(t);
  lp_tensor_release(like);
}

TEST(tensor_channels_last) {
  LpTensor *t = lp_tensor_new_format(INTS(2, 3, 4, 5), LP_FLOAT32, lp_cpu(),
                                     LP_CHANNELS_LAST, NULL);
  EXPECT(ints_equal(lp_strides(t), INTS(60, 1, 15, 3)));
  EXPECT(lp_is_contiguous(t, LP_CHANNELS_LAST) && !lp_is_contiguous(t, LP_CONTIGUOUS) &&
         !lp_is_contiguous(t, LP_CHANNELS_LAST_3D));
  lp_tensor_release(t);
  t = lp_tensor_new_format(INTS(2, 3, 4, 5, 6), LP_FLOAT32, lp_cpu(), LP_CHANNELS_LAST_3D,
                           NULL);
  EXPECT(ints_equal(lp_strides(t), INTS(360, 1, 90, 18, 3)) &&
         lp_is_contiguous(t, LP_CHANNELS_LAST_3D));
  lp_tensor_release(t);
  EXPECT_FAILS(
      lp_tensor_new_format(INTS(2, 3), LP_FLOAT32, lp_cpu(), LP_CHANNELS_LAST, NULL),
      LP_ERR_ARGUMENT, "4-d");
}

TEST(tensor_alias_shares_memory_and_version) {
  LpTensor *t = lp_tensor_new(INTS(2, 3), LP_INT32, lp_cpu());
  LpTensor *part = lp_tensor_alias(t, INTS(2), INTS(3), 1);
  EXPECT(lp_is_same_storage(t, part) && lp_storage_offset(part) == 1);
  ((int32_t *)lp_data(t))[4] = 42;
  EXPECT(((int32_t *)lp_data(part))[3] == 42);
  EXPECT(lp_version(t) == 0);
  lp_bump_version(part);
  EXPECT(lp_version(t) == 1 && lp_version(part) == 1);
  LpTensor *shallow = lp_tensor_shallow(t);
  lp_tensor_release(t);
  lp_tensor_release(part);
  EXPECT(((int32_t *)lp_data(shallow))[4] == 42);
  lp_tensor_release(shallow);
}

static void count_free(void *ctx, void *data) {
  ++*(int *)ctx;
  free(data);
}

TEST(tensor_from_blob_frees_once) {
  int freed = 0;
  float *data = malloc(6 * sizeof *data);
  for (int i = 0; i < 6; i++) data[i] = (float)i;
  LpTensor *t = lp_tensor_from_blob(data, INTS(2, 3), LP_FLOAT32, count_free, &freed);
  LpTensor *alias = lp_tensor_shallow(t);
  EXPECT(lp_data(t) == data && lp_is_contiguous(t, LP_CONTIGUOUS));
  lp_tensor_release(t);
  EXPECT(freed == 0);
  lp_tensor_release(alias);
  EXPECT(freed == 1);
  EXPECT_FAILS(lp_tensor_from_blob(NULL, INTS(2), LP_FLOAT32, NULL, NULL),
               LP_ERR_ARGUMENT, "NULL");
}

TEST(tensor_blob_grows_into_own_memory) {
  int freed = 0;
  int64_t *data = malloc(2 * sizeof *data);
  data[0] = 5, data[1] = 6;
  LpTensor *t = lp_tensor_from_blob(data, INTS(2), LP_INT64, count_free, &freed);
  EXPECT(lp_tensor_resize_out(t, INTS(3, 4)));
  EXPECT(freed == 1 && lp_numel(t) == 12 && ((int64_t *)lp_data(t))[1] == 6);
  EXPECT(lp_tensor_resize_out(t, INTS(2)) && lp_storage_bytes(t) == 96);
  lp_tensor_release(t);
  EXPECT(freed == 1);
}

TEST(tensor_set_geometry_moves_between_inline_and_heap) {
  LpTensor *t = lp_tensor_new(INTS(64), LP_FLOAT32, lp_cpu());
  EXPECT(lp_tensor_set_geometry(t, INTS(2, 2, 2, 2, 2, 2), lp_ints_none(), 0) &&
         lp_ndim(t) == 6 && lp_numel(t) == 64);
  EXPECT(lp_is_contiguous(t, LP_CONTIGUOUS));
  EXPECT(lp_tensor_set_geometry(t, INTS(2, 2, 2, 2, 2, 2, 1), lp_ints_none(), 0) &&
         lp_stride(t, 0) == 32);
  EXPECT(lp_tensor_set_geometry(t, INTS(8, 8), INTS(1, 8), 0) &&
         !lp_is_contiguous(t, LP_CONTIGUOUS));
  EXPECT(lp_tensor_set_geometry(t, lp_strides(t), lp_sizes(t), 0) && lp_size(t, 0) == 1);
  lp_tensor_release(t);
}

TEST(tensor_items_of_all_dtypes) {
  for (int d = 0; d < LP_DTYPE_COUNT; d++) {
    LpScalar s = {0};
    LpTensor *t = lp_tensor_from_scalar(lp_scalar_float(2.5), d);
    EXPECT(t && lp_item(t, &s));
    double want = lp_dtype_is_integral(d, false) ? 2 : d == LP_BOOL ? 1 : 2.5;
    EXPECT_NEAR(lp_scalar_to_double(s), want, 0);
    lp_tensor_release(t);
  }
  LpTensor *t = lp_tensor_new(INTS(2), LP_INT8, lp_cpu());
  LpScalar s;
  EXPECT_FAILS(lp_item(t, &s), LP_ERR_ARGUMENT, "[2]");
  lp_tensor_release(t);
}

TEST(tensor_scalar_edge_values) {
  LpScalar s;
  LpTensor *t = lp_tensor_from_scalar(lp_scalar_float(NAN), LP_BOOL);
  EXPECT(lp_item(t, &s) && s.v.i == 1);
  lp_tensor_release(t);
  t = lp_tensor_from_scalar(lp_scalar_float(1e300), LP_INT64);
  EXPECT(lp_item(t, &s) && s.v.i == INT64_MIN);
  lp_tensor_release(t);
  t = lp_tensor_from_scalar(lp_scalar_int(-1), LP_UINT8);
  EXPECT(lp_item(t, &s) && s.v.i == 255);
  lp_tensor_release(t);
  t = lp_tensor_wrapped(lp_scalar_complex(1, -2));
  EXPECT(lp_item(t, &s) && s.kind == LP_SCALAR_COMPLEX && s.v.c[1] == -2 &&
         (t->flags & LP_FLAG_WRAPPED_NUMBER));
  lp_tensor_release(t);
}

TEST(tensor_wrap_dim) {
  int64_t d;
  EXPECT(lp_wrap_dim(-1, 3, &d) && d == 2);
  EXPECT(lp_wrap_dim(-1, 0, &d) && d == 0);
  EXPECT_FAILS(lp_wrap_dim(3, 3, &d), LP_ERR_INDEX, "[-3, 2], but got 3");
  EXPECT_FAILS(lp_wrap_dim(1, 0, &d), LP_ERR_INDEX, "[-1, 0], but got 1");
}

TEST(tensor_format_ints_fits_the_buffer) {
  char buf[8];
  EXPECT(strcmp(lp_format_ints(INTS(2, 3), buf, sizeof buf), "[2, 3]") == 0);
  EXPECT(strcmp(lp_format_ints(lp_ints(NULL, 0), buf, sizeof buf), "[]") == 0);
  lp_format_ints(INTS(123456, 789012), buf, sizeof buf);
  EXPECT(strlen(buf) == 7);
}

/* Each allocation in turn fails; nothing leaks, nothing is half made. */
TEST(tensor_creation_survives_failing_allocations) {
  LpMemoryStats before, after;
  lp_memory_stats(lp_cpu(), &before);
  for (int64_t n = 0; n < 8; n++) {
    lp_memory_fail_after(n);
    LpTensor *t = lp_tensor_new(INTS(2, 1, 1, 1, 1, 1, 3), LP_FLOAT32, lp_cpu());
    LpTensor *u = t ? lp_tensor_shallow(t) : NULL;
    bool grown = u && lp_tensor_resize_out(u, INTS(1000));
    lp_memory_fail_after(-1);
    if (!grown)
      EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
    else
      EXPECT(n >= 5);
    if (u && !grown) EXPECT(lp_numel(u) == 6);
    lp_tensor_release(t);
    lp_tensor_release(u);
  }
  lp_memory_stats(lp_cpu(), &after);
  EXPECT(before.live_bytes == after.live_bytes);
}
