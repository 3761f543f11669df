/* Batches of matrices shared among threads, one matrix a step. Owned by linalg_batch.c.
 */
#ifndef LP_DISPATCH_LINALG_BATCH_H
#define LP_DISPATCH_LINALG_BATCH_H

#include "cpu/lapack.h"

#define LP_NOT_FINITE (INT_MIN + 1) /* a step's code: an infinity or a NaN in the way */

/* Works on matrix i; 0, or a code that ends the batch: LAPACK's info,
 * LP_LAPACK_NO_MEMORY, LP_NOT_FINITE, or what the caller understands. scratch is the
 * step's alone. Must not raise errors: it may run in another thread. */
typedef int (*LpMatrixStep)(void *ctx, int64_t i, char *scratch);

typedef struct LpMatrixLoop {
  int64_t count;
  double flops;        /* of one matrix, roughly */
  double threads_from; /* flops from which several threads are faster with one matrix;
                          0: those of a factorisation that is made of products */
  size_t scratch_bytes;
  LpMatrixStep step;
  void *ctx;
} LpMatrixLoop;

/* 0, or the code of the first matrix (*failed) of the batch that gave one; all before it
 * are done. For LP_LAPACK_NO_MEMORY the error is recorded. */
int lp_linalg_each(const LpMatrixLoop *loop, int64_t *failed);

#endif
