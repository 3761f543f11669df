/* The caching allocator: reuse, statistics, limits, failures, threads. */
#include "core/alloc.h"
#include <pthread.h>
#include <stdlib.h>
#include "core/tensor.h"
#include "test.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_CACHE 0
#else
#define HAS_CACHE 1
#endif

static LpMemoryStats stats(void) {
  LpMemoryStats s;
  lp_memory_stats(lp_cpu(), &s);
  return s;
}

TEST(alloc_blocks_are_aligned_and_large_enough) {
  size_t before = stats().live_bytes;
  for (size_t size = 1; size < (size_t)8 << 20; size = size * 3 / 2 + 7) {
    size_t capacity = 0;
    unsigned char *p = lp_block_alloc(size, &capacity);
    EXPECT(p && (uintptr_t)p % LP_ALIGNMENT == 0);
    EXPECT(capacity >= size && (capacity <= size + size / 3 + 128));
    p[0] = 1;
    p[size - 1] = 2;
    EXPECT(stats().live_bytes == before + capacity);
    lp_block_free(p, capacity);
  }
  EXPECT(stats().live_bytes == before);
}

TEST(alloc_empty_block_is_not_null) {
  size_t capacity = 1;
  void *p = lp_block_alloc(0, &capacity);
  EXPECT(p && capacity == 0);
  lp_block_free(p, capacity);
}

TEST(alloc_freed_block_comes_back) {
  const size_t sizes[] = {100, 5000, 100000, 3u << 20};
  for (size_t i = 0; i < 4; i++) {
    size_t a, b;
    void *p = lp_block_alloc(sizes[i], &a);
    lp_block_free(p, a);
    uint64_t hits = stats().hit_count;
    void *q = lp_block_alloc(sizes[i], &b);
    if (HAS_CACHE) EXPECT(p == q && a == b && stats().hit_count == hits + 1);
    lp_block_free(q, b);
  }
  lp_memory_empty_cache();
  EXPECT(stats().cached_bytes == 0);
}

TEST(alloc_cache_stays_near_the_peak) {
  lp_memory_empty_cache();
  lp_memory_reset_peak(lp_cpu());
  /* Sizes that never repeat: the cache may not grow with each of them. */
  for (size_t i = 1; i <= 12; i++) {
    size_t capacity;
    void *p = lp_block_alloc(i * (24u << 20), &capacity);
    EXPECT(p != NULL);
    lp_block_free(p, capacity);
  }
  LpMemoryStats s = stats();
  EXPECT(s.live_bytes + s.cached_bytes <= 2 * s.peak_bytes + (64u << 20));
  lp_memory_empty_cache();
}

TEST(alloc_peak_is_kept_and_reset) {
  size_t a, b;
  lp_memory_reset_peak(lp_cpu());
  size_t before = stats().live_bytes;
  void *p = lp_block_alloc(1u << 20, &a), *q = lp_block_alloc(1u << 20, &b);
  lp_block_free(p, a);
  lp_block_free(q, b);
  EXPECT(stats().peak_bytes == before + a + b);
  lp_memory_reset_peak(lp_cpu());
  EXPECT(stats().peak_bytes == before);
}

TEST(alloc_absurd_sizes_fail_cleanly) {
  size_t capacity;
  EXPECT_FAILS(lp_block_alloc((size_t)1 << 50, &capacity), LP_ERR_MEMORY, "1.00 PiB");
  EXPECT_FAILS(lp_block_alloc(SIZE_MAX - 5, &capacity), LP_ERR_MEMORY, "out of memory");
  EXPECT_FAILS(lp_alloc((size_t)1 << 50), LP_ERR_MEMORY, "out of memory");
}

TEST(alloc_limit_is_kept) {
  size_t capacity;
  lp_memory_set_limit(stats().live_bytes + (1u << 20));
  EXPECT_FAILS(lp_block_alloc(2u << 20, &capacity), LP_ERR_MEMORY, "the limit is");
  void *p = lp_block_alloc(1000, &capacity);
  EXPECT(p != NULL);
  lp_block_free(p, capacity);
  lp_memory_set_limit(0);
}

static void *held;
static size_t held_capacity;
static int hook_calls;

static bool release_held(size_t wanted_bytes) {
  hook_calls++;
  if (held) lp_block_free(held, held_capacity);
  held = NULL;
  return true;
}

TEST(alloc_pressure_hook_saves_an_allocation) {
  size_t capacity;
  hook_calls = 0;
  held = lp_block_alloc(4u << 20, &held_capacity);
  lp_memory_set_limit(stats().live_bytes + (1u << 20));
  lp_memory_set_pressure_hook(release_held);
  void *p = lp_block_alloc(3u << 20, &capacity);
  EXPECT(p != NULL && hook_calls == 1);
  if (p) lp_block_free(p, capacity);
  lp_memory_set_pressure_hook(NULL);
  lp_memory_set_limit(0);
}

TEST(alloc_chosen_allocation_fails_once) {
  size_t a;
  lp_memory_fail_after(1);
  void *p = lp_block_alloc(100, &a);
  EXPECT(p != NULL);
  EXPECT_FAILS(lp_alloc(10), LP_ERR_MEMORY, "out of memory");
  void *q = lp_alloc(10);
  EXPECT(q != NULL);
  lp_free(q, 10);
  lp_block_free(p, a);
  lp_memory_fail_after(0);
  lp_memory_fail_after(-1);
  EXPECT((q = lp_calloc(33)) != NULL);
  for (int i = 0; i < 33; i++) EXPECT(((char *)q)[i] == 0);
  lp_free(q, 33);
  lp_free(NULL, 12);
}

enum { KEEP = 64 };

/* Random sizes, with a mark at both ends to see that no two blocks share memory. */
static void *churn(void *arg) {
  unsigned seed = (unsigned)(uintptr_t)arg;
  struct {
    unsigned char *p;
    size_t size, capacity;
  } blocks[KEEP] = {0};
  intptr_t bad = 0;
  for (int i = 0; i < 4000; i++) {
    int k = rand_r(&seed) % KEEP;
    unsigned char mark = (unsigned char)(k ^ (int)(uintptr_t)arg);
    if (blocks[k].p) {
      bad += blocks[k].p[0] != mark || blocks[k].p[blocks[k].size - 1] != mark;
      if (blocks[k].capacity)
        lp_block_free(blocks[k].p, blocks[k].capacity);
      else
        lp_free(blocks[k].p, blocks[k].size);
      blocks[k].p = NULL;
      continue;
    }
    bool small = rand_r(&seed) & 1;
    blocks[k].size = 1 + (size_t)rand_r(&seed) % (small ? 1500 : 200000);
    blocks[k].capacity = 0;
    blocks[k].p = small ? lp_alloc(blocks[k].size)
                        : lp_block_alloc(blocks[k].size, &blocks[k].capacity);
    if (!blocks[k].p) {
      bad++;
      continue;
    }
    blocks[k].p[0] = blocks[k].p[blocks[k].size - 1] = mark;
  }
  for (int k = 0; k < KEEP; k++) {
    if (!blocks[k].p) continue;
    if (blocks[k].capacity)
      lp_block_free(blocks[k].p, blocks[k].capacity);
    else
      lp_free(blocks[k].p, blocks[k].size);
  }
  return (void *)bad;
}

TEST(alloc_threads_do_not_disturb_each_other) {
  size_t before = stats().live_bytes;
  pthread_t threads[4];
  for (uintptr_t i = 0; i < 4; i++)
    EXPECT(pthread_create(&threads[i], NULL, churn, (void *)(i * 77 + 1)) == 0);
  for (int i = 0; i < 4; i++) {
    void *bad;
    pthread_join(threads[i], &bad);
    EXPECT(bad == NULL);
  }
  EXPECT(stats().live_bytes == before);
  lp_memory_empty_cache();
  EXPECT(stats().cached_bytes == 0); /* the ended threads left nothing behind */
}
