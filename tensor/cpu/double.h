/* Elementwise kernels that are functions of doubles; used by dispatch/pointwise.c.
 *
 * Note [Kernels of doubles]: special functions are long, and loops over them do not
 * become vector loops. A row whose dtypes are "double" names such a function, double
 * lp_NAME_f64(double) or (double, double), declared in cpu/special.h. It is compiled
 * once, not for every dtype and instruction set; two loops, for float64 and float32, call
 * it by its address, and float32 rounds its result. Half precision passes through
 * float32, as for every pointwise op. */
#ifndef LP_CPU_DOUBLE_H
#define LP_CPU_DOUBLE_H

#include "dispatch/pointwise.h"

typedef struct LpDoubleKernel {
  double (*one)(double); /* one of the two */
  double (*two)(double, double);
} LpDoubleKernel;

/* What the loops take as their params. The second of two operands may be the op's
 * parameter. */
typedef struct LpDoubleCall {
  const LpDoubleKernel *kernel;
  const LpScalar *params;
} LpDoubleCall;

/* By the LP_POINTWISE_ numbering; the entries of other ops are empty. */
const LpDoubleKernel *lp_double_kernel(int op);
/* For float32 or float64. */
LpLoop lp_double_loop(LpDtype dtype);

#endif
