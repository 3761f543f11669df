/* Fused optimizer steps over a list of parameters: checks, then one parallel pass over
 * all elements of all parameters. The lists hold tensors of one shape and dtype at each
 * place. */
#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/optim.h"
#include "dispatch/nn_util.h"
#include "impl.h"

enum { PARAM, GRAD, FIRST_STATE, MAX_LISTS = 5 }; /* up to three state tensors */

/* One parameter: dense buffers of its tensors, NULL where absent. */
typedef struct Item {
  int type;
  size_t elem_bytes;
  int64_t n, start; /* start: its first element in the numbering of all */
  char *data[MAX_LISTS];
  LpTensor *dense[MAX_LISTS]; /* owned; a copy when the tensor itself is not dense */
} Item;

typedef struct StepJob {
  const Item *items;
  int64_t n_items;
  const LpSgdOptions *sgd;
  const LpAdamOptions *adam;
} StepJob;

static void step_range(void *ctx, int64_t begin, int64_t end) {
  const StepJob *j = ctx;
  int64_t low = 0, high = j->n_items - 1;
  while (low < high) { /* the item that holds element `begin` */
    int64_t middle = (low + high + 1) / 2;
    if (j->items[middle].start <= begin)
      low = middle;
    else
      high = middle - 1;
  }
  for (int64_t i = low; i < j->n_items && j->items[i].start < end; i++) {
    const Item *it = &j->items[i];
    int64_t from = begin > it->start ? begin - it->start : 0;
    int64_t to = end - it->start < it->n ? end - it->start : it->n;
    if (from >= to) continue;
    char *at[MAX_LISTS];
    for (int k = 0; k < MAX_LISTS; k++)
      at[k] = it->data[k] ? it->data[k] + (size_t)from * it->elem_bytes : NULL;
    if (j->sgd)
      lp_optim_kernels()->sgd[it->type](at[PARAM], at[GRAD], at[FIRST_STATE], to - from,
                                        j->sgd);
    else
      lp_optim_kernels()->adam[it->type](at[PARAM], at[GRAD], at[FIRST_STATE],
                                         at[FIRST_STATE + 1], at[FIRST_STATE + 2],
                                         to - from, j->adam);
  }
}

static bool check_lists(const LpTensors *lists, const char *const *names,
                        const bool *nullable) {
  for (int k = 0; k < MAX_LISTS; k++) {
    if (!names[k]) continue;
    bool empty_state = k >= FIRST_STATE && lists[k].count == 0;
    CHECK(lists[k].count == lists[PARAM].count || empty_state, LP_ERR_ARGUMENT,
          "expected as many %s as params (%lld), got %lld", names[k],
          (long long)lists[PARAM].count, (long long)lists[k].count);
    for (int64_t i = 0; i < lists[k].count; i++) {
      const LpTensor *t = lists[k].data[i], *p = lists[PARAM].data[i];
      if (!t && nullable[k]) continue;
      CHECK(t && nn_float_index(lp_dtype(t)) >= 0, LP_ERR_TYPE,
            "expected %s[%lld] of a floating dtype, got %s", names[k], (long long)i,
            t ? lp_dtype_name(lp_dtype(t)) : "nil");
      bool same = lp_dtype(t) == lp_dtype(p) && t->ndim == p->ndim;
      for (int d = 0; same && d < t->ndim; d++) same = t->sizes[d] == p->sizes[d];
      CHECK(same, LP_ERR_ARGUMENT,
            "expected %s[%lld] like its parameter, %s %s, got %s %s", names[k],
            (long long)i, lp_dtype_name(lp_dtype(p)), SHAPE_TEXT(p),
            lp_dtype_name(lp_dtype(t)), SHAPE_TEXT(t));
    }
  }
  return true;
}

static void free_items(Item *items, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    for (int k = 0; k < MAX_LISTS; k++) lp_tensor_release(items[i].dense[k]);
  lp_free(items, (size_t)(n + 1) * sizeof *items);
}

static bool run(const LpTensors *lists, const char *const *names, const bool *nullable,
                StepJob *job) {
  TRY(check_lists(lists, names, nullable));
  int64_t n = lists[PARAM].count, total = 0;
  Item *items = lp_calloc((size_t)(n + 1) * sizeof *items);
  TRY(items);
  for (int64_t i = 0; i < n; i++) {
    LpTensor *p = lists[PARAM].data[i];
    items[i].type = nn_float_index(lp_dtype(p));
    items[i].elem_bytes = lp_dtype_size(lp_dtype(p));
    items[i].n = lp_numel(p);
    items[i].start = total;
    total += items[i].n;
    for (int k = 0; k < MAX_LISTS; k++) {
      LpTensor *t = names[k] && i < lists[k].count ? lists[k].data[i] : NULL;
      if (!t) continue;
      items[i].dense[k] = nn_dense(t, lp_dtype(t));
      if (!items[i].dense[k]) {
        free_items(items, n);
        return false;
      }
      items[i].data[k] = lp_data(items[i].dense[k]);
    }
  }
  job->items = items;
  job->n_items = n;
  if (total) lp_parallel_for(total, LP_GRAIN, step_range, job);
  bool ok = true;
  for (int64_t i = 0; ok && i < n; i++)
    for (int k = 0; ok && k < MAX_LISTS; k++) {
      if (k == GRAD || !items[i].dense[k]) continue;
      LpTensor *t = lists[k].data[i];
      if (items[i].dense[k] != t) ok = nn_copy(t, items[i].dense[k]);
      lp_bump_version(t);
    }
  free_items(items, n);
  return ok;
}

bool lp_impl_sgd_step_(LpTensors params, LpTensors grads, LpTensors momentum_buffers,
                       double lr, double momentum, double dampening, double weight_decay,
                       bool nesterov, bool maximize, bool first) {
  static const char *const names[MAX_LISTS] = {"params", "grads", "momentum_buffers"};
  static const bool nullable[MAX_LISTS] = {false, false, true};
  LpTensors lists[MAX_LISTS] = {params, grads, momentum_buffers};
  LpSgdOptions o = {lr, momentum, dampening, weight_decay, nesterov, maximize, first};
  StepJob job = {.sgd = &o};
  return run(lists, names, nullable, &job);
}

bool lp_impl_adam_step_(LpTensors params, LpTensors grads, LpTensors exp_avgs,
                        LpTensors exp_avg_sqs, LpTensors max_exp_avg_sqs, int64_t step,
                        double lr, double beta1, double beta2, double eps,
                        double weight_decay, bool amsgrad, bool maximize,
                        bool decoupled) {
  static const char *const names[MAX_LISTS] = {"params", "grads", "exp_avgs",
                                               "exp_avg_sqs", "max_exp_avg_sqs"};
  static const bool nullable[MAX_LISTS] = {false};
  CHECK(step >= 1, LP_ERR_ARGUMENT, "expected 'step' of at least 1, got %lld",
        (long long)step);
  CHECK(exp_avgs.count == params.count && exp_avg_sqs.count == params.count,
        LP_ERR_ARGUMENT,
        "expected exp_avgs and exp_avg_sqs for each of %lld params, got %lld and %lld",
        (long long)params.count, (long long)exp_avgs.count, (long long)exp_avg_sqs.count);
  CHECK(!amsgrad || max_exp_avg_sqs.count == params.count, LP_ERR_ARGUMENT,
        "expected max_exp_avg_sqs for each of %lld params when amsgrad, got %lld",
        (long long)params.count, (long long)max_exp_avg_sqs.count);
  if (!amsgrad) max_exp_avg_sqs.count = 0;
  LpTensors lists[MAX_LISTS] = {params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs};
  LpAdamOptions o = {.lr = lr,
                     .beta1 = beta1,
                     .beta2 = beta2,
                     .eps = eps,
                     .weight_decay = weight_decay,
                     .maximize = maximize,
                     .decoupled = decoupled};
  o.step_size = lr / (1 - pow(beta1, (double)step));
  o.root_correction = sqrt(1 - pow(beta2, (double)step));
  StepJob job = {.adam = &o};
  return run(lists, names, nullable, &job);
}
