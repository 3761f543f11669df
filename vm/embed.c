/* Finds the Lua libraries that the binary carries (embed.h). */
#include "embed.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char open_key = 0; /* registry key: the searcher is installed */

static const LpEmbedded *find(const char *name) {
  size_t low = 0, high = lp_embedded_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, lp_embedded[middle].name);
    if (order == 0) return &lp_embedded[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

/* Pushes the chunk and the file's name when DIR holds the module. */
static bool load_from_folder(lua_State *L, const char *dir, const char *name) {
  static const char *const patterns[] = {"%s/%s.lua", "%s/%s/init.lua"};
  luaL_gsub(L, name, ".", "/");
  const char *relative = lua_tostring(L, -1);
  for (int i = 0; i < 2; i++) {
    char path[4096];
    int length = snprintf(path, sizeof path, patterns[i], dir, relative);
    if (length < 0 || (size_t)length >= sizeof path) continue;
    FILE *file = fopen(path, "r");
    if (!file) continue;
    fclose(file);
    lua_pop(L, 1);
    if (luaL_loadfilex(L, path, "t") != LUA_OK) lua_error(L);
    lua_pushstring(L, path);
    return true;
  }
  lua_pop(L, 1);
  return false;
}

bool lpvm_load_embedded(lua_State *L, const char *name) {
  /* Only our own names: a developer's folder must not shadow other people's modules. */
  if (strncmp(name, "lampad", 6) != 0 || (name[6] != '\0' && name[6] != '.')) return false;
  luaL_checkstack(L, 4, "loading a module");
  const char *dir = getenv("LAMPAD_LUA_DIR");
  if (dir && *dir && load_from_folder(L, dir, name)) return true;
  const LpEmbedded *module = find(name);
  if (!module) return false;
  if (luaL_loadbufferx(L, module->source, module->size, module->chunk, "t") != LUA_OK) lua_error(L);
  lua_pushstring(L, module->chunk + 1);
  return true;
}

/* package.searchers entry: returns the loader and its extra value, or a text why not. */
static int search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (lpvm_load_embedded(L, name)) return 2;
  lua_pushfstring(L, "no embedded module '%s'", name);
  return 1;
}

void lpvm_open_embed(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &open_key) != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE &&
      lua_getfield(L, -1, "searchers") == LUA_TTABLE) {
    for (lua_Integer i = luaL_len(L, -1) + 1; i > 2; i--) {
      lua_rawgeti(L, -1, i - 1);
      lua_rawseti(L, -2, i);
    }
    lua_pushcfunction(L, search);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 1);
  } else {
    luaL_error(L, "lampad needs the package library: open it (luaL_openlibs) before lampad");
  }
  lua_pop(L, 2);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &open_key);
}
