/* The loops of cpu/pool.h for one dtype; included by pool.c through nn_each.h. Taps of
 * the window are the outer loops and output columns the inner one, which becomes vectors.
 */

typedef struct TYPED(Best) {
  A value[COLUMNS];
  int32_t index[COLUMNS];
} TYPED(Best);

/* One row of outputs, columns [c0, c0 + m). */
static void TYPED(max_columns)(const LpPoolShape *s, const T *x, int64_t od, int64_t oh,
                               int64_t c0, int64_t m, TYPED(Best) * best) {
  A *value = best->value;
  int32_t *index = best->index;
  for (int64_t j = 0; j < m; j++) {
    value[j] = -(A)INFINITY;
    index[j] = -1;
  }
  for (int64_t kd = 0; kd < s->kernel[0]; kd++) {
    int64_t id = od * s->stride[0] - s->padding[0] + kd * s->dilation[0];
    if (id < 0 || id >= s->in[0]) continue;
    for (int64_t kh = 0; kh < s->kernel[1]; kh++) {
      int64_t ih = oh * s->stride[1] - s->padding[1] + kh * s->dilation[1];
      if (ih < 0 || ih >= s->in[1]) continue;
      for (int64_t kw = 0; kw < s->kernel[2]; kw++) {
        int64_t shift = kw * s->dilation[2] - s->padding[2], step = s->stride[2];
        int64_t lo, hi;
        inside(s->in[2], shift, step, c0, m, &lo, &hi);
        int64_t base = (id * s->in[1] + ih) * s->in[2] + shift + c0 * step;
        LP_IVDEP
        for (int64_t j = lo; j < hi; j++) {
          A v = LOAD(x[base + j * step]);
          bool better = (v > value[j]) | (v != v) | (index[j] < 0);
          value[j] = better ? v : value[j];
          index[j] = better ? (int32_t)(base + j * step) : index[j];
        }
      }
    }
  }
}

/* Windows of 2x2 side by side: rows in pairs first, then columns in pairs. Between equal
 * values the first in row order counts, between NaNs the last, as in the general loop. */
static void TYPED(max_2x2)(const LpPoolShape *s, const T *x, T *y, int32_t *index32,
                           int64_t *index64) {
  int64_t w = s->in[2], ow = s->out[2];
  A value[2 * COLUMNS];
  int32_t index[2 * COLUMNS];
  for (int64_t oh = 0; oh < s->out[1]; oh++) {
    const T *top = x + 2 * oh * w, *low = top + w;
    for (int64_t c0 = 0; c0 < ow; c0 += COLUMNS) {
      int64_t m = ow - c0 < COLUMNS ? ow - c0 : COLUMNS;
      int32_t at = (int32_t)(2 * oh * w + 2 * c0), down = (int32_t)w;
      T *out = y + oh * ow + c0;
      if (!index32 && !index64) {
        LP_IVDEP
        for (int64_t j = 0; j < 2 * m; j++) {
          A a = LOAD(top[2 * c0 + j]), b = LOAD(low[2 * c0 + j]);
          value[j] = (b > a) | (b != b) ? b : a;
        }
        LP_IVDEP
        for (int64_t j = 0; j < m; j++) {
          A a = value[2 * j], b = value[2 * j + 1];
          out[j] = STORE((b > a) | (b != b) ? b : a);
        }
        continue;
      }
      LP_IVDEP
      for (int64_t j = 0; j < 2 * m; j++) {
        A a = LOAD(top[2 * c0 + j]), b = LOAD(low[2 * c0 + j]);
        bool lower = (b > a) | (b != b);
        value[j] = lower ? b : a;
        index[j] = lower ? at + (int32_t)j + down : at + (int32_t)j;
      }
      int32_t *to = index32 ? index32 + oh * ow + c0 : index;
      LP_IVDEP
      for (int64_t j = 0; j < m; j++) {
        A a = value[2 * j], b = value[2 * j + 1];
        int32_t ia = index[2 * j], ib = index[2 * j + 1];
        bool right =
            (b > a) | ((b == a) & (ib < ia)) | ((b != b) & ((a == a) | (ib > ia)));
        out[j] = STORE(right ? b : a);
        to[j] = right ? ib : ia;
      }
      if (index64)
        for (int64_t j = 0; j < m; j++) index64[oh * ow + c0 + j] = to[j];
    }
  }
}

static void TYPED(max)(const LpPoolShape *s, const void *px, void *py, int32_t *index32,
                       int64_t *index64) {
  const T *x = px;
  T *y = py;
  if (is_2x2(s)) {
    TYPED(max_2x2)(s, x, y, index32, index64);
    return;
  }
  TYPED(Best) best;
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t c0 = 0; c0 < s->out[2]; c0 += COLUMNS) {
        int64_t m = s->out[2] - c0 < COLUMNS ? s->out[2] - c0 : COLUMNS;
        int64_t at = (od * s->out[1] + oh) * s->out[2] + c0;
        TYPED(max_columns)(s, x, od, oh, c0, m, &best);
        for (int64_t j = 0; j < m; j++) y[at + j] = STORE(best.value[j]);
        if (index32)
          for (int64_t j = 0; j < m; j++) index32[at + j] = best.index[j];
        if (index64)
          for (int64_t j = 0; j < m; j++) index64[at + j] = best.index[j];
      }
}

static void TYPED(scatter)(void *pgx, int64_t plane, const void *pg, int64_t n,
                           const int32_t *index32, const int64_t *index64) {
  T *gx = pgx;
  const T *g = pg;
  memset(gx, 0, (size_t)plane * sizeof(T));
  for (int64_t i = 0; i < n; i++) {
    T *to = gx + (index32 ? index32[i] : index64[i]);
    *to = STORE(LOAD(*to) + LOAD(g[i]));
  }
}

static void TYPED(average)(const LpPoolShape *s, const void *px, void *py) {
  const T *x = px;
  T *y = py;
  A sum[COLUMNS];
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t c0 = 0; c0 < s->out[2]; c0 += COLUMNS) {
        int64_t m = s->out[2] - c0 < COLUMNS ? s->out[2] - c0 : COLUMNS;
        for (int64_t j = 0; j < m; j++) sum[j] = 0;
        for (int64_t kd = 0; kd < s->kernel[0]; kd++) {
          int64_t id = od * s->stride[0] - s->padding[0] + kd;
          if (id < 0 || id >= s->in[0]) continue;
          for (int64_t kh = 0; kh < s->kernel[1]; kh++) {
            int64_t ih = oh * s->stride[1] - s->padding[1] + kh;
            if (ih < 0 || ih >= s->in[1]) continue;
            for (int64_t kw = 0; kw < s->kernel[2]; kw++) {
              int64_t shift = kw - s->padding[2], step = s->stride[2], lo, hi;
              inside(s->in[2], shift, step, c0, m, &lo, &hi);
              const T *from = x + (id * s->in[1] + ih) * s->in[2] + shift + c0 * step;
              LP_IVDEP
              for (int64_t j = lo; j < hi; j++) sum[j] += LOAD(from[j * step]);
            }
          }
        }
        T *out = y + (od * s->out[1] + oh) * s->out[2] + c0;
        int64_t rows = divisor_rows(s, od, oh);
        for (int64_t j = 0; j < m; j++)
          out[j] = STORE(sum[j] / (A)divisor(s, rows, c0 + j));
      }
}

static void TYPED(average_grad)(const LpPoolShape *s, const void *pg, void *pgx) {
  const T *g = pg;
  T *gx = pgx;
  memset(gx, 0, (size_t)(s->in[0] * s->in[1] * s->in[2]) * sizeof(T));
  A share[COLUMNS];
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t c0 = 0; c0 < s->out[2]; c0 += COLUMNS) {
        int64_t m = s->out[2] - c0 < COLUMNS ? s->out[2] - c0 : COLUMNS;
        const T *from = g + (od * s->out[1] + oh) * s->out[2] + c0;
        int64_t rows = divisor_rows(s, od, oh);
        for (int64_t j = 0; j < m; j++)
          share[j] = LOAD(from[j]) / (A)divisor(s, rows, c0 + j);
        for (int64_t kd = 0; kd < s->kernel[0]; kd++) {
          int64_t id = od * s->stride[0] - s->padding[0] + kd;
          if (id < 0 || id >= s->in[0]) continue;
          for (int64_t kh = 0; kh < s->kernel[1]; kh++) {
            int64_t ih = oh * s->stride[1] - s->padding[1] + kh;
            if (ih < 0 || ih >= s->in[1]) continue;
            for (int64_t kw = 0; kw < s->kernel[2]; kw++) {
              int64_t shift = kw - s->padding[2], step = s->stride[2], lo, hi;
              inside(s->in[2], shift, step, c0, m, &lo, &hi);
              T *to = gx + (id * s->in[1] + ih) * s->in[2] + shift + c0 * step;
              LP_IVDEP
              for (int64_t j = lo; j < hi; j++)
                to[j * step] = STORE(LOAD(to[j * step]) + share[j]);
            }
          }
        }
      }
}

static void TYPED(adaptive_average)(const LpPoolShape *s, const void *px, void *py) {
  const T *x = px;
  T *y = py;
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t ow = 0; ow < s->out[2]; ow++) {
        AdaptiveWindow w = adaptive_window(s, od, oh, ow);
        double total = 0;
        for (int64_t d = w.from[0]; d < w.to[0]; d++)
          for (int64_t h = w.from[1]; h < w.to[1]; h++) {
            const T *row = x + (d * s->in[1] + h) * s->in[2];
            A sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = w.from[2]; i < w.to[2]; i++) sum += LOAD(row[i]);
            total += (double)sum;
          }
        *y++ = STORE((A)(total / (double)w.size));
      }
}

static void TYPED(adaptive_average_grad)(const LpPoolShape *s, const void *pg,
                                         void *pgx) {
  const T *g = pg;
  T *gx = pgx;
  memset(gx, 0, (size_t)(s->in[0] * s->in[1] * s->in[2]) * sizeof(T));
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t ow = 0; ow < s->out[2]; ow++) {
        AdaptiveWindow w = adaptive_window(s, od, oh, ow);
        A share = LOAD(*g) / (A)w.size;
        g++;
        for (int64_t d = w.from[0]; d < w.to[0]; d++)
          for (int64_t h = w.from[1]; h < w.to[1]; h++) {
            T *row = gx + (d * s->in[1] + h) * s->in[2];
            LP_IVDEP
            for (int64_t i = w.from[2]; i < w.to[2]; i++)
              row[i] = STORE(LOAD(row[i]) + share);
          }
      }
}

static void TYPED(adaptive_max)(const LpPoolShape *s, const void *px, void *py,
                                int64_t *index) {
  const T *x = px;
  T *y = py;
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t ow = 0; ow < s->out[2]; ow++) {
        AdaptiveWindow w = adaptive_window(s, od, oh, ow);
        A best = -(A)INFINITY;
        int64_t at = (w.from[0] * s->in[1] + w.from[1]) * s->in[2] + w.from[2];
        for (int64_t d = w.from[0]; d < w.to[0]; d++)
          for (int64_t h = w.from[1]; h < w.to[1]; h++)
            for (int64_t i = w.from[2]; i < w.to[2]; i++) {
              int64_t here = (d * s->in[1] + h) * s->in[2] + i;
              A v = LOAD(x[here]);
              if (v > best || v != v) {
                best = v;
                at = here;
              }
            }
        *y++ = STORE(best);
        if (index) *index++ = at;
      }
}
