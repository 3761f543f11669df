/* Random numbers of a dataset's samples: core.sample_stream(), for lua/lampad/utils/data.
 *
 *   stream:seed(base, n, part)   seeds the default generator and math.random for sample
 * or batch n stream:enter(), :leave()     puts a stream of its own in the place of the
 * program's, and takes it away again; leave is also __close
 *
 * So what a dataset draws depends on the sample and not on who draws it, and the
 * program's own stream stays. */
#include <lualib.h>
#include <string.h>
#include "core/thread.h"
#include "lampad/random.h"
#include "types.h"

typedef struct Stream {
  LpGenerator *generator;  /* owned: the program's stream while inside, else ours */
  uint64_t math_random[4]; /* likewise */
  uint64_t *math_state;    /* inside math.random, held by the uservalue; NULL: another
                              function took its place */
  bool is_inside;
} Stream;

static const LpvmClass stream_class = {"lampad.sample_stream"};

/* Sebastiano Vigna's splitmix64, whose outputs for neighbouring counters have nothing in
 * common. */
static uint64_t mix(uint64_t x) {
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

static Stream *check_stream(lua_State *L) {
  Stream *s = lpvm_test_class(L, 1, &stream_class);
  if (!s) lpvm_error(L, NULL, "expected a sample stream");
  return s;
}

static int stream_seed(lua_State *L) {
  Stream *s = check_stream(L);
  const uint64_t base = (uint64_t)luaL_checkinteger(L, 2),
                 n = (uint64_t)luaL_checkinteger(L, 3),
                 part = (uint64_t)luaL_optinteger(L, 4, 0);
  uint64_t x = mix(mix(base) ^ mix(n << 2 | part));
  lp_generator_seed(lp_default_generator(), x);
  for (int i = 0; s->math_state && i < 4; i++) s->math_state[i] = x = mix(x);
  return 0;
}

static void swap(Stream *s) {
  lp_generator_swap(lp_default_generator(), s->generator);
  if (!s->math_state) return;
  uint64_t kept[4];
  memcpy(kept, s->math_state, sizeof kept);
  memcpy(s->math_state, s->math_random, sizeof kept);
  memcpy(s->math_random, kept, sizeof kept);
}

static int stream_enter(lua_State *L) {
  Stream *s = check_stream(L);
  if (!s->is_inside) swap(s);
  s->is_inside = true;
  lua_settop(L, 1);
  return 1;
}

static int stream_leave(lua_State *L) {
  Stream *s = check_stream(L);
  if (s->is_inside) swap(s);
  s->is_inside = false;
  return 0;
}

static int stream_gc(lua_State *L) {
  Stream *s = lua_touserdata(L, 1);
  lp_generator_release(s->generator);
  s->generator = NULL;
  return 0;
}

/* The state of math.random is a userdata among its upvalues: four words of 64 bits. */
static uint64_t *find_math_state(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  uint64_t *state = NULL;
  if (lua_getfield(L, -1, LUA_MATHLIBNAME) == LUA_TTABLE &&
      lua_getfield(L, -1, "random") == LUA_TFUNCTION && lua_iscfunction(L, -1) &&
      lua_getupvalue(L, -1, 1) && lua_type(L, -1) == LUA_TUSERDATA &&
      lua_rawlen(L, -1) == 4 * sizeof *state) {
    state = lua_touserdata(L, -1);
    lua_setiuservalue(L, 1, 1);
  }
  lua_settop(L, 1);
  return state;
}

static int sample_stream(lua_State *L) {
  lua_settop(L, 0);
  Stream *s = lua_newuserdatauv(L, sizeof *s, 1);
  memset(s, 0, sizeof *s);
  static const luaL_Reg methods[] = {{"seed", stream_seed},   {"enter", stream_enter},
                                     {"leave", stream_leave}, {"__close", stream_leave},
                                     {"__gc", stream_gc},     {NULL, NULL}};
  lpvm_push_class(L, &stream_class);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  s->generator = lp_generator_new(0);
  if (!s->generator) lpvm_raise(L, "DataLoader");
  s->math_state = find_math_state(L);
  for (int i = 0; i < 4; i++) s->math_random[i] = mix((uint64_t)i);
  return 1;
}

void lpvm_open_stream(lua_State *L, int core_index) {
  lua_pushvalue(L, core_index);
  lua_pushcfunction(L, sample_stream);
  lua_setfield(L, -2, "sample_stream");
  lua_pop(L, 1);
}
