/* Recurrent nets for one dtype T: packed products and the elementwise half of each kind
 * of step. Included by rnn.c. */

typedef T TYPED(V) __attribute__((vector_size(LP_VECTOR_BYTES)));
#define V TYPED(V)
#define LANES LP_LANES(T)

static inline V TYPED(load)(const T *p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}

/* --- products --------------------------------------------------------------------------
 */

static void TYPED(pack)(const LpRnnPanels *to, int64_t p, const void *source,
                        int64_t row_step, int64_t column_step) {
  const int64_t width = (int64_t)to->vectors * LANES;
  T *panel = (T *)to->data + p * to->k * width;
  for (int v = 0; v < to->vectors; v++) {
    const int64_t unit = to->apart ? p * to->units : p * to->units + v * LANES;
    const int64_t column = to->apart ? v * to->apart + unit : unit;
    int64_t here = to->columns - unit;
    here = here < 0 ? 0 : here > LANES ? LANES : here;
    const T *from = (const T *)source + column * column_step;
    T *at = panel + v * LANES;
    if (column_step == 1) {
      for (int64_t row = 0; row < to->k; row++)
        memcpy(at + row * width, from + row * row_step, (size_t)here * sizeof(T));
    }
    /* A block of rows stays in the nearest cache while it is turned over. */
    for (int64_t block = 0; column_step != 1 && block < to->k; block += LANES) {
      const int64_t end = to->k - block < LANES ? to->k : block + LANES;
      for (int64_t lane = 0; lane < here; lane++)
        for (int64_t row = block; row < end; row++)
          at[row * width + lane] = from[row * row_step + lane * column_step];
    }
    for (int64_t row = 0; here < LANES && row < to->k; row++)
      memset(at + row * width + here, 0, (size_t)(LANES - here) * sizeof(T));
  }
}

/* `rows` rows and `vectors` vectors of C; both are constants where this is inlined, so
 * that the accumulators are registers. `lanes`: of the last vector that exist. */
static inline __attribute__((always_inline)) void
TYPED(tile)(const int rows, const int vectors, const T *a, int64_t lda, int64_t k,
            const T *b, T *c, int64_t ldc, int64_t apart, unsigned add) {
  V sum[MAX_ROWS][4];
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sum[i][v] = (V){0};
  /* The shorter side of a tile stays in registers: 3 x 4 sums leave 4 of AVX2's. */
  for (int64_t p = 0; p < k && rows < vectors; p++) {
    V x[MAX_ROWS];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) x[i] = a[i * lda + p] - (V){0};
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      const V column = TYPED(load)(b + v * LANES);
#pragma GCC unroll 12
      for (int i = 0; i < rows; i++) sum[i][v] += x[i] * column;
    }
    b += vectors * LANES;
  }
  for (int64_t p = 0; p < k && rows >= vectors; p++) {
    V column[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) column[v] = TYPED(load)(b + v * LANES);
    b += vectors * LANES;
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
      const T x = a[i * lda + p];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) sum[i][v] += x * column[v];
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
      T *to = c + i * ldc + v * apart;
      V value = sum[i][v];
      if (add >> v & 1) value += TYPED(load)(to);
      memcpy(to, &value, sizeof value);
    }
  }
}

#define TILE(rows, vectors)                                                              \
  static void TYPED(tile_##rows##_##vectors)(const T *a, int64_t lda, int64_t k,         \
                                             const T *b, T *c, int64_t ldc,              \
                                             int64_t apart, unsigned add) {              \
    TYPED(tile)(rows, vectors, a, lda, k, b, c, ldc, apart, add);                        \
  }
TILE(1, 2)
TILE(2, 2)
TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(1, 3) TILE(2, 3) TILE(3, 3) TILE(4, 3)
    TILE(1, 4) TILE(2, 4) TILE(3, 4)
#if ACCUMULATORS == 24
        TILE(7, 2) TILE(8, 2) TILE(9, 2) TILE(10, 2) TILE(11, 2) TILE(12, 2) TILE(5, 3)
            TILE(6, 3) TILE(7, 3) TILE(8, 3) TILE(4, 4) TILE(5, 4) TILE(6, 4)
#endif

                typedef void (*TYPED(Tile))(const T *, int64_t, int64_t, const T *, T *,
                                            int64_t, int64_t, unsigned);
#define AT(rows, vectors) TYPED(tile_##rows##_##vectors)
static const TYPED(Tile) TYPED(tiles)[3][MAX_ROWS] = {
#if ACCUMULATORS == 24
    {AT(1, 2), AT(2, 2), AT(3, 2), AT(4, 2), AT(5, 2), AT(6, 2), AT(7, 2), AT(8, 2),
     AT(9, 2), AT(10, 2), AT(11, 2), AT(12, 2)},
    {AT(1, 3), AT(2, 3), AT(3, 3), AT(4, 3), AT(5, 3), AT(6, 3), AT(7, 3), AT(8, 3)},
    {AT(1, 4), AT(2, 4), AT(3, 4), AT(4, 4), AT(5, 4), AT(6, 4)},
#else
    {AT(1, 2), AT(2, 2), AT(3, 2), AT(4, 2), AT(5, 2), AT(6, 2)},
    {AT(1, 3), AT(2, 3), AT(3, 3), AT(4, 3)},
    {AT(1, 4), AT(2, 4), AT(3, 4)},
#endif
};
#undef AT
#undef TILE

static void TYPED(product)(const LpRnnPanels *b, int64_t p, const void *pa, int64_t lda,
                           int64_t rows, void *pc, int64_t ldc, unsigned add) {
  const int vectors = b->vectors;
  const int64_t width = (int64_t)vectors * LANES, most = ACCUMULATORS / vectors;
  const int64_t tiles = (rows + most - 1) / most;
  const T *a = pa, *panel = (const T *)b->data + p * b->k * width;
  const int64_t unit = p * b->units, apart = b->apart ? b->apart : LANES;
  T *c = (T *)pc + unit;
  const bool whole = b->columns - unit >= b->units;
  for (int64_t t = 0, done = 0; t < tiles; t++) {
    /* Of nearly equal height. */
    const int64_t n = (rows - done + tiles - t - 1) / (tiles - t);
    const TYPED(Tile) tile = TYPED(tiles)[vectors - 2][n - 1];
    if (whole) {
      tile(a + done * lda, lda, b->k, panel, c + done * ldc, ldc, apart, add);
    } else { /* the last columns do not fill the panel */
      T edge[MAX_ROWS * 4 * LANES];
      tile(a + done * lda, lda, b->k, panel, edge, width, LANES, 0);
      for (int64_t i = 0; i < n; i++) {
        for (int v = 0; v < vectors; v++) {
          int64_t here = b->columns - unit - (b->apart ? 0 : v * LANES);
          here = here > LANES ? LANES : here;
          T *to = c + (done + i) * ldc + v * apart;
          const T *from = edge + i * width + v * LANES;
          for (int64_t lane = 0; lane < here; lane++)
            to[lane] = (add >> v & 1 ? to[lane] : 0) + from[lane];
        }
      }
    }
    done += n;
  }
}

/* --- the elementwise half of a step ----------------------------------------------------
 */

#define SIGMOID TYPED(sigmoid)
#define TANH TYPED(lp_tanh)

#define ROW const LpRnnRow *row, int64_t hidden, int64_t begin, int64_t end
#define ROWS                                                                             \
  const LpRnnRow *rows, int64_t count, int64_t hidden, int64_t begin, int64_t end
#define EACH(part)                                                                       \
  for (int64_t r = 0; r < count; r++) TYPED(part)(rows + r, hidden, begin, end)

/* What the rows bring along that no cache nearby holds is asked for before the first row
 * waits for its own. */
static void TYPED(ask_for)(const LpRnnRow *rows, int64_t count, int64_t gates,
                           int64_t hidden, int64_t begin) {
  for (const LpRnnRow *row = rows; row < rows + count; row++) {
    for (int64_t v = 0; v < gates; v++) {
      __builtin_prefetch((const T *)row->gates + v * hidden + begin);
      __builtin_prefetch((const T *)row->d_gates + v * hidden + begin, 1);
    }
    if (row->c) {
      __builtin_prefetch((const T *)row->c + begin);
      __builtin_prefetch((const T *)row->c_before + begin);
    }
    if (row->d_out) __builtin_prefetch((const T *)row->d_out + begin);
  }
}

static inline void TYPED(relu_forward_row)(ROW) {
  T *h = row->h;
  const T *bias = row->bias;
  LP_IVDEP
  for (int64_t u = begin; u < end; u++) {
    T x = h[u] + bias[u];
    h[u] = x < 0 ? 0 : x;
  }
}

static inline void TYPED(relu_backward_row)(ROW) {
  const T *h = row->h, *dh = row->dh, *d_out = row->d_out;
  T *d = row->d_gates;
  if (d_out) {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) d[u] = h[u] <= 0 ? 0 : dh[u] + d_out[u];
  } else {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) d[u] = h[u] <= 0 ? 0 : dh[u];
  }
}

static inline void TYPED(tanh_forward_row)(ROW) {
  T *h = row->h;
  const T *bias = row->bias;
  LP_IVDEP
  for (int64_t u = begin; u < end; u++) h[u] = TANH(h[u] + bias[u]);
}

static inline void TYPED(tanh_backward_row)(ROW) {
  const T *h = row->h, *dh = row->dh, *d_out = row->d_out;
  T *d = row->d_gates;
  if (d_out) {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) d[u] = (dh[u] + d_out[u]) * (1 - h[u] * h[u]);
  } else {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) d[u] = dh[u] * (1 - h[u] * h[u]);
  }
}

/* Note [Two loops]: a state that waits for its gates, in one loop, is a chain of two
 * exponentials and reciprocals longer than the processor looks ahead. In two loops, each
 * over all rows at hand, the links of neighbouring vectors overlap; what lies between
 * them is in the nearest cache. */
static inline void TYPED(lstm_state)(ROW) {
  T *gi = row->gates, *gf = gi + hidden, *gg = gf + hidden;
  const T *bi = row->bias, *bf = bi + hidden, *bg = bf + hidden;
  T *c = row->c;
  const T *before = row->c_before;
  LP_IVDEP
  for (int64_t u = begin; u < end; u++) {
    T i = SIGMOID(gi[u] + bi[u]), f = SIGMOID(gf[u] + bf[u]), g = TANH(gg[u] + bg[u]);
    gi[u] = i;
    gf[u] = f;
    gg[u] = g;
    c[u] = f * before[u] + i * g;
  }
}

static inline void TYPED(lstm_output)(ROW) {
  T *go = (T *)row->gates + 3 * hidden, *h = row->h;
  const T *bo = (const T *)row->bias + 3 * hidden, *c = row->c;
  LP_IVDEP
  for (int64_t u = begin; u < end; u++) {
    T o = SIGMOID(go[u] + bo[u]);
    go[u] = o;
    h[u] = o * TANH(c[u]);
  }
}

static inline void TYPED(lstm_backward_row)(ROW) {
  const T *gi = row->gates, *gf = gi + hidden, *gg = gf + hidden, *go = gg + hidden;
  T *di = row->d_gates, *df = di + hidden, *dg = df + hidden, *d_o = dg + hidden;
  const T *c = row->c, *before = row->c_before, *dh = row->dh, *d_out = row->d_out;
  T *dc = row->dc, *raw = row->raw;
  if (raw) {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) raw[u] = go[u] * TANH(c[u]);
  }
  if (d_out) {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) {
      T i = gi[u], f = gf[u], g = gg[u], o = go[u], t = TANH(c[u]);
      T up = dh[u] + d_out[u], down = dc[u] + up * o * (1 - t * t);
      di[u] = down * g * (i * (1 - i));
      df[u] = down * before[u] * (f * (1 - f));
      dg[u] = down * i * (1 - g * g);
      d_o[u] = up * t * (o * (1 - o));
      dc[u] = down * f;
    }
  } else {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) {
      T i = gi[u], f = gf[u], g = gg[u], o = go[u], t = TANH(c[u]);
      T up = dh[u], down = dc[u] + up * o * (1 - t * t);
      di[u] = down * g * (i * (1 - i));
      df[u] = down * before[u] * (f * (1 - f));
      dg[u] = down * i * (1 - g * g);
      d_o[u] = up * t * (o * (1 - o));
      dc[u] = down * f;
    }
  }
}

/* Note [Two loops]. */
static inline void TYPED(gru_reset)(ROW) {
  T *gn = row->gates, *gr = gn + hidden, *gm = gr + 2 * hidden;
  const T *bn = row->bias, *br = bn + hidden, *bm = br + 2 * hidden;
  LP_IVDEP
  for (int64_t u = begin; u < end; u++) {
    T r = SIGMOID(gr[u] + br[u]), m = gm[u] + bm[u];
    gr[u] = r;
    gm[u] = m;
    gn[u] = gn[u] + bn[u] + r * m;
  }
}

static inline void TYPED(gru_state)(ROW) {
  T *gn = row->gates, *gz = gn + 2 * hidden, *h = row->h;
  const T *bz = (const T *)row->bias + 2 * hidden, *before = row->h_before;
  LP_IVDEP
  for (int64_t u = begin; u < end; u++) {
    T n = TANH(gn[u]), z = SIGMOID(gz[u] + bz[u]);
    gn[u] = n;
    gz[u] = z;
    h[u] = n + z * (before[u] - n);
  }
}

static inline void TYPED(gru_backward_row)(ROW) {
  const T *gn = row->gates, *gr = gn + hidden, *gz = gr + hidden, *gm = gz + hidden;
  T *dn = row->d_gates, *dr = dn + hidden, *dz = dr + hidden, *dm = dz + hidden;
  const T *before = row->h_before, *d_out = row->d_out;
  T *dh = row->dh;
  if (d_out) {
    LP_IVDEP
    for (int64_t u = begin; u < end; u++) dh[u] += d_out[u];
  }
  LP_IVDEP
  for (int64_t u = begin; u < end; u++) {
    T n = gn[u], r = gr[u], z = gz[u], up = dh[u];
    T inner = up * (1 - z) * (1 - n * n);
    dn[u] = inner;
    dr[u] = inner * gm[u] * (r * (1 - r));
    dz[u] = up * (before[u] - n) * (z * (1 - z));
    dm[u] = inner * r;
    dh[u] = up * z;
  }
}

static void TYPED(relu_forward)(ROWS) {
  EACH(relu_forward_row);
}
static void TYPED(relu_backward)(ROWS) {
  TYPED(ask_for)(rows, count, 1, hidden, begin);
  EACH(relu_backward_row);
}
static void TYPED(tanh_forward)(ROWS) {
  EACH(tanh_forward_row);
}
static void TYPED(tanh_backward)(ROWS) {
  TYPED(ask_for)(rows, count, 1, hidden, begin);
  EACH(tanh_backward_row);
}
static void TYPED(lstm_forward)(ROWS) {
  EACH(lstm_state);
  EACH(lstm_output);
}
static void TYPED(lstm_backward)(ROWS) {
  TYPED(ask_for)(rows, count, 4, hidden, begin);
  EACH(lstm_backward_row);
}
static void TYPED(gru_forward)(ROWS) {
  EACH(gru_reset);
  EACH(gru_state);
}
static void TYPED(gru_backward)(ROWS) {
  TYPED(ask_for)(rows, count, 4, hidden, begin);
  EACH(gru_backward_row);
}

/* --- sums
 * ---------------------------------------------------------------------------------- */

static void TYPED(add)(void *pto, const void *pa, const void *pb, int64_t n) {
  T *to = pto;
  const T *a = pa, *b = pb;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) to[i] = a[i] + b[i];
}

#define SUM_ROWS 512 /* rows whose sum is kept in T before it goes to the total */
#define SUM_COLUMNS 64

static void TYPED(column_sums)(void *psums, const void *px, int64_t rows, int64_t stride,
                               int64_t begin, int64_t end) {
  T *sums = psums;
  const T *x = px;
  for (int64_t c0 = begin; c0 < end; c0 += SUM_COLUMNS) {
    const int64_t n = end - c0 < SUM_COLUMNS ? end - c0 : SUM_COLUMNS;
    double total[SUM_COLUMNS] = {0};
    for (int64_t r0 = 0; r0 < rows; r0 += SUM_ROWS) {
      const int64_t last = r0 + SUM_ROWS < rows ? r0 + SUM_ROWS : rows;
      T sum[SUM_COLUMNS] = {0};
      for (int64_t r = r0; r < last; r++) {
        const T *row = x + r * stride + c0;
        LP_IVDEP
        for (int64_t j = 0; j < n; j++) sum[j] += row[j];
      }
      for (int64_t j = 0; j < n; j++) total[j] += (double)sum[j];
    }
    for (int64_t j = 0; j < n; j++) sums[c0 + j] += (T)total[j];
  }
}

#undef ROW
#undef ROWS
#undef EACH
#undef SUM_ROWS
#undef SUM_COLUMNS
#undef SIGMOID
#undef TANH
#undef V
#undef LANES
