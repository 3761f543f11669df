/* Scopes: torch.no_grad and its kin. Called with a function they run it inside; called without one
 * they act at once and return a to-be-closed value that undoes it. */
#include "state.h"
#include "vm.h"

typedef enum ScopeKind { SCOPE_GRAD, SCOPE_INFERENCE, SCOPE_MEMORY } ScopeKind;

typedef struct Scope {
  ScopeKind kind;
  bool grad, inference; /* to be restored */
  bool inner_grad, inner_inference; /* of a scope that decorated a function */
  bool open;
} Scope;

#define SCOPE_META "lampad.Scope"

static int scope_close(lua_State *L) {
  Scope *s = luaL_checkudata(L, 1, SCOPE_META);
  if (!s->open) return 0;
  s->open = false;
  lp_set_grad_enabled(s->grad);
  lp_set_inference_enabled(s->inference);
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

/* scope(f): ends the scope, which was opened for this, and returns f to be run inside one like it: Python's
 * decorator @torch.no_grad(). Upvalues of the result: f, grad, inference. */
static int decorated(lua_State *L) {
  const int n = lua_gettop(L);
  Scope *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (Scope){.kind = SCOPE_GRAD, .grad = lp_grad_enabled(), .inference = lp_inference_enabled(), .open = true};
  luaL_setmetatable(L, SCOPE_META);
  lua_insert(L, 1);
  lp_set_grad_enabled(lua_toboolean(L, lua_upvalueindex(2)));
  lp_set_inference_enabled(lua_toboolean(L, lua_upvalueindex(3)));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 2);
  return finish_body(L, lua_pcallk(L, n, LUA_MULTRET, 0, 1, finish_body), 1);
}

static int scope_call(lua_State *L) {
  Scope *s = luaL_checkudata(L, 1, SCOPE_META);
  char buf[96];
  if (!lua_isfunction(L, 2))
    lpvm_error(L, NULL, "expected a function to decorate, got %s", lpvm_describe(L, 2, buf, sizeof buf));
  lua_pushvalue(L, 2);
  lua_pushboolean(L, s->open ? lp_grad_enabled() : s->inner_grad);
  lua_pushboolean(L, s->open ? lp_inference_enabled() : s->inner_inference);
  s->inner_grad = lua_toboolean(L, -2);
  s->inner_inference = lua_toboolean(L, -1);
  lua_pushcclosure(L, decorated, 3);
  lua_pushcfunction(L, scope_close);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 1;
}

static void push_scope(lua_State *L, ScopeKind kind) {
  Scope *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (Scope){.kind = kind, .grad = lp_grad_enabled(), .inference = lp_inference_enabled(), .open = true};
  luaL_setmetatable(L, SCOPE_META);
}

/* Runs the function at `body` inside the scope on top of the stack, or returns the scope. */
static int enter(lua_State *L, int body, const char *name, bool grad, bool inference) {
  lp_set_grad_enabled(grad);
  lp_set_inference_enabled(inference);
  if (lua_isnoneornil(L, body)) return 1;
  if (!lua_isfunction(L, body)) {
    char buf[96];
    lua_pushcfunction(L, scope_close);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 0);
    lpvm_error(L, name, "expected a function to run, or nothing, got %s", lpvm_describe(L, body, buf, sizeof buf));
  }
  const int first = lua_gettop(L);
  lua_pushvalue(L, body);
  return finish_body(L, lua_pcallk(L, 0, LUA_MULTRET, 0, first, finish_body), first);
}

static int no_grad(lua_State *L) {
  lua_settop(L, 1);
  push_scope(L, SCOPE_GRAD);
  return enter(L, 1, "no_grad", false, lp_inference_enabled());
}
static int enable_grad(lua_State *L) {
  lua_settop(L, 1);
  push_scope(L, SCOPE_GRAD);
  return enter(L, 1, "enable_grad", true, lp_inference_enabled());
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
  push_scope(L, SCOPE_GRAD);
  return enter(L, 2, "set_grad_enabled", lua_toboolean(L, 1), lp_inference_enabled());
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
  push_scope(L, SCOPE_INFERENCE);
  return enter(L, body, "inference_mode", !mode && lp_grad_enabled(), mode);
}
/* torch.scope(): what was made inside and is not held any more is freed at its end. */
static int memory_scope(lua_State *L) {
  lua_settop(L, 1);
  push_scope(L, SCOPE_MEMORY);
  return enter(L, 1, "scope", lp_grad_enabled(), lp_inference_enabled());
}

void lpvm_open_scopes(lua_State *L, int torch_index, int methods_index) {
  (void)methods_index;
  static const luaL_Reg functions[] = {{"no_grad", no_grad}, {"enable_grad", enable_grad},
                                       {"set_grad_enabled", set_grad_enabled},
                                       {"inference_mode", inference_mode}, {"scope", memory_scope},
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
