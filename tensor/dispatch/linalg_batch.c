/* Batches of matrices shared among threads.
 *
 * Note [Threads of a batch]: inside a parallel region OpenBLAS, and products of our own,
 * run on the thread that calls them, so that each thread has matrices of its own. Of
 * large matrices there must be enough to keep all threads busy; else they go one by one,
 * and the threads work on each. A single matrix that is not large is worked on inside a
 * region, too: OpenBLAS would share out operations that take less time than that. */
#include "dispatch/linalg_batch.h"

#include <pthread.h>
#include <stdatomic.h>
#include "core/alloc.h"
#include "core/parallel.h"

#define LARGE_FLOPS 1e7 /* see threads_from */
#define CALL_FLOPS 1000 /* as many take the time of LAPACK's calls */

typedef struct Run {
  const LpMatrixLoop *loop;
  pthread_mutex_t lock;
  _Atomic int64_t failed; /* the first matrix known to fail, or count */
  int code;               /* of that matrix; under lock */
} Run;

static void note_failure(Run *r, int64_t i, int code) {
  pthread_mutex_lock(&r->lock);
  if (i < r->failed) {
    r->failed = i;
    r->code = code;
  }
  pthread_mutex_unlock(&r->lock);
}

static void run_matrices(void *ctx, int64_t begin, int64_t end) {
  Run *r = ctx;
  const LpMatrixLoop *loop = r->loop;
  size_t capacity = 0;
  char *scratch = NULL;
  if (loop->scratch_bytes && !(scratch = lp_block_alloc(loop->scratch_bytes, &capacity)))
    note_failure(r, begin, LP_LAPACK_NO_MEMORY);
  for (int64_t i = begin; i < end; i++) {
    if (i >= atomic_load_explicit(&r->failed, memory_order_relaxed)) break;
    const int code = loop->step(loop->ctx, i, scratch);
    if (code) note_failure(r, i, code);
  }
  if (scratch) lp_block_free(scratch, capacity);
}

/* All by the one that has the first of two pieces. */
static void run_alone(void *ctx, int64_t begin, int64_t end) {
  (void)end;
  if (begin == 0) run_matrices(ctx, 0, ((Run *)ctx)->loop->count);
}

int lp_linalg_each(const LpMatrixLoop *loop, int64_t *failed) {
  Run r = {.loop = loop, .lock = PTHREAD_MUTEX_INITIALIZER};
  atomic_init(&r.failed, loop->count);
  const double large = loop->threads_from > 0 ? loop->threads_from : LARGE_FLOPS;
  if (loop->count < 2 * lp_num_threads() && loop->flops > large)
    run_matrices(&r, 0, loop->count);
  else if (loop->count == 1 && loop->flops > LP_GRAIN)
    lp_parallel_for(2, 1, run_alone, &r);
  else
    lp_parallel_for(loop->count, 1 + (int64_t)(LP_GRAIN / (loop->flops + CALL_FLOPS)),
                    run_matrices, &r);
  pthread_mutex_destroy(&r.lock);
  *failed = r.failed;
  if (r.code == LP_LAPACK_NO_MEMORY)
    lp_fail(LP_ERR_MEMORY, "out of memory for the work space of matrix %lld of %lld",
            (long long)*failed, (long long)loop->count);
  return r.code;
}
