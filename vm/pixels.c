/* Image operations for lampad.vision: functions of uint8 tensors (H, W, C) of the core table, each of which
 * gives a new contiguous tensor. Nothing here is a public name; Lua has checked sizes and names. */
#include <string.h>
#include "image/pixels.h"
#include "vm.h"

#define MAX_SIDE (1 << 24)

/* The first argument as pixels: uint8 (H, W, C), the channels of a pixel and the pixels of a row adjacent. The
 * stack gets `count` arguments, so that a result pushed later is not taken for one. */
static LpPixels to_pixels(lua_State *L, int count) {
  const int index = 1;
  lua_settop(L, count);
  LpTensor *t = lpvm_check_tensor(L, index, "image");
  luaL_argcheck(L, lp_dtype(t) == LP_UINT8 && lp_ndim(t) == 3, index, "a uint8 tensor (H, W, C) expected");
  LpPixels p = {.data = lp_data(t), .height = lp_size(t, 0), .width = lp_size(t, 1), .stride_bytes = lp_stride(t, 0)};
  const int64_t channels = lp_size(t, 2);
  luaL_argcheck(L, channels >= 1 && channels <= 4, index, "1 to 4 channels expected");
  p.channels = (int)channels;
  luaL_argcheck(L, (channels == 1 || lp_stride(t, 2) == 1) && (p.width <= 1 || lp_stride(t, 1) == channels), index,
                "the pixels of a row must be adjacent");
  luaL_argcheck(L, p.height <= MAX_SIDE && p.width <= MAX_SIDE, index, "the image is too large");
  if (p.height <= 1) p.stride_bytes = p.width * channels;
  if (p.stride_bytes == 0) p.stride_bytes = 1; /* no pixels */
  return p;
}

static int64_t to_side(lua_State *L, int index) {
  const lua_Integer n = luaL_checkinteger(L, index);
  luaL_argcheck(L, n >= 0 && n <= MAX_SIDE, index, "a number of pixels expected");
  return n;
}

/* A colour: a list of `channels` values, or nil. */
static const uint8_t *to_fill(lua_State *L, int index, int channels, uint8_t *fill) {
  memset(fill, 0, 4);
  if (lua_isnoneornil(L, index)) return fill;
  luaL_checktype(L, index, LUA_TTABLE);
  for (int c = 0; c < channels; c++) {
    lua_rawgeti(L, index, c + 1);
    lua_Integer v = luaL_checkinteger(L, -1);
    fill[c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    lua_pop(L, 1);
  }
  return fill;
}

/* A new tensor, in a box on the stack: the result, once the engine has filled it. */
static LpTensor *push_result(lua_State *L, LpInts sizes, LpDtype dtype) {
  lpvm_collect_pressure(L);
  LpBox *box = lpvm_new_box(L);
  LpTensor *t = lp_tensor_new(sizes, dtype, (LpDevice){LP_CPU, 0});
  if (!t) lpvm_raise(L, NULL);
  lpvm_fill_box(L, box, t);
  return t;
}

static uint8_t *push_pixels(lua_State *L, int64_t height, int64_t width, int channels) {
  const int64_t sizes[3] = {height, width, channels};
  return lp_data(push_result(L, (LpInts){sizes, 3}, LP_UINT8));
}

/* 1 result, or the engine's error. */
static int finish(lua_State *L, bool ok) { return ok ? 1 : lpvm_raise(L, NULL); }

/* pixels_resample(image, height, width, filter) */
static int resample(lua_State *L) {
  const LpPixels in = to_pixels(L, 4);
  const int64_t height = to_side(L, 2), width = to_side(L, 3);
  const lua_Integer filter = luaL_checkinteger(L, 4);
  luaL_argcheck(L, filter >= LP_FILTER_NEAREST && filter <= LP_FILTER_HAMMING, 4, "a filter expected");
  luaL_argcheck(L, in.height > 0 && in.width > 0 && height > 0 && width > 0, 1, "no pixels");
  uint8_t *out = push_pixels(L, height, width, in.channels);
  if (filter == LP_FILTER_NEAREST) return finish(L, lp_pixels_nearest(in, out, height, width));
  const LpSpan rows = {in.height, height, 0, height, 0}, columns = {in.width, width, 0, width, 0};
  return finish(L, lp_pixels_resample(in, out, rows, columns, (LpFilter)filter));
}

/* Five integers from index on. */
static LpSpan to_span(lua_State *L, int index) {
  LpSpan s = {to_side(L, index), to_side(L, index + 1), to_side(L, index + 2), to_side(L, index + 3),
              to_side(L, index + 4)};
  luaL_argcheck(L, s.in > 0 && s.out > 0, index, "no pixels");
  luaL_argcheck(L, s.count > 0 && s.from + s.count <= s.out, index + 3, "out of range");
  return s;
}

static LpFilter to_smooth_filter(lua_State *L, int index) {
  const lua_Integer filter = luaL_checkinteger(L, index);
  luaL_argcheck(L, filter > LP_FILTER_NEAREST && filter <= LP_FILTER_HAMMING, index, "a filter expected");
  return (LpFilter)filter;
}

/* pixels_needed(filter, in, out, from, count) -> first, count: what part of the source a part of the result needs. */
static int needed(lua_State *L) {
  lua_settop(L, 5);
  lua_pushinteger(L, 0);
  const LpSpan span = to_span(L, 2);
  int64_t first, count;
  lp_pixels_needed(&span, to_smooth_filter(L, 1), &first, &count);
  lua_pushinteger(L, first);
  lua_pushinteger(L, count);
  return 2;
}

/* pixels_resample_part(image, filter, in, out, from, count, skip for the rows, the same for the columns) */
static int resample_part(lua_State *L) {
  const LpPixels in = to_pixels(L, 12);
  const LpFilter filter = to_smooth_filter(L, 2);
  const LpSpan rows = to_span(L, 3), columns = to_span(L, 8);
  uint8_t *out = push_pixels(L, rows.count, columns.count, in.channels);
  return finish(L, lp_pixels_resample(in, out, rows, columns, filter));
}

/* pixels_window(image, top, left, height, width, border, fill) */
static int window(lua_State *L) {
  static const char *const borders[] = {"constant", "edge", "reflect", "symmetric", NULL};
  const LpPixels in = to_pixels(L, 7);
  const lua_Integer top = luaL_checkinteger(L, 2), left = luaL_checkinteger(L, 3);
  luaL_argcheck(L, top >= -MAX_SIDE && top <= MAX_SIDE, 2, "out of range");
  luaL_argcheck(L, left >= -MAX_SIDE && left <= MAX_SIDE, 3, "out of range");
  const int64_t height = to_side(L, 4), width = to_side(L, 5);
  const int border = luaL_checkoption(L, 6, "constant", borders);
  luaL_argcheck(L, border == 0 || (in.height > 0 && in.width > 0), 1, "no pixels");
  uint8_t fill[4];
  to_fill(L, 7, in.channels, fill);
  uint8_t *out = push_pixels(L, height, width, in.channels);
  return finish(L, lp_pixels_window(in, out, top, left, height, width, (LpBorder)border, fill));
}

/* pixels_flip(image, columns, rows) */
static int flip(lua_State *L) {
  const LpPixels in = to_pixels(L, 3);
  uint8_t *out = push_pixels(L, in.height, in.width, in.channels);
  return finish(L, lp_pixels_flip(in, out, lua_toboolean(L, 2), lua_toboolean(L, 3)));
}

/* pixels_transpose(image) */
static int transpose(lua_State *L) {
  const LpPixels in = to_pixels(L, 1);
  lp_pixels_transpose(in, push_pixels(L, in.width, in.height, in.channels));
  return 1;
}

/* pixels_warp(image, height, width, matrix of 6 or 8, filter, fill) */
static int warp(lua_State *L) {
  const LpPixels in = to_pixels(L, 6);
  const int64_t height = to_side(L, 2), width = to_side(L, 3);
  luaL_checktype(L, 4, LUA_TTABLE);
  LpWarp w = {.perspective = lua_rawlen(L, 4) == 8, .filter = (LpFilter)luaL_checkinteger(L, 5)};
  luaL_argcheck(L, w.filter == LP_FILTER_NEAREST || w.filter == LP_FILTER_BILINEAR || w.filter == LP_FILTER_BICUBIC, 5,
                "a filter expected");
  for (int i = 0; i < (w.perspective ? 8 : 6); i++) {
    lua_rawgeti(L, 4, i + 1);
    w.m[i] = luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  uint8_t fill[4];
  to_fill(L, 6, in.channels, fill);
  uint8_t *out = push_pixels(L, height, width, in.channels);
  return finish(L, lp_pixels_warp(in, out, height, width, &w, fill));
}

/* pixels_lut(image, string of channels x 256 bytes) */
static int lut(lua_State *L) {
  const LpPixels in = to_pixels(L, 2);
  size_t bytes;
  const char *luts = luaL_checklstring(L, 2, &bytes);
  luaL_argcheck(L, bytes == (size_t)in.channels * 256, 2, "256 bytes a channel expected");
  lp_pixels_lut(in, push_pixels(L, in.height, in.width, in.channels), (const uint8_t *)luts);
  return 1;
}

/* pixels_autocontrast(image) */
static int autocontrast(lua_State *L) {
  const LpPixels in = to_pixels(L, 1);
  lp_pixels_autocontrast(in, push_pixels(L, in.height, in.width, in.channels));
  return 1;
}

/* pixels_equalize(image) */
static int equalize(lua_State *L) {
  const LpPixels in = to_pixels(L, 1);
  lp_pixels_equalize(in, push_pixels(L, in.height, in.width, in.channels));
  return 1;
}

/* pixels_luma(image) -> (H, W, 1) */
static int luma(lua_State *L) {
  const LpPixels in = to_pixels(L, 1);
  luaL_argcheck(L, in.channels >= 3, 1, "3 or 4 channels expected");
  lp_pixels_luma(in, push_pixels(L, in.height, in.width, 1));
  return 1;
}

/* pixels_luma_sum(image) -> integer */
static int luma_sum(lua_State *L) {
  lua_pushinteger(L, lp_pixels_luma_sum(to_pixels(L, 1)));
  return 1;
}

/* pixels_saturate(image, factor) */
static int saturate(lua_State *L) {
  const LpPixels in = to_pixels(L, 2);
  luaL_argcheck(L, in.channels >= 3, 1, "3 or 4 channels expected");
  const float factor = (float)luaL_checknumber(L, 2);
  lp_pixels_saturate(in, push_pixels(L, in.height, in.width, in.channels), factor);
  return 1;
}

/* pixels_blend_grey(image, grey, factor) */
static int blend_grey(lua_State *L) {
  const LpPixels in = to_pixels(L, 3);
  const uint8_t grey = (uint8_t)luaL_checkinteger(L, 2);
  const float factor = (float)luaL_checknumber(L, 3);
  lp_pixels_blend_grey(in, push_pixels(L, in.height, in.width, in.channels), grey, factor);
  return 1;
}

/* pixels_blend(from, to, factor): two contiguous images of one shape. */
static int blend(lua_State *L) {
  const LpPixels a = to_pixels(L, 3);
  LpTensor *to = lpvm_check_tensor(L, 2, "image");
  LpTensor *from = lpvm_check_tensor(L, 1, "image");
  luaL_argcheck(L, lp_dtype(to) == LP_UINT8 && lp_ndim(to) == 3, 2, "a uint8 tensor (H, W, C) expected");
  for (int64_t d = 0; d < 3; d++)
    luaL_argcheck(L, lp_size(to, d) == lp_size(from, d), 2, "an image of the same shape expected");
  luaL_argcheck(L, lp_is_contiguous(from, LP_CONTIGUOUS), 1, "a contiguous tensor expected");
  luaL_argcheck(L, lp_is_contiguous(to, LP_CONTIGUOUS), 2, "a contiguous tensor expected");
  const float factor = (float)luaL_checknumber(L, 3);
  uint8_t *out = push_pixels(L, a.height, a.width, a.channels);
  lp_pixels_blend(a.data, lp_data(to), out, lp_numel(to), factor);
  return 1;
}

/* pixels_shift_hue(image, shift) */
static int shift_hue(lua_State *L) {
  const LpPixels in = to_pixels(L, 2);
  luaL_argcheck(L, in.channels >= 3, 1, "3 or 4 channels expected");
  const uint8_t shift = (uint8_t)luaL_checkinteger(L, 2);
  lp_pixels_shift_hue(in, push_pixels(L, in.height, in.width, in.channels), shift);
  return 1;
}

/* pixels_sharpen(image, factor, keep_last) */
static int sharpen(lua_State *L) {
  const LpPixels in = to_pixels(L, 3);
  const float factor = (float)luaL_checknumber(L, 2);
  uint8_t *out = push_pixels(L, in.height, in.width, in.channels);
  return finish(L, lp_pixels_sharpen(in, out, factor, lua_toboolean(L, 3)));
}

/* pixels_premultiply(image, back) */
static int premultiply(lua_State *L) {
  const LpPixels in = to_pixels(L, 2);
  uint8_t *out = push_pixels(L, in.height, in.width, in.channels);
  (lua_toboolean(L, 2) ? lp_pixels_unpremultiply : lp_pixels_premultiply)(in, out);
  return 1;
}

/* A list of `count` floats, or one for all. */
static void to_floats(lua_State *L, int index, int count, float *values) {
  luaL_checktype(L, index, LUA_TTABLE);
  const size_t given = lua_rawlen(L, index);
  luaL_argcheck(L, given == 1 || given == (size_t)count, index, "one value a channel expected");
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, index, given == 1 ? 1 : i + 1);
    values[i] = (float)luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
}

/* pixels_to_float(image, mean, std, flip) -> float32 (C, H, W); mean and std are lists or nil. */
static int to_float(lua_State *L) {
  const LpPixels in = to_pixels(L, 4);
  float mean[4], std[4];
  const bool normalize = !lua_isnoneornil(L, 2);
  if (normalize) {
    to_floats(L, 2, in.channels, mean);
    to_floats(L, 3, in.channels, std);
  }
  const int64_t sizes[3] = {in.channels, in.height, in.width};
  float *out = lp_data(push_result(L, (LpInts){sizes, 3}, LP_FLOAT32));
  lp_pixels_to_float(in, out, normalize ? mean : NULL, normalize ? std : NULL, lua_toboolean(L, 4));
  return 1;
}

/* Adds the functions to the core table. */
void lpvm_open_pixels(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"pixels_resample", resample},
      {"pixels_resample_part", resample_part},
      {"pixels_needed", needed},
      {"pixels_window", window},
      {"pixels_flip", flip},
      {"pixels_transpose", transpose},
      {"pixels_warp", warp},
      {"pixels_lut", lut},
      {"pixels_autocontrast", autocontrast},
      {"pixels_equalize", equalize},
      {"pixels_luma", luma},
      {"pixels_luma_sum", luma_sum},
      {"pixels_saturate", saturate},
      {"pixels_blend_grey", blend_grey},
      {"pixels_blend", blend},
      {"pixels_shift_hue", shift_hue},
      {"pixels_sharpen", sharpen},
      {"pixels_premultiply", premultiply},
      {"pixels_to_float", to_float},
      {NULL, NULL},
  };
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
