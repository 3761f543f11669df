/* Elementwise ops: one numbering of all kernels, and the two doors that generated code calls.
 *
 * Note [Pointwise kernels]: a kernel is a block function: contiguous operands of the op's own dtype,
 * a multiple of the vector length of elements. cpu/simd/template.h makes one per op and dtype from
 * the scalar functions of cpu/simd/scalar.h. Everything else stands around it, once: the driver
 * (cpu/simd/pointwise.c) gathers strided operands and pads the last vector, the iterator broadcasts,
 * casts and splits over threads, and pointwise.c here promotes and checks. float16 and bfloat16
 * have few blocks: most ops are computed in float32, through the iterator's casts. */
#ifndef LP_DISPATCH_POINTWISE_H
#define LP_DISPATCH_POINTWISE_H

#include "dispatch/iter.h"
#include "kernel_lists.h"

/* Kernels of native ops: X(name, dtypes, promote, number of scalar parameters, of tensors). */
#define LP_EXTRA_OPS(X)                                                                  \
  X(gelu_erf, FLOAT, NONE, 0, 1)                                                         \
  X(gelu_erf_backward, FLOAT, NONE, 0, 2)                                                \
  X(gelu_tanh, FLOAT, NONE, 0, 1)                                                        \
  X(gelu_tanh_backward, FLOAT, NONE, 0, 2)                                               \
  X(logit, FLOAT, INT_TO_FLOAT, 1, 1)                                                    \
  X(logit_backward, FLOAT, NONE, 1, 2)                                                   \
  X(cube, FLOAT_COMPLEX, NONE, 0, 1)                                                     \
  X(round_up, FLOAT, NONE, 1, 1)                                                         \
  X(round_down, FLOAT, NONE, 1, 1)                                                       \
  X(nan_to_num, FLOAT_COMPLEX, NONE, 3, 1)                                               \
  X(polygamma, DOUBLE, INT_TO_FLOAT, 1, 1)                                               \
  X(div_trunc, FLOAT_INT, NONE, 0, 2)                                                    \
  X(isclose, FLOAT_COMPLEX, BOOL_RESULT, 3, 2)                                           \
  X(clamp, FLOAT_INT_BOOL, NONE, 0, 3)                                                   \
  X(clamp_backward, FLOAT, NONE, 2, 2)                                                   \
  X(squared_distance, FLOAT, NONE, 0, 2)                                                 \
  X(squared_slope, FLOAT, NONE, 0, 3)                                                    \
  X(bent_distance, FLOAT, INT_TO_FLOAT, 3, 2)                                            \
  X(bent_slope, FLOAT, INT_TO_FLOAT, 2, 3)                                               \
  X(lerp, FLOAT_COMPLEX, NONE, 0, 3)                                                     \
  X(addcmul, FLOAT_COMPLEX_INT, NONE, 1, 3)                                              \
  X(addcdiv, FLOAT_COMPLEX, NONE, 1, 3)

enum {
#define LP_NUMBER(name, dtypes, promote, n_params, arity) LP_EXTRA_##name,
  LP_EXTRA_OPS(LP_NUMBER)
#undef LP_NUMBER
  LP_EXTRA_COUNT
};

/* One numbering over the three lists. */
#define LP_POINTWISE_UNARY(op) (op)
#define LP_POINTWISE_BINARY(op) (LP_UNARY_COUNT + (op))
#define LP_POINTWISE_EXTRA(op) (LP_UNARY_COUNT + LP_BINARY_COUNT + (op))
#define LP_POINTWISE_COUNT (LP_UNARY_COUNT + LP_BINARY_COUNT + LP_EXTRA_COUNT)

/* ptrs[0] is the output. */
typedef void (*LpBlock)(char *const *ptrs, int64_t n, const LpScalar *params);

/* Rows of n elements, `steps` bytes apart, each by one element of every input after the first. */
typedef void (*LpNumberBlock)(char *const *ptrs, const int64_t *steps, int64_t rows, int64_t n,
                              const LpScalar *params);

typedef struct LpPointwiseRow {
  LpBlock blocks[LP_POINTWISE_COUNT]; /* NULL: the op does not know this dtype */
  LpNumberBlock by_number[LP_POINTWISE_COUNT]; /* NULL: nothing is won */
} LpPointwiseRow;

/* What the driver, an LpLoop, takes as its params. */
typedef struct LpDrive {
  LpBlock block;
  LpNumberBlock by_number; /* the last inputs are numbers; may be NULL */
  const LpScalar *params;
  int n_inputs;
  int8_t sizes[4]; /* bytes per element: output, inputs */
  LpNumberBlock turned; /* by_number of the op that wants two inputs the other way round, or NULL */
} LpDrive;

/* op is LP_UNARY_x or LP_BINARY_x. out: NULL, or where to write (`self` itself: in place). Returns an
 * owned reference. */
LpTensor *lp_unary(int op, LpTensor *out_or_null, LpTensor *self, const LpScalar *params, int n_params);
LpTensor *lp_binary(int op, LpTensor *out_or_null, LpTensor *self, LpTensor *other,
                    const LpScalar *params, int n_params);

/* The same for any kernel: op by the LP_POINTWISE_ numbering, with as many inputs as it has tensors.
 * Inputs are promoted together. */
LpTensor *lp_pointwise(int op, LpTensor *out_or_null, LpTensor *const *inputs, int n_inputs,
                       const LpScalar *params);

/* The same with the dtype to compute in given: inputs are cast to it. */
LpTensor *lp_pointwise_as(int op, LpTensor *out_or_null, LpTensor *const *inputs, int n_inputs,
                          const LpScalar *params, LpDtype common);
/* Integers cannot be divided by zero: false with the error recorded when the tensor has one. */
bool lp_check_no_zero(LpTensor *divisor);

/* out = condition ? self : other, in the given dtype; condition is bool or uint8. */
LpTensor *lp_choose(LpTensor *out_or_null, LpTensor *condition, LpTensor *self, LpTensor *other,
                    LpDtype dtype);

#endif
