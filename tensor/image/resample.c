/* Resizing as Pillow does: each axis is convolved with a filter stretched by the scale
 * when the image shrinks, columns first, with 8 bits between the two passes. Owns the
 * weights; the loops are in cpu/simd/resample.c. */
#include "image/resample.h"
#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "cpu/caps.h"
#include "image/pixels.h"

LP_DISPATCH(LpResampleKernels, lp_resample_kernels)

/* Work (see its uses) for one thread: photos of the usual size stay with theirs, as
 * waking another costs more than it gives where several images are loaded at once. */
#define GRAIN (16 * LP_GRAIN)
#define READ_AHEAD 16 /* bytes that the horizontal loop may read after a row */

/* --- filters: the weight at a distance, in units of the (stretched) source pixel --- */

static double box(double x) {
  return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double triangle(double x) {
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

static double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= M_PI;
  return sin(x) / x;
}

static double hamming(double x) {
  x = fabs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= M_PI;
  return sin(x) / x * (0.54f + 0.46f * cos(x)); /* Pillow's constants are floats */
}

/* Cubic convolution (Keys 1981) with a = -1/2. */
static double cubic(double x) {
  x = fabs(x);
  if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0.0;
}

static double lanczos3(double x) {
  return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

typedef struct Filter {
  double (*weight)(double);
  double support;
} Filter;

static const Filter filters[] = {
    [LP_FILTER_LANCZOS] = {lanczos3, 3.0}, [LP_FILTER_BILINEAR] = {triangle, 1.0},
    [LP_FILTER_BICUBIC] = {cubic, 2.0},    [LP_FILTER_BOX] = {box, 0.5},
    [LP_FILTER_HAMMING] = {hamming, 1.0},
};

/* --- taps ------------------------------------------------------------------------ */

/* All arrays lie in one block. */
typedef struct TapBlock {
  LpTaps taps;
  void *memory;
  size_t bytes;
} TapBlock;

static void free_taps(TapBlock *b) {
  lp_free(b->memory, b->bytes);
  b->memory = NULL;
}

static int32_t to_fixed(double weight) {
  const double scaled = weight * (1 << LP_WEIGHT_BITS);
  return (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

static bool make_taps(TapBlock *b, int64_t in, int64_t out, const Filter *filter) {
  const double scale = (double)(float)in / (double)out;
  const double stretch = scale < 1.0 ? 1.0 : scale;
  const double support = filter->support * stretch;
  const int64_t most = (int64_t)ceil(support) * 2 + 1;
  const int64_t width = (most + 3) / 4 * 4;
  CHECK(out < INT32_MAX / (width * 16), LP_ERR_MEMORY,
        "resizing %lld pixels to %lld needs too much memory", (long long)in,
        (long long)out);
  const size_t n = (size_t)out, w = (size_t)width;
  const size_t row = (w * sizeof(double) + 63) / 64 * 64;
  b->bytes = row + n * (w * 8 + 8);
  b->memory = lp_alloc(b->bytes);
  if (!b->memory) return false;
  double *weight = b->memory;
  LpTaps *t = &b->taps;
  *t = (LpTaps){.count = out, .width = width};
  t->split = (int16_t *)((char *)b->memory + row);
  t->weights = (int32_t *)(t->split + n * w * 2);
  t->first = t->weights + n * w;
  t->used = t->first + n;

  const double inverse = 1.0 / stretch;
  for (int64_t i = 0; i < out; i++) {
    const double centre = ((double)i + 0.5) * scale;
    int64_t first = (int64_t)(centre - support + 0.5);
    int64_t last = (int64_t)(centre + support + 0.5);
    if (first < 0) first = 0;
    if (last > in) last = in;
    const int64_t used = last - first;
    double sum = 0.0;
    for (int64_t k = 0; k < used; k++) {
      weight[k] = filter->weight(((double)(k + first) - centre + 0.5) * inverse);
      sum += weight[k];
    }
    int32_t *fixed = t->weights + i * width;
    int16_t *split = t->split + i * width * 2;
    for (int64_t k = 0; k < width; k++) {
      const int32_t f =
          k >= used ? 0 : to_fixed(sum != 0.0 ? weight[k] / sum : weight[k]);
      fixed[k] = f;
      split[k / 4 * 8 + k % 4] = (int16_t)(f & ((1 << LP_WEIGHT_LOW_BITS) - 1));
      split[k / 4 * 8 + k % 4 + 4] = (int16_t)(f >> LP_WEIGHT_LOW_BITS);
    }
    t->first[i] = (int32_t)first;
    t->used[i] = (int32_t)used;
  }
  return true;
}

/* --- passes ---------------------------------------------------------------------- */

typedef struct Pass {
  LpPixels in;
  uint8_t *out;
  int64_t out_stride;
  const LpTaps *taps;
  int64_t direct;        /* rows after which READ_AHEAD bytes of the source follow */
  const uint8_t *copies; /* the others, each with room behind it */
  int64_t copy_stride;
} Pass;

static void horizontal_rows(void *ctx, int64_t begin, int64_t end) {
  const Pass *p = ctx;
  const LpPixels *in = &p->in;
  const int64_t middle = end < p->direct ? end : begin > p->direct ? begin : p->direct;
  if (begin < middle)
    lp_resample_kernels()->horizontal(in->data + begin * in->stride_bytes,
                                      in->stride_bytes, p->out + begin * p->out_stride,
                                      p->out_stride, middle - begin, in->channels,
                                      p->taps);
  if (middle < end)
    lp_resample_kernels()->horizontal(p->copies + (middle - p->direct) * p->copy_stride,
                                      p->copy_stride, p->out + middle * p->out_stride,
                                      p->out_stride, end - middle, in->channels, p->taps);
}

static bool horizontal(LpPixels in, uint8_t *out, const LpTaps *taps) {
  const int64_t row_bytes = in.width * in.channels;
  Pass p = {.in = in, .out = out, .out_stride = taps->count * in.channels, .taps = taps};
  int64_t after = (READ_AHEAD + in.stride_bytes - 1) / in.stride_bytes;
  if (after > in.height) after = in.height;
  p.direct = in.height - after;
  p.copy_stride = row_bytes + READ_AHEAD;
  const size_t bytes = (size_t)(after * p.copy_stride);
  uint8_t *copies = lp_calloc(bytes);
  if (!copies) return false;
  for (int64_t i = 0; i < after; i++)
    memcpy(copies + i * p.copy_stride, in.data + (p.direct + i) * in.stride_bytes,
           (size_t)row_bytes);
  p.copies = copies;
  const int64_t work = taps->count * taps->width * in.channels / 8 + 1; /* of a row */
  lp_parallel_for(in.height, GRAIN / work, horizontal_rows, &p);
  lp_free(copies, bytes);
  return true;
}

static void vertical_rows(void *ctx, int64_t begin, int64_t end) {
  const Pass *p = ctx;
  for (int64_t y = begin; y < end; y++)
    lp_resample_kernels()->vertical(p->in.data, p->in.stride_bytes,
                                    p->out + y * p->out_stride, p->out_stride, y,
                                    p->taps);
}

static void vertical(LpPixels in, uint8_t *out, const LpTaps *taps) {
  const int64_t row_bytes = in.width * in.channels;
  Pass p = {.in = in, .out = out, .out_stride = row_bytes, .taps = taps};
  const int64_t work = row_bytes * taps->width / 16 + 1;
  lp_parallel_for(taps->count, GRAIN / work, vertical_rows, &p);
}

/* Note [Order of passes]: the 8 bits between the passes make their order visible. Pillow
 * (13) starts with the columns of a row unless the height shrinks, and by more than twice
 * what the width loses; found by experiment over sizes, filters and channels. */
static bool starts_with_rows(LpPixels in, int64_t height, int64_t width) {
  return height < in.height && 2 * (in.width - width) < in.height - height;
}

bool lp_pixels_resample(LpPixels in, uint8_t *out, int64_t height, int64_t width,
                        LpFilter filter) {
  ASSERT(filter != LP_FILTER_NEAREST);
  const Filter *f = &filters[filter];
  const bool across = width != in.width, down = height != in.height;
  if (!across && !down) {
    for (int64_t y = 0; y < height; y++)
      memcpy(out + y * width * in.channels, in.data + y * in.stride_bytes,
             (size_t)(width * in.channels));
    return true;
  }
  TapBlock columns = {.memory = NULL}, rows = {.memory = NULL};
  bool ok = (!across || make_taps(&columns, in.width, width, f)) &&
            (!down || make_taps(&rows, in.height, height, f));
  uint8_t *between = NULL;
  size_t between_bytes = 0;
  if (ok && across && down) {
    const bool rows_first = starts_with_rows(in, height, width);
    LpPixels middle = in;
    if (rows_first) {
      middle.height = height;
    } else {
      middle.width = width;
    }
    middle.stride_bytes = middle.width * in.channels;
    between_bytes = (size_t)(middle.height * middle.stride_bytes);
    middle.data = between = lp_alloc(between_bytes);
    ok = between != NULL;
    if (ok && rows_first) {
      vertical(in, between, &rows.taps);
      ok = horizontal(middle, out, &columns.taps);
    } else if (ok) {
      ok = horizontal(in, between, &columns.taps);
      if (ok) vertical(middle, out, &rows.taps);
    }
  } else if (ok && across) {
    ok = horizontal(in, out, &columns.taps);
  } else if (ok) {
    vertical(in, out, &rows.taps);
  }
  lp_free(between, between_bytes);
  free_taps(&columns);
  free_taps(&rows);
  if (ok && lp_interrupt_pending()) return lp_fail(LP_ERR_INTERRUPT, "interrupted");
  return ok;
}
