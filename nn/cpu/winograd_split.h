/* Products of a frequency by the tile unit: winograd_split.c, for winograd.c. See Note
 * [Split products] in cpu/gemm_split.h.
 *
 * Note [Streams of pieces]: a block holds 32 rows of A, or 32 columns of B. For each 32
 * of k it has six tiles of 1 KiB, two of 16 rows for each piece, in the order in which
 * they are loaded: so both operands are read from one end to the other, as the processor
 * foresees. */
#ifndef LP_NN_CPU_WINOGRAD_SPLIT_H
#define LP_NN_CPU_WINOGRAD_SPLIT_H

#include "lampad/base.h"

#define LP_WINOGRAD_BLOCK 32 /* rows, columns or numbers of k */
#define LP_WINOGRAD_BLOCK_BYTES 6144
/* Where the upper, middle and lower pieces of the first 16 rows are; those of the others
 * follow a tile later. */
#define LP_WINOGRAD_A_PIECES                                                             \
  { 0, 4096, 2048 }
#define LP_WINOGRAD_B_PIECES                                                             \
  { 4096, 2048, 0 }

/* C = [C +] A B for whole blocks: `rows` of A and `columns` of B, each of `depth` times
 * 32 of k, one after another; so is what the product after this one reads, or next_* are
 * NULL. */
typedef struct LpWinogradProduct {
  const char *a, *b, *next_a, *next_b;
  float *c;
  int64_t ldc, rows, columns, depth;
  bool add;
} LpWinogradProduct;

/* Between lp_split_begin and lp_split_end, where lp_split_supported(). */
void lp_winograd_product(const LpWinogradProduct *p);

#endif
