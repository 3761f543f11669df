/* Pooling, normalisation, losses and optimizer steps on numbers worked out by hand. */
#include "core/parallel.h"
#include "core/tensor.h"
#include "lampad/ops.h"
#include "test.h"

static LpTensor *floats(const float *values, const int64_t *sizes, int64_t ndim) {
  LpTensor *t = lp_tensor_new(lp_ints(sizes, ndim), LP_FLOAT32, lp_cpu());
  memcpy(lp_data(t), values, (size_t)lp_numel(t) * sizeof(float));
  return t;
}
static float at(LpTensor *t, int64_t i) {
  return ((float *)lp_data(t))[i];
}

TEST(nn_max_pool_takes_the_first_of_equal_values) {
  /* ties in both orders, and a NaN, which wins */
  const float x[16] = {1, 2, 2, 1, 2, 0, 0, 2, NAN, 1, 5, 5, 1, 1, 5, 5};
  int64_t sizes[4] = {1, 1, 4, 4}, two = 2, one = 1, zero = 0;
  LpTensor *t = floats(x, sizes, 4), *r[2];
  EXPECT(lp_max_pool2d_with_indices(t, lp_ints(&two, 1), lp_ints(&two, 1),
                                    lp_ints(&zero, 1), lp_ints(&one, 1), false, r));
  const int64_t wanted[4] = {1, 2, 8, 10};
  for (int i = 0; i < 4; i++) EXPECT(((int64_t *)lp_data(r[1]))[i] == wanted[i]);
  EXPECT(at(r[0], 0) == 2 && isnan(at(r[0], 2)) && at(r[0], 3) == 5);
  lp_tensor_release(t);
  lp_tensor_release(r[0]);
  lp_tensor_release(r[1]);
}

TEST(nn_batch_norm_moves_the_running_statistics) {
  const float x[4] = {1001, 1003, 1005, 1007}, zero = 0,
              one = 1; /* mean 1004, variance 5, unbiased 20 / 3 */
  int64_t sizes[2] = {4, 1}, vector = 1;
  LpTensor *t = floats(x, sizes, 2), *mean = floats(&zero, &vector, 1),
           *var = floats(&one, &vector, 1);
  uint32_t version = lp_version(mean);
  LpTensor *y = lp_batch_norm(t, mean, var, NULL, NULL, true, 0.1, 1e-12);
  EXPECT(y != NULL);
  EXPECT_NEAR(at(y, 0), -3 / sqrt(5), 1e-5);
  EXPECT_NEAR(at(mean, 0), 100.4, 1e-4);
  EXPECT_NEAR(at(var, 0), 0.9 + 0.1 * 20 / 3, 1e-5);
  EXPECT(lp_version(mean) > version);
  EXPECT_FAILS(lp_batch_norm(t, NULL, NULL, NULL, NULL, false, 0.1, 1e-12),
               LP_ERR_ARGUMENT, "expected 'running_mean'");
  EXPECT_FAILS(lp_batch_norm(t, t, var, NULL, NULL, true, 0.1, 1e-12), LP_ERR_ARGUMENT,
               "expected 'running_mean' of shape [1] (one per channel of the input, [4, "
               "1]), got [4, 1]");
  LpTensor *all[] = {t, mean, var, y};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}

TEST(nn_softmax_does_not_overflow) {
  const float x[6] = {1e4f, 1e4f, -1e4f, 0, -INFINITY, 0};
  int64_t sizes[2] = {2, 3};
  LpTensor *t = floats(x, sizes, 2), *y = lp_softmax(t, 1, LP_DTYPE_NONE);
  EXPECT(y && at(y, 0) == 0.5f && at(y, 2) == 0 && at(y, 3) == 0.5f && at(y, 4) == 0);
  EXPECT_FAILS(lp_softmax(t, 2, LP_DTYPE_NONE), LP_ERR_INDEX, "");
  lp_tensor_release(t);
  lp_tensor_release(y);
}

TEST(nn_cross_entropy_refuses_targets_out_of_range) {
  const float x[6] = {0, 0, 0, 0, 0, 0};
  int64_t sizes[2] = {2, 3}, n = 2, target[2] = {1, 3};
  LpTensor *t = floats(x, sizes, 2),
           *labels = lp_tensor_new(lp_ints(&n, 1), LP_INT64, lp_cpu());
  memcpy(lp_data(labels), target, sizeof target);
  LpOptBool unset = {0};
  EXPECT_FAILS(lp_cross_entropy(t, labels, NULL, unset, -100, unset, "mean", 0),
               LP_ERR_INDEX,
               "target 3 is out of range: expected class indices in [0, 3)");
  EXPECT_FAILS(lp_cross_entropy(t, labels, NULL, unset, -100, unset, "average", 0),
               LP_ERR_ARGUMENT, "'none', 'mean' or 'sum', got 'average'");
  ((int64_t *)lp_data(labels))[1] = -100;
  LpTensor *loss = lp_cross_entropy(t, labels, NULL, unset, -100, unset, "mean", 0);
  EXPECT(loss != NULL);
  EXPECT_NEAR(at(loss, 0), log(3), 1e-6);
  lp_tensor_release(t);
  lp_tensor_release(labels);
  lp_tensor_release(loss);
}

TEST(nn_sgd_step_moves_parameters_and_versions) {
  const float p0[3] = {1, 2, 3}, g0[3] = {1, -1, 0.5f};
  int64_t n = 3;
  LpTensor *p = floats(p0, &n, 1), *g = floats(g0, &n, 1), *m = floats(p0, &n, 1);
  LpTensors ps = {&p, 1}, gs = {&g, 1}, ms = {&m, 1};
  uint32_t version = lp_version(p);
  EXPECT(lp_sgd_step_(ps, gs, ms, 0.1, 0.9, 0, 0, false, false,
                      true)); /* the buffer takes the gradient */
  EXPECT(lp_sgd_step_(ps, gs, ms, 0.1, 0.9, 0, 0, false, false, false));
  EXPECT_NEAR(at(p, 0), 1 - 0.1 - 0.19, 1e-6);
  EXPECT_NEAR(at(m, 1), -1.9, 1e-6);
  EXPECT(lp_version(p) == version + 2);
  int64_t two = 2;
  LpTensor *other = floats(p0, &two, 1);
  gs.data = &other;
  EXPECT_FAILS(lp_sgd_step_(ps, gs, ms, 0.1, 0.9, 0, 0, false, false, false),
               LP_ERR_ARGUMENT,
               "expected grads[0] like its parameter, float32 [3], got float32 [2]");
  LpTensor *all[] = {p, g, m, other};
  for (int i = 0; i < 4; i++) lp_tensor_release(all[i]);
}

TEST(nn_adam_first_step_is_lr_sized) {
  const float p0[2] = {1, 1}, g0[2] = {0.3f, -7}, zeros[2] = {0, 0};
  int64_t n = 2, one = 1;
  LpTensor *p = floats(p0, &n, 1), *g = floats(g0, &n, 1), *m = floats(zeros, &n, 1),
           *v = floats(zeros, &n, 1), *t = floats(zeros, &one, 1);
  LpTensors ps = {&p, 1}, gs = {&g, 1}, ms = {&m, 1}, vs = {&v, 1}, none = {NULL, 0};
  LpTensors ts = {&t, 1};
  EXPECT(lp_adam_step_(ps, gs, ms, vs, none, ts, 0.01, 0.9, 0.999, 1e-8, 0.1, false,
                       false, true));
  EXPECT_NEAR(at(p, 0), 1 - 0.001 - 0.01,
              1e-6); /* decoupled decay, then a step of lr against the sign */
  EXPECT_NEAR(at(p, 1), 1 - 0.001 + 0.01, 1e-6);
  EXPECT_NEAR(at(t, 0), 1, 0);
  EXPECT_FAILS(lp_adam_step_(ps, gs, ms, vs, none, none, 0.01, 0.9, 0.999, 1e-8, 0, false,
                             false, false),
               LP_ERR_ARGUMENT, "expected as many steps as params (1), got 0");
  EXPECT_FAILS(lp_adam_step_(ps, gs, ms, vs, none, gs, 0.01, 0.9, 0.999, 1e-8, 0, false,
                             false, false),
               LP_ERR_ARGUMENT, "expected steps[0] to be one number");
  LpTensor *all[] = {p, g, m, v, t};
  for (int i = 0; i < 5; i++) lp_tensor_release(all[i]);
}

/* The index in the input that a mode gives, -1 where the value stands. */
static int64_t padded_from(const char *mode, int64_t at, int64_t n) {
  if (at >= 0 && at < n) return at;
  switch (mode[0]) {
  case 'r':
    return mode[2] == 'f' ? (at < 0 ? -at : 2 * (n - 1) - at) : at < 0 ? 0 : n - 1;
  case 'c': return mode[1] == 'o' ? -1 : at < 0 ? at + n : at - n;
  }
  return -1;
}

TEST(nn_pads_rows_of_any_length) {
  const LpDtype dtypes[] = {LP_UINT8, LP_FLOAT16, LP_FLOAT32, LP_FLOAT64, LP_COMPLEX128};
  const char *modes[] = {"constant", "reflect", "replicate", "circular"};
  const int threads = lp_num_threads();
  for (int n_threads = 1; n_threads <= 3; n_threads++)
    for (int d = 0; d < 5; d++)
      for (int m = 0; m < 4; m++)
        for (int64_t w = 2; w <= 70; w += w < 20 ? 1 : 7) {
          lp_set_num_threads(n_threads);
          const int64_t h = 3 + w % 5, images = 20000 / (w * h) + 2;
          const int64_t sizes[] = {images, 1, h, w}, pad[] = {1, 0, 0, 2},
                        size = (int64_t)lp_dtype_size(dtypes[d]);
          LpTensor *x = lp_tensor_new(lp_ints(sizes, 4), dtypes[d], lp_cpu());
          unsigned char *bytes = lp_data(x), value[16] = {0};
          for (size_t i = 0; i < lp_storage_bytes(x); i++)
            bytes[i] = (unsigned char)(i * 31 + (i >> 8) * 7);
          lp_scalar_store(lp_scalar_int(3), dtypes[d], value);
          LpTensor *y = lp_pad_nd(x, lp_ints(pad, 4), modes[m], lp_scalar_int(3));
          const char *got = lp_data(y);
          int bad = 0;
          for (int64_t i = 0; i < images; i++)
            for (int64_t r = 0; r < h + 2; r++)
              for (int64_t c = -1; c < w; c++, got += size) {
                const int64_t from_r = padded_from(modes[m], r, h),
                              from_c = padded_from(modes[m], c, w);
                const void *want = from_r < 0 || from_c < 0
                                       ? value
                                       : bytes + ((i * h + from_r) * w + from_c) * size;
                bad += memcmp(got, want, (size_t)size) != 0;
              }
          if (bad)
            test_failure(__FILE__, __LINE__, "%s, %s, rows of %d: %d wrong", modes[m],
                         lp_dtype_name(dtypes[d]), (int)w, bad);
          lp_tensor_release(x);
          lp_tensor_release(y);
        }
  lp_set_num_threads(threads);
}
