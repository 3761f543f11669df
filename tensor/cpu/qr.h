/* QR factorisation of real row-major matrices by blocks of Householder reflectors: the
 * panels by kernels of our own (cpu/simd/qr_panel.c), which read each row once for a
 * reflector, the rest by matrix products. LAPACK's panels go through the matrix twice for
 * each, column by column. Owned by qr.c. */
#ifndef LP_CPU_QR_H
#define LP_CPU_QR_H

#include "cpu/caps.h"
#include "cpu/lapack.h"

#define LP_QR_UNFIT (INT_MIN + 2) /* a case for LAPACK */

typedef struct LpQr {
  LpDtype dtype; /* LP_FLOAT32 or LP_FLOAT64 */
  int m, n;
  const void *a; /* m x n */
  void *r;       /* r_rows x n, with zeros below the diagonal; r_rows is min(m, n) or m */
  int r_rows;
  void *q; /* m x q_columns, or NULL; q_columns is min(m, n) or m */
  int q_columns;
} LpQr;

/* A panel holds columns of A side by side, as many as 128 bytes. */
typedef struct LpQrPanelKernels {
  /* The first `width` columns (at most the panel's) of a (`rows` rows, lda elements
   * apart; rows >= width) become R in their first rows; p, rows x the panel's width,
   * becomes the reflectors V, with zeros where they have none, and t (width x width, rows
   * the panel's width apart) makes I - V T V^T of their product. sums: scratch, a panel
   * row for each LP_QR_ROWS rows. False: a column below the diagonal is 0, or its squares
   * are out of range. */
  bool (*panel_f32)(int64_t rows, int64_t width, float *a, int64_t lda, float *p,
                    float *t, float *sums);
  bool (*panel_f64)(int64_t rows, int64_t width, double *a, int64_t lda, double *p,
                    double *t, double *sums);
} LpQrPanelKernels;
#define LP_QR_PANEL_BYTES 128
#define LP_QR_ROWS 1024 /* that are summed on their own */

LP_DISPATCH(LpQrPanelKernels, lp_qr_panel_kernels)

/* 0, LP_LAPACK_NO_MEMORY or LP_QR_UNFIT. scratch: lp_cpu_qr_scratch_bytes of it. */
int lp_cpu_qr(const LpQr *d, char *scratch);
size_t lp_cpu_qr_scratch_bytes(const LpQr *d);

#endif
