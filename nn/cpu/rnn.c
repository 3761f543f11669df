/* The forward pass of a recurrent layer; see cpu/rnn.h. */
#include "cpu/rnn.h"

#include <string.h>
#include "cpu/rnn_parts.h"
#include "cpu/rnn_split.h"
#include "dispatch/iter.h"

/* --- shared with the backward pass --- */

void *lp_rnn_block(RnnBlocks *b, size_t bytes) {
  ASSERT(b->count < RNN_BLOCKS);
  void *data = lp_block_alloc(bytes ? bytes : 1, &b->capacity[b->count]);
  if (data) b->data[b->count++] = data;
  return data;
}

void *lp_rnn_packed(RnnBlocks *b, const LpTensor *keep, const void *key, size_t key_bytes,
                    size_t bytes, LpPack pack, void *ctx) {
  LpKept *kept = lp_kept_enter(keep, key, key_bytes, bytes, pack, ctx);
  if (kept) {
    ASSERT(b->kept_count < RNN_KEPT);
    b->kept[b->kept_count++] = kept;
    return lp_kept_memory(kept);
  }
  void *memory = lp_rnn_block(b, bytes);
  if (memory) pack(ctx, memory);
  return memory;
}

void lp_rnn_free(RnnBlocks *b) {
  for (int i = 0; i < b->kept_count; i++) lp_kept_leave(b->kept[i]);
  b->kept_count = 0;
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

static int64_t part_of(int64_t rows, int64_t from, int64_t to) {
  return rows <= from ? 0 : (rows < to ? rows : to) - from;
}

RnnStep lp_rnn_step_part(RnnStep step, int64_t from, int64_t to) {
  step.rows = part_of(step.rows, from, to);
  step.continued = part_of(step.continued, from, to);
  step.first += from;
  step.before += from;
  return step;
}

typedef struct PackJob {
  LpRnnPanels *to;
  const void *source;
  int64_t row_step, column_step;
  int type;
} PackJob;

static void pack_range(void *ctx, int64_t begin, int64_t end) {
  const PackJob *j = ctx;
  for (int64_t p = begin; p < end; p++)
    lp_rnn_kernels()->pack[j->type](j->to, p, j->source, j->row_step, j->column_step);
}

static bool pack_into(void *ctx, void *memory) {
  PackJob *j = ctx;
  LpRnnPanels *p = j->to;
  p->data = memory;
  lp_parallel_for(p->count, LP_GRAIN / (p->k * p->units + 1) + 1, pack_range, j);
  return true;
}

bool lp_rnn_pack(RnnBlocks *blocks, LpRnnPanels *p, int type, int vectors, int64_t k,
                 int64_t columns, int64_t apart, const void *source, int64_t row_step,
                 int64_t column_step, const LpTensor *keep) {
  const int64_t lanes = lp_rnn_kernels()->lanes[type];
  *p = (LpRnnPanels){.k = k, .columns = columns, .apart = apart, .vectors = vectors};
  p->units = apart ? lanes : lanes * vectors;
  p->count = (columns + p->units - 1) / p->units;
  const int64_t panel = k * vectors * lanes;
  const size_t bytes = (size_t)(p->count * panel) * (type ? 8 : 4);
  PackJob job = {p, source, row_step, column_step, type};
  const int64_t key[] = {LP_KEPT_RNN_PANELS, type,       vectors, k, columns, apart,
                         row_step,           column_step};
  p->data = lp_rnn_packed(blocks, keep, key, sizeof key, bytes, pack_into, &job);
  return p->data != NULL;
}

LpRnnPanels lp_rnn_plain_panels(int64_t columns) {
  return (LpRnnPanels){.k = 16,
                       .columns = columns,
                       .vectors = 1,
                       .units = 64,
                       .count = (columns + 63) / 64};
}

/* Multiply-adds that make a second thread worth its start. */
#define STEP_GRAIN (512 * 1024)

void lp_rnn_over(const LpRnnPanels *p, int64_t rows,
                 void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx) {
  const int64_t work = rows * p->k * p->units * (p->apart ? p->vectors : 1);
  lp_parallel_for(p->count, STEP_GRAIN / (work + 1) + 1, body, ctx);
}

static LpGemm product_of(LpDtype dtype, bool trans_a, bool trans_b, int64_t m, int64_t n,
                         int64_t k, const void *a, int64_t lda, const void *b,
                         int64_t ldb, void *c, int64_t ldc, bool add) {
  return (LpGemm){.dtype = dtype,
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
                  .beta = lp_scalar_float(add),
                  .wide = dtype == LP_BFLOAT16};
}

bool lp_rnn_gemm(LpDtype dtype, bool trans_a, bool trans_b, int64_t m, int64_t n,
                 int64_t k, const void *a, int64_t lda, const void *b, int64_t ldb,
                 void *c, int64_t ldc, bool add) {
  const LpGemm g =
      product_of(dtype, trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, add);
  bool done;
  TRY(lp_rnn_split_gemm(&g, NULL, &done));
  return done || lp_cpu_gemm(&g);
}

typedef struct RoundJob {
  uint16_t *to;
  const float *from;
  int64_t ld, columns;
} RoundJob;

static void round_range(void *ctx, int64_t begin, int64_t end) {
  const RoundJob *j = ctx;
  for (int64_t r = begin; r < end; r++)
    lp_cast_loop(LP_BFLOAT16, LP_FLOAT32)(
        (char *[]){(char *)(j->to + r * j->columns), (char *)(j->from + r * j->ld)},
        (int64_t[]){sizeof *j->to, sizeof *j->from}, j->columns, NULL);
}

void lp_rnn_round(uint16_t *to, const float *from, int64_t ld, int64_t rows,
                  int64_t columns) {
  RoundJob job = {to, from, ld, columns};
  lp_parallel_for(rows, LP_GRAIN / (columns + 1) + 1, round_range, &job);
}

bool lp_rnn_state_gemm(const LpRnnLayer *l, bool trans_b, int64_t m, int64_t n, int64_t k,
                       const void *a, int64_t lda, const void *b, int64_t ldb, void *c,
                       int64_t ldc, bool add) {
  if (l->of_state != LP_BFLOAT16)
    return lp_rnn_gemm(l->dtype, false, trans_b, m, n, k, a, lda, b, ldb, c, ldc, add);
  size_t capacity;
  uint16_t *halves = lp_block_alloc((size_t)(m * k) * sizeof *halves + 1, &capacity);
  TRY(halves);
  lp_rnn_round(halves, a, lda, m, k);
  const bool ok =
      lp_rnn_gemm(LP_BFLOAT16, false, trans_b, m, n, k, halves, k, b, ldb, c, ldc, add);
  lp_block_free(halves, capacity);
  return ok;
}

LpDtype lp_rnn_state_dtype(const LpRnnLayer *l) {
  const bool by_tiles = l->steps >= PACKED_STEPS &&
                        lp_rnn_split_pays(LP_FLOAT32, l->batch, l->outputs, l->hidden);
  return by_tiles ? LP_FLOAT32 : LP_BFLOAT16;
}

const void *lp_rnn_by_gates(RnnBlocks *blocks, const LpRnnLayer *l, const void *w) {
  if (l->kind != LP_RNN_GRU) return w;
  const size_t item = lp_dtype_size(l->of_input);
  const int64_t part = l->hidden * l->inputs;
  char *turned = lp_rnn_block(blocks, (size_t)(3 * part) * item);
  TRY(turned);
  memcpy(turned, rnn_at(w, 2 * part, item), (size_t)part * item);
  memcpy(rnn_at(turned, part, item), w, (size_t)(2 * part) * item);
  return turned;
}

/* --- forward --- */

typedef struct Forward {
  const LpRnnLayer *l;
  const LpRnnKernels *k;
  RnnBlocks *blocks;
  int type;
  size_t item;
  bool packed, tiles; /* R by panels; or, better, by tiles */
  int64_t width;      /* of a row of gates, in elements */
  LpRnnPanels recurrent, projection;
  RnnSplit recurrent_tiles, projection_tiles;
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

/* `rows` columns of gates from `to` on = x W^T, all rows of x, with these rows of W. */
static bool project(const Forward *f, const void *w, int64_t rows, int64_t to) {
  const LpRnnLayer *l = f->l;
  const int64_t in = l->inputs;
  void *c = rnn_at(l->gates, to, f->item);
  if (!l->keep_ih)
    return lp_rnn_gemm(l->of_input, false, true, l->total, rows, in, l->x, in, w, in, c,
                       f->width, false);
  const LpGemm g = product_of(l->of_input, false, true, l->total, rows, in, l->x, in, w,
                              in, c, f->width, false);
  return lp_cpu_gemm_keeping(&g, l->keep_ih);
}

/* gates = x W^T over all rows. */
static bool project_input(RnnBlocks *blocks, const Forward *f) {
  const LpRnnLayer *l = f->l;
  const int64_t h = l->hidden;
  if (l->kind == LP_RNN_GRU && (l->keep_ih || l->total < GATHERED_ROWS))
    return project(f, l->w_ih, 2 * h, h) && /* r and z, then n */
           project(f, rnn_at(l->w_ih, 2 * h * l->inputs, lp_dtype_size(l->of_input)), h,
                   0);
  const void *w = lp_rnn_by_gates(blocks, l, l->w_ih);
  return w && project(f, w, lp_rnn_gates(l->kind) * h, 0);
}

/* The rows' gates += h R^T, unpacked. */
static bool recur_unpacked(const Forward *f, int64_t row, int64_t rows, const void *h) {
  const LpRnnLayer *l = f->l;
  const bool gru = l->kind == LP_RNN_GRU;
  const int64_t hidden = l->hidden, out = l->outputs;
  char *gates =
      rnn_at(l->gates, (f->step.first + row) * f->width + (gru ? hidden : 0), f->item);
  const int64_t added = gru ? 2 * hidden : f->width;
  const void *w_n = rnn_at(l->w_hh, 2 * hidden * out, lp_dtype_size(l->of_state));
  return lp_rnn_state_gemm(l, true, rows, added, out, h, out, l->w_hh, out, gates,
                           f->width, true) &&
         (!gru || lp_rnn_state_gemm(l, true, rows, hidden, out, h, out, w_n, out,
                                    rnn_at(gates, 2 * hidden, f->item), f->width, false));
}

static void recur_panels(const Forward *f, int64_t begin, int64_t end, char *to) {
  const LpRnnLayer *l = f->l;
  const RnnStep *s = &f->step;
  const unsigned add = l->kind == LP_RNN_GRU ? 3 : 15;
  if (f->tiles) {
    lp_rnn_split_product(&f->recurrent_tiles, begin, end, s->rows, (float *)to, f->width,
                         add);
    return;
  }
  const int64_t out = l->outputs;
  const char *before = rnn_at(l->out, s->before * out, f->item),
             *initial = rnn_at(l->h0, s->continued * out, f->item);
  for (int64_t p = begin; f->packed && p < end; p++) {
    f->k->product[f->type](&f->recurrent, p, before, out, s->continued, to, f->width,
                           add);
    f->k->product[f->type](&f->recurrent, p, initial, out, s->rows - s->continued,
                           rnn_at(to, s->continued * f->width, f->item), f->width, add);
  }
}

/* A range of panels of the recurrent product, then the step for their units. */
static void step_units(void *ctx, int64_t begin, int64_t end) {
  Forward *f = ctx;
  const LpRnnLayer *l = f->l;
  const RnnStep *s = &f->step;
  const int64_t h = l->hidden, out = l->outputs;
  const int64_t panel = f->tiles ? RNN_SPLIT_UNITS : f->recurrent.units;
  const int64_t from = begin * panel, to = end * panel < h ? end * panel : h;
  char *gates = rnn_at(l->gates, s->first * f->width, f->item);
  char *h_rows = l->w_hr ? f->raw : rnn_at(l->out, s->first * out, f->item);
  recur_panels(f, begin, end, rnn_at(gates, l->kind == LP_RNN_GRU ? h : 0, f->item));
  LpRnnRow rows[ROWS_AT_ONCE];
  for (int64_t r = 0, count = 0; r < s->rows; r++) {
    LpRnnRow *row = &rows[count++];
    *row = (LpRnnRow){.bias = f->bias,
                      .gates = rnn_at(gates, r * f->width, f->item),
                      .h = rnn_at(h_rows, r * h, f->item),
                      .h_before = rnn_before(s, l->out, l->h0, r, out, f->item)};
    if (l->cells) {
      row->c = rnn_at(l->cells, (s->first + r) * h, f->item);
      row->c_before = rnn_before(s, l->cells, l->c0, r, h, f->item);
    }
    if (count < ROWS_AT_ONCE && r + 1 < s->rows) continue;
    f->k->forward[l->kind][f->type](rows, count, h, from, to);
    count = 0;
  }
  if (f->tiles && l->w_hr)
    lp_rnn_split_fill(&f->projection_tiles, 0, 0, (float *)h_rows, h, s->rows, from, to);
  else if (f->tiles)
    lp_rnn_split_fill(&f->recurrent_tiles, !f->recurrent_tiles.turn, 0, (float *)h_rows,
                      h, s->rows, from, to);
}

static void step_projection(void *ctx, int64_t begin, int64_t end) {
  Forward *f = ctx;
  const LpRnnLayer *l = f->l;
  const int64_t out = l->outputs, rows = f->step.rows;
  char *to = rnn_at(l->out, f->step.first * out, f->item);
  if (!f->tiles) {
    for (int64_t p = begin; p < end; p++)
      f->k->product[f->type](&f->projection, p, f->raw, l->hidden, rows, to, out, 0);
    return;
  }
  const int64_t last = end * RNN_SPLIT_UNITS;
  lp_rnn_split_product(&f->projection_tiles, begin, end, rows, (float *)to, out, 0);
  lp_rnn_split_fill(&f->recurrent_tiles, !f->recurrent_tiles.turn, 0, (float *)to, out,
                    rows, begin * RNN_SPLIT_UNITS, last < out ? last : out);
}

static bool pack_panels(Forward *f) {
  const LpRnnLayer *l = f->l;
  const int64_t h = l->hidden, out = l->outputs;
  const int vectors = l->kind == LP_RNN_LSTM ? 4 : l->kind == LP_RNN_GRU ? 3 : 2;
  return lp_rnn_pack(f->blocks, &f->recurrent, f->type, vectors, out, h,
                     vectors > 2 ? h : 0, l->w_hh, 1, out, l->keep_hh) &&
         (!l->w_hr || lp_rnn_pack(f->blocks, &f->projection, f->type, 2, h, out, 0,
                                  l->w_hr, 1, h, l->keep_hr));
}

/* Packs the weights for tiles, and the first states in both copies: rows that begin later
 * find theirs there. */
static bool pack_tiles(Forward *f) {
  const LpRnnLayer *l = f->l;
  RnnSplit *r = &f->recurrent_tiles, *p = &f->projection_tiles;
  const bool halves = l->of_state == LP_BFLOAT16;
  *r = (RnnSplit){.halves = halves,
                  .segments = 1,
                  .k = l->outputs,
                  .gates = lp_rnn_gates(l->kind),
                  .columns = l->hidden,
                  .apart = l->hidden};
  TRY(lp_rnn_split_open(f->blocks, r, l->batch, l->w_hh, 1, l->outputs, l->keep_hh));
  for (int copy = 0; copy < 2; copy++)
    lp_rnn_split_fill(r, copy, 0, l->h0, l->outputs, l->batch, 0, l->outputs);
  if (!l->w_hr) return true;
  *p = (RnnSplit){
      .halves = halves, .segments = 1, .k = l->hidden, .gates = 1, .columns = l->outputs};
  return lp_rnn_split_open(f->blocks, p, l->batch, l->w_hr, 1, l->hidden, l->keep_hr);
}

typedef struct ByRows {
  const Forward *f;
  _Atomic bool refused, stopped;
} ByRows;

/* All steps for some rows, on one thread. */
static void rows_range(void *ctx, int64_t begin, int64_t end) {
  ByRows *j = ctx;
  const int64_t from = begin * LP_SPLIT_SIDE, to = end * LP_SPLIT_SIDE;
  LpRnnLayer l = *j->f->l;
  Forward f = {.l = &l,
               .k = j->f->k,
               .type = j->f->type,
               .item = j->f->item,
               .packed = true,
               .tiles = true,
               .width = j->f->width,
               .bias = j->f->bias,
               .recurrent_tiles = lp_rnn_split_from(&j->f->recurrent_tiles, from)};
  l.h0 = rnn_at(l.h0, from * l.outputs, f.item);
  if (l.c0) l.c0 = rnn_at(l.c0, from * l.hidden, f.item);
  if (l.w_hr) {
    f.projection_tiles = lp_rnn_split_from(&j->f->projection_tiles, from);
    f.raw = rnn_at(j->f->raw, from * l.hidden, f.item);
  }
  for (int64_t s = 0; s < l.steps; s++) {
    f.step = lp_rnn_step_part(lp_rnn_step(&l, s), from, to);
    if (!f.step.rows) continue;
    step_units(&f, 0, f.recurrent_tiles.panels);
    if (l.w_hr) step_projection(&f, 0, f.projection_tiles.panels);
    f.recurrent_tiles.turn ^= 1;
    if (atomic_load(&f.recurrent_tiles.refused) ||
        atomic_load(&f.projection_tiles.refused))
      atomic_store(&j->refused, true);
    if (lp_interrupt_pending()) atomic_store(&j->stopped, true);
    if (atomic_load(&j->refused) || atomic_load(&j->stopped)) return;
  }
}

/* *done false when an infinity or a NaN came up: everything is to be done again. */
static bool run_by_rows(const Forward *f, bool *done) {
  ByRows job = {.f = f};
  lp_rnn_split_rows(f->l->batch, rows_range, &job);
  if (atomic_load(&job.stopped))
    return lp_fail(LP_ERR_INTERRUPT, "stopped by an interrupt");
  *done = !atomic_load(&job.refused);
  return true;
}

/* Goes over from tiles to panels when an infinity or a NaN has come up. */
static bool check_tiles(Forward *f) {
  if (!f->tiles || !(atomic_load(&f->recurrent_tiles.refused) ||
                     atomic_load(&f->projection_tiles.refused)))
    return true;
  f->tiles = false;
  return pack_panels(f);
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
  TRY(check_tiles(f));
  if (f->tiles)
    lp_rnn_split_over(&f->recurrent_tiles, s->rows, step_units, f);
  else
    lp_rnn_over(&f->recurrent, s->rows, step_units, f);
  if (l->w_hr && !f->packed)
    return lp_rnn_state_gemm(
        l, true, s->rows, l->outputs, l->hidden, f->raw, l->hidden, l->w_hr, l->hidden,
        rnn_at(l->out, s->first * l->outputs, f->item), l->outputs, false);
  if (l->w_hr) {
    TRY(check_tiles(f));
    if (f->tiles)
      lp_rnn_split_over(&f->projection_tiles, s->rows, step_projection, f);
    else
      lp_rnn_over(&f->projection, s->rows, step_projection, f);
  }
  f->recurrent_tiles.turn ^= 1;
  return true;
}

static bool prepare(Forward *f) {
  const LpRnnLayer *l = f->l;
  TRY(f->bias = make_bias(f->blocks, f));
  if (l->w_hr)
    TRY(f->raw = lp_rnn_block(f->blocks, (size_t)(l->batch * l->hidden) * f->item));
  if (!f->packed) { /* the units alone are split over threads */
    f->recurrent = lp_rnn_plain_panels(l->hidden);
    return true;
  }
  f->tiles = lp_rnn_split_pays(l->of_state, l->batch, l->outputs, l->hidden);
  return f->tiles ? pack_tiles(f) : pack_panels(f);
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
  f.blocks = &blocks;
  bool done = false, ok = project_input(&blocks, &f) && prepare(&f);
  if (ok && f.tiles && lp_rnn_split_by_rows(&f.recurrent_tiles, l->batch, l->steps)) {
    ok = run_by_rows(&f, &done);
    f.tiles = false;
    if (ok && !done) ok = pack_panels(&f) && project_input(&blocks, &f);
  }
  for (int64_t s = 0; ok && !done && s < l->steps; s++) {
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
