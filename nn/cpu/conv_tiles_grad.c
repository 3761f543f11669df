/* The weight's gradient of convolutions by tiles; see conv_tiles.h.
 *
 * Few weights: the strips are cut into parts, in a way that the geometry alone decides.
 * Each has sums of its own, which are added in the end, and its operands are packed strip
 * by strip in the cache of the thread that works on it. Many weights, so that sums of
 * their own would be dear: all strips are packed first, then each thread makes blocks of
 * the weights from all of them. */
#include <stdatomic.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "cpu/conv_tiles_parts.h"
#include "cpu/gemm_split.h"

#define BUDGET (900 * 1024)    /* bytes of a strip that a thread goes through */
#define FEW_BYTES (640 * 1024) /* of the sums of few weights */
/* Parts of the strips: as many as leave their sums in a near cache, within limits. */
#define LEAST_PARTS 8
#define MOST_PARTS 16
#define SUM_BYTES (2560 * 1024)
#define THREAD_GRAIN (1024 * 1024)

typedef struct Job {
  LpTilesSweep s;
  int64_t c_blocks, k_blocks; /* of 32 channels */
  int64_t strips, parts;
  int64_t x_bytes, strip_bytes; /* packed: of x, which lies first; of both */
  int64_t block_floats;         /* sums of a block of 32 by 32 */
  char *packed;                 /* all strips, or NULL */
  float *sums;                  /* (parts, k_blocks, c_blocks) blocks */
  LpTilesResult to;
  _Atomic int64_t next;
  _Atomic bool failed, refused;
} Job;

static void sum_block(const Job *j, const char *packed, int64_t block, float *sums,
                      bool add) {
  const int64_t k = block / j->c_blocks, c = block % j->c_blocks;
  const LpTilesSweep *s = &j->s;
  const char *x = packed + 2 * c * lp_tiles_x_panel(s),
             *y = packed + j->x_bytes + 2 * k * lp_tiles_y_panel(s);
  for (int r = 0; r < s->h.taps; r++)
    for (int q = 0; q < s->w.taps; q++, sums += LP_TILES_SUM_FLOATS)
      s->form->sum_tap(s, x + s->down[r] + s->across[q], y, sums, add);
}

/* One of so many pieces of a strip: rows of x and of y. Is given up when an operand is
 * not finite. */
#define PIECES 8
static void pack_piece(Job *j, const LpTilesLane *lanes, int64_t piece, int64_t pieces,
                       char *to) {
  bool ok = true;
  for (int64_t r = piece; ok && r < lp_tiles_rows(&j->s); r += pieces)
    ok = j->s.form->pack_x(&j->s, lanes, r, to);
  for (int64_t r = piece; ok && r < j->s.h.band; r += pieces)
    ok = j->s.form->pack_y(&j->s, lanes, r, to + j->x_bytes);
  if (!ok) atomic_store(&j->refused, true);
}

static void *scratch(Job *j, size_t bytes, size_t *capacity) {
  void *memory = lp_block_alloc(bytes, capacity);
  if (!memory) atomic_store(&j->failed, true);
  return memory;
}

/* --- few weights
 * ----------------------------------------------------------------------- */

static void sum_part(Job *j, int64_t part, char *packed) {
  const int64_t blocks = j->k_blocks * j->c_blocks, first = j->strips * part / j->parts,
                end = j->strips * (part + 1) / j->parts;
  float *sums = j->sums + part * blocks * j->block_floats;
  for (int64_t strip = first; strip < end && !atomic_load(&j->refused); strip++) {
    LpTilesLane lanes[LP_TILES_LANES];
    lp_tiles_lanes(&j->s, strip, lanes);
    pack_piece(j, lanes, 0, 1, packed);
    for (int64_t b = 0; b < blocks; b++)
      sum_block(j, packed, b, sums + b * j->block_floats, strip > first);
  }
}

static void sum_parts(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  size_t capacity;
  char *packed = scratch(j, (size_t)j->strip_bytes, &capacity);
  if (!packed) return;
  lp_split_begin();
  for (int64_t part; (part = atomic_fetch_add(&j->next, 1)) < j->parts;)
    sum_part(j, part, packed);
  lp_split_end();
  lp_block_free(packed, capacity);
}

static void add_parts(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  const int64_t step = j->k_blocks * j->c_blocks * j->block_floats;
  for (int64_t b = begin; b < end; b++)
    lp_tiles_finish(&j->s, b / j->c_blocks, b % j->c_blocks,
                    j->sums + b * j->block_floats, step, j->parts, &j->to);
}

/* --- many weights
 * ---------------------------------------------------------------------- */

static void pack_strips(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  for (int64_t i = begin; i < end && !atomic_load(&j->refused); i++) {
    LpTilesLane lanes[LP_TILES_LANES];
    lp_tiles_lanes(&j->s, i / PIECES, lanes);
    pack_piece(j, lanes, i % PIECES, PIECES, j->packed + i / PIECES * j->strip_bytes);
  }
}

static void make_blocks(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const int64_t blocks = j->k_blocks * j->c_blocks;
  size_t capacity;
  float *sums = scratch(j, (size_t)j->block_floats * sizeof *sums, &capacity);
  if (!sums) return;
  lp_split_begin();
  for (int64_t b; (b = atomic_fetch_add(&j->next, 1)) < blocks;) {
    for (int64_t strip = 0; strip < j->strips; strip++)
      sum_block(j, j->packed + strip * j->strip_bytes, b, sums, strip > 0);
    lp_tiles_finish(&j->s, b / j->c_blocks, b % j->c_blocks, sums, 0, 1, &j->to);
  }
  lp_split_end();
  lp_block_free(sums, capacity);
}

/* --- public
 * ------------------------------------------------------------------------------ */

/* Of taps in a piece of a panel, which has half a tile for each place. */
static void set_offsets(LpTilesSweep *s) {
  const int64_t less = lp_tiles_depth(s->c) * s->form->pieces * 2;
  for (int t = 0; t < LP_TILES_MOST_TAPS; t++) {
    s->down[t] /= less;
    s->across[t] /= less;
  }
}

static void run(Job *j, bool few, int64_t threads) {
  const int64_t blocks = j->k_blocks * j->c_blocks;
  if (few) {
    lp_parallel_for(threads, 1, sum_parts, j);
    if (!atomic_load(&j->failed) && !atomic_load(&j->refused))
      lp_parallel_for(blocks, LP_GRAIN / (j->block_floats * j->parts) + 1, add_parts, j);
  } else {
    lp_parallel_for(j->strips * PIECES, threads > 1 ? 1 : j->strips * PIECES, pack_strips,
                    j);
    if (!atomic_load(&j->refused)) lp_parallel_for(threads, 1, make_blocks, j);
  }
}

static int64_t parts_of(int64_t strips, size_t sum_bytes) {
  int64_t parts = SUM_BYTES / (int64_t)sum_bytes;
  if (parts < LEAST_PARTS) parts = LEAST_PARTS;
  if (parts > MOST_PARTS) parts = MOST_PARTS;
  return parts < strips ? parts : strips;
}

bool lp_tiles_weight_grad(const LpConvGeometry *g, const LpTilesForm *form, const void *x,
                          const void *y, LpTilesResult to, bool *refused) {
  Job j = {.to = to};
  LpTilesSweep *s = &j.s;
  lp_tiles_forward(s, g, form);
  s->x = x;
  s->y = (char *)y;
  j.c_blocks = lp_tiles_depth(s->c);
  j.k_blocks = lp_tiles_depth(s->k);
  const int64_t blocks = j.k_blocks * j.c_blocks;
  j.block_floats = s->kernel_taps * LP_TILES_SUM_FLOATS;
  const size_t sum_bytes = (size_t)(blocks * j.block_floats) * sizeof(float);
  const bool few = sum_bytes <= FEW_BYTES;
  const int64_t tiles = form->pieces * LP_TILES_BYTES;
  lp_tiles_cut(s, (few ? j.c_blocks : 1) * tiles, (few ? j.k_blocks : 1) * tiles, BUDGET,
               2);
  set_offsets(s);
  j.strips = lp_tiles_strips(s);
  j.x_bytes = 2 * j.c_blocks * lp_tiles_x_panel(s);
  j.strip_bytes = j.x_bytes + 2 * j.k_blocks * lp_tiles_y_panel(s);
  j.parts = parts_of(j.strips, sum_bytes);
  const size_t bytes =
      few ? (size_t)j.parts * sum_bytes : (size_t)(j.strips * j.strip_bytes);
  size_t capacity;
  char *memory = lp_block_alloc(bytes, &capacity);
  TRY(memory);
  if (few)
    j.sums = (float *)memory;
  else
    j.packed = memory;
  const int64_t work = s->n * s->h.out * s->w.out * s->k * s->c * s->kernel_taps;
  int64_t threads = lp_parallel_threads(work, THREAD_GRAIN);
  if (few && threads > j.parts) threads = j.parts;
  run(&j, few, threads);
  lp_block_free(memory, capacity);
  *refused = atomic_load(&j.refused);
  CHECK(!atomic_load(&j.failed), LP_ERR_MEMORY, "out of memory in a convolution");
  return !*refused;
}
