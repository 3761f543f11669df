/* Levels, batched headers, and the way from an op to its rule. See vmap.h. */
#include "vmap/rules.h"

#include <pthread.h>
#include <string.h>

#include "autograd/node.h"
#include "core/alloc.h"
#include "dispatch/limited.h"
#include "lampad/ops.h"

/* --- levels
 * ----------------------------------------------------------------------------------------
 */

#define MAX_LEVELS 64

typedef struct Level {
  uint32_t id;
  LpVmapRandomness randomness;
  int64_t batch;
} Level;

_Thread_local int lp_tls_vmap_depth;
/* There while a level is open: a module that is loaded late finds little room for thread-local arrays. */
static _Thread_local Level *levels;
static _Thread_local int open_levels; /* of them; while a rule runs, the depth is lower */
static _Atomic uint32_t next_level = 1;

uint32_t lp_vmap_enter(int64_t batch, LpVmapRandomness randomness) {
  CHECK(lp_tls_vmap_depth < MAX_LEVELS, LP_ERR_ARGUMENT, "vmap: more than %d levels",
        MAX_LEVELS);
  if (!levels) TRY(levels = lp_alloc(MAX_LEVELS * sizeof *levels));
  const uint32_t id = atomic_fetch_add(&next_level, 1);
  atomic_fetch_add_explicit(&lp_vmap_in_use, 1, memory_order_relaxed);
  levels[lp_tls_vmap_depth++] = (Level){id, randomness, batch};
  open_levels = lp_tls_vmap_depth;
  return id;
}

/* Where the level stands among the open ones, or -1. */
static int place_of(uint32_t level) {
  for (int i = lp_tls_vmap_depth - 1; i >= 0; i--)
    if (levels[i].id == level) return i;
  return -1;
}

/* A level below which a rule works right now: its tensors are alive, though out of reach.
 */
static bool is_suspended(uint32_t level) {
  for (int i = lp_tls_vmap_depth; i < open_levels; i++)
    if (levels[i].id == level) return true;
  return false;
}

void lp_vmap_leave(uint32_t level) {
  const int at = place_of(level);
  if (at < 0) return;
  atomic_fetch_sub_explicit(&lp_vmap_in_use, lp_tls_vmap_depth - at,
                            memory_order_relaxed);
  lp_tls_vmap_depth = open_levels = at;
  if (at > 0) return;
  lp_free(levels, MAX_LEVELS * sizeof *levels);
  levels = NULL;
}

int lp_vmap_depth(void) {
  return lp_tls_vmap_depth;
}

bool lp_vmap_is_batched(const LpTensor *t, uint32_t level) {
  return t->physical && (!level || t->vmap_level == level);
}
uint32_t lp_vmap_level_of(const LpTensor *t) {
  return t->vmap_level;
}
LpTensor *lp_vmap_physical(const LpTensor *t) {
  return t->physical;
}

/* --- headers
 * ---------------------------------------------------------------------------------------
 */

/* The header of one example over a batch, which it takes over. */
LpTensor *vmap_wrap_owned(LpTensor *physical, uint32_t level) {
  if (!physical) return NULL;
  LpTensor *t = lp_tensor_alias(
      physical, lp_ints(physical->sizes + 1, physical->ndim - 1),
      lp_ints(physical->strides + 1, physical->ndim - 1), physical->offset_elems);
  if (!t) {
    lp_tensor_release(physical);
    return NULL;
  }
  t->vmap_level = level;
  t->physical = physical;
  atomic_fetch_add_explicit(&lp_vmap_in_use, 1, memory_order_relaxed);
  return t;
}

LpTensor *lp_vmap_wrap(LpTensor *t, int64_t dim, uint32_t level) {
  CHECK(t->ndim > 0, LP_ERR_ARGUMENT, "vmap: a 0-d tensor has no dim to map over");
  TRY(lp_wrap_dim(dim, t->ndim, &dim));
  /* An alias in any case: ops that change a batch's geometry must not change the caller's
   * tensor. */
  LpTensor *front = dim ? lp_movedim_int(t, dim, 0) : lp_alias(t);
  return vmap_wrap_owned(front, level);
}

/* [...] -> [batch, ...] by repetition. Owned. */
static LpTensor *repeated(LpTensor *t, int64_t batch) {
  int64_t sizes[LP_MAX_DIMS + 1] = {batch};
  CHECK(t->ndim < LP_MAX_DIMS, LP_ERR_ARGUMENT, "vmap: a tensor has at most %d dims",
        LP_MAX_DIMS);
  for (int i = 0; i < t->ndim; i++) sizes[i + 1] = t->sizes[i];
  return lp_expand(t, lp_ints(sizes, t->ndim + 1));
}

LpTensor *lp_vmap_unwrap(LpTensor *t, int64_t dim, uint32_t level) {
  LpTensor *front = NULL;
  if (lp_vmap_is_batched(t, level)) {
    front = lp_tensor_retain(t->physical);
  } else {
    const int at = place_of(level);
    CHECK(at >= 0, LP_ERR_INTERNAL, "vmap: level %u is not open", (unsigned)level);
    front = repeated(t, levels[at].batch);
  }
  TRY(front);
  if (dim == 0) return front;
  LpTensor *moved = lp_movedim_int(front, 0, dim);
  lp_tensor_release(front);
  return moved;
}

/* -0, one for each example of the level: added to a tensor it changes nothing but batches
 * it, and unlike a new header it is recorded. Owned. */
static LpTensor *batched_zero(const Level *level, LpDtype dtype) {
  LpTensor *zeros = lp_zeros(lp_ints(&level->batch, 1), dtype, lp_cpu(), false);
  LpTensor *negative =
      zeros && dtype != LP_BOOL ? lp_neg(zeros) : lp_tensor_retain(zeros);
  lp_tensor_release(zeros);
  return vmap_wrap_owned(negative, level->id);
}

LpTensor *lp_vmap_batch_fully(LpTensor *t) {
  LpTensor *full = lp_tensor_retain(t);
  for (int i = 0; full && i < lp_tls_vmap_depth; i++) {
    bool batched = false;
    for (const LpTensor *p = full; p->physical; p = p->physical)
      batched |= p->vmap_level == levels[i].id;
    if (batched) continue;
    LpTensor *zero = batched_zero(&levels[i], (LpDtype)full->dtype);
    LpTensor *wide = zero ? lp_add(full, zero, lp_scalar_int(1)) : NULL;
    lp_tensor_release(zero);
    lp_tensor_release(full);
    full = wide;
  }
  return full;
}

LpTensor *lp_vmap_writable(LpTensor *owned) {
  if (!owned || !lp_tls_vmap_depth) return owned;
  LpTensor *full = lp_vmap_batch_fully(owned);
  lp_tensor_release(owned);
  LpTensor *copy = full ? lp_clone(full, LP_CONTIGUOUS) : NULL;
  lp_tensor_release(full);
  return copy;
}

LpTensor *lp_vmap_new_strided(LpTensor *like, LpInts sizes, LpInts strides,
                              LpDtype dtype) {
  if (!like->physical)
    return lp_tensor_new_strided(sizes, strides, dtype, lp_device(like));
  int64_t wide_sizes[LP_MAX_DIMS + 1], wide_strides[LP_MAX_DIMS + 1], extent;
  CHECK(sizes.count < LP_MAX_DIMS, LP_ERR_ARGUMENT, "vmap: a tensor has at most %d dims",
        LP_MAX_DIMS);
  TRY(lp_extent_of(sizes, strides, &extent));
  wide_sizes[0] = like->physical->sizes[0];
  wide_strides[0] = extent;
  for (int64_t i = 0; i < sizes.count; i++) {
    wide_sizes[i + 1] = sizes.data[i];
    wide_strides[i + 1] = strides.data[i];
  }
  return vmap_wrap_owned(
      lp_vmap_new_strided(like->physical, lp_ints(wide_sizes, sizes.count + 1),
                          lp_ints(wide_strides, sizes.count + 1), dtype),
      like->vmap_level);
}

/* --- one call: steps of the rules
 * --------------------------------------------------------------------- */

LpTensor *vmap_keep(VmapCall *c, LpTensor *owned) {
  if (!owned) return NULL;
  if (c->n_owned == c->owned_capacity) {
    const int64_t capacity = c->owned_capacity ? c->owned_capacity * 2 : 16;
    LpTensor **grown = lp_alloc((size_t)capacity * sizeof(LpTensor *));
    if (!grown) {
      lp_tensor_release(owned);
      return NULL;
    }
    if (c->n_owned) memcpy(grown, c->owned, (size_t)c->n_owned * sizeof(LpTensor *));
    lp_free(c->owned, (size_t)c->owned_capacity * sizeof(LpTensor *));
    c->owned = grown;
    c->owned_capacity = capacity;
  }
  return c->owned[c->n_owned++] = owned;
}

/* Drops what was kept since there were n. */
static void drop_kept(VmapCall *c, int64_t n) {
  while (c->n_owned > n) lp_tensor_release(c->owned[--c->n_owned]);
}

int64_t *vmap_ints(VmapCall *c, int64_t n) {
  CHECK(c->n_ints + n <= CALL_INTS, LP_ERR_ARGUMENT,
        "vmap: lists of more than %d integers", CALL_INTS);
  int64_t *at = c->ints + c->n_ints;
  c->n_ints += (int)n;
  return at;
}

LpTensor *vmap_front(VmapCall *c, LpTensor *t) {
  if (vmap_batched(c, t)) return t->physical;
  return vmap_keep(c, repeated(t, c->batch));
}

LpTensor *vmap_reshape(VmapCall *c, LpTensor *t, const int64_t *sizes, int64_t ndim) {
  return vmap_keep(c, lp_reshape(t, lp_ints(sizes, ndim)));
}

LpTensor *vmap_lift(VmapCall *c, LpTensor *t, int64_t ndim) {
  LpTensor *p = t->physical;
  if (t->ndim >= ndim) return p;
  CHECK(ndim < LP_MAX_DIMS, LP_ERR_ARGUMENT, "vmap: a tensor has at most %d dims",
        LP_MAX_DIMS);
  int64_t sizes[LP_MAX_DIMS + 1];
  int64_t n = 0;
  sizes[n++] = p->sizes[0];
  while (n <= ndim - t->ndim) sizes[n++] = 1;
  for (int i = 1; i < p->ndim; i++) sizes[n++] = p->sizes[i];
  return vmap_keep(c, lp_view(p, lp_ints(sizes, n)));
}

LpTensor *vmap_bare(VmapCall *c, LpTensor *t) {
  if (!vmap_batched(c, t)) return t;
  return vmap_keep(c, lp_tensor_shallow(t));
}

int vmap_descend(const VmapCall *c) {
  const int depth = lp_tls_vmap_depth;
  lp_tls_vmap_depth = c->place;
  return depth;
}
void vmap_ascend(int depth) {
  lp_tls_vmap_depth = depth;
}

static bool call_on(VmapCall *c, const LpValue *args, LpValue *results) {
  const int depth = vmap_descend(c);
  const bool ok =
      c->form == LP_VMAP_INPLACE ? c->op->call_inplace(args) : c->op->call(args, results);
  vmap_ascend(depth);
  return ok;
}

bool vmap_call(VmapCall *c) {
  return call_on(c, c->a, c->results);
}

int vmap_arg(const VmapCall *c, const char *name) {
  for (int i = 0; i < c->op->n_args; i++)
    if (strcmp(c->op->args[i].name, name) == 0) return i;
  return -1;
}

/* --- example by example
 * ---------------------------------------------------------------------------------- */

/* The arguments for example k into a; what they need is kept. */
static bool pick_example(VmapCall *c, int64_t k, LpValue *a) {
  const LpOpInfo *op = c->op;
  for (int i = 0; i < op->n_args; i++) {
    a[i] = c->args[i];
    if (vmap_is_tensor(op->args[i].type)) {
      LpTensor *t = c->args[i].tensor;
      if (vmap_batched(c, t))
        TRY(a[i].tensor = vmap_keep(c, lp_select(t->physical, 0, k)));
    } else if (vmap_is_list(op->args[i].type)) {
      const LpTensors list = c->args[i].tensors;
      LpTensor **items = (LpTensor **)c->a[i].tensors.data; /* room made by vmap_loop */
      for (int64_t j = 0; j < list.count; j++) {
        items[j] = list.data[j];
        if (vmap_batched(c, list.data[j]))
          TRY(items[j] = vmap_keep(c, lp_select(list.data[j]->physical, 0, k)));
      }
      a[i].tensors = (LpTensors){items, list.count};
    }
  }
  return true;
}

/* One list of results for each result (or entry of a Tensor[] result), filled example by
 * example. */
typedef struct Gathered {
  LpTensor **items; /* [count][batch] */
  int64_t count, batch;
} Gathered;

static void gathered_free(Gathered *g) {
  if (!g->items) return;
  for (int64_t i = 0; i < g->count * g->batch; i++) lp_tensor_release(g->items[i]);
  lp_free(g->items, (size_t)(g->count * g->batch + 1) * sizeof(LpTensor *));
  g->items = NULL;
}

static bool gather_example(VmapCall *c, Gathered *g, int64_t k, LpValue *r) {
  const bool vec = c->op->result_types[0] == LP_RESULT_TENSORS;
  const int64_t count = vec ? r[0].vec.count : c->op->n_results;
  if (!g->items) {
    g->count = count;
    g->batch = c->batch;
    g->items = lp_calloc((size_t)(count * c->batch + 1) * sizeof(LpTensor *));
  }
  const bool fits = g->items && count == g->count;
  for (int64_t j = 0; fits && j < count; j++) {
    LpTensor **from = vec ? &r[0].vec.data[j] : &r[j].tensor;
    g->items[j * g->batch + k] = *from;
    *from = NULL;
  }
  if (vec)
    lp_tensor_vec_free(&r[0].vec);
  else
    for (int64_t j = 0; j < count; j++) lp_tensor_release(r[j].tensor);
  if (g->items && !fits)
    return lp_fail(LP_ERR_ARGUMENT, "vmap: the examples gave lists of different lengths");
  return g->items != NULL;
}

/* Stacks what was gathered into the results. */
static bool stack_gathered(VmapCall *c, Gathered *g) {
  const bool vec = c->op->result_types[0] == LP_RESULT_TENSORS;
  if (vec) {
    c->results[0].vec.count = g->count;
    TRY(c->results[0].vec.data = lp_calloc((size_t)(g->count + 1) * sizeof(LpTensor *)));
  }
  bool ok = true;
  for (int64_t j = 0; ok && j < g->count; j++) {
    LpTensor **from = &g->items[j * g->batch];
    LpTensor *stacked = NULL;
    if (from[0]) ok = (stacked = lp_stack((LpTensors){from, g->batch}, 0)) != NULL;
    if (vec)
      c->results[0].vec.data[j] = stacked;
    else
      c->results[j].tensor = stacked;
  }
  return ok;
}

static void drop_results(const LpOpInfo *op, LpValue *results) {
  if (op->n_results && op->result_types[0] == LP_RESULT_TENSORS) {
    lp_tensor_vec_free(&results[0].vec);
    return;
  }
  for (int i = 0; i < op->n_results; i++)
    if (op->result_types[i] == LP_RESULT_TENSOR) lp_drop(&results[i].tensor);
}

Outcome vmap_loop(VmapCall *c) {
  const LpOpInfo *op = c->op;
  if (c->batch == 0) {
    lp_fail(LP_ERR_ARGUMENT, "The fallback path does not support vmap over dims of size "
                             "0. Please consider mapping over a dim "
                             "that has examples");
    return VMAP_FAILED;
  }
  if (c->form == LP_VMAP_PLAIN && op->n_results &&
      op->result_types[0] != LP_RESULT_TENSOR &&
      op->result_types[0] != LP_RESULT_TENSORS) {
    lp_fail(LP_ERR_ARGUMENT, "vmap: It looks like you're attempting to use a Tensor in "
                             "some data-dependent control flow. We "
                             "don't support that yet");
    return VMAP_FAILED;
  }
  LpTensor **rooms[LP_MAX_ARGS] = {0};
  Gathered gathered = {0};
  bool ok = true;
  for (int i = 0; ok && i < op->n_args; i++) {
    if (!vmap_is_list(op->args[i].type)) continue;
    rooms[i] = lp_calloc((size_t)(c->args[i].tensors.count + 1) * sizeof(LpTensor *));
    ok = rooms[i] != NULL;
    c->a[i].tensors.data = rooms[i];
  }
  const int depth = vmap_descend(c);
  for (int64_t k = 0; ok && k < c->batch; k++) {
    LpValue a[LP_MAX_ARGS], r[LP_MAX_RESULTS] = {{0}};
    const int64_t kept = c->n_owned;
    ok = pick_example(c, k, a);
    ok = ok && (c->form == LP_VMAP_INPLACE ? op->call_inplace(a) : op->call(a, r));
    if (ok && c->form == LP_VMAP_PLAIN && op->n_results)
      ok = gather_example(c, &gathered, k, r);
    drop_kept(c, kept);
  }
  if (ok && gathered.items) ok = stack_gathered(c, &gathered);
  vmap_ascend(depth);
  gathered_free(&gathered);
  for (int i = 0; i < op->n_args; i++)
    if (rooms[i])
      lp_free(rooms[i], (size_t)(c->args[i].tensors.count + 1) * sizeof(LpTensor *));
  return ok ? VMAP_DONE : VMAP_FAILED;
}

/* --- from an op to its rule
 * --------------------------------------------------------------------------------- */

#define TABLE_SIZE 4096 /* a power of two, several times the number of ops */

typedef struct Found {
  const LpOpInfo *op;
  VmapRule rule;
} Found;
static Found table[TABLE_SIZE];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static int64_t slot_of(const LpOpInfo *op) {
  uint64_t h = (uint64_t)(uintptr_t)op * 0x9e3779b97f4a7c15ull;
  int64_t i = (int64_t)(h >> 40) & (TABLE_SIZE - 1);
  while (table[i].op && table[i].op != op) i = (i + 1) & (TABLE_SIZE - 1);
  return i;
}

static VmapRule named_rule(const char *cname) {
  const VmapEntry *const lists[] = {lp_vmap_rules, lp_vmap_nn_rules,
                                    lp_vmap_random_rules};
  for (int k = 0; k < 3; k++)
    for (const VmapEntry *e = lists[k]; e->op; e++)
      if (strcmp(e->op, cname) == 0) return e->rule;
  return NULL;
}

Outcome vmap_pointwise(VmapCall *c);

static void fill_table(void) {
  int count;
  const LpOpInfo *const *ops = lp_op_db(&count);
  for (int i = 0; i < count && i < TABLE_SIZE / 2; i++) {
    VmapRule rule = named_rule(ops[i]->cname);
    if (!rule && (ops[i]->kind == LP_KIND_UNARY || ops[i]->kind == LP_KIND_BINARY))
      rule = vmap_pointwise;
    table[slot_of(ops[i])] = (Found){ops[i], rule};
  }
}

/* The innermost open level that batches t; false for a batch of a level that has closed.
 */
static bool note_level(const LpTensor *t, int *place) {
  if (!t || !t->physical) return true;
  const int at = place_of(t->vmap_level);
  if (at > *place) *place = at;
  return at >= 0 || is_suspended(t->vmap_level);
}

static bool wrap_results(VmapCall *c) {
  const LpOpInfo *op = c->op;
  bool ok = true;
  if (c->form == LP_VMAP_INPLACE || !op->n_results) return true;
  if (op->result_types[0] == LP_RESULT_TENSORS) {
    LpTensorVec *vec = &c->results[0].vec;
    for (int64_t i = 0; ok && i < vec->count; i++) {
      if (!vec->data[i]) continue;
      ok = (vec->data[i] = vmap_wrap_owned(vec->data[i], c->level)) != NULL;
    }
  } else {
    for (int i = 0; ok && i < op->n_results; i++) {
      if (!c->results[i].tensor) continue;
      ok = (c->results[i].tensor = vmap_wrap_owned(c->results[i].tensor, c->level)) !=
           NULL;
    }
  }
  return ok;
}

/* Ops that change a tensor's geometry in place have changed the batch's: one example's
 * follows. */
static bool follow_geometry(LpTensor *self) {
  const LpTensor *p = self->physical;
  if (p->ndim == self->ndim + 1 && p->offset_elems == self->offset_elems &&
      p->storage == self->storage &&
      memcmp(p->sizes + 1, self->sizes, (size_t)self->ndim * sizeof(int64_t)) == 0 &&
      memcmp(p->strides + 1, self->strides, (size_t)self->ndim * sizeof(int64_t)) == 0)
    return true;
  return lp_tensor_set_geometry(self, lp_ints(p->sizes + 1, p->ndim - 1),
                                lp_ints(p->strides + 1, p->ndim - 1), p->offset_elems);
}

static bool wants_grad(const LpOpInfo *op, const LpValue *args) {
  for (int i = 0; i < op->n_args; i++) {
    if (vmap_is_tensor(op->args[i].type) && lp_wants_grad(args[i].tensor)) return true;
    if (vmap_is_list(op->args[i].type) && lp_any_wants_grad(args[i].tensors)) return true;
  }
  return false;
}

int lp_vmap_try(const LpOpInfo *op, LpVmapForm form, const LpValue *args,
                LpValue *results) {
  const int limited = lp_limited_try(op, form, args, results);
  if (LP_UNLIKELY(limited)) return limited;
  pthread_once(&table_once, fill_table);
  int place = -1;
  bool random = false, alive = true;
  for (int i = 0; i < op->n_args; i++) {
    if (vmap_is_tensor(op->args[i].type)) {
      alive &= note_level(args[i].tensor, &place);
    } else if (vmap_is_list(op->args[i].type)) {
      for (int64_t j = 0; j < args[i].tensors.count; j++)
        alive &= note_level(args[i].tensors.data[j], &place);
    } else if (op->args[i].type == LP_ARG_OPT_GENERATOR) {
      random = true;
    }
  }
  if (LP_UNLIKELY(!alive)) {
    lp_fail(LP_ERR_ARGUMENT,
            "vmap: a tensor made inside of a vmap is used after that has "
            "returned; return it from the function instead");
    return -1;
  }
  if (random)
    place = lp_tls_vmap_depth - 1; /* they obey the innermost level, batched or not */
  if (place < 0) return 0;
  if (form == LP_VMAP_OUT) {
    lp_fail(LP_ERR_ARGUMENT,
            "Batching rule not implemented for %s.out; the fallback path doesn't work on "
            "out= or view ops",
            op->name);
    return -1;
  }
  const VmapRule rule = table[slot_of(op)].rule;
  /* Composites run as they are: what they are made of has rules, and is recorded where
   * that is wanted. */
  if (op->kind == LP_KIND_COMPOSITE &&
      (!rule || (rule == vmap_loop && wants_grad(op, args))))
    return 0;
  VmapCall c = {.op = op,
                .form = form,
                .args = args,
                .results = results,
                .level = levels[place].id,
                .place = place,
                .depth = lp_tls_vmap_depth,
                .batch = levels[place].batch,
                .randomness = levels[place].randomness};
  memcpy(c.a, args, (size_t)op->n_args * sizeof *args);
  LpTensor *self = form == LP_VMAP_INPLACE ? args[0].tensor : NULL;
  Outcome outcome = VMAP_LOOP;
  if (self && !vmap_batched(&c, self) && !random) {
    lp_fail(LP_ERR_ARGUMENT,
            "vmap: %s_(self, *extra_args) is not possible because there exists a Tensor "
            "`other` in extra_args "
            "that has more elements than `self`. This happened due to `other` being "
            "vmapped over but `self` "
            "not being vmapped over in a vmap. Please try to use out-of-place operators "
            "instead of %s_",
            op->name, op->name);
    outcome = VMAP_FAILED;
  } else if (rule) {
    const int depth = vmap_descend(&c);
    outcome = rule(&c);
    vmap_ascend(depth);
  }
  if (outcome == VMAP_LOOP) {
    memcpy(c.a, args, (size_t)op->n_args * sizeof *args);
    outcome = vmap_loop(&c);
  }
  if (outcome == VMAP_DONE) outcome = wrap_results(&c) ? VMAP_WRAPPED : VMAP_FAILED;
  if (outcome == VMAP_WRAPPED && self && vmap_batched(&c, self) && !follow_geometry(self))
    outcome = VMAP_FAILED;
  if (outcome == VMAP_FAILED && form == LP_VMAP_PLAIN) drop_results(op, results);
  drop_kept(&c, 0);
  lp_free(c.owned, (size_t)c.owned_capacity * sizeof(LpTensor *));
  return outcome == VMAP_AS_IS ? 0 : outcome == VMAP_FAILED ? -1 : 1;
}
