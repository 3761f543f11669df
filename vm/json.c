/* JSON text to and from Lua values, by jansson. Serves lampad.json, which documents the
 * mapping; nothing here is a public name. Everything jansson makes hangs on a guard, a
 * userdata that releases it, so any Lua call here may raise. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vm.h"

#define GUARD "lampad.json"
#define MAX_DEPTH 200
#define NOT_FINITE "$float"

typedef struct Guard {
  json_t *root;
  char *text;
} Guard;

/* Where the arguments of both functions are. */
enum { VALUE = 1, NULL_MARK = 2, ARRAY_MARK = 3, GUARD_AT = 4 };

static int free_guard(lua_State *L) {
  Guard *g = luaL_checkudata(L, 1, GUARD);
  json_decref(g->root);
  free(g->text);
  *g = (Guard){NULL, NULL};
  return 0;
}

static Guard *new_guard(lua_State *L) {
  lua_settop(L, ARRAY_MARK);
  Guard *g = lua_newuserdatauv(L, sizeof *g, 0);
  *g = (Guard){NULL, NULL};
  if (luaL_newmetatable(L, GUARD)) {
    lua_pushcfunction(L, free_guard);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return g;
}

/* --- writing
 * --------------------------------------------------------------------------------- */

static int refuse(lua_State *L, const char *format, const char *detail) {
  lua_pushliteral(L, "json.encode: ");
  lua_pushfstring(L, format, detail);
  lua_concat(L, 2);
  return lua_error(L);
}

/* A table of a list: with elements, or marked as one. */
static bool is_array(lua_State *L, int index) {
  if (lua_rawlen(L, index) > 0) return true;
  if (!lua_getmetatable(L, index)) return false;
  const bool marked = lua_rawequal(L, -1, ARRAY_MARK);
  lua_pop(L, 1);
  return marked;
}

/* The decimal digits, from 15 to 17, that name x and no other number. */
static int digits_for(double x) {
  char text[40];
  for (int digits = 15; digits < 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, NULL) == x) return digits;
  }
  return 17;
}

/* JSON has no such numbers: {"$float": "NaN"}, read back by push_value. */
static json_t *not_finite(double x) {
  json_t *object = json_object();
  const char *name = isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity";
  if (object && json_object_set_new(object, NOT_FINITE, json_string(name)) != 0) {
    json_decref(object);
    return NULL;
  }
  return object;
}

/* A scalar, or an empty container for a table; owned. Raises with nothing owned. */
static json_t *make_value(lua_State *L, int index, int *digits) {
  json_t *value;
  size_t length;
  const char *text;
  if (lua_isnil(L, index) || lua_rawequal(L, index, NULL_MARK)) return json_null();
  switch (lua_type(L, index)) {
  case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, index));
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) {
      value = json_integer(lua_tointeger(L, index));
    } else {
      const double x = lua_tonumber(L, index);
      const int need = isfinite(x) ? digits_for(x) : 0;
      if (need > *digits) *digits = need;
      value = isfinite(x) ? json_real(x) : not_finite(x);
    }
    break;
  case LUA_TSTRING:
    text = lua_tolstring(L, index, &length);
    value = json_stringn(text, length);
    if (!value) refuse(L, "a string must be UTF-8 %s", "text");
    break;
  case LUA_TTABLE: value = is_array(L, index) ? json_array() : json_object(); break;
  default: refuse(L, "cannot write a %s", luaL_typename(L, index)); return NULL;
  }
  if (!value) refuse(L, "out of %s", "memory");
  return value;
}

static void fill(lua_State *L, json_t *container, int index, int depth, int *digits);

/* Takes the value at the top of the stack into the container, under the key when it is an
 * object. */
static void add(lua_State *L, json_t *container, const char *key, size_t key_length,
                int depth, int *digits) {
  json_t *value = make_value(L, lua_gettop(L), digits);
  const int status = key ? json_object_setn_new(container, key, key_length, value)
                         : json_array_append_new(container, value);
  if (status != 0)
    refuse(L, "%s", key ? "the key of an object must be UTF-8 text" : "out of memory");
  if (lua_istable(L, -1) && !lua_rawequal(L, -1, NULL_MARK))
    fill(L, value, lua_gettop(L), depth + 1, digits);
}

static void fill(lua_State *L, json_t *container, int index, int depth, int *digits) {
  if (depth > MAX_DEPTH) refuse(L, "%s", "tables are nested too deep");
  luaL_checkstack(L, 6, "json.encode");
  if (json_is_array(container)) {
    const lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= count; i++) {
      lua_rawgeti(L, index, i);
      add(L, container, NULL, 0, depth, digits);
      lua_pop(L, 1);
    }
    return;
  }
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      refuse(L, "the key of an object must be a string, got a %s", luaL_typename(L, -2));
    size_t length;
    const char *key = lua_tolstring(L, -2, &length);
    if (memchr(key, 0, length))
      refuse(L, "the key of an object must not hold %s", "a zero byte");
    add(L, container, key, length, depth, digits);
    lua_pop(L, 1);
  }
}

/* json_encode(value, null, array_metatable) -> text on one line, keys sorted. */
static int json_encode(lua_State *L) {
  Guard *g = new_guard(L);
  int digits = 15;
  g->root = make_value(L, VALUE, &digits);
  if (lua_istable(L, VALUE) && !lua_rawequal(L, VALUE, NULL_MARK))
    fill(L, g->root, VALUE, 0, &digits);
  g->text = json_dumps(g->root, JSON_SORT_KEYS | JSON_ENCODE_ANY |
                                    JSON_REAL_PRECISION((size_t)digits));
  if (!g->text) return refuse(L, "out of %s", "memory");
  lua_pushstring(L, g->text);
  free(g->text);
  g->text = NULL;
  json_decref(g->root);
  g->root = NULL;
  return 1;
}

/* --- reading
 * --------------------------------------------------------------------------------- */

/* Pushes the number that {"$float": ...} stands for; false for any other object. */
static bool push_not_finite(lua_State *L, const json_t *object) {
  const char *name = json_object_size(object) == 1
                         ? json_string_value(json_object_get(object, NOT_FINITE))
                         : NULL;
  if (!name) return false;
  if (strcmp(name, "NaN") == 0)
    lua_pushnumber(L, (lua_Number)NAN);
  else if (strcmp(name, "Infinity") == 0)
    lua_pushnumber(L, (lua_Number)INFINITY);
  else if (strcmp(name, "-Infinity") == 0)
    lua_pushnumber(L, -(lua_Number)INFINITY);
  else
    return false;
  return true;
}

/* jansson itself bounds the depth. */
static void push_value(lua_State *L, json_t *value) {
  luaL_checkstack(L, 6, "json.decode");
  switch (json_typeof(value)) {
  case JSON_TRUE: lua_pushboolean(L, 1); return;
  case JSON_FALSE: lua_pushboolean(L, 0); return;
  case JSON_INTEGER: lua_pushinteger(L, (lua_Integer)json_integer_value(value)); return;
  case JSON_REAL: lua_pushnumber(L, json_real_value(value)); return;
  case JSON_STRING:
    lua_pushlstring(L, json_string_value(value), json_string_length(value));
    return;
  case JSON_ARRAY: {
    const size_t count = json_array_size(value);
    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
      push_value(L, json_array_get(value, i));
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushvalue(L, ARRAY_MARK);
    lua_setmetatable(L, -2);
    return;
  }
  case JSON_OBJECT: {
    if (push_not_finite(L, value)) return;
    const char *key;
    size_t length;
    json_t *member;
    lua_newtable(L);
    json_object_keylen_foreach(value, key, length, member) {
      lua_pushlstring(L, key, length);
      push_value(L, member);
      lua_rawset(L, -3);
    }
    return;
  }
  default: lua_pushvalue(L, NULL_MARK);
  }
}

/* json_decode(text, null, array_metatable) -> value, or nil and what is wrong. */
static int json_decode(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, VALUE, &length);
  Guard *g = new_guard(L);
  json_error_t error;
  g->root = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (!g->root) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s (at byte %d of %I)", error.text, error.position,
                    (LUAI_UACINT)length);
    return 2;
  }
  push_value(L, g->root);
  json_decref(g->root);
  g->root = NULL;
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_json(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"json_encode", json_encode}, {"json_decode", json_decode}, {NULL, NULL}};
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
