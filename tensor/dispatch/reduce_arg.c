/* Positions of extremes along a dim (lp_reduce_arg of dispatch/reduce.h): rows one by one
 * or turned into columns, columns tile by tile, few long ones in chunks that depend on
 * the sizes only. */
#include "dispatch/reduce_source.h"

#include "core/alloc.h"
#include "dispatch/layout.h"

#define ARG_TILE LP_REDUCE_TURNED /* widest tile of results */

typedef struct ArgPlan {
  const LpArgKernel *kernel;
  LpReduceSource from;
  bool outer; /* neighbouring results side by side; else row by row */
  bool packs; /* several lines of results are packed */
  const char *src;
  int64_t *dst;
  char *values;      /* the elements found, laid out as dst; NULL: not wanted */
  int64_t n, stride; /* the searched dim; stride in elements */
  int64_t tile,
      lines; /* results per tile; whole lines of them per tile, where they are narrow */
  LpReduceDim keep[LP_MAX_DIMS];
  int n_keep;
  int64_t n_chunks, chunk_len; /* of the searched dim, where results are few */
  int64_t *partial;            /* the best index of each chunk, a tile for each task */
} ArgPlan;

/* The index of the extreme of n elements; a buffer serves foreign dtypes and strides,
 * block by block, each block led by the best element so far. */
static __attribute__((noinline)) int64_t arg_row(const ArgPlan *p, const char *src,
                                                 int64_t n) {
  const int bytes = p->from.compute_bytes;
  int64_t stride = p->stride * p->from.elem_bytes;
  _Alignas(64) char buffer[8192 + 16];
  int64_t room = 8192 / bytes, best = 0;
  for (int64_t i = 0; i < n; i += room) {
    int64_t m = n - i < room ? n - i : room;
    p->from.load(buffer, src + best * stride, stride, 1);
    p->from.load(buffer + bytes, src + i * stride, stride, m);
    int64_t k = p->kernel->row(buffer, m + 1);
    if (k > 0) best = i + k - 1;
  }
  return best;
}

/* The best of few candidates, which need not be in order, in a column. */
static int64_t arg_among(const ArgPlan *p, const char *src, int64_t *at, int count) {
  _Alignas(64) char values[2 * 16 * 8];
  for (int i = 1; i < count; i++) {
    const int64_t x = at[i];
    int j = i;
    for (; j > 0 && at[j - 1] > x; j--) at[j] = at[j - 1];
    at[j] = x;
  }
  for (int i = 0; i < count; i++)
    p->from.load(values + i * p->from.compute_bytes,
                 src + at[i] * p->stride * p->from.elem_bytes, p->from.elem_bytes, 1);
  return at[p->kernel->row(values, count)];
}

/* Of w neighbouring columns of n elements that are not read in place: of a buffer's rows.
 */
static __attribute__((noinline)) void arg_loaded(const ArgPlan *p, const char *src,
                                                 int64_t n, int64_t w, int64_t *index) {
  _Alignas(64) char buffer[LP_REDUCE_BUFFER];
  lp_reduce_load_rows(&p->from, buffer, src, n, p->stride, p->keep[p->n_keep - 1].stride,
                      w);
  p->kernel->col(buffer, n, w, w, index);
}

/* Of w neighbouring columns of n elements. Narrow contiguous rows are taken sixteen at a
 * time, as one wide row, whose winners, and the last rows, are compared then. */
static void arg_columns(const ArgPlan *p, const char *src, int64_t n, int64_t w,
                        int64_t *index) {
  const int64_t step = p->keep[p->n_keep - 1].stride, fold = 16;
  if (!p->from.native || step != 1) {
    arg_loaded(p, src, n, w, index);
  } else if (p->stride == w && fold * w <= ARG_TILE && n >= 8 * fold) {
    int64_t wide[ARG_TILE], at[2 * 16];
    p->kernel->col(src, n / fold, fold * w, fold * w, wide);
    for (int64_t j = 0; j < w; j++) {
      int count = 0;
      for (int64_t i = 0; i < fold; i++) at[count++] = wide[i * w + j] * fold + i;
      for (int64_t i = n / fold * fold; i < n; i++) at[count++] = i;
      index[j] = arg_among(p, src + j * p->from.elem_bytes, at, count);
    }
  } else {
    p->kernel->col(src, n, p->stride, w, index);
  }
}

/* Of whole lines of columns: side by side where they are so narrow that they are packed,
 * else line by line. */
static __attribute__((noinline)) void arg_lines(const ArgPlan *p, const char *src,
                                                int64_t lines, int64_t *index) {
  const LpReduceDim *line = &p->keep[p->n_keep - 1];
  const int64_t width = lines * line->size;
  if (!p->packs) {
    for (int64_t i = 0; i < lines; i++)
      arg_columns(p, src + i * line[-1].stride * p->from.elem_bytes, p->n, line->size,
                  index + i * line->size);
    return;
  }
  _Alignas(64) char buffer[LP_REDUCE_BUFFER];
  lp_reduce_load_lines(&p->from, buffer, src, line, p->n, p->stride, lines);
  p->kernel->col(buffer, p->n, width, width, index);
}

/* What was found for the w results at dst, of elements at src. */
#define TAKE(type)                                                                       \
  for (int64_t j = 0; j < w; j++)                                                        \
    ((type *)p->values)[dst + j * line.out_stride] =                                     \
        ((const type *)src)[j * line.stride + index[j] * p->stride];                     \
  break;
static void arg_give(const ArgPlan *p, const char *src, int64_t dst, const int64_t *index,
                     int64_t w) {
  const LpReduceDim line = p->n_keep ? p->keep[p->n_keep - 1] : (LpReduceDim){1, 1, 1};
  if (p->lines > 1 && w > line.size) { /* line by line */
    for (int64_t i = 0; i < w / line.size; i++)
      arg_give(p, src + i * p->keep[p->n_keep - 2].stride * p->from.elem_bytes,
               dst + i * line.size * line.out_stride, index + i * line.size, line.size);
    return;
  }
  for (int64_t j = 0; j < w; j++) p->dst[dst + j * line.out_stride] = index[j];
  if (!p->values) return;
  switch (p->from.elem_bytes) {
  case 1: TAKE(uint8_t)
  case 2: TAKE(uint16_t)
  case 4: TAKE(uint32_t)
  default: TAKE(uint64_t)
  }
}
#undef TAKE

static void arg_task(void *ctx, int64_t task) {
  const ArgPlan *p = ctx;
  int64_t offset, dst, index[ARG_TILE], first = 0, n = p->n, unit = task;
  if (p->partial) {
    unit = task / p->n_chunks;
    first = task % p->n_chunks * p->chunk_len;
    n = n - first < p->chunk_len ? n - first : p->chunk_len;
  }
  const int64_t w =
      lp_reduce_locate(p->keep, p->n_keep, p->tile, p->lines, unit, &offset, &dst);
  const int64_t step = p->n_keep ? p->keep[p->n_keep - 1].stride * p->from.elem_bytes : 0;
  const char *src = p->src + offset * p->from.elem_bytes,
             *at = src + first * p->stride * p->from.elem_bytes;
  const bool in_place = p->from.native && p->stride == 1;
  if (p->lines > 1)
    arg_lines(p, at, w / p->keep[p->n_keep - 1].size, index);
  else if (p->outer)
    arg_columns(p, at, n, w, index);
  else
    for (int64_t j = 0; j < w; j++)
      index[j] =
          in_place ? p->kernel->row(at + j * step, n) : arg_row(p, at + j * step, n);
  if (!p->partial) {
    arg_give(p, src, dst, index, w);
    return;
  }
  for (int64_t j = 0; j < w; j++) p->partial[task * ARG_TILE + j] = first + index[j];
}

/* The best of the chunks' winners. */
static void arg_merge(const ArgPlan *p, int64_t units) {
  for (int64_t u = 0; u < units; u++) {
    int64_t offset, dst, index[ARG_TILE], at[LP_REDUCE_CHUNKS];
    const int64_t w =
        lp_reduce_locate(p->keep, p->n_keep, p->tile, p->lines, u, &offset, &dst);
    const int64_t step =
        p->n_keep ? p->keep[p->n_keep - 1].stride * p->from.elem_bytes : 0;
    const char *src = p->src + offset * p->from.elem_bytes;
    for (int64_t j = 0; j < w; j++) {
      for (int64_t c = 0; c < p->n_chunks; c++)
        at[c] = p->partial[(u * p->n_chunks + c) * ARG_TILE + j];
      index[j] = arg_among(p, src + j * step, at, (int)p->n_chunks);
    }
    arg_give(p, src, dst, index, w);
  }
}

bool lp_reduce_arg(const LpTensor *self, int64_t dim, bool smallest, LpTensor *out,
                   LpTensor *values) {
  LpDtype dtype = lp_dtype(self);
  LpCompute compute = lp_compute_of_extreme(dtype);
  ArgPlan p = {.kernel = &lp_reduce_table()->arg[smallest][compute],
               .from = lp_reduce_source(compute, dtype),
               .dst = lp_data(out),
               .values = values ? lp_data(values) : NULL,
               .lines = 1,
               .n_chunks = 1};
  int64_t strides[LP_MAX_DIMS];
  p.src = lp_strided_data(self, strides);
  int64_t ndim = lp_ndim(self), results = 1;
  bool keepdim = lp_ndim(out) == ndim;
  p.n = ndim ? lp_size(self, dim) : 1;
  p.stride = ndim ? strides[dim] : 1;
  for (int64_t d = 0, o = 0; d < ndim; d++) {
    if (d == dim) {
      o += keepdim;
      continue;
    }
    results *= lp_size(self, d);
    if (lp_size(self, d) > 1)
      p.keep[p.n_keep++] = (LpReduceDim){lp_size(self, d), strides[d], lp_stride(out, o)};
    o++;
  }
  if (results == 0) return true;
  p.n_keep = lp_reduce_join_dims(p.keep, p.n_keep);
  const LpReduceDim line = p.n_keep ? p.keep[p.n_keep - 1] : (LpReduceDim){1, 1, 1};
  const bool along = p.n_keep > 0 && line.stride < p.stride,
             in_place = along && p.from.native && line.stride == 1;
  if (along && p.n > 0 && p.n <= 64)
    p.lines =
        lp_reduce_lines_per_tile(&p.from, p.keep, p.n_keep, results, p.n, ARG_TILE, 64);
  p.packs = p.lines > 1;
  if (in_place && !p.packs && p.n <= 256)
    p.lines =
        lp_reduce_lines_per_tile(&p.from, p.keep, p.n_keep, results, 1, ARG_TILE, 1024);
  p.outer = in_place || (p.n_keep > 0 && p.n <= p.from.short_row && line.size >= 16);
  p.tile = p.lines > 1 ? line.size * p.lines
           : in_place  ? (results >= 128 * 64 ? results / 64 & -64 : 64)
           : p.outer   ? lp_reduce_turned_tile(&p.from, p.n)
                       : LP_REDUCE_CHUNK_ELEMS / 4 / p.n;
  if (p.tile > ARG_TILE) p.tile = ARG_TILE;
  if (p.lines <= 1 && p.tile > line.size) p.tile = line.size;
  if (p.tile < 1) p.tile = 1;
  const int64_t units = p.lines > 1
                            ? results / line.size / p.keep[p.n_keep - 2].size *
                                  ((p.keep[p.n_keep - 2].size + p.lines - 1) / p.lines)
                            : results / line.size * ((line.size + p.tile - 1) / p.tile);
  const int64_t work = p.n * p.tile;
  if (units < LP_REDUCE_CHUNKS)
    while (p.n_chunks < LP_REDUCE_CHUNKS &&
           work / LP_REDUCE_CHUNK_ELEMS >= 2 * p.n_chunks && p.n_chunks < p.n)
      p.n_chunks *= 2;
  p.chunk_len = (p.n + p.n_chunks - 1) / p.n_chunks;
  p.n_chunks = (p.n + p.chunk_len - 1) / p.chunk_len;
  const size_t partial_bytes =
      (size_t)(units * p.n_chunks * ARG_TILE) * sizeof *p.partial;
  if (p.n_chunks > 1) TRY(p.partial = lp_alloc(partial_bytes));
  const bool ok = lp_run_tasks(units * p.n_chunks, work / p.n_chunks, arg_task, &p);
  if (ok && p.partial) arg_merge(&p, units);
  if (p.partial) lp_free(p.partial, partial_bytes);
  return ok;
}
