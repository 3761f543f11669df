/* The Lua state of the `lampad` command, and the memory of its objects. */
#ifndef LP_REPL_MEMORY_H
#define LP_REPL_MEMORY_H

#include <lua.h>

/* As luaL_newstate; NULL when memory is out. */
lua_State *repl_new_state(void);
/* As lua_close. */
void repl_close_state(lua_State *L);

#endif
