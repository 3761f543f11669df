/* LAPACK for symmetric indefinite matrices, and for applying Householder reflectors; the
 * conventions are those of lapack.h. Owned by lapack_symmetric.c. */
#ifndef LP_CPU_LAPACK_SYMMETRIC_H
#define LP_CPU_LAPACK_SYMMETRIC_H

#include "cpu/lapack.h"

/* A = L D L^T (L^H when hermitian) in place, in the lower triangle; pivots: n entries, as
 * LAPACK numbers them. info i: D[i, i] is exactly zero. */
int lp_lapack_ldl(LpDtype dtype, bool hermitian, int n, void *a, int *pivots);
/* b (n x n_rhs) = A^-1 b from lp_lapack_ldl's result. */
int lp_lapack_ldl_solve(LpDtype dtype, bool hermitian, int n, int n_rhs, const void *a,
                        const int *pivots, void *b);
/* c (m x n) = op(Q) c, or c op(Q) when !left, Q from k reflectors in the columns of a
 * (of m rows when left, else n); adjoint: op is the conjugate transpose. */
int lp_lapack_qr_apply(LpDtype dtype, bool left, bool adjoint, int m, int n, int k,
                       void *a, const void *tau, void *c);

#endif
