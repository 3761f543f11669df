/* See conv_parts.h. */
#include "cpu/conv_parts.h"

#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/winograd.h"

#define SIDE 3 /* of a part */
/* Bytes of the moved images of a chunk, unless one image needs more. */
#define CHUNK_BYTES (64 * 1024 * 1024)

/* Parts along a side. Tap k of part a is number first + k * step of the kernel, with
 * first = a * between; it has `place + k` of the part's three. */
typedef struct Cuts {
  int64_t count, kernel, step, between, padding, span; /* span: places in use */
} Cuts;

typedef struct Parts {
  const LpConvGeometry *whole;
  LpConvGeometry part; /* of a chunk; its channels: (part, c) */
  Cuts cuts[2];
  LpWinogradTaps taps;
  int64_t images; /* of a chunk */
  float *x;       /* the images of the chunk in hand */
  float *moved;
} Parts;

static int64_t taps_of(const Cuts *c, int64_t a) {
  const int64_t rest = lp_ratio_up(c->kernel - a * c->between, c->step);
  return rest < SIDE ? rest : SIDE;
}

/* A tap alone is in the middle: its kernel has neither the point 0 nor infinity. */
static int64_t place_of(const Cuts *c, int64_t a) {
  return taps_of(c, a) == 1 ? 1 : 0;
}

/* Element i of the part's images is this one of x. */
static int64_t element_of(const Cuts *c, int64_t a, int64_t i) {
  return c->step * (i - place_of(c, a)) + a * c->between - c->padding;
}

static Cuts cuts_of(const LpConvGeometry *g, int d) {
  Cuts c = {.kernel = g->kernel[d], .step = g->stride[d], .padding = g->padding[d]};
  c.between = c.step == 1 ? SIDE : 1;
  c.count = c.step == 1         ? lp_ratio_up(c.kernel, SIDE)
            : c.kernel < c.step ? c.kernel
                                : c.step;
  for (int64_t a = 0; a < c.count; a++) {
    const int64_t end = place_of(&c, a) + taps_of(&c, a);
    if (end > c.span) c.span = end;
  }
  return c;
}

/* Do kernels of part a have this frequency? (As in LpWinogradTaps.) The last part has
 * the fewest taps, the others the same. */
static bool has(const Cuts *c, int64_t a, int frequency) {
  const int64_t place = place_of(c, a);
  return frequency == 1 || (frequency == 0 ? place == 0 : place + taps_of(c, a) == SIDE);
}

/* Where part (a, b) is among all: so that those with a frequency follow each other. Which
 * are all, or those that are not the last along h, along w, or both. */
static int64_t number_of(const Parts *p, int64_t a, int64_t b) {
  const int64_t last_a = p->cuts[0].count - 1, last_b = p->cuts[1].count - 1;
  if (b == last_b) return a < last_a ? a : last_a + last_a * last_b + last_b;
  return last_a + a * last_b + b;
}

static LpWinogradTaps taps_of_parts(const Parts *p, int64_t channels) {
  LpWinogradTaps t = {0};
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      for (int64_t a = 0; a < p->cuts[0].count; a++)
        for (int64_t b = 0; b < p->cuts[1].count; b++) {
          if (!has(&p->cuts[0], a, i) || !has(&p->cuts[1], b, j)) continue;
          const int64_t at = number_of(p, a, b) * channels;
          const bool is_first = t.end[i][j] == 0;
          if (is_first || at < t.begin[i][j]) t.begin[i][j] = at;
          if (is_first || at + channels > t.end[i][j]) t.end[i][j] = at + channels;
        }
  return t;
}

static bool set_parts(Parts *p, const LpConvGeometry *g) {
  *p = (Parts){.whole = g, .part = *g};
  if (g->ndim != 2 || g->groups != 1) return false;
  for (int d = 0; d < 2; d++) {
    if (g->stride[d] > 2 || g->dilation[d] != 1 ||
        (g->stride[d] == 2 && g->kernel[d] > 2 * SIDE))
      return false;
    p->cuts[d] = cuts_of(g, d);
    p->part.in[d] = g->out[d] + p->cuts[d].span - 1;
    p->part.kernel[d] = SIDE;
    p->part.stride[d] = 1;
    p->part.padding[d] = 0;
  }
  const int64_t parts = p->cuts[0].count * p->cuts[1].count;
  p->part.c = parts * g->c;
  p->taps = taps_of_parts(p, g->c);
  const int64_t bytes =
      p->part.in[0] * p->part.in[1] * p->part.c * (int64_t)sizeof(float);
  const int64_t most = bytes < CHUNK_BYTES ? CHUNK_BYTES / bytes : 1;
  p->images = lp_ratio_up(g->n, lp_ratio_up(g->n, most));
  p->part.n = p->images;
  return parts > 1;
}

/* --- weights
 * --------------------------------------------------------------------------------- */

/* Parts' weights out of those of the kernel, w; back adds them to it. */
typedef struct Cutting {
  const Parts *p;
  float *w, *parts;
  bool back;
} Cutting;

static void cut_pairs(void *ctx, int64_t begin, int64_t end) {
  const Cutting *cut = ctx;
  const Parts *p = cut->p;
  const LpConvGeometry *g = p->whole;
  const Cuts *high = &p->cuts[0], *wide = &p->cuts[1];
  const int64_t taps = SIDE * SIDE;
  for (int64_t kc = begin; kc < end; kc++)
    for (int64_t a = 0; a < high->count; a++)
      for (int64_t b = 0; b < wide->count; b++) {
        float *part =
            cut->parts +
            (kc / g->c * p->part.c + number_of(p, a, b) * g->c + kc % g->c) * taps;
        if (!cut->back) memset(part, 0, (size_t)taps * sizeof *part);
        for (int64_t i = 0; i < taps_of(high, a); i++)
          for (int64_t j = 0; j < taps_of(wide, b); j++) {
            const int64_t row = a * high->between + i * high->step,
                          column = b * wide->between + j * wide->step;
            float *whole = cut->w + (kc * high->kernel + row) * wide->kernel + column,
                  *one = part + (place_of(high, a) + i) * SIDE + place_of(wide, b) + j;
            if (cut->back)
              *whole += *one;
            else
              *one = *whole;
          }
      }
}

static void cut_weights(const Parts *p, float *w, float *parts, bool back) {
  Cutting cut = {p, w, parts, back};
  lp_parallel_for(p->whole->k * p->whole->c, LP_GRAIN / (SIDE * SIDE), cut_pairs, &cut);
}

/* --- images
 * ---------------------------------------------------------------------------------- */

/* Rows of the moved images. */
static void move_rows(void *ctx, int64_t begin, int64_t end) {
  const Parts *p = ctx;
  const LpConvGeometry *g = p->whole;
  const Cuts *high = &p->cuts[0], *wide = &p->cuts[1];
  const int64_t rows = p->part.in[0], columns = p->part.in[1], c = g->c;
  for (int64_t row = begin; row < end; row++)
    for (int64_t a = 0; a < high->count; a++) {
      const int64_t h = element_of(high, a, row % rows);
      const float *from = p->x + (row / rows * g->in[0] + h) * g->in[1] * c;
      for (int64_t b = 0; b < wide->count; b++) {
        float *to = p->moved + row * columns * p->part.c + number_of(p, a, b) * c;
        for (int64_t j = 0; j < columns; j++, to += p->part.c) {
          const int64_t w = element_of(wide, b, j);
          if (h < 0 || h >= g->in[0] || w < 0 || w >= g->in[1])
            memset(to, 0, (size_t)c * sizeof *to);
          else
            memcpy(to, from + w * c, (size_t)c * sizeof *to);
        }
      }
    }
}

/* The part and its element that an element of x is, with steps; false if there is none.
 */
static bool find_part(const Cuts *c, int64_t count, int64_t at, int64_t *a, int64_t *i) {
  for (*a = 0; *a < c->count; ++*a) {
    const int64_t from_first = at - element_of(c, *a, 0);
    *i = from_first / c->step;
    if (from_first >= 0 && from_first % c->step == 0) return *i < count;
  }
  return false;
}

/* Rows of x from the moved images, which have each of its elements at most once. */
static void move_back(void *ctx, int64_t begin, int64_t end) {
  const Parts *p = ctx;
  const LpConvGeometry *g = p->whole;
  const int64_t c = g->c;
  for (int64_t row = begin; row < end; row++) {
    int64_t a, i = 0, b, j;
    const bool has_row = find_part(&p->cuts[0], p->part.in[0], row % g->in[0], &a, &i);
    const float *from =
        p->moved + (row / g->in[0] * p->part.in[0] + i) * p->part.in[1] * p->part.c;
    float *to = p->x + row * g->in[1] * c;
    for (int64_t w = 0; w < g->in[1]; w++, to += c)
      if (has_row && find_part(&p->cuts[1], p->part.in[1], w, &b, &j))
        memcpy(to, from + j * p->part.c + number_of(p, a, b) * c, (size_t)c * sizeof *to);
      else
        memset(to, 0, (size_t)c * sizeof *to);
  }
}

/* --- passes
 * ---------------------------------------------------------------------------------- */

/* A chunk, of so many images from `first` on; `weights` are the parts'. */
static bool run_chunk(const LpConvCall *call, Parts *p, int64_t first, int64_t images,
                      float *weights) {
  const LpConvGeometry *g = p->whole;
  const bool back = call->pass == LP_CONV_INPUT_GRAD;
  float *y = (float *)call->y + first * g->out[0] * g->out[1] * g->k;
  const int64_t row = p->part.in[1] * p->part.c, grain = LP_GRAIN / (row + 1) + 1;
  p->x = (float *)call->x + first * g->in[0] * g->in[1] * g->c;
  p->part.n = images;
  if (!back) lp_parallel_for(images * p->part.in[0], grain, move_rows, p);
  const LpWinogradCall c = {.dtype = LP_FLOAT32,
                            .x = p->moved,
                            .y = y,
                            .w = weights,
                            .bias = call->b,
                            .taps = &p->taps};
  TRY(lp_winograd_run(call->pass, &p->part, &c));
  if (back) lp_parallel_for(images * g->in[0], grain, move_back, p);
  return true;
}

/* What makes it pay, as measured: multiplications saved, enough tiles, and few of their
 * 16 pixels outside the result, or away from x. */
#define LEAST_GAIN 2.0
#define LEAST_TILES 200
#define LEAST_SHARE_OF_PIXELS 0.85

/* How many times fewer multiplications a tile takes than by the direct algorithm. */
static double gain_of(const Parts *p) {
  double gain = 1;
  for (int d = 0; d < 2; d++) {
    const Cuts *c = &p->cuts[d];
    int64_t frequencies = 0;
    for (int64_t a = 0; a < c->count; a++) frequencies += 4 + has(c, a, 0) + has(c, a, 2);
    gain *= 4 * (double)c->kernel / (double)frequencies;
  }
  return gain;
}

bool lp_conv_parts_pays(LpConvPass pass, const LpConvGeometry *g) {
  Parts p;
  if (!set_parts(&p, g) || gain_of(&p) < LEAST_GAIN) return false;
  LpConvGeometry full = p.part;
  int64_t pixels = g->n, tiles = g->n;
  for (int d = 0; d < 2; d++) {
    if (pass == LP_CONV_INPUT_GRAD && p.cuts[d].step == 1 && p.cuts[d].count > 1)
      return false; /* parts overlap there */
    full.in[d] = g->out[d] + SIDE - 1;
    pixels *= lp_least(lp_ratio_up(g->in[d], g->stride[d]), g->out[d]);
    tiles *= lp_ratio_up(g->out[d], 4);
  }
  return tiles >= LEAST_TILES &&
         (double)pixels >= LEAST_SHARE_OF_PIXELS * (double)(16 * tiles) &&
         lp_winograd_pays(pass, &full, LP_FLOAT32, false);
}

bool lp_conv_parts(const LpConvCall *call, const LpConvGeometry *g) {
  Parts p;
  set_parts(&p, g);
  const size_t pixels = (size_t)(p.images * p.part.in[0] * p.part.in[1]),
               moved = pixels * (size_t)p.part.c,
               weights = (size_t)(g->k * p.part.c * SIDE * SIDE),
               own = (size_t)(g->k * g->c * g->kernel[0] * g->kernel[1]);
  size_t capacity;
  p.moved = lp_block_alloc((moved + weights) * sizeof *p.moved, &capacity);
  TRY(p.moved);
  float *parts = p.moved + moved;
  const bool to_w = call->pass == LP_CONV_WEIGHT_GRAD;
  if (to_w)
    memset(call->w, 0, own * sizeof(float));
  else
    cut_weights(&p, call->w, parts, false);
  bool ok = true;
  for (int64_t first = 0; ok && first < g->n; first += p.images) {
    ok = run_chunk(call, &p, first, lp_least(p.images, g->n - first), parts);
    if (ok && to_w) cut_weights(&p, call->w, parts, true);
  }
  lp_block_free(p.moved, capacity);
  return ok;
}
