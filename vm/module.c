/* Opens the library in a Lua state: `require "lampad"` (luaopen_lampad) finds the embedded Lua files,
 * whose first asks for the core table (luaopen_lampad_core):
 *   core.torch     functions: schema ops and those of vm/
 *   core.methods   tensor methods
 *   core.modules   functions of schema modules: core.modules["nn.functional"].relu
 *   core.op_info   name -> schema rows, for help and tools; core.op_names() lists them
 * and the small functions of gz.c, json.c, safetensors.c, npy.c, sys.c and memory.c. */
#include <string.h>
#include "core/parallel.h"
#include "embed.h"
#include "lampad/memory.h"
#include "state.h"
#include "vm.h"

void lpvm_open_gz(lua_State *L, int core_index);
void lpvm_open_folder(lua_State *L, int core_index);
void lpvm_open_image(lua_State *L, int core_index);
void lpvm_open_pixels(lua_State *L, int core_index);
void lpvm_open_json(lua_State *L, int core_index);
void lpvm_open_stores(lua_State *L, int core_index);
void lpvm_open_safetensors(lua_State *L, int core_index);
void lpvm_open_npy(lua_State *L, int core_index);
void lpvm_open_sys(lua_State *L, int core_index);
void lpvm_open_memory(lua_State *L, int core_index);
void lpvm_open_checkpoint(lua_State *L, int core_index);
void lpvm_open_worker(lua_State *L, int core_index);
void lpvm_open_stream(lua_State *L, int core_index);
void lpvm_open_autograd_core(lua_State *L, int core_index);
void lpvm_open_scopes_core(lua_State *L, int core_index);
void lpvm_open_vmap_core(lua_State *L, int core_index);

static int get_num_threads(lua_State *L) {
  lua_pushinteger(L, lp_num_threads());
  return 1;
}
static int set_num_threads(lua_State *L) {
  char buf[96];
  if (!lua_isinteger(L, 1) || lua_tointeger(L, 1) < 1 || lua_tointeger(L, 1) > 4096)
    lpvm_error(L, "set_num_threads", "expected a positive number of threads, got %s",
               lpvm_describe(L, 1, buf, sizeof buf));
  lp_set_num_threads((int)lua_tointeger(L, 1));
  return 0;
}

/* core.memory_stats() -> table of the allocator's figures. */
static int memory_stats(lua_State *L) {
  LpMemoryStats s;
  lp_memory_stats((LpDevice){LP_CPU, 0}, &s);
  lua_createtable(L, 0, 8);
  const struct { const char *name; uint64_t value; } fields[] = {
      {"live_bytes", s.live_bytes}, {"peak_bytes", s.peak_bytes}, {"cached_bytes", s.cached_bytes},
      {"largest_cached_bytes", s.largest_cached_bytes}, {"alloc_count", s.alloc_count},
      {"hit_count", s.hit_count}, {"live_count", s.live_count}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    lua_pushinteger(L, (lua_Integer)fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
  return 1;
}
static int memory_reset_peak(lua_State *L) {
  (void)L;
  lp_memory_reset_peak((LpDevice){LP_CPU, 0});
  return 0;
}
static int memory_empty_cache(lua_State *L) {
  (void)L;
  lp_memory_empty_cache();
  return 0;
}
static int memory_set_limit(lua_State *L) {
  lp_memory_set_limit((size_t)luaL_checkinteger(L, 1));
  return 0;
}

/* core.memory_fail_after(n): the n-th next allocation fails once; -1: off. For tests. */
static int memory_fail_after(lua_State *L) {
  lp_memory_fail_after(luaL_checkinteger(L, 1));
  return 0;
}

/* One schema row as a table. */
static void push_op(lua_State *L, const LpOpInfo *op) {
  lua_createtable(L, 0, 10);
  const struct { const char *name, *text; } fields[] = {
      {"name", op->name}, {"overload", op->overload}, {"module", op->module}, {"signature", op->signature},
      {"source", op->source}, {"doc", op->doc}, {"example", op->example}, {"aliases", op->aliases},
      {"cases", op->cases}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    lua_pushstring(L, fields[i].text);
    lua_setfield(L, -2, fields[i].name);
  }
  static const struct { const char *name; unsigned bit; } variants[] = {
      {"function", LP_VARIANT_FUNCTION}, {"method", LP_VARIANT_METHOD}, {"inplace", LP_VARIANT_INPLACE},
      {"out", LP_VARIANT_OUT}, {"internal", LP_VARIANT_INTERNAL}};
  lua_createtable(L, 0, 5);
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
    lua_pushboolean(L, (op->variants & variants[i].bit) != 0);
    lua_setfield(L, -2, variants[i].name);
  }
  lua_setfield(L, -2, "variants");
  lua_pushboolean(L, op->differentiable);
  lua_setfield(L, -2, "differentiable");
}

static bool names_op(const LpOpInfo *op, const char *name) {
  if (strcmp(op->name, name) == 0) return true;
  const size_t n = strlen(name);
  for (const char *at = strstr(op->aliases, name); at; at = strstr(at + 1, name))
    if ((at == op->aliases || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
  return n > 1 && name[n - 1] == '_' && op->call_inplace && strlen(op->name) == n - 1 &&
         strncmp(op->name, name, n - 1) == 0;
}

/* core.op_info(name) -> list of rows (overloads and modules), empty when there is none. */
static int op_info(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  int count, found = 0;
  const LpOpInfo *const *ops = lp_op_db(&count);
  lua_newtable(L);
  for (int i = 0; i < count; i++) {
    if (!names_op(ops[i], name)) continue;
    push_op(L, ops[i]);
    lua_rawseti(L, -2, ++found);
  }
  return 1;
}

/* core.op_names() -> list of "module:name". */
static int op_names(lua_State *L) {
  int count;
  const LpOpInfo *const *ops = lp_op_db(&count);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_pushfstring(L, "%s:%s", ops[i]->module, ops[i]->name);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

LP_API int luaopen_lampad_core(lua_State *L) {
  lua_settop(L, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, "lampad.core");
  if (!lua_isnil(L, -1)) return 1;
  lpvm_open_embed(L);
  lpvm_open_errors(L);
  lua_newtable(L);
  const int core = lua_gettop(L);
  lua_newtable(L);
  const int torch = lua_gettop(L);
  lua_newtable(L);
  const int methods = lua_gettop(L);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, "lampad.modules");
  lua_setfield(L, core, "modules");
  lua_pushvalue(L, torch);
  lua_setfield(L, LUA_REGISTRYINDEX, "lampad.torch");
  lua_pushvalue(L, torch);
  lua_setfield(L, core, "torch");
  lua_pushvalue(L, methods);
  lua_setfield(L, core, "methods");
  lpvm_open_ops(L, torch, methods);
  lpvm_open_box(L, torch, methods);
  lpvm_open_types(L, torch, methods);
  lpvm_open_convert(L, torch, methods);
  lpvm_open_autograd(L, torch, methods);
  lpvm_open_scopes(L, torch, methods);
  lpvm_open_autograd_core(L, core);
  lpvm_open_scopes_core(L, core);
  lpvm_open_vmap_core(L, core);
  lpvm_open_gz(L, core);
  lpvm_open_folder(L, core);
  lpvm_open_image(L, core);
  lpvm_open_json(L, core);
  lpvm_open_safetensors(L, core);
  lpvm_open_npy(L, core);
  lpvm_open_pixels(L, core);
  lpvm_open_stores(L, core);
  lpvm_open_sys(L, core);
  lpvm_open_memory(L, core);
  lpvm_open_checkpoint(L, core);
  lpvm_open_worker(L, core);
  lpvm_open_stream(L, core);
  lua_settop(L, methods);
  static const luaL_Reg functions[] = {{"get_num_threads", get_num_threads},
                                       {"set_num_threads", set_num_threads}, {NULL, NULL}};
  static const luaL_Reg core_functions[] = {{"memory_stats", memory_stats},
                                            {"memory_reset_peak", memory_reset_peak},
                                            {"memory_empty_cache", memory_empty_cache},
                                            {"memory_set_limit", memory_set_limit},
                                            {"memory_fail_after", memory_fail_after},
                                            {"op_info", op_info}, {"op_names", op_names}, {NULL, NULL}};
  lua_pushvalue(L, torch);
  luaL_setfuncs(L, functions, 0);
  lua_pushliteral(L, LAMPAD_VERSION);
  lua_setfield(L, -2, "__version__");
  lua_pushvalue(L, core);
  luaL_setfuncs(L, core_functions, 0);
  lua_pushvalue(L, core);
  lua_setfield(L, LUA_REGISTRYINDEX, "lampad.core");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, core);
  lua_setfield(L, -2, "lampad.core");
  lua_settop(L, core);
  lpvm_open_collector(L);
  return 1;
}

/* `require "lampad"` from stock Lua: the C module of that name runs the embedded file of that name. */
LP_API int luaopen_lampad(lua_State *L) {
  lua_settop(L, 0);
  luaopen_lampad_core(L);
  if (!lpvm_load_embedded(L, "lampad")) return luaL_error(L, "lampad: the embedded library is missing");
  lua_pushliteral(L, "lampad"); /* the chunk's arguments: module name, file name */
  lua_insert(L, -2);
  lua_call(L, 2, 1);
  return 1;
}
