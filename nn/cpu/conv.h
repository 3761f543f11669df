/* Convolution kernels of the CPU over raw contiguous buffers: forward, gradient of the
 * input and gradient of the weight, each by oneDNN (conv_dnnl.c) or by im2col and GEMM
 * (conv_gemm.c). Called by dispatch/conv.c, which has checked shapes. A transposed
 * convolution is the input gradient of a plain one, so the three passes serve both. */
#ifndef LP_NN_CPU_CONV_H
#define LP_NN_CPU_CONV_H

#include "core/tensor.h"

#define LP_CONV_MAX_DIMS 3

/* y[n][k][out] = b[k] + sum over c, r of w[k][c][r] * x[n][c][out * stride - padding + r
 * * dilation]; c runs over the channels / groups of k's group. Dims are in order depth,
 * height, width. */
typedef struct LpConvGeometry {
  int ndim; /* spatial dims: 1, 2 or 3 */
  int64_t n, c, k, groups;
  int64_t in[LP_CONV_MAX_DIMS], out[LP_CONV_MAX_DIMS], kernel[LP_CONV_MAX_DIMS];
  int64_t stride[LP_CONV_MAX_DIMS], padding[LP_CONV_MAX_DIMS], dilation[LP_CONV_MAX_DIMS];
} LpConvGeometry;

/* The same in three dims: those that g lacks come first, a single element wide. */
void lp_conv_widen(const LpConvGeometry *g, int64_t in[3], int64_t out[3],
                   int64_t kernel[3], int64_t stride[3], int64_t padding[3],
                   int64_t dilation[3]);

/* A channel a group? */
static inline bool lp_conv_is_depthwise(const LpConvGeometry *g) {
  return g->groups == g->c && g->groups == g->k;
}

typedef enum LpConvPass {
  LP_CONV_FORWARD,
  LP_CONV_INPUT_GRAD,
  LP_CONV_WEIGHT_GRAD
} LpConvPass;

/* Have we kernels that work on channels-last memory, x (n, in, c) and y (n, out, k)? They
 * are the faster ones: layout.h. */
bool lp_conv_wants_channels_last(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                                 bool has_bias, bool keeps_weights);

/* May x of such a call be row-major, (n, c, in), all the same? */
bool lp_conv_reads_planes(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                          bool keeps_weights);

/* What the weight gradient of a call is written as: float32 for bfloat16, unless the
 * kernel rounds sums itself. `last`: on channels-last memory. */
LpDtype lp_conv_weight_dtype(const LpConvGeometry *g, LpDtype dtype, bool last);

/* Buffers of one call. x (n, c, in), w (k, c / groups, kernel), y (n, k, out), b (k) or
 * NULL, all contiguous; channels_last: x and y are (n, in, c) and (n, out, k). `weight`
 * is NULL, or the tensor whose memory w is, asked for the forward pass without a
 * gradient: weights packed for the kernel are then kept with its storage until they
 * change. */
typedef struct LpConvCall {
  LpConvPass pass;
  LpDtype dtype; /* float32, float64, complex64, complex128; bfloat16 channels last */
  LpDtype weight_dtype;              /* of a weight gradient: lp_conv_weight_dtype */
  bool channels_last, keeps_weights; /* as lp_conv_wants_channels_last was asked */
  bool planes;                       /* x is row-major: lp_conv_reads_planes */
  void *x, *w, *y;
  const void *b;
  const LpTensor *weight;
} LpConvCall;

/* Each pass writes the buffer its name says and reads the other two; b only in the
 * forward pass. False with the error recorded when memory ran out or an interrupt came.
 */
bool lp_conv_run(const LpConvCall *call, const LpConvGeometry *g);

/* float32 and bfloat16 on channels-last memory through oneDNN. */
bool lp_conv_dnnl_serves(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                         bool has_bias, bool keeps_weights);
bool lp_conv_dnnl(const LpConvCall *call, const LpConvGeometry *g);
/* The rest, on row-major memory. */
bool lp_conv_gemm(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype, void *x,
                  void *w, const void *b, void *y);

/* columns[c * kernel][out] of one image x[c][in]; and its adjoint, which adds into x. */
void lp_im2col(const LpConvGeometry *g, LpDtype dtype, int64_t channels, const void *x,
               void *columns);
void lp_col2im(const LpConvGeometry *g, LpDtype dtype, int64_t channels,
               const void *columns, void *x);

static inline int64_t lp_conv_volume(const int64_t *dims, int ndim) {
  int64_t v = 1;
  for (int d = 0; d < ndim; d++) v *= dims[d];
  return v;
}

#endif
