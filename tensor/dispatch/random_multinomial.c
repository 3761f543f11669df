/* multinomial: indices drawn with the probabilities in each row.
 *
 * With replacement: a binary search in the row's cumulative sums for each draw. Without,
 * or for one draw: the largest of p / e with e exponential (the Gumbel trick), which
 * PyTorch does too. */
#include <math.h>
#include <stdlib.h>
#include "core/alloc.h"
#include "core/half.h"
#include "cpu/random.h"
#include "dispatch/iter.h"
#include "dispatch/shape.h"
#include "impl.h"

typedef struct Candidate {
  double score;
  int64_t index;
} Candidate;

static int by_score(const void *a, const void *b) {
  const Candidate *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return x->index < y->index ? -1 : 1;
}

static double round_to(LpDtype dtype, double v) {
  return dtype == LP_FLOAT16    ? lp_half_to_float(lp_half_from_float((float)v))
         : dtype == LP_BFLOAT16 ? lp_bf16_to_float(lp_bf16_from_float((float)v))
         : dtype == LP_FLOAT32  ? (float)v
                                : v;
}

/* A matrix of rows, a vector being one row. */
typedef struct Rows {
  int64_t n_rows, n_columns;
} Rows;

static void load_row(const LpTensor *t, Rows rows, int64_t row, double *out) {
  int64_t item = (int64_t)lp_dtype_size(t->dtype);
  int64_t at = t->offset_elems + (t->ndim > 1 ? row * t->strides[0] : 0);
  char *ptrs[2] = {(char *)out, (char *)lp_storage_data(t->storage) + at * item};
  int64_t strides[2] = {sizeof *out, t->strides[t->ndim - 1] * item};
  lp_cast_loop(LP_FLOAT64, t->dtype)(ptrs, strides, rows.n_columns, NULL);
}

static bool check_row(const double *p, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    CHECK(p[i] >= 0 && !isinf(p[i]), LP_ERR_ARGUMENT,
          "probabilities must be finite and >= 0, got %g at index %lld", p[i],
          (long long)i);
    sum += p[i];
  }
  CHECK(sum > 0, LP_ERR_ARGUMENT, "the probabilities of a row must not all be 0");
  return true;
}

static bool draw_with_replacement(LpTensor *self, Rows rows, LpGenerator *g,
                                  int64_t n_draws, int64_t *out, double *p) {
  bool single =
      self->dtype != LP_FLOAT64; /* sums are kept in float, as PyTorch keeps them */
  for (int64_t row = 0; row < rows.n_rows; row++) {
    load_row(self, rows, row, p);
    TRY(check_row(p, rows.n_columns));
    double sum = 0;
    for (int64_t i = 0; i < rows.n_columns; i++) {
      sum = single ? (float)sum + (float)p[i] : sum + p[i];
      if (single) sum = (float)sum;
      p[i] = sum;
    }
    for (int64_t i = 0; i < rows.n_columns; i++)
      p[i] = single ? (float)p[i] / (float)sum : p[i] / sum;
    p[rows.n_columns - 1] = 1;
    lp_cpu_random_categories(g, p, rows.n_columns, out + row * n_draws, n_draws);
  }
  return true;
}

static bool draw_distinct(LpTensor *self, LpTensor *noise, Rows rows, int64_t n_draws,
                          int64_t *out, double *p, double *e, Candidate *candidates) {
  for (int64_t row = 0; row < rows.n_rows; row++) {
    load_row(self, rows, row, p);
    load_row(noise, rows, row, e);
    TRY(check_row(p, rows.n_columns));
    int64_t best = 0;
    for (int64_t i = 0; i < rows.n_columns; i++) {
      candidates[i] = (Candidate){round_to(self->dtype, p[i] / e[i]), i};
      if (candidates[i].score > candidates[best].score) best = i;
    }
    if (n_draws == 1) {
      out[row] = best;
      continue;
    }
    qsort(candidates, (size_t)rows.n_columns, sizeof *candidates, by_score);
    for (int64_t i = 0; i < n_draws; i++) out[row * n_draws + i] = candidates[i].index;
  }
  return true;
}

static bool draw(LpTensor *self, Rows rows, LpGenerator *generator, int64_t n_draws,
                 bool replacement, int64_t *out) {
  size_t columns = (size_t)rows.n_columns;
  size_t bytes = columns * (2 * sizeof(double) + sizeof(Candidate));
  double *p = lp_alloc(bytes);
  if (!p) return false;
  bool ok;
  if (replacement && n_draws > 1) {
    LpGenerator *g = lp_generator_lock(generator);
    ok = draw_with_replacement(self, rows, g, n_draws, out, p);
    lp_generator_unlock(g);
  } else {
    LpTensor *noise = lp_tensor_new_like(self, self->dtype), *drawn = NULL;
    if (noise) drawn = lp_impl_exponential(noise, noise, 1.0, generator);
    ok = drawn && draw_distinct(self, noise, rows, n_draws, out, p, p + columns,
                                (Candidate *)(p + 2 * columns));
    lp_tensor_release(drawn);
    lp_tensor_release(noise);
  }
  lp_free(p, bytes);
  return ok;
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
  Rows rows = {self->ndim > 1 ? self->sizes[0] : 1, self->sizes[self->ndim - 1]};
  CHECK(rows.n_columns > 0, LP_ERR_ARGUMENT, "self has no category: shape %s",
        SHAPE_TEXT(self));
  CHECK(rows.n_columns <= 1 << 24, LP_ERR_ARGUMENT, "at most 2^24 categories, got %lld",
        (long long)rows.n_columns);
  CHECK(replacement || num_samples <= rows.n_columns, LP_ERR_ARGUMENT,
        "cannot draw num_samples = %lld of %lld categories without replacement",
        (long long)num_samples, (long long)rows.n_columns);
  int64_t sizes[2] = {rows.n_rows, num_samples};
  LpInts shape = self->ndim > 1 ? lp_ints(sizes, 2) : lp_ints(sizes + 1, 1);
  bool direct = !out;
  if (out) {
    TRY(lp_tensor_resize_out(out, shape));
    direct = out->is_contiguous;
  }
  LpTensor *result =
      direct && out ? lp_tensor_retain(out) : lp_tensor_new(shape, LP_INT64, lp_cpu());
  if (!result) return NULL;
  bool ok =
      rows.n_rows == 0 || draw(self, rows, generator, num_samples, replacement,
                               lp_data(result));
  if (ok && !direct) {
    ok = lp_copy_into(out, result);
    lp_tensor_release(result);
    result = lp_tensor_retain(out);
  }
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}
