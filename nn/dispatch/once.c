/* Functions whose gradient has no derivative of its own: the error that says so, and the
 * rows of multilabel_margin_loss. */
#include "core/parallel.h"
#include "dispatch/nn_util.h"
#include "impl.h"

LpTensor *lp_impl_no_derivative(LpTensor *grad, const char *what) {
  (void)grad;
  CHECK(false, LP_ERR_ARGUMENT,
        "the gradient of %s is not differentiable: call backward or grad without "
        "create_graph = true",
        what);
}

typedef struct MarginJob {
  const double *x, *g;
  const int64_t *target;
  double *to;
  int64_t classes;
} MarginJob;

static bool is_target(const int64_t *target, int64_t n, int64_t c) {
  for (int64_t j = 0; j < n; j++)
    if (target[j] == c) return true;
  return false;
}

/* The number of classes before the first -1. */
static int64_t count_targets(const int64_t *target, int64_t classes) {
  int64_t n = 0;
  while (n < classes && target[n] >= 0) n++;
  return n;
}

static void losses(void *ctx, int64_t begin, int64_t end) {
  MarginJob *j = ctx;
  for (int64_t r = begin; r < end; r++) {
    const double *x = j->x + r * j->classes;
    const int64_t *target = j->target + r * j->classes;
    int64_t n = count_targets(target, j->classes);
    double sum = 0;
    for (int64_t c = 0; c < j->classes; c++) {
      if (is_target(target, n, c)) continue;
      for (int64_t k = 0; k < n; k++) {
        double z = 1 - x[target[k]] + x[c];
        if (z > 0) sum += z;
      }
    }
    j->to[r] = sum / (double)j->classes;
  }
}

static void gradients(void *ctx, int64_t begin, int64_t end) {
  MarginJob *j = ctx;
  for (int64_t r = begin; r < end; r++) {
    const double *x = j->x + r * j->classes;
    const int64_t *target = j->target + r * j->classes;
    double *gx = j->to + r * j->classes, share = j->g[r] / (double)j->classes;
    int64_t n = count_targets(target, j->classes);
    for (int64_t c = 0; c < j->classes; c++) {
      if (is_target(target, n, c)) continue;
      for (int64_t k = 0; k < n; k++)
        if (1 - x[target[k]] + x[c] > 0) {
          gx[target[k]] -= share;
          gx[c] += share;
        }
    }
  }
}

/* input (rows, classes), target alike; also for the gradient, when grad_output is given.
 */
static LpTensor *margin(LpTensor *grad_output, LpTensor *input, LpTensor *target) {
  int64_t rows = lp_size(input, 0), classes = lp_size(input, 1);
  LpTensor *x = nn_dense(input, LP_FLOAT64), *t = nn_dense(target, LP_INT64), *y = NULL;
  LpTensor *g = grad_output ? nn_dense(grad_output, LP_FLOAT64) : NULL;
  bool ok = x && t && (g || !grad_output);
  for (int64_t i = 0; ok && i < lp_numel(t); i++) {
    int64_t c = ((int64_t *)lp_data(t))[i];
    if (c < -1 || c >= classes)
      ok = lp_fail(LP_ERR_INDEX, "target class %lld is out of range: expected -1 to %lld",
                   (long long)c, (long long)classes - 1);
  }
  if (ok) ok = (y = nn_zeros(input->sizes, g ? 2 : 1, LP_FLOAT64)) != NULL;
  if (ok && classes) {
    MarginJob j = {lp_data(x), g ? lp_data(g) : NULL, lp_data(t), lp_data(y), classes};
    lp_parallel_for(rows, LP_GRAIN / (4 * classes) + 1, g ? gradients : losses, &j);
  }
  lp_tensor_release(x);
  lp_tensor_release(t);
  lp_tensor_release(g);
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, lp_dtype(input));
}

LpTensor *lp_impl_multilabel_margin_rows(LpTensor *input, LpTensor *target) {
  return margin(NULL, input, target);
}

LpTensor *lp_impl_multilabel_margin_rows_grad(LpTensor *grad_output, LpTensor *input,
                                              LpTensor *target) {
  return margin(grad_output, input, target);
}
