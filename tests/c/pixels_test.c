/* Image operations on blocks of exactly the size they say, so that a sanitizer sees any
 * step beside them: odd sizes, boxes of larger images, every kind of channels; and
 * resampling beside sums written out plainly. */
#include <stdlib.h>
#include "image/pixels.h"
#include "test.h"

static uint32_t state = 1;

static uint32_t next(uint32_t n) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % n;
}

/* A box of a block of its own. *block: to free. */
static LpPixels make(int64_t height, int64_t width, int channels, uint8_t **block) {
  const int64_t top = next(2), left = next(3), right = next(2);
  const int64_t stride = (left + width + right) * channels;
  /* The block ends with the box's last pixel. */
  const size_t bytes = (size_t)((top + height - 1) * stride + (left + width) * channels);
  *block = malloc(bytes);
  for (size_t i = 0; i < bytes; i++) (*block)[i] = (uint8_t)next(256);
  return (LpPixels){*block + top * stride + left * channels, height, width, channels,
                    stride};
}

static uint8_t *room(int64_t height, int64_t width, int channels) {
  return malloc((size_t)(height * width * channels));
}

static bool resize(LpPixels in, uint8_t *out, int64_t height, int64_t width, LpFilter f) {
  return lp_pixels_resample(in, out, (LpSpan){in.height, height, 0, height, 0},
                            (LpSpan){in.width, width, 0, width, 0}, f);
}

/* A part of the result from the part of the source it needs is that part of the whole. */
TEST(pixels_resample_parts) {
  for (int round = 0; round < 300; round++) {
    const int64_t h = 1 + next(40), w = 1 + next(40), oh = 1 + next(50),
                  ow = 1 + next(50);
    const int channels = 1 + (int)next(4);
    const LpFilter f = (LpFilter)(1 + next(5));
    uint8_t *block;
    const LpPixels in = make(h, w, channels, &block);
    uint8_t *whole = room(oh, ow, channels), *part = room(oh, ow, channels);
    EXPECT(resize(in, whole, oh, ow, f));
    LpSpan rows = {h, oh, next((uint32_t)oh), 0, 0},
           columns = {w, ow, next((uint32_t)ow), 0, 0};
    rows.count = 1 + next((uint32_t)(oh - rows.from));
    columns.count = 1 + next((uint32_t)(ow - columns.from));
    int64_t y_count, x_count;
    lp_pixels_needed(&rows, f, &rows.skip, &y_count);
    lp_pixels_needed(&columns, f, &columns.skip, &x_count);
    /* Copied, so that a look beside it is seen. */
    uint8_t *copy = room(y_count, x_count, channels);
    for (int64_t y = 0; y < y_count; y++)
      memcpy(copy + y * x_count * channels,
             in.data + (rows.skip + y) * in.stride_bytes + columns.skip * channels,
             (size_t)(x_count * channels));
    EXPECT(lp_pixels_resample(
        (LpPixels){copy, y_count, x_count, channels, x_count * channels}, part, rows,
        columns, f));
    for (int64_t y = 0; y < rows.count; y++)
      EXPECT(memcmp(part + y * columns.count * channels,
                    whole + ((rows.from + y) * ow + columns.from) * channels,
                    (size_t)(columns.count * channels)) == 0);
    if (y_count > 1)
      EXPECT_FAILS(lp_pixels_resample((LpPixels){copy, y_count - 1, x_count, channels,
                                                 x_count * channels},
                                      part, rows, columns, f),
                   LP_ERR_INTERNAL, "not those that are needed");
    free(copy);
    free(part);
    free(whole);
    free(block);
  }
}

TEST(pixels_stay_inside) {
  for (int round = 0; round < 400; round++) {
    const int64_t h = 1 + next(12), w = 1 + next(12), oh = 1 + next(20),
                  ow = 1 + next(40);
    const int channels = 1 + (int)next(4);
    uint8_t *block;
    const LpPixels in = make(h, w, channels, &block);
    uint8_t *out = room(oh, ow, channels), *same = room(h, w, channels);
    for (int f = LP_FILTER_LANCZOS; f <= LP_FILTER_HAMMING; f++)
      EXPECT(resize(in, out, oh, ow, (LpFilter)f));
    EXPECT(lp_pixels_nearest(in, out, oh, ow));
    const uint8_t fill[4] = {1, 2, 3, 4};
    for (int b = LP_BORDER_CONSTANT; b <= LP_BORDER_SYMMETRIC; b++)
      EXPECT(lp_pixels_window(in, out, (int64_t)next(9) - 4, (int64_t)next(9) - 4, oh, ow,
                              (LpBorder)b, fill));
    LpWarp warp = {.m = {0.8, 0.3, -1, -0.2, 1.1, 0.5, 0.01, -0.02}};
    for (int f = 0; f < 3; f++) {
      warp.filter = f == 0   ? LP_FILTER_NEAREST
                    : f == 1 ? LP_FILTER_BILINEAR
                             : LP_FILTER_BICUBIC;
      warp.perspective = next(2);
      EXPECT(lp_pixels_warp(in, out, oh, ow, &warp, fill));
    }
    EXPECT(lp_pixels_flip(in, same, next(2), next(2)));
    EXPECT(lp_pixels_sharpen(in, same, 1.5f, false));
    lp_pixels_transpose(in, same);
    lp_pixels_blend_grey(in, same, 7, 0.5f);
    lp_pixels_luma_sum(in);
    if (channels >= 3) {
      lp_pixels_saturate(in, same, 1.7f);
      lp_pixels_shift_hue(in, same, 99);
    }
    lp_pixels_premultiply(in, same);
    lp_pixels_unpremultiply(in, same);
    float *planes = malloc((size_t)(h * w * channels) * sizeof(float));
    lp_pixels_to_float(in, planes, NULL, NULL, next(2));
    free(planes);
    free(same);
    free(out);
    free(block);
  }
}

TEST(pixels_of_one_colour_stay_it) {
  for (int channels = 1; channels <= 4; channels++) {
    uint8_t in[9 * 7 * 4], out[23 * 3 * 4];
    memset(in, 201, sizeof in);
    for (int f = LP_FILTER_LANCZOS; f <= LP_FILTER_HAMMING; f++) {
      EXPECT(
          resize((LpPixels){in, 9, 7, channels, 7 * channels}, out, 23, 3, (LpFilter)f));
      for (int i = 0; i < 23 * 3 * channels; i++) EXPECT(out[i] == 201);
    }
  }
}

/* Halving with a box is the mean of two, rounded up, columns first. */
TEST(pixels_box_filter) {
  enum { H = 10, W = 24 };
  uint8_t in[H * W * 3], out[H / 2 * W / 2 * 3];
  for (int i = 0; i < H * W * 3; i++) in[i] = (uint8_t)next(256);
  EXPECT(resize((LpPixels){in, H, W, 3, W * 3}, out, H / 2, W / 2, LP_FILTER_BOX));
  for (int y = 0; y < H / 2; y++)
    for (int x = 0; x < W / 2; x++)
      for (int c = 0; c < 3; c++) {
        const uint8_t *p = in + (2 * y * W + 2 * x) * 3 + c;
        const int above = (p[0] + p[3] + 1) / 2,
                  below = (p[W * 3] + p[W * 3 + 3] + 1) / 2;
        EXPECT(out[(y * W / 2 + x) * 3 + c] == (above + below + 1) / 2);
      }
}
