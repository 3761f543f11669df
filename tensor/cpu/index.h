/* The kernels of indexing, and the walk over blocks that they share. A kernel moves or combines n
 * elements between an indexed tensor t and a plain one v:
 *
 *   t at  t + j * t_step + (idx ? idx[j * idx_step] * scale : 0)     v at  v + j * v_step     (bytes)
 *
 * idx_step counts elements. Elements of t may be named twice; they are taken in order. Indices are
 * checked before. Must not include dispatch or autograd headers. */
#ifndef LP_CPU_INDEX_H
#define LP_CPU_INDEX_H

#include "cpu/caps.h"
#include "lampad/base.h"

typedef struct LpIndexRow {
  char *t;
  int64_t t_step;
  const int64_t *idx; /* NULL: none */
  int64_t idx_step, scale;
  char *v;
  int64_t v_step, n;
} LpIndexRow;
typedef void (*LpIndexKernel)(const LpIndexRow *row);

/* n blocks of `bytes` bytes, in order: block i to to + (to_at ? to_at[i] : i) * to_step, and likewise from. The two
 * memories lie apart. */
typedef struct LpIndexMoves {
  char *to;
  const char *from;
  const int64_t *to_at, *from_at;
  int64_t to_step, from_step, bytes, n;
} LpIndexMoves;

typedef struct LpIndexTable {
  /* Whether 0 <= idx[j * step] < size for all j < n. */
  bool (*in_range)(const int64_t *idx, int64_t step, int64_t n, int64_t size);
  /* offsets[j] += scale * (idx[j] < 0 ? idx[j] + size : idx[j]) for all j < n; whether each of these
   * lies in [0, size). */
  bool (*add_offsets)(int64_t *offsets, const int64_t *idx, int64_t n, int64_t size, int64_t scale);
  /* places[j] = from[j] + scale * idx[j] for all j < n; whether 0 <= idx[j] < size. */
  bool (*place)(int64_t *places, const int64_t *from, const int64_t *idx, int64_t n, int64_t size, int64_t scale);
  /* The offsets that lie in [low, low + span), in their order, and first + j, their places. Both arrays
   * hold n entries; the count is returned. */
  int64_t (*within)(const int64_t *offsets, int64_t n, int64_t low, int64_t span, int64_t first,
                    int64_t *chosen, int64_t *places);
  /* How many of n bytes are not 0; and their places, first + j, in an array of n + 7 entries. */
  int64_t (*count_true)(const uint8_t *truth, int64_t n);
  int64_t (*true_places)(const uint8_t *truth, int64_t n, int64_t first, int64_t *places);
  /* rests[j * step] = places[j] % size, and places[j] /= size; places in [0, 2^52), size > 0. */
  void (*split_places)(int64_t *places, int64_t n, int64_t size, int64_t *rests, int64_t step);
  void (*move)(const LpIndexMoves *moves);
  LpIndexKernel get[5], put[5]; /* v = t, t = v; by log2 of the element's bytes */
  LpIndexKernel add[LP_DTYPE_COUNT], mul[LP_DTYPE_COUNT]; /* t += v, t *= v */
  LpIndexKernel max[LP_DTYPE_COUNT], min[LP_DTYPE_COUNT]; /* NaN wins; none for complex */
} LpIndexTable;

LP_DISPATCH(LpIndexTable, lp_index_table)

/* log2 of an element's bytes. */
static inline int lp_size_class(int64_t elem_bytes) {
  return elem_bytes == 1 ? 0 : elem_bytes == 2 ? 1 : elem_bytes == 4 ? 2 : elem_bytes == 8 ? 3 : 4;
}

typedef struct LpIndexDim {
  int64_t size, t_stride, v_stride; /* bytes */
} LpIndexDim;

/* Blocks of t named by offsets, for every position of the dims before:
 *   v[before][k][after] <-> t[before] + offsets[k] * scale + t[after] */
typedef struct LpIndexBlocks {
  LpIndexKernel kernel;
  int64_t elem_bytes;
  bool ordered; /* t is written: blocks named twice are taken in the order of k */
  char *t, *v;
  int n_before, n_after;
  LpIndexDim before[LP_MAX_DIMS], after[LP_MAX_DIMS]; /* outermost first */
  int64_t k, v_k_stride;
  const int64_t *offsets;
  int64_t scale; /* bytes: of bytes, 1; of places along a dim, its stride */
} LpIndexBlocks;

/* Runs the kernel over all blocks, in parallel; false when interrupted, with the error recorded. */
bool lp_index_blocks_run(LpIndexBlocks *b);

#endif
