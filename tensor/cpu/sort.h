/* Sorting by keys: every dtype's elements are mapped to unsigned integers whose order is theirs
 * (NaN above all, -0 equal to 0), so one sort serves all. Ties are broken by position, so that every
 * sort and selection is stable and has one answer. Must not include dispatch or autograd headers. */
#ifndef LP_CPU_SORT_H
#define LP_CPU_SORT_H

#include "lampad/base.h"

typedef struct LpPair {
  uint64_t key;
  int64_t at; /* position in the row */
} LpPair;

#define LP_KEY_NAN UINT64_MAX

/* n elements of a real dtype, step bytes apart; descending: keys in the opposite order. */
void lp_sort_load(LpPair *pairs, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending);
/* The keys alone. */
void lp_sort_keys(uint64_t *keys, const char *src, int64_t step, LpDtype dtype, int64_t n, bool descending);
/* Sorts by key, stably (pairs stand in order of `at`); tmp holds n pairs. */
void lp_sort_pairs(LpPair *pairs, LpPair *tmp, int64_t n);
/* Moves the k smallest pairs, by (key, at), to the front in no particular order, the k-th to [k - 1]. */
void lp_select_pairs(LpPair *pairs, int64_t n, int64_t k);

#endif
