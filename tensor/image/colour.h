/* The contract between colour.c and cpu/simd/colour.c. Floats are added and multiplied
 * one by one as written (the build forbids fusing them): Pillow's results depend on it.
 */
#ifndef LP_IMAGE_COLOUR_H
#define LP_IMAGE_COLOUR_H

#include <stdint.h>

typedef struct LpColourKernels {
  /* out = a + factor * (b - a), cut to bytes. */
  void (*blend)(const uint8_t *a, const uint8_t *b, uint8_t *out, int64_t n,
                float factor);
  /* Luma of pixels of 3 or 4 channels. */
  void (*luma)(const uint8_t *in, uint8_t *out, int64_t pixels, int channels);
  /* The middle row of three smoothed; n bytes, neighbours `channels` bytes apart. */
  void (*smooth)(const uint8_t *above, const uint8_t *row, const uint8_t *below,
                 uint8_t *out, int64_t n, int channels);
} LpColourKernels;

#endif
