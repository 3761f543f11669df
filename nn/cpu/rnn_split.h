/* The recurrent product of a step by the tile unit, of float32: Note [Split products] in
 * cpu/gemm_split.h; or by vectors, of bfloat16: cpu/rnn_pairs.h. Owned by rnn_split.c;
 * used by rnn.c and rnn_backward.c. */
#ifndef LP_NN_CPU_RNN_SPLIT_H
#define LP_NN_CPU_RNN_SPLIT_H

#include <stdatomic.h>
#include "cpu/gemm_split.h"
#include "cpu/rnn_parts.h"

#define RNN_SPLIT_UNITS                                                                  \
  32 /* units of a panel: a depth of tiles, two blocks of columns                        \
      */

/* C (rows x gates * columns) [+]= A (rows x segments * k) B. B is packed once; A is
 * packed piece by piece as the step before makes it, in two copies that take turns. */
typedef struct RnnSplit {
  bool halves;            /* B is bfloat16, and A becomes so */
  int64_t segments, k;    /* of A's columns: `segments` parts of k, each padded */
  int64_t gates, columns; /* of C's columns; gate v begins at v * apart */
  int64_t apart;
  int64_t panels;                     /* of RNN_SPLIT_UNITS columns of every gate */
  int64_t segment_bytes, block_bytes; /* of a block of B; and of A, when not halves */
  char *b, *a[2];
  int turn;             /* the copy of A that is read now */
  _Atomic bool refused; /* an infinity or a NaN came: from now on another way */
} RnnSplit;

/* For B of this dtype: float32, is the tile unit there, and the layer large enough to
 * gain by it? bfloat16, always. */
bool lp_rnn_split_pays(LpDtype dtype, int64_t rows, int64_t k, int64_t columns);

/* Packs B: its element (segment s, p; gate v, column c) is
 * source[(s * k + p) * k_step + (v * columns + c) * step]; kept with the weight `keep`,
 * if any. False: out of memory. */
bool lp_rnn_split_open(RnnBlocks *blocks, RnnSplit *s, int64_t rows, const void *source,
                       int64_t k_step, int64_t step, const LpTensor *keep);
/* Units [from, to) of a segment of the next step's A; from is a multiple of
 * RNN_SPLIT_UNITS. */
void lp_rnn_split_fill(RnnSplit *s, int copy, int64_t segment, const float *source,
                       int64_t step, int64_t rows, int64_t from, int64_t to);
/* Panels [begin, end); gate v is added to C where bit v of `add` is set. */
void lp_rnn_split_product(const RnnSplit *s, int64_t begin, int64_t end, int64_t rows,
                          float *c, int64_t ldc, unsigned add);

/* Runs body over panels, with as many threads as the rows are worth. */
void lp_rnn_split_over(const RnnSplit *s, int64_t rows,
                       void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx);

/* Should each thread run rows of its own through all steps? Note [Steps over threads]. */
bool lp_rnn_split_by_rows(const RnnSplit *s, int64_t rows, int64_t steps);
/* Runs body over blocks of LP_SPLIT_SIDE rows. */
void lp_rnn_split_rows(int64_t rows, void (*body)(void *ctx, int64_t begin, int64_t end),
                       void *ctx);
/* The same operands for rows from `row` on, a multiple of LP_SPLIT_SIDE. */
RnnSplit lp_rnn_split_from(const RnnSplit *s, int64_t row);

/* A whole product (`more`: LpSplitMore or NULL); *done false when it does not pay or an
 * operand has an infinity. */
bool lp_rnn_split_gemm(const LpGemm *g, const LpSplitMore *more, bool *done);

#endif
