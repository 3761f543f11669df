/* The loops of cpu/grid.h for one dtype; included by grid.c through nn_each.h. Positions
 * and weights are rounded to the grid's dtype at each step, as PyTorch's are: for the
 * 16-bit floats that decides which pixels are met. */

#define ROUND(v) ((A)LOAD(STORE(v)))

typedef struct TYPED(Taps) {
  int n;
  int32_t index[MAX_TAPS][BLOCK]; /* flat in the plane, -1 outside */
  A weight[MAX_TAPS][BLOCK];
} TYPED(Taps);

/* x into [0, n - 1]; *slope becomes 0 where it was outside. PyTorch takes NaN for the
 * first pixel in images and for the last in volumes. */
static inline A TYPED(clip)(const LpGridShape *s, A x, int64_t n, A *slope) {
  A high = (A)(n - 1);
  if (x != x && s->dims == 3) x = high;
  if (!(x > 0)) {
    *slope = 0;
    return 0;
  }
  if (x >= high) {
    *slope = 0;
    return high;
  }
  return x;
}

/* x mirrored at the outer pixels' centres (align_corners) or edges, then clipped. */
static inline A TYPED(reflect)(const LpGridShape *s, A x, int64_t n, A *slope) {
  bool align_corners = s->align_corners;
  A low = align_corners ? 0 : (A)-0.5, span = align_corners ? (A)(n - 1) : (A)n;
  if (span <= 0) {
    *slope = 0;
    return 0;
  }
  A away = x - low;
  if (away < 0) {
    away = -away;
    *slope = -*slope;
  }
  A flips = (A)floor((double)(away / span)), rest = (A)fmod((double)away, (double)span);
  bool odd = fmod((double)flips, 2) != 0;
  if (odd) *slope = -*slope;
  return TYPED(clip)(s, ROUND(odd ? span - rest + low : rest + low), n, slope);
}

static inline A TYPED(inward)(const LpGridShape *s, A x, int64_t n, A *slope) {
  return s->padding == LP_GRID_BORDER       ? TYPED(clip)(s, x, n, slope)
         : s->padding == LP_GRID_REFLECTION ? TYPED(reflect)(s, x, n, slope)
                                            : x;
}

/* Keys' cubic kernel with a = -0.75, differentiated `order` times, at distance d; near:
 * the polynomial of |d| <= 1. */
static inline A TYPED(cubic)(A d, bool near, int64_t order) {
  const A a = (A)-0.75;
  if (near)
    return order == 0
               ? ROUND(ROUND(ROUND(ROUND(ROUND((a + 2) * d) - (a + 3)) * d) * d) + 1)
           : order == 1 ? (3 * (a + 2) * d - 2 * (a + 3)) * d
           : order == 2 ? 6 * (a + 2) * d - 2 * (a + 3)
           : order == 3 ? 6 * (a + 2)
                        : 0;
  return order == 0
             ? ROUND(ROUND(ROUND(ROUND(ROUND(ROUND(a * d) - 5 * a) * d) + 8 * a) * d) -
                     4 * a)
         : order == 1 ? (3 * a * d - 10 * a) * d + 8 * a
         : order == 2 ? 6 * a * d - 10 * a
         : order == 3 ? 6 * a
                      : 0;
}

/* The taps along dim d for one coordinate: indices (-1 outside) and weights; their
 * number. */
static inline int TYPED(axis)(const LpGridShape *s, int d, A c, int64_t order,
                              int32_t *index, A *weight) {
  int64_t n = s->in[d];
  A slope = s->align_corners ? (A)(n - 1) / 2 : (A)n / 2, x;
  if (s->dims == 2)
    x = ROUND(ROUND(ROUND(c + 1) * ROUND(slope)) - (s->align_corners ? 0 : (A)0.5));
  else
    x = s->align_corners ? ROUND(ROUND(ROUND(c + 1) / 2) * (A)(n - 1))
                         : ROUND(ROUND(ROUND(ROUND(c + 1) * (A)n) - 1) / 2);
  if (s->mode != LP_GRID_CUBIC) x = TYPED(inward)(s, x, n, &slope);
  if (s->mode == LP_GRID_NEAREST) {
    A at = (A)nearbyint((double)x);
    index[0] = at >= 0 && at < (A)n ? (int32_t)at : -1;
    weight[0] = order == 0;
    return 1;
  }
  A base = (A)floor((double)x), t = ROUND(x - base);
  if (s->mode == LP_GRID_LINEAR) {
    for (int k = 0; k < 2; k++) {
      A at = base + (A)k;
      index[k] = at >= 0 && at < (A)n ? (int32_t)at : -1;
    }
    weight[0] = order == 0 ? ROUND(1 - t) : order == 1 ? -slope : 0;
    weight[1] = order == 0 ? t : order == 1 ? slope : 0;
    return 2;
  }
  A scale = 1;
  for (int64_t i = 0; i < order; i++) scale *= slope;
  for (int k = 0; k < 4; k++) {
    A ignored = 1, at = TYPED(inward)(s, base - 1 + (A)k, n, &ignored);
    index[k] = at >= 0 && at < (A)n ? (int32_t)at : -1;
    bool left = k < 2, near = k == 1 || k == 2;
    A distance = ROUND(k == 0 ? t + 1 : k == 1 ? t : k == 2 ? 1 - t : 2 - t);
    A w = TYPED(cubic)(distance, near, order) * scale;
    weight[k] = !left && (order & 1) ? -w : w;
  }
  return 4;
}

/* Taps of positions [at, at + m), m <= BLOCK. */
static void TYPED(make_taps)(const LpGridShape *s, const T *grid, int64_t at, int64_t m,
                             const int64_t *orders, TYPED(Taps) * taps) {
  for (int64_t j = 0; j < m; j++) {
    int32_t index[3][4] = {{0}};
    A weight[3][4];
    int each = 1;
    weight[2][0] = 1;
    for (int d = 0; d < s->dims; d++)
      each = TYPED(axis)(s, d, (A)LOAD(grid[(at + j) * s->dims + d]), orders[d], index[d],
                         weight[d]);
    int deep = s->dims == 3 ? each : 1, k = 0;
    for (int c = 0; c < deep; c++)
      for (int b = 0; b < each; b++)
        for (int a = 0; a < each; a++, k++) {
          bool inside = (index[0][a] | index[1][b] | index[2][c]) >= 0;
          A w = ROUND(weight[0][a] * weight[1][b]);
          if (s->dims == 3) w = inside ? ROUND(w * weight[2][c]) : 0;
          taps->weight[k][j] = w;
          taps->index[k][j] = inside ? (index[2][c] * (int32_t)s->in[1] + index[1][b]) *
                                               (int32_t)s->in[0] +
                                           index[0][a]
                                     : -1;
        }
    taps->n = k;
  }
}

static const int64_t TYPED(plain)[3] = {0, 0, 0};

static void TYPED(sample)(const LpGridShape *s, const void *px, const void *grid,
                          int64_t begin, int64_t end, void *py) {
  int64_t plane = s->in[0] * s->in[1] * s->in[2];
  TYPED(Taps) taps;
  A sum[BLOCK];
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    TYPED(make_taps)(s, grid, at, m, TYPED(plain), &taps);
    for (int64_t c = 0; c < s->channels; c++) {
      const A *x = (const A *)px + c * plane;
      A *y = (A *)py + c * s->positions + at;
      for (int64_t j = 0; j < m; j++) sum[j] = 0;
      for (int k = 0; k < taps.n; k++) {
        const int32_t *index = taps.index[k];
        const A *weight = taps.weight[k];
        LP_IVDEP
        for (int64_t j = 0; j < m; j++) {
          A v = x[index[j] < 0 ? 0 : index[j]];
          sum[j] += weight[j] * (index[j] < 0 ? 0 : v);
        }
      }
      for (int64_t j = 0; j < m; j++) y[j] = sum[j];
    }
  }
}

static void TYPED(grid_grad)(const LpGridShape *s, const void *px, const void *grid,
                             const void *pg, int64_t begin, int64_t end, void *pgrid) {
  int64_t plane = s->in[0] * s->in[1] * s->in[2];
  TYPED(Taps) taps;
  A sum[BLOCK];
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    for (int d = 0; d < s->dims; d++) {
      const int64_t orders[3] = {d == 0, d == 1, d == 2};
      TYPED(make_taps)(s, grid, at, m, orders, &taps);
      for (int64_t j = 0; j < m; j++) sum[j] = 0;
      for (int64_t c = 0; c < s->channels; c++) {
        const A *x = (const A *)px + c * plane;
        const A *g = (const A *)pg + c * s->positions + at;
        for (int k = 0; k < taps.n; k++) {
          const int32_t *index = taps.index[k];
          const A *weight = taps.weight[k];
          LP_IVDEP
          for (int64_t j = 0; j < m; j++) {
            A v = x[index[j] < 0 ? 0 : index[j]];
            sum[j] += g[j] * weight[j] * (index[j] < 0 ? 0 : v);
          }
        }
      }
      A *to = (A *)pgrid + at * s->dims + d;
      for (int64_t j = 0; j < m; j++) to[j * s->dims] = sum[j];
    }
  }
}

static void TYPED(input_grad)(const LpGridShape *s, const void *grid, const void *pg,
                              int64_t begin, int64_t end, void *pgx) {
  int64_t plane = s->in[0] * s->in[1] * s->in[2];
  TYPED(Taps) taps;
  for (int64_t at = 0; at < s->positions; at += BLOCK) {
    int64_t m = s->positions - at < BLOCK ? s->positions - at : BLOCK;
    TYPED(make_taps)(s, grid, at, m, TYPED(plain), &taps);
    for (int64_t c = begin; c < end; c++) {
      A *gx = (A *)pgx + c * plane;
      const A *g = (const A *)pg + c * s->positions + at;
      for (int k = 0; k < taps.n; k++)
        for (int64_t j = 0; j < m; j++)
          if (taps.index[k][j] >= 0) gx[taps.index[k][j]] += taps.weight[k][j] * g[j];
    }
  }
}

static void TYPED(weights)(const LpGridShape *s, const void *grid, const int64_t *orders,
                           int64_t begin, int64_t end, void *pw) {
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    TYPED(make_taps)(s, grid, at, m, orders, &taps);
    for (int64_t j = 0; j < m; j++)
      for (int k = 0; k < taps.n; k++)
        ((A *)pw)[(at + j) * taps.n + k] = taps.index[k][j] < 0 ? 0 : taps.weight[k][j];
  }
}

static void TYPED(indices)(const LpGridShape *s, const void *grid, int64_t begin,
                           int64_t end, int64_t *indices) {
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    TYPED(make_taps)(s, grid, at, m, TYPED(plain), &taps);
    for (int64_t j = 0; j < m; j++)
      for (int k = 0; k < taps.n; k++)
        indices[(at + j) * taps.n + k] = taps.index[k][j] < 0 ? 0 : taps.index[k][j];
  }
}

#undef ROUND
