/* Products of a frequency by the tile unit: winograd_split.c, for winograd.c. Operands are
 * packed as in cpu/gemm_split.h. */
#ifndef LP_NN_CPU_WINOGRAD_SPLIT_H
#define LP_NN_CPU_WINOGRAD_SPLIT_H

#include "lampad/base.h"

/* C = [C +] A B for whole blocks: `rows` of A and `columns` of B, each of `depth` times 32
 * of k, their blocks a_step and b_step bytes apart. next_a and next_b are
 * what the product after this one begins with. */
typedef struct LpWinogradProduct {
  const char *a, *b, *next_a, *next_b;
  float *c;
  int64_t a_step, b_step, ldc, rows, columns, depth;
  bool add;
} LpWinogradProduct;

/* Between lp_split_begin and lp_split_end, where lp_split_supported(). */
void lp_winograd_product(const LpWinogradProduct *p);

#endif
