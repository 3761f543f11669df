/* float32 convolutions of few channels, without groups, on channels-last memory: where
 * packing for the tile unit or transforming costs more than it saves.
 *
 * Note [Convolutions by windows]: the rows of x under a row of results are laid side by
 * side into a thread's near memory: for each column the channels of the first, of the
 * second, ... and zeros where there is padding. The window of a result is then one run of
 * numbers, and windows of neighbours begin a fixed step apart, so that a convolution is a
 * product of windows by weights, whose rows overlap. For results the sums of some
 * neighbours by some vectors of channels are held in registers; for the weights'
 * gradient those of some numbers of the window by some vectors of channels, over all
 * results of a band of rows. The gradient of the input, with steps of 1, is the
 * convolution of the result's by the kernel turned round.
 *
 * Sums are in an order that the number of threads does not change. Kernels:
 * cpu/simd/conv_windows.c. Owned by conv_windows.c. */
#ifndef LP_NN_CPU_CONV_WINDOWS_H
#define LP_NN_CPU_CONV_WINDOWS_H

#include "cpu/caps.h"
#include "cpu/conv.h"

/* Is there a kernel, and is it the fastest? Of float32, on channels-last memory. */
bool lp_conv_windows_pays(LpConvPass pass, const LpConvGeometry *g);

/* As lp_conv_run. */
bool lp_conv_windows(const LpConvCall *call, const LpConvGeometry *g);

/* --- kernels --- */

/* Windows of neighbours by a panel of channels of y. */
typedef struct LpWindows {
  const float *windows; /* of the first result */
  int64_t step;         /* floats from one window to the next */
  float *y;             /* of the first result, at the panel's first channel */
  int64_t k;            /* floats from one result to the next */
  int64_t channels;     /* of the panel, that are there */
  float *weights;       /* a whole panel of them for each number of a window */
  const float *bias;    /* a whole panel */
  const float *fetch;   /* of y: a line for each result is asked for; or NULL */
  int64_t rows;         /* results or numbers of a window: held in registers at once */
} LpWindows;

typedef struct LpWindowsKernels {
  int rows, columns; /* of a product in registers, at most; 0 without kernels */
  int lanes;         /* channels of a panel are a multiple of them */
  /* y = the windows by the weights, of `depth` numbers each; `times` times `rows`
   * results. */
  void (*multiply)(const LpWindows *w, int64_t depth, int64_t times);
  /* weights += the first `rows` numbers of windows by y, over `lines` rows of `count`
   * results; rows of windows are `pitch` floats apart. */
  void (*add_sums)(const LpWindows *w, int64_t count, int64_t lines, int64_t pitch);
  /* `count` columns of c floats, each `step` after the one before. */
  void (*lay)(float *to, int64_t step, const float *from, int64_t count, int64_t c);
} LpWindowsKernels;

LP_DISPATCH(LpWindowsKernels, lp_windows_kernels)

#endif
