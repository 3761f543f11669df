/* Dtypes: names, sizes, categories, PyTorch's promotion table, the default floating
 * dtype. */
#include <stdatomic.h>
#include "core/check.h"
#include "lampad/tensor.h"

enum { INTEGRAL = 1, FLOATING = 2, COMPLEX = 4, BOOLEAN = 8 };

/* clang-format off */
static const struct {
  const char *name;
  uint8_t size_bytes, category;
} infos[LP_DTYPE_COUNT] = {
    [LP_UINT8] = {"uint8", 1, INTEGRAL},           [LP_INT8] = {"int8", 1, INTEGRAL},
    [LP_INT16] = {"int16", 2, INTEGRAL},           [LP_INT32] = {"int32", 4, INTEGRAL},
    [LP_INT64] = {"int64", 8, INTEGRAL},           [LP_FLOAT16] = {"float16", 2, FLOATING},
    [LP_FLOAT32] = {"float32", 4, FLOATING},       [LP_FLOAT64] = {"float64", 8, FLOATING},
    [LP_COMPLEX64] = {"complex64", 8, COMPLEX},    [LP_COMPLEX128] = {"complex128", 16, COMPLEX},
    [LP_BOOL] = {"bool", 1, BOOLEAN},              [LP_BFLOAT16] = {"bfloat16", 2, FLOATING},
    [LP_UINT16] = {"uint16", 2, INTEGRAL},         [LP_UINT32] = {"uint32", 4, INTEGRAL},
    [LP_UINT64] = {"uint64", 8, INTEGRAL},
    [LP_FLOAT8_E4M3FN] = {"float8_e4m3fn", 1, FLOATING},
    [LP_FLOAT8_E5M2] = {"float8_e5m2", 1, FLOATING},
    [LP_FLOAT8_E4M3FNUZ] = {"float8_e4m3fnuz", 1, FLOATING},
    [LP_FLOAT8_E5M2FNUZ] = {"float8_e5m2fnuz", 1, FLOATING},
};
/* clang-format on */

/* The smallest dtype that holds both kinds, as torch.promote_types. */
#define U1 LP_UINT8
#define I1 LP_INT8
#define I2 LP_INT16
#define I4 LP_INT32
#define I8 LP_INT64
#define F2 LP_FLOAT16
#define F4 LP_FLOAT32
#define F8 LP_FLOAT64
#define C4 LP_COMPLEX64
#define C8 LP_COMPLEX128
#define B1 LP_BOOL
#define BF LP_BFLOAT16
/* clang-format off */
static const int8_t promotion[LP_UINT16][LP_UINT16] = {
    /*        u1  i1  i2  i4  i8  f2  f4  f8  c4  c8  b1  bf */
    [U1] = {U1, I2, I2, I4, I8, F2, F4, F8, C4, C8, U1, BF},
    [I1] = {I2, I1, I2, I4, I8, F2, F4, F8, C4, C8, I1, BF},
    [I2] = {I2, I2, I2, I4, I8, F2, F4, F8, C4, C8, I2, BF},
    [I4] = {I4, I4, I4, I4, I8, F2, F4, F8, C4, C8, I4, BF},
    [I8] = {I8, I8, I8, I8, I8, F2, F4, F8, C4, C8, I8, BF},
    [F2] = {F2, F2, F2, F2, F2, F2, F4, F8, C4, C8, F2, F4},
    [F4] = {F4, F4, F4, F4, F4, F4, F4, F8, C4, C8, F4, F4},
    [F8] = {F8, F8, F8, F8, F8, F8, F8, F8, C8, C8, F8, F8},
    [C4] = {C4, C4, C4, C4, C4, C4, C4, C8, C4, C8, C4, C4},
    [C8] = {C8, C8, C8, C8, C8, C8, C8, C8, C8, C8, C8, C8},
    [B1] = {U1, I1, I2, I4, I8, F2, F4, F8, C4, C8, B1, BF},
    [BF] = {BF, BF, BF, BF, BF, F4, F4, F8, C4, C8, BF, BF},
};
/* clang-format on */

static _Atomic int default_dtype = LP_FLOAT32;

static bool is_valid(LpDtype dtype) {
  return dtype >= 0 && dtype < LP_DTYPE_COUNT;
}

const char *lp_dtype_name(LpDtype dtype) {
  return is_valid(dtype) ? infos[dtype].name : "none";
}

size_t lp_dtype_size(LpDtype dtype) {
  return is_valid(dtype) ? infos[dtype].size_bytes : 0;
}

bool lp_dtype_is_floating(LpDtype dtype) {
  return is_valid(dtype) && infos[dtype].category == FLOATING;
}

bool lp_dtype_is_complex(LpDtype dtype) {
  return is_valid(dtype) && infos[dtype].category == COMPLEX;
}

bool lp_dtype_is_integral(LpDtype dtype, bool include_bool) {
  return is_valid(dtype) && (infos[dtype].category == INTEGRAL ||
                             (include_bool && infos[dtype].category == BOOLEAN));
}

bool lp_dtype_is_limited(LpDtype dtype) {
  return dtype >= LP_UINT16 && dtype < LP_DTYPE_COUNT;
}

/* Of two dtypes of which one is limited: PyTorch defines it only where one is of a lower
 * category. For the rest stands a dtype that holds both, or nearly. */
static LpDtype promote_limited(LpDtype a, LpDtype b) {
  if (a == b) return a;
  if (!lp_dtype_is_limited(a)) {
    const LpDtype swap = a;
    a = b;
    b = swap;
  }
  if (b == LP_BOOL) return a;
  if (infos[b].category == COMPLEX) return b;
  if (infos[a].category == FLOATING)
    return infos[b].category == FLOATING && !lp_dtype_is_limited(b) ? b
           : infos[b].category == FLOATING                          ? LP_FLOAT32
                                                                    : a;
  return infos[b].category == FLOATING ? b : LP_INT64;
}

LpDtype lp_promote_types(LpDtype a, LpDtype b) {
  if (!is_valid(a)) return b;
  if (!is_valid(b)) return a;
  if (lp_dtype_is_limited(a) || lp_dtype_is_limited(b)) return promote_limited(a, b);
  return (LpDtype)promotion[a][b];
}

LpDtype lp_default_dtype(void) {
  return (LpDtype)atomic_load_explicit(&default_dtype, memory_order_relaxed);
}

bool lp_set_default_dtype(LpDtype dtype) {
  CHECK(lp_dtype_is_floating(dtype) && !lp_dtype_is_limited(dtype), LP_ERR_TYPE,
        "the default dtype must be a floating point dtype (float16, bfloat16, float32, "
        "float64), got %s",
        lp_dtype_name(dtype));
  atomic_store_explicit(&default_dtype, dtype, memory_order_relaxed);
  return true;
}

LpDtype lp_dtype_to_real(LpDtype dtype) {
  return dtype == LP_COMPLEX64 ? LP_FLOAT32 : dtype == LP_COMPLEX128 ? LP_FLOAT64 : dtype;
}

LpDtype lp_dtype_to_complex(LpDtype dtype) {
  if (lp_dtype_is_complex(dtype)) return dtype;
  return dtype == LP_FLOAT64 ? LP_COMPLEX128 : LP_COMPLEX64;
}

LpDtype lp_scalar_dtype(LpScalar scalar) {
  switch (scalar.kind) {
  case LP_SCALAR_BOOL: return LP_BOOL;
  case LP_SCALAR_INT: return LP_INT64;
  case LP_SCALAR_FLOAT: return lp_default_dtype();
  default: return lp_dtype_to_complex(lp_default_dtype());
  }
}
