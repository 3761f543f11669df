/* Conversion of elements between all pairs of dtypes, and copies of equal dtypes.
 * C's own conversions are PyTorch's: floats truncate towards zero, complex drops its imaginary part,
 * anything but zero is true. Halves go through float. Called through lp_cast_loop. */
#include "cpu/simd/simd.h"
#include <complex.h>
#include <string.h>
#include "core/move.h"
#ifdef __F16C__
#include <immintrin.h>
#endif
#include "cpu/cast.h"
#include "cpu/cast_types.h"

/* A fraction out of the narrow types' range wraps through a wide integer, as in PyTorch on x86. */
#define NARROW(type, v) (IS_FRACTION(v) ? (type)(i32)(v) : (type)(v))
#define STORE_u8(v) (IS_FRACTION(v) ? (u8)(i64)(v) : (u8)(v))
#define STORE_i8(v) NARROW(i8, v)
#define STORE_i16(v) NARROW(i16, v)
#define STORE_i32(v) ((i32)(v))

#define ARGS char *const *ptrs, const int64_t *strides, int64_t n, const void *params

#define CAST(to, from)                                                                   \
  __attribute__((unused)) static void to##_from_##from(ARGS) {                           \
    if (strides[0] == sizeof(to) && strides[1] == sizeof(from)) {                        \
      to *out = (to *)ptrs[0];                                                           \
      const from *in = (const from *)ptrs[1];                                            \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < n; i++) out[i] = STORE_##to(LOAD_##from(in[i]));           \
      return;                                                                            \
    }                                                                                    \
    if (strides[0] == sizeof(to) && strides[1] == 0 && n > 0) {                          \
      const to value = STORE_##to(LOAD_##from(*(const from *)ptrs[1]));                  \
      to *out = (to *)ptrs[0];                                                           \
      for (int64_t i = 0; i < n; i++) out[i] = value;                                    \
      return;                                                                            \
    }                                                                                    \
    char *out = ptrs[0];                                                                 \
    const char *in = ptrs[1];                                                            \
    for (int64_t i = 0; i < n; i++, out += strides[0], in += strides[1])                 \
      *(to *)out = STORE_##to(LOAD_##from(*(const from *)in));                           \
  }

/* A copy of elements of one size; a stride of 0 in the input fills. */
#define COPY(type)                                                                       \
  static void copy_##type(ARGS) {                                                        \
    const int64_t size = sizeof(type);                                                   \
    if (strides[0] == size && strides[1] == size) {                                      \
      lp_move(ptrs[0], ptrs[1], (size_t)(n * size));                                     \
      return;                                                                            \
    }                                                                                    \
    if (strides[0] == size && strides[1] == 0) {                                         \
      const type value = *(const type *)ptrs[1];                                         \
      type *out = (type *)ptrs[0];                                                       \
      for (int64_t i = 0; i < n; i++) out[i] = value;                                    \
      return;                                                                            \
    }                                                                                    \
    char *out = ptrs[0];                                                                 \
    const char *in = ptrs[1];                                                            \
    for (int64_t i = 0; i < n; i++, out += strides[0], in += strides[1])                 \
      *(type *)out = *(const type *)in;                                                  \
  }

COPY(u8)
COPY(i16)
COPY(i32)
COPY(i64)
COPY(c128)

/* float <-> float16, contiguous, by the hardware. */
#ifdef __F16C__
static void f32_from_f16_fast(ARGS) {
  const f16 *in = (const f16 *)ptrs[1];
  f32 *out = (f32 *)ptrs[0];
  int64_t i = 0;
#ifdef LP_CAP_avx512
  for (; i + 16 <= n; i += 16)
    _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(in + i))));
#endif
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(in + i))));
  for (; i < n; i++) out[i] = lp_half_to_float(in[i]);
}
static void f16_from_f32_fast(ARGS) {
  const f32 *in = (const f32 *)ptrs[1];
  f16 *out = (f16 *)ptrs[0];
  int64_t i = 0;
#ifdef LP_CAP_avx512
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256((void *)(out + i),
                        _mm512_cvtps_ph(_mm512_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128((void *)(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; i++) out[i] = lp_half_from_float(in[i]);
}
#endif

#define CASTS_TO_OTHERS(from, X)                                                         \
  X(u8, from) X(i8, from) X(i16, from) X(i32, from) X(i64, from) X(f16, from)            \
  X(f32, from) X(f64, from) X(c64, from) X(c128, from) X(b8, from) X(bf16, from)

CASTS_TO_OTHERS(u8, CAST)
CASTS_TO_OTHERS(i8, CAST)
CASTS_TO_OTHERS(i16, CAST)
CASTS_TO_OTHERS(i32, CAST)
CASTS_TO_OTHERS(i64, CAST)
CASTS_TO_OTHERS(f16, CAST)
CASTS_TO_OTHERS(f32, CAST)
CASTS_TO_OTHERS(f64, CAST)
CASTS_TO_OTHERS(c64, CAST)
CASTS_TO_OTHERS(c128, CAST)
CASTS_TO_OTHERS(b8, CAST)
CASTS_TO_OTHERS(bf16, CAST)

#ifdef __F16C__
static void f32_from_f16_hw(ARGS) {
  if (strides[0] == sizeof(f32) && strides[1] == sizeof(f16)) f32_from_f16_fast(ptrs, strides, n, params);
  else f32_from_f16(ptrs, strides, n, params);
}
static void f16_from_f32_hw(ARGS) {
  if (strides[0] == sizeof(f16) && strides[1] == sizeof(f32)) f16_from_f32_fast(ptrs, strides, n, params);
  else f16_from_f32(ptrs, strides, n, params);
}
/* Others by way of float32, which they are rounded to first in any case. */
#define THROUGH_F32(from)                                                                \
  static void f16_from_##from##_hw(ARGS) {                                               \
    if (strides[0] != sizeof(f16)) {                                                     \
      f16_from_##from(ptrs, strides, n, params);                                         \
      return;                                                                            \
    }                                                                                    \
    _Alignas(64) f32 wide[256];                                                          \
    for (int64_t i = 0, m; i < n; i += m) {                                              \
      m = n - i < 256 ? n - i : 256;                                                     \
      f32_from_##from((char *[2]){(char *)wide, ptrs[1] + i * strides[1]},               \
                      (int64_t[2]){sizeof(f32), strides[1]}, m, NULL);                   \
      f16_from_f32_fast((char *[2]){ptrs[0] + i * (int64_t)sizeof(f16), (char *)wide},   \
                        NULL, m, NULL);                                                  \
    }                                                                                    \
  }
THROUGH_F32(u8)
THROUGH_F32(i8)
THROUGH_F32(i16)
THROUGH_F32(i32)
THROUGH_F32(i64)
THROUGH_F32(f64)
THROUGH_F32(b8)
THROUGH_F32(bf16)
#define f16_from_u8 f16_from_u8_hw
#define f16_from_i8 f16_from_i8_hw
#define f16_from_i16 f16_from_i16_hw
#define f16_from_i32 f16_from_i32_hw
#define f16_from_i64 f16_from_i64_hw
#define f16_from_f64 f16_from_f64_hw
#define f16_from_b8 f16_from_b8_hw
#define f16_from_bf16 f16_from_bf16_hw
#else
#define f32_from_f16_hw f32_from_f16
#define f16_from_f32_hw f16_from_f32
#endif

#define ROW(to)                                                                          \
  {[LP_UINT8] = to##_from_u8, [LP_INT8] = to##_from_i8, [LP_INT16] = to##_from_i16,      \
   [LP_INT32] = to##_from_i32, [LP_INT64] = to##_from_i64, [LP_FLOAT16] = to##_from_f16, \
   [LP_FLOAT32] = to##_from_f32, [LP_FLOAT64] = to##_from_f64,                           \
   [LP_COMPLEX64] = to##_from_c64, [LP_COMPLEX128] = to##_from_c128,                     \
   [LP_BOOL] = to##_from_b8, [LP_BFLOAT16] = to##_from_bf16}

/* Equal dtypes copy their bits. */
#define u8_from_u8 copy_u8
#define i8_from_i8 copy_u8
#define i16_from_i16 copy_i16
#define i32_from_i32 copy_i32
#define i64_from_i64 copy_i64
#define f16_from_f16 copy_i16
#define f32_from_f32 copy_i32
#define f64_from_f64 copy_i64
#define c64_from_c64 copy_i64
#define c128_from_c128 copy_c128
#define b8_from_b8 copy_u8
#define bf16_from_bf16 copy_i16
#define f32_from_f16 f32_from_f16_hw
#define f16_from_f32 f16_from_f32_hw

const LpCastLoops LP_SIMD(lp_cast_loops) = {{
    [LP_UINT8] = ROW(u8), [LP_INT8] = ROW(i8), [LP_INT16] = ROW(i16), [LP_INT32] = ROW(i32),
    [LP_INT64] = ROW(i64), [LP_FLOAT16] = ROW(f16), [LP_FLOAT32] = ROW(f32),
    [LP_FLOAT64] = ROW(f64), [LP_COMPLEX64] = ROW(c64), [LP_COMPLEX128] = ROW(c128),
    [LP_BOOL] = ROW(b8), [LP_BFLOAT16] = ROW(bf16)}};
