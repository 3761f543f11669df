/* The loops of cpu/roi.h for the compute dtype A; included by roi.c. */

#ifndef TYPED
#define TYPED_PASTE(a, b) a##_##b
#define TYPED_NAME(a, b) TYPED_PASTE(a, b)
#define TYPED(name) TYPED_NAME(name, SUFFIX)
#endif

/* Adds w to element e of a band that starts empty (lo = hi = 0) and grows at its ends. */
static inline void TYPED(add)(int64_t *lo, int64_t *hi, A *weight, int64_t e, A w) {
  if (*lo == *hi) {
    *lo = e;
    *hi = e + 1;
    weight[e] = 0;
  }
  while (*hi <= e) weight[(*hi)++] = 0;
  while (*lo > e) weight[--(*lo)] = 0;
  weight[e] += w;
}

/* The bands of bins of samples: sample k of bin i is at start + i * bin + (k + 1/2) * bin
 * / count. Samples more than a pixel outside count for nothing; NaN is outside. */
static void TYPED(sampled)(A start, A bin, double count, int64_t n, int64_t bins,
                           const LpRoiBands *b) {
  for (int64_t i = 0; i < bins; i++) {
    A *weight = (A *)b->weight + i * n;
    /* Through memory: a fused product and sum would round otherwise than PyTorch's, and
     * at the image's rim the sample would fall on the other side. */
    volatile A moved = (A)i * bin;
    A first = start + moved;
    b->lo[i] = b->hi[i] = 0;
    if (!(count >= 1) || !isfinite(first) || !isfinite(bin) || n == 0) continue;
    /* Of a bin far larger than the image only the samples near it are visited. */
    double step = (double)bin / count, from = 0, to = count;
    if (step > 0) {
      from = floor((-1 - (double)first) / step) - 2;
      to = ceil(((double)n - (double)first) / step) + 2;
    } else if (step < 0) {
      from = floor(((double)n - (double)first) / step) - 2;
      to = ceil((-1 - (double)first) / step) + 2;
    }
    if (!(from > 0)) from = 0;
    if (!(to < count)) to = count;
    int64_t visited = 0;
    for (double k = from; k < to; k++) {
      if ((++visited & 0xffff) == 0 && lp_interrupt_pending()) return;
      A at = first + ((A)k + (A)0.5) * bin / (A)count;
      if (!(at >= -1 && at <= (A)n)) continue;
      if (at < 0) at = 0;
      int64_t e = (int64_t)at;
      if (e >= n - 1) {
        TYPED(add)(&b->lo[i], &b->hi[i], weight, n - 1, 1);
        continue;
      }
      A t = at - (A)e;
      TYPED(add)(&b->lo[i], &b->hi[i], weight, e, 1 - t);
      TYPED(add)(&b->lo[i], &b->hi[i], weight, e + 1, t);
    }
  }
}

/* v, whole, as an index in [0, n]; NaN is 0. */
static inline int64_t TYPED(clamp)(A v, int64_t n) {
  return !(v > 0) ? 0 : v >= (A)n ? n : (int64_t)v;
}

/* The bands of bins of whole pixels: bin i covers floor(i * bin) to ceil((i + 1) * bin)
 * from start on, at most to `limit`. */
static void TYPED(whole)(A start, A bin, int64_t n, int64_t limit, int64_t bins,
                         const LpRoiBands *b) {
  for (int64_t i = 0; i < bins; i++) {
    A *weight = (A *)b->weight + i * n;
    A from = (A)floor((double)((A)i * bin)), to = (A)ceil((double)((A)(i + 1) * bin));
    b->lo[i] = TYPED(clamp)(from + start, limit);
    b->hi[i] = TYPED(clamp)(to + start, limit);
    if (b->hi[i] < b->lo[i]) b->hi[i] = b->lo[i];
    for (int64_t e = b->lo[i]; e < b->hi[i]; e++) weight[e] = 1;
  }
}

static void TYPED(bands)(const LpRoiShape *s, const void *proi, const LpRoiBands sides[2],
                         void *pshare) {
  const A *roi = proi;
  A scale = (A)s->scale;
  double samples = 1;
  for (int side = 0; side < 2; side++) {
    volatile A low = roi[side == 0 ? 2 : 1] * scale,
               high = roi[side == 0 ? 4 : 3] * scale;
    int64_t n = s->in[side], bins = s->out[side];
    if (s->kind == LP_ROI_MAX || s->kind == LP_ROI_PS_POOL) {
      A start = (A)round((double)low), end = (A)round((double)high);
      bool max = s->kind == LP_ROI_MAX;
      A size = end - start + (max ? 1 : 0);
      if (!(size > 1)) size = 1;
      /* torchvision's ps_roi_pool never reads the last row and column. */
      TYPED(whole)
      (start, size / (A)bins, n, max || n == 0 ? n : n - 1, bins, &sides[side]);
      continue;
    }
    A half = s->kind == LP_ROI_ALIGN ? 0 : (A)0.5;
    A start = low - half, end = high - half, size = end - start;
    if (s->kind == LP_ROI_ALIGN && !(size > 1)) size = 1;
    A bin = size / (A)bins;
    double count = s->samples > 0 ? (double)s->samples : ceil((double)bin);
    samples *= count;
    TYPED(sampled)(start, bin, count, n, bins, &sides[side]);
  }
  if (s->kind != LP_ROI_PS_ALIGN && !(samples > 1)) samples = 1;
  *(A *)pshare = (A)samples;
}

/* What a bin's sum is divided by. */
static inline A TYPED(divisor)(const LpRoiShape *s, const LpRoiBands sides[2], A share,
                               int64_t i, int64_t j) {
  if (s->kind != LP_ROI_PS_POOL) return share;
  int64_t area = (sides[0].hi[i] - sides[0].lo[i]) * (sides[1].hi[j] - sides[1].lo[j]);
  return area > 0 ? (A)area : 1;
}

/* Bin (i, j) of out channel c reads this channel, where each bin has one of its own. */
static inline int64_t TYPED(channel)(const LpRoiShape *s, int64_t c, int64_t i,
                                     int64_t j) {
  return (c * s->out[0] + i) * s->out[1] + j;
}

static A TYPED(sum_bin)(const LpRoiShape *s, const LpRoiBands sides[2], int64_t i,
                        int64_t j, const A *x) {
  const A *wy = (const A *)sides[0].weight + i * s->in[0];
  const A *wx = (const A *)sides[1].weight + j * s->in[1];
  A sum = 0;
  for (int64_t h = sides[0].lo[i]; h < sides[0].hi[i]; h++) {
    A line = 0;
    for (int64_t w = sides[1].lo[j]; w < sides[1].hi[j]; w++)
      line += wx[w] * x[h * s->in[1] + w];
    sum += wy[h] * line;
  }
  return sum;
}

/* The columns that any bin reads. */
static void TYPED(columns)(const LpRoiShape *s, const LpRoiBands *b, int64_t *lo,
                           int64_t *hi) {
  *lo = s->in[1];
  *hi = 0;
  for (int64_t j = 0; j < s->out[1]; j++) {
    if (b->lo[j] == b->hi[j]) continue;
    if (b->lo[j] < *lo) *lo = b->lo[j];
    if (b->hi[j] > *hi) *hi = b->hi[j];
  }
}

static void TYPED(forward)(const LpRoiShape *s, const LpRoiBands sides[2],
                           const void *pshare, const void *px, void *prow, void *py) {
  const A share = *(const A *)pshare, *x = px;
  int64_t plane = s->in[0] * s->in[1];
  A *row = prow, *y = py;
  if (lp_roi_by_bin(s->kind)) {
    for (int64_t c = 0; c < s->out_channels; c++)
      for (int64_t i = 0; i < s->out[0]; i++)
        for (int64_t j = 0; j < s->out[1]; j++)
          *y++ = TYPED(sum_bin)(s, sides, i, j, x + TYPED(channel)(s, c, i, j) * plane) /
                 TYPED(divisor)(s, sides, share, i, j);
    return;
  }
  int64_t lo, hi;
  TYPED(columns)(s, &sides[1], &lo, &hi);
  for (int64_t c = 0; c < s->out_channels; c++, x += plane)
    for (int64_t i = 0; i < s->out[0]; i++) {
      const A *wy = (const A *)sides[0].weight + i * s->in[0];
      for (int64_t w = lo; w < hi; w++) row[w] = 0;
      for (int64_t h = sides[0].lo[i]; h < sides[0].hi[i]; h++) {
        const A *line = x + h * s->in[1];
        for (int64_t w = lo; w < hi; w++) row[w] += wy[h] * line[w];
      }
      for (int64_t j = 0; j < s->out[1]; j++) {
        const A *wx = (const A *)sides[1].weight + j * s->in[1];
        A sum = 0;
        for (int64_t w = sides[1].lo[j]; w < sides[1].hi[j]; w++) sum += wx[w] * row[w];
        *y++ = sum / share;
      }
    }
}

static void TYPED(adjoint)(const LpRoiShape *s, const LpRoiBands sides[2],
                           const void *pshare, const void *pg, int64_t begin, int64_t end,
                           void *prow, void *pgx) {
  const A share = *(const A *)pshare, *g = pg;
  int64_t plane = s->in[0] * s->in[1], lo, hi;
  A *row = prow;
  bool by_bin = lp_roi_by_bin(s->kind);
  TYPED(columns)(s, &sides[1], &lo, &hi);
  for (int64_t c = begin; c < end; c++)
    for (int64_t i = 0; i < s->out[0]; i++) {
      const A *wy = (const A *)sides[0].weight + i * s->in[0];
      const A *gi = g + (c * s->out[0] + i) * s->out[1];
      if (by_bin) {
        for (int64_t j = 0; j < s->out[1]; j++) {
          const A *wx = (const A *)sides[1].weight + j * s->in[1];
          A *gx = (A *)pgx + TYPED(channel)(s, c, i, j) * plane;
          A v = gi[j] / TYPED(divisor)(s, sides, share, i, j);
          for (int64_t h = sides[0].lo[i]; h < sides[0].hi[i]; h++)
            for (int64_t w = sides[1].lo[j]; w < sides[1].hi[j]; w++)
              gx[h * s->in[1] + w] += v * wy[h] * wx[w];
        }
        continue;
      }
      A *gx = (A *)pgx + c * plane;
      for (int64_t w = lo; w < hi; w++) row[w] = 0;
      for (int64_t j = 0; j < s->out[1]; j++) {
        const A *wx = (const A *)sides[1].weight + j * s->in[1];
        A v = gi[j] / share;
        for (int64_t w = sides[1].lo[j]; w < sides[1].hi[j]; w++) row[w] += v * wx[w];
      }
      for (int64_t h = sides[0].lo[i]; h < sides[0].hi[i]; h++)
        for (int64_t w = lo; w < hi; w++) gx[h * s->in[1] + w] += wy[h] * row[w];
    }
}

static void TYPED(max)(const LpRoiShape *s, const LpRoiBands sides[2], const void *px,
                       void *py, int64_t *index) {
  const A *x = px;
  A *y = py;
  for (int64_t c = 0; c < s->channels; c++, x += s->in[0] * s->in[1])
    for (int64_t i = 0; i < s->out[0]; i++)
      for (int64_t j = 0; j < s->out[1]; j++) {
        bool empty = sides[0].lo[i] == sides[0].hi[i] || sides[1].lo[j] == sides[1].hi[j];
        /* As in torchvision, NaN and -inf never win: a bin of nothing else is -FLT_MAX.
         */
        A best = empty ? 0 : (A)-FLT_MAX;
        int64_t at = -1;
        for (int64_t h = sides[0].lo[i]; h < sides[0].hi[i]; h++)
          for (int64_t w = sides[1].lo[j]; w < sides[1].hi[j]; w++) {
            A v = x[h * s->in[1] + w];
            if (v > best) {
              best = v;
              at = h * s->in[1] + w;
            }
          }
        *y++ = best;
        *index++ = at;
      }
}
