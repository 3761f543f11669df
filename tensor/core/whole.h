/* Arithmetic of counts: none negative. */
#ifndef LP_CORE_WHOLE_H
#define LP_CORE_WHOLE_H

#include <stdint.h>

static inline int64_t lp_least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* a / b, rounded up; b above 0. */
static inline int64_t lp_ratio_up(int64_t a, int64_t b) {
  return a / b + (a % b != 0);
}

#endif
