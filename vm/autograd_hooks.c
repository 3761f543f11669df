/* What Lua can hang on a graph: hooks of nodes and leaves, hooks on saved tensors,
 * anomaly detection. Beside autograd.c, which runs backward; the Lua half is
 * lua/lampad/autograd. */
#include <stdlib.h>
#include <string.h>
#include "state.h"
#include "vm.h"

LpNode *lpvm_check_node(lua_State *L, int index); /* autograd.c */

/* Calls the function and n values on top of the stack; false with the error recorded. */
static bool call_protected(lua_State *L, int n, int n_results) {
  const int status = lua_pcall(L, n, n_results, 0);
  lpvm_running = L;
  if (status == LUA_OK) return true;
  lpvm_keep_callback_error(L);
  return false;
}

static LpvmRef *function_ref(lua_State *L, int index, const char *what) {
  char buf[96];
  if (!lua_isfunction(L, index) && !luaL_getmetafield(L, index, "__call"))
    lpvm_error(L, what, "argument 'hook' must be a function, got %s",
               lpvm_describe(L, index, buf, sizeof buf));
  lua_pushvalue(L, index);
  LpvmRef *ref = lpvm_ref_new(L);
  if (!ref) lpvm_error(L, what, "out of memory");
  return ref;
}

/* --- nodes
 * ---------------------------------------------------------------------------------------------
 */

/* Pushes a table of tensors with `n`; false on out of memory. Runs under lua_pcall by its
 * callers. */
static void push_gradients(lua_State *L, LpTensor *const *items, int n) {
  lua_createtable(L, n, 1);
  for (int i = 0; i < n; i++) {
    if (!items[i]) continue;
    lpvm_push_tensor(L, lp_tensor_retain(items[i]));
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushinteger(L, n);
  lua_setfield(L, -2, "n");
}

typedef struct NodeCall {
  LpTensor *const *inputs, *const *outputs;
  int n_inputs, n_outputs;
  bool pre;
} NodeCall;

/* Stack: light userdata NodeCall, function. Returns what the hook returns. */
static int node_call(lua_State *L) {
  const NodeCall *call = lua_touserdata(L, 1);
  lua_settop(L, 2);
  if (!call->pre) push_gradients(L, call->inputs, call->n_inputs);
  push_gradients(L, call->outputs, call->n_outputs);
  lua_call(L, call->pre ? 1 : 2, 1);
  return 1;
}

static bool node_hook(void *ctx, LpTensor *const *inputs, int n_inputs,
                      LpTensor *const *outputs, int n_outputs, LpTensor **replaced) {
  lua_State *L = lpvm_running;
  if (!lua_checkstack(L, 8)) return lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
  const LpvmRef *ref = ctx;
  NodeCall call = {inputs, outputs, n_inputs, n_outputs, inputs == NULL};
  lua_pushcfunction(L, node_call);
  lua_pushlightuserdata(L, &call);
  lpvm_ref_push(L, ref);
  if (!call_protected(L, 2, 1)) return false;
  const int n = call.pre ? n_outputs : n_inputs, at = lua_gettop(L);
  bool ok = true;
  LpTensor *one = lpvm_to_tensor(L, at);
  if (one && n == 1) {
    replaced[0] = lp_tensor_retain(one);
  } else if (lua_istable(L, at)) {
    for (int i = 0; ok && i < n; i++) {
      lua_rawgeti(L, at, i + 1);
      LpTensor *t = lpvm_to_tensor(L, -1);
      if (t)
        replaced[i] = lp_tensor_retain(t);
      else if (!lua_isnil(L, -1))
        ok = lp_fail(LP_ERR_TYPE, "a node's hook must return tensors");
      lua_pop(L, 1);
    }
  } else if (!lua_isnil(L, at)) {
    ok = lp_fail(LP_ERR_TYPE,
                 "a node's hook must return a table of %d gradients or nothing", n);
  }
  lua_settop(L, at - 1);
  return ok;
}

static int remove_node_hook(lua_State *L) {
  lp_node_remove_hook(lpvm_check_node(L, lua_upvalueindex(1)),
                      lua_tointeger(L, lua_upvalueindex(2)));
  return 0;
}

static int register_node_hook(lua_State *L, bool pre) {
  const char *what = pre ? "register_prehook" : "register_hook";
  LpNode *node = lpvm_check_node(L, 1);
  LpvmRef *ref = function_ref(L, 2, what);
  const int64_t id = lp_node_register_hook(node, pre, node_hook, ref, lpvm_ref_free);
  if (!id) lpvm_raise(L, what);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, id);
  lua_pushcclosure(L, remove_node_hook, 2);
  lua_setfield(L, -2, "remove");
  return 1;
}
int lpvm_node_register_hook(lua_State *L) {
  return register_node_hook(L, false);
}
int lpvm_node_register_prehook(lua_State *L) {
  return register_node_hook(L, true);
}

/* node.metadata: a table that lives as long as the node. */
int lpvm_node_metadata(lua_State *L, LpNode *node) {
  LpvmRef *ref = lp_node_host(node);
  if (!ref) {
    lua_newtable(L);
    if (!(ref = lpvm_ref_new(L))) lpvm_error(L, "metadata", "out of memory");
    lp_node_set_host(node, ref, lpvm_ref_free);
  }
  lpvm_ref_push(L, ref);
  return 1;
}

/* --- leaves
 * ---------------------------------------------------------------------------------------------
 */

/* The boxes that hooks were registered on, weakly, by tensor: hooks get the same Lua
 * value again, so that tables keyed by parameters (optimizers' states) know it. */
static const char leaf_boxes_key = 0;

static void remember_leaf(lua_State *L, int box, const LpTensor *leaf) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &leaf_boxes_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &leaf_boxes_key);
  }
  lua_pushvalue(L, box);
  lua_rawsetp(L, -2, leaf);
  lua_pop(L, 1);
}

static void push_leaf(lua_State *L, LpTensor *leaf) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &leaf_boxes_key) == LUA_TTABLE) {
    lua_rawgetp(L, -1, leaf);
    lua_remove(L, -2);
  }
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lpvm_push_tensor(L, lp_tensor_retain(leaf));
}

static bool leaf_hook(void *ctx, LpTensor *leaf) {
  lua_State *L = lpvm_running;
  if (!lua_checkstack(L, 8)) return lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
  lpvm_ref_push(L, ctx);
  push_leaf(L, leaf);
  return call_protected(L, 1, 0);
}

static int remove_leaf_hook(lua_State *L) {
  LpTensor *t = lpvm_to_tensor(L, lua_upvalueindex(1));
  if (t) lp_remove_hook(t, lua_tointeger(L, lua_upvalueindex(2)));
  return 0;
}

static int register_post_accumulate_grad_hook(lua_State *L) {
  static const char *what = "register_post_accumulate_grad_hook";
  LpTensor *t = lpvm_check_tensor(L, 1, what);
  remember_leaf(L, 1, t);
  LpvmRef *ref = function_ref(L, 2, what);
  const int64_t id = lp_register_post_accumulate_hook(t, leaf_hook, ref, lpvm_ref_free);
  if (!id) lpvm_raise(L, what);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, id);
  lua_pushcclosure(L, remove_leaf_hook, 2);
  lua_setfield(L, -2, "remove");
  return 1;
}

/* --- saved tensors
 * ------------------------------------------------------------------------------------------
 */

/* The pair in force, as references, and what one tensor became. */
typedef struct HookPair {
  LpvmRef *pack, *unpack;
} HookPair;
typedef struct Packed {
  LpvmRef *value, *unpack;
} Packed;

static _Thread_local HookPair pair;

static void packed_free(void *p) {
  Packed *packed = p;
  if (packed->value) lpvm_ref_free(packed->value);
  if (packed->unpack) lpvm_ref_free(packed->unpack);
  free(packed);
}

static bool pack_saved(void *ctx, LpTensor *t, void **result) {
  (void)ctx;
  lua_State *L = lpvm_running;
  if (!lua_checkstack(L, 8)) return lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
  Packed *packed = calloc(1, sizeof *packed);
  if (!packed) return lp_fail(LP_ERR_MEMORY, "out of memory");
  lpvm_ref_push(L, pair.pack);
  lpvm_push_tensor(L, lp_tensor_retain(t));
  bool ok = call_protected(L, 1, 1);
  if (ok) {
    ok = (packed->value = lpvm_ref_new(L)) != NULL;
    lpvm_ref_push(L, pair.unpack);
    ok = (packed->unpack = lpvm_ref_new(L)) != NULL && ok;
    if (!ok) lp_fail(LP_ERR_MEMORY, "out of memory");
  }
  if (!ok) {
    packed_free(packed);
    return false;
  }
  *result = packed;
  return true;
}

static bool unpack_saved(void *p, LpTensor **result) {
  const Packed *packed = p;
  lua_State *L = lpvm_running;
  if (!lua_checkstack(L, 8)) return lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
  lpvm_ref_push(L, packed->unpack);
  lpvm_ref_push(L, packed->value);
  if (!call_protected(L, 1, 1)) return false;
  LpTensor *t = lpvm_to_tensor(L, -1);
  *result = lp_tensor_retain(t);
  const bool ok =
      t ||
      lp_fail(LP_ERR_TYPE,
              "Output of saved tensor unpack_hook expected to be a Tensor but got result "
              "of type %s",
              luaL_typename(L, -1));
  lua_pop(L, 1);
  return ok;
}

static const LpSavedHooks saved_hooks = {pack_saved, unpack_saved, packed_free};

/* core.set_saved_hooks(pack, unpack), or nothing to end them. */
static int set_saved_hooks(lua_State *L) {
  lp_set_saved_hooks(NULL, NULL);
  HookPair old = pair;
  pair = (HookPair){NULL, NULL};
  if (old.pack) lpvm_ref_free(old.pack);
  if (old.unpack) lpvm_ref_free(old.unpack);
  if (lua_isnoneornil(L, 1)) return 0;
  LpvmRef *pack = function_ref(L, 1, "saved_tensors_hooks");
  LpvmRef *unpack = function_ref(L, 2, "saved_tensors_hooks");
  pair = (HookPair){pack, unpack};
  lp_set_saved_hooks(&saved_hooks, NULL);
  return 0;
}

/* --- anomalies
 * ------------------------------------------------------------------------------------------------
 */

/* Pushes a function of core that the Lua libraries put there, or nil and returns false.
 */
static bool push_core_function(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "lampad.core") == LUA_TTABLE &&
      lua_getfield(L, -1, name) == LUA_TFUNCTION)
    return true;
  lua_pushnil(L);
  return false;
}

/* Pushes where in a network the running call is ("in features.3 (Conv2d) of Net"), or
 * nil: core.module_path is there once modules are loaded. */
static void push_module_path(lua_State *L) {
  if (!push_core_function(L, "module_path")) return;
  lua_call(L, 0, 1);
  if (lua_isstring(L, -1)) lua_pushfstring(L, "in %s", lua_tostring(L, -1));
}

static int push_traceback(lua_State *L) {
  lua_State *from = lua_touserdata(L, 1);
  push_module_path(L);
  luaL_traceback(L, from, lua_tostring(L, -1), 0);
  return 1;
}

/* The text that a C function with the running state as its argument leaves, at most about
 * 1400 bytes of it. */
static char *text_of(lua_CFunction push) {
  lua_State *L = lpvm_running;
  if (!L || !lua_checkstack(L, 8)) return NULL;
  lua_pushcfunction(L, push);
  lua_pushlightuserdata(L, L);
  char *copy = NULL;
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_tostring(L, -1)) {
    copy = strdup(lua_tostring(L, -1));
    if (copy && strlen(copy) > 1400) memcpy(copy + 1397, "...", 4);
  }
  lua_pop(L, 1);
  return copy;
}
static char *capture_trace(void) {
  return text_of(push_traceback);
}

/* core.nan_origin is there once modules are watched for NaNs. */
static int push_nan_origin(lua_State *L) {
  if (push_core_function(L, "nan_origin")) lua_call(L, 0, 1);
  return 1;
}
static char *capture_nan_origin(void) {
  return text_of(push_nan_origin);
}

/* core.set_anomaly(enabled, check_nan) */
static int set_anomaly(lua_State *L) {
  lp_set_anomaly(lua_toboolean(L, 1), lua_toboolean(L, 2));
  return 0;
}
static int is_anomaly_enabled(lua_State *L) {
  lua_pushboolean(L, lp_anomaly_enabled());
  return 1;
}
static int is_anomaly_check_nan_enabled(lua_State *L) {
  lua_pushboolean(L, lp_anomaly_check_nan_enabled());
  return 1;
}

/* --- the run under way
 * --------------------------------------------------------------------------------------
 */

static int backward_id(lua_State *L) {
  lua_pushinteger(L, lp_backward_id());
  return 1;
}
/* core.will_execute(tensor): will the backward under way reach it? */
static int will_execute(lua_State *L) {
  bool result;
  if (!lp_will_execute(lpvm_check_tensor(L, 1, "autograd"), &result))
    lpvm_raise(L, "autograd");
  lua_pushboolean(L, result);
  return 1;
}
/* core.output_again(tensor, output_nr): its history is the running node's output again.
 */
static int output_again(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "autograd");
  LpNode *node = lp_running_node();
  LpBox *box = lpvm_new_box(L);
  LpTensor *again = node ? lp_output_again(t, node, (int)luaL_checkinteger(L, 2))
                         : lp_tensor_shallow(t);
  if (!again) lpvm_raise(L, "autograd");
  lpvm_fill_box(L, box, again);
  return 1;
}

void lpvm_open_autograd_hooks(lua_State *L, int core_index) {
  static const luaL_Reg core[] = {
      {"set_saved_hooks", set_saved_hooks},
      {"set_anomaly", set_anomaly},
      {"backward_id", backward_id},
      {"will_execute", will_execute},
      {"output_again", output_again},
      {"is_anomaly_enabled", is_anomaly_enabled},
      {"is_anomaly_check_nan_enabled", is_anomaly_check_nan_enabled},
      {"register_post_accumulate_grad_hook", register_post_accumulate_grad_hook},
      {NULL, NULL}};
  lp_set_trace_hook(capture_trace);
  lp_set_nan_origin_hook(capture_nan_origin);
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, core, 0);
  lua_getfield(L, -1, "methods");
  lua_getfield(L, -2, "register_post_accumulate_grad_hook");
  lua_setfield(L, -2, "register_post_accumulate_grad_hook");
  lua_getfield(L, -2, "torch");
  lua_getfield(L, -3, "is_anomaly_enabled");
  lua_setfield(L, -2, "is_anomaly_enabled");
  lua_getfield(L, -3, "is_anomaly_check_nan_enabled");
  lua_setfield(L, -2, "is_anomaly_check_nan_enabled");
  lua_pop(L, 3);
}
