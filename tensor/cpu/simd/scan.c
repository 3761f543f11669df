/* Running sums, a vector at a time, compiled once per instruction set; see cpu/scan.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#include "cpu/scan.h"
#include "cpu/simd/vecmath.h"

#define LANES LP_LANES(double)
typedef double VecF64 __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef uint64_t VecU64 __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef int64_t Lanes __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef float VecF32 __attribute__((vector_size(LP_VECTOR_BYTES / 2)));

/* Lanes of (zeros, v) that move v up by 1, 2, 4 lanes; the last lane for all. */
#if LP_VECTOR_BYTES == 64
#define UP_1                                                                             \
  (Lanes) {                                                                              \
    0, 8, 9, 10, 11, 12, 13, 14                                                          \
  }
#define UP_2                                                                             \
  (Lanes) {                                                                              \
    0, 1, 8, 9, 10, 11, 12, 13                                                           \
  }
#define UP_4                                                                             \
  (Lanes) {                                                                              \
    0, 1, 2, 3, 8, 9, 10, 11                                                             \
  }
#define LAST                                                                             \
  (Lanes) {                                                                              \
    7, 7, 7, 7, 7, 7, 7, 7                                                               \
  }
#elif LP_VECTOR_BYTES == 32
#define UP_1                                                                             \
  (Lanes) {                                                                              \
    0, 4, 5, 6                                                                           \
  }
#define UP_2                                                                             \
  (Lanes) {                                                                              \
    0, 1, 4, 5                                                                           \
  }
#define LAST                                                                             \
  (Lanes) {                                                                              \
    3, 3, 3, 3                                                                           \
  }
#else
#define UP_1                                                                             \
  (Lanes) {                                                                              \
    0, 2                                                                                 \
  }
#define LAST                                                                             \
  (Lanes) {                                                                              \
    1, 1                                                                                 \
  }
#endif

static inline VecF64 wide_of_f32(const float *x) {
  VecF32 v;
  memcpy(&v, x, sizeof v);
  return __builtin_convertvector(v, VecF64);
}
static inline void store_f32(float *out, VecF64 x) {
  VecF32 v = __builtin_convertvector(x, VecF32);
  memcpy(out, &v, sizeof v);
}
static inline VecF64 wide_of_f64(const double *x) {
  VecF64 v;
  memcpy(&v, x, sizeof v);
  return v;
}
static inline void store_f64(double *out, VecF64 x) {
  memcpy(out, &x, sizeof x);
}
static inline VecU64 wide_of_i64(const int64_t *x) {
  VecU64 v;
  memcpy(&v, x, sizeof v);
  return v;
}
static inline void store_i64(int64_t *out, VecU64 x) {
  memcpy(out, &x, sizeof x);
}

#if LP_VECTOR_BYTES == 64
#define ADD_GROUPS(x)                                                                    \
  x += __builtin_shuffle(zeros, x, UP_1);                                                \
  x += __builtin_shuffle(zeros, x, UP_2);                                                \
  x += __builtin_shuffle(zeros, x, UP_4);
#elif LP_VECTOR_BYTES == 32
#define ADD_GROUPS(x)                                                                    \
  x += __builtin_shuffle(zeros, x, UP_1);                                                \
  x += __builtin_shuffle(zeros, x, UP_2);
#else
#define ADD_GROUPS(x) x += __builtin_shuffle(zeros, x, UP_1);
#endif

/* Only the addition of the carry waits for the vector before. */
#define SUM(name, T, A, Wide, VA, load, store)                                           \
  static void name(T *out, const T *in, int64_t n, A *carry) {                           \
    const VA zeros = {0};                                                                \
    VA before = zeros + (Wide)*carry;                                                    \
    int64_t i = 0;                                                                       \
    for (; i + LANES <= n; i += LANES) {                                                 \
      VA x = load(in + i);                                                               \
      ADD_GROUPS(x)                                                                      \
      store(out + i, before + x);                                                        \
      before += __builtin_shuffle(x, LAST);                                              \
    }                                                                                    \
    Wide total = before[0];                                                              \
    for (; i < n; i++) out[i] = (T)(total += (Wide)in[i]);                               \
    *carry = (A)total;                                                                   \
  }
SUM(sum_f32, float, double, double, VecF64, wide_of_f32, store_f32)
SUM(sum_wide, double, double, double, VecF64, wide_of_f64, store_f64)
SUM(sum_i64, int64_t, int64_t, uint64_t, VecU64, wide_of_i64, store_i64)

static void log_add_exp(double *restrict a, const double *restrict x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const double b = x[i], c = a[i], high = c > b ? c : b;
    const double sum = high + lp_log1p_unit_f64(lp_exp_f64(-__builtin_fabs(c - b)));
    const bool same = (c == b) & (__builtin_fabs(c) == (double)INFINITY);
    a[i] = lp_sel_f64(same, c, lp_sel_f64((c != c) | (b != b), c + b, sum));
  }
}

const LpScanTable LP_SIMD(lp_scan_table) = {.sum_f32 = sum_f32,
                                            .sum_wide = sum_wide,
                                            .sum_i64 = sum_i64,
                                            .log_add_exp = log_add_exp};
