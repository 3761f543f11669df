/* torch.Size: an immutable list of dimensions, counted from 0 as in PyTorch. A userdata
 * with the numbers inline, so that reading x.shape[0] touches no table. */
#include <stdio.h>
#include <string.h>
#include "types.h"

static const LpvmClass size_class = {"torch.Size"};

typedef struct Size {
  int64_t count;
  int64_t data[];
} Size;

static Size *new_size(lua_State *L, int64_t count) {
  Size *size = lua_newuserdatauv(L, sizeof(Size) + (size_t)count * sizeof(int64_t), 0);
  size->count = count;
  lpvm_push_class(L, &size_class);
  lua_setmetatable(L, -2);
  return size;
}

void lpvm_push_size(lua_State *L, LpInts sizes) {
  Size *size = new_size(L, sizes.count < 0 ? 0 : sizes.count);
  if (size->count) memcpy(size->data, sizes.data, (size_t)size->count * sizeof(int64_t));
}

bool lpvm_to_size(lua_State *L, int index, LpInts *result) {
  const Size *size = lpvm_test_class(L, index, &size_class);
  if (!size) return false;
  *result = (LpInts){size->data, size->count};
  return true;
}

static const Size *check_size(lua_State *L, int index) {
  char buf[128];
  const Size *size = lpvm_test_class(L, index, &size_class);
  if (!size)
    lpvm_error(L, "torch.Size", "expected a torch.Size, got %s (call methods with ':')",
               lpvm_describe(L, index, buf, sizeof buf));
  return size;
}

/* The Size at index, or a new one (pushed) from the plain sequence there. */
static const Size *size_from(lua_State *L, int index) {
  char buf[128];
  index = lua_absindex(L, index);
  const Size *given = lpvm_test_class(L, index, &size_class);
  if (given) {
    lua_pushvalue(L, index);
    return given;
  }
  if (lua_type(L, index) != LUA_TTABLE)
    lpvm_error(L, "torch.Size", "expected a list of integers such as {2, 3}, got %s",
               lpvm_describe(L, index, buf, sizeof buf));
  int64_t count = (int64_t)lua_rawlen(L, index);
  Size *size = new_size(L, count);
  for (int64_t i = 0; i < count; i++) {
    int is_int;
    lua_rawgeti(L, index, i + 1);
    size->data[i] = lua_tointegerx(L, -1, &is_int);
    if (!is_int || lua_type(L, -1) != LUA_TNUMBER)
      lpvm_error(L, "torch.Size", "takes integers, but item %d is %s", (int)i,
                 lpvm_describe(L, -1, buf, sizeof buf));
    lua_pop(L, 1);
  }
  return size;
}

/* torch.Size{2, 3}, torch.Size(2, 3), torch.Size(size), torch.Size() */
static int torch_size(lua_State *L) {
  if (lua_isnone(L, 1)) {
    new_size(L, 0);
    return 1;
  }
  if (lua_type(L, 1) == LUA_TNUMBER) { /* spread */
    int n = lua_gettop(L);
    lua_createtable(L, n, 0);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
  }
  size_from(L, 1);
  return 1;
}

static int size_tostring(lua_State *L) {
  const Size *size = check_size(L, 1);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "torch.Size([");
  for (int64_t i = 0; i < size->count; i++) {
    char number[32];
    snprintf(number, sizeof number, "%s%lld", i ? ", " : "", (long long)size->data[i]);
    luaL_addstring(&b, number);
  }
  luaL_addstring(&b, "])");
  luaL_pushresult(&b);
  return 1;
}

static int size_eq(lua_State *L) {
  LpInts a, b;
  lua_pushboolean(L, lpvm_to_size(L, 1, &a) && lpvm_to_size(L, 2, &b) &&
                         a.count == b.count &&
                         !memcmp(a.data, b.data, (size_t)a.count * sizeof(int64_t)));
  return 1;
}

static int size_len(lua_State *L) {
  lua_pushinteger(L, check_size(L, 1)->count);
  return 1;
}

static int size_numel(lua_State *L) {
  const Size *size = check_size(L, 1);
  int64_t n = 1;
  for (int64_t i = 0; i < size->count; i++)
    if (__builtin_mul_overflow(n, size->data[i], &n))
      return lpvm_error(L, "torch.Size", "numel: more elements than can be counted");
  lua_pushinteger(L, n);
  return 1;
}

static int size_unpack(lua_State *L) {
  const Size *size = check_size(L, 1);
  luaL_checkstack(L, (int)size->count, "torch.Size:unpack");
  for (int64_t i = 0; i < size->count; i++) lua_pushinteger(L, size->data[i]);
  return (int)size->count;
}

static int size_totable(lua_State *L) {
  const Size *size = check_size(L, 1);
  lua_createtable(L, (int)size->count, 0);
  for (int64_t i = 0; i < size->count; i++) {
    lua_pushinteger(L, size->data[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* size:count(value): how often it occurs; size:index(value): where it first occurs, from
 * 0. */
static int size_count(lua_State *L) {
  const Size *size = check_size(L, 1);
  lua_Integer value = luaL_checkinteger(L, 2), n = 0;
  for (int64_t i = 0; i < size->count; i++) n += size->data[i] == value;
  lua_pushinteger(L, n);
  return 1;
}

static int size_position(lua_State *L) {
  const Size *size = check_size(L, 1);
  lua_Integer value = luaL_checkinteger(L, 2);
  for (int64_t i = 0; i < size->count; i++) {
    if (size->data[i] != value) continue;
    lua_pushinteger(L, i);
    return 1;
  }
  lpvm_error(L, "torch.Size.index", "%lld is not in it", (long long)value);
}

static int next_value(lua_State *L) {
  const Size *size = check_size(L, lua_upvalueindex(1));
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
  if (i >= size->count) return 0;
  lua_pushinteger(L, i + 1);
  lua_replace(L, lua_upvalueindex(2));
  lua_pushinteger(L, size->data[i]);
  return 1;
}

/* for d in size:iter() do */
static int size_iter(lua_State *L) {
  check_size(L, 1);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_value, 2);
  return 1;
}

static int next_pair(lua_State *L) {
  const Size *size = check_size(L, 1);
  lua_Integer i = lua_isnil(L, 2) ? 0 : lua_tointeger(L, 2) + 1;
  if (i >= size->count) return 0;
  lua_pushinteger(L, i);
  lua_pushinteger(L, size->data[i]);
  return 2;
}

/* for i, d in pairs(size) do: i counts from 0 */
static int size_pairs(lua_State *L) {
  check_size(L, 1);
  lua_pushcfunction(L, next_pair);
  lua_pushvalue(L, 1);
  return 2;
}

/* a .. b and a + b: one Size of both; a text on either side of `..` gives text. */
static int size_concat(lua_State *L) {
  for (int i = 1; i <= 2; i++) {
    int type = lua_type(L, i);
    if (type != LUA_TSTRING && type != LUA_TNUMBER) continue;
    luaL_tolstring(L, 1, NULL);
    luaL_tolstring(L, 2, NULL);
    lua_concat(L, 2);
    return 1;
  }
  const Size *a = size_from(L, 1), *b = size_from(L, 2);
  Size *both = new_size(L, a->count + b->count);
  memcpy(both->data, a->data, (size_t)a->count * sizeof(int64_t));
  memcpy(both->data + a->count, b->data, (size_t)b->count * sizeof(int64_t));
  return 1;
}

static int size_add(lua_State *L) {
  char buf[128];
  for (int i = 1; i <= 2; i++)
    if (lua_type(L, i) != LUA_TTABLE && !lpvm_test_class(L, i, &size_class))
      lpvm_error(L, "torch.Size",
                 "can only be joined with a torch.Size or a list of integers, got %s",
                 lpvm_describe(L, i, buf, sizeof buf));
  return size_concat(L);
}

static const luaL_Reg methods[] = {
    {"numel", size_numel},    {"unpack", size_unpack},
    {"tolist", size_totable}, {"count", size_count},
    {"index", size_position}, {"iter", size_iter},
    {"len", size_len},        {NULL, NULL},
};

/* size["1:3"]: the part the slice text names. */
static int size_slice(lua_State *L, const Size *size, const char *text, size_t length) {
  char error[256];
  size_t pos = 0;
  LpvmItem item, rest;
  int got = lpvm_next_item(text, length, &pos, &item, error, sizeof error);
  if (got < 0) lpvm_error(L, "torch.Size", "%s", error);
  if (!got || item.kind != LPVM_ITEM_SLICE ||
      lpvm_next_item(text, length, &pos, &rest, error, sizeof error))
    lpvm_error(L, "torch.Size", "has no field or slice '%s'", text);
  int64_t n = size->count, start = item.has_start ? item.start : 0,
          stop = item.has_stop ? item.stop : n;
  if (start < 0) start = start + n < 0 ? 0 : start + n;
  if (stop < 0) stop = stop + n < 0 ? 0 : stop + n;
  if (stop > n) stop = n;
  int64_t count = start < stop ? (stop - start + item.step - 1) / item.step : 0;
  Size *part = new_size(L, count);
  for (int64_t i = 0; i < count; i++) part->data[i] = size->data[start + i * item.step];
  return 1;
}

static int size_index(lua_State *L) {
  const Size *size = check_size(L, 1);
  char buf[128];
  int is_int;
  if (lua_type(L, 2) == LUA_TSTRING) {
    size_t length;
    const char *key = lua_tolstring(L, 2, &length);
    for (const luaL_Reg *m = methods; m->name; m++) {
      if (strcmp(key, m->name)) continue;
      lua_pushcfunction(L, m->func);
      return 1;
    }
    return size_slice(L, size, key, length);
  }
  int64_t i = lua_tointegerx(L, 2, &is_int);
  if (!is_int)
    lpvm_error(L, "torch.Size", "indices must be integers or slice text, got %s",
               lpvm_describe(L, 2, buf, sizeof buf));
  if (i < -size->count || i >= size->count)
    lpvm_error(L, "torch.Size",
               "index %lld is out of range for %d dimensions (they count from 0)",
               (long long)i, (int)size->count);
  lua_pushinteger(L, size->data[i < 0 ? i + size->count : i]);
  return 1;
}

static int size_newindex(lua_State *L) {
  lpvm_error(
      L, "torch.Size",
      "is immutable; use x:reshape(...) or x:resize_(...) to change a tensor's shape");
}

void lpvm_open_size(lua_State *L, int torch_index) {
  static const luaL_Reg meta[] = {
      {"__tostring", size_tostring},
      {"__eq", size_eq},
      {"__len", size_len},
      {"__pairs", size_pairs},
      {"__concat", size_concat},
      {"__add", size_add},
      {"__index", size_index},
      {"__newindex", size_newindex},
      {NULL, NULL},
  };
  int torch = lua_absindex(L, torch_index);
  lpvm_push_class(L, &size_class);
  luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
  lua_pushcfunction(L, torch_size);
  lua_setfield(L, torch, "Size");
}
