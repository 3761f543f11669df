/* Grids of affine maps, grid sampling and its derivatives.
 *
 * Note [Grid sampling, twice differentiated]: the gradients are loops of their own
 * (grid_sample_gradients) unless they are to be differentiated again. Then they are
 * written in differentiable ops: the sample is the sum over taps of weights(grid) *
 * input[indices], and the derivatives of the weights by the coordinates are weights of a
 * higher order. */
#include "autograd/node.h"
#include "composite/expr.h"
#include "impl.h"

/* n steps from -1 to 1; without align_corners moved to the centres of n equal parts. */
static LpTensor *steps(Expr *e, int64_t n, bool align_corners, LpDtype dtype) {
  if (n == 1) return keep(e, nn_zeros(&n, 1, dtype));
  LpTensor *line = keep(
      e, lp_linspace(lp_scalar_float(-1), lp_scalar_float(1), n, dtype, lp_cpu(), false));
  return align_corners ? line : x_scale(e, line, (double)(n - 1) / (double)n);
}

LpTensor *lp_composite_affine_grid(LpTensor *theta, LpInts size,
                                   LpOptBool align_corners) {
  CHECK_FLOATING(theta, "theta");
  CHECK(size.count == 4 || size.count == 5, LP_ERR_ARGUMENT,
        "expected 'size' of 4 numbers (N, C, H, W) or 5 (N, C, D, H, W), got %lld",
        (long long)size.count);
  int64_t dims = size.count - 2, n = size.data[0];
  CHECK(lp_ndim(theta) == 3 && lp_size(theta, 0) == n && lp_size(theta, 1) == dims &&
            lp_size(theta, 2) == dims + 1,
        LP_ERR_ARGUMENT,
        "expected 'theta' of shape [%lld, %lld, %lld] for size %s, got %s", (long long)n,
        (long long)dims, (long long)dims + 1, lp_format_ints(size, (char[256]){0}, 256),
        SHAPE_TEXT(theta));
  for (int64_t d = 0; d < size.count; d++)
    CHECK(size.data[d] > 0, LP_ERR_ARGUMENT,
          "expected 'size' of positive numbers, got %s",
          lp_format_ints(size, (char[256]){0}, 256));
  bool align = align_corners.has && align_corners.value;
  LpDtype dtype = lp_dtype(theta);
  Expr e = {0};
  /* base[..., d] is the position along coordinate d (x first), base[..., dims] is 1. */
  int64_t volume = 1;
  LpTensor *columns[4];
  for (int64_t d = 0; d < dims; d++) volume *= size.data[d + 2];
  for (int64_t d = 0; d <= dims; d++) {
    int64_t view[4] = {1, 1, 1, 1}, along = dims - 1 - d;
    LpTensor *line = NULL;
    if (d == dims) {
      line = keep(&e,
                  lp_full(lp_ints(view, dims), lp_scalar_int(1), dtype, lp_cpu(), false));
    } else {
      view[along] = size.data[along + 2];
      line = x_reshape(&e, steps(&e, view[along], align, dtype), lp_ints(view, dims));
    }
    LpTensor *wide =
        line ? keep(&e, lp_expand(line, lp_ints(size.data + 2, dims))) : NULL;
    columns[d] = x_reshape(&e, wide, lp_ints(&volume, 1));
    if (!columns[d]) return expr_end(&e, NULL);
  }
  LpTensor *base = keep(&e, lp_stack((LpTensors){columns, dims + 1}, -1));
  int64_t batched[3] = {n, volume, dims + 1}, last[5] = {n};
  for (int64_t d = 0; d < dims; d++) last[d + 1] = size.data[d + 2];
  last[dims + 1] = dims;
  LpTensor *bases = base ? keep(&e, lp_expand(base, lp_ints(batched, 3))) : NULL;
  LpTensor *turned = keep(&e, lp_transpose(theta, 1, 2));
  LpTensor *flat = bases && turned ? keep(&e, lp_bmm(bases, turned)) : NULL;
  return expr_end(&e, x_reshape(&e, flat, lp_ints(last, dims + 2)));
}

LpTensor *lp_composite_grid_sample(LpTensor *input, LpTensor *grid, const char *mode,
                                   const char *padding_mode, LpOptBool align_corners) {
  return lp_grid_sample_nd(input, grid, mode, padding_mode,
                           align_corners.has && align_corners.value);
}

typedef struct GridCall {
  LpTensor *grid;
  LpInts size;
  const char *mode, *padding;
  bool align_corners;
} GridCall;

/* The weights (N, positions, taps) differentiated once more by coordinate d (-1: by
 * none). */
static LpTensor *weights(Expr *e, const GridCall *c, LpInts orders, int64_t d) {
  int64_t more[3] = {0};
  for (int64_t i = 0; i < orders.count; i++) more[i] = orders.data[i] + (i == d);
  return keep(e, lp_grid_weights(c->grid, c->size, c->mode, c->padding, c->align_corners,
                                 lp_ints(more, orders.count)));
}

/* For each coordinate the sum over taps of share * weights, as one tensor of grid's
 * shape. */
static LpTensor *by_coordinates(Expr *e, const GridCall *c, LpTensor *share,
                                LpInts orders) {
  int64_t dims = c->size.count - 2, last = -1;
  LpTensor *parts[3];
  for (int64_t d = 0; d < dims; d++) {
    parts[d] = x_sum_dims(e, x_mul(e, share, weights(e, c, orders, d)), lp_ints(&last, 1),
                          false);
    if (!parts[d]) return NULL;
  }
  LpTensor *all = keep(e, lp_stack((LpTensors){parts, dims}, -1));
  return x_reshape(e, all, lp_sizes(c->grid));
}

LpTensor *lp_composite_grid_weights_adjoint(LpTensor *grad_output, LpTensor *grid,
                                            LpInts size, const char *mode,
                                            const char *padding_mode, bool align_corners,
                                            LpInts orders) {
  Expr e = {0};
  GridCall c = {grid, size, mode, padding_mode, align_corners};
  return expr_end(&e, by_coordinates(&e, &c, grad_output, orders));
}

bool lp_composite_grid_sample_backward(LpTensor *grad_output, LpTensor *input,
                                       LpTensor *grid, const char *mode,
                                       const char *padding_mode, bool align_corners,
                                       unsigned grad_mask, LpTensor **results) {
  if (!lp_wants_grad(grad_output) && !lp_wants_grad(input) && !lp_wants_grad(grid))
    return lp_grid_sample_gradients(grad_output, input, grid, mode, padding_mode,
                                    align_corners, grad_mask, results);
  results[0] = results[1] = NULL;
  Expr e = {0};
  GridCall c = {grid, lp_sizes(input), mode, padding_mode, align_corners};
  const int64_t zeros[3] = {0};
  LpInts none = lp_ints(zeros, c.size.count - 2);
  LpTensor *w = weights(&e, &c, none, -1);
  LpTensor *index =
      keep(&e, lp_grid_indices(grid, c.size, mode, padding_mode, align_corners));
  if (!w || !index) return expr_end(&e, NULL) != NULL;
  int64_t n = lp_size(input, 0), channels = lp_size(input, 1), positions = lp_size(w, 1),
          taps = lp_size(w, 2), plane = 1, one = 1;
  for (int64_t d = 2; d < c.size.count; d++) plane *= c.size.data[d];
  int64_t flat[3] = {n, channels, positions * taps}, flat_index[3] = {n, 1, flat[2]},
          by_tap[4] = {n, channels, positions, taps},
          by_position[4] = {n, channels, positions, 1}, planes[3] = {n, channels, plane};
  LpTensor *at = x_reshape(&e, index, lp_ints(flat_index, 3));
  at = at ? keep(&e, lp_expand(at, lp_ints(flat, 3))) : NULL;
  LpTensor *g = x_reshape(&e, grad_output, lp_ints(by_position, 4));
  LpTensor *gx = NULL, *ggrid = NULL;
  if (grad_mask & 1) {
    LpTensor *shares =
        x_reshape(&e, x_mul(&e, g, x_unsqueeze(&e, w, 1)), lp_ints(flat, 3));
    LpTensor *empty = keep(&e, nn_zeros(planes, 3, lp_dtype(input)));
    LpTensor *sums =
        empty && at && shares ? keep(&e, lp_scatter_add(empty, 2, at, shares)) : NULL;
    gx = x_reshape(&e, sums, c.size);
  }
  if (grad_mask & 2) {
    LpTensor *x = x_reshape(&e, input, lp_ints(planes, 3));
    LpTensor *values = x && at ? keep(&e, lp_gather(x, 2, at, false)) : NULL;
    values = x_reshape(&e, values, lp_ints(by_tap, 4));
    LpTensor *share = x_sum_dims(&e, x_mul(&e, g, values), lp_ints(&one, 1), false);
    ggrid = by_coordinates(&e, &c, share, none);
  }
  bool ok = (gx || !(grad_mask & 1)) && (ggrid || !(grad_mask & 2));
  if (ok) {
    lp_tensor_retain(gx);
    lp_tensor_retain(ggrid);
    results[0] = gx;
    results[1] = ggrid;
  }
  expr_end(&e, NULL);
  return ok;
}
