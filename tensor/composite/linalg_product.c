/* Products written in terms of mm and bmm: matmul with its ranks and broadcasting, inner,
 * outer, tensordot, kron, chains and powers of matrices. */
#include <stdlib.h>
#include "composite/steps.h"
#include "core/alloc.h"
#include "dispatch/iter.h"
#include "dispatch/linalg.h"
#include "impl.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"

static LpTensor *multiply(LpTensor *self, LpScalar factor) {
  LpTensor *number = lp_tensor_wrapped(factor);
  LpTensor *result = number ? lp_mul(self, number) : NULL;
  lp_tensor_release(number);
  return result;
}

LpTensor *lp_composite_scale_by(LpTensor *self, LpScalar factor) {
  if (factor.kind != LP_SCALAR_COMPLEX && lp_scalar_to_double(factor) == 1)
    return lp_tensor_retain(self);
  return multiply(self, factor);
}

LpTensor *lp_composite_grad_scale(LpTensor *self, LpScalar factor) {
  if (factor.kind == LP_SCALAR_COMPLEX) factor.v.c[1] = -factor.v.c[1];
  return lp_scale_by(self, factor);
}

LpTensor *lp_composite_mat_adjoint(LpTensor *self) {
  Steps s = {0};
  STEP(flipped, lp_transpose(self, -2, -1));
  if (lp_dtype_is_complex(self->dtype)) RESTEP(flipped, lp_conj(flipped));
  return steps_finish(&s, flipped);
}

/* --- gradients of linear
 * ------------------------------------------------------------------------ */

/* (..., n) as (rows, n) */
static LpTensor *fold(LpTensor *t) {
  if (t->ndim == 2) return lp_tensor_retain(t);
  int64_t sizes[2] = {1, t->sizes[t->ndim - 1]};
  for (int d = 0; d < t->ndim - 1; d++) sizes[0] *= t->sizes[d];
  return lp_reshape(t, lp_ints(sizes, 2));
}

LpTensor *lp_composite_linear_grad_input(LpTensor *grad, LpTensor *weight) {
  Steps s = {0};
  STEP(w, lp_conj(weight));
  STEP(wide, w->ndim == 2 ? lp_tensor_retain(grad) : lp_unsqueeze(grad, -1));
  STEP(result, w->ndim == 2 ? lp_matmul(wide, w) : lp_mul(wide, w));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linear_grad_weight(LpTensor *grad, LpTensor *input,
                                          int64_t weight_ndim) {
  Steps s = {0};
  STEP(plain, lp_conj(input));
  STEP(rows, fold(plain));
  if (weight_ndim == 1) {
    int64_t all = -1;
    STEP(flat, lp_reshape(grad, lp_ints(&all, 1)));
    STEP(turned, lp_t(rows));
    STEP(result, lp_mv(turned, flat));
    return steps_finish(&s, result);
  }
  STEP(grads, fold(grad));
  STEP(turned, lp_t(grads));
  STEP(result, lp_mm(turned, rows));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linear_grad_bias(LpTensor *grad, LpInts sizes) {
  if (sizes.count == 0 || grad->ndim == 0) return lp_sum_to_size(grad, sizes);
  Steps s = {0};
  STEP(rows, fold(grad));
  STEP(sums, lp_sum_dim(rows, lp_ints((int64_t[]){0}, 1), false, LP_DTYPE_NONE));
  STEP(result, lp_sum_to_size(sums, sizes));
  return steps_finish(&s, result);
}

/* --- matmul
 * -------------------------------------------------------------------------------------
 */

static bool check_matmul(const LpTensor *a, const LpTensor *b) {
  CHECK(a->ndim > 0 && b->ndim > 0, LP_ERR_ARGUMENT,
        "both arguments must have at least 1 dim, got shapes %s and %s; multiply scalars "
        "with *",
        SHAPE_TEXT(a), SHAPE_TEXT(b));
  int64_t inner_a = a->sizes[a->ndim - 1],
          inner_b = b->sizes[b->ndim > 1 ? b->ndim - 2 : 0];
  CHECK(inner_a == inner_b, LP_ERR_ARGUMENT,
        "shapes %s and %s cannot be multiplied: the last dim of the first (%lld) must "
        "equal %s of the "
        "second (%lld)",
        SHAPE_TEXT(a), SHAPE_TEXT(b), (long long)inner_a,
        b->ndim > 1 ? "dim -2" : "the only dim", (long long)inner_b);
  return true;
}

/* (..., n, k) times (k, m) or (k): one product over all rows. */
static LpTensor *fold_left(LpTensor *a, LpTensor *b) {
  Steps s = {0};
  int64_t sizes[LP_MAX_DIMS];
  for (int d = 0; d < a->ndim - 1; d++) sizes[d] = a->sizes[d];
  if (b->ndim == 2) sizes[a->ndim - 1] = b->sizes[1];
  STEP(rows, fold(a));
  STEP(product, b->ndim == 2 ? lp_mm(rows, b) : lp_mv(rows, b));
  STEP(result, lp_unsafe_view(product, lp_ints(sizes, a->ndim - 2 + b->ndim)));
  return steps_finish(&s, result);
}

/* Broadcast batches of matrices. */
static LpTensor *batched(LpTensor *a, LpTensor *b) {
  Steps s = {0};
  int64_t batch[LP_MAX_DIMS], batch_ndim, count = 1;
  LpInts shapes[2] = {lp_ints(a->sizes, a->ndim > 2 ? a->ndim - 2 : 0),
                      lp_ints(b->sizes, b->ndim > 2 ? b->ndim - 2 : 0)};
  if (!lp_broadcast_shapes(shapes, 2, batch, &batch_ndim)) {
    lp_fail_prefix("the batch dims of %s and %s do not fit: ", SHAPE_TEXT(a),
                   SHAPE_TEXT(b));
    return NULL;
  }
  for (int64_t d = 0; d < batch_ndim; d++) count *= batch[d];
  LpTensor *operands[2] = {a, b};
  for (int i = 0; i < 2; i++) {
    LpTensor *t = operands[i];
    int64_t full[LP_MAX_DIMS],
        flat[3] = {count, t->sizes[t->ndim - 2], t->sizes[t->ndim - 1]};
    for (int64_t d = 0; d < batch_ndim; d++) full[d] = batch[d];
    full[batch_ndim] = flat[1];
    full[batch_ndim + 1] = flat[2];
    if (t->ndim == 2) { /* one matrix for the whole batch: stride 0, never copied */
      RESTEP(operands[i], lp_expand(t, lp_ints(flat, 3)));
      continue;
    }
    RESTEP(t, lp_expand(t, lp_ints(full, batch_ndim + 2)));
    RESTEP(operands[i], lp_reshape(t, lp_ints(flat, 3)));
  }
  STEP(product, lp_bmm(operands[0], operands[1]));
  batch[batch_ndim] = a->sizes[a->ndim - 2];
  batch[batch_ndim + 1] = b->sizes[b->ndim - 1];
  STEP(result, lp_unsafe_view(product, lp_ints(batch, batch_ndim + 2)));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_matmul(LpTensor *self, LpTensor *other) {
  TRY(check_matmul(self, other));
  if (self->ndim == 2 && other->ndim == 2) return lp_mm(self, other);
  if (self->ndim == 1 && other->ndim == 1) return lp_dot(self, other);
  if (self->ndim == 2 && other->ndim == 1) return lp_mv(self, other);
  if (self->ndim >= 3 && other->ndim <= 2) return fold_left(self, other);
  Steps s = {0};
  if (self->ndim == 1) { /* a row times matrices */
    STEP(wide, lp_unsqueeze(self, 0));
    STEP(product, lp_matmul(wide, other));
    STEP(result, lp_squeeze_dim(product, -2));
    return steps_finish(&s, result);
  }
  if (self->ndim == 2 && lp_requires_grad(self) && lp_grad_enabled()) {
    /* Turned over it is one product, and so is the gradient of self. */
    STEP(turned, lp_transpose(other, -2, -1));
    STEP(flipped, lp_t(self));
    STEP(product, fold_left(turned, flipped));
    STEP(result, lp_transpose(product, -2, -1));
    return steps_finish(&s, result);
  }
  return batched(self, other);
}

LpTensor *lp_composite_outer(LpTensor *self, LpTensor *vec2) {
  CHECK(self->ndim == 1 && vec2->ndim == 1, LP_ERR_ARGUMENT,
        "both arguments must be vectors (1 dim), got shapes %s and %s", SHAPE_TEXT(self),
        SHAPE_TEXT(vec2));
  Steps s = {0};
  STEP(column, lp_unsqueeze(self, 1));
  STEP(result, lp_mul(column, vec2));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_inner(LpTensor *self, LpTensor *other) {
  if (self->ndim == 0 || other->ndim == 0) return lp_mul(self, other);
  int64_t last = -1;
  CHECK(self->sizes[self->ndim - 1] == other->sizes[other->ndim - 1], LP_ERR_ARGUMENT,
        "the last dims must be equal, got shapes %s and %s", SHAPE_TEXT(self),
        SHAPE_TEXT(other));
  if (self->ndim == 1 && other->ndim == 1) return lp_dot(self, other);
  return lp_tensordot_dims(self, other, lp_ints(&last, 1), lp_ints(&last, 1));
}

/* --- tensordot
 * ----------------------------------------------------------------------------------- */

LpTensor *lp_composite_tensordot_dims(LpTensor *self, LpTensor *other, LpInts dims_self,
                                      LpInts dims_other) {
  CHECK(dims_self.count == dims_other.count, LP_ERR_ARGUMENT,
        "both lists of dims must have the same length, got %lld and %lld",
        (long long)dims_self.count, (long long)dims_other.count);
  Steps s = {0};
  LpTensor *operands[2] = {self, other};
  LpInts dims[2] = {dims_self, dims_other};
  int64_t wrapped[2][LP_MAX_DIMS], order[2][LP_MAX_DIMS], sizes[LP_MAX_DIMS], ndim = 0;
  int64_t contracted = 1, kept[2] = {1, 1};
  for (int i = 0; i < 2; i++) {
    LpTensor *t = operands[i];
    bool summed[LP_MAX_DIMS] = {false};
    CHECK(dims[i].count <= t->ndim, LP_ERR_ARGUMENT,
          "%lld dims to sum over, but the shape is %s", (long long)dims[i].count,
          SHAPE_TEXT(t));
    for (int64_t k = 0; k < dims[i].count; k++) {
      TRY(lp_wrap_dim(dims[i].data[k], t->ndim, &wrapped[i][k]));
      CHECK(!summed[wrapped[i][k]], LP_ERR_ARGUMENT, "dim %lld stands twice in the list",
            (long long)dims[i].data[k]);
      summed[wrapped[i][k]] = true;
    }
    int at =
        i == 0 ? 0 : (int)dims[i].count; /* self: kept, summed; other: summed, kept */
    for (int d = 0; d < t->ndim; d++) {
      if (summed[d]) continue;
      order[i][at++] = d;
      kept[i] *= sizes[ndim++] = t->sizes[d];
    }
    for (int64_t k = 0; k < dims[i].count; k++)
      order[i][i == 0 ? at++ : k] = wrapped[i][k];
  }
  bool narrow[2] = {false, false}; /* has a dim of size 1 beside a longer one */
  for (int64_t k = 0; k < dims_self.count; k++) {
    int64_t a = self->sizes[wrapped[0][k]], b = other->sizes[wrapped[1][k]];
    narrow[0] = narrow[0] || (a == 1 && b != 1);
    narrow[1] = narrow[1] || (b == 1 && a != 1);
    CHECK(a == b || a == 1 || b == 1, LP_ERR_ARGUMENT,
          "dims to be summed over must have the same size: dim %lld of %s and dim %lld "
          "of %s",
          (long long)wrapped[0][k], SHAPE_TEXT(self), (long long)wrapped[1][k],
          SHAPE_TEXT(other));
    contracted *= a;
  }
  if (narrow[0] || narrow[1]) { /* a size of 1 meets the sum over the other's dim */
    STEP(left, lp_tensor_retain(self));
    STEP(right, lp_tensor_retain(other));
    for (int64_t k = 0; k < dims_self.count; k++) {
      int64_t a = left->sizes[wrapped[0][k]], b = right->sizes[wrapped[1][k]];
      if (a == b) continue;
      if (a == 1)
        RESTEP(right, lp_sum_dim(right, lp_ints(&wrapped[1][k], 1), true, (LpDtype)other->dtype));
      else
        RESTEP(left, lp_sum_dim(left, lp_ints(&wrapped[0][k], 1), true, (LpDtype)self->dtype));
    }
    STEP(summed, lp_tensordot_dims(left, right, dims_self, dims_other));
    return steps_finish(&s, summed);
  }
  STEP(a, lp_permute(self, lp_ints(order[0], self->ndim)));
  STEP(b, lp_permute(other, lp_ints(order[1], other->ndim)));
  RESTEP(a, lp_reshape(a, lp_ints((int64_t[]){kept[0], contracted}, 2)));
  RESTEP(b, lp_reshape(b, lp_ints((int64_t[]){contracted, kept[1]}, 2)));
  STEP(product, lp_mm(a, b));
  STEP(result, lp_reshape(product, lp_ints(sizes, ndim)));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_tensordot(LpTensor *self, LpTensor *other, int64_t dims) {
  CHECK(dims >= 0 && dims <= self->ndim && dims <= other->ndim, LP_ERR_ARGUMENT,
        "dims must be between 0 and the tensors' numbers of dims, got %lld for shapes %s "
        "and %s",
        (long long)dims, SHAPE_TEXT(self), SHAPE_TEXT(other));
  int64_t left[LP_MAX_DIMS], right[LP_MAX_DIMS];
  for (int64_t k = 0; k < dims; k++) left[k] = self->ndim - dims + k, right[k] = k;
  return lp_tensordot_dims(self, other, lp_ints(left, dims), lp_ints(right, dims));
}

LpTensor *lp_composite_kron(LpTensor *self, LpTensor *other) {
  int ndim = self->ndim > other->ndim ? self->ndim : other->ndim;
  CHECK(2 * ndim <= LP_MAX_DIMS, LP_ERR_ARGUMENT, "too many dims: %d", ndim);
  int64_t left[LP_MAX_DIMS], right[LP_MAX_DIMS], sizes[LP_MAX_DIMS];
  for (int d = 0; d < ndim; d++) {
    int da = d - (ndim - self->ndim), db = d - (ndim - other->ndim);
    left[2 * d] = da >= 0 ? self->sizes[da] : 1;
    left[2 * d + 1] = 1;
    right[2 * d] = 1;
    right[2 * d + 1] = db >= 0 ? other->sizes[db] : 1;
    sizes[d] = left[2 * d] * right[2 * d + 1];
  }
  Steps s = {0};
  STEP(a, lp_reshape(self, lp_ints(left, 2 * ndim)));
  STEP(b, lp_reshape(other, lp_ints(right, 2 * ndim)));
  STEP(product, lp_mul(a, b));
  STEP(result, lp_reshape(product, lp_ints(sizes, ndim)));
  return steps_finish(&s, result);
}

/* --- chains
 * ---------------------------------------------------------------------------------------
 */

#define CHAIN_MAX 64

/* The product of matrices first .. last by the split points found. */
static LpTensor *multiply_range(LpTensor *const *m, int first, int last,
                                int8_t split[][CHAIN_MAX]) {
  if (first == last) return lp_tensor_retain(m[first]);
  LpTensor *a = multiply_range(m, first, split[first][last], split), *b = NULL,
           *result = NULL;
  if (a) b = multiply_range(m, split[first][last] + 1, last, split);
  if (b) result = lp_mm(a, b);
  lp_tensor_release(a);
  lp_tensor_release(b);
  return result;
}

/* In the order of the fewest multiplications (Cormen et al., Introduction to
 * Algorithms, 15.2). */
static LpTensor *multiply_chain(LpTensor *const *m, int n) {
  double cost[CHAIN_MAX][CHAIN_MAX] = {{0}};
  int8_t split[CHAIN_MAX][CHAIN_MAX];
  for (int length = 1; length < n; length++)
    for (int i = 0; i + length < n; i++) {
      int j = i + length;
      cost[i][j] = -1;
      for (int k = i; k < j; k++) {
        double c =
            cost[i][k] + cost[k + 1][j] +
            (double)m[i]->sizes[0] * (double)m[k]->sizes[1] * (double)m[j]->sizes[1];
        if (cost[i][j] < 0 || c < cost[i][j]) cost[i][j] = c, split[i][j] = (int8_t)k;
      }
    }
  return multiply_range(m, 0, n - 1, split);
}

LpTensor *lp_composite_linalg_multi_dot(LpTensors tensors) {
  CHECK(tensors.count >= 2 && tensors.count <= CHAIN_MAX, LP_ERR_ARGUMENT,
        "expected 2 to %d tensors, got %lld", CHAIN_MAX, (long long)tensors.count);
  int n = (int)tensors.count;
  Steps s = {0};
  LpTensor *m[CHAIN_MAX];
  for (int i = 0; i < n; i++) {
    m[i] = tensors.data[i];
    bool end = i == 0 || i == n - 1;
    STEP_CHECK(m[i]->ndim == 2 || (end && m[i]->ndim == 1), LP_ERR_ARGUMENT,
               "tensor %d must be a matrix%s, got shape %s", i, end ? " or a vector" : "",
               SHAPE_TEXT(m[i]));
  }
  bool row = m[0]->ndim == 1, column = m[n - 1]->ndim == 1;
  if (row) RESTEP(m[0], lp_unsqueeze(m[0], 0));
  if (column) RESTEP(m[n - 1], lp_unsqueeze(m[n - 1], 1));
  for (int i = 0; i + 1 < n; i++)
    STEP_CHECK(m[i]->sizes[1] == m[i + 1]->sizes[0], LP_ERR_ARGUMENT,
               "tensors %d and %d cannot be multiplied: shapes %s and %s", i, i + 1,
               SHAPE_TEXT(tensors.data[i]), SHAPE_TEXT(tensors.data[i + 1]));
  STEP(result, multiply_chain(m, n));
  if (column) RESTEP(result, lp_squeeze_dim(result, 1));
  if (row) RESTEP(result, lp_squeeze_dim(result, 0));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_chain_matmul(LpTensors matrices) {
  CHECK(matrices.count >= 1, LP_ERR_ARGUMENT, "expected one or more matrices");
  for (int64_t i = 0; i < matrices.count; i++)
    CHECK(matrices.data[i]->ndim == 2, LP_ERR_ARGUMENT,
          "tensor %lld must be a matrix, got shape %s", (long long)i,
          SHAPE_TEXT(matrices.data[i]));
  if (matrices.count == 1) return lp_tensor_retain(matrices.data[0]);
  return lp_linalg_multi_dot(matrices);
}

/* --- powers
 * ----------------------------------------------------------------------------------------
 */

LpTensor *lp_composite_linalg_matrix_power(LpTensor *self, int64_t n) {
  TRY(lp_check_square(self, "self"));
  Steps s = {0};
  if (n == 0) {
    STEP(one,
         lp_eye(self->sizes[self->ndim - 1], self->dtype, self->storage->device, false));
    STEP(result,
         lp_clone(self, LP_CONTIGUOUS)); /* self's history, with a derivative of 0 */
    if (!lp_copy_(result, one, false)) return steps_drop(&s);
    return steps_finish(&s, result);
  }
  STEP(square, n > 0 ? lp_tensor_retain(self) : lp_linalg_inv(self));
  uint64_t left = n > 0 ? (uint64_t)n : 0 - (uint64_t)n;
  if (left == 1 && n > 0)
    return steps_finish(&s, steps_note(&s, lp_clone(self, LP_FORMAT_NONE)));
  LpTensor *result = NULL;
  for (;; left >>= 1) {
    LpTensor *old = result;
    if (left & 1) {
      result = result ? lp_matmul(result, square) : lp_tensor_retain(square);
      lp_tensor_release(old);
      if (!result) return steps_drop(&s);
    }
    if (left <= 1) break;
    LpTensor *next = lp_matmul(square, square);
    lp_tensor_release(s.tensors[0]);
    s.tensors[0] = square = next;
    if (!next) {
      lp_tensor_release(result);
      s.count = 0;
      return NULL;
    }
  }
  steps_drop(&s);
  return result;
}

/* --- tensors as matrices
 * --------------------------------------------------------------------------- */

static int64_t product_of(const int64_t *sizes, int64_t n) {
  int64_t product = 1;
  for (int64_t i = 0; i < n; i++) product *= sizes[i];
  return product;
}

LpTensor *lp_composite_linalg_tensorinv(LpTensor *self, int64_t ind) {
  CHECK(ind > 0 && ind <= self->ndim, LP_ERR_ARGUMENT,
        "ind must be between 1 and %d, got %lld", self->ndim, (long long)ind);
  int64_t n = product_of(self->sizes, ind), rest = self->ndim - ind, sizes[LP_MAX_DIMS];
  CHECK(n == product_of(self->sizes + ind, rest), LP_ERR_ARGUMENT,
        "the first %lld dims of self (shape %s) must have as many elements as the others",
        (long long)ind, SHAPE_TEXT(self));
  for (int64_t d = 0; d < rest; d++) sizes[d] = self->sizes[ind + d];
  for (int64_t d = 0; d < ind; d++) sizes[rest + d] = self->sizes[d];
  Steps s = {0};
  STEP(matrix, lp_reshape(self, lp_ints((int64_t[]){n, n}, 2)));
  STEP(inverse, lp_linalg_inv(matrix));
  STEP(result, lp_reshape(inverse, lp_ints(sizes, self->ndim)));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_tensorsolve(LpTensor *self, LpTensor *other, LpInts dims) {
  Steps s = {0};
  STEP(a, lp_tensor_retain(self));
  if (dims.count > 0) {
    int64_t to[LP_MAX_DIMS];
    for (int64_t i = 0; i < dims.count && i < LP_MAX_DIMS; i++)
      to[i] = self->ndim - dims.count + i;
    RESTEP(a, lp_movedim(a, dims, lp_ints(to, dims.count)));
  }
  STEP_CHECK(a->ndim >= other->ndim, LP_ERR_ARGUMENT,
             "self (shape %s) must have at least the dims of other (shape %s)",
             SHAPE_TEXT(self), SHAPE_TEXT(other));
  int64_t n = other->numel, tail = a->ndim - other->ndim, sizes[LP_MAX_DIMS];
  STEP_CHECK(product_of(a->sizes + other->ndim, tail) == n && a->numel == n * n,
             LP_ERR_ARGUMENT, "self (shape %s) must be square as a matrix of %lld rows",
             SHAPE_TEXT(self), (long long)n);
  for (int64_t d = 0; d < tail; d++) sizes[d] = a->sizes[other->ndim + d];
  STEP(matrix, lp_reshape(a, lp_ints((int64_t[]){n, n}, 2)));
  STEP(vector, lp_reshape(other, lp_ints(&n, 1)));
  STEP(x, lp_linalg_solve(matrix, vector, true));
  STEP(result, lp_reshape(x, lp_ints(sizes, tail)));
  return steps_finish(&s, result);
}

LpTensor *lp_composite_linalg_vander(LpTensor *x, LpOptInt N) {
  if (x->ndim == 0) { /* a number is a vector of one */
    LpTensor *vector = lp_unsqueeze(x, 0);
    LpTensor *result = vector ? lp_composite_linalg_vander(vector, N) : NULL;
    lp_tensor_release(vector);
    return result;
  }
  int64_t columns = N.has ? N.value : x->sizes[x->ndim - 1];
  CHECK(columns > 1, LP_ERR_ARGUMENT, "N must be greater than 1, got %lld",
        (long long)columns);
  Steps s = {0};
  STEP(column, lp_unsqueeze(x, -1));
  int64_t sizes[LP_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++) sizes[d] = x->sizes[d];
  sizes[x->ndim] = columns - 1;
  STEP(one, lp_ones_like(column, LP_DTYPE_NONE, (LpDevice){LP_DEVICE_NONE, 0},
                         LP_FORMAT_NONE, false));
  STEP(wide, lp_expand(column, lp_ints(sizes, x->ndim + 1)));
  STEP(powers, lp_cumprod(wide, -1, LP_DTYPE_NONE));
  LpTensor *parts[2] = {one, powers};
  STEP(result, lp_cat((LpTensors){parts, 2}, -1));
  return steps_finish(&s, result);
}
