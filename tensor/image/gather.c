/* Pixels moved along rows and columns: cropping, padding, flips and nearest-neighbour
 * resizing are all "take row rows[y], column cols[x]". */
#include "image/gather.h"
#include <string.h>
#include "core/alloc.h"
#include "cpu/caps.h"
#include "image/pixels.h"

LP_DISPATCH(LpGatherKernels, lp_gather_kernels)

/* How the columns of a result follow each other. */
typedef enum Order { RUNS, BACKWARDS, SINGLE } Order;

static Order order_of(const int32_t *cols, int64_t width) {
  int64_t forth = 0, back = 0;
  for (int64_t x = 1; x < width; x++) {
    forth += cols[x] == cols[x - 1] + 1;
    back += cols[x] == cols[x - 1] - 1;
  }
  if (width > 1 && back == width - 1 && cols[width - 1] >= 0) return BACKWARDS;
  return forth >= width / 2 ? RUNS : SINGLE;
}

/* A result row from neighbours of a source row, most of the time. */
static void copy_runs(const uint8_t *in, uint8_t *out, const int32_t *cols, int64_t width,
                      int channels, const uint8_t *fill) {
  for (int64_t x = 0, end; x < width; x = end) {
    end = x + 1;
    uint8_t *o = out + x * channels;
    if (cols[x] < 0) {
      memcpy(o, fill, (size_t)channels);
      continue;
    }
    while (end < width && cols[end] == cols[end - 1] + 1) end++;
    memcpy(o, in + (int64_t)cols[x] * channels, (size_t)((end - x) * channels));
  }
}

/* out[y][x] = in[rows[y]][cols[x]], or `fill` (4 bytes) where either is -1. */
static void gather(LpPixels in, uint8_t *out, const int32_t *rows, int64_t height,
                   const int32_t *cols, int64_t width, const uint8_t *fill) {
  const int64_t row_bytes = width * in.channels;
  const uint8_t *end =
      in.data + (in.height - 1) * in.stride_bytes + in.width * in.channels;
  const Order order = order_of(cols, width);
  int64_t empty = -1; /* a result row that is all fill */
  for (int64_t y = 0; y < height; y++) {
    uint8_t *o = out + y * row_bytes;
    const uint8_t *row = in.data + rows[y] * in.stride_bytes;
    if (rows[y] < 0 && empty >= 0) {
      memcpy(o, out + empty * row_bytes, (size_t)row_bytes);
    } else if (rows[y] < 0) {
      for (int64_t x = 0; x < width; x++)
        memcpy(o + x * in.channels, fill, (size_t)in.channels);
      empty = y;
    } else if (y > 0 && rows[y] == rows[y - 1]) {
      memcpy(o, o - row_bytes, (size_t)row_bytes);
    } else if (order == BACKWARDS) {
      lp_gather_kernels()->reverse(row + (int64_t)cols[width - 1] * in.channels, o, width,
                                   in.channels);
    } else if (order == RUNS) {
      copy_runs(row, o, cols, width, in.channels, fill);
    } else {
      lp_gather_kernels()->pick(row, end, o, cols, width, in.channels, fill);
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
  uint8_t colour[4] = {0};
  if (fill) memcpy(colour, fill, (size_t)in.channels);
  gather(in, out, m.rows, height, m.cols, width, colour);
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
