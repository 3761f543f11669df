/* The table of pointwise kernels of one capability; used by dispatch/pointwise.c and select.c. */
#ifndef LP_CPU_POINTWISE_H
#define LP_CPU_POINTWISE_H

#include "cpu/caps.h"
#include "dispatch/pointwise.h"

typedef struct LpPointwiseTable {
  const LpPointwiseRow *rows[LP_DTYPE_COUNT];
  LpLoop drive;     /* params: LpDrive */
  LpRowsLoop drive_rows;
  LpLoop select[5]; /* out, condition (bytes), self, other; by log2 of the element size */
} LpPointwiseTable;

LP_DISPATCH(LpPointwiseTable, lp_pointwise_table)

#endif
