/* Loops of image/colour.c; see image/colour.h. */
#include "image/colour.h"
#include "cpu/simd/simd.h"

static void blend(const uint8_t *restrict a, const uint8_t *restrict b,
                  uint8_t *restrict out, int64_t n, float factor) {
  if (factor >= 0 && factor <= 1) {
    for (int64_t i = 0; i < n; i++) {
      const int from = a[i], to = b[i];
      out[i] = (uint8_t)(int)((float)from + factor * (float)(to - from));
    }
  } else {
    for (int64_t i = 0; i < n; i++) {
      const int from = a[i], to = b[i];
      float v = (float)from + factor * (float)(to - from);
      v = v < 0 ? 0 : v;
      v = v > 255 ? 255 : v;
      out[i] = (uint8_t)(int)v;
    }
  }
}

static inline __attribute__((always_inline)) void
luma_of(const uint8_t *restrict in, uint8_t *restrict out, int64_t pixels, int channels) {
  for (int64_t i = 0; i < pixels; i++) {
    const uint8_t *p = in + i * channels;
    out[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
  }
}

static void luma(const uint8_t *in, uint8_t *out, int64_t pixels, int channels) {
  if (channels == 3) {
    luma_of(in, out, pixels, 3);
  } else {
    luma_of(in, out, pixels, 4);
  }
}

static void smooth(const uint8_t *restrict above, const uint8_t *restrict row,
                   const uint8_t *restrict below, uint8_t *restrict out, int64_t n,
                   int channels) {
  const float side = 1.0f / 13.0f, middle = 5.0f / 13.0f;
  for (int64_t i = 0; i < n; i++) {
    float sum = 0.5f;
    sum += (float)below[i - channels] * side + (float)below[i] * side +
           (float)below[i + channels] * side;
    sum += (float)row[i - channels] * side + (float)row[i] * middle +
           (float)row[i + channels] * side;
    sum += (float)above[i - channels] * side + (float)above[i] * side +
           (float)above[i + channels] * side;
    sum = sum > 255.0f ? 255.0f : sum;
    out[i] = (uint8_t)(int)sum;
  }
}

const LpColourKernels LP_SIMD(lp_colour_kernels) = {
    .blend = blend, .luma = luma, .smooth = smooth};
