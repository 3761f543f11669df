/* Ctrl-C handling (interrupt.h). The signal handler only sets flags, the engine's own interrupt flag
 * and a debug hook; the hook raises the error at the next Lua instruction, and a long op stops by
 * itself at its next safe point (lp_interrupt). */
#include "interrupt.h"
#include "report.h"

#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lampad/base.h"

static pthread_t main_thread;
static lua_State *volatile running;     /* the coroutine that executes; NULL at the prompt */
static volatile sig_atomic_t presses;   /* during the current interrupt_call */
static volatile sig_atomic_t idle_press; /* at the prompt */

static void stop_hook(lua_State *L, lua_Debug *debug);

/* lua_sethook may be called from a signal handler; a count hook touches only Lua code, so a traceback
 * function written in C still works while it is set. */
static void arm(lua_State *L) { lua_sethook(L, stop_hook, LUA_MASKCOUNT, 1); }

static void disarm(lua_State *L) {
  if (lua_gethook(L) == stop_hook) lua_sethook(L, NULL, 0, 0);
}

static bool insists(void) { return presses >= 2; }

static void stop_hook(lua_State *L, lua_Debug *debug) {
  (void)debug;
  bool pending = lp_interrupt_take(); /* false when an op has already raised it */
  if (!insists()) disarm(L);
  if (pending || insists()) {
    lua_getinfo(L, "Sl", debug);
    if (debug->currentline > 0) luaL_error(L, "%s:%d: interrupted", debug->short_src, debug->currentline);
    luaL_error(L, "interrupted");
  }
}

static void on_sigint(int signal_number) {
  if (!pthread_equal(pthread_self(), main_thread)) {
    /* A compute thread got it; a hook may only be set from the thread that runs Lua. */
    pthread_kill(main_thread, signal_number);
    return;
  }
  lua_State *L = running;
  if (!L) {
    idle_press = 1;
    return;
  }
  if (presses < 2) presses++;
  lp_interrupt();
  arm(L);
}

/* --- coroutines ------------------------------------------------------------------------------ */

/* Resumes `co` with the n_args values on top of L, noting it as the one that runs. Leaves the results
 * or the error on L's stack: the count of results, or -1 for an error. */
static int resume(lua_State *L, lua_State *co, int n_args) {
  int n_results = 0;
  if (!lua_checkstack(co, n_args)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, n_args);
  if (insists()) arm(co);
  if (running) running = co;
  int status = lua_resume(co, L, n_args, &n_results);
  if (running) running = L;
  if (insists()) arm(L);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, n_results + 1)) {
    lua_pop(co, n_results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, n_results);
  return n_results;
}

static int coroutine_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  int n_results = resume(L, co, lua_gettop(L) - 1);
  if (n_results < 0 && interrupt_is_cause(L)) return lua_error(L); /* stops schedulers of coroutines too */
  lua_pushboolean(L, n_results >= 0);
  if (n_results < 0) n_results = 1;
  lua_insert(L, -(n_results + 1));
  return n_results + 1;
}

static int call_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int n_results = resume(L, co, lua_gettop(L));
  if (n_results >= 0) return n_results;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) { /* it died of the error: run its pending closers */
    status = lua_resetthread(co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && !presses && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int coroutine_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 1);
  return 1;
}

/* --- calls ----------------------------------------------------------------------------------- */

void interrupt_open(lua_State *L) {
  main_thread = pthread_self();
  lua_getglobal(L, LUA_COLIBNAME);
  lua_pushcfunction(L, coroutine_resume);
  lua_setfield(L, -2, "resume");
  lua_pushcfunction(L, coroutine_wrap);
  lua_setfield(L, -2, "wrap");
  lua_pop(L, 1);

  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_sigint; /* no SA_RESTART: a blocking read gives up with EINTR */
  sigemptyset(&action.sa_mask);
  struct sigaction old;
  /* A background job of a shell without job control has SIGINT ignored: leave it so. */
  if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGINT, &action, NULL);
}

int interrupt_call(lua_State *L, int n_args, int n_results) {
  int handler = lua_gettop(L) - n_args;
  lua_pushcfunction(L, report_traceback);
  lua_insert(L, handler);
  lua_State *outer = running;
  if (!outer) {
    presses = 0;
    lp_interrupt_take();
  }
  running = L;
  int status = lua_pcall(L, n_args, n_results, handler);
  running = outer;
  disarm(L);
  bool pending = !outer && lp_interrupt_take();
  lua_remove(L, handler);
  if (pending && status == LUA_OK) { /* it came in the last call, a blocking one: nobody raised it */
    lua_settop(L, handler - 1);
    lua_pushliteral(L, "interrupted");
    status = LUA_ERRRUN;
  }
  return status;
}

bool interrupt_is_cause(lua_State *L) {
  const char *message = presses && lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (!message) return false;
  const char *trace = strstr(message, "\nstack traceback:");
  const char *word = strstr(message, "interrupt");
  return word && (!trace || word < trace);
}

bool interrupt_take_idle(void) {
  bool pressed = idle_press;
  idle_press = 0;
  return pressed;
}

void interrupt_exit(void) {
  signal(SIGINT, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  raise(SIGINT);
  _exit(130);
}
