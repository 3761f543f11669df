/* The loops of cpu/pool.h for one dtype; included by pool.c through nn_each.h. Taps of
 * the window are the outer loops and output columns the inner one, which becomes vectors.
 */

/* LANES neighbours. Comparing them gives a Mask. */
typedef A TYPED(Lanes) __attribute__((vector_size(LANES * sizeof(A))));
typedef int_of(A) TYPED(Mask) __attribute__((vector_size(LANES * sizeof(A))));

static inline void TYPED(get_lanes)(TYPED(Lanes) * v, const T *from, int64_t m) {
  A values[LANES] = {0};
#pragma omp simd /* else unrolled, before it is seen to be one of vectors */
  for (int64_t j = 0; j < m; j++) values[j] = LOAD(from[j]);
  memcpy(v, values, sizeof *v);
}

typedef struct TYPED(Best) {
  A value[COLUMNS];
  int32_t index[COLUMNS];
} TYPED(Best);

/* One row of outputs, columns [c0, c0 + m). */
static inline __attribute__((always_inline)) void
TYPED(max_columns)(const LpPoolShape *s, const T *x, int64_t od, int64_t oh, int64_t c0,
                   int64_t m, TYPED(Best) * best, const int64_t step) {
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
        int64_t shift = kw * s->dilation[2] - s->padding[2];
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

static inline __attribute__((always_inline)) void
TYPED(max_indexed)(const LpPoolShape *s, const T *x, T *y, int32_t *index32,
                   int64_t *index64, const int64_t step) {
  TYPED(Best) best;
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t c0 = 0; c0 < s->out[2]; c0 += COLUMNS) {
        int64_t m = s->out[2] - c0 < COLUMNS ? s->out[2] - c0 : COLUMNS;
        int64_t at = (od * s->out[1] + oh) * s->out[2] + c0;
        TYPED(max_columns)(s, x, od, oh, c0, m, &best, step);
        for (int64_t j = 0; j < m; j++) y[at + j] = STORE(best.value[j]);
        if (index32)
          for (int64_t j = 0; j < m; j++) index32[at + j] = best.index[j];
        if (index64)
          for (int64_t j = 0; j < m; j++) index64[at + j] = best.index[j];
      }
}

/* Without indices a window's rows are compared first, along the whole line that a row of
 * windows covers, then the line's neighbours. */

static inline A TYPED(larger)(A a, A b) {
  return (b > a) | (b != b) ? b : a;
}

/* line[i], where there is more, and n rows `apart` from each other. */
static inline __attribute__((always_inline)) void
TYPED(max_of_rows)(A *line, const T *from, int64_t apart, int64_t length, const int n,
                   bool more) {
  LP_IVDEP
  for (int64_t i = 0; i < length; i++) {
    A most = more ? line[i] : -(A)INFINITY;
    for (int k = 0; k < n; k++) most = TYPED(larger)(most, LOAD(from[k * apart + i]));
    line[i] = most;
  }
}

/* value[j], where there is more, and n neighbours in the line from j * step on. */
static inline __attribute__((always_inline)) void
TYPED(max_of_line)(A *value, const A *line, int64_t m, const int n, const int64_t step,
                   bool more) {
  LP_IVDEP
  for (int64_t j = 0; j < m; j++) {
    A most = more ? value[j] : -(A)INFINITY;
    for (int k = 0; k < n; k++) most = TYPED(larger)(most, line[j * step + k]);
    value[j] = most;
  }
}

/* The line of the windows at (od, oh), from column `start` of the image on, which may be
 * in the padding: made in `line`, or one of the image's own. */
static const A *TYPED(line_of)(const LpPoolShape *s, const T *x, int64_t od, int64_t oh,
                               int64_t start, int64_t length, A *line) {
  int64_t lo = start < 0 ? -start : 0, hi = s->in[2] - start;
  if (lo > length) lo = length;
  if (hi > length) hi = length;
  int64_t d0, d1, h0, h1;
  taps_inside(s, 0, od, &d0, &d1);
  taps_inside(s, 1, oh, &h0, &h1);
  if (d0 >= d1 || h0 >= h1 || hi < lo) hi = lo;
  for (int64_t i = 0; i < lo; i++) line[i] = -(A)INFINITY;
  for (int64_t i = hi; i < length; i++) line[i] = -(A)INFINITY;
  if (lo == hi) return line;
  const int64_t apart = s->dilation[1] * s->in[2];
  for (int64_t kd = d0; kd < d1; kd++)
    for (int64_t kh = h0, n; kh < h1; kh += n) {
      const int64_t d = od * s->stride[0] - s->padding[0] + kd * s->dilation[0],
                    h = oh * s->stride[1] - s->padding[1] + kh * s->dilation[1];
      const T *from = x + (d * s->in[1] + h) * s->in[2] + start + lo;
      if (sizeof(T) == sizeof(A) && hi - lo == length && d1 - d0 == 1 && h1 - h0 == 1)
        return (const void *)from;
      const bool more = kd > d0 || kh > h0;
      n = taps_at_once(h1 - kh);
      switch (n) {
      case 1: TYPED(max_of_rows)(line + lo, from, apart, hi - lo, 1, more); break;
      case 2: TYPED(max_of_rows)(line + lo, from, apart, hi - lo, 2, more); break;
      default: TYPED(max_of_rows)(line + lo, from, apart, hi - lo, 3, more);
      }
    }
  return line;
}

/* Windows `step` apart: the maxima of those `along` apart, of which every `pick`th
 * counts, as some of those next to each other are sooner made by vectors than the wanted
 * ones alone are one by one. */
static inline __attribute__((always_inline)) void TYPED(max_plain)(const LpPoolShape *s,
                                                                   const T *x, T *y,
                                                                   const int64_t along,
                                                                   const int64_t pick) {
  const int64_t step = along * pick;
  A buffer[LINE], found[LINE];
  const int64_t apart = s->dilation[2], reach = (s->kernel[2] - 1) * apart + 1;
  const int64_t room = (LINE - reach) / step + 1, most = room < COLUMNS ? room : COLUMNS;
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t c0 = 0; c0 < s->out[2]; c0 += most) {
        const int64_t m = s->out[2] - c0 < most ? s->out[2] - c0 : most;
        const A *line = TYPED(line_of)(s, x, od, oh, c0 * step - s->padding[2],
                                       (m - 1) * step + reach, buffer);
        const int64_t made = (m - 1) * pick + 1;
        T *to = y + (od * s->out[1] + oh) * s->out[2] + c0;
        const bool in_place = sizeof(T) == sizeof(A) && pick == 1;
        A *value = in_place ? (void *)to : found;
        for (int64_t kw = 0, n; kw < s->kernel[2]; kw += n) {
          n = apart == 1 ? taps_at_once(s->kernel[2] - kw) : 1;
          switch (n) {
          case 1: TYPED(max_of_line)(value, line + kw * apart, made, 1, along, kw); break;
          case 2: TYPED(max_of_line)(value, line + kw, made, 2, along, kw); break;
          default: TYPED(max_of_line)(value, line + kw, made, 3, along, kw);
          }
        }
        for (int64_t j = 0; j < m && !in_place; j++) to[j] = STORE(value[j * pick]);
      }
}

static void TYPED(max)(const LpPoolShape *s, const void *x, void *y, int32_t *index32,
                       int64_t *index64) {
  const int64_t step = s->stride[2];
  const bool wide = (s->kernel[2] - 1) * s->dilation[2] >= LINE / 2;
  if (is_2x2(s))
    TYPED(max_2x2)(s, x, y, index32, index64);
  else if ((index32 || index64 || wide) && step == 1)
    TYPED(max_indexed)(s, x, y, index32, index64, 1);
  else if ((index32 || index64 || wide) && step == 2)
    TYPED(max_indexed)(s, x, y, index32, index64, 2);
  else if (index32 || index64 || wide)
    TYPED(max_indexed)(s, x, y, index32, index64, step);
  else if (step == 1)
    TYPED(max_plain)(s, x, y, 1, 1);
  else if (step == 2)
    TYPED(max_plain)(s, x, y, 2, 1);
  else if (step <= 8)
    TYPED(max_plain)(s, x, y, 1, step);
  else
    TYPED(max_plain)(s, x, y, step, 1);
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

static inline __attribute__((always_inline)) void
TYPED(average_steps)(const LpPoolShape *s, const T *x, T *y, const int64_t step) {
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
              int64_t shift = kw - s->padding[2], lo, hi;
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

static void TYPED(average)(const LpPoolShape *s, const void *x, void *y) {
  const int64_t step = s->stride[2];
  if (step == 1)
    TYPED(average_steps)(s, x, y, 1);
  else if (step == 2)
    TYPED(average_steps)(s, x, y, 2);
  else
    TYPED(average_steps)(s, x, y, step);
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

/* Sums in the number's type of a few thousand elements at most. */
static inline double TYPED(sum_row)(const T *x, int64_t n) {
  double total = 0;
  A few = 0;
  if (n < LANES) {
    for (int64_t i = 0; i < n; i++) few += LOAD(x[i]);
    return (double)few;
  }
  for (int64_t from = 0; from < n; from += 4096) {
    const int64_t m = n - from < 4096 ? n - from : 4096;
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < m; i++) sum += LOAD(x[from + i]);
    total += (double)sum;
  }
  return total;
}

static void TYPED(adaptive_average)(const LpPoolShape *s, const void *px, void *py) {
  const T *x = px;
  T *y = py;
  if (s->out[0] * s->out[1] * s->out[2] == 1) {
    const int64_t n = s->in[0] * s->in[1] * s->in[2];
    *y = STORE((A)(TYPED(sum_row)(x, n) / (double)n));
    return;
  }
  EACH_WINDOW(s, d, h, w) {
    const Rows r = rows_of(s, &d, &h, &w);
    double total = 0;
    for (int64_t i = 0; i < r.deep; i++)
      for (int64_t k = 0; k < r.high; k++)
        total += TYPED(sum_row)(
            x + ((d.from + i) * s->in[1] + h.from + k) * s->in[2] + w.from, r.length);
    *y++ = STORE((A)(total / (double)(r.deep * r.high * r.length)));
  }
}

static void TYPED(adaptive_average_grad)(const LpPoolShape *s, const void *pg,
                                         void *pgx) {
  const T *g = pg;
  T *gx = pgx;
  memset(gx, 0, (size_t)(s->in[0] * s->in[1] * s->in[2]) * sizeof(T));
  EACH_WINDOW(s, d, h, w) {
    const Rows r = rows_of(s, &d, &h, &w);
    const A share = LOAD(*g) / (A)(r.deep * r.high * r.length);
    g++;
    for (int64_t i = 0; i < r.deep; i++)
      for (int64_t k = 0; k < r.high; k++) {
        T *row = gx + ((d.from + i) * s->in[1] + h.from + k) * s->in[2] + w.from;
        LP_IVDEP
        for (int64_t n = 0; n < r.length; n++) row[n] = STORE(LOAD(row[n]) + share);
      }
  }
}

/* The larger of *best, which is element *at of the plane, and of the row from x[from] on;
 * a NaN wins, the last one. */
static inline void TYPED(max_of_row)(const T *x, int64_t from, int64_t n, A *best,
                                     int64_t *at) {
  if (n >= LANES) { /* find the value first, then where it is */
    A most = *best;
    int nan = 0;
#pragma omp simd reduction(max : most) reduction(| : nan)
    for (int64_t i = 0; i < n; i++) {
      const A v = LOAD(x[from + i]);
      most = v > most ? v : most;
      nan |= v != v;
    }
    if (!nan) {
      if (!(most > *best)) return;
      int64_t i = from;
      while (LOAD(x[i]) != most) i++;
      *best = most;
      *at = i;
      return;
    }
  }
  for (int64_t i = from; i < from + n; i++) {
    const A v = LOAD(x[i]);
    if (!(v > *best || v != v)) continue;
    *best = v;
    *at = i;
  }
}

static void TYPED(adaptive_max)(const LpPoolShape *s, const void *px, void *py,
                                int64_t *index) {
  const T *x = px;
  T *y = py;
  EACH_WINDOW(s, d, h, w) {
    const Rows r = rows_of(s, &d, &h, &w);
    const int64_t first = (d.from * s->in[1] + h.from) * s->in[2] + w.from;
    A best = -(A)INFINITY;
    int64_t at = first;
    for (int64_t i = 0; i < r.deep; i++)
      for (int64_t k = 0; k < r.high; k++) {
        const int64_t from = first + (i * s->in[1] + k) * s->in[2];
        TYPED(max_of_row)(x, from, r.length, &best, &at);
      }
    *y++ = STORE(best);
    if (index) *index++ = at;
  }
}
