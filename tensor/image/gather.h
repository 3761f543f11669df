/* The contract between gather.c and cpu/simd/gather.c. */
#ifndef LP_IMAGE_GATHER_H
#define LP_IMAGE_GATHER_H

#include <stdint.h>

typedef struct LpGatherKernels {
  /* A row backwards. */
  void (*reverse)(const uint8_t *in, uint8_t *out, int64_t width, int channels);
  /* out[x] = in[cols[x]], or `fill` where that is negative; `end` is behind the image. */
  void (*pick)(const uint8_t *in, const uint8_t *end, uint8_t *out, const int32_t *cols,
               int64_t width, int channels, const uint8_t *fill);
} LpGatherKernels;

#endif
