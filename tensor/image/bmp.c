/* BMP, read and written here. 1, 4, 8, 16, 24 and 32 bits, runs of 4 and 8 bits, colour
 * masks. Source: Microsoft's description of BITMAPINFOHEADER. */
#include <stdlib.h>
#include "image/picture.h"
#include "lampad/io.h"

enum { RGB = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3, ALPHAFIELDS = 6 };

typedef struct Bmp {
  int64_t width, height;
  bool is_top_down;
  int bits, compression;
  size_t pixels_at;
  uint32_t masks[4]; /* red, green, blue, alpha */
  bool is_gray;      /* the palette is 0, 1, 2, ... or black and white */
  uint8_t palette[256][4];
} Bmp;

static bool need(const LpImageSource *source, size_t at, size_t count) {
  CHECK(at <= source->size_bytes && source->size_bytes - at >= count, LP_ERR_IO,
        "the picture is truncated");
  return true;
}

/* Pillow opens palettes of grays in steps as mode L (and 1). */
static bool is_gray_palette(const Bmp *b, int count) {
  if (count != 1 << b->bits && !(b->bits == 8 && count == 256)) return false;
  if (count != 2 && count != 256) return false;
  for (int i = 0; i < count; i++)
    for (int c = 0; c < 3; c++)
      if (b->palette[i][c] != (count == 2 ? i * 255 : i)) return false;
  return true;
}

static bool read_palette(const LpImageSource *source, size_t at, int entry_bytes,
                         uint32_t used, Bmp *b) {
  const uint32_t most = 1u << b->bits;
  const uint32_t count = used == 0 || used > most ? most : used;
  TRY(need(source, at, (size_t)count * (size_t)entry_bytes));
  for (uint32_t i = 0; i < 256; i++) {
    memset(b->palette[i], 0, 3);
    b->palette[i][3] = 255;
    for (int c = 0; c < 3 && i < count; c++)
      b->palette[i][c] = source->bytes[at + i * (uint32_t)entry_bytes + 2 - (uint32_t)c];
  }
  b->is_gray = is_gray_palette(b, (int)count);
  return true;
}

static void default_masks(Bmp *b) {
  static const uint32_t of16[] = {0x7C00, 0x03E0, 0x001F, 0},
                        of32[] = {0xFF0000, 0xFF00, 0xFF, 0};
  memcpy(b->masks, b->bits == 16 ? of16 : of32, sizeof b->masks);
}

static bool read_header(const LpImageSource *source, Bmp *b) {
  const uint8_t *p = source->bytes;
  *b = (Bmp){.pixels_at = lp_le32(p + 10)};
  TRY(need(source, 14, 4));
  const size_t header = lp_le32(p + 14);
  uint32_t used = 0;
  CHECK(header == 12 || (header >= 40 && header <= 256), LP_ERR_IO,
        "the header of %zu bytes is of no known kind", header);
  TRY(need(source, 14, header));
  if (header == 12) {
    b->width = lp_le16(p + 18);
    b->height = lp_le16(p + 20);
    b->bits = (int)lp_le16(p + 24);
  } else {
    b->width = (int32_t)lp_le32(p + 18);
    b->height = (int32_t)lp_le32(p + 22);
    b->bits = (int)lp_le16(p + 28);
    b->compression = (int)lp_le32(p + 30);
    used = lp_le32(p + 46);
  }
  if (b->height < 0) {
    b->is_top_down = true;
    b->height = -b->height;
  }
  const bool runs = (b->compression == RLE8 && b->bits == 8) ||
                    (b->compression == RLE4 && b->bits == 4);
  const bool masked = (b->compression == BITFIELDS || b->compression == ALPHAFIELDS) &&
                      (b->bits == 16 || b->bits == 32);
  const bool plain =
      b->compression == RGB && (b->bits == 1 || b->bits == 4 || b->bits == 8 ||
                                b->bits == 16 || b->bits == 24 || b->bits == 32);
  CHECK(runs || masked || plain || (b->compression == BITFIELDS && b->bits == 24),
        LP_ERR_IO, "BMP pictures of %d bits with compression %d are not supported",
        b->bits, b->compression);
  if (b->bits <= 8)
    return read_palette(source, 14 + header, header == 12 ? 3 : 4, used, b);
  default_masks(b);
  if (masked) {
    const int count = b->compression == ALPHAFIELDS || header >= 56 ? 4 : 3;
    TRY(need(source, 54, (size_t)count * 4));
    for (int i = 0; i < count; i++) b->masks[i] = lp_le32(p + 54 + 4 * i);
  }
  return true;
}

static LpImageMode mode_of(const Bmp *b) {
  if (b->bits <= 8) return b->is_gray ? LP_MODE_L : LP_MODE_RGB;
  return b->masks[3] ? LP_MODE_RGBA : LP_MODE_RGB;
}

bool lp_bmp_info(const LpImageSource *source, LpImageInfo *info) {
  Bmp b;
  TRY(read_header(source, &b));
  info->width = b.width;
  info->height = b.height;
  info->mode = mode_of(&b);
  if (b.bits <= 8 && !b.is_gray) {
    info->palette_count = 1 << b.bits;
    memcpy(info->palette, b.palette, sizeof info->palette);
  }
  return true;
}

/* --- pixels
 * ---------------------------------------------------------------------------------- */

/* Runs of equal and of different indices; what is not mentioned is index 0. Row 0 is the
 * lowest. */
static bool unpack_runs(const LpImageSource *source, const Bmp *b, uint8_t *indices) {
  const uint8_t *p = source->bytes + b->pixels_at,
                *end = source->bytes + source->size_bytes;
  const bool nibbles = b->bits == 4;
  int64_t x = 0, y = 0;
  memset(indices, 0, (size_t)(b->width * b->height));
  while (y < b->height) {
    CHECK(end - p >= 2, LP_ERR_IO, "the picture is truncated");
    const int count = p[0], value = p[1];
    p += 2;
    if (count) {
      for (int i = 0; i < count; i++, x++)
        if (x < b->width)
          indices[y * b->width + x] = (uint8_t)(!nibbles ? value
                                                : i & 1  ? value & 15
                                                         : value >> 4);
    } else if (value == 0) {
      x = 0;
      y++;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      CHECK(end - p >= 2, LP_ERR_IO, "the picture is truncated");
      x += p[0];
      y += p[1];
      p += 2;
    } else {
      const int bytes = nibbles ? (value + 1) / 2 : value, padded = bytes + (bytes & 1);
      CHECK(end - p >= bytes, LP_ERR_IO, "the picture is truncated");
      for (int i = 0; i < value; i++, x++)
        if (x < b->width)
          indices[y * b->width + x] = (uint8_t)(!nibbles ? p[i]
                                                : i & 1  ? p[i / 2] & 15
                                                         : p[i / 2] >> 4);
      p += end - p < padded ? end - p : padded;
    }
  }
  return true;
}

static bool unpack_indices(const LpImageSource *source, const Bmp *b, uint8_t *indices) {
  if (b->compression != RGB) return unpack_runs(source, b, indices);
  const size_t stride = ((size_t)b->width * (size_t)b->bits + 31) / 32 * 4;
  const int mask = (1 << b->bits) - 1;
  for (int64_t y = 0; y < b->height; y++) {
    const uint8_t *row = source->bytes + b->pixels_at + (size_t)y * stride;
    for (int64_t x = 0; x < b->width; x++) {
      const int64_t bit = x * b->bits;
      indices[y * b->width + x] =
          (uint8_t)(row[bit / 8] >> (8 - b->bits - bit % 8) & mask);
    }
  }
  return true;
}

static void flip_rows(uint8_t *pixels, int64_t height, size_t row_bytes) {
  for (int64_t low = 0, high = height - 1; low < high; low++, high--)
    for (size_t i = 0; i < row_bytes; i++) {
      const uint8_t kept = pixels[(size_t)low * row_bytes + i];
      pixels[(size_t)low * row_bytes + i] = pixels[(size_t)high * row_bytes + i];
      pixels[(size_t)high * row_bytes + i] = kept;
    }
}

static bool decode_indexed(const LpImageSource *source, const Bmp *b,
                           LpPicture *picture) {
  uint8_t *indices = malloc((size_t)(b->width * b->height));
  if (!indices) return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  bool ok = unpack_indices(source, b, indices);
  if (ok && !b->is_top_down) flip_rows(indices, b->height, (size_t)b->width);
  if (ok && b->is_gray) {
    ok = (picture->pixels = lp_image_new(b->height, b->width, 1, LP_UINT8)) != NULL;
    picture->mode = LP_MODE_L;
    for (int64_t i = 0; ok && i < b->width * b->height; i++)
      ((uint8_t *)lp_data(picture->pixels))[i] = b->palette[indices[i]][0];
  } else if (ok) {
    ok = lp_image_from_palette(indices, b->height, b->width,
                               (const uint8_t(*)[4])b->palette, false, source, picture);
  }
  free(indices);
  return ok;
}

/* The bits under the mask, stretched to 8. */
static uint8_t field(uint32_t value, uint32_t mask) {
  if (!mask) return 0;
  const int shift = __builtin_ctz(mask);
  const uint32_t top = mask >> shift;
  return top == 255 ? (uint8_t)(value >> shift)
                    : (uint8_t)((uint64_t)(value >> shift & top) * 255 / top);
}

static bool decode_colors(const LpImageSource *source, const Bmp *b, LpPicture *picture) {
  const int bytes = b->bits / 8;
  const size_t stride = ((size_t)b->width * (size_t)b->bits + 31) / 32 * 4;
  picture->mode = mode_of(b);
  const int channels = lp_image_mode_channels(picture->mode);
  TRY(picture->pixels = lp_image_new(b->height, b->width, channels, LP_UINT8));
  for (int64_t y = 0; y < b->height; y++) {
    const int64_t line = b->is_top_down ? y : b->height - 1 - y;
    const uint8_t *row = source->bytes + b->pixels_at + (size_t)line * stride;
    uint8_t *to = (uint8_t *)lp_data(picture->pixels) + (size_t)(y * b->width * channels);
    for (int64_t x = 0; x < b->width; x++, row += bytes, to += channels) {
      if (bytes == 3) {
        to[0] = row[2], to[1] = row[1], to[2] = row[0];
        continue;
      }
      const uint32_t value = bytes == 2 ? lp_le16(row) : lp_le32(row);
      for (int c = 0; c < channels; c++) to[c] = field(value, b->masks[c]);
    }
  }
  return true;
}

bool lp_bmp_decode(const LpImageSource *source, LpPicture *picture) {
  Bmp b;
  TRY(read_header(source, &b));
  TRY(lp_image_check_size(source, b.width, b.height));
  const size_t stride = ((size_t)b.width * (size_t)b.bits + 31) / 32 * 4;
  const bool runs = b.compression == RLE8 || b.compression == RLE4;
  TRY(need(source, b.pixels_at, runs ? 1 : stride * (size_t)b.height));
  return (b.bits <= 8 ? decode_indexed : decode_colors)(source, &b, picture);
}

static void put32(uint8_t *p, uint32_t value) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> 8 * i);
}

bool lp_image_encode_bmp(LpTensor *pixels, uint8_t **data, size_t *size_bytes) {
  CHECK(lp_dtype(pixels) == LP_UINT8 && lp_ndim(pixels) == 3 &&
            lp_is_contiguous(pixels, LP_CONTIGUOUS),
        LP_ERR_ARGUMENT, "expected contiguous uint8 pixels (height, width, channels)");
  const int64_t height = lp_size(pixels, 0), width = lp_size(pixels, 1),
                channels = lp_size(pixels, 2);
  CHECK(channels == 1 || channels == 3, LP_ERR_ARGUMENT,
        "the number of channels should be 1 or 3, got %lld", (long long)channels);
  const size_t colors = channels == 1 ? 1024 : 0,
               stride = ((size_t)(width * channels) + 3) / 4 * 4;
  const size_t size = 54 + colors + stride * (size_t)height;
  CHECK(height > 0 && width > 0 && size <= UINT32_MAX && height <= INT32_MAX &&
            width <= INT32_MAX,
        LP_ERR_ARGUMENT, "BMP holds no picture of %lld x %lld pixels", (long long)width,
        (long long)height);
  uint8_t *p = calloc(1, size);
  if (!p) return lp_fail(LP_ERR_MEMORY, "out of memory writing a picture");
  memcpy(p, "BM", 2);
  put32(p + 2, (uint32_t)size);
  put32(p + 10, (uint32_t)(54 + colors));
  put32(p + 14, 40);
  put32(p + 18, (uint32_t)width);
  put32(p + 22, (uint32_t)height);
  p[26] = 1;
  p[28] = (uint8_t)(channels * 8);
  put32(p + 34, (uint32_t)(stride * (size_t)height));
  for (uint32_t i = 0; i < 256 && colors; i++) put32(p + 54 + 4 * i, i * 0x010101);
  const uint8_t *from = lp_data(pixels);
  for (int64_t y = 0; y < height; y++) {
    uint8_t *row = p + 54 + colors + (size_t)(height - 1 - y) * stride;
    for (int64_t i = 0; i < width * channels; i++, from++)
      row[channels == 1 ? i : i / 3 * 3 + 2 - i % 3] = *from;
  }
  *data = p;
  *size_bytes = size;
  return true;
}
