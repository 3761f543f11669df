/* Included by distance.c once per type: T, V(name) the function of vecmath.h on it,
 * BI(name) the compiler's, FN(name) ours, PANEL,
 * BITS an integer of the same size and SIGN its sign bit. */

enum { FN(N_VECTORS) = PANEL * sizeof(T) / LP_VECTOR_BYTES };
typedef T FN(Vec) __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef BITS FN(Bits) __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef T FN(Loaded)
    __attribute__((vector_size(LP_VECTOR_BYTES), aligned(sizeof(T)), may_alias));

/* Sums over the columns of one row of a, by `term` of the difference d and the sum s. */
#define OVER_COLUMNS(name, term)                                                         \
  static inline void FN(name)(T * sums, const T *row, int64_t m, const T *panel) {       \
    FN(Vec) s[FN(N_VECTORS)] = {{0}};                                                    \
    for (int64_t c = 0; c < m; c++, panel += PANEL) {                                    \
      const FN(Loaded) *at = (const FN(Loaded) *)panel;                                  \
      for (int k = 0; k < FN(N_VECTORS); k++) {                                          \
        FN(Vec) d = row[c] - at[k];                                                      \
        term;                                                                            \
      }                                                                                  \
    }                                                                                    \
    memcpy(sums, s, sizeof s);                                                           \
  }
#define SIZE_OF(d) ((FN(Vec))((FN(Bits))(d) & ~((FN(Bits)){0} + SIGN)))
OVER_COLUMNS(sum_squares, s[k] += d * d)
OVER_COLUMNS(sum_sizes, s[k] += SIZE_OF(d))
OVER_COLUMNS(count, s[k] -= __builtin_convertvector(d != 0, FN(Vec)))
/* A NaN enters by the first choice and stays, as no number is larger. */
OVER_COLUMNS(largest, d = SIZE_OF(d); FN(Bits) takes = (d > s[k]) | (d != d);
             s[k] = (FN(Vec))(((FN(Bits))d & takes) | ((FN(Bits))s[k] & ~takes)))
#undef OVER_COLUMNS
#undef SIZE_OF

static void FN(sum_powers)(T *sums, const T *row, int64_t m, const T *panel, T p) {
  memset(sums, 0, PANEL * sizeof(T));
  for (int64_t c = 0; c < m; c++, panel += PANEL) {
    const T x = row[c];
    for (int j = 0; j < PANEL; j++) {
      T d = x - panel[j];
      sums[j] += V(pow)(d < 0 ? -d : d, p);
    }
  }
}

static void FN(panel)(T *out, int64_t ldc, const T *a, int64_t n, int64_t m,
                      const T *panel, int64_t rows, double p) {
  _Alignas(64) T sums[PANEL];
  const T power = (T)p, root = (T)(1 / p);
  for (int64_t i = 0; i < n; i++, out += ldc, a += m) {
    if (p == 2) {
      FN(sum_squares)(sums, a, m, panel);
      for (int j = 0; j < PANEL; j++) sums[j] = BI(sqrt)(sums[j]);
    } else if (p == 1) {
      FN(sum_sizes)(sums, a, m, panel);
    } else if (p == 0) {
      FN(count)(sums, a, m, panel);
    } else if (p == INFINITY) {
      FN(largest)(sums, a, m, panel);
    } else {
      FN(sum_powers)(sums, a, m, panel, power);
      for (int j = 0; j < PANEL; j++) sums[j] = V(pow)(sums[j], root);
    }
    memcpy(out, sums, (size_t)rows * sizeof(T));
  }
}

static void FN(root)(T *c, T a, const T *b, int64_t n) {
  LP_IVDEP
  for (int64_t j = 0; j < n; j++) {
    T square = c[j] + (a + b[j]);
    c[j] = BI(sqrt)(square < 0 ? 0 : square);
  }
}

/* A stretch of columns stays in the nearest cache, or in registers, for all rows. */
enum { FN(STRETCH) = 8 * LP_VECTOR_BYTES / sizeof(T) };

#define OVER_ROWS(term)                                                                  \
  for (int64_t j = 0; j < r; j++) {                                                      \
    const T w = weights[j], *x = others + j * m + from;                                  \
    LP_IVDEP                                                                             \
    for (int64_t c = 0; c < n; c++) {                                                    \
      const T d = row[from + c] - x[c];                                                  \
      sum[c] += term;                                                                    \
    }                                                                                    \
  }

static void FN(slope)(T *to, const T *row, const T *others, const T *weights, int64_t r,
                      int64_t m, double p) {
  const T power = (T)(p - 1);
  for (int64_t from = 0; from < m; from += FN(STRETCH)) {
    const int64_t n = m - from < FN(STRETCH) ? m - from : FN(STRETCH);
    T sum[FN(STRETCH)] = {0};
    if (p == 2) {
      OVER_ROWS(w * d)
    } else if (p == 1) {
      OVER_ROWS(V(sel)(d > 0, w, V(sel)(d < 0, -w, d * w)))
    } else {
      OVER_ROWS(V(sel)(d == 0, 0, w *BI(copysign)(V(pow)(BI(fabs)(d), power), d)))
    }
    memcpy(to + from, sum, (size_t)n * sizeof(T));
  }
}
#undef OVER_ROWS

static void FN(weights)(T *to, const T *grads, const T *distances, int64_t r, double p) {
  const T power = (T)(p - 1);
  if (p == 1) {
    memcpy(to, grads, (size_t)r * sizeof(T));
  } else if (p == 2) {
    LP_IVDEP
    for (int64_t j = 0; j < r; j++)
      to[j] = V(sel)(distances[j] == 0, 0, grads[j] / distances[j]);
  } else {
    LP_IVDEP
    for (int64_t j = 0; j < r; j++)
      to[j] = V(sel)(distances[j] == 0, 0, grads[j] / V(pow)(distances[j], power));
  }
}
