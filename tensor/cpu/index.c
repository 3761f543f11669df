/* The walk over indexed blocks (cpu/index.h).
 *
 * Note [Order of indexed writes]: blocks named twice must be taken in order, whatever the number of
 * threads. So when t is written, work is never cut along k: it is cut along the dims before, else
 * along the dims after, else each task takes the blocks that start in its own range of t. */
#include "cpu/index.h"

#include "core/parallel.h"
#include "cpu/tasks.h"

typedef struct Walk {
  const LpIndexBlocks *b;
  int64_t before, inner; /* positions before; elements of a block but its last dim */
  int64_t width, piece;  /* size of the last dim after, and how it is cut */
  int64_t pieces, k_piece, k_pieces;
  int64_t low, span;     /* write buckets: offsets [low, low + span * buckets) */
  int64_t buckets;
} Walk;

/* One block, or its piece [first, first + n) of the last dim. */
static void run_block(const LpIndexBlocks *b, char *t, char *v, int64_t first, int64_t n) {
  if (b->n_after == 0) {
    b->kernel(&(LpIndexRow){.t = t, .v = v, .n = 1});
    return;
  }
  const LpIndexDim *last = &b->after[b->n_after - 1];
  LpIndexRow row = {.t_step = last->t_stride, .v_step = last->v_stride, .n = n};
  t += first * last->t_stride;
  v += first * last->v_stride;
  if (b->n_after == 1) {
    row.t = t;
    row.v = v;
    b->kernel(&row);
    return;
  }
  int64_t index[LP_MAX_DIMS] = {0};
  for (;;) {
    row.t = t;
    row.v = v;
    b->kernel(&row);
    int d = b->n_after - 2;
    for (; d >= 0; d--) {
      const LpIndexDim *dim = &b->after[d];
      t += dim->t_stride;
      v += dim->v_stride;
      if (++index[d] < dim->size) break;
      t -= dim->size * dim->t_stride;
      v -= dim->size * dim->v_stride;
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

static void locate(const LpIndexBlocks *b, int64_t i, char **t, char **v) {
  *t = b->t;
  *v = b->v;
  for (int d = b->n_before - 1; d >= 0; d--) {
    int64_t at = i % b->before[d].size;
    i /= b->before[d].size;
    *t += at * b->before[d].t_stride;
    *v += at * b->before[d].v_stride;
  }
}

#define CHUNK 1024 /* elements picked for a bucket together */

/* The elements (blocks of one) of the bucket [low, low + span), brought together so that kernels run over
 * many at a time. */
static void run_bucket(const LpIndexBlocks *b, char *t, char *v, int64_t low, int64_t span) {
  const LpIndexTable *table = lp_index_table();
  int64_t offsets[CHUNK], places[CHUNK];
  _Alignas(16) char values[CHUNK * 16];
  for (int64_t k = 0; k < b->k; k += CHUNK) {
    int64_t left = b->k - k;
    int64_t n = table->within(b->offsets + k, left < CHUNK ? left : CHUNK, low, span, k, offsets, places);
    table->get[lp_size_class(b->elem_bytes)](&(LpIndexRow){
        .t = v, .idx = places, .idx_step = 1, .scale = b->v_k_stride, .v = values, .v_step = b->elem_bytes, .n = n});
    b->kernel(&(LpIndexRow){
        .t = t, .idx = offsets, .idx_step = 1, .scale = 1, .v = values, .v_step = b->elem_bytes, .n = n});
  }
}

/* Task: one position before, one piece of the last dim, one piece of k (reads) or bucket (writes). */
static void run_task(void *ctx, int64_t task) {
  const Walk *w = ctx;
  const LpIndexBlocks *b = w->b;
  char *t, *v;
  int64_t part = task % w->k_pieces, rest = task / w->k_pieces;
  int64_t piece = rest % w->pieces;
  locate(b, rest / w->pieces, &t, &v);
  int64_t first = piece * w->piece;
  int64_t n = w->width - first < w->piece ? w->width - first : w->piece;
  int64_t k0 = 0, k1 = b->k;
  if (w->buckets == 1) {
    k0 = part * w->k_piece;
    k1 = b->k - k0 < w->k_piece ? b->k : k0 + w->k_piece;
  }
  if (b->n_after == 0 && w->buckets == 1) {
    b->kernel(&(LpIndexRow){.t = t, .idx = b->offsets + k0, .idx_step = 1, .scale = 1,
                            .v = v + k0 * b->v_k_stride, .v_step = b->v_k_stride, .n = k1 - k0});
    return;
  }
  int64_t low = w->low + part * w->span, high = low + w->span;
  if (b->n_after == 0) {
    run_bucket(b, t, v, low, w->span);
    return;
  }
  for (int64_t k = k0; k < k1; k++) {
    int64_t offset = b->offsets[k];
    if (w->buckets > 1 && (offset < low || offset >= high)) continue;
    run_block(b, t + offset, v + k * b->v_k_stride, first, n);
  }
}

static int join_dims(LpIndexDim *dims, int n) {
  int last = -1;
  for (int i = 0; i < n; i++) {
    if (dims[i].size == 1) continue;
    if (last >= 0 && dims[last].t_stride == dims[i].t_stride * dims[i].size &&
        dims[last].v_stride == dims[i].v_stride * dims[i].size) {
      dims[last] = (LpIndexDim){dims[last].size * dims[i].size, dims[i].t_stride, dims[i].v_stride};
    } else {
      dims[++last] = dims[i];
    }
  }
  return last + 1;
}

bool lp_index_blocks_run(LpIndexBlocks *b) {
  Walk w = {.b = b, .before = 1, .inner = 1, .pieces = 1, .k_pieces = 1, .buckets = 1};
  for (int d = 0; d < b->n_before; d++) w.before *= b->before[d].size;
  for (int d = 0; d < b->n_after; d++) w.inner *= b->after[d].size;
  if (w.before == 0 || w.inner == 0 || b->k == 0) return true;
  b->n_before = join_dims(b->before, b->n_before);
  b->n_after = join_dims(b->after, b->n_after);
  int64_t block = w.inner, total = w.before * b->k * block;
  w.width = w.piece = b->n_after ? b->after[b->n_after - 1].size : 1;
  w.k_piece = b->k;
  bool small = total < 2 * LP_GRAIN || lp_num_threads() == 1;
  if (!b->ordered) {
    /* Pieces of about a grain, so that interrupts are seen and threads find work. */
    int64_t wanted = LP_GRAIN / block;
    w.k_piece = wanted < 1 ? 1 : wanted < b->k ? wanted : b->k;
    w.k_pieces = (b->k + w.k_piece - 1) / w.k_piece;
  } else if (!small && w.before < 16 && w.width >= 8192) {
    w.piece = 4096;
    w.pieces = (w.width + w.piece - 1) / w.piece;
  } else if (!small && w.before < 16) {
    int64_t high = b->offsets[0];
    w.low = high;
    for (int64_t i = 1; i < b->k; i++) {
      if (b->offsets[i] < w.low) w.low = b->offsets[i];
      if (b->offsets[i] > high) high = b->offsets[i];
    }
    w.buckets = w.k_pieces = (b->n_after ? 2 : 1) * lp_num_threads();
    w.span = (high - w.low) / w.buckets + 1;
  }
  int64_t tasks = w.before * w.pieces * w.k_pieces;
  return lp_run_tasks(tasks, total / tasks, run_task, &w);
}
