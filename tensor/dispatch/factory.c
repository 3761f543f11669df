/* Making tensors: zeros, full, arange, linspace, eye and their kin. requires_grad marks
 * the result as a leaf. */
#include <math.h>
#include <stdio.h>
#include "core/parallel.h"
#include "dispatch/iter.h"
#include "dispatch/layout.h"
#include "dispatch/reduce.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

#define L(x) ((long long)(x))
#define SCALAR_TEXT(s) format_scalar(s, (char[64]){0}, 64)

static LpDtype or_default(LpDtype dtype) {
  return dtype == LP_DTYPE_NONE ? lp_default_dtype() : dtype;
}

static const char *format_scalar(LpScalar s, char *buf, size_t buf_bytes) {
  if (s.kind <= LP_SCALAR_INT)
    snprintf(buf, buf_bytes, "%lld", L(s.v.i));
  else
    snprintf(buf, buf_bytes, "%g", lp_scalar_to_double(s));
  return buf;
}

/* Marks the result; takes it over and returns it, or NULL. */
static LpTensor *finish(LpTensor *t, bool requires_grad) {
  if (!t || !requires_grad || lp_set_requires_grad(t, true)) return t;
  lp_tensor_release(t);
  return NULL;
}

static LpTensor *filled(LpTensor *t, LpScalar value, bool requires_grad) {
  if (t && !lp_fill_into(t, value)) {
    lp_tensor_release(t);
    return NULL;
  }
  return finish(t, requires_grad);
}

/* With an `out` tensor its dtype is the one to make; another may not be asked for. */
static bool settle_dtype(const LpTensor *out, LpDtype *dtype) {
  if (!out) return true;
  CHECK(*dtype == LP_DTYPE_NONE || *dtype == (LpDtype)out->dtype, LP_ERR_TYPE,
        "dtype %s does not match the dtype of out, %s", lp_dtype_name(*dtype),
        lp_dtype_name((LpDtype)out->dtype));
  *dtype = (LpDtype)out->dtype;
  return true;
}

/* --- from sizes
 * ------------------------------------------------------------------------------- */

LpTensor *lp_impl_empty(LpTensor *out, LpInts size, LpDtype dtype, LpDevice device,
                        LpMemoryFormat memory_format, bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  CHECK(memory_format != LP_PRESERVE, LP_ERR_ARGUMENT,
        "preserve_format needs a tensor to follow; use empty_like()");
  if (out) return lp_tensor_resize_out(out, size) ? lp_tensor_retain(out) : NULL;
  return finish(
      lp_tensor_new_format(size, or_default(dtype), device, memory_format, NULL),
      requires_grad);
}

LpTensor *lp_impl_zeros(LpTensor *out, LpInts size, LpDtype dtype, LpDevice device,
                        bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  return lp_give(out, filled(lp_tensor_new(size, or_default(dtype), device),
                             lp_scalar_int(0), requires_grad));
}

LpTensor *lp_impl_ones(LpTensor *out, LpInts size, LpDtype dtype, LpDevice device,
                       bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  return lp_give(out, filled(lp_tensor_new(size, or_default(dtype), device),
                             lp_scalar_int(1), requires_grad));
}

LpTensor *lp_impl_full(LpTensor *out, LpInts size, LpScalar fill_value, LpDtype dtype,
                       LpDevice device, bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  if (dtype == LP_DTYPE_NONE) dtype = lp_scalar_dtype(fill_value);
  CHECK(fill_value.kind != LP_SCALAR_COMPLEX || lp_dtype_is_complex(dtype), LP_ERR_TYPE,
        "fill_value is complex, which dtype %s cannot hold", lp_dtype_name(dtype));
  return lp_give(out,
                 filled(lp_tensor_new(size, dtype, device), fill_value, requires_grad));
}

LpTensor *lp_impl_empty_strided(LpInts size, LpInts stride, LpDtype dtype,
                                LpDevice device, bool requires_grad) {
  return finish(lp_tensor_new_strided(size, stride, or_default(dtype), device),
                requires_grad);
}

LpTensor *lp_impl_scalar_tensor(LpScalar s, LpDtype dtype, LpDevice device,
                                bool requires_grad) {
  return filled(lp_tensor_new(lp_ints(NULL, 0), or_default(dtype), device), s,
                requires_grad);
}

/* --- like another tensor
 * ---------------------------------------------------------------------- */

LpTensor *lp_impl_empty_like(LpTensor *self, LpDtype dtype, LpDevice device,
                             LpMemoryFormat memory_format, bool requires_grad) {
  if (dtype == LP_DTYPE_NONE) dtype = (LpDtype)self->dtype;
  if (device.type == LP_DEVICE_NONE) device = self->storage->device;
  return finish(lp_tensor_new_format(
                    lp_sizes(self), dtype, device,
                    memory_format == LP_FORMAT_NONE ? LP_PRESERVE : memory_format, self),
                requires_grad);
}

static LpTensor *filled_like(LpTensor *self, LpScalar value, LpDtype dtype,
                             LpDevice device, LpMemoryFormat format, bool requires_grad) {
  if (dtype == LP_DTYPE_NONE) dtype = (LpDtype)self->dtype;
  if (device.type == LP_DEVICE_NONE) device = self->storage->device;
  return filled(lp_tensor_new_formed(self, dtype, device, format), value, requires_grad);
}

LpTensor *lp_impl_zeros_like(LpTensor *self, LpDtype dtype, LpDevice device,
                             LpMemoryFormat memory_format, bool requires_grad) {
  return filled_like(self, lp_scalar_int(0), dtype, device, memory_format, requires_grad);
}

LpTensor *lp_impl_ones_like(LpTensor *self, LpDtype dtype, LpDevice device,
                            LpMemoryFormat memory_format, bool requires_grad) {
  return filled_like(self, lp_scalar_int(1), dtype, device, memory_format, requires_grad);
}

LpTensor *lp_impl_full_like(LpTensor *self, LpScalar fill_value, LpDtype dtype,
                            LpDevice device, LpMemoryFormat memory_format,
                            bool requires_grad) {
  return filled_like(self, fill_value, dtype, device, memory_format, requires_grad);
}

static LpTensor *new_as(LpTensor *self, LpInts size, LpDtype dtype, LpDevice device) {
  if (dtype == LP_DTYPE_NONE) dtype = (LpDtype)self->dtype;
  if (device.type == LP_DEVICE_NONE) device = self->storage->device;
  return lp_tensor_new(size, dtype, device);
}

LpTensor *lp_impl_new_empty(LpTensor *self, LpInts size, LpDtype dtype, LpDevice device,
                            bool requires_grad) {
  return finish(new_as(self, size, dtype, device), requires_grad);
}

LpTensor *lp_impl_new_zeros(LpTensor *self, LpInts size, LpDtype dtype, LpDevice device,
                            bool requires_grad) {
  return filled(new_as(self, size, dtype, device), lp_scalar_int(0), requires_grad);
}

LpTensor *lp_impl_new_ones(LpTensor *self, LpInts size, LpDtype dtype, LpDevice device,
                           bool requires_grad) {
  return filled(new_as(self, size, dtype, device), lp_scalar_int(1), requires_grad);
}

LpTensor *lp_impl_new_full(LpTensor *self, LpInts size, LpScalar fill_value,
                           LpDtype dtype, LpDevice device, bool requires_grad) {
  return filled(new_as(self, size, dtype, device), fill_value, requires_grad);
}

LpTensor *lp_impl_new_empty_strided(LpTensor *self, LpInts size, LpInts stride,
                                    LpDtype dtype, LpDevice device, bool requires_grad) {
  if (dtype == LP_DTYPE_NONE) dtype = (LpDtype)self->dtype;
  if (device.type == LP_DEVICE_NONE) device = self->storage->device;
  return finish(lp_tensor_new_strided(size, stride, dtype, device), requires_grad);
}

/* Dense strides, dims from outermost to innermost in the order `layout`. */
LpTensor *lp_impl_empty_permuted(LpInts size, LpInts layout, LpDtype dtype,
                                 LpDevice device, bool requires_grad) {
  int64_t strides[LP_MAX_DIMS], step = 1;
  CHECK(size.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "a tensor has at most %d dims",
        LP_MAX_DIMS);
  CHECK(layout.count == size.count, LP_ERR_ARGUMENT,
        "physical_layout must name each of the %lld dims of size, got %lld numbers",
        (long long)size.count, (long long)layout.count);
  for (int64_t i = 0; i < size.count; i++) strides[i] = -1;
  for (int64_t i = layout.count - 1; i >= 0; i--) {
    int64_t d = layout.data[i];
    CHECK(d >= 0 && d < size.count, LP_ERR_INDEX,
          "physical_layout must hold dims from 0 to %lld, got %lld at %lld",
          (long long)size.count - 1, (long long)d, (long long)i);
    CHECK(strides[d] < 0, LP_ERR_ARGUMENT, "physical_layout names dim %lld twice",
          (long long)d);
    strides[d] = step;
    TRY(lp_numel_of(lp_ints((int64_t[]){step, size.data[d] ? size.data[d] : 1}, 2),
                    &step));
  }
  return finish(lp_tensor_new_strided(size, lp_ints(strides, size.count),
                                      or_default(dtype), device),
                requires_grad);
}

/* --- ranges
 * ----------------------------------------------------------------------------------- */

/* A 1-d tensor made in double or int64 chunks and cast to its dtype. */
typedef struct Range {
  char *out;
  LpDtype dtype;
  enum { RANGE_INT, RANGE_FLOAT, RANGE_LOG } kind;
  int64_t start_int, step_int;
  double start, end, step, base;
  int64_t count;
  bool from_end; /* the second half counts back from the end, so that both ends are exact
                  */
} Range;

static void fill_range(void *ctx, int64_t begin, int64_t end) {
  const Range *r = ctx;
  enum { CHUNK = 512 };
  union {
    int64_t i[CHUNK];
    double f[CHUNK];
  } chunk;
  int64_t size = (int64_t)lp_dtype_size(r->dtype);
  if (r->kind == RANGE_INT && r->dtype == LP_INT64) {
    int64_t *out = (int64_t *)r->out;
    for (int64_t i = begin; i < end; i++)
      out[i] = (int64_t)((uint64_t)r->start_int + (uint64_t)i * (uint64_t)r->step_int);
    return;
  }
  LpLoop cast = lp_cast_loop(r->dtype, r->kind == RANGE_INT ? LP_INT64 : LP_FLOAT64);
  for (int64_t at = begin; at < end; at += CHUNK) {
    int64_t n = end - at < CHUNK ? end - at : CHUNK;
    if (r->kind == RANGE_INT) {
      for (int64_t k = 0; k < n; k++)
        chunk.i[k] = (int64_t)((uint64_t)r->start_int +
                               (uint64_t)(at + k) * (uint64_t)r->step_int);
    } else {
      /* Whole numbers below 2^53 as doubles, for a loop of vectors. */
      const double step = r->step, first = (double)at, last = (double)(r->count - 1 - at);
      const int64_t middle = r->from_end ? r->count / 2 - at : n;
      const int64_t split = middle < 0 ? 0 : middle < n ? middle : n;
      for (int k = 0; k < (int)split; k++) chunk.f[k] = r->start + step * (first + k);
      for (int k = (int)split; k < (int)n; k++) chunk.f[k] = r->end - step * (last - k);
      if (r->kind == RANGE_LOG)
        for (int64_t k = 0; k < n; k++) chunk.f[k] = pow(r->base, chunk.f[k]);
    }
    char *ptrs[2] = {r->out + at * size, (char *)&chunk};
    cast(ptrs, (int64_t[2]){size, 8}, n, NULL);
    if (lp_interrupt_pending()) return;
  }
}

static LpTensor *make_range(Range *r, LpDevice device, bool requires_grad) {
  LpTensor *t = lp_tensor_new(lp_ints(&r->count, 1), r->dtype, device);
  if (!t) return NULL;
  r->out = lp_data(t);
  lp_parallel_for(r->count, LP_GRAIN, fill_range, r);
  if (lp_interrupt_take()) {
    lp_tensor_release(t);
    lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
    return NULL;
  }
  return finish(t, requires_grad);
}

static LpTensor *arange(LpScalar start, LpScalar end, LpScalar step, LpDtype dtype,
                        LpDevice device, bool requires_grad) {
  bool integers = start.kind <= LP_SCALAR_INT && end.kind <= LP_SCALAR_INT &&
                  step.kind <= LP_SCALAR_INT;
  CHECK(start.kind != LP_SCALAR_COMPLEX && end.kind != LP_SCALAR_COMPLEX &&
            step.kind != LP_SCALAR_COMPLEX,
        LP_ERR_TYPE, "start, end and step must be real numbers");
  if (dtype == LP_DTYPE_NONE) dtype = integers ? LP_INT64 : lp_default_dtype();
  CHECK(!lp_dtype_is_complex(dtype) && dtype != LP_BOOL, LP_ERR_TYPE,
        "dtype must be an integer or floating dtype, got %s", lp_dtype_name(dtype));
  Range r = {.dtype = dtype, .kind = RANGE_FLOAT};
  double from = lp_scalar_to_double(start), to = lp_scalar_to_double(end),
         by = lp_scalar_to_double(step), count;
  CHECK(by != 0 && by == by, LP_ERR_ARGUMENT, "step must be nonzero");
  CHECK(isfinite(from) && isfinite(to), LP_ERR_ARGUMENT, "unsupported range: %g -> %g",
        from, to);
  CHECK((by > 0 && to >= from) || (by < 0 && to <= from), LP_ERR_ARGUMENT,
        "upper bound and lower bound inconsistent with step sign: start %s, end %s, step "
        "%s",
        SCALAR_TEXT(start), SCALAR_TEXT(end), SCALAR_TEXT(step));
  if (lp_dtype_is_integral(dtype, false)) {
    /* In an integer dtype the numbers themselves become integers first, as in PyTorch. */
    r.kind = RANGE_INT;
    r.start_int = lp_scalar_to_int(start);
    r.step_int = lp_scalar_to_int(step);
  }
  if (integers) {
    int64_t a = start.v.i, b = end.v.i, s = step.v.i;
    uint64_t span = s > 0 ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
    uint64_t stride = s > 0 ? (uint64_t)s : 0 - (uint64_t)s;
    count = span == 0 ? 0 : (double)((span - 1) / stride + 1);
    CHECK(count < 0x1p62, LP_ERR_MEMORY, "the range has %g elements", count);
    r.count = span == 0 ? 0 : (int64_t)((span - 1) / stride + 1);
  } else {
    count = ceil((to - from) / by);
    CHECK(count >= 0 && count < 0x1p62, LP_ERR_MEMORY, "the range has %g elements",
          count);
    r.count = (int64_t)count;
  }
  r.start = from;
  r.step = by;
  return make_range(&r, device, requires_grad);
}

LpTensor *lp_impl_arange_start_step(LpTensor *out, LpScalar start, LpScalar end,
                                    LpScalar step, LpDtype dtype, LpDevice device,
                                    bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  return lp_give(out, arange(start, end, step, dtype, device, requires_grad));
}

LpTensor *lp_impl_arange(LpTensor *out, LpScalar end, LpDtype dtype, LpDevice device,
                         bool requires_grad) {
  return lp_impl_arange_start_step(out, lp_scalar_int(0), end, lp_scalar_int(1), dtype,
                                   device, requires_grad);
}

LpTensor *lp_impl_arange_start(LpTensor *out, LpScalar start, LpScalar end, LpDtype dtype,
                               LpDevice device, bool requires_grad) {
  return lp_impl_arange_start_step(out, start, end, lp_scalar_int(1), dtype, device,
                                   requires_grad);
}

static LpTensor *spaced(LpScalar start, LpScalar end, int64_t steps, double base,
                        bool is_log, LpDtype dtype, LpDevice device, bool requires_grad) {
  CHECK(steps >= 0, LP_ERR_ARGUMENT, "number of steps must be non-negative, got %lld",
        L(steps));
  CHECK(start.kind != LP_SCALAR_COMPLEX && end.kind != LP_SCALAR_COMPLEX, LP_ERR_TYPE,
        "start and end must be real numbers");
  dtype = or_default(dtype);
  CHECK(dtype != LP_BOOL, LP_ERR_TYPE, "dtype must not be bool");
  Range r = {.dtype = dtype,
             .kind = is_log ? RANGE_LOG : RANGE_FLOAT,
             .start = lp_scalar_to_double(start),
             .end = lp_scalar_to_double(end),
             .base = base,
             .count = steps,
             .from_end = steps > 1};
  if (lp_dtype_is_integral(dtype,
                           false)) { /* the ends become integers first, as in PyTorch */
    r.start = (double)lp_scalar_to_int(start);
    r.end = (double)lp_scalar_to_int(end);
  }
  r.step = steps > 1 ? (r.end - r.start) / (double)(steps - 1) : 0;
  if (dtype == LP_FLOAT32 && !is_log) { /* as PyTorch: ends and step rounded, sums not */
    const float first = (float)r.start, last = (float)r.end;
    r.start = first;
    r.end = last;
    if (steps > 1) r.step = (last - first) / (float)(steps - 1);
  }
  return make_range(&r, device, requires_grad);
}

LpTensor *lp_impl_linspace(LpTensor *out, LpScalar start, LpScalar end, int64_t steps,
                           LpDtype dtype, LpDevice device, bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  return lp_give(out, spaced(start, end, steps, 0, false, dtype, device, requires_grad));
}

LpTensor *lp_impl_logspace(LpTensor *out, LpScalar start, LpScalar end, int64_t steps,
                           double base, LpDtype dtype, LpDevice device,
                           bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  return lp_give(out,
                 spaced(start, end, steps, base, true, dtype, device, requires_grad));
}

/* The numbers in 0-d tensors; no gradient flows through, as in PyTorch. */
static bool ends_of(LpTensor *start, LpTensor *end, LpScalar *from, LpScalar *to) {
  CHECK(start->ndim == 0 && end->ndim == 0, LP_ERR_ARGUMENT,
        "start and end must be numbers or 0-dimensional tensors, got shapes %s and %s",
        SHAPE_TEXT(start), SHAPE_TEXT(end));
  return lp_item(start, from) && lp_item(end, to);
}

LpTensor *lp_impl_linspace_tensor_tensor(LpTensor *out, LpTensor *start, LpTensor *end,
                                         int64_t steps, LpDtype dtype, LpDevice device,
                                         bool requires_grad) {
  LpScalar from, to;
  TRY(ends_of(start, end, &from, &to));
  return lp_impl_linspace(out, from, to, steps, dtype, device, requires_grad);
}

LpTensor *lp_impl_logspace_tensor_tensor(LpTensor *out, LpTensor *start, LpTensor *end,
                                         int64_t steps, double base, LpDtype dtype,
                                         LpDevice device, bool requires_grad) {
  LpScalar from, to;
  TRY(ends_of(start, end, &from, &to));
  return lp_impl_logspace(out, from, to, steps, base, dtype, device, requires_grad);
}

/* --- matrices
 * --------------------------------------------------------------------------------- */

static LpTensor *identity(int64_t n, int64_t m, LpDtype dtype, LpDevice device,
                          bool requires_grad) {
  CHECK(n >= 0 && m >= 0, LP_ERR_ARGUMENT,
        "n and m must be greater or equal to 0, got %lld and %lld", L(n), L(m));
  LpTensor *t =
      lp_new_zeros_raw(lp_ints((int64_t[]){n, m}, 2), or_default(dtype), device);
  if (!t) return NULL;
  int64_t length = n < m ? n : m,
          step = (int64_t)((uint64_t)m + 1); /* of nothing when it overflows */
  LpTensor *diagonal = lp_tensor_alias(t, lp_ints(&length, 1), lp_ints(&step, 1), 0);
  bool ok = diagonal && lp_fill_into(diagonal, lp_scalar_int(1));
  lp_tensor_release(diagonal);
  if (!ok) {
    lp_tensor_release(t);
    return NULL;
  }
  return finish(t, requires_grad);
}

LpTensor *lp_impl_eye_m(LpTensor *out, int64_t n, int64_t m, LpDtype dtype,
                        LpDevice device, bool requires_grad) {
  TRY(settle_dtype(out, &dtype));
  return lp_give(out, identity(n, m, dtype, device, requires_grad));
}

LpTensor *lp_impl_eye(LpTensor *out, int64_t n, LpDtype dtype, LpDevice device,
                      bool requires_grad) {
  CHECK(n >= 0, LP_ERR_ARGUMENT, "n must be greater or equal to 0, got %lld", L(n));
  return lp_impl_eye_m(out, n, n, dtype, device, requires_grad);
}

/* Columns [*from, *to) of row i that lie in the triangle. */
static void triangle_row(int64_t i, int64_t col, int64_t offset, bool lower,
                         int64_t *from, int64_t *to) {
  *from = lower ? 0 : i + offset;
  *to = lower ? i + offset + 1 : col;
  if (*from < 0) *from = 0;
  if (*to > col) *to = col;
  if (*to < *from) *to = *from;
}

/* How many elements (i, j) of a row x col matrix have j <= i + offset: none in the first
 * rows, then one more in each row up to col. */
static __int128 lower_count(int64_t row, int64_t col, int64_t offset) {
  const int64_t first = offset < 0 ? -offset : 0;
  if (first >= row || col == 0) return 0;
  const int64_t in_first = first + 1 + offset, rows = row - first;
  int64_t growing = col - in_first; /* rows of fewer than col elements */
  growing = growing < 0 ? 0 : growing > rows ? rows : growing;
  return (__int128)growing * in_first + (__int128)growing * (growing - 1) / 2 +
         (__int128)(rows - growing) * col;
}

static LpTensor *triangle_indices(int64_t row, int64_t col, int64_t offset, LpDtype dtype,
                                  LpDevice device, bool lower) {
  CHECK(row >= 0 && col >= 0, LP_ERR_ARGUMENT,
        "row and col must be non-negative, got %lld and %lld", L(row), L(col));
  CHECK(offset > -((int64_t)1 << 60) && offset < (int64_t)1 << 60, LP_ERR_ARGUMENT,
        "offset %lld is out of range", L(offset));
  if (dtype == LP_DTYPE_NONE) dtype = LP_INT64;
  CHECK(dtype == LP_INT64 || dtype == LP_INT32, LP_ERR_TYPE,
        "dtype must be int32 or int64, got %s", lp_dtype_name(dtype));
  const __int128 all = (__int128)row * col,
                 kept = lower ? lower_count(row, col, offset)
                              : all - lower_count(row, col, offset - 1);
  CHECK(kept < PTRDIFF_MAX / 16, LP_ERR_MEMORY, "the triangle has too many elements");
  int64_t count = (int64_t)kept, from, to;
  LpTensor *wide = lp_tensor_new(lp_ints((int64_t[]){2, count}, 2), LP_INT64, device);
  if (!wide) return NULL;
  int64_t *rows = lp_data(wide), *columns = rows + count;
  int64_t first = lower && offset < 0 ? -offset : 0; /* the rows before hold nothing */
  for (int64_t i = first, at = 0; i < row && at < count; i++) {
    triangle_row(i, col, offset, lower, &from, &to);
    for (int64_t j = from; j < to; j++, at++) rows[at] = i, columns[at] = j;
    if ((i & 0xfffff) == 0xfffff && lp_interrupt_take()) {
      lp_tensor_release(wide);
      return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt"), NULL;
    }
  }
  LpTensor *result = lp_cast_raw(wide, dtype);
  lp_tensor_release(wide);
  return result;
}

LpTensor *lp_impl_tril_indices(int64_t row, int64_t col, int64_t offset, LpDtype dtype,
                               LpDevice device) {
  return triangle_indices(row, col, offset, dtype, device, true);
}

LpTensor *lp_impl_triu_indices(int64_t row, int64_t col, int64_t offset, LpDtype dtype,
                               LpDevice device) {
  return triangle_indices(row, col, offset, dtype, device, false);
}

/* --- complex
 * ---------------------------------------------------------------------------------- */

LpTensor *lp_impl_complex(LpTensor *out, LpTensor *real, LpTensor *imag) {
  CHECK(real->dtype == imag->dtype, LP_ERR_TYPE,
        "real and imag must have the same dtype, got %s and %s",
        lp_dtype_name((LpDtype)real->dtype), lp_dtype_name((LpDtype)imag->dtype));
  CHECK(real->dtype == LP_FLOAT32 || real->dtype == LP_FLOAT64, LP_ERR_TYPE,
        "real and imag must be float32 or float64, got %s",
        lp_dtype_name((LpDtype)real->dtype));
  int64_t shape[LP_MAX_DIMS], ndim;
  LpInts shapes[2] = {lp_sizes(real), lp_sizes(imag)};
  TRY(lp_broadcast_shapes(shapes, 2, shape, &ndim));
  LpDtype dtype = lp_dtype_to_complex((LpDtype)real->dtype);
  if (out) {
    CHECK(out->dtype == dtype, LP_ERR_TYPE, "out must have dtype %s, got %s",
          lp_dtype_name(dtype), lp_dtype_name((LpDtype)out->dtype));
    TRY(lp_tensor_resize_out(out, lp_ints(shape, ndim)));
    lp_tensor_retain(out);
  } else if (!(out = lp_tensor_new(lp_ints(shape, ndim), dtype, real->storage->device))) {
    return NULL;
  }
  LpTensor *pairs = lp_impl_view_as_real(out), *sources[2] = {real, imag};
  bool ok = pairs != NULL;
  for (int k = 0; k < 2 && ok; k++) {
    LpTensor *part = lp_impl_select(pairs, -1, k);
    ok = part && lp_copy_into(part, sources[k]);
    lp_tensor_release(part);
  }
  lp_tensor_release(pairs);
  if (ok) return out;
  lp_tensor_release(out);
  return NULL;
}
