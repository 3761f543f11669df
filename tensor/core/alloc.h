/* Memory of storages: size classes over a cache of blocks, huge pages for large ones; and the
 * small-object allocator of headers and nodes (lp_alloc/lp_free), which the failure tests can
 * make fail. Owned by alloc.c. */
#ifndef LP_CORE_ALLOC_H
#define LP_CORE_ALLOC_H

#include "lampad/memory.h"

#define LP_ALIGNMENT 64

/* 64-byte aligned; NULL with LP_ERR_MEMORY recorded. *capacity_bytes is what lp_block_free wants back. */
void *lp_block_alloc(size_t size_bytes, size_t *capacity_bytes);
void lp_block_free(void *data, size_t capacity_bytes);

/* Headers, nodes, arrays: thread-local free lists by size class below 1 KiB, malloc above.
 * NULL with LP_ERR_MEMORY recorded. lp_free needs the same size. lp_free(NULL, n) is a no-op. */
void *lp_alloc(size_t size_bytes);
void *lp_calloc(size_t size_bytes);
void lp_free(void *p, size_t size_bytes);

/* What lp_memory_empty_cache calls first: drops what a module keeps for later calls (the plans of transforms). */
void lp_memory_set_cache_hook(void (*drop)(void));

#endif
