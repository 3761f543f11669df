/* How reductions read a tensor: dims as they are walked, tiles of results, and elements
 * brought to a kernel's compute type. Used by dispatch/reduce.c and dispatch/reduce_arg.c
 * alone. */
#ifndef LP_DISPATCH_REDUCE_SOURCE_H
#define LP_DISPATCH_REDUCE_SOURCE_H

#include "cpu/copy.h"
#include "dispatch/reduce.h"

#define LP_REDUCE_CHUNKS 16
#define LP_REDUCE_CHUNK_ELEMS 65536
/* Loaded elements of one task; their source has room in the cache beside them. */
#define LP_REDUCE_BUFFER 16384
/* Most rows that are turned, to results side by side, at a time. */
#define LP_REDUCE_TURNED 256

typedef struct LpReduceDim {
  int64_t size, stride, out_stride; /* strides in elements */
} LpReduceDim;

/* How elements become those of a kernel's compute type. */
typedef struct LpReduceSource {
  LpLoad load;
  LpTransposeTile transpose; /* of elements as they are, where it is fast; NULL */
  bool native;               /* elements of unit stride are read in place */
  int elem_bytes, compute_bytes;
  int64_t
      short_row; /* rows up to this length are turned into columns, many side by side */
} LpReduceSource;

LpReduceSource lp_reduce_source(LpCompute compute, LpDtype dtype);

/* Elements that a buffer holds before and after they are loaded. */
int64_t lp_reduce_room(const LpReduceSource *from);

/* How many rows of n are turned at a time: whole vectors, and an odd number of them lest
 * the columns' starts crowd in few of the cache's sets. */
int64_t lp_reduce_turned_tile(const LpReduceSource *from, int64_t n);

/* Brings `rows` rows of w elements, `step` apart, into one block; the rows are ld apart.
 * Columns along memory are turned at once, but for few that are loaded anyway. */
void lp_reduce_load_rows(const LpReduceSource *from, char *to, const char *src,
                         int64_t rows, int64_t ld, int64_t step, int64_t w);

/* The same of `lines` lines, side by side: rows of lines * line->size elements. */
void lp_reduce_load_lines(const LpReduceSource *from, char *to, const char *src,
                          const LpReduceDim *line, int64_t rows, int64_t ld,
                          int64_t lines);

int lp_reduce_join_dims(LpReduceDim *dims, int n);

/* Narrow lines down which one dim is reduced make a wide one, if their results are
 * neighbours: as many as let `rows` rows into a buffer and make at most `most` results,
 * and tasks enough for the threads. */
int64_t lp_reduce_lines_per_tile(const LpReduceSource *from, const LpReduceDim *keep,
                                 int n_keep, int64_t n_out, int64_t rows, int64_t most,
                                 int64_t narrow_bytes);

/* Unit u of the results, tiles along the last dim kept or of some of its lines: where it
 * starts, and how many results it holds. */
int64_t lp_reduce_locate(const LpReduceDim *keep, int n_keep, int64_t tile, int64_t lines,
                         int64_t u, int64_t *src, int64_t *dst);

#endif
