/* QR by LAPACK and BLAS; see lapack.h. Small matrices go column by column, as LAPACK has
 * it; larger ones by blocks whose work is products of matrices. */
#include <string.h>
#include "cpu/lapack_scratch.h"

typedef void Geqrf(const int *m, const int *n, void *a, const int *lda, void *tau,
                   void *work, const int *lwork, int *info);
/* With the triangles T of the block reflectors, ldt x min(m, n). */
typedef void Geqrt(const int *m, const int *n, const int *nb, void *a, const int *lda,
                   void *t, const int *ldt, void *work, int *info);
typedef void Orgqr(const int *m, const int *n, const int *k, void *a, const int *lda,
                   const void *tau, void *work, const int *lwork, int *info);
typedef void Larfb(const char *side, const char *trans, const char *direct,
                   const char *storev, const int *m, const int *n, const int *k,
                   const void *v, const int *ldv, const void *t, const int *ldt, void *c,
                   const int *ldc, void *work, const int *ldwork, size_t, size_t, size_t,
                   size_t);
typedef void Gemm(const char *trans_a, const char *trans_b, const int *m, const int *n,
                  const int *k, const void *alpha, const void *a, const int *lda,
                  const void *b, const int *ldb, const void *beta, void *c,
                  const int *ldc, size_t, size_t);
typedef void Trmm(const char *side, const char *uplo, const char *trans, const char *diag,
                  const int *m, const int *n, const void *alpha, const void *a,
                  const int *lda, void *b, const int *ldb, size_t, size_t, size_t,
                  size_t);
typedef void Trmv(const char *uplo, const char *trans, const char *diag, const int *n,
                  const void *a, const int *lda, void *x, const int *step, size_t, size_t,
                  size_t);
typedef void Scal(const int *n, const void *alpha, void *x, const int *step);

extern Geqrf sgeqrf_, dgeqrf_, cgeqrf_, zgeqrf_;
extern Geqrt sgeqrt_, dgeqrt_, cgeqrt_, zgeqrt_;
extern Orgqr sorgqr_, dorgqr_, cungqr_, zungqr_;
extern Larfb slarfb_, dlarfb_, clarfb_, zlarfb_;
extern Gemm sgemm_, dgemm_, cgemm_, zgemm_;
extern Trmm strmm_, dtrmm_, ctrmm_, ztrmm_;
extern Trmv strmv_, dtrmv_, ctrmv_, ztrmv_;
extern Scal sscal_, dscal_, cscal_, zscal_;

enum {
  QR_BLOCK = 32,
  /* Columns below which a block costs more than the work column by column. */
  FACTOR_BLOCKS_FROM = 96,
  FORM_BLOCKS_FROM = 48
};

/* By blocks: geqrf works on the columns of a block by products with vectors, geqrt halves
 * it again and again, and multiplies matrices. */
static int qr_by_blocks(LpDtype dtype, int m, int n, void *a, void *tau) {
  static Geqrt *const table[] = {sgeqrt_, dgeqrt_, cgeqrt_, zgeqrt_};
  const size_t item = lp_dtype_size(dtype), k = (size_t)smaller(m, n);
  int info = 0;
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, QR_BLOCK * k, item) ||
      !scratch_add(&s, 1, QR_BLOCK * (size_t)n, item))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  const int block = QR_BLOCK;
  table[kind_of(dtype)](&m, &n, &block, a, &m, s.data[0], &block, s.data[1], &info);
  for (size_t j = 0; j < k; j++) /* the diagonals of the triangles */
    memcpy((char *)tau + j * item,
           (char *)s.data[0] + (j * QR_BLOCK + j % QR_BLOCK) * item, item);
  return scratch_drop(&s, info);
}

int lp_lapack_qr(LpDtype dtype, int m, int n, void *a, void *tau) {
  static Geqrf *const table[] = {sgeqrf_, dgeqrf_, cgeqrf_, zgeqrf_};
  if (smaller(m, n) >= FACTOR_BLOCKS_FROM) return qr_by_blocks(dtype, m, n, a, tau);
  int info = 0, lda = at_least_1(m), lwork = -1;
  double query[2];
  table[kind_of(dtype)](&m, &n, a, &lda, tau, query, &lwork, &info);
  lwork = queried(dtype, query);
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, (size_t)lwork, lp_dtype_size(dtype)))
    return LP_LAPACK_NO_MEMORY;
  table[kind_of(dtype)](&m, &n, a, &lda, tau, s.data[0], &lwork, &info);
  return scratch_drop(&s, info);
}

/* --- Q of reflectors
 * ----------------------------------------------------------------------------
 * H = (I - tau_1 v_1 v_1^H) .. (I - tau_b v_b v_b^H) = I - V T V^H for a block of b
 * columns, with T upper triangular (Schreiber and Van Loan 1989). V is V1, unit lower
 * triangular, above V2. LAPACK's orgqr makes T and the block's own columns of Q by
 * products with vectors; here both are products of matrices: T from V^H V, column by
 * column in b x b numbers; H E = [I - V1 W; -V2 W] with W = T V1^H, upper triangular, E
 * the first b columns of I. */

typedef struct Reflectors {
  LpDtype dtype;
  int kind;
  size_t item;
  const void *one, *minus_one;
  char *v1, *t, *w; /* QR_BLOCK x QR_BLOCK each */
} Reflectors;

static Trmm *const trmm[] = {strmm_, dtrmm_, ctrmm_, ztrmm_};

/* v1 = the unit lower triangle at v, t = T; v: rows x n, `rest` of its rows below v1. */
static void block_triangle(const Reflectors *r, int n, int rest, const char *v, int ldv,
                           const char *tau) {
  static Gemm *const gemm[] = {sgemm_, dgemm_, cgemm_, zgemm_};
  static Trmv *const trmv[] = {strmv_, dtrmv_, ctrmv_, ztrmv_};
  static Scal *const scal[] = {sscal_, dscal_, cscal_, zscal_};
  const size_t item = r->item, column = (size_t)n * item;
  memset(r->v1, 0, column * (size_t)n);
  for (size_t j = 0; j < (size_t)n; j++) {
    char *to = r->v1 + j * column + j * item;
    memcpy(to, r->one, item);
    memcpy(to + item, v + (j * (size_t)ldv + j + 1) * item, ((size_t)n - j - 1) * item);
  }
  memcpy(r->t, r->v1, column * (size_t)n); /* t = -V^H V */
  trmm[r->kind]("L", "L", "C", "U", &n, &n, r->minus_one, r->v1, &n, r->t, &n, 1, 1, 1,
                1);
  if (rest > 0) {
    const char *v2 = v + column;
    gemm[r->kind]("C", "N", &n, &n, &rest, r->minus_one, v2, &ldv, v2, &ldv, r->one, r->t,
                  &n, 1, 1);
  }
  for (int j = 0; j < n; j++) {
    char *to = r->t + (size_t)j * column;
    const char *factor = tau + (size_t)j * item;
    scal[r->kind](&j, factor, to, &(int){1});
    trmv[r->kind]("U", "N", "N", &j, r->t, &n, to, &(int){1}, 1, 1, 1);
    memcpy(to + (size_t)j * item, factor, item);
    memset(to + (size_t)(j + 1) * item, 0, (size_t)(n - j - 1) * item);
  }
}

/* The block's reflectors at v become its columns of Q. */
static void block_columns(const Reflectors *r, int n, int rest, char *v, int ldv) {
  const size_t item = r->item, column = (size_t)n * item;
  memcpy(r->w, r->t, column * (size_t)n);
  trmm[r->kind]("R", "L", "C", "U", &n, &n, r->one, r->v1, &n, r->w, &n, 1, 1, 1, 1);
  trmm[r->kind]("R", "U", "N", "N", &rest, &n, r->minus_one, r->w, &n, v + column, &ldv,
                1, 1, 1, 1);
  trmm[r->kind]("L", "L", "N", "U", &n, &n, r->minus_one, r->v1, &n, r->w, &n, 1, 1, 1,
                1);
  const bool wide = lp_dtype_to_real(r->dtype) == LP_FLOAT64;
  for (size_t j = 0; j < (size_t)n; j++) {
    char *diagonal = r->w + j * column + j * item; /* its real part comes first */
    if (wide)
      *(double *)diagonal += 1;
    else
      *(float *)diagonal += 1;
    memcpy(v + j * (size_t)ldv * item, r->w + j * column, column);
  }
}

static int form_by_columns(LpDtype dtype, int m, int n, int k, void *a, const void *tau) {
  static Orgqr *const table[] = {sorgqr_, dorgqr_, cungqr_, zungqr_};
  int info = 0, lda = at_least_1(m), lwork = -1;
  double query[2];
  table[kind_of(dtype)](&m, &n, &k, a, &lda, tau, query, &lwork, &info);
  lwork = queried(dtype, query);
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, (size_t)lwork, lp_dtype_size(dtype)))
    return LP_LAPACK_NO_MEMORY;
  table[kind_of(dtype)](&m, &n, &k, a, &lda, tau, s.data[0], &lwork, &info);
  return scratch_drop(&s, info);
}

int lp_lapack_qr_form(LpDtype dtype, int m, int n, int k, void *a, const void *tau) {
  if (k < FORM_BLOCKS_FROM) return form_by_columns(dtype, m, n, k, a, tau);
  static Larfb *const larfb[] = {slarfb_, dlarfb_, clarfb_, zlarfb_};
  static const float floats[2][2] = {{1, 0}, {-1, 0}};
  static const double doubles[2][2] = {{1, 0}, {-1, 0}};
  const bool wide = lp_dtype_to_real(dtype) == LP_FLOAT64;
  const size_t item = lp_dtype_size(dtype), small = QR_BLOCK * QR_BLOCK;
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, 3 * small, item) ||
      !scratch_add(&s, 1, QR_BLOCK * (size_t)at_least_1(n), item))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  char *const q = a;
  const Reflectors r = {.dtype = dtype,
                        .kind = kind_of(dtype),
                        .item = item,
                        .one = wide ? (const void *)doubles[0] : floats[0],
                        .minus_one = wide ? (const void *)doubles[1] : floats[1],
                        .v1 = s.data[0],
                        .t = (char *)s.data[0] + small * item,
                        .w = (char *)s.data[0] + 2 * small * item};
  for (size_t j = (size_t)k; j < (size_t)n; j++) {
    memset(q + j * (size_t)m * item, 0, (size_t)m * item);
    memcpy(q + (j * (size_t)m + j) * item, r.one, item);
  }
  for (int i = (k - 1) / QR_BLOCK * QR_BLOCK; i >= 0; i -= QR_BLOCK) {
    const int b = smaller(QR_BLOCK, k - i), rows = m - i, after = n - i - b;
    char *v = q + ((size_t)i * (size_t)m + (size_t)i) * item;
    char *next = v + (size_t)b * (size_t)m * item;
    block_triangle(&r, b, rows - b, v, m, (const char *)tau + (size_t)i * item);
    if (after > 0) {
      for (size_t j = 0; j < (size_t)after; j++)
        memset(next + j * (size_t)m * item, 0, (size_t)b * item);
      larfb[r.kind]("L", "N", "F", "C", &rows, &after, &b, v, &m, r.t, &b, next, &m,
                    s.data[1], &after, 1, 1, 1, 1);
    }
    block_columns(&r, b, rows - b, v, m);
  }
  return scratch_drop(&s, 0);
}
