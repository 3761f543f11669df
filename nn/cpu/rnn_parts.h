/* What both passes of a recurrent layer share; included by rnn.c and rnn_backward.c. */
#ifndef LP_NN_CPU_RNN_PARTS_H
#define LP_NN_CPU_RNN_PARTS_H

#include "core/alloc.h"
#include "core/check.h"
#include "core/kept.h"
#include "core/parallel.h"
#include "cpu/gemm.h"
#include "cpu/rnn.h"

/* With fewer steps a packed copy of R does not pay. */
#define PACKED_STEPS 3

/* Rows whose elementwise half of a step is made together: Note [Two loops]. */
#define ROWS_AT_ONCE 8

/* Memory of one pass: blocks that are freed together, and kept weights. */
#define RNN_BLOCKS 16
#define RNN_KEPT 2
typedef struct RnnBlocks {
  void *data[RNN_BLOCKS];
  size_t capacity[RNN_BLOCKS];
  int count;
  LpKept *kept[RNN_KEPT];
  int kept_count;
} RnnBlocks;
void *lp_rnn_block(RnnBlocks *b, size_t bytes); /* NULL: out of memory, recorded */
/* The packed form that is kept with the weight `keep`, or in a block; until lp_rnn_free.
 * NULL: out of memory. Whether packing succeeded ctx tells. */
void *lp_rnn_packed(RnnBlocks *b, const LpTensor *keep, const void *key, size_t key_bytes,
                    size_t bytes, LpPack pack, void *ctx);
void lp_rnn_free(RnnBlocks *b);

/* Where row r of step t comes from: how many of the step's rows continue the step before
 * (the others begin with h0, c0), and the first row of that step. */
typedef struct RnnStep {
  int64_t t, rows, first;
  int64_t continued, before;
} RnnStep;
RnnStep lp_rnn_step(const LpRnnLayer *l, int64_t s);
/* Its part in rows [from, to) of the batch. */
RnnStep lp_rnn_step_part(RnnStep step, int64_t from, int64_t to);

static inline char *rnn_at(const void *base, int64_t elems, size_t item) {
  return (char *)base + elems * (int64_t)item;
}
/* The state before row r: of `rows` (outputs or cells), else of the initial ones. */
static inline char *rnn_before(const RnnStep *s, const void *rows, const void *initial,
                               int64_t r, int64_t width, size_t item) {
  return r < s->continued ? rnn_at(rows, (s->before + r) * width, item)
                          : rnn_at(initial, r * width, item);
}

/* Lays out panels and packs a matrix into them (parallel); memory from `blocks`, or kept
 * with the weight `keep`. */
bool lp_rnn_pack(RnnBlocks *blocks, LpRnnPanels *p, int type, int vectors, int64_t k,
                 int64_t columns, int64_t apart, const void *source, int64_t row_step,
                 int64_t column_step, const LpTensor *keep);
/* Panels that hold no matrix: ranges of columns whose elementwise work is to be shared
 * out; k stands for that work, by multiply-adds. */
LpRnnPanels lp_rnn_plain_panels(int64_t columns);
/* Runs body over panels with as many threads as `rows` rows of the product are worth. */
void lp_rnn_over(const LpRnnPanels *p, int64_t rows,
                 void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx);

/* C = [C +] op(A) op(B), row-major; A and B of the dtype, C float32 when that is
 * bfloat16. */
bool lp_rnn_gemm(LpDtype dtype, bool trans_a, bool trans_b, int64_t m, int64_t n,
                 int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb,
                 void *c, int64_t ldc, bool add);

/* C = [C +] A op(B), where B is R or P, and A is of the layer's dtype. */
bool lp_rnn_state_gemm(const LpRnnLayer *l, bool trans_b, int64_t m, int64_t n, int64_t k,
                       const void *a, int64_t lda, const void *b, int64_t ldb, void *c,
                       int64_t ldc, bool add);
/* Memory `to` (rows x columns) = from, rows ld apart, in bfloat16; in parallel. */
void lp_rnn_round(uint16_t *to, const float *from, int64_t ld, int64_t rows,
                  int64_t columns);

/* With fewer rows two products cost less than a GRU's weight in another order. */
#define GATHERED_ROWS 256

/* For a GRU: the rows of x's weight in the order n, r, z of `gates`; else the weight
 * itself. */
const void *lp_rnn_by_gates(RnnBlocks *blocks, const LpRnnLayer *l, const void *w_ih);

#endif
