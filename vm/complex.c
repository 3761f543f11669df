/* The complex number: what x:item() and x:tolist() give for complex tensors. Immutable,
 * equal by value, written as Python does: (1+2j). torch.j is the imaginary unit: 1 + 2 *
 * torch.j. */
#include <complex.h>
#undef I
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "types.h"

static const LpvmClass complex_class = {"torch.complex"};

typedef struct Complex {
  double re, im;
} Complex;

void lpvm_push_complex(lua_State *L, double re, double im) {
  Complex *c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = (Complex){re, im};
  lpvm_push_class(L, &complex_class);
  lua_setmetatable(L, -2);
}

bool lpvm_to_complex(lua_State *L, int index, double *re, double *im) {
  const Complex *c = lpvm_test_class(L, index, &complex_class);
  if (!c) return false;
  *re = c->re;
  *im = c->im;
  return true;
}

/* The shortest decimal text that reads back as the same double, in Python's notation
 * without ".0". */
static void format_part(double value, bool with_sign, char *buf, size_t buf_bytes) {
  if (isnan(value)) {
    snprintf(buf, buf_bytes, with_sign ? "+nan" : "nan");
    return;
  }
  if (isinf(value)) {
    snprintf(buf, buf_bytes, value < 0 ? "-inf" : with_sign ? "+inf" : "inf");
    return;
  }
  int digits = 1;
  char text[48];
  do snprintf(text, sizeof text, "%.*e", digits - 1, value);
  while (strtod(text, NULL) != value && digits++ < 17);
  int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
  const char *sign = with_sign && !signbit(value) ? "+" : "";
  if (exponent < -4 || exponent >= 16)
    snprintf(buf, buf_bytes, "%s%.*e", sign, digits - 1, value);
  else
    snprintf(buf, buf_bytes, "%s%.*f", sign,
             digits - 1 > exponent ? digits - 1 - exponent : 0, value);
}

static int complex_tostring(lua_State *L) {
  double re, im;
  char real_text[64], imag_text[64];
  if (!lpvm_to_complex(L, 1, &re, &im)) lpvm_error(L, NULL, "expected a complex number");
  bool only_imag = re == 0 && !signbit(re);
  format_part(im, !only_imag, imag_text, sizeof imag_text);
  if (only_imag) {
    lua_pushfstring(L, "%sj", imag_text);
    return 1;
  }
  format_part(re, false, real_text, sizeof real_text);
  lua_pushfstring(L, "(%s%sj)", real_text, imag_text);
  return 1;
}

static bool operand(lua_State *L, int index, double complex *result) {
  double re, im = 0;
  if (lua_type(L, index) == LUA_TNUMBER)
    re = lua_tonumber(L, index);
  else if (!lpvm_to_complex(L, index, &re, &im))
    return false;
  *result = CMPLX(re, im);
  return true;
}

/* Gives way to the other operand's own metamethod, e.g. a tensor's. */
static int delegate(lua_State *L, const char *event) {
  char a[64], b[64];
  int other = lpvm_test_class(L, 1, &complex_class) ? 2 : 1;
  if (!lpvm_test_class(L, other, &complex_class) &&
      luaL_getmetafield(L, other, event) != LUA_TNIL) {
    lua_insert(L, 1);
    lua_settop(L, 3);
    lua_call(L, 2, 1);
    return 1;
  }
  lpvm_error(L, NULL, "attempt to compute with %s and %s",
             lpvm_describe(L, 1, a, sizeof a), lpvm_describe(L, 2, b, sizeof b));
}

#define BINARY(name, event, expression)                                                  \
  static int complex_##name(lua_State *L) {                                              \
    double complex a, b;                                                                 \
    if (!operand(L, 1, &a) || !operand(L, 2, &b)) return delegate(L, event);             \
    double complex r = expression;                                                       \
    lpvm_push_complex(L, creal(r), cimag(r));                                            \
    return 1;                                                                            \
  }
BINARY(add, "__add", a + b)
BINARY(sub, "__sub", a - b)
BINARY(mul, "__mul", a *b)
BINARY(div, "__div", a / b)
BINARY(pow, "__pow", cpow(a, b))
#undef BINARY

static int complex_unm(lua_State *L) {
  double re, im;
  if (!lpvm_to_complex(L, 1, &re, &im)) lpvm_error(L, NULL, "expected a complex number");
  lpvm_push_complex(L, -re, -im);
  return 1;
}

static int complex_eq(lua_State *L) {
  double complex a, b;
  lua_pushboolean(L, operand(L, 1, &a) && operand(L, 2, &b) && a == b);
  return 1;
}

static int complex_abs(lua_State *L) {
  double complex a;
  if (!operand(L, 1, &a)) lpvm_error(L, "abs", "expected a complex number");
  lua_pushnumber(L, cabs(a));
  return 1;
}

static int complex_conjugate(lua_State *L) {
  double complex a;
  if (!operand(L, 1, &a)) lpvm_error(L, "conjugate", "expected a complex number");
  lpvm_push_complex(L, creal(a), -cimag(a));
  return 1;
}

static int complex_index(lua_State *L) {
  double re, im;
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (!lpvm_to_complex(L, 1, &re, &im)) return 0;
  if (!strcmp(key, "real"))
    lua_pushnumber(L, re);
  else if (!strcmp(key, "imag"))
    lua_pushnumber(L, im);
  else if (!strcmp(key, "abs"))
    lua_pushcfunction(L, complex_abs);
  else if (!strcmp(key, "conjugate"))
    lua_pushcfunction(L, complex_conjugate);
  else
    return 0;
  return 1;
}

void lpvm_open_complex(lua_State *L, int torch_index) {
  static const luaL_Reg meta[] = {
      {"__tostring", complex_tostring}, {"__add", complex_add},
      {"__sub", complex_sub},           {"__mul", complex_mul},
      {"__div", complex_div},           {"__pow", complex_pow},
      {"__unm", complex_unm},           {"__eq", complex_eq},
      {"__index", complex_index},       {NULL, NULL},
  };
  int torch = lua_absindex(L, torch_index);
  lpvm_push_class(L, &complex_class);
  luaL_setfuncs(L, meta, 0);
  lua_pop(L, 1);
  lpvm_push_complex(L, 0, 1);
  lua_setfield(L, torch, "j");
}
