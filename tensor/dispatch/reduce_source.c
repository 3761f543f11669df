/* Reading a tensor for reductions (dispatch/reduce_source.h). */
#include "dispatch/reduce_source.h"

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

LpReduceSource lp_reduce_source(LpCompute compute, LpDtype dtype) {
  const int bytes = (int)lp_dtype_size(dtype);
  const bool turns = bytes <= 8 && lp_cpu_capability > LP_CAPABILITY_BASELINE;
  return (LpReduceSource){
      .load = lp_reduce_table()->load[compute][dtype],
      .transpose =
          turns ? lp_copy_kernels()->transpose[__builtin_ctz((unsigned)bytes)] : NULL,
      .native = is_native(compute, dtype),
      .elem_bytes = bytes,
      .compute_bytes = lp_compute_bytes(compute),
      .short_row = !turns       ? 12
                   : bytes <= 4 ? 56
                                : 40};
}

int64_t lp_reduce_room(const LpReduceSource *from) {
  return LP_REDUCE_BUFFER / (from->elem_bytes > from->compute_bytes
                                 ? from->elem_bytes
                                 : from->compute_bytes);
}

int64_t lp_reduce_turned_tile(const LpReduceSource *from, int64_t n) {
  const int64_t lanes = 64 / from->elem_bytes;
  int64_t most = lp_reduce_room(from) / (n > 0 ? n : 1);
  if (most > LP_REDUCE_TURNED) most = LP_REDUCE_TURNED;
  return most / lanes > 1 ? ((most / lanes - 1) | 1) * lanes : lanes;
}

void lp_reduce_load_rows(const LpReduceSource *from, char *to, const char *src,
                         int64_t rows, int64_t ld, int64_t step, int64_t w) {
  const int64_t bytes = from->elem_bytes;
  if (ld == 1 && from->transpose && rows > (from->native ? 1 : 4)) {
    _Alignas(64) char turned[LP_REDUCE_BUFFER];
    from->transpose(from->native ? to : turned, w, src, step, w, rows);
    if (!from->native) from->load(to, turned, bytes, rows * w);
    return;
  }
  for (int64_t r = 0; r < rows; r++)
    from->load(to + r * w * from->compute_bytes, src + r * ld * bytes, step * bytes, w);
}

void lp_reduce_load_lines(const LpReduceSource *from, char *to, const char *src,
                          const LpReduceDim *line, int64_t rows, int64_t ld,
                          int64_t lines) {
  const int64_t bytes = from->elem_bytes, width = lines * line->size;
  const LpRowSteps steps = {.size = bytes,
                            .n = line->size,
                            .to_step = bytes,
                            .from_step = line->stride * bytes,
                            .to_row = line->size * bytes,
                            .from_row = line[-1].stride * bytes};
  _Alignas(64) char other[LP_REDUCE_BUFFER];
  char *packed = from->native ? to : other;
  for (int64_t r = 0; r < rows; r++)
    lp_copy_kernels()->move(&steps, packed + r * width * bytes, src + r * ld * bytes,
                            lines);
  if (!from->native) from->load(to, packed, bytes, rows * width);
}

/* Largest strides first; equal ones keep their order. */
static void sort_dims(LpReduceDim *dims, int n) {
  for (int i = 1; i < n; i++) {
    const LpReduceDim x = dims[i];
    int j = i;
    for (; j > 0 && dims[j - 1].stride < x.stride; j--) dims[j] = dims[j - 1];
    dims[j] = x;
  }
}

int lp_reduce_join_dims(LpReduceDim *dims, int n) {
  sort_dims(dims, n);
  int last = 0;
  for (int i = 1; i < n; i++) {
    LpReduceDim *a = &dims[last], *b = &dims[i];
    if (a->stride == b->stride * b->size && a->out_stride == b->out_stride * b->size) {
      *a = (LpReduceDim){a->size * b->size, b->stride, b->out_stride};
    } else {
      dims[++last] = *b;
    }
  }
  return n ? last + 1 : 0;
}

int64_t lp_reduce_lines_per_tile(const LpReduceSource *from, const LpReduceDim *keep,
                                 int n_keep, int64_t n_out, int64_t rows, int64_t most,
                                 int64_t narrow_bytes) {
  const LpReduceDim *line = keep + n_keep - 1, *next = line - 1;
  if (n_keep < 2 || line->size * from->elem_bytes > narrow_bytes ||
      next->out_stride != line->size * line->out_stride)
    return 1;
  const int64_t width = lp_reduce_room(from) / rows,
                share = n_out / line->size / LP_REDUCE_CHUNKS;
  int64_t lines = (width < most ? width : most) / line->size;
  if (lines > next->size) lines = next->size;
  if (lines > share) lines = share;
  return lines > 1 ? lines : 1;
}

int64_t lp_reduce_locate(const LpReduceDim *keep, int n_keep, int64_t tile, int64_t lines,
                         int64_t u, int64_t *src, int64_t *dst) {
  int64_t w = 1, part = tile;
  *src = *dst = 0;
  for (int d = n_keep - 1; d >= 0; d--) {
    const LpReduceDim *dim = &keep[d];
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
