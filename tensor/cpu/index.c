/* The walk over indexed blocks (cpu/index.h).
 *
 * Note [Order of indexed writes]: blocks named twice must be taken in order, whatever the number of
 * threads. So when t is written, work is never cut along k: it is cut along the dims before, else
 * along the dims after, else each task takes the blocks that start in its own range of t. */
#include "cpu/index.h"

#include <string.h>
#include "core/parallel.h"
#include "cpu/tasks.h"

typedef struct Walk {
  const LpIndexBlocks *b;
  int64_t before, inner; /* positions before; elements of a block but its last dim */
  int64_t width, piece;  /* size of the last dim after, and how it is cut */
  int64_t pieces, k_piece, k_pieces;
  int64_t low, span;     /* write buckets: offsets [low, low + span * buckets) */
  int64_t buckets;
  bool move;             /* blocks are dense, and moved as they are */
  int64_t *together;     /* places of the elements of some neighbouring positions before, in elements; or NULL */
  int64_t together_rows, rows_piece; /* positions that they span; positions of a task */
} Walk;

#define CHUNK 1024   /* elements brought together */
#define SHORT_ROW 64
#define FINE 2048    /* elements of a task: some for every thread, and no long wait for the last */

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

static LpIndexKernel get_of(const LpIndexBlocks *b) { return lp_index_table()->get[lp_size_class(b->elem_bytes)]; }
static LpIndexKernel put_of(const LpIndexBlocks *b) { return lp_index_table()->put[lp_size_class(b->elem_bytes)]; }

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
        .t = t, .idx = offsets, .idx_step = 1, .scale = b->scale, .v = values, .v_step = b->elem_bytes, .n = n});
  }
}

/* Blocks k0 to k1 of `width` elements, which come together as elements. */
static void run_spread(const LpIndexBlocks *b, char *t, char *v, int64_t k0, int64_t k1) {
  const LpIndexDim *last = &b->after[0];
  const int64_t width = last->size, most = CHUNK / width;
  int64_t places[CHUNK];
  for (int64_t k = k0; k < k1; k += most) {
    const int64_t n = k1 - k < most ? k1 - k : most;
    for (int64_t i = 0, at = 0; i < n; i++)
      for (int64_t j = 0; j < width; j++) places[at++] = b->offsets[k + i] * b->scale + j * last->t_stride;
    b->kernel(&(LpIndexRow){.t = t, .idx = places, .idx_step = 1, .scale = 1, .v = v + k * b->v_k_stride,
                            .v_step = last->v_stride, .n = n * width});
  }
}

static void run_moves(const LpIndexBlocks *b, char *t, char *v, int64_t first, int64_t n, int64_t k0, int64_t k1) {
  LpIndexMoves in = {.to = t + first * b->elem_bytes, .to_at = b->offsets + k0, .to_step = b->scale,
                     .from = v + first * b->elem_bytes + k0 * b->v_k_stride, .from_step = b->v_k_stride,
                     .bytes = n * b->elem_bytes, .n = k1 - k0};
  LpIndexMoves out = {.to = (char *)in.from, .to_step = in.from_step, .from = in.to, .from_at = in.to_at,
                      .from_step = b->scale, .bytes = in.bytes, .n = in.n};
  lp_index_table()->move(b->kernel == get_of(b) ? &out : &in);
}

/* The blocks of the bucket [low, low + span). */
static void run_block_bucket(const Walk *w, char *t, char *v, int64_t low, int64_t first, int64_t n) {
  const LpIndexBlocks *b = w->b;
  int64_t offsets[CHUNK], places[CHUNK];
  for (int64_t k = 0; k < b->k; k += CHUNK) {
    const int64_t left = b->k - k;
    const int64_t count = lp_index_table()->within(b->offsets + k, left < CHUNK ? left : CHUNK, low, w->span, k,
                                                   offsets, places);
    for (int64_t i = 0; i < count && !w->move; i++)
      run_block(b, t + offsets[i] * b->scale, v + places[i] * b->v_k_stride, first, n);
    if (w->move)
      lp_index_table()->move(&(LpIndexMoves){.to = t + first * b->elem_bytes, .to_at = offsets, .to_step = b->scale,
                                             .from = v + first * b->elem_bytes, .from_at = places,
                                             .from_step = b->v_k_stride, .bytes = n * b->elem_bytes, .n = count});
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
    b->kernel(&(LpIndexRow){.t = t, .idx = b->offsets + k0, .idx_step = 1, .scale = b->scale,
                            .v = v + k0 * b->v_k_stride, .v_step = b->v_k_stride, .n = k1 - k0});
    return;
  }
  int64_t low = w->low + part * w->span;
  if (w->buckets > 1 && b->n_after == 0) run_bucket(b, t, v, low, w->span);
  else if (w->buckets > 1) run_block_bucket(w, t, v, low, first, n);
  else if (w->move) run_moves(b, t, v, first, n, k0, k1);
  else if (b->n_after == 1 && w->width < SHORT_ROW / 4 && b->v_k_stride == w->width * b->after[0].v_stride)
    run_spread(b, t, v, k0, k1);
  else
    for (int64_t k = k0; k < k1; k++) run_block(b, t + b->offsets[k] * b->scale, v + k * b->v_k_stride, first, n);
}

/* Task: some neighbouring positions of the last dim before, at a position of the others. Each names few elements. */
static void run_rows(void *ctx, int64_t task) {
  const Walk *w = ctx;
  const LpIndexBlocks *b = w->b;
  const LpIndexDim *rows = &b->before[b->n_before - 1];
  const int64_t pieces = (rows->size + w->rows_piece - 1) / w->rows_piece;
  char *t, *v;
  const int64_t first = task % pieces * w->rows_piece;
  const int64_t end = rows->size - first < w->rows_piece ? rows->size : first + w->rows_piece;
  locate(b, task / pieces * rows->size + first, &t, &v);
  for (int64_t i = first; i < end; i += w->together_rows) {
    const int64_t n = end - i < w->together_rows ? end - i : w->together_rows;
    b->kernel(&(LpIndexRow){.t = t, .idx = w->together, .idx_step = 1, .scale = b->elem_bytes, .v = v,
                            .v_step = b->v_k_stride, .n = n * b->k});
    t += n * rows->t_stride;
    v += n * rows->v_stride;
  }
}

/* Whether few elements are named at each of many positions before, which are one walk in v. */
static bool has_short_rows(const Walk *w) {
  const LpIndexBlocks *b = w->b;
  return b->n_after == 0 && b->n_before > 0 && b->k < SHORT_ROW &&
         b->before[b->n_before - 1].v_stride == b->k * b->v_k_stride;
}

static bool run_short_rows(Walk *w) {
  const LpIndexBlocks *b = w->b;
  const LpIndexDim *rows = &b->before[b->n_before - 1];
  int64_t places[CHUNK], at = 0;
  w->together = places;
  w->together_rows = CHUNK / b->k < rows->size ? CHUNK / b->k : rows->size;
  for (int64_t i = 0; i < w->together_rows; i++)
    for (int64_t j = 0; j < b->k; j++) places[at++] = (i * rows->t_stride + b->offsets[j] * b->scale) / b->elem_bytes;
  w->rows_piece = FINE / b->k < rows->size ? FINE / b->k : rows->size;
  const int64_t tasks = w->before / rows->size * ((rows->size + w->rows_piece - 1) / w->rows_piece);
  return lp_run_tasks(tasks, w->rows_piece * b->k, run_rows, w);
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

#define ROW_BYTES 1024

/* One value for all elements of dense blocks, as a row of it that is moved to each. */
static void repeat_value(LpIndexBlocks *b, char *row) {
  const int64_t bytes = b->n_after == 1 ? b->after[0].size * b->elem_bytes : 0;
  if (bytes == 0 || bytes > ROW_BYTES || b->kernel != put_of(b) || b->after[0].t_stride != b->elem_bytes ||
      b->after[0].v_stride != 0 || b->v_k_stride != 0)
    return;
  for (int d = 0; d < b->n_before; d++)
    if (b->before[d].v_stride != 0) return;
  for (int64_t at = 0; at < bytes; at += b->elem_bytes) memcpy(row + at, b->v, (size_t)b->elem_bytes);
  b->v = row;
  b->after[0].v_stride = b->elem_bytes;
}

bool lp_index_blocks_run(LpIndexBlocks *b) {
  char row[ROW_BYTES];
  Walk w = {.b = b, .before = 1, .inner = 1, .pieces = 1, .k_pieces = 1, .buckets = 1};
  for (int d = 0; d < b->n_before; d++) w.before *= b->before[d].size;
  for (int d = 0; d < b->n_after; d++) w.inner *= b->after[d].size;
  if (w.before == 0 || w.inner == 0 || b->k == 0) return true;
  b->n_before = join_dims(b->before, b->n_before);
  b->n_after = join_dims(b->after, b->n_after);
  if (has_short_rows(&w)) return run_short_rows(&w);
  repeat_value(b, row);
  w.move = b->n_after == 1 && b->after[0].t_stride == b->elem_bytes && b->after[0].v_stride == b->elem_bytes &&
           (b->kernel == get_of(b) || b->kernel == put_of(b));
  int64_t block = w.inner, total = w.before * b->k * block;
  w.width = w.piece = b->n_after ? b->after[b->n_after - 1].size : 1;
  w.k_piece = b->k;
  bool small = total < 2 * LP_GRAIN || lp_num_threads() == 1;
  if (!b->ordered) {
    /* Pieces, so that interrupts are seen and threads find work. */
    int64_t wanted = FINE / block;
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
