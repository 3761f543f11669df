/* Distances between the rows of two batches of matrices: pair_distances, of which cdist
 * and pdist are made. */
#include "cpu/distance.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/gemm.h"
#include "dispatch/shape.h"
#include "impl.h"

typedef struct Pairs {
  bool wide; /* float64 */
  int64_t batch, n, r, m,
      panels; /* x1 (batch, n, m), x2 (batch, r, m), out (batch, n, r) */
  const char *x1, *x2;
  char *out;
  double p;
  _Atomic bool no_memory;
} Pairs;

/* panel[column][row], unused rows 0. */
#define PACK(type, size)                                                                 \
  static void pack_##type(type *panel, const type *rows, int64_t n, int64_t m) {         \
    for (int64_t j = 0; j < n; j++)                                                      \
      for (int64_t c = 0; c < m; c++) panel[c * (size) + j] = rows[j * m + c];           \
    for (int64_t c = 0; n < (size) && c < m; c++)                                        \
      memset(panel + c * (size) + n, 0, (size_t)((size)-n) * sizeof *panel);             \
  }
PACK(float, LP_DISTANCE_PANEL_F32)
PACK(double, LP_DISTANCE_PANEL_F64)

static void run_panels(void *ctx, int64_t begin, int64_t end) {
  Pairs *t = ctx;
  const int64_t width = t->wide ? LP_DISTANCE_PANEL_F64 : LP_DISTANCE_PANEL_F32;
  const int64_t elem = t->wide ? sizeof(double) : sizeof(float);
  const size_t panel_bytes = (size_t)(t->m * width * elem);
  void *panel = lp_alloc(panel_bytes);
  if (!panel) {
    atomic_store_explicit(&t->no_memory, true, memory_order_relaxed);
    return;
  }
  for (int64_t at = begin; at < end && !lp_interrupt_pending(); at++) {
    const int64_t b = at / t->panels, first = at % t->panels * width;
    const int64_t rows = t->r - first < width ? t->r - first : width;
    const char *x1 = t->x1 + b * t->n * t->m * elem,
               *x2 = t->x2 + (b * t->r + first) * t->m * elem;
    char *out = t->out + (b * t->n * t->r + first) * elem;
    if (t->wide) {
      pack_double(panel, (const double *)x2, rows, t->m);
      lp_distance_table()->panel_f64((double *)out, t->r, (const double *)x1, t->n, t->m,
                                     panel, rows, t->p);
    } else {
      pack_float(panel, (const float *)x2, rows, t->m);
      lp_distance_table()->panel_f32((float *)out, t->r, (const float *)x1, t->n, t->m,
                                     panel, rows, t->p);
    }
  }
  lp_free(panel, panel_bytes);
}

/* The sums of squares of n rows. */
static void squares(bool wide, void *out, const char *x, int64_t n, int64_t m) {
  for (int64_t i = 0; i < n; i++) {
    if (wide)
      lp_cpu_dot(LP_FLOAT64, m, (const double *)x + i * m, 1, (const double *)x + i * m,
                 1, false, (double *)out + i);
    else
      lp_cpu_dot(LP_FLOAT32, m, (const float *)x + i * m, 1, (const float *)x + i * m, 1,
                 false, (float *)out + i);
  }
}

typedef struct Roots {
  const Pairs *t;
  const char *norms1, *norms2;
} Roots;

static void run_roots(void *ctx, int64_t begin, int64_t end) {
  const Roots *roots = ctx;
  const Pairs *t = roots->t;
  for (int64_t i = begin; i < end; i++) {
    const int64_t from = i / t->n * t->r;
    if (t->wide)
      lp_distance_table()->root_f64((double *)t->out + i * t->r,
                                    ((const double *)roots->norms1)[i],
                                    (const double *)roots->norms2 + from, t->r);
    else
      lp_distance_table()->root_f32((float *)t->out + i * t->r,
                                    ((const float *)roots->norms1)[i],
                                    (const float *)roots->norms2 + from, t->r);
  }
}

/* |x - y|^2 = |x|^2 + |y|^2 - 2 x.y: a matrix product, with digits lost where x is near
 * y. */
static bool by_product(Pairs *t) {
  const int64_t elem = t->wide ? sizeof(double) : sizeof(float);
  const size_t norms_bytes = (size_t)(t->batch * (t->n + t->r) * elem);
  char *norms = lp_alloc(norms_bytes), *norms2 = norms + t->batch * t->n * elem;
  TRY(norms);
  squares(t->wide, norms, t->x1, t->batch * t->n, t->m);
  squares(t->wide, norms2, t->x2, t->batch * t->r, t->m);
  LpGemm g = {.dtype = t->wide ? LP_FLOAT64 : LP_FLOAT32,
              .m = t->n,
              .n = t->r,
              .k = t->m,
              .trans_b = true,
              .a = t->x1,
              .b = t->x2,
              .c = t->out,
              .lda = t->m,
              .ldb = t->m,
              .ldc = t->r,
              .alpha = lp_scalar_float(-2),
              .beta = lp_scalar_float(0)};
  bool ok = lp_cpu_gemm_batch(&g, t->batch, t->n * t->m, t->r * t->m, t->n * t->r);
  Roots roots = {t, norms, norms2};
  if (ok) lp_parallel_for(t->batch * t->n, 1 + 16384 / (t->r + 1), run_roots, &roots);
  lp_free(norms, norms_bytes);
  return ok;
}

LpTensor *lp_impl_pair_distances(LpTensor *x1, LpTensor *x2, double p, bool product) {
  const int64_t batch = lp_size(x1, 0), n = lp_size(x1, 1), m = lp_size(x1, 2),
                r = lp_size(x2, 1);
  LpTensor *result =
      lp_tensor_new(lp_ints((int64_t[]){batch, n, r}, 3), lp_dtype(x1), lp_cpu());
  LpTensor *a = result ? lp_contiguous_raw(x1) : NULL,
           *b = a ? lp_contiguous_raw(x2) : NULL;
  bool ok = b;
  if (ok && lp_numel(result) > 0) {
    Pairs t = {.wide = lp_dtype(x1) == LP_FLOAT64,
               .batch = batch,
               .n = n,
               .r = r,
               .m = m,
               .x1 = lp_data(a),
               .x2 = lp_data(b),
               .out = lp_data(result),
               .p = p};
    const int64_t width = t.wide ? LP_DISTANCE_PANEL_F64 : LP_DISTANCE_PANEL_F32;
    t.panels = (r + width - 1) / width;
    if (m == 0) {
      memset(t.out, 0, (size_t)lp_numel(result) * lp_dtype_size(lp_dtype(result)));
    } else if (product && p == 2) {
      ok = by_product(&t);
    } else {
      lp_parallel_for(batch * t.panels,
                      1 + (int64_t)(32768 / ((double)n * (double)m * (double)width + 1)),
                      run_panels, &t);
      if (t.no_memory) ok = lp_fail(LP_ERR_MEMORY, "out of memory");
      if (ok && lp_interrupt_take()) ok = lp_fail(LP_ERR_INTERRUPT, "interrupted");
    }
  }
  lp_tensor_release(a);
  lp_tensor_release(b);
  if (!ok) lp_drop(&result);
  return result;
}

typedef struct Slopes {
  bool wide;
  int64_t n, r, m;
  const char *grad, *x1, *x2, *distances;
  char *out;
  double p;
  _Atomic bool no_memory;
} Slopes;

/* Rows of x1, of all the batch. */
static void run_slopes(void *ctx, int64_t begin, int64_t end) {
  Slopes *t = ctx;
  const LpDistanceTable *table = lp_distance_table();
  const int64_t elem = t->wide ? sizeof(double) : sizeof(float);
  const size_t bytes = (size_t)(t->r * elem);
  void *weights = lp_alloc(bytes);
  if (!weights) {
    atomic_store_explicit(&t->no_memory, true, memory_order_relaxed);
    return;
  }
  for (int64_t i = begin; i < end && !lp_interrupt_pending(); i++) {
    const char *others = t->x2 + i / t->n * t->r * t->m * elem,
               *row = t->x1 + i * t->m * elem, *grad = t->grad + i * t->r * elem,
               *distances = t->distances + i * t->r * elem;
    char *to = t->out + i * t->m * elem;
    if (t->wide) {
      table->weights_f64(weights, (const double *)grad, (const double *)distances, t->r,
                         t->p);
      table->slope_f64((double *)to, (const double *)row, (const double *)others, weights,
                       t->r, t->m, t->p);
    } else {
      table->weights_f32(weights, (const float *)grad, (const float *)distances, t->r,
                         t->p);
      table->slope_f32((float *)to, (const float *)row, (const float *)others, weights,
                       t->r, t->m, t->p);
    }
  }
  lp_free(weights, bytes);
}

LpTensor *lp_impl_pair_distances_slope(LpTensor *grad, LpTensor *x1, LpTensor *x2,
                                       LpTensor *result, double p) {
  LpTensor *given[4] = {grad, x1, x2, result}, *dense[4] = {NULL};
  LpTensor *out = lp_tensor_new(lp_sizes(x1), lp_dtype(x1), lp_cpu());
  bool ok = out;
  for (int i = 0; ok && i < 4; i++) ok = (dense[i] = lp_contiguous_raw(given[i])) != NULL;
  if (ok && lp_numel(out) > 0) {
    Slopes t = {.wide = lp_dtype(x1) == LP_FLOAT64,
                .n = lp_size(x1, 1),
                .r = lp_size(x2, 1),
                .m = lp_size(x1, 2),
                .grad = lp_data(dense[0]),
                .x1 = lp_data(dense[1]),
                .x2 = lp_data(dense[2]),
                .distances = lp_data(dense[3]),
                .out = lp_data(out),
                .p = p};
    lp_parallel_for(lp_size(x1, 0) * t.n,
                    1 + (int64_t)(32768 / ((double)t.r * (double)t.m + 1)), run_slopes,
                    &t);
    if (t.no_memory) ok = lp_fail(LP_ERR_MEMORY, "out of memory");
    if (ok && lp_interrupt_take()) ok = lp_fail(LP_ERR_INTERRUPT, "interrupted");
  }
  for (int i = 0; i < 4; i++) lp_tensor_release(dense[i]);
  if (!ok) lp_drop(&out);
  return out;
}

/* --- of the rows of one matrix --------------------------------------------------- */

static LpTensor *as_one_batch(LpTensor *t) {
  return lp_tensor_alias(
      t, lp_ints((int64_t[]){1, lp_size(t, 0), lp_size(t, 1)}, 3),
      lp_ints((int64_t[]){0, lp_strides(t).data[0], lp_strides(t).data[1]}, 3),
      t->offset_elems);
}

LpTensor *lp_impl_distances_of_rows(LpTensor *self, double p) {
  const int64_t n = lp_size(self, 0), count = n < 2 ? 0 : n * (n - 1) / 2;
  const size_t elem = lp_dtype_size(lp_dtype(self));
  LpTensor *batch = as_one_batch(self);
  LpTensor *all = batch ? lp_impl_pair_distances(batch, batch, p, false) : NULL;
  LpTensor *result =
      all ? lp_tensor_new(lp_ints(&count, 1), lp_dtype(self), lp_cpu()) : NULL;
  char *to = result ? lp_data(result) : NULL;
  for (int64_t i = 0; result && i + 1 < n; i++) {
    const size_t bytes = (size_t)(n - i - 1) * elem;
    memcpy(to, (char *)lp_data(all) + (size_t)(i * n + i + 1) * elem, bytes);
    to += bytes;
  }
  lp_tensor_release(batch);
  lp_tensor_release(all);
  return result;
}

/* (1, n, n) of the numbers of each pair, in both orders; 0 on the diagonal. */
static LpTensor *of_pairs(LpTensor *row, int64_t n) {
  const size_t elem = lp_dtype_size(lp_dtype(row));
  LpTensor *dense = lp_contiguous_raw(row);
  LpTensor *square =
      dense ? lp_tensor_new(lp_ints((int64_t[]){1, n, n}, 3), lp_dtype(row), lp_cpu())
            : NULL;
  const char *from = dense ? lp_data(dense) : NULL;
  for (int64_t i = 0; square && i < n; i++) {
    char *at = (char *)lp_data(square) + (size_t)(i * n + i) * elem;
    memset(at, 0, elem);
    for (int64_t j = i + 1; j < n; j++, from += elem) {
      memcpy(at + (size_t)(j - i) * elem, from, elem);
      memcpy(at + (size_t)((j - i) * n) * elem, from, elem);
    }
  }
  lp_tensor_release(dense);
  return square;
}

LpTensor *lp_impl_distances_of_rows_slope(LpTensor *grad, LpTensor *self,
                                          LpTensor *result, double p) {
  const int64_t n = lp_size(self, 0);
  LpTensor *batch = as_one_batch(self), *grads = batch ? of_pairs(grad, n) : NULL,
           *distances = grads ? of_pairs(result, n) : NULL;
  LpTensor *slope =
      distances ? lp_impl_pair_distances_slope(grads, batch, batch, distances, p) : NULL;
  LpTensor *made = slope ? lp_tensor_alias(slope, lp_sizes(self),
                                           lp_ints((int64_t[]){lp_size(self, 1), 1}, 2),
                                           slope->offset_elems)
                         : NULL;
  lp_tensor_release(batch);
  lp_tensor_release(grads);
  lp_tensor_release(distances);
  lp_tensor_release(slope);
  return made;
}
