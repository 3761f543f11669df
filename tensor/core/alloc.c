/* The caching allocator of storages and the small-object allocator of headers and nodes.
 *
 * Note [Allocator]. Blocks are rounded up to size classes (eight per power of two), so a
 * training loop finds the blocks of its last step again.
 *   - up to SMALL_MAX: free lists of the calling thread, no lock;
 *   - above: one list per class and one over all by age, under a mutex. A miss may take a
 * block of the next two classes (at most 31% larger). Before fresh memory is asked for,
 * the oldest cached blocks go until live + cached is at most twice the peak of live bytes,
 * and three quarters of the machine's memory: with less room, classes take turns in giving
 * memory back that the system must clear anew, a tenth of a training step. Networks of
 * constant shapes come to fill half of it; sequences that vary in length, more.
 *   - from MMAP_MIN: fresh mappings, 2 MiB aligned, with huge pages asked for.
 * When memory runs out: the pressure hook, an empty cache, one more try, then
 * LP_ERR_MEMORY. Thread lists are given back when the thread ends. Under a sanitizer
 * nothing is cached and blocks are as long as asked for, so that every stale pointer and
 * every step past the end is seen. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MADV_HUGEPAGE */
#include "core/alloc.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "core/check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(LP_NO_CACHE)
#define USE_CACHE 0
#else
#define USE_CACHE 1
#endif

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define HUGE_PAGE (2 * MIB)
#define SMALL_MAX (32 * KIB)   /* largest block of the thread lists */
#define MMAP_MIN MIB           /* from here on blocks are mappings of their own */
#define SLACK_BYTES (32 * MIB) /* cache allowed beyond the working set's peak */
#define CHECK_AVAILABLE                                                                  \
  (256 * MIB) /* fresh mappings from here on look at what the system has left */

#define MIN_SHIFT 6 /* the smallest class is 64 bytes */
#define CLASS_COUNT ((64 - MIN_SHIFT) * 8)
#define SMALL_CLASSES ((15 - MIN_SHIFT) * 8 + 1)
/* Kept per thread: each small class its share, and beyond it all together as much as a host's collector
 * frees at once (vm/box.c collects every 32 MiB). */
#define THREAD_CLASS_BYTES (2 * MIB)
#define THREAD_BYTES (32 * MIB)

#define OBJECT_MAX 1024 /* largest object of the free lists; 16-byte classes */
#define OBJECT_CLASSES (OBJECT_MAX / 16)
#define OBJECT_KEEP_BYTES                                                                \
  (4 * MIB) /* objects kept per thread and class: a collection of the host frees         \
               thousands at once */

/* A cached block holds its own links. */
typedef struct FreeBlock {
  struct FreeBlock *next, *prev;   /* in its class */
  struct FreeBlock *newer, *older; /* over all classes */
  size_t capacity_bytes;
} FreeBlock;

typedef struct FreeList {
  void *first; /* the link is the first word */
  uint32_t count;
} FreeList;

/* What a thread keeps for itself. */
typedef struct ThreadCache {
  FreeList objects[OBJECT_CLASSES];
  FreeList blocks[SMALL_CLASSES];
  _Atomic size_t
      cached_bytes; /* of blocks; written by the owner, read by lp_memory_stats */
  struct ThreadCache *next, *prev;
} ThreadCache;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FreeBlock *classes[CLASS_COUNT]; /* under lock, as all up to `threads` */
static FreeBlock *newest, *oldest;
static ThreadCache *threads;
static _Atomic size_t cached_bytes; /* of `classes`; written under lock */

static _Atomic size_t live_bytes, peak_bytes, limit_bytes;
static _Atomic uint64_t alloc_count, free_count, miss_count;
static _Atomic(bool (*)(size_t)) pressure_hook;
static _Atomic(void (*)(void)) cache_hook;

/* A pointer and a counter only: the module may be loaded late, when static TLS is scarce.
 */
static _Thread_local ThreadCache *thread_cache __attribute__((tls_model("initial-exec")));
static _Thread_local int64_t fail_after __attribute__((tls_model("initial-exec"))) = -1;
static _Thread_local bool in_pressure;
/* Blocks this thread took less those it gave back. */
static _Thread_local int64_t thread_bytes __attribute__((tls_model("initial-exec")));

/* --- size classes
 * --------------------------------------------------------------------------- */

/* Class of the smallest capacity >= size; size in [1, PTRDIFF_MAX]. Sizes are taken in
 * whole alignments, so that a block goes back to the class it came from. */
static int class_of(size_t size) {
  size = (size + LP_ALIGNMENT - 1) / LP_ALIGNMENT * LP_ALIGNMENT;
  if (size <= 64) return 0;
  int shift = 63 - __builtin_clzll(size - 1); /* 2^shift < size <= 2^(shift + 1) */
  size_t step = ((size_t)1 << shift) / 8;
  return (shift - MIN_SHIFT) * 8 + (int)((size - 1 - ((size_t)1 << shift)) / step) + 1;
}

/* The capacity of the class's blocks. */
static size_t capacity_of(int class) {
  if (class == 0) return 64;
  int shift = (class - 1) / 8 + MIN_SHIFT, eighth = (class - 1) % 8 + 1;
  return ((size_t)1 << shift) + ((size_t)1 << shift) / 8 * (size_t)eighth;
}

/* --- the system's memory
 * -------------------------------------------------------------------- */

/* What the machine or the control group can hold at all. */
static size_t physical_bytes(void) {
  static _Atomic size_t known;
  size_t n = atomic_load_explicit(&known, memory_order_relaxed);
  if (n) return n;
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  n = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX / 2;
  static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                      "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    FILE *f = fopen(files[i], "re");
    unsigned long long limit;
    if (!f) continue;
    if (fscanf(f, "%llu", &limit) == 1 && limit > 0 && limit < n) n = (size_t)limit;
    fclose(f);
  }
  atomic_store_explicit(&known, n, memory_order_relaxed);
  return n;
}

/* What the system could give now without swapping; SIZE_MAX when it does not say. */
static size_t available_bytes(void) {
  FILE *f = fopen("/proc/meminfo", "re");
  if (!f) return SIZE_MAX;
  char line[128];
  unsigned long long kib;
  size_t result = SIZE_MAX;
  while (fgets(line, sizeof line, f))
    if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) result = (size_t)kib * KIB;
  fclose(f);
  return result;
}

static void *system_alloc(size_t capacity) {
  void *block;
  if (!USE_CACHE || capacity < MMAP_MIN)
    return posix_memalign(&block, LP_ALIGNMENT, capacity) == 0 ? block : NULL;
  if (capacity >= CHECK_AVAILABLE && capacity > available_bytes()) return NULL;
  size_t page = 4 * KIB, align = capacity >= HUGE_PAGE ? HUGE_PAGE : page;
  size_t size = (capacity + page - 1) / page * page,
         mapped = size + (align > page ? align : 0);
  char *p =
      mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  if (align > page) {
    char *start = (char *)(((uintptr_t)p + align - 1) / align * align);
    if (start > p) munmap(p, (size_t)(start - p));
    if (start + size < p + mapped)
      munmap(start + size, (size_t)(p + mapped - start - size));
    p = start;
    madvise(p, size, MADV_HUGEPAGE);
  }
  return p;
}

static void system_free(void *p, size_t capacity) {
  if (!USE_CACHE || capacity < MMAP_MIN)
    free(p);
  else
    munmap(p, (capacity + 4 * KIB - 1) / (4 * KIB) * (4 * KIB));
}

/* --- thread caches
 * -------------------------------------------------------------------------- */

static pthread_key_t thread_key;
static bool thread_key_made;
static pthread_once_t thread_key_once = PTHREAD_ONCE_INIT;

static void free_thread_blocks(ThreadCache *tc) {
  for (int i = 0; i < SMALL_CLASSES; i++) {
    for (void *p = tc->blocks[i].first, *next; p; p = next) {
      next = *(void **)p;
      free(p);
    }
    tc->blocks[i] = (FreeList){0};
  }
  atomic_store_explicit(&tc->cached_bytes, 0, memory_order_relaxed);
}

static void free_thread_objects(ThreadCache *tc) {
  for (int i = 0; i < OBJECT_CLASSES; i++) {
    for (void *p = tc->objects[i].first, *next; p; p = next) {
      next = *(void **)p;
      free(p);
    }
    tc->objects[i] = (FreeList){0};
  }
}

/* At the thread's end. What later destructors release makes a new cache, and ends here
 * again. */
static void free_thread_cache(void *p) {
  ThreadCache *tc = p;
  thread_cache = NULL;
  free_thread_blocks(tc);
  free_thread_objects(tc);
  pthread_mutex_lock(&lock);
  if (tc->prev)
    tc->prev->next = tc->next;
  else
    threads = tc->next;
  if (tc->next) tc->next->prev = tc->prev;
  pthread_mutex_unlock(&lock);
  free(tc);
}

static void make_thread_key(void) {
  thread_key_made = pthread_key_create(&thread_key, free_thread_cache) == 0;
}

/* NULL where there is none to be had: callers then go to the system. */
static __attribute__((noinline)) ThreadCache *make_thread_cache(void) {
  if (!USE_CACHE) return NULL;
  pthread_once(&thread_key_once, make_thread_key);
  if (!thread_key_made) return NULL;
  ThreadCache *tc = calloc(1, sizeof *tc);
  if (!tc) return NULL;
  if (pthread_setspecific(thread_key, tc) != 0) {
    free(tc);
    return NULL;
  }
  pthread_mutex_lock(&lock);
  tc->next = threads;
  if (threads) threads->prev = tc;
  threads = tc;
  pthread_mutex_unlock(&lock);
  thread_cache = tc;
  return tc;
}

static inline ThreadCache *my_cache(void) {
  ThreadCache *tc = thread_cache;
  return LP_LIKELY(tc != NULL) ? tc : make_thread_cache();
}

/* --- the shared cache (under lock)
 * ---------------------------------------------------------- */

static void unlink_block(FreeBlock *b) {
  int class = class_of(b->capacity_bytes);
  if (b->prev)
    b->prev->next = b->next;
  else
    classes[class] = b->next;
  if (b->next) b->next->prev = b->prev;
  if (b->newer)
    b->newer->older = b->older;
  else
    newest = b->older;
  if (b->older)
    b->older->newer = b->newer;
  else
    oldest = b->newer;
  atomic_fetch_sub_explicit(&cached_bytes, b->capacity_bytes, memory_order_relaxed);
}

static void link_block(FreeBlock *b, size_t capacity) {
  int class = class_of(capacity);
  b->capacity_bytes = capacity;
  b->prev = NULL;
  b->next = classes[class];
  if (b->next) b->next->prev = b;
  classes[class] = b;
  b->newer = NULL;
  b->older = newest;
  if (newest)
    newest->newer = b;
  else
    oldest = b;
  newest = b;
  atomic_fetch_add_explicit(&cached_bytes, capacity, memory_order_relaxed);
}

/* A cached block of this class or one of the next two; NULL when there is none. */
static FreeBlock *take_block(int class) {
  for (int i = class; i < class + 3 && i < CLASS_COUNT; i++) {
    FreeBlock *b = classes[i];
    if (!b) continue;
    unlink_block(b);
    return b;
  }
  return NULL;
}

/* Gives the oldest blocks back until at most `keep` bytes are cached. */
static void trim_cache(size_t keep) {
  for (;;) {
    pthread_mutex_lock(&lock);
    FreeBlock *b =
        atomic_load_explicit(&cached_bytes, memory_order_relaxed) > keep ? oldest : NULL;
    if (b) unlink_block(b);
    pthread_mutex_unlock(&lock);
    if (!b) return;
    system_free(b, b->capacity_bytes);
  }
}

/* --- blocks
 * --------------------------------------------------------------------------------- */

static const char *format_bytes(double bytes, char *buf, size_t buf_bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 6) bytes /= 1024, unit++;
  snprintf(buf, buf_bytes, unit ? "%.2f %s" : "%.0f %s", bytes, units[unit]);
  return buf;
}
#define BYTES_TEXT(n) format_bytes((double)(n), (char[32]){0}, 32)

static bool fail_memory(size_t wanted) {
  LpMemoryStats s;
  lp_memory_stats((LpDevice){LP_CPU, 0}, &s);
  size_t limit = atomic_load(&limit_bytes);
  return lp_fail(
      LP_ERR_MEMORY,
      "out of memory on cpu: wanted %s; %s are live in %llu storages (peak %s), %s "
      "cached, "
      "%s %s. Release tensors you no longer need (x:free()), use smaller batches, or run "
      "under torch.no_grad() where no gradient is needed",
      BYTES_TEXT(wanted), BYTES_TEXT(s.live_bytes), (unsigned long long)s.live_count,
      BYTES_TEXT(s.peak_bytes), BYTES_TEXT(s.cached_bytes),
      limit ? "the limit is" : "the machine has",
      BYTES_TEXT(limit ? limit : physical_bytes()));
}

/* True once when this allocation is the one chosen to fail. */
static inline bool is_chosen_to_fail(void) {
  if (LP_LIKELY(fail_after < 0)) return false;
  return fail_after-- == 0;
}

static bool fits(size_t capacity) {
  size_t live = atomic_load_explicit(&live_bytes, memory_order_relaxed);
  size_t limit = atomic_load_explicit(&limit_bytes, memory_order_relaxed);
  size_t physical = physical_bytes();
  if (limit == 0 || limit > physical) limit = physical;
  return capacity <= limit && live <= limit - capacity;
}

static void count_alloc(size_t capacity) {
  thread_bytes += (int64_t)capacity;
  size_t live =
      atomic_fetch_add_explicit(&live_bytes, capacity, memory_order_relaxed) + capacity;
  size_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
  while (live > peak && !atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, live,
                                                               memory_order_relaxed,
                                                               memory_order_relaxed)) {
  }
  atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed);
}

/* One try, from the cache or the system; *capacity may grow to that of the block found.
 */
static void *try_alloc(int class, size_t *capacity) {
  if (!fits(*capacity)) return NULL;
  if (USE_CACHE && class >= SMALL_CLASSES) {
    pthread_mutex_lock(&lock);
    FreeBlock *b = take_block(class);
    pthread_mutex_unlock(&lock);
    if (b) {
      *capacity = b->capacity_bytes;
      return b;
    }
    /* See Note [Allocator]: fresh memory may not raise the footprint far above the peak.
     */
    size_t live = atomic_load_explicit(&live_bytes, memory_order_relaxed) + *capacity;
    size_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    if (peak < live) peak = live;
    size_t most = 2 * peak + SLACK_BYTES, share = physical_bytes() / 4 * 3;
    if (most > share) most = share;
    trim_cache(most > live ? most - live : 0);
  }
  void *p = system_alloc(*capacity);
  if (p) atomic_fetch_add_explicit(&miss_count, 1, memory_order_relaxed);
  return p;
}

static __attribute__((noinline)) void *alloc_slow(size_t size, int class,
                                                  size_t *capacity_bytes) {
  const size_t wanted = USE_CACHE ? capacity_of(class) : size;
  size_t capacity = wanted;
  void *p = try_alloc(class, &capacity);
  if (!p && !in_pressure) {
    bool (*hook)(size_t) = atomic_load(&pressure_hook);
    if (hook) {
      in_pressure =
          true; /* the hook may allocate, and fail: it is not asked again for that */
      hook(size);
      in_pressure = false;
    }
    lp_memory_empty_cache();
    capacity = wanted;
    p = try_alloc(class, &capacity);
  }
  if (!p) {
    fail_memory(size);
    return NULL;
  }
  count_alloc(capacity);
  *capacity_bytes = capacity;
  return p;
}

/* Empty storages share one address, so that no kernel ever sees a null pointer. */
static _Alignas(LP_ALIGNMENT) char empty_block[LP_ALIGNMENT];

void *lp_block_alloc(size_t size, size_t *capacity_bytes) {
  if (LP_UNLIKELY(is_chosen_to_fail())) {
    fail_memory(size);
    return NULL;
  }
  if (size == 0) {
    *capacity_bytes = 0;
    return empty_block;
  }
  if (size > PTRDIFF_MAX / 2) {
    fail_memory(size);
    return NULL;
  }
  int class = class_of(size);
  if (USE_CACHE && class < SMALL_CLASSES &&
      atomic_load_explicit(&limit_bytes, memory_order_relaxed) == 0) {
    ThreadCache *tc = my_cache();
    FreeList *list = tc ? &tc->blocks[class] : NULL;
    if (list && list->first) {
      size_t capacity = capacity_of(class);
      void *p = list->first;
      list->first = *(void **)p;
      list->count--;
      atomic_store_explicit(
          &tc->cached_bytes,
          atomic_load_explicit(&tc->cached_bytes, memory_order_relaxed) - capacity,
          memory_order_relaxed);
      count_alloc(capacity);
      *capacity_bytes = capacity;
      return p;
    }
  }
  return alloc_slow(size, class, capacity_bytes);
}

void lp_block_free(void *data, size_t capacity) {
  if (capacity == 0) return;
  thread_bytes -= (int64_t)capacity;
  atomic_fetch_sub_explicit(&live_bytes, capacity, memory_order_relaxed);
  atomic_fetch_add_explicit(&free_count, 1, memory_order_relaxed);
  int class = USE_CACHE ? class_of(capacity) : 0;
  if (!USE_CACHE) {
    system_free(data, capacity);
  } else if (class < SMALL_CLASSES) {
    ThreadCache *tc = my_cache();
    FreeList *list = tc ? &tc->blocks[class] : NULL;
    size_t kept = tc ? atomic_load_explicit(&tc->cached_bytes, memory_order_relaxed) : 0;
    if (!list ||
        (list->count * capacity >= THREAD_CLASS_BYTES && kept + capacity > THREAD_BYTES)) {
      free(data);
      return;
    }
    *(void **)data = list->first;
    list->first = data;
    list->count++;
    atomic_store_explicit(&tc->cached_bytes, kept + capacity, memory_order_relaxed);
  } else {
    pthread_mutex_lock(&lock);
    link_block(data, capacity);
    pthread_mutex_unlock(&lock);
  }
}

/* --- objects
 * -------------------------------------------------------------------------------- */

static __attribute__((noinline)) void *alloc_object_slow(size_t size) {
  void *p = NULL;
  if (size <= physical_bytes() && !(p = malloc(size))) {
    lp_memory_empty_cache();
    p = malloc(size);
  }
  if (!p) fail_memory(size);
  return p;
}

static inline size_t object_bytes(size_t size) {
  return size ? (size + 15) & ~(size_t)15 : 16;
}

void *lp_alloc(size_t size) {
  if (LP_UNLIKELY(is_chosen_to_fail())) {
    fail_memory(size);
    return NULL;
  }
  if (!USE_CACHE || size > OBJECT_MAX) return alloc_object_slow(size ? size : 1);
  size_t bytes = object_bytes(size);
  ThreadCache *tc = my_cache();
  FreeList *list = tc ? &tc->objects[bytes / 16 - 1] : NULL;
  if (LP_UNLIKELY(!list || !list->first)) return alloc_object_slow(bytes);
  void *p = list->first;
  list->first = *(void **)p;
  list->count--;
  return p;
}

void *lp_calloc(size_t size) {
  void *p = lp_alloc(size);
  if (p) memset(p, 0, size);
  return p;
}

void lp_free(void *p, size_t size) {
  if (!p) return;
  if (!USE_CACHE || size > OBJECT_MAX) {
    free(p);
    return;
  }
  ThreadCache *tc = my_cache();
  FreeList *list = tc ? &tc->objects[object_bytes(size) / 16 - 1] : NULL;
  if (LP_UNLIKELY(!list || list->count * object_bytes(size) >= OBJECT_KEEP_BYTES)) {
    free(p);
    return;
  }
  *(void **)p = list->first;
  list->first = p;
  list->count++;
}

/* --- control
 * -------------------------------------------------------------------------------- */

void lp_memory_stats(LpDevice device, LpMemoryStats *stats) {
  memset(stats, 0, sizeof *stats);
  if (device.type != LP_CPU && device.type != LP_DEVICE_NONE) return;
  pthread_mutex_lock(&lock);
  for (ThreadCache *tc = threads; tc; tc = tc->next)
    stats->cached_bytes += atomic_load_explicit(&tc->cached_bytes, memory_order_relaxed);
  stats->cached_bytes += atomic_load_explicit(&cached_bytes, memory_order_relaxed);
  for (int i = CLASS_COUNT; i-- > 0 && !stats->largest_cached_bytes;)
    if (classes[i]) stats->largest_cached_bytes = classes[i]->capacity_bytes;
  pthread_mutex_unlock(&lock);
  stats->live_bytes = atomic_load(&live_bytes);
  stats->peak_bytes = atomic_load(&peak_bytes);
  uint64_t freed = atomic_load(&free_count), missed = atomic_load(&miss_count);
  stats->alloc_count = atomic_load(&alloc_count);
  stats->hit_count = stats->alloc_count > missed ? stats->alloc_count - missed : 0;
  stats->live_count = stats->alloc_count > freed ? stats->alloc_count - freed : 0;
}

size_t lp_memory_live_bytes(void) {
  return atomic_load_explicit(&live_bytes, memory_order_relaxed);
}

int64_t lp_memory_thread_bytes(void) { return thread_bytes; }

void lp_memory_thread_charge(int64_t bytes) { thread_bytes += bytes; }

void lp_memory_reset_peak(LpDevice device) {
  atomic_store(&peak_bytes, atomic_load(&live_bytes));
}

void lp_memory_set_cache_hook(void (*drop)(void)) {
  atomic_store(&cache_hook, drop);
}

void lp_memory_empty_cache(void) {
  void (*drop)(void) = atomic_load(&cache_hook);
  if (drop) drop();
  if (thread_cache) free_thread_blocks(thread_cache);
  trim_cache(0);
}

void lp_memory_set_limit(size_t bytes) {
  atomic_store(&limit_bytes, bytes);
}

void lp_memory_set_pressure_hook(bool (*hook)(size_t wanted_bytes)) {
  atomic_store(&pressure_hook, hook);
}

void lp_memory_fail_after(int64_t after) {
  fail_after = after < 0 ? -1 : after;
}
