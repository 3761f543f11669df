/* The forward and backward recursions of ctc_loss over one sequence, in double. */
#ifndef LP_NN_CPU_CTC_H
#define LP_NN_CPU_CTC_H

#include <stdint.h>

/* log_probs[t * step + c] for t < length, c < classes; labels[n_labels]. States are the
 * labels with blanks before, between and after: 2 * n_labels + 1 of them. */
typedef struct LpCtcSequence {
  const double *log_probs;
  int64_t step, length, classes;
  const int64_t *labels;
  int64_t n_labels, blank;
} LpCtcSequence;

/* Fills alpha (length, states): the log of the sum over all paths that end in a state;
 * gives minus the log likelihood. */
double lp_ctc_forward(const LpCtcSequence *s, double *alpha);
/* The same from a filled alpha. */
double lp_ctc_value(const LpCtcSequence *s, const double *alpha);

/* grad (length rows of `step`, zeroed before) = scale * d loss / d log_probs. work: room
 * for 2 * states + classes numbers. */
void lp_ctc_backward(const LpCtcSequence *s, const double *alpha, double scale,
                     double *work, double *grad);

#endif
