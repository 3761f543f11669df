/* The forward pass of a recurrent layer; see cpu/rnn.h. */
#include "cpu/rnn.h"

#include <string.h>
#include "cpu/rnn_parts.h"

/* --- shared with the backward pass
 * ------------------------------------------------------ */

void *lp_rnn_block(RnnBlocks *b, size_t bytes) {
  ASSERT(b->count < RNN_BLOCKS);
  void *data = lp_block_alloc(bytes ? bytes : 1, &b->capacity[b->count]);
  if (data) b->data[b->count++] = data;
  return data;
}

void lp_rnn_free(RnnBlocks *b) {
  for (int i = 0; i < b->count; i++) lp_block_free(b->data[i], b->capacity[i]);
  b->count = 0;
}

RnnStep lp_rnn_step(const LpRnnLayer *l, int64_t s) {
  const int64_t t = l->reverse ? l->steps - 1 - s : s;
  RnnStep step = {.t = t, .rows = l->batch_sizes[t], .first = l->offsets[t]};
  if (s > 0) {
    const int64_t before = l->reverse ? t + 1 : t - 1;
    step.before = l->offsets[before];
    step.continued = l->reverse ? l->batch_sizes[before] : step.rows;
  }
  return step;
}

typedef struct PackJob {
  const LpRnnPanels *to;
  const void *source;
  int64_t row_step, column_step;
  int type;
} PackJob;

static void pack_range(void *ctx, int64_t begin, int64_t end) {
  const PackJob *j = ctx;
  for (int64_t p = begin; p < end; p++)
    lp_rnn_kernels()->pack[j->type](j->to, p, j->source, j->row_step, j->column_step);
}

bool lp_rnn_pack(RnnBlocks *blocks, LpRnnPanels *p, int type, int vectors, int64_t k,
                 int64_t columns, int64_t apart, const void *source, int64_t row_step,
                 int64_t column_step) {
  const int64_t lanes = lp_rnn_kernels()->lanes[type];
  *p = (LpRnnPanels){.k = k, .columns = columns, .apart = apart, .vectors = vectors};
  p->units = apart ? lanes : lanes * vectors;
  p->count = (columns + p->units - 1) / p->units;
  const int64_t panel = k * vectors * lanes;
  p->data = lp_rnn_block(blocks, (size_t)(p->count * panel) * (type ? 8 : 4));
  TRY(p->data);
  PackJob job = {p, source, row_step, column_step, type};
  lp_parallel_for(p->count, LP_GRAIN / (panel + 1) + 1, pack_range, &job);
  return true;
}

/* Multiply-adds that make a second thread worth its start. */
#define STEP_GRAIN (512 * 1024)

void lp_rnn_over(const LpRnnPanels *p, int64_t rows,
                 void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx) {
  const int64_t work = rows * p->k * p->units * (p->apart ? p->vectors : 1);
  lp_parallel_for(p->count, STEP_GRAIN / (work + 1) + 1, body, ctx);
}

bool lp_rnn_gemm(LpDtype dtype, bool trans_a, bool trans_b, int64_t m, int64_t n,
                 int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb,
                 void *c, int64_t ldc, bool add) {
  const LpGemm g = {.dtype = dtype,
                    .m = m,
                    .n = n,
                    .k = k,
                    .trans_a = trans_a,
                    .trans_b = trans_b,
                    .a = a,
                    .b = b,
                    .c = c,
                    .lda = lda,
                    .ldb = ldb,
                    .ldc = ldc,
                    .alpha = lp_scalar_float(1),
                    .beta = lp_scalar_float(add)};
  return lp_cpu_gemm(&g);
}

/* --- forward
 * ---------------------------------------------------------------------------- */

/* With fewer steps a packed copy of R does not pay. */
#define PACKED_STEPS 3

typedef struct Forward {
  const LpRnnLayer *l;
  const LpRnnKernels *k;
  int type;
  size_t item;
  bool packed;
  int64_t width; /* of a row of gates, in elements */
  LpRnnPanels recurrent, projection;
  void *bias, *raw; /* (width); o tanh(c') of a step before its projection */
  RnnStep step;
} Forward;

/* The biases in the order of Note [Gates in memory]. */
static void *make_bias(RnnBlocks *blocks, Forward *f) {
  const LpRnnLayer *l = f->l;
  const int64_t h = l->hidden, gates = lp_rnn_gates(l->kind) * h;
  char *bias = lp_rnn_block(blocks, (size_t)f->width * f->item);
  TRY(bias);
  memset(bias, 0, (size_t)f->width * f->item);
  const bool gru = l->kind == LP_RNN_GRU;
  const void *both[2] = {l->b_ih, l->b_hh};
  for (int i = 0; i < 2; i++) {
    if (!both[i]) continue;
    char *to = bias + (gru ? (size_t)h * f->item : 0);
    const int64_t shared = gru ? 2 * h : gates;
    f->k->add[f->type](to, to, both[i], shared);
    if (gru)
      memcpy(rnn_at(bias, i ? 3 * h : 0, f->item), rnn_at(both[i], 2 * h, f->item),
             (size_t)h * f->item);
  }
  return bias;
}

/* gates = x W^T over all rows. */
static bool project_input(const Forward *f) {
  const LpRnnLayer *l = f->l;
  const int64_t h = l->hidden, in = l->inputs;
  if (l->kind != LP_RNN_GRU)
    return lp_rnn_gemm(l->dtype, false, true, l->total, f->width, in, l->x, in, l->w_ih,
                       in, l->gates, f->width, false);
  return lp_rnn_gemm(l->dtype, false, true, l->total, 2 * h, in, l->x, in, l->w_ih, in,
                     rnn_at(l->gates, h, f->item), f->width, false) &&
         lp_rnn_gemm(l->dtype, false, true, l->total, h, in, l->x, in,
                     rnn_at(l->w_ih, 2 * h * in, f->item), in, l->gates, f->width, false);
}

/* The rows' gates += h R^T, unpacked. */
static bool recur_unpacked(const Forward *f, int64_t row, int64_t rows, const void *h) {
  const LpRnnLayer *l = f->l;
  const bool gru = l->kind == LP_RNN_GRU;
  const int64_t hidden = l->hidden, out = l->outputs;
  char *gates =
      rnn_at(l->gates, (f->step.first + row) * f->width + (gru ? hidden : 0), f->item);
  const int64_t added = gru ? 2 * hidden : f->width;
  return lp_rnn_gemm(l->dtype, false, true, rows, added, out, h, out, l->w_hh, out, gates,
                     f->width, true) &&
         (!gru || lp_rnn_gemm(l->dtype, false, true, rows, hidden, out, h, out,
                              rnn_at(l->w_hh, 2 * hidden * out, f->item), out,
                              rnn_at(gates, 2 * hidden, f->item), f->width, false));
}

/* A range of panels of the recurrent product, then the step for their units. */
static void step_units(void *ctx, int64_t begin, int64_t end) {
  const Forward *f = ctx;
  const LpRnnLayer *l = f->l;
  const RnnStep *s = &f->step;
  const int64_t h = l->hidden, out = l->outputs;
  const bool gru = l->kind == LP_RNN_GRU;
  char *gates = rnn_at(l->gates, s->first * f->width, f->item);
  for (int64_t p = begin; f->packed && p < end; p++) {
    char *to = rnn_at(gates, gru ? h : 0, f->item);
    const unsigned add = gru ? 3 : 15;
    f->k->product[f->type](&f->recurrent, p, rnn_at(l->out, s->before * out, f->item),
                           out, s->continued, to, f->width, add);
    f->k->product[f->type](&f->recurrent, p, rnn_at(l->h0, s->continued * out, f->item),
                           out, s->rows - s->continued,
                           rnn_at(to, s->continued * f->width, f->item), f->width, add);
  }
  const int64_t first = begin * f->recurrent.units, units = end * f->recurrent.units;
  for (int64_t r = 0; r < s->rows; r++) {
    LpRnnRow row = {.bias = f->bias, .gates = rnn_at(gates, r * f->width, f->item)};
    row.h = l->w_hr ? rnn_at(f->raw, r * h, f->item)
                    : rnn_at(l->out, (s->first + r) * out, f->item);
    row.h_before = rnn_before(s, l->out, l->h0, r, out, f->item);
    if (l->cells) {
      row.c = rnn_at(l->cells, (s->first + r) * h, f->item);
      row.c_before = rnn_before(s, l->cells, l->c0, r, h, f->item);
    }
    f->k->forward[l->kind][f->type](&row, h, first, units < h ? units : h);
  }
}

static void step_projection(void *ctx, int64_t begin, int64_t end) {
  const Forward *f = ctx;
  const LpRnnLayer *l = f->l;
  for (int64_t p = begin; p < end; p++)
    f->k->product[f->type](&f->projection, p, f->raw, l->hidden, f->step.rows,
                           rnn_at(l->out, f->step.first * l->outputs, f->item),
                           l->outputs, 0);
}

static bool run_step(Forward *f) {
  const LpRnnLayer *l = f->l;
  const RnnStep *s = &f->step;
  if (!f->packed) {
    const int64_t out = l->outputs, others = s->rows - s->continued;
    if (s->continued)
      TRY(recur_unpacked(f, 0, s->continued, rnn_at(l->out, s->before * out, f->item)));
    if (others)
      TRY(recur_unpacked(f, s->continued, others,
                         rnn_at(l->h0, s->continued * out, f->item)));
  }
  lp_rnn_over(&f->recurrent, s->rows, step_units, f);
  if (!l->w_hr) return true;
  if (f->packed) {
    lp_rnn_over(&f->projection, s->rows, step_projection, f);
    return true;
  }
  return lp_rnn_gemm(l->dtype, false, true, s->rows, l->outputs, l->hidden, f->raw,
                     l->hidden, l->w_hr, l->hidden,
                     rnn_at(l->out, s->first * l->outputs, f->item), l->outputs, false);
}

static bool prepare(RnnBlocks *blocks, Forward *f) {
  const LpRnnLayer *l = f->l;
  const int64_t h = l->hidden, out = l->outputs;
  const int vectors = l->kind == LP_RNN_LSTM ? 4 : l->kind == LP_RNN_GRU ? 3 : 2;
  TRY(f->bias = make_bias(blocks, f));
  if (l->w_hr) {
    TRY(f->raw = lp_rnn_block(blocks, (size_t)(l->batch * h) * f->item));
  }
  if (!f->packed) { /* the units alone are split over threads */
    f->recurrent.units = 64;
    f->recurrent.count = (h + 63) / 64;
    f->recurrent.k = 16;
    return true;
  }
  return lp_rnn_pack(blocks, &f->recurrent, f->type, vectors, out, h, vectors > 2 ? h : 0,
                     l->w_hh, 1, out) &&
         (!l->w_hr ||
          lp_rnn_pack(blocks, &f->projection, f->type, 2, h, out, 0, l->w_hr, 1, h));
}

/* The states after the last step of each sequence. */
static void last_states(const LpRnnLayer *l, const void *rows, int64_t width, size_t item,
                        void *last) {
  for (int64_t t = 0; t < l->steps; t++) {
    /* Forward, a sequence ends where the next step lacks it; reversed, all at step 0. */
    const int64_t next = !l->reverse && t + 1 < l->steps ? l->batch_sizes[t + 1] : 0;
    memcpy(rnn_at(last, next * width, item),
           rnn_at(rows, (l->offsets[t] + next) * width, item),
           (size_t)((l->batch_sizes[t] - next) * width) * item);
    if (l->reverse) break;
  }
}

bool lp_rnn_forward(const LpRnnLayer *l, void *h_last, void *c_last) {
  Forward f = {.l = l, .k = lp_rnn_kernels(), .type = l->dtype == LP_FLOAT64};
  f.item = lp_dtype_size(l->dtype);
  f.width = lp_rnn_width(l->kind) * l->hidden;
  f.packed = l->steps >= PACKED_STEPS;
  RnnBlocks blocks = {0};
  bool ok = project_input(&f) && prepare(&blocks, &f);
  for (int64_t s = 0; ok && s < l->steps; s++) {
    f.step = lp_rnn_step(l, s);
    ok = run_step(&f);
    if (ok && lp_interrupt_pending())
      ok = lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  }
  lp_rnn_free(&blocks);
  TRY(ok);
  last_states(l, l->out, l->outputs, f.item, h_last);
  if (c_last) last_states(l, l->cells, l->hidden, f.item, c_last);
  return true;
}
