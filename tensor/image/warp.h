/* The contract between warp.c and cpu/simd/warp.c. As for colours, no sums and products
 * are fused. */
#ifndef LP_IMAGE_WARP_H
#define LP_IMAGE_WARP_H

#include "image/pixels.h"

typedef struct LpWarpKernels {
  /* Result row y, `width` pixels, through the general map and filter. */
  void (*row)(const LpPixels *in, uint8_t *out, int64_t y, int64_t width,
              const LpWarp *warp);
} LpWarpKernels;

#endif
