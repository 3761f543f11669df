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
/* What makes it pay, as measured: few taps that are none of the kernel's, enough tiles,
 * and few of their 16 pixels outside the result, or away from x. */
#define LEAST_SHARE_OF_TAPS 0.65
#define LEAST_TILES 200
#define LEAST_SHARE_OF_PIXELS 0.85

typedef struct Parts {
  const LpConvGeometry *whole;
  LpConvGeometry part; /* of an image; its channels: (part along h, along w, c) */
  int64_t high, wide;  /* parts of the kernel */
  int64_t images;      /* of a chunk */
  const float *x;      /* the images of the chunk in hand */
  float *moved;
} Parts;

static bool set_parts(Parts *p, const LpConvGeometry *g) {
  *p = (Parts){.whole = g, .part = *g};
  if (g->ndim != 2 || g->groups != 1) return false;
  for (int d = 0; d < 2; d++) {
    if (g->stride[d] != 1 || g->dilation[d] != 1) return false;
    p->part.in[d] = g->out[d] + SIDE - 1;
    p->part.kernel[d] = SIDE;
    p->part.padding[d] = 0;
  }
  p->high = lp_ratio_up(g->kernel[0], SIDE);
  p->wide = lp_ratio_up(g->kernel[1], SIDE);
  p->part.c = p->high * p->wide * g->c;
  const int64_t bytes =
      p->part.in[0] * p->part.in[1] * p->part.c * (int64_t)sizeof(float);
  const int64_t most = bytes < CHUNK_BYTES ? CHUNK_BYTES / bytes : 1;
  p->images = lp_ratio_up(g->n, lp_ratio_up(g->n, most));
  p->part.n = p->images;
  return p->high * p->wide > 1;
}

/* --- weights
 * --------------------------------------------------------------------------------- */

/* Parts' weights out of those of the kernel, w; back adds them to it. */
static void cut_weights(const Parts *p, float *w, float *parts, bool back) {
  const LpConvGeometry *g = p->whole;
  const int64_t h = g->kernel[0], wide = g->kernel[1], taps = SIDE * SIDE;
  if (!back) memset(parts, 0, (size_t)(g->k * p->part.c * taps) * sizeof *parts);
  for (int64_t k = 0; k < g->k; k++, parts += p->part.c * taps)
    for (int64_t c = 0; c < g->c; c++)
      for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < wide; j++, w++) {
          const int64_t part = i / SIDE * p->wide + j / SIDE;
          float *to = parts + (part * g->c + c) * taps + i % SIDE * SIDE + j % SIDE;
          if (back)
            *w += *to;
          else
            *to = *w;
        }
}

/* --- images
 * ---------------------------------------------------------------------------------- */

/* Rows of the moved images. */
static void move_rows(void *ctx, int64_t begin, int64_t end) {
  const Parts *p = ctx;
  const LpConvGeometry *g = p->whole;
  const int64_t rows = p->part.in[0], columns = p->part.in[1], c = g->c;
  float *to = p->moved + begin * columns * p->part.c;
  for (int64_t row = begin; row < end; row++)
    for (int64_t j = 0; j < columns; j++)
      for (int64_t a = 0; a < p->high; a++) {
        const int64_t h = row % rows + a * SIDE - g->padding[0];
        const float *from = p->x + (row / rows * g->in[0] + h) * g->in[1] * c;
        for (int64_t b = 0; b < p->wide; b++, to += c) {
          const int64_t w = j + b * SIDE - g->padding[1];
          if (h < 0 || h >= g->in[0] || w < 0 || w >= g->in[1])
            memset(to, 0, (size_t)c * sizeof *to);
          else
            memcpy(to, from + w * c, (size_t)c * sizeof *to);
        }
      }
}

/* --- passes
 * ---------------------------------------------------------------------------------- */

/* A chunk, of so many images from `first` on; `weights` are the parts'. */
static bool run_chunk(const LpConvCall *call, Parts *p, int64_t first, int64_t images,
                      float *weights) {
  const LpConvGeometry *g = p->whole;
  float *y = (float *)call->y + first * g->out[0] * g->out[1] * g->k;
  const int64_t row = p->part.in[1] * p->part.c, grain = LP_GRAIN / (row + 1) + 1;
  p->x = (const float *)call->x + first * g->in[0] * g->in[1] * g->c;
  p->part.n = images;
  lp_parallel_for(images * p->part.in[0], grain, move_rows, p);
  const LpWinogradCall c = {
      .dtype = LP_FLOAT32, .x = p->moved, .y = y, .w = weights, .bias = call->b};
  return lp_winograd_run(call->pass, &p->part, &c);
}

bool lp_conv_parts_pays(LpConvPass pass, const LpConvGeometry *g) {
  Parts p;
  if (pass == LP_CONV_INPUT_GRAD || !set_parts(&p, g) ||
      !lp_winograd_pays(pass, &p.part, LP_FLOAT32, false))
    return false;
  const int64_t taps = g->kernel[0] * g->kernel[1], parts = p.high * p.wide * SIDE * SIDE,
                pixels =
                    g->n * lp_least(g->in[0], g->out[0]) * lp_least(g->in[1], g->out[1]),
                tiles = g->n * lp_ratio_up(g->out[0], 4) * lp_ratio_up(g->out[1], 4);
  return (double)taps >= LEAST_SHARE_OF_TAPS * (double)parts && tiles >= LEAST_TILES &&
         (double)pixels >= LEAST_SHARE_OF_PIXELS * (double)(16 * tiles);
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
