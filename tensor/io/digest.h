/* Checksums of downloads: SHA-256 (FIPS 180-4) and MD5 (RFC 1321). Owned by digest.c. MD5
 * protects against damage, not against malice; it is what data sets publish. */
#ifndef LP_IO_DIGEST_H
#define LP_IO_DIGEST_H

#include "lampad/io.h"

typedef struct LpDigest {
  LpDigestKind kind;
  uint32_t state[8];
  uint64_t size_bytes;
  uint8_t block[64];
} LpDigest;

void lp_digest_begin(LpDigest *d, LpDigestKind kind);
void lp_digest_update(LpDigest *d, const void *data, size_t size_bytes);
/* Lower-case hexadecimal digits, 32 or 64 and a zero. */
void lp_digest_end(LpDigest *d, char hex[65]);

#endif
