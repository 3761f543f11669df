/* Matrix decompositions: Cholesky, QR, singular values, eigenvalues; least squares. */
#include <limits.h>
#include <string.h>
#include "core/alloc.h"
#include "cpu/lapack.h"
#include "dispatch/iter.h"
#include "dispatch/linalg.h"
#include "dispatch/reduce.h"
#include "dispatch/shape.h"
#include "impl.h"

static bool all_made(LpTensor **t, int n) {
  bool ok = true;
  for (int i = 0; i < n; i++) ok = ok && t[i];
  for (int i = 0; !ok && i < n; i++) {
    lp_tensor_release(t[i]);
    t[i] = NULL;
  }
  return ok;
}

static char *at(const LpTensor *t, int64_t i, int64_t elems) {
  return t ? lp_data(t) + (size_t)(i * elems) * lp_dtype_size(t->dtype) : NULL;
}

static bool not_converged(const LpTensor *t, int64_t i, int info) {
  char text[64];
  if (info == LP_LAPACK_NO_MEMORY) return false;
  return lp_fail(LP_ERR_LINALG,
                 "%sThe algorithm failed to converge because the input matrix is "
                 "ill-conditioned or has too many "
                 "repeated singular values or eigenvalues (error code: %d).",
                 lp_batch_text(t, i, text, sizeof text), info);
}

/* With an infinity or a NaN some of LAPACK's iterations do not come back, others write
 * where they must not. */
static bool check_finite(const LpTensor *t, int64_t i, const char *matrix,
                         size_t matrix_bytes) {
  bool is_finite = true;
  if (lp_dtype_to_real(t->dtype) == LP_FLOAT32) {
    const float *x = (const float *)matrix;
    for (size_t k = 0; k < matrix_bytes / sizeof *x; k++) is_finite &= x[k] - x[k] == 0;
  } else {
    const double *x = (const double *)matrix;
    for (size_t k = 0; k < matrix_bytes / sizeof *x; k++) is_finite &= x[k] - x[k] == 0;
  }
  char text[64];
  CHECK(
      is_finite, LP_ERR_ARGUMENT,
      "%sThe algorithm failed to converge because the input matrix contained non-finite "
      "values.",
      lp_batch_text(t, i, text, sizeof text));
  return true;
}

/* --- Cholesky
 * ---------------------------------------------------------------------------------------
 */

/* Seen column-major, the lower triangle is the upper one of the conjugate, which has the
 * same factor. */
static bool cholesky_all(LpTensor *a, bool upper, int *info_of) {
  LpBatch b = lp_batch_of(a);
  size_t item = lp_dtype_size(a->dtype), n = (size_t)b.n;
  for (int64_t i = 0; n > 0 && i < b.count; i++) {
    char *matrix = lp_data(a) + (size_t)i * b.matrix_bytes, text[64];
    int info = lp_lapack_cholesky(a->dtype, upper ? 'L' : 'U', b.n, matrix);
    if (info_of) info_of[i] = info;
    CHECK(info == 0 || info_of, LP_ERR_LINALG,
          "%sThe factorization could not be completed because the input is not "
          "positive-definite (the leading minor "
          "of order %d is not positive-definite).",
          lp_batch_text(a, i, text, sizeof text), info);
    for (size_t row = 0; row < n; row++) {
      if (upper)
        memset(matrix + row * n * item, 0, row * item);
      else
        memset(matrix + (row * n + row + 1) * item, 0, (n - row - 1) * item);
    }
  }
  return true;
}

LpTensor *lp_impl_linalg_cholesky(LpTensor *out, LpTensor *self, bool upper) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  LpTensor *work = lp_linalg_copy(self);
  if (work && !cholesky_all(work, upper, NULL)) {
    lp_tensor_release(work);
    return NULL;
  }
  return lp_linalg_deliver(out, work);
}

bool lp_impl_linalg_cholesky_ex(LpTensor **outs, LpTensor *self, bool upper,
                                bool check_errors, LpTensor **results) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  results[0] = lp_linalg_copy(self);
  results[1] = results[0] ? lp_linalg_new_info(self) : NULL;
  bool ok = results[1] && cholesky_all(results[0], upper,
                                       check_errors ? NULL : (int *)lp_data(results[1]));
  return lp_linalg_finish(ok, results, 2) && lp_give_all(outs, results, 2);
}

/* The first columns of the product of the reflectors that the columns of `self` and tau
 * stand for. */
LpTensor *lp_impl_reflectors_product(LpTensor *self, LpTensor *tau) {
  TRY(lp_check_matrix(self, "self"));
  LpBatch b = lp_batch_of(self);
  CHECK(b.m >= b.n, LP_ERR_ARGUMENT,
        "self must not have more columns than rows, got shape %s", SHAPE_TEXT(self));
  CHECK(tau->dtype == self->dtype && tau->ndim == self->ndim - 1 && tau->ndim > 0 &&
            tau->sizes[tau->ndim - 1] <= b.n,
        LP_ERR_ARGUMENT, "tau (shape %s) does not fit self (shape %s)", SHAPE_TEXT(tau),
        SHAPE_TEXT(self));
  for (int i = 0; i + 2 < self->ndim; i++)
    CHECK(tau->sizes[i] == self->sizes[i], LP_ERR_ARGUMENT,
          "the batch dims of tau must be those of self, got shapes %s and %s",
          SHAPE_TEXT(tau), SHAPE_TEXT(self));
  int64_t k = tau->sizes[tau->ndim - 1];
  size_t item = lp_dtype_size(self->dtype), capacity;
  LpTensor *q = lp_linalg_copy(self), *factors = q ? lp_contiguous_raw(tau) : NULL;
  char *columns = factors ? lp_block_alloc(b.matrix_bytes + 1, &capacity) : NULL;
  bool ok = columns != NULL;
  for (int64_t i = 0; ok && b.matrix_bytes && i < b.count; i++) {
    char *matrix = lp_data(q) + (size_t)i * b.matrix_bytes;
    lp_linalg_turn(item, matrix, b.m, b.n, columns);
    ok = lp_lapack_qr_form(self->dtype, b.m, b.n, (int)k, columns, at(factors, i, k)) !=
         LP_LAPACK_NO_MEMORY;
    lp_linalg_turn(item, columns, b.n, b.m, matrix);
  }
  if (columns) lp_block_free(columns, capacity);
  lp_tensor_release(factors);
  lp_linalg_finish(ok, &q, 1);
  return q;
}

/* --- QR
 * ------------------------------------------------------------------------------------------------
 */

/* q NULL: R only. */
static bool qr_all(LpTensor *a, LpTensor *q, LpTensor *r, bool complete) {
  LpBatch b = lp_batch_of(a);
  int k = b.m < b.n ? b.m : b.n, q_columns = complete ? b.m : k;
  int wide = b.n > q_columns ? b.n : q_columns;
  size_t item = lp_dtype_size(a->dtype), m = (size_t)b.m, capacity,
         r_rows = (size_t)r->sizes[r->ndim - 2];
  char *columns = lp_block_alloc((m * (size_t)wide + (size_t)k + 1) * item, &capacity);
  if (!columns) return false;
  char *tau = columns + m * (size_t)wide * item;
  bool ok = true;
  for (int64_t i = 0; ok && i < b.count; i++) {
    lp_linalg_turn(item, lp_data(a) + (size_t)i * b.matrix_bytes, b.m, b.n, columns);
    if (k > 0) ok = lp_lapack_qr(a->dtype, b.m, b.n, columns, tau) != LP_LAPACK_NO_MEMORY;
    char *out = at(r, i, (int64_t)r_rows * b.n);
    lp_linalg_turn_part(item, columns, b.m, b.n, (int)r_rows, out, b.n);
    for (size_t row = 0; row < r_rows; row++)
      memset(out + row * (size_t)b.n * item, 0,
             (row < (size_t)b.n ? row : (size_t)b.n) * item);
    if (!ok || !q || q_columns == 0) continue;
    ok = lp_lapack_qr_form(a->dtype, b.m, q_columns, k, columns, tau) !=
         LP_LAPACK_NO_MEMORY;
    lp_linalg_turn(item, columns, q_columns, b.m, at(q, i, (int64_t)b.m * q_columns));
  }
  lp_block_free(columns, capacity);
  return ok;
}

bool lp_impl_linalg_qr(LpTensor **outs, LpTensor *A, const char *mode,
                       LpTensor **results) {
  TRY(lp_check_matrix(A, "A"));
  bool reduced = !strcmp(mode, "reduced"), complete = !strcmp(mode, "complete"),
       only_r = !strcmp(mode, "r");
  CHECK(reduced || complete || only_r, LP_ERR_ARGUMENT,
        "mode must be 'reduced', 'complete' or 'r', got '%s'", mode);
  LpBatch b = lp_batch_of(A);
  int64_t k = complete ? b.m : b.m < b.n ? b.m : b.n, empty = 0;
  LpTensor *a = lp_linalg_copy(A);
  if (!a) return false;
  results[0] = only_r ? lp_tensor_new(lp_ints(&empty, 1), A->dtype, A->storage->device)
                      : lp_linalg_new(A, (int64_t[]){b.m, k}, 2, A->dtype);
  results[1] = lp_linalg_new(A, (int64_t[]){k, b.n}, 2, A->dtype);
  bool ok = all_made(results, 2);
  ok = ok && lp_linalg_finish(qr_all(a, only_r ? NULL : results[0], results[1], complete),
                              results, 2);
  lp_tensor_release(a);
  return ok && lp_give_all(outs, results, 2);
}

/* --- singular values
 * --------------------------------------------------------------------------------------
 */

/* A row-major matrix is A^T to LAPACK: A^T = U' S V'^T, and U', column-major, is V^H
 * row-major. */
static bool svd_all(LpTensor *A, bool full, LpTensor *u, LpTensor *s, LpTensor *vh) {
  LpTensor *a = lp_linalg_copy(A);
  if (!a) return false;
  LpBatch b = lp_batch_of(a);
  int64_t k = b.m < b.n ? b.m : b.n;
  char job = !u ? 'N' : full ? 'A' : 'S';
  int64_t u_elems = u ? b.m * (full ? b.m : k) : 0,
          vh_elems = vh ? b.n * (full ? b.n : k) : 0;
  bool ok = true;
  for (int64_t i = 0; ok && i < b.count; i++) {
    char *matrix = lp_data(a) + (size_t)i * b.matrix_bytes;
    if (!(ok = check_finite(A, i, matrix, b.matrix_bytes))) break;
    int info = lp_lapack_svd(a->dtype, job, b.n, b.m, matrix, at(s, i, k),
                             at(vh, i, vh_elems), at(u, i, u_elems));
    if (info) ok = not_converged(A, i, info);
  }
  lp_tensor_release(a);
  return ok;
}

static bool make_identity(LpTensor *t) {
  TRY(lp_fill_into(t, lp_scalar_int(0)));
  int64_t n = t->sizes[t->ndim - 1], count = n ? t->numel / (n * n) : 0;
  int64_t sizes[2] = {count, n}, strides[2] = {n * n, n + 1};
  LpTensor *diagonal =
      lp_tensor_alias(t, lp_ints(sizes, 2), lp_ints(strides, 2), t->offset_elems);
  bool ok = diagonal && lp_fill_into(diagonal, lp_scalar_int(1));
  lp_tensor_release(diagonal);
  return ok;
}

bool lp_impl_linalg_svd(LpTensor **outs, LpTensor *A, bool full_matrices,
                        LpTensor **results) {
  TRY(lp_check_matrix(A, "A"));
  LpBatch b = lp_batch_of(A);
  int64_t k = b.m < b.n ? b.m : b.n;
  results[0] = lp_linalg_new(A, (int64_t[]){b.m, full_matrices ? b.m : k}, 2, A->dtype);
  results[1] = lp_linalg_new(A, &k, 1, lp_dtype_to_real(A->dtype));
  results[2] = lp_linalg_new(A, (int64_t[]){full_matrices ? b.n : k, b.n}, 2, A->dtype);
  TRY(all_made(results, 3));
  bool ok =
      k == 0 ? !full_matrices || (make_identity(results[0]) && make_identity(results[2]))
             : svd_all(A, full_matrices, results[0], results[1], results[2]);
  return lp_linalg_finish(ok, results, 3) && lp_give_all(outs, results, 3);
}

LpTensor *lp_impl_svdvals_only(LpTensor *A) {
  TRY(lp_check_matrix(A, "A"));
  LpBatch b = lp_batch_of(A);
  int64_t k = b.m < b.n ? b.m : b.n;
  LpTensor *s = lp_linalg_new(A, &k, 1, lp_dtype_to_real(A->dtype));
  if (s && k > 0 && !svd_all(A, false, NULL, s, NULL)) {
    lp_tensor_release(s);
    return NULL;
  }
  return s;
}

/* --- eigenvalues
 * -------------------------------------------------------------------------------------------
 */

static bool check_uplo(const char *uplo, char *result) {
  *result = uplo[0] & ~32;
  CHECK((*result == 'L' || *result == 'U') && !uplo[1], LP_ERR_ARGUMENT,
        "UPLO must be 'L' or 'U', got '%s'", uplo);
  return true;
}

static bool eigh_all(LpTensor *A, char uplo, LpTensor *w, LpTensor *v) {
  LpTensor *a = lp_linalg_copy(A);
  if (!a) return false;
  LpBatch b = lp_batch_of(a);
  size_t item = lp_dtype_size(a->dtype), capacity;
  char *columns = lp_block_alloc(b.matrix_bytes + 1, &capacity);
  bool ok = columns != NULL;
  for (int64_t i = 0; ok && b.n > 0 && i < b.count; i++) {
    const char *matrix = lp_data(a) + (size_t)i * b.matrix_bytes;
    for (size_t r = 0, n = (size_t)b.n; ok && r < n; r++) /* the triangle that is read */
      ok = uplo == 'L' ? check_finite(A, i, matrix + r * n * item, (r + 1) * item)
                       : check_finite(A, i, matrix + (r * n + r) * item, (n - r) * item);
    if (!ok) break;
    lp_linalg_turn(item, matrix, b.n, b.n, columns);
    int info = lp_lapack_eigh(a->dtype, v != NULL, uplo, b.n, columns, at(w, i, b.n));
    if (info)
      ok = not_converged(A, i, info);
    else if (v)
      lp_linalg_turn(item, columns, b.n, b.n, at(v, i, (int64_t)b.n * b.n));
  }
  if (columns) lp_block_free(columns, capacity);
  lp_tensor_release(a);
  return ok;
}

bool lp_impl_linalg_eigh(LpTensor **outs, LpTensor *self, const char *UPLO,
                         LpTensor **results) {
  char uplo;
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  TRY(check_uplo(UPLO, &uplo));
  int64_t n = self->sizes[self->ndim - 1];
  results[0] = lp_linalg_new(self, &n, 1, lp_dtype_to_real(self->dtype));
  results[1] = lp_linalg_new(self, (int64_t[]){n, n}, 2, self->dtype);
  TRY(all_made(results, 2));
  return lp_linalg_finish(eigh_all(self, uplo, results[0], results[1]), results, 2) &&
         lp_give_all(outs, results, 2);
}

LpTensor *lp_impl_eigvalsh_only(LpTensor *self, const char *UPLO) {
  char uplo;
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  TRY(check_uplo(UPLO, &uplo));
  int64_t n = self->sizes[self->ndim - 1];
  LpTensor *w = lp_linalg_new(self, &n, 1, lp_dtype_to_real(self->dtype));
  if (w && !eigh_all(self, uplo, w, NULL)) {
    lp_tensor_release(w);
    return NULL;
  }
  return w;
}

static bool eig_all(LpTensor *A, LpTensor *w, LpTensor *v) {
  LpBatch b = lp_batch_of(A);
  LpTensor *a = lp_linalg_copy(A);
  if (!a) return false;
  size_t item = lp_dtype_size(w->dtype), capacity;
  char *columns =
      lp_block_alloc(b.matrix_bytes + (size_t)b.n * (size_t)b.n * item + 16, &capacity);
  bool ok = columns != NULL;
  char *vectors = columns ? columns + (b.matrix_bytes + 15) / 16 * 16 : NULL;
  for (int64_t i = 0; ok && b.n > 0 && i < b.count; i++) {
    const char *matrix = lp_data(a) + (size_t)i * b.matrix_bytes;
    if (!(ok = check_finite(A, i, matrix, b.matrix_bytes))) break;
    lp_linalg_turn(lp_dtype_size(A->dtype), matrix, b.n, b.n, columns);
    int info = lp_lapack_eig(A->dtype, b.n, columns, at(w, i, b.n), v ? vectors : NULL);
    if (info)
      ok = not_converged(A, i, info);
    else if (v)
      lp_linalg_turn(item, vectors, b.n, b.n, at(v, i, (int64_t)b.n * b.n));
  }
  if (columns) lp_block_free(columns, capacity);
  lp_tensor_release(a);
  return ok;
}

bool lp_impl_linalg_eig(LpTensor **outs, LpTensor *self, LpTensor **results) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  int64_t n = self->sizes[self->ndim - 1];
  results[0] = lp_linalg_new(self, &n, 1, lp_dtype_to_complex(self->dtype));
  results[1] =
      lp_linalg_new(self, (int64_t[]){n, n}, 2, lp_dtype_to_complex(self->dtype));
  TRY(all_made(results, 2));
  return lp_linalg_finish(eig_all(self, results[0], results[1]), results, 2) &&
         lp_give_all(outs, results, 2);
}

LpTensor *lp_impl_eigvals_only(LpTensor *self) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  int64_t n = self->sizes[self->ndim - 1];
  LpTensor *w = lp_linalg_new(self, &n, 1, lp_dtype_to_complex(self->dtype));
  if (w && !eig_all(self, w, NULL)) {
    lp_tensor_release(w);
    return NULL;
  }
  return w;
}

/* --- least squares
 * --------------------------------------------------------------------------------------------
 */

/* x (n x k), residuals (k, when m > n and A has full rank), rank, singular values (by the
 * SVD drivers). */
static bool lstsq_all(LpTensor *a, LpTensor *b, double rcond, bool by_svd,
                      LpTensor **results) {
  LpBatch ba = lp_batch_of(a), bb = lp_batch_of(b);
  int k = bb.n, tall = ba.m > ba.n ? ba.m : ba.n, small = ba.m < ba.n ? ba.m : ba.n;
  size_t item = lp_dtype_size(a->dtype), capacity,
         a_bytes = (ba.matrix_bytes + 15) / 16 * 16;
  char *columns =
      lp_block_alloc(a_bytes + (size_t)tall * (size_t)k * item + 16, &capacity);
  if (!columns) return false;
  char *rhs = columns + a_bytes;
  bool ok = true;
  for (int64_t i = 0; ok && i < ba.count; i++) {
    ok = check_finite(a, i, lp_data(a) + (size_t)i * ba.matrix_bytes, ba.matrix_bytes) &&
         check_finite(b, i, lp_data(b) + (size_t)i * bb.matrix_bytes, bb.matrix_bytes);
    if (!ok) break;
    lp_linalg_turn(item, lp_data(a) + (size_t)i * ba.matrix_bytes, ba.m, ba.n, columns);
    const char *src = lp_data(b) + (size_t)i * bb.matrix_bytes;
    memset(rhs, 0, (size_t)tall * (size_t)k * item);
    lp_linalg_turn_part(item, src, k, bb.m, k, rhs, tall);
    int rank = 0;
    if (small > 0 && k > 0) {
      int info = lp_lapack_lstsq(a->dtype, ba.m, ba.n, k, columns, rhs, rcond, &rank,
                                 by_svd ? at(results[3], i, small) : NULL);
      if (info) ok = not_converged(a, i, info);
    }
    ((int64_t *)lp_data(results[2]))[i] = rank;
    char *x = at(results[0], i, (int64_t)ba.n * k);
    lp_linalg_turn_part(item, rhs, tall, k, ba.n, x, k);
  }
  lp_block_free(columns, capacity);
  return ok;
}

bool lp_impl_lstsq_solve(LpTensor *self, LpTensor *b, LpOptFloat rcond, bool by_svd,
                         LpTensor **results) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_matrix(b, "b"));
  CHECK(self->dtype == b->dtype, LP_ERR_TYPE,
        "self and b must have the same dtype, got %s and %s", lp_dtype_name(self->dtype),
        lp_dtype_name(b->dtype));
  CHECK(self->sizes[self->ndim - 2] == b->sizes[b->ndim - 2], LP_ERR_ARGUMENT,
        "self (shape %s) and b (shape %s) must have the same number of rows",
        SHAPE_TEXT(self), SHAPE_TEXT(b));
  int64_t batch[LP_MAX_DIMS], batch_ndim;
  LpInts shapes[2] = {lp_ints(self->sizes, self->ndim - 2),
                      lp_ints(b->sizes, b->ndim - 2)};
  TRY(lp_broadcast_shapes(shapes, 2, batch, &batch_ndim));
  int64_t m = self->sizes[self->ndim - 2], n = self->sizes[self->ndim - 1],
          k = b->sizes[b->ndim - 1];
  int64_t small = m < n ? m : n, none = 0;
  bool single = self->dtype == LP_FLOAT32 || self->dtype == LP_COMPLEX64;
  double bound =
      rcond.has ? rcond.value : (single ? 0x1p-23 : 0x1p-52) * (double)(m > n ? m : n);
  batch[batch_ndim] = m;
  batch[batch_ndim + 1] = n;
  LpTensor *wide_a = lp_expand_alias(self, lp_ints(batch, batch_ndim + 2));
  batch[batch_ndim + 1] = k;
  LpTensor *wide_b = lp_expand_alias(b, lp_ints(batch, batch_ndim + 2));
  LpTensor *a = wide_a ? lp_linalg_copy(wide_a) : NULL,
           *rhs = wide_b ? lp_linalg_copy(wide_b) : NULL;
  bool ok = a && rhs;
  if (ok) {
    results[0] = lp_linalg_new(a, (int64_t[]){n, k}, 2, a->dtype);
    results[1] = lp_tensor_new(lp_ints(&none, 1), lp_dtype_to_real(a->dtype), lp_cpu());
    results[2] = lp_linalg_new(a, NULL, 0, LP_INT64);
    results[3] =
        by_svd ? lp_linalg_new(a, &small, 1, lp_dtype_to_real(a->dtype))
               : lp_tensor_new(lp_ints(&none, 1), lp_dtype_to_real(a->dtype), lp_cpu());
    ok = all_made(results, 4) &&
         lp_linalg_finish(lstsq_all(a, rhs, bound, by_svd, results), results, 4);
  }
  lp_tensor_release(wide_a);
  lp_tensor_release(wide_b);
  lp_tensor_release(a);
  lp_tensor_release(rhs);
  return ok;
}
