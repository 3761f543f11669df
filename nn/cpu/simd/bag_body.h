/* The loops of cpu/bag.h for one dtype; included by bag.c through nn_each.h. */

static void TYPED(add_row)(void *psum, const void *prow, double w, int64_t width) {
  A *sum = psum, factor = (A)w;
  const T *row = prow;
  LP_IVDEP
  for (int64_t c = 0; c < width; c++) sum[c] += factor * (A)LOAD(row[c]);
}

static void TYPED(max_row)(void *pbest, int64_t *winner, const void *prow, int64_t index,
                           bool first, int64_t width) {
  A *best = pbest;
  const T *row = prow;
  LP_IVDEP
  for (int64_t c = 0; c < width; c++) {
    A v = LOAD(row[c]);
    bool better = first | (v > best[c]);
    best[c] = better ? v : best[c];
    winner[c] = better ? index : winner[c];
  }
}

static double TYPED(dot)(const void *pa, const void *prow, int64_t width) {
  const A *a = pa;
  const T *row = prow;
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < width; c++) sum += a[c] * (A)LOAD(row[c]);
  return (double)sum;
}
