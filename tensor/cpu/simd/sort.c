/* Keys of elements (cpu/sort.h), compiled once per instruction set. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "core/half.h"
#include "cpu/sort.h"

/* IEEE bits to an unsigned integer of the same order: negatives reversed, then below
 * positives; -0 becomes 0. */
static inline uint64_t key_of_float(float x) {
  uint32_t u = lp_float_bits(x + 0.0f);
  u ^= (uint32_t)((int32_t)u >> 31) | 0x80000000u;
  return x != x ? LP_KEY_NAN : u;
}
static inline uint64_t key_of_double(double x) {
  double y = x + 0.0;
  uint64_t u;
  memcpy(&u, &y, 8);
  u ^= (0 - (u >> 63)) | 0x8000000000000000u;
  return x != x ? LP_KEY_NAN : u;
}
/* The same of 16 bits, whose infinity is given. */
static inline uint64_t key_of_bits16(uint16_t x, uint32_t infinity) {
  uint32_t magnitude = x & 0x7fffu, positive = 0x8000u + magnitude;
  uint32_t u = x >> 15 ? 0x8000u - magnitude : positive;
  return magnitude > infinity ? LP_KEY_NAN : u;
}
static inline uint64_t key_of_half(uint16_t x) {
  return key_of_bits16(x, 0x7c00);
}
static inline uint64_t key_of_bf16(uint16_t x) {
  return key_of_bits16(x, 0x7f80);
}
static inline uint64_t key_of_int64(int64_t x) {
  return (uint64_t)x ^ 0x8000000000000000u;
}
/* Kept small, so that the radix sort finds fewer digits. */
static inline uint64_t key_of_int32(int32_t x) {
  return (uint32_t)x ^ 0x80000000u;
}

#define KEYS(name, T, key)                                                               \
  static void name(uint64_t *restrict keys, const char *restrict src, int64_t step,      \
                   int64_t n, uint64_t flip) {                                           \
    if (step == (int64_t)sizeof(T)) {                                                    \
      const T *x = (const T *)src;                                                       \
      for (int64_t i = 0; i < n; i++) keys[i] = key(x[i]) ^ flip;                        \
    } else {                                                                             \
      for (int64_t i = 0; i < n; i++)                                                    \
        keys[i] = key(*(const T *)(src + i * step)) ^ flip;                              \
    }                                                                                    \
  }
KEYS(keys_u8, uint8_t, key_of_int32)
KEYS(keys_i8, int8_t, key_of_int32)
KEYS(keys_i16, int16_t, key_of_int32)
KEYS(keys_i32, int32_t, key_of_int32)
KEYS(keys_i64, int64_t, key_of_int64)
KEYS(keys_f16, uint16_t, key_of_half)
KEYS(keys_bf16, uint16_t, key_of_bf16)
KEYS(keys_f32, float, key_of_float)
KEYS(keys_f64, double, key_of_double)

static void tally(const uint64_t *keys, int64_t n, uint64_t low, int64_t *below,
                  int64_t *nans) {
  int64_t less = 0, most = 0;
  for (int64_t i = 0; i < n; i++) {
    less += keys[i] < low;
    most += keys[i] == LP_KEY_NAN;
  }
  *below += less;
  *nans += most;
}

static void ranks(const int32_t *restrict keys, int64_t n, int32_t *restrict to) {
  memset(to, 0, LP_SORT_RANKED * sizeof *to);
  for (int64_t i = 0; i < n; i++) {
    const int32_t x = keys[i];
    for (int j = 0; j < LP_SORT_RANKED; j++) to[j] += x < keys[j];
  }
}

/* Equal keys stay in their order. */
static void row_ranks(const uint64_t *restrict keys, int64_t n, uint8_t *restrict to) {
  uint64_t ranks[LP_SORT_SHORT][LP_SORT_ROWS];
  memset(ranks, 0, (size_t)n * sizeof ranks[0]);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) {
      const uint64_t *x = keys + i * LP_SORT_ROWS, *y = keys + j * LP_SORT_ROWS;
      for (int r = 0; r < LP_SORT_ROWS; r++) {
        const uint64_t later = x[r] > y[r];
        ranks[i][r] += later;
        ranks[j][r] += 1 - later;
      }
    }
  for (int64_t i = 0; i < n; i++)
    for (int r = 0; r < LP_SORT_ROWS; r++) to[i * LP_SORT_ROWS + r] = (uint8_t)ranks[i][r];
}

const LpSortKernels LP_SIMD(lp_sort_kernels) = {.keys = {[LP_BOOL] = keys_u8,
                                                         [LP_UINT8] = keys_u8,
                                                         [LP_INT8] = keys_i8,
                                                         [LP_INT16] = keys_i16,
                                                         [LP_INT32] = keys_i32,
                                                         [LP_INT64] = keys_i64,
                                                         [LP_FLOAT16] = keys_f16,
                                                         [LP_BFLOAT16] = keys_bf16,
                                                         [LP_FLOAT32] = keys_f32,
                                                         [LP_FLOAT64] = keys_f64},
                                                .tally = tally,
                                                .ranks = ranks,
                                                .row_ranks = row_ranks};
