/* Loops of pointwise_f32.c over functions whose common case needs no special cases;
 * included by template.h behind the functions, and going on in wide.h for AVX-512.
 *
 * Loops in stretches. The common case, a stretch of numbers near enough to 0 or, of a
 * logarithm, positive and normal, needs no special cases: it is computed while its
 * numbers are looked at, and again where one lay outside. In place, and after such a
 * stretch, they are looked at first. Bits are those of the function for any number. */
#define STRETCH 512

static inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
/* The greatest key of a stretch tells whether one lies outside. */
static inline uint32_t size_key(float x) {
  return bits_of(x) & 0x7fffffffu;
}
static inline uint32_t normal_key(float x) {
  return bits_of(x) - 0x00800000u;
}
#define NORMAL 0x7effffffu
#define UP_TO_126 0x42fc0000u
#define UP_TO_87 0x42ae0000u
#define UP_TO_40 0x42200000u
#define UP_TO_9 0x41100000u
#define UP_TO_5_8 0x40b9999au
#define UP_TO_4_1 0x40833333u

/* Elements ahead that are asked for: the processor looks less far ahead in a loop of many
 * instructions, and its own prefetching starts anew with each page. */
#define AHEAD 512
#define LANES LP_LANES(float)

static inline uint32_t greatest_key(const uint32_t *tops) {
  uint32_t top = 0;
  for (int j = 0; j < LANES; j++) top = tops[j] > top ? tops[j] : top;
  return top;
}

/* `inner` and `any` are expressions in x and, in a gradient's loop, in g before it. */
#define STRETCH_LOOP(name, key, most, inner, any)                                        \
  static void loop_##name##_f32(float *out, const float *gs, const float *xs,            \
                                int64_t n) {                                             \
    const bool in_place = out == xs || out == gs;                                        \
    bool look_first = in_place;                                                          \
    for (int64_t m; n > 0; n -= m, out += m, gs += m, xs += m) {                         \
      m = n < STRETCH ? n : STRETCH;                                                     \
      uint32_t tops[LANES] = {0};                                                        \
      if (look_first)                                                                    \
        for (int64_t at = 0; at < m; at += LANES) {                                      \
          _Pragma("omp simd") for (int j = 0; j < LANES; j++) {                          \
            const uint32_t own = key(xs[at + j]);                                        \
            tops[j] = own > tops[j] ? own : tops[j];                                     \
          }                                                                              \
        }                                                                                \
      if (!look_first || greatest_key(tops) <= most)                                     \
        for (int64_t at = 0; at < m; at += LANES) {                                      \
          __builtin_prefetch(xs + at + AHEAD);                                           \
          __builtin_prefetch(out + at + AHEAD, 1);                                       \
          _Pragma("omp simd") for (int j = 0; j < LANES; j++) {                          \
            const float x = xs[at + j], g = gs[at + j];                                  \
            const uint32_t own = key(x);                                                 \
            (void)g;                                                                     \
            tops[j] = own > tops[j] ? own : tops[j];                                     \
            out[at + j] = inner;                                                         \
          }                                                                              \
        }                                                                                \
      const bool outside = greatest_key(tops) > most;                                    \
      look_first = in_place || outside;                                                  \
      if (!outside) continue;                                                            \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < (m & -(int64_t)LANES); i++) {                              \
        const float x = xs[i], g = gs[i];                                                \
        (void)g;                                                                         \
        out[i] = any;                                                                    \
      }                                                                                  \
    }                                                                                    \
  }

static inline float silu_slope_inner(float x) {
  float rest, s = lp_sigmoids_inner_f32(x, &rest);
  return s + x * rest * s;
}
static inline float gelu_tanh_slope_inner(float x) {
  float rest, s = lp_sigmoids_inner_f32(gelu_gate_f32(x), &rest);
  return gelu_slope_f32(x, s, rest);
}
static inline float gelu_slope_inner(float x) {
  return lp_normal_cdf_inner_f32(x) +
         x * (0.398942280f * lp_exp_inner_f32(-0.5f * x * x));
}

STRETCH_LOOP(log, normal_key, NORMAL, lp_log_normal_f32(x, 0), lp_log_f32(x))
STRETCH_LOOP(log2, normal_key, NORMAL, lp_log2_normal_f32(x, 0), lp_log2_f32(x))
STRETCH_LOOP(log10, normal_key, NORMAL, lp_log10_normal_f32(x, 0), lp_log10_f32(x))
STRETCH_LOOP(exp2, size_key, UP_TO_126, lp_exp2_inner_f32(x), lp_exp2_f32(x))
STRETCH_LOOP(silu_backward, size_key, UP_TO_87, g *silu_slope_inner(x),
             silu_backward_f32(g, x))
STRETCH_LOOP(mish, size_key, UP_TO_40, lp_mish_inner_f32(x), lp_mish_f32(x))
STRETCH_LOOP(mish_backward, size_key, UP_TO_40, g *lp_mish_slope_inner_f32(x),
             mish_backward_f32(g, x))
STRETCH_LOOP(gelu_erf_backward, size_key, UP_TO_5_8, g *gelu_slope_inner(x),
             gelu_erf_backward_f32(g, x))
STRETCH_LOOP(gelu_tanh, size_key, UP_TO_9, lp_gate_inner_f32(x, gelu_gate_f32(x)),
             gelu_tanh_f32(x))
STRETCH_LOOP(gelu_tanh_backward, size_key, UP_TO_9, g *gelu_tanh_slope_inner(x),
             gelu_tanh_backward_f32(g, x))

#if defined(LP_CAP_avx512)
#include "cpu/simd/wide.h"
#else
STRETCH_LOOP(exp, size_key, UP_TO_87, lp_exp_inner_f32(x), lp_exp_f32(x))
STRETCH_LOOP(sigmoid, size_key, UP_TO_87, lp_gate_inner_f32(1, x), sigmoid_f32(x))
STRETCH_LOOP(silu, size_key, UP_TO_87, lp_gate_inner_f32(x, x), silu_f32(x))
STRETCH_LOOP(tanh, size_key, UP_TO_9, lp_tanh_inner_f32(x), lp_tanh_f32(x))
STRETCH_LOOP(gelu_erf, size_key, UP_TO_5_8, lp_gelu_inner_f32(x), lp_gelu_f32(x))
STRETCH_LOOP(erf, size_key, UP_TO_4_1, lp_erf_inner_f32(x), lp_erf_f32(x))
#endif

#define LP_OWN_LOOP_log_f32 ~, OWN
#define LP_OWN_LOOP_log2_f32 ~, OWN
#define LP_OWN_LOOP_log10_f32 ~, OWN
#define LP_OWN_LOOP_exp_f32 ~, OWN
#define LP_OWN_LOOP_exp2_f32 ~, OWN
#define LP_OWN_LOOP_sigmoid_f32 ~, OWN
#define LP_OWN_LOOP_silu_f32 ~, OWN
#define LP_OWN_LOOP_silu_backward_f32 ~, OWN
#define LP_OWN_LOOP_tanh_f32 ~, OWN
#define LP_OWN_LOOP_mish_f32 ~, OWN
#define LP_OWN_LOOP_mish_backward_f32 ~, OWN
#define LP_OWN_LOOP_gelu_erf_f32 ~, OWN
#define LP_OWN_LOOP_gelu_erf_backward_f32 ~, OWN
#define LP_OWN_LOOP_gelu_tanh_f32 ~, OWN
#define LP_OWN_LOOP_gelu_tanh_backward_f32 ~, OWN
#define LP_OWN_LOOP_erf_f32 ~, OWN

#if defined(__FMA__)
#include "cpu/simd/quotients.h"
#define LP_OWN_LOOP_floor_divide_f32 ~, OWN
#define LP_OWN_LOOP_remainder_f32 ~, OWN
#define LP_OWN_LOOP_fmod_f32 ~, OWN
#endif
