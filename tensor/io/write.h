/* Where the file formats write: a file that appears only once it is whole, or memory.
 * Owned by write.c. Must not include tensors or Lua. */
#ifndef LP_IO_WRITE_H
#define LP_IO_WRITE_H

#include "lampad/io.h"

/* Filled by an opener; afterwards every path ends in lp_writer_finish, lp_writer_take or
 * lp_writer_abort. */
typedef struct LpWriter {
  const char *path; /* borrowed, for messages; NULL: memory */
  char *target;     /* where the file goes once it is whole: path without its links */
  char *temporary; /* beside the target; NULL: a device or pipe, which is written directly
                    */
  int fd;          /* -1: memory */
  uint8_t *buffer; /* of a file: bytes not yet written; of memory: all of them */
  size_t used_bytes, capacity_bytes;
  uint64_t total_bytes; /* put so far */
} LpWriter;

/* Begins a file under a temporary name in the folder of `path`, with the permissions of
 * the file that is there. Fails with LP_ERR_IO and the system's reason, having made
 * nothing. */
bool lp_writer_open(LpWriter *w, const char *path);
void lp_writer_open_memory(LpWriter *w);

/* Appends bytes. On failure (disk full, no memory, an interrupt) the writer is already
 * aborted. */
bool lp_writer_put(LpWriter *w, const void *data, size_t size_bytes);

/* Flushes to the disk and renames: a reader sees the old file or the whole new one. On
 * failure the old file is as it was and the temporary one is gone. */
bool lp_writer_finish(LpWriter *w);
/* Of memory: hands the bytes over, for lp_bytes_free. */
bool lp_writer_take(LpWriter *w, uint8_t **data, size_t *size_bytes);

/* Removes what was written so far; after the end of the writer it does nothing. */
void lp_writer_abort(LpWriter *w);

#endif
