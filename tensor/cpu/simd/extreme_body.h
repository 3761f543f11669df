/* Extremes of one compute type; included by reduce.c once per type with
 *   T      element type, A accumulator type, MASK_T the signed integer of T's size,
 *   NAME(x) the function's name for this type, IS_FLOAT 0 or 1, INDEX_T holds a row's number. */

#define LANES LP_LANES(T)

#if IS_FLOAT
#define IS_NAN(x) ((x) != (x))
#define ONE_IS_NAN(a, b) __builtin_isunordered(a, b)
#define A_NAN (T) NAN
#define LOWEST (-INFINITY)
#define HIGHEST INFINITY
#else
#define IS_NAN(x) 0
#define ONE_IS_NAN(a, b) 0
#define A_NAN 0
#define LOWEST INT64_MIN
#define HIGHEST INT64_MAX
#endif

static void NAME(max_init)(void *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((A *)acc)[i] = (A)LOWEST;
}
static void NAME(min_init)(void *acc, int64_t n) {
  for (int64_t i = 0; i < n; i++) ((A *)acc)[i] = (A)HIGHEST;
}

/* Elements that a step compares with the best of as many columns; it takes two rows of them. */
#define STEP (2 * LANES)
#define PRAGMA(text) _Pragma(#text)

/* The best of numbers is one instruction, so NaN is looked for apart. The last step ends with the elements:
 * one that is compared twice does no harm. Of bytes a step would be so many that gcc jams the loops, and leaves
 * them scalar; a vector of bests is enough for them. Columns go row by row, in a function lest gcc jams these
 * loops: memory serves one row faster than several side by side. */
#define EXTREME(op, BEATS)                                                             \
  static inline A NAME(op##2)(A a, A b) { return (a BEATS b) | IS_NAN(a) ? a : b; }    \
  static void NAME(op##_merge)(void *acc, const void *other, int64_t n) {              \
    A *a = acc;                                                                        \
    for (int64_t i = 0; i < n; i++) a[i] = NAME(op##2)(a[i], ((const A *)other)[i]);   \
  }                                                                                    \
  static __attribute__((noinline)) T NAME(op##_of_many)(const T *v, int64_t n) {       \
    T best = v[0];                                                                     \
    T tops[STEP];                                                                      \
    MASK_T nans[STEP] = {0}, nan = 0;                                                  \
    memcpy(tops, v, sizeof tops);                                                      \
    for (int64_t i = 0; i < n; i += 2 * STEP) {                                        \
      const T *x = v + (i < n - 2 * STEP ? i : n - 2 * STEP);                          \
      PRAGMA(omp simd)                                                                 \
      for (int k = 0; k < STEP; k++) {                                                 \
        const T a = x[k], b = x[STEP + k], c = a BEATS b ? a : b;                      \
        tops[k] = c BEATS tops[k] ? c : tops[k];                                       \
        nans[k] |= ONE_IS_NAN(a, b) ? -1 : 0;                                          \
      }                                                                                \
    }                                                                                  \
    PRAGMA(omp simd reduction(op : best) reduction(| : nan))                           \
    for (int k = 0; k < STEP; k++) {                                                   \
      best = tops[k] BEATS best ? tops[k] : best;                                      \
      nan |= nans[k];                                                                  \
    }                                                                                  \
    return nan ? A_NAN : best;                                                         \
  }                                                                                    \
  static T NAME(op##_of)(const T *v, int64_t n) {                                      \
    T best = v[0];                                                                     \
    if (sizeof(T) == 1) {                                                              \
      PRAGMA(omp simd reduction(op : best))                                            \
      for (int64_t i = 1; i < n; i++) best = v[i] BEATS best ? v[i] : best;            \
      return best;                                                                     \
    }                                                                                  \
    if (n >= 2 * STEP) return NAME(op##_of_many)(v, n);                                \
    for (int64_t i = 1; i < n; i++) best = (best BEATS v[i]) | IS_NAN(best) ? best : v[i]; \
    return best;                                                                       \
  }                                                                                    \
  static void NAME(op##_row)(void *acc, const void *x, int64_t n, double p) {          \
    if (n <= 0) return;                                                                \
    A *a = acc;                                                                        \
    *a = NAME(op##2)(*a, (A)NAME(op##_of)(x, n));                                      \
  }                                                                                    \
  static __attribute__((noinline)) void NAME(op##_with)(T *to, const T *u, const T *v, int64_t w) { \
    LP_IVDEP                                                                           \
    for (int64_t j = 0; j < w; j++) {                                                  \
      const T m = v[j] BEATS u[j] ? v[j] : u[j];                                       \
      to[j] = IS_NAN(v[j]) ? v[j] : m;                                                 \
    }                                                                                  \
  }                                                                                    \
  static void NAME(op##_whole)(void *to, const void *x, int64_t rows, int64_t ld, int64_t w) { \
    const T *v = x;                                                                    \
    if (rows == 1) memcpy(to, v, (size_t)w * sizeof(T));                               \
    if (rows > 1) NAME(op##_with)(to, v, v + ld, w);                                   \
    for (int64_t r = 2; r < rows; r++) NAME(op##_with)(to, to, v + r * ld, w);         \
  }                                                                                    \
  static void NAME(op##_col)(void *acc, const void *x, int64_t rows, int64_t ld, int64_t w, double p) { \
    if (rows <= 0) return;                                                             \
    A *restrict best = acc;                                                            \
    T tile[LP_REDUCE_TILE];                                                            \
    NAME(op##_whole)(tile, x, rows, ld, w);                                            \
    for (int64_t j = 0; j < w; j++) best[j] = NAME(op##2)(best[j], (A)tile[j]);        \
  }
EXTREME(max, >)
EXTREME(min, <)
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
      T m = NAME(op##_of)(v + i, count);                                               \
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
#undef STEP
#undef PRAGMA
#undef IS_NAN
#undef ONE_IS_NAN
#undef A_NAN
#undef LOWEST
#undef HIGHEST
