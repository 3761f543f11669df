/* See unpool.h. */
#include <math.h>
#include "core/half.h"
#include "cpu/unpool.h"

/* v rounded to the dtype of `type`. */
static double rounded(int type, double v) {
  return type == 1   ? v
         : type == 0 ? (double)(float)v
         : type == 2 ? (double)lp_half_to_float(lp_half_from_float((float)v))
                     : (double)lp_bf16_to_float(lp_bf16_from_float((float)v));
}

void lp_fractional_starts(int type, int64_t in, int64_t out, int64_t kernel,
                          double sample, int64_t *start) {
  if (out > 1) {
    double alpha = rounded(type, rounded(type, (double)(in - kernel)) /
                                     rounded(type, (double)(out - 1)));
    int64_t first = (int64_t)rounded(type, sample * alpha);
    for (int64_t o = 0; o < out - 1; o++) {
      double at = rounded(type, rounded(type, (double)o + sample) * alpha);
      int64_t place = (int64_t)at - first;
      /* Samples outside [0, 1) may not lead out of the plane. */
      start[o] = place < 0 ? 0 : place > in - kernel ? in - kernel : place;
    }
  }
  if (out > 0) start[out - 1] = in - kernel;
}

#define BODY "cpu/unpool_body.h"
#include "cpu/simd/nn_each.h"

void (*const lp_fractional_max[4])(const LpFractionalShape *s,
                                   const int64_t *const starts[3], const void *x, void *y,
                                   int64_t *index) = EACH_TYPE(fractional);

#define MOVES(type)                                                                      \
  static void scatter_##type(void *large, void *small, const int64_t *index, int64_t n,  \
                             int64_t inner, int64_t m) {                                 \
    type *to = large;                                                                    \
    const type *from = small;                                                            \
    for (int64_t i = 0; i < n * inner; i += inner)                                       \
      for (int64_t c = 0; c < m; c++) to[index[i + c] * inner + c] = from[i + c];        \
  }                                                                                      \
  static void gather_##type(void *large, void *small, const int64_t *index, int64_t n,   \
                            int64_t inner, int64_t m) {                                  \
    type *to = small;                                                                    \
    const type *from = large;                                                            \
    for (int64_t i = 0; i < n * inner; i += inner)                                       \
      for (int64_t c = 0; c < m; c++) to[i + c] = from[index[i + c] * inner + c];        \
  }
MOVES(uint8_t)
MOVES(uint16_t)
MOVES(uint32_t)
MOVES(uint64_t)

const LpPlaneMove lp_plane_scatter[4] = {scatter_uint8_t, scatter_uint16_t,
                                         scatter_uint32_t, scatter_uint64_t};
const LpPlaneMove lp_plane_gather[4] = {gather_uint8_t, gather_uint16_t, gather_uint32_t,
                                        gather_uint64_t};
