/* The loss functions of nn.functional. All take size_average and reduce, which PyTorch
 * keeps for old scripts: when one of them is given, they decide instead of reduction. */
#include <math.h>
#include "composite/expr.h"
#include "dispatch/iter.h"
#include "dispatch/pointwise.h"
#include "impl.h"

/* What the three arguments say together. */
static bool reduction_of(LpOptBool size_average, LpOptBool reduce, const char *text,
                         bool allow_batchmean, NnReduction *how) {
  if (size_average.has || reduce.has) {
    bool any = !reduce.has || reduce.value,
         mean = !size_average.has || size_average.value;
    *how = !any ? NN_NONE : mean ? NN_MEAN : NN_SUM;
    return true;
  }
  return nn_reduction(text, allow_batchmean, how);
}

static const char *reduction_name(NnReduction how) {
  return how == NN_NONE ? "none" : how == NN_MEAN ? "mean" : "sum";
}

static bool broadcastable(LpTensor *input, LpTensor *target) {
  for (int64_t i = 1; i <= lp_ndim(input) && i <= lp_ndim(target); i++) {
    int64_t a = lp_size(input, lp_ndim(input) - i),
            b = lp_size(target, lp_ndim(target) - i);
    CHECK(a == b || a == 1 || b == 1, LP_ERR_ARGUMENT,
          "expected 'target' of the shape of the input, %s, got %s", SHAPE_TEXT(input),
          SHAPE_TEXT(target));
  }
  return true;
}

static bool is_real(LpTensor *t, const char *name) {
  CHECK(!lp_dtype_is_complex(lp_dtype(t)), LP_ERR_TYPE,
        "expected '%s' of a real dtype, got %s", name, lp_dtype_name(lp_dtype(t)));
  return true;
}

/* A weight of the classes, when there is one, has the input's dtype. */
static bool same_dtype(LpTensor *input, LpTensor *weight) {
  CHECK(!weight || lp_dtype(weight) == lp_dtype(input), LP_ERR_TYPE,
        "expected 'weight' of the dtype of the input, %s, got %s",
        lp_dtype_name(lp_dtype(input)), lp_dtype_name(lp_dtype(weight)));
  return true;
}

/* bool beside numbers counts as a number: subtraction has no bools. */
static bool as_numbers(Expr *e, LpTensor **input, LpTensor **target) {
  LpDtype common = lp_promote_types(lp_dtype(*input), lp_dtype(*target));
  const LpDevice here = {LP_DEVICE_NONE, 0};
  LpTensor **both[2] = {input, target};
  for (int i = 0; i < 2; i++)
    if (lp_dtype(*both[i]) == LP_BOOL && common != LP_BOOL)
      TRY(*both[i] = keep(e, lp_to_copy(*both[i], common, here, LP_FORMAT_NONE)));
  return true;
}

static bool same_shape(LpTensor *input, LpTensor *target, const char *name) {
  bool same = lp_ndim(input) == lp_ndim(target);
  for (int64_t d = 0; same && d < lp_ndim(input); d++)
    same = lp_size(input, d) == lp_size(target, d);
  CHECK(same, LP_ERR_ARGUMENT, "expected '%s' of the shape of the input, %s, got %s",
        name, SHAPE_TEXT(input), SHAPE_TEXT(target));
  return true;
}

/* The reduced loss; a weight multiplies each element, and its sum divides the mean. */
static LpTensor *weighted_reduce(Expr *e, LpTensor *loss, LpTensor *weight,
                                 NnReduction how) {
  if (!weight) return x_reduce(e, loss, how);
  LpTensor *weighted = x_mul(e, loss, weight);
  if (how != NN_MEAN) return x_reduce(e, weighted, how);
  return x_div(e, x_sum(e, weighted), x_sum(e, weight));
}

LpTensor *lp_composite_mse_loss(LpTensor *input, LpTensor *target, LpOptBool size_average,
                                LpOptBool reduce, const char *reduction,
                                LpTensor *weight) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(is_real(input, "input"));
  TRY(broadcastable(input, target));
  Expr e = {0};
  if (!as_numbers(&e, &input, &target)) return expr_end(&e, NULL);
  const bool floating =
      lp_dtype_is_floating(lp_result_type((LpTensor *[]){input, target}, 2));
  LpTensor *d = floating ? NULL : x_sub(&e, input, target);
  LpTensor *loss = floating ? keep(&e, lp_squared_distance(input, target))
                   : d      ? keep(&e, lp_square(d))
                            : NULL;
  return expr_end(&e, weighted_reduce(&e, loss, weight, how));
}

LpTensor *lp_composite_l1_loss(LpTensor *input, LpTensor *target, LpOptBool size_average,
                               LpOptBool reduce, const char *reduction,
                               LpTensor *weight) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(broadcastable(input, target));
  Expr e = {0};
  LpTensor *d = x_sub(&e, input, target);
  LpTensor *loss = d ? keep(&e, lp_abs(d)) : NULL;
  return expr_end(&e, weighted_reduce(&e, loss, weight, how));
}

LpTensor *lp_impl_squared_distance(LpTensor *input, LpTensor *target) {
  return lp_pointwise(LP_POINTWISE_EXTRA(LP_EXTRA_squared_distance), NULL,
                      (LpTensor *const[]){input, target}, 2, NULL);
}
LpTensor *lp_impl_squared_slope(LpTensor *input, LpTensor *target, LpTensor *above) {
  return lp_pointwise(LP_POINTWISE_EXTRA(LP_EXTRA_squared_slope), NULL,
                      (LpTensor *const[]){input, target, above}, 3, NULL);
}

/* steep * z^2 / 2 below the bend, straight above it: z = |input - target|. */
LpTensor *lp_impl_bent_distance(LpTensor *input, LpTensor *target, double bend,
                                double steep) {
  CHECK(lp_dtype(input) != LP_BOOL && lp_dtype(target) != LP_BOOL, LP_ERR_TYPE,
        "expected numbers, got bool; convert the tensor first");
  const LpScalar params[] = {lp_scalar_float(bend), lp_scalar_float(0.5 * steep),
                             lp_scalar_float(bend * steep)};
  return lp_pointwise(LP_POINTWISE_EXTRA(LP_EXTRA_bent_distance), NULL,
                      (LpTensor *const[]){input, target}, 2, params);
}

LpTensor *lp_impl_bent_slope(LpTensor *input, LpTensor *target, LpTensor *above,
                             double bend, double steep) {
  const LpScalar params[] = {lp_scalar_float(bend), lp_scalar_float(steep)};
  return lp_pointwise(LP_POINTWISE_EXTRA(LP_EXTRA_bent_slope), NULL,
                      (LpTensor *const[]){input, target, above}, 3, params);
}

LpTensor *lp_composite_smooth_l1_loss(LpTensor *input, LpTensor *target,
                                      LpOptBool size_average, LpOptBool reduce,
                                      const char *reduction, double beta) {
  CHECK(beta >= 0, LP_ERR_ARGUMENT, "expected 'beta' of at least 0, got %g", beta);
  if (beta == 0)
    return lp_composite_l1_loss(input, target, size_average, reduce, reduction, NULL);
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(is_real(input, "input"));
  TRY(broadcastable(input, target));
  Expr e = {0};
  if (!as_numbers(&e, &input, &target)) return expr_end(&e, NULL);
  return expr_end(
      &e, x_reduce(&e, keep(&e, lp_bent_distance(input, target, beta, 1 / beta)), how));
}

LpTensor *lp_composite_huber_loss(LpTensor *input, LpTensor *target,
                                  const char *reduction, double delta, LpTensor *weight) {
  NnReduction how;
  CHECK(delta > 0, LP_ERR_ARGUMENT, "expected 'delta' above 0, got %g", delta);
  TRY(nn_reduction(reduction, false, &how));
  TRY(is_real(input, "input"));
  TRY(broadcastable(input, target));
  Expr e = {0};
  return expr_end(&e,
                  weighted_reduce(&e, keep(&e, lp_bent_distance(input, target, delta, 1)),
                                  weight, how));
}

static bool in_unit_interval(LpTensor *t, bool *inside) {
  LpTensor *wide = nn_dense(t, LP_FLOAT64);
  TRY(wide);
  const double *x = lp_data(wide);
  *inside = true;
  for (int64_t i = 0; i < lp_numel(wide); i++)
    *inside = *inside && x[i] >= 0 && x[i] <= 1;
  lp_tensor_release(wide);
  return true;
}

/* -(t * log(x) + (1 - t) * log(1 - x)) with the logarithms at least -100; below autograd.
 */
LpTensor *lp_impl_binary_cross_entropy_elements(LpTensor *input, LpTensor *target) {
  CHECK_FLOATING(input, "input");
  bool inside;
  TRY(in_unit_interval(input, &inside));
  CHECK(inside, LP_ERR_ARGUMENT,
        "expected an input between 0 and 1: apply sigmoid, or use "
        "binary_cross_entropy_with_logits");
  TRY(in_unit_interval(target, &inside));
  CHECK(inside, LP_ERR_ARGUMENT, "expected 'target' between 0 and 1");
  Expr e = {0};
  LpTensor *floor = x_number(&e, -100), *opposite = x_neg(&e, input);
  LpTensor *log_x = x_log(&e, input),
           *log_y = opposite ? keep(&e, lp_log1p(opposite)) : NULL;
  log_x = log_x && floor ? keep(&e, lp_clamp_min(log_x, floor)) : NULL;
  log_y = log_y && floor ? keep(&e, lp_clamp_min(log_y, floor)) : NULL;
  LpTensor *rest = x_offset(&e, target, -1); /* t - 1 */
  return expr_end(&e, x_sub(&e, x_mul(&e, rest, log_y), x_mul(&e, target, log_x)));
}

LpTensor *lp_composite_binary_cross_entropy(LpTensor *input, LpTensor *target,
                                            LpTensor *weight, LpOptBool size_average,
                                            LpOptBool reduce, const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(same_shape(input, target, "target"));
  CHECK_FLOATING(input, "input");
  CHECK(lp_dtype(target) == lp_dtype(input), LP_ERR_TYPE,
        "expected 'target' of the dtype of the input, %s, got %s",
        lp_dtype_name(lp_dtype(input)), lp_dtype_name(lp_dtype(target)));
  Expr e = {0};
  LpTensor *loss = keep(&e, lp_binary_cross_entropy_elements(input, target));
  if (weight) loss = x_mul(&e, loss, weight);
  return expr_end(&e, x_reduce(&e, loss, how));
}

LpTensor *lp_composite_binary_cross_entropy_with_logits(
    LpTensor *input, LpTensor *target, LpTensor *weight, LpOptBool size_average,
    LpOptBool reduce, const char *reduction, LpTensor *pos_weight) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(same_shape(input, target, "target"));
  CHECK_FLOATING(target, "target");
  Expr e = {0};
  LpTensor *loss =
      keep(&e, lp_binary_cross_entropy_with_logits_elements(input, target, pos_weight));
  if (weight) loss = x_mul(&e, loss, weight);
  return expr_end(&e, x_reduce(&e, loss, how));
}

/* (1 - t) * x - (1 + (pos_weight - 1) * t) * logsigmoid(x); below autograd. */
LpTensor *lp_impl_binary_cross_entropy_with_logits_elements(LpTensor *input,
                                                            LpTensor *target,
                                                            LpTensor *pos_weight) {
  Expr e = {0};
  LpTensor *log_sigmoid = keep(&e, lp_logsigmoid(input));
  LpTensor *base = x_mul(&e, x_offset(&e, x_neg(&e, target), 1), input);
  if (pos_weight) {
    LpTensor *factor = x_offset(&e, x_mul(&e, x_offset(&e, pos_weight, -1), target), 1);
    log_sigmoid = x_mul(&e, factor, log_sigmoid);
  }
  return expr_end(&e, x_sub(&e, base, log_sigmoid));
}

/* The derivative by the input, as one difference: target - 1 for small x, target for
 * large. */
LpTensor *lp_composite_binary_cross_entropy_with_logits_slope(LpTensor *input,
                                                              LpTensor *target,
                                                              LpTensor *pos_weight) {
  Expr e = {0};
  LpTensor *s = keep(&e, lp_sigmoid(input));
  if (!pos_weight) return expr_end(&e, x_sub(&e, s, target));
  LpTensor *t = x_mul(&e, pos_weight, target);
  LpTensor *factor = x_sub(&e, x_offset(&e, t, 1), target);
  return expr_end(&e, x_sub(&e, x_mul(&e, factor, s), t));
}

/* The derivative by the target: (1 - pos_weight) * logsigmoid(x) - x. */
LpTensor *lp_composite_binary_cross_entropy_with_logits_by_target(LpTensor *input,
                                                                  LpTensor *pos_weight) {
  Expr e = {0};
  LpTensor *by_target = x_neg(&e, input);
  if (pos_weight) {
    LpTensor *rest = x_offset(&e, x_neg(&e, pos_weight), 1);
    LpTensor *log_sigmoid = keep(&e, lp_logsigmoid(input));
    by_target = x_add(&e, by_target, x_mul(&e, rest, log_sigmoid));
  }
  return expr_end(&e, by_target);
}

LpTensor *lp_composite_kl_div(LpTensor *input, LpTensor *target, LpOptBool size_average,
                              LpOptBool reduce, const char *reduction, bool log_target) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, true, &how));
  TRY(broadcastable(input, target));
  CHECK_FLOATING(input, "input");
  CHECK_FLOATING(target, "target");
  Expr e = {0};
  LpTensor *loss;
  if (log_target) {
    loss = x_mul(&e, x_exp(&e, target), x_sub(&e, target, input));
  } else {
    LpTensor *own = keep(&e, lp_xlogy(target, target));
    loss = x_sub(&e, own, x_mul(&e, target, input));
  }
  if (how == NN_BATCHMEAN) {
    double n = lp_ndim(input) ? (double)lp_size(input, 0) : 1;
    return expr_end(&e, x_scale(&e, x_sum(&e, loss), 1 / n));
  }
  return expr_end(&e, x_reduce(&e, loss, how));
}

static LpTensor *at_least_zero(Expr *e, LpTensor *a) {
  LpTensor *zero = x_number(e, 0);
  return a && zero ? keep(e, lp_clamp_min(a, zero)) : NULL;
}

/* Where target is not `other`, the value, else 0. */
static LpTensor *where_not(Expr *e, LpTensor *target, double other, LpTensor *value) {
  LpTensor *excluded = x_number(e, other), *zero = x_whole(e, 0);
  LpTensor *mask = excluded ? keep(e, lp_ne(target, excluded)) : NULL;
  return x_where(e, mask, value, zero);
}

/* Where target is 1 (or -1), the value, else 0. */
static LpTensor *where_target(Expr *e, LpTensor *target, double is, LpTensor *value) {
  LpTensor *wanted = x_number(e, is), *zero = x_number(e, 0);
  LpTensor *mask = wanted ? keep(e, lp_eq(target, wanted)) : NULL;
  return x_where(e, mask, value, zero);
}

LpTensor *lp_composite_hinge_embedding_loss(LpTensor *input, LpTensor *target,
                                            double margin, LpOptBool size_average,
                                            LpOptBool reduce, const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(broadcastable(input, target));
  Expr e = {0};
  /* Integers stay integers, as in PyTorch, which adds the margin in place. */
  bool whole = lp_dtype_is_integral(lp_dtype(input), false);
  LpTensor *gap = whole ? x_add(&e, x_neg(&e, input), x_whole(&e, (int64_t)margin))
                        : x_offset(&e, x_neg(&e, input), margin);
  LpTensor *zero = x_whole(&e, 0),
           *far = gap && zero ? keep(&e, lp_clamp_min(gap, zero)) : NULL;
  LpTensor *loss =
      x_add(&e, where_not(&e, target, 1, far), where_not(&e, target, -1, input));
  return expr_end(&e, x_reduce(&e, loss, how));
}

LpTensor *lp_composite_cosine_similarity(LpTensor *x1, LpTensor *x2, int64_t dim,
                                         double eps) {
  Expr e = {0};
  LpInts dims = lp_ints(&dim, 1);
  int64_t shape[LP_MAX_DIMS], ndim;
  LpDtype common = lp_promote_types(lp_dtype(x1), lp_dtype(x2));
  CHECK(nn_float_index(common) >= 0, LP_ERR_TYPE,
        "expected 'x1' and 'x2' whose common dtype is floating, got %s and %s",
        lp_dtype_name(lp_dtype(x1)), lp_dtype_name(lp_dtype(x2)));
  const LpDevice here = {LP_DEVICE_NONE, 0};
  if (lp_dtype(x1) != common) x1 = keep(&e, lp_to_copy(x1, common, here, LP_FORMAT_NONE));
  if (lp_dtype(x2) != common) x2 = keep(&e, lp_to_copy(x2, common, here, LP_FORMAT_NONE));
  if (!x1 || !x2) return expr_end(&e, NULL);
  if (!lp_broadcast_shapes((LpInts[]){lp_sizes(x1), lp_sizes(x2)}, 2, shape, &ndim))
    return expr_end(&e, NULL);
  x1 = keep(&e, lp_expand(x1, lp_ints(shape, ndim)));
  x2 = keep(&e, lp_expand(x2, lp_ints(shape, ndim)));
  if (!x1 || !x2) return expr_end(&e, NULL);
  LpTensor *least = x_number(&e, eps);
  LpTensor *n1 =
      keep(&e, lp_linalg_vector_norm(x1, lp_scalar_int(2), dims, true, LP_DTYPE_NONE));
  LpTensor *n2 =
      keep(&e, lp_linalg_vector_norm(x2, lp_scalar_int(2), dims, true, LP_DTYPE_NONE));
  n1 = n1 && least ? keep(&e, lp_clamp_min(n1, least)) : NULL;
  n2 = n2 && least ? keep(&e, lp_clamp_min(n2, least)) : NULL;
  LpTensor *u1 = x_div(&e, x1, n1), *u2 = x_div(&e, x2, n2);
  return expr_end(&e, x_sum_dims(&e, x_mul(&e, u1, u2), dims, false));
}

LpTensor *lp_composite_cosine_embedding_loss(LpTensor *input1, LpTensor *input2,
                                             LpTensor *target, double margin,
                                             LpOptBool size_average, LpOptBool reduce,
                                             const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  CHECK(lp_ndim(target) <= 1, LP_ERR_ARGUMENT, "expected 'target' of 0 or 1 dims, got %s",
        SHAPE_TEXT(target));
  CHECK(lp_ndim(input1) == lp_ndim(target) + 1 && lp_ndim(input2) == lp_ndim(target) + 1,
        LP_ERR_ARGUMENT, "expected inputs of %lld dims for target %s, got %s and %s",
        (long long)lp_ndim(target) + 1, SHAPE_TEXT(target), SHAPE_TEXT(input1),
        SHAPE_TEXT(input2));
  Expr e = {0};
  int64_t dim = lp_ndim(target);
  LpInts dims = lp_ints(&dim, 1);
  const double tiny = 1e-12; /* added to the squares, as PyTorch does */
  LpTensor *products = x_sum_dims(&e, x_mul(&e, input1, input2), dims, false);
  LpTensor *s1 =
      x_offset(&e, x_sum_dims(&e, x_mul(&e, input1, input1), dims, false), tiny);
  LpTensor *s2 =
      x_offset(&e, x_sum_dims(&e, x_mul(&e, input2, input2), dims, false), tiny);
  LpTensor *s = x_mul(&e, s1, s2), *root = s ? keep(&e, lp_sqrt(s)) : NULL;
  LpTensor *cosine = x_div(&e, products, root);
  LpTensor *near = x_offset(&e, x_neg(&e, cosine), 1),
           *far = at_least_zero(&e, x_offset(&e, cosine, -margin));
  LpTensor *loss =
      x_add(&e, where_target(&e, target, 1, near), where_target(&e, target, -1, far));
  return expr_end(&e, x_reduce(&e, loss, how));
}

LpTensor *lp_composite_margin_ranking_loss(LpTensor *input1, LpTensor *input2,
                                           LpTensor *target, double margin,
                                           LpOptBool size_average, LpOptBool reduce,
                                           const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  CHECK(lp_ndim(input1) == lp_ndim(input2) && lp_ndim(input1) == lp_ndim(target),
        LP_ERR_ARGUMENT, "expected inputs and target of as many dims, got %s, %s and %s",
        SHAPE_TEXT(input1), SHAPE_TEXT(input2), SHAPE_TEXT(target));
  Expr e = {0};
  LpTensor *signed_gap = x_mul(&e, x_neg(&e, target), x_sub(&e, input1, input2));
  return expr_end(&e,
                  x_reduce(&e, at_least_zero(&e, x_offset(&e, signed_gap, margin)), how));
}

LpTensor *lp_composite_pairwise_distance(LpTensor *x1, LpTensor *x2, double p, double eps,
                                         bool keepdim) {
  Expr e = {0};
  int64_t dim = -1;
  LpTensor *d = x_offset(&e, x_sub(&e, x1, x2), eps);
  LpTensor *norm =
      d ? keep(&e, lp_linalg_vector_norm(d, lp_scalar_float(p), lp_ints(&dim, 1), keepdim,
                                         LP_DTYPE_NONE))
        : NULL;
  return expr_end(&e, norm);
}

LpTensor *lp_composite_triplet_margin_loss(LpTensor *anchor, LpTensor *positive,
                                           LpTensor *negative, double margin, double p,
                                           double eps, bool swap, LpOptBool size_average,
                                           LpOptBool reduce, const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  CHECK(margin > 0, LP_ERR_ARGUMENT, "expected 'margin' above 0, got %g", margin);
  CHECK(lp_ndim(anchor) == lp_ndim(positive) && lp_ndim(anchor) == lp_ndim(negative),
        LP_ERR_ARGUMENT,
        "expected anchor, positive and negative of as many dims, got %s, %s and %s",
        SHAPE_TEXT(anchor), SHAPE_TEXT(positive), SHAPE_TEXT(negative));
  Expr e = {0};
  LpTensor *near = keep(&e, lp_pairwise_distance(anchor, positive, p, eps, false));
  LpTensor *far = keep(&e, lp_pairwise_distance(anchor, negative, p, eps, false));
  if (swap && near && far) {
    LpTensor *other = keep(&e, lp_pairwise_distance(positive, negative, p, eps, false));
    far = other ? keep(&e, lp_minimum(far, other)) : NULL;
  }
  return expr_end(
      &e,
      x_reduce(&e, at_least_zero(&e, x_offset(&e, x_sub(&e, near, far), margin)), how));
}

LpTensor *lp_composite_poisson_nll_loss(LpTensor *input, LpTensor *target, bool log_input,
                                        bool full, LpOptBool size_average, double eps,
                                        LpOptBool reduce, const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(broadcastable(input, target));
  Expr e = {0};
  LpTensor *loss =
      log_input
          ? x_sub(&e, x_exp(&e, input), x_mul(&e, target, input))
          : x_sub(&e, input, x_mul(&e, target, x_log(&e, x_offset(&e, input, eps))));
  if (full) { /* Stirling's formula for log(target!), where target > 1 */
    LpTensor *stirling = x_sub(&e, x_mul(&e, target, x_log(&e, target)), target);
    stirling =
        x_add(&e, stirling, x_scale(&e, x_log(&e, x_scale(&e, target, 2 * M_PI)), 0.5));
    LpTensor *one = x_number(&e, 1), *zero = x_number(&e, 0);
    LpTensor *small = one ? keep(&e, lp_le(target, one)) : NULL;
    loss = x_add(&e, loss, x_where(&e, small, zero, stirling));
  }
  return expr_end(&e, x_reduce(&e, loss, how));
}

LpTensor *lp_composite_gaussian_nll_loss(LpTensor *input, LpTensor *target, LpTensor *var,
                                         bool full, double eps, const char *reduction) {
  NnReduction how;
  TRY(nn_reduction(reduction, false, &how));
  TRY(broadcastable(input, target));
  /* One variance, or one for each element, each row, or with 1 in place of one size. */
  bool number = var->flags & LP_FLAG_WRAPPED_NUMBER;
  int64_t ndim = lp_ndim(input), vdim = lp_ndim(var);
  bool fits = number || vdim == ndim || vdim + 1 == ndim;
  int64_t differ = 0, ones = 0;
  for (int64_t d = 0; !number && fits && d < vdim; d++) {
    differ += lp_size(var, d) != lp_size(input, d);
    ones += lp_size(var, d) != lp_size(input, d) && lp_size(var, d) == 1;
  }
  fits = fits && (differ == 0 || (vdim == ndim && differ == 1 && ones == 1));
  CHECK(fits, LP_ERR_ARGUMENT,
        "expected 'var' of the shape of the input, %s, or without its last dim, or with "
        "1 in place of one size, got %s",
        SHAPE_TEXT(input), SHAPE_TEXT(var));
  CHECK(number || nn_float_index(lp_dtype(var)) >= 0, LP_ERR_TYPE,
        "expected 'var' of a floating dtype, got %s", lp_dtype_name(lp_dtype(var)));
  Expr e = {0};
  LpTensor *zero = x_number(&e, 0), *given = keep(&e, lp_detach(lp_whole(var))),
           *low = zero && given ? keep(&e, lp_lt(given, zero)) : NULL,
           *any = low ? keep(&e, lp_any(low)) : NULL;
  LpScalar negative = lp_scalar_bool(false);
  if (!any || !lp_item(any, &negative)) return expr_end(&e, NULL);
  if (lp_scalar_to_double(negative) != 0) {
    lp_fail(LP_ERR_ARGUMENT, "expected 'var' without negative entries");
    return expr_end(&e, NULL);
  }
  bool fewer = lp_ndim(var) + 1 == lp_ndim(input); /* one variance for each row */
  LpTensor *v = fewer && !number ? x_unsqueeze(&e, var, -1) : var;
  /* The bound on the variance is no part of the gradient. */
  LpTensor *plain = v ? keep(&e, lp_detach(v)) : NULL, *least = x_number(&e, eps);
  LpTensor *bounded = plain && least ? keep(&e, lp_clamp_min(plain, least)) : NULL;
  v = x_add(&e, v, x_sub(&e, bounded, plain));
  LpTensor *d = x_sub(&e, input, target);
  LpTensor *loss =
      x_scale(&e, x_add(&e, x_log(&e, v), x_div(&e, x_mul(&e, d, d), v)), 0.5);
  if (full) loss = x_offset(&e, loss, 0.5 * log(2 * M_PI));
  return expr_end(&e, x_reduce(&e, loss, how));
}

LpTensor *lp_composite_soft_margin_loss(LpTensor *input, LpTensor *target,
                                        LpOptBool size_average, LpOptBool reduce,
                                        const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(broadcastable(input, target));
  bool fits = lp_ndim(target) <= lp_ndim(input);
  for (int64_t i = 1; fits && i <= lp_ndim(target); i++) {
    int64_t n = lp_size(target, lp_ndim(target) - i);
    fits = n == 1 || n == lp_size(input, lp_ndim(input) - i);
  }
  CHECK(fits, LP_ERR_ARGUMENT,
        "expected 'target' that broadcasts to the shape of the input, %s, got %s",
        SHAPE_TEXT(input), SHAPE_TEXT(target));
  CHECK(!lp_dtype_is_integral(lp_dtype(input), true), LP_ERR_TYPE,
        "expected 'input' of a floating dtype, got %s", lp_dtype_name(lp_dtype(input)));
  Expr e = {0};
  /* log(1 + exp(-t * x)) = -logsigmoid(t * x) */
  LpTensor *product = x_mul(&e, target, input);
  if (product && lp_dtype_is_complex(lp_dtype(product)))
    return expr_end(
        &e, x_reduce(&e, x_log(&e, x_offset(&e, x_exp(&e, x_neg(&e, product)), 1)), how));
  LpTensor *log_sigmoid = product ? keep(&e, lp_logsigmoid(product)) : NULL;
  return expr_end(&e, x_reduce(&e, x_neg(&e, log_sigmoid), how));
}

LpTensor *lp_composite_multilabel_soft_margin_loss(LpTensor *input, LpTensor *target,
                                                   LpTensor *weight,
                                                   LpOptBool size_average,
                                                   LpOptBool reduce,
                                                   const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(broadcastable(input, target));
  CHECK(lp_ndim(input) >= 1, LP_ERR_ARGUMENT,
        "expected an input of at least 1 dim, got []");
  Expr e = {0};
  /* -(t * logsigmoid(x) + (1 - t) * logsigmoid(-x)) */
  LpTensor *opposite = x_neg(&e, input), *yes = keep(&e, lp_logsigmoid(input)),
           *no = opposite ? keep(&e, lp_logsigmoid(opposite)) : NULL;
  LpTensor *rest = x_add(&e, x_neg(&e, target), x_whole(&e, 1));
  LpTensor *loss = x_neg(&e, x_add(&e, x_mul(&e, target, yes), x_mul(&e, rest, no)));
  if (weight) loss = x_mul(&e, loss, weight);
  int64_t dim = lp_ndim(input) - 1;
  loss = x_sum_dims(&e, loss, lp_ints(&dim, 1), false);
  return expr_end(&e,
                  x_reduce(&e, x_scale(&e, loss, 1 / (double)lp_size(input, dim)), how));
}

/* --- classification
 * ------------------------------------------------------------------------------ */
static bool check_class_shapes(LpTensor *input, LpTensor *target) {
  int64_t ndim = lp_ndim(input);
  CHECK(ndim >= 1, LP_ERR_ARGUMENT,
        "expected an input of at least 1 dim (classes), got []");
  bool fits = (lp_ndim(target) == (ndim == 1 ? 0 : ndim - 1) ||
               (ndim == 1 && lp_ndim(target) == 1 && lp_numel(target) == 1)) &&
              (ndim == 1 || lp_size(target, 0) == lp_size(input, 0));
  for (int64_t d = 2; fits && d < ndim; d++)
    fits = lp_size(target, d - 1) == lp_size(input, d);
  int64_t wanted[LP_MAX_DIMS], n = 0;
  for (int64_t d = 0; d < ndim; d++)
    if (ndim > 1 && d != 1) wanted[n++] = lp_size(input, d);
  CHECK(fits, LP_ERR_ARGUMENT,
        "expected 'target' of class indices of shape %s for input %s, got %s",
        lp_format_ints(lp_ints(wanted, n), (char[256]){0}, 256), SHAPE_TEXT(input),
        SHAPE_TEXT(target));
  CHECK(lp_dtype(target) == LP_INT64 || lp_dtype(target) == LP_UINT8, LP_ERR_TYPE,
        "expected 'target' of class indices (int64), got %s",
        lp_dtype_name(lp_dtype(target)));
  return true;
}

/* sum over the wrong classes of max(0, margin - x[target] + x[i])^p, over the number of
 * classes. */
LpTensor *lp_composite_multi_margin_loss(LpTensor *input, LpTensor *target, int64_t p,
                                         double margin, LpTensor *weight,
                                         LpOptBool size_average, LpOptBool reduce,
                                         const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  CHECK(p == 1 || p == 2, LP_ERR_ARGUMENT, "expected 'p' to be 1 or 2, got %lld",
        (long long)p);
  CHECK(lp_ndim(input) <= 2, LP_ERR_ARGUMENT,
        "expected an input of at most 2 dims (batch, classes), got %s",
        SHAPE_TEXT(input));
  /* One row may come without its dim of rows, and with a target of 0 or 1 dims, which
   * gives the losses their shape. */
  bool one = (lp_ndim(input) < 2 || lp_size(input, 0) == 1) && lp_ndim(target) < 2 &&
             lp_numel(target) == 1;
  CHECK_FLOATING(input, "input");
  CHECK(lp_dtype(target) == LP_INT64, LP_ERR_TYPE,
        "expected 'target' of class indices (int64), got %s",
        lp_dtype_name(lp_dtype(target)));
  if (!one) TRY(check_class_shapes(input, target));
  int64_t dim = lp_ndim(input) < 2 ? 0 : 1,
          classes = lp_ndim(input) ? lp_size(input, dim) : 1;
  CHECK(classes > 0, LP_ERR_ARGUMENT, "expected an input of at least one class, got %s",
        SHAPE_TEXT(input));
  TRY(same_dtype(input, weight));
  CHECK(!weight || (lp_ndim(weight) == 1 && lp_size(weight, 0) == classes),
        LP_ERR_ARGUMENT, "expected 'weight' of shape [%lld] (one per class), got %s",
        (long long)classes, SHAPE_TEXT(weight));
  Expr e = {0};
  LpTensor *index = keep(&e, nn_dense(target, LP_INT64));
  if (!index || !nn_check_targets(index, classes, INT64_MIN)) return expr_end(&e, NULL);
  const int64_t single = 1;
  if (one) input = x_reshape(&e, input, lp_ints(&classes, 1)), dim = 0;
  LpTensor *column =
      one ? x_reshape(&e, index, lp_ints(&single, 1)) : x_unsqueeze(&e, index, -1);
  LpTensor *right =
      column && input ? keep(&e, lp_gather(input, dim, column, false)) : NULL;
  LpTensor *gap = x_offset(&e, x_sub(&e, input, right), margin);
  /* Not clamp_min: a NaN counts as no loss, as in PyTorch. */
  LpTensor *none = x_number(&e, 0),
           *wide = gap && none ? keep(&e, lp_gt(gap, none)) : NULL;
  gap = x_where(&e, wide, gap, none);
  if (p == 2) gap = x_mul(&e, gap, gap);
  if (weight) {
    int64_t n = lp_numel(index);
    LpTensor *flat = x_reshape(&e, index, lp_ints(&n, 1));
    LpTensor *picked = flat ? keep(&e, lp_index_select(weight, 0, flat)) : NULL;
    LpTensor *shaped = column ? x_reshape(&e, picked, lp_sizes(column)) : NULL;
    gap = x_mul(&e, gap, shaped);
  }
  LpTensor *numbers = keep(&e, nn_empty(&classes, 1, LP_INT64));
  for (int64_t c = 0; numbers && c < classes; c++) ((int64_t *)lp_data(numbers))[c] = c;
  LpTensor *is_right = numbers && column ? keep(&e, lp_eq(column, numbers)) : NULL;
  LpTensor *zero = x_whole(&e, 0), *wrong = x_where(&e, is_right, zero, gap);
  LpTensor *loss = x_mean_dims(&e, wrong, lp_ints(&dim, 1), false);
  if (one) loss = x_reshape(&e, loss, lp_sizes(target));
  return expr_end(&e, x_reduce(&e, loss, how));
}

LpTensor *lp_composite_multilabel_margin_loss(LpTensor *input, LpTensor *target,
                                              LpOptBool size_average, LpOptBool reduce,
                                              const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  int64_t ndim = lp_ndim(input);
  CHECK_FLOATING(input, "input");
  CHECK(ndim <= 2 && (ndim == 0 || lp_size(input, ndim - 1) > 0), LP_ERR_ARGUMENT,
        "expected an input of at most 2 dims (batch, classes) and at least one class, "
        "got %s",
        SHAPE_TEXT(input));
  CHECK(lp_dtype(target) == LP_INT64, LP_ERR_TYPE,
        "expected 'target' of class indices (int64), got %s",
        lp_dtype_name(lp_dtype(target)));
  bool one = ndim < 2 && lp_ndim(target) < 2 && lp_numel(input) == lp_numel(target);
  if (!one) TRY(same_shape(input, target, "target"));
  int64_t rows[2] = {ndim < 2 ? 1 : lp_size(input, 0),
                     ndim < 2 ? lp_numel(input) : lp_size(input, 1)};
  Expr e = {0};
  LpTensor *x = x_reshape(&e, input, lp_ints(rows, 2)),
           *t = x_reshape(&e, target, lp_ints(rows, 2));
  LpTensor *loss = x && t ? keep(&e, lp_multilabel_margin_rows(x, t)) : NULL;
  if (how == NN_NONE && ndim < 2) loss = x_reshape(&e, loss, lp_ints(NULL, 0));
  return expr_end(&e, x_reduce(&e, loss, how));
}

static LpTensor *nll(LpTensor *input, LpTensor *target, LpTensor *weight, NnReduction how,
                     int64_t ignore_index) {
  LpTensor *results[2];
  TRY(lp_nll_loss_nd(input, target, weight, reduction_name(how), ignore_index, results));
  lp_tensor_release(results[1]);
  return results[0];
}

LpTensor *lp_composite_nll_loss(LpTensor *input, LpTensor *target, LpTensor *weight,
                                LpOptBool size_average, int64_t ignore_index,
                                LpOptBool reduce, const char *reduction) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  TRY(check_class_shapes(input, target));
  TRY(same_dtype(input, weight));
  if (lp_ndim(input) != 1 || lp_ndim(target) == 0)
    return nll(input, target, weight, how, ignore_index);
  Expr e = {0};
  LpTensor *single = x_reshape(&e, target, lp_ints(NULL, 0));
  return expr_end(&e, single ? keep(&e, nll(input, single, weight, how, ignore_index))
                             : NULL);
}

/* (classes) as it multiplies an input whose dim `dim` is the classes. */
static LpTensor *class_view(Expr *e, LpTensor *weight, LpTensor *input, int64_t dim) {
  int64_t view[LP_MAX_DIMS];
  for (int64_t d = 0; d < lp_ndim(input); d++) view[d] = d == dim ? lp_size(input, d) : 1;
  return x_reshape(e, weight, lp_ints(view, lp_ndim(input)));
}

static LpTensor *entropy_of_probabilities(LpTensor *input, LpTensor *target,
                                          LpTensor *weight, NnReduction how,
                                          double smoothing) {
  Expr e = {0};
  int64_t dim = lp_ndim(input) > 1, classes = lp_size(input, dim);
  LpTensor *logs = keep(&e, lp_log_softmax(input, dim, LP_DTYPE_NONE));
  LpTensor *t = smoothing > 0 ? x_offset(&e, x_scale(&e, target, 1 - smoothing),
                                         smoothing / (double)classes)
                              : target;
  LpTensor *products = x_mul(&e, logs, t);
  if (weight) products = x_mul(&e, products, class_view(&e, weight, input, dim));
  LpTensor *loss = x_neg(&e, x_sum_dims(&e, products, lp_ints(&dim, 1), false));
  if (how == NN_NONE) return expr_end(&e, loss);
  double rows = (double)lp_numel(input) / (double)classes;
  LpTensor *total = x_sum(&e, loss);
  return expr_end(&e, how == NN_SUM ? total : x_scale(&e, total, 1 / rows));
}

/* (1 - smoothing) * nll + smoothing / classes * (sum over the classes of -log p). */
static LpTensor *smoothed_entropy(LpTensor *input, LpTensor *target, LpTensor *weight,
                                  NnReduction how, int64_t ignore_index,
                                  double smoothing) {
  Expr e = {0};
  int64_t dim = lp_ndim(input) > 1, classes = lp_size(input, dim);
  LpTensor *logs = keep(&e, lp_log_softmax(input, dim, LP_DTYPE_NONE));
  LpTensor *main = logs ? keep(&e, nll(logs, target, weight, how, ignore_index)) : NULL;
  LpTensor *products =
      weight ? x_mul(&e, logs, class_view(&e, weight, input, dim)) : logs;
  LpTensor *all = x_neg(&e, x_sum_dims(&e, products, lp_ints(&dim, 1), false));
  LpTensor *ignored_value = x_number(&e, (double)ignore_index), *zero = x_number(&e, 0);
  LpTensor *ignored = ignored_value ? keep(&e, lp_eq(target, ignored_value)) : NULL;
  LpTensor *smooth = x_where(&e, ignored, zero, all);
  if (how == NN_SUM) smooth = x_sum(&e, smooth);
  if (how == NN_MEAN) {
    LpTensor *counted = ignored ? keep(&e, lp_logical_not(ignored)) : NULL;
    if (weight && counted) {
      LpTensor *index = x_where(&e, ignored, zero, target);
      LpTensor *whole =
          index ? keep(&e, lp_to_copy(index, LP_INT64, (LpDevice){LP_DEVICE_NONE, 0},
                                      LP_FORMAT_NONE))
                : NULL;
      int64_t n = lp_numel(target);
      LpTensor *flat = x_reshape(&e, whole, lp_ints(&n, 1));
      LpTensor *picked = flat ? keep(&e, lp_index_select(weight, 0, flat)) : NULL;
      counted = x_mul(&e, x_reshape(&e, picked, lp_sizes(target)), counted);
    }
    smooth = x_div(&e, x_sum(&e, smooth), x_sum(&e, counted));
  }
  return expr_end(&e, x_add(&e, x_scale(&e, main, 1 - smoothing),
                            x_scale(&e, smooth, smoothing / (double)classes)));
}

LpTensor *lp_composite_cross_entropy(LpTensor *input, LpTensor *target, LpTensor *weight,
                                     LpOptBool size_average, int64_t ignore_index,
                                     LpOptBool reduce, const char *reduction,
                                     double label_smoothing) {
  NnReduction how;
  TRY(reduction_of(size_average, reduce, reduction, false, &how));
  CHECK(label_smoothing >= 0 && label_smoothing <= 1, LP_ERR_ARGUMENT,
        "expected 'label_smoothing' between 0 and 1, got %g", label_smoothing);
  CHECK_FLOATING(input, "input");
  CHECK(lp_ndim(input) >= 1, LP_ERR_ARGUMENT,
        "expected an input of at least 1 dim (classes), got []");
  int64_t classes = lp_size(input, lp_ndim(input) > 1);
  CHECK(!weight || (lp_ndim(weight) == 1 && lp_size(weight, 0) == classes),
        LP_ERR_ARGUMENT, "expected 'weight' of shape [%lld] (one per class), got %s",
        (long long)classes, SHAPE_TEXT(weight));
  TRY(same_dtype(input, weight));
  if (lp_dtype_is_floating(lp_dtype(target))) {
    TRY(same_shape(input, target, "target (probabilities)"));
    CHECK(ignore_index < 0, LP_ERR_ARGUMENT,
          "ignore_index is not supported for floating point target (probabilities), got "
          "%lld",
          (long long)ignore_index);
    return entropy_of_probabilities(input, target, weight, how, label_smoothing);
  }
  TRY(check_class_shapes(input, target));
  if (lp_ndim(input) == 1 && lp_ndim(target) == 1) {
    LpTensor *single = lp_reshape(target, lp_ints(NULL, 0));
    TRY(single);
    LpTensor *result =
        lp_composite_cross_entropy(input, single, weight, size_average, ignore_index,
                                   reduce, reduction, label_smoothing);
    lp_tensor_release(single);
    return result;
  }
  if (label_smoothing > 0)
    return smoothed_entropy(input, target, weight, how, ignore_index, label_smoothing);
  if (!weight && lp_ndim(input) == 2) {
    LpTensor *results[2];
    TRY(lp_cross_entropy_rows(input, target, reduction_name(how), ignore_index, results));
    lp_tensor_release(results[1]);
    return results[0];
  }
  LpTensor *logs = lp_log_softmax(input, lp_ndim(input) > 1, LP_DTYPE_NONE);
  TRY(logs);
  LpTensor *result = nll(logs, target, weight, how, ignore_index);
  lp_tensor_release(logs);
  return result;
}
