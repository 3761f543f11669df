/* See cpu/ctc.h. The states of one step are the vectors. */
#include <string.h>
#include "cpu/simd/simd.h"
#include "cpu/ctc.h"
#include "cpu/simd/vecmath.h"

/* The log of the sum of three numbers given by their logs; none is +infinity. */
static inline double log_sum(double a, double b, double c) {
  double m = a > b ? a : b;
  m = m > c ? m : c;
  m = m == -INFINITY ? 0 : m;
  return m + lp_log_f64(lp_exp_f64(a - m) + lp_exp_f64(b - m) + lp_exp_f64(c - m));
}

static int64_t states_of(const LpCtcSequence *s) {
  return 2 * s->n_labels + 1;
}

/* The log probabilities of the states' classes at one step. */
static void emissions(const LpCtcSequence *s, const double *log_probs, double *emit) {
  emit[0] = log_probs[s->blank];
  for (int64_t i = 0; i < s->n_labels; i++) {
    emit[2 * i + 1] = log_probs[s->labels[i]];
    emit[2 * i + 2] = log_probs[s->blank];
  }
}

/* 0 where a path may jump from state - 2 to the state, between different labels alone;
 * else -infinity, there and in the two after the last. */
static void jumps(const LpCtcSequence *s, double *jump) {
  for (int64_t i = 0; i < states_of(s) + 2; i++) jump[i] = -INFINITY;
  for (int64_t i = 1; i < s->n_labels; i++)
    if (s->labels[i] != s->labels[i - 1]) jump[2 * i + 1] = 0;
}

static double value(const LpCtcSequence *s, const double *alpha) {
  const int64_t states = states_of(s);
  if (s->length == 0) return s->n_labels == 0 ? 0 : INFINITY;
  const double *end = alpha + (s->length - 1) * states;
  return -log_sum(end[states - 1], states > 1 ? end[states - 2] : -INFINITY, -INFINITY);
}

static double forward(const LpCtcSequence *s, double *work, double *alpha) {
  const int64_t states = states_of(s);
  double *jump = work, *emit = jump + states + 2;
  jumps(s, jump);
  for (int64_t t = 0; t < s->length; t++) {
    const double *before = alpha + (t - 1) * states;
    double *now = alpha + t * states;
    emissions(s, s->log_probs + t * s->step, emit);
    if (t == 0) {
      for (int64_t i = 0; i < states; i++) now[i] = i < 2 ? emit[i] : -INFINITY;
      continue;
    }
    now[0] = before[0] + emit[0];
    if (states > 1) now[1] = log_sum(before[1], before[0], -INFINITY) + emit[1];
    LP_IVDEP
    for (int64_t i = 2; i < states; i++)
      now[i] = log_sum(before[i], before[i - 1], before[i - 2] + jump[i]) + emit[i];
  }
  return value(s, alpha);
}

static void backward(const LpCtcSequence *s, const double *alpha, double scale,
                     double *work, double *grad) {
  const int64_t states = states_of(s);
  const double loss = value(s, alpha);
  double *jump = work, *emit = jump + states + 2, *beta = emit + states + 2,
         *later = beta + states + 2, *by_class = later + states + 2;
  jumps(s, jump);
  for (int64_t i = 0; i < states + 2; i++) beta[i] = later[i] = -INFINITY;
  for (int64_t t = s->length - 1; t >= 0; t--) {
    const double *lp = s->log_probs + t * s->step, *a = alpha + t * states;
    double *g = grad + t * s->step;
    emissions(s, lp, emit);
    if (t == s->length - 1) {
      for (int64_t i = states > 1 ? states - 2 : 0; i < states; i++) beta[i] = emit[i];
    } else {
      LP_IVDEP
      for (int64_t i = 0; i < states; i++)
        beta[i] = log_sum(later[i], later[i + 1], later[i + 2] + jump[i + 2]) + emit[i];
    }
    /* The states' shares of all paths, whose factor of lp is in both alpha and beta. No
     * path, or a class that cannot be: the undefined share is of all classes. */
    LP_IVDEP
    for (int64_t i = 0; i < states; i++)
      emit[i] = lp_exp_f64(a[i] + beta[i] + loss - emit[i]);
    for (int64_t c = 0; c < s->classes; c++) {
      const double none = -INFINITY + loss - lp[c];
      by_class[c] = none == none ? 0 : none;
    }
    for (int64_t i = 0; i < s->n_labels; i++) {
      by_class[s->blank] += emit[2 * i];
      by_class[s->labels[i]] += emit[2 * i + 1];
    }
    by_class[s->blank] += emit[states - 1];
    LP_IVDEP
    for (int64_t c = 0; c < s->classes; c++)
      g[c] = (lp_exp_f64(lp[c]) - by_class[c]) * scale;
    double *swap = beta;
    beta = later;
    later = swap;
  }
}

const LpCtcKernels LP_SIMD(lp_ctc_kernels) = {forward, value, backward};
