/* Sizes of caches; see caches.h. */
#include "cpu/caches.h"

#include <stdatomic.h>
#include <unistd.h>

/* Where the system does not tell. */
#define USUAL_FIRST_BYTES (48 << 10)
#define USUAL_SECOND_BYTES (1 << 20)

static int64_t size_of(int name, int64_t usual, _Atomic int64_t *known) {
  int64_t bytes = atomic_load_explicit(known, memory_order_relaxed);
  if (bytes) return bytes;
  bytes = sysconf(name);
  if (bytes <= 0) bytes = usual;
  atomic_store_explicit(known, bytes, memory_order_relaxed);
  return bytes;
}

#ifndef _SC_LEVEL1_DCACHE_SIZE /* glibc's names; sysconf(-1) tells nothing */
#define _SC_LEVEL1_DCACHE_SIZE -1
#define _SC_LEVEL2_CACHE_SIZE -1
#endif

int64_t lp_first_cache_bytes(void) {
  static _Atomic int64_t known;
  return size_of(_SC_LEVEL1_DCACHE_SIZE, USUAL_FIRST_BYTES, &known);
}

int64_t lp_second_cache_bytes(void) {
  static _Atomic int64_t known;
  return size_of(_SC_LEVEL2_CACHE_SIZE, USUAL_SECOND_BYTES, &known);
}
