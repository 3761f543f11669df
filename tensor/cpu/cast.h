/* The table of converting loops, cpu/simd/cast.c; callers use lp_cast_loop
 * (dispatch/iter.h). */
#ifndef LP_CPU_CAST_H
#define LP_CPU_CAST_H

#include "cpu/caps.h"
#include "dispatch/iter.h"

typedef struct LpCastLoops {
  LpLoop loops[LP_UINT16][LP_UINT16]; /* [to][from] */
} LpCastLoops;

/* To or from a dtype of those that are limited. */
LpLoop lp_cast_limited(LpDtype to, LpDtype from);

LP_DISPATCH(LpCastLoops, lp_cast_loops)

#endif
