/* The small objects that describe tensors: dtypes, devices, memory formats, layouts, and
 * the functions of the torch table over them (promotion, default dtype, finfo, iinfo,
 * constants). Every object is interned per Lua state, so `==` and use as a table key
 * work. Size and Generator stand in size.c and generator.c. The schema's ops never come
 * here. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "types.h"

static const LpvmClass dtype_class = {"torch.dtype"};
static const LpvmClass device_class = {"torch.device"};
static const LpvmClass format_class = {"torch.memory_format"};
static const LpvmClass layout_class = {"torch.layout"};

typedef struct NamedValue { /* payload of dtype, format and layout objects */
  int value;
} NamedValue;

/* --- classes
 * -------------------------------------------------------------------------------- */

void lpvm_push_class(lua_State *L, const LpvmClass *cls) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, cls) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, cls->name);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, cls);
}

void *lpvm_test_class(lua_State *L, int index, const LpvmClass *cls) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, cls);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? lua_touserdata(L, index) : NULL;
}

void lpvm_add_function(lua_State *L, int index, const char *name, lua_CFunction fn) {
  index = lua_absindex(L, index);
  lua_pushstring(L, name);
  bool taken = lua_rawget(L, index) != LUA_TNIL;
  lua_pop(L, 1);
  if (taken) return;
  lua_pushstring(L, name);
  lua_pushcfunction(L, fn);
  lua_rawset(L, index);
}

/* Pushes the class's object number `key`, interned in the metatable's array part. */
static bool push_interned(lua_State *L, const LpvmClass *cls, int key) {
  lpvm_push_class(L, cls);
  if (lua_rawgeti(L, -1, key) == LUA_TUSERDATA) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 1);
  return false; /* leaves the metatable */
}

/* The metatable is on top: makes the object, interns it, leaves only the object. */
static void *new_interned(lua_State *L, int key, size_t size_bytes) {
  void *object = lua_newuserdatauv(L, size_bytes, 0);
  lua_pushvalue(L, -2);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, key);
  lua_remove(L, -2);
  return object;
}

static void push_named(lua_State *L, const LpvmClass *cls, int value) {
  if (push_interned(L, cls, value + 1)) return;
  NamedValue *object = new_interned(L, value + 1, sizeof *object);
  object->value = value;
}

/* --- dtypes
 * --------------------------------------------------------------------------------- */

void lpvm_push_dtype(lua_State *L, LpDtype dtype) {
  push_named(L, &dtype_class, dtype);
}

bool lpvm_to_dtype(lua_State *L, int index, LpDtype *result) {
  const NamedValue *object = lpvm_test_class(L, index, &dtype_class);
  if (!object) return false;
  *result = (LpDtype)object->value;
  return true;
}

static LpDtype check_dtype(lua_State *L, int index, const char *op, const char *arg) {
  LpDtype dtype;
  char buf[128];
  if (!lpvm_to_dtype(L, index, &dtype))
    lpvm_error(L, op, "argument '%s' must be a dtype such as torch.float32, got %s", arg,
               lpvm_describe(L, index, buf, sizeof buf));
  return dtype;
}

static bool is_unsigned(LpDtype dtype) {
  return dtype == LP_UINT8 || dtype == LP_UINT16 || dtype == LP_UINT32 ||
         dtype == LP_UINT64;
}

static int dtype_tostring(lua_State *L) {
  LpDtype dtype;
  if (!lpvm_to_dtype(L, 1, &dtype)) lpvm_error(L, NULL, "expected a torch.dtype");
  lua_pushfstring(L, "torch.%s", lp_dtype_name(dtype));
  return 1;
}

static int dtype_to_real(lua_State *L) {
  lpvm_push_dtype(L, lp_dtype_to_real(check_dtype(L, 1, "dtype.to_real", "self")));
  return 1;
}

static int dtype_to_complex(lua_State *L) {
  LpDtype dtype = check_dtype(L, 1, "dtype.to_complex", "self");
  if (lp_dtype_is_integral(dtype, true))
    lpvm_error(L, "dtype.to_complex", "torch.%s has no complex counterpart",
               lp_dtype_name(dtype));
  lpvm_push_dtype(L, lp_dtype_to_complex(dtype));
  return 1;
}

static int dtype_index(lua_State *L) {
  LpDtype dtype = check_dtype(L, 1, "torch.dtype", "self");
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!strcmp(key, "is_floating_point"))
    lua_pushboolean(L, lp_dtype_is_floating(dtype));
  else if (!strcmp(key, "is_complex"))
    lua_pushboolean(L, lp_dtype_is_complex(dtype));
  else if (!strcmp(key, "is_signed"))
    lua_pushboolean(L, dtype != LP_BOOL && !is_unsigned(dtype));
  else if (!strcmp(key, "itemsize"))
    lua_pushinteger(L, (lua_Integer)lp_dtype_size(dtype));
  else if (!strcmp(key, "to_real"))
    lua_pushcfunction(L, dtype_to_real);
  else if (!strcmp(key, "to_complex"))
    lua_pushcfunction(L, dtype_to_complex);
  else
    lpvm_error(L, NULL,
               "a torch.dtype has no field '%s'; it has is_floating_point, is_complex, "
               "is_signed, "
               "itemsize, to_real, to_complex",
               key);
  return 1;
}

/* --- devices
 * -------------------------------------------------------------------------------- */

void lpvm_push_device(lua_State *L, LpDevice device) {
  int key = 1 + (device.type << 8) + (uint8_t)device.index;
  if (push_interned(L, &device_class, key)) return;
  LpDevice *object = new_interned(L, key, sizeof *object);
  *object = device;
}

typedef enum DeviceFault {
  DEVICE_GOOD,
  DEVICE_EMPTY,
  DEVICE_BAD_TYPE,
  DEVICE_BAD_INDEX
} DeviceFault;

static DeviceFault parse_device(const char *text, LpDevice *result) {
  if (!*text) return DEVICE_EMPTY;
  size_t n = strcspn(text, ":");
  if (n == 3 && !strncmp(text, "cpu", 3))
    *result = (LpDevice){LP_CPU, 0};
  else if (n == 4 && !strncmp(text, "cuda", 4))
    *result = (LpDevice){LP_CUDA, -1};
  else
    return DEVICE_BAD_TYPE;
  if (!text[n]) return DEVICE_GOOD;
  const char *digits = text + n + 1;
  size_t count = strspn(digits, "0123456789");
  if (!count || digits[count] || count > 2 || (count > 1 && digits[0] == '0'))
    return DEVICE_BAD_INDEX;
  int index = count == 1 ? digits[0] - '0' : (digits[0] - '0') * 10 + digits[1] - '0';
  if (result->type == LP_CPU && index) return DEVICE_BAD_INDEX;
  result->index = (int8_t)index;
  return DEVICE_GOOD;
}

bool lpvm_to_device(lua_State *L, int index, LpDevice *result) {
  if (lua_type(L, index) == LUA_TSTRING)
    return parse_device(lua_tostring(L, index), result) == DEVICE_GOOD;
  const LpDevice *object = lpvm_test_class(L, index, &device_class);
  if (!object) return false;
  *result = *object;
  return true;
}

static int device_tostring(lua_State *L) {
  const LpDevice *device = lpvm_test_class(L, 1, &device_class);
  if (!device) lpvm_error(L, NULL, "expected a torch.device");
  if (device->type == LP_CPU)
    lua_pushliteral(L, "cpu");
  else if (device->index < 0)
    lua_pushliteral(L, "cuda");
  else
    lua_pushfstring(L, "cuda:%d", (int)device->index);
  return 1;
}

/* PyTorch's repr: device(type='cuda', index=1). */
static int device_repr(lua_State *L) {
  const LpDevice *device = lpvm_test_class(L, 1, &device_class);
  if (!device) lpvm_error(L, NULL, "expected a torch.device");
  if (device->type == LP_CPU)
    lua_pushliteral(L, "device(type='cpu')");
  else if (device->index < 0)
    lua_pushliteral(L, "device(type='cuda')");
  else
    lua_pushfstring(L, "device(type='cuda', index=%d)", (int)device->index);
  return 1;
}

static int device_index(lua_State *L) {
  const LpDevice *device = lpvm_test_class(L, 1, &device_class);
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!device) lpvm_error(L, NULL, "expected a torch.device");
  if (!strcmp(key, "type"))
    lua_pushstring(L, device->type == LP_CUDA ? "cuda" : "cpu");
  else if (!strcmp(key, "index")) {
    if (device->type == LP_CPU || device->index < 0)
      lua_pushnil(L);
    else
      lua_pushinteger(L, device->index);
  } else if (!strcmp(key, "repr"))
    lua_pushcfunction(L, device_repr);
  else
    lpvm_error(L, NULL, "a torch.device has no field '%s'; it has type and index", key);
  return 1;
}

/* torch.device("cuda:1"), torch.device("cuda", 1), torch.device(1), torch.device(device),
 * torch.device{type = "cuda", index = 1}. */
static int torch_device(lua_State *L) {
  char buf[128];
  if (lua_type(L, 1) == LUA_TTABLE) {
    lua_settop(L, 1);
    lua_getfield(L, 1, "type");
    lua_getfield(L, 1, "index");
    lua_remove(L, 1);
    if (lua_isnil(L, 2)) lua_settop(L, 1);
  }
  if (lua_isinteger(L, 1) && lua_isnoneornil(L, 2)) {
    lua_Integer i = lua_tointeger(L, 1);
    if (i < 0 || i > 99)
      lpvm_error(L, "device", "the index must be in [0, 99], got %lld", (long long)i);
    lpvm_push_device(L, (LpDevice){LP_CUDA, (int8_t)i});
    return 1;
  }
  if (lpvm_test_class(L, 1, &device_class) && lua_isnoneornil(L, 2)) {
    lua_pushvalue(L, 1);
    return 1;
  }
  if (lua_type(L, 1) != LUA_TSTRING)
    lpvm_error(L, "device",
               "expected \"cpu\", \"cuda\", \"cuda:1\" or a torch.device, got %s",
               lpvm_describe(L, 1, buf, sizeof buf));
  const char *text = lua_tostring(L, 1);
  LpDevice device;
  switch (parse_device(text, &device)) {
  case DEVICE_EMPTY: lpvm_error(L, "device", "the device string must not be empty");
  case DEVICE_BAD_TYPE:
    lpvm_error(L, "device",
               "expected cpu or cuda at the start of the device string, got '%s'", text);
  case DEVICE_BAD_INDEX: lpvm_error(L, "device", "invalid device string: '%s'", text);
  case DEVICE_GOOD: break;
  }
  if (!lua_isnoneornil(L, 2)) {
    int is_int;
    lua_Integer i = lua_tointegerx(L, 2, &is_int);
    if (strchr(text, ':'))
      lpvm_error(L, "device", "'%s' already has an index; give it once", text);
    if (!is_int || i < 0 || i > (device.type == LP_CPU ? 0 : 99))
      lpvm_error(L, "device", "invalid index for '%s': %s", text,
                 lpvm_describe(L, 2, buf, sizeof buf));
    device.index = (int8_t)i;
  }
  lpvm_push_device(L, device);
  return 1;
}

/* --- memory formats and layouts
 * ------------------------------------------------------------- */

static const char *const format_names[] = {"contiguous_format", "preserve_format",
                                           "channels_last", "channels_last_3d"};

void lpvm_push_format(lua_State *L, LpMemoryFormat format) {
  push_named(L, &format_class, format);
}

bool lpvm_to_format(lua_State *L, int index, LpMemoryFormat *result) {
  const NamedValue *object = lpvm_test_class(L, index, &format_class);
  if (!object) return false;
  *result = (LpMemoryFormat)object->value;
  return true;
}

static int format_tostring(lua_State *L) {
  const NamedValue *object = lpvm_test_class(L, 1, &format_class);
  if (!object) lpvm_error(L, NULL, "expected a torch.memory_format");
  lua_pushfstring(L, "torch.%s", format_names[object->value]);
  return 1;
}

void lpvm_push_strided(lua_State *L) {
  push_named(L, &layout_class, 0);
}

static int layout_tostring(lua_State *L) {
  lua_pushliteral(L, "torch.strided");
  return 1;
}

/* --- promotion
 * ------------------------------------------------------------------------------ */

static int torch_promote_types(lua_State *L) {
  LpDtype a = check_dtype(L, 1, "promote_types", "type1");
  LpDtype b = check_dtype(L, 2, "promote_types", "type2");
  const bool is_limited = a != b && (lp_dtype_is_limited(a) || lp_dtype_is_limited(b));
  /* As in PyTorch, but for a wider category that takes unsigned integers. */
  if (is_limited && (lp_dtype_is_floating(a) == lp_dtype_is_floating(b) ||
                     (lp_dtype_is_limited(a) && lp_dtype_is_floating(a)) ||
                     (lp_dtype_is_limited(b) && lp_dtype_is_floating(b))))
    lpvm_error(L, "promote_types", "torch.%s and torch.%s have no common dtype",
               lp_dtype_name(a), lp_dtype_name(b));
  lpvm_push_dtype(L, lp_promote_types(a, b));
  return 1;
}

static int category_of(LpDtype dtype) {
  if (dtype == LP_BOOL) return 0;
  if (lp_dtype_is_complex(dtype)) return 3;
  return lp_dtype_is_floating(dtype) ? 2 : 1;
}

/* One operand of result_type: its dtype and rank (2: tensor with dims, 1: 0-d tensor, 0:
 * number). */
static LpDtype operand_dtype(lua_State *L, int index, int *rank) {
  char buf[128];
  const LpTensor *t = lpvm_to_tensor(L, index);
  if (t) {
    *rank = lp_ndim(t) ? 2 : 1;
    return lp_dtype(t);
  }
  LpScalar s;
  *rank = 0;
  if (!lpvm_to_scalar(L, index, &s))
    lpvm_error(L, "result_type", "argument %d must be a tensor or a number, got %s",
               index, lpvm_describe(L, index, buf, sizeof buf));
  return lp_scalar_dtype(s);
}

/* A lower-ranked dtype only counts when its category (bool, int, float, complex) is
 * higher. */
static LpDtype combine(LpDtype high, LpDtype low) {
  if (category_of(low) <= category_of(high)) return high;
  if (category_of(low) == 3 && lp_dtype_is_floating(high))
    return lp_dtype_to_complex(high);
  return low;
}

static int torch_result_type(lua_State *L) {
  int rank_a, rank_b;
  LpDtype a = operand_dtype(L, 1, &rank_a), b = operand_dtype(L, 2, &rank_b);
  LpDtype result = rank_a == rank_b  ? lp_promote_types(a, b)
                   : rank_a > rank_b ? combine(a, b)
                                     : combine(b, a);
  lpvm_push_dtype(L, result);
  return 1;
}

/* Categories may only rise: complex to real, float to integral and anything to bool
 * cannot. */
static int torch_can_cast(lua_State *L) {
  LpDtype from = check_dtype(L, 1, "can_cast", "from_");
  LpDtype to = check_dtype(L, 2, "can_cast", "to");
  lua_pushboolean(L, category_of(from) <= category_of(to));
  return 1;
}

static int torch_get_default_dtype(lua_State *L) {
  lpvm_push_dtype(L, lp_default_dtype());
  return 1;
}

static int torch_set_default_dtype(lua_State *L) {
  LpDtype dtype = check_dtype(L, 1, "set_default_dtype", "d");
  if (!lp_dtype_is_floating(dtype))
    lpvm_error(
        L, "set_default_dtype",
        "only floating-point types are supported as the default type, got torch.%s",
        lp_dtype_name(dtype));
  if (!lp_set_default_dtype(dtype)) lpvm_raise(L, "set_default_dtype");
  return 0;
}

static int torch_is_tensor(lua_State *L) {
  lua_pushboolean(L, lpvm_to_tensor(L, 1) != NULL);
  return 1;
}

static int torch_is_floating_point(lua_State *L) {
  lua_pushboolean(L, lp_dtype_is_floating(
                         lp_dtype(lpvm_check_tensor(L, 1, "is_floating_point: input"))));
  return 1;
}

static int torch_is_complex(lua_State *L) {
  lua_pushboolean(
      L, lp_dtype_is_complex(lp_dtype(lpvm_check_tensor(L, 1, "is_complex: input"))));
  return 1;
}

/* --- finfo and iinfo
 * ------------------------------------------------------------------------ */

typedef struct FloatInfo {
  LpDtype dtype;
  int bits;
  double resolution, max, eps, tiny;
} FloatInfo;

static const FloatInfo float_infos[] = {
    {LP_FLOAT16, 16, 1e-3, 65504.0, 0x1p-10, 0x1p-14},
    {LP_BFLOAT16, 16, 1e-2, 0x1.fep127, 0x1p-7, 0x1p-126},
    {LP_FLOAT8_E4M3FN, 8, 1.0, 448.0, 0x1p-3, 0x1p-6},
    {LP_FLOAT8_E5M2, 8, 1.0, 57344.0, 0x1p-2, 0x1p-14},
    {LP_FLOAT8_E4M3FNUZ, 8, 1.0, 240.0, 0x1p-3, 0x1p-7},
    {LP_FLOAT8_E5M2FNUZ, 8, 1.0, 57344.0, 0x1p-2, 0x1p-15},
    {LP_FLOAT32, 32, 1e-6, 0x1.fffffep127, 0x1p-23, 0x1p-126},
    {LP_FLOAT64, 64, 1e-15, 0x1.fffffffffffffp1023, 0x1p-52, 0x1p-1022},
};

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}
static void set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static double number_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  double value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static int finfo_tostring(lua_State *L) {
  char text[256];
  lua_getfield(L, 1, "dtype");
  snprintf(text, sizeof text,
           "finfo(resolution=%g, min=%g, max=%g, eps=%g, smallest_normal=%g, tiny=%g, "
           "dtype=%s)",
           number_field(L, "resolution"), number_field(L, "min"), number_field(L, "max"),
           number_field(L, "eps"), number_field(L, "smallest_normal"),
           number_field(L, "tiny"), lua_tostring(L, -1));
  lua_pushstring(L, text);
  return 1;
}

static int iinfo_tostring(lua_State *L) {
  char text[128];
  lua_getfield(L, 1, "dtype");
  snprintf(text, sizeof text, "iinfo(min=%g, max=%g, dtype=%s)", number_field(L, "min"),
           number_field(L, "max"), lua_tostring(L, -1));
  lua_pushstring(L, text);
  return 1;
}

static void finish_info(lua_State *L, const char *name, LpDtype dtype,
                        lua_CFunction tostring) {
  lua_pushstring(L, lp_dtype_name(dtype));
  lua_setfield(L, -2, "dtype");
  lua_createtable(L, 0, 2);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, tostring);
  lua_setfield(L, -2, "__tostring");
  lua_setmetatable(L, -2);
}

/* torch.finfo(dtype = default): numeric limits of a floating dtype (of the parts, when
 * complex). */
static int torch_finfo(lua_State *L) {
  LpDtype dtype = lua_isnoneornil(L, 1)
                      ? lp_default_dtype()
                      : lp_dtype_to_real(check_dtype(L, 1, "finfo", "type"));
  for (size_t i = 0; i < sizeof float_infos / sizeof *float_infos; i++) {
    const FloatInfo *info = &float_infos[i];
    if (info->dtype != dtype) continue;
    lua_createtable(L, 0, 9);
    set_integer(L, "bits", info->bits);
    set_number(L, "resolution", info->resolution);
    set_number(L, "min", -info->max);
    set_number(L, "max", info->max);
    set_number(L, "eps", info->eps);
    set_number(L, "tiny", info->tiny);
    set_number(L, "smallest_normal", info->tiny);
    finish_info(L, "torch.finfo", dtype, finfo_tostring);
    return 1;
  }
  lpvm_error(L, "finfo", "requires a floating point dtype, got torch.%s; use torch.iinfo",
             lp_dtype_name(dtype));
}

/* torch.iinfo(dtype): numeric limits of an integer dtype. */
static int torch_iinfo(lua_State *L) {
  LpDtype dtype = check_dtype(L, 1, "iinfo", "type");
  if (!lp_dtype_is_integral(dtype, false))
    lpvm_error(L, "iinfo", "requires an integer dtype, got torch.%s%s",
               lp_dtype_name(dtype), dtype == LP_BOOL ? "" : "; use torch.finfo");
  int bits = (int)lp_dtype_size(dtype) * 8;
  bool is_signed = !is_unsigned(dtype);
  int64_t max =
      is_signed || bits == 64 ? INT64_MAX >> (64 - bits) : (INT64_C(1) << bits) - 1;
  lua_createtable(L, 0, 5);
  set_integer(L, "bits", bits);
  set_integer(L, "min", is_signed ? -max - 1 : 0);
  if (dtype == LP_UINT64)
    set_number(L, "max", (double)UINT64_MAX); /* no integer of Lua's */
  else
    set_integer(L, "max", max);
  finish_info(L, "torch.iinfo", dtype, iinfo_tostring);
  return 1;
}

/* --- opening
 * -------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  LpDtype dtype;
} dtype_names[] = {
    {"uint8", LP_UINT8},
    {"int8", LP_INT8},
    {"int16", LP_INT16},
    {"int32", LP_INT32},
    {"int64", LP_INT64},
    {"float16", LP_FLOAT16},
    {"float32", LP_FLOAT32},
    {"float64", LP_FLOAT64},
    {"complex64", LP_COMPLEX64},
    {"complex128", LP_COMPLEX128},
    {"bool", LP_BOOL},
    {"bfloat16", LP_BFLOAT16},
    {"short", LP_INT16},
    {"int", LP_INT32},
    {"long", LP_INT64},
    {"half", LP_FLOAT16},
    {"float", LP_FLOAT32},
    {"double", LP_FLOAT64},
    {"uint16", LP_UINT16},
    {"uint32", LP_UINT32},
    {"uint64", LP_UINT64},
    {"float8_e4m3fn", LP_FLOAT8_E4M3FN},
    {"float8_e5m2", LP_FLOAT8_E5M2},
    {"float8_e4m3fnuz", LP_FLOAT8_E4M3FNUZ},
    {"float8_e5m2fnuz", LP_FLOAT8_E5M2FNUZ},
    {"cfloat", LP_COMPLEX64},
    {"cdouble", LP_COMPLEX128},
};

static const luaL_Reg functions[] = {
    {"device", torch_device},
    {"promote_types", torch_promote_types},
    {"result_type", torch_result_type},
    {"can_cast", torch_can_cast},
    {"get_default_dtype", torch_get_default_dtype},
    {"set_default_dtype", torch_set_default_dtype},
    {"is_tensor", torch_is_tensor},
    {"is_floating_point", torch_is_floating_point},
    {"is_complex", torch_is_complex},
    {"finfo", torch_finfo},
    {"iinfo", torch_iinfo},
    {NULL, NULL},
};

static void fill_class(lua_State *L, const LpvmClass *cls, lua_CFunction tostring,
                       lua_CFunction index) {
  lpvm_push_class(L, cls);
  lua_pushcfunction(L, tostring);
  lua_setfield(L, -2, "__tostring");
  if (index) {
    lua_pushcfunction(L, index);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}

void lpvm_open_types(lua_State *L, int torch_index, int methods_index) {
  int torch = lua_absindex(L, torch_index), methods = lua_absindex(L, methods_index);
  fill_class(L, &dtype_class, dtype_tostring, dtype_index);
  fill_class(L, &device_class, device_tostring, device_index);
  fill_class(L, &format_class, format_tostring, NULL);
  fill_class(L, &layout_class, layout_tostring, NULL);
  lpvm_push_class(L, &device_class);
  lua_pushcfunction(L, device_repr);
  lua_setfield(L, -2, "__repr");
  lua_pop(L, 1);
  lpvm_push_class(L, &dtype_class); /* torch.dtype: the class itself, for getmetatable(d)
                                       == torch.dtype */
  lua_setfield(L, torch, "dtype");

  for (size_t i = 0; i < sizeof dtype_names / sizeof *dtype_names; i++) {
    lpvm_push_dtype(L, dtype_names[i].dtype);
    lua_setfield(L, torch, dtype_names[i].name);
  }
  for (int i = LP_CONTIGUOUS; i <= LP_CHANNELS_LAST_3D; i++) {
    lpvm_push_format(L, (LpMemoryFormat)i);
    lua_setfield(L, torch, format_names[i]);
  }
  lpvm_push_strided(L);
  lua_setfield(L, torch, "strided");
  lua_pushnumber(L, (lua_Number)INFINITY);
  lua_setfield(L, torch, "inf");
  lua_pushnumber(L, (lua_Number)NAN);
  lua_setfield(L, torch, "nan");
  lua_pushnumber(L, 3.14159265358979323846);
  lua_setfield(L, torch, "pi");
  lua_pushnumber(L, 2.71828182845904523536);
  lua_setfield(L, torch, "e");
  for (const luaL_Reg *f = functions; f->name; f++)
    lpvm_add_function(L, torch, f->name, f->func);
  lpvm_add_function(L, methods, "is_floating_point", torch_is_floating_point);
  lpvm_add_function(L, methods, "is_complex", torch_is_complex);
  lpvm_open_size(L, torch);
  lpvm_open_generator(L, torch);
  lpvm_open_complex(L, torch);
}
