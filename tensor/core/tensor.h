/* The tensor and its storage: geometry over shared memory. Owned by tensor.c; included by the
 * engine's own files only. Must not include kernels, autograd internals or Lua. */
#ifndef LP_CORE_TENSOR_H
#define LP_CORE_TENSOR_H

#include <stdatomic.h>
#include "core/check.h"
#include "lampad/tensor.h"

#define LP_INLINE_DIMS 5

/* Something computed from a storage's contents and kept with it, such as weights packed for a kernel. Its
 * maker notes the storage's stamp and guards the list by a lock of its own; what is left when the storage
 * goes is freed with it. */
typedef struct LpDerived {
  struct LpDerived *next;
  void (*free_fn)(struct LpDerived *self);
} LpDerived;

/* How elements that are not there yet come from another storage's: Note [Deferred elements] in dispatch/layout.h. */
typedef struct LpDeferred LpDeferred;

typedef struct LpStorage {
  _Atomic int32_t refcount;
  _Atomic uint32_t version;
  _Atomic uint32_t other_writes; /* through tensors that count their own (LP_FLAG_OWN_VERSION) */
  LpDevice device;
  uint16_t inline_bytes; /* room for tiny data right behind this header; 0: none */
  uint16_t elem_bytes;   /* with channels */
  _Atomic int64_t channels; /* of elements that lie channels last: Note [Hidden layout] in layout.h; 0: they lie as the tensors say */
  int64_t plane;            /* with channels: elements of a channel */
  LpDeferred *deferred;     /* with channels: owned; what `memory` is still to be filled with, or NULL */
  struct LpStorage *waiting; /* with channels: the one whose elements are deferred and come from these, or NULL */
  void *memory;             /* as it lies; the elements in order: lp_storage_data */
  size_t size_bytes;
  size_t capacity_bytes;                  /* what lp_block_free wants back */
  void (*free_fn)(void *ctx, void *data); /* NULL: memory of the caching allocator */
  void *free_ctx;
  LpDerived *derived;
} LpStorage;

struct LpAutograd; /* autograd/meta.h */
void lp_autograd_free(struct LpAutograd *autograd); /* defined in autograd/meta.c */

enum {
  LP_FLAG_WRAPPED_NUMBER = 1, /* a host number: does not take part in dtype promotion of its own category */
  LP_FLAG_OWN_VERSION = 2,    /* made by `.data`: counts its writes apart from its storage */
  LP_FLAG_INFERENCE = 4,      /* made under inference_mode */
  LP_FLAG_ENDED_LEVEL = 8     /* the leaf of a torch.func transform that has returned: nobody reads its grad */
};

struct LpTensor {
  _Atomic int32_t refcount;
  int8_t dtype; /* LpDtype */
  uint8_t flags;
  uint8_t ndim;
  bool is_contiguous; /* row-major, kept by lp_tensor_refresh */
  LpStorage *storage;
  int64_t offset_elems;
  int64_t numel;
  int64_t *sizes;   /* ndim entries: in dims_inline or on the heap */
  int64_t *strides; /* ndim entries, in elements */
  struct LpAutograd *autograd; /* NULL: plain tensor without history */
  uint32_t own_version;
  uint32_t vmap_level;     /* of a batched tensor: which torch.vmap it belongs to (vmap/vmap.h); else 0 */
  struct LpTensor *physical; /* owned; of a batched tensor: the whole batch, its first dim; else NULL */
  int64_t dims_inline[2 * LP_INLINE_DIMS];
};

/* Open vmap levels and live batched tensors of all threads, and one more once there was a tensor of a limited dtype
 * (dispatch/limited.h): while it is 0, no op need ask for either. */
extern _Atomic int lp_vmap_in_use;

/* What decides over all examples looks at: of a batched tensor the whole batch, else t itself. Borrowed. */
static inline LpTensor *lp_whole(LpTensor *t) {
  while (t->physical) t = t->physical;
  return t;
}

/* Is the calling thread in inference mode? New tensors are marked then. */
extern _Thread_local bool lp_tls_inference;

/* True for devices this build can use (an absent one too); otherwise LP_ERR_DEVICE is recorded. */
bool lp_check_device(LpDevice device);

/* Differs after every write that the engine knows of: those of ops, not of a host through lp_data. */
static inline uint32_t lp_storage_stamp(const LpStorage *s) {
  return atomic_load_explicit(&s->version, memory_order_relaxed) +
         atomic_load_explicit(&s->other_writes, memory_order_relaxed);
}

/* Storage life; NULL on out of memory with the error recorded. */
LpStorage *lp_storage_new(size_t size_bytes, LpDevice device);
void lp_storage_release(LpStorage *s);
/* Grows the storage to at least size_bytes, keeping its contents; the address may change. */
bool lp_storage_grow(LpStorage *s, size_t size_bytes);
/* Puts elements that lie channels last (Note [Hidden layout]) in the order that tensors expect; defined in
 * dispatch/layout.c, as is what drops the deferred elements of a storage that goes. */
void lp_storage_to_plain(LpStorage *s);
void lp_storage_forsake(LpStorage *s);
/* The memory, its elements where the tensors' strides say. */
static inline void *lp_storage_data(LpStorage *s) {
  if (LP_UNLIKELY(atomic_load_explicit(&s->channels, memory_order_acquire) != 0)) lp_storage_to_plain(s);
  return s->memory;
}
static inline LpStorage *lp_storage_retain(LpStorage *s) {
  atomic_fetch_add_explicit(&s->refcount, 1, memory_order_relaxed);
  return s;
}

/* A tensor header over `storage` (retained). sizes/strides are copied. */
LpTensor *lp_tensor_wrap(LpStorage *storage, LpDtype dtype, LpInts sizes, LpInts strides, int64_t offset_elems);
/* New tensor laid out as `like` when it is dense and non-overlapping (PyTorch's preserve_format), else contiguous. */
LpTensor *lp_tensor_new_like(const LpTensor *like, LpDtype dtype);
/* Changes the geometry in place (resize, set_, transpose_); recomputes the derived fields.
 * strides.count < 0: contiguous. */
bool lp_tensor_set_geometry(LpTensor *t, LpInts sizes, LpInts strides, int64_t offset_elems);
/* Makes t of the given sizes for use as an `out` tensor: grows the storage when needed. */
bool lp_tensor_resize_out(LpTensor *t, LpInts sizes);
/* A wrapped number: 0-d, flag LP_FLAG_WRAPPED_NUMBER; bool, int64, float64 or complex128. */
LP_API LpTensor *lp_tensor_wrapped(LpScalar value);
/* Writes the scalar as one element of the dtype at p: casts as PyTorch's fill_ does. */
void lp_scalar_store(LpScalar value, LpDtype dtype, void *p);

/* dim in [-ndim, ndim) -> [0, ndim); records the error and returns false when out of range. A 0-d tensor accepts 0 and -1. */
bool lp_wrap_dim(int64_t dim, int64_t ndim, int64_t *result);
/* Product of sizes; false on overflow or a negative size, with the error recorded. */
bool lp_numel_of(LpInts sizes, int64_t *result);
void lp_contiguous_strides(LpInts sizes, int64_t *strides);
/* Channels-last strides of a 4-d (LP_CHANNELS_LAST) or 5-d (LP_CHANNELS_LAST_3D) shape. */
void lp_channels_last_strides(LpInts sizes, int64_t *strides);
/* Elements from the first to the last that the geometry reaches (0 when empty); false on overflow
 * or a negative stride, with the error recorded. */
bool lp_extent_of(LpInts sizes, LpInts strides, int64_t *result);
/* Every element has an address of its own and there are no holes (any order of dims). */
bool lp_is_dense(const LpTensor *t);
/* As lp_tensor_new, laid out in the memory format; LP_PRESERVE follows `like` (else contiguous). */
LpTensor *lp_tensor_new_format(LpInts sizes, LpDtype dtype, LpDevice device, LpMemoryFormat format,
                               const LpTensor *like);
/* "[2, 3]" into buf; returns buf. */
const char *lp_format_ints(LpInts ints, char *buf, size_t buf_bytes);

static inline LpInts lp_ints(const int64_t *data, int64_t count) {
  LpInts v = {data, count};
  return v;
}
static inline LpInts lp_ints_none(void) {
  LpInts v = {NULL, -1};
  return v;
}
static inline LpDevice lp_cpu(void) {
  LpDevice d = {LP_CPU, 0};
  return d;
}
#define SHAPE_TEXT(t) lp_format_ints(lp_sizes(t), (char[256]){0}, 256)

/* Releases *t and sets it to NULL. */
static inline void lp_drop(LpTensor **t) {
  lp_tensor_release(*t);
  *t = NULL;
}

#endif
