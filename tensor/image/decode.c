/* Decoding of pictures: finds the format, calls its decoder, and serves what that has
 * not: the box, the orientation, the mode. Also EXIF's orientation and what all decoders
 * need. */
#include <stdio.h>
#include <stdlib.h>
#include "image/picture.h"

typedef struct Format {
  const char *name;
  bool (*info)(const LpImageSource *source, LpImageInfo *info);
  bool (*decode)(const LpImageSource *source, LpPicture *picture);
} Format;

static const Format formats[LP_IMAGE_FORMAT_COUNT] = {
    [LP_IMAGE_UNKNOWN] = {"unknown", NULL, NULL},
    [LP_IMAGE_JPEG] = {"jpeg", lp_jpeg_info, lp_jpeg_decode},
    [LP_IMAGE_PNG] = {"png", lp_png_info, lp_png_decode},
    [LP_IMAGE_WEBP] = {"webp", lp_webp_info, lp_webp_decode},
    [LP_IMAGE_GIF] = {"gif", lp_gif_info, lp_gif_decode},
    [LP_IMAGE_BMP] = {"bmp", lp_bmp_info, lp_bmp_decode},
    [LP_IMAGE_PNM] = {"pnm", lp_pnm_info, lp_pnm_decode},
    [LP_IMAGE_TIFF] = {"tiff", lp_tiff_info, lp_tiff_decode},
};

static const struct {
  const char *name;
  int channels;
} modes[] = {{"unchanged", 0}, {"L", 1},    {"LA", 2}, {"RGB", 3},
             {"RGBA", 4},      {"CMYK", 4}, {"P", 1},  {"I", 1}};

const char *lp_image_format_name(LpImageFormat format) {
  return formats[format].name;
}
const char *lp_image_mode_name(LpImageMode mode) {
  return modes[mode].name;
}
int lp_image_mode_channels(LpImageMode mode) {
  return modes[mode].channels;
}

/* --- what decoders need
 * ---------------------------------------------------------------------- */

bool lp_image_check_size(const LpImageSource *source, int64_t width, int64_t height) {
  const int64_t wish = source->read->max_pixels;
  const int64_t limit = wish == 0  ? LP_IMAGE_MAX_PIXELS
                        : wish < 0 ? INT64_MAX / 64
                                   : wish;
  CHECK(width > 0 && height > 0, LP_ERR_IO, "the picture has no pixels (%lld x %lld)",
        (long long)width, (long long)height);
  CHECK(width <= INT32_MAX && height <= INT32_MAX && width <= limit / height, LP_ERR_IO,
        "the picture is too large: %lld x %lld pixels, the limit is %lld",
        (long long)width, (long long)height, (long long)limit);
  return true;
}

LpTensor *lp_image_new(int64_t height, int64_t width, int64_t channels, LpDtype dtype) {
  const int64_t sizes[] = {height, width, channels};
  return lp_tensor_new((LpInts){sizes, 3}, dtype, (LpDevice){LP_CPU, 0});
}

bool lp_image_check_pixels(const LpTensor *pixels) {
  CHECK(lp_dtype(pixels) == LP_UINT8 && lp_ndim(pixels) == 3 &&
            lp_is_contiguous(pixels, LP_CONTIGUOUS),
        LP_ERR_ARGUMENT, "expected contiguous uint8 pixels (height, width, channels)");
  return true;
}

bool lp_image_interrupted(void) {
  if (LP_LIKELY(!lp_interrupt_pending())) return false;
  lp_interrupt_take();
  lp_fail(LP_ERR_INTERRUPT, "interrupted reading a picture");
  return true;
}

#define EXIF_ORIENTATION 0x0112
#define TIFF_SHORT 3

int lp_exif_orientation(const uint8_t *exif, size_t size_bytes) {
  if (size_bytes < 8) return 1;
  const bool little = exif[0] == 'I' && exif[1] == 'I';
  if (!little && !(exif[0] == 'M' && exif[1] == 'M')) return 1;
  uint32_t (*read16)(const uint8_t *) = little ? lp_le16 : lp_be16;
  uint32_t (*read32)(const uint8_t *) = little ? lp_le32 : lp_be32;
  const size_t at = read32(exif + 4);
  if (read16(exif + 2) != 42 || at > size_bytes - 2) return 1;
  const size_t count = read16(exif + at);
  for (size_t i = 0; i < count && at + 2 + (i + 1) * 12 <= size_bytes; i++) {
    const uint8_t *entry = exif + at + 2 + i * 12;
    if (read16(entry) != EXIF_ORIENTATION) continue;
    const uint32_t value =
        read16(entry + 2) == TIFF_SHORT ? read16(entry + 8) : read32(entry + 8);
    return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}

/* --- the box and the orientation
 * ------------------------------------------------------------- */

static bool check_box(const LpImageRead *read, int64_t width, int64_t height) {
  if (read->height == 0) return true;
  CHECK(read->top >= 0 && read->left >= 0 && read->height > 0 && read->width > 0 &&
            read->top <= height - read->height && read->left <= width - read->width,
        LP_ERR_ARGUMENT,
        "the box (top %lld, left %lld, height %lld, width %lld) lies outside the picture "
        "of %lld x %lld",
        (long long)read->top, (long long)read->left, (long long)read->height,
        (long long)read->width, (long long)width, (long long)height);
  return true;
}

static LpTensor *cut(LpTensor *pixels, const LpImageRead *read) {
  const int64_t channels = lp_size(pixels, 2);
  LpTensor *result = lp_image_new(read->height, read->width, channels, lp_dtype(pixels));
  if (!result) return NULL;
  const size_t pixel = (size_t)channels * lp_dtype_size(lp_dtype(pixels));
  const size_t row = (size_t)lp_size(pixels, 1) * pixel,
               wanted = (size_t)read->width * pixel;
  const uint8_t *from = (const uint8_t *)lp_data(pixels) + (size_t)read->top * row +
                        (size_t)read->left * pixel;
  uint8_t *to = lp_data(result);
  for (int64_t y = 0; y < read->height; y++)
    memcpy(to + (size_t)y * wanted, from + (size_t)y * row, wanted);
  return result;
}

/* EXIF's numbers as: transpose first, then mirror columns, rows of the result. */
static const struct {
  bool transpose, mirror_x, mirror_y;
} turns[9] = {[1] = {0, 0, 0}, [2] = {0, 1, 0}, [3] = {0, 1, 1}, [4] = {0, 0, 1},
              [5] = {1, 0, 0}, [6] = {1, 1, 0}, [7] = {1, 1, 1}, [8] = {1, 0, 1}};

LpTensor *lp_image_turn(LpTensor *pixels, int orientation) {
  const bool transpose = turns[orientation].transpose;
  const int64_t height = lp_size(pixels, transpose), width = lp_size(pixels, !transpose);
  const int64_t channels = lp_size(pixels, 2);
  LpTensor *result = lp_image_new(height, width, channels, lp_dtype(pixels));
  if (!result) return NULL;
  const size_t pixel = (size_t)channels * lp_dtype_size(lp_dtype(pixels));
  const size_t from_row = (size_t)lp_size(pixels, 1) * pixel;
  const uint8_t *from = lp_data(pixels);
  uint8_t *to = lp_data(result);
  for (int64_t y = 0; y < height; y++) {
    const int64_t v = turns[orientation].mirror_y ? height - 1 - y : y;
    for (int64_t x = 0; x < width; x++) {
      const int64_t u = turns[orientation].mirror_x ? width - 1 - x : x;
      const size_t at = transpose ? (size_t)u * from_row + (size_t)v * pixel
                                  : (size_t)v * from_row + (size_t)u * pixel;
      memcpy(to, from + at, pixel);
      to += pixel;
    }
  }
  return result;
}

/* --- public
 * ---------------------------------------------------------------------------------- */

LpImageFormat lp_image_sniff(const uint8_t *b, size_t size_bytes) {
  if (size_bytes >= 3 && b[0] == 0xFF && b[1] == 0xD8 && b[2] == 0xFF)
    return LP_IMAGE_JPEG;
  if (size_bytes >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0) return LP_IMAGE_PNG;
  if (size_bytes >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0)
    return LP_IMAGE_WEBP;
  if (size_bytes >= 6 && (memcmp(b, "GIF87a", 6) == 0 || memcmp(b, "GIF89a", 6) == 0))
    return LP_IMAGE_GIF;
  if (size_bytes >= 18 && b[0] == 'B' && b[1] == 'M') return LP_IMAGE_BMP;
  if (size_bytes >= 3 && b[0] == 'P' && b[1] >= '1' && b[1] <= '6' &&
      (b[2] <= ' ' || b[2] == '#'))
    return LP_IMAGE_PNM;
  if (size_bytes >= 4 && (memcmp(b, "II*\0", 4) == 0 || memcmp(b, "MM\0*", 4) == 0))
    return LP_IMAGE_TIFF;
  return LP_IMAGE_UNKNOWN;
}

static bool named(const LpImageRead *read, bool ok) {
  if (!ok && read->name && lp_last_error()->code == LP_ERR_IO)
    lp_fail_prefix("cannot read %s: ", read->name);
  return ok;
}

static bool find_format(const LpImageSource *source, LpImageFormat *format) {
  *format = lp_image_sniff(source->bytes, source->size_bytes);
  CHECK(source->size_bytes > 0, LP_ERR_IO, "the file is empty");
  CHECK(formats[*format].decode, LP_ERR_IO,
        "it is no picture of a known format (JPEG, PNG, WebP, GIF, BMP, PNM, TIFF)");
  return true;
}

static bool read_info(const LpImageSource *source, LpImageInfo *info) {
  *info = (LpImageInfo){.orientation = 1};
  TRY(find_format(source, &info->format));
  return formats[info->format].info(source, info);
}

bool lp_image_info(const uint8_t *bytes, size_t size_bytes, const char *name,
                   LpImageInfo *info) {
  const LpImageRead read = {.name = name, .max_pixels = -1};
  return named(&read, read_info(&(LpImageSource){bytes, size_bytes, &read}, info));
}

/* Puts `next` in the place of the pixels; false when it is NULL. */
static bool replace(LpPicture *picture, LpTensor *next) {
  lp_tensor_release(picture->pixels);
  picture->pixels = next;
  return next != NULL;
}

static bool finish(const LpImageSource *source, const LpImageRead *read,
                   const LpImageInfo *info, LpPicture *picture) {
  if (read->orient && info->orientation != 1)
    TRY(replace(picture, lp_image_turn(picture->pixels, info->orientation)));
  if (read->height && !picture->is_cut) {
    CHECK(lp_ndim(picture->pixels) == 3, LP_ERR_ARGUMENT,
          "a box cannot be cut out of an animation");
    TRY(check_box(read, lp_size(picture->pixels, 1), lp_size(picture->pixels, 0)));
    TRY(replace(picture, cut(picture->pixels, read)));
  }
  if (read->mode != LP_MODE_UNCHANGED && !picture->is_converted &&
      picture->mode != read->mode) {
    CHECK(read->mode < LP_MODE_P, LP_ERR_ARGUMENT, "%s",
          read->mode == LP_MODE_P ? "the picture has no palette"
                                  : "the picture is not gray, as mode I is");
    const bool keyed =
        info->has_key && (read->mode == LP_MODE_LA || read->mode == LP_MODE_RGBA);
    TRY(replace(picture, lp_image_convert(picture->pixels, picture->mode, read->mode,
                                          keyed ? info->key : NULL)));
    picture->mode = read->mode;
  }
  return true;
}

static bool decode(const LpImageSource *source, LpPicture *picture) {
  const LpImageRead *read = source->read;
  const int scale = read->scale;
  CHECK(scale == 0 || scale == 1 || scale == 2 || scale == 4 || scale == 8,
        LP_ERR_ARGUMENT, "scale must be 1, 2, 4 or 8, got %d", scale);
  LpImageFormat format;
  TRY(find_format(source, &format));
  /* Decoders of the box see unturned pictures only. */
  LpImageRead plain = *read;
  LpImageInfo info = {.orientation = 1};
  const bool needs_key = read->rules == LP_RULES_PILLOW && format == LP_IMAGE_PNG;
  if (read->orient || needs_key) TRY(read_info(source, &info));
  if (info.orientation != 1) plain.height = 0;
  TRY(formats[format].decode(&(LpImageSource){source->bytes, source->size_bytes, &plain},
                             picture));
  return finish(source, read, &info, picture);
}

LpTensor *lp_image_decode(const uint8_t *bytes, size_t size_bytes,
                          const LpImageRead *read, LpImageMode *mode) {
  LpPicture picture = {0};
  if (!named(read, decode(&(LpImageSource){bytes, size_bytes, read}, &picture))) {
    lp_tensor_release(picture.pixels);
    return NULL;
  }
  if (mode) *mode = picture.mode;
  return picture.pixels;
}
