/* The CRC-32 of tensor/io/crc.c against zlib's, at every length and place near the edges.
 */
#include <zlib.h>
#include "io/crc.h"
#include "test.h"

TEST(crc_equals_zlibs) {
  static uint8_t bytes[1200];
  uint32_t state = 1;
  for (size_t i = 0; i < sizeof bytes; i++) {
    state = state * 1664525u + 1013904223u;
    bytes[i] = (uint8_t)(state >> 24);
  }
  for (size_t at = 0; at < 20; at++)
    for (size_t n = 0; n < 700; n++) {
      const uint32_t begin = (uint32_t)(n * 2654435761u);
      EXPECT(lp_crc32_fast(begin, bytes + at, n) ==
             (uint32_t)crc32_z(begin, bytes + at, n));
    }
}
