/* Convolutions by tiles: geometry, forward pass and gradient of the input; see
 * conv_tiles.h. */
#include "cpu/conv_tiles.h"

#include <stdatomic.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/kept.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/conv_tiles_parts.h"
#include "cpu/gemm_split.h"

/* --- axes
 * -------------------------------------------------------------------------------- */

/* Finds the phases of an axis whose taps are there. */
static void find_phases(LpTilesAxis *a) {
  a->phases = 0;
  a->low = a->taps ? a->first[0] : 0;
  a->reach = 0;
  for (int t = 1; t < a->taps; t++) a->low = lp_least(a->low, a->first[t]);
  for (int t = 0; t < a->taps; t++) {
    const int64_t beyond = a->first[t] - a->low, phase = beyond % a->step;
    int p = 0;
    while (p < a->phases && a->phase[p] != phase) p++;
    a->phase[p] = phase;
    if (p == a->phases) a->phases++;
    a->of_phase[t] = p;
    a->shift[t] = beyond / a->step;
    if (a->shift[t] > a->reach) a->reach = a->shift[t];
  }
}

static LpTilesAxis forward_axis(int64_t in, int64_t out, int64_t kernel, int64_t step,
                                int64_t padding, int64_t dilation) {
  LpTilesAxis a = {
      .in = in, .out = out, .step = step, .taps = (int)kernel, .gap = 1, .whole = out};
  for (int t = 0; t < a.taps; t++) {
    a.first[t] = t * dilation - padding;
    a.weight[t] = t;
  }
  find_phases(&a);
  return a;
}

/* Pixels residue + i * step of the input gradient, from those of the result's. */
static LpTilesAxis turned_axis(int64_t in, int64_t out, int64_t kernel, int64_t step,
                               int64_t padding, int64_t dilation, int64_t residue) {
  LpTilesAxis a = {.in = out,
                   .out = residue < in ? lp_ratio_up(in - residue, step) : 0,
                   .step = 1,
                   .place = residue,
                   .gap = step,
                   .whole = in};
  for (int64_t t = 0; t < kernel; t++) {
    const int64_t from = residue + padding - t * dilation;
    if (from % step != 0) continue;
    a.first[a.taps] = from / step;
    a.weight[a.taps++] = t;
  }
  find_phases(&a);
  return a;
}

typedef struct Flat {
  int64_t in[2], out[2], kernel[2], stride[2], padding[2], dilation[2];
} Flat;

/* In 2 dims, one row where there is one dim. */
static Flat flat_of(const LpConvGeometry *g) {
  Flat f;
  for (int d = 0; d < 2; d++) {
    const int from = d - (2 - g->ndim);
    f.in[d] = from < 0 ? 1 : g->in[from];
    f.out[d] = from < 0 ? 1 : g->out[from];
    f.kernel[d] = from < 0 ? 1 : g->kernel[from];
    f.stride[d] = from < 0 ? 1 : g->stride[from];
    f.padding[d] = from < 0 ? 0 : g->padding[from];
    f.dilation[d] = from < 0 ? 1 : g->dilation[from];
  }
  return f;
}

/* Are the taps of a row packed as channels? They lie side by side, and a tile has room
 * for them. */
static bool is_folded(const LpConvGeometry *g, const Flat *f) {
  return f->kernel[1] > 1 && f->dilation[1] == 1 && g->c * f->kernel[1] <= LP_TILES_DEPTH;
}

void lp_tiles_forward(LpTilesSweep *s, const LpConvGeometry *g, const LpTilesForm *form) {
  const Flat f = flat_of(g);
  const bool folded = is_folded(g, &f);
  *s = (LpTilesSweep){.form = form, .n = g->n, .c = g->c, .k = g->k, .pitch = g->c};
  s->h = forward_axis(f.in[0], f.out[0], f.kernel[0], f.stride[0], f.padding[0],
                      f.dilation[0]);
  s->w = forward_axis(f.in[1], f.out[1], folded ? 1 : f.kernel[1], f.stride[1],
                      f.padding[1], f.dilation[1]);
  if (folded) s->c *= f.kernel[1];
  s->kernel_taps = f.kernel[0] * (folded ? 1 : f.kernel[1]);
}

static void turned_sweep(LpTilesSweep *s, const LpConvGeometry *g,
                         const LpTilesForm *form, int64_t row, int64_t column) {
  const Flat f = flat_of(g);
  *s = (LpTilesSweep){.form = form, .n = g->n, .c = g->k, .k = g->c, .pitch = g->k};
  s->h = turned_axis(f.in[0], f.out[0], f.kernel[0], f.stride[0], f.padding[0],
                     f.dilation[0], row);
  s->w = turned_axis(f.in[1], f.out[1], f.kernel[1], f.stride[1], f.padding[1],
                     f.dilation[1], column);
  s->kernel_taps = f.kernel[0] * f.kernel[1];
}

static int64_t place_bytes_of(const LpTilesSweep *s) {
  return lp_tiles_depth(s->c) * s->form->pieces * LP_TILES_BYTES;
}

static int64_t block_bytes_of(const LpTilesSweep *s) {
  return s->kernel_taps * 2 * place_bytes_of(s);
}

/* --- bands
 * ------------------------------------------------------------------------------- */

static void set_band(LpTilesAxis *a, int64_t band, int64_t unit) {
  a->bands = lp_ratio_up(a->out, band);
  a->band = lp_ratio_up(a->out, a->bands);
  a->length = a->phases ? lp_ratio_up(a->band, unit) * unit + a->reach : 0;
}

/* Cycles of bfloat16: a channel that is packed; a product of tiles, of 32 x 16 x 16. With
 * pieces both take six times as long, about. A strip that does not fit costs more. */
#define CYCLES_PACKING 0.2
#define CYCLES_PRODUCT 20.0
#define FAR_COST 1.5

static double cost_of(const LpTilesSweep *s) {
  const double products = (double)(lp_ratio_up(s->h.band * s->w.band, 2) * 2) *
                          (double)(s->h.taps * s->w.taps * lp_tiles_depth(s->c)) *
                          (double)(lp_tiles_depth(s->k) * 2) * CYCLES_PRODUCT;
  const double packing = (double)(lp_tiles_places(s) * LP_TILES_LANES * s->c);
  return (double)lp_tiles_strips(s) * (products + packing * CYCLES_PACKING);
}

static void set_offsets(LpTilesSweep *s) {
  const int64_t place = place_bytes_of(s), phase = s->h.length * s->w.length;
  for (int t = 0; t < s->h.taps; t++)
    s->down[t] =
        (s->h.of_phase[t] * s->w.phases * phase + s->h.shift[t] * s->w.length) * place;
  for (int t = 0; t < s->w.taps; t++)
    s->across[t] = (s->w.of_phase[t] * phase + s->w.shift[t]) * place;
}

/* Bands of a column more than must be that are tried: they may fill the lanes better. */
#define MORE_BANDS LP_TILES_LANES

/* The next way to cut `out` evenly, into smaller bands than `band`; 0 after the last. */
static int64_t smaller_band(int64_t out, int64_t band) {
  return band > 1 ? lp_ratio_up(out, lp_ratio_up(out, band - 1)) : 0;
}

void lp_tiles_cut(LpTilesSweep *s, int64_t place_bytes, int64_t output_bytes,
                  int64_t budget, int64_t unit) {
  int64_t best_row = 1, best_column = 1;
  double best = -1;
  for (int64_t columns = s->w.out; columns; columns = smaller_band(s->w.out, columns)) {
    set_band(&s->w, columns, unit);
    const int64_t row = s->h.phases * s->w.phases * s->w.length * place_bytes,
                  each = row + s->w.band * output_bytes,
                  fitting = each ? (budget - row * s->h.reach) / each : s->h.out;
    int64_t rows = fitting < 1 ? 1 : lp_least(fitting, s->h.out);
    for (int i = 0; i < MORE_BANDS && rows; i++, rows = smaller_band(s->h.out, rows)) {
      set_band(&s->h, rows, 1);
      const double cost = cost_of(s) * (fitting < 1 ? FAR_COST : 1);
      if (best >= 0 && cost >= best) continue;
      best = cost;
      best_row = s->h.band;
      best_column = s->w.band;
    }
  }
  set_band(&s->h, best_row, 1);
  set_band(&s->w, best_column, unit);
  set_offsets(s);
}

int64_t lp_tiles_strips(const LpTilesSweep *s) {
  return lp_ratio_up(s->n * s->h.bands * s->w.bands, LP_TILES_LANES);
}

void lp_tiles_lanes(const LpTilesSweep *s, int64_t strip,
                    LpTilesLane lanes[LP_TILES_LANES]) {
  for (int64_t i = 0; i < LP_TILES_LANES; i++) {
    const int64_t at = strip * LP_TILES_LANES + i;
    const int64_t image = at / (s->h.bands * s->w.bands);
    LpTilesLane *l = &lanes[i];
    *l = (LpTilesLane){NULL};
    if (image >= s->n) continue;
    l->image = s->x + image * s->h.in * s->w.in * s->pitch * s->form->element;
    l->row = at / s->w.bands % s->h.bands * s->h.band;
    l->column = at % s->w.bands * s->w.band;
    l->rows = lp_least(s->h.band, s->h.out - l->row);
    l->columns = lp_least(s->w.band, s->w.out - l->column);
    l->to = s->y + ((image * s->h.whole + s->h.place + l->row * s->h.gap) * s->w.whole +
                    s->w.place + l->column * s->w.gap) *
                       s->k * s->form->element;
  }
}

void lp_tiles_find_row(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                       int64_t row, LpTilesRow of[LP_TILES_LANES]) {
  const int64_t i = row % s->h.length, q = row / s->h.length % s->w.phases,
                p = row / s->h.length / s->w.phases;
  for (int l = 0; l < LP_TILES_LANES; l++) {
    const LpTilesLane *lane = &lanes[l];
    const int64_t at = (lane->row + i) * s->h.step + s->h.low + s->h.phase[p];
    of[l] = (LpTilesRow){.at = lane->column * s->w.step + s->w.low + s->w.phase[q]};
    if (lane->image && at >= 0 && at < s->h.in)
      of[l].pixels = lane->image + at * s->w.in * s->pitch * s->form->element;
  }
}

/* --- pairs of outputs
 * ----------------------------------------------------------------------- */

/* Taps from `from` on, up to `to`. */
typedef struct Taps {
  int from, to;
} Taps;

/* Adds those that lie inside for output o. */
static void extend(const LpTilesAxis *a, int64_t o, Taps *taps) {
  int first = 0, end = a->taps;
  const int64_t at = o * a->step;
  while (first < end && (at + a->first[first] < 0 || at + a->first[first] >= a->in))
    first++;
  while (first < end && (at + a->first[end - 1] < 0 || at + a->first[end - 1] >= a->in))
    end--;
  if (first == end) return;
  if (taps->from == taps->to) {
    *taps = (Taps){first, end};
  } else {
    taps->from = first < taps->from ? first : taps->from;
    taps->to = end > taps->to ? end : taps->to;
  }
}

/* Lanes of several bands are at different places. */
static Taps taps_of(const LpTilesAxis *a, const int64_t outputs[2], bool folded) {
  if (a->bands > 1 || folded) return (Taps){0, a->taps};
  Taps taps = {0};
  extend(a, outputs[0], &taps);
  extend(a, outputs[1], &taps);
  return taps;
}

/* Neighbours along a row, or along a column where the taps that reach beyond a narrow
 * image are so left out for both. */
#define NARROW 16

/* Outputs o and o + 1. */
static void find_pair(const LpTilesSweep *s, int64_t o, LpTilesPair *p) {
  const LpTilesAxis *h = &s->h, *w = &s->w;
  const bool down = w->bands == 1 && w->band <= NARROW;
  const int64_t place_bytes = place_bytes_of(s);
  for (int i = 0; i < 2; i++) {
    const int64_t at = o + i < h->band * w->band ? o + i : o;
    p->row[i] = down ? at % h->band : at / w->band;
    p->column[i] = down ? at / h->band : at % w->band;
    p->place[i] = (p->row[i] * w->length + p->column[i]) * place_bytes;
  }
  const Taps rows = taps_of(h, p->row, false),
             columns = taps_of(w, p->column, s->pitch != s->c);
  p->is_first = o == 0;
  p->taps = 0;
  for (int r = rows.from; r < rows.to; r++)
    for (int q = columns.from; q < columns.to; q++) {
      p->at[p->taps] = s->down[r] + s->across[q];
      p->weights[p->taps++] = s->w_down[r] + s->w_across[q];
    }
}

/* All outputs of a strip in blocks [from, to) of 32 channels: few enough that their
 * weights stay in a near cache. */
static void multiply(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                     const char *packed, int64_t from, int64_t to) {
  const int64_t outputs = s->h.band * s->w.band, block_bytes = block_bytes_of(s);
  _Alignas(64) float sums[2][1024]; /* one is stored while the other is made */
  for (int64_t o = 0; o < outputs; o += 2) {
    LpTilesPair p;
    find_pair(s, o, &p);
    for (int64_t block = from; block < to; block++) {
      float *here = sums[block % 2];
      s->form->multiply(s, &p, packed, s->weights + block * block_bytes, here);
      for (int i = 0; i < 2 && o + i < outputs; i++)
        s->form->put(s, lanes, p.row[i], p.column[i], 32 * block, here + 512 * i);
    }
  }
}

/* --- strips by threads
 * ------------------------------------------------------------------------- */

/* Bytes of a packed strip: more where the weights, which each strip goes through, come
 * from far. */
#define BUDGET (640 * 1024)
#define BUDGET_FAR (1300 * 1024)
#define FAR_BYTES (512 * 1024)
/* Multiply-adds that make another thread worth its start. */
#define THREAD_GRAIN (1024 * 1024)
#define MOST_RANGES 64
#define NEAR_BYTES (640 * 1024) /* of weights */

/* A task is a strip by a part of the blocks of channels. Each thread has a range of them
 * and then takes from the others': one that is held up does fewer. */
typedef struct Job {
  const LpTilesSweep *s;
  int64_t strips, parts, ranges;
  int64_t blocks; /* whose weights are gone through for each pair of outputs */
  size_t strip_bytes;
  _Atomic int64_t next[MOST_RANGES];
  _Atomic bool failed, refused;
} Job;

static int64_t range_end(const Job *j, int64_t range) {
  return j->strips * j->parts * (range + 1) / j->ranges;
}

/* A task for the thread of the range, -1 when all are taken. */
static int64_t take(Job *j, int64_t range) {
  for (int64_t i = 0; i < j->ranges; i++) {
    const int64_t of = (range + i) % j->ranges;
    const int64_t task = atomic_fetch_add(&j->next[of], 1);
    if (task < range_end(j, of)) return task;
  }
  return -1;
}

static void run_range(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const LpTilesSweep *s = j->s;
  const int64_t blocks = lp_tiles_depth(s->k);
  size_t capacity;
  char *packed = lp_block_alloc(j->strip_bytes, &capacity);
  if (!packed) {
    atomic_store(&j->failed, true);
    return;
  }
  LpTilesLane lanes[LP_TILES_LANES];
  int64_t there = -1; /* the strip that is packed */
  lp_split_begin();
  for (int64_t task; !atomic_load(&j->refused) && (task = take(j, begin)) >= 0;) {
    const int64_t strip = task / j->parts, part = task % j->parts;
    if (strip != there) {
      lp_tiles_lanes(s, strip, lanes);
      if (!s->form->pack(s, lanes, packed)) {
        atomic_store(&j->refused, true);
        break;
      }
      there = strip;
    }
    const int64_t end = blocks * (part + 1) / j->parts;
    for (int64_t b = blocks * part / j->parts; b < end; b += j->blocks)
      multiply(s, lanes, packed, b, lp_least(b + j->blocks, end));
  }
  lp_split_end();
  lp_block_free(packed, capacity);
}

/* The tasks that a thread is to have at least, for them to end together. */
#define TASKS_EACH 4

static void cut_sweep(LpTilesSweep *s) {
  const int64_t weight_bytes = lp_tiles_depth(s->k) * block_bytes_of(s);
  lp_tiles_cut(s, place_bytes_of(s), 0, weight_bytes < FAR_BYTES ? BUDGET : BUDGET_FAR,
               1);
}

static bool run_sweep(LpTilesSweep *s, bool *refused) {
  if (!s->h.out || !s->w.out) return true;
  cut_sweep(s);
  Job j = {.s = s, .strips = lp_tiles_strips(s)};
  const int64_t work =
      s->n * s->h.out * s->w.out * s->k * s->c * (s->h.taps * s->w.taps + 1);
  j.ranges = lp_least(lp_parallel_threads(work, THREAD_GRAIN), MOST_RANGES);
  j.parts = lp_least(lp_ratio_up(TASKS_EACH * j.ranges, j.strips), lp_tiles_depth(s->k));
  if (j.ranges == 1) j.parts = 1;
  j.strip_bytes = (size_t)(lp_tiles_places(s) * place_bytes_of(s));
  if (!j.strip_bytes) j.strip_bytes = 64;
  j.blocks = NEAR_BYTES / block_bytes_of(s);
  if (j.blocks < 1) j.blocks = 1;
  for (int64_t i = 0; i < j.ranges; i++) j.next[i] = i ? range_end(&j, i - 1) : 0;
  lp_parallel_for(j.ranges, 1, run_range, &j);
  *refused = atomic_load(&j.refused);
  CHECK(!atomic_load(&j.failed), LP_ERR_MEMORY, "out of memory in a convolution");
  return !*refused;
}

/* --- weights
 * ----------------------------------------------------------------------------- */

/* Bytes of a block of 32 outputs. */
static int64_t weight_block(const LpTilesWeights *w) {
  const int64_t taps = w->folded ? w->taps / w->folded : w->taps,
                depth = w->turned   ? w->k
                        : w->folded ? w->c * w->folded
                                    : w->c;
  return taps * lp_tiles_depth(depth) * 2 * w->form->pieces * LP_TILES_BYTES;
}

typedef struct PackWeights {
  const LpTilesWeights *w;
  char *to;
  _Atomic bool refused;
} PackWeights;

static void pack_blocks(void *ctx, int64_t begin, int64_t end) {
  PackWeights *p = ctx;
  const int64_t bytes = weight_block(p->w);
  for (int64_t b = begin; b < end; b++)
    if (!p->w->form->pack_weights(p->w, b, p->to + b * bytes))
      atomic_store(&p->refused, true);
}

static int64_t weight_blocks(const LpTilesWeights *w) {
  return lp_tiles_depth(w->turned ? w->c : w->k);
}

static bool pack_weights(void *ctx, void *memory) {
  PackWeights p = {ctx, memory};
  lp_parallel_for(weight_blocks(p.w), LP_GRAIN / (weight_block(p.w) / 2) + 1, pack_blocks,
                  &p);
  return !atomic_load(&p.refused);
}

static void set_weights(LpTilesSweep *s, const char *packed, int64_t row_taps) {
  const int64_t tap = 2 * place_bytes_of(s);
  s->weights = packed;
  for (int t = 0; t < s->h.taps; t++) s->w_down[t] = s->h.weight[t] * row_taps * tap;
  for (int t = 0; t < s->w.taps; t++) s->w_across[t] = s->w.weight[t] * tap;
}

static bool run_forward(const LpConvCall *c, const LpConvGeometry *g,
                        const LpTilesWeights *w, const char *packed, bool *refused) {
  LpTilesSweep s;
  lp_tiles_forward(&s, g, w->form);
  s.x = c->x;
  s.y = c->y;
  s.bias = c->b;
  set_weights(&s, packed, w->folded ? 1 : g->kernel[g->ndim - 1]);
  return run_sweep(&s, refused);
}

static bool run_turned(const LpConvCall *c, const LpConvGeometry *g,
                       const LpTilesForm *form, const char *packed, bool *refused) {
  const Flat f = flat_of(g);
  for (int64_t row = 0; row < f.stride[0]; row++)
    for (int64_t column = 0; column < f.stride[1]; column++) {
      LpTilesSweep s;
      turned_sweep(&s, g, form, row, column);
      s.x = c->y;
      s.y = c->x;
      set_weights(&s, packed, f.kernel[1]);
      TRY(run_sweep(&s, refused));
    }
  return true;
}

/* Packed weights: kept with their storage, or memory of the call's own. */
typedef struct Packed {
  LpKept *kept;
  char *own;
  size_t capacity;
  const char *memory;
} Packed;

static bool find_packed(Packed *p, const LpConvCall *c, LpTilesWeights *w,
                        bool *refused) {
  const size_t bytes = (size_t)(weight_blocks(w) * weight_block(w));
  const int64_t key[] = {LP_KEPT_TILES, w->form->pieces, w->k,     w->c,
                         w->taps,       w->folded,       w->turned};
  *p =
      (Packed){.kept = lp_kept_enter(c->weight, key, sizeof key, bytes, pack_weights, w)};
  if (p->kept) {
    p->memory = lp_kept_memory(p->kept);
    return true;
  }
  TRY(p->own = lp_block_alloc(bytes, &p->capacity));
  p->memory = p->own;
  return !(*refused = !pack_weights(w, p->own));
}

static void leave_packed(Packed *p) {
  if (p->own) lp_block_free(p->own, p->capacity);
  lp_kept_leave(p->kept);
}

static bool run(const LpConvCall *c, const LpConvGeometry *g, const LpTilesForm *form,
                bool *refused) {
  const Flat f = flat_of(g);
  LpTilesWeights w = {.form = form,
                      .w = c->w,
                      .k = g->k,
                      .c = g->c,
                      .taps = f.kernel[0] * f.kernel[1],
                      .turned = c->pass == LP_CONV_INPUT_GRAD};
  if (!w.turned && is_folded(g, &f)) w.folded = f.kernel[1];
  Packed packed;
  const bool ok = find_packed(&packed, c, &w, refused) &&
                  (w.turned ? run_turned(c, g, form, packed.memory, refused)
                            : run_forward(c, g, &w, packed.memory, refused));
  leave_packed(&packed);
  return ok;
}

/* --- public
 * ------------------------------------------------------------------------------ */

/* In bfloat16 the library makes the better forward pass where packing is dear: of few
 * channels, and where a packed pixel serves one tap. */
#define FEW_CHANNELS 128
static bool words_pay(LpConvPass pass, const LpConvGeometry *g, const Flat *f) {
  return pass != LP_CONV_FORWARD ||
         !(is_folded(g, f) || (f->kernel[0] * f->kernel[1] == 1 && g->c < FEW_CHANNELS));
}

/* Cycles of float32: of a multiply-add by vectors; those of tiles by cost_of's; of a
 * weight, and of an element of y that is turned over, that are packed. */
#define CYCLES_VECTOR (1.0 / 28)
#define CYCLES_PIECES 6.3
#define CYCLES_WEIGHT 3.0
#define CYCLES_TURNED 1.5

/* At the best: no output is missing in a pair, and nothing is packed twice. */
static double least_cycles(const LpConvGeometry *g, const Flat *f, bool is_packed) {
  const double taps = (double)(f->kernel[0] * f->kernel[1]),
               products = (double)(g->n * f->out[0] * f->out[1]) / LP_TILES_LANES * taps *
                          (double)(lp_tiles_depth(g->c) * lp_tiles_depth(g->k) * 2);
  return products * CYCLES_PRODUCT * CYCLES_PIECES +
         (is_packed ? 0 : (double)(g->c * g->k) * taps * CYCLES_WEIGHT);
}

static double sweep_cycles(LpTilesSweep *s) {
  if (!s->h.out || !s->w.out) return 0;
  cut_sweep(s);
  return cost_of(s) * CYCLES_PIECES;
}

static double cycles_of(LpConvPass pass, const LpConvGeometry *g, const Flat *f,
                        bool is_packed) {
  LpTilesSweep s;
  const double weights = (double)(g->c * g->k * f->kernel[0] * f->kernel[1]),
               results = (double)(g->n * f->out[0] * f->out[1] * g->k);
  double cycles = is_packed ? 0 : weights * CYCLES_WEIGHT;
  if (pass == LP_CONV_WEIGHT_GRAD) cycles += results * CYCLES_TURNED;
  if (pass != LP_CONV_INPUT_GRAD) {
    lp_tiles_forward(&s, g, &lp_tiles_floats);
    return cycles + sweep_cycles(&s);
  }
  for (int64_t row = 0; row < f->stride[0]; row++)
    for (int64_t column = 0; column < f->stride[1]; column++) {
      turned_sweep(&s, g, &lp_tiles_floats, row, column);
      cycles += sweep_cycles(&s);
    }
  return cycles;
}

static bool floats_pay(LpConvPass pass, const LpConvGeometry *g, const Flat *f,
                       bool keeps_weights) {
  const double work = (double)(g->n * f->out[0] * f->out[1] * f->kernel[0] *
                               f->kernel[1] * g->c * g->k),
               most = work * CYCLES_VECTOR / LP_SPLIT_LEAST_GAIN;
  const bool is_packed = keeps_weights && pass == LP_CONV_FORWARD;
  return work >= THREAD_GRAIN && least_cycles(g, f, is_packed) < most &&
         cycles_of(pass, g, f, is_packed) < most;
}

bool lp_conv_tiles_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                        bool keeps_weights) {
  if ((dtype != LP_FLOAT32 && dtype != LP_BFLOAT16) || g->groups != 1 || g->ndim > 2 ||
      !lp_tiles_supported())
    return false;
  const Flat f = flat_of(g);
  if (f.kernel[0] > LP_TILES_MOST_TAPS || f.kernel[1] > LP_TILES_MOST_TAPS ||
      f.kernel[0] * f.kernel[1] > LP_TILES_MOST_KERNEL)
    return false;
  /* The gradient of the input has a sweep for each residue. */
  if (f.stride[0] > LP_TILES_MOST_TAPS || f.stride[1] > LP_TILES_MOST_TAPS) return false;
  return dtype == LP_BFLOAT16 ? words_pay(pass, g, &f)
                              : floats_pay(pass, g, &f, keeps_weights);
}

bool lp_conv_tiles(const LpConvCall *call, const LpConvGeometry *g, bool *refused) {
  const LpTilesForm *form =
      call->dtype == LP_BFLOAT16 ? &lp_tiles_words : &lp_tiles_floats;
  *refused = false;
  if (call->pass == LP_CONV_WEIGHT_GRAD)
    return lp_tiles_weight_grad(
        g, form, call->x, call->y,
        (LpTilesResult){call->w, call->weight_dtype == LP_BFLOAT16}, refused);
  return run(call, g, form, refused);
}
