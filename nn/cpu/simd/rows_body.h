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

static void TYPED(affine_each)(void *py, const void *px, int64_t n, const void *pa,
                               const void *pb, double least, double most) {
  const T *x = px;
  const A *a = pa, *b = pb, low = (A)least, high = (A)most;
  T *y = py;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    const A v = a[i] * LOAD(x[i]) + b[i];
    y[i] = STORE(v < low ? low : v > high ? high : v);
  }
}

/* The gradient g behind a gate on y. */
static inline __attribute__((always_inline)) A TYPED(passed)(A g, A y, A low, A high,
                                                             bool bounded) {
  return y <= low || (bounded && !(y < high)) ? 0 : g;
}

static inline __attribute__((always_inline)) void
TYPED(grad_moments_of)(const T *g, LpRowGate gate, const T *x, int64_t n, A mean,
                       double *s, double *q, bool gated, bool bounded) {
  const T *y = gate.y;
  const A low = (A)gate.low, high = (A)gate.high;
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t end = at + PIECE < n ? at + PIECE : n;
    A sum = 0, products = 0;
#pragma omp simd reduction(+ : sum, products)
    for (int64_t i = at; i < end; i++) {
      A v = LOAD(g[i]);
      if (gated) v = TYPED(passed)(v, LOAD(y[i]), low, high, bounded);
      sum += v;
      products += v * (LOAD(x[i]) - mean);
    }
    *s += (double)sum;
    *q += (double)products;
  }
}

static void TYPED(grad_moments)(const void *g, LpRowGate gate, const void *x, int64_t n,
                                double mean, double *s, double *q) {
  GATED(TYPED(grad_moments_of), g, gate, x, n, (A)mean, s, q);
}

static inline __attribute__((always_inline)) void
TYPED(combine_of)(T *to, const T *g, LpRowGate gate, const T *x, int64_t n, A a, A b, A c,
                  bool gated, bool bounded) {
  const T *y = gate.y;
  const A low = (A)gate.low, high = (A)gate.high;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A v = LOAD(g[i]);
    if (gated) v = TYPED(passed)(v, LOAD(y[i]), low, high, bounded);
    to[i] = STORE(a * v + (b * LOAD(x[i]) + c));
  }
}

static void TYPED(combine)(void *to, const void *g, LpRowGate gate, const void *x,
                           int64_t n, double a, double b, double c) {
  GATED(TYPED(combine_of), to, g, gate, x, n, (A)a, (A)b, (A)c);
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
    TYPED(grad_moments)(pg, (LpRowGate){0}, px, n, mean, s, q);
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
    TYPED(combine)(py, pg, (LpRowGate){0}, px, n, pa, pb, pc);
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

/* The m numbers over and over, n in all. */
static inline void TYPED(repeat)(A *to, const double *from, int64_t m, int64_t n) {
  for (int64_t j = 0; j < m; j++) to[j] = (A)from[j];
  for (int64_t j = m; j < n; j++) to[j] = to[j - m];
}

static void TYPED(column_moments)(const void *px, int64_t rows, int64_t stride, int64_t n,
                                  const double *pivot, double *s, double *q) {
  const T *x = px;
  const int64_t times = rows_at_once(rows, stride, n);
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    const int64_t m = lp_least(n - c0, COLUMNS), most = times * m;
    A p[COLUMNS], sum[COLUMNS], squares[COLUMNS];
    TYPED(repeat)(p, pivot + c0, m, most);
    for (int64_t at = 0; at < rows; at += PIECE_ROWS * times) {
      const int64_t end = lp_least(rows, at + PIECE_ROWS * times);
      for (int64_t j = 0; j < most; j++) sum[j] = squares[j] = 0;
      for (int64_t r = at; r < end; r += times) {
        const T *row = x + r * stride + c0;
        const int64_t run = lp_least(end - r, times) * m;
        LP_IVDEP
        for (int64_t j = 0; j < run; j++) {
          A d = LOAD(row[j]) - p[j];
          sum[j] += d;
          squares[j] += d * d;
        }
      }
      for (int64_t t = 0; t < most; t += m)
        for (int64_t j = 0; j < m; j++) {
          s[c0 + j] += (double)sum[t + j];
          q[c0 + j] += (double)squares[t + j];
        }
    }
  }
}

static void TYPED(column_affine)(void *py, const void *px, int64_t rows, int64_t stride,
                                 int64_t n, const double *pa, const double *pb) {
  const T *x = px;
  T *y = py;
  const int64_t times = rows_at_once(rows, stride, n);
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    const int64_t m = lp_least(n - c0, COLUMNS), most = times * m;
    A a[COLUMNS], b[COLUMNS];
    TYPED(repeat)(a, pa + c0, m, most);
    TYPED(repeat)(b, pb + c0, m, most);
    for (int64_t r = 0; r < rows; r += times) {
      const T *row = x + r * stride + c0;
      T *out = y + r * stride + c0;
      const int64_t run = lp_least(rows - r, times) * m;
      LP_IVDEP
      for (int64_t j = 0; j < run; j++) out[j] = STORE(a[j] * LOAD(row[j]) + b[j]);
    }
  }
}

static inline __attribute__((always_inline)) void
TYPED(column_grad_moments_of)(const T *g, LpRowGate gate, const T *x, int64_t rows,
                              int64_t stride, int64_t n, const double *mean, double *s,
                              double *q, bool gated, bool bounded) {
  const T *y = gate.y;
  const A low = (A)gate.low, high = (A)gate.high;
  const int64_t times = rows_at_once(rows, stride, n);
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    const int64_t m = lp_least(n - c0, COLUMNS), most = times * m;
    A p[COLUMNS], sum[COLUMNS], products[COLUMNS];
    TYPED(repeat)(p, mean + c0, m, most);
    for (int64_t at = 0; at < rows; at += PIECE_ROWS * times) {
      const int64_t end = lp_least(rows, at + PIECE_ROWS * times);
      for (int64_t j = 0; j < most; j++) sum[j] = products[j] = 0;
      for (int64_t r = at; r < end; r += times) {
        const int64_t start = r * stride + c0, run = lp_least(end - r, times) * m;
        LP_IVDEP
        for (int64_t j = 0; j < run; j++) {
          A v = LOAD(g[start + j]);
          if (gated) v = TYPED(passed)(v, LOAD(y[start + j]), low, high, bounded);
          sum[j] += v;
          products[j] += v * (LOAD(x[start + j]) - p[j]);
        }
      }
      for (int64_t t = 0; t < most; t += m)
        for (int64_t j = 0; j < m; j++) {
          s[c0 + j] += (double)sum[t + j];
          q[c0 + j] += (double)products[t + j];
        }
    }
  }
}

static void TYPED(column_grad_moments)(const void *g, LpRowGate gate, const void *x,
                                       int64_t rows, int64_t stride, int64_t n,
                                       const double *mean, double *s, double *q) {
  GATED(TYPED(column_grad_moments_of), g, gate, x, rows, stride, n, mean, s, q);
}

static inline __attribute__((always_inline)) void
TYPED(column_combine_of)(T *to, const T *g, LpRowGate gate, const T *x, int64_t rows,
                         int64_t stride, int64_t n, const double *pa, const double *pb,
                         const double *pc, bool gated, bool bounded) {
  const T *y = gate.y;
  const A low = (A)gate.low, high = (A)gate.high;
  const int64_t times = rows_at_once(rows, stride, n);
  for (int64_t c0 = 0; c0 < n; c0 += COLUMNS) {
    const int64_t m = lp_least(n - c0, COLUMNS), most = times * m;
    A a[COLUMNS], b[COLUMNS], c[COLUMNS];
    TYPED(repeat)(a, pa + c0, m, most);
    TYPED(repeat)(b, pb + c0, m, most);
    TYPED(repeat)(c, pc + c0, m, most);
    for (int64_t r = 0; r < rows; r += times) {
      const int64_t start = r * stride + c0, run = lp_least(rows - r, times) * m;
      LP_IVDEP
      for (int64_t j = 0; j < run; j++) {
        A v = LOAD(g[start + j]);
        if (gated) v = TYPED(passed)(v, LOAD(y[start + j]), low, high, bounded);
        to[start + j] = STORE(a[j] * v + (b[j] * LOAD(x[start + j]) + c[j]));
      }
    }
  }
}

static void TYPED(column_combine)(void *to, const void *g, LpRowGate gate, const void *x,
                                  int64_t rows, int64_t stride, int64_t n,
                                  const double *a, const double *b, const double *c) {
  GATED(TYPED(column_combine_of), to, g, gate, x, rows, stride, n, a, b, c);
}
