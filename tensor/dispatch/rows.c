/* Moves of strided elements, see rows.h. */
#include "dispatch/rows.h"

#include <stdatomic.h>
#include "core/parallel.h"
#include "cpu/copy.h"

#define BLOCK_ELEMS 16384 /* between two looks at the interrupt flag */

void lp_move_rows(const LpMove *m, char *to, const char *from, int64_t first,
                  int64_t rows) {
  const int64_t *shape = m->shape, row = shape[0] * m->size;
  int64_t index[LP_MAX_DIMS], rest = first;
  for (int d = 1; d < m->ndim; d++) {
    index[d] = rest % shape[d];
    rest /= shape[d];
    from += index[d] * m->from[d];
    if (m->to) to += index[d] * m->to[d];
  }
  const LpRowSteps r = {.size = m->size,
                        .n = shape[0],
                        .to_step = m->to ? m->to[0] : m->size,
                        .from_step = m->from[0],
                        .to_row = m->to ? m->to[1] : row,
                        .from_row = m->from[1]};
  while (rows > 0) {
    const int64_t run = shape[1] - index[1] < rows ? shape[1] - index[1] : rows;
    lp_copy_kernels()->move(&r, to, from, run);
    if ((rows -= run) == 0) return;
    from -= index[1] * r.from_row;
    to += m->to ? -index[1] * r.to_row : run * row;
    index[1] = 0;
    for (int d = 2; d < m->ndim; d++) {
      from += m->from[d];
      if (m->to) to += m->to[d];
      if (++index[d] < shape[d]) break;
      from -= shape[d] * m->from[d];
      if (m->to) to -= shape[d] * m->to[d];
      index[d] = 0;
    }
  }
}

typedef struct All {
  const LpMove *m;
  char *to;
  const char *from;
  bool backwards;
  atomic_bool stopped;
} All;

static void move_range(void *ctx, int64_t begin, int64_t end) {
  All *a = ctx;
  const int64_t block = BLOCK_ELEMS / a->m->shape[0] + 1;
  while (begin < end) {
    const int64_t n = end - begin < block ? end - begin : block;
    const int64_t first = a->backwards ? end - n : begin;
    lp_move_rows(a->m, a->to + (a->m->to ? 0 : first * a->m->shape[0] * a->m->size),
                 a->from, first, n);
    if (a->backwards)
      end -= n;
    else
      begin += n;
    if (lp_interrupt_pending())
      atomic_store_explicit(&a->stopped, true, memory_order_relaxed);
    if (atomic_load_explicit(&a->stopped, memory_order_relaxed)) return;
  }
}

bool lp_move_all(const LpMove *m, char *to, const char *from) {
  int64_t rows = 1;
  for (int d = 1; d < m->ndim; d++) rows *= m->shape[d];
  if (rows * m->shape[0] <= BLOCK_ELEMS) {
    lp_move_rows(m, to, from, 0, rows);
    return true;
  }
  All a = {.m = m, .to = to, .from = from, .backwards = lp_iter_turn()};
  lp_parallel_walk(rows, LP_GRAIN / m->shape[0] + 1, move_range, &a, a.backwards);
  if (!atomic_load(&a.stopped)) return true;
  lp_interrupt_take();
  return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
}
