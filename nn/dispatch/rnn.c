/* A recurrent layer in one direction: checks, dense operands in the compute dtype,
 * results. The loops are in cpu/rnn.c. */
#include "autograd/node.h"
#include "core/alloc.h"
#include "cpu/rnn.h"
#include "dispatch/nn_util.h"
#include "impl.h"

enum { X, H0, C0, W_IH, W_HH, B_IH, B_HH, W_HR, OPERANDS };
static const char *const names[OPERANDS] = {"input",
                                            "hx",
                                            "cx",
                                            "the input's weight",
                                            "the state's weight",
                                            "the input's bias",
                                            "the state's bias",
                                            "the projection"};

typedef struct Call {
  LpRnnLayer l;
  LpTensor *given[OPERANDS]; /* borrowed; NULL where there is none */
  LpTensor *dense[OPERANDS]; /* owned, of the compute dtype */
  LpInts batch_sizes;
  int64_t *offsets;
} Call;

static bool check_rows(Call *c) {
  const LpInts sizes = c->batch_sizes;
  CHECK(sizes.count > 0, LP_ERR_ARGUMENT,
        "expected sequences of at least one step, got none");
  int64_t total = 0;
  for (int64_t t = 0; t < sizes.count; t++) {
    const int64_t n = sizes.data[t], before = t ? sizes.data[t - 1] : n;
    CHECK(n >= 0 && n <= before, LP_ERR_ARGUMENT,
          "expected 'batch_sizes' that never grow, got %lld after %lld", (long long)n,
          (long long)before);
    CHECK(n > 0 || sizes.data[0] == 0, LP_ERR_ARGUMENT,
          "expected 'batch_sizes' above 0, got 0 at step %lld", (long long)t);
    CHECK(!__builtin_add_overflow(total, n, &total), LP_ERR_ARGUMENT,
          "expected 'batch_sizes' whose sum fits 64 bits");
  }
  LpTensor *x = c->given[X];
  CHECK(
      lp_ndim(x) == 2 && lp_size(x, 0) == total, LP_ERR_ARGUMENT,
      "expected packed rows of shape [%lld, features], the sum of 'batch_sizes', got %s",
      (long long)total, SHAPE_TEXT(x));
  c->l.steps = sizes.count;
  c->l.total = total;
  c->l.batch = sizes.data[0];
  c->l.inputs = lp_size(x, 1);
  return true;
}

static bool check_shape(const Call *c, int which, int64_t rows, int64_t columns) {
  LpTensor *t = c->given[which];
  if (!t) return true;
  const int64_t wanted[2] = {rows, columns};
  const int ndim = columns < 0 ? 1 : 2;
  bool fits = lp_ndim(t) == ndim;
  for (int d = 0; fits && d < ndim; d++) fits = lp_size(t, d) == wanted[d];
  CHECK(fits, LP_ERR_ARGUMENT, "expected %s of shape %s, got %s (input of %lld features)",
        names[which], lp_format_ints(lp_ints(wanted, ndim), (char[256]){0}, 256),
        SHAPE_TEXT(t), (long long)c->l.inputs);
  return true;
}

static bool check(Call *c) {
  TRY(check_rows(c));
  LpTensor *w_hh = c->given[W_HH], *w_ih = c->given[W_IH];
  const int64_t gates = lp_rnn_gates(c->l.kind);
  CHECK(lp_ndim(w_hh) == 2 && lp_size(w_hh, 0) % gates == 0, LP_ERR_ARGUMENT,
        "expected %s of shape [%lld * hidden, state], got %s", names[W_HH],
        (long long)gates, SHAPE_TEXT(w_hh));
  const int64_t h = lp_size(w_hh, 0) / gates, out = lp_size(w_hh, 1);
  CHECK(c->given[W_HR] || h == out, LP_ERR_ARGUMENT,
        "expected %s of shape [%lld, %lld], got %s", names[W_HH],
        (long long)(gates * out), (long long)out, SHAPE_TEXT(w_hh));
  c->l.hidden = h;
  c->l.outputs = out;
  CHECK(!(lp_ndim(w_ih) == 2 && lp_size(w_ih, 0) == gates * h) ||
            lp_size(w_ih, 1) == c->l.inputs,
        LP_ERR_ARGUMENT, "expected 'input' of %lld features (weight %s), got %lld",
        (long long)lp_size(w_ih, 1), SHAPE_TEXT(w_ih), (long long)c->l.inputs);
  TRY(check_shape(c, W_IH, gates * h, c->l.inputs) &&
      check_shape(c, B_IH, gates * h, -1) && check_shape(c, B_HH, gates * h, -1) &&
      check_shape(c, W_HR, out, h) && check_shape(c, H0, c->l.batch, out) &&
      check_shape(c, C0, c->l.batch, h));
  const LpDtype dtype = lp_dtype(c->given[X]);
  CHECK_FLOATING(c->given[X], "input");
  for (int i = 0; i < OPERANDS; i++)
    CHECK(!c->given[i] || lp_dtype(c->given[i]) == dtype, LP_ERR_TYPE,
          "expected input, states and weights of one dtype, got %s and %s of %s: convert "
          "with x:to(dtype)",
          lp_dtype_name(dtype), lp_dtype_name(lp_dtype(c->given[i])), names[i]);
  return true;
}

static void end(Call *c) {
  for (int i = 0; i < OPERANDS; i++) lp_tensor_release(c->dense[i]);
  lp_free(c->offsets, (size_t)c->batch_sizes.count * sizeof(int64_t));
}

static const void *data_of(const Call *c, int which) {
  return c->dense[which] ? lp_data(c->dense[which]) : NULL;
}

/* Checks and makes everything ready; end() in any case. */
static bool begin(Call *c) {
  TRY(check(c));
  LpRnnLayer *l = &c->l;
  const LpDtype dtype = lp_dtype(c->given[X]);
  l->dtype = l->of_input = l->of_state = nn_compute_dtype(dtype);
  if (dtype == LP_BFLOAT16 && lp_cpu_multiplies_bf16()) {
    l->of_input = dtype;
    l->of_state = lp_rnn_state_dtype(l);
  }
  for (int i = 0; i < OPERANDS; i++) {
    const bool of_input = i == X || i == W_IH, of_state = i == W_HH || i == W_HR;
    if (c->given[i])
      TRY(c->dense[i] = nn_dense(c->given[i], of_input   ? l->of_input
                                              : of_state ? l->of_state
                                                         : l->dtype));
  }
  TRY(c->offsets = lp_alloc((size_t)c->batch_sizes.count * sizeof(int64_t)));
  for (int64_t t = 0, at = 0; t < l->steps; t++) {
    c->offsets[t] = at;
    at += c->batch_sizes.data[t];
  }
  l->batch_sizes = c->batch_sizes.data;
  l->offsets = c->offsets;
  l->x = data_of(c, X);
  l->h0 = data_of(c, H0);
  l->c0 = data_of(c, C0);
  l->w_ih = data_of(c, W_IH);
  l->w_hh = data_of(c, W_HH);
  l->b_ih = data_of(c, B_IH);
  l->b_hh = data_of(c, B_HH);
  l->w_hr = data_of(c, W_HR);
  return true;
}

/* The weight whose memory serves as it is, for packed forms that stay with it. */
static const LpTensor *keeper_of(const Call *c, int which) {
  const LpTensor *dense = c->dense[which];
  return dense && dense->storage == c->given[which]->storage ? dense : NULL;
}

static LpTensor *matrix(int64_t rows, int64_t columns, LpDtype dtype) {
  return nn_empty((int64_t[]){rows, columns}, 2, dtype);
}

/* results: output, hy, then cy for an LSTM, gates, cells for an LSTM. */
static bool forward(Call *c, LpTensor **results) {
  const LpRnnLayer *l = &c->l;
  const bool lstm = l->kind == LP_RNN_LSTM, keeps = !lp_tls_recorded;
  LpTensor *out = NULL, *hy = NULL, *cy = NULL, *gates = NULL, *cells = NULL;
  bool ok = begin(c) && (out = matrix(l->total, l->outputs, l->dtype)) &&
            (hy = matrix(l->batch, l->outputs, l->dtype)) &&
            (!lstm || ((cy = matrix(l->batch, l->hidden, l->dtype)) &&
                       (cells = matrix(l->total, l->hidden, l->dtype)))) &&
            (gates = l->kind <= LP_RNN_TANH
                         ? matrix(0, l->hidden, l->dtype)
                         : matrix(l->total, lp_rnn_width(l->kind) * l->hidden, l->dtype));
  if (ok) {
    c->l.out = lp_data(out);
    c->l.gates = lp_data(l->kind <= LP_RNN_TANH ? out : gates);
    c->l.cells = cells ? lp_data(cells) : NULL;
    if (keeps) {
      c->l.keep_ih = keeper_of(c, W_IH);
      c->l.keep_hh = keeper_of(c, W_HH);
      c->l.keep_hr = keeper_of(c, W_HR);
    }
    ok = lp_rnn_forward(l, lp_data(hy), cy ? lp_data(cy) : NULL);
  }
  const LpDtype dtype = lp_dtype(c->given[X]);
  out = nn_cast_take(out, dtype);
  hy = nn_cast_take(hy, dtype);
  if (lstm) cy = nn_cast_take(cy, dtype);
  ok = ok && out && hy && (!lstm || cy);
  LpTensor *made[5] = {out, hy, lstm ? cy : gates, gates, cells};
  const int count = lstm ? 5 : 3;
  for (int i = 0; i < count; i++) {
    results[i] = ok ? made[i] : NULL;
    if (!ok) lp_tensor_release(made[i]);
  }
  end(c);
  return ok;
}

bool lp_impl_lstm_layer(LpTensor *input, LpInts batch_sizes, LpTensor *hx, LpTensor *cx,
                        LpTensor *w_ih, LpTensor *w_hh, LpTensor *b_ih, LpTensor *b_hh,
                        LpTensor *w_hr, bool reverse, LpTensor **results) {
  Call c = {.l = {.kind = LP_RNN_LSTM, .reverse = reverse},
            .given = {input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr},
            .batch_sizes = batch_sizes};
  return forward(&c, results);
}

bool lp_impl_rnn_layer(LpTensor *input, LpInts batch_sizes, LpTensor *hx, LpTensor *w_ih,
                       LpTensor *w_hh, LpTensor *b_ih, LpTensor *b_hh, int64_t kind,
                       bool reverse, LpTensor **results) {
  Call c = {.l = {.kind = (LpRnnKind)kind, .reverse = reverse},
            .given = {input, hx, NULL, w_ih, w_hh, b_ih, b_hh, NULL},
            .batch_sizes = batch_sizes};
  return forward(&c, results);
}

/* --- backward
 * --------------------------------------------------------------------------- */

/* A gradient of a result as dense memory; NULL stays NULL. */
static bool dense_grad(LpTensor *grad, LpDtype dtype, LpTensor **dense,
                       const void **data) {
  if (!grad) return true;
  TRY(*dense = nn_dense(grad, dtype));
  *data = lp_data(*dense);
  return true;
}

/* grads: of output, hy, cy. saved: output, gates, cells. made: by operand. */
static bool backward(Call *c, LpTensor *const grads[3], LpTensor *const saved[3],
                     unsigned wanted, LpTensor *made[OPERANDS]) {
  LpTensor *dense[3] = {0}, *kept[3] = {0};
  LpRnnGrads g = {0};
  bool ok = begin(c);
  LpRnnLayer *l = &c->l;
  const void **to[3] = {&g.out, &g.h_last, &g.c_last};
  for (int i = 0; ok && i < 3; i++) {
    ok = dense_grad(grads[i], l->dtype, &dense[i], to[i]);
    if (ok && saved[i]) ok = (kept[i] = nn_dense(saved[i], l->dtype)) != NULL;
  }
  void **into[OPERANDS] = {&g.x,    &g.h0,   &g.c0,   &g.w_ih,
                           &g.w_hh, &g.b_ih, &g.b_hh, &g.w_hr};
  for (int i = 0; ok && i < OPERANDS; i++) {
    const bool state = i == H0 || (i == C0 && l->kind == LP_RNN_LSTM);
    if (!c->given[i] || !(wanted >> i & 1 || state)) continue;
    made[i] = lp_tensor_new(lp_sizes(c->given[i]), l->dtype, lp_device(c->given[i]));
    if ((ok = made[i] != NULL)) *into[i] = lp_data(made[i]);
  }
  if (ok) {
    l->out = lp_data(kept[0]);
    l->gates = lp_data(kept[l->kind <= LP_RNN_TANH ? 0 : 1]);
    l->cells = kept[2] ? lp_data(kept[2]) : NULL;
    ok = lp_rnn_backward(l, &g);
  }
  for (int i = 0; i < 3; i++) {
    lp_tensor_release(dense[i]);
    lp_tensor_release(kept[i]);
  }
  end(c);
  for (int i = 0; !ok && i < OPERANDS; i++) lp_drop(&made[i]);
  return ok;
}

bool lp_impl_lstm_layer_grads(LpTensor *grad_output, LpTensor *grad_hy, LpTensor *grad_cy,
                              LpTensor *input, LpInts batch_sizes, LpTensor *hx,
                              LpTensor *cx, LpTensor *w_ih, LpTensor *w_hh,
                              LpTensor *b_ih, LpTensor *b_hh, LpTensor *w_hr,
                              bool reverse, LpTensor *output, LpTensor *gates,
                              LpTensor *cells, unsigned wanted, LpTensor **results) {
  Call c = {.l = {.kind = LP_RNN_LSTM, .reverse = reverse},
            .given = {input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr},
            .batch_sizes = batch_sizes};
  LpTensor *made[OPERANDS] = {0};
  const bool ok = backward(&c, (LpTensor *const[3]){grad_output, grad_hy, grad_cy},
                           (LpTensor *const[3]){output, gates, cells}, wanted, made);
  memcpy(results, made, sizeof made);
  return ok;
}

bool lp_impl_rnn_layer_grads(LpTensor *grad_output, LpTensor *grad_hy, LpTensor *input,
                             LpInts batch_sizes, LpTensor *hx, LpTensor *w_ih,
                             LpTensor *w_hh, LpTensor *b_ih, LpTensor *b_hh, int64_t kind,
                             bool reverse, LpTensor *output, LpTensor *gates,
                             unsigned wanted, LpTensor **results) {
  Call c = {.l = {.kind = (LpRnnKind)kind, .reverse = reverse},
            .given = {input, hx, NULL, w_ih, w_hh, b_ih, b_hh, NULL},
            .batch_sizes = batch_sizes};
  /* The mask counts the op's operands: no cx. */
  const unsigned mask = (wanted & 3) | (wanted & ~3u) << 1;
  LpTensor *made[OPERANDS] = {0};
  const bool ok = backward(&c, (LpTensor *const[3]){grad_output, grad_hy, NULL},
                           (LpTensor *const[3]){output, gates, NULL}, mask, made);
  const int order[6] = {X, H0, W_IH, W_HH, B_IH, B_HH};
  for (int i = 0; i < 6; i++) results[i] = made[order[i]];
  return ok;
}
