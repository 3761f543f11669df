/* The loops of cpu/interpolate.h for one dtype; included by interpolate.c through
 * nn_each.h. A row of the result: the input's rows are mixed into one, then that is
 * resampled along the width. In between stand numbers of the compute type. */

/* to[j] = the weighted sum of x[tap.at + j], j < n */
static void TYPED(mix)(A *to, const T *x, const LpTap *tap, int64_t taps, int64_t n) {
  if (!taps) memset(to, 0, (size_t)n * sizeof(A));
  for (int64_t k = 0; k < taps; k += 2) {
    const T *a = x + tap[k].at;
    const A wa = (A)tap[k].weight;
    if (k + 1 == taps && k == 0) {
      LP_IVDEP
      for (int64_t j = 0; j < n; j++) to[j] = wa * LOAD(a[j]);
    } else if (k + 1 == taps) {
      LP_IVDEP
      for (int64_t j = 0; j < n; j++) to[j] += wa * LOAD(a[j]);
    } else {
      const T *b = x + tap[k + 1].at;
      const A wb = (A)tap[k + 1].weight;
      if (k == 0) {
        LP_IVDEP
        for (int64_t j = 0; j < n; j++) to[j] = wa * LOAD(a[j]) + wb * LOAD(b[j]);
      } else {
        LP_IVDEP
        for (int64_t j = 0; j < n; j++) to[j] += wa * LOAD(a[j]) + wb * LOAD(b[j]);
      }
    }
  }
}

/* One pixel of `inner` elements: to = the weighted sum of n neighbours. */
static inline void TYPED(pixel)(T *to, const A *from, const A *w, int64_t n,
                                int64_t inner) {
  if (n == 1) {
    LP_IVDEP
    for (int64_t j = 0; j < inner; j++) to[j] = STORE(w[0] * from[j]);
    return;
  }
  if (n == 2) {
    LP_IVDEP
    for (int64_t j = 0; j < inner; j++)
      to[j] = STORE(w[0] * from[j] + w[1] * from[inner + j]);
    return;
  }
  for (int64_t c0 = 0; c0 < inner; c0 += COLUMNS) {
    const int64_t m = inner - c0 < COLUMNS ? inner - c0 : COLUMNS;
    A sum[COLUMNS];
    for (int64_t j = 0; j < m; j++) sum[j] = 0;
    for (int64_t k = 0; k < n; k++) {
      const A *a = from + k * inner + c0;
      LP_IVDEP
      for (int64_t j = 0; j < m; j++) sum[j] += w[k] * a[j];
    }
    LP_IVDEP
    for (int64_t j = 0; j < m; j++) to[c0 + j] = STORE(sum[j]);
  }
}

static void TYPED(along)(T *to, const A *from, const LpBand *b, int64_t inner) {
  const A *weight =
      sizeof(A) == sizeof(float) ? (const void *)b->weight32 : (const void *)b->weight;
  if (inner > 1) {
    for (int64_t o = 0; o < b->out; o++) TYPED(pixel)
    (to + o * inner, from + b->first[o] * inner, weight + b->start[o], width(b, o),
     inner);
    return;
  }
  for (int64_t o = 0; o < b->out; o++) {
    const int64_t n = width(b, o);
    const A *a = from + b->first[o], *w = weight + b->start[o];
    A sum;
    switch (n) {
    case 1: sum = w[0] * a[0]; break;
    case 2: sum = w[0] * a[0] + w[1] * a[1]; break;
    case 4: sum = (w[0] * a[0] + w[1] * a[1]) + (w[2] * a[2] + w[3] * a[3]); break;
    default:
      sum = 0;
      for (int64_t k = 0; k < n; k++) sum += w[k] * a[k];
    }
    to[o] = STORE(sum);
  }
}

static void TYPED(pick)(T *to, const T *from, const LpBand *b, int64_t inner) {
  if (inner == 1) {
    for (int64_t o = 0; o < b->out; o++) to[o] = from[b->first[o]];
    return;
  }
  for (int64_t o = 0; o < b->out; o++)
    memcpy(to + o * inner, from + b->first[o] * inner, (size_t)inner * sizeof(T));
}

static void TYPED(rows)(const LpInterpolateShape *s, const void *px, void *py,
                        int64_t begin, int64_t end, void *scratch) {
  const LpBand *depth = &s->band[0], *height = &s->band[1], *along = &s->band[2];
  const int64_t in_row = along->in * s->inner, out_row = along->out * s->inner;
  LpTap *tap = scratch;
  A *mixed = (A *)(tap + depth->widest * height->widest);
  for (int64_t row = begin; row < end; row++) {
    const int64_t h = row % height->out, d = row / height->out % depth->out,
                  image = row / height->out / depth->out;
    T *to = (T *)py + row * out_row;
    if (row > begin && repeats(height, h)) {
      memcpy(to, to - out_row, (size_t)out_row * sizeof(T));
      continue;
    }
    int64_t taps = 0;
    for (int64_t i = 0; i < width(depth, d); i++)
      for (int64_t k = 0; k < width(height, h); k++)
        tap[taps++] = (LpTap){((image * depth->in + depth->first[d] + i) * height->in +
                               height->first[h] + k) *
                                  in_row,
                              depth->weight[depth->start[d] + i] *
                                  height->weight[height->start[h] + k]};
    const bool whole = taps == 1 && tap[0].weight == 1; /* one row as it is */
    const T *from = whole ? (const T *)px + tap[0].at : NULL;
    if (whole && along->picks) {
      TYPED(pick)(to, from, along, s->inner);
    } else if (whole && sizeof(T) == sizeof(A)) {
      TYPED(along)(to, (const void *)from, along, s->inner);
    } else {
      TYPED(mix)(mixed, px, tap, taps, in_row);
      TYPED(along)(to, mixed, along, s->inner);
    }
  }
}
