/* The kernels that float16 and bfloat16 have of their own: the neighbour of a number
 * depends on its format, and what is one instruction would spend its time in casts.
 * Every other op is computed in float32 and rounded (Note [Pointwise kernels]). */
#include "cpu/simd/kernels.h"
#ifdef __F16C__
#include <immintrin.h>
#endif
#include "core/half.h"

#define LANES LP_LANES(float)

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

/* Ordered as the numbers are; both zeros are 0. */
static inline int16_t rank(uint16_t a) {
  const int16_t size = (int16_t)(a & 0x7fff);
  return (int16_t)a < 0 ? (int16_t)-size : size;
}
static inline bool is_nan(uint16_t a, uint16_t infinity) {
  return (a & 0x7fff) > infinity;
}
/* c ? a : b (Note [Vector functions]). */
static inline uint16_t select_bits(bool c, uint16_t a, uint16_t b) {
  const uint16_t mask = (uint16_t) - (uint16_t)c;
  return (a & mask) | (b & (uint16_t)~mask);
}
static inline uint16_t clamp_bits(uint16_t a, uint16_t low, uint16_t high,
                                  uint16_t infinity) {
  const bool below = (rank(a) < rank(low)) & !is_nan(a, infinity);
  const uint16_t b = select_bits(below | is_nan(low, infinity), low, a);
  const bool above = (rank(b) > rank(high)) & !is_nan(b, infinity);
  return select_bits(above | is_nan(high, infinity), high, b);
}
static inline bool are_ordered(uint16_t a, uint16_t b, uint16_t infinity) {
  return !is_nan(a, infinity) & !is_nan(b, infinity);
}
static inline uint16_t maximum_bits(uint16_t a, uint16_t b, uint16_t infinity) {
  return select_bits(is_nan(a, infinity) | ((rank(a) > rank(b)) & !is_nan(b, infinity)),
                     a, b);
}
static inline uint16_t minimum_bits(uint16_t a, uint16_t b, uint16_t infinity) {
  return select_bits(is_nan(a, infinity) | ((rank(a) < rank(b)) & !is_nan(b, infinity)),
                     a, b);
}
static inline uint16_t relu_bits(uint16_t a, uint16_t infinity) {
  return select_bits((rank(a) < 0) & !is_nan(a, infinity), 0, a);
}

/* Floats of a vector of halves, and back. */
static inline void widen_f16(float *to, const uint16_t *from) {
#if defined(LP_CAP_avx512)
  _mm512_storeu_ps(to, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)from)));
#elif defined(__F16C__)
  _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128((const void *)from)));
#else
  for (int j = 0; j < LANES; j++) to[j] = lp_half_to_float(from[j]);
#endif
}
static inline void narrow_f16(uint16_t *to, const float *from) {
#if defined(LP_CAP_avx512)
  const __m512 x = _mm512_loadu_ps(from);
  _mm256_storeu_si256((void *)to, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  const __m256 x = _mm256_loadu_ps(from);
  _mm_storeu_si128((void *)to, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#else
  for (int j = 0; j < LANES; j++) to[j] = lp_half_from_float(from[j]);
#endif
}
static inline void widen_bf16(float *to, const uint16_t *from) {
  for (int j = 0; j < LANES; j++) to[j] = lp_bf16_to_float(from[j]);
}
static inline void narrow_bf16(uint16_t *to, const float *from) {
  for (int j = 0; j < LANES; j++) to[j] = lp_bf16_from_float(from[j]);
}

/* Of words: an expression in a[i], b[i], c[i]. */
#define BITS_BLOCK(name, id, expression)                                                 \
  static void name##_##id(char *const *ptrs, int64_t n, const LpScalar *params) {        \
    uint16_t *out = (uint16_t *)ptrs[0];                                                 \
    const uint16_t *a = (const uint16_t *)ptrs[1], *b = (const uint16_t *)ptrs[2];       \
    const uint16_t *c = (const uint16_t *)ptrs[3];                                       \
    (void)b;                                                                             \
    (void)c;                                                                             \
    LP_IVDEP                                                                             \
    for (int64_t i = 0; i < (n & -(int64_t)LP_LANES(uint16_t)); i++)                     \
      out[i] = (uint16_t)(expression);                                                   \
  }
/* Whether the numbers of two words are in some order, by their ranks x and y;
 * `unordered`: when one is NaN. */
#define ORDER_BLOCK(name, id, infinity, unordered, expression)                           \
  static void name##_##id(char *const *ptrs, int64_t n, const LpScalar *params) {        \
    uint8_t *out = (uint8_t *)ptrs[0];                                                   \
    const uint16_t *a = (const uint16_t *)ptrs[1], *b = (const uint16_t *)ptrs[2];       \
    LP_IVDEP                                                                             \
    for (int64_t i = 0; i < (n & -(int64_t)LP_LANES(uint8_t)); i++) {                    \
      const int16_t x = rank(a[i]), y = rank(b[i]);                                      \
      const uint16_t holds = expression, ordered = are_ordered(a[i], b[i], infinity);    \
      out[i] = (uint8_t)((holds & ordered) | (unordered & !ordered));                    \
    }                                                                                    \
  }
/* Of floats: an expression in x and y, the inputs (of one input the same), and in the
 * parameter p. */
#define FLOAT_BLOCK(name, id, arity, n_params, expression)                               \
  static void name##_##id(char *const *ptrs, int64_t n, const LpScalar *params) {        \
    uint16_t *out = (uint16_t *)ptrs[0];                                                 \
    const uint16_t *a = (const uint16_t *)ptrs[1], *b = (const uint16_t *)ptrs[arity];   \
    const float p = n_params ? (float)lp_scalar_to_double(params[0]) : 0;                \
    (void)p;                                                                             \
    for (int64_t at = 0; at < n; at += LANES) {                                          \
      _Alignas(64) float xs[LANES], ys[LANES];                                           \
      widen_##id(xs, a + at);                                                            \
      widen_##id(ys, b + at);                                                            \
      for (int j = 0; j < LANES; j++) {                                                  \
        const float x = xs[j], y = ys[j];                                                \
        (void)y;                                                                         \
        xs[j] = expression;                                                              \
      }                                                                                  \
      narrow_##id(out + at, xs);                                                         \
    }                                                                                    \
  }

#define UNARY(name, id) [LP_POINTWISE_UNARY(LP_UNARY_##name)] = name##_##id
#define BINARY(name, id) [LP_POINTWISE_BINARY(LP_BINARY_##name)] = name##_##id
#define ROW(id, infinity)                                                                \
  BITS_BLOCK(nextafter, id, next_bits(a[i], b[i], infinity))                             \
  BITS_BLOCK(copysign, id, (a[i] & 0x7fff) | (b[i] & 0x8000))                            \
  BITS_BLOCK(neg, id, a[i] ^ 0x8000)                                                     \
  BITS_BLOCK(abs, id, a[i] & 0x7fff)                                                     \
  BITS_BLOCK(relu, id, relu_bits(a[i], infinity))                                        \
  BITS_BLOCK(clamp, id, clamp_bits(a[i], b[i], c[i], infinity))                          \
  BITS_BLOCK(maximum, id, maximum_bits(a[i], b[i], infinity))                            \
  BITS_BLOCK(minimum, id, minimum_bits(a[i], b[i], infinity))                            \
  ORDER_BLOCK(eq, id, infinity, 0, x == y)                                               \
  ORDER_BLOCK(ne, id, infinity, 1, x != y)                                               \
  ORDER_BLOCK(lt, id, infinity, 0, x < y)                                                \
  ORDER_BLOCK(le, id, infinity, 0, x <= y)                                               \
  ORDER_BLOCK(gt, id, infinity, 0, x > y)                                                \
  ORDER_BLOCK(ge, id, infinity, 0, x >= y)                                               \
  FLOAT_BLOCK(square, id, 1, 0, x *x)                                                    \
  FLOAT_BLOCK(reciprocal, id, 1, 0, 1 / x)                                               \
  FLOAT_BLOCK(add, id, 2, 1, x + p * y)                                                  \
  FLOAT_BLOCK(sub, id, 2, 1, x - p * y)                                                  \
  FLOAT_BLOCK(mul, id, 2, 0, x *y)                                                       \
  FLOAT_BLOCK(div, id, 2, 0, x / y)                                                      \
  const LpPointwiseRow LP_SIMD(lp_pointwise_##id) = {                                    \
      {BINARY(nextafter, id), BINARY(copysign, id),                                      \
       BINARY(add, id),       BINARY(sub, id),                                           \
       BINARY(mul, id),       BINARY(div, id),                                           \
       UNARY(neg, id),        UNARY(abs, id),                                            \
       UNARY(relu, id),       UNARY(square, id),                                         \
       UNARY(reciprocal, id), BINARY(maximum, id),                                       \
       BINARY(minimum, id),   BINARY(eq, id),                                            \
       BINARY(ne, id),        BINARY(lt, id),                                            \
       BINARY(le, id),        BINARY(gt, id),                                            \
       BINARY(ge, id),        [LP_POINTWISE_EXTRA(LP_EXTRA_clamp)] = clamp_##id}};
ROW(f16, 0x7c00)
ROW(bf16, 0x7f80)
