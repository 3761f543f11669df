/* Memory for the Lua libraries: tensors over files and whole storages, and what
 * the library was built with. Nothing here is a public name; the public functions in
 * lampad.buffers and lampad.storage are made of it. */
#include "lampad/storage.h"
#include "vm.h"

static LpDtype check_dtype(lua_State *L, int index) {
  LpDtype dtype;
  luaL_argcheck(L, lpvm_to_dtype(L, index, &dtype), index, "expected a torch.dtype");
  return dtype;
}

/* file_tensor(path, shared, count, dtype): a 1-d tensor mapped from a file. */
static int file_tensor(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  bool shared = lua_toboolean(L, 2);
  int64_t count = luaL_checkinteger(L, 3);
  LpDtype dtype = check_dtype(L, 4);
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lp_tensor_from_file(path, shared, count, dtype);
  if (!t) return lpvm_raise(L, "from_file");
  lpvm_fill_box(L, box, t);
  return 1;
}

/* storage_tensor(x, dtype): all of x's storage as a 1-d tensor over the same memory. */
static int storage_tensor(lua_State *L) {
  LpTensor *x = lpvm_check_tensor(L, 1, "storage");
  LpDtype dtype = check_dtype(L, 2);
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lp_storage_tensor(x, dtype);
  if (!t) return lpvm_raise(L, "storage");
  lpvm_fill_box(L, box, t);
  return 1;
}

/* storage_bytes(x) */
static int storage_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lp_storage_bytes(lpvm_check_tensor(L, 1, "storage")));
  return 1;
}

static int share_memory(lua_State *L) {
  if (!lp_storage_share(lpvm_check_tensor(L, 1, "share_memory_")))
    return lpvm_raise(L, "share_memory_");
  lua_settop(L, 1);
  return 1;
}

static int is_shared(lua_State *L) {
  lua_pushboolean(L, lp_storage_is_shared(lpvm_check_tensor(L, 1, "is_shared")));
  return 1;
}

static int build_info(lua_State *L) {
  lua_pushstring(L, lp_build_info());
  return 1;
}

static int set_flush_denormal(lua_State *L) {
  lua_pushboolean(L, lp_set_flush_denormal(lua_toboolean(L, 1)));
  return 1;
}

static int allow_winograd(lua_State *L) {
  if (!lua_isnone(L, 1)) lp_set_allow_winograd(lua_toboolean(L, 1));
  lua_pushboolean(L, lp_allow_winograd());
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_memory(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"file_tensor", file_tensor},
      {"storage_tensor", storage_tensor},
      {"storage_bytes", storage_bytes},
      {"share_memory", share_memory},
      {"is_shared", is_shared},
      {"build_info", build_info},
      {"set_flush_denormal", set_flush_denormal},
      {"allow_winograd", allow_winograd},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
