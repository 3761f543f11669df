/* See rnn_split.h. */
#include "cpu/rnn_split.h"

#include <string.h>
#include "cpu/caches.h"
#include "cpu/rnn_pairs.h"
#include "dispatch/iter.h"

/* Fewer rows leave too much of a tile empty, smaller matrices too little work. */
#define LEAST_ROWS 8
#define LEAST_SIDE 32
/* Whole products pack both operands first: each must be used often. */
#define LEAST_USES 96

bool lp_rnn_split_pays(LpDtype dtype, int64_t rows, int64_t k, int64_t columns) {
  return dtype == LP_BFLOAT16 ||
         (dtype == LP_FLOAT32 && rows >= LEAST_ROWS && k >= LEAST_SIDE &&
          columns >= LEAST_SIDE && lp_split_supported());
}

/* Of A, when halves: bytes of a segment of a row, and of a row. Rows a multiple of 4 KiB
 * apart would share few places of the nearest cache. */
static int64_t half_segment(const RnnSplit *s) {
  return (s->k + 1) / 2 * 4;
}
static int64_t half_row(const RnnSplit *s) {
  return (s->segments * half_segment(s) + 127) / 64 * 64;
}

static int64_t bytes_of_rows(const RnnSplit *s, int64_t rows) {
  return s->halves ? rows * half_row(s)
                   : (rows + LP_SPLIT_SIDE - 1) / LP_SPLIT_SIDE * s->block_bytes;
}

typedef struct PackJob {
  RnnSplit *s;
  const void *source;
  int64_t k_step, step;
  _Atomic bool refused;
} PackJob;

/* Block of B for a panel's gate v and half: panels lie one after the other. */
static char *block_of(const RnnSplit *s, int64_t panel, int64_t v, int half) {
  return s->b + ((panel * s->gates + v) * 2 + half) * s->block_bytes;
}

/* A segment of two blocks of columns, of which `count` exist. */
static bool pack_pair(const PackJob *j, char *to, int64_t at, int64_t count) {
  const RnnSplit *s = j->s;
  if (!s->halves) {
    if (count <= LP_SPLIT_SIDE) memset(to + s->block_bytes, 0, (size_t)s->segment_bytes);
    return lp_split_pack(to, s->block_bytes, (const float *)j->source + at, j->step,
                         j->k_step, count, s->k, true);
  }
  for (int half = 0; half < 2; half++, to += s->block_bytes) {
    const int64_t first = half * RNN_PAIRS_COLUMNS, here = count - first;
    lp_rnn_pairs_pack(to, (const uint16_t *)j->source + at + first * j->step, j->step,
                      j->k_step,
                      here < 0                   ? 0
                      : here > RNN_PAIRS_COLUMNS ? RNN_PAIRS_COLUMNS
                                                 : here,
                      s->k);
  }
  return true;
}

static void pack_panels(void *ctx, int64_t begin, int64_t end) {
  PackJob *j = ctx;
  const RnnSplit *s = j->s;
  bool ok = true;
  for (int64_t p = begin; p < end; p++)
    for (int64_t v = 0; v < s->gates; v++) {
      const int64_t column = p * RNN_SPLIT_UNITS, rest = s->columns - column;
      const int64_t count = rest < RNN_SPLIT_UNITS ? rest : RNN_SPLIT_UNITS;
      for (int64_t part = 0; part < s->segments; part++)
        ok &= pack_pair(j, block_of(s, p, v, 0) + part * s->segment_bytes,
                        part * s->k * j->k_step + (v * s->columns + column) * j->step,
                        count);
    }
  if (!ok) atomic_store(&j->refused, true);
}

static bool pack_into(void *ctx, void *memory) {
  PackJob *j = ctx;
  j->s->b = memory;
  atomic_store(&j->refused, false);
  lp_parallel_for(j->s->panels, 1, pack_panels, j);
  return !atomic_load(&j->refused);
}

bool lp_rnn_split_open(RnnBlocks *blocks, RnnSplit *s, int64_t rows, const void *source,
                       int64_t k_step, int64_t step, const LpTensor *keep) {
  s->segment_bytes =
      s->halves ? (s->k + 1) / 2 * RNN_PAIRS_BYTES : lp_split_block_bytes(s->k);
  s->block_bytes = s->segments * s->segment_bytes;
  s->panels = (s->columns + RNN_SPLIT_UNITS - 1) / RNN_SPLIT_UNITS;
  const int64_t a_bytes = bytes_of_rows(s, rows);
  const size_t bytes = (size_t)(s->panels * s->gates * 2 * s->block_bytes);
  TRY(s->a[0] = lp_rnn_block(blocks, (size_t)(2 * a_bytes)));
  s->a[1] = s->a[0] + a_bytes;
  memset(s->a[0], 0, (size_t)(2 * a_bytes));
  PackJob job = {.s = s, .source = source, .k_step = k_step, .step = step};
  const int64_t key[] = {LP_KEPT_RNN_TILES, s->halves,  s->segments, s->k,
                         s->gates,          s->columns, k_step,      step};
  s->b = lp_rnn_packed(blocks, keep, key, sizeof key, bytes, pack_into, &job);
  if (atomic_load(&job.refused)) atomic_store(&s->refused, true);
  return s->b != NULL;
}

void lp_rnn_split_fill(RnnSplit *s, int copy, int64_t segment, const float *source,
                       int64_t step, int64_t rows, int64_t from, int64_t to) {
  if (s->halves) {
    char *row = s->a[copy] + segment * half_segment(s) + from * 2;
    const LpLoop narrow = lp_cast_loop(LP_BFLOAT16, LP_FLOAT32);
    for (int64_t r = 0; r < rows; r++, row += half_row(s))
      narrow((char *[]){row, (char *)(source + r * step + from)},
             (int64_t[]){sizeof(uint16_t), sizeof *source}, to - from, NULL);
    return;
  }
  char *block = s->a[copy] + segment * s->segment_bytes + lp_split_block_bytes(from);
  const bool ok = lp_split_pack(block, s->block_bytes, source + from, step, 1, rows,
                                to - from, false);
  if (!ok) atomic_store(&s->refused, true);
}

/* Adds the blocks of pair q (gate q % gates of panel q / gates) to a product; c: the
 * row's first column. */
static void join(const RnnSplit *s, LpSplitTile *t, int64_t q, float *c, unsigned add) {
  const int64_t p = q / s->gates, v = q % s->gates;
  for (int half = 0; half < 2; half++) {
    const int64_t column = p * RNN_SPLIT_UNITS + half * LP_SPLIT_SIDE,
                  here = s->columns - column;
    if (here <= 0) return;
    t->at[t->count].b = block_of(s, p, v, half);
    t->at[t->count].c = c + v * s->apart + column;
    t->at[t->count].columns = here < LP_SPLIT_SIDE ? here : LP_SPLIT_SIDE;
    t->at[t->count].from = add >> v & 1 ? t->at[t->count].c : NULL;
    t->count++;
  }
}

/* Each block of columns that exists, four at once. */
static void product_of_halves(const RnnSplit *s, int64_t begin, int64_t end, int64_t rows,
                              float *c, int64_t ldc, unsigned add) {
  RnnPairs t = {.rows = rows,
                .pairs = s->block_bytes / RNN_PAIRS_BYTES,
                .a = (const uint16_t *)s->a[s->turn],
                .lda = half_row(s) / 2,
                .ldc = ldc};
  for (int64_t q = begin * s->gates * 2; q < end * s->gates * 2; q++) {
    const int64_t p = q / 2 / s->gates, v = q / 2 % s->gates, half = q % 2,
                  column = p * RNN_SPLIT_UNITS + half * RNN_PAIRS_COLUMNS,
                  here = s->columns - column;
    if (here > 0) {
      t.at[t.count].b = block_of(s, p, v, (int)half);
      t.at[t.count].c = c + v * s->apart + column;
      t.at[t.count].columns = here < RNN_PAIRS_COLUMNS ? here : RNN_PAIRS_COLUMNS;
      t.at[t.count++].add = add >> v & 1;
    }
    if (t.count == RNN_PAIRS_BLOCKS || (t.count && q + 1 == end * s->gates * 2)) {
      lp_rnn_pairs_product(&t);
      t.count = 0;
    }
  }
}

void lp_rnn_split_product(const RnnSplit *s, int64_t begin, int64_t end, int64_t rows,
                          float *c, int64_t ldc, unsigned add) {
  if (s->halves) {
    product_of_halves(s, begin, end, rows, c, ldc, add);
    return;
  }
  const char *a = s->a[s->turn];
  const int64_t rest = rows % 32, tall = rest > 0 && rest <= 16 ? rows - rest : rows;
  const int64_t depth = s->block_bytes / LP_SPLIT_PIECES;
  lp_split_begin();
  for (int64_t q = begin * s->gates; q < end * s->gates; q++)
    for (int64_t r = 0; r < tall; r += 32) {
      const char *block = a + r / LP_SPLIT_SIDE * s->block_bytes;
      LpSplitTile t = {.a = {block, block + s->block_bytes},
                       .ldc = ldc,
                       .from_step = ldc,
                       .rows = rows - r < 32 ? rows - r : 32,
                       .depth = depth};
      join(s, &t, q, c + r * ldc, add);
      lp_split_product(&t);
    }
  /* The last rows, when one block holds them, take two pairs at once. */
  for (int64_t q = begin * s->gates; tall < rows && q < end * s->gates; q += 2) {
    LpSplitTile t = {.a = {a + tall / LP_SPLIT_SIDE * s->block_bytes, NULL},
                     .ldc = ldc,
                     .from_step = ldc,
                     .rows = rows - tall,
                     .depth = depth};
    join(s, &t, q, c + tall * ldc, add);
    if (q + 1 < end * s->gates) join(s, &t, q + 1, c + tall * ldc, add);
    lp_split_product(&t);
  }
  lp_split_end();
}

/* Multiply-adds that make a second thread worth its start; vectors need longer. */
#define TILE_GRAIN (1024 * 1024)
#define PAIRS_GRAIN (256 * 1024)

void lp_rnn_split_over(const RnnSplit *s, int64_t rows,
                       void (*body)(void *ctx, int64_t begin, int64_t end), void *ctx) {
  const int64_t work = rows * s->segments * s->k * s->gates * RNN_SPLIT_UNITS;
  const int64_t grain = s->halves ? PAIRS_GRAIN : TILE_GRAIN;
  lp_parallel_for(s->panels, grain / (work + 1) + 1, body, ctx);
}

/* Of a core's own cache, beside the rows' data. */
static bool fits_own_cache(int64_t bytes) {
  return bytes <= lp_second_cache_bytes() * 13 / 16;
}

bool lp_rnn_split_by_rows(const RnnSplit *s, int64_t rows, int64_t steps) {
  const int64_t threads = lp_num_threads(),
                blocks = (rows + LP_SPLIT_SIDE - 1) / LP_SPLIT_SIDE;
  const int64_t bytes = s->panels * s->gates * 2 * s->block_bytes;
  const int64_t work = steps * rows * s->segments * s->k * s->gates * s->columns;
  const bool even = blocks % threads == 0 || blocks >= 4 * threads;
  return threads > 1 && blocks >= threads && even && fits_own_cache(bytes) &&
         work >= 2 * TILE_GRAIN;
}

void lp_rnn_split_rows(int64_t rows, void (*body)(void *ctx, int64_t begin, int64_t end),
                       void *ctx) {
  lp_parallel_for((rows + LP_SPLIT_SIDE - 1) / LP_SPLIT_SIDE, 1, body, ctx);
}

RnnSplit lp_rnn_split_from(const RnnSplit *s, int64_t row) {
  RnnSplit part = {.halves = s->halves,
                   .segments = s->segments,
                   .k = s->k,
                   .gates = s->gates,
                   .columns = s->columns,
                   .apart = s->apart,
                   .panels = s->panels,
                   .segment_bytes = s->segment_bytes,
                   .block_bytes = s->block_bytes,
                   .b = s->b};
  for (int copy = 0; copy < 2; copy++) part.a[copy] = s->a[copy] + bytes_of_rows(s, row);
  return part;
}

bool lp_rnn_split_gemm(const LpGemm *g, const LpSplitMore *more, bool *done) {
  *done = false;
  /* What would be added to must not be half done when an infinity comes up. */
  if (g->dtype != LP_FLOAT32 || lp_scalar_to_double(g->beta) != 0 || g->m < LEAST_USES ||
      g->n < LEAST_USES || !lp_rnn_split_pays(g->dtype, g->m, g->k, g->n))
    return true;
  bool refused;
  *done = lp_split_gemm(g, more, &refused);
  return *done || refused;
}
