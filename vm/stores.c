/* LMDB and HDF5 files for torch.utils.data. Nothing here is a public name. */
#include "lampad/stores.h"
#include <stdlib.h>
#include <string.h>
#include "vm.h"

#define LMDB "lampad.lmdb"
#define HDF5 "lampad.hdf5"

/* Names on their way to Lua, which must not raise while a library walks. */
typedef struct Texts {
  char *data;
  size_t used, capacity;
  bool is_full;
} Texts;

static bool add_text(Texts *t, const void *text, size_t size_bytes) {
  if (t->used + size_bytes + sizeof size_bytes > t->capacity) {
    const size_t wanted = (t->used + size_bytes + sizeof size_bytes) * 2;
    char *larger = realloc(t->data, wanted);
    t->is_full = !larger;
    if (!larger) return false;
    t->data = larger;
    t->capacity = wanted;
  }
  memcpy(t->data + t->used, &size_bytes, sizeof size_bytes);
  memcpy(t->data + t->used + sizeof size_bytes, text, size_bytes);
  t->used += size_bytes + sizeof size_bytes;
  return true;
}

static bool add_key(void *ctx, const void *key, size_t key_bytes) {
  return add_text(ctx, key, key_bytes);
}
static bool add_name(void *ctx, const char *name) {
  return add_text(ctx, name, strlen(name));
}

/* Runs under lua_pcall. */
static int push_texts(lua_State *L) {
  const Texts *t = lua_touserdata(L, 1);
  lua_newtable(L);
  lua_Integer count = 0;
  for (size_t at = 0, size; at < t->used; at += size + sizeof size) {
    memcpy(&size, t->data + at, sizeof size);
    lua_pushlstring(L, t->data + at + sizeof size, size);
    lua_rawseti(L, 2, ++count);
  }
  return 1;
}

/* Pushes the list, or raises; releases the texts. push_texts is on the stack already. */
static int finish_texts(lua_State *L, Texts *t, bool ok, const char *what) {
  int status = LUA_OK;
  if (ok && !t->is_full) {
    lua_pushlightuserdata(L, t);
    status = lua_pcall(L, 1, 1, 0);
  }
  free(t->data);
  if (!ok) return lpvm_raise(L, what);
  if (t->is_full) return lpvm_error(L, what, "out of memory");
  return status == LUA_OK ? 1 : lua_error(L);
}

static void set_closer(lua_State *L, const char *type, lua_CFunction close) {
  if (luaL_newmetatable(L, type)) {
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
}

/* --- LMDB
 * ------------------------------------------------------------------------------------ */

static int lmdb_close(lua_State *L) {
  LpLmdb **db = luaL_checkudata(L, 1, LMDB);
  lp_lmdb_close(*db);
  *db = NULL;
  return 0;
}

static LpLmdb *check_lmdb(lua_State *L) {
  LpLmdb **db = luaL_checkudata(L, 1, LMDB);
  luaL_argcheck(L, *db, 1, "the file was closed");
  return *db;
}

/* lmdb_open(path) -> handle */
static int lmdb_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  LpLmdb **db = lua_newuserdatauv(L, sizeof *db, 0);
  *db = NULL;
  set_closer(L, LMDB, lmdb_close);
  return (*db = lp_lmdb_open(path)) ? 1 : lpvm_raise(L, "LMDBDataset");
}

/* lmdb_count(handle) -> integer */
static int lmdb_count(lua_State *L) {
  int64_t count;
  if (!lp_lmdb_count(check_lmdb(L), &count)) return lpvm_raise(L, "LMDBDataset");
  lua_pushinteger(L, count);
  return 1;
}

/* lmdb_get(handle, key) -> tensor of bytes, or nil */
static int lmdb_get(lua_State *L) {
  LpLmdb *db = check_lmdb(L);
  size_t n;
  const char *key = luaL_checklstring(L, 2, &n);
  bool found;
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *value = lp_lmdb_get(db, key, n, &found);
  if (!value && found) return lpvm_raise(L, "LMDBDataset");
  if (!value)
    lua_pushnil(L);
  else
    lpvm_fill_box(L, box, value);
  return 1;
}

/* lmdb_keys(handle) -> list of strings */
static int lmdb_keys(lua_State *L) {
  LpLmdb *db = check_lmdb(L);
  Texts t = {0};
  lua_pushcfunction(L, push_texts);
  return finish_texts(L, &t, lp_lmdb_keys(db, add_key, &t), "LMDBDataset");
}

/* --- HDF5
 * ------------------------------------------------------------------------------------ */

static int hdf5_close(lua_State *L) {
  LpHdf5 **file = luaL_checkudata(L, 1, HDF5);
  lp_hdf5_close(*file);
  *file = NULL;
  return 0;
}

static LpHdf5 *check_hdf5(lua_State *L) {
  LpHdf5 **file = luaL_checkudata(L, 1, HDF5);
  luaL_argcheck(L, *file, 1, "the file was closed");
  return *file;
}

/* hdf5_open(path) -> handle */
static int hdf5_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  LpHdf5 **file = lua_newuserdatauv(L, sizeof *file, 0);
  *file = NULL;
  set_closer(L, HDF5, hdf5_close);
  return (*file = lp_hdf5_open(path)) ? 1 : lpvm_raise(L, "HDF5Dataset");
}

/* hdf5_names(handle) -> list of paths */
static int hdf5_names(lua_State *L) {
  LpHdf5 *file = check_hdf5(L);
  Texts t = {0};
  lua_pushcfunction(L, push_texts);
  return finish_texts(L, &t, lp_hdf5_names(file, add_name, &t), "HDF5Dataset");
}

/* hdf5_shape(handle, name) -> torch.Size, dtype */
static int hdf5_shape(lua_State *L) {
  int64_t sizes[16], ndim;
  LpDtype dtype;
  if (!lp_hdf5_shape(check_hdf5(L), luaL_checkstring(L, 2), sizes, &ndim, &dtype))
    return lpvm_raise(L, "HDF5Dataset");
  lpvm_push_size(L, (LpInts){sizes, ndim});
  lpvm_push_dtype(L, dtype);
  return 2;
}

/* hdf5_read(handle, name, start, count) -> tensor; without start: all */
static int hdf5_read(lua_State *L) {
  LpHdf5 *file = check_hdf5(L);
  const char *name = luaL_checkstring(L, 2);
  const bool whole = lua_isnoneornil(L, 3);
  const lua_Integer start = luaL_optinteger(L, 3, 0),
                    count = whole ? -1 : luaL_checkinteger(L, 4);
  luaL_argcheck(L, whole || count >= 0, 4, "a count must not be negative");
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lp_hdf5_read(file, name, start, count);
  if (!t) return lpvm_raise(L, "HDF5Dataset");
  lpvm_fill_box(L, box, t);
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_stores(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"lmdb_open", lmdb_open},   {"lmdb_count", lmdb_count}, {"lmdb_get", lmdb_get},
      {"lmdb_keys", lmdb_keys},   {"hdf5_open", hdf5_open},   {"hdf5_names", hdf5_names},
      {"hdf5_shape", hdf5_shape}, {"hdf5_read", hdf5_read},   {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
