/* NumPy's files for lampad.numpy and torch.from_numpy. Nothing here is a public name. */
#include <string.h>
#include "lampad/npy.h"
#include "vm.h"

#define ARCHIVE "lampad.npz"

/* npy_load(path, use_mmap) -> tensor */
static int load(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lp_npy_load(path, lua_toboolean(L, 2));
  if (!t) return lpvm_raise(L, "numpy.load");
  lpvm_fill_box(L, box, t);
  return 1;
}

/* npy_parse(bytes) -> tensor, over the memory of the tensor of bytes */
static int parse(lua_State *L) {
  LpTensor *bytes = lpvm_check_tensor(L, 1, "from_numpy");
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lp_npy_parse(bytes);
  if (!t) return lpvm_raise(L, "from_numpy");
  lpvm_fill_box(L, box, t);
  return 1;
}

/* npy_save(path, tensor) */
static int save(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (!lp_npy_save_file(path, lpvm_check_tensor(L, 2, "numpy.save")))
    return lpvm_raise(L, "numpy.save");
  return 0;
}

static int close_archive(lua_State *L) {
  LpNpz **npz = luaL_checkudata(L, 1, ARCHIVE);
  lp_npz_close(*npz);
  *npz = NULL;
  return 0;
}

/* npz_load(path) -> list of names, list of tensors, in the order of the archive */
static int load_archive(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  LpNpz **npz = lua_newuserdatauv(L, sizeof *npz, 0);
  *npz = NULL;
  if (luaL_newmetatable(L, ARCHIVE)) {
    lua_pushcfunction(L, close_archive);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_newtable(L);
  lua_newtable(L);
  if (!(*npz = lp_npz_open(path))) return lpvm_raise(L, "numpy.load");
  for (int64_t i = 0; i < lp_npz_count(*npz); i++) {
    lua_pushstring(L, lp_npz_name(*npz, i));
    lua_rawseti(L, -3, i + 1);
    lpvm_collect_pressure(L);
    LpBox *box = lpvm_new_box(L);
    LpTensor *t = lp_npz_tensor(*npz, i);
    if (!t) {
      lp_fail_prefix("%s: ", path);
      return lpvm_raise(L, "numpy.load");
    }
    lpvm_fill_box(L, box, t);
    lua_rawseti(L, -2, i + 1);
  }
  lp_npz_close(*npz);
  *npz = NULL;
  return 2;
}

/* npz_save(path, names, tensors, compress, what): lists of equal lengths */
static int save_archive(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  const char *what = luaL_checkstring(L, 5);
  const lua_Integer count = (lua_Integer)lua_rawlen(L, 2);
  LpNamedTensor *tensors = lua_newuserdatauv(L, (size_t)count * sizeof *tensors + 1, 0);
  for (lua_Integer i = 0; i < count; i++) {
    size_t length;
    lua_rawgeti(L, 2, i + 1);
    lua_rawgeti(L, 3, i + 1);
    const char *name = luaL_checklstring(L, -2, &length); /* the list keeps it alive */
    if (strlen(name) != length)
      lpvm_error(L, what, "the name '%s...' holds a zero byte", name);
    tensors[i] = (LpNamedTensor){name, lpvm_check_tensor(L, -1, what)};
    lua_pop(L, 2);
  }
  if (!lp_npz_save_file(path, tensors, count, lua_toboolean(L, 4)))
    return lpvm_raise(L, what);
  return 0;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_npy(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"npy_load", load},         {"npy_parse", parse},       {"npy_save", save},
      {"npz_load", load_archive}, {"npz_save", save_archive}, {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
