/* unfold: the patches of an image as columns; fold: its adjoint, which adds patches back.
 */
#include "cpu/conv.h"
#include "dispatch/nn_util.h"
#include "impl.h"

static bool geometry_of(LpInts space, LpInts kernel, LpInts dilation, LpInts padding,
                        LpInts stride, LpConvGeometry *g) {
  *g = (LpConvGeometry){.ndim = 2, .groups = 1};
  TRY(nn_expand(kernel, 2, "kernel_size", g->kernel));
  TRY(nn_expand(dilation, 2, "dilation", g->dilation));
  TRY(nn_expand(padding, 2, "padding", g->padding));
  TRY(nn_expand(stride, 2, "stride", g->stride));
  for (int d = 0; d < 2; d++) {
    CHECK(g->kernel[d] > 0 && g->dilation[d] > 0 && g->stride[d] > 0 &&
              g->padding[d] >= 0,
          LP_ERR_ARGUMENT,
          "expected kernel_size, dilation and stride of at least 1 and padding of at "
          "least 0");
    g->in[d] = space.data[d];
    int64_t room = g->in[d] + 2 * g->padding[d] - g->dilation[d] * (g->kernel[d] - 1) - 1;
    CHECK(room >= 0, LP_ERR_ARGUMENT,
          "the kernel (%lld) does not fit the padded size %lld in spatial dim %d",
          (long long)(g->dilation[d] * (g->kernel[d] - 1) + 1),
          (long long)(g->in[d] + 2 * g->padding[d]), d);
    g->out[d] = room / g->stride[d] + 1;
  }
  return true;
}

LpTensor *lp_impl_unfold_batch(LpTensor *self, LpInts kernel_size, LpInts dilation,
                               LpInts padding, LpInts stride) {
  LpConvGeometry g;
  CHECK(lp_ndim(self) == 4, LP_ERR_ARGUMENT,
        "expected an input of 3 or 4 dims (images), got %s", SHAPE_TEXT(self));
  TRY(geometry_of(lp_ints(self->sizes + 2, 2), kernel_size, dilation, padding, stride,
                  &g));
  int64_t n = lp_size(self, 0), channels = lp_size(self, 1),
          outs = lp_conv_volume(g.out, 2);
  int64_t sizes[3] = {n, 0, outs};
  CHECK(!__builtin_mul_overflow(channels, lp_conv_volume(g.kernel, 2), &sizes[1]),
        LP_ERR_MEMORY, "the columns of input %s have more elements than can be counted",
        SHAPE_TEXT(self));
  LpDtype dtype = nn_number_dtype(lp_dtype(self));
  LpTensor *x = nn_dense(self, dtype), *y = nn_empty(sizes, 3, dtype);
  bool ok = x && y;
  size_t e = lp_dtype_size(dtype);
  for (int64_t i = 0; ok && i < n; i++)
    lp_im2col(&g, dtype, channels,
              (char *)lp_data(x) + (size_t)(i * channels * g.in[0] * g.in[1]) * e,
              (char *)lp_data(y) + (size_t)(i * sizes[1] * sizes[2]) * e);
  lp_tensor_release(x);
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, lp_dtype(self));
}

LpTensor *lp_impl_fold_batch(LpTensor *self, LpInts output_size, LpInts kernel_size,
                             LpInts dilation, LpInts padding, LpInts stride) {
  LpConvGeometry g;
  int64_t space[2];
  CHECK(lp_ndim(self) == 3, LP_ERR_ARGUMENT,
        "expected an input of 2 or 3 dims (columns), got %s", SHAPE_TEXT(self));
  TRY(nn_expand(output_size, 2, "output_size", space));
  TRY(geometry_of(lp_ints(space, 2), kernel_size, dilation, padding, stride, &g));
  int64_t n = lp_size(self, 0), taps = lp_conv_volume(g.kernel, 2),
          outs = lp_conv_volume(g.out, 2);
  CHECK(lp_size(self, 1) % taps == 0 && lp_size(self, 2) == outs, LP_ERR_ARGUMENT,
        "expected an input of shape [N, C * %lld, %lld] for this output_size and "
        "kernel_size, got %s",
        (long long)taps, (long long)outs, SHAPE_TEXT(self));
  int64_t channels = lp_size(self, 1) / taps,
          sizes[4] = {n, channels, space[0], space[1]};
  LpDtype dtype = nn_number_dtype(lp_dtype(self));
  LpTensor *x = nn_dense(self, dtype), *y = nn_zeros(sizes, 4, dtype);
  bool ok = x && y;
  size_t e = lp_dtype_size(dtype);
  for (int64_t i = 0; ok && i < n; i++)
    lp_col2im(&g, dtype, channels,
              (char *)lp_data(x) + (size_t)(i * channels * taps * outs) * e,
              (char *)lp_data(y) + (size_t)(i * channels * space[0] * space[1]) * e);
  lp_tensor_release(x);
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, lp_dtype(self));
}
