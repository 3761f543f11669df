/* LAPACK calls with their workspaces; see lapack_symmetric.h. */
#include "cpu/lapack_symmetric.h"

#include "cpu/lapack_scratch.h"

typedef void Sytrf(const char *uplo, const int *n, void *a, const int *lda, int *pivots,
                   void *work, const int *lwork, int *info, size_t);
typedef void Sytrs(const char *uplo, const int *n, const int *nrhs, const void *a,
                   const int *lda, const int *pivots, void *b, const int *ldb, int *info,
                   size_t);
typedef void Ormqr(const char *side, const char *trans, const int *m, const int *n,
                   const int *k, void *a, const int *lda, const void *tau, void *c,
                   const int *ldc, void *work, const int *lwork, int *info, size_t,
                   size_t);

extern Sytrf ssytrf_, dsytrf_, csytrf_, zsytrf_, chetrf_, zhetrf_;
extern Sytrs ssytrs_, dsytrs_, csytrs_, zsytrs_, chetrs_, zhetrs_;
extern Ormqr sormqr_, dormqr_, cunmqr_, zunmqr_;

int lp_lapack_ldl(LpDtype dtype, bool hermitian, int n, void *a, int *pivots) {
  static Sytrf *const symmetric[] = {ssytrf_, dsytrf_, csytrf_, zsytrf_};
  static Sytrf *const adjoint[] = {ssytrf_, dsytrf_, chetrf_, zhetrf_};
  Sytrf *sytrf = (hermitian ? adjoint : symmetric)[kind_of(dtype)];
  int info = 0, lda = at_least_1(n), lwork = -1;
  double query[2];
  sytrf("L", &n, a, &lda, pivots, query, &lwork, &info, 1);
  lwork = queried(dtype, query);
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, (size_t)lwork, lp_dtype_size(dtype)))
    return LP_LAPACK_NO_MEMORY;
  sytrf("L", &n, a, &lda, pivots, s.data[0], &lwork, &info, 1);
  return scratch_drop(&s, info);
}

int lp_lapack_ldl_solve(LpDtype dtype, bool hermitian, int n, int n_rhs, const void *a,
                        const int *pivots, void *b) {
  static Sytrs *const symmetric[] = {ssytrs_, dsytrs_, csytrs_, zsytrs_};
  static Sytrs *const adjoint[] = {ssytrs_, dsytrs_, chetrs_, zhetrs_};
  int info = 0, ld = at_least_1(n);
  (hermitian ? adjoint : symmetric)[kind_of(dtype)]("L", &n, &n_rhs, a, &ld, pivots, b,
                                                    &ld, &info, 1);
  return info;
}

int lp_lapack_qr_apply(LpDtype dtype, bool left, bool adjoint, int m, int n, int k,
                       void *a, const void *tau, void *c) {
  static Ormqr *const table[] = {sormqr_, dormqr_, cunmqr_, zunmqr_};
  Ormqr *ormqr = table[kind_of(dtype)];
  const char *side = left ? "L" : "R";
  const char *trans = !adjoint ? "N" : lp_dtype_is_complex(dtype) ? "C" : "T";
  int info = 0, lda = at_least_1(left ? m : n), ldc = at_least_1(m), lwork = -1;
  double query[2];
  ormqr(side, trans, &m, &n, &k, a, &lda, tau, c, &ldc, query, &lwork, &info, 1, 1);
  lwork = queried(dtype, query);
  Scratch s = {{0}};
  if (!scratch_add(&s, 0, (size_t)lwork, lp_dtype_size(dtype)))
    return LP_LAPACK_NO_MEMORY;
  ormqr(side, trans, &m, &n, &k, a, &lda, tau, c, &ldc, s.data[0], &lwork, &info, 1, 1);
  return scratch_drop(&s, info);
}
