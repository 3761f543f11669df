/* The contract between resample.c, which computes the weights, and cpu/simd/resample.c,
 * which applies them.
 *
 * Note [Exact sums]: a weight is an integer of 22 fractional bits and a result the sum of
 * pixel * weight in 32 bits, so that any order of adding gives the same. Multiplying
 * 32-bit integers is slow; a weight is therefore cut into its low 15 bits and the rest,
 * both of which fit 16 bits, and pairs of products are added by one instruction: sum =
 * (sum of pixel * high) * 2^15 + sum of pixel * low. */
#ifndef LP_IMAGE_RESAMPLE_H
#define LP_IMAGE_RESAMPLE_H

#include <stdint.h>

#define LP_WEIGHT_BITS 22
#define LP_WEIGHT_LOW_BITS 15

/* What each of `count` results is made of, along one axis. */
typedef struct LpTaps {
  int64_t count;
  int64_t width;    /* weights kept for each result, a multiple of 4; unused ones are 0 */
  int32_t *first;   /* count: the first element of the source */
  int32_t *used;    /* count: how many elements */
  int32_t *weights; /* count x width */
  int16_t *split;   /* count x width/4 x (4 low parts, 4 high parts) */
} LpTaps;

typedef struct LpResampleKernels {
  /* Rows of packed pixels, each resized by the taps. Up to 16 bytes after a row of the
   * source are read (and do not matter). */
  void (*horizontal)(const uint8_t *in, int64_t in_stride, uint8_t *out,
                     int64_t out_stride, int64_t rows, int channels, const LpTaps *taps);
  /* Result row y of `bytes` bytes from rows in[first[y]] onwards. */
  void (*vertical)(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t bytes,
                   int64_t y, const LpTaps *taps);
} LpResampleKernels;

#endif
