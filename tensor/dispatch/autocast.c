/* The state of autocast, its cache of cast weights, and the way of an op through it. See
 * autocast.h. */
#include "dispatch/autocast.h"

#include "autograd/node.h"
#include "core/alloc.h"
#include "lampad/ops.h"

_Thread_local bool lp_tls_autocast;

static _Thread_local LpAutocastState states[] = {
    [LP_CPU] = {false, LP_BFLOAT16}, [LP_CUDA] = {false, LP_FLOAT16}};
static _Thread_local bool cache_enabled = true;
static _Thread_local bool
    paused; /* an op works; what a hook of the host sets then counts after it */
static _Thread_local int nesting;

static void update(void) {
  lp_tls_autocast = states[LP_CPU].enabled && !paused;
}

LpAutocastState lp_autocast_state(LpDeviceType type) {
  return states[type];
}

void lp_set_autocast_state(LpDeviceType type, LpAutocastState state) {
  states[type] = state;
  update();
}

void lp_autocast_pause(void) {
  paused = true;
  update();
}
void lp_autocast_resume(void) {
  paused = false;
  update();
}

bool lp_autocast_cache_enabled(void) {
  return cache_enabled;
}
void lp_set_autocast_cache_enabled(bool enabled) {
  cache_enabled = enabled;
}
int lp_autocast_nest(int step) {
  return nesting += step;
}

/* --- the cache
 * -------------------------------------------------------------------------------------------
 */

/* A weight and its cast. The cast holds for the memory that it was made from, at that
 * stamp. */
typedef struct Entry {
  LpTensor *weight, *cast; /* owned; NULL: a free place */
  LpStorage *storage;      /* owned */
  uint32_t stamp;
} Entry;

/* An open-addressing table by the weight's address. */
typedef struct Cache {
  Entry *entries;
  int64_t capacity, count; /* capacity is a power of two, 0 before the first weight */
} Cache;
static _Thread_local Cache cache;

static void entry_end(Entry *e) {
  if (!e->weight) return;
  lp_tensor_release(e->weight);
  lp_tensor_release(e->cast);
  lp_storage_release(e->storage);
  *e = (Entry){0};
}

void lp_autocast_clear_cache(void) {
  Cache old = cache;
  cache = (Cache){0}; /* what ends with a tensor finds an empty cache */
  for (int64_t i = 0; i < old.capacity; i++) entry_end(&old.entries[i]);
  lp_free(old.entries, (size_t)old.capacity * sizeof(Entry));
}

static Entry *place_of(const Cache *c, const LpTensor *weight) {
  const uint64_t h = ((uint64_t)(uintptr_t)weight >> 4) * 0x9e3779b97f4a7c15ull;
  int64_t i = (int64_t)(h >> 20) & (c->capacity - 1);
  while (c->entries[i].weight && c->entries[i].weight != weight)
    i = (i + 1) & (c->capacity - 1);
  return &c->entries[i];
}

/* Does the cache alone hold the weight and its cast, whose history leads to the weight?
 */
static bool is_forgotten(const Entry *e) {
  return atomic_load(&e->cast->refcount) == 1 &&
         atomic_load(&e->weight->refcount) == 1 + lp_requires_grad(e->cast);
}

/* Makes room for one more, without the forgotten ones. */
static bool make_room(void) {
  if (cache.count * 2 < cache.capacity) return true;
  int64_t alive = 0;
  for (int64_t i = 0; i < cache.capacity; i++)
    alive += cache.entries[i].weight && !is_forgotten(&cache.entries[i]);
  Cache bigger = {.capacity = 64};
  while (bigger.capacity < alive * 4) bigger.capacity *= 2;
  TRY(bigger.entries = lp_calloc((size_t)bigger.capacity * sizeof(Entry)));
  for (int64_t i = 0; i < cache.capacity; i++) {
    Entry *e = &cache.entries[i];
    if (!e->weight || is_forgotten(e)) continue;
    *place_of(&bigger, e->weight) = *e;
    *e = (Entry){0};
    bigger.count++;
  }
  lp_autocast_clear_cache();
  cache = bigger;
  return true;
}

/* Can the cast be used where the op is called: was it recorded, when it has to be? */
static bool still_holds(const Entry *e, LpDtype dtype) {
  return e->storage == e->weight->storage && e->stamp == lp_storage_stamp(e->storage) &&
         e->cast->dtype == dtype && (!lp_tls_grad_enabled || lp_requires_grad(e->cast)) &&
         (lp_tls_inference || !lp_is_inference(e->cast));
}

static LpTensor *cast_weight(LpTensor *weight, LpDtype dtype) {
  Entry *e = cache.capacity ? place_of(&cache, weight) : NULL;
  if (e && e->weight && still_holds(e, dtype)) return lp_tensor_retain(e->cast);
  LpTensor *cast =
      lp_to_copy(weight, dtype, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE);
  TRY(cast);
  if (!make_room()) {
    lp_tensor_release(cast);
    return NULL;
  }
  e = place_of(&cache, weight);
  cache.count += !e->weight;
  entry_end(e);
  *e = (Entry){lp_tensor_retain(weight), lp_tensor_retain(cast),
               lp_storage_retain(weight->storage), lp_storage_stamp(weight->storage)};
  return cast;
}

/* --- one call
 * ----------------------------------------------------------------------------------------------
 */

/* float64 stays as it is: who uses it wants it. */
static bool is_castable(const LpTensor *t) {
  return t &&
         (t->dtype == LP_FLOAT32 || t->dtype == LP_BFLOAT16 || t->dtype == LP_FLOAT16);
}

/* t in the dtype, owned; t itself when it is so already or not of a dtype that is cast.
 */
static LpTensor *cast_tensor(LpTensor *t, LpDtype dtype) {
  if (!is_castable(t) || t->dtype == (int8_t)dtype) return lp_tensor_retain(t);
  if (cache_enabled && dtype == states[LP_CPU].dtype && t->dtype == LP_FLOAT32 &&
      t->autograd && !t->physical && lp_requires_grad(t) && lp_is_leaf(t) &&
      !lp_is_view(t))
    return cast_weight(t, dtype);
  return lp_to_copy(t, dtype, (LpDevice){LP_DEVICE_NONE, 0}, LP_FORMAT_NONE);
}

static bool is_tensor(LpArgType type) {
  return type == LP_ARG_TENSOR || type == LP_ARG_OPT_TENSOR;
}
static bool is_list(LpArgType type) {
  return type == LP_ARG_TENSORS || type == LP_ARG_OPT_TENSORS;
}

/* Is float32 among the arguments? */
static bool holds_float32(const LpOpInfo *op, const LpValue *args) {
  for (int i = 0; i < op->n_args; i++) {
    if (is_tensor(op->args[i].type) && args[i].tensor &&
        args[i].tensor->dtype == LP_FLOAT32)
      return true;
    for (int64_t k = 0; is_list(op->args[i].type) && k < args[i].tensors.count; k++)
      if (args[i].tensors.data[k] && args[i].tensors.data[k]->dtype == LP_FLOAT32)
        return true;
  }
  return false;
}

/* What the op's tensors are cast to; NONE: they stay as they are. */
static LpDtype target_of(const LpOpInfo *op, const LpValue *args) {
  switch (op->autocast) {
  case LP_AUTOCAST_LOWER_PRECISION: return states[LP_CPU].dtype;
  case LP_AUTOCAST_FP32:
  case LP_AUTOCAST_FP32_INSIDE: return LP_FLOAT32;
  case LP_AUTOCAST_PROMOTE: return holds_float32(op, args) ? LP_FLOAT32 : LP_DTYPE_NONE;
  default: return LP_DTYPE_NONE;
  }
}

/* The entries of a list cast, each owned, in an array of its own; NULL on an error. */
static LpTensor **cast_list(LpTensors list, LpDtype dtype) {
  LpTensor **items = lp_calloc((size_t)(list.count + 1) * sizeof *items);
  for (int64_t k = 0; items && k < list.count; k++) {
    if (!list.data[k] || (items[k] = cast_tensor(list.data[k], dtype))) continue;
    while (k > 0) lp_tensor_release(items[--k]);
    lp_free(items, (size_t)(list.count + 1) * sizeof *items);
    return NULL;
  }
  return items;
}

static void free_list(LpTensors list) {
  for (int64_t k = 0; k < list.count; k++) lp_tensor_release(list.data[k]);
  lp_free((void *)list.data, (size_t)(list.count + 1) * sizeof *list.data);
}

/* Gives the results, tensors of float32, the dtype that the first argument came with. */
static bool cast_back(const LpOpInfo *op, const LpValue *args, LpValue *results) {
  bool ok = true;
  for (int i = 0; is_castable(args[0].tensor) && i < op->n_results; i++) {
    LpTensor *cast =
        ok ? cast_tensor(results[i].tensor, (LpDtype)args[0].tensor->dtype) : NULL;
    lp_tensor_release(results[i].tensor);
    ok = (results[i].tensor = cast) != NULL;
  }
  return ok;
}

int lp_autocast_try(const LpOpInfo *op, LpVmapForm form, const LpValue *args,
                    LpValue *results) {
  (void)form;
  const LpDtype dtype = target_of(op, args);
  LpValue cast[LP_MAX_ARGS];
  int n = 0;
  bool ok = true;
  lp_autocast_pause();
  for (; ok && dtype != LP_DTYPE_NONE && n < op->n_args; n++) {
    cast[n] = args[n];
    if (is_tensor(op->args[n].type) && args[n].tensor)
      ok = (cast[n].tensor = cast_tensor(args[n].tensor, dtype)) != NULL;
    else if (is_list(op->args[n].type))
      ok = (cast[n].tensors.data = cast_list(args[n].tensors, dtype)) != NULL;
  }
  ok = ok && op->call(dtype == LP_DTYPE_NONE ? args : cast, results);
  if (op->autocast == LP_AUTOCAST_FP32_INSIDE) ok = ok && cast_back(op, args, results);
  lp_autocast_resume();
  while (n-- > 0) {
    if (is_tensor(op->args[n].type))
      lp_tensor_release(cast[n].tensor);
    else if (is_list(op->args[n].type) && cast[n].tensors.data)
      free_list(cast[n].tensors);
  }
  return ok ? 1 : -1;
}
