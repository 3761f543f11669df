/* Transforms of tiles of TILE x TILE outputs, of vectors along channels, of pixels of the
 * kinds that FOR_KINDS calls a function for; included by simd/winograd.c, which tells
 * both, for each size. */
#define SIDE (TILE + 2)
#define DROPPED (SIDE - 2) /* row or column of frequencies that a short tile lacks */

/* The columns of a square transform, but for those from `end` on and number `without`;
 * its rows are left to who uses them. Element (i, j) of the source is GET(i, j), `from`
 * of them along a side; t has `from` columns. */
#define COLUMNS(line, from, t, GET, end, without, ...)                                   \
  do {                                                                                   \
    UNROLL for (int j = 0; j < (end); j++) {                                             \
      V d[from];                                                                         \
      if (j == (without)) continue;                                                      \
      UNROLL for (int i = 0; i < (from); i++) d[i] = GET(i, j);                          \
      line(d, (t) + j, from __VA_ARGS__);                                                \
    }                                                                                    \
  } while (0)

/* Channels from c on of x, or of y's gradient: of a whole vector the compiler knows. */
INLINE void TILED(columns_of_source)(LpWinogradPixels *pixels, LpWinogradShape shape,
                                     int64_t c, int64_t rest, bool is_grad, V *t) {
  const bool down = IS_SHORT(shape, DOWN), across = IS_SHORT(shape, ACROSS);
#define PIXEL(i, j) load(pixels[(i)*SIDE + (j)], c, count, shape)
#define PIXEL_OF_Y(i, j) load(pixels[(i)*TILE + (j)], c, count, shape)
#define BOTH()                                                                           \
  if (is_grad)                                                                           \
    COLUMNS(TILED(line_of_grad), TILE, t, PIXEL_OF_Y, TILE - across, -1, , down);        \
  else                                                                                   \
    COLUMNS(TILED(line_of_input), SIDE, t, PIXEL, SIDE - across, -1, , down)
  if (rest >= LANES) {
    const int64_t count = LANES;
    BOTH();
  } else {
    const int64_t count = rest;
    BOTH();
  }
}

/* Row i of what is left. */
INLINE void TILED(row_of_source)(const V *t, LpWinogradShape shape, int i, bool is_grad,
                                 V *r) {
  if (is_grad)
    TILED(line_of_grad)(t + i * TILE, r, 1, IS_SHORT(shape, ACROSS));
  else
    TILED(line_of_input)(t + i * SIDE, r, 1, IS_SHORT(shape, ACROSS));
}

/* Does a tile have row, or column, i of the frequencies? */
#define HAS(shape, side, i) (!IS_SHORT(shape, side) || (i) != DROPPED)

INLINE void TILED(columns_of_weights)(const V *taps, V *t) {
#define TAP(i, j) taps[(i)*3 + (j)]
  COLUMNS(TILED(line_of_weights), 3, t, TAP, 3, -1);
}

/* What lies so many bytes further: the next tile, which shares two columns. */
INLINE void TILED(fetch)(LpWinogradPixels *pixels, int64_t ahead, int64_t c,
                         LpWinogradShape of) {
  ahead += c * (of & LP_WINOGRAD_HALF ? 2 : 4);
  for (int i = 0; i < SIDE; i++)
    for (int j = 2; j < SIDE; j++)
      __builtin_prefetch((const char *)pixels[i * SIDE + j] + ahead);
}

INLINE void TILED(source_of)(LpWinogradPixels *pixels, int64_t ahead, int64_t channels,
                             float *to, int64_t step, bool is_grad,
                             LpWinogradShape shape) {
  for (int64_t c = 0; c < channels; c += LANES) {
    V t[SIDE * SIDE], r[SIDE];
    if (ahead) TILED(fetch)(pixels, ahead, c, shape);
    TILED(columns_of_source)(pixels, shape, c, channels - c, is_grad, t);
    for (int i = 0; i < SIDE; i++) {
      float *at = to + c + i * SIDE * step;
      if (!HAS(shape, DOWN, i)) continue;
      TILED(row_of_source)(t, shape, i, is_grad, r);
      UNROLL for (int j = 0; j < SIDE; j++, at += step) if (HAS(shape, ACROSS, j)) *
          (V *)at = r[j];
    }
  }
}

static void TILED(input)(LpWinogradPixels *pixels, int64_t ahead, LpWinogradShape shape,
                         int64_t channels, float *to, int64_t step) {
  FOR_KINDS(shape, TILED(source_of), pixels, ahead, channels, to, step, false)
}

static void TILED(grad)(LpWinogradPixels *pixels, LpWinogradShape shape, int64_t channels,
                        float *to, int64_t step) {
  FOR_KINDS(shape, TILED(source_of), pixels, 0, channels, to, step, true)
}

static void TILED(weights)(const LpWinogradWeights *w, float *to, int64_t step,
                           int64_t row) {
  V taps[STRIP][9];
  for (int64_t i0 = 0; i0 < w->ins; i0 += STRIP) {
    const int64_t count = w->ins - i0 < STRIP ? w->ins - i0 : STRIP;
    gather(w, i0, count, taps);
    for (int64_t i = 0; i < count; i++) {
      V t[SIDE * 3], r[SIDE];
      float *at = to + (i0 + i) * row;
      TILED(columns_of_weights)(taps[i], t);
      for (int f = 0; f < SIDE; f++) {
        TILED(line_of_weights)(t + f * 3, r, 1);
        UNROLL for (int j = 0; j < SIDE; j++, at += step) * (V *)at = r[j];
      }
    }
  }
}

/* Floats that are fetched this far ahead of those in use. */
#define AHEAD 32
#define FREQUENCY(i, j) *(const V *)(from + ((i)*SIDE + (j)) * step + c)

/* A NaN of x, of w or of y's gradient, and so an infinity, reaches one of the corners. */
INLINE void TILED(output_channels)(const float *from, int64_t step, const void *bias,
                                   int64_t c, int64_t count, void *const *to,
                                   LpWinogradShape shape, V *sum) {
  const int down = TILE - IS_SHORT(shape, DOWN), across = TILE - IS_SHORT(shape, ACROSS);
  V t[TILE * SIDE], r[TILE];
  for (int f = 0; f < SIDE * SIDE; f++)
    if (HAS(shape, DOWN, f / SIDE) && HAS(shape, ACROSS, f % SIDE))
      __builtin_prefetch(from + f * step + c + AHEAD);
  COLUMNS(TILED(line_of_output), SIDE, t, FREQUENCY, SIDE,
          IS_SHORT(shape, ACROSS) ? DROPPED : -1, , IS_SHORT(shape, DOWN));
  const V b = bias ? load(bias, c, count, shape) : (V){0};
  for (int i = 0; i < down; i++) {
    TILED(line_of_output)(t + i * SIDE, r, 1, IS_SHORT(shape, ACROSS));
    if (i == 0 || i == down - 1) *sum += r[0] + r[across - 1];
    UNROLL for (int j = 0; j < across; j++) {
      void *pixel = to[i * TILE + j];
      if (pixel) store(pixel, c, r[j] + b, count, shape);
    }
  }
}

INLINE bool TILED(output_of)(const float *from, int64_t step, const void *bias,
                             int64_t channels, void *const *to, LpWinogradShape shape) {
  V sum = {0};
  int64_t c = 0;
  for (; c + LANES <= channels; c += LANES)
    TILED(output_channels)(from, step, bias, c, LANES, to, shape, &sum);
  if (c < channels)
    TILED(output_channels)(from, step, bias, c, channels - c, to, shape, &sum);
  return no_nan(sum);
}

static bool TILED(output)(const float *from, int64_t step, LpWinogradShape shape,
                          const void *bias, int64_t channels, void *const *to) {
  FOR_KINDS(shape, TILED(output_of), from, step, bias, channels, to)
}

static bool TILED(weight_grad)(const float *from, int64_t step, int64_t channels, void *w,
                               bool half) {
  V sum = {0};
  for (int64_t c = 0; c < channels; c += LANES) {
    const int64_t count = channels - c < LANES ? channels - c : LANES;
    V t[3 * SIDE], r[9];
    COLUMNS(TILED(line_of_weight_grad), SIDE, t, FREQUENCY, SIDE, -1);
    for (int i = 0; i < 3; i++) TILED(line_of_weight_grad)(t + i * SIDE, r + i * 3, 1);
    sum += (r[0] + r[2]) + (r[6] + r[8]);
    float line[LANES * 9 + 7];
    turn_taps(r, line);
    for (int64_t i = 0; i < count * 9; i += LANES)
      store(w, c * 9 + i, *(const Unaligned *)(line + i), count * 9 - i,
            half ? LP_WINOGRAD_HALF : LP_WINOGRAD_WHOLE);
  }
  return no_nan(sum);
}

#undef COLUMNS
#undef PIXEL
#undef PIXEL_OF_Y
#undef BOTH
#undef HAS
#undef TAP
#undef FREQUENCY
#undef AHEAD
#undef FOR_KINDS
#undef DROPPED
#undef SIDE
#undef TILE
