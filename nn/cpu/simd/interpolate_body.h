/* The loops of cpu/interpolate.h for one dtype; included by interpolate.c through
 * nn_each.h. A row of the result: the input's rows are mixed into one, then that is
 * resampled along the width. In between stand numbers of the compute type. */

/* to[j], 0 unless more, += the weighted sum of m rows of n elements. */
static inline __attribute__((always_inline)) void
TYPED(add_rows)(A *to, const T *x, const LpTap *tap, const int m, bool more, int64_t n) {
  const T *row[4];
  A w[4];
  for (int k = 0; k < m; k++) {
    row[k] = x + tap[k].at;
    w[k] = (A)tap[k].weight;
  }
  LP_IVDEP
  for (int64_t j = 0; j < n; j++) {
    A sum = more ? to[j] : 0;
    for (int k = 0; k < m; k++) sum += w[k] * LOAD(row[k][j]);
    to[j] = sum;
  }
}

static void TYPED(mix)(A *to, const T *x, const LpTap *tap, int64_t taps, int64_t n) {
  if (!taps) memset(to, 0, (size_t)n * sizeof(A));
  for (int64_t k = 0; k < taps; k += 4) {
    switch (taps - k) {
    case 1: TYPED(add_rows)(to, x, tap + k, 1, k > 0, n); break;
    case 2: TYPED(add_rows)(to, x, tap + k, 2, k > 0, n); break;
    case 3: TYPED(add_rows)(to, x, tap + k, 3, k > 0, n); break;
    default: TYPED(add_rows)(to, x, tap + k, 4, k > 0, n);
    }
  }
}

/* One pixel of `inner` elements: to = the weighted sum of n neighbours. */
static inline __attribute__((always_inline)) void
TYPED(neighbours)(A *to, const A *from, const A *w, const int n, int64_t inner) {
  LP_IVDEP
  for (int64_t j = 0; j < inner; j++) {
    A sum = 0;
    for (int k = 0; k < n; k++) sum += w[k] * from[k * inner + j];
    to[j] = sum;
  }
}

static inline void TYPED(pixel)(A *to, const A *from, const A *w, int64_t n,
                                int64_t inner) {
  switch (n) {
  case 1: TYPED(neighbours)(to, from, w, 1, inner); return;
  case 2: TYPED(neighbours)(to, from, w, 2, inner); return;
  case 3: TYPED(neighbours)(to, from, w, 3, inner); return;
  case 4: TYPED(neighbours)(to, from, w, 4, inner); return;
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
    for (int64_t j = 0; j < m; j++) to[c0 + j] = sum[j];
  }
}

static void TYPED(put)(T *to, const A *from, int64_t n) {
  LP_IVDEP
  for (int64_t j = 0; j < n; j++) to[j] = STORE(from[j]);
}

/* [begin, end) of a row whose pixels have a few elements; n, unless it is 0, is the width
 * of all. */
static inline __attribute__((always_inline)) void
TYPED(few)(A *to, const A *from, const LpBand *b, const A *weight, int64_t begin,
           int64_t end, const int64_t n, const int64_t inner) {
  const A *w = weight + b->start[begin];
  for (int64_t o = begin; o < end; o++) {
    const int64_t m = n ? n : width(b, o);
    const A *a = from + b->first[o] * inner;
    for (int64_t j = 0; j < inner; j++) {
      A sum = 0;
      for (int64_t k = 0; k < m; k++) sum += w[k] * a[k * inner + j];
      to[o * inner + j] = sum;
    }
    w += m;
  }
}

static inline __attribute__((always_inline)) void TYPED(few_along)(A *to, const A *from,
                                                                   const LpBand *b,
                                                                   const A *weight,
                                                                   const int64_t inner) {
  const int64_t begin = b->even_from, end = b->even_to;
  TYPED(few)(to, from, b, weight, 0, begin, 0, inner);
  switch (begin < end ? width(b, begin) : 0) {
  case 1: TYPED(few)(to, from, b, weight, begin, end, 1, inner); break;
  case 2: TYPED(few)(to, from, b, weight, begin, end, 2, inner); break;
  case 4: TYPED(few)(to, from, b, weight, begin, end, 4, inner); break;
  default: TYPED(few)(to, from, b, weight, begin, end, 0, inner);
  }
  TYPED(few)(to, from, b, weight, end, b->out, 0, inner);
}

static void TYPED(along)(A *to, const A *from, const LpBand *b, int64_t inner) {
  const A *weight =
      sizeof(A) == sizeof(float) ? (const void *)b->weight32 : (const void *)b->weight;
  switch (inner) {
  case 1: TYPED(few_along)(to, from, b, weight, 1); break;
  case 2: TYPED(few_along)(to, from, b, weight, 2); break;
  case 3: TYPED(few_along)(to, from, b, weight, 3); break;
  case 4: TYPED(few_along)(to, from, b, weight, 4); break;
  default:
    for (int64_t o = 0; o < b->out; o++) {
      const A *w = weight + b->start[o];
      TYPED(pixel)(to + o * inner, from + b->first[o] * inner, w, width(b, o), inner);
    }
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
  A *mixed = (A *)(tap + depth->widest * height->widest), *resampled = mixed + in_row;
  const bool numbers_are_stored = sizeof(T) == sizeof(A);
  int64_t h = begin % height->out, d = begin / height->out % depth->out,
          image = begin / height->out / depth->out;
  for (int64_t row = begin; row < end; row++) {
    T *to = (T *)py + row * out_row;
    if (row > begin && repeats(height, h)) {
      memcpy(to, to - out_row, (size_t)out_row * sizeof(T));
    } else {
      int64_t taps = 0;
      for (int64_t i = 0; i < width(depth, d); i++)
        for (int64_t k = 0; k < width(height, h); k++) {
          const int64_t plane = image * depth->in + depth->first[d] + i;
          tap[taps++] = (LpTap){(plane * height->in + height->first[h] + k) * in_row,
                                depth->weight[depth->start[d] + i] *
                                    height->weight[height->start[h] + k]};
        }
      const bool whole = taps == 1 && tap[0].weight == 1; /* one row as it is */
      const T *from = whole ? (const T *)px + tap[0].at : NULL;
      if (whole && along->picks) {
        TYPED(pick)(to, from, along, s->inner);
      } else {
        A *numbers = numbers_are_stored ? (void *)to : resampled;
        if (along->same) {
          TYPED(mix)(numbers, px, tap, taps, in_row);
        } else if (whole && numbers_are_stored) {
          TYPED(along)(numbers, (const void *)from, along, s->inner);
        } else {
          TYPED(mix)(mixed, px, tap, taps, in_row);
          TYPED(along)(numbers, mixed, along, s->inner);
        }
        if (!numbers_are_stored) TYPED(put)(to, numbers, out_row);
      }
    }
    if (++h < height->out) continue;
    h = 0;
    if (++d < depth->out) continue;
    d = 0;
    image++;
  }
}
