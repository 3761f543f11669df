/* Running sums along contiguous elements, and steps of those side by side:
 * cpu/simd/scan.c, for dispatch/scan.c. */
#ifndef LP_CPU_SCAN_H
#define LP_CPU_SCAN_H

#include "cpu/caps.h"
#include "lampad/base.h"

/* out[i] = *carry + in[0] + ... + in[i] for i < n; *carry becomes the last. Groups of
 * neighbours are added first, so the accumulator must be exact (integers) or wider than
 * the elements. out may be in. */
typedef struct LpScanTable {
  void (*sum_f32)(float *out, const float *in, int64_t n, double *carry);
  void (*sum_wide)(double *out, const double *in, int64_t n, double *carry);
  void (*sum_i64)(int64_t *out, const int64_t *in, int64_t n,
                  int64_t *carry); /* wraps around */
  /* a[i] = log(exp(a[i]) + exp(x[i])) */
  void (*log_add_exp)(double *a, const double *x, int64_t n);
} LpScanTable;

LP_DISPATCH(LpScanTable, lp_scan_table)

#endif
