/* What the linear algebra ops share: checks, batches of matrices, layout changes. */
#ifndef LP_DISPATCH_LINALG_H
#define LP_DISPATCH_LINALG_H

#include "core/tensor.h"
#include "lampad/autograd.h"

/* At least two dims, the last two equal. */
bool lp_check_square(const LpTensor *t, const char *name);
/* float32, float64, complex64 or complex128, on the CPU. */
bool lp_check_lapack(const LpTensor *t, const char *name);
/* At least two dims, sizes that fit LAPACK's ints. */
bool lp_check_matrix(const LpTensor *t, const char *name);

/* Does t take part in a graph that is being recorded, here or below a vmap? */
static inline bool lp_is_recorded(const LpTensor *t) {
  return lp_grad_enabled() && (lp_requires_grad(t) || lp_requires_grad_below(t));
}

/* B of these sizes holds vectors, one per matrix of A, as solve understands it. */
bool lp_solve_by_vectors(LpInts a_sizes, LpInts b_sizes);

/* A contiguous tensor as count matrices of m x n. */
typedef struct LpBatch {
  int64_t count;
  int m, n;
  size_t matrix_bytes;
} LpBatch;
LpBatch lp_batch_of(const LpTensor *t);

/* A contiguous copy to work in; the caller's to overwrite. */
LpTensor *lp_linalg_copy(LpTensor *t);
/* New tensor: t's batch dims followed by `tail`. */
LpTensor *lp_linalg_new(const LpTensor *t, const int64_t *tail, int tail_ndim,
                        LpDtype dtype);
/* dst (n x m) = the transpose of src (m x n), both dense row-major. */
void lp_linalg_turn(size_t item, const char *src, int m, int n, char *dst);
/* The same of matrices whose rows lie so many elements apart. */
void lp_linalg_turn_part(size_t item, const char *src, int64_t src_step, int m, int n,
                         char *dst, int64_t dst_step);
/* Where a computed tensor (taken over, may be NULL) goes: to out (resized, retained) when
 * given, else back. */
LpTensor *lp_linalg_deliver(LpTensor *out, LpTensor *result);
/* Zeros, one int32 per matrix of t. */
LpTensor *lp_linalg_new_info(const LpTensor *t);
/* Releases the results unless ok; returns ok. */
bool lp_linalg_finish(bool ok, LpTensor **results, int n);
/* "(Batch element 3): " for the error of matrix i of several; "" for a single one. */
const char *lp_batch_text(const LpTensor *t, int64_t i, char *buf, size_t buf_bytes);

#endif
