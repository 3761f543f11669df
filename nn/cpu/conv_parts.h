/* float32 convolutions of images by kernels larger than 3 x 3, or with steps of 2, as a
 * sum of 3 x 3 ones by Winograd's algorithm (cpu/winograd.h), on channels-last memory:
 * forward, which makes the input's gradient as well by the turned kernel, the weights'
 * gradient, and with steps the input's gradient.
 *
 * Note [Parts of kernels]: a kernel is cut into parts of 3 x 3 taps, with zeros where it
 * has none: with steps of 1 taps that follow each other, with steps of 2 those at even
 * and at odd distances, which meet every second pixel each. The sum over the parts is a
 * sum over channels as well: of images that hold, for each part, all channels of x once,
 * moved by where the part lies in the kernel. That is a 3 x 3 convolution of so many
 * times the channels, without what is known to be zero (Note [Taps that are zero] in
 * cpu/winograd.h): a tile of 4 x 4 outputs takes 121 multiplications for a kernel of 5 x
 * 5 and 100 for one of 4 x 4 with steps, where the direct algorithm takes 400 and 256. A
 * chunk of images at a time is laid out so, and for the input's gradient laid back.
 *
 * Errors are Winograd's; a NaN or an infinity spreads a little farther than there. */
#ifndef LP_NN_CPU_CONV_PARTS_H
#define LP_NN_CPU_CONV_PARTS_H

#include "cpu/conv.h"

/* Does it serve, and is it faster than the direct kernel? */
bool lp_conv_parts_pays(LpConvPass pass, const LpConvGeometry *g);
/* As lp_conv_run, of such a geometry. */
bool lp_conv_parts(const LpConvCall *call, const LpConvGeometry *g);

#endif
