/* Lua values to tensors and back: numbers, nested tables, torch.tensor, x:item(),
 * x:tolist(). Tables are read twice: once to learn shape and dtype, once to store;
 * nothing here raises while a tensor is owned. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/float8.h"
#include "lampad/vmap.h"
#include "types.h"

/* --- scalars
 * -------------------------------------------------------------------------------- */

/* A NaN without sign: Lua would print "-nan", which is what x86 makes of 0 / 0. */
static void push_float(lua_State *L, double v) {
  lua_pushnumber(L, isnan(v) ? (lua_Number)NAN : v);
}

void lpvm_push_scalar(lua_State *L, LpScalar scalar) {
  switch (scalar.kind) {
  case LP_SCALAR_BOOL: lua_pushboolean(L, scalar.v.i != 0); break;
  case LP_SCALAR_INT: lua_pushinteger(L, scalar.v.i); break;
  case LP_SCALAR_FLOAT: push_float(L, scalar.v.f); break;
  case LP_SCALAR_COMPLEX: lpvm_push_complex(L, scalar.v.c[0], scalar.v.c[1]); break;
  }
}

bool lpvm_to_scalar(lua_State *L, int index, LpScalar *result) {
  double re, im;
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
    *result = lua_isinteger(L, index) ? lp_scalar_int(lua_tointeger(L, index))
                                      : lp_scalar_float(lua_tonumber(L, index));
    return true;
  case LUA_TBOOLEAN: *result = lp_scalar_bool(lua_toboolean(L, index)); return true;
  case LUA_TUSERDATA:
    if (!lpvm_to_complex(L, index, &re, &im)) return false;
    *result = lp_scalar_complex(re, im);
    return true;
  default: return false;
  }
}

/* --- reading tables
 * ------------------------------------------------------------------------- */

typedef struct Builder {
  lua_State *L;
  int ndim;
  int64_t sizes[LP_MAX_DIMS];
  int64_t path[LP_MAX_DIMS]; /* the position being read, from 1 */
  LpDtype dtype;             /* promoted over the elements seen; NONE before the first */
  bool seen[LP_SCALAR_COMPLEX + 1];
  char *out;
} Builder;

/* "data[2][1]" for the first `depth` levels of the path. */
static const char *path_text(const Builder *b, int depth, char *buf, size_t buf_bytes) {
  size_t n = (size_t)snprintf(buf, buf_bytes, "data");
  for (int d = 0; d < depth && n + 24 < buf_bytes; d++)
    n += (size_t)snprintf(buf + n, buf_bytes - n, "[%lld]", (long long)b->path[d]);
  return buf;
}
#define PATH(b, depth) path_text((b), (depth), (char[512]){0}, 512)

static bool is_sequence(lua_State *L, int index) {
  LpInts sizes;
  return lua_type(L, index) == LUA_TTABLE || lpvm_to_size(L, index, &sizes);
}

/* Learns the shape from the first element of each level. */
static bool measure(Builder *b, int index) {
  lua_State *L = b->L;
  LpInts sizes;
  lua_pushvalue(L, index);
  for (b->ndim = 0; is_sequence(L, -1); b->ndim++) {
    if (b->ndim == LP_MAX_DIMS) {
      lua_pop(L, 1);
      return lp_fail(LP_ERR_ARGUMENT, "data is nested deeper than %d levels",
                     LP_MAX_DIMS);
    }
    b->path[b->ndim] = 1;
    if (lpvm_to_size(L, -1, &sizes)) {
      b->sizes[b->ndim++] = sizes.count;
      break;
    }
    b->sizes[b->ndim] = (int64_t)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
    if (!b->sizes[b->ndim]) {
      b->ndim++;
      break;
    }
  }
  lua_pop(L, 1);
  return true;
}

/* The value on top of the stack as one element. */
static bool read_leaf(Builder *b, LpScalar *value) {
  lua_State *L = b->L;
  char buf[160];
  LpTensor *t;
  if (lpvm_to_scalar(L, -1, value)) return true;
  if ((t = lpvm_to_tensor(L, -1)) != NULL) {
    if (lp_numel(t) != 1)
      return lp_fail(LP_ERR_ARGUMENT,
                     "%s is a tensor of %lld elements, and only one-element tensors can "
                     "be converted to "
                     "numbers; use torch.stack or torch.cat to join tensors",
                     PATH(b, b->ndim), (long long)lp_numel(t));
    return lp_item(t, value);
  }
  if (is_sequence(L, -1))
    return lp_fail(LP_ERR_ARGUMENT,
                   "%s is a list, where its first neighbour is a single value",
                   PATH(b, b->ndim));
  return lp_fail(LP_ERR_TYPE,
                 "%s must be a number, boolean or one-element tensor, got %s",
                 PATH(b, b->ndim), lpvm_describe(L, -1, buf, sizeof buf));
}

/* The sequence on top of the stack must have the length its level has. */
static bool check_length(Builder *b, int depth) {
  lua_State *L = b->L;
  LpInts sizes;
  char buf[160];
  if (!is_sequence(L, -1))
    return lp_fail(LP_ERR_ARGUMENT, "expected a list of length %lld at %s, got %s",
                   (long long)b->sizes[depth], PATH(b, depth),
                   lpvm_describe(L, -1, buf, sizeof buf));
  int64_t length = lpvm_to_size(L, -1, &sizes) ? sizes.count : (int64_t)lua_rawlen(L, -1);
  if (length != b->sizes[depth])
    return lp_fail(LP_ERR_ARGUMENT,
                   "expected a list of length %lld at dim %d, but %s has length %lld",
                   (long long)b->sizes[depth], depth, PATH(b, depth), (long long)length);
  if (length == 0 && lua_type(L, -1) == LUA_TTABLE) {
    lua_pushnil(L);
    if (lua_next(L, -2)) {
      lua_pop(L, 2);
      return lp_fail(
          LP_ERR_ARGUMENT,
          "%s has no element at key 1 but has other keys; lists start at key 1",
          PATH(b, depth));
    }
  }
  return true;
}

/* Pushes element i (from 0) of the sequence on top of the stack. */
static void push_element(lua_State *L, int64_t i) {
  LpInts sizes;
  if (lua_type(L, -1) == LUA_TTABLE)
    lua_rawgeti(L, -1, i + 1);
  else {
    lpvm_to_size(L, -1, &sizes);
    lua_pushinteger(L, sizes.data[i]);
  }
}

/* First pass: checks lengths and collects the kinds of the elements under the value on
 * top. */
static bool scan(Builder *b, int depth) {
  lua_State *L = b->L;
  LpScalar value;
  if (depth == b->ndim) {
    const LpTensor *t = lpvm_to_tensor(L, -1);
    if (!read_leaf(b, &value)) return false;
    if (t)
      b->dtype = b->dtype == LP_DTYPE_NONE ? lp_dtype(t)
                                           : lp_promote_types(b->dtype, lp_dtype(t));
    else
      b->seen[value.kind] = true;
    return true;
  }
  if (!check_length(b, depth)) return false;
  if (!lua_checkstack(L, 4)) return lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
  bool last = depth == b->ndim - 1;
  for (int64_t i = 0; i < b->sizes[depth]; i++) {
    push_element(L, i);
    if (last && lua_type(L, -1) == LUA_TNUMBER) {
      b->seen[lua_isinteger(L, -1) ? LP_SCALAR_INT : LP_SCALAR_FLOAT] = true;
    } else {
      b->path[depth] = i + 1;
      if (!scan(b, depth + 1)) return lua_pop(L, 1), false;
    }
    lua_pop(L, 1);
  }
  return true;
}

static bool fail_overflow(const Builder *b, LpDtype dtype) {
  return lp_fail(LP_ERR_ARGUMENT, "%s cannot be converted to torch.%s without overflow",
                 PATH(b, b->ndim), lp_dtype_name(dtype));
}

/* The value as an integer of the dtype. As in PyTorch, -n in uint8 stands for 256 - n. */
static bool to_integer(const Builder *b, LpScalar value, LpDtype dtype, int64_t *result) {
  int bits = (int)lp_dtype_size(dtype) * 8;
  int64_t max = dtype == LP_UINT8 ? 255 : INT64_MAX >> (64 - bits);
  int64_t min = dtype == LP_UINT8 ? -255 : -max - 1;
  if (dtype == LP_UINT16 || dtype == LP_UINT32) max = (INT64_C(1) << bits) - 1, min = 0;
  if (dtype == LP_UINT64) {
    min = 0;
    if (value.kind == LP_SCALAR_FLOAT && value.v.f >= 0x1p63 && value.v.f < 0x1p64) {
      *result = (int64_t)(uint64_t)value.v.f;
      return true;
    }
  }
  if (value.kind == LP_SCALAR_FLOAT) {
    double f = trunc(value.v.f);
    if (!(f >= (double)min && (bits == 64 ? f < 0x1p63 : f <= (double)max)))
      return fail_overflow(b, dtype);
    *result = (int64_t)f;
    return true;
  }
  *result = value.v.i;
  return (*result >= min && *result <= max) || fail_overflow(b, dtype);
}

/* Stores one element at `to`. */
static bool store(const Builder *b, LpDtype dtype, char *to, LpScalar value) {
  int64_t i = 0;
  if (value.kind == LP_SCALAR_COMPLEX && !lp_dtype_is_complex(dtype))
    return lp_fail(LP_ERR_TYPE, "%s is complex and cannot be stored as torch.%s",
                   PATH(b, b->ndim), lp_dtype_name(dtype));
  if (lp_dtype_is_integral(dtype, false) && !to_integer(b, value, dtype, &i))
    return false;
  double re = lp_scalar_to_double(value),
         im = value.kind == LP_SCALAR_COMPLEX ? value.v.c[1] : 0;
  switch (dtype) {
  case LP_UINT8: *(uint8_t *)to = (uint8_t)i; break;
  case LP_INT8: *(int8_t *)to = (int8_t)i; break;
  case LP_INT16: *(int16_t *)to = (int16_t)i; break;
  case LP_INT32: *(int32_t *)to = (int32_t)i; break;
  case LP_INT64: *(int64_t *)to = i; break;
  case LP_FLOAT16: *(uint16_t *)to = lp_half_from_float((float)re); break;
  case LP_BFLOAT16: *(uint16_t *)to = lp_bf16_from_float((float)re); break;
  case LP_UINT16: *(uint16_t *)to = (uint16_t)i; break;
  case LP_UINT32: *(uint32_t *)to = (uint32_t)i; break;
  case LP_UINT64: *(uint64_t *)to = (uint64_t)i; break;
  case LP_FLOAT8_E4M3FN:
  case LP_FLOAT8_E5M2:
  case LP_FLOAT8_E4M3FNUZ:
  case LP_FLOAT8_E5M2FNUZ:
    *(uint8_t *)to = lp_float8_from_float((float)re, lp_float8_of(dtype));
    break;
  case LP_FLOAT32: *(float *)to = (float)re; break;
  case LP_FLOAT64: *(double *)to = re; break;
  case LP_COMPLEX64:
    ((float *)to)[0] = (float)re;
    ((float *)to)[1] = (float)im;
    break;
  case LP_COMPLEX128:
    ((double *)to)[0] = re;
    ((double *)to)[1] = im;
    break;
  case LP_BOOL: *(uint8_t *)to = re != 0 || im != 0; break;
  default: return lp_fail(LP_ERR_INTERNAL, "no such dtype: %d", (int)dtype);
  }
  return true;
}

/* Second pass: stores the elements under the value on top, in order, at b->out. */
static bool fill(Builder *b, int depth, LpDtype dtype) {
  lua_State *L = b->L;
  LpScalar value;
  if (depth == b->ndim) {
    if (!read_leaf(b, &value) || !store(b, dtype, b->out, value)) return false;
    b->out += lp_dtype_size(dtype);
    return true;
  }
  bool last = depth == b->ndim - 1;
  for (int64_t i = 0; i < b->sizes[depth]; i++) {
    push_element(L, i);
    if (last && dtype == LP_FLOAT32 && lua_type(L, -1) == LUA_TNUMBER) {
      *(float *)b->out = (float)lua_tonumber(L, -1);
      b->out += sizeof(float);
    } else if (last && dtype == LP_FLOAT64 && lua_type(L, -1) == LUA_TNUMBER) {
      *(double *)b->out = lua_tonumber(L, -1);
      b->out += sizeof(double);
    } else if (last && dtype == LP_INT64 && lua_isinteger(L, -1)) {
      *(int64_t *)b->out = lua_tointeger(L, -1);
      b->out += sizeof(int64_t);
    } else {
      b->path[depth] = i + 1;
      if (!fill(b, depth + 1, dtype)) return lua_pop(L, 1), false;
    }
    lua_pop(L, 1);
  }
  return true;
}

/* What the elements ask for when no dtype was given. */
static LpDtype infer_dtype(const Builder *b) {
  LpDtype dtype = b->dtype;
  static const LpScalar samples[] = {{LP_SCALAR_BOOL, {.i = 0}},
                                     {LP_SCALAR_INT, {.i = 0}},
                                     {LP_SCALAR_FLOAT, {.f = 0}},
                                     {LP_SCALAR_COMPLEX, {.c = {0, 0}}}};
  for (int kind = LP_SCALAR_BOOL; kind <= LP_SCALAR_COMPLEX; kind++) {
    if (!b->seen[kind]) continue;
    LpDtype own = lp_scalar_dtype(samples[kind]);
    dtype = dtype == LP_DTYPE_NONE ? own : lp_promote_types(dtype, own);
  }
  return dtype == LP_DTYPE_NONE ? lp_default_dtype() : dtype;
}

/* Options inside the data, as in torch.tensor{1, 2, dtype = ...}, would silently be lost.
 */
static bool check_no_options(lua_State *L, int index) {
  static const char *const names[] = {"dtype", "device", "requires_grad"};
  if (lua_type(L, index) != LUA_TTABLE) return true;
  for (int i = 0; i < 3; i++) {
    lua_pushstring(L, names[i]);
    bool found = lua_rawget(L, index) != LUA_TNIL;
    lua_pop(L, 1);
    if (found)
      return lp_fail(
          LP_ERR_ARGUMENT,
          "the option '%s' stands inside the data; give options in a second table: "
          "torch.tensor({1, 2}, {%s = ...})",
          names[i], names[i]);
  }
  return true;
}

LpTensor *lpvm_tensor_from_lua(lua_State *L, int index, LpDtype dtype) {
  Builder b = {.L = L, .dtype = LP_DTYPE_NONE};
  if (!lua_checkstack(L, 4)) {
    lp_fail(LP_ERR_MEMORY, "the Lua stack is full");
    return NULL;
  }
  index = lua_absindex(L, index);
  if (!check_no_options(L, index) || !measure(&b, index)) return NULL;
  lua_pushvalue(L, index);
  LpTensor *t = NULL;
  if (scan(&b, 0)) {
    if (dtype == LP_DTYPE_NONE) dtype = infer_dtype(&b);
    t = lp_tensor_new((LpInts){b.sizes, b.ndim}, dtype, (LpDevice){LP_CPU, 0});
    if (t) {
      b.out = lp_data(t);
      if (!fill(&b, 0, dtype)) {
        lp_tensor_release(t);
        t = NULL;
      }
    }
  }
  lua_pop(L, 1);
  return t;
}

/* --- tensors to Lua
 * ------------------------------------------------------------------------- */

/* What Lua's integers do not hold is the nearest float. */
static void push_uint64(lua_State *L, uint64_t u) {
  if (u <= INT64_MAX)
    lua_pushinteger(L, (lua_Integer)u);
  else
    lua_pushnumber(L, (double)u);
}

static void push_element_of(lua_State *L, LpDtype dtype, const char *from) {
  switch (dtype) {
  case LP_UINT8: lua_pushinteger(L, *(const uint8_t *)from); break;
  case LP_INT8: lua_pushinteger(L, *(const int8_t *)from); break;
  case LP_INT16: lua_pushinteger(L, *(const int16_t *)from); break;
  case LP_INT32: lua_pushinteger(L, *(const int32_t *)from); break;
  case LP_INT64: lua_pushinteger(L, *(const int64_t *)from); break;
  case LP_FLOAT16: push_float(L, lp_half_to_float(*(const uint16_t *)from)); break;
  case LP_BFLOAT16: push_float(L, lp_bf16_to_float(*(const uint16_t *)from)); break;
  case LP_UINT16: lua_pushinteger(L, *(const uint16_t *)from); break;
  case LP_UINT32: lua_pushinteger(L, *(const uint32_t *)from); break;
  case LP_UINT64: push_uint64(L, *(const uint64_t *)from); break;
  case LP_FLOAT8_E4M3FN:
  case LP_FLOAT8_E5M2:
  case LP_FLOAT8_E4M3FNUZ:
  case LP_FLOAT8_E5M2FNUZ:
    push_float(L, lp_float8_to_float(*(const uint8_t *)from, lp_float8_of(dtype)));
    break;
  case LP_FLOAT32: push_float(L, *(const float *)from); break;
  case LP_FLOAT64: push_float(L, *(const double *)from); break;
  case LP_COMPLEX64:
    lpvm_push_complex(L, ((const float *)from)[0], ((const float *)from)[1]);
    break;
  case LP_COMPLEX128:
    lpvm_push_complex(L, ((const double *)from)[0], ((const double *)from)[1]);
    break;
  case LP_BOOL: lua_pushboolean(L, *(const uint8_t *)from != 0); break;
  default: lua_pushnil(L);
  }
}

/* Pushes the nested table of dims [dim, ndim) at `from`. */
static void push_nested(lua_State *L, const LpTensor *t, int64_t dim, const char *from) {
  LpDtype dtype = lp_dtype(t);
  if (dim == lp_ndim(t)) {
    push_element_of(L, dtype, from);
    return;
  }
  int64_t n = lp_size(t, dim),
          step_bytes = lp_stride(t, dim) * (int64_t)lp_dtype_size(dtype);
  bool last = dim == lp_ndim(t) - 1;
  luaL_checkstack(L, 4, "tolist");
  lua_createtable(L, n > INT32_MAX ? INT32_MAX : (int)n, 0);
  for (int64_t i = 0; i < n; i++, from += step_bytes) {
    if (last)
      push_element_of(L, dtype, from);
    else
      push_nested(L, t, dim + 1, from);
    lua_rawseti(L, -2, i + 1);
  }
}

/* Calls the method `name` of the tensor at index 1 with the top n_args values; leaves the
 * result. */
static void call_method(lua_State *L, const char *name, int n_args) {
  lua_getfield(L, 1, name);
  lua_insert(L, -1 - n_args);
  lua_pushvalue(L, 1);
  lua_insert(L, -1 - n_args);
  lua_call(L, n_args + 1, 1);
}

/* The tensor at index 1, moved to the CPU (at index 1) when it is elsewhere. */
static LpTensor *check_cpu_tensor(lua_State *L, const char *what) {
  LpTensor *t = lpvm_check_tensor(L, 1, what);
  if (lp_device(t).type == LP_CPU) return t;
  call_method(L, "cpu", 0);
  lua_replace(L, 1);
  return lpvm_check_tensor(L, 1, what);
}

/* x:tolist(): nested tables of numbers, booleans or complex numbers; a plain value when
 * 0-d. */
static int tensor_tolist(lua_State *L) {
  const LpTensor *t = check_cpu_tensor(L, "tolist: self");
  if (lp_vmap_level_of(t))
    lpvm_error(
        L, "tolist",
        "vmap: a batched tensor has no values of its own (Cannot access data pointer of "
        "Tensor that doesn't have storage)");
  push_nested(L, t, 0, lp_data(t));
  return 1;
}

/* x:item(): the value of a one-element tensor. */
static int tensor_item(lua_State *L) {
  LpTensor *t = lpvm_check_tensor(L, 1, "item: self");
  LpScalar value;
  if (lp_numel(t) != 1)
    lpvm_error(L, "item", "a tensor with %lld elements cannot be converted to a number",
               (long long)lp_numel(t));
  if (!lp_item(t, &value)) lpvm_raise(L, "item");
  lpvm_push_scalar(L, value);
  return 1;
}

typedef struct Shown {
  lua_State *L;
  const LpTensor *t;
  int64_t edge; /* elements shown at each end of a dim; negative: all */
  int64_t count;
} Shown;

static void collect_shown(Shown *s, int64_t dim, const char *from) {
  LpDtype dtype = lp_dtype(s->t);
  if (dim == lp_ndim(s->t)) {
    if (lp_dtype_is_complex(dtype)) { /* two numbers */
      LpDtype part = lp_dtype_to_real(dtype);
      push_element_of(s->L, part, from);
      lua_rawseti(s->L, -2, ++s->count);
      push_element_of(s->L, part, from + lp_dtype_size(part));
    } else if (dtype == LP_UINT64) {
      char digits[24];
      snprintf(digits, sizeof digits, "%llu",
               (unsigned long long)*(const uint64_t *)from);
      lua_pushstring(s->L, digits);
    } else {
      push_element_of(s->L, dtype, from);
    }
    lua_rawseti(s->L, -2, ++s->count);
    return;
  }
  int64_t n = lp_size(s->t, dim),
          step_bytes = lp_stride(s->t, dim) * (int64_t)lp_dtype_size(dtype);
  for (int64_t i = 0; i < n; i++) {
    if (s->edge >= 0 && n > 2 * s->edge && i == s->edge) i = n - s->edge;
    if (i < n) collect_shown(s, dim + 1, from + i * step_bytes);
  }
}

/* x:_shown(edgeitems): a flat list of the elements printing shows, in order; complex ones
 * as two numbers, those of uint64 as text. Without edgeitems all of them. Only these
 * elements are read. */
static int tensor_shown(lua_State *L) {
  lua_Integer edge = luaL_optinteger(L, 2, -1);
  const LpTensor *t = check_cpu_tensor(L, "_shown: self");
  Shown s = {L, t, edge, 0};
  lua_newtable(L);
  if (lp_numel(t)) collect_shown(&s, 0, lp_data(t));
  return 1;
}

/* --- torch.tensor, torch.as_tensor
 * ---------------------------------------------------------- */

typedef struct Options {
  LpDtype dtype;
  LpDevice device;
  bool requires_grad;
} Options;

static void read_option(lua_State *L, const char *op, const char *name,
                        Options *options) {
  char buf[128];
  if (lua_isnil(L, -1)) return;
  if (!strcmp(name, "dtype")) {
    if (!lpvm_to_dtype(L, -1, &options->dtype))
      lpvm_error(L, op, "argument 'dtype' must be a dtype such as torch.float32, got %s",
                 lpvm_describe(L, -1, buf, sizeof buf));
  } else if (!strcmp(name, "device")) {
    if (!lpvm_to_device(L, -1, &options->device))
      lpvm_error(L, op, "argument 'device' must be a device (\"cpu\", \"cuda\", \"cuda:0\"), got %s",
                 lpvm_describe(L, -1, buf, sizeof buf));
  } else if (!strcmp(name, "requires_grad")) {
    if (!lua_isboolean(L, -1))
      lpvm_error(L, op, "argument 'requires_grad' must be true or false, got %s",
                 lpvm_describe(L, -1, buf, sizeof buf));
    options->requires_grad = lua_toboolean(L, -1);
  } else if (strcmp(name, "pin_memory") && strcmp(name, "copy") && strcmp(name, "data")) {
    lpvm_error(
        L, op,
        "unknown argument '%s'; the named arguments are dtype, device, requires_grad",
        name);
  }
}

/* The table of named arguments at index, when there is one. */
static Options read_options(lua_State *L, const char *op, int index) {
  Options options = {LP_DTYPE_NONE, {LP_DEVICE_NONE, 0}, false};
  char buf[128];
  if (lua_isnoneornil(L, index)) return options;
  if (lua_type(L, index) != LUA_TTABLE)
    lpvm_error(L, op,
               "takes one positional argument and a table of named ones such as {dtype = "
               "torch.float32}, "
               "got %s",
               lpvm_describe(L, index, buf, sizeof buf));
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      lpvm_error(L, op,
                 "the table of named arguments has an unnamed entry; nested data goes "
                 "into one table");
    read_option(L, op, lua_tostring(L, -2), &options);
    lua_pop(L, 1);
  }
  return options;
}

static void push_to_options(lua_State *L, const Options *options) {
  lua_createtable(L, 0, 2);
  if (options->dtype != LP_DTYPE_NONE) {
    lpvm_push_dtype(L, options->dtype);
    lua_setfield(L, -2, "dtype");
  }
  if (options->device.type != LP_DEVICE_NONE) {
    lpvm_push_device(L, options->device);
    lua_setfield(L, -2, "device");
  }
}

/* Leaves a tensor of the data at index 1 on the stack; `share`: an unchanged tensor may
 * be returned itself. */
static void push_tensor_of(lua_State *L, const char *op, const Options *options,
                           bool share) {
  char buf[128];
  LpTensor *given = lpvm_to_tensor(L, 1);
  if (given) {
    bool same = (options->dtype == LP_DTYPE_NONE || options->dtype == lp_dtype(given)) &&
                (options->device.type == LP_DEVICE_NONE ||
                 options->device.type == lp_device(given).type);
    if (!share) {
      call_method(L, "detach", 0);
      lua_replace(L, 1);
    }
    if (!same) {
      push_to_options(L, options);
      call_method(L, "to", 1);
    } else if (share)
      lua_pushvalue(L, 1);
    else
      call_method(L, "clone", 0);
    return;
  }
  LpScalar number;
  if (!is_sequence(L, 1) && !lpvm_to_scalar(L, 1, &number))
    lpvm_error(
        L, op,
        "argument 'data' must be a number, a nested table of numbers or a tensor, got %s",
        lpvm_describe(L, 1, buf, sizeof buf));
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lpvm_tensor_from_lua(L, 1, options->dtype);
  if (!t) lpvm_raise(L, op);
  lpvm_fill_box(L, box, t);
  if (options->device.type > LP_CPU) {
    lua_replace(L, 1);
    push_to_options(L, options);
    call_method(L, "to", 1);
  }
}

static void apply_requires_grad(lua_State *L, const char *op, const Options *options) {
  if (!options->requires_grad) return;
  if (!lp_set_requires_grad(lpvm_check_tensor(L, -1, op), true)) lpvm_raise(L, op);
}

/* torch.tensor(data, {dtype, device, requires_grad}): a new tensor with a copy of the
 * data. */
static int torch_tensor(lua_State *L) {
  lua_settop(L, 2);
  if (lua_isnil(L, 2) &&
      lua_type(L, 1) == LUA_TTABLE) { /* torch.tensor{data = ..., dtype = ...} */
    lua_pushliteral(L, "data");
    lua_rawget(L, 1);
    lua_insert(L, 1);
    if (lua_isnil(L, 1)) lua_remove(L, 1);
  }
  lua_settop(L, 2);
  Options options = read_options(L, "tensor", 2);
  push_tensor_of(L, "tensor", &options, false);
  apply_requires_grad(L, "tensor", &options);
  return 1;
}

/* torch.as_tensor(data, dtype, device): a tensor of that dtype and device is returned
 * itself. */
static int torch_as_tensor(lua_State *L) {
  Options options;
  lua_settop(L, 3);
  if (lua_type(L, 2) == LUA_TTABLE)
    options = read_options(L, "as_tensor", 2);
  else {
    options = (Options){LP_DTYPE_NONE, {LP_DEVICE_NONE, 0}, false};
    lua_pushvalue(L, 2);
    read_option(L, "as_tensor", "dtype", &options);
    lua_pop(L, 1);
    if (lua_type(L, 3) == LUA_TTABLE) {
      Options named = read_options(L, "as_tensor", 3);
      if (named.dtype != LP_DTYPE_NONE) options.dtype = named.dtype;
      options.device = named.device;
      options.requires_grad = named.requires_grad;
    } else {
      lua_pushvalue(L, 3);
      read_option(L, "as_tensor", "device", &options);
      lua_pop(L, 1);
    }
  }
  push_tensor_of(L, "as_tensor", &options, true);
  apply_requires_grad(L, "as_tensor", &options);
  return 1;
}

/* x:new_tensor(data, {dtype, device, requires_grad}): as torch.tensor, with x's dtype and
 * device as defaults. */
static int tensor_new_tensor(lua_State *L) {
  const LpTensor *self = lpvm_check_tensor(L, 1, "new_tensor: self");
  lua_settop(L, 3);
  Options options = read_options(L, "new_tensor", 3);
  if (options.dtype == LP_DTYPE_NONE) options.dtype = lp_dtype(self);
  if (options.device.type == LP_DEVICE_NONE) options.device = lp_device(self);
  lua_remove(L, 1);
  push_tensor_of(L, "new_tensor", &options, false);
  apply_requires_grad(L, "new_tensor", &options);
  return 1;
}

/* torch.set_printoptions and its like: found in lampad.printing, which is loaded at the
 * first use. */
static int call_printing(lua_State *L) {
  const int n = lua_gettop(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lampad.printing");
  lua_call(L, 1, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_gettable(L, -2);
  lua_insert(L, 1);
  lua_settop(L, n + 1);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L);
}

void lpvm_open_convert(lua_State *L, int torch_index, int methods_index) {
  static const luaL_Reg functions[] = {{"tensor", torch_tensor},
                                       {"as_tensor", torch_as_tensor},
                                       {"asarray", torch_as_tensor},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {{"tolist", tensor_tolist},
                                     {"item", tensor_item},
                                     {"new_tensor", tensor_new_tensor},
                                     {"_shown", tensor_shown},
                                     {NULL, NULL}};
  int torch = lua_absindex(L, torch_index), table = lua_absindex(L, methods_index);
  lua_pushvalue(L, torch);
  luaL_setfuncs(L, functions, 0);
  static const char *const printing[] = {"set_printoptions", "get_printoptions",
                                         "printoptions"};
  for (int i = 0; i < 3; i++) {
    lua_pushstring(L, printing[i]);
    lua_pushcclosure(L, call_printing, 1);
    lua_setfield(L, torch, printing[i]);
  }
  lua_pushvalue(L, table);
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 2);
}
