/* A recurrent layer out of other ops, forward and backward, step by step: the path for
 * gradients of gradients (the backward of a layer is a differentiable function of what it
 * is given) and for complex numbers. Mathematics and order of rows as in cpu/rnn.h. */
#include "autograd/node.h"
#include "composite/rnn.h"
#include "core/alloc.h"
#include "impl.h"

/* Every tensor made on the way; released together. A call whose operand is NULL gives
 * NULL, so that only the ends need a check. */
typedef struct Bag {
  LpTensor **items;
  int64_t count, capacity;
} Bag;

static LpTensor *put(Bag *b, LpTensor *t) {
  if (!t) return NULL;
  if (b->count == b->capacity) {
    const int64_t more = b->capacity ? 2 * b->capacity : 64;
    LpTensor **items = lp_alloc((size_t)more * sizeof *items);
    if (!items) {
      lp_tensor_release(t);
      return NULL;
    }
    if (b->count) memcpy(items, b->items, (size_t)b->count * sizeof *items);
    if (b->items) lp_free(b->items, (size_t)b->capacity * sizeof *items);
    b->items = items;
    b->capacity = more;
  }
  return b->items[b->count++] = t;
}

static void empty(Bag *b) {
  for (int64_t i = 0; i < b->count; i++) lp_tensor_release(b->items[i]);
  if (b->items) lp_free(b->items, (size_t)b->capacity * sizeof *b->items);
  *b = (Bag){0};
}

static LpTensor *add(Bag *b, LpTensor *x, LpTensor *y) {
  return x && y ? put(b, lp_add(x, y, lp_scalar_int(1))) : NULL;
}
static LpTensor *sub(Bag *b, LpTensor *x, LpTensor *y) {
  return x && y ? put(b, lp_sub(x, y, lp_scalar_int(1))) : NULL;
}
static LpTensor *mul(Bag *b, LpTensor *x, LpTensor *y) {
  return x && y ? put(b, lp_mul(x, y)) : NULL;
}
static LpTensor *sigmoid(Bag *b, LpTensor *x) {
  return x ? put(b, lp_sigmoid(x)) : NULL;
}
static LpTensor *tanh_of(Bag *b, LpTensor *x) {
  return x ? put(b, lp_tanh(x)) : NULL;
}
/* grad * y (1 - y), grad * (1 - y^2) */
static LpTensor *sigmoid_slope(Bag *b, LpTensor *grad, LpTensor *y) {
  return grad && y ? put(b, lp_sigmoid_backward(grad, y)) : NULL;
}
static LpTensor *tanh_slope(Bag *b, LpTensor *grad, LpTensor *y) {
  return grad && y ? put(b, lp_tanh_backward(grad, y)) : NULL;
}
static LpTensor *linear(Bag *b, LpTensor *x, LpTensor *w, LpTensor *bias) {
  return x ? put(b, lp_linear(x, w, bias)) : NULL;
}
static LpTensor *matmul(Bag *b, LpTensor *x, LpTensor *y) {
  return x && y ? put(b, lp_matmul(x, y)) : NULL;
}
/* x^T y */
static LpTensor *outer(Bag *b, LpTensor *x, LpTensor *y) {
  return matmul(b, x ? put(b, lp_t(x)) : NULL, y);
}
static LpTensor *narrow(Bag *b, LpTensor *x, int64_t dim, int64_t start, int64_t count) {
  if (!x) return NULL;
  return lp_size(x, dim) == count ? x : put(b, lp_narrow(x, dim, start, count));
}
static LpTensor *cat(Bag *b, LpTensor **list, int64_t count, int64_t dim) {
  for (int64_t i = 0; i < count; i++)
    if (!list[i]) return NULL;
  return count == 1 ? list[0] : put(b, lp_cat((LpTensors){list, count}, dim));
}
static LpTensor *cat_rows(Bag *b, LpTensor *x, LpTensor *y) {
  LpTensor *both[2] = {x, y};
  return cat(b, both, 2, 0);
}
static LpTensor *sum_rows(Bag *b, LpTensor *x) {
  const int64_t dim = 0;
  return x ? put(b, lp_sum_dim(x, lp_ints(&dim, 1), false, LP_DTYPE_NONE)) : NULL;
}

/* --- forward
 * ---------------------------------------------------------------------------- */

/* What a step leaves for its backward: LSTM i f g o, c before, tanh(c'), o tanh(c');
 * GRU r z n and R h + b of n; RNN nothing. */
enum { I, F, G, O, C_BEFORE, TANH_C, RAW, VALUES };
enum { R, Z, N, M };

typedef struct Step {
  int64_t first, rows, next_rows; /* next_rows: of the step done after it */
  LpTensor *v[VALUES];
  LpTensor *h_before, *h, *c;
} Step;

typedef struct Unrolled {
  Bag bag;
  LpRnnKind kind;
  const RnnWeights *w;
  LpInts batch_sizes;
  bool reverse;
  LpTensor *x, *h0, *c0;
  Step *steps;     /* by t */
  LpTensor **list; /* room for a tensor of each step */
} Unrolled;

static Step *step_at(const Unrolled *u, int64_t s) {
  return &u->steps[u->reverse ? u->batch_sizes.count - 1 - s : s];
}

static bool unrolled_begin(Unrolled *u) {
  const int64_t count = u->batch_sizes.count;
  TRY(u->steps = lp_calloc((size_t)count * sizeof *u->steps));
  TRY(u->list = lp_calloc((size_t)count * sizeof *u->list));
  for (int64_t t = 0, at = 0; t < count; t++) {
    Step *step = &u->steps[t];
    step->first = at;
    step->rows = u->batch_sizes.data[t];
    at += step->rows;
    const int64_t next = u->reverse ? t - 1 : t + 1;
    step->next_rows = next >= 0 && next < count ? u->batch_sizes.data[next] : 0;
  }
  return true;
}

static void unrolled_end(Unrolled *u) {
  const size_t count = (size_t)u->batch_sizes.count;
  empty(&u->bag);
  if (u->steps) lp_free(u->steps, count * sizeof *u->steps);
  if (u->list) lp_free(u->list, count * sizeof *u->list);
}

/* The state for `rows` rows: those that end drop out, new ones begin with the first
 * state. */
static LpTensor *resized(Bag *b, LpTensor *state, LpTensor *first, int64_t rows) {
  if (!state) return NULL;
  const int64_t have = lp_size(state, 0);
  if (have >= rows) return narrow(b, state, 0, 0, rows);
  return cat_rows(b, state, narrow(b, first, 0, have, rows - have));
}

/* Gate number i of `count` in the columns of x. */
static LpTensor *gate(Bag *b, LpTensor *x, int64_t i, int64_t count) {
  const int64_t h = x ? lp_size(x, 1) / count : 0;
  return narrow(b, x, 1, i * h, h);
}

static void lstm_step(Unrolled *u, Step *s, LpTensor *x, LpTensor *h, LpTensor *c) {
  Bag *b = &u->bag;
  LpTensor *all = add(b, x, linear(b, h, u->w->w_hh, u->w->b_hh));
  for (int i = 0; i < 4; i++) {
    LpTensor *part = gate(b, all, i, 4);
    s->v[i] = i == G ? tanh_of(b, part) : sigmoid(b, part);
  }
  s->v[C_BEFORE] = c;
  s->c = add(b, mul(b, s->v[F], c), mul(b, s->v[I], s->v[G]));
  s->v[TANH_C] = tanh_of(b, s->c);
  s->v[RAW] = mul(b, s->v[O], s->v[TANH_C]);
  s->h = u->w->w_hr ? linear(b, s->v[RAW], u->w->w_hr, NULL) : s->v[RAW];
}

static void gru_step(Unrolled *u, Step *s, LpTensor *x, LpTensor *h) {
  Bag *b = &u->bag;
  LpTensor *state = linear(b, h, u->w->w_hh, u->w->b_hh);
  for (int i = R; i <= Z; i++)
    s->v[i] = sigmoid(b, add(b, gate(b, x, i, 3), gate(b, state, i, 3)));
  s->v[M] = gate(b, state, 2, 3);
  s->v[N] = tanh_of(b, add(b, gate(b, x, 2, 3), mul(b, s->v[R], s->v[M])));
  s->h = add(b, s->v[N], mul(b, s->v[Z], sub(b, h, s->v[N])));
}

static void rnn_step(Unrolled *u, Step *s, LpTensor *x, LpTensor *h) {
  Bag *b = &u->bag;
  LpTensor *sum = add(b, x, linear(b, h, u->w->w_hh, u->w->b_hh));
  s->h = u->kind == LP_RNN_TANH ? tanh_of(b, sum) : sum ? put(b, lp_relu(sum)) : NULL;
}

static bool run_forward(Unrolled *u) {
  Bag *b = &u->bag;
  TRY(unrolled_begin(u));
  LpTensor *x = linear(b, u->x, u->w->w_ih, u->w->b_ih);
  LpTensor *h = narrow(b, u->h0, 0, 0, step_at(u, 0)->rows);
  LpTensor *c = narrow(b, u->c0, 0, 0, step_at(u, 0)->rows);
  for (int64_t s = 0; s < u->batch_sizes.count; s++) {
    Step *step = step_at(u, s);
    LpTensor *here = narrow(b, x, 0, step->first, step->rows);
    step->h_before = h = resized(b, h, u->h0, step->rows);
    if (u->kind == LP_RNN_LSTM)
      lstm_step(u, step, here, h, c = resized(b, c, u->c0, step->rows));
    else if (u->kind == LP_RNN_GRU)
      gru_step(u, step, here, h);
    else
      rnn_step(u, step, here, h);
    TRY(h = step->h);
    c = step->c;
    if (lp_interrupt_pending())
      return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  }
  return true;
}

/* The states after the last step of each sequence; pieces by `list`. */
static LpTensor *last_states(Unrolled *u, bool cells) {
  int64_t count = 0;
  for (int64_t t = u->batch_sizes.count - 1; t >= 0; t--) {
    const Step *s = &u->steps[u->reverse ? 0 : t];
    const int64_t next = u->reverse ? 0 : s->next_rows;
    if (next == s->rows && s->rows > 0) continue;
    u->list[count++] = narrow(&u->bag, cells ? s->c : s->h, 0, next, s->rows - next);
    if (u->reverse) break;
  }
  return cat(&u->bag, u->list, count, 0);
}

bool lp_rnn_unrolled(LpRnnKind kind, const RnnWeights *w, LpTensor *x, LpInts batch_sizes,
                     LpTensor *h, LpTensor *c, bool reverse, LpTensor *out[3]) {
  Unrolled u = {.kind = kind,
                .w = w,
                .batch_sizes = batch_sizes,
                .reverse = reverse,
                .x = x,
                .h0 = h,
                .c0 = c};
  bool ok = run_forward(&u);
  for (int64_t t = 0; ok && t < batch_sizes.count; t++) u.list[t] = u.steps[t].h;
  out[0] = ok ? cat(&u.bag, u.list, batch_sizes.count, 0) : NULL;
  out[1] = out[0] ? last_states(&u, false) : NULL;
  out[2] = out[1] && c ? last_states(&u, true) : NULL;
  ok = out[1] && (out[2] || !c);
  for (int i = 0; i < 3; i++) out[i] = ok ? lp_tensor_retain(out[i]) : NULL;
  unrolled_end(&u);
  return ok;
}

/* --- backward
 * --------------------------------------------------------------------------- */

typedef struct Derivatives {
  LpTensor *x_gates, *h_gates; /* of the gates' sums, as x and as h reach them */
  LpTensor *h;                 /* of h', for the projection */
} Derivatives;

/* dh, dc: of the step's h' and c' before, of its h and c after. */
static void lstm_step_back(Unrolled *u, const Step *s, Derivatives *d, LpTensor **dh,
                           LpTensor **dc) {
  Bag *b = &u->bag;
  LpTensor *raw = u->w->w_hr ? matmul(b, *dh, u->w->w_hr) : *dh;
  LpTensor *down = add(b, *dc, tanh_slope(b, mul(b, raw, s->v[O]), s->v[TANH_C]));
  LpTensor *parts[4];
  parts[I] = sigmoid_slope(b, mul(b, down, s->v[G]), s->v[I]);
  parts[F] = sigmoid_slope(b, mul(b, down, s->v[C_BEFORE]), s->v[F]);
  parts[G] = tanh_slope(b, mul(b, down, s->v[I]), s->v[G]);
  parts[O] = sigmoid_slope(b, mul(b, raw, s->v[TANH_C]), s->v[O]);
  d->x_gates = d->h_gates = cat(b, parts, 4, 1);
  *dc = mul(b, down, s->v[F]);
  *dh = matmul(b, d->h_gates, u->w->w_hh);
}

static void gru_step_back(Unrolled *u, const Step *s, Derivatives *d, LpTensor **dh) {
  Bag *b = &u->bag;
  LpTensor *kept = mul(b, *dh, s->v[Z]);
  LpTensor *n = tanh_slope(b, sub(b, *dh, kept), s->v[N]);
  LpTensor *r = sigmoid_slope(b, mul(b, n, s->v[M]), s->v[R]);
  LpTensor *z = sigmoid_slope(b, mul(b, *dh, sub(b, s->h_before, s->v[N])), s->v[Z]);
  LpTensor *by_x[3] = {r, z, n}, *by_h[3] = {r, z, mul(b, n, s->v[R])};
  d->x_gates = cat(b, by_x, 3, 1);
  d->h_gates = cat(b, by_h, 3, 1);
  *dh = add(b, kept, matmul(b, d->h_gates, u->w->w_hh));
}

static void rnn_step_back(Unrolled *u, const Step *s, Derivatives *d, LpTensor **dh) {
  Bag *b = &u->bag;
  if (u->kind == LP_RNN_TANH)
    d->x_gates = tanh_slope(b, *dh, s->h);
  else
    d->x_gates =
        *dh && s->h ? put(b, lp_threshold_backward(*dh, s->h, lp_scalar_int(0))) : NULL;
  d->h_gates = d->x_gates;
  *dh = matmul(b, d->h_gates, u->w->w_hh);
}

/* A gradient of the last states, zeros when nothing depends on them. */
static LpTensor *grad_or_zeros(Bag *b, LpTensor *grad, LpTensor *like) {
  if (grad) return grad;
  return put(b, lp_zeros_like(like, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0},
                              LP_FORMAT_NONE, false));
}

/* Backward through time. made: gradients of x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr,
 * borrowed from the bag. */
static bool run_backward(Unrolled *u, LpTensor *d_out, LpTensor *d_hy, LpTensor *d_cy,
                         Derivatives *all, LpTensor *made[8]) {
  Bag *b = &u->bag;
  const int64_t count = u->batch_sizes.count;
  const bool lstm = u->kind == LP_RNN_LSTM;
  LpTensor *h_last = grad_or_zeros(b, d_hy, u->h0), *dh = NULL;
  LpTensor *c_last = lstm ? grad_or_zeros(b, d_cy, u->c0) : NULL, *dc = NULL;
  /* Reversed, rows of h0 drop out on the way: their gradients, the last rows first. */
  LpTensor *h_rest = NULL, *c_rest = NULL;
  for (int64_t s = count - 1; s >= 0; s--) {
    Step *step = step_at(u, s);
    Derivatives *d = &all[step - u->steps];
    const int64_t n = step->rows;
    if (s == count - 1) {
      dh = narrow(b, h_last, 0, 0, n);
      dc = lstm ? narrow(b, c_last, 0, 0, n) : NULL;
    } else if (lp_size(dh, 0) > n) {
      const int64_t more = lp_size(dh, 0) - n;
      LpTensor *h_end = narrow(b, dh, 0, n, more), *c_end = NULL;
      TRY(h_rest = h_rest ? cat_rows(b, h_end, h_rest) : h_end);
      if (lstm) {
        c_end = narrow(b, dc, 0, n, more);
        TRY(c_rest = c_rest ? cat_rows(b, c_end, c_rest) : c_end);
        dc = narrow(b, dc, 0, 0, n);
      }
      dh = narrow(b, dh, 0, 0, n);
    } else {
      dh = resized(b, dh, h_last, n);
      if (lstm) dc = resized(b, dc, c_last, n);
    }
    if (d_out) dh = add(b, dh, narrow(b, d_out, 0, step->first, n));
    d->h = dh;
    if (lstm)
      lstm_step_back(u, step, d, &dh, &dc);
    else if (u->kind == LP_RNN_GRU)
      gru_step_back(u, step, d, &dh);
    else
      rnn_step_back(u, step, d, &dh);
    TRY(dh && (dc || !lstm));
    if (lp_interrupt_pending())
      return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  }
  made[1] = h_rest ? cat_rows(b, dh, h_rest) : dh;
  made[2] = c_rest ? cat_rows(b, dc, c_rest) : dc;
  return made[1] && (made[2] || !lstm);
}

/* A tensor of every step, in the order of rows. */
static LpTensor *join(Unrolled *u,
                      LpTensor *(*of)(const Unrolled *, const Derivatives *, int64_t),
                      const Derivatives *all) {
  for (int64_t t = 0; t < u->batch_sizes.count; t++) u->list[t] = of(u, all, t);
  return cat(&u->bag, u->list, u->batch_sizes.count, 0);
}
static LpTensor *x_gates_of(const Unrolled *u, const Derivatives *all, int64_t t) {
  return all[t].x_gates;
}
static LpTensor *h_gates_of(const Unrolled *u, const Derivatives *all, int64_t t) {
  return all[t].h_gates;
}
static LpTensor *d_h_of(const Unrolled *u, const Derivatives *all, int64_t t) {
  return all[t].h;
}
static LpTensor *h_before_of(const Unrolled *u, const Derivatives *all, int64_t t) {
  return u->steps[t].h_before;
}
static LpTensor *raw_of(const Unrolled *u, const Derivatives *all, int64_t t) {
  return u->steps[t].v[RAW];
}

/* results (owned) for x, h, c, w_ih, w_hh, b_ih, b_hh, w_hr where wanted. */
static bool unrolled_grads(Unrolled *u, LpTensor *d_out, LpTensor *d_hy, LpTensor *d_cy,
                           unsigned wanted, LpTensor *results[8]) {
  Bag *b = &u->bag;
  const size_t bytes = (size_t)u->batch_sizes.count * sizeof(Derivatives);
  LpTensor *made[8] = {0};
  Derivatives *all = lp_calloc(bytes);
  bool ok = all && run_forward(u) && run_backward(u, d_out, d_hy, d_cy, all, made);
  LpTensor *by_x = ok ? join(u, x_gates_of, all) : NULL;
  LpTensor *by_h = ok ? join(u, h_gates_of, all) : NULL;
  if (wanted & 1) made[0] = matmul(b, by_x, u->w->w_ih);
  if (wanted & 8) made[3] = outer(b, by_x, u->x);
  if (wanted & 16) made[4] = outer(b, by_h, ok ? join(u, h_before_of, all) : NULL);
  if (wanted & 32) made[5] = sum_rows(b, by_x);
  if (wanted & 64) made[6] = sum_rows(b, by_h);
  if (wanted & 128)
    made[7] = ok ? outer(b, join(u, d_h_of, all), join(u, raw_of, all)) : NULL;
  for (int i = 0; ok && i < 8; i++) ok = made[i] || !(wanted >> i & 1);
  for (int i = 0; i < 8; i++)
    results[i] = ok && wanted >> i & 1 ? lp_tensor_retain(made[i]) : NULL;
  if (all) lp_free(all, bytes);
  unrolled_end(u);
  return ok;
}

/* Will somebody differentiate this backward? */
static bool is_recorded(LpTensor *const *tensors, int count) {
  for (int i = 0; i < count; i++)
    if (tensors[i] && (lp_wants_grad(tensors[i]) ||
                       (lp_tls_grad_enabled && lp_requires_grad_below(tensors[i]))))
      return true;
  return false;
}

bool lp_composite_lstm_layer_backward(LpTensor *grad_output, LpTensor *grad_hy,
                                      LpTensor *grad_cy, LpTensor *input,
                                      LpInts batch_sizes, LpTensor *hx, LpTensor *cx,
                                      LpTensor *w_ih, LpTensor *w_hh, LpTensor *b_ih,
                                      LpTensor *b_hh, LpTensor *w_hr, bool reverse,
                                      LpTensor *output, LpTensor *gates, LpTensor *cells,
                                      unsigned wanted, LpTensor **results) {
  LpTensor *const given[] = {grad_output, grad_hy, grad_cy, input, hx,  cx,
                             w_ih,        w_hh,    b_ih,    b_hh,  w_hr};
  if (!is_recorded(given, 11))
    return lp_lstm_layer_grads(grad_output, grad_hy, grad_cy, input, batch_sizes, hx, cx,
                               w_ih, w_hh, b_ih, b_hh, w_hr, reverse, output, gates,
                               cells, wanted, results);
  const RnnWeights w = {w_ih, w_hh, b_ih, b_hh, w_hr};
  Unrolled u = {.kind = LP_RNN_LSTM,
                .w = &w,
                .batch_sizes = batch_sizes,
                .reverse = reverse,
                .x = input,
                .h0 = hx,
                .c0 = cx};
  return unrolled_grads(&u, grad_output, grad_hy, grad_cy, wanted, results);
}

bool lp_composite_rnn_layer_backward(LpTensor *grad_output, LpTensor *grad_hy,
                                     LpTensor *input, LpInts batch_sizes, LpTensor *hx,
                                     LpTensor *w_ih, LpTensor *w_hh, LpTensor *b_ih,
                                     LpTensor *b_hh, int64_t kind, bool reverse,
                                     LpTensor *output, LpTensor *gates, unsigned wanted,
                                     LpTensor **results) {
  LpTensor *const given[] = {grad_output, grad_hy, input, hx, w_ih, w_hh, b_ih, b_hh};
  if (!is_recorded(given, 8))
    return lp_rnn_layer_grads(grad_output, grad_hy, input, batch_sizes, hx, w_ih, w_hh,
                              b_ih, b_hh, kind, reverse, output, gates, wanted, results);
  const RnnWeights w = {w_ih, w_hh, b_ih, b_hh, NULL};
  Unrolled u = {.kind = (LpRnnKind)kind,
                .w = &w,
                .batch_sizes = batch_sizes,
                .reverse = reverse,
                .x = input,
                .h0 = hx};
  LpTensor *all[8];
  /* The mask counts the op's operands: no cx. */
  TRY(unrolled_grads(&u, grad_output, grad_hy, NULL, (wanted & 3) | (wanted & ~3u) << 1,
                     all));
  for (int i = 0; i < 6; i++) results[i] = all[i < 2 ? i : i + 1];
  return true;
}
