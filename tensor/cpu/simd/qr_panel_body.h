/* One element type T of qr_panel.c. LOW .. HIGH: sums of squares that are exact enough.
 *
 * Note [One pass for a reflector]: H = I - tau v v^T makes (beta, 0, ...) of a column
 * (alpha, x), v = (1, x / (alpha - beta)). While the rows get what the reflector before
 * takes from them, the products of the next column with all others are summed: the sum
 * of squares gives beta, and the rest v^T A for the columns to come and for the
 * reflectors before, whose x stand in the panel until its end. */

#define V TYPE(Vector)
#define PASS TYPE(Pass)
#define L LP_LANES(T)
#define WIDTH (LP_QR_PANEL_BYTES / (int)sizeof(T))
#define VECTORS (LP_QR_PANEL_BYTES / LP_VECTOR_BYTES)

typedef T V __attribute__((vector_size(LP_VECTOR_BYTES)));

typedef struct PASS {
  T *p; /* the first of the rows */
  int64_t rows, column, next;
  const T *w;
  T *sums;
} PASS;

/* row -= row[column] w; then sums += row[next] row. */
static void FN(pass_rows)(const PASS *s, T *p, int64_t rows, T *sums) {
  V w[VECTORS], sum[VECTORS];
  memcpy(w, s->w, sizeof w);
  memset(sum, 0, sizeof sum);
  const int64_t column = s->column, next = s->next;
  const T w_next = s->w[next];
  for (int64_t i = 0; i < rows; i++, p += WIDTH) {
    const T x = p[column], y = p[next] - x * w_next;
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) {
      V row;
      memcpy(&row, p + v * L, sizeof row);
      row -= x * w[v];
      memcpy(p + v * L, &row, sizeof row);
      sum[v] += y * row;
    }
  }
  memcpy(sums, sum, sizeof sum);
}

static void FN(pass_blocks)(void *ctx, int64_t begin, int64_t end) {
  const PASS *s = ctx;
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * LP_QR_ROWS, left = s->rows - first;
    FN(pass_rows)
    (s, s->p + first * WIDTH, left < LP_QR_ROWS ? left : LP_QR_ROWS, s->sums + b * WIDTH);
  }
}

static void FN(pass)(PASS s, T *sum) {
  const int64_t blocks = (s.rows + LP_QR_ROWS - 1) / LP_QR_ROWS;
  lp_parallel_for(blocks, 1, FN(pass_blocks), &s);
  memset(sum, 0, WIDTH * sizeof *sum);
  for (int64_t b = 0; b < blocks; b++)
    for (int j = 0; j < WIDTH; j++) sum[j] += s.sums[b * WIDTH + j];
}

static bool FN(panel)(int64_t rows, int64_t width, T *a, int64_t lda, T *p, T *t,
                      T *sums) {
  T w[WIDTH] = {0}, sum[WIDTH], scale[WIDTH] = {0}, along[WIDTH];
  for (int64_t i = 0; i < rows; i++) {
    memcpy(p + i * WIDTH, a + i * lda, (size_t)width * sizeof *p);
    memset(p + i * WIDTH + width, 0, (size_t)(WIDTH - width) * sizeof *p);
  }
  memset(t, 0, (size_t)(width * WIDTH) * sizeof *t);
  FN(pass)((PASS){p + WIDTH, rows - 1, 0, 0, w, sums}, sum);
  for (int64_t k = 0; k < width && k + 1 < rows; k++) {
    T *row = p + k * WIDTH;
    const T square = sum[k], alpha = row[k];
    if (!(square > LOW && square < HIGH)) return false;
    const T norm = (T)hypot((double)alpha, sqrt((double)square));
    const T beta = alpha > 0 ? -norm : norm, tau = (beta - alpha) / beta;
    scale[k] = 1 / (alpha - beta);
    for (int64_t l = 0; l < k; l++) /* reflector l times this one */
      along[l] = scale[l] * (row[l] + scale[k] * sum[l]);
    for (int64_t l = 0; l < k; l++) {
      T product = 0;
      for (int64_t q = l; q < k; q++) product += t[l * WIDTH + q] * along[q];
      t[l * WIDTH + k] = -tau * product;
    }
    t[k * WIDTH + k] = tau;
    row[k] = beta;
    for (int64_t j = 0; j < WIDTH; j++) {
      const T change = j > k && j < width ? tau * (row[j] + scale[k] * sum[j]) : 0;
      row[j] -= change;
      w[j] = change * scale[k];
    }
    if (k + 1 == width) break;
    T *below = row + WIDTH;
    const T x = below[k];
    for (int64_t j = 0; j < WIDTH; j++) below[j] -= x * w[j];
    FN(pass)((PASS){below + WIDTH, rows - k - 2, k, k + 1, w, sums}, sum);
  }
  for (int64_t i = 0; i < width; i++) {
    memcpy(a + i * lda + i, p + i * WIDTH + i, (size_t)(width - i) * sizeof *a);
    for (int64_t j = 0; j < WIDTH; j++)
      p[i * WIDTH + j] = j < i ? p[i * WIDTH + j] * scale[j] : j == i;
  }
  for (int64_t i = width; i < rows; i++)
    for (int64_t j = 0; j < WIDTH; j++) p[i * WIDTH + j] *= scale[j];
  return true;
}

#undef V
#undef PASS
#undef L
#undef WIDTH
#undef VECTORS
