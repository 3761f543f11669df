/* Adafactor's loops of cpu/optim.h for one dtype; included by optim.c through nn_each.h.
 * The update of element (i, j) is g / sqrt(max(row_i * scale * col_j, floor)). Sums run
 * in a few lanes of A and are carried in double. Filters of convolutions are matrices of
 * 3 columns: what would run over a row goes over blocks of rows instead. */

#define LANES 16
#define BLOCK 512

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
    for (int k = 0; k < LANES; k++) total += (double)lanes[k];
  }
  for (; i < n; i++) total += (double)LOAD(x[i]) * (double)LOAD(x[i]);
  return total;
}

static void TYPED(row_moments)(const void *pg, void *pfactor, int64_t rows, int64_t cols,
                               double weight) {
  const T *g = pg;
  T *factor = pfactor;
  const A w = (A)weight, share = (A)(1 / (double)cols);
  for (int64_t i = 0; i < rows; i++) {
    A old = LOAD(factor[i]), mean = 0;
    if (cols < LANES)
      for (int64_t j = 0; j < cols; j++) {
        A v = LOAD(g[i * cols + j]);
        mean += v * v;
      }
    else
      mean = (A)TYPED(sum_squares)(g + i * cols, cols);
    factor[i] = STORE(old + w * (mean * share - old));
  }
}

static void TYPED(col_moments)(const void *pg, void *pfactor, int64_t matrices,
                               int64_t rows, int64_t cols, int64_t n, double weight) {
  const A w = (A)weight, share = (A)(1 / (double)rows);
  for (int64_t m = 0; m < matrices; m++) {
    const T *g = (const T *)pg + m * rows * cols;
    T *factor = (T *)pfactor + m * cols;
    A sums[LP_OPTIM_COLS];
    for (int64_t j = 0; j < n; j++) sums[j] = 0;
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = 0; j < n; j++) {
        A v = LOAD(g[i * cols + j]);
        sums[j] += v * v;
      }
    for (int64_t j = 0; j < n; j++) {
      A old = LOAD(factor[j]);
      factor[j] = STORE(old + w * (sums[j] * share - old));
    }
  }
}

/* The estimated second moments of the elements from column `from` of row i on: of one row
 * up to BLOCK elements, or of whole rows up to `end`. Returns their number; *i and *from
 * move on. */
static int64_t TYPED(estimate)(const LpFactored *f, int64_t *i, int64_t *from,
                               int64_t end, A *moments) {
  const T *rows = f->row_factors, *all_cols = f->col_factors;
  const A floor = (A)f->floor;
  const int64_t n = f->cols;
  int64_t count = 0;
  if (n > BLOCK) {
    const int64_t matrix = rows ? *i / f->rows : 0;
    const A scale = rows ? LOAD(rows[*i]) * (A)f->row_scales[matrix] : 1;
    const T *cols = all_cols + matrix * n + *from;
    count = n - *from > BLOCK ? BLOCK : n - *from;
    for (int64_t j = 0; j < count; j++) {
      A v = scale * LOAD(cols[j]);
      moments[j] = v < floor ? floor : v;
    }
    *from += count;
    if (*from == n) (*i)++, *from = 0;
    return count;
  }
  int64_t matrix = rows ? *i / f->rows : 0, row = rows ? *i % f->rows : 0;
  for (; *i < end && count + n <= BLOCK; (*i)++, count += n) {
    const A scale = rows ? LOAD(rows[*i]) * (A)f->row_scales[matrix] : 1;
    const T *cols = all_cols + matrix * n;
    for (int64_t j = 0; j < n; j++) {
      A v = scale * LOAD(cols[j]);
      moments[count + j] = v < floor ? floor : v;
    }
    if (++row == f->rows) matrix++, row = 0;
  }
  return count;
}

static double TYPED(factored_squares)(const LpFactored *f, int64_t begin, int64_t end) {
  double total = 0;
  int64_t i = begin, from = 0;
  A moments[BLOCK];
  while (i < end) {
    const T *g = (const T *)f->grad + i * f->cols + from;
    const int64_t n = TYPED(estimate)(f, &i, &from, end, moments);
    A lanes[LANES] = {0};
    int64_t j = 0;
    for (; n - j >= LANES; j += LANES)
      for (int k = 0; k < LANES; k++) {
        A d = LOAD(g[j + k]);
        lanes[k] += d * d / moments[j + k];
      }
    for (int k = 0; k < LANES; k++) total += (double)lanes[k];
    for (; j < n; j++) {
      A d = LOAD(g[j]);
      total += (double)(d * d / moments[j]);
    }
  }
  return total;
}

static void TYPED(factored_apply)(const LpFactored *f, void *pp, int64_t begin,
                                  int64_t end, double keep, double step) {
  const A keeps = (A)keep, by = (A)(f->maximize ? step : -step);
  int64_t i = begin, from = 0;
  A moments[BLOCK];
  while (i < end) {
    const T *g = (const T *)f->grad + i * f->cols + from;
    T *p = (T *)pp + i * f->cols + from;
    const int64_t n = TYPED(estimate)(f, &i, &from, end, moments);
    LP_IVDEP
    for (int64_t j = 0; j < n; j++)
      p[j] = STORE(LOAD(p[j]) * keeps + by * (LOAD(g[j]) / ROOT(moments[j])));
  }
}

#undef LANES
#undef BLOCK
