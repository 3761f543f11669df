/* One element type of lu_small.c: T, and INT, the integers of its size. Element (i, j) of
 * a vector of matrices is the vector a[i * row + j * column]. */

#define V TYPE(Vector)
#define M TYPE(Mask)
#define L LP_LANES(T)

typedef T V __attribute__((vector_size(LP_VECTOR_BYTES)));
typedef INT M __attribute__((vector_size(LP_VECTOR_BYTES)));

static inline V FN(choose)(M mask, V yes, V no) {
  return (V)((mask & (M)yes) | (~mask & (M)no));
}

static inline V FN(modulus)(V v) {
  const M sign = (M)(-(V){0});
  return (V)((M)v & ~sign);
}

/* Lane by lane the rows k and `other` (which is k or comes after it) change places. */
static inline void FN(swap_rows)(V *a, int row, int column, int n, int columns, int k,
                                 M other) {
  for (int j = 0; j < columns; j++) {
    const V old = a[k * row + j * column];
    V found = old;
    for (int i = k + 1; i < n; i++) {
      V *p = &a[i * row + j * column];
      const M here = other == (INT)i;
      found = FN(choose)(here, *p, found);
      *p = FN(choose)(here, old, *p);
    }
    a[k * row + j * column] = found;
  }
}

static void FN(factor)(V *a, int row, int column, int n, M *pivots, M *info) {
  *info = (M){0};
  for (int k = 0; k < n; k++) {
    V largest = FN(modulus)(a[k * row + k * column]);
    M where = (M){0} + (INT)k;
    for (int i = k + 1; i < n; i++) {
      const V size = FN(modulus)(a[i * row + k * column]);
      const M more = size > largest;
      largest = FN(choose)(more, size, largest);
      where = (more & (INT)i) | (~more & where);
    }
    pivots[k] = where;
    FN(swap_rows)(a, row, column, n, n, k, where);
    const V pivot = a[k * row + k * column];
    const M zero = pivot == 0;
    *info |= zero & (*info == 0) & (INT)(k + 1);
    const V divisor = FN(choose)(zero, (V){0} + 1, pivot);
    for (int i = k + 1; i < n; i++) {
      const V l = a[i * row + k * column] / divisor;
      a[i * row + k * column] = l;
      for (int j = k + 1; j < n; j++)
        a[i * row + j * column] -= l * a[k * row + j * column];
    }
  }
}

/* x, n rows of `columns`, from the factors. */
static void FN(substitute)(const V *lu, int row, int column, int n, const M *pivots, V *x,
                           int x_row, int x_column, int columns) {
  for (int k = 0; k < n; k++) FN(swap_rows)(x, x_row, x_column, n, columns, k, pivots[k]);
  for (int k = 0; k < n; k++)
    for (int i = k + 1; i < n; i++) {
      const V l = lu[i * row + k * column];
      for (int j = 0; j < columns; j++)
        x[i * x_row + j * x_column] -= l * x[k * x_row + j * x_column];
    }
  for (int k = n - 1; k >= 0; k--) {
    const V pivot = lu[k * row + k * column];
    for (int j = 0; j < columns; j++) x[k * x_row + j * x_column] /= pivot;
    for (int i = 0; i < k; i++) {
      const V u = lu[i * row + k * column];
      for (int j = 0; j < columns; j++)
        x[i * x_row + j * x_column] -= u * x[k * x_row + j * x_column];
    }
  }
}

/* `count` matrices of so many elements into the lanes, and back. Lanes without a matrix
 * hold zeros. */
static void FN(gather)(V *lanes, const T *from, int64_t count, int64_t elems) {
  if (count < L) memset(lanes, 0, (size_t)elems * sizeof *lanes);
  TRANSPOSE((char *)lanes, L, (const char *)from, elems, count, elems);
}
static void FN(scatter)(T *to, const V *lanes, int64_t count, int64_t elems) {
  TRANSPOSE((char *)to, elems, (const char *)lanes, L, elems, count);
}

static void FN(groups)(const LpSmallLu *g, int64_t begin, int64_t end) {
  V a[MAX * MAX], x[MAX * MAX];
  M pivots[MAX], info;
  const int n = g->n, row = g->left ? n : 1, column = g->left ? 1 : n;
  const int64_t a_elems = (int64_t)n * n, x_elems = (int64_t)n * g->n_rhs;
  for (int64_t group = begin; group < end; group++) {
    const int64_t first = group * L;
    const int64_t count = g->count - first < L ? g->count - first : L;
    FN(gather)(a, (const T *)g->a + first * a_elems, count, a_elems);
    FN(factor)(a, row, column, n, pivots, &info);
    if (g->lu) FN(scatter)((T *)g->lu + first * a_elems, a, count, a_elems);
    for (int64_t i = 0; g->info && i < count; i++) g->info[first + i] = (int)info[i];
    for (int64_t i = 0; g->pivots && i < count; i++)
      for (int k = 0; k < n; k++) g->pivots[(first + i) * n + k] = (int)pivots[k][i] + 1;
    if (!g->x) continue;
    T *solution = (T *)g->x + first * x_elems;
    if (g->identity)
      for (int64_t i = 0; i < x_elems; i++) x[i] = (V){0} + (T)(i % (n + 1) == 0);
    else
      FN(gather)(x, solution, count, x_elems);
    FN(substitute)
    (a, row, column, n, pivots, x, g->left ? g->n_rhs : 1, g->left ? 1 : n, g->n_rhs);
    FN(scatter)(solution, x, count, x_elems);
  }
}

#undef V
#undef M
#undef L
