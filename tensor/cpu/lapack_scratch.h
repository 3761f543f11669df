/* What the files that call LAPACK share: the table index of a dtype, workspace sizes and
 * scratch memory. Included by the files lapack*.c only. */
#ifndef LP_CPU_LAPACK_SCRATCH_H
#define LP_CPU_LAPACK_SCRATCH_H

#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/lapack.h"

static inline int kind_of(LpDtype dtype) {
  lp_num_threads(); /* OpenMP's count is set before LAPACK asks for it */
  return dtype == LP_FLOAT32     ? 0
         : dtype == LP_FLOAT64   ? 1
         : dtype == LP_COMPLEX64 ? 2
                                 : 3;
}

static inline int at_least_1(int n) {
  return n > 1 ? n : 1;
}
static inline int smaller(int a, int b) {
  return a < b ? a : b;
}
static inline int larger(int a, int b) {
  return a > b ? a : b;
}

/* The workspace size that a query left in work[0]. */
static inline int queried(LpDtype dtype, const void *work) {
  double n = dtype == LP_FLOAT64 || dtype == LP_COMPLEX128 ? *(const double *)work
                                                           : *(const float *)work;
  return at_least_1(
      (int)(n * 1.0000005 + 1)); /* a float may have rounded a large size down */
}

/* Up to three blocks of scratch memory. */
typedef struct Scratch {
  void *data[3];
  size_t capacity[3];
} Scratch;

static inline bool scratch_add(Scratch *s, int i, size_t count, size_t item) {
  s->data[i] = lp_block_alloc((count ? count : 1) * item, &s->capacity[i]);
  return s->data[i] != NULL;
}

static inline int scratch_drop(Scratch *s, int info) {
  for (int i = 0; i < 3; i++)
    if (s->data[i]) lp_block_free(s->data[i], s->capacity[i]);
  return info;
}

#endif
