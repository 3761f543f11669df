/* The public forms of torch.vision.ops' suppression, region pooling and deformable
 * convolution. */
#include "composite/expr.h"
#include "impl.h"

/* --- suppression ---------------------------------------------------------------- */

static bool check_boxes(LpTensor *boxes, LpTensor *scores) {
  CHECK(lp_ndim(boxes) == 2 && lp_size(boxes, 1) == 4, LP_ERR_ARGUMENT,
        "expected 'boxes' of shape (N, 4), got %s", SHAPE_TEXT(boxes));
  CHECK(lp_ndim(scores) == 1 && lp_size(scores, 0) == lp_size(boxes, 0), LP_ERR_ARGUMENT,
        "expected 'scores' of shape (N,), one for each of the %lld boxes, got %s",
        (long long)lp_size(boxes, 0), SHAPE_TEXT(scores));
  CHECK_FLOATING(boxes, "boxes");
  CHECK(lp_dtype(scores) == lp_dtype(boxes), LP_ERR_TYPE,
        "expected 'boxes' and 'scores' of one dtype, got %s and %s",
        lp_dtype_name(lp_dtype(boxes)), lp_dtype_name(lp_dtype(scores)));
  return true;
}

/* The indices that order t, equal elements as they come. */
static LpTensor *order(Expr *e, LpTensor *t, bool descending) {
  return t ? keep(e, lp_argsort_stable(t, true, 0, descending)) : NULL;
}

static LpTensor *rows(Expr *e, LpTensor *t, LpTensor *index) {
  return t && index ? keep(e, lp_index_select(t, 0, index)) : NULL;
}

LpTensor *lp_composite_nms(LpTensor *boxes, LpTensor *scores, double iou_threshold) {
  TRY(check_boxes(boxes, scores));
  Expr e = {0};
  LpTensor *by_score = order(&e, scores, true), *sorted = rows(&e, boxes, by_score);
  LpTensor *kept = sorted ? keep(&e, lp_nms_kept(sorted, NULL, iou_threshold)) : NULL;
  return expr_end(&e, kept ? keep(&e, lp_masked_select(by_score, kept)) : NULL);
}

LpTensor *lp_composite_batched_nms(LpTensor *boxes, LpTensor *scores, LpTensor *idxs,
                                   double iou_threshold) {
  TRY(check_boxes(boxes, scores));
  CHECK(lp_ndim(idxs) == 1 && lp_size(idxs, 0) == lp_size(boxes, 0), LP_ERR_ARGUMENT,
        "expected 'idxs' of shape (N,), one for each of the %lld boxes, got %s",
        (long long)lp_size(boxes, 0), SHAPE_TEXT(idxs));
  CHECK(!lp_dtype_is_complex(lp_dtype(idxs)), LP_ERR_TYPE,
        "expected 'idxs' of integers, got %s", lp_dtype_name(lp_dtype(idxs)));
  Expr e = {0};
  LpTensor *by_score = order(&e, scores, true), *classes = rows(&e, idxs, by_score);
  LpTensor *whole = classes ? keep(&e, nn_dense(classes, LP_INT64)) : NULL;
  LpTensor *by_class = order(&e, whole, false);
  LpTensor *groups = rows(&e, whole, by_class);
  LpTensor *sorted = rows(&e, rows(&e, boxes, by_score), by_class);
  LpTensor *kept =
      sorted && groups ? keep(&e, lp_nms_kept(sorted, groups, iou_threshold)) : NULL;
  /* Back from the order by class to that by score. */
  LpTensor *back = order(&e, by_class, false), *mask = rows(&e, kept, back);
  return expr_end(&e, mask ? keep(&e, lp_masked_select(by_score, mask)) : NULL);
}

/* --- regions -------------------------------------------------------------------- */

/* (K, 5) from a list of (L, 4), the boxes of each image. */
static LpTensor *with_images(Expr *e, LpTensors boxes) {
  CHECK(boxes.count > 0, LP_ERR_ARGUMENT,
        "expected 'boxes' of a tensor for each image, got an empty list");
  for (int64_t i = 0; i < boxes.count; i++) {
    LpTensor *b = boxes.data[i];
    CHECK(lp_ndim(b) == 2 && lp_size(b, 1) == 4, LP_ERR_ARGUMENT,
          "expected 'boxes' of tensors (L, 4), got %s", SHAPE_TEXT(b));
  }
  LpTensor *all = keep(e, lp_cat(boxes, 0));
  if (!all) return NULL;
  int64_t sizes[2] = {lp_size(all, 0), 1}, at = 0;
  LpTensor *images = nn_empty(sizes, 2, LP_FLOAT64);
  for (int64_t i = 0; images && i < boxes.count; i++)
    for (int64_t k = 0; k < lp_size(boxes.data[i], 0); k++)
      ((double *)lp_data(images))[at++] = (double)i;
  LpTensor *pair[2] = {keep(e, nn_cast_take(images, lp_dtype(all))), all};
  return pair[0] ? keep(e, lp_cat((LpTensors){pair, 2}, 1)) : NULL;
}

static LpTensor *linear(LpTensor *input, LpTensor *boxes, LpInts output_size,
                        double scale, int64_t ratio, const char *kind) {
  int64_t size[2];
  TRY(nn_expand(output_size, 2, "output_size", size));
  return lp_roi_linear(input, boxes, lp_ints(size, 2), scale, ratio, kind);
}

static LpTensor *linear_list(LpTensor *input, LpTensors boxes, LpInts output_size,
                             double scale, int64_t ratio, const char *kind) {
  Expr e = {0};
  LpTensor *rois = with_images(&e, boxes);
  LpTensor *y =
      rois ? keep(&e, linear(input, rois, output_size, scale, ratio, kind)) : NULL;
  return expr_end(&e, y);
}

LpTensor *lp_composite_roi_align(LpTensor *input, LpTensor *boxes, LpInts output_size,
                                 double spatial_scale, int64_t sampling_ratio,
                                 bool aligned) {
  return linear(input, boxes, output_size, spatial_scale, sampling_ratio,
                aligned ? "align_half" : "align");
}
LpTensor *lp_composite_roi_align_list(LpTensor *input, LpTensors boxes,
                                      LpInts output_size, double spatial_scale,
                                      int64_t sampling_ratio, bool aligned) {
  return linear_list(input, boxes, output_size, spatial_scale, sampling_ratio,
                     aligned ? "align_half" : "align");
}
LpTensor *lp_composite_ps_roi_align(LpTensor *input, LpTensor *boxes, LpInts output_size,
                                    double spatial_scale, int64_t sampling_ratio) {
  return linear(input, boxes, output_size, spatial_scale, sampling_ratio, "ps_align");
}
LpTensor *lp_composite_ps_roi_align_list(LpTensor *input, LpTensors boxes,
                                         LpInts output_size, double spatial_scale,
                                         int64_t sampling_ratio) {
  return linear_list(input, boxes, output_size, spatial_scale, sampling_ratio,
                     "ps_align");
}
LpTensor *lp_composite_ps_roi_pool(LpTensor *input, LpTensor *boxes, LpInts output_size,
                                   double spatial_scale) {
  return linear(input, boxes, output_size, spatial_scale, 0, "ps_pool");
}
LpTensor *lp_composite_ps_roi_pool_list(LpTensor *input, LpTensors boxes,
                                        LpInts output_size, double spatial_scale) {
  return linear_list(input, boxes, output_size, spatial_scale, 0, "ps_pool");
}

LpTensor *lp_composite_roi_pool(LpTensor *input, LpTensor *boxes, LpInts output_size,
                                double spatial_scale) {
  int64_t size[2];
  LpTensor *results[2];
  TRY(nn_expand(output_size, 2, "output_size", size));
  TRY(lp_roi_max(input, boxes, lp_ints(size, 2), spatial_scale, results));
  lp_tensor_release(results[1]);
  return results[0];
}
LpTensor *lp_composite_roi_pool_list(LpTensor *input, LpTensors boxes, LpInts output_size,
                                     double spatial_scale) {
  Expr e = {0};
  LpTensor *rois = with_images(&e, boxes);
  LpTensor *y =
      rois ? lp_composite_roi_pool(input, rois, output_size, spatial_scale) : NULL;
  return expr_end(&e, keep(&e, y));
}

/* --- deformable convolution ----------------------------------------------------- */

LpTensor *lp_composite_deform_conv2d(LpTensor *input, LpTensor *offset, LpTensor *weight,
                                     LpTensor *bias, LpInts stride, LpInts padding,
                                     LpInts dilation, LpTensor *mask) {
  CHECK(lp_ndim(input) == 4, LP_ERR_ARGUMENT,
        "expected 'input' of 4 dims (batch, channels, height, width), got %s",
        SHAPE_TEXT(input));
  CHECK(lp_ndim(weight) == 4, LP_ERR_ARGUMENT,
        "expected 'weight' of 4 dims (out, in / groups, height, width), got %s",
        SHAPE_TEXT(weight));
  CHECK(lp_dtype(weight) == lp_dtype(input), LP_ERR_TYPE,
        "expected 'weight' of the dtype of 'input', %s, got %s",
        lp_dtype_name(lp_dtype(input)), lp_dtype_name(lp_dtype(weight)));
  int64_t out = lp_size(weight, 0), own = lp_size(weight, 1), in = lp_size(input, 1);
  CHECK(own > 0 && in % own == 0 && in > 0 && out % (in / own) == 0, LP_ERR_ARGUMENT,
        "expected 'weight' for groups of the %lld channels of 'input', got %s",
        (long long)in, SHAPE_TEXT(weight));
  CHECK(!bias || (lp_ndim(bias) == 1 && lp_size(bias, 0) == out), LP_ERR_ARGUMENT,
        "expected 'bias' of shape [%lld], got %s", (long long)out, SHAPE_TEXT(bias));
  CHECK(!bias || lp_dtype(bias) == lp_dtype(input), LP_ERR_TYPE,
        "expected 'bias' of the dtype of 'input', %s, got %s",
        lp_dtype_name(lp_dtype(input)), lp_dtype_name(lp_dtype(bias)));
  int64_t groups = in / own, kernel[2] = {lp_size(weight, 2), lp_size(weight, 3)};
  Expr e = {0};
  LpTensor *columns = keep(&e, lp_deform_columns(input, offset, mask, lp_ints(kernel, 2),
                                                 stride, padding, dilation));
  if (!columns) return expr_end(&e, NULL);
  int64_t n = lp_size(input, 0), plane = lp_size(columns, 2),
          rows_each = own * kernel[0] * kernel[1];
  int64_t by_group[4] = {n, groups, rows_each, plane},
          weights[4] = {1, groups, out / groups, rows_each},
          images[4] = {n, out, lp_size(offset, 2), lp_size(offset, 3)},
          channels[3] = {out, 1, 1};
  LpTensor *w = x_reshape(&e, weight, lp_ints(weights, 4));
  LpTensor *c = x_reshape(&e, columns, lp_ints(by_group, 4));
  LpTensor *product = w && c ? keep(&e, lp_matmul(w, c)) : NULL;
  LpTensor *y = x_reshape(&e, product, lp_ints(images, 4));
  if (bias) y = x_add(&e, y, x_reshape(&e, bias, lp_ints(channels, 3)));
  return expr_end(&e, y);
}
