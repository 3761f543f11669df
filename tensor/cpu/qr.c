/* The blocks of a QR factorisation; see qr.h. */
#include "cpu/qr.h"

#include <string.h>
#include "cpu/gemm.h"

typedef struct Block { /* of the reflectors of a panel */
  LpDtype dtype;
  int64_t rows, width, panel;
  const char *v, *t;
  char *w, *tw; /* scratch */
} Block;

static bool multiply(const Block *b, int64_t m, int64_t n, int64_t k, bool trans_a,
                     bool trans_b, const void *x, int64_t ldx, const void *y, int64_t ldy,
                     double alpha, double beta, void *z, int64_t ldz) {
  return lp_cpu_gemm(&(LpGemm){.dtype = b->dtype,
                               .m = m,
                               .n = n,
                               .k = k,
                               .trans_a = trans_a,
                               .trans_b = trans_b,
                               .a = x,
                               .b = y,
                               .c = z,
                               .lda = ldx,
                               .ldb = ldy,
                               .ldc = ldz,
                               .alpha = lp_scalar_float(alpha),
                               .beta = lp_scalar_float(beta)});
}

/* c (rows x n) -= V op(T) V^T c. */
static bool reflect(const Block *b, bool turn_t, char *c, int64_t ldc, int64_t n) {
  const int64_t width = b->width, panel = b->panel;
  return n == 0 || (multiply(b, width, n, b->rows, true, false, b->v, panel, c, ldc, 1, 0,
                             b->w, n) &&
                    multiply(b, width, n, width, turn_t, false, b->t, panel, b->w, n, 1,
                             0, b->tw, n) &&
                    multiply(b, b->rows, n, width, false, false, b->v, panel, b->tw, n,
                             -1, 1, c, ldc));
}

static void add_identity(LpDtype dtype, char *c, int64_t ldc, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (dtype == LP_FLOAT32)
      ((float *)c)[i * (ldc + 1)] += 1;
    else
      ((double *)c)[i * (ldc + 1)] += 1;
  }
}

/* The first columns of I - V T V^T to c, which is of width columns. */
static bool begin_product(const Block *b, char *c, int64_t ldc) {
  const int64_t width = b->width, panel = b->panel;
  bool ok = multiply(b, width, width, width, false, true, b->t, panel, b->v, panel, 1, 0,
                     b->w, width) &&
            multiply(b, b->rows, width, width, false, false, b->v, panel, b->w, width, -1,
                     0, c, ldc);
  if (ok) add_identity(b->dtype, c, ldc, width);
  return ok;
}

/* Where the parts of the scratch memory lie. */
typedef struct Layout {
  size_t work, v, t, w, tw, sums, end;
  int64_t panel;
} Layout;

static Layout layout_of(const LpQr *d) {
  const size_t item = lp_dtype_size(d->dtype), m = (size_t)d->m, n = (size_t)d->n;
  const size_t panel = LP_QR_PANEL_BYTES / item;
  const size_t k = m < n ? m : n, padded = (k + panel - 1) / panel * panel;
  const size_t columns = (size_t)d->q_columns > n ? (size_t)d->q_columns : n;
  const size_t blocks = (m + LP_QR_ROWS - 1) / LP_QR_ROWS;
  Layout l = {.panel = (int64_t)panel};
  l.v = l.work + (m * n * item + 63) / 64 * 64;
  l.t = l.v + m * padded * item;
  l.w = l.t + padded * panel * item;
  l.tw = l.w + panel * columns * item;
  l.sums = l.tw + panel * columns * item;
  l.end = l.sums + blocks * panel * item;
  return l;
}

size_t lp_cpu_qr_scratch_bytes(const LpQr *d) {
  return layout_of(d).end;
}

static Block block_at(const LpQr *d, const Layout *l, char *scratch, int64_t c) {
  const size_t item = lp_dtype_size(d->dtype);
  const int64_t left = (d->m < d->n ? d->m : d->n) - c;
  return (Block){.dtype = d->dtype,
                 .rows = d->m - c,
                 .width = left < l->panel ? left : l->panel,
                 .panel = l->panel,
                 .v = scratch + l->v + (size_t)(c * d->m) * item,
                 .t = scratch + l->t + (size_t)(c * l->panel) * item,
                 .w = scratch + l->w,
                 .tw = scratch + l->tw};
}

int lp_cpu_qr(const LpQr *d, char *scratch) {
  const LpQrPanelKernels *kernels = lp_qr_panel_kernels();
  const Layout l = layout_of(d);
  const size_t item = lp_dtype_size(d->dtype);
  const int64_t m = d->m, n = d->n, k = m < n ? m : n, columns = d->q_columns;
  const bool single = d->dtype == LP_FLOAT32;
  char *work = scratch + l.work;
  memcpy(work, d->a, (size_t)(m * n) * item);
  for (int64_t c = 0; c < k; c += l.panel) {
    const Block b = block_at(d, &l, scratch, c);
    char *at = work + (size_t)(c * n + c) * item;
    void *v = (void *)b.v, *t = (void *)b.t, *sums = scratch + l.sums;
    if (single ? !kernels->panel_f32(b.rows, b.width, (float *)at, n, v, t, sums)
               : !kernels->panel_f64(b.rows, b.width, (double *)at, n, v, t, sums))
      return LP_QR_UNFIT;
    if (!reflect(&b, true, at + (size_t)b.width * item, n, n - c - b.width))
      return LP_LAPACK_NO_MEMORY;
  }
  for (int64_t i = 0; i < d->r_rows; i++) {
    const size_t row = (size_t)(i * n) * item, below = (size_t)(i < n ? i : n) * item;
    memset((char *)d->r + row, 0, below);
    memcpy((char *)d->r + row + below, work + row + below, (size_t)n * item - below);
  }
  if (!d->q) return 0;
  char *q = d->q;
  memset(q, 0, (size_t)(m * columns) * item);
  add_identity(d->dtype, q + (size_t)(k * columns + k) * item, columns, columns - k);
  for (int64_t c = (k - 1) / l.panel * l.panel; c >= 0; c -= l.panel) {
    const Block b = block_at(d, &l, scratch, c);
    char *at = q + (size_t)(c * columns + c) * item;
    if (!reflect(&b, false, at + (size_t)b.width * item, columns,
                 columns - c - b.width) ||
        !begin_product(&b, at, columns))
      return LP_LAPACK_NO_MEMORY;
  }
  return 0;
}
