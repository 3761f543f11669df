/* Interpolation of the last dims: along each a sparse linear map (some taps for each
 * result element). The adjoint has the transposed maps, so one kernel serves both. */
#include <math.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/interpolate.h"
#include "dispatch/nn_util.h"
#include "impl.h"

typedef struct ResampleMap {
  int64_t in, out, taps;
  int64_t *index; /* [out][taps], not falling along either */
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
    for (int64_t k = to - from; k < m->taps && k > 0; k++) index[k] = to - 1;
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

/* Every element as it is. */
static bool map_identity(ResampleMap *m, int64_t n) {
  m->in = m->out = n;
  TRY(map_alloc(m, 1));
  for (int64_t o = 0; o < n; o++) {
    m->index[o] = o;
    m->weight[o] = 1;
  }
  return true;
}

/* The map or its transpose in bands; taps on the same element are added. */
static bool band_init(LpBand *b, const ResampleMap *m, bool adjoint) {
  b->in = adjoint ? m->out : m->in;
  b->out = adjoint ? m->in : m->out;
  b->first = lp_calloc((size_t)(2 * b->out + 1) * sizeof(int64_t));
  TRY(b->first);
  b->start = b->first + b->out;
  int64_t *width = b->start + 1;
  for (int64_t i = 0; i < m->out * m->taps; i++) {
    const int64_t o = i / m->taps, row = adjoint ? m->index[i] : o,
                  column = adjoint ? o : m->index[i];
    if (!width[row]) b->first[row] = column;
    width[row] = column - b->first[row] + 1;
    if (width[row] > b->widest) b->widest = width[row];
  }
  for (int64_t o = 0; o < b->out; o++) b->start[o + 1] += b->start[o];
  const size_t n = (size_t)b->start[b->out];
  b->weight = lp_calloc(n * (sizeof(double) + sizeof(float)));
  TRY(b->weight);
  b->weight32 = (float *)(b->weight + n);
  for (int64_t i = 0; i < m->out * m->taps; i++) {
    const int64_t o = i / m->taps, row = adjoint ? m->index[i] : o,
                  column = adjoint ? o : m->index[i];
    b->weight[b->start[row] + column - b->first[row]] += m->weight[i];
  }
  for (int64_t o = 0, from = 0; o < b->out; o++) {
    if (width[o] - b->start[o] != width[from] - b->start[from]) from = o;
    if (o + 1 - from <= b->even_to - b->even_from) continue;
    b->even_from = from;
    b->even_to = o + 1;
  }
  b->picks = b->widest == 1 && n == (size_t)b->out;
  for (size_t i = 0; i < n; i++) {
    b->weight32[i] = (float)b->weight[i];
    b->picks &= b->weight[i] == 1;
  }
  b->same = b->picks && b->in == b->out;
  for (int64_t o = 0; b->same && o < b->out; o++) b->same = b->first[o] == o;
  return true;
}

static void band_free(LpBand *b) {
  if (!b->first) return;
  const size_t n = (size_t)b->start[b->out];
  lp_free(b->weight, n * (sizeof(double) + sizeof(float)));
  lp_free(b->first, (size_t)(2 * b->out + 1) * sizeof(int64_t));
}

/* What one call resamples: the last dims of tensors, by factors (0: as the sizes say). */
typedef struct Resampling {
  LpInts sizes; /* of the result */
  LpFloats factors;
  const char *mode;
  bool align_corners, adjoint, of_pixels;
  bool last; /* channels last */
} Resampling;

static bool band_of(LpBand *b, const Resampling *r, int64_t from, int64_t to,
                    bool resampled, double factor) {
  ResampleMap m = {0};
  bool ok = !resampled   ? map_identity(&m, from)
            : r->adjoint ? map_init(&m, to, from, r->mode, r->align_corners, factor)
                         : map_init(&m, from, to, r->mode, r->align_corners, factor);
  if (ok && resampled && r->of_pixels) round_weights(&m);
  ok = ok && band_init(b, &m, resampled && r->adjoint);
  lp_free(m.index, m.block_bytes);
  return ok;
}

typedef struct ResampleJob {
  LpInterpolateShape shape;
  int type; /* below 0: bytes */
  int64_t rows, piece;
  const void *x;
  void *y;
  char *scratch; /* of each piece */
  size_t scratch_bytes;
} ResampleJob;

static void run(void *ctx, int64_t begin, int64_t end) {
  const ResampleJob *j = ctx;
  for (int64_t p = begin; p < end; p++) {
    const int64_t first = p * j->piece, left = j->rows - first;
    const LpInterpolateKernels *k = lp_interpolate_kernels();
    (j->type < 0 ? k->rows_u8 : k->rows[j->type])(
        &j->shape, j->x, j->y, first, first + (left < j->piece ? left : j->piece),
        j->scratch + (size_t)p * j->scratch_bytes);
  }
}

static bool run_rows(ResampleJob *j) {
  const LpBand *b = j->shape.band;
  const int64_t work = b[2].out * j->shape.inner * b[2].widest +
                       b[2].in * j->shape.inner * b[0].widest * b[1].widest;
  int64_t pieces = lp_parallel_threads(j->rows, LP_GRAIN / (work + 1) + 1);
  j->piece = (j->rows + pieces - 1) / pieces;
  pieces = (j->rows + j->piece - 1) / j->piece;
  j->scratch_bytes = lp_interpolate_scratch(&j->shape);
  const size_t bytes = (size_t)pieces * j->scratch_bytes;
  j->scratch = lp_alloc(bytes);
  TRY(j->scratch);
  lp_parallel_for(pieces, 1, run, j);
  lp_free(j->scratch, bytes);
  return true;
}

/* x, which lies as r says, resampled along the spatial dims [begin, end). */
static LpTensor *pass(const Resampling *r, LpTensor *x, int64_t begin, int64_t end) {
  const int64_t space = r->factors.count, lead = x->ndim - space;
  int64_t sizes[LP_MAX_DIMS], outer = 1, numel;
  for (int d = 0; d < x->ndim; d++) {
    sizes[d] = d >= lead + begin && d < lead + end ? r->sizes.data[d] : x->sizes[d];
    if (d < lead && !(r->last && d == 1)) outer *= sizes[d];
  }
  TRY(lp_numel_of(lp_ints(sizes, x->ndim), &numel)); /* before time goes into the maps */
  ResampleJob j = {.type = nn_float_index(lp_dtype(x)),
                   .shape.inner = r->last ? x->sizes[1] : 1};
  bool ok = true;
  for (int64_t slot = 0; ok && slot < 3; slot++) {
    const int64_t d = slot - (3 - space);
    ok = d < 0 ? band_of(&j.shape.band[slot], r, 1, 1, false, 0)
               : band_of(&j.shape.band[slot], r, x->sizes[lead + d], sizes[lead + d],
                         d >= begin && d < end, r->factors.data[d]);
  }
  LpTensor *y = ok ? nn_new_laid(x, lp_ints(sizes, x->ndim), lp_dtype(x), r->last) : NULL;
  if (y && numel) {
    j.x = nn_laid_data(x, r->last);
    j.y = nn_laid_data(y, r->last);
    j.rows = outer * j.shape.band[0].out * j.shape.band[1].out;
    if (!run_rows(&j)) lp_drop(&y);
  }
  for (int slot = 0; slot < 3; slot++) band_free(&j.shape.band[slot]);
  return y;
}

/* Where rows are short, vectors of channels are better, also for images that have to be
 * put in that order: unless most of the elements would be put there for nothing. */
static bool is_best_last(const LpTensor *self, const Resampling *r) {
  const int64_t in = self->sizes[self->ndim - 1], out = r->sizes.data[r->sizes.count - 1];
  const bool picks = !strncmp(r->mode, "nearest", strlen("nearest"));
  return self->sizes[1] >= 32 && in < 32 && out < 32 && (in <= out || !picks);
}

/* Pixels are rounded after each dim: they go dim by dim, the last one first. */
static LpTensor *resample(LpTensor *self, Resampling *r) {
  const LpDtype wanted = lp_dtype(self);
  const int64_t space = r->factors.count;
  r->of_pixels = wanted == LP_UINT8;
  r->last = self->ndim == space + 2 && (nn_lies_last(self) || is_best_last(self, r));
  const LpDtype dtype = nn_float_index(wanted) >= 0 || r->of_pixels ? wanted : LP_FLOAT64;
  LpTensor *x = nn_laid(self, dtype, r->last);
  for (int64_t d = space; x && d > 0; d = r->of_pixels ? d - 1 : 0) {
    LpTensor *y = pass(r, x, r->of_pixels ? d - 1 : 0, d);
    lp_tensor_release(x);
    x = y;
  }
  return nn_cast_take(x, wanted);
}

LpTensor *lp_impl_resample(LpTensor *self, LpInts size, const char *mode,
                           bool align_corners, LpFloats factors) {
  Resampling r = {size, factors, mode, align_corners, .adjoint = false};
  return resample(self, &r);
}

LpTensor *lp_impl_resample_adjoint(LpTensor *grad_output, LpInts size, const char *mode,
                                   bool align_corners, LpFloats factors) {
  Resampling r = {size, factors, mode, align_corners, .adjoint = true};
  return resample(grad_output, &r);
}
