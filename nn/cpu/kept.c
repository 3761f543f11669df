/* See kept.h. */
#include "cpu/kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "core/alloc.h"

struct LpKept {
  LpDerived base;
  int64_t offset_elems;
  uint32_t stamp;
  int users; /* guarded by the lock */
  void *memory;
  size_t capacity_bytes, key_bytes;
  char key[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void kept_free(LpDerived *self) {
  LpKept *kept = (LpKept *)self;
  if (kept->memory) lp_block_free(kept->memory, kept->capacity_bytes);
  free(kept);
}

/* The form that is there, or NULL; forms of former contents go. */
static LpKept *find(const LpTensor *weight, const void *key, size_t key_bytes) {
  LpStorage *storage = weight->storage;
  const uint32_t stamp = lp_storage_stamp(storage);
  LpKept *found = NULL;
  pthread_mutex_lock(&lock);
  for (LpDerived **at = &storage->derived; *at;) {
    LpKept *kept = (LpKept *)*at;
    if (kept->stamp != stamp && !kept->users) {
      *at = kept->base.next;
      kept_free(&kept->base);
      continue;
    }
    if (kept->stamp == stamp && kept->offset_elems == weight->offset_elems &&
        kept->key_bytes == key_bytes && !memcmp(kept->key, key, key_bytes))
      found = kept;
    at = &kept->base.next;
  }
  if (found) found->users++;
  pthread_mutex_unlock(&lock);
  return found;
}

LpKept *lp_kept_enter(const LpTensor *weight, const void *key, size_t key_bytes,
                      size_t bytes, LpPack pack, void *ctx) {
  if (!weight || weight->storage->free_fn) return NULL;
  LpKept *kept = find(weight, key, key_bytes);
  if (kept) return kept;
  kept = calloc(1, sizeof *kept + key_bytes);
  if (!kept) return NULL;
  kept->base.free_fn = kept_free;
  kept->offset_elems = weight->offset_elems;
  kept->stamp = lp_storage_stamp(weight->storage);
  kept->users = 1;
  kept->key_bytes = key_bytes;
  memcpy(kept->key, key, key_bytes);
  kept->memory = lp_block_alloc(bytes, &kept->capacity_bytes);
  if (!kept->memory) lp_error_clear();
  if (!kept->memory || !pack(ctx, kept->memory)) {
    kept_free(&kept->base);
    return NULL;
  }
  pthread_mutex_lock(&lock);
  kept->base.next = weight->storage->derived;
  weight->storage->derived = &kept->base;
  pthread_mutex_unlock(&lock);
  return kept;
}

void *lp_kept_memory(const LpKept *kept) {
  return kept->memory;
}

void lp_kept_leave(LpKept *kept) {
  if (!kept) return;
  pthread_mutex_lock(&lock);
  kept->users--;
  pthread_mutex_unlock(&lock);
}
