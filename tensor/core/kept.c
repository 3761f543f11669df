/* See kept.h. */
#include "core/kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/alloc.h"

struct LpKept {
  LpDerived base;
  int64_t offset_elems;
  uint32_t stamp;
  int users;    /* guarded by the lock */
  void *memory; /* NULL: a note that the form was asked for */
  size_t capacity_bytes, key_bytes;
  char key[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic size_t total_bytes; /* of all forms */

static size_t most_bytes(void) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (size_t)pages / 4 * (size_t)page : SIZE_MAX;
}

static void kept_free(LpDerived *self) {
  LpKept *kept = (LpKept *)self;
  if (kept->memory) lp_block_free(kept->memory, kept->capacity_bytes);
  atomic_fetch_sub(&total_bytes, kept->capacity_bytes);
  free(kept);
}

/* The form, or with `noted` a note of it, that is there, or NULL; those of former
 * contents go. */
static LpKept *find(const LpTensor *weight, const void *key, size_t key_bytes,
                    bool noted) {
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
    if ((kept->memory || noted) && kept->stamp == stamp &&
        kept->offset_elems == weight->offset_elems && kept->key_bytes == key_bytes &&
        !memcmp(kept->key, key, key_bytes))
      found = kept;
    at = &kept->base.next;
  }
  if (found) found->users++;
  pthread_mutex_unlock(&lock);
  return found;
}

static LpKept *new_kept(const LpTensor *weight, const void *key, size_t key_bytes) {
  LpKept *kept = calloc(1, sizeof *kept + key_bytes);
  if (!kept) return NULL;
  kept->base.free_fn = kept_free;
  kept->offset_elems = weight->offset_elems;
  kept->stamp = lp_storage_stamp(weight->storage);
  kept->key_bytes = key_bytes;
  memcpy(kept->key, key, key_bytes);
  return kept;
}

static void add(const LpTensor *weight, LpKept *kept) {
  pthread_mutex_lock(&lock);
  kept->base.next = weight->storage->derived;
  weight->storage->derived = &kept->base;
  pthread_mutex_unlock(&lock);
}

static bool can_keep(const LpTensor *weight) {
  return weight && !weight->storage->free_fn;
}

LpKept *lp_kept_enter(const LpTensor *weight, const void *key, size_t key_bytes,
                      size_t bytes, LpPack pack, void *ctx) {
  if (!can_keep(weight)) return NULL;
  LpKept *kept = find(weight, key, key_bytes, false);
  if (kept) return kept;
  if (atomic_load(&total_bytes) + bytes > most_bytes()) return NULL;
  kept = new_kept(weight, key, key_bytes);
  if (!kept) return NULL;
  kept->users = 1;
  kept->memory = lp_block_alloc(bytes, &kept->capacity_bytes);
  atomic_fetch_add(&total_bytes, kept->capacity_bytes);
  if (!kept->memory) lp_error_clear();
  if (!kept->memory || !pack(ctx, kept->memory)) {
    kept_free(&kept->base);
    return NULL;
  }
  add(weight, kept);
  return kept;
}

bool lp_kept_met(const LpTensor *weight, const void *key, size_t key_bytes) {
  if (!can_keep(weight)) return false;
  LpKept *kept = find(weight, key, key_bytes, true);
  lp_kept_leave(kept);
  if (kept) return true;
  kept = new_kept(weight, key, key_bytes);
  if (kept) add(weight, kept);
  return false;
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
