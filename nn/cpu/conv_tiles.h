/* Convolutions by the tile unit (AMX), of bfloat16 and of float32 in pieces: forward,
 * gradient of the input, gradient of the weight, in 1 and 2 dims without groups, on
 * channels-last memory.
 *
 * Note [Convolutions by tiles]: a tile of A holds 32 channels of one source pixel of each
 * of 16 lanes. A lane is a band of output rows and columns of an image; the sources of 16
 * bands, with the padding, are copied tile by tile into a thread's second cache. There a
 * tap is an offset, whatever the stride: the pixels of each residue of the stride lie
 * together. Nothing is computed for pixels that are not there, as it would be if a tile
 * held neighbours along a row, for rows are seldom a multiple of 16 long.
 *
 * The gradient of the input is, for each residue of the stride, a convolution of the
 * result's gradient with steps of 1 by those taps that reach there (conv_tiles.c). For
 * that of the weights pairs of lanes are the depth of the products (conv_tiles_grad.c).
 * Sums are in float32, in an order that the number of threads does not change. */
#ifndef LP_NN_CPU_CONV_TILES_H
#define LP_NN_CPU_CONV_TILES_H

#include "cpu/conv.h"

/* Is there a kernel for channels-last memory, and is it faster than the library's? */
bool lp_conv_tiles_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                        bool keeps_weights);

/* As lp_conv_run. float32, and the weight gradient of bfloat16, are refused, without an
 * error, when an operand has an infinity or a NaN. */
bool lp_conv_tiles(const LpConvCall *call, const LpConvGeometry *g, bool *refused);

#endif
