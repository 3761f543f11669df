/* The products of gemm_half.c for one type: NAME(x), WIDEN, WIDEN_TWO, TO_FLOAT,
 * FROM_FLOAT. `rows`, those of A, are a constant at each call. */

static inline void NAME(put)(const LpHalfGemm *g, int64_t i, int64_t j, float sum) {
  const int64_t at = i * g->step_i + j * g->step_j;
  uint16_t *half = (uint16_t *)g->c + at;
  float *wide = (float *)g->c + at;
  sum *= g->alpha;
  if (g->beta != 0) sum += g->beta * (g->wide ? *wide : TO_FLOAT(*half));
  if (g->wide)
    *wide = sum;
  else
    *half = FROM_FLOAT(sum);
}

/* Dot products with `columns` columns of B, a constant, from j on. */
INLINE void NAME(dot_tile)(const LpHalfGemm *g, int64_t j, const int rows,
                           const int columns) {
  V sum[LP_HALF_ROWS][DOT_COLUMNS];
  const uint16_t *b = g->b + j * g->ldb;
  int64_t p = 0;
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int q = 0; q < columns; q++) sum[i][q] = (V){0};
  for (; p + 2 * LANES <= g->k; p += 2 * LANES)
#pragma GCC unroll 4
    for (int q = 0; q < columns; q++) {
      V first, second;
      WIDEN_TWO(b + q * g->ldb + p, &first, &second);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++) {
        const float *a = g->a + i * g->k + p;
        sum[i][q] += load(a) * first;
        sum[i][q] += load(a + LANES) * second;
      }
    }
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int q = 0; q < columns; q++) {
      float all = total(sum[i][q]);
      for (int64_t rest = p; rest < g->k; rest++)
        all += g->a[i * g->k + rest] * TO_FLOAT(b[q * g->ldb + rest]);
      NAME(put)(g, i, j + q, all);
    }
}

INLINE void NAME(dots_of)(const LpHalfGemm *g, int64_t begin, int64_t end,
                          const int rows) {
  int64_t j = begin;
  for (; j + DOT_COLUMNS <= end; j += DOT_COLUMNS)
    NAME(dot_tile)(g, j, rows, DOT_COLUMNS);
  for (; j < end; j++) NAME(dot_tile)(g, j, rows, 1);
}

/* `count` columns from j on, in `vectors` vectors; the last one may reach into the next
 * row of B, but for the last row, which is read by itself. */
INLINE void NAME(columns_of)(const LpHalfGemm *g, int64_t j, int64_t count,
                             const int rows, const int vectors) {
  V sum[LP_HALF_ROWS][IN_FLIGHT];
  uint16_t last[IN_FLIGHT * LANES] = {0};
  const uint16_t *b = g->b + j;
  memcpy(last, b + (g->k - 1) * g->ldb, (size_t)count * sizeof *b);
#pragma GCC unroll 4
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sum[i][v] = (V){0};
  for (int64_t p = 0; p < g->k; p++, b += g->ldb) {
    const uint16_t *row = p < g->k - 1 ? b : last;
    __builtin_prefetch(b + ROWS_AHEAD * g->ldb);
    if (vectors > 1) __builtin_prefetch(b + ROWS_AHEAD * g->ldb + vectors * LANES / 2);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      const V of_b = WIDEN(row + v * LANES);
#pragma GCC unroll 4
      for (int i = 0; i < rows; i++) sum[i][v] += g->a[i * g->k + p] * of_b;
    }
  }
  for (int i = 0; i < rows; i++)
    for (int q = 0; q < count; q++) NAME(put)(g, i, j + q, sum[i][q / LANES][q % LANES]);
}

INLINE void NAME(rows_of)(const LpHalfGemm *g, int64_t begin, int64_t end,
                          const int rows) {
  int64_t j = begin;
  for (; j + IN_FLIGHT * LANES <= end; j += IN_FLIGHT * LANES)
    NAME(columns_of)(g, j, IN_FLIGHT * LANES, rows, IN_FLIGHT);
  for (; j < end && g->n >= LANES; j += LANES)
    NAME(columns_of)(g, j, end - j < LANES ? end - j : LANES, rows, 1);
  for (; j < end; j++) /* rows of B shorter than a vector */
    for (int i = 0; i < rows; i++) {
      float all = 0;
      for (int64_t p = 0; p < g->k; p++)
        all += g->a[i * g->k + p] * TO_FLOAT(g->b[p * g->ldb + j]);
      NAME(put)(g, i, j, all);
    }
}

#define FOR_ROWS(name, of_rows)                                                          \
  static void name(const LpHalfGemm *g, int64_t begin, int64_t end) {                    \
    switch (g->m) {                                                                      \
    case 1: of_rows(g, begin, end, 1); break;                                            \
    case 2: of_rows(g, begin, end, 2); break;                                            \
    case 3: of_rows(g, begin, end, 3); break;                                            \
    default: of_rows(g, begin, end, LP_HALF_ROWS);                                       \
    }                                                                                    \
  }
FOR_ROWS(NAME(dots), NAME(dots_of))
FOR_ROWS(NAME(rows), NAME(rows_of))

#undef FOR_ROWS
#undef NAME
#undef WIDEN
#undef WIDEN_TWO
#undef TO_FLOAT
#undef FROM_FLOAT
