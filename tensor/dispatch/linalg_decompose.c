/* Matrix decompositions: Cholesky, QR, singular values, eigenvalues; least squares. */
#include <limits.h>
#include <string.h>
#include "core/alloc.h"
#include "cpu/gemm.h"
#include "cpu/lapack.h"
#include "dispatch/iter.h"
#include "dispatch/linalg.h"
#include "dispatch/linalg_batch.h"
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

/* LpMatrixLoop's threads_from: half of the work on eigenvalues and singular values, and
 * of QR with pivots, is with vectors, which OpenBLAS's threads spoil, as they do the
 * narrow products of QR's blocks; what is around QR, transposing and products, is shared
 * much earlier. */
#define VALUES_THREADS 3e8
#define QR_THREADS 4e7
#define AROUND_QR_THREADS 1e6

/* Each matrix by `step`; raises the error of the first one that fails. */
static bool each(const LpTensor *t, double flops, double threads_from,
                 size_t scratch_bytes, LpMatrixStep step, void *ctx) {
  int64_t i;
  char text[64];
  const LpMatrixLoop loop = {.count = lp_batch_of(t).count,
                             .flops = flops,
                             .threads_from = threads_from,
                             .scratch_bytes = scratch_bytes,
                             .step = step,
                             .ctx = ctx};
  const int info = lp_linalg_each(&loop, &i);
  if (info == 0 || info == LP_LAPACK_NO_MEMORY) return info == 0;
  CHECK(
      info != LP_NOT_FINITE, LP_ERR_ARGUMENT,
      "%sThe algorithm failed to converge because the input matrix contained non-finite "
      "values.",
      lp_batch_text(t, i, text, sizeof text));
  return lp_fail(LP_ERR_LINALG,
                 "%sThe algorithm failed to converge because the input matrix is "
                 "ill-conditioned or has too many "
                 "repeated singular values or eigenvalues (error code: %d).",
                 lp_batch_text(t, i, text, sizeof text), info);
}

/* With an infinity or a NaN some of LAPACK's iterations do not come back, others write
 * where they must not. */
static bool is_finite(LpDtype dtype, const char *matrix, size_t bytes) {
  bool finite = true;
  if (lp_dtype_to_real(dtype) == LP_FLOAT32) {
    const float *x = (const float *)matrix;
    for (size_t k = 0; k < bytes / sizeof *x; k++) finite &= x[k] - x[k] == 0;
  } else {
    const double *x = (const double *)matrix;
    for (size_t k = 0; k < bytes / sizeof *x; k++) finite &= x[k] - x[k] == 0;
  }
  return finite;
}

/* --- Cholesky
 * ---------------------------------------------------------------------------------------
 */

/* Seen column-major, the lower triangle is the upper one of the conjugate, which has the
 * same factor. */
typedef struct Choleskies {
  LpTensor *a;
  LpBatch b;
  bool upper;
  int *info;
} Choleskies;

static int cholesky(void *ctx, int64_t i, char *scratch) {
  (void)scratch;
  const Choleskies *c = ctx;
  const size_t item = lp_dtype_size(c->a->dtype), n = (size_t)c->b.n;
  char *matrix = lp_data(c->a) + (size_t)i * c->b.matrix_bytes;
  int info = lp_lapack_cholesky(c->a->dtype, c->upper ? 'L' : 'U', c->b.n, matrix);
  if (c->info)
    c->info[i] = info;
  else if (info)
    return info;
  for (size_t row = 0; row < n; row++) {
    if (c->upper)
      memset(matrix + row * n * item, 0, row * item);
    else
      memset(matrix + (row * n + row + 1) * item, 0, (n - row - 1) * item);
  }
  return 0;
}

static bool cholesky_all(LpTensor *a, bool upper, int *info_of) {
  Choleskies c = {a, lp_batch_of(a), upper, info_of};
  const double n = c.b.n;
  int64_t i;
  char text[64];
  if (c.b.n == 0) return true;
  int info = lp_linalg_each(
      &(LpMatrixLoop){
          .count = c.b.count, .flops = n * n * n / 3, .step = cholesky, .ctx = &c},
      &i);
  CHECK(info == 0, LP_ERR_LINALG,
        "%sThe factorization could not be completed because the input is not "
        "positive-definite (the leading minor "
        "of order %d is not positive-definite).",
        lp_batch_text(a, i, text, sizeof text), info);
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

typedef struct Products {
  LpTensor *q, *factors;
  LpBatch b;
  int k;
} Products;

static int form_product(void *ctx, int64_t i, char *columns) {
  const Products *p = ctx;
  const LpDtype dtype = p->q->dtype;
  char *matrix = lp_data(p->q) + (size_t)i * p->b.matrix_bytes;
  lp_linalg_turn(lp_dtype_size(dtype), matrix, p->b.m, p->b.n, columns);
  int info =
      lp_lapack_qr_form(dtype, p->b.m, p->b.n, p->k, columns, at(p->factors, i, p->k));
  lp_linalg_turn(lp_dtype_size(dtype), columns, p->b.n, p->b.m, matrix);
  return info;
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
  Products p = {.q = lp_linalg_copy(self), .b = b, .k = (int)k};
  p.factors = p.q ? lp_contiguous_raw(tau) : NULL;
  bool ok = p.factors && (!b.matrix_bytes || each(p.q, 4.0 * b.m * b.n * (double)k, 0,
                                                  b.matrix_bytes, form_product, &p));
  lp_tensor_release(p.factors);
  lp_linalg_finish(ok, &p.q, 1);
  return p.q;
}

/* --- QR
 * ------------------------------------------------------------------------------------------------
 */

/* Of one row-major matrix. */
typedef struct Qr {
  LpDtype dtype;
  int m, n;
  const void *a; /* m x n */
  void *r;       /* r_rows x n, with zeros below the diagonal; r_rows is min(m, n) or m */
  int r_rows;
  void *q; /* m x q_columns, or NULL; q_columns is min(m, n) or m */
  int q_columns;
} Qr;

static size_t qr_bytes(const Qr *d) {
  const size_t m = (size_t)d->m, n = (size_t)d->n, wide = (size_t)d->q_columns;
  return (m * (n > wide ? n : wide) + (m < n ? m : n) + 1) * lp_dtype_size(d->dtype);
}

/* A in columns becomes R and reflectors, or these become Q. */
typedef struct QrStep {
  const Qr *qr;
  char *columns, *tau;
  bool form;
} QrStep;

static int qr_step(void *ctx, int64_t i, char *scratch) {
  (void)i, (void)scratch;
  const QrStep *s = ctx;
  const Qr *d = s->qr;
  return s->form ? lp_lapack_qr_form(d->dtype, d->m, d->q_columns,
                                     d->m < d->n ? d->m : d->n, s->columns, s->tau)
                 : lp_lapack_qr(d->dtype, d->m, d->n, s->columns, s->tau);
}

static int run_qr_step(QrStep *s, int columns) {
  const double k = s->qr->m < s->qr->n ? s->qr->m : s->qr->n;
  const LpMatrixLoop one = {.count = 1,
                            .flops = 2.0 * s->qr->m * columns * k,
                            .threads_from = QR_THREADS,
                            .step = qr_step,
                            .ctx = s};
  int64_t failed;
  return lp_linalg_each(&one, &failed);
}

/* columns: qr_bytes of scratch memory. */
static int factor_qr(const Qr *d, char *columns) {
  const size_t item = lp_dtype_size(d->dtype), m = (size_t)d->m, n = (size_t)d->n;
  const size_t wide = n > (size_t)d->q_columns ? n : (size_t)d->q_columns;
  const int k = d->m < d->n ? d->m : d->n;
  char *tau = columns + m * wide * item;
  lp_linalg_turn(item, d->a, d->m, d->n, columns);
  QrStep step = {d, columns, tau, false};
  int info = k > 0 ? run_qr_step(&step, d->n) : 0;
  if (info) return info;
  lp_linalg_turn_part(item, columns, d->m, d->n, d->r_rows, d->r, d->n);
  for (size_t row = 0; row < (size_t)d->r_rows; row++)
    memset((char *)d->r + row * n * item, 0, (row < n ? row : n) * item);
  if (!d->q || d->q_columns == 0) return 0;
  step.form = true;
  info = run_qr_step(&step, d->q_columns);
  lp_linalg_turn(item, columns, d->q_columns, d->m, d->q);
  return info;
}

typedef struct Qrs {
  LpTensor *a, *q, *r; /* q NULL: R only */
  LpBatch b;
  int q_columns;
} Qrs;

static Qr qr_of(const Qrs *d, int64_t i) {
  const int r_rows = (int)d->r->sizes[d->r->ndim - 2];
  return (Qr){.dtype = d->a->dtype,
              .m = d->b.m,
              .n = d->b.n,
              .a = lp_data(d->a) + (size_t)i * d->b.matrix_bytes,
              .r = at(d->r, i, (int64_t)r_rows * d->b.n),
              .r_rows = r_rows,
              .q = d->q ? at(d->q, i, (int64_t)d->b.m * d->q_columns) : NULL,
              .q_columns = d->q_columns};
}

static int qr(void *ctx, int64_t i, char *columns) {
  const Qr one = qr_of(ctx, i);
  return factor_qr(&one, columns);
}

static bool qr_all(LpTensor *a, LpTensor *q, LpTensor *r, bool complete) {
  LpBatch b = lp_batch_of(a);
  const int k = b.m < b.n ? b.m : b.n;
  Qrs d = {.a = a, .q = q, .r = r, .b = b, .q_columns = complete ? b.m : k};
  const Qr one = qr_of(&d, 0);
  const int wide = b.n > d.q_columns ? b.n : d.q_columns;
  return each(a, 4.0 * b.m * wide * k, AROUND_QR_THREADS, qr_bytes(&one), qr, &d);
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
  LpTensor *a = lp_contiguous_raw(A);
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

typedef struct Svds {
  LpTensor *a, *u, *s, *vh;
  LpBatch b;
  int64_t k;
  bool full;
} Svds;

/* Much longer one way than the other, t x k or k x t: Q R first, then the decomposition
 * of R (k x k). */
typedef struct Tall {
  Qr qr;
  size_t turned, q, r, u, vh, long_u, work, end; /* places in the scratch memory */
} Tall;

static bool is_tall(const Svds *d) {
  const int64_t longer = d->b.m > d->b.n ? d->b.m : d->b.n;
  return !lp_dtype_is_complex(d->a->dtype) && 2 * longer >= 3 * d->k &&
         !(d->u && d->full);
}

static Tall tall_layout(const Svds *d) {
  const int t = d->b.m > d->b.n ? d->b.m : d->b.n, k = (int)d->k;
  const size_t item = lp_dtype_size(d->a->dtype);
  const size_t large = ((size_t)t * (size_t)k * item + 63) / 64 * 64,
               small = ((size_t)k * (size_t)k * item + 63) / 64 * 64;
  const bool wide = d->b.m < d->b.n, vectors = d->u != NULL;
  Tall l = {.qr = {.dtype = d->a->dtype, .m = t, .n = k, .r_rows = k, .q_columns = k},
            .turned = 0};
  l.q = wide ? large : 0;
  l.r = l.q + (vectors ? large : 0);
  l.u = l.r + small;
  l.vh = l.u + (vectors ? small : 0);
  l.long_u = l.vh + (vectors && wide ? small : 0);
  l.work = l.long_u + (vectors && wide ? large : 0);
  l.end = l.work + qr_bytes(&l.qr);
  return l;
}

typedef struct Square {
  LpDtype dtype;
  int k;
  void *r, *s, *vh, *u; /* vh, u NULL: values only */
} Square;

static int svd_square(void *ctx, int64_t i, char *scratch) {
  (void)i, (void)scratch;
  const Square *q = ctx;
  return lp_lapack_svd(q->dtype, q->u ? 'S' : 'N', q->k, q->k, q->r, q->s, q->vh, q->u);
}

static int svd_tall(const Svds *d, int64_t i, const char *matrix, char *scratch) {
  Tall l = tall_layout(d);
  const LpDtype dtype = d->a->dtype;
  const size_t item = lp_dtype_size(dtype);
  const int t = l.qr.m, k = l.qr.n;
  const bool wide = d->b.m < d->b.n;
  if (wide) lp_linalg_turn(item, matrix, k, t, scratch + l.turned);
  l.qr.a = wide ? scratch + l.turned : matrix;
  l.qr.r = scratch + l.r;
  l.qr.q = d->u ? scratch + l.q : NULL;
  int info = factor_qr(&l.qr, scratch + l.work);
  if (info) return info;
  char *u = at(d->u, i, (int64_t)d->b.m * k), *vh = at(d->vh, i, (int64_t)d->b.n * k);
  char *short_vh = wide ? scratch + l.vh : vh, *long_u = wide ? scratch + l.long_u : u;
  Square q = {dtype, k, l.qr.r, at(d->s, i, k), NULL, NULL};
  if (d->u) q.vh = short_vh, q.u = scratch + l.u;
  const LpMatrixLoop one = {.count = 1,
                            .flops = 20.0 * k * k * k,
                            .threads_from = VALUES_THREADS,
                            .step = svd_square,
                            .ctx = &q};
  int64_t failed;
  info = lp_linalg_each(&one, &failed);
  if (info || !d->u) return info;
  if (!lp_cpu_gemm(&(LpGemm){.dtype = dtype,
                             .m = t,
                             .n = k,
                             .k = k,
                             .a = l.qr.q,
                             .b = scratch + l.u,
                             .c = long_u,
                             .lda = k,
                             .ldb = k,
                             .ldc = k,
                             .alpha = lp_scalar_float(1),
                             .beta = lp_scalar_float(0)}))
    return LP_LAPACK_NO_MEMORY;
  if (wide) { /* A^T = U S Vh */
    lp_linalg_turn(item, long_u, t, k, vh);
    lp_linalg_turn(item, short_vh, k, k, u);
  }
  return 0;
}

/* A row-major matrix is A^T to LAPACK: A^T = U' S V'^T, and U', column-major, is V^H
 * row-major. */
static int svd(void *ctx, int64_t i, char *scratch) {
  const Svds *d = ctx;
  const LpBatch b = d->b;
  char *matrix = lp_data(d->a) + (size_t)i * b.matrix_bytes;
  if (!is_finite(d->a->dtype, matrix, b.matrix_bytes)) return LP_NOT_FINITE;
  if (is_tall(d)) return svd_tall(d, i, matrix, scratch);
  return lp_lapack_svd(d->a->dtype,
                       !d->u     ? 'N'
                       : d->full ? 'A'
                                 : 'S',
                       b.n, b.m, matrix, at(d->s, i, d->k),
                       at(d->vh, i, b.n * (d->full ? b.n : d->k)),
                       at(d->u, i, b.m * (d->full ? b.m : d->k)));
}

static bool svd_all(LpTensor *A, bool full, LpTensor *u, LpTensor *s, LpTensor *vh) {
  Svds d = {lp_linalg_copy(A), u, s, vh, lp_batch_of(A), 0, full};
  d.k = d.b.m < d.b.n ? d.b.m : d.b.n;
  bool ok = d.a && each(A, 20.0 * d.b.m * d.b.n * (double)d.k,
                        is_tall(&d) ? AROUND_QR_THREADS : VALUES_THREADS,
                        is_tall(&d) ? tall_layout(&d).end : 0, svd, &d);
  lp_tensor_release(d.a);
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

typedef struct Eigen {
  LpTensor *a, *w, *v; /* v NULL: values only */
  LpBatch b;
  char uplo;
} Eigen;

static int eigh(void *ctx, int64_t i, char *columns) {
  const Eigen *e = ctx;
  const LpDtype dtype = e->a->dtype;
  const size_t item = lp_dtype_size(dtype), n = (size_t)e->b.n;
  const char *matrix = lp_data(e->a) + (size_t)i * e->b.matrix_bytes;
  for (size_t r = 0; r < n; r++) /* the triangle that is read */
    if (e->uplo == 'L' ? !is_finite(dtype, matrix + r * n * item, (r + 1) * item)
                       : !is_finite(dtype, matrix + (r * n + r) * item, (n - r) * item))
      return LP_NOT_FINITE;
  lp_linalg_turn(item, matrix, e->b.n, e->b.n, columns);
  int info =
      lp_lapack_eigh(dtype, e->v != NULL, e->uplo, e->b.n, columns, at(e->w, i, e->b.n));
  if (info == 0 && e->v)
    lp_linalg_turn(item, columns, e->b.n, e->b.n, at(e->v, i, (int64_t)(n * n)));
  return info;
}

static bool eigh_all(LpTensor *A, char uplo, LpTensor *w, LpTensor *v) {
  Eigen e = {lp_contiguous_raw(A), w, v, lp_batch_of(A), uplo};
  const double n = e.b.n;
  bool ok = e.a && (e.b.n == 0 ||
                    each(A, 9 * n * n * n, VALUES_THREADS, e.b.matrix_bytes, eigh, &e));
  lp_tensor_release(e.a);
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

static int eig(void *ctx, int64_t i, char *columns) {
  const Eigen *e = ctx;
  const LpDtype dtype = e->a->dtype;
  char *vectors = e->v ? columns + (e->b.matrix_bytes + 15) / 16 * 16 : NULL;
  const char *matrix = lp_data(e->a) + (size_t)i * e->b.matrix_bytes;
  if (!is_finite(dtype, matrix, e->b.matrix_bytes)) return LP_NOT_FINITE;
  lp_linalg_turn(lp_dtype_size(dtype), matrix, e->b.n, e->b.n, columns);
  int info = lp_lapack_eig(dtype, e->b.n, columns, at(e->w, i, e->b.n), vectors);
  if (info == 0 && vectors)
    lp_linalg_turn(lp_dtype_size(e->v->dtype), vectors, e->b.n, e->b.n,
                   at(e->v, i, (int64_t)e->b.n * e->b.n));
  return info;
}

static bool eig_all(LpTensor *A, LpTensor *w, LpTensor *v) {
  Eigen e = {.a = lp_contiguous_raw(A), .w = w, .v = v, .b = lp_batch_of(A)};
  const double n = e.b.n;
  size_t vectors_bytes = (size_t)e.b.n * (size_t)e.b.n * lp_dtype_size(w->dtype);
  bool ok = e.a && (e.b.n == 0 || each(A, 25 * n * n * n, VALUES_THREADS,
                                       e.b.matrix_bytes + vectors_bytes + 16, eig, &e));
  lp_tensor_release(e.a);
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
typedef struct LeastSquares {
  LpTensor *a, *b, **results;
  LpBatch ba, bb;
  double rcond;
  bool by_svd;
} LeastSquares;

/* A with many more rows than columns: A = Q R, and R x = Q^H b is solved. */
typedef struct Reduced {
  bool used;
  Qr qr;
  size_t q, r, c, work, end; /* places in the scratch memory */
} Reduced;

static Reduced reduction(const LeastSquares *s, size_t begin) {
  const int m = s->ba.m, n = s->ba.n;
  const LpDtype dtype = s->a->dtype;
  const size_t item = lp_dtype_size(dtype);
  Reduced l = {.used = !lp_dtype_is_complex(dtype) && n > 0 &&
                       2 * (int64_t)m >= 3 * (int64_t)n,
               .qr = {.dtype = dtype, .m = m, .n = n, .r_rows = n, .q_columns = n},
               .q = (begin + 63) / 64 * 64};
  l.r = l.q + ((size_t)m * (size_t)n * item + 63) / 64 * 64;
  l.c = l.r + ((size_t)n * (size_t)n * item + 63) / 64 * 64;
  l.work = l.c + ((size_t)n * (size_t)s->bb.n * item + 63) / 64 * 64;
  l.end = l.used ? l.work + qr_bytes(&l.qr) : begin;
  return l;
}

static int reduce(Reduced *l, const LeastSquares *s, const char *a, const char *b,
                  char *scratch) {
  l->qr.a = a;
  l->qr.q = scratch + l->q;
  l->qr.r = scratch + l->r;
  const int info = factor_qr(&l->qr, scratch + l->work);
  if (info) return info;
  return lp_cpu_gemm(&(LpGemm){.dtype = l->qr.dtype,
                               .m = l->qr.n,
                               .n = s->bb.n,
                               .k = l->qr.m,
                               .trans_a = true,
                               .a = l->qr.q,
                               .b = b,
                               .c = scratch + l->c,
                               .lda = l->qr.n,
                               .ldb = s->bb.n,
                               .ldc = s->bb.n,
                               .alpha = lp_scalar_float(1),
                               .beta = lp_scalar_float(0)})
             ? 0
             : LP_LAPACK_NO_MEMORY;
}

static size_t lstsq_bytes(const LeastSquares *s) {
  const int tall = s->ba.m > s->ba.n ? s->ba.m : s->ba.n;
  const size_t rhs_elems = (size_t)tall * (size_t)s->bb.n;
  return s->ba.matrix_bytes + rhs_elems * lp_dtype_size(s->a->dtype) + 32;
}

typedef struct LstsqCall {
  LpDtype dtype;
  int m, n, k;
  void *a, *b, *values;
  double rcond;
  int rank;
} LstsqCall;

static int call_lstsq(void *ctx, int64_t i, char *scratch) {
  (void)i, (void)scratch;
  LstsqCall *c = ctx;
  return lp_lapack_lstsq(c->dtype, c->m, c->n, c->k, c->a, c->b, c->rcond, &c->rank,
                         c->values);
}

static int lstsq(void *ctx, int64_t i, char *columns) {
  const LeastSquares *s = ctx;
  const LpBatch ba = s->ba, bb = s->bb;
  const LpDtype dtype = s->a->dtype;
  const size_t item = lp_dtype_size(dtype);
  const int k = bb.n, small = ba.m < ba.n ? ba.m : ba.n;
  const char *a = lp_data(s->a) + (size_t)i * ba.matrix_bytes;
  const char *b = lp_data(s->b) + (size_t)i * bb.matrix_bytes;
  char *rhs = columns + (ba.matrix_bytes + 15) / 16 * 16;
  if (!is_finite(dtype, a, ba.matrix_bytes) || !is_finite(dtype, b, bb.matrix_bytes))
    return LP_NOT_FINITE;
  int info = 0, m = ba.m;
  Reduced l = reduction(s, lstsq_bytes(s));
  if (l.used && k > 0) {
    info = reduce(&l, s, a, b, columns);
    if (info) return info;
    a = columns + l.r;
    b = columns + l.c;
    m = ba.n;
  }
  const int tall = m > ba.n ? m : ba.n;
  lp_linalg_turn(item, a, m, ba.n, columns);
  memset(rhs, 0, (size_t)tall * (size_t)k * item);
  lp_linalg_turn_part(item, b, k, m, k, rhs, tall);
  LstsqCall call = {dtype, m, ba.n, k, columns, rhs, NULL, s->rcond, 0};
  call.values = s->by_svd ? at(s->results[3], i, small) : NULL;
  const LpMatrixLoop one = {.count = 1,
                            .flops = 4.0 * m * ba.n * (ba.n + k),
                            .threads_from = VALUES_THREADS,
                            .step = call_lstsq,
                            .ctx = &call};
  int64_t failed;
  if (small > 0 && k > 0) info = lp_linalg_each(&one, &failed);
  ((int64_t *)lp_data(s->results[2]))[i] = call.rank;
  lp_linalg_turn_part(item, rhs, tall, k, ba.n, at(s->results[0], i, (int64_t)ba.n * k),
                      k);
  return info;
}

static bool lstsq_all(LpTensor *a, LpTensor *b, double rcond, bool by_svd,
                      LpTensor **results) {
  LeastSquares s = {a, b, results, lp_batch_of(a), lp_batch_of(b), rcond, by_svd};
  const int m = s.ba.m, n = s.ba.n, k = s.bb.n;
  return each(a, 4.0 * m * n * ((m < n ? m : n) + k), AROUND_QR_THREADS,
              reduction(&s, lstsq_bytes(&s)).end, lstsq, &s);
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
  LpTensor *a = wide_a ? lp_contiguous_raw(wide_a) : NULL,
           *rhs = wide_b ? lp_contiguous_raw(wide_b) : NULL;
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
