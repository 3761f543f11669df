/* Where a checkpoint's bytes come from: a file, read piece by piece or mapped, or memory.
 * Owned by source.c. Knows nothing of formats. */
#ifndef LP_IO_SOURCE_H
#define LP_IO_SOURCE_H

#include <stdatomic.h>
#include "core/check.h"

/* Note [Reading and mapping]: unless the caller asked for the mapping, a file is read
 * with pread, never through a mapping: the bytes go once, straight to where they are
 * needed, the file's pages do not count as the process's memory, and a file that another
 * process cuts short gives an error instead of a signal. */
typedef struct LpSource {
  _Atomic int refcount;
  int fd;              /* -1: none */
  const uint8_t *data; /* the whole of it, when mapped or in memory; else NULL */
  size_t size_bytes;
  bool is_mapped; /* data is ours to unmap; private, writable pages */
} LpSource;

/* NULL with LP_ERR_IO recorded when the file cannot be opened or is no regular file. */
LpSource *lp_source_open(const char *path, bool use_mmap);
/* Borrows the memory for as long as the source lives. */
LpSource *lp_source_memory(const void *data, size_t size_bytes);
LpSource *lp_source_retain(LpSource *s);
void lp_source_release(LpSource *s); /* NULL-safe */
/* Copies size_bytes from offset (of a mapped file too: what is only copied need not count
 * as the process's memory, see Note [Reading and mapping]) to `to`; false with LP_ERR_IO
 * when they are not there. */
bool lp_source_read(LpSource *s, size_t offset, void *to, size_t size_bytes);

#endif
