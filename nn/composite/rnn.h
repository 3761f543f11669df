/* Between rnn.c (layers put together) and rnn_unrolled.c (a layer out of other ops). */
#ifndef LP_NN_COMPOSITE_RNN_H
#define LP_NN_COMPOSITE_RNN_H

#include "composite/expr.h"
#include "cpu/rnn.h"

typedef struct RnnWeights {
  LpTensor *w_ih, *w_hh, *b_ih, *b_hh, *w_hr; /* the biases and w_hr may be NULL */
} RnnWeights;

/* One layer in one direction over packed rows (cpu/rnn.h), out of ops that autograd follows,
 * step by step; out (owned): output, hy, cy, the last NULL but for an LSTM. */
bool lp_rnn_unrolled(LpRnnKind kind, const RnnWeights *w, LpTensor *x, LpInts batch_sizes,
                     LpTensor *h, LpTensor *c, bool reverse, LpTensor *out[3]);

#endif
