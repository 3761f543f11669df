/* The bodies of the reductions of one compute type; included by reduce.c once per type with
 *   T      element type, A accumulator type, VT a vector of T of VB bytes,
 *   SUM_T, SUM_A, SUM_VT  the same for sums (unsigned for integers: sums wrap around),
 *   NAME(x) the function's name for this type, IS_FLOAT 0 or 1, ROW_BLOCK elements summed in T. */

#define LANES LP_LANES(T)

static inline VT NAME(load)(const T *x) {
  VT v;
  memcpy(&v, x, VB);
  return v;
}

/* --- sum ---------------------------------------------------------------------------------- */

static inline SUM_VT NAME(sum_load)(const SUM_T *x) {
  SUM_VT v;
  memcpy(&v, x, VB);
  return v;
}

static void NAME(sum_init)(void *acc, int64_t n) { memset(acc, 0, (size_t)n * sizeof(SUM_A)); }

static void NAME(sum_merge)(void *acc, const void *other, int64_t n) {
  SUM_A *a = acc;
  const SUM_A *b = other;
  for (int64_t i = 0; i < n; i++) a[i] += b[i];
}

/* The lanes' sum, half by half: in registers, where a loop over an array of them would wait for its own
 * stores. */
static inline SUM_T NAME(sum_lanes)(SUM_VT s) {
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
  return (lane[0] + lane[2]) + (lane[1] + lane[3]);
}

/* Four vector accumulators over one block, added pairwise at its end; the last, incomplete vector is one
 * that ends with the block, without the lanes already counted. */
static SUM_A NAME(sum_block)(const SUM_T *x, int64_t n) {
  SUM_A total = 0;
  int64_t i = 0;
  if (n >= LANES) {
    SUM_VT s0 = NAME(sum_load)(x), s1 = {0}, s2 = {0}, s3 = {0};
    for (i = LANES; i + 4 * LANES <= n; i += 4 * LANES) {
      s0 += NAME(sum_load)(x + i);
      s1 += NAME(sum_load)(x + i + LANES);
      s2 += NAME(sum_load)(x + i + 2 * LANES);
      s3 += NAME(sum_load)(x + i + 3 * LANES);
    }
    if (i + 2 * LANES <= n) {
      s0 += NAME(sum_load)(x + i);
      s1 += NAME(sum_load)(x + i + LANES);
      i += 2 * LANES;
    }
    if (i + LANES <= n) {
      s2 += NAME(sum_load)(x + i);
      i += LANES;
    }
    if (i < n) {
      VecI last, keep;
      memcpy(&last, x + n - LANES, VB);
      memcpy(&keep, (const char *)last_lanes + (n - i) * (int64_t)sizeof(SUM_T), VB);
      last &= keep;
      SUM_VT v;
      memcpy(&v, &last, VB);
      s3 += v;
    }
    return (SUM_A)NAME(sum_lanes)((s0 + s1) + (s2 + s3));
  }
  for (; i < n; i++) total += (SUM_A)x[i];
  return total;
}

static void NAME(sum_row)(void *acc, const void *x, int64_t n, double p) {
  const SUM_T *v = x;
  SUM_A total = 0;
  for (int64_t i = 0; i < n; i += ROW_BLOCK) {
    total += NAME(sum_block)(v + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK);
  }
  *(SUM_A *)acc += total;
}

/* Thirty-two rows are added in T, eight at a time, before they join the wide accumulator. */
static void NAME(sum_col)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) {
  SUM_A *restrict a = acc;
  SUM_T tile[LP_REDUCE_TILE];
  for (int64_t r0 = 0; r0 < rows; r0 += 32) {
    const SUM_T *v = (const SUM_T *)x + r0 * ld;
    int64_t count = rows - r0 < 32 ? rows - r0 : 32, r = 0;
    memset(tile, 0, (size_t)w * sizeof(SUM_T));
    for (; r + 8 <= count; r += 8) {
      const SUM_T *v0 = v + r * ld, *v1 = v0 + ld, *v2 = v1 + ld, *v3 = v2 + ld;
      const SUM_T *v4 = v3 + ld, *v5 = v4 + ld, *v6 = v5 + ld, *v7 = v6 + ld;
      for (int64_t j = 0; j < w; j++)
        tile[j] += ((v0[j] + v1[j]) + (v2[j] + v3[j])) + ((v4[j] + v5[j]) + (v6[j] + v7[j]));
    }
    for (; r < count; r++) {
      for (int64_t j = 0; j < w; j++) tile[j] += v[r * ld + j];
    }
    for (int64_t j = 0; j < w; j++) a[j] += (SUM_A)tile[j];
  }
}

/* --- max and min -------------------------------------------------------------------------- */

#if IS_FLOAT
#define IS_NAN(x) ((x) != (x))
#define LOWEST (-INFINITY)
#define HIGHEST INFINITY
#else
#define IS_NAN(x) 0
#define LOWEST INT64_MIN
#define HIGHEST INT64_MAX
#endif

static void NAME(max_init)(void *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((A *)acc)[i] = (A)LOWEST;
}
static void NAME(min_init)(void *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((A *)acc)[i] = (A)HIGHEST;
}
static inline A NAME(max2)(A a, A b) { return (a > b) | IS_NAN(a) ? a : b; }
static inline A NAME(min2)(A a, A b) { return (a < b) | IS_NAN(a) ? a : b; }

static void NAME(max_merge)(void *acc, const void *other, int64_t n) {
  A *a = acc;
  for (int64_t i = 0; i < n; i++) a[i] = NAME(max2)(a[i], ((const A *)other)[i]);
}
static void NAME(min_merge)(void *acc, const void *other, int64_t n) {
  A *a = acc;
  for (int64_t i = 0; i < n; i++) a[i] = NAME(min2)(a[i], ((const A *)other)[i]);
}

/* Keeps a where it beats b or is NaN. C has no vector `?:`, so the choice is by bits. */
static inline VT NAME(choose)(VecI take_a, VT a, VT b) {
  VecI bits_a, bits_b;
  memcpy(&bits_a, &a, VB);
  memcpy(&bits_b, &b, VB);
  bits_a = (bits_a & take_a) | (bits_b & ~take_a);
  memcpy(&a, &bits_a, VB);
  return a;
}
static inline VT NAME(vmax)(VT a, VT b) {
  return NAME(choose)((VecI)((a > b) | IS_NAN(a)), a, b);
}
static inline VT NAME(vmin)(VT a, VT b) {
  return NAME(choose)((VecI)((a < b) | IS_NAN(a)), a, b);
}

#define EXTREME(op)                                                                    \
  static T NAME(op##_of)(const T *v, int64_t n, T m) {                                 \
    int64_t i = 0;                                                                     \
    if (n >= 4 * LANES) {                                                              \
      VT m0 = NAME(load)(v), m1 = NAME(load)(v + LANES);                               \
      VT m2 = NAME(load)(v + 2 * LANES), m3 = NAME(load)(v + 3 * LANES);               \
      for (i = 4 * LANES; i + 4 * LANES <= n; i += 4 * LANES) {                        \
        m0 = NAME(v##op)(m0, NAME(load)(v + i));                                       \
        m1 = NAME(v##op)(m1, NAME(load)(v + i + LANES));                               \
        m2 = NAME(v##op)(m2, NAME(load)(v + i + 2 * LANES));                           \
        m3 = NAME(v##op)(m3, NAME(load)(v + i + 3 * LANES));                           \
      }                                                                                \
      m0 = NAME(v##op)(NAME(v##op)(m0, m1), NAME(v##op)(m2, m3));                      \
      for (int k = 0; k < LANES; k++) m = (T)NAME(op##2)((A)m, (A)m0[k]);              \
    }                                                                                  \
    for (; i < n; i++) m = (T)NAME(op##2)((A)m, (A)v[i]);                              \
    return m;                                                                          \
  }                                                                                    \
  static void NAME(op##_row)(void *acc, const void *x, int64_t n, double p) {          \
    if (n <= 0) return;                                                                \
    A *a = acc;                                                                        \
    *a = NAME(op##2)(*a, (A)NAME(op##_of)(x, n, *(const T *)x));                       \
  }                                                                                    \
  static void NAME(op##_col)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    if (rows <= 0) return;                                                             \
    A *a = acc;                                                                        \
    T tile[LP_REDUCE_TILE];                                                            \
    memcpy(tile, x, (size_t)w * sizeof(T));                                            \
    for (int64_t r = 1; r < rows; r++) {                                               \
      const T *v = (const T *)x + r * ld;                                              \
      int64_t j = 0;                                                                   \
      for (; j + LANES <= w; j += LANES) {                                             \
        VT m = NAME(v##op)(NAME(load)(tile + j), NAME(load)(v + j));                   \
        memcpy(tile + j, &m, VB);                                                      \
      }                                                                                \
      for (; j < w; j++) tile[j] = (T)NAME(op##2)((A)tile[j], (A)v[j]);                \
    }                                                                                  \
    for (int64_t j = 0; j < w; j++) a[j] = NAME(op##2)(a[j], (A)tile[j]);              \
  }
EXTREME(max)
EXTREME(min)
#undef EXTREME

/* --- positions of extremes ---------------------------------------------------------------- */

/* A block's extreme is found with vectors; only a block that beats the best so far is searched. */
#define ARG_EXTREME(op, BEATS)                                                         \
  static int64_t NAME(arg##op##_row)(const void *x, int64_t n) {                       \
    const T *v = x;                                                                    \
    T best = v[0];                                                                     \
    int64_t best_at = 0;                                                               \
    if (IS_NAN(best)) return 0;                                                        \
    for (int64_t i = 0; i < n; i += 1024) {                                            \
      int64_t count = n - i < 1024 ? n - i : 1024;                                     \
      T m = NAME(op##_of)(v + i, count, v[i]);                                         \
      if (!(m BEATS best) && !IS_NAN(m)) continue;                                     \
      int64_t k = i;                                                                   \
      if (IS_NAN(m)) {                                                                 \
        while (!IS_NAN(v[k])) k++;                                                     \
        return k;                                                                      \
      }                                                                                \
      while (v[k] != m) k++;                                                           \
      best = m;                                                                        \
      best_at = k;                                                                     \
    }                                                                                  \
    return best_at;                                                                    \
  }                                                                                    \
  static void NAME(arg##op##_col)(const void *x, int64_t rows, int64_t ld, int64_t w, int64_t *index) { \
    T best[LP_REDUCE_TILE];                                                            \
    INDEX_T at[LP_REDUCE_TILE];                                                        \
    memcpy(best, x, (size_t)w * sizeof(T));                                            \
    memset(at, 0, (size_t)w * sizeof(INDEX_T));                                        \
    for (int64_t r = 1; r < rows; r++) {                                               \
      const T *restrict v = (const T *)x + r * ld;                                     \
      for (int64_t j = 0; j < w; j++) {                                                \
        T a = v[j], b = best[j];                                                       \
        int wins = (a BEATS b) | (IS_NAN(a) & !IS_NAN(b));                             \
        best[j] = wins ? a : b;                                                        \
        at[j] = wins ? (INDEX_T)r : at[j];                                             \
      }                                                                                \
    }                                                                                  \
    for (int64_t j = 0; j < w; j++) index[j] = (int64_t)at[j];                         \
  }
ARG_EXTREME(max, >)
ARG_EXTREME(min, <)
#undef ARG_EXTREME

#undef LANES
#undef IS_NAN
#undef LOWEST
#undef HIGHEST
