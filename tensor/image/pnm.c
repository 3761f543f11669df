/* PBM, PGM and PPM, as text (P1 to P3) and as bytes (P4 to P6), read and written here.
 * Source: the manual pages of Netpbm. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "image/picture.h"
#include "lampad/io.h"

typedef struct Pnm {
  const uint8_t *next, *end;
  int kind; /* 1 to 6 */
  int64_t width, height, max;
} Pnm;

/* Skips white space and comments. */
static void skip_space(Pnm *p) {
  while (p->next < p->end && (isspace(*p->next) || *p->next == '#')) {
    if (*p->next == '#')
      while (p->next < p->end && *p->next != '\n' && *p->next != '\r') p->next++;
    else
      p->next++;
  }
}

static bool read_number(Pnm *p, int64_t *value) {
  skip_space(p);
  CHECK(p->next < p->end, LP_ERR_IO, "the picture is truncated");
  CHECK(isdigit(*p->next), LP_ERR_IO, "the picture is damaged: expected a number");
  for (*value = 0; p->next < p->end && isdigit(*p->next); p->next++) {
    *value = *value * 10 + (*p->next - '0');
    CHECK(*value <= INT32_MAX, LP_ERR_IO,
          "the picture is damaged: a number is too large");
  }
  return true;
}

static bool read_header(const LpImageSource *source, Pnm *p) {
  *p = (Pnm){.next = source->bytes + 2,
             .end = source->bytes + source->size_bytes,
             .kind = source->bytes[1] - '0',
             .max = 1};
  TRY(read_number(p, &p->width));
  TRY(read_number(p, &p->height));
  if (p->kind != 1 && p->kind != 4) TRY(read_number(p, &p->max));
  CHECK(p->max >= 1 && p->max <= 65535, LP_ERR_IO,
        "the largest value must be 1 to 65535, got %lld", (long long)p->max);
  if (p->kind >= 4) { /* one white space, then bytes */
    CHECK(p->next < p->end && isspace(*p->next), LP_ERR_IO, "the picture is truncated");
    p->next++;
  }
  return true;
}

static bool has_color(const Pnm *p) {
  return p->kind == 3 || p->kind == 6;
}

bool lp_pnm_info(const LpImageSource *source, LpImageInfo *info) {
  Pnm p;
  TRY(read_header(source, &p));
  info->width = p.width;
  info->height = p.height;
  info->mode = has_color(&p) ? LP_MODE_RGB : LP_MODE_L;
  return true;
}

/* 0 to max -> 0 to 255. Gray of more than 8 bits is white above 255 of 65535, as Pillow
 * makes L of its mode I. */
static uint8_t scale(const Pnm *p, int64_t value) {
  if (p->max == 255) return (uint8_t)value;
  if (p->max > 255 && !has_color(p)) {
    const double wide = nearbyint((double)value / (double)p->max * 65535.0);
    return wide > 255 ? 255 : (uint8_t)wide;
  }
  const double scaled = nearbyint((double)value / (double)p->max * 255.0);
  return scaled > 255 ? 255 : (uint8_t)scaled;
}

static bool read_text_bits(Pnm *p, int64_t count, uint8_t *to) {
  for (int64_t i = 0; i < count; i++) {
    skip_space(p);
    CHECK(p->next < p->end, LP_ERR_IO, "the picture is truncated");
    CHECK(*p->next == '0' || *p->next == '1', LP_ERR_IO,
          "the picture is damaged: expected 0 or 1");
    to[i] = *p->next++ == '1' ? 0 : 255;
  }
  return true;
}

static bool read_text(Pnm *p, int64_t count, uint8_t *to) {
  for (int64_t i = 0; i < count; i++) {
    int64_t value;
    TRY(read_number(p, &value));
    CHECK(value <= p->max, LP_ERR_IO,
          "the picture is damaged: the value %lld is above %lld", (long long)value,
          (long long)p->max);
    to[i] = scale(p, value);
  }
  return true;
}

static bool read_bytes(Pnm *p, int64_t count, uint8_t *to) {
  const int bytes = p->max > 255 ? 2 : 1;
  CHECK((p->end - p->next) / bytes >= count, LP_ERR_IO, "the picture is truncated");
  if (p->max == 255) {
    memcpy(to, p->next, (size_t)count);
    return true;
  }
  uint8_t *table = malloc((size_t)1 << 8 * bytes);
  if (!table) return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  for (int64_t v = 0; v < (int64_t)1 << 8 * bytes; v++)
    table[v] = scale(p, v > p->max && bytes == 1 ? p->max : v);
  for (int64_t i = 0; i < count; i++)
    to[i] = table[bytes == 1 ? p->next[i] : lp_be16(p->next + 2 * i)];
  free(table);
  return true;
}

static bool read_bits(Pnm *p, int64_t height, int64_t width, uint8_t *to) {
  const int64_t stride = (width + 7) / 8;
  CHECK((p->end - p->next) / stride >= height, LP_ERR_IO, "the picture is truncated");
  for (int64_t y = 0; y < height; y++)
    for (int64_t x = 0; x < width; x++)
      *to++ = p->next[y * stride + x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
  return true;
}

bool lp_pnm_decode(const LpImageSource *source, LpPicture *picture) {
  Pnm p;
  TRY(read_header(source, &p));
  TRY(lp_image_check_size(source, p.width, p.height));
  picture->mode = has_color(&p) ? LP_MODE_RGB : LP_MODE_L;
  const int channels = lp_image_mode_channels(picture->mode);
  /* A file that claims more than it has must not cost the memory first. */
  CHECK(p.width * p.height * channels / 8 <= p.end - p.next, LP_ERR_IO,
        "the picture is truncated");
  TRY(picture->pixels = lp_image_new(p.height, p.width, channels, LP_UINT8));
  uint8_t *to = lp_data(picture->pixels);
  const int64_t count = p.width * p.height * channels;
  switch (p.kind) {
  case 1: return read_text_bits(&p, count, to);
  case 4: return read_bits(&p, p.height, p.width, to);
  case 2:
  case 3: return read_text(&p, count, to);
  default: return read_bytes(&p, count, to);
  }
}

bool lp_image_encode_pnm(LpTensor *pixels, uint8_t **data, size_t *size_bytes) {
  CHECK(lp_dtype(pixels) == LP_UINT8 && lp_ndim(pixels) == 3 &&
            lp_is_contiguous(pixels, LP_CONTIGUOUS),
        LP_ERR_ARGUMENT, "expected contiguous uint8 pixels (height, width, channels)");
  const int64_t channels = lp_size(pixels, 2);
  CHECK(channels == 1 || channels == 3, LP_ERR_ARGUMENT,
        "the number of channels should be 1 or 3, got %lld", (long long)channels);
  char header[64];
  const int length =
      snprintf(header, sizeof header, "P%d\n%lld %lld\n255\n", channels == 1 ? 5 : 6,
               (long long)lp_size(pixels, 1), (long long)lp_size(pixels, 0));
  const size_t count = (size_t)lp_numel(pixels);
  uint8_t *p = malloc(count + (size_t)length);
  if (!p) return lp_fail(LP_ERR_MEMORY, "out of memory writing a picture");
  memcpy(p, header, (size_t)length);
  if (count) memcpy(p + length, lp_data(pixels), count);
  *data = p;
  *size_bytes = count + (size_t)length;
  return true;
}
