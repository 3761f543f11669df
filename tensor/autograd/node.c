/* Nodes: life, edges, saved tensors. See node.h. */
#include "autograd/node.h"

#include <string.h>

#include "autograd/formula.h"
#include "autograd/meta.h"
#include "core/alloc.h"
#include "lampad/ops.h"

static _Atomic uint64_t next_sequence = 1;
/* Atomic, as every state that is opened sets them, on its own thread. */
static uint64_t (*_Atomic location_capture)(void);
static bool (*_Atomic location_describe)(uint64_t token, char *buf, size_t buf_bytes);

void lp_set_location_hook(uint64_t (*capture)(void),
                          bool (*describe)(uint64_t token, char *buf, size_t buf_bytes)) {
  location_capture = capture;
  location_describe = describe;
}

bool lp_node_location(const LpNode *node, char *buf, size_t buf_bytes) {
  return node->location && location_describe && location_describe(node->location, buf, buf_bytes);
}

/* Keeps every part of the one allocation aligned for pointers and 64-bit integers. */
static size_t align8(size_t n) { return (n + 7) & ~(size_t)7; }

LpNode *lp_node_new(const LpNodeClass *cls, size_t struct_bytes, int n_edges, int n_saved,
                    int64_t n_ints) {
  const size_t edges_at = align8(struct_bytes);
  const size_t saved_at = edges_at + (size_t)n_edges * sizeof(LpEdge);
  const size_t ints_at = saved_at + (size_t)n_saved * sizeof(LpSaved);
  const size_t bytes = ints_at + (size_t)n_ints * sizeof(int64_t);
  LpNode *node = lp_alloc(bytes);
  if (!node) return NULL;
  memset(node, 0, ints_at);
  atomic_init(&node->refcount, 1);
  node->cls = cls;
  node->sequence = atomic_fetch_add_explicit(&next_sequence, 1, memory_order_relaxed);
  node->location = location_capture ? location_capture() : 0;
  node->n_edges = n_edges;
  node->n_saved = n_saved;
  node->edges = (LpEdge *)((char *)node + edges_at);
  node->saved = (LpSaved *)((char *)node + saved_at);
  node->ints = (int64_t *)((char *)node + ints_at);
  node->alloc_bytes = bytes;
  if (LP_UNLIKELY(lp_anomaly_enabled())) lp_anomaly_note(node);
  return node;
}

LpNode *lp_node_retain(LpNode *node) {
  if (node) atomic_fetch_add_explicit(&node->refcount, 1, memory_order_relaxed);
  return node;
}

static void free_outputs(LpNode *node) {
  if (!node->outputs) return;
  for (int i = 0; i < node->n_outputs; i++)
    lp_free((void *)node->outputs[i].sizes.data,
            (size_t)node->outputs[i].sizes.count * sizeof(int64_t));
  lp_free(node->outputs, (size_t)node->n_outputs * sizeof(LpOutputMeta));
}

static void drop_saved(LpSaved *s) {
  lp_drop(&s->tensor);
  if (LP_UNLIKELY(s->packed != NULL)) lp_saved_drop_packed(s);
  LpNode *history = s->edge.node;
  s->edge.node = NULL;
  lp_node_release(history);
}

void lp_node_free_saved(LpNode *node) {
  for (int i = 0; i < node->n_saved; i++) drop_saved(&node->saved[i]);
  node->freed = true;
}

/* Dead nodes wait in a list threaded through `outputs`' place in time: releasing a node's edges may
 * end the next node, and so on for thousands; the list keeps that from recursing. */
static _Thread_local LpNode **dead_list;
static _Thread_local int dead_count, dead_capacity;

static void free_node(LpNode *node);

void lp_node_release(LpNode *node) {
  if (!node || atomic_fetch_sub_explicit(&node->refcount, 1, memory_order_acq_rel) != 1) return;
  if (!dead_list) { /* the outermost release drains the list */
    LpNode *first_block[64];
    dead_list = first_block;
    dead_capacity = 64;
    dead_count = 0;
    dead_list[dead_count++] = node;
    while (dead_count > 0) free_node(dead_list[--dead_count]);
    if (dead_list != first_block) lp_free(dead_list, (size_t)dead_capacity * sizeof(LpNode *));
    dead_list = NULL;
    return;
  }
  if (dead_count == dead_capacity) {
    LpNode **grown = lp_alloc((size_t)dead_capacity * 2 * sizeof(LpNode *));
    if (!grown) { /* no memory for the list: recurse */
      free_node(node);
      return;
    }
    memcpy(grown, dead_list, (size_t)dead_count * sizeof(LpNode *));
    if (dead_capacity > 64) lp_free(dead_list, (size_t)dead_capacity * sizeof(LpNode *));
    dead_list = grown;
    dead_capacity *= 2;
  }
  dead_list[dead_count++] = node;
}

static void free_node(LpNode *node) {
  if (node->cls->finalize) node->cls->finalize(node);
  lp_node_free_saved(node);
  lp_hooks_free(node->hooks);
  lp_node_free_extras(node);
  free_outputs(node);
  for (int i = 0; i < node->n_edges; i++) lp_node_release(node->edges[i].node);
  lp_free(node, node->alloc_bytes);
}

const char *lp_node_name(const LpNode *node) { return node->label ? node->label : node->cls->name; }

uint64_t lp_node_mark(void) { return atomic_load_explicit(&next_sequence, memory_order_relaxed); }

LpTensor *lp_node_name_result(LpTensor *result, uint64_t mark, const char *label) {
  LpNode *node = result && label ? lp_grad_fn(result) : NULL;
  if (node && node->sequence >= mark) node->label = label;
  return result;
}
int lp_node_input_count(const LpNode *node) { return node->n_edges; }
LpNode *lp_node_next(const LpNode *node, int i) {
  return i >= 0 && i < node->n_edges ? node->edges[i].node : NULL;
}

int lp_node_next_nr(const LpNode *node, int i) {
  return i >= 0 && i < node->n_edges ? node->edges[i].output_nr : 0;
}
uint64_t lp_node_sequence(const LpNode *node) { return node->sequence; }
LpTensor *lp_node_variable(const LpNode *node) { return lp_node_leaf(node); }
void *lp_node_host(const LpNode *node) { return node->host; }
void lp_node_set_host(LpNode *node, void *host, void (*free_host)(void *host)) {
  if (node->host && node->free_host) node->free_host(node->host);
  node->host = host;
  node->free_host = free_host;
}
int lp_output_nr(const LpTensor *t) { return t->autograd ? t->autograd->output_nr : 0; }

/* --- edges ----------------------------------------------------------------------------------- */

bool lp_node_set_edge(LpNode *node, int i, LpTensor *input) {
  if (!input || !input->autograd) return true;
  TRY(lp_gradient_edge(input, &node->edges[i]));
  /* A view's history may have been renewed just now: the node stays newer than what it leads to. */
  const LpNode *next = node->edges[i].node;
  if (next && next->sequence > node->sequence)
    node->sequence = atomic_fetch_add_explicit(&next_sequence, 1, memory_order_relaxed);
  return true;
}

bool lp_node_set_edges(LpNode *node, int first, LpTensors inputs) {
  for (int64_t i = 0; i < inputs.count; i++) TRY(lp_node_set_edge(node, first + (int)i, inputs.data[i]));
  return true;
}

bool lp_gradient_edge(LpTensor *t, LpEdge *edge) {
  TRY(lp_refresh_history(t));
  LpNode *fn = t->autograd ? t->autograd->grad_fn : NULL;
  if (fn) {
    edge->node = lp_node_retain(fn);
    edge->output_nr = t->autograd->output_nr;
    return true;
  }
  edge->node = NULL;
  edge->output_nr = 0;
  LpAutograd *meta = t->autograd;
  if (!meta || !meta->requires_grad) return true;
  if (!meta->accumulator) {
    TRY(lp_accumulator_new(t));
    edge->node = meta->accumulator; /* takes the new node's only reference */
  } else {
    edge->node = lp_node_retain(meta->accumulator);
  }
  return true;
}

/* --- saved tensors ----------------------------------------------------------------------------- */

/* Note: saved inputs. A node keeps a header of its own over an input's memory, and the edge to its history: the
 * input's header would lead, once it is written in place, to the writing node, and so from a node that comes
 * after this one back to it. A leaf that requires grad is written without history only, and `.data` counts its
 * writes itself; these are kept as they are. */
static bool is_kept_itself(const LpTensor *t) {
  const LpAutograd *meta = t->autograd;
  return (meta && meta->requires_grad && !meta->grad_fn) || (t->flags & LP_FLAG_OWN_VERSION);
}

bool lp_node_save(LpNode *node, int slot, LpTensor *t, int output_nr) {
  LpSaved *s = &node->saved[slot];
  drop_saved(s);
  if (!t) return true;
  CHECK(!(t->flags & LP_FLAG_INFERENCE) || lp_tls_inference, LP_ERR_AUTOGRAD,
        "Inference tensors cannot be saved for backward. To work around you can make a clone to get a normal "
        "tensor and use it in autograd");
  bool packed = false;
  s->output_nr = (int16_t)output_nr;
  TRY(lp_saved_pack(s, t, &packed));
  if (packed) return true;
  s->version = lp_version(t);
  if (output_nr >= 0) return (s->tensor = lp_tensor_shallow(t)) != NULL;
  if (is_kept_itself(t)) return (s->tensor = lp_tensor_retain(t)) != NULL;
  if (t->autograd) TRY(lp_gradient_edge(t, &s->edge));
  return (s->tensor = lp_tensor_shallow(t)) != NULL;
}

bool lp_node_save_list(LpNode *node, int first, LpTensors tensors) {
  for (int64_t i = 0; i < tensors.count; i++)
    TRY(lp_node_save(node, first + (int)i, tensors.data[i], -1));
  return true;
}

bool lp_node_save_original(LpNode *node, int slot, LpTensor *self) {
  LpTensor *copy = lp_clone(self, LP_FORMAT_NONE);
  TRY(copy);
  const bool ok = lp_node_save(node, slot, copy, -1);
  lp_tensor_release(copy);
  return ok;
}

bool lp_node_unpack(LpNode *node, int slot, LpTensor **result) {
  LpSaved *s = &node->saved[slot];
  char where[256];
  if (LP_UNLIKELY(node->freed)) {
    const bool known = lp_node_location(node, where, sizeof where);
    return lp_fail(LP_ERR_AUTOGRAD,
                   "Trying to backward through the graph a second time: the saved tensors of %s%s%s%s "
                   "were freed by the first backward. Specify retain_graph=true in the first call if "
                   "you need to backward through the graph again",
                   lp_node_name(node), known ? " (forward at " : "", known ? where : "", known ? ")" : "");
  }
  LpTensor *unpacked = NULL;
  if (LP_UNLIKELY(s->packed != NULL)) {
    TRY(s->hooks->unpack(s->packed, &unpacked));
    *result = unpacked;
    if (s->output_nr < 0 && !s->edge.node) return true;
    /* The history is that of the tensor that was packed. */
    *result = s->output_nr < 0 ? lp_output_again(unpacked, s->edge.node, s->edge.output_nr)
                               : lp_output_again(unpacked, node, s->output_nr);
    lp_tensor_release(unpacked);
    return *result != NULL;
  }
  if (!s->tensor) {
    *result = NULL;
    return true;
  }
  const uint32_t now = lp_version(s->tensor);
  if (LP_UNLIKELY(now != s->version)) {
    const bool known = lp_node_location(node, where, sizeof where);
    return lp_fail(LP_ERR_AUTOGRAD,
                   "one of the variables needed for gradient computation has been modified by an "
                   "inplace operation: the %s %s tensor saved by %s%s%s%s is at version %u; expected "
                   "version %u instead. Use the op that is not in place, or clone() the tensor first",
                   lp_dtype_name(s->tensor->dtype), SHAPE_TEXT(s->tensor), lp_node_name(node),
                   known ? " (forward at " : "", known ? where : "", known ? ")" : "", now, s->version);
  }
  if (s->output_nr < 0) {
    *result = s->edge.node && lp_tls_grad_enabled
                  ? lp_output_again(s->tensor, s->edge.node, s->edge.output_nr)
                  : lp_tensor_retain(s->tensor);
    return *result != NULL;
  }
  if (node->slices) {
    *result = lp_tls_grad_enabled ? lp_slices_output(node->slices, s->tensor) : lp_tensor_shallow(s->tensor);
    return *result != NULL;
  }
  return (*result = lp_output_again(s->tensor, node, s->output_nr)) != NULL;
}

LpTensor *lp_output_again(LpTensor *t, LpNode *node, int output_nr) {
  LpTensor *again = lp_tensor_shallow(t);
  if (again && !lp_set_history(again, node, output_nr)) lp_drop(&again);
  return again;
}

bool lp_node_unpack_list(LpNode *node, int first, int count, LpTensors *result) {
  LpTensor **items = lp_calloc((size_t)(count + 1) * sizeof(LpTensor *));
  TRY(items);
  result->data = items;
  result->count = count;
  for (int i = 0; i < count; i++) TRY(lp_node_unpack(node, first + i, &items[i]));
  return true;
}

void lp_node_list_free(LpTensors *list) {
  if (!list->data) return;
  for (int64_t i = 0; i < list->count; i++) lp_tensor_release(list->data[i]);
  lp_free((void *)list->data, (size_t)(list->count + 1) * sizeof(LpTensor *));
  list->data = NULL;
}

LpInts lp_node_keep_ints(LpNode *node, LpInts ints) {
  if (ints.count < 0) return lp_ints_none();
  int64_t *at = node->ints + node->n_ints_used;
  if (ints.count > 0) memcpy(at, ints.data, (size_t)ints.count * sizeof(int64_t));
  node->n_ints_used += (int32_t)ints.count;
  return lp_ints(at, ints.count);
}

/* Among the integers: of the same size. */
LpFloats lp_node_keep_floats(LpNode *node, LpFloats floats) {
  void *at = node->ints + node->n_ints_used;
  if (floats.count) memcpy(at, floats.data, (size_t)floats.count * sizeof(double));
  node->n_ints_used += (int32_t)floats.count;
  return (LpFloats){at, floats.count};
}

LpInts lp_node_keep_sizes_along(LpNode *node, LpTensors tensors, int64_t dim) {
  int64_t *at = node->ints + node->n_ints_used;
  for (int64_t i = 0; i < tensors.count; i++) {
    const LpTensor *t = tensors.data[i];
    const int64_t d = dim < 0 ? dim + t->ndim : dim;
    at[i] = d >= 0 && d < t->ndim ? t->sizes[d] : 0;
  }
  node->n_ints_used += (int32_t)tensors.count;
  return lp_ints(at, tensors.count);
}

LpKeptText lp_keep_text(const char *text) {
  LpKeptText kept = {text != NULL, ""};
  if (text) {
    strncpy(kept.text, text, sizeof kept.text - 1);
    kept.text[sizeof kept.text - 1] = '\0';
  }
  return kept;
}

/* --- results ------------------------------------------------------------------------------------ */

bool lp_node_attach(LpNode *node, LpTensor *const *results, int n_results) {
  if (node->n_outputs == 0) {
    node->n_outputs = n_results;
    if (n_results > 1) {
      node->outputs = lp_calloc((size_t)n_results * sizeof(LpOutputMeta));
      TRY(node->outputs);
    }
  }
  for (int i = 0; i < n_results; i++) {
    LpTensor *t = results[i];
    if (!t || !lp_dtype_is_differentiable(t->dtype)) continue;
    if (node->outputs) {
      LpOutputMeta *m = &node->outputs[i];
      if (!m->sizes.data && t->ndim > 0) {
        int64_t *copy = lp_alloc((size_t)t->ndim * sizeof(int64_t));
        TRY(copy);
        memcpy(copy, t->sizes, (size_t)t->ndim * sizeof(int64_t));
        m->sizes = lp_ints(copy, t->ndim);
      }
      m->dtype = t->dtype;
      m->device = lp_device(t);
    }
    TRY(lp_set_history(t, node, i));
  }
  return true;
}

LpTensor *lp_node_zeros(LpNode *node, int i) {
  const LpOutputMeta *m = &node->outputs[i];
  return lp_zeros(m->sizes, m->dtype, m->device, false);
}

LpTensor **lp_node_grad_list(LpNode *node, LpTensor *const *grads) {
  LpTensor **items = lp_calloc((size_t)(node->n_outputs + 1) * sizeof(LpTensor *));
  if (!items) return NULL;
  for (int i = 0; i < node->n_outputs; i++) {
    items[i] = grads[i] ? lp_tensor_retain(grads[i]) : lp_node_zeros(node, i);
    if (!items[i]) {
      lp_node_grad_list_free(node, grads, items);
      return NULL;
    }
  }
  return items;
}

void lp_node_grad_list_free(LpNode *node, LpTensor *const *grads, LpTensor **items) {
  if (!items) return;
  for (int i = 0; i < node->n_outputs; i++) lp_tensor_release(items[i]);
  lp_free(items, (size_t)(node->n_outputs + 1) * sizeof(LpTensor *));
}

bool lp_node_take_list(LpNode *node, int first, LpTensorVec *vec, LpTensor **results) {
  for (int64_t i = 0; i < vec->count; i++) {
    if (!lp_node_wants(node, first + (int)i)) continue;
    results[first + i] = vec->data[i];
    vec->data[i] = NULL;
  }
  return true;
}

LpTensor *lp_grad_fit(LpTensor *grad, LpInts sizes, LpDtype dtype) {
  if (!grad) return NULL;
  if (sizes.count >= 0) {
    bool same = sizes.count == grad->ndim;
    for (int i = 0; same && i < grad->ndim; i++) same = grad->sizes[i] == sizes.data[i];
    if (!same) {
      LpTensor *summed = lp_sum_to_size(grad, sizes);
      lp_tensor_release(grad);
      if (!(grad = summed)) return NULL;
    }
  }
  if (dtype == LP_DTYPE_NONE || (LpDtype)grad->dtype == dtype) return grad;
  if (lp_dtype_is_complex(grad->dtype) && !lp_dtype_is_complex(dtype)) {
    LpTensor *real = lp_real(grad);
    lp_tensor_release(grad);
    if (!(grad = real) || (LpDtype)grad->dtype == dtype) return grad;
  }
  LpTensor *cast = lp_to_copy(grad, dtype, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE);
  lp_tensor_release(grad);
  return cast;
}
