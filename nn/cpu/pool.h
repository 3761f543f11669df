/* Pooling loops over one plane (an image of one channel, up to three dims). Tables are
 * indexed by nn_float_index; pointers are to elements of that dtype. float16 goes through
 * the float kernels. */
#ifndef LP_NN_CPU_POOL_H
#define LP_NN_CPU_POOL_H

#include "cpu/caps.h"
#include "core/tensor.h"

/* Windows of a plane in order depth, height, width; missing leading dims have size and
 * kernel 1. */
typedef struct LpPoolShape {
  int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  bool count_include_pad; /* average: padding counts in the divisor */
  int64_t divisor;        /* average: the divisor, 0: the window's size */
  bool adaptive; /* for the loops over channels-last images: windows as adaptive ones */
} LpPoolShape;

typedef struct LpPoolKernels {
  /* The largest element of each window and its flat index in the plane; a NaN wins.
   * Either index array may be NULL. */
  void (*max[4])(const LpPoolShape *s, const void *x, void *y, int32_t *index32,
                 int64_t *index64);
  /* gx (zeroed inside) [index[i]] += g[i] */
  void (*scatter[4])(void *gx, int64_t plane, const void *g, int64_t n,
                     const int32_t *index32, const int64_t *index64);
  void (*average[4])(const LpPoolShape *s, const void *x, void *y);
  void (*average_grad[4])(const LpPoolShape *s, const void *g, void *gx);
  /* Adaptive windows: output o covers [floor(o * in / out), ceil((o + 1) * in / out)). */
  void (*adaptive_average[4])(const LpPoolShape *s, const void *x, void *y);
  void (*adaptive_average_grad[4])(const LpPoolShape *s, const void *g, void *gx);
  void (*adaptive_max[4])(const LpPoolShape *s, const void *x, void *y, int64_t *index);

  /* The same over one image that lies channels last; outputs [begin, end) of its pixels.
   * Adaptive ones by shape.adaptive. */
  void (*max_last[4])(const LpPoolShape *s, int64_t channels, const void *x, void *y,
                      int32_t *index32, int64_t *index64, int64_t begin, int64_t end);
  void (*scatter_last[4])(void *gx, int64_t plane, int64_t channels, const void *g,
                          int64_t n, const int32_t *index32, const int64_t *index64);
  /* The same for windows of few elements, each of which is compared with the index. */
  void (*max_grad_last[4])(const LpPoolShape *s, int64_t channels, const void *g,
                           const int32_t *index, void *gx);
  void (*average_last[4])(const LpPoolShape *s, int64_t channels, const void *x, void *y,
                          int64_t begin, int64_t end);
  void (*average_grad_last[4])(const LpPoolShape *s, int64_t channels, const void *g,
                               void *gx);
} LpPoolKernels;

LP_DISPATCH(LpPoolKernels, lp_pool_kernels)

#endif
