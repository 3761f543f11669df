/* Straight-line tensor expressions in C: each step's result is kept and released together
 * at the end; a step whose operand failed (NULL) fails too, so only the last result needs
 * a check. */
#ifndef LP_NN_COMPOSITE_EXPR_H
#define LP_NN_COMPOSITE_EXPR_H

#include "dispatch/nn_util.h"
#include "lampad/ops.h"

#define EXPR_MAX 64

typedef struct Expr {
  LpTensor *kept[EXPR_MAX];
  int n;
} Expr;

static inline LpTensor *keep(Expr *e, LpTensor *t) {
  ASSERT(e->n < EXPR_MAX);
  if (t) e->kept[e->n++] = t;
  return t;
}
/* Releases every step; `result`, one of them, survives owned by the caller (NULL stays
 * NULL). */
static inline LpTensor *expr_end(Expr *e, LpTensor *result) {
  lp_tensor_retain(result);
  for (int i = 0; i < e->n; i++) lp_tensor_release(e->kept[i]);
  e->n = 0;
  return result;
}

/* A float, which turns integers into floats, and an integer, which does not. */
static inline LpTensor *x_number(Expr *e, double v) {
  return keep(e, lp_tensor_wrapped(lp_scalar_float(v)));
}
static inline LpTensor *x_whole(Expr *e, int64_t v) {
  return keep(e, lp_tensor_wrapped(lp_scalar_int(v)));
}
static inline LpTensor *x_add(Expr *e, LpTensor *a, LpTensor *b) {
  return a && b ? keep(e, lp_add(a, b, lp_scalar_int(1))) : NULL;
}
static inline LpTensor *x_sub(Expr *e, LpTensor *a, LpTensor *b) {
  return a && b ? keep(e, lp_sub(a, b, lp_scalar_int(1))) : NULL;
}
static inline LpTensor *x_mul(Expr *e, LpTensor *a, LpTensor *b) {
  return a && b ? keep(e, lp_mul(a, b)) : NULL;
}
static inline LpTensor *x_div(Expr *e, LpTensor *a, LpTensor *b) {
  return a && b ? keep(e, lp_div(a, b)) : NULL;
}
static inline LpTensor *x_scale(Expr *e, LpTensor *a, double v) {
  LpTensor *b = x_number(e, v);
  return a && b ? keep(e, lp_mul(a, b)) : NULL;
}
static inline LpTensor *x_offset(Expr *e, LpTensor *a, double v) {
  LpTensor *b = x_number(e, v);
  return a && b ? keep(e, lp_add(a, b, lp_scalar_int(1))) : NULL;
}
static inline LpTensor *x_neg(Expr *e, LpTensor *a) {
  return a ? keep(e, lp_neg(a)) : NULL;
}
static inline LpTensor *x_exp(Expr *e, LpTensor *a) {
  return a ? keep(e, lp_exp(a)) : NULL;
}
static inline LpTensor *x_log(Expr *e, LpTensor *a) {
  return a ? keep(e, lp_log(a)) : NULL;
}
static inline LpTensor *x_sum(Expr *e, LpTensor *a) {
  return a ? keep(e, lp_sum(a, LP_DTYPE_NONE)) : NULL;
}
static inline LpTensor *x_mean(Expr *e, LpTensor *a) {
  return a ? keep(e, lp_mean(a, LP_DTYPE_NONE)) : NULL;
}
static inline LpTensor *x_sum_dims(Expr *e, LpTensor *a, LpInts dims, bool keepdim) {
  return a ? keep(e, lp_sum_dim(a, dims, keepdim, LP_DTYPE_NONE)) : NULL;
}
static inline LpTensor *x_mean_dims(Expr *e, LpTensor *a, LpInts dims, bool keepdim) {
  return a ? keep(e, lp_mean_dim(a, dims, keepdim, LP_DTYPE_NONE)) : NULL;
}
static inline LpTensor *x_reshape(Expr *e, LpTensor *a, LpInts sizes) {
  return a ? keep(e, lp_reshape(a, sizes)) : NULL;
}
static inline LpTensor *x_unsqueeze(Expr *e, LpTensor *a, int64_t dim) {
  return a ? keep(e, lp_unsqueeze(a, dim)) : NULL;
}
static inline LpTensor *x_where(Expr *e, LpTensor *condition, LpTensor *a, LpTensor *b) {
  return condition && a && b ? keep(e, lp_where(condition, a, b)) : NULL;
}

/* 'none', 'mean' or 'sum' of a loss. */
static inline LpTensor *x_reduce(Expr *e, LpTensor *loss, NnReduction how) {
  return how == NN_NONE ? loss : how == NN_MEAN ? x_mean(e, loss) : x_sum(e, loss);
}

#endif
