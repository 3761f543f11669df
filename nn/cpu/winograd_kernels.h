/* The loops of Winograd's convolution: simd/winograd.c, for winograd.c. See Note
 * [Winograd] in winograd.h.
 *
 * A tile of 4 x 4 outputs has 36 frequencies, one of 7 x 7 (Note [Larger tiles]) has 81;
 * one that is short (Note [Short tiles]) lacks those of the last row or column but one.
 * `step` is always the distance between two of them,
 * in elements of what `to` or `from` points to. Operands of the products hold floats or,
 * for the tile unit, pieces (Note [Streams of pieces] in winograd_split.h); what makes
 * pieces is NULL for instruction sets that never have the unit. */
#ifndef LP_NN_CPU_WINOGRAD_KERNELS_H
#define LP_NN_CPU_WINOGRAD_KERNELS_H

#include "cpu/caps.h"
#include "lampad/base.h"

#define LP_WINOGRAD_SIDE 6 /* of the smaller tiles: inputs, and frequencies */
#define LP_WINOGRAD_FREQUENCIES 36
#define LP_WINOGRAD_MOST_FREQUENCIES 81

/* Sides along which a tile has an output less; nothing is written to the frequencies that
 * it lacks, nor read from them. And what its pixels (and the bias) are: bfloat16 rather
 * than floats. */
typedef enum LpWinogradShape {
  LP_WINOGRAD_WHOLE = 0,
  LP_WINOGRAD_SHORT_DOWN = 1,
  LP_WINOGRAD_SHORT_ACROSS = 2,
  LP_WINOGRAD_HALF = 4
} LpWinogradShape;

/* Where the pixels of a tile lie, row by row: 36 of x, 16 of y, or 81 and 49. Each points
 * to `channels` numbers. */
typedef const void *const LpWinogradPixels;

/* Weights as (outs, ins, 3, 3): element (o, i, tap) is w[o * out_step + i * in_step +
 * tap], with the taps in reverse when `flipped`. One of the steps is 9. Floats, or
 * bfloat16 (half). */
typedef struct LpWinogradWeights {
  const void *w;
  int64_t out_step, in_step, outs, ins;
  bool flipped, half;
} LpWinogradWeights;

/* What depends on the size of the tiles: outputs along a side, inputs, and so
 * frequencies, along one, and all of them. Larger ones read and write bfloat16 alone. */
typedef struct LpWinogradTiles {
  int tile, side, frequencies;

  /* One tile of x (fetching, unless `ahead` is 0, what lies so many bytes further) or of
   * y's gradient: to[f * step + c], written up to the next whole vector. */
  void (*input)(LpWinogradPixels *pixels, int64_t ahead, LpWinogradShape shape,
                int64_t channels, float *to, int64_t step);
  void (*grad)(LpWinogradPixels *pixels, LpWinogradShape shape, int64_t channels,
               float *to, int64_t step);
  /* A vector of output channels (w->outs of them exist) by all input channels: rows of B,
   * `row` floats apart. */
  void (*weights)(const LpWinogradWeights *w, float *to, int64_t step, int64_t row);

  /* A tile of y, plus the bias unless NULL, where it has a pixel and to[pixel] is not
   * NULL; 3 x 3 weights of `channels` input channels, w[c * 9 + tap], floats or half.
   * False when there is a NaN, or an infinity where sums would make it one. */
  bool (*output)(const float *from, int64_t step, LpWinogradShape shape, const void *bias,
                 int64_t channels, void *const *to);
  bool (*weight_grad)(const float *from, int64_t step, int64_t channels, void *w,
                      bool half);
} LpWinogradTiles;

typedef struct LpWinogradTable {
  int lanes;
  LpWinogradTiles small, large;

  /* A smaller tile of floats, as `input`, as a row of A in pieces, to be contracted over
   * channels. */
  void (*input_row)(LpWinogradPixels *pixels, int64_t ahead, LpWinogradShape shape,
                    int64_t channels, char *to, int64_t step);
  /* Whole tiles j and j + 16 of 32 that are contracted over, of x as line j of B, of y's
   * gradient as line j of what `turn` makes A; blocks of channels lie block_step bytes
   * apart. */
  void (*input_line)(LpWinogradPixels *first, LpWinogradPixels *second, int64_t channels,
                     char *to, int64_t step, int64_t block_step);
  void (*grad_line)(LpWinogradPixels *first, LpWinogradPixels *second, int64_t channels,
                    char *to, int64_t step, int64_t block_step);
  /* Turns tiles of 16 x 16 words over. */
  void (*turn)(char *tiles, int64_t count);
  /* `weights` of 16 output channels as half a block of B. */
  void (*weights_block)(const LpWinogradWeights *w, char *to, int64_t step);

  /* C (rows, columns) = A B: A's rows are `lda` apart, B lies in panels of 2 * lanes
   * columns (the last may have one vector), each row after row. `columns` is a multiple
   * of lanes. Of B's `whole` rows those from `first` on are contracted over, `depth` of
   * them; a points to what is multiplied by the first one. */
  void (*product)(float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                  int64_t rows, int64_t columns, int64_t depth, int64_t first,
                  int64_t whole);
  /* C (rows, columns) = [C +] A^T B: row t of A and of B are what is contracted over. */
  void (*product_grad)(float *c, int64_t ldc, const float *a, int64_t lda, const float *b,
                       int64_t ldb, int64_t rows, int64_t columns, int64_t depth,
                       bool add);
} LpWinogradTable;

LP_DISPATCH(LpWinogradTable, lp_winograd_table)

#endif
