/* Tensors as Lua values: boxes, properties, operators, and the pressure their memory puts on the
 * collector. Note: pressure. Lua sees a box of a few bytes where megabytes hang on it; so the
 * bytes that the thread took from the engine are watched, and a collection runs when they pass a threshold
 * that follows what is really in use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/check.h"
#include "core/thread.h"
#include "lampad/memory.h"
#include "lampad/vmap.h"
#include "state.h"
#include "vm.h"

/* Registry keys (by address). */
static const char metatable_key = 0, attributes_key = 0;

/* Most processes open the library in one state only: then the address of the boxes' metatable tells a box, and a
 * number finds the metatable sooner than the key. NULL before, &several for good once a second state opens it. */
static const char several = 0;
static const void *_Atomic only_metatable;
static int only_metatable_ref;
static atomic_int open_count;
/* A worker's thread (worker.c) runs one state, which it made itself: it notes its metatable in its LpThread, and
 * its state does not count for the others. */

/* NULL when it cannot tell. */
static inline const void *get_only_metatable(void) {
  if (LP_UNLIKELY(lp_tls_thread != NULL)) return lp_tls_thread->host_type;
  const void *meta = atomic_load_explicit(&only_metatable, memory_order_acquire);
  return meta == &several ? NULL : meta;
}
static inline int get_only_metatable_ref(void) {
  return LP_UNLIKELY(lp_tls_thread != NULL) ? lp_tls_thread->host_type_ref : only_metatable_ref;
}

/* Notes the metatable at the top of the stack. */
static void note_metatable(lua_State *L) {
  if (lp_tls_thread) {
    lua_pushvalue(L, -1);
    lp_tls_thread->host_type_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lp_tls_thread->host_type = lua_topointer(L, -1);
    return;
  }
  if (atomic_fetch_add(&open_count, 1) > 0) {
    atomic_store(&only_metatable, &several);
    return;
  }
  lua_pushvalue(L, -1);
  only_metatable_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  const void *none = NULL; /* another may have come meanwhile */
  atomic_compare_exchange_strong(&only_metatable, &none, lua_topointer(L, -1));
}

/* What hangs on a box beside elements: the box, the tensor, its storage and node. Counted so that garbage of
 * small tensors does not leave the processor's cache before it is collected. */
#define OBJECT_BYTES 384

LpBox *lpvm_new_box(lua_State *L) {
  LpBox *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->tensor = NULL;
  if (LP_LIKELY(get_only_metatable() != NULL)) lua_rawgeti(L, LUA_REGISTRYINDEX, get_only_metatable_ref());
  else lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  lua_setmetatable(L, -2);
  return box;
}

void lpvm_fill_box(lua_State *L, LpBox *box, LpTensor *tensor) {
  (void)L;
  box->tensor = tensor;
  lp_memory_thread_charge(OBJECT_BYTES);
}

static int push_box_protected(lua_State *L) {
  LpBox *box = lpvm_new_box(L);
  lpvm_fill_box(L, box, lua_touserdata(L, 1));
  return 1;
}

void lpvm_push_tensor(lua_State *L, LpTensor *tensor) {
  lua_pushcfunction(L, push_box_protected);
  lua_pushlightuserdata(L, tensor);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lp_tensor_release(tensor);
    lua_error(L);
  }
}

static LpBox *to_box(lua_State *L, int index) {
  LpBox *box = lua_touserdata(L, index);
  if (!box || !lua_getmetatable(L, index)) return NULL;
  const void *only = get_only_metatable();
  if (LP_LIKELY(only != NULL)) {
    const bool same = lua_topointer(L, -1) == only;
    lua_pop(L, 1);
    return same ? box : NULL;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
  const bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? box : NULL;
}

LpTensor *lpvm_to_tensor(lua_State *L, int index) {
  LpBox *box = to_box(L, index);
  return box ? box->tensor : NULL;
}

LpTensor *lpvm_check_tensor(lua_State *L, int index, const char *what) {
  LpBox *box = to_box(L, index);
  if (!box) {
    char buf[96];
    lpvm_error(L, what, "expected a torch.Tensor, got %s", lpvm_describe(L, index, buf, sizeof buf));
  }
  if (!box->tensor) lpvm_error(L, what, "the tensor was freed by x:free()");
  return box->tensor;
}

/* --- pressure ---------------------------------------------------------------------------------- */

/* Note: two collections. Most tensors die young, so the collector runs in Lua's generational mode
 * (lpvm_open_collector) and there are two thresholds. The near one asks for a collection of the young alone:
 * some microseconds and the garbage itself, however much is alive. Its allowance is small, for a dead tensor's
 * memory that is still in the processor's cache serves the next one at three times the speed. The far one asks
 * for a full collection: it finds what had grown old before it died.
 *
 * Each allowance follows what its collections cost: it doubles while they take more than their share of the
 * time, and halves while they take little; on the young a quarter of the time is well spent within the cache and
 * a twentieth beyond it, on full collections a thirtieth. Finalizers do not count, they cost the same whenever they
 * run. The near one also doubles when much of the young is still alive: what is looked at too soon grows old without
 * need. */
#define LEAST_BYTES ((size_t)1 << 20)
#define CACHE_BYTES ((size_t)2 << 20)
#define MOST_BYTES ((size_t)32 << 20) /* or a quarter of what is live */
#define FINALIZER_S 0.2e-6

typedef struct Pressure {
  int64_t limit_bytes; /* of lp_memory_thread_bytes */
  size_t allowance_bytes;
  double last_end_s;
} Pressure;

/* Of the thread's state: each watches what its own thread took, for the states of others do not free it. */
static _Thread_local Pressure near = {LEAST_BYTES, LEAST_BYTES, 0}, far = {LEAST_BYTES, LEAST_BYTES, 0};
static _Thread_local bool collect_next;
static _Thread_local uint64_t finalized_count;

/* Of this thread alone: what others do meanwhile says nothing about the collector's share. */
static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void lpvm_request_collection(void) { collect_next = true; }

/* The first releases of Lua 5.4 lose objects in the generational mode. */
#define HAS_GENERATIONS (LUA_VERSION_RELEASE_NUM >= 50404)

/* Lua's own pace: a collection of the young when the heap has doubled, as in the incremental mode. */
void lpvm_open_collector(lua_State *L) {
  if (HAS_GENERATIONS) lua_gc(L, LUA_GCGEN, 100, 0);
}

/* The program may have chosen the incremental mode. */
static bool is_generational(lua_State *L) {
  if (!HAS_GENERATIONS) return false;
  if (LP_LIKELY(lua_gc(L, LUA_GCGEN, 0, 0) == LUA_GCGEN)) return true;
  lua_gc(L, LUA_GCINC, 0, 0, 0);
  return false;
}

/* Collects and sets p's next limit. */
static void collect(lua_State *L, Pressure *p, bool young) {
  const int64_t before = lp_memory_thread_bytes();
  const uint64_t finalized_before = finalized_count;
  const double begin_s = now_s();
  if (young) lua_gc(L, LUA_GCSTEP, 0);
  else lua_gc(L, LUA_GCCOLLECT);
  const double end_s = now_s();
  const int64_t left = lp_memory_thread_bytes();
  const size_t live = lp_memory_live_bytes(), most = live / 4 > MOST_BYTES ? live / 4 : MOST_BYTES;
  const double finalizers_s = (double)(finalized_count - finalized_before) * FINALIZER_S;
  const double share = (end_s - begin_s - finalizers_s) / (end_s - p->last_end_s);
  const double fair = !young ? 0.03 : p->allowance_bytes <= CACHE_BYTES ? 0.25 : 0.05;
  const bool early = young && left + (int64_t)p->allowance_bytes / 2 > before;
  if (share > fair || early) p->allowance_bytes *= 2;
  else if (share < fair / 3) p->allowance_bytes /= 2;
  if (p->allowance_bytes > most) p->allowance_bytes = most;
  if (p->allowance_bytes < LEAST_BYTES) p->allowance_bytes = LEAST_BYTES;
  p->limit_bytes = left + (int64_t)p->allowance_bytes;
  p->last_end_s = end_s;
}

static void __attribute__((noinline)) relieve_pressure(lua_State *L) {
  if (!lua_gc(L, LUA_GCISRUNNING)) return; /* the host stopped the collector, or a finalizer runs */
  const bool young = !collect_next && is_generational(L);
  collect_next = false;
  if (young) collect(L, &near, true);
  if (young && lp_memory_thread_bytes() <= far.limit_bytes) return;
  collect(L, &far, false);
  near.limit_bytes =
      lp_memory_thread_bytes() + (int64_t)(young ? near.allowance_bytes : far.allowance_bytes);
}

void lpvm_collect_pressure(lua_State *L) {
  if (LP_UNLIKELY(lp_memory_thread_bytes() > near.limit_bytes || collect_next)) relieve_pressure(L);
}

/* The engine is out of memory: what Lua no longer uses may be enough. */
static bool memory_pressure(size_t wanted_bytes) {
  (void)wanted_bytes;
  lua_State *L = lpvm_running;
  if (!L || !lua_gc(L, LUA_GCISRUNNING)) return false;
  const size_t before = lp_memory_live_bytes();
  lua_gc(L, LUA_GCCOLLECT);
  return lp_memory_live_bytes() < before;
}

static void release_box(LpBox *box) {
  LpTensor *t = box->tensor;
  box->tensor = NULL;
  if (t) lp_memory_thread_charge(-OBJECT_BYTES);
  lp_tensor_release(t);
}

/* Lua's pace and the program collect, too: the next garbage counts from what they left. */
static inline void lower_limit(Pressure *p, int64_t left_bytes) {
  const int64_t limit_bytes = left_bytes + (int64_t)p->allowance_bytes;
  if (limit_bytes < p->limit_bytes) p->limit_bytes = limit_bytes;
}

static int box_gc(lua_State *L) {
  release_box(lua_touserdata(L, 1));
  finalized_count++;
  const int64_t left_bytes = lp_memory_thread_bytes();
  lower_limit(&near, left_bytes);
  lower_limit(&far, left_bytes);
  return 0;
}

/* x:free(): releases the memory now; later uses are errors. */
static int tensor_free(lua_State *L) {
  LpBox *box = to_box(L, 1);
  if (!box) lpvm_check_tensor(L, 1, "free");
  release_box(box);
  return 0;
}

/* --- properties ----------------------------------------------------------------------------------- */

static int get_shape(lua_State *L, LpTensor *t) { lpvm_push_size(L, lp_sizes(t)); return 1; }
static int get_dtype(lua_State *L, LpTensor *t) { lpvm_push_dtype(L, lp_dtype(t)); return 1; }
static int get_device(lua_State *L, LpTensor *t) { lpvm_push_device(L, lp_device(t)); return 1; }
static int get_ndim(lua_State *L, LpTensor *t) { lua_pushinteger(L, lp_ndim(t)); return 1; }
static int get_itemsize(lua_State *L, LpTensor *t) {
  lua_pushinteger(L, (lua_Integer)lp_dtype_size(lp_dtype(t)));
  return 1;
}
static int get_nbytes(lua_State *L, LpTensor *t) {
  lua_pushinteger(L, lp_numel(t) * (lua_Integer)lp_dtype_size(lp_dtype(t)));
  return 1;
}
static int get_requires_grad(lua_State *L, LpTensor *t) {
  lua_pushboolean(L, lp_requires_grad(t));
  return 1;
}
static int get_is_leaf(lua_State *L, LpTensor *t) { lua_pushboolean(L, lp_is_leaf(t)); return 1; }
static int get_retains_grad(lua_State *L, LpTensor *t) {
  lua_pushboolean(L, lp_retains_grad(t));
  return 1;
}
static int get_is_cuda(lua_State *L, LpTensor *t) {
  lua_pushboolean(L, lp_device(t).type == LP_CUDA);
  return 1;
}
static int get_is_cpu(lua_State *L, LpTensor *t) {
  lua_pushboolean(L, lp_device(t).type == LP_CPU);
  return 1;
}
/* Kinds of tensors that there are none of. */
static int get_false(lua_State *L, LpTensor *t) {
  (void)t;
  lua_pushboolean(L, 0);
  return 1;
}
static int get_version(lua_State *L, LpTensor *t) {
  if (lp_is_inference(t)) lpvm_error(L, "_version", "Inference tensors do not track version counter");
  lua_pushinteger(L, lp_version(t));
  return 1;
}
static int get_output_nr(lua_State *L, LpTensor *t) { lua_pushinteger(L, lp_output_nr(t)); return 1; }
static int get_is_view(lua_State *L, LpTensor *t) { lua_pushboolean(L, lp_is_view(t)); return 1; }
static int push_or_nil(lua_State *L, LpTensor *t) {
  if (t) lpvm_push_tensor(L, lp_tensor_retain(t));
  else lua_pushnil(L);
  return 1;
}
static int get_grad(lua_State *L, LpTensor *t) { return push_or_nil(L, lp_grad(t)); }
static int get_base(lua_State *L, LpTensor *t) { return push_or_nil(L, lp_base(t)); }
static int push_result(lua_State *L, LpBox *box, LpTensor *t, const char *what) {
  if (!t) lpvm_raise(L, what);
  lpvm_fill_box(L, box, t);
  return 1;
}
static int get_data(lua_State *L, LpTensor *t) {
  LpBox *box = lpvm_new_box(L);
  return push_result(L, box, lp_data_of(t), "data");
}
static int get_grad_fn(lua_State *L, LpTensor *t) {
  LpNode *node = lp_grad_fn(t);
  if (node) lpvm_push_node(L, node);
  else lua_pushnil(L);
  return 1;
}
/* T, mT, H, mH: transposes. */
static int get_transpose(lua_State *L, LpTensor *t, const char *what, bool matrix, bool conjugate) {
  LpBox *box = lpvm_new_box(L);
  const int64_t n = lp_ndim(t);
  if (matrix && n < 2) lpvm_error(L, what, "expected a tensor of at least 2 dims, got %lld-d", (long long)n);
  if (!matrix && n != 2 && !(n == 0 || n == 1))
    lpvm_error(L, what, "expected a tensor of at most 2 dims, got %lld-d; use x.mT or x:permute(...)", (long long)n);
  lpvm_running = L;
  const int64_t swapped[2] = {1, 0};
  LpTensor *result = n < 2          ? lp_tensor_retain(t)
                     : *what == 'T' ? lp_permute(t, (LpInts){swapped, 2})
                                    : lp_transpose(t, -2, -1);
  if (result && conjugate) {
    LpTensor *c = lp_conj(result);
    lp_tensor_release(result);
    result = c;
  }
  return push_result(L, box, result, what);
}
static int get_T(lua_State *L, LpTensor *t) { return get_transpose(L, t, "T", false, false); }
static int get_mT(lua_State *L, LpTensor *t) { return get_transpose(L, t, "mT", true, false); }
static int get_H(lua_State *L, LpTensor *t) { return get_transpose(L, t, "H", false, true); }
static int get_mH(lua_State *L, LpTensor *t) { return get_transpose(L, t, "mH", true, true); }
static int get_real(lua_State *L, LpTensor *t) {
  LpBox *box = lpvm_new_box(L);
  return push_result(L, box, lp_real(t), "real");
}
static int get_imag(lua_State *L, LpTensor *t) {
  LpBox *box = lpvm_new_box(L);
  return push_result(L, box, lp_imag(t), "imag");
}
static int get_layout(lua_State *L, LpTensor *t) {
  (void)t;
  lua_getfield(L, LUA_REGISTRYINDEX, "lampad.torch");
  lua_getfield(L, -1, "strided");
  return 1;
}

typedef struct Getter {
  const char *name;
  int (*get)(lua_State *L, LpTensor *t);
} Getter;
static const Getter getters[] = {
    {"shape", get_shape},       {"dtype", get_dtype},   {"device", get_device},
    {"ndim", get_ndim},         {"grad", get_grad},     {"requires_grad", get_requires_grad},
    {"is_leaf", get_is_leaf},   {"data", get_data},     {"grad_fn", get_grad_fn},
    {"T", get_T},               {"mT", get_mT},         {"H", get_H},
    {"mH", get_mH},             {"real", get_real},     {"imag", get_imag},
    {"layout", get_layout},     {"nbytes", get_nbytes}, {"itemsize", get_itemsize},
    {"is_cuda", get_is_cuda},   {"_base", get_base},    {"_version", get_version},
    {"retains_grad", get_retains_grad}, {"is_cpu", get_is_cpu},
    {"is_sparse", get_false},   {"is_quantized", get_false}, {"is_meta", get_false},
    {"is_nested", get_false},   {"is_mps", get_false},  {"is_xpu", get_false},
    {"is_mkldnn", get_false},   {"is_sparse_csr", get_false},
    {"output_nr", get_output_nr}, {"_is_view", get_is_view},
};

/* x.name, x:name(...), x[index]. Upvalues: 1 methods, 2 getters (name -> light userdata). */
static int tensor_index(lua_State *L) {
  LpBox *box = lua_touserdata(L, 1);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) {
      const Getter *g = lua_touserdata(L, -1);
      return g->get(L, lpvm_check_tensor(L, 1, g->name));
    }
    lua_settop(L, 2);
    /* Attributes set by the user, then the text between Python's brackets. */
    const char *key = lua_tostring(L, 2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &attributes_key); /* weak table: box -> attributes */
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) == LUA_TTABLE && lua_getfield(L, -1, key) != LUA_TNIL) return 1;
    lua_settop(L, 2);
    const char first = key[0];
    const bool name = (first >= 'a' && first <= 'z') || first == '_' ||
                      (first >= 'A' && first <= 'Z' && strncmp(key, "None", 4) != 0 &&
                       strncmp(key, "True", 4) != 0 && strncmp(key, "False", 5) != 0);
    if (name) {
      lua_pushnil(L);
      return 1;
    }
  }
  if (!box->tensor) lpvm_check_tensor(L, 1, "index");
  lpvm_running = L;
  return lpvm_index(L, box->tensor, 2);
}

bool lpvm_push_attributes(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &attributes_key);
  lua_pushvalue(L, index);
  const bool some = lua_rawget(L, -2) == LUA_TTABLE;
  lua_remove(L, -2);
  if (!some) lua_pop(L, 1);
  return some;
}

void lpvm_set_attributes(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &attributes_key);
  lua_pushvalue(L, index);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

static int set_grad(lua_State *L, LpTensor *t) {
  LpTensor *grad = lua_isnil(L, 3) ? NULL : lpvm_check_tensor(L, 3, "grad");
  if (!lp_set_grad(t, grad)) lpvm_raise(L, "grad");
  return 0;
}

static int tensor_newindex(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "index assignment");
  if (lua_type(L, 2) == LUA_TSTRING) {
    const char *key = lua_tostring(L, 2);
    if (strcmp(key, "grad") == 0) return set_grad(L, t);
    if (strcmp(key, "requires_grad") == 0) {
      if (!lp_set_requires_grad(t, lua_toboolean(L, 3))) lpvm_raise(L, "requires_grad");
      return 0;
    }
    if (strcmp(key, "data") == 0) {
      LpTensor *data = lpvm_check_tensor(L, 3, "data");
      if (!lp_set_data(t, data)) lpvm_raise(L, "data");
      return 0;
    }
    lua_pushvalue(L, 2);
    const bool method = lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL;
    lua_pushvalue(L, 2);
    const bool getter = lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL;
    if (method || getter) lpvm_error(L, NULL, "attribute '%s' of a tensor cannot be set", key);
    lua_settop(L, 3);
    if ((key[0] >= 'a' && key[0] <= 'z') || key[0] == '_') {
      lua_rawgetp(L, LUA_REGISTRYINDEX, &attributes_key);
      lua_pushvalue(L, 1);
      if (lua_rawget(L, -2) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, 1);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
      }
      lua_pushvalue(L, 3);
      lua_setfield(L, -2, key);
      return 0;
    }
  }
  lpvm_running = L;
  lpvm_newindex(L, t, 2, 3);
  return 0;
}

static int tensor_len(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "#");
  if (lp_ndim(t) == 0) lpvm_error(L, "#", "a 0-d tensor has no length");
  lua_pushinteger(L, lp_size(t, 0));
  return 1;
}

static int tensor_eq(lua_State *L) {
  LpBox *a = to_box(L, 1), *b = to_box(L, 2);
  lua_pushboolean(L, a && b && a->tensor && a->tensor == b->tensor);
  return 1;
}

static int tensor_compare(lua_State *L) {
  return lpvm_error(L, NULL,
                    "tensors cannot be compared with <, <=, > or >=, which in Lua give one boolean; use "
                    "x:lt(y), x:le(y), x:gt(y), x:ge(y)");
}

static int tensor_tostring(lua_State *L) {
  LpBox *box = to_box(L, 1);
  if (box && !box->tensor) {
    lua_pushliteral(L, "tensor(<freed>)");
    return 1;
  }
  lua_getglobal(L, "require"); /* overwritten globals do not matter: the registry has package.loaded */
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "lampad.printing") == LUA_TNIL) {
    lua_settop(L, 2);
    lua_pushliteral(L, "lampad.printing");
    lua_call(L, 1, 1);
  }
  lua_getfield(L, -1, "tostring");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* a .. b joins texts, as print would show them. */
static int tensor_concat(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  luaL_tolstring(L, 2, NULL);
  lua_concat(L, 2);
  return 1;
}

/* Operators: upvalue 1 the binding, 2 the number of operands (Lua passes a dummy to unary ones). */
static int tensor_operator(lua_State *L) {
  const int n = (int)lua_tointeger(L, lua_upvalueindex(2));
  lua_settop(L, n);
  return lpvm_call_binding(L, lua_touserdata(L, lua_upvalueindex(1)), n);
}

/* --- methods that are no schema ops ---------------------------------------------------------------- */

static int tensor_size(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "size");
  int dim_index = 2;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "dim");
    dim_index = lua_gettop(L);
  }
  if (lua_isnoneornil(L, dim_index)) return get_shape(L, t);
  int is_int;
  const lua_Integer dim = lua_tointegerx(L, dim_index, &is_int);
  char buf[96];
  if (!is_int)
    lpvm_error(L, "size", "argument 'dim' must be an int, got %s", lpvm_describe(L, 2, buf, sizeof buf));
  const int64_t n = lp_ndim(t);
  if (dim < -n || dim >= n)
    lpvm_error(L, "size", "Dimension out of range (expected to be in range of [%lld, %lld], but got %lld)",
               (long long)-n, (long long)n - 1, (long long)dim);
  lua_pushinteger(L, lp_size(t, dim < 0 ? dim + n : dim));
  return 1;
}

static int tensor_stride(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "stride");
  const int64_t n = lp_ndim(t);
  if (!lua_isnoneornil(L, 2)) {
    const lua_Integer dim = luaL_checkinteger(L, 2);
    if (dim < -n || dim >= n)
      lpvm_error(L, "stride", "Dimension out of range (expected to be in range of [%lld, %lld], but got %lld)",
                 (long long)-n, (long long)n - 1, (long long)dim);
    lua_pushinteger(L, lp_stride(t, dim < 0 ? dim + n : dim));
    return 1;
  }
  lua_createtable(L, (int)n, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_pushinteger(L, lp_stride(t, i));
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int tensor_dim(lua_State *L) { return get_ndim(L, lpvm_check_tensor(L, 1, "dim")); }
static int tensor_numel(lua_State *L) {
  lua_pushinteger(L, lp_numel(lpvm_check_tensor(L, 1, "numel")));
  return 1;
}
static int tensor_element_size(lua_State *L) {
  return get_itemsize(L, lpvm_check_tensor(L, 1, "element_size"));
}
static int tensor_storage_offset(lua_State *L) {
  lua_pushinteger(L, lp_storage_offset(lpvm_check_tensor(L, 1, "storage_offset")));
  return 1;
}
static int tensor_data_ptr(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "data_ptr");
  if (lp_vmap_level_of(t))
    lpvm_error(L, "data_ptr", "Cannot access data pointer of Tensor that doesn't have storage");
  lua_pushinteger(L, (lua_Integer)(uintptr_t)lp_data(t));
  return 1;
}
static int tensor_is_contiguous(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "is_contiguous");
  LpMemoryFormat format = LP_CONTIGUOUS;
  int at = 2;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "memory_format");
    at = lua_gettop(L);
  }
  char buf[96];
  if (!lua_isnoneornil(L, at) && !lpvm_to_format(L, at, &format))
    lpvm_error(L, "is_contiguous", "argument 'memory_format' must be a torch.memory_format, got %s",
               lpvm_describe(L, at, buf, sizeof buf));
  lua_pushboolean(L, lp_is_contiguous(t, format));
  return 1;
}
static int tensor_get_device(lua_State *L) {
  const LpDevice d = lp_device(lpvm_check_tensor(L, 1, "get_device"));
  lua_pushinteger(L, d.type == LP_CPU ? -1 : d.index);
  return 1;
}
static int tensor_is_same_storage(lua_State *L) {
  lua_pushboolean(L, lp_is_same_storage(lpvm_check_tensor(L, 1, "is_same_storage"),
                                        lpvm_check_tensor(L, 2, "is_same_storage")));
  return 1;
}

/* The options of to(): named or positional in any order PyTorch takes. */
typedef struct ToOptions {
  LpDtype dtype;
  LpDevice device;
  bool copy;
  LpMemoryFormat format;
  int flags; /* positional booleans so far: non_blocking, then copy */
} ToOptions;

static void read_to_option(lua_State *L, int index, ToOptions *o, const char *name) {
  char buf[96];
  LpTensor *other = lpvm_to_tensor(L, index);
  if (other && (!name || strcmp(name, "other") == 0)) {
    o->dtype = lp_dtype(other);
    o->device = lp_device(other);
  } else if (lua_isnil(L, index)) {
    return;
  } else if ((!name || strcmp(name, "dtype") == 0) && lpvm_to_dtype(L, index, &o->dtype)) {
  } else if ((!name || strcmp(name, "device") == 0) && lpvm_to_device(L, index, &o->device)) {
  } else if ((!name || strcmp(name, "memory_format") == 0) && lpvm_to_format(L, index, &o->format)) {
  } else if (name && strcmp(name, "copy") == 0 && lua_isboolean(L, index)) {
    o->copy = lua_toboolean(L, index);
  } else if (name && strcmp(name, "non_blocking") == 0 && lua_isboolean(L, index)) {
  } else if (!name && lua_isboolean(L, index) && o->flags < 2) {
    if (o->flags++ == 1) o->copy = lua_toboolean(L, index);
  } else if (name && (strcmp(name, "copy") == 0 || strcmp(name, "non_blocking") == 0)) {
    lpvm_error(L, "to", "argument '%s' must be a boolean, got %s", name, lpvm_describe(L, index, buf, sizeof buf));
  } else if (name && strcmp(name, "dtype") != 0 && strcmp(name, "device") != 0 &&
             strcmp(name, "memory_format") != 0) {
    lpvm_error(L, "to", "unknown option '%s'; the options are dtype, device, non_blocking, copy, memory_format",
               name);
  } else {
    const char *want = !name ? "expected a dtype such as torch.float64, a device (\"cpu\", \"cuda\", \"cuda:0\") or a tensor"
                       : strcmp(name, "dtype") == 0 ? "argument 'dtype' must be a dtype such as torch.float64"
                       : strcmp(name, "device") == 0
                           ? "argument 'device' must be a device (\"cpu\", \"cuda\", \"cuda:0\")"
                           : "argument 'memory_format' must be a format such as torch.channels_last";
    lpvm_error(L, "to", "%s, got %s", want, lpvm_describe(L, index, buf, sizeof buf));
  }
}

static int convert_to(lua_State *L, const char *what) {
  LpTensor *t = lpvm_check_tensor(L, 1, what);
  ToOptions o = {LP_DTYPE_NONE, {LP_DEVICE_NONE, 0}, false, LP_FORMAT_NONE, 0};
  const int n = lua_gettop(L);
  for (int i = 2; i <= n; i++) {
    if (lua_istable(L, i)) {
      for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        read_to_option(L, lua_gettop(L), &o, name);
      }
    } else {
      read_to_option(L, i, &o, NULL);
    }
  }
  const LpDevice here = lp_device(t);
  const bool same = (o.dtype == LP_DTYPE_NONE || o.dtype == lp_dtype(t)) &&
                    (o.device.type == LP_DEVICE_NONE ||
                     (o.device.type == here.type && o.device.index == here.index)) &&
                    (o.format == LP_FORMAT_NONE || o.format == LP_PRESERVE || lp_is_contiguous(t, o.format));
  if (same && !o.copy) {
    lua_pushvalue(L, 1);
    return 1;
  }
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  lpvm_running = L;
  return push_result(L, box, lp_to_copy(t, o.dtype, o.device, o.format), what);
}

static int tensor_to(lua_State *L) { return convert_to(L, "to"); }

static int tensor_cpu(lua_State *L) {
  lua_settop(L, 1);
  lua_pushliteral(L, "cpu");
  return tensor_to(L);
}
static int tensor_cuda(lua_State *L) {
  lua_settop(L, 2);
  if (lua_isinteger(L, 2)) lua_pushfstring(L, "cuda:%d", (int)lua_tointeger(L, 2));
  else if (lua_isnil(L, 2)) lua_pushliteral(L, "cuda");
  else lua_pushvalue(L, 2);
  lua_replace(L, 2);
  return tensor_to(L);
}
static int is_tensor(lua_State *L) {
  lua_pushboolean(L, to_box(L, 1) != NULL);
  return 1;
}

static int tensor_pin_memory(lua_State *L) {
  lpvm_check_tensor(L, 1, "pin_memory");
  lua_settop(L, 1);
  return 1;
}
static int tensor_false(lua_State *L) {
  lpvm_check_tensor(L, 1, "is_pinned");
  lua_pushboolean(L, 0);
  return 1;
}

static const luaL_Reg methods[] = {
    {"size", tensor_size}, {"stride", tensor_stride}, {"dim", tensor_dim}, {"ndimension", tensor_dim},
    {"numel", tensor_numel}, {"nelement", tensor_numel}, {"element_size", tensor_element_size},
    {"storage_offset", tensor_storage_offset}, {"data_ptr", tensor_data_ptr},
    {"is_contiguous", tensor_is_contiguous}, {"get_device", tensor_get_device},
    {"is_same_storage", tensor_is_same_storage}, {"to", tensor_to}, {"cpu", tensor_cpu},
    {"cuda", tensor_cuda}, {"free", tensor_free}, {"pin_memory", tensor_pin_memory},
    {"is_pinned", tensor_false}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"is_tensor", is_tensor}, {"numel", tensor_numel}, {NULL, NULL}};

typedef struct Operator {
  const char *event, *op;
  int operands;
} Operator;
static const Operator operators[] = {
    {"__add", "add", 2}, {"__sub", "sub", 2}, {"__mul", "mul", 2}, {"__div", "div", 2},
    {"__idiv", "floor_divide", 2}, {"__mod", "remainder", 2}, {"__pow", "pow", 2}, {"__unm", "neg", 1},
    {"__band", "bitwise_and", 2}, {"__bor", "bitwise_or", 2}, {"__bxor", "bitwise_xor", 2},
    {"__bnot", "bitwise_not", 1}, {"__shl", "bitwise_left_shift", 2}, {"__shr", "bitwise_right_shift", 2},
};

void lpvm_open_box(lua_State *L, int torch_index, int methods_index) {
  torch_index = lua_absindex(L, torch_index);
  methods_index = lua_absindex(L, methods_index);
  lp_memory_set_pressure_hook(memory_pressure);
  lua_newtable(L); /* attributes of tensors, by box, weak keys */
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &attributes_key);

  lua_pushvalue(L, methods_index);
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 1);
  lua_pushvalue(L, torch_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);

  lua_createtable(L, 0, 32);
  const int meta = lua_gettop(L);
  static const luaL_Reg events[] = {
      {"__gc", box_gc}, {"__len", tensor_len}, {"__eq", tensor_eq}, {"__lt", tensor_compare},
      {"__le", tensor_compare}, {"__tostring", tensor_tostring}, {"__concat", tensor_concat}, {NULL, NULL}};
  luaL_setfuncs(L, events, 0);
  lua_pushliteral(L, LPVM_TENSOR);
  lua_setfield(L, meta, "__name");
  lua_pushliteral(L, LPVM_TENSOR);
  lua_setfield(L, meta, "__metatable");
  lua_createtable(L, 0, sizeof getters / sizeof *getters);
  for (size_t i = 0; i < sizeof getters / sizeof *getters; i++) {
    lua_pushlightuserdata(L, (void *)&getters[i]);
    lua_setfield(L, -2, getters[i].name);
  }
  const int getter_table = lua_gettop(L);
  lua_pushvalue(L, methods_index);
  lua_pushvalue(L, getter_table);
  lua_pushcclosure(L, tensor_index, 2);
  lua_setfield(L, meta, "__index");
  lua_pushvalue(L, methods_index);
  lua_pushvalue(L, getter_table);
  lua_pushcclosure(L, tensor_newindex, 2);
  lua_setfield(L, meta, "__newindex");
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
    const LpBinding *binding = lpvm_find_binding(L, "torch", operators[i].op);
    if (!binding) continue;
    lua_pushlightuserdata(L, (void *)binding);
    lua_pushinteger(L, operators[i].operands);
    lua_pushcclosure(L, tensor_operator, 2);
    lua_setfield(L, meta, operators[i].event);
  }
  lua_pushvalue(L, meta);
  lua_setfield(L, LUA_REGISTRYINDEX, LPVM_TENSOR);
  lua_settop(L, meta);
  note_metatable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}
