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

/* How the source lies under the results of an axis. */
typedef struct Stretch {
  double scale, support;
  double inverse; /* of the stretch of the filter */
} Stretch;

static Stretch stretch_of(const LpSpan *s, const Filter *filter) {
  const double scale = (double)(float)s->in / (double)s->out;
  const double stretch = scale < 1.0 ? 1.0 : scale;
  return (Stretch){scale, filter->support * stretch, 1.0 / stretch};
}

/* The source's elements [*first, *last) that result i depends on. */
static double reach(const LpSpan *s, const Stretch *t, int64_t i, int64_t *first,
                    int64_t *last) {
  const double centre = ((double)i + 0.5) * t->scale;
  *first = (int64_t)(centre - t->support + 0.5);
  *last = (int64_t)(centre + t->support + 0.5);
  if (*first < 0) *first = 0;
  if (*last > s->in) *last = s->in;
  return centre;
}

void lp_pixels_needed(const LpSpan *span, LpFilter filter, int64_t *first,
                      int64_t *count) {
  *first = span->from;
  *count = span->count;
  if (span->in == span->out || span->count == 0) return;
  const Stretch t = stretch_of(span, &filters[filter]);
  int64_t last, ignored;
  reach(span, &t, span->from, first, &ignored);
  reach(span, &t, span->from + span->count - 1, &ignored, &last);
  *count = last - *first;
}

static bool make_taps(TapBlock *b, const LpSpan *span, const Filter *filter) {
  const Stretch stretch = stretch_of(span, filter);
  const int64_t out = span->count;
  const int64_t most = (int64_t)ceil(stretch.support) * 2 + 1;
  const int64_t width = (most + 3) / 4 * 4;
  CHECK(out < INT32_MAX / (width * 16), LP_ERR_MEMORY,
        "resizing %lld pixels to %lld needs too much memory", (long long)span->in,
        (long long)span->out);
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

  for (int64_t i = 0; i < out; i++) {
    int64_t first, last;
    const double centre = reach(span, &stretch, span->from + i, &first, &last);
    const int64_t used = last - first;
    double sum = 0.0;
    for (int64_t k = 0; k < used; k++) {
      weight[k] = filter->weight(((double)(k + first) - centre + 0.5) * stretch.inverse);
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
    t->first[i] = (int32_t)(first - span->skip);
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
static bool starts_with_rows(const LpSpan *rows, const LpSpan *columns) {
  return rows->out < rows->in && 2 * (columns->in - columns->out) < rows->in - rows->out;
}

static bool holds(const LpSpan *span, LpFilter filter, int64_t size) {
  int64_t first, count;
  lp_pixels_needed(span, filter, &first, &count);
  return span->from >= 0 && span->count > 0 && span->from + span->count <= span->out &&
         first >= span->skip && first + count <= span->skip + size;
}

bool lp_pixels_resample(LpPixels in, uint8_t *out, LpSpan rows, LpSpan columns,
                        LpFilter filter) {
  ASSERT(filter != LP_FILTER_NEAREST);
  CHECK(holds(&rows, filter, in.height) && holds(&columns, filter, in.width),
        LP_ERR_INTERNAL, "the pixels at hand are not those that are needed");
  const Filter *f = &filters[filter];
  const bool across = columns.in != columns.out, down = rows.in != rows.out;
  /* An axis that keeps its size is cut to what is wanted. */
  if (!across) {
    in.data += (columns.from - columns.skip) * in.channels;
    in.width = columns.count;
  }
  if (!down) {
    in.data += (rows.from - rows.skip) * in.stride_bytes;
    in.height = rows.count;
  }
  if (!across && !down) {
    for (int64_t y = 0; y < in.height; y++)
      memcpy(out + y * in.width * in.channels, in.data + y * in.stride_bytes,
             (size_t)(in.width * in.channels));
    return true;
  }
  TapBlock x_taps = {.memory = NULL}, y_taps = {.memory = NULL};
  bool ok = (!across || make_taps(&x_taps, &columns, f)) &&
            (!down || make_taps(&y_taps, &rows, f));
  uint8_t *between = NULL;
  size_t between_bytes = 0;
  if (ok && across && down) {
    const bool rows_first = starts_with_rows(&rows, &columns);
    LpPixels middle = in;
    if (rows_first) {
      middle.height = rows.count;
    } else {
      middle.width = columns.count;
    }
    middle.stride_bytes = middle.width * in.channels;
    between_bytes = (size_t)(middle.height * middle.stride_bytes);
    middle.data = between = lp_alloc(between_bytes);
    ok = between != NULL;
    if (ok && rows_first) {
      vertical(in, between, &y_taps.taps);
      ok = horizontal(middle, out, &x_taps.taps);
    } else if (ok) {
      ok = horizontal(in, between, &x_taps.taps);
      if (ok) vertical(middle, out, &y_taps.taps);
    }
  } else if (ok && across) {
    ok = horizontal(in, out, &x_taps.taps);
  } else if (ok) {
    vertical(in, out, &y_taps.taps);
  }
  lp_free(between, between_bytes);
  free_taps(&x_taps);
  free_taps(&y_taps);
  if (ok && lp_interrupt_pending()) return lp_fail(LP_ERR_INTERRUPT, "interrupted");
  return ok;
}
