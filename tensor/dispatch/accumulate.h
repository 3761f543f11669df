/* Sums and quotients that the gradients of views need (cpu/accumulate.c); floating and
 * complex dtypes, untracked. */
#ifndef LP_DISPATCH_ACCUMULATE_H
#define LP_DISPATCH_ACCUMULATE_H

#include "core/tensor.h"

/* dst += src, same shape and dtype; elements of dst may share addresses. */
bool lp_add_into(LpTensor *dst, LpTensor *src);
/* dst /= counts where the count is not 0; same shape and dtype. */
bool lp_divide_by_counts(LpTensor *dst, LpTensor *counts);

#endif
