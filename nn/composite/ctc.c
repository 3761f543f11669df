/* ctc_loss: one or many sequences, lengths as lists or tensors, the reduction. */
#include <math.h>
#include "composite/expr.h"
#include "impl.h"

static LpTensor *ctc(LpTensor *log_probs, LpTensor *targets, LpInts lengths,
                     LpInts target_lengths, int64_t blank, const char *reduction,
                     bool zero_infinity) {
  NnReduction how;
  TRY(nn_reduction(reduction, false, &how));
  int64_t ndim = lp_ndim(log_probs), batch;
  CHECK(
      ndim == 2 || ndim == 3, LP_ERR_ARGUMENT,
      "expected 'log_probs' of 3 dims (time, batch, classes) or 2 dims (time, classes), "
      "got %s",
      SHAPE_TEXT(log_probs));
  batch = ndim == 2 ? 1 : lp_size(log_probs, 1);
  CHECK(ndim == 3 || lp_ndim(targets) == 1, LP_ERR_ARGUMENT,
        "expected 'targets' of 1 dim for one sequence, got %s", SHAPE_TEXT(targets));
  Expr e = {0};
  LpTensor *loss = NULL, *results[2] = {NULL, NULL},
           *rows = ndim == 2 ? x_unsqueeze(&e, log_probs, 1) : log_probs;
  if (rows && lp_ctc_rows(rows, targets, lengths, target_lengths, blank, zero_infinity,
                          results)) {
    loss = keep(&e, results[0]);
    keep(&e, results[1]);
  }
  if (zero_infinity) {
    LpTensor *infinite = x_number(&e, INFINITY), *zero = x_number(&e, 0);
    LpTensor *hopeless = loss && infinite ? keep(&e, lp_eq(loss, infinite)) : NULL;
    loss = x_where(&e, hopeless, zero, loss);
  }
  if (how == NN_MEAN) {
    LpTensor *lengths_at_least_1 = keep(&e, nn_empty(&batch, 1, LP_FLOAT64));
    for (int64_t n = 0; lengths_at_least_1 && loss && n < batch; n++)
      ((double *)lp_data(lengths_at_least_1))[n] =
          target_lengths.data[n] > 1 ? (double)target_lengths.data[n] : 1;
    LpTensor *divisor = lengths_at_least_1
                            ? keep(&e, nn_dense(lengths_at_least_1, lp_dtype(log_probs)))
                            : NULL;
    loss = x_div(&e, loss, divisor);
  }
  if (how == NN_NONE && ndim == 2) loss = x_reshape(&e, loss, lp_ints(NULL, 0));
  return expr_end(&e, x_reduce(&e, loss, how));
}

LpTensor *lp_composite_ctc_loss(LpTensor *log_probs, LpTensor *targets,
                                LpInts input_lengths, LpInts target_lengths,
                                int64_t blank, const char *reduction,
                                bool zero_infinity) {
  return ctc(log_probs, targets, input_lengths, target_lengths, blank, reduction,
             zero_infinity);
}

LpTensor *lp_composite_ctc_loss_tensor(LpTensor *log_probs, LpTensor *targets,
                                       LpTensor *input_lengths, LpTensor *target_lengths,
                                       int64_t blank, const char *reduction,
                                       bool zero_infinity) {
  CHECK(lp_dtype_is_integral(lp_dtype(input_lengths), false), LP_ERR_TYPE,
        "expected 'input_lengths' of integers, got %s",
        lp_dtype_name(lp_dtype(input_lengths)));
  CHECK(lp_dtype_is_integral(lp_dtype(target_lengths), false), LP_ERR_TYPE,
        "expected 'target_lengths' of integers, got %s",
        lp_dtype_name(lp_dtype(target_lengths)));
  CHECK(!input_lengths->physical && !target_lengths->physical, LP_ERR_ARGUMENT,
        "vmap: the lengths must be the same for all examples");
  LpTensor *a = nn_dense(input_lengths, LP_INT64),
           *b = nn_dense(target_lengths, LP_INT64), *result = NULL;
  if (a && b)
    result = ctc(log_probs, targets, lp_ints(lp_data(a), lp_numel(a)),
                 lp_ints(lp_data(b), lp_numel(b)), blank, reduction, zero_infinity);
  lp_tensor_release(a);
  lp_tensor_release(b);
  return result;
}
