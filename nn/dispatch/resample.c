/* Interpolation along one dim as a sparse linear map (some taps for each result element),
 * and its adjoint. interpolate applies it dim by dim. */
#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct ResampleMap {
  int64_t in, out, taps;
  int64_t *index; /* [out][taps] */
  double *weight;
  size_t block_bytes;
} ResampleMap;

/* Keys' cubic: the weight of a tap at distance t. a is -0.75, with antialiasing -0.5. */
static double cubic(double t, double a) {
  t = fabs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return 0;
}

static int64_t clip(int64_t i, int64_t n) {
  return i < 0 ? 0 : i >= n ? n - 1 : i;
}

static double triangle(double t) {
  t = fabs(t);
  return t < 1 ? 1 - t : 0;
}
static double smooth_cubic(double t) {
  return cubic(t, -0.5);
}
/* Lanczos' windowed sinc of three lobes. */
static double lanczos(double t) {
  if (t == 0) return 1;
  if (fabs(t) >= 3) return 0;
  double x = M_PI * t;
  return 3 * sin(x) * sin(x / 3) / (x * x);
}

typedef struct Filter {
  const char *mode;
  double (*weight)(double t);
  double reach; /* where the filter ends */
} Filter;
static const Filter filters[] = {{"linear-aa", triangle, 1},
                                 {"cubic-aa", smooth_cubic, 2},
                                 {"lanczos-aa", lanczos, 3}};

static bool map_alloc(ResampleMap *m, int64_t taps) {
  const int64_t bytes = sizeof(int64_t) + sizeof(double);
  CHECK(taps <= PTRDIFF_MAX / bytes / m->out, LP_ERR_MEMORY,
        "a result of size %lld is larger than any memory", (long long)m->out);
  m->taps = taps;
  m->block_bytes = (size_t)(m->out * taps * bytes);
  m->index = lp_calloc(m->block_bytes);
  TRY(m->index);
  m->weight = (double *)(m->index + m->out * taps);
  return true;
}

/* Antialiased: the filter is as wide as the input elements of a result element, at least.
 */
static bool map_filter(ResampleMap *m, const Filter *f, double ratio) {
  double scale = ratio > 1 ? ratio : 1, reach = f->reach * scale;
  TRY(map_alloc(m, (int64_t)ceil(reach) * 2 + 1));
  for (int64_t o = 0; o < m->out; o++) {
    int64_t *index = m->index + o * m->taps;
    double *weight = m->weight + o * m->taps, center = ratio * ((double)o + 0.5), sum = 0;
    int64_t from = (int64_t)(center - reach + 0.5), to = (int64_t)(center + reach + 0.5);
    if (from < 0) from = 0;
    if (to > m->in) to = m->in;
    if (to - from > m->taps) to = from + m->taps;
    for (int64_t i = from; i < to; i++) {
      index[i - from] = i;
      weight[i - from] = f->weight(((double)i - center + 0.5) / scale);
      sum += weight[i - from];
    }
    for (int64_t k = 0; k < to - from && sum != 0; k++) weight[k] /= sum;
  }
  return true;
}

/* ratio: input elements for each result element; the source positions are PyTorch's. */
static bool map_init(ResampleMap *m, int64_t in, int64_t out, const char *mode,
                     bool align_corners, double factor) {
  bool nearest = !strcmp(mode, "nearest"), exact = !strcmp(mode, "nearest-exact"),
       linear = !strcmp(mode, "linear");
  const Filter *filter = NULL;
  for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
    if (!strcmp(mode, filters[i].mode)) filter = &filters[i];
  CHECK(nearest || exact || linear || filter || !strcmp(mode, "cubic"), LP_ERR_ARGUMENT,
        "unknown mode '%s'", mode);
  CHECK(in > 0 && out > 0, LP_ERR_ARGUMENT,
        "expected input and result of at least 1 element per dim, got %lld and %lld",
        (long long)in, (long long)out);
  m->in = in;
  m->out = out;
  double ratio = align_corners ? (out > 1 ? (double)(in - 1) / (double)(out - 1) : 0)
                 : factor > 0  ? 1 / factor
                               : (double)in / (double)out;
  if (filter) return map_filter(m, filter, ratio);
  TRY(map_alloc(m, nearest || exact ? 1 : linear ? 2 : 4));
  for (int64_t o = 0; o < out; o++) {
    int64_t *index = m->index + o * m->taps;
    double *weight = m->weight + o * m->taps;
    if (nearest || exact) {
      float at = ((float)o + (exact ? 0.5f : 0)) * (float)ratio;
      index[0] = at < (float)in ? clip((int64_t)floorf(at), in) : in - 1;
      weight[0] = 1;
      continue;
    }
    double at = align_corners ? ratio * (double)o : ratio * ((double)o + 0.5) - 0.5;
    if (linear && (at < 0 || in == out)) /* equal sizes: PyTorch copies, at any factor */
      at = in == out ? (double)o : 0;
    if (at > (double)in + 2)
      at = (double)in + 2; /* both are clipped to the last element */
    int64_t base = (int64_t)floor(at);
    double t = at - (double)base;
    if (linear) {
      index[0] = clip(base, in);
      index[1] = clip(base + 1, in);
      weight[0] = 1 - t;
      weight[1] = t;
    } else {
      for (int k = 0; k < 4; k++) {
        index[k] = clip(base - 1 + k, in);
        weight[k] = cubic(t + 1 - k, -0.75);
      }
    }
  }
  return true;
}

/* Weights of pixels in fixed point, as many bits as fit 16: PyTorch's (and Pillow's). */
static void round_weights(ResampleMap *m) {
  double largest = 0;
  for (int64_t i = 0; i < m->out * m->taps; i++) largest = fmax(largest, m->weight[i]);
  int bits = 0;
  while (bits < 22 && (int64_t)(0.5 + largest * (double)(1 << (bits + 1))) < 1 << 15)
    bits++;
  double one = (double)(1 << bits);
  for (int64_t i = 0; i < m->out * m->taps; i++)
    m->weight[i] = round(m->weight[i] * one) / one;
}

typedef struct ResampleJob {
  const ResampleMap *m;
  const void *from;
  void *to;
  int64_t inner;
  LpDtype dtype;
  bool adjoint;
} ResampleJob;

#define RESAMPLE_LOOP(T)                                                                 \
  static void resample_##T(const ResampleJob *j, int64_t outer) {                        \
    const ResampleMap *m = j->m;                                                         \
    int64_t from_n = j->adjoint ? m->out : m->in, to_n = j->adjoint ? m->in : m->out;    \
    const T *from = (const T *)j->from + outer * from_n * j->inner;                      \
    T *to = (T *)j->to + outer * to_n * j->inner;                                        \
    memset(to, 0, (size_t)(to_n * j->inner) * sizeof(T));                                \
    for (int64_t o = 0; o < m->out; o++)                                                 \
      for (int64_t k = 0; k < m->taps; k++) {                                            \
        int64_t i = m->index[o * m->taps + k];                                           \
        T w = (T)m->weight[o * m->taps + k];                                             \
        const T *a = from + (j->adjoint ? o : i) * j->inner;                             \
        T *b = to + (j->adjoint ? i : o) * j->inner;                                     \
        for (int64_t c = 0; c < j->inner; c++) b[c] += w * a[c];                         \
      }                                                                                  \
  }
RESAMPLE_LOOP(float)
RESAMPLE_LOOP(double)

static void run(void *ctx, int64_t begin, int64_t end) {
  ResampleJob *j = ctx;
  for (int64_t o = begin; o < end; o++) {
    if (j->dtype == LP_FLOAT32)
      resample_float(j, o);
    else
      resample_double(j, o);
  }
}

static LpTensor *resample(LpTensor *self, int64_t dim, LpInts result_sizes, int64_t in,
                          int64_t out, const char *mode, bool align_corners,
                          double factor, bool adjoint) {
  LpDtype wanted = lp_dtype(self),
          dtype = nn_float_index(wanted) < 0 ? LP_FLOAT64 : nn_compute_dtype(wanted);
  ResampleMap m;
  int64_t numel; /* before time goes into the map */
  TRY(lp_numel_of(result_sizes, &numel));
  TRY(map_init(&m, in, out, mode, align_corners, factor));
  if (wanted == LP_UINT8) round_weights(&m);
  LpTensor *x = nn_dense(self, dtype),
           *y = lp_tensor_new(result_sizes, dtype, lp_device(self));
  bool ok = x && y;
  if (ok && lp_numel(y)) {
    int64_t outer = 1, inner = 1;
    for (int64_t d = 0; d < result_sizes.count; d++) {
      if (d < dim) outer *= result_sizes.data[d];
      if (d > dim) inner *= result_sizes.data[d];
    }
    ResampleJob j = {&m, lp_data(x), lp_data(y), inner, dtype, adjoint};
    lp_parallel_for(outer, LP_GRAIN / ((in + out) * inner + 1) + 1, run, &j);
  }
  lp_free(m.index, m.block_bytes);
  lp_tensor_release(x);
  if (ok && wanted == LP_UINT8) { /* pixels are rounded after each dim */
    double *v = lp_data(y);
    for (int64_t i = 0; i < lp_numel(y); i++)
      v[i] = fmin(fmax(floor(v[i] + 0.5), 0), 255);
  }
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, wanted);
}

LpTensor *lp_impl_resample(LpTensor *self, int64_t dim, int64_t size, const char *mode,
                           bool align_corners, double factor) {
  int64_t sizes[LP_MAX_DIMS];
  memcpy(sizes, self->sizes, (size_t)self->ndim * sizeof *sizes);
  sizes[dim] = size;
  return resample(self, dim, lp_ints(sizes, self->ndim), self->sizes[dim], size, mode,
                  align_corners, factor, false);
}

LpTensor *lp_impl_resample_adjoint(LpTensor *grad_output, int64_t dim, LpInts size,
                                   const char *mode, bool align_corners, double factor) {
  return resample(grad_output, dim, size, size.data[dim], grad_output->sizes[dim], mode,
                  align_corners, factor, true);
}
