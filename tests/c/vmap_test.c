/* Batched tensors from C: values, nesting, both orders of differentiation, randomness,
 * hooks of graphs, and failing allocations at every point of a call under vmap. */
#include "core/tensor.h"
#include "core/value.h"
#include "lampad/autograd.h"
#include "lampad/memory.h"
#include "lampad/ops.h"
#include "lampad/vmap.h"
#include "test.h"
#include "vmap/rules.h"

static const LpTensors none = {NULL, 0}, all_leaves = {NULL, -1};

static LpTensor *matrix(int64_t rows, int64_t columns) {
  const int64_t sizes[] = {rows, columns};
  LpTensor *t = lp_tensor_new(lp_ints(sizes, 2), LP_FLOAT32, lp_cpu());
  if (t)
    for (int64_t i = 0; i < t->numel; i++) ((float *)lp_data(t))[i] = (float)(i + 1);
  return t;
}

static float at(LpTensor *t, int64_t i) {
  LpTensor *flat = lp_contiguous(t, LP_CONTIGUOUS);
  const float v = ((const float *)lp_data(flat))[i];
  lp_tensor_release(flat);
  return v;
}

TEST(vmap_computes_a_batch_at_once) {
  LpTensor *x = matrix(2, 3);
  const uint32_t level = lp_vmap_enter(2, LP_VMAP_ERROR);
  EXPECT(level > 0 && lp_vmap_depth() == 1);
  LpTensor *b = lp_vmap_wrap(x, 0, level);
  EXPECT(lp_ndim(b) == 1 && lp_size(b, 0) == 3 && lp_vmap_is_batched(b, level));
  LpTensor *sum = lp_sum(b, LP_DTYPE_NONE), *scaled = lp_mul(b, sum);
  EXPECT(lp_ndim(sum) == 0 && lp_ndim(scaled) == 1);
  LpScalar value;
  EXPECT_FAILS(lp_item(sum, &value), LP_ERR_ARGUMENT, "calling .item()");
  LpTensor *out = lp_vmap_unwrap(scaled, 1, level);
  EXPECT(lp_size(out, 0) == 3 && lp_size(out, 1) == 2);
  EXPECT(at(out, 0) == 6 && at(out, 1) == 60 && at(out, 5) == 90);
  /* What is not batched is repeated. */
  LpTensor *plain = lp_vmap_unwrap(x, 0, level);
  EXPECT(lp_ndim(plain) == 3 && lp_size(plain, 0) == 2);
  lp_vmap_leave(level);
  EXPECT(lp_vmap_depth() == 0);
  LpTensor *all[] = {plain, out, scaled, sum, b, x};
  for (int i = 0; i < 6; i++) lp_tensor_release(all[i]);
}

TEST(vmap_levels_nest) {
  LpTensor *x = matrix(2, 3);
  const uint32_t outer = lp_vmap_enter(2, LP_VMAP_ERROR),
                 inner = lp_vmap_enter(3, LP_VMAP_ERROR);
  LpTensor *row = lp_vmap_wrap(x, 0, outer), *element = lp_vmap_wrap(row, 0, inner);
  EXPECT(lp_ndim(element) == 0);
  LpTensor *square = lp_mul(element, element),
           *mixed = lp_add(square, row, lp_scalar_int(1));
  EXPECT(lp_ndim(mixed) == 1 && lp_size(mixed, 0) == 3);
  LpTensor *rows = lp_vmap_unwrap(mixed, 0, inner);
  lp_vmap_leave(inner);
  LpTensor *out = lp_vmap_unwrap(rows, 0, outer);
  lp_vmap_leave(outer);
  EXPECT(lp_ndim(out) == 3 && lp_numel(out) == 18);
  EXPECT(at(out, 0) == 2 && at(out, 1) == 3 && at(out, 17) == 42);
  LpTensor *all[] = {out, rows, mixed, square, element, row, x};
  for (int i = 0; i < 7; i++) lp_tensor_release(all[i]);
}

/* sum(x^3) of each row, by a gradient inside of vmap (logical) and one outside
 * (physical). */
TEST(vmap_and_gradients_meet_in_both_orders) {
  LpTensor *x = matrix(2, 2);
  EXPECT(lp_set_requires_grad(x, true));
  const uint32_t level = lp_vmap_enter(2, LP_VMAP_ERROR);
  LpTensor *b = lp_vmap_wrap(x, 0, level), *own = lp_func_leaf(b);
  EXPECT(lp_requires_grad_below(own));
  LpTensor *square = lp_mul(own, own), *cube = lp_mul(square, own),
           *sum = lp_sum(cube, LP_DTYPE_NONE);
  LpTensor *grad = NULL;
  bool others;
  EXPECT(lp_depends_on_others((LpTensors){&sum, 1}, (LpTensors){&own, 1}, &others) &&
         !others);
  EXPECT(lp_depends_on_others((LpTensors){&sum, 1}, none, &others) && others);
  EXPECT(lp_autograd_grad((LpTensors){&sum, 1}, (LpTensors){&own, 1}, none, true, true,
                          false, &grad));
  lp_func_leaf_end(own);
  LpTensor *rows = lp_vmap_unwrap(grad, 0, level);
  lp_vmap_leave(level);
  EXPECT(at(rows, 0) == 3 && at(rows, 3) == 48);
  LpTensor *total = lp_sum(rows, LP_DTYPE_NONE);
  EXPECT(lp_backward((LpTensors){&total, 1}, none, false, false, all_leaves));
  EXPECT(at(lp_grad(x), 0) == 6 && at(lp_grad(x), 3) == 24);
  LpTensor *all[] = {total, rows, grad, sum, cube, square, own, b, x};
  for (int i = 0; i < 9; i++) lp_tensor_release(all[i]);
}

TEST(vmap_obeys_randomness) {
  const int64_t size = 4;
  const LpVmapRandomness modes[] = {LP_VMAP_SAME, LP_VMAP_DIFFERENT};
  for (int k = 0; k < 2; k++) {
    const uint32_t level = lp_vmap_enter(3, modes[k]);
    LpTensor *t = lp_rand(lp_ints(&size, 1), NULL, LP_DTYPE_NONE, lp_cpu(), false);
    EXPECT(lp_ndim(t) == 1 && lp_vmap_is_batched(t, level) == (k == 1));
    lp_vmap_leave(level);
    lp_tensor_release(t);
  }
  const uint32_t level = lp_vmap_enter(3, LP_VMAP_ERROR);
  EXPECT_FAILS(lp_rand(lp_ints(&size, 1), NULL, LP_DTYPE_NONE, lp_cpu(), false) != NULL,
               LP_ERR_ARGUMENT, "randomness error mode");
  lp_vmap_leave(level);
}

TEST(vmap_refuses_to_write_batches_into_less) {
  LpTensor *x = matrix(2, 3), *row = matrix(1, 3);
  const uint32_t level = lp_vmap_enter(2, LP_VMAP_ERROR);
  LpTensor *b = lp_vmap_wrap(x, 0, level);
  EXPECT_FAILS(lp_add_(row, b, lp_scalar_int(1)), LP_ERR_ARGUMENT, "not possible");
  EXPECT_FAILS(lp_add_out(row, b, b, lp_scalar_int(1)), LP_ERR_ARGUMENT, "out=");
  lp_vmap_leave(level);
  lp_tensor_release(b);
  lp_tensor_release(row);
  lp_tensor_release(x);
}

/* Every rule is of an op that exists. */
TEST(vmap_rules_name_ops) {
  int count;
  const LpOpInfo *const *ops = lp_op_db(&count);
  const VmapEntry *const lists[] = {lp_vmap_rules, lp_vmap_nn_rules,
                                    lp_vmap_random_rules};
  for (int k = 0; k < 3; k++) {
    for (const VmapEntry *e = lists[k]; e->op; e++) {
      bool found = false;
      for (int i = 0; i < count && !found; i++) found = strcmp(ops[i]->cname, e->op) == 0;
      if (!found) test_failure(__FILE__, __LINE__, "the rule '%s' names no op", e->op);
    }
  }
}

/* A forward, a logical and a physical gradient through pointwise ops, a view, a product
 * and the loop. */
static bool batched_step(void) {
  bool ok = false;
  LpTensor *x = matrix(3, 4), *b = NULL, *own = NULL, *s = NULL, *v = NULL, *p = NULL,
           *m = NULL, *sum = NULL;
  LpTensor *grad = NULL, *out = NULL, *total = NULL, *taken = NULL, *index = NULL;
  const int64_t wide[] = {2, 2}, one = 1;
  uint32_t level = 0;
  if (!x || !lp_set_requires_grad(x, true) || !(level = lp_vmap_enter(3, LP_VMAP_ERROR)))
    goto done;
  if (!(b = lp_vmap_wrap(x, 0, level)) || !(own = lp_func_leaf(b))) goto done;
  if (!(index = lp_zeros(lp_ints(&one, 1), LP_INT64, lp_cpu(), false))) goto done;
  if (!(s = lp_sigmoid(own)) || !(v = lp_view(s, lp_ints(wide, 2))) || !(p = lp_mm(v, v)))
    goto done;
  if (!(taken = lp_take(p, index)) || !(m = lp_mul(p, taken)) ||
      !(sum = lp_sum(m, LP_DTYPE_NONE)))
    goto done;
  if (!lp_autograd_grad((LpTensors){&sum, 1}, (LpTensors){&own, 1}, none, true, true,
                        false, &grad))
    goto done;
  if (!(out = lp_vmap_unwrap(grad, 0, level)) || !(total = lp_sum(out, LP_DTYPE_NONE)))
    goto done;
  lp_vmap_leave(level);
  level = 0;
  ok = lp_backward((LpTensors){&total, 1}, none, false, false, all_leaves);
done:
  if (level) lp_vmap_leave(level);
  LpTensor *all[] = {total, out, grad, sum, m, taken, p, v, s, index, own, b, x};
  for (int i = 0; i < 13; i++) lp_tensor_release(all[i]);
  return ok;
}

TEST(vmap_survives_failing_allocations) {
  EXPECT(batched_step());
  int failures = 0;
  for (int64_t after = 0; after < 4000; after++) {
    lp_memory_fail_after(after);
    const bool ok = batched_step();
    lp_memory_fail_after(-1);
    if (ok) break;
    if (lp_last_error()->code != LP_ERR_MEMORY)
      test_failure(__FILE__, __LINE__, "allocation %lld: %s", (long long)after,
                   lp_last_error()->message);
    failures++;
  }
  EXPECT(failures > 50 && failures < 4000);
  EXPECT(batched_step() && lp_vmap_depth() == 0);
}

/* --- what hangs on graphs
 * ------------------------------------------------------------------------------ */

static bool double_grads(void *ctx, LpTensor *const *grad_inputs, int n_inputs,
                         LpTensor *const *grad_outputs, int n_outputs,
                         LpTensor **replaced) {
  ++*(int *)ctx;
  LpTensor *const *from = grad_inputs ? grad_inputs : grad_outputs;
  if (from[0]) replaced[0] = lp_add(from[0], from[0], lp_scalar_int(1));
  return !from[0] || replaced[0];
}
static bool note_leaf(void *ctx, LpTensor *l) {
  ++*(int *)ctx;
  return lp_grad(l) != NULL;
}
static void count_free(void *ctx) {
  *(int *)ctx += 100;
}

TEST(hooks_of_nodes_and_leaves_run) {
  LpTensor *x = matrix(1, 2);
  int before = 0, after = 0, leaf = 0;
  EXPECT(lp_set_requires_grad(x, true));
  LpTensor *y = lp_mul(x, x), *sum = lp_sum(y, LP_DTYPE_NONE);
  EXPECT(lp_node_register_hook(lp_grad_fn(y), true, double_grads, &before, count_free) >
         0);
  const int64_t id =
      lp_node_register_hook(lp_grad_fn(y), false, double_grads, &after, count_free);
  EXPECT(lp_register_post_accumulate_hook(x, note_leaf, &leaf, count_free) > 0);
  EXPECT(lp_backward((LpTensors){&sum, 1}, none, true, false, all_leaves));
  EXPECT(before == 1 && after == 1 && leaf == 1 &&
         at(lp_grad(x), 0) == 6); /* 2 x, doubled, and 2 x */
  lp_node_remove_hook(lp_grad_fn(y), id);
  EXPECT(after == 101);
  EXPECT(lp_backward((LpTensors){&sum, 1}, none, false, false, all_leaves));
  EXPECT(at(lp_grad(x), 0) == 10);
  lp_tensor_release(sum);
  lp_tensor_release(y);
  EXPECT(before == 102);
  lp_tensor_release(x);
  EXPECT(leaf == 102);
}

static bool pack(void *ctx, LpTensor *t, void **packed) {
  ++*(int *)ctx;
  *packed = lp_clone(t, LP_FORMAT_NONE);
  return *packed != NULL;
}
static bool unpack(void *packed, LpTensor **result) {
  *result = lp_tensor_retain(packed);
  return true;
}
static void free_packed(void *packed) {
  lp_tensor_release(packed);
}

TEST(hooks_pack_saved_tensors) {
  static const LpSavedHooks hooks = {pack, unpack, free_packed};
  int packed = 0;
  LpTensor *x = matrix(1, 2), *first = NULL, *second = NULL;
  EXPECT(lp_set_requires_grad(x, true));
  lp_set_saved_hooks(&hooks, &packed);
  LpTensor *y = lp_exp(x), *z = lp_mul(y, x), *sum = lp_sum(z, LP_DTYPE_NONE);
  lp_set_saved_hooks(NULL, NULL);
  EXPECT(packed == 3);
  EXPECT(lp_autograd_grad((LpTensors){&sum, 1}, (LpTensors){&x, 1}, none, true, true,
                          false, &first));
  LpTensor *total = lp_sum(first, LP_DTYPE_NONE);
  EXPECT(lp_autograd_grad((LpTensors){&total, 1}, (LpTensors){&x, 1}, none, false, false,
                          false, &second));
  EXPECT_NEAR(at(first, 0), 2 * 2.718281828, 1e-5);
  EXPECT_NEAR(at(second, 0), 3 * 2.718281828, 1e-5);
  LpTensor *all[] = {second, total, first, sum, z, y, x};
  for (int i = 0; i < 7; i++) lp_tensor_release(all[i]);
}

TEST(anomalies_are_named) {
  LpTensor *x = matrix(1, 1),
           *zero = lp_zeros_like(x, LP_DTYPE_NONE, lp_cpu(), LP_FORMAT_NONE, false);
  EXPECT(lp_set_requires_grad(zero, true));
  lp_set_anomaly(true, true);
  LpTensor *root = lp_sqrt(zero), *none_of_it = lp_sub(x, x, lp_scalar_int(1)),
           *y = lp_mul(root, none_of_it);
  EXPECT_FAILS(lp_backward((LpTensors){&y, 1}, none, false, false, all_leaves),
               LP_ERR_AUTOGRAD,
               "Function 'SqrtBackward0' returned nan values in its 0th output.");
  lp_set_anomaly(false, true);
  LpTensor *all[] = {y, none_of_it, root, zero, x};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}
