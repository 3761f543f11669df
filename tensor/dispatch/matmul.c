/* Products of matrices, vectors and batches: checks, and bringing operands of any strides
 * to the row-major-or-transposed form a GEMM takes. Copies only what neither form
 * describes. */
#include "autograd/node.h"
#include "cpu/gemm.h"
#include "dispatch/pointwise.h"
#include "dispatch/shape.h"
#include "impl.h"

/* --- operands
 * --------------------------------------------------------------------------------- */

/* The last two dims of a tensor as memory a GEMM can walk. */
typedef struct Matrix {
  int64_t ld;
  bool trans; /* columns are contiguous, ld is between columns */
} Matrix;

static bool as_matrix(const LpTensor *t, Matrix *m) {
  int64_t rows = t->sizes[t->ndim - 2], columns = t->sizes[t->ndim - 1];
  int64_t row_stride = t->strides[t->ndim - 2], column_stride = t->strides[t->ndim - 1];
  int64_t wide = columns > 1 ? columns : 1, tall = rows > 1 ? rows : 1;
  if ((column_stride == 1 || columns <= 1) && (row_stride >= wide || rows <= 1)) {
    *m = (Matrix){rows <= 1 ? wide : row_stride, false};
    return true;
  }
  if ((row_stride == 1 || rows <= 1) && (column_stride >= tall || columns <= 1)) {
    *m = (Matrix){columns <= 1 ? tall : column_stride, true};
    return true;
  }
  if (t->numel == 0) { /* nothing is there to walk, whatever the strides */
    *m = (Matrix){wide, false};
    return true;
  }
  return false;
}

/* t itself, retained, or a copy that as_matrix accepts. */
static LpTensor *walkable(LpTensor *t, Matrix *m) {
  if (as_matrix(t, m)) return lp_tensor_retain(t);
  LpTensor *copy = lp_contiguous_raw(t);
  if (copy) as_matrix(copy, m);
  return copy;
}

/* c = alpha * a b + beta * c for tensors of 2 dims, or of 3 with the batch first; c has a
 * walkable layout and shares no memory with a and b. row: LpGemm's, for a c whose rows
 * are not turned; or NULL. keeps: b is likely to serve again as it is
 * (lp_cpu_gemm_keeping). */
static bool multiply_into(LpTensor *c, LpTensor *a, LpTensor *b, LpScalar alpha,
                          LpScalar beta, const void *row, bool keeps) {
  Matrix ma, mb, mc;
  LpTensor *left = walkable(a, &ma), *right = left ? walkable(b, &mb) : NULL;
  bool ok = false;
  if (left && right) {
    int last = c->ndim - 1;
    as_matrix(c, &mc);
    LpGemm g = {.dtype = c->dtype,
                .alpha = alpha,
                .beta = beta,
                .k = a->sizes[last],
                .ldc = mc.ld,
                .c = lp_data(c),
                .row = row};
    bool batched = c->ndim == 3;
    int64_t step_a = batched ? left->strides[0] : 0,
            step_b = batched ? right->strides[0] : 0;
    if (!mc.trans) {
      g.m = c->sizes[last - 1], g.n = c->sizes[last];
      g.a = lp_data(left), g.lda = ma.ld, g.trans_a = ma.trans;
      g.b = lp_data(right), g.ldb = mb.ld, g.trans_b = mb.trans;
    } else { /* the memory of c is c^T = b^T a^T */
      g.m = c->sizes[last], g.n = c->sizes[last - 1];
      g.a = lp_data(right), g.lda = mb.ld, g.trans_a = !mb.trans;
      g.b = lp_data(left), g.ldb = ma.ld, g.trans_b = !ma.trans;
      int64_t step = step_a;
      step_a = step_b;
      step_b = step;
    }
    if (batched)
      ok = lp_cpu_gemm_batch(&g, c->sizes[0], step_a, step_b, c->strides[0]);
    else if (keeps && right == b && !mc.trans)
      ok = lp_cpu_gemm_keeping(&g, b);
    else
      ok = lp_cpu_gemm(&g);
  }
  lp_tensor_release(left);
  lp_tensor_release(right);
  return ok;
}

/* --- checks
 * ----------------------------------------------------------------------------------- */

static bool check_operands(const LpTensor *a, const char *name_a, const LpTensor *b,
                           const char *name_b) {
  CHECK(a->dtype == b->dtype, LP_ERR_TYPE,
        "%s and %s must have the same dtype, got %s and %s; convert one with :to(dtype)",
        name_a, name_b, lp_dtype_name(a->dtype), lp_dtype_name(b->dtype));
  CHECK(a->dtype != LP_BOOL, LP_ERR_TYPE,
        "products are not defined for bool; convert with :to(torch.int64)");
  CHECK(a->storage->device.type == LP_CPU && b->storage->device.type == LP_CPU,
        LP_ERR_DEVICE, "%s and %s must both be on the CPU", name_a, name_b);
  return true;
}

static bool check_dims(const LpTensor *t, const char *name, int ndim) {
  static const char *const kinds[] = {"a scalar", "a vector (1 dim)", "a matrix (2 dims)",
                                      "a batch of matrices (3 dims)"};
  CHECK(t->ndim == ndim, LP_ERR_ARGUMENT, "%s must be %s, got shape %s", name,
        kinds[ndim], SHAPE_TEXT(t));
  return true;
}

static bool shares_memory(const LpTensor *a, const LpTensor *b) {
  return a->storage == b->storage;
}

/* --- alpha * a b + beta * self
 * ---------------------------------------------------------------- */

/* a view of t as a matrix of one column or one row */
static LpTensor *column(LpTensor *t) {
  int64_t sizes[2] = {t->sizes[0], 1}, strides[2] = {t->strides[0], 1};
  return lp_tensor_alias(t, lp_ints(sizes, 2), lp_ints(strides, 2), t->offset_elems);
}
static LpTensor *row(LpTensor *t) {
  int64_t sizes[2] = {1, t->sizes[0]},
          strides[2] = {t->sizes[0] * t->strides[0] + 1, t->strides[0]};
  return lp_tensor_alias(t, lp_ints(sizes, 2), lp_ints(strides, 2), t->offset_elems);
}

static bool check_dtype_of(const LpTensor *t, const char *name, LpDtype dtype) {
  CHECK(t->dtype == dtype, LP_ERR_TYPE, "%s must have the operands' dtype %s, got %s",
        name, lp_dtype_name(dtype), lp_dtype_name(t->dtype));
  return true;
}

/* The tensor to compute into (owned): out when it can be written directly, else a new
 * one. out is resized first unless it is self. */
static LpTensor *target_for(LpTensor *out, LpTensor *self, LpTensor *a, LpTensor *b,
                            LpInts sizes) {
  if (!out) return lp_tensor_new(sizes, a->dtype, a->storage->device);
  TRY(check_dtype_of(out, "out", a->dtype));
  if (out != self) TRY(lp_tensor_resize_out(out, sizes));
  Matrix m;
  bool direct = out->ndim >= 2 ? as_matrix(out, &m)
                               : out->ndim == 0 || out->numel <= 1 || out->strides[0] > 0;
  bool busy = shares_memory(out, a) || shares_memory(out, b) ||
              (self && self != out && shares_memory(out, self));
  if (direct && !busy) return lp_tensor_retain(out);
  return lp_tensor_new(sizes, a->dtype, a->storage->device);
}

static bool is_one(LpScalar s) {
  return s.kind != LP_SCALAR_COMPLEX && lp_scalar_to_double(s) == 1;
}

static bool is_zero(LpScalar s) {
  return s.kind == LP_SCALAR_COMPLEX ? s.v.c[0] == 0 && s.v.c[1] == 0
                                     : lp_scalar_to_double(s) == 0;
}

static bool check_self(const LpTensor *self, LpInts sizes, LpDtype dtype, bool in_place) {
  TRY(check_dtype_of(self, "self", dtype));
  bool fits = self->ndim <= sizes.count;
  for (int d = 0; fits && d < self->ndim; d++) {
    int64_t want = sizes.data[sizes.count - self->ndim + d];
    fits = self->sizes[d] == want || (self->sizes[d] == 1 && !in_place);
  }
  fits = fits && (!in_place || self->ndim == sizes.count);
  char text[256];
  CHECK(fits, LP_ERR_ARGUMENT,
        in_place ? "self (shape %s) must have the shape of the product, %s"
                 : "self (shape %s) cannot be expanded to the shape of the product, %s",
        SHAPE_TEXT(self), lp_format_ints(sizes, text, sizeof text));
  return true;
}

/* Products of integers take the integral part of beta and alpha, as in PyTorch. */
static LpScalar scalar_for(LpDtype dtype, LpScalar s) {
  return lp_dtype_is_integral(dtype, true) ? lp_scalar_int(lp_scalar_to_int(s)) : s;
}

/* Is self a vector that is added as it stands to every row of c? */
static bool is_row_for(const LpTensor *self, const LpTensor *c) {
  Matrix m;
  return self->ndim == 1 && self->sizes[0] == c->sizes[c->ndim - 1] &&
         (self->strides[0] == 1 || self->numel == 1) && !shares_memory(self, c) &&
         as_matrix(c, &m) && !m.trans;
}

/* c = beta * self + alpha * a b; self: NULL, c itself, or what broadcasts to it. */
static bool multiply_add(LpTensor *c, LpTensor *self, LpTensor *a, LpTensor *b,
                         LpScalar alpha, LpScalar beta, bool keeps) {
  if (!self) beta = lp_scalar_int(0);
  if (is_zero(beta) || self == c) return multiply_into(c, a, b, alpha, beta, NULL, keeps);
  if (is_one(beta) && is_row_for(self, c))
    return multiply_into(c, a, b, alpha, lp_scalar_int(0), lp_data(self), keeps);
  const bool after = a->ndim == 2 && is_one(alpha) && is_one(beta) &&
                     !shares_memory(self, c) &&
                     lp_cpu_gemm_prefers_add_after((LpDtype)a->dtype, a->sizes[0],
                                                   b->sizes[1], a->sizes[1]);
  if (!after)
    return lp_copy_into(c, self) && multiply_into(c, a, b, alpha, beta, NULL, keeps);
  TRY(multiply_into(c, a, b, alpha, lp_scalar_int(0), NULL, keeps));
  LpTensor *sum =
      lp_binary(LP_BINARY_add, c, c, self, (const LpScalar[]){lp_scalar_int(1)}, 1);
  lp_tensor_release(sum);
  return sum != NULL;
}

/* result = beta * self + alpha * a b. a and b are 2-d or 3-d; `sizes` is the result's
 * shape: that of the product, or without its dim of size 1 where column(result) stands
 * for the vector. */
static LpTensor *affine(LpTensor *out, LpTensor *self, LpTensor *a, LpTensor *b,
                        LpScalar beta, LpScalar alpha, LpInts sizes) {
  beta = scalar_for(a->dtype, beta);
  alpha = scalar_for(a->dtype, alpha);
  if (self) TRY(check_self(self, sizes, a->dtype, out == self));
  LpTensor *target = target_for(out, self, a, b, sizes);
  if (!target) return NULL;
  bool ok;
  if (target->ndim == 1) {
    LpTensor *matrix = column(target);
    ok = matrix &&
         (!self || is_zero(beta) || self == target || lp_copy_into(target, self)) &&
         multiply_into(matrix, a, b, alpha, self ? beta : lp_scalar_int(0), NULL, false);
    lp_tensor_release(matrix);
  } else {
    ok = multiply_add(target, self, a, b, alpha, beta, false);
  }
  if (ok && out && out != target) ok = lp_copy_into(out, target);
  LpTensor *result = ok ? lp_tensor_retain(out ? out : target) : NULL;
  lp_tensor_release(target);
  return result;
}

static bool check_product(const LpTensor *a, const char *name_a, const LpTensor *b,
                          const char *name_b) {
  TRY(check_operands(a, name_a, b, name_b));
  TRY(check_dims(a, name_a, 2));
  TRY(check_dims(b, name_b, 2));
  CHECK(a->sizes[1] == b->sizes[0], LP_ERR_ARGUMENT,
        "%s and %s shapes cannot be multiplied (%lldx%lld and %lldx%lld): dim 1 of %s "
        "(%lld) must equal "
        "dim 0 of %s (%lld)",
        name_a, name_b, (long long)a->sizes[0], (long long)a->sizes[1],
        (long long)b->sizes[0], (long long)b->sizes[1], name_a, (long long)a->sizes[1],
        name_b, (long long)b->sizes[0]);
  return true;
}

static bool check_batch(const LpTensor *a, const char *name_a, const LpTensor *b,
                        const char *name_b) {
  TRY(check_operands(a, name_a, b, name_b));
  TRY(check_dims(a, name_a, 3));
  TRY(check_dims(b, name_b, 3));
  CHECK(a->sizes[0] == b->sizes[0], LP_ERR_ARGUMENT,
        "%s and %s must have the same batch size, got shapes %s and %s", name_a, name_b,
        SHAPE_TEXT(a), SHAPE_TEXT(b));
  CHECK(a->sizes[2] == b->sizes[1], LP_ERR_ARGUMENT,
        "%s (%s) and %s (%s) cannot be multiplied: dim 2 of %s must equal dim 1 of %s",
        name_a, SHAPE_TEXT(a), name_b, SHAPE_TEXT(b), name_a, name_b);
  return true;
}

static bool check_mv(const LpTensor *mat, const LpTensor *vec) {
  TRY(check_operands(mat, "mat", vec, "vec"));
  TRY(check_dims(mat, "mat", 2));
  TRY(check_dims(vec, "vec", 1));
  CHECK(mat->sizes[1] == vec->sizes[0], LP_ERR_ARGUMENT,
        "size mismatch: mat has shape %s, so vec must have %lld elements, got %lld",
        SHAPE_TEXT(mat), (long long)mat->sizes[1], (long long)vec->sizes[0]);
  return true;
}

LpTensor *lp_impl_mm(LpTensor *out, LpTensor *self, LpTensor *mat2) {
  TRY(check_product(self, "mat1", mat2, "mat2"));
  int64_t sizes[2] = {self->sizes[0], mat2->sizes[1]};
  return affine(out, NULL, self, mat2, lp_scalar_int(0), lp_scalar_int(1),
                lp_ints(sizes, 2));
}

LpTensor *lp_impl_addmm(LpTensor *out, LpTensor *self, LpTensor *mat1, LpTensor *mat2,
                        LpScalar beta, LpScalar alpha) {
  TRY(check_product(mat1, "mat1", mat2, "mat2"));
  int64_t sizes[2] = {mat1->sizes[0], mat2->sizes[1]};
  return affine(out, self, mat1, mat2, beta, alpha, lp_ints(sizes, 2));
}

LpTensor *lp_impl_bmm(LpTensor *out, LpTensor *self, LpTensor *mat2) {
  TRY(check_batch(self, "batch1", mat2, "batch2"));
  int64_t sizes[3] = {self->sizes[0], self->sizes[1], mat2->sizes[2]};
  return affine(out, NULL, self, mat2, lp_scalar_int(0), lp_scalar_int(1),
                lp_ints(sizes, 3));
}

LpTensor *lp_impl_baddbmm(LpTensor *out, LpTensor *self, LpTensor *batch1,
                          LpTensor *batch2, LpScalar beta, LpScalar alpha) {
  TRY(check_batch(batch1, "batch1", batch2, "batch2"));
  int64_t sizes[3] = {batch1->sizes[0], batch1->sizes[1], batch2->sizes[2]};
  return affine(out, self, batch1, batch2, beta, alpha, lp_ints(sizes, 3));
}

static LpTensor *matrix_vector(LpTensor *out, LpTensor *self, LpTensor *mat,
                               LpTensor *vec, LpScalar beta, LpScalar alpha) {
  TRY(check_mv(mat, vec));
  LpTensor *tall = column(vec);
  if (!tall) return NULL;
  LpTensor *result = affine(out, self, mat, tall, beta, alpha, lp_ints(mat->sizes, 1));
  lp_tensor_release(tall);
  return result;
}

LpTensor *lp_impl_mv(LpTensor *out, LpTensor *self, LpTensor *vec) {
  return matrix_vector(out, NULL, self, vec, lp_scalar_int(0), lp_scalar_int(1));
}

LpTensor *lp_impl_addmv(LpTensor *out, LpTensor *self, LpTensor *mat, LpTensor *vec,
                        LpScalar beta, LpScalar alpha) {
  return matrix_vector(out, self, mat, vec, beta, alpha);
}

/* Of truth values: self or (vec1 and vec2), each where its factor is not 0. */
static LpTensor *addr_bool(LpTensor *out, LpTensor *self, LpTensor *vec1, LpTensor *vec2,
                           LpScalar beta, LpScalar alpha) {
  CHECK(vec2->dtype == LP_BOOL, LP_ERR_TYPE,
        "vec1 and vec2 must have the same dtype, got bool and %s",
        lp_dtype_name(vec2->dtype));
  TRY(check_dims(vec1, "vec1", 1));
  TRY(check_dims(vec2, "vec2", 1));
  int64_t sizes[2] = {vec1->sizes[0], vec2->sizes[0]};
  TRY(check_self(self, lp_ints(sizes, 2), LP_BOOL, out == self));
  LpTensor *result = lp_tensor_new(lp_ints(sizes, 2), LP_BOOL, lp_cpu());
  bool ok = result && (is_zero(beta) ? lp_fill_into(result, lp_scalar_bool(false))
                                     : lp_copy_into(result, self));
  bool *truth = ok ? (bool *)lp_data(result) : NULL;
  const bool *x = (const bool *)lp_data(vec1), *y = (const bool *)lp_data(vec2);
  for (int64_t i = 0; ok && !is_zero(alpha) && i < sizes[0]; i++)
    for (int64_t j = 0; j < sizes[1]; j++)
      truth[i * sizes[1] + j] |= x[i * vec1->strides[0]] && y[j * vec2->strides[0]];
  if (ok && out) {
    ok = (out == self || lp_tensor_resize_out(out, lp_ints(sizes, 2))) &&
         lp_copy_into(out, result);
    lp_tensor_release(result);
    return ok ? lp_tensor_retain(out) : NULL;
  }
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}

LpTensor *lp_impl_addr(LpTensor *out, LpTensor *self, LpTensor *vec1, LpTensor *vec2,
                       LpScalar beta, LpScalar alpha) {
  if (vec1->dtype == LP_BOOL) return addr_bool(out, self, vec1, vec2, beta, alpha);
  TRY(check_operands(vec1, "vec1", vec2, "vec2"));
  TRY(check_dims(vec1, "vec1", 1));
  TRY(check_dims(vec2, "vec2", 1));
  CHECK(!lp_dtype_is_integral(vec1->dtype, true) ||
            (alpha.kind <= LP_SCALAR_INT && beta.kind <= LP_SCALAR_INT),
        LP_ERR_TYPE, "for integer tensors, beta and alpha must be integers");
  LpTensor *tall = column(vec1), *wide = tall ? row(vec2) : NULL, *result = NULL;
  if (wide && is_zero(alpha)) {
    /* A matrix product leaves the factors of alpha = 0 out; here 0 * nan stays nan. */
    LpTensor *zero = lp_tensor_wrapped(scalar_for(vec1->dtype, alpha));
    LpTensor *none = zero ? lp_binary(LP_BINARY_mul, NULL, tall, zero, NULL, 0) : NULL;
    lp_tensor_release(zero);
    lp_tensor_release(tall);
    tall = none;
    alpha = lp_scalar_int(1);
  }
  if (tall && wide) {
    int64_t sizes[2] = {vec1->sizes[0], vec2->sizes[0]};
    result = affine(out, self, tall, wide, beta, alpha, lp_ints(sizes, 2));
  }
  lp_tensor_release(tall);
  lp_tensor_release(wide);
  return result;
}

LpTensor *lp_impl_addbmm(LpTensor *out, LpTensor *self, LpTensor *batch1,
                         LpTensor *batch2, LpScalar beta, LpScalar alpha) {
  TRY(check_batch(batch1, "batch1", batch2, "batch2"));
  beta = scalar_for(batch1->dtype, beta);
  alpha = scalar_for(batch1->dtype, alpha);
  int64_t sizes[2] = {batch1->sizes[1], batch2->sizes[2]};
  TRY(check_self(self, lp_ints(sizes, 2), batch1->dtype, out == self));
  LpTensor *target = target_for(out, self, batch1, batch2, lp_ints(sizes, 2));
  if (!target) return NULL;
  bool ok = self == target || lp_copy_into(target, self);
  if (batch1->sizes[0] == 0) { /* nothing to add: scale only */
    LpGemm g = {.dtype = target->dtype,
                .m = sizes[0],
                .n = sizes[1],
                .c = lp_data(target),
                .beta = beta};
    Matrix m;
    as_matrix(target, &m);
    g.ldc = m.ld;
    if (m.trans) g.m = sizes[1], g.n = sizes[0];
    ok = ok && lp_cpu_gemm(&g);
  }
  for (int64_t i = 0; ok && i < batch1->sizes[0]; i++) {
    LpTensor *a = lp_tensor_alias(batch1, lp_ints(batch1->sizes + 1, 2),
                                  lp_ints(batch1->strides + 1, 2),
                                  batch1->offset_elems + i * batch1->strides[0]);
    LpTensor *b = lp_tensor_alias(batch2, lp_ints(batch2->sizes + 1, 2),
                                  lp_ints(batch2->strides + 1, 2),
                                  batch2->offset_elems + i * batch2->strides[0]);
    ok =
        a && b &&
        multiply_into(target, a, b, alpha, i == 0 ? beta : lp_scalar_int(1), NULL, false);
    lp_tensor_release(a);
    lp_tensor_release(b);
  }
  if (ok && out && out != target) ok = lp_copy_into(out, target);
  LpTensor *result = ok ? lp_tensor_retain(out ? out : target) : NULL;
  lp_tensor_release(target);
  return result;
}

/* --- vectors
 * ---------------------------------------------------------------------------------- */

static LpTensor *dot(LpTensor *out, LpTensor *self, LpTensor *other, bool conj) {
  TRY(check_operands(self, "self", other, "other"));
  TRY(check_dims(self, "self", 1));
  TRY(check_dims(other, "other", 1));
  CHECK(self->sizes[0] == other->sizes[0], LP_ERR_ARGUMENT,
        "self and other must have the same number of elements, got %lld and %lld",
        (long long)self->sizes[0], (long long)other->sizes[0]);
  LpTensor *result;
  if (out) {
    TRY(check_dtype_of(out, "out", self->dtype));
    TRY(lp_tensor_resize_out(out, lp_ints(NULL, 0)));
    result = lp_tensor_retain(out);
  } else {
    result = lp_tensor_new(lp_ints(NULL, 0), self->dtype, self->storage->device);
  }
  if (result)
    lp_cpu_dot(self->dtype, self->sizes[0], lp_data(self), self->strides[0],
               lp_data(other), other->strides[0], conj, lp_data(result));
  return result;
}

LpTensor *lp_impl_dot(LpTensor *out, LpTensor *self, LpTensor *tensor) {
  return dot(out, self, tensor, false);
}
LpTensor *lp_impl_vdot(LpTensor *out, LpTensor *self, LpTensor *other) {
  return dot(out, self, other, true);
}

/* --- linear
 * ----------------------------------------------------------------------------------- */

/* The leading dims of t as one: (rows, columns), without copying when the strides allow.
 * Owned. */
static LpTensor *fold_rows(LpTensor *t) {
  int64_t columns = t->sizes[t->ndim - 1], rows = 1;
  for (int d = 0; d < t->ndim - 1; d++) rows *= t->sizes[d];
  int64_t sizes[2] = {rows, columns}, strides[2] = {columns, t->strides[t->ndim - 1]};
  bool uniform = true, first = true;
  int64_t expected = 0;
  for (int d = t->ndim - 2; d >= 0; d--) {
    if (t->sizes[d] == 1) continue;
    if (first)
      strides[0] = t->strides[d];
    else
      uniform = uniform && t->strides[d] == expected;
    first = false;
    expected = t->strides[d] * t->sizes[d];
  }
  if (uniform || rows == 0)
    return lp_tensor_alias(t, lp_ints(sizes, 2), lp_ints(strides, 2), t->offset_elems);
  LpTensor *copy = lp_contiguous_raw(t);
  if (!copy) return NULL;
  strides[0] = columns;
  strides[1] = 1;
  LpTensor *folded =
      lp_tensor_alias(copy, lp_ints(sizes, 2), lp_ints(strides, 2), copy->offset_elems);
  lp_tensor_release(copy);
  return folded;
}

LpTensor *lp_impl_linear(LpTensor *input, LpTensor *weight, LpTensor *bias) {
  const bool keeps = !lp_tls_recorded;
  TRY(check_operands(input, "input", weight, "weight"));
  CHECK(input->ndim >= 1, LP_ERR_ARGUMENT,
        "input must have at least 1 dim, got a 0-d tensor");
  CHECK(weight->ndim == 1 || weight->ndim == 2, LP_ERR_ARGUMENT,
        "weight must have shape (out_features, in_features) or (in_features), got %s",
        SHAPE_TEXT(weight));
  int64_t in = weight->sizes[weight->ndim - 1];
  CHECK(input->sizes[input->ndim - 1] == in, LP_ERR_ARGUMENT,
        "input (shape %s) and weight (shape %s) do not fit: the last dim of input (%lld) "
        "must equal "
        "in_features (%lld)",
        SHAPE_TEXT(input), SHAPE_TEXT(weight), (long long)input->sizes[input->ndim - 1],
        (long long)in);
  bool vector = weight->ndim == 1;
  int64_t features = vector ? 1 : weight->sizes[0];
  if (bias) {
    TRY(check_operands(bias, "bias", weight, "weight"));
    CHECK(bias->numel == features || bias->numel == 1, LP_ERR_ARGUMENT,
          "bias must have out_features = %lld elements, got shape %s",
          (long long)features, SHAPE_TEXT(bias));
  }
  int64_t sizes[LP_MAX_DIMS], rows = 1;
  for (int d = 0; d < input->ndim - 1; d++) rows *= sizes[d] = input->sizes[d];
  sizes[input->ndim - 1] = features;
  LpTensor *result = lp_tensor_new(lp_ints(sizes, input->ndim - vector), input->dtype,
                                   input->storage->device);
  if (!result) return NULL;
  int64_t flat[2] = {rows, features}, flat_strides[2] = {features, 1};
  int64_t turned[2] = {in, features};
  int64_t turned_strides[2] = {weight->strides[weight->ndim - 1],
                               vector ? in : weight->strides[0]};
  LpTensor *c = lp_tensor_alias(result, lp_ints(flat, 2), lp_ints(flat_strides, 2), 0);
  LpTensor *a = fold_rows(input);
  LpTensor *b = lp_tensor_alias(weight, lp_ints(turned, 2), lp_ints(turned_strides, 2),
                                weight->offset_elems);
  bool ok = a && b && c &&
            multiply_add(c, bias, a, b, lp_scalar_int(1), lp_scalar_int(1), keeps);
  lp_tensor_release(a);
  lp_tensor_release(b);
  lp_tensor_release(c);
  if (ok) return result;
  lp_tensor_release(result);
  return NULL;
}
