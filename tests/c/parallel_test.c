/* The range splitter: every element once, whatever the size, the grain and the nesting;
 * threads on cores of their own. */
#define _GNU_SOURCE /* sched_getcpu */
#include "core/parallel.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "test.h"

static void count(void *ctx, int64_t begin, int64_t end) {
  unsigned char *seen = ctx;
  for (int64_t i = begin; i < end; i++) seen[i]++;
}

static void nested(void *ctx, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++)
    lp_parallel_for(100, 1, count, (char *)ctx + i * 100);
}

static bool all_once(const unsigned char *seen, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (seen[i] != 1) return false;
  return true;
}

TEST(parallel_covers_every_element_once) {
  const int64_t sizes[] = {0, 1, 2, 3, 127, 128, 129, 1023, 1024, 5000, 100003};
  const int64_t grains[] = {1, 7, 1000, 1 << 20};
  int threads = lp_num_threads();
  for (int t = 1; t <= 5; t += 2) {
    lp_set_num_threads(t);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
      for (size_t k = 0; k < sizeof grains / sizeof *grains; k++) {
        unsigned char *seen = calloc((size_t)sizes[i] + 1, 1);
        lp_parallel_for(sizes[i], grains[k], count, seen);
        EXPECT(all_once(seen, sizes[i]));
        free(seen);
      }
  }
  lp_set_num_threads(threads);
  EXPECT(lp_num_threads() == threads && threads >= 1);
}

TEST(parallel_nests) {
  unsigned char *seen = calloc(1000, 1);
  lp_parallel_for(10, 1, nested, seen);
  EXPECT(all_once(seen, 1000));
  free(seen);
}

/* Two pieces that begin together. */
typedef struct Meeting {
  pthread_t caller;
  int cores[2];
  _Atomic int count;
  bool crowd; /* the other thread comes to the caller's core, and may leave it again */
} Meeting;

static void meet(void *ctx, int64_t begin, int64_t end) {
  (void)end;
  Meeting *m = ctx;
  m->cores[begin] = sched_getcpu();
  atomic_fetch_add(&m->count, 1);
  const time_t last = time(NULL) + 2; /* a region may have been granted one thread */
  while (atomic_load(&m->count) < 2 && time(NULL) < last) sched_yield();
  if (!m->crowd || pthread_equal(pthread_self(), m->caller)) return;
  cpu_set_t allowed, one;
  CPU_ZERO(&one);
  CPU_SET(m->cores[!begin], &one);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 &&
      sched_setaffinity(0, sizeof one, &one) == 0)
    sched_setaffinity(0, sizeof allowed, &allowed);
}

TEST(parallel_threads_leave_a_core_that_they_share) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
    return;
  const int threads = lp_num_threads(), rounds = 40;
  lp_set_num_threads(2);
  int apart = 0;
  for (int i = 0; i < rounds; i++) {
    Meeting m = {.caller = pthread_self(), .crowd = true};
    lp_parallel_for(2, 1, meet, &m);
    m.crowd = false;
    atomic_store(&m.count, 0);
    lp_parallel_for(2, 1, meet, &m);
    apart += m.cores[0] != m.cores[1];
  }
  lp_set_num_threads(threads);
  EXPECT(apart >=
         rounds * 3 / 4); /* the kernel may move one between the check and the piece */
}
