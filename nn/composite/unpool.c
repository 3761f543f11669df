/* The public forms of fractional max pooling and max unpooling. */
#include "composite/expr.h"
#include "impl.h"

static bool fractional(LpTensor *input, int64_t ndim, LpInts kernel_size,
                       LpInts output_size, LpFloats output_ratio, LpTensor *samples,
                       LpTensor **results) {
  int64_t sizes[3], lead = lp_ndim(input) - ndim;
  CHECK(lead == 1 || lead == 2, LP_ERR_ARGUMENT,
        "expected an input of %lld dims (with batch) or %lld dims (without), got %s",
        (long long)ndim + 2, (long long)ndim + 1, SHAPE_TEXT(input));
  for (int64_t d = lead - 1; d < lp_ndim(input); d++)
    CHECK(lp_size(input, d) > 0, LP_ERR_ARGUMENT,
          "expected an input with elements in every dim but the batch, got %s",
          SHAPE_TEXT(input));
  CHECK(output_size.count >= 0 || output_ratio.count >= 0, LP_ERR_ARGUMENT,
        "expected 'output_size' or 'output_ratio'");
  if (output_size.count < 0) {
    CHECK(output_ratio.count == 1 || output_ratio.count == ndim, LP_ERR_ARGUMENT,
          "'output_ratio' must be one number or a list of %lld, got %lld numbers", (long long)ndim,
          (long long)output_ratio.count);
    for (int64_t d = 0; d < ndim; d++) {
      double ratio = output_ratio.data[output_ratio.count == 1 ? 0 : d];
      CHECK(ratio > 0 && ratio < 1, LP_ERR_ARGUMENT,
            "expected 'output_ratio' between 0 and 1, got %g", ratio);
      sizes[d] = (int64_t)((double)lp_size(input, lead + d) * ratio);
    }
    output_size = lp_ints(sizes, ndim);
  }
  if (samples)
    return lp_fractional_max_pool(input, ndim, kernel_size, output_size, samples,
                                  results);
  CHECK_FLOATING(input, "input");
  int64_t shape[3] = {lead == 2 ? lp_size(input, 0) : 1, lp_size(input, lead - 1), ndim};
  samples = lp_rand(lp_ints(shape, 3), NULL, lp_dtype(input), lp_device(input), false);
  TRY(samples);
  bool ok =
      lp_fractional_max_pool(input, ndim, kernel_size, output_size, samples, results);
  lp_tensor_release(samples);
  return ok;
}

static LpTensor *values_only(bool ok, LpTensor **results) {
  TRY(ok);
  lp_tensor_release(results[1]);
  return results[0];
}

LpTensor *lp_composite_fractional_max_pool2d(LpTensor *input, LpInts kernel_size,
                                             LpInts output_size, LpFloats output_ratio,
                                             bool return_indices, LpTensor *samples) {
  (void)return_indices; /* the Lua function of the name looks at it */
  LpTensor *results[2];
  return values_only(
      fractional(input, 2, kernel_size, output_size, output_ratio, samples, results),
      results);
}
LpTensor *lp_composite_fractional_max_pool3d(LpTensor *input, LpInts kernel_size,
                                             LpInts output_size, LpFloats output_ratio,
                                             bool return_indices, LpTensor *samples) {
  (void)return_indices;
  LpTensor *results[2];
  return values_only(
      fractional(input, 3, kernel_size, output_size, output_ratio, samples, results),
      results);
}
bool lp_composite_fractional_max_pool2d_with_indices(
    LpTensor *input, LpInts kernel_size, LpInts output_size, LpFloats output_ratio,
    bool return_indices, LpTensor *samples, LpTensor **results) {
  (void)return_indices;
  return fractional(input, 2, kernel_size, output_size, output_ratio, samples, results);
}
bool lp_composite_fractional_max_pool3d_with_indices(
    LpTensor *input, LpInts kernel_size, LpInts output_size, LpFloats output_ratio,
    bool return_indices, LpTensor *samples, LpTensor **results) {
  (void)return_indices;
  return fractional(input, 3, kernel_size, output_size, output_ratio, samples, results);
}

/* The result's size is what pooling makes the input's size of: that leaves a choice of
 * less than one stride. */
static LpTensor *unpool(LpTensor *input, LpTensor *indices, int64_t ndim,
                        LpInts kernel_size, LpInts stride, LpInts padding,
                        LpInts output_size) {
  int64_t k[3], s[3], p[3], sizes[3], lead = lp_ndim(input) - ndim;
  CHECK(lead == 1 || lead == 2, LP_ERR_ARGUMENT,
        "expected an input of %lld dims (with batch) or %lld dims (without), got %s",
        (long long)ndim + 2, (long long)ndim + 1, SHAPE_TEXT(input));
  TRY(nn_expand(kernel_size, (int)ndim, "kernel_size", k));
  TRY(nn_expand(stride.count > 0 ? stride : kernel_size, (int)ndim, "stride", s));
  TRY(nn_expand(padding, (int)ndim, "padding", p));
  bool given = output_size.count >= 0;
  int64_t skip = output_size.count == ndim + 2 ? 2 : 0;
  CHECK(!given || output_size.count == ndim + skip, LP_ERR_ARGUMENT,
        "'output_size' must hold %lld or %lld numbers, got %lld", (long long)ndim,
        (long long)ndim + 2, (long long)output_size.count);
  for (int64_t d = 0; d < ndim; d++) {
    CHECK(s[d] > 0, LP_ERR_ARGUMENT, "expected 'stride' of at least 1, got %lld",
          (long long)s[d]);
    sizes[d] = (lp_size(input, lead + d) - 1) * s[d] + k[d] - 2 * p[d];
    if (!given) continue;
    int64_t asked = output_size.data[skip + d];
    CHECK(asked > sizes[d] - s[d] && asked < sizes[d] + s[d], LP_ERR_ARGUMENT,
          "expected 'output_size' between %lld and %lld in spatial dim %lld, got %lld",
          (long long)(sizes[d] - s[d] + 1), (long long)(sizes[d] + s[d] - 1),
          (long long)d, (long long)asked);
    sizes[d] = asked;
  }
  return lp_max_unpool(input, indices, ndim, lp_ints(sizes, ndim));
}

LpTensor *lp_composite_max_unpool1d(LpTensor *input, LpTensor *indices,
                                    LpInts kernel_size, LpInts stride, LpInts padding,
                                    LpInts output_size) {
  return unpool(input, indices, 1, kernel_size, stride, padding, output_size);
}
LpTensor *lp_composite_max_unpool2d(LpTensor *input, LpTensor *indices,
                                    LpInts kernel_size, LpInts stride, LpInts padding,
                                    LpInts output_size) {
  return unpool(input, indices, 2, kernel_size, stride, padding, output_size);
}
LpTensor *lp_composite_max_unpool3d(LpTensor *input, LpTensor *indices,
                                    LpInts kernel_size, LpInts stride, LpInts padding,
                                    LpInts output_size) {
  return unpool(input, indices, 3, kernel_size, stride, padding, output_size);
}
