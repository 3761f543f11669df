/* Grid sampling loops; see cpu/grid.h. */
#include <math.h>
#include <string.h>
#include "cpu/simd/simd.h"
#include "cpu/grid.h"

#define BLOCK 32    /* positions whose taps are made at once */
#define MAX_TAPS 64 /* 4 x 4 x 4 */

#define BODY "cpu/simd/grid_body.h"
#include "cpu/simd/nn_each.h"

const LpGridKernels LP_SIMD(lp_grid_kernels) = {
    .sample = EACH_TYPE(sample),
    .grid_grad = EACH_TYPE(grid_grad),
    .input_grad = EACH_TYPE(input_grad),
    .weights = EACH_TYPE(weights),
    .indices = EACH_TYPE(indices),
};
