/* See ctc.h. */
#include <math.h>
#include <stdbool.h>
#include "cpu/ctc.h"

static int64_t label(const LpCtcSequence *s, int64_t state) {
  return state & 1 ? s->labels[state >> 1] : s->blank;
}

/* May a path jump from state - 2 to state? Only between different labels. */
static bool jumps(const LpCtcSequence *s, int64_t state) {
  return (state & 1) && state >= 3 &&
         s->labels[state >> 1] != s->labels[(state >> 1) - 1];
}

static double log_sum(double a, double b, double c) {
  if (a != a || b != b || c != c) return NAN;
  double m = fmax(a, fmax(b, c));
  if (m == -INFINITY) return m;
  return m + log(exp(a - m) + exp(b - m) + exp(c - m));
}

double lp_ctc_value(const LpCtcSequence *s, const double *alpha) {
  int64_t states = 2 * s->n_labels + 1;
  if (s->length == 0) return s->n_labels == 0 ? 0 : INFINITY;
  const double *end = alpha + (s->length - 1) * states;
  return -log_sum(end[states - 1], states > 1 ? end[states - 2] : -INFINITY, -INFINITY);
}

double lp_ctc_forward(const LpCtcSequence *s, double *alpha) {
  int64_t states = 2 * s->n_labels + 1;
  for (int64_t i = 0; i < states; i++)
    if (s->length > 0) alpha[i] = i < 2 ? s->log_probs[label(s, i)] : -INFINITY;
  for (int64_t t = 1; t < s->length; t++) {
    const double *before = alpha + (t - 1) * states;
    double *now = alpha + t * states;
    for (int64_t i = 0; i < states; i++)
      now[i] = log_sum(before[i], i > 0 ? before[i - 1] : -INFINITY,
                       jumps(s, i) ? before[i - 2] : -INFINITY) +
               s->log_probs[t * s->step + label(s, i)];
  }
  return lp_ctc_value(s, alpha);
}

void lp_ctc_backward(const LpCtcSequence *s, const double *alpha, double scale,
                     double *work, double *grad) {
  int64_t states = 2 * s->n_labels + 1;
  double loss = lp_ctc_value(s, alpha);
  double *beta = work, *later = work + states, *by_class = work + 2 * states;
  for (int64_t t = s->length - 1; t >= 0; t--) {
    const double *lp = s->log_probs + t * s->step, *a = alpha + t * states;
    for (int64_t i = 0; i < states; i++) {
      double arrived;
      if (t == s->length - 1)
        arrived = i >= states - 2 ? 0 : -INFINITY;
      else
        arrived = log_sum(later[i], i + 1 < states ? later[i + 1] : -INFINITY,
                          i + 2 < states && jumps(s, i + 2) ? later[i + 2] : -INFINITY);
      beta[i] = arrived + lp[label(s, i)];
    }
    for (int64_t c = 0; c < s->classes; c++) by_class[c] = -INFINITY;
    for (int64_t i = 0; i < states; i++) {
      double *sum = by_class + label(s, i);
      *sum = log_sum(*sum, a[i] + beta[i], -INFINITY);
    }
    /* The factor of lp is in both alpha and beta. */
    for (int64_t c = 0; c < s->classes; c++)
      grad[t * s->step + c] = (exp(lp[c]) - exp(by_class[c] + loss - lp[c])) * scale;
    double *swap = beta;
    beta = later;
    later = swap;
  }
}
