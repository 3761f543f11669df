/* Running sums along contiguous elements, of many short rows, and down columns side by
 * side: cpu/simd/scan.c, for dispatch/scan.c. */
#ifndef LP_CPU_SCAN_H
#define LP_CPU_SCAN_H

#include "cpu/caps.h"
#include "lampad/base.h"

/* The running sums of `rows` rows of n elements that follow one another, out apart from
 * in; groups of neighbours are added first, as below. */
typedef void (*LpScanRows)(void *out, const void *in, int64_t n, int64_t rows);

/* Down `rows` rows of w neighbours, steps in elements: carry[j] op= in[j], out[j] =
 * carry[j]; one by one. out lies apart from in. Behind the w carries there is room for 8.
 */
typedef void (*LpScanDown)(void *out, int64_t out_step, const void *in, int64_t in_step,
                           int64_t w, int64_t rows, void *carry);

/* out[i] = *carry + in[0] + ... + in[i] for i < n; *carry becomes the last. Groups of
 * neighbours are added first, so the accumulator must be exact (integers) or wider than
 * the elements. out may be in. */
typedef struct LpScanTable {
  void (*sum_f32)(float *out, const float *in, int64_t n, double *carry);
  void (*sum_wide)(double *out, const double *in, int64_t n, double *carry);
  void (*sum_i64)(int64_t *out, const int64_t *in, int64_t n,
                  int64_t *carry); /* wraps around */
  LpScanRows rows_f32, rows_wide, rows_i64;
  /* Of sums, and of products; carries of floats are doubles. */
  LpScanDown down_f32[2], down_f64[2], down_i64[2];
  /* Row i of n neighbours, beside the extremes before it ([0] largest, [1] smallest):
   * where x[j] is no worse than best[j], or NaN, it becomes best[j] and i becomes at[j];
   * a NaN in best[j] gives way to NaN alone. */
  void (*extreme_f64[2])(double *best, int64_t *at, const double *x, int64_t i,
                         int64_t n);
  void (*extreme_i64[2])(int64_t *best, int64_t *at, const int64_t *x, int64_t i,
                         int64_t n);
  /* a[i] = log(exp(a[i]) + exp(x[i])) */
  void (*log_add_exp)(double *a, const double *x, int64_t n);
} LpScanTable;

LP_DISPATCH(LpScanTable, lp_scan_table)

#endif
