/* Suppression of overlapping boxes and overlaps of rotated ones: checks, and the order of
 * the loops of cpu/boxes.h. */
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/boxes.h"
#include "dispatch/nn_util.h"
#include "impl.h"

/* Columns x1, y1, x2, y2, area of the boxes [from, from + n) of (all, 4). */
static void split_f32(const float *boxes, int64_t from, int64_t n, float *to) {
  for (int64_t i = 0; i < n; i++) {
    const float *b = boxes + (from + i) * 4;
    for (int c = 0; c < 4; c++) to[c * n + i] = b[c];
    to[4 * n + i] = (b[2] - b[0]) * (b[3] - b[1]);
  }
}
static void split_f64(const double *boxes, int64_t from, int64_t n, double *to) {
  for (int64_t i = 0; i < n; i++) {
    const double *b = boxes + (from + i) * 4;
    for (int c = 0; c < 4; c++) to[c * n + i] = b[c];
    to[4 * n + i] = (b[2] - b[0]) * (b[3] - b[1]);
  }
}

LpTensor *lp_impl_nms_kept(LpTensor *boxes, LpTensor *groups, double iou_threshold) {
  int64_t n = lp_size(boxes, 0);
  bool wide = lp_dtype(boxes) == LP_FLOAT64;
  LpDtype dtype = nn_compute_dtype(lp_dtype(boxes));
  size_t elem = wide ? sizeof(double) : sizeof(float);
  /* 5 columns and a byte for each box; n boxes are in memory already. */
  size_t bytes = (size_t)n * (5 * elem + 1) + 1;
  LpTensor *b = nn_dense(boxes, dtype), *g = groups ? nn_dense(groups, LP_INT64) : NULL,
           *kept = nn_empty(&n, 1, LP_BOOL);
  char *memory = lp_calloc(bytes);
  bool ok = b && (g || !groups) && kept && memory;
  for (int64_t from = 0, to; ok && from < n; from = to) {
    const int64_t *group = g ? lp_data(g) : NULL;
    for (to = from + 1; to < n && (!group || group[to] == group[from]);) to++;
    int64_t m = to - from;
    uint8_t *dropped = (uint8_t *)memory + (size_t)n * 5 * elem;
    memset(dropped, 0, (size_t)m);
    if (wide)
      split_f64(lp_data(b), from, m, (double *)memory);
    else
      split_f32(lp_data(b), from, m, (float *)memory);
    for (int64_t i = 0; i < m && !lp_interrupt_pending(); i++)
      if (!dropped[i])
        lp_box_kernels()->suppress[wide](memory, m, i, iou_threshold, dropped);
    for (int64_t i = 0; i < m; i++) ((uint8_t *)lp_data(kept))[from + i] = !dropped[i];
  }
  lp_free(memory, bytes);
  lp_tensor_release(b);
  lp_tensor_release(g);
  if (!ok) lp_drop(&kept);
  return kept;
}

typedef struct RotatedJob {
  const double *a, *b;
  float *to;
  int64_t columns;
} RotatedJob;

static void rotated(void *ctx, int64_t begin, int64_t end) {
  RotatedJob *j = ctx;
  for (int64_t r = begin; r < end && !lp_interrupt_pending(); r++)
    for (int64_t c = 0; c < j->columns; c++)
      j->to[r * j->columns + c] = (float)lp_rotated_iou(j->a + r * 5, j->b + c * 5);
}

LpTensor *lp_impl_rotated_box_iou(LpTensor *boxes1, LpTensor *boxes2) {
  for (int i = 0; i < 2; i++) {
    LpTensor *t = i ? boxes2 : boxes1;
    const char *name = i ? "boxes2" : "boxes1";
    CHECK(lp_ndim(t) == 2 && lp_size(t, 1) == 5, LP_ERR_ARGUMENT,
          "expected '%s' of shape (N, 5): cx, cy, w, h, degrees; got %s", name,
          SHAPE_TEXT(t));
    CHECK_FLOATING(t, name);
  }
  int64_t sizes[2] = {lp_size(boxes1, 0), lp_size(boxes2, 0)};
  LpTensor *a = nn_dense(boxes1, LP_FLOAT64), *b = nn_dense(boxes2, LP_FLOAT64),
           *y = a && b ? nn_empty(sizes, 2, LP_FLOAT32) : NULL;
  if (y && lp_numel(y)) {
    RotatedJob j = {lp_data(a), lp_data(b), lp_data(y), sizes[1]};
    lp_parallel_for(sizes[0], LP_GRAIN / (sizes[1] * 200) + 1, rotated, &j);
  }
  lp_tensor_release(a);
  lp_tensor_release(b);
  return y;
}
