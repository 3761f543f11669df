/* Ctrl-C: stops the running Lua code and the running op, and nothing else. */
#ifndef LAMPAD_INTERRUPT_H
#define LAMPAD_INTERRUPT_H

#include <lua.h>
#include <stdbool.h>

/* Takes SIGINT over and makes coroutine.resume and coroutine.wrap of this state note which coroutine
 * runs, because a debug hook reaches only the coroutine it is set on. Call from the main thread. */
void interrupt_open(lua_State *L);

/* lua_pcall with a traceback handler, during which Ctrl-C raises "interrupted" in the code called.
 * A second Ctrl-C keeps raising until this returns, so that a pcall in a loop cannot swallow it. */
int interrupt_call(lua_State *L, int n_args, int n_results);

/* True when Ctrl-C came during the last interrupt_call and its error is what is on top of the stack. */
bool interrupt_is_cause(lua_State *L);

/* Outside of interrupt_call (at the prompt): true when Ctrl-C came since the last question. */
bool interrupt_take_idle(void);

/* Ends the process the way a shell expects of one stopped by Ctrl-C: status 130. Does not return. */
void interrupt_exit(void) __attribute__((noreturn));

#endif
