/* Shared by the passes of Winograd's convolution: winograd.c (forward, gradient of the
 * input) and winograd_grad.c (gradient of the weights). See winograd.h. */
#ifndef LP_NN_CPU_WINOGRAD_PARTS_H
#define LP_NN_CPU_WINOGRAD_PARTS_H

#include <stdatomic.h>
#include <string.h>
#include "cpu/winograd.h"
#include "cpu/winograd_kernels.h"
#include "cpu/winograd_split.h"

typedef struct Image {
  char *data; /* (n, h, w, channels) */
  int64_t h, w, channels;
} Image;

typedef struct Range {
  int64_t begin, end;
} Range;

/* The order in which tiles are numbered, by shape: those that have a frequency are one
 * range. */
enum { SHAPES = 4 };
static const LpWinogradShape shapes[SHAPES] = {
    LP_WINOGRAD_SHORT_ACROSS, LP_WINOGRAD_WHOLE, LP_WINOGRAD_SHORT_DOWN,
    LP_WINOGRAD_SHORT_DOWN | LP_WINOGRAD_SHORT_ACROSS};

/* The forward pass and the input gradient are one: from `source` to `result`. The weight
 * gradient reads both. */
typedef struct Plan {
  Image source, result;
  int64_t pad[2], images;
  int64_t whole[2], shorter[2]; /* tiles down and across an image */
  int64_t tiles, first[SHAPES]; /* those of a shape follow each other */
  const LpWinogradTiles *of;    /* the tiles' size */
  LpWinogradShape kind;         /* of all tiles' pixels */
  int64_t size;                 /* bytes of a pixel's number */
  bool pieces;                  /* the form of the products' operands */
  const LpWinogradTaps *taps;
  LpWinogradWeights weights; /* of all channels */
  const void *bias;
} Plan;

static inline int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

static inline int64_t lanes(void) {
  return lp_winograd_table()->lanes;
}

/* The upper left corner of a tile in the result. */
typedef struct Corner {
  int64_t image, row, column;
  LpWinogradShape shape;
} Corner;

static inline Corner corner_of(const Plan *p, int64_t tile) {
  int s = SHAPES - 1;
  while (tile < p->first[s]) s--;
  const bool is_short[2] = {shapes[s] & LP_WINOGRAD_SHORT_DOWN,
                            shapes[s] & LP_WINOGRAD_SHORT_ACROSS};
  const int64_t down = is_short[0] ? p->shorter[0] : p->whole[0],
                across = is_short[1] ? p->shorter[1] : p->whole[1];
  tile -= p->first[s];
  const int64_t in_image = tile % (down * across);
  int64_t at[2] = {in_image / across, in_image % across};
  for (int d = 0; d < 2; d++)
    at[d] = is_short[d] ? p->whole[d] * p->of->tile + at[d] * (p->of->tile - 1)
                        : at[d] * p->of->tile;
  return (Corner){tile / (down * across), at[0], at[1], shapes[s] | p->kind};
}

/* Of `count` tiles from the one numbered `from` on, those that have frequency f, counted
 * from it. */
static inline Range range_of(const Plan *p, int f, int64_t from, int64_t count) {
  const int dropped = p->of->side - 2;
  const bool down = f / p->of->side == dropped, across = f % p->of->side == dropped;
  const int64_t begin = p->first[across ? 1 : 0] - from, end = (down     ? p->first[2]
                                                                : across ? p->first[3]
                                                                         : p->tiles) -
                                                               from;
  Range r = {begin > 0 ? begin : 0, end < count ? end : count};
  if (r.end < r.begin) r.end = r.begin = 0;
  return r;
}

/* Of `count` channels of x those whose kernels have frequency f. */
static inline Range channels_of(const Plan *p, int f, int64_t count) {
  if (!p->taps) return (Range){0, count};
  int kind[2] = {f / LP_WINOGRAD_SIDE, f % LP_WINOGRAD_SIDE}; /* larger tiles have none */
  for (int d = 0; d < 2; d++) {
    kind[d] = kind[d] == 0 ? 0 : kind[d] == LP_WINOGRAD_SIDE - 1 ? 2 : 1;
    if (p->weights.flipped) kind[d] = 2 - kind[d];
  }
  return (Range){p->taps->begin[kind[0]][kind[1]], p->taps->end[kind[0]][kind[1]]};
}

/* The same as columns of a product, counted from its first one, `from`: whole panels. */
static inline Range columns_of(const Plan *p, int f, int64_t from, int64_t columns) {
  const int64_t panel = 2 * lanes();
  if (!p->taps) return (Range){0, columns};
  Range r = channels_of(p, f, 0);
  r.begin = r.begin / panel * panel - from;
  r.end = round_up(r.end, panel) - from;
  if (r.begin < 0) r.begin = 0;
  if (r.end > columns) r.end = columns;
  if (r.end <= r.begin) r.begin = r.end = 0;
  return r;
}

/* Some rows of floats, `ld` apart, become 0. */
static inline void clear_rows(float *to, int64_t ld, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows && columns > 0; r++)
    memset(to + r * ld, 0, (size_t)columns * sizeof *to);
}

/* The pixels of a square, from some channel on; `missing` for those outside. */
static inline void find_pixels(const Plan *p, const Image *of, int64_t image, int64_t row,
                               int64_t column, int side, int64_t channel, void *missing,
                               void **pixels) {
  const int64_t bytes = of->channels * p->size;
  char *base = of->data + image * of->h * of->w * bytes + channel * p->size;
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++) {
      const int64_t h = row + i, w = column + j;
      const bool inside = h >= 0 && h < of->h && w >= 0 && w < of->w;
      *pixels++ = inside ? base + (h * of->w + w) * bytes : missing;
    }
}

static inline LpWinogradShape find_source(const Plan *p, int64_t tile, void *zeros,
                                          void **pixels) {
  const Corner at = corner_of(p, tile);
  find_pixels(p, &p->source, at.image, at.row - p->pad[0], at.column - p->pad[1],
              p->of->side, 0, zeros, pixels);
  return at.shape;
}

/* Frequencies of an operand lie a little more than a multiple of a page apart, so that
 * those of a tile do not share a set of the cache. */
#define APART 192

/* Of the weight gradient: tiles that are contracted over at once, and parts of them all
 * that have sums of their own. */
#define LP_WINOGRAD_GROUP LP_WINOGRAD_BLOCK
#define LP_WINOGRAD_PARTS 8

/* Columns of B are made so many at a time. */
static inline int64_t columns_at_once(const Plan *p) {
  return p->pieces ? LP_WINOGRAD_BLOCK : lanes();
}

static inline int64_t blocks_of(int64_t n) {
  return (n + LP_WINOGRAD_BLOCK - 1) / LP_WINOGRAD_BLOCK;
}

/* Products of all frequencies: C (rows, columns) = [C +] A B. */
typedef struct Products {
  const char *a, *b;
  char *c;
  int64_t step_a, step_b, step_c, rows, columns, depth, ldc;
  int64_t first; /* column of all */
  bool add;
} Products;

/* Those of frequency f, of pieces, for some blocks of rows. */
void lp_winograd_multiply_pieces(const Products *m, int f, Range blocks);

/* The number of the next piece of work, or one beyond all when an interrupt came. */
#define NO_MORE ((int64_t)1 << 40)
static inline int64_t take(_Atomic int64_t *next) {
  if (lp_interrupt_pending()) atomic_store(next, NO_MORE);
  return atomic_fetch_add(next, 1);
}

static inline bool stopped(_Atomic bool *refused) {
  return atomic_load(refused) || lp_interrupt_pending();
}

/* Writes the weights' gradient. *refused: pieces do not do, a NaN or an infinity
 * came; false: out of memory. An interrupt leaves it early, pending. */
bool lp_winograd_weight_grad(const Plan *p, bool *refused);

#endif
