/* Files: reading gzip or plain files whole, writing files atomically, checksums. */
#ifndef LAMPAD_IO_H
#define LAMPAD_IO_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A borrowed run of bytes. */
typedef struct LpBytes {
  const void *data;
  size_t size_bytes;
} LpBytes;

/* A tensor and what it is called in a file. */
typedef struct LpNamedTensor {
  const char *name;
  LpTensor *tensor;
} LpNamedTensor;

/* Reads a whole file, unpacking it when it is in gzip format. *data is owned by the caller: free with
 * lp_bytes_free. Fails with LP_ERR_IO when the file is missing, truncated, corrupted, or larger than
 * max_bytes once unpacked (0: no limit). */
LP_API bool lp_read_gz(const char *path, size_t max_bytes, uint8_t **data, size_t *size_bytes);
LP_API void lp_bytes_free(uint8_t *data);

/* A file's bytes, uint8 (size), owned. NULL with LP_ERR_IO when it is missing or no regular file. */
LP_API LpTensor *lp_read_file(const char *path);

/* Writes the parts one after the other to a temporary file beside `path`, flushes it to the disk and
 * renames it: a reader sees the old file or the whole new one, never a part of it. */
LP_API bool lp_write_file_atomic(const char *path, const LpBytes *parts, size_t part_count);

/* The CRC-32 of gzip and zip; start with crc = 0, feed piece by piece. */
LP_API uint32_t lp_crc32(uint32_t crc, const void *data, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
