/* LAPACK, one matrix at a time, for float32, float64, complex64 and complex128.
 *
 * Matrices are dense and column-major, as LAPACK wants them; a row-major matrix is its
 * own transpose seen this way, which most callers turn to use. The result is LAPACK's
 * info: 0 on success, > 0 where the algorithm failed (its meaning is at each routine), or
 * LP_LAPACK_NO_MEMORY with the error recorded. Sizes must fit an int. Owned by lapack.c.
 */
#ifndef LP_CPU_LAPACK_H
#define LP_CPU_LAPACK_H

#include <limits.h>
#include "lampad/tensor.h"

#define LP_LAPACK_NO_MEMORY INT_MIN

/* P A = L U in place; pivots: min(m, n) entries, 1-based. info i: the i-th pivot is zero.
 */
int lp_lapack_lu(LpDtype dtype, int m, int n, void *a, int *pivots);
/* The inverse from lp_lapack_lu's result, in place. info i: the i-th pivot is zero. */
int lp_lapack_lu_invert(LpDtype dtype, int n, void *a, const int *pivots);
/* b (n x n_rhs) = op(A)^-1 b; trans is 'N', 'T' or 'C'. */
int lp_lapack_lu_solve(LpDtype dtype, char trans, int n, int n_rhs, const void *lu,
                       const int *pivots, void *b);
/* The Cholesky factor in place, in the triangle named ('U' or 'L'). info i: the leading
 * minor of order i is not positive. */
int lp_lapack_cholesky(LpDtype dtype, char uplo, int n, void *a);
/* A = Q R in place: R above, reflectors below the diagonal, their factors in tau (min(m,
 * n)). */
int lp_lapack_qr(LpDtype dtype, int m, int n, void *a, void *tau);
/* The first n columns of Q (m x n) from k reflectors, in place. */
int lp_lapack_qr_form(LpDtype dtype, int m, int n, int k, void *a, const void *tau);
/* A = U diag(s) VT; job 'A' all, 'S' min(m, n) columns, 'N' none of U and rows of VT. a
 * is destroyed. s is real. info > 0: no convergence. */
int lp_lapack_svd(LpDtype dtype, char job, int m, int n, void *a, void *s, void *u,
                  void *vt);
/* Eigenvalues w (real, ascending) and, with vectors, eigenvectors in a. info > 0: no
 * convergence. */
int lp_lapack_eigh(LpDtype dtype, bool vectors, char uplo, int n, void *a, void *w);
/* Eigenvalues w and right eigenvectors v (n x n, NULL: not wanted), complex. a is
 * destroyed. */
int lp_lapack_eig(LpDtype dtype, int n, void *a, void *w, void *v);
/* Least squares of minimal norm: a (m x n) is destroyed, b (max(m, n) x n_rhs) becomes
 * the solution. s NULL: by complete orthogonal factorisation; else by SVD, singular
 * values (min(m, n), real) in s. */
int lp_lapack_lstsq(LpDtype dtype, int m, int n, int n_rhs, void *a, void *b,
                    double rcond, int *rank, void *s);
/* b (m x n, row-major, rows ldb apart) = op(A)^-1 b, or b op(A)^-1 when !left; A
 * row-major. */
void lp_blas_triangular_solve(LpDtype dtype, bool left, bool upper, char trans, bool unit,
                              int m, int n, const void *a, int lda, void *b, int ldb);

#endif
