/* The kernels that float16 and bfloat16 need of their own: the neighbour of a number
 * depends on its format, while every other op is computed in float32 and rounded (Note
 * [Pointwise kernels]). */
#include "cpu/simd/kernels.h"

/* Bit patterns of one sign are ordered as the numbers are. */
static inline uint16_t next_bits(uint16_t a, uint16_t b, uint16_t infinity) {
  uint16_t a_size = a & 0x7fff, b_size = b & 0x7fff;
  if (a_size > infinity) return a;
  if (b_size > infinity) return b;
  if (a == b || (a_size | b_size) == 0) return b;
  if (a_size == 0) return (b & 0x8000) | 1;
  bool away = (a & 0x8000) == (b & 0x8000) && b_size > a_size;
  return away ? (uint16_t)(a + 1) : (uint16_t)(a - 1);
}

#define NEXTAFTER(id, infinity)                                                          \
  static void nextafter_##id(char *const *ptrs, int64_t n, const LpScalar *params) {     \
    uint16_t *out = (uint16_t *)ptrs[0];                                                 \
    const uint16_t *a = (const uint16_t *)ptrs[1], *b = (const uint16_t *)ptrs[2];       \
    for (int64_t i = 0; i < n; i++) out[i] = next_bits(a[i], b[i], infinity);            \
  }
NEXTAFTER(f16, 0x7c00)
NEXTAFTER(bf16, 0x7f80)

const LpPointwiseRow LP_SIMD(lp_pointwise_f16) = {
    {[LP_POINTWISE_BINARY(LP_BINARY_nextafter)] = nextafter_f16}};
const LpPointwiseRow LP_SIMD(lp_pointwise_bf16) = {
    {[LP_POINTWISE_BINARY(LP_BINARY_nextafter)] = nextafter_bf16}};
