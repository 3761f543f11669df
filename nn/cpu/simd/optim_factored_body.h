/* Adafactor's loops of cpu/optim.h for one dtype; included by optim.c through nn_each.h.
 * The update of element (i, j) is g / sqrt(max(row_i * scale * col_j, floor)). Sums run
 * in a few lanes of A and are carried in double. */

#define LANES 16

static double TYPED(sum_squares)(const void *px, int64_t n) {
  const T *x = px;
  double total = 0;
  int64_t i = 0;
  while (n - i >= LANES) {
    A lanes[LANES] = {0};
    int64_t end = n - i > 4096 ? i + 4096 : n;
    for (; end - i >= LANES; i += LANES)
      for (int k = 0; k < LANES; k++) {
        A v = LOAD(x[i + k]);
        lanes[k] += v * v;
      }
    for (int k = 0; k < LANES; k++) total += lanes[k];
  }
  for (; i < n; i++) total += (double)LOAD(x[i]) * (double)LOAD(x[i]);
  return total;
}

static void TYPED(row_moments)(const void *pg, void *pfactor, int64_t rows, int64_t cols,
                               double weight) {
  const T *g = pg;
  T *factor = pfactor;
  const A w = (A)weight;
  for (int64_t i = 0; i < rows; i++) {
    A mean = (A)(TYPED(sum_squares)(g + i * cols, cols) / (double)cols);
    A old = LOAD(factor[i]);
    factor[i] = STORE(old + w * (mean - old));
  }
}

static void TYPED(col_moments)(const void *pg, void *pfactor, int64_t rows, int64_t cols,
                               int64_t n, double weight) {
  const T *g = pg;
  T *factor = pfactor;
  A sums[LP_OPTIM_COLS] = {0};
  const A w = (A)weight;
  for (int64_t i = 0; i < rows; i++) {
    const T *row = g + i * cols;
    for (int64_t j = 0; j < n; j++) {
      A v = LOAD(row[j]);
      sums[j] += v * v;
    }
  }
  for (int64_t j = 0; j < n; j++) {
    A old = LOAD(factor[j]);
    factor[j] = STORE(old + w * (sums[j] / (A)rows - old));
  }
}

static double TYPED(factored_squares)(const LpFactored *f, int64_t begin, int64_t end) {
  const T *g = f->grad, *rows = f->row_factors, *all_cols = f->col_factors;
  const A floor = (A)f->floor;
  const int64_t n = f->cols;
  double total = 0;
  for (int64_t i = begin; i < end; i++) {
    int64_t matrix = rows ? i / f->rows : 0;
    const A scale = rows ? LOAD(rows[i]) * (A)f->row_scales[matrix] : 1;
    const T *row = g + i * n, *cols = all_cols + matrix * n;
    for (int64_t from = 0; from < n; from += 4096) {
      int64_t to = n - from > 4096 ? from + 4096 : n, j = from;
      A lanes[LANES] = {0};
      for (; to - j >= LANES; j += LANES)
        for (int k = 0; k < LANES; k++) {
          A v = scale * LOAD(cols[j + k]), d = LOAD(row[j + k]);
          lanes[k] += d * d / (v < floor ? floor : v);
        }
      for (int k = 0; k < LANES; k++) total += lanes[k];
      for (; j < to; j++) {
        A v = scale * LOAD(cols[j]), d = LOAD(row[j]);
        total += d * d / (v < floor ? floor : v);
      }
    }
  }
  return total;
}

static void TYPED(factored_apply)(const LpFactored *f, void *pp, int64_t begin,
                                  int64_t end, double keep, double step) {
  T *p = pp;
  const T *g = f->grad, *rows = f->row_factors, *all_cols = f->col_factors;
  const A floor = (A)f->floor, keeps = (A)keep, by = (A)(f->maximize ? step : -step);
  const int64_t n = f->cols;
  for (int64_t i = begin; i < end; i++) {
    int64_t matrix = rows ? i / f->rows : 0;
    const A scale = rows ? LOAD(rows[i]) * (A)f->row_scales[matrix] : 1;
    const T *row = g + i * n, *cols = all_cols + matrix * n;
    T *out = p + i * n;
    LP_IVDEP
    for (int64_t j = 0; j < n; j++) {
      A v = scale * LOAD(cols[j]);
      out[j] =
          STORE(LOAD(out[j]) * keeps + by * (LOAD(row[j]) / ROOT(v < floor ? floor : v)));
    }
  }
}

#undef LANES
