/* The weight gradient of Winograd's convolution; see winograd.h. S (k, c) of each
 * frequency is summed over tiles: A^T from y's gradient, B from x. */
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "cpu/gemm_split.h"
#include "cpu/winograd_parts.h"

#define GROUP LP_WINOGRAD_GROUP

/* Bytes of S at once: more output channels come after. */
#define MOST_SUMS (40 << 20)
/* Up to so many bytes, parts of the tiles have sums of their own, which stay near their
 * core; so few parts that adding them up costs little, the same on every machine. Of
 * parts with many outputs also larger sums, which would travel between cores, if they are
 * not made by the tile unit: that is done with them sooner than they are read from beyond
 * its core's cache. */
#define MOST_OWN_SUMS (1 << 20)
#define MOST_OWN_SUMS_OF_MANY (6 << 20)
#define MANY_OUTPUTS 1500
#define PARTS LP_WINOGRAD_PARTS
/* Else threads share tiles and have frequencies of their own. Operands of so many tiles
 * at once that they take twice the bytes of the sums, which are read and written once for
 * them, within bounds. */
#define LEAST_OPERANDS (4 << 20)
#define MOST_OPERANDS (24 << 20)

/* Where tiles are few and the sums many, threads have blocks of the sums: those of all
 * frequencies at once, which stay near until they are weights. */
#define MOST_TILES_OF_BLOCKS 128
#define LEAST_SUMS_OF_BLOCKS (8 << 20)
#define BLOCK_ROWS 32
#define BLOCK_COLUMNS 256

typedef struct GradJob {
  const Plan *p;
  float *zeros;
  char *sums, *scratch, *a, *b;
  int64_t slot_bytes, sum_bytes, groups, per_part, parts, first_group, groups_now;
  int64_t row0, rows; /* of S: channels of y */
  int64_t columns;    /* of S, padded */
  _Atomic int64_t next;
  _Atomic bool refused;
} GradJob;

static int64_t sum_step(const GradJob *j) {
  return APART +
         round_up(j->rows, LP_WINOGRAD_BLOCK) * j->columns * (int64_t)sizeof(float);
}

/* Bytes of a frequency of an operand for some groups of tiles. */
static int64_t operand_step(const Plan *p, int64_t channels, int64_t groups) {
  return APART + groups * (p->pieces ? blocks_of(channels) * LP_WINOGRAD_BLOCK_BYTES
                                     : GROUP * round_up(channels, lanes()) *
                                           (int64_t)sizeof(float));
}

/* Of both operands, some groups of tiles. */
static int64_t operand_bytes(const GradJob *j, int64_t groups) {
  return j->p->of->frequencies * (operand_step(j->p, j->rows, groups) +
                                  operand_step(j->p, j->p->source.channels, groups));
}

static LpWinogradShape find_either(const GradJob *j, bool of_y, int64_t tile,
                                   void **pixels) {
  const Plan *p = j->p;
  if (tile >= p->tiles) {
    for (int i = 0; i < p->of->frequencies; i++) pixels[i] = j->zeros;
    return p->kind;
  }
  if (of_y) {
    const Corner at = corner_of(p, tile);
    find_pixels(p, &p->result, at.image, at.row, at.column, p->of->tile, j->row0,
                j->zeros, pixels);
    return at.shape;
  }
  return find_source(p, tile, j->zeros, pixels);
}

/* Group `group` as number `place` of `places` in an operand. */
static void make_group(const GradJob *j, bool of_y, int64_t group, char *to,
                       int64_t place, int64_t places) {
  const Plan *p = j->p;
  const int64_t channels = of_y ? j->rows : p->source.channels;
  const int64_t step = operand_step(p, channels, places);
  void *first[LP_WINOGRAD_MOST_FREQUENCIES], *second[LP_WINOGRAD_MOST_FREQUENCIES];
  if (!p->pieces) {
    const int64_t wide = round_up(channels, lanes());
    float *row = (float *)to + place * GROUP * wide;
    LpWinogradPixels *pixels = (LpWinogradPixels *)first;
    for (int64_t t = 0; t < GROUP; t++, row += wide) {
      const LpWinogradShape shape = find_either(j, of_y, group * GROUP + t, first);
      if (of_y)
        p->of->grad(pixels, shape, channels, row, step / (int64_t)sizeof(float));
      else
        p->of->input(pixels, p->of->tile * channels * p->size, shape, channels, row,
                     step / (int64_t)sizeof(float));
    }
    return;
  }
  to += place * LP_WINOGRAD_BLOCK_BYTES;
  const int64_t block_step = places * LP_WINOGRAD_BLOCK_BYTES;
  for (int64_t t = 0; t < GROUP / 2; t++) {
    find_either(j, of_y, group * GROUP + t, first);
    find_either(j, of_y, group * GROUP + t + GROUP / 2, second);
    (of_y ? lp_winograd_table()->grad_line : lp_winograd_table()->input_line)(
        (LpWinogradPixels *)first, (LpWinogradPixels *)second, channels, to + t * 64,
        step, block_step);
  }
  if (of_y)
    for (int f = 0; f < p->of->frequencies; f++)
      for (int64_t block = 0; block < blocks_of(channels); block++)
        lp_winograd_table()->turn(to + f * step + block * block_step, 6);
}

/* Some rows and columns of S: `to` is the first one, of the first frequency. To the next
 * frequency it is `step` bytes, to the next row `ld` floats. */
typedef struct Sums {
  float *to;
  int64_t step, ld, row, rows, column, columns;
} Sums;

static Sums all_sums(const GradJob *j, char *to) {
  return (Sums){(float *)to, sum_step(j), j->columns, 0, j->rows, 0, j->columns};
}

static void add_products(const GradJob *j, const Sums *s, const char *a, const char *b,
                         int f, bool add) {
  const Plan *p = j->p;
  const int64_t groups = j->groups_now, channels = p->source.channels;
  const int64_t step_a = operand_step(p, j->rows, groups),
                step_b = operand_step(p, channels, groups);
  if (p->pieces) {
    const int64_t bytes = groups * LP_WINOGRAD_BLOCK_BYTES;
    const Products m = {.a = a + s->row / LP_WINOGRAD_BLOCK * bytes,
                        .b = b + s->column / LP_WINOGRAD_BLOCK * bytes,
                        .c = (char *)s->to,
                        .step_a = step_a,
                        .step_b = step_b,
                        .step_c = s->step,
                        .columns = s->columns,
                        .depth = groups * GROUP,
                        .ldc = s->ld,
                        .add = add};
    lp_winograd_multiply_pieces(&m, f, (Range){0, blocks_of(s->rows)});
    return;
  }
  const Range tiles = range_of(p, f, j->first_group * GROUP, groups * GROUP),
              columns = columns_of(p, f, s->column, s->columns);
  const int64_t lda = round_up(j->rows, lanes()), ldb = round_up(channels, lanes());
  float *c = (float *)((char *)s->to + f * s->step) + columns.begin;
  if (tiles.end == tiles.begin && !add)
    clear_rows(c, s->ld, s->rows, columns.end - columns.begin);
  else
    lp_winograd_table()->product_grad(
        c, s->ld, (const float *)(a + f * step_a) + tiles.begin * lda + s->row, lda,
        (const float *)(b + f * step_b) + tiles.begin * ldb + s->column + columns.begin,
        ldb, s->rows, columns.end - columns.begin, tiles.end - tiles.begin, add);
}

/* Row `row` of these sums. */
static bool put_row(const GradJob *j, const Sums *s, int64_t row) {
  const int64_t channels = j->p->source.channels, rest = channels - s->column,
                at = ((j->row0 + s->row + row) * channels + s->column) * 9;
  const bool half = j->p->weights.half;
  return j->p->of->weight_grad(
      s->to + row * s->ld, s->step / (int64_t)sizeof(float),
      rest < s->columns ? rest : s->columns,
      (char *)j->p->weights.w + at * (int64_t)(half ? 2 : sizeof(float)), half);
}

/* Parts of the tiles, each with sums of its own. */
static void run_parts(void *ctx, int64_t begin, int64_t end) {
  GradJob *j = ctx;
  const Plan *p = j->p;
  const int64_t most = j->groups_now;
  char *a = j->scratch + begin * j->slot_bytes,
       *b = a + p->of->frequencies * operand_step(p, j->rows, most);
  if (p->pieces) lp_split_begin();
  for (;;) {
    const int64_t part = take(&j->next);
    if (part >= j->parts) break;
    char *s = j->sums + part * j->sum_bytes;
    const int64_t from = part * j->per_part,
                  to = from + j->per_part < j->groups ? from + j->per_part : j->groups;
    for (int64_t group = from; group < to && !lp_interrupt_pending(); group += most) {
      GradJob now = {.p = p,
                     .zeros = j->zeros,
                     .first_group = group,
                     .groups_now = to - group < most ? to - group : most,
                     .row0 = j->row0,
                     .rows = j->rows,
                     .columns = j->columns};
      for (int64_t g = 0; g < now.groups_now; g++) {
        make_group(&now, true, group + g, a, g, now.groups_now);
        make_group(&now, false, group + g, b, g, now.groups_now);
      }
      const Sums all = all_sums(&now, s);
      for (int f = 0; f < p->of->frequencies; f++)
        add_products(&now, &all, a, b, f, group > from);
    }
  }
  if (p->pieces) lp_split_end();
}

static void add_parts(void *ctx, int64_t begin, int64_t end) {
  GradJob *j = ctx;
  for (int64_t part = 1; part < j->parts; part++) {
    float *s = (float *)j->sums;
    const float *more = (const float *)(j->sums + part * j->sum_bytes);
    for (int64_t i = begin; i < end; i++) s[i] += more[i];
  }
}

static void make_groups(void *ctx, int64_t begin, int64_t end) {
  GradJob *j = ctx;
  for (int64_t g = begin; g < end; g++) {
    const int64_t place = g / 2;
    const bool of_y = g & 1;
    make_group(j, of_y, j->first_group + place, of_y ? j->a : j->b, place, j->groups_now);
  }
}

#define ROWS_AT_ONCE 128
static void run_frequencies(void *ctx, int64_t begin, int64_t end) {
  GradJob *j = ctx;
  const Plan *p = j->p;
  const int64_t strips = (j->rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
  if (p->pieces) lp_split_begin();
  for (;;) {
    const int64_t at = take(&j->next), f = at / strips;
    if (f >= p->of->frequencies) break;
    const int64_t row = at % strips * ROWS_AT_ONCE, rest = j->rows - row;
    Sums s = all_sums(j, j->sums);
    s.to += row * s.ld;
    s.row = row;
    s.rows = rest < ROWS_AT_ONCE ? rest : ROWS_AT_ONCE;
    add_products(j, &s, j->a, j->b, f, j->first_group > 0);
  }
  if (p->pieces) lp_split_end();
}

/* Blocks of S, and their weights. */
static int64_t blocks_down(const GradJob *j) {
  return (j->rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
}
static int64_t blocks_across(const GradJob *j) {
  return (j->columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
}

static void run_blocks(void *ctx, int64_t begin, int64_t end) {
  GradJob *j = ctx;
  const Plan *p = j->p;
  const int64_t down = blocks_down(j), across = blocks_across(j);
  bool ok = true;
  if (p->pieces) lp_split_begin();
  for (;;) {
    const int64_t at = take(&j->next);
    if (at >= down * across) break;
    const int64_t row = at % down * BLOCK_ROWS, column = at / down * BLOCK_COLUMNS;
    const Sums s = {.to = (float *)(j->sums + begin * j->slot_bytes),
                    .step = j->slot_bytes / p->of->frequencies,
                    .ld = BLOCK_COLUMNS,
                    .row = row,
                    .rows = j->rows - row < BLOCK_ROWS ? j->rows - row : BLOCK_ROWS,
                    .column = column,
                    .columns = j->columns - column < BLOCK_COLUMNS ? j->columns - column
                                                                   : BLOCK_COLUMNS};
    for (int f = 0; f < p->of->frequencies; f++)
      add_products(j, &s, j->a, j->b, f, false);
    for (int64_t r = 0; r < s.rows; r++) ok &= put_row(j, &s, r);
  }
  if (p->pieces) lp_split_end();
  if (!ok) atomic_store(&j->refused, true);
}

static void put_weights(void *ctx, int64_t begin, int64_t end) {
  GradJob *j = ctx;
  const Sums s = all_sums(j, j->sums);
  bool ok = true;
  for (int64_t row = begin; row < end; row++) ok &= put_row(j, &s, row);
  if (!ok) atomic_store(&j->refused, true);
}

bool lp_winograd_weight_grad(const Plan *p, bool *refused) {
  const int64_t threads = lp_num_threads();
  GradJob j = {.p = p, .columns = round_up(p->source.channels, columns_at_once(p))};
  const int64_t most =
      p->source.channels > p->result.channels ? p->source.channels : p->result.channels;
  const int64_t zero_bytes = round_up((most + 16) * 4, 64);
  j.groups = (p->tiles + GROUP - 1) / GROUP;
  j.rows = p->result.channels;
  const int64_t bytes_at_once = p->of->frequencies * sum_step(&j);
  const bool by_blocks =
      p->tiles <= MOST_TILES_OF_BLOCKS && bytes_at_once >= LEAST_SUMS_OF_BLOCKS;
  while (!by_blocks && j.rows > LP_WINOGRAD_BLOCK &&
         p->of->frequencies * sum_step(&j) > MOST_SUMS)
    j.rows = round_up((j.rows + 1) / 2, LP_WINOGRAD_BLOCK);
  j.sum_bytes = p->of->frequencies * sum_step(&j);
  const int64_t outputs = p->tiles * p->of->tile * p->of->tile;
  const bool many = !p->pieces && outputs >= PARTS * MANY_OUTPUTS,
             by_parts = j.sum_bytes <= (many ? MOST_OWN_SUMS_OF_MANY : MOST_OWN_SUMS) &&
                        j.groups >= PARTS;
  int64_t slots = threads;
  j.parts = 1;
  j.groups_now = j.groups;
  if (by_blocks) {
    const int64_t blocks = blocks_down(&j) * blocks_across(&j);
    if (slots > blocks) slots = blocks;
    j.slot_bytes = p->of->frequencies *
                   (APART + BLOCK_ROWS * BLOCK_COLUMNS * (int64_t)sizeof(float));
    j.sum_bytes = slots * j.slot_bytes;
  } else if (by_parts) {
    j.parts = PARTS;
    if (j.parts > j.groups) j.parts = j.groups;
    j.per_part = (j.groups + j.parts - 1) / j.parts;
    j.parts = (j.groups + j.per_part - 1) / j.per_part;
    j.groups_now = 1;
    slots = threads < j.parts ? threads : j.parts;
  } else {
    int64_t operands = 2 * j.sum_bytes;
    if (operands < LEAST_OPERANDS) operands = LEAST_OPERANDS;
    if (operands > MOST_OPERANDS) operands = MOST_OPERANDS;
    j.groups_now = operands / operand_bytes(&j, 1);
    if (j.groups_now < 1) j.groups_now = 1;
    const int64_t times = (j.groups + j.groups_now - 1) / j.groups_now;
    j.groups_now = (j.groups + times - 1) / times;
  }
  int64_t bytes = operand_bytes(&j, j.groups_now);
  if (by_parts) {
    j.slot_bytes = bytes;
    bytes *= slots;
  }
  size_t capacity;
  char *scratch =
      lp_block_alloc((size_t)(zero_bytes + bytes + j.parts * j.sum_bytes), &capacity);
  TRY(scratch);
  j.zeros = (float *)scratch;
  memset(j.zeros, 0, (size_t)zero_bytes);
  j.sums = scratch + zero_bytes;
  j.scratch = j.a = j.sums + j.parts * j.sum_bytes;
  const int64_t at_once = j.groups_now, rows = j.rows;
  for (; j.row0 < p->result.channels && !stopped(&j.refused); j.row0 += rows) {
    j.rows = rows < p->result.channels - j.row0 ? rows : p->result.channels - j.row0;
    if (by_parts) {
      atomic_store(&j.next, 0);
      lp_parallel_for(slots, 1, run_parts, &j);
      if (j.parts > 1)
        lp_parallel_for(j.sum_bytes / (int64_t)sizeof(float), LP_GRAIN, add_parts, &j);
    } else {
      for (j.first_group = 0; j.first_group < j.groups && !stopped(&j.refused);
           j.first_group += at_once) {
        const int64_t rest = j.groups - j.first_group;
        j.groups_now = rest < at_once ? rest : at_once;
        j.b = j.a + p->of->frequencies * operand_step(p, j.rows, j.groups_now);
        lp_parallel_for(2 * j.groups_now, 1, make_groups, &j);
        atomic_store(&j.next, 0);
        lp_parallel_for(slots, 1, by_blocks ? run_blocks : run_frequencies, &j);
      }
    }
    if (!by_blocks) lp_parallel_for(j.rows, 8, put_weights, &j);
  }
  *refused = p->pieces && atomic_load(&j.refused);
  lp_block_free(scratch, capacity);
  return true;
}
