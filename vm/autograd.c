/* Autograd for Lua: backward, grad, hooks, graph nodes, and the C half of custom functions (the Lua
 * half is lua/lampad/autograd). Callbacks run under lua_pcall on the state that runs backward. */
#include <stdlib.h>
#include <string.h>
#include "lampad/vmap.h"
#include "state.h"
#include "vm.h"

/* --- Lua values held from C ------------------------------------------------------------------------ */

LpvmRef *lpvm_ref_new(lua_State *L) {
  LpvmRef *ref = malloc(sizeof *ref);
  if (!ref) {
    lua_pop(L, 1);
    return NULL;
  }
  ref->ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  ref->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  return ref;
}

void lpvm_ref_push(lua_State *L, const LpvmRef *ref) { lua_rawgeti(L, LUA_REGISTRYINDEX, ref->ref); }

void lpvm_ref_free(void *p) {
  LpvmRef *ref = p;
  luaL_unref(ref->main, LUA_REGISTRYINDEX, ref->ref);
  free(ref);
}

/* --- nodes ------------------------------------------------------------------------------------------- */

#define NODE_META "torch.autograd.Node"

int lpvm_node_register_hook(lua_State *L); /* autograd_hooks.c */
int lpvm_node_register_prehook(lua_State *L);
int lpvm_node_metadata(lua_State *L, LpNode *node);
void lpvm_open_autograd_hooks(lua_State *L, int core_index);

LpNode *lpvm_check_node(lua_State *L, int index) { return *(LpNode **)luaL_checkudata(L, index, NODE_META); }
static LpNode *check_node(lua_State *L) { return lpvm_check_node(L, 1); }

void lpvm_push_node(lua_State *L, LpNode *node) {
  LpNode **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, NODE_META);
  *box = lp_node_retain(node);
}

static int node_gc(lua_State *L) {
  lp_node_release(check_node(L));
  return 0;
}
static int node_tostring(lua_State *L) {
  lua_pushfstring(L, "<%s object>", lp_node_name(check_node(L)));
  return 1;
}
static int node_eq(lua_State *L) {
  LpNode **other = luaL_testudata(L, 2, NODE_META);
  lua_pushboolean(L, other && *other == check_node(L));
  return 1;
}
static int node_name(lua_State *L) {
  lua_pushstring(L, lp_node_name(check_node(L)));
  return 1;
}
static int node_sequence(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lp_node_sequence(check_node(L)));
  return 1;
}
static int node_index(lua_State *L) {
  LpNode *node = check_node(L);
  const char *key = luaL_checkstring(L, 2);
  if (strcmp(key, "name") == 0) {
    lua_pushcfunction(L, node_name);
  } else if (strcmp(key, "register_hook") == 0) {
    lua_pushcfunction(L, lpvm_node_register_hook);
  } else if (strcmp(key, "register_prehook") == 0) {
    lua_pushcfunction(L, lpvm_node_register_prehook);
  } else if (strcmp(key, "_sequence_nr") == 0) {
    lua_pushcfunction(L, node_sequence);
  } else if (strcmp(key, "metadata") == 0) {
    return lpvm_node_metadata(L, node);
  } else if (strcmp(key, "variable") == 0) {
    LpTensor *leaf = lp_node_variable(node);
    if (leaf) lpvm_push_tensor(L, lp_tensor_retain(leaf));
    else lua_pushnil(L);
  } else if (strcmp(key, "next_functions") == 0) {
    const int n = lp_node_input_count(node);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
      LpNode *next = lp_node_next(node, i);
      lua_createtable(L, 2, 0); /* {node or nil, which of its outputs} */
      if (next) {
        lpvm_push_node(L, next);
        lua_rawseti(L, -2, 1);
      }
      lua_pushinteger(L, lp_node_next_nr(node, i));
      lua_rawseti(L, -2, 2);
      lua_rawseti(L, -2, i + 1);
    }
  } else if (strcmp(key, "location") == 0) {
    char buf[256];
    if (lp_node_location(node, buf, sizeof buf)) lua_pushstring(L, buf);
    else lua_pushnil(L);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

/* --- running backward ---------------------------------------------------------------------------------- */

/* Reads a tensor or list of tensors at index into a userdata left on the stack. count -1 for nil. */
static LpTensors read_tensors(lua_State *L, int index, const char *op, const char *name, bool allow_nil) {
  if (lua_isnoneornil(L, index)) return (LpTensors){NULL, -1};
  index = lua_absindex(L, index);
  int n = 1;
  if (lua_istable(L, index)) {
    n = (int)lua_rawlen(L, index);
    if (allow_nil && lua_getfield(L, index, "n") == LUA_TNUMBER) n = (int)lua_tointeger(L, -1);
    if (allow_nil) lua_pop(L, 1);
  }
  LpTensor **items = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *items, 0);
  const int got = lpvm_to_tensors(L, index, items, n, allow_nil);
  char buf[96];
  if (got < 0)
    lpvm_error(L, op, "argument '%s' must be a tensor or a list of tensors, got %s", name,
               lpvm_describe(L, index, buf, sizeof buf));
  return (LpTensors){items, got};
}

typedef struct GradOptions {
  bool retain_graph, retain_given, create_graph, allow_unused;
} GradOptions;

/* Moves `name` of the options table (or positional index) to the top of the stack. */
static void push_argument(lua_State *L, int positional, int options, int n_positional, const char *name) {
  if (positional && positional <= n_positional) lua_pushvalue(L, positional);
  else if (options) lua_getfield(L, options, name);
  else lua_pushnil(L);
}

static bool flag_argument(lua_State *L, const char *op, int positional, int options, int n, const char *name,
                          bool fallback) {
  push_argument(L, positional, options, n, name);
  char buf[96];
  if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
    lpvm_error(L, op, "argument '%s' must be a boolean, got %s", name, lpvm_describe(L, -1, buf, sizeof buf));
  const bool value = lua_isnil(L, -1) ? fallback : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static bool is_options_table(lua_State *L, int index, const char *const *names, const char *op) {
  if (!lua_istable(L, index) || lua_rawlen(L, index) > 0) return false;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) return false;
    const char *key = lua_tostring(L, -2);
    bool known = strcmp(key, "n") == 0;
    for (int i = 0; names[i]; i++) known = known || strcmp(names[i], key) == 0;
    if (!known) lpvm_error(L, op, "unknown argument '%s'; the options are retain_graph, create_graph, inputs, ...", key);
  }
  return true;
}

/* backward(tensors, grad_tensors, retain_graph, create_graph, {inputs}) */
static int run_backward(lua_State *L, const char *op, const char *grad_name) {
  static const char *const names[] = {"gradient", "grad_tensors", "retain_graph", "create_graph", "inputs", NULL};
  lpvm_collect_pressure(L);
  int n = lua_gettop(L), options = 0;
  if (n > 1 && is_options_table(L, n, names, op)) options = n--;
  const bool create_graph = flag_argument(L, op, 4, options, n, "create_graph", false);
  const bool retain_graph = flag_argument(L, op, 3, options, n, "retain_graph", create_graph);
  const LpTensors tensors = read_tensors(L, 1, op, "tensors", false);
  push_argument(L, 2, options, n, grad_name);
  const LpTensors grads = read_tensors(L, lua_gettop(L), op, grad_name, true);
  push_argument(L, 5, options, n, "inputs");
  const LpTensors inputs = read_tensors(L, lua_gettop(L), op, "inputs", false);
  if (tensors.count < 0) lpvm_error(L, op, "expected a tensor or a list of tensors");
  lpvm_running = L;
  if (!lp_backward(tensors, grads, retain_graph, create_graph, inputs)) lpvm_raise(L, op);
  return 0;
}

static void refuse_inside_vmap(lua_State *L, const char *op) {
  if (lp_vmap_depth() > 0)
    lpvm_error(L, op, "backward() called inside a functorch transform. This is not supported, please use "
                      "functorch.grad or functorch.vjp instead or call backward() outside of functorch transforms");
}

static int tensor_backward(lua_State *L) {
  lpvm_check_tensor(L, 1, "backward");
  refuse_inside_vmap(L, "backward");
  return run_backward(L, "backward", "gradient");
}
static int autograd_backward(lua_State *L) {
  refuse_inside_vmap(L, "autograd.backward");
  return run_backward(L, "autograd.backward", "grad_tensors");
}

/* torch.autograd.grad(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused) -> one result an input */
static int autograd_grad(lua_State *L) {
  static const char *const names[] = {"outputs", "inputs", "grad_outputs", "retain_graph", "create_graph",
                                      "allow_unused", "only_inputs", "materialize_grads", NULL};
  const char *op = "autograd.grad";
  lpvm_collect_pressure(L);
  int n = lua_gettop(L), options = 0;
  if (n > 0 && is_options_table(L, n, names, op)) options = n--;
  const bool create_graph = flag_argument(L, op, 5, options, n, "create_graph", false);
  const bool retain_graph = flag_argument(L, op, 4, options, n, "retain_graph", create_graph);
  const bool materialize = flag_argument(L, op, 0, options, n, "materialize_grads", false);
  const bool allow_unused = flag_argument(L, op, 7, options, n, "allow_unused", materialize);
  push_argument(L, 1, options, n, "outputs");
  const LpTensors outputs = read_tensors(L, lua_gettop(L), op, "outputs", false);
  push_argument(L, 2, options, n, "inputs");
  const LpTensors inputs = read_tensors(L, lua_gettop(L), op, "inputs", false);
  push_argument(L, 3, options, n, "grad_outputs");
  const LpTensors grad_outputs = read_tensors(L, lua_gettop(L), op, "grad_outputs", true);
  if (outputs.count < 0) lpvm_error(L, op, "missing argument 'outputs' (a tensor or a list of tensors)");
  if (inputs.count < 0) lpvm_error(L, op, "missing argument 'inputs' (a tensor or a list of tensors)");
  luaL_checkstack(L, (int)inputs.count + 8, "too many inputs");
  LpTensor **results = lua_newuserdatauv(L, (size_t)(inputs.count + 1) * sizeof *results, 0);
  const int first = lua_gettop(L) + 1;
  for (int64_t i = 0; i < inputs.count; i++) lpvm_new_box(L);
  lpvm_running = L;
  if (!lp_autograd_grad(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, results))
    lpvm_raise(L, op);
  for (int64_t i = 0; i < inputs.count; i++) {
    LpBox *box = lua_touserdata(L, first + (int)i);
    if (!results[i] && materialize)
      results[i] = lp_zeros(lp_sizes(inputs.data[i]), lp_dtype(inputs.data[i]), lp_device(inputs.data[i]), false);
    if (results[i]) {
      lpvm_fill_box(L, box, results[i]);
    } else {
      lua_pushnil(L);
      lua_replace(L, first + (int)i);
    }
  }
  return (int)inputs.count;
}

/* --- hooks ------------------------------------------------------------------------------------------------ */

static bool call_hook(void *ctx, LpTensor *grad, LpTensor **result) {
  lua_State *L = lpvm_running;
  if (!lua_checkstack(L, 8)) return lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
  lpvm_ref_push(L, ctx);
  lpvm_push_tensor(L, lp_tensor_retain(grad));
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lpvm_running = L;
    lpvm_keep_callback_error(L);
    return false;
  }
  lpvm_running = L;
  if (!lua_isnil(L, -1)) {
    LpTensor *t = lpvm_to_tensor(L, -1);
    if (!t) {
      lua_pop(L, 1);
      return lp_fail(LP_ERR_TYPE, "a tensor hook must return a tensor or nothing");
    }
    *result = lp_tensor_retain(t);
  }
  lua_pop(L, 1);
  return true;
}

/* handle:remove(); upvalues: tensor, id. */
static int remove_hook(lua_State *L) {
  LpTensor *t = lpvm_to_tensor(L, lua_upvalueindex(1));
  if (t) lp_remove_hook(t, lua_tointeger(L, lua_upvalueindex(2)));
  return 0;
}

static int tensor_register_hook(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "register_hook");
  char buf[96];
  if (!lua_isfunction(L, 2) && !luaL_getmetafield(L, 2, "__call"))
    lpvm_error(L, "register_hook", "argument 'hook' must be a function, got %s", lpvm_describe(L, 2, buf, sizeof buf));
  lua_settop(L, 2);
  LpvmRef *ref = lpvm_ref_new(L);
  if (!ref) lpvm_error(L, "register_hook", "out of memory");
  const int64_t id = lp_register_hook(t, call_hook, ref, lpvm_ref_free);
  if (!id) lpvm_raise(L, "register_hook");
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, id);
  lua_pushcclosure(L, remove_hook, 2);
  lua_setfield(L, -2, "remove");
  return 1;
}

/* --- custom functions ---------------------------------------------------------------------------------------- */

static bool call_custom(void *ctx, LpTensor *const *grads, int n_grads, LpTensor **results, int n_results) {
  lua_State *L = lpvm_running;
  if (!lua_checkstack(L, n_grads + n_results + 8)) return lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
  const int base = lua_gettop(L);
  lpvm_ref_push(L, ctx);
  for (int i = 0; i < n_grads; i++) {
    if (grads[i]) lpvm_push_tensor(L, lp_tensor_retain(grads[i]));
    else lua_pushnil(L);
  }
  if (lua_pcall(L, n_grads, LUA_MULTRET, 0) != LUA_OK) {
    lpvm_running = L;
    lpvm_keep_callback_error(L);
    return false;
  }
  lpvm_running = L;
  const int got = lua_gettop(L) - base;
  bool ok = true;
  for (int i = 0; i < got && ok; i++) {
    LpTensor *t = lpvm_to_tensor(L, base + 1 + i);
    if (i >= n_results) {
      if (!lua_isnil(L, base + 1 + i))
        ok = lp_fail(LP_ERR_AUTOGRAD, "backward returned %d gradients, expected %d", got, n_results);
    } else if (t) {
      results[i] = lp_tensor_retain(t);
    } else if (!lua_isnil(L, base + 1 + i)) {
      ok = lp_fail(LP_ERR_AUTOGRAD, "backward returned a %s as gradient %d, expected a tensor or nil",
                   luaL_typename(L, base + 1 + i), i + 1);
    }
  }
  lua_settop(L, base);
  return ok;
}

/* Calls the function with true in the place of a gradient: what it saved may go. It does not raise. */
static void release_custom(void *ctx) {
  lua_State *L = lpvm_running;
  if (!lua_checkstack(L, 4)) return; /* what it saved goes with the node */
  lpvm_ref_push(L, ctx);
  lua_pushboolean(L, true);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
  lpvm_running = L;
}

/* core.attach_custom(name, inputs, outputs, backward, raw): outputs get a node whose backward is the function; with
 * raw it gets nil for undefined gradients. After a backward that does not keep the graph it is called with true. */
static int attach_custom(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const LpTensors inputs = read_tensors(L, 2, name, "inputs", true);
  const LpTensors outputs = read_tensors(L, 3, name, "outputs", false);
  lua_pushvalue(L, 4);
  LpvmRef *ref = lpvm_ref_new(L);
  if (!ref) lpvm_error(L, name, "out of memory");
  const LpCustomBackward fn = {name, call_custom, lpvm_ref_free, ref, lua_toboolean(L, 5), release_custom};
  lpvm_running = L;
  if (!lp_attach_custom(&fn, inputs, outputs)) lpvm_raise(L, name);
  return 0;
}

/* --- leaf state ------------------------------------------------------------------------------------------------ */

static int tensor_requires_grad_(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "requires_grad_");
  bool value = true;
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "requires_grad");
    value = lua_isnil(L, -1) || lua_toboolean(L, -1);
  } else if (!lua_isnoneornil(L, 2)) {
    char buf[96];
    if (!lua_isboolean(L, 2))
      lpvm_error(L, "requires_grad_", "argument 'requires_grad' must be a boolean, got %s",
                 lpvm_describe(L, 2, buf, sizeof buf));
    value = lua_toboolean(L, 2);
  }
  if (lp_vmap_depth() > 0)
    lpvm_error(L, "requires_grad_",
               "You are attempting to call Tensor.requires_grad_() (or perhaps using torch.autograd.functional.* "
               "APIs) inside of a function being transformed by a functorch transform. This is unsupported, please "
               "attempt to use the functorch transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or call "
               "requires_grad_() outside of a function being transformed instead");
  if (!lp_set_requires_grad(t, value)) lpvm_raise(L, "requires_grad_");
  lua_settop(L, 1);
  return 1;
}

static int tensor_retain_grad(lua_State *L) {
  if (!lp_retain_grad(lpvm_check_tensor(L, 1, "retain_grad"))) lpvm_raise(L, "retain_grad");
  return 0;
}

static int tensor_detach_(lua_State *L) {
  if (!lp_detach_history(lpvm_check_tensor(L, 1, "detach_"))) lpvm_raise(L, "detach_");
  lua_settop(L, 1);
  return 1;
}

static int is_grad_enabled(lua_State *L) {
  lua_pushboolean(L, lp_grad_enabled());
  return 1;
}
static int is_inference(lua_State *L) {
  lua_pushboolean(L, lp_is_inference(lpvm_check_tensor(L, 1, "is_inference")));
  return 1;
}
static int is_inference_mode_enabled(lua_State *L) {
  lua_pushboolean(L, lp_inference_enabled());
  return 1;
}

void lpvm_open_autograd(lua_State *L, int torch_index, int methods_index) {
  torch_index = lua_absindex(L, torch_index);
  methods_index = lua_absindex(L, methods_index);
  static const luaL_Reg methods[] = {
      {"backward", tensor_backward},           {"register_hook", tensor_register_hook},
      {"requires_grad_", tensor_requires_grad_}, {"retain_grad", tensor_retain_grad},
      {"detach_", tensor_detach_},             {"is_inference", is_inference}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"is_grad_enabled", is_grad_enabled},
                                       {"is_inference", is_inference},
                                       {"is_inference_mode_enabled", is_inference_mode_enabled},
                                       {NULL, NULL}};
  static const luaL_Reg node_events[] = {{"__gc", node_gc}, {"__tostring", node_tostring},
                                         {"__eq", node_eq}, {"__index", node_index}, {NULL, NULL}};
  lua_pushvalue(L, methods_index);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, torch_index);
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, NODE_META);
  luaL_setfuncs(L, node_events, 0);
  lua_pop(L, 3);
}

void lpvm_open_autograd_core(lua_State *L, int core_index) {
  static const luaL_Reg core[] = {{"attach_custom", attach_custom}, {"backward", autograd_backward},
                                  {"grad", autograd_grad}, {NULL, NULL}};
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, core, 0);
  lua_pop(L, 1);
  lpvm_open_autograd_hooks(L, core_index);
}
