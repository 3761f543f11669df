/* Errors as the user sees them: tracebacks without the executable's own frames, colour on terminals. */
#ifndef LAMPAD_REPORT_H
#define LAMPAD_REPORT_H

#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

/* lua_pcall message handler: turns the error value into text and appends the stack. */
int report_traceback(lua_State *L);

/* Pops the error value and prints it to stderr: "lampad: message" (in_repl: "error: message"). */
void report_error(lua_State *L, bool in_repl);

/* May escape sequences be written to this stream? (a terminal, NO_COLOR unset, TERM not dumb) */
bool report_colours(FILE *stream);

#endif
