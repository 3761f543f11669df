/* The loops of cpu/rows.h for one dtype; included by rows.c through nn_each.h. */

static double TYPED(sum)(const void *px, int64_t n) {
  const T *x = px;
  double total = 0;
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t end = at + PIECE < n ? at + PIECE : n;
    A s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = at; i < end; i++) s += LOAD(x[i]);
    total += (double)s;
  }
  return total;
}

static void TYPED(moments)(const void *px, int64_t n, double pivot, double *s,
                           double *q) {
  const T *x = px;
  const A p = (A)pivot;
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t end = at + PIECE < n ? at + PIECE : n;
    A sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum, squares)
    for (int64_t i = at; i < end; i++) {
      A d = LOAD(x[i]) - p;
      sum += d;
      squares += d * d;
    }
    *s += (double)sum;
    *q += (double)squares;
  }
}

static void TYPED(affine)(void *py, const void *px, int64_t n, double a, double b) {
  const T *x = px;
  T *y = py;
  const A scale = (A)a, shift = (A)b;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) y[i] = STORE(LOAD(x[i]) * scale + shift);
}

static void TYPED(grad_moments)(const void *pg, const void *px, int64_t n, double mean,
                                double *s, double *q) {
  const T *g = pg, *x = px;
  const A m = (A)mean;
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t end = at + PIECE < n ? at + PIECE : n;
    A sum = 0, products = 0;
#pragma omp simd reduction(+ : sum, products)
    for (int64_t i = at; i < end; i++) {
      A v = LOAD(g[i]);
      sum += v;
      products += v * (LOAD(x[i]) - m);
    }
    *s += (double)sum;
    *q += (double)products;
  }
}

static void TYPED(combine)(void *py, const void *pg, const void *px, int64_t n, double pa,
                           double pb, double pc) {
  const T *g = pg, *x = px;
  T *y = py;
  const A a = (A)pa, b = (A)pb, c = (A)pc;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) y[i] = STORE(a * LOAD(g[i]) + (b * LOAD(x[i]) + c));
}

static double TYPED(first)(const void *x) {
  return (double)LOAD(*(const T *)x);
}

static void TYPED(add)(void *psum, const void *px, int64_t n) {
  const T *x = px;
  A *sum = psum;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) sum[i] += LOAD(x[i]);
}

static void TYPED(weighted_center)(void *py, const void *px, int64_t n, double mean,
                                   double pa, const void *pw, const void *pshift) {
  const T *x = px, *w = pw, *shift = pshift;
  T *y = py;
  const A a = (A)pa, m = (A)mean;
  if (w && shift) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++)
      y[i] = STORE((LOAD(x[i]) - m) * a * LOAD(w[i]) + LOAD(shift[i]));
  } else if (w) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) y[i] = STORE((LOAD(x[i]) - m) * a * LOAD(w[i]));
  } else if (shift) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) y[i] = STORE((LOAD(x[i]) - m) * a + LOAD(shift[i]));
  } else {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) y[i] = STORE((LOAD(x[i]) - m) * a);
  }
}

static void TYPED(weighted_grad_moments)(const void *pg, const void *px, int64_t n,
                                         double mean, const void *pw, double *s,
                                         double *q) {
  const T *g = pg, *x = px, *w = pw;
  const A m = (A)mean;
  if (!w) {
    TYPED(grad_moments)(pg, px, n, mean, s, q);
    return;
  }
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t end = at + PIECE < n ? at + PIECE : n;
    A sum = 0, products = 0;
#pragma omp simd reduction(+ : sum, products)
    for (int64_t i = at; i < end; i++) {
      A v = LOAD(g[i]) * LOAD(w[i]);
      sum += v;
      products += v * (LOAD(x[i]) - m);
    }
    *s += (double)sum;
    *q += (double)products;
  }
}

static void TYPED(weighted_combine)(void *py, const void *pg, const void *px, int64_t n,
                                    const void *pw, double pa, double pb, double pc) {
  const T *g = pg, *x = px, *w = pw;
  T *y = py;
  const A a = (A)pa, b = (A)pb, c = (A)pc;
  if (!w) {
    TYPED(combine)(py, pg, px, n, pa, pb, pc);
    return;
  }
  LP_IVDEP
  for (int64_t i = 0; i < n; i++)
    y[i] = STORE(a * (LOAD(g[i]) * LOAD(w[i])) + (b * LOAD(x[i]) + c));
}

static void TYPED(weight_grads)(void *pgw, void *pgb, const void *pg, const void *px,
                                int64_t n, double pa, double pb) {
  const T *g = pg, *x = px;
  A *gw = pgw, *gb = pgb;
  const A a = (A)pa, b = (A)pb;
  if (gw) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) gw[i] += LOAD(g[i]) * (a * LOAD(x[i]) + b);
  }
  if (gb) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) gb[i] += LOAD(g[i]);
  }
}

static void TYPED(column_moments)(const void *px, int64_t rows, int64_t stride, int64_t n,
                                  const double *pivot, double *s, double *q) {
  const T *x = px;
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    int64_t m = n - c0 < COLUMNS ? n - c0 : COLUMNS;
    A p[COLUMNS], sum[COLUMNS], squares[COLUMNS];
    for (int64_t j = 0; j < m; j++) p[j] = (A)pivot[c0 + j];
    for (int64_t at = 0; at < rows; at += PIECE_ROWS) {
      int64_t end = at + PIECE_ROWS < rows ? at + PIECE_ROWS : rows;
      for (int64_t j = 0; j < m; j++) sum[j] = squares[j] = 0;
      for (int64_t r = at; r < end; r++) {
        const T *row = x + r * stride + c0;
        LP_IVDEP
        for (int64_t j = 0; j < m; j++) {
          A d = LOAD(row[j]) - p[j];
          sum[j] += d;
          squares[j] += d * d;
        }
      }
      for (int64_t j = 0; j < m; j++) {
        s[c0 + j] += (double)sum[j];
        q[c0 + j] += (double)squares[j];
      }
    }
  }
}

static void TYPED(column_affine)(void *py, const void *px, int64_t rows, int64_t stride,
                                 int64_t n, const double *pa, const double *pb) {
  const T *x = px;
  T *y = py;
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    int64_t m = n - c0 < COLUMNS ? n - c0 : COLUMNS;
    A a[COLUMNS], b[COLUMNS];
    for (int64_t j = 0; j < m; j++) {
      a[j] = (A)pa[c0 + j];
      b[j] = (A)pb[c0 + j];
    }
    for (int64_t r = 0; r < rows; r++) {
      const T *row = x + r * stride + c0;
      T *out = y + r * stride + c0;
      LP_IVDEP
      for (int64_t j = 0; j < m; j++) out[j] = STORE(a[j] * LOAD(row[j]) + b[j]);
    }
  }
}

static void TYPED(column_grad_moments)(const void *pg, const void *px, int64_t rows,
                                       int64_t stride, int64_t n, const double *mean,
                                       double *s, double *q) {
  const T *g = pg, *x = px;
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    int64_t m = n - c0 < COLUMNS ? n - c0 : COLUMNS;
    A p[COLUMNS], sum[COLUMNS], products[COLUMNS];
    for (int64_t j = 0; j < m; j++) p[j] = (A)mean[c0 + j];
    for (int64_t at = 0; at < rows; at += PIECE_ROWS) {
      int64_t end = at + PIECE_ROWS < rows ? at + PIECE_ROWS : rows;
      for (int64_t j = 0; j < m; j++) sum[j] = products[j] = 0;
      for (int64_t r = at; r < end; r++) {
        const T *grow = g + r * stride + c0, *row = x + r * stride + c0;
        LP_IVDEP
        for (int64_t j = 0; j < m; j++) {
          A v = LOAD(grow[j]);
          sum[j] += v;
          products[j] += v * (LOAD(row[j]) - p[j]);
        }
      }
      for (int64_t j = 0; j < m; j++) {
        s[c0 + j] += (double)sum[j];
        q[c0 + j] += (double)products[j];
      }
    }
  }
}

static void TYPED(column_combine)(void *py, const void *pg, const void *px, int64_t rows,
                                  int64_t stride, int64_t n, const double *pa,
                                  const double *pb, const double *pc) {
  const T *g = pg, *x = px;
  T *y = py;
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    int64_t m = n - c0 < COLUMNS ? n - c0 : COLUMNS;
    A a[COLUMNS], b[COLUMNS], c[COLUMNS];
    for (int64_t j = 0; j < m; j++) {
      a[j] = (A)pa[c0 + j];
      b[j] = (A)pb[c0 + j];
      c[j] = (A)pc[c0 + j];
    }
    for (int64_t r = 0; r < rows; r++) {
      const T *grow = g + r * stride + c0, *row = x + r * stride + c0;
      T *out = y + r * stride + c0;
      LP_IVDEP
      for (int64_t j = 0; j < m; j++)
        out[j] = STORE(a[j] * LOAD(grow[j]) + (b[j] * LOAD(row[j]) + c[j]));
    }
  }
}
