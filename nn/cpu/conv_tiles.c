/* Convolutions by tiles: geometry, forward pass and gradient of the input; see
 * conv_tiles.h. */
#include "cpu/conv_tiles.h"

#include <stdatomic.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/conv_tiles_parts.h"
#include "cpu/gemm_split.h"
#include "cpu/kept.h"

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

void lp_tiles_forward(LpTilesSweep *s, const LpConvGeometry *g) {
  const Flat f = flat_of(g);
  const bool folded = is_folded(g, &f);
  *s = (LpTilesSweep){.n = g->n, .c = g->c, .k = g->k, .pitch = g->c};
  s->h = forward_axis(f.in[0], f.out[0], f.kernel[0], f.stride[0], f.padding[0],
                      f.dilation[0]);
  s->w = forward_axis(f.in[1], f.out[1], folded ? 1 : f.kernel[1], f.stride[1],
                      f.padding[1], f.dilation[1]);
  if (folded) s->c *= f.kernel[1];
  s->kernel_taps = f.kernel[0] * (folded ? 1 : f.kernel[1]);
}

static void turned_sweep(LpTilesSweep *s, const LpConvGeometry *g, int64_t row,
                         int64_t column) {
  const Flat f = flat_of(g);
  *s = (LpTilesSweep){.n = g->n, .c = g->k, .k = g->c, .pitch = g->k};
  s->h = turned_axis(f.in[0], f.out[0], f.kernel[0], f.stride[0], f.padding[0],
                     f.dilation[0], row);
  s->w = turned_axis(f.in[1], f.out[1], f.kernel[1], f.stride[1], f.padding[1],
                     f.dilation[1], column);
  s->kernel_taps = f.kernel[0] * f.kernel[1];
}

/* --- bands
 * ------------------------------------------------------------------------------- */

static void set_band(LpTilesAxis *a, int64_t band, int64_t unit) {
  a->bands = lp_ratio_up(a->out, band);
  a->band = lp_ratio_up(a->out, a->bands);
  a->length = a->phases ? lp_ratio_up(a->band, unit) * unit + a->reach : 0;
}

/* Cycles: a channel that is packed; a product of tiles, of 32 x 16 x 16. */
#define CYCLES_PACKING 0.2
#define CYCLES_PRODUCT 20.0

static double cost_of(const LpTilesSweep *s) {
  const double products = (double)(lp_ratio_up(s->h.band * s->w.band, 2) * 2) *
                          (double)(s->h.taps * s->w.taps * lp_tiles_depth(s->c)) *
                          (double)(lp_tiles_depth(s->k) * 2) * CYCLES_PRODUCT;
  const double packing = (double)(lp_tiles_places(s) * LP_TILES_LANES * s->c);
  return (double)lp_tiles_strips(s) * (products + packing * CYCLES_PACKING);
}

static void set_offsets(LpTilesSweep *s) {
  const int64_t depth = lp_tiles_depth(s->c), place = depth * LP_TILES_BYTES,
                phase = s->h.length * s->w.length;
  for (int t = 0; t < s->h.taps; t++)
    s->down[t] =
        (s->h.of_phase[t] * s->w.phases * phase + s->h.shift[t] * s->w.length) * place;
  for (int t = 0; t < s->w.taps; t++)
    s->across[t] = (s->w.of_phase[t] * phase + s->w.shift[t]) * place;
}

void lp_tiles_cut(LpTilesSweep *s, int64_t place_bytes, int64_t output_bytes,
                  int64_t budget, int64_t unit) {
  int64_t best_row = 1, best_column = 1;
  double best = -1;
  for (int64_t columns = s->w.out, cuts = 1; columns > 0;
       columns = columns > 1 ? lp_ratio_up(s->w.out, ++cuts) : 0) {
    while (cuts > 1 && columns == s->w.band) columns = lp_ratio_up(s->w.out, ++cuts);
    set_band(&s->w, columns, unit);
    const int64_t row = s->h.phases * s->w.phases * s->w.length * place_bytes,
                  each = row + s->w.band * output_bytes,
                  rows = each ? (budget - row * s->h.reach) / each : s->h.out;
    set_band(&s->h, rows < 1 ? 1 : lp_least(rows, s->h.out), 1);
    const double cost = cost_of(s) * (rows < 1 ? 4 : 1);
    if (best >= 0 && cost >= best) continue;
    best = cost;
    best_row = s->h.band;
    best_column = s->w.band;
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
    l->image = s->x + image * s->h.in * s->w.in * s->pitch;
    l->row = at / s->w.bands % s->h.bands * s->h.band;
    l->column = at % s->w.bands * s->w.band;
    l->rows = lp_least(s->h.band, s->h.out - l->row);
    l->columns = lp_least(s->w.band, s->w.out - l->column);
    l->to = s->y + ((image * s->h.whole + s->h.place + l->row * s->h.gap) * s->w.whole +
                    s->w.place + l->column * s->w.gap) *
                       s->k;
  }
}

/* --- strips by threads
 * ------------------------------------------------------------------------- */

/* Bytes of a packed strip: more where the weights, which each strip goes through, come
 * from far. */
#define BUDGET (320 * 1024)
#define BUDGET_FAR (600 * 1024)
#define FAR_BYTES (512 * 1024)
/* Multiply-adds that make another thread worth its start. */
#define THREAD_GRAIN (1024 * 1024)
#define MOST_RANGES 64
#define NEAR_BYTES (160 * 1024) /* of weights */

/* A task is a strip by a part of the blocks of channels. Each thread has a range of them
 * and then takes from the others': one that is held up does fewer. */
typedef struct Job {
  const LpTilesSweep *s;
  int64_t strips, parts, ranges;
  int64_t blocks; /* whose weights are gone through for each pair of outputs */
  size_t strip_bytes;
  _Atomic int64_t next[MOST_RANGES];
  _Atomic bool failed;
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
  for (int64_t task; (task = take(j, begin)) >= 0;) {
    const int64_t strip = task / j->parts, part = task % j->parts;
    if (strip != there) {
      lp_tiles_lanes(s, strip, lanes);
      lp_tiles_pack(s, lanes, packed);
      there = strip;
    }
    const int64_t end = blocks * (part + 1) / j->parts;
    for (int64_t b = blocks * part / j->parts; b < end; b += j->blocks)
      lp_tiles_multiply(s, lanes, packed, b, lp_least(b + j->blocks, end));
  }
  lp_split_end();
  lp_block_free(packed, capacity);
}

/* The tasks that a thread is to have at least, for them to end together. */
#define TASKS_EACH 4

static bool run_sweep(LpTilesSweep *s) {
  if (!s->h.out || !s->w.out) return true;
  const int64_t weight_bytes =
      lp_tiles_depth(s->k) * s->kernel_taps * lp_tiles_depth(s->c) * 2 * LP_TILES_BYTES;
  lp_tiles_cut(s, lp_tiles_depth(s->c) * LP_TILES_BYTES, 0,
               weight_bytes < FAR_BYTES ? BUDGET : BUDGET_FAR, 1);
  Job j = {.s = s, .strips = lp_tiles_strips(s)};
  const int64_t work =
      s->n * s->h.out * s->w.out * s->k * s->c * (s->h.taps * s->w.taps + 1);
  j.ranges = lp_least(lp_parallel_threads(work, THREAD_GRAIN), MOST_RANGES);
  j.parts = lp_least(lp_ratio_up(TASKS_EACH * j.ranges, j.strips), lp_tiles_depth(s->k));
  if (j.ranges == 1) j.parts = 1;
  j.strip_bytes = (size_t)(lp_tiles_places(s) * lp_tiles_depth(s->c) * LP_TILES_BYTES);
  if (!j.strip_bytes) j.strip_bytes = 64;
  j.blocks = NEAR_BYTES / (s->kernel_taps * lp_tiles_depth(s->c) * 2 * LP_TILES_BYTES);
  if (j.blocks < 1) j.blocks = 1;
  for (int64_t i = 0; i < j.ranges; i++) j.next[i] = i ? range_end(&j, i - 1) : 0;
  lp_parallel_for(j.ranges, 1, run_range, &j);
  CHECK(!atomic_load(&j.failed), LP_ERR_MEMORY, "out of memory in a convolution");
  return true;
}

/* --- weights
 * ----------------------------------------------------------------------------- */

typedef struct PackWeights {
  const LpTilesWeights *w;
  char *to;
} PackWeights;

static void pack_blocks(void *ctx, int64_t begin, int64_t end) {
  const PackWeights *p = ctx;
  const int64_t bytes = lp_tiles_weight_block(p->w);
  for (int64_t b = begin; b < end; b++) lp_tiles_pack_weights(p->w, b, p->to + b * bytes);
}

static int64_t weight_blocks(const LpTilesWeights *w) {
  return lp_tiles_depth(w->turned ? w->c : w->k);
}

static bool pack_weights(void *ctx, void *memory) {
  PackWeights p = {ctx, memory};
  lp_parallel_for(weight_blocks(p.w), LP_GRAIN / (lp_tiles_weight_block(p.w) / 2) + 1,
                  pack_blocks, &p);
  return true;
}

static void set_weights(LpTilesSweep *s, const char *packed, int64_t row_taps) {
  const int64_t tap = lp_tiles_depth(s->c) * 2 * LP_TILES_BYTES;
  s->weights = packed;
  for (int t = 0; t < s->h.taps; t++) s->w_down[t] = s->h.weight[t] * row_taps * tap;
  for (int t = 0; t < s->w.taps; t++) s->w_across[t] = s->w.weight[t] * tap;
}

static bool run_forward(const LpConvCall *c, const LpConvGeometry *g, const char *packed,
                        bool folded) {
  LpTilesSweep s;
  lp_tiles_forward(&s, g);
  s.x = c->x;
  s.y = c->y;
  s.bias = c->b;
  set_weights(&s, packed, folded ? 1 : g->kernel[g->ndim - 1]);
  return run_sweep(&s);
}

static bool run_turned(const LpConvCall *c, const LpConvGeometry *g, const char *packed) {
  const Flat f = flat_of(g);
  for (int64_t row = 0; row < f.stride[0]; row++)
    for (int64_t column = 0; column < f.stride[1]; column++) {
      LpTilesSweep s;
      turned_sweep(&s, g, row, column);
      s.x = c->y;
      s.y = c->x;
      set_weights(&s, packed, f.kernel[1]);
      TRY(run_sweep(&s));
    }
  return true;
}

static bool run(const LpConvCall *c, const LpConvGeometry *g) {
  const Flat f = flat_of(g);
  LpTilesWeights w = {.w = c->w,
                      .k = g->k,
                      .c = g->c,
                      .taps = f.kernel[0] * f.kernel[1],
                      .turned = c->pass == LP_CONV_INPUT_GRAD};
  if (!w.turned && is_folded(g, &f)) w.folded = f.kernel[1];
  const size_t bytes = (size_t)(weight_blocks(&w) * lp_tiles_weight_block(&w));
  const struct {
    int64_t is_tiles, k, c, taps, folded, turned;
  } key = {2, w.k, w.c, w.taps, w.folded, w.turned};
  LpKept *kept = c->weight
                     ? lp_kept_enter(c->weight, &key, sizeof key, bytes, pack_weights, &w)
                     : NULL;
  size_t capacity = 0;
  char *own = NULL;
  if (!kept) {
    TRY(own = lp_block_alloc(bytes, &capacity));
    pack_weights(&w, own);
  }
  const char *packed = kept ? lp_kept_memory(kept) : own;
  const bool ok =
      w.turned ? run_turned(c, g, packed) : run_forward(c, g, packed, w.folded != 0);
  if (own) lp_block_free(own, capacity);
  lp_kept_leave(kept);
  return ok;
}

/* --- public
 * ------------------------------------------------------------------------------ */

/* The library makes the better forward pass where packing is dear: of few channels, and
 * where a packed pixel serves one tap. */
#define FEW_CHANNELS 128
static bool is_dear(const LpConvGeometry *g, const Flat *f) {
  return is_folded(g, f) || (f->kernel[0] * f->kernel[1] == 1 && g->c < FEW_CHANNELS);
}

bool lp_conv_tiles_pays(LpConvPass pass, const LpConvGeometry *g) {
  if (g->groups != 1 || g->ndim > 2 || !lp_tiles_supported()) return false;
  const Flat f = flat_of(g);
  if (pass == LP_CONV_FORWARD && is_dear(g, &f)) return false;
  return f.kernel[0] <= LP_TILES_MOST_TAPS && f.kernel[1] <= LP_TILES_MOST_TAPS &&
         f.kernel[0] * f.kernel[1] <= LP_TILES_MOST_KERNEL;
}

bool lp_conv_tiles(const LpConvCall *call, const LpConvGeometry *g, bool *refused) {
  *refused = false;
  if (call->pass == LP_CONV_WEIGHT_GRAD)
    return lp_tiles_weight_grad(
        g, call->x, call->y, (LpTilesResult){call->w, call->weight_dtype == LP_BFLOAT16},
        refused);
  return run(call, g);
}
