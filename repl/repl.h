/* The read-eval-print loop. */
#ifndef LAMPAD_REPL_H
#define LAMPAD_REPL_H

#include <lua.h>
#include <stdbool.h>

typedef struct ReplOptions {
  bool quiet;   /* no banner */
  bool prompts; /* show prompts even when stdin is no terminal */
} ReplOptions;

/* Reads entries from stdin until its end, evaluates and shows them. False when an entry failed and
 * stdin is no terminal (a script piped in). */
bool repl_run(lua_State *L, const ReplOptions *options);

#endif
