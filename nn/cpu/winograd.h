/* Convolution of channels-last images, float32 or bfloat16, with 3 x 3 weights by
 * Winograd's algorithm: all three passes, any channel counts. Owned by winograd.c; loops
 * in simd/winograd.c and winograd_split.c.
 *
 * Note [Winograd]: a tile of 4 x 4 outputs needs 36 multiplications for each pair of
 * channels, where the direct algorithm needs 144. Seen as polynomials along each
 * dimension, x and w are evaluated at five points and at infinity (x by B^T, w by G),
 * multiplied there, and interpolated (by A^T): y = A^T [G w G^T * B^T x B] A. The
 * products of one of the 36 frequencies over all tiles are a matrix product, (tiles, c)
 * by (c, k). The transposes make the gradients: that of x is a convolution with the
 * weights turned round, that of w is G^T [sum over tiles of A y' A^T * B^T x B] G. A.
 * Lavin and S. Gray, "Fast algorithms for convolutional neural networks", 2015.
 *
 * Points: 0, +-5/8, +-3/2, found by search: rounding errors are half those of 0, +-1,
 * +-2.
 *
 * Note [Short tiles]: where a side of the result is no multiple of 4, some tiles have 3
 * outputs along it rather than 4 with one beyond the edge: 14 is 4 + 4 + 3 + 3. Such a
 * tile does without the point -3/2 (along both sides: 25 multiplications). The weights
 * stay what they are: what their interpolation has too much of is in the tile's
 * transform. Tiles are numbered so that those with a frequency follow each other.
 *
 * Note [Larger tiles]: of bfloat16, tiles of 7 x 7 outputs (6 where short) where they
 * need less work: 81 multiplications in place of 49 * 9, 1.65 for each output, where
 * those of 4 x 4 need 2.25. Points: +-1/4, +-5/8, +-9/8, +-2 and infinity. The error is
 * 8e-6, which is less than a hundredth of what rounding the result makes.
 *
 * Note [Errors of Winograd]: root mean square of the error over that of the result,
 * normal numbers, all 3 x 3 layers of stride 1 of ResNet and VGG (64 to 512 channels, 7 x
 * 7 to 112 x 112): forward and input gradient 5.2e-7 to 9.7e-7 by the tile unit
 * and 7.7e-7 to 8.3e-7 by AVX-512, weight gradient 4.3e-7 to 8.0e-7; the largest error of
 * a number 1.2e-5 of that mean. The direct algorithm's is about 2e-7 to 4e-7. Sums are
 * cut into short ones, so that more channels hardly add to it.
 *
 * Note [Taps that are zero]: where the first tap of a kernel is zero, along a side, so is
 * its value at the point 0, and where the last is, its value at infinity: products of
 * those frequencies are left out for the channels of x that the caller says.
 *
 * Numbers of bfloat16 are widened where tiles or weights are read and rounded where
 * results are written: all between is float32.
 *
 * A NaN or an infinity spreads over the tile it is in, at most 2 outputs farther than by
 * the direct algorithm, or 5 (in the weight gradient, over the taps of its channel).
 * Finite values above about 1e37, with larger tiles 1e33, may overflow in the transforms.
 *
 * Note [Work of Winograd]: blocks of tiles are transformed, multiplied and transformed
 * back by one thread, while the weights, packed once, fit in its cache beside them; else
 * threads share the transformed tiles and have output channels of their own, whose
 * weights each packs for itself. Scratch is bounded whatever the sizes of the images,
 * some tens of MB. The products are made by the tile unit where it pays (Note [Split
 * products] in cpu/gemm_split.h), of vectors otherwise and where there is a NaN or an
 * infinity. What a number is summed from, and in which order, depends on the geometry and
 * the machine alone, never on timing or on the number of threads. */
#ifndef LP_NN_CPU_WINOGRAD_H
#define LP_NN_CPU_WINOGRAD_H

#include "cpu/conv.h"

/* 2-d, 3 x 3, stride and dilation 1, no groups, padding 0 to 2, an output as large as
 * these make it. The other functions want such a geometry. */
bool lp_winograd_serves(const LpConvGeometry *g);
/* Is it served, and faster than the direct kernel over the same buffers? `kept`: for the
 * forward pass, will the weights come packed? */
bool lp_winograd_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype, bool kept);

/* Channels [begin, end) of x whose kernels have a frequency: by whether it is that of the
 * point 0 (first), another (1) or infinity (2), along h and along w. In the weights'
 * gradient what belongs to the zeros is left undefined. */
typedef struct LpWinogradTaps {
  int64_t begin[3][3], end[3][3];
} LpWinogradTaps;

/* x (n, h, w, c) and y (n, oh, ow, k) with the channels last, in float32 or bfloat16; w
 * (k, c, 3, 3) as PyTorch has it, in float32 or, where x is, in bfloat16; all dense. bias
 * (k) in x's dtype or NULL, for the forward pass alone. `packed`: NULL, or what
 * lp_winograd_pack made of w for the forward pass; in float32 w is needed all the same.
 */
typedef struct LpWinogradCall {
  LpDtype dtype;
  void *x, *y, *w;
  bool half_weights;
  const void *bias, *packed;
  const LpWinogradTaps *taps; /* NULL: none are zero */
} LpWinogradCall;

/* The pass writes the buffer its name says and reads the other two. False with the error
 * recorded when memory ran out or an interrupt came. */
bool lp_winograd_run(LpConvPass pass, const LpConvGeometry *g, const LpWinogradCall *c);

/* Weights that serve call after call, transformed and packed. The form depends on the
 * geometry: one number for each, the same for geometries that can share it. */
int lp_winograd_packing(const LpConvGeometry *g, LpDtype dtype);
size_t lp_winograd_packed_bytes(const LpConvGeometry *g, LpDtype dtype);
/* Fills lp_winograd_packed_bytes bytes, aligned to LP_ALIGNMENT; w in that dtype. */
void lp_winograd_pack(const LpConvGeometry *g, LpDtype dtype, const void *w,
                      void *packed);

#endif
