/* convolution and its two gradients: checks, geometry, dtypes; kernels in cpu/conv.h.
 *
 * Note [Closed under differentiation]: a convolution is linear in its input and in its
 * weight, so each gradient op's own gradients are again these three ops with the roles
 * exchanged, to any order. For complex numbers the gradient ops are the adjoints (they
 * conjugate inside). */
#include "cpu/conv.h"
#include "dispatch/layout.h"
#include "dispatch/nn_util.h"
#include "autograd/node.h"
#include "impl.h"
#include "lampad/ops.h"

typedef struct Options {
  LpInts stride, padding, dilation, output_padding;
  bool transposed;
  int64_t groups;
} Options;

static bool is_supported(LpDtype dtype) {
  return dtype != LP_BOOL;
}

/* The geometry of the plain convolution behind the call: for a transposed one, of the
 * convolution whose input gradient it is (so x is the result and y the input). */
static bool geometry_of(LpInts input, LpInts weight, const Options *o, LpConvGeometry *g,
                        int64_t *result_sizes) {
  *g = (LpConvGeometry){.ndim = (int)weight.count - 2, .groups = o->groups};
  char in_text[128], weight_text[128];
  lp_format_ints(input, in_text, sizeof in_text);
  lp_format_ints(weight, weight_text, sizeof weight_text);
  CHECK(g->ndim >= 1 && g->ndim <= LP_CONV_MAX_DIMS, LP_ERR_ARGUMENT,
        "expected 'weight' of 3, 4 or 5 dims, got %s", weight_text);
  CHECK(input.count == weight.count, LP_ERR_ARGUMENT,
        "expected 'input' of %d dims (batch, channels and %d spatial) for weight %s, got "
        "%s",
        g->ndim + 2, g->ndim, weight_text, in_text);
  int64_t output_padding[LP_CONV_MAX_DIMS];
  TRY(nn_expand(o->stride, g->ndim, "stride", g->stride));
  TRY(nn_expand(o->padding, g->ndim, "padding", g->padding));
  TRY(nn_expand(o->dilation, g->ndim, "dilation", g->dilation));
  TRY(nn_expand(o->output_padding, g->ndim, "output_padding", output_padding));
  int64_t all_channels;
  CHECK(
      o->groups > 0 && !__builtin_mul_overflow(weight.data[1], o->groups, &all_channels),
      LP_ERR_ARGUMENT,
      "expected 'groups' of at least 1 that divides the channels of weight %s, got %lld",
      weight_text, (long long)o->groups);
  int64_t channels = o->transposed ? weight.data[0] : all_channels;
  CHECK(input.data[1] == channels, LP_ERR_ARGUMENT,
        "expected input of %lld channels (weight %s, groups %lld), got %s",
        (long long)channels, weight_text, (long long)o->groups, in_text);
  CHECK(weight.data[0] % o->groups == 0 && weight.data[0] > 0, LP_ERR_ARGUMENT,
        "expected a number of %s channels divisible by groups %lld, got weight %s",
        o->transposed ? "input" : "output", (long long)o->groups, weight_text);
  g->n = input.data[0];
  g->k = weight.data[0];
  g->c = all_channels;
  result_sizes[0] = g->n;
  result_sizes[1] = o->transposed ? g->c : g->k;
  for (int d = 0; d < g->ndim; d++) {
    CHECK(g->stride[d] > 0, LP_ERR_ARGUMENT, "expected 'stride' of at least 1, got %lld",
          (long long)g->stride[d]);
    CHECK(g->padding[d] >= 0, LP_ERR_ARGUMENT,
          "expected 'padding' of at least 0, got %lld", (long long)g->padding[d]);
    CHECK(g->dilation[d] > 0, LP_ERR_ARGUMENT,
          "expected 'dilation' of at least 1, got %lld", (long long)g->dilation[d]);
    /* so that no product or sum of them overflows */
    CHECK(g->stride[d] <= INT32_MAX && g->padding[d] <= INT32_MAX &&
              g->dilation[d] <= INT32_MAX && output_padding[d] <= INT32_MAX &&
              weight.data[2 + d] <= INT32_MAX && input.data[2 + d] <= INT32_MAX,
          LP_ERR_ARGUMENT,
          "expected stride, padding, dilation, output_padding and sizes below 2^31, got "
          "%lld, %lld, %lld, %lld (input %s, weight %s)",
          (long long)g->stride[d], (long long)g->padding[d], (long long)g->dilation[d],
          (long long)output_padding[d], in_text, weight_text);
    g->kernel[d] = weight.data[2 + d];
    CHECK(g->kernel[d] > 0, LP_ERR_ARGUMENT,
          "expected a kernel of at least 1 element per dim, got weight %s", weight_text);
    int64_t reach = g->dilation[d] * (g->kernel[d] - 1) + 1, size = input.data[2 + d];
    if (o->transposed) {
      CHECK(output_padding[d] >= 0 &&
                (output_padding[d] < g->stride[d] || output_padding[d] < g->dilation[d]),
            LP_ERR_ARGUMENT,
            "expected 'output_padding' smaller than stride or dilation, got %lld",
            (long long)output_padding[d]);
      g->out[d] = size;
      g->in[d] =
          (size - 1) * g->stride[d] - 2 * g->padding[d] + reach + output_padding[d];
      CHECK(g->in[d] > 0, LP_ERR_ARGUMENT,
            "the result would have size %lld in spatial dim %d (input %s, weight %s): "
            "use less padding or a "
            "larger input",
            (long long)g->in[d], d, in_text, weight_text);
      result_sizes[2 + d] = g->in[d];
    } else {
      CHECK(size + 2 * g->padding[d] >= reach, LP_ERR_ARGUMENT,
            "the kernel reaches over %lld elements but the padded input has %lld in "
            "spatial dim %d "
            "(input %s, weight %s): use more padding or a larger input",
            (long long)reach, (long long)(size + 2 * g->padding[d]), d, in_text,
            weight_text);
      g->in[d] = size;
      g->out[d] = (size + 2 * g->padding[d] - reach) / g->stride[d] + 1;
      result_sizes[2 + d] = g->out[d];
    }
  }
  return true;
}

/* y (n, channels, plane) += b[channel], for the transposed convolution. */
static bool add_bias(LpTensor *y, LpTensor *b) {
  int64_t sizes[2 + LP_CONV_MAX_DIMS], strides[2 + LP_CONV_MAX_DIMS] = {0};
  memcpy(sizes, y->sizes, (size_t)y->ndim * sizeof *sizes);
  strides[1] = lp_stride(b, 0);
  LpTensor *wide = lp_tensor_alias(b, lp_ints(sizes, y->ndim), lp_ints(strides, y->ndim),
                                   lp_storage_offset(b));
  TRY(wide);
  bool ok = lp_add_(y, wide, lp_scalar_int(1));
  lp_tensor_release(wide);
  return ok;
}

/* What a pass works on: two arguments in the order forward (x, w), input gradient (y, w),
 * weight gradient (y, x), and the result. */
typedef struct Run {
  LpTensor *a, *b, *bias, *result;
} Run;

/* Runs a pass in bfloat16 where there is a kernel for that, else in the compute dtype;
 * the result has `sizes` and that dtype, or float32 for weight gradients of bfloat16.
 * Activations lie channels last where there is a kernel for it, and so does the result.
 */
static bool run_into(Run *r, LpConvPass pass, const LpConvGeometry *g, LpTensor *a,
                     LpTensor *b, LpTensor *bias, LpInts sizes, bool keeps) {
  const bool empty = !lp_numel(a) || !lp_numel(b),
             to_weight = pass == LP_CONV_WEIGHT_GRAD;
  LpDtype dtype = lp_dtype(a);
  bool last = !empty && lp_conv_wants_channels_last(pass, g, dtype, bias != NULL, keeps);
  if (!last && dtype != nn_number_dtype(dtype)) {
    dtype = nn_number_dtype(dtype);
    last = !empty && lp_conv_wants_channels_last(pass, g, dtype, bias != NULL, keeps);
  }
  const LpDtype to = to_weight ? lp_conv_weight_dtype(g, dtype, last) : dtype;
  /* A row-major x is not reordered where the kernel reads it as it lies. */
  LpTensor *x = to_weight ? b : a;
  const bool planes = last && x->is_contiguous && lp_dtype(x) == dtype &&
                      !nn_lies_last(x) && lp_conv_reads_planes(pass, g, dtype, keeps);
  const bool a_last = last && (to_weight || !planes),
             b_last = last && to_weight && !planes, result_last = last && !to_weight;
  TRY(r->a = nn_laid(a, dtype, a_last));
  TRY(r->b = nn_laid(b, dtype, b_last));
  if (bias) TRY(r->bias = nn_dense(bias, dtype));
  TRY(r->result = nn_new_laid(r->a, sizes, to, result_last));
  if (!lp_numel(r->result)) return true;
  if (empty) {
    memset(lp_data(r->result), 0, (size_t)lp_numel(r->result) * lp_dtype_size(to));
    return true;
  }
  LpConvCall c = {.pass = pass,
                  .dtype = dtype,
                  .weight_dtype = to,
                  .channels_last = last,
                  .planes = planes,
                  .keeps_weights = keeps};
  if (keeps && r->b->storage == b->storage) c.weight = b;
  if (r->bias) c.b = lp_data(r->bias);
  void *pa = nn_laid_data(r->a, a_last), *pb = nn_laid_data(r->b, b_last),
       *pr = nn_laid_data(r->result, result_last);
  c.x = pass == LP_CONV_FORWARD ? pa : to_weight ? pb : pr;
  c.w = to_weight ? pr : pb;
  c.y = pass == LP_CONV_FORWARD ? pr : pa;
  return lp_conv_run(&c, g);
}

static LpTensor *run(LpConvPass pass, const LpConvGeometry *g, LpTensor *a, LpTensor *b,
                     LpTensor *bias, LpInts sizes, bool keeps) {
  Run r = {0};
  if (!run_into(&r, pass, g, a, b, bias, sizes, keeps)) lp_drop(&r.result);
  lp_tensor_release(r.a);
  lp_tensor_release(r.b);
  lp_tensor_release(r.bias);
  return nn_cast_take(r.result, lp_dtype(a));
}

/* Complex transposed convolutions want w itself where the input gradient takes its
 * conjugate. */
static LpTensor *maybe_conj(LpTensor *t) {
  return lp_dtype_is_complex(lp_dtype(t)) ? lp_conj(t) : lp_tensor_retain(t);
}

LpTensor *lp_impl_convolution(LpTensor *input, LpTensor *weight, LpTensor *bias,
                              LpInts stride, LpInts padding, LpInts dilation,
                              bool transposed, LpInts output_padding, int64_t groups) {
  const bool keeps = !lp_tls_recorded; /* the weights will serve again as they are */
  Options o = {stride, padding, dilation, output_padding, transposed, groups};
  LpConvGeometry g;
  int64_t sizes[2 + LP_CONV_MAX_DIMS];
  CHECK(lp_dtype(input) == lp_dtype(weight) &&
            (!bias || lp_dtype(bias) == lp_dtype(input)),
        LP_ERR_TYPE,
        "expected input, weight and bias of one dtype, got %s, %s%s%s: convert with "
        "x:to(dtype)",
        lp_dtype_name(lp_dtype(input)), lp_dtype_name(lp_dtype(weight)), bias ? ", " : "",
        bias ? lp_dtype_name(lp_dtype(bias)) : "");
  CHECK(is_supported(lp_dtype(input)), LP_ERR_TYPE, "expected numbers, got %s",
        lp_dtype_name(lp_dtype(input)));
  TRY(geometry_of(lp_sizes(input), lp_sizes(weight), &o, &g, sizes));
  LpInts result_sizes = lp_ints(sizes, g.ndim + 2);
  CHECK(!bias || (lp_ndim(bias) == 1 && lp_size(bias, 0) == sizes[1]), LP_ERR_ARGUMENT,
        "expected 'bias' of shape [%lld] (weight %s), got %s", (long long)sizes[1],
        SHAPE_TEXT(weight), SHAPE_TEXT(bias));
  if (!transposed && lp_numel(input) && lp_numel(weight))
    return run(LP_CONV_FORWARD, &g, input, weight, bias, result_sizes, keeps);
  LpTensor *result;
  if (transposed) {
    LpTensor *w = maybe_conj(weight);
    TRY(w);
    result = run(LP_CONV_INPUT_GRAD, &g, input, w, NULL, result_sizes, false);
    lp_tensor_release(w);
  } else {
    result = nn_zeros(sizes, g.ndim + 2, lp_dtype(input));
  }
  if (result && bias && lp_numel(result) && !add_bias(result, bias)) lp_drop(&result);
  return result;
}

LpTensor *lp_impl_convolution_input_grad(LpTensor *grad_output, LpTensor *weight,
                                         LpInts input_size, LpInts stride, LpInts padding,
                                         LpInts dilation, bool transposed,
                                         LpInts output_padding, int64_t groups) {
  Options o = {stride, padding, dilation, output_padding, transposed, groups};
  LpConvGeometry g;
  int64_t sizes[2 + LP_CONV_MAX_DIMS];
  TRY(geometry_of(input_size, lp_sizes(weight), &o, &g, sizes));
  if (!transposed)
    return run(LP_CONV_INPUT_GRAD, &g, grad_output, weight, NULL, input_size, false);
  LpTensor *w = maybe_conj(weight);
  TRY(w);
  LpTensor *result = run(LP_CONV_FORWARD, &g, grad_output, w, NULL, input_size, false);
  lp_tensor_release(w);
  return result;
}

LpTensor *lp_impl_convolution_weight_grad(LpTensor *grad_output, LpTensor *input,
                                          LpInts weight_size, LpInts stride,
                                          LpInts padding, LpInts dilation,
                                          bool transposed, LpInts output_padding,
                                          int64_t groups) {
  Options o = {stride, padding, dilation, output_padding, transposed, groups};
  LpConvGeometry g;
  int64_t sizes[2 + LP_CONV_MAX_DIMS];
  TRY(geometry_of(lp_sizes(input), weight_size, &o, &g, sizes));
  if (!transposed)
    return run(LP_CONV_WEIGHT_GRAD, &g, grad_output, input, NULL, weight_size, false);
  /* y = adjoint of x under w: the gradient pairs conj(input) with the result's gradient
   * exchanged. */
  LpTensor *result =
      run(LP_CONV_WEIGHT_GRAD, &g, input, grad_output, NULL, weight_size, false);
  if (result && lp_dtype_is_complex(lp_dtype(result))) {
    LpTensor *conjugate = lp_conj(result);
    lp_tensor_release(result);
    result = conjugate;
  }
  return result;
}
