/* torch.Generator and the functions over the default generator. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "lampad/random.h"
#include "types.h"

static const LpvmClass generator_class = {"torch.Generator"};
#define DEFAULT_SEED 67280421310721ULL

typedef struct GeneratorBox {
  LpGenerator *generator; /* owned */
} GeneratorBox;

static GeneratorBox *new_box(lua_State *L) {
  GeneratorBox *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->generator = NULL;
  lpvm_push_class(L, &generator_class);
  lua_setmetatable(L, -2);
  return box;
}

void lpvm_push_generator(lua_State *L, LpGenerator *generator) {
  new_box(L)->generator = generator;
}

LpGenerator *lpvm_to_generator(lua_State *L, int index) {
  const GeneratorBox *box = lpvm_test_class(L, index, &generator_class);
  return box ? box->generator : NULL;
}

static LpGenerator *check_generator(lua_State *L, int index, const char *op) {
  char buf[128];
  LpGenerator *g = lpvm_to_generator(L, index);
  if (!g)
    lpvm_error(L, op, "expected a torch.Generator, got %s",
               lpvm_describe(L, index, buf, sizeof buf));
  return g;
}

/* Seeds are 64 bits; a negative one stands for its two's complement, a float is
 * truncated. */
static uint64_t check_seed(lua_State *L, int index, const char *op) {
  char buf[128];
  if (lua_isinteger(L, index)) return (uint64_t)lua_tointeger(L, index);
  if (lua_type(L, index) == LUA_TNUMBER) {
    double f = lua_tonumber(L, index);
    if (f >= -0x1p63 && f < 0x1p63) return (uint64_t)(int64_t)f;
    if (f > 0 && f < 0x1p64) return (uint64_t)f;
  }
  lpvm_error(L, op, "the seed must be a 64-bit integer, got %s",
             lpvm_describe(L, index, buf, sizeof buf));
}

static uint64_t fresh_seed(void) {
  uint64_t seed;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15ULL ^ (uint64_t)now.tv_sec;
  }
  return seed >> 11; /* 53 bits, as PyTorch's, so that a float holds it */
}

static int push_state(lua_State *L, const LpGenerator *g, const char *op) {
  int64_t size = LP_GENERATOR_STATE_BYTES;
  LpBox *box = lpvm_new_box(L);
  LpTensor *state = lp_tensor_new((LpInts){&size, 1}, LP_UINT8, (LpDevice){LP_CPU, 0});
  if (!state) lpvm_raise(L, op);
  lp_generator_get_state(g, lp_data(state));
  lpvm_fill_box(L, box, state);
  return 1;
}

static void set_state(lua_State *L, LpGenerator *g, int index, const char *op) {
  LpTensor *state = lpvm_check_tensor(L, index, op);
  if (lp_dtype(state) != LP_UINT8)
    lpvm_error(L, op, "the state must be a uint8 tensor, got torch.%s",
               lp_dtype_name(lp_dtype(state)));
  if (!lp_is_contiguous(state, LP_CONTIGUOUS))
    lpvm_error(L, op, "the state must be contiguous; use state:contiguous()");
  if (!lp_generator_set_state(g, lp_data(state), (size_t)lp_numel(state)))
    lpvm_raise(L, op);
}

/* --- methods
 * -------------------------------------------------------------------------------- */

static int generator_manual_seed(lua_State *L) {
  lp_generator_seed(check_generator(L, 1, "Generator.manual_seed"),
                    check_seed(L, 2, "Generator.manual_seed"));
  lua_settop(L, 1);
  return 1;
}

static int generator_initial_seed(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lp_generator_initial_seed(
                         check_generator(L, 1, "Generator.initial_seed")));
  return 1;
}

static int generator_seed(lua_State *L) {
  LpGenerator *g = check_generator(L, 1, "Generator.seed");
  uint64_t seed = fresh_seed();
  lp_generator_seed(g, seed);
  lua_pushinteger(L, (lua_Integer)seed);
  return 1;
}

static int generator_get_state(lua_State *L) {
  return push_state(L, check_generator(L, 1, "Generator.get_state"),
                    "Generator.get_state");
}

static int generator_set_state(lua_State *L) {
  set_state(L, check_generator(L, 1, "Generator.set_state"), 2, "Generator.set_state");
  lua_settop(L, 1);
  return 1;
}

static int generator_clone_state(lua_State *L) {
  const LpGenerator *g = check_generator(L, 1, "Generator.clone_state");
  static _Thread_local uint8_t state[LP_GENERATOR_STATE_BYTES];
  GeneratorBox *box = new_box(L);
  box->generator = lp_generator_new(DEFAULT_SEED);
  if (!box->generator) lpvm_raise(L, "Generator.clone_state");
  lp_generator_get_state(g, state);
  if (!lp_generator_set_state(box->generator, state, sizeof state))
    lpvm_raise(L, "Generator.clone_state");
  return 1;
}

static int generator_index(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"manual_seed", generator_manual_seed},
      {"initial_seed", generator_initial_seed},
      {"seed", generator_seed},
      {"get_state", generator_get_state},
      {"set_state", generator_set_state},
      {"clone_state", generator_clone_state},
      {NULL, NULL},
  };
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "device")) {
    lpvm_push_device(L, (LpDevice){LP_CPU, 0});
    return 1;
  }
  for (const luaL_Reg *m = methods; m->name; m++) {
    if (strcmp(key, m->name)) continue;
    lua_pushcfunction(L, m->func);
    return 1;
  }
  return 0;
}

static int generator_gc(lua_State *L) {
  GeneratorBox *box = lua_touserdata(L, 1);
  if (box->generator) lp_generator_release(box->generator);
  box->generator = NULL;
  return 0;
}

static int generator_tostring(lua_State *L) {
  lua_pushfstring(L, "<torch.Generator object at %p>",
                  (const void *)check_generator(L, 1, "Generator"));
  return 1;
}

/* --- functions
 * ------------------------------------------------------------------------------ */

/* torch.Generator(device = "cpu") */
static int torch_generator(lua_State *L) {
  LpDevice device = {LP_CPU, 0};
  char buf[128];
  if (lua_type(L, 1) == LUA_TTABLE) {
    lua_getfield(L, 1, "device");
    lua_replace(L, 1);
  }
  if (!lua_isnoneornil(L, 1) && (!lpvm_to_device(L, 1, &device) || device.type != LP_CPU))
    lpvm_error(L, "Generator", "argument 'device' must be \"cpu\", got %s",
               lpvm_describe(L, 1, buf, sizeof buf));
  GeneratorBox *box = new_box(L);
  box->generator = lp_generator_new(DEFAULT_SEED);
  if (!box->generator) lpvm_raise(L, "Generator");
  return 1;
}

static int push_default(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  return 1;
}

static int torch_manual_seed(lua_State *L) {
  lp_generator_seed(lp_default_generator(), check_seed(L, 1, "manual_seed"));
  return push_default(L);
}

static int torch_initial_seed(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lp_generator_initial_seed(lp_default_generator()));
  return 1;
}

static int torch_seed(lua_State *L) {
  uint64_t seed = fresh_seed();
  lp_generator_seed(lp_default_generator(), seed);
  lua_pushinteger(L, (lua_Integer)seed);
  return 1;
}

static int torch_get_rng_state(lua_State *L) {
  return push_state(L, lp_default_generator(), "get_rng_state");
}

static int torch_set_rng_state(lua_State *L) {
  set_state(L, lp_default_generator(), 1, "set_rng_state");
  return 0;
}

void lpvm_open_generator(lua_State *L, int torch_index) {
  static const luaL_Reg meta[] = {{"__index", generator_index},
                                  {"__gc", generator_gc},
                                  {"__tostring", generator_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"Generator", torch_generator},
      {"initial_seed", torch_initial_seed},
      {"seed", torch_seed},
      {"get_rng_state", torch_get_rng_state},
      {"set_rng_state", torch_set_rng_state},
      {NULL, NULL},
  };
  int torch = lua_absindex(L, torch_index);
  lpvm_push_class(L, &generator_class);
  luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
  for (const luaL_Reg *f = functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, torch, f->name);
  }
  GeneratorBox *box = new_box(L);
  box->generator = lp_generator_retain(lp_default_generator());
  lua_pushvalue(L, -1);
  lua_setfield(L, torch, "default_generator");
  lua_pushcclosure(L, torch_manual_seed, 1);
  lua_setfield(L, torch, "manual_seed");
}
