/* Rows of a weight by index, the adjoint (rows added up by index), and renormalisation of
 * rows. */
#include <math.h>
#include "core/half.h"
#include "core/parallel.h"
#include "cpu/index.h"
#include "dispatch/nn_util.h"
#include "impl.h"

static bool check_indices(LpTensor *weight, LpTensor *dense) {
  const int64_t *index = lp_data(dense), rows = lp_size(weight, 0), n = lp_numel(dense);
  if (lp_index_table()->in_range(index, 1, n, rows)) return true;
  for (int64_t i = 0; i < n; i++)
    CHECK(index[i] >= 0 && index[i] < rows, LP_ERR_INDEX,
          "index %lld is out of range: weight %s has rows [0, %lld)", (long long)index[i],
          SHAPE_TEXT(weight), (long long)rows);
  return true;
}

static bool check_call(LpTensor *weight, LpTensor *indices) {
  CHECK(lp_ndim(weight) == 2, LP_ERR_ARGUMENT,
        "expected 'weight' of 2 dims (rows, features), got %s", SHAPE_TEXT(weight));
  CHECK(lp_dtype(indices) == LP_INT64 || lp_dtype(indices) == LP_INT32, LP_ERR_TYPE,
        "expected indices of int64 or int32, got %s", lp_dtype_name(lp_dtype(indices)));
  return true;
}

typedef struct GatherJob {
  const char *from;
  char *to;
  const int64_t *index;
  int64_t row_bytes;
} GatherJob;

static void gather(void *ctx, int64_t begin, int64_t end) {
  const GatherJob *j = ctx;
  lp_index_table()->move(&(LpIndexMoves){.to = j->to + begin * j->row_bytes,
                                         .from = j->from,
                                         .from_at = j->index + begin,
                                         .to_step = j->row_bytes,
                                         .from_step = j->row_bytes,
                                         .bytes = j->row_bytes,
                                         .n = end - begin});
}

LpTensor *lp_impl_embedding_rows(LpTensor *weight, LpTensor *indices, int64_t padding_idx,
                                 bool scale_grad_by_freq) {
  TRY(check_call(weight, indices));
  LpTensor *w = nn_dense(weight, lp_dtype(weight)), *index = nn_dense(indices, LP_INT64),
           *result = NULL;
  if (w && index && check_indices(weight, index)) {
    int64_t sizes[LP_MAX_DIMS], width = lp_size(weight, 1);
    memcpy(sizes, indices->sizes, (size_t)indices->ndim * sizeof *sizes);
    sizes[indices->ndim] = width;
    result = nn_empty(sizes, indices->ndim + 1, lp_dtype(weight));
    if (result && lp_numel(result)) {
      GatherJob j = {lp_data(w), lp_data(result), lp_data(index),
                     width * (int64_t)lp_dtype_size(lp_dtype(weight))};
      lp_parallel_for(lp_numel(index), LP_GRAIN / (width + 1) + 1, gather, &j);
    }
  }
  lp_tensor_release(w);
  lp_tensor_release(index);
  return result;
}

/* factor[i]: what multiplies position i's gradient: 0 for padding, 1 / count of its index
 * by frequency. */
static LpTensor *factors(LpTensor *index, int64_t rows, int64_t padding_idx,
                         bool by_freq) {
  int64_t n = lp_numel(index);
  LpTensor *result = nn_empty(&n, 1, LP_FLOAT64),
           *counts = by_freq ? nn_zeros(&rows, 1, LP_INT64) : NULL;
  if (!result || (by_freq && !counts)) {
    lp_tensor_release(result);
    lp_tensor_release(counts);
    return NULL;
  }
  const int64_t *at = lp_data(index);
  int64_t *count = counts ? lp_data(counts) : NULL;
  double *f = lp_data(result);
  for (int64_t i = 0; count && i < n; i++) count[at[i]]++;
  for (int64_t i = 0; i < n; i++)
    f[i] = at[i] == padding_idx ? 0 : count ? 1.0 / (double)count[at[i]] : 1;
  lp_tensor_release(counts);
  return result;
}

typedef struct SumJob {
  const void *from;
  void *to;
  const int64_t *index;
  const double *factor;
  int64_t n, width;
  LpDtype dtype;
} SumJob;

/* Threads take columns, so that rows met twice are added by one thread, in order. */
static void sum_columns(void *ctx, int64_t begin, int64_t end) {
  SumJob *j = ctx;
  for (int64_t i = 0; i < j->n; i++) {
    if (j->factor[i] == 0) continue;
    if (j->dtype == LP_FLOAT32) {
      const float *from = (const float *)j->from + i * j->width, f = (float)j->factor[i];
      float *to = (float *)j->to + j->index[i] * j->width;
      for (int64_t c = begin; c < end; c++) to[c] += f * from[c];
    } else {
      const double *from = (const double *)j->from + i * j->width, f = j->factor[i];
      double *to = (double *)j->to + j->index[i] * j->width;
      for (int64_t c = begin; c < end; c++) to[c] += f * from[c];
    }
  }
}

LpTensor *lp_impl_embedding_rows_grad(LpTensor *grad_output, LpTensor *indices,
                                      LpInts size, int64_t padding_idx,
                                      bool scale_grad_by_freq) {
  LpDtype dtype = nn_compute_dtype(lp_dtype(grad_output));
  LpTensor *g = nn_dense(grad_output, dtype), *index = nn_dense(indices, LP_INT64),
           *f = NULL;
  LpTensor *result = nn_zeros(size.data, size.count, dtype);
  bool ok = g && index && result &&
            (f = factors(index, size.data[0], padding_idx, scale_grad_by_freq));
  if (ok) {
    SumJob j = {lp_data(g),      lp_data(result), lp_data(index), lp_data(f),
                lp_numel(index), size.data[1],    dtype};
    lp_parallel_for(j.width, LP_GRAIN / (j.n + 1) + 16, sum_columns, &j);
  }
  lp_tensor_release(g);
  lp_tensor_release(index);
  lp_tensor_release(f);
  if (!ok) lp_drop(&result);
  return nn_cast_take(result, lp_dtype(grad_output));
}

/* The adjoint of the op above: rows of self by index, times the factors. */
LpTensor *lp_impl_embedding_rows_adjoint(LpTensor *self, LpTensor *indices,
                                         int64_t padding_idx, bool scale_grad_by_freq) {
  LpTensor *rows = lp_impl_embedding_rows(self, indices, padding_idx, scale_grad_by_freq);
  rows = nn_cast_take(rows, LP_FLOAT64);
  LpTensor *index = nn_dense(indices, LP_INT64), *f = NULL;
  bool ok = rows && index &&
            (f = factors(index, lp_size(self, 0), padding_idx, scale_grad_by_freq));
  if (ok) {
    int64_t width = lp_size(self, 1);
    double *x = lp_data(rows);
    const double *scale = lp_data(f);
    for (int64_t i = 0; i < lp_numel(rows); i++) x[i] *= scale[i / width];
  }
  lp_tensor_release(index);
  lp_tensor_release(f);
  if (!ok) lp_drop(&rows);
  return nn_cast_take(rows, lp_dtype(self));
}

static double value_at(const void *p, LpDtype dtype) {
  switch (dtype) {
  case LP_FLOAT64: return *(const double *)p;
  case LP_FLOAT32: return (double)*(const float *)p;
  case LP_FLOAT16: return (double)lp_half_to_float(*(const uint16_t *)p);
  default: return (double)lp_bf16_to_float(*(const uint16_t *)p);
  }
}

static void set_at(void *p, LpDtype dtype, double v) {
  switch (dtype) {
  case LP_FLOAT64: *(double *)p = v; break;
  case LP_FLOAT32: *(float *)p = (float)v; break;
  case LP_FLOAT16: *(uint16_t *)p = lp_half_from_float((float)v); break;
  default: *(uint16_t *)p = lp_bf16_from_float((float)v); break;
  }
}

/* Shrinks one row (width elements, step_bytes apart) to max_norm; false when it is not
 * longer. */
static bool shrink_row(char *row, int64_t width, int64_t step_bytes, LpDtype dtype,
                       double max_norm, double norm_type) {
  double norm = 0;
  for (int64_t c = 0; c < width; c++) {
    double v = fabs(value_at(row + c * step_bytes, dtype));
    norm = isinf(norm_type) ? fmax(norm, v)
           : norm_type == 0 ? norm + (v != 0)
           : norm_type == 2 ? norm + v * v
                            : norm + pow(v, norm_type);
  }
  if (!isinf(norm_type) && norm_type != 0) norm = pow(norm, 1 / norm_type);
  if (!(norm > max_norm)) return false;
  double scale = max_norm / (norm + 1e-7);
  for (int64_t c = 0; c < width; c++) {
    char *at = row + c * step_bytes;
    set_at(at, dtype, value_at(at, dtype) * scale);
  }
  return true;
}

bool lp_impl_embedding_renorm_(LpTensor *self, LpTensor *indices, double max_norm,
                               double norm_type) {
  TRY(check_call(self, indices));
  CHECK_FLOATING(self, "weight");
  const int64_t rows = lp_size(self, 0);
  LpTensor *index = nn_dense(indices, LP_INT64);
  LpTensor *seen = nn_zeros(&rows, 1, LP_BOOL); /* a row met twice shrinks once */
  bool ok = index && seen && check_indices(self, index), changed = false;
  if (ok) {
    const int64_t *at = lp_data(index), e = (int64_t)lp_dtype_size(lp_dtype(self));
    bool *done = lp_data(seen);
    char *data = lp_data(self);
    for (int64_t i = 0; i < lp_numel(index); i++) {
      if (done[at[i]]) continue;
      done[at[i]] = true;
      changed |= shrink_row(data + at[i] * self->strides[0] * e, lp_size(self, 1),
                            self->strides[1] * e, lp_dtype(self), max_norm, norm_type);
    }
    if (changed) lp_bump_version(self);
  }
  lp_tensor_release(index);
  lp_tensor_release(seen);
  return ok;
}
