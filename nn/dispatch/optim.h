/* The driver of fused optimizer steps: checks lists of tensors, keeps dense buffers of
 * them, runs one kernel over all elements of all parameters. Used by optim_rules.c. */
#ifndef LP_NN_DISPATCH_OPTIM_H
#define LP_NN_DISPATCH_OPTIM_H

#include "cpu/optim.h"

/* One parameter: dense buffers of its tensors, NULL where absent. */
typedef struct LpOptimItem {
  int type; /* nn_float_index of the real elements */
  size_t elem_bytes;
  int64_t n, start; /* start: its first element in the numbering of all */
  char *data[LP_OPTIM_LISTS];
  LpTensor *dense[LP_OPTIM_LISTS]; /* owned; a copy when the tensor itself is not dense */
} LpOptimItem;

typedef struct LpOptimStep {
  LpOptimRule rule;
  const char *names[LP_OPTIM_LISTS]; /* of the lists below, NULL where there is none */
  LpTensors lists[LP_OPTIM_LISTS];   /* a state's list may be empty: then it is absent */
  bool nullable[LP_OPTIM_LISTS];     /* single entries may be NULL */
  /* Filled by begin: */
  LpOptimItem *items;
  char *options; /* of each parameter, option_bytes apart */
  size_t option_bytes;
} LpOptimStep;

/* Checks the lists and makes the buffers; nothing has been changed when it fails. */
bool lp_optim_begin(LpOptimStep *step, size_t option_bytes);
/* Runs the kernel over everything, with each parameter's own options. */
void lp_optim_run(LpOptimStep *step);
/* Copies what was not dense back and releases; `ok` false only releases. */
bool lp_optim_end(LpOptimStep *step, bool ok);

/* Every entry of a list, as long as params, is one float32 or float64 number. */
bool lp_optim_check_scalars(LpTensors list, int64_t count, const char *name);
double lp_optim_get(const LpTensor *scalar);
/* Stores a value, rounded to the tensor's dtype, and returns what it then holds. */
double lp_optim_set(LpTensor *scalar, double value);

#endif
