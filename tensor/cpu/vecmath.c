/* The scalar forms of the elementary functions, for loops that gcc leaves scalar; see
 * Note [Vector functions] in cpu/simd/vecmath.h. */
#include <sleef.h>
#include "cpu/simd/vecmath.h"

#define DEFINE_1_F32(name, ulp)                                                          \
  float lp_##name##_f32(float x) {                                                       \
    return Sleef_##name##f_##ulp(x);                                                     \
  }
#define DEFINE_1_F64(name, ulp)                                                          \
  double lp_##name##_f64(double x) {                                                     \
    return Sleef_##name##_##ulp(x);                                                      \
  }
#define DEFINE_2(name, ulp)                                                              \
  float lp_##name##_f32(float x, float y) {                                              \
    return Sleef_##name##f_##ulp(x, y);                                                  \
  }                                                                                      \
  double lp_##name##_f64(double x, double y) {                                           \
    return Sleef_##name##_##ulp(x, y);                                                   \
  }

LP_MATH_1(DEFINE_1_F32)
LP_MATH_1(DEFINE_1_F64)
LP_MATH_1_F32(DEFINE_1_F32)
LP_MATH_1_F64(DEFINE_1_F64)
LP_MATH_2(DEFINE_2)
