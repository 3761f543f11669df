/* Recurrent nets put together from layers in one direction: torch.lstm, gru, rnn_tanh,
 * rnn_relu over padded or packed batches, and their cells. */
#include "composite/rnn.h"
#include "core/alloc.h"
#include "dispatch/autocast.h"
#include "impl.h"
#include "lampad/vmap.h"

/* One layer in one direction over packed rows (cpu/rnn.h); out (owned): output, hy, cy,
 * the last NULL but for an LSTM. by_ops: out of ops, of which autocast gives each a dtype
 * of its own. */
static bool one_direction(LpRnnKind kind, const RnnWeights *w, LpTensor *x,
                          LpInts batch_sizes, LpTensor *h, LpTensor *c, bool reverse,
                          bool by_ops, LpTensor *out[3]) {
  out[0] = out[1] = out[2] = NULL;
  LpTensor *results[5] = {0};
  const LpDtype dtype = lp_dtype(x);
  bool ok;
  /* Integers have no gates, but PyTorch lets them pass through tanh and relu. */
  if (by_ops || lp_dtype_is_complex(dtype) ||
      (!lp_dtype_is_floating(dtype) && kind <= LP_RNN_TANH))
    ok = lp_rnn_unrolled(kind, w, x, batch_sizes, h, c, reverse, out);
  else if (kind == LP_RNN_LSTM)
    ok = lp_lstm_layer(x, batch_sizes, h, c, w->w_ih, w->w_hh, w->b_ih, w->b_hh, w->w_hr,
                       reverse, results);
  else
    ok = lp_rnn_layer(x, batch_sizes, h, w->w_ih, w->w_hh, w->b_ih, w->b_hh, kind,
                      reverse, results);
  if (!ok || out[0]) return ok;
  out[0] = results[0];
  out[1] = results[1];
  if (kind == LP_RNN_LSTM) {
    out[2] = results[2];
    lp_tensor_release(results[3]);
    lp_tensor_release(results[4]);
  } else {
    lp_tensor_release(results[2]);
  }
  return true;
}

/* --- a stack of layers
 * ------------------------------------------------------------------ */

typedef struct Stack {
  LpRnnKind kind;
  LpTensors params;
  bool biases, projected, bidirectional, train, by_ops;
  int64_t layers;
  double dropout;
  LpInts batch_sizes;
  LpTensor *h, *c; /* (layers * directions, batch, ...) */
} Stack;

static int64_t weights_of_layer(const Stack *s) {
  return 2 + (s->biases ? 2 : 0) + s->projected;
}

static RnnWeights weights_at(const Stack *s, int64_t index) {
  LpTensor *const *at = s->params.data + index * weights_of_layer(s);
  RnnWeights w = {.w_ih = at[0], .w_hh = at[1]};
  if (s->biases) {
    w.b_ih = at[2];
    w.b_hh = at[3];
  }
  if (s->projected) w.w_hr = at[s->biases ? 4 : 2];
  return w;
}

static bool check_stack(const Stack *s) {
  CHECK(s->layers > 0, LP_ERR_ARGUMENT, "expected 'num_layers' above 0, got %lld",
        (long long)s->layers);
  CHECK(s->dropout >= 0 && s->dropout <= 1, LP_ERR_ARGUMENT,
        "expected 'dropout' between 0 and 1, got %g", s->dropout);
  CHECK(s->layers < INT32_MAX, LP_ERR_ARGUMENT,
        "expected 'num_layers' below 2^31, got %lld", (long long)s->layers);
  const int64_t blocks = s->layers * (s->bidirectional ? 2 : 1);
  const int64_t wanted = blocks * weights_of_layer(s);
  CHECK(s->params.count == wanted, LP_ERR_ARGUMENT,
        "expected %lld 'params' (%lld for each layer and direction%s), got %lld",
        (long long)wanted, (long long)weights_of_layer(s),
        s->projected ? ", with a projection" : "", (long long)s->params.count);
  LpTensor *states[2] = {s->h, s->c};
  for (int i = 0; i < 2; i++) {
    if (!states[i]) continue;
    CHECK(lp_ndim(states[i]) == 3 && lp_size(states[i], 0) == blocks, LP_ERR_ARGUMENT,
          "expected %s of shape (layers * directions = %lld, batch, hidden), got %s",
          i ? "cell state" : "'hx'", (long long)blocks, SHAPE_TEXT(states[i]));
    CHECK(lp_size(states[i], 1) == s->batch_sizes.data[0], LP_ERR_ARGUMENT,
          "expected %s for a batch of %lld, got %s", i ? "a cell state" : "'hx'",
          (long long)s->batch_sizes.data[0], SHAPE_TEXT(states[i]));
  }
  return true;
}

/* The final states of all layers as one tensor. */
static LpTensor *gather(LpTensor **states, int64_t count) {
  return count == 1 ? lp_unsqueeze(states[0], 0)
                    : lp_stack((LpTensors){states, count}, 0);
}

static void drop_all(LpTensor **list, int64_t count) {
  for (int64_t i = 0; i < count; i++) lp_tensor_release(list[i]);
  lp_free(list, (size_t)count * sizeof *list);
}

/* One layer in all its directions: *x (owned) becomes its output. */
static bool run_layer(const Stack *s, int64_t layer, LpTensor **x, LpTensor **h_last,
                      LpTensor **c_last) {
  const int directions = s->bidirectional ? 2 : 1;
  LpTensor *outputs[2] = {NULL, NULL};
  bool ok = true;
  for (int d = 0; ok && d < directions; d++) {
    const int64_t index = layer * directions + d;
    const RnnWeights w = weights_at(s, index);
    LpTensor *h = lp_select(s->h, 0, index), *out[3] = {0};
    LpTensor *c = h && s->c ? lp_select(s->c, 0, index) : NULL;
    ok = h && (c || !s->c) &&
         one_direction(s->kind, &w, *x, s->batch_sizes, h, c, d == 1, s->by_ops, out);
    lp_tensor_release(h);
    lp_tensor_release(c);
    outputs[d] = out[0];
    h_last[index] = out[1];
    c_last[index] = out[2];
  }
  lp_drop(x);
  if (ok && directions == 2)
    *x = lp_cat((LpTensors){outputs, 2}, 1);
  else if (ok)
    *x = lp_tensor_retain(outputs[0]);
  lp_tensor_release(outputs[0]);
  lp_tensor_release(outputs[1]);
  return *x != NULL;
}

/* results: output rows, hy, cy (NULL without cells). */
static bool run_stack(const Stack *s, LpTensor *rows, LpTensor **results) {
  TRY(check_stack(s));
  const int64_t count = s->layers * (s->bidirectional ? 2 : 1);
  LpTensor **h_last = lp_calloc((size_t)count * sizeof *h_last);
  LpTensor **c_last = h_last ? lp_calloc((size_t)count * sizeof *c_last) : NULL;
  LpTensor *x = c_last ? lp_tensor_retain(rows) : NULL, *hy = NULL, *cy = NULL;
  bool ok = x != NULL;
  for (int64_t layer = 0; ok && layer < s->layers; layer++) {
    ok = run_layer(s, layer, &x, h_last, c_last);
    if (ok && s->dropout != 0 && s->train && layer < s->layers - 1) {
      LpTensor *dropped = lp_dropout(x, s->dropout, true, false);
      lp_tensor_release(x);
      ok = (x = dropped) != NULL;
    }
  }
  ok = ok && (hy = gather(h_last, count)) && (!s->c || (cy = gather(c_last, count)));
  if (h_last) drop_all(h_last, count);
  if (c_last) drop_all(c_last, count);
  if (!ok) {
    lp_drop(&x);
    lp_drop(&hy);
    lp_drop(&cy);
  }
  results[0] = x;
  results[1] = hy;
  results[2] = cy;
  return ok;
}

/* --- padded and packed batches
 * ---------------------------------------------------------- */

static void take_results(const Stack *s, LpTensor **from, LpTensor **results) {
  results[0] = from[0];
  results[1] = from[1];
  if (s->kind == LP_RNN_LSTM) results[2] = from[2];
}

static bool run_padded(Stack *s, LpTensor *input, bool batch_first, LpTensor **results) {
  CHECK(lp_ndim(input) == 3, LP_ERR_ARGUMENT,
        "expected 'input' of 3 dims (%s, features), got %s",
        batch_first ? "batch, steps" : "steps, batch", SHAPE_TEXT(input));
  const int64_t steps = lp_size(input, batch_first ? 1 : 0),
                batch = lp_size(input, batch_first ? 0 : 1);
  CHECK(steps > 0, LP_ERR_ARGUMENT,
        "Expected sequence length to be larger than 0 in RNN, got input %s",
        SHAPE_TEXT(input));
  /* An LSTM is one op for autocast, as in PyTorch; other nets are several. */
  s->by_ops = lp_tls_autocast && (s->kind != LP_RNN_LSTM || s->projected);
  int64_t *sizes = lp_alloc((size_t)steps * sizeof *sizes);
  TRY(sizes);
  for (int64_t t = 0; t < steps; t++) sizes[t] = batch;
  s->batch_sizes = lp_ints(sizes, steps);
  LpTensor *timed = batch_first ? lp_transpose(input, 0, 1) : lp_tensor_retain(input);
  const int64_t flat[2] = {steps * batch, lp_size(input, 2)};
  LpTensor *rows = timed ? lp_reshape(timed, lp_ints(flat, 2)) : NULL, *made[3] = {0};
  bool ok = rows && run_stack(s, rows, made);
  if (ok) {
    const int64_t full[3] = {steps, batch, lp_size(made[0], 1)};
    LpTensor *out = lp_reshape(made[0], lp_ints(full, 3));
    if (out && batch_first) {
      LpTensor *turned = lp_transpose(out, 0, 1);
      lp_tensor_release(out);
      out = turned;
    }
    lp_tensor_release(made[0]);
    ok = (made[0] = out) != NULL;
  }
  lp_tensor_release(timed);
  lp_tensor_release(rows);
  lp_free(sizes, (size_t)steps * sizeof *sizes);
  for (int i = 0; !ok && i < 3; i++) lp_drop(&made[i]);
  take_results(s, made, results);
  return ok;
}

static bool run_packed(Stack *s, LpTensor *data, LpTensor *batch_sizes,
                       LpTensor **results) {
  CHECK(lp_ndim(batch_sizes) == 1 && lp_dtype(batch_sizes) == LP_INT64 &&
            lp_numel(batch_sizes) > 0,
        LP_ERR_ARGUMENT,
        "expected 'batch_sizes' of int64, of one size for each step, got %s of %s",
        SHAPE_TEXT(batch_sizes), lp_dtype_name(lp_dtype(batch_sizes)));
  CHECK(!lp_vmap_is_batched(batch_sizes, 0), LP_ERR_ARGUMENT,
        "vmap: expected 'batch_sizes' that are the same for all examples");
  s->by_ops = lp_tls_autocast;
  LpTensor *dense = nn_dense(batch_sizes, LP_INT64), *made[3] = {0};
  TRY(dense);
  s->batch_sizes = lp_ints(lp_data(dense), lp_numel(dense));
  const bool ok = run_stack(s, data, made);
  lp_tensor_release(dense);
  take_results(s, made, results);
  return ok;
}

static bool two_states(LpTensors hx) {
  CHECK(hx.count == 2, LP_ERR_ARGUMENT,
        "lstm expects two hidden states, 'hx' = {h, c}; got %lld", (long long)hx.count);
  return true;
}

/* An LSTM has projections when its h and c are of different sizes. */
static bool has_projection(LpTensors hx) {
  return lp_ndim(hx.data[0]) == 3 && lp_ndim(hx.data[1]) == 3 &&
         lp_size(hx.data[0], 2) != lp_size(hx.data[1], 2);
}

#define STACK(k, h_, c_, projected_)                                                     \
  {                                                                                      \
    .kind = (k), .params = params, .biases = has_biases, .projected = (projected_),      \
    .bidirectional = bidirectional, .train = train, .layers = num_layers,                \
    .dropout = dropout, .h = (h_), .c = (c_)                                             \
  }

bool lp_composite_lstm_input(LpTensor *input, LpTensors hx, LpTensors params,
                             bool has_biases, int64_t num_layers, double dropout,
                             bool train, bool bidirectional, bool batch_first,
                             LpTensor **results) {
  TRY(two_states(hx));
  Stack s = STACK(LP_RNN_LSTM, hx.data[0], hx.data[1], has_projection(hx));
  return run_padded(&s, input, batch_first, results);
}

bool lp_composite_lstm_data(LpTensor *data, LpTensor *batch_sizes, LpTensors hx,
                            LpTensors params, bool has_biases, int64_t num_layers,
                            double dropout, bool train, bool bidirectional,
                            LpTensor **results) {
  TRY(two_states(hx));
  Stack s = STACK(LP_RNN_LSTM, hx.data[0], hx.data[1], has_projection(hx));
  return run_packed(&s, data, batch_sizes, results);
}

#define WITHOUT_CELLS(name, kind_)                                                       \
  bool lp_composite_##name##_input(LpTensor *input, LpTensor *hx, LpTensors params,      \
                                   bool has_biases, int64_t num_layers, double dropout,  \
                                   bool train, bool bidirectional, bool batch_first,     \
                                   LpTensor **results) {                                 \
    Stack s = STACK(kind_, hx, NULL, false);                                             \
    return run_padded(&s, input, batch_first, results);                                  \
  }                                                                                      \
  bool lp_composite_##name##_data(LpTensor *data, LpTensor *batch_sizes, LpTensor *hx,   \
                                  LpTensors params, bool has_biases, int64_t num_layers, \
                                  double dropout, bool train, bool bidirectional,        \
                                  LpTensor **results) {                                  \
    Stack s = STACK(kind_, hx, NULL, false);                                             \
    return run_packed(&s, data, batch_sizes, results);                                   \
  }
WITHOUT_CELLS(gru, LP_RNN_GRU)
WITHOUT_CELLS(rnn_tanh, LP_RNN_TANH)
WITHOUT_CELLS(rnn_relu, LP_RNN_RELU)

/* --- cells
 * ------------------------------------------------------------------------------ */

/* A cell is a layer of one step. out: h', c'. */
static bool run_cell(LpRnnKind kind, const RnnWeights *w, LpTensor *input, LpTensor *h,
                     LpTensor *c, LpTensor **out) {
  CHECK(lp_ndim(input) == 2, LP_ERR_ARGUMENT,
        "expected 'input' of 2 dims (batch, features), got %s", SHAPE_TEXT(input));
  const int64_t batch = lp_size(input, 0);
  CHECK(lp_ndim(h) == 2 && lp_size(h, 0) == batch, LP_ERR_ARGUMENT,
        "expected 'hx' of shape (batch, hidden) for a batch of %lld (input %s), got %s",
        (long long)batch, SHAPE_TEXT(input), SHAPE_TEXT(h));
  LpTensor *made[3] = {0};
  TRY(one_direction(kind, w, input, lp_ints(&batch, 1), h, c, false, lp_tls_autocast,
                    made));
  lp_tensor_release(made[0]);
  out[0] = made[1];
  if (c) out[1] = made[2];
  return true;
}

bool lp_composite_lstm_cell(LpTensor *input, LpTensors hx, LpTensor *w_ih, LpTensor *w_hh,
                            LpTensor *b_ih, LpTensor *b_hh, LpTensor **results) {
  CHECK(hx.count == 2, LP_ERR_ARGUMENT,
        "lstm_cell expects two hidden states, 'hx' = {h, c}; got %lld",
        (long long)hx.count);
  const RnnWeights w = {w_ih, w_hh, b_ih, b_hh, NULL};
  return run_cell(LP_RNN_LSTM, &w, input, hx.data[0], hx.data[1], results);
}

#define CELL(name, kind)                                                                 \
  LpTensor *lp_composite_##name##_cell(LpTensor *input, LpTensor *hx, LpTensor *w_ih,    \
                                       LpTensor *w_hh, LpTensor *b_ih, LpTensor *b_hh) { \
    const RnnWeights w = {w_ih, w_hh, b_ih, b_hh, NULL};                                 \
    LpTensor *result;                                                                    \
    TRY(run_cell(kind, &w, input, hx, NULL, &result));                                   \
    return result;                                                                       \
  }
CELL(gru, LP_RNN_GRU)
CELL(rnn_tanh, LP_RNN_TANH)
CELL(rnn_relu, LP_RNN_RELU)
