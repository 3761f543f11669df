/* CRC-32 by carry-less multiplication where the processor has it, else by zlib.
 *
 * A checkpoint of gigabytes is read about as fast as its checksums are taken. The method
 * is that of V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using
 * PCLMULQDQ Instruction" (Intel, 2009): four lanes of 128 bits are folded over the data
 * by multiplying with powers of x modulo the polynomial, then into one, which Barrett's
 * reduction ends. The constants are those powers for the reflected polynomial of zip, as
 * given there. */
#include "io/crc.h"
#include <zlib.h>
#include "core/parallel.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define FOLD __attribute__((target("pclmul,sse4.1")))

static FOLD inline __m128i fold(__m128i x, __m128i powers, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(x, powers, 0x00),
                high = _mm_clmulepi64_si128(x, powers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* n: at least 64, a multiple of 16. crc: the state, that is the complement of the sum. */
static FOLD uint32_t crc_folded(uint32_t crc, const uint8_t *p, size_t n) {
  const __m128i by512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4),
                by128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0),
                by64 = _mm_set_epi64x(0, 0x163cd6124),
                barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641),
                mask = _mm_setr_epi32(-1, 0, -1, 0);
  __m128i x[4];
  for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i *)p + i);
  x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
  for (p += 64, n -= 64; n >= 64; p += 64, n -= 64)
    for (int i = 0; i < 4; i++)
      x[i] = fold(x[i], by512, _mm_loadu_si128((const __m128i *)p + i));
  __m128i y = x[0];
  for (int i = 1; i < 4; i++) y = fold(y, by128, x[i]);
  for (; n >= 16; p += 16, n -= 16)
    y = fold(y, by128, _mm_loadu_si128((const __m128i *)p));
  y = _mm_xor_si128(_mm_srli_si128(y, 8), _mm_clmulepi64_si128(y, by128, 0x10));
  y = _mm_xor_si128(_mm_srli_si128(y, 4),
                    _mm_clmulepi64_si128(_mm_and_si128(y, mask), by64, 0x00));
  __m128i q = _mm_clmulepi64_si128(_mm_and_si128(y, mask), barrett, 0x10);
  q = _mm_clmulepi64_si128(_mm_and_si128(q, mask), barrett, 0x00);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(y, q), 1);
}

uint32_t lp_crc32_fast(uint32_t crc, const void *data, size_t size_bytes) {
  const size_t whole = size_bytes / 16 * 16;
  if (whole < 64 || !__builtin_cpu_supports("pclmul") ||
      !__builtin_cpu_supports("sse4.1"))
    return (uint32_t)crc32_z(crc, data, size_bytes);
  crc = ~crc_folded(~crc, data, whole);
  return (uint32_t)crc32_z(crc, (const uint8_t *)data + whole, size_bytes - whole);
}
#else
uint32_t lp_crc32_fast(uint32_t crc, const void *data, size_t size_bytes) {
  return (uint32_t)crc32_z(crc, data, size_bytes);
}
#endif

#define CHUNK_BYTES ((size_t)1 << 21)
#define MAX_CHUNKS ((size_t)256)

typedef struct Chunks {
  const uint8_t *data;
  size_t size_bytes, chunk_bytes;
  uint32_t crcs[MAX_CHUNKS];
} Chunks;

static size_t bytes_of(const Chunks *c, size_t i) {
  const size_t left = c->size_bytes - i * c->chunk_bytes;
  return left < c->chunk_bytes ? left : c->chunk_bytes;
}

static void sum_chunks(void *ctx, int64_t from, int64_t to) {
  Chunks *c = ctx;
  for (size_t i = (size_t)from; i < (size_t)to; i++)
    c->crcs[i] = lp_crc32_fast(0, c->data + i * c->chunk_bytes, bytes_of(c, i));
}

uint32_t lp_crc32_append(uint32_t crc, const void *data, size_t size_bytes) {
  if (size_bytes < 2 * CHUNK_BYTES) return lp_crc32_fast(crc, data, size_bytes);
  Chunks c = {.data = data, .size_bytes = size_bytes, .chunk_bytes = CHUNK_BYTES};
  while (size_bytes / c.chunk_bytes >= MAX_CHUNKS) c.chunk_bytes *= 2;
  const size_t count = (size_bytes + c.chunk_bytes - 1) / c.chunk_bytes;
  lp_parallel_for((int64_t)count, 1, sum_chunks, &c);
  for (size_t i = 0; i < count; i++)
    crc = (uint32_t)crc32_combine(crc, c.crcs[i], (z_off_t)bytes_of(&c, i));
  return crc;
}
