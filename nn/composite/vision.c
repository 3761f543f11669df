/* Ops that rearrange or resize images: padding, patches, interpolation, pixel and channel
 * shuffles. */
#include <math.h>
#include "composite/expr.h"
#include "impl.h"

LpTensor *lp_composite_pad(LpTensor *input, LpInts pad, const char *mode,
                           LpOptFloat value) {
  if (!strcmp(mode, "constant"))
    return lp_pad_nd(input, pad, mode, lp_scalar_float(value.has ? value.value : 0));
  CHECK(!value.has || value.value == 0, LP_ERR_ARGUMENT,
        "'value' has no meaning for mode '%s'", mode);
  int64_t dims = pad.count / 2;
  CHECK(pad.count % 2 == 0 && dims >= 1 && dims <= 3 &&
            (lp_ndim(input) == dims + 1 || lp_ndim(input) == dims + 2),
        LP_ERR_ARGUMENT,
        "mode '%s' pads the last 1, 2 or 3 dims of an input with channels and an "
        "optional batch: got %lld numbers for "
        "input %s",
        mode, (long long)pad.count, SHAPE_TEXT(input));
  if (strcmp(mode, "circular")) {
    CHECK(lp_dtype(input) != LP_BOOL, LP_ERR_TYPE,
          "expected an input of numbers for mode '%s', got bool", mode);
    for (int64_t d = lp_ndim(input) == dims + 2; d < lp_ndim(input); d++)
      CHECK(lp_size(input, d) > 0, LP_ERR_ARGUMENT,
            "expected an input with elements in every dim but the batch, got %s",
            SHAPE_TEXT(input));
  }
  /* Of these autocast knows all but two. */
  if (!strcmp(mode, "replicate") || (!strcmp(mode, "reflect") && dims < 3))
    return lp_pad_by_edges(input, pad, mode);
  return lp_pad_nd(input, pad, mode, lp_scalar_int(0));
}

LpTensor *lp_composite_constant_pad_nd(LpTensor *self, LpInts pad, LpScalar value) {
  return lp_pad_nd(self, pad, "constant", value);
}

LpTensor *lp_composite_unfold_patches(LpTensor *input, LpInts kernel_size,
                                      LpInts dilation, LpInts padding, LpInts stride) {
  if (lp_ndim(input) != 3)
    return lp_unfold_batch(input, kernel_size, dilation, padding, stride);
  Expr e = {0};
  LpTensor *batch = x_unsqueeze(&e, input, 0);
  LpTensor *columns =
      batch ? keep(&e, lp_unfold_batch(batch, kernel_size, dilation, padding, stride))
            : NULL;
  return expr_end(&e, columns ? keep(&e, lp_squeeze_dim(columns, 0)) : NULL);
}

LpTensor *lp_composite_fold(LpTensor *input, LpInts output_size, LpInts kernel_size,
                            LpInts dilation, LpInts padding, LpInts stride) {
  if (lp_ndim(input) != 2)
    return lp_fold_batch(input, output_size, kernel_size, dilation, padding, stride);
  Expr e = {0};
  LpTensor *batch = x_unsqueeze(&e, input, 0);
  LpTensor *image = batch ? keep(&e, lp_fold_batch(batch, output_size, kernel_size,
                                                   dilation, padding, stride))
                          : NULL;
  return expr_end(&e, image ? keep(&e, lp_squeeze_dim(image, 0)) : NULL);
}

/* (..., C r^2, H, W) -> (..., C, H r, W r), and back. */
static LpTensor *shuffle(LpTensor *self, int64_t r, bool back) {
  int64_t ndim = lp_ndim(self), lead = ndim - 3;
  CHECK(ndim >= 3, LP_ERR_ARGUMENT,
        "expected an input of at least 3 dims (channels, height, width), got %s",
        SHAPE_TEXT(self));
  CHECK(r > 0 && r <= INT32_MAX, LP_ERR_ARGUMENT,
        "expected a factor of at least 1 and less than 2^31, got %lld", (long long)r);
  int64_t c = lp_size(self, lead), h = lp_size(self, lead + 1),
          w = lp_size(self, lead + 2);
  CHECK(back ? h % r == 0 && w % r == 0 : c % (r * r) == 0, LP_ERR_ARGUMENT,
        back ? "expected height and width divisible by %lld, got %s"
             : "expected a number of channels divisible by the squared factor (%lld "
               "squared), got %s",
        (long long)r, SHAPE_TEXT(self));
  int64_t wide[LP_MAX_DIMS], order[LP_MAX_DIMS], last[LP_MAX_DIMS];
  CHECK(ndim + 2 <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "too many dims: %lld", (long long)ndim);
  for (int64_t d = 0; d < lead; d++) {
    wide[d] = last[d] = lp_size(self, d);
    order[d] = d;
  }
  /* (c, r, r, h, w) -> (c, h, r, w, r); back: (c, h, r, w, r) -> (c, r, r, h, w) */
  const int64_t split[5] = {c / (r * r), r, r, h, w},
                split_back[5] = {c, h / r, r, w / r, r};
  const int64_t turn[5] = {0, 3, 1, 4, 2}, turn_back[5] = {0, 2, 4, 1, 3};
  for (int d = 0; d < 5; d++) {
    wide[lead + d] = back ? split_back[d] : split[d];
    order[lead + d] = lead + (back ? turn_back[d] : turn[d]);
  }
  last[lead] = back ? c * r * r : c / (r * r);
  last[lead + 1] = back ? h / r : h * r;
  last[lead + 2] = back ? w / r : w * r;
  return lp_regroup(self, lp_ints(wide, lead + 5), lp_ints(order, lead + 5),
                    lp_ints(last, ndim));
}
LpTensor *lp_composite_pixel_shuffle(LpTensor *self, int64_t upscale_factor) {
  return shuffle(self, upscale_factor, false);
}
LpTensor *lp_composite_pixel_unshuffle(LpTensor *self, int64_t downscale_factor) {
  if (lp_ndim(self) >= 3 && downscale_factor > 0 && lp_numel(self) == 0)
    return lp_clone(self, LP_FORMAT_NONE); /* as it is: PyTorch's choice */
  return shuffle(self, downscale_factor, true);
}

LpTensor *lp_composite_channel_shuffle(LpTensor *self, int64_t groups) {
  CHECK(lp_ndim(self) >= 3, LP_ERR_ARGUMENT,
        "expected an input of at least 3 dims, got %s", SHAPE_TEXT(self));
  int64_t n = lp_size(self, 0), c = lp_size(self, 1);
  CHECK(groups > 0 && c % groups == 0, LP_ERR_ARGUMENT,
        "expected a number of channels divisible by groups %lld, got %s",
        (long long)groups, SHAPE_TEXT(self));
  int64_t space = n * c > 0 ? lp_numel(self) / (n * c) : 0,
          wide[4] = {n, groups, c / groups, space}, order[4] = {0, 2, 1, 3};
  return lp_regroup(self, lp_ints(wide, 4), lp_ints(order, 4), lp_sizes(self));
}
