/* GIF, read here: the dictionary coder of 1987 is a page of code. By Pillow's rules the
 * first frame; by torchvision's all frames, laid over each other as RGB. Source: the
 * GIF89a specification of CompuServe. */
#include <stdlib.h>
#include "image/picture.h"

#define MAX_CODES 4096
#define MAX_FRAMES 10000

typedef struct Gif {
  const uint8_t *next, *end;
  int64_t width, height; /* of the canvas */
  uint8_t global[256][4];
  int global_count;
  uint8_t background[3]; /* where no frame has been */
  /* of the coming frame */
  int transparent; /* index, or -1 */
  int disposal;    /* 2: back to the background, 3: to what was before */
} Gif;

typedef struct Frame {
  int64_t left, top, width, height;
  bool is_interlaced;
  uint8_t palette[256][4];
  int color_count;
} Frame;

static bool need(const Gif *g, size_t count) {
  CHECK((size_t)(g->end - g->next) >= count, LP_ERR_IO, "the picture is truncated");
  return true;
}

static bool read_palette(Gif *g, int count, uint8_t palette[256][4]) {
  TRY(need(g, (size_t)count * 3));
  for (int i = 0; i < 256; i++) {
    memset(palette[i], 0, 3);
    palette[i][3] = 255;
    if (i < count) memcpy(palette[i], g->next + 3 * i, 3);
  }
  g->next += 3 * count;
  return true;
}

static bool open_gif(Gif *g, const LpImageSource *source) {
  *g = (Gif){.next = source->bytes + 6,
             .end = source->bytes + source->size_bytes,
             .transparent = -1};
  TRY(need(g, 7));
  g->width = lp_le16(g->next);
  g->height = lp_le16(g->next + 2);
  const int flags = g->next[4], background = g->next[5];
  g->next += 7;
  if (flags & 0x80) {
    g->global_count = 2 << (flags & 7);
    TRY(read_palette(g, g->global_count, g->global));
    memcpy(g->background, g->global[background], 3);
  }
  return true;
}

static bool skip_blocks(Gif *g) {
  for (;;) {
    TRY(need(g, 1));
    const size_t size = *g->next++;
    if (size == 0) return true;
    TRY(need(g, size));
    g->next += size;
  }
}

/* Goes to the next frame: *found is false at the end of the file. */
static bool next_frame(Gif *g, Frame *frame, bool *found) {
  *found = false;
  g->transparent = -1;
  g->disposal = 0;
  for (;;) {
    if (g->next == g->end) return true; /* a missing trailer is forgiven */
    const int kind = *g->next++;
    if (kind == 0x3B) return true;
    if (kind == 0x21) {
      TRY(need(g, 2));
      const int label = *g->next++;
      if (label == 0xF9 && g->next[0] >= 4) {
        TRY(need(g, 5));
        g->disposal = g->next[1] >> 2 & 7;
        g->transparent = g->next[1] & 1 ? g->next[4] : -1;
      }
      TRY(skip_blocks(g));
      continue;
    }
    CHECK(kind == 0x2C, LP_ERR_IO, "the picture is damaged: an unknown block (0x%02x)",
          kind);
    TRY(need(g, 9));
    frame->left = lp_le16(g->next);
    frame->top = lp_le16(g->next + 2);
    frame->width = lp_le16(g->next + 4);
    frame->height = lp_le16(g->next + 6);
    CHECK(frame->width && frame->height, LP_ERR_IO,
          "the picture is damaged: a frame has no pixels");
    const int flags = g->next[8];
    g->next += 9;
    frame->is_interlaced = flags & 0x40;
    frame->color_count = flags & 0x80 ? 2 << (flags & 7) : g->global_count;
    if (flags & 0x80)
      TRY(read_palette(g, frame->color_count, frame->palette));
    else
      memcpy(frame->palette, g->global, sizeof g->global);
    CHECK(frame->color_count, LP_ERR_IO,
          "the picture is damaged: a frame has no colours");
    *found = true;
    return true;
  }
}

/* --- the coder
 * ------------------------------------------------------------------------------ */

typedef struct Bits {
  Gif *g;
  size_t block_left;
  uint32_t held;
  int held_bits;
} Bits;

/* -1 at the end of the blocks. */
static int next_byte(Bits *bits) {
  Gif *g = bits->g;
  if (bits->block_left == 0) {
    if (g->next >= g->end) return -1;
    bits->block_left = *g->next++;
    if (bits->block_left == 0) return -1;
  }
  if (g->next >= g->end) return -1;
  bits->block_left--;
  return *g->next++;
}

static int next_code(Bits *bits, int size) {
  while (bits->held_bits < size) {
    const int byte = next_byte(bits);
    if (byte < 0) return -1;
    bits->held |= (uint32_t)byte << bits->held_bits;
    bits->held_bits += 8;
  }
  const int code = (int)(bits->held & ((1u << size) - 1));
  bits->held >>= size;
  bits->held_bits -= size;
  return code;
}

/* Where the row that is stored as number y stands. */
static int64_t row_of(int64_t y, const Frame *frame) {
  if (!frame->is_interlaced) return y;
  static const int starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
  for (int pass = 0; pass < 4; pass++) {
    const int64_t rows = (frame->height - starts[pass] + steps[pass] - 1) / steps[pass];
    if (rows > 0) {
      if (y < rows) return starts[pass] + y * steps[pass];
      y -= rows;
    }
  }
  return frame->height - 1;
}

/* Decodes the frame's indices, (height, width). */
static bool read_indices(Gif *g, const Frame *frame, uint8_t *indices) {
  TRY(need(g, 1));
  const int depth = *g->next++;
  CHECK(depth >= 1 && depth <= 11, LP_ERR_IO, "the picture is damaged: codes of %d bits",
        depth);
  const int clear = 1 << depth, stop = clear + 1;
  uint16_t prefix[MAX_CODES];
  uint8_t suffix[MAX_CODES], stack[MAX_CODES];
  Bits bits = {g, 0, 0, 0};
  int size = depth + 1, next = clear + 2, previous = -1, first = 0;
  int64_t x = 0, y = 0;
  uint8_t *row = indices;
  while (y < frame->height) {
    const int code = next_code(&bits, size);
    CHECK(code >= 0 && code != stop, LP_ERR_IO, "the picture is truncated");
    if (code == clear) {
      size = depth + 1;
      next = clear + 2;
      previous = -1;
      continue;
    }
    CHECK(code < next || (code == next && previous >= 0), LP_ERR_IO,
          "the picture is damaged: a code that is not there");
    CHECK(previous >= 0 || code < clear, LP_ERR_IO,
          "the picture is damaged: a code that is not there");
    int depth_used = 0, at = code;
    if (code == next) {
      stack[depth_used++] = (uint8_t)first;
      at = previous;
    }
    while (at >= clear) {
      stack[depth_used++] = suffix[at];
      at = prefix[at];
    }
    first = at;
    stack[depth_used++] = (uint8_t)at;
    while (depth_used && y < frame->height) {
      row[x] = stack[--depth_used];
      if (++x == frame->width) {
        x = 0;
        if (lp_image_interrupted()) return false;
        if (++y < frame->height) row = indices + row_of(y, frame) * frame->width;
      }
    }
    if (previous >= 0 && next < MAX_CODES) {
      prefix[next] = (uint16_t)previous;
      suffix[next] = (uint8_t)first;
      if (++next == 1 << size && size < 12) size++;
    }
    previous = code;
  }
  /* What is left of the frame's data. */
  g->next += bits.block_left < (size_t)(g->end - g->next) ? bits.block_left
                                                          : (size_t)(g->end - g->next);
  return g->next == g->end ||
         (g->next[-1] == 0 && bits.block_left == 0 && bits.held_bits == 0) ||
         skip_blocks(g);
}

/* --- pictures
 * -------------------------------------------------------------------------------- */

static bool first_frame(const LpImageSource *source, Gif *g, Frame *frame) {
  TRY(open_gif(g, source));
  bool found;
  TRY(next_frame(g, frame, &found));
  CHECK(found, LP_ERR_IO, "the file holds no picture");
  return true;
}

/* The canvas grows where the first frame leaves it, as in Pillow. */
static void fit_canvas(Gif *g, const Frame *frame) {
  if (frame->left + frame->width > g->width) g->width = frame->left + frame->width;
  if (frame->top + frame->height > g->height) g->height = frame->top + frame->height;
}

bool lp_gif_info(const LpImageSource *source, LpImageInfo *info) {
  Gif g;
  Frame frame;
  TRY(first_frame(source, &g, &frame));
  fit_canvas(&g, &frame);
  info->width = g.width;
  info->height = g.height;
  info->mode = g.transparent >= 0 ? LP_MODE_RGBA : LP_MODE_RGB;
  info->palette_count = frame.color_count;
  memcpy(info->palette, frame.palette, sizeof info->palette);
  if (g.transparent >= 0) info->palette[g.transparent][3] = 0;
  return true;
}

static uint8_t *new_indices(const Frame *frame) {
  const size_t count = (size_t)frame->width * (size_t)frame->height;
  uint8_t *indices = malloc(count ? count : 1);
  if (!indices) lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  return indices;
}

static bool decode_first(const LpImageSource *source, LpPicture *picture) {
  Gif g;
  Frame frame;
  TRY(first_frame(source, &g, &frame));
  fit_canvas(&g, &frame);
  TRY(lp_image_check_size(source, g.width, g.height));
  const bool is_clear = g.transparent >= 0;
  if (is_clear) frame.palette[g.transparent][3] = 0;
  uint8_t *indices = new_indices(&frame);
  uint8_t *canvas = indices ? calloc((size_t)g.width, (size_t)g.height) : NULL;
  bool ok =
      indices && (canvas || lp_fail(LP_ERR_MEMORY, "out of memory reading a picture"));
  const uint8_t background = (uint8_t)(is_clear ? g.transparent : 0);
  ok = ok && read_indices(&g, &frame, indices);
  if (ok) {
    memset(canvas, background, (size_t)g.width * (size_t)g.height);
    for (int64_t y = 0; y < frame.height; y++)
      memcpy(canvas + (frame.top + y) * g.width + frame.left, indices + y * frame.width,
             (size_t)frame.width);
    ok = lp_image_from_palette(canvas, g.height, g.width,
                               (const uint8_t(*)[4])frame.palette, is_clear, source,
                               picture);
  }
  free(indices);
  free(canvas);
  return ok;
}

static bool count_frames(const LpImageSource *source, int64_t *count) {
  Gif g;
  Frame frame;
  bool found = true;
  *count = 0;
  TRY(open_gif(&g, source));
  for (;;) {
    TRY(next_frame(&g, &frame, &found));
    if (!found) break;
    CHECK(++*count <= MAX_FRAMES, LP_ERR_IO, "the animation has more than %d frames",
          MAX_FRAMES);
    TRY(need(&g, 1));
    g.next++;
    TRY(skip_blocks(&g));
  }
  CHECK(*count, LP_ERR_IO, "the file holds no picture");
  return true;
}

/* Lays the frame's opaque pixels on the canvas (height, width, 3). */
static void lay(const Gif *g, const Frame *frame, const uint8_t *indices,
                uint8_t *canvas) {
  for (int64_t y = 0; y < frame->height && frame->top + y < g->height; y++)
    for (int64_t x = 0; x < frame->width && frame->left + x < g->width; x++) {
      const int index = indices[y * frame->width + x];
      if (index == g->transparent) continue;
      memcpy(canvas + ((frame->top + y) * g->width + frame->left + x) * 3,
             frame->palette[index], 3);
    }
}

/* All frames into (count, height, width, 3), each over what the one before leaves. */
static bool decode_frames(const LpImageSource *source, Gif *g, int64_t count,
                          uint8_t *to) {
  const size_t canvas_bytes = (size_t)g->width * (size_t)g->height * 3;
  Frame frame = {0}, before = {0};
  int disposal = 0;
  bool ok = true;
  for (int64_t i = 0; ok && i < count; i++) {
    uint8_t *canvas = to + (size_t)i * canvas_bytes;
    bool found;
    TRY(next_frame(g, &frame, &found));
    if (i == 0) {
      for (size_t at = 0; at < canvas_bytes; at += 3)
        memcpy(canvas + at, g->background, 3);
    } else {
      const bool undo = disposal == 3 && i > 1;
      memcpy(canvas, canvas - (undo ? 2 : 1) * canvas_bytes, canvas_bytes);
      for (int64_t y = before.top;
           disposal == 2 && y < before.top + before.height && y < g->height; y++)
        for (int64_t x = before.left; x < before.left + before.width && x < g->width; x++)
          memcpy(canvas + (y * g->width + x) * 3, g->background, 3);
    }
    TRY(lp_image_check_size(source, frame.width,
                            frame.height)); /* it may be larger than the canvas */
    uint8_t *indices = new_indices(&frame);
    ok = indices && read_indices(g, &frame, indices);
    if (ok) lay(g, &frame, indices, canvas);
    free(indices);
    before = frame;
    disposal = g->disposal;
  }
  return ok;
}

static bool decode_all(const LpImageSource *source, LpPicture *picture) {
  int64_t count;
  TRY(count_frames(source, &count));
  Gif g;
  TRY(open_gif(&g, source));
  TRY(lp_image_check_size(source, g.width, g.height * count));
  const int64_t sizes[] = {count, g.height, g.width, 3};
  TRY(picture->pixels = lp_tensor_new((LpInts){sizes + (count == 1), 4 - (count == 1)},
                                      LP_UINT8, (LpDevice){LP_CPU, 0}));
  picture->mode = LP_MODE_RGB;
  picture->is_converted = true;
  return decode_frames(source, &g, count, lp_data(picture->pixels));
}

bool lp_gif_decode(const LpImageSource *source, LpPicture *picture) {
  return (source->read->rules == LP_RULES_IO ? decode_all : decode_first)(source,
                                                                          picture);
}
