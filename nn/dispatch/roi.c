/* Region pooling: checks and the split over regions and channels; the loops are in
 * cpu/simd/roi_body.h. Regions are rows (batch index, x1, y1, x2, y2). */
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/roi.h"
#include "dispatch/nn_util.h"
#include "impl.h"

#include <stdatomic.h>

typedef struct RoiJob {
  LpRoiShape s;
  int type;     /* 0 float, 1 double */
  size_t bytes; /* of an element of the compute dtype */
  int64_t batch, regions;
  const char *rois, *x, *g;
  char *y, *gx;
  int64_t *index;
  atomic_bool out_of_memory;
} RoiJob;

/* The bands, and a row, of one thread. */
typedef struct RoiRoom {
  LpRoiBands sides[2];
  void *row, *memory;
  size_t bytes;
} RoiRoom;

static bool room_new(RoiJob *j, RoiRoom *room) {
  const LpRoiShape *s = &j->s;
  size_t ends = 0, weights = (size_t)s->in[1], w[2];
  bool overflow = false;
  for (int d = 0; d < 2; d++) {
    overflow |= __builtin_mul_overflow((size_t)s->in[d], (size_t)s->out[d], &w[d]) ||
                __builtin_add_overflow(weights, w[d], &weights);
    ends += 2 * (size_t)s->out[d];
  }
  overflow |= ends > SIZE_MAX / 32 ||
              __builtin_mul_overflow(weights, j->bytes, &room->bytes) ||
              __builtin_add_overflow(room->bytes, ends * sizeof(int64_t), &room->bytes);
  room->memory = overflow ? NULL : lp_alloc(room->bytes + 1);
  if (!room->memory) {
    atomic_store(&j->out_of_memory, true);
    return false;
  }
  int64_t *at = room->memory;
  for (int d = 0; d < 2; d++) {
    room->sides[d].lo = at;
    room->sides[d].hi = at + s->out[d];
    at += 2 * s->out[d];
  }
  char *weight = (char *)at;
  for (int d = 0; d < 2; d++) {
    room->sides[d].weight = weight;
    weight += w[d] * j->bytes;
  }
  room->row = weight;
  return true;
}

static void room_free(RoiRoom *room) {
  lp_free(room->memory, room->bytes + 1);
}

/* Which image region r is of; the index has been checked. */
static int64_t image_of(const RoiJob *j, int64_t r) {
  return j->type == 0 ? (int64_t)((const float *)j->rois)[r * 5]
                      : (int64_t)((const double *)j->rois)[r * 5];
}

static void bands_of(const RoiJob *j, int64_t r, const RoiRoom *room, double *share) {
  lp_roi_kernels()->bands[j->type](&j->s, j->rois + (size_t)(r * 5) * j->bytes,
                                   room->sides, share);
}

static size_t image_bytes(const RoiJob *j) {
  return (size_t)(j->s.channels * j->s.in[0] * j->s.in[1]) * j->bytes;
}

static int64_t bins_of(const RoiJob *j) {
  return j->s.out_channels * j->s.out[0] * j->s.out[1];
}

static void regions(void *ctx, int64_t begin, int64_t end) {
  RoiJob *j = ctx;
  RoiRoom room;
  if (!room_new(j, &room)) return;
  for (int64_t r = begin; r < end && !lp_interrupt_pending(); r++) {
    double share;
    const char *x = j->x + (size_t)image_of(j, r) * image_bytes(j);
    char *y = j->y + (size_t)(r * bins_of(j)) * j->bytes;
    bands_of(j, r, &room, &share);
    if (j->index)
      lp_roi_kernels()->max[j->type](&j->s, room.sides, x, y, j->index + r * bins_of(j));
    else
      lp_roi_kernels()->forward[j->type](&j->s, room.sides, &share, x, room.row, y);
  }
  room_free(&room);
}

/* Out channels [begin, end) of every region: threads write to channels of their own. */
static void channels(void *ctx, int64_t begin, int64_t end) {
  RoiJob *j = ctx;
  RoiRoom room;
  if (!room_new(j, &room)) return;
  for (int64_t r = 0; r < j->regions && !lp_interrupt_pending(); r++) {
    double share;
    bands_of(j, r, &room, &share);
    lp_roi_kernels()->adjoint[j->type](
        &j->s, room.sides, &share, j->g + (size_t)(r * bins_of(j)) * j->bytes, begin, end,
        room.row, j->gx + (size_t)image_of(j, r) * image_bytes(j));
  }
  room_free(&room);
}

static const struct {
  const char *name;
  LpRoiKind kind;
} kinds[] = {{"align", LP_ROI_ALIGN},
             {"align_half", LP_ROI_ALIGN_HALF},
             {"ps_align", LP_ROI_PS_ALIGN},
             {"ps_pool", LP_ROI_PS_POOL},
             {"max", LP_ROI_MAX}};

/* Samples of a bin along a side; more would only keep a call from ending. */
#define MAX_SAMPLES ((int64_t)1 << 20)

/* The shape of the work for images of `size`, (N, C, H, W). */
static bool describe(LpTensor *rois, LpDtype dtype, LpInts size, LpInts output_size,
                     double scale, int64_t samples, const char *kind, RoiJob *j) {
  CHECK(size.count == 4, LP_ERR_ARGUMENT,
        "expected 'input' of 4 dims (batch, channels, height, width), got %lld dims",
        (long long)size.count);
  CHECK(lp_ndim(rois) == 2 && lp_size(rois, 1) == 5, LP_ERR_ARGUMENT,
        "expected 'boxes' of shape (K, 5): the index of an image, x1, y1, x2, y2; got %s",
        SHAPE_TEXT(rois));
  CHECK(lp_dtype(rois) == dtype, LP_ERR_TYPE,
        "expected 'input' and 'boxes' of one dtype, got %s and %s", lp_dtype_name(dtype),
        lp_dtype_name(lp_dtype(rois)));
  CHECK(output_size.count == 2 && output_size.data[0] >= 0 && output_size.data[1] >= 0,
        LP_ERR_ARGUMENT, "expected 'output_size' of numbers of at least 0, got %s",
        lp_format_ints(output_size, (char[256]){0}, 256));
  CHECK(samples <= MAX_SAMPLES, LP_ERR_ARGUMENT,
        "expected 'sampling_ratio' of at most %lld, got %lld", (long long)MAX_SAMPLES,
        (long long)samples);
  *j = (RoiJob){.type = dtype == LP_FLOAT64, .batch = size.data[0]};
  j->s = (LpRoiShape){.channels = size.data[1],
                      .out_channels = size.data[1],
                      .scale = scale,
                      .samples = samples};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    if (!strcmp(kind, kinds[i].name)) j->s.kind = kinds[i].kind;
  for (int d = 0; d < 2; d++) {
    j->s.in[d] = size.data[d + 2];
    j->s.out[d] = output_size.data[d];
  }
  if (lp_roi_by_bin(j->s.kind)) {
    int64_t bins;
    CHECK(
        !__builtin_mul_overflow(j->s.out[0], j->s.out[1], &bins) && bins > 0 &&
            size.data[1] % bins == 0,
        LP_ERR_ARGUMENT,
        "expected 'input' whose channels are a multiple of output height * width, %lld * "
        "%lld, got %lld channels",
        (long long)j->s.out[0], (long long)j->s.out[1], (long long)size.data[1]);
    j->s.out_channels /= bins;
  }
  j->bytes = j->type ? sizeof(double) : sizeof(float);
  j->regions = lp_size(rois, 0);
  return true;
}

/* Every region is of an image there is. */
static bool check_images(const RoiJob *j) {
  for (int64_t r = 0; r < j->regions; r++) {
    double n = j->type ? ((const double *)j->rois)[r * 5]
                       : (double)((const float *)j->rois)[r * 5];
    CHECK(n > -1 && n < (double)j->batch, LP_ERR_INDEX,
          "box %lld is of image %g: expected an index of at least 0 and less than the "
          "batch, %lld",
          (long long)r, n, (long long)j->batch);
  }
  return true;
}

/* Rough elements of work for one region of one channel. */
static int64_t cost_of(const RoiJob *j) {
  double cost = (double)j->s.out[0] * (double)j->s.out[1] * 8 + 1;
  return cost > LP_GRAIN ? LP_GRAIN : (int64_t)cost;
}

static bool finish(RoiJob *j) {
  return !atomic_load(&j->out_of_memory) || lp_fail(LP_ERR_MEMORY, "out of memory");
}

/* The forward pass; *indices (max pooling alone) may be NULL. */
static LpTensor *pool(LpTensor *input, LpTensor *rois, LpInts output_size, double scale,
                      int64_t samples, const char *kind, LpTensor **indices) {
  CHECK_FLOATING(input, "input");
  RoiJob j;
  TRY(describe(rois, lp_dtype(input), lp_sizes(input), output_size, scale, samples, kind,
               &j));
  LpDtype dtype = nn_compute_dtype(lp_dtype(input));
  int64_t sizes[4] = {j.regions, j.s.out_channels, j.s.out[0], j.s.out[1]};
  LpTensor *x = nn_dense(input, dtype), *boxes = nn_dense(rois, dtype),
           *y = lp_tensor_new(lp_ints(sizes, 4), dtype, lp_device(input)), *index = NULL;
  bool ok = x && boxes && y;
  if (ok && indices) ok = (index = nn_empty(sizes, 4, LP_INT64)) != NULL;
  if (ok) {
    j.rois = lp_data(boxes);
    ok = check_images(&j);
  }
  if (ok && lp_numel(y)) {
    j.x = lp_data(x);
    j.y = lp_data(y);
    j.index = index ? lp_data(index) : NULL;
    int64_t each = cost_of(&j) * j.s.out_channels;
    lp_parallel_for(j.regions, LP_GRAIN / (each > 0 ? each : 1) + 1, regions, &j);
    ok = finish(&j);
  }
  lp_tensor_release(x);
  lp_tensor_release(boxes);
  if (!ok) {
    lp_drop(&y);
    lp_drop(&index);
  }
  if (indices) *indices = index;
  return nn_cast_take(y, lp_dtype(input));
}

LpTensor *lp_impl_roi_linear(LpTensor *input, LpTensor *rois, LpInts output_size,
                             double spatial_scale, int64_t sampling_ratio,
                             const char *kind) {
  return pool(input, rois, output_size, spatial_scale, sampling_ratio, kind, NULL);
}

LpTensor *lp_impl_roi_linear_adjoint(LpTensor *grad_output, LpTensor *rois, LpInts size,
                                     double spatial_scale, int64_t sampling_ratio,
                                     const char *kind) {
  RoiJob j;
  LpInts out = lp_ints(lp_sizes(grad_output).data + 2, 2);
  TRY(describe(rois, lp_dtype(grad_output), size, out, spatial_scale, sampling_ratio,
               kind, &j));
  LpDtype dtype = nn_compute_dtype(lp_dtype(grad_output));
  LpTensor *g = nn_dense(grad_output, dtype), *boxes = nn_dense(rois, dtype),
           *gx = nn_zeros(size.data, 4, dtype);
  bool ok = g && boxes && gx;
  if (ok) {
    j.rois = lp_data(boxes);
    ok = check_images(&j);
  }
  if (ok && lp_numel(g)) {
    j.g = lp_data(g);
    j.gx = lp_data(gx);
    int64_t each = cost_of(&j) * j.regions;
    lp_parallel_for(j.s.out_channels, LP_GRAIN / (each > 0 ? each : 1) + 1, channels, &j);
    ok = finish(&j);
  }
  lp_tensor_release(g);
  lp_tensor_release(boxes);
  if (!ok) lp_drop(&gx);
  return nn_cast_take(gx, lp_dtype(grad_output));
}

bool lp_impl_roi_max(LpTensor *input, LpTensor *rois, LpInts output_size,
                     double spatial_scale, LpTensor **results) {
  results[1] = NULL;
  results[0] = pool(input, rois, output_size, spatial_scale, 0, "max", &results[1]);
  if (!results[0]) lp_drop(&results[1]);
  return results[0] != NULL;
}

/* (batch, channel) planes: where each maximum of roi_max came from, read or added to. */
typedef struct MaxJob {
  const double *rois;
  const int64_t *index;
  const char *from;
  char *to;
  int64_t regions, channels, bins, plane;
  bool is_double, scatter;
} MaxJob;

static void move_channels(void *ctx, int64_t begin, int64_t end) {
  MaxJob *j = ctx;
  for (int64_t r = 0; r < j->regions && !lp_interrupt_pending(); r++)
    for (int64_t c = begin; c < end; c++) {
      int64_t at = (r * j->channels + c) * j->bins,
              plane = ((int64_t)j->rois[r * 5] * j->channels + c) * j->plane;
      for (int64_t b = at; b < at + j->bins; b++) {
        int64_t i = j->index[b];
        if (i < 0) {
          if (!j->scatter && j->is_double) ((double *)j->to)[b] = 0;
          if (!j->scatter && !j->is_double) ((float *)j->to)[b] = 0;
        } else if (j->is_double) {
          if (j->scatter)
            ((double *)j->to)[plane + i] += ((const double *)j->from)[b];
          else
            ((double *)j->to)[b] = ((const double *)j->from)[plane + i];
        } else {
          if (j->scatter)
            ((float *)j->to)[plane + i] += ((const float *)j->from)[b];
          else
            ((float *)j->to)[b] = ((const float *)j->from)[plane + i];
        }
      }
    }
}

/* from: (K, C, oh, ow) to images of `size`, or the other way. indices are those of
 * roi_max, rois as given to it. */
static LpTensor *move(LpTensor *from, LpTensor *rois, LpTensor *indices, LpInts size,
                      bool scatter) {
  LpDtype dtype = nn_compute_dtype(lp_dtype(from));
  LpTensor *source = nn_dense(from, dtype), *boxes = nn_dense(rois, LP_FLOAT64),
           *index = nn_dense(indices, LP_INT64),
           *y = scatter ? nn_zeros(size.data, 4, dtype)
                        : nn_empty(indices->sizes, 4, dtype);
  bool ok = source && boxes && index && y;
  if (ok && lp_numel(index)) {
    MaxJob j = {lp_data(boxes),
                lp_data(index),
                lp_data(source),
                lp_data(y),
                lp_size(index, 0),
                lp_size(index, 1),
                lp_size(index, 2) * lp_size(index, 3),
                size.data[2] * size.data[3],
                dtype == LP_FLOAT64,
                scatter};
    int64_t each = j.regions * j.bins;
    lp_parallel_for(j.channels, LP_GRAIN / (each > 0 ? each : 1) + 1, move_channels, &j);
  }
  lp_tensor_release(source);
  lp_tensor_release(boxes);
  lp_tensor_release(index);
  if (!ok) lp_drop(&y);
  return nn_cast_take(y, lp_dtype(from));
}

LpTensor *lp_impl_roi_max_scatter(LpTensor *grad_output, LpTensor *rois,
                                  LpTensor *indices, LpInts size) {
  return move(grad_output, rois, indices, size, true);
}

LpTensor *lp_impl_roi_max_gather(LpTensor *self, LpTensor *rois, LpTensor *indices) {
  return move(self, rois, indices, lp_sizes(self), false);
}
