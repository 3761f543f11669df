/* Autograd from C: gradients, second derivatives, views written in place, hooks, custom functions, and
 * failing allocations at every point of a forward and backward. */
#include "core/tensor.h"
#include "lampad/autograd.h"
#include "lampad/memory.h"
#include "lampad/ops.h"
#include "test.h"

static LpTensor *leaf(const float *values, int64_t n) {
  LpTensor *t = lp_tensor_new(lp_ints(&n, 1), LP_FLOAT32, lp_cpu());
  if (!t) return NULL;
  memcpy(lp_data(t), values, (size_t)n * sizeof(float));
  if (!lp_set_requires_grad(t, true)) {
    lp_tensor_release(t);
    return NULL;
  }
  return t;
}

static float value(LpTensor *t, int64_t i) { return ((const float *)lp_data(t))[i]; }

static const LpTensors none = {NULL, 0}, all_leaves = {NULL, -1};

static bool backward(LpTensor *root, bool retain_graph) {
  return lp_backward((LpTensors){&root, 1}, none, retain_graph, false, all_leaves);
}

TEST(autograd_gives_gradients_of_leaves) {
  LpTensor *x = leaf((float[]){1, 2, 3}, 3);
  LpTensor *square = lp_mul(x, x), *sum = lp_sum(square, LP_DTYPE_NONE);
  EXPECT(lp_requires_grad(sum) && !lp_is_leaf(sum) && lp_is_leaf(x));
  EXPECT(strcmp(lp_node_name(lp_grad_fn(square)), "MulBackward0") == 0);
  EXPECT(backward(sum, false));
  for (int i = 0; i < 3; i++) EXPECT(value(lp_grad(x), i) == 2 * value(x, i));
  EXPECT_FAILS(backward(sum, false), LP_ERR_AUTOGRAD, "a second time");
  lp_tensor_release(sum);
  lp_tensor_release(square);
  lp_tensor_release(x);
}

TEST(autograd_adds_up_and_keeps_graphs) {
  LpTensor *x = leaf((float[]){2}, 1);
  LpTensor *y = lp_mul(x, x);
  EXPECT(backward(y, true) && backward(y, true));
  EXPECT(value(lp_grad(x), 0) == 8);
  lp_tensor_release(y);
  lp_tensor_release(x);
}

TEST(autograd_gives_second_derivatives) {
  LpTensor *x = leaf((float[]){3}, 1), *first = NULL, *second = NULL;
  LpTensor *square = lp_mul(x, x), *cube = lp_mul(square, x);
  EXPECT(lp_autograd_grad((LpTensors){&cube, 1}, (LpTensors){&x, 1}, none, true, true, false, &first));
  EXPECT(value(first, 0) == 27 && lp_requires_grad(first));
  EXPECT(lp_autograd_grad((LpTensors){&first, 1}, (LpTensors){&x, 1}, none, false, false, false, &second));
  EXPECT(value(second, 0) == 18 && !lp_requires_grad(second));
  EXPECT(lp_grad(x) == NULL);
  LpTensor *all[] = {first, second, cube, square, x};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}

TEST(autograd_follows_writes_through_views) {
  LpTensor *p = leaf((float[]){5}, 1);
  int64_t n = 3;
  LpTensor *base = lp_zeros(lp_ints(&n, 1), LP_FLOAT32, lp_cpu(), false);
  LpTensor *view = lp_narrow(base, 0, 1, 1);
  EXPECT(lp_copy_(view, p, false));
  EXPECT(lp_requires_grad(base) && lp_requires_grad(view));
  EXPECT(strcmp(lp_node_name(lp_grad_fn(base)), "CopySlices") == 0);
  EXPECT(strcmp(lp_node_name(lp_grad_fn(view)), "AsStridedBackward0") == 0);
  LpTensor *square = lp_mul(base, base), *sum = lp_sum(square, LP_DTYPE_NONE);
  EXPECT(backward(sum, false));
  EXPECT(value(lp_grad(p), 0) == 10);
  LpTensor *all[] = {sum, square, view, base, p};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}

TEST(autograd_refuses_what_would_be_wrong) {
  LpTensor *x = leaf((float[]){1, 2}, 2);
  EXPECT_FAILS(lp_mul_(x, x), LP_ERR_AUTOGRAD, "a leaf Variable that requires grad");
  LpTensor *view = lp_narrow(x, 0, 0, 1);
  EXPECT_FAILS(lp_zero_(view), LP_ERR_AUTOGRAD, "a view of a leaf");
  LpTensor *s = lp_sigmoid(x), *sum = lp_sum(s, LP_DTYPE_NONE);
  EXPECT(lp_zero_(s));
  EXPECT_FAILS(backward(sum, true), LP_ERR_AUTOGRAD, "modified by an inplace operation");
  EXPECT_FAILS(backward(s, true), LP_ERR_AUTOGRAD, "implicitly created only for scalar outputs");
  LpTensor *plain = lp_detach(x);
  EXPECT_FAILS(backward(plain, false), LP_ERR_AUTOGRAD, "does not require grad");
  LpTensor *all[] = {plain, sum, s, view, x};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}

static bool tenfold(void *ctx, LpTensor *grad, LpTensor **result) {
  ++*(int *)ctx;
  LpTensor *ten = lp_tensor_wrapped(lp_scalar_int(10));
  *result = ten ? lp_mul(grad, ten) : NULL;
  lp_tensor_release(ten);
  return *result != NULL;
}

TEST(autograd_runs_hooks_once_and_removes_them) {
  LpTensor *x = leaf((float[]){1}, 1);
  int calls = 0;
  int64_t id = lp_register_hook(x, tenfold, &calls, NULL);
  EXPECT(id > 0);
  LpTensor *y = lp_mul(x, x); /* two gradients reach the leaf: the hook sees their sum */
  EXPECT(backward(y, true));
  EXPECT(calls == 1 && value(lp_grad(x), 0) == 20);
  lp_remove_hook(x, id);
  EXPECT(backward(y, false));
  EXPECT(calls == 1 && value(lp_grad(x), 0) == 22);
  lp_tensor_release(y);
  lp_tensor_release(x);
}

static bool custom_backward(void *ctx, LpTensor *const *grads, int n_grads, LpTensor **results, int n_results) {
  results[0] = lp_neg(grads[0]);
  return results[0] != NULL;
}
static void count_free(void *ctx) { ++*(int *)ctx; }

TEST(autograd_runs_custom_functions) {
  LpTensor *x = leaf((float[]){4}, 1);
  int freed = 0;
  lp_set_grad_enabled(false);
  LpTensor *y = lp_neg(x);
  lp_set_grad_enabled(true);
  const LpCustomBackward fn = {"NegateBackward", custom_backward, count_free, &freed};
  EXPECT(lp_attach_custom(&fn, (LpTensors){&x, 1}, (LpTensors){&y, 1}));
  EXPECT(strcmp(lp_node_name(lp_grad_fn(y)), "NegateBackward") == 0);
  EXPECT(backward(y, false));
  EXPECT(value(lp_grad(x), 0) == -1);
  lp_tensor_release(y);
  EXPECT(freed == 1);
  lp_tensor_release(x);
}

/* A long chain is freed without recursion. */
TEST(autograd_frees_long_chains) {
  LpTensor *x = leaf((float[]){1}, 1), *y = lp_neg(x);
  for (int i = 0; i < 200000 && y; i++) {
    LpTensor *next = lp_neg(y);
    lp_tensor_release(y);
    y = next;
  }
  EXPECT(y != NULL);
  lp_tensor_release(y);
  lp_tensor_release(x);
}

static bool train_step(void) {
  bool ok = false;
  LpTensor *x = leaf((float[]){1, 2, 3, 4}, 4), *s = NULL, *p = NULL, *sum = NULL;
  if (x && (s = lp_sigmoid(x)) && (p = lp_mul(s, x)) && (sum = lp_sum(p, LP_DTYPE_NONE)))
    ok = backward(sum, false) && lp_grad(x) != NULL;
  lp_tensor_release(sum);
  lp_tensor_release(p);
  lp_tensor_release(s);
  lp_tensor_release(x);
  return ok;
}

TEST(autograd_survives_failing_allocations) {
  EXPECT(train_step());
  int failures = 0;
  for (int64_t after = 0; after < 500; after++) {
    lp_memory_fail_after(after);
    const bool ok = train_step();
    lp_memory_fail_after(-1);
    if (ok) break;
    EXPECT(lp_last_error()->code == LP_ERR_MEMORY);
    failures++;
  }
  EXPECT(failures > 10 && failures < 500);
  EXPECT(train_step());
}
