/* Loops over rows of embeddings; see cpu/bag.h. */
#include "cpu/simd/simd.h"
#include "cpu/bag.h"

#define BODY "cpu/simd/bag_body.h"
#include "cpu/simd/nn_each.h"

const LpBagKernels LP_SIMD(lp_bag_kernels) = {
    .add_row = EACH_TYPE(add_row),
    .max_row = EACH_TYPE(max_row),
    .dot = EACH_TYPE(dot),
};
