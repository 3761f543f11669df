/* Solvers and decompositions written in terms of the native ones: eigenvalues alone, LU
 * in parts, Cholesky and LU solves, least squares, the pseudo-inverse, the exponential.
 */
#include <math.h>
#include <string.h>
#include "composite/steps.h"
#include "dispatch/linalg.h"
#include "impl.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

/* --- values only: with a gradient wanted, the vectors are needed too
 * ---------------------------------- */

LpTensor *lp_composite_linalg_svdvals(LpTensor *A) {
  if (!lp_is_recorded(A)) return lp_svdvals_only(A);
  LpTensor *usv[3];
  if (!lp_linalg_svd(A, false, usv)) return NULL;
  lp_tensor_release(usv[0]);
  lp_tensor_release(usv[2]);
  return usv[1];
}

LpTensor *lp_composite_linalg_eigvalsh(LpTensor *self, const char *UPLO) {
  if (!lp_is_recorded(self)) return lp_eigvalsh_only(self, UPLO);
  LpTensor *parts[2];
  if (!lp_linalg_eigh(self, UPLO, parts)) return NULL;
  lp_tensor_release(parts[1]);
  return parts[0];
}

LpTensor *lp_composite_linalg_eigvals(LpTensor *self) {
  if (!lp_is_recorded(self)) return lp_eigvals_only(self);
  LpTensor *parts[2];
  if (!lp_linalg_eig(self, parts)) return NULL;
  lp_tensor_release(parts[1]);
  return parts[0];
}

bool lp_composite_svd(LpTensor *self, bool some, bool compute_uv, LpTensor **results) {
  LpTensor *usv[3];
  TRY(lp_linalg_svd(self, !some, usv));
  results[0] = usv[0];
  results[1] = usv[1];
  results[2] = lp_mat_adjoint(usv[2]);
  lp_tensor_release(usv[2]);
  for (int i = 0; i < 3 && !compute_uv; i += 2) {
    LpTensor *t = results[i];
    results[i] = t ? lp_zeros_like(t, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0},
                                   LP_FORMAT_NONE, false)
                   : NULL;
    lp_tensor_release(t);
  }
  if (results[0] && results[2]) return true;
  for (int i = 0; i < 3; i++) lp_tensor_release(results[i]);
  return false;
}

LpTensor *lp_composite_logdet(LpTensor *self) {
  Steps s = {0};
  LpTensor *parts[2];
  if (!lp_linalg_slogdet(self, parts)) return NULL;
  steps_note(&s, parts[0]);
  steps_note(&s, parts[1]);
  STEP(phase, lp_log(parts[0])); /* NaN for a negative determinant, as log gives */
  STEP(result, lp_add(phase, parts[1], lp_scalar_int(1)));
  return steps_finish(&s, result);
}

/* --- LU
 * ----------------------------------------------------------------------------------------------------
 */

/* Are these the pivots of LU, `count` for each matrix? */
static bool check_pivots(const LpTensor *pivots, const LpTensor *LU, int64_t count) {
  CHECK(pivots->dtype == LP_INT32, LP_ERR_TYPE,
        "the pivots must be int32, as lu_factor returns them, got %s",
        lp_dtype_name(pivots->dtype));
  bool fits = pivots->ndim == LU->ndim - 1 && pivots->sizes[pivots->ndim - 1] == count;
  for (int64_t i = 0; fits && i < pivots->ndim - 1; i++)
    fits = pivots->sizes[i] == LU->sizes[i];
  CHECK(fits, LP_ERR_ARGUMENT,
        "the pivots of LU of shape %s must be %lld for each matrix, got shape %s",
        SHAPE_TEXT(LU), (long long)count, SHAPE_TEXT(pivots));
  return true;
}

bool lp_composite_lu_unpack(LpTensor *LU_data, LpTensor *LU_pivots, bool unpack_data,
                            bool unpack_pivots, LpTensor **results) {
  CHECK(LU_data->ndim >= 2, LP_ERR_ARGUMENT,
        "LU_data must have at least 2 dims, got shape %s", SHAPE_TEXT(LU_data));
  int64_t m = LU_data->sizes[LU_data->ndim - 2], n = LU_data->sizes[LU_data->ndim - 1],
          k = m < n ? m : n, none = 0;
  if (unpack_pivots) TRY(check_pivots(LU_pivots, LU_data, k));
  results[0] = unpack_pivots ? lp_lu_permutation(LU_pivots, m, LU_data->dtype)
                             : lp_tensor_new(lp_ints(&none, 1), LU_data->dtype,
                                             LU_data->storage->device);
  LpTensor *l = NULL, *u = NULL;
  if (unpack_data) {
    LpTensor *left = lp_narrow(LU_data, -1, 0, k),
             *lower = left ? lp_tril(left, -1) : NULL;
    LpTensor *one =
        lower ? lp_eye_m(m, k, LU_data->dtype, LU_data->storage->device, false) : NULL;
    l = one ? lp_add(lower, one, lp_scalar_int(1)) : NULL;
    LpTensor *top = lp_narrow(LU_data, -2, 0, k);
    u = top ? lp_triu(top, 0) : NULL;
    LpTensor *temporary[4] = {left, lower, one, top};
    for (int i = 0; i < 4; i++) lp_tensor_release(temporary[i]);
  } else {
    l = lp_tensor_new(lp_ints(&none, 1), LU_data->dtype, LU_data->storage->device);
    u = lp_tensor_new(lp_ints(&none, 1), LU_data->dtype, LU_data->storage->device);
  }
  results[1] = l;
  results[2] = u;
  if (results[0] && l && u) return true;
  for (int i = 0; i < 3; i++) lp_tensor_release(results[i]);
  return false;
}

bool lp_composite_linalg_lu(LpTensor *A, bool pivot, LpTensor **results) {
  LpTensor *factors[2];
  TRY(lp_linalg_lu_factor(A, pivot, factors));
  bool ok = lp_lu_unpack(factors[0], factors[1], true, true, results);
  lp_tensor_release(factors[0]);
  lp_tensor_release(factors[1]);
  return ok;
}

LpTensor *lp_composite_linalg_lu_solve(LpTensor *LU, LpTensor *pivots, LpTensor *B,
                                       bool left, bool adjoint) {
  TRY(lp_check_matrix(LU, "LU"));
  TRY(lp_check_square(LU, "LU"));
  TRY(check_pivots(pivots, LU, LU->sizes[LU->ndim - 1]));
  CHECK(LU->dtype == B->dtype, LP_ERR_TYPE,
        "LU and B must have the same dtype, got %s and %s", lp_dtype_name(LU->dtype),
        lp_dtype_name(B->dtype));
  Steps s = {0};
  if (!left) { /* X A = B is A^H X^H = B^H */
    STEP(b, lp_mat_adjoint(B));
    STEP(x, lp_linalg_lu_solve(LU, pivots, b, true, !adjoint));
    STEP(result, lp_mat_adjoint(x));
    return steps_finish(&s, result);
  }
  STEP(p, lp_lu_permutation(pivots, LU->sizes[LU->ndim - 1], LU->dtype));
  if (adjoint) {
    STEP(turned, lp_mat_adjoint(LU));
    STEP(y, lp_linalg_solve_triangular(turned, B, false, true, false));
    STEP(x, lp_linalg_solve_triangular(turned, y, true, true, true));
    STEP(result, lp_matmul(p, x));
    return steps_finish(&s, result);
  }
  STEP(turned, lp_transpose(p, -2, -1));
  STEP(b, lp_matmul(turned, B));
  STEP(y, lp_linalg_solve_triangular(LU, b, false, true, true));
  STEP(result, lp_linalg_solve_triangular(LU, y, true, true, false));
  return steps_finish(&s, result);
}

/* --- Cholesky
 * ------------------------------------------------------------------------------------------------
 */

LpTensor *lp_impl_cholesky_solve(LpTensor *out, LpTensor *self, LpTensor *input2,
                                 bool upper) {
  TRY(lp_check_square(input2, "input2"));
  Steps s = {0};
  STEP(turned, lp_mat_adjoint(input2));
  STEP(y, lp_linalg_solve_triangular(upper ? turned : input2, self, false, true, false));
  STEP(result, lp_linalg_solve_triangular(upper ? input2 : turned, y, true, true, false));
  return lp_linalg_deliver(out, steps_finish(&s, result));
}

LpTensor *lp_impl_cholesky_inverse(LpTensor *out, LpTensor *self, bool upper) {
  TRY(lp_check_square(self, "self"));
  Steps s = {0};
  STEP(one,
       lp_eye(self->sizes[self->ndim - 1], self->dtype, self->storage->device, false));
  STEP(result, lp_cholesky_solve(one, self, upper));
  return lp_linalg_deliver(out, steps_finish(&s, result));
}

bool lp_composite_triangular_solve(LpTensor *self, LpTensor *A, bool upper,
                                   bool transpose, bool unitriangular,
                                   LpTensor **results) {
  TRY(lp_check_square(A, "A"));
  LpTensor *turned = transpose ? lp_transpose(A, -2, -1) : lp_tensor_retain(A);
  if (!turned) return false;
  results[0] =
      lp_linalg_solve_triangular(turned, self, upper != transpose, true, unitriangular);
  results[1] = results[0] ? lp_clone(A, LP_FORMAT_NONE) : NULL;
  lp_tensor_release(turned);
  if (results[1]) return true;
  lp_tensor_release(results[0]);
  return false;
}

/* --- least squares and the pseudo-inverse
 * ------------------------------------------------------------------------ */

static double epsilon(LpDtype dtype) {
  return dtype == LP_FLOAT32 || dtype == LP_COMPLEX64 ? 0x1p-23 : 0x1p-52;
}

/* A tolerance (a number, or one for each matrix) as a column beside the singular values.
 */
static LpTensor *tolerance(LpTensor *given, LpTensor *sv, const char *name) {
  CHECK(!lp_dtype_is_complex((LpDtype)given->dtype), LP_ERR_TYPE,
        "%s must be real, got %s", name, lp_dtype_name((LpDtype)given->dtype));
  LpTensor *real = lp_to_dtype(given, (LpDtype)sv->dtype, false, false, LP_FORMAT_NONE);
  LpTensor *column = real ? lp_unsqueeze(real, -1) : NULL;
  lp_tensor_release(real);
  return column;
}

/* Singular values above the bound as a mask; the bound is the larger of atol and rtol *
 * the largest. Without rtol it is 0 where atol is above 0, else the dtype's precision
 * times the longer side. */
static LpTensor *significant(LpTensor *A, LpTensor *sv, LpTensor *atol, LpTensor *rtol) {
  int64_t m = A->sizes[A->ndim - 2], n = A->sizes[A->ndim - 1];
  Steps s = {0};
  STEP(zero, lp_tensor_wrapped(lp_scalar_float(0)));
  STEP(absolute, atol ? tolerance(atol, sv, "atol") : lp_tensor_retain(zero));
  STEP(relative, rtol ? tolerance(rtol, sv, "rtol")
                      : lp_tensor_wrapped(lp_scalar_float((double)(m > n ? m : n) *
                                                          epsilon(A->dtype))));
  if (atol && !rtol) {
    STEP(given, lp_gt(absolute, zero));
    RESTEP(relative, lp_where(given, zero, relative));
  }
  STEP(largest, lp_amax(sv, lp_ints((int64_t[]){-1}, 1), true));
  STEP(bound, lp_mul(largest, relative));
  RESTEP(bound, lp_maximum(bound, absolute));
  STEP(result, lp_gt(sv, bound));
  return steps_finish(&s, result);
}

/* Singular values of a Hermitian matrix are the moduli of its eigenvalues. */
static LpTensor *singular_values(LpTensor *A, bool hermitian) {
  if (!hermitian) return lp_linalg_svdvals(A);
  LpTensor *w = lp_linalg_eigvalsh(A, "L"), *result = w ? lp_abs(w) : NULL;
  lp_tensor_release(w);
  return result;
}

LpTensor *lp_composite_linalg_matrix_rank_tol(LpTensor *self, LpTensor *tol,
                                              bool hermitian) {
  LpTensor *zero = lp_tensor_wrapped(lp_scalar_float(0));
  LpTensor *rank = zero ? lp_linalg_matrix_rank(self, tol, zero, hermitian) : NULL;
  lp_tensor_release(zero);
  return rank;
}

LpTensor *lp_composite_linalg_matrix_rank(LpTensor *self, LpTensor *atol, LpTensor *rtol,
                                          bool hermitian) {
  TRY(lp_check_matrix(self, "self"));
  if (hermitian) TRY(lp_check_square(self, "self"));
  Steps s = {0};
  STEP(sv, singular_values(self, hermitian));
  if (sv->sizes[sv->ndim - 1] == 0) {
    STEP(none, lp_sum_dim(sv, lp_ints((int64_t[]){-1}, 1), false, LP_INT64));
    return steps_finish(&s, none);
  }
  STEP(mask, significant(self, sv, atol, rtol));
  STEP(result, lp_sum_dim(mask, lp_ints((int64_t[]){-1}, 1), false, LP_INT64));
  return steps_finish(&s, result);
}

/* The value op behind pinv; its derivative is written out, for the one of svd fails at
 * equal singular values. */
LpTensor *lp_impl_pinv_by_svd(LpTensor *A, LpTensor *atol, LpTensor *rtol,
                              bool hermitian) {
  Steps s = {0};
  LpTensor *usv[3];
  STEP(lower, hermitian ? lp_tril(A, -1) : lp_tensor_retain(A));
  if (hermitian) { /* only the lower triangle counts, and the real part of the diagonal */
    STEP(upper, lp_mat_adjoint(lower));
    RESTEP(lower, lp_add(lower, upper, lp_scalar_int(1)));
    STEP(diagonal, lp_diagonal(A, 0, -2, -1));
    if (lp_dtype_is_complex((LpDtype)A->dtype)) RESTEP(diagonal, lp_real(diagonal));
    RESTEP(diagonal, lp_diag_embed(diagonal, 0, -2, -1));
    RESTEP(lower, lp_add(lower, diagonal, lp_scalar_int(1)));
  }
  if (!lp_linalg_svd(lower, false, usv)) return steps_drop(&s);
  for (int i = 0; i < 3; i++) steps_note(&s, usv[i]);
  STEP(u, lp_mat_adjoint(usv[0]));
  STEP(v, lp_mat_adjoint(usv[2]));
  if (usv[1]->sizes[usv[1]->ndim - 1] == 0) {
    STEP(empty, lp_matmul(v, u));
    return steps_finish(&s, empty);
  }
  STEP(mask, significant(A, usv[1], atol, rtol));
  STEP(inverse, lp_reciprocal(usv[1]));
  STEP(unwanted, lp_logical_not(mask));
  STEP(zero, lp_tensor_wrapped(lp_scalar_int(0)));
  RESTEP(inverse, lp_masked_fill(inverse, unwanted, zero));
  RESTEP(inverse, lp_unsqueeze(inverse, -2));
  STEP(scaled, lp_mul(v, inverse));
  STEP(result, lp_matmul(scaled, u));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_pinv(LpTensor *self, LpTensor *atol, LpTensor *rtol,
                                   bool hermitian) {
  TRY(lp_check_matrix(self, "self"));
  if (hermitian) TRY(lp_check_square(self, "self"));
  return lp_pinv_by_svd(self, atol, rtol, hermitian);
}

LpTensor *lp_composite_linalg_pinv_rcond(LpTensor *self, LpTensor *rcond,
                                         bool hermitian) {
  return lp_linalg_pinv(self, NULL, rcond, hermitian);
}

static LpTensor *residuals_of(LpTensor *A, LpTensor *b, LpTensor *x) {
  Steps s = {0};
  STEP(product, lp_matmul(A, x));
  STEP(difference, lp_sub(product, b, lp_scalar_int(1)));
  STEP(size, lp_abs(difference));
  STEP(square, lp_mul(size, size));
  STEP(result, lp_sum_dim(square, lp_ints((int64_t[]){-2}, 1), false, LP_DTYPE_NONE));
  return steps_finish(&s, result);
}

/* Whether every matrix has the rank n. */
static bool full_rank(const LpTensor *rank, int64_t n) {
  for (int64_t i = 0; i < rank->numel; i++)
    if (((const int64_t *)lp_data(rank))[i] != n) return false;
  return true;
}

bool lp_composite_linalg_lstsq(LpTensor *self, LpTensor *b, LpOptFloat rcond,
                               const char *driver, LpTensor **results) {
  TRY(lp_check_matrix(self, "self"));
  const char *name = driver ? driver : "gelsy";
  bool by_svd = !strcmp(name, "gelsd") || !strcmp(name, "gelss");
  CHECK(by_svd || !strcmp(name, "gelsy") || !strcmp(name, "gels"), LP_ERR_ARGUMENT,
        "driver must be 'gels', 'gelsy', 'gelsd' or 'gelss', got '%s'", name);
  bool vectors = lp_solve_by_vectors(lp_sizes(self), lp_sizes(b)) && b->ndim < self->ndim;
  LpTensor *rhs = vectors ? lp_unsqueeze(b, -1) : lp_tensor_retain(b);
  if (!rhs) return false;
  bool ok = lp_lstsq_solve(self, rhs, rcond, by_svd, results);
  int64_t m = self->sizes[self->ndim - 2], n = self->sizes[self->ndim - 1];
  if (ok && m > n && strcmp(name, "gelsy") && full_rank(results[2], n)) {
    LpTensor *residuals = residuals_of(self, rhs, results[0]);
    lp_tensor_release(results[1]);
    results[1] = residuals;
    ok = residuals != NULL;
  }
  if (ok && !strcmp(name, "gels")) { /* which takes the rank for granted */
    int64_t none = 0;
    lp_tensor_release(results[2]);
    results[2] = lp_tensor_new(lp_ints(&none, 1), LP_INT64, lp_cpu());
    ok = results[2] != NULL;
  }
  if (ok && vectors) {
    LpTensor *flat = lp_squeeze_dim(results[0], -1);
    lp_tensor_release(results[0]);
    results[0] = flat;
    ok = flat != NULL;
  }
  lp_tensor_release(rhs);
  if (ok) return true;
  for (int i = 0; i < 4; i++) lp_tensor_release(results[i]);
  return false;
}

bool lp_composite_lstsq_backward(LpTensor *grad, LpTensor *A, LpTensor *b,
                                 unsigned wanted, LpTensor **results) {
  Steps s = {0};
  LpTensor *grad_a = NULL, *grad_b = NULL;
  STEP(pinv, lp_linalg_pinv(A, NULL, NULL, false));
  if (wanted & 1) {
    STEP(turned, lp_mat_adjoint(b));
    STEP(grad_pinv, lp_matmul(grad, turned));
    STEP(whole, lp_pinv_backward(grad_pinv, A, pinv));
    RESTEP(grad_a, lp_sum_to_size(whole, lp_sizes(A)));
  }
  if (wanted & 2) {
    STEP(adjoint, lp_mat_adjoint(pinv));
    STEP(whole, lp_matmul(adjoint, grad));
    RESTEP(grad_b, lp_sum_to_size(whole, lp_sizes(b)));
  }
  results[0] = grad_a ? lp_tensor_retain(grad_a) : NULL;
  results[1] = grad_b ? lp_tensor_retain(grad_b) : NULL;
  steps_drop(&s);
  return true;
}

/* --- the exponential
 * ----------------------------------------------------------------------------------------------
 */

/* Scaling and squaring with the Pade approximant of degree 13 (Higham 2005). */
static LpTensor *exponential(LpTensor *A) {
  static const double c[14] = {64764752532480000.,
                               32382376266240000.,
                               7771770303897600.,
                               1187353796428800.,
                               129060195264000.,
                               10559470521600.,
                               670442572800.,
                               33522128640.,
                               1323241920.,
                               40840800.,
                               960960.,
                               16380.,
                               182.,
                               1.};
  const double theta = 5.371920351148152;
  TRY(lp_check_matrix(A, "A"));
  TRY(lp_check_square(A, "A"));
  Steps s = {0};
  if (A->numel == 0) return lp_clone(A, LP_FORMAT_NONE);
  STEP(plain, lp_detach(A));
  STEP(size, lp_abs(plain));
  STEP(sums, lp_sum_dim(size, lp_ints((int64_t[]){-2}, 1), false, LP_DTYPE_NONE));
  STEP(largest, lp_max(lp_whole(sums)));
  LpScalar norm;
  if (!lp_item(largest, &norm)) return steps_drop(&s);
  double n1 = lp_scalar_to_double(norm);
  int halvings = isfinite(n1) && n1 > theta ? (int)ceil(log2(n1 / theta)) : 0;
  STEP(a, lp_scale_by(A, lp_scalar_float(ldexp(1, -halvings))));
  STEP(one, lp_eye(A->sizes[A->ndim - 1], A->dtype, A->storage->device, false));
  STEP(a2, lp_matmul(a, a));
  STEP(a4, lp_matmul(a2, a2));
  STEP(a6, lp_matmul(a2, a4));
  LpTensor *powers[4] = {one, a2, a4, a6}, *halves[2];
  for (int odd = 1; odd >= 0; odd--) { /* U = A (A6 (...) + ...), V = A6 (...) + ... */
    LpTensor *high = NULL, *low = NULL;
    for (int i = 0; i < 4; i++) {
      STEP(term, lp_scale_by(powers[i], lp_scalar_float(c[2 * i + odd])));
      low = low ? steps_note(&s, lp_add(low, term, lp_scalar_int(1))) : term;
      if (!low) return steps_drop(&s);
      if (i == 0) continue;
      STEP(upper, lp_scale_by(powers[i], lp_scalar_float(c[2 * i + 6 + odd])));
      high = high ? steps_note(&s, lp_add(high, upper, lp_scalar_int(1))) : upper;
      if (!high) return steps_drop(&s);
    }
    STEP(lifted, lp_matmul(a6, high));
    STEP(sum, lp_add(lifted, low, lp_scalar_int(1)));
    halves[odd] = sum;
  }
  STEP(u, lp_matmul(a, halves[1]));
  STEP(numerator, lp_add(halves[0], u, lp_scalar_int(1)));
  STEP(denominator, lp_sub(halves[0], u, lp_scalar_int(1)));
  STEP(solved, lp_linalg_solve(denominator, numerator, true));
  LpTensor *result = steps_finish(&s, solved);
  for (; result && halvings > 0; halvings--) {
    LpTensor *square = lp_matmul(result, result);
    lp_tensor_release(result);
    result = square;
  }
  return result;
}

LpTensor *lp_composite_linalg_matrix_exp(LpTensor *A) {
  if (A->dtype != LP_FLOAT16 && A->dtype != LP_BFLOAT16) return exponential(A);
  const LpDevice here = {LP_DEVICE_NONE, 0};
  Steps s = {0};
  STEP(wide, lp_to_copy(A, LP_FLOAT32, here, LP_FORMAT_NONE));
  STEP(value, exponential(wide));
  STEP(result, lp_to_copy(value, A->dtype, here, LP_FORMAT_NONE));
  return steps_finish(&s, result);
}
