/* PNG by libpng. By Pillow's rules the samples are taken as they are stored (16 bits cut
 * to 8) and converted here; by torchvision's libpng itself converts, with the weights
 * that torchvision gives it. */
#include <png.h>
#include <stdlib.h>
#include "image/picture.h"
#include "lampad/io.h"

#define MAX_CHUNK_BYTES ((png_alloc_size_t)1 << 26)

typedef struct Reader {
  png_structp png;
  png_infop info;
  const uint8_t *next;
  size_t left_bytes;
  bool is_recorded;
  png_bytep *rows;
  uint8_t *samples; /* a picture on the way */
} Reader;

static void on_error(png_structp png, png_const_charp message) {
  Reader *r = png_get_error_ptr(png);
  if (!r->is_recorded) lp_fail(LP_ERR_IO, "%s", message);
  r->is_recorded = true;
  png_longjmp(png, 1);
}
static void ignore_warning(png_structp png, png_const_charp message) {}

static void read_bytes(png_structp png, png_bytep to, size_t count) {
  Reader *r = png_get_io_ptr(png);
  if (count > r->left_bytes) png_error(png, "the picture is truncated");
  memcpy(to, r->next, count);
  r->next += count;
  r->left_bytes -= count;
}

static void on_row(png_structp png, png_uint_32 row, int pass) {
  if (!lp_image_interrupted()) return;
  ((Reader *)png_get_error_ptr(png))->is_recorded = true;
  png_longjmp(png, 1);
}

static bool open_reader(Reader *r, const LpImageSource *source) {
  *r = (Reader){.next = source->bytes, .left_bytes = source->size_bytes};
  r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, ignore_warning);
  r->info = r->png ? png_create_info_struct(r->png) : NULL;
  if (!r->info) {
    png_destroy_read_struct(&r->png, NULL, NULL);
    return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  }
  png_set_read_fn(r->png, r, read_bytes);
  png_set_read_status_fn(r->png, on_row);
  /* Our own limit counts pixels, of either side. */
  png_set_user_limits(r->png, 0x7FFFFFFF, 0x7FFFFFFF);
  png_set_chunk_malloc_max(r->png, MAX_CHUNK_BYTES);
  return true;
}

static void close_reader(Reader *r) {
  png_destroy_read_struct(&r->png, &r->info, NULL);
  free(r->rows);
  free(r->samples);
}

/* Of the pixels as Pillow opens them; a palette counts as what it is expanded to. */
static LpImageMode mode_of(Reader *r, int color, int depth) {
  switch (color) {
  case PNG_COLOR_TYPE_GRAY: return LP_MODE_L;
  case PNG_COLOR_TYPE_RGB: return LP_MODE_RGB;
  case PNG_COLOR_TYPE_GRAY_ALPHA: return depth == 16 ? LP_MODE_RGBA : LP_MODE_LA;
  case PNG_COLOR_TYPE_PALETTE:
    return png_get_valid(r->png, r->info, PNG_INFO_tRNS) ? LP_MODE_RGBA : LP_MODE_RGB;
  default: return LP_MODE_RGBA;
  }
}

static void read_palette(Reader *r, LpImageInfo *info) {
  for (int i = 0; i < 256; i++) info->palette[i][3] = 255;
  png_colorp colors;
  int count = 0;
  if (png_get_PLTE(r->png, r->info, &colors, &count))
    for (int i = 0; i < count && i < 256; i++) {
      info->palette[i][0] = colors[i].red;
      info->palette[i][1] = colors[i].green;
      info->palette[i][2] = colors[i].blue;
    }
  info->palette_count = count;
  png_bytep alpha;
  int alpha_count = 0;
  if (png_get_tRNS(r->png, r->info, &alpha, &alpha_count, NULL))
    for (int i = 0; i < alpha_count && i < 256; i++) info->palette[i][3] = alpha[i];
}

static void read_header(Reader *r, LpImageInfo *info) {
  png_read_info(r->png, r->info);
  const int color = png_get_color_type(r->png, r->info),
            depth = png_get_bit_depth(r->png, r->info);
  info->width = png_get_image_width(r->png, r->info);
  info->height = png_get_image_height(r->png, r->info);
  info->mode = mode_of(r, color, depth);
  if (color == PNG_COLOR_TYPE_PALETTE) read_palette(r, info);
  png_color_16p key;
  if (depth <= 8 && (color == PNG_COLOR_TYPE_GRAY || color == PNG_COLOR_TYPE_RGB) &&
      png_get_tRNS(r->png, r->info, NULL, NULL, &key)) {
    info->has_key = true;
    const bool is_gray = color == PNG_COLOR_TYPE_GRAY;
    info->key[0] = (uint8_t)(is_gray ? key->gray : key->red);
    info->key[1] = (uint8_t)(is_gray ? key->gray : key->green);
    info->key[2] = (uint8_t)(is_gray ? key->gray : key->blue);
  }
  png_bytep exif;
  png_uint_32 exif_bytes;
  if (png_get_eXIf_1(r->png, r->info, &exif_bytes, &exif))
    info->orientation = lp_exif_orientation(exif, exif_bytes);
}

bool lp_png_info(const LpImageSource *source, LpImageInfo *info) {
  Reader r;
  TRY(open_reader(&r, source));
  volatile bool ok = false;
  if (setjmp(png_jmpbuf(r.png)) == 0) {
    read_header(&r, info);
    ok = true;
  }
  close_reader(&r);
  return ok;
}

/* Reads all rows, of row_bytes each, into `to`. */
static bool read_rows(Reader *r, int64_t height, size_t row_bytes, uint8_t *to) {
  if (!(r->rows = malloc((size_t)height * sizeof *r->rows)))
    return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  for (int64_t y = 0; y < height; y++) r->rows[y] = to + (size_t)y * row_bytes;
  png_read_image(r->png, r->rows);
  png_read_end(r->png, NULL);
  return true;
}

static bool read_samples(Reader *r, int64_t height, size_t row_bytes) {
  if (!(r->samples = malloc((size_t)height * row_bytes)))
    return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  return read_rows(r, height, row_bytes, r->samples);
}

/* --- by Pillow's rules
 * ------------------------------------------------------------------------ */

static bool decode_palette(Reader *r, const LpImageSource *source,
                           const LpImageInfo *info, LpPicture *picture) {
  png_set_packing(r->png);
  png_read_update_info(r->png, r->info);
  TRY(read_samples(r, info->height, (size_t)info->width));
  return lp_image_from_palette(r->samples, info->height, info->width, info->palette,
                               info->mode == LP_MODE_RGBA, source, picture);
}

/* Samples of 16 bits above 255 are white, as in Pillow's conversion of mode I;16 to L. */
static bool decode_gray16(Reader *r, int64_t height, int64_t width, LpPicture *picture) {
  png_read_update_info(r->png, r->info);
  TRY(read_samples(r, height, (size_t)width * 2));
  TRY(picture->pixels = lp_image_new(height, width, 1, LP_UINT8));
  picture->mode = LP_MODE_L;
  uint8_t *to = lp_data(picture->pixels);
  for (int64_t i = 0; i < height * width; i++)
    to[i] = r->samples[2 * i] ? 255 : r->samples[2 * i + 1];
  return true;
}

/* Gray of any depth as int32, unscaled only where it has 8 or 16 bits. */
static bool decode_integers(Reader *r, int depth, const LpImageInfo *info,
                            LpPicture *picture) {
  const int64_t count = info->height * info->width;
  if (depth < 8) png_set_expand_gray_1_2_4_to_8(r->png);
  png_read_update_info(r->png, r->info);
  TRY(read_samples(r, info->height, (size_t)info->width * (depth == 16 ? 2 : 1)));
  TRY(picture->pixels = lp_image_new(info->height, info->width, 1, LP_INT32));
  picture->mode = LP_MODE_I;
  int32_t *to = lp_data(picture->pixels);
  for (int64_t i = 0; i < count; i++)
    to[i] = depth == 16 ? (int32_t)lp_be16(r->samples + 2 * i) : r->samples[i];
  return true;
}

static bool decode_by_pillow(Reader *r, const LpImageSource *source,
                             const LpImageInfo *info, LpPicture *picture) {
  const int64_t height = info->height, width = info->width;
  const int color = png_get_color_type(r->png, r->info),
            depth = png_get_bit_depth(r->png, r->info);
  if (color == PNG_COLOR_TYPE_PALETTE) return decode_palette(r, source, info, picture);
  if (color == PNG_COLOR_TYPE_GRAY && source->read->mode == LP_MODE_I)
    return decode_integers(r, depth, info, picture);
  if (color == PNG_COLOR_TYPE_GRAY && depth == 16)
    return decode_gray16(r, height, width, picture);
  if (depth == 16) png_set_strip_16(r->png);
  if (depth < 8) png_set_packing(r->png);
  png_read_update_info(r->png, r->info);
  const int channels = png_get_channels(r->png, r->info);
  TRY(picture->pixels = lp_image_new(height, width, channels, LP_UINT8));
  picture->mode = channels == 1   ? LP_MODE_L
                  : channels == 2 ? LP_MODE_LA
                  : channels == 3 ? LP_MODE_RGB
                                  : LP_MODE_RGBA;
  uint8_t *to = lp_data(picture->pixels);
  TRY(read_rows(r, height, (size_t)(width * channels), to));
  if (depth < 8) {
    const int step = 255 / ((1 << depth) - 1);
    for (int64_t i = 0; i < height * width; i++) to[i] = (uint8_t)(to[i] * step);
  }
  if (depth == 16 && color == PNG_COLOR_TYPE_GRAY_ALPHA) {
    LpTensor *wide = lp_image_convert(picture->pixels, LP_MODE_LA, LP_MODE_RGBA, NULL);
    lp_tensor_release(picture->pixels);
    picture->mode = LP_MODE_RGBA;
    return (picture->pixels = wide) != NULL;
  }
  return true;
}

/* --- by torchvision's rules
 * ------------------------------------------------------------------- */

#define RED_WEIGHT 0.2989
#define GREEN_WEIGHT 0.587

static void ask_for_mode(Reader *r, LpImageMode wish, int color, int depth) {
  const bool is_palette = color == PNG_COLOR_TYPE_PALETTE,
             has_color = color & PNG_COLOR_MASK_COLOR;
  /* An expanded palette counts as one with alpha, which the strip then takes off. */
  const bool has_alpha = is_palette || color & PNG_COLOR_MASK_ALPHA;
  const bool wants_alpha = wish == LP_MODE_LA || wish == LP_MODE_RGBA,
             wants_color = wish == LP_MODE_RGB || wish == LP_MODE_RGBA;
  if (depth < 8) png_set_packing(r->png);
  if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(r->png);
  if (wish == LP_MODE_UNCHANGED) return;
  if (is_palette) png_set_palette_to_rgb(r->png);
  if (wants_alpha && !(has_alpha && !is_palette)) {
    if (!(is_palette && png_get_valid(r->png, r->info, PNG_INFO_tRNS)))
      png_set_add_alpha(r->png, depth == 16 ? 65535 : 255, PNG_FILLER_AFTER);
  }
  if (!wants_alpha && has_alpha) png_set_strip_alpha(r->png);
  if (wants_color && !has_color) png_set_gray_to_rgb(r->png);
  if (!wants_color && has_color)
    png_set_rgb_to_gray(r->png, PNG_ERROR_ACTION_NONE, RED_WEIGHT, GREEN_WEIGHT);
}

static bool decode_by_io(Reader *r, const LpImageSource *source, const LpImageInfo *info,
                         LpPicture *picture) {
  const int64_t height = info->height, width = info->width;
  const int depth = png_get_bit_depth(r->png, r->info);
  ask_for_mode(r, source->read->mode, png_get_color_type(r->png, r->info), depth);
  png_read_update_info(r->png, r->info);
  const int channels = png_get_channels(r->png, r->info);
  const size_t row_bytes = png_get_rowbytes(r->png, r->info);
  picture->mode = source->read->mode;
  picture->is_converted = true;
  TRY(picture->pixels =
          lp_image_new(height, width, channels, depth == 16 ? LP_INT32 : LP_UINT8));
  if (depth != 16) return read_rows(r, height, row_bytes, lp_data(picture->pixels));
  TRY(read_samples(r, height, row_bytes));
  int32_t *to = lp_data(picture->pixels);
  for (int64_t i = 0; i < height * width * channels; i++)
    to[i] = (int32_t)lp_be16(r->samples + 2 * i);
  return true;
}

static bool decode(Reader *r, const LpImageSource *source, LpPicture *picture) {
  LpImageInfo info = {.orientation = 1};
  read_header(r, &info);
  TRY(lp_image_check_size(source, info.width, info.height));
  png_set_interlace_handling(r->png);
  return (source->read->rules == LP_RULES_IO ? decode_by_io : decode_by_pillow)(
      r, source, &info, picture);
}

bool lp_png_decode(const LpImageSource *source, LpPicture *picture) {
  Reader r;
  TRY(open_reader(&r, source));
  volatile bool ok = false;
  if (setjmp(png_jmpbuf(r.png)) == 0) ok = decode(&r, source, picture);
  close_reader(&r);
  return ok;
}

/* --- encoding
 * -------------------------------------------------------------------------------- */

typedef struct Writer {
  uint8_t *data;
  size_t size_bytes, capacity_bytes;
  bool is_recorded;
} Writer;

static void on_write_error(png_structp png, png_const_charp message) {
  Writer *w = png_get_error_ptr(png);
  if (!w->is_recorded) lp_fail(LP_ERR_IO, "%s", message);
  png_longjmp(png, 1);
}

static void write_bytes(png_structp png, png_bytep from, size_t count) {
  Writer *w = png_get_io_ptr(png);
  if (count > w->capacity_bytes - w->size_bytes) {
    size_t wanted = w->capacity_bytes * 2 + count;
    uint8_t *larger = realloc(w->data, wanted);
    if (!larger) {
      lp_fail(LP_ERR_MEMORY, "out of memory writing a picture");
      w->is_recorded = true;
      png_longjmp(png, 1);
    }
    w->data = larger;
    w->capacity_bytes = wanted;
  }
  memcpy(w->data + w->size_bytes, from, count);
  w->size_bytes += count;
}
static void flush_nothing(png_structp png) {}

static bool encode(png_structp png, png_infop info, Writer *w, LpTensor *pixels,
                   int level) {
  static const int colors[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                               PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
  const int64_t height = lp_size(pixels, 0), width = lp_size(pixels, 1),
                channels = lp_size(pixels, 2);
  png_set_write_fn(png, w, write_bytes, flush_nothing);
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);
  png_set_compression_level(png, level);
  png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, colors[channels],
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  const uint8_t *from = lp_data(pixels);
  for (int64_t y = 0; y < height; y++) {
    if (lp_image_interrupted()) return false;
    png_write_row(png, from + (size_t)(y * width * channels));
  }
  png_write_end(png, info);
  return true;
}

bool lp_image_encode_png(LpTensor *pixels, int compression_level, uint8_t **data,
                         size_t *size_bytes) {
  TRY(lp_image_check_pixels(pixels));
  const int64_t height = lp_size(pixels, 0), width = lp_size(pixels, 1),
                channels = lp_size(pixels, 2);
  CHECK(channels >= 1 && channels <= 4, LP_ERR_ARGUMENT,
        "the number of channels should be 1 to 4, got %lld", (long long)channels);
  CHECK(height > 0 && width > 0 && height <= INT32_MAX && width <= INT32_MAX / 8,
        LP_ERR_ARGUMENT, "PNG holds no picture of %lld x %lld pixels", (long long)width,
        (long long)height);
  CHECK(compression_level >= 0 && compression_level <= 9, LP_ERR_ARGUMENT,
        "compression level should be between 0 and 9, got %d", compression_level);
  Writer w = {0};
  png_structp png =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_write_error, ignore_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  volatile bool ok = false;
  if (!info)
    lp_fail(LP_ERR_MEMORY, "out of memory writing a picture");
  else if (setjmp(png_jmpbuf(png)) == 0)
    ok = encode(png, info, &w, pixels, compression_level);
  png_destroy_write_struct(&png, &info);
  if (ok) {
    *data = w.data;
    *size_bytes = w.size_bytes;
  } else {
    free(w.data);
  }
  return ok;
}
