/* Pointwise kernels on float32; float16 and bfloat16 are computed here, too. */
#include "cpu/simd/kernels.h"

/* Logarithms: a stretch of positive normal numbers, the common case, needs no special
 * cases. Its bits are those that the function for any number gives. */
static bool all_normal(const float *x, int64_t n) {
  uint32_t outside = 0; /* the top bit, of differences that go below zero */
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    outside |= (bits - 0x00800000u) | (0x7f7fffffu - bits);
  }
  return !(outside >> 31);
}
#define LOG_LOOP(name)                                                                   \
  static void loop_##name##_f32(float *out, const float *a, int64_t n) {                 \
    for (int64_t at = 0; at < n; at += 512) {                                            \
      int64_t end = at + 512 < n ? at + 512 : n;                                         \
      if (all_normal(a + at, end - at)) {                                                \
        LP_IVDEP                                                                         \
        for (int64_t i = at; i < end; i++) out[i] = lp_##name##_normal_f32(a[i], 0);     \
      } else {                                                                           \
        LP_IVDEP                                                                         \
        for (int64_t i = at; i < end; i++) out[i] = lp_##name##_f32(a[i]);               \
      }                                                                                  \
    }                                                                                    \
  }
LOG_LOOP(log)
LOG_LOOP(log2)
LOG_LOOP(log10)

/* exp likewise: the common case is a stretch of numbers whose exp is normal. */
static bool all_within_87(const float *x, int64_t n) {
  int32_t most =
      0; /* bits of the largest absolute value; those of a NaN are larger yet */
  for (int64_t i = 0; i < n; i++) {
    int32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  return most <= 0x42ae0000;
}
static void loop_exp_f32(float *out, const float *a, int64_t n) {
  for (int64_t at = 0; at < n; at += 512) {
    int64_t end = at + 512 < n ? at + 512 : n;
    if (all_within_87(a + at, end - at)) {
      LP_IVDEP
      for (int64_t i = at; i < end; i++) out[i] = lp_exp_inner_f32(a[i]);
    } else {
      LP_IVDEP
      for (int64_t i = at; i < end; i++) out[i] = lp_exp_f32(a[i]);
    }
  }
}

#define LP_OWN_LOOP_exp_f32 ~, OWN
#define LP_OWN_LOOP_log_f32 ~, OWN
#define LP_OWN_LOOP_log2_f32 ~, OWN
#define LP_OWN_LOOP_log10_f32 ~, OWN

#define CATEGORY FLOAT
#define IS_FLOAT 1
#define T float
#define BITS uint32_t
#define FN(name) name##_f32
#define V(name) lp_##name##_f32
#define BI(name) __builtin_##name##f
#include "cpu/simd/template.h"
