/* Errors at the user's line: the frames of the library's own Lua files are skipped, so that a wrong
 * argument is reported where the user wrote it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "state.h"
#include "vm.h"

/* Fills `ar` with the innermost Lua frame that is not the library's own. */
static bool user_frame(lua_State *L, lua_Debug *ar) {
  for (int level = 0; lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0 && strncmp(ar->source, "@lampad/", 8) != 0) return true;
  }
  return false;
}

void lpvm_push_where(lua_State *L) {
  lua_Debug ar;
  if (user_frame(L, &ar)) lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  else lua_pushliteral(L, "");
}

int lpvm_error(lua_State *L, const char *what, const char *format, ...) {
  char text[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  lpvm_push_where(L);
  if (what) lua_pushfstring(L, "%s: ", what);
  else lua_pushliteral(L, "");
  lua_pushstring(L, text);
  lua_concat(L, 3);
  lua_error(L);
  __builtin_unreachable();
}

/* The error value of a failed Lua callback waits in the registry under this address. */
static const char callback_error_key = 0;

void lpvm_keep_callback_error(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &callback_error_key);
  lp_fail(LP_ERR_CALLBACK, "a Lua callback failed");
}

int lpvm_raise(lua_State *L, const char *op) {
  const LpError *e = lp_last_error();
  if (e->code == LP_ERR_CALLBACK) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &callback_error_key);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &callback_error_key);
    if (!lua_isnil(L, -1)) {
      lua_error(L);
      __builtin_unreachable();
    }
  }
  if (e->code == LP_ERR_INTERRUPT) {
    lp_interrupt_take();
    lua_pushliteral(L, "interrupted");
    lua_error(L);
    __builtin_unreachable();
  }
  /* torch.linalg.LinAlgError tells these by the word. */
  if (e->code == LP_ERR_LINALG) lpvm_error(L, op, "LinAlgError: %s", e->message);
  lpvm_error(L, op, "%s", e->message);
}

const char *lpvm_describe(lua_State *L, int index, char *buf, size_t buf_bytes) {
  LpTensor *t = lpvm_to_tensor(L, index);
  if (t) {
    size_t n = (size_t)snprintf(buf, buf_bytes, "torch.Tensor (%s [", lp_dtype_name(lp_dtype(t)));
    for (int64_t i = 0; i < lp_ndim(t) && n < buf_bytes; i++)
      n += (size_t)snprintf(buf + n, buf_bytes - n, i ? ", %lld" : "%lld", (long long)lp_size(t, i));
    if (n < buf_bytes) snprintf(buf + n, buf_bytes - n, "])");
    return buf;
  }
  switch (lua_type(L, index)) {
  case LUA_TNONE:
  case LUA_TNIL: snprintf(buf, buf_bytes, "nil"); break;
  case LUA_TBOOLEAN:
    snprintf(buf, buf_bytes, "boolean (%s)", lua_toboolean(L, index) ? "true" : "false");
    break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index))
      snprintf(buf, buf_bytes, "number (%lld)", (long long)lua_tointeger(L, index));
    else snprintf(buf, buf_bytes, "number (%.14g)", lua_tonumber(L, index));
    break;
  case LUA_TSTRING: snprintf(buf, buf_bytes, "string ('%.40s')", lua_tostring(L, index)); break;
  case LUA_TUSERDATA: {
    if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) {
      const char *name = lua_tostring(L, -1);
      const bool freed = strcmp(name, LPVM_TENSOR) == 0;
      snprintf(buf, buf_bytes, "%s%s", freed ? "a freed " : "", name);
      lua_pop(L, 1);
    } else {
      snprintf(buf, buf_bytes, "userdata");
    }
    break;
  }
  case LUA_TTABLE: {
    const lua_Unsigned n = lua_rawlen(L, index);
    if (n) snprintf(buf, buf_bytes, "table of %llu", (unsigned long long)n);
    else snprintf(buf, buf_bytes, "table");
    break;
  }
  default: snprintf(buf, buf_bytes, "%s", luaL_typename(L, index));
  }
  return buf;
}

/* --- where the forward ran ---------------------------------------------------------------------- */

_Thread_local lua_State *lpvm_running;

#define MAX_SOURCES 4096
static char *sources[MAX_SOURCES]; /* texts of short_src, never freed: a process has few */
static _Atomic int source_count;

static int source_id(const char *text) {
  static _Thread_local int last;
  const int n = source_count;
  if (last < n && strcmp(sources[last], text) == 0) return last;
  for (int i = 0; i < n; i++)
    if (strcmp(sources[i], text) == 0) return last = i;
  if (n == MAX_SOURCES) return -1;
  static _Atomic bool busy;
  bool expected = false;
  if (!atomic_compare_exchange_strong(&busy, &expected, true)) return -1;
  char *copy = strdup(text);
  int id = -1;
  if (copy && source_count < MAX_SOURCES) {
    id = source_count;
    sources[id] = copy;
    source_count = id + 1;
  }
  busy = false;
  return id;
}

static uint64_t capture_location(void) {
  lua_State *L = lpvm_running;
  lua_Debug ar;
  if (!L || !user_frame(L, &ar)) return 0;
  const int id = source_id(ar.short_src);
  return id < 0 ? 0 : (uint64_t)(id + 1) << 32 | (uint32_t)ar.currentline;
}

static bool describe_location(uint64_t token, char *buf, size_t buf_bytes) {
  snprintf(buf, buf_bytes, "%s:%u", sources[(token >> 32) - 1], (unsigned)(token & 0xffffffff));
  return true;
}

void lpvm_open_errors(lua_State *L) {
  (void)L;
  lp_set_location_hook(capture_location, describe_location);
}
