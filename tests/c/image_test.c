/* Pictures from C: encoding and decoding of every format, boxes, many threads at once,
 * allocations that fail. */
#include <pthread.h>
#include <stdlib.h>
#include "lampad/image.h"
#include "lampad/io.h"
#include "lampad/memory.h"
#include "test.h"

enum { WIDTH = 53, HEIGHT = 41, THREADS = 4, ROUNDS = 8 };

static LpTensor *picture(int64_t channels) {
  const int64_t sizes[] = {HEIGHT, WIDTH, channels};
  LpTensor *t = lp_tensor_new((LpInts){sizes, 3}, LP_UINT8, (LpDevice){LP_CPU, 0});
  uint8_t *p = lp_data(t);
  for (int64_t i = 0; i < lp_numel(t); i++) p[i] = (uint8_t)(i * 7 % 251 + i / 300);
  return t;
}

static bool same(const LpTensor *a, const LpTensor *b) {
  return a && b && lp_numel(a) == lp_numel(b) &&
         memcmp(lp_data(a), lp_data(b), (size_t)lp_numel(a)) == 0;
}

typedef struct File {
  uint8_t *bytes;
  size_t size_bytes;
} File;

/* The files of one picture in all formats that can be written; the first loses, the
 * others keep every pixel. */
static void make_files(LpTensor *rgb, File files[5]) {
  EXPECT(lp_image_encode_jpeg(rgb, 90, &files[0].bytes, &files[0].size_bytes));
  EXPECT(lp_image_encode_png(rgb, 3, &files[1].bytes, &files[1].size_bytes));
  EXPECT(lp_image_encode_webp(rgb, 50, true, &files[2].bytes, &files[2].size_bytes));
  EXPECT(lp_image_encode_bmp(rgb, &files[3].bytes, &files[3].size_bytes));
  EXPECT(lp_image_encode_pnm(rgb, &files[4].bytes, &files[4].size_bytes));
}

static void free_files(File files[5]) {
  for (int i = 0; i < 5; i++) lp_bytes_free(files[i].bytes);
}

TEST(image_round_trip) {
  static const LpImageFormat formats[] = {LP_IMAGE_JPEG, LP_IMAGE_PNG, LP_IMAGE_WEBP,
                                          LP_IMAGE_BMP, LP_IMAGE_PNM};
  LpTensor *rgb = picture(3);
  File files[5];
  make_files(rgb, files);
  for (int i = 0; i < 5; i++) {
    LpImageInfo info;
    EXPECT(lp_image_info(files[i].bytes, files[i].size_bytes, NULL, &info));
    EXPECT(info.format == formats[i] && info.width == WIDTH && info.height == HEIGHT &&
           info.mode == LP_MODE_RGB);
    LpImageMode mode;
    LpTensor *back =
        lp_image_decode(files[i].bytes, files[i].size_bytes, &(LpImageRead){0}, &mode);
    EXPECT(back && mode == LP_MODE_RGB && (i == 0 || same(back, rgb)));
    const LpImageRead box = {.top = 11, .left = 20, .height = 9, .width = 17};
    LpTensor *part = lp_image_decode(files[i].bytes, files[i].size_bytes, &box, NULL);
    EXPECT(part && lp_size(part, 0) == 9 && lp_size(part, 1) == 17);
    for (int y = 0; part && back && y < 9; y++)
      EXPECT(memcmp((uint8_t *)lp_data(part) + y * 17 * 3,
                    (uint8_t *)lp_data(back) + ((11 + y) * WIDTH + 20) * 3, 17 * 3) == 0);
    lp_tensor_release(part);
    lp_tensor_release(back);
    const LpImageRead outside = {.name = "x.jpg", .top = 40, .height = 9, .width = 17};
    EXPECT_FAILS(lp_image_decode(files[i].bytes, files[i].size_bytes, &outside, NULL),
                 LP_ERR_ARGUMENT, "lies outside");
    const LpImageRead small = {.name = "x.jpg", .max_pixels = 100};
    EXPECT_FAILS(lp_image_decode(files[i].bytes, files[i].size_bytes, &small, NULL),
                 LP_ERR_IO, "cannot read x.jpg: the picture is too large");
    /* Every beginning of the file is an error, or for the last bytes a picture. */
    for (size_t n = 0; n < files[i].size_bytes; n += 1 + n / 6) {
      LpTensor *t = lp_image_decode(files[i].bytes, n, &(LpImageRead){.name = "x"}, NULL);
      EXPECT(t || lp_last_error()->code == LP_ERR_IO);
      lp_tensor_release(t);
    }
  }
  free_files(files);
  lp_tensor_release(rgb);
}

typedef struct Work {
  const File *files;
  LpTensor *const *want;
  bool ok;
} Work;

static void *decode_all(void *ctx) {
  Work *w = ctx;
  w->ok = true;
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < 5; i++) {
      LpTensor *t = lp_image_decode(w->files[i].bytes, w->files[i].size_bytes,
                                    &(LpImageRead){0}, NULL);
      w->ok = w->ok && same(t, w->want[i]);
      lp_tensor_release(t);
      EXPECT_FAILS(lp_image_decode(w->files[i].bytes, w->files[i].size_bytes / 2,
                                   &(LpImageRead){0}, NULL),
                   LP_ERR_IO, "");
    }
  return NULL;
}

TEST(image_threads) {
  LpTensor *rgb = picture(3), *want[5];
  File files[5];
  make_files(rgb, files);
  for (int i = 0; i < 5; i++)
    want[i] =
        lp_image_decode(files[i].bytes, files[i].size_bytes, &(LpImageRead){0}, NULL);
  pthread_t threads[THREADS];
  Work work[THREADS];
  for (int i = 0; i < THREADS; i++) {
    work[i] = (Work){files, want, false};
    EXPECT(pthread_create(&threads[i], NULL, decode_all, &work[i]) == 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    EXPECT(work[i].ok);
  }
  for (int i = 0; i < 5; i++) lp_tensor_release(want[i]);
  free_files(files);
  lp_tensor_release(rgb);
}

TEST(image_out_of_memory) {
  LpTensor *rgb = picture(3);
  File files[5];
  make_files(rgb, files);
  for (int i = 0; i < 5; i++)
    for (int wish = 0; wish < 2; wish++) {
      const LpImageRead read = {.mode = wish ? LP_MODE_L : LP_MODE_UNCHANGED};
      LpTensor *t = NULL;
      for (int64_t after = 0; !t && after < 50; after++) {
        const size_t live = lp_memory_live_bytes();
        lp_memory_fail_after(after);
        t = lp_image_decode(files[i].bytes, files[i].size_bytes, &read, NULL);
        lp_memory_fail_after(-1);
        EXPECT(t || lp_last_error()->code == LP_ERR_MEMORY);
        EXPECT(t || lp_memory_live_bytes() == live);
      }
      EXPECT(t);
      lp_tensor_release(t);
    }
  free_files(files);
  lp_tensor_release(rgb);
}

TEST(image_interrupt) {
  LpTensor *rgb = picture(3);
  File files[5];
  make_files(rgb, files);
  for (int i = 0; i < 2; i++) { /* JPEG and PNG; the others are done in no time */
    lp_interrupt();
    EXPECT_FAILS(
        lp_image_decode(files[i].bytes, files[i].size_bytes, &(LpImageRead){0}, NULL),
        LP_ERR_INTERRUPT, "interrupted");
    EXPECT(!lp_interrupt_pending());
  }
  uint8_t *data;
  size_t size_bytes;
  lp_interrupt();
  EXPECT_FAILS(lp_image_encode_jpeg(rgb, 90, &data, &size_bytes), LP_ERR_INTERRUPT,
               "interrupted");
  lp_interrupt();
  EXPECT_FAILS(lp_image_encode_png(rgb, 3, &data, &size_bytes), LP_ERR_INTERRUPT,
               "interrupted");
  free_files(files);
  lp_tensor_release(rgb);
}

TEST(image_convert) {
  LpTensor *gray = picture(1);
  for (LpImageMode to = LP_MODE_LA; to <= LP_MODE_CMYK; to++) {
    LpTensor *there = lp_image_convert(gray, LP_MODE_L, to, NULL);
    LpTensor *back = there ? lp_image_convert(there, to, LP_MODE_L, NULL) : NULL;
    EXPECT(same(back, gray));
    lp_tensor_release(there);
    lp_tensor_release(back);
  }
  const uint8_t key[3] = {7, 7, 7};
  LpTensor *keyed = lp_image_convert(gray, LP_MODE_L, LP_MODE_LA, key);
  EXPECT(((uint8_t *)lp_data(keyed))[1] == 255 &&
         ((uint8_t *)lp_data(keyed))[3] == 0); /* 0, 7, ... */
  lp_tensor_release(keyed);
  EXPECT_FAILS(lp_image_convert(gray, LP_MODE_RGB, LP_MODE_L, NULL), LP_ERR_ARGUMENT,
               "expected contiguous uint8 pixels");
  EXPECT_FAILS(lp_image_convert(gray, LP_MODE_L, LP_MODE_P, NULL), LP_ERR_ARGUMENT,
               "no conversion from L to P");
  lp_tensor_release(gray);
}
