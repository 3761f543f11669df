/* Promotion, checks and launch of elementwise ops; see dispatch/pointwise.h. */
#include "dispatch/pointwise.h"

#include <math.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/double.h"
#include "cpu/pointwise.h"
#include "dispatch/layout.h"

typedef enum Promote { NONE, INT_TO_FLOAT, BOOL_RESULT } Promote;

/* Categories of dtypes, and the sets that the schema's rows name. */
enum {
  FLOAT = 1,
  COMPLEX = 2,
  INT = 4,
  BOOL = 8,
  FLOAT_COMPLEX = FLOAT | COMPLEX,
  FLOAT_INT = FLOAT | INT,
  FLOAT_BOOL = FLOAT | BOOL,
  COMPLEX_INT = COMPLEX | INT,
  COMPLEX_BOOL = COMPLEX | BOOL,
  INT_BOOL = INT | BOOL,
  FLOAT_COMPLEX_INT = FLOAT | COMPLEX | INT,
  FLOAT_COMPLEX_BOOL = FLOAT | COMPLEX | BOOL,
  FLOAT_INT_BOOL = FLOAT | INT | BOOL,
  COMPLEX_INT_BOOL = COMPLEX | INT | BOOL,
  ALL = FLOAT | COMPLEX | INT | BOOL,
  DOUBLE = FLOAT | 16 /* by functions of doubles: Note [Kernels of doubles] */
};

typedef struct OpInfo {
  uint8_t dtypes, promote, n_params, arity;
} OpInfo;

static const OpInfo infos[LP_POINTWISE_COUNT] = {
#define UNARY(name, dtypes, promote, n_params)                                           \
  [LP_POINTWISE_UNARY(LP_UNARY_##name)] = {dtypes, promote, n_params, 1},
#define BINARY(name, dtypes, promote, n_params)                                          \
  [LP_POINTWISE_BINARY(LP_BINARY_##name)] = {dtypes, promote, n_params, 2},
#define EXTRA(name, dtypes, promote, n_params, arity)                                    \
  [LP_POINTWISE_EXTRA(LP_EXTRA_##name)] = {dtypes, promote, n_params, arity},
    LP_UNARY_OPS(UNARY) LP_BINARY_OPS(BINARY) LP_EXTRA_OPS(EXTRA)};

static int category(LpDtype dtype) {
  return dtype == LP_BOOL              ? BOOL
         : lp_dtype_is_complex(dtype)  ? COMPLEX
         : lp_dtype_is_floating(dtype) ? FLOAT
                                       : INT;
}

static LpTensor *fail_dtype(int dtypes, LpDtype got) {
  char want[64] = "";
  static const char *const words[] = {"floating", "complex", "integral", "bool"};
  for (int i = 0; i < 4; i++) {
    if (!(dtypes >> i & 1)) continue;
    if (want[0]) strcat(want, (dtypes & ALL) >> (i + 1) ? ", " : " or ");
    strcat(want, words[i]);
  }
  lp_fail(LP_ERR_TYPE, "expected a tensor of %s dtype, got %s", want, lp_dtype_name(got));
  return NULL;
}

/* --- launch ------------------------------------------------------------------------- */

static bool same_plain_shape(const LpTensor *a, const LpTensor *b) {
  if (a->ndim != b->ndim || !b->is_contiguous) return false;
  return memcmp(a->sizes, b->sizes, (size_t)a->ndim * sizeof *a->sizes) == 0;
}

/* The common case without an iterator: new result, contiguous inputs of one shape and
 * dtype, small enough for one thread. *handled tells whether it was. */
static LpTensor *run_plain(const OpInfo *info, LpBlock block, LpTensor *const *inputs,
                           const LpScalar *params, bool *handled) {
  const LpTensor *self = inputs[0];
  *handled = false;
  if (!self->is_contiguous || self->numel > LP_GRAIN ||
      self->storage->device.type != LP_CPU || lp_is_hidden(self))
    return NULL;
  for (int k = 1; k < info->arity; k++)
    if (inputs[k]->dtype != self->dtype || !same_plain_shape(self, inputs[k]) ||
        lp_is_hidden(inputs[k]))
      return NULL;
  *handled = true;
  LpDtype dtype = info->promote == BOOL_RESULT ? LP_BOOL : (LpDtype)self->dtype;
  LpTensor *out = lp_tensor_new(lp_ints(self->sizes, self->ndim), dtype, lp_cpu());
  if (!out || out->numel == 0) return out;
  LpDrive d = {block, NULL, params, info->arity, {0}};
  char *ptrs[4];
  int64_t strides[4];
  int8_t size = (int8_t)lp_dtype_size(self->dtype);
  for (int k = 0; k <= info->arity; k++) {
    const LpTensor *t = k == 0 ? out : inputs[k - 1];
    strides[k] = d.sizes[k] = k == 0 ? (int8_t)lp_dtype_size(dtype) : size;
    ptrs[k] = (char *)lp_storage_data(t->storage) + t->offset_elems * strides[k];
  }
  lp_pointwise_table()->drive(ptrs, strides, out->numel, &d);
  return out;
}

static bool is_real_of_complex(int op) {
  return op == LP_POINTWISE_UNARY(LP_UNARY_abs) ||
         op == LP_POINTWISE_UNARY(LP_UNARY_angle);
}

/* Products and quotients of halves use a number as it is, which only float32 can hold. */
static bool takes_exact_scalars(int op) {
  return op == LP_POINTWISE_BINARY(LP_BINARY_mul) ||
         op == LP_POINTWISE_BINARY(LP_BINARY_div);
}
static bool has_scalar_of_other_dtype(LpTensor *const *inputs, LpDtype common) {
  for (int k = 0; k < 2; k++)
    if (inputs[k]->ndim == 0 && (LpDtype)inputs[k]->dtype != common) return true;
  return false;
}

LpTensor *lp_pointwise(int op, LpTensor *out, LpTensor *const *inputs, int n_inputs,
                       const LpScalar *params) {
  return lp_pointwise_as(op, out, inputs, n_inputs, params,
                         lp_result_type(inputs, n_inputs));
}

/* The op that gives the same bits with its two inputs exchanged; -1: there is none. */
static int turned_op(int op, LpDtype compute, const LpScalar *params) {
  if (category(compute) == COMPLEX) return -1;
  switch (op - LP_POINTWISE_BINARY(0)) {
  case LP_BINARY_add: return lp_scalar_to_double(params[0]) == 1 ? op : -1;
  case LP_BINARY_mul:
  case LP_BINARY_eq:
  case LP_BINARY_ne: return op;
  case LP_BINARY_sub: return LP_POINTWISE_BINARY(LP_BINARY_rsub);
  case LP_BINARY_rsub: return LP_POINTWISE_BINARY(LP_BINARY_sub);
  case LP_BINARY_lt: return LP_POINTWISE_BINARY(LP_BINARY_gt);
  case LP_BINARY_gt: return LP_POINTWISE_BINARY(LP_BINARY_lt);
  case LP_BINARY_le: return LP_POINTWISE_BINARY(LP_BINARY_ge);
  case LP_BINARY_ge: return LP_POINTWISE_BINARY(LP_BINARY_le);
  default: return -1;
  }
}

/* Elements of a row for which a call by a number is worth while: a vector at least. */
#define VECTOR_BYTES 64 /* at most */
#define WORTH_A_CALL 33
static int numbers_from(const LpDrive *d) {
  const int vector =
      VECTOR_BYTES / (d->sizes[0] < d->sizes[1] ? d->sizes[0] : d->sizes[1]);
  return vector > WORTH_A_CALL ? vector : WORTH_A_CALL;
}

LpTensor *lp_pointwise_as(int op, LpTensor *out, LpTensor *const *inputs, int n_inputs,
                          const LpScalar *params, LpDtype common) {
  const OpInfo *info = &infos[op];
  ASSERT(n_inputs == info->arity);
  if (info->promote == INT_TO_FLOAT && lp_dtype_is_integral(common, true))
    common = lp_default_dtype();
  if (LP_UNLIKELY(!(info->dtypes & category(common))))
    return fail_dtype(info->dtypes, common);
  const LpPointwiseTable *table = lp_pointwise_table();
  LpDtype compute = common; /* what the block works in */
  LpBlock block = table->rows[common]->blocks[op];
  if ((common == LP_FLOAT16 || common == LP_BFLOAT16) && takes_exact_scalars(op) &&
      has_scalar_of_other_dtype(inputs, common))
    block = NULL;
  if (info->dtypes == DOUBLE) {
    if (common != LP_FLOAT64) compute = LP_FLOAT32;
  } else if (!block) {
    compute = LP_FLOAT32;
    block = table->rows[compute]->blocks[op];
  } else if (!out && common == (LpDtype)inputs[0]->dtype && category(common) != COMPLEX) {
    bool handled;
    LpTensor *result = run_plain(info, block, inputs, params, &handled);
    if (handled) return result;
  }

  LpIter it;
  lp_iter_init(&it);
  lp_iter_output(&it, out);
  for (int k = 0; k < n_inputs; k++) lp_iter_input(&it, inputs[k]);
  it.cast_inputs = it.takes_deferred = true;
  it.common_dtype = compute;
  it.output_dtype = info->promote == BOOL_RESULT ? LP_BOOL
                    : is_real_of_complex(op)     ? lp_dtype_to_real(common)
                                                 : common;
  it.loop_dtype = info->promote == BOOL_RESULT ? LP_BOOL : compute;
  if (compute != common) {
    it.round_dtype = common;
    it.exact_scalars = takes_exact_scalars(op);
  }
  for (int k = 0; k < n_inputs; k++) it.no_resize = it.no_resize || out == inputs[k];
  int8_t size = (int8_t)lp_dtype_size(compute);
  LpDrive d = {block,    block ? table->rows[compute]->by_number[op] : NULL,       params,
               n_inputs, {(int8_t)lp_dtype_size(it.loop_dtype), size, size, size}, NULL};
  const int turned = n_inputs == 2 ? turned_op(op, compute, params) : -1;
  if (block && turned >= 0) d.turned = table->rows[compute]->by_number[turned];
  LpDoubleCall call = {lp_double_kernel(op), params};
  LpLoop loop = block ? table->drive : lp_double_loop(compute);
  LpTensor *result = NULL;
  bool ok = lp_iter_build(&it);
  if (ok && n_inputs == 2 &&
      ((d.by_number && it.strides[2][0] == 0) || (d.turned && it.strides[1][0] == 0)))
    it.numbers_from = numbers_from(&d);
  if (ok && lp_iter_run_packed(&it, loop, block ? table->drive_rows : NULL,
                               block ? (const void *)&d : &call))
    result = lp_iter_take(&it, 0);
  lp_iter_done(&it);
  return result;
}

/* --- unary -------------------------------------------------------------------------- */

LpTensor *lp_unary(int op, LpTensor *out, LpTensor *self, const LpScalar *params,
                   int n_params) {
  ASSERT(n_params == infos[op].n_params);
  /* What mostly reads deferred elements computes them in the same loop, without a buffer
   * between. */
  if ((op == LP_UNARY_relu || op == LP_UNARY_relu6) && (!out || out == self) &&
      lp_is_deferred(self))
    return lp_bound_deferred(self, out != NULL,
                             (LpBounds){0, op == LP_UNARY_relu ? INFINITY : 6});
  if (LP_UNLIKELY(self->dtype == LP_BOOL && op == LP_UNARY_neg))
    CHECK(false, LP_ERR_TYPE,
          "negation of a bool tensor is not supported; to invert a mask use "
          "logical_not() or ~");
  if (LP_UNLIKELY(self->dtype == LP_BOOL && op == LP_UNARY_square))
    return lp_pointwise_as(op, out, &self, 1, params, LP_INT64);
  if (LP_UNLIKELY(self->dtype == LP_UINT8 &&
                  op == LP_UNARY_hardtanh)) { /* limits below 0 are 0 */
    int64_t low = lp_scalar_to_int(params[0]), high = lp_scalar_to_int(params[1]);
    LpScalar limits[2] = {lp_scalar_int(low < 0 ? 0 : low),
                          lp_scalar_int(high < 0 ? 0 : high)};
    return lp_pointwise(op, out, &self, 1, limits);
  }
  return lp_pointwise(LP_POINTWISE_UNARY(op), out, &self, 1, params);
}

/* --- binary ------------------------------------------------------------------------- */

/* Whether one of n elements is zero; contiguous ones are looked at as vectors. */
#define FIND_ZERO(type)                                                                  \
  static void find_zero_##type(char *const *ptrs, const int64_t *strides, int64_t n,     \
                               const void *found) {                                      \
    const char *at = ptrs[0];                                                            \
    const int64_t stride = strides[0];                                                   \
    unsigned zeros = 0;                                                                  \
    if (stride == sizeof(type))                                                          \
      for (int64_t i = 0; i < n; i++) zeros |= ((const type *)at)[i] == 0;               \
    else                                                                                 \
      for (int64_t i = 0; i < n; i++) zeros |= *(const type *)(at + i * stride) == 0;    \
    if (zeros) __atomic_store_n(*(bool *const *)found, true, __ATOMIC_RELAXED);          \
  }
FIND_ZERO(uint8_t)
FIND_ZERO(uint16_t)
FIND_ZERO(uint32_t)
FIND_ZERO(uint64_t)

bool lp_check_no_zero(LpTensor *divisor) {
  bool found = false;
  static const LpLoop loops[] = {find_zero_uint8_t, find_zero_uint16_t,
                                 find_zero_uint32_t, find_zero_uint64_t};
  const bool *const params = &found;
  LpIter it;
  lp_iter_init(&it);
  lp_iter_input(&it, divisor);
  bool ok =
      lp_iter_build(&it) &&
      lp_iter_run(&it, loops[__builtin_ctzll(lp_dtype_size(divisor->dtype))], &params);
  lp_iter_done(&it);
  if (ok && found)
    return lp_fail(LP_ERR_ARGUMENT,
                   "ZeroDivisionError: integer division by zero: other has a 0");
  return ok;
}

/* What add, sub and rsub ask of their alpha. */
static bool check_alpha(LpTensor *self, LpTensor *other, LpScalar alpha) {
  if (alpha.kind == LP_SCALAR_INT && alpha.v.i == 1) return true;
  LpDtype common = lp_result_type((LpTensor *const[]){self, other}, 2);
  CHECK(alpha.kind != LP_SCALAR_BOOL || common == LP_BOOL, LP_ERR_TYPE,
        "Boolean alpha is only supported for Boolean results, got %s",
        lp_dtype_name(common));
  CHECK(alpha.kind <= LP_SCALAR_INT || !lp_dtype_is_integral(common, true), LP_ERR_TYPE,
        "for integral input tensors, argument alpha must not be a floating point number");
  CHECK(alpha.kind != LP_SCALAR_COMPLEX || lp_dtype_is_complex(common), LP_ERR_TYPE,
        "for non-complex input tensors, argument alpha must not be a complex number");
  return true;
}

/* A number as exponent has short cuts, which are exact where pow is not; -1: none. */
static int pow_shortcut(const LpTensor *self, const LpTensor *exponent, LpDtype common) {
  if (!(exponent->flags & LP_FLAG_WRAPPED_NUMBER) || self->flags & LP_FLAG_WRAPPED_NUMBER)
    return -1;
  if (lp_dtype_is_integral(common, true)) return -1;
  LpScalar e;
  if (!lp_item((LpTensor *)exponent, &e)) return -1;
  if (e.kind == LP_SCALAR_COMPLEX && e.v.c[1] != 0) return -1;
  double value = lp_scalar_to_double(e);
  return value == 2      ? LP_POINTWISE_UNARY(LP_UNARY_square)
         : value == 3    ? LP_POINTWISE_EXTRA(LP_EXTRA_cube)
         : value == 0.5  ? LP_POINTWISE_UNARY(LP_UNARY_sqrt)
         : value == -0.5 ? LP_POINTWISE_UNARY(LP_UNARY_rsqrt)
         : value == -1   ? LP_POINTWISE_UNARY(LP_UNARY_reciprocal)
                         : -1;
}

static bool check_pow(LpTensor *self, LpTensor *exponent, LpDtype common, int *shortcut) {
  *shortcut = pow_shortcut(self, exponent, common);
  if (lp_dtype_is_integral(common, false) && exponent->flags & LP_FLAG_WRAPPED_NUMBER) {
    LpScalar e;
    TRY(lp_item(exponent, &e));
    CHECK(lp_scalar_to_int(e) >= 0, LP_ERR_ARGUMENT,
          "integers to negative integer powers are not allowed: make self a floating "
          "tensor");
  }
  return true;
}

LpTensor *lp_binary(int op, LpTensor *out, LpTensor *self, LpTensor *other,
                    const LpScalar *params, int n_params) {
  ASSERT(n_params == infos[LP_POINTWISE_BINARY(op)].n_params);
  LpTensor *const inputs[2] = {self, other};
  switch (op) {
  case LP_BINARY_sub:
  case LP_BINARY_rsub:
    CHECK(self->dtype != LP_BOOL && other->dtype != LP_BOOL, LP_ERR_TYPE,
          "subtraction with a bool tensor is not supported; use logical_xor() or ^, or "
          "logical_not() or ~ to invert a mask");
    /* fall through */
  case LP_BINARY_add: TRY(check_alpha(self, other, params[0])); break;
  case LP_BINARY_floor_divide:
  case LP_BINARY_remainder:
  case LP_BINARY_fmod:
    if (lp_dtype_is_integral(self->dtype, true) &&
        lp_dtype_is_integral(other->dtype, true))
      TRY(lp_check_no_zero(other));
    break;
  case LP_BINARY_pow: {
    const LpDtype common = lp_result_type(inputs, 2);
    int shortcut;
    TRY(check_pow(self, other, common, &shortcut));
    if (shortcut >= 0) return lp_pointwise_as(shortcut, out, &self, 1, NULL, common);
    break;
  }
  default: break;
  }
  return lp_pointwise(LP_POINTWISE_BINARY(op), out, inputs, 2, params);
}
