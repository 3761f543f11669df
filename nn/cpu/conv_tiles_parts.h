/* Shared by the passes of convolutions by tiles: conv_tiles.c (forward, gradient of the
 * input), conv_tiles_grad.c (gradient of the weight), conv_tiles_result.c (how that is
 * written) and the loops that touch tiles: conv_tiles_words.c of bfloat16,
 * conv_tiles_floats.c of float32. See conv_tiles.h. */
#ifndef LP_NN_CPU_CONV_TILES_PARTS_H
#define LP_NN_CPU_CONV_TILES_PARTS_H

#include "core/whole.h"
#include "cpu/conv.h"

#define LP_TILES_LANES 16
#define LP_TILES_DEPTH 32 /* channels of a tile of A, or of two of B */
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

typedef struct LpTilesForm LpTilesForm;

/* A convolution from x to y, the residue of an input gradient, or the sums of a weight
 * gradient over both. */
typedef struct LpTilesSweep {
  const LpTilesForm *form;
  LpTilesAxis h, w;
  int64_t n, c, k; /* c: channels as packed */
  int64_t pitch;   /* channels of a pixel of x: c, or fewer where the taps of a row, which
                      lie side by side, are packed as channels */
  const char *x;
  char *y;
  const void *bias;
  const char *weights; /* packed */
  int64_t kernel_taps;
  /* Of taps: from the tile of an output's first phase; in the weights of a block of k. */
  int64_t down[LP_TILES_MOST_TAPS], across[LP_TILES_MOST_TAPS];
  int64_t w_down[LP_TILES_MOST_TAPS], w_across[LP_TILES_MOST_TAPS];
} LpTilesSweep;

/* A band of an image. */
typedef struct LpTilesLane {
  const char *image;     /* of x; NULL: no lane */
  char *to;              /* y, from the band's first output on */
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

/* A packed row of a lane, of all phases: the first pixel taken. */
typedef struct LpTilesRow {
  const char *pixels; /* NULL: outside */
  int64_t at;
} LpTilesRow;

/* Packed rows of all phases. */
static inline int64_t lp_tiles_rows(const LpTilesSweep *s) {
  return s->h.phases * s->w.phases * s->h.length;
}

/* --- axes and bands: conv_tiles.c */

/* Fills the sweep of a forward pass in; x, y, bias and weights are the caller's. */
void lp_tiles_forward(LpTilesSweep *s, const LpConvGeometry *g, const LpTilesForm *form);
/* Cuts the outputs into bands, so that what a strip of 16 takes fits in `budget` bytes:
 * place_bytes for each packed place, output_bytes for each output. Columns of a band are
 * packed in multiples of `unit`. */
void lp_tiles_cut(LpTilesSweep *s, int64_t place_bytes, int64_t output_bytes,
                  int64_t budget, int64_t unit);
/* Strips of 16 bands; the lanes of one. */
int64_t lp_tiles_strips(const LpTilesSweep *s);
void lp_tiles_lanes(const LpTilesSweep *s, int64_t strip,
                    LpTilesLane lanes[LP_TILES_LANES]);
void lp_tiles_find_row(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES],
                       int64_t row, LpTilesRow of[LP_TILES_LANES]);

/* Two outputs of all lanes, and the taps that reach a pixel for one of them: where their
 * tiles are, from an output's first one on, and from the weights' first one on. */
typedef struct LpTilesPair {
  int64_t row[2], column[2], place[2];
  bool is_first; /* the weights have not been used for this strip */
  int taps;
  int64_t at[LP_TILES_MOST_KERNEL], weights[LP_TILES_MOST_KERNEL];
} LpTilesPair;

/* --- conv_tiles_grad.c */

/* Where the gradient goes: w (k, c, taps), bfloat16 if rounded, else float32. */
typedef struct LpTilesResult {
  void *w;
  bool rounded;
} LpTilesResult;

bool lp_tiles_weight_grad(const LpConvGeometry *g, const LpTilesForm *form, const void *x,
                          const void *y, LpTilesResult to, bool *refused);

/* --- the loops
 *
 * A form of numbers: bfloat16, or float32 as three pieces (Note [Split products] in
 * cpu/gemm_split.h). What is packed has a tile for each piece where this says "tiles". */

/* A block of 32 outputs of the weights: (taps, depth, two tiles). `turned`: for the input
 * gradient, whose outputs are c. folded: the taps of a row are channels. */
typedef struct LpTilesWeights {
  const LpTilesForm *form;
  const void *w;              /* (k, c, taps) */
  int64_t k, c, taps, folded; /* folded: taps of a row, or 0 */
  bool turned;
} LpTilesWeights;

struct LpTilesForm {
  int64_t element; /* bytes of a number */
  int64_t pieces;

  /* The sources of the lanes as tiles: (phases, rows, columns, depth). Like all packing
   * that returns something, false when there is an infinity or a NaN, with which this
   * form cannot go on. */
  bool (*pack)(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES], char *to);
  bool (*pack_weights)(const LpTilesWeights *w, int64_t block, char *to);
  /* sums (2 outputs, 16 lanes, 32 channels) of a pair by a block of the weights; adds the
   * bias from channel k on, and stores one output of all lanes. */
  void (*multiply)(const LpTilesSweep *s, const LpTilesPair *p, const char *packed,
                   const char *weights, float *sums);
  void (*put)(const LpTilesSweep *s, const LpTilesLane lanes[LP_TILES_LANES], int64_t row,
              int64_t column, int64_t k, const float *sums);

  /* Packed for the weight gradient, a row of each: panels of 16 channels of x (for each
   * place 8 pairs of lanes) and of 16 channels of y (for each row and two columns a
   * tile). */
  bool (*pack_x)(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row, char *to);
  bool (*pack_y)(const LpTilesSweep *s, const LpTilesLane *lanes, int64_t row, char *to);
  /* sums (2, 2, 16, 16) of 32 k by 32 c [+]= what a strip gives for a tap; x, from where
   * the tap begins, and y are the two panels of each. */
  void (*sum_tap)(const LpTilesSweep *s, const char *x, const char *y, float *sums,
                  bool add);
};
extern const LpTilesForm lp_tiles_words, lp_tiles_floats;

/* Has the machine all that the kernels take? */
bool lp_tiles_supported(void);

/* Bytes of panels; of a piece of x's, which lie one after another. */
static inline int64_t lp_tiles_x_piece(const LpTilesSweep *s) {
  return lp_tiles_places(s) * (LP_TILES_BYTES / 2);
}
static inline int64_t lp_tiles_x_panel(const LpTilesSweep *s) {
  return lp_tiles_x_piece(s) * s->form->pieces;
}
static inline int64_t lp_tiles_y_panel(const LpTilesSweep *s) {
  return s->h.band * lp_ratio_up(s->w.band, 2) * LP_TILES_BYTES * s->form->pieces;
}
#define LP_TILES_SUM_FLOATS 1040 /* a tap; not of one set of a cache with the next */

/* The gradient in a block of 32 by 32, the sum of n sums that lie `step` apart. */
void lp_tiles_finish(const LpTilesSweep *s, int64_t k_block, int64_t c_block,
                     const float *sums, int64_t step, int64_t n, const LpTilesResult *to);

#endif
