/* multinomial: indices drawn with the probabilities in each row.
 *
 * With replacement: a binary search in the row's cumulative sums for each draw. Without,
 * or for one draw: the largest of p / e with e exponential (the Gumbel trick), which
 * PyTorch does too. Only the numbers themselves are drawn in order; all else is shared
 * over threads. */
#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/random.h"
#include "cpu/tasks.h"
#include "dispatch/iter.h"
#include "dispatch/pointwise.h"
#include "dispatch/reduce.h"
#include "dispatch/shape.h"
#include "impl.h"

/* A matrix of rows, a vector being one row; and their cumulative sums, where wanted. */
typedef struct Rows {
  const LpTensor *t;
  int64_t n_rows, n_columns;
  double *sums;
} Rows;

/* Columns [first, first + n) of a row. */
static void load(const Rows *rows, int64_t row, int64_t first, int64_t n, double *out) {
  const LpTensor *t = rows->t;
  int64_t item = (int64_t)lp_dtype_size(t->dtype), step = t->strides[t->ndim - 1];
  int64_t at = t->offset_elems + first * step + (t->ndim > 1 ? row * t->strides[0] : 0);
  char *ptrs[2] = {(char *)out, (char *)lp_storage_data(t->storage) + at * item};
  int64_t strides[2] = {sizeof *out, step * item};
  lp_cast_loop(LP_FLOAT64, t->dtype)(ptrs, strides, n, NULL);
}

/* --- checks
 * -------------------------------------------------------------------------- */

#define BLOCK 512 /* columns looked at together */

typedef struct RowChecks {
  Rows rows;
  _Atomic bool failed;
} RowChecks;

static void check_row(void *ctx, int64_t row) {
  RowChecks *c = ctx;
  double p[BLOCK];
  int wrong = 0, positive = 0;
  for (int64_t first = 0; first < c->rows.n_columns; first += BLOCK) {
    int64_t left = c->rows.n_columns - first, n = left < BLOCK ? left : BLOCK;
    load(&c->rows, row, first, n, p);
    for (int64_t i = 0; i < n; i++) {
      wrong |= !(p[i] >= 0) | !(p[i] < INFINITY);
      positive |= p[i] > 0;
    }
  }
  if (wrong || !positive) c->failed = true;
}

/* The error of the first row that has one. */
static bool report_row(const Rows *rows) {
  for (int64_t row = 0; row < rows->n_rows; row++) {
    bool positive = false;
    for (int64_t i = 0; i < rows->n_columns; i++) {
      double p;
      load(rows, row, i, 1, &p);
      CHECK(p >= 0 && !isinf(p), LP_ERR_ARGUMENT,
            "probabilities must be finite and >= 0, got %g at index %lld", p,
            (long long)i);
      positive = positive || p > 0;
    }
    CHECK(positive, LP_ERR_ARGUMENT, "the probabilities of a row must not all be 0");
  }
  return true;
}

static bool check_rows(const Rows *rows) {
  RowChecks c = {.rows = *rows};
  TRY(lp_run_tasks(rows->n_rows, rows->n_columns, check_row, &c));
  return !c.failed || report_row(rows);
}

/* --- with replacement
 * -------------------------------------------------------------------------- */

/* The cumulative distribution of a row, in T. */
#define CUMULATE(name, T)                                                                \
  static void name(double *p, int64_t n) {                                               \
    T sum = 0;                                                                           \
    for (int64_t i = 0; i < n; i++) p[i] = sum += (T)p[i];                               \
    for (int64_t i = 0; i < n; i++) p[i] = (T)p[i] / sum;                                \
    p[n - 1] = 1;                                                                        \
  }
CUMULATE(cumulate_float, float)
CUMULATE(cumulate_double, double)

/* Sums are kept in float, as PyTorch keeps them. */
static void sum_row(void *ctx, int64_t row) {
  const Rows *rows = ctx;
  double *p = rows->sums + row * rows->n_columns;
  load(rows, row, 0, rows->n_columns, p);
  if (rows->t->dtype == LP_FLOAT64)
    cumulate_double(p, rows->n_columns);
  else
    cumulate_float(p, rows->n_columns);
}

typedef struct Draws {
  const Rows *rows;
  int64_t n_draws;
  union { /* uniform numbers first, then the indices of their categories */
    double *numbers;
    int64_t *indices;
  };
} Draws;

static void find_categories(void *ctx, int64_t begin, int64_t end) {
  const Draws *d = ctx;
  const int64_t count = d->rows->n_columns;
  for (int64_t i = begin; i < end; i++)
    d->indices[i] = lp_cpu_random_category(d->rows->sums + i / d->n_draws * count, count,
                                           d->numbers[i]);
}

static bool draw_with_replacement(Rows *rows, LpGenerator *generator, int64_t n_draws,
                                  int64_t *out) {
  int64_t n = rows->n_rows * n_draws;
  size_t bytes = (size_t)(rows->n_rows * rows->n_columns) * sizeof *rows->sums;
  rows->sums = lp_alloc(bytes);
  bool ok = rows->sums && lp_run_tasks(rows->n_rows, 4 * rows->n_columns, sum_row, rows);
  if (ok) {
    Draws d = {.rows = rows, .n_draws = n_draws, .indices = out};
    LpGenerator *g = lp_generator_lock(generator);
    lp_cpu_random_fill(&(LpRandomFill){.generator = g, .dtype = LP_FLOAT64, .b = 1},
                       (char *)d.numbers, sizeof *d.numbers, n);
    lp_generator_unlock(g);
    lp_parallel_for(n, LP_GRAIN / 16, find_categories, &d);
  }
  lp_free(rows->sums, bytes);
  return ok;
}

/* --- without
 * -------------------------------------------------------------------------- */

static LpTensor *draw_distinct(LpTensor *out, LpTensor *self, LpGenerator *generator,
                               int64_t n_draws) {
  LpTensor *noise = lp_tensor_new_like(self, self->dtype), *drawn = NULL, *scores = NULL;
  LpTensor *best[2] = {NULL, NULL};
  if (noise) drawn = lp_impl_exponential(noise, noise, 1.0, generator);
  if (drawn) scores = lp_binary(LP_BINARY_div, noise, self, noise, NULL, 0);
  if (scores && n_draws == 1)
    best[1] = lp_impl_argmax(out, scores, (LpOptInt){true, -1}, true);
  else if (scores && lp_impl_topk(NULL, scores, n_draws, -1, true, true, best))
    best[1] = lp_give(out, best[1]);
  lp_tensor_release(noise);
  lp_tensor_release(drawn);
  lp_tensor_release(scores);
  lp_tensor_release(best[0]);
  return best[1];
}

LpTensor *lp_impl_multinomial(LpTensor *out, LpTensor *self, int64_t num_samples,
                              bool replacement, LpGenerator *generator) {
  CHECK(self->storage->device.type == LP_CPU, LP_ERR_DEVICE, "self must be on the CPU");
  CHECK(self->ndim == 1 || self->ndim == 2, LP_ERR_ARGUMENT,
        "self must have 1 or 2 dims, got shape %s", SHAPE_TEXT(self));
  CHECK(lp_dtype_is_floating(self->dtype), LP_ERR_TYPE,
        "self must have a floating dtype, got %s", lp_dtype_name(self->dtype));
  CHECK(!out || out->dtype == LP_INT64, LP_ERR_TYPE, "out must have dtype int64, got %s",
        lp_dtype_name(out->dtype));
  CHECK(num_samples > 0, LP_ERR_ARGUMENT, "num_samples must be > 0, got %lld",
        (long long)num_samples);
  Rows rows = {.t = self,
               .n_rows = self->ndim > 1 ? self->sizes[0] : 1,
               .n_columns = self->sizes[self->ndim - 1]};
  CHECK(rows.n_columns > 0, LP_ERR_ARGUMENT, "self has no category: shape %s",
        SHAPE_TEXT(self));
  CHECK(rows.n_columns <= 1 << 24, LP_ERR_ARGUMENT, "at most 2^24 categories, got %lld",
        (long long)rows.n_columns);
  CHECK(replacement || num_samples <= rows.n_columns, LP_ERR_ARGUMENT,
        "cannot draw num_samples = %lld of %lld categories without replacement",
        (long long)num_samples, (long long)rows.n_columns);
  TRY(check_rows(&rows));
  if (!replacement || num_samples == 1) {
    if (rows.n_rows) return draw_distinct(out, self, generator, num_samples);
  }
  int64_t sizes[2] = {rows.n_rows, num_samples};
  LpInts shape = self->ndim > 1 ? lp_ints(sizes, 2) : lp_ints(sizes + 1, 1);
  LpTensor *result = lp_tensor_new(shape, LP_INT64, lp_cpu());
  if (result && rows.n_rows &&
      !draw_with_replacement(&rows, generator, num_samples, lp_data(result))) {
    lp_tensor_release(result);
    return NULL;
  }
  return lp_give(out, result);
}
