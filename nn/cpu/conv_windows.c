/* See conv_windows.h. */
#include "cpu/conv_windows.h"

#include <stdatomic.h>
#include <string.h>
#include "core/alloc.h"
#include "core/check.h"
#include "core/kept.h"
#include "core/parallel.h"
#include "core/whole.h"

/* Multiply-adds that make another thread worth its start. */
#define THREAD_GRAIN (128 * 1024)
/* Bytes of a band, laid rows of x and a panel's share of y: so many stay in the nearest
 * cache beside the weights. */
#define BAND_BYTES (32 * 1024)
/* Floats of the rows of x that one row of results needs, at most. */
#define MOST_LAID (256 * 1024)
#define MOST_RUNS 512

/* A convolution in order depth, height, width; missing dims have size and kernel 1. */
typedef struct Sweep {
  int64_t n, c, k, in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  int64_t plane, taps;     /* pixels of x, numbers of the kernel, of a channel */
  int64_t row;             /* floats of a laid row of x */
  int64_t band;            /* rows of results that are made at once */
  int64_t group;           /* laid rows of a band, for each of the kernel's depth */
  int64_t n_runs, run;     /* of a window; numbers of each */
  int64_t runs[MOST_RUNS]; /* where they begin */
  bool planes;             /* x is row-major */
  const float *x;
  float *y;
} Sweep;

static int64_t depth_of(const Sweep *s) {
  return s->c * s->taps;
}

/* Rows of x under so many rows of results. */
static int64_t rows_under(const Sweep *s, int64_t rows) {
  return (rows - 1) * s->stride[1] + (s->kernel[1] - 1) * s->dilation[1] + 1;
}

/* False when one row of results needs too much. */
static bool set_sizes(Sweep *s) {
  const int64_t columns =
      (s->out[2] - 1) * s->stride[2] + (s->kernel[2] - 1) * s->dilation[2] + 1;
  if (columns > MOST_LAID || rows_under(s, 1) > MOST_LAID || s->kernel[0] > MOST_RUNS)
    return false;
  s->row = columns * s->c;
  if (rows_under(s, 1) * s->row > MOST_LAID / s->kernel[0]) return false;
  const bool side_by_side = s->dilation[2] == 1;
  s->run = side_by_side ? s->kernel[2] * s->c : s->c;
  s->n_runs = depth_of(s) / s->run;
  return s->n_runs <= MOST_RUNS;
}

static void set_band(Sweep *s) {
  const int64_t columns = lp_windows_kernels()->columns,
                each = s->kernel[0] * s->stride[1] * s->row +
                       s->out[2] * lp_least(s->k, columns),
                more = (rows_under(s, 1) - s->stride[1]) * s->kernel[0] * s->row,
                rows = (BAND_BYTES / (int64_t)sizeof(float) - more) / each;
  s->band = rows < 1 ? 1 : lp_least(rows, s->out[1]);
  s->group = rows_under(s, s->band);
  int64_t i = 0;
  for (int64_t d = 0; d < s->kernel[0]; d++)
    for (int64_t h = 0; h < s->kernel[1]; h++)
      for (int64_t w = 0; w < s->n_runs / s->kernel[0] / s->kernel[1]; w++)
        s->runs[i++] =
            (d * s->group + h * s->dilation[1]) * s->row + w * s->dilation[2] * s->c;
}

static bool set_sweep(Sweep *s, const LpConvGeometry *g) {
  s->n = g->n;
  s->c = g->c;
  s->k = g->k;
  lp_conv_widen(g, s->in, s->out, s->kernel, s->stride, s->padding, s->dilation);
  s->plane = lp_conv_volume(s->in, 3);
  s->taps = lp_conv_volume(s->kernel, 3);
  return set_sizes(s);
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

/* The weights of number d of a window: of output channel 0; others follow a depth apart.
 */
static int64_t place_of(const Sweep *s, int64_t d) {
  return d % s->c * s->taps + d / s->c;
}

static void pack_weights(const Sweep *s, const float *w, float *to) {
  const int64_t depth = depth_of(s);
  for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
    const int64_t width = width_of(s, channel);
    for (int64_t d = 0; d < depth; d++, to += width) {
      const float *from = w + place_of(s, d) + channel * depth;
      for (int64_t i = 0; i < width; i++)
        to[i] = channel + i < s->k ? from[i * depth] : 0;
    }
  }
}

static void unpack_weights(const Sweep *s, const float *from, float *w) {
  const int64_t depth = depth_of(s);
  for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
    const int64_t width = width_of(s, channel), count = lp_least(width, s->k - channel);
    for (int64_t d = 0; d < depth; d++, from += width) {
      float *to = w + place_of(s, d) + channel * depth;
      for (int64_t i = 0; i < count; i++) to[i * depth] = from[i];
    }
  }
}

/* --- bands
 * ------------------------------------------------------------------------------- */

/* Rows [h, h + rows) of results of an image, at one depth; `at`, the first of them. */
typedef struct Band {
  int64_t image, d, h, rows, at;
} Band;

/* The band that begins at a row of results and ends before `end`. */
static Band band_at(const Sweep *s, int64_t row, int64_t end) {
  Band b = {.h = row % s->out[1],
            .d = row / s->out[1] % s->out[0],
            .image = row / s->out[1] / s->out[0],
            .at = row};
  b.rows = lp_least(lp_least(s->band, s->out[1] - b.h), end - row);
  return b;
}

static void lay_row(const Sweep *s, const float *x, float *to) {
  const int64_t columns = s->row / s->c, left = lp_least(s->padding[2], columns),
                inside = lp_least(s->in[2], columns - left),
                right = columns - left - inside;
  memset(to, 0, (size_t)(left * s->c) * sizeof *to);
  to += left * s->c;
  if (s->planes)
    lp_windows_kernels()->interleave(to, x, s->plane, inside, s->c);
  else
    memcpy(to, x, (size_t)(inside * s->c) * sizeof *to);
  memset(to + inside * s->c, 0, (size_t)(right * s->c) * sizeof *to);
}

static void lay_band(const Sweep *s, const Band *b, float *to) {
  const float *image = s->x + b->image * s->c * s->plane;
  const int64_t rows = rows_under(s, b->rows), top = b->h * s->stride[1] - s->padding[1];
  for (int64_t kd = 0; kd < s->kernel[0]; kd++) {
    const int64_t d = b->d * s->stride[0] - s->padding[0] + kd * s->dilation[0];
    float *row = to + kd * s->group * s->row;
    for (int64_t h = top; h < top + rows; h++, row += s->row) {
      const int64_t pixel = (d * s->in[1] + h) * s->in[2];
      if (d < 0 || d >= s->in[0] || h < 0 || h >= s->in[1])
        memset(row, 0, (size_t)s->row * sizeof *row);
      else
        lay_row(s, image + (s->planes ? pixel : pixel * s->c), row);
    }
  }
}

/* The windows of a band and the panel that begins at `channel`. */
static LpWindows panel_of(const Sweep *s, const Band *b, const float *laid,
                          int64_t channel) {
  return (LpWindows){.lines = b->rows,
                     .count = s->out[2],
                     .windows = laid,
                     .step = s->stride[2] * s->c,
                     .pitch = s->stride[1] * s->row,
                     .runs = s->runs,
                     .n_runs = s->n_runs,
                     .run = s->run,
                     .y = s->y + b->at * s->out[2] * s->k + channel,
                     .k = s->k,
                     .y_pitch = s->out[2] * s->k,
                     .channels = lp_least(width_of(s, channel), s->k - channel)};
}

typedef struct Job {
  const Sweep *s;
  float *weights; /* packed; of their gradient, the sums of each piece */
  float *bias;
  int64_t pieces;
  _Atomic bool failed;
} Job;

static float *enter_band(Job *j, size_t *capacity) {
  const Sweep *s = j->s;
  float *laid =
      lp_block_alloc((size_t)(s->kernel[0] * s->group * s->row) * sizeof *laid, capacity);
  if (!laid) atomic_store(&j->failed, true);
  return laid;
}

static int64_t work_of_row(const Sweep *s) {
  return s->out[2] * depth_of(s) * padded_channels(s);
}

static int64_t result_rows(const Sweep *s) {
  return s->n * s->out[0] * s->out[1];
}

/* --- results
 * --------------------------------------------------------------------------------- */

/* The products of a line are as even as can be: the first ones have a result more. */
static void multiply_panel(LpWindows *w) {
  const LpWindowsKernels *kernels = lp_windows_kernels();
  const int64_t count = w->count, products = lp_ratio_up(count, kernels->rows),
                rows = count / products, taller = count % products;
  w->count = taller * (rows + 1);
  if (taller) kernels->multiply(w, rows + 1);
  w->windows += w->count * w->step;
  w->y += w->count * w->k;
  w->count = count - w->count;
  kernels->multiply(w, rows);
}

static void multiply_rows(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const Sweep *s = j->s;
  size_t capacity;
  float *laid = enter_band(j, &capacity);
  if (!laid) return;
  for (int64_t row = begin; row < end;) {
    const Band b = band_at(s, row, end);
    lay_band(s, &b, laid);
    for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
      LpWindows w = panel_of(s, &b, laid, channel);
      w.weights = j->weights + channel * depth_of(s);
      w.bias = j->bias + channel;
      multiply_panel(&w);
    }
    row += b.rows;
  }
  lp_block_free(laid, capacity);
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

static bool run_forward(const LpConvCall *c, const Sweep *s) {
  const size_t channels = (size_t)padded_channels(s),
               floats = channels * (size_t)depth_of(s);
  Packing p = {s, c->w};
  const int64_t key[] = {LP_KEPT_WINDOWS, s->k, s->c, s->taps};
  LpKept *kept =
      lp_kept_enter(c->weight, key, sizeof key, floats * sizeof(float), pack_kept, &p);
  size_t capacity;
  Job j = {.s = s};
  j.bias = lp_block_alloc((channels + (kept ? 0 : floats)) * sizeof *j.bias, &capacity);
  if (j.bias) {
    memset(j.bias, 0, channels * sizeof *j.bias);
    if (c->b) memcpy(j.bias, c->b, (size_t)s->k * sizeof *j.bias);
    j.weights = kept ? lp_kept_memory(kept) : j.bias + channels;
    if (!kept) pack_weights(s, c->w, j.weights);
    lp_parallel_for(result_rows(s), THREAD_GRAIN / (work_of_row(s) + 1) + 1,
                    multiply_rows, &j);
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

/* Sums that are held at once: of a part of a run, or of some runs. */
typedef struct Cut {
  int64_t parts, products; /* of a run; of a window's runs */
} Cut;

static Cut cut_of(const Sweep *s, int64_t width) {
  const LpWindowsKernels *kernels = lp_windows_kernels();
  const int64_t most = kernels->rows * (width > kernels->lanes ? 1 : 2),
                parts = lp_ratio_up(s->run, most),
                runs = lp_least(most / lp_least(s->run, most), LP_WINDOWS_MOST_RUNS);
  return (Cut){parts, lp_ratio_up(s->n_runs, runs)};
}

/* A panel's sums; `next` of y is asked for meanwhile, up to `end`. */
static const float *add_panel(const Sweep *s, const LpWindows *panel, int64_t width,
                              const float *next, const float *end) {
  const Cut cut = cut_of(s, width);
  for (int64_t i = 0; i < cut.products; i++)
    for (int64_t part = 0; part < cut.parts; part++) {
      const int64_t run = s->n_runs * i / cut.products, first = s->run * part / cut.parts;
      LpWindows w = *panel;
      w.runs += run;
      w.n_runs = s->n_runs * (i + 1) / cut.products - run;
      w.run = s->run * (part + 1) / cut.parts - first;
      w.windows += first;
      w.weights += (run * s->run + first) * width;
      w.fetch = next < end ? next : NULL;
      lp_windows_kernels()->add_sums(&w);
      next += w.lines * w.count * LP_WINDOWS_LINE;
    }
  return next;
}

/* The gradient of the band after this one is asked for meanwhile. */
static void add_band(const Sweep *s, const Band *b, const float *laid, float *sums) {
  const int64_t floats = b->rows * s->out[2] * s->k;
  const float *next = s->y + b->at * s->out[2] * s->k + floats,
              *end = next + (b->at + 2 * b->rows <= result_rows(s) ? floats : 0);
  for (int64_t channel = 0; channel < s->k; channel += width_of(s, channel)) {
    LpWindows w = panel_of(s, b, laid, channel);
    w.weights = sums + channel * depth_of(s);
    next = add_panel(s, &w, width_of(s, channel), next, end);
  }
}

static void add_pieces(void *ctx, int64_t begin, int64_t end) {
  Job *j = ctx;
  const Sweep *s = j->s;
  const int64_t floats = padded_channels(s) * depth_of(s), rows = result_rows(s);
  size_t capacity;
  float *laid = enter_band(j, &capacity);
  if (!laid) return;
  for (int64_t piece = begin; piece < end; piece++) {
    float *sums = j->weights + piece * floats;
    memset(sums, 0, (size_t)floats * sizeof *sums);
    const int64_t last = rows * (piece + 1) / j->pieces;
    for (int64_t row = rows * piece / j->pieces; row < last;) {
      const Band b = band_at(s, row, last);
      lay_band(s, &b, laid);
      add_band(s, &b, laid, sums);
      row += b.rows;
    }
  }
  lp_block_free(laid, capacity);
}

/* Of all pieces, into the first one's. */
static void add_up(void *ctx, int64_t begin, int64_t end) {
  const Job *j = ctx;
  const int64_t floats = padded_channels(j->s) * depth_of(j->s);
  for (int64_t piece = 1; piece < j->pieces; piece++) {
    const float *from = j->weights + piece * floats;
    for (int64_t i = begin; i < end; i++) j->weights[i] += from[i];
  }
}

static bool run_weight_grad(const LpConvCall *c, const Sweep *s) {
  const int64_t floats = padded_channels(s) * depth_of(s), rows = result_rows(s);
  Job j = {.s = s};
  j.pieces = lp_least(MOST_PIECES, rows * s->out[2] / LEAST_RESULTS + 1);
  j.pieces = lp_least(j.pieces, rows);
  size_t capacity;
  j.weights = lp_block_alloc((size_t)(j.pieces * floats) * sizeof *j.weights, &capacity);
  TRY(j.weights);
  lp_parallel_for(j.pieces, THREAD_GRAIN / (rows / j.pieces * work_of_row(s) + 1) + 1,
                  add_pieces, &j);
  const bool ok = !atomic_load(&j.failed);
  if (ok) {
    lp_parallel_for(floats, LP_GRAIN / j.pieces + 1, add_up, &j);
    unpack_weights(s, j.weights, c->w);
  }
  lp_block_free(j.weights, capacity);
  CHECK(ok, LP_ERR_MEMORY, "out of memory in a convolution");
  return true;
}

/* --- public
 * ------------------------------------------------------------------------------ */

/* Packed weights stay in the second-level cache. */
#define MOST_WEIGHT_BYTES (256 * 1024)
/* What the library makes the better use of, measured: more channels of x, and 16 of them,
 * which fill a vector (for the weights' gradient it pads numbers in between); many
 * channels of y out of short windows, where it writes memory sooner; the gradient of wide
 * kernels' weights with steps of 1. */
#define FEW 4
#define FEW_TO_SOME 8
#define VECTOR 16
#define MANY 32
#define SHORT 32
#define WIDE 5

static bool is_few(LpConvPass pass, const LpConvGeometry *g) {
  const int last = g->ndim - 1;
  if (g->c > 1 && 2 * g->k <= lp_windows_kernels()->lanes)
    return false; /* most lanes would be idle */
  if (pass == LP_CONV_FORWARD) return g->k > MANY ? g->c <= FEW : g->c <= FEW_TO_SOME;
  const bool is_wide = g->kernel[last] >= WIDE && g->stride[last] == 1;
  return g->c < VECTOR && !(is_wide && g->c > 1 && g->c <= FEW);
}

bool lp_conv_windows_pays(LpConvPass pass, const LpConvGeometry *g) {
  Sweep s;
  return lp_windows_kernels()->rows && pass != LP_CONV_INPUT_GRAD && g->groups == 1 &&
         is_few(pass, g) && set_sweep(&s, g) &&
         (pass != LP_CONV_FORWARD || g->k <= MANY || depth_of(&s) > SHORT) &&
         padded_channels(&s) * depth_of(&s) * (int64_t)sizeof(float) <= MOST_WEIGHT_BYTES;
}

bool lp_conv_windows(const LpConvCall *call, const LpConvGeometry *g) {
  Sweep s;
  set_sweep(&s, g);
  set_band(&s);
  s.x = call->x;
  s.y = call->y;
  s.planes = call->planes;
  return call->pass == LP_CONV_FORWARD ? run_forward(call, &s)
                                       : run_weight_grad(call, &s);
}
