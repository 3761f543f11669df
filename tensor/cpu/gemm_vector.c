/* How a product is shared among threads and cut to fit their caches; see gemm_vector.h.
 */
#include "cpu/gemm_vector.h"

#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/caches.h"

/* Multiply-adds that make another thread worth its start. */
#define THREAD_GRAIN (128 * 1024)
/* Columns of a block: so few that a thread which is held up leaves work to others, so
 * many that packing A for each does not count. */
#define BLOCK_COLUMNS 256
/* Multiply-adds of a block, at least. */
#define LEAST_BLOCK (512 * 1024)
/* Of k, in the share of a thread; less is not worth adding up sums. */
#define LEAST_SHARED_DEPTH 512
#define LINE 64
/* From row to row of A: a multiple of 4 KiB puts all into the same sets of the cache. */
#define BAD_STEP 1024
/* Of k, that are packed at once. */
#define LEAST_DEPTH 128
#define MOST_DEPTH 256
/* Of the nearest cache, what a panel of B leaves to its tile's parts of A and C. */
#define LEFT_BYTES (16 * 1024)
/* Of k, at once of an A that lies across: its lines are used while they are near, which
 * are as many as have a place where all fall into the same set of the nearest cache. */
#define ACROSS_DEPTH 8

bool lp_vector_supported(void) {
  return lp_vector_kernels()->rows > 0;
}

/* So much of k is packed at once that a panel of B stays in the nearest cache. Where that
 * is too small for LEAST_DEPTH, panels come from the second-level cache anyway, and the
 * deeper they are the less often C is read and written. */
static int64_t most_depth(void) {
  static _Atomic int64_t known;
  int64_t depth = atomic_load_explicit(&known, memory_order_relaxed);
  if (depth) return depth;
  const int64_t of_k = lp_vector_kernels()->columns * (int64_t)sizeof(float);
  depth = (lp_first_cache_bytes() - LEFT_BYTES) / of_k / 16 * 16;
  if (depth < LEAST_DEPTH || depth > MOST_DEPTH) depth = MOST_DEPTH;
  atomic_store_explicit(&known, depth, memory_order_relaxed);
  return depth;
}

/* From one packed row of A to the next: rows begin in different sets of the cache. */
static int64_t packed_row(void) {
  return most_depth() + 16;
}

/* The parts of k that are packed at once: even ones. */
static int64_t depth_of(int64_t k) {
  const int64_t parts = lp_ratio_up(k, most_depth());
  return lp_ratio_up(lp_ratio_up(k, parts), 16) * 16;
}

/* --- sharing
 * ----------------------------------------------------------------------------- */

/* Cycles, measured: of packing an element. */
#define CYCLES_PACK 0.3
#define CYCLES_TURN 0.4

/* For each k, of a thread that makes so much of C. */
static double cycles_of(const LpGemm *g, int64_t rows, int64_t columns) {
  const LpVectorKernels *kernels = lp_vector_kernels();
  const int64_t tiles = lp_ratio_up(rows, kernels->rows),
                panels = lp_ratio_up(columns, kernels->columns);
  int64_t tile_cycles = lp_ratio_up(rows, tiles) * 2; /* two products of vectors in one */
  if (tile_cycles < 4) tile_cycles = 4;               /* each waits for the one before */
  return (double)(tiles * panels * tile_cycles) + (double)rows * CYCLES_PACK +
         (double)columns * (g->trans_b ? CYCLES_TURN : CYCLES_PACK);
}

typedef struct Cut {
  int64_t row_blocks, shares; /* of C; of k */
  int64_t panels;             /* of B, in a row of blocks */
  int64_t least, most;        /* panels of a block */
  int64_t threads;
} Cut;

/* Rows that lie along k are used where they are, but for steps that put many of them into
 * the same sets of a cache. */
static bool packs_a(const LpGemm *g) {
  return g->trans_a || g->lda % BAD_STEP == 0;
}

/* Blocks are smaller towards the end, where A need not be packed anew for each. */
static bool shrinks(const LpGemm *g, const Cut *c) {
  return c->threads > 1 && c->shares == 1 && !(packs_a(g) && g->k > most_depth());
}

static Cut best_cut(const LpGemm *g) {
  const LpVectorKernels *kernels = lp_vector_kernels();
  const int64_t threads = lp_parallel_threads(g->m * g->n * g->k, THREAD_GRAIN);
  const int64_t most_down = lp_ratio_up(g->m, kernels->rows);
  Cut c = {.panels = lp_ratio_up(g->n, kernels->columns), .threads = threads};
  double best = 0;
  for (int64_t across = 1; across <= lp_least(threads, c.panels); across++) {
    const int64_t down = lp_least(threads / across, most_down);
    const int64_t shares =
        lp_least(threads / (across * down), lp_ratio_up(g->k, LEAST_SHARED_DEPTH));
    const double cycles = cycles_of(g, lp_ratio_up(g->m, down),
                                    lp_ratio_up(c.panels, across) * kernels->columns) /
                          (double)shares;
    if (best > 0 && cycles >= best) continue;
    best = cycles;
    c.row_blocks = down;
    c.shares = shares;
    c.most = lp_ratio_up(c.panels, across);
  }
  c.row_blocks *= lp_ratio_up(lp_ratio_up(g->m, c.row_blocks), kernels->block_rows);
  c.most = lp_ratio_up(c.most, lp_ratio_up(c.most * kernels->columns, BLOCK_COLUMNS));
  const int64_t work = lp_ratio_up(g->m, c.row_blocks) * kernels->columns * g->k;
  c.least = shrinks(g, &c) ? lp_least(lp_ratio_up(LEAST_BLOCK, work), c.most) : c.most;
  return c;
}

/* --- a block
 * ----------------------------------------------------------------------------- */

#define MOST_RANGES 64

/* The panels of all rows of blocks, and of all shares of k, are counted through. Each
 * thread has a range of them, and takes of others' when it is through: a core may be
 * slower than another. */
typedef struct Job {
  const LpGemm *g;
  float alpha, beta;
  Cut cut;
  float *sums; /* of shares of k, one matrix each; or NULL */
  int64_t ranges;
  struct {
    _Alignas(LINE) _Atomic int64_t next; /* the first panel that nobody has taken */
  } range[MOST_RANGES];
  _Atomic bool failed;
} Job;

/* Rows and columns [m0, m1) x [n0, n1) of C, [k0, k1) of the sum. */
typedef struct Block {
  const Job *j;
  int64_t m0, m1, n0, n1, k0, k1;
  int64_t tiles, tile_rows, taller; /* as many of the tiles have a row more */
  float *a, *b;                     /* packed */
  int64_t packed_m0, packed_k0;     /* what a begins with */
  int64_t range;                    /* where panels are taken */
  float *c;
  int64_t ldc;
} Block;

/* A block's rows are shared evenly among its tiles. */
static int64_t rows_of(const Block *b, int64_t tile) {
  return b->tile_rows + (tile < b->taller);
}

/* From one tile's part of A to the next one's. */
static int64_t packed_step(const Block *b, int64_t rows, int64_t k) {
  const LpGemm *g = b->j->g;
  return g->trans_a   ? k * lp_vector_kernels()->across
         : packs_a(g) ? rows * packed_row()
                      : rows * g->lda;
}

static void pack_a(const Block *b, int64_t k0, int64_t k) {
  const LpGemm *g = b->j->g;
  const float *a = g->a;
  if (!g->trans_a) {
    const int64_t step = packed_row();
    for (int64_t i = b->m0; i < b->m1; i++)
      memcpy(b->a + (i - b->m0) * step, a + i * g->lda + k0, (size_t)k * sizeof *a);
    return;
  }
  const LpVectorKernels *kernels = lp_vector_kernels();
  for (int64_t p = 0; p < k; p += ACROSS_DEPTH) {
    float *to = b->a + p * kernels->across;
    const float *from = a + (k0 + p) * g->lda + b->m0;
    for (int64_t i = 0; i < b->tiles; i++) {
      kernels->pack_across(to, from, g->lda, rows_of(b, i),
                           lp_least(k - p, ACROSS_DEPTH));
      to += packed_step(b, rows_of(b, i), k);
      from += rows_of(b, i);
    }
  }
}

/* --- B
 * --------------------------------------------------------------------------------- */

static const float *place_in_b(const LpGemm *g, int64_t column, int64_t k) {
  return (const float *)g->b + (g->trans_b ? column * g->ldb + k : k * g->ldb + column);
}

static void pack_panel(const LpGemm *g, int64_t column, int64_t k0, int64_t k,
                       float *to) {
  const LpVectorKernels *kernels = lp_vector_kernels();
  (g->trans_b ? kernels->pack_b_turned
              : kernels->pack_b)(to, place_in_b(g, column, k0), g->ldb,
                                 lp_least(g->n - column, kernels->columns), k);
}

/* Lets tile i ask for its part of the panel that begins at `next`, if there is one. */
static void ask_for(LpVectorTile *t, const LpGemm *g, const float *next, int64_t i) {
  const int64_t columns = lp_vector_kernels()->columns;
  const int64_t row_bytes = g->ldb * (int64_t)sizeof(float);
  const int64_t lines = columns * (int64_t)sizeof(float) / LINE; /* of a k */
  t->fetch = (const char *)t->a;
  t->fetch_step = t->fetch_next = 0;
  if (!next) return;
  if (g->trans_b) { /* of eight columns, a line more at each 16 of k */
    if (i >= columns / 8) return;
    t->fetch = (const char *)(next + 8 * i * g->ldb);
    t->fetch_step = row_bytes;
    t->fetch_next = LINE;
  } else { /* of eight rows out of 16, a line each */
    if (i >= 2 * lines) return;
    t->fetch = (const char *)next + i / 2 * LINE + i % 2 * 8 * row_bytes;
    t->fetch_step = row_bytes;
    t->fetch_next = 16 * row_bytes;
  }
}

/* --- a block's product
 * ------------------------------------------------------------------- */

/* All rows by the panel that is packed. */
static void multiply(const Block *b, int64_t column, int64_t k0, int64_t k,
                     const float *next) {
  const LpVectorKernels *kernels = lp_vector_kernels();
  const LpGemm *g = b->j->g;
  const bool first = k0 == b->k0;
  LpVectorTile t = {.columns = lp_least(b->n1 - column, kernels->columns),
                    .k = k,
                    .b = b->b,
                    .ldc = b->ldc,
                    .from_step = b->ldc,
                    .alpha = b->j->alpha,
                    .beta = first ? b->j->beta : 1};
  const bool begins_with_row = first && g->row;
  if (begins_with_row) t.from_step = 0, t.beta = 1;
  t.a = packs_a(g) ? b->a : (const float *)g->a + b->m0 * g->lda + k0;
  t.row_step = packs_a(g) ? packed_row() : g->lda;
  t.c = b->c + b->m0 * b->ldc + column;
  for (int64_t i = 0; i < b->tiles; i++) {
    t.rows = rows_of(b, i);
    t.from = begins_with_row ? (const float *)g->row + column : t.beta == 0 ? NULL : t.c;
    ask_for(&t, g, next, i);
    (g->trans_a ? kernels->tile_across : kernels->tile_along)(&t);
    t.a += packed_step(b, t.rows, k);
    t.c += t.rows * b->ldc;
  }
}

static int64_t panels_of(const Cut *c) {
  return c->shares * c->row_blocks * c->panels;
}

static int64_t begin_of(const Job *j, int64_t range) {
  return panels_of(&j->cut) * range / j->ranges;
}

/* Where B begins for the block that is taken next, if nobody else takes it. */
static const float *begin_of_next(const Block *b) {
  const Job *j = b->j;
  const Cut *c = &j->cut;
  const int64_t at = atomic_load_explicit(&j->range[b->range].next, memory_order_relaxed);
  if (at >= begin_of(j, b->range + 1)) return NULL;
  const int64_t share = at / (c->row_blocks * c->panels);
  return place_in_b(j->g, at % c->panels * lp_vector_kernels()->columns,
                    j->g->k * share / c->shares);
}

static void make_block(Block *b) {
  const LpVectorKernels *kernels = lp_vector_kernels();
  const LpGemm *g = b->j->g;
  const int64_t depth = depth_of(b->k1 - b->k0);
  for (int64_t k0 = b->k0; k0 < b->k1; k0 += depth) {
    const int64_t k = lp_least(b->k1 - k0, depth);
    if (packs_a(g) && (b->packed_m0 != b->m0 || b->packed_k0 != k0)) {
      pack_a(b, k0, k);
      b->packed_m0 = b->m0;
      b->packed_k0 = k0;
    }
    for (int64_t column = b->n0; column < b->n1; column += kernels->columns) {
      const int64_t after = column + kernels->columns;
      pack_panel(g, column, k0, k, b->b);
      multiply(b, column, k0, k,
               after < b->n1    ? place_in_b(g, after, k0)
               : k0 + k < b->k1 ? place_in_b(g, b->n0, k0 + k)
                                : begin_of_next(b));
    }
  }
}

/* --- all blocks
 * -------------------------------------------------------------------------- */

/* A block of some panels from the one at `at` on. */
static void place_block(Block *b, int64_t at, int64_t panels) {
  const Job *j = b->j;
  const LpGemm *g = j->g;
  const Cut *c = &j->cut;
  const int64_t share = at / (c->row_blocks * c->panels),
                row = at / c->panels % c->row_blocks, panel = at % c->panels;
  const int64_t width = lp_vector_kernels()->columns;
  b->m0 = g->m * row / c->row_blocks;
  b->m1 = g->m * (row + 1) / c->row_blocks;
  b->n0 = panel * width;
  b->n1 = lp_least((panel + panels) * width, g->n);
  b->tiles = lp_ratio_up(b->m1 - b->m0, lp_vector_kernels()->rows);
  b->tile_rows = (b->m1 - b->m0) / b->tiles;
  b->taller = (b->m1 - b->m0) % b->tiles;
  b->k0 = g->k * share / c->shares;
  b->k1 = g->k * (share + 1) / c->shares;
  b->c = j->sums ? j->sums + share * g->m * g->n : g->c;
  b->ldc = j->sums ? g->n : g->ldc;
}

/* Half of what is left of a range, or less: nobody waits long for the last block. */
static bool take_block(Job *j, Block *b) {
  const Cut *c = &j->cut;
  for (int64_t i = 0; i < j->ranges; i++, b->range = (b->range + 1) % j->ranges) {
    const int64_t end = begin_of(j, b->range + 1);
    _Atomic int64_t *next = &j->range[b->range].next;
    int64_t at = atomic_load(next), panels;
    do {
      panels = lp_least(lp_ratio_up(end - at, 2), c->most);
      if (panels < c->least) panels = c->least;
      panels = lp_least(lp_least(panels, end - at), c->panels - at % c->panels);
    } while (at < end && !atomic_compare_exchange_weak(next, &at, at + panels));
    if (at >= end) continue;
    place_block(b, at, panels);
    return true;
  }
  return false;
}

/* Floats of a block's packed A. */
static int64_t packed_floats(const Job *j) {
  const LpVectorKernels *kernels = lp_vector_kernels();
  const int64_t rows = lp_ratio_up(j->g->m, j->cut.row_blocks);
  if (!packs_a(j->g)) return 0;
  if (!j->g->trans_a) return rows * packed_row();
  return lp_ratio_up(rows, kernels->rows) * most_depth() * kernels->across;
}

static void make_blocks(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const LpVectorKernels *kernels = lp_vector_kernels();
  const int64_t a_floats = packed_floats(j);
  size_t capacity;
  float *memory = lp_block_alloc(
      (size_t)(a_floats + most_depth() * kernels->columns) * sizeof(float), &capacity);
  if (!memory) {
    atomic_store(&j->failed, true);
    return;
  }
  Block b = {.j = j,
             .b = memory,
             .a = memory + most_depth() * kernels->columns,
             .packed_m0 = -1,
             .range = begin};
  while (take_block(j, &b)) make_block(&b);
  lp_block_free(memory, capacity);
}

static void run_blocks(Job *j) {
  j->ranges = lp_least(lp_least(panels_of(&j->cut), j->cut.threads), MOST_RANGES);
  for (int64_t i = 0; i < j->ranges; i++) atomic_init(&j->range[i].next, begin_of(j, i));
  lp_parallel_for(j->ranges, 1, make_blocks, j);
}

/* C = beta C + row + the sums. */
static void add_shares(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  const LpGemm *g = j->g;
  const float *row = g->row;
  for (int64_t i = begin; i < end; i++) {
    float *c = (float *)g->c + i * g->ldc;
    const float *first = j->sums + i * g->n;
    for (int64_t x = 0; x < g->n; x++) {
      float sum = first[x];
      for (int64_t s = 1; s < j->cut.shares; s++) sum += first[s * g->m * g->n + x];
      sum *= j->alpha;
      c[x] = row ? row[x] + sum : j->beta == 0 ? sum : j->beta * c[x] + sum;
    }
  }
}

bool lp_vector_gemm(const LpGemm *g, float alpha, float beta) {
  Job j = {.g = g, .alpha = alpha, .beta = beta, .cut = best_cut(g)};
  if (j.cut.shares == 1) {
    run_blocks(&j);
  } else {
    LpGemm plain = *g;
    size_t capacity;
    j.sums =
        lp_block_alloc((size_t)(j.cut.shares * g->m * g->n) * sizeof(float), &capacity);
    if (!j.sums) return false;
    plain.row = NULL;
    Job shares = j;
    shares.g = &plain;
    shares.alpha = 1;
    shares.beta = 0;
    run_blocks(&shares);
    atomic_store(&j.failed, atomic_load(&shares.failed));
    if (!atomic_load(&j.failed))
      lp_parallel_for(g->m, LP_GRAIN / (g->n * j.cut.shares) + 1, add_shares, &j);
    lp_block_free(j.sums, capacity);
  }
  CHECK(!atomic_load(&j.failed), LP_ERR_MEMORY, "out of memory in a matrix product");
  return true;
}
