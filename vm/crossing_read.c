/* Reads messages (crossing.h) in the state they were sent to. They come from crossing.c
 * of the same process, so nothing is checked but memory. */
#include "crossing_form.h"
#include <string.h>
#include "lampad/memory.h"
#include "lampad/random.h"
#include "state.h"
#include "types.h"

typedef struct Source {
  lua_State *L;
  LpvmMessage *m;
  const LpvmReading *how;
  const uint8_t *at;
  int objects; /* number -> value */
  lua_Integer count;
} Source;

static void get_bytes(Source *s, void *p, size_t n) {
  memcpy(p, s->at, n);
  s->at += n;
}
static uint64_t get_size(Source *s) {
  uint64_t n = 0;
  for (int shift = 0;; shift += 7) {
    const uint8_t b = *s->at++;
    n |= (uint64_t)(b & 0x7f) << shift;
    if (!(b & 0x80)) return n;
  }
}

static void read_value(Source *s);

/* Gives the value on top its number. */
static lua_Integer note_object(Source *s) {
  lua_pushvalue(s->L, -1);
  lua_rawseti(s->L, s->objects, ++s->count);
  return s->count;
}

/* The value on top is a function, a class or a metatable of the setup message. */
static void note_origin(Source *s, lua_Integer number) {
  lua_State *L = s->L;
  if (!s->how->origins_index) return;
  lua_pushvalue(L, -1);
  lua_pushinteger(L, number);
  lua_rawset(L, s->how->origins_index);
}

/* The end of a table's pairs, and the metatable of the table on top, which stays there. */
static void read_metatable(Source *s) {
  s->at++;
  read_value(s);
  if (lua_istable(s->L, -1))
    lua_setmetatable(s->L, -2);
  else
    lua_pop(s->L, 1);
}

static void read_table(Source *s) {
  lua_State *L = s->L;
  const bool is_kept = *s->at++;
  const uint64_t n = get_size(s);
  lua_createtable(L, n > 1 << 26 ? 1 << 26 : (int)n, 0);
  const lua_Integer number = note_object(s);
  if (is_kept) note_origin(s, number);
  for (uint64_t i = 1; i <= n; i++) {
    read_value(s);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  while (*s->at != TAG_END) {
    read_value(s);
    read_value(s);
    if (lua_isnil(L, -2))
      lua_pop(L, 2); /* only a library value that is not to be had here */
    else
      lua_rawset(L, -3);
  }
  read_metatable(s);
}

static const char *read_dump(lua_State *L, void *data, size_t *n) {
  (void)L;
  struct {
    const uint8_t *bytes;
    size_t size;
  } *dump = data;
  const char *bytes = (const char *)dump->bytes;
  *n = dump->size;
  dump->size = 0;
  return *n ? bytes : NULL;
}

/* The upvalues of the function on top. */
static void read_upvalues(Source *s) {
  lua_State *L = s->L;
  const int n = *s->at++;
  for (int i = 1; i <= n; i++) {
    if (*s->at == TAG_UPVALUE) {
      s->at++;
      const lua_Integer other = (lua_Integer)get_size(s);
      const int place = *s->at++;
      lua_rawgeti(L, s->objects, other);
      lua_upvaluejoin(L, -2, i, -1, place);
      lua_pop(L, 1);
    } else {
      read_value(s);
      if (!lua_setupvalue(L, -2, i)) lua_pop(L, 1);
    }
  }
}

static void read_function(Source *s) {
  lua_State *L = s->L;
  struct {
    const uint8_t *bytes;
    size_t size;
  } dump;
  uint64_t size;
  get_bytes(s, &size, sizeof size);
  dump.bytes = s->at;
  dump.size = size;
  s->at += size;
  if (lua_load(L, read_dump, &dump, "=?", "b") != LUA_OK) lua_error(L);
  note_origin(s, note_object(s));
  read_upvalues(s);
}

static void read_c_function(Source *s) {
  lua_State *L = s->L;
  lua_CFunction function;
  get_bytes(s, &function, sizeof function);
  const int n = *s->at;
  for (int i = 0; i < n; i++) lua_pushnil(L);
  lua_pushcclosure(L, function, n);
  note_origin(s, note_object(s));
  read_upvalues(s);
}

static void read_named(Source *s) {
  lua_State *L = s->L;
  const int type = *s->at++;
  const size_t n = get_size(s);
  lpvm_push_helper(L, "lampad.crossing", "find");
  lua_pushlstring(L, (const char *)s->at, n);
  s->at += n;
  lua_pushvalue(L, -1);
  lua_insert(L, -3);
  lua_call(L, 1, 1); /* name, value */
  if (lua_type(L, -1) != type) {
    if (!s->how->missing_index) {
      lpvm_push_helper(L, "lampad.crossing", "describe");
      lua_pushvalue(L, -3);
      lua_call(L, 1, 1);
      luaL_error(L, "a value that crosses is not to be had here: %s",
                 lua_tostring(L, -1));
    }
    lua_pushvalue(L, -2);
    lua_rawseti(L, s->how->missing_index,
                (lua_Integer)lua_rawlen(L, s->how->missing_index) + 1);
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  lua_remove(L, -2);
  if (lua_isnil(L, -1))
    s->count++;
  else
    note_object(s);
}

static void read_tensor(Source *s) {
  lua_State *L = s->L;
  LpTensor **place = &s->m->tensors[get_size(s)];
  const int marks = *s->at++;
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = s->how->share ? lp_tensor_shallow(*place) : *place;
  if (!t) lpvm_raise(L, NULL);
  if (!s->how->share) {
    *place = NULL;
    lp_memory_thread_charge(lpvm_tensor_bytes(t));
  }
  lpvm_fill_box(L, box, t);
  if (marks & TENSOR_GRAD && !lp_set_requires_grad(t, true)) lpvm_raise(L, NULL);
  note_object(s);
  if (marks & TENSOR_PARAMETER) {
    lpvm_push_helper(L, "lampad.nn.parameter", "mark");
    lua_pushvalue(L, -2);
    lua_call(L, 1, 0);
  }
  if (marks & TENSOR_BUFFER) {
    lpvm_push_helper(L, "lampad.nn.buffer", "mark");
    lua_pushvalue(L, -2);
    lua_pushboolean(L, (marks & TENSOR_PERSISTENT) != 0);
    lua_call(L, 2, 0);
  }
  if (marks & TENSOR_ATTRIBUTES) {
    read_value(s);
    lpvm_set_attributes(L, -2);
  }
}

static void read_reduced(Source *s) {
  lua_State *L = s->L;
  const lua_Integer number = ++s->count;
  const int n = (int)get_size(s);
  luaL_checkstack(L, n + 8, "crossing");
  for (int i = 0; i <= n; i++) read_value(s);
  if (lua_isnil(L, -1 - n)) { /* not to be had here, as the caller will hear */
    lua_pop(L, n);
    return;
  }
  lua_call(L, n, 1);
  lua_pushvalue(L, -1);
  lua_rawseti(L, s->objects, number);
}

static void read_generator(Source *s) {
  lua_State *L = s->L;
  LpGenerator *g = lp_generator_new(0);
  if (!g) lpvm_raise(L, NULL);
  lp_generator_set_state(g, s->at, LP_GENERATOR_STATE_BYTES);
  s->at += LP_GENERATOR_STATE_BYTES;
  lpvm_push_generator(L, g);
  note_object(s);
}

static void read_value(Source *s) {
  lua_State *L = s->L;
  luaL_checkstack(L, 16, "crossing");
  switch ((Tag)*s->at++) {
  case TAG_FALSE: lua_pushboolean(L, 0); break;
  case TAG_TRUE: lua_pushboolean(L, 1); break;
  case TAG_INTEGER: {
    const uint64_t n = get_size(s);
    lua_pushinteger(L, (lua_Integer)(n >> 1 ^ (~(n & 1) + 1)));
    break;
  }
  case TAG_FLOAT: {
    lua_Number x;
    get_bytes(s, &x, sizeof x);
    lua_pushnumber(L, x);
    break;
  }
  case TAG_STRING: {
    const size_t n = get_size(s);
    lua_pushlstring(L, (const char *)s->at, n);
    s->at += n;
    break;
  }
  case TAG_LIGHT: {
    void *p;
    get_bytes(s, &p, sizeof p);
    lua_pushlightuserdata(L, p);
    break;
  }
  case TAG_GLOBALS: lua_pushglobaltable(L); break;
  case TAG_SAME: lua_rawgeti(L, s->objects, (lua_Integer)get_size(s)); break;
  case TAG_ORIGIN: {
    const lua_Integer number = (lua_Integer)get_size(s);
    if (s->how->kept_index)
      lua_rawgeti(L, s->how->kept_index, number);
    else
      lua_pushnil(L);
    break;
  }
  case TAG_DTYPE: lpvm_push_dtype(L, (LpDtype)(int8_t)*s->at++); break;
  case TAG_DEVICE: {
    LpDevice device;
    get_bytes(s, &device, sizeof device);
    lpvm_push_device(L, device);
    break;
  }
  case TAG_FORMAT: lpvm_push_format(L, (LpMemoryFormat)(int8_t)*s->at++); break;
  case TAG_STRIDED: lpvm_push_strided(L); break;
  case TAG_SIZE: {
    int64_t sizes[LP_MAX_DIMS];
    const int64_t n = (int64_t)get_size(s);
    int64_t *all =
        n <= LP_MAX_DIMS ? sizes : lua_newuserdatauv(L, (size_t)n * sizeof *all, 0);
    get_bytes(s, all, (size_t)n * sizeof *all);
    lpvm_push_size(L, (LpInts){all, n});
    if (all != sizes) lua_remove(L, -2);
    break;
  }
  case TAG_COMPLEX: {
    double z[2];
    get_bytes(s, z, sizeof z);
    lpvm_push_complex(L, z[0], z[1]);
    break;
  }
  case TAG_TABLE: read_table(s); break;
  case TAG_FUNCTION: read_function(s); break;
  case TAG_C_FUNCTION: read_c_function(s); break;
  case TAG_TENSOR: read_tensor(s); break;
  case TAG_GENERATOR: read_generator(s); break;
  case TAG_DEFAULT_GENERATOR:
    lua_getfield(L, LUA_REGISTRYINDEX, "lampad.torch");
    lua_getfield(L, -1, "default_generator");
    lua_remove(L, -2);
    note_object(s);
    break;
  case TAG_NAMED: read_named(s); break;
  case TAG_REDUCED: read_reduced(s); break;
  case TAG_NIL:
  case TAG_END:
  case TAG_UPVALUE: lua_pushnil(L); break;
  }
}

/* What write_globals wrote. */
static void read_globals(Source *s) {
  lua_State *L = s->L;
  lua_pushglobaltable(L);
  while (*s->at != TAG_END) {
    read_value(s);
    read_value(s);
    lua_rawset(L, -3);
  }
  read_metatable(s);
  lua_pop(L, 1);
}

/* What write_modules wrote; a module that is there already stays. */
static void read_modules(Source *s) {
  lua_State *L = s->L;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  while (*s->at != TAG_END) {
    read_value(s);
    lua_pushvalue(L, -1);
    const bool is_there = lua_rawget(L, -3) != LUA_TNIL;
    lua_pop(L, 1);
    read_value(s);
    if (is_there) lua_pop(L, 2);
    else lua_rawset(L, -3);
  }
  s->at++;
  lua_pop(L, 1);
}

int lpvm_message_read(lua_State *L, LpvmMessage *m, const LpvmReading *how) {
  const int n = m->n_values;
  luaL_checkstack(L, n + 16, "crossing");
  lua_newtable(L);
  Source s = {.L = L, .m = m, .how = how, .at = m->bytes, .objects = lua_gettop(L)};
  for (int i = 0; i < n; i++) read_value(&s);
  if (how->is_setup) {
    read_globals(&s);
    read_modules(&s);
  }
  lua_remove(L, s.objects);
  return n;
}
