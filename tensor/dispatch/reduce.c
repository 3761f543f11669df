/* The walker of reductions (dispatch/reduce.h).
 *
 * Note [Walking a reduction]: dims of size 1 are dropped, neighbours joined, and kept and
 * reduced dims each sorted by stride. If a reduced dim has the smallest stride, every
 * result reads rows along it ("inner"). Otherwise a tile of neighbouring results
 * accumulates side by side while the walk goes down the reduced dims ("outer"). Few
 * results over many elements are cut into chunks that depend on the sizes only, so that
 * the number of threads never changes a result's bits.
 *
 * Short rows would cost a call each, and a step across the lanes: a kernel takes many of
 * them at once, or they are turned into columns, block by block, and walked as those.
 * Narrow tiles would waste lanes: several lines of results are packed side by side. */
#include "dispatch/reduce_source.h"
#include "dispatch/shape.h"

#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/half.h"
#include "core/parallel.h"
#include "dispatch/iter.h"
#include "dispatch/layout.h"

typedef struct Plan {
  const LpReduction *r;
  const LpReduceKernel *kernel;
  LpReduceSource from;
  const char *src;
  char *dst;
  LpDtype out_dtype;
  int out_bytes;
  int n_keep, n_red;
  LpReduceDim keep[LP_MAX_DIMS], red[LP_MAX_DIMS]; /* outermost first */
  int64_t n_out, n_in;                             /* results; elements per result */
  int64_t n_units;                                 /* tiles of neighbouring results */
  int64_t tile;                                    /* results per tile */
  int64_t lines; /* whole lines of results per tile, where they are narrow: packed side by
                    side */
  int64_t n_chunks, chunk_len; /* along red[split] */
  int split;
  bool outer;
  bool whole;    /* results that need no accumulators */
  int64_t times; /* how often a sum has each element that is read */
  bool rows;     /* inner: by the kernel of many rows */
  bool loaded;   /* inner: many rows are loaded at a time */
  char *partial; /* n_chunks x n_units x tile accumulators; NULL without chunks */
  double count;  /* elements per result, before dims of size 1 were dropped */
} Plan;

/* --- dims and results --------------------------------------------------------------- */

bool lp_reduce_dims(const LpTensor *self, LpInts dims, bool keepdim, LpReduceDims *r) {
  int64_t ndim = lp_ndim(self);
  memset(r->reduced, 0, sizeof r->reduced);
  for (int64_t i = 0; i < dims.count; i++) {
    int64_t d;
    TRY(lp_wrap_dim(dims.data[i], ndim, &d));
    CHECK(!r->reduced[d], LP_ERR_ARGUMENT,
          "dim %lld appears multiple times in the list of dims", (long long)d);
    r->reduced[d] = true;
  }
  if (dims.count <= 0) memset(r->reduced, true, sizeof r->reduced);
  r->keepdim = keepdim;
  r->count = 1;
  r->out_ndim = 0;
  for (int64_t d = 0; d < ndim; d++) {
    if (!r->reduced[d])
      r->out_sizes[r->out_ndim++] = lp_size(self, d);
    else if (keepdim)
      r->out_sizes[r->out_ndim++] = 1;
    /* Beyond counting only of an empty tensor, whose results are empty or come of
     * nothing. */
    const bool none = r->count == 0 || lp_size(self, d) == 0;
    if (r->reduced[d] && __builtin_mul_overflow(r->count, lp_size(self, d), &r->count))
      r->count = none ? 0 : INT64_MAX;
    if (r->reduced[d] && none) r->count = 0;
  }
  return true;
}

LpTensor *lp_reduce_output(const LpTensor *self, const LpReduceDims *dims,
                           LpDtype dtype) {
  return lp_tensor_new(lp_ints(dims->out_sizes, dims->out_ndim), dtype, lp_device(self));
}

bool lp_copy_values(LpTensor *dst, LpTensor *src) {
  return lp_copy_into(dst, src);
}

LpTensor *lp_dense(LpTensor *t, LpDtype dtype) {
  if (lp_dtype(t) == dtype && t->is_contiguous) return lp_tensor_retain(t);
  LpTensor *copy = lp_tensor_new(lp_sizes(t), dtype, lp_device(t));
  if (!copy || lp_copy_values(copy, t)) return copy;
  lp_tensor_release(copy);
  return NULL;
}

LpTensor *lp_complex_part(LpTensor *t, int part) {
  int64_t strides[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(t); d++) strides[d] = 2 * lp_stride(t, d);
  return lp_tensor_wrap(t->storage, lp_dtype_to_real(lp_dtype(t)), lp_sizes(t),
                        lp_ints(strides, lp_ndim(t)), 2 * t->offset_elems + part);
}

LpTensor *lp_give(LpTensor *out, LpTensor *result) {
  if (!out || !result) return result;
  LpDtype from = lp_dtype(result), to = lp_dtype(out);
  bool ok =
      lp_can_cast(from, to) ||
      lp_fail(LP_ERR_TYPE, "result type %s can't be cast to the out tensor's type %s",
              lp_dtype_name(from), lp_dtype_name(to));
  ok = ok && lp_tensor_resize_out(out, lp_sizes(result)) && lp_copy_values(out, result);
  lp_tensor_release(result);
  return ok ? lp_tensor_retain(out) : NULL;
}

bool lp_give_all(LpTensor *const *outs, LpTensor **results, int n) {
  bool ok = true;
  for (int i = 0; i < n; i++) {
    if (!ok) {
      lp_tensor_release(results[i]);
      results[i] = NULL;
      continue;
    }
    results[i] = lp_give(outs ? outs[i] : NULL, results[i]);
    ok = results[i] != NULL;
    for (int k = 0; !ok && k < i; k++) {
      lp_tensor_release(results[k]);
      results[k] = NULL;
    }
  }
  return ok;
}

LpCompute lp_compute_of(LpDtype dtype) {
  switch (dtype) {
  case LP_FLOAT16:
  case LP_BFLOAT16:
  case LP_FLOAT32: return LP_AS_F32;
  case LP_FLOAT64: return LP_AS_F64;
  case LP_COMPLEX64:
  case LP_COMPLEX128: return LP_AS_C128;
  default: return LP_AS_I64;
  }
}

/* The dtype's own type where extremes have kernels for it. */
LpCompute lp_compute_of_extreme(LpDtype dtype) {
  switch (dtype) {
  case LP_BOOL:
  case LP_UINT8: return LP_AS_U8;
  case LP_INT8: return LP_AS_I8;
  case LP_INT16: return LP_AS_I16;
  case LP_INT32: return LP_AS_I32;
  default: return lp_compute_of(dtype);
  }
}

/* --- planning ----------------------------------------------------------------------- */

/* Counts beyond all memory occur beside a size of 0 only, where nothing is walked. */
static int64_t counted(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* Elements that are read again along a dim of stride 0 need not be: what they do to an
 * extreme is done once, and a sum has them so many times. */
static bool reads_once(Plan *p, const LpReduceDim *dim) {
  if (dim->stride != 0 || dim->size < 2) return false;
  switch (p->r->op) {
  case LP_REDUCE_MAX:
  case LP_REDUCE_MIN:
  case LP_REDUCE_ANY:
  case LP_REDUCE_ALL: return true;
  case LP_REDUCE_SUM:
  case LP_REDUCE_NANSUM:
  case LP_REDUCE_NANCOUNT:
  case LP_REDUCE_COUNT:
  case LP_REDUCE_SUM_ABS:
  case LP_REDUCE_SUM_SQUARE: p->times = counted(p->times, dim->size); return true;
  default: return false;
  }
}

/* strides: of self's memory, as it lies. */
static void collect_dims(Plan *p, const LpTensor *self, const int64_t *strides,
                         const LpReduceDims *dims, const LpTensor *out) {
  p->n_keep = p->n_red = 0;
  p->n_out = p->n_in = p->times = 1;
  int64_t o = 0;
  for (int64_t d = 0; d < lp_ndim(self); d++) {
    bool reduced = dims->reduced[d];
    LpReduceDim dim = {lp_size(self, d), strides[d], reduced ? 0 : lp_stride(out, o)};
    if (!reduced || dims->keepdim) o++;
    if (reduced && reads_once(p, &dim)) continue;
    if (reduced)
      p->n_in = counted(p->n_in, dim.size);
    else
      p->n_out = counted(p->n_out, dim.size);
    if (dim.size == 1) continue;
    if (reduced)
      p->red[p->n_red++] = dim;
    else
      p->keep[p->n_keep++] = dim;
  }
  if (p->n_out == 0) return;
  if (p->n_in == 0) p->n_red = 0;
  p->n_keep = lp_reduce_join_dims(p->keep, p->n_keep);
  p->n_red = lp_reduce_join_dims(p->red, p->n_red);
}

static void choose_walk(Plan *p) {
  int64_t keep_stride = p->n_keep ? p->keep[p->n_keep - 1].stride : 0;
  int64_t width = p->n_keep ? p->keep[p->n_keep - 1].size : 1;
  const bool along =
      p->n_keep > 0 && (p->n_red == 0 || keep_stride < p->red[p->n_red - 1].stride);
  const bool plain = !along && p->n_keep > 0 && p->n_red == 1 && p->red[0].stride == 1;
  p->loaded = plain && !p->from.native && p->n_in <= lp_reduce_room(&p->from) / 8;
  p->rows = plain && p->kernel->rows && p->n_in >= p->kernel->rows_from &&
            (p->from.native || p->loaded);
  const int64_t own = p->kernel->rows_from;
  const bool turned = plain && p->from.transpose && p->n_in <= p->from.short_row &&
                      width >= 16 && (own == 0 || p->n_in < own);
  p->outer = along || (!p->rows && (turned || (p->n_in <= 12 && width >= 32)));
  /* Wide tiles read memory in long runs; through the buffer, narrow ones give the kernel
   * many rows. */
  int64_t most = !p->outer ? LP_REDUCE_CHUNK_ELEMS / 4 / (p->n_in > 0 ? p->n_in : 1)
                 : turned  ? lp_reduce_turned_tile(&p->from, p->n_in)
                 : p->from.native && keep_stride == 1 ? LP_REDUCE_TILE
                                                      : LP_REDUCE_TILE / 4;
  if (most > LP_REDUCE_TILE) most = LP_REDUCE_TILE;
  p->tile = width < most ? width : most > 1 ? most : 1;
  p->n_units = p->n_out / width * ((width + p->tile - 1) / p->tile);
  const int64_t rows = p->n_in < 1 ? 1 : p->n_in < 32 ? p->n_in : 32;
  p->lines = along && p->n_red == 1 && p->n_in <= 256
                 ? lp_reduce_lines_per_tile(&p->from, p->keep, p->n_keep, p->n_out, rows,
                                            LP_REDUCE_TILE / 2, 224)
                 : 1;
  if (p->lines > 1) {
    const int64_t lines = p->keep[p->n_keep - 2].size;
    p->n_units = p->n_out / width / lines * ((lines + p->lines - 1) / p->lines);
    p->tile = width * p->lines;
  }

  p->n_chunks = 1;
  p->split = 0;
  p->whole = false;
  for (int i = 1; i < p->n_red; i++)
    if (p->red[i].size > p->red[p->split].size) p->split = i;
  if (p->n_red == 0) return;
  int64_t len = p->red[p->split].size, work = p->n_in * p->tile;
  if (p->n_units < LP_REDUCE_CHUNKS && work >= 2 * LP_REDUCE_CHUNK_ELEMS) {
    /* A power of two shares out evenly among most numbers of threads. */
    while (p->n_chunks < LP_REDUCE_CHUNKS &&
           work / LP_REDUCE_CHUNK_ELEMS >= 2 * p->n_chunks)
      p->n_chunks *= 2;
    if (p->n_chunks > len) p->n_chunks = len;
  }
  p->chunk_len = (len + p->n_chunks - 1) / p->n_chunks;
  p->n_chunks = (len + p->chunk_len - 1) / p->chunk_len;
  p->whole = p->kernel->whole && along && p->n_red == 1 && p->n_in > 0 && p->lines == 1 &&
             p->n_chunks == 1 && p->from.native && keep_stride == 1 &&
             p->keep[p->n_keep - 1].out_stride == 1 && p->r->finish == LP_FINISH_PLAIN;
}

/* --- storing ------------------------------------------------------------------------ */

/* clang-format off */
#define STORE(name, V, ...)                                                        \
  static void name(char *dst, int64_t stride, LpDtype dtype, const V *v, int64_t n) { \
    switch (dtype) { __VA_ARGS__ default: break; }                                 \
  }
#define EACH(D, expr)                                                              \
  for (int64_t i = 0; i < n; i++) *(D *)(dst + i * stride) = (D)(expr);            \
  break;

static inline int64_t to_int(double x) {
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN;
}

#define STORE_INTS(get)                                                            \
  case LP_UINT8: EACH(uint8_t, get)                                                \
  case LP_INT8: EACH(int8_t, get)                                                  \
  case LP_INT16: EACH(int16_t, get)                                                \
  case LP_INT32: EACH(int32_t, get)                                                \
  case LP_INT64: EACH(int64_t, get)
#define STORE_FLOATS(get)                                                          \
  case LP_FLOAT16: EACH(uint16_t, lp_half_from_float((float)(get)))                \
  case LP_BFLOAT16: EACH(uint16_t, lp_bf16_from_float((float)(get)))               \
  case LP_FLOAT32: EACH(float, get)                                                \
  case LP_FLOAT64: EACH(double, get)
#define STORE_COMPLEX(re, im)                                                      \
  case LP_COMPLEX64:                                                               \
    for (int64_t i = 0; i < n; i++) {                                              \
      float *d = (float *)(dst + i * stride);                                      \
      d[0] = (float)(re);                                                          \
      d[1] = (float)(im);                                                          \
    }                                                                              \
    break;                                                                         \
  case LP_COMPLEX128:                                                              \
    for (int64_t i = 0; i < n; i++) {                                              \
      double *d = (double *)(dst + i * stride);                                    \
      d[0] = (double)(re);                                                         \
      d[1] = (double)(im);                                                         \
    }                                                                              \
    break;
#define STORE_BOOL(test) case LP_BOOL: EACH(uint8_t, test)

STORE(store_ints, int64_t,
      STORE_INTS(v[i]) STORE_FLOATS(v[i]) STORE_COMPLEX(v[i], 0) STORE_BOOL(v[i] != 0))
STORE(store_doubles, double,
      STORE_INTS(to_int(v[i])) STORE_FLOATS(v[i]) STORE_COMPLEX(v[i], 0) STORE_BOOL(v[i] != 0))
STORE(store_pairs, double,
      STORE_INTS(to_int(v[2 * i])) STORE_FLOATS(v[2 * i]) STORE_COMPLEX(v[2 * i], v[2 * i + 1])
      STORE_BOOL(v[2 * i] != 0 || v[2 * i + 1] != 0))
/* clang-format on */

/* Turns n accumulators into results at dst, stride elements apart. Overwrites acc. */
static void finish(const Plan *p, void *acc, int64_t n, char *dst, int64_t stride) {
  double *v = acc;
  const LpCompute compute = p->r->compute;
  const int parts = compute == LP_AS_C128 || compute == LP_AS_C64 ? 2 : 1;
  const bool ints = compute == LP_AS_BOOL || compute == LP_AS_I64 ||
                    (compute >= LP_AS_U8 && compute <= LP_AS_I32);
  stride *= p->out_bytes;
  for (int64_t i = 0; i < n * parts && p->times > 1; i++) {
    if (ints)
      ((uint64_t *)acc)[i] *= (uint64_t)p->times;
    else
      v[i] *= (double)p->times;
  }
  switch (p->r->finish) {
  case LP_FINISH_PLAIN: break;
  case LP_FINISH_MEAN: lp_reduce_table()->finish.divide(v, n * parts, p->count); break;
  case LP_FINISH_SQRT: lp_reduce_table()->finish.root(v, n); break;
  case LP_FINISH_ROOT:
    for (int64_t i = 0; i < n; i++) v[i] = pow(v[i], 1.0 / p->r->p);
    break;
  case LP_FINISH_VAR:
  case LP_FINISH_STD: {
    double divisor = p->count - p->r->p;
    if (divisor < 0) divisor = 0;
    for (int64_t i = 0; i < n; i++) {
      double var = ((LpVarAcc *)acc)[i].m2 / divisor;
      v[i] = p->r->finish == LP_FINISH_STD ? sqrt(var) : var;
    }
    break;
  }
  case LP_FINISH_LOG_SUM:
    for (int64_t i = 0; i < n; i++) {
      const LpSumExpAcc a = ((LpSumExpAcc *)acc)[i];
      v[i] = log(a.sum) + a.shift;
    }
    break;
  }
  if (parts == 2)
    store_pairs(dst, stride, p->out_dtype, v, n);
  else if (p->out_dtype == LP_INT64 && ints && stride == 8)
    memcpy(dst, acc, (size_t)n * 8);
  else if (p->out_dtype == LP_FLOAT64 && !ints && stride == 8)
    memcpy(dst, acc, (size_t)n * 8);
  else if (p->out_dtype == LP_FLOAT32 && !ints && stride == 4)
    lp_reduce_table()->finish.narrow((float *)dst, v, n);
  else if (ints)
    store_ints(dst, stride, p->out_dtype, acc, n);
  else
    store_doubles(dst, stride, p->out_dtype, v, n);
}

/* --- walking ------------------------------------------------------------------------ */

/* Steps over all but the last reduced dim; returns false at the end. */
static bool next_line(const LpReduceDim *red, const int64_t *lo, const int64_t *hi, int n,
                      int64_t *index, int64_t *offset) {
  for (int d = n - 2; d >= 0; d--) {
    *offset += red[d].stride;
    if (++index[d] < hi[d]) return true;
    *offset -= (index[d] - lo[d]) * red[d].stride;
    index[d] = lo[d];
  }
  return false;
}

/* One result: rows along the last reduced dim; short or foreign rows are gathered in a
 * buffer. */
static void reduce_inner(const Plan *p, void *acc, const char *src, const int64_t *lo,
                         const int64_t *hi) {
  int last = p->n_red - 1;
  int64_t index[LP_MAX_DIMS], offset = 0, n = hi[last] - lo[last];
  int64_t stride = p->red[last].stride * p->from.elem_bytes;
  if (last == 0 && p->from.native && stride == p->from.elem_bytes) {
    p->kernel->row(acc, src + lo[0] * stride, n, p->r->p);
    return;
  }
  for (int d = 0; d <= last; d++) {
    index[d] = lo[d];
    offset += lo[d] * p->red[d].stride;
  }
  if (p->from.native && stride == p->from.elem_bytes && n >= 64) {
    do p->kernel->row(acc, src + offset * p->from.elem_bytes, n, p->r->p);
    while (next_line(p->red, lo, hi, p->n_red, index, &offset));
    return;
  }
  _Alignas(64) char buffer[LP_REDUCE_BUFFER];
  int64_t room = LP_REDUCE_BUFFER / p->from.compute_bytes, fill = 0;
  do {
    for (int64_t i = 0; i < n;) {
      int64_t m = n - i < room - fill ? n - i : room - fill;
      p->from.load(buffer + fill * p->from.compute_bytes,
                   src + offset * p->from.elem_bytes + i * stride, stride, m);
      i += m;
      fill += m;
      if (fill < room) continue;
      p->kernel->row(acc, buffer, fill, p->r->p);
      fill = 0;
    }
  } while (next_line(p->red, lo, hi, p->n_red, index, &offset));
  if (fill) p->kernel->row(acc, buffer, fill, p->r->p);
}

/* Results whose short rows lie along memory, a buffer of them at a time. */
static __attribute__((noinline)) void reduce_loaded(const Plan *p, char *acc,
                                                    const char *src, int64_t rows) {
  const LpReduceKernel *k = p->kernel;
  const int64_t n = p->n_in, ld = p->keep[p->n_keep - 1].stride,
                room = lp_reduce_room(&p->from) / n;
  const int64_t bytes = p->from.elem_bytes, row_bytes = n * p->from.compute_bytes;
  _Alignas(64) char buffer[LP_REDUCE_BUFFER];
  for (int64_t r = 0; r < rows; r += room) {
    const int64_t m = rows - r < room ? rows - r : room;
    const char *from = src + r * ld * bytes;
    char *to = acc + r * k->acc_bytes;
    if (ld == n)
      p->from.load(buffer, from, bytes, m * n);
    else
      for (int64_t i = 0; i < m; i++)
        p->from.load(buffer + i * row_bytes, from + i * ld * bytes, bytes, n);
    if (p->rows)
      k->rows(to, buffer, m, n, n);
    else
      for (int64_t i = 0; i < m; i++)
        k->row(to + i * k->acc_bytes, buffer + i * row_bytes, n, p->r->p);
  }
}

/* Rows of w neighbouring results, `rows` of them ld elements apart. Narrow contiguous
 * rows are taken several at a time, as one wide row. */
static void reduce_rows(const Plan *p, char *acc, const char *src, int64_t rows,
                        int64_t ld, int64_t w) {
  const LpReduceKernel *k = p->kernel;
  int64_t step = p->keep[p->n_keep - 1].stride, fold = LP_REDUCE_TILE / 2 / w;
  if (p->from.native && step == 1 && ld == w && fold >= 4 && rows >= 8 * fold) {
    _Alignas(64) char wide[LP_REDUCE_TILE / 2 * sizeof(LpVarAcc)];
    k->init(wide, fold * w);
    k->col(wide, src, rows / fold, fold * ld, fold * w, p->r->p);
    for (int64_t i = 0; i < fold; i++) k->merge(acc, wide + i * w * k->acc_bytes, w);
    src += rows / fold * fold * ld * p->from.elem_bytes;
    rows %= fold;
  }
  if (p->from.native && step == 1) {
    k->col(acc, src, rows, ld, w, p->r->p);
    return;
  }
  _Alignas(64) char buffer[LP_REDUCE_BUFFER];
  int64_t room = lp_reduce_room(&p->from) / w;
  for (int64_t r = 0; r < rows; r += room) {
    int64_t m = rows - r < room ? rows - r : room;
    lp_reduce_load_rows(&p->from, buffer, src + r * ld * p->from.elem_bytes, m, ld, step,
                        w);
    k->col(acc, buffer, m, w, w, p->r->p);
  }
}

/* `lines` lines of results, a buffer of rows at a time. */
static void reduce_lines(const Plan *p, char *acc, const char *src, int64_t lines) {
  const LpReduceDim *line = &p->keep[p->n_keep - 1], *red = &p->red[0];
  const int64_t width = lines * line->size, room = lp_reduce_room(&p->from) / width;
  _Alignas(64) char buffer[LP_REDUCE_BUFFER];
  for (int64_t r = 0; r < red->size; r += room) {
    const int64_t m = red->size - r < room ? red->size - r : room;
    lp_reduce_load_lines(&p->from, buffer, src + r * red->stride * p->from.elem_bytes,
                         line, m, red->stride, lines);
    p->kernel->col(acc, buffer, m, width, width, p->r->p);
  }
}

/* A tile of w neighbouring results: down the reduced dims. */
static void reduce_outer(const Plan *p, char *acc, const char *src, int64_t w,
                         const int64_t *lo, const int64_t *hi) {
  if (p->n_red == 0) {
    reduce_rows(p, acc, src, 1, w, w);
    return;
  }
  int last = p->n_red - 1;
  int64_t index[LP_MAX_DIMS], offset = 0;
  for (int d = 0; d <= last; d++) {
    index[d] = lo[d];
    offset += lo[d] * p->red[d].stride;
  }
  do
    reduce_rows(p, acc, src + offset * p->from.elem_bytes, hi[last] - lo[last],
                p->red[last].stride, w);
  while (next_line(p->red, lo, hi, p->n_red, index, &offset));
}

static void run_unit(void *ctx, int64_t task) {
  const Plan *p = ctx;
  int64_t chunk = task % p->n_chunks, u = task / p->n_chunks, src, dst;
  int64_t lo[LP_MAX_DIMS], hi[LP_MAX_DIMS];
  _Alignas(64) char local[LP_REDUCE_TILE * sizeof(LpVarAcc)];
  int64_t w = lp_reduce_locate(p->keep, p->n_keep, p->tile, p->lines, u, &src, &dst);
  char *acc = p->partial ? p->partial + task * p->tile * p->kernel->acc_bytes : local;
  const char *at = p->src + src * p->from.elem_bytes;
  for (int d = 0; d < p->n_red; d++) {
    lo[d] = 0;
    hi[d] = p->red[d].size;
  }
  if (p->n_chunks > 1) {
    lo[p->split] = chunk * p->chunk_len;
    if (lo[p->split] + p->chunk_len < hi[p->split])
      hi[p->split] = lo[p->split] + p->chunk_len;
  }
  if (p->whole) {
    p->kernel->whole(p->dst + dst * p->out_bytes, at, p->n_in, p->red[0].stride, w);
    return;
  }
  p->kernel->init(acc, w);
  int64_t out_step = p->n_keep ? p->keep[p->n_keep - 1].out_stride : 1;
  if (p->n_in > 0 && p->lines > 1)
    reduce_lines(p, acc, at, w / p->keep[p->n_keep - 1].size);
  else if (p->n_in > 0 && p->outer)
    reduce_outer(p, acc, at, w, lo, hi);
  else if (p->n_in > 0 && p->n_red > 0) {
    int64_t step = p->n_keep ? p->keep[p->n_keep - 1].stride * p->from.elem_bytes : 0;
    if (p->loaded)
      reduce_loaded(p, acc, at, w);
    else if (p->rows)
      p->kernel->rows(acc, at + lo[0] * p->from.elem_bytes, w,
                      p->keep[p->n_keep - 1].stride, hi[0] - lo[0]);
    else
      for (int64_t j = 0; j < w; j++)
        reduce_inner(p, acc + j * p->kernel->acc_bytes, at + j * step, lo, hi);
  } else if (p->n_in > 0) {
    char one[16];
    p->from.load(one, at, p->from.elem_bytes, 1);
    p->kernel->row(acc, one, 1, p->r->p);
  }
  if (!p->partial) finish(p, acc, w, p->dst + dst * p->out_bytes, out_step);
}

static void merge_chunks(const Plan *p) {
  int acc_bytes = p->kernel->acc_bytes;
  for (int64_t u = 0; u < p->n_units; u++) {
    int64_t src, dst,
        w = lp_reduce_locate(p->keep, p->n_keep, p->tile, p->lines, u, &src, &dst);
    char *acc = p->partial + u * p->n_chunks * p->tile * acc_bytes;
    for (int64_t c = 1; c < p->n_chunks; c++)
      p->kernel->merge(acc, acc + c * p->tile * acc_bytes, w);
    finish(p, acc, w, p->dst + dst * p->out_bytes,
           p->n_keep ? p->keep[p->n_keep - 1].out_stride : 1);
  }
}

bool lp_reduce_run(const LpReduction *r, const LpTensor *self, const LpReduceDims *dims,
                   LpTensor *out) {
  LpDtype dtype = lp_dtype(self);
  const LpReduceTable *table = lp_reduce_table();
  Plan plan, *p = &plan;
  p->r = r;
  p->kernel = &table->kernel[r->op][r->compute];
  p->from = lp_reduce_source(r->compute, dtype);
  ASSERT(p->kernel->acc_bytes && p->from.load);
  p->out_dtype = lp_dtype(out);
  p->out_bytes = (int)lp_dtype_size(p->out_dtype);
  int64_t strides[LP_MAX_DIMS];
  p->src = lp_strided_data(self, strides);
  p->dst = lp_data(out);
  p->count = (double)dims->count;
  p->partial = NULL;
  collect_dims(p, self, strides, dims, out);
  if (p->n_out == 0) return true;
  choose_walk(p);
  p->whole = p->whole && p->out_dtype == dtype;
  size_t partial_bytes = 0;
  if (p->n_chunks > 1) {
    partial_bytes = (size_t)(p->n_units * p->n_chunks * p->tile * p->kernel->acc_bytes);
    TRY(p->partial = lp_alloc(partial_bytes));
  }
  bool ok = lp_run_tasks(p->n_units * p->n_chunks, p->n_in * p->tile / p->n_chunks,
                         run_unit, p);
  if (ok && p->partial) merge_chunks(p);
  lp_free(p->partial, partial_bytes);
  return ok;
}
