/* Checks used all over the engine. CHECK for user mistakes, ASSERT for ours. */
#ifndef LP_CORE_CHECK_H
#define LP_CORE_CHECK_H

#include <assert.h>
#include "lampad/base.h"

#define LP_LIKELY(x) __builtin_expect(!!(x), 1)
#define LP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* For functions that are called seldom: kept out of the way of the others. */
#define LP_COLD __attribute__((cold, noinline))

/* Returns NULL/false from the enclosing function with the error recorded unless cond holds. */
#define CHECK(cond, code, ...)            \
  do {                                    \
    if (LP_UNLIKELY(!(cond))) {           \
      lp_fail((code), __VA_ARGS__);       \
      return 0;                           \
    }                                     \
  } while (0)

/* Returns NULL/false when the call failed (it has recorded the error). */
#define TRY(call)                         \
  do {                                    \
    if (LP_UNLIKELY(!(call))) return 0;   \
  } while (0)

#define ASSERT(cond) assert(cond)

#endif
