/* Fused optimizer steps; see cpu/optim.h. */
#include <math.h>
#include "cpu/simd/simd.h"
#include "cpu/optim.h"

#define ROOT(v) _Generic((v), float : sqrtf, double : sqrt)(v)

#define BODY "cpu/simd/optim_body.h"
#include "cpu/simd/nn_each.h"

const LpOptimKernels LP_SIMD(lp_optim_kernels) = {.sgd = EACH_TYPE(sgd),
                                                  .adam = EACH_TYPE(adam)};
