/* The loops of cpu/softmax.h for one dtype; included by softmax.c through nn_each.h. */

static inline A TYPED(exp_of)(A v) {
  return sizeof(A) == 8 ? (A)exp((double)v) : (A)nn_expf((float)v);
}

/* The largest element that is no NaN; a NaN makes the sum of exponentials one, and so all
 * results. */
static A TYPED(row_max)(const T *x, int64_t n) {
  A top = -(A)INFINITY;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; i++) {
    A v = LOAD(x[i]);
    top = v > top ? v : top;
  }
  return top;
}

static A TYPED(row_sum_exp)(const T *x, int64_t n, A top) {
  double total = 0;
  for (int64_t at = 0; at < n; at += PIECE) {
    int64_t end = at + PIECE < n ? at + PIECE : n;
    A s = 0;
#pragma omp simd reduction(+ : s)
    for (int64_t i = at; i < end; i++) s += TYPED(exp_of)(LOAD(x[i]) - top);
    total += (double)s;
  }
  return (A)total;
}

static void TYPED(softmax_row)(void *py, const void *px, int64_t n) {
  const T *x = px;
  T *y = py;
  A top = TYPED(row_max)(x, n);
  if (sizeof(T) == sizeof(A)) { /* keep the exponentials in y */
    double total = 0;
    for (int64_t at = 0; at < n; at += PIECE) {
      int64_t end = at + PIECE < n ? at + PIECE : n;
      A s = 0;
#pragma omp simd reduction(+ : s)
      for (int64_t i = at; i < end; i++) {
        A e = TYPED(exp_of)(LOAD(x[i]) - top);
        y[i] = STORE(e);
        s += e;
      }
      total += (double)s;
    }
    A scale = (A)(1 / total);
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) y[i] = STORE(LOAD(y[i]) * scale);
  } else {
    A scale = 1 / TYPED(row_sum_exp)(x, n, top);
    for (int64_t i = 0; i < n; i++) y[i] = STORE(TYPED(exp_of)(LOAD(x[i]) - top) * scale);
  }
}

static void TYPED(log_softmax_row)(void *py, const void *px, int64_t n) {
  const T *x = px;
  T *y = py;
  A top = TYPED(row_max)(x, n);
  A shift = (A)log((double)TYPED(row_sum_exp)(x, n, top));
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) y[i] = STORE(LOAD(x[i]) - top - shift);
}

static void TYPED(softmax_row_grad)(void *pgx, const void *pg, const void *py,
                                    int64_t n) {
  const T *g = pg, *y = py;
  T *gx = pgx;
  A s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; i++) s += LOAD(g[i]) * LOAD(y[i]);
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) gx[i] = STORE((LOAD(g[i]) - s) * LOAD(y[i]));
}

static void TYPED(log_softmax_row_grad)(void *pgx, const void *pg, const void *py,
                                        int64_t n) {
  const T *g = pg, *y = py;
  T *gx = pgx;
  A s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; i++) s += LOAD(g[i]);
  LP_IVDEP
  for (int64_t i = 0; i < n; i++)
    gx[i] = STORE(LOAD(g[i]) - TYPED(exp_of)(LOAD(y[i])) * s);
}

static inline void TYPED(inner)(void *py, const void *px, int64_t n, int64_t stride,
                                int64_t m, bool is_log) {
  for (int64_t c0 = 0; c0 < m; c0 += COLUMNS) {
    const T *x = (const T *)px + c0;
    T *y = (T *)py + c0;
    int64_t w = m - c0 < COLUMNS ? m - c0 : COLUMNS;
    A top[COLUMNS], sum[COLUMNS];
    for (int64_t j = 0; j < w; j++) {
      top[j] = -(A)INFINITY;
      sum[j] = 0;
    }
    for (int64_t i = 0; i < n; i++) {
      const T *row = x + i * stride;
      LP_IVDEP
      for (int64_t j = 0; j < w; j++) {
        A v = LOAD(row[j]);
        top[j] = v > top[j] ? v : top[j];
      }
    }
    const bool keeps = sizeof(T) == sizeof(A) && !is_log; /* the exponentials in y */
    for (int64_t i = 0; i < n; i++) {
      const T *row = x + i * stride;
      T *out = y + i * stride;
      LP_IVDEP
      for (int64_t j = 0; j < w; j++) {
        const A e = TYPED(exp_of)(LOAD(row[j]) - top[j]);
        sum[j] += e;
        if (keeps) out[j] = STORE(e);
      }
    }
    for (int64_t j = 0; j < w; j++) sum[j] = is_log ? (A)log((double)sum[j]) : 1 / sum[j];
    for (int64_t i = 0; i < n; i++) {
      const T *row = x + i * stride;
      T *out = y + i * stride;
      if (is_log) {
        LP_IVDEP
        for (int64_t j = 0; j < w; j++) out[j] = STORE(LOAD(row[j]) - top[j] - sum[j]);
      } else if (keeps) {
        LP_IVDEP
        for (int64_t j = 0; j < w; j++) out[j] = STORE(LOAD(out[j]) * sum[j]);
      } else {
        LP_IVDEP
        for (int64_t j = 0; j < w; j++)
          out[j] = STORE(TYPED(exp_of)(LOAD(row[j]) - top[j]) * sum[j]);
      }
    }
  }
}

static void TYPED(softmax_inner)(void *y, const void *x, int64_t n, int64_t stride,
                                 int64_t m) {
  TYPED(inner)(y, x, n, stride, m, false);
}
static void TYPED(log_softmax_inner)(void *y, const void *x, int64_t n, int64_t stride,
                                     int64_t m) {
  TYPED(inner)(y, x, n, stride, m, true);
}

static void TYPED(inner_grad)(void *pgx, const void *pg, const void *py, int64_t n,
                              int64_t stride, int64_t m, bool is_log) {
  for (int64_t c0 = 0; c0 < m; c0 += COLUMNS) {
    const T *g = (const T *)pg + c0, *y = (const T *)py + c0;
    T *gx = (T *)pgx + c0;
    int64_t w = m - c0 < COLUMNS ? m - c0 : COLUMNS;
    A sum[COLUMNS];
    for (int64_t j = 0; j < w; j++) sum[j] = 0;
    for (int64_t i = 0; i < n; i++) {
      LP_IVDEP
      for (int64_t j = 0; j < w; j++)
        sum[j] += is_log ? LOAD(g[i * stride + j])
                         : LOAD(g[i * stride + j]) * LOAD(y[i * stride + j]);
    }
    for (int64_t i = 0; i < n; i++) {
      LP_IVDEP
      for (int64_t j = 0; j < w; j++) {
        A gv = LOAD(g[i * stride + j]), yv = LOAD(y[i * stride + j]);
        gx[i * stride + j] =
            STORE(is_log ? gv - TYPED(exp_of)(yv) * sum[j] : (gv - sum[j]) * yv);
      }
    }
  }
}

static void TYPED(softmax_inner_grad)(void *gx, const void *g, const void *y, int64_t n,
                                      int64_t stride, int64_t m) {
  TYPED(inner_grad)(gx, g, y, n, stride, m, false);
}
static void TYPED(log_softmax_inner_grad)(void *gx, const void *g, const void *y,
                                          int64_t n, int64_t stride, int64_t m) {
  TYPED(inner_grad)(gx, g, y, n, stride, m, true);
}

static double TYPED(logsumexp)(const void *px, int64_t n) {
  const T *x = px;
  A top = TYPED(row_max)(x, n);
  return (double)top + log((double)TYPED(row_sum_exp)(x, n, top));
}

static void TYPED(scaled_exp)(void *py, const void *px, int64_t n, double shift,
                              double scale) {
  const T *x = px;
  T *y = py;
  const A b = (A)shift, s = (A)scale;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) y[i] = STORE(TYPED(exp_of)(LOAD(x[i]) - b) * s);
}

static double TYPED(get)(const void *x, int64_t i) {
  return (double)LOAD(((const T *)x)[i]);
}
static void TYPED(add_at)(void *x, int64_t i, double v) {
  T *at = (T *)x + i;
  *at = STORE((A)((double)LOAD(*at) + v));
}
