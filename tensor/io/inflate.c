/* Data in zlib's format, as members of MATLAB's files are. */
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include "core/check.h"
#include "lampad/io.h"
#include "lampad/tensor.h"

#define FIRST_BYTES ((size_t)1 << 16)

static bool inflate_all(z_stream *z, size_t max_bytes, uint8_t **data, size_t *used) {
  size_t capacity = 0;
  for (;;) {
    if (*used == capacity) {
      capacity = capacity ? capacity * 2 : FIRST_BYTES;
      CHECK(max_bytes == 0 || *used < max_bytes, LP_ERR_IO,
            "the data unpack to more than %zu bytes", max_bytes);
      uint8_t *larger = realloc(*data, capacity);
      if (!larger) return lp_fail(LP_ERR_MEMORY, "out of memory unpacking");
      *data = larger;
    }
    const size_t room = capacity - *used < UINT_MAX ? capacity - *used : UINT_MAX;
    z->next_out = *data + *used;
    z->avail_out = (uInt)room;
    const int status = inflate(z, Z_NO_FLUSH);
    *used += room - z->avail_out;
    if (status == Z_STREAM_END) return true;
    CHECK(status != Z_MEM_ERROR, LP_ERR_MEMORY, "out of memory unpacking");
    CHECK(status == Z_OK && (z->avail_in || z->avail_out == 0), LP_ERR_IO,
          "the packed data are damaged");
    if (lp_interrupt_pending()) {
      lp_interrupt_take();
      return lp_fail(LP_ERR_INTERRUPT, "interrupted unpacking");
    }
  }
}

static void free_data(void *ctx, void *data) {
  free(data);
}

LpTensor *lp_inflate(const void *packed, size_t size_bytes, size_t max_bytes) {
  CHECK(size_bytes <= UINT_MAX, LP_ERR_IO, "the packed data are too long");
  z_stream z = {.next_in = (Bytef *)(uintptr_t)packed, .avail_in = (uInt)size_bytes};
  CHECK(inflateInit(&z) == Z_OK, LP_ERR_MEMORY, "out of memory unpacking");
  uint8_t *data = NULL;
  size_t used = 0;
  const bool ok = inflate_all(&z, max_bytes, &data, &used);
  inflateEnd(&z);
  const int64_t size = (int64_t)used;
  LpTensor *bytes =
      ok ? lp_tensor_from_blob(data, (LpInts){&size, 1}, LP_UINT8, free_data, NULL)
         : NULL;
  if (!bytes) free(data);
  return bytes;
}
