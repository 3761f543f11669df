/* bfloat16 products on processors with bfloat16 instructions; called by gemm.c. */
#ifndef LP_CPU_GEMM_BF16_H
#define LP_CPU_GEMM_BF16_H

#include "cpu/gemm.h"

/* `count` products, whose operands lie so many elements apart; a step of 0: one for all.
 */
typedef struct LpGemmSteps {
  int64_t count, a, b, c;
} LpGemmSteps;

/* False, with nothing written and no error recorded, where this is no gain or not
 * possible. */
bool lp_cpu_gemm_bf16(const LpGemm *g, const LpGemmSteps *steps, float alpha, float beta);

#endif
