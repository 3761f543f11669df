/* See conv_windows.h. */
#include "cpu/conv_windows.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/whole.h"
#include "cpu/kept.h"

/* Multiply-adds that make another thread worth its start. */
#define THREAD_GRAIN (128 * 1024)
/* Bytes of a band of laid rows: they stay in the nearest cache beside weights. */
#define BAND_BYTES (24 * 1024)
#define MOST_CHANNELS 64
/* Floats of a laid row, at most. */
#define MOST_ROW (256 * 1024)

/* The convolution that is run, the gradient of the input as one of the turned kernel; in
 * order depth, height, width, missing dims of size 1. */
typedef struct Sweep {
  int64_t n, c, k, in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  bool turned, planes;
  int64_t plane;           /* pixels of x
                            */
  int64_t pitch;           /* floats of a laid column */
  int64_t columns;         /* of a laid row */
  int64_t step, depth;     /* from window to window; of a window */
  int64_t rows, row, band; /* of results in all; floats of a laid one; laid at once */
  const float *x;
  float *y;
} Sweep;

static void set_dims(Sweep *s, const LpConvGeometry *g, bool turned) {
  *s = (Sweep){.n = g->n, .c = g->c, .k = g->k, .turned = turned};
  if (turned) {
    s->c = g->k;
    s->k = g->c;
  }
  for (int d = 0; d < 3; d++) {
    const int from = d - (3 - g->ndim);
    const bool is = from >= 0;
    s->in[d] = !is ? 1 : turned ? g->out[from] : g->in[from];
    s->out[d] = !is ? 1 : turned ? g->in[from] : g->out[from];
    s->kernel[d] = is ? g->kernel[from] : 1;
    s->stride[d] = is ? g->stride[from] : 1;
    s->dilation[d] = is ? g->dilation[from] : 1;
    s->padding[d] = is ? g->padding[from] : 0;
    if (turned) s->padding[d] = s->dilation[d] * (s->kernel[d] - 1) - s->padding[d];
  }
}

static void set_sizes(Sweep *s) {
  s->plane = s->in[0] * s->in[1] * s->in[2];
  s->pitch = s->kernel[0] * s->kernel[1] * s->c;
  s->columns = (s->out[2] - 1) * s->stride[2] + s->kernel[2];
  s->step = s->stride[2] * s->pitch;
  s->depth = s->kernel[2] * s->pitch;
  s->rows = s->n * s->out[0] * s->out[1];
  s->row = s->columns * s->pitch;
  { static int64_t bb; if (!bb) bb = getenv("BB") ? atoi(getenv("BB")) : BAND_BYTES;
  s->band = bb / ((s->row + s->out[2] * lp_least(32,s->k)) * (int64_t)sizeof(float));}
  if (s->band < 1) s->band = 1;
  s->band = lp_least(s->band, s->rows);
}

static int64_t taps_of(const Sweep *s) {
  return s->kernel[0] * s->kernel[1] * s->kernel[2];
}

/* --- panels of weights
 * ----------------------------------------------------------------------- */

static int64_t padded_channels(const Sweep *s) {
  const int64_t lanes = lp_windows_kernels()->lanes;
  return lp_ratio_up(s->k, lanes) * lanes;
}

/* Channels of the panel that begins at `channel`, with those that are there for the
 * vectors' sake. */
static int64_t width_of(const Sweep *s, int64_t channel) {
  return lp_least(lp_windows_kernels()->columns, padded_channels(s) - channel);
}

/* Where number d of a window has its weight for an output channel, in the tensor: its
 * place is base + channel * next. */
typedef struct Place {
  int64_t base, next;
} Place;

static Place place_of(const Sweep *s, int64_t d) {
  const int64_t c = d % s->c, line = d / s->c % (s->kernel[0] * s->kernel[1]),
                column = d / s->pitch, taps = taps_of(s);
  const int64_t tap = line * s->kernel[2] + column;
  return s->turned ? (Place){c * s->k * taps + taps - 1 - tap, taps}
                   : (Place){c * taps + tap, s->c * taps};
}

static void pack_weights(const Sweep *s, const float *w, float *to) {
  for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
    const int64_t width = width_of(s, channel);
    for (int64_t d = 0; d < s->depth; d++, to += width) {
      const Place at = place_of(s, d);
      for (int64_t i = 0; i < width; i++)
        to[i] = channel + i < s->k ? w[at.base + (channel + i) * at.next] : 0;
    }
  }
}

static void unpack_weights(const Sweep *s, const float *from, float *w) {
  for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
    const int64_t width = width_of(s, channel);
    for (int64_t d = 0; d < s->depth; d++, from += width) {
      const Place at = place_of(s, d);
      for (int64_t i = 0; i < lp_least(width, s->k - channel); i++)
        w[at.base + (channel + i) * at.next] = from[i];
    }
  }
}

/* --- laid rows
 * ------------------------------------------------------------------------------- */

/* A row of x, or the zeros where it is not there, as one of the lines of a laid row. */
static void lay_line(const Sweep *s, const float *x, float *to) {
  static const float zeros[MOST_CHANNELS];
  const LpWindowsKernels *kernels = lp_windows_kernels();
  const int64_t before = x ? lp_least(s->padding[2], s->columns) : s->columns,
                inside = x ? lp_least(s->in[2], s->columns - before) : 0;
  LpWindowsLine zero = {
      .from = zeros, .to = to, .count = before, .c = s->c, .channel = 1};
  zero.step = s->pitch;
  kernels->lay(&zero);
  const LpWindowsLine line = {.from = x,
                              .to = to + before * s->pitch,
                              .count = inside,
                              .c = s->c,
                              .channel = s->planes ? s->plane : 1,
                              .from_step = s->planes ? 1 : s->c,
                              .step = s->pitch};
  kernels->lay(&line);
  zero.to = line.to + inside * s->pitch;
  zero.count = s->columns - before - inside;
  kernels->lay(&zero);
}

/* A row of results. */
typedef struct At {
  int64_t image, d, h;
} At;

/* Lays the rows of x under a row of results. `before`, the one laid for the row of
 * results above, has all of them but the last ones: moved, these come to lie where others
 * were. */
static void lay_row(const Sweep *s, At at, const float *before, float *to) {
  const float *image = s->x + at.image * s->c * s->plane;
  const int64_t moved = s->stride[1];
  int64_t first = 0;
  if (before && at.h > 0 && s->dilation[1] == 1 && moved < s->kernel[1]) {
    memmove(to, before + moved * s->c, (size_t)(s->row - moved * s->c) * sizeof *to);
    first = s->kernel[1] - moved;
  }
  for (int64_t kd = 0; kd < s->kernel[0]; kd++) {
    const int64_t id = at.d * s->stride[0] - s->padding[0] + kd * s->dilation[0];
    for (int64_t kh = first; kh < s->kernel[1]; kh++) {
      const int64_t ih = at.h * s->stride[1] - s->padding[1] + kh * s->dilation[1];
      const bool is = id >= 0 && id < s->in[0] && ih >= 0 && ih < s->in[1];
      const int64_t pixel = (id * s->in[1] + ih) * s->in[2];
      lay_line(s, is ? image + (s->planes ? pixel : pixel * s->c) : NULL,
               to + (kd * s->kernel[1] + kh) * s->c);
    }
  }
}

/* Rows [row, row + count), the first of them below the last that is laid, if `follows`.
 */
static void lay_band(const Sweep *s, int64_t row, int64_t count, bool follows,
                     float *laid) {
  At at = {.image = row / s->out[1] / s->out[0],
           .d = row / s->out[1] % s->out[0],
           .h = row % s->out[1]};
  const float *before = follows ? laid + (s->band - 1) * s->row : NULL;
  for (int64_t i = 0; i < count; i++, laid += s->row) {
    lay_row(s, at, before, laid);
    before = laid;
    if (++at.h < s->out[1]) continue;
    at.h = 0;
    if (++at.d < s->out[0]) continue;
    at.d = 0;
    at.image++;
  }
}

/* --- results
 * --------------------------------------------------------------------------------- */

typedef struct Job {
  const Sweep *s;
  float *weights, *bias; /* packed; of the weights' gradient, sums of each piece */
  int64_t pieces;
  _Atomic bool failed;
} Job;

static float *enter_band(Job *j, size_t *capacity) {
  float *laid = lp_block_alloc((size_t)(j->s->band * j->s->row) * sizeof *laid, capacity);
  if (!laid) atomic_store(&j->failed, true);
  return laid;
}

/* Windows of `count` lines of results and the panel that begins at `channel`. */
static LpWindows panel_of(const Sweep *s, const float *laid, int64_t row, int64_t lines,
                          int64_t channel) {
  return (LpWindows){.lines = lines,
                     .count = s->out[2],
                     .windows = laid,
                     .step = s->step,
                     .pitch = s->row,
                     .y = s->y + row * s->out[2] * s->k + channel,
                     .k = s->k,
                     .y_pitch = s->out[2] * s->k,
                     .channels = lp_least(width_of(s, channel), s->k - channel)};
}

/* The products of a row are as even as can be: the first ones have a result more. */
static void multiply_panel(const Sweep *s, LpWindows *w) {
  const LpWindowsKernels *kernels = lp_windows_kernels();
  const int64_t count = w->count, products = lp_ratio_up(count, kernels->rows),
                rows = count / products, taller = count % products;
  w->count = taller * (rows + 1);
  if (taller) kernels->multiply(w, rows + 1, s->depth);
  w->windows += w->count * w->step;
  w->y += w->count * w->k;
  w->count = count - w->count;
  kernels->multiply(w, rows, s->depth);
}

static void multiply_rows(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const Sweep *s = j->s;
  size_t capacity;
  float *laid = enter_band(j, &capacity);
  if (!laid) return;
  for (int64_t row = begin; row < end; row += s->band) {
    const int64_t count = lp_least(s->band, end - row);
    lay_band(s, row, count, row > begin, laid);
    for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
      LpWindows w = panel_of(s, laid, row, count, channel);
      w.weights = j->weights + channel * s->depth;
      w.bias = j->bias + channel;
      multiply_panel(s, &w);
    }
  }
  lp_block_free(laid, capacity);
}

static int64_t work_of_row(const Sweep *s) {
  return s->out[2] * s->depth * padded_channels(s);
}

typedef struct Packing {
  const Sweep *s;
  const float *w;
} Packing;

static bool pack_kept(void *ctx, void *memory) {
  const Packing *p = ctx;
  pack_weights(p->s, p->w, memory);
  return true;
}

static bool run_results(const LpConvCall *c, Sweep *s) {
  const size_t channels = (size_t)padded_channels(s),
               floats = channels * (size_t)s->depth;
  Packing p = {s, c->w};
  const struct {
    int64_t is_windows, k, c, kernel[3], turned;
  } key = {3, s->k, s->c, {s->kernel[0], s->kernel[1], s->kernel[2]}, s->turned};
  LpKept *kept = c->weight ? lp_kept_enter(c->weight, &key, sizeof key,
                                           floats * sizeof(float), pack_kept, &p)
                           : NULL;
  size_t capacity;
  Job j = {.s = s};
  j.bias = lp_block_alloc((channels + (kept ? 0 : floats)) * sizeof *j.bias, &capacity);
  if (j.bias) {
    memset(j.bias, 0, channels * sizeof *j.bias);
    if (c->b) memcpy(j.bias, c->b, (size_t)s->k * sizeof *j.bias);
    j.weights = kept ? lp_kept_memory(kept) : j.bias + channels;
    if (!kept) pack_weights(s, c->w, j.weights);
    lp_parallel_for(s->rows, THREAD_GRAIN / (work_of_row(s) + 1) + 1, multiply_rows, &j);
    lp_block_free(j.bias, capacity);
  }
  lp_kept_leave(kept);
  TRY(j.bias);
  CHECK(!atomic_load(&j.failed), LP_ERR_MEMORY, "out of memory in a convolution");
  return true;
}

/* --- weights' gradient
 * ----------------------------------------------------------------------- */

/* So many pieces of the rows that threads share them evenly, whatever their number, and
 * so few that adding their sums up does not count. */
#define MOST_PIECES 32
#define LEAST_RESULTS 256 /* of a piece */
#define LINE 16           /* floats of a line of the cache */

/* Adds a band's sums; the gradient of the next one is asked for meanwhile. */
static void add_band(const Sweep *s, const float *laid, int64_t row, int64_t count,
                     float *sums) {
  const LpWindowsKernels *kernels = lp_windows_kernels();
  const int64_t products = lp_ratio_up(s->depth, kernels->rows),
                floats = count * s->out[2] * s->k;
  const float *next = s->y + row * s->out[2] * s->k + floats,
              *end = row + 2 * count <= s->rows ? next + floats : next;
  for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
    const int64_t width = width_of(s, channel);
    for (int64_t i = 0; i < products; i++) {
      const int64_t first = s->depth * i / products;
      LpWindows w = panel_of(s, laid + first, row, count, channel);
      w.weights = sums + channel * s->depth + first * width;
      w.fetch = next < end ? next : NULL;
      kernels->add_sums(&w, s->depth * (i + 1) / products - first);
      next += count * s->out[2] * LINE;
    }
  }
}

static void add_pieces(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const Sweep *s = j->s;
  const int64_t floats = padded_channels(s) * s->depth;
  size_t capacity;
  float *laid = enter_band(j, &capacity);
  if (!laid) return;
  for (int64_t piece = begin; piece < end; piece++) {
    float *sums = j->weights + piece * floats;
    memset(sums, 0, (size_t)floats * sizeof *sums);
    const int64_t first = s->rows * piece / j->pieces,
                  last = s->rows * (piece + 1) / j->pieces;
    for (int64_t row = first; row < last; row += s->band) {
      const int64_t count = lp_least(s->band, last - row);
      lay_band(s, row, count, row > first, laid);
      add_band(s, laid, row, count, sums);
    }
  }
  lp_block_free(laid, capacity);
}

/* Of all pieces, into the first one's. */
static void add_up(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  const int64_t floats = padded_channels(j->s) * j->s->depth;
  for (int64_t piece = 1; piece < j->pieces; piece++) {
    const float *from = j->weights + piece * floats;
    for (int64_t i = begin; i < end; i++) j->weights[i] += from[i];
  }
}

static bool run_weight_grad(const LpConvCall *c, Sweep *s) {
  const int64_t floats = padded_channels(s) * s->depth;
  Job j = {.s = s};
  j.pieces = lp_least(MOST_PIECES, s->rows * s->out[2] / LEAST_RESULTS + 1);
  j.pieces = lp_least(j.pieces, s->rows);
  size_t capacity;
  j.weights = lp_block_alloc((size_t)(j.pieces * floats) * sizeof *j.weights, &capacity);
  TRY(j.weights);
  const int64_t work = s->rows / j.pieces * work_of_row(s);
  lp_parallel_for(j.pieces, THREAD_GRAIN / (work + 1) + 1, add_pieces, &j);
  if (!atomic_load(&j.failed)) {
    lp_parallel_for(floats, LP_GRAIN / j.pieces + 1, add_up, &j);
    unpack_weights(s, j.weights, c->w);
  }
  lp_block_free(j.weights, capacity);
  CHECK(!atomic_load(&j.failed), LP_ERR_MEMORY, "out of memory in a convolution");
  return true;
}

/* --- public
 * ------------------------------------------------------------------------------ */

bool lp_conv_windows_pays(LpConvPass pass, const LpConvGeometry *g) {
  const int last = g->ndim - 1;
  if (!lp_windows_kernels()->rows || g->groups != 1 || g->dilation[last] != 1)
    return false;
  Sweep s;
  set_dims(&s, g, pass == LP_CONV_INPUT_GRAD);
  for (int d = 0; d < 3; d++)
    if (s.padding[d] < 0 || (s.turned && s.stride[d] != 1)) return false;
  if (s.c > MOST_CHANNELS) return false;
  set_sizes(&s);
  return s.row <= MOST_ROW;
}

/* Of more channels, numbers are sooner copied one after the other. */
bool lp_conv_windows_read_planes(LpConvPass pass, const LpConvGeometry *g) {
  return pass != LP_CONV_INPUT_GRAD && g->c <= 4;
}

bool lp_conv_windows(const LpConvCall *call, const LpConvGeometry *g) {
  Sweep s;
  set_dims(&s, g, call->pass == LP_CONV_INPUT_GRAD);
  set_sizes(&s);
  s.x = s.turned ? call->y : call->x;
  s.y = s.turned ? call->x : call->y;
  s.planes = call->planes;
  return call->pass == LP_CONV_WEIGHT_GRAD ? run_weight_grad(call, &s)
                                           : run_results(call, &s);
}
