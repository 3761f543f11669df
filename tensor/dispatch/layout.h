/* The hidden channels-last layout of activations.
 *
 * Note [Hidden layout]: convolutions are fastest on memory whose channels lie next to
 * each other, (batch, spatial, channels), and so are the normalisations and poolings
 * between them. A user sees an ordinary row-major tensor (batch, channels, spatial): its
 * sizes and strides say so. But its storage may note that the elements lie channels last
 * (LpStorage.channels and .plane). Ops that know the layout take the memory as it lies
 * and give results that lie likewise; between them nothing is moved. Whoever does not
 * know asks lp_data (or lp_storage_data) for the address, and with that the elements are
 * put in row-major order, once and for good: no op, view or host can see a difference.
 * A storage is laid out so when it is made, never later.
 *
 * A hidden tensor is used by one thread at a time: what is handed to another thread or
 * Lua state is put in order first (vm/crossing.c). Inside an op, the addresses got here
 * are valid until somebody calls lp_data on a tensor of the same storage.
 *
 * Tensors of PyTorch's memory format channels_last have the same order of memory, told by
 * their strides; kernels serve both.
 *
 * Note [Deferred elements]: what a normalisation gives is a cheap function of each
 * element of its input, and nearly always read by one pointwise op only, whose result is
 * what lives on. So it need not be written and read again: the storage of such a result
 * may note its elements as deferred, that is, how to compute them from those of another
 * storage, the source, which it keeps. Pointwise ops over an LpIter that takes_deferred
 * compute them on the way, a buffer at a time; everybody else finds them computed, by
 * whatever gives the address: lp_data and what is below. The memory is there from the
 * beginning, so that this cannot fail. A source knows who waits for it; before it is
 * written or moved, that one is computed. Both lie channels last, so an ordinary storage
 * pays nothing for it. */
#ifndef LP_DISPATCH_LAYOUT_H
#define LP_DISPATCH_LAYOUT_H

#include "core/tensor.h"

/* Is t (batch, channels, spatial...) the whole of a storage that lies channels last? */
static inline bool lp_is_hidden(const LpTensor *t) {
  const LpStorage *s = t->storage;
  const int64_t channels = atomic_load_explicit(&s->channels, memory_order_relaxed);
  if (LP_LIKELY(channels == 0)) return false;
  return t->ndim >= 3 && t->is_contiguous && t->offset_elems == 0 &&
         t->sizes[1] == channels && t->numel == t->sizes[0] * channels * s->plane &&
         lp_dtype_size((LpDtype)t->dtype) == s->elem_bytes &&
         (size_t)t->numel * s->elem_bytes == s->size_bytes;
}

/* No bounds: -INFINITY and INFINITY. */
typedef struct LpBounds {
  double low, high;
} LpBounds;

struct LpDeferred {
  LpStorage *source; /* owned */
  /* Computes n elements from place `first` of the memory on, and puts those outside of
   * the bounds, which their dtype holds, on the nearer one; a NaN stays. */
  void (*compute)(const LpDeferred *self, void *to, int64_t first, int64_t n,
                  LpBounds bounds);
  void (*free_fn)(LpDeferred *self);
};

/* Makes the elements of t, which is hidden, new and not yet written, deferred ones of
 * source, which is hidden and lies alike. Takes d over, whose source is yet to be set. */
void lp_defer(LpTensor *t, LpTensor *source, LpDeferred *d);
/* Computes what is deferred. */
void lp_storage_settle(LpStorage *s);
/* What is deferred has been written by somebody else, all of it. */
void lp_storage_written(LpStorage *s);
/* The elements of t, which are deferred, within bounds, in one pass: in t itself, or in a
 * new tensor that lies alike. */
LpTensor *lp_bound_deferred(LpTensor *t, bool in_place, LpBounds bounds);

/* The memory of a storage that lies channels last, to read it; to write, too. */
static inline void *lp_lying_data(LpStorage *s) {
  if (s->deferred) lp_storage_settle(s);
  return s->memory;
}
static inline void *lp_lying_room(LpStorage *s) {
  if (s->waiting) lp_storage_settle(s->waiting);
  return lp_lying_data(s);
}

/* Where the elements of t lie when its storage lies channels last and each of its dims
 * goes along images, channels or pixels: strides and the first element, in elements of
 * the memory. Serves hidden tensors, slices, permuted views. False for others. */
bool lp_hidden_geometry(const LpTensor *t, int64_t *strides, int64_t *offset);

/* The first element of t as it lies, for loops that read it by strides: t's own ones, or
 * those of lp_hidden_geometry. */
const void *lp_strided_data(const LpTensor *t, int64_t *strides);

/* Is t hidden, with deferred elements? */
static inline bool lp_is_deferred(const LpTensor *t) {
  return lp_is_hidden(t) && t->storage->deferred;
}

static inline bool lp_lies_channels_last(const LpStorage *s) {
  return LP_UNLIKELY(atomic_load_explicit(&s->channels, memory_order_relaxed) != 0);
}

/* Is t such a view whose dims are still (batch, channels, spatial...)? */
bool lp_is_hidden_view(const LpTensor *t);

/* The elements of a hidden tensor or of a dense channels_last one, as they lie: (batch,
 * spatial, channels); NULL for others. To be read, or to write a new result. */
void *lp_channels_last_data(const LpTensor *t);

/* A row-major tensor of 3 to 5 dims with uninitialised elements that lie channels last;
 * an ordinary one where that makes no difference. */
LpTensor *lp_tensor_new_hidden(LpInts sizes, LpDtype dtype);

/* Where result of the sizes should lie for an op that knows the layout: as `like`, which
 * lies channels last: hidden, or visibly when that is so. */
LpTensor *lp_tensor_new_laid_as(const LpTensor *like, LpInts sizes, LpDtype dtype);

/* One like `like`, in the memory format where one is given; hidden where that is. For
 * results that are written whole, in any order. */
LpTensor *lp_tensor_new_formed(const LpTensor *like, LpDtype dtype, LpDevice device,
                               LpMemoryFormat format);

/* t itself where it lies channels last already, else a copy that does; of the dtype. */
LpTensor *lp_channels_last_raw(LpTensor *t, LpDtype dtype);

#endif
