/* The read-eval-print loop (repl.h). Reading is line.c's, Ctrl-C interrupt.c's; what entries mean, how
 * values look and what completes a name is written in Lua, in lampad.console. */
#include "repl.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "interrupt.h"
#include "line.h"
#include "report.h"

#define SLOW_SECONDS 0.5 /* entries that take longer show their time */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Pushes lampad.console's function; the module is loaded before the first prompt. */
static void push_console(lua_State *L, const char *function) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "lampad.console");
  lua_getfield(L, -1, function);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* --- what line.c asks ------------------------------------------------------------------------ */

static bool entry_is_complete(void *ctx, const char *text) {
  lua_State *L = ctx;
  push_console(L, "is_complete");
  lua_pushstring(L, text);
  bool complete = lua_pcall(L, 1, 1, 0) != LUA_OK || lua_toboolean(L, -1);
  lua_pop(L, 1);
  return complete;
}

static char **completions(void *ctx, const char *text, size_t end, size_t *start) {
  lua_State *L = ctx;
  int top = lua_gettop(L);
  push_console(L, "complete");
  lua_pushlstring(L, text, end);
  char **list = NULL;
  if (lua_pcall(L, 1, 2, 0) == LUA_OK && lua_istable(L, -2)) {
    size_t count = (size_t)luaL_len(L, -2);
    *start = (size_t)lua_tointeger(L, -1);
    list = count ? calloc(count + 1, sizeof *list) : NULL;
    for (size_t i = 0; list && i < count; i++) {
      lua_rawgeti(L, -2, (lua_Integer)i + 1);
      const char *candidate = lua_tostring(L, -1);
      list[i] = strdup(candidate ? candidate : "");
      lua_pop(L, 1);
      if (!list[i]) break;
    }
  }
  lua_settop(L, top);
  return list;
}

/* --- places in the user's home ------------------------------------------------------------------ */

/* $VARIABLE/lampad/name, or ~/fallback/lampad/name; false when there is no home or no room. */
static bool home_path(char *path, size_t room, const char *variable, const char *fallback, const char *name) {
  const char *base = getenv(variable), *home = getenv("HOME");
  int length = -1;
  if (base && base[0] == '/') length = snprintf(path, room, "%s/lampad/%s", base, name);
  else if (home && home[0] == '/') length = snprintf(path, room, "%s/%s/lampad/%s", home, fallback, name);
  return length > 0 && (size_t)length < room;
}

/* ~/.config/lampad/init.lua, when there is one. */
static void run_startup_file(lua_State *L) {
  char path[4096];
  if (!home_path(path, sizeof path, "XDG_CONFIG_HOME", ".config", "init.lua") || access(path, R_OK) != 0) return;
  if (luaL_loadfilex(L, path, "t") != LUA_OK || interrupt_call(L, 0, 0) != LUA_OK) report_error(L, true);
}

/* --- one entry ------------------------------------------------------------------------------------ */

/* Evaluates one complete entry and shows its values; false when it failed. */
static bool evaluate(lua_State *L, const char *text) {
  int top = lua_gettop(L);
  double started = now();
  push_console(L, "compile");
  lua_pushstring(L, text);
  if (interrupt_call(L, 1, 3) != LUA_OK) goto failed;
  if (lua_isnil(L, top + 1)) { /* nil, message */
    lua_settop(L, top + 2);
    goto failed;
  }
  bool silent = lua_toboolean(L, top + 2);
  lua_settop(L, top + 1);
  if (interrupt_call(L, 0, LUA_MULTRET) != LUA_OK) goto failed;
  fflush(stdout);
  int n_results = lua_gettop(L) - top;
  if (n_results > 0) {
    luaL_checkstack(L, n_results + 4, "too many results to show");
    push_console(L, "show");
    lua_insert(L, top + 1);
    lua_pushboolean(L, silent);
    lua_insert(L, top + 2);
    if (interrupt_call(L, n_results + 1, 0) != LUA_OK) goto failed;
  }
  double seconds = now() - started;
  if (line_is_terminal() && seconds >= SLOW_SECONDS) {
    bool colours = report_colours(stdout);
    printf("%s(%.*f s)%s\n", colours ? "\033[2m" : "", seconds < 10 ? 2 : 1, seconds, colours ? "\033[0m" : "");
  }
  lua_settop(L, top);
  return true;

failed:
  if (interrupt_is_cause(L)) {
    /* The user knows where they pressed it; the stack would only push the screen away. */
    const char *message = lua_tostring(L, -1), *end = strstr(message, "\nstack traceback:");
    lua_pushlstring(L, message, end ? (size_t)(end - message) : strlen(message));
  }
  report_error(L, true);
  lua_settop(L, top);
  return false;
}

static bool is_complete_enough(lua_State *L, const char *text) {
  return line_is_multiline() || entry_is_complete(L, text);
}

/* Appends a line to the entry read so far; takes `line` over. NULL when out of memory. */
static char *join_lines(char *entry, char *line) {
  if (!entry) return line;
  size_t first = strlen(entry), second = strlen(line);
  char *joined = realloc(entry, first + second + 2);
  if (joined) {
    joined[first] = '\n';
    memcpy(joined + first + 1, line, second + 1);
  } else {
    free(entry);
  }
  free(line);
  return joined;
}

/* console.terminal and console.width: may colours be used, how wide is the screen. */
static void set_console_flags(lua_State *L) {
  struct winsize size;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "lampad.console");
  lua_pushboolean(L, isatty(STDOUT_FILENO));
  lua_setfield(L, -2, "terminal");
  bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20;
  lua_pushinteger(L, known ? size.ws_col : 80);
  lua_setfield(L, -2, "width");
  lua_pop(L, 2);
}

static void print_banner(void) {
  printf("Lampad %s (%s). Ctrl-D leaves, ?name shows help.\n", LAMPAD_VERSION, LUA_RELEASE);
}

bool repl_run(lua_State *L, const ReplOptions *options) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lampad.console");
  if (interrupt_call(L, 1, 0) != LUA_OK) {
    report_error(L, true);
    return false;
  }
  char history[4096];
  bool has_history = home_path(history, sizeof history, "XDG_STATE_HOME", ".local/state", "history");
  LineHost line_host = {entry_is_complete, completions, L};
  line_open(&line_host, has_history ? history : NULL);
  bool prompts = options->prompts || line_is_terminal();
  set_console_flags(L);
  if (prompts && !options->quiet) print_banner();
  if (prompts) run_startup_file(L);

  bool all_well = true;
  char *entry = NULL;
  for (;;) {
    char *line;
    fflush(stdout);
    LineStatus status = line_read(!prompts ? NULL : entry ? ">> " : "> ", &line);
    if (status == LINE_INTERRUPTED) {
      free(entry);
      entry = NULL;
      if (!prompts) {
        all_well = false;
        break;
      }
      continue;
    }
    if (status == LINE_OK) {
      entry = join_lines(entry, line);
      if (!entry) {
        fputs("error: out of memory for the entry\n", stderr);
        all_well = false;
        continue;
      }
      if (!is_complete_enough(L, entry)) continue;
      line_remember(entry);
    }
    if (entry && !evaluate(L, entry)) all_well = false;
    free(entry);
    entry = NULL;
    if (status == LINE_EOF) break;
  }
  if (line_is_terminal()) putchar('\n');
  line_close();
  return all_well || line_is_terminal();
}
