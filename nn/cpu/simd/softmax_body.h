/* The loops of cpu/softmax.h for one dtype; included by softmax.c through nn_each.h. */

static inline A TYPED(exp_of)(A v) {
  return sizeof(A) == 8 ? (A)lp_exp_f64((double)v) : (A)nn_expf((float)v);
}

static inline A TYPED(exp_any)(A v) {
  return sizeof(A) == 8 ? (A)lp_exp_f64((double)v) : (A)lp_exp_f32((float)v);
}

/* The last elements of a row of n, of which there are less than STEP, and -inf behind
 * them, which changes neither a greatest element nor a sum of exponentials; returns how
 * many are before them. */
static inline int64_t TYPED(take_rest)(T *rest, const T *x, int64_t n) {
  const int64_t whole = n & -(int64_t)STEP;
  for (int64_t j = 0; j < STEP; j++) rest[j] = STORE(-(A)INFINITY);
  memcpy(rest, x + whole, (size_t)(n - whole) * sizeof(T));
  return whole;
}

static inline void TYPED(add_max)(A *tops, const T *x, int64_t whole) {
  A lanes[STEP];
  memcpy(lanes, tops, sizeof lanes);
  for (int64_t i = 0; i < whole; i += STEP) {
#pragma omp simd
    for (int64_t j = 0; j < STEP; j++) {
      A v = LOAD(x[i + j]);
      lanes[j] = v > lanes[j] ? v : lanes[j];
    }
  }
  memcpy(tops, lanes, sizeof lanes);
}
/* The greatest element that is no NaN. */
static A TYPED(row_max)(const T *x, int64_t n, const T *rest) {
  const int64_t whole = n & -(int64_t)STEP;
  A tops[STEP], top = -(A)INFINITY;
  for (int64_t j = 0; j < STEP; j++) tops[j] = LOAD(rest[j]);
  TYPED(add_max)(tops, x, whole);
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < STEP; j++) top = tops[j] > top ? tops[j] : top;
  return top;
}

/* Adds exponentials; they go to y, which may be x, where it is not NULL. */
static inline void TYPED(add_exp)(A *sums, T *y, const T *x, int64_t whole, A top) {
  A lanes[STEP];
  memcpy(lanes, sums, sizeof lanes);
  for (int64_t i = 0; i < whole; i += STEP) {
#pragma omp simd
    for (int64_t j = 0; j < STEP; j++) {
      const A e = TYPED(exp_of)(LOAD(x[i + j]) - top);
      if (y) y[i + j] = STORE(e);
      lanes[j] += e;
    }
  }
  memcpy(sums, lanes, sizeof lanes);
}
/* The sum of the exponentials of a row, which is taken in pieces, so that small ones are
 * not lost. */
static inline A TYPED(row_exp)(T *y, const T *x, int64_t n, T *rest, A top) {
  const int64_t whole = n & -(int64_t)STEP;
  double total = 0;
  A sums[STEP] = {0};
  if (whole < n) TYPED(add_exp)(sums, y ? rest : NULL, rest, STEP, top);
  int64_t at = 0;
  do {
    const int64_t m = whole - at < PIECE ? whole - at : PIECE;
    TYPED(add_exp)(sums, y ? y + at : NULL, x + at, m, top);
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < STEP / 4; j++)
      total += ((double)sums[j] + (double)sums[j + STEP / 4]) +
               ((double)sums[j + STEP / 2] + (double)sums[j + STEP / 4 * 3]);
    memset(sums, 0, sizeof sums);
    at += PIECE;
  } while (at < whole);
  return (A)total;
}

static inline void TYPED(scale)(T *y, int64_t whole, A factor) {
  LP_IVDEP
  for (int64_t i = 0; i < (whole & -(int64_t)STEP); i++)
    y[i] = STORE(LOAD(y[i]) * factor);
}
/* A NaN makes the sum of exponentials one, and so all results. */
static void TYPED(softmax_row)(void *py, const void *px, int64_t n) {
  const T *x = px;
  T *y = py, rest[STEP];
  const int64_t whole = TYPED(take_rest)(rest, x, n);
  const A top = TYPED(row_max)(x, n, rest);
  if (sizeof(T) == sizeof(A)) { /* keep the exponentials in y */
    const A factor = 1 / TYPED(row_exp)(y, x, n, rest, top);
    TYPED(scale)(y, whole, factor);
    TYPED(scale)(rest, STEP, factor);
    memcpy(y + whole, rest, (size_t)(n - whole) * sizeof(T));
  } else {
    const A factor = 1 / TYPED(row_exp)(NULL, x, n, rest, top);
    for (int64_t i = 0; i < n; i++)
      y[i] = STORE(TYPED(exp_of)(LOAD(x[i]) - top) * factor);
  }
}

static double TYPED(logsumexp)(const void *px, int64_t n) {
  T rest[STEP];
  TYPED(take_rest)(rest, px, n);
  A top = TYPED(row_max)(px, n, rest);
  return (double)top + log((double)TYPED(row_exp)(NULL, px, n, rest, top));
}

static void TYPED(log_softmax_row)(void *py, const void *px, int64_t n) {
  const T *x = px;
  T *y = py, rest[STEP];
  TYPED(take_rest)(rest, x, n);
  const A top = TYPED(row_max)(x, n, rest);
  const A shift = (A)log((double)TYPED(row_exp)(NULL, x, n, rest, top));
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
    gx[i] = STORE(LOAD(g[i]) - TYPED(exp_any)(LOAD(y[i])) * s);
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
    if (is_log) {
      LP_IVDEP
      for (int64_t j = 0; j < w; j++) sum[j] = (A)lp_log_f64((double)sum[j]);
    } else {
      LP_IVDEP
      for (int64_t j = 0; j < w; j++) sum[j] = 1 / sum[j];
    }
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
            STORE(is_log ? gv - TYPED(exp_any)(yv) * sum[j] : (gv - sum[j]) * yv);
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

static void TYPED(scaled_exp)(void *py, const void *px, int64_t n, double shift,
                              double scale) {
  const T *x = px;
  T *y = py;
  const A b = (A)shift, s = (A)scale;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) y[i] = STORE(TYPED(exp_of)(LOAD(x[i]) - b) * s);
}

static void TYPED(column_logsumexp)(const void *px, int64_t n, int64_t m, double *to) {
  const T *x = px;
  A top[COLUMNS], sum[COLUMNS];
  for (int64_t j = 0; j < m; j++) {
    top[j] = -(A)INFINITY;
    sum[j] = 0;
  }
  for (int64_t i = 0; i < n; i++) {
    LP_IVDEP
    for (int64_t j = 0; j < m; j++) {
      const A v = LOAD(x[i * m + j]);
      top[j] = v > top[j] ? v : top[j];
    }
  }
  for (int64_t i = 0; i < n; i++) {
    LP_IVDEP
    for (int64_t j = 0; j < m; j++) sum[j] += TYPED(exp_of)(LOAD(x[i * m + j]) - top[j]);
  }
  LP_IVDEP
  for (int64_t j = 0; j < m; j++) to[j] = (double)top[j] + lp_log_f64((double)sum[j]);
}

static void TYPED(rows_scaled_exp)(void *py, const void *px, int64_t rows, int64_t n,
                                   const double *shift, const double *scale) {
  const T *x = px;
  T *y = py;
  A shifts[LP_SOFTMAX_ELEMS], scales[LP_SOFTMAX_ELEMS];
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < n; i++) {
      shifts[r * n + i] = (A)shift[r];
      scales[r * n + i] = (A)scale[r];
    }
  LP_IVDEP
  for (int64_t i = 0; i < rows * n; i++)
    y[i] = STORE(TYPED(exp_of)(LOAD(x[i]) - shifts[i]) * scales[i]);
}

static double TYPED(get)(const void *x, int64_t i) {
  return (double)LOAD(((const T *)x)[i]);
}
static void TYPED(add_at)(void *x, int64_t i, double v) {
  T *at = (T *)x + i;
  *at = STORE((A)((double)LOAD(*at) + v));
}
