/* Winograd convolution; see winograd.h. */
#include "cpu/winograd.h"

#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/caches.h"
#include "cpu/gemm_split.h"
#include "cpu/winograd_parts.h"

/* --- what is to be done
 * -------------------------------------------------------------------------- */

bool lp_winograd_serves(const LpConvGeometry *g) {
  if (g->ndim != 2 || g->groups != 1 || g->c < 1 || g->k < 1) return false;
  for (int d = 0; d < 2; d++)
    if (g->kernel[d] != 3 || g->stride[d] != 1 || g->dilation[d] != 1 ||
        g->padding[d] < 0 || g->padding[d] > 2 || g->in[d] < 1 || g->out[d] < 1 ||
        g->out[d] != g->in[d] + 2 * g->padding[d] - 2)
      return false;
  return true;
}

/* As few tiles as cover the result, and as many short ones as still do. A weight gradient
 * of pieces sums whole blocks of tiles, and so whole tiles. */
static void number_tiles(Plan *p, const LpWinogradTiles *of, bool may_be_short) {
  p->of = of;
  p->tiles = 0;
  const int64_t sides[2] = {p->result.h, p->result.w};
  for (int d = 0; d < 2; d++) {
    const int64_t count = (sides[d] + of->tile - 1) / of->tile,
                  beyond = count * of->tile - sides[d];
    p->shorter[d] = !may_be_short ? 0 : beyond < count ? beyond : count;
    p->whole[d] = count - p->shorter[d];
  }
  for (int s = 0; s < SHAPES; s++) {
    p->first[s] = p->tiles;
    p->tiles += p->images *
                (shapes[s] & LP_WINOGRAD_SHORT_DOWN ? p->shorter[0] : p->whole[0]) *
                (shapes[s] & LP_WINOGRAD_SHORT_ACROSS ? p->shorter[1] : p->whole[1]);
  }
}

/* For each pair of channels. */
static int64_t products_of(const Plan *p) {
  int64_t products = p->images;
  for (int d = 0; d < 2; d++)
    products *= p->whole[d] * p->of->side + p->shorter[d] * (p->of->side - 1);
  return products;
}

/* About so many products of vectors take as long as the transform of one of numbers or of
 * weights, which come from farther away. */
#define PRODUCTS_PER_NUMBER 15
#define PRODUCTS_PER_WEIGHT 16
/* Of the larger tiles: they need more memory. */
#define LEAST_GAIN 0.95

static double work_of(const Plan *p, LpConvPass pass) {
  const double pairs = (double)(p->source.channels * p->result.channels),
               sum = (double)(p->source.channels + p->result.channels),
               products = (double)products_of(p);
  int64_t times = 1; /* that weights, or their sums, are made or gone through */
  if (pass == LP_CONV_WEIGHT_GRAD)
    times = lp_least(lp_ratio_up(p->tiles, LP_WINOGRAD_GROUP), LP_WINOGRAD_PARTS);
  return products * (pairs + PRODUCTS_PER_NUMBER * sum) +
         PRODUCTS_PER_WEIGHT * (double)(times * p->of->frequencies) * pairs;
}

static Plan plan_of(LpConvPass pass, const LpConvGeometry *g, const LpWinogradCall *c,
                    bool pieces) {
  static const LpWinogradCall none = {.dtype = LP_FLOAT32};
  if (!c) c = &none;
  const Image of_x = {c->x, g->in[0], g->in[1], g->c},
              of_y = {c->y, g->out[0], g->out[1], g->k};
  const bool back = pass == LP_CONV_INPUT_GRAD;
  Plan p = {.source = back ? of_y : of_x,
            .result = back ? of_x : of_y,
            .images = g->n,
            .kind = c->dtype == LP_BFLOAT16 ? LP_WINOGRAD_HALF : LP_WINOGRAD_WHOLE,
            .size = (int64_t)lp_dtype_size(c->dtype),
            .pieces = pieces,
            .taps = c->taps,
            .bias = pass == LP_CONV_FORWARD ? c->bias : NULL};
  for (int d = 0; d < 2; d++) p.pad[d] = back ? 2 - g->padding[d] : g->padding[d];
  number_tiles(&p, &lp_winograd_table()->small, !(pieces && pass == LP_CONV_WEIGHT_GRAD));
  if (p.kind == LP_WINOGRAD_HALF && !p.taps) {
    Plan larger = p;
    number_tiles(&larger, &lp_winograd_table()->large, true);
    if (work_of(&larger, pass) < LEAST_GAIN * work_of(&p, pass)) p = larger;
  }
  p.weights = (LpWinogradWeights){.w = c->w,
                                  .half = c->half_weights,
                                  .out_step = back ? 9 : g->c * 9,
                                  .in_step = back ? g->c * 9 : 9,
                                  .outs = p.result.channels,
                                  .ins = p.source.channels,
                                  .flipped = back};
  return p;
}

/* --- operands of the products
 * -------------------------------------------------------------------------- */

/* A has a row for each tile, B a column for each output channel; they are contracted over
 * `depth`. */

/* A multiple of what both kinds of operands lay out together. */
static int64_t panel_columns(void) {
  return round_up(2 * lanes(), LP_WINOGRAD_BLOCK);
}

static int64_t a_step(const Plan *p, int64_t rows) {
  const int64_t depth = p->source.channels;
  return APART + (p->pieces ? blocks_of(rows) * blocks_of(depth) * LP_WINOGRAD_BLOCK_BYTES
                            : rows * round_up(depth, lanes()) * (int64_t)sizeof(float));
}

static int64_t b_step(const Plan *p, int64_t columns) {
  const int64_t depth = p->source.channels;
  return APART + (p->pieces
                      ? blocks_of(columns) * blocks_of(depth) * LP_WINOGRAD_BLOCK_BYTES
                      : columns * depth * (int64_t)sizeof(float));
}

static int64_t c_step(const Plan *p, int64_t rows, int64_t columns) {
  if (p->pieces) rows = round_up(rows, LP_WINOGRAD_BLOCK);
  return APART + rows * columns * (int64_t)sizeof(float);
}

/* Where columns from `column` on begin within a frequency of B. */
static int64_t b_offset(const Plan *p, int64_t column) {
  const int64_t depth = p->source.channels;
  return p->pieces ? blocks_of(column) * blocks_of(depth) * LP_WINOGRAD_BLOCK_BYTES
                   : column * depth * (int64_t)sizeof(float);
}

/* Row `row` of A: a tile of the source. */
static void make_row(const Plan *p, int64_t tile, float *zeros, char *a, int64_t step,
                     int64_t row) {
  void *pixels[LP_WINOGRAD_MOST_FREQUENCIES];
  const int64_t depth = p->source.channels, ahead = p->of->tile * depth * p->size;
  const LpWinogradShape shape = find_source(p, tile, zeros, pixels);
  LpWinogradPixels *from = (LpWinogradPixels *)pixels;
  if (p->pieces)
    lp_winograd_table()->input_row(
        from, ahead, shape, depth,
        a + row / LP_WINOGRAD_BLOCK * blocks_of(depth) * LP_WINOGRAD_BLOCK_BYTES +
            row % LP_WINOGRAD_BLOCK * 64,
        step);
  else
    p->of->input(from, ahead, shape, depth, (float *)a + row * round_up(depth, lanes()),
                 step / (int64_t)sizeof(float));
}

/* Those of output channels from `from` on. */
static LpWinogradWeights weights_from(LpWinogradWeights w, int64_t from) {
  w.w = (const char *)w.w + from * w.out_step * (int64_t)(w.half ? 2 : sizeof(float));
  w.outs -= from;
  return w;
}

/* Columns [from, from + count) of B, at its beginning; both multiples of
 * columns_at_once, `count` may pass the last channel. */
static void make_columns(const Plan *p, int64_t from, int64_t count, char *b,
                         int64_t step) {
  const int64_t some = columns_at_once(p), panel = 2 * lanes();
  for (int64_t at = 0; at < count; at += some) {
    LpWinogradWeights w = weights_from(p->weights, from + at);
    if (p->pieces) {
      lp_winograd_table()->weights_block(&w, b + b_offset(p, at), step);
      w = weights_from(w, LP_WINOGRAD_BLOCK / 2);
      lp_winograd_table()->weights_block(
          &w, b + b_offset(p, at) + LP_WINOGRAD_BLOCK / 2 * 64, step);
    } else {
      const int64_t first = at / panel * panel,
                    wide = count - first < panel ? some : panel;
      p->of->weights(&w, (float *)(b + b_offset(p, first)) + (at - first),
                     step / (int64_t)sizeof(float), wide);
    }
  }
}

void lp_winograd_multiply_pieces(const Products *m, int f, Range blocks) {
  const char *a = m->a + f * m->step_a +
                  blocks.begin * blocks_of(m->depth) * LP_WINOGRAD_BLOCK_BYTES,
             *b = m->b + f * m->step_b;
  float *c = (float *)(m->c + f * m->step_c) + blocks.begin * LP_WINOGRAD_BLOCK * m->ldc;
  const LpWinogradProduct p = {.a = a,
                               .b = b,
                               .next_a = a + m->step_a,
                               .next_b = b + m->step_b,
                               .c = c,
                               .ldc = m->ldc,
                               .rows = blocks.end - blocks.begin,
                               .columns = blocks_of(m->columns),
                               .depth = blocks_of(m->depth),
                               .add = m->add};
  lp_winograd_product(&p);
}

/* x is the source, with channels that are contracted over, or the result. */
static void multiply_floats(const Plan *p, const Products *m, int f, Range rows) {
  const int64_t lda = round_up(m->depth, lanes());
  const bool back = p->weights.flipped;
  const Range depth = back ? (Range){0, m->depth} : channels_of(p, f, m->depth),
              columns = back ? columns_of(p, f, m->first, m->columns)
                             : (Range){0, depth.end > depth.begin ? m->columns : 0};
  const int64_t count = rows.end - rows.begin;
  float *c = (float *)(m->c + f * m->step_c) + rows.begin * m->ldc;
  clear_rows(c, m->ldc, count, columns.begin);
  clear_rows(c + columns.end, m->ldc, count, m->columns - columns.end);
  if (columns.end > columns.begin)
    lp_winograd_table()->product(
        c + columns.begin, m->ldc,
        (const float *)(m->a + f * m->step_a) + rows.begin * lda + depth.begin, lda,
        (const float *)(m->b + f * m->step_b) + columns.begin * m->depth, count,
        columns.end - columns.begin, depth.end - depth.begin, depth.begin, m->depth);
}

/* Rows of A are tiles, from `tile` on. */
static void multiply(const Plan *p, const Products *m, int64_t tile) {
  for (int f = 0; f < p->of->frequencies; f++) {
    const Range rows = range_of(p, f, tile, m->rows);
    if (rows.end == rows.begin) continue;
    if (p->pieces)
      lp_winograd_multiply_pieces(
          m, f, (Range){rows.begin / LP_WINOGRAD_BLOCK, blocks_of(rows.end)});
    else
      multiply_floats(p, m, f, rows);
  }
}

/* Channels [from, from + count) of a tile of the result; c: its row of C. */
static bool put_result(const Plan *p, int64_t tile, const float *c, int64_t step_bytes,
                       int64_t from, int64_t count) {
  void *pixels[LP_WINOGRAD_MOST_FREQUENCIES];
  const Corner at = corner_of(p, tile);
  find_pixels(p, &p->result, at.image, at.row, at.column, p->of->tile, from, NULL,
              pixels);
  return p->of->output(c, step_bytes / (int64_t)sizeof(float), at.shape,
                       p->bias ? (const char *)p->bias + from * p->size : NULL, count,
                       pixels);
}

/* --- running over all tiles
 * -------------------------------------------------------------------------- */

typedef struct Job {
  const Plan *p;
  char *a, *b, *scratch; /* b: kept or made before; scratch: of each slot */
  float *zeros;
  int64_t slot_bytes, first_tile, count, rows, columns, all_columns;
  bool b_is_whole;
  _Atomic int64_t next;
  _Atomic bool refused;
} Job;

/* Whole tiles, all of B being there. */
static void run_tiles(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const Plan *p = j->p;
  const int64_t step_a = a_step(p, j->rows), step_b = b_step(p, j->all_columns),
                step_c = c_step(p, j->rows, j->all_columns);
  char *a = j->scratch + begin * j->slot_bytes, *c = a + p->of->frequencies * step_a;
  if (p->pieces) lp_split_begin();
  for (;;) {
    const int64_t at = take(&j->next) * j->rows;
    if (at >= j->count) break;
    const int64_t rows = j->count - at < j->rows ? j->count - at : j->rows,
                  tile = j->first_tile + at;
    for (int64_t r = 0; r < rows; r++) make_row(p, tile + r, j->zeros, a, step_a, r);
    const Products m = {.a = a,
                        .b = j->b,
                        .c = c,
                        .step_a = step_a,
                        .step_b = step_b,
                        .step_c = step_c,
                        .rows = rows,
                        .columns = j->all_columns,
                        .depth = p->source.channels,
                        .ldc = j->all_columns};
    multiply(p, &m, tile);
    bool ok = true;
    for (int64_t r = 0; r < rows; r++)
      ok &= put_result(p, tile + r, (float *)c + r * j->all_columns, step_c, 0,
                       p->result.channels);
    if (!ok) atomic_store(&j->refused, true);
  }
  if (p->pieces) lp_split_end();
}

static void make_rows(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  for (int64_t r = begin; r < end; r++)
    make_row(j->p, j->first_tile + r, j->zeros, j->a, a_step(j->p, j->rows), r);
}

/* Columns of B for tiles that are there as rows of A. */
static void run_columns(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const Plan *p = j->p;
  const int64_t step_a = a_step(p, j->rows);
  char *scratch = j->scratch + begin * j->slot_bytes;
  if (p->pieces) lp_split_begin();
  for (;;) {
    const int64_t from = take(&j->next) * j->columns;
    if (from >= j->all_columns) break;
    const int64_t columns =
        j->all_columns - from < j->columns ? j->all_columns - from : j->columns;
    const int64_t step_b = b_step(p, j->b_is_whole ? j->all_columns : j->columns),
                  step_c = c_step(p, j->rows, j->columns);
    char *b = j->b + b_offset(p, from), *c = scratch;
    if (!j->b_is_whole) {
      b = scratch + p->of->frequencies * step_c;
      make_columns(p, from, columns, b, step_b);
    }
    const Products m = {.a = j->a,
                        .b = b,
                        .c = c,
                        .step_a = step_a,
                        .step_b = step_b,
                        .step_c = step_c,
                        .rows = j->count,
                        .columns = columns,
                        .depth = p->source.channels,
                        .ldc = columns,
                        .first = from};
    multiply(p, &m, j->first_tile);
    const int64_t rest = p->result.channels - from;
    bool ok = true;
    for (int64_t r = 0; r < j->count; r++)
      ok &= put_result(p, j->first_tile + r, (float *)c + r * columns, step_c, from,
                       rest < columns ? rest : columns);
    if (!ok) atomic_store(&j->refused, true);
  }
  if (p->pieces) lp_split_end();
}

static void make_all_columns(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const Plan *p = j->p;
  const int64_t some = panel_columns();
  const int64_t to = end * some < j->all_columns ? end * some : j->all_columns;
  for (int64_t at = begin * some; at < to; at += some)
    make_columns(p, at, to - at < some ? to - at : some, j->b + b_offset(p, at),
                 b_step(p, j->all_columns));
}

/* Whose tiles are few for the bytes of packed weights, or whose weights are large:
 * threads share the tiles and each has output channels of its own, whose weights it packs
 * if need be. */
#define BYTES_OF_WEIGHTS_PER_TILE (96 << 10)
#define MOST_WEIGHTS (18 << 20)
/* Scratch beside packed weights and without many threads; measured sizes of blocks stay
 * well below. */
#define SCRATCH_BYTES (64 << 20)

/* Fewer tiles at once do not fill a product. */
#define LEAST_ROWS 8

/* `total` tiles in parts of about equal size, at most `most` and multiples of `unit`: as
 * many for each thread, if they are not too small then. */
static int64_t even_part(int64_t total, int64_t most, int64_t unit, int64_t threads) {
  const int64_t parts = round_up((total + most - 1) / most, threads);
  const int64_t rows = round_up((total + parts - 1) / parts, unit);
  return rows < LEAST_ROWS ? LEAST_ROWS : rows;
}

/* Tiles that are worked on at once beside packed weights. By vectors: so many that both
 * their transforms and their products are near, for these are written and read again. */
static int64_t most_rows(const Plan *p, int64_t whole_b, int64_t columns) {
  if (p->pieces) return whole_b <= 1 << 20 ? 32 : 96;
  const int64_t bytes_of_row = p->of->frequencies * (int64_t)sizeof(float) *
                               (round_up(p->source.channels, lanes()) + columns);
  const int64_t rows = lp_second_cache_bytes() / bytes_of_row;
  return rows < LEAST_ROWS ? LEAST_ROWS : rows > 32 ? 32 : rows;
}

static int64_t slot_bytes_by_tiles(const Plan *p, const Job *j) {
  return p->of->frequencies * (a_step(p, j->rows) + c_step(p, j->rows, j->all_columns));
}

static int64_t slot_bytes_by_columns(const Plan *p, const Job *j, bool is_packed) {
  return p->of->frequencies *
         (c_step(p, j->rows, j->columns) + (is_packed ? 0 : b_step(p, j->columns)));
}

static bool run_layer(const Plan *p, const void *packed, bool *refused) {
  const int64_t threads = lp_num_threads();
  Job j = {.p = p, .all_columns = round_up(p->result.channels, columns_at_once(p))};
  const int64_t most =
      p->source.channels > p->result.channels ? p->source.channels : p->result.channels;
  const int64_t zero_bytes = round_up((most + 16) * 4, 64);
  const int64_t whole_b = p->of->frequencies * b_step(p, j.all_columns);
  bool by_tiles =
      whole_b <= MOST_WEIGHTS && whole_b <= p->tiles * BYTES_OF_WEIGHTS_PER_TILE;
  const int64_t unit = p->pieces ? LP_WINOGRAD_BLOCK : 1; /* of rows */
  int64_t bytes_a = 0, bytes_b = 0, pieces_of_work;
  j.b_is_whole = packed || by_tiles;
  j.b = (char *)packed;
  if (by_tiles) {
    j.rows = even_part(p->tiles, most_rows(p, whole_b, j.all_columns), unit, threads);
    while (j.rows > 32 && threads * slot_bytes_by_tiles(p, &j) > SCRATCH_BYTES)
      j.rows = round_up(j.rows / 2, 32);
    j.slot_bytes = slot_bytes_by_tiles(p, &j);
    if (!packed) bytes_b = whole_b;
    pieces_of_work = (p->tiles + j.rows - 1) / j.rows;
  } else {
    j.rows = 256;
    while (j.rows > 32 && p->of->frequencies * a_step(p, j.rows) > SCRATCH_BYTES / 2)
      j.rows /= 2;
    j.rows = even_part(p->tiles, j.rows, unit, 1);
    /* Few columns, where their weights have to be made, which are near then; the more
     * tiles there are, the more it costs to read these again. */
    const int64_t at_once = packed || j.rows > 64 ? 128 : 32;
    j.columns = round_up(j.all_columns / threads, 32);
    j.columns = j.columns < 32 ? 32 : j.columns > at_once ? at_once : j.columns;
    while (j.columns > 32 &&
           threads * slot_bytes_by_columns(p, &j, packed) > SCRATCH_BYTES)
      j.columns -= 32;
    bytes_a = p->of->frequencies * a_step(p, j.rows);
    j.slot_bytes = slot_bytes_by_columns(p, &j, packed);
    pieces_of_work = (j.all_columns + j.columns - 1) / j.columns;
  }
  int64_t slots = threads < pieces_of_work ? threads : pieces_of_work;
  if (slots * j.slot_bytes > SCRATCH_BYTES && slots > 4)
    slots = SCRATCH_BYTES / j.slot_bytes > 4 ? SCRATCH_BYTES / j.slot_bytes : 4;
  size_t capacity;
  char *scratch = lp_block_alloc(
      (size_t)(zero_bytes + bytes_a + bytes_b + slots * j.slot_bytes), &capacity);
  TRY(scratch);
  j.zeros = (float *)scratch;
  memset(j.zeros, 0, (size_t)zero_bytes);
  j.a = scratch + zero_bytes;
  if (bytes_b) j.b = j.a + bytes_a;
  j.scratch = j.a + bytes_a + bytes_b;
  if (bytes_b)
    lp_parallel_for((j.all_columns + panel_columns() - 1) / panel_columns(), 1,
                    make_all_columns, &j);
  if (by_tiles) {
    j.count = p->tiles;
    lp_parallel_for(slots, 1, run_tiles, &j);
  } else {
    for (; j.first_tile < p->tiles && !stopped(&j.refused); j.first_tile += j.rows) {
      j.count = p->tiles - j.first_tile < j.rows ? p->tiles - j.first_tile : j.rows;
      lp_parallel_for(j.count, 1, make_rows, &j);
      atomic_store(&j.next, 0);
      lp_parallel_for(slots, 1, run_columns, &j);
    }
  }
  *refused = p->pieces && atomic_load(&j.refused);
  lp_block_free(scratch, capacity);
  return true;
}

/* --- public */

/* Few tiles, or channels that fill no whole blocks, leave much of the tile unit's work
 * unused. In the weight gradient pieces are turned over and summed over short depths:
 * that pays for many channels alone. */
#define LEAST_TILES_OF_PIECES 24
#define LEAST_PAIRS_OF_PIECES (64 * 48)
#define LEAST_PAIRS_OF_SUMMED_PIECES (256 * 320)

static bool wants_pieces(LpConvPass pass, const LpConvGeometry *g) {
  if (!lp_winograd_table()->turn || !lp_split_supported()) return false;
  const int64_t pairs = g->c * g->k;
  const int64_t padded =
      round_up(g->c, LP_WINOGRAD_BLOCK) * round_up(g->k, LP_WINOGRAD_BLOCK);
  if ((double)padded > 1.3 * (double)pairs) return false;
  const Plan p = plan_of(pass, g, NULL, false);
  return p.tiles >= LEAST_TILES_OF_PIECES &&
         pairs >= (pass == LP_CONV_WEIGHT_GRAD ? LEAST_PAIRS_OF_SUMMED_PIECES
                                               : LEAST_PAIRS_OF_PIECES);
}

bool lp_winograd_run(LpConvPass pass, const LpConvGeometry *g, const LpWinogradCall *c) {
  const void *packed = c->packed;
  if (g->n == 0) {
    if (pass == LP_CONV_WEIGHT_GRAD)
      memset(c->w, 0, (size_t)(g->k * g->c * 9) * (c->half_weights ? 2 : sizeof(float)));
    return true;
  }
  bool pieces = c->dtype == LP_FLOAT32 && wants_pieces(pass, g);
  for (;;) {
    const Plan p = plan_of(pass, g, c, pieces);
    bool refused;
    TRY(pass == LP_CONV_WEIGHT_GRAD ? lp_winograd_weight_grad(&p, &refused)
                                    : run_layer(&p, packed, &refused));
    if (lp_interrupt_take()) return lp_fail(LP_ERR_INTERRUPT, "interrupted");
    if (!refused) return true;
    pieces = false;
    packed = NULL;
  }
}

/* For the forward pass, of x in that dtype. */
static Plan plan_to_pack(const LpConvGeometry *g, LpDtype dtype, const void *w) {
  const LpWinogradCall c = {
      .dtype = dtype, .w = (void *)w, .half_weights = dtype == LP_BFLOAT16};
  return plan_of(LP_CONV_FORWARD, g, &c,
                 dtype == LP_FLOAT32 && wants_pieces(LP_CONV_FORWARD, g));
}

size_t lp_winograd_packed_bytes(const LpConvGeometry *g, LpDtype dtype) {
  const Plan p = plan_to_pack(g, dtype, NULL);
  return (size_t)(p.of->frequencies * b_step(&p, round_up(g->k, columns_at_once(&p))));
}

void lp_winograd_pack(const LpConvGeometry *g, LpDtype dtype, const void *w,
                      void *packed) {
  const Plan p = plan_to_pack(g, dtype, w);
  Job j = {.p = &p, .b = packed, .all_columns = round_up(g->k, columns_at_once(&p))};
  lp_parallel_for((j.all_columns + panel_columns() - 1) / panel_columns(), 1,
                  make_all_columns, &j);
}

int lp_winograd_packing(const LpConvGeometry *g, LpDtype dtype) {
  const Plan p = plan_to_pack(g, dtype, NULL);
  return p.pieces ? 0 : p.of->tile;
}

/* Channels and outputs (over the batch) from which on the transforms cost less than they
 * save, beside oneDNN's direct kernel: of many channels few outputs do, in the weight
 * gradient the fewest, and fewer where transformed weights are kept. Small images may
 * fill less of their tiles than half. Processors with a tile unit multiply floats, too,
 * twice as fast as others of the same vectors. */
#define LEAST_CHANNELS 16
#define LEAST_SOURCE_OF_FAST 24
#define MOST_CHANNELS 2048
#define LEAST_PAIRS (16 * 16)
#define LEAST_PAIRS_SUMMED (16 * 32)
#define LEAST_OUTPUTS 384
#define LEAST_OUTPUTS_KEPT 96
#define LEAST_OUTPUTS_SUMMED 192
#define LEAST_OUTPUTS_OF_MANY 120
#define MANY_PAIRS (128 * 128)
#define LEAST_OUTPUTS_OF_MOST_SUMMED 40
#define MOST_PAIRS (256 * 256)
#define MOST_PRODUCTS_PER_OUTPUT 5

/* The direct kernel is twice as fast in bfloat16, where the processor has the
 * instructions, and beyond reach where it has tiles. */
#define LEAST_CHANNELS_OF_HALVES 32
#define LEAST_OUTPUTS_OF_HALVES 512

static int64_t least_outputs(LpConvPass pass, LpDtype dtype, int64_t pairs, bool kept) {
  if (pass == LP_CONV_WEIGHT_GRAD)
    return pairs >= MOST_PAIRS   ? LEAST_OUTPUTS_OF_MOST_SUMMED
           : pairs >= MANY_PAIRS ? LEAST_OUTPUTS_OF_MANY
                                 : LEAST_OUTPUTS_SUMMED;
  if (kept && pass == LP_CONV_FORWARD) return LEAST_OUTPUTS_KEPT;
  if (dtype != LP_FLOAT32) return LEAST_OUTPUTS_OF_HALVES;
  return pairs >= MANY_PAIRS ? LEAST_OUTPUTS_OF_MANY : LEAST_OUTPUTS;
}

bool lp_winograd_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype,
                      bool kept) {
  const bool is_half = dtype == LP_BFLOAT16;
  if ((!is_half && dtype != LP_FLOAT32) || !lp_winograd_serves(g) ||
      (is_half && lp_split_supported()))
    return false;
  const Plan p = plan_of(pass, g, NULL, false);
  const int64_t outputs = g->n * p.result.h * p.result.w;
  const int64_t source = p.source.channels, result = p.result.channels,
                pairs = source * result;
  const int64_t least = is_half ? LEAST_CHANNELS_OF_HALVES : LEAST_CHANNELS;
  if (source < least || result < least || source > MOST_CHANNELS ||
      result > MOST_CHANNELS ||
      pairs < (pass == LP_CONV_WEIGHT_GRAD ? LEAST_PAIRS_SUMMED : LEAST_PAIRS))
    return false;
  if (pass != LP_CONV_WEIGHT_GRAD && lp_split_supported() && lanes() == 16 &&
      (source < LEAST_SOURCE_OF_FAST || pairs < LEAST_PAIRS_SUMMED))
    return false;
  return outputs >= least_outputs(pass, dtype, pairs, kept) &&
         products_of(&p) <= MOST_PRODUCTS_PER_OUTPUT * outputs;
}
