/* Index tuples (x[i, :, mask] with tensors), flat indices (take, put) and what indexing shares.
 *
 * Note [Index tuples]: boolean masks become the columns of their nonzero positions, or, where the dims they
 * cover are steps of one walk through memory, one column of places in that walk; the index tensors are
 * broadcast to one shape B. If the indexed dims are neighbours, B takes their place, else B comes first. The
 * indices become one table of byte offsets, so that the walk (cpu/index.c) only sees blocks. */
#include "dispatch/index.h"

#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/tasks.h"
#include "dispatch/iter.h"
#include "dispatch/reduce.h"
#include "impl.h"

/* --- offsets --------------------------------------------------------------------------------------- */

typedef struct Offsets {
  const int64_t *index;
  int64_t size, scale;
  int64_t *offsets;
  _Atomic int64_t bad_at; /* position of an index out of range, or -1 */
} Offsets;

static void add_offsets(void *ctx, int64_t begin, int64_t end) {
  Offsets *o = ctx;
  const int64_t *index = o->index;
  if (LP_LIKELY(lp_index_table()->add_offsets(o->offsets + begin, index + begin, end - begin, o->size, o->scale))) return;
  while (index[begin] >= -o->size && index[begin] < o->size) begin++;
  int64_t seen = -1;
  atomic_compare_exchange_strong(&o->bad_at, &seen, begin);
}

static bool out_of_bounds(int64_t index, int64_t dim, int64_t size) {
  return lp_fail(LP_ERR_INDEX, "index %lld is out of bounds for dimension %lld with size %lld",
                 (long long)index, (long long)dim, (long long)size);
}

bool lp_add_offsets(const LpTensor *index, int64_t size, int64_t scale, int64_t dim, int64_t *offsets) {
  Offsets o = {.index = lp_data(index), .size = size, .scale = scale, .offsets = offsets, .bad_at = -1};
  lp_parallel_for(lp_numel(index), LP_GRAIN, add_offsets, &o);
  return o.bad_at < 0 || out_of_bounds(o.index[o.bad_at], dim, size);
}

typedef struct RangeCheck {
  const int64_t *index;
  int64_t size;
  _Atomic bool failed;
} RangeCheck;

static void check_range(void *ctx, int64_t begin, int64_t end) {
  RangeCheck *c = ctx;
  if (!lp_index_table()->in_range(c->index + begin, 1, end - begin, c->size))
    atomic_store_explicit(&c->failed, true, memory_order_relaxed);
}

/* The index without the dims along which it was expanded. */
static LpTensor *unexpanded(LpTensor *index) {
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], n = 0;
  for (int64_t d = 0; d < lp_ndim(index); d++) {
    if (lp_stride(index, d) == 0) continue;
    sizes[n] = lp_size(index, d);
    strides[n++] = lp_stride(index, d);
  }
  if (n == lp_ndim(index)) return lp_tensor_retain(index);
  return lp_tensor_alias(index, lp_ints(sizes, n), lp_ints(strides, n), index->offset_elems);
}

static bool check_index_range(LpTensor *index, int64_t size, int64_t dim) {
  if (index->is_contiguous && lp_dtype(index) == LP_INT64) {
    RangeCheck c = {.index = lp_data(index), .size = size};
    lp_parallel_for(lp_numel(index), LP_GRAIN, check_range, &c);
    if (!c.failed) return true;
  }
  /* The message names the smallest when it is negative, else the largest. */
  int64_t ends[2];
  for (int i = 0; i < 2; i++) {
    LpReduceDims d;
    LpReduction r = {i ? LP_REDUCE_MAX : LP_REDUCE_MIN, LP_AS_I64};
    TRY(lp_reduce_dims(index, lp_ints_none(), false, &d));
    LpTensor *out = lp_reduce_output(index, &d, LP_INT64);
    bool ok = out && lp_reduce_run(&r, index, &d, out);
    if (ok) ends[i] = *(int64_t *)lp_data(out);
    lp_tensor_release(out);
    TRY(ok);
  }
  if (ends[0] < 0) return out_of_bounds(ends[0], dim, size);
  return ends[1] < size || out_of_bounds(ends[1], dim, size);
}

bool lp_check_index_range(LpTensor *index, int64_t size, int64_t dim) {
  if (lp_numel(index) == 0) return true;
  LpTensor *once = unexpanded(index);
  const bool ok = once && check_index_range(once, size, dim);
  lp_tensor_release(once);
  return ok;
}

LpTensor *lp_index_tensor(LpTensor *index, const char *name) {
  LpDtype dtype = lp_dtype(index);
  CHECK(dtype == LP_INT64 || dtype == LP_INT32, LP_ERR_TYPE, "%s must be int64 or int32, got %s", name,
        lp_dtype_name(dtype));
  return lp_dense(index, LP_INT64);
}

bool lp_check_same_dtype(LpTensor *self, LpTensor *other, const char *name) {
  CHECK(lp_dtype(self) == lp_dtype(other), LP_ERR_TYPE, "%s must have self's dtype %s, got %s", name,
        lp_dtype_name(lp_dtype(self)), lp_dtype_name(lp_dtype(other)));
  return true;
}

bool lp_check_single(const LpTensor *written) {
  for (int64_t d = 0; written && d < lp_ndim(written) && lp_numel(written); d++)
    CHECK(lp_stride(written, d) != 0 || lp_size(written, d) == 1, LP_ERR_ARGUMENT,
          "unsupported operation: more than one element of the written-to tensor (shape %s) refers to a single "
          "memory location. Please clone() the tensor before performing the operation",
          SHAPE_TEXT(written));
  return true;
}

LpTensor *lp_apart(const LpTensor *written, LpTensor *read, const char *name) {
  if (!written || !lp_is_same_storage(written, read) || !lp_numel(read) || !lp_numel(written))
    return lp_tensor_retain(read);
  const char *a = lp_data(written), *b = lp_data(read);
  const bool sure = lp_is_dense(written) && lp_is_dense(read) &&
                    a < b + lp_numel(read) * (int64_t)lp_dtype_size(lp_dtype(read)) &&
                    b < a + lp_numel(written) * (int64_t)lp_dtype_size(lp_dtype(written));
  CHECK(!sure, LP_ERR_ARGUMENT,
        "unsupported operation: some elements of %s and the written-to tensor refer to a single memory location. "
        "Please clone() the tensor before performing the operation",
        name);
  LpTensor *copy = lp_tensor_new(lp_sizes(read), lp_dtype(read), lp_device(read));
  if (!copy || lp_copy_values(copy, read)) return copy;
  lp_tensor_release(copy);
  return NULL;
}

LpTensor *lp_begin_write(LpTensor *out, LpTensor *self) {
  if (out == self) return lp_tensor_retain(out);
  if (out) {
    CHECK(lp_dtype(out) == lp_dtype(self), LP_ERR_TYPE, "out must have self's dtype %s, got %s",
          lp_dtype_name(lp_dtype(self)), lp_dtype_name(lp_dtype(out)));
    TRY(lp_tensor_resize_out(out, lp_sizes(self)));
    TRY(lp_copy_values(out, self));
    return lp_tensor_retain(out);
  }
  LpTensor *copy = lp_tensor_new_like(self, lp_dtype(self));
  if (!copy || lp_copy_values(copy, self)) return copy;
  lp_tensor_release(copy);
  return NULL;
}

/* --- index tuples ------------------------------------------------------------------------------------ */

typedef struct TuplePlan {
  LpTensor *index[LP_MAX_DIMS]; /* dense int64 of shape B; NULL: the whole dim */
  int64_t reach[LP_MAX_DIMS], unit[LP_MAX_DIMS]; /* what index[d] runs through: its length, and the elements of
                                                    self from one to the next */
  bool joined[LP_MAX_DIMS]; /* the index of a dim before names dim d's positions, too */
  bool distinct;            /* no position comes twice */
  int64_t b_ndim, b_sizes[LP_MAX_DIMS], k;
  int64_t first;   /* dims of the result before B */
  bool adjacent;
  int64_t ndim, sizes[LP_MAX_DIMS]; /* the result */
  int64_t *offsets;
  size_t offsets_bytes;
} TuplePlan;

static void free_plan(TuplePlan *p) {
  for (int d = 0; d < LP_MAX_DIMS; d++) lp_tensor_release(p->index[d]);
  lp_free(p->offsets, p->offsets_bytes);
}

/* The step of the walk that the n dims of t from `dim` on are, in elements; -1 when they are none of equal
 * steps, or of one element. */
static int64_t walk_step(const LpTensor *t, int64_t dim, int64_t n) {
  int64_t step = -1, next = -1;
  for (int64_t d = dim + n - 1; d >= dim; d--) {
    const int64_t stride = lp_stride(t, d);
    if (lp_size(t, d) == 1) continue;
    if (step < 0) step = stride;
    else if (stride != next) return -1;
    next = stride * lp_size(t, d);
  }
  return step;
}

/* A mask over the dims of self from `dim` on. */
static bool expand_mask(LpTensor *self, LpTensor *mask, int64_t dim, TuplePlan *p) {
  const int64_t n = lp_ndim(mask), ndim = lp_ndim(self);
  for (int64_t d = 0; d < n; d++) {
    CHECK(dim + d < ndim && lp_size(mask, d) == lp_size(self, dim + d), LP_ERR_INDEX,
          "the shape of the mask %s at index %lld does not match the shape of the indexed tensor %s at index %lld",
          SHAPE_TEXT(mask), (long long)d, SHAPE_TEXT(self), (long long)(dim + d));
  }
  const int64_t step = walk_step(self, dim, n);
  if (step < 0) return lp_true_columns(mask, &p->index[dim]);
  TRY(p->index[dim] = lp_true_places(mask));
  p->unit[dim] = step;
  p->reach[dim] = lp_numel(mask);
  for (int64_t d = dim + 1; d < dim + n; d++) {
    p->index[d] = lp_tensor_retain(p->index[dim]);
    p->joined[d] = true;
  }
  return true;
}

/* Masks to columns, integers to int64; fills index[] with tensors of various shapes. */
static bool expand_indices(LpTensor *self, LpTensors indices, TuplePlan *p) {
  int64_t dim = 0, ndim = lp_ndim(self), masks = 0, others = 0;
  for (int64_t d = 0; d < ndim; d++) {
    p->reach[d] = lp_size(self, d);
    p->unit[d] = lp_stride(self, d);
  }
  for (int64_t i = 0; i < indices.count; i++) {
    LpTensor *t = indices.data[i];
    if (!t) {
      dim++;
      continue;
    }
    LpDtype dtype = lp_dtype(t);
    if (dtype != LP_BOOL && dtype != LP_UINT8) {
      CHECK(lp_dtype_is_integral(dtype, false), LP_ERR_INDEX,
            "tensors used as indices must be integers or bool, got %s", lp_dtype_name(dtype));
      if (dim < ndim) TRY(p->index[dim] = lp_dense(t, LP_INT64));
      dim++;
      others++;
      continue;
    }
    TRY(expand_mask(self, t, dim, p));
    dim += lp_ndim(t);
    masks++;
  }
  CHECK(dim <= ndim, LP_ERR_INDEX, "too many indices for tensor of dimension %lld: got %lld",
        (long long)ndim, (long long)dim);
  p->distinct = masks == 1 && others == 0 && lp_is_dense(self);
  return true;
}

/* Broadcasts index[] to one shape, densely. */
static bool broadcast_indices(TuplePlan *p, int64_t ndim) {
  LpInts shapes[LP_MAX_DIMS];
  int n = 0;
  for (int64_t d = 0; d < ndim; d++)
    if (p->index[d]) shapes[n++] = lp_sizes(p->index[d]);
  if (n && !lp_broadcast_shapes(shapes, n, p->b_sizes, &p->b_ndim)) {
    lp_fail_prefix("the index tensors do not fit together: ");
    return false;
  }
  TRY(lp_numel_of(lp_ints(p->b_sizes, p->b_ndim), &p->k));
  for (int64_t d = 0; d < ndim; d++) {
    LpTensor *t = p->index[d];
    if (!t || (lp_ndim(t) == p->b_ndim && lp_numel(t) == p->k)) continue;
    LpTensor *full = lp_tensor_new(lp_ints(p->b_sizes, p->b_ndim), LP_INT64, lp_device(t));
    if (!full || !lp_copy_values(full, t)) {
      lp_tensor_release(full);
      return false;
    }
    lp_tensor_release(t);
    p->index[d] = full;
  }
  return true;
}

static bool make_plan(LpTensor *self, LpTensors indices, TuplePlan *p) {
  int64_t ndim = lp_ndim(self), elem = (int64_t)lp_dtype_size(lp_dtype(self));
  memset(p, 0, sizeof *p);
  TRY(expand_indices(self, indices, p));
  TRY(broadcast_indices(p, ndim));
  int64_t first = -1, last = -1, count = 0;
  for (int64_t d = 0; d < ndim; d++) {
    if (!p->index[d]) continue;
    if (first < 0) first = d;
    last = d;
    count++;
  }
  p->adjacent = count == 0 || last - first + 1 == count;
  p->first = p->adjacent && count ? first : 0;
  for (int64_t d = 0; d < p->first; d++) p->sizes[p->ndim++] = lp_size(self, d);
  CHECK(p->first + p->b_ndim + ndim - count <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "the result has more than %d dims",
        LP_MAX_DIMS);
  for (int64_t d = 0; d < p->b_ndim; d++) p->sizes[p->ndim++] = p->b_sizes[d];
  for (int64_t d = p->first; d < ndim; d++)
    if (!p->index[d]) p->sizes[p->ndim++] = lp_size(self, d);
  int64_t numel;
  TRY(lp_numel_of(lp_ints(p->sizes, p->ndim), &numel));
  p->offsets_bytes = (size_t)(p->k ? p->k : 1) * sizeof(int64_t);
  TRY(p->offsets = lp_calloc(p->offsets_bytes));
  for (int64_t d = 0; d < ndim; d++) {
    if (p->index[d] && !p->joined[d])
      TRY(lp_add_offsets(p->index[d], p->reach[d], p->unit[d] * elem, d, p->offsets));
  }
  return true;
}

/* The walk between t (self's geometry) and a tensor of the result's shape and linear B dims. */
static void make_blocks(const TuplePlan *p, const LpTensor *t, const LpTensor *v, LpIndexBlocks *b) {
  int64_t elem = (int64_t)lp_dtype_size(lp_dtype(t)), at = 0;
  b->t = lp_data(t);
  b->v = lp_data(v);
  b->n_before = b->n_after = 0;
  b->elem_bytes = elem;
  b->k = p->k;
  b->offsets = p->offsets;
  for (int64_t d = 0; d < p->first; d++, at++)
    b->before[b->n_before++] = (LpIndexDim){lp_size(t, d), lp_stride(t, d) * elem, lp_stride(v, at) * elem};
  b->v_k_stride = 0;
  for (int64_t d = 0; d < p->b_ndim; d++, at++)
    if (lp_size(v, at) > 1) b->v_k_stride = lp_stride(v, at) * elem; /* the last one's */
  for (int64_t d = p->first; d < lp_ndim(t); d++) {
    if (p->index[d]) continue;
    b->after[b->n_after++] = (LpIndexDim){lp_size(t, d), lp_stride(t, d) * elem, lp_stride(v, at) * elem};
    at++;
  }
}

LpTensor *lp_impl_index(LpTensor *self, LpTensors indices) {
  TuplePlan p;
  LpTensor *out = NULL;
  LpIndexBlocks b = {.kernel = lp_index_table()->get[lp_size_class((int64_t)lp_dtype_size(lp_dtype(self)))], .scale = 1};
  if (make_plan(self, indices, &p) && (out = lp_tensor_new(lp_ints(p.sizes, p.ndim), lp_dtype(self), lp_device(self)))) {
    make_blocks(&p, self, out, &b);
    if (!lp_index_blocks_run(&b)) {
      lp_tensor_release(out);
      out = NULL;
    }
  }
  free_plan(&p);
  return out;
}

/* Values as a tensor of the plan's shape whose B dims are linear: a broadcast alias of one element, the
 * tensor itself, or a copy. */
static LpTensor *spread_values(const TuplePlan *p, LpTensor *self, LpTensor *values) {
  LpInts shape = lp_ints(p->sizes, p->ndim);
  int64_t full[LP_MAX_DIMS], full_ndim;
  bool fits = lp_broadcast_shapes((LpInts[]){shape, lp_sizes(values)}, 2, full, &full_ndim) &&
              full_ndim == p->ndim && !memcmp(full, p->sizes, (size_t)full_ndim * sizeof *full);
  CHECK(fits, LP_ERR_INDEX,
        "shape mismatch: value tensor of shape %s cannot be broadcast to indexing result of shape %s",
        SHAPE_TEXT(values), lp_format_ints(shape, (char[256]){0}, 256));
  LpTensor *cast = lp_dense(values, lp_dtype(self));
  if (!cast) return NULL;
  LpTensor *result = NULL;
  if (lp_numel(cast) == 1) {
    int64_t zeros[LP_MAX_DIMS] = {0};
    result = lp_tensor_alias(cast, shape, lp_ints(zeros, p->ndim), cast->offset_elems);
  } else if (lp_ndim(cast) == p->ndim && lp_numel(cast) == lp_numel(values) &&
             !memcmp(cast->sizes, p->sizes, (size_t)p->ndim * sizeof *full)) {
    return cast;
  } else if ((result = lp_tensor_new(shape, lp_dtype(self), lp_device(self))) && !lp_copy_values(result, cast)) {
    lp_tensor_release(result);
    result = NULL;
  }
  lp_tensor_release(cast);
  return result;
}

LpTensor *lp_impl_index_put(LpTensor *out, LpTensor *self, LpTensors indices, LpTensor *values, bool accumulate) {
  LpDtype dtype = lp_dtype(self);
  CHECK(dtype == lp_dtype(values) || (values->flags & LP_FLAG_WRAPPED_NUMBER), LP_ERR_TYPE,
        "index put requires the source and destination dtypes match, got %s for the destination and %s for the source",
        lp_dtype_name(dtype), lp_dtype_name(lp_dtype(values)));
  LpTensor *result = lp_begin_write(out, self);
  if (!result) return NULL;
  TuplePlan p;
  LpTensor *v = NULL;
  const LpIndexTable *table = lp_index_table();
  LpIndexBlocks b = {.scale = 1};
  b.kernel = accumulate ? table->add[dtype] : table->put[lp_size_class((int64_t)lp_dtype_size(dtype))];
  bool ok = make_plan(result, indices, &p) && (v = spread_values(&p, self, values));
  if (ok) {
    make_blocks(&p, result, v, &b);
    b.ordered = !p.distinct;
    ok = lp_index_blocks_run(&b);
  }
  lp_tensor_release(v);
  free_plan(&p);
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}

/* --- flat indices ------------------------------------------------------------------------------------ */

/* Byte offsets of flat (row-major) positions in a tensor of any strides; owned, lp_numel(index) entries. */
static int64_t *flat_offsets(LpTensor *t, LpTensor *index, size_t *bytes) {
  int64_t n = lp_numel(index), elem = (int64_t)lp_dtype_size(lp_dtype(t));
  *bytes = (size_t)(n ? n : 1) * sizeof(int64_t);
  int64_t *offsets = lp_calloc(*bytes);
  if (!offsets) return NULL;
  const bool plain = t->is_contiguous;
  if (!lp_add_offsets(index, lp_numel(t), plain ? elem : 1, 0, offsets)) {
    lp_free(offsets, *bytes);
    return NULL;
  }
  for (int64_t i = 0; i < n && !plain; i++) {
    int64_t rest = offsets[i], at = 0;
    for (int64_t d = lp_ndim(t) - 1; d >= 0; d--) {
      at += rest % lp_size(t, d) * lp_stride(t, d);
      rest /= lp_size(t, d);
    }
    offsets[i] = at * elem;
  }
  return offsets;
}

static bool flat_run(LpTensor *t, LpTensor *index, char *v, int64_t v_stride, LpIndexKernel kernel, bool ordered) {
  size_t bytes;
  int64_t *offsets = flat_offsets(t, index, &bytes);
  if (!offsets) return false;
  LpIndexBlocks b = {.kernel = kernel, .ordered = ordered, .t = lp_data(t), .v = v, .k = lp_numel(index),
                     .elem_bytes = (int64_t)lp_dtype_size(lp_dtype(t)), .v_k_stride = v_stride, .offsets = offsets,
                     .scale = 1};
  bool ok = lp_index_blocks_run(&b);
  lp_free(offsets, bytes);
  return ok;
}

#define TAKE_PIECE 16384
#define TAKE_CHUNK 512

typedef struct Take {
  char *from, *to;
  const int64_t *index;
  int64_t n, size, elem;
  LpIndexKernel get;
  atomic_bool out_of_range;
} Take;

static void take_piece(void *ctx, int64_t piece) {
  Take *t = ctx;
  int64_t places[TAKE_CHUNK];
  const int64_t first = piece * TAKE_PIECE, end = t->n - first < TAKE_PIECE ? t->n : first + TAKE_PIECE;
  for (int64_t i = first, n; i < end; i += n) {
    n = end - i < TAKE_CHUNK ? end - i : TAKE_CHUNK;
    memset(places, 0, (size_t)n * sizeof *places);
    if (!lp_index_table()->add_offsets(places, t->index + i, n, t->size, 1)) {
      atomic_store_explicit(&t->out_of_range, true, memory_order_relaxed);
      return;
    }
    t->get(&(LpIndexRow){.t = t->from, .idx = places, .idx_step = 1, .scale = t->elem, .v = t->to + i * t->elem,
                         .v_step = t->elem, .n = n});
  }
}

/* Elements of dense memory need no list of all their places. */
static bool take_dense(LpTensor *self, LpTensor *index, LpTensor *result) {
  const int64_t elem = (int64_t)lp_dtype_size(lp_dtype(self));
  Take t = {.from = lp_data(self), .to = lp_data(result), .index = lp_data(index), .n = lp_numel(index),
            .size = lp_numel(self), .elem = elem, .get = lp_index_table()->get[lp_size_class(elem)]};
  TRY(lp_run_tasks(lp_ratio_up(t.n, TAKE_PIECE), TAKE_PIECE, take_piece, &t));
  return !t.out_of_range || flat_run(self, index, t.to, elem, t.get, false); /* which says what is wrong */
}

LpTensor *lp_impl_take(LpTensor *out, LpTensor *self, LpTensor *index) {
  CHECK(lp_dtype(index) == LP_INT64, LP_ERR_TYPE, "index must be int64, got %s", lp_dtype_name(lp_dtype(index)));
  CHECK(lp_numel(self) > 0 || lp_numel(index) == 0, LP_ERR_INDEX, "cannot take elements of an empty tensor (shape %s)",
        SHAPE_TEXT(self));
  LpTensor *dense = lp_dense(index, LP_INT64), *result = NULL;
  int64_t elem = (int64_t)lp_dtype_size(lp_dtype(self));
  if (dense && (result = lp_tensor_new(lp_sizes(index), lp_dtype(self), lp_device(self))) &&
      !(self->is_contiguous ? take_dense(self, dense, result)
                            : flat_run(self, dense, lp_data(result), elem, lp_index_table()->get[lp_size_class(elem)],
                                       false))) {
    lp_tensor_release(result);
    result = NULL;
  }
  lp_tensor_release(dense);
  return lp_give(out, result);
}

static LpTensor *put(LpTensor *out, LpTensor *self, LpTensor *index, LpTensor *source, bool accumulate,
                     bool distinct) {
  LpDtype dtype = lp_dtype(self);
  CHECK(lp_dtype(index) == LP_INT64, LP_ERR_TYPE, "index must be int64, got %s", lp_dtype_name(lp_dtype(index)));
  TRY(lp_check_same_dtype(self, source, "source"));
  CHECK(lp_numel(index) == lp_numel(source), LP_ERR_ARGUMENT,
        "source must have as many elements as index (%lld), got %lld", (long long)lp_numel(index),
        (long long)lp_numel(source));
  CHECK(lp_numel(self) > 0 || lp_numel(index) == 0, LP_ERR_INDEX, "cannot put elements into an empty tensor (shape %s)",
        SHAPE_TEXT(self));
  TRY(lp_check_single(out));
  LpTensor *own_index = lp_apart(out, index, "index"), *own_source = own_index ? lp_apart(out, source, "source") : NULL;
  LpTensor *at = own_source ? lp_dense(own_index, LP_INT64) : NULL, *v = at ? lp_dense(own_source, dtype) : NULL;
  LpTensor *result = NULL;
  lp_tensor_release(own_index);
  lp_tensor_release(own_source);
  int64_t elem = (int64_t)lp_dtype_size(dtype);
  const LpIndexTable *table = lp_index_table();
  LpIndexKernel kernel = accumulate ? table->add[dtype] : table->put[lp_size_class(elem)];
  if (at && v && (result = lp_begin_write(out, self)) &&
      !flat_run(result, at, lp_data(v), elem, kernel, !distinct || !lp_is_dense(result))) {
    lp_tensor_release(result);
    result = NULL;
  }
  lp_tensor_release(at);
  lp_tensor_release(v);
  return result;
}

LpTensor *lp_impl_put(LpTensor *out, LpTensor *self, LpTensor *index, LpTensor *source, bool accumulate) {
  return put(out, self, index, source, accumulate, false);
}

LpTensor *lp_put_distinct(LpTensor *out, LpTensor *self, LpTensor *index, LpTensor *source) {
  return put(out, self, index, source, false, true);
}
