/* Winograd's transforms of tiles of M x M outputs; FN(name) carries M. Included by
 * winograd.c, which has the parts that do not depend on M. */
#define SIDE (M + 2)
#define N (SIDE * SIDE)

/* The columns of a square transform: `from` lines read where GET(i, j) says, into t of `to`
 * rows. */
#define COLUMNS(line, from, to, t, GET)                                                  \
  do {                                                                                   \
    _Pragma("GCC unroll 6") for (int j = 0; j < (from); j++) {                           \
      V d[from];                                                                         \
      _Pragma("GCC unroll 6") for (int i = 0; i < (from); i++) d[i] = GET(i, j);         \
      line(d, (t) + j, from);                                                            \
    }                                                                                    \
  } while (0)

/* The columns of a tile's transform, for channels from c on; `lines` of them remain to be
 * transformed along the rows, each of SIDE numbers, or of M for y's gradient. */
static inline void FN(source_columns)(LpWinogradPixels *pixels, int64_t c, int64_t rest,
                                      bool is_grad, V *t) {
#define WHOLE(i, j) load(pixels[(i)*SIDE + (j)] + c)
#define SOME(i, j) load_some(pixels[(i)*SIDE + (j)] + c, rest)
#define WHOLE_GRAD(i, j) load(pixels[(i)*M + (j)] + c)
#define SOME_GRAD(i, j) load_some(pixels[(i)*M + (j)] + c, rest)
  if (rest >= LANES) {
    if (is_grad)
      COLUMNS(FN(grad), M, SIDE, t, WHOLE_GRAD);
    else
      COLUMNS(FN(input), SIDE, SIDE, t, WHOLE);
  } else {
    if (is_grad)
      COLUMNS(FN(grad), M, SIDE, t, SOME_GRAD);
    else
      COLUMNS(FN(input), SIDE, SIDE, t, SOME);
  }
}

/* Row i of what source_columns left. */
static inline void FN(source_row)(const V *t, int i, bool is_grad, V *r) {
  if (is_grad)
    FN(grad)(t + i * M, r, 1);
  else
    FN(input)(t + i * SIDE, r, 1);
}

static inline void FN(weight_columns)(const V *taps, V *t) {
#define TAP(i, j) taps[(i)*3 + (j)]
  COLUMNS(FN(weights), 3, SIDE, t, TAP);
}

/* Fetches what the next tile to the right does not share with this one. */
static inline void FN(fetch)(LpWinogradPixels *ahead, int64_t c) {
  for (int i = 0; i < SIDE; i++)
    for (int j = 2; j < SIDE; j++) __builtin_prefetch(ahead[i * SIDE + j] + c);
}

static inline void FN(floats)(LpWinogradPixels *pixels, LpWinogradPixels *ahead, int64_t channels, float *to,
                              int64_t step, bool is_grad) {
  for (int64_t c = 0; c < channels; c += LANES) {
    V t[N];
    if (!is_grad) FN(fetch)(ahead, c);
    FN(source_columns)(pixels, c, channels - c, is_grad, t);
    float *at = to + c;
    for (int i = 0; i < SIDE; i++) {
      V r[SIDE];
      FN(source_row)(t, i, is_grad, r);
#pragma GCC unroll 6
      for (int j = 0; j < SIDE; j++, at += step) *(V *)at = r[j];
    }
  }
}
static void FN(input_floats)(LpWinogradPixels *pixels, LpWinogradPixels *ahead, int64_t channels, float *to,
                             int64_t step) {
  FN(floats)(pixels, ahead, channels, to, step, false);
}
static void FN(grad_floats)(LpWinogradPixels *pixels, LpWinogradPixels *ahead, int64_t channels, float *to,
                            int64_t step) {
  FN(floats)(pixels, ahead, channels, to, step, true);
}

/* Input channels whose weights are turned over at once. */
#define STRIP 32

static void FN(weights_floats)(const LpWinogradWeights *w, float *to, int64_t step,
                               int64_t row) {
  V taps[STRIP][9];
  for (int64_t i0 = 0; i0 < w->ins; i0 += STRIP) {
    const int64_t count = w->ins - i0 < STRIP ? w->ins - i0 : STRIP;
    gather(w, i0, count, taps);
    for (int64_t i = 0; i < count; i++) {
      V t[3 * SIDE];
      FN(weight_columns)(taps[i], t);
      float *at = to + (i0 + i) * row;
      for (int f = 0; f < SIDE; f++) {
        V r[SIDE];
        FN(weights)(t + f * 3, r, 1);
#pragma GCC unroll 6
        for (int j = 0; j < SIDE; j++, at += step) *(V *)at = r[j];
      }
    }
  }
}

/* A NaN or an infinity of x, w or y's gradient makes one of the corners a NaN. */
static bool FN(output_tile)(const float *from, int64_t step, const float *bias,
                            int64_t channels, float *const *to) {
  V sum = {0};
  for (int64_t c = 0; c < channels; c += LANES) {
    const int64_t count = channels - c;
    V t[M * SIDE], b = {0};
#define COLUMN(i, j) *(const V *)(from + ((i)*SIDE + (j)) * step + c)
    COLUMNS(FN(output), SIDE, M, t, COLUMN);
    if (bias) b = count >= LANES ? load(bias + c) : load_some(bias + c, count);
    for (int i = 0; i < M; i++) {
      V r[SIDE];
      FN(output)(t + i * SIDE, r, 1);
      if (i == 0 || i == M - 1) sum += r[0] + r[M - 1];
#pragma GCC unroll 4
      for (int j = 0; j < M; j++) {
        float *pixel = to[i * M + j];
        if (!pixel) continue;
        if (count >= LANES)
          *(Unaligned *)(pixel + c) = r[j] + b;
        else
          store_some(pixel + c, r[j] + b, count);
      }
    }
  }
  return no_nan(sum);
}

static bool FN(weight_sums)(const float *from, int64_t step, int64_t channels, float *w) {
  V sum = {0};
  for (int64_t c = 0; c < channels; c += LANES) {
    const int64_t count = channels - c < LANES ? channels - c : LANES;
    V t[3 * SIDE], r[9];
    COLUMNS(FN(weight_grad), SIDE, 3, t, COLUMN);
    for (int i = 0; i < 3; i++) {
      V line[SIDE];
      FN(weight_grad)(t + i * SIDE, line, 1);
      for (int j = 0; j < 3; j++) r[i * 3 + j] = line[j];
    }
    sum += r[0] + r[2] + r[6] + r[8];
    for (int64_t i = 0; i < count; i++)
      for (int tap = 0; tap < 9; tap++) w[(c + i) * 9 + tap] = r[tap][i];
  }
  return no_nan(sum);
}

#ifdef WITH_PIECES
static void FN(input_row)(LpWinogradPixels *pixels, LpWinogradPixels *ahead,
                          int64_t channels, char *to, int64_t step) {
  for (int64_t c = 0; c < channels; c += 32, to += LP_SPLIT_PIECES) {
    V low[N], high[N];
    FN(fetch)(ahead, c);
    FN(fetch)(ahead, c + LANES);
    FN(source_columns)(pixels, c, channels - c, false, low);
    if (c + LANES < channels)
      FN(source_columns)(pixels, c + LANES, channels - c - LANES, false, high);
    else
      memset(high, 0, sizeof high);
    char *at = to;
    for (int i = 0; i < SIDE; i++) {
      V a[SIDE], b[SIDE];
      FN(source_row)(low, i, false, a);
      FN(source_row)(high, i, false, b);
#pragma GCC unroll 6
      for (int j = 0; j < SIDE; j++, at += step) put_line(a[j], b[j], at);
    }
  }
}

static inline void FN(line)(LpWinogradPixels *first, LpWinogradPixels *second,
                            int64_t channels, char *to, int64_t step, int64_t block_step,
                            bool is_grad) {
  for (int64_t c = 0; c < channels; c += LANES, to += block_step) {
    V low[N], high[N];
    FN(source_columns)(first, c, channels - c, is_grad, low);
    FN(source_columns)(second, c, channels - c, is_grad, high);
    char *at = to;
    for (int i = 0; i < SIDE; i++) {
      V a[SIDE], b[SIDE];
      FN(source_row)(low, i, is_grad, a);
      FN(source_row)(high, i, is_grad, b);
#pragma GCC unroll 6
      for (int j = 0; j < SIDE; j++, at += step) put_line(a[j], b[j], at);
    }
  }
}
static void FN(input_line)(LpWinogradPixels *first, LpWinogradPixels *second,
                           int64_t channels, char *to, int64_t step, int64_t block_step) {
  FN(line)(first, second, channels, to, step, block_step, false);
}
static void FN(grad_line)(LpWinogradPixels *first, LpWinogradPixels *second,
                          int64_t channels, char *to, int64_t step, int64_t block_step) {
  FN(line)(first, second, channels, to, step, block_step, true);
}

static void FN(weights_block)(const LpWinogradWeights *w, char *to, int64_t step) {
  V taps[STRIP][9];
  for (int64_t i0 = 0; i0 < w->ins; i0 += STRIP, to += LP_SPLIT_PIECES) {
    const int64_t count = w->ins - i0 < STRIP ? w->ins - i0 : STRIP;
    gather(w, i0, count, taps);
    memset(taps + count, 0, (size_t)(STRIP - count) * sizeof taps[0]);
    for (int64_t i = 0; i < STRIP / 2; i++) {
      V low[3 * SIDE], high[3 * SIDE];
      FN(weight_columns)(taps[i], low);
      FN(weight_columns)(taps[i + STRIP / 2], high);
      char *at = to + i * 64;
      for (int f = 0; f < SIDE; f++) {
        V a[SIDE], b[SIDE];
        FN(weights)(low + f * 3, a, 1);
        FN(weights)(high + f * 3, b, 1);
#pragma GCC unroll 6
        for (int j = 0; j < SIDE; j++, at += step) put_line(a[j], b[j], at);
      }
    }
  }
}
#endif

static const LpWinogradTiles FN(tiles) = {
    .input = FN(input_floats),
    .grad = FN(grad_floats),
    .weights = FN(weights_floats),
    .output = FN(output_tile),
    .weight_grad = FN(weight_sums),
#ifdef WITH_PIECES
    .input_row = FN(input_row),
    .input_line = FN(input_line),
    .grad_line = FN(grad_line),
    .weights_block = FN(weights_block),
#endif
};
#undef STRIP
#undef COLUMNS
#undef COLUMN
#undef TAP
#undef WHOLE
#undef SOME
#undef WHOLE_GRAD
#undef SOME_GRAD
#undef SIDE
#undef N
