/* Sorting by keys: every dtype's elements are mapped to unsigned integers whose order is theirs
 * (NaN above all, -0 equal to 0), so one sort serves all. Ties are broken by position, so that every
 * sort and selection is stable and has one answer. Must not include dispatch or autograd headers. */
#ifndef LP_CPU_SORT_H
#define LP_CPU_SORT_H

#include "cpu/caps.h"
#include "lampad/base.h"

typedef struct LpPair {
  uint64_t key;
  int64_t at; /* position in the row */
} LpPair;

#define LP_KEY_NAN UINT64_MAX

typedef struct LpSortKernels {
  /* The keys of n elements, step bytes apart, exclusive-or `flip`. */
  void (*keys[LP_DTYPE_COUNT])(uint64_t *keys, const char *src, int64_t step, int64_t n, uint64_t flip);
  /* Adds how many keys lie below `low`, and how many are NaN's. */
  void (*tally)(const uint64_t *keys, int64_t n, uint64_t low, int64_t *below, int64_t *nans);
  /* For each of LP_SORT_RANKED keys, how many of the first n are smaller. */
  void (*ranks)(const int32_t *keys, int64_t n, int32_t *ranks);
  /* Of each of LP_SORT_ROWS rows of n keys, n up to LP_SORT_SHORT: to which place it goes. Element i of row r is at
   * [i * LP_SORT_ROWS + r]. */
  void (*row_ranks)(const uint64_t *keys, int64_t n, uint8_t *ranks);
} LpSortKernels;

#define LP_SORT_RANKED 64
#define LP_SORT_ROWS 64
#define LP_SORT_SHORT 16

LP_DISPATCH(LpSortKernels, lp_sort_kernels)

/* n elements of a real dtype, step bytes apart; descending: keys in the opposite order. */
void lp_sort_load(LpPair *pairs, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending);
/* The keys alone. */
void lp_sort_keys(uint64_t *keys, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending);
/* Sorts by key, stably (pairs stand in order of `at`); tmp holds n pairs. */
void lp_sort_pairs(LpPair *pairs, LpPair *tmp, int64_t n);
/* Moves the k smallest pairs, by (key, at), to the front in no particular order, the k-th to [k - 1]. */
void lp_select_pairs(LpPair *pairs, int64_t n, int64_t k);
/* Where the k-th (from 1 on) of n elements in rising order stands, and how many are NaN. scratch holds
 * lp_select_scratch(n) bytes. */
int64_t lp_select_place(const char *src, int64_t step, LpDtype dtype, int64_t n, int64_t k, int64_t *nans,
                        void *scratch);
size_t lp_select_scratch(int64_t n);

#endif
