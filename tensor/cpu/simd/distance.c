/* Distances between rows. A panel of rows of b lies column by column, so that a vector
 * holds the distances of one row of a to as many rows of b: short rows cost no horizontal
 * sums, and the sums of a whole panel stay in registers. */
#include "cpu/simd/simd.h"

#include <math.h>
#include <string.h>
#include "cpu/distance.h"
#include "cpu/simd/vecmath.h"

#define T float
#define FN(name) name##_f32
#define V(name) lp_##name##_f32
#define BI(name) __builtin_##name##f
#define BITS int32_t
#define SIGN INT32_MIN
#define PANEL LP_DISTANCE_PANEL_F32
#include "cpu/simd/distance_body.h"
#undef T
#undef FN
#undef V
#undef BI
#undef PANEL
#undef BITS
#undef SIGN

#define T double
#define FN(name) name##_f64
#define V(name) lp_##name##_f64
#define BI(name) __builtin_##name
#define BITS int64_t
#define SIGN INT64_MIN
#define PANEL LP_DISTANCE_PANEL_F64
#include "cpu/simd/distance_body.h"

const LpDistanceTable LP_SIMD(lp_distance_table) = {.panel_f32 = panel_f32,
                                                    .panel_f64 = panel_f64,
                                                    .root_f32 = root_f32,
                                                    .root_f64 = root_f64,
                                                    .slope_f32 = slope_f32,
                                                    .slope_f64 = slope_f64,
                                                    .weights_f32 = weights_f32,
                                                    .weights_f64 = weights_f64};
