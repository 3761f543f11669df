/* See layout.h. */
#include "dispatch/layout.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/copy.h"
#include "dispatch/shape.h"

#define TILE 64 /* elements; a multiple of the tiles that the kernels walk */

/* --- to row-major order ---------------------------------------------------------------
 */

typedef struct Job {
  char *to;
  const char *from;
  LpTransposeTile tile;
  int64_t channels, plane, channel_tiles, plane_tiles;
  int64_t elem_bytes;
} Job;

static void to_plain(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  for (int64_t k = begin; k < end; k++) {
    const int64_t p = k % j->plane_tiles * TILE, rest = k / j->plane_tiles,
                  c = rest % j->channel_tiles * TILE, n = rest / j->channel_tiles;
    const int64_t at = n * j->channels * j->plane;
    j->tile(j->to + (at + c * j->plane + p) * j->elem_bytes, j->plane,
            j->from + (at + p * j->channels + c) * j->elem_bytes, j->channels,
            j->plane - p < TILE ? j->plane - p : TILE,
            j->channels - c < TILE ? j->channels - c : TILE);
  }
}

/* One image in place, without memory: each cycle of the permutation begins at its
 * smallest place. Slow, and only for want of memory. */
static void turn_in_place(char *image, int64_t channels, int64_t plane, size_t size) {
  const int64_t n = channels * plane;
  char kept[16], next[16];
  for (int64_t start = 1; start + 1 < n; start++) {
    int64_t at = start;
    do at = at % channels * plane + at / channels; /* where the element belongs */
    while (at > start);
    if (at < start) continue;
    memcpy(kept, image + (size_t)start * size, size);
    do {
      at = at % channels * plane + at / channels;
      memcpy(next, image + (size_t)at * size, size);
      memcpy(image + (size_t)at * size, kept, size);
      memcpy(kept, next, size);
    } while (at != start);
  }
}

void lp_storage_to_plain(LpStorage *s) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  lp_lying_room(s);
  pthread_mutex_lock(&lock);
  const int64_t channels = atomic_load_explicit(&s->channels, memory_order_relaxed),
                plane = s->plane;
  if (!channels) { /* another thread was first */
    pthread_mutex_unlock(&lock);
    return;
  }
  const size_t image_bytes = (size_t)(channels * plane) * s->elem_bytes;
  const int64_t images = (int64_t)(s->size_bytes / image_bytes);
  size_t capacity_bytes;
  void *data = s->inline_bytes ? NULL : lp_block_alloc(s->size_bytes, &capacity_bytes);
  if (data) {
    Job j = {data,
             s->memory,
             lp_copy_kernels()->transpose[__builtin_ctz(s->elem_bytes)],
             channels,
             plane,
             0,
             0,
             s->elem_bytes};
    j.channel_tiles = (channels + TILE - 1) / TILE;
    j.plane_tiles = (plane + TILE - 1) / TILE;
    const int64_t tiles = images * j.channel_tiles * j.plane_tiles;
    lp_parallel_for(tiles, LP_GRAIN / (images * channels * plane / tiles + 1) + 1,
                    to_plain, &j);
    lp_block_free(s->memory, s->capacity_bytes);
    s->memory = data;
    s->capacity_bytes = capacity_bytes;
  } else {
    if (!s->inline_bytes) lp_error_clear();
    for (int64_t i = 0; i < images; i++)
      turn_in_place((char *)s->memory + (size_t)i * image_bytes, channels, plane,
                    s->elem_bytes);
  }
  atomic_store_explicit(&s->channels, 0, memory_order_release);
  pthread_mutex_unlock(&lock);
}

/* --- deferred elements ----------------------------------------------------------------
 */

void lp_defer(LpTensor *t, LpTensor *source, LpDeferred *d) {
  LpStorage *s = t->storage, *from = source->storage;
  ASSERT(lp_is_hidden(t) && lp_is_hidden(source) && t->numel == source->numel);
  if (from->waiting) lp_storage_settle(from->waiting);
  lp_lying_data(from);
  d->source = lp_storage_retain(from);
  s->deferred = d;
  from->waiting = s;
}

void lp_storage_written(LpStorage *s) {
  LpDeferred *d = s->deferred;
  s->deferred = NULL;
  d->source->waiting = NULL;
  lp_storage_release(d->source);
  d->free_fn(d);
}

void lp_storage_forsake(LpStorage *s) {
  if (s->deferred) lp_storage_written(s);
}

typedef struct Settling {
  const LpStorage *storage;
  char *to;
  LpBounds bounds;
} Settling;

static void settle(void *ctx, int64_t begin, int64_t end) {
  const Settling *s = ctx;
  const LpDeferred *d = s->storage->deferred;
  d->compute(d, s->to + begin * s->storage->elem_bytes, begin, end - begin, s->bounds);
}

/* From the end, for there the source was walked to: Note [There and back] in iter.c. */
static void settle_into(LpStorage *s, void *to, LpBounds bounds) {
  Settling all = {s, to, bounds};
  lp_parallel_walk((int64_t)(s->size_bytes / s->elem_bytes), LP_GRAIN, settle, &all,
                   true);
}

void lp_storage_settle(LpStorage *s) {
  settle_into(s, s->memory, (LpBounds){-INFINITY, INFINITY});
  lp_storage_written(s);
}

LpTensor *lp_bound_deferred(LpTensor *t, bool in_place, LpBounds bounds) {
  LpTensor *to = in_place ? lp_tensor_retain(t)
                          : lp_tensor_new_hidden(lp_sizes(t), (LpDtype)t->dtype);
  TRY(to);
  settle_into(t->storage, to->storage->memory, bounds);
  if (in_place) lp_storage_written(t->storage);
  return to;
}

/* --- tensors that lie channels last
 * ----------------------------------------------------- */

static bool is_visibly(const LpTensor *t) {
  if (t->ndim < 3 || t->ndim > 5 || t->is_contiguous) return false;
  int64_t strides[5];
  lp_channels_last_strides(lp_sizes(t), strides);
  for (int d = 0; d < t->ndim; d++)
    if (t->sizes[d] != 1 && t->strides[d] != strides[d]) return false;
  return true;
}

void *lp_channels_last_data(const LpTensor *t) {
  if (t->physical || t->ndim < 3 || t->ndim > 5) return NULL;
  if (lp_is_hidden(t)) return lp_lying_data(t->storage);
  const bool same =
      t->is_contiguous && (t->sizes[1] == 1 || t->numel == t->sizes[0] * t->sizes[1]);
  return same || is_visibly(t) ? lp_data(t) : NULL;
}

/* A new row-major tensor whose storage lies so. */
static LpTensor *new_lying(LpInts sizes, LpDtype dtype, int64_t channels, int64_t plane) {
  LpTensor *t = lp_tensor_new(sizes, dtype, lp_cpu());
  if (!t || channels == 1 || plane == 1) return t;
  LpStorage *s = t->storage;
  s->plane = plane;
  s->deferred = NULL;
  s->waiting = NULL;
  s->elem_bytes = (uint16_t)lp_dtype_size(dtype);
  atomic_store_explicit(&s->channels, channels, memory_order_relaxed);
  return t;
}

LpTensor *lp_tensor_new_hidden(LpInts sizes, LpDtype dtype) {
  int64_t numel, plane = 1;
  TRY(lp_numel_of(sizes, &numel));
  const bool is_image = sizes.count >= 3 && sizes.count <= 5 && numel > 0;
  for (int64_t d = 2; is_image && d < sizes.count; d++) plane *= sizes.data[d];
  return new_lying(sizes, dtype, is_image ? sizes.data[1] : 1, plane);
}

/* Do t's dims go along images, then channels, then pixels of hidden memory? A row-major
 * copy may lie so, too: its channels are split into dims that come in another order. */
static bool is_grouped(const LpTensor *t, int64_t *channels, int64_t *plane) {
  int64_t strides[LP_MAX_DIMS], offset;
  if (!lp_hidden_geometry(t, strides, &offset)) return false;
  const int64_t own_plane = t->storage->plane, image = t->storage->channels * own_plane;
  int reached = 0;
  *channels = *plane = 1;
  for (int d = 0; d < t->ndim; d++) {
    if (t->sizes[d] == 1) continue;
    const int along = t->strides[d] % image == 0       ? 0
                      : t->strides[d] % own_plane == 0 ? 1
                                                       : 2;
    if (along < reached) return false;
    reached = along;
    if (along == 1) *channels *= t->sizes[d];
    if (along == 2) *plane *= t->sizes[d];
  }
  return true;
}

LpTensor *lp_tensor_new_laid_as(const LpTensor *like, LpInts sizes, LpDtype dtype) {
  if (!is_visibly(like)) return lp_tensor_new_hidden(sizes, dtype);
  int64_t strides[LP_MAX_DIMS];
  lp_channels_last_strides(sizes, strides);
  return lp_tensor_new_strided(sizes, lp_ints(strides, sizes.count), dtype, lp_cpu());
}

LpTensor *lp_tensor_new_formed(const LpTensor *like, LpDtype dtype, LpDevice device,
                               LpMemoryFormat format) {
  if (lp_is_hidden(like) && device.type == LP_CPU && format != LP_CHANNELS_LAST &&
      format != LP_CHANNELS_LAST_3D)
    return lp_tensor_new_hidden(lp_sizes(like), dtype);
  int64_t channels, plane;
  if (format == LP_CONTIGUOUS && device.type == LP_CPU &&
      lp_lies_channels_last(like->storage) && is_grouped(like, &channels, &plane))
    return new_lying(lp_sizes(like), dtype, channels, plane);
  return lp_tensor_new_format(lp_sizes(like), dtype, device,
                              format == LP_FORMAT_NONE ? LP_PRESERVE : format, like);
}

bool lp_hidden_geometry(const LpTensor *t, int64_t *strides, int64_t *offset) {
  const LpStorage *s = t->storage;
  const int64_t channels = atomic_load_explicit(&s->channels, memory_order_relaxed),
                plane = s->plane, image = channels * plane;
  if (!channels || t->physical || !t->numel ||
      lp_dtype_size((LpDtype)t->dtype) != s->elem_bytes)
    return false;
  const int64_t c0 = t->offset_elems % image / plane, p0 = t->offset_elems % plane;
  int64_t last_channel = c0, last_pixel = p0;
  for (int d = 0; d < t->ndim; d++) {
    const int64_t stride = t->strides[d], steps = t->sizes[d] - 1;
    strides[d] = 0;
    if (steps == 0 || stride % image == 0) {
      strides[d] = steps ? stride : 0;
    } else if (stride % plane == 0) {
      strides[d] = stride / plane;
      last_channel += steps * strides[d];
    } else {
      strides[d] = stride * channels;
      last_pixel += steps * stride;
    }
    if (last_channel >= channels || last_pixel >= plane) return false;
  }
  *offset = t->offset_elems / image * image + p0 * channels + c0;
  return true;
}

const void *lp_strided_data(const LpTensor *t, int64_t *strides) {
  int64_t offset;
  if (lp_lies_channels_last(t->storage) && lp_hidden_geometry(t, strides, &offset))
    return (const char *)lp_lying_data(t->storage) +
           offset * (int64_t)lp_dtype_size((LpDtype)t->dtype);
  memcpy(strides, t->strides, (size_t)t->ndim * sizeof *strides);
  return lp_data(t);
}

bool lp_is_hidden_view(const LpTensor *t) {
  const LpStorage *s = t->storage;
  if (!lp_lies_channels_last(s) || t->ndim < 3) return false;
  int64_t strides[LP_MAX_DIMS], offset;
  const int64_t plane = s->plane, image = s->channels * plane;
  if (t->sizes[0] > 1 && t->strides[0] % image) return false;
  if (t->sizes[1] > 1 && (t->strides[1] % plane || t->strides[1] >= image)) return false;
  for (int d = 2; d < t->ndim; d++)
    if (t->sizes[d] > 1 && t->strides[d] >= plane) return false;
  return lp_hidden_geometry(t, strides, &offset);
}

LpTensor *lp_channels_last_raw(LpTensor *t, LpDtype dtype) {
  if (lp_dtype(t) == dtype && lp_channels_last_data(t)) return lp_tensor_retain(t);
  LpTensor *copy = lp_tensor_new_laid_as(t, lp_sizes(t), dtype);
  if (copy && !lp_copy_into(copy, t)) lp_drop(&copy);
  return copy;
}
