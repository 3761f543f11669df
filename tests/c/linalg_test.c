/* Decompositions put together again, over dtypes and batches; errors of singular input.
 */
#include "core/tensor.h"
#include "lampad/ops.h"
#include "test.h"

static const LpDtype dtypes[] = {LP_FLOAT32, LP_FLOAT64, LP_COMPLEX64, LP_COMPLEX128};

static LpTensor *normals(const int64_t *sizes, int ndim, LpDtype dtype) {
  return lp_randn(lp_ints(sizes, ndim), NULL, dtype, lp_cpu(), false);
}

/* |a - b| is small against |b|. Releases a. */
static void expect_close(LpTensor *a, LpTensor *b, const char *what) {
  bool same = false;
  double tolerance = b->dtype == LP_FLOAT32 || b->dtype == LP_COMPLEX64 ? 2e-4 : 1e-10;
  if (!a || !lp_allclose(a, b, tolerance, tolerance, false, &same) || !same)
    test_failure(__FILE__, __LINE__, "%s: %s differs", lp_dtype_name(b->dtype), what);
  lp_tensor_release(a);
}

static LpTensor *times(LpTensor *a, LpTensor *b) {
  return a && b ? lp_matmul(a, b) : NULL;
}

static void release_all(LpTensor **t, int n) {
  for (int i = 0; i < n; i++) lp_tensor_release(t[i]);
}

/* u diag(s) v */
static LpTensor *joined(LpTensor *u, LpTensor *s, LpTensor *v) {
  LpTensor *row = lp_unsqueeze(s, -2), *scaled = lp_mul(u, row),
           *result = times(scaled, v);
  lp_tensor_release(row);
  lp_tensor_release(scaled);
  return result;
}

TEST(linalg_decompositions_reassemble) {
  static const int64_t shapes[][3] = {{2, 4, 4}, {3, 5, 3}, {2, 3, 5}};
  for (size_t d = 0; d < 4; d++)
    for (size_t k = 0; k < 3; k++) {
      LpTensor *a = normals(shapes[k], 3, dtypes[d]), *parts[3];
      if (lp_linalg_qr(a, "reduced", parts)) {
        expect_close(times(parts[0], parts[1]), a, "Q R");
        release_all(parts, 2);
      }
      for (int full = 0; full < 2; full++) {
        if (!lp_linalg_svd(a, full, parts)) continue;
        int64_t small = parts[1]->sizes[1];
        LpTensor *u = lp_narrow(parts[0], -1, 0, small),
                 *v = lp_narrow(parts[2], -2, 0, small);
        expect_close(joined(u, parts[1], v), a, "U S Vh");
        lp_tensor_release(u);
        lp_tensor_release(v);
        release_all(parts, 3);
      }
      if (lp_linalg_lu(a, true, parts)) {
        LpTensor *lu = times(parts[1], parts[2]);
        expect_close(times(parts[0], lu), a, "P L U");
        lp_tensor_release(lu);
        release_all(parts, 3);
      }
      lp_tensor_release(a);
    }
}

TEST(linalg_hermitian) {
  for (size_t d = 0; d < 4; d++) {
    LpTensor *x = normals((int64_t[]){2, 4, 6}, 3, dtypes[d]),
             *turned = lp_mat_adjoint(x), *a = times(x, turned), *parts[2];
    LpTensor *lower = lp_linalg_cholesky(a, false), *upper = lp_linalg_cholesky(a, true);
    LpTensor *lower_turned = lp_mat_adjoint(lower), *upper_turned = lp_mat_adjoint(upper);
    expect_close(times(lower, lower_turned), a, "L L^H");
    expect_close(times(upper_turned, upper), a, "U^H U");
    if (lp_linalg_eigh(a, "L", parts)) {
      LpTensor *v = lp_mat_adjoint(parts[1]);
      expect_close(joined(parts[1], parts[0], v), a, "V diag(w) V^H");
      lp_tensor_release(v);
      release_all(parts, 2);
    }
    LpTensor *all[] = {x, turned, a, lower, upper, lower_turned, upper_turned};
    release_all(all, 7);
  }
}

TEST(linalg_systems) {
  for (size_t d = 0; d < 4; d++) {
    LpTensor *a = normals((int64_t[]){3, 4, 4}, 3, dtypes[d]),
             *b = normals((int64_t[]){4, 2}, 2, dtypes[d]);
    LpTensor *wide = lp_expand(b, lp_ints((int64_t[]){3, 4, 2}, 3));
    LpTensor *x = lp_linalg_solve(a, b, true), *inverse = lp_linalg_inv(a),
             *product = times(inverse, a);
    LpTensor *one = lp_eye(4, dtypes[d], lp_cpu(), false),
             *ones = lp_expand(one, lp_sizes(a));
    expect_close(times(a, x), wide, "A X");
    expect_close(lp_clone(product, LP_FORMAT_NONE), ones, "inverse");
    LpTensor *all[] = {a, b, wide, x, inverse, product, one, ones};
    release_all(all, 8);
  }
}

TEST(linalg_eigenvectors) {
  for (size_t d = 0; d < 4; d++) {
    LpTensor *a = normals((int64_t[]){2, 5, 5}, 3, dtypes[d]), *parts[2];
    LpDtype wide = lp_dtype_to_complex(dtypes[d]);
    LpTensor *c = lp_to_copy(a, wide, lp_cpu(), LP_FORMAT_NONE);
    if (lp_linalg_eig(a, parts)) {
      LpTensor *row = lp_unsqueeze(parts[0], -2), *scaled = lp_mul(parts[1], row);
      expect_close(times(c, parts[1]), scaled, "A V");
      lp_tensor_release(row);
      lp_tensor_release(scaled);
      release_all(parts, 2);
    }
    lp_tensor_release(a);
    lp_tensor_release(c);
  }
}

TEST(linalg_errors) {
  LpTensor *zero =
      lp_zeros(lp_ints((int64_t[]){2, 3, 3}, 3), LP_FLOAT32, lp_cpu(), false);
  LpTensor *tall = lp_zeros(lp_ints((int64_t[]){3, 2}, 2), LP_FLOAT32, lp_cpu(), false);
  LpTensor *ints = lp_zeros(lp_ints((int64_t[]){3, 3}, 2), LP_INT64, lp_cpu(), false);
  EXPECT_FAILS(lp_linalg_inv(zero) != NULL, LP_ERR_LINALG,
               "(Batch element 0): The diagonal element 1 is zero");
  EXPECT_FAILS(lp_linalg_cholesky(zero, false) != NULL, LP_ERR_LINALG,
               "not positive-definite");
  EXPECT_FAILS(lp_linalg_inv(tall) != NULL, LP_ERR_ARGUMENT, "square");
  EXPECT_FAILS(lp_linalg_det(ints) != NULL, LP_ERR_TYPE, "float32");
  EXPECT_FAILS(lp_linalg_solve(zero, zero, true) != NULL, LP_ERR_LINALG, "singular");
  LpTensor *all[] = {zero, tall, ints};
  release_all(all, 3);
}
