/* Distances between rows: cpu/simd/distance.c, for dispatch/distance.c. */
#ifndef LP_CPU_DISTANCE_H
#define LP_CPU_DISTANCE_H

#include "cpu/caps.h"
#include "lampad/base.h"

/* Rows of b that a panel holds side by side, element by element: panel[column][row]. */
#define LP_DISTANCE_PANEL_F32 64
#define LP_DISTANCE_PANEL_F64 32

typedef struct LpDistanceTable {
  /* out[i * ldc + j] = the norm of order p (p >= 0 or infinite) of row i of a (n x m,
   * contiguous) minus row j of the panel, for j < rows. */
  void (*panel_f32)(float *out, int64_t ldc, const float *a, int64_t n, int64_t m,
                    const float *panel, int64_t rows, double p);
  void (*panel_f64)(double *out, int64_t ldc, const double *a, int64_t n, int64_t m,
                    const double *panel, int64_t rows, double p);
  /* c[j] = the root of max(0, c[j] + a + b[j]); NaN stays. */
  void (*root_f32)(float *c, float a, const float *b, int64_t n);
  void (*root_f64)(double *c, double a, const double *b, int64_t n);
} LpDistanceTable;

LP_DISPATCH(LpDistanceTable, lp_distance_table)

#endif
