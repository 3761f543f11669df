/* The Lua libraries carried inside the binary: data written by scripts/gen/embed.lua at build time,
 * and the `require` searcher that finds them. */
#ifndef LP_VM_EMBED_H
#define LP_VM_EMBED_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct LpEmbedded {
  const char *name;   /* module name: "lampad.nn" */
  const char *source; /* `size` bytes of Lua text */
  size_t size;
  const char *chunk; /* chunk name: "@lampad/nn/init.lua" */
} LpEmbedded;

/* Sorted by name. */
extern const LpEmbedded lp_embedded[];
extern const size_t lp_embedded_count;

/* Installs the searcher for embedded modules right behind package.preload; a second call does
 * nothing. When the environment variable LAMPAD_LUA_DIR names a folder, the files in it
 * (DIR/lampad/nn.lua or DIR/lampad/nn/init.lua) win over the embedded ones: for development. */
void lpvm_open_embed(lua_State *L);

/* Loads the module's chunk without running it and pushes it, with its chunk name above it. False,
 * pushing nothing, when there is no such module. Raises on a syntax error. */
bool lpvm_load_embedded(lua_State *L, const char *name);

#endif
