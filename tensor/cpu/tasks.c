/* Tasks over the thread pool; see cpu/tasks.h. */
#include "cpu/tasks.h"

#include <stdatomic.h>
#include "core/parallel.h"

typedef struct Tasks {
  void (*body)(void *ctx, int64_t i);
  void *ctx;
  int64_t check_every;
  _Atomic bool stopped;
} Tasks;

static void run_range(void *ctx, int64_t begin, int64_t end) {
  Tasks *t = ctx;
  int64_t left = t->check_every;
  for (int64_t i = begin; i < end; i++) {
    t->body(t->ctx, i);
    if (--left > 0) continue;
    left = t->check_every;
    if (lp_interrupt_pending()) atomic_store_explicit(&t->stopped, true, memory_order_relaxed);
    if (atomic_load_explicit(&t->stopped, memory_order_relaxed)) return;
  }
}

bool lp_run_tasks(int64_t n, int64_t work_elems, void (*body)(void *ctx, int64_t i), void *ctx) {
  if (work_elems < 1) work_elems = 1;
  int64_t grain = LP_GRAIN / work_elems;
  Tasks t = {.body = body, .ctx = ctx, .check_every = grain < 1 ? 1 : grain};
  lp_parallel_for(n, grain < 1 ? 1 : grain, run_range, &t);
  if (!t.stopped) return true;
  lp_interrupt_take();
  return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
}
