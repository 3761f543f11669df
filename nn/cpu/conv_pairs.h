/* Weight gradients of bfloat16 convolutions without groups, on channels-last memory, by
 * processors that multiply pairs of bfloat16 (lp_cpu_multiplies_bf16).
 *
 * Note [Gradients by pairs]: the gradient is a product: that of the results, transposed,
 * by the windows of x, c numbers for each tap. Its depth are the results, so that a pair
 * is the same number of two neighbours. For a chunk of results both factors are laid pair
 * by pair into memory that stays in a core's second cache, in panels of as many columns
 * as a product in registers has; windows are laid from x at once, the only copy. A block
 * of the gradient, from all results or a group of them, is one thread's, in float32: what
 * a number is summed from, and in which order, depends on the geometry alone. */
#ifndef LP_NN_CPU_CONV_PAIRS_H
#define LP_NN_CPU_CONV_PAIRS_H

#include "cpu/conv.h"

/* Does the processor multiply bfloat16, but has no tiles, which do so sooner? */
bool lp_conv_pairs_supported(void);

/* Is it served, and faster than the library? */
bool lp_conv_pairs_pays(LpConvPass pass, const LpConvGeometry *g, LpDtype dtype);

/* As lp_conv_run. */
bool lp_conv_pairs(const LpConvCall *call, const LpConvGeometry *g);

/* --- kernels: conv_pairs_kernels.c --- */

#define LP_PAIRS_ROWS 8 /* of a product in registers; of a panel of the first factor */
#define LP_PAIRS_COLUMNS 32 /* of it */

/* Numbers that lie side by side, `at` after where something begins. */
typedef struct LpPairsRun {
  int64_t at, count;
} LpPairsRun;

/* Runs of both windows side by side: pairs of their numbers i, zeros instead of the
 * second window's if that is NULL; up to 31 pairs more are written. What lies `ahead` is
 * asked for. */
void lp_pairs_lay(const uint16_t *first, const uint16_t *second, const LpPairsRun *runs,
                  int64_t n_runs, int64_t ahead, uint32_t *to);
/* One run, to panels that begin `step` pairs apart; zeros to a multiple of 32 numbers. */
void lp_pairs_lay_panels(const uint16_t *first, const uint16_t *second, int64_t count,
                         int64_t ahead, uint32_t *to, int64_t step);

/* COLUMNS columns of `sums`, rows `pitch` apart: of `panels` panels of a, each of `depth`
 * pairs a row and `step_a` pairs after the one before, by the rows of b; what is there is
 * added to unless `anew`. */
void lp_pairs_multiply(int64_t depth, int64_t panels, const uint32_t *a, int64_t step_a,
                       const uint32_t *b, int64_t pitch_b, float *sums, int64_t pitch,
                       bool anew);

/* A row of sums (taps, c), in memory up to a multiple of 16, to (c, taps): float32, or
 * rounded to bfloat16. */
void lp_pairs_finish(const float *sums, int64_t taps, int64_t c, bool rounded, void *to);

#endif
