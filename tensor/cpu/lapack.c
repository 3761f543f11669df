/* LAPACK calls with their workspaces; see lapack.h. The routines are OpenBLAS's (Fortran
 * interface: arguments by address, the lengths of text arguments at the end). */
#include "cpu/lapack.h"

#include <cblas.h>
#include <math.h>
#include <string.h>
#include "cpu/lapack_scratch.h"

/* --- the routines
 * ------------------------------------------------------------------------------- */

typedef void Getrf(const int *m, const int *n, void *a, const int *lda, int *pivots,
                   int *info);
typedef void Getri(const int *n, void *a, const int *lda, const int *pivots, void *work,
                   const int *lwork, int *info);
typedef void Getrs(const char *trans, const int *n, const int *nrhs, const void *a,
                   const int *lda, const int *pivots, void *b, const int *ldb, int *info,
                   size_t);
typedef void Potrf(const char *uplo, const int *n, void *a, const int *lda, int *info,
                   size_t);
typedef void GesddReal(const char *job, const int *m, const int *n, void *a,
                       const int *lda, void *s, void *u, const int *ldu, void *vt,
                       const int *ldvt, void *work, const int *lwork, int *iwork,
                       int *info, size_t);
typedef void GesddComplex(const char *job, const int *m, const int *n, void *a,
                          const int *lda, void *s, void *u, const int *ldu, void *vt,
                          const int *ldvt, void *work, const int *lwork, void *rwork,
                          int *iwork, int *info, size_t);
typedef void SyevdReal(const char *job, const char *uplo, const int *n, void *a,
                       const int *lda, void *w, void *work, const int *lwork, int *iwork,
                       const int *liwork, int *info, size_t, size_t);
typedef void SyevdComplex(const char *job, const char *uplo, const int *n, void *a,
                          const int *lda, void *w, void *work, const int *lwork,
                          void *rwork, const int *lrwork, int *iwork, const int *liwork,
                          int *info, size_t, size_t);
typedef void GeevReal(const char *jobl, const char *jobr, const int *n, void *a,
                      const int *lda, void *wr, void *wi, void *vl, const int *ldvl,
                      void *vr, const int *ldvr, void *work, const int *lwork, int *info,
                      size_t, size_t);
typedef void GeevComplex(const char *jobl, const char *jobr, const int *n, void *a,
                         const int *lda, void *w, void *vl, const int *ldvl, void *vr,
                         const int *ldvr, void *work, const int *lwork, void *rwork,
                         int *info, size_t, size_t);
typedef void GelsyReal(const int *m, const int *n, const int *nrhs, void *a,
                       const int *lda, void *b, const int *ldb, int *jpvt,
                       const void *rcond, int *rank, void *work, const int *lwork,
                       int *info);
typedef void GelsyComplex(const int *m, const int *n, const int *nrhs, void *a,
                          const int *lda, void *b, const int *ldb, int *jpvt,
                          const void *rcond, int *rank, void *work, const int *lwork,
                          void *rwork, int *info);
typedef void GelsdReal(const int *m, const int *n, const int *nrhs, void *a,
                       const int *lda, void *b, const int *ldb, void *s,
                       const void *rcond, int *rank, void *work, const int *lwork,
                       int *iwork, int *info);
typedef void GelsdComplex(const int *m, const int *n, const int *nrhs, void *a,
                          const int *lda, void *b, const int *ldb, void *s,
                          const void *rcond, int *rank, void *work, const int *lwork,
                          void *rwork, int *iwork, int *info);

extern Getrf sgetrf_, dgetrf_, cgetrf_, zgetrf_;
extern Getri sgetri_, dgetri_, cgetri_, zgetri_;
extern Getrs sgetrs_, dgetrs_, cgetrs_, zgetrs_;
extern Potrf spotrf_, dpotrf_, cpotrf_, zpotrf_;
extern GesddReal sgesdd_, dgesdd_;
extern GesddComplex cgesdd_, zgesdd_;
extern SyevdReal ssyevd_, dsyevd_;
extern SyevdComplex cheevd_, zheevd_;
extern GeevReal sgeev_, dgeev_;
extern GeevComplex cgeev_, zgeev_;
extern GelsyReal sgelsy_, dgelsy_;
extern GelsyComplex cgelsy_, zgelsy_;
extern GelsdReal sgelsd_, dgelsd_;
extern GelsdComplex cgelsd_, zgelsd_;

/* --- LU, Cholesky
 * ---------------------------------------------------------------------------- */

int lp_lapack_lu(LpDtype dtype, int m, int n, void *a, int *pivots) {
  static Getrf *const table[] = {sgetrf_, dgetrf_, cgetrf_, zgetrf_};
  int info = 0, lda = at_least_1(m);
  table[kind_of(dtype)](&m, &n, a, &lda, pivots, &info);
  return info;
}

int lp_lapack_lu_invert(LpDtype dtype, int n, void *a, const int *pivots) {
  static Getri *const table[] = {sgetri_, dgetri_, cgetri_, zgetri_};
  int info = 0, lda = at_least_1(n), lwork = -1;
  double query[2];
  if (n <= 32) { /* batches of small matrices: no block algorithm, no allocation */
    double work[2 * 32];
    table[kind_of(dtype)](&n, a, &lda, pivots, work, &lda, &info);
    return info;
  }
  table[kind_of(dtype)](&n, a, &lda, pivots, query, &lwork, &info);
  lwork = queried(dtype, query);
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, (size_t)lwork, lp_dtype_size(dtype)))
    return LP_LAPACK_NO_MEMORY;
  table[kind_of(dtype)](&n, a, &lda, pivots, s.data[0], &lwork, &info);
  return scratch_drop(&s, info);
}

int lp_lapack_lu_solve(LpDtype dtype, char trans, int n, int n_rhs, const void *lu,
                       const int *pivots, void *b) {
  static Getrs *const table[] = {sgetrs_, dgetrs_, cgetrs_, zgetrs_};
  int info = 0, ld = at_least_1(n);
  table[kind_of(dtype)](&trans, &n, &n_rhs, lu, &ld, pivots, b, &ld, &info, 1);
  return info;
}

/* OpenBLAS's Cholesky walks on over a pivot that is NaN, LAPACK's stops there: the order
 * of the first minor that is not positive-definite, `info` if no NaN comes before it. */
static int first_nan_pivot(LpDtype dtype, int n, const void *a, int info) {
  size_t parts = lp_dtype_is_complex(dtype) ? 2 : 1;
  bool wide = lp_dtype_to_real(dtype) == LP_FLOAT64;
  int end = info > 0 ? info - 1 : info == 0 ? n : 0;
  for (int i = 0; i < end; i++) {
    size_t at = (size_t)i * ((size_t)n + 1) * parts;
    if (wide ? isnan(((const double *)a)[at]) : isnan(((const float *)a)[at]))
      return i + 1;
  }
  return info;
}

int lp_lapack_cholesky(LpDtype dtype, char uplo, int n, void *a) {
  static Potrf *const table[] = {spotrf_, dpotrf_, cpotrf_, zpotrf_};
  int info = 0, lda = at_least_1(n);
  table[kind_of(dtype)](&uplo, &n, a, &lda, &info, 1);
  return first_nan_pivot(dtype, n, a, info);
}

/* --- singular values and eigenvalues
 * --------------------------------------------------------------- */

int lp_lapack_svd(LpDtype dtype, char job, int m, int n, void *a, void *sv, void *u,
                  void *vt) {
  int k = smaller(m, n), info = 0, lda = at_least_1(m), lwork = -1;
  int ldu = at_least_1(m), ldvt = at_least_1(job == 'A' ? n : k);
  size_t item = lp_dtype_size(dtype), real = lp_dtype_size(lp_dtype_to_real(dtype));
  double query[2], unused[2];
  if (!u) u = unused;
  if (!vt) vt = unused;
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, 8 * (size_t)k, sizeof(int))) return LP_LAPACK_NO_MEMORY;
  int *iwork = s.data[0];
  if (!lp_dtype_is_complex(dtype)) {
    GesddReal *gesdd = dtype == LP_FLOAT32 ? sgesdd_ : dgesdd_;
    kind_of(dtype);
    gesdd(&job, &m, &n, a, &lda, sv, u, &ldu, vt, &ldvt, query, &lwork, iwork, &info, 1);
    lwork = queried(dtype, query);
    if (!scratch_add(&s, 1, (size_t)lwork, item))
      return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
    gesdd(&job, &m, &n, a, &lda, sv, u, &ldu, vt, &ldvt, s.data[1], &lwork, iwork, &info,
          1);
    return scratch_drop(&s, info);
  }
  GesddComplex *gesdd = dtype == LP_COMPLEX64 ? cgesdd_ : zgesdd_;
  kind_of(dtype);
  size_t mx = (size_t)larger(m, n), mn = (size_t)k;
  size_t rwork_count = job == 'N' ? 7 * mn
                       : mn * (5 * mn + 7) > 2 * mn * (mx + mn + 1)
                           ? mn * (5 * mn + 7)
                           : 2 * mn * (mx + mn + 1);
  if (!scratch_add(&s, 2, rwork_count, real))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  gesdd(&job, &m, &n, a, &lda, sv, u, &ldu, vt, &ldvt, query, &lwork, s.data[2], iwork,
        &info, 1);
  lwork = queried(dtype, query);
  if (!scratch_add(&s, 1, (size_t)lwork, item))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  gesdd(&job, &m, &n, a, &lda, sv, u, &ldu, vt, &ldvt, s.data[1], &lwork, s.data[2],
        iwork, &info, 1);
  return scratch_drop(&s, info);
}

int lp_lapack_eigh(LpDtype dtype, bool vectors, char uplo, int n, void *a, void *w) {
  char job = vectors ? 'V' : 'N';
  int info = 0, lda = at_least_1(n), lwork = -1, liwork = -1, lrwork = -1, iquery;
  size_t item = lp_dtype_size(dtype), real = lp_dtype_size(lp_dtype_to_real(dtype));
  double query[2], rquery[2];
  Scratch s = {{0}};
  kind_of(dtype);
  if (!lp_dtype_is_complex(dtype)) {
    SyevdReal *syevd = dtype == LP_FLOAT32 ? ssyevd_ : dsyevd_;
    syevd(&job, &uplo, &n, a, &lda, w, query, &lwork, &iquery, &liwork, &info, 1, 1);
    lwork = queried(dtype, query);
    liwork = at_least_1(iquery);
    if (!scratch_add(&s, 0, (size_t)lwork, item) ||
        !scratch_add(&s, 1, (size_t)liwork, sizeof(int)))
      return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
    syevd(&job, &uplo, &n, a, &lda, w, s.data[0], &lwork, s.data[1], &liwork, &info, 1,
          1);
    return scratch_drop(&s, info);
  }
  SyevdComplex *heevd = dtype == LP_COMPLEX64 ? cheevd_ : zheevd_;
  heevd(&job, &uplo, &n, a, &lda, w, query, &lwork, rquery, &lrwork, &iquery, &liwork,
        &info, 1, 1);
  lwork = queried(dtype, query);
  lrwork = queried(dtype, rquery);
  liwork = at_least_1(iquery);
  if (!scratch_add(&s, 0, (size_t)lwork, item) ||
      !scratch_add(&s, 1, (size_t)liwork, sizeof(int)) ||
      !scratch_add(&s, 2, (size_t)lrwork, real))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  heevd(&job, &uplo, &n, a, &lda, w, s.data[0], &lwork, s.data[2], &lrwork, s.data[1],
        &liwork, &info, 1, 1);
  return scratch_drop(&s, info);
}

static double real_at(LpDtype dtype, const void *p, size_t i) {
  return dtype == LP_FLOAT32 ? ((const float *)p)[i] : ((const double *)p)[i];
}
static void put_complex(LpDtype real, void *p, size_t i, double re, double im) {
  if (real == LP_FLOAT32)
    ((float *)p)[2 * i] = (float)re, ((float *)p)[2 * i + 1] = (float)im;
  else
    ((double *)p)[2 * i] = re, ((double *)p)[2 * i + 1] = im;
}

/* A real matrix's eigenvalues come as real and imaginary parts, and the vectors of a
 * conjugate pair as two columns, real part and imaginary part. */
static int eig_real(LpDtype dtype, int n, void *a, void *w, void *v) {
  GeevReal *geev = dtype == LP_FLOAT32 ? sgeev_ : dgeev_;
  char left = 'N', right = v ? 'V' : 'N';
  int info = 0, ld = at_least_1(n), lwork = -1;
  size_t item = lp_dtype_size(dtype), count = (size_t)n;
  double query[2], unused[2];
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, 2 * count, item) ||
      !scratch_add(&s, 1, v ? count * count : 1, item))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  char *re = s.data[0], *im = re + count * item;
  geev(&left, &right, &n, a, &ld, re, im, unused, &ld, s.data[1], &ld, query, &lwork,
       &info, 1, 1);
  lwork = queried(dtype, query);
  if (!scratch_add(&s, 2, (size_t)lwork, item))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  geev(&left, &right, &n, a, &ld, re, im, unused, &ld, s.data[1], &ld, s.data[2], &lwork,
       &info, 1, 1);
  for (size_t j = 0; info == 0 && j < count; j++)
    put_complex(dtype, w, j, real_at(dtype, re, j), real_at(dtype, im, j));
  for (size_t j = 0; info == 0 && v && j < count; j++) {
    bool pair = real_at(dtype, im, j) != 0 && j + 1 < count;
    for (size_t i = 0; i < count; i++) {
      double x = real_at(dtype, s.data[1], j * count + i);
      double y = pair ? real_at(dtype, s.data[1], (j + 1) * count + i) : 0;
      put_complex(dtype, v, j * count + i, x, y);
      if (pair) put_complex(dtype, v, (j + 1) * count + i, x, -y);
    }
    j += pair;
  }
  return scratch_drop(&s, info);
}

int lp_lapack_eig(LpDtype dtype, int n, void *a, void *w, void *v) {
  kind_of(dtype);
  if (!lp_dtype_is_complex(dtype)) return eig_real(dtype, n, a, w, v);
  GeevComplex *geev = dtype == LP_COMPLEX64 ? cgeev_ : zgeev_;
  char left = 'N', right = v ? 'V' : 'N';
  int info = 0, ld = at_least_1(n), lwork = -1;
  double query[2], unused[2];
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, 2 * (size_t)n, lp_dtype_size(lp_dtype_to_real(dtype))))
    return LP_LAPACK_NO_MEMORY;
  if (!v) v = unused;
  geev(&left, &right, &n, a, &ld, w, unused, &ld, v, &ld, query, &lwork, s.data[0], &info,
       1, 1);
  lwork = queried(dtype, query);
  if (!scratch_add(&s, 1, (size_t)lwork, lp_dtype_size(dtype)))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  geev(&left, &right, &n, a, &ld, w, unused, &ld, v, &ld, s.data[1], &lwork, s.data[0],
       &info, 1, 1);
  return scratch_drop(&s, info);
}

/* --- least squares
 * -------------------------------------------------------------------------------- */

static int lstsq_factored(LpDtype dtype, int m, int n, int n_rhs, void *a, void *b,
                          const void *rcond, int *rank) {
  int info = 0, lda = at_least_1(m), ldb = at_least_1(larger(m, n)), lwork = -1;
  double query[2];
  bool is_complex = lp_dtype_is_complex(dtype);
  size_t item = lp_dtype_size(dtype);
  GelsyReal *gelsy_real = dtype == LP_FLOAT32 ? sgelsy_ : dgelsy_;
  GelsyComplex *gelsy_complex = dtype == LP_COMPLEX64 ? cgelsy_ : zgelsy_;
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, (size_t)n, sizeof(int)) ||
      !scratch_add(&s, 1, 2 * (size_t)n, item))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  memset(s.data[0], 0, (size_t)n * sizeof(int)); /* every column may be permuted */
  if (is_complex)
    gelsy_complex(&m, &n, &n_rhs, a, &lda, b, &ldb, s.data[0], rcond, rank, query, &lwork,
                  s.data[1], &info);
  else
    gelsy_real(&m, &n, &n_rhs, a, &lda, b, &ldb, s.data[0], rcond, rank, query, &lwork,
               &info);
  lwork = queried(dtype, query);
  if (!scratch_add(&s, 2, (size_t)lwork, item))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  if (is_complex)
    gelsy_complex(&m, &n, &n_rhs, a, &lda, b, &ldb, s.data[0], rcond, rank, s.data[2],
                  &lwork, s.data[1], &info);
  else
    gelsy_real(&m, &n, &n_rhs, a, &lda, b, &ldb, s.data[0], rcond, rank, s.data[2],
               &lwork, &info);
  return scratch_drop(&s, info);
}

static int lstsq_svd(LpDtype dtype, int m, int n, int n_rhs, void *a, void *b,
                     const void *rcond, int *rank, void *sv) {
  int info = 0, lda = at_least_1(m), ldb = at_least_1(larger(m, n)), lwork = -1,
      iquery = 0;
  double query[2] = {0}, rquery[2] = {0};
  bool is_complex = lp_dtype_is_complex(dtype);
  GelsdReal *gelsd_real = dtype == LP_FLOAT32 ? sgelsd_ : dgelsd_;
  GelsdComplex *gelsd_complex = dtype == LP_COMPLEX64 ? cgelsd_ : zgelsd_;
  Scratch s = {{0}};
  if (is_complex)
    gelsd_complex(&m, &n, &n_rhs, a, &lda, b, &ldb, sv, rcond, rank, query, &lwork,
                  rquery, &iquery, &info);
  else
    gelsd_real(&m, &n, &n_rhs, a, &lda, b, &ldb, sv, rcond, rank, query, &lwork, &iquery,
               &info);
  lwork = queried(dtype, query);
  size_t rwork_count = is_complex ? (size_t)queried(dtype, rquery) : 1;
  if (!scratch_add(&s, 0, (size_t)at_least_1(iquery), sizeof(int)) ||
      !scratch_add(&s, 1, (size_t)lwork, lp_dtype_size(dtype)) ||
      !scratch_add(&s, 2, rwork_count, sizeof(double)))
    return scratch_drop(&s, LP_LAPACK_NO_MEMORY);
  if (is_complex)
    gelsd_complex(&m, &n, &n_rhs, a, &lda, b, &ldb, sv, rcond, rank, s.data[1], &lwork,
                  s.data[2], s.data[0], &info);
  else
    gelsd_real(&m, &n, &n_rhs, a, &lda, b, &ldb, sv, rcond, rank, s.data[1], &lwork,
               s.data[0], &info);
  return scratch_drop(&s, info);
}

int lp_lapack_lstsq(LpDtype dtype, int m, int n, int n_rhs, void *a, void *b,
                    double rcond, int *rank, void *sv) {
  kind_of(dtype);
  float single = (float)rcond;
  bool is_single = dtype == LP_FLOAT32 || dtype == LP_COMPLEX64;
  const void *bound = is_single ? (const void *)&single : (const void *)&rcond;
  return sv ? lstsq_svd(dtype, m, n, n_rhs, a, b, bound, rank, sv)
            : lstsq_factored(dtype, m, n, n_rhs, a, b, bound, rank);
}

/* --- triangles
 * --------------------------------------------------------------------------------------
 */

void lp_blas_triangular_solve(LpDtype dtype, bool left, bool upper, char trans, bool unit,
                              int m, int n, const void *a, int lda, void *b, int ldb) {
  static const double one_double[2] = {1, 0};
  static const float one_float[2] = {1, 0};
  enum CBLAS_SIDE side = left ? CblasLeft : CblasRight;
  enum CBLAS_UPLO uplo = upper ? CblasUpper : CblasLower;
  enum CBLAS_TRANSPOSE op = trans == 'N'   ? CblasNoTrans
                            : trans == 'T' ? CblasTrans
                                           : CblasConjTrans;
  enum CBLAS_DIAG diag = unit ? CblasUnit : CblasNonUnit;
  kind_of(dtype);
  switch (dtype) {
  case LP_FLOAT32:
    cblas_strsm(CblasRowMajor, side, uplo, op, diag, m, n, 1, a, lda, b, ldb);
    break;
  case LP_FLOAT64:
    cblas_dtrsm(CblasRowMajor, side, uplo, op, diag, m, n, 1, a, lda, b, ldb);
    break;
  case LP_COMPLEX64:
    cblas_ctrsm(CblasRowMajor, side, uplo, op, diag, m, n, one_float, a, lda, b, ldb);
    break;
  default:
    cblas_ztrsm(CblasRowMajor, side, uplo, op, diag, m, n, one_double, a, lda, b, ldb);
  }
}
