/* Fused optimizer steps; see cpu/optim.h. */
#include <math.h>
#include "cpu/simd/simd.h"
#include "cpu/optim.h"

#define ROOT(v) _Generic((v), float : sqrtf, double : sqrt)(v)
#define ABS(v) _Generic((v), float : fabsf, double : fabs)(v)

#define BODY "cpu/simd/optim_body.h"
#include "cpu/simd/nn_each.h"
#undef BODY
#define BODY "cpu/simd/optim_factored_body.h"
#include "cpu/simd/nn_each.h"

const LpOptimKernels LP_SIMD(lp_optim_kernels) = {
    .step = {[LP_OPTIM_SGD] = EACH_TYPE(sgd),
             [LP_OPTIM_ADAM] = EACH_TYPE(adam),
             [LP_OPTIM_ADADELTA] = EACH_TYPE(adadelta),
             [LP_OPTIM_ADAGRAD] = EACH_TYPE(adagrad),
             [LP_OPTIM_ADAMAX] = EACH_TYPE(adamax),
             [LP_OPTIM_ASGD] = EACH_TYPE(asgd),
             [LP_OPTIM_NADAM] = EACH_TYPE(nadam),
             [LP_OPTIM_RADAM] = EACH_TYPE(radam),
             [LP_OPTIM_RMSPROP] = EACH_TYPE(rmsprop),
             [LP_OPTIM_RPROP] = EACH_TYPE(rprop)},
    .sum_squares = EACH_TYPE(sum_squares),
    .row_moments = EACH_TYPE(row_moments),
    .col_moments = EACH_TYPE(col_moments),
    .factored_squares = EACH_TYPE(factored_squares),
    .factored_apply = EACH_TYPE(factored_apply)};
