/* Scopes: torch.no_grad, torch.autocast and their kin. Called with a function they run it inside; called without one
 * they act at once and return a to-be-closed value that undoes it. */
#include "lampad/autocast.h"
#include "state.h"
#include "vm.h"

typedef enum ScopeKind { SCOPE_GRAD, SCOPE_INFERENCE, SCOPE_MEMORY, SCOPE_AUTOCAST } ScopeKind;

/* What a scope sets: of SCOPE_AUTOCAST the second line, of the others the first. */
typedef struct Modes {
  bool grad, inference;
  LpDeviceType device;
  LpAutocastState autocast;
  bool cache_enabled;
} Modes;

typedef struct Scope {
  ScopeKind kind;
  Modes outer, inner; /* to be restored; in force inside */
  bool open;
} Scope;

#define SCOPE_META "lampad.Scope"

static Modes modes_now(LpDeviceType device) {
  return (Modes){lp_grad_enabled(), lp_inference_enabled(), device, lp_autocast_state(device),
                 lp_autocast_cache_enabled()};
}

static void set_modes(ScopeKind kind, const Modes *m) {
  if (kind == SCOPE_AUTOCAST) {
    lp_set_autocast_state(m->device, m->autocast);
    lp_set_autocast_cache_enabled(m->cache_enabled);
  } else {
    lp_set_grad_enabled(m->grad);
    lp_set_inference_enabled(m->inference);
  }
}

static int scope_close(lua_State *L) {
  Scope *s = luaL_checkudata(L, 1, SCOPE_META);
  if (!s->open) return 0;
  s->open = false;
  if (s->kind == SCOPE_AUTOCAST && lp_autocast_nest(-1) == 0) lp_autocast_clear_cache();
  set_modes(s->kind, &s->outer);
  if (s->kind == SCOPE_MEMORY) {
    lua_gc(L, LUA_GCCOLLECT);
    lpvm_request_collection(); /* locals of the block may still have been on the stack */
  }
  return 0;
}

static int finish_body(lua_State *L, int status, lua_KContext first) {
  /* The scope is at `first`, results or the error above it. */
  lua_pushcfunction(L, scope_close);
  lua_pushvalue(L, (int)first);
  lua_call(L, 1, 0);
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - (int)first;
}

/* Pushes a scope and enters it. */
static void push_scope(lua_State *L, ScopeKind kind, const Modes *inner) {
  Scope *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (Scope){kind, modes_now(inner->device), *inner, true};
  luaL_setmetatable(L, SCOPE_META);
  if (kind == SCOPE_AUTOCAST) lp_autocast_nest(1);
  set_modes(kind, inner);
}

/* scope(f): ends the scope, which was opened for this, and returns f to be run inside one like it: Python's
 * decorator @torch.no_grad(). Upvalues of the result: f, the scope. */
static int decorated(lua_State *L) {
  const int n = lua_gettop(L);
  const Scope *like = lua_touserdata(L, lua_upvalueindex(2));
  push_scope(L, like->kind, &like->inner);
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 2);
  return finish_body(L, lua_pcallk(L, n, LUA_MULTRET, 0, 1, finish_body), 1);
}

static int scope_call(lua_State *L) {
  luaL_checkudata(L, 1, SCOPE_META);
  char buf[96];
  if (!lua_isfunction(L, 2))
    lpvm_error(L, NULL, "expected a function to decorate, got %s", lpvm_describe(L, 2, buf, sizeof buf));
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, decorated, 2);
  lua_pushcfunction(L, scope_close);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 1;
}

/* Runs the function at `body` inside a new scope, or returns the scope. */
static int enter(lua_State *L, int body, const char *name, ScopeKind kind, const Modes *inner) {
  if (!lua_isnoneornil(L, body) && !lua_isfunction(L, body)) {
    char buf[96];
    lpvm_error(L, name, "expected a function to run, or nothing, got %s", lpvm_describe(L, body, buf, sizeof buf));
  }
  push_scope(L, kind, inner);
  if (lua_isnoneornil(L, body)) return 1;
  const int first = lua_gettop(L);
  lua_pushvalue(L, body);
  return finish_body(L, lua_pcallk(L, 0, LUA_MULTRET, 0, first, finish_body), first);
}

static int enter_grad(lua_State *L, int body, const char *name, ScopeKind kind, bool grad, bool inference) {
  Modes inner = modes_now(LP_CPU);
  inner.grad = grad;
  inner.inference = inference;
  return enter(L, body, name, kind, &inner);
}

static int no_grad(lua_State *L) {
  lua_settop(L, 1);
  return enter_grad(L, 1, "no_grad", SCOPE_GRAD, false, lp_inference_enabled());
}
static int enable_grad(lua_State *L) {
  lua_settop(L, 1);
  return enter_grad(L, 1, "enable_grad", SCOPE_GRAD, true, lp_inference_enabled());
}
/* f{mode = false}: the value takes the table's place. */
static void read_named_mode(lua_State *L) {
  if (!lua_istable(L, 1) || lua_getfield(L, 1, "mode") != LUA_TBOOLEAN) {
    lua_settop(L, 2);
    return;
  }
  lua_replace(L, 1);
}

static int set_grad_enabled(lua_State *L) {
  lua_settop(L, 2);
  read_named_mode(L);
  char buf[96];
  if (!lua_isboolean(L, 1))
    lpvm_error(L, "set_grad_enabled", "argument 'mode' must be a boolean, got %s", lpvm_describe(L, 1, buf, sizeof buf));
  return enter_grad(L, 2, "set_grad_enabled", SCOPE_GRAD, lua_toboolean(L, 1), lp_inference_enabled());
}
static int inference_mode(lua_State *L) {
  lua_settop(L, 2);
  read_named_mode(L);
  bool mode = true;
  int body = 1;
  if (lua_isboolean(L, 1)) {
    mode = lua_toboolean(L, 1);
    body = 2;
  }
  return enter_grad(L, body, "inference_mode", SCOPE_INFERENCE, !mode && lp_grad_enabled(), mode);
}
/* torch.scope(): what was made inside and is not held any more is freed at its end. */
static int memory_scope(lua_State *L) {
  lua_settop(L, 1);
  return enter_grad(L, 1, "scope", SCOPE_MEMORY, lp_grad_enabled(), lp_inference_enabled());
}

/* --- autocast: the C half of lua/lampad/amp, which checks the arguments ------------------------------------- */

static LpDeviceType device_type(lua_State *L) {
  LpDevice device;
  if (!lpvm_to_device(L, 1, &device)) luaL_argerror(L, 1, "expected a device");
  return device.type;
}

/* core.autocast(device_type, enabled, dtype, cache_enabled, body): the scope, or what body returns. */
static int autocast(lua_State *L) {
  lua_settop(L, 5);
  Modes inner = modes_now(device_type(L));
  inner.autocast.enabled = lua_toboolean(L, 2);
  lpvm_to_dtype(L, 3, &inner.autocast.dtype);
  inner.cache_enabled = lua_toboolean(L, 4);
  return enter(L, 5, "autocast", SCOPE_AUTOCAST, &inner);
}

/* core.autocast_state(device_type) -> enabled, dtype */
static int autocast_state(lua_State *L) {
  const LpAutocastState state = lp_autocast_state(device_type(L));
  lua_pushboolean(L, state.enabled);
  lpvm_push_dtype(L, state.dtype);
  return 2;
}
/* core.set_autocast_state(device_type, enabled, dtype) */
static int set_autocast_state(lua_State *L) {
  const LpDeviceType type = device_type(L);
  LpAutocastState state = {.enabled = lua_toboolean(L, 2)};
  if (!lpvm_to_dtype(L, 3, &state.dtype)) luaL_argerror(L, 3, "expected a dtype");
  lp_set_autocast_state(type, state);
  return 0;
}
static int is_autocast_cache_enabled(lua_State *L) {
  lua_pushboolean(L, lp_autocast_cache_enabled());
  return 1;
}
static int set_autocast_cache_enabled(lua_State *L) {
  char buf[96];
  if (!lua_isboolean(L, 1))
    lpvm_error(L, "set_autocast_cache_enabled", "argument 'enabled' must be a boolean, got %s",
               lpvm_describe(L, 1, buf, sizeof buf));
  lp_set_autocast_cache_enabled(lua_toboolean(L, 1));
  return 0;
}
static int clear_autocast_cache(lua_State *L) {
  (void)L;
  lp_autocast_clear_cache();
  return 0;
}
static int autocast_increment_nesting(lua_State *L) {
  lua_pushinteger(L, lp_autocast_nest(1));
  return 1;
}
static int autocast_decrement_nesting(lua_State *L) {
  lua_pushinteger(L, lp_autocast_nest(-1));
  return 1;
}

void lpvm_open_scopes_core(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {{"autocast", autocast}, {"autocast_state", autocast_state},
                                       {"set_autocast_state", set_autocast_state}, {NULL, NULL}};
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}

void lpvm_open_scopes(lua_State *L, int torch_index, int methods_index) {
  (void)methods_index;
  static const luaL_Reg functions[] = {{"no_grad", no_grad}, {"enable_grad", enable_grad},
                                       {"set_grad_enabled", set_grad_enabled},
                                       {"inference_mode", inference_mode}, {"scope", memory_scope},
                                       {"is_autocast_cache_enabled", is_autocast_cache_enabled},
                                       {"set_autocast_cache_enabled", set_autocast_cache_enabled},
                                       {"clear_autocast_cache", clear_autocast_cache},
                                       {"autocast_increment_nesting", autocast_increment_nesting},
                                       {"autocast_decrement_nesting", autocast_decrement_nesting},
                                       {NULL, NULL}};
  lua_pushvalue(L, torch_index);
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, SCOPE_META);
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, scope_call);
  lua_setfield(L, -2, "__call");
  lua_pop(L, 2);
}
