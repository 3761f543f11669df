/* Running sums, a vector at a time, compiled once per instruction set; see cpu/scan.h. */
#include "cpu/simd/simd.h"

#include <string.h>
#if defined(LP_CAP_avx2) || defined(LP_CAP_avx512)
#include <immintrin.h>
#endif
#include "cpu/scan.h"
#include "cpu/simd/vecmath.h"

#define LANES LP_LANES(double)
typedef double VecF64 __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef uint64_t VecU64 __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef int64_t Lanes __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef float VecF32 __attribute__((vector_size(LP_VECTOR_BYTES / 2)));

/* Lanes of (zeros, v) that move v up by 1, 2, 4 lanes; the last lane for all. */
#if LP_VECTOR_BYTES == 64
#define NUMBERS                                                                          \
  (Lanes) {                                                                              \
    0, 1, 2, 3, 4, 5, 6, 7                                                               \
  }
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
#define NUMBERS                                                                          \
  (Lanes) {                                                                              \
    0, 1, 2, 3                                                                           \
  }
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
#define NUMBERS                                                                          \
  (Lanes) {                                                                              \
    0, 1                                                                                 \
  }
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
#if defined(LP_CAP_avx512)
  return (VecF64)_mm512_cvtps_pd(_mm256_loadu_ps(x)); /* which gcc takes apart */
#elif defined(LP_CAP_avx2)
  return (VecF64)_mm256_cvtps_pd(_mm_loadu_ps(x));
#else
  VecF32 v;
  memcpy(&v, x, sizeof v);
  return __builtin_convertvector(v, VecF64);
#endif
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
/* Signed or not. */
static inline VecU64 wide_of_i64(const void *x) {
  VecU64 v;
  memcpy(&v, x, sizeof v);
  return v;
}
static inline void store_i64(void *out, VecU64 x) {
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

/* Lanes of (zeros, v) that move v up by some lanes within groups of n <= LANES. */
static inline Lanes up_within(int64_t n, int64_t by) {
  const Lanes group = ((NUMBERS * ((63 + n) / n)) >> 6); /* NUMBERS / n */
  return (NUMBERS - group * n >= by) & (LANES + NUMBERS - by);
}

/* Whole vectors: what the last of a row has too much reaches into the rows behind, which
 * come later. */
#define SUM_ROWS(name, one, T, A, Wide, VA, load, store)                                 \
  static void name(void *to, const void *from, int64_t n, int64_t rows) {                \
    const VA zeros = {0};                                                                \
    const int64_t room = rows * n - (n + LANES - 1) / LANES * LANES;                     \
    const int64_t full = room < 0 ? 0 : room / n + 1;                                    \
    T *out = to;                                                                         \
    const T *in = from;                                                                  \
    int64_t r = 0;                                                                       \
    if (n <= LANES) {                                                                    \
      const int64_t some = LANES / n; /* rows of a vector */                             \
      const Lanes up1 = up_within(n, 1), up2 = up_within(n, 2), up4 = up_within(n, 4);   \
      for (; r + some <= rows && (rows - r) * n >= LANES;                                \
           r += some, in += some * n, out += some * n) {                                 \
        VA x = load(in);                                                                 \
        x += __builtin_shuffle(zeros, x, up1);                                           \
        if (n > 2) x += __builtin_shuffle(zeros, x, up2);                                \
        if (n > 4) x += __builtin_shuffle(zeros, x, up4);                                \
        store(out, x);                                                                   \
      }                                                                                  \
    } else {                                                                             \
      const int64_t vectors =                                                            \
          n % LANES <= 2 ? n - n % LANES : n; /* the rest one by one */                  \
      for (; r < full; r++, in += n, out += n) {                                         \
        VA x = load(in);                                                                 \
        ADD_GROUPS(x)                                                                    \
        store(out, x);                                                                   \
        VA before = __builtin_shuffle(x, LAST);                                          \
        for (int64_t i = LANES; i < vectors; i += LANES) {                               \
          x = load(in + i);                                                              \
          ADD_GROUPS(x)                                                                  \
          store(out + i, before + x);                                                    \
          before += __builtin_shuffle(x, LAST);                                          \
        }                                                                                \
        Wide total = before[0];                                                          \
        for (int64_t i = vectors; i < n; i++) out[i] = (T)(total += (Wide)in[i]);        \
      }                                                                                  \
    }                                                                                    \
    for (; r < rows; r++, in += n, out += n) {                                           \
      A carry = 0;                                                                       \
      one(out, in, n, &carry);                                                           \
    }                                                                                    \
  }
SUM_ROWS(rows_f32, sum_f32, float, double, double, VecF64, wide_of_f32, store_f32)
SUM_ROWS(rows_wide, sum_wide, double, double, double, VecF64, wide_of_f64, store_f64)
SUM_ROWS(rows_i64, sum_i64, int64_t, int64_t, uint64_t, VecU64, wide_of_i64, store_i64)

#define DOWN_ROWS 16 /* for which the carries stay in registers */

/* Columns of a vector or less, row after row; what a vector has too much reaches into the
 * next row, which comes later. A wider row's last vector overlaps the one before, and has
 * a carry of its own. */
#define DOWN(name, T, A, VA, load, store, load_carry, store_carry, combine)              \
  static void name##_narrow(T *out, int64_t out_step, const T *in, int64_t in_step,      \
                            int64_t w, int64_t rows, A *carry) {                         \
    int64_t r = 0;                                                                       \
    memset(carry + w, 0, LANES * sizeof(A));                                             \
    if (out_step == w && in_step == w) {                                                 \
      VA c = load_carry(carry);                                                          \
      for (; (rows - r) * w >= LANES; r++) {                                             \
        c = combine(c, load(in + r * w));                                                \
        store(out + r * w, c);                                                           \
      }                                                                                  \
      store_carry(carry, c);                                                             \
    }                                                                                    \
    for (; r < rows; r++)                                                                \
      for (int64_t j = 0; j < w; j++)                                                    \
        out[r * out_step + j] = (T)(carry[j] = combine(carry[j], in[r * in_step + j]));  \
  }                                                                                      \
  static inline void name##_vector(T *out, int64_t out_step, const T *in,                \
                                   int64_t in_step, int64_t rows, A *carry) {            \
    VA c = load_carry(carry);                                                            \
    for (int64_t r = 0; r < rows; r++, in += in_step, out += out_step) {                 \
      c = combine(c, load(in));                                                          \
      store(out, c);                                                                     \
    }                                                                                    \
    store_carry(carry, c);                                                               \
  }                                                                                      \
  static void name(void *to, int64_t out_step, const void *from, int64_t in_step,        \
                   int64_t w, int64_t rows, void *carries) {                             \
    T *out = to;                                                                         \
    const T *in = from;                                                                  \
    A *carry = carries, *tail = carry + w;                                               \
    if (w < LANES) {                                                                     \
      name##_narrow(out, out_step, in, in_step, w, rows, carry);                         \
      return;                                                                            \
    }                                                                                    \
    memcpy(tail, carry + w - LANES, LANES * sizeof(A));                                  \
    for (int64_t r = 0; r < rows; r += DOWN_ROWS) {                                      \
      const int64_t n = rows - r < DOWN_ROWS ? rows - r : DOWN_ROWS;                     \
      const T *x = in + r * in_step;                                                     \
      T *y = out + r * out_step;                                                         \
      int64_t j = 0;                                                                     \
      for (; j + 4 * LANES <= w; j += 4 * LANES) {                                       \
        VA c0 = load_carry(carry + j), c1 = load_carry(carry + j + LANES);               \
        VA c2 = load_carry(carry + j + 2 * LANES);                                       \
        VA c3 = load_carry(carry + j + 3 * LANES);                                       \
        for (int64_t i = 0; i < n; i++) {                                                \
          const T *a = x + i * in_step + j;                                              \
          T *b = y + i * out_step + j;                                                   \
          c0 = combine(c0, load(a));                                                     \
          c1 = combine(c1, load(a + LANES));                                             \
          c2 = combine(c2, load(a + 2 * LANES));                                         \
          c3 = combine(c3, load(a + 3 * LANES));                                         \
          store(b, c0);                                                                  \
          store(b + LANES, c1);                                                          \
          store(b + 2 * LANES, c2);                                                      \
          store(b + 3 * LANES, c3);                                                      \
        }                                                                                \
        store_carry(carry + j, c0);                                                      \
        store_carry(carry + j + LANES, c1);                                              \
        store_carry(carry + j + 2 * LANES, c2);                                          \
        store_carry(carry + j + 3 * LANES, c3);                                          \
      }                                                                                  \
      for (; j + LANES <= w; j += LANES)                                                 \
        name##_vector(y + j, out_step, x + j, in_step, n, carry + j);                    \
      if (j < w)                                                                         \
        name##_vector(y + w - LANES, out_step, x + w - LANES, in_step, n, tail);         \
      else                                                                               \
        memcpy(tail, carry + w - LANES, LANES * sizeof(A));                              \
    }                                                                                    \
    memcpy(carry + w - LANES, tail, LANES * sizeof(A));                                  \
  }
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define DOWN_BOTH(suffix, T, A, VA, load, store, load_carry, store_carry)                \
  DOWN(sum_down_##suffix, T, A, VA, load, store, load_carry, store_carry, PLUS)          \
  DOWN(prod_down_##suffix, T, A, VA, load, store, load_carry, store_carry, TIMES)
DOWN_BOTH(f32, float, double, VecF64, wide_of_f32, store_f32, wide_of_f64, store_f64)
DOWN_BOTH(f64, double, double, VecF64, wide_of_f64, store_f64, wide_of_f64, store_f64)
DOWN_BOTH(i64, uint64_t, uint64_t, VecU64, wide_of_i64, store_i64, wide_of_i64, store_i64)

#define EXTREME(name, T, wins)                                                           \
  static void name(T *restrict best, int64_t *restrict at, const T *restrict x,          \
                   int64_t i, int64_t n) {                                               \
    for (int64_t j = 0; j < n; j++) {                                                    \
      const T a = best[j], b = x[j];                                                     \
      const bool better = wins;                                                          \
      best[j] = better ? b : a;                                                          \
      at[j] = better ? i : at[j];                                                        \
    }                                                                                    \
  }
EXTREME(max_f64, double, (b != b) | (b >= a))
EXTREME(min_f64, double, (b != b) | (b <= a))
EXTREME(max_i64, int64_t, b >= a)
EXTREME(min_i64, int64_t, b <= a)

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
                                            .rows_f32 = rows_f32,
                                            .rows_wide = rows_wide,
                                            .rows_i64 = rows_i64,
                                            .down_f32 = {sum_down_f32, prod_down_f32},
                                            .down_f64 = {sum_down_f64, prod_down_f64},
                                            .down_i64 = {sum_down_i64, prod_down_i64},
                                            .extreme_f64 = {max_f64, min_f64},
                                            .extreme_i64 = {max_i64, min_i64},
                                            .log_add_exp = log_add_exp};
