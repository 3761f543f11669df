/* safetensors files for lampad.safetensors: handles, tensors on demand, saving. Nothing
 * here is a public name. */
#include <string.h>
#include "lampad/io.h"
#include "lampad/safetensors.h"
#include "vm.h"

#define HANDLE "lampad.safetensors"

static LpSafetensors *check_handle(lua_State *L) {
  LpSafetensors **handle = luaL_checkudata(L, 1, HANDLE);
  if (!*handle) lpvm_error(L, "safe_open", "the file has been closed");
  return *handle;
}

static int close_handle(lua_State *L) {
  LpSafetensors **handle = luaL_checkudata(L, 1, HANDLE);
  lp_safetensors_close(*handle);
  *handle = NULL;
  return 0;
}

static LpSafetensors **new_handle(lua_State *L) {
  LpSafetensors **handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = NULL;
  if (luaL_newmetatable(L, HANDLE)) {
    lua_pushcfunction(L, close_handle);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return handle;
}

/* safetensors_open(path, what, use_mmap) -> handle */
static int open_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  LpSafetensors **handle = new_handle(L);
  if (!(*handle = lp_safetensors_open(path, lua_toboolean(L, 3))))
    return lpvm_raise(L, luaL_checkstring(L, 2));
  return 1;
}

/* safetensors_parse(bytes, what) -> handle, over the memory of a tensor */
static int parse(lua_State *L) {
  LpTensor *bytes = lpvm_check_tensor(L, 1, "load");
  LpSafetensors **handle = new_handle(L);
  if (!(*handle = lp_safetensors_parse(bytes)))
    return lpvm_raise(L, luaL_checkstring(L, 2));
  return 1;
}

/* safetensors_names(handle) -> list, in the order of the bytes */
static int names(lua_State *L) {
  const LpSafetensors *s = check_handle(L);
  const int64_t count = lp_safetensors_count(s);
  lua_newtable(L);
  for (int64_t i = 0; i < count; i++) {
    lua_pushstring(L, lp_safetensors_name(s, i));
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* safetensors_metadata(handle) -> table of texts, or nil */
static int metadata(lua_State *L) {
  const LpSafetensors *s = check_handle(L);
  const int64_t count = lp_safetensors_metadata_count(s);
  if (count == 0) return 0;
  lua_newtable(L);
  for (int64_t i = 0; i < count; i++) {
    const LpTextPair pair = lp_safetensors_metadata(s, i);
    lua_pushstring(L, pair.value);
    lua_setfield(L, -2, pair.key);
  }
  return 1;
}

/* safetensors_info(handle, name) -> type, sizes, bytes, dtype or nil; nothing for an
 * unknown name */
static int info(lua_State *L) {
  const LpSafetensors *s = check_handle(L);
  const int64_t i = lp_safetensors_find(s, luaL_checkstring(L, 2));
  if (i < 0) return 0;
  const LpInts sizes = lp_safetensors_sizes(s, i);
  lua_pushstring(L, lp_safetensors_type(s, i));
  lua_createtable(L, (int)sizes.count, 0);
  for (int64_t d = 0; d < sizes.count; d++) {
    lua_pushinteger(L, sizes.data[d]);
    lua_rawseti(L, -2, d + 1);
  }
  lua_pushinteger(L, (lua_Integer)lp_safetensors_bytes(s, i));
  if (lp_safetensors_dtype(s, i) == LP_DTYPE_NONE)
    lua_pushnil(L);
  else
    lpvm_push_dtype(L, lp_safetensors_dtype(s, i));
  return 4;
}

/* safetensors_tensor(handle, name, what) -> tensor; nothing for an unknown name */
static int tensor(lua_State *L) {
  const LpSafetensors *s = check_handle(L);
  const int64_t i = lp_safetensors_find(s, luaL_checkstring(L, 2));
  if (i < 0) return 0;
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lp_safetensors_tensor(s, i);
  if (!t) return lpvm_raise(L, luaL_checkstring(L, 3));
  lpvm_fill_box(L, box, t);
  return 1;
}

/* Runs under lua_pcall, so that running out of memory cannot leak the engine's buffer. */
static int push_bytes(lua_State *L) {
  const LpBytes *bytes = lua_touserdata(L, 1);
  lua_pushlstring(L, bytes->data, bytes->size_bytes);
  return 1;
}

/* The string at key i of the table at index, kept alive by that table. */
static const char *text_at(lua_State *L, int index, lua_Integer i, const char *what) {
  size_t length;
  lua_rawgeti(L, index, i);
  const char *text = luaL_checklstring(L, -1, &length);
  if (strlen(text) != length) lpvm_error(L, what, "'%s...' holds a zero byte", text);
  lua_pop(L, 1);
  return text;
}

/* safetensors_save(path or nil, names, tensors, keys, values) -> nothing, or the bytes;
 * lists of equal lengths */
static int save(lua_State *L) {
  const char *path = luaL_optstring(L, 1, NULL);
  const char *what = path ? "save_file" : "save";
  for (int i = 2; i <= 5; i++) luaL_checktype(L, i, LUA_TTABLE);
  const lua_Integer count = (lua_Integer)lua_rawlen(L, 2),
                    pairs = (lua_Integer)lua_rawlen(L, 4);
  LpNamedTensor *tensors = lua_newuserdatauv(L, (size_t)count * sizeof *tensors + 1, 0);
  LpTextPair *texts = lua_newuserdatauv(L, (size_t)pairs * sizeof *texts + 1, 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, 3, i + 1);
    tensors[i] =
        (LpNamedTensor){text_at(L, 2, i + 1, what), lpvm_check_tensor(L, -1, what)};
    lua_pop(L, 1);
  }
  for (lua_Integer i = 0; i < pairs; i++)
    texts[i] = (LpTextPair){text_at(L, 4, i + 1, what), text_at(L, 5, i + 1, what)};
  if (path) {
    if (!lp_safetensors_save_file(path, tensors, count, texts, pairs))
      return lpvm_raise(L, what);
    return 0;
  }
  uint8_t *data;
  LpBytes bytes;
  lua_pushcfunction(L, push_bytes);
  if (!lp_safetensors_save(tensors, count, texts, pairs, &data, &bytes.size_bytes))
    return lpvm_raise(L, what);
  bytes.data = data;
  lua_pushlightuserdata(L, &bytes);
  const int status = lua_pcall(L, 1, 1, 0);
  lp_bytes_free(data);
  if (status != LUA_OK) return lua_error(L);
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_safetensors(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"safetensors_open", open_file},
      {"safetensors_parse", parse},
      {"safetensors_names", names},
      {"safetensors_metadata", metadata},
      {"safetensors_info", info},
      {"safetensors_tensor", tensor},
      {"safetensors_close", close_handle},
      {"safetensors_save", save},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
