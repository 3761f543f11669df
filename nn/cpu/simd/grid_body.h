/* The loops of cpu/grid.h for one dtype; included by grid.c through nn_each.h. Positions
 * and weights are rounded to the grid's dtype at each step, as PyTorch's are: for the
 * 16-bit floats that decides which pixels are met. */

#define ROUND(v) ((A)LOAD(STORE(v)))

/* Of a block of positions, however many of them count. */
typedef struct TYPED(Taps) {
  _Alignas(64) int32_t index[MAX_TAPS][BLOCK]; /* flat in the plane, 0 outside */
  int32_t inside[MAX_TAPS][BLOCK];             /* all bits, or none */
  A weight[MAX_TAPS][BLOCK];
  int n;
} TYPED(Taps);

/* Taps along one dim. */
typedef struct TYPED(Axis) {
  _Alignas(64) int32_t index[4][BLOCK]; /* -1 outside */
  A weight[4][BLOCK];
  int n;
} TYPED(Axis);

/* x into [0, n - 1]; slope becomes 0 where it was outside. PyTorch takes NaN for the
 * first pixel in images and for the last in volumes. */
static void TYPED(clip)(const LpGridShape *s, A *x, int64_t n, A *slope) {
  const A high = (A)(n - 1), none = s->dims == 3 ? high : 0;
  for (int j = 0; j < BLOCK; j++) {
    const A v = x[j] != x[j] ? none : x[j];
    slope[j] = (v > 0) & (v < high) ? slope[j] : 0;
    x[j] = v > 0 ? (v < high ? v : high) : 0;
  }
}

/* x mirrored at the outer pixels' centres (align_corners) or edges, then clipped. */
static void TYPED(reflect)(const LpGridShape *s, A *x, int64_t n, A *slope) {
  const bool align_corners = s->align_corners;
  const A low = align_corners ? 0 : (A)-0.5, span = align_corners ? (A)(n - 1) : (A)n;
  if (span <= 0) {
    memset(x, 0, BLOCK * sizeof *x);
    memset(slope, 0, BLOCK * sizeof *slope);
    return;
  }
  A away[BLOCK], signs[BLOCK];
  int far = 0;
  for (int j = 0; j < BLOCK; j++) {
    A v = x[j] - low;
    signs[j] = v < 0 ? -slope[j] : slope[j];
    away[j] = v = v < 0 ? -v : v;
    const bool odd = v >= span;
    x[j] = ROUND(odd ? span - (v - span) + low : v + low);
    slope[j] = odd ? -signs[j] : signs[j];
    far |= v >= 2 * span;
  }
  for (int j = 0; far && j < BLOCK; j++) { /* more than one image away */
    if (!(away[j] >= 2 * span)) continue;
    const A flips = (A)floor((double)(away[j] / span)),
            rest = (A)fmod((double)away[j], (double)span);
    const bool odd = fmod((double)flips, 2) != 0;
    x[j] = ROUND(odd ? span - rest + low : rest + low);
    slope[j] = odd ? -signs[j] : signs[j];
  }
  TYPED(clip)(s, x, n, slope);
}

static void TYPED(inward)(const LpGridShape *s, A *x, int64_t n, A *slope) {
  if (s->padding == LP_GRID_BORDER) TYPED(clip)(s, x, n, slope);
  if (s->padding == LP_GRID_REFLECTION) TYPED(reflect)(s, x, n, slope);
}

/* Keys' cubic kernel with a = -0.75, differentiated `order` times: the polynomial of the
 * distances up to 1 (near), or of those from 1 to 2, from the highest power down. */
static void TYPED(cubic)(bool near, int64_t order, A *p) {
  const A a = (A)-0.75;
  const A first[4] = {a + 2, -(a + 3), 0, 1}, second[4] = {a, -5 * a, 8 * a, -4 * a};
  memcpy(p, near ? first : second, sizeof first);
  for (; order > 0; order--) {
    p[3] = p[2];
    p[2] = 2 * p[1];
    p[1] = 3 * p[0];
    p[0] = 0;
  }
}

static inline int32_t TYPED(pixel)(A at, int64_t n) {
  return (int32_t)((at >= 0) & (at < (A)n) ? at : -1);
}

/* m positions' coordinates apart; zeros after them. */
static void TYPED(spread)(const LpGridShape *s, const T *grid, int64_t m,
                          T (*coordinates)[BLOCK]) {
  if (m == BLOCK && s->dims == 2) {
    for (int j = 0; j < BLOCK; j++) {
      coordinates[0][j] = grid[2 * j];
      coordinates[1][j] = grid[2 * j + 1];
    }
    return;
  }
  for (int d = 0; d < s->dims; d++)
    for (int64_t j = 0; j < BLOCK; j++)
      coordinates[d][j] = j < m ? grid[j * s->dims + d] : 0;
}

/* The positions c along dim d in pixels, and how fast they move with the coordinates. */
static void TYPED(place)(const LpGridShape *s, int d, const T *c, A *x, A *slope) {
  const A n = (A)s->in[d], half = s->align_corners ? (n - 1) / 2 : n / 2;
  for (int j = 0; j < BLOCK; j++) {
    const A from_left = ROUND((A)LOAD(c[j]) + 1);
    slope[j] = half;
    if (s->dims == 2)
      x[j] = ROUND(ROUND(from_left * ROUND(half)) - (s->align_corners ? 0 : (A)0.5));
    else
      x[j] = s->align_corners ? ROUND(ROUND(from_left / 2) * (n - 1))
                              : ROUND(ROUND(ROUND(from_left * n) - 1) / 2);
  }
}

/* The taps along dim d of positions c, with weights differentiated `order` times. */
static void TYPED(make_axis)(const LpGridShape *s, int d, const T *c, int64_t order,
                             TYPED(Axis) * axis) {
  const int64_t n = s->in[d];
  A x[BLOCK], slope[BLOCK], base[BLOCK], t[BLOCK];
  TYPED(place)(s, d, c, x, slope);
  if (s->mode != LP_GRID_CUBIC) TYPED(inward)(s, x, n, slope);
  if (s->mode == LP_GRID_NEAREST) {
    axis->n = 1;
    for (int j = 0; j < BLOCK; j++) {
      axis->index[0][j] = TYPED(pixel)((A)ROUND_EVEN(x[j]), n);
      axis->weight[0][j] = order == 0;
    }
    return;
  }
  for (int j = 0; j < BLOCK; j++) {
    base[j] = (A)FLOOR(x[j]);
    t[j] = ROUND(x[j] - base[j]);
  }
  if (s->mode == LP_GRID_LINEAR) {
    axis->n = 2;
    for (int j = 0; j < BLOCK; j++) {
      axis->index[0][j] = TYPED(pixel)(base[j], n);
      axis->index[1][j] = TYPED(pixel)(base[j] + 1, n);
      axis->weight[0][j] = order == 0 ? ROUND(1 - t[j]) : order == 1 ? -slope[j] : 0;
      axis->weight[1][j] = order == 0 ? t[j] : order == 1 ? slope[j] : 0;
    }
    return;
  }
  axis->n = 4;
  A scale[BLOCK];
  for (int j = 0; j < BLOCK; j++) scale[j] = 1;
  for (int64_t i = 0; i < order; i++)
    for (int j = 0; j < BLOCK; j++) scale[j] *= slope[j];
  for (int k = 0; k < 4; k++) {
    const bool left = k < 2, near = k == 1 || k == 2;
    const A sign = left ? 1 : -1, side = order & 1 ? sign : 1;
    A at[BLOCK], ignored[BLOCK] = {0}, p[4];
    for (int j = 0; j < BLOCK; j++) at[j] = base[j] - 1 + (A)k;
    TYPED(inward)(s, at, n, ignored);
    TYPED(cubic)(near, order, p);
    for (int j = 0; j < BLOCK; j++) {
      const A distance = ROUND(sign * t[j] + sign * (A)(1 - k));
      A w = ROUND(p[0] * distance);
      for (int i = 1; i < 4; i++) w = ROUND(ROUND(w + p[i]) * (i < 3 ? distance : 1));
      axis->weight[k][j] = w * scale[j] * side;
    }
    for (int j = 0; j < BLOCK; j++) axis->index[k][j] = TYPED(pixel)(at[j], n);
  }
}

/* Taps of m <= BLOCK positions. */
static void TYPED(make_taps)(const LpGridShape *s, const T *grid, int64_t m,
                             const int64_t *orders, TYPED(Taps) * taps) {
  TYPED(Axis) axis[3];
  T coordinates[3][BLOCK];
  TYPED(spread)(s, grid, m, coordinates);
  axis[2].n = 1;
  memset(axis[2].index[0], 0, sizeof axis[2].index[0]);
  for (int d = 0; d < s->dims; d++)
    TYPED(make_axis)(s, d, coordinates[d], orders[d], &axis[d]);
  const int32_t width = (int32_t)s->in[0], height = (int32_t)s->in[1];
  taps->n = 0;
  for (int c = 0; c < axis[2].n; c++)
    for (int b = 0; b < axis[1].n; b++)
      for (int a = 0; a < axis[0].n; a++) {
        const int32_t *x = axis[0].index[a], *y = axis[1].index[b], *z = axis[2].index[c];
        const A *wx = axis[0].weight[a], *wy = axis[1].weight[b], *wz = axis[2].weight[c];
        const int k = taps->n++;
        for (int j = 0; j < BLOCK; j++) {
          const bool inside = (x[j] | y[j] | z[j]) >= 0;
          taps->inside[k][j] = -(int32_t)inside;
          taps->index[k][j] = inside ? (z[j] * height + y[j]) * width + x[j] : 0;
          taps->weight[k][j] = ROUND(wx[j] * wy[j]);
        }
        if (s->dims == 2) continue;
        for (int j = 0; j < BLOCK; j++)
          taps->weight[k][j] = taps->inside[k][j] ? ROUND(taps->weight[k][j] * wz[j]) : 0;
      }
}

static const int64_t TYPED(plain)[3] = {0, 0, 0};
static const A TYPED(zeros)[COLUMNS];

static void TYPED(sample)(const LpGridShape *s, const void *px, const void *grid,
                          int64_t begin, int64_t end, void *py) {
  int64_t plane = s->in[0] * s->in[1] * s->in[2];
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    TYPED(make_taps)(s, (const T *)grid + at * s->dims, m, TYPED(plain), &taps);
    for (int64_t c = 0; c < s->channels; c++) {
      const A *x = (const A *)px + c * plane;
      A sum[BLOCK] = {0}, v[BLOCK];
      for (int k = 0; k < taps.n; k++) {
        LOOK_UP(v, x, taps.index[k], taps.inside[k]);
        for (int j = 0; j < BLOCK; j++) sum[j] += taps.weight[k][j] * v[j];
      }
      memcpy((A *)py + c * s->positions + at, sum, (size_t)m * sizeof *sum);
    }
  }
}

/* ggrid of m positions from dots[k][j]: the sums over channels of g times tap k's value.
 */
static void TYPED(combine)(const LpGridShape *s, const T *grid, int64_t m,
                           A (*dots)[BLOCK], TYPED(Taps) * taps, A *ggrid) {
  for (int d = 0; d < s->dims; d++) {
    const int64_t orders[3] = {d == 0, d == 1, d == 2};
    TYPED(make_taps)(s, grid, m, orders, taps);
    A sum[BLOCK] = {0};
    for (int k = 0; k < taps->n; k++)
      for (int j = 0; j < BLOCK; j++) sum[j] += taps->weight[k][j] * dots[k][j];
    for (int64_t j = 0; j < m; j++) ggrid[j * s->dims + d] = sum[j];
  }
}

static void TYPED(grid_grad)(const LpGridShape *s, const void *px, const void *pgrid,
                             const void *pg, int64_t begin, int64_t end, void *pggrid) {
  int64_t plane = s->in[0] * s->in[1] * s->in[2];
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    const T *grid = (const T *)pgrid + at * s->dims;
    A dots[MAX_TAPS][BLOCK], g[BLOCK] = {0}, v[BLOCK];
    TYPED(make_taps)(s, grid, m, TYPED(plain), &taps);
    memset(dots, 0, (size_t)taps.n * sizeof *dots);
    for (int64_t c = 0; c < s->channels; c++) {
      const A *x = (const A *)px + c * plane;
      memcpy(g, (const A *)pg + c * s->positions + at, (size_t)m * sizeof *g);
      for (int k = 0; k < taps.n; k++) {
        LOOK_UP(v, x, taps.index[k], taps.inside[k]);
        for (int j = 0; j < BLOCK; j++) dots[k][j] += g[j] * v[j];
      }
    }
    TYPED(combine)(s, grid, m, dots, &taps, (A *)pggrid + at * s->dims);
  }
}

static void TYPED(input_grad)(const LpGridShape *s, const void *grid, const void *pg,
                              int64_t begin, int64_t end, void *pgx) {
  int64_t plane = s->in[0] * s->in[1] * s->in[2];
  TYPED(Taps) taps;
  for (int64_t at = 0; at < s->positions; at += BLOCK) {
    int64_t m = s->positions - at < BLOCK ? s->positions - at : BLOCK;
    TYPED(make_taps)(s, (const T *)grid + at * s->dims, m, TYPED(plain), &taps);
    for (int64_t c = begin; c < end; c++) {
      A *gx = (A *)pgx + c * plane;
      const A *g = (const A *)pg + c * s->positions + at;
      for (int k = 0; k < taps.n; k++)
        for (int64_t j = 0; j < m; j++)
          if (taps.inside[k][j]) gx[taps.index[k][j]] += taps.weight[k][j] * g[j];
    }
  }
}

/* --- images that lie channels last */

/* Channels from c on of tap k of position j: zeros where it is outside. */
static inline const A *TYPED(tap_at)(const LpGridShape *s, const A *x,
                                     const TYPED(Taps) * taps, int k, int64_t j,
                                     int64_t c) {
  return taps->inside[k][j] ? x + taps->index[k][j] * s->channels + c : TYPED(zeros);
}

/* y of m channels, 0 before tap 0, += n weighted taps of position j. */
static inline __attribute__((always_inline)) void
TYPED(add_taps)(const LpGridShape *s, const A *x, const TYPED(Taps) * taps, int k,
                const int n, int64_t j, int64_t c, int64_t m, A *y) {
  const A *row[4];
  A w[4];
  for (int i = 0; i < n; i++) {
    row[i] = TYPED(tap_at)(s, x, taps, k + i, j, c);
    w[i] = taps->weight[k + i][j];
  }
  LP_IVDEP
  for (int64_t i = 0; i < m; i++) {
    A total = k > 0 ? y[i] : 0;
    for (int t = 0; t < n; t++) total += w[t] * row[t][i];
    y[i] = total;
  }
}

static void TYPED(sample_last)(const LpGridShape *s, const void *px, const void *grid,
                               int64_t begin, int64_t end, void *py) {
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    TYPED(make_taps)(s, (const T *)grid + at * s->dims, m, TYPED(plain), &taps);
    for (int64_t j = 0; j < m; j++)
      for (int64_t c = 0; c < s->channels; c += COLUMNS) {
        const int64_t width = s->channels - c < COLUMNS ? s->channels - c : COLUMNS;
        A *y = (A *)py + (at + j) * s->channels + c;
        if (taps.n == 1) TYPED(add_taps)(s, px, &taps, 0, 1, j, c, width, y);
        for (int k = 0; k + 4 <= taps.n; k += 4)
          TYPED(add_taps)(s, px, &taps, k, 4, j, c, width, y);
      }
  }
}

static void TYPED(grid_grad_last)(const LpGridShape *s, const void *px, const void *pgrid,
                                  const void *pg, int64_t begin, int64_t end,
                                  void *pggrid) {
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    const T *grid = (const T *)pgrid + at * s->dims;
    A dots[MAX_TAPS][BLOCK];
    TYPED(make_taps)(s, grid, m, TYPED(plain), &taps);
    memset(dots, 0, (size_t)taps.n * sizeof *dots);
    for (int64_t j = 0; j < m; j++)
      for (int64_t c0 = 0; c0 < s->channels; c0 += COLUMNS) {
        const int64_t width = s->channels - c0 < COLUMNS ? s->channels - c0 : COLUMNS;
        const A *g = (const A *)pg + (at + j) * s->channels + c0;
        for (int k = 0; k < taps.n; k++) {
          const A *x = TYPED(tap_at)(s, px, &taps, k, j, c0);
          A dot = 0;
#pragma omp simd reduction(+ : dot)
          for (int64_t c = 0; c < width; c++) dot += g[c] * x[c];
          dots[k][j] += dot;
        }
      }
    TYPED(combine)(s, grid, m, dots, &taps, (A *)pggrid + at * s->dims);
  }
}

static void TYPED(input_grad_last)(const LpGridShape *s, const void *grid, const void *pg,
                                   int64_t begin, int64_t end, void *pgx) {
  TYPED(Taps) taps;
  for (int64_t at = 0; at < s->positions; at += BLOCK) {
    int64_t m = s->positions - at < BLOCK ? s->positions - at : BLOCK;
    TYPED(make_taps)(s, (const T *)grid + at * s->dims, m, TYPED(plain), &taps);
    for (int64_t j = 0; j < m; j++) {
      const A *g = (const A *)pg + (at + j) * s->channels;
      for (int k = 0; k < taps.n; k++) {
        if (!taps.inside[k][j]) continue;
        A *gx = (A *)pgx + taps.index[k][j] * s->channels;
        const A w = taps.weight[k][j];
        LP_IVDEP
        for (int64_t c = begin; c < end; c++) gx[c] += w * g[c];
      }
    }
  }
}

static void TYPED(weights)(const LpGridShape *s, const void *grid, const int64_t *orders,
                           int64_t begin, int64_t end, void *pw) {
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    TYPED(make_taps)(s, (const T *)grid + at * s->dims, m, orders, &taps);
    for (int64_t j = 0; j < m; j++)
      for (int k = 0; k < taps.n; k++)
        ((A *)pw)[(at + j) * taps.n + k] = taps.inside[k][j] ? taps.weight[k][j] : 0;
  }
}

static void TYPED(indices)(const LpGridShape *s, const void *grid, int64_t begin,
                           int64_t end, int64_t *indices) {
  TYPED(Taps) taps;
  for (int64_t at = begin; at < end; at += BLOCK) {
    int64_t m = end - at < BLOCK ? end - at : BLOCK;
    TYPED(make_taps)(s, (const T *)grid + at * s->dims, m, TYPED(plain), &taps);
    for (int64_t j = 0; j < m; j++)
      for (int k = 0; k < taps.n; k++) indices[(at + j) * taps.n + k] = taps.index[k][j];
  }
}

#undef ROUND
