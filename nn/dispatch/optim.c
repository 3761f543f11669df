/* The driver of optim.h: one parallel pass over all elements of all parameters. */
#include "core/alloc.h"
#include "core/parallel.h"
#include "dispatch/iter.h"
#include "dispatch/nn_util.h"
#include "dispatch/optim.h"

enum { HALF_BLOCK = 1024 };

static void cast(LpDtype to, LpDtype from, void *dst, const void *src, int64_t n) {
  char *ptrs[] = {dst, (char *)(uintptr_t)src};
  const int64_t strides[] = {(int64_t)lp_dtype_size(to), (int64_t)lp_dtype_size(from)};
  lp_cast_loop(to, from)(ptrs, strides, n, NULL);
}

/* float16 converts by whole vectors only outside of loops that compute: blocks of floats
 * go through the float kernel. */
static void run_half(LpOptimKernel *kernel, void *const *at, int64_t n,
                     const void *options) {
  float blocks[LP_OPTIM_LISTS][HALF_BLOCK];
  for (int64_t from = 0; from < n; from += HALF_BLOCK) {
    const int64_t count = n - from < HALF_BLOCK ? n - from : HALF_BLOCK;
    void *floats[LP_OPTIM_LISTS];
    for (int k = 0; k < LP_OPTIM_LISTS; k++) {
      floats[k] = at[k] ? blocks[k] : NULL;
      if (at[k]) cast(LP_FLOAT32, LP_FLOAT16, blocks[k], (uint16_t *)at[k] + from, count);
    }
    kernel(floats, count, options);
    for (int k = 0; k < LP_OPTIM_LISTS; k++)
      if (at[k] && k != LP_OPTIM_GRAD)
        cast(LP_FLOAT16, LP_FLOAT32, (uint16_t *)at[k] + from, blocks[k], count);
  }
}

static void run_range(void *ctx, int64_t begin, int64_t end) {
  const LpOptimStep *step = ctx;
  LpOptimKernel *const *kernels = lp_optim_kernels()->step[step->rule];
  int64_t low = 0, high = step->lists[LP_OPTIM_PARAM].count - 1;
  while (low < high) { /* the item that holds element `begin` */
    int64_t middle = (low + high + 1) / 2;
    if (step->items[middle].start <= begin)
      low = middle;
    else
      high = middle - 1;
  }
  for (int64_t i = low; i < step->lists[LP_OPTIM_PARAM].count; i++) {
    const LpOptimItem *it = &step->items[i];
    if (it->start >= end) break;
    int64_t from = begin > it->start ? begin - it->start : 0;
    int64_t to = end - it->start < it->n ? end - it->start : it->n;
    if (from >= to) continue;
    void *at[LP_OPTIM_LISTS];
    for (int k = 0; k < LP_OPTIM_LISTS; k++)
      at[k] = it->data[k] ? it->data[k] + (size_t)from * it->elem_bytes : NULL;
    const void *options = step->options + (size_t)i * step->option_bytes;
    if (it->type == nn_float_index(LP_FLOAT16))
      run_half(kernels[nn_float_index(LP_FLOAT32)], at, to - from, options);
    else
      kernels[it->type](at, to - from, options);
  }
}

void lp_optim_run(LpOptimStep *step) {
  int64_t total = 0;
  for (int64_t i = 0; i < step->lists[LP_OPTIM_PARAM].count; i++)
    total += step->items[i].n;
  if (total) lp_parallel_for(total, LP_GRAIN, run_range, step);
}

/* The real dtype that a floating or complex tensor is computed in, or -1. */
static int real_index(LpDtype dtype) {
  if (dtype == LP_COMPLEX64) return nn_float_index(LP_FLOAT32);
  if (dtype == LP_COMPLEX128) return nn_float_index(LP_FLOAT64);
  return nn_float_index(dtype);
}

static bool check_lists(const LpOptimStep *step) {
  const LpTensors params = step->lists[LP_OPTIM_PARAM];
  for (int k = 0; k < LP_OPTIM_LISTS; k++) {
    if (!step->names[k]) continue;
    const LpTensors list = step->lists[k];
    bool absent = k >= LP_OPTIM_STATE && step->nullable[k] && list.count == 0;
    CHECK(list.count == params.count || absent, LP_ERR_ARGUMENT,
          "expected as many %s as params (%lld), got %lld", step->names[k],
          (long long)params.count, (long long)list.count);
    for (int64_t i = 0; i < list.count; i++) {
      const LpTensor *t = list.data[i], *p = params.data[i];
      if (!t && step->nullable[k]) continue;
      CHECK(t && real_index(lp_dtype(t)) >= 0, LP_ERR_TYPE,
            "expected %s[%lld] of a floating or complex dtype, got %s", step->names[k],
            (long long)i, t ? lp_dtype_name(lp_dtype(t)) : "nil");
      bool same = lp_dtype(t) == lp_dtype(p) && t->ndim == p->ndim;
      for (int d = 0; same && d < t->ndim; d++) same = t->sizes[d] == p->sizes[d];
      CHECK(same, LP_ERR_ARGUMENT,
            "expected %s[%lld] like its parameter, %s %s, got %s %s", step->names[k],
            (long long)i, lp_dtype_name(lp_dtype(p)), SHAPE_TEXT(p),
            lp_dtype_name(lp_dtype(t)), SHAPE_TEXT(t));
    }
  }
  return true;
}

static void release(LpOptimStep *step) {
  const int64_t n = step->lists[LP_OPTIM_PARAM].count;
  if (step->items)
    for (int64_t i = 0; i < n; i++)
      for (int k = 0; k < LP_OPTIM_LISTS; k++) lp_tensor_release(step->items[i].dense[k]);
  lp_free(step->items, (size_t)(n + 1) * sizeof *step->items);
  lp_free(step->options, (size_t)(n + 1) * step->option_bytes);
  step->items = NULL;
  step->options = NULL;
}

static bool fill_items(LpOptimStep *step) {
  int64_t total = 0;
  for (int64_t i = 0; i < step->lists[LP_OPTIM_PARAM].count; i++) {
    const LpTensor *p = step->lists[LP_OPTIM_PARAM].data[i];
    LpOptimItem *it = &step->items[i];
    const bool complex = lp_dtype_is_complex(lp_dtype(p));
    it->type = real_index(lp_dtype(p));
    it->elem_bytes = lp_dtype_size(lp_dtype(p)) / (complex ? 2 : 1);
    it->n = lp_numel(p) * (complex ? 2 : 1);
    it->start = total;
    total += it->n;
    for (int k = 0; k < LP_OPTIM_LISTS; k++) {
      LpTensor *t = i < step->lists[k].count ? step->lists[k].data[i] : NULL;
      if (!t) continue;
      TRY(it->dense[k] = nn_dense(t, lp_dtype(t)));
      it->data[k] = lp_data(it->dense[k]);
    }
  }
  return true;
}

bool lp_optim_begin(LpOptimStep *step, size_t option_bytes) {
  const int64_t n = step->lists[LP_OPTIM_PARAM].count;
  TRY(check_lists(step));
  step->option_bytes = option_bytes;
  step->items = lp_calloc((size_t)(n + 1) * sizeof *step->items);
  step->options = step->items ? lp_calloc((size_t)(n + 1) * option_bytes) : NULL;
  if (step->options && fill_items(step)) return true;
  release(step);
  return false;
}

bool lp_optim_end(LpOptimStep *step, bool ok) {
  for (int64_t i = 0; ok && i < step->lists[LP_OPTIM_PARAM].count; i++)
    for (int k = 0; ok && k < LP_OPTIM_LISTS; k++) {
      LpTensor *dense = step->items[i].dense[k];
      if (k == LP_OPTIM_GRAD || !dense) continue;
      LpTensor *t = step->lists[k].data[i];
      if (dense != t) ok = lp_copy_into(t, dense);
      lp_bump_version(t);
    }
  release(step);
  return ok;
}

bool lp_optim_check_scalars(LpTensors list, int64_t count, const char *name) {
  CHECK(list.count == count, LP_ERR_ARGUMENT,
        "expected as many %s as params (%lld), got %lld", name, (long long)count,
        (long long)list.count);
  for (int64_t i = 0; i < count; i++) {
    const LpTensor *t = list.data[i];
    CHECK(t && lp_numel(t) == 1 &&
              (lp_dtype(t) == LP_FLOAT32 || lp_dtype(t) == LP_FLOAT64),
          LP_ERR_ARGUMENT,
          "expected %s[%lld] to be one number of float32 or float64, "
          "got %s %s",
          name, (long long)i, t ? lp_dtype_name(lp_dtype(t)) : "nil",
          t ? SHAPE_TEXT(t) : "");
  }
  return true;
}

double lp_optim_get(const LpTensor *scalar) {
  if (lp_dtype(scalar) == LP_FLOAT64) return *(const double *)lp_data(scalar);
  return (double)*(const float *)lp_data(scalar);
}

double lp_optim_set(LpTensor *scalar, double value) {
  if (lp_dtype(scalar) == LP_FLOAT64)
    *(double *)lp_data(scalar) = value;
  else
    *(float *)lp_data(scalar) = (float)value;
  lp_bump_version(scalar);
  return lp_optim_get(scalar);
}
