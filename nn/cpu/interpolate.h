/* Resampling of images of up to three dims: along each, a result element is a weighted
 * sum of neighbouring input elements. */
#ifndef LP_NN_CPU_INTERPOLATE_H
#define LP_NN_CPU_INTERPOLATE_H

#include <stdbool.h>
#include "cpu/caps.h"
#include "core/tensor.h"

/* Along one dim: result o has the input elements from first[o] on, with the weights
 * [start[o], start[o + 1]). */
typedef struct LpBand {
  int64_t in, out, widest;    /* widest: the most elements of one result */
  int64_t even_from, even_to; /* results of as many elements as most have */
  bool picks;                 /* each result is one element as it is */
  bool same;                  /* all are the input's, in their order */
  int64_t *first, *start;
  double *weight;
  float *weight32; /* the same */
} LpBand;

/* A row of the input and its weight in a row of the result. */
typedef struct LpTap {
  int64_t at;
  double weight;
} LpTap;

typedef struct LpInterpolateShape {
  LpBand band[3]; /* depth, height, width */
  int64_t inner;  /* elements of a pixel that lie next to each other */
} LpInterpolateShape;

/* What `rows` needs to work in. */
static inline size_t lp_interpolate_scratch(const LpInterpolateShape *s) {
  return (size_t)(s->band[0].widest * s->band[1].widest) * sizeof(LpTap) +
         (size_t)((s->band[2].in + s->band[2].out) * s->inner) * sizeof(double);
}

typedef struct LpInterpolateKernels {
  /* Rows [begin, end) of y (images, depth, height, width, inner), from x likewise;
   * indexed by nn_float_index. */
  void (*rows[4])(const LpInterpolateShape *s, const void *x, void *y, int64_t begin,
                  int64_t end, void *scratch);
  /* The same of bytes, rounded. */
  void (*rows_u8)(const LpInterpolateShape *s, const void *x, void *y, int64_t begin,
                  int64_t end, void *scratch);
} LpInterpolateKernels;

LP_DISPATCH(LpInterpolateKernels, lp_interpolate_kernels)

#endif
