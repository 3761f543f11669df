/* Polar decomposition, hermitian square root, and the gradients of further
 * factorisations. Only op calls, so that derivatives follow. */
#include "autograd/node.h"
#include "composite/steps.h"
#include "dispatch/linalg.h"
#include "dispatch/reduce.h"
#include "impl.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

static LpTensor *times(LpTensor *a, LpTensor *b) {
  return lp_matmul(a, b);
}

/* (m + m^H) / 2, or (m - m^H) / 2. */
static LpTensor *half_part(LpTensor *m, bool skew) {
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(m));
  STEP(sum,
       skew ? lp_sub(m, turned, lp_scalar_int(1)) : lp_add(m, turned, lp_scalar_int(1)));
  STEP(result, lp_scale_by(sum, lp_scalar_float(0.5)));
  return steps_finish(&s, result);
}

/* v diag(weights) v^H. */
static LpTensor *spectral(LpTensor *v, LpTensor *weights) {
  Steps s = {0};
  STEP(row, lp_unsqueeze(weights, -2));
  STEP(scaled, lp_mul(v, row));
  STEP(turned, lp_mat_adjoint(v));
  STEP(result, times(scaled, turned));
  return steps_finish(&s, result);
}

/* In the basis where H is diagonal, Y[i, j] = M[i, j] / (h[i] + h[j]). */
LpTensor *lp_composite_lyapunov(LpTensor *H, LpTensor *M) {
  Steps s = {0};
  LpTensor *eigen[2];
  if (!lp_linalg_eigh(H, "L", eigen)) return NULL;
  steps_note(&s, eigen[0]);
  LpTensor *v = steps_note(&s, eigen[1]);
  STEP(turned, lp_mat_adjoint(v));
  STEP(left, times(turned, M));
  STEP(inner, times(left, v));
  STEP(row, lp_unsqueeze(eigen[0], -2));
  STEP(column, lp_unsqueeze(eigen[0], -1));
  STEP(sums, lp_add(row, column, lp_scalar_int(1)));
  STEP(quotient, lp_div(inner, sums));
  STEP(outer, times(v, quotient));
  STEP(result, times(outer, turned));
  return steps_finish(&s, result);
}

/* --- the hermitian square root
 * ---------------------------------------------------------------- */

LpTensor *lp_impl_linalg_matrix_sqrth(LpTensor *out, LpTensor *self) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  Steps s = {0};
  LpTensor *eigen[2];
  if (!lp_linalg_eigh(self, "L", eigen)) return NULL;
  steps_note(&s, eigen[0]);
  steps_note(&s, eigen[1]);
  STEP(positive, lp_clamp(eigen[0], (LpOptScalar){true, lp_scalar_int(0)},
                          (LpOptScalar){.has = false})); /* rounding may fall below 0 */
  STEP(root, lp_sqrt(positive));
  STEP(result, spectral(eigen[1], root));
  lp_tensor_retain(result);
  steps_drop(&s);
  return lp_linalg_deliver(out, result);
}

/* X X = A: dX X + X dX = dA. */
LpTensor *lp_composite_sqrth_backward(LpTensor *grad, LpTensor *root) {
  Steps s = {0};
  STEP(symmetric, half_part(grad, false));
  STEP(result, lp_lyapunov(root, symmetric));
  return steps_finish(&s, result);
}

/* --- polar
 * --------------------------------------------------------------------------------------
 */

bool lp_impl_linalg_polar(LpTensor **outs, LpTensor *A, LpTensor **results) {
  TRY(lp_check_matrix(A, "A"));
  CHECK(A->sizes[A->ndim - 2] >= A->sizes[A->ndim - 1], LP_ERR_ARGUMENT,
        "A must have at least as many rows as columns, got shape %s", SHAPE_TEXT(A));
  LpTensor *usv[3] = {0}, *v = NULL;
  results[0] = results[1] = NULL;
  if (lp_linalg_svd(A, false, usv)) {
    v = lp_mat_adjoint(usv[2]);
    results[0] = v ? times(usv[0], usv[2]) : NULL;
    results[1] = results[0] ? spectral(v, usv[1]) : NULL;
    if (!results[1]) lp_drop(&results[0]);
  }
  lp_tensor_release(v);
  for (int i = 0; i < 3; i++) lp_tensor_release(usv[i]);
  return results[0] && lp_give_all(outs, results, 2);
}

/* A = U H. With W = U^H dU (skew) and X = U^H dA: W H + H W = X - X^H,
 * dU = U W + (1 - U U^H) dA H^-1, dH = X - W H. So, with h the hermitian part of grad_H
 * and Y H + H Y = the skew part of (U^H grad_U - h H), grad_A = U (2 Y + h) + (1 - U U^H)
 * grad_U H^-1. */
LpTensor *lp_composite_polar_backward(LpTensor *grad_U, LpTensor *grad_H, LpTensor *U,
                                      LpTensor *H) {
  Steps s = {0};
  STEP(h, half_part(grad_H, false));
  STEP(turned, lp_mat_adjoint(U));
  STEP(along, times(turned, grad_U));
  STEP(bent, times(h, H));
  STEP(both, lp_sub(along, bent, lp_scalar_int(1)));
  STEP(skew, half_part(both, true));
  STEP(y, lp_lyapunov(H, skew));
  STEP(core, lp_add(h, y, lp_scalar_int(2)));
  STEP(result, times(U, core));
  if (U->sizes[U->ndim - 2] == U->sizes[U->ndim - 1]) return steps_finish(&s, result);
  STEP(inside, times(U, along));
  STEP(outside, lp_sub(grad_U, inside, lp_scalar_int(1)));
  STEP(solved, lp_linalg_solve(H, outside, false));
  STEP(sum, lp_add(result, solved, lp_scalar_int(1)));
  return steps_finish(&s, sum);
}

/* --- LDL
 * ------------------------------------------------------------------------------------------
 */

/* The adjoint of A^-1 for a symmetric A is its conjugate. */
LpTensor *lp_composite_ldl_solve_backward(LpTensor *grad, LpTensor *LD, LpTensor *pivots,
                                          LpInts sizes, bool hermitian) {
  bool turn = !hermitian && lp_dtype_is_complex((LpDtype)LD->dtype);
  Steps s = {0};
  STEP(g, turn ? lp_conj(grad) : lp_tensor_retain(grad));
  STEP(solved, lp_linalg_ldl_solve(LD, pivots, g, hermitian));
  if (turn) RESTEP(solved, lp_conj(solved));
  STEP(result, lp_sum_to_size(solved, sizes));
  return steps_finish(&s, result);
}

/* --- products of reflectors
 * ----------------------------------------------------------------------------------------
 */
/* y - tau v v^H y for reflector i; with `adjoint` conj(tau). Takes y over. */
static LpTensor *reflect(LpTensor *y, LpTensor *reflectors, LpTensor *tau, int64_t i,
                         bool adjoint) {
  if (!y) return NULL;
  Steps s = {0};
  steps_note(&s, y);
  STEP(v, lp_narrow(reflectors, -1, i, 1));
  STEP(turned, lp_mat_adjoint(v));
  STEP(factor, lp_narrow(tau, -1, i, 1));
  RESTEP(factor, lp_unsqueeze(factor, -1));
  if (adjoint) RESTEP(factor, lp_conj(factor));
  STEP(along, times(turned, y));
  STEP(scaled, lp_mul(v, factor));
  STEP(change, times(scaled, along));
  STEP(result, lp_sub(y, change, lp_scalar_int(1)));
  return steps_finish(&s, result);
}

/* With a graph the reflectors are applied one by one, each by differentiable ops. */
LpTensor *lp_composite_linalg_householder_product(LpTensor *self, LpTensor *tau) {
  LpTensor *value = lp_reflectors_product(self, tau);
  if (!value || !(lp_is_recorded(self) || lp_is_recorded(tau))) return value;
  lp_tensor_release(value);
  int64_t m = self->sizes[self->ndim - 2], n = self->sizes[self->ndim - 1];
  int64_t k = tau->sizes[tau->ndim - 1];
  Steps s = {0};
  STEP(below, lp_tril(self, -1));
  STEP(ones, lp_eye_m(m, n, (LpDtype)self->dtype, self->storage->device, false));
  STEP(reflectors, lp_add(below, ones, lp_scalar_int(1)));
  LpTensor *q = lp_expand(ones, lp_sizes(self));
  if (q && k == 0) { /* no reflector, but part of the graph all the same */
    LpTensor *nothing = lp_scale_by(self, lp_scalar_int(0));
    LpTensor *sum = nothing ? lp_add(q, nothing, lp_scalar_int(1)) : NULL;
    lp_tensor_release(nothing);
    lp_tensor_release(q);
    q = sum;
  }
  for (int64_t i = k - 1; i >= 0; i--) q = reflect(q, reflectors, tau, i, false);
  steps_drop(&s);
  return q;
}

/* With a graph the reflectors are applied one by one, each by differentiable ops; from
 * the right, to the adjoint. */
LpTensor *lp_composite_ormqr(LpTensor *self, LpTensor *input2, LpTensor *input3,
                             bool left, bool transpose) {
  LpTensor *value = lp_ormqr_apply(self, input2, input3, left, transpose);
  if (!value ||
      !(lp_is_recorded(self) || lp_is_recorded(input2) || lp_is_recorded(input3)))
    return value;
  lp_tensor_release(value);
  int64_t m = self->sizes[self->ndim - 2], n = self->sizes[self->ndim - 1];
  int64_t k = input2->sizes[input2->ndim - 1];
  bool adjoint = left ? transpose : !transpose;
  Steps s = {0};
  STEP(below, lp_tril(self, -1));
  STEP(ones, lp_eye_m(m, n, (LpDtype)self->dtype, self->storage->device, false));
  STEP(reflectors, lp_add(below, ones, lp_scalar_int(1)));
  STEP(start, left ? lp_tensor_retain(input3) : lp_mat_adjoint(input3));
  LpTensor *y = lp_tensor_retain(start);
  for (int64_t i = 0; i < k; i++)
    y = reflect(y, reflectors, input2, adjoint ? i : k - 1 - i, adjoint);
  if (!y) return steps_drop(&s);
  steps_note(&s, y);
  STEP(result, left ? lp_tensor_retain(y) : lp_mat_adjoint(y));
  return steps_finish(&s, result);
}
