/* Conversions between modes with Pillow's integers. */
#include "image/picture.h"

static inline uint8_t clip8(int x) {
  return x < 0 ? 0 : x > 255 ? 255 : (uint8_t)x;
}
/* a * b / 255, rounded. */
static inline int times(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

/* Each of these converts n pixels. */
typedef void Convert(const uint8_t *from, uint8_t *to, int64_t n);

static void l_to_la(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[2 * i] = from[i], to[2 * i + 1] = 255;
}
static void l_to_rgb(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
}
static void l_to_rgba(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    to[4 * i] = to[4 * i + 1] = to[4 * i + 2] = from[i];
    to[4 * i + 3] = 255;
  }
}
static void l_to_cmyk(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    to[4 * i] = to[4 * i + 1] = to[4 * i + 2] = 0;
    to[4 * i + 3] = (uint8_t)(255 - from[i]);
  }
}
static void la_to_l(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = from[2 * i];
}
static void la_to_rgb(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[2 * i];
}
static void la_to_rgba(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    to[4 * i] = to[4 * i + 1] = to[4 * i + 2] = from[2 * i];
    to[4 * i + 3] = from[2 * i + 1];
  }
}
static void la_to_cmyk(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) l_to_cmyk(from + 2 * i, to + 4 * i, 1);
}
static void rgb_to_l(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = lp_luminance(from + 3 * i);
}
static void rgb_to_la(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    to[2 * i] = lp_luminance(from + 3 * i), to[2 * i + 1] = 255;
}
static void rgb_to_rgba(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    memcpy(to + 4 * i, from + 3 * i, 3);
    to[4 * i + 3] = 255;
  }
}
static void rgb_to_cmyk(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    for (int c = 0; c < 3; c++) to[4 * i + c] = (uint8_t)(255 - from[3 * i + c]);
    to[4 * i + 3] = 0;
  }
}
static void rgba_to_l(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = lp_luminance(from + 4 * i);
}
static void rgba_to_la(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    to[2 * i] = lp_luminance(from + 4 * i), to[2 * i + 1] = from[4 * i + 3];
}
static void rgba_to_rgb(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) memcpy(to + 3 * i, from + 4 * i, 3);
}
static void rgba_to_cmyk(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) rgb_to_cmyk(from + 4 * i, to + 4 * i, 1);
}
static inline void unprint(const uint8_t *cmyk, uint8_t *rgb) {
  const int light = 255 - cmyk[3];
  for (int c = 0; c < 3; c++) rgb[c] = clip8(light - times(cmyk[c], light));
}
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) unprint(from + 4 * i, to + 3 * i);
}
static void cmyk_to_rgba(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    unprint(from + 4 * i, to + 4 * i);
    to[4 * i + 3] = 255;
  }
}
/* Pillow goes by way of RGB. */
static void cmyk_to_l(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    uint8_t rgb[3];
    unprint(from + 4 * i, rgb);
    to[i] = lp_luminance(rgb);
  }
}
static void cmyk_to_la(const uint8_t *from, uint8_t *to, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    cmyk_to_l(from + 4 * i, to + 2 * i, 1);
    to[2 * i + 1] = 255;
  }
}

static Convert *const conversions[LP_MODE_CMYK + 1][LP_MODE_CMYK + 1] = {
    [LP_MODE_L] = {[LP_MODE_LA] = l_to_la,
                   [LP_MODE_RGB] = l_to_rgb,
                   [LP_MODE_RGBA] = l_to_rgba,
                   [LP_MODE_CMYK] = l_to_cmyk},
    [LP_MODE_LA] = {[LP_MODE_L] = la_to_l,
                    [LP_MODE_RGB] = la_to_rgb,
                    [LP_MODE_RGBA] = la_to_rgba,
                    [LP_MODE_CMYK] = la_to_cmyk},
    [LP_MODE_RGB] = {[LP_MODE_L] = rgb_to_l,
                     [LP_MODE_LA] = rgb_to_la,
                     [LP_MODE_RGBA] = rgb_to_rgba,
                     [LP_MODE_CMYK] = rgb_to_cmyk},
    [LP_MODE_RGBA] = {[LP_MODE_L] = rgba_to_l,
                      [LP_MODE_LA] = rgba_to_la,
                      [LP_MODE_RGB] = rgba_to_rgb,
                      [LP_MODE_CMYK] = rgba_to_cmyk},
    [LP_MODE_CMYK] = {[LP_MODE_L] = cmyk_to_l,
                      [LP_MODE_LA] = cmyk_to_la,
                      [LP_MODE_RGB] = cmyk_to_rgb,
                      [LP_MODE_RGBA] = cmyk_to_rgba},
};

/* Sets alpha to 0 where the pixel of `from` has the transparent colour, whose first
 * number Pillow then makes the gray. */
static void show_key(const uint8_t *from, int from_channels, uint8_t *to, int channels,
                     const uint8_t key[3], int64_t n) {
  for (int64_t i = 0; i < n; i++, from += from_channels, to += channels) {
    if (memcmp(from, key, (size_t)from_channels) != 0) continue;
    to[channels - 1] = 0;
    if (channels == 2) to[0] = key[0];
  }
}

LpTensor *lp_image_convert(LpTensor *pixels, LpImageMode from, LpImageMode to,
                           const uint8_t key[3]) {
  CHECK(lp_dtype(pixels) == LP_UINT8 && lp_ndim(pixels) == 3 &&
            lp_is_contiguous(pixels, LP_CONTIGUOUS) &&
            lp_size(pixels, 2) == lp_image_mode_channels(from),
        LP_ERR_ARGUMENT, "expected contiguous uint8 pixels (height, width, %d)",
        lp_image_mode_channels(from));
  CHECK(from >= LP_MODE_L && from <= LP_MODE_CMYK && to >= LP_MODE_L &&
            to <= LP_MODE_CMYK,
        LP_ERR_ARGUMENT, "no conversion from %s to %s", lp_image_mode_name(from),
        lp_image_mode_name(to));
  if (from == to) return lp_tensor_retain(pixels);
  const int64_t height = lp_size(pixels, 0), width = lp_size(pixels, 1);
  const int out = lp_image_mode_channels(to);
  LpTensor *result = lp_image_new(height, width, out, LP_UINT8);
  if (!result) return NULL;
  conversions[from][to](lp_data(pixels), lp_data(result), height * width);
  const bool opaque = from == LP_MODE_L || from == LP_MODE_RGB;
  if (key && opaque && (to == LP_MODE_LA || to == LP_MODE_RGBA))
    show_key(lp_data(pixels), lp_image_mode_channels(from), lp_data(result), out, key,
             height * width);
  return result;
}

bool lp_image_from_palette(const uint8_t *indices, int64_t height, int64_t width,
                           const uint8_t palette[256][4], bool has_alpha,
                           const LpImageSource *source, LpPicture *picture) {
  const LpImageMode wish = source->read->mode;
  if (wish == LP_MODE_P) {
    picture->mode = LP_MODE_P;
    TRY(picture->pixels = lp_image_new(height, width, 1, LP_UINT8));
    memcpy(lp_data(picture->pixels), indices, (size_t)(height * width));
    return true;
  }
  const LpImageMode mode = wish == LP_MODE_L || wish == LP_MODE_LA ||
                                   wish == LP_MODE_RGBA || wish == LP_MODE_RGB
                               ? wish
                           : has_alpha ? LP_MODE_RGBA
                                       : LP_MODE_RGB;
  const int channels = lp_image_mode_channels(mode);
  TRY(picture->pixels = lp_image_new(height, width, channels, LP_UINT8));
  picture->mode = mode;
  uint8_t table[256][4];
  for (int i = 0; i < 256; i++) {
    if (channels >= 3) {
      memcpy(table[i], palette[i], 4);
    } else {
      table[i][0] = lp_luminance(palette[i]);
      table[i][1] = palette[i][3];
    }
  }
  uint8_t *to = lp_data(picture->pixels);
  for (int64_t i = 0; i < height * width; i++, to += channels)
    memcpy(to, table[indices[i]], (size_t)channels);
  return true;
}
