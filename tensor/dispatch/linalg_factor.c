/* LDL and Householder factorisations with LAPACK: checks, batches, results. */
#include <string.h>
#include "cpu/lapack_symmetric.h"
#include "dispatch/iter.h"
#include "dispatch/linalg.h"
#include "dispatch/linalg_batch.h"
#include "dispatch/reduce.h"
#include "dispatch/shape.h"
#include "impl.h"

#define L(x) ((long long)(x))

static char *at(const LpTensor *t, int64_t i, int64_t elems) {
  return lp_data(t) + (size_t)(i * elems) * lp_dtype_size((LpDtype)t->dtype);
}

/* --- LDL
 * ---------------------------------------------------------------------------------- */

typedef struct Factoring {
  LpTensor **results;
  LpBatch b;
  bool hermitian;
} Factoring;

static int ldl_one(void *ctx, int64_t i, char *columns) {
  const Factoring *f = ctx;
  const LpDtype dtype = (LpDtype)f->results[0]->dtype;
  const size_t item = lp_dtype_size(dtype), n = (size_t)f->b.n;
  char *matrix = lp_data(f->results[0]) + (size_t)i * f->b.matrix_bytes;
  lp_linalg_turn(item, matrix, f->b.n, f->b.n, columns);
  int info = lp_lapack_ldl(dtype, f->hermitian, f->b.n, columns,
                           (int *)lp_data(f->results[1]) + i * f->b.n);
  if (info == LP_LAPACK_NO_MEMORY) return info;
  ((int *)lp_data(f->results[2]))[i] = info;
  lp_linalg_turn(item, columns, f->b.n, f->b.n, matrix);
  for (size_t row = 0; row < n; row++) /* the other triangle still holds A */
    memset(matrix + (row * n + row + 1) * item, 0, (n - row - 1) * item);
  return 0;
}

static bool ldl(LpTensor *self, bool hermitian, LpTensor **results) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_square(self, "self"));
  Factoring f = {results, lp_batch_of(self), hermitian};
  int64_t n = f.b.n, failed;
  double size = (double)n;
  results[0] = lp_linalg_copy(self);
  results[1] = results[0] ? lp_linalg_new(self, &n, 1, LP_INT32) : NULL;
  results[2] = results[1] ? lp_linalg_new_info(self) : NULL;
  bool ok = results[2] &&
            (n == 0 || lp_linalg_each(&(LpMatrixLoop){.count = f.b.count,
                                                      .flops = size * size * size / 3,
                                                      .scratch_bytes = f.b.matrix_bytes,
                                                      .step = ldl_one,
                                                      .ctx = &f},
                                      &failed) == 0);
  return lp_linalg_finish(ok, results, 3);
}

static bool check_nonsingular(LpTensor *self, LpTensor **results) {
  char text[64];
  const int *info = (const int *)lp_data(results[2]);
  for (int64_t i = 0; i < results[2]->numel; i++) {
    if (info[i] == 0) continue;
    lp_fail(
        LP_ERR_LINALG,
        "%sThe diagonal element %d of D is zero: the factorization has been completed, "
        "but D is singular and cannot be used to solve a system.",
        lp_batch_text(self, i, text, sizeof text), info[i]);
    return lp_linalg_finish(false, results, 3);
  }
  return true;
}

bool lp_impl_linalg_ldl_factor_ex(LpTensor **outs, LpTensor *self, bool hermitian,
                                  bool check_errors, LpTensor **results) {
  TRY(ldl(self, hermitian, results));
  if (check_errors) TRY(check_nonsingular(self, results));
  return lp_give_all(outs, results, 3);
}

bool lp_impl_linalg_ldl_factor(LpTensor **outs, LpTensor *self, bool hermitian,
                               LpTensor **results) {
  LpTensor *all[3];
  TRY(ldl(self, hermitian, all));
  TRY(check_nonsingular(self, all));
  lp_tensor_release(all[2]);
  results[0] = all[0];
  results[1] = all[1];
  return lp_give_all(outs, results, 2);
}

/* t expanded to the batch dims, with its last `tail` dims, dense. */
static LpTensor *batched(LpTensor *t, const int64_t *batch, int64_t batch_ndim, int tail,
                         LpDtype dtype) {
  int64_t sizes[LP_MAX_DIMS];
  memcpy(sizes, batch, (size_t)batch_ndim * sizeof *sizes);
  for (int i = 0; i < tail; i++) sizes[batch_ndim + i] = t->sizes[t->ndim - tail + i];
  LpTensor *wide = lp_expand_alias(t, lp_ints(sizes, batch_ndim + tail));
  LpTensor *dense = wide ? lp_cast_raw(wide, dtype) : NULL;
  LpTensor *copy = dense ? lp_linalg_copy(dense) : NULL;
  lp_tensor_release(wide);
  lp_tensor_release(dense);
  return copy;
}

static bool check_system(const LpTensor *LD, const LpTensor *pivots, const LpTensor *B) {
  TRY(lp_check_matrix(LD, "LD"));
  TRY(lp_check_square(LD, "LD"));
  TRY(lp_check_matrix(B, "B"));
  CHECK(LD->dtype == B->dtype, LP_ERR_TYPE,
        "LD and B must have the same dtype, got %s and %s",
        lp_dtype_name((LpDtype)LD->dtype), lp_dtype_name((LpDtype)B->dtype));
  CHECK(lp_dtype_is_integral((LpDtype)pivots->dtype, false), LP_ERR_TYPE,
        "pivots must be integers, got %s", lp_dtype_name((LpDtype)pivots->dtype));
  bool fits = pivots->ndim == LD->ndim - 1;
  for (int d = 0; fits && d < pivots->ndim; d++) fits = pivots->sizes[d] == LD->sizes[d];
  CHECK(fits, LP_ERR_ARGUMENT,
        "pivots must have LD's shape without its last dim, got %s and %s",
        SHAPE_TEXT(pivots), SHAPE_TEXT(LD));
  int64_t n = LD->sizes[LD->ndim - 1];
  CHECK(B->sizes[B->ndim - 2] == n, LP_ERR_ARGUMENT,
        "LD (shape %s) and B (shape %s) do not fit: B must have %lld rows",
        SHAPE_TEXT(LD), SHAPE_TEXT(B), L(n));
  return true;
}

/* LAPACK follows the pivots without looking: they must name rows, 2 x 2 blocks in pairs.
 */
static bool check_pivots(const int *pivots, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    int p = pivots[i];
    bool block = p < 0;
    CHECK(p != 0 && p >= -n && p <= n && (!block || (i + 1 < n && pivots[i + 1] < 0)),
          LP_ERR_ARGUMENT, "pivots must be those of ldl_factor, got %d at %lld", p, L(i));
    if (block) i++;
  }
  return true;
}

typedef struct Systems {
  LpTensor *a, *pivots, *x;
  LpBatch ba, bx;
  bool hermitian;
} Systems;

static int ldl_solve_one(void *ctx, int64_t i, char *columns) {
  const Systems *s = ctx;
  const LpDtype dtype = (LpDtype)s->a->dtype;
  const size_t item = lp_dtype_size(dtype);
  const LpBatch ba = s->ba, bx = s->bx;
  char *matrix = lp_data(s->x) + (size_t)i * bx.matrix_bytes;
  char *rhs = columns + ba.matrix_bytes;
  lp_linalg_turn(item, lp_data(s->a) + (size_t)i * ba.matrix_bytes, ba.n, ba.n, columns);
  lp_linalg_turn(item, matrix, bx.m, bx.n, rhs);
  lp_lapack_ldl_solve(dtype, s->hermitian, ba.n, bx.n, columns,
                      (const int *)lp_data(s->pivots) + i * ba.n, rhs);
  lp_linalg_turn(item, rhs, bx.n, bx.m, matrix);
  return 0;
}

LpTensor *lp_impl_linalg_ldl_solve(LpTensor *out, LpTensor *LD, LpTensor *pivots,
                                   LpTensor *B, bool hermitian) {
  TRY(check_system(LD, pivots, B));
  int64_t batch[LP_MAX_DIMS], batch_ndim;
  LpInts shapes[2] = {lp_ints(LD->sizes, LD->ndim - 2), lp_ints(B->sizes, B->ndim - 2)};
  TRY(lp_broadcast_shapes(shapes, 2, batch, &batch_ndim));
  LpTensor *a = batched(LD, batch, batch_ndim, 2, (LpDtype)LD->dtype);
  LpTensor *p = a ? batched(pivots, batch, batch_ndim, 1, LP_INT32) : NULL;
  LpTensor *x = p ? batched(B, batch, batch_ndim, 2, (LpDtype)B->dtype) : NULL;
  bool ok = x != NULL;
  if (ok && x->numel) {
    Systems s = {a, p, x, lp_batch_of(a), lp_batch_of(x), hermitian};
    const double n = s.ba.n;
    int64_t failed;
    for (int64_t i = 0; ok && i < s.bx.count; i++)
      ok = check_pivots((const int *)lp_data(p) + i * s.ba.n, s.ba.n);
    ok = ok && lp_linalg_each(
                   &(LpMatrixLoop){.count = s.bx.count,
                                   .flops = 2 * n * n * s.bx.n,
                                   .scratch_bytes = s.ba.matrix_bytes + s.bx.matrix_bytes,
                                   .step = ldl_solve_one,
                                   .ctx = &s},
                   &failed) == 0;
  }
  lp_tensor_release(a);
  lp_tensor_release(p);
  if (!ok) lp_drop(&x);
  return lp_linalg_deliver(out, x);
}

/* --- Householder reflectors
 * ------------------------------------------------------------------ */

typedef struct Reflecting {
  LpTensor *a, *tau, *c; /* c: what the reflectors are applied to */
  LpBatch ba, bc;
  bool left, transpose;
} Reflecting;

static int geqrf_one(void *ctx, int64_t i, char *columns) {
  const Reflecting *r = ctx;
  const LpDtype dtype = (LpDtype)r->a->dtype;
  const LpBatch b = r->ba;
  char *matrix = lp_data(r->a) + (size_t)i * b.matrix_bytes;
  lp_linalg_turn(lp_dtype_size(dtype), matrix, b.m, b.n, columns);
  int info = lp_lapack_qr(dtype, b.m, b.n, columns, at(r->tau, i, b.m < b.n ? b.m : b.n));
  lp_linalg_turn(lp_dtype_size(dtype), columns, b.n, b.m, matrix);
  return info;
}

bool lp_impl_geqrf(LpTensor **outs, LpTensor *self, LpTensor **results) {
  TRY(lp_check_matrix(self, "self"));
  LpBatch b = lp_batch_of(self);
  int64_t k = b.m < b.n ? b.m : b.n, failed;
  results[0] = lp_linalg_copy(self);
  results[1] = results[0] ? lp_linalg_new(self, &k, 1, (LpDtype)self->dtype) : NULL;
  Reflecting r = {.a = results[0], .tau = results[1], .ba = b};
  bool ok =
      results[1] &&
      (k == 0 || lp_linalg_each(&(LpMatrixLoop){.count = b.count,
                                                .flops = 2.0 * b.m * b.n * (double)k,
                                                .scratch_bytes = b.matrix_bytes,
                                                .step = geqrf_one,
                                                .ctx = &r},
                                &failed) == 0);
  return lp_linalg_finish(ok, results, 2) && lp_give_all(outs, results, 2);
}

static bool check_reflectors(const LpTensor *self, const LpTensor *tau, const LpTensor *c,
                             bool left) {
  TRY(lp_check_matrix(self, "self"));
  TRY(lp_check_matrix(c, "input3"));
  CHECK(tau->dtype == self->dtype && c->dtype == self->dtype, LP_ERR_TYPE,
        "self, input2 and input3 must have one dtype, got %s, %s and %s",
        lp_dtype_name((LpDtype)self->dtype), lp_dtype_name((LpDtype)tau->dtype),
        lp_dtype_name((LpDtype)c->dtype));
  CHECK(
      c->ndim == self->ndim && tau->ndim == self->ndim - 1, LP_ERR_ARGUMENT,
      "input3 must have as many dims as self, input2 one less; got shapes %s, %s and %s",
      SHAPE_TEXT(self), SHAPE_TEXT(tau), SHAPE_TEXT(c));
  for (int d = 0; d < self->ndim - 2; d++)
    CHECK(
        self->sizes[d] == tau->sizes[d] && self->sizes[d] == c->sizes[d], LP_ERR_ARGUMENT,
        "self, input2 and input3 must have the same batch dims, got shapes %s, %s and %s",
        SHAPE_TEXT(self), SHAPE_TEXT(tau), SHAPE_TEXT(c));
  int64_t rows = self->sizes[self->ndim - 2], columns = self->sizes[self->ndim - 1];
  int64_t matched = c->sizes[left ? c->ndim - 2 : c->ndim - 1];
  CHECK(matched == rows, LP_ERR_ARGUMENT,
        "input3 (shape %s) must have self's (shape %s) number of rows, %lld, as its %s",
        SHAPE_TEXT(c), SHAPE_TEXT(self), L(rows), left ? "rows" : "columns");
  CHECK(tau->sizes[tau->ndim - 1] == (rows < columns ? rows : columns), LP_ERR_ARGUMENT,
        "input2 must have min(rows, columns) = %lld elements for each matrix of self, "
        "got shape %s",
        L(rows < columns ? rows : columns), SHAPE_TEXT(tau));
  return true;
}

static int apply_one(void *ctx, int64_t i, char *columns) {
  const Reflecting *r = ctx;
  const LpDtype dtype = (LpDtype)r->a->dtype;
  const size_t item = lp_dtype_size(dtype);
  const LpBatch ba = r->ba, bc = r->bc;
  const int k = ba.m < ba.n ? ba.m : ba.n;
  char *matrix = lp_data(r->c) + (size_t)i * bc.matrix_bytes;
  char *turned = columns + ba.matrix_bytes;
  lp_linalg_turn(item, lp_data(r->a) + (size_t)i * ba.matrix_bytes, ba.m, ba.n, columns);
  lp_linalg_turn(item, matrix, bc.m, bc.n, turned);
  int info = lp_lapack_qr_apply(dtype, r->left, r->transpose, bc.m, bc.n, k, columns,
                                at(r->tau, i, k), turned);
  lp_linalg_turn(item, turned, bc.n, bc.m, matrix);
  return info;
}

LpTensor *lp_impl_ormqr_apply(LpTensor *self, LpTensor *input2, LpTensor *input3,
                              bool left, bool transpose) {
  TRY(check_reflectors(self, input2, input3, left));
  Reflecting r = {.a = lp_linalg_copy(self), .left = left, .transpose = transpose};
  r.tau = r.a ? lp_contiguous_raw(input2) : NULL;
  r.c = r.tau ? lp_linalg_copy(input3) : NULL;
  bool ok = r.c != NULL;
  if (ok && r.c->numel) {
    int64_t failed;
    r.ba = lp_batch_of(r.a);
    r.bc = lp_batch_of(r.c);
    ok = lp_linalg_each(
             &(LpMatrixLoop){.count = r.bc.count,
                             .flops = 4.0 * r.bc.m * r.bc.n *
                                      (r.ba.m < r.ba.n ? r.ba.m : r.ba.n),
                             .scratch_bytes = r.ba.matrix_bytes + r.bc.matrix_bytes,
                             .step = apply_one,
                             .ctx = &r},
             &failed) == 0;
  }
  lp_tensor_release(r.a);
  lp_tensor_release(r.tau);
  if (!ok) lp_drop(&r.c);
  return r.c;
}
