/* Convolution of channels-last float32 images with 3 x 3 weights by Winograd's algorithm:
 * all three passes, any channel counts. Owned by winograd.c; loops in simd/winograd.c and
 * winograd_split.c.
 *
 * Note [Winograd]: a tile of m x m outputs needs (m + 2)^2 multiplications for each pair
 * of channels instead of 9 m^2: 4 times fewer for m = 4, 2.25 times for m = 2. Seen as
 * polynomials, x and w are evaluated at m + 1 points and at infinity along each dimension
 * (x by B^T, w by G), multiplied there and interpolated (A^T): y = A^T [G w G^T * B^T x
 * B] A. The products of one frequency over all tiles are a matrix product, of (tiles, c)
 * by (c, k). The transposed matrices make the gradients: that of x is a convolution with
 * the weights turned round; that of w is G^T [sum over tiles of A y' A^T * B^T x B] G.
 * The points are 0, 1, -1 for m = 2 and 0, +-5/8, +-3/2 for m = 4, where rounding errors
 * are half those of 0, +-1, +-2 (found by search; A. Lavin and S. Gray, "Fast algorithms
 * for convolutional neural networks", 2015, have the algorithm).
 *
 * Memory: work is cut so that a block of tiles and what it makes stay in a core's cache
 * where possible; scratch is bounded whatever the sizes of the images. Products use the
 * tile unit where there is one (Note [Split products] in cpu/gemm_split.h), else vectors;
 * the weights are packed for one of them. The choices depend on the geometry and the
 * machine alone, never on timing or on the number of threads, and so do the results.
 *
 * A NaN or an infinity spreads over the tile it is in, at most 4 outputs (m - 1 more than
 * the direct algorithm). Finite values above about 1e37 may overflow in the transforms.
 */
#ifndef LP_NN_CPU_WINOGRAD_H
#define LP_NN_CPU_WINOGRAD_H

#include "cpu/conv.h"

/* 2-d, 3 x 3, stride and dilation 1, no groups, padding 0 to 2, an output as large as
 * these make it. The other functions want such a geometry. */
bool lp_winograd_serves(const LpConvGeometry *g);
/* Is it served, and faster than the direct kernel over the same buffers? `kept`: for the
 * forward pass, will the weights come packed? */
bool lp_winograd_pays(LpConvPass pass, const LpConvGeometry *g, bool kept);

/* x (n, h, w, c) and y (n, oh, ow, k) with the channels last, w (k, c, 3, 3) as PyTorch
 * has it, all dense; bias (k) or NULL, for the forward pass alone. The pass writes the
 * buffer its name says and reads the other two. `packed`: NULL, or what lp_winograd_pack
 * made of w for the forward pass; w is needed all the same. False with the error recorded
 * when memory ran out or an interrupt came. */
bool lp_winograd_run(LpConvPass pass, const LpConvGeometry *g, float *x, float *w,
                     const float *bias, float *y, const void *packed);

/* Weights that serve call after call, transformed and packed. The form depends on the
 * geometry: one number for each, the same for geometries that can share it. */
int lp_winograd_packing(const LpConvGeometry *g);
size_t lp_winograd_packed_bytes(const LpConvGeometry *g);
/* Fills lp_winograd_packed_bytes(g) bytes, aligned to LP_ALIGNMENT. */
void lp_winograd_pack(const LpConvGeometry *g, const float *w, void *packed);

#endif
