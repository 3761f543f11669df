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
  /* to = the sum over rows j of others (r x m) of weights[j] s |d|^(p-1), where d is row
   * less that row and s its sign; 0 < p < infinity. */
  void (*slope_f32)(float *to, const float *row, const float *others,
                    const float *weights, int64_t r, int64_t m, double p);
  void (*slope_f64)(double *to, const double *row, const double *others,
                    const double *weights, int64_t r, int64_t m, double p);
  /* grads[j] / distances[j]^(p-1), where the distance is not 0. */
  void (*weights_f32)(float *to, const float *grads, const float *distances, int64_t r,
                      double p);
  void (*weights_f64)(double *to, const double *grads, const double *distances, int64_t r,
                      double p);
} LpDistanceTable;

LP_DISPATCH(LpDistanceTable, lp_distance_table)

#endif
