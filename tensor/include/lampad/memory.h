/* The caching allocator's public face: statistics and control. */
#ifndef LAMPAD_MEMORY_H
#define LAMPAD_MEMORY_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LpMemoryStats {
  size_t live_bytes;      /* in storages now */
  size_t peak_bytes;      /* largest live_bytes since lp_memory_reset_peak */
  size_t cached_bytes;    /* free blocks kept for reuse */
  size_t largest_cached_bytes;
  uint64_t alloc_count;   /* blocks handed out since start */
  uint64_t hit_count;     /* of them, served from the cache */
  uint64_t live_count;    /* storages alive */
} LpMemoryStats;

LP_API void lp_memory_stats(LpDevice device, LpMemoryStats *stats);
/* live_bytes of the CPU alone: cheap enough to ask at every op. */
LP_API size_t lp_memory_live_bytes(void);
/* What the calling thread has taken less what it has given back; memory that passed to another thread
 * makes it negative there. Only its growth means something: a host's collector watches it. */
LP_API int64_t lp_memory_thread_bytes(void);
/* Counts `bytes` as taken by the calling thread: what it got from another one (there -bytes). */
LP_API void lp_memory_thread_charge(int64_t bytes);
LP_API void lp_memory_reset_peak(LpDevice device);
/* Drops the tables kept for later calls and gives every cached block back to the system. */
LP_API void lp_memory_empty_cache(void);
/* Refuses to let live bytes pass the limit; 0: no limit. For tests and small devices. */
LP_API void lp_memory_set_limit(size_t limit_bytes);
/* Called once before an allocation fails, to free what can be freed; true: try again. */
LP_API void lp_memory_set_pressure_hook(bool (*hook)(size_t wanted_bytes));
/* The calling thread's next `after`-th allocation (0: the next) fails once; -1: off. For tests. */
LP_API void lp_memory_fail_after(int64_t after);

#ifdef __cplusplus
}
#endif
#endif
