/* The weight gradient of depthwise convolutions, a channel a group, of float32 or
 * bfloat16 on channels-last memory. For float32 oneDNN has a kernel for 3 x 3 taps that
 * lie together; others it leaves to one that pads each channel to sixteen. Driver in
 * depthwise.c. */
#ifndef LP_NN_CPU_DEPTHWISE_H
#define LP_NN_CPU_DEPTHWISE_H

#include "cpu/caps.h"
#include "cpu/conv.h"

#define LP_DEPTHWISE_LANES 16 /* channels at a time: the least number of them */

/* Is the convolution such a one, and oneDNN without a kernel for it? */
bool lp_depthwise_serves(const LpConvGeometry *g, LpDtype dtype);

/* w (channels, kernel), float32, from x (n, in, channels) and the result's gradient y (n,
 * out, channels), both in that dtype. Sums do not depend on the number of threads. False
 * when memory is out. */
bool lp_depthwise_weight_grad(const LpConvGeometry *g, LpDtype dtype, const void *x,
                              const void *y, float *w);

/* Dims in order depth, height, width; those that are missing have size and kernel 1. */
typedef struct LpDepthwise {
  int64_t channels, in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  bool half; /* x and y are bfloat16, not floats */
  const void *x, *y;
} LpDepthwise;

/* sums (taps, LANES) += those of output rows [begin, end) of all images, for the channels
 * from `channel` on. */
typedef struct LpDepthwiseKernels {
  void (*sums)(const LpDepthwise *d, int64_t channel, int64_t begin, int64_t end,
               float *sums);
} LpDepthwiseKernels;

LP_DISPATCH(LpDepthwiseKernels, lp_depthwise_kernels)

#endif
