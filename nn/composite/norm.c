/* The second derivatives of the normalisations, and the norms made of other ops.
 *
 * Note [Second derivative of a normalisation]: with xhat = (x - mean) * rstd, m() the
 * mean over the normalised dims and N(a) = a - m(a) - xhat * m(a * xhat), the first
 * derivative is gx = rstd * N(g'), g' = g * w. For cotangents a (of gx), u (of gw = sum(g
 * * xhat)) and v (of gb = sum(g)): d/dg = w * rstd * N(a) + u * xhat + v d/dw = sum(g *
 * rstd * N(a)) d/dx = rstd * N(u * g) - rstd^2 * (xhat * m(g' * N(a)) + m(g' * xhat) *
 * N(a) + m(a * xhat) * N(g')) With fixed statistics (eval): N(a) = a, d/dx = rstd * u *
 * g. */
#include <float.h>
#include "composite/expr.h"
#include "dispatch/channels.h"
#include "impl.h"
#include "lampad/autograd.h"

static LpTensor *project(Expr *e, LpTensor *a, LpTensor *xhat, LpInts dims) {
  LpTensor *along = x_mul(e, xhat, x_mean_dims(e, x_mul(e, a, xhat), dims, true));
  return x_sub(e, x_sub(e, a, x_mean_dims(e, a, dims, true)), along);
}

typedef struct Second {
  LpTensor *a, *u, *v, *g, *x, *mean, *rstd, *w; /* all broadcast against x */
  LpInts dims;
  bool fixed;
} Second;

/* out: d/dg, d/dx, and g * rstd * N(a), whose sum is d/dw. Borrowed from e. */
static bool second(Expr *e, const Second *s, LpTensor *out[3]) {
  LpTensor *xhat = x_mul(e, x_sub(e, s->x, s->mean), s->rstd);
  LpTensor *na = s->fixed ? s->a : project(e, s->a, xhat, s->dims);
  LpTensor *scaled = x_mul(e, s->rstd, na);
  out[0] = x_add(e, x_add(e, x_mul(e, s->w, scaled), x_mul(e, s->u, xhat)), s->v);
  LpTensor *ug = x_mul(e, s->u, s->g);
  if (s->fixed) {
    out[1] = x_mul(e, s->rstd, ug);
  } else {
    LpTensor *gw = x_mul(e, s->g, s->w);
    LpTensor *t1 = x_mul(e, xhat, x_mean_dims(e, x_mul(e, gw, na), s->dims, true));
    LpTensor *t2 = x_mul(e, x_mean_dims(e, x_mul(e, gw, xhat), s->dims, true), na);
    LpTensor *t3 = x_mul(e, x_mean_dims(e, x_mul(e, s->a, xhat), s->dims, true),
                         project(e, gw, xhat, s->dims));
    LpTensor *curve =
        x_mul(e, x_mul(e, s->rstd, s->rstd), x_add(e, x_add(e, t1, t2), t3));
    out[1] = x_sub(e, x_mul(e, s->rstd, project(e, ug, xhat, s->dims)), curve);
  }
  out[2] = x_mul(e, s->g, scaled);
  return out[0] && out[1] && out[2];
}

/* v (of one entry per channel) against x (batch, channels, ...). */
static LpTensor *per_channel(Expr *e, LpTensor *v, LpTensor *x) {
  return keep(e, lp_channel_expand(v, lp_sizes(x)));
}

static bool finish(Expr *e, bool ok, LpTensor *gg, LpTensor *gx, LpTensor *gw,
                   LpTensor **results) {
  results[0] = ok ? lp_tensor_retain(gg) : NULL;
  results[1] = ok ? lp_tensor_retain(gx) : NULL;
  results[2] = ok ? lp_tensor_retain(gw) : NULL;
  expr_end(e, NULL);
  return ok;
}

bool lp_composite_batch_norm_double_backward(
    LpTensor *grad_grad_input, LpTensor *grad_grad_weight, LpTensor *grad_grad_bias,
    LpTensor *grad_output, LpTensor *input, LpTensor *weight, LpTensor *save_mean,
    LpTensor *save_rstd, bool training, LpTensor **results) {
  Expr e = {0};
  int64_t dims[LP_MAX_DIMS], n = 0;
  for (int64_t d = 0; d < lp_ndim(input); d++)
    if (d != 1) dims[n++] = d;
  Second s = {.a = grad_grad_input,
              .g = grad_output,
              .x = input,
              .dims = lp_ints(dims, n),
              .fixed = !training};
  s.u = per_channel(&e, grad_grad_weight, input);
  s.v = per_channel(&e, grad_grad_bias, input);
  s.mean = per_channel(&e, save_mean, input);
  s.rstd = per_channel(&e, save_rstd, input);
  s.w = weight ? per_channel(&e, weight, input) : x_number(&e, 1);
  LpTensor *out[3];
  bool ok = second(&e, &s, out);
  LpTensor *gw = ok ? keep(&e, lp_channel_sum(out[2])) : NULL;
  return finish(&e, gw != NULL, out[0], out[1], gw, results);
}

bool lp_composite_layer_norm_double_backward(
    LpTensor *grad_grad_input, LpTensor *grad_grad_weight, LpTensor *grad_grad_bias,
    LpTensor *grad_output, LpTensor *input, LpInts normalized_shape, LpTensor *weight,
    LpTensor *mean, LpTensor *rstd, LpTensor **results) {
  Expr e = {0};
  int64_t dims[LP_MAX_DIMS], n = 0;
  for (int64_t d = lp_ndim(input) - normalized_shape.count; d < lp_ndim(input); d++)
    dims[n++] = d;
  Second s = {.a = grad_grad_input,
              .u = grad_grad_weight,
              .v = grad_grad_bias,
              .g = grad_output,
              .x = input,
              .mean = mean,
              .rstd = rstd,
              .dims = lp_ints(dims, n)};
  s.w = weight ? weight : x_number(&e, 1);
  LpTensor *out[3];
  bool ok = second(&e, &s, out);
  LpTensor *gw = ok ? keep(&e, lp_sum_to_size(out[2], normalized_shape)) : NULL;
  return finish(&e, gw != NULL, out[0], out[1], gw, results);
}

bool lp_composite_group_norm_double_backward(
    LpTensor *grad_grad_input, LpTensor *grad_grad_weight, LpTensor *grad_grad_bias,
    LpTensor *grad_output, LpTensor *input, int64_t num_groups, LpTensor *weight,
    LpTensor *mean, LpTensor *rstd, LpTensor **results) {
  Expr e = {0};
  int64_t n = lp_size(input, 0), dim = 2, wide[3] = {n, num_groups, 0},
          stat[3] = {n, num_groups, 1};
  wide[2] = n * num_groups > 0 ? lp_numel(input) / (n * num_groups) : 0;
  LpInts rows = lp_ints(wide, 3);
  Second s = {.dims = lp_ints(&dim, 1)};
  s.a = x_reshape(&e, grad_grad_input, rows);
  s.u = x_reshape(&e, per_channel(&e, grad_grad_weight, input), rows);
  s.v = x_reshape(&e, per_channel(&e, grad_grad_bias, input), rows);
  s.g = x_reshape(&e, grad_output, rows);
  s.x = x_reshape(&e, input, rows);
  s.mean = x_reshape(&e, mean, lp_ints(stat, 3));
  s.rstd = x_reshape(&e, rstd, lp_ints(stat, 3));
  s.w = weight ? x_reshape(&e, per_channel(&e, weight, input), rows) : x_number(&e, 1);
  LpTensor *out[3];
  bool ok = second(&e, &s, out);
  LpTensor *gg = ok ? x_reshape(&e, out[0], lp_sizes(input)) : NULL;
  LpTensor *gx = ok ? x_reshape(&e, out[1], lp_sizes(input)) : NULL;
  LpTensor *full = ok ? x_reshape(&e, out[2], lp_sizes(input)) : NULL;
  LpTensor *gw = full ? keep(&e, lp_channel_sum(full)) : NULL;
  return finish(&e, gg && gx && gw, gg, gx, gw, results);
}

LpTensor *lp_composite_channel_expand(LpTensor *self, LpInts size) {
  int64_t view[LP_MAX_DIMS];
  for (int64_t d = 0; d < size.count; d++) view[d] = d == 1 ? size.data[1] : 1;
  LpTensor *columns = lp_reshape(self, lp_ints(view, size.count));
  TRY(columns);
  LpTensor *result = lp_expand(columns, size);
  lp_tensor_release(columns);
  return result;
}

static LpTensor *batch_norm(LpTensor *input, LpTensor *running_mean,
                            LpTensor *running_var, LpTensor *weight, LpTensor *bias,
                            bool training, double momentum, double eps) {
  LpTensor *results[3];
  TRY(lp_native_batch_norm(input, weight, bias, running_mean, running_var, training,
                           momentum, eps, results));
  lp_tensor_release(results[1]);
  lp_tensor_release(results[2]);
  return results[0];
}

LpTensor *lp_composite_batch_norm(LpTensor *input, LpTensor *running_mean,
                                  LpTensor *running_var, LpTensor *weight, LpTensor *bias,
                                  bool training, double momentum, double eps) {
  if (lp_numel(input) == 0 && lp_ndim(input) < 2) return lp_mul(input, input);
  CHECK(!training || eps > 0, LP_ERR_ARGUMENT,
        "expected 'eps' above 0 in training, got %g", eps);
  return batch_norm(input, running_mean, running_var, weight, bias, training, momentum,
                    eps);
}

LpTensor *lp_composite_layer_norm(LpTensor *input, LpInts normalized_shape,
                                  LpTensor *weight, LpTensor *bias, double eps) {
  LpTensor *results[3];
  TRY(lp_native_layer_norm(input, normalized_shape, weight, bias, eps, results));
  lp_tensor_release(results[1]);
  lp_tensor_release(results[2]);
  return results[0];
}

LpTensor *lp_composite_group_norm(LpTensor *input, int64_t num_groups, LpTensor *weight,
                                  LpTensor *bias, double eps) {
  if (lp_ndim(input) >= 2 && num_groups > 0) {
    int64_t values = lp_size(input, 0) * lp_size(input, 1) / num_groups;
    for (int64_t d = 2; d < lp_ndim(input); d++) values *= lp_size(input, d);
    CHECK(values != 1, LP_ERR_ARGUMENT,
          "expected more than 1 value for each group, got input %s", SHAPE_TEXT(input));
  }
  LpTensor *results[3];
  TRY(lp_native_group_norm(input, num_groups, weight, bias, eps, results));
  lp_tensor_release(results[1]);
  lp_tensor_release(results[2]);
  return results[0];
}

/* running = (1 - momentum) * running + momentum * the mean over the images of `batch`. */
static bool update_running(Expr *e, LpTensor *running, LpTensor *batch, double momentum) {
  const int64_t dim = 0;
  LpTensor *next =
      x_add(e, x_scale(e, running, 1 - momentum),
            x_scale(e, x_mean_dims(e, batch, lp_ints(&dim, 1), false), momentum));
  TRY(next);
  TRY(lp_copy_into(running, next));
  lp_bump_version(running);
  return true;
}

/* The running statistics are those of the channel over all images: as in batch norm. */
LpTensor *lp_composite_instance_norm(LpTensor *input, LpTensor *running_mean,
                                     LpTensor *running_var, LpTensor *weight,
                                     LpTensor *bias, bool use_input_stats,
                                     double momentum, double eps) {
  CHECK(lp_ndim(input) >= 3, LP_ERR_ARGUMENT,
        "expected 'input' of at least 3 dims (batch, channels, space), got %s",
        SHAPE_TEXT(input));
  CHECK(
      use_input_stats || (running_mean && running_var), LP_ERR_ARGUMENT,
      "expected 'running_mean' and 'running_var' when use_input_stats is false, got nil");
  if (!use_input_stats)
    return batch_norm(input, running_mean, running_var, weight, bias, false, momentum,
                      eps);
  int64_t channels = lp_size(input, 1), space = 1;
  for (int64_t d = 2; d < lp_ndim(input); d++) space *= lp_size(input, d);
  CHECK(space != 1, LP_ERR_ARGUMENT,
        "expected more than 1 spatial element per channel when training, got input %s",
        SHAPE_TEXT(input));
  TRY(nn_check_channel_vector(running_mean, "running_mean", input));
  TRY(nn_check_channel_vector(running_var, "running_var", input));
  if (!lp_numel(input)) /* nothing to take a mean of */
    return batch_norm(input, NULL, NULL, weight, bias, true, momentum, eps);
  LpTensor *results[3];
  TRY(lp_native_group_norm(input, channels, weight, bias, eps, results));
  Expr e = {0};
  for (int i = 0; i < 3; i++) keep(&e, results[i]);
  bool ok = !running_mean || update_running(&e, running_mean, results[1], momentum);
  if (ok && running_var) {
    LpTensor *deviation = keep(&e, lp_reciprocal(results[2])), *zero = x_number(&e, 0),
             *rounded = x_offset(&e, x_mul(&e, deviation, deviation), -eps),
             *variance = rounded && zero ? keep(&e, lp_clamp_min(rounded, zero)) : NULL;
    ok = update_running(&e, running_var,
                        x_scale(&e, variance, (double)space / (double)(space - 1)),
                        momentum);
  }
  return expr_end(&e, ok ? results[0] : NULL);
}

/* By rows, or, when a graph is wanted, by ops that carry one: dx = s g w - s^3 x mean(g w
 * x) and dw = the sum of g x s, where s = (mean of x^2 + eps)^(-1/2). */
bool lp_composite_rms_norm_backward(LpTensor *grad_output, LpTensor *input,
                                    LpInts normalized_shape, LpTensor *weight,
                                    LpTensor *rstd, double eps, unsigned wanted,
                                    LpTensor **results) {
  if (!lp_grad_enabled())
    return lp_native_rms_norm_backward(grad_output, input, normalized_shape, weight, rstd,
                                       wanted, results);
  Expr e = {0};
  int64_t dims[LP_MAX_DIMS], n = 0;
  for (int64_t d = lp_ndim(input) - normalized_shape.count; d < lp_ndim(input); d++)
    dims[n++] = d;
  const LpInts last = lp_ints(dims, n);
  const LpDtype own = lp_dtype(input), wide = nn_compute_dtype(own);
  LpTensor *g = grad_output, *x = input, *w = weight;
  if (wide != own) {
    g = keep(&e, lp_to_dtype(g, wide, false, false, LP_FORMAT_NONE));
    x = keep(&e, lp_to_dtype(x, wide, false, false, LP_FORMAT_NONE));
    if (w) w = keep(&e, lp_to_dtype(w, wide, false, false, LP_FORMAT_NONE));
  }
  LpTensor *gw = weight ? x_mul(&e, g, w) : g;
  LpTensor *shifted = x_offset(&e, x_mean_dims(&e, x_mul(&e, x, x), last, true), eps);
  LpTensor *s = shifted ? keep(&e, lp_rsqrt(shifted)) : NULL;
  LpTensor *xhat = x_mul(&e, x, s);
  LpTensor *inner = x_mean_dims(&e, x_mul(&e, gw, xhat), last, true);
  LpTensor *dx = x_mul(&e, s, x_sub(&e, gw, x_mul(&e, xhat, inner)));
  LpTensor *products = x_mul(&e, g, xhat);
  LpTensor *dw = products ? keep(&e, lp_sum_to_size(products, normalized_shape)) : NULL;
  if (dx && wide != own)
    dx = keep(&e, lp_to_dtype(dx, own, false, false, LP_FORMAT_NONE));
  if (dw && wide != own)
    dw = keep(&e, lp_to_dtype(dw, own, false, false, LP_FORMAT_NONE));
  const bool ok = dx && dw;
  results[0] = ok ? lp_tensor_retain(dx) : NULL;
  results[1] = ok ? lp_tensor_retain(dw) : NULL;
  expr_end(&e, NULL);
  return ok;
}

LpTensor *lp_composite_rms_norm(LpTensor *input, LpInts normalized_shape,
                                LpTensor *weight, LpOptFloat eps) {
  int64_t dims[LP_MAX_DIMS], n = normalized_shape.count, ndim = lp_ndim(input);
  bool fits = n >= 1 && n <= ndim;
  for (int64_t d = 0; fits && d < n; d++) {
    dims[d] = ndim - n + d;
    fits = lp_size(input, dims[d]) == normalized_shape.data[d];
  }
  CHECK(fits, LP_ERR_ARGUMENT,
        "expected 'input' whose last sizes are normalized_shape %s, got %s",
        lp_format_ints(normalized_shape, (char[256]){0}, 256), SHAPE_TEXT(input));
  bool same = !weight || lp_ndim(weight) == n;
  for (int64_t d = 0; weight && same && d < n; d++)
    same = lp_size(weight, d) == normalized_shape.data[d];
  CHECK(same, LP_ERR_ARGUMENT,
        "expected 'weight' of the shape normalized_shape, %s, got %s",
        lp_format_ints(normalized_shape, (char[256]){0}, 256), SHAPE_TEXT(weight));
  LpDtype dtype = lp_dtype_to_real(lp_dtype(input));
  double tiny = dtype == LP_FLOAT64    ? DBL_EPSILON
                : dtype == LP_FLOAT16  ? 0x1p-10
                : dtype == LP_BFLOAT16 ? 0x1p-7
                                       : FLT_EPSILON;
  const double small = eps.has ? eps.value : tiny;
  if (nn_float_index(lp_dtype(input)) >= 0 && !input->physical &&
      (!weight || (lp_dtype(weight) == lp_dtype(input) && !weight->physical))) {
    LpTensor *results[2];
    TRY(lp_native_rms_norm(input, normalized_shape, weight, small, results));
    lp_tensor_release(results[1]);
    return results[0];
  }
  Expr e = {0};
  LpDtype own = lp_dtype(input), wide = nn_compute_dtype(own);
  const LpDevice here = {LP_DEVICE_NONE, 0};
  if (wide != own) { /* squares of 16-bit floats overflow */
    input = keep(&e, lp_to_copy(input, wide, here, LP_FORMAT_NONE));
    LpTensor *given = weight;
    if (given) weight = keep(&e, lp_to_copy(given, wide, here, LP_FORMAT_NONE));
    if (!input || (given && !weight)) return expr_end(&e, NULL);
  }
  LpTensor *square = x_mean_dims(&e, x_mul(&e, input, input), lp_ints(dims, n), true);
  LpTensor *shifted = x_offset(&e, square, small);
  LpTensor *scale = shifted ? keep(&e, lp_rsqrt(shifted)) : NULL;
  LpTensor *y = x_mul(&e, input, scale);
  if (weight) y = x_mul(&e, y, weight);
  if (y && lp_dtype(y) != own) y = keep(&e, lp_to_copy(y, own, here, LP_FORMAT_NONE));
  return expr_end(&e, y);
}

/* Sums of `size` neighbouring channels, of a tensor with size - 1 more: sums of twice as
 * many come from those of so many, a step apart, and the ones that size is made of are
 * added. Slices of channels are taken as they lie, in every layout. */
static LpTensor *sum_neighbours(Expr *e, LpTensor *t, int64_t size) {
  int64_t channels = lp_size(t, 1) - (size - 1), done = 0;
  LpTensor *total = NULL;
  for (int64_t step = 1; t && step <= size; step *= 2) {
    if (size & step) {
      LpTensor *part = keep(e, lp_narrow(t, 1, done, channels));
      total = total ? x_add(e, total, part) : part;
      if (!total) return NULL;
      done += step;
    }
    const int64_t left = lp_size(t, 1) - step;
    if (2 * step > size) break;
    LpTensor *low = keep(e, lp_narrow(t, 1, 0, left)),
             *high = keep(e, lp_narrow(t, 1, step, left));
    t = x_add(e, low, high);
  }
  return t ? total : NULL;
}

LpTensor *lp_composite_neighbour_sums(LpTensor *self, int64_t size) {
  Expr e = {0};
  return expr_end(&e, sum_neighbours(&e, self, size));
}

/* x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta */
LpTensor *lp_composite_local_response_norm(LpTensor *input, int64_t size, double alpha,
                                           double beta, double k) {
  CHECK(lp_ndim(input) >= 3, LP_ERR_ARGUMENT,
        "expected 'input' of at least 3 dims, got %s", SHAPE_TEXT(input));
  CHECK(size > 0, LP_ERR_ARGUMENT, "expected 'size' of at least 1, got %lld",
        (long long)size);
  if (!lp_numel(input)) return lp_mul(input, input);
  Expr e = {0};
  const int64_t pads = 2 * lp_ndim(input) - 2;
  int64_t pad[2 * LP_MAX_DIMS] = {0};
  pad[pads - 2] = size / 2;
  pad[pads - 1] = (size - 1) / 2;
  LpTensor *square = x_mul(&e, input, input);
  LpTensor *padded =
      square ? keep(&e, lp_constant_pad_nd(square, lp_ints(pad, pads), lp_scalar_int(0)))
             : NULL;
  /* Autocast sums those of images in float32: PyTorch has avg_pool3d do it. */
  LpTensor *sum = !padded              ? NULL
                  : lp_ndim(input) > 3 ? keep(&e, lp_neighbour_sums(padded, size))
                                       : sum_neighbours(&e, padded, size);
  LpTensor *base = x_offset(&e, x_scale(&e, sum, alpha / (double)size), k);
  LpTensor *exponent = x_number(&e, beta);
  LpTensor *divisor = base && exponent ? keep(&e, lp_pow(base, exponent)) : NULL;
  return expr_end(&e, x_div(&e, input, divisor));
}
