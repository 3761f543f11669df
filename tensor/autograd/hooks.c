/* Hooks of nodes, of leaves and of saved tensors, and anomaly detection: what a host
 * hangs on a graph. The engine (engine.c) and nodes (node.c) ask here. */
#include <stdlib.h>
#include <string.h>

#include "autograd/formula.h"
#include "autograd/meta.h"
#include "core/alloc.h"
#include "lampad/ops.h"

/* --- nodes' own hooks
 * -------------------------------------------------------------------------------- */

int64_t lp_node_register_hook(LpNode *node, bool pre, LpNodeHookFn hook, void *ctx,
                              void (*free_ctx)(void *ctx)) {
  LpNodeHook *h = lp_calloc(sizeof *h);
  if (!h) {
    if (free_ctx) free_ctx(ctx);
    return 0;
  }
  *h = (LpNodeHook){lp_new_hook_id(), hook, ctx, free_ctx, NULL};
  LpNodeHook **at = pre ? &node->pre_hooks : &node->post_hooks;
  while (*at) at = &(*at)->next;
  *at = h;
  return h->id;
}

/* Hooks removed by a hook, while their list is walked: the entries stay and do nothing.
 */
static bool dead_node_hook(void *ctx, LpTensor *const *grad_inputs, int n_inputs,
                           LpTensor *const *grad_outputs, int n_outputs,
                           LpTensor **replaced) {
  return true;
}
static bool dead_leaf_hook(void *ctx, LpTensor *leaf) {
  return true;
}

static void node_hook_free(LpNodeHook *h) {
  if (h->free_ctx) h->free_ctx(h->ctx);
  lp_free(h, sizeof *h);
}

void lp_node_remove_hook(LpNode *node, int64_t id) {
  LpNodeHook **const lists[] = {&node->pre_hooks, &node->post_hooks};
  for (int k = 0; k < 2; k++) {
    for (LpNodeHook **at = lists[k]; *at; at = &(*at)->next) {
      if ((*at)->id != id) continue;
      LpNodeHook *gone = *at;
      if (lp_backward_id()) {
        if (gone->free_ctx) gone->free_ctx(gone->ctx);
        *gone = (LpNodeHook){-1, dead_node_hook, NULL, NULL, gone->next};
        return;
      }
      *at = gone->next;
      node_hook_free(gone);
      return;
    }
  }
}

bool lp_hook_replace(LpTensor **at, LpTensor *replacement) {
  const LpTensor *was = *at;
  bool ok = true;
  if (was && !lp_same_shape(was, replacement))
    ok = lp_fail(LP_ERR_AUTOGRAD, "a hook has changed the size of a gradient from %s to %s", SHAPE_TEXT(was),
                 SHAPE_TEXT(replacement));
  else if (was && was->dtype != replacement->dtype)
    ok = lp_fail(LP_ERR_AUTOGRAD, "a hook has changed the type of a gradient from %s to %s",
                 lp_dtype_name(was->dtype), lp_dtype_name(replacement->dtype));
  lp_tensor_release(ok ? *at : replacement);
  if (ok) *at = replacement;
  return ok;
}

/* Runs the hooks of a list; `at` are the gradients they may replace, n of them. */
static bool run_node_hooks(LpNodeHook *hooks, LpTensor **at, int n,
                           LpTensor *const *inputs, int n_inputs,
                           LpTensor *const *outputs, int n_outputs) {
  const size_t bytes = (size_t)(n + 1) * sizeof(LpTensor *);
  LpTensor **replaced = lp_calloc(bytes);
  TRY(replaced);
  bool ok = true;
  for (LpNodeHook *h = hooks, *next; ok && h; h = next) {
    next = h->next;
    ok = h->fn(h->ctx, inputs, n_inputs, outputs, n_outputs, replaced);
    for (int i = 0; i < n; i++) {
      if (!replaced[i]) continue;
      if (ok) ok = lp_hook_replace(&at[i], replaced[i]);
      else lp_tensor_release(replaced[i]);
      replaced[i] = NULL;
    }
  }
  lp_free(replaced, bytes);
  return ok;
}

bool lp_node_run_pre_hooks(LpNode *node, LpTensor **grads) {
  return run_node_hooks(node->pre_hooks, grads, node->n_outputs, NULL, 0, grads,
                        node->n_outputs);
}
bool lp_node_run_post_hooks(LpNode *node, LpTensor **results, LpTensor *const *grads) {
  return run_node_hooks(node->post_hooks, results, node->n_edges, results, node->n_edges,
                        grads, node->n_outputs);
}

void lp_node_free_extras(LpNode *node) {
  LpNodeHook *const lists[] = {node->pre_hooks, node->post_hooks};
  for (int k = 0; k < 2; k++) {
    for (LpNodeHook *h = lists[k], *next; h; h = next) {
      next = h->next;
      node_hook_free(h);
    }
  }
  free(node->trace);
  if (node->host && node->free_host) node->free_host(node->host);
}

/* --- leaves
 * -------------------------------------------------------------------------------------------
 */

typedef struct LpLeafHookEntry {
  int64_t id;
  LpLeafHook hook;
  void *ctx;
  void (*free_ctx)(void *ctx);
  struct LpLeafHookEntry *next;
} LpLeafHookEntry;

int64_t lp_register_post_accumulate_hook(LpTensor *leaf, LpLeafHook hook, void *ctx,
                                         void (*free_ctx)(void *ctx)) {
  LpLeafHookEntry *h = NULL;
  if (!lp_requires_grad(leaf))
    lp_fail(LP_ERR_AUTOGRAD,
            "cannot register a hook on a tensor that doesn't require gradient");
  else if (!lp_is_leaf(leaf))
    lp_fail(LP_ERR_AUTOGRAD,
            "post accumulate grad hooks cannot be registered on non-leaf tensors");
  else
    h = lp_calloc(sizeof *h);
  if (!h) {
    if (free_ctx) free_ctx(ctx);
    return 0;
  }
  *h = (LpLeafHookEntry){lp_new_hook_id(), hook, ctx, free_ctx, NULL};
  LpLeafHookEntry **at = &leaf->autograd->post_hooks;
  while (*at) at = &(*at)->next;
  *at = h;
  return h->id;
}

bool lp_post_hooks_run(LpTensor *leaf) {
  for (LpLeafHookEntry *h = leaf->autograd->post_hooks, *next; h; h = next) {
    next = h->next;
    TRY(h->hook(h->ctx, leaf));
  }
  return true;
}

void lp_post_hooks_free(LpLeafHookEntry *hooks) {
  for (LpLeafHookEntry *next; hooks; hooks = next) {
    next = hooks->next;
    if (hooks->free_ctx) hooks->free_ctx(hooks->ctx);
    lp_free(hooks, sizeof *hooks);
  }
}

bool lp_post_hooks_remove(LpAutograd *meta, int64_t id) {
  for (LpLeafHookEntry **at = &meta->post_hooks; *at; at = &(*at)->next) {
    if ((*at)->id != id) continue;
    LpLeafHookEntry *gone = *at;
    if (lp_backward_id()) {
      if (gone->free_ctx) gone->free_ctx(gone->ctx);
      *gone = (LpLeafHookEntry){-1, dead_leaf_hook, NULL, NULL, gone->next};
      return true;
    }
    *at = gone->next;
    gone->next = NULL;
    lp_post_hooks_free(gone);
    return true;
  }
  return false;
}

/* --- saved tensors
 * ---------------------------------------------------------------------------------------
 */

static _Thread_local const LpSavedHooks *saved_hooks;
static _Thread_local void *saved_hooks_ctx;

void lp_set_saved_hooks(const LpSavedHooks *hooks, void *ctx) {
  saved_hooks = hooks;
  saved_hooks_ctx = ctx;
}

bool lp_saved_pack(LpSaved *s, LpTensor *t, bool *done) {
  if (LP_LIKELY(!saved_hooks)) return true;
  *done = true;
  const LpSavedHooks *hooks = saved_hooks;
  saved_hooks = NULL; /* what a hook computes is not packed again */
  const bool ok = hooks->pack(saved_hooks_ctx, t, &s->packed);
  saved_hooks = hooks;
  s->hooks = hooks;
  return ok && (s->output_nr >= 0 || lp_gradient_edge(t, &s->edge));
}

void lp_saved_drop_packed(LpSaved *s) {
  s->hooks->free_packed(s->packed);
  s->packed = NULL;
}

/* --- anomalies
 * ---------------------------------------------------------------------------------------------
 */

static _Thread_local bool anomaly, anomaly_nan = true;
/* Atomic, as every state that is opened sets them, on its own thread. */
static char *(*_Atomic trace_capture)(void);
static char *(*_Atomic nan_origin)(void);

void lp_set_anomaly(bool enabled, bool check_nan) {
  anomaly = enabled;
  anomaly_nan = check_nan;
}
bool lp_anomaly_enabled(void) {
  return anomaly;
}
bool lp_anomaly_check_nan_enabled(void) {
  return anomaly_nan;
}
void lp_set_trace_hook(char *(*capture)(void)) {
  trace_capture = capture;
}

void lp_set_nan_origin_hook(char *(*origin)(void)) {
  nan_origin = origin;
}

void lp_anomaly_note(LpNode *node) {
  node->trace = trace_capture ? trace_capture() : NULL;
}

static bool has_nan(LpTensor *t, bool *result) {
  *result = false;
  if (!lp_dtype_is_differentiable((LpDtype)t->dtype) || !t->numel) return true;
  const bool mode = lp_tls_grad_enabled;
  lp_tls_grad_enabled = false;
  LpTensor *nans = lp_isnan(lp_whole(t)), *any = nans ? lp_any(nans) : NULL;
  LpScalar found;
  const bool ok = any && lp_item(any, &found);
  if (ok) *result = found.v.i != 0;
  lp_tensor_release(any);
  lp_tensor_release(nans);
  lp_tls_grad_enabled = mode;
  return ok;
}

bool lp_anomaly_check(LpNode *node, LpTensor *const *results) {
  for (int i = 0; i < node->n_edges; i++) {
    bool nan = false;
    if (!results[i]) continue;
    TRY(has_nan(results[i], &nan));
    if (!nan) continue;
    char *origin = nan_origin ? nan_origin() : NULL;
    lp_fail(LP_ERR_AUTOGRAD, "Function '%s' returned nan values in its %dth output.%s%s",
            lp_node_name(node), i, origin ? " " : "", origin ? origin : "");
    free(origin);
    return false;
  }
  return true;
}

void lp_anomaly_explain(const LpNode *node) {
  const LpError *e = lp_last_error();
  if (e->code == LP_ERR_CALLBACK || e->code == LP_ERR_INTERRUPT) return;
  char message[sizeof e->message], where[256];
  memcpy(message, e->message, sizeof message);
  const bool known = lp_node_location(node, where, sizeof where);
  lp_fail(e->code, "%s\nTraceback of the forward call that caused the error%s%s:\n%s",
          message, known ? ", " : "", known ? where : "", node->trace);
}
