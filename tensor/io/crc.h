/* The CRC-32 of zip archives, at the speed of memory. Owned by crc.c. */
#ifndef LP_IO_CRC_H
#define LP_IO_CRC_H

#include "lampad/base.h"

/* As zlib's crc32: start with 0, feed piece by piece. */
uint32_t lp_crc32_fast(uint32_t crc, const void *data, size_t size_bytes);
/* The same by all threads. */
uint32_t lp_crc32_append(uint32_t crc, const void *data, size_t size_bytes);

#endif
