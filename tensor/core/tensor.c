/* Storages and tensor headers: life, geometry, metadata (core/tensor.h, lampad/tensor.h).
 * Knows nothing of kernels; of autograd only that a tensor's history must be freed with
 * it. */
#include "core/tensor.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "core/alloc.h"
#include "core/float8.h"

/* --- shapes
 * --------------------------------------------------------------------------------- */

const char *lp_format_ints(LpInts ints, char *buf, size_t buf_bytes) {
  if (buf_bytes == 0) return buf;
  size_t used = (size_t)snprintf(buf, buf_bytes, "[");
  for (int64_t i = 0; i < ints.count && used < buf_bytes; i++)
    used += (size_t)snprintf(buf + used, buf_bytes - used, i ? ", %lld" : "%lld",
                             (long long)ints.data[i]);
  if (used < buf_bytes) snprintf(buf + used, buf_bytes - used, "]");
  return buf;
}
#define INTS_TEXT(ints) lp_format_ints(ints, (char[256]){0}, 256)

bool lp_wrap_dim(int64_t dim, int64_t ndim, int64_t *result) {
  int64_t range = ndim > 0 ? ndim : 1;
  CHECK(dim >= -range && dim < range, LP_ERR_INDEX,
        "dim is out of range (expected to be in [%lld, %lld], but got %lld)",
        (long long)-range, (long long)(range - 1), (long long)dim);
  *result = dim < 0 ? dim + range : dim;
  return true;
}

bool lp_numel_of(LpInts sizes, int64_t *result) {
  CHECK(sizes.count >= 0 && sizes.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "a tensor has at most %d dims, got %lld", LP_MAX_DIMS, (long long)sizes.count);
  int64_t n = 1;
  bool overflow = false, empty = false;
  for (int64_t i = 0; i < sizes.count; i++) {
    CHECK(sizes.data[i] >= 0, LP_ERR_ARGUMENT, "sizes must not be negative, got %s",
          INTS_TEXT(sizes));
    if (sizes.data[i] == 0)
      empty = true;
    else
      overflow |= __builtin_mul_overflow(n, sizes.data[i], &n);
  }
  CHECK(empty || !overflow, LP_ERR_MEMORY,
        "sizes %s have more elements than can be counted", INTS_TEXT(sizes));
  *result = empty ? 0 : n;
  return true;
}

void lp_contiguous_strides(LpInts sizes, int64_t *strides) {
  int64_t step = 1;
  for (int64_t i = sizes.count - 1; i >= 0; i--) {
    strides[i] = step;
    /* An empty dim counts as 1; the product of the others may overflow then, harmlessly.
     */
    step = (int64_t)((uint64_t)step * (uint64_t)(sizes.data[i] > 1 ? sizes.data[i] : 1));
  }
}

void lp_channels_last_strides(LpInts sizes, int64_t *strides) {
  int64_t step = 1, n = sizes.count;
  for (int64_t k = 0; k < n; k++) {
    int64_t i = k == 0       ? 1
                : k == n - 1 ? 0
                             : n - k; /* channels, then width to depth, then batch */
    strides[i] = step;
    step = (int64_t)((uint64_t)step * (uint64_t)(sizes.data[i] > 1 ? sizes.data[i] : 1));
  }
}

/* Strides stay below this even where a size of 1 leaves them without effect, so that one
 * in bytes, or times a step, can be counted everywhere. */
#define STRIDE_MAX ((int64_t)1 << 55)

bool lp_extent_of(LpInts sizes, LpInts strides, int64_t *result) {
  CHECK(sizes.count == strides.count, LP_ERR_ARGUMENT,
        "size and stride must have as many entries, got %s and %s", INTS_TEXT(sizes),
        INTS_TEXT(strides));
  int64_t numel, last = 0;
  TRY(lp_numel_of(sizes, &numel));
  for (int64_t i = 0; i < sizes.count; i++) {
    CHECK(strides.data[i] >= 0, LP_ERR_ARGUMENT, "strides must not be negative, got %s",
          INTS_TEXT(strides));
    int64_t reach;
    bool overflow = numel > 0 &&
                    (strides.data[i] > STRIDE_MAX ||
                     __builtin_mul_overflow(sizes.data[i] - 1, strides.data[i], &reach) ||
                     __builtin_add_overflow(last, reach, &last));
    CHECK(!overflow && last < INT64_MAX, LP_ERR_MEMORY,
          "sizes %s with strides %s reach past any memory", INTS_TEXT(sizes),
          INTS_TEXT(strides));
  }
  *result = numel == 0 ? 0 : last + 1;
  return true;
}

/* --- storages
 * ------------------------------------------------------------------------------- */

bool lp_check_device(LpDevice device) {
  if (LP_LIKELY(device.type != LP_CUDA)) return true;
  char name[16];
  snprintf(name, sizeof name, device.index > 0 ? "cuda:%d" : "cuda", device.index);
  return lp_fail(
      LP_ERR_DEVICE,
      "device %s is not available: this build has no CUDA support; use device \"cpu\"",
      name);
}

/* Storages up to here live in their header; none where a sanitizer watches their ends. */
#ifdef __SANITIZE_ADDRESS__
#define TINY_BYTES 0
#else
#define TINY_BYTES 64
#endif

LpStorage *lp_storage_new(size_t size_bytes, LpDevice device) {
  TRY(lp_check_device(device));
  /* A few numbers live in the header's own allocation. */
  const uint16_t inline_bytes = size_bytes <= TINY_BYTES ? TINY_BYTES : 0;
  LpStorage *s = lp_alloc(sizeof *s + inline_bytes);
  if (!s) return NULL;
  s->inline_bytes = inline_bytes;
  s->capacity_bytes = 0;
  s->memory =
      inline_bytes ? (void *)(s + 1) : lp_block_alloc(size_bytes, &s->capacity_bytes);
  if (!s->memory) {
    lp_free(s, sizeof *s);
    return NULL;
  }
  atomic_init(&s->refcount, 1);
  atomic_init(&s->version, 0);
  atomic_init(&s->other_writes, 0);
  atomic_init(&s->channels, 0);
  s->derived = NULL;
  s->device = lp_cpu();
  s->size_bytes = size_bytes;
  s->free_fn = NULL;
  s->free_ctx = NULL;
  return s;
}

static void free_storage_data(LpStorage *s) {
  if (s->free_fn)
    s->free_fn(s->free_ctx, s->memory);
  else if (s->capacity_bytes)
    lp_block_free(s->memory, s->capacity_bytes);
}

/* Gives one reference back; was it the last? The only owner need not tell anyone, which
 * saves the wait of a locked instruction for all writes before it. */
static inline bool drop_reference(_Atomic int32_t *refcount) {
  return atomic_load_explicit(refcount, memory_order_acquire) == 1 ||
         atomic_fetch_sub_explicit(refcount, 1, memory_order_acq_rel) == 1;
}

void lp_storage_release(LpStorage *s) {
  if (!s || !drop_reference(&s->refcount)) return;
  for (LpDerived *next, *d = s->derived; d; d = next) {
    next = d->next;
    d->free_fn(d);
  }
  if (LP_UNLIKELY(atomic_load_explicit(&s->channels, memory_order_relaxed) != 0))
    lp_storage_forsake(s);
  free_storage_data(s);
  lp_free(s, sizeof *s + s->inline_bytes);
}

bool lp_storage_grow(LpStorage *s, size_t size_bytes) {
  if (size_bytes <= s->size_bytes) return true;
  lp_storage_data(s);
  if (size_bytes <= s->capacity_bytes && !s->free_fn) {
    s->size_bytes = size_bytes;
    return true;
  }
  size_t capacity;
  void *data = lp_block_alloc(size_bytes, &capacity);
  if (!data) return false;
  memcpy(data, s->memory, s->size_bytes);
  free_storage_data(s);
  s->memory = data;
  s->size_bytes = size_bytes;
  s->capacity_bytes = capacity;
  s->free_fn = NULL;
  s->free_ctx = NULL;
  return true;
}

/* --- headers
 * -------------------------------------------------------------------------------- */

_Thread_local bool lp_tls_inference;
_Atomic int lp_vmap_in_use;

static size_t dims_bytes(int64_t ndim) {
  return (size_t)ndim * 2 * sizeof(int64_t);
}

/* Points sizes and strides at room for ndim entries; false when there is no memory. */
static bool make_dims(LpTensor *t, int64_t ndim) {
  if (ndim <= LP_INLINE_DIMS) {
    t->sizes = t->dims_inline;
  } else if (!(t->sizes = lp_alloc(dims_bytes(ndim)))) {
    return false;
  }
  t->strides = t->sizes + ndim;
  t->ndim = (uint8_t)ndim;
  return true;
}

static void free_dims(LpTensor *t) {
  if (t->sizes != t->dims_inline) lp_free(t->sizes, dims_bytes(t->ndim));
}

/* Recomputes what follows from sizes and strides. */
static void lp_tensor_refresh(LpTensor *t) {
  int64_t numel = 1, step = 1;
  bool contiguous = true;
  for (int i = t->ndim - 1; i >= 0; i--) {
    int64_t size = t->sizes[i];
    numel = (int64_t)((uint64_t)numel * (uint64_t)size);
    if (size == 1) continue;
    contiguous &= t->strides[i] == step;
    step = (int64_t)((uint64_t)step * (uint64_t)size);
  }
  t->numel = numel;
  t->is_contiguous = contiguous || numel == 0;
}

/* Note [Limited dtypes] */
static void note_limited(void) {
  static _Atomic bool noted;
  if (atomic_exchange_explicit(&noted, true, memory_order_relaxed)) return;
  atomic_fetch_add_explicit(&lp_vmap_in_use, 1, memory_order_relaxed);
}

/* A header taking the storage reference over; dims uninitialised. NULL: the storage is
 * released. */
static LpTensor *make_header(LpStorage *storage, LpDtype dtype, int64_t ndim,
                             int64_t offset) {
  LpTensor *t = lp_alloc(sizeof *t);
  if (!t) {
    lp_storage_release(storage);
    return NULL;
  }
  atomic_init(&t->refcount, 1);
  t->dtype = (int8_t)dtype;
  if (LP_UNLIKELY(lp_dtype_is_limited(dtype))) note_limited();
  t->flags = lp_tls_inference ? LP_FLAG_INFERENCE : 0;
  t->storage = storage;
  t->offset_elems = offset;
  t->autograd = NULL;
  t->own_version = 0;
  t->vmap_level = 0;
  t->physical = NULL;
  if (!make_dims(t, ndim)) {
    lp_storage_release(storage);
    lp_free(t, sizeof *t);
    return NULL;
  }
  return t;
}

static bool bytes_of(int64_t elems, LpDtype dtype, size_t *result) {
  CHECK(dtype >= 0 && dtype < LP_DTYPE_COUNT, LP_ERR_TYPE, "dtype %d does not exist",
        (int)dtype);
  CHECK(!__builtin_mul_overflow((size_t)elems, lp_dtype_size(dtype), result) &&
            *result < PTRDIFF_MAX,
        LP_ERR_MEMORY, "%lld elements of %s are more than any memory holds",
        (long long)elems, lp_dtype_name(dtype));
  return true;
}

LpTensor *lp_tensor_new(LpInts sizes, LpDtype dtype, LpDevice device) {
  int64_t numel;
  size_t bytes;
  TRY(lp_numel_of(sizes, &numel));
  TRY(bytes_of(numel, dtype, &bytes));
  LpStorage *storage = lp_storage_new(bytes, device);
  if (!storage) return NULL;
  LpTensor *t = make_header(storage, dtype, sizes.count, 0);
  if (!t) return NULL;
  for (int64_t i = 0; i < sizes.count; i++) t->sizes[i] = sizes.data[i];
  lp_contiguous_strides(sizes, t->strides);
  t->numel = numel;
  t->is_contiguous = true;
  return t;
}

LpTensor *lp_tensor_new_strided(LpInts sizes, LpInts strides, LpDtype dtype,
                                LpDevice device) {
  int64_t extent;
  size_t bytes;
  TRY(lp_extent_of(sizes, strides, &extent));
  TRY(bytes_of(extent, dtype, &bytes));
  LpStorage *storage = lp_storage_new(bytes, device);
  if (!storage) return NULL;
  LpTensor *t = lp_tensor_wrap(storage, dtype, sizes, strides, 0);
  lp_storage_release(storage);
  return t;
}

LpTensor *lp_tensor_from_blob(void *data, LpInts sizes, LpDtype dtype,
                              void (*free_fn)(void *ctx, void *data), void *ctx) {
  int64_t numel;
  size_t bytes;
  TRY(lp_numel_of(sizes, &numel));
  TRY(bytes_of(numel, dtype, &bytes));
  CHECK(data || bytes == 0, LP_ERR_ARGUMENT, "data is NULL for a tensor of %zu bytes",
        bytes);
  LpTensor *t = lp_tensor_new((LpInts){(int64_t[]){0}, 1}, dtype, lp_cpu());
  if (!t) return NULL;
  if (!lp_tensor_set_geometry(t, sizes, lp_ints_none(), 0)) {
    lp_tensor_release(t);
    return NULL;
  }
  LpStorage *s = t->storage;
  if (data) s->memory = data;
  s->size_bytes = bytes;
  s->capacity_bytes = 0;
  s->free_fn = free_fn;
  s->free_ctx = ctx;
  return t;
}

LpTensor *lp_tensor_wrap(LpStorage *storage, LpDtype dtype, LpInts sizes, LpInts strides,
                         int64_t offset) {
  CHECK(sizes.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "a tensor has at most %d dims, got %lld", LP_MAX_DIMS, (long long)sizes.count);
  LpTensor *t = make_header(lp_storage_retain(storage), dtype, sizes.count, offset);
  if (!t) return NULL;
  for (int64_t i = 0; i < sizes.count; i++)
    t->sizes[i] = sizes.data[i], t->strides[i] = strides.data[i];
  lp_tensor_refresh(t);
  return t;
}

LpTensor *lp_tensor_retain(LpTensor *t) {
  if (t) atomic_fetch_add_explicit(&t->refcount, 1, memory_order_relaxed);
  return t;
}

void lp_tensor_release(LpTensor *t) {
  if (!t || !drop_reference(&t->refcount)) return;
  if (t->autograd) lp_autograd_free(t->autograd);
  if (t->physical) {
    atomic_fetch_sub_explicit(&lp_vmap_in_use, 1, memory_order_relaxed);
    lp_tensor_release(t->physical);
  }
  lp_storage_release(t->storage);
  free_dims(t);
  lp_free(t, sizeof *t);
}

void lp_tensor_vec_free(LpTensorVec *vec) {
  if (!vec || !vec->data) return;
  for (int64_t i = 0; i < vec->count; i++) lp_tensor_release(vec->data[i]);
  lp_free(vec->data, (size_t)vec->count * sizeof *vec->data);
  vec->data = NULL;
  vec->count = 0;
}

LpTensor *lp_tensor_alias(LpTensor *t, LpInts sizes, LpInts strides,
                          int64_t offset_elems) {
  LpTensor *alias =
      lp_tensor_wrap(t->storage, (LpDtype)t->dtype, sizes, strides, offset_elems);
  if (alias) alias->flags = t->flags & LP_FLAG_INFERENCE;
  return alias;
}

LpTensor *lp_tensor_shallow(LpTensor *t) {
  LpTensor *copy = lp_alloc(sizeof *copy);
  if (!copy) return NULL;
  const size_t from = offsetof(LpTensor, dtype), to = offsetof(LpTensor, dims_inline);
  memcpy((char *)copy + from, (char *)t + from,
         to - from); /* all but the reference count and the dims */
  atomic_init(&copy->refcount, 1);
  if (!make_dims(copy, t->ndim)) {
    lp_free(copy, sizeof *copy);
    return NULL;
  }
  memcpy(copy->sizes, t->sizes, dims_bytes(t->ndim));
  copy->flags = t->flags & (LP_FLAG_INFERENCE | LP_FLAG_WRAPPED_NUMBER);
  copy->autograd = NULL;
  copy->own_version = 0;
  lp_storage_retain(copy->storage);
  if (lp_tensor_retain(copy->physical))
    atomic_fetch_add_explicit(&lp_vmap_in_use, 1, memory_order_relaxed);
  return copy;
}

/* strides.count < 0 stands for contiguous ones. */
bool lp_tensor_set_geometry(LpTensor *t, LpInts sizes, LpInts strides,
                            int64_t offset_elems) {
  CHECK(sizes.count >= 0 && sizes.count <= LP_MAX_DIMS, LP_ERR_ARGUMENT,
        "a tensor has at most %d dims, got %lld", LP_MAX_DIMS, (long long)sizes.count);
  /* The spans may be t's own. */
  int64_t copy[2 * LP_MAX_DIMS];
  for (int64_t i = 0; i < sizes.count; i++) copy[i] = sizes.data[i];
  if (strides.count < 0)
    lp_contiguous_strides(sizes, copy + LP_MAX_DIMS);
  else
    for (int64_t i = 0; i < sizes.count; i++) copy[LP_MAX_DIMS + i] = strides.data[i];
  if (sizes.count != t->ndim) {
    int64_t *old = t->sizes, *old_strides = t->strides;
    int64_t old_ndim = t->ndim;
    if (!make_dims(t, sizes.count)) {
      t->sizes = old;
      t->strides = old_strides;
      return false;
    }
    if (old != t->dims_inline) lp_free(old, dims_bytes(old_ndim));
  }
  for (int64_t i = 0; i < sizes.count; i++)
    t->sizes[i] = copy[i], t->strides[i] = copy[LP_MAX_DIMS + i];
  t->offset_elems = offset_elems;
  lp_tensor_refresh(t);
  return true;
}

bool lp_tensor_resize_out(LpTensor *t, LpInts sizes) {
  bool same = sizes.count == t->ndim;
  for (int64_t i = 0; same && i < sizes.count; i++) same = sizes.data[i] == t->sizes[i];
  if (same) return true;
  int64_t numel;
  size_t bytes;
  TRY(lp_numel_of(sizes, &numel));
  CHECK(!numel || numel < INT64_MAX - t->offset_elems, LP_ERR_MEMORY,
        "sizes %s have more elements than can be counted", INTS_TEXT(sizes));
  TRY(bytes_of(numel + (numel ? t->offset_elems : 0), (LpDtype)t->dtype, &bytes));
  TRY(lp_storage_grow(t->storage, bytes));
  return lp_tensor_set_geometry(t, sizes, lp_ints_none(), t->offset_elems);
}

/* --- layouts
 * -------------------------------------------------------------------------------- */

/* Dims of more than one element from the largest stride to the smallest (stable); their
 * count. */
static int order_dims(const LpTensor *t, int *order) {
  int n = 0;
  for (int i = 0; i < t->ndim; i++) {
    if (t->sizes[i] == 1) continue;
    int at = n++;
    while (at > 0 && t->strides[order[at - 1]] < t->strides[i])
      order[at] = order[at - 1], at--;
    order[at] = i;
  }
  return n;
}

bool lp_is_dense(const LpTensor *t) {
  if (t->is_contiguous) return true;
  int order[LP_MAX_DIMS], n = order_dims(t, order);
  int64_t step = 1;
  for (int k = n - 1; k >= 0; k--) {
    if (t->strides[order[k]] != step) return false;
    step *= t->sizes[order[k]];
  }
  return true;
}

LpTensor *lp_tensor_new_like(const LpTensor *like, LpDtype dtype) {
  if (lp_is_dense(like)) {
    size_t bytes;
    TRY(bytes_of(like->numel, dtype, &bytes));
    LpStorage *storage = lp_storage_new(bytes, like->storage->device);
    if (!storage) return NULL;
    LpTensor *t = lp_tensor_wrap(storage, dtype, lp_sizes(like), lp_strides(like), 0);
    lp_storage_release(storage);
    return t;
  }
  /* PyTorch's rule for the rest: the order of the strides stays, the holes and overlaps
   * go. */
  int64_t strides[LP_MAX_DIMS], step = 1;
  int perm[LP_MAX_DIMS];
  for (int i = 0; i < like->ndim; i++) perm[i] = like->ndim - 1 - i; /* innermost first */
  for (int i = 1; i < like->ndim; i++) {
    int at = i;
    for (int k = i - 1; k >= 0; k--) {
      /* Broadcast dims (stride 0) are ambiguous and hold their place. */
      int64_t a = like->strides[perm[k]], b = like->strides[perm[at]];
      if (a == 0 || b == 0) continue;
      bool swap = a > b || (a == b && like->sizes[perm[k]] > like->sizes[perm[at]]);
      if (!swap) break;
      int p = perm[k];
      perm[k] = perm[at];
      perm[at] = p;
      at = k;
    }
  }
  for (int i = 0; i < like->ndim; i++) {
    strides[perm[i]] = step;
    step *= like->sizes[perm[i]] > 1 ? like->sizes[perm[i]] : 1;
  }
  return lp_tensor_new_strided(lp_sizes(like), lp_ints(strides, like->ndim), dtype,
                               like->storage->device);
}

LpTensor *lp_tensor_new_format(LpInts sizes, LpDtype dtype, LpDevice device,
                               LpMemoryFormat format, const LpTensor *like) {
  if (format == LP_PRESERVE && like) return lp_tensor_new_like(like, dtype);
  if (format == LP_CHANNELS_LAST || format == LP_CHANNELS_LAST_3D) {
    int64_t want = format == LP_CHANNELS_LAST ? 4 : 5, numel, strides[5];
    CHECK(sizes.count == want, LP_ERR_ARGUMENT,
          "memory_format channels_last%s needs a %lld-d tensor, got %s",
          want == 5 ? "_3d" : "", (long long)want, INTS_TEXT(sizes));
    TRY(lp_numel_of(sizes, &numel));
    lp_channels_last_strides(sizes, strides);
    return lp_tensor_new_strided(sizes, lp_ints(strides, want), dtype, device);
  }
  return lp_tensor_new(sizes, dtype, device);
}

/* --- metadata
 * ------------------------------------------------------------------------------- */

int64_t lp_ndim(const LpTensor *t) {
  return t->ndim;
}
int64_t lp_size(const LpTensor *t, int64_t dim) {
  return t->sizes[dim];
}
int64_t lp_stride(const LpTensor *t, int64_t dim) {
  return t->strides[dim];
}
LpInts lp_sizes(const LpTensor *t) {
  return lp_ints(t->sizes, t->ndim);
}
LpInts lp_strides(const LpTensor *t) {
  return lp_ints(t->strides, t->ndim);
}
int64_t lp_numel(const LpTensor *t) {
  return t->numel;
}
int64_t lp_storage_offset(const LpTensor *t) {
  return t->offset_elems;
}
LpDtype lp_dtype(const LpTensor *t) {
  return (LpDtype)t->dtype;
}
LpDevice lp_device(const LpTensor *t) {
  return t->storage->device;
}
size_t lp_storage_bytes(const LpTensor *t) {
  return t->storage->size_bytes;
}

bool lp_is_contiguous(const LpTensor *t, LpMemoryFormat format) {
  if (format != LP_CHANNELS_LAST && format != LP_CHANNELS_LAST_3D)
    return t->is_contiguous;
  if (t->ndim != (format == LP_CHANNELS_LAST ? 4 : 5)) return false;
  if (t->numel == 0) return true;
  int64_t strides[5];
  lp_channels_last_strides(lp_sizes(t), strides);
  for (int i = 0; i < t->ndim; i++)
    if (t->sizes[i] != 1 && t->strides[i] != strides[i]) return false;
  return true;
}

bool lp_is_same_storage(const LpTensor *a, const LpTensor *b) {
  return a->storage == b->storage;
}

void *lp_data(const LpTensor *t) {
  return (char *)lp_storage_data(t->storage) +
         t->offset_elems * (int64_t)lp_dtype_size((LpDtype)t->dtype);
}

uint32_t lp_version(const LpTensor *t) {
  while (t->physical) t = t->physical;
  if (t->flags & LP_FLAG_OWN_VERSION) return t->own_version;
  return atomic_load_explicit(&t->storage->version, memory_order_relaxed);
}

void lp_bump_version(LpTensor *t) {
  while (t->physical) t = t->physical;
  if (t->flags & LP_FLAG_OWN_VERSION) {
    t->own_version++;
    atomic_fetch_add_explicit(&t->storage->other_writes, 1, memory_order_relaxed);
  } else
    atomic_fetch_add_explicit(&t->storage->version, 1, memory_order_relaxed);
}

/* --- scalars
 * -------------------------------------------------------------------------------- */

bool lp_item(LpTensor *t, LpScalar *result) {
  CHECK(!t->physical, LP_ERR_ARGUMENT,
        "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap "
        "over calling "
        ".item() on a Tensor, please try to rewrite what you're doing with other "
        "operations");
  CHECK(t->numel == 1, LP_ERR_ARGUMENT,
        "a tensor of shape %s (%lld elements) has no single value; index it first",
        SHAPE_TEXT(t), (long long)t->numel);
  const void *p = lp_data(t);
  switch ((LpDtype)t->dtype) {
  case LP_BOOL: *result = lp_scalar_bool(*(const uint8_t *)p != 0); break;
  case LP_UINT8: *result = lp_scalar_int(*(const uint8_t *)p); break;
  case LP_INT8: *result = lp_scalar_int(*(const int8_t *)p); break;
  case LP_INT16: *result = lp_scalar_int(*(const int16_t *)p); break;
  case LP_INT32: *result = lp_scalar_int(*(const int32_t *)p); break;
  case LP_INT64: *result = lp_scalar_int(*(const int64_t *)p); break;
  case LP_FLOAT16:
    *result = lp_scalar_float(lp_half_to_float(*(const uint16_t *)p));
    break;
  case LP_BFLOAT16:
    *result = lp_scalar_float(lp_bf16_to_float(*(const uint16_t *)p));
    break;
  case LP_UINT16: *result = lp_scalar_int(*(const uint16_t *)p); break;
  case LP_UINT32: *result = lp_scalar_int(*(const uint32_t *)p); break;
  case LP_UINT64: { /* what no int64 holds is the nearest double */
    const uint64_t u = *(const uint64_t *)p;
    *result = u <= INT64_MAX ? lp_scalar_int((int64_t)u) : lp_scalar_float((double)u);
    break;
  }
  case LP_FLOAT8_E4M3FN:
  case LP_FLOAT8_E5M2:
  case LP_FLOAT8_E4M3FNUZ:
  case LP_FLOAT8_E5M2FNUZ:
    *result = lp_scalar_float(
        lp_float8_to_float(*(const uint8_t *)p, lp_float8_of((LpDtype)t->dtype)));
    break;
  case LP_FLOAT32: *result = lp_scalar_float(*(const float *)p); break;
  case LP_FLOAT64: *result = lp_scalar_float(*(const double *)p); break;
  case LP_COMPLEX64:
    *result = lp_scalar_complex(((const float *)p)[0], ((const float *)p)[1]);
    break;
  case LP_COMPLEX128:
    *result = lp_scalar_complex(((const double *)p)[0], ((const double *)p)[1]);
    break;
  default: return lp_fail(LP_ERR_INTERNAL, "dtype %d does not exist", t->dtype);
  }
  return true;
}

/* A double as an integer: truncated, and defined where C leaves it open. */
static int64_t double_to_int(double d) {
  if (!(d >= -0x1p63 && d < 0x1p63)) return INT64_MIN;
  return (int64_t)d;
}

void lp_scalar_store(LpScalar value, LpDtype dtype, void *p) {
  bool integer = value.kind <= LP_SCALAR_INT;
  double re = lp_scalar_to_double(value),
         im = value.kind == LP_SCALAR_COMPLEX ? value.v.c[1] : 0;
  int64_t i = integer ? value.v.i : double_to_int(re);
  switch (dtype) {
  case LP_BOOL: *(uint8_t *)p = integer ? value.v.i != 0 : re != 0 || im != 0; break;
  case LP_UINT8: *(uint8_t *)p = (uint8_t)i; break;
  case LP_INT8: *(int8_t *)p = (int8_t)i; break;
  case LP_INT16: *(int16_t *)p = (int16_t)i; break;
  case LP_INT32: *(int32_t *)p = (int32_t)i; break;
  case LP_INT64: *(int64_t *)p = i; break;
  case LP_FLOAT16: *(uint16_t *)p = lp_half_from_float((float)re); break;
  case LP_BFLOAT16: *(uint16_t *)p = lp_bf16_from_float((float)re); break;
  case LP_UINT16: *(uint16_t *)p = (uint16_t)i; break;
  case LP_UINT32: *(uint32_t *)p = (uint32_t)i; break;
  case LP_UINT64:
    *(uint64_t *)p = !integer && re >= 0x1p63 && re < 0x1p64 ? (uint64_t)re : (uint64_t)i;
    break;
  case LP_FLOAT8_E4M3FN:
  case LP_FLOAT8_E5M2:
  case LP_FLOAT8_E4M3FNUZ:
  case LP_FLOAT8_E5M2FNUZ:
    *(uint8_t *)p = lp_float8_from_float((float)re, lp_float8_of(dtype));
    break;
  case LP_FLOAT32: *(float *)p = (float)re; break;
  case LP_FLOAT64: *(double *)p = re; break;
  case LP_COMPLEX64: ((float *)p)[0] = (float)re, ((float *)p)[1] = (float)im; break;
  case LP_COMPLEX128: ((double *)p)[0] = re, ((double *)p)[1] = im; break;
  default: break;
  }
}

LpTensor *lp_tensor_from_scalar(LpScalar value, LpDtype dtype) {
  LpTensor *t = lp_tensor_new(lp_ints(NULL, 0), dtype, lp_cpu());
  if (t) lp_scalar_store(value, dtype, lp_storage_data(t->storage));
  return t;
}

LpTensor *lp_tensor_wrapped(LpScalar value) {
  /* A host float keeps all its digits; the flag keeps its dtype out of promotion. */
  LpDtype dtype = value.kind == LP_SCALAR_FLOAT     ? LP_FLOAT64
                  : value.kind == LP_SCALAR_COMPLEX ? LP_COMPLEX128
                                                    : lp_scalar_dtype(value);
  LpTensor *t = lp_tensor_from_scalar(value, dtype);
  if (t) t->flags |= LP_FLAG_WRAPPED_NUMBER;
  return t;
}
