/* Copies and fills: the fast paths (memcpy, blocked transpose), conversion, overlap; the
 * ops copy_, fill_, zero_, and the raw forms that other implementations call
 * (dispatch/shape.h). */
#include <string.h>
#include "core/move.h"
#include "core/parallel.h"
#include "cpu/copy.h"
#include "dispatch/layout.h"
#include "dispatch/reduce.h"
#include "dispatch/rows.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/ops.h"

#define TILE 64    /* rows and columns of a tile */
#define MIN_TILE 8 /* elements of the smallest tile */
#define COPY_GRAIN                                                                       \
  (1 << 18) /* bytes of memcpy below which a second thread does not pay */
#define CHECK_BYTES (1 << 24) /* bytes between two looks at the interrupt flag */

static bool fail_interrupt(void) {
  lp_interrupt_take();
  return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
}

static int log2_size(const LpTensor *t) {
  return __builtin_ctzll(lp_dtype_size((LpDtype)t->dtype));
}

static bool same_sizes(const LpTensor *a, const LpTensor *b) {
  return a->ndim == b->ndim &&
         memcmp(a->sizes, b->sizes, (size_t)a->ndim * sizeof *a->sizes) == 0;
}

static bool same_strides(const LpTensor *a, const LpTensor *b) {
  for (int i = 0; i < a->ndim; i++)
    if (a->sizes[i] != 1 && a->strides[i] != b->strides[i]) return false;
  return true;
}

/* --- memory blocks
 * ---------------------------------------------------------------------------- */

typedef struct Block {
  char *dst;
  const char *src; /* NULL: zeros */
  bool stopped;
} Block;

static void copy_block(void *ctx, int64_t begin, int64_t end) {
  Block *b = ctx;
  for (int64_t at = begin; at < end; at += CHECK_BYTES) {
    int64_t n = end - at < CHECK_BYTES ? end - at : CHECK_BYTES;
    if (b->src)
      lp_move(b->dst + at, b->src + at, (size_t)n);
    else
      memset(b->dst + at, 0, (size_t)n);
    if (lp_interrupt_pending()) {
      __atomic_store_n(&b->stopped, true, __ATOMIC_RELAXED);
      return;
    }
  }
}

/* src NULL: zeros. */
static bool copy_bytes(char *dst, const char *src, int64_t size_bytes) {
  if (size_bytes <= COPY_GRAIN) {
    if (src)
      lp_move(dst, src, (size_t)size_bytes);
    else
      memset(dst, 0, (size_t)size_bytes);
    return true;
  }
  Block b = {dst, src, false};
  lp_parallel_for(size_bytes, COPY_GRAIN, copy_block, &b);
  return !b.stopped || fail_interrupt();
}

/* --- overlap
 * ---------------------------------------------------------------------------------- */

/* May writing dst change what is still to be read from src? */
static bool may_overlap(const LpTensor *dst, const LpTensor *src) {
  if (dst->storage != src->storage) return false;
  int64_t a, b, size_a = (int64_t)lp_dtype_size((LpDtype)dst->dtype),
                size_b = (int64_t)lp_dtype_size((LpDtype)src->dtype);
  if (!lp_extent_of(lp_sizes(dst), lp_strides(dst), &a) ||
      !lp_extent_of(lp_sizes(src), lp_strides(src), &b))
    return true;
  int64_t begin_a = dst->offset_elems * size_a, begin_b = src->offset_elems * size_b;
  return begin_a < begin_b + b * size_b && begin_b < begin_a + a * size_a;
}

/* --- blocked transpose
 * ------------------------------------------------------------------------ */

/* A copy whose output runs along dim 0 of the iterator and whose input runs along dim
 * `along`. */
typedef struct Transpose {
  const LpIter *it;
  LpTransposeTile tile;
  int along, log_size;
  int64_t tiles0, tiles1; /* tiles along the two dims */
  bool stopped;
} Transpose;

static void transpose_tiles(void *ctx, int64_t begin, int64_t end) {
  Transpose *t = ctx;
  const LpIter *it = t->it;
  const int64_t rows = it->shape[0], columns = it->shape[t->along];
  const int64_t src_row = it->strides[1][0], dst_column = it->strides[0][t->along];
  int64_t index[LP_MAX_DIMS], shape[LP_MAX_DIMS], to[LP_MAX_DIMS], from[LP_MAX_DIMS];
  int64_t rest = begin;
  char *dst = it->data[0];
  const char *src = it->data[1];
  for (int d = 0; d < it->ndim; d++) {
    const int64_t step = d == 0 || d == t->along ? TILE : 1;
    shape[d] = d == 0 ? t->tiles0 : d == t->along ? t->tiles1 : it->shape[d];
    to[d] = step * it->strides[0][d];
    from[d] = step * it->strides[1][d];
    index[d] = rest % shape[d];
    rest /= shape[d];
    dst += index[d] * to[d];
    src += index[d] * from[d];
  }
  for (int64_t k = begin; k < end; k++) {
    if ((k & 15) == 0 && lp_interrupt_pending()) {
      __atomic_store_n(&t->stopped, true, __ATOMIC_RELAXED);
      return;
    }
    const int64_t m = rows - index[0] * TILE, n = columns - index[t->along] * TILE;
    t->tile(dst, dst_column >> t->log_size, src, src_row >> t->log_size,
            m < TILE ? m : TILE, n < TILE ? n : TILE);
    for (int d = 0; d < it->ndim; d++) {
      dst += to[d];
      src += from[d];
      if (++index[d] < shape[d]) break;
      dst -= shape[d] * to[d];
      src -= shape[d] * from[d];
      index[d] = 0;
    }
  }
}

/* Sets *done when the copy had this form and is made; false when interrupted. */
static bool try_transpose(LpIter *it, int log_size, bool *done) {
  int64_t size = (int64_t)1 << log_size;
  *done = false;
  if (it->ndim < 2 || it->strides[0][0] != size || it->strides[1][0] == size) return true;
  int along = 0;
  for (int d = 1; d < it->ndim; d++)
    if (it->strides[1][d] == size && it->shape[0] * it->shape[d] >= MIN_TILE) along = d;
  if (along == 0) return true;
  Transpose t = {.it = it,
                 .tile = lp_copy_kernels()->transpose[log_size],
                 .along = along,
                 .log_size = log_size};
  t.tiles0 = (it->shape[0] + TILE - 1) / TILE;
  t.tiles1 = (it->shape[along] + TILE - 1) / TILE;
  int64_t count = t.tiles0 * t.tiles1;
  for (int d = 1; d < it->ndim; d++)
    if (d != along) count *= it->shape[d];
  int64_t per_tile = it->numel / count;
  lp_parallel_for(count, LP_GRAIN / (per_tile + 1) + 1, transpose_tiles, &t);
  *done = true;
  return !t.stopped || fail_interrupt();
}

/* Short rows and elements that lie apart. Long rows are cut between threads by the
 * iterator. */
static bool move_rows(LpIter *it, int64_t size, bool *done) {
  const bool apart = it->ndim == 1;
  *done = apart ? it->strides[0][0] != size || it->strides[1][0] != size
                : it->shape[0] * size <= LP_SHORT_ROW_BYTES;
  if (!*done) return true;
  int64_t shape[2] = {1, it->shape[0]}, to[2] = {size, it->strides[0][0]},
          from[2] = {size, it->strides[1][0]};
  const LpMove move =
      apart ? (LpMove){2, size, shape, to, from}
            : (LpMove){it->ndim, size, it->shape, it->strides[0], it->strides[1]};
  return lp_move_all(&move, it->data[0], it->data[1]);
}

/* --- copy
 * -------------------------------------------------------------------------------------
 */

/* Same shape, no overlap. */
static bool copy_apart(LpTensor *dst, LpTensor *src) {
  const int64_t size_bytes = dst->numel * (int64_t)lp_dtype_size((LpDtype)dst->dtype);
  const bool one = lp_lies_channels_last(dst->storage),
             other = lp_lies_channels_last(src->storage);
  if (dst->dtype == src->dtype && lp_is_hidden(dst) && lp_is_hidden(src))
    return copy_bytes(lp_lying_room(dst->storage), lp_lying_data(src->storage), size_bytes);
  if (dst->dtype == src->dtype && !one && !other &&
      ((dst->is_contiguous && src->is_contiguous) ||
       (same_strides(dst, src) && lp_is_dense(dst))))
    return copy_bytes(lp_data(dst), lp_data(src), size_bytes);
  LpIter it;
  lp_iter_init(&it);
  it.no_resize = true;
  it.mixes_layouts = one || other;
  lp_iter_output(&it, dst);
  lp_iter_input(&it, src);
  bool done = false, ok = lp_iter_build(&it);
  if (ok && dst->dtype == src->dtype) ok = try_transpose(&it, log2_size(dst), &done);
  if (ok && !done && dst->dtype == src->dtype)
    ok = move_rows(&it, (int64_t)lp_dtype_size((LpDtype)dst->dtype), &done);
  if (ok && !done)
    ok = lp_iter_run_packed(&it, lp_cast_loop((LpDtype)dst->dtype, (LpDtype)src->dtype),
                            NULL, NULL);
  lp_iter_done(&it);
  return ok;
}

bool lp_copy_into(LpTensor *dst, LpTensor *src) {
  LpTensor *wider = NULL, *from = src;
  if (!same_sizes(dst, src)) TRY(from = wider = lp_expand_alias(src, lp_sizes(dst)));
  bool ok = true;
  if (dst->numel > 0) {
    if (!may_overlap(dst, from)) {
      ok = copy_apart(dst, from);
    } else if (!(dst->dtype == from->dtype && dst->offset_elems == from->offset_elems &&
                 same_strides(dst, from))) {
      LpTensor *temp =
          lp_tensor_new(lp_sizes(src), (LpDtype)src->dtype, src->storage->device);
      ok = temp && copy_apart(temp, src) && lp_copy_into(dst, temp);
      lp_tensor_release(temp);
    }
  }
  lp_tensor_release(wider);
  return ok;
}

LpTensor *lp_impl_copy(LpTensor *out, LpTensor *self, LpTensor *src, bool non_blocking) {
  TRY(lp_copy_into(out, src));
  return lp_tensor_retain(out);
}

/* --- fill
 * -------------------------------------------------------------------------------------
 */

static bool is_zero_bytes(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return false;
  return true;
}

bool lp_fill_into(LpTensor *dst, LpScalar value) {
  _Alignas(16) char element[16] = {0};
  size_t size = lp_dtype_size((LpDtype)dst->dtype);
  lp_scalar_store(value, (LpDtype)dst->dtype, element);
  if (dst->numel == 0) return true;
  if (dst->numel == 1) {
    memcpy(lp_data(dst), element, size);
    return true;
  }
  if (is_zero_bytes(element, size) && lp_is_dense(dst))
    return copy_bytes(lp_is_hidden(dst) ? lp_lying_room(dst->storage) : lp_data(dst), NULL,
                      dst->numel * (int64_t)size);
  LpIter it;
  lp_iter_init(&it);
  it.allow_overlap = it.no_resize = true; /* writing one value twice does no harm */
  lp_iter_output(&it, dst);
  bool ok =
      lp_iter_build(&it) &&
      lp_iter_run_packed(&it, lp_copy_kernels()->fill[log2_size(dst)], NULL, element);
  lp_iter_done(&it);
  return ok;
}

/* PyTorch refuses numbers that an integer dtype cannot hold, and complex ones in real
 * tensors. */
static bool check_fill(const LpTensor *self, LpScalar value) {
  CHECK(value.kind != LP_SCALAR_COMPLEX || value.v.c[1] == 0 ||
            lp_dtype_is_complex((LpDtype)self->dtype),
        LP_ERR_TYPE,
        "value %g%+gi cannot be converted to %s without losing its imaginary part",
        value.v.c[0], value.v.c[1], lp_dtype_name((LpDtype)self->dtype));
  return true;
}

/* out filled, retained; without one, a new tensor like self. */
static LpTensor *fill_out(LpTensor *out, LpTensor *self, LpScalar value) {
  out = out ? lp_tensor_retain(out) : lp_tensor_new_like(self, (LpDtype)self->dtype);
  if (out && !lp_fill_into(out, value)) {
    lp_tensor_release(out);
    return NULL;
  }
  return out;
}

LpTensor *lp_impl_fill(LpTensor *out, LpTensor *self, LpScalar value) {
  TRY(check_fill(self, value));
  return fill_out(out, self, value);
}

LpTensor *lp_impl_fill_tensor(LpTensor *out, LpTensor *self, LpTensor *value) {
  CHECK(value->ndim == 0, LP_ERR_ARGUMENT,
        "only supports 0-dimension value tensor but got tensor with %d dimensions (shape "
        "%s)",
        value->ndim, SHAPE_TEXT(value));
  LpScalar scalar;
  TRY(lp_item(value, &scalar));
  TRY(check_fill(self, scalar));
  return fill_out(out, self, scalar);
}

LpTensor *lp_impl_zero(LpTensor *out, LpTensor *self) {
  TRY(lp_fill_into(out, lp_scalar_int(0)));
  return lp_tensor_retain(out);
}

/* --- raw forms
 * -------------------------------------------------------------------------------- */

LpTensor *lp_new_zeros_raw(LpInts sizes, LpDtype dtype, LpDevice device) {
  LpTensor *t = lp_tensor_new(sizes, dtype, device);
  if (t && !lp_fill_into(t, lp_scalar_int(0))) {
    lp_tensor_release(t);
    return NULL;
  }
  return t;
}

static LpTensor *filled_from(LpTensor *owned, LpTensor *src) {
  if (owned && !lp_copy_into(owned, src)) {
    lp_tensor_release(owned);
    return NULL;
  }
  return owned;
}

LpTensor *lp_contiguous_raw(LpTensor *t) {
  if (t->is_contiguous) return lp_tensor_retain(t);
  return filled_from(lp_tensor_new(lp_sizes(t), (LpDtype)t->dtype, t->storage->device),
                     t);
}

LpTensor *lp_cast_raw(LpTensor *t, LpDtype dtype) {
  if (t->dtype == dtype) return lp_tensor_retain(t);
  return filled_from(lp_tensor_new_like(t, dtype), t);
}

/* --- clone, contiguous, conversions
 * ------------------------------------------------------------- */

LpTensor *lp_impl_clone(LpTensor *self, LpMemoryFormat memory_format) {
  return filled_from(lp_tensor_new_formed(self, (LpDtype)self->dtype,
                                          self->storage->device, memory_format),
                     self);
}

LpTensor *lp_composite_contiguous(LpTensor *self, LpMemoryFormat memory_format) {
  if (memory_format == LP_FORMAT_NONE) memory_format = LP_CONTIGUOUS;
  CHECK(memory_format != LP_PRESERVE, LP_ERR_ARGUMENT,
        "preserve_format is not an order of memory; use contiguous_format");
  if (lp_is_contiguous(self, memory_format)) return lp_tensor_retain(self);
  return lp_clone(self, memory_format);
}

LpTensor *lp_impl_to_copy(LpTensor *self, LpDtype dtype, LpDevice device,
                          LpMemoryFormat memory_format) {
  if (dtype == LP_DTYPE_NONE) dtype = (LpDtype)self->dtype;
  if (device.type == LP_DEVICE_NONE) device = self->storage->device;
  TRY(lp_check_device(device));
  return filled_from(lp_tensor_new_formed(self, dtype, device, memory_format), self);
}

/* self where nothing changes, else a converted copy. */
static LpTensor *convert(LpTensor *self, LpDtype dtype, LpDevice device, bool copy,
                         LpMemoryFormat format) {
  bool same =
      (dtype == LP_DTYPE_NONE || dtype == (LpDtype)self->dtype) &&
      (device.type == LP_DEVICE_NONE || (device.type == self->storage->device.type &&
                                         device.index == self->storage->device.index)) &&
      (format == LP_FORMAT_NONE || format == LP_PRESERVE ||
       lp_is_contiguous(self, format));
  if (same && !copy) return lp_tensor_retain(self);
  return lp_to_copy(self, dtype, device, format);
}

static LpTensor *convert_dtype(LpTensor *self, LpDtype dtype, LpMemoryFormat format) {
  return convert(self, dtype, (LpDevice){LP_DEVICE_NONE, 0}, false, format);
}

LpTensor *lp_composite_to_dtype(LpTensor *self, LpDtype dtype, bool non_blocking,
                                bool copy, LpMemoryFormat memory_format) {
  return convert(self, dtype, (LpDevice){LP_DEVICE_NONE, 0}, copy, memory_format);
}

LpTensor *lp_composite_to_device(LpTensor *self, LpDevice device, LpDtype dtype,
                                 bool non_blocking, bool copy,
                                 LpMemoryFormat memory_format) {
  return convert(self, dtype, device, copy, memory_format);
}

LpTensor *lp_composite_to_other(LpTensor *self, LpTensor *other, bool non_blocking,
                                bool copy, LpMemoryFormat memory_format) {
  return convert(self, (LpDtype)other->dtype, other->storage->device, copy,
                 memory_format);
}

LpTensor *lp_composite_type_as(LpTensor *self, LpTensor *other) {
  return convert(self, (LpDtype)other->dtype, other->storage->device, false,
                 LP_FORMAT_NONE);
}

LpTensor *lp_composite_float(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_FLOAT32, format);
}
LpTensor *lp_composite_double(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_FLOAT64, format);
}
LpTensor *lp_composite_half(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_FLOAT16, format);
}
LpTensor *lp_composite_bfloat16(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_BFLOAT16, format);
}
LpTensor *lp_composite_int(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_INT32, format);
}
LpTensor *lp_composite_long(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_INT64, format);
}
LpTensor *lp_composite_short(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_INT16, format);
}
LpTensor *lp_composite_char(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_INT8, format);
}
LpTensor *lp_composite_byte(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_UINT8, format);
}
LpTensor *lp_composite_bool(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_BOOL, format);
}
LpTensor *lp_composite_cfloat(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_COMPLEX64, format);
}
LpTensor *lp_composite_cdouble(LpTensor *self, LpMemoryFormat format) {
  return convert_dtype(self, LP_COMPLEX128, format);
}

/* --- resize
 * ----------------------------------------------------------------------------------- */

LpTensor *lp_impl_resize(LpTensor *out, LpTensor *self, LpInts size,
                         LpMemoryFormat memory_format) {
  CHECK(memory_format != LP_PRESERVE, LP_ERR_ARGUMENT,
        "preserve_format is not an order of memory; use contiguous_format");
  TRY(lp_tensor_resize_out(out, size));
  if (memory_format == LP_CHANNELS_LAST || memory_format == LP_CHANNELS_LAST_3D) {
    int64_t strides[5], want = memory_format == LP_CHANNELS_LAST ? 4 : 5;
    CHECK(size.count == want, LP_ERR_ARGUMENT,
          "memory_format channels_last%s needs %lld dims, got size %s",
          want == 5 ? "_3d" : "", (long long)want,
          lp_format_ints(size, (char[256]){0}, 256));
    lp_channels_last_strides(size, strides);
    /* With the size that it had, an expanded tensor has less memory than its elements
     * take one by one. */
    CHECK(out->numel < INT64_C(1) << 56 && out->offset_elems < INT64_C(1) << 56,
          LP_ERR_MEMORY, "size %s has more elements than memory can hold",
          lp_format_ints(size, (char[256]){0}, 256));
    TRY(lp_storage_grow(out->storage, (size_t)(out->offset_elems + out->numel) *
                                          lp_dtype_size((LpDtype)out->dtype)));
    TRY(lp_tensor_set_geometry(out, size, lp_ints(strides, want), out->offset_elems));
  }
  return lp_tensor_retain(out);
}

LpTensor *lp_impl_set(LpTensor *out, LpTensor *self, LpTensor *source) {
  CHECK(out->dtype == source->dtype, LP_ERR_TYPE,
        "source must have self's dtype %s, got %s", lp_dtype_name((LpDtype)out->dtype),
        lp_dtype_name((LpDtype)source->dtype));
  TRY(lp_tensor_set_geometry(out, lp_sizes(source), lp_strides(source),
                             source->offset_elems));
  LpStorage *old = out->storage;
  out->storage = lp_storage_retain(source->storage);
  lp_storage_release(old);
  return lp_tensor_retain(out);
}

LpTensor *lp_impl_set_geometry(LpTensor *out, LpTensor *self, LpTensor *source,
                               int64_t storage_offset, LpInts size, LpInts stride) {
  int64_t row_major[LP_MAX_DIMS];
  CHECK(size.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "a tensor has at most %d dims",
        LP_MAX_DIMS);
  if (stride.count == 0) {
    lp_contiguous_strides(size, row_major);
    stride = lp_ints(row_major, size.count);
  }
  LpTensor *part = lp_impl_as_strided(source, size, stride,
                                      (LpOptInt){.has = true, .value = storage_offset});
  LpTensor *result = part ? lp_impl_set(out, self, part) : NULL;
  lp_tensor_release(part);
  return result;
}

/* self's memory from its start to its last element, copied as it lies. */
LpTensor *lp_impl_as_strided_scatter(LpTensor *out, LpTensor *self, LpTensor *src,
                                     LpInts size, LpInts stride,
                                     LpOptInt storage_offset) {
  int64_t extent, one = 1;
  TRY(lp_extent_of(lp_sizes(self), lp_strides(self), &extent));
  int64_t length = extent ? self->offset_elems + extent : 0;
  LpTensor *old = lp_tensor_alias(self, lp_ints(&length, 1), lp_ints(&one, 1), 0);
  LpTensor *memory = old ? lp_tensor_new(lp_ints(&length, 1), (LpDtype)self->dtype,
                                         self->storage->device)
                         : NULL;
  LpTensor *result = NULL, *part = NULL;
  if (memory && lp_copy_into(memory, old))
    result = lp_tensor_alias(memory, lp_sizes(self), lp_strides(self),
                             extent ? self->offset_elems : 0);
  if (result) part = lp_impl_as_strided(result, size, stride, storage_offset);
  bool ok = part != NULL;
  if (ok && !same_sizes(part, src))
    ok = lp_fail(LP_ERR_ARGUMENT, "src must have the shape %s of the part, got %s",
                 SHAPE_TEXT(part), SHAPE_TEXT(src));
  ok = ok && lp_copy_into(part, src);
  if (!ok) lp_drop(&result);
  lp_tensor_release(part);
  lp_tensor_release(memory);
  lp_tensor_release(old);
  return lp_give(out, result);
}

bool lp_impl_is_same_size(LpTensor *self, LpTensor *other, bool *result) {
  *result = same_sizes(self, other);
  return true;
}

LpTensor *lp_impl_resize_as(LpTensor *out, LpTensor *self, LpTensor *the_template,
                            LpMemoryFormat memory_format) {
  return lp_impl_resize(out, self, lp_sizes(the_template), memory_format);
}
