/* Counts, a table for each thread, of several rows where there are few bins: neighbours
 * often fall into one bin, whose count would wait for the one before (cpu/count.h). */
#include "cpu/count.h"

#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "cpu/tasks.h"

#define WAYS 4

typedef struct Count {
  int64_t n, share, row; /* elements, those of a table, entries of a row */
  int64_t ways;          /* rows of a table, WAYS or 1 */
  LpBinsOf bins_of;
  const void *ctx;
  int64_t *tables;
} Count;

static void count_share(void *ctx, int64_t table) {
  const Count *c = ctx;
  int64_t *counts = c->tables + table * c->ways * c->row, bins[LP_COUNT_BLOCK];
  int64_t *a = counts, *b = a + c->row, *d = b + c->row, *e = d + c->row;
  const bool several = c->ways == WAYS;
  int64_t first = table * c->share,
          end = c->n - first < c->share ? c->n : first + c->share;
  for (; first < end && !lp_interrupt_pending(); first += LP_COUNT_BLOCK) {
    int64_t n = end - first < LP_COUNT_BLOCK ? end - first : LP_COUNT_BLOCK;
    c->bins_of(c->ctx, first, n, bins);
    int64_t i = 0;
    for (; several && i + WAYS <= n; i += WAYS) {
      a[bins[i]]++;
      b[bins[i + 1]]++;
      d[bins[i + 2]]++;
      e[bins[i + 3]]++;
    }
    for (; i < n; i++) counts[bins[i]]++;
  }
}

bool lp_count(int64_t *counts, int64_t n_bins, int64_t n, LpBinsOf bins_of,
              const void *ctx) {
  /* Threads must not share a cache line, nor the pair that is fetched together. */
  Count c = {.n = n, .row = (n_bins + 1 + 15) & -16, .bins_of = bins_of, .ctx = ctx};
  /* A table is worth its making for several times as many elements. */
  const int64_t tables =
      n == 0 ? 1 : lp_parallel_threads(n, c.row > LP_GRAIN / 4 ? 4 * c.row : LP_GRAIN);
  c.ways = c.row <= LP_COUNT_BLOCK && n >= 16 * c.row ? WAYS : 1;
  const size_t bytes = (size_t)(tables * c.ways * c.row) * sizeof *counts;
  TRY(c.tables = lp_calloc(bytes));
  c.share = n / tables + 1;
  const bool ok = lp_run_tasks(tables, c.share, count_share, &c);
  memcpy(counts, c.tables, (size_t)n_bins * sizeof *counts);
  for (int64_t t = 1; t < tables * c.ways; t++) {
    for (int64_t i = 0; i < n_bins; i++) counts[i] += c.tables[t * c.row + i];
  }
  lp_free(c.tables, bytes);
  return ok;
}
