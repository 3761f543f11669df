/* The walker of reductions (dispatch/reduce.h).
 *
 * Note [Walking a reduction]: dims of size 1 are dropped, neighbours joined, and kept and reduced
 * dims each sorted by stride. If a reduced dim has the smallest stride, every result reads rows along it
 * ("inner"). Otherwise a tile of neighbouring results accumulates side by side while the walk goes
 * down the reduced dims ("outer"). Few results over many elements are cut into chunks that depend on
 * the sizes only, so that the number of threads never changes a result's bits. */
#include "dispatch/reduce.h"
#include "dispatch/shape.h"

#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/half.h"
#include "core/parallel.h"
#include "cpu/copy.h"
#include "dispatch/iter.h"
#include "dispatch/layout.h"

#define MAX_CHUNKS 16
#define CHUNK_ELEMS 65536
/* Loaded elements of one task; their source has room in the cache beside them. */
#define BUFFER_BYTES 16384
/* Most rows that are turned, to results side by side, at a time. */
#define TURNED_TILE 256

typedef struct Dim {
  int64_t size, stride, out_stride; /* strides in elements */
} Dim;

/* How elements become those of a kernel's compute type. */
typedef struct Source {
  LpLoad load;
  LpTransposeTile transpose; /* of elements as they are, where it is fast; NULL */
  bool native;               /* elements of unit stride are read in place */
  int elem_bytes, compute_bytes;
  int64_t short_row; /* rows up to this length are turned into columns, many side by side */
} Source;

typedef struct Plan {
  const LpReduction *r;
  const LpReduceKernel *kernel;
  Source from;
  const char *src;
  char *dst;
  LpDtype out_dtype;
  int out_bytes;
  int n_keep, n_red;
  Dim keep[LP_MAX_DIMS], red[LP_MAX_DIMS]; /* outermost first */
  int64_t n_out, n_in;                     /* results; elements per result */
  int64_t n_units;    /* tiles of neighbouring results */
  int64_t tile;       /* results per tile */
  int64_t lines;      /* whole lines of results per tile, where they are narrow: packed side by side */
  int64_t n_chunks, chunk_len;             /* along red[split] */
  int split;
  bool outer;
  bool rows;   /* inner: by the kernel of many rows */
  bool loaded; /* inner: many rows are loaded at a time */
  char *partial; /* n_chunks x n_units x tile accumulators; NULL without chunks */
  double count;  /* elements per result, before dims of size 1 were dropped */
} Plan;

/* --- dims and results ------------------------------------------------------------------------- */

bool lp_reduce_dims(const LpTensor *self, LpInts dims, bool keepdim, LpReduceDims *r) {
  int64_t ndim = lp_ndim(self);
  memset(r->reduced, 0, sizeof r->reduced);
  for (int64_t i = 0; i < dims.count; i++) {
    int64_t d;
    TRY(lp_wrap_dim(dims.data[i], ndim, &d));
    CHECK(!r->reduced[d], LP_ERR_ARGUMENT, "dim %lld appears multiple times in the list of dims",
          (long long)d);
    r->reduced[d] = true;
  }
  if (dims.count <= 0) memset(r->reduced, true, sizeof r->reduced);
  r->keepdim = keepdim;
  r->count = 1;
  r->out_ndim = 0;
  for (int64_t d = 0; d < ndim; d++) {
    if (!r->reduced[d]) r->out_sizes[r->out_ndim++] = lp_size(self, d);
    else if (keepdim) r->out_sizes[r->out_ndim++] = 1;
    /* Beyond counting only of an empty tensor, whose results are empty or come of nothing. */
    const bool none = r->count == 0 || lp_size(self, d) == 0;
    if (r->reduced[d] && __builtin_mul_overflow(r->count, lp_size(self, d), &r->count))
      r->count = none ? 0 : INT64_MAX;
    if (r->reduced[d] && none) r->count = 0;
  }
  return true;
}

LpTensor *lp_reduce_output(const LpTensor *self, const LpReduceDims *dims, LpDtype dtype) {
  return lp_tensor_new(lp_ints(dims->out_sizes, dims->out_ndim), dtype, lp_device(self));
}

bool lp_copy_values(LpTensor *dst, LpTensor *src) { return lp_copy_into(dst, src); }

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
  bool ok = lp_can_cast(from, to) ||
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

/* The dtype whose memory is an array of the compute type. */
static bool is_native(LpCompute compute, LpDtype dtype) {
  switch (compute) {
    case LP_AS_U8: return dtype == LP_UINT8 || dtype == LP_BOOL;
    case LP_AS_I8: return dtype == LP_INT8;
    case LP_AS_I16: return dtype == LP_INT16;
    case LP_AS_I32: return dtype == LP_INT32;
    case LP_AS_C64: return dtype == LP_COMPLEX64;
    case LP_AS_BF16: return dtype == LP_BFLOAT16;
    case LP_AS_F32: return dtype == LP_FLOAT32;
    case LP_AS_F64: return dtype == LP_FLOAT64;
    case LP_AS_I64: return dtype == LP_INT64;
    case LP_AS_C128: return dtype == LP_COMPLEX128;
    case LP_AS_BOOL: return dtype == LP_BOOL;
    default: return false;
  }
}

static Source source_of(LpCompute compute, LpDtype dtype) {
  const int bytes = (int)lp_dtype_size(dtype);
  const bool turns = (bytes == 4 || bytes == 8) && lp_cpu_capability > LP_CAPABILITY_BASELINE;
  return (Source){.load = lp_reduce_table()->load[compute][dtype],
                  .transpose = turns ? lp_copy_kernels()->transpose[bytes == 4 ? 2 : 3] : NULL,
                  .native = is_native(compute, dtype), .elem_bytes = bytes,
                  .compute_bytes = lp_compute_bytes(compute),
                  .short_row = !turns ? 12 : bytes == 4 ? 56 : 40};
}

/* Elements that a buffer holds before and after they are loaded. */
static int64_t room_of(const Source *from) {
  return BUFFER_BYTES / (from->elem_bytes > from->compute_bytes ? from->elem_bytes : from->compute_bytes);
}

/* How many rows of n are turned at a time: whole vectors, and an odd number of them lest the columns' starts
 * crowd in few of the cache's sets. */
static int64_t turned_tile(const Source *from, int64_t n) {
  const int64_t lanes = 64 / from->elem_bytes;
  int64_t most = room_of(from) / (n > 0 ? n : 1);
  if (most > TURNED_TILE) most = TURNED_TILE;
  return most / lanes > 1 ? ((most / lanes - 1) | 1) * lanes : lanes;
}

/* Brings `rows` rows of w elements, `step` apart, into one block; the rows are ld apart. Columns along memory
 * are turned at once, but for few that are loaded anyway. */
static __attribute__((noinline)) void load_rows(const Source *from, char *to, const char *src, int64_t rows,
                                                int64_t ld, int64_t step, int64_t w) {
  const int64_t bytes = from->elem_bytes;
  if (ld == 1 && from->transpose && rows > (from->native ? 1 : 4)) {
    _Alignas(64) char turned[BUFFER_BYTES];
    from->transpose(from->native ? to : turned, w, src, step, w, rows);
    if (!from->native) from->load(to, turned, bytes, rows * w);
    return;
  }
  for (int64_t r = 0; r < rows; r++)
    from->load(to + r * w * from->compute_bytes, src + r * ld * bytes, step * bytes, w);
}

/* The same of `lines` lines, side by side: rows of lines * line->size elements, and some bytes behind them. */
static __attribute__((noinline)) void load_lines(const Source *from, char *to, const char *src, const Dim *line,
                                                 int64_t rows, int64_t ld, int64_t lines) {
  const int64_t bytes = from->elem_bytes, width = lines * line->size;
  _Alignas(64) char other[BUFFER_BYTES + LP_PACK_SLACK];
  char *packed = from->native ? to : other;
  for (int64_t r = 0; r < rows; r++)
    lp_copy_kernels()->pack(packed + r * width * bytes, src + r * ld * bytes, (int)bytes, line->stride * bytes,
                            line->size, line[-1].stride * bytes, lines);
  if (!from->native) from->load(to, packed, bytes, rows * width);
}

/* --- planning --------------------------------------------------------------------------------- */

/* Largest strides first; equal ones keep their order. */
static void sort_dims(Dim *dims, int n) {
  for (int i = 1; i < n; i++) {
    const Dim x = dims[i];
    int j = i;
    for (; j > 0 && dims[j - 1].stride < x.stride; j--) dims[j] = dims[j - 1];
    dims[j] = x;
  }
}

static int join_dims(Dim *dims, int n) {
  sort_dims(dims, n);
  int last = 0;
  for (int i = 1; i < n; i++) {
    Dim *a = &dims[last], *b = &dims[i];
    if (a->stride == b->stride * b->size && a->out_stride == b->out_stride * b->size) {
      *a = (Dim){a->size * b->size, b->stride, b->out_stride};
    } else {
      dims[++last] = *b;
    }
  }
  return n ? last + 1 : 0;
}

/* Counts beyond all memory occur beside a size of 0 only, where nothing is walked. */
static int64_t counted(int64_t a, int64_t b) {
  int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* Narrow lines down which one dim is reduced make a wide one, if their results are neighbours: as many as let
 * `rows` rows into a buffer and make at most `most` results, and tasks enough for the threads. */
static int64_t lines_per_tile(const Source *from, const Dim *keep, int n_keep, int64_t n_out, int64_t rows,
                              int64_t most, int64_t narrow_bytes) {
  const Dim *line = keep + n_keep - 1, *next = line - 1;
  if (n_keep < 2 || line->size * from->elem_bytes > narrow_bytes ||
      next->out_stride != line->size * line->out_stride)
    return 1;
  const int64_t width = room_of(from) / rows, share = n_out / line->size / MAX_CHUNKS;
  int64_t lines = (width < most ? width : most) / line->size;
  if (lines > next->size) lines = next->size;
  if (lines > share) lines = share;
  return lines > 1 ? lines : 1;
}

/* Unit u of the results, tiles along the last dim kept or of some of its lines: where it starts, and how many
 * results it holds. */
static int64_t locate(const Dim *keep, int n_keep, int64_t tile, int64_t lines, int64_t u, int64_t *src,
                      int64_t *dst) {
  int64_t w = 1, part = tile;
  *src = *dst = 0;
  for (int d = n_keep - 1; d >= 0; d--) {
    const Dim *dim = &keep[d];
    if (lines > 1 && d == n_keep - 1) { /* whole */
      w = dim->size;
      part = lines;
      continue;
    }
    const int64_t parts = (dim->size + part - 1) / part, first = u % parts * part;
    u /= parts;
    if (part > 1) w *= dim->size - first < part ? dim->size - first : part;
    *src += first * dim->stride;
    *dst += first * dim->out_stride;
    part = 1;
  }
  return w;
}

/* strides: of self's memory, as it lies. */
static void collect_dims(Plan *p, const LpTensor *self, const int64_t *strides, const LpReduceDims *dims,
                         const LpTensor *out) {
  p->n_keep = p->n_red = 0;
  p->n_out = p->n_in = 1;
  int64_t o = 0;
  for (int64_t d = 0; d < lp_ndim(self); d++) {
    bool reduced = dims->reduced[d];
    Dim dim = {lp_size(self, d), strides[d], reduced ? 0 : lp_stride(out, o)};
    if (!reduced || dims->keepdim) o++;
    if (reduced) p->n_in = counted(p->n_in, dim.size);
    else p->n_out = counted(p->n_out, dim.size);
    if (dim.size == 1) continue;
    if (reduced) p->red[p->n_red++] = dim;
    else p->keep[p->n_keep++] = dim;
  }
  if (p->n_out == 0) return;
  if (p->n_in == 0) p->n_red = 0;
  p->n_keep = join_dims(p->keep, p->n_keep);
  p->n_red = join_dims(p->red, p->n_red);
}

static void choose_walk(Plan *p) {
  int64_t keep_stride = p->n_keep ? p->keep[p->n_keep - 1].stride : 0;
  int64_t width = p->n_keep ? p->keep[p->n_keep - 1].size : 1;
  const bool along = p->n_keep > 0 && (p->n_red == 0 || keep_stride < p->red[p->n_red - 1].stride);
  const bool plain = !along && p->n_keep > 0 && p->n_red == 1 && p->red[0].stride == 1;
  p->loaded = plain && !p->from.native && p->n_in <= room_of(&p->from) / 8;
  p->rows = plain && p->kernel->rows && p->n_in >= p->kernel->rows_from && (p->from.native || p->loaded);
  const int64_t own = p->kernel->rows_from;
  const bool turned = plain && p->from.transpose && p->n_in <= p->from.short_row && width >= 16 && (own == 0 || p->n_in < own);
  p->outer = along || (!p->rows && (turned || (p->n_in <= 12 && width >= 32)));
  /* Wide tiles read memory in long runs; through the buffer, narrow ones give the kernel many rows. */
  int64_t most = !p->outer    ? CHUNK_ELEMS / 4 / (p->n_in > 0 ? p->n_in : 1)
                 : turned     ? turned_tile(&p->from, p->n_in)
                 : p->from.native && keep_stride == 1 ? LP_REDUCE_TILE
                             : LP_REDUCE_TILE / 4;
  if (most > LP_REDUCE_TILE) most = LP_REDUCE_TILE;
  p->tile = width < most ? width : most > 1 ? most : 1;
  p->n_units = p->n_out / width * ((width + p->tile - 1) / p->tile);
  const int64_t rows = p->n_in < 1 ? 1 : p->n_in < 32 ? p->n_in : 32;
  p->lines = along && p->n_red == 1 && p->n_in <= 256
                 ? lines_per_tile(&p->from, p->keep, p->n_keep, p->n_out, rows, LP_REDUCE_TILE / 2, 224)
                 : 1;
  if (p->lines > 1) {
    const int64_t lines = p->keep[p->n_keep - 2].size;
    p->n_units = p->n_out / width / lines * ((lines + p->lines - 1) / p->lines);
    p->tile = width * p->lines;
  }

  p->n_chunks = 1;
  p->split = 0;
  for (int i = 1; i < p->n_red; i++)
    if (p->red[i].size > p->red[p->split].size) p->split = i;
  if (p->n_red == 0) return;
  int64_t len = p->red[p->split].size, work = p->n_in * p->tile;
  if (p->n_units < MAX_CHUNKS && work >= 2 * CHUNK_ELEMS) {
    /* A power of two shares out evenly among most numbers of threads. */
    while (p->n_chunks < MAX_CHUNKS && work / CHUNK_ELEMS >= 2 * p->n_chunks) p->n_chunks *= 2;
    if (p->n_chunks > len) p->n_chunks = len;
  }
  p->chunk_len = (len + p->n_chunks - 1) / p->n_chunks;
  p->n_chunks = (len + p->chunk_len - 1) / p->chunk_len;
}

/* --- storing ---------------------------------------------------------------------------------- */

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

STORE(store_ints, int64_t, STORE_INTS(v[i]) STORE_FLOATS(v[i]) STORE_COMPLEX(v[i], 0) STORE_BOOL(v[i] != 0))
STORE(store_doubles, double,
      STORE_INTS(to_int(v[i])) STORE_FLOATS(v[i]) STORE_COMPLEX(v[i], 0) STORE_BOOL(v[i] != 0))
STORE(store_pairs, double,
      STORE_INTS(to_int(v[2 * i])) STORE_FLOATS(v[2 * i]) STORE_COMPLEX(v[2 * i], v[2 * i + 1])
      STORE_BOOL(v[2 * i] != 0 || v[2 * i + 1] != 0))

/* Turns n accumulators into results at dst, stride elements apart. Overwrites acc. */
static void finish(const Plan *p, void *acc, int64_t n, char *dst, int64_t stride) {
  double *v = acc;
  const LpCompute compute = p->r->compute;
  const int parts = compute == LP_AS_C128 || compute == LP_AS_C64 ? 2 : 1;
  const bool ints = compute == LP_AS_BOOL || compute == LP_AS_I64 || (compute >= LP_AS_U8 && compute <= LP_AS_I32);
  stride *= p->out_bytes;
  switch (p->r->finish) {
    case LP_FINISH_PLAIN: break;
    case LP_FINISH_MEAN:
      lp_reduce_table()->finish.divide(v, n * parts, p->count);
      break;
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
  if (parts == 2) store_pairs(dst, stride, p->out_dtype, v, n);
  else if (p->out_dtype == LP_INT64 && ints && stride == 8) memcpy(dst, acc, (size_t)n * 8);
  else if (p->out_dtype == LP_FLOAT64 && !ints && stride == 8) memcpy(dst, acc, (size_t)n * 8);
  else if (p->out_dtype == LP_FLOAT32 && !ints && stride == 4)
    lp_reduce_table()->finish.narrow((float *)dst, v, n);
  else if (ints) store_ints(dst, stride, p->out_dtype, acc, n);
  else store_doubles(dst, stride, p->out_dtype, v, n);
}

/* --- walking ---------------------------------------------------------------------------------- */

/* Steps over all but the last reduced dim; returns false at the end. */
static bool next_line(const Dim *red, const int64_t *lo, const int64_t *hi, int n, int64_t *index,
                      int64_t *offset) {
  for (int d = n - 2; d >= 0; d--) {
    *offset += red[d].stride;
    if (++index[d] < hi[d]) return true;
    *offset -= (index[d] - lo[d]) * red[d].stride;
    index[d] = lo[d];
  }
  return false;
}

/* One result: rows along the last reduced dim; short or foreign rows are gathered in a buffer. */
static void reduce_inner(const Plan *p, void *acc, const char *src, const int64_t *lo, const int64_t *hi) {
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
  _Alignas(64) char buffer[BUFFER_BYTES];
  int64_t room = BUFFER_BYTES / p->from.compute_bytes, fill = 0;
  do {
    for (int64_t i = 0; i < n;) {
      int64_t m = n - i < room - fill ? n - i : room - fill;
      p->from.load(buffer + fill * p->from.compute_bytes, src + offset * p->from.elem_bytes + i * stride, stride, m);
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
static __attribute__((noinline)) void reduce_loaded(const Plan *p, char *acc, const char *src, int64_t rows) {
  const LpReduceKernel *k = p->kernel;
  const int64_t n = p->n_in, ld = p->keep[p->n_keep - 1].stride, room = room_of(&p->from) / n;
  const int64_t bytes = p->from.elem_bytes, row_bytes = n * p->from.compute_bytes;
  _Alignas(64) char buffer[BUFFER_BYTES];
  for (int64_t r = 0; r < rows; r += room) {
    const int64_t m = rows - r < room ? rows - r : room;
    const char *from = src + r * ld * bytes;
    char *to = acc + r * k->acc_bytes;
    if (ld == n) p->from.load(buffer, from, bytes, m * n);
    else
      for (int64_t i = 0; i < m; i++) p->from.load(buffer + i * row_bytes, from + i * ld * bytes, bytes, n);
    if (p->rows) k->rows(to, buffer, m, n, n);
    else
      for (int64_t i = 0; i < m; i++) k->row(to + i * k->acc_bytes, buffer + i * row_bytes, n, p->r->p);
  }
}

/* Rows of w neighbouring results, `rows` of them ld elements apart. Narrow contiguous rows are taken
 * several at a time, as one wide row. */
static void reduce_rows(const Plan *p, char *acc, const char *src, int64_t rows, int64_t ld, int64_t w) {
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
  _Alignas(64) char buffer[BUFFER_BYTES];
  int64_t room = room_of(&p->from) / w;
  for (int64_t r = 0; r < rows; r += room) {
    int64_t m = rows - r < room ? rows - r : room;
    load_rows(&p->from, buffer, src + r * ld * p->from.elem_bytes, m, ld, step, w);
    k->col(acc, buffer, m, w, w, p->r->p);
  }
}

/* `lines` lines of results, a buffer of rows at a time. */
static void reduce_lines(const Plan *p, char *acc, const char *src, int64_t lines) {
  const Dim *line = &p->keep[p->n_keep - 1], *red = &p->red[0];
  const int64_t width = lines * line->size, room = room_of(&p->from) / width;
  _Alignas(64) char buffer[BUFFER_BYTES + LP_PACK_SLACK];
  for (int64_t r = 0; r < red->size; r += room) {
    const int64_t m = red->size - r < room ? red->size - r : room;
    load_lines(&p->from, buffer, src + r * red->stride * p->from.elem_bytes, line, m, red->stride, lines);
    p->kernel->col(acc, buffer, m, width, width, p->r->p);
  }
}

/* A tile of w neighbouring results: down the reduced dims. */
static void reduce_outer(const Plan *p, char *acc, const char *src, int64_t w, const int64_t *lo,
                         const int64_t *hi) {
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
  do reduce_rows(p, acc, src + offset * p->from.elem_bytes, hi[last] - lo[last], p->red[last].stride, w);
  while (next_line(p->red, lo, hi, p->n_red, index, &offset));
}

static void run_unit(void *ctx, int64_t task) {
  const Plan *p = ctx;
  int64_t chunk = task % p->n_chunks, u = task / p->n_chunks, src, dst;
  int64_t lo[LP_MAX_DIMS], hi[LP_MAX_DIMS];
  _Alignas(64) char local[LP_REDUCE_TILE * sizeof(LpVarAcc)];
  int64_t w = locate(p->keep, p->n_keep, p->tile, p->lines, u, &src, &dst);
  char *acc = p->partial ? p->partial + task * p->tile * p->kernel->acc_bytes : local;
  const char *at = p->src + src * p->from.elem_bytes;
  for (int d = 0; d < p->n_red; d++) {
    lo[d] = 0;
    hi[d] = p->red[d].size;
  }
  if (p->n_chunks > 1) {
    lo[p->split] = chunk * p->chunk_len;
    if (lo[p->split] + p->chunk_len < hi[p->split]) hi[p->split] = lo[p->split] + p->chunk_len;
  }
  p->kernel->init(acc, w);
  int64_t out_step = p->n_keep ? p->keep[p->n_keep - 1].out_stride : 1;
  if (p->n_in > 0 && p->lines > 1) reduce_lines(p, acc, at, w / p->keep[p->n_keep - 1].size);
  else if (p->n_in > 0 && p->outer) reduce_outer(p, acc, at, w, lo, hi);
  else if (p->n_in > 0 && p->n_red > 0) {
    int64_t step = p->n_keep ? p->keep[p->n_keep - 1].stride * p->from.elem_bytes : 0;
    if (p->loaded) reduce_loaded(p, acc, at, w);
    else if (p->rows)
      p->kernel->rows(acc, at + lo[0] * p->from.elem_bytes, w, p->keep[p->n_keep - 1].stride, hi[0] - lo[0]);
    else
      for (int64_t j = 0; j < w; j++) reduce_inner(p, acc + j * p->kernel->acc_bytes, at + j * step, lo, hi);
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
    int64_t src, dst, w = locate(p->keep, p->n_keep, p->tile, p->lines, u, &src, &dst);
    char *acc = p->partial + u * p->n_chunks * p->tile * acc_bytes;
    for (int64_t c = 1; c < p->n_chunks; c++) p->kernel->merge(acc, acc + c * p->tile * acc_bytes, w);
    finish(p, acc, w, p->dst + dst * p->out_bytes, p->n_keep ? p->keep[p->n_keep - 1].out_stride : 1);
  }
}

bool lp_reduce_run(const LpReduction *r, const LpTensor *self, const LpReduceDims *dims, LpTensor *out) {
  LpDtype dtype = lp_dtype(self);
  const LpReduceTable *table = lp_reduce_table();
  Plan plan, *p = &plan;
  p->r = r;
  p->kernel = &table->kernel[r->op][r->compute];
  p->from = source_of(r->compute, dtype);
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
  size_t partial_bytes = 0;
  if (p->n_chunks > 1) {
    partial_bytes = (size_t)(p->n_units * p->n_chunks * p->tile * p->kernel->acc_bytes);
    TRY(p->partial = lp_alloc(partial_bytes));
  }
  bool ok = lp_run_tasks(p->n_units * p->n_chunks, p->n_in * p->tile / p->n_chunks, run_unit, p);
  if (ok && p->partial) merge_chunks(p);
  lp_free(p->partial, partial_bytes);
  return ok;
}

/* --- positions -------------------------------------------------------------------------------- */

#define ARG_TILE TURNED_TILE /* widest tile of results */

typedef struct ArgPlan {
  const LpArgKernel *kernel;
  Source from;
  bool outer; /* neighbouring results side by side; else row by row */
  bool packs; /* several lines of results are packed */
  const char *src;
  int64_t *dst;
  char *values;       /* the elements found, laid out as dst; NULL: not wanted */
  int64_t n, stride;  /* the searched dim; stride in elements */
  int64_t tile, lines; /* results per tile; whole lines of them per tile, where they are narrow */
  Dim keep[LP_MAX_DIMS];
  int n_keep;
  int64_t n_chunks, chunk_len; /* of the searched dim, where results are few */
  int64_t *partial; /* the best index of each chunk, a tile for each task */
} ArgPlan;

/* The index of the extreme of n elements; a buffer serves foreign dtypes and strides, block by block,
 * each block led by the best element so far. */
static __attribute__((noinline)) int64_t arg_row(const ArgPlan *p, const char *src, int64_t n) {
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
    p->from.load(values + i * p->from.compute_bytes, src + at[i] * p->stride * p->from.elem_bytes,
                 p->from.elem_bytes, 1);
  return at[p->kernel->row(values, count)];
}

/* Of w neighbouring columns of n elements that are not read in place: of a buffer's rows. */
static __attribute__((noinline)) void arg_loaded(const ArgPlan *p, const char *src, int64_t n, int64_t w,
                                                 int64_t *index) {
  _Alignas(64) char buffer[BUFFER_BYTES];
  load_rows(&p->from, buffer, src, n, p->stride, p->keep[p->n_keep - 1].stride, w);
  p->kernel->col(buffer, n, w, w, index);
}

/* Of w neighbouring columns of n elements. Narrow contiguous rows are taken sixteen at a time, as one wide
 * row, whose winners, and the last rows, are compared then. */
static void arg_columns(const ArgPlan *p, const char *src, int64_t n, int64_t w, int64_t *index) {
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

/* Of whole lines of columns: side by side where they are so narrow that they are packed, else line by line. */
static __attribute__((noinline)) void arg_lines(const ArgPlan *p, const char *src, int64_t lines, int64_t *index) {
  const Dim *line = &p->keep[p->n_keep - 1];
  const int64_t width = lines * line->size;
  if (!p->packs) {
    for (int64_t i = 0; i < lines; i++)
      arg_columns(p, src + i * line[-1].stride * p->from.elem_bytes, p->n, line->size, index + i * line->size);
    return;
  }
  _Alignas(64) char buffer[BUFFER_BYTES + LP_PACK_SLACK];
  load_lines(&p->from, buffer, src, line, p->n, p->stride, lines);
  p->kernel->col(buffer, p->n, width, width, index);
}

/* What was found for the w results at dst, of elements at src. */
#define TAKE(type)                                                                 \
  for (int64_t j = 0; j < w; j++)                                                  \
    ((type *)p->values)[dst + j * line.out_stride] =                               \
        ((const type *)src)[j * line.stride + index[j] * p->stride];               \
  break;
static void arg_give(const ArgPlan *p, const char *src, int64_t dst, const int64_t *index, int64_t w) {
  const Dim line = p->n_keep ? p->keep[p->n_keep - 1] : (Dim){1, 1, 1};
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
  const int64_t w = locate(p->keep, p->n_keep, p->tile, p->lines, unit, &offset, &dst);
  const int64_t step = p->n_keep ? p->keep[p->n_keep - 1].stride * p->from.elem_bytes : 0;
  const char *src = p->src + offset * p->from.elem_bytes, *at = src + first * p->stride * p->from.elem_bytes;
  const bool in_place = p->from.native && p->stride == 1;
  if (p->lines > 1) arg_lines(p, at, w / p->keep[p->n_keep - 1].size, index);
  else if (p->outer) arg_columns(p, at, n, w, index);
  else
    for (int64_t j = 0; j < w; j++)
      index[j] = in_place ? p->kernel->row(at + j * step, n) : arg_row(p, at + j * step, n);
  if (!p->partial) {
    arg_give(p, src, dst, index, w);
    return;
  }
  for (int64_t j = 0; j < w; j++) p->partial[task * ARG_TILE + j] = first + index[j];
}

/* The best of the chunks' winners. */
static void arg_merge(const ArgPlan *p, int64_t units) {
  for (int64_t u = 0; u < units; u++) {
    int64_t offset, dst, index[ARG_TILE], at[MAX_CHUNKS];
    const int64_t w = locate(p->keep, p->n_keep, p->tile, p->lines, u, &offset, &dst);
    const int64_t step = p->n_keep ? p->keep[p->n_keep - 1].stride * p->from.elem_bytes : 0;
    const char *src = p->src + offset * p->from.elem_bytes;
    for (int64_t j = 0; j < w; j++) {
      for (int64_t c = 0; c < p->n_chunks; c++) at[c] = p->partial[(u * p->n_chunks + c) * ARG_TILE + j];
      index[j] = arg_among(p, src + j * step, at, (int)p->n_chunks);
    }
    arg_give(p, src, dst, index, w);
  }
}

bool lp_reduce_arg(const LpTensor *self, int64_t dim, bool smallest, LpTensor *out, LpTensor *values) {
  LpDtype dtype = lp_dtype(self);
  LpCompute compute = lp_compute_of_extreme(dtype);
  ArgPlan p = {.kernel = &lp_reduce_table()->arg[smallest][compute], .from = source_of(compute, dtype),
               .dst = lp_data(out), .values = values ? lp_data(values) : NULL, .lines = 1, .n_chunks = 1};
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
    if (lp_size(self, d) > 1) p.keep[p.n_keep++] = (Dim){lp_size(self, d), strides[d], lp_stride(out, o)};
    o++;
  }
  if (results == 0) return true;
  p.n_keep = join_dims(p.keep, p.n_keep);
  const Dim line = p.n_keep ? p.keep[p.n_keep - 1] : (Dim){1, 1, 1};
  const bool along = p.n_keep > 0 && line.stride < p.stride, in_place = along && p.from.native && line.stride == 1;
  if (along && p.n > 0 && p.n <= 64)
    p.lines = lines_per_tile(&p.from, p.keep, p.n_keep, results, p.n, ARG_TILE, 64);
  p.packs = p.lines > 1;
  if (in_place && !p.packs && p.n <= 256)
    p.lines = lines_per_tile(&p.from, p.keep, p.n_keep, results, 1, ARG_TILE, 1024);
  p.outer = in_place || (p.n_keep > 0 && p.n <= p.from.short_row && line.size >= 16);
  p.tile = p.lines > 1 ? line.size * p.lines
           : in_place  ? (results >= 128 * 64 ? results / 64 & -64 : 64)
           : p.outer   ? turned_tile(&p.from, p.n)
                       : CHUNK_ELEMS / 4 / p.n;
  if (p.tile > ARG_TILE) p.tile = ARG_TILE;
  if (p.lines <= 1 && p.tile > line.size) p.tile = line.size;
  if (p.tile < 1) p.tile = 1;
  const int64_t units = p.lines > 1 ? results / line.size / p.keep[p.n_keep - 2].size *
                                          ((p.keep[p.n_keep - 2].size + p.lines - 1) / p.lines)
                                    : results / line.size * ((line.size + p.tile - 1) / p.tile);
  const int64_t work = p.n * p.tile;
  if (units < MAX_CHUNKS)
    while (p.n_chunks < MAX_CHUNKS && work / CHUNK_ELEMS >= 2 * p.n_chunks && p.n_chunks < p.n) p.n_chunks *= 2;
  p.chunk_len = (p.n + p.n_chunks - 1) / p.n_chunks;
  p.n_chunks = (p.n + p.chunk_len - 1) / p.chunk_len;
  const size_t partial_bytes = (size_t)(units * p.n_chunks * ARG_TILE) * sizeof *p.partial;
  if (p.n_chunks > 1) TRY(p.partial = lp_alloc(partial_bytes));
  const bool ok = lp_run_tasks(units * p.n_chunks, work / p.n_chunks, arg_task, &p);
  if (ok && p.partial) arg_merge(&p, units);
  if (p.partial) lp_free(p.partial, partial_bytes);
  return ok;
}
