/* Whole files in: gzip reading with every fault told apart; CRC-32.
 * Called by the binding for datasets and checkpoints. Knows nothing of tensors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include "core/check.h"
#include "lampad/io.h"

#define FIRST_CHUNK_BYTES ((size_t)1 << 16)
#define MAX_ZLIB_CHUNK ((size_t)1 << 30)

/* Unpacks the open stream into a growing buffer. */
static bool read_all(gzFile file, const char *path, size_t max_bytes, uint8_t **data, size_t *size_bytes) {
  size_t capacity = FIRST_CHUNK_BYTES, used = 0;
  uint8_t *buffer = malloc(capacity);
  CHECK(buffer, LP_ERR_MEMORY, "out of memory reading %s", path);
  for (;;) {
    if (used == capacity) {
      uint8_t *larger = capacity <= SIZE_MAX / 2 ? realloc(buffer, capacity * 2) : NULL;
      if (!larger) {
        free(buffer);
        return lp_fail(LP_ERR_MEMORY, "out of memory reading %s after %zu bytes", path, used);
      }
      buffer = larger;
      capacity *= 2;
    }
    size_t want = capacity - used < MAX_ZLIB_CHUNK ? capacity - used : MAX_ZLIB_CHUNK;
    int got = gzread(file, buffer + used, (unsigned)want);
    int status;
    const char *reason = gzerror(file, &status);
    if (got < 0 || status < 0) {
      int system_error = errno;
      free(buffer);
      if (status == Z_BUF_ERROR)
        return lp_fail(LP_ERR_IO, "%s is truncated: the compressed data ends too early (download it again)", path);
      if (status == Z_ERRNO) return lp_fail(LP_ERR_IO, "cannot read %s: %s", path, strerror(system_error));
      return lp_fail(LP_ERR_IO, "%s is corrupted: %s (download it again)", path, reason);
    }
    used += (size_t)got;
    if (max_bytes && used > max_bytes) {
      free(buffer);
      return lp_fail(LP_ERR_IO, "%s unpacks to more than the %zu bytes allowed", path, max_bytes);
    }
    if (lp_interrupt_pending()) {
      free(buffer);
      lp_interrupt_take();
      return lp_fail(LP_ERR_INTERRUPT, "interrupted reading %s", path);
    }
    if ((size_t)got < want) break;
  }
  *data = buffer;
  *size_bytes = used;
  return true;
}

bool lp_read_gz(const char *path, size_t max_bytes, uint8_t **data, size_t *size_bytes) {
  struct stat info;
  CHECK(stat(path, &info) == 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  CHECK(!S_ISDIR(info.st_mode), LP_ERR_IO, "cannot read %s: it is a folder", path);
  gzFile file = gzopen(path, "rbe");
  CHECK(file, LP_ERR_IO, "cannot open %s: %s", path, errno ? strerror(errno) : "out of memory");
  gzbuffer(file, 1 << 17);
  bool ok = read_all(file, path, max_bytes, data, size_bytes);
  gzclose_r(file);
  return ok;
}

void lp_bytes_free(uint8_t *data) { free(data); }

uint32_t lp_crc32(uint32_t crc, const void *data, size_t size_bytes) {
  return (uint32_t)crc32_z(crc, data, size_bytes);
}
