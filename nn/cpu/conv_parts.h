/* float32 convolutions of images by kernels larger than 3 x 3, as a sum of 3 x 3 ones by
 * Winograd's algorithm (cpu/winograd.h), on channels-last memory: forward, which makes
 * the input's gradient as well by the turned kernel, and the weights' gradient.
 *
 * Note [Parts of kernels]: a kernel is cut into parts of 3 x 3 taps, with zeros where the
 * last ones reach beyond it. The sum over the parts is a sum over channels as well: of
 * images that hold, for each part, all channels of x once, moved by where the part lies
 * in the kernel. That is a 3 x 3 convolution of so many times the channels; for a kernel
 * of 5 x 5 it takes 9 multiplications where the direct algorithm takes 25. A chunk of
 * images at a time is laid out so. The weights' gradient loses what belongs to the zeros.
 *
 * Errors are Winograd's; a NaN or an infinity spreads one output farther than there. */
#ifndef LP_NN_CPU_CONV_PARTS_H
#define LP_NN_CPU_CONV_PARTS_H

#include "cpu/conv.h"

/* Does it serve, and is it faster than the direct kernel? */
bool lp_conv_parts_pays(LpConvPass pass, const LpConvGeometry *g);
/* As lp_conv_run, of such a geometry. */
bool lp_conv_parts(const LpConvCall *call, const LpConvGeometry *g);

#endif
