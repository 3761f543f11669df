/* The recurrent product of a step by the processor's bfloat16 instructions (AVX512_BF16),
 * where there is no tile unit: factors are bfloat16, sums float32.
 *
 * Blocks of B hold 16 columns: for each two of k, their 16 pairs. Rows of A hold pairs as
 * they lie. Owned by rnn_pairs.c; used by rnn_split.c. */
#ifndef LP_NN_CPU_RNN_PAIRS_H
#define LP_NN_CPU_RNN_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#define RNN_PAIRS_COLUMNS 16
#define RNN_PAIRS_BLOCKS 4 /* at once */

/* Bytes of a block for each pair of k. */
#define RNN_PAIRS_BYTES (RNN_PAIRS_COLUMNS * 2 * (int64_t)sizeof(uint16_t))

/* C (rows x some blocks of columns) [+]= A B. */
typedef struct RnnPairs {
  int64_t rows, pairs; /* pairs: of k */
  const uint16_t *a;   /* rows lda apart */
  int64_t lda, ldc;
  int count; /* of blocks */
  struct {
    const void *b;
    float *c;
    int64_t columns; /* those that exist, 1 to 16 */
    bool add;
  } at[RNN_PAIRS_BLOCKS];
} RnnPairs;
void lp_rnn_pairs_product(const RnnPairs *t);

/* Packs up to 16 columns of B, k numbers each; element (p, c) is source[p * k_step + c *
 * step]. The last pair of an odd k and missing columns are filled with zeros. */
void lp_rnn_pairs_pack(void *block, const uint16_t *source, int64_t step, int64_t k_step,
                       int64_t count, int64_t k);

#endif
