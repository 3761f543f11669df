/* A list of tasks of known cost, run over the thread pool with a look at the interrupt flag. Kernels
 * whose work does not fit the broadcasting iterator use it. Owned by tasks.c. */
#ifndef LP_CPU_TASKS_H
#define LP_CPU_TASKS_H

#include "lampad/base.h"

/* Walks a task list in parallel: body(ctx, i) for each i; work_elems is the cost of one task. Stops
 * early on an interrupt and returns false with the error recorded. body must not record errors. */
bool lp_run_tasks(int64_t n, int64_t work_elems, void (*body)(void *ctx, int64_t i), void *ctx);

#endif
