/* The forward and backward recursions of ctc_loss over one sequence, in double. */
#ifndef LP_NN_CPU_CTC_H
#define LP_NN_CPU_CTC_H

#include <stddef.h>
#include <stdint.h>
#include "cpu/caps.h"

/* log_probs[t * step + c] for t < length, c < classes; labels[n_labels]. States are the
 * labels with blanks before, between and after: 2 * n_labels + 1 of them. */
typedef struct LpCtcSequence {
  const double *log_probs;
  int64_t step, length, classes;
  const int64_t *labels;
  int64_t n_labels, blank;
} LpCtcSequence;

/* What both directions need to work in. */
static inline size_t lp_ctc_work_bytes(int64_t states, int64_t classes) {
  return (size_t)(4 * (states + 2) + classes) * sizeof(double);
}

typedef struct LpCtcKernels {
  /* Fills alpha (length, states): the log of the sum over all paths that end in a state;
   * gives minus the log likelihood. */
  double (*forward)(const LpCtcSequence *s, double *work, double *alpha);
  /* The same from a filled alpha. */
  double (*value)(const LpCtcSequence *s, const double *alpha);
  /* grad (length rows of `step`, zeroed before) = scale * d loss / d log_probs. */
  void (*backward)(const LpCtcSequence *s, const double *alpha, double scale,
                   double *work, double *grad);
} LpCtcKernels;

LP_DISPATCH(LpCtcKernels, lp_ctc_kernels)

#endif
