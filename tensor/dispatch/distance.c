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
