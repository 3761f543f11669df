/* float32 convolutions of few channels, without groups, forward and for the weights'
 * gradient, on channels-last memory: too few for whole vectors of them, and for the cost
 * of packing for the tile unit or of Winograd's transforms.
 *
 * Note [Convolutions by windows]: the rows of x that a band of rows of results needs are
 * laid one after the other into a thread's nearest memory, with zeros where there is
 * padding. There the window of a result is a few runs of numbers, one for each row of the
 * kernel, and the windows of neighbours begin a fixed step apart: a convolution is a
 * product of windows by weights that needs no copy of each window. For results, the sums
 * of some neighbours by some vectors of channels are held in registers; for the weights'
 * gradient those of some numbers of the window by some vectors of channels, over all
 * results of the band.
 *
 * Sums are in an order that the number of threads does not change. Kernels:
 * cpu/simd/conv_windows.c. Owned by conv_windows.c. */
#ifndef LP_NN_CPU_CONV_WINDOWS_H
#define LP_NN_CPU_CONV_WINDOWS_H

#include "cpu/caps.h"
#include "cpu/conv.h"

/* Is there a kernel, and is it the fastest? Of float32, on channels-last memory. */
bool lp_conv_windows_pays(LpConvPass pass, const LpConvGeometry *g);

/* So many channels of a row-major x are laid at once; more are sooner reordered before.
 */
#define LP_WINDOWS_PLANES 4

/* As lp_conv_run; x may be row-major. */
bool lp_conv_windows(const LpConvCall *call, const LpConvGeometry *g);

/* --- kernels --- */

/* Windows of some lines of results, neighbours in each, by a panel of channels of y. */
typedef struct LpWindows {
  int64_t lines, count; /* of results; results of a line */
  const float *windows; /* of the first result */
  int64_t step, pitch;  /* floats from a window, and from a line of them, to the next */
  const int64_t *runs;  /* of a window: where they begin; how many; numbers of each */
  int64_t n_runs, run;
  float *y;           /* of the first result, at the panel's first channel */
  int64_t k, y_pitch; /* floats from a result, and from a line of them, to the next */
  int64_t channels;   /* of the panel, that are there */
  float *weights;     /* for each number of a window: a whole panel */
  const float *bias;  /* a whole panel */
  const float *fetch; /* of y: a line of cache for each result is asked for; or NULL */
} LpWindows;

#define LP_WINDOWS_LINE 16     /* floats of a line of the cache */
#define LP_WINDOWS_MOST_RUNS 3 /* of which sums are held at once */

typedef struct LpWindowsKernels {
  int rows, columns; /* of a product in registers, at most; 0 without kernels */
  int lanes;         /* channels of a panel are a multiple of them */
  /* y = the windows by the weights; at once for `rows` results, of which `count` is a
   * multiple. */
  void (*multiply)(const LpWindows *w, int64_t rows);
  /* weights += the windows by y: of up to MOST_RUNS runs, with as many numbers in all as
   * rows, or twice as many by a panel of `lanes` channels. */
  void (*add_sums)(const LpWindows *w);
  /* (count, c) from c planes, up to LP_WINDOWS_PLANES, that begin `plane` floats apart.
   */
  void (*interleave)(float *to, const float *planes, int64_t plane, int64_t count,
                     int64_t c);
} LpWindowsKernels;

LP_DISPATCH(LpWindowsKernels, lp_windows_kernels)

#endif
