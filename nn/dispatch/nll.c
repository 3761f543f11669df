/* The negative log likelihood of class indices over (n, classes, inner)
 * log-probabilities, and its gradient, which is a sparse linear map of the result's
 * gradient. */
#include "core/parallel.h"
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
/* A row's place: counted on from row to row, as divisions take long. */
typedef struct Place {
  int64_t outer, inner;
} Place;

static Place place_of(const Nll *c, int64_t row) {
  return (Place){row / c->inner, row % c->inner};
}
static int64_t element(const Nll *c, Place at, int64_t row) {
  return (at.outer * c->classes + c->target[row]) * c->inner + at.inner;
}
static Place next_place(const Nll *c, Place at) {
  return at.inner + 1 < c->inner ? (Place){at.outer, at.inner + 1}
                                 : (Place){at.outer + 1, 0};
}

/* Rows are summed up in pieces, whose sums are added in order. */
#define PIECE 4096

typedef struct NllJob {
  const Nll *c;
  const void *x;
  int type;
  double *each;          /* of each row; NULL */
  double *sum, *weights; /* of each piece */
  /* backward */
  void *gx;
  const double *up;
  double scale;
} NllJob;

static int64_t end_of_piece(const NllJob *j, int64_t piece) {
  const int64_t end = (piece + 1) * PIECE;
  return end < j->c->rows ? end : j->c->rows;
}

static void sum_pieces(void *ctx, int64_t begin, int64_t end) {
  const NllJob *j = ctx;
  const Nll *c = j->c;
  double (*const get)(const void *, int64_t) = lp_softmax_kernels()->get[j->type];
  for (int64_t p = begin; p < end; p++) {
    double sum = 0, weights = 0;
    Place at = place_of(c, p * PIECE);
    for (int64_t r = p * PIECE; r < end_of_piece(j, p); r++, at = next_place(c, at)) {
      const double rw = row_weight(c, r);
      const double loss =
          c->target[r] == c->ignore_index ? 0 : -rw * get(j->x, element(c, at, r));
      sum += loss;
      weights += rw;
      if (j->each) j->each[r] = loss;
    }
    j->sum[p] = sum;
    j->weights[p] = weights;
  }
}

static void add_grad(void *ctx, int64_t begin, int64_t end) {
  const NllJob *j = ctx;
  const Nll *c = j->c;
  void (*const add_at)(void *, int64_t, double) = lp_softmax_kernels()->add_at[j->type];
  Place at = place_of(c, begin);
  for (int64_t r = begin; r < end; r++, at = next_place(c, at)) {
    if (c->target[r] == c->ignore_index) continue;
    const double scale = c->how == NN_NONE ? j->up[r] : j->scale;
    add_at(j->gx, element(c, at, r), -row_weight(c, r) * scale);
  }
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
  LpTensor *x = nn_dense(input, dtype), *t = nn_dense(target, LP_INT64), *out = NULL,
           *total = NULL, *sums = NULL;
  const int64_t pieces = (lp_numel(target) + PIECE - 1) / PIECE;
  LpTensor *w = weight ? nn_dense(weight, LP_FLOAT64) : NULL;
  bool ok = x && t && (w || !weight) && nn_check_targets(t, classes, ignore_index) &&
            (out = how == NN_NONE ? lp_tensor_new(lp_sizes(target), LP_FLOAT64, lp_cpu())
                                  : nn_empty(NULL, 0, LP_FLOAT64)) &&
            (total = nn_empty(NULL, 0, LP_FLOAT64)) &&
            (sums = nn_empty((int64_t[]){2, pieces}, 2, LP_FLOAT64));
  if (ok) {
    Nll c = describe(lp_sizes(input), t, w, how, ignore_index);
    double sum = 0, weights = 0, *each = lp_data(out);
    NllJob j = {.c = &c,
                .x = lp_data(x),
                .type = nn_float_index(dtype),
                .each = how == NN_NONE ? each : NULL,
                .sum = lp_data(sums),
                .weights = (double *)lp_data(sums) + pieces};
    lp_parallel_for(pieces, LP_GRAIN / 4 / PIECE, sum_pieces, &j);
    for (int64_t p = 0; p < pieces; p++) {
      sum += j.sum[p];
      weights += j.weights[p];
    }
    if (how != NN_NONE) each[0] = how == NN_MEAN ? sum / weights : sum;
    *(double *)lp_data(total) = weights;
  }
  lp_tensor_release(x);
  lp_tensor_release(t);
  lp_tensor_release(w);
  lp_tensor_release(sums);
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
    const NllJob j = {.c = &c,
                      .type = nn_float_index(dtype),
                      .gx = lp_data(gx),
                      .up = up,
                      .scale = how == NN_NONE   ? 0
                               : how == NN_MEAN ? up[0] / total
                                                : up[0]};
    lp_parallel_for(c.rows, LP_GRAIN / 4, add_grad, (void *)&j);
  }
  lp_tensor_release(g);
  lp_tensor_release(t);
  lp_tensor_release(w);
  if (!ok) lp_drop(&gx);
  return gx;
}
