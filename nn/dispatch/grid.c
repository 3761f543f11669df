/* Grid sampling: checks and the split over threads; the loops are in
 * cpu/simd/grid_body.h. */
#include "core/parallel.h"
#include "cpu/grid.h"
#include "dispatch/layout.h"
#include "dispatch/nn_util.h"
#include "impl.h"

/* Both modes by name, and the sizes. size: of the input, (N, C, ...). */
static bool describe(LpTensor *grid, LpInts size, const char *mode, const char *padding,
                     bool align_corners, LpGridShape *s) {
  CHECK(!strcmp(mode, "bilinear") || !strcmp(mode, "nearest") || !strcmp(mode, "bicubic"),
        LP_ERR_ARGUMENT,
        "expected 'mode' to be 'bilinear', 'nearest' or 'bicubic', got '%s'", mode);
  CHECK(!strcmp(padding, "zeros") || !strcmp(padding, "border") ||
            !strcmp(padding, "reflection"),
        LP_ERR_ARGUMENT,
        "expected 'padding_mode' to be 'zeros', 'border' or 'reflection', got '%s'",
        padding);
  *s = (LpGridShape){.align_corners = align_corners, .in = {1, 1, 1}, .positions = 1};
  s->mode = !strcmp(mode, "bilinear")  ? LP_GRID_LINEAR
            : !strcmp(mode, "nearest") ? LP_GRID_NEAREST
                                       : LP_GRID_CUBIC;
  s->padding = !strcmp(padding, "zeros")    ? LP_GRID_ZEROS
               : !strcmp(padding, "border") ? LP_GRID_BORDER
                                            : LP_GRID_REFLECTION;
  s->dims = (int)size.count - 2;
  s->channels = size.data[1];
  int64_t plane = 1;
  for (int d = 0; d < s->dims; d++) {
    s->in[d] = size.data[size.count - 1 - d];
    plane *= s->in[d];
    s->positions *= lp_size(grid, d + 1);
  }
  CHECK(plane < INT32_MAX, LP_ERR_ARGUMENT,
        "expected less than 2^31 elements in a plane of 'input', got %lld",
        (long long)plane);
  return true;
}

static bool check(LpTensor *input, LpTensor *grid, const char *mode, const char *padding,
                  bool align_corners, LpGridShape *s) {
  int64_t ndim = lp_ndim(input);
  CHECK(ndim == 4 || ndim == 5, LP_ERR_ARGUMENT,
        "expected 'input' of 4 dims (batch, channels, height, width) or 5 dims, got %s",
        SHAPE_TEXT(input));
  CHECK(lp_ndim(grid) == ndim, LP_ERR_ARGUMENT,
        "expected 'grid' of as many dims as 'input', %lld, got %s", (long long)ndim,
        SHAPE_TEXT(grid));
  CHECK(lp_size(grid, 0) == lp_size(input, 0), LP_ERR_ARGUMENT,
        "expected 'input' and 'grid' of one batch size, got %s and %s", SHAPE_TEXT(input),
        SHAPE_TEXT(grid));
  CHECK(lp_size(grid, ndim - 1) == ndim - 2, LP_ERR_ARGUMENT,
        "expected 'grid' with %lld coordinates in its last dim, got %s",
        (long long)ndim - 2, SHAPE_TEXT(grid));
  for (int64_t d = 2; d < ndim; d++)
    CHECK(lp_size(input, d) > 0, LP_ERR_ARGUMENT,
          "expected 'input' with elements in every dim but batch and channels, got %s",
          SHAPE_TEXT(input));
  CHECK_FLOATING(input, "input");
  CHECK(lp_dtype(grid) == lp_dtype(input), LP_ERR_TYPE,
        "expected 'input' and 'grid' of one dtype, got %s and %s",
        lp_dtype_name(lp_dtype(input)), lp_dtype_name(lp_dtype(grid)));
  return describe(grid, lp_sizes(input), mode, padding, align_corners, s);
}

/* Are the images best taken with their channels last, where a tap is a row of channels?
 * Where they do not lie so, putting them in that order has to pay. */
static bool is_best_last(LpTensor *input, const LpGridShape *s) {
  if (s->channels < 2) return false;
  return nn_lies_last(input) ||
         (s->channels >= 8 &&
          s->positions > s->in[0] * s->in[1] * s->in[2] / lp_grid_taps(s) * 2);
}

typedef struct GridJob {
  LpGridShape s;
  bool last;          /* the images lie channels last */
  int type;           /* of the grid */
  size_t grid_bytes;  /* of a grid's element */
  size_t value_bytes; /* of a value */
  int64_t plane, taps, batch;
  const char *x, *grid, *g;
  char *to;
  int64_t *indices;
  const int64_t *orders;
  int what;            /* which of the loops over positions */
  int64_t parts, part; /* of the channels: how many, and the size of one */
} GridJob;

enum { SAMPLE, GRID_GRAD, WEIGHTS, INDICES };

static GridJob job(const LpGridShape *s, LpTensor *grid, int64_t batch) {
  GridJob j = {.s = *s, .type = nn_float_index(lp_dtype(grid)), .batch = batch};
  j.grid_bytes = lp_dtype_size(lp_dtype(grid));
  j.value_bytes = lp_dtype_size(nn_compute_dtype(lp_dtype(grid)));
  j.plane = s->in[0] * s->in[1] * s->in[2];
  j.taps = lp_grid_taps(s);
  j.grid = lp_data(grid);
  return j;
}

/* Positions [begin, end) of the whole batch. */
static void positions(void *ctx, int64_t begin, int64_t end) {
  GridJob *j = ctx;
  const LpGridShape *s = &j->s;
  const LpGridKernels *k = lp_grid_kernels();
  while (begin < end && !lp_interrupt_pending()) {
    int64_t n = begin / s->positions, from = begin - n * s->positions;
    int64_t to = end - n * s->positions;
    if (to > s->positions) to = s->positions;
    if (to > from + 4096) to = from + 4096;
    size_t values = (size_t)(n * s->channels * s->positions) * j->value_bytes;
    const char *grid = j->grid + (size_t)(n * s->positions * s->dims) * j->grid_bytes;
    const char *x =
        j->x ? j->x + (size_t)(n * s->channels * j->plane) * j->value_bytes : NULL;
    switch (j->what) {
    case SAMPLE:
      (j->last ? k->sample_last : k->sample)[j->type](s, x, grid, from, to,
                                                      j->to + values);
      break;
    case GRID_GRAD:
      (j->last ? k->grid_grad_last : k->grid_grad)[j->type](
          s, x, grid, j->g + values, from, to,
          j->to + (size_t)(n * s->positions * s->dims) * j->value_bytes);
      break;
    case WEIGHTS:
      k->weights[j->type](s, grid, j->orders, from, to,
                          j->to + (size_t)(n * s->positions * j->taps) * j->value_bytes);
      break;
    default:
      k->indices[j->type](s, grid, from, to, j->indices + n * s->positions * j->taps);
    }
    begin += to - from;
  }
}

static void run_positions(GridJob *j, int what) {
  j->what = what;
  int64_t cost = j->taps * (j->s.channels + 8);
  lp_parallel_for(j->batch * j->s.positions, LP_GRAIN / cost + 64, positions, j);
}

LpTensor *lp_impl_grid_sample_nd(LpTensor *input, LpTensor *grid, const char *mode,
                                 const char *padding_mode, bool align_corners) {
  LpGridShape s;
  TRY(check(input, grid, mode, padding_mode, align_corners, &s));
  LpDtype dtype = nn_compute_dtype(lp_dtype(input));
  int64_t sizes[5] = {lp_size(input, 0), s.channels};
  for (int d = 0; d < s.dims; d++) sizes[d + 2] = lp_size(grid, d + 1);
  const bool last = is_best_last(input, &s);
  LpTensor *x = nn_laid(input, dtype, last), *at = nn_dense(grid, lp_dtype(grid)),
           *y = x ? nn_new_hidden(x, lp_ints(sizes, s.dims + 2), dtype, last) : NULL;
  bool ok = x && at && y;
  if (ok && lp_numel(y)) {
    GridJob j = job(&s, at, sizes[0]);
    j.last = last;
    j.x = nn_laid_data(x, last);
    j.to = nn_laid_data(y, last);
    run_positions(&j, SAMPLE);
  }
  lp_tensor_release(x);
  lp_tensor_release(at);
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, lp_dtype(input));
}

/* Parts [begin, end) of the channels of the whole batch. */
static void channels(void *ctx, int64_t begin, int64_t end) {
  GridJob *j = ctx;
  const LpGridShape *s = &j->s;
  const LpGridKernels *k = lp_grid_kernels();
  for (int64_t p = begin; p < end && !lp_interrupt_pending(); p++) {
    const int64_t n = p / j->parts, from = p % j->parts * j->part, upto = from + j->part;
    (j->last ? k->input_grad_last : k->input_grad)[j->type](
        s, j->grid + (size_t)(n * s->positions * s->dims) * j->grid_bytes,
        j->g + (size_t)(n * s->channels * s->positions) * j->value_bytes, from,
        upto < s->channels ? upto : s->channels,
        j->to + (size_t)(n * s->channels * j->plane) * j->value_bytes);
  }
}

/* An image's channels are shared where there are more threads than images: each part
 * makes the taps again. */
static void run_channels(GridJob *j) {
  const int64_t work = j->taps * j->s.positions * j->s.channels,
                threads = lp_parallel_threads(j->batch * j->s.channels,
                                              LP_GRAIN / (work / j->s.channels + 1) + 1),
                wanted = (threads + j->batch - 1) / j->batch;
  j->part = (j->s.channels + wanted - 1) / wanted;
  if (j->last) j->part = (j->part + 15) / 16 * 16; /* whole cache lines */
  j->parts = (j->s.channels + j->part - 1) / j->part;
  lp_parallel_for(j->batch * j->parts, 1, channels, j);
}

bool lp_impl_grid_sample_gradients(LpTensor *grad_output, LpTensor *input, LpTensor *grid,
                                   const char *mode, const char *padding_mode,
                                   bool align_corners, unsigned grad_mask,
                                   LpTensor **results) {
  LpGridShape s;
  TRY(check(input, grid, mode, padding_mode, align_corners, &s));
  LpDtype wanted = lp_dtype(input), dtype = nn_compute_dtype(wanted);
  int64_t batch = lp_size(input, 0);
  const bool last = is_best_last(input, &s);
  LpTensor *x = nn_laid(input, dtype, last), *at = nn_dense(grid, lp_dtype(grid)),
           *g = nn_laid(grad_output, dtype, last), *gx = NULL, *ggrid = NULL;
  bool ok = x && at && g;
  if (ok && (grad_mask & 1))
    ok = (gx = nn_new_hidden(x, lp_sizes(input), dtype, last)) != NULL;
  if (ok && (grad_mask & 2))
    ok = (ggrid = nn_zeros(grid->sizes, grid->ndim, dtype)) != NULL;
  if (ok && gx && lp_numel(gx))
    memset(nn_laid_data(gx, last), 0, (size_t)lp_numel(gx) * lp_dtype_size(dtype));
  if (ok && lp_numel(g)) {
    GridJob j = job(&s, at, batch);
    j.last = last;
    j.x = nn_laid_data(x, last);
    j.g = nn_laid_data(g, last);
    if (gx) {
      j.to = nn_laid_data(gx, last);
      run_channels(&j);
    }
    if (ggrid) {
      j.to = lp_data(ggrid);
      run_positions(&j, GRID_GRAD);
    }
  }
  lp_tensor_release(x);
  lp_tensor_release(at);
  lp_tensor_release(g);
  if (ok && gx) ok = (gx = nn_cast_take(gx, wanted)) != NULL;
  if (ok && ggrid) ok = (ggrid = nn_cast_take(ggrid, wanted)) != NULL;
  if (!ok) {
    lp_drop(&gx);
    lp_drop(&ggrid);
  }
  results[0] = gx;
  results[1] = ggrid;
  return ok;
}

LpTensor *lp_impl_grid_weights(LpTensor *grid, LpInts size, const char *mode,
                               const char *padding_mode, bool align_corners,
                               LpInts orders) {
  LpGridShape s;
  TRY(describe(grid, size, mode, padding_mode, align_corners, &s));
  LpDtype wanted = lp_dtype(grid);
  int64_t sizes[3] = {lp_size(grid, 0), s.positions, lp_grid_taps(&s)};
  LpTensor *at = nn_dense(grid, wanted),
           *w = nn_empty(sizes, 3, nn_compute_dtype(wanted));
  bool ok = at && w;
  if (ok && lp_numel(w)) {
    GridJob j = job(&s, at, sizes[0]);
    int64_t all[3] = {0};
    for (int d = 0; d < s.dims; d++) all[d] = orders.data[d];
    j.orders = all;
    j.to = lp_data(w);
    run_positions(&j, WEIGHTS);
  }
  lp_tensor_release(at);
  if (!ok) lp_drop(&w);
  return nn_cast_take(w, wanted);
}

LpTensor *lp_impl_grid_indices(LpTensor *grid, LpInts size, const char *mode,
                               const char *padding_mode, bool align_corners) {
  LpGridShape s;
  TRY(describe(grid, size, mode, padding_mode, align_corners, &s));
  int64_t sizes[3] = {lp_size(grid, 0), s.positions, lp_grid_taps(&s)};
  LpTensor *at = nn_dense(grid, lp_dtype(grid)), *index = nn_empty(sizes, 3, LP_INT64);
  bool ok = at && index;
  if (ok && lp_numel(index)) {
    GridJob j = job(&s, at, sizes[0]);
    j.indices = lp_data(index);
    run_positions(&j, INDICES);
  }
  lp_tensor_release(at);
  if (!ok) lp_drop(&index);
  return index;
}
