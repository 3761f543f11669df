/* Copies, fills and conversions: fast paths against plain ones, overlap, interruption. */
#include <stdlib.h>
#include "core/move.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "cpu/copy.h"
#include "dispatch/shape.h"
#include "lampad/ops.h"
#include "test.h"

#define INTS(...)                                                                        \
  lp_ints((const int64_t[]){__VA_ARGS__},                                                \
          sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define NO_DEVICE ((LpDevice){LP_DEVICE_NONE, 0})

/* Element (i, j) of a 2-d tensor, as bytes. */
static const char *at(LpTensor *t, int64_t i, int64_t j) {
  int64_t size = (int64_t)lp_dtype_size(lp_dtype(t));
  return (char *)lp_data(t) + (i * lp_stride(t, 0) + j * lp_stride(t, 1)) * size;
}

TEST(copy_transposes_every_element_size) {
  const LpDtype dtypes[] = {LP_UINT8, LP_INT16, LP_FLOAT32, LP_FLOAT64, LP_COMPLEX128};
  const int64_t shapes[][2] = {{1, 5},    {7, 9},   {8, 8},    {64, 64},
                               {65, 130}, {200, 3}, {129, 71}, {600, 500}};
  for (int d = 0; d < 5; d++)
    for (int s = 0; s < 8; s++) {
      LpTensor *x = lp_tensor_new(lp_ints(shapes[s], 2), dtypes[d], lp_cpu());
      unsigned char *bytes = lp_data(x);
      for (size_t i = 0; i < lp_storage_bytes(x); i++)
        bytes[i] = (unsigned char)(i * 31 + (i >> 8) * 7);
      LpTensor *t = lp_transpose(x, 0, 1), *c = lp_contiguous(t, LP_CONTIGUOUS);
      size_t size = lp_dtype_size(dtypes[d]);
      int bad = 0;
      for (int64_t i = 0; i < shapes[s][1]; i++)
        for (int64_t j = 0; j < shapes[s][0]; j++)
          bad += memcmp(at(c, i, j), at(x, j, i), size) != 0;
      if (bad)
        test_failure(__FILE__, __LINE__, "%s %s: %d wrong", lp_dtype_name(dtypes[d]),
                     SHAPE_TEXT(x), bad);
      lp_tensor_release(x);
      lp_tensor_release(t);
      lp_tensor_release(c);
    }
}

TEST(copy_permutes_images) {
  LpTensor *flat =
      lp_arange(lp_scalar_int(2 * 20 * 30 * 16), LP_FLOAT32, NO_DEVICE, false);
  LpTensor *x = lp_view(flat, INTS(2, 20, 30, 16)), *p = lp_permute(x, INTS(0, 3, 1, 2)),
           *c = lp_contiguous(p, LP_CONTIGUOUS);
  const float *out = lp_data(c);
  int bad = 0;
  for (int64_t n = 0, k = 0; n < 2; n++)
    for (int64_t ch = 0; ch < 16; ch++)
      for (int64_t h = 0; h < 20; h++)
        for (int64_t w = 0; w < 30; w++, k++)
          bad += out[k] != (float)(((n * 20 + h) * 30 + w) * 16 + ch);
  EXPECT(bad == 0);
  LpTensor *last = lp_contiguous(c, LP_CHANNELS_LAST);
  EXPECT(lp_stride(last, 1) == 1 &&
         memcmp(lp_data(last), lp_data(x), lp_storage_bytes(x)) == 0);
  LpTensor *clone = lp_clone(last, LP_FORMAT_NONE);
  EXPECT(lp_stride(clone, 1) == 1);
  lp_tensor_release(clone);
  lp_tensor_release(last);
  lp_tensor_release(flat);
  lp_tensor_release(x);
  lp_tensor_release(p);
  lp_tensor_release(c);
}

TEST(copy_converts_between_all_dtypes) {
  for (int from = 0; from < LP_DTYPE_COUNT; from++)
    for (int to = 0; to < LP_DTYPE_COUNT; to++) {
      LpTensor *x = lp_arange(lp_scalar_int(100), LP_INT64, NO_DEVICE, false);
      LpTensor *a = lp_cast_raw(x, from), *b = lp_cast_raw(a, to);
      LpTensor *one = lp_select(b, 0, 99);
      LpScalar s = {0};
      lp_item(one, &s);
      /* Floats of 8 bits have no 99. */
      const bool is_rounded = lp_dtype_size(from) == 1 && lp_dtype_is_floating(from),
                 rounds = lp_dtype_size(to) == 1 && lp_dtype_is_floating(to);
      double want = from == LP_BOOL || to == LP_BOOL ? 1 : is_rounded || rounds ? 96 : 99;
      if (lp_scalar_to_double(s) != want)
        test_failure(__FILE__, __LINE__, "%s to %s: 99 became %g", lp_dtype_name(from),
                     lp_dtype_name(to), lp_scalar_to_double(s));
      lp_tensor_release(x);
      lp_tensor_release(a);
      lp_tensor_release(b);
      lp_tensor_release(one);
    }
}

TEST(copy_is_overlap_safe) {
  LpTensor *x = lp_arange(lp_scalar_int(10), LP_INT64, NO_DEVICE, false);
  LpTensor *head = lp_narrow(x, 0, 0, 9), *tail = lp_narrow(x, 0, 1, 9);
  EXPECT(lp_copy_(tail, head, false));
  const int64_t *p = lp_data(x);
  for (int64_t i = 0; i < 10; i++) EXPECT(p[i] == (i == 0 ? 0 : i - 1));
  lp_tensor_release(head);
  lp_tensor_release(tail);
  lp_tensor_release(x);
  x = lp_arange(lp_scalar_int(9), LP_INT64, NO_DEVICE, false);
  LpTensor *square = lp_view(x, INTS(3, 3)), *t = lp_t(square);
  EXPECT(lp_copy_(square, t, false));
  p = lp_data(x);
  for (int64_t i = 0; i < 9; i++) EXPECT(p[i] == i % 3 * 3 + i / 3);
  EXPECT(lp_copy_(square, square, false) && p[1] == 3);
  lp_tensor_release(square);
  lp_tensor_release(t);
  lp_tensor_release(x);
}

TEST(copy_broadcasts_and_checks) {
  LpTensor *x = lp_zeros(INTS(2, 3), LP_FLOAT32, NO_DEVICE, false),
           *row = lp_arange(lp_scalar_int(3), LP_INT64, NO_DEVICE, false);
  EXPECT(lp_copy_(x, row, false) && ((float *)lp_data(x))[5] == 2);
  LpTensor *four = lp_arange(lp_scalar_int(4), LP_INT64, NO_DEVICE, false);
  EXPECT_FAILS(lp_copy_(x, four, false), LP_ERR_ARGUMENT,
               "must match the existing size (4)");
  LpTensor *wide = lp_expand(row, INTS(2, 3));
  EXPECT(!lp_copy_(wide, x, false));
  uint32_t version = lp_version(x);
  EXPECT(lp_copy_(x, row, false) && lp_version(x) == version + 1);
  lp_tensor_release(wide);
  lp_tensor_release(four);
  lp_tensor_release(x);
  lp_tensor_release(row);
}

TEST(copy_fills_any_layout) {
  for (int d = 0; d < LP_DTYPE_COUNT; d++) {
    LpTensor *x = lp_zeros(INTS(50, 40), d, NO_DEVICE, false),
             *part = lp_narrow(x, 1, 3, 20);
    EXPECT(lp_fill_(part, lp_scalar_int(1)));
    LpTensor *wide = lp_cast_raw(x, LP_FLOAT64);
    double sum = 0;
    for (int64_t i = 0; i < 2000; i++) sum += ((double *)lp_data(wide))[i];
    if (d != LP_COMPLEX64 && d != LP_COMPLEX128) EXPECT_NEAR(sum, 1000, 0);
    EXPECT(lp_zero_(x));
    lp_tensor_release(wide);
    lp_tensor_release(x);
    lp_tensor_release(part);
  }
  LpTensor *x = lp_zeros(INTS(2), LP_FLOAT32, NO_DEVICE, false),
           *v = lp_ones(INTS(1), LP_FLOAT32, NO_DEVICE, false);
  EXPECT_FAILS(lp_fill_tensor_(x, v), LP_ERR_ARGUMENT, "0-dimension value tensor");
  EXPECT_FAILS(lp_fill_(x, lp_scalar_complex(1, 1)), LP_ERR_TYPE, "imaginary");
  lp_tensor_release(x);
  lp_tensor_release(v);
}

TEST(copy_stops_when_interrupted) {
  LpTensor *x = lp_zeros(INTS(4000, 3000), LP_FLOAT32, NO_DEVICE, false), *t = lp_t(x);
  lp_interrupt();
  EXPECT_FAILS(lp_clone(t, LP_CONTIGUOUS), LP_ERR_INTERRUPT, "interrupt");
  EXPECT(!lp_interrupt_pending());
  lp_interrupt();
  EXPECT_FAILS(lp_clone(x, LP_CONTIGUOUS), LP_ERR_INTERRUPT, "interrupt");
  lp_interrupt();
  EXPECT_FAILS(lp_to_copy(x, LP_INT64, NO_DEVICE, LP_FORMAT_NONE), LP_ERR_INTERRUPT,
               "interrupt");
  lp_interrupt();
  EXPECT_FAILS(lp_arange(lp_scalar_int(10000000), LP_DTYPE_NONE, NO_DEVICE, false),
               LP_ERR_INTERRUPT, "interrupt");
  lp_interrupt_take();
  lp_tensor_release(x);
  lp_tensor_release(t);
}

TEST(copy_resize_keeps_elements) {
  LpTensor *x = lp_arange(lp_scalar_int(4), LP_INT64, NO_DEVICE, false);
  EXPECT(lp_resize_(x, INTS(3, 2), LP_FORMAT_NONE) && lp_size(x, 0) == 3 &&
         ((int64_t *)lp_data(x))[3] == 3);
  EXPECT(lp_resize_(x, INTS(2), LP_FORMAT_NONE) && lp_numel(x) == 2);
  EXPECT_FAILS(lp_resize_(x, INTS((int64_t)1 << 45), LP_FORMAT_NONE), LP_ERR_MEMORY,
               "TiB");
  EXPECT(lp_numel(x) == 2);
  lp_tensor_release(x);
}

/* The kernel against one element at a time, with what lies between the rows untouched. */
TEST(copy_moves_rows) {
  enum { ROWS = 21, BYTES = 1 << 16 };
  static unsigned char source[BYTES], got[BYTES], want[BYTES];
  for (int i = 0; i < BYTES; i++) source[i] = (unsigned char)(i * 31 + (i >> 8) * 7);
  const int64_t steps[][2] = {{1, 1}, {1, 0}, {1, -1}, {1, 3}, {2, 1}, {2, -1}, {3, 2}};
  for (int log_size = 0; log_size < 5; log_size++)
    for (int64_t n = 1; n <= 70; n++)
      for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
        for (int64_t rows = 1; rows <= ROWS; rows += 5) {
          const int64_t size = INT64_C(1) << log_size, gap = (n * 5 + rows) % 3 * size;
          LpRowSteps r = {.size = size,
                          .n = n,
                          .to_step = steps[s][0] * size,
                          .from_step = steps[s][1] * size};
          r.to_row = n * r.to_step + gap;
          r.from_row = rows % 2 ? n * size : -size;
          const unsigned char *from = source + BYTES / 2;
          if (ROWS * r.to_row > BYTES / 2) r.to_row = BYTES / 2 / ROWS / 16 * 16;
          if (r.to_row < n * r.to_step) continue;
          if (n * 3 * size + ROWS * n * size > BYTES / 2) continue;
          memset(got, 0, BYTES);
          memset(want, 0, BYTES);
          lp_copy_kernels()->move(&r, (char *)got, (const char *)from, rows);
          for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < n; j++)
              memcpy(want + i * r.to_row + j * r.to_step,
                     from + i * r.from_row + j * r.from_step, (size_t)size);
          if (memcmp(got, want, BYTES))
            test_failure(__FILE__, __LINE__, "size %d, %d x %d, steps %d %d", (int)size,
                         (int)rows, (int)n, (int)steps[s][0], (int)steps[s][1]);
        }
}

/* Parts of larger tensors, so large that threads share them. */
TEST(copy_moves_parts_in_threads) {
  const int threads = lp_num_threads();
  const LpDtype dtypes[] = {LP_UINT8, LP_INT16, LP_FLOAT32, LP_FLOAT64, LP_COMPLEX128};
  for (int n_threads = 1; n_threads <= 3; n_threads++)
    for (int d = 0; d < 5; d++)
      for (int64_t n = 1; n <= 70; n += n < 20 ? 1 : 7) {
        lp_set_num_threads(n_threads);
        const int64_t rows = 40000 / (n + 2) + 3,
                      size = (int64_t)lp_dtype_size(dtypes[d]);
        LpTensor *x = lp_tensor_new(INTS(rows, 3, n + 2), dtypes[d], lp_cpu());
        unsigned char *bytes = lp_data(x);
        for (size_t i = 0; i < lp_storage_bytes(x); i++)
          bytes[i] = (unsigned char)(i * 31 + (i >> 8) * 7);
        LpTensor *part = lp_narrow(x, 2, 1, n), *twice = lp_narrow(part, 1, 0, 2),
                 *c = lp_contiguous(twice, LP_CONTIGUOUS),
                 *b = lp_clone(x, LP_CONTIGUOUS), *inner = lp_narrow(b, 2, 2, n),
                 *there = lp_narrow(inner, 1, 1, 2);
        EXPECT(lp_copy_(there, c, false));
        const char *from = lp_data(x), *to = lp_data(c), *back = lp_data(b);
        int bad = 0;
        for (int64_t i = 0; i < rows; i++)
          for (int64_t j = 0; j < 2; j++) {
            const int64_t row = (n + 2) * size, at = (i * 3 + j) * row;
            bad += memcmp(to + (i * 2 + j) * n * size, from + at + size,
                          (size_t)(n * size)) != 0;
            bad += memcmp(back + at + row + 2 * size, from + at + size,
                          (size_t)(n * size)) != 0;
            bad += memcmp(back + at + row, from + at + row, (size_t)(2 * size)) != 0;
          }
        if (bad)
          test_failure(__FILE__, __LINE__, "%s, rows of %d: %d wrong",
                       lp_dtype_name(dtypes[d]), (int)n, bad);
        LpTensor *all[] = {there, inner, b, c, twice, part, x};
        for (int i = 0; i < 7; i++) lp_tensor_release(all[i]);
      }
  lp_set_num_threads(threads);
}

/* See Note [Strings that follow closely]. */
TEST(copy_moves_memory_that_follows_closely) {
  enum { PAGE = 4096, BYTES = 4 * PAGE };
  static _Alignas(PAGE) unsigned char source[BYTES + PAGE], got[BYTES], want[BYTES];
  for (int i = 0; i < BYTES; i++) source[i] = (unsigned char)(i * 31 + (i >> 8) * 7);
  for (int ahead = 0; ahead < 80; ahead++)
    for (int bytes = 2000; bytes < 2200; bytes++) {
      memset(got, 0, BYTES);
      memset(want, 0, BYTES);
      memcpy(want + ahead, source, (size_t)bytes);
      lp_move(got + ahead, source, (size_t)bytes);
      EXPECT(memcmp(got, want, BYTES) == 0);
    }
}
