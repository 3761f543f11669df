/* Autograd's record of a tensor: leaf state, history, views and in-place changes. See node.h. */
#include "autograd/meta.h"

#include "autograd/formula.h"
#include "core/alloc.h"
#include "dispatch/iter.h"
#include "lampad/ops.h"
#include "vmap/vmap.h"

_Thread_local bool lp_tls_grad_enabled = true;
_Thread_local bool lp_tls_recorded;

bool lp_grad_enabled(void) { return lp_tls_grad_enabled; }
void lp_set_grad_enabled(bool enabled) { lp_tls_grad_enabled = enabled; }
bool lp_inference_enabled(void) { return lp_tls_inference; }
void lp_set_inference_enabled(bool enabled) { lp_tls_inference = enabled; }

bool lp_is_inference(const LpTensor *t) { return t->flags & LP_FLAG_INFERENCE; }

LpAutograd *lp_autograd_of(LpTensor *t) {
  if (!t->autograd) t->autograd = lp_calloc(sizeof(LpAutograd));
  return t->autograd;
}

void lp_hooks_free(LpHookEntry *hooks) {
  while (hooks) {
    LpHookEntry *next = hooks->next;
    if (hooks->free_ctx) hooks->free_ctx(hooks->ctx);
    lp_free(hooks, sizeof *hooks);
    hooks = next;
  }
}

void lp_autograd_free(LpAutograd *meta) {
  if (meta->retains_grad && meta->grad_fn) lp_node_unwatch(meta->grad_fn, meta);
  lp_hooks_free(meta->hooks);
  lp_post_hooks_free(meta->post_hooks);
  lp_tensor_release(meta->grad);
  lp_node_release(meta->grad_fn);
  lp_tensor_release(meta->base);
  lp_free(meta, sizeof *meta);
}

bool lp_requires_grad(const LpTensor *t) {
  const LpAutograd *meta = t->autograd;
  return meta && (meta->requires_grad || meta->grad_fn ||
                  (meta->base && lp_requires_grad(meta->base)));
}

bool lp_any_wants_grad(LpTensors tensors) {
  if (!lp_tls_grad_enabled) return false;
  for (int64_t i = 0; i < tensors.count; i++)
    if (lp_wants_grad(tensors.data[i])) return true;
  return false;
}

bool lp_set_requires_grad(LpTensor *t, bool requires_grad) {
  CHECK(!requires_grad || lp_dtype_is_differentiable(t->dtype), LP_ERR_TYPE,
        "only Tensors of floating point and complex dtype can require gradients, got %s",
        lp_dtype_name(t->dtype));
  TRY(lp_refresh_history(t));
  CHECK(!requires_grad || !(t->flags & LP_FLAG_INFERENCE) || lp_tls_inference, LP_ERR_AUTOGRAD,
        "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed");
  if (lp_grad_fn(t)) {
    CHECK(requires_grad, LP_ERR_AUTOGRAD,
          "you can only change requires_grad flags of leaf variables; use detach() for a "
          "tensor without history");
    return true;
  }
  if (!requires_grad && !t->autograd) return true;
  LpAutograd *meta = lp_autograd_of(t);
  TRY(meta);
  meta->requires_grad = requires_grad;
  return true;
}

bool lp_is_leaf(const LpTensor *t) { return lp_grad_fn((LpTensor *)t) == NULL; }
LpTensor *lp_grad(const LpTensor *t) { return t->autograd ? t->autograd->grad : NULL; }
bool lp_is_view(const LpTensor *t) { return t->autograd && t->autograd->base; }
LpTensor *lp_base(const LpTensor *t) { return t->autograd ? t->autograd->base : NULL; }
bool lp_retains_grad(const LpTensor *t) { return t->autograd && t->autograd->retains_grad; }

bool lp_set_grad(LpTensor *t, LpTensor *grad) {
  if (!grad && !t->autograd) return true;
  if (grad) {
    CHECK(grad != t, LP_ERR_ARGUMENT, "a tensor cannot be its own grad; assign a clone()");
    CHECK(lp_same_shape(t, grad), LP_ERR_ARGUMENT,
          "assigned grad has data of a different size: the tensor is %s, the grad %s", SHAPE_TEXT(t),
          SHAPE_TEXT(grad));
    CHECK(t->dtype == grad->dtype, LP_ERR_TYPE,
          "assigned grad has data of a different type: the tensor is %s, the grad %s",
          lp_dtype_name(t->dtype), lp_dtype_name(grad->dtype));
  }
  LpAutograd *meta = lp_autograd_of(t);
  TRY(meta);
  LpTensor *old = meta->grad;
  meta->grad = lp_tensor_retain(grad);
  lp_tensor_release(old);
  return true;
}

bool lp_set_history(LpTensor *t, LpNode *node, int output_nr) {
  LpAutograd *meta = lp_autograd_of(t);
  TRY(meta);
  LpNode *old = meta->grad_fn;
  meta->grad_fn = lp_node_retain(node);
  meta->output_nr = output_nr;
  meta->requires_grad = false;
  meta->view_version = lp_version(t);
  lp_node_release(old);
  return true;
}

/* The history of a view after its memory was written: as_strided of its base as the base is now. */
static bool regenerate_view(LpTensor *t) {
  LpAutograd *meta = t->autograd;
  const bool mode = lp_tls_grad_enabled;
  lp_tls_grad_enabled = true;
  LpTensor *again = lp_as_strided(meta->base, lp_sizes(t), lp_strides(t),
                                  (LpOptInt){true, t->offset_elems});
  lp_tls_grad_enabled = mode;
  TRY(again);
  LpAutograd *fresh = again->autograd;
  bool ok = true;
  if (fresh && fresh->grad_fn) ok = lp_set_history(t, fresh->grad_fn, fresh->output_nr);
  else meta->view_version = lp_version(t);
  lp_tensor_release(again);
  return ok;
}

bool lp_refresh_history(LpTensor *t) {
  const LpAutograd *meta = t->autograd;
  if (LP_LIKELY(!meta || !meta->base) || meta->view_version == lp_version(t)) return true;
  return !lp_requires_grad(meta->base) || regenerate_view(t);
}

LpNode *lp_grad_fn(LpTensor *t) {
  return t->autograd && lp_refresh_history(t) ? t->autograd->grad_fn : NULL;
}

bool lp_retain_grad(LpTensor *t) {
  CHECK(lp_requires_grad(t), LP_ERR_AUTOGRAD, "can't retain_grad on Tensor that has requires_grad=False");
  if (lp_is_leaf(t)) return true;
  if (t->autograd->retains_grad) return true;
  TRY(lp_node_watch(t->autograd->grad_fn, t->autograd->output_nr, t->autograd));
  t->autograd->retains_grad = true;
  return true;
}

LpTensor *lp_data_of(LpTensor *t) {
  LpTensor *data = lp_tensor_shallow(t);
  TRY(data);
  data->flags |= LP_FLAG_OWN_VERSION;
  if (t->physical) {
    LpTensor *below = lp_data_of(t->physical), *old = data->physical;
    if (below) data->physical = below;
    else lp_drop(&data);
    lp_tensor_release(below ? old : NULL);
  }
  return data;
}

bool lp_set_data(LpTensor *t, LpTensor *data) {
  CHECK(t->dtype == data->dtype || !lp_requires_grad(t), LP_ERR_TYPE,
        "x.data = y of another dtype (%s for %s) on a tensor that requires grad",
        lp_dtype_name(data->dtype), lp_dtype_name(t->dtype));
  LpStorage *old = t->storage;
  const int8_t old_dtype = t->dtype;
  t->dtype = data->dtype;
  t->storage = lp_storage_retain(data->storage);
  if (!lp_tensor_set_geometry(t, lp_sizes(data), lp_strides(data), data->offset_elems)) {
    lp_storage_release(t->storage);
    t->storage = old;
    t->dtype = old_dtype;
    return false;
  }
  lp_storage_release(old);
  return true;
}

bool lp_detach_history(LpTensor *t) {
  LpAutograd *meta = t->autograd;
  if (!meta) return true;
  CHECK(!meta->base, LP_ERR_AUTOGRAD, "Can't detach views in-place. Use detach() instead");
  if (meta->retains_grad && meta->grad_fn) lp_node_unwatch(meta->grad_fn, meta);
  LpNode *old = meta->grad_fn;
  meta->grad_fn = NULL;
  meta->output_nr = 0;
  meta->requires_grad = meta->retains_grad = false;
  lp_node_release(old);
  return true;
}

/* --- views --------------------------------------------------------------------------------- */

bool lp_view_attach(LpTensor *view, LpTensor *self) {
  if (view == self || view->storage != self->storage ||
      !lp_dtype_is_differentiable(view->dtype))
    return true;
  LpTensor *base = self->autograd && self->autograd->base ? self->autograd->base : self;
  LpAutograd *meta = lp_autograd_of(view);
  TRY(meta);
  if (meta->base) return true;
  meta->base = lp_tensor_retain(base);
  meta->view_version = lp_version(view);
  return true;
}

/* --- in place ------------------------------------------------------------------------------- */

bool lp_inplace_check(LpTensor *self) {
  CHECK(!(self->flags & LP_FLAG_INFERENCE) || lp_tls_inference, LP_ERR_AUTOGRAD,
        "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get "
        "a normal tensor before doing inplace update");
  if (!lp_wants_grad(self)) return true;
  const LpTensor *base = self->autograd ? self->autograd->base : NULL;
  CHECK(!base || !lp_is_leaf(base), LP_ERR_AUTOGRAD,
        "a view of a leaf Variable that requires grad is being used in an in-place operation; do it "
        "under torch.no_grad(), or on a clone()");
  CHECK(!lp_is_leaf(self), LP_ERR_AUTOGRAD,
        "a leaf Variable that requires grad is being used in an in-place operation; do it under "
        "torch.no_grad(), or on a clone()");
  return true;
}

/* CopySlices: the history of a base one of whose views was written. Its gradient for the base is
 * the incoming one with the view's part replaced by what the writing op's backward makes of it. */
typedef struct CopySlicesNode {
  LpNode node;
  LpNode *inner; /* the op that wrote the view; its edge 0 is the view itself */
  LpInts base_sizes, base_strides;
  LpInts sizes, strides;
  int64_t offset_elems; /* of the view, from the base's first element */
} CopySlicesNode;

static bool backward_copy_slices(LpNode *base, LpTensor *const *grads, LpTensor **results) {
  CopySlicesNode *n = (CopySlicesNode *)base;
  LpTensor **inner_results = lp_calloc((size_t)n->inner->n_edges * sizeof(LpTensor *) + 1);
  if (!inner_results) return false;
  bool ok = false;
  const LpOptInt offset = {true, n->offset_elems};
  /* Under vmap the parts may be batches where the whole is none. */
  LpTensor *result = NULL, *slice = NULL, *slice_grad = NULL, *grad = lp_vmap_batch_fully(grads[0]);
  if (!grad) goto fail;
  if (!(result = lp_vmap_new_strided(grad, n->base_sizes, n->base_strides, grad->dtype))) goto fail;
  if (!lp_copy_(result, grad, false)) goto fail;
  if (!(slice = lp_as_strided(result, n->sizes, n->strides, offset))) goto fail;
  if (!(slice_grad = lp_clone(slice, LP_CONTIGUOUS))) goto fail;
  if (!n->inner->cls->backward(n->inner, &slice_grad, inner_results)) goto fail;
  if (!inner_results[0] &&
      !(inner_results[0] = lp_zeros(n->sizes, slice_grad->dtype, lp_device(slice_grad), false)))
    goto fail;
  if (!lp_copy_(slice, inner_results[0], false)) goto fail;
  results[0] = lp_tensor_retain(result);
  for (int i = 1; i < n->inner->n_edges; i++) {
    results[i] = inner_results[i];
    inner_results[i] = NULL;
  }
  ok = true;
fail:
  for (int i = 0; i < n->inner->n_edges; i++) lp_tensor_release(inner_results[i]);
  lp_free(inner_results, (size_t)n->inner->n_edges * sizeof(LpTensor *) + 1);
  lp_tensor_release(grad);
  lp_tensor_release(slice_grad);
  lp_tensor_release(slice);
  lp_tensor_release(result);
  return ok;
}

static void finalize_copy_slices(LpNode *base) {
  LpNode *inner = ((CopySlicesNode *)base)->inner;
  if (!inner) return;
  inner->slices = NULL;
  lp_node_release(inner);
}

LpTensor *lp_slices_output(LpNode *slices, LpTensor *view) {
  const CopySlicesNode *n = (const CopySlicesNode *)slices;
  LpTensor *base =
      lp_tensor_alias(view, n->base_sizes, n->base_strides, view->offset_elems - n->offset_elems);
  LpTensor *result = NULL;
  if (base && lp_set_history(base, slices, 0))
    result = lp_as_strided(base, n->sizes, n->strides, (LpOptInt){true, view->offset_elems});
  lp_tensor_release(base);
  return result;
}

static const LpNodeClass copy_slices_class = {"CopySlices", backward_copy_slices, finalize_copy_slices};

/* Makes `inner`, which wrote the view self, the history of self's base. */
static bool rebase_view(LpTensor *self, LpNode *inner) {
  LpTensor *base = self->autograd->base;
  CopySlicesNode *n = (CopySlicesNode *)lp_node_new(&copy_slices_class, sizeof *n, inner->n_edges, 0,
                                                    2 * (int64_t)(self->ndim + base->ndim));
  TRY(n);
  n->inner = lp_node_retain(inner);
  inner->slices = &n->node;
  n->base_sizes = lp_node_keep_ints(&n->node, lp_sizes(base));
  n->base_strides = lp_node_keep_ints(&n->node, lp_strides(base));
  n->sizes = lp_node_keep_ints(&n->node, lp_sizes(self));
  n->strides = lp_node_keep_ints(&n->node, lp_strides(self));
  n->offset_elems = self->offset_elems - base->offset_elems;
  n->node.n_outputs = 1;
  bool ok = !base->autograd || lp_node_set_edge(&n->node, 0, base);
  for (int i = 1; i < inner->n_edges; i++) {
    n->node.edges[i] = inner->edges[i];
    lp_node_retain(inner->edges[i].node);
  }
  ok = ok && lp_set_history(base, &n->node, 0);
  if (ok) self->autograd->view_version = lp_version(self) - 1; /* regenerate on the next look */
  lp_node_release(&n->node);
  return ok;
}

bool lp_inplace_done(LpTensor *self, LpNode *node) {
  if (!self->physical) lp_bump_version(self); /* a batch has counted its own write */
  if (!node) {
    /* Written without recording: a view's base may have history that still holds. */
    return true;
  }
  if (self->autograd && self->autograd->base) return rebase_view(self, node);
  return lp_node_attach(node, &self, 1);
}

static bool backward_cut(LpNode *node, LpTensor *const *grads, LpTensor **results) { return true; }
static const LpNodeClass cut_class = {"NotDifferentiableBackward0", backward_cut, NULL};

bool lp_inplace_cut(LpTensor *self, LpNode **node) {
  *node = NULL;
  return !lp_wants_grad(self) || (*node = lp_node_new(&cut_class, sizeof(LpNode), 1, 0, 0)) != NULL;
}

bool lp_out_check(LpTensor *const *outs, int n_outs, bool any_input_wants_grad) {
  for (int i = 0; i < n_outs; i++) {
    CHECK(!any_input_wants_grad && !lp_wants_grad(outs[i]), LP_ERR_AUTOGRAD,
          "functions with out=... arguments don't support automatic differentiation, but one of the "
          "arguments requires grad");
  }
  return true;
}

bool lp_assign_inplace(LpTensor *self, LpTensor *value) {
  CHECK(lp_same_shape(self, value), LP_ERR_ARGUMENT,
        "in place: the result has shape %s, which does not fit the tensor's %s", SHAPE_TEXT(value),
        SHAPE_TEXT(self));
  return lp_copy_(self, value, false);
}

bool lp_assign_out(LpTensor *out, LpTensor *value) {
  CHECK(lp_can_cast(lp_dtype(value), lp_dtype(out)), LP_ERR_TYPE,
        "result type %s can't be cast to the out tensor's type %s",
        lp_dtype_name(lp_dtype(value)), lp_dtype_name(lp_dtype(out)));
  TRY(lp_tensor_resize_out(out, lp_sizes(value)));
  const bool mode = lp_tls_grad_enabled;
  lp_tls_grad_enabled = false;
  const bool ok = lp_copy_(out, value, false);
  lp_tls_grad_enabled = mode;
  return ok;
}
