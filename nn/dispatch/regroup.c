/* The copy behind pixel_shuffle, pixel_unshuffle and channel_shuffle: dims are split into
 * parts, the parts put into another order and joined again. The result lies in memory as
 * the input does, so it is copied from a view to a view. */
#include "dispatch/nn_util.h"
#include "impl.h"

/* t, dense in either order, seen as its parts; in the order, when one is given. */
static LpTensor *view_parts(LpTensor *t, LpInts parts, const int64_t *order) {
  int64_t strides[LP_MAX_DIMS], sizes[LP_MAX_DIMS], steps[LP_MAX_DIMS];
  CHECK(lp_view_strides(t, parts, strides), LP_ERR_INTERNAL, "no view of these parts");
  for (int64_t d = 0; d < parts.count; d++) {
    sizes[d] = parts.data[order ? order[d] : d];
    steps[d] = strides[order ? order[d] : d];
  }
  return lp_tensor_alias(t, lp_ints(sizes, parts.count), lp_ints(steps, parts.count),
                         lp_storage_offset(t));
}

static LpTensor *regroup(LpTensor *self, LpInts parts, LpInts order, LpInts size,
                         bool back) {
  const bool last = nn_lies_last(self);
  int64_t turned[LP_MAX_DIMS];
  for (int64_t d = 0; d < parts.count; d++) turned[d] = parts.data[order.data[d]];
  const LpInts other = lp_ints(turned, parts.count);
  LpTensor *x = nn_laid(self, lp_dtype(self), last),
           *y = x ? nn_new_laid(x, size, lp_dtype(x), last) : NULL;
  LpTensor *from =
               y ? view_parts(x, back ? other : parts, back ? NULL : order.data) : NULL,
           *to = from ? view_parts(y, back ? parts : other, back ? order.data : NULL)
                      : NULL;
  if (!to || !lp_copy_into(to, from)) lp_drop(&y);
  lp_tensor_release(x);
  lp_tensor_release(from);
  lp_tensor_release(to);
  return y;
}

LpTensor *lp_impl_regroup(LpTensor *self, LpInts parts, LpInts order, LpInts size) {
  return regroup(self, parts, order, size, false);
}

LpTensor *lp_impl_regroup_back(LpTensor *grad_output, LpInts parts, LpInts order,
                               LpInts size) {
  return regroup(grad_output, parts, order, size, true);
}
