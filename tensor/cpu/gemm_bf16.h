/* bfloat16 products on processors with bfloat16 instructions; called by gemm.c. */
#ifndef LP_CPU_GEMM_BF16_H
#define LP_CPU_GEMM_BF16_H

#include "cpu/gemm.h"

/* So many products of one shape, whose operands lie so many elements apart. */
typedef struct LpGemmBatch {
  int64_t count, step_a, step_b, step_c;
} LpGemmBatch;

/* False, with nothing written and no error recorded, where this is no gain or not
 * possible. */
bool lp_cpu_gemm_bf16(const LpGemm *g, const LpGemmBatch *batch, float alpha, float beta);

#endif
