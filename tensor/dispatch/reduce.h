/* Reductions over any set of dims of a strided tensor: planning, walking, storing. Used by the
 * impl functions of reduce_ops.c and by composites that need a raw reduction. Kernels are reached
 * through cpu/reduce.h. Must not include autograd headers. */
#ifndef LP_DISPATCH_REDUCE_H
#define LP_DISPATCH_REDUCE_H

#include "core/tensor.h"
#include "cpu/reduce.h"
#include "cpu/tasks.h"

/* What is stored for an accumulator a over n elements. */
typedef enum LpFinish {
  LP_FINISH_PLAIN, /* a */
  LP_FINISH_MEAN,  /* a / n */
  LP_FINISH_SQRT,
  LP_FINISH_ROOT,  /* a^(1/p) */
  LP_FINISH_VAR,   /* m2 / max(0, n - p): p is the correction */
  LP_FINISH_STD,
  LP_FINISH_LOG_SUM /* log(sum) + shift */
} LpFinish;

typedef struct LpReduction {
  LpReduceOp op;
  LpCompute compute;
  LpFinish finish;
  double p; /* power of LP_REDUCE_SUM_POW, correction of LP_FINISH_VAR */
} LpReduction;

/* Which dims of a tensor are reduced, and the shape that remains. */
typedef struct LpReduceDims {
  bool reduced[LP_MAX_DIMS];
  bool keepdim;
  int64_t count; /* elements per result */
  int64_t out_ndim;
  int64_t out_sizes[LP_MAX_DIMS];
} LpReduceDims;

/* Wraps and checks dims; count <= 0 stands for all. */
bool lp_reduce_dims(const LpTensor *self, LpInts dims, bool keepdim, LpReduceDims *result);
/* A new tensor of the reduced shape. */
LpTensor *lp_reduce_output(const LpTensor *self, const LpReduceDims *dims, LpDtype dtype);
/* Reduces self into out, which has the reduced shape and any strides and dtype. */
bool lp_reduce_run(const LpReduction *r, const LpTensor *self, const LpReduceDims *dims, LpTensor *out);
/* Index of the first largest (smallest) element along dim, or NaN's when there is one; int64.
 * values, which may be NULL, of out's sizes and strides and self's dtype, gets the elements. */
bool lp_reduce_arg(const LpTensor *self, int64_t dim, bool smallest, LpTensor *out,
                   LpTensor *values);

/* The compute type that holds every value of the dtype. */
LpCompute lp_compute_of(LpDtype dtype);
/* The same for extremes, narrower where they need no wide type. */
LpCompute lp_compute_of_extreme(LpDtype dtype);

/* The tensor itself (retained) when it is row-major and of the dtype, else a copy that is. */
LpTensor *lp_dense(LpTensor *t, LpDtype dtype);
/* Copies src's values, cast and broadcast, into dst. */
bool lp_copy_values(LpTensor *dst, LpTensor *src);
/* A raw view of a complex tensor's real (part 0) or imaginary (part 1) numbers. */
LpTensor *lp_complex_part(LpTensor *t, int part);

/* The end of an impl with an `out` variant: without out, gives result; else resizes out, copies the
 * values there (casting), releases result and gives out retained. result may be NULL (an error). */
LpTensor *lp_give(LpTensor *out, LpTensor *result);
/* The same for several results; outs may be NULL. */
bool lp_give_all(LpTensor *const *outs, LpTensor **results, int n);

#endif
