/* conv1d ... conv_transpose3d: inputs with and without a batch dim, padding by name; all
 * in terms of the op convolution. */
#include "dispatch/nn_util.h"
#include "impl.h"
#include "lampad/ops.h"

static const int64_t zero = 0;

/* The op on a batch of one when the batch dim is missing. */
static LpTensor *conv(int ndim, LpTensor *input, LpTensor *weight, LpTensor *bias,
                      LpInts stride, LpInts padding, LpInts dilation, bool transposed,
                      LpInts output_padding, int64_t groups) {
  CHECK(lp_ndim(weight) == ndim + 2, LP_ERR_ARGUMENT,
        "expected 'weight' of %d dims, got %s", ndim + 2, SHAPE_TEXT(weight));
  bool batched = lp_ndim(input) == ndim + 2;
  CHECK(batched || lp_ndim(input) == ndim + 1, LP_ERR_ARGUMENT,
        "expected 'input' of %d dims (with batch) or %d dims (without), got %s", ndim + 2,
        ndim + 1, SHAPE_TEXT(input));
  if (batched)
    return lp_convolution(input, weight, bias, stride, padding, dilation, transposed,
                          output_padding, groups);
  LpTensor *batch = lp_unsqueeze(input, 0);
  TRY(batch);
  LpTensor *wide = lp_convolution(batch, weight, bias, stride, padding, dilation,
                                  transposed, output_padding, groups);
  lp_tensor_release(batch);
  TRY(wide);
  LpTensor *result = lp_squeeze_dim(wide, 0);
  lp_tensor_release(wide);
  return result;
}

static LpTensor *plain(int ndim, LpTensor *input, LpTensor *weight, LpTensor *bias,
                       LpInts stride, LpInts padding, LpInts dilation, int64_t groups) {
  return conv(ndim, input, weight, bias, stride, padding, dilation, false,
              lp_ints(&zero, 1), groups);
}

/* padding = 'valid' is none, 'same' keeps the size; an odd total puts the extra element
 * at the end. */
static LpTensor *by_name(int ndim, LpTensor *input, LpTensor *weight, LpTensor *bias,
                         LpInts stride, const char *padding, LpInts dilation,
                         int64_t groups) {
  if (!strcmp(padding, "valid"))
    return plain(ndim, input, weight, bias, stride, lp_ints(&zero, 1), dilation, groups);
  CHECK(!strcmp(padding, "same"), LP_ERR_ARGUMENT,
        "expected 'padding' to be numbers, 'valid' or 'same', got '%s'", padding);
  CHECK(lp_ndim(weight) == ndim + 2, LP_ERR_ARGUMENT,
        "expected 'weight' of %d dims, got %s", ndim + 2, SHAPE_TEXT(weight));
  int64_t strides[3], dilations[3], left[3], extra[6] = {0};
  TRY(nn_expand(stride, ndim, "stride", strides));
  TRY(nn_expand(dilation, ndim, "dilation", dilations));
  bool uneven = false;
  for (int d = 0; d < ndim; d++) {
    CHECK(strides[d] == 1, LP_ERR_ARGUMENT, "padding = 'same' needs stride 1, got %lld",
          (long long)strides[d]);
    int64_t total = dilations[d] * (lp_size(weight, 2 + d) - 1);
    left[d] = total / 2;
    extra[2 * (ndim - 1 - d) + 1] = total % 2;
    uneven = uneven || total % 2;
  }
  if (!uneven)
    return plain(ndim, input, weight, bias, stride, lp_ints(left, ndim), dilation,
                 groups);
  LpTensor *wider = lp_constant_pad_nd(input, lp_ints(extra, 2 * ndim), lp_scalar_int(0));
  TRY(wider);
  LpTensor *result =
      plain(ndim, wider, weight, bias, stride, lp_ints(left, ndim), dilation, groups);
  lp_tensor_release(wider);
  return result;
}

LpTensor *lp_composite_conv1d(LpTensor *input, LpTensor *weight, LpTensor *bias,
                              LpInts stride, LpInts padding, LpInts dilation,
                              int64_t groups) {
  return plain(1, input, weight, bias, stride, padding, dilation, groups);
}
LpTensor *lp_composite_conv2d(LpTensor *input, LpTensor *weight, LpTensor *bias,
                              LpInts stride, LpInts padding, LpInts dilation,
                              int64_t groups) {
  return plain(2, input, weight, bias, stride, padding, dilation, groups);
}
LpTensor *lp_composite_conv3d(LpTensor *input, LpTensor *weight, LpTensor *bias,
                              LpInts stride, LpInts padding, LpInts dilation,
                              int64_t groups) {
  return plain(3, input, weight, bias, stride, padding, dilation, groups);
}

LpTensor *lp_composite_conv1d_padding(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                      LpInts stride, const char *padding, LpInts dilation,
                                      int64_t groups) {
  return by_name(1, input, weight, bias, stride, padding, dilation, groups);
}
LpTensor *lp_composite_conv2d_padding(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                      LpInts stride, const char *padding, LpInts dilation,
                                      int64_t groups) {
  return by_name(2, input, weight, bias, stride, padding, dilation, groups);
}
LpTensor *lp_composite_conv3d_padding(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                      LpInts stride, const char *padding, LpInts dilation,
                                      int64_t groups) {
  return by_name(3, input, weight, bias, stride, padding, dilation, groups);
}

LpTensor *lp_composite_conv_transpose1d(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                        LpInts stride, LpInts padding,
                                        LpInts output_padding, int64_t groups,
                                        LpInts dilation) {
  return conv(1, input, weight, bias, stride, padding, dilation, true, output_padding,
              groups);
}
LpTensor *lp_composite_conv_transpose2d(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                        LpInts stride, LpInts padding,
                                        LpInts output_padding, int64_t groups,
                                        LpInts dilation) {
  return conv(2, input, weight, bias, stride, padding, dilation, true, output_padding,
              groups);
}
LpTensor *lp_composite_conv_transpose3d(LpTensor *input, LpTensor *weight, LpTensor *bias,
                                        LpInts stride, LpInts padding,
                                        LpInts output_padding, int64_t groups,
                                        LpInts dilation) {
  return conv(3, input, weight, bias, stride, padding, dilation, true, output_padding,
              groups);
}
