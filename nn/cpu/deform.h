/* Loops of deformable convolution (nn/dispatch/deform.c): the columns of an image sampled
 * bilinearly at positions that offsets move, and their derivatives. Tables are indexed by
 * nn_float_index of the compute dtype: float, double. */
#ifndef LP_NN_CPU_DEFORM_H
#define LP_NN_CPU_DEFORM_H

#include <stdint.h>
#include "cpu/caps.h"

typedef struct LpDeformShape {
  int64_t channels, in[2], out[2], kernel[2], stride[2], padding[2], dilation[2];
  int64_t groups; /* of offsets: each serves channels / groups channels */
} LpDeformShape;

/* One image: x and gx (channels, in), offset and goffset (groups, kernel, 2, out), mask
 * and gmask (groups, kernel, out) or NULL, y and g (channels, kernel, out); `tap` is
 * group * kernel elements + kernel element. */
typedef struct LpDeformKernels {
  /* The columns of one tap. */
  void (*columns[2])(const LpDeformShape *s, int64_t tap, const void *x,
                     const void *offset, const void *mask, void *y);
  /* The gradients of one tap's offsets and mask; goffset and gmask may be NULL. */
  void (*position_grad[2])(const LpDeformShape *s, int64_t tap, const void *x,
                           const void *offset, const void *mask, const void *g,
                           void *goffset, void *gmask);
  /* gx += the shares of channels [begin, end). */
  void (*input_grad[2])(const LpDeformShape *s, const void *offset, const void *mask,
                        const void *g, int64_t begin, int64_t end, void *gx);
} LpDeformKernels;

LP_DISPATCH(LpDeformKernels, lp_deform_kernels)

#endif
