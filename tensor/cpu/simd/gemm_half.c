/* The kernels of cpu/gemm_half.h. */
#include "cpu/simd/simd.h"

#include "cpu/gemm_half.h"
#include "cpu/simd/lanes_half.h"

/* --- products
 * ------------------------------------------------------------------------------ */

#define DOT_COLUMNS 4 /* at once */
/* Vectors of a row of B at once, for each row of A, and rows of B that are fetched ahead.
 */
#if defined(LP_CAP_avx512)
#define IN_FLIGHT 4
#else
#define IN_FLIGHT 2
#endif
#define ROWS_AHEAD 8

#define NAME(x) x##_bf16
#define WIDEN widen_bf16
#define WIDEN_TWO widen_two_bf16
#define TO_FLOAT lp_bf16_to_float
#define FROM_FLOAT lp_bf16_from_float
#include "cpu/simd/gemm_half_body.h"

#define NAME(x) x##_f16
#define WIDEN widen_f16
#define WIDEN_TWO widen_two_f16
#define TO_FLOAT lp_half_to_float
#define FROM_FLOAT lp_half_from_float
#include "cpu/simd/gemm_half_body.h"

const LpHalfGemmTable LP_SIMD(lp_half_gemm_table) = {
    .float16 = {.rows = rows_f16, .dots = dots_f16, .block = 1},
    .bfloat16 = {.rows = rows_bf16, .dots = dots_bf16, .block = 2 * LANES}};
