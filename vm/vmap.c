/* torch.vmap and torch.func for Lua: the doors to lampad/vmap.h and to the levels of
 * lampad/autograd.h. The transforms themselves are lua/lampad/func. */
#include "lampad/vmap.h"
#include "state.h"
#include "vm.h"

static int push_made(lua_State *L, LpBox *box, LpTensor *t, const char *what) {
  if (!t) lpvm_raise(L, what);
  lpvm_fill_box(L, box, t);
  return 1;
}

/* core.vmap_enter(batch, "error" | "same" | "different") -> level */
static int vmap_enter(lua_State *L) {
  static const char *const names[] = {"error", "same", "different", NULL};
  const lua_Integer batch = luaL_checkinteger(L, 1);
  const uint32_t level =
      lp_vmap_enter(batch, (LpVmapRandomness)luaL_checkoption(L, 2, NULL, names));
  if (!level) lpvm_raise(L, "vmap");
  lua_pushinteger(L, level);
  return 1;
}

static int vmap_leave(lua_State *L) {
  lp_vmap_leave((uint32_t)luaL_checkinteger(L, 1));
  return 0;
}

/* core.vmap_wrap(tensor, dim, level), core.vmap_unwrap(tensor, dim, level) */
static int vmap_wrap(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "vmap");
  LpBox *box = lpvm_new_box(L);
  lpvm_running = L;
  return push_made(
      L, box, lp_vmap_wrap(t, luaL_checkinteger(L, 2), (uint32_t)luaL_checkinteger(L, 3)),
      "vmap");
}
static int vmap_unwrap(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "vmap");
  LpBox *box = lpvm_new_box(L);
  lpvm_running = L;
  return push_made(
      L, box,
      lp_vmap_unwrap(t, luaL_checkinteger(L, 2), (uint32_t)luaL_checkinteger(L, 3)),
      "vmap");
}

/* core.vmap_level(tensor) -> the level that batches it innermost, or nil */
static int vmap_level(lua_State *L) {
  const uint32_t level = lp_vmap_level_of(lpvm_check_tensor(L, 1, "vmap"));
  if (level)
    lua_pushinteger(L, level);
  else
    lua_pushnil(L);
  return 1;
}

/* core.vmap_physical(tensor) -> the batch behind it (examples along dim 0), or nil */
static int vmap_physical(lua_State *L) {
  LpTensor *t = lp_vmap_physical(lpvm_check_tensor(L, 1, "vmap"));
  if (t)
    lpvm_push_tensor(L, lp_tensor_retain(t));
  else
    lua_pushnil(L);
  return 1;
}

/* core.func_leaf(tensor) -> a leaf of its own that requires grad */
static int func_leaf(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "func");
  LpBox *box = lpvm_new_box(L);
  return push_made(L, box, lp_func_leaf(t), "func");
}
static int func_leaf_end(lua_State *L) {
  lp_func_leaf_end(lpvm_check_tensor(L, 1, "func"));
  return 0;
}

/* core.shallow(tensor): the same data without this layer's history */
static int shallow(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "func");
  LpBox *box = lpvm_new_box(L);
  return push_made(L, box, lp_tensor_shallow(t), "func");
}

/* core.requires_grad_below(tensor) */
static int requires_grad_below(lua_State *L) {
  lua_pushboolean(L, lp_requires_grad_below(lpvm_check_tensor(L, 1, "func")));
  return 1;
}

/* core.depends_on_others(tensor, leaves) */
static int depends_on_others(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "func");
  luaL_checktype(L, 2, LUA_TTABLE);
  const int n = (int)lua_rawlen(L, 2);
  LpTensor **own = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *own, 0);
  if (lpvm_to_tensors(L, 2, own, n, false) != n)
    lpvm_error(L, "func", "expected a list of tensors");
  bool result;
  if (!lp_depends_on_others((LpTensors){&t, 1}, (LpTensors){own, n}, &result))
    lpvm_raise(L, "func");
  lua_pushboolean(L, result);
  return 1;
}

void lpvm_open_vmap_core(lua_State *L, int core_index) {
  static const luaL_Reg core[] = {{"vmap_enter", vmap_enter},
                                  {"vmap_leave", vmap_leave},
                                  {"vmap_wrap", vmap_wrap},
                                  {"vmap_unwrap", vmap_unwrap},
                                  {"vmap_level", vmap_level},
                                  {"vmap_physical", vmap_physical},
                                  {"func_leaf", func_leaf},
                                  {"func_leaf_end", func_leaf_end},
                                  {"shallow", shallow},
                                  {"requires_grad_below", requires_grad_below},
                                  {"depends_on_others", depends_on_others},
                                  {NULL, NULL}};
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, core, 0);
  lua_pop(L, 1);
}
