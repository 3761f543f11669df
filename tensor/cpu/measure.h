/* Loops behind histogram, frexp and fake_quantize. They know nothing of argument checks.
 * Owned by measure.c. */
#ifndef LP_CPU_MEASURE_H
#define LP_CPU_MEASURE_H

#include "lampad/base.h"

/* A grid of cells: dim d has n_edges[d] ascending edges. */
typedef struct LpGrid {
  int64_t ndim;
  const double *edges[64];
  int64_t n_edges[64];
} LpGrid;

/* Adds each point's weight (1 when weights is NULL) to its cell; cells are row-major.
 * points: count rows of ndim. The last edge belongs to the last cell; points outside and
 * NaN count nowhere. False when interrupted. */
bool lp_cpu_histogram(const LpGrid *grid, const double *points, const double *weights,
                      int64_t count, double *cells);

/* x[i] = mantissa[i] * 2^exponent[i] with mantissas in [0.5, 1); inf and NaN get exponent
 * 0. float32 or float64. */
void lp_cpu_frexp(bool is_double, const void *x, void *mantissa, int32_t *exponent,
                  int64_t n);

typedef struct LpFakeQuantize {
  const float *scale;       /* one for each channel */
  const double *zero_point; /* likewise */
  int64_t channels, inner;  /* element i belongs to channel i / inner % channels */
  int64_t quant_min, quant_max;
} LpFakeQuantize;
/* Rounded values, and whether each lay within the limits. float32 or float64. */
void lp_cpu_fake_quantize(const LpFakeQuantize *q, bool is_double, const void *x,
                          void *out, bool *mask, int64_t n);

#endif
