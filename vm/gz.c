/* Bytes for the Lua libraries: gzip files, atomic writing, checksums, and tensors from and to
 * strings. Used by vision.datasets and the checkpoint file; nothing here is a public name. */
#include <string.h>
#include "lampad/io.h"
#include "vm.h"

/* Runs under lua_pcall, so that running out of memory cannot leak the engine's buffer. */
static int push_bytes(lua_State *L) {
  const LpBytes *bytes = lua_touserdata(L, 1);
  lua_pushlstring(L, bytes->data, bytes->size_bytes);
  return 1;
}

/* nil, message from the engine's last error; an interrupt is raised instead. */
static int push_failure(lua_State *L) {
  if (lp_last_error()->code == LP_ERR_INTERRUPT) return lpvm_raise(L, NULL);
  lua_pushnil(L);
  lua_pushstring(L, lp_last_error()->message);
  return 2;
}

/* read_gz(path [, max_bytes]) -> string, or nil and a message. Plain files are read as they are. */
static int read_gz(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_Integer max_bytes = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, max_bytes >= 0, 2, "a limit in bytes must not be negative");
  uint8_t *data;
  LpBytes bytes;
  lua_pushcfunction(L, push_bytes);
  if (!lp_read_gz(path, (size_t)max_bytes, &data, &bytes.size_bytes)) return push_failure(L);
  bytes.data = data;
  lua_pushlightuserdata(L, &bytes);
  int status = lua_pcall(L, 1, 1, 0);
  lp_bytes_free(data);
  if (status != LUA_OK) return lua_error(L);
  return 1;
}

/* atomic_write(path, string | list of strings) -> true, or nil and a message. */
static int atomic_write(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (lua_type(L, 2) == LUA_TSTRING) {
    LpBytes whole;
    whole.data = lua_tolstring(L, 2, &whole.size_bytes);
    if (!lp_write_file_atomic(path, &whole, 1)) return push_failure(L);
  } else {
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = (size_t)lua_rawlen(L, 2);
    LpBytes *parts = lua_newuserdatauv(L, count * sizeof *parts + 1, 0);
    for (size_t i = 0; i < count; i++) {
      /* The list keeps the strings alive; numbers are refused, as converting would not. */
      if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TSTRING)
        return luaL_error(L, "atomic_write: part %d is a %s, expected a string", (int)i + 1, luaL_typename(L, -1));
      parts[i].data = lua_tolstring(L, -1, &parts[i].size_bytes);
      lua_pop(L, 1);
    }
    if (!lp_write_file_atomic(path, parts, count)) return push_failure(L);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* crc32(string [, crc]) -> integer. */
static int crc32_of(lua_State *L) {
  size_t size_bytes;
  const char *data = luaL_checklstring(L, 1, &size_bytes);
  lua_pushinteger(L, lp_crc32((uint32_t)luaL_optinteger(L, 2, 0), data, size_bytes));
  return 1;
}

/* tensor_from_bytes(string, dtype, sizes, offset_bytes = 0) -> tensor holding a copy of the bytes, which are
 * little-endian and row-major. `sizes` is a list of integers. */
static int tensor_from_bytes(lua_State *L) {
  size_t available;
  const char *bytes = luaL_checklstring(L, 1, &available);
  LpDtype dtype;
  if (!lpvm_to_dtype(L, 2, &dtype)) return luaL_argerror(L, 2, "a dtype expected");
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer offset = luaL_optinteger(L, 4, 0);
  int64_t sizes[LP_MAX_DIMS];
  size_t ndim = (size_t)lua_rawlen(L, 3);
  luaL_argcheck(L, ndim <= LP_MAX_DIMS, 3, "too many dimensions");
  luaL_argcheck(L, offset >= 0 && (size_t)offset <= available, 4, "offset lies outside the string");
  available -= (size_t)offset;
  size_t need = lp_dtype_size(dtype);
  bool empty = false;
  for (size_t i = 0; i < ndim; i++) {
    int is_integer;
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    sizes[i] = lua_tointegerx(L, -1, &is_integer);
    lua_pop(L, 1);
    luaL_argcheck(L, is_integer && sizes[i] >= 0, 3, "sizes must be integers of at least 0");
    empty = empty || sizes[i] == 0;
  }
  for (size_t i = 0; !empty && i < ndim; i++) {
    luaL_argcheck(L, (uint64_t)sizes[i] <= available / need, 1, "the string is too short for these sizes");
    need *= (size_t)sizes[i];
  }
  if (empty) need = 0;
  luaL_argcheck(L, need <= available, 1, "the string is too short for these sizes");
  LpBox *box = lpvm_new_box(L);
  LpTensor *tensor = lp_tensor_new((LpInts){sizes, (int64_t)ndim}, dtype, (LpDevice){LP_CPU, 0});
  if (!tensor) lpvm_raise(L, "tensor_from_bytes");
  if (need) memcpy(lp_data(tensor), bytes + offset, need);
  lpvm_fill_box(L, box, tensor);
  return 1;
}

/* tensor_to_bytes(tensor) -> string; the tensor must be contiguous and on the CPU. */
static int tensor_to_bytes(lua_State *L) {
  LpTensor *tensor = lpvm_check_tensor(L, 1, "tensor_to_bytes");
  luaL_argcheck(L, lp_is_contiguous(tensor, LP_CONTIGUOUS), 1, "the tensor must be contiguous");
  luaL_argcheck(L, lp_device(tensor).type == LP_CPU, 1, "the tensor must be on the CPU");
  size_t size_bytes = (size_t)lp_numel(tensor) * lp_dtype_size(lp_dtype(tensor));
  lua_pushlstring(L, size_bytes ? lp_data(tensor) : "", size_bytes);
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_gz(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"read_gz", read_gz},
      {"atomic_write", atomic_write},
      {"crc32", crc32_of},
      {"tensor_from_bytes", tensor_from_bytes},
      {"tensor_to_bytes", tensor_to_bytes},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
