/* The loops of Winograd's convolution: cpu/simd/winograd.c, for winograd.c.
 *
 * The numbers of a tile in the frequency domain: LP_WINOGRAD_FREQUENCIES(m) for tiles of
 * m x m outputs. `step` is always the distance between two frequencies, in elements of
 * what `to` or `from` points to. Operands of the products hold either floats or, for the
 * tile unit, pieces (Note [Split products] in cpu/gemm_split.h); functions that write
 * pieces return false when there is an infinity or a NaN. */
#ifndef LP_NN_CPU_WINOGRAD_KERNELS_H
#define LP_NN_CPU_WINOGRAD_KERNELS_H

#include "cpu/caps.h"
#include "lampad/base.h"

#define LP_WINOGRAD_SIDE(m) ((m) + 2)
#define LP_WINOGRAD_FREQUENCIES(m) (LP_WINOGRAD_SIDE(m) * LP_WINOGRAD_SIDE(m))
#define LP_WINOGRAD_MOST_PIXELS LP_WINOGRAD_FREQUENCIES(4)

/* Where the pixels of a tile lie, row by row; each points to `channels` floats. */
typedef const float *const LpWinogradPixels;

/* Weights as (outs, ins, 3, 3): element (o, i, tap) is w[o * out_step + i * in_step + tap],
 * with the taps in reverse when `flipped`. */
typedef struct LpWinogradWeights {
  const float *w;
  int64_t out_step, in_step, outs, ins;
  bool flipped;
} LpWinogradWeights;

/* For one size of tiles. */
typedef struct LpWinogradTiles {
  /* One tile of x, or of y's gradient: to[f * step + c], written up to the next whole
   * vector. */
  void (*input)(LpWinogradPixels *pixels, LpWinogradPixels *ahead, int64_t channels, float *to, int64_t step);
  void (*grad)(LpWinogradPixels *pixels, LpWinogradPixels *ahead, int64_t channels, float *to, int64_t step);
  /* One row of A in pieces, contracted over channels. */
  void (*input_row)(LpWinogradPixels *pixels, LpWinogradPixels *ahead, int64_t channels, char *to, int64_t step);
  /* Tiles j and j + 16 of 32 that are contracted over: line j of B in pieces; its blocks of
   * 16 channels lie block_step bytes apart. */
  void (*input_line)(LpWinogradPixels *first, LpWinogradPixels *second, int64_t channels,
                     char *to, int64_t step, int64_t block_step);
  void (*grad_line)(LpWinogradPixels *first, LpWinogradPixels *second, int64_t channels,
                    char *to, int64_t step, int64_t block_step);
  /* A vector of output channels (w->outs of them exist) by all input channels: rows of B,
   * `row` floats apart; or a block of B in pieces. */
  void (*weights)(const LpWinogradWeights *w, float *to, int64_t step, int64_t row);
  void (*weights_block)(const LpWinogradWeights *w, char *to, int64_t step);
  /* A tile of y, plus the bias unless NULL, where to[pixel] is not NULL. */
  bool (*output)(const float *from, int64_t step, const float *bias, int64_t channels,
                 float *const *to);
  /* 3 x 3 weights of `channels` input channels: w[c * 9 + tap]. */
  bool (*weight_grad)(const float *from, int64_t step, int64_t channels, float *w);
} LpWinogradTiles;

typedef struct LpWinogradTable {
  int lanes;
  LpWinogradTiles by_2, by_4;
  /* C (rows, columns) = A B: A's rows are `lda` apart, B lies in panels of 2 * lanes columns
   * (the last may have one vector), each row after row. `columns` is a multiple of lanes. */
  void (*product)(float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                  int64_t rows, int64_t columns, int64_t depth);
  /* C (rows, columns) = [C +] A^T B: row t of A and of B are what is contracted over. */
  void (*product_grad)(float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                       int64_t ldb, int64_t rows, int64_t columns, int64_t depth,
                       bool add);
  /* Turns tiles of 16 x 16 words over, from lines of B into rows of A. */
  void (*turn)(char *tiles, int64_t count);
} LpWinogradTable;

LP_DISPATCH(LpWinogradTable, lp_winograd_table)

#endif
