/* Adafactor (Shazeer and Stern 2018): parameters one after the other, each in a few
 * parallel passes, because its step depends on norms of the whole parameter and update.
 * Sums run over chunks of a fixed size, so that results do not depend on the threads. */
#include <float.h>
#include <math.h>
#include "core/alloc.h"
#include "core/half.h"
#include "core/parallel.h"
#include "cpu/optim.h"
#include "dispatch/nn_util.h"
#include "dispatch/optim.h"
#include "impl.h"

enum { PARAM, GRAD, ROW, COL, TENSORS, CHUNK_ELEMS = 16384 };

typedef struct FactoredJob {
  LpTensor *dense[TENSORS]; /* COL is the variance of a vector, ROW then NULL */
  int type;
  size_t elem_bytes;
  int64_t matrices, rows, cols; /* a vector is one matrix of one row */
  int64_t chunk, chunks;        /* rows, or elements of a vector, in a chunk; how many */
  double *sums;                 /* one a chunk */
  double *row_scales;           /* one a matrix */
  double weight, keep, step, eps1;
  LpFactored update;
} FactoredJob;

static char *at(const FactoredJob *j, int which, int64_t elem) {
  return (char *)lp_data(j->dense[which]) + (size_t)elem * j->elem_bytes;
}

/* The rows (for a vector: elements) of a chunk. */
static int64_t chunk_end(const FactoredJob *j, int64_t chunk, int64_t *begin) {
  const int64_t n = j->dense[ROW] ? j->matrices * j->rows : j->cols;
  *begin = chunk * j->chunk;
  return *begin + j->chunk < n ? *begin + j->chunk : n;
}

/* The update restricted to elements [begin, end) of a vector. */
static LpFactored vector_part(const FactoredJob *j, int64_t begin, int64_t end) {
  LpFactored f = j->update;
  f.grad = at(j, GRAD, begin);
  f.col_factors = at(j, COL, begin);
  f.cols = end - begin;
  return f;
}

static void param_squares(void *ctx, int64_t from, int64_t to) {
  FactoredJob *j = ctx;
  const int64_t width = j->dense[ROW] ? j->cols : 1;
  for (int64_t c = from; c < to; c++) {
    int64_t begin, end = chunk_end(j, c, &begin);
    j->sums[c] = lp_optim_kernels()->sum_squares[j->type](at(j, PARAM, begin * width),
                                                          (end - begin) * width);
  }
}

static void row_moments(void *ctx, int64_t from, int64_t to) {
  FactoredJob *j = ctx;
  for (int64_t c = from; c < to; c++) {
    int64_t begin, end = chunk_end(j, c, &begin);
    if (j->dense[ROW])
      lp_optim_kernels()->row_moments[j->type](at(j, GRAD, begin * j->cols),
                                               at(j, ROW, begin), end - begin, j->cols,
                                               j->weight);
    else /* each element is a row of its own */
      lp_optim_kernels()->row_moments[j->type](at(j, GRAD, begin), at(j, COL, begin),
                                               end - begin, 1, j->weight);
  }
}

static int64_t col_blocks(const FactoredJob *j) {
  return (j->cols + LP_OPTIM_COLS - 1) / LP_OPTIM_COLS;
}

/* Over matrices, or over (matrix, block of columns) pairs where there are several. */
static void col_moments(void *ctx, int64_t from, int64_t to) {
  FactoredJob *j = ctx;
  const int64_t blocks = col_blocks(j), all = blocks == 1 ? to - from : 1;
  for (int64_t k = from; k < to; k += all) {
    const int64_t matrix = k / blocks, col = k % blocks * LP_OPTIM_COLS;
    const int64_t n = j->cols - col < LP_OPTIM_COLS ? j->cols - col : LP_OPTIM_COLS;
    lp_optim_kernels()->col_moments[j->type](
        at(j, GRAD, matrix * j->rows * j->cols + col), at(j, COL, matrix * j->cols + col),
        all, j->rows, j->cols, n, j->weight);
  }
}

static void update_squares(void *ctx, int64_t from, int64_t to) {
  FactoredJob *j = ctx;
  for (int64_t c = from; c < to; c++) {
    int64_t begin, end = chunk_end(j, c, &begin);
    if (j->dense[ROW]) {
      j->sums[c] = lp_optim_kernels()->factored_squares[j->type](&j->update, begin, end);
    } else {
      LpFactored f = vector_part(j, begin, end);
      j->sums[c] = lp_optim_kernels()->factored_squares[j->type](&f, 0, 1);
    }
  }
}

static void apply(void *ctx, int64_t from, int64_t to) {
  FactoredJob *j = ctx;
  for (int64_t c = from; c < to; c++) {
    int64_t begin, end = chunk_end(j, c, &begin);
    if (j->dense[ROW]) {
      lp_optim_kernels()->factored_apply[j->type](&j->update, at(j, PARAM, 0), begin, end,
                                                  j->keep, j->step);
    } else {
      LpFactored f = vector_part(j, begin, end);
      lp_optim_kernels()->factored_apply[j->type](&f, at(j, PARAM, begin), 0, 1, j->keep,
                                                  j->step);
    }
  }
}

/* The root mean square of what a pass summed up. */
static double root_mean(FactoredJob *j, void (*pass)(void *, int64_t, int64_t)) {
  const int64_t n = j->matrices * j->rows * j->cols;
  lp_parallel_for(j->chunks, LP_GRAIN / CHUNK_ELEMS, pass, j);
  double total = 0;
  for (int64_t c = 0; c < j->chunks; c++) total += j->sums[c];
  return sqrt(total / (double)n);
}

static double load(const FactoredJob *j, const char *elem) {
  const void *v = elem;
  if (j->type == 0) return (double)*(const float *)v;
  if (j->type == 1) return *(const double *)v;
  return (double)(j->type == 2 ? lp_half_to_float(*(const uint16_t *)v)
                               : lp_bf16_to_float(*(const uint16_t *)v));
}

/* 1 / max(mean of the row factors, eps1) of each matrix. */
static void scale_rows(void *ctx, int64_t from, int64_t to) {
  FactoredJob *j = ctx;
  const char *v = at(j, ROW, from * j->rows);
  for (int64_t m = from; m < to; m++) {
    double total = 0;
    for (int64_t i = 0; i < j->rows; i++, v += j->elem_bytes) total += load(j, v);
    const double mean = total / (double)j->rows;
    j->row_scales[m] = 1 / (mean < j->eps1 ? j->eps1 : mean);
  }
}

static double resolution(LpDtype dtype) {
  return dtype == LP_FLOAT64   ? DBL_EPSILON
         : dtype == LP_FLOAT32 ? FLT_EPSILON
         : dtype == LP_FLOAT16 ? 0x1p-10
                               : 0x1p-7;
}

typedef struct FactoredOptions {
  double lr, beta2_decay, eps2, d, weight_decay;
  LpOptFloat eps1;
  bool maximize;
} FactoredOptions;

static void step_param(FactoredJob *j, const FactoredOptions *o, double t) {
  const double eps1 = o->eps1.has ? o->eps1.value : resolution(lp_dtype(j->dense[PARAM]));
  const double scale = fmax(o->eps2, root_mean(j, param_squares));
  j->eps1 = eps1;
  j->weight = pow(t, o->beta2_decay);
  lp_parallel_for(j->chunks, LP_GRAIN / CHUNK_ELEMS, row_moments, j);
  if (j->dense[ROW]) {
    const int64_t tasks = j->matrices * col_blocks(j);
    const int64_t elems = j->matrices * j->rows * j->cols;
    lp_parallel_for(tasks, elems > LP_GRAIN ? tasks * LP_GRAIN / elems : tasks,
                    col_moments, j);
    lp_parallel_for(j->matrices, LP_GRAIN / (j->rows + 1) + 1, scale_rows, j);
  }
  j->update = (LpFactored){.grad = at(j, GRAD, 0),
                           .row_factors = j->dense[ROW] ? at(j, ROW, 0) : NULL,
                           .col_factors = at(j, COL, 0),
                           .row_scales = j->row_scales,
                           .rows = j->rows,
                           .cols = j->cols,
                           .floor = eps1 * eps1,
                           .maximize = o->maximize};
  const double clip = fmax(1, root_mean(j, update_squares) / o->d);
  j->keep = 1 - o->lr * o->weight_decay;
  j->step = scale * fmin(o->lr, 1 / sqrt(t)) / clip;
  lp_parallel_for(j->chunks, LP_GRAIN / CHUNK_ELEMS, apply, j);
}

static void release(FactoredJob *j) {
  for (int k = 0; k < TENSORS; k++) lp_tensor_release(j->dense[k]);
  lp_free(j->sums, (size_t)j->chunks * sizeof *j->sums);
  lp_free(j->row_scales, (size_t)j->matrices * sizeof *j->row_scales);
}

/* One parameter; tensors: param, grad, row and column factors (or NULL and variance). */
static bool run_param(LpTensor *const *tensors, LpTensor *step,
                      const FactoredOptions *o) {
  const LpTensor *p = tensors[PARAM];
  const bool factored = tensors[ROW] != NULL;
  FactoredJob j = {.type = nn_float_index(lp_dtype(p)),
                   .elem_bytes = lp_dtype_size(lp_dtype(p)),
                   .matrices = 1,
                   .rows = 1,
                   .cols = lp_numel(p)};
  if (factored) {
    j.rows = p->sizes[p->ndim - 2];
    j.cols = p->sizes[p->ndim - 1];
    j.matrices = lp_numel(p) ? lp_numel(p) / (j.rows * j.cols) : 0;
  }
  if (lp_numel(p) == 0) {
    lp_optim_set(step, lp_optim_get(step) + 1);
    return true;
  }
  j.chunk = factored ? (j.cols < CHUNK_ELEMS ? CHUNK_ELEMS / j.cols : 1) : CHUNK_ELEMS;
  j.chunks = ((factored ? j.matrices * j.rows : j.cols) + j.chunk - 1) / j.chunk;
  bool ok = (j.sums = lp_alloc((size_t)j.chunks * sizeof *j.sums)) &&
            (j.row_scales = lp_alloc((size_t)j.matrices * sizeof *j.row_scales));
  for (int k = 0; ok && k < TENSORS; k++)
    if (tensors[k]) ok = (j.dense[k] = nn_dense(tensors[k], lp_dtype(p))) != NULL;
  if (ok) step_param(&j, o, lp_optim_set(step, lp_optim_get(step) + 1));
  for (int k = 0; ok && k < TENSORS; k++) {
    if (k == GRAD || !tensors[k]) continue;
    if (j.dense[k] != tensors[k]) ok = lp_copy_into(tensors[k], j.dense[k]);
    lp_bump_version(tensors[k]);
  }
  release(&j);
  return ok;
}

/* A state tensor is like the parameter with the dim `reduced` (or none: -1) of size 1. */
static bool check_state(const LpTensor *t, const LpTensor *p, int reduced,
                        const char *name, int64_t i) {
  CHECK(t, LP_ERR_ARGUMENT, "expected %s[%lld] to be a tensor, got nil", name,
        (long long)i);
  bool same = lp_dtype(t) == lp_dtype(p) && t->ndim == p->ndim;
  for (int d = 0; same && d < p->ndim; d++)
    same = t->sizes[d] == (d == reduced ? 1 : p->sizes[d]);
  CHECK(same, LP_ERR_ARGUMENT, "%s[%lld], %s %s, does not fit its parameter, %s %s", name,
        (long long)i, lp_dtype_name(lp_dtype(t)), SHAPE_TEXT(t),
        lp_dtype_name(lp_dtype(p)), SHAPE_TEXT(p));
  return true;
}

bool lp_impl_adafactor_step_(LpTensors params, LpTensors grads, LpTensors row_vars,
                             LpTensors col_vars, LpTensors variances, LpTensors steps,
                             double lr, double beta2_decay, LpOptFloat eps1, double eps2,
                             double d, double weight_decay, bool maximize) {
  const LpTensors lists[] = {grads, row_vars, col_vars, variances};
  static const char *const names[] = {"grads", "row_vars", "col_vars", "variances"};
  for (int k = 0; k < 4; k++)
    CHECK(lists[k].count == params.count, LP_ERR_ARGUMENT,
          "expected as many %s as params (%lld), got %lld", names[k],
          (long long)params.count, (long long)lists[k].count);
  TRY(lp_optim_check_scalars(steps, params.count, "steps"));
  for (int64_t i = 0; i < params.count; i++) {
    const LpTensor *p = params.data[i];
    CHECK_FLOATING(p, "params");
    TRY(check_state(grads.data[i], p, -1, "grads", i));
    if (p->ndim > 1) {
      TRY(check_state(row_vars.data[i], p, p->ndim - 1, "row_vars", i));
      TRY(check_state(col_vars.data[i], p, p->ndim - 2, "col_vars", i));
    } else {
      TRY(check_state(variances.data[i], p, -1, "variances", i));
    }
  }
  const FactoredOptions o = {.lr = lr,
                             .beta2_decay = beta2_decay,
                             .eps2 = eps2,
                             .d = d,
                             .weight_decay = weight_decay,
                             .eps1 = eps1,
                             .maximize = maximize};
  for (int64_t i = 0; i < params.count; i++) {
    const bool factored = params.data[i]->ndim > 1;
    LpTensor *const tensors[TENSORS] = {params.data[i], grads.data[i],
                                        factored ? row_vars.data[i] : NULL,
                                        factored ? col_vars.data[i] : variances.data[i]};
    TRY(run_param(tensors, steps.data[i], &o));
  }
  return true;
}
