/* The loops of cpu/attention.h for T; included by attention.c. */

/* The score of column j, by a choice that does not change in a loop. */
#define SCORE(j)                                                                         \
  (!mask       ? s[j] * scale                                                            \
   : masks_out ? (mask[(j)*step] ? s[j] * scale : -(T)INFINITY)                          \
               : s[j] * scale + *(const T *)(mask + (j)*step))

static inline __attribute__((always_inline)) T
FN(score_row)(T *s, int64_t n, T scale, const char *mask, int64_t step, bool masks_out) {
  T top = -(T)INFINITY;
#pragma omp simd reduction(max : top)
  for (int64_t j = 0; j < n; j++) {
    T v = SCORE(j);
    s[j] = v;
    top = v > top ? v : top;
  }
  return top;
}
#undef SCORE

/* s from products to scores; their largest that is no NaN. */
static T FN(scores)(T *s, int64_t n, const LpAttentionScores *how, int64_t row) {
  const T scale = (T)how->scale;
  const char *mask = how->mask ? how->mask + row * how->mask_row : NULL;
  const int64_t step = how->mask_column;
  if (!mask) return FN(score_row)(s, n, scale, NULL, 0, false);
  if (how->mask_is_bool)
    return step == 1 ? FN(score_row)(s, n, scale, mask, 1, true)
                     : FN(score_row)(s, n, scale, mask, step, true);
  return step == sizeof(T) ? FN(score_row)(s, n, scale, mask, sizeof(T), false)
                           : FN(score_row)(s, n, scale, mask, step, false);
}

/* The columns that row i sees; *whole is up to where the loops run, in whole vectors,
 * over products made -inf. */
static inline int64_t FN(seen)(T *s, const LpAttentionScores *how, int64_t row,
                               int64_t columns, int64_t *whole) {
  int64_t n = how->allowed + row;
  n = n < 0 ? 0 : n < columns ? n : columns;
  *whole = (n + LP_LANES(T) - 1) / LP_LANES(T) * LP_LANES(T);
  if (*whole > columns) *whole = columns;
  for (int64_t j = n; j < *whole; j++) s[j] = -(T)INFINITY;
  return n;
}

static void FN(weigh)(void *ps, int64_t rows, int64_t columns,
                      const LpAttentionScores *how, void *ptop, void *ptotal,
                      void *pshrink) {
  T *s = ps, *tops = ptop, *totals = ptotal, *shrink = pshrink;
  for (int64_t i = 0; i < rows; i++, s += columns) {
    int64_t n;
    FN(seen)(s, how, i, columns, &n);
    T top = FN(scores)(s, n, how, i), sum = 0;
    top = top > tops[i] ? top : tops[i];
    const T base = top == -(T)INFINITY ? 0 : top; /* nothing seen: all weights are 0 */
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
      T e = EXP(s[j] - base);
      s[j] = e;
      sum += e;
    }
    for (int64_t j = n; j < columns; j++) s[j] = 0;
    shrink[i] = EXP(tops[i] - base);
    totals[i] = totals[i] * shrink[i] + sum;
    tops[i] = top;
  }
}

static void FN(unweigh)(void *ps, void *pg, int64_t rows, int64_t columns,
                        const LpAttentionScores *how, const void *plogsumexp,
                        const void *pinner) {
  T *s = ps, *g = pg;
  const T *logsumexp = plogsumexp, *inner = pinner, scale = (T)how->scale;
  for (int64_t i = 0; i < rows; i++, s += columns, g += columns) {
    int64_t whole;
    const int64_t n = FN(seen)(s, how, i, columns, &whole);
    FN(scores)(s, whole, how, i);
    const T base = logsumexp[i] == -(T)INFINITY ? 0 : logsumexp[i], own = inner[i];
    LP_IVDEP
    for (int64_t j = 0; j < whole; j++) {
      T weight = EXP(s[j] - base);
      s[j] = weight;
      g[j] = weight * (g[j] - own) * scale;
    }
    for (int64_t j = n; j < columns; j++) s[j] = g[j] = 0;
  }
}

static void FN(scale_rows)(void *px, int64_t ld, int64_t rows, int64_t n,
                           const void *pfactor) {
  T *x = px;
  const T *factor = pfactor;
  for (int64_t i = 0; i < rows; i++, x += ld) {
    const T f = factor[i];
    if (f == 1) continue;
    LP_IVDEP
    for (int64_t j = 0; j < n; j++) x[j] *= f;
  }
}

static void FN(inner_rows)(void *pout, const void *px, int64_t ldx, const void *py,
                           int64_t ldy, int64_t rows, int64_t n) {
  const T *x = px, *y = py;
  T *out = pout;
  for (int64_t i = 0; i < rows; i++, x += ldx, y += ldy) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) sum += x[j] * y[j];
    out[i] = sum;
  }
}

static void FN(finish)(void *pfactor, void *plogsumexp, const void *ptop,
                       const void *ptotal, int64_t rows) {
  T *factor = pfactor, *logsumexp = plogsumexp;
  const T *top = ptop, *total = ptotal;
  for (int64_t i = 0; i < rows; i++) {
    factor[i] = total[i] == 0 ? 0 : 1 / total[i];
    logsumexp[i] = total[i] == 0 ? -(T)INFINITY : top[i] + (T)log((double)total[i]);
  }
}
