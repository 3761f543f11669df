/* Rows along one dim of tensors that agree in all others: the walk under running sums, sorting
 * and searching. Owned by scan.c. */
#ifndef LP_DISPATCH_SCAN_H
#define LP_DISPATCH_SCAN_H

#include "core/tensor.h"

#define LP_ROWS_MAX 4

typedef struct LpRows {
  int n_tensors, n_outer;
  int64_t n_rows;
  int64_t sizes[LP_MAX_DIMS]; /* of the dims beside dim */
  char *base[LP_ROWS_MAX];
  int64_t strides[LP_ROWS_MAX][LP_MAX_DIMS]; /* bytes */
  int64_t n[LP_ROWS_MAX];    /* length along dim, of each tensor */
  int64_t step[LP_ROWS_MAX]; /* bytes along dim */
} LpRows;

/* dim is wrapped; a 0-d tensor is one row of one element. */
void lp_rows_init(LpRows *rows, int64_t dim, LpTensor *const *tensors, int n_tensors);
/* Where row i stands in each tensor. How many rows from it on are strides[..][n_outer - 1] apart. */
int64_t lp_rows_find(const LpRows *rows, int64_t i, char **ptrs);
/* body(ctx, rows, ptrs, scratch) for each row, in parallel; work_elems is the cost of a row. scratch_bytes of
 * memory serve a thread's rows. False when interrupted or out of memory, with the error recorded. */
bool lp_rows_run(const LpRows *rows, int64_t work_elems, size_t scratch_bytes,
                 void (*body)(void *ctx, const LpRows *rows, char *const *ptrs, void *scratch), void *ctx);

#endif
