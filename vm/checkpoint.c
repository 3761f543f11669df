/* Checkpoint files for lampad.serialization: trees of values (lampad/checkpoint.h) as
 * userdata whose values Lua asks for by number. Nothing here is a public name. */
#include "lampad/checkpoint.h"
#include <stdio.h>
#include "types.h"

#define TREE "lampad.CheckpointTree"

static const char *const kinds[] = {
    "none",   "bool",   "int",          "bigint", "float",   "complex",
    "string", "bytes",  "list",         "tuple",  "set",     "frozenset",
    "size",   "dict",   "ordered_dict", "tensor", "storage", "dtype",
    "device", "global", "record",       NULL};

typedef struct TreeBox {
  LpIoTree *tree;
} TreeBox;

static int close_tree(lua_State *L) {
  TreeBox *box = luaL_checkudata(L, 1, TREE);
  lp_io_tree_free(box->tree);
  box->tree = NULL;
  return 0;
}

static TreeBox *new_box(lua_State *L) {
  TreeBox *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->tree = NULL;
  if (luaL_newmetatable(L, TREE)) {
    lua_pushcfunction(L, close_tree);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return box;
}

static LpIoTree *check_tree(lua_State *L) {
  TreeBox *box = luaL_checkudata(L, 1, TREE);
  luaL_argcheck(L, box->tree, 1, "the tree was closed");
  return box->tree;
}

static LpIoValue *check_value(lua_State *L, LpIoTree *tree, int index) {
  lua_Integer number = luaL_checkinteger(L, index);
  LpIoValue *v = number >= 0 ? lp_io_tree_value(tree, (size_t)number) : NULL;
  luaL_argcheck(L, v, index, "no such value");
  return v;
}

/* nil and the engine's message; an interrupt is raised instead. */
static int push_failure(lua_State *L) {
  if (lp_last_error()->code == LP_ERR_INTERRUPT) return lpvm_raise(L, NULL);
  lua_pushnil(L);
  lua_pushstring(L, lp_last_error()->message);
  return 2;
}

/* checkpoint_open(path, mmap), checkpoint_read(bytes) -> tree, or nil and a message */
static int open_path(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  const bool use_mmap = lua_toboolean(L, 2);
  lpvm_collect_pressure(L);
  TreeBox *box = new_box(L);
  box->tree = lp_checkpoint_open(path, use_mmap);
  return box->tree ? 1 : push_failure(L);
}

/* checkpoint_describe(path) -> tree whose tensors were not read, or nil and a message */
static int describe(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  TreeBox *box = new_box(L);
  box->tree = lp_checkpoint_describe(path);
  return box->tree ? 1 : push_failure(L);
}

/* pickle_open(path) -> tree, or nil and a message */
static int open_pickle(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lpvm_collect_pressure(L);
  TreeBox *box = new_box(L);
  box->tree = lp_pickle_open(path);
  return box->tree ? 1 : push_failure(L);
}

static int read_bytes(lua_State *L) {
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  lpvm_collect_pressure(L);
  TreeBox *box = new_box(L);
  box->tree = lp_checkpoint_read(bytes, n);
  return box->tree ? 1 : push_failure(L);
}

/* checkpoint_new() -> an empty tree */
static int new_tree(lua_State *L) {
  TreeBox *box = new_box(L);
  box->tree = lp_io_tree_new();
  return box->tree ? 1 : lpvm_raise(L, NULL);
}

/* checkpoint_root(tree) -> number, format, number of what a described file says of itself
 * or nil */
static int root(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  luaL_argcheck(L, lp_io_tree_root(tree), 1, "an empty tree");
  lua_pushinteger(L, lp_io_tree_root(tree)->number);
  lua_pushstring(L, lp_io_tree_format(tree));
  if (!lp_io_tree_info(tree)) return 2;
  lua_pushinteger(L, lp_io_tree_info(tree)->number);
  return 3;
}

/* checkpoint_globals(tree) -> {["module.name"] = times}: the classes and functions that
 * the file names anywhere and that are inert */
static int globals(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  const LpIoValue *v;
  lua_newtable(L);
  for (size_t i = 0; (v = lp_io_tree_value(tree, i)); i++) {
    const LpIoValue *named = v->kind == LP_IO_RECORD ? v->as.record.callee : v;
    if (!named || named->kind != LP_IO_GLOBAL || named->as.global.entry) continue;
    lua_pushfstring(L, "%s.%s", named->as.global.module, named->as.global.name);
    lua_pushvalue(L, -1);
    lua_Integer times = lua_rawget(L, -3) == LUA_TNUMBER ? lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    lua_pushinteger(L, times + (v->kind == LP_IO_RECORD));
    lua_rawset(L, -3);
  }
  return 1;
}

/* --- reading values
 * -------------------------------------------------------------------- */

static void push_number(lua_State *L, const LpIoValue *v) {
  if (v)
    lua_pushinteger(L, v->number);
  else
    lua_pushnil(L);
}

static void push_text(lua_State *L, const LpIoValue *v) {
  if (v)
    lua_pushlstring(L, v->as.text.data, v->as.text.size_bytes);
  else
    lua_pushnil(L);
}

/* The float next to an integer of any length. */
static double bigint_value(const LpIoValue *v) {
  const uint8_t *bytes = (const uint8_t *)v->as.text.data;
  const size_t n = v->as.text.size_bytes;
  double result = (int8_t)bytes[n - 1];
  for (size_t i = n - 1; i-- > 0;) result = result * 256 + bytes[i];
  return result;
}

static int push_record(lua_State *L, const LpIoValue *v) {
  push_number(L, v->as.record.callee);
  push_number(L, v->as.record.args);
  push_number(L, v->as.record.kwargs);
  push_number(L, v->as.record.state);
  push_number(L, v->as.record.list);
  push_number(L, v->as.record.dict);
  return 7;
}

static int push_items(lua_State *L, const LpIoValue *v) {
  const size_t n = v->as.items.count;
  luaL_argcheck(L, n < INT32_MAX, 2, "too many items");
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushinteger(L, v->as.items.data[i]->number);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  push_number(L, v->as.items.attributes);
  return 3;
}

/* checkpoint_node(tree, number) -> kind, and what the kind has:
 *   bool, int, bigint, float, complex, string, bytes, dtype, device   the value
 *   list, tuple, set, frozenset, size, dict, ordered_dict   list of numbers, attributes
 *   tensor, storage   tensor, flags, dtype, device or nil, attributes
 *   global   "module.name"
 *   record   callee, args, kwargs, state, list, dict: numbers or nil */
static int node(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  const LpIoValue *v = check_value(L, tree, 2);
  LpTensor *t;
  lua_pushstring(L, kinds[v->kind]);
  switch (v->kind) {
  case LP_IO_NONE: return 1;
  case LP_IO_BOOL: lua_pushboolean(L, v->as.i != 0); return 2;
  case LP_IO_INT: lua_pushinteger(L, v->as.i); return 2;
  case LP_IO_BIGINT: lua_pushnumber(L, bigint_value(v)); return 2;
  case LP_IO_FLOAT: lua_pushnumber(L, v->as.f); return 2;
  case LP_IO_COMPLEX: lpvm_push_complex(L, v->as.c[0], v->as.c[1]); return 2;
  case LP_IO_STRING:
  case LP_IO_BYTES:
  case LP_IO_DEVICE: push_text(L, v); return 2;
  case LP_IO_DTYPE: lpvm_push_dtype(L, (LpDtype)v->dtype); return 2;
  case LP_IO_TENSOR:
  case LP_IO_STORAGE:
    /* Two values may be one tensor with other flags. */
    if (!(t = lp_io_own_tensor(v))) return lpvm_raise(L, NULL);
    lpvm_push_tensor(L, t);
    lua_pushinteger(L, v->flags);
    lpvm_push_dtype(L, lp_dtype(t));
    push_text(L, v->as.tensor.device);
    push_number(L, v->as.tensor.attributes);
    return 6;
  case LP_IO_GLOBAL:
    lua_pushfstring(L, "%s.%s", v->as.global.module, v->as.global.name);
    return 2;
  case LP_IO_RECORD: return push_record(L, v);
  default: return push_items(L, v);
  }
}

/* --- building trees
 * -------------------------------------------------------------------- */

static int push_new(lua_State *L, const LpIoValue *v) {
  if (!v) return lpvm_raise(L, NULL);
  lua_pushinteger(L, v->number);
  return 1;
}

static LpIoValue *add_size(LpIoTree *tree, LpInts sizes) {
  LpIoValue *v = lp_io_new(tree, LP_IO_SIZE);
  for (int64_t i = 0; v && i < sizes.count; i++) {
    LpIoValue *item = lp_io_new(tree, LP_IO_INT);
    if (!item) return NULL;
    item->as.i = sizes.data[i];
    if (!lp_io_append(tree, v, item)) return NULL;
  }
  return v;
}

static LpIoValue *add_device(LpIoTree *tree, LpDevice device) {
  char text[16];
  const int n = device.type == LP_CUDA
                    ? snprintf(text, sizeof text, "cuda:%d", device.index)
                    : snprintf(text, sizeof text, "cpu");
  return lp_io_text(tree, LP_IO_DEVICE, text, (size_t)n);
}

/* checkpoint_add(tree, value, is_bytes) -> number; nil when it is no value of a simple
 * kind. */
static int add(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  LpIoValue *v;
  LpDtype dtype;
  LpDevice device;
  LpInts sizes;
  size_t n;
  const char *text;
  double re, im;
  switch (lua_type(L, 2)) {
  case LUA_TNIL: return push_new(L, lp_io_new(tree, LP_IO_NONE));
  case LUA_TBOOLEAN:
    if ((v = lp_io_new(tree, LP_IO_BOOL))) v->as.i = lua_toboolean(L, 2);
    return push_new(L, v);
  case LUA_TNUMBER:
    v = lp_io_new(tree, lua_isinteger(L, 2) ? LP_IO_INT : LP_IO_FLOAT);
    if (v && lua_isinteger(L, 2))
      v->as.i = lua_tointeger(L, 2);
    else if (v)
      v->as.f = lua_tonumber(L, 2);
    return push_new(L, v);
  case LUA_TSTRING:
    text = lua_tolstring(L, 2, &n);
    return push_new(
        L, lp_io_text(tree, lua_toboolean(L, 3) ? LP_IO_BYTES : LP_IO_STRING, text, n));
  case LUA_TUSERDATA:
    if (lpvm_to_complex(L, 2, &re, &im)) {
      if ((v = lp_io_new(tree, LP_IO_COMPLEX))) v->as.c[0] = re, v->as.c[1] = im;
      return push_new(L, v);
    }
    if (lpvm_to_size(L, 2, &sizes)) return push_new(L, add_size(tree, sizes));
    if (lpvm_to_dtype(L, 2, &dtype)) {
      if ((v = lp_io_new(tree, LP_IO_DTYPE))) v->dtype = (int8_t)dtype;
      return push_new(L, v);
    }
    if (lpvm_to_device(L, 2, &device)) return push_new(L, add_device(tree, device));
    /* fall through */
  default: lua_pushnil(L); return 1;
  }
}

/* checkpoint_add_tensor(tree, tensor, flags) -> number */
static int add_tensor(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  LpTensor *t = lpvm_check_tensor(L, 2, "save");
  return push_new(L, lp_io_tensor(tree, t, (int)luaL_checkinteger(L, 3)));
}

/* checkpoint_add_storage(tree, row, is_untyped) -> number; row: a tensor over all of it
 */
static int add_storage(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  LpTensor *t = lpvm_check_tensor(L, 2, "save");
  LpIoValue *v = lp_io_tensor(tree, t, lua_toboolean(L, 3) ? LP_IO_UNTYPED : 0);
  if (v) v->kind = LP_IO_STORAGE;
  if (v) v->dtype = (int8_t)lp_dtype(t);
  return push_new(L, v);
}

/* checkpoint_add_container(tree, kind) -> number */
static int add_container(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  const int kind = luaL_checkoption(L, 2, NULL, kinds);
  luaL_argcheck(L, kind >= LP_IO_LIST && kind <= LP_IO_ORDERED_DICT, 2, "no container");
  return push_new(L, lp_io_new(tree, (LpIoKind)kind));
}

static LpIoValue *check_container(lua_State *L, LpIoTree *tree) {
  LpIoValue *v = check_value(L, tree, 2);
  luaL_argcheck(L, v->kind >= LP_IO_LIST && v->kind <= LP_IO_ORDERED_DICT, 2,
                "no container");
  return v;
}

/* checkpoint_append(tree, container, number, ...) */
static int append(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  LpIoValue *v = check_container(L, tree);
  for (int i = 3; i <= lua_gettop(L); i++)
    if (!lp_io_append(tree, v, check_value(L, tree, i))) return lpvm_raise(L, NULL);
  return 0;
}

/* checkpoint_attributes(tree, container, number) */
static int attributes(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  check_container(L, tree)->as.items.attributes = check_value(L, tree, 3);
  return 0;
}

/* checkpoint_write(tree, number, path) -> true, or nil and a message */
static int write_path(lua_State *L) {
  LpIoTree *tree = check_tree(L);
  lp_io_tree_set_root(tree, check_value(L, tree, 2));
  if (!lp_checkpoint_write(luaL_checkstring(L, 3), tree)) return push_failure(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_checkpoint(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"checkpoint_open", open_path},
      {"checkpoint_read", read_bytes},
      {"checkpoint_describe", describe},
      {"checkpoint_globals", globals},
      {"pickle_open", open_pickle},
      {"checkpoint_new", new_tree},
      {"checkpoint_close", close_tree},
      {"checkpoint_root", root},
      {"checkpoint_node", node},
      {"checkpoint_add", add},
      {"checkpoint_add_tensor", add_tensor},
      {"checkpoint_add_storage", add_storage},
      {"checkpoint_add_container", add_container},
      {"checkpoint_append", append},
      {"checkpoint_attributes", attributes},
      {"checkpoint_write", write_path},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
