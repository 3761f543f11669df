/* Suppression of overlapping boxes; see cpu/boxes.h. */
#include <math.h>
#include <stddef.h>
#include "cpu/simd/simd.h"
#include "cpu/boxes.h"

#define BLOCK 256

/* Written with comparisons alone, so that a NaN never drops a box. `limit` is the
 * greatest number of the type that is no greater than the threshold. The intersections go
 * through memory, so that no product is fused with the sum and ties fall as in PyTorch.
 */
#define SUPPRESS(name, A, NEXT)                                                          \
  static void name(const void *columns, int64_t n, int64_t i, double threshold,          \
                   uint8_t *dropped) {                                                   \
    const A *x1 = columns, *y1 = x1 + n, *x2 = y1 + n, *y2 = x2 + n, *area = y2 + n;     \
    const A left = x1[i], top = y1[i], right = x2[i], bottom = y2[i], own = area[i];     \
    A limit = (A)threshold, both[BLOCK];                                                 \
    if ((double)limit > threshold) limit = NEXT(limit, -(A)INFINITY);                    \
    for (int64_t at = i + 1; at < n; at += BLOCK) {                                      \
      int64_t m = n - at < BLOCK ? n - at : BLOCK;                                       \
      for (int64_t k = 0; k < m; k++) {                                                  \
        int64_t j = at + k;                                                              \
        A l = left < x1[j] ? x1[j] : left, t = top < y1[j] ? y1[j] : top;                \
        A r = x2[j] < right ? x2[j] : right, b = y2[j] < bottom ? y2[j] : bottom;        \
        A w = r - l > 0 ? r - l : 0, h = b - t > 0 ? b - t : 0;                          \
        both[k] = w * h;                                                                 \
      }                                                                                  \
      for (int64_t k = 0; k < m; k++)                                                    \
        dropped[at + k] |= both[k] / (own + area[at + k] - both[k]) > limit;             \
    }                                                                                    \
  }

SUPPRESS(suppress_f32, float, nextafterf)
SUPPRESS(suppress_f64, double, nextafter)

const LpBoxKernels LP_SIMD(lp_box_kernels) = {.suppress = {suppress_f32, suppress_f64}};
