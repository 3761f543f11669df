/* The negative log likelihood of class indices over (n, classes, inner)
 * log-probabilities, and its gradient, which is a sparse linear map of the result's
 * gradient. */
#include "cpu/softmax.h"
#include "dispatch/nn_util.h"
#include "impl.h"

/* One call: dense buffers and the weight of each row (0 when ignored). */
typedef struct Nll {
  NnReduction how;
  int64_t rows, classes, inner;
  const int64_t *target;
  const double *weight;
  int64_t ignore_index;
} Nll;

static double row_weight(const Nll *c, int64_t row) {
  int64_t t = c->target[row];
  return t == c->ignore_index ? 0 : c->weight ? c->weight[t] : 1;
}
static int64_t element(const Nll *c, int64_t row) {
  return (row / c->inner * c->classes + c->target[row]) * c->inner + row % c->inner;
}

static Nll describe(LpInts input, LpTensor *target, LpTensor *weight, NnReduction how,
                    int64_t ignore_index) {
  Nll c = {.how = how, .ignore_index = ignore_index, .inner = 1};
  c.classes = input.data[input.count > 1];
  for (int64_t d = 2; d < input.count; d++) c.inner *= input.data[d];
  c.rows = lp_numel(target);
  c.target = lp_data(target);
  c.weight = weight ? lp_data(weight) : NULL;
  return c;
}

bool lp_impl_nll_loss_nd(LpTensor *input, LpTensor *target, LpTensor *weight,
                         const char *reduction, int64_t ignore_index,
                         LpTensor **results) {
  NnReduction how;
  TRY(nn_reduction(reduction, false, &how));
  CHECK_FLOATING(input, "input");
  int64_t classes = lp_size(input, lp_ndim(input) > 1);
  CHECK(!weight || (lp_ndim(weight) == 1 && lp_size(weight, 0) == classes),
        LP_ERR_ARGUMENT, "expected 'weight' of shape [%lld] (one per class), got %s",
        (long long)classes, SHAPE_TEXT(weight));
  LpDtype dtype = lp_dtype(input);
  int type = nn_float_index(dtype);
  LpTensor *x = nn_dense(input, dtype), *t = nn_dense(target, LP_INT64), *out = NULL,
           *total = NULL;
  LpTensor *w = weight ? nn_dense(weight, LP_FLOAT64) : NULL;
  bool ok = x && t && (w || !weight) && nn_check_targets(t, classes, ignore_index) &&
            (out = how == NN_NONE ? lp_tensor_new(lp_sizes(target), LP_FLOAT64, lp_cpu())
                                  : nn_empty(NULL, 0, LP_FLOAT64)) &&
            (total = nn_empty(NULL, 0, LP_FLOAT64));
  if (ok) {
    Nll c = describe(lp_sizes(input), t, w, how, ignore_index);
    double sum = 0, weights = 0, *each = lp_data(out);
    for (int64_t r = 0; r < c.rows; r++) {
      double rw = row_weight(&c, r);
      double loss =
          c.target[r] == ignore_index
              ? 0
              : -rw * lp_softmax_kernels()->get[type](lp_data(x), element(&c, r));
      sum += loss;
      weights += rw;
      if (how == NN_NONE) each[r] = loss;
    }
    if (how != NN_NONE) each[0] = how == NN_MEAN ? sum / weights : sum;
    *(double *)lp_data(total) = weights;
  }
  lp_tensor_release(x);
  lp_tensor_release(t);
  lp_tensor_release(w);
  if (ok) ok = (out = nn_cast_take(out, dtype)) != NULL;
  if (!ok) {
    lp_drop(&out);
    lp_drop(&total);
  }
  results[0] = out;
  results[1] = total;
  return ok;
}

LpTensor *lp_impl_nll_loss_nd_grad(LpTensor *grad_output, LpInts size, LpTensor *target,
                                   LpTensor *weight, LpTensor *total_weight,
                                   const char *reduction, int64_t ignore_index) {
  NnReduction how;
  TRY(nn_reduction(reduction, false, &how));
  LpDtype dtype = lp_dtype(grad_output);
  LpTensor *g = nn_dense(grad_output, LP_FLOAT64), *t = nn_dense(target, LP_INT64);
  LpTensor *w = weight ? nn_dense(weight, LP_FLOAT64) : NULL;
  LpTensor *gx = nn_zeros(size.data, size.count, dtype);
  bool ok = g && t && (w || !weight) && gx;
  if (ok) {
    Nll c = describe(size, t, w, how, ignore_index);
    const double *up = lp_data(g), total = *(double *)lp_data(total_weight);
    for (int64_t r = 0; r < c.rows; r++) {
      if (c.target[r] == ignore_index) continue;
      double scale = how == NN_NONE ? up[r] : how == NN_MEAN ? up[0] / total : up[0];
      lp_softmax_kernels()->add_at[nn_float_index(dtype)](lp_data(gx), element(&c, r),
                                                          -row_weight(&c, r) * scale);
    }
  }
  lp_tensor_release(g);
  lp_tensor_release(t);
  lp_tensor_release(w);
  if (!ok) lp_drop(&gx);
  return gx;
}
