/* Error texts (report.h). */
#include "report.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int report_traceback(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (!message) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) {
      lua_replace(L, 1);
    } else {
      lua_pushfstring(L, "(error value of type %s)", luaL_typename(L, 1));
      lua_replace(L, 1);
    }
    message = lua_tostring(L, 1);
  }
  if (strstr(message, "\nstack traceback:")) { /* a re-raised error keeps its first stack */
    lua_settop(L, 1);
    return 1;
  }
  luaL_traceback(L, L, message, 1);
  return 1;
}

bool report_colours(FILE *stream) {
  const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
  return !(no_color && *no_color) && term && strcmp(term, "dumb") != 0 && isatty(fileno(stream));
}

/* The stack without the frames of the executable, which are C functions at its end; NULL when
 * nothing but the main chunk is left in the REPL, where the message says it all. */
static const char *trim_stack(char *stack, bool in_repl) {
  static const char c_frame[] = "\n\t[C]: in ?";
  size_t length = strlen(stack), tail = sizeof c_frame - 1;
  while (length >= tail && strcmp(stack + length - tail, c_frame) == 0) stack[length -= tail] = '\0';
  if (!in_repl) return stack;
  int frames = 0;
  for (const char *at = strchr(stack, '\n'); at; at = strchr(at + 1, '\n')) {
    if (strncmp(at, "\n\t[C]:", 6) != 0) frames++;
  }
  return frames > 1 ? stack : NULL;
}

/* Asks lampad.console.hint for a "did you mean" line; pushes a string or nil. */
static void push_hint(lua_State *L, const char *message) {
  int top = lua_gettop(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lampad.console.hint");
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
    lua_pushstring(L, message);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) return;
  }
  lua_settop(L, top);
  lua_pushnil(L);
}

void report_error(lua_State *L, bool in_repl) {
  const char *text = luaL_tolstring(L, -1, NULL);
  const char *mark = strstr(text, "\nstack traceback:");
  size_t length = mark ? (size_t)(mark - text) : strlen(text);
  bool colours = report_colours(stderr);
  lua_pushlstring(L, text, length);
  const char *message = lua_tostring(L, -1);
  push_hint(L, message);
  const char *hint = lua_tostring(L, -1);
  fflush(stdout);
  fprintf(stderr, "%s%s%s %s\n", colours ? "\033[1;31m" : "", in_repl ? "error:" : "lampad:",
          colours ? "\033[0m" : "", message);
  if (hint) fprintf(stderr, "%s\n", hint);
  char *stack = mark ? strdup(mark + 1) : NULL;
  if (stack) {
    const char *trimmed = trim_stack(stack, in_repl);
    if (trimmed)
      fprintf(stderr, "%s%s%s\n", colours ? "\033[2m" : "", trimmed, colours ? "\033[0m" : "");
    free(stack);
  }
  fflush(stderr);
  lua_pop(L, 4);
}
