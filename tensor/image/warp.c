/* Affine and perspective maps as Pillow computes them: nearest neighbours of affine maps
 * in fixed point where the coordinates allow it, everything else in doubles pixel by
 * pixel. */
#include "image/warp.h"
#include <math.h>
#include <string.h>
#include "core/check.h"
#include "core/parallel.h"
#include "cpu/caps.h"

LP_DISPATCH(LpWarpKernels, lp_warp_kernels)

typedef struct Job {
  LpPixels in;
  uint8_t *out;
  int64_t height, width;
  const LpWarp *warp;
  const uint8_t *fill;
  bool fixed; /* 16 fractional bits */
} Job;

static inline __attribute__((always_inline)) void
copy_pixel(uint8_t *out, const LpPixels *in, int64_t x, int64_t y, const int channels) {
  const uint8_t *p = in->data + y * in->stride_bytes + x * channels;
  for (int c = 0; c < channels; c++) out[c] = p[c];
}

static int32_t to_fixed(double v) {
  return (int32_t)floor(v * 65536.0 + 0.5);
}

/* Sums wrap around as Pillow's 32-bit integers would. */
static inline __attribute__((always_inline)) void fixed_row_of(const Job *j, int64_t y,
                                                               const int channels) {
  const double *m = j->warp->m;
  const LpPixels in = j->in;
  const uint32_t dx = (uint32_t)to_fixed(m[0]), dy = (uint32_t)to_fixed(m[3]);
  uint32_t x_at = (uint32_t)to_fixed(m[2] + m[0] * 0.5 + m[1] * 0.5) +
                  (uint32_t)y * (uint32_t)to_fixed(m[1]);
  uint32_t y_at = (uint32_t)to_fixed(m[5] + m[3] * 0.5 + m[4] * 0.5) +
                  (uint32_t)y * (uint32_t)to_fixed(m[4]);
  uint8_t *out = j->out + y * j->width * channels;
  const uint32_t width = (uint32_t)in.width, height = (uint32_t)in.height;
  const uint8_t *last =
      in.data + (in.height - 1) * in.stride_bytes + (in.width - 1) * channels;
  uint32_t fill;
  memcpy(&fill, j->fill, 4);
  for (int64_t x = 0; x < j->width; x++, out += channels, x_at += dx, y_at += dy) {
    const uint32_t xi = (uint32_t)((int32_t)x_at >> 16),
                   yi = (uint32_t)((int32_t)y_at >> 16);
    uint32_t pixel = fill;
    if (xi < width && yi < height) {
      const uint8_t *p = in.data + yi * in.stride_bytes + xi * channels;
      if (channels == 3 && p < last) {
        memcpy(&pixel, p, 4);
      } else {
        memcpy(&pixel, p, channels);
      }
    }
    if (channels == 3 && x + 1 < j->width) {
      memcpy(out, &pixel, 4); /* the fourth byte is the next pixel's, which comes after */
    } else {
      memcpy(out, &pixel, channels);
    }
  }
}

static void fixed_row(const Job *j, int64_t y) {
  switch (j->in.channels) {
  case 1: fixed_row_of(j, y, 1); break;
  case 2: fixed_row_of(j, y, 2); break;
  case 3: fixed_row_of(j, y, 3); break;
  default: fixed_row_of(j, y, 4); break;
  }
}

static void warp_rows(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  for (int64_t y = begin; y < end; y++) {
    if (j->fixed) {
      fixed_row(j, y);
    } else {
      lp_warp_kernels()->row(&j->in, j->out + y * j->width * j->in.channels, y, j->width,
                             j->warp);
    }
  }
}

static bool fits(const double *m, double x, double y) {
  return fabs(x * m[0] + y * m[1] + m[2]) < 32768.0 &&
         fabs(x * m[3] + y * m[4] + m[5]) < 32768.0;
}

/* Nearest neighbours of a map that keeps the axes: rows and columns apart, positions
 * added up. */
static void scale_axes(const Job *j) {
  const double *m = j->warp->m;
  double y_at = m[5] + m[4] * 0.5;
  for (int64_t y = 0; y < j->height; y++, y_at += m[4]) {
    if (y_at < 0 || y_at >= (double)j->in.height) continue;
    uint8_t *out = j->out + y * j->width * j->in.channels;
    double x_at = m[2] + m[0] * 0.5;
    for (int64_t x = 0; x < j->width; x++, out += j->in.channels, x_at += m[0])
      if (x_at >= 0 && x_at < (double)j->in.width)
        copy_pixel(out, &j->in, (int64_t)x_at, (int64_t)y_at, j->in.channels);
  }
}

/* The same where fixed point has too few bits. */
static void sum_positions(const Job *j) {
  const double *m = j->warp->m;
  double x0 = m[2] + m[1] * 0.5 + m[0] * 0.5, y0 = m[5] + m[4] * 0.5 + m[3] * 0.5;
  for (int64_t y = 0; y < j->height; y++, x0 += m[1], y0 += m[4]) {
    uint8_t *out = j->out + y * j->width * j->in.channels;
    double x_at = x0, y_at = y0;
    for (int64_t x = 0; x < j->width;
         x++, out += j->in.channels, x_at += m[0], y_at += m[3])
      if (x_at >= 0 && x_at < (double)j->in.width && y_at >= 0 &&
          y_at < (double)j->in.height)
        copy_pixel(out, &j->in, (int64_t)x_at, (int64_t)y_at, j->in.channels);
  }
}

static void fill_all(uint8_t *out, int64_t pixels, int channels, const uint8_t *fill) {
  const int64_t bytes = pixels * channels;
  bool same = true;
  for (int c = 1; c < channels; c++) same = same && fill[c] == fill[0];
  if (same) {
    memset(out, fill[0], (size_t)bytes);
    return;
  }
  int64_t done = channels < bytes ? channels : bytes;
  memcpy(out, fill, (size_t)done);
  for (; done < bytes; done += done) /* what is there is doubled */
    memcpy(out + done, out, (size_t)(bytes - done < done ? bytes - done : done));
}

bool lp_pixels_warp(LpPixels in, uint8_t *out, int64_t height, int64_t width,
                    const LpWarp *warp, const uint8_t *fill) {
  uint8_t colour[4] = {0};
  memcpy(colour, fill, (size_t)in.channels);
  Job j = {in, out, height, width, warp, colour, false};
  const double *m = warp->m, h = (double)height, w = (double)width;
  const bool empty = in.height == 0 || in.width == 0 || height == 0 || width == 0;
  const bool steps = warp->filter == LP_FILTER_NEAREST && !warp->perspective;
  const bool scales = steps && m[1] == 0 && m[3] == 0;
  j.fixed = !empty && steps && !scales && fits(m, 0, 0) && fits(m, w, h) &&
            fits(m, 0, h) && fits(m, w, 0);
  if (!j.fixed) fill_all(out, height * width, in.channels, fill);
  if (empty) return true;
  if (scales) {
    scale_axes(&j);
  } else if (steps && !j.fixed) {
    sum_positions(&j);
  } else {
    lp_parallel_for(height, LP_GRAIN / (width * in.channels) + 1, warp_rows, &j);
  }
  if (lp_interrupt_pending()) return lp_fail(LP_ERR_INTERRUPT, "interrupted");
  return true;
}
