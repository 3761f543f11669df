/* The backward pass of a recurrent layer; see cpu/rnn.h. Backward through time only the
 * derivatives of the gates are made, a step at a time; the gradients of x and of all
 * weights are products over all rows afterwards. */
#include <string.h>
#include "cpu/rnn.h"
#include "cpu/rnn_parts.h"

typedef struct Backward {
  const LpRnnLayer *l;
  const LpRnnGrads *g;
  const LpRnnKernels *k;
  int type;
  size_t item;
  int64_t width;
  LpRnnPanels recurrent, projection; /* R and P as they stand */
  char *d_gates;                     /* (total, width) */
  char *d_out;                       /* with a projection: of h', all rows (total, P) */
  char *d_raw, *raw;                 /* of one step (batch, H); all rows (total, H) */
  RnnStep step;
  int64_t later, later_first; /* rows, and the first one, of the step done before */
} Backward;

/* dh = [what the step passed on +] d_gates R, for panels of the units. */
static void pass_on(const Backward *b, int64_t begin, int64_t end) {
  const LpRnnLayer *l = b->l;
  const bool gru = l->kind == LP_RNN_GRU;
  const char *d =
      rnn_at(b->d_gates, b->later_first * b->width + (gru ? l->hidden : 0), b->item);
  for (int64_t p = begin; b->later && p < end; p++)
    b->k->product[b->type](&b->recurrent, p, d, b->width, b->later, b->g->h0, l->outputs,
                           gru ? 3 : 0);
}

static void units_of_step(const Backward *b, int64_t begin, int64_t end) {
  const LpRnnLayer *l = b->l;
  const RnnStep *s = &b->step;
  const int64_t h = l->hidden, out = l->outputs;
  for (int64_t r = 0; r < s->rows; r++) {
    const int64_t at = s->first + r;
    LpRnnRow row = {.gates = rnn_at(l->gates, at * b->width, b->item),
                    .d_gates = rnn_at(b->d_gates, at * b->width, b->item),
                    .h = rnn_at(l->out, at * out, b->item),
                    .h_before = rnn_before(s, l->out, l->h0, r, out, b->item)};
    if (l->w_hr) {
      row.dh = rnn_at(b->d_raw, r * h, b->item);
      row.raw = rnn_at(b->raw, at * h, b->item);
    } else {
      row.dh = rnn_at(b->g->h0, r * h, b->item);
      if (b->g->out) row.d_out = rnn_at(b->g->out, at * h, b->item);
    }
    if (l->cells) {
      row.c = rnn_at(l->cells, at * h, b->item);
      row.c_before = rnn_before(s, l->cells, l->c0, r, h, b->item);
      row.dc = rnn_at(b->g->c0, r * h, b->item);
    }
    b->k->backward[l->kind][b->type](&row, h, begin, end);
  }
}

/* What the step after passes on to these units, then this step: one region of threads for
 * each step. */
static void step_range(void *ctx, int64_t begin, int64_t end) {
  const Backward *b = ctx;
  const int64_t units = b->recurrent.units, last = end * units, h = b->l->hidden;
  pass_on(b, begin, end);
  units_of_step(b, begin * units, last < h ? last : h);
}

/* With a projection: first h' ... */
static void output_range(void *ctx, int64_t begin, int64_t end) {
  const Backward *b = ctx;
  const int64_t out = b->l->outputs, from = begin * b->recurrent.units;
  int64_t to = end * b->recurrent.units;
  if (to > out) to = out;
  pass_on(b, begin, end);
  for (int64_t r = 0; r < b->step.rows; r++) {
    const int64_t at = (b->step.first + r) * out + from;
    char *d = rnn_at(b->d_out, at, b->item),
         *dh = rnn_at(b->g->h0, r * out + from, b->item);
    if (b->g->out)
      b->k->add[b->type](d, dh, rnn_at(b->g->out, at, b->item), to - from);
    else
      memcpy(d, dh, (size_t)(to - from) * b->item);
  }
}

/* ... then what lies before the projection. */
static void projected_range(void *ctx, int64_t begin, int64_t end) {
  const Backward *b = ctx;
  const LpRnnLayer *l = b->l;
  const char *d = rnn_at(b->d_out, b->step.first * l->outputs, b->item);
  for (int64_t p = begin; p < end; p++)
    b->k->product[b->type](&b->projection, p, d, l->outputs, b->step.rows, b->d_raw,
                           l->hidden, 0);
  const int64_t units = b->projection.units, last = end * units, h = l->hidden;
  units_of_step(b, begin * units, last < h ? last : h);
}

static void pass_on_range(void *ctx, int64_t begin, int64_t end) {
  pass_on(ctx, begin, end);
}

static bool through_time(Backward *b) {
  const LpRnnLayer *l = b->l;
  for (int64_t s = l->steps - 1; s >= 0; s--) {
    b->step = lp_rnn_step(l, s);
    const int64_t rows = b->step.rows;
    if (l->w_hr) {
      lp_rnn_over(&b->recurrent, rows, output_range, b);
      lp_rnn_over(&b->projection, rows, projected_range, b);
    } else {
      lp_rnn_over(&b->recurrent, rows, step_range, b);
    }
    b->later = rows;
    b->later_first = b->step.first;
    if (lp_interrupt_pending())
      return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  }
  lp_rnn_over(&b->recurrent, b->later, pass_on_range, b);
  return true;
}

/* The states before each row, row by row: the other factor of R's gradient. */
static char *states_before(RnnBlocks *blocks, const Backward *b) {
  const LpRnnLayer *l = b->l;
  const int64_t out = l->outputs;
  char *all = lp_rnn_block(blocks, (size_t)(l->total * out) * b->item);
  TRY(all);
  for (int64_t s = 0; s < l->steps; s++) {
    const RnnStep step = lp_rnn_step(l, s);
    char *to = rnn_at(all, step.first * out, b->item);
    memcpy(to, rnn_at(l->out, step.before * out, b->item),
           (size_t)(step.continued * out) * b->item);
    memcpy(rnn_at(to, step.continued * out, b->item),
           rnn_at(l->h0, step.continued * out, b->item),
           (size_t)((step.rows - step.continued) * out) * b->item);
  }
  return all;
}

/* d^T source into `rows` rows of a weight's gradient, d from a column of d_gates on. */
static bool weight_grad(const Backward *b, int64_t column, int64_t rows,
                        const void *source, int64_t columns, void *to) {
  return lp_rnn_gemm(b->l->dtype, true, false, rows, columns, b->l->total,
                     rnn_at(b->d_gates, column, b->item), b->width, source, columns, to,
                     columns, false);
}

static bool input_grads(const Backward *b) {
  const LpRnnLayer *l = b->l;
  const LpRnnGrads *g = b->g;
  const int64_t h = l->hidden, in = l->inputs;
  if (l->kind != LP_RNN_GRU)
    return (!g->x || lp_rnn_gemm(l->dtype, false, false, l->total, in, b->width,
                                 b->d_gates, b->width, l->w_ih, in, g->x, in, false)) &&
           (!g->w_ih || weight_grad(b, 0, b->width, l->x, in, g->w_ih));
  /* r and z, then n. */
  const char *n_rows = rnn_at(l->w_ih, 2 * h * in, b->item);
  if (g->x)
    TRY(lp_rnn_gemm(l->dtype, false, false, l->total, in, 2 * h,
                    rnn_at(b->d_gates, h, b->item), b->width, l->w_ih, in, g->x, in,
                    false) &&
        lp_rnn_gemm(l->dtype, false, false, l->total, in, h, b->d_gates, b->width, n_rows,
                    in, g->x, in, true));
  if (g->w_ih)
    TRY(weight_grad(b, h, 2 * h, l->x, in, g->w_ih) &&
        weight_grad(b, 0, h, l->x, in, rnn_at(g->w_ih, 2 * h * in, b->item)));
  return true;
}

typedef struct SumJob {
  const Backward *b;
  void *sums;
} SumJob;

static void sum_range(void *ctx, int64_t begin, int64_t end) {
  const SumJob *j = ctx;
  j->b->k->column_sums[j->b->type](j->sums, j->b->d_gates, j->b->l->total, j->b->width,
                                   begin, end);
}

static bool bias_grads(RnnBlocks *blocks, const Backward *b) {
  const LpRnnLayer *l = b->l;
  if (!b->g->b_ih && !b->g->b_hh) return true;
  const int64_t h = l->hidden, gates = lp_rnn_gates(l->kind) * h;
  SumJob job = {b, lp_rnn_block(blocks, (size_t)b->width * b->item)};
  TRY(job.sums);
  memset(job.sums, 0, (size_t)b->width * b->item);
  lp_parallel_for(b->width, LP_GRAIN / (l->total + 1) + 64, sum_range, &job);
  void *both[2] = {b->g->b_ih, b->g->b_hh};
  for (int i = 0; i < 2; i++) {
    if (!both[i]) continue;
    const bool gru = l->kind == LP_RNN_GRU;
    memcpy(both[i], rnn_at(job.sums, gru ? h : 0, b->item), (size_t)gates * b->item);
    if (gru && i == 0)
      memcpy(rnn_at(both[i], 2 * h, b->item), job.sums, (size_t)h * b->item);
  }
  return true;
}

static bool prepare(RnnBlocks *blocks, Backward *b) {
  const LpRnnLayer *l = b->l;
  const int64_t h = l->hidden, out = l->outputs;
  const size_t h_bytes = (size_t)(l->batch * out) * b->item,
               c_bytes = (size_t)(l->batch * h) * b->item;
  if (b->g->h_last)
    memcpy(b->g->h0, b->g->h_last, h_bytes);
  else
    memset(b->g->h0, 0, h_bytes);
  if (l->cells && b->g->c_last)
    memcpy(b->g->c0, b->g->c_last, c_bytes);
  else if (l->cells)
    memset(b->g->c0, 0, c_bytes);
  TRY(b->d_gates = lp_rnn_block(blocks, (size_t)(l->total * b->width) * b->item));
  TRY(lp_rnn_pack(blocks, &b->recurrent, b->type, 2, lp_rnn_gates(l->kind) * h, out, 0,
                  l->w_hh, out, 1));
  if (!l->w_hr) return true;
  TRY(b->d_out = lp_rnn_block(blocks, (size_t)(l->total * out) * b->item));
  TRY(b->raw = lp_rnn_block(blocks, (size_t)(l->total * h) * b->item));
  TRY(b->d_raw = lp_rnn_block(blocks, c_bytes));
  return lp_rnn_pack(blocks, &b->projection, b->type, 2, out, h, 0, l->w_hr, h, 1);
}

bool lp_rnn_backward(const LpRnnLayer *l, const LpRnnGrads *g) {
  Backward b = {.l = l, .g = g, .k = lp_rnn_kernels(), .type = l->dtype == LP_FLOAT64};
  b.item = lp_dtype_size(l->dtype);
  b.width = lp_rnn_width(l->kind) * l->hidden;
  RnnBlocks blocks = {0};
  bool ok = prepare(&blocks, &b) && through_time(&b) && input_grads(&b) &&
            bias_grads(&blocks, &b);
  if (ok && g->w_hh) {
    const char *before = states_before(&blocks, &b);
    ok = before &&
         weight_grad(&b, l->kind == LP_RNN_GRU ? l->hidden : 0,
                     lp_rnn_gates(l->kind) * l->hidden, before, l->outputs, g->w_hh);
  }
  if (ok && g->w_hr)
    ok = lp_rnn_gemm(l->dtype, true, false, l->outputs, l->hidden, l->total, b.d_out,
                     l->outputs, b.raw, l->hidden, g->w_hr, l->hidden, false);
  lp_rnn_free(&blocks);
  return ok;
}
