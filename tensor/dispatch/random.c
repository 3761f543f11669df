/* The random ops: checks, the order in which elements are visited, and the locking of the
 * generator. The numbers themselves come from cpu/random.c.
 *
 * Note [Order of draws]: an op draws for its elements in the order of their addresses (as
 * PyTorch's iterator does), not of their indices: x.t() is filled like x. */
#include <math.h>
#include <stdlib.h>
#include "core/alloc.h"
#include "core/half.h"
#include "cpu/random.h"
#include "dispatch/iter.h"
#include "dispatch/shape.h"
#include "impl.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

/* --- the walk
 * --------------------------------------------------------------------------------- */

/* The dims of t from the smallest stride on; equal strides by size, stride 0 left where
 * it is. */
static void order_dims(const LpTensor *t, int *order) {
  for (int i = 0; i < t->ndim; i++) order[i] = t->ndim - 1 - i;
  for (int i = 1; i < t->ndim; i++) {
    int at = i;
    for (int j = i - 1; j >= 0; j--) {
      int64_t a = t->strides[order[j]], b = t->strides[order[at]];
      if (a == 0 || b == 0) continue;
      if (a < b || (a == b && t->sizes[order[j]] <= t->sizes[order[at]])) {
        if (a < b) break;
        continue;
      }
      int swapped = order[j];
      order[j] = order[at];
      order[at] = swapped;
      at = j;
    }
  }
}

/* Fills t's elements in the order of their addresses. */
static bool fill_walk(const LpRandomFill *fill, const LpTensor *t) {
  int64_t item = (int64_t)lp_dtype_size(t->dtype);
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], index[LP_MAX_DIMS] = {0};
  int order[LP_MAX_DIMS], ndim = 0;
  order_dims(t, order);
  for (int i = 0; i < t->ndim; i++) {
    int64_t size = t->sizes[order[i]], stride = t->strides[order[i]] * item;
    if (size == 1) continue;
    if (ndim && strides[ndim - 1] * sizes[ndim - 1] == stride)
      sizes[ndim - 1] *= size;
    else
      sizes[ndim] = size, strides[ndim] = stride, ndim++;
  }
  if (ndim == 0) sizes[0] = 1, strides[0] = item, ndim = 1;
  const int64_t piece = 1 << 18; /* elements between two looks at the interrupt flag */
  char *data = lp_data(t);
  for (;;) {
    for (int64_t at = 0; at < sizes[0]; at += piece) {
      lp_cpu_random_fill(fill, data + at * strides[0], strides[0],
                         sizes[0] - at < piece ? sizes[0] - at : piece);
      if (lp_interrupt_take()) return lp_fail(LP_ERR_INTERRUPT, "interrupted");
    }
    int d = 1;
    for (; d < ndim; d++) {
      data += strides[d];
      if (++index[d] < sizes[d]) break;
      data -= strides[d] * sizes[d];
      index[d] = 0;
    }
    if (d == ndim) return true;
  }
}

/* --- shared pieces
 * ---------------------------------------------------------------------------- */

static bool check_cpu(const LpTensor *t) {
  CHECK(t->storage->device.type == LP_CPU, LP_ERR_DEVICE,
        "self must be on the CPU, as the generator is; move it with :cpu()");
  return true;
}

static bool check_writable(const LpTensor *t) {
  TRY(check_cpu(t));
  for (int d = 0; d < t->ndim && t->numel; d++)
    CHECK(t->strides[d] != 0 || t->sizes[d] == 1, LP_ERR_ARGUMENT,
          "self (shape %s) is an expanded view: several of its elements share one place "
          "in memory. "
          "Use :clone() first",
          SHAPE_TEXT(t));
  return true;
}

/* A complex tensor seen as real pairs, any other one as it is; owned. */
static LpTensor *real_view(LpTensor *t) {
  return lp_dtype_is_complex(t->dtype) ? lp_impl_view_as_real(t) : lp_tensor_retain(t);
}

static double largest(LpDtype dtype) {
  return dtype == LP_FLOAT16    ? 65504.0
         : dtype == LP_BFLOAT16 ? 0x1.fep127
         : dtype == LP_FLOAT32  ? 0x1.fffffep127
                                : 0x1.fffffffffffffp1023;
}

static bool is_real_or_complex_float(LpDtype dtype) {
  return lp_dtype_is_floating(dtype) || lp_dtype_is_complex(dtype);
}

static bool fill_tensor(LpTensor *t, LpGenerator *g, LpRandomFill fill) {
  if (t->numel == 0) return true;
  fill.dtype = t->dtype;
  fill.generator = lp_generator_lock(g);
  bool ok = fill_walk(&fill, t);
  lp_generator_unlock(fill.generator);
  return ok;
}

/* --- distributions in place
 * ------------------------------------------------------------------- */

static bool fill_uniform(LpTensor *t, double from, double to, LpGenerator *g) {
  TRY(check_writable(t));
  CHECK(is_real_or_complex_float(t->dtype), LP_ERR_TYPE,
        "uniform numbers need a floating or complex dtype, got %s",
        lp_dtype_name(t->dtype));
  double limit = largest(lp_dtype_to_real(t->dtype));
  CHECK(from >= -limit && from <= limit, LP_ERR_ARGUMENT,
        "from = %g is out of bounds for %s", from, lp_dtype_name(t->dtype));
  CHECK(to >= -limit && to <= limit, LP_ERR_ARGUMENT, "to = %g is out of bounds for %s",
        to, lp_dtype_name(t->dtype));
  CHECK(from <= to, LP_ERR_ARGUMENT,
        "expected a range [from, to), got from = %g > to = %g", from, to);
  CHECK(to - from <= limit, LP_ERR_ARGUMENT, "to - from = %g is beyond the largest %s",
        to - from, lp_dtype_name(t->dtype));
  LpTensor *real = real_view(t);
  bool ok =
      real &&
      fill_tensor(real, g, (LpRandomFill){.kind = LP_RANDOM_UNIFORM, .a = from, .b = to});
  lp_tensor_release(real);
  return ok;
}

static bool fill_normal(LpTensor *t, double mean, double std, LpGenerator *g) {
  TRY(check_writable(t));
  CHECK(is_real_or_complex_float(t->dtype), LP_ERR_TYPE,
        "normal numbers need a floating or complex dtype, got %s",
        lp_dtype_name(t->dtype));
  CHECK(std >= 0, LP_ERR_ARGUMENT, "std must be >= 0, got %g", std);
  LpTensor *real = real_view(t);
  if (!real) return false;
  bool ok = true;
  if (real != t) std /= sqrt(2); /* the two parts share the variance */
  if (real->numel >= 16 && real->is_contiguous) {
    LpGenerator *locked = lp_generator_lock(g);
    lp_cpu_random_normal(locked, lp_data(real), real->dtype, real->numel, mean, std);
    lp_generator_unlock(locked);
  } else {
    ok = fill_tensor(real, g,
                     (LpRandomFill){.kind = LP_RANDOM_NORMAL, .a = mean, .b = std});
  }
  lp_tensor_release(real);
  return ok;
}

static LpTensor *filled(LpTensor *self, LpGenerator *g, LpRandomFill fill) {
  TRY(fill_tensor(self, g, fill));
  return lp_tensor_retain(self);
}

LpTensor *lp_impl_uniform(LpTensor *out, LpTensor *self, double from, double to,
                          LpGenerator *generator) {
  return fill_uniform(out, from, to, generator) ? lp_tensor_retain(out) : NULL;
}

LpTensor *lp_impl_normal(LpTensor *out, LpTensor *self, double mean, double std,
                         LpGenerator *generator) {
  return fill_normal(out, mean, std, generator) ? lp_tensor_retain(out) : NULL;
}

static bool check_continuous(const LpTensor *t) {
  TRY(check_writable(t));
  CHECK(lp_dtype_is_floating(t->dtype), LP_ERR_TYPE,
        "a continuous distribution needs a floating dtype, got %s",
        lp_dtype_name(t->dtype));
  return true;
}

LpTensor *lp_impl_exponential(LpTensor *out, LpTensor *self, double lambd,
                              LpGenerator *generator) {
  TRY(check_continuous(out));
  CHECK(lambd > 0, LP_ERR_ARGUMENT, "lambd must be > 0, got %g", lambd);
  return filled(out, generator,
                (LpRandomFill){.kind = LP_RANDOM_EXPONENTIAL, .a = lambd});
}

LpTensor *lp_impl_log_normal(LpTensor *out, LpTensor *self, double mean, double std,
                             LpGenerator *generator) {
  TRY(check_continuous(out));
  CHECK(std > 0, LP_ERR_ARGUMENT, "std must be > 0, got %g", std);
  return filled(out, generator,
                (LpRandomFill){.kind = LP_RANDOM_LOG_NORMAL, .a = mean, .b = std});
}

LpTensor *lp_impl_cauchy(LpTensor *out, LpTensor *self, double median, double sigma,
                         LpGenerator *generator) {
  TRY(check_continuous(out));
  CHECK(sigma > 0, LP_ERR_ARGUMENT, "sigma must be > 0, got %g", sigma);
  return filled(out, generator,
                (LpRandomFill){.kind = LP_RANDOM_CAUCHY, .a = median, .b = sigma});
}

LpTensor *lp_impl_geometric(LpTensor *out, LpTensor *self, double p,
                            LpGenerator *generator) {
  TRY(check_writable(out));
  CHECK(!lp_dtype_is_complex(out->dtype) && out->dtype != LP_BOOL, LP_ERR_TYPE,
        "self must have an integer or floating dtype, got %s", lp_dtype_name(out->dtype));
  CHECK(p > 0 && p < 1, LP_ERR_ARGUMENT, "p must be in (0, 1), got %g", p);
  return filled(out, generator, (LpRandomFill){.kind = LP_RANDOM_GEOMETRIC, .a = p});
}

/* --- integers
 * --------------------------------------------------------------------------------- */

/* The binary digits of a floating dtype's significand; 0 for other dtypes. */
static int digits(LpDtype dtype) {
  return dtype == LP_FLOAT16    ? 11
         : dtype == LP_BFLOAT16 ? 8
         : dtype == LP_FLOAT32  ? 24
         : dtype == LP_FLOAT64  ? 53
                                : 0;
}

static int64_t largest_int(LpDtype dtype) {
  static const int64_t table[LP_DTYPE_COUNT] = {
      [LP_UINT8] = UINT8_MAX, [LP_INT8] = INT8_MAX,   [LP_INT16] = INT16_MAX,
      [LP_INT32] = INT32_MAX, [LP_INT64] = INT64_MAX, [LP_BOOL] = 1};
  return table[dtype];
}

static int64_t smallest_int(LpDtype dtype) {
  return dtype == LP_UINT8 || dtype == LP_BOOL ? 0 : -largest_int(dtype) - 1;
}

static double round_to(LpDtype dtype, int64_t v) {
  return dtype == LP_FLOAT16    ? lp_half_to_float(lp_half_from_float((float)v))
         : dtype == LP_BFLOAT16 ? lp_bf16_to_float(lp_bf16_from_float((float)v))
         : dtype == LP_FLOAT32  ? (float)v
                                : (double)v;
}

static int log2_of(int64_t v) { /* of |v| */
  unsigned long long magnitude =
      v < 0 ? 0 - (unsigned long long)v : (unsigned long long)v;
  return magnitude ? 63 - __builtin_clzll(magnitude) : 0;
}

/* Moves a bound to the next number of a floating dtype inside the range: an integer drawn
 * from [from, to) must not leave it when it is rounded. */
static int64_t inner_from(LpDtype dtype, int64_t from) {
  if (from == INT64_MAX) return from;
  double next = round_to(dtype, from + 1);
  if (!(next < (double)from)) return from;
  int64_t step = INT64_C(1) << (log2_of(from + 1) - digits(dtype) + 1), above;
  return __builtin_add_overflow((int64_t)next, step, &above) ? INT64_MAX : above;
}

static int64_t inner_to(LpDtype dtype, int64_t to) {
  if (to == INT64_MIN) return to;
  double last = round_to(dtype, to - 1);
  if (!(last >= (double)to)) return to;
  int64_t step = INT64_C(1) << (log2_of(to - 1) - digits(dtype) + 1);
  if (last >= 0x1p63) return INT64_MAX - step + 1;
  int64_t below;
  return __builtin_sub_overflow((int64_t)last, step, &below) ? INT64_MIN : below;
}

static bool check_bound(LpDtype dtype, const char *name, int64_t v) {
  bool fits = digits(dtype) ? fabs((double)v) <= largest(dtype)
                            : v >= smallest_int(dtype) && v <= largest_int(dtype);
  CHECK(fits, LP_ERR_ARGUMENT, "%s = %lld is out of bounds for %s", name, (long long)v,
        lp_dtype_name(dtype));
  return true;
}

static bool check_integer_target(const LpTensor *t) {
  TRY(check_writable(t));
  CHECK(!lp_dtype_is_complex(t->dtype), LP_ERR_TYPE,
        "random integers need an integer, bool or floating dtype, got %s",
        lp_dtype_name(t->dtype));
  return true;
}

/* From 2^28 on PyTorch draws 64-bit words, so that the remainder is hardly skewed. */
#define WIDE_RANGE (UINT64_C(1) << 28)

static bool fill_range(LpTensor *t, int64_t from, int64_t to, LpGenerator *g) {
  TRY(check_integer_target(t));
  CHECK(from < to, LP_ERR_ARGUMENT,
        "expected a range [from, to), got from = %lld >= to = %lld", (long long)from,
        (long long)to);
  if (digits(t->dtype)) {
    from = inner_from(t->dtype, from);
    to = inner_to(t->dtype, to);
    CHECK(from < to, LP_ERR_ARGUMENT,
          "no number of %s lies in the range: from = %lld >= to = %lld",
          lp_dtype_name(t->dtype), (long long)from, (long long)to);
  }
  TRY(check_bound(t->dtype, "from", from));
  TRY(check_bound(t->dtype, "to - 1", to - 1));
  uint64_t range = (uint64_t)to - (uint64_t)from;
  return fill_tensor(t, g,
                     (LpRandomFill){.kind = LP_RANDOM_INTEGER,
                                    .range = range,
                                    .base = from,
                                    .wide = range >= WIDE_RANGE});
}

LpTensor *lp_impl_random(LpTensor *out, LpTensor *self, LpGenerator *generator) {
  TRY(check_integer_target(out));
  LpDtype dtype = out->dtype;
  LpRandomFill fill = {.kind = LP_RANDOM_INTEGER,
                       .wide = dtype == LP_INT64 || dtype == LP_FLOAT64};
  fill.range = digits(dtype) ? (UINT64_C(1) << digits(dtype)) + 1
                             : (uint64_t)largest_int(dtype) + 1;
  return filled(out, generator, fill);
}

LpTensor *lp_impl_random_to(LpTensor *out, LpTensor *self, int64_t to,
                            LpGenerator *generator) {
  return fill_range(out, 0, to, generator) ? lp_tensor_retain(out) : NULL;
}

LpTensor *lp_impl_random_from(LpTensor *out, LpTensor *self, int64_t from, LpOptInt to,
                              LpGenerator *generator) {
  if (to.has)
    return fill_range(out, from, to.value, generator) ? lp_tensor_retain(out) : NULL;
  TRY(check_integer_target(out));
  LpRandomFill fill = {.kind = LP_RANDOM_INTEGER, .wide = true};
  if (from == INT64_MIN) {
    CHECK(out->dtype == LP_INT64 || (digits(out->dtype) && out->dtype != LP_FLOAT16),
          LP_ERR_TYPE,
          "the full range of 64 bits needs int64, float64, float32 or bfloat16, got %s",
          lp_dtype_name(out->dtype));
    return filled(out, generator, fill);
  }
  int64_t last =
      digits(out->dtype) ? INT64_C(1) << digits(out->dtype) : largest_int(out->dtype);
  if (digits(out->dtype)) from = inner_from(out->dtype, from);
  CHECK(from <= last, LP_ERR_ARGUMENT, "from = %lld is beyond the largest %s",
        (long long)from, lp_dtype_name(out->dtype));
  TRY(check_bound(out->dtype, "from", from));
  fill.range = (uint64_t)last - (uint64_t)from + 1;
  fill.base = from;
  fill.wide = fill.range >= WIDE_RANGE || fill.range == 0;
  return filled(out, generator, fill);
}

/* --- bernoulli
 * -------------------------------------------------------------------------------- */

LpTensor *lp_impl_bernoulli_float(LpTensor *out, LpTensor *self, double p,
                                  LpGenerator *generator) {
  TRY(check_writable(out));
  CHECK(!lp_dtype_is_complex(out->dtype), LP_ERR_TYPE, "self must not be complex");
  CHECK(p >= 0 && p <= 1, LP_ERR_ARGUMENT, "p must be in [0, 1], got %g", p);
  return filled(out, generator, (LpRandomFill){.kind = LP_RANDOM_BERNOULLI, .a = p});
}

typedef struct TensorDraw {
  LpGenerator *generator;
  LpLoop to_out; /* casts doubles to the output's dtype */
  LpLoop to_double;
  /* Replaces a block of parameters by numbers drawn with them, or returns false where one
   * is out of range. */
  bool (*block)(const struct TensorDraw *, double *values, int64_t n);
  bool wide;     /* draws 53 bits, else 24 */
  bool *invalid; /* set when a parameter is out of range */
} TensorDraw;

enum { DRAW_BLOCK = 256 };

static bool bernoulli_block(const TensorDraw *draw, double *values, int64_t n) {
  double units[DRAW_BLOCK];
  bool valid = true;
  for (int64_t i = 0; i < n; i++) valid &= values[i] >= 0 && values[i] <= 1;
  if (!valid) return false;
  lp_cpu_random_units(draw->generator, units, n, draw->wide);
  for (int64_t i = 0; i < n; i++) values[i] = units[i] < values[i];
  return true;
}

static bool poisson_block(const TensorDraw *draw, double *values, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if (!(values[i] >= 0) || isinf(values[i])) return false;
    values[i] = lp_cpu_random_poisson(draw->generator, values[i]);
  }
  return true;
}

static void draw_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                      const void *params) {
  const TensorDraw *draw = params;
  const int64_t in[2] = {sizeof(double), strides[1]},
                out[2] = {strides[0], sizeof(double)};
  double values[DRAW_BLOCK];
  for (int64_t at = 0; at < n; at += DRAW_BLOCK) {
    const int64_t take = n - at < DRAW_BLOCK ? n - at : DRAW_BLOCK;
    draw->to_double((char *[]){(char *)values, ptrs[1] + at * strides[1]}, in, take,
                    NULL);
    if (!draw->block(draw, values, take)) {
      *draw->invalid = true;
      return;
    }
    draw->to_out((char *[]){ptrs[0] + at * strides[0], (char *)values}, out, take, NULL);
  }
}

/* Draws out's elements in their order with the parameters in `parameter`, which
 * broadcasts to out. */
static bool draw_by_tensor(LpTensor *out, LpTensor *parameter, LpGenerator *g,
                           bool (*block)(const TensorDraw *, double *, int64_t),
                           const char *fault) {
  bool invalid = false;
  lp_data(out); /* draws go in row-major order: Note [Hidden layout] */
  LpTensor *wide = lp_expand_alias(parameter, lp_sizes(out));
  if (!wide) return false;
  TensorDraw draw = {.to_out = lp_cast_loop(out->dtype, LP_FLOAT64),
                     .to_double = lp_cast_loop(LP_FLOAT64, parameter->dtype),
                     .block = block,
                     .wide = parameter->dtype == LP_FLOAT64,
                     .invalid = &invalid};
  LpIter it;
  lp_iter_init(&it);
  it.no_resize = true;
  lp_iter_output(&it, out);
  lp_iter_input(&it, wide);
  bool ok = lp_iter_build(&it);
  if (ok) {
    draw.generator = lp_generator_lock(g);
    ok = lp_iter_run_serial(&it, draw_loop, &draw);
    lp_generator_unlock(draw.generator);
  }
  lp_iter_done(&it);
  lp_tensor_release(wide);
  if (ok && invalid) return lp_fail(LP_ERR_ARGUMENT, "%s", fault);
  return ok;
}

static bool check_parameter(const LpTensor *t, const char *name) {
  TRY(check_cpu(t));
  CHECK(lp_dtype_is_floating(t->dtype), LP_ERR_TYPE,
        "%s must have a floating dtype, got %s", name, lp_dtype_name(t->dtype));
  return true;
}

/* The given out tensor with self's shape, or a new contiguous one; owned. */
static LpTensor *result_like(LpTensor *out, LpTensor *self, LpDtype dtype) {
  if (!out) return lp_tensor_new(lp_sizes(self), dtype, self->storage->device);
  TRY(lp_tensor_resize_out(out, lp_sizes(self)));
  return lp_tensor_retain(out);
}

static LpTensor *owned_if(bool ok, LpTensor *t) {
  if (ok) return t;
  lp_tensor_release(t);
  return NULL;
}

LpTensor *lp_impl_bernoulli_tensor(LpTensor *out, LpTensor *self, LpTensor *p,
                                   LpGenerator *generator) {
  TRY(check_writable(out));
  TRY(check_parameter(p, "p"));
  CHECK(!lp_dtype_is_complex(out->dtype), LP_ERR_TYPE, "self must not be complex");
  if (out->numel == 0) return lp_tensor_retain(out);
  LpTensor *spread = lp_expand(p, lp_sizes(out)); /* p may broadcast over self */
  TRY(spread);
  bool ok = draw_by_tensor(out, spread, generator, bernoulli_block,
                           "the elements of p must be in [0, 1]");
  lp_tensor_release(spread);
  TRY(ok);
  return lp_tensor_retain(out);
}

LpTensor *lp_impl_bernoulli(LpTensor *out, LpTensor *self, LpGenerator *generator) {
  TRY(check_parameter(self, "self (the probabilities)"));
  LpTensor *result = result_like(out, self, self->dtype);
  if (!result || result->numel == 0) return result;
  return owned_if(draw_by_tensor(result, self, generator, bernoulli_block,
                                 "the probabilities must be in [0, 1]"),
                  result);
}

LpTensor *lp_impl_bernoulli_p(LpTensor *self, double p, LpGenerator *generator) {
  LpTensor *result = result_like(NULL, self, self->dtype);
  if (!result) return NULL;
  LpTensor *filled_result = lp_impl_bernoulli_float(result, result, p, generator);
  lp_tensor_release(result);
  return filled_result;
}

LpTensor *lp_impl_poisson(LpTensor *self, LpGenerator *generator) {
  TRY(check_parameter(self, "self (the rates)"));
  LpTensor *result = result_like(NULL, self, self->dtype);
  if (!result || result->numel == 0) return result;
  return owned_if(draw_by_tensor(result, self, generator, poisson_block,
                                 "the rates must be finite and >= 0"),
                  result);
}

static void binomial_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                          const void *params) {
  const TensorDraw *draw = params;
  const int64_t none[2] = {0, 0};
  for (int64_t i = 0; i < n; i++) {
    double count, p;
    draw->to_double((char *[]){(char *)&count, ptrs[1] + i * strides[1]}, none, 1, NULL);
    draw->to_double((char *[]){(char *)&p, ptrs[2] + i * strides[2]}, none, 1, NULL);
    double v = lp_cpu_random_binomial(draw->generator, count, p, !draw->wide);
    draw->to_out((char *[]){ptrs[0] + i * strides[0], (char *)&v}, none, 1, NULL);
  }
}

LpTensor *lp_impl_binomial(LpTensor *count, LpTensor *prob, LpGenerator *generator) {
  TRY(check_parameter(count, "count"));
  TRY(check_parameter(prob, "prob"));
  CHECK(count->dtype == prob->dtype, LP_ERR_TYPE,
        "count and prob must have the same dtype, got %s and %s",
        lp_dtype_name(count->dtype), lp_dtype_name(prob->dtype));
  LpTensor *result = result_like(NULL, count, count->dtype), *wide = NULL;
  if (result) wide = lp_expand_alias(prob, lp_sizes(count));
  bool ok = wide != NULL;
  if (ok && result->numel) {
    TensorDraw draw = {.to_out = lp_cast_loop(count->dtype, LP_FLOAT64),
                       .to_double = lp_cast_loop(LP_FLOAT64, count->dtype),
                       .wide = count->dtype == LP_FLOAT64};
    LpIter it;
    lp_iter_init(&it);
    it.no_resize = true;
    lp_iter_output(&it, result);
    lp_iter_input(&it, count);
    lp_iter_input(&it, wide);
    ok = lp_iter_build(&it);
    if (ok) {
      draw.generator = lp_generator_lock(generator);
      ok = lp_iter_run_serial(&it, binomial_loop, &draw);
      lp_generator_unlock(draw.generator);
    }
    lp_iter_done(&it);
  }
  lp_tensor_release(wide);
  return owned_if(ok, result);
}

/* --- normal with tensors
 * ---------------------------------------------------------------------- */

/* out = out * std + mean, each step rounded to the dtype. */
static void scale_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                       const void *params) {
  const int *have =
      params; /* std at ptrs[have[0]], mean at ptrs[have[1]], 0 when absent; [2] dtype */
  LpLoop load = lp_cast_loop(LP_FLOAT64, (LpDtype)have[2]),
         store = lp_cast_loop((LpDtype)have[2], LP_FLOAT64);
  enum { CHUNK = 256 };
  double v[CHUNK], w[CHUNK];
  const int64_t size = sizeof *v;
  for (int64_t at = 0; at < n; at += CHUNK) {
    const int64_t count = n - at < CHUNK ? n - at : CHUNK;
    char *out = ptrs[0] + at * strides[0];
    for (int step = 0; step < 2; step++) {
      if (!have[step]) continue;
      const char *other = ptrs[have[step]] + at * strides[have[step]];
      load((char *[]){(char *)v, out}, (int64_t[]){size, strides[0]}, count, NULL);
      load((char *[]){(char *)w, (char *)other}, (int64_t[]){size, strides[have[step]]},
           count, NULL);
      for (int64_t i = 0; i < count; i++) v[i] = step == 0 ? v[i] * w[i] : v[i] + w[i];
      store((char *[]){out, (char *)v}, (int64_t[]){strides[0], size}, count, NULL);
    }
  }
}

static bool scale_in_place(LpTensor *out, LpTensor *std, LpTensor *mean) {
  LpIter it;
  lp_iter_init(&it);
  it.no_resize = it.cast_inputs = true;
  it.common_dtype = it.output_dtype = out->dtype;
  lp_iter_output(&it, out);
  int have[3] = {0, 0, out->dtype}, count = 1;
  if (std) have[0] = count++, lp_iter_input(&it, std);
  if (mean) have[1] = count++, lp_iter_input(&it, mean);
  bool ok = lp_iter_build(&it) && lp_iter_run(&it, scale_loop, have);
  lp_iter_done(&it);
  return ok;
}

typedef struct MinCheck {
  LpLoop to_double;
  bool *negative;
} MinCheck;

static void negative_loop(char *const *ptrs, const int64_t *strides, int64_t n,
                          const void *params) {
  const MinCheck *check = params;
  enum { CHUNK = 256 };
  double v[CHUNK];
  for (int64_t at = 0; at < n; at += CHUNK) {
    const int64_t count = n - at < CHUNK ? n - at : CHUNK;
    check->to_double((char *[]){(char *)v, ptrs[1] + at * strides[1]},
                     (int64_t[]){sizeof *v, strides[1]}, count, NULL);
    bool negative = false;
    for (int64_t i = 0; i < count; i++) negative |= !(v[i] >= 0);
    if (negative) *check->negative = true;
  }
}

static bool check_std(LpTensor *std) {
  TRY(check_parameter(std, "std"));
  bool negative = false;
  MinCheck check = {lp_cast_loop(LP_FLOAT64, std->dtype), &negative};
  LpIter it;
  lp_iter_init(&it);
  it.output_dtype = LP_UINT8;
  lp_iter_output(&it, NULL);
  lp_iter_input(&it, std);
  bool ok = lp_iter_build(&it) && lp_iter_run_serial(&it, negative_loop, &check);
  lp_iter_done(&it);
  if (ok) CHECK(!negative, LP_ERR_ARGUMENT, "all elements of std must be >= 0");
  return ok;
}

/* Standard normals of the broadcast shape, scaled and shifted by what is given. */
static LpTensor *normal_by_tensors(LpTensor *out, LpTensor *mean, double mean_value,
                                   LpTensor *std, double std_value, LpGenerator *g) {
  LpTensor *model = mean ? mean : std;
  if (mean) TRY(check_parameter(mean, "mean"));
  if (std) TRY(check_std(std));
  CHECK(std_value >= 0, LP_ERR_ARGUMENT, "std must be >= 0, got %g", std_value);
  int64_t sizes[LP_MAX_DIMS], ndim;
  LpInts shapes[2] = {lp_sizes(model), lp_sizes(std ? std : model)};
  TRY(lp_broadcast_shapes(shapes, 2, sizes, &ndim));
  LpTensor *result;
  if (out) {
    TRY(lp_tensor_resize_out(out, lp_ints(sizes, ndim)));
    result = lp_tensor_retain(out);
  } else {
    result = lp_tensor_new(lp_ints(sizes, ndim), model->dtype, lp_cpu());
    if (!result) return NULL;
  }
  LpTensor *shift = mean ? lp_tensor_retain(mean) : NULL;
  bool ok = fill_normal(result, 0, std ? 1.0 : std_value, g);
  if (ok && !mean) {
    shift = lp_tensor_from_scalar(lp_scalar_float(mean_value), result->dtype);
    ok = shift != NULL;
  }
  ok = ok && scale_in_place(result, std, shift);
  lp_tensor_release(shift);
  return owned_if(ok, result);
}

LpTensor *lp_impl_normal_tensor_float(LpTensor *out, LpTensor *mean, double std,
                                      LpGenerator *generator) {
  return normal_by_tensors(out, mean, 0, NULL, std, generator);
}

LpTensor *lp_impl_normal_float_tensor(LpTensor *out, double mean, LpTensor *std,
                                      LpGenerator *generator) {
  return normal_by_tensors(out, NULL, mean, std, 1, generator);
}

LpTensor *lp_impl_normal_tensor_tensor(LpTensor *out, LpTensor *mean, LpTensor *std,
                                       LpGenerator *generator) {
  return normal_by_tensors(out, mean, 0, std, 1, generator);
}

/* --- factories
 * -------------------------------------------------------------------------------- */

static LpTensor *new_result(LpTensor *out, LpInts size, LpDtype dtype, LpDevice device) {
  if (out) {
    CHECK(dtype == LP_DTYPE_NONE || dtype == out->dtype, LP_ERR_TYPE,
          "dtype %s does not fit the dtype %s of out", lp_dtype_name(dtype),
          lp_dtype_name(out->dtype));
    TRY(lp_tensor_resize_out(out, size));
    return lp_tensor_retain(out);
  }
  CHECK(
      device.type != LP_CUDA, LP_ERR_DEVICE,
      "the generator is on the CPU: make the tensor there and move it with :to(device)");
  return lp_tensor_new(size, dtype == LP_DTYPE_NONE ? lp_default_dtype() : dtype,
                       lp_cpu());
}

static LpTensor *finish(bool ok, LpTensor *result, bool requires_grad) {
  return owned_if(ok && (!requires_grad || lp_set_requires_grad(result, true)), result);
}

LpTensor *lp_impl_rand(LpTensor *out, LpInts size, LpGenerator *generator, LpDtype dtype,
                       LpDevice device, bool requires_grad) {
  LpTensor *result = new_result(out, size, dtype, device);
  return result ? finish(fill_uniform(result, 0, 1, generator), result, requires_grad)
                : NULL;
}

LpTensor *lp_impl_randn(LpTensor *out, LpInts size, LpGenerator *generator, LpDtype dtype,
                        LpDevice device, bool requires_grad) {
  LpTensor *result = new_result(out, size, dtype, device);
  return result ? finish(fill_normal(result, 0, 1, generator), result, requires_grad)
                : NULL;
}

LpTensor *lp_impl_normal_float_float(LpTensor *out, double mean, double std, LpInts size,
                                     LpGenerator *generator, LpDtype dtype,
                                     LpDevice device, bool requires_grad) {
  LpTensor *result = new_result(out, size, dtype, device);
  return result ? finish(fill_normal(result, mean, std, generator), result, requires_grad)
                : NULL;
}

LpTensor *lp_impl_randint_low(LpTensor *out, int64_t low, int64_t high, LpInts size,
                              LpGenerator *generator, LpDtype dtype, LpDevice device,
                              bool requires_grad) {
  LpDtype wanted = dtype == LP_DTYPE_NONE && !out ? LP_INT64 : dtype;
  LpTensor *result = new_result(out, size, wanted, device);
  return result ? finish(fill_range(result, low, high, generator), result, requires_grad)
                : NULL;
}

LpTensor *lp_impl_randint(LpTensor *out, int64_t high, LpInts size,
                          LpGenerator *generator, LpDtype dtype, LpDevice device,
                          bool requires_grad) {
  return lp_impl_randint_low(out, 0, high, size, generator, dtype, device, requires_grad);
}

static LpTensor *new_like(LpTensor *self, LpDtype dtype, LpMemoryFormat format) {
  TRY(check_cpu(self));
  if (dtype == LP_DTYPE_NONE) dtype = self->dtype;
  if (format == LP_FORMAT_NONE || format == LP_PRESERVE)
    return lp_tensor_new_like(self, dtype);
  return lp_tensor_new(lp_sizes(self), dtype, self->storage->device);
}

LpTensor *lp_impl_rand_like(LpTensor *self, LpGenerator *generator, LpDtype dtype,
                            LpDevice device, LpMemoryFormat memory_format,
                            bool requires_grad) {
  LpTensor *result = new_like(self, dtype, memory_format);
  return result ? finish(fill_uniform(result, 0, 1, generator), result, requires_grad)
                : NULL;
}

LpTensor *lp_impl_randn_like(LpTensor *self, LpGenerator *generator, LpDtype dtype,
                             LpDevice device, LpMemoryFormat memory_format,
                             bool requires_grad) {
  LpTensor *result = new_like(self, dtype, memory_format);
  return result ? finish(fill_normal(result, 0, 1, generator), result, requires_grad)
                : NULL;
}

LpTensor *lp_impl_randint_like_low_dtype(LpTensor *self, int64_t low, int64_t high,
                                         LpGenerator *generator, LpDtype dtype,
                                         LpDevice device, LpMemoryFormat memory_format,
                                         bool requires_grad) {
  LpTensor *result = new_like(self, dtype, memory_format);
  return result ? finish(fill_range(result, low, high, generator), result, requires_grad)
                : NULL;
}

LpTensor *lp_impl_randint_like(LpTensor *self, int64_t high, LpGenerator *generator,
                               LpDtype dtype, LpDevice device,
                               LpMemoryFormat memory_format, bool requires_grad) {
  return lp_impl_randint_like_low_dtype(self, 0, high, generator, dtype, device,
                                        memory_format, requires_grad);
}

LpTensor *lp_impl_randperm(LpTensor *out, int64_t n, LpGenerator *generator,
                           LpDtype dtype, LpDevice device, bool requires_grad) {
  CHECK(n >= 0, LP_ERR_ARGUMENT, "n must be >= 0, got %lld", (long long)n);
  if (dtype == LP_DTYPE_NONE) dtype = out ? (LpDtype)out->dtype : LP_INT64;
  CHECK(!lp_dtype_is_complex(dtype) && dtype != LP_BOOL, LP_ERR_TYPE,
        "a permutation needs an integer or floating dtype, got %s", lp_dtype_name(dtype));
  int64_t limit = digits(dtype) ? INT64_C(1) << digits(dtype) : largest_int(dtype);
  CHECK(n - 1 <= limit, LP_ERR_ARGUMENT,
        "%s cannot hold the numbers up to n - 1 = %lld exactly", lp_dtype_name(dtype),
        (long long)(n - 1));
  LpTensor *result = new_result(out, lp_ints(&n, 1), dtype, device);
  if (!result) return NULL;
  bool ok = true;
  if (n > 0) {
    LpTensor *target = result->is_contiguous
                           ? lp_tensor_retain(result)
                           : lp_tensor_new(lp_ints(&n, 1), dtype, lp_cpu());
    ok = target != NULL;
    if (ok) {
      LpGenerator *locked = lp_generator_lock(generator);
      lp_cpu_random_permutation(locked, lp_data(target), dtype, n);
      lp_generator_unlock(locked);
      int64_t item = (int64_t)lp_dtype_size(dtype);
      if (target != result)
        lp_cast_loop(dtype, dtype)((char *[]){lp_data(result), lp_data(target)},
                                   (int64_t[]){result->strides[0] * item, item}, n, NULL);
    }
    lp_tensor_release(target);
  }
  return finish(ok, result, requires_grad);
}
