/* Reading zip archives as PyTorch writes them: see Note [Own zip reader] in zip.c.
 * Owned by zip.c; knows nothing of tensors or pickles. */
#ifndef LP_IO_ZIP_H
#define LP_IO_ZIP_H

#include "io/source.h"

typedef struct LpZipEntry {
  const char *name; /* not zero-terminated */
  size_t name_bytes;
  uint16_t method; /* 0 stored, 8 deflated */
  uint32_t crc;
  uint64_t packed_bytes, size_bytes, header_at, data_at;
} LpZipEntry;

typedef struct LpZip {
  LpSource *source; /* borrowed */
  uint8_t *directory;
  size_t directory_bytes;
  LpZipEntry *entries; /* sorted by name */
  size_t count, capacity;
  uint64_t unpacked_bytes, unpack_limit_bytes; /* of deflated members, in all */
} LpZip;

/* Whether the bytes begin as a zip archive does. */
bool lp_zip_probe(LpSource *source);
/* Reads and checks the directory; on failure there is nothing to close. */
bool lp_zip_open(LpZip *zip, LpSource *source);
void lp_zip_close(LpZip *zip);
/* The member prefix + name, or NULL. */
const LpZipEntry *lp_zip_find(const LpZip *zip, const char *prefix, size_t prefix_bytes,
                              const char *name, size_t name_bytes);
typedef struct LpZipRead {
  const LpZipEntry *entry;
  void *to; /* size_bytes of room */
} LpZipRead;

/* All of the members' bytes, unpacked, their CRCs checked, by all threads. */
bool lp_zip_read_all(LpZip *zip, const LpZipRead *reads, size_t count);
/* One of them. */
bool lp_zip_read(LpZip *zip, const LpZipEntry *entry, void *to);

#endif
