/* Reduction kernels and loaders, compiled once per instruction set (cpu/simd/simd.h). Called by
 * dispatch/reduce.c through lp_reduce_table(); see cpu/reduce.h for the contract. */
#include "cpu/simd/simd.h"

#include <math.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif
#include "core/half.h"
#include "cpu/reduce.h"
#include "cpu/simd/vecmath.h"

#define VB LP_VECTOR_BYTES
typedef long long VecI __attribute__((vector_size(VB)));
typedef float VecF32 __attribute__((vector_size(VB)));
typedef double VecF64 __attribute__((vector_size(VB)));
typedef float HalfF32 __attribute__((vector_size(VB / 2)));
typedef uint64_t VecU64 __attribute__((vector_size(VB)));
typedef uint32_t VecU32 __attribute__((vector_size(VB)));
typedef uint16_t VecU16 __attribute__((vector_size(VB / 2)));

/* VB zero bytes, then VB bytes of ones: read from byte b, a mask of a vector's last b bytes. */
static const uint64_t last_lanes[2 * VB / 8] = {
    [VB / 8] = UINT64_MAX, UINT64_MAX,
#if VB >= 32
    UINT64_MAX, UINT64_MAX,
#endif
#if VB >= 64
    UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
#endif
};

/* The numbers of a vector's lanes. */
typedef int32_t Lanes4 __attribute__((vector_size(VB)));
#if VB >= 64
#define LANE_NUMBERS_4 ((Lanes4){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
#define LANE_NUMBERS_8 ((VecI){0, 1, 2, 3, 4, 5, 6, 7})
#elif VB >= 32
#define LANE_NUMBERS_4 ((Lanes4){0, 1, 2, 3, 4, 5, 6, 7})
#define LANE_NUMBERS_8 ((VecI){0, 1, 2, 3})
#else
#define LANE_NUMBERS_4 ((Lanes4){0, 1, 2, 3})
#define LANE_NUMBERS_8 ((VecI){0, 1})
#endif

/* Elements as they are, and NaN as 0. */
#define VECTORS_OF(type, T, V)                                                                \
  static inline V type##_vector(const T *x) {                                                 \
    V v;                                                                                      \
    memcpy(&v, x, VB);                                                                        \
    return v;                                                                                 \
  }
VECTORS_OF(f32, float, VecF32)
VECTORS_OF(f64, double, VecF64)
VECTORS_OF(u64, uint64_t, VecU64)
#define NUMBERS_OF(type, T, V)                                                                \
  static inline T type##_number(T x) { return x == x ? x : 0; }                               \
  static inline V type##_numbers(const T *x) {                                                \
    const V v = type##_vector(x);                                                             \
    const VecI kept = (VecI)(v == v) & (VecI)v;                                               \
    return (V)kept;                                                                           \
  }
NUMBERS_OF(f32, float, VecF32)
NUMBERS_OF(f64, double, VecF64)
static inline VecF64 f64_squares(const double *x) {
  const VecF64 v = f64_vector(x);
  return v * v;
}
static inline VecF64 f32_squares(const float *x) {
  HalfF32 narrow;
  memcpy(&narrow, x, sizeof narrow);
  const VecF64 v = __builtin_convertvector(narrow, VecF64);
  return v * v;
}
static inline VecF32 bf16_vector(const uint16_t *x) {
  VecU16 narrow;
  memcpy(&narrow, x, sizeof narrow);
  return (VecF32)(__builtin_convertvector(narrow, VecU32) << 16);
}

#define ROW_BLOCK 512
#define SUM_T float
#define SUM_A double
#define SUM_VT VecF32
#define SUM_LANES Lanes4
#define SUM_LANE_NUMBERS LANE_NUMBERS_4
#define ELEM float
#define NAME(x) f32_##x
#define GET(x) (x)
#define GET_VECTOR(p) f32_vector(p)
#include "cpu/simd/sum_body.h"
#undef NAME
#undef GET
#undef GET_VECTOR

#define NAME(x) f32_nan##x
#define GET(x) f32_number(x)
#define GET_VECTOR(p) f32_numbers(p)
#include "cpu/simd/sum_body.h"
#undef ELEM
#undef NAME
#undef GET
#undef GET_VECTOR

#define ELEM uint16_t
#define NAME(x) bf16_##x
#define GET(x) lp_bf16_to_float(x)
#define GET_VECTOR(p) bf16_vector(p)
#include "cpu/simd/sum_body.h"
#undef SUM_T
#undef SUM_VT
#undef ELEM
#undef NAME
#undef GET
#undef GET_VECTOR

#define SUM_T double
#define SUM_VT VecF64
#undef SUM_LANES
#undef SUM_LANE_NUMBERS
#define SUM_LANES VecI
#define SUM_LANE_NUMBERS LANE_NUMBERS_8
#define ELEM double
#define NAME(x) f64_##x
#define GET(x) (x)
#define GET_VECTOR(p) f64_vector(p)
#include "cpu/simd/sum_body.h"
#undef NAME
#undef GET
#undef GET_VECTOR

#define NAME(x) f64_nan##x
#define GET(x) f64_number(x)
#define GET_VECTOR(p) f64_numbers(p)
#include "cpu/simd/sum_body.h"
#undef NAME
#undef GET
#undef GET_VECTOR

#define NAME(x) f64_square_##x
#define GET(x) ((x) * (x))
#define GET_VECTOR(p) f64_squares(p)
#include "cpu/simd/sum_body.h"
#undef ELEM
#undef NAME
#undef GET
#undef GET_VECTOR

#define ELEM float
#define NAME(x) f32_square_##x
#define GET(x) ((double)(x) * (double)(x))
#define GET_VECTOR(p) f32_squares(p)
#include "cpu/simd/sum_body.h"
#undef SUM_T
#undef SUM_A
#undef SUM_VT
#undef ELEM
#undef NAME
#undef GET
#undef GET_VECTOR

#define SUM_T uint64_t
#define SUM_A uint64_t
#define SUM_VT VecU64
#define ELEM uint64_t
#define NAME(x) i64_##x
#define GET(x) (x)
#define GET_VECTOR(p) u64_vector(p)
#include "cpu/simd/sum_body.h"
#undef NAME

#define INDEX_T int32_t
#define A double
#define IS_FLOAT 1
#define NAME(x) f32_##x
#define T float
#define MASK_T int32_t
#include "cpu/simd/extreme_body.h"
#undef NAME
#undef T
#undef MASK_T
#undef INDEX_T

#define INDEX_T int64_t
#define MASK_T int64_t
#define NAME(x) f64_##x
#define T double
#include "cpu/simd/extreme_body.h"
#undef A
#undef IS_FLOAT
#undef NAME
#undef T

#define A int64_t
#define IS_FLOAT 0
#define NAME(x) i64_##x
#define T int64_t
#include "cpu/simd/extreme_body.h"
#undef INDEX_T
#undef MASK_T
#undef NAME
#undef T

#define INDEX_T int32_t
#define MASK_T T
#define NAME(x) i32_##x
#define T int32_t
#include "cpu/simd/extreme_body.h"
#undef NAME
#undef T

#define NAME(x) i16_##x
#define T int16_t
#include "cpu/simd/extreme_body.h"
#undef NAME
#undef T

#define NAME(x) i8_##x
#define T int8_t
#include "cpu/simd/extreme_body.h"
#undef NAME
#undef T

#define NAME(x) u8_##x
#define T uint8_t
#include "cpu/simd/extreme_body.h"
#undef NAME
#undef T

/* --- sums over mapped elements -------------------------------------------------------------
 * MAPPED(name, type, map): the sum of map(x) in double. */

#define MAPPED(name, type, map)                                                             \
  static void name##_row(void *acc, const void *x, int64_t n, double p) {                   \
    const type *v = x;                                                                      \
    double lane[16] = {0}, total = 0;                                                       \
    int64_t i = 0;                                                                          \
    for (; i + 16 <= n; i += 16) {                                                          \
      for (int k = 0; k < 16; k++) lane[k] += map(v[i + k]);                                \
    }                                                                                       \
    for (; i < n; i++) total += map(v[i]);                                                  \
    for (int k = 0; k < 8; k++) lane[k] += lane[k + 8];                                     \
    for (int k = 0; k < 4; k++) lane[k] += lane[k + 4];                                     \
    *(double *)acc += total + ((lane[0] + lane[2]) + (lane[1] + lane[3]));                  \
  }                                                                                         \
  static void name##_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    double *restrict a = acc;                                                               \
    for (int64_t r = 0; r < rows; r++) {                                                    \
      const type *v = (const type *)x + r * ld;                                             \
      for (int64_t j = 0; j < w; j++) a[j] += map(v[j]);                                    \
    }                                                                                       \
  }

#define IS_NUMBER(x) ((x) == (x) ? 1.0 : 0.0)
#define POWER(x) pow((double)(x), p)
#define CUBE(x) ((double)(x) * (double)(x) * (double)(x))
MAPPED(f32_nancount, float, IS_NUMBER)
MAPPED(f64_nancount, double, IS_NUMBER)
MAPPED(f64_any_pow, double, POWER)
MAPPED(f64_cube, double, CUBE)

/* p = 3 is common and needs no pow. */
static void f64_pow_row(void *acc, const void *x, int64_t n, double p) {
  if (p == 3) f64_cube_row(acc, x, n, p);
  else f64_any_pow_row(acc, x, n, p);
}
static void f64_pow_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) {
  if (p == 3) f64_cube_col(acc, x, rows, ld, w, p);
  else f64_any_pow_col(acc, x, rows, ld, w, p);
}

/* --- products ------------------------------------------------------------------------------ */

#define PRODUCT_OF(type)                                                                    \
  static void type##_prod_init(void *acc, int64_t n) {                                      \
    for (int64_t i = 0; i < n; i++) ((type *)acc)[i] = 1;                                   \
  }                                                                                         \
  static void type##_prod_merge(void *acc, const void *other, int64_t n) {                  \
    for (int64_t i = 0; i < n; i++) ((type *)acc)[i] *= ((const type *)other)[i];           \
  }
PRODUCT_OF(double)
PRODUCT_OF(uint64_t)

/* Of elements `type`, accumulated in A: a row in 32 lanes, columns four rows at a time. */
#define PRODUCT(name, type, A)                                                              \
  static void name##_prod_row(void *acc, const void *x, int64_t n, double p) {              \
    const type *v = x;                                                                      \
    A lane[32], total = 1;                                                                  \
    int64_t i = 0;                                                                          \
    for (int k = 0; k < 32; k++) lane[k] = 1;                                               \
    for (; i + 32 <= n; i += 32) {                                                          \
      for (int k = 0; k < 32; k++) lane[k] *= v[i + k];                                     \
    }                                                                                       \
    if (n < 32) {                                                                           \
      for (; i < n; i++) total *= v[i];                                                     \
    } else if (i < n) { /* the last 32 elements, but for those seen */                      \
      const int seen = 32 - (int)(n - i);                                                   \
      _Pragma("omp simd")                                                                   \
      for (int k = 0; k < 32; k++) lane[k] *= k < seen ? 1 : (A)v[n - 32 + k];              \
    }                                                                                       \
    _Pragma("omp simd reduction(* : total)")                                                \
    for (int k = 0; k < 32; k++) total *= lane[k];                                          \
    *(A *)acc *= total;                                                                     \
  }                                                                                         \
  static void name##_prod_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    A *restrict a = acc;                                                                    \
    const type *v = x;                                                                      \
    int64_t r = 0;                                                                          \
    for (; r + 4 <= rows; r += 4, v += 4 * ld) {                                            \
      for (int64_t j = 0; j < w; j++)                                                       \
        a[j] *= ((A)v[j] * v[j + ld]) * ((A)v[j + 2 * ld] * v[j + 3 * ld]);                 \
    }                                                                                       \
    for (; r < rows; r++, v += ld) {                                                        \
      for (int64_t j = 0; j < w; j++) a[j] *= v[j];                                         \
    }                                                                                       \
  }
PRODUCT(f32, float, double)
PRODUCT(f64, double, double)
PRODUCT(i64, uint64_t, uint64_t)

/* --- complex: sum and product over pairs, accumulated in double ------------------------------- */

static void c128_sum_init(void *acc, int64_t n) { memset(acc, 0, (size_t)n * 16); }
static void c128_sum_merge(void *acc, const void *other, int64_t n) { f64_sum_merge(acc, other, 2 * n); }

/* Columns: twice as many of parts. */
#define COMPLEX_SUM(name, type, T)                                                          \
  static void name##_sum_row(void *acc, const void *x, int64_t n, double p) {               \
    double *a = acc;                                                                        \
    for (int64_t i = 0; i < 2 * n; i += ROW_BLOCK) {                                        \
      T sums[2];                                                                            \
      type##_sum_halves((const T *)x + i, 2 * n - i < ROW_BLOCK ? 2 * n - i : ROW_BLOCK, sums); \
      a[0] += (double)sums[0];                                                              \
      a[1] += (double)sums[1];                                                              \
    }                                                                                       \
  }                                                                                         \
  static void name##_sum_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    for (int64_t j = 0; j < 2 * w; j += LP_REDUCE_TILE) {                                   \
      const int64_t m = 2 * w - j < LP_REDUCE_TILE ? 2 * w - j : LP_REDUCE_TILE;            \
      type##_sum_col((double *)acc + j, (const T *)x + j, rows, 2 * ld, m, p);              \
    }                                                                                       \
  }
COMPLEX_SUM(c64, f32, float)
COMPLEX_SUM(c128, f64, double)

static void c128_prod_init(void *acc, int64_t n) {
  double *a = acc;
  for (int64_t i = 0; i < n; i++) {
    a[2 * i] = 1;
    a[2 * i + 1] = 0;
  }
}

/* a *= b, of n numbers each; T: type of b's parts. */
#define COMPLEX_PRODUCT(name, T)                                                            \
  static inline void name##_multiply(double *restrict a, const T *restrict b, int64_t n) {  \
    for (int64_t i = 0; i < 2 * n; i += 2) {                                                \
      const double re = a[i], im = a[i + 1], b_re = (double)b[i], b_im = (double)b[i + 1];  \
      a[i] = re * b_re - im * b_im;                                                         \
      a[i + 1] = re * b_im + im * b_re;                                                     \
    }                                                                                       \
  }                                                                                         \
  /* n: a multiple of 16. */                                                                \
  static void name##_multiply_lanes(double *acc, const T *v, int64_t n) {                   \
    double re[16], im[16];                                                                  \
    for (int k = 0; k < 16; k++) {                                                          \
      re[k] = 1;                                                                            \
      im[k] = 0;                                                                            \
    }                                                                                       \
    for (int64_t i = 0; i < n; i += 16) {                                                   \
      _Pragma("omp simd")                                                                   \
      for (int k = 0; k < 16; k++) {                                                        \
        const double r = re[k], b_re = (double)v[2 * (i + k)], b_im = (double)v[2 * (i + k) + 1]; \
        re[k] = r * b_re - im[k] * b_im;                                                    \
        im[k] = r * b_im + im[k] * b_re;                                                    \
      }                                                                                     \
    }                                                                                       \
    for (int h = 8; h > 0; h /= 2) {                                                        \
      for (int k = 0; k < h; k++) {                                                         \
        const double r = re[k];                                                             \
        re[k] = r * re[k + h] - im[k] * im[k + h];                                          \
        im[k] = r * im[k + h] + im[k] * re[k + h];                                          \
      }                                                                                     \
    }                                                                                       \
    c128_multiply(acc, (const double[]){re[0], im[0]}, 1);                                  \
  }                                                                                         \
  static void name##_prod_row(void *acc, const void *x, int64_t n, double p) {              \
    const T *v = x;                                                                         \
    const int64_t lanes = n & -16;                                                          \
    if (lanes) name##_multiply_lanes(acc, v, lanes);                                        \
    for (int64_t i = lanes; i < n; i++) name##_multiply(acc, v + 2 * i, 1);                 \
  }                                                                                         \
  static void name##_prod_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    double *restrict a = acc;                                                               \
    const T *v = x;                                                                         \
    int64_t r = 0;                                                                          \
    for (; r + 2 <= rows; r += 2, v += 4 * ld) {                                            \
      const T *u = v + 2 * ld;                                                              \
      for (int64_t j = 0; j < 2 * w; j += 2) {                                              \
        const double b = (double)v[j], b_im = (double)v[j + 1], c = (double)u[j], c_im = (double)u[j + 1]; \
        const double re = b * c - b_im * c_im, im = b * c_im + b_im * c, a_re = a[j], a_im = a[j + 1]; \
        a[j] = a_re * re - a_im * im;                                                       \
        a[j + 1] = a_re * im + a_im * re;                                                   \
      }                                                                                     \
    }                                                                                       \
    if (r < rows) name##_multiply(a, v, w);                                                 \
  }
COMPLEX_PRODUCT(c128, double)
COMPLEX_PRODUCT(c64, float)
static void c128_prod_merge(void *acc, const void *other, int64_t n) { c128_multiply(acc, other, n); }

/* --- truth: any, all and counts over bytes ---------------------------------------------------- */

static int64_t count_bytes(const uint8_t *v, int64_t n) {
  int64_t total = 0;
  for (int64_t i = 0; i < n; i += 128) {
    int64_t end = i + 128 < n ? i + 128 : n;
    uint8_t part = 0; /* at most 128 */
    for (int64_t k = i; k < end; k++) part += v[k];
    total += part;
  }
  return total;
}
static void zero_init(void *acc, int64_t n) { memset(acc, 0, (size_t)n * sizeof(int64_t)); }
static void one_init(void *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((int64_t *)acc)[i] = 1;
}
static void any_row(void *acc, const void *x, int64_t n, double p) {
  *(int64_t *)acc |= count_bytes(x, n) > 0;
}
static void all_row(void *acc, const void *x, int64_t n, double p) {
  *(int64_t *)acc &= count_bytes(x, n) == n;
}
static void count_row(void *acc, const void *x, int64_t n, double p) {
  *(int64_t *)acc += count_bytes(x, n);
}
#define TRUTH(name, OP)                                                                      \
  static void name##_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    int64_t *restrict a = acc;                                                               \
    for (int64_t r = 0; r < rows; r++) {                                                     \
      const uint8_t *v = (const uint8_t *)x + r * ld;                                        \
      for (int64_t j = 0; j < w; j++) a[j] OP v[j];                                          \
    }                                                                                        \
  }                                                                                          \
  static void name##_merge(void *acc, const void *other, int64_t n) {                        \
    for (int64_t j = 0; j < n; j++) ((int64_t *)acc)[j] OP ((const int64_t *)other)[j];      \
  }
TRUTH(any, |=)
TRUTH(all, &=)
TRUTH(count, +=)

/* --- variance: blocks in two passes, joined by Chan, Golub and LeVeque's update ---------------- */

static inline void var_join(LpVarAcc *a, double count, double mean, double m2) {
  if (count == 0) return;
  double total = a->count + count, delta = mean - a->mean;
  a->m2 += m2 + delta * delta * (a->count * count / total);
  a->mean += delta * (count / total);
  a->count = total;
}
static void var_init(void *acc, int64_t n) { memset(acc, 0, (size_t)n * sizeof(LpVarAcc)); }
static void var_merge(void *acc, const void *other, int64_t n) {
  const LpVarAcc *b = other;
  for (int64_t i = 0; i < n; i++) var_join((LpVarAcc *)acc + i, b[i].count, b[i].mean, b[i].m2);
}
static void var_row(void *acc, const void *x, int64_t n, double p) {
  const double *v = x;
  for (int64_t i0 = 0; i0 < n; i0 += 1024) {
    int64_t count = n - i0 < 1024 ? n - i0 : 1024, i = 0;
    double mean = f64_sum_block(v + i0, count) / (double)count;
    double lane[8] = {0}, m2 = 0;
    for (; i + 8 <= count; i += 8) {
      for (int k = 0; k < 8; k++) {
        double d = v[i0 + i + k] - mean;
        lane[k] += d * d;
      }
    }
    for (; i < count; i++) m2 += (v[i0 + i] - mean) * (v[i0 + i] - mean);
    for (int k = 0; k < 8; k++) m2 += lane[k];
    var_join(acc, (double)count, mean, m2);
  }
}
static void var_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) {
  double mean[LP_REDUCE_TILE], m2[LP_REDUCE_TILE];
  for (int64_t r0 = 0; r0 < rows; r0 += 64) {
    int64_t count = rows - r0 < 64 ? rows - r0 : 64;
    const double *block = (const double *)x + r0 * ld;
    memset(mean, 0, (size_t)w * sizeof(double));
    memset(m2, 0, (size_t)w * sizeof(double));
    for (int64_t r = 0; r < count; r++) {
      for (int64_t j = 0; j < w; j++) mean[j] += block[r * ld + j];
    }
    for (int64_t j = 0; j < w; j++) mean[j] /= (double)count;
    for (int64_t r = 0; r < count; r++) {
      for (int64_t j = 0; j < w; j++) {
        double d = block[r * ld + j] - mean[j];
        m2[j] += d * d;
      }
    }
    for (int64_t j = 0; j < w; j++) var_join((LpVarAcc *)acc + j, (double)count, mean[j], m2[j]);
  }
}

/* --- sums of exponentials: blocks shifted by their largest element --------------------------------- */

static void sum_exp_join(LpSumExpAcc *a, double shift, double sum) {
  if (sum == 0) return;
  if (a->sum == 0) {
    *a = (LpSumExpAcc){shift, sum};
  } else if (shift > a->shift) {
    a->sum = a->sum * exp(a->shift - shift) + sum;
    a->shift = shift;
  } else {
    a->sum += sum * exp(shift - a->shift);
  }
}
static void sum_exp_init(void *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((LpSumExpAcc *)acc)[i] = (LpSumExpAcc){-INFINITY, 0};
}
static void sum_exp_merge(void *acc, const void *other, int64_t n) {
  const LpSumExpAcc *b = other;
  for (int64_t i = 0; i < n; i++) sum_exp_join((LpSumExpAcc *)acc + i, b[i].shift, b[i].sum);
}

/* exp of x <= 0 to the accuracy of a sum that has exp(0) in it. */
static inline float f32_exp_shifted(float x) { return lp_exp_inner_f32(x < -87 ? -87 : x); }
static inline double f64_exp_shifted(double x) { return lp_exp_f64(x); }

/* An infinite maximum is no shift: the sum itself becomes infinite or 0; a NaN, which is no maximum, makes it NaN.
 * What is left beside whole vectors is filled up with -inf, whose exponential does not count beside exp(0). */
#define SUM_EXP(type, T, absolute)                                                           \
  static T type##_sum_of_exps(const T *v, int64_t n, T *top) {                               \
    enum { L = LP_LANES(T) };                                                                \
    T rest[L], lanes[L], m = -(T)INFINITY, sum = 0;                                          \
    const int64_t whole = n & -(int64_t)L;                                                   \
    for (int j = 0; j < L; j++) rest[j] = -(T)INFINITY;                                      \
    for (int64_t i = whole; i < n; i++) rest[i - whole] = v[i];                              \
    for (int j = 0; j < L; j++) lanes[j] = rest[j] > m ? rest[j] : m;                        \
    for (int64_t i = 0; i < whole; i += L) {                                                 \
      _Pragma("omp simd")                                                                    \
      for (int j = 0; j < L; j++) lanes[j] = v[i + j] > lanes[j] ? v[i + j] : lanes[j];      \
    }                                                                                        \
    _Pragma("omp simd reduction(max : m)")                                                   \
    for (int j = 0; j < L; j++) m = lanes[j] > m ? lanes[j] : m;                             \
    *top = m;                                                                                \
    if (!(absolute(m) < (T)INFINITY)) {                                                      \
      *top = 0;                                                                              \
      for (int64_t i = 0; i < n; i++) sum += lp_exp_##type(v[i]);                            \
      return sum;                                                                            \
    }                                                                                        \
    _Pragma("omp simd")                                                                      \
    for (int j = 0; j < L; j++) lanes[j] = type##_exp_shifted(rest[j] - m);                  \
    for (int64_t i = 0; i < whole; i += L) {                                                 \
      _Pragma("omp simd")                                                                    \
      for (int j = 0; j < L; j++) lanes[j] += type##_exp_shifted(v[i + j] - m);              \
    }                                                                                        \
    _Pragma("omp simd reduction(+ : sum)")                                                   \
    for (int j = 0; j < L; j++) sum += lanes[j];                                             \
    return sum;                                                                              \
  }                                                                                          \
  static void type##_sum_exp_row(void *acc, const void *x, int64_t n, double p) {            \
    const T *v = x;                                                                          \
    for (int64_t i0 = 0; i0 < n; i0 += 512) {                                                \
      T m;                                                                                   \
      const T sum = type##_sum_of_exps(v + i0, n - i0 < 512 ? n - i0 : 512, &m);             \
      sum_exp_join(acc, (double)m, (double)sum);                                             \
    }                                                                                        \
  }                                                                                          \
  static void type##_sum_exp_col(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    T shift[LP_REDUCE_TILE];                                                                 \
    double sum[LP_REDUCE_TILE], top[LP_REDUCE_TILE];                                         \
    for (int64_t r0 = 0; r0 < rows; r0 += 256) {                                             \
      int64_t count = rows - r0 < 256 ? rows - r0 : 256;                                     \
      const T *block = (const T *)x + r0 * ld;                                               \
      type##_max_init(top, w);                                                               \
      type##_max_col(top, block, count, ld, w, p);                                           \
      for (int64_t j = 0; j < w; j++) {                                                      \
        shift[j] = fabs(top[j]) < INFINITY ? (T)top[j] : 0;                                  \
        sum[j] = 0;                                                                          \
      }                                                                                      \
      for (int64_t r = 0; r < count; r++) {                                                  \
        const T *row = block + r * ld;                                                       \
        for (int64_t j = 0; j < w; j++) sum[j] += (double)lp_exp_##type(row[j] - shift[j]);  \
      }                                                                                      \
      for (int64_t j = 0; j < w; j++) sum_exp_join((LpSumExpAcc *)acc + j, (double)shift[j], sum[j]); \
    }                                                                                        \
  }
SUM_EXP(f32, float, fabsf)
SUM_EXP(f64, double, fabs)

/* --- last steps ------------------------------------------------------------------------------ */

static void finish_divide(double *v, int64_t n, double divisor) {
  for (int64_t i = 0; i < n; i++) v[i] /= divisor;
}
static void finish_root(double *v, int64_t n) {
  for (int64_t i = 0; i < n; i++) v[i] = sqrt(v[i]);
}
static void finish_narrow(float *restrict dst, const double *restrict v, int64_t n) {
  for (int64_t i = 0; i < n; i++) dst[i] = (float)v[i];
}

/* --- loaders --------------------------------------------------------------------------------- */

typedef struct { uint16_t bits; } Bf16;
typedef struct { uint16_t bits; } Half;
typedef struct { float re, im; } C64;
typedef struct { double re, im; } C128;

#define NUMBER(x) (x)
#define WIDEN_BF16(x) lp_bf16_to_float((x).bits)
#define WIDEN_HALF(x) lp_half_to_float((x).bits)
#define REAL(x) ((x).re)

#define LOAD(name, S, D, expr)                                                               \
  static void name(void *dst, const char *src, int64_t stride, int64_t n) {                  \
    D *restrict d = dst;                                                                     \
    if (stride == (int64_t)sizeof(S)) {                                                      \
      const S *restrict s = (const S *)src;                                                  \
      for (int64_t i = 0; i < n; i++) {                                                      \
        S x = s[i];                                                                          \
        d[i] = (D)(expr);                                                                    \
      }                                                                                      \
    } else {                                                                                 \
      for (int64_t i = 0; i < n; i++) {                                                      \
        S x = *(const S *)(src + i * stride);                                                \
        d[i] = (D)(expr);                                                                    \
      }                                                                                      \
    }                                                                                        \
  }
#define LOAD_C128(name, S, re_expr, im_expr)                                                 \
  static void name(void *dst, const char *src, int64_t stride, int64_t n) {                  \
    double *restrict d = dst;                                                                \
    for (int64_t i = 0; i < n; i++) {                                                        \
      S x = *(const S *)(src + i * stride);                                                  \
      d[2 * i] = (double)(re_expr);                                                          \
      d[2 * i + 1] = (double)(im_expr);                                                      \
    }                                                                                        \
  }

/* Out-of-range floats become INT64_MIN, as the conversion instruction gives. */
static inline int64_t float_to_int(double x) {
  return x >= -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN;
}

#define LOADERS(name, S, get)                                                                \
  LOAD(name##_f32, S, float, get(x))                                                         \
  LOAD(name##_f64, S, double, get(x))                                                        \
  LOAD_C128(name##_c128, S, get(x), 0)                                                       \
  LOAD(name##_bool, S, uint8_t, get(x) != 0)
#define FLOAT_LOADERS(name, S, get)                                                          \
  LOADERS(name, S, get)                                                                      \
  LOAD(name##_i64, S, int64_t, float_to_int((double)get(x)))                                 \
  LOAD(name##_abs, S, double, fabs((double)get(x)))
#define INT_LOADERS(name, S)                                                                 \
  LOADERS(name, S, NUMBER)                                                                   \
  LOAD(name##_i64, S, int64_t, x)                                                            \
  LOAD(name##_abs, S, double, fabs((double)x))
#define COMPLEX_LOADERS(name, S)                                                             \
  LOAD(name##_f32, S, float, x.re)                                                           \
  LOAD(name##_f64, S, double, x.re)                                                          \
  LOAD(name##_i64, S, int64_t, float_to_int((double)x.re))                                   \
  LOAD_C128(name##_c128, S, x.re, x.im)                                                      \
  LOAD(name##_bool, S, uint8_t, x.re != 0 || x.im != 0)                                      \
  LOAD(name##_abs, S, double, hypot((double)x.re, (double)x.im))

FLOAT_LOADERS(half, Half, WIDEN_HALF)
FLOAT_LOADERS(bf16, Bf16, WIDEN_BF16)
FLOAT_LOADERS(float, float, NUMBER)
FLOAT_LOADERS(double, double, NUMBER)
INT_LOADERS(u8, uint8_t)
INT_LOADERS(i8, int8_t)
INT_LOADERS(i16, int16_t)
INT_LOADERS(i32, int32_t)
INT_LOADERS(i64, int64_t)

/* A vector at a time where the hardware converts halves: the compiler does not vectorise it. */
static void half_f32_fast(void *dst, const char *src, int64_t stride, int64_t n) {
#ifdef __F16C__
  int64_t i = 0;
  if (stride == 2) {
#ifdef LP_CAP_avx512
    for (; i + 16 <= n; i += 16)
      _mm512_storeu_ps((float *)dst + i,
                       _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(src + 2 * i))));
#endif
    for (; i + 8 <= n; i += 8) {
      __m128i halves;
      memcpy(&halves, src + 2 * i, 16);
      _mm256_storeu_ps((float *)dst + i, _mm256_cvtph_ps(halves));
    }
  }
  half_f32((float *)dst + i, src + i * stride, stride, n - i);
#else
  half_f32(dst, src, stride, n);
#endif
}
#define half_f32 half_f32_fast

COMPLEX_LOADERS(c64, C64)
COMPLEX_LOADERS(c128, C128)

/* Elements as they are. */
LOAD(copy_1, uint8_t, uint8_t, x)
LOAD(copy_2, uint16_t, uint16_t, x)
LOAD(copy_4, uint32_t, uint32_t, x)
LOAD(copy_8, uint64_t, uint64_t, x)

#define LOAD_ROW(suffix)                                                                     \
  {                                                                                          \
    [LP_UINT8] = u8_##suffix, [LP_INT8] = i8_##suffix, [LP_INT16] = i16_##suffix,            \
    [LP_INT32] = i32_##suffix, [LP_INT64] = i64_##suffix, [LP_FLOAT16] = half_##suffix,      \
    [LP_FLOAT32] = float_##suffix, [LP_FLOAT64] = double_##suffix,                           \
    [LP_COMPLEX64] = c64_##suffix, [LP_COMPLEX128] = c128_##suffix,                          \
    [LP_BOOL] = u8_##suffix, [LP_BFLOAT16] = bf16_##suffix                                   \
  }

#define KERNEL(type, acc, init, row, col, merge) \
  [LP_AS_##type] = {acc, init, row, col, merge}
#define PLAIN(type, acc, name) \
  KERNEL(type, acc, name##_init, name##_row, name##_col, name##_merge)
#define SUM(type, T, name)                                                                   \
  [LP_AS_##type] = {8, name##_init, name##_row, name##_col, name##_merge, name##_rows, LP_LANES(T)}
#define DOUBLE_SUM(type, name) KERNEL(type, 8, f64_sum_init, name##_row, name##_col, f64_sum_merge)
#define PRODUCT_KERNEL(type, name, acc) \
  KERNEL(type, 8, acc##_prod_init, name##_prod_row, name##_prod_col, acc##_prod_merge)
#define COMPLEX_KERNEL(op) \
  KERNEL(C64, 16, c128_##op##_init, c64_##op##_row, c64_##op##_col, c128_##op##_merge)
#define SHIFTED(type, T, name) \
  [LP_AS_##type] = {sizeof(LpSumExpAcc), sum_exp_init, name##_row, name##_col, sum_exp_merge, NULL, 2 * LP_LANES(T)}
#define WHOLE(type, name) \
  [LP_AS_##type] = {8, name##_init, name##_row, name##_col, name##_merge, NULL, 0, name##_whole}
#define EXTREME_INTS(op) \
  WHOLE(I64, i64_##op), WHOLE(I32, i32_##op), WHOLE(I16, i16_##op), WHOLE(I8, i8_##op), WHOLE(U8, u8_##op)
#define ARG(type, name) [LP_AS_##type] = {name##_row, name##_col}

const LpReduceTable LP_SIMD(lp_reduce_table) = {
  .load = {
    [LP_AS_F32] = LOAD_ROW(f32), [LP_AS_F64] = LOAD_ROW(f64), [LP_AS_I64] = LOAD_ROW(i64),
    [LP_AS_C128] = LOAD_ROW(c128), [LP_AS_BOOL] = LOAD_ROW(bool), [LP_AS_ABS] = LOAD_ROW(abs),
    [LP_AS_U8] = {[LP_UINT8] = copy_1, [LP_BOOL] = copy_1}, [LP_AS_I8] = {[LP_INT8] = copy_1},
    [LP_AS_I16] = {[LP_INT16] = copy_2}, [LP_AS_I32] = {[LP_INT32] = copy_4},
    [LP_AS_C64] = {[LP_COMPLEX64] = copy_8}, [LP_AS_BF16] = {[LP_BFLOAT16] = copy_2},
  },
  .kernel = {
    [LP_REDUCE_SUM] = {SUM(F32, float, f32_sum), SUM(F64, double, f64_sum), SUM(I64, int64_t, i64_sum),
                       PLAIN(C128, 16, c128_sum), COMPLEX_KERNEL(sum), SUM(BF16, float, bf16_sum)},
    [LP_REDUCE_NANSUM] = {SUM(F32, float, f32_nansum), SUM(F64, double, f64_nansum)},
    [LP_REDUCE_NANCOUNT] = {DOUBLE_SUM(F32, f32_nancount), DOUBLE_SUM(F64, f64_nancount)},
    [LP_REDUCE_PROD] = {PRODUCT_KERNEL(F32, f32, double), PRODUCT_KERNEL(F64, f64, double),
                        PRODUCT_KERNEL(I64, i64, uint64_t), PLAIN(C128, 16, c128_prod),
                        COMPLEX_KERNEL(prod)},
    [LP_REDUCE_MAX] = {WHOLE(F32, f32_max), WHOLE(F64, f64_max), EXTREME_INTS(max),
                       KERNEL(ABS, 8, f64_max_init, f64_max_row, f64_max_col, f64_max_merge)},
    [LP_REDUCE_MIN] = {WHOLE(F32, f32_min), WHOLE(F64, f64_min), EXTREME_INTS(min),
                       KERNEL(ABS, 8, f64_min_init, f64_min_row, f64_min_col, f64_min_merge)},
    [LP_REDUCE_ANY] = {KERNEL(BOOL, 8, zero_init, any_row, any_col, any_merge)},
    [LP_REDUCE_ALL] = {KERNEL(BOOL, 8, one_init, all_row, all_col, all_merge)},
    [LP_REDUCE_COUNT] = {KERNEL(BOOL, 8, zero_init, count_row, count_col, count_merge)},
    [LP_REDUCE_VAR] = {PLAIN(F64, sizeof(LpVarAcc), var)},
    [LP_REDUCE_SUM_ABS] = {KERNEL(ABS, 8, f64_sum_init, f64_sum_row, f64_sum_col, f64_sum_merge)},
    [LP_REDUCE_SUM_SQUARE] = {SUM(F32, double, f32_square_sum), SUM(F64, double, f64_square_sum),
                              PLAIN(ABS, 8, f64_square_sum)},
    [LP_REDUCE_SUM_POW] = {DOUBLE_SUM(ABS, f64_pow)},
    [LP_REDUCE_SUM_EXP] = {SHIFTED(F32, float, f32_sum_exp), SHIFTED(F64, double, f64_sum_exp)},
  },
  .arg = {
    {ARG(F32, f32_argmax), ARG(F64, f64_argmax), ARG(I64, i64_argmax), ARG(I32, i32_argmax),
     ARG(I16, i16_argmax), ARG(I8, i8_argmax), ARG(U8, u8_argmax)},
    {ARG(F32, f32_argmin), ARG(F64, f64_argmin), ARG(I64, i64_argmin), ARG(I32, i32_argmin),
     ARG(I16, i16_argmin), ARG(I8, i8_argmin), ARG(U8, u8_argmin)},
  },
  .finish = {finish_divide, finish_root, finish_narrow},
};
