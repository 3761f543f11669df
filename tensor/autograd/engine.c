/* Runs backward: nodes in descending order of creation (see node.h, Note: order), gradients summed
 * per node in a hash table of this run, so that runs may nest inside hooks and custom functions. */
#include <stdlib.h>
#include <string.h>

#include "autograd/formula.h"
#include "autograd/meta.h"
#include "core/alloc.h"
#include "lampad/ops.h"

/* --- leaves ------------------------------------------------------------------------------------- */

typedef struct AccumulateNode {
  LpNode node;
  LpTensor *leaf; /* owned */
} AccumulateNode;

static bool backward_accumulate(LpNode *base, LpTensor *const *grads, LpTensor **results);

static void finalize_accumulate(LpNode *base) {
  LpTensor *leaf = ((AccumulateNode *)base)->leaf;
  if (leaf->autograd && leaf->autograd->accumulator == base) leaf->autograd->accumulator = NULL;
  lp_tensor_release(leaf);
}

static const LpNodeClass accumulate_class = {"AccumulateGrad", backward_accumulate,
                                             finalize_accumulate};

LpTensor *lp_node_leaf(const LpNode *node) {
  return node->cls == &accumulate_class ? ((const AccumulateNode *)node)->leaf : NULL;
}

bool lp_accumulator_new(LpTensor *leaf) {
  AccumulateNode *n = (AccumulateNode *)lp_node_new(&accumulate_class, sizeof *n, 0, 0, 0);
  TRY(n);
  n->leaf = lp_tensor_retain(leaf);
  n->node.n_outputs = 1;
  n->node.location = 0;
  leaf->autograd->accumulator = &n->node;
  return true;
}

/* grad is kept as it is when nobody else can write to it, otherwise copied. */
static bool backward_accumulate(LpNode *base, LpTensor *const *grads, LpTensor **results) {
  LpTensor *leaf = ((AccumulateNode *)base)->leaf;
  LpAutograd *meta = leaf->autograd;
  LpTensor *grad = grads[0];
  if (leaf->flags & LP_FLAG_ENDED_LEVEL) return true;
  CHECK(lp_same_shape(leaf, grad), LP_ERR_AUTOGRAD,
        "backward gave a gradient of shape %s for a leaf of shape %s", SHAPE_TEXT(grad),
        SHAPE_TEXT(leaf));
  LpTensor *fit = lp_grad_fit(lp_tensor_retain(grad), lp_ints_none(), leaf->dtype);
  TRY(fit);
  LpTensor *next = NULL;
  if (!meta->grad) {
    /* One reference is ours (fit), one the run's: with no other user the gradient can be kept. */
    const bool alone = fit != grad || (atomic_load(&grad->refcount) == 2 &&
                                       atomic_load(&grad->storage->refcount) == 1);
    if (lp_tls_grad_enabled || (alone && fit->is_contiguous == leaf->is_contiguous)) {
      next = lp_tensor_retain(fit);
    } else {
      next = lp_tensor_new_like(leaf, leaf->dtype);
      if (next && !lp_copy_(next, fit, false)) lp_drop(&next);
    }
  } else if (lp_tls_grad_enabled) {
    next = lp_add(meta->grad, fit, lp_scalar_int(1));
  } else if (lp_add_(meta->grad, fit, lp_scalar_int(1))) {
    next = lp_tensor_retain(meta->grad);
  }
  lp_tensor_release(fit);
  TRY(next);
  LpTensor *old = meta->grad;
  meta->grad = next;
  lp_tensor_release(old);
  return !meta->post_hooks || lp_post_hooks_run(leaf);
}

/* --- one run -------------------------------------------------------------------------------------- */

typedef struct Pending {
  LpNode *node;     /* retained; NULL: empty slot */
  LpTensor **grads; /* node->n_outputs entries, owned */
  bool needed;      /* leads to one of the wanted inputs (mark_needed) */
} Pending;

typedef struct Capture {
  LpNode *node;
  int output_nr;
  LpTensor **into; /* where the gradient goes */
} Capture;

typedef struct Run {
  Pending *table;
  int64_t capacity, count;
  LpNode **heap; /* nodes with gradients waiting, the latest made on top */
  int64_t heap_count, heap_capacity;
  bool pruned; /* only what leads to the captures or wanted leaves is computed */
  Capture *captures;
  int64_t n_captures;
  bool accumulate; /* backward(): wanted leaves receive their .grad */
  int64_t id;
  LpNode *const *roots; /* where it began; n_roots of them */
  int64_t n_roots;
  LpNode *running;
  LpGate gate; /* for the node that runs next; `of` owned */
  struct Run *outer;
} Run;

static _Thread_local Run *current_run;
static _Atomic int64_t next_run_id = 1;

static int64_t slot_of(const Run *run, const LpNode *node) {
  uint64_t h = (uint64_t)(uintptr_t)node >> 4;
  h *= 0x9e3779b97f4a7c15ull;
  int64_t i = (int64_t)(h >> 20) & (run->capacity - 1);
  while (run->table[i].node && run->table[i].node != node) i = (i + 1) & (run->capacity - 1);
  return i;
}

static bool table_grow(Run *run) {
  Run bigger = *run;
  bigger.capacity = run->capacity ? run->capacity * 2 : 64;
  bigger.table = lp_calloc((size_t)bigger.capacity * sizeof(Pending));
  TRY(bigger.table);
  for (int64_t i = 0; i < run->capacity; i++)
    if (run->table[i].node) bigger.table[slot_of(&bigger, run->table[i].node)] = run->table[i];
  lp_free(run->table, (size_t)run->capacity * sizeof(Pending));
  *run = bigger;
  return true;
}

/* The node's entry, made when absent (then *is_new). Pointers into the table end with the next call. */
static Pending *entry_of(Run *run, LpNode *node, bool *is_new) {
  if (run->count * 2 >= run->capacity && !table_grow(run)) return NULL;
  Pending *p = &run->table[slot_of(run, node)];
  *is_new = !p->node;
  if (!p->node) {
    p->node = lp_node_retain(node);
    p->needed = true;
    p->grads = NULL;
    run->count++;
  }
  return p;
}

static const Pending *find(const Run *run, const LpNode *node) {
  if (!run->capacity) return NULL;
  const Pending *p = &run->table[slot_of(run, node)];
  return p->node ? p : NULL;
}

/* Leaves lead nowhere: they run last, when every gradient has arrived, whenever they were made. */
static uint64_t rank_of(const LpNode *node) { return node->n_edges ? node->sequence : 0; }

static bool heap_push(Run *run, LpNode *node) {
  if (run->heap_count == run->heap_capacity) {
    const int64_t capacity = run->heap_capacity ? run->heap_capacity * 2 : 64;
    LpNode **grown = lp_alloc((size_t)capacity * sizeof(LpNode *));
    TRY(grown);
    if (run->heap_count) memcpy(grown, run->heap, (size_t)run->heap_count * sizeof(LpNode *));
    lp_free(run->heap, (size_t)run->heap_capacity * sizeof(LpNode *));
    run->heap = grown;
    run->heap_capacity = capacity;
  }
  int64_t i = run->heap_count++;
  while (i > 0 && rank_of(run->heap[(i - 1) / 2]) < rank_of(node)) {
    run->heap[i] = run->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  run->heap[i] = node;
  return true;
}

static LpNode *heap_pop(Run *run) {
  LpNode *top = run->heap[0];
  LpNode *last = run->heap[--run->heap_count];
  int64_t i = 0;
  for (;;) {
    int64_t child = 2 * i + 1;
    if (child >= run->heap_count) break;
    if (child + 1 < run->heap_count && rank_of(run->heap[child + 1]) > rank_of(run->heap[child]))
      child++;
    if (rank_of(run->heap[child]) <= rank_of(last)) break;
    run->heap[i] = run->heap[child];
    i = child;
  }
  run->heap[i] = last;
  return top;
}

bool lp_node_wants(const LpNode *node, int i) {
  const LpNode *next = node->edges[i].node;
  if (!next) return false;
  if (!current_run || !current_run->pruned) return true;
  const Pending *p = find(current_run, next);
  return !p || p->needed; /* unknown nodes (inside CopySlices) are computed */
}

bool lp_node_wants_range(const LpNode *node, int first, int count) {
  for (int i = 0; i < count; i++)
    if (lp_node_wants(node, first + i)) return true;
  return false;
}

/* Adds an owned gradient to the node's output; wakes the node at its first. */
static bool deliver(Run *run, LpNode *node, int output_nr, LpTensor *grad) {
  bool is_new;
  Pending *p = entry_of(run, node, &is_new);
  bool ok = p != NULL;
  if (ok && !p->needed) {
    lp_tensor_release(grad);
    return true;
  }
  if (ok && !p->grads) {
    p->grads = lp_calloc((size_t)node->n_outputs * sizeof(LpTensor *));
    ok = p->grads && heap_push(run, node);
  }
  if (!ok) {
    lp_tensor_release(grad);
    return false;
  }
  LpTensor **at = &p->grads[output_nr];
  if (!*at) {
    *at = grad;
    return true;
  }
  /* A buffer that only this run holds can take the sum in place. */
  if (!lp_tls_grad_enabled && !grad->physical && (*at)->dtype == grad->dtype && atomic_load(&(*at)->refcount) == 1 &&
      atomic_load(&(*at)->storage->refcount) == 1 && (*at)->is_contiguous &&
      lp_same_shape(*at, grad)) {
    ok = lp_add_(*at, grad, lp_scalar_int(1));
  } else {
    LpTensor *sum = lp_add(*at, grad, lp_scalar_int(1));
    lp_tensor_release(*at);
    *at = sum;
    ok = sum != NULL;
  }
  lp_tensor_release(grad);
  return ok;
}

static int by_sequence(const void *a, const void *b) {
  const LpNode *x = *(LpNode *const *)a, *y = *(LpNode *const *)b;
  const uint64_t sx = rank_of(x), sy = rank_of(y);
  return sx < sy ? -1 : sx > sy;
}

/* Marks, for every node reachable from the roots, whether it leads to a wanted one. */
static bool mark_needed(Run *run, LpNode *const *roots, int64_t n_roots, LpNode *const *wanted,
                        int64_t n_wanted) {
  int64_t capacity = 256, count = 0;
  LpNode **nodes = lp_alloc((size_t)capacity * sizeof(LpNode *));
  TRY(nodes);
  bool ok = true;
  for (int64_t from = -(n_roots + n_wanted); ok && from < count; from++) {
    /* First the wanted nodes and the roots, then whatever the nodes found so far lead to. */
    const int64_t given = from + n_roots + n_wanted;
    const int n_next = from < 0 ? 1 : nodes[from]->n_edges;
    for (int i = 0; ok && i < n_next; i++) {
      LpNode *next = from >= 0 ? nodes[from]->edges[i].node
                               : given < n_wanted ? wanted[given] : roots[given - n_wanted];
      if (!next) continue;
      bool is_new;
      Pending *p = entry_of(run, next, &is_new);
      if (!(ok = p != NULL) || !is_new) continue;
      p->needed = from < 0 && given < n_wanted;
      if (count == capacity) {
        LpNode **grown = lp_alloc((size_t)capacity * 2 * sizeof(LpNode *));
        if (!(ok = grown != NULL)) continue;
        memcpy(grown, nodes, (size_t)count * sizeof(LpNode *));
        lp_free(nodes, (size_t)capacity * sizeof(LpNode *));
        nodes = grown;
        capacity *= 2;
      }
      nodes[count++] = next;
    }
  }
  if (ok) {
    qsort(nodes, (size_t)count, sizeof *nodes, by_sequence);
    for (int64_t k = 0; k < count; k++) {
      Pending *p = &run->table[slot_of(run, nodes[k])];
      for (int i = 0; !p->needed && i < nodes[k]->n_edges; i++) {
        const LpNode *next = nodes[k]->edges[i].node;
        p->needed = next && find(run, next)->needed;
      }
    }
  }
  lp_free(nodes, (size_t)capacity * sizeof(LpNode *));
  return ok;
}

/* Runs the hooks on the gradients of a node's outputs; a hook may replace one. */
static bool run_hooks(LpHookEntry *hooks, LpTensor **grads) {
  for (LpHookEntry *h = hooks, *next; h; h = next) {
    next = h->next;
    LpTensor **at = &grads[h->output_nr];
    if (!*at || !h->hook) continue;
    LpTensor *replacement = NULL;
    TRY(h->hook(h->ctx, *at, &replacement));
    if (replacement) TRY(lp_hook_replace(at, replacement));
  }
  return true;
}

static void retain_into_metas(LpHookEntry *hooks, LpTensor **grads);

static void run_free(Run *run) {
  for (int64_t i = 0; i < run->capacity; i++) {
    Pending *p = &run->table[i];
    if (!p->node) continue;
    if (p->grads) {
      for (int k = 0; k < p->node->n_outputs; k++) lp_tensor_release(p->grads[k]);
      lp_free(p->grads, (size_t)p->node->n_outputs * sizeof(LpTensor *));
    }
    lp_node_release(p->node);
  }
  lp_tensor_release(run->gate.of);
  lp_free(run->table, (size_t)run->capacity * sizeof(Pending));
  lp_free(run->heap, (size_t)run->heap_capacity * sizeof(LpNode *));
}

const LpGate *lp_gate(void) { return &current_run->gate; }

/* May the node that this one leads to apply its gate? See node.h, Note: gates. */
static bool may_leave_gate(const Run *run, const LpNode *node) {
  if (!node->cls->gate || lp_tls_grad_enabled || node->post_hooks || lp_anomaly_enabled()) return false;
  const LpNode *next = node->edges[0].node;
  if (!next || !next->cls->takes_gate || node->edges[0].output_nr != 0) return false;
  if (next->hooks || next->pre_hooks || next->post_hooks) return false;
  if (run->heap_count && rank_of(run->heap[0]) >= rank_of(next)) return false; /* others run before, and may add */
  for (int64_t i = 0; i < run->n_captures; i++)
    if (run->captures[i].node == next) return false;
  return lp_node_wants(node, 0);
}

/* The results of the node's backward, or its gradient as it is, and its gate to the next node. */
static bool run_node_backward(Run *run, LpNode *node, LpTensor *const *grads, LpTensor **results) {
  if (may_leave_gate(run, node)) {
    LpGate *gate = &run->gate;
    TRY(node->cls->gate(node, gate));
    if (gate->of->dtype == grads[0]->dtype && lp_same_shape(gate->of, grads[0])) {
      results[0] = lp_tensor_retain(grads[0]);
      return true;
    }
    lp_drop(&gate->of);
  }
  const bool ok = node->cls->backward(node, grads, results);
  lp_drop(&run->gate.of);
  return ok;
}

static bool run_node(Run *run, LpNode *node, bool keep_graph) {
  const int n_outputs = node->n_outputs;
  Pending *p = &run->table[slot_of(run, node)];
  LpTensor **grads = p->grads;
  p->grads = NULL;
  LpTensor *few[8] = {0};
  LpTensor **results = node->n_edges <= 8 ? few : lp_calloc((size_t)node->n_edges * sizeof(LpTensor *));
  const bool is_leaf = node->cls == &accumulate_class;
  LpHookEntry *hooks = is_leaf ? ((AccumulateNode *)node)->leaf->autograd->hooks : node->hooks;
  bool ok = results && run_hooks(hooks, grads);
  run->running = node;
  if (ok) retain_into_metas(hooks, grads);
  bool captured = false;
  for (int64_t i = 0; ok && i < run->n_captures; i++) {
    Capture *c = &run->captures[i];
    if (c->node != node) continue;
    captured = true;
    if (grads[c->output_nr]) {
      lp_tensor_release(*c->into);
      *c->into = lp_tensor_retain(grads[c->output_nr]);
    }
  }
  if (ok && !(is_leaf && captured)) {
    if (!is_leaf || run->accumulate) {
      ok = !node->pre_hooks || lp_node_run_pre_hooks(node, grads);
      ok = ok && run_node_backward(run, node, grads, results);
      if (LP_UNLIKELY(lp_anomaly_enabled()) && ok && lp_anomaly_check_nan_enabled())
        ok = lp_anomaly_check(node, results);
      ok = ok && (!node->post_hooks || lp_node_run_post_hooks(node, results, grads));
      char where[256];
      if (!ok && !is_leaf && !strstr(lp_last_error()->message, lp_node_name(node))) {
        if (lp_node_location(node, where, sizeof where))
          lp_fail_prefix("in %s (forward at %s): ", lp_node_name(node), where);
        else lp_fail_prefix("in %s: ", lp_node_name(node));
      }
      if (!ok && node->trace) lp_anomaly_explain(node);
    }
    if (ok && !keep_graph && !is_leaf) {
      lp_node_free_saved(node);
      if (node->cls->release) node->cls->release(node);
    }
  }
  for (int i = 0; i < n_outputs; i++) lp_tensor_release(grads[i]);
  lp_free(grads, (size_t)n_outputs * sizeof(LpTensor *));
  for (int i = 0; results && i < node->n_edges; i++) {
    if (!results[i]) continue;
    if (!ok || !node->edges[i].node) lp_tensor_release(results[i]);
    else ok = deliver(run, node->edges[i].node, node->edges[i].output_nr, results[i]);
  }
  if (results && results != few) lp_free(results, (size_t)node->n_edges * sizeof(LpTensor *));
  return ok;
}

static bool execute(Run *run, bool keep_graph, bool create_graph) {
  const bool mode = lp_tls_grad_enabled;
  lp_tls_grad_enabled = create_graph;
  run->outer = current_run;
  run->id = atomic_fetch_add(&next_run_id, 1);
  current_run = run;
  bool ok = true;
  while (ok && run->heap_count > 0) {
    if (lp_interrupt_pending()) {
      lp_interrupt_take();
      ok = lp_fail(LP_ERR_INTERRUPT, "interrupted");
      break;
    }
    ok = run_node(run, heap_pop(run), keep_graph);
    run->running = NULL;
  }
  current_run = run->outer;
  lp_tls_grad_enabled = mode;
  return ok;
}

/* Puts the roots' gradients into the run. */
static bool seed(Run *run, LpTensors roots, LpTensors gradients, LpEdge *edges) {
  for (int64_t i = 0; i < roots.count; i++) {
    LpTensor *root = roots.data[i];
    CHECK(lp_requires_grad(root) && edges[i].node, LP_ERR_AUTOGRAD,
          "element %lld of tensors does not require grad and does not have a grad_fn", (long long)i);
    LpTensor *given = i < gradients.count ? gradients.data[i] : NULL;
    if (given) {
      CHECK(lp_same_shape(root, given), LP_ERR_ARGUMENT,
            "Mismatch in shape: grad_output[%lld] has a shape of %s and output[%lld] has a shape of %s",
            (long long)i, SHAPE_TEXT(given), (long long)i, SHAPE_TEXT(root));
      CHECK(lp_dtype_is_complex(root->dtype) == lp_dtype_is_complex(given->dtype), LP_ERR_TYPE,
            "grad_output[%lld] has dtype %s but output[%lld] has dtype %s", (long long)i,
            lp_dtype_name(given->dtype), (long long)i, lp_dtype_name(root->dtype));
    } else {
      CHECK(root->numel == 1, LP_ERR_AUTOGRAD,
            "grad can be implicitly created only for scalar outputs, got shape %s; pass gradient = or "
            "reduce the output first (sum, mean)",
            SHAPE_TEXT(root));
      CHECK(!lp_dtype_is_complex(root->dtype), LP_ERR_AUTOGRAD,
            "grad can be computed only for real scalar outputs but got %s", lp_dtype_name(root->dtype));
    }
    LpTensor *grad;
    if (given) {
      grad = lp_grad_fit(lp_tensor_retain(given), lp_ints_none(), root->dtype);
    } else {
      grad = lp_ones(lp_sizes(root), root->dtype, lp_device(root), false);
    }
    TRY(grad);
    TRY(deliver(run, edges[i].node, edges[i].output_nr, grad));
  }
  return true;
}

int64_t lp_backward_id(void) { return current_run ? current_run->id : 0; }
LpNode *lp_running_node(void) { return current_run ? current_run->running : NULL; }

bool lp_will_execute(LpTensor *t, bool *result) {
  *result = false;
  LpEdge edge = {0};
  if (!current_run) return true;
  TRY(lp_gradient_edge(t, &edge));
  bool ok = true;
  if (edge.node && current_run->pruned) {
    const Pending *p = find(current_run, edge.node);
    *result = p && p->needed;
  } else if (edge.node) {
    ok = lp_graph_reaches(current_run->roots, current_run->n_roots, edge.node, result);
  }
  lp_node_release(edge.node);
  return ok;
}

static void edges_free(LpEdge *edges, int64_t count) {
  if (!edges) return;
  for (int64_t i = 0; i < count; i++) lp_node_release(edges[i].node);
  lp_free(edges, (size_t)(count + 1) * sizeof(LpEdge));
}

static LpEdge *edges_of(LpTensors tensors) {
  LpEdge *edges = lp_calloc((size_t)(tensors.count + 1) * sizeof(LpEdge));
  if (!edges) return NULL;
  for (int64_t i = 0; i < tensors.count; i++) {
    if (!lp_gradient_edge(tensors.data[i], &edges[i])) {
      edges_free(edges, tensors.count);
      return NULL;
    }
  }
  return edges;
}

/* The common part of backward and grad: captures are filled when given, else leaves accumulate. */
static bool run_backward(LpTensors roots, LpTensors gradients, bool keep_graph, bool create_graph,
                         LpTensors inputs, LpTensor **results) {
  Run run = {0};
  bool ok = false;
  LpNode **root_nodes = NULL, **wanted = NULL;
  LpEdge *input_edges = NULL;
  const int64_t n_inputs = inputs.count > 0 ? inputs.count : 0;
  LpEdge *root_edges = edges_of(roots);
  if (!root_edges) return false;
  int64_t n_roots = 0;
  if (!(root_nodes = lp_calloc((size_t)(roots.count + 1) * sizeof(LpNode *)))) goto fail;
  for (int64_t i = 0; i < roots.count; i++)
    if (root_edges[i].node) root_nodes[n_roots++] = root_edges[i].node;
  run.roots = root_nodes;
  run.n_roots = n_roots;
  run.pruned = inputs.count >= 0;
  run.accumulate = results == NULL;
  if (run.pruned) {
    if (!(input_edges = edges_of(inputs))) goto fail;
    if (!(wanted = lp_calloc((size_t)(n_inputs + 1) * sizeof(LpNode *)))) goto fail;
    if (!(run.captures = lp_calloc((size_t)(n_inputs + 1) * sizeof(Capture)))) goto fail;
    for (int64_t i = 0; i < n_inputs; i++) {
      wanted[i] = input_edges[i].node;
      if (!wanted[i]) {
        lp_fail(LP_ERR_AUTOGRAD, "One of the differentiated Tensors does not require grad: input %lld",
                (long long)i);
        goto fail;
      }
      if (results) run.captures[i] = (Capture){wanted[i], input_edges[i].output_nr, &results[i]};
    }
    run.n_captures = results ? n_inputs : 0;
    if (!mark_needed(&run, root_nodes, n_roots, wanted, n_inputs)) goto fail;
  }
  if (!seed(&run, roots, gradients, root_edges)) goto fail;
  ok = execute(&run, keep_graph, create_graph);
fail:
  run_free(&run);
  lp_free(run.captures, run.captures ? (size_t)(n_inputs + 1) * sizeof(Capture) : 0);
  lp_free(root_nodes, root_nodes ? (size_t)(roots.count + 1) * sizeof(LpNode *) : 0);
  lp_free(wanted, wanted ? (size_t)(n_inputs + 1) * sizeof(LpNode *) : 0);
  edges_free(input_edges, inputs.count);
  edges_free(root_edges, roots.count);
  return ok;
}

bool lp_backward(LpTensors tensors, LpTensors gradients, bool retain_graph, bool create_graph,
                 LpTensors inputs) {
  CHECK(inputs.count != 0, LP_ERR_ARGUMENT, "inputs argument to backward() cannot be empty");
  CHECK(gradients.count <= 0 || gradients.count == tensors.count, LP_ERR_ARGUMENT,
        "got %lld tensors and %lld gradients", (long long)tensors.count, (long long)gradients.count);
  /* An input that is no leaf keeps its gradient from now on, as PyTorch has it. */
  for (int64_t i = 0; i < inputs.count; i++)
    if (lp_requires_grad(inputs.data[i])) TRY(lp_retain_grad(inputs.data[i]));
  return run_backward(tensors, gradients, retain_graph, create_graph, inputs, NULL);
}

bool lp_autograd_grad(LpTensors outputs, LpTensors inputs, LpTensors grad_outputs, bool retain_graph,
                      bool create_graph, bool allow_unused, LpTensor **results) {
  CHECK(inputs.count > 0, LP_ERR_ARGUMENT, "grad requires non-empty inputs");
  CHECK(grad_outputs.count <= 0 || grad_outputs.count == outputs.count, LP_ERR_ARGUMENT,
        "got %lld outputs and %lld grad_outputs", (long long)outputs.count,
        (long long)grad_outputs.count);
  for (int64_t i = 0; i < inputs.count; i++) results[i] = NULL;
  bool ok = run_backward(outputs, grad_outputs, retain_graph, create_graph, inputs, results);
  for (int64_t i = 0; ok && !allow_unused && i < inputs.count; i++) {
    if (!results[i])
      ok = lp_fail(LP_ERR_AUTOGRAD,
                   "One of the differentiated Tensors appears to not have been used in the graph "
                   "(input %lld). Set allow_unused=true if this is the desired behavior",
                   (long long)i);
  }
  for (int64_t i = 0; !ok && i < inputs.count; i++) lp_drop(&results[i]);
  return ok;
}

/* --- hooks ----------------------------------------------------------------------------------------- */

int64_t lp_new_hook_id(void) {
  static _Atomic int64_t next_id = 1;
  return atomic_fetch_add(&next_id, 1);
}

/* retain_grad is an entry without a hook whose ctx is the tensor's meta. */
static void retain_into_metas(LpHookEntry *hooks, LpTensor **grads) {
  for (LpHookEntry *h = hooks; h; h = h->next) {
    if (h->hook || !grads[h->output_nr]) continue;
    LpAutograd *meta = h->ctx;
    LpTensor *old = meta->grad;
    /* Gradients of later backwards add up, as those of leaves do. */
    meta->grad = old ? lp_add(old, grads[h->output_nr], lp_scalar_int(1))
                     : lp_tensor_retain(grads[h->output_nr]);
    lp_tensor_release(old);
  }
}

static LpHookEntry *hook_append(LpHookEntry **list, int output_nr, LpTensorHook hook, void *ctx,
                                void (*free_ctx)(void *ctx)) {
  LpHookEntry *h = lp_calloc(sizeof *h);
  if (!h) return NULL;
  *h = (LpHookEntry){lp_new_hook_id(), output_nr, hook, ctx, free_ctx, NULL};
  while (*list) list = &(*list)->next;
  *list = h;
  return h;
}

bool lp_node_watch(LpNode *node, int output_nr, LpAutograd *meta) {
  return hook_append(&node->hooks, output_nr, NULL, meta, NULL) != NULL;
}

void lp_node_unwatch(LpNode *node, LpAutograd *meta) {
  for (LpHookEntry **at = &node->hooks; *at; at = &(*at)->next) {
    if ((*at)->hook || (*at)->ctx != meta) continue;
    LpHookEntry *gone = *at;
    *at = gone->next;
    lp_free(gone, sizeof *gone);
    return;
  }
}

/* A tensor's hooks live on its grad_fn; those of a leaf in the leaf's own record. */
int64_t lp_register_hook(LpTensor *t, LpTensorHook hook, void *ctx, void (*free_ctx)(void *ctx)) {
  if (!lp_requires_grad(t)) {
    if (free_ctx) free_ctx(ctx);
    lp_fail(LP_ERR_AUTOGRAD, "cannot register a hook on a tensor that doesn't require gradient");
    return 0;
  }
  LpNode *fn = lp_grad_fn(t);
  LpAutograd *meta = t->autograd;
  LpHookEntry *h = hook_append(fn ? &fn->hooks : &meta->hooks, fn ? meta->output_nr : 0, hook, ctx,
                               free_ctx);
  if (!h && free_ctx) free_ctx(ctx);
  return h ? h->id : 0;
}

/* A hook removed by a hook: the list is being walked, so that the entry stays and does nothing. */
static bool dead_hook(void *ctx, LpTensor *grad, LpTensor **result) { return true; }

static bool hook_remove(LpHookEntry **at, int64_t id) {
  for (; *at; at = &(*at)->next) {
    if ((*at)->id != id) continue;
    LpHookEntry *gone = *at;
    if (current_run) {
      if (gone->free_ctx) gone->free_ctx(gone->ctx);
      *gone = (LpHookEntry){-1, gone->output_nr, dead_hook, NULL, NULL, gone->next};
      return true;
    }
    *at = gone->next;
    gone->next = NULL;
    lp_hooks_free(gone);
    return true;
  }
  return false;
}

void lp_remove_hook(LpTensor *t, int64_t id) {
  LpAutograd *meta = t->autograd;
  if (!meta) return;
  if (meta->grad_fn && hook_remove(&meta->grad_fn->hooks, id)) return;
  if (lp_post_hooks_remove(meta, id)) return;
  hook_remove(&meta->hooks, id);
}

/* --- custom functions -------------------------------------------------------------------------------- */

typedef struct CustomNode {
  LpNode node;
  LpNodeClass cls; /* of its own: carries the function's name */
  char name[96];
  LpCustomBackward fn;
} CustomNode;

static bool backward_custom(LpNode *base, LpTensor *const *grads, LpTensor **results) {
  CustomNode *n = (CustomNode *)base;
  CHECK(!base->freed || n->fn.release, LP_ERR_AUTOGRAD,
        "Trying to backward through the graph a second time: what %s saved was freed by the first "
        "backward. Specify retain_graph=true in the first call",
        n->name);
  if (n->fn.raw_grads)
    return n->fn.backward(n->fn.ctx, grads, base->n_outputs, results, base->n_edges);
  LpTensor **items = lp_node_grad_list(base, grads);
  TRY(items);
  bool ok = n->fn.backward(n->fn.ctx, items, base->n_outputs, results, base->n_edges);
  lp_node_grad_list_free(base, grads, items);
  return ok;
}

static void release_custom(LpNode *base) {
  CustomNode *n = (CustomNode *)base;
  n->fn.release(n->fn.ctx);
}

static void finalize_custom(LpNode *base) {
  CustomNode *n = (CustomNode *)base;
  if (n->fn.free_ctx) n->fn.free_ctx(n->fn.ctx);
}

bool lp_attach_custom(const LpCustomBackward *fn, LpTensors inputs, LpTensors outputs) {
  CustomNode *n = (CustomNode *)lp_node_new(&accumulate_class, sizeof *n, (int)inputs.count, 0, 0);
  if (!n) {
    if (fn->free_ctx) fn->free_ctx(fn->ctx);
    return false;
  }
  n->fn = *fn;
  strncpy(n->name, fn->name, sizeof n->name - 1);
  n->name[sizeof n->name - 1] = '\0';
  n->cls = (LpNodeClass){n->name, backward_custom, finalize_custom, fn->release ? release_custom : NULL};
  n->node.cls = &n->cls;
  n->node.n_outputs = (int)outputs.count;
  n->node.outputs = lp_calloc((size_t)outputs.count * sizeof(LpOutputMeta));
  bool ok = n->node.outputs && lp_node_set_edges(&n->node, 0, inputs) &&
            lp_node_attach(&n->node, outputs.data, (int)outputs.count);
  lp_node_release(&n->node);
  return ok;
}
