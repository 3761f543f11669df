/* Threads: splits a range over OpenMP's pool. The only place that starts parallel regions. */
#ifndef LP_CORE_PARALLEL_H
#define LP_CORE_PARALLEL_H

#include "lampad/base.h"

LP_API int lp_num_threads(void);
LP_API void lp_set_num_threads(int n);

/* How many threads a loop of n elements would have: one inside another parallel region. */
int64_t lp_parallel_threads(int64_t n, int64_t grain);

/* Runs body(ctx, begin, end) over the pieces of [0, n), one piece when n <= grain (elements of work)
 * or inside another parallel region. Which thread takes a piece is not determined, the pieces are. body
 * must not touch thread-local error state: report through ctx. */
void lp_parallel_for(int64_t n, int64_t grain, void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx);
/* The same; backwards: each thread begins with its last piece. */
void lp_parallel_walk(int64_t n, int64_t grain, void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx,
                      bool backwards);

#define LP_GRAIN 32768 /* elements of cheap work below which a second thread costs more than it gives */

#endif
