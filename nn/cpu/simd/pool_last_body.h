/* The loops of cpu/pool.h over images that lie channels last, for one dtype; included by
 * pool.c through nn_each.h. The channels of a pixel are the inner loop. */

static void TYPED(max_last)(const LpPoolShape *s, int64_t channels, const void *px,
                            void *py, int32_t *index32, int64_t *index64, int64_t begin,
                            int64_t end) {
  const T *x = px;
  TYPED(Best) best;
  for (int64_t o = begin; o < end; o++) {
    const Taps w = taps_of(s, o);
    for (int64_t c0 = 0; c0 < channels; c0 += COLUMNS) {
      const int64_t m = channels - c0 < COLUMNS ? channels - c0 : COLUMNS;
      A *value = best.value;
      int32_t *index = best.index;
      for (int64_t j = 0; j < m; j++) {
        value[j] = -(A)INFINITY;
        index[j] = -1;
      }
      for (int64_t kd = w.first[0]; kd < w.end[0]; kd++)
        for (int64_t kh = w.first[1]; kh < w.end[1]; kh++)
          for (int64_t kw = w.first[2]; kw < w.end[2]; kw++) {
            const int64_t id = w.from[0] + kd * w.step[0],
                          ih = w.from[1] + kh * w.step[1],
                          iw = w.from[2] + kw * w.step[2];
            const int32_t at = (int32_t)((id * s->in[1] + ih) * s->in[2] + iw);
            const T *from = x + (int64_t)at * channels + c0;
            LP_IVDEP
            for (int64_t j = 0; j < m; j++) {
              const A v = LOAD(from[j]);
              const bool better = (v > value[j]) | (v != v) | (index[j] < 0);
              value[j] = better ? v : value[j];
              index[j] = better ? at : index[j];
            }
          }
      const int64_t to = o * channels + c0;
      T *y = (T *)py + to;
      for (int64_t j = 0; j < m; j++) y[j] = STORE(value[j]);
      if (index32)
        for (int64_t j = 0; j < m; j++) index32[to + j] = index[j];
      if (index64)
        for (int64_t j = 0; j < m; j++) index64[to + j] = index[j];
    }
  }
}

static void TYPED(scatter_last)(void *pgx, int64_t plane, int64_t channels,
                                const void *pg, int64_t n, const int32_t *index32,
                                const int64_t *index64) {
  T *gx = pgx;
  const T *g = pg;
  memset(gx, 0, (size_t)(plane * channels) * sizeof(T));
  for (int64_t o = 0; o < n; o++)
    for (int64_t c = 0; c < channels; c++) {
      const int64_t at = o * channels + c;
      T *to = gx + (index32 ? index32[at] : index64[at]) * channels + c;
      *to = STORE(LOAD(*to) + LOAD(g[at]));
    }
}

static void TYPED(average_last)(const LpPoolShape *s, int64_t channels, const void *px,
                                void *py, int64_t begin, int64_t end) {
  const T *x = px;
  for (int64_t o = begin; o < end; o++) {
    const Window w = window_of(s, o);
    for (int64_t c0 = 0; c0 < channels; c0 += COLUMNS) {
      const int64_t m = channels - c0 < COLUMNS ? channels - c0 : COLUMNS;
      A sum[COLUMNS];
      for (int64_t j = 0; j < m; j++) sum[j] = 0;
      for (int64_t d = w.from[0]; d < w.to[0]; d++)
        for (int64_t h = w.from[1]; h < w.to[1]; h++)
          for (int64_t i = w.from[2]; i < w.to[2]; i++) {
            const T *from = x + ((d * s->in[1] + h) * s->in[2] + i) * channels + c0;
            LP_IVDEP
            for (int64_t j = 0; j < m; j++) sum[j] += LOAD(from[j]);
          }
      T *y = (T *)py + o * channels + c0;
      LP_IVDEP
      for (int64_t j = 0; j < m; j++) y[j] = STORE(sum[j] / (A)w.divisor);
    }
  }
}

static void TYPED(average_grad_last)(const LpPoolShape *s, int64_t channels,
                                     const void *pg, void *pgx) {
  T *gx = pgx;
  const int64_t n = s->out[0] * s->out[1] * s->out[2];
  memset(gx, 0, (size_t)(s->in[0] * s->in[1] * s->in[2] * channels) * sizeof(T));
  for (int64_t o = 0; o < n; o++) {
    const Window w = window_of(s, o);
    for (int64_t c0 = 0; c0 < channels; c0 += COLUMNS) {
      const int64_t m = channels - c0 < COLUMNS ? channels - c0 : COLUMNS;
      const T *g = (const T *)pg + o * channels + c0;
      A share[COLUMNS];
      for (int64_t j = 0; j < m; j++) share[j] = LOAD(g[j]) / (A)w.divisor;
      for (int64_t d = w.from[0]; d < w.to[0]; d++)
        for (int64_t h = w.from[1]; h < w.to[1]; h++)
          for (int64_t i = w.from[2]; i < w.to[2]; i++) {
            T *to = gx + ((d * s->in[1] + h) * s->in[2] + i) * channels + c0;
            LP_IVDEP
            for (int64_t j = 0; j < m; j++) to[j] = STORE(LOAD(to[j]) + share[j]);
          }
    }
  }
}
