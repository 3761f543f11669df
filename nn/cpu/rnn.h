/* One layer of a recurrent net in one direction, forward and backward, on dense memory.
 *
 * Rows. A batch of sequences comes packed, longest first: step t has batch_sizes[t] rows,
 * never more than the step before, and row b belongs to sequence b in every step. Rows of
 * all steps lie one after the other; `total` of them. A padded batch is the case of equal
 * batch sizes. `reverse` runs from the last step to the first.
 *
 * With x the input, h and c the state that a row comes with, W the input's weights, R the
 * state's, a and b their biases, the gates of a row are
 *   LSTM  i, f, o = sigmoid(W x + a + R h + b), g = tanh(same); c' = f c + i g,
 *         h' = o tanh(c'), with a projection h' = P (o tanh(c'))
 *   GRU   r, z = sigmoid(W x + a + R h + b), n = tanh(W x + a + r (R h + b)),
 *         h' = n + z (h - n)
 *   RNN   h' = tanh or relu(W x + a + R h + b)
 *
 * Note [Gates in memory]: `gates` begins as W x of all rows, one product; each step adds
 * R h and leaves there what backward needs. A row is i, f, g, o (LSTM); n, r, z, R h + b
 * of n (GRU: the three that depend on x lie together, and so do the three that depend on
 * h); h' itself (RNN). Backward writes the derivatives in the same order: one product
 * for each weight and for x follows over all rows at once.
 *
 * Note [Steps over threads]: R is packed once, in the order in which the product reads
 * it. Where a core's own cache holds it and there are rows enough, each thread runs its
 * rows through all steps and never waits. Otherwise a step is split by units, so that a
 * thread reads only its part of R, which stays in its cache from step to step.
 *
 * Note [Layers of bfloat16]: states, gates and all sums are float32. Where the processor
 * multiplies bfloat16, x and the weights stay as they are, and what they are multiplied
 * by, states and derivatives of gates, is rounded for it. R is float32 all the same where
 * the tile unit is quicker with that (cpu/rnn_split.h). */
#ifndef LP_NN_CPU_RNN_H
#define LP_NN_CPU_RNN_H

#include "cpu/caps.h"
#include "core/tensor.h"

typedef enum LpRnnKind { LP_RNN_RELU, LP_RNN_TANH, LP_RNN_LSTM, LP_RNN_GRU } LpRnnKind;

/* P = H but for an LSTM with a projection. */
typedef struct LpRnnLayer {
  LpRnnKind kind;
  LpDtype dtype;              /* float32 or float64, of all but what follows */
  LpDtype of_input, of_state; /* of x and w_ih; of w_hh and w_hr: `dtype`, or bfloat16 */
  bool reverse;
  int64_t steps, total, batch;     /* steps at least 1; batch: batch_sizes[0] */
  int64_t inputs, hidden, outputs; /* I, H, P */
  const int64_t *batch_sizes;      /* [steps] */
  const int64_t *offsets;          /* [steps]: the first row of each step */
  const void *x;                   /* (total, I) */
  const void *h0, *c0;             /* (batch, P), (batch, H); c0: LSTM */
  const void *w_ih, *w_hh, *w_hr;  /* (G H, I), (G H, P), (P, H) or NULL */
  const void *b_ih, *b_hh;         /* (G H) or NULL */
  const LpTensor *keep_ih, *keep_hh, *keep_hr; /* whose memory the weights are, where
                                                * their packed forms may stay; or NULL */
  void *out;                                   /* (total, P) */
  void *gates;                                 /* (total, width H); RNN: out */
  void *cells;                                 /* (total, H): c'; LSTM */
} LpRnnLayer;

/* Gates in the weights and in a row of `gates`. */
static inline int64_t lp_rnn_gates(LpRnnKind kind) {
  return kind == LP_RNN_LSTM ? 4 : kind == LP_RNN_GRU ? 3 : 1;
}
static inline int64_t lp_rnn_width(LpRnnKind kind) {
  return kind <= LP_RNN_TANH ? 1 : 4;
}

/* What suits w_hh and w_hr of a layer whose weights are bfloat16; the layer's sizes are
 * known. */
LpDtype lp_rnn_state_dtype(const LpRnnLayer *l);

/* Fills out, gates, cells, and the last states (batch, P), (batch, H). */
bool lp_rnn_forward(const LpRnnLayer *l, void *h_last, void *c_last);

/* Gradients: of the results, NULL for none; of the arguments, NULL where not wanted
 * but for h0 and c0, whose buffers serve the loop. */
typedef struct LpRnnGrads {
  const void *out, *h_last, *c_last;
  void *x, *h0, *c0, *w_ih, *w_hh, *w_hr, *b_ih, *b_hh;
} LpRnnGrads;
bool lp_rnn_backward(const LpRnnLayer *l, const LpRnnGrads *g);

/* --- kernels (cpu/simd/rnn.c), by dtype: [0] float32, [1] float64 --- */

/* A matrix B (k rows) in panels of columns. Panel p holds `vectors` vectors of `lanes`
 * columns for each row; vector v of it is column v * apart + p * units of B and those
 * after, where units = apart == lanes ? vectors * lanes : lanes. */
typedef struct LpRnnPanels {
  int64_t k, columns; /* columns: of each gate when the vectors lie H apart */
  int64_t apart;      /* between a panel's vectors in C; 0: neighbours */
  int vectors;
  int64_t units, count; /* columns of a panel, number of panels */
  void *data;
  size_t capacity;
} LpRnnPanels;

/* A row's gates and states for the elementwise half of a step; NULL where a kind has
 * none. */
typedef struct LpRnnRow {
  void *gates, *h, *c; /* h', c' */
  const void *h_before, *c_before;
  const void *bias;        /* (width H) */
  void *d_gates, *dh, *dc; /* backward: dh, dc of the state after in, before out */
  const void *d_out;       /* of the row of `out`; or NULL */
  void *raw;               /* backward with a projection: o tanh(c') */
} LpRnnRow;

typedef struct LpRnnKernels {
  int lanes[2];
  /* Packs panel p: B[row][column] = source[row * row_step + column * column_step]. */
  void (*pack[2])(const LpRnnPanels *to, int64_t p, const void *source, int64_t row_step,
                  int64_t column_step);
  /* Columns of panel p of C (rows x .) = [C +] A (rows x k) B; C + where the bit of the
   * vector is set. */
  void (*product[2])(const LpRnnPanels *b, int64_t p, const void *a, int64_t lda,
                     int64_t rows, void *c, int64_t ldc, unsigned add);
  /* Units [begin, end) of `count` rows; by LpRnnKind. */
  void (*forward[4][2])(const LpRnnRow *rows, int64_t count, int64_t hidden,
                        int64_t begin, int64_t end);
  void (*backward[4][2])(const LpRnnRow *rows, int64_t count, int64_t hidden,
                         int64_t begin, int64_t end);
  void (*add[2])(void *to, const void *a, const void *b, int64_t n); /* to = a + b */
  /* sums[c] += column c of (rows, stride) for c in [begin, end). */
  void (*column_sums[2])(void *sums, const void *x, int64_t rows, int64_t stride,
                         int64_t begin, int64_t end);
} LpRnnKernels;

LP_DISPATCH(LpRnnKernels, lp_rnn_kernels)

#endif
