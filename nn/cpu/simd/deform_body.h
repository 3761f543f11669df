/* The loops of cpu/deform.h for the compute dtype A; included by deform.c. */

#ifndef TYPED
#define TYPED_PASTE(a, b) a##_##b
#define TYPED_NAME(a, b) TYPED_PASTE(a, b)
#define TYPED(name) TYPED_NAME(name, SUFFIX)
#endif

/* The four corners of each position of a block: flat indices (0 outside, where the weight
 * is 0), weights, and the weights' derivatives by y and x. */
typedef struct TYPED(Corners) {
  int64_t index[4][BLOCK];
  A weight[4][BLOCK], by_y[4][BLOCK], by_x[4][BLOCK];
} TYPED(Corners);

/* Positions [at, at + m) of a tap. A sample a pixel or more outside is 0, though, as in
 * torchvision, one exactly a pixel outside has the slope of the pixel next to it. */
static void TYPED(corners)(const LpDeformShape *s, int64_t tap, const A *offset,
                           int64_t at, int64_t m, TYPED(Corners) * to) {
  int64_t plane = s->out[0] * s->out[1], k = tap % (s->kernel[0] * s->kernel[1]);
  int64_t ky = k / s->kernel[1], kx = k % s->kernel[1];
  const A *dy = offset + tap * 2 * plane, *dx = dy + plane;
  const A height = (A)s->in[0], width = (A)s->in[1];
  for (int64_t j = 0; j < m; j++) {
    int64_t oy = (at + j) / s->out[1], ox = (at + j) % s->out[1];
    A y = (A)(oy * s->stride[0] - s->padding[0] + ky * s->dilation[0]) + dy[at + j];
    A x = (A)(ox * s->stride[1] - s->padding[1] + kx * s->dilation[1]) + dx[at + j];
    /* Also false for NaN. */
    if (!(y >= -1 && y < height && x >= -1 && x < width)) {
      for (int c = 0; c < 4; c++) {
        to->index[c][j] = 0;
        to->weight[c][j] = to->by_y[c][j] = to->by_x[c][j] = 0;
      }
      continue;
    }
    bool inside = y > -1 && x > -1;
    A fy = (A)floor((double)y), fx = (A)floor((double)x), ty = y - fy, tx = x - fx;
    int64_t iy = (int64_t)fy, ix = (int64_t)fx;
    for (int c = 0; c < 4; c++) {
      int64_t cy = iy + (c >> 1), cx = ix + (c & 1);
      bool there = cy >= 0 && cy < s->in[0] && cx >= 0 && cx < s->in[1];
      A wy = (c >> 1) ? ty : 1 - ty, wx = (c & 1) ? tx : 1 - tx;
      to->index[c][j] = there ? cy * s->in[1] + cx : 0;
      to->weight[c][j] = there && inside ? wy * wx : 0;
      to->by_y[c][j] = !there ? 0 : (c >> 1) ? wx : -wx;
      to->by_x[c][j] = !there ? 0 : (c & 1) ? wy : -wy;
    }
  }
}

static inline A TYPED(mix)(const A *x, int64_t (*index)[BLOCK], A (*weight)[BLOCK],
                           int64_t j) {
  A sum = 0;
  for (int c = 0; c < 4; c++)
    if (weight[c][j] != 0) sum += weight[c][j] * x[index[c][j]];
  return sum;
}

static void TYPED(columns)(const LpDeformShape *s, int64_t tap, const void *px,
                           const void *offset, const void *pmask, void *py) {
  int64_t plane = s->out[0] * s->out[1], image = s->in[0] * s->in[1];
  int64_t taps = s->kernel[0] * s->kernel[1], each = s->channels / s->groups;
  int64_t first = tap / taps * each, k = tap % taps;
  const A *mask = pmask ? (const A *)pmask + tap * plane : NULL;
  TYPED(Corners) t;
  for (int64_t at = 0; at < plane; at += BLOCK) {
    int64_t m = plane - at < BLOCK ? plane - at : BLOCK;
    TYPED(corners)(s, tap, offset, at, m, &t);
    for (int64_t c = first; c < first + each; c++) {
      const A *x = (const A *)px + c * image;
      A *y = (A *)py + (c * taps + k) * plane + at;
      for (int64_t j = 0; j < m; j++)
        y[j] = (mask ? mask[at + j] : 1) * TYPED(mix)(x, t.index, t.weight, j);
    }
  }
}

static void TYPED(position_grad)(const LpDeformShape *s, int64_t tap, const void *px,
                                 const void *offset, const void *pmask, const void *pg,
                                 void *poffset_grad, void *pmask_grad) {
  int64_t plane = s->out[0] * s->out[1], image = s->in[0] * s->in[1];
  int64_t taps = s->kernel[0] * s->kernel[1], each = s->channels / s->groups;
  int64_t first = tap / taps * each, k = tap % taps;
  const A *mask = pmask ? (const A *)pmask + tap * plane : NULL;
  A *offset_grad = poffset_grad ? (A *)poffset_grad + tap * 2 * plane : NULL;
  A *mask_grad = pmask_grad ? (A *)pmask_grad + tap * plane : NULL;
  TYPED(Corners) t;
  for (int64_t at = 0; at < plane; at += BLOCK) {
    int64_t m = plane - at < BLOCK ? plane - at : BLOCK;
    A dy[BLOCK] = {0}, dx[BLOCK] = {0}, dm[BLOCK] = {0};
    TYPED(corners)(s, tap, offset, at, m, &t);
    for (int64_t c = first; c < first + each; c++) {
      const A *x = (const A *)px + c * image;
      const A *g = (const A *)pg + (c * taps + k) * plane + at;
      for (int64_t j = 0; j < m; j++) {
        A share = g[j] * (mask ? mask[at + j] : 1);
        dy[j] += share * TYPED(mix)(x, t.index, t.by_y, j);
        dx[j] += share * TYPED(mix)(x, t.index, t.by_x, j);
        if (mask_grad) dm[j] += g[j] * TYPED(mix)(x, t.index, t.weight, j);
      }
    }
    for (int64_t j = 0; j < m; j++) {
      if (offset_grad) offset_grad[at + j] = dy[j];
      if (offset_grad) offset_grad[plane + at + j] = dx[j];
      if (mask_grad) mask_grad[at + j] = dm[j];
    }
  }
}

static void TYPED(input_grad)(const LpDeformShape *s, const void *offset,
                              const void *pmask, const void *pg, int64_t begin,
                              int64_t end, void *pgx) {
  int64_t plane = s->out[0] * s->out[1], image = s->in[0] * s->in[1];
  int64_t taps = s->kernel[0] * s->kernel[1], each = s->channels / s->groups;
  TYPED(Corners) t;
  for (int64_t group = begin / each; group * each < end; group++)
    for (int64_t k = 0; k < taps; k++) {
      int64_t tap = group * taps + k, from = group * each, to = from + each;
      if (from < begin) from = begin;
      if (to > end) to = end;
      const A *mask = pmask ? (const A *)pmask + tap * plane : NULL;
      for (int64_t at = 0; at < plane; at += BLOCK) {
        int64_t m = plane - at < BLOCK ? plane - at : BLOCK;
        TYPED(corners)(s, tap, offset, at, m, &t);
        for (int64_t c = from; c < to; c++) {
          A *gx = (A *)pgx + c * image;
          const A *g = (const A *)pg + (c * taps + k) * plane + at;
          for (int64_t j = 0; j < m; j++) {
            A share = g[j] * (mask ? mask[at + j] : 1);
            for (int corner = 0; corner < 4; corner++)
              gx[t.index[corner][j]] += share * t.weight[corner][j];
          }
        }
      }
    }
}
