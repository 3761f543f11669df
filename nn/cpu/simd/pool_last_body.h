/* The loops of cpu/pool.h over images that lie channels last, for one dtype; included by
 * pool.c through nn_each.h. The channels of a pixel are the inner loop. */

static inline void TYPED(put_lanes)(T *to, const TYPED(Lanes) * v, int64_t m) {
  A values[LANES];
  memcpy(values, v, sizeof *v);
#pragma omp simd
  for (int64_t j = 0; j < m; j++) to[j] = STORE(values[j]);
}

/* The first m channels from x and y on, of the output pixel whose window is w; index -1
 * where that lies in the padding alone. */
static inline void TYPED(max_of_window)(const LpPoolShape *s, const Window *w,
                                        int64_t channels, const T *x, T *y,
                                        int32_t *index32, int64_t *index64, int64_t m) {
  TYPED(Lanes) value = -(A)INFINITY - (TYPED(Lanes)){0};
  const int32_t first = is_empty(w) ? -1 : (int32_t)pixel_at(s, w->from);
  Indices index = first - (Indices){0};
  for (int64_t d = w->from[0]; d < w->to[0]; d += s->dilation[0])
    for (int64_t h = w->from[1]; h < w->to[1]; h += s->dilation[1])
      for (int64_t i = w->from[2]; i < w->to[2]; i += s->dilation[2]) {
        const int64_t at = pixel_at(s, (int64_t[3]){d, h, i});
        TYPED(Lanes) v;
        TYPED(get_lanes)(&v, x + at * channels, m);
        const TYPED(Mask) better = (v > value) | (v != v);
        const Indices here = __builtin_convertvector(better, Indices);
        value =
            (TYPED(Lanes))(((TYPED(Mask))v & better) | ((TYPED(Mask))value & ~better));
        index = (((int32_t)at - (Indices){0}) & here) | (index & ~here);
      }
  TYPED(put_lanes)(y, &value, m);
  int32_t indices[LANES];
  memcpy(indices, &index, sizeof indices);
  if (index32)
    for (int64_t j = 0; j < m; j++) index32[j] = indices[j];
  if (index64)
    for (int64_t j = 0; j < m; j++) index64[j] = indices[j];
}

static void TYPED(max_last)(const LpPoolShape *s, int64_t channels, const void *px,
                            void *py, int32_t *index32, int64_t *index64, int64_t begin,
                            int64_t end) {
  const T *x = px;
  int64_t at[3];
  Window w = first_window(s, begin, at);
  for (int64_t o = begin; o < end; o++, next_window(s, at, &w))
    for (int64_t c = 0; c < channels; c += LANES) {
      const int64_t to = o * channels + c;
      T *y = (T *)py + to;
      int32_t *i32 = index32 ? index32 + to : NULL;
      int64_t *i64 = index64 ? index64 + to : NULL;
      if (c + LANES <= channels)
        TYPED(max_of_window)(s, &w, channels, x + c, y, i32, i64, LANES);
      else
        TYPED(max_of_window)(s, &w, channels, x + c, y, i32, i64, channels - c);
    }
}

/* A loop for each type of indices: so each is one of scattered vectors. */
#define SCATTER(index)                                                                   \
  LP_IVDEP                                                                               \
  for (int64_t c = 0; c < channels; c++) {                                               \
    T *to = gx + index[at + c] * channels + c;                                           \
    *to = STORE(LOAD(*to) + LOAD(g[at + c]));                                            \
  }
static void TYPED(scatter_last)(void *pgx, int64_t plane, int64_t channels,
                                const void *pg, int64_t n, const int32_t *index32,
                                const int64_t *index64) {
  T *gx = pgx;
  const T *g = pg;
  memset(gx, 0, (size_t)(plane * channels) * sizeof(T));
  for (int64_t o = 0; o < n; o++) {
    const int64_t at = o * channels;
    if (index32) {
      SCATTER(index32)
    } else {
      SCATTER(index64)
    }
  }
}
#undef SCATTER

/* The first m channels from g, index and gx on: adds the gradient of an output pixel,
 * whose window is w, to the maximum. alone: nothing is in gx yet, and no other window has
 * these pixels. */
static inline __attribute__((always_inline)) void
TYPED(add_to_maximum)(const LpPoolShape *s, const Window *w, int64_t channels, const T *g,
                      const int32_t *index, T *gx, int64_t m, const bool alone) {
  TYPED(Lanes) v;
  TYPED(get_lanes)(&v, g, m);
  int32_t indices[LANES] = {0};
  for (int64_t j = 0; j < m; j++) indices[j] = index[j];
  Indices maximum;
  memcpy(&maximum, indices, sizeof indices);
  for (int64_t d = w->from[0]; d < w->to[0]; d += s->dilation[0])
    for (int64_t h = w->from[1]; h < w->to[1]; h += s->dilation[1])
      for (int64_t i = w->from[2]; i < w->to[2]; i += s->dilation[2]) {
        const int64_t at = pixel_at(s, (int64_t[3]){d, h, i});
        const TYPED(Mask) here =
            __builtin_convertvector(maximum == (int32_t)at, TYPED(Mask));
        TYPED(Lanes) sum = {0};
        if (!alone) TYPED(get_lanes)(&sum, gx + at * channels, m);
        sum += (TYPED(Lanes))((TYPED(Mask))v & here);
        TYPED(put_lanes)(gx + at * channels, &sum, m);
      }
}

static inline __attribute__((always_inline)) void
TYPED(max_grad_last_of)(const LpPoolShape *s, int64_t channels, const T *g,
                        const int32_t *index, T *gx, const bool alone) {
  Window w;
  for (int64_t od = 0; od < s->out[0]; od++) {
    set_taps(&w, s, 0, od);
    for (int64_t oh = 0; oh < s->out[1]; oh++) {
      set_taps(&w, s, 1, oh);
      for (int64_t ow = 0; ow < s->out[2]; ow++, g += channels, index += channels) {
        set_taps(&w, s, 2, ow);
        int64_t c = 0;
        for (; c + LANES <= channels; c += LANES)
          TYPED(add_to_maximum)(s, &w, channels, g + c, index + c, gx + c, LANES, alone);
        if (c < channels) TYPED(add_to_maximum)
        (s, &w, channels, g + c, index + c, gx + c, channels - c, alone);
      }
    }
  }
}

static void TYPED(max_grad_last)(const LpPoolShape *s, int64_t channels, const void *g,
                                 const int32_t *index, void *gx) {
  if (is_paved(s)) {
    TYPED(max_grad_last_of)(s, channels, g, index, gx, true);
    return;
  }
  memset(gx, 0, (size_t)(s->in[0] * s->in[1] * s->in[2] * channels) * sizeof(T));
  TYPED(max_grad_last_of)(s, channels, g, index, gx, false);
}

/* `vectors` of channels from x and y on, of which the last has m, of the output pixel
 * whose window is w. */
static inline __attribute__((always_inline)) void
TYPED(average_of_window)(const LpPoolShape *s, const Window *w, A divisor,
                         int64_t channels, const T *x, T *y, int64_t m,
                         const int vectors) {
  TYPED(Lanes) sum[VECTORS] = {0};
  for (int64_t d = w->from[0]; d < w->to[0]; d++)
    for (int64_t h = w->from[1]; h < w->to[1]; h++)
      for (int64_t i = w->from[2]; i < w->to[2]; i++) {
        const T *from = x + pixel_at(s, (int64_t[3]){d, h, i}) * channels;
        for (int v = 0; v < vectors; v++) {
          TYPED(Lanes) part;
          TYPED(get_lanes)(&part, from + v * LANES, m);
          sum[v] += part;
        }
      }
  for (int v = 0; v < vectors; v++) {
    sum[v] /= divisor;
    TYPED(put_lanes)(y + v * LANES, &sum[v], m);
  }
}

static void TYPED(average_last)(const LpPoolShape *s, int64_t channels, const void *px,
                                void *py, int64_t begin, int64_t end) {
  int64_t at[3];
  Window w = first_window(s, begin, at);
  for (int64_t o = begin; o < end; o++, next_window(s, at, &w)) {
    const A divisor = (A)divisor_at(s, &w, at);
    const T *x = px;
    T *y = (T *)py + o * channels;
    int64_t c = 0;
    for (; c + VECTORS * LANES <= channels; c += VECTORS * LANES)
      TYPED(average_of_window)(s, &w, divisor, channels, x + c, y + c, LANES, VECTORS);
    for (; c + LANES <= channels; c += LANES)
      TYPED(average_of_window)(s, &w, divisor, channels, x + c, y + c, LANES, 1);
    if (c < channels)
      TYPED(average_of_window)(s, &w, divisor, channels, x + c, y + c, channels - c, 1);
  }
}

static void TYPED(average_grad_last)(const LpPoolShape *s, int64_t channels,
                                     const void *pg, void *pgx) {
  T *gx = pgx;
  const int64_t n = s->out[0] * s->out[1] * s->out[2];
  memset(gx, 0, (size_t)(s->in[0] * s->in[1] * s->in[2] * channels) * sizeof(T));
  int64_t at[3];
  Window w = first_window(s, 0, at);
  for (int64_t o = 0; o < n; o++, next_window(s, at, &w)) {
    const A divisor = (A)divisor_at(s, &w, at);
    for (int64_t c0 = 0; c0 < channels; c0 += COLUMNS) {
      const int64_t m = channels - c0 < COLUMNS ? channels - c0 : COLUMNS;
      const T *g = (const T *)pg + o * channels + c0;
      A share[COLUMNS];
      for (int64_t j = 0; j < m; j++) share[j] = LOAD(g[j]) / divisor;
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
