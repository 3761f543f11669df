/* softmax and log_softmax along one dim, their gradients, and the fused cross entropy
 * over class indices: loss = logsumexp(x) - x[target], gradient softmax(x) -
 * onehot(target), in one pass each. */
#include <math.h>
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/copy.h"
#include "cpu/index.h"
#include "cpu/softmax.h"
#include "dispatch/nn_util.h"
#include "impl.h"

/* Short rows are turned into columns, some at a time, for the loops over columns. */
#define SHORT 64
#define ROWS 32
#define PART 64 /* columns of a task */

typedef struct SoftmaxJob {
  int type, is_log;
  size_t elem_bytes;
  int64_t n, inner; /* a tensor is (outer, n, inner) */
  int64_t parts;    /* of `inner`, which are tasks of their own */
  bool by_columns;  /* short rows, many, and not of whole vectors */
  const char *x, *g;
  char *y;
} SoftmaxJob;

static void turn(size_t elem_bytes, char *to, int64_t to_step, const char *from,
                 int64_t from_step, int64_t rows, int64_t columns) {
  lp_copy_kernels()->transpose[__builtin_ctzll(elem_bytes)](to, to_step, from, from_step,
                                                            rows, columns);
}

static void forward_short(const SoftmaxJob *j, int64_t begin, int64_t end) {
  _Alignas(64) char columns[SHORT * ROWS * sizeof(double)];
  for (int64_t o = begin; o < end; o += ROWS) {
    const int64_t m = end - o < ROWS ? end - o : ROWS;
    const size_t at = (size_t)(o * j->n) * j->elem_bytes;
    turn(j->elem_bytes, columns, m, j->x + at, j->n, m, j->n);
    lp_softmax_kernels()->inner[j->type][j->is_log](columns, columns, j->n, m, m);
    turn(j->elem_bytes, j->y + at, j->n, columns, m, j->n, m);
  }
}

static void backward_short(const SoftmaxJob *j, int64_t begin, int64_t end) {
  _Alignas(64) char g[SHORT * ROWS * sizeof(double)], y[SHORT * ROWS * sizeof(double)];
  for (int64_t o = begin; o < end; o += ROWS) {
    const int64_t m = end - o < ROWS ? end - o : ROWS;
    const size_t at = (size_t)(o * j->n) * j->elem_bytes;
    turn(j->elem_bytes, g, m, j->g + at, j->n, m, j->n);
    turn(j->elem_bytes, y, m, j->x + at, j->n, m, j->n);
    lp_softmax_kernels()->inner_grad[j->type][j->is_log](g, g, y, j->n, m, m);
    turn(j->elem_bytes, j->y + at, j->n, g, m, j->n, m);
  }
}

/* Where task i begins, in bytes, and its columns. */
static size_t find_part(const SoftmaxJob *j, int64_t i, int64_t *columns) {
  const int64_t first = i % j->parts * PART, rest = j->inner - first;
  *columns = rest < PART ? rest : PART;
  return (size_t)(i / j->parts * j->n * j->inner + first) * j->elem_bytes;
}

static void forward(void *ctx, int64_t begin, int64_t end) {
  SoftmaxJob *j = ctx;
  const LpSoftmaxKernels *k = lp_softmax_kernels();
  if (j->by_columns) {
    forward_short(j, begin, end);
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t columns;
    const size_t at = find_part(j, i, &columns);
    if (j->inner == 1)
      k->row[j->type][j->is_log](j->y + at, j->x + at, j->n);
    else
      k->inner[j->type][j->is_log](j->y + at, j->x + at, j->n, j->inner, columns);
  }
}

static void backward(void *ctx, int64_t begin, int64_t end) {
  SoftmaxJob *j = ctx;
  const LpSoftmaxKernels *k = lp_softmax_kernels();
  if (j->by_columns) {
    backward_short(j, begin, end);
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    int64_t columns;
    const size_t at = find_part(j, i, &columns);
    if (j->inner == 1)
      k->row_grad[j->type][j->is_log](j->y + at, j->g + at, j->x + at, j->n);
    else
      k->inner_grad[j->type][j->is_log](j->y + at, j->g + at, j->x + at, j->n, j->inner,
                                        columns);
  }
}

/* The job over t along dim; last: its memory has dim 1 behind the others. */
static SoftmaxJob job_along(LpTensor *t, int64_t dim, int is_log, bool last,
                            int64_t *tasks) {
  SoftmaxJob j = {
      .type = nn_float_index(lp_dtype(t)), .is_log = is_log, .n = 1, .inner = 1};
  j.elem_bytes = lp_dtype_size(lp_dtype(t));
  int64_t outer = 1;
  const int64_t end = t->ndim, place = last && dim == 1 ? end : dim;
  for (int64_t d = 0; d < t->ndim; d++) {
    const int64_t own = last && d == 1 ? end : d;
    if (own < place)
      outer *= t->sizes[d];
    else if (own == place)
      j.n = t->sizes[d];
    else
      j.inner *= t->sizes[d];
  }
  j.by_columns =
      j.inner == 1 && j.n <= SHORT && (size_t)j.n * j.elem_bytes % 64 && outer >= ROWS;
  j.parts = lp_ratio_up(j.inner, PART);
  *tasks = outer * j.parts;
  return j;
}

/* exp costs about 8 cheap elements */
static int64_t grain_of(const SoftmaxJob *j) {
  return LP_GRAIN / 8 / (j->n * (j->inner < PART ? j->inner : PART) + 1) + 1;
}

static LpTensor *softmax(LpTensor *self, int64_t dim, LpDtype dtype, int is_log) {
  if (dtype == LP_DTYPE_NONE) dtype = lp_dtype(self);
  int64_t tasks;
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  CHECK(lp_dtype_is_floating(dtype), LP_ERR_TYPE,
        "expected an input of a floating dtype, got %s: give dtype to convert it",
        lp_dtype_name(dtype));
  const bool last = nn_lies_last(self);
  LpTensor *x = nn_laid(self, dtype, last);
  TRY(x);
  LpTensor *y = nn_new_hidden(x, lp_sizes(x), dtype, last);
  if (y && lp_numel(y)) {
    SoftmaxJob j = job_along(x, dim, is_log, last, &tasks);
    j.x = nn_laid_data(x, last);
    j.y = nn_laid_data(y, last);
    lp_parallel_for(tasks, grain_of(&j), forward, &j);
  }
  lp_tensor_release(x);
  return y;
}

static LpTensor *softmax_grad(LpTensor *grad, LpTensor *result, int64_t dim, int is_log) {
  TRY(lp_wrap_dim(dim, lp_ndim(result), &dim));
  const LpDtype dtype = lp_dtype(result);
  const bool last = nn_lies_last(result);
  LpTensor *g = nn_laid(grad, dtype, last), *y = nn_laid(result, dtype, last);
  LpTensor *gx = y ? nn_new_laid(y, lp_sizes(y), dtype, last) : NULL;
  bool ok = g && gx;
  if (ok && lp_numel(gx)) {
    int64_t tasks;
    SoftmaxJob j = job_along(y, dim, is_log, last, &tasks);
    j.g = nn_laid_data(g, last);
    j.x = nn_laid_data(y, last);
    j.y = nn_laid_data(gx, last);
    lp_parallel_for(tasks, grain_of(&j), backward, &j);
  }
  lp_tensor_release(g);
  lp_tensor_release(y);
  if (!ok) lp_drop(&gx);
  return gx;
}

LpTensor *lp_impl_softmax(LpTensor *self, int64_t dim, LpDtype dtype) {
  return softmax(self, dim, dtype, 0);
}
LpTensor *lp_impl_log_softmax(LpTensor *self, int64_t dim, LpDtype dtype) {
  return softmax(self, dim, dtype, 1);
}
LpTensor *lp_impl_softmax_grad(LpTensor *grad, LpTensor *result, int64_t dim) {
  return softmax_grad(grad, result, dim, 0);
}
LpTensor *lp_impl_log_softmax_grad(LpTensor *grad, LpTensor *result, int64_t dim) {
  return softmax_grad(grad, result, dim, 1);
}

/* --- cross entropy
 * ---------------------------------------------------------------------------- */
typedef struct EntropyJob {
  int type;
  size_t elem_bytes;
  int64_t classes, ignore_index;
  const char *x;
  const int64_t *target;
  const double *lse, *scale; /* backward: of each row */
  double *out;               /* forward: (2, rows): loss and logsumexp */
  char *gx;
} EntropyJob;

#define FEW_CLASSES 48 /* up to here rows are made together */

/* How many, from row r on. */
static int64_t rows_at_once(const EntropyJob *j, int64_t r, int64_t end) {
  if (j->classes > FEW_CLASSES) return 1;
  return end - r < ROWS ? end - r : ROWS;
}

static void entropy_rows(void *ctx, int64_t begin, int64_t end) {
  EntropyJob *j = ctx;
  const LpSoftmaxKernels *k = lp_softmax_kernels();
  const size_t row_bytes = (size_t)j->classes * j->elem_bytes;
  double *lse = (double *)j->lse;
  _Alignas(64) char columns[FEW_CLASSES * ROWS * sizeof(double)];
  for (int64_t r = begin, m; r < end; r += m) {
    const char *x = j->x + (size_t)r * row_bytes;
    m = rows_at_once(j, r, end);
    if (j->classes <= FEW_CLASSES) {
      turn(j->elem_bytes, columns, m, x, j->classes, m, j->classes);
      k->column_logsumexp[j->type](columns, j->classes, m, lse + r);
    } else {
      lse[r] = k->logsumexp[j->type](x, j->classes);
    }
    for (int64_t i = r; i < r + m; i++, x += row_bytes)
      j->out[i] =
          j->target[i] == j->ignore_index ? 0 : lse[i] - k->get[j->type](x, j->target[i]);
  }
}

static void entropy_grad_rows(void *ctx, int64_t begin, int64_t end) {
  EntropyJob *j = ctx;
  const LpSoftmaxKernels *k = lp_softmax_kernels();
  const size_t row_bytes = (size_t)j->classes * j->elem_bytes;
  for (int64_t r = begin, m; r < end; r += m) {
    const size_t at = (size_t)r * row_bytes;
    m = rows_at_once(j, r, end);
    if (j->classes <= FEW_CLASSES)
      k->rows_scaled_exp[j->type](j->gx + at, j->x + at, m, j->classes, j->lse + r,
                                  j->scale + r);
    else if (j->target[r] != j->ignore_index)
      k->scaled_exp[j->type](j->gx + at, j->x + at, j->classes, j->lse[r], j->scale[r]);
    for (int64_t i = r; i < r + m; i++) {
      char *row = j->gx + (size_t)i * row_bytes;
      if (j->target[i] == j->ignore_index)
        memset(row, 0, row_bytes);
      else
        k->add_at[j->type](row, j->target[i], -j->scale[i]);
    }
  }
}

static int64_t entropy_grain(const EntropyJob *j) {
  return LP_GRAIN / 8 / (j->classes + 1) + 1;
}

bool nn_check_targets(LpTensor *dense_target, int64_t classes, int64_t ignore_index) {
  const int64_t *t = lp_data(dense_target), n = lp_numel(dense_target);
  if (dense_target->physical) return true; /* under vmap the kernels check */
  if (lp_index_table()->in_range(t, 1, n, classes)) return true;
  for (int64_t i = 0; i < n; i++)
    if (LP_UNLIKELY((t[i] < 0 || t[i] >= classes) && t[i] != ignore_index))
      return lp_fail(LP_ERR_INDEX,
                     "target %lld is out of range: expected class indices in [0, %lld)%s",
                     (long long)t[i], (long long)classes,
                     ignore_index >= 0 ? " or ignore_index" : "");
  return true;
}

bool lp_impl_cross_entropy_rows(LpTensor *input, LpTensor *target, const char *reduction,
                                int64_t ignore_index, LpTensor **results) {
  NnReduction how;
  TRY(nn_reduction(reduction, false, &how));
  LpDtype dtype = lp_dtype(input);
  int64_t rows = lp_size(input, 0), classes = lp_size(input, 1);
  LpTensor *x = nn_dense(input, dtype), *t = nn_dense(target, LP_INT64);
  LpTensor *losses = nn_empty(&rows, 1, LP_FLOAT64),
           *lse = nn_empty(&rows, 1, LP_FLOAT64), *result = NULL;
  bool ok = x && t && losses && lse && nn_check_targets(t, classes, ignore_index);
  if (ok) {
    EntropyJob j = {.type = nn_float_index(dtype),
                    .elem_bytes = lp_dtype_size(dtype),
                    .classes = classes,
                    .ignore_index = ignore_index,
                    .x = lp_data(x),
                    .target = lp_data(t),
                    .lse = lp_data(lse),
                    .out = lp_data(losses)};
    lp_parallel_for(rows, entropy_grain(&j), entropy_rows, &j);
    if (how == NN_NONE) {
      result = lp_tensor_retain(losses);
    } else if ((result = nn_empty(NULL, 0, LP_FLOAT64))) {
      double sum = 0, counted = 0;
      for (int64_t r = 0; r < rows; r++) {
        sum += j.out[r];
        counted += j.target[r] != ignore_index;
      }
      *(double *)lp_data(result) = how == NN_MEAN ? sum / counted : sum;
    }
    result = nn_cast_take(result, dtype);
    ok = result != NULL;
  }
  lp_tensor_release(x);
  lp_tensor_release(t);
  lp_tensor_release(losses);
  if (!ok) lp_drop(&lse);
  results[0] = result;
  results[1] = lse;
  return ok;
}

LpTensor *lp_impl_cross_entropy_rows_grad(LpTensor *grad, LpTensor *input,
                                          LpTensor *target, LpTensor *lse,
                                          const char *reduction, int64_t ignore_index) {
  NnReduction how;
  TRY(nn_reduction(reduction, false, &how));
  LpDtype dtype = lp_dtype(input);
  int64_t rows = lp_size(input, 0);
  LpTensor *x = nn_dense(input, dtype), *t = nn_dense(target, LP_INT64),
           *g = nn_dense(grad, LP_FLOAT64);
  LpTensor *scale = nn_empty(&rows, 1, LP_FLOAT64),
           *gx = lp_tensor_new(lp_sizes(input), dtype, lp_device(input));
  bool ok = x && t && g && scale && gx;
  if (ok) {
    EntropyJob j = {.type = nn_float_index(dtype),
                    .elem_bytes = lp_dtype_size(dtype),
                    .classes = lp_size(input, 1),
                    .ignore_index = ignore_index,
                    .x = lp_data(x),
                    .target = lp_data(t),
                    .lse = lp_data(lse),
                    .scale = lp_data(scale),
                    .gx = lp_data(gx)};
    double counted = 0, *s = lp_data(scale);
    const double *up = lp_data(g);
    for (int64_t r = 0; how == NN_MEAN && r < rows; r++)
      counted += j.target[r] != ignore_index;
    for (int64_t r = 0; r < rows; r++)
      s[r] = how == NN_NONE ? up[r] : how == NN_MEAN ? up[0] / counted : up[0];
    lp_parallel_for(rows, entropy_grain(&j), entropy_grad_rows, &j);
  }
  lp_tensor_release(x);
  lp_tensor_release(t);
  lp_tensor_release(g);
  lp_tensor_release(scale);
  if (!ok) lp_drop(&gx);
  return gx;
}
