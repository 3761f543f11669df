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

/* --- Checksums of files ------------------------------------------------------------------- */
typedef enum LpDigestKind { LP_SHA256, LP_MD5 } LpDigestKind;
/* Lower-case hexadecimal digits. */
LP_API bool lp_file_digest(const char *path, LpDigestKind kind, char hex[65]);

/* --- Downloads ------------------------------------------------------------------------------ */
typedef struct LpFetch {
  const char *url;  /* http or https */
  const char *path; /* what it holds already is taken as the beginning, and continued; locked meanwhile */
  const char *ready; /* may be NULL. When another process has made this file while we waited for the lock, there is
                        nothing to do */
  /* May be NULL. total_bytes is -1 when the server does not say; false stops with LP_ERR_CALLBACK. */
  bool (*progress)(void *ctx, int64_t done_bytes, int64_t total_bytes);
  void *ctx;
  int stall_timeout_s; /* ends after so long without a byte; 0: 60 */
  /* Results. */
  int http_status; /* 0 when there was no answer */
  int64_t resumed_bytes;
  bool was_ready;
} LpFetch;
/* False with LP_ERR_IO when it fails; what came stays in the file, to be continued. */
LP_API bool lp_fetch(LpFetch *fetch);

/* --- Archives and packed files ---------------------------------------------------------------- */
/* Makes the folder and those above it, where they are not there. */
LP_API bool lp_make_folders(const char *path);
/* Unpacks a tar or zip archive, however compressed, into the folder. Members that would land elsewhere, and links, are
 * errors. */
LP_API bool lp_unpack_archive(const char *from, const char *folder);
/* Unpacks a file in gzip, bzip2, xz or zstd format. */
LP_API bool lp_unpack_file(const char *from, const char *to);
/* The unpacked bytes of such a file, uint8 (n), owned; of a plain file its own. max_bytes: 0 is no limit. */
LP_API LpTensor *lp_read_packed(const char *path, size_t max_bytes);
/* What bytes in zlib's format unpack to, uint8 (n), owned. */
LP_API LpTensor *lp_inflate(const void *packed, size_t size_bytes, size_t max_bytes);

#ifdef __cplusplus
}
#endif
#endif
