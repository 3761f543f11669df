/* Attention and gates. */
#include <math.h>
#include "composite/expr.h"
#include "dispatch/layout.h"
#include "impl.h"
#include "lampad/autograd.h"

/* Halves along dim: values, gates. */
static bool glu_halves(Expr *e, LpTensor *self, int64_t dim, LpTensor *halves[2]) {
  const int64_t n = lp_size(self, dim) / 2;
  for (int i = 0; i < 2; i++) {
    halves[i] = keep(e, lp_narrow(self, dim, i * n, n));
    TRY(halves[i]);
  }
  return true;
}

LpTensor *lp_impl_glu(LpTensor *self, int64_t dim) {
  CHECK(lp_ndim(self) > 0, LP_ERR_ARGUMENT,
        "expected an input of at least 1 dim, got []");
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  CHECK(lp_size(self, dim) % 2 == 0, LP_ERR_ARGUMENT,
        "expected an even size along dim %lld, got %s", (long long)dim, SHAPE_TEXT(self));
  CHECK_FLOATING(self, "input");
  Expr e = {0};
  LpTensor *halves[2], *gate = NULL;
  if (glu_halves(&e, self, dim, halves)) gate = keep(&e, lp_sigmoid(halves[1]));
  return expr_end(&e, x_mul(&e, halves[0], gate));
}

/* g s and g a s (1 - s), with the values a and the gates' sigmoid s, into the halves of a
 * new tensor: gradients of views would each be filled up with zeros, and added. */
static LpTensor *glu_grad(Expr *e, LpTensor *g, LpTensor *self, int64_t dim, LpTensor *a,
                          LpTensor *s) {
  LpTensor *result =
      keep(e, lp_tensor_new_formed(self, lp_dtype(self), lp_device(self), LP_PRESERVE));
  LpTensor *to[2];
  TRY(result && glu_halves(e, result, dim, to) && lp_mul_out(to[0], g, s) &&
      lp_mul_out(to[1], to[0], a) &&
      lp_addcmul_out(to[1], to[1], to[1], s, lp_scalar_int(-1)));
  return result;
}

LpTensor *lp_composite_glu_backward(LpTensor *grad_output, LpTensor *self, int64_t dim) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  Expr e = {0};
  LpTensor *halves[2], *s = NULL;
  if (glu_halves(&e, self, dim, halves)) s = keep(&e, lp_sigmoid(halves[1]));
  const bool batched =
      grad_output->physical || self->physical; /* nothing is written into batches */
  if (s && !lp_grad_enabled() && !batched)
    return expr_end(&e, glu_grad(&e, grad_output, self, dim, halves[0], s));
  LpTensor *weighted = s ? x_mul(&e, grad_output, halves[0]) : NULL;
  LpTensor *grads[2] = {x_mul(&e, grad_output, s),
                        weighted ? keep(&e, lp_sigmoid_backward(weighted, s)) : NULL};
  return expr_end(&e, grads[0] && grads[1] ? keep(&e, lp_cat((LpTensors){grads, 2}, dim))
                                           : NULL);
}

/* 0 where the mask is true and -inf where it is not, as something to add to the scores; a
 * mask of numbers is what to add already. */
static LpTensor *additive(Expr *e, LpTensor *mask, LpDtype dtype) {
  const LpDevice here = {LP_DEVICE_NONE, 0};
  if (!mask || lp_dtype(mask) == dtype) return mask;
  if (lp_dtype(mask) != LP_BOOL)
    return keep(e, lp_to_copy(mask, dtype, here, LP_FORMAT_NONE));
  LpTensor *zero =
      keep(e, lp_full(lp_ints(NULL, 0), lp_scalar_int(0), dtype, lp_cpu(), false));
  LpTensor *minus = keep(
      e, lp_full(lp_ints(NULL, 0), lp_scalar_float(-INFINITY), dtype, lp_cpu(), false));
  return x_where(e, mask, zero, minus);
}

/* softmax(query key^T * scale + mask) as a matrix; 0 in a row without any allowed key. */
static LpTensor *attention_weights(Expr *e, LpTensor *query, LpTensor *key,
                                   LpTensor *mask, bool is_causal, double scale) {
  int64_t ndim = lp_ndim(query);
  LpTensor *turned = keep(e, lp_transpose(key, -2, -1)),
           *scaled = x_scale(e, query, scale);
  LpTensor *scores = scaled && turned ? keep(e, lp_matmul(scaled, turned)) : NULL;
  if (is_causal) {
    int64_t shape[2] = {lp_size(query, ndim - 2), lp_size(key, lp_ndim(key) - 2)};
    mask = keep(e, nn_empty(shape, 2, LP_BOOL));
    if (!mask) return NULL;
    bool *m = lp_data(mask);
    for (int64_t i = 0; i < shape[0]; i++)
      for (int64_t j = 0; j < shape[1]; j++) m[i * shape[1] + j] = j <= i;
  }
  if (mask && scores) scores = x_add(e, scores, additive(e, mask, lp_dtype(scores)));
  LpTensor *weights = scores ? keep(e, lp_softmax(scores, -1, LP_DTYPE_NONE)) : NULL;
  if (!mask || !weights) return weights;
  LpTensor *low = x_number(e, -INFINITY), *zero = x_number(e, 0);
  LpTensor *forbidden = low ? keep(e, lp_eq(scores, low)) : NULL;
  return x_where(e, forbidden, zero, weights);
}

/* Of a mask of numbers under vmap only the example at hand could tell. */
static bool wants_gradient(const LpTensor *mask) {
  return mask && lp_dtype(mask) != LP_BOOL && (mask->physical || lp_requires_grad(mask));
}

/* Can the blocks of flash_attention serve? t is query, key, value: (batch, [heads,] rows,
 * features). */
static bool serves_blocks(LpTensor *const *t, LpTensor *mask, double dropout_p) {
  int64_t ndim = lp_ndim(t[0]);
  if (dropout_p > 0 || ndim < 3 || ndim > 4 || wants_gradient(mask)) return false;
  for (int i = 0; i < 3; i++) {
    if (lp_ndim(t[i]) != ndim || lp_size(t[i], 0) != lp_size(t[0], 0) ||
        lp_numel(t[i]) == 0)
      return false;
    if (i && ndim == 4 && lp_size(t[i], 1) != lp_size(t[1], 1)) return false;
  }
  if (ndim == 4 && lp_size(t[0], 1) % lp_size(t[1], 1)) return false;
  if (!mask) return true;
  const int64_t all[4] = {lp_size(t[0], 0), ndim == 4 ? lp_size(t[0], 1) : 1,
                          lp_size(t[0], ndim - 2), lp_size(t[1], ndim - 2)};
  if (ndim == 3 && lp_ndim(mask) == 3 && lp_size(mask, 0) != 1 &&
      lp_size(mask, 0) != all[0])
    return false;
  if (lp_ndim(mask) > ndim) return false;
  for (int64_t d = 0; d < lp_ndim(mask); d++) {
    int64_t in = ndim - lp_ndim(mask) + d;
    int64_t whole = all[ndim == 4 || in == 0 ? in : in + 1];
    if (lp_size(mask, d) != 1 && lp_size(mask, d) != whole) return false;
  }
  return true;
}

static LpTensor *by_blocks(Expr *e, LpTensor *const *of, LpTensor *mask, bool is_causal,
                           double scale) {
  LpTensor *t[3] = {of[0], of[1], of[2]}, *results[2] = {NULL, NULL};
  const bool flat = lp_ndim(of[0]) == 3; /* no heads */
  for (int i = 0; flat && i < 3; i++)
    if (!(t[i] = keep(e, lp_unsqueeze(t[i], 1)))) return NULL;
  if (mask && flat && lp_ndim(mask) == 3) mask = keep(e, lp_unsqueeze(mask, 1));
  if (mask && lp_dtype(mask) != LP_BOOL) mask = additive(e, mask, lp_dtype(t[0]));
  if (!lp_flash_attention(t[0], t[1], t[2], mask, is_causal, scale, results)) return NULL;
  keep(e, results[1]);
  LpTensor *result = keep(e, results[0]);
  return flat ? keep(e, lp_squeeze_dim(result, 1)) : result;
}

/* The gradients of query, key and value, all (batch, heads, rows, features): by blocks,
 * or, when a graph of them is wanted, by ops that carry one. */
bool lp_composite_attention_backward(LpTensor *grad, LpTensor *query, LpTensor *key,
                                     LpTensor *value, LpTensor *mask, LpTensor *output,
                                     LpTensor *logsumexp, bool is_causal, double scale,
                                     LpTensor **results) {
  if (!lp_grad_enabled())
    return lp_flash_attention_backward(grad, query, key, value, mask, output, logsumexp,
                                       is_causal, scale, results);
  Expr e = {0};
  const int64_t heads = lp_size(query, 1), groups = lp_size(key, 1);
  LpTensor *k = key, *v = value;
  if (heads != groups) {
    LpOptInt dim = {true, 1};
    k = keep(&e, lp_repeat_interleave_self_int(key, heads / groups, dim, (LpOptInt){0}));
    v = keep(&e,
             lp_repeat_interleave_self_int(value, heads / groups, dim, (LpOptInt){0}));
  }
  LpTensor *weights =
      k && v ? attention_weights(&e, query, k, mask, is_causal, scale) : NULL;
  LpTensor *vt = v ? keep(&e, lp_transpose(v, -2, -1)) : NULL,
           *wt = weights ? keep(&e, lp_transpose(weights, -2, -1)) : NULL;
  LpTensor *dw = vt ? keep(&e, lp_matmul(grad, vt)) : NULL;
  LpInts last = lp_ints((int64_t[]){-1}, 1);
  LpTensor *weighted = x_mul(&e, weights, dw);
  LpTensor *inner =
      weighted ? keep(&e, lp_sum_dim(weighted, last, true, LP_DTYPE_NONE)) : NULL;
  LpTensor *ds = x_scale(&e, x_mul(&e, weights, x_sub(&e, dw, inner)), scale);
  LpTensor *dst = ds ? keep(&e, lp_transpose(ds, -2, -1)) : NULL;
  LpTensor *g[3] = {dst ? keep(&e, lp_matmul(ds, k)) : NULL,
                    dst ? keep(&e, lp_matmul(dst, query)) : NULL,
                    wt ? keep(&e, lp_matmul(wt, grad)) : NULL};
  for (int i = 1; i < 3 && heads != groups && g[i];
       i++) { /* the sums over a group's heads */
    const int64_t sizes[5] = {lp_size(g[i], 0), groups, heads / groups, lp_size(g[i], 2),
                              lp_size(g[i], 3)};
    LpTensor *apart = x_reshape(&e, g[i], lp_ints(sizes, 5));
    LpInts members = lp_ints((int64_t[]){2}, 1);
    g[i] = apart ? keep(&e, lp_sum_dim(apart, members, false, LP_DTYPE_NONE)) : NULL;
  }
  bool ok = g[0] && g[1] && g[2];
  for (int i = 0; ok && i < 3; i++) results[i] = lp_tensor_retain(g[i]);
  expr_end(&e, NULL);
  return ok;
}

LpTensor *lp_composite_scaled_dot_product_attention(LpTensor *query, LpTensor *key,
                                                    LpTensor *value, LpTensor *attn_mask,
                                                    double dropout_p, bool is_causal,
                                                    LpOptFloat scale, bool enable_gqa) {
  int64_t ndim = lp_ndim(query);
  CHECK(ndim >= 2 && lp_ndim(key) >= 2 && lp_ndim(value) >= 2, LP_ERR_ARGUMENT,
        "expected query, key and value of at least 2 dims (length, features), got %s, %s "
        "and %s",
        SHAPE_TEXT(query), SHAPE_TEXT(key), SHAPE_TEXT(value));
  CHECK(lp_size(query, ndim - 1) == lp_size(key, lp_ndim(key) - 1), LP_ERR_ARGUMENT,
        "expected query and key of as many features, got %s and %s", SHAPE_TEXT(query),
        SHAPE_TEXT(key));
  CHECK(lp_size(key, lp_ndim(key) - 2) == lp_size(value, lp_ndim(value) - 2),
        LP_ERR_ARGUMENT, "expected key and value of one length, got %s and %s",
        SHAPE_TEXT(key), SHAPE_TEXT(value));
  CHECK_FLOATING(query, "query");
  CHECK(lp_dtype(key) == lp_dtype(query) && lp_dtype(value) == lp_dtype(query),
        LP_ERR_TYPE, "expected query, key and value of one dtype, got %s, %s and %s",
        lp_dtype_name(lp_dtype(query)), lp_dtype_name(lp_dtype(key)),
        lp_dtype_name(lp_dtype(value)));
  CHECK(!attn_mask || lp_dtype(attn_mask) == LP_BOOL ||
            lp_dtype(attn_mask) == LP_FLOAT32 || lp_dtype(attn_mask) == lp_dtype(query),
        LP_ERR_TYPE,
        "expected 'attn_mask' of bool, float32 or the dtype of query, %s, got %s",
        lp_dtype_name(lp_dtype(query)), lp_dtype_name(lp_dtype(attn_mask)));
  CHECK(!enable_gqa || (ndim >= 3 && lp_ndim(key) >= 3 && lp_ndim(value) >= 3),
        LP_ERR_ARGUMENT,
        "enable_gqa needs query, key and value with a dim of heads, got %s, %s and %s",
        SHAPE_TEXT(query), SHAPE_TEXT(key), SHAPE_TEXT(value));
  CHECK(dropout_p >= 0 && dropout_p <= 1, LP_ERR_ARGUMENT,
        "expected 'dropout_p' between 0 and 1, got %g", dropout_p);
  CHECK(!is_causal || !attn_mask, LP_ERR_ARGUMENT,
        "expected no 'attn_mask' when is_causal is true");
  int64_t heads = ndim >= 3 ? lp_size(query, ndim - 3) : 1,
          shared = lp_ndim(key) >= 3 ? lp_size(key, lp_ndim(key) - 3) : 1;
  const bool grouped = enable_gqa && heads != shared;
  CHECK(!grouped || (shared > 0 && heads % shared == 0), LP_ERR_ARGUMENT,
        "expected a number of query heads divisible by the key heads, got %lld and %lld",
        (long long)heads, (long long)shared);
  Expr e = {0};
  /* The 16-bit floats are as wide as float inside: the softmax needs the scores' digits.
   */
  LpDtype own = lp_dtype(query), wide = nn_compute_dtype(own);
  const LpDevice here = {LP_DEVICE_NONE, 0};
  LpTensor *t[3] = {query, key, value};
  for (int i = 0; wide != own && i < 3; i++)
    if (!(t[i] = keep(&e, lp_to_copy(t[i], wide, here, LP_FORMAT_NONE))))
      return expr_end(&e, NULL);
  double s = scale.has ? scale.value : 1 / sqrt((double)lp_size(query, ndim - 1));
  LpTensor *result = NULL;
  if ((grouped ? ndim == 4 : heads == shared) && serves_blocks(t, attn_mask, dropout_p)) {
    result = by_blocks(&e, t, attn_mask, is_causal, s);
  } else {
    LpOptInt dim = {true, -3};
    for (int i = 1; grouped && i < 3; i++)
      if (!(t[i] = keep(&e, lp_repeat_interleave_self_int(t[i], heads / shared, dim,
                                                          (LpOptInt){0}))))
        return expr_end(&e, NULL);
    LpTensor *weights = attention_weights(&e, t[0], t[1], attn_mask, is_causal, s);
    if (dropout_p > 0 && weights)
      weights = keep(&e, lp_dropout(weights, dropout_p, true, false));
    result = weights ? keep(&e, lp_matmul(weights, t[2])) : NULL;
  }
  if (result && lp_dtype(result) != own)
    result = keep(&e, lp_to_copy(result, own, here, LP_FORMAT_NONE));
  return expr_end(&e, result);
}

/* softmax((logits + Gumbel noise) / tau); hard: its one-hot maximum, with the soft
 * gradient. */
LpTensor *lp_composite_gumbel_softmax(LpTensor *logits, double tau, bool hard, double eps,
                                      int64_t dim) {
  CHECK_FLOATING(logits, "logits");
  CHECK(tau > 0, LP_ERR_ARGUMENT, "expected 'tau' above 0, got %g", tau);
  Expr e = {0};
  LpTensor *draws = keep(
      &e, lp_empty_like(logits, LP_DTYPE_NONE, lp_device(logits), LP_FORMAT_NONE, false));
  if (!draws || !lp_exponential_(draws, 1, NULL)) return expr_end(&e, NULL);
  LpTensor *scores = x_scale(&e, x_sub(&e, logits, x_log(&e, draws)), 1 / tau);
  LpTensor *soft = scores ? keep(&e, lp_softmax(scores, dim, LP_DTYPE_NONE)) : NULL;
  if (!hard || !soft) return expr_end(&e, soft);
  LpTensor *fixed = keep(&e, lp_detach(soft)), *best[2] = {NULL, NULL};
  if (!fixed || !lp_max_dim(fixed, dim, true, best)) return expr_end(&e, NULL);
  keep(&e, best[0]);
  keep(&e, best[1]);
  LpTensor *zeros = keep(&e, nn_zeros(fixed->sizes, fixed->ndim, lp_dtype(fixed)));
  LpTensor *hot =
      zeros ? keep(&e, lp_scatter_value(zeros, dim, best[1], lp_scalar_int(1))) : NULL;
  return expr_end(&e, x_add(&e, x_sub(&e, hot, fixed), soft));
}

LpTensor *lp_composite_bilinear(LpTensor *input1, LpTensor *input2, LpTensor *weight,
                                LpTensor *bias) {
  CHECK(lp_ndim(weight) == 3, LP_ERR_ARGUMENT, "expected 'weight' of 3 dims, got %s",
        SHAPE_TEXT(weight));
  CHECK(lp_ndim(input1) >= 1 && lp_ndim(input1) == lp_ndim(input2), LP_ERR_ARGUMENT,
        "expected inputs of as many dims, got %s and %s", SHAPE_TEXT(input1),
        SHAPE_TEXT(input2));
  int64_t n1 = lp_size(input1, lp_ndim(input1) - 1),
          n2 = lp_size(input2, lp_ndim(input2) - 1);
  int64_t outs = lp_size(weight, 0);
  CHECK(n1 == lp_size(weight, 1) && n2 == lp_size(weight, 2), LP_ERR_ARGUMENT,
        "expected inputs of %lld and %lld features for weight %s, got %s and %s",
        (long long)lp_size(weight, 1), (long long)lp_size(weight, 2), SHAPE_TEXT(weight),
        SHAPE_TEXT(input1), SHAPE_TEXT(input2));
  CHECK(lp_dtype(input1) == lp_dtype(weight) && lp_dtype(input2) == lp_dtype(weight) &&
            (!bias || lp_dtype(bias) == lp_dtype(weight)),
        LP_ERR_TYPE,
        "expected inputs, weight and bias of one dtype, got %s, %s, %s and %s",
        lp_dtype_name(lp_dtype(input1)), lp_dtype_name(lp_dtype(input2)),
        lp_dtype_name(lp_dtype(weight)), bias ? lp_dtype_name(lp_dtype(bias)) : "none");
  CHECK(!bias || (lp_ndim(bias) == 1 && lp_size(bias, 0) == outs), LP_ERR_ARGUMENT,
        "expected 'bias' of shape [%lld], got %s", (long long)outs, SHAPE_TEXT(bias));
  for (int64_t d = 0; d < lp_ndim(input1) - 1; d++)
    CHECK(lp_size(input1, d) == lp_size(input2, d), LP_ERR_ARGUMENT,
          "expected inputs that differ in their last dim only, got %s and %s",
          SHAPE_TEXT(input1), SHAPE_TEXT(input2));
  int64_t rows = n1 ? lp_numel(input1) / n1 : 0, flat1[2] = {rows, n1},
          flat2[3] = {rows, 1, n2};
  int64_t wide[2] = {n1, outs * n2}, cube[3] = {rows, outs, n2}, dim = 2,
          turn[3] = {1, 0, 2}, sizes[LP_MAX_DIMS];
  memcpy(sizes, input1->sizes, (size_t)input1->ndim * sizeof *sizes);
  sizes[input1->ndim - 1] = outs;
  Expr e = {0};
  LpTensor *x = x_reshape(&e, input1, lp_ints(flat1, 2)),
           *y = x_reshape(&e, input2, lp_ints(flat2, 3));
  LpTensor *turned = keep(&e, lp_permute(weight, lp_ints(turn, 3)));
  LpTensor *w = x_reshape(&e, turned, lp_ints(wide, 2));
  LpTensor *products = x && w ? keep(&e, lp_matmul(x, w)) : NULL;
  LpTensor *terms = x_mul(&e, x_reshape(&e, products, lp_ints(cube, 3)), y);
  LpTensor *sums =
      terms ? keep(&e, lp_sum_dim(terms, lp_ints(&dim, 1), false, lp_dtype(terms)))
            : NULL;
  if (bias) sums = x_add(&e, sums, bias);
  return expr_end(&e, x_reshape(&e, sums, lp_ints(sizes, input1->ndim)));
}
