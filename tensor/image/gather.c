/* Pixels moved along rows and columns: cropping, padding, flips and nearest-neighbour
 * resizing are all "take row rows[y], column cols[x]". */
#include <string.h>
#include "core/alloc.h"
#include "image/pixels.h"

/* A result row from a source row; columns come in runs of neighbours more often than not.
 */
static void gather_row(const uint8_t *in, uint8_t *out, const int32_t *cols,
                       int64_t width, int channels, const uint8_t *fill) {
  for (int64_t x = 0; x < width;) {
    if (cols[x] < 0) {
      memcpy(out + x * channels, fill, (size_t)channels);
      x++;
      continue;
    }
    int64_t end = x + 1;
    while (end < width && cols[end] == cols[end - 1] + 1) end++;
    if (end - x > 4) {
      memcpy(out + x * channels, in + (int64_t)cols[x] * channels,
             (size_t)((end - x) * channels));
      x = end;
      continue;
    }
    const uint8_t *p = in + (int64_t)cols[x] * channels;
    uint8_t *o = out + x * channels;
    for (int c = 0; c < channels; c++) o[c] = p[c];
    x++;
  }
}

static bool backwards(const int32_t *cols, int64_t width) {
  for (int64_t x = 1; x < width; x++)
    if (cols[x] != cols[x - 1] - 1) return false;
  return width > 1 && cols[width - 1] >= 0;
}

static void reverse_row(const uint8_t *in, uint8_t *out, int64_t width, int channels) {
  const uint8_t *p = in + (width - 1) * channels;
  switch (channels) {
  case 1:
    for (int64_t x = 0; x < width; x++) out[x] = p[-x];
    return;
  case 3:
    /* Four bytes at once: the fourth belongs to the next pixel, which comes after. The
     * first is read alone, as the image may end behind it, the last written alone. */
    memcpy(out, p, 3);
    for (int64_t x = 1; x < width; x++) {
      p -= 3;
      out += 3;
      uint32_t pixel;
      memcpy(&pixel, p, 4);
      if (x + 1 < width) {
        memcpy(out, &pixel, 4);
      } else {
        memcpy(out, &pixel, 3);
      }
    }
    return;
  default:
    for (int64_t x = 0; x < width; x++, p -= channels, out += channels)
      for (int c = 0; c < channels; c++) out[c] = p[c];
  }
}

/* out[y][x] = in[rows[y]][cols[x]], or `fill` where either is -1. */
static void gather(LpPixels in, uint8_t *out, const int32_t *rows, int64_t height,
                   const int32_t *cols, int64_t width, const uint8_t *fill) {
  const int64_t row_bytes = width * in.channels;
  const bool mirrored = backwards(cols, width);
  int64_t empty = -1; /* a result row that is all fill */
  for (int64_t y = 0; y < height; y++) {
    uint8_t *o = out + y * row_bytes;
    if (rows[y] < 0) {
      if (empty >= 0) {
        memcpy(o, out + empty * row_bytes, (size_t)row_bytes);
      } else {
        for (int64_t x = 0; x < width; x++)
          memcpy(o + x * in.channels, fill, (size_t)in.channels);
        empty = y;
      }
    } else if (mirrored) {
      reverse_row(in.data + rows[y] * in.stride_bytes +
                      (int64_t)cols[width - 1] * in.channels,
                  o, width, in.channels);
    } else {
      gather_row(in.data + rows[y] * in.stride_bytes, o, cols, width, in.channels, fill);
    }
  }
}

/* --- index maps ------------------------------------------------------------------ */

/* Where position i of an axis of n elements is taken from; -1: from nowhere. */
static int32_t outside(int64_t i, int64_t n, LpBorder border) {
  if (i >= 0 && i < n) return (int32_t)i;
  switch (border) {
  case LP_BORDER_CONSTANT: return -1;
  case LP_BORDER_EDGE: return (int32_t)(i < 0 ? 0 : n - 1);
  default: {
    if (n == 1) return 0;
    const int64_t shared =
        border == LP_BORDER_REFLECT; /* the outermost is not repeated */
    const int64_t period = 2 * (n - shared);
    int64_t at = i % period;
    if (at < 0) at += period;
    return (int32_t)(at < n ? at : period - 1 - at + shared);
  }
  }
}

/* The positions are added up in doubles, as Pillow does, not multiplied out. */
static void nearest(int64_t in, int64_t out, int32_t *index) {
  const double step = (double)(float)in / (double)out;
  double at = step * 0.5;
  for (int64_t i = 0; i < out; i++, at += step)
    index[i] = at < 0 || at >= (double)in ? -1 : (int32_t)at;
}

typedef struct Maps {
  int32_t *rows, *cols;
  size_t bytes;
} Maps;

static bool make_maps(Maps *m, int64_t height, int64_t width) {
  m->bytes = (size_t)(height + width + 1) * sizeof(int32_t);
  m->rows = lp_alloc(m->bytes);
  m->cols = m->rows + height;
  return m->rows != NULL;
}

static void free_maps(Maps *m) {
  lp_free(m->rows, m->bytes);
}

static const uint8_t black[4];

bool lp_pixels_window(LpPixels in, uint8_t *out, int64_t top, int64_t left,
                      int64_t height, int64_t width, LpBorder border,
                      const uint8_t *fill) {
  Maps m;
  if (!make_maps(&m, height, width)) return false;
  for (int64_t y = 0; y < height; y++) m.rows[y] = outside(top + y, in.height, border);
  for (int64_t x = 0; x < width; x++) m.cols[x] = outside(left + x, in.width, border);
  gather(in, out, m.rows, height, m.cols, width, fill ? fill : black);
  free_maps(&m);
  return true;
}

bool lp_pixels_flip(LpPixels in, uint8_t *out, bool columns, bool rows) {
  Maps m;
  if (!make_maps(&m, in.height, in.width)) return false;
  for (int64_t y = 0; y < in.height; y++)
    m.rows[y] = (int32_t)(rows ? in.height - 1 - y : y);
  for (int64_t x = 0; x < in.width; x++)
    m.cols[x] = (int32_t)(columns ? in.width - 1 - x : x);
  gather(in, out, m.rows, in.height, m.cols, in.width, black);
  free_maps(&m);
  return true;
}

bool lp_pixels_nearest(LpPixels in, uint8_t *out, int64_t height, int64_t width) {
  Maps m;
  if (!make_maps(&m, height, width)) return false;
  nearest(in.height, height, m.rows);
  nearest(in.width, width, m.cols);
  gather(in, out, m.rows, height, m.cols, width, black);
  free_maps(&m);
  return true;
}

void lp_pixels_transpose(LpPixels in, uint8_t *out) {
  enum { TILE = 32 };
  for (int64_t top = 0; top < in.height; top += TILE)
    for (int64_t left = 0; left < in.width; left += TILE)
      for (int64_t x = left; x < left + TILE && x < in.width; x++)
        for (int64_t y = top; y < top + TILE && y < in.height; y++)
          memcpy(out + (x * in.height + y) * in.channels,
                 in.data + y * in.stride_bytes + x * in.channels, (size_t)in.channels);
}
