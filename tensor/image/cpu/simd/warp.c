/* One row of an affine or perspective map, nearest, bilinear or bicubic; see
 * image/warp.h. All channels of a pixel are computed at once, in doubles. */
#include "image/warp.h"
#include "cpu/simd/simd.h"
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* Every function with vectors is inlined: how they would be passed does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef double V4 __attribute__((vector_size(32)));
typedef int32_t I4 __attribute__((vector_size(16)));

typedef uint8_t B4 __attribute__((vector_size(4)));

/* Four bytes as integers. */
static inline __attribute__((always_inline)) I4 widen(const uint8_t *p) {
#if defined(__AVX2__)
  int32_t bytes;
  memcpy(&bytes, p, 4);
  return (I4)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
#else
  B4 bytes;
  memcpy(&bytes, p, 4);
  return __builtin_convertvector(bytes, I4);
#endif
}

static inline __attribute__((always_inline)) V4 to_double(I4 v) {
#if defined(__AVX2__)
  return (V4)_mm256_cvtepi32_pd((__m128i)v);
#else
  return __builtin_convertvector(v, V4);
#endif
}

/* Doubles cut to bytes. */
static inline __attribute__((always_inline)) void store(uint8_t *out, const V4 *v,
                                                        const int channels) {
#if defined(__AVX2__)
  const __m128i whole = _mm256_cvttpd_epi32((__m256d)*v);
  const __m128i words = _mm_packs_epi32(whole, whole);
  const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  memcpy(out, &bytes, (size_t)channels);
#else
  for (int c = 0; c < channels; c++) {
    const int whole = (int)(*v)[c];
    out[c] = whole < 0 ? 0 : whole > 255 ? 255 : (uint8_t)whole;
  }
#endif
}

/* The channels of a pixel; what follows them does not matter. `end`: behind the image. */
static inline __attribute__((always_inline)) I4
pixel(const uint8_t *p, const uint8_t *end, const int channels) {
  if (channels == 4 || (channels > 1 && p + 4 <= end)) return widen(p);
  I4 v = {p[0], 0, 0, 0};
  if (channels > 1) v[1] = p[1];
  if (channels > 2) v[2] = p[2];
  return v;
}

static inline const uint8_t *end_of(const LpPixels *in) {
  return in->data + (in->height - 1) * in->stride_bytes + in->width * in->channels;
}

static inline int64_t clip(int64_t i, int64_t size) {
  return i < 0 ? 0 : i < size ? i : size - 1;
}

/* floor(x) of what fits. */
static inline int64_t whole(double x) {
  const int64_t i = (int64_t)x;
  return i - (x < (double)i);
}

/* a + (b - a) * d; the difference of bytes is an integer. */
static inline __attribute__((always_inline)) V4 between(const uint8_t *row,
                                                        const uint8_t *end, int64_t x0,
                                                        int64_t x1, double d,
                                                        const int channels) {
  const I4 a = pixel(row + x0, end, channels), b = pixel(row + x1, end, channels);
  return to_double(a) + to_double(b - a) * d;
}

static inline __attribute__((always_inline)) void
bilinear(const LpPixels *in, uint8_t *out, double x, double y, const int channels) {
  x -= 0.5;
  y -= 0.5;
  const int64_t xi = whole(x), yi = whole(y);
  const double dx = x - (double)xi, dy = y - (double)yi;
  const int64_t x0 = clip(xi, in->width) * channels,
                x1 = clip(xi + 1, in->width) * channels;
  const uint8_t *row = in->data + clip(yi, in->height) * in->stride_bytes;
  const uint8_t *end = end_of(in);
  const V4 v1 = between(row, end, x0, x1, dx, channels);
  V4 v2 = v1;
  if (yi + 1 >= 0 && yi + 1 < in->height)
    v2 = between(in->data + (yi + 1) * in->stride_bytes, end, x0, x1, dx, channels);
  const V4 v = v1 + (v2 - v1) * dy;
  store(out, &v, channels);
}

/* The cubic through four neighbours (a = -1), in Horner's form. */
static inline __attribute__((always_inline)) V4 cubic(const V4 *v, double t) {
  const V4 p2 = v[2] - v[0], p3 = 2 * (v[0] - v[1]) + v[2] - v[3];
  const V4 p4 = v[1] - v[0] - v[2] + v[3];
  return v[1] + t * (p2 + t * (p3 + t * p4));
}

static inline __attribute__((always_inline)) V4 cubic_row(const uint8_t *row,
                                                          const uint8_t *end,
                                                          const int64_t *x, double t,
                                                          const int channels) {
  const V4 v[4] = {to_double(pixel(row + x[0], end, channels)),
                   to_double(pixel(row + x[1], end, channels)),
                   to_double(pixel(row + x[2], end, channels)),
                   to_double(pixel(row + x[3], end, channels))};
  return cubic(v, t);
}

static inline __attribute__((always_inline)) void
bicubic(const LpPixels *in, uint8_t *out, double x, double y, const int channels) {
  x -= 0.5;
  y -= 0.5;
  const int64_t xi = whole(x), yi = whole(y);
  const double dx = x - (double)xi, dy = y - (double)yi;
  int64_t at[4];
  for (int i = 0; i < 4; i++) at[i] = clip(xi - 1 + i, in->width) * channels;
  const uint8_t *end = end_of(in);
  V4 v[4];
  v[0] = cubic_row(in->data + clip(yi - 1, in->height) * in->stride_bytes, end, at, dx,
                   channels);
  for (int i = 1; i < 4; i++) {
    const int64_t yy = yi - 1 + i;
    v[i] = v[i - 1];
    if (yy >= 0 && yy < in->height)
      v[i] = cubic_row(in->data + yy * in->stride_bytes, end, at, dx, channels);
  }
  const V4 r = cubic(v, dy);
  store(out, &r, channels);
}

static inline __attribute__((always_inline)) void
row_of(const LpPixels *in, uint8_t *out, int64_t y, int64_t width, const LpWarp *w,
       const LpFilter filter, const int channels) {
  const double *m = w->m, yc = (double)y + 0.5;
  const double w_max = (double)in->width, h_max = (double)in->height;
  for (int64_t i = 0; i < width; i++, out += channels) {
    const double xc = (double)i + 0.5;
    double x = m[0] * xc + m[1] * yc + m[2], v = m[3] * xc + m[4] * yc + m[5];
    if (w->perspective) {
      const double depth = m[6] * xc + m[7] * yc + 1;
      x /= depth;
      v /= depth;
    }
    if (!(x >= 0.0 && x < w_max && v >= 0.0 && v < h_max)) continue;
    if (filter == LP_FILTER_NEAREST) {
      const uint8_t *p = in->data + (int64_t)v * in->stride_bytes + (int64_t)x * channels;
      for (int c = 0; c < channels; c++) out[c] = p[c];
    } else if (filter == LP_FILTER_BILINEAR) {
      bilinear(in, out, x, v, channels);
    } else {
      bicubic(in, out, x, v, channels);
    }
  }
}

#define ROW(filter, channels) row_of(in, out, y, width, w, filter, channels)
#define BY_CHANNELS(filter)                                                              \
  switch (in->channels) {                                                                \
  case 1: ROW(filter, 1); break;                                                         \
  case 2: ROW(filter, 2); break;                                                         \
  case 3: ROW(filter, 3); break;                                                         \
  default: ROW(filter, 4); break;                                                        \
  }

static void row(const LpPixels *in, uint8_t *out, int64_t y, int64_t width,
                const LpWarp *w) {
  switch (w->filter) {
  case LP_FILTER_NEAREST: BY_CHANNELS(LP_FILTER_NEAREST) break;
  case LP_FILTER_BILINEAR: BY_CHANNELS(LP_FILTER_BILINEAR) break;
  default: BY_CHANNELS(LP_FILTER_BICUBIC) break;
  }
}

const LpWarpKernels LP_SIMD(lp_warp_kernels) = {.row = row};
