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

/* Does it take x as row-major planes as well? */
bool lp_conv_windows_read_planes(LpConvPass pass, const LpConvGeometry *g);

/* As lp_conv_run. */
bool lp_conv_windows(const LpConvCall *call, const LpConvGeometry *g);

/* --- kernels --- */

/* Windows of some lines of results, neighbours in each, by a panel of channels of y. */
typedef struct LpWindows {
  int64_t lines, count; /* of results; results of a line */
  const float *windows; /* of the first result */
  int64_t step,
      pitch;          /* floats from one window, and from one line of them, to the next */
  float *y;           /* of the first result, at the panel's first channel */
  int64_t k, y_pitch; /* floats from one result, and from one line of them, to the next */
  int64_t channels;   /* of the panel, that are there */
  float *weights;     /* a whole panel of them for each number of a window */
  const float *bias;  /* a whole panel */
  const float *fetch; /* of y: a line of cache for each result is asked for; or NULL */
} LpWindows;

/* Columns of a line that is laid: c floats, `channel` apart, `from_step` after those of
 * the column before; side by side, `step` after. */
typedef struct LpWindowsLine {
  const float *from;
  float *to;
  int64_t count, c, channel, from_step, step;
} LpWindowsLine;

typedef struct LpWindowsKernels {
  int rows, columns; /* of a product in registers, at most; 0 without kernels */
  int lanes;         /* channels of a panel are a multiple of them */
  /* y = the windows, of `depth` numbers each, by the weights; at once for `rows` results,
   * of which `count` is a multiple. */
  void (*multiply)(const LpWindows *w, int64_t rows, int64_t depth);
  /* weights += the first `rows` numbers of windows by y. */
  void (*add_sums)(const LpWindows *w, int64_t rows);
  void (*lay)(const LpWindowsLine *line);
} LpWindowsKernels;

LP_DISPATCH(LpWindowsKernels, lp_windows_kernels)

#endif
