/* Fused optimizer steps; see cpu/optim.h. */
#include <math.h>
#include "cpu/simd/simd.h"
#include "cpu/optim.h"

#define ROOT(v) _Generic((v), float : sqrtf, double : sqrt)(v)
#define ABS(v) _Generic((v), float : fabsf, double : fabs)(v)

#define WITHOUT_F16
#define BODY "cpu/simd/optim_body.h"
#include "cpu/simd/nn_each.h"
#undef WITHOUT_F16
#undef BODY
#define BODY "cpu/simd/optim_factored_body.h"
#include "cpu/simd/nn_each.h"

#define BUT_F16(name)                                                                    \
  { name##_f32, name##_f64, NULL, name##_bf16 }

const LpOptimKernels LP_SIMD(lp_optim_kernels) = {
    .step = {[LP_OPTIM_SGD] = BUT_F16(sgd),
             [LP_OPTIM_ADAM] = BUT_F16(adam),
             [LP_OPTIM_ADADELTA] = BUT_F16(adadelta),
             [LP_OPTIM_ADAGRAD] = BUT_F16(adagrad),
             [LP_OPTIM_ADAMAX] = BUT_F16(adamax),
             [LP_OPTIM_ASGD] = BUT_F16(asgd),
             [LP_OPTIM_NADAM] = BUT_F16(nadam),
             [LP_OPTIM_RADAM] = BUT_F16(radam),
             [LP_OPTIM_RMSPROP] = BUT_F16(rmsprop),
             [LP_OPTIM_RPROP] = BUT_F16(rprop)},
    .sum_squares = EACH_TYPE(sum_squares),
    .row_moments = EACH_TYPE(row_moments),
    .col_moments = EACH_TYPE(col_moments),
    .factored_squares = EACH_TYPE(factored_squares),
    .factored_apply = EACH_TYPE(factored_apply)};
