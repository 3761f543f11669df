/* Op calls that consume their tensors, so that composites read as expressions. Every tensor argument
 * named `owned` is released, also on failure; NULL in gives NULL out with the first error kept. */
#ifndef LP_COMPOSITE_CHAIN_H
#define LP_COMPOSITE_CHAIN_H

#include "core/tensor.h"
#include "lampad/ops.h"

static inline LpTensor *lp_own(LpTensor *t) { return lp_tensor_retain(t); }

#define LP_CHAIN1(name, call, ...)                                        \
  static inline LpTensor *name(LpTensor *owned __VA_ARGS__) {             \
    LpTensor *result = owned ? call : NULL;                               \
    lp_tensor_release(owned);                                             \
    return result;                                                        \
  }
#define LP_CHAIN2(name, call)                                             \
  static inline LpTensor *name(LpTensor *owned, LpTensor *owned2) {       \
    LpTensor *result = owned && owned2 ? call : NULL;                     \
    lp_tensor_release(owned);                                             \
    lp_tensor_release(owned2);                                            \
    return result;                                                        \
  }
LP_CHAIN2(own_add, lp_add(owned, owned2, lp_scalar_int(1)))
LP_CHAIN2(own_sub, lp_sub(owned, owned2, lp_scalar_int(1)))
LP_CHAIN2(own_mul, lp_mul(owned, owned2))
LP_CHAIN2(own_div, lp_div(owned, owned2))
LP_CHAIN2(own_pow, lp_pow(owned, owned2))
LP_CHAIN2(own_eq, lp_eq(owned, owned2))
LP_CHAIN2(own_and, lp_logical_and(owned, owned2))
LP_CHAIN1(own_unsqueeze, lp_unsqueeze(owned, dim), , int64_t dim)
LP_CHAIN1(own_expand, lp_expand(owned, sizes), , LpInts sizes)
LP_CHAIN1(own_reshape, lp_reshape(owned, sizes), , LpInts sizes)
LP_CHAIN1(own_narrow, lp_narrow(owned, dim, start, length), , int64_t dim, int64_t start, int64_t length)
LP_CHAIN1(own_sum, lp_sum_dim(owned, dims, keepdim, LP_DTYPE_NONE), , LpInts dims, bool keepdim)
LP_CHAIN1(own_cumprod, lp_cumprod(owned, dim, LP_DTYPE_NONE), , int64_t dim)
LP_CHAIN1(own_flip, lp_flip(owned, lp_ints(&dim, 1)), , int64_t dim)
LP_CHAIN1(own_cast, lp_to_copy(owned, dtype, ((LpDevice){LP_DEVICE_NONE, 0}), LP_FORMAT_NONE), , LpDtype dtype)
LP_CHAIN1(own_abs, lp_abs(owned), )
LP_CHAIN1(own_sgn, lp_sgn(owned), )
LP_CHAIN1(own_not, lp_logical_not(owned), )

/* The number as a tensor of no dims that does not raise the other operand's dtype. */
static inline LpTensor *lp_number(double x) { return lp_tensor_wrapped(lp_scalar_float(x)); }
static inline LpTensor *lp_integer(int64_t x) { return lp_tensor_wrapped(lp_scalar_int(x)); }

/* `owned` with `value` where mask (owned too) is true. */
static inline LpTensor *own_fill(LpTensor *owned, LpTensor *mask, double value) {
  LpTensor *v = owned && mask ? lp_number(value) : NULL;
  LpTensor *result = v ? lp_masked_fill(owned, mask, v) : NULL;
  lp_tensor_release(v);
  lp_tensor_release(mask);
  lp_tensor_release(owned);
  return result;
}

/* Zeros, or ones, of t's dtype. */
static inline LpTensor *lp_zeros_of(LpTensor *t, LpInts sizes) {
  return t ? lp_new_zeros(t, sizes, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0}, false) : NULL;
}
static inline LpTensor *lp_ones_of(LpTensor *t, LpInts sizes) {
  return t ? lp_new_ones(t, sizes, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0}, false) : NULL;
}
static inline LpTensor *own_cat(LpTensor *owned, LpTensor *owned2, int64_t dim) {
  LpTensor *both[2] = {owned, owned2};
  LpTensor *result = owned && owned2 ? lp_cat((LpTensors){both, 2}, dim) : NULL;
  lp_tensor_release(owned);
  lp_tensor_release(owned2);
  return result;
}

/* Is any element 0? False also on an error, which is recorded (*ok false). */
bool lp_has_zero(LpTensor *t, bool *ok);
/* A reduced tensor with its reduced dims back at size 1 (consumes `owned`); dims count <= 0: all of ndim. */
LpTensor *lp_restore_dims(LpTensor *owned, int64_t ndim, LpInts dims, bool keepdim);

#endif
