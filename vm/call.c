/* Schema ops as Lua functions: the argument matcher. One C closure serves every op; its binding lists
 * the op's overloads. Matching reads the Lua stack into an array of LpValue without owning anything but
 * wrapped numbers; then boxes are made, the engine runs, the boxes are filled. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "state.h"
#include "core/tensor.h"
#include "vm.h"

#define MAX_OVERLOADS 8
#define FRAME_INTS 128
#define FRAME_TENSORS 64

struct LpBinding {
  const char *name; /* as called: "add_", "absolute" */
  const char *module;
  bool inplace;
  int n_overloads;
  const LpOpInfo *overloads[MAX_OVERLOADS];
};

/* What a match needs beside the values: storage for lists and the numbers to be wrapped. */
typedef struct Frame {
  LpValue values[LP_MAX_ARGS];
  LpScalar numbers[LP_MAX_ARGS]; /* for arguments in `wrapped` */
  uint32_t wrapped;              /* bit i: values[i].tensor is still to be made from numbers[i] */
  bool loose;                    /* tensors of one element may stand for numbers */
  int n_ints, n_tensors, n_floats;
  int64_t ints[FRAME_INTS];
  double floats[16];
  LpTensor *tensors[FRAME_TENSORS];
} Frame;

/* Why an overload did not match. Asked for only when none does: texts cost more than calls. */
typedef struct Mismatch {
  int progress; /* arguments matched before the fault: the overload that got furthest is reported */
  char text[512];
} Mismatch;

/* --- names ---------------------------------------------------------------------------------------- */

/* Edit distance, for "did you mean"; names are short. */
static int distance(const char *a, const char *b) {
  const int n = (int)strlen(a), m = (int)strlen(b);
  if (n > 40 || m > 40) return 99;
  int row[42];
  for (int j = 0; j <= m; j++) row[j] = j;
  for (int i = 1; i <= n; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      const int above = row[j];
      int best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
      diagonal = above;
    }
  }
  return row[m];
}

static const char *nearest_argument(const LpBinding *b, const char *name) {
  const char *best = NULL;
  int best_distance = 2 + (int)strlen(name) / 2;
  for (int o = 0; o < b->n_overloads; o++) {
    const LpOpInfo *op = b->overloads[o];
    for (int i = 0; i < op->n_args; i++) {
      const int d = distance(name, op->args[i].name);
      if (d < best_distance) {
        best_distance = d;
        best = op->args[i].name;
      }
    }
    if ((op->variants & LP_VARIANT_OUT) && distance(name, "out") < best_distance) best = "out";
  }
  return best;
}

/* PyTorch's factories also take `layout` and `pin_memory`: there is one layout, and no memory to pin. */
static bool is_ignored(const LpOpInfo *op, const char *name) {
  if (strcmp(name, "layout") != 0 && strcmp(name, "pin_memory") != 0) return false;
  for (int i = 0; i < op->n_args; i++)
    if (op->args[i].type == LP_ARG_OPT_DEVICE) return true;
  return false;
}

/* Has the op an argument of this name? Python's `input` is the schema's `self`. */
static bool is_argument(const LpOpInfo *op, const char *name) {
  for (int i = 0; i < op->n_args; i++)
    if (strcmp(op->args[i].name, name) == 0) return true;
  if (strcmp(name, "input") == 0 && op->n_args > 0 && strcmp(op->args[0].name, "self") == 0) return true;
  return (strcmp(name, "out") == 0 && op->call_out) || is_ignored(op, name);
}

static const char *type_text(const LpArgInfo *a, char *buf, size_t buf_bytes) {
  switch (a->type) {
  case LP_ARG_TENSOR:
  case LP_ARG_OPT_TENSOR: return "a tensor";
  case LP_ARG_TENSORS: return "a list of tensors";
  case LP_ARG_OPT_TENSORS: return "a list of tensors or nil";
  case LP_ARG_SCALAR:
  case LP_ARG_OPT_SCALAR: return "a number";
  case LP_ARG_INT:
  case LP_ARG_OPT_INT: return "an int";
  case LP_ARG_FLOAT:
  case LP_ARG_OPT_FLOAT: return "a number";
  case LP_ARG_BOOL:
  case LP_ARG_OPT_BOOL: return "a boolean";
  case LP_ARG_INTS:
  case LP_ARG_OPT_INTS:
    if (a->fixed_count > 1) {
      snprintf(buf, buf_bytes, "an int or a list of %d ints", a->fixed_count);
      return buf;
    }
    return "a list of ints";
  case LP_ARG_FLOATS:
  case LP_ARG_OPT_FLOATS: return "a list of numbers";
  case LP_ARG_STR:
  case LP_ARG_OPT_STR: return "a string";
  case LP_ARG_DTYPE:
  case LP_ARG_OPT_DTYPE: return "a torch.dtype";
  case LP_ARG_OPT_DEVICE: return "a device (\"cpu\", \"cuda\", \"cuda:0\")";
  case LP_ARG_OPT_GENERATOR: return "a torch.Generator";
  case LP_ARG_OPT_FORMAT: return "a torch.memory_format";
  case LP_ARG_MASK: return "a mask";
  }
  return "?";
}

/* --- one value ------------------------------------------------------------------------------------- */

static bool absent_value(LpArgType type, LpValue *v) {
  switch (type) {
  case LP_ARG_OPT_TENSOR: v->tensor = NULL; return true;
  case LP_ARG_OPT_SCALAR: v->opt_scalar.has = false; return true;
  case LP_ARG_OPT_INT: v->opt_int.has = false; return true;
  case LP_ARG_OPT_FLOAT: v->opt_float.has = false; return true;
  case LP_ARG_OPT_BOOL: v->opt_bool.has = false; return true;
  case LP_ARG_OPT_INTS: v->ints = (LpInts){NULL, -1}; return true;
  case LP_ARG_OPT_FLOATS: v->floats = (LpFloats){NULL, -1}; return true;
  case LP_ARG_OPT_STR: v->str = NULL; return true;
  case LP_ARG_OPT_DTYPE: v->dtype = LP_DTYPE_NONE; return true;
  case LP_ARG_OPT_DEVICE: v->device = (LpDevice){LP_DEVICE_NONE, 0}; return true;
  case LP_ARG_OPT_GENERATOR: v->generator = NULL; return true;
  case LP_ARG_OPT_FORMAT: v->format = LP_FORMAT_NONE; return true;
  default: return false;
  }
}

/* An integer, also one written as a float (8 / 2) or held by a 0-d integral tensor. */
static bool to_int(lua_State *L, int index, bool loose, int64_t *result) {
  if (lua_type(L, index) == LUA_TNUMBER) {
    int ok;
    *result = lua_tointegerx(L, index, &ok);
    return ok;
  }
  LpTensor *t = loose && lua_type(L, index) == LUA_TUSERDATA ? lpvm_to_tensor(L, index) : NULL;
  if (!t || lp_numel(t) != 1 || !lp_dtype_is_integral(lp_dtype(t), false)) return false;
  LpScalar s;
  if (!lp_item(t, &s)) return false;
  *result = s.v.i;
  return true;
}

static bool to_scalar(lua_State *L, int index, bool loose, LpScalar *result) {
  if (lpvm_to_scalar(L, index, result)) return true;
  LpTensor *t = loose && lua_type(L, index) == LUA_TUSERDATA ? lpvm_to_tensor(L, index) : NULL;
  return t && lp_ndim(t) == 0 && !lp_requires_grad(t) && lp_item(t, result);
}

static bool to_double(lua_State *L, int index, bool loose, double *result) {
  if (lua_type(L, index) == LUA_TNUMBER) {
    *result = lua_tonumber(L, index);
    return true;
  }
  LpScalar s;
  if (lua_type(L, index) != LUA_TUSERDATA || !to_scalar(L, index, loose, &s) || s.kind == LP_SCALAR_COMPLEX)
    return false;
  *result = lp_scalar_to_double(s);
  return true;
}

/* Space for n entries: in the frame, or in a userdata left on the stack. */
static void *space(lua_State *L, void *frame_items, int *used, int capacity, size_t item_bytes, int64_t n) {
  if (*used + n <= capacity) {
    void *at = (char *)frame_items + (size_t)*used * item_bytes;
    *used += (int)n;
    return at;
  }
  return lua_newuserdatauv(L, (size_t)n * item_bytes, 0);
}

static bool to_ints(lua_State *L, int index, int fixed_count, Frame *f, LpInts *result) {
  if (lpvm_to_size(L, index, result)) return true;
  int64_t one;
  if (!lua_istable(L, index)) {
    if (!to_int(L, index, f->loose, &one)) return false;
    const int n = fixed_count > 1 ? fixed_count : 1;
    int64_t *at = space(L, f->ints, &f->n_ints, FRAME_INTS, sizeof(int64_t), n);
    for (int i = 0; i < n; i++) at[i] = one;
    *result = (LpInts){at, n};
    return true;
  }
  const lua_Unsigned n = lua_rawlen(L, index);
  if (n == 0) {
    lua_pushnil(L);
    if (lua_next(L, index)) { /* an options table is no list */
      lua_pop(L, 2);
      return false;
    }
  }
  int64_t *at = space(L, f->ints, &f->n_ints, FRAME_INTS, sizeof(int64_t), n ? (int64_t)n : 1);
  for (lua_Unsigned i = 0; i < n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    const bool ok = to_int(L, -1, f->loose, &at[i]);
    lua_pop(L, 1);
    if (!ok) return false;
  }
  *result = (LpInts){at, (int64_t)n};
  return true;
}

static bool to_floats(lua_State *L, int index, Frame *f, LpFloats *result) {
  if (!lua_istable(L, index)) {
    double one;
    if (!to_double(L, index, f->loose, &one)) return false;
    double *at = space(L, f->floats, &f->n_floats, 16, sizeof(double), 1);
    *at = one;
    *result = (LpFloats){at, 1};
    return true;
  }
  const lua_Unsigned n = lua_rawlen(L, index);
  double *at = space(L, f->floats, &f->n_floats, 16, sizeof(double), n ? (int64_t)n : 1);
  for (lua_Unsigned i = 0; i < n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    const bool ok = to_double(L, -1, f->loose, &at[i]);
    lua_pop(L, 1);
    if (!ok) return false;
  }
  *result = (LpFloats){at, (int64_t)n};
  return true;
}

int lpvm_to_tensors(lua_State *L, int index, LpTensor **items, int max, bool allow_nil) {
  index = lua_absindex(L, index);
  LpTensor *single = lpvm_to_tensor(L, index);
  if (single) {
    if (max < 1) return -1;
    items[0] = single;
    return 1;
  }
  if (!lua_istable(L, index)) return -1;
  lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  if (allow_nil && lua_getfield(L, index, "n") == LUA_TNUMBER) n = lua_tointeger(L, -1);
  if (allow_nil) lua_pop(L, 1);
  if (n > max) return -1;
  for (lua_Integer i = 0; i < n; i++) {
    const int type = lua_rawgeti(L, index, i + 1);
    items[i] = lpvm_to_tensor(L, -1);
    lua_pop(L, 1);
    if (!items[i] && !(allow_nil && (type == LUA_TNIL || type == LUA_TBOOLEAN))) return -1;
  }
  return (int)n;
}

static bool to_tensor_list(lua_State *L, int index, bool allow_nil, Frame *f, LpTensors *result) {
  if (!lua_istable(L, index)) return false;
  lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  if (allow_nil) {
    if (lua_getfield(L, index, "n") == LUA_TNUMBER) n = lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  LpTensor **at = space(L, f->tensors, &f->n_tensors, FRAME_TENSORS, sizeof(LpTensor *), n ? n : 1);
  if (lpvm_to_tensors(L, index, at, (int)n, allow_nil) != n) return false;
  *result = (LpTensors){at, n};
  return true;
}

/* Reads the Lua value at index as argument i. wrap: numbers may stand for tensors. */
static bool read_value(lua_State *L, int index, const LpOpInfo *op, int i, bool wrap, Frame *f) {
  const LpArgInfo *a = &op->args[i];
  LpValue *v = &f->values[i];
  const int type = lua_type(L, index);
  if (type == LUA_TNIL) return absent_value(a->type, v);
  switch (a->type) {
  case LP_ARG_TENSOR:
  case LP_ARG_OPT_TENSOR:
    if (type == LUA_TUSERDATA && (v->tensor = lpvm_to_tensor(L, index))) return true;
    if (!wrap || !lpvm_to_scalar(L, index, &f->numbers[i])) return false;
    f->wrapped |= 1u << i;
    v->tensor = NULL;
    return true;
  case LP_ARG_TENSORS: return to_tensor_list(L, index, false, f, &v->tensors);
  case LP_ARG_OPT_TENSORS: return to_tensor_list(L, index, true, f, &v->tensors);
  case LP_ARG_SCALAR: return to_scalar(L, index, f->loose, &v->scalar);
  case LP_ARG_OPT_SCALAR: return v->opt_scalar.has = true, to_scalar(L, index, f->loose, &v->opt_scalar.value);
  case LP_ARG_INT: return to_int(L, index, f->loose, &v->i);
  case LP_ARG_OPT_INT: return v->opt_int.has = true, to_int(L, index, f->loose, &v->opt_int.value);
  case LP_ARG_FLOAT: return to_double(L, index, f->loose, &v->f);
  case LP_ARG_OPT_FLOAT: return v->opt_float.has = true, to_double(L, index, f->loose, &v->opt_float.value);
  case LP_ARG_BOOL: return v->b = lua_toboolean(L, index), type == LUA_TBOOLEAN;
  case LP_ARG_OPT_BOOL:
    v->opt_bool = (LpOptBool){true, lua_toboolean(L, index)};
    return type == LUA_TBOOLEAN;
  case LP_ARG_INTS:
  case LP_ARG_OPT_INTS: return to_ints(L, index, a->fixed_count, f, &v->ints);
  case LP_ARG_FLOATS:
  case LP_ARG_OPT_FLOATS: return to_floats(L, index, f, &v->floats);
  case LP_ARG_STR:
  case LP_ARG_OPT_STR: return type == LUA_TSTRING && (v->str = lua_tostring(L, index));
  case LP_ARG_DTYPE:
  case LP_ARG_OPT_DTYPE: return lpvm_to_dtype(L, index, &v->dtype);
  case LP_ARG_OPT_DEVICE: return lpvm_to_device(L, index, &v->device);
  case LP_ARG_OPT_GENERATOR: return (v->generator = lpvm_to_generator(L, index)) != NULL;
  case LP_ARG_OPT_FORMAT: return lpvm_to_format(L, index, &v->format);
  case LP_ARG_MASK: return false;
  }
  return false;
}

/* --- one overload ------------------------------------------------------------------------------------ */

/* A plain table whose keys are strings is the table of named arguments. */
static bool is_options(lua_State *L, int index) {
  if (!lua_istable(L, index) || lua_rawlen(L, index) > 0) return false;
  if (lua_getmetatable(L, index)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushnil(L);
  if (!lua_next(L, index)) return false;
  const bool named = lua_type(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return named;
}

/* A plain table without any entry: a list of nothing, or named arguments that are all nil. */
static bool is_empty_table(lua_State *L, int index) {
  if (!lua_istable(L, index)) return false;
  if (lua_getmetatable(L, index)) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushnil(L);
  if (!lua_next(L, index)) return true;
  lua_pop(L, 2);
  return false;
}

/* May the trailing numbers (or tensors) be spread over this argument? As in PyTorch: when it is the only
 * positional one beside self. */
static bool is_spread(const LpOpInfo *op, int i) {
  const LpArgType type = op->args[i].type;
  if (type == LP_ARG_TENSORS) return i + 1 == op->n_args || op->args[i + 1].keyword_only;
  if ((type != LP_ARG_INTS && type != LP_ARG_OPT_INTS) || op->args[i].fixed_count > 1) return false;
  if (i + 1 < op->n_args && !op->args[i + 1].keyword_only) return false;
  return i == 0 || (i == 1 && op->args[0].type == LP_ARG_TENSOR);
}

static bool mismatch(Mismatch *m, int progress, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
static bool mismatch(Mismatch *m, int progress, const char *format, ...) {
  if (progress >= m->progress) {
    va_list args;
    va_start(args, format);
    vsnprintf(m->text, sizeof m->text, format, args);
    va_end(args);
    m->progress = progress;
  }
  return false;
}
#define MISMATCH(m, ...) ((m) && mismatch((m), __VA_ARGS__))

/* May a number stand for self? With a tensor for `other` it may; of two numbers PyTorch takes those of
 * arithmetic. */
static bool self_may_be_number(lua_State *L, const LpOpInfo *op, int n) {
  static const char *const arithmetic[] = {"add", "sub", "mul", "div", "floor_divide"};
  if (n < 2 || op->n_args < 2 || op->args[1].type != LP_ARG_TENSOR) return false;
  if (lpvm_to_tensor(L, 2)) return true;
  if (strcmp(op->module, "torch") != 0) return false;
  for (size_t i = 0; i < sizeof arithmetic / sizeof *arithmetic; i++)
    if (strcmp(op->name, arithmetic[i]) == 0) return true;
  return false;
}

/* Reads the n positional values from index 1 on and the options at `options` (0: none). m: NULL, or takes the
 * reason. */
static bool match(lua_State *L, const LpOpInfo *op, int n, int options, bool wrap, Frame *f, Mismatch *m) {
  f->wrapped = 0;
  f->n_ints = f->n_tensors = f->n_floats = 0;
  int at = 1, named = 0;
  char buf[96], want[64];
  for (int i = 0; i < op->n_args; i++) {
    const LpArgInfo *a = &op->args[i];
    if (at <= n && !a->keyword_only) {
      if (is_spread(op, i)) {
        if (a->type == LP_ARG_TENSORS && lpvm_to_tensor(L, at)) {
          LpTensor **items = space(L, f->tensors, &f->n_tensors, FRAME_TENSORS, sizeof(LpTensor *), n - at + 1);
          int k = 0;
          for (int j = at; j <= n; j++, k++) {
            if (!(items[k] = lpvm_to_tensor(L, j)))
              return MISMATCH(m, i, "argument '%s' must be tensors, got %s at position %d", a->name,
                              lpvm_describe(L, j, buf, sizeof buf), j);
          }
          f->values[i].tensors = (LpTensors){items, k};
          at = n + 1;
          continue;
        }
        if (at < n && a->type != LP_ARG_TENSORS && lua_type(L, at) == LUA_TNUMBER) {
          int64_t *items = space(L, f->ints, &f->n_ints, FRAME_INTS, sizeof(int64_t), n - at + 1);
          int k = 0;
          for (int j = at; j <= n; j++, k++) {
            if (!to_int(L, j, f->loose, &items[k]))
              return MISMATCH(m, i, "argument '%s' must be ints, got %s at position %d", a->name,
                              lpvm_describe(L, j, buf, sizeof buf), j);
          }
          f->values[i].ints = (LpInts){items, k};
          at = n + 1;
          continue;
        }
      }
      if (!read_value(L, at, op, i, wrap && i > 0, f) &&
          !(wrap && i == 0 && self_may_be_number(L, op, n) && read_value(L, at, op, i, true, f)))
        return MISMATCH(m, i, "argument '%s' must be %s, got %s", a->name, type_text(a, want, sizeof want),
                        lpvm_describe(L, at, buf, sizeof buf));
      at++;
      continue;
    }
    if (options) {
      int type = lua_getfield(L, options, a->name);
      if (type == LUA_TNIL && i == 0 && strcmp(a->name, "self") == 0) {
        lua_pop(L, 1);
        type = lua_getfield(L, options, "input");
      }
      if (type != LUA_TNIL) {
        const int top = lua_gettop(L);
        const bool ok = read_value(L, top, op, i, wrap, f);
        if (!ok)
          return MISMATCH(m, i, "argument '%s' must be %s, got %s", a->name, type_text(a, want, sizeof want),
                          lpvm_describe(L, top, buf, sizeof buf));
        /* Strings and lists stay reachable: the options table holds them. */
        lua_remove(L, top);
        named++;
        continue;
      }
      lua_pop(L, 1);
    }
    if (!a->has_default)
      return MISMATCH(m, i, "missing argument '%s' (%s)", a->name, type_text(a, want, sizeof want));
    f->values[i] = a->default_value;
  }
  if (at <= n)
    return MISMATCH(m, op->n_args, "takes at most %d positional arguments, got %d", at - 1, n);
  if (options) {
    for (lua_pushnil(L); lua_next(L, options); lua_pop(L, 1)) {
      const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
      if (name && is_ignored(op, name)) {
        const bool layout = strcmp(name, "layout") == 0;
        if (lua_type(L, -1) == (layout ? LUA_TUSERDATA : LUA_TBOOLEAN)) continue;
        const bool ok = MISMATCH(m, op->n_args, "argument '%s' must be %s, got %s", name,
                                 layout ? "torch.strided" : "a boolean", lpvm_describe(L, -1, buf, sizeof buf));
        lua_pop(L, 2);
        return ok;
      }
      if (name && is_argument(op, name)) continue;
      const bool ok = MISMATCH(m, op->n_args, "unknown argument '%s'", name ? name : "[number]");
      lua_pop(L, 2);
      return ok;
    }
    int given = 0;
    for (lua_pushnil(L); lua_next(L, options); lua_pop(L, 1)) {
      const char *name = lua_tostring(L, -2);
      if (strcmp(name, "out") != 0 && !is_ignored(op, name)) given++;
    }
    if (given > named) return MISMATCH(m, op->n_args, "an argument is given by position and by name");
  }
  return true;
}

/* Raises the error of a call that fits no overload. */
static int raise_mismatch(lua_State *L, const LpBinding *b, int options, const Mismatch *m) {
  if (options) {
    for (lua_pushnil(L); lua_next(L, options); lua_pop(L, 1)) {
      const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
      bool known = false;
      for (int o = 0; name && o < b->n_overloads; o++) known = known || is_argument(b->overloads[o], name);
      if (known) continue;
      const char *nearest = name ? nearest_argument(b, name) : NULL;
      if (nearest)
        return lpvm_error(L, b->name, "unknown argument '%s'; did you mean '%s'?", name, nearest);
      return lpvm_error(L, b->name, "unknown argument '%s'; the signature is %s", name ? name : "[number]",
                        b->overloads[0]->signature);
    }
  }
  if (b->n_overloads == 1) return lpvm_error(L, b->name, "%s", m->text);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, m->text);
  luaL_addstring(&text, "; the forms are");
  for (int o = 0; o < b->n_overloads; o++) {
    luaL_addstring(&text, "\n  ");
    luaL_addstring(&text, b->overloads[o]->signature);
  }
  luaL_pushresult(&text);
  return lpvm_error(L, b->name, "%s", lua_tostring(L, -1));
}

/* --- running ------------------------------------------------------------------------------------------ */

static void drop_wrapped(const LpOpInfo *op, Frame *f) {
  if (!f->wrapped) return;
  for (int i = 0; i < op->n_args; i++)
    if (f->wrapped >> i & 1) lp_tensor_release(f->values[i].tensor);
}

static bool make_wrapped(const LpOpInfo *op, Frame *f) {
  if (LP_LIKELY(!f->wrapped)) return true;
  for (int i = 0; i < op->n_args; i++) {
    if (!(f->wrapped >> i & 1)) continue;
    if (!(f->values[i].tensor = lp_tensor_wrapped(f->numbers[i]))) {
      f->wrapped &= (1u << i) - 1;
      drop_wrapped(op, f);
      return false;
    }
  }
  return true;
}

/* Guards a list of result tensors while boxes are made for them. */
static int vec_gc(lua_State *L) {
  lp_tensor_vec_free(lua_touserdata(L, 1));
  return 0;
}

static LpTensorVec *new_vec_guard(lua_State *L) {
  LpTensorVec *vec = lua_newuserdatauv(L, sizeof *vec, 0);
  *vec = (LpTensorVec){NULL, 0};
  if (luaL_newmetatable(L, "lampad.TensorVec")) {
    lua_pushcfunction(L, vec_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return vec;
}

static int call_out(lua_State *L, const LpBinding *b, const LpOpInfo *op, Frame *f, int options) {
  LpTensor *outs[LP_MAX_RESULTS];
  lua_getfield(L, options, "out");
  const int out_index = lua_gettop(L);
  char buf[96];
  if (!op->call_out) lpvm_error(L, b->name, "there is no out= form");
  if (lpvm_to_tensors(L, out_index, outs, LP_MAX_RESULTS, false) != op->n_results)
    lpvm_error(L, b->name, "argument 'out' must be %s, got %s",
               op->n_results == 1 ? "a tensor" : "a list with one tensor for each result",
               lpvm_describe(L, out_index, buf, sizeof buf));
  if (!make_wrapped(op, f)) lpvm_raise(L, b->name);
  const bool ok = op->call_out(outs, f->values);
  drop_wrapped(op, f);
  if (!ok) lpvm_raise(L, b->name);
  if (op->n_results == 1) {
    if (lua_istable(L, out_index)) lua_rawgeti(L, out_index, 1);
    return 1;
  }
  luaL_checkstack(L, op->n_results, NULL);
  for (int i = 0; i < op->n_results; i++) lua_rawgeti(L, out_index, i + 1);
  return op->n_results;
}

static int run(lua_State *L, const LpBinding *b, const LpOpInfo *op, Frame *f, int options) {
  lpvm_running = L;
  if (b->inplace) {
    char buf[96];
    if (options != 1 && !lpvm_to_tensor(L, 1)) /* a number may stand for a tensor, but not be written to */
      lpvm_error(L, b->name, "argument 'self' must be a tensor, got %s", lpvm_describe(L, 1, buf, sizeof buf));
    if (!make_wrapped(op, f)) lpvm_raise(L, b->name);
    const bool ok = op->call_inplace(f->values);
    drop_wrapped(op, f);
    if (!ok) lpvm_raise(L, b->name);
    if (lpvm_to_tensor(L, 1)) lua_pushvalue(L, 1);
    else if (lua_getfield(L, options, op->args[0].name) == LUA_TNIL) lua_getfield(L, options, "input");
    return 1;
  }
  if (LP_UNLIKELY(options && op->call_out)) {
    if (lua_getfield(L, options, "out") != LUA_TNIL) return call_out(L, b, op, f, options);
    lua_pop(L, 1);
  }
  lpvm_collect_pressure(L);
  LpValue results[LP_MAX_RESULTS];
  if (LP_LIKELY(op->n_results == 1 && op->result_types[0] == LP_RESULT_TENSOR)) {
    LpBox *box = lpvm_new_box(L);
    if (!make_wrapped(op, f)) lpvm_raise(L, b->name);
    const bool ok = op->call(f->values, results);
    drop_wrapped(op, f);
    if (LP_UNLIKELY(!ok)) lpvm_raise(L, b->name);
    lpvm_fill_box(L, box, results[0].tensor);
    /* self itself, as contiguous() may give, is the value that was handed over. */
    if (LP_UNLIKELY(f->values[0].tensor == results[0].tensor) && lpvm_to_tensor(L, 1) == results[0].tensor)
      lua_pushvalue(L, 1);
    return 1;
  }
  if (op->n_results > 1) {
    LpBox *boxes[LP_MAX_RESULTS];
    luaL_checkstack(L, op->n_results + 4, NULL);
    for (int i = 0; i < op->n_results; i++) boxes[i] = lpvm_new_box(L);
    if (!make_wrapped(op, f)) lpvm_raise(L, b->name);
    const bool ok = op->call(f->values, results);
    drop_wrapped(op, f);
    if (!ok) lpvm_raise(L, b->name);
    for (int i = 0; i < op->n_results; i++)
      if (results[i].tensor) lpvm_fill_box(L, boxes[i], results[i].tensor);
    return op->n_results;
  }
  LpTensorVec *vec = op->n_results && op->result_types[0] == LP_RESULT_TENSORS ? new_vec_guard(L) : NULL;
  if (!make_wrapped(op, f)) lpvm_raise(L, b->name);
  const bool ok = op->call(f->values, results);
  drop_wrapped(op, f);
  if (!ok) lpvm_raise(L, b->name);
  if (op->n_results == 0) return 0;
  switch (op->result_types[0]) {
  case LP_RESULT_TENSORS:
    *vec = results[0].vec;
    lua_createtable(L, (int)vec->count, 0);
    for (int64_t i = 0; i < vec->count; i++) {
      LpBox *box = lpvm_new_box(L);
      lpvm_fill_box(L, box, vec->data[i]);
      vec->data[i] = NULL;
      lua_rawseti(L, -2, i + 1);
    }
    return 1;
  case LP_RESULT_BOOL: lua_pushboolean(L, results[0].b); return 1;
  case LP_RESULT_INT: lua_pushinteger(L, results[0].i); return 1;
  case LP_RESULT_FLOAT: lua_pushnumber(L, results[0].f); return 1;
  case LP_RESULT_SCALAR: lpvm_push_scalar(L, results[0].scalar); return 1;
  case LP_RESULT_DTYPE: lpvm_push_dtype(L, results[0].dtype); return 1;
  default: return 0;
  }
}

/* The form that the values fit: first as they are; then with tensors of one element standing for numbers; then
 * with numbers standing for tensors. */
static const LpOpInfo *find_form(lua_State *L, const LpBinding *b, int n, int options, Frame *f, Mismatch *m) {
  const int top = lua_gettop(L);
  for (int pass = b->n_overloads == 1 ? 2 : 0; pass < 3; pass++) {
    f->loose = pass > 0;
    for (int o = 0; o < b->n_overloads; o++) {
      if (match(L, b->overloads[o], n, options, pass == 2, f, m)) return b->overloads[o];
      lua_settop(L, top);
    }
  }
  return NULL;
}

static int __attribute__((noinline, cold)) explain_mismatch(lua_State *L, const LpBinding *b, int n, int options,
                                                            bool retried) {
  Frame f;
  Mismatch m = {-1, ""};
  if (retried) find_form(L, b, n + 1, 0, &f, &m);
  find_form(L, b, n, options, &f, &m);
  return raise_mismatch(L, b, options, &m);
}

int lpvm_call_binding(lua_State *L, const LpBinding *b, int n) {
  Frame f;
  const LpOpInfo *op;
  int options = 0;
  if (n > 0 && lua_type(L, n) == LUA_TTABLE && is_options(L, n)) options = n--;
  if (LP_LIKELY((op = find_form(L, b, n, options, &f, NULL)) != NULL)) return run(L, b, op, &f, options);
  /* f(x, {dtype = nil}): an empty table that is no argument of any form is the one of named arguments. */
  const bool retry = !options && n > 0 && is_empty_table(L, n);
  if (retry) {
    options = n--;
    if ((op = find_form(L, b, n, options, &f, NULL))) return run(L, b, op, &f, options);
  }
  return explain_mismatch(L, b, n, options, retry);
}

static int call_entry(lua_State *L) {
  return lpvm_call_binding(L, lua_touserdata(L, lua_upvalueindex(1)), lua_gettop(L));
}

/* --- opening: bindings from the op table ------------------------------------------------------------------ */

static const char bindings_key = 0; /* registry: "module\0name" -> binding userdata */

const LpBinding *lpvm_find_binding(lua_State *L, const char *module, const char *name) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &bindings_key);
  lua_pushfstring(L, "%s:%s", module, name);
  lua_rawget(L, -2);
  const LpBinding *b = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return b;
}

/* Adds op as an overload of module:name; bindings table at the top of the stack. */
static void add_overload(lua_State *L, const char *module, const char *name, const LpOpInfo *op, bool inplace) {
  lua_pushfstring(L, "%s:%s", module, name);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  LpBinding *b = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (!b) {
    const size_t n = strlen(name) + 1, k = strlen(module) + 1;
    b = lua_newuserdatauv(L, sizeof *b + n + k, 0);
    char *text = (char *)(b + 1);
    memcpy(text, name, n);
    memcpy(text + n, module, k);
    *b = (LpBinding){text, text + n, inplace, 0, {NULL}};
    lua_rawset(L, -3);
  } else {
    lua_pop(L, 1);
  }
  for (int i = 0; i < b->n_overloads; i++)
    if (b->overloads[i] == op) return;
  if (b->n_overloads == MAX_OVERLOADS) luaL_error(L, "op %s has more than %d overloads", name, MAX_OVERLOADS);
  b->overloads[b->n_overloads++] = op;
}

/* Sets t[name] = the function of binding module:name. */
static void set_function(lua_State *L, int t, const char *module, const char *name) {
  lua_pushlightuserdata(L, (void *)lpvm_find_binding(L, module, name));
  lua_pushcclosure(L, call_entry, 1);
  lua_setfield(L, t, name);
}

/* Calls visit for the op's names: its own, its aliases; in place too. */
typedef void (*Visit)(lua_State *L, const LpOpInfo *op, const char *name, bool inplace, int torch_index,
                      int methods_index);
static void each_name(lua_State *L, const LpOpInfo *op, Visit visit, int torch_index, int methods_index) {
  char names[256], inplace_name[128];
  snprintf(names, sizeof names, "%s %s", op->name, op->aliases);
  char *save = NULL;
  for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
    if (op->call) visit(L, op, name, false, torch_index, methods_index);
    if (op->call_inplace) {
      snprintf(inplace_name, sizeof inplace_name, "%s_", name);
      visit(L, op, inplace_name, true, torch_index, methods_index);
    }
  }
}

/* Methods are kept apart from functions of the same name, as a module "Tensor": an overload may have only one of
 * the two variants. */
static void collect(lua_State *L, const LpOpInfo *op, const char *name, bool inplace, int torch_index,
                    int methods_index) {
  char modules[128];
  snprintf(modules, sizeof modules, "%s", op->module);
  char *save = NULL;
  const bool function = op->variants & LP_VARIANT_FUNCTION;
  for (char *m = strtok_r(modules, " ", &save); m; m = strtok_r(NULL, " ", &save)) {
    if (function || strcmp(m, "torch") == 0) add_overload(L, m, name, op, inplace);
  }
  if ((op->variants & LP_VARIANT_METHOD) || inplace) add_overload(L, "Tensor", name, op, inplace);
}

static void publish(lua_State *L, const LpOpInfo *op, const char *name, bool inplace, int torch_index,
                    int methods_index) {
  char modules[128];
  snprintf(modules, sizeof modules, "%s", op->module);
  char *save = NULL;
  if (op->variants & LP_VARIANT_FUNCTION) {
    for (char *m = strtok_r(modules, " ", &save); m; m = strtok_r(NULL, " ", &save)) {
      if (strcmp(m, "torch") == 0) {
        set_function(L, torch_index, m, name);
        continue;
      }
      lua_getfield(L, LUA_REGISTRYINDEX, "lampad.modules");
      luaL_getsubtable(L, -1, m);
      set_function(L, lua_gettop(L), m, name);
      lua_pop(L, 2);
    }
  }
  if ((op->variants & LP_VARIANT_METHOD) || inplace) set_function(L, methods_index, "Tensor", name);
}

void lpvm_open_ops(lua_State *L, int torch_index, int methods_index) {
  torch_index = lua_absindex(L, torch_index);
  methods_index = lua_absindex(L, methods_index);
  int count;
  const LpOpInfo *const *ops = lp_op_db(&count);
  lua_createtable(L, 0, 2 * count);
  for (int i = 0; i < count; i++) {
    if (ops[i]->variants & LP_VARIANT_INTERNAL) continue;
    each_name(L, ops[i], collect, torch_index, methods_index);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &bindings_key);
  for (int i = 0; i < count; i++) {
    if (ops[i]->variants & LP_VARIANT_INTERNAL) continue;
    each_name(L, ops[i], publish, torch_index, methods_index);
  }
}
