/* The impl functions of reductions: dtype rules and checks of sums, means, products, extremes,
 * truth, variance and norms. The walk is dispatch/reduce.c. */
#include <math.h>
#include <string.h>
#include "dispatch/reduce.h"
#include "impl.h"
#include "lampad/ops.h"

/* --- shared --------------------------------------------------------------------------------------- */

static LpTensor *reduce(LpTensor *self, LpInts dims, bool keepdim, LpDtype dtype, LpReduction r) {
  LpReduceDims d;
  TRY(lp_reduce_dims(self, dims, keepdim, &d));
  LpTensor *out = lp_reduce_output(self, &d, dtype);
  if (!out || lp_reduce_run(&r, self, &d, out)) return out;
  lp_tensor_release(out);
  return NULL;
}

/* What sums and products of `from` giving `to` are computed in: never narrower than either. */
static LpCompute sum_compute(LpReduceOp op, LpDtype from, LpDtype to) {
  if (from == LP_COMPLEX64 && to == from) return LP_AS_C64;
  if (from == LP_BFLOAT16 && to == from && op == LP_REDUCE_SUM) return LP_AS_BF16;
  LpCompute c = lp_compute_of(to);
  return c == LP_AS_F32 && lp_compute_of(from) != LP_AS_F32 ? LP_AS_F64 : c;
}

/* The same that are stored as `finish` tells. */
static LpReduction sum_of(LpReduceOp op, LpDtype from, LpDtype to, LpFinish finish) {
  return (LpReduction){op, sum_compute(op, from, to), finish};
}

static LpDtype sum_dtype(LpTensor *self, LpDtype dtype) {
  if (dtype != LP_DTYPE_NONE) return dtype;
  return lp_dtype_is_integral(lp_dtype(self), true) ? LP_INT64 : lp_dtype(self);
}

static LpTensor *sum(LpTensor *self, LpInts dims, bool keepdim, LpDtype dtype) {
  LpDtype to = sum_dtype(self, dtype);
  if (to == LP_BOOL) return reduce(self, dims, keepdim, to, (LpReduction){LP_REDUCE_ANY, LP_AS_BOOL});
  return reduce(self, dims, keepdim, to, sum_of(LP_REDUCE_SUM, lp_dtype(self), to, LP_FINISH_PLAIN));
}

static LpTensor *prod(LpTensor *self, LpInts dims, bool keepdim, LpDtype dtype) {
  LpDtype to = sum_dtype(self, dtype);
  if (to == LP_BOOL) return reduce(self, dims, keepdim, to, (LpReduction){LP_REDUCE_ALL, LP_AS_BOOL});
  return reduce(self, dims, keepdim, to, sum_of(LP_REDUCE_PROD, lp_dtype(self), to, LP_FINISH_PLAIN));
}

static LpTensor *mean(LpTensor *self, LpInts dims, bool keepdim, LpDtype dtype) {
  LpDtype to = dtype == LP_DTYPE_NONE ? lp_dtype(self) : dtype;
  CHECK(!lp_dtype_is_integral(to, true), LP_ERR_TYPE,
        "%s must be a floating or complex dtype, got %s: give dtype, as in mean{dtype = torch.float32}",
        dtype == LP_DTYPE_NONE ? "the input's dtype" : "dtype", lp_dtype_name(to));
  return reduce(self, dims, keepdim, to, sum_of(LP_REDUCE_SUM, lp_dtype(self), to, LP_FINISH_MEAN));
}

static bool check_real(LpTensor *self) {
  CHECK(!lp_dtype_is_complex(lp_dtype(self)), LP_ERR_TYPE,
        "self must be real, got %s: complex numbers have no order", lp_dtype_name(lp_dtype(self)));
  return true;
}

/* Extremes need an element to choose from. */
static bool check_not_empty(const LpTensor *self, LpInts dims) {
  if (lp_numel(self) > 0) return true;
  LpReduceDims d;
  TRY(lp_reduce_dims(self, dims, false, &d));
  CHECK(dims.count > 0, LP_ERR_INDEX,
        "expected reduction dim to be specified for input.numel() == 0: specify it with the 'dim' argument");
  for (int64_t i = 0; i < lp_ndim(self); i++) {
    CHECK(!d.reduced[i] || lp_size(self, i) > 0, LP_ERR_INDEX,
          "expected reduction dim %lld to have non-zero size, got shape %s", (long long)i, SHAPE_TEXT(self));
  }
  return true;
}

static LpTensor *extreme(LpTensor *self, LpInts dims, bool keepdim, LpReduceOp op) {
  TRY(check_real(self));
  TRY(check_not_empty(self, dims));
  return reduce(self, dims, keepdim, lp_dtype(self), (LpReduction){op, lp_compute_of_extreme(lp_dtype(self))});
}

static LpTensor *truth(LpTensor *self, LpInts dims, bool keepdim, LpReduceOp op) {
  LpDtype to = lp_dtype(self) == LP_UINT8 ? LP_UINT8 : LP_BOOL;
  return reduce(self, dims, keepdim, to, (LpReduction){op, LP_AS_BOOL});
}

/* --- sums, means, products -------------------------------------------------------------------------- */

LpTensor *lp_impl_sum(LpTensor *self, LpDtype dtype) { return sum(self, lp_ints_none(), false, dtype); }
LpTensor *lp_impl_sum_dim(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim, LpDtype dtype) {
  if (out && dtype == LP_DTYPE_NONE) dtype = lp_dtype(out);
  return lp_give(out, sum(self, dim, keepdim, dtype));
}
LpTensor *lp_impl_nansum(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim, LpDtype dtype) {
  TRY(check_real(self));
  if (out && dtype == LP_DTYPE_NONE) dtype = lp_dtype(out);
  LpDtype to = sum_dtype(self, dtype), from = lp_dtype(self);
  if (lp_dtype_is_integral(from, true)) return lp_give(out, sum(self, dim, keepdim, dtype));
  CHECK(lp_dtype_is_floating(to), LP_ERR_TYPE, "dtype must be a floating dtype, got %s", lp_dtype_name(to));
  return lp_give(out, reduce(self, dim, keepdim, to, sum_of(LP_REDUCE_NANSUM, from, to, LP_FINISH_PLAIN)));
}
LpTensor *lp_impl_mean(LpTensor *self, LpDtype dtype) { return mean(self, lp_ints_none(), false, dtype); }
LpTensor *lp_impl_mean_dim(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim, LpDtype dtype) {
  if (out && dtype == LP_DTYPE_NONE && lp_dtype_is_integral(lp_dtype(self), true)) dtype = lp_dtype(out);
  return lp_give(out, mean(self, dim, keepdim, dtype));
}
LpTensor *lp_impl_prod(LpTensor *self, LpDtype dtype) { return prod(self, lp_ints_none(), false, dtype); }
LpTensor *lp_impl_prod_dim_int(LpTensor *out, LpTensor *self, int64_t dim, bool keepdim, LpDtype dtype) {
  if (out && dtype == LP_DTYPE_NONE) dtype = lp_dtype(out);
  return lp_give(out, prod(self, lp_ints(&dim, 1), keepdim, dtype));
}

/* --- extremes ---------------------------------------------------------------------------------------- */

LpTensor *lp_impl_amax(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim) {
  return lp_give(out, extreme(self, dim, keepdim, LP_REDUCE_MAX));
}
LpTensor *lp_impl_amin(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim) {
  return lp_give(out, extreme(self, dim, keepdim, LP_REDUCE_MIN));
}
LpTensor *lp_impl_max(LpTensor *self) { return extreme(self, lp_ints_none(), false, LP_REDUCE_MAX); }
LpTensor *lp_impl_min(LpTensor *self) { return extreme(self, lp_ints_none(), false, LP_REDUCE_MIN); }

/* Positions along dim as an int64 tensor with dim kept at size 1; and the elements there, where `values` is. */
static LpTensor *positions(LpTensor *self, int64_t dim, bool smallest, LpTensor **values) {
  LpReduceDims d;
  TRY(check_real(self));
  TRY(check_not_empty(self, lp_ints(&dim, 1)));
  TRY(lp_reduce_dims(self, lp_ints(&dim, 1), true, &d));
  LpTensor *out = lp_reduce_output(self, &d, LP_INT64);
  LpTensor *found = out && values ? lp_reduce_output(self, &d, lp_dtype(self)) : NULL;
  if (out && (found || !values) && lp_reduce_arg(self, dim, smallest, out, found)) {
    if (values) *values = found;
    return out;
  }
  lp_tensor_release(out);
  lp_tensor_release(found);
  return NULL;
}

/* Drops dim, of size 1, from a fresh contiguous tensor unless keepdim. */
static bool settle_dim(LpTensor *t, int64_t dim, bool keepdim) {
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS], n = 0;
  if (keepdim || lp_ndim(t) == 0) return true;
  for (int64_t d = 0; d < lp_ndim(t); d++)
    if (d != dim) sizes[n++] = lp_size(t, d);
  lp_contiguous_strides(lp_ints(sizes, n), strides);
  return lp_tensor_set_geometry(t, lp_ints(sizes, n), lp_ints(strides, n), t->offset_elems);
}

static bool extreme_dim(LpTensor **outs, LpTensor *self, int64_t dim, bool keepdim, bool smallest,
                        LpTensor **results) {
  TRY(lp_wrap_dim(dim, lp_ndim(self), &dim));
  LpTensor *values, *at = positions(self, dim, smallest, &values);
  if (!at) return false;
  if (!settle_dim(values, dim, keepdim) || !settle_dim(at, dim, keepdim)) {
    lp_tensor_release(values);
    lp_tensor_release(at);
    return false;
  }
  results[0] = values;
  results[1] = at;
  return lp_give_all(outs, results, 2);
}

bool lp_impl_max_dim(LpTensor **outs, LpTensor *self, int64_t dim, bool keepdim, LpTensor **results) {
  return extreme_dim(outs, self, dim, keepdim, false, results);
}
bool lp_impl_min_dim(LpTensor **outs, LpTensor *self, int64_t dim, bool keepdim, LpTensor **results) {
  return extreme_dim(outs, self, dim, keepdim, true, results);
}

static LpTensor *arg_extreme(LpTensor *self, LpOptInt dim, bool keepdim, bool smallest) {
  if (dim.has) {
    int64_t d;
    TRY(lp_wrap_dim(dim.value, lp_ndim(self), &d));
    LpTensor *at = positions(self, d, smallest, NULL);
    if (!at || settle_dim(at, d, keepdim)) return at;
    lp_tensor_release(at);
    return NULL;
  }
  TRY(check_not_empty(self, lp_ints_none()));
  LpTensor *dense = lp_dense(self, lp_dtype(self));
  if (!dense) return NULL;
  int64_t n = lp_numel(self), one = 1;
  int64_t ones[LP_MAX_DIMS];
  for (int i = 0; i < LP_MAX_DIMS; i++) ones[i] = 1;
  LpTensor *flat = lp_tensor_alias(dense, lp_ints(&n, 1), lp_ints(&one, 1), dense->offset_elems);
  LpTensor *at = flat ? positions(flat, 0, smallest, NULL) : NULL;
  lp_tensor_release(flat);
  lp_tensor_release(dense);
  int64_t ndim = keepdim ? lp_ndim(self) : 0;
  if (!at || lp_tensor_set_geometry(at, lp_ints(ones, ndim), lp_ints(ones, ndim), at->offset_elems)) return at;
  lp_tensor_release(at);
  return NULL;
}

LpTensor *lp_impl_argmax(LpTensor *out, LpTensor *self, LpOptInt dim, bool keepdim) {
  return lp_give(out, arg_extreme(self, dim, keepdim, false));
}
LpTensor *lp_impl_argmin(LpTensor *out, LpTensor *self, LpOptInt dim, bool keepdim) {
  return lp_give(out, arg_extreme(self, dim, keepdim, true));
}

/* --- truth and counting --------------------------------------------------------------------------- */

LpTensor *lp_impl_all(LpTensor *out, LpTensor *self) {
  return lp_give(out, truth(self, lp_ints_none(), false, LP_REDUCE_ALL));
}
LpTensor *lp_impl_all_dim(LpTensor *out, LpTensor *self, int64_t dim, bool keepdim) {
  return lp_give(out, truth(self, lp_ints(&dim, 1), keepdim, LP_REDUCE_ALL));
}
LpTensor *lp_impl_all_dims(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim) {
  return lp_give(out, truth(self, dim, keepdim, LP_REDUCE_ALL));
}
LpTensor *lp_impl_any(LpTensor *out, LpTensor *self) {
  return lp_give(out, truth(self, lp_ints_none(), false, LP_REDUCE_ANY));
}
LpTensor *lp_impl_any_dim(LpTensor *out, LpTensor *self, int64_t dim, bool keepdim) {
  return lp_give(out, truth(self, lp_ints(&dim, 1), keepdim, LP_REDUCE_ANY));
}
LpTensor *lp_impl_any_dims(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim) {
  return lp_give(out, truth(self, dim, keepdim, LP_REDUCE_ANY));
}
LpTensor *lp_impl_count_nonzero(LpTensor *self, LpInts dim) {
  return reduce(self, dim, false, LP_INT64, (LpReduction){LP_REDUCE_COUNT, LP_AS_BOOL});
}

/* --- variance -------------------------------------------------------------------------------------- */

static LpTensor *variance(LpTensor *self, LpInts dims, LpOptScalar correction, bool keepdim, LpFinish finish) {
  LpDtype dtype = lp_dtype(self);
  CHECK(!lp_dtype_is_integral(dtype, true), LP_ERR_TYPE, "self must be floating or complex, got %s",
        lp_dtype_name(dtype));
  LpReduction r = {LP_REDUCE_VAR, LP_AS_F64, finish, correction.has ? lp_scalar_to_double(correction.value) : 1.0};
  if (!lp_dtype_is_complex(dtype)) return reduce(self, dims, keepdim, dtype, r);
  /* The variance of complex numbers is the sum of their parts' variances. */
  r.finish = LP_FINISH_VAR;
  LpTensor *part[2] = {lp_complex_part(self, 0), lp_complex_part(self, 1)}, *var[2] = {NULL, NULL};
  LpTensor *result = NULL;
  LpDtype real = lp_dtype_to_real(dtype);
  if (part[0] && part[1] && (var[0] = reduce(part[0], dims, keepdim, real, r)) &&
      (var[1] = reduce(part[1], dims, keepdim, real, r))) {
    result = lp_add(var[0], var[1], lp_scalar_int(1));
    if (result && finish == LP_FINISH_STD) {
      LpTensor *root = lp_sqrt(result);
      lp_tensor_release(result);
      result = root;
    }
  }
  for (int i = 0; i < 2; i++) {
    lp_tensor_release(part[i]);
    lp_tensor_release(var[i]);
  }
  return result;
}

LpTensor *lp_impl_var_correction(LpTensor *out, LpTensor *self, LpInts dim, LpOptScalar correction, bool keepdim) {
  return lp_give(out, variance(self, dim, correction, keepdim, LP_FINISH_VAR));
}
LpTensor *lp_impl_std_correction(LpTensor *out, LpTensor *self, LpInts dim, LpOptScalar correction, bool keepdim) {
  return lp_give(out, variance(self, dim, correction, keepdim, LP_FINISH_STD));
}

/* --- norms ------------------------------------------------------------------------------------------ */

LpTensor *lp_impl_linalg_vector_norm(LpTensor *out, LpTensor *self, LpScalar ord, LpInts dim, bool keepdim,
                                     LpDtype dtype) {
  LpDtype from = lp_dtype(self), to = lp_dtype_to_real(dtype == LP_DTYPE_NONE ? from : dtype);
  CHECK(lp_dtype_is_floating(from) || lp_dtype_is_complex(from), LP_ERR_TYPE,
        "self must be floating or complex, got %s", lp_dtype_name(from));
  CHECK(lp_dtype_is_floating(to), LP_ERR_TYPE, "dtype must be floating or complex, got %s", lp_dtype_name(to));
  double p = lp_scalar_to_double(ord);
  LpReduceDims d;
  TRY(lp_reduce_dims(self, dim, keepdim, &d));
  CHECK((p >= 0 && p != INFINITY) || d.count > 0 || lp_numel(self) != 0, LP_ERR_ARGUMENT,
        "cannot compute the norm of order %g over no elements (shape %s): it has no identity", p, SHAPE_TEXT(self));
  LpReduction r = {.compute = LP_AS_ABS, .p = p};
  if (p == INFINITY) r.op = LP_REDUCE_MAX;
  else if (p == -INFINITY) r.op = LP_REDUCE_MIN;
  else if (p == 1) r.op = LP_REDUCE_SUM_ABS;
  else if (p == 0) {
    r.op = LP_REDUCE_COUNT;
    r.compute = LP_AS_BOOL;
  } else if (p == 2) {
    r.op = LP_REDUCE_SUM_SQUARE;
    r.finish = LP_FINISH_SQRT;
    if (!lp_dtype_is_complex(from)) r.compute = lp_compute_of(from);
  } else {
    r.op = LP_REDUCE_SUM_POW;
    r.finish = LP_FINISH_ROOT;
  }
  return lp_give(out, reduce(self, dim, keepdim, to, r));
}

/* The real part of the element of the largest real part. */
static LpTensor *largest(LpTensor *x, LpInts dims) {
  LpTensor *real = lp_complex_part(x, 0), *m = real ? lp_amax(real, dims, true) : NULL;
  LpTensor *result = m ? lp_dense(m, lp_dtype(x)) : NULL;
  lp_tensor_release(real);
  lp_tensor_release(m);
  return result;
}

/* Of complex numbers: log(sum(exp(x - m))) + m with m the largest real part, or 0 where that is infinite. */
static LpTensor *logsumexp_complex(LpTensor *x, LpInts dims, bool keepdim) {
  LpTensor *m = NULL, *finite = NULL, *shifted = NULL, *powers = NULL, *total = NULL, *logs = NULL, *result = NULL;
  LpTensor *zero = lp_tensor_from_scalar(lp_scalar_int(0), lp_dtype(x)), *mask = NULL;
  LpReduceDims d;
  bool ok = zero && lp_reduce_dims(x, dims, keepdim, &d) && (m = lp_numel(x) ? largest(x, dims) : NULL) &&
            (mask = lp_isfinite(m)) && (finite = lp_where(mask, m, zero)) &&
            (shifted = lp_sub(x, finite, lp_scalar_int(1))) && (powers = lp_exp(shifted)) &&
            (total = sum(powers, dims, keepdim, LP_DTYPE_NONE)) && (logs = lp_log(total));
  if (ok && lp_tensor_set_geometry(finite, lp_sizes(logs), lp_strides(logs), finite->offset_elems))
    result = lp_add(logs, finite, lp_scalar_int(1));
  LpTensor *all[] = {m, finite, shifted, powers, total, logs, zero, mask};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lp_tensor_release(all[i]);
  return result;
}

LpTensor *lp_impl_logsumexp(LpTensor *out, LpTensor *self, LpInts dim, bool keepdim) {
  LpDtype dtype = lp_dtype(self);
  LpTensor *x = lp_dtype_is_integral(dtype, true) ? lp_dense(self, lp_default_dtype()) : lp_tensor_retain(self);
  if (!x) return NULL;
  LpTensor *result;
  if (!lp_dtype_is_complex(lp_dtype(x))) {
    LpReduction r = {.op = LP_REDUCE_SUM_EXP, .compute = lp_compute_of(lp_dtype(x)), .finish = LP_FINISH_LOG_SUM};
    result = reduce(x, dim, keepdim, lp_dtype(x), r);
  } else if (lp_numel(x) > 0) result = logsumexp_complex(x, dim, keepdim);
  else { /* log of empty sums */
    LpTensor *total = sum(x, dim, keepdim, LP_DTYPE_NONE);
    result = total ? lp_log(total) : NULL;
    lp_tensor_release(total);
  }
  lp_tensor_release(x);
  return lp_give(out, result);
}
