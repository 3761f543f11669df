/* Moves of elements from one strided memory to another, many rows for each call of the
 * kernel (cpu/copy.h): what copies, joins and turns have in common. */
#ifndef LP_DISPATCH_ROWS_H
#define LP_DISPATCH_ROWS_H

#include "dispatch/iter.h"

/* A walk over dims, innermost first: dim 0 is a row. Steps are in bytes. */
typedef struct LpMove {
  int ndim; /* at least 2 */
  int64_t size;
  const int64_t *shape, *to, *from; /* to NULL: row behind row */
} LpMove;

/* Moves `rows` rows from number `first` on, with the first one's elements written to `to`
 * where the rows follow each other; else both pointers are of the walk's beginning. */
void lp_move_rows(const LpMove *m, char *to, const char *from, int64_t first,
                  int64_t rows);
/* Rows that are worth a call each are better cut between threads than counted. */
#define LP_SHORT_ROW_BYTES 8192
/* Moves all, in parallel; false when interrupted. */
bool lp_move_all(const LpMove *m, char *to, const char *from);

#endif
