/* The `lampad` command: runs scripts, code and the REPL with the library at hand. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "embed.h"
#include "interrupt.h"
#include "memory.h"
#include "repl.h"
#include "report.h"
#include "threads.h"

int luaopen_lampad_core(lua_State *L); /* vm/module.c */

#define STATUS_USAGE 2

static const char usage[] =
    "usage: lampad [options] [script.lua [arguments]]\n"
    "       lampad help [NAME]     what an op or class does: lampad help torch.add\n"
    "       lampad doctor          the environment: versions, processor, memory, data sets\n"
    "       lampad inspect FILE    what a checkpoint holds: names, dtypes, shapes; nothing is loaded\n"
    "\n"
    "Without a script or -e, starts an interactive session; entries are read from stdin.\n"
    "\n"
    "  -e CODE          run CODE (several are run in turn)\n"
    "  -l NAME          require NAME into a global of that name (-l GLOBAL=NAME: of another)\n"
    "  -i               go on interactively after the script or CODE\n"
    "  -q               interactive without the banner\n"
    "  -v, --version    show versions\n"
    "  -h, --help       show this text\n"
    "  -                run stdin as a script\n"
    "  --               end of the options\n"
    "\n"
    "The globals torch, nn, F, optim and vision are there without a require. `arg` holds the arguments.\n";

typedef struct Options {
  int script; /* index in argv; argc when there is none */
  bool has_code, interactive, quiet, version, help;
  const char *problem; /* why the command line makes no sense */
  const char *problem_option;
} Options;

static Options parse_options(int argc, char **argv) {
  Options options = {.script = argc};
  for (int i = 1; i < argc; i++) {
    const char *option = argv[i];
    if (option[0] != '-' || option[1] == '\0') {
      options.script = i;
      break;
    }
    if (strcmp(option, "--") == 0) {
      options.script = i + 1;
      break;
    }
    if (strcmp(option, "--version") == 0) options.version = true;
    else if (strcmp(option, "--help") == 0) options.help = true;
    else if (option[1] == 'e' || option[1] == 'l') {
      if (option[1] == 'e') options.has_code = true;
      if (option[2] == '\0' && ++i >= argc) {
        options.problem = "needs a value";
        options.problem_option = option;
        break;
      }
    } else if (option[2] == '\0' && option[1] == 'i') options.interactive = true;
    else if (option[2] == '\0' && option[1] == 'q') options.quiet = true;
    else if (option[2] == '\0' && option[1] == 'v') options.version = true;
    else if (option[2] == '\0' && option[1] == 'h') options.help = true;
    else {
      options.problem = "is not an option";
      options.problem_option = option;
      break;
    }
  }
  return options;
}

/* --- globals ----------------------------------------------------------------------------------- */

static const struct {
  const char *global, *module;
} predefined[] = {
    {"torch", "lampad"},           {"nn", "lampad.nn"},         {"F", "lampad.nn.functional"},
    {"optim", "lampad.optim"},     {"vision", "lampad.vision"}, {NULL, NULL},
};

/* __index of the global table: loads a predefined global on its first use, so that code which needs
 * none of them starts at once. */
static int load_global(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  const char *name = lua_tostring(L, 2);
  for (int i = 0; predefined[i].global; i++) {
    if (strcmp(name, predefined[i].global) != 0) continue;
    lua_getglobal(L, "require");
    lua_pushstring(L, predefined[i].module);
    lua_call(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, 1);
    return 1;
  }
  return 0;
}

/* source(name) -> the embedded module's text, or nil. */
static int embedded_source(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (size_t i = 0; i < lp_embedded_count; i++) {
    if (strcmp(lp_embedded[i].name, name) != 0) continue;
    lua_pushlstring(L, lp_embedded[i].source, lp_embedded[i].size);
    return 1;
  }
  return 0;
}

/* Loader of lampad.embedded, for completion and help: the list of the names of the modules inside the
 * binary, with the function `source`. */
static int open_embedded_list(lua_State *L) {
  lua_createtable(L, (int)lp_embedded_count, 1);
  for (size_t i = 0; i < lp_embedded_count; i++) {
    lua_pushstring(L, lp_embedded[i].name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushcfunction(L, embedded_source);
  lua_setfield(L, -2, "source");
  return 1;
}

static void open_globals(lua_State *L) {
  lua_pushglobaltable(L);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, load_global);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

/* arg[0] is the script, arg[1] its first argument, negative indices what stands before it. */
static void set_arg(lua_State *L, int argc, char **argv, int script) {
  int zero = script < argc ? script : 0;
  lua_createtable(L, argc - zero, zero + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - zero);
  }
  lua_setglobal(L, "arg");
}

/* Modules that lie beside the script are found wherever the command is started. */
static void add_script_folder(lua_State *L, const char *script) {
  const char *slash = strrchr(script, '/');
  if (!slash) return; /* the current folder, which package.path has */
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_pushlstring(L, script, slash == script ? 1 : (size_t)(slash - script));
  const char *folder = lua_tostring(L, -1);
  lua_getfield(L, -2, "path");
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", folder, folder, lua_tostring(L, -1));
  lua_setfield(L, -4, "path");
  lua_pop(L, 3);
}

/* --- running ----------------------------------------------------------------------------------- */

/* Runs the chunk (or reports the load error) on top of the stack; the exit status. */
static int run_chunk(lua_State *L, int load_status, int n_args) {
  int status = load_status == LUA_OK ? interrupt_call(L, n_args, 0) : load_status;
  if (status == LUA_OK) return EXIT_SUCCESS;
  bool interrupted = load_status == LUA_OK && interrupt_is_cause(L);
  report_error(L, false);
  return interrupted ? 130 : EXIT_FAILURE;
}

static int run_script(lua_State *L, int argc, char **argv, int script) {
  const char *name = argv[script];
  bool from_stdin = strcmp(name, "-") == 0 && strcmp(argv[script - 1], "--") != 0;
  if (!from_stdin) add_script_folder(L, name);
  int load_status = luaL_loadfilex(L, from_stdin ? NULL : name, "bt");
  int n_args = 0;
  if (load_status == LUA_OK) {
    n_args = argc - script - 1;
    luaL_checkstack(L, n_args + 8, "too many arguments to the script");
    for (int i = script + 1; i < argc; i++) lua_pushstring(L, argv[i]);
  }
  return run_chunk(L, load_status, n_args);
}

/* -l NAME or -l GLOBAL=NAME. */
static int require_option(lua_State *L, const char *value) {
  const char *equals = strchr(value, '=');
  const char *module = equals ? equals + 1 : value;
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  int status = interrupt_call(L, 1, 1);
  if (status != LUA_OK) {
    report_error(L, false);
    return EXIT_FAILURE;
  }
  if (equals) lua_pushlstring(L, value, (size_t)(equals - value));
  else lua_pushstring(L, value);
  lua_insert(L, -2);
  lua_pushglobaltable(L);
  lua_insert(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return EXIT_SUCCESS;
}

/* The -e and -l options in their order. */
static int run_options(lua_State *L, int script, char **argv) {
  int status = EXIT_SUCCESS;
  for (int i = 1; i < script && status == EXIT_SUCCESS; i++) {
    char kind = argv[i][1];
    if (argv[i][0] != '-' || (kind != 'e' && kind != 'l')) continue;
    const char *value = argv[i][2] ? argv[i] + 2 : argv[++i];
    if (kind == 'l') status = require_option(L, value);
    else status = run_chunk(L, luaL_loadbufferx(L, value, strlen(value), "=(command line)", "t"), 0);
  }
  return status;
}

/* `lampad help NAME`, `lampad doctor`, `lampad inspect FILE`: a function of lampad.console, which is given the
 * arguments and returns the exit status, or whether all is well. */
static int run_command(lua_State *L, const char *command, int count, char **arguments) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lampad.console");
  if (interrupt_call(L, 1, 1) != LUA_OK) {
    report_error(L, false);
    return EXIT_FAILURE;
  }
  lua_getfield(L, -1, command);
  lua_remove(L, -2);
  luaL_checkstack(L, count + 8, "too many arguments");
  for (int i = 0; i < count; i++) lua_pushstring(L, arguments[i]);
  if (interrupt_call(L, count, 1) != LUA_OK) {
    report_error(L, false);
    return EXIT_FAILURE;
  }
  int status = lua_toboolean(L, -1) ? EXIT_SUCCESS : EXIT_FAILURE;
  if (lua_isinteger(L, -1)) status = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return status;
}

typedef struct Call {
  int argc;
  char **argv;
  Options options;
  int status;
} Call;

/* Everything that may raise, called in protected mode. */
static int protected_main(lua_State *L) {
  Call *call = lua_touserdata(L, 1);
  const Options *options = &call->options;
  int argc = call->argc, script = options->script;
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_lampad_core);
  lua_setfield(L, -2, "lampad.core");
  lua_pushcfunction(L, open_embedded_list);
  lua_setfield(L, -2, "lampad.embedded");
  lua_pop(L, 1);
  lpvm_open_embed(L);
  interrupt_open(L);
  open_globals(L);
  set_arg(L, argc, call->argv, script);

  call->status = run_options(L, script, call->argv);
  if (call->status != EXIT_SUCCESS && !options->interactive) return 0;
  if (script < argc) {
    const char *name = call->argv[script];
    bool is_command = !options->has_code && !options->interactive && strcmp(call->argv[script - 1], "--") != 0;
    if (is_command && (strcmp(name, "help") == 0 || strcmp(name, "doctor") == 0 || strcmp(name, "inspect") == 0)) {
      call->status = run_command(L, name, argc - script - 1, call->argv + script + 1);
      return 0;
    }
    call->status = run_script(L, argc, call->argv, script);
  }
  if (options->interactive || (script >= argc && !options->has_code)) {
    ReplOptions repl_options = {.quiet = options->quiet, .prompts = options->interactive};
    bool well = repl_run(L, &repl_options);
    if (!well || !options->interactive) call->status = well ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  return 0;
}

int main(int argc, char **argv) {
  repl_shorten_spin(argv);
  /* A file that grows past the limit of `ulimit -f` is an error to report, not the end. */
  signal(SIGXFSZ, SIG_IGN);
  Call call = {argc, argv, parse_options(argc, argv), EXIT_SUCCESS};
  if (call.options.problem) {
    fprintf(stderr, "lampad: '%s' %s\n\n%s", call.options.problem_option, call.options.problem, usage);
    return STATUS_USAGE;
  }
  if (call.options.help) {
    fputs(usage, stdout);
    return EXIT_SUCCESS;
  }
  if (call.options.version) {
    printf("Lampad %s (%s)\n", LAMPAD_VERSION, LUA_RELEASE);
    return EXIT_SUCCESS;
  }
  lua_State *L = repl_new_state();
  if (!L) {
    fputs("lampad: out of memory for a Lua state\n", stderr);
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, protected_main);
  lua_pushlightuserdata(L, &call);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    report_error(L, false);
    call.status = EXIT_FAILURE;
  }
  repl_close_state(L);
  if ((fflush(stdout) != 0 || ferror(stdout)) && call.status == EXIT_SUCCESS) {
    fputs("lampad: the output could not be written (disk full?)\n", stderr);
    call.status = EXIT_FAILURE;
  }
  if (call.status == 130) interrupt_exit();
  return call.status;
}
