/* Sizes of the processor's caches, for kernels that choose their blocks by them. */
#ifndef LP_CPU_CACHES_H
#define LP_CPU_CACHES_H

#include <stdint.h>

/* Bytes of a core's first-level data cache and of its second-level cache: what the system
 * tells, or a usual size. Does not change while a process runs. */
int64_t lp_first_cache_bytes(void);
int64_t lp_second_cache_bytes(void);

#endif
