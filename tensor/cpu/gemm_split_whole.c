/* Whole products by tiles: how a product is shared among threads and cut to fit their
 * caches; see gemm_split.h.
 *
 * Note [Parts of a split product]: each thread makes a rectangle of C, packing what it
 * needs of A and B: no thread reads what another has just written. In its rectangle a
 * thread holds a part of one operand (of some rows or columns and so much of k) packed in
 * its own cache; the other one streams past it in panels, each packed while the tile unit
 * is busy with the one before. It holds the operand of which the rectangle has less. The
 * other way is cut too, into parts of some thousand, so that what C has so far comes from
 * a near cache for each part of k.
 *
 * A few panels are a step. A thread that is through with its rectangle takes steps of
 * others, packing once more what it must hold: a neighbour on one core can make its tile
 * unit four times slower than another's. A step adds to what its columns (or rows) have
 * from the part of k before, and waits for it; that has been made long ago. */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/gemm_split.h"

/* At most so many bytes of the operand that is held. */
#define BYTES_AT_ONCE (1344 * 1024)
#define MOST_DEPTH 384
/* Rows or columns that stream past it. */
#define MOST_STREAM 2048
/* Of these, a step: so few that there are some, not more than so many. */
#define STEPS 8
#define MOST_STEP 256

/* Rows and columns of a rectangle with large operands. */
#define LARGE 512

/* Two blocks: of A, or of B. Up to 16 rows of A take four of B. */
#define PAIR 32

/* Multiply-adds that make another thread worth its start. */
#define THREAD_GRAIN (1024 * 1024)

/* The size of the parts, at most `most` each, that [0, n) is cut into evenly: a multiple
 * of `unit`. */
static int64_t even_part(int64_t n, int64_t most, int64_t unit) {
  const int64_t parts = lp_ratio_up(n, most);
  return lp_ratio_up(lp_ratio_up(n, parts), unit) * unit;
}

/* Of k, at once. */
static int64_t depth_of(int64_t k) {
  return even_part(k, MOST_DEPTH, LP_SPLIT_DEPTH);
}

/* --- how costly
 * ------------------------------------------------------------------------- */

/* Cycles, measured: of a multiply-add; of what comes before; of packing an element,
 * straight or turned over, from a core's own cache or from farther away. */
#define CYCLES_PRODUCT (1.0 / 54)
#define CYCLES_START 4000
#define NEAR_BYTES (1536 * 1024)
/* Of fetching an element that is packed already. */
static double cycles_of_fetching(int64_t side, int64_t k) {
  return side * lp_split_block_bytes(k) / LP_SPLIT_SIDE <= NEAR_BYTES ? 0.3 : 0.6;
}
static double cycles_of_packing(int64_t side, int64_t k, bool turned) {
  const bool near = side * k * (int64_t)sizeof(float) <= NEAR_BYTES;
  return turned ? (near ? 1.3 : 2.5) : (near ? 1.0 : 1.9);
}

/* Multiply-adds of the vector instructions in a cycle; products too small to look at. */
#define VECTOR_RATE 28.0
#define LEAST_WORK (64 * 64 * 64)

typedef struct Cut {
  int64_t row_parts, column_parts; /* of C, one for each thread */
  int64_t row_units, column_units; /* of PAIR rows; of unit_columns */
  int64_t unit_columns, n;         /* n: of both matrices */
  double cycles;
} Cut;

/* Does a rectangle hold rows of A, not columns of B? Rather less than more; but of large
 * operands one that does not lie along k, for a panel of it is a few words from each of
 * many pages. */
static bool holds_rows(const LpGemm *g, bool is_packed, int64_t rows, int64_t columns) {
  const bool a_across = g->trans_a, b_across = !g->trans_b && !is_packed;
  if (a_across != b_across && rows >= LARGE && columns >= LARGE) return a_across;
  return rows <= columns;
}

static double cycles_of(const LpGemm *g, bool is_packed, int64_t rows, int64_t columns) {
  const double pack_a = cycles_of_packing(rows, g->k, g->trans_a),
               pack_b = is_packed ? cycles_of_fetching(columns, g->k)
                                  : cycles_of_packing(columns, g->k, g->trans_b);
  const bool hold_rows = holds_rows(g, is_packed, rows, columns);
  const int64_t whole_rows = rows <= 16 ? 16 : lp_ratio_up(rows, PAIR) * PAIR,
                whole_columns = lp_ratio_up(columns, PAIR) * PAIR;
  const int64_t held = hold_rows ? rows : columns, stream = hold_rows ? columns : rows;
  const int64_t most = BYTES_AT_ONCE / lp_split_block_bytes(MOST_DEPTH) * LP_SPLIT_SIDE;
  const double product = (double)(whole_rows * whole_columns) * CYCLES_PRODUCT;
  const double hold = (double)held * (hold_rows ? pack_a : pack_b),
               feed = (double)(stream * lp_ratio_up(held, most)) *
                      (hold_rows ? pack_b : pack_a);
  const int64_t depth = lp_ratio_up(g->k, LP_SPLIT_DEPTH) * LP_SPLIT_DEPTH;
  return (double)depth * (product + hold + feed);
}

static Cut best_cut(const LpGemm *g, const LpSplitMore *more, bool is_packed) {
  Cut c = {.unit_columns = more ? 2 * PAIR : PAIR, .n = g->n + (more ? more->n : 0)};
  c.row_units = lp_ratio_up(g->m, PAIR);
  c.column_units = lp_ratio_up(c.n, c.unit_columns);
  const int64_t threads = lp_parallel_threads(g->m * c.n * g->k, THREAD_GRAIN);
  for (int64_t across = 1; across <= threads; across++) {
    const int64_t down = threads / across;
    if (across > c.column_units) continue;
    const int64_t row_parts = lp_least(down, c.row_units);
    const int64_t rows = lp_least(lp_ratio_up(c.row_units, row_parts) * PAIR, g->m),
                  columns =
                      lp_least(lp_ratio_up(c.column_units, across) * c.unit_columns, c.n);
    const double cycles = cycles_of(g, is_packed, rows, columns);
    if (c.row_parts && cycles >= c.cycles) continue;
    c.row_parts = row_parts;
    c.column_parts = across;
    c.cycles = cycles;
  }
  return c;
}

double lp_split_gain(const LpGemm *g, bool is_packed) {
  const double work = (double)g->m * (double)g->n * (double)g->k;
  if (work < LEAST_WORK || !lp_split_supported()) return 0;
  const int64_t threads = lp_parallel_threads(g->m * g->n * g->k, THREAD_GRAIN);
  return work / VECTOR_RATE / (double)threads /
         (best_cut(g, NULL, is_packed).cycles + CYCLES_START);
}

/* --- B packed before
 * --------------------------------------------------------------------- */

/* Part by part of k, and in a part block by block of columns. */
static char *packed_block(const void *packed, const LpGemm *g, int64_t column, int64_t k0,
                          int64_t k) {
  return (char *)packed + lp_ratio_up(g->n, LP_SPLIT_SIDE) * lp_split_block_bytes(k0) +
         column / LP_SPLIT_SIDE * lp_split_block_bytes(k);
}

size_t lp_split_packed_bytes(int64_t n, int64_t k) {
  return (size_t)(lp_ratio_up(n, LP_SPLIT_SIDE) * lp_split_block_bytes(k));
}

typedef struct PackB {
  const LpGemm *g;
  void *memory;
  _Atomic bool refused;
} PackB;

static void pack_b(void *ctx, int64_t begin, int64_t end) {
  PackB *j = ctx;
  const LpGemm *g = j->g;
  const int64_t step = g->trans_b ? g->ldb : 1, k_step = g->trans_b ? 1 : g->ldb;
  const int64_t column = begin * LP_SPLIT_SIDE,
                columns = lp_least(end * LP_SPLIT_SIDE, g->n) - column;
  const int64_t depth = depth_of(g->k);
  for (int64_t k0 = 0; k0 < g->k; k0 += depth) {
    const int64_t k = lp_least(g->k - k0, depth);
    if (!lp_split_pack(packed_block(j->memory, g, column, k0, k), lp_split_block_bytes(k),
                       (const float *)g->b + column * step + k0 * k_step, step, k_step,
                       columns, k, true))
      atomic_store(&j->refused, true);
  }
}

bool lp_split_pack_b(const LpGemm *g, void *memory) {
  PackB j = {.g = g, .memory = memory};
  lp_parallel_for(lp_ratio_up(g->n, LP_SPLIT_SIDE), LP_GRAIN / (16 * g->k + 1) + 1,
                  pack_b, &j);
  return !atomic_load(&j.refused);
}

/* --- a thread's rectangle
 * --------------------------------------------------------------- */

typedef struct Counter {
  _Alignas(64) _Atomic int64_t next; /* a rectangle's first step that nobody has taken */
} Counter;

typedef struct Job {
  const LpGemm *g;
  const LpSplitMore *more;
  Cut cut;
  bool hold_rows;       /* A is held, B streams; else the other way round */
  int64_t panel;        /* rows or columns that are packed at once */
  int64_t side;         /* and multiplied at once */
  int64_t depth, parts; /* of k, at once */
  int64_t tall, wide;   /* a block of C: what is held by what streams */
  int64_t down, across; /* blocks of a rectangle */
  int64_t step, steps;  /* of what streams; in a block */
  Counter *counters;    /* of the rectangles */
  _Atomic int *done;    /* of each step of a block: parts of k; NULL for one part */
  _Atomic bool refused, failed;
} Job;

/* Rows and columns [m0, m1) x [n0, n1) of C, [k0, k0 + k) of the sum: a step. */
typedef struct Part {
  const Job *j;
  int64_t rectangle, block, part, step;
  int64_t m0, m1, n0, n1, k0, k;
  char *held, *two[2]; /* packed: what is held, a panel and the next one */
  char *memory;        /* for what is held, where that has not been packed before */
} Part;

static int64_t block_bytes(const Part *p) {
  return lp_split_block_bytes(p->k);
}

/* What is to be packed for rows or columns [from, to); columns of one matrix. */
static LpSplitFeed source_of(const Part *p, bool columns, int64_t from, int64_t to,
                             char *block) {
  const LpGemm *g = p->j->g;
  const LpSplitMore *more = p->j->more;
  LpSplitFeed f = {.block = block,
                   .block_step = block_bytes(p),
                   .count = to - from,
                   .k = p->k,
                   .for_b = columns};
  if (columns) {
    const bool second = from >= g->n;
    const int64_t ldb = second ? more->ldb : g->ldb;
    f.step = g->trans_b ? ldb : 1;
    f.k_step = g->trans_b ? 1 : ldb;
    f.source =
        second ? more->b + (from - g->n) * f.step : (const float *)g->b + from * f.step;
  } else {
    f.step = g->trans_a ? 1 : g->lda;
    f.k_step = g->trans_a ? g->lda : 1;
    f.source = (const float *)g->a + from * f.step;
  }
  f.source += p->k0 * f.k_step;
  return f;
}

/* B from column `from` on, where what is asked for is columns and B has been packed
 * before; else NULL. */
static char *packed_before(const Part *p, bool columns, int64_t from) {
  const LpGemm *g = p->j->g;
  return columns && g->packed_b ? packed_block(g->packed_b, g, from, p->k0, p->k) : NULL;
}

static bool pack(const Part *p, bool columns, int64_t from, int64_t to, char *block) {
  while (from < to) {
    const int64_t n = p->j->g->n, end = columns && from < n && n < to ? n : to;
    const LpSplitFeed f = source_of(p, columns, from, end, block);
    TRY(lp_split_pack(f.block, f.block_step, f.source, f.step, f.k_step, f.count, f.k,
                      f.for_b));
    block += (end - from) / LP_SPLIT_SIDE * f.block_step;
    from = end;
  }
  return true;
}

static float *place_in_c(const Part *p, int64_t row, int64_t column, int64_t *ldc) {
  const LpGemm *g = p->j->g;
  const LpSplitMore *more = p->j->more;
  if (column < g->n) return (float *)g->c + row * (*ldc = g->ldc) + column;
  return more->c + row * (*ldc = more->ldc) + column - g->n;
}

/* One product: the panel that begins at `at` by what is held from `held_at` on. */
static void multiply(const Part *p, int64_t at, const char *panel, int64_t held_at,
                     LpSplitFeed *feed) {
  const LpGemm *g = p->j->g;
  const int64_t bytes = block_bytes(p);
  const bool add = p->k0 > 0 || lp_scalar_to_double(g->beta) != 0;
  const int64_t row = p->j->hold_rows ? held_at : at,
                column = p->j->hold_rows ? at : held_at;
  const char *held =
      p->held + (held_at - (p->j->hold_rows ? p->m0 : p->n0)) / LP_SPLIT_SIDE * bytes;
  const char *a = p->j->hold_rows ? held : panel, *b = p->j->hold_rows ? panel : held;
  const int64_t side = p->j->hold_rows ? p->j->side : PAIR;
  LpSplitTile t = {.rows = lp_least(p->m1 - row, PAIR),
                   .depth = bytes / LP_SPLIT_PIECES,
                   .feed = feed,
                   .afar = g->packed_b && p->j->hold_rows && held_at == p->m0};
  float *c = place_in_c(p, row, column, &t.ldc);
  t.a[0] = a;
  t.a[1] = t.rows > 16 || side == PAIR ? a + bytes : NULL;
  t.from_step = add ? t.ldc : 0;
  const float *begin = g->row ? (const float *)g->row + column : NULL;
  for (int64_t x = 0; x < side && column + x < p->n1; x += 16) {
    t.at[t.count].b = b + x / 16 * bytes;
    t.at[t.count].c = c + x;
    t.at[t.count].from = add ? c + x : begin ? begin + x : NULL;
    t.at[t.count++].columns = lp_least(p->n1 - column - x, 16);
  }
  if (p->j->hold_rows && row + PAIR < p->m1) {
    t.next = c + PAIR * t.ldc;
    t.next_rows = lp_least(p->m1 - row - PAIR, PAIR);
  } else if (!p->j->hold_rows && column + PAIR < p->n1) {
    t.next = c + PAIR;
    t.next_rows = t.rows;
  }
  lp_split_product(&t);
}

/* --- steps
 * ----------------------------------------------------------------------------- */

static int64_t blocks_of_rectangle(const Job *j) {
  return j->down * j->across;
}

/* Sets p's place from its rectangle, block, part and step. */
static void place(Part *p) {
  const Job *j = p->j;
  const Cut *c = &j->cut;
  const int64_t r = p->rectangle % c->row_parts, q = p->rectangle / c->row_parts;
  const int64_t last_row = c->row_units * (r + 1) / c->row_parts * PAIR,
                last_column =
                    c->column_units * (q + 1) / c->column_parts * c->unit_columns;
  p->m0 = c->row_units * r / c->row_parts * PAIR + p->block % j->down * j->tall;
  p->n0 = c->column_units * q / c->column_parts * c->unit_columns +
          p->block / j->down * j->wide;
  p->m1 = lp_least(lp_least(p->m0 + j->tall, last_row), j->g->m);
  p->n1 = lp_least(lp_least(p->n0 + j->wide, last_column), c->n);
  int64_t *from = j->hold_rows ? &p->n0 : &p->m0, *to = j->hold_rows ? &p->n1 : &p->m1;
  *from += p->step * j->step;
  *to = lp_least(*to, *from + j->step);
  p->k0 = p->part * j->depth;
  p->k = lp_least(j->g->k - p->k0, j->depth);
}

/* The next step with something to do, of the rectangle that p is in or of another. */
static bool take_step(Part *p) {
  const Job *j = p->j;
  const int64_t rectangles = j->cut.row_parts * j->cut.column_parts,
                count = blocks_of_rectangle(j) * j->parts * j->steps;
  for (int64_t i = 0; i < rectangles && !atomic_load(&j->refused);) {
    int64_t at = atomic_fetch_add(&j->counters[p->rectangle].next, 1);
    if (at >= count) {
      p->rectangle = (p->rectangle + 1) % rectangles;
      i++;
      continue;
    }
    p->step = at % j->steps;
    at /= j->steps;
    p->part = at % j->parts;
    p->block = at / j->parts;
    place(p);
    if (p->m0 < p->m1 && p->n0 < p->n1) return true;
  }
  return false;
}

static bool holds_the_same(const Part *p, const Part *q) {
  return p->rectangle == q->rectangle && p->block == q->block && p->part == q->part;
}

static _Atomic int *done_of(const Part *p) {
  const Job *j = p->j;
  return j->done
             ? &j->done[(p->rectangle * blocks_of_rectangle(j) + p->block) * j->steps +
                        p->step]
             : NULL;
}

/* The other thread may be waiting for a processor. */
#define PATIENCE 1000

static void wait_for_part_before(const Part *p) {
  const _Atomic int *done = done_of(p);
  for (int i = 0; done && atomic_load_explicit(done, memory_order_acquire) < p->part &&
                  !atomic_load(&p->j->refused);
       i++) {
    if (i >= PATIENCE) sched_yield();
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }
}

/* Streams one operand past the other. `ready`: the first panel has been packed; set when
 * that of `after` has, the step that is taken meanwhile: *more tells whether there is
 * one. */
static bool make_step(Part *p, Part *after, bool *ready, bool *more) {
  const bool columns = p->j->hold_rows; /* these stream */
  const int64_t from = columns ? p->n0 : p->m0, to = columns ? p->n1 : p->m1;
  const int64_t held_from = columns ? p->m0 : p->n0, held_to = columns ? p->m1 : p->n1;
  const int64_t panel = p->j->panel;
  const int64_t products = lp_ratio_up(held_to - held_from, PAIR) * (panel / p->j->side);
  const char *there = packed_before(p, columns, from);
  if (!there && !*ready)
    TRY(pack(p, columns, from, lp_least(from + panel, to), p->two[0]));
  *ready = false;
  wait_for_part_before(p);
  for (int64_t at = from; at < to; at += panel) {
    const int64_t next = at + panel;
    LpSplitFeed f;
    bool feeds = !there && next < to;
    if (feeds) f = source_of(p, columns, next, lp_least(next + panel, to), p->two[1]);
    if (next >= to) {
      *after = *p;
      *more = take_step(after);
      *ready = feeds = !there && *more && holds_the_same(p, after);
      const int64_t first = columns ? after->n0 : after->m0,
                    end = columns ? after->n1 : after->m1;
      if (feeds)
        f = source_of(after, columns, first, lp_least(first + panel, end), p->two[1]);
    }
    if (feeds) lp_split_feed_begin(&f, products * (block_bytes(p) / LP_SPLIT_PIECES));
    for (int64_t side = at; side < next && side < to; side += p->j->side) {
      const char *packed = there
                               ? there + (side - from) / LP_SPLIT_SIDE * block_bytes(p)
                               : p->two[0] + (side - at) / LP_SPLIT_SIDE * block_bytes(p);
      for (int64_t h = held_from; h < held_to; h += PAIR)
        multiply(p, side, packed, h, feeds ? &f : NULL);
    }
    TRY(!feeds || lp_split_feed_end(&f));
    char *free = p->two[0];
    p->two[0] = p->two[1];
    p->two[1] = free;
  }
  after->two[0] = p->two[0];
  after->two[1] = p->two[1];
  if (done_of(p))
    atomic_store_explicit(done_of(p), (int)p->part + 1, memory_order_release);
  return true;
}

static bool make_steps(Part *p) {
  bool ready = false, more = take_step(p), holds = false;
  while (more) {
    const bool columns = !p->j->hold_rows; /* these are held */
    const int64_t from = columns ? p->n0 : p->m0, to = columns ? p->n1 : p->m1;
    if (!holds) {
      p->held = packed_before(p, columns, from);
      if (!p->held) TRY(pack(p, columns, from, to, p->held = p->memory));
    }
    Part after;
    TRY(make_step(p, &after, &ready, &more));
    holds = more && holds_the_same(p, &after);
    *p = after;
  }
  return true;
}

/* Cuts the rectangles into blocks and steps. All are cut alike, by the largest of them.
 */
static void cut_blocks(Job *j) {
  const Cut *c = &j->cut;
  const int64_t rows = lp_least(lp_ratio_up(c->row_units, c->row_parts) * PAIR, j->g->m),
                columns = lp_least(lp_ratio_up(c->column_units, c->column_parts) *
                                       c->unit_columns,
                                   c->n);
  j->hold_rows = holds_rows(j->g, j->g->packed_b != NULL, rows, columns);
  j->side = j->hold_rows && rows <= LP_SPLIT_SIDE ? 2 * PAIR : PAIR;
  j->panel = (j->hold_rows ? !j->g->trans_b : j->g->trans_a) ? 2 * PAIR : j->side;
  j->depth = depth_of(j->g->k);
  j->parts = lp_ratio_up(j->g->k, j->depth);
  const int64_t most =
      BYTES_AT_ONCE / lp_split_block_bytes(j->depth) * LP_SPLIT_SIDE / PAIR * PAIR;
  const int64_t held = even_part(j->hold_rows ? rows : columns, most, PAIR),
                stream = even_part(j->hold_rows ? columns : rows, MOST_STREAM, 2 * PAIR);
  j->tall = j->hold_rows ? held : stream;
  j->wide = j->hold_rows ? stream : held;
  j->down = lp_ratio_up(rows, j->tall);
  j->across = lp_ratio_up(columns, j->wide);
  j->step =
      lp_least(lp_ratio_up(lp_ratio_up(stream, STEPS), 2 * PAIR) * 2 * PAIR, MOST_STEP);
  j->steps = lp_ratio_up(stream, j->step);
}

static void make_rectangle(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const int64_t bytes = lp_split_block_bytes(j->depth);
  const int64_t panel_bytes = j->panel / LP_SPLIT_SIDE * bytes,
                held_bytes = (j->hold_rows ? j->tall : j->wide) / LP_SPLIT_SIDE * bytes;
  Part p = {.j = j, .rectangle = begin};
  size_t capacity;
  p.memory = lp_block_alloc((size_t)(held_bytes + 2 * panel_bytes), &capacity);
  if (!p.memory) {
    atomic_store(&j->failed, true);
    atomic_store(&j->refused, true); /* nobody waits for it */
    return;
  }
  char *memory = p.memory;
  p.two[0] = memory + held_bytes;
  p.two[1] = p.two[0] + panel_bytes;
  lp_split_begin();
  if (!make_steps(&p)) atomic_store(&j->refused, true);
  lp_split_end();
  lp_block_free(memory, capacity);
}

bool lp_split_gemm(const LpGemm *g, const LpSplitMore *more, bool *refused) {
  *refused = false;
  Job j = {.g = g, .more = more, .cut = best_cut(g, more, g->packed_b != NULL)};
  cut_blocks(&j);
  const int64_t rectangles = j.cut.row_parts * j.cut.column_parts;
  const size_t counter_bytes = (size_t)rectangles * sizeof *j.counters;
  const size_t done_bytes =
      j.parts > 1 ? (size_t)(rectangles * blocks_of_rectangle(&j) * j.steps) * sizeof(int)
                  : 0;
  size_t capacity;
  char *memory = lp_block_alloc(counter_bytes + done_bytes, &capacity);
  TRY(memory);
  memset(memory, 0, counter_bytes + done_bytes);
  j.counters = (Counter *)memory;
  if (done_bytes) j.done = (_Atomic int *)(memory + counter_bytes);
  lp_parallel_for(rectangles, 1, make_rectangle, &j);
  lp_block_free(memory, capacity);
  *refused = atomic_load(&j.refused) && !atomic_load(&j.failed);
  CHECK(!atomic_load(&j.failed), LP_ERR_MEMORY, "out of memory in a matrix product");
  return !*refused;
}
