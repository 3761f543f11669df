/* float32 products out of bfloat16 ones, by the tiles of AMX.
 *
 * Note [Split products]: a float is the exact sum of three bfloat16 numbers, its upper,
 * middle and lower 8 bits: x = x1 + x2 + x3. In x y the terms x2 y3, x3 y2 and x3 y3 are
 * below 2^-24 of the whole; the six others are summed by the tile unit in float32. So the
 * result is as near to the exact one as float32 products are, at a third of the time of
 * their vector instructions. Pieces below the smallest normal number count as 0. An
 * infinity does not come apart: splitting tells of one, and the caller takes another way.
 *
 * Packed operands. A block holds 16 rows of A, or 16 columns of B; for each 32 of k it
 * has three tiles of 1 KiB, the pieces. A tile's pairs are of k and k + 16: the order
 * within a depth is free as long as A and B agree, and this one needs no shuffling.
 * Owned by gemm_split.c; whole products by gemm_split_whole.c. */
#ifndef LP_CPU_GEMM_SPLIT_H
#define LP_CPU_GEMM_SPLIT_H

#include "cpu/gemm.h"

/* Has this machine the tile unit, and may this process use it? */
bool lp_split_supported(void);

#define LP_SPLIT_SIDE 16
#define LP_SPLIT_DEPTH 32
#define LP_SPLIT_PIECES 3072 /* bytes of three tiles */

/* Bytes of a block for k. */
static inline int64_t lp_split_block_bytes(int64_t k) {
  return (k + LP_SPLIT_DEPTH - 1) / LP_SPLIT_DEPTH * LP_SPLIT_PIECES;
}

/* Packs `count` rows of A, or columns of B, into blocks that lie block_step bytes apart:
 * element (i, p) is source[i * step + p * k_step], one of the steps 1. What is missing
 * from the last depth is zeros; missing rows of A with k_step 1 stay what they were in
 * the block, others are zeros. False when there is an infinity or a NaN. */
bool lp_split_pack(void *block, int64_t block_step, const float *source, int64_t step,
                   int64_t k_step, int64_t count, int64_t k, bool for_b);

/* The same packing done bit by bit while tiles are multiplied: the tile unit leaves the
 * vector instructions nothing to wait for. At most 4 blocks when k_step is not 1. */
typedef struct LpSplitFeed {
  void *block;
  int64_t block_step;
  const float *source;
  int64_t step, k_step, count, k;
  bool for_b;
  /* what has been done: gemm_split.c */
  int kind;
  int64_t at, total, gap, each, tick;
  _Alignas(64) float sums[2][16];
} LpSplitFeed;
/* depths: how many the products it is given to have together. */
void lp_split_feed_begin(LpSplitFeed *f, int64_t depths);
/* Does what is left; false when there is an infinity or a NaN. */
bool lp_split_feed_end(LpSplitFeed *f);

/* Products between these two, on one thread. */
void lp_split_begin(void);
void lp_split_end(void);

/* C = [from +] A B for one or two blocks of A (up to 16 or 32 rows) and a few of B, each
 * with a place in C: up to 2 with two blocks of A, up to 4 with one. Every element of C
 * is summed in the same order whatever the shape. */
typedef struct LpSplitTile {
  const void *a[2]; /* the second NULL up to 16 rows */
  int count;
  struct {
    const void *b;
    float *c;
    const float *from; /* C itself, a row that all begin with, or NULL for zeros */
    int64_t columns;   /* those that exist, 1 to 16 */
  } at[4];
  int64_t ldc, rows, depth; /* depth: k / 32, rounded up */
  int64_t from_step;        /* ldc, or 0 for a row */
  const float *next;        /* C of the product after this one, or NULL: fetched */
  int64_t next_rows;
  LpSplitFeed *feed; /* or NULL */
  bool afar;         /* B was packed long before, and has not been used since */
} LpSplitTile;
void lp_split_product(const LpSplitTile *t);

/* More columns for B and C, of another matrix: what the same A is multiplied by. */
typedef struct LpSplitMore {
  const float *b;
  float *c;
  int64_t ldb, ldc, n;
} LpSplitMore;

/* A whole product; alpha 1, beta 0 or 1, float32; g->row is added. `more` may be NULL;
 * with it g->n is a multiple of 64, and there is no row. False with *refused when an
 * operand has an infinity or a NaN (C is then as good as unwritten), without it when
 * memory is out. */
bool lp_split_gemm(const LpGemm *g, const LpSplitMore *more, bool *refused);

/* B packed once for many products (g->packed_b): the memory it takes, and packing it.
 * False when B has an infinity or a NaN. */
size_t lp_split_packed_bytes(int64_t n, int64_t k);
bool lp_split_pack_b(const LpGemm *g, void *memory);

/* How many times as quick as by the vector instructions, where nobody else uses the tile
 * unit; 0 without one. is_packed: B is, or would be. */
double lp_split_gain(const LpGemm *g, bool is_packed);

/* So much makes tiles worth while: a neighbour on the core costs them more than vectors
 * (Note [Few loads] in cpu/tiles.h). */
#define LP_SPLIT_LEAST_GAIN 1.3
static inline bool lp_split_pays(const LpGemm *g, bool is_packed) {
  return lp_split_gain(g, is_packed) > LP_SPLIT_LEAST_GAIN;
}

#endif
