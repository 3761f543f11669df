/* Converting loops of the limited dtypes (lp_dtype_is_limited): uint16, uint32, uint64
 * and the float8s. Compiled once, for any machine: nothing computes in these dtypes.
 * Equal dtypes never come here but to copy their bits. */
#include "core/float8.h"
#include "cpu/cast.h"
#include "cpu/cast_types.h"

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uint8_t e4; /* float8_e4m3fn */
typedef uint8_t e5; /* float8_e5m2 */
typedef uint8_t z4; /* float8_e4m3fnuz */
typedef uint8_t z5; /* float8_e5m2fnuz */

#define LOAD_u16(x) (x)
#define LOAD_u32(x) (x)
#define LOAD_u64(x) (x)
#define LOAD_e4(x) lp_float8_to_float(x, LP_E4M3FN)
#define LOAD_e5(x) lp_float8_to_float(x, LP_E5M2)
#define LOAD_z4(x) lp_float8_to_float(x, LP_E4M3FNUZ)
#define LOAD_z5(x) lp_float8_to_float(x, LP_E5M2FNUZ)

/* A fraction out of an integer's range wraps through int64, as on x86. */
#define WRAP(type, v) (IS_FRACTION(v) ? (type)(i64)(v) : (type)(v))
#define STORE_u8(v) WRAP(u8, v)
#define STORE_i8(v) WRAP(i8, v)
#define STORE_i16(v) WRAP(i16, v)
#define STORE_i32(v) WRAP(i32, v)
#define STORE_u16(v) WRAP(u16, v)
#define STORE_u32(v) WRAP(u32, v)
#define STORE_u64(v) (IS_FRACTION(v) ? fraction_to_u64((f64)(v)) : (u64)(v))
#define STORE_e4(v) lp_float8_from_float((float)(v), LP_E4M3FN)
#define STORE_e5(v) lp_float8_from_float((float)(v), LP_E5M2)
#define STORE_z4(v) lp_float8_from_float((float)(v), LP_E4M3FNUZ)
#define STORE_z5(v) lp_float8_from_float((float)(v), LP_E5M2FNUZ)

static inline u64 fraction_to_u64(f64 v) {
  return v >= 0x1p63 ? (u64)v : (u64)(i64)v;
}

#define CAST(to, from)                                                                   \
  static void to##_from_##from(char *const *ptrs, const int64_t *strides, int64_t n,     \
                               const void *params) {                                     \
    char *out = ptrs[0];                                                                 \
    const char *in = ptrs[1];                                                            \
    for (int64_t i = 0; i < n; i++, out += strides[0], in += strides[1])                 \
      *(to *)out = STORE_##to(LOAD_##from(*(const from *)in));                           \
  }

#define COMMON(X, other)                                                                 \
  X(u8, other)                                                                           \
  X(i8, other) X(i16, other) X(i32, other) X(i64, other) X(f16, other) X(bf16, other)    \
      X(f32, other) X(f64, other) X(c64, other) X(c128, other) X(b8, other)
#define LIMITED(X, other)                                                                \
  X(u16, other)                                                                          \
  X(u32, other) X(u64, other) X(e4, other) X(e5, other) X(z4, other) X(z5, other)
#define CAST_BACK(other, to) CAST(to, other)
#define ALL_OF(type) COMMON(CAST, type) LIMITED(CAST, type) COMMON(CAST_BACK, type)

ALL_OF(u16)
ALL_OF(u32)
ALL_OF(u64)
ALL_OF(e4)
ALL_OF(e5)
ALL_OF(z4)
ALL_OF(z5)

#define COPY(type)                                                                       \
  static void copy_##type(char *const *ptrs, const int64_t *strides, int64_t n,          \
                          const void *params) {                                          \
    char *out = ptrs[0];                                                                 \
    const char *in = ptrs[1];                                                            \
    for (int64_t i = 0; i < n; i++, out += strides[0], in += strides[1])                 \
      *(type *)out = *(const type *)in;                                                  \
  }

COPY(u8)
COPY(u16)
COPY(u32)
COPY(u64)

#define LIMITED_ROW(prefix, suffix)                                                      \
  [LP_UINT16] = prefix##u16##suffix, [LP_UINT32] = prefix##u32##suffix,                  \
  [LP_UINT64] = prefix##u64##suffix, [LP_FLOAT8_E4M3FN] = prefix##e4##suffix,            \
  [LP_FLOAT8_E5M2] = prefix##e5##suffix, [LP_FLOAT8_E4M3FNUZ] = prefix##z4##suffix,      \
  [LP_FLOAT8_E5M2FNUZ] = prefix##z5##suffix
#define TO_LIMITED(to)                                                                   \
  { LIMITED_ROW(to##_from_, ) }
#define ROW(to)                                                                          \
  {                                                                                      \
    [LP_UINT8] = to##_from_u8, [LP_INT8] = to##_from_i8, [LP_INT16] = to##_from_i16,     \
    [LP_INT32] = to##_from_i32, [LP_INT64] = to##_from_i64,                              \
    [LP_FLOAT16] = to##_from_f16, [LP_FLOAT32] = to##_from_f32,                          \
    [LP_FLOAT64] = to##_from_f64, [LP_COMPLEX64] = to##_from_c64,                        \
    [LP_COMPLEX128] = to##_from_c128, [LP_BOOL] = to##_from_b8,                          \
    [LP_BFLOAT16] = to##_from_bf16, LIMITED_ROW(to##_from_, )                            \
  }

static const LpLoop loops[LP_DTYPE_COUNT][LP_DTYPE_COUNT] = {
    [LP_UINT8] = TO_LIMITED(u8),      [LP_INT8] = TO_LIMITED(i8),
    [LP_INT16] = TO_LIMITED(i16),     [LP_INT32] = TO_LIMITED(i32),
    [LP_INT64] = TO_LIMITED(i64),     [LP_FLOAT16] = TO_LIMITED(f16),
    [LP_FLOAT32] = TO_LIMITED(f32),   [LP_FLOAT64] = TO_LIMITED(f64),
    [LP_COMPLEX64] = TO_LIMITED(c64), [LP_COMPLEX128] = TO_LIMITED(c128),
    [LP_BOOL] = TO_LIMITED(b8),       [LP_BFLOAT16] = TO_LIMITED(bf16),
    [LP_UINT16] = ROW(u16),           [LP_UINT32] = ROW(u32),
    [LP_UINT64] = ROW(u64),           [LP_FLOAT8_E4M3FN] = ROW(e4),
    [LP_FLOAT8_E5M2] = ROW(e5),       [LP_FLOAT8_E4M3FNUZ] = ROW(z4),
    [LP_FLOAT8_E5M2FNUZ] = ROW(z5),
};

LpLoop lp_cast_limited(LpDtype to, LpDtype from) {
  static const LpLoop copies[] = {copy_u8, copy_u16, copy_u32, copy_u64};
  if (to == from) return copies[__builtin_ctzll(lp_dtype_size(to))];
  return loops[to][from];
}
