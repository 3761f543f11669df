/* float32 and bfloat16 convolutions of thin groups, each of fewer channels than a vector
 * has lanes, on channels-last memory: all passes but the inputs' gradient, which with
 * steps of 1 is the forward pass of the turned kernel.
 *
 * Note [Thin groups]: a vector of results holds all channels of some whole groups, a
 * block. Their input channels are one stretch of a pixel, and a result's sum takes the
 * j-th input channel of its own group: the stretch with its lanes put in another order,
 * once for each j. What some results of a row reach is laid so into a thread's nearest
 * memory, all orders of each pixel, with zeros where there is padding; the rows that the
 * kernel takes stay there until they are passed. Then every product is one of whole
 * vectors, and no lane counts channels of another group, as kernels that pad each group
 * would. bfloat16 is widened where it is laid and rounded where results are stored.
 *
 * Sums are in an order that the number of threads does not change. Kernels:
 * cpu/simd/conv_thin.c. Owned by conv_thin.c. */
#ifndef LP_NN_CPU_CONV_THIN_H
#define LP_NN_CPU_CONV_THIN_H

#include "cpu/caps.h"
#include "cpu/conv.h"

/* Is there a kernel, and is it the fastest? */
bool lp_conv_thin_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype);
/* As lp_conv_run, forward or for the weights' gradient. */
bool lp_conv_thin(const LpConvCall *call, const LpConvGeometry *g);

/* --- kernels --- */

/* Lanes of a vector, results of a short row, and rows of the kernel (depth times height),
 * at most. */
#define LP_THIN_LANES 16
#define LP_THIN_SHORT_ROW 8
#define LP_THIN_ROWS 64

/* A block of groups, and the part of the convolution that concerns it. Dims in order
 * depth, height, width; those that are missing have size and kernel 1. */
typedef struct LpThin {
  int64_t c, k;           /* channels of a pixel of x, and of y */
  int64_t each, results;  /* of a group: input channels, results */
  int64_t channels, used; /* of the block: input channels, results */
  int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  int64_t first, count;  /* results of a row that are asked for */
  int64_t width, slots;  /* pixels of a row that is laid for them; rows of a plane */
  const int32_t *orders; /* (each, lanes): of a block's channels, for each j */
  bool half;             /* x and y are bfloat16, not floats */
  const void *x, *y;     /* the first pixel, from the block's first channel on */
  const float *weights, *bias; /* (taps, each, lanes), (lanes) */
  float *laid;                 /* (kernel[0], slots, width, each, lanes) */
  int64_t *rows;               /* (kernel[0], slots): of x that are laid there, or -1 */
} LpThin;

typedef struct LpThinKernels {
  int lanes;   /* 0: there is none */
  int results; /* that are computed together */
  /* Those of result rows [begin, end) of all images into y. */
  void (*multiply)(const LpThin *t, int64_t begin, int64_t end);
  /* Adds products with those rows of y to sums (taps, each, lanes). `row` has room for
   * (count, lanes). */
  void (*add_sums)(const LpThin *t, int64_t begin, int64_t end, float *row, float *sums);
} LpThinKernels;

LP_DISPATCH(LpThinKernels, lp_thin_kernels)

#endif
