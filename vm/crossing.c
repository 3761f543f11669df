/* Copies of Lua values for another state: crossing.h.
 *
 * Note [What crosses]. Numbers, strings and booleans by value. Tensors by reference: a
 * new header over the same memory. Tables with all they hold, metatables included; what
 * is shared or cyclic in a message stays so. What the library made (its classes, modules,
 * functions, and the private tables of its files) crosses by name, for the other state
 * has its own: lua/lampad/crossing.lua knows the names. Lua functions as string.dump
 * writes them, with their upvalues, shared ones staying shared; C functions as they are.
 * An object whose metatable has __reduce__ crosses as the function and the arguments that
 * this returns, to be called on the other side. A coroutine, an open file or a stranger's
 * userdata cannot cross.
 *
 * Functions, classes and metatables that came to a worker with its setup message go back
 * as the number they had in it, so that an object that a worker returns is of the class
 * that the program knows. */
#include "crossing_form.h"
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lampad/memory.h"
#include "lampad/random.h"
#include "lampad/vmap.h"
#include "state.h"
#include "types.h"

#define MAX_DEPTH 8000

/* --- messages --- */

void lpvm_message_free(LpvmMessage *m) {
  if (!m) return;
  for (size_t i = 0; i < m->n_tensors; i++) lp_tensor_release(m->tensors[i]);
  free(m->tensors);
  free(m->bytes);
  free(m);
}

LpvmMessage *lpvm_message_of_text(const char *text) {
  const size_t n = strlen(text);
  LpvmMessage *m = calloc(1, sizeof *m);
  uint8_t *bytes = m ? malloc(n + 16) : NULL;
  if (!bytes) {
    free(m);
    return NULL;
  }
  m->n_values = 1;
  m->bytes = bytes;
  *bytes++ = TAG_STRING;
  size_t left = n;
  for (; left >= 0x80; left >>= 7) *bytes++ = (uint8_t)(left & 0x7f) | 0x80;
  *bytes++ = (uint8_t)left;
  memcpy(bytes, text, n);
  m->size_bytes = (size_t)(bytes - m->bytes) + n;
  return m;
}

static const LpvmClass holder_class = {"lampad.message"};

static int holder_gc(lua_State *L) {
  LpvmMessage **m = lua_touserdata(L, 1);
  lpvm_message_free(*m);
  *m = NULL;
  return 0;
}

static LpvmMessage **push_holder(lua_State *L) {
  LpvmMessage **m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = NULL;
  lpvm_push_class(L, &holder_class);
  lua_pushcfunction(L, holder_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return m;
}

static int push_holder_of(lua_State *L) {
  *push_holder(L) = lua_touserdata(L, 1);
  return 1;
}

void lpvm_message_hold(lua_State *L, LpvmMessage *m) {
  lua_pushcfunction(L, push_holder_of);
  lua_pushlightuserdata(L, m);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return;
  lpvm_message_free(m);
  lua_error(L);
}

LpvmMessage *lpvm_message_take(lua_State *L, int index) {
  LpvmMessage **holder = lpvm_test_class(L, index, &holder_class),
              *m = holder ? *holder : NULL;
  if (holder) *holder = NULL;
  return m;
}

/* --- writing --- */

/* Where a value stands, for errors. */
typedef struct Step {
  const struct Step *up;
  enum {
    STEP_ROOT,
    STEP_FIELD,
    STEP_INDEX,
    STEP_KEY,
    STEP_UPVALUE,
    STEP_METATABLE,
    STEP_GLOBAL,
    STEP_REDUCED
  } kind;
  const char *text;
  lua_Integer n;
} Step;

typedef struct Writer {
  lua_State *L;
  LpvmMessage *m;
  const LpvmWriting *how;
  int memo;    /* value -> number; address of an upvalue -> number and place */
  int names;   /* library value -> name; nil until asked for */
  int globals; /* names of globals that functions use, as a list and as keys */
  const void *globals_table;
  lua_Integer count;
  int depth;
} Writer;

static void *grow(lua_State *L, void *p, size_t *capacity, size_t wanted, size_t each) {
  size_t n = *capacity ? *capacity : 64;
  while (n < wanted) n *= 2;
  p = realloc(p, n * each);
  if (!p)
    luaL_error(L, "not enough memory for a message of %I bytes", (lua_Integer)(n * each));
  *capacity = n;
  return p;
}

static uint8_t *reserve(Writer *w, size_t n) {
  LpvmMessage *m = w->m;
  if (m->capacity_bytes - m->size_bytes < n)
    m->bytes = grow(w->L, m->bytes, &m->capacity_bytes, m->size_bytes + n, 1);
  uint8_t *p = m->bytes + m->size_bytes;
  m->size_bytes += n;
  return p;
}

static void put_byte(Writer *w, int b) {
  *reserve(w, 1) = (uint8_t)b;
}
static void put_bytes(Writer *w, const void *p, size_t n) {
  if (n) memcpy(reserve(w, n), p, n);
}
static void put_size(Writer *w, uint64_t n) {
  for (; n >= 0x80; n >>= 7) put_byte(w, (int)(n & 0x7f) | 0x80);
  put_byte(w, (int)n);
}
static void put_text(Writer *w, const char *text, size_t n) {
  put_size(w, n);
  put_bytes(w, text, n);
}

static void add_step(luaL_Buffer *b, const Step *s) {
  if (s->up) add_step(b, s->up);
  char text[64];
  switch (s->kind) {
  case STEP_ROOT: luaL_addstring(b, s->text); break;
  case STEP_FIELD:
    luaL_addchar(b, '.');
    luaL_addstring(b, s->text);
    break;
  case STEP_INDEX:
    snprintf(text, sizeof text, "[%lld]", (long long)s->n);
    luaL_addstring(b, text);
    break;
  case STEP_KEY: luaL_addstring(b, "[a key of the table]"); break;
  case STEP_UPVALUE:
    luaL_addstring(b, ", upvalue '");
    luaL_addstring(b, s->text);
    luaL_addstring(b, "'");
    break;
  case STEP_METATABLE: luaL_addstring(b, ", metatable"); break;
  case STEP_GLOBAL:
    luaL_addstring(b, "global '");
    luaL_addstring(b, s->text);
    luaL_addstring(b, "'");
    break;
  case STEP_REDUCED: luaL_addstring(b, ", what __reduce__ returned"); break;
  }
}

static void refuse(Writer *w, const Step *at, const char *reason)
    __attribute__((noreturn));
static void refuse(Writer *w, const Step *at, const char *reason) {
  lua_State *L = w->L;
  luaL_checkstack(L, 8, NULL);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  add_step(&b, at);
  luaL_pushresult(&b);
  const char *path = lua_tostring(L, -1);
  lpvm_error(L, w->how->what, "%s: %s", path, reason);
}

static void write_value(Writer *w, int index, const Step *at, bool is_meta);

/* Gives the value at index the next number. */
static lua_Integer number_value(Writer *w, int index) {
  lua_State *L = w->L;
  lua_pushvalue(L, index);
  lua_pushinteger(L, ++w->count);
  lua_rawset(L, w->memo);
  return w->count;
}

static void keep(Writer *w, int index, lua_Integer number) {
  if (!w->how->is_setup || !w->how->kept_index) return;
  lua_pushvalue(w->L, index);
  lua_rawseti(w->L, w->how->kept_index, number);
}

void lpvm_push_helper(lua_State *L, const char *module, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

/* The index of the library's values, made at the first question. */
static void need_names(Writer *w) {
  lua_State *L = w->L;
  if (!lua_isnil(L, w->names)) return;
  lpvm_push_helper(L, "lampad.crossing", "names");
  lua_call(L, 0, 1);
  lua_replace(L, w->names);
}

/* True when the value was written as one known already: in this message, from the setup,
 * or by name. */
static bool write_known(Writer *w, int index, bool by_name, bool from_setup) {
  lua_State *L = w->L;
  lua_pushvalue(L, index);
  if (lua_rawget(L, w->memo) == LUA_TNUMBER) {
    put_byte(w, TAG_SAME);
    put_size(w, (uint64_t)lua_tointeger(L, -1));
    lua_pop(L, 1);
    return true;
  }
  lua_pop(L, 1);
  if (from_setup && w->how->origins_index) {
    lua_pushvalue(L, index);
    if (lua_rawget(L, w->how->origins_index) == LUA_TNUMBER) {
      put_byte(w, TAG_ORIGIN);
      put_size(w, (uint64_t)lua_tointeger(L, -1));
      lua_pop(L, 1);
      return true;
    }
    lua_pop(L, 1);
  }
  if (by_name && !w->how->is_plain) need_names(w);
  if (lua_isnil(L, w->names)) return false;
  lua_pushvalue(L, index);
  if (lua_rawget(L, w->names) == LUA_TSTRING) {
    size_t n;
    const char *name = lua_tolstring(L, -1, &n);
    number_value(w, index);
    put_byte(w, TAG_NAMED);
    put_byte(w, lua_type(L, index));
    put_text(w, name, n);
    lua_pop(L, 1);
    return true;
  }
  lua_pop(L, 1);
  return false;
}

/* An object that says itself how it is made again. The metatable is on top; popped when
 * true. */
static bool write_reduced(Writer *w, int index, const Step *at) {
  lua_State *L = w->L;
  lua_pushliteral(L, "__reduce__");
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    return false;
  }
  const int first = lua_gettop(L);
  const Step step = {at, STEP_REDUCED, NULL, 0};
  lua_pushvalue(L, index);
  lua_call(L, 1, LUA_MULTRET);
  const int n = lua_gettop(L) - first + 1;
  if (n < 1 || !lua_isfunction(L, first))
    refuse(w, at, "__reduce__ must return a function and its arguments");
  luaL_checkstack(L, 8, "crossing");
  number_value(w, index);
  put_byte(w, TAG_REDUCED);
  put_size(w, (uint64_t)n - 1);
  for (int i = 0; i < n; i++) write_value(w, first + i, &step, false);
  lua_settop(L, first - 2);
  return true;
}

static bool is_raw_class(lua_State *L, int index) {
  lua_pushliteral(L, "__meta");
  const bool yes = lua_rawget(L, index) != LUA_TNIL;
  lua_pop(L, 1);
  return yes;
}

static void write_entry(Writer *w, int key, const Step *at) {
  lua_State *L = w->L;
  const Step key_step = {at, STEP_KEY, NULL, 0};
  Step step = {at, STEP_KEY, NULL, 0};
  if (lua_type(L, key) == LUA_TSTRING)
    step = (Step){at, STEP_FIELD, lua_tostring(L, key), 0};
  else if (lua_isinteger(L, key))
    step = (Step){at, STEP_INDEX, NULL, lua_tointeger(L, key)};
  write_value(w, key, &key_step, false);
  write_value(w, key + 1, &step, false);
}

static void write_table(Writer *w, int index, const Step *at, bool is_meta) {
  lua_State *L = w->L;
  if (lua_topointer(L, index) == w->globals_table) {
    put_byte(w, TAG_GLOBALS);
    return;
  }
  const bool has_meta = lua_getmetatable(L, index), is_class = is_raw_class(L, index);
  if (!has_meta) lua_pushnil(L);
  const int meta = lua_gettop(L);
  if (write_known(w, index, has_meta || is_meta, is_meta || is_class)) {
    lua_pop(L, 1);
    return;
  }
  if (has_meta && !is_class && write_reduced(w, index, at)) return;
  const lua_Integer number = number_value(w, index),
                    n = (lua_Integer)lua_rawlen(L, index);
  if (is_meta || is_class) keep(w, index, number);
  put_byte(w, TAG_TABLE);
  put_byte(w, is_meta || is_class);
  put_size(w, (uint64_t)n);
  for (lua_Integer i = 1; i <= n; i++) {
    const Step step = {at, STEP_INDEX, NULL, i};
    lua_rawgeti(L, index, i);
    write_value(w, meta + 1, &step, false);
    lua_pop(L, 1);
  }
  /* The class first, so that errors name what is wrong with it in one way. */
  bool has_class = false;
  if (is_meta) {
    lua_pushliteral(L, "class");
    lua_pushvalue(L, -1);
    has_class = lua_rawget(L, index) != LUA_TNIL;
    if (has_class) write_entry(w, meta + 1, at);
    lua_pop(L, 2);
  }
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_isinteger(L, meta + 1) && lua_tointeger(L, meta + 1) >= 1 &&
        lua_tointeger(L, meta + 1) <= n)
      continue;
    if (has_class && lua_type(L, meta + 1) == LUA_TSTRING &&
        strcmp(lua_tostring(L, meta + 1), "class") == 0)
      continue;
    write_entry(w, meta + 1, at);
  }
  put_byte(w, TAG_END);
  const Step step = {at, STEP_METATABLE, NULL, 0};
  write_value(w, meta, &step, true);
  lua_pop(L, 1);
}

static int add_dump(lua_State *L, const void *p, size_t n, void *writer) {
  (void)L;
  put_bytes(writer, p, n);
  return 0;
}

static void note_global(void *ctx, const char *name, size_t length) {
  Writer *w = ctx;
  lua_State *L = w->L;
  lua_pushlstring(L, name, length);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, w->globals) == LUA_TNIL) {
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, w->globals);
    lua_pushvalue(L, -2);
    lua_rawseti(L, w->globals, (lua_Integer)lua_rawlen(L, w->globals) + 1);
  }
  lua_pop(L, 2);
}

static void write_upvalues(Writer *w, int index, lua_Integer number, const Step *at) {
  lua_State *L = w->L;
  const char *name;
  for (int i = 1; (name = lua_getupvalue(L, index, i)); i++) {
    const Step step = {at, STEP_UPVALUE, *name ? name : "?", 0};
    void *id = lua_iscfunction(L, index) ? NULL : lua_upvalueid(L, index, i);
    if (id) {
      lua_pushlightuserdata(L, id);
      if (lua_rawget(L, w->memo) == LUA_TNUMBER) {
        put_byte(w, TAG_UPVALUE);
        put_size(w, (uint64_t)lua_tointeger(L, -1) >> 8);
        put_byte(w, (int)(lua_tointeger(L, -1) & 0xff));
        lua_pop(L, 2);
        continue;
      }
      lua_pop(L, 1);
      lua_pushlightuserdata(L, id);
      lua_pushinteger(L, number << 8 | i);
      lua_rawset(L, w->memo);
    }
    write_value(w, lua_gettop(L), &step, false);
    lua_pop(L, 1);
  }
}

static void write_function(Writer *w, int index, const Step *at) {
  lua_State *L = w->L;
  if (write_known(w, index, true, true)) return;
  const lua_Integer number = number_value(w, index);
  keep(w, index, number);
  lua_Debug ar;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">u", &ar);
  if (lua_iscfunction(L, index)) {
    lua_CFunction function = lua_tocfunction(L, index);
    put_byte(w, TAG_C_FUNCTION);
    put_bytes(w, &function, sizeof function);
    put_byte(w, ar.nups);
    write_upvalues(w, index, number, at);
    return;
  }
  put_byte(w, TAG_FUNCTION);
  const size_t place = w->m->size_bytes;
  uint64_t size = 0;
  put_bytes(w, &size, sizeof size); /* filled in below */
  lua_pushvalue(L, index);
  lua_dump(L, add_dump, w, 0);
  lua_pop(L, 1);
  size = w->m->size_bytes - place - sizeof size;
  memcpy(w->m->bytes + place, &size, sizeof size);
  if (w->how->is_setup) {
    bool env[256] = {false};
    for (int i = 0; i < ar.nups; i++) {
      lua_getupvalue(L, index, i + 1);
      env[i] = lua_topointer(L, -1) == w->globals_table;
      lua_pop(L, 1);
    }
    lpvm_dumped_names(w->m->bytes + place + sizeof size, size, env, note_global, w);
  }
  put_byte(w, ar.nups);
  write_upvalues(w, index, number, at);
}

/* What else is known of a tensor: the tables of Parameters and Buffers are weakly keyed
 * by it. */
static int tensor_marks(lua_State *L, int index) {
  int marks = 0;
  lua_getfield(L, LUA_REGISTRYINDEX, "lampad.core");
  if (lua_getfield(L, -1, "parameters") == LUA_TTABLE) {
    lua_pushvalue(L, index);
    if (lua_rawget(L, -2) != LUA_TNIL) marks |= TENSOR_PARAMETER;
    lua_pop(L, 1);
  }
  if (lua_getfield(L, -2, "buffers") == LUA_TTABLE) {
    lua_pushvalue(L, index);
    if (lua_rawget(L, -2) != LUA_TNIL)
      marks |= TENSOR_BUFFER | (lua_toboolean(L, -1) ? TENSOR_PERSISTENT : 0);
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
  return marks;
}

static void write_tensor(Writer *w, int index, LpTensor *t, const Step *at) {
  lua_State *L = w->L;
  LpvmMessage *m = w->m;
  if (lp_grad_fn(t))
    refuse(w, at,
           "cannot hand a non-leaf tensor which requires_grad to another thread, since "
           "autograd does not cross "
           "from one to the other; if you just want to transfer the data, call detach() "
           "on the tensor");
  if (lp_vmap_level_of(t))
    refuse(w, at, "a tensor inside torch.vmap cannot cross to another thread");
  number_value(w, index);
  if (m->n_tensors == m->tensor_capacity)
    m->tensors =
        grow(L, m->tensors, &m->tensor_capacity, m->n_tensors + 1, sizeof *m->tensors);
  lp_data(t); /* what threads share lies as its strides say */
  LpTensor *copy = lp_tensor_shallow(t);
  if (!copy) lpvm_raise(L, w->how->what);
  m->tensors[m->n_tensors] = copy;
  put_byte(w, TAG_TENSOR);
  put_size(w, m->n_tensors++);
  const bool more = lpvm_push_attributes(L, index);
  put_byte(w, (lp_requires_grad(t) ? TENSOR_GRAD : 0) | tensor_marks(L, index) |
                  (more ? TENSOR_ATTRIBUTES : 0));
  if (!w->how->is_setup)
    lp_memory_thread_charge(-lpvm_tensor_bytes(t)); /* its reader is charged instead */
  if (!more) return;
  write_value(w, lua_gettop(L), at, false);
  lua_pop(L, 1);
}

static void write_userdata(Writer *w, int index, const Step *at) {
  lua_State *L = w->L;
  LpDtype dtype;
  LpDevice device;
  LpMemoryFormat format;
  LpInts sizes;
  LpGenerator *generator;
  double z[2];
  LpTensor *t = lpvm_to_tensor(L, index);
  if (t) {
    if (!write_known(w, index, false, false)) write_tensor(w, index, t, at);
  } else if (lpvm_to_dtype(L, index, &dtype)) {
    put_byte(w, TAG_DTYPE);
    put_byte(w, dtype);
  } else if (lpvm_to_device(L, index, &device)) {
    put_byte(w, TAG_DEVICE);
    put_bytes(w, &device, sizeof device);
  } else if (lpvm_to_format(L, index, &format)) {
    put_byte(w, TAG_FORMAT);
    put_byte(w, format);
  } else if (lpvm_to_size(L, index, &sizes)) {
    put_byte(w, TAG_SIZE);
    put_size(w, (uint64_t)sizes.count);
    put_bytes(w, sizes.data, (size_t)sizes.count * sizeof *sizes.data);
  } else if (lpvm_to_complex(L, index, &z[0], &z[1])) {
    put_byte(w, TAG_COMPLEX);
    put_bytes(w, z, sizeof z);
  } else if ((generator = lpvm_to_generator(L, index))) {
    if (write_known(w, index, false, false)) return;
    number_value(w, index);
    if (generator == lp_default_generator()) {
      put_byte(w, TAG_DEFAULT_GENERATOR);
      return;
    }
    put_byte(w, TAG_GENERATOR);
    lp_generator_get_state(generator, reserve(w, LP_GENERATOR_STATE_BYTES));
  } else {
    if (!lua_getmetatable(L, index))
      refuse(w, at, "a userdata cannot cross to another thread");
    if (write_known(w, index, true, false)) {
      lua_pop(L, 1);
      return;
    }
    if (write_reduced(w, index, at)) return;
    char kind[96], text[256];
    lpvm_describe(L, index, kind, sizeof kind);
    if (strcmp(kind, "torch.layout") == 0) {
      put_byte(w, TAG_STRIDED);
      lua_pop(L, 1);
      return;
    }
    const bool file = strstr(kind, LUA_FILEHANDLE) != NULL;
    snprintf(text, sizeof text,
             file ? "an open file cannot cross to a worker; open it in getitem or in "
                    "worker_init_fn"
             : strstr(kind, "freed") ? "%s cannot cross to a worker"
                                     : "a value of type %s cannot cross to a worker; "
                                       "make it in getitem or in worker_init_fn, or "
                                       "give its metatable a __reduce__",
             kind);
    refuse(w, at, text);
  }
}

static void write_value(Writer *w, int index, const Step *at, bool is_meta) {
  lua_State *L = w->L;
  luaL_checkstack(L, 16, "crossing");
  if (++w->depth > MAX_DEPTH) refuse(w, at, "tables are nested too deeply");
  switch (lua_type(L, index)) {
  case LUA_TNIL: put_byte(w, TAG_NIL); break;
  case LUA_TBOOLEAN: put_byte(w, lua_toboolean(L, index) ? TAG_TRUE : TAG_FALSE); break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) {
      const lua_Integer i = lua_tointeger(L, index);
      put_byte(w, TAG_INTEGER);
      put_size(w, (uint64_t)i << 1 ^
                      (uint64_t)(i >> 63)); /* small ones of either sign stay short */
    } else {
      const lua_Number x = lua_tonumber(L, index);
      put_byte(w, TAG_FLOAT);
      put_bytes(w, &x, sizeof x);
    }
    break;
  case LUA_TSTRING: {
    size_t n;
    const char *text = lua_tolstring(L, index, &n);
    put_byte(w, TAG_STRING);
    put_text(w, text, n);
    break;
  }
  case LUA_TLIGHTUSERDATA: {
    void *p = lua_touserdata(L, index);
    put_byte(w, TAG_LIGHT);
    put_bytes(w, &p, sizeof p);
    break;
  }
  case LUA_TTABLE: write_table(w, index, at, is_meta); break;
  case LUA_TFUNCTION: write_function(w, index, at); break;
  case LUA_TUSERDATA: write_userdata(w, index, at); break;
  default: refuse(w, at, "a coroutine cannot cross to a worker");
  }
  w->depth--;
}

/* The globals that functions of the message use, and the metatable of all globals. */
static void write_globals(Writer *w) {
  lua_State *L = w->L;
  for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, w->globals); i++) {
    lua_pushglobaltable(L);
    lua_rawgeti(L, w->globals, i);
    const Step step = {NULL, STEP_GLOBAL, lua_tostring(L, -1), 0};
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) {
      const int value = lua_gettop(L);
      write_value(w, value - 1, &step, false);
      write_value(w, value, &step, false);
    }
    lua_pop(L, 3);
  }
  put_byte(w, TAG_END);
  lua_pushglobaltable(L);
  if (!lua_getmetatable(L, -1)) lua_pushnil(L);
  const Step step = {NULL, STEP_ROOT, "the metatable of _G", 0};
  write_value(w, lua_gettop(L), &step, true);
  lua_pop(L, 2);
}

/* Modules of the program that were written, so that `require` finds the same there. */
static void write_modules(Writer *w) {
  lua_State *L = w->L;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pushvalue(L, -1);
    if (lua_rawget(L, w->memo) == LUA_TNUMBER) {
      size_t n;
      const char *name = lua_tolstring(L, -3, &n);
      put_byte(w, TAG_STRING);
      put_text(w, name, n);
      put_byte(w, TAG_SAME);
      put_size(w, (uint64_t)lua_tointeger(L, -1));
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  put_byte(w, TAG_END);
}

void lpvm_message_write(lua_State *L, int n, const LpvmWriting *how) {
  luaL_checkstack(L, n + 16, "crossing");
  const int first = lua_gettop(L) - n + 1;
  Writer w = {.L = L, .how = how};
  LpvmMessage **holder = push_holder(L);
  w.m = *holder = calloc(1, sizeof *w.m);
  if (!w.m) luaL_error(L, "not enough memory for a message");
  w.m->n_values = n;
  lua_newtable(L);
  w.memo = lua_gettop(L);
  lua_pushnil(L);
  w.names = lua_gettop(L);
  lua_newtable(L);
  w.globals = lua_gettop(L);
  lua_pushglobaltable(L);
  w.globals_table = lua_topointer(L, -1);
  lua_pop(L, 1);
  if (how->is_setup) need_names(&w);
  for (int i = 0; i < n; i++) {
    char text[32];
    snprintf(text, sizeof text, "value %d", i + 1);
    const Step step = {NULL, STEP_ROOT, i < how->n_names ? how->names[i] : text, 0};
    write_value(&w, first + i, &step, false);
  }
  if (how->is_setup) {
    write_globals(&w);
    write_modules(&w);
  }
  lua_pushvalue(L, first + n);
  lua_replace(L, first);
  lua_settop(L, first);
}
