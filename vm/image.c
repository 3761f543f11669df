/* Pictures for vision.io and vision.Image: decoding, encoding, conversion, files as
 * tensors of bytes. Nothing here is a public name. */
#include <string.h>
#include "lampad/image.h"
#include "lampad/io.h"
#include "vm.h"

/* The bytes at index: a string, or a tensor of them. */
static LpBytes check_bytes(lua_State *L, int index, const char *what) {
  LpBytes bytes;
  if (lua_type(L, index) == LUA_TSTRING) {
    bytes.data = lua_tolstring(L, index, &bytes.size_bytes);
    return bytes;
  }
  LpTensor *t = lpvm_check_tensor(L, index, what);
  if (lp_dtype(t) != LP_UINT8 || lp_ndim(t) != 1 || !lp_is_contiguous(t, LP_CONTIGUOUS))
    lpvm_error(L, what,
               "expected a contiguous uint8 tensor of one dim, the bytes of a file");
  return (LpBytes){lp_data(t), (size_t)lp_numel(t)};
}

static LpImageMode check_mode(lua_State *L, int index, const char *what) {
  const char *name = lua_tostring(L, index);
  for (int mode = LP_MODE_UNCHANGED; name && mode <= LP_MODE_I; mode++)
    if (strcmp(name, lp_image_mode_name((LpImageMode)mode)) == 0)
      return (LpImageMode)mode;
  lpvm_error(L, what, "unknown mode '%s': expected L, LA, RGB, RGBA, CMYK, P or I",
             name ? name : luaL_typename(L, index));
}

/* image_format(bytes, what) -> "jpeg", "png", ..., "unknown" */
static int format_of(lua_State *L) {
  const LpBytes bytes = check_bytes(L, 1, luaL_checkstring(L, 2));
  lua_pushstring(L, lp_image_format_name(lp_image_sniff(bytes.data, bytes.size_bytes)));
  return 1;
}

/* image_info(bytes, name, what) -> table of format, width, height, mode, orientation and,
 * where the file has one, key */
static int info(lua_State *L) {
  const char *name = luaL_optstring(L, 2, NULL), *what = luaL_checkstring(L, 3);
  const LpBytes bytes = check_bytes(L, 1, what);
  LpImageInfo i;
  if (!lp_image_info(bytes.data, bytes.size_bytes, name, &i)) return lpvm_raise(L, what);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, lp_image_format_name(i.format));
  lua_setfield(L, -2, "format");
  lua_pushinteger(L, i.width);
  lua_setfield(L, -2, "width");
  lua_pushinteger(L, i.height);
  lua_setfield(L, -2, "height");
  lua_pushstring(L, lp_image_mode_name(i.mode));
  lua_setfield(L, -2, "mode");
  lua_pushinteger(L, i.orientation);
  lua_setfield(L, -2, "orientation");
  if (i.has_key) {
    lua_createtable(L, 3, 0);
    for (int c = 0; c < 3; c++) {
      lua_pushinteger(L, i.key[c]);
      lua_rawseti(L, -2, c + 1);
    }
    lua_setfield(L, -2, "key");
  }
  if (i.palette_count) {
    lua_pushlstring(L, (const char *)i.palette, (size_t)i.palette_count * 4);
    lua_setfield(L, -2, "palette");
  }
  return 1;
}

static int64_t integer_field(lua_State *L, int index, const char *name) {
  lua_getfield(L, index, name);
  const lua_Integer value = luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return value;
}

static bool boolean_field(lua_State *L, int index, const char *name) {
  lua_getfield(L, index, name);
  const bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* image_decode(bytes, options, what) -> tensor (height, width, channels), mode. Options
 * are the fields of LpImageRead; io = true asks for torchvision's rules. */
static int decode(lua_State *L) {
  const char *what = luaL_checkstring(L, 3);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  LpImageRead read = {
      .rules = boolean_field(L, 2, "io") ? LP_RULES_IO : LP_RULES_PILLOW,
      .orient = boolean_field(L, 2, "orient"),
      .top = integer_field(L, 2, "top"),
      .left = integer_field(L, 2, "left"),
      .height = integer_field(L, 2, "height"),
      .width = integer_field(L, 2, "width"),
      .scale = (int)integer_field(L, 2, "scale"),
      .max_pixels = integer_field(L, 2, "max_pixels"),
  };
  lua_getfield(L, 2, "mode");
  if (!lua_isnil(L, -1)) read.mode = check_mode(L, -1, what);
  lua_getfield(L, 2, "name");
  read.name = lua_tostring(L, -1); /* the table keeps it alive */
  const LpBytes bytes = check_bytes(L, 1, what);
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpImageMode mode;
  LpTensor *pixels = lp_image_decode(bytes.data, bytes.size_bytes, &read, &mode);
  if (!pixels) return lpvm_raise(L, what);
  lpvm_fill_box(L, box, pixels);
  lua_pushstring(L, lp_image_mode_name(mode));
  return 2;
}

/* image_convert(pixels, from, to, key or nil, what) -> pixels */
static int convert(lua_State *L) {
  const char *what = luaL_checkstring(L, 5);
  LpTensor *pixels = lpvm_check_tensor(L, 1, what);
  const LpImageMode from = check_mode(L, 2, what), to = check_mode(L, 3, what);
  uint8_t key[3];
  const bool has_key = lua_istable(L, 4);
  for (int c = 0; has_key && c < 3; c++) {
    lua_rawgeti(L, 4, c + 1);
    key[c] = (uint8_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *result = lp_image_convert(pixels, from, to, has_key ? key : NULL);
  if (!result) return lpvm_raise(L, what);
  lpvm_fill_box(L, box, result);
  return 1;
}

static void free_bytes(void *ctx, void *data) {
  lp_bytes_free(data);
}

/* image_encode(format, pixels, what, number or nil, flag) -> tensor of bytes. The number
 * is jpeg's quality, png's level of compression, webp's quality; the flag asks for
 * lossless webp. */
static int encode(lua_State *L) {
  const char *format = luaL_checkstring(L, 1), *what = luaL_checkstring(L, 3);
  LpTensor *pixels = lpvm_check_tensor(L, 2, what);
  const lua_Number number = luaL_optnumber(L, 4, 0);
  const int integer = number > -1e6 && number < 1e6 ? (int)number : -1;
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  uint8_t *data;
  size_t size_bytes;
  bool ok;
  if (strcmp(format, "jpeg") == 0)
    ok = lp_image_encode_jpeg(pixels, integer, &data, &size_bytes);
  else if (strcmp(format, "png") == 0)
    ok = lp_image_encode_png(pixels, integer, &data, &size_bytes);
  else if (strcmp(format, "webp") == 0)
    ok = lp_image_encode_webp(pixels, number, lua_toboolean(L, 5), &data, &size_bytes);
  else if (strcmp(format, "bmp") == 0)
    ok = lp_image_encode_bmp(pixels, &data, &size_bytes);
  else
    ok = lp_image_encode_pnm(pixels, &data, &size_bytes);
  if (!ok) return lpvm_raise(L, what);
  const int64_t size = (int64_t)size_bytes;
  LpTensor *bytes =
      lp_tensor_from_blob(data, (LpInts){&size, 1}, LP_UINT8, free_bytes, NULL);
  if (!bytes) {
    lp_bytes_free(data);
    return lpvm_raise(L, what);
  }
  lpvm_fill_box(L, box, bytes);
  return 1;
}

/* read_file(path, what) -> tensor of bytes */
static int read_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *what = luaL_checkstring(L, 2);
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *bytes = lp_read_file(path);
  if (!bytes) return lpvm_raise(L, what);
  lpvm_fill_box(L, box, bytes);
  return 1;
}

/* Adds the functions to the core table (what `require "lampad.core"` returns). */
void lpvm_open_image(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"image_format", format_of},
      {"image_info", info},
      {"image_decode", decode},
      {"image_convert", convert},
      {"image_encode", encode},
      {"read_file", read_file},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
