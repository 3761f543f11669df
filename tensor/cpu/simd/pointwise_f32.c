/* Pointwise kernels on float32; float16 and bfloat16 are computed here, too. */
#include "cpu/simd/kernels.h"

/* Loops in stretches. The common case, a stretch of positive normal numbers (logarithms)
 * or of numbers near enough to 0 (exp, gelu), needs no special cases: it is computed
 * while its numbers are looked at, and again where one lay outside. In place, and after
 * such a stretch, they are
 * looked at first. Bits are those of the function for any number. */
static inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
/* The top bit is set of numbers outside. */
static inline uint32_t outside_normal(float x) {
  return (bits_of(x) - 0x00800000u) | (0x7f7fffffu - bits_of(x));
}
static inline uint32_t outside_87(float x) {
  return 0x42ae0000u - (bits_of(x) & 0x7fffffff);
}
static inline uint32_t outside_gelu(float x) { /* 5.79 */
  return 0x40b947aeu - (bits_of(x) & 0x7fffffff);
}
#define STRETCH_LOOP(name, outside, inner, any)                                          \
  static void loop_##name##_f32(float *out, const float *a, int64_t n) {                 \
    bool look_first = out == a;                                                          \
    for (int64_t at = 0; at < n; at += 512) {                                            \
      int64_t end = at + 512 < n ? at + 512 : n;                                         \
      uint32_t odd = 0;                                                                  \
      if (look_first)                                                                    \
        for (int64_t i = at; i < end; i++) odd |= outside(a[i]);                         \
      if (!(odd >> 31)) {                                                                \
        LP_IVDEP                                                                         \
        for (int64_t i = at; i < end; i++) {                                             \
          float x = a[i];                                                                \
          odd |= outside(x);                                                             \
          out[i] = inner;                                                                \
        }                                                                                \
      }                                                                                  \
      look_first = out == a || odd >> 31;                                                \
      if (odd >> 31) {                                                                   \
        LP_IVDEP                                                                         \
        for (int64_t i = at; i < end; i++) out[i] = any(a[i]);                           \
      }                                                                                  \
    }                                                                                    \
  }
STRETCH_LOOP(log, outside_normal, lp_log_normal_f32(x, 0), lp_log_f32)
STRETCH_LOOP(log2, outside_normal, lp_log2_normal_f32(x, 0), lp_log2_f32)
STRETCH_LOOP(log10, outside_normal, lp_log10_normal_f32(x, 0), lp_log10_f32)
STRETCH_LOOP(exp, outside_87, lp_exp_inner_f32(x), lp_exp_f32)
STRETCH_LOOP(gelu_erf, outside_gelu, lp_gelu_inner_f32(x), lp_gelu_f32)

#define LP_OWN_LOOP_exp_f32 ~, OWN
#define LP_OWN_LOOP_gelu_erf_f32 ~, OWN
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
