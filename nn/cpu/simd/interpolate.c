/* Resampling loops; see cpu/interpolate.h. */
#include <math.h>
#include <string.h>
#include "cpu/simd/simd.h"
#include "cpu/interpolate.h"

#define COLUMNS 64 /* of a pixel's elements at a time, so that their sums stay close */

static inline int64_t width(const LpBand *b, int64_t o) {
  return b->start[o + 1] - b->start[o];
}

/* Is result o made of the same elements as the one before? */
static inline bool repeats(const LpBand *b, int64_t o) {
  const int64_t n = width(b, o);
  return o > 0 && b->first[o] == b->first[o - 1] && n == width(b, o - 1) &&
         !memcmp(b->weight + b->start[o], b->weight + b->start[o - 1],
                 (size_t)n * sizeof(double));
}

#define BODY "cpu/simd/interpolate_body.h"
#include "cpu/simd/nn_each.h"

static inline uint8_t nearest_byte(double v) {
  const double whole = floor(v + 0.5);
  return (uint8_t)(int32_t)(whole < 0 ? 0 : whole > 255 ? 255 : whole);
}

#define T uint8_t
#define A double
#define SUFFIX u8
#define LOAD(v) ((double)(v))
#define STORE(v) nearest_byte(v)
#include BODY

const LpInterpolateKernels LP_SIMD(lp_interpolate_kernels) = {.rows = EACH_TYPE(rows),
                                                              .rows_u8 = rows_u8};
