/* TIFF, read here: gray, RGB, CMYK and palettes of 1 to 16 bits, in strips or tiles,
 * plain or packed by LZW, deflate or PackBits; the first picture of a file. Source:
 * "TIFF, Revision 6.0", Aldus (1992). What else the format can hold (JPEG within, floats,
 * fax) is an error that says so. */
#include <stdlib.h>
#include <zlib.h>
#include "image/picture.h"

enum { NONE = 1, LZW = 5, DEFLATE = 8, OLD_DEFLATE = 32946, PACKBITS = 32773 };
enum { WHITE_IS_ZERO = 0, BLACK_IS_ZERO = 1, RGB = 2, PALETTE = 3, CMYK = 5 };
enum { ASSOCIATED = 1, UNASSOCIATED = 2 }; /* kinds of alpha */
#define MAX_SAMPLES 8

typedef struct Tiff {
  const LpImageSource *source;
  uint32_t (*read16)(const uint8_t *);
  uint32_t (*read32)(const uint8_t *);
  int64_t width, height;
  int bits, samples, compression, photometric, predictor, format, extra, orientation;
  bool is_planar, is_tiled, is_reversed; /* reversed: the bits of a byte from the right */
  int64_t block_width, block_height;     /* of a strip or tile */
  size_t offsets_at, counts_at;          /* entries of the directory */
  size_t palette_at;
} Tiff;

/* --- the directory
 * ------------------------------------------------------------------------------ */

static const size_t type_bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};

static uint32_t count_of(const Tiff *t, size_t entry) {
  return t->read32(t->source->bytes + entry + 4);
}

/* The i-th number of an entry of bytes, shorts or longs. */
static bool read_value(const Tiff *t, size_t entry, uint32_t i, uint32_t *value) {
  const uint8_t *p = t->source->bytes + entry;
  const uint32_t type = t->read16(p + 2), count = count_of(t, entry);
  CHECK((type == 1 || type == 3 || type == 4) && i < count, LP_ERR_IO,
        "the picture is damaged: a field of the directory");
  const size_t unit = type_bytes[type];
  size_t at = entry + 8;
  if ((uint64_t)count * unit > 4) at = t->read32(p + 8);
  at += (size_t)i * unit;
  CHECK(at <= t->source->size_bytes && t->source->size_bytes - at >= unit, LP_ERR_IO,
        "the picture is truncated");
  p = t->source->bytes + at;
  *value = unit == 1 ? *p : unit == 2 ? t->read16(p) : t->read32(p);
  return true;
}

static bool read_entry(Tiff *t, size_t entry) {
  uint32_t v = 0;
  const uint32_t tag = t->read16(t->source->bytes + entry);
  switch (tag) {
  case 273:
  case 324:
    t->offsets_at = entry;
    t->is_tiled = tag == 324;
    return true;
  case 279:
  case 325: t->counts_at = entry; return true;
  case 320: t->palette_at = entry; return true;
  case 256:
  case 257:
  case 258:
  case 259:
  case 262:
  case 266:
  case 274:
  case 277:
  case 278:
  case 284:
  case 317:
  case 322:
  case 323:
  case 338:
  case 339: break;
  default: return true;
  }
  TRY(read_value(t, entry, 0, &v));
  const int value = v > INT32_MAX ? INT32_MAX : (int)v;
  switch (tag) {
  case 256: t->width = value; break;
  case 257: t->height = value; break;
  case 258:
    t->bits = value;
    for (uint32_t i = 1; i < count_of(t, entry) && i < MAX_SAMPLES; i++) {
      TRY(read_value(t, entry, i, &v));
      CHECK((int)v == value, LP_ERR_IO,
            "TIFF pictures whose samples have different sizes are not supported");
    }
    break;
  case 259: t->compression = value; break;
  case 262: t->photometric = value; break;
  case 266: t->is_reversed = value == 2; break;
  case 274: t->orientation = value >= 1 && value <= 8 ? value : 1; break;
  case 277: t->samples = value; break;
  case 278: t->block_height = value; break;
  case 284: t->is_planar = value == 2; break;
  case 317: t->predictor = value; break;
  case 322: t->block_width = value; break;
  case 323: t->block_height = value; break;
  case 338: t->extra = value; break;
  default: t->format = value; break;
  }
  return true;
}

static int color_samples(const Tiff *t) {
  return t->photometric == RGB ? 3 : t->photometric == CMYK ? 4 : 1;
}

static bool check_kind(const Tiff *t) {
  CHECK(t->compression == NONE || t->compression == LZW || t->compression == DEFLATE ||
            t->compression == OLD_DEFLATE || t->compression == PACKBITS,
        LP_ERR_IO,
        "TIFF pictures with compression %d are not supported; convert it to PNG",
        t->compression);
  CHECK(t->format == 1, LP_ERR_IO,
        "TIFF pictures of signed numbers or floats are not supported");
  CHECK(t->photometric >= WHITE_IS_ZERO && t->photometric <= CMYK && t->photometric != 4,
        LP_ERR_IO, "TIFF pictures of photometric kind %d are not supported",
        t->photometric);
  const bool is_gray = t->photometric <= BLACK_IS_ZERO || t->photometric == PALETTE;
  CHECK(
      t->bits == 8 || (t->bits == 16 && t->photometric != PALETTE) ||
          (is_gray && t->samples == 1 && (t->bits == 1 || t->bits == 2 || t->bits == 4)),
      LP_ERR_IO, "TIFF pictures of %d bits a sample are not supported", t->bits);
  CHECK(t->samples >= color_samples(t) && t->samples <= MAX_SAMPLES, LP_ERR_IO,
        "TIFF pictures of %d samples are not supported", t->samples);
  CHECK(t->predictor == 1 || (t->predictor == 2 && t->bits >= 8), LP_ERR_IO,
        "TIFF pictures with predictor %d are not supported", t->predictor);
  CHECK(t->offsets_at && t->counts_at, LP_ERR_IO,
        "the picture is damaged: it does not say where its pixels are");
  CHECK(t->photometric != PALETTE || t->palette_at, LP_ERR_IO,
        "the picture is damaged: it has no palette");
  CHECK(t->block_width > 0 && t->block_height > 0, LP_ERR_IO,
        "the picture is damaged: strips without rows");
  return true;
}

static bool open_tiff(const LpImageSource *source, Tiff *t) {
  const bool little = source->bytes[0] == 'I';
  *t = (Tiff){.source = source,
              .read16 = little ? lp_le16 : lp_be16,
              .read32 = little ? lp_le32 : lp_be32,
              .bits = 1,
              .samples = 1,
              .compression = 1,
              .photometric = -1,
              .predictor = 1,
              .format = 1,
              .extra = -1,
              .orientation = 1};
  CHECK(source->size_bytes >= 8, LP_ERR_IO, "the picture is truncated");
  const size_t at = t->read32(source->bytes + 4);
  CHECK(at <= source->size_bytes && source->size_bytes - at >= 2, LP_ERR_IO,
        "the picture is truncated");
  const size_t count = t->read16(source->bytes + at);
  CHECK((source->size_bytes - at - 2) / 12 >= count, LP_ERR_IO,
        "the picture is truncated");
  for (size_t i = 0; i < count; i++) TRY(read_entry(t, at + 2 + 12 * i));
  if (!t->is_tiled) t->block_width = t->width;
  if (!t->is_tiled && (t->block_height == 0 || t->block_height > t->height))
    t->block_height = t->height;
  return true;
}

/* --- unpacking a strip or tile
 * ------------------------------------------------------------------ */

static bool unpack_packbits(const uint8_t *from, size_t count, uint8_t *to,
                            size_t wanted) {
  size_t done = 0;
  for (size_t at = 0; at < count && done < wanted;) {
    const int n = (int8_t)from[at++];
    if (n == -128) continue;
    size_t run = n < 0 ? (size_t)(1 - n) : (size_t)n + 1;
    const size_t taken = n < 0 ? 1 : run;
    if (taken > count - at) break;
    if (run > wanted - done) run = wanted - done;
    if (n < 0)
      memset(to + done, from[at], run);
    else
      memcpy(to + done, from + at, run);
    done += run;
    at += taken;
  }
  return done == wanted;
}

/* Codes of 9 to 12 bits, the highest first; the width grows one code early. */
static bool unpack_lzw(const uint8_t *from, size_t count, uint8_t *to, size_t wanted) {
  enum { CLEAR = 256, STOP = 257, FIRST = 258, CODES = 4096 };
  uint16_t prefix[CODES];
  uint8_t suffix[CODES], stack[CODES];
  size_t at = 0, done = 0;
  uint32_t held = 0;
  int held_bits = 0, size = 9, next = FIRST, previous = -1, first = 0;
  while (done < wanted) {
    while (held_bits < size) {
      if (at == count) return false;
      held = held << 8 | from[at++];
      held_bits += 8;
    }
    const int code = (int)(held >> (held_bits - size) & ((1u << size) - 1));
    held_bits -= size;
    if (code == STOP) return false;
    if (code == CLEAR) {
      size = 9;
      next = FIRST;
      previous = -1;
      continue;
    }
    if (code > next || (code == next && previous < 0) || (previous < 0 && code > 255))
      return false;
    int depth = 0, node = code;
    if (code == next) {
      stack[depth++] = (uint8_t)first;
      node = previous;
    }
    while (node >= FIRST) {
      stack[depth++] = suffix[node];
      node = prefix[node];
    }
    first = node;
    stack[depth++] = (uint8_t)node;
    while (depth && done < wanted) to[done++] = stack[--depth];
    if (previous >= 0 && next < CODES) {
      prefix[next] = (uint16_t)previous;
      suffix[next] = (uint8_t)first;
      next++;
      if (next + 1 == 1 << size && size < 12) size++;
    }
    previous = code;
  }
  return true;
}

static bool unpack_deflate(const uint8_t *from, size_t count, uint8_t *to,
                           size_t wanted) {
  uLongf size = wanted;
  const int status = uncompress(to, &size, from, (uLong)count);
  /* More than is wanted is not an error. */
  return (status == Z_OK || status == Z_BUF_ERROR) && size == wanted;
}

static uint8_t reverse_bits(uint8_t b) {
  b = (uint8_t)((b & 0xF0) >> 4 | (b & 0x0F) << 4);
  b = (uint8_t)((b & 0xCC) >> 2 | (b & 0x33) << 2);
  return (uint8_t)((b & 0xAA) >> 1 | (b & 0x55) << 1);
}

/* Differences along a row to values. */
static void undo_predictor(const Tiff *t, uint8_t *row, int64_t width, int step) {
  if (t->bits == 8) {
    for (int64_t i = step; i < width * step; i++)
      row[i] = (uint8_t)(row[i] + row[i - step]);
    return;
  }
  const bool little = t->read16 == lp_le16;
  for (int64_t i = step; i < width * step; i++) {
    const uint32_t sum = t->read16(row + 2 * i) + t->read16(row + 2 * (i - step));
    row[2 * i + !little] = (uint8_t)sum;
    row[2 * i + little] = (uint8_t)(sum >> 8);
  }
}

/* The bytes of block number `index` into buf, rows of row_bytes. */
static bool read_block(const Tiff *t, uint32_t index, uint8_t *buf, size_t row_bytes,
                       int64_t rows, int step) {
  uint32_t offset, count;
  TRY(read_value(t, t->offsets_at, index, &offset));
  TRY(read_value(t, t->counts_at, index, &count));
  const size_t size = t->source->size_bytes, wanted = row_bytes * (size_t)rows;
  CHECK(offset <= size, LP_ERR_IO, "the picture is truncated");
  if (count > size - offset) count = (uint32_t)(size - offset);
  const uint8_t *from = t->source->bytes + offset;
  uint8_t *turned = NULL;
  if (t->is_reversed && t->compression != NONE) {
    if (!(turned = malloc(count ? count : 1)))
      return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
    for (uint32_t i = 0; i < count; i++) turned[i] = reverse_bits(from[i]);
    from = turned;
  }
  bool ok;
  switch (t->compression) {
  case NONE:
    ok = count >= wanted;
    if (ok) memcpy(buf, from, wanted);
    for (size_t i = 0; ok && t->is_reversed && i < wanted; i++)
      buf[i] = reverse_bits(buf[i]);
    break;
  case PACKBITS: ok = unpack_packbits(from, count, buf, wanted); break;
  case LZW: ok = unpack_lzw(from, count, buf, wanted); break;
  default: ok = unpack_deflate(from, count, buf, wanted); break;
  }
  free(turned);
  CHECK(ok, LP_ERR_IO, "the picture is truncated or damaged: strip or tile %u", index);
  if (t->predictor == 2)
    for (int64_t y = 0; y < rows; y++)
      undo_predictor(t, buf + (size_t)y * row_bytes, t->block_width, step);
  return true;
}

/* --- samples
 * ------------------------------------------------------------------------------------ */

/* Puts the block's samples, from the one numbered first_sample on, where they belong in
 * all (height, width, samples), of 8 bits (smaller ones unscaled) or of 16. */
static void place_block(const Tiff *t, const uint8_t *buf, size_t row_bytes, int64_t top,
                        int64_t left, int first_sample, int step, void *all) {
  const int64_t rows =
      t->height - top < t->block_height ? t->height - top : t->block_height;
  const int64_t columns =
      t->width - left < t->block_width ? t->width - left : t->block_width;
  for (int64_t y = 0; y < rows; y++) {
    const uint8_t *row = buf + (size_t)y * row_bytes;
    for (int64_t x = 0; x < columns; x++)
      for (int s = 0; s < step; s++) {
        const int64_t to = ((top + y) * t->width + left + x) * t->samples + first_sample +
                           s,
                      at = x * step + s;
        if (t->bits == 16)
          ((uint16_t *)all)[to] = (uint16_t)t->read16(row + 2 * at);
        else if (t->bits == 8)
          ((uint8_t *)all)[to] = row[at];
        else
          ((uint8_t *)all)[to] =
              (uint8_t)(row[at * t->bits / 8] >> (8 - t->bits - at * t->bits % 8) &
                        ((1 << t->bits) - 1));
      }
  }
}

static bool read_samples(const Tiff *t, void *all) {
  const int step = t->is_planar ? 1 : t->samples;
  const int64_t across = (t->width + t->block_width - 1) / t->block_width,
                down = (t->height + t->block_height - 1) / t->block_height;
  const size_t row_bytes =
      ((size_t)t->block_width * (size_t)step * (size_t)t->bits + 7) / 8;
  /* Tiles may be larger than the picture, but not without end. */
  TRY(lp_image_check_size(t->source, t->block_width, t->block_height));
  uint8_t *buf = malloc(row_bytes * (size_t)t->block_height);
  if (!buf) return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  bool ok = true;
  uint32_t index = 0;
  for (int plane = 0; ok && plane < (t->is_planar ? t->samples : 1); plane++)
    for (int64_t v = 0; ok && v < down; v++)
      for (int64_t u = 0; ok && u < across; u++, index++) {
        const int64_t top = v * t->block_height;
        const int64_t rows = t->is_tiled || t->height - top > t->block_height
                                 ? t->block_height
                                 : t->height - top;
        ok = !lp_image_interrupted() && read_block(t, index, buf, row_bytes, rows, step);
        if (ok) place_block(t, buf, row_bytes, top, u * t->block_width, plane, step, all);
      }
  free(buf);
  return ok;
}

/* --- pictures
 * ----------------------------------------------------------------------------------- */

static bool has_alpha(const Tiff *t) {
  const int colors = color_samples(t);
  if (t->photometric == CMYK || t->photometric == PALETTE || t->samples <= colors)
    return false;
  return t->extra != 0 || t->photometric != RGB;
}

static LpImageMode mode_of(const Tiff *t) {
  if (t->photometric == CMYK) return LP_MODE_CMYK;
  if (t->photometric == RGB || t->photometric == PALETTE)
    return has_alpha(t) ? LP_MODE_RGBA : LP_MODE_RGB;
  return has_alpha(t) ? LP_MODE_LA : LP_MODE_L;
}

static bool read_palette(const Tiff *t, uint8_t palette[256][4]) {
  const uint32_t count = 1u << t->bits;
  for (uint32_t i = 0; i < 256; i++) {
    memset(palette[i], 0, 3);
    palette[i][3] = 255;
    for (uint32_t c = 0; c < 3 && i < count; c++) {
      uint32_t value;
      TRY(read_value(t, t->palette_at, c * count + i, &value));
      palette[i][c] = (uint8_t)(value >> 8);
    }
  }
  return true;
}

bool lp_tiff_info(const LpImageSource *source, LpImageInfo *info) {
  Tiff t;
  TRY(open_tiff(source, &t));
  TRY(check_kind(&t));
  const bool is_lying =
      t.orientation >= 5; /* decoded pictures are upright, as Pillow turns them */
  info->width = is_lying ? t.height : t.width;
  info->height = is_lying ? t.width : t.height;
  info->mode = mode_of(&t);
  if (t.photometric == PALETTE) {
    info->palette_count = 1 << t.bits;
    TRY(read_palette(&t, info->palette));
  }
  return true;
}

/* Samples of 8 or 16 bits, of which the upper 8 are taken, to a mode's channels. */
static bool finish_colors(const Tiff *t, const void *all, LpPicture *picture) {
  const int channels = lp_image_mode_channels(picture->mode);
  const bool is_associated = has_alpha(t) && t->extra == ASSOCIATED;
  TRY(picture->pixels = lp_image_new(t->height, t->width, channels, LP_UINT8));
  uint8_t *to = lp_data(picture->pixels);
  for (int64_t i = 0; i < t->height * t->width; i++, to += channels) {
    for (int c = 0; c < channels; c++) {
      const int64_t at = i * t->samples + c;
      to[c] = t->bits == 16 ? (uint8_t)(((const uint16_t *)all)[at] >> 8)
                            : ((const uint8_t *)all)[at];
    }
    const int alpha = to[channels - 1];
    for (int c = 0; is_associated && alpha != 0 && alpha != 255 && c < channels - 1;
         c++) {
      const int value = 255 * to[c] / alpha;
      to[c] = (uint8_t)(value > 255 ? 255 : value);
    }
  }
  return true;
}

static bool finish_gray(const Tiff *t, const LpImageRead *read, const void *all,
                        LpPicture *picture) {
  const bool as_integers = read->mode == LP_MODE_I;
  const int64_t count = t->height * t->width;
  const int top = (1 << t->bits) - 1;
  picture->mode = as_integers ? LP_MODE_I : LP_MODE_L;
  TRY(picture->pixels =
          lp_image_new(t->height, t->width, 1, as_integers ? LP_INT32 : LP_UINT8));
  for (int64_t i = 0; i < count; i++) {
    int value = t->bits == 16 ? ((const uint16_t *)all)[i * t->samples]
                              : ((const uint8_t *)all)[i * t->samples];
    if (t->photometric == WHITE_IS_ZERO) value = top - value;
    if (t->bits < 8) value = value * 255 / top;
    if (as_integers)
      ((int32_t *)lp_data(picture->pixels))[i] = value;
    else
      ((uint8_t *)lp_data(picture->pixels))[i] = (uint8_t)(value > 255 ? 255 : value);
  }
  return true;
}

static bool finish(const Tiff *t, const void *all, LpPicture *picture) {
  if (t->photometric == PALETTE) {
    uint8_t palette[256][4];
    TRY(read_palette(t, palette));
    return lp_image_from_palette(all, t->height, t->width, (const uint8_t(*)[4])palette,
                                 false, t->source, picture);
  }
  picture->mode = mode_of(t);
  return picture->mode == LP_MODE_L ? finish_gray(t, t->source->read, all, picture)
                                    : finish_colors(t, all, picture);
}

bool lp_tiff_decode(const LpImageSource *source, LpPicture *picture) {
  Tiff t;
  TRY(open_tiff(source, &t));
  TRY(check_kind(&t));
  TRY(lp_image_check_size(source, t.width, t.height));
  CHECK(t.photometric != PALETTE || t.samples == 1, LP_ERR_IO,
        "TIFF pictures of %d samples with a palette are not supported", t.samples);
  const size_t bytes =
      (size_t)t.width * (size_t)t.height * (size_t)t.samples * (t.bits == 16 ? 2 : 1);
  void *all = malloc(bytes);
  if (!all) return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  const bool ok = read_samples(&t, all) && finish(&t, all, picture);
  free(all);
  if (!ok || t.orientation == 1) return ok;
  LpTensor *upright = lp_image_turn(picture->pixels, t.orientation);
  lp_tensor_release(picture->pixels);
  picture->pixels = upright;
  return upright != NULL;
}
