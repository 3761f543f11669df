/* The checks of ctc_loss and its split over the batch; the recursions are in
 * cpu/simd/ctc.c. */
#include <math.h>
#include <stdatomic.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/ctc.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct CtcJob {
  const double *log_probs; /* (T, N, C) */
  const int64_t *targets, *lengths, *target_lengths;
  const int64_t *starts; /* of each sequence's labels in targets */
  int64_t steps, batch, classes, states, blank;
  double *loss,
      *alpha; /* alpha: (N, T, states) at most, each sequence as wide as it needs */
  const double *g;
  double *grad; /* NULL: the forward pass */
  bool zero_infinity;
  atomic_bool out_of_memory;
} CtcJob;

static LpCtcSequence sequence(const CtcJob *j, int64_t n) {
  return (LpCtcSequence){.log_probs = j->log_probs + n * j->classes,
                         .step = j->batch * j->classes,
                         .length = j->lengths[n],
                         .classes = j->classes,
                         .labels = j->targets + j->starts[n],
                         .n_labels = j->target_lengths[n],
                         .blank = j->blank};
}

/* One direction over sequences [begin, end). */
static void recursions(void *ctx, int64_t begin, int64_t end) {
  CtcJob *j = ctx;
  const LpCtcKernels *k = lp_ctc_kernels();
  const size_t bytes = lp_ctc_work_bytes(j->states, j->classes);
  double *work = lp_alloc(bytes);
  if (!work) {
    atomic_store(&j->out_of_memory, true);
    return;
  }
  for (int64_t n = begin; n < end && !lp_interrupt_pending(); n++) {
    LpCtcSequence s = sequence(j, n);
    double *alpha = j->alpha + n * j->steps * j->states;
    if (!j->grad)
      j->loss[n] = k->forward(&s, work, alpha);
    else if (!j->zero_infinity || k->value(&s, alpha) != INFINITY)
      k->backward(&s, alpha, j->g[n], work, j->grad + n * j->classes);
  }
  lp_free(work, bytes);
}

static bool run(CtcJob *j) {
  const int64_t cost = 2 * (j->steps * (j->states + j->classes) + 1);
  lp_parallel_for(j->batch, LP_GRAIN / cost + 1, recursions, j);
  return atomic_load(&j->out_of_memory) ? lp_fail(LP_ERR_MEMORY, "out of memory") : true;
}

/* Checks the call; gives the longest target. starts: room for one number per sequence. */
static bool check(LpTensor *log_probs, LpTensor *targets, LpInts lengths,
                  LpInts target_lengths, int64_t blank, int64_t *starts,
                  int64_t *longest) {
  CHECK(lp_dtype(log_probs) == LP_FLOAT32 || lp_dtype(log_probs) == LP_FLOAT64,
        LP_ERR_TYPE, "expected 'log_probs' of float32 or float64, got %s",
        lp_dtype_name(lp_dtype(log_probs)));
  CHECK(lp_dtype(targets) == LP_INT64 || lp_dtype(targets) == LP_INT32, LP_ERR_TYPE,
        "expected 'targets' of int64 or int32, got %s", lp_dtype_name(lp_dtype(targets)));
  int64_t steps = lp_size(log_probs, 0), batch = lp_size(log_probs, 1),
          classes = lp_size(log_probs, 2), total = 0;
  CHECK(blank >= 0 && blank < classes, LP_ERR_ARGUMENT,
        "expected 'blank' to be a class, in [0, %lld), got %lld", (long long)classes,
        (long long)blank);
  CHECK(lengths.count == batch, LP_ERR_ARGUMENT,
        "expected 'input_lengths' of %lld numbers (one for each sequence), got %lld",
        (long long)batch, (long long)lengths.count);
  CHECK(target_lengths.count == batch, LP_ERR_ARGUMENT,
        "expected 'target_lengths' of %lld numbers (one for each sequence), got %lld",
        (long long)batch, (long long)target_lengths.count);
  bool joined = lp_ndim(targets) == 1;
  CHECK(joined || lp_ndim(targets) == 2, LP_ERR_ARGUMENT,
        "expected 'targets' of 1 or 2 dims, got %s", SHAPE_TEXT(targets));
  CHECK(joined || lp_size(targets, 0) == batch, LP_ERR_ARGUMENT,
        "expected 'targets' of %lld rows (one for each sequence), got %s",
        (long long)batch, SHAPE_TEXT(targets));
  *longest = 0;
  for (int64_t n = 0; n < batch; n++) {
    int64_t length = lengths.data[n], labels = target_lengths.data[n];
    CHECK(length >= 0 && length <= steps, LP_ERR_ARGUMENT,
          "expected 'input_lengths' from 0 to %lld, got %lld for sequence %lld",
          (long long)steps, (long long)length, (long long)n);
    CHECK(labels >= 0 && (joined || labels <= lp_size(targets, 1)), LP_ERR_ARGUMENT,
          "expected 'target_lengths' from 0 to the width of targets %s, got %lld for "
          "sequence %lld",
          SHAPE_TEXT(targets), (long long)labels, (long long)n);
    starts[n] = joined ? total : n * lp_size(targets, 1);
    total += labels;
    if (labels > *longest) *longest = labels;
  }
  CHECK(!joined || total == lp_size(targets, 0), LP_ERR_ARGUMENT,
        "expected 'targets' of %lld labels, the sum of target_lengths, got %s",
        (long long)total, SHAPE_TEXT(targets));
  return true;
}

static bool check_labels(const CtcJob *j) {
  for (int64_t n = 0; n < j->batch; n++)
    for (int64_t i = 0; i < j->target_lengths[n]; i++) {
      int64_t c = j->targets[j->starts[n] + i];
      CHECK(c >= 0 && c < j->classes, LP_ERR_INDEX,
            "target class %lld is out of range: expected 0 to %lld", (long long)c,
            (long long)j->classes - 1);
    }
  return true;
}

static CtcJob describe(LpTensor *log_probs, LpInts lengths, LpInts target_lengths,
                       int64_t blank, const int64_t *starts, int64_t longest) {
  return (CtcJob){.lengths = lengths.data,
                  .target_lengths = target_lengths.data,
                  .starts = starts,
                  .steps = lp_size(log_probs, 0),
                  .batch = lp_size(log_probs, 1),
                  .classes = lp_size(log_probs, 2),
                  .states = 2 * longest + 1,
                  .blank = blank};
}

bool lp_impl_ctc_rows(LpTensor *log_probs, LpTensor *targets, LpInts input_lengths,
                      LpInts target_lengths, int64_t blank, bool zero_infinity,
                      LpTensor **results) {
  (void)zero_infinity; /* of use to the gradient only */
  int64_t batch = lp_size(log_probs, 1), longest;
  LpTensor *starts = nn_empty(&batch, 1, LP_INT64);
  bool ok = starts && check(log_probs, targets, input_lengths, target_lengths, blank,
                            lp_data(starts), &longest);
  LpTensor *x = NULL, *t = NULL, *loss = NULL, *alpha = NULL;
  if (ok) {
    CtcJob j = describe(log_probs, input_lengths, target_lengths, blank, lp_data(starts),
                        longest);
    int64_t sizes[3] = {batch, j.steps, j.states};
    ok = (x = nn_dense(log_probs, LP_FLOAT64)) && (t = nn_dense(targets, LP_INT64)) &&
         (loss = nn_empty(&batch, 1, LP_FLOAT64)) &&
         (alpha = nn_empty(sizes, 3, LP_FLOAT64));
    if (ok) {
      j.log_probs = lp_data(x);
      j.targets = lp_data(t);
      j.loss = lp_data(loss);
      j.alpha = lp_data(alpha);
      ok = check_labels(&j) && run(&j);
    }
  }
  lp_tensor_release(starts);
  lp_tensor_release(x);
  lp_tensor_release(t);
  if (ok) ok = (loss = nn_cast_take(loss, lp_dtype(log_probs))) != NULL;
  if (!ok) {
    lp_drop(&loss);
    lp_drop(&alpha);
  }
  results[0] = loss;
  results[1] = alpha;
  return ok;
}

LpTensor *lp_impl_ctc_rows_grad(LpTensor *grad_output, LpTensor *log_probs,
                                LpTensor *alpha, LpTensor *targets, LpInts input_lengths,
                                LpInts target_lengths, int64_t blank,
                                bool zero_infinity) {
  int64_t batch = lp_size(log_probs, 1), longest;
  LpTensor *starts = nn_empty(&batch, 1, LP_INT64);
  bool ok = starts && check(log_probs, targets, input_lengths, target_lengths, blank,
                            lp_data(starts), &longest);
  LpTensor *x = NULL, *t = NULL, *g = NULL, *result = NULL;
  if (ok)
    ok = (x = nn_dense(log_probs, LP_FLOAT64)) && (t = nn_dense(targets, LP_INT64)) &&
         (g = nn_dense(grad_output, LP_FLOAT64)) &&
         (result = nn_zeros(log_probs->sizes, 3, LP_FLOAT64));
  if (ok) {
    CtcJob j = describe(log_probs, input_lengths, target_lengths, blank, lp_data(starts),
                        longest);
    j.log_probs = lp_data(x);
    j.targets = lp_data(t);
    j.alpha = lp_data(alpha);
    j.g = lp_data(g);
    j.grad = lp_data(result);
    j.zero_infinity = zero_infinity;
    ok = run(&j);
  }
  lp_tensor_release(starts);
  lp_tensor_release(x);
  lp_tensor_release(t);
  lp_tensor_release(g);
  if (!ok) lp_drop(&result);
  return nn_cast_take(result, lp_dtype(log_probs));
}
