/* SHA-256 and MD5 (digest.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/check.h"
#include "io/digest.h"

static inline uint32_t rotate_left(uint32_t x, int n) {
  return x << n | x >> (32 - n);
}
static inline uint32_t rotate_right(uint32_t x, int n) {
  return x >> n | x << (32 - n);
}

/* --- SHA-256
 * ----------------------------------------------------------------------------------- */

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t sha_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
    0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
    0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
    0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
    0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
    0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2};

/* One round, which changes d and h; the eight names move on by one for the next. */
static inline void sha256_round(uint32_t a, uint32_t b, uint32_t c, uint32_t *d,
                                uint32_t e, uint32_t f, uint32_t g, uint32_t *h,
                                uint32_t input) {
  const uint32_t t = *h +
                     (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) +
                     (g ^ (e & (f ^ g))) + input;
  const uint32_t u = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
                     ((a & b) | (c & (a | b)));
  *d += t;
  *h = t + u;
}

static void sha256_block(uint32_t state[8], const uint8_t *block) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) {
    uint32_t word;
    memcpy(&word, block + 4 * i, sizeof word);
    w[i] = __builtin_bswap32(word);
  }
  for (int i = 16; i < 64; i++) {
    const uint32_t x = w[i - 15], y = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3) +
           (rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10);
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  const uint32_t *k = sha_constants;
  for (int i = 0; i < 64; i += 8) {
    sha256_round(a, b, c, &d, e, f, g, &h, k[i] + w[i]);
    sha256_round(h, a, b, &c, d, e, f, &g, k[i + 1] + w[i + 1]);
    sha256_round(g, h, a, &b, c, d, e, &f, k[i + 2] + w[i + 2]);
    sha256_round(f, g, h, &a, b, c, d, &e, k[i + 3] + w[i + 3]);
    sha256_round(e, f, g, &h, a, b, c, &d, k[i + 4] + w[i + 4]);
    sha256_round(d, e, f, &g, h, a, b, &c, k[i + 5] + w[i + 5]);
    sha256_round(c, d, e, &f, g, h, a, &b, k[i + 6] + w[i + 6]);
    sha256_round(b, c, d, &e, f, g, h, &a, k[i + 7] + w[i + 7]);
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

/* --- MD5
 * ---------------------------------------------------------------------------------------
 */

/* floor(2^32 * abs(sin(i + 1))). */
static const uint32_t md5_constants[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613,
    0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193,
    0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d,
    0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed,
    0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122,
    0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
    0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244,
    0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
    0xeb86d391};
static const uint8_t md5_shifts[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void md5_block(uint32_t state[4], const uint8_t *block) {
  uint32_t w[16];
  for (int i = 0; i < 16; i++)
    w[i] = block[4 * i] | (uint32_t)block[4 * i + 1] << 8 |
           (uint32_t)block[4 * i + 2] << 16 | (uint32_t)block[4 * i + 3] << 24;
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  for (int i = 0; i < 64; i++) {
    uint32_t f;
    int g;
    switch (i / 16) {
    case 0: f = (b & c) | (~b & d), g = i; break;
    case 1: f = (d & b) | (~d & c), g = (5 * i + 1) % 16; break;
    case 2: f = b ^ c ^ d, g = (3 * i + 5) % 16; break;
    default: f = c ^ (b | ~d), g = 7 * i % 16; break;
    }
    f += a + md5_constants[i] + w[g];
    a = d;
    d = c;
    c = b;
    b += rotate_left(f, md5_shifts[i / 16][i % 4]);
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}

/* --- both
 * ---------------------------------------------------------------------------------------
 */

static void take_block(LpDigest *d, const uint8_t *block) {
  (d->kind == LP_SHA256 ? sha256_block : md5_block)(d->state, block);
}

void lp_digest_begin(LpDigest *d, LpDigestKind kind) {
  static const uint32_t sha[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  static const uint32_t md5[8] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  *d = (LpDigest){.kind = kind};
  memcpy(d->state, kind == LP_SHA256 ? sha : md5, sizeof sha);
}

void lp_digest_update(LpDigest *d, const void *data, size_t size_bytes) {
  const uint8_t *p = data;
  const size_t held = d->size_bytes % 64;
  d->size_bytes += size_bytes;
  if (held) {
    const size_t taken = size_bytes < 64 - held ? size_bytes : 64 - held;
    memcpy(d->block + held, p, taken);
    if (held + taken < 64) return;
    take_block(d, d->block);
    p += taken;
    size_bytes -= taken;
  }
  for (; size_bytes >= 64; p += 64, size_bytes -= 64) take_block(d, p);
  if (size_bytes) memcpy(d->block, p, size_bytes);
}

void lp_digest_end(LpDigest *d, char hex[65]) {
  const bool big = d->kind == LP_SHA256;
  const uint64_t bits = d->size_bytes * 8;
  uint8_t tail[72] = {0x80};
  const size_t held = d->size_bytes % 64, zeros = held < 56 ? 56 - held : 120 - held;
  for (int i = 0; i < 8; i++)
    tail[zeros + (size_t)i] = (uint8_t)(bits >> 8 * (big ? 7 - i : i));
  lp_digest_update(d, tail, zeros + 8);
  static const char digits[] = "0123456789abcdef";
  const int bytes = big ? 32 : 16;
  for (int i = 0; i < bytes; i++) {
    const int at = i % 4;
    const uint8_t byte = (uint8_t)(d->state[i / 4] >> 8 * (big ? 3 - at : at));
    hex[2 * i] = digits[byte >> 4];
    hex[2 * i + 1] = digits[byte & 15];
  }
  hex[2 * bytes] = '\0';
}

#define CHUNK_BYTES ((size_t)1 << 18)

bool lp_file_digest(const char *path, LpDigestKind kind, char hex[65]) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0, LP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  uint8_t *chunk = malloc(CHUNK_BYTES);
  LpDigest d;
  lp_digest_begin(&d, kind);
  ssize_t got = chunk ? 1 : lp_fail(LP_ERR_MEMORY, "out of memory reading %s", path) - 1;
  while (got > 0) {
    if (lp_interrupt_pending()) {
      lp_interrupt_take();
      lp_fail(LP_ERR_INTERRUPT, "interrupted reading %s", path);
      got = -1;
      break;
    }
    got = read(fd, chunk, CHUNK_BYTES);
    if (got < 0 && errno == EINTR) {
      got = 1;
      continue;
    }
    if (got < 0) lp_fail(LP_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    if (got > 0) lp_digest_update(&d, chunk, (size_t)got);
  }
  free(chunk);
  close(fd);
  if (got == 0) lp_digest_end(&d, hex);
  return got == 0;
}
