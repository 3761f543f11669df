/* The system, for the Lua libraries: a clock, terminals, an interruptible sleep, peak memory.
 * Nothing here is a public name. */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"

/* now() -> seconds of a monotonic clock. */
static int now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
  return 1;
}

/* isatty(fd) -> boolean. */
static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* terminal_width(fd) -> columns, or nil when fd is no terminal. */
static int terminal_width(lua_State *L) {
  struct winsize size;
  if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    lua_pushinteger(L, size.ws_col);
  else
    lua_pushnil(L);
  return 1;
}

/* sleep(seconds): ends early, with an error, at an interrupt. */
static int sleep_for(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 1, "expected seconds of at least 0");
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += (time_t)seconds;
  end.tv_nsec += (long)((seconds - (lua_Number)(time_t)seconds) * 1e9);
  if (end.tv_nsec >= 1000000000L) {
    end.tv_sec++;
    end.tv_nsec -= 1000000000L;
  }
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
    if (lp_interrupt_take()) return lpvm_error(L, "sleep", "interrupted");
  return 0;
}

/* peak_memory() -> the largest resident size of the process so far, in bytes. */
static int peak_memory(lua_State *L) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  lua_pushinteger(L, (lua_Integer)usage.ru_maxrss * 1024);
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_sys(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"now", now},
      {"isatty", is_terminal},
      {"terminal_width", terminal_width},
      {"sleep", sleep_for},
      {"peak_memory", peak_memory},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
