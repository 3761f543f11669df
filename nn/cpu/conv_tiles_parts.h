/* Shared by the passes of convolutions by tiles: conv_tiles.c (forward, gradient of the
 * input), conv_tiles_grad.c (gradient of the weight) and the loops that touch tiles,
 * conv_tiles_kernels.c and conv_tiles_grad_kernels.c. See conv_tiles.h. */
#ifndef LP_NN_CPU_CONV_TILES_PARTS_H
#define LP_NN_CPU_CONV_TILES_PARTS_H

#include "core/whole.h"
#include "cpu/conv.h"

#define LP_TILES_LANES 16
#define LP_TILES_DEPTH                                                                   \
  32 /* channels of a tile of A; two tiles of B have so many, too                        \
      */
#define LP_TILES_BYTES 1024
#define LP_TILES_MOST_TAPS 16   /* along an axis */
#define LP_TILES_MOST_KERNEL 64 /* in all */

/* Output o takes from source pixels o * step + first[tap]. Those are packed by phases,
 * the residues of the step that occur: place i of a phase is the pixel low + phase + i *
 * step, counted from a band's first. */
typedef struct LpTilesAxis {
  int64_t in, out, step;
  int taps, phases;
  int64_t first[LP_TILES_MOST_TAPS];
  int64_t weight[LP_TILES_MOST_TAPS]; /* which tap of the kernel */
  int64_t phase[LP_TILES_MOST_TAPS];
  int64_t of_phase[LP_TILES_MOST_TAPS], shift[LP_TILES_MOST_TAPS]; /* of a tap */
  int64_t low, reach;          /* the lowest first; the greatest shift */
  int64_t place, gap, whole;   /* o lies at place + o * gap of `whole` in the result */
  int64_t band, bands, length; /* outputs at once; packed places of a phase */
} LpTilesAxis;

/* A convolution from x to y, the residue of an input gradient, or the sums of a weight
 * gradient over both. */
typedef struct LpTilesSweep {
  LpTilesAxis h, w;
  int64_t n, c, k; /* c: channels as packed */
  int64_t pitch;   /* channels of a pixel of x: c, or fewer where the taps of a row, which
                      lie side by side, are packed as channels */
  const uint16_t *x, *bias;
  uint16_t *y;
  const char *weights; /* packed */
  int64_t kernel_taps;
  /* Of taps: from the tile of an output's first phase; in the weights of a block of k. */
  int64_t down[LP_TILES_MOST_TAPS], across[LP_TILES_MOST_TAPS];
  int64_t w_down[LP_TILES_MOST_TAPS], w_across[LP_TILES_MOST_TAPS];
} LpTilesSweep;

/* A band of an image. */
typedef struct LpTilesLane {
  const uint16_t *image; /* of x; NULL: no lane */
  uint16_t *to;          /* y, from the band's first output on */
  int64_t row, column;   /* the first output */
  int64_t rows, columns; /* outputs that exist */
} LpTilesLane;

/* Blocks of 32 channels. */
static inline int64_t lp_tiles_depth(int64_t channels) {
  return lp_ratio_up(channels, LP_TILES_DEPTH);
}

static inline int64_t lp_tiles_places(const LpTilesSweep *s) {
  return s->h.phases * s->w.phases * s->h.length * s->w.length;
}

/* Packed rows of all phases; the row of a lane, and the first pixel taken of it. */
typedef struct LpTilesRow {
  const uint16_t *words; /* NULL: outside */
  int64_t at;
} LpTilesRow;

static inline int64_t lp_tiles_rows(const LpTilesSweep *s) {
  return s->h.phases * s->w.phases * s->h.length;
}

static inline LpTilesRow lp_tiles_row(const LpTilesSweep *s, const LpTilesLane *lane,
                                      int64_t row) {
  const int64_t i = row % s->h.length, q = row / s->h.length % s->w.phases,
                p = row / s->h.length / s->w.phases,
                at = (lane->row + i) * s->h.step + s->h.low + s->h.phase[p];
  LpTilesRow r = {.at = lane->column * s->w.step + s->w.low + s->w.phase[q]};
  if (lane->image && at >= 0 && at < s->h.in)
    r.words = lane->image + at * s->w.in * s->pitch;
  return r;
}

/* --- axes and bands: conv_tiles.c */

/* Fills the sweep of a forward pass in; x, y, bias and weights are the caller's. */
void lp_tiles_forward(LpTilesSweep *s, const LpConvGeometry *g);
/* Cuts the outputs into bands, so that what a strip of 16 takes fits in `budget` bytes:
 * place_bytes for each packed place, output_bytes for each output. Columns of a band are
 * packed in multiples of `unit`. */
void lp_tiles_cut(LpTilesSweep *s, int64_t place_bytes, int64_t output_bytes,
                  int64_t budget, int64_t unit);
/* Strips of 16 bands; the lanes of one. */
int64_t lp_tiles_strips(const LpTilesSweep *s);
void lp_tiles_lanes(const LpTilesSweep *s, int64_t strip,
                    LpTilesLane lanes[LP_TILES_LANES]);

/* --- conv_tiles_grad.c */

/* Where the gradient goes: w (k, c, taps), bfloat16 if rounded, else float32. */
typedef struct LpTilesResult {
  void *w;
  bool rounded;
} LpTilesResult;

bool lp_tiles_weight_grad(const LpConvGeometry *g, const uint16_t *x, const uint16_t *y,
                          LpTilesResult to, bool *refused);

/* --- conv_tiles_kernels.c */

/* Has the machine all that the kernels take? */
bool lp_tiles_supported(void);

/* The sources of the lanes as tiles: (phases, rows, columns, depth). */
void lp_tiles_pack(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                   char *to);

/* A block of 32 outputs of the weights: (taps, depth, two tiles). `turned`: for the input
 * gradient, whose outputs are c. folded: the taps of a row are channels. */
typedef struct LpTilesWeights {
  const uint16_t *w;          /* (k, c, taps) */
  int64_t k, c, taps, folded; /* folded: taps of a row, or 0 */
  bool turned;
} LpTilesWeights;
int64_t lp_tiles_weight_block(const LpTilesWeights *w); /* its bytes */
void lp_tiles_pack_weights(const LpTilesWeights *w, int64_t block, char *to);

/* All outputs of a strip in blocks [from, to) of 32 channels: few enough that their
 * weights stay in a near cache. */
void lp_tiles_multiply(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                       const char *packed, int64_t from, int64_t to);

/* --- conv_tiles_grad_kernels.c */

/* Packed for the weight gradient: panels of 16 channels of x (for each place 8 pairs of
 * lanes) and of 16 channels of y (for each row and two columns a tile). */
static inline int64_t lp_tiles_x_panel(const LpTilesSweep *s) {
  return lp_tiles_places(s) * (LP_TILES_BYTES / 2);
}
static inline int64_t lp_tiles_y_panel(const LpTilesSweep *s) {
  return s->h.band * lp_ratio_up(s->w.band, 2) * LP_TILES_BYTES;
}
/* A packed row of x; a row of y. False when there is an infinity or a NaN.
 */
bool lp_tiles_pack_x(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                     char *to);
bool lp_tiles_pack_y(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row,
                     char *to);
/* sums (taps, 2, 2, 16, 16) of 32 k by 32 c [+]= what a strip gives; x and y are the two
 * panels of each. */
#define LP_TILES_SUM_FLOATS 1040 /* a tap; not of one set of a cache with the next */
void lp_tiles_sum(const LpTilesSweep *s, const char *x, const char *y, float *sums,
                  bool add);
/* The gradient in a block of 32 by 32, the sum of n sums that lie `step` apart. */
void lp_tiles_finish(const LpTilesSweep *s, int64_t k_block, int64_t c_block,
                     const float *sums, int64_t step, int64_t n, const LpTilesResult *to);

#endif
