/* The rules of vmap for the ops of networks: folding the batch into the batch dim that
 * they have already. See rules.h. */
#include "vmap/rules.h"

#include <string.h>

#include "lampad/ops.h"

static const LpDevice same_device = {LP_DEVICE_NONE, 0};

static Outcome result(VmapCall *c, LpTensor *t) {
  c->results[0].tensor = t;
  return t ? VMAP_DONE : VMAP_FAILED;
}
static Outcome called(VmapCall *c) {
  return vmap_call(c) ? VMAP_DONE : VMAP_FAILED;
}

/* --- folding
 * ----------------------------------------------------------------------------------------
 */

/* [batch, n, ...] -> [batch * n, ...]. Kept. */
static LpTensor *fold(VmapCall *c, LpTensor *t) {
  int64_t sizes[LP_MAX_DIMS];
  sizes[0] = t->sizes[0] * t->sizes[1];
  for (int d = 2; d < t->ndim; d++) sizes[d - 1] = t->sizes[d];
  return vmap_reshape(c, t, sizes, t->ndim - 1);
}

/* [batch * n, ...] -> [batch, n, ...]. Takes t over. */
static LpTensor *unfold(VmapCall *c, LpTensor *t) {
  if (!t) return NULL;
  int64_t sizes[LP_MAX_DIMS + 1] = {c->batch, c->batch ? t->sizes[0] / c->batch : 0};
  for (int d = 1; d < t->ndim; d++) sizes[d + 1] = t->sizes[d];
  LpTensor *wide = lp_reshape(t, lp_ints(sizes, t->ndim + 1));
  lp_tensor_release(t);
  return wide;
}

static Outcome call_and_unfold(VmapCall *c) {
  if (!vmap_call(c)) return VMAP_FAILED;
  bool ok = true;
  for (int i = 0; i < c->op->n_results; i++) {
    if (!c->results[i].tensor) continue;
    c->results[i].tensor = unfold(c, c->results[i].tensor);
    ok = ok && c->results[i].tensor;
  }
  return ok ? VMAP_DONE : VMAP_FAILED;
}

/* The argument `size`, an input's: its first dim becomes the folded one. */
static bool fold_size(VmapCall *c, int i, bool folded) {
  const LpInts given = c->args[i].ints;
  int64_t *at = vmap_ints(c, given.count + 1);
  TRY(at);
  at[0] = c->batch;
  memcpy(at + 1, given.data, (size_t)given.count * sizeof *at);
  if (folded) at[1] *= c->batch;
  c->a[i].ints = folded ? lp_ints(at + 1, given.count) : lp_ints(at, given.count + 1);
  return true;
}

/* Every tensor [n, ...] as [batch * n, ...]; optional ones that are absent stay so. */
static Outcome fold_all(VmapCall *c) {
  for (int i = 0; i < c->op->n_args; i++) {
    LpTensor *t = vmap_is_tensor(c->op->args[i].type) ? c->args[i].tensor : NULL;
    if (!t) continue;
    if (t->ndim == 0) return VMAP_LOOP;
    LpTensor *front = vmap_front(c, t);
    if (!front || !(c->a[i].tensor = fold(c, front))) return VMAP_FAILED;
  }
  const int size = vmap_arg(c, "size");
  if (size >= 0 && !fold_size(c, size, true)) return VMAP_FAILED;
  return call_and_unfold(c);
}

/* Pooling of (N, C, ...) folds; of (C, ...) takes the batch as N. */
static Outcome pool(VmapCall *c) {
  const int64_t ndim = c->args[vmap_arg(c, "ndim")].i;
  if (c->args[0].tensor->ndim == ndim + 2) return fold_all(c);
  if (c->args[0].tensor->ndim != ndim + 1) return VMAP_LOOP;
  for (int i = 0; i < c->op->n_args; i++) {
    if (!vmap_is_tensor(c->op->args[i].type)) continue;
    if (!(c->a[i].tensor = vmap_front(c, c->args[i].tensor))) return VMAP_FAILED;
  }
  const int size = vmap_arg(c, "size");
  if (size >= 0 && !fold_size(c, size, false)) return VMAP_FAILED;
  return called(c);
}

/* --- convolution
 * -------------------------------------------------------------------------------------
 */

/* [batch, n, m, ...] -> [n, batch * m, ...]: the batch becomes groups of channels. Kept.
 */
static LpTensor *to_channels(VmapCall *c, LpTensor *t) {
  int64_t sizes[LP_MAX_DIMS];
  LpTensor *moved = vmap_keep(c, lp_transpose(t, 0, 1));
  if (!moved) return NULL;
  sizes[0] = t->sizes[1];
  sizes[1] = t->sizes[0] * t->sizes[2];
  for (int d = 3; d < t->ndim; d++) sizes[d - 1] = t->sizes[d];
  return vmap_reshape(c, moved, sizes, t->ndim - 1);
}

/* [n, batch * m, ...] -> [batch, n, m, ...]. Takes t over. */
static LpTensor *from_channels(VmapCall *c, LpTensor *t) {
  if (!t) return NULL;
  int64_t sizes[LP_MAX_DIMS + 1] = {t->sizes[0], c->batch,
                                    c->batch ? t->sizes[1] / c->batch : 0};
  for (int d = 2; d < t->ndim; d++) sizes[d + 1] = t->sizes[d];
  LpTensor *wide = lp_reshape(t, lp_ints(sizes, t->ndim + 1));
  lp_tensor_release(t);
  LpTensor *front = wide ? lp_transpose(wide, 0, 1) : NULL;
  lp_tensor_release(wide);
  return front;
}

/* A batch of inputs folds into N. A batch of weights becomes groups, which for a
 * transposed convolution is as well the weights' first dim. */
static Outcome convolution(VmapCall *c) {
  LpTensor *input = c->args[0].tensor, *weight = c->args[1].tensor,
           *bias = c->args[2].tensor;
  if (vmap_batched(c, weight)) {
    LpTensor *x = vmap_front(c, input);
    if (!x || !(c->a[0].tensor = to_channels(c, x)) ||
        !(c->a[1].tensor = fold(c, weight->physical)))
      return VMAP_FAILED;
    if (bias) {
      LpTensor *b = vmap_front(c, bias);
      if (!b || !(c->a[2].tensor = fold(c, b))) return VMAP_FAILED;
    }
    c->a[vmap_arg(c, "groups")].i *= c->batch;
    if (!vmap_call(c)) return VMAP_FAILED;
    return result(c, from_channels(c, c->results[0].tensor));
  }
  if (vmap_batched(c, bias)) return VMAP_LOOP;
  if (!(c->a[0].tensor = fold(c, vmap_behind(c, 0)))) return VMAP_FAILED;
  return call_and_unfold(c);
}

static Outcome convolution_input_grad(VmapCall *c) {
  if (vmap_batched(c, c->args[1].tensor)) return VMAP_LOOP;
  if (!(c->a[0].tensor = fold(c, vmap_behind(c, 0))) ||
      !fold_size(c, vmap_arg(c, "input_size"), true))
    return VMAP_FAILED;
  return call_and_unfold(c);
}

/* --- normalisation
 * --------------------------------------------------------------------------------------
 */

static Outcome layer_norm(VmapCall *c) {
  if (vmap_batched(c, c->args[2].tensor) || vmap_batched(c, c->args[3].tensor))
    return VMAP_LOOP;
  c->a[0].tensor = vmap_behind(c, 0);
  return called(c);
}

static Outcome group_norm(VmapCall *c) {
  if (vmap_batched(c, c->args[2].tensor) || vmap_batched(c, c->args[3].tensor))
    return VMAP_LOOP;
  if (!(c->a[0].tensor = fold(c, vmap_behind(c, 0)))) return VMAP_FAILED;
  return call_and_unfold(c);
}

static Outcome batch_norm(VmapCall *c) {
  const bool training = c->args[vmap_arg(c, "training")].b;
  for (int i = 3; training && i <= 4; i++) {
    if (c->args[i].tensor && !vmap_batched(c, c->args[i].tensor)) {
      lp_fail(LP_ERR_ARGUMENT, "Batch norm got a batched tensor as input while the "
                               "running_mean or running_var, which will be "
                               "updated in place, were not batched. Use running "
                               "statistics for each example, or "
                               "track_running_stats=false");
      return VMAP_FAILED;
    }
  }
  return VMAP_LOOP;
}

static Outcome channel_sum(VmapCall *c) {
  int64_t dims[LP_MAX_DIMS], n = 0;
  LpTensor *p = c->args[0].tensor->physical;
  for (int d = 1; d < p->ndim; d++)
    if (d != 2) dims[n++] = d;
  return result(c, lp_sum_dim(p, lp_ints(dims, n), false, LP_DTYPE_NONE));
}

/* --- embedding
 * ---------------------------------------------------------------------------------------------
 */

static Outcome embedding_rows(VmapCall *c) {
  if (vmap_batched(c, c->args[0].tensor)) return VMAP_LOOP;
  c->a[1].tensor = vmap_behind(c, 1);
  return called(c);
}

/* --- losses of class indices: rows without reduction, then reduced example by example
 * ------------------------- */

/* [batch, rows] of 0 and 1, or of the classes' weights: what each row counts for. Kept.
 */
static LpTensor *row_weights(VmapCall *c, LpTensor *target, LpTensor *weight,
                             int64_t ignore_index, LpDtype dtype) {
  LpTensor *ignored = vmap_keep(c, lp_tensor_wrapped(lp_scalar_int(ignore_index)));
  LpTensor *counts = ignored ? vmap_keep(c, lp_ne(target, ignored)) : NULL;
  LpTensor *ones =
      counts ? vmap_keep(c, lp_to_copy(counts, dtype, same_device, LP_FORMAT_NONE))
             : NULL;
  if (!ones || !weight) return ones;
  LpTensor *whole =
      vmap_keep(c, lp_to_copy(counts, LP_INT64, same_device, LP_FORMAT_NONE));
  LpTensor *safe =
      whole ? vmap_keep(c, lp_mul(target, whole)) : NULL; /* class 0 for ignored rows */
  const int64_t flat = target->numel;
  LpTensor *places = safe ? vmap_reshape(c, safe, &flat, 1) : NULL;
  LpTensor *picked = places ? vmap_keep(c, lp_index_select(weight, 0, places)) : NULL;
  LpTensor *shaped = picked ? vmap_reshape(c, picked, target->sizes, target->ndim) : NULL;
  return shaped ? vmap_keep(c, lp_mul(shaped, ones)) : NULL;
}

/* The rows' losses (owned), reduced over each example's rows. Owned. */
static LpTensor *reduce_rows(LpTensor *rows, LpTensor *total, const char *reduction) {
  if (!rows || strcmp(reduction, "none") == 0) return rows;
  const int64_t one = 1;
  LpTensor *sum = lp_sum_dim(rows, lp_ints(&one, 1), false, LP_DTYPE_NONE);
  lp_tensor_release(rows);
  if (!sum || strcmp(reduction, "sum") == 0) return sum;
  LpTensor *mean = lp_div(sum, total);
  lp_tensor_release(sum);
  return mean;
}

/* The gradient of each row, [batch, rows], from that of the reduced loss. Kept. */
static LpTensor *spread_rows(VmapCall *c, LpTensor *grad, LpTensor *total,
                             const char *reduction, int64_t rows) {
  const int64_t sizes[] = {c->batch, rows}, column[] = {c->batch, 1};
  LpTensor *front = vmap_front(c, grad);
  if (!front) return NULL;
  if (strcmp(reduction, "none") == 0) return vmap_reshape(c, front, sizes, 2);
  if (strcmp(reduction, "mean") == 0) front = vmap_keep(c, lp_div(front, total));
  front = front ? vmap_reshape(c, front, column, 2) : NULL;
  return front ? vmap_keep(c, lp_expand(front, lp_ints(sizes, 2))) : NULL;
}

static LpTensor *sum_of_rows(VmapCall *c, LpTensor *rows) {
  const int64_t one = 1;
  return rows ? vmap_keep(c, lp_sum_dim(rows, lp_ints(&one, 1), false, LP_DTYPE_NONE))
              : NULL;
}

/* [batch, ...] as [batch, rows]. Kept. */
static LpTensor *as_rows(VmapCall *c, LpTensor *t) {
  const int64_t sizes[] = {c->batch, c->batch ? t->numel / c->batch : 0};
  return vmap_reshape(c, t, sizes, 2);
}

static Outcome cross_entropy_rows(VmapCall *c) {
  const char *reduction = c->args[2].str;
  const int64_t ignore_index = c->args[3].i;
  LpTensor *input = vmap_front(c, c->args[0].tensor),
           *target = vmap_front(c, c->args[1].tensor);
  LpTensor *x = input ? fold(c, input) : NULL, *t = target ? fold(c, target) : NULL;
  LpTensor *r[2] = {NULL, NULL};
  if (!x || !t || !lp_cross_entropy_rows(x, t, "none", ignore_index, r))
    return VMAP_FAILED;
  LpTensor *total = NULL, *rows = unfold(c, r[0]);
  c->results[1].tensor = unfold(c, r[1]);
  if (rows && strcmp(reduction, "mean") == 0)
    total =
        sum_of_rows(c, row_weights(c, target, NULL, ignore_index, (LpDtype)input->dtype));
  if (!rows || !c->results[1].tensor || (!total && strcmp(reduction, "mean") == 0)) {
    lp_tensor_release(rows);
    return VMAP_FAILED;
  }
  return result(c, reduce_rows(rows, total, reduction));
}

static Outcome cross_entropy_rows_grad(VmapCall *c) {
  const char *reduction = c->args[4].str;
  const int64_t ignore_index = c->args[5].i;
  LpTensor *input = vmap_front(c, c->args[1].tensor),
           *target = vmap_front(c, c->args[2].tensor);
  LpTensor *lse = vmap_front(c, c->args[3].tensor), *total = NULL;
  if (!input || !target || !lse) return VMAP_FAILED;
  if (strcmp(reduction, "mean") == 0 &&
      !(total = sum_of_rows(c, row_weights(c, target, NULL, ignore_index,
                                           (LpDtype)c->args[0].tensor->dtype))))
    return VMAP_FAILED;
  LpTensor *grad = spread_rows(c, c->args[0].tensor, total, reduction, target->sizes[1]);
  LpTensor *g = grad ? fold(c, grad) : NULL, *x = fold(c, input), *t = fold(c, target),
           *l = fold(c, lse);
  if (!g || !x || !t || !l) return VMAP_FAILED;
  return result(c,
                unfold(c, lp_cross_entropy_rows_grad(g, x, t, l, "none", ignore_index)));
}

/* The input of nll (N, C, ...) folds; one of (C) takes the batch as N. */
static LpTensor *nll_fold(VmapCall *c, LpTensor *t, int64_t input_ndim) {
  LpTensor *front = t ? vmap_front(c, t) : NULL;
  return front && input_ndim > 1 ? fold(c, front) : front;
}

static Outcome nll_loss(VmapCall *c) {
  LpTensor *weight = c->args[2].tensor;
  const char *reduction = c->args[3].str;
  const int64_t ignore_index = c->args[4].i, ndim = c->args[0].tensor->ndim;
  if (vmap_batched(c, weight) || ndim < 1) return VMAP_LOOP;
  LpTensor *x = nll_fold(c, c->args[0].tensor, ndim),
           *t = nll_fold(c, c->args[1].tensor, ndim);
  LpTensor *target = vmap_front(c, c->args[1].tensor);
  LpTensor *target_rows = target ? as_rows(c, target) : NULL;
  LpTensor *counts = target_rows ? row_weights(c, target_rows, weight, ignore_index,
                                               (LpDtype)c->args[0].tensor->dtype)
                                 : NULL;
  LpTensor *total = sum_of_rows(c, counts), *r[2] = {NULL, NULL};
  if (!x || !t || !total || !lp_nll_loss_nd(x, t, weight, "none", ignore_index, r))
    return VMAP_FAILED;
  lp_tensor_release(r[1]);
  c->results[1].tensor = lp_tensor_retain(total);
  if (strcmp(reduction, "none") == 0) return result(c, ndim > 1 ? unfold(c, r[0]) : r[0]);
  LpTensor *rows = vmap_keep(c, r[0]) ? as_rows(c, r[0]) : NULL;
  return rows ? result(c, reduce_rows(lp_tensor_retain(rows), total, reduction))
              : VMAP_FAILED;
}

static Outcome nll_loss_grad(VmapCall *c) {
  LpTensor *weight = c->args[3].tensor, *total = c->args[4].tensor;
  const char *reduction = c->args[5].str;
  const int64_t ndim = c->args[1].ints.count;
  if (vmap_batched(c, weight) || ndim < 1) return VMAP_LOOP;
  LpTensor *t = nll_fold(c, c->args[2].tensor, ndim), *totals = vmap_front(c, total);
  if (!t || !totals || !fold_size(c, 1, ndim > 1)) return VMAP_FAILED;
  LpTensor *grad =
      spread_rows(c, c->args[0].tensor, totals, reduction, c->args[2].tensor->numel);
  LpTensor *g = grad ? vmap_reshape(c, grad, t->sizes, t->ndim) : NULL;
  LpTensor *any_total = g ? vmap_keep(c, lp_select(totals, 0, 0)) : NULL;
  if (!any_total) return VMAP_FAILED;
  LpTensor *gx =
      lp_nll_loss_nd_grad(g, c->a[1].ints, t, weight, any_total, "none", c->args[6].i);
  return result(c, ndim > 1 ? unfold(c, gx) : gx);
}

/* --- padding and resampling
 * ------------------------------------------------------------------------------------ */

static Outcome in_front(VmapCall *c) {
  for (int i = 0; i < c->op->n_args; i++) {
    if (!vmap_is_tensor(c->op->args[i].type) || !c->args[i].tensor) continue;
    if (!(c->a[i].tensor = vmap_front(c, c->args[i].tensor))) return VMAP_FAILED;
  }
  const int size = c->op->args[1].type == LP_ARG_INTS ? 1 : vmap_arg(c, "size");
  if (size >= 0 && strcmp(c->op->args[size].name, "size") == 0 &&
      c->op->args[size].type == LP_ARG_INTS && !fold_size(c, size, false))
    return VMAP_FAILED;
  return called(c);
}

static Outcome regroup(VmapCall *c) {
  const LpInts order = c->args[2].ints;
  int64_t *at = vmap_ints(c, order.count + 1);
  if (!at || !(c->a[0].tensor = vmap_front(c, c->args[0].tensor)) ||
      !fold_size(c, 1, false) || !fold_size(c, 3, false))
    return VMAP_FAILED;
  at[0] = 0;
  for (int64_t d = 0; d < order.count; d++) at[d + 1] = order.data[d] + 1;
  c->a[2].ints = lp_ints(at, order.count + 1);
  return called(c);
}

const VmapEntry lp_vmap_nn_rules[] = {
    {"max_pool", pool},
    {"max_pool_grad", pool},
    {"max_pool_scatter", pool},
    {"max_pool_gather", pool},
    {"adaptive_max_pool", pool},
    {"avg_pool", pool},
    {"avg_pool_grad", pool},
    {"adaptive_avg_pool", pool},
    {"adaptive_avg_pool_grad", pool},
    {"unfold_batch", fold_all},
    {"fold_batch", fold_all},
    {"convolution", convolution},
    {"convolution_input_grad", convolution_input_grad},
    {"native_layer_norm", layer_norm},
    {"native_group_norm", group_norm},
    {"native_batch_norm", batch_norm},
    {"channel_sum", channel_sum},
    {"embedding_rows", embedding_rows},
    {"cross_entropy_rows", cross_entropy_rows},
    {"cross_entropy_rows_grad", cross_entropy_rows_grad},
    {"nll_loss_nd", nll_loss},
    {"nll_loss_nd_grad", nll_loss_grad},
    {"pad_nd", in_front},
    {"pad_nd_adjoint", in_front},
    {"resample", in_front},
    {"resample_adjoint", in_front},
    {"regroup", regroup},
    {"regroup_back", regroup},
    {NULL, NULL}};
