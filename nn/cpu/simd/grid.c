/* Grid sampling loops; see cpu/grid.h. */
#include <math.h>
#include <string.h>
#include "cpu/simd/simd.h"
#include "cpu/grid.h"

#define BLOCK 32    /* positions whose taps are made at once */
#define MAX_TAPS 64 /* 4 x 4 x 4 */
#define COLUMNS 64  /* channels of a pixel at a time */

/* Of a number's own type, so that loops of them become vectors. */
#define FLOOR(v) (sizeof(v) == sizeof(float) ? floorf((float)(v)) : floor((double)(v)))
#define ROUND_EVEN(v)                                                                    \
  (sizeof(v) == sizeof(float) ? nearbyintf((float)(v)) : nearbyint((double)(v)))

#define BODY "cpu/simd/grid_body.h"
#include "cpu/simd/nn_each.h"

const LpGridKernels LP_SIMD(lp_grid_kernels) = {
    .sample = EACH_TYPE(sample),
    .grid_grad = EACH_TYPE(grid_grad),
    .input_grad = EACH_TYPE(input_grad),
    .sample_last = EACH_TYPE(sample_last),
    .grid_grad_last = EACH_TYPE(grid_grad_last),
    .input_grad_last = EACH_TYPE(input_grad_last),
    .weights = EACH_TYPE(weights),
    .indices = EACH_TYPE(indices),
};
