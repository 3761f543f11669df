/* Linear systems and determinants, by LU factorisation.
 *
 * Note [Transposed factorisation]: a row-major matrix is its transpose to LAPACK. inv and
 * det do not mind, and a system is solved with the transposed factors, so A is never
 * turned over; only right-hand sides of several columns are. */
#include "dispatch/linalg.h"

#include <complex.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/copy.h"
#include "cpu/lapack.h"
#include "cpu/lu_small.h"
#include "dispatch/iter.h"
#include "dispatch/linalg_batch.h"
#include "dispatch/reduce.h"
#include "dispatch/shape.h"
#include "impl.h"

/* --- shared
 * -------------------------------------------------------------------------------------
 */

bool lp_check_square(const LpTensor *t, const char *name) {
  CHECK(t->ndim >= 2, LP_ERR_ARGUMENT, "%s must have at least 2 dims, got shape %s", name,
        SHAPE_TEXT(t));
  CHECK(t->sizes[t->ndim - 1] == t->sizes[t->ndim - 2], LP_ERR_ARGUMENT,
        "%s must be batches of square matrices, got shape %s", name, SHAPE_TEXT(t));
  return true;
}

bool lp_check_lapack(const LpTensor *t, const char *name) {
  CHECK(t->storage->device.type == LP_CPU, LP_ERR_DEVICE, "%s must be on the CPU", name);
  CHECK(t->dtype == LP_FLOAT32 || t->dtype == LP_FLOAT64 || t->dtype == LP_COMPLEX64 ||
            t->dtype == LP_COMPLEX128,
        LP_ERR_TYPE,
        "%s must be float32, float64, complex64 or complex128, got %s; convert it with "
        ":to(torch.float32)",
        name, lp_dtype_name(t->dtype));
  return true;
}

bool lp_check_matrix(const LpTensor *t, const char *name) {
  TRY(lp_check_lapack(t, name));
  CHECK(t->ndim >= 2, LP_ERR_ARGUMENT, "%s must have at least 2 dims, got shape %s", name,
        SHAPE_TEXT(t));
  CHECK(t->sizes[t->ndim - 1] <= INT_MAX / 8 && t->sizes[t->ndim - 2] <= INT_MAX / 8,
        LP_ERR_ARGUMENT, "%s (shape %s) is too large for LAPACK", name, SHAPE_TEXT(t));
  return true;
}

LpBatch lp_batch_of(const LpTensor *t) {
  LpBatch b = {
      .count = 1, .m = (int)t->sizes[t->ndim - 2], .n = (int)t->sizes[t->ndim - 1]};
  for (int d = 0; d < t->ndim - 2; d++) b.count *= t->sizes[d];
  b.matrix_bytes = (size_t)b.m * (size_t)b.n * lp_dtype_size(t->dtype);
  return b;
}

LpTensor *lp_linalg_copy(LpTensor *t) {
  LpTensor *copy = lp_tensor_new(lp_sizes(t), t->dtype, t->storage->device);
  if (!copy || lp_copy_into(copy, t)) return copy;
  lp_tensor_release(copy);
  return NULL;
}

LpTensor *lp_linalg_new(const LpTensor *t, const int64_t *tail, int tail_ndim,
                        LpDtype dtype) {
  int64_t sizes[LP_MAX_DIMS];
  int ndim = t->ndim - 2;
  for (int d = 0; d < ndim; d++) sizes[d] = t->sizes[d];
  for (int i = 0; i < tail_ndim; i++) sizes[ndim + i] = tail[i];
  return lp_tensor_new(lp_ints(sizes, ndim + tail_ndim), dtype, t->storage->device);
}

#define TILE 64 /* rows and columns that are turned over together */

typedef struct Turn {
  LpTransposeTile tile;
  int64_t item, src_step, dst_step, m, n;
  const char *src;
  char *dst;
} Turn;

/* Bands of TILE rows of dst. */
static void turn_bands(void *ctx, int64_t begin, int64_t end) {
  const Turn *t = ctx;
  for (int64_t j = begin * TILE; j < end * TILE && j < t->n; j += TILE)
    for (int64_t i = 0; i < t->m; i += TILE)
      t->tile(t->dst + (j * t->dst_step + i) * t->item, t->dst_step,
              t->src + (i * t->src_step + j) * t->item, t->src_step,
              t->m - i < TILE ? t->m - i : TILE, t->n - j < TILE ? t->n - j : TILE);
}

void lp_linalg_turn_part(size_t item, const char *src, int64_t src_step, int m, int n,
                         char *dst, int64_t dst_step) {
  Turn t = {.tile = lp_copy_kernels()->transpose[__builtin_ctzl(item)],
            .item = (int64_t)item,
            .src_step = src_step,
            .dst_step = dst_step,
            .m = m,
            .n = n,
            .src = src,
            .dst = dst};
  lp_parallel_for((n + TILE - 1) / TILE, LP_GRAIN / ((int64_t)m * TILE + 1) + 1,
                  turn_bands, &t);
}

void lp_linalg_turn(size_t item, const char *src, int m, int n, char *dst) {
  lp_linalg_turn_part(item, src, n, m, n, dst, m);
}

LpTensor *lp_linalg_deliver(LpTensor *out, LpTensor *result) {
  if (!result || !out) return result;
  bool ok = lp_can_cast(result->dtype, out->dtype) ||
            lp_fail(LP_ERR_TYPE, "out has dtype %s, which cannot hold a result of %s",
                    lp_dtype_name(out->dtype), lp_dtype_name(result->dtype));
  ok = ok && lp_tensor_resize_out(out, lp_sizes(result)) && lp_copy_into(out, result);
  lp_tensor_release(result);
  return ok ? lp_tensor_retain(out) : NULL;
}

const char *lp_batch_text(const LpTensor *t, int64_t i, char *buf, size_t buf_bytes) {
  buf[0] = 0;
  if (t->ndim > 2) snprintf(buf, buf_bytes, "(Batch element %lld): ", (long long)i);
  return buf;
}

/* Pivots of one matrix after another. */
typedef struct Pivots {
  int *data;
  size_t bytes;
} Pivots;

static bool new_pivots(Pivots *p, int n) {
  p->bytes = (size_t)(n > 0 ? n : 1) * sizeof(int);
  p->data = lp_alloc(p->bytes);
  return p->data != NULL;
}

static LpTensor *owned_if(bool ok, LpTensor *t) {
  if (ok) return t;
  lp_tensor_release(t);
  return NULL;
}

/* --- inverse
 * --------------------------------------------------------------------------------------
 */

/* Runs g; codes go to `info` or, when that is NULL, the first singular matrix (*failed)
 * ends it with its code. */
static int run_small(LpSmallLu *g, int *info, int64_t *failed) {
  const size_t bytes = (size_t)(g->count + 1) * sizeof *info;
  int code = 0;
  g->info = info ? info : lp_alloc(bytes);
  if (!g->info) return LP_LAPACK_NO_MEMORY;
  lp_small_lu(g);
  if (info) return 0;
  for (int64_t i = 0; code == 0 && i < g->count; i++) code = g->info[ *failed = i];
  lp_free(g->info, bytes);
  return code;
}

typedef struct Inversion {
  LpTensor *a;
  LpBatch b;
  int *info;
} Inversion;

static int invert(void *ctx, int64_t i, char *scratch) {
  const Inversion *v = ctx;
  char *matrix = lp_data(v->a) + (size_t)i * v->b.matrix_bytes;
  int code = lp_lapack_lu(v->a->dtype, v->b.n, v->b.n, matrix, (int *)scratch);
  if (code == 0 || v->info) {
    int second = lp_lapack_lu_invert(v->a->dtype, v->b.n, matrix, (int *)scratch);
    if (second == LP_LAPACK_NO_MEMORY || code == 0) code = second;
  }
  if (code == LP_LAPACK_NO_MEMORY || !v->info) return code;
  v->info[i] = code;
  return 0;
}

/* info NULL: a singular matrix is an error; else LAPACK's codes go there and the rest
 * goes on. */
static LpTensor *inverse(LpTensor *A, int *info) {
  LpBatch b = lp_batch_of(A);
  bool small = lp_small_lu_takes(A->dtype, b.n, b.n);
  LpTensor *result =
      small ? lp_linalg_new(A, (int64_t[]){b.n, b.n}, 2, A->dtype) : lp_linalg_copy(A);
  LpTensor *dense = small && result ? lp_contiguous_raw(A) : NULL;
  if (!result || (small && !dense)) return owned_if(false, result);
  int64_t i = 0;
  char text[64];
  int code =
      b.n == 0 ? 0
      : small  ? run_small(&(LpSmallLu){.dtype = A->dtype,
                                        .n = b.n,
                                        .n_rhs = b.n,
                                        .count = b.count,
                                        .a = lp_data(dense),
                                        .x = lp_data(result),
                                        .left = true,
                                        .identity = true},
                           info, &i)
               : lp_linalg_each(&(LpMatrixLoop){.count = b.count,
                                                .flops = 2.0 * b.n * b.n * b.n,
                                                .scratch_bytes = (size_t)b.n * sizeof(int),
                                                .step = invert,
                                                .ctx = &(Inversion){result, b, info}},
                                &i);
  lp_tensor_release(dense);
  if (code > 0)
    lp_fail(LP_ERR_LINALG,
            "%sThe diagonal element %d is zero, the inversion could not be "
            "completed because the input "
            "matrix is singular.",
            lp_batch_text(A, i, text, sizeof text), code);
  return owned_if(code == 0, result);
}

LpTensor *lp_impl_linalg_inv(LpTensor *out, LpTensor *A) {
  TRY(lp_check_matrix(A, "A"));
  TRY(lp_check_square(A, "A"));
  return lp_linalg_deliver(out, inverse(A, NULL));
}

LpTensor *lp_linalg_new_info(const LpTensor *t) {
  int64_t sizes[LP_MAX_DIMS];
  for (int d = 0; d < t->ndim - 2; d++) sizes[d] = t->sizes[d];
  return lp_new_zeros_raw(lp_ints(sizes, t->ndim - 2), LP_INT32, lp_cpu());
}

bool lp_linalg_finish(bool ok, LpTensor **results, int n) {
  for (int i = 0; !ok && i < n; i++) {
    lp_tensor_release(results[i]);
    results[i] = NULL;
  }
  return ok;
}

bool lp_impl_linalg_inv_ex(LpTensor **outs, LpTensor *A, bool check_errors,
                           LpTensor **results) {
  TRY(lp_check_matrix(A, "A"));
  TRY(lp_check_square(A, "A"));
  results[1] = lp_linalg_new_info(A);
  if (!results[1]) return false;
  results[0] = inverse(A, check_errors ? NULL : (int *)lp_data(results[1]));
  return lp_linalg_finish(results[0] != NULL, results, 2) &&
         lp_give_all(outs, results, 2);
}

/* --- determinants
 * ---------------------------------------------------------------------------------- */

static double complex element(LpDtype dtype, const void *p, size_t i) {
  switch (dtype) {
  case LP_FLOAT32: return ((const float *)p)[i];
  case LP_FLOAT64: return ((const double *)p)[i];
  case LP_COMPLEX64: return ((const float complex *)p)[i];
  default: return ((const double complex *)p)[i];
  }
}

static void put(LpDtype dtype, void *p, size_t i, double complex v) {
  switch (dtype) {
  case LP_FLOAT32: ((float *)p)[i] = (float)creal(v); break;
  case LP_FLOAT64: ((double *)p)[i] = creal(v); break;
  case LP_COMPLEX64: ((float complex *)p)[i] = (float complex)v; break;
  default: ((double complex *)p)[i] = v;
  }
}

/* The determinant as sign (of modulus 1, or 0) and logarithm of the modulus; or as a
 * product. */
typedef struct Determinants {
  LpTensor *a;
  LpBatch b;
  int *pivots; /* NULL: a is still to be factored */
  LpTensor *det, *sign, *logabs;
} Determinants;

static int determinant(void *ctx, int64_t i, char *scratch) {
  const Determinants *d = ctx;
  const LpDtype dtype = d->a->dtype;
  const size_t n = (size_t)d->b.n;
  char *matrix = lp_data(d->a) + (size_t)i * d->b.matrix_bytes;
  int *pivots = d->pivots ? d->pivots + (size_t)i * n : (int *)scratch;
  if (!d->pivots && n > 0) lp_lapack_lu(dtype, d->b.n, d->b.n, matrix, pivots);
  const bool is_complex = lp_dtype_is_complex(dtype);
  double complex unit = 1;
  double product = 1, log_sum = 0;
  for (size_t k = 0; k < n; k++) {
    const double complex pivot = element(dtype, matrix, k * n + k);
    const double size = is_complex ? cabs(pivot) : fabs(creal(pivot));
    if (pivots[k] != (int)k + 1) unit = -unit;
    if (d->det && !is_complex) {
      product *= creal(pivot);
    } else if (d->det) {
      unit *= pivot;
    } else {
      unit *= size > 0 ? pivot / size : 0 * pivot;
      log_sum += log(size);
    }
  }
  if (d->det) put(dtype, lp_data(d->det), (size_t)i, is_complex ? unit : unit * product);
  if (d->sign) put(dtype, lp_data(d->sign), (size_t)i, unit);
  if (d->logabs) put(d->logabs->dtype, lp_data(d->logabs), (size_t)i, log_sum);
  return 0;
}

static bool determinants(LpTensor *A, LpTensor *det, LpTensor *sign, LpTensor *logabs) {
  Determinants d = {.b = lp_batch_of(A), .det = det, .sign = sign, .logabs = logabs};
  const int64_t n = d.b.n, count = d.b.count;
  const bool small = lp_small_lu_takes(A->dtype, n, 0);
  const size_t pivots_bytes = small ? (size_t)(count * n + 1) * sizeof(int) : 0;
  LpTensor *dense = small ? lp_contiguous_raw(A) : NULL;
  d.a = !small  ? lp_linalg_copy(A)
        : dense ? lp_linalg_new(A, (int64_t[]){n, n}, 2, A->dtype)
                : NULL;
  d.pivots = small && d.a ? lp_alloc(pivots_bytes) : NULL;
  bool ok = d.a && (!small || d.pivots);
  if (ok && small && n > 0)
    lp_small_lu(&(LpSmallLu){.dtype = A->dtype,
                             .n = d.b.n,
                             .count = count,
                             .a = lp_data(dense),
                             .lu = lp_data(d.a),
                             .pivots = d.pivots,
                             .left = true});
  int64_t failed;
  double size = (double)n;
  ok = ok &&
       lp_linalg_each(&(LpMatrixLoop){.count = count,
                                      .flops = small ? 20 * size : size * size * size,
                                      .scratch_bytes = (size_t)(n + 1) * sizeof(int),
                                      .step = determinant,
                                      .ctx = &d},
                      &failed) == 0;
  lp_free(d.pivots, pivots_bytes);
  lp_tensor_release(dense);
  lp_tensor_release(d.a);
  return ok;
}

LpTensor *lp_impl_linalg_det(LpTensor *out, LpTensor *A) {
  TRY(lp_check_matrix(A, "A"));
  TRY(lp_check_square(A, "A"));
  LpTensor *det = lp_linalg_new(A, NULL, 0, A->dtype);
  return det ? lp_linalg_deliver(out, owned_if(determinants(A, det, NULL, NULL), det))
             : NULL;
}

bool lp_impl_linalg_slogdet(LpTensor **outs, LpTensor *A, LpTensor **results) {
  TRY(lp_check_matrix(A, "A"));
  TRY(lp_check_square(A, "A"));
  LpTensor *sign = lp_linalg_new(A, NULL, 0, A->dtype);
  LpTensor *logabs = sign ? lp_linalg_new(A, NULL, 0, lp_dtype_to_real(A->dtype)) : NULL;
  if (!logabs || !determinants(A, NULL, sign, logabs)) {
    lp_tensor_release(sign);
    lp_tensor_release(logabs);
    return false;
  }
  results[0] = sign;
  results[1] = logabs;
  return lp_give_all(outs, results, 2);
}

/* --- solve
 * ------------------------------------------------------------------------------------------
 */

/* B holds vectors, one per matrix of A. */
bool lp_solve_by_vectors(LpInts a, LpInts b) {
  if (b.count == 1) return true;
  if (b.count != a.count - 1) return false;
  for (int64_t d = 0; d < b.count; d++)
    if (b.data[d] != a.data[d]) return false;
  return true;
}

typedef struct Systems {
  LpTensor *a, *x;
  LpBatch ba, bx;
  bool left, turn;
  int n_rhs, *info;
} Systems;

static int solve_one(void *ctx, int64_t i, char *scratch) {
  const Systems *s = ctx;
  const LpDtype dtype = s->a->dtype;
  const size_t item = lp_dtype_size(dtype);
  char *matrix = lp_data(s->a) + (size_t)i * s->ba.matrix_bytes;
  char *rhs = lp_data(s->x) + (size_t)i * s->bx.matrix_bytes;
  int *pivots = (int *)(scratch + (s->turn ? s->bx.matrix_bytes : 0));
  int info = lp_lapack_lu(dtype, s->ba.n, s->ba.n, matrix, pivots);
  if (s->info)
    s->info[i] = info;
  else if (info > 0)
    return info;
  if (s->turn) lp_linalg_turn(item, rhs, s->bx.m, s->bx.n, scratch);
  lp_lapack_lu_solve(dtype, s->left ? 'T' : 'N', s->ba.n, s->n_rhs, matrix, pivots,
                     s->turn ? scratch : rhs);
  if (s->turn) lp_linalg_turn(item, scratch, s->bx.n, s->bx.m, rhs);
  return 0;
}

/* a may be destroyed. */
static bool solve_all(LpTensor *a, LpTensor *x, bool left, int *info) {
  Systems s = {.a = a,
               .x = x,
               .ba = lp_batch_of(a),
               .bx = lp_batch_of(x),
               .left = left,
               .info = info};
  if (x->numel == 0) return true;
  const int n = s.ba.n;
  s.n_rhs = left ? s.bx.n : s.bx.m;
  s.turn = left && s.n_rhs > 1;
  int64_t i = 0;
  char text[64];
  int code =
      lp_small_lu_takes(a->dtype, n, s.n_rhs)
          ? run_small(&(LpSmallLu){.dtype = a->dtype,
                                   .n = n,
                                   .n_rhs = s.n_rhs,
                                   .count = s.ba.count,
                                   .a = lp_data(a),
                                   .x = lp_data(x),
                                   .left = left},
                      info, &i)
          : lp_linalg_each(&(LpMatrixLoop){.count = s.ba.count,
                                           .flops = (double)n * n * (n + 2.0 * s.n_rhs),
                                           .scratch_bytes = s.bx.matrix_bytes +
                                                            (size_t)n * sizeof(int),
                                           .step = solve_one,
                                           .ctx = &s},
                           &i);
  if (code > 0)
    lp_fail(LP_ERR_LINALG, "%sThe solver failed because the input matrix is singular.",
            lp_batch_text(a, i, text, sizeof text));
  return code == 0;
}

/* a expanded to the batch, with its last two dims. */
static LpTensor *expanded_copy(LpTensor *a, const int64_t *batch, int64_t batch_ndim) {
  int64_t sizes[LP_MAX_DIMS];
  for (int64_t d = 0; d < batch_ndim; d++) sizes[d] = batch[d];
  sizes[batch_ndim] = a->sizes[a->ndim - 2];
  sizes[batch_ndim + 1] = a->sizes[a->ndim - 1];
  LpTensor *wide = lp_expand_alias(a, lp_ints(sizes, batch_ndim + 2));
  LpTensor *copy = wide ? lp_linalg_copy(wide) : NULL;
  lp_tensor_release(wide);
  return copy;
}

static bool check_same_dtype(const LpTensor *A, const LpTensor *B) {
  CHECK(A->dtype == B->dtype, LP_ERR_TYPE,
        "A and B must have the same dtype, got %s and %s", lp_dtype_name(A->dtype),
        lp_dtype_name(B->dtype));
  return true;
}

/* *info NULL: errors are raised; else it becomes a tensor of codes. */
static LpTensor *solve(LpTensor *A, LpTensor *B, bool left, LpTensor **info) {
  TRY(lp_check_matrix(A, "A"));
  TRY(lp_check_square(A, "A"));
  TRY(lp_check_lapack(B, "B"));
  TRY(check_same_dtype(A, B));
  CHECK(B->ndim >= 1, LP_ERR_ARGUMENT, "B must have at least 1 dim, got a 0-d tensor");
  bool vectors = lp_solve_by_vectors(lp_sizes(A), lp_sizes(B));
  CHECK(left || !vectors, LP_ERR_ARGUMENT,
        "left = false needs matrices in B, got shape %s", SHAPE_TEXT(B));
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS];
  for (int d = 0; d < B->ndim; d++) sizes[d] = B->sizes[d], strides[d] = B->strides[d];
  if (vectors) sizes[B->ndim] = 1, strides[B->ndim] = 1;
  LpTensor *b = lp_tensor_alias(B, lp_ints(sizes, B->ndim + vectors),
                                lp_ints(strides, B->ndim + vectors), B->offset_elems);
  if (!b) return NULL;
  int64_t n = A->sizes[A->ndim - 1], matched = b->sizes[left ? b->ndim - 2 : b->ndim - 1];
  int64_t batch[LP_MAX_DIMS], batch_ndim;
  LpInts shapes[2] = {lp_ints(A->sizes, A->ndim - 2), lp_ints(b->sizes, b->ndim - 2)};
  bool ok =
      matched == n ||
      lp_fail(LP_ERR_ARGUMENT,
              "A (shape %s) and B (shape %s) do not fit: B must have %lld %s",
              SHAPE_TEXT(A), SHAPE_TEXT(B), (long long)n, left ? "rows" : "columns");
  ok = ok && lp_broadcast_shapes(shapes, 2, batch, &batch_ndim);
  LpTensor *a = ok ? expanded_copy(A, batch, batch_ndim) : NULL;
  LpTensor *x = a ? expanded_copy(b, batch, batch_ndim) : NULL;
  if (x && info) *info = lp_linalg_new_info(a);
  ok =
      x && (!info || *info) && solve_all(a, x, left, info ? (int *)lp_data(*info) : NULL);
  if (ok && vectors)
    ok = lp_tensor_set_geometry(x, lp_ints(x->sizes, x->ndim - 1),
                                lp_ints(x->strides, x->ndim - 1), 0);
  lp_tensor_release(a);
  lp_tensor_release(b);
  return owned_if(ok, x);
}

LpTensor *lp_impl_linalg_solve(LpTensor *out, LpTensor *A, LpTensor *B, bool left) {
  return lp_linalg_deliver(out, solve(A, B, left, NULL));
}

bool lp_impl_linalg_solve_ex(LpTensor **outs, LpTensor *A, LpTensor *B, bool left,
                             bool check_errors, LpTensor **results) {
  results[0] = results[1] = NULL;
  results[0] = solve(A, B, left, check_errors ? NULL : &results[1]);
  if (results[0] && check_errors) {
    int64_t sizes[LP_MAX_DIMS], ndim;
    LpInts shapes[2] = {lp_ints(A->sizes, A->ndim - 2), lp_ints(A->sizes, A->ndim - 2)};
    results[1] = lp_broadcast_shapes(shapes, 2, sizes, &ndim)
                     ? lp_new_zeros_raw(lp_ints(sizes, ndim), LP_INT32, lp_cpu())
                     : NULL;
  }
  return lp_linalg_finish(results[0] && results[1], results, 2) &&
         lp_give_all(outs, results, 2);
}

/* --- LU factors
 * --------------------------------------------------------------------------------------
 */

typedef struct Factoring {
  LpTensor *lu, *pivots;
  LpBatch b;
  int64_t k;
  int *info;
} Factoring;

static int factor_one(void *ctx, int64_t i, char *columns) {
  const Factoring *f = ctx;
  const LpDtype dtype = f->lu->dtype;
  char *matrix = lp_data(f->lu) + (size_t)i * f->b.matrix_bytes;
  lp_linalg_turn(lp_dtype_size(dtype), matrix, f->b.m, f->b.n, columns);
  int code =
      lp_lapack_lu(dtype, f->b.m, f->b.n, columns, (int *)lp_data(f->pivots) + i * f->k);
  if (f->info) f->info[i] = code;
  lp_linalg_turn(lp_dtype_size(dtype), columns, f->b.n, f->b.m, matrix);
  return 0;
}

static bool factor(LpTensor *A, bool pivot, int *info, LpTensor **results) {
  TRY(lp_check_matrix(A, "A"));
  CHECK(pivot, LP_ERR_ARGUMENT, "pivot = false is possible on CUDA only");
  LpBatch b = lp_batch_of(A);
  int64_t k = b.m < b.n ? b.m : b.n;
  Factoring f = {.lu = lp_linalg_copy(A), .b = b, .k = k, .info = info};
  f.pivots = f.lu ? lp_linalg_new(A, &k, 1, LP_INT32) : NULL;
  int64_t failed;
  bool ok = f.pivots;
  if (ok && k > 0 && b.m == b.n && lp_small_lu_takes(A->dtype, k, 0))
    lp_small_lu(&(LpSmallLu){.dtype = A->dtype,
                             .n = b.n,
                             .count = b.count,
                             .a = lp_data(f.lu),
                             .lu = lp_data(f.lu),
                             .pivots = (int *)lp_data(f.pivots),
                             .info = info,
                             .left = true});
  else if (ok && k > 0)
    ok = lp_linalg_each(&(LpMatrixLoop){.count = b.count,
                                        .flops = (double)b.m * b.n * (double)k,
                                        .scratch_bytes = b.matrix_bytes,
                                        .step = factor_one,
                                        .ctx = &f},
                        &failed) == 0;
  results[0] = f.lu;
  results[1] = f.pivots;
  return lp_linalg_finish(ok, results, 2);
}

bool lp_impl_linalg_lu_factor(LpTensor **outs, LpTensor *A, bool pivot,
                              LpTensor **results) {
  return factor(A, pivot, NULL, results) && lp_give_all(outs, results, 2);
}

bool lp_impl_linalg_lu_factor_ex(LpTensor **outs, LpTensor *A, bool pivot,
                                 bool check_errors, LpTensor **results) {
  TRY(lp_check_matrix(A, "A"));
  LpTensor *info = lp_linalg_new_info(A);
  if (!info || !factor(A, pivot, (int *)lp_data(info), results)) {
    lp_tensor_release(info);
    return false;
  }
  results[2] = info;
  char text[64];
  for (int64_t i = 0; check_errors && i < info->numel; i++) {
    int code = ((const int *)lp_data(info))[i];
    if (code <= 0) continue;
    lp_fail(LP_ERR_LINALG,
            "%sU[%d, %d] is zero and using it on lu_solve would result in a division by "
            "zero.",
            lp_batch_text(A, i, text, sizeof text), code, code);
    return lp_linalg_finish(false, results, 3);
  }
  return lp_give_all(outs, results, 3);
}

/* The row order that pivots stand for, as a matrix P with A = P L U. */
LpTensor *lp_impl_lu_permutation(LpTensor *pivots, int64_t m, LpDtype dtype) {
  LpTensor *contiguous = lp_contiguous_raw(pivots);
  if (!contiguous) return NULL;
  int64_t k = pivots->sizes[pivots->ndim - 1], count = k ? pivots->numel / k : 0,
          sizes[LP_MAX_DIMS];
  for (int d = 0; d < pivots->ndim - 1; d++) sizes[d] = pivots->sizes[d];
  sizes[pivots->ndim - 1] = sizes[pivots->ndim] = m;
  LpTensor *p =
      lp_new_zeros_raw(lp_ints(sizes, pivots->ndim + 1), dtype, pivots->storage->device);
  Pivots rows;
  if (p && !new_pivots(&rows, (int)m)) {
    lp_tensor_release(p);
    p = NULL;
  }
  if (p) {
    if (!k) count = m ? p->numel / (m * m) : 0;
    const size_t item = lp_dtype_size(dtype);
    bool ok = true;
    for (int64_t i = 0; ok && i < count; i++) {
      const int *swap = (const int *)lp_data(contiguous) + i * k;
      for (int r = 0; r < m; r++) rows.data[r] = r;
      for (int r = 0; ok && r < k; r++) {
        int other = swap[r] - 1, saved = rows.data[r];
        ok = other >= 0 && other < m;
        if (!ok) {
          lp_fail(LP_ERR_ARGUMENT, "pivots must be in [1, %lld], got %d", (long long)m,
                  swap[r]);
          break;
        }
        rows.data[r] = rows.data[other];
        rows.data[other] = saved;
      }
      for (int r = 0; ok && r < m; r++)
        lp_scalar_store(lp_scalar_int(1), dtype,
                        lp_data(p) + (size_t)(i * m * m + rows.data[r] * m + r) * item);
    }
    lp_free(rows.data, rows.bytes);
    if (!ok) {
      lp_tensor_release(p);
      p = NULL;
    }
  }
  lp_tensor_release(contiguous);
  return p;
}

/* --- triangular systems
 * -------------------------------------------------------------------------------- */

typedef struct Triangles {
  LpTensor *a, *x;
  LpBatch ba, bx;
  bool left, upper, unit, turned; /* turned: a is the transpose */
} Triangles;

/* a expanded to the batch as its memory is, row by row or, *turned, column by column; a
 * copy where it is neither. */
static LpTensor *expanded_rows(LpTensor *a, const int64_t *batch, int64_t batch_ndim,
                               bool *turned) {
  int64_t sizes[LP_MAX_DIMS], strides[LP_MAX_DIMS];
  const int64_t ndim = batch_ndim + 2;
  for (int64_t d = 0; d < batch_ndim; d++) sizes[d] = batch[d];
  for (int64_t d = 1; d <= 2; d++) sizes[ndim - d] = a->sizes[a->ndim - d];
  LpTensor *wide = lp_expand_alias(a, lp_ints(sizes, ndim));
  *turned = false;
  if (!wide || wide->is_contiguous) return wide;
  for (int64_t d = 0; d < ndim; d++) strides[d] = wide->strides[d];
  for (int64_t d = 1; d <= 2; d++) {
    sizes[ndim - d] = a->sizes[a->ndim - 3 + d];
    strides[ndim - d] = wide->strides[ndim - 3 + d];
  }
  LpTensor *result = lp_tensor_alias(wide, lp_ints(sizes, ndim), lp_ints(strides, ndim),
                                     wide->offset_elems);
  *turned = result && result->is_contiguous;
  if (result && !*turned) {
    lp_tensor_release(result);
    result = lp_linalg_copy(wide);
  }
  lp_tensor_release(wide);
  return result;
}

static int solve_triangle(void *ctx, int64_t i, char *scratch) {
  (void)scratch;
  const Triangles *t = ctx;
  lp_blas_triangular_solve(t->a->dtype, t->left, t->turned ? !t->upper : t->upper,
                           t->turned ? 'T' : 'N', t->unit, t->bx.m, t->bx.n,
                           lp_data(t->a) + (size_t)i * t->ba.matrix_bytes, t->ba.n,
                           lp_data(t->x) + (size_t)i * t->bx.matrix_bytes, t->bx.n);
  return 0;
}

LpTensor *lp_impl_linalg_solve_triangular(LpTensor *out, LpTensor *A, LpTensor *B,
                                          bool upper, bool left, bool unitriangular) {
  TRY(lp_check_matrix(A, "A"));
  TRY(lp_check_square(A, "A"));
  TRY(lp_check_matrix(B, "B"));
  TRY(check_same_dtype(A, B));
  int64_t n = A->sizes[A->ndim - 1];
  CHECK(B->sizes[left ? B->ndim - 2 : B->ndim - 1] == n, LP_ERR_ARGUMENT,
        "A (shape %s) and B (shape %s) do not fit: B must have %lld %s", SHAPE_TEXT(A),
        SHAPE_TEXT(B), (long long)n, left ? "rows" : "columns");
  int64_t batch[LP_MAX_DIMS], batch_ndim;
  LpInts shapes[2] = {lp_ints(A->sizes, A->ndim - 2), lp_ints(B->sizes, B->ndim - 2)};
  TRY(lp_broadcast_shapes(shapes, 2, batch, &batch_ndim));
  bool turned;
  LpTensor *a = expanded_rows(A, batch, batch_ndim, &turned),
           *x = a ? expanded_copy(B, batch, batch_ndim) : NULL;
  if (x && x->numel) {
    Triangles t = {a,    x,     lp_batch_of(a), lp_batch_of(x),
                   left, upper, unitriangular,  turned};
    int64_t failed;
    lp_linalg_each(
        &(LpMatrixLoop){.count = t.bx.count,
                        .flops = (double)x->numel / (double)t.bx.count * (double)n,
                        .step = solve_triangle,
                        .ctx = &t},
        &failed);
  }
  lp_tensor_release(a);
  return lp_linalg_deliver(out, x);
}
