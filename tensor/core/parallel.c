/* Threads: the one place that starts OpenMP regions (core/parallel.h). Nothing is started
 * before the first region that needs a second thread. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "core/parallel.h"
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/thread.h"
#include "core/whole.h"

/* Chunk borders fall on multiples of this many elements, so that even one-byte elements
 * of two threads do not share a cache line (or the pair of lines that the prefetcher
 * fetches). */
#define BORDER_ELEMS 128

static _Atomic int thread_count; /* 0: not yet decided */

/* CPUs' worth of time that the control group grants, rounded up; 0 when there is no
 * quota. */
static int cgroup_cpus(void) {
  long long quota = -1, period = 0;
  FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (f) {
    if (fscanf(f, "%lld %lld", &quota, &period) != 2) quota = -1; /* "max 100000" */
    fclose(f);
  } else if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re"))) {
    if (fscanf(f, "%lld", &quota) != 1) quota = -1;
    fclose(f);
    if (quota > 0 && (f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re"))) {
      if (fscanf(f, "%lld", &period) != 1) period = 0;
      fclose(f);
    }
  }
  if (quota <= 0 || period <= 0) return 0;
  return (int)((quota + period - 1) / period);
}

static int default_threads(void) {
  int n = omp_get_num_procs(); /* those of the process, though this thread be bound */
  int quota = cgroup_cpus();
  if (quota > 0 && quota < n) n = quota;
  const char *env = getenv("OMP_NUM_THREADS");
  if (env) {
    int wanted = atoi(env);
    if (wanted > 0 && wanted < n) n = wanted;
  }
  return n < 1 ? 1 : n;
}

int lp_num_threads(void) {
  if (lp_tls_thread) {
    int own = atomic_load_explicit(&lp_tls_thread->n_threads, memory_order_relaxed);
    if (own > 0) return own;
  }
  int n = atomic_load_explicit(&thread_count, memory_order_relaxed);
  if (n == 0) {
    int unset = 0;
    n = default_threads();
    if (!atomic_compare_exchange_strong(&thread_count, &unset, n)) n = unset;
    omp_set_num_threads(n); /* BLAS and oneDNN ask OpenMP */
  }
  return n;
}

void lp_set_num_threads(int n) {
  if (n < 1) n = 1;
  omp_set_num_threads(n); /* of the calling thread alone */
  if (lp_tls_thread && lp_tls_thread->n_threads > 0) {
    lp_tls_thread->n_threads = n;
    return;
  }
  atomic_store_explicit(&thread_count, n, memory_order_relaxed);
}

int64_t lp_parallel_threads(int64_t n, int64_t grain) {
  if (grain < 1) grain = 1;
  int64_t threads = n <= grain || omp_in_parallel() ? 1 : lp_num_threads();
  int64_t useful = n / grain + (n % grain != 0);
  return threads > useful ? useful : threads;
}

/* Note [Pieces]: each thread has a range of its own, next to what it had in the op
 * before, so that its cache helps; it goes through it in pieces, and then through what is
 * left of the others' ranges: a core may be slower than another for a while (others use
 * it, too), and nobody waits for longer than a piece. */
#define MOST_PIECES 8 /* of a thread */
#define MOST_RANGES 64

typedef struct Range {
  _Alignas(64) _Atomic int64_t next; /* its first piece that nobody has taken */
} Range;

/* Few, costly elements (rows, images) are not worth unbalancing for the sake of a border.
 */
static int64_t round_to_border(int64_t n) {
  return n >= 8 * BORDER_ELEMS ? (n + BORDER_ELEMS - 1) / BORDER_ELEMS * BORDER_ELEMS : n;
}

/* Note [A core each]: the kernel may wake a thread on the core of the one that wakes it.
 * There they stay: while one waits for the other, it takes the time that the other needs,
 * until it sleeps; and as each sleeps half the time, the kernel sees no load to balance.
 * An op then takes ten times as long, on a machine with hardly anything else to do. So a
 * thread that finds itself on a core that another of the region has moves to a free one,
 * where the kernel may move it again as it likes. */
#define MOST_CORES 1024

typedef struct Cores {
  _Atomic uint64_t taken[MOST_CORES / 64];
} Cores;

/* False when another thread has the core. */
static bool take_core(Cores *cores, int core) {
  if (core < 0 || core >= MOST_CORES) return true; /* cannot tell */
  const uint64_t bit = (uint64_t)1 << core % 64;
  return !(atomic_fetch_or_explicit(&cores->taken[core / 64], bit, memory_order_relaxed) &
           bit);
}

static void __attribute__((noinline)) move_to_free_core(Cores *cores) {
  cpu_set_t allowed, free_ones;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  CPU_ZERO(&free_ones);
  for (int core = 0; core < CPU_SETSIZE && core < MOST_CORES; core++)
    if (CPU_ISSET(core, &allowed) &&
        !(atomic_load_explicit(&cores->taken[core / 64], memory_order_relaxed) >>
              core % 64 &
          1))
      CPU_SET(core, &free_ones);
  if (CPU_COUNT(&free_ones) == 0 ||
      sched_setaffinity(0, sizeof free_ones, &free_ones) != 0)
    return;
  take_core(cores, sched_getcpu());
  sched_setaffinity(0, sizeof allowed, &allowed);
}

void lp_parallel_walk(int64_t n, int64_t grain,
                      void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx,
                      bool backwards) {
  if (n <= 0) return;
  const int64_t threads = lp_parallel_threads(n, grain);
  if (threads <= 1) {
    body(ctx, 0, n);
    return;
  }
  const int64_t count = threads < MOST_RANGES ? threads : MOST_RANGES;
  const int64_t size = round_to_border(lp_ratio_up(n, count));
  const int64_t useful = lp_ratio_up(size, grain < 1 ? 1 : grain),
                most = MOST_PIECES * lp_ratio_up(threads, count);
  const int64_t piece = round_to_border(lp_ratio_up(size, useful < most ? useful : most));
  Range ranges[MOST_RANGES];
  for (int64_t i = 0; i < count; i++) atomic_init(&ranges[i].next, 0);
  Cores cores = {0};
  take_core(&cores, sched_getcpu());
#pragma omp parallel num_threads((int)threads)
  {
    const int thread = omp_get_thread_num();
    if (thread != 0 && !take_core(&cores, sched_getcpu())) move_to_free_core(&cores);
    for (int64_t i = 0; i < count; i++) { /* OpenMP may grant fewer threads: all ranges */
      const int64_t r = (thread + i) % count;
      const int64_t begin = r * size, end = begin + size < n ? begin + size : n;
      for (;;) {
        const int64_t done =
            piece * atomic_fetch_add_explicit(&ranges[r].next, 1, memory_order_relaxed);
        if (done >= end - begin) break;
        const int64_t more = done + piece < end - begin ? done + piece : end - begin;
        if (backwards)
          body(ctx, end - more, end - done);
        else
          body(ctx, begin + done, begin + more);
      }
    }
  }
}

void lp_parallel_for(int64_t n, int64_t grain,
                     void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx) {
  lp_parallel_walk(n, grain, body, ctx, false);
}
