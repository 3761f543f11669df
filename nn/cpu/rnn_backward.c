/* The backward pass of a recurrent layer; see cpu/rnn.h. Backward through time only the
 * derivatives of the gates are made, a step at a time; the gradients of x and of all
 * weights are products over all rows afterwards. */
#include <string.h>
#include "cpu/rnn.h"
#include "cpu/rnn_parts.h"
#include "cpu/rnn_split.h"

typedef struct Backward {
  const LpRnnLayer *l;
  const LpRnnGrads *g;
  const LpRnnKernels *k;
  RnnBlocks *blocks;
  int type;
  size_t item;
  int64_t width;
  bool packed, tiles;                /* R and P by panels; or, better, by tiles */
  LpRnnPanels recurrent, projection; /* R and P as they stand */
  RnnSplit recurrent_tiles, projection_tiles;
  char *d_gates;     /* (total, width) */
  void *factor;      /* the same of x's dtype, for products over all rows */
  char *d_out;       /* with a projection: of h', all rows (total, P) */
  char *d_raw, *raw; /* of one step (batch, H); all rows (total, H) */
  RnnStep step;
  int64_t later, later_first; /* rows, and the first one, of the step done before */
} Backward;

/* The first column of d_gates by which h reaches them: a GRU's n comes before. */
static int64_t h_column(const Backward *b) {
  return b->l->kind == LP_RNN_GRU ? b->l->hidden : 0;
}

static int64_t panel_units(const Backward *b, const LpRnnPanels *p) {
  return b->tiles ? RNN_SPLIT_UNITS : p->units;
}

/* dh = [what the step passed on +] d_gates R, for panels of the units. */
static void pass_on(const Backward *b, int64_t begin, int64_t end) {
  const LpRnnLayer *l = b->l;
  const unsigned add = l->kind == LP_RNN_GRU ? 3 : 0;
  if (!b->later || !b->packed) return;
  if (b->tiles) {
    lp_rnn_split_product(&b->recurrent_tiles, begin, end, b->later, b->g->h0, l->outputs,
                         add);
    return;
  }
  const char *d = rnn_at(b->d_gates, b->later_first * b->width + h_column(b), b->item);
  for (int64_t p = begin; p < end; p++)
    b->k->product[b->type](&b->recurrent, p, d, b->width, b->later, b->g->h0, l->outputs,
                           add);
}

/* The same as one product. */
static bool pass_on_unpacked(const Backward *b) {
  const LpRnnLayer *l = b->l;
  const bool gru = l->kind == LP_RNN_GRU;
  if (!b->later) return true;
  return lp_rnn_state_gemm(
      l, false, b->later, l->outputs, lp_rnn_gates(l->kind) * l->hidden,
      rnn_at(b->d_gates, b->later_first * b->width + h_column(b), b->item), b->width,
      l->w_hh, l->outputs, b->g->h0, l->outputs, gru);
}

/* Units [from, to) of the step, and their part of the next product's operand. */
static void units_of_step(Backward *b, int64_t from, int64_t to) {
  const LpRnnLayer *l = b->l;
  const RnnStep *s = &b->step;
  const int64_t h = l->hidden, out = l->outputs;
  LpRnnRow rows[ROWS_AT_ONCE];
  for (int64_t r = 0, count = 0; r < s->rows; r++) {
    const int64_t at = s->first + r;
    LpRnnRow *row = &rows[count++];
    *row = (LpRnnRow){.gates = rnn_at(l->gates, at * b->width, b->item),
                      .d_gates = rnn_at(b->d_gates, at * b->width, b->item),
                      .h = rnn_at(l->out, at * out, b->item),
                      .h_before = rnn_before(s, l->out, l->h0, r, out, b->item)};
    if (l->w_hr) {
      row->dh = rnn_at(b->d_raw, r * h, b->item);
      row->raw = rnn_at(b->raw, at * h, b->item);
    } else {
      row->dh = rnn_at(b->g->h0, r * h, b->item);
      if (b->g->out) row->d_out = rnn_at(b->g->out, at * h, b->item);
    }
    if (l->cells) {
      row->c = rnn_at(l->cells, at * h, b->item);
      row->c_before = rnn_before(s, l->cells, l->c0, r, h, b->item);
      row->dc = rnn_at(b->g->c0, r * h, b->item);
    }
    if (count < ROWS_AT_ONCE && r + 1 < s->rows) continue;
    b->k->backward[l->kind][b->type](rows, count, h, from, to);
    count = 0;
  }
  if (!b->tiles) return;
  RnnSplit *tiles = &b->recurrent_tiles;
  for (int64_t v = 0; v < lp_rnn_gates(l->kind); v++) {
    const char *d =
        rnn_at(b->d_gates, s->first * b->width + h_column(b) + v * h, b->item);
    lp_rnn_split_fill(tiles, !tiles->turn, v, (const float *)d, b->width, s->rows, from,
                      to);
  }
}

/* What the step after passes on to these units, then this step: one region of threads for
 * each step. */
static void step_range(void *ctx, int64_t begin, int64_t end) {
  Backward *b = ctx;
  const int64_t units = panel_units(b, &b->recurrent), last = end * units,
                h = b->l->hidden;
  pass_on(b, begin, end);
  units_of_step(b, begin * units, last < h ? last : h);
}

/* With a projection: first h' ... */
static void output_range(void *ctx, int64_t begin, int64_t end) {
  Backward *b = ctx;
  const int64_t out = b->l->outputs, units = panel_units(b, &b->recurrent);
  const int64_t from = begin * units, to = end * units < out ? end * units : out;
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
  if (b->tiles)
    lp_rnn_split_fill(&b->projection_tiles, 0, 0,
                      (const float *)b->d_out + b->step.first * out, out, b->step.rows,
                      from, to);
}

/* ... then what lies before the projection. */
static void projected_range(void *ctx, int64_t begin, int64_t end) {
  Backward *b = ctx;
  const LpRnnLayer *l = b->l;
  const int64_t h = l->hidden, rows = b->step.rows;
  if (b->tiles)
    lp_rnn_split_product(&b->projection_tiles, begin, end, rows, (float *)b->d_raw, h, 0);
  const char *d = rnn_at(b->d_out, b->step.first * l->outputs, b->item);
  for (int64_t p = begin; b->packed && !b->tiles && p < end; p++)
    b->k->product[b->type](&b->projection, p, d, l->outputs, rows, b->d_raw, h, 0);
  const int64_t units = panel_units(b, &b->projection), last = end * units;
  units_of_step(b, begin * units, last < h ? last : h);
}

static void pass_on_range(void *ctx, int64_t begin, int64_t end) {
  pass_on(ctx, begin, end);
}

static bool pack_panels(Backward *b) {
  const LpRnnLayer *l = b->l;
  const int64_t h = l->hidden, out = l->outputs;
  return lp_rnn_pack(b->blocks, &b->recurrent, b->type, 2, lp_rnn_gates(l->kind) * h, out,
                     0, l->w_hh, out, 1, NULL) &&
         (!l->w_hr || lp_rnn_pack(b->blocks, &b->projection, b->type, 2, out, h, 0,
                                  l->w_hr, h, 1, NULL));
}

static bool pack_tiles(Backward *b) {
  const LpRnnLayer *l = b->l;
  RnnSplit *r = &b->recurrent_tiles, *p = &b->projection_tiles;
  const bool halves = l->of_state == LP_BFLOAT16;
  *r = (RnnSplit){.halves = halves,
                  .segments = lp_rnn_gates(l->kind),
                  .k = l->hidden,
                  .gates = 1,
                  .columns = l->outputs};
  TRY(lp_rnn_split_open(b->blocks, r, l->batch, l->w_hh, l->outputs, 1, NULL));
  if (!l->w_hr) return true;
  *p = (RnnSplit){
      .halves = halves, .segments = 1, .k = l->outputs, .gates = 1, .columns = l->hidden};
  return lp_rnn_split_open(b->blocks, p, l->batch, l->w_hr, l->hidden, 1, NULL);
}

/* Runs body over panels of R or P; from tiles to panels once an infinity or a NaN has
 * come up. */
static bool over(Backward *b, bool projection, int64_t rows,
                 void (*body)(void *ctx, int64_t begin, int64_t end)) {
  if (b->tiles && (atomic_load(&b->recurrent_tiles.refused) ||
                   atomic_load(&b->projection_tiles.refused))) {
    b->tiles = false;
    TRY(pack_panels(b));
  }
  if (b->tiles)
    lp_rnn_split_over(projection ? &b->projection_tiles : &b->recurrent_tiles, rows, body,
                      b);
  else
    lp_rnn_over(projection ? &b->projection : &b->recurrent, rows, body, b);
  return true;
}

static bool run_step(Backward *b) {
  const LpRnnLayer *l = b->l;
  const int64_t rows = b->step.rows, out = l->outputs;
  if (!b->packed) TRY(pass_on_unpacked(b));
  if (!l->w_hr) return over(b, false, rows, step_range);
  TRY(over(b, false, rows, output_range));
  if (!b->packed)
    TRY(lp_rnn_state_gemm(l, false, rows, l->hidden, out,
                          rnn_at(b->d_out, b->step.first * out, b->item), out, l->w_hr,
                          l->hidden, b->d_raw, l->hidden, false));
  return over(b, true, rows, projected_range);
}

/* The gradients of the last states are what the loop begins with. */
static void begin_states(const Backward *b) {
  const LpRnnLayer *l = b->l;
  const size_t h_bytes = (size_t)(l->batch * l->outputs) * b->item,
               c_bytes = (size_t)(l->batch * l->hidden) * b->item;
  if (b->g->h_last)
    memcpy(b->g->h0, b->g->h_last, h_bytes);
  else
    memset(b->g->h0, 0, h_bytes);
  if (l->cells && b->g->c_last)
    memcpy(b->g->c0, b->g->c_last, c_bytes);
  else if (l->cells)
    memset(b->g->c0, 0, c_bytes);
}

typedef struct ByRows {
  const Backward *b;
  _Atomic bool refused, stopped;
} ByRows;

/* All steps for some rows, on one thread. */
static void rows_range(void *ctx, int64_t begin, int64_t end) {
  ByRows *j = ctx;
  const int64_t from = begin * LP_SPLIT_SIDE, to = end * LP_SPLIT_SIDE;
  LpRnnLayer l = *j->b->l;
  LpRnnGrads g = *j->b->g;
  Backward b = {.l = &l,
                .g = &g,
                .k = j->b->k,
                .type = j->b->type,
                .item = j->b->item,
                .width = j->b->width,
                .packed = true,
                .tiles = true,
                .recurrent_tiles = lp_rnn_split_from(&j->b->recurrent_tiles, from),
                .d_gates = j->b->d_gates,
                .d_out = j->b->d_out,
                .raw = j->b->raw};
  l.h0 = rnn_at(l.h0, from * l.outputs, b.item);
  g.h0 = rnn_at(g.h0, from * l.outputs, b.item);
  if (l.cells) {
    l.c0 = rnn_at(l.c0, from * l.hidden, b.item);
    g.c0 = rnn_at(g.c0, from * l.hidden, b.item);
  }
  if (l.w_hr) {
    b.projection_tiles = lp_rnn_split_from(&j->b->projection_tiles, from);
    b.d_raw = rnn_at(j->b->d_raw, from * l.hidden, b.item);
  }
  const int64_t panels = b.recurrent_tiles.panels;
  for (int64_t s = l.steps - 1; s >= 0; s--) {
    b.step = lp_rnn_step_part(lp_rnn_step(&l, s), from, to);
    if (!b.step.rows) continue;
    if (l.w_hr) {
      output_range(&b, 0, panels);
      projected_range(&b, 0, b.projection_tiles.panels);
    } else {
      step_range(&b, 0, panels);
    }
    b.recurrent_tiles.turn ^= 1;
    b.later = b.step.rows;
    b.later_first = b.step.first;
    if (atomic_load(&b.recurrent_tiles.refused) ||
        atomic_load(&b.projection_tiles.refused))
      atomic_store(&j->refused, true);
    if (lp_interrupt_pending()) atomic_store(&j->stopped, true);
    if (atomic_load(&j->refused) || atomic_load(&j->stopped)) return;
  }
  pass_on(&b, 0, panels);
}

static bool through_time(Backward *b) {
  begin_states(b);
  if (b->tiles && lp_rnn_split_by_rows(&b->recurrent_tiles, b->l->batch, b->l->steps)) {
    ByRows job = {.b = b};
    lp_rnn_split_rows(b->l->batch, rows_range, &job);
    if (atomic_load(&job.stopped))
      return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
    if (!atomic_load(&job.refused)) return true;
    b->tiles = false; /* all of it again, another way */
    begin_states(b);
    TRY(pack_panels(b));
  }
  for (int64_t s = b->l->steps - 1; s >= 0; s--) {
    b->step = lp_rnn_step(b->l, s);
    TRY(run_step(b));
    b->recurrent_tiles.turn ^= 1;
    b->later = b->step.rows;
    b->later_first = b->step.first;
    if (lp_interrupt_pending())
      return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  }
  return b->packed ? over(b, false, b->later, pass_on_range) : pass_on_unpacked(b);
}

/* to = from, of x's dtype. */
static void copy_rows(const LpRnnLayer *l, void *to, const void *from, int64_t rows) {
  if (l->of_input == LP_BFLOAT16)
    lp_rnn_round(to, from, l->outputs, rows, l->outputs);
  else
    memcpy(to, from, (size_t)(rows * l->outputs) * lp_dtype_size(l->dtype));
}

/* The states before each row, row by row: the other factor of R's gradient. */
static char *states_before(RnnBlocks *blocks, const Backward *b) {
  const LpRnnLayer *l = b->l;
  const int64_t out = l->outputs;
  const size_t item = lp_dtype_size(l->of_input);
  char *all = lp_rnn_block(blocks, (size_t)(l->total * out) * item);
  TRY(all);
  for (int64_t s = 0; s < l->steps; s++) {
    const RnnStep step = lp_rnn_step(l, s);
    char *to = rnn_at(all, step.first * out, item);
    copy_rows(l, to, rnn_at(l->out, step.before * out, b->item), step.continued);
    copy_rows(l, rnn_at(to, step.continued * out, item),
              rnn_at(l->h0, step.continued * out, b->item), step.rows - step.continued);
  }
  return all;
}

/* d^T source, rows of a weight's gradient for columns of d_gates from one on. */
static bool weight_grad(const Backward *b, int64_t column, int64_t rows,
                        const void *source, int64_t columns, void *to) {
  const LpDtype dtype = b->l->of_input;
  return lp_rnn_gemm(dtype, true, false, rows, columns, b->l->total,
                     rnn_at(b->factor, column, lp_dtype_size(dtype)), b->width, source,
                     columns, to, columns, false);
}

/* The gradients of both weights, when they are products of the same d_gates: *done. */
static bool both_weight_grads(const Backward *b, const char *before, bool *done) {
  const LpRnnLayer *l = b->l;
  *done = false;
  if (l->kind == LP_RNN_GRU || l->inputs % 64 != 0) return true;
  const LpGemm g = {.dtype = l->of_input,
                    .m = b->width,
                    .n = l->inputs,
                    .k = l->total,
                    .trans_a = true,
                    .a = b->d_gates,
                    .b = l->x,
                    .c = b->g->w_ih,
                    .lda = b->width,
                    .ldb = l->inputs,
                    .ldc = l->inputs,
                    .alpha = lp_scalar_float(1),
                    .beta = lp_scalar_float(0)};
  const LpSplitMore more = {.b = (const float *)before,
                            .c = b->g->w_hh,
                            .ldb = l->outputs,
                            .ldc = l->outputs,
                            .n = l->outputs};
  return lp_rnn_split_gemm(&g, &more, done);
}

static bool w_ih_grad(RnnBlocks *blocks, const Backward *b) {
  const LpRnnLayer *l = b->l;
  const int64_t h = l->hidden, in = l->inputs, gates = lp_rnn_gates(l->kind) * h;
  char *to = b->g->w_ih;
  if (l->kind != LP_RNN_GRU) return weight_grad(b, 0, gates, l->x, in, to);
  if (l->total < GATHERED_ROWS) /* r and z, then n */
    return weight_grad(b, h, 2 * h, l->x, in, to) &&
           weight_grad(b, 0, h, l->x, in, rnn_at(to, 2 * h * in, b->item));
  char *turned = lp_rnn_block(blocks, (size_t)(gates * in) * b->item); /* n, r, z */
  TRY(turned && weight_grad(b, 0, gates, l->x, in, turned));
  memcpy(rnn_at(to, 2 * h * in, b->item), turned, (size_t)(h * in) * b->item);
  memcpy(to, rnn_at(turned, h * in, b->item), (size_t)(2 * h * in) * b->item);
  return true;
}

static bool x_grad(RnnBlocks *blocks, const Backward *b) {
  const LpRnnLayer *l = b->l;
  const int64_t h = l->hidden, in = l->inputs, gates = lp_rnn_gates(l->kind) * h;
  const LpDtype dtype = l->of_input;
  const size_t item = lp_dtype_size(dtype);
  if (l->kind == LP_RNN_GRU && l->total < GATHERED_ROWS) /* r and z, then n */
    return lp_rnn_gemm(dtype, false, false, l->total, in, 2 * h,
                       rnn_at(b->factor, h, item), b->width, l->w_ih, in, b->g->x, in,
                       false) &&
           lp_rnn_gemm(dtype, false, false, l->total, in, h, b->factor, b->width,
                       rnn_at(l->w_ih, 2 * h * in, item), in, b->g->x, in, true);
  const void *w = lp_rnn_by_gates(blocks, l, l->w_ih);
  return w && lp_rnn_gemm(dtype, false, false, l->total, in, gates, b->factor, b->width,
                          w, in, b->g->x, in, false);
}

/* Of x and the weights. */
static bool products(RnnBlocks *blocks, Backward *b) {
  const LpRnnLayer *l = b->l;
  const LpRnnGrads *g = b->g;
  const int64_t h = l->hidden, out = l->outputs, gates = lp_rnn_gates(l->kind) * h;
  b->factor = b->d_gates;
  if (l->of_input != l->dtype && (g->x || g->w_ih || g->w_hh)) {
    b->factor = lp_rnn_block(blocks, (size_t)(l->total * b->width) * sizeof(uint16_t));
    TRY(b->factor);
    lp_rnn_round(b->factor, (const float *)b->d_gates, b->width, l->total, b->width);
  }
  if (g->x) TRY(x_grad(blocks, b));
  const char *before = g->w_hh ? states_before(blocks, b) : NULL;
  TRY(before || !g->w_hh);
  bool done = false;
  if (g->w_ih && g->w_hh) TRY(both_weight_grads(b, before, &done));
  if (g->w_ih && !done) TRY(w_ih_grad(blocks, b));
  if (g->w_hh && !done) TRY(weight_grad(b, h_column(b), gates, before, out, g->w_hh));
  return !g->w_hr || lp_rnn_gemm(l->dtype, true, false, out, h, l->total, b->d_out, out,
                                 b->raw, h, g->w_hr, h, false);
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
  TRY(b->d_gates = lp_rnn_block(blocks, (size_t)(l->total * b->width) * b->item));
  if (l->w_hr) {
    TRY(b->d_out = lp_rnn_block(blocks, (size_t)(l->total * out) * b->item));
    TRY(b->raw = lp_rnn_block(blocks, (size_t)(l->total * h) * b->item));
    TRY(b->d_raw = lp_rnn_block(blocks, (size_t)(l->batch * h) * b->item));
  }
  b->packed = l->steps >= PACKED_STEPS;
  if (!b->packed) { /* the units alone are split over threads */
    b->recurrent = lp_rnn_plain_panels(out);
    b->projection = lp_rnn_plain_panels(h);
    return true;
  }
  b->tiles = lp_rnn_split_pays(l->of_state, l->batch, lp_rnn_gates(l->kind) * h, out);
  return b->tiles ? pack_tiles(b) : pack_panels(b);
}

bool lp_rnn_backward(const LpRnnLayer *l, const LpRnnGrads *g) {
  Backward b = {.l = l, .g = g, .k = lp_rnn_kernels(), .type = l->dtype == LP_FLOAT64};
  b.item = lp_dtype_size(l->dtype);
  b.width = lp_rnn_width(l->kind) * l->hidden;
  RnnBlocks blocks = {0};
  b.blocks = &blocks;
  const bool ok = prepare(&blocks, &b) && through_time(&b) && products(&blocks, &b) &&
                  bias_grads(&blocks, &b);
  lp_rnn_free(&blocks);
  return ok;
}
