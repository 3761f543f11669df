/* Gradients of the decompositions and solvers, as ops, so that they can be differentiated
 * again. Sources: Giles, "Collected matrix derivative results" (2008); Seeger et al.,
 * "Auto-differentiating linear algebra" (2017); for complex matrices with PyTorch's
 * convention (the conjugate gradient). */
#include "composite/steps.h"
#include "dispatch/linalg.h"
#include "impl.h"
#include "lampad/ops.h"

/* The matrix with its diagonal replaced by `value`. */
static LpTensor *with_diagonal(LpTensor *m, double value) {
  Steps s = {0};
  int64_t n = m->sizes[m->ndim - 1];
  STEP(mask, lp_eye(n, LP_BOOL, m->storage->device, false));
  STEP(number, lp_tensor_wrapped(lp_scalar_float(value)));
  STEP(result, lp_masked_fill(m, mask, number));
  return steps_finish(&s, result);
}

/* E[i, j] = v[j] - v[i], 1 on the diagonal. */
static LpTensor *differences(LpTensor *v) {
  Steps s = {0};
  STEP(row, lp_unsqueeze(v, -2));
  STEP(column, lp_unsqueeze(v, -1));
  STEP(difference, lp_sub(row, column, lp_scalar_int(1)));
  STEP(result, with_diagonal(difference, 1));
  return steps_finish(&s, result);
}

static LpTensor *adjoint_times(LpTensor *a, LpTensor *b) {
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(a));
  STEP(result, lp_matmul(turned, b));
  return steps_finish(&s, result);
}

static LpTensor *times_adjoint(LpTensor *a, LpTensor *b) {
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(b));
  STEP(result, lp_matmul(a, turned));
  return steps_finish(&s, result);
}

static LpTensor *add(LpTensor *a, LpTensor *b) {
  return lp_add(a, b, lp_scalar_int(1));
}
static LpTensor *subtract(LpTensor *a, LpTensor *b) {
  return lp_sub(a, b, lp_scalar_int(1));
}

/* --- determinants
 * ---------------------------------------------------------------------------------- */

/* The matrix of cofactors' conjugates: d det / d A, for singular A too, by U diag(prod of
 * the other singular values) Vh times the phase. */
static LpTensor *cofactors(LpTensor *A) {
  Steps s = {0};
  LpTensor *usv[3];
  if (!lp_linalg_svd(A, false, usv)) return NULL;
  for (int i = 0; i < 3; i++) steps_note(&s, usv[i]);
  LpTensor *u = usv[0], *sv = usv[1], *vh = usv[2];
  STEP(row, lp_unsqueeze(sv, -2));
  STEP(matrix, lp_expand(row, lp_sizes(A)));
  STEP(others, with_diagonal(matrix, 1));
  STEP(product, lp_prod_dim_int(others, -1, false, LP_DTYPE_NONE));
  STEP(det_u, lp_linalg_det(u));
  STEP(det_v, lp_linalg_det(vh));
  STEP(phase, lp_mul(det_u, det_v));
  RESTEP(phase, lp_conj(phase));
  RESTEP(phase, lp_unsqueeze(phase, -1));
  STEP(weights, lp_mul(product, phase));
  RESTEP(weights, lp_unsqueeze(weights, -2));
  STEP(scaled, lp_mul(u, weights));
  STEP(result, lp_matmul(scaled, vh));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_det_backward(LpTensor *grad, LpTensor *A, LpTensor *det) {
  Steps s = {0};
  STEP(zero, lp_tensor_wrapped(lp_scalar_int(0)));
  STEP(singular, lp_eq(det, zero));
  STEP(any, lp_any(lp_whole(singular)));
  LpScalar flag;
  if (!lp_item(any, &flag)) return steps_drop(&s);
  if (A->numel == 0)
    return steps_finish(
        &s, steps_note(&s, lp_zeros_like(A, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0},
                                         LP_FORMAT_NONE, false)));
  if (flag.v.i) {
    STEP(d, cofactors(A));
    STEP(wide, lp_unsqueeze(grad, -1));
    RESTEP(wide, lp_unsqueeze(wide, -1));
    STEP(result, lp_mul(d, wide));
    return steps_finish(&s, result);
  }
  STEP(conjugate, lp_conj(det));
  STEP(weight, lp_mul(grad, conjugate));
  RESTEP(weight, lp_unsqueeze(weight, -1));
  RESTEP(weight, lp_unsqueeze(weight, -1));
  STEP(inverse, lp_linalg_inv(A));
  STEP(turned, lp_mat_adjoint(inverse));
  STEP(result, lp_mul(turned, weight));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_slogdet_backward(LpTensor *grad_sign, LpTensor *grad_logabsdet,
                                        LpTensor *A, LpTensor *sign) {
  Steps s = {0};
  const bool turns = grad_sign && lp_dtype_is_complex(A->dtype);
  if (!grad_logabsdet && !turns) /* a real determinant's sign does not change */
    return lp_zeros_like(A, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE,
                         false);
  LpTensor *weight = NULL;
  if (grad_logabsdet) RESTEP(weight, lp_tensor_retain(grad_logabsdet));
  if (turns) { /* the phase turns with the imaginary part of trace(A^-1 dA) */
    STEP(conjugate, lp_conj(grad_sign));
    STEP(product, lp_mul(conjugate, sign));
    STEP(imaginary, lp_imag(product));
    RESTEP(imaginary, lp_neg(imaginary));
    if (!weight)
      RESTEP(weight, lp_zeros_like(imaginary, LP_DTYPE_NONE,
                                   (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE, false));
    RESTEP(weight, lp_complex(weight, imaginary));
  }
  RESTEP(weight, lp_unsqueeze(weight, -1));
  RESTEP(weight, lp_unsqueeze(weight, -1));
  STEP(inverse, lp_linalg_inv(A));
  STEP(turned, lp_mat_adjoint(inverse));
  STEP(result, lp_mul(turned, weight));
  return steps_finish(&s, result);
}

/* --- systems
 * ------------------------------------------------------------------------------------------
 */

/* Both gradients come of A^-H grad. */
bool lp_composite_solve_backward(LpTensor *grad, LpTensor *A, LpInts b_sizes, LpTensor *x,
                                 bool left, unsigned wanted, LpTensor **results) {
  Steps s = {0};
  bool vectors = lp_solve_by_vectors(lp_sizes(A), b_sizes);
  LpTensor *grad_a = NULL, *grad_b = NULL;
  STEP(turned, lp_mat_adjoint(A));
  STEP(g, vectors ? lp_unsqueeze(grad, -1) : lp_tensor_retain(grad));
  STEP(solved, lp_linalg_solve(turned, g, left));
  if (wanted & 1) {
    STEP(wide_x, vectors ? lp_unsqueeze(x, -1) : lp_tensor_retain(x));
    STEP(product, left ? times_adjoint(solved, wide_x) : adjoint_times(wide_x, solved));
    RESTEP(product, lp_neg(product));
    RESTEP(grad_a, lp_sum_to_size(product, lp_sizes(A)));
  }
  if (wanted & 2) {
    STEP(flat, vectors ? lp_squeeze_dim(solved, -1) : lp_tensor_retain(solved));
    RESTEP(grad_b, lp_sum_to_size(flat, b_sizes));
  }
  results[0] = grad_a ? lp_tensor_retain(grad_a) : NULL;
  results[1] = grad_b ? lp_tensor_retain(grad_b) : NULL;
  steps_drop(&s);
  return true;
}

LpTensor *lp_composite_triangular_backward_b(LpTensor *grad, LpTensor *A, LpInts b_sizes,
                                             bool upper, bool left, bool unitriangular) {
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(A));
  STEP(solved, lp_linalg_solve_triangular(turned, grad, !upper, left, unitriangular));
  STEP(result, lp_sum_to_size(solved, b_sizes));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_triangular_backward_a(LpTensor *grad, LpTensor *A, LpTensor *x,
                                             bool upper, bool left, bool unitriangular) {
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(A));
  STEP(solved, lp_linalg_solve_triangular(turned, grad, !upper, left, unitriangular));
  STEP(product, left ? times_adjoint(solved, x) : adjoint_times(x, solved));
  RESTEP(product, lp_neg(product));
  int64_t skip = unitriangular ? 1 : 0;
  STEP(part, upper ? lp_triu(product, skip) : lp_tril(product, -skip));
  STEP(result, lp_sum_to_size(part, lp_sizes(A)));
  return steps_finish(&s, result);
}

/* --- Cholesky, QR, LU
 * ----------------------------------------------------------------------------------- */

LpTensor *lp_composite_cholesky_backward(LpTensor *grad, LpTensor *factor, bool upper) {
  Steps s = {0};
  STEP(l, upper ? lp_mat_adjoint(factor) : lp_tensor_retain(factor));
  STEP(g, upper ? lp_mat_adjoint(grad) : lp_tensor_retain(grad));
  STEP(phi, adjoint_times(l, g));
  STEP(lower, lp_tril(phi, 0));
  STEP(strict, lp_tril(phi, -1));
  STEP(mirrored, lp_mat_adjoint(strict));
  STEP(sum, add(lower, mirrored));
  STEP(half, lp_scale_by(sum, lp_scalar_float(0.5)));
  STEP(l_adjoint, lp_mat_adjoint(l));
  STEP(left, lp_linalg_solve_triangular(l_adjoint, half, true, true, false));
  STEP(result, lp_linalg_solve_triangular(l, left, false, false, false));
  return steps_finish(&s, result);
}

/* The gradient of the factor of A where `common` is the one of A^-1 = X: -(common +
 * common^H) L for the lower factor, -U (...) for the upper. All of the factor counts, as
 * if none of it were known to be 0. */
static LpTensor *through_factor(LpTensor *common, LpTensor *factor, bool upper) {
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(common));
  STEP(both, add(common, turned));
  STEP(product, upper ? lp_matmul(factor, both) : lp_matmul(both, factor));
  STEP(result, lp_neg(product));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_cholesky_solve_backward(LpTensor *grad, LpTensor *x,
                                               LpTensor *factor, bool upper) {
  Steps s = {0};
  STEP(solved, lp_cholesky_solve(grad, factor, upper));
  STEP(common, times_adjoint(solved, x));
  STEP(result, through_factor(common, factor, upper));
  RESTEP(result, lp_sum_to_size(result, lp_sizes(factor)));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_cholesky_inverse_backward(LpTensor *grad, LpTensor *inverse,
                                                 LpTensor *factor, bool upper) {
  Steps s = {0};
  STEP(left, lp_matmul(inverse, grad));
  STEP(common, lp_matmul(left, inverse));
  STEP(result, through_factor(common, factor, upper));
  return steps_finish(&s, result);
}

/* R square and invertible. */
static LpTensor *qr_backward_square(LpTensor *grad_q, LpTensor *grad_r, LpTensor *q,
                                    LpTensor *r) {
  Steps s = {0};
  STEP(a, times_adjoint(r, grad_r));
  STEP(b, adjoint_times(grad_q, q));
  STEP(m, subtract(a, b));
  STEP(strict, lp_tril(m, -1));
  STEP(mirrored, lp_mat_adjoint(strict));
  STEP(lower, lp_tril(m, 0));
  STEP(symmetric, add(lower, mirrored));
  if (lp_dtype_is_complex(q->dtype)) { /* only the real part of the diagonal counts */
    STEP(turned, lp_mat_adjoint(lower));
    STEP(whole, add(lower, turned));
    STEP(off, with_diagonal(symmetric, 0));
    STEP(keep, subtract(whole, steps_note(&s, with_diagonal(whole, 0))));
    RESTEP(keep, lp_scale_by(keep, lp_scalar_float(0.5)));
    RESTEP(symmetric, add(off, keep));
  }
  STEP(product, lp_matmul(q, symmetric));
  STEP(rhs, add(grad_q, product));
  STEP(r_adjoint, lp_mat_adjoint(r));
  STEP(result, lp_linalg_solve_triangular(r_adjoint, rhs, false, false, false));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_qr_backward(LpTensor *grad_q, LpTensor *grad_r, LpTensor *q,
                                   LpTensor *r, const char *mode) {
  Steps s = {0};
  CHECK(mode[0] != 'r' || mode[1], LP_ERR_AUTOGRAD,
        "the derivative of qr needs Q: use mode 'reduced'");
  int64_t m = q->sizes[q->ndim - 2], n = r->sizes[r->ndim - 1];
  CHECK(mode[0] != 'c' || m <= n, LP_ERR_AUTOGRAD,
        "the QR decomposition is not differentiable with mode = 'complete' and more rows "
        "than columns");
  if (m >= n) return qr_backward_square(grad_q, grad_r, q, r);
  STEP(r1, lp_narrow(r, -1, 0, m));
  STEP(r2, lp_narrow(r, -1, m, n - m));
  STEP(grad_r1, lp_narrow(grad_r, -1, 0, m));
  STEP(grad_r2, lp_narrow(grad_r, -1, m, n - m));
  STEP(a2, lp_matmul(q, r2));
  STEP(extra, times_adjoint(a2, grad_r2));
  STEP(grad_q1, add(grad_q, extra));
  STEP(grad_a1, qr_backward_square(grad_q1, grad_r1, q, r1));
  STEP(grad_a2, lp_matmul(q, grad_r2));
  LpTensor *parts[2] = {grad_a1, grad_a2};
  STEP(result, lp_cat((LpTensors){parts, 2}, -1));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_lu_backward(LpTensor *grad, LpTensor *lu, LpTensor *pivots) {
  Steps s = {0};
  int64_t m = lu->sizes[lu->ndim - 2], n = lu->sizes[lu->ndim - 1], k = m < n ? m : n;
  STEP(p, lp_lu_permutation(pivots, m, lu->dtype));
  STEP(square, lp_narrow(lu, -2, 0, k));
  RESTEP(square, lp_narrow(square, -1, 0, k));
  STEP(grad_square, lp_narrow(grad, -2, 0, k));
  RESTEP(grad_square, lp_narrow(grad_square, -1, 0, k));
  STEP(l, lp_tril(square, -1)); /* its unit diagonal is understood by the solver */
  STEP(l_unit, with_diagonal(l, 1));
  STEP(u, lp_triu(square, 0));
  STEP(grad_l, lp_tril(grad_square, -1));
  STEP(grad_u, lp_triu(grad_square, 0));
  STEP(phi_l, adjoint_times(l_unit, grad_l));
  STEP(phi_u, times_adjoint(grad_u, u));
  LpTensor *rest = NULL, *grad_rest = NULL;
  if (m < n) {
    rest = steps_note(&s, lp_narrow(lu, -1, k, n - k));
    grad_rest = steps_note(&s, lp_narrow(grad, -1, k, n - k));
    if (!rest || !grad_rest) return steps_drop(&s);
    STEP(extra, times_adjoint(grad_rest, rest));
    RESTEP(phi_l, subtract(phi_l, extra));
  } else if (m > n) {
    rest = steps_note(&s, lp_narrow(lu, -2, k, m - k));
    grad_rest = steps_note(&s, lp_narrow(grad, -2, k, m - k));
    if (!rest || !grad_rest) return steps_drop(&s);
    STEP(extra, adjoint_times(rest, grad_rest));
    RESTEP(phi_u, subtract(phi_u, extra));
  }
  RESTEP(phi_l, lp_tril(phi_l, -1));
  RESTEP(phi_u, lp_triu(phi_u, 0));
  STEP(phi, add(phi_l, phi_u));
  STEP(l_adjoint, lp_mat_adjoint(l_unit));
  STEP(u_adjoint, lp_mat_adjoint(u));
  STEP(left, lp_linalg_solve_triangular(l_adjoint, phi, true, true, true));
  STEP(grad_a, lp_linalg_solve_triangular(u_adjoint, left, false, false, false));
  if (m != n) {
    STEP(other,
         m < n ? lp_linalg_solve_triangular(l_adjoint, grad_rest, true, true, true)
               : lp_linalg_solve_triangular(u_adjoint, grad_rest, false, false, false));
    LpTensor *parts[2] = {grad_a, other};
    RESTEP(grad_a, lp_cat((LpTensors){parts, 2}, m < n ? -1 : -2));
  }
  STEP(result, lp_matmul(p, grad_a));
  return steps_finish(&s, result);
}

/* --- eigenvalues and singular values
 * ------------------------------------------------------------------------ */

/* Diagonal matrices of the (real or complex) values, in the vectors' dtype. */
static LpTensor *diagonal_of(LpTensor *values, LpTensor *vectors) {
  Steps s = {0};
  STEP(cast, lp_to_dtype(values, (LpDtype)vectors->dtype, false, false, LP_FORMAT_NONE));
  STEP(result, lp_diag_embed(cast, 0, -2, -1));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_eigh_backward(LpTensor *grad_values, LpTensor *grad_vectors,
                                     LpTensor *values, LpTensor *vectors) {
  Steps s = {0};
  LpTensor *sum = NULL; /* equal eigenvalues do no harm to the gradient of the values alone */
  if (grad_values) RESTEP(sum, diagonal_of(grad_values, vectors));
  if (grad_vectors) {
    STEP(inner, adjoint_times(vectors, grad_vectors));
    STEP(e, differences(values));
    STEP(quotient, lp_div(inner, e));
    RESTEP(quotient, with_diagonal(quotient, 0));
    RESTEP(sum, sum ? add(quotient, sum) : lp_tensor_retain(quotient));
  }
  STEP(left, lp_matmul(vectors, sum));
  STEP(result, times_adjoint(left, vectors));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_eig_backward(LpTensor *grad_values, LpTensor *grad_vectors,
                                    LpTensor *values, LpTensor *vectors) {
  Steps s = {0};
  LpTensor *sum = NULL;
  if (grad_values) RESTEP(sum, diagonal_of(grad_values, vectors));
  if (grad_vectors) {
    STEP(inner, adjoint_times(vectors, grad_vectors));
    STEP(gram, adjoint_times(vectors, vectors));
    /* vectors have unit norm: that direction is taken out */
    STEP(diagonal, lp_diagonal(inner, 0, -2, -1));
    STEP(real, lp_real(diagonal));
    RESTEP(real, lp_unsqueeze(real, -2));
    STEP(along, lp_mul(gram, real));
    STEP(free_part, subtract(inner, along));
    STEP(e, differences(values));
    RESTEP(e, lp_conj(e));
    STEP(quotient, lp_div(free_part, e));
    RESTEP(quotient, with_diagonal(quotient, 0));
    RESTEP(sum, sum ? add(quotient, sum) : lp_tensor_retain(quotient));
  }
  STEP(right, times_adjoint(sum, vectors));
  STEP(turned, lp_mat_adjoint(vectors));
  STEP(result, lp_linalg_solve(turned, right, true));
  return steps_finish(&s, result);
}

/* X - X^H */
static LpTensor *skew(LpTensor *x) {
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(x));
  STEP(result, subtract(x, turned));
  return steps_finish(&s, result);
}

/* The part of the inner matrix that the gradient of one side's vectors makes: skew(V^H gV) / E, beside S. */
static LpTensor *svd_side(LpTensor *skewed, LpTensor *e, LpTensor *sv) {
  Steps s = {0};
  STEP(quotient, lp_div(skewed, e));
  RESTEP(quotient, lp_mul(quotient, sv));
  STEP(result, with_diagonal(quotient, 0));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_svd_backward(LpTensor *grad_u, LpTensor *grad_s, LpTensor *grad_vh,
                                    LpTensor *u_full, LpTensor *sv, LpTensor *vh_full) {
  Steps s = {0};
  int64_t m = u_full->sizes[u_full->ndim - 2], n = vh_full->sizes[vh_full->ndim - 1],
          k = m < n ? m : n;
  STEP(u, lp_narrow(u_full, -1, 0, k));
  STEP(vh, lp_narrow(vh_full, -2, 0, k));
  STEP(s_row, lp_unsqueeze(sv, -2));
  STEP(s_column, lp_unsqueeze(sv, -1));
  LpTensor *inner = NULL, *u_rest = NULL, *v_rest = NULL; /* rests: orthogonal to U, to V */
  if (grad_s) RESTEP(inner, diagonal_of(grad_s, u));
  if (grad_u || grad_vh) { /* needs singular values that differ; those of S alone do not */
    STEP(squares, lp_mul(sv, sv));
    STEP(e, differences(squares));
    if (grad_u) {
      STEP(gu, lp_narrow(grad_u, -1, 0, k));
      STEP(u_gu, adjoint_times(u, gu));
      STEP(u_skew, skew(u_gu));
      STEP(u_part, svd_side(u_skew, e, s_row));
      RESTEP(inner, inner ? add(inner, u_part) : lp_tensor_retain(u_part));
      if (lp_dtype_is_complex(u->dtype)) { /* the common phase of a pair of vectors */
        STEP(phase, lp_diagonal(u_skew, 0, -2, -1));
        STEP(twice, lp_scale_by(sv, lp_scalar_float(2)));
        RESTEP(phase, lp_div(phase, twice));
        STEP(embedded, lp_diag_embed(phase, 0, -2, -1));
        RESTEP(inner, add(inner, embedded));
      }
      if (m > k) {
        STEP(projected, lp_matmul(u, u_gu));
        RESTEP(u_rest, subtract(gu, projected));
        RESTEP(u_rest, lp_div(u_rest, s_row));
      }
    }
    if (grad_vh) {
      STEP(gvh, lp_narrow(grad_vh, -2, 0, k));
      STEP(v_gv, times_adjoint(vh, gvh)); /* V^H gV with gV = gVh^H */
      STEP(v_skew, skew(v_gv));
      STEP(v_part, svd_side(v_skew, e, s_column));
      RESTEP(inner, inner ? add(inner, v_part) : lp_tensor_retain(v_part));
      if (n > k) {
        STEP(gvh_v, times_adjoint(gvh, vh));
        STEP(projected, lp_matmul(gvh_v, vh));
        RESTEP(v_rest, subtract(gvh, projected));
        RESTEP(v_rest, lp_div(v_rest, s_column));
        RESTEP(v_rest, lp_matmul(u, v_rest));
      }
    }
  }
  STEP(left, lp_matmul(u, inner));
  if (u_rest) RESTEP(left, add(left, u_rest));
  STEP(result, lp_matmul(left, vh));
  if (v_rest) RESTEP(result, add(result, v_rest));
  return steps_finish(&s, result);
}

/* Golub and Pereyra (1973), in the order that multiplies the smaller matrices. */
LpTensor *lp_composite_pinv_backward(LpTensor *grad, LpTensor *A, LpTensor *pinv) {
  Steps s = {0};
  int64_t m = A->sizes[A->ndim - 2], n = A->sizes[A->ndim - 1];
  STEP(p_adjoint, lp_mat_adjoint(pinv));
  STEP(g_adjoint, lp_mat_adjoint(grad));
  if (m <= n) {
    STEP(k, lp_matmul(g_adjoint, pinv));
    STEP(kp, lp_matmul(k, p_adjoint));
    STEP(pk, lp_matmul(pinv, k));
    STEP(first, lp_mat_adjoint(pk));
    STEP(result, subtract(kp, first));
    STEP(ap, lp_matmul(A, pinv));
    STEP(third, lp_matmul(ap, kp));
    RESTEP(result, subtract(result, third));
    STEP(pp, lp_matmul(p_adjoint, pinv));
    STEP(ka, lp_matmul(k, A));
    STEP(rest, subtract(g_adjoint, ka));
    STEP(fourth, lp_matmul(pp, rest));
    RESTEP(result, add(result, fourth));
    return steps_finish(&s, result);
  }
  STEP(k, lp_matmul(pinv, g_adjoint));
  STEP(pk, lp_matmul(p_adjoint, k));
  STEP(kp, lp_matmul(k, pinv));
  STEP(first, lp_mat_adjoint(kp));
  STEP(result, subtract(pk, first));
  STEP(ak, lp_matmul(A, k));
  STEP(rest, subtract(g_adjoint, ak));
  STEP(pp, lp_matmul(pinv, p_adjoint));
  STEP(second, lp_matmul(rest, pp));
  RESTEP(result, add(result, second));
  STEP(pkp, lp_matmul(pk, pinv));
  STEP(fourth, lp_matmul(pkp, A));
  RESTEP(result, subtract(result, fourth));
  return steps_finish(&s, result);
}
