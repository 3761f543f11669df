/* Ops of images keep the layout of memory (Note [Hidden layout]): a hidden tensor gives a
 * hidden result and a hidden gradient and is left as it lies; one of channels_last
 * strides gives such strides. The values are those of a plain twin. */
#include "core/tensor.h"
#include "dispatch/layout.h"
#include "dispatch/shape.h"
#include "lampad/autograd.h"
#include "lampad/ops.h"
#include "lampad/random.h"
#include "test.h"
#include "values.h"

static const LpFloats no_floats = {NULL, -1};
static const LpOptBool unset;

static LpTensor *resize(LpTensor *x, const char *mode, bool antialias) {
  return lp_interpolate(x, INTS(5, 13), no_floats, mode, unset, unset, antialias);
}
static LpTensor *nearest(LpTensor *x) {
  return resize(x, "nearest", false);
}
static LpTensor *nearest_exact(LpTensor *x) {
  return resize(x, "nearest-exact", false);
}
static LpTensor *bilinear(LpTensor *x) {
  return resize(x, "bilinear", false);
}
static LpTensor *bicubic(LpTensor *x) {
  return resize(x, "bicubic", false);
}
static LpTensor *area(LpTensor *x) {
  return resize(x, "area", false);
}
static LpTensor *antialias(LpTensor *x) {
  return resize(x, "bilinear", true);
}

static LpTensor *pad(LpTensor *x, const char *mode) {
  return lp_pad(x, INTS(1, 2, 3, -1), mode, (LpOptFloat){0});
}
static LpTensor *constant(LpTensor *x) {
  return pad(x, "constant");
}
static LpTensor *reflect(LpTensor *x) {
  return pad(x, "reflect");
}
static LpTensor *replicate(LpTensor *x) {
  return pad(x, "replicate");
}
static LpTensor *circular(LpTensor *x) {
  return pad(x, "circular");
}
static LpTensor *channels_too(LpTensor *x) {
  return lp_pad(x, INTS(0, 1, 0, 0, 2, 1), "constant", (LpOptFloat){true, 3});
}

static LpTensor *group_norm(LpTensor *x) {
  return lp_group_norm(x, 4, NULL, NULL, 1e-5);
}
static LpTensor *instance_norm(LpTensor *x) {
  return lp_instance_norm(x, NULL, NULL, NULL, NULL, true, 0.1, 1e-5);
}
static LpTensor *adaptive_max(LpTensor *x) {
  return lp_adaptive_max_pool2d(x, INTS(4, 3));
}
static LpTensor *adaptive_average(LpTensor *x) {
  return lp_adaptive_avg_pool2d(x, INTS(4, 3));
}
static LpTensor *unpool(LpTensor *x) {
  LpTensor *pooled[2], *y = NULL;
  if (!lp_max_pool2d_with_indices(x, INTS(2), INTS(2), INTS(0), INTS(1), false, pooled))
    return NULL;
  y = lp_max_unpool2d(pooled[0], pooled[1], INTS(2), INTS(2), INTS(0), INTS(9, 11));
  lp_tensor_release(pooled[0]);
  lp_tensor_release(pooled[1]);
  return y;
}
static LpTensor *shuffle(LpTensor *x) {
  return lp_pixel_shuffle(x, 2);
}
static LpTensor *unshuffle(LpTensor *x) {
  LpTensor *even = lp_pad(x, INTS(0, 1, 0, 1), "constant", (LpOptFloat){0});
  LpTensor *y = even ? lp_pixel_unshuffle(even, 2) : NULL;
  lp_tensor_release(even);
  return y;
}
static LpTensor *channel_shuffle(LpTensor *x) {
  return lp_channel_shuffle(x, 5);
}
static LpTensor *shuffle_by_views(LpTensor *x) {
  LpTensor *parts = lp_view(x, INTS(2, 4, 5, 9, 11));
  LpTensor *turned = parts ? lp_transpose(parts, 1, 2) : NULL;
  LpTensor *copy = turned ? lp_contiguous(turned, LP_FORMAT_NONE) : NULL;
  LpTensor *y = copy ? lp_view(copy, INTS(2, 20, 9, 11)) : NULL;
  LpTensor *all[] = {parts, turned, copy};
  for (int i = 0; i < 3; i++) lp_tensor_release(all[i]);
  return y;
}
static LpTensor *drop(LpTensor *x) {
  lp_generator_seed(lp_default_generator(), 3);
  return lp_dropout(x, 0.4, true, false);
}
static LpTensor *softmax(LpTensor *x) {
  return lp_softmax(x, 1, LP_DTYPE_NONE);
}
static LpTensor *log_softmax_rows(LpTensor *x) {
  return lp_log_softmax(x, 2, LP_DTYPE_NONE);
}
static LpTensor *prelu(LpTensor *x) {
  LpTensor *slopes = lp_arange(lp_scalar_int(20), lp_dtype(x), lp_cpu(), false);
  if (slopes) lp_set_requires_grad(slopes, true);
  LpTensor *y = slopes ? lp_prelu(x, slopes) : NULL;
  lp_tensor_release(slopes);
  return y;
}
static LpTensor *alike(LpTensor *x) {
  LpTensor *one = lp_ones_like(x, LP_DTYPE_NONE, lp_cpu(), LP_FORMAT_NONE, false);
  LpTensor *y = one ? lp_sub(one, x, lp_scalar_int(1)) : NULL;
  lp_tensor_release(one);
  return y;
}
static LpTensor *slices(LpTensor *x) {
  LpTensor *a = lp_narrow(x, 1, 3, 8), *b = lp_narrow(x, 1, 9, 8), *y = NULL;
  if (a && b) y = lp_mul(a, b);
  lp_tensor_release(a);
  lp_tensor_release(b);
  return y;
}
static LpTensor *part(LpTensor *x) {
  LpTensor *some = lp_narrow(x, 1, 3, 8), *y = some ? nearest(some) : NULL;
  lp_tensor_release(some);
  return y;
}
static LpTensor *part_norm(LpTensor *x) {
  LpTensor *some = lp_narrow(x, 2, 3, 4), *y = some ? group_norm(some) : NULL;
  lp_tensor_release(some);
  return y;
}
static LpTensor *response_norm(LpTensor *x) {
  return lp_local_response_norm(x, 5, 0.5, 0.75, 1);
}

static const struct {
  const char *name;
  LpTensor *(*run)(LpTensor *);
  bool hidden_only; /* from channels_last strides come others, as PyTorch's or of parts */
} ops[] = {{"nearest", nearest},
           {"nearest_exact", nearest_exact},
           {"bilinear", bilinear},
           {"bicubic", bicubic},
           {"area", area},
           {"antialias", antialias},
           {"constant", constant},
           {"reflect", reflect},
           {"replicate", replicate},
           {"circular", circular, true},
           {"channels_too", channels_too},
           {"group_norm", group_norm},
           {"instance_norm", instance_norm, true},
           {"adaptive_max", adaptive_max},
           {"adaptive_average", adaptive_average},
           {"unpool", unpool},
           {"shuffle", shuffle},
           {"unshuffle", unshuffle},
           {"channel_shuffle", channel_shuffle},
           {"softmax", softmax, true},
           {"log_softmax_rows", log_softmax_rows, true},
           {"prelu", prelu},
           {"response_norm", response_norm},
           {"slices", slices},
           {"alike", alike},
           {"shuffle_by_views", shuffle_by_views, true},
           {"drop", drop, true},
           {"part", part, true},
           {"part_norm", part_norm, true}};

static bool close_to(LpTensor *a, LpTensor *b, LpDtype dtype) {
  const double tolerance = dtype == LP_BFLOAT16 ? 0.02 : 1e-5;
  LpTensor *p = lp_to_copy(a, LP_FLOAT64, lp_cpu(), LP_CONTIGUOUS),
           *q = lp_to_copy(b, LP_FLOAT64, lp_cpu(), LP_CONTIGUOUS);
  bool same = false;
  lp_allclose(p, q, tolerance, tolerance, true, &same);
  lp_tensor_release(p);
  lp_tensor_release(q);
  return same;
}

/* The values of `like` in a tensor that lies as the name says: 'h'idden, 'l'ast, or
 * 'p'lainly. */
static LpTensor *laid(LpTensor *like, char how) {
  LpTensor *t = how == 'h'   ? lp_tensor_new_hidden(lp_sizes(like), lp_dtype(like))
                : how == 'l' ? lp_tensor_new_format(lp_sizes(like), lp_dtype(like),
                                                    lp_cpu(), LP_CHANNELS_LAST, NULL)
                             : lp_tensor_new(lp_sizes(like), lp_dtype(like), lp_cpu());
  lp_copy_into(t, like);
  return t;
}

static bool lies(const LpTensor *t, char how) {
  return how == 'h'   ? lp_is_hidden(t)
         : how == 'l' ? !t->is_contiguous && lp_is_contiguous(t, LP_CHANNELS_LAST)
                      : t->is_contiguous;
}

static void check(size_t op, LpDtype dtype, char how) {
  const char *name = ops[op].name;
  LpTensor *values = lp_randn(INTS(2, 20, 9, 11), NULL, dtype, lp_cpu(), false);
  LpTensor *x[2] = {laid(values, 'p'), laid(values, how)}, *y[2] = {NULL}, *g = NULL;
  for (int i = 0; i < 2; i++) {
    lp_set_requires_grad(x[i], true);
    y[i] = ops[op].run(x[i]);
    if (!y[i]) {
      test_failure(__FILE__, __LINE__, "%s failed: %s", name, lp_last_error()->message);
      continue;
    }
    if (!g) g = lp_randn(lp_sizes(y[i]), NULL, dtype, lp_cpu(), false);
    LpTensor *grad = laid(g, i ? how : 'p');
    if (!lp_backward((LpTensors){&y[i], 1}, (LpTensors){&grad, 1}, false, false,
                     (LpTensors){NULL, -1}))
      test_failure(__FILE__, __LINE__, "%s failed: %s", name, lp_last_error()->message);
    lp_tensor_release(grad);
  }
  if (y[0] && y[1] && lp_grad(x[0]) && lp_grad(x[1])) {
    if (!lies(x[1], how) || !lies(y[1], how))
      test_failure(__FILE__, __LINE__, "%s: not '%c'", name, how);
    if (!lies(lp_grad(x[1]), how))
      test_failure(__FILE__, __LINE__, "gradient of %s: not '%c'", name, how);
    if (!close_to(y[0], y[1], dtype) || !close_to(lp_grad(x[0]), lp_grad(x[1]), dtype))
      test_failure(__FILE__, __LINE__, "%s: other values", name);
  }
  LpTensor *all[] = {values, x[0], x[1], y[0], y[1], g};
  for (int i = 0; i < 6; i++) lp_tensor_release(all[i]);
}

TEST(image_ops_keep_the_layout_of_memory) {
  for (size_t op = 0; op < sizeof ops / sizeof *ops; op++)
    for (int k = 0; k < (ops[op].hidden_only ? 2 : 4); k++)
      check(op, k % 2 ? LP_BFLOAT16 : LP_FLOAT32, k < 2 ? 'h' : 'l');
}

static LpTensor *norm_of(LpTensor *x) {
  return lp_batch_norm(x, NULL, NULL, NULL, NULL, true, 0.1, 1e-5);
}
static bool is_deferred(const LpTensor *t) {
  return lp_is_deferred(t);
}

/* Note [Deferred elements]: who computes them, and who need not. */
TEST(a_batch_norm_is_computed_by_its_reader) {
  LpTensor *values = lp_randn(INTS(3, 20, 70, 11), NULL, LP_FLOAT32, lp_cpu(), false);
  LpTensor *x = laid(values, 'h');
  lp_set_requires_grad(x, true);
  LpTensor *y = norm_of(x), *plain = norm_of(values);
  EXPECT(is_deferred(y) && !is_deferred(plain) && !is_deferred(x));
  EXPECT(x->storage->waiting == y->storage);

  LpTensor *z = lp_relu(y), *sum = lp_add(z, y, lp_scalar_int(1)), *g = laid(values, 'h');
  EXPECT(is_deferred(y) && lies(z, 'h') && !is_deferred(z) && lies(sum, 'h'));
  EXPECT(lp_backward((LpTensors){&sum, 1}, (LpTensors){&g, 1}, false, false,
                     (LpTensors){NULL, -1}));
  EXPECT(is_deferred(y));

  LpTensor *other = norm_of(x); /* one at a time waits for a source */
  EXPECT(!is_deferred(y) && is_deferred(other) && close_to(y, plain, LP_FLOAT32));
  lp_tensor_release(other);
  EXPECT(!x->storage->waiting);

  LpTensor *again = norm_of(x), *held = lp_detach(x);
  EXPECT(lp_mul_(held, held) && !is_deferred(again));
  EXPECT(close_to(again, plain, LP_FLOAT32));

  lp_tensor_release(again);
  again = norm_of(x);
  LpTensor *square = laid(x, 'p'), *square_norm = norm_of(square),
           *expected = lp_relu(square_norm);
  EXPECT(lp_relu_(again) && !is_deferred(again) && !x->storage->waiting);
  EXPECT(close_to(again, expected, LP_FLOAT32));

  LpTensor *all[] = {values, x,    y,     plain,  z,           sum,
                     g,      held, again, square, square_norm, expected};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lp_tensor_release(all[i]);
}
