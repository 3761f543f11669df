/* Sums of one compute type; included by reduce.c once per type with
 *   SUM_T, SUM_A  type of sums in a block and of the accumulator (unsigned for integers: sums wrap around),
 *   SUM_VT a vector of SUM_T of VB bytes,
 *   ELEM   the elements in memory; GET(x) of one is its SUM_T, GET_VECTOR(p) that of LANES of them,
 *   NAME(x) the function's name for this type, ROW_BLOCK elements summed in SUM_T. */

#define LANES LP_LANES(SUM_T)

static void NAME(sum_init)(void *acc, int64_t n) { memset(acc, 0, (size_t)n * sizeof(SUM_A)); }

static void NAME(sum_merge)(void *acc, const void *other, int64_t n) {
  SUM_A *a = acc;
  const SUM_A *b = other;
  for (int64_t i = 0; i < n; i++) a[i] += b[i];
}

/* The sums of the even and of the odd lanes, half by half: in registers, where a loop over an array of them
 * would wait for its own stores. */
static inline void NAME(sum_lanes)(SUM_VT s, SUM_T sums[2]) {
  SUM_T lane[4] = {0}; /* two are there of 8 bytes */
#if VB >= 64
  typedef SUM_T V32 __attribute__((vector_size(32)));
  V32 y, y_high;
  memcpy(&y, &s, 32);
  memcpy(&y_high, (const char *)&s + 32, 32);
  y += y_high;
#elif VB >= 32
  const SUM_VT y = s;
#endif
#if VB >= 32
  typedef SUM_T V16 __attribute__((vector_size(16)));
  V16 x, x_high;
  memcpy(&x, &y, 16);
  memcpy(&x_high, (const char *)&y + 16, 16);
  x += x_high;
#else
  const SUM_VT x = s;
#endif
  memcpy(lane, &x, 16);
  sums[0] = lane[0] + lane[2];
  sums[1] = lane[1] + lane[3];
}

/* The sums of the elements at even and at odd places (of complex numbers' parts, then) of one block: four
 * vector accumulators, added pairwise at its end; the last, incomplete vector is one that ends with the
 * block, without the lanes already counted. A block has whole pairs, or its sums serve as one. */
static inline void NAME(sum_halves)(const ELEM *x, int64_t n, SUM_T sums[2]) {
  if (n < LANES) {
    sums[0] = sums[1] = 0;
    for (int64_t i = 0; i < n; i++) sums[i & 1] += GET(x[i]);
    return;
  }
  SUM_VT s0 = GET_VECTOR(x), s1 = {0}, s2 = {0}, s3 = {0};
  int64_t i = LANES;
  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    s0 += GET_VECTOR(x + i);
    s1 += GET_VECTOR(x + i + LANES);
    s2 += GET_VECTOR(x + i + 2 * LANES);
    s3 += GET_VECTOR(x + i + 3 * LANES);
  }
  if (i + 2 * LANES <= n) {
    s0 += GET_VECTOR(x + i);
    s1 += GET_VECTOR(x + i + LANES);
    i += 2 * LANES;
  }
  if (i + LANES <= n) {
    s2 += GET_VECTOR(x + i);
    i += LANES;
  }
  if (i < n) {
    SUM_VT v = GET_VECTOR(x + n - LANES);
    VecI last, keep;
    memcpy(&last, &v, VB);
    memcpy(&keep, (const char *)last_lanes + (n - i) * (int64_t)sizeof(SUM_T), VB);
    last &= keep;
    memcpy(&v, &last, VB);
    s3 += v;
  }
  NAME(sum_lanes)((s0 + s1) + (s2 + s3), sums);
}

static SUM_A NAME(sum_block)(const ELEM *x, int64_t n) {
  SUM_A total = 0;
  if (n < LANES) { /* in the accumulator's type */
    for (int64_t i = 0; i < n; i++) total += (SUM_A)GET(x[i]);
    return total;
  }
  SUM_T sums[2];
  NAME(sum_halves)(x, n, sums);
  return (SUM_A)(sums[0] + sums[1]);
}

static void NAME(sum_row)(void *acc, const void *x, int64_t n, double p) {
  const ELEM *v = x;
  SUM_A total = 0;
  for (int64_t i = 0; i < n; i += ROW_BLOCK) {
    total += NAME(sum_block)(v + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK);
  }
  *(SUM_A *)acc += total;
}

/* Adds rows, eight at a time. */
static inline void NAME(add_rows)(SUM_T *restrict sums, const ELEM *v, int64_t rows, int64_t ld, int64_t w) {
  int64_t r = 0;
  for (; r + 8 <= rows; r += 8, v += 8 * ld) {
    const ELEM *v1 = v + ld, *v2 = v1 + ld, *v3 = v2 + ld, *v4 = v3 + ld;
    const ELEM *v5 = v4 + ld, *v6 = v5 + ld, *v7 = v6 + ld;
    for (int64_t j = 0; j < w; j++)
      sums[j] += ((GET(v[j]) + GET(v1[j])) + (GET(v2[j]) + GET(v3[j]))) +
                 ((GET(v4[j]) + GET(v5[j])) + (GET(v6[j]) + GET(v7[j])));
  }
  for (; r < rows; r++, v += ld) {
    for (int64_t j = 0; j < w; j++) sums[j] += GET(v[j]);
  }
}

/* Sixty-four rows are added in SUM_T before they join a wider accumulator. */
static void NAME(sum_col)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) {
  SUM_A *restrict a = acc;
  if (sizeof(SUM_T) == sizeof(SUM_A)) {
    NAME(add_rows)(acc, x, rows, ld, w);
    return;
  }
  SUM_T tile[LP_REDUCE_TILE];
  for (int64_t r = 0; r < rows; r += 64) {
    memset(tile, 0, (size_t)w * sizeof(SUM_T));
    NAME(add_rows)(tile, (const ELEM *)x + r * ld, rows - r < 64 ? rows - r : 64, ld, w);
    for (int64_t j = 0; j < w; j++) a[j] += (SUM_A)tile[j];
  }
}

#undef LANES
