/* The broadcasting iterator: shapes, layouts of results, casting, overlap, interruption,
 * failures. */
#include <string.h>
#include "dispatch/iter.h"
#include <stdlib.h>
#include "lampad/memory.h"
#include "test.h"

#define INTS(...)                                                                        \
  lp_ints((const int64_t[]){__VA_ARGS__},                                                \
          sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* A contiguous float32 tensor counting from 0. */
static LpTensor *range(LpInts sizes) {
  LpTensor *t = lp_tensor_new(sizes, LP_FLOAT32, lp_cpu());
  for (int64_t i = 0; t && i < t->numel; i++) ((float *)lp_data(t))[i] = (float)i;
  return t;
}
static LpTensor *strided(LpTensor *t, LpInts sizes, LpInts strides) {
  return lp_tensor_alias(t, sizes, strides, t->offset_elems);
}
static bool ints_are(LpInts a, LpInts b) {
  return a.count == b.count &&
         memcmp(a.data, b.data, (size_t)a.count * sizeof *a.data) == 0;
}

/* out = a + b over floats of any stride. */
static void add_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                     const void *params) {
  for (int64_t i = 0; i < n; i++)
    *(float *)(ptrs[0] + i * strides[0]) =
        *(float *)(ptrs[1] + i * strides[1]) + *(float *)(ptrs[2] + i * strides[2]);
}

/* a + b into out_or_null; NULL when the iterator refuses. */
static LpTensor *add(LpTensor *out, LpTensor *a, LpTensor *b, bool no_resize) {
  LpIter it;
  lp_iter_init(&it);
  lp_iter_output(&it, out);
  lp_iter_input(&it, a);
  lp_iter_input(&it, b);
  it.cast_inputs = true;
  it.common_dtype = LP_FLOAT32;
  it.no_resize = no_resize;
  LpTensor *result = lp_iter_build(&it) && lp_iter_run(&it, add_loop, NULL)
                         ? lp_iter_take(&it, 0)
                         : NULL;
  lp_iter_done(&it);
  return result;
}

TEST(iter_broadcasts_shapes) {
  int64_t out[LP_MAX_DIMS], ndim;
  LpInts two[2] = {INTS(3, 1, 5), INTS(4, 1)};
  EXPECT(lp_broadcast_shapes(two, 2, out, &ndim) &&
         ints_are(lp_ints(out, ndim), INTS(3, 4, 5)));
  LpInts empty[2] = {INTS(0), INTS(1)};
  EXPECT(lp_broadcast_shapes(empty, 2, out, &ndim) &&
         ints_are(lp_ints(out, ndim), INTS(0)));
  LpInts bad[2] = {INTS(2, 3), INTS(2, 4)};
  EXPECT_FAILS(lp_broadcast_shapes(bad, 2, out, &ndim), LP_ERR_ARGUMENT,
               "[2, 3] and [2, 4]");
  EXPECT_FAILS(lp_broadcast_shapes(bad, 2, out, &ndim), LP_ERR_ARGUMENT,
               "size of tensor a (3) must match the size of tensor b (4) at "
               "non-singleton dimension 1");
}

TEST(iter_adds_broadcast_operands) {
  LpTensor *a = range(INTS(3, 1)), *b = range(INTS(4)), *r = add(NULL, a, b, false);
  EXPECT(r && ints_are(lp_sizes(r), INTS(3, 4)) && lp_is_contiguous(r, LP_CONTIGUOUS));
  for (int i = 0; r && i < 3; i++)
    for (int j = 0; j < 4; j++)
      EXPECT(((float *)lp_data(r))[i * 4 + j] == (float)(i + j));
  lp_tensor_release(r);
  LpTensor *none = range(INTS(0, 4));
  r = add(NULL, none, b, false);
  EXPECT(r && ints_are(lp_sizes(r), INTS(0, 4)));
  lp_tensor_release(r);
  lp_tensor_release(none);
  lp_tensor_release(a);
  lp_tensor_release(b);
}

TEST(iter_keeps_the_layout_of_its_inputs) {
  LpTensor *base = range(INTS(24));
  LpTensor *t = strided(base, INTS(2, 3, 4), INTS(1, 8, 2)); /* permuted, dense */
  LpTensor *r = add(NULL, t, t, false);
  EXPECT(r && ints_are(lp_strides(r), INTS(1, 8, 2)));
  for (int i = 0; r && i < 24; i++) EXPECT(((float *)lp_data(r))[i] == (float)(2 * i));
  lp_tensor_release(r);
  LpTensor *holes = strided(base, INTS(3, 4), INTS(8, 2)); /* not dense: the result is */
  r = add(NULL, holes, holes, false);
  EXPECT(r && ints_are(lp_strides(r), INTS(4, 1)) && ((float *)lp_data(r))[5] == 20);
  lp_tensor_release(r);
  LpTensor *expanded = strided(base, INTS(3, 4), INTS(0, 1));
  r = add(NULL, expanded, expanded, false);
  EXPECT(r && ints_are(lp_strides(r), INTS(4, 1)) && ((float *)lp_data(r))[5] == 2);
  lp_tensor_release(r);
  lp_tensor_release(expanded);
  lp_tensor_release(holes);
  lp_tensor_release(t);
  lp_tensor_release(base);
}

TEST(iter_coalesces_what_all_operands_walk_alike) {
  LpTensor *base = range(INTS(120));
  LpTensor *t = strided(base, INTS(5, 4, 6), INTS(24, 6, 1)),
           *p = strided(base, INTS(5, 4, 6), INTS(1, 5, 20));
  LpIter it;
  lp_iter_init(&it);
  lp_iter_output(&it, NULL);
  lp_iter_input(&it, p);
  lp_iter_input(&it, p);
  it.output_dtype = LP_FLOAT32;
  EXPECT(lp_iter_build(&it) && it.ndim == 1 && it.shape[0] == 120 &&
         it.strides[1][0] == 4);
  lp_iter_done(&it);
  lp_iter_init(&it);
  lp_iter_output(&it, NULL);
  lp_iter_input(&it, t);
  lp_iter_input(&it, p);
  it.output_dtype = LP_FLOAT32;
  EXPECT(lp_iter_build(&it) && it.ndim == 3 && it.numel == 120 && it.strides[1][0] == 4);
  lp_iter_done(&it);
  lp_tensor_release(t);
  lp_tensor_release(p);
  lp_tensor_release(base);
}

TEST(iter_writes_to_given_outputs) {
  LpTensor *a = range(INTS(2, 3)), *out = range(INTS(7)), *wrong = range(INTS(4));
  LpTensor *r = add(out, a, a, false);
  EXPECT(r == out && ints_are(lp_sizes(out), INTS(2, 3)) &&
         ((float *)lp_data(out))[5] == 10);
  lp_tensor_release(r);
  EXPECT_FAILS(add(wrong, a, a, true), LP_ERR_ARGUMENT,
               "[4] doesn't match the broadcast shape [2, 3]");
  LpTensor *base = range(INTS(12)), *every_other = strided(base, INTS(2, 3), INTS(6, 2));
  r = add(every_other, a, a, true);
  EXPECT(r == every_other && ((float *)lp_data(base))[10] == 10 &&
         ((float *)lp_data(base))[9] == 9);
  lp_tensor_release(r);
  lp_tensor_release(every_other);
  lp_tensor_release(base);
  lp_tensor_release(wrong);
  lp_tensor_release(out);
  lp_tensor_release(a);
}

TEST(iter_casts_on_the_way) {
  LpTensor *ints = lp_tensor_new(INTS(700), LP_INT64, lp_cpu()), *f = range(INTS(700));
  for (int64_t i = 0; i < 700; i++) ((int64_t *)lp_data(ints))[i] = i;
  LpTensor *half = lp_tensor_new(INTS(700), LP_FLOAT16, lp_cpu());
  LpTensor *r = add(half, ints, f, true), *back = NULL;
  EXPECT(r == half);
  lp_tensor_release(r);
  LpTensor *zero = lp_tensor_from_scalar(lp_scalar_int(0), LP_INT64);
  back = add(NULL, half, zero, false);
  EXPECT(back && ((float *)lp_data(back))[699] == 1398 &&
         ((float *)lp_data(back))[1] == 2);
  lp_tensor_release(back);
  EXPECT_FAILS(add(ints, f, f, true), LP_ERR_TYPE,
               "result type Float can't be cast to the desired output type Long");
  lp_tensor_release(zero);
  lp_tensor_release(half);
  lp_tensor_release(f);
  lp_tensor_release(ints);
}

TEST(iter_refuses_overlap) {
  LpTensor *base = range(INTS(16));
  LpTensor *square = strided(base, INTS(4, 4), INTS(4, 1)),
           *turned = strided(base, INTS(4, 4), INTS(1, 4));
  LpTensor *r = add(square, square, square, true);
  EXPECT(r == square);
  lp_tensor_release(r);
  EXPECT_FAILS(add(square, turned, square, true), LP_ERR_ARGUMENT,
               "some elements of the input tensor");
  LpTensor *low = lp_tensor_alias(base, INTS(8), INTS(1), 0),
           *high = lp_tensor_alias(base, INTS(8), INTS(1), 4);
  EXPECT_FAILS(add(low, high, high, true), LP_ERR_ARGUMENT, "single memory location");
  LpTensor *same = strided(base, INTS(4, 4), INTS(0, 1));
  EXPECT_FAILS(add(same, square, square, true), LP_ERR_ARGUMENT,
               "more than one element of the written-to tensor");
  lp_tensor_release(same);
  lp_tensor_release(low);
  lp_tensor_release(high);
  lp_tensor_release(square);
  lp_tensor_release(turned);
  lp_tensor_release(base);
}

TEST(iter_walks_every_element_once_in_parallel) {
  LpTensor *base = range(INTS(300 * 401));
  LpTensor *t = strided(base, INTS(300, 401), INTS(1, 300)),
           *u = strided(base, INTS(300, 401), INTS(401, 1));
  LpTensor *r = add(NULL, t, u, false);
  bool right = r != NULL;
  for (int64_t i = 0; right && i < 300; i++)
    for (int64_t j = 0; j < 401; j++) {
      float want = (float)(i + j * 300) + (float)(i * 401 + j);
      right = right &&
              ((float *)lp_data(r))[i * lp_stride(r, 0) + j * lp_stride(r, 1)] == want;
    }
  EXPECT(right);
  lp_tensor_release(r);
  lp_tensor_release(t);
  lp_tensor_release(u);
  lp_tensor_release(base);
}

TEST(iter_lengthens_a_short_inner_dim) {
  LpTensor *base = range(INTS(3000)), *row = range(INTS(3));
  LpTensor *t = strided(base, INTS(1000, 3), INTS(3, 1));
  LpIter it;
  lp_iter_init(&it);
  lp_iter_output(&it, NULL);
  lp_iter_input(&it, t);
  lp_iter_input(&it, row);
  it.output_dtype = LP_FLOAT32;
  EXPECT(lp_iter_build(&it) && it.shape[0] == 3);
  lp_iter_lengthen(&it);
  EXPECT(it.shape[0] == 1000 && it.shape[1] == 3 && it.strides[1][0] == 12);
  EXPECT(lp_iter_run(&it, add_loop, NULL));
  EXPECT(((float *)lp_data(it.operands[0]))[2999] == 3001 &&
         ((float *)lp_data(it.operands[0]))[3] == 3);
  lp_iter_done(&it);
  lp_tensor_release(t);
  lp_tensor_release(row);
  lp_tensor_release(base);
}

TEST(iter_stops_at_an_interrupt) {
  LpTensor *big = range(INTS(1 << 20));
  lp_interrupt();
  EXPECT_FAILS(add(NULL, big, big, false), LP_ERR_INTERRUPT, "interrupt");
  EXPECT(!lp_interrupt_pending());
  LpTensor *r = add(NULL, big, big, false);
  EXPECT(r && ((float *)lp_data(r))[1000] == 2000);
  lp_tensor_release(r);
  lp_tensor_release(big);
}

TEST(iter_survives_failing_allocations) {
  LpTensor *base = range(INTS(12)), *t = strided(base, INTS(3, 4), INTS(1, 3)), *r = NULL;
  int64_t failures = 0;
  for (; !r && failures < 20; failures++) {
    lp_memory_fail_after(failures);
    r = add(NULL, t, t, false);
    EXPECT(r || lp_last_error()->code == LP_ERR_MEMORY);
  }
  lp_memory_fail_after(-1);
  EXPECT(r && failures > 1);
  lp_tensor_release(r);
  lp_tensor_release(t);
  lp_tensor_release(base);
}

TEST(result_type_ranks_tensors_and_numbers) {
  LpTensor *i = lp_tensor_new(INTS(2), LP_INT32, lp_cpu()),
           *h = lp_tensor_new(INTS(2), LP_FLOAT16, lp_cpu());
  LpTensor *zero_dim = lp_tensor_from_scalar(lp_scalar_float(1), LP_FLOAT64);
  LpTensor *two = lp_tensor_wrapped(lp_scalar_int(2)),
           *half = lp_tensor_wrapped(lp_scalar_float(0.5));
  LpTensor *b = lp_tensor_new(INTS(2), LP_BOOL, lp_cpu());
  EXPECT(lp_result_type((LpTensor *[]){i, two}, 2) == LP_INT32);
  EXPECT(lp_result_type((LpTensor *[]){i, half}, 2) == LP_FLOAT32);
  EXPECT(lp_result_type((LpTensor *[]){h, half}, 2) == LP_FLOAT16);
  EXPECT(lp_result_type((LpTensor *[]){h, zero_dim}, 2) == LP_FLOAT16);
  EXPECT(lp_result_type((LpTensor *[]){i, zero_dim}, 2) == LP_FLOAT64);
  EXPECT(lp_result_type((LpTensor *[]){b, two}, 2) == LP_INT64);
  EXPECT(lp_result_type((LpTensor *[]){i, h}, 2) == LP_FLOAT16);
  EXPECT(lp_can_cast(LP_FLOAT64, LP_FLOAT16) && lp_can_cast(LP_BOOL, LP_UINT8));
  EXPECT(!lp_can_cast(LP_FLOAT32, LP_INT64) && !lp_can_cast(LP_COMPLEX64, LP_FLOAT64));
  EXPECT(!lp_can_cast(LP_INT64, LP_BOOL) &&
         strcmp(lp_dtype_title(LP_INT64), "Long") == 0);
  LpTensor *all[6] = {i, h, zero_dim, two, half, b};
  for (int k = 0; k < 6; k++) lp_tensor_release(all[k]);
}

TEST(casts_convert_as_c_does) {
  float f[5] = {-1.9f, 0, 300.5f, NAN, 65520};
  uint8_t bytes[5];
  int8_t narrow[5];
  bool truths[5];
  uint16_t half[5];
  int64_t wide[5];
  lp_cast_loop(LP_UINT8, LP_FLOAT32)((char *[]){(char *)bytes, (char *)f},
                                     (int64_t[]){1, 4}, 3, NULL);
  EXPECT(bytes[0] == 255 && bytes[1] == 0 && bytes[2] == 44);
  lp_cast_loop(LP_INT8, LP_FLOAT32)((char *[]){(char *)narrow, (char *)f},
                                    (int64_t[]){1, 4}, 3, NULL);
  EXPECT(narrow[0] == -1 && narrow[2] == 44);
  lp_cast_loop(LP_BOOL, LP_FLOAT32)((char *[]){(char *)truths, (char *)f},
                                    (int64_t[]){1, 4}, 4, NULL);
  EXPECT(truths[0] && !truths[1] && truths[3]);
  lp_cast_loop(LP_FLOAT16, LP_FLOAT32)((char *[]){(char *)half, (char *)f},
                                       (int64_t[]){2, 4}, 5, NULL);
  EXPECT(half[1] == 0 && half[4] == 0x7c00);
  lp_cast_loop(LP_INT64, LP_FLOAT16)((char *[]){(char *)wide, (char *)half},
                                     (int64_t[]){8, 2}, 2, NULL);
  EXPECT(wide[0] == -1 && wide[1] == 0);
  double complex_pair[4] = {1.5, 9, 0, 2};
  lp_cast_loop(LP_FLOAT32, LP_COMPLEX128)((char *[]){(char *)f, (char *)complex_pair},
                                          (int64_t[]){4, 16}, 2, NULL);
  EXPECT(f[0] == 1.5f && f[1] == 0);
  lp_cast_loop(LP_BOOL, LP_COMPLEX128)((char *[]){(char *)truths, (char *)complex_pair},
                                       (int64_t[]){1, 16}, 2, NULL);
  EXPECT(truths[0] && truths[1]);
}

static void add_rows(char *const *ptrs, const int64_t *strides, int64_t n,
                     const int64_t *row_strides, int64_t rows, const void *params) {
  for (int64_t r = 0; r < rows; r++)
    add_loop((char *[]){ptrs[0] + r * row_strides[0], ptrs[1] + r * row_strides[1],
                        ptrs[2] + r * row_strides[2]},
             strides, n, params);
}

/* out = a + b by either walk. */
static LpTensor *sum_of(LpTensor *a, LpTensor *b, bool packed) {
  LpIter it;
  lp_iter_init(&it);
  lp_iter_output(&it, NULL);
  lp_iter_input(&it, a);
  lp_iter_input(&it, b);
  it.output_dtype = LP_FLOAT32;
  LpTensor *result = NULL;
  if (lp_iter_build(&it) && (packed ? lp_iter_run_packed(&it, add_loop, add_rows, NULL)
                                    : lp_iter_run(&it, add_loop, NULL)))
    result = lp_iter_take(&it, 0);
  lp_iter_done(&it);
  return result;
}

TEST(iter_packs_short_rows) {
  LpTensor *base = range(INTS(400 * 7 * 5 * 2));
  struct {
    LpInts a_sizes, a_strides, b_sizes, b_strides;
  } cases[] = {
      {INTS(400, 7, 5), INTS(35, 5, 1), INTS(5), INTS(1)},       /* a row */
      {INTS(400, 7, 5), INTS(35, 5, 1), INTS(7, 1), INTS(1, 1)}, /* a column */
      {INTS(400, 7, 5), INTS(35, 5, 1), INTS(400, 1, 5), INTS(5, 1, 1)},
      {INTS(400, 7, 5), INTS(70, 10, 2), INTS(400, 1, 1), INTS(1, 1, 1)}, /* holes */
      {INTS(400, 7, 5), INTS(70, 7, 1), INTS(7, 5), INTS(5, 1)},
      {INTS(3000, 2), INTS(2, 1), INTS(2), INTS(3)},
      {INTS(40, 200), INTS(200, 1), INTS(200), INTS(1)},
      /* planes: rows that are the same in each, and rows that run on */
      {INTS(6, 1, 16), INTS(16, 1, 1), INTS(300, 16), INTS(16, 1)},
      {INTS(90, 1, 3), INTS(3, 1, 1), INTS(701, 3), INTS(3, 1)},
      {INTS(9, 1, 30, 1), INTS(30, 1, 1, 1), INTS(11, 1, 30), INTS(30, 1, 1)},
      {INTS(33, 1, 8, 1), INTS(8, 1, 1, 1), INTS(40, 1, 8),
       INTS(8, 1, 1)}, /* small ones */
      {INTS(20, 1, 100), INTS(100, 1, 1), INTS(20, 100), INTS(100, 1)},
      {INTS(7, 40, 1), INTS(40, 1, 1), INTS(7, 1, 50), INTS(50, 1, 1)},
      /* rows as they lie */
      {INTS(15, 7, 50), INTS(735, 51, 1), INTS(15, 7, 50), INTS(360, 50, 1)},
      {INTS(5, 9, 600), INTS(601, 601, 1), INTS(9, 600), INTS(603, 1)},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    LpTensor *a = strided(base, cases[i].a_sizes, cases[i].a_strides);
    LpTensor *b = strided(base, cases[i].b_sizes, cases[i].b_strides);
    LpTensor *packed = sum_of(a, b, true), *plain = sum_of(a, b, false);
    EXPECT(packed && plain && packed->numel == plain->numel);
    EXPECT(memcmp(lp_data(packed), lp_data(plain), (size_t)plain->numel * 4) == 0);
    lp_tensor_release(a);
    lp_tensor_release(b);
    lp_tensor_release(packed);
    lp_tensor_release(plain);
  }
  lp_tensor_release(base);
}
