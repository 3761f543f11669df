/* See conv_pairs.h. */
#include "cpu/conv_pairs.h"

#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/caps.h"
#include "cpu/gemm_split.h"

#define ROWS LP_PAIRS_ROWS
#define COLUMNS LP_PAIRS_COLUMNS
/* Pairs of a chunk: so many of a panel of columns stay in the first cache. */
#define CHUNK_PAIRS 128
/* Pairs of a panel of rows; a line more, so that panels are not all in the same lines of
 * a cache. */
#define PANEL (ROWS * CHUNK_PAIRS + 16)
/* Of a block, at most: a chunk of both factors stays in the second cache. */
#define BLOCK_ROWS 512
#define BLOCK_COLUMNS 256

/* Groups of results have sums of their own where those of all are few: threads then read
 * other parts of x and y. */
#define MOST_GROUPS 8
#define GROUP_FLOATS (512 * 1024)
#define LEAST_RESULTS 512

/* Results whose numbers are asked for before they are laid. */
#define AHEAD 8

/* A convolution in order depth, height, width; missing dims have size and kernel 1. */
typedef struct Sweep {
  int64_t c, k, in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  int64_t taps, depth;   /* numbers of a kernel: of a channel, in all */
  int64_t run_taps, run; /* taps that lie side by side in x; their numbers */
  int64_t results;       /* of an output channel */
  int64_t pitch;         /* from a row of the sums to the next */
  const uint16_t *x, *y;
} Sweep;

static Sweep sweep_of(const LpConvGeometry *g, const LpConvCall *c) {
  Sweep s = {.c = g->c, .k = g->k, .x = c->x, .y = c->y};
  lp_conv_widen(g, s.in, s.out, s.kernel, s.stride, s.padding, s.dilation);
  s.taps = lp_conv_volume(s.kernel, 3);
  s.depth = s.taps * s.c;
  s.run_taps = s.dilation[2] == 1 ? s.kernel[2] : 1;
  s.run = s.run_taps * s.c;
  s.results = g->n * lp_conv_volume(s.out, 3);
  s.pitch = lp_ratio_up(s.depth, COLUMNS) * COLUMNS;
  return s;
}

/* --- windows
 * ------------------------------------------------------------------------------------ */

/* Of a result's window: its first pixel, which may be outside; the place of that in x; is
 * all of the window inside, but for its columns? */
typedef struct Place {
  int64_t image, at[3], x;
  bool rows;
} Place;

static bool is_inside(const Sweep *s, const Place *p, int d) {
  return p->at[d] >= 0 && p->at[d] + (s->kernel[d] - 1) * s->dilation[d] < s->in[d];
}

static bool is_whole(const Sweep *s, const Place *p) {
  return p->rows && is_inside(s, p, 2);
}

static Place place_of(const Sweep *s, int64_t result) {
  Place p;
  for (int d = 2; d >= 0; d--) {
    p.at[d] = result % s->out[d] * s->stride[d] - s->padding[d];
    result /= s->out[d];
  }
  p.image = result;
  p.x =
      (((p.image * s->in[0] + p.at[0]) * s->in[1] + p.at[1]) * s->in[2] + p.at[2]) * s->c;
  p.rows = is_inside(s, &p, 0) && is_inside(s, &p, 1);
  return p;
}

/* Of `count` results from one on. */
static void set_places(const Sweep *s, int64_t first, int64_t count, Place *p) {
  *p = place_of(s, first);
  for (int64_t i = 1; i < count; i++, p++) {
    const int64_t w = p->at[2] + s->stride[2];
    if (w >= s->out[2] * s->stride[2] - s->padding[2]) {
      p[1] = place_of(s, first + i);
      continue;
    }
    p[1].image = p->image;
    p[1].at[0] = p->at[0];
    p[1].at[1] = p->at[1];
    p[1].at[2] = w;
    p[1].x = p->x + s->stride[2] * s->c;
    p[1].rows = p->rows;
  }
}

/* Numbers [begin, end) of a run of windows, which begins `tap` pixels after them. */
typedef struct Part {
  int64_t tap[3], begin, end;
} Part;

static Part part_of(const Sweep *s, int64_t run, int64_t begin, int64_t end) {
  const int64_t across = s->kernel[2] / s->run_taps, start = run * s->run;
  return (Part){.tap = {run / across / s->kernel[1] * s->dilation[0],
                        run / across % s->kernel[1] * s->dilation[1],
                        run % across * s->dilation[2]},
                .begin = begin > start ? begin - start : 0,
                .end = lp_least(end - start, s->run)};
}

static LpPairsRun run_of(const Sweep *s, const Part *p) {
  const int64_t pixels = (p->tap[0] * s->in[1] + p->tap[1]) * s->in[2] + p->tap[2];
  return (LpPairsRun){pixels * s->c + p->begin, p->end - p->begin};
}

/* A part of a window to `memory`, zeros where there is no x. */
static void lay_edge(const Sweep *s, const Place *p, const Part *part, uint16_t *memory) {
  const int64_t d = p->at[0] + part->tap[0], h = p->at[1] + part->tap[1],
                w = p->at[2] + part->tap[2];
  memset(memory, 0, (size_t)(part->end - part->begin) * sizeof *memory);
  if (d < 0 || d >= s->in[0] || h < 0 || h >= s->in[1]) return;
  const int64_t first = -w * s->c, last = (s->in[2] - w) * s->c,
                from = first > part->begin ? first : part->begin,
                until = lp_least(last, part->end);
  if (from < until)
    memcpy(memory + from - part->begin,
           s->x + (p->x + run_of(s, part).at + from - part->begin),
           (size_t)(until - from) * sizeof *memory);
}

/* --- chunks
 * ------------------------------------------------------------------------------------ */

/* Memory of a thread. */
typedef struct Chunk {
  uint32_t a[BLOCK_ROWS / ROWS * PANEL], b[CHUNK_PAIRS * (BLOCK_COLUMNS + 16) + 32];
  int64_t pitch;                    /* of rows of b: odd in lines of a cache */
  uint16_t edges[2][BLOCK_COLUMNS]; /* parts that are not all in x */
  Place places[2 * CHUNK_PAIRS];
  Part parts[BLOCK_COLUMNS];      /* of the windows */
  LpPairsRun runs[BLOCK_COLUMNS]; /* where they lie */
  int64_t n_parts;
} Chunk;

/* Of the gradient: rows and columns, from which results. */
typedef struct Block {
  int64_t row, rows, column, columns, first, last;
  float *sums;
} Block;

static void lay_results(const Sweep *s, const Block *b, int64_t at, int64_t count,
                        Chunk *chunk) {
  const int64_t rows = lp_least(b->rows, s->k - b->row);
  for (int64_t i = 0; i < count; i += 2) {
    const uint16_t *y = s->y + (at + i) * s->k + b->row;
    lp_pairs_lay_panels(y, i + 1 < count ? y + s->k : NULL, rows, AHEAD * s->k,
                        chunk->a + i / 2 * ROWS, PANEL);
  }
}

static void set_parts(const Sweep *s, int64_t begin, int64_t end, Chunk *chunk) {
  int64_t n = 0;
  for (int64_t run = begin / s->run; run * s->run < end; run++, n++) {
    chunk->parts[n] = part_of(s, run, begin, end);
    chunk->runs[n] = run_of(s, &chunk->parts[n]);
  }
  chunk->n_parts = n;
}

/* Of two results, or one. */
static void lay_pair(const Sweep *s, const Place *p, bool both, Chunk *chunk,
                     uint32_t *to) {
  if (is_whole(s, &p[0]) && (!both || is_whole(s, &p[1]))) {
    lp_pairs_lay(s->x + p[0].x, both ? s->x + p[1].x : NULL, chunk->runs, chunk->n_parts,
                 AHEAD * s->stride[2] * s->c, to);
    return;
  }
  for (int64_t i = 0; i < chunk->n_parts; i++) {
    const LpPairsRun run = {0, chunk->runs[i].count};
    for (int j = 0; j < 1 + both; j++)
      lay_edge(s, &p[j], &chunk->parts[i], chunk->edges[j]);
    lp_pairs_lay(chunk->edges[0], both ? chunk->edges[1] : NULL, &run, 1, 0, to);
    to += run.count;
  }
}

static void lay_windows(const Sweep *s, int64_t count, Chunk *chunk) {
  for (int64_t i = 0; i < count; i += 2)
    lay_pair(s, chunk->places + i, i + 1 < count, chunk, chunk->b + i / 2 * chunk->pitch);
}

static void make_block(const Sweep *s, const Block *b, Chunk *chunk) {
  const int64_t end = b->column + b->columns, pairs = lp_ratio_up(b->last - b->first, 2),
                even = 2 * lp_ratio_up(pairs, lp_ratio_up(pairs, CHUNK_PAIRS));
  for (int64_t at = b->first; at < b->last; at += even) {
    const int64_t count = lp_least(even, b->last - at);
    lay_results(s, b, at, count, chunk);
    set_places(s, at, count, chunk->places);
    for (int64_t column = b->column; column < end; column += BLOCK_COLUMNS) {
      const int64_t some = lp_least(BLOCK_COLUMNS, end - column);
      chunk->pitch = some + 16;
      set_parts(s, column, lp_least(column + some, s->depth), chunk);
      lay_windows(s, count, chunk);
      for (int64_t j = 0; j < some; j += COLUMNS)
        lp_pairs_multiply(lp_ratio_up(count, 2), lp_ratio_up(b->rows, ROWS), chunk->a,
                          PANEL, chunk->b + j, chunk->pitch,
                          b->sums + b->row * s->pitch + column + j, s->pitch,
                          at == b->first);
    }
  }
}

/* --- blocks
 * ------------------------------------------------------------------------------------ */

typedef struct Job {
  Sweep s;
  int64_t groups, rows, columns; /* blocks: groups of results, and along both sides */
  float *sums;                   /* of each group (k, rounded up, taps, c) */
  LpDtype dtype;                 /* of the gradient */
  void *w;
  _Atomic bool failed;
} Job;

static int64_t panels_of(const Sweep *s) {
  return s->pitch / COLUMNS;
}

static int64_t sums_of(const Sweep *s) {
  return lp_ratio_up(s->k, ROWS) * ROWS * s->pitch;
}

/* Groups where their sums are few, and as many blocks as there are threads. */
static void set_blocks(Job *j) {
  const Sweep *s = &j->s;
  j->groups = 1;
  while (j->groups < MOST_GROUPS && 2 * j->groups * sums_of(s) <= GROUP_FLOATS &&
         2 * j->groups * LEAST_RESULTS <= s->results)
    j->groups *= 2;
  j->rows = lp_ratio_up(s->k, BLOCK_ROWS);
  const int64_t most = panels_of(s), blocks = j->groups * j->rows,
                threads = lp_parallel_threads(blocks * most, 1);
  j->columns = lp_least(lp_ratio_up(threads, blocks), most);
}

static int64_t border(int64_t count, int64_t i, int64_t parts) {
  return count * i / parts;
}

static Block block_of(const Job *j, int64_t i) {
  const Sweep *s = &j->s;
  const int64_t x = i % j->columns, y = i / j->columns % j->rows,
                group = i / j->columns / j->rows, rows = lp_ratio_up(s->k, ROWS);
  Block b = {.row = border(rows, y, j->rows) * ROWS,
             .column = border(panels_of(s), x, j->columns) * COLUMNS,
             .first = border(s->results, group, j->groups),
             .last = border(s->results, group + 1, j->groups),
             .sums = j->sums + group * sums_of(s)};
  b.rows = border(rows, y + 1, j->rows) * ROWS - b.row;
  b.columns = border(panels_of(s), x + 1, j->columns) * COLUMNS - b.column;
  return b;
}

static void make_blocks(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  size_t capacity;
  Chunk *chunk = lp_block_alloc(sizeof *chunk, &capacity);
  if (!chunk) {
    atomic_store(&j->failed, true);
    return;
  }
  for (int64_t i = begin; i < end; i++) {
    const Block b = block_of(j, i);
    make_block(&j->s, &b, chunk);
  }
  lp_block_free(chunk, capacity);
}

/* Rows of the gradient, from the sums of all groups. */
static void finish(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  const Sweep *s = &j->s;
  const int64_t row_bytes = s->depth * (int64_t)lp_dtype_size(j->dtype);
  for (int64_t k = begin; k < end; k++) {
    float *row = j->sums + k * s->pitch;
    for (int64_t group = 1; group < j->groups; group++)
      for (int64_t i = 0; i < s->depth; i++) row[i] += row[group * sums_of(s) + i];
    lp_pairs_finish(row, s->taps, s->c, j->dtype == LP_BFLOAT16,
                    (char *)j->w + k * row_bytes);
  }
}

bool lp_conv_pairs(const LpConvCall *c, const LpConvGeometry *g) {
  Job j = {.s = sweep_of(g, c), .dtype = c->weight_dtype, .w = c->w};
  set_blocks(&j);
  size_t capacity;
  j.sums = lp_block_alloc((size_t)(j.groups * sums_of(&j.s)) * sizeof *j.sums, &capacity);
  TRY(j.sums);
  lp_parallel_for(j.groups * j.rows * j.columns, 1, make_blocks, &j);
  const bool ok = !atomic_load(&j.failed);
  if (ok) lp_parallel_for(j.s.k, LP_GRAIN / (j.s.depth * j.groups) + 1, finish, &j);
  lp_block_free(j.sums, capacity);
  CHECK(ok, LP_ERR_MEMORY, "out of memory in a convolution");
  return true;
}

bool lp_conv_pairs_supported(void) {
  return lp_cpu_multiplies_bf16() && !lp_split_supported();
}

/* Numbers of x or y that are laid, a vector of each, take about as long as so many
 * products of vectors. */
#define LEAST_PRODUCTS 48

/* Kernels with steps of 1 read the same x for many results: that is what the library's
 * make use of, where there are no gaps. */
bool lp_conv_pairs_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype) {
  if (dtype != LP_BFLOAT16 || pass != LP_CONV_WEIGHT_GRAD || g->groups != 1 ||
      !lp_conv_pairs_supported())
    return false;
  const int64_t depth = g->c * lp_conv_volume(g->kernel, g->ndim);
  bool shares = false;
  for (int d = 0; d < g->ndim; d++)
    shares |= g->kernel[d] > 1 && g->stride[d] == 1 && g->dilation[d] == 1;
  return !shares && depth * g->k >= LEAST_PRODUCTS * (depth + g->k);
}
