/* Threads for the kernels of lu_small.h. */
#include "cpu/lu_small.h"

#include "core/parallel.h"

typedef struct Run {
  const LpSmallLu *g;
  void (*groups)(const LpSmallLu *g, int64_t begin, int64_t end);
} Run;

static void run_groups(void *ctx, int64_t begin, int64_t end) {
  const Run *r = ctx;
  r->groups(r->g, begin, end);
}

void lp_small_lu(const LpSmallLu *g) {
  const LpSmallLuKernels *kernels = lp_small_lu_kernels();
  const bool single = g->dtype == LP_FLOAT32;
  const int64_t lanes = single ? kernels->lanes_f32 : kernels->lanes_f64;
  Run r = {.g = g, .groups = single ? kernels->groups_f32 : kernels->groups_f64};
  const int64_t steps = (int64_t)g->n * g->n * (g->n + g->n_rhs) + 1; /* of a group */
  lp_parallel_for((g->count + lanes - 1) / lanes, 4096 / steps + 1, run_groups, &r);
}
