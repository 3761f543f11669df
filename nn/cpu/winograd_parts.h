/* Shared by the passes of Winograd's convolution: winograd.c (forward, gradient of the
 * input) and winograd_grad.c (gradient of the weights). See winograd.h. */
#ifndef LP_NN_CPU_WINOGRAD_PARTS_H
#define LP_NN_CPU_WINOGRAD_PARTS_H

#include <stdatomic.h>
#include "cpu/winograd_kernels.h"
#include "cpu/winograd_split.h"

typedef struct Image {
  float *data; /* (n, h, w, channels) */
  int64_t h, w, channels;
} Image;

/* The forward pass and the input gradient are one: from `source` to `result`. The weight
 * gradient reads both. */
typedef struct Plan {
  Image source, result;
  int64_t pad[2], across, tiles_per_image, tiles;
  bool pieces;               /* the form of the products' operands */
  LpWinogradWeights weights; /* of all channels; unless a weight gradient */
  const float *bias;
} Plan;

static inline int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

/* The upper left corner of a tile in the result. */
typedef struct Corner {
  int64_t image, row, column;
} Corner;

static inline Corner corner_of(const Plan *p, int64_t tile) {
  const int64_t in_image = tile % p->tiles_per_image;
  return (Corner){tile / p->tiles_per_image, in_image / p->across * LP_WINOGRAD_TILE,
                  in_image % p->across * LP_WINOGRAD_TILE};
}

/* The pixels of a square; `missing` for those outside. */
static inline void find_pixels(const Image *of, int64_t image, int64_t row,
                               int64_t column, int side, float *missing, float **pixels) {
  float *base = of->data + image * of->h * of->w * of->channels;
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++) {
      const int64_t h = row + i, w = column + j;
      const bool inside = h >= 0 && h < of->h && w >= 0 && w < of->w;
      *pixels++ = inside ? base + (h * of->w + w) * of->channels : missing;
    }
}

static inline void find_source(const Plan *p, int64_t tile, float *zeros,
                               float **pixels) {
  const Corner at = corner_of(p, tile);
  find_pixels(&p->source, at.image, at.row - p->pad[0], at.column - p->pad[1],
              LP_WINOGRAD_SIDE, zeros, pixels);
}

/* Frequencies of an operand lie a little more than a multiple of a page apart, so that
 * those of a tile do not share a set of the cache. */
#define APART 192

static inline int64_t lanes(void) {
  return lp_winograd_table()->lanes;
}

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
  bool add;
} Products;

/* Those of frequency f, of pieces. */
void lp_winograd_multiply_pieces(const Products *m, int f);

/* The number of the next piece of work, or one beyond all when an interrupt came. */
#define NO_MORE ((int64_t)1 << 40)
static inline int64_t take(_Atomic int64_t *next) {
  if (lp_interrupt_pending()) atomic_store(next, NO_MORE);
  return atomic_fetch_add(next, 1);
}

static inline bool stopped(_Atomic bool *refused) {
  return atomic_load(refused) || lp_interrupt_pending();
}

/* Sums the weights' gradient into w. *refused: pieces do not do, a NaN or an infinity
 * came; false: out of memory. An interrupt leaves it early, pending. */
bool lp_winograd_weight_grad(const Plan *p, float *w, bool *refused);

#endif
