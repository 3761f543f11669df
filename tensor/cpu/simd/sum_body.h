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

static inline SUM_VT NAME(sum_kept)(SUM_VT v, VecI keep) {
  const VecI kept = (VecI)v & keep;
  return (SUM_VT)kept;
}

/* The sum of n elements, LANES or more, as a vector: four accumulators, added pairwise at the end;
 * the last, incomplete vector is one that ends with the elements, without the lanes already
 * counted. */
static inline SUM_VT NAME(sum_vector)(const ELEM *x, int64_t n) {
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
    VecI keep;
    memcpy(&keep, (const char *)last_lanes + (n - i) * (int64_t)sizeof(SUM_T), VB);
    s3 += NAME(sum_kept)(GET_VECTOR(x + n - LANES), keep);
  }
  return (s0 + s1) + (s2 + s3);
}

/* The sums of the elements at even and at odd places (of complex numbers' parts, then) of one
 * block. A block has whole pairs, or its sums serve as one. */
static inline void NAME(sum_halves)(const ELEM *x, int64_t n, SUM_T sums[2]) {
  if (n < LANES) {
    sums[0] = sums[1] = 0;
    for (int64_t i = 0; i < n; i++) sums[i & 1] += GET(x[i]);
    return;
  }
  NAME(sum_lanes)(NAME(sum_vector)(x, n), sums);
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

/* Of a and b, sums of rows in which a lane's row is told by the bits of its number below `bit`,
 * one vector in which this bit tells a's rows from b's. */
static inline __attribute__((always_inline)) SUM_VT NAME(sum_join)(SUM_VT a, SUM_VT b,
                                                                   const int bit) {
  const SUM_LANES lane = SUM_LANE_NUMBERS, of_b = ((lane & bit) != 0) & LANES;
  const SUM_VT own = __builtin_shuffle(a, b, lane + of_b);
  const SUM_VT other = __builtin_shuffle(a, b, lane + (LANES - of_b));
  return own + __builtin_shuffle(other, lane ^ bit);
}

/* The rows' vectors become one that has a row's sum in each lane. Rows of few vectors are read side
 * by side. */
static void NAME(sum_rows)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t n) {
  SUM_A *restrict a = acc;
  const ELEM *v = x;
  const int64_t whole = n / LANES * LANES;
  VecI keep;
  memcpy(&keep, (const char *)last_lanes + (n - whole) * (int64_t)sizeof(SUM_T), VB);
  int64_t r = 0;
  for (; n <= ROW_BLOCK && r + LANES <= rows; r += LANES, v += LANES * ld) {
    SUM_VT s[LANES];
    if (n < 8 * LANES) {
#pragma GCC unroll 16
      for (int k = 0; k < LANES; k++) s[k] = GET_VECTOR(v + k * ld);
      for (int64_t i = LANES; i < whole; i += LANES) {
#pragma GCC unroll 16
        for (int k = 0; k < LANES; k++) s[k] += GET_VECTOR(v + k * ld + i);
      }
      if (whole < n) {
#pragma GCC unroll 16
        for (int k = 0; k < LANES; k++)
          s[k] += NAME(sum_kept)(GET_VECTOR(v + k * ld + n - LANES), keep);
      }
    } else {
      for (int k = 0; k < LANES; k++) s[k] = NAME(sum_vector)(v + k * ld, n);
    }
#pragma GCC unroll 4
    for (int bit = 1; bit < LANES; bit *= 2)
#pragma GCC unroll 8
      for (int k = 0; k < LANES / bit; k += 2) s[k / 2] = NAME(sum_join)(s[k], s[k + 1], bit);
    SUM_T sums[LANES];
    memcpy(sums, s, VB);
    for (int k = 0; k < LANES; k++) a[r + k] += (SUM_A)sums[k];
  }
  for (; r < rows; r++, v += ld) NAME(sum_row)(a + r, v, n, 0);
}

/* Adds rows, eight at a time. */
#define TWO(v) (GET((v)[j]) + GET((v)[j + ld]))
#define FOUR(v) (TWO(v) + TWO((v) + 2 * ld))
static inline void NAME(add_rows)(SUM_T *restrict sums, const ELEM *v, int64_t rows, int64_t ld,
                                  int64_t w) {
  for (; rows >= 8; rows -= 8, v += 8 * ld) {
    for (int64_t j = 0; j < w; j++) sums[j] += FOUR(v) + FOUR(v + 4 * ld);
  }
  if (rows >= 4) {
    for (int64_t j = 0; j < w; j++) sums[j] += FOUR(v);
    rows -= 4;
    v += 4 * ld;
  }
  if (rows >= 2) {
    for (int64_t j = 0; j < w; j++) sums[j] += TWO(v);
    rows -= 2;
    v += 2 * ld;
  }
  if (rows) {
    for (int64_t j = 0; j < w; j++) sums[j] += GET(v[j]);
  }
}

/* The same of up to four rows, straight to the accumulators. */
static inline void NAME(add_few)(SUM_A *restrict sums, const ELEM *v, int64_t rows, int64_t ld,
                                 int64_t w) {
  switch (rows) {
    case 1:
      for (int64_t j = 0; j < w; j++) sums[j] += (SUM_A)GET(v[j]);
      break;
    case 2:
      for (int64_t j = 0; j < w; j++) sums[j] += (SUM_A)TWO(v);
      break;
    case 3:
      for (int64_t j = 0; j < w; j++) sums[j] += (SUM_A)(TWO(v) + GET(v[j + 2 * ld]));
      break;
    case 4:
      for (int64_t j = 0; j < w; j++) sums[j] += (SUM_A)FOUR(v);
      break;
  }
}
#undef TWO
#undef FOUR

/* Sixty-four rows are added in SUM_T before they join a wider accumulator. */
static void NAME(sum_col)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) {
  SUM_A *restrict a = acc;
  if (rows <= 4) {
    NAME(add_few)(acc, x, rows, ld, w);
    return;
  }
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
