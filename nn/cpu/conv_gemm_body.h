/* im2col and its adjoint for one element type; included by conv_gemm.c with T and NAME
 * defined. A row of columns belongs to one (channel, kernel tap); rows are split over the
 * threads for im2col, channels for col2im, which adds. */

typedef struct NAME(Job) {
  const LpConvGeometry *g;
  int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  T *x, *columns;
} NAME(Job);

static NAME(Job) NAME(job)(const LpConvGeometry *g, T *x, T *columns) {
  NAME(Job) job = {.g = g, .x = x, .columns = columns};
  lp_conv_widen(g, job.in, job.out, job.kernel, job.stride, job.padding, job.dilation);
  return job;
}

/* The outputs [first, last) along the last dim whose tap falls inside the input row. */
static inline void NAME(inside)(const NAME(Job) * j, int64_t tap, int64_t *first,
                                int64_t *last) {
  int64_t shift = tap * j->dilation[2] - j->padding[2], stride = j->stride[2];
  int64_t lo = shift < 0 ? (-shift + stride - 1) / stride : 0;
  int64_t hi = j->in[2] - 1 - shift < 0 ? 0 : (j->in[2] - 1 - shift) / stride + 1;
  *last = hi < j->out[2] ? hi : j->out[2];
  *first = lo < *last ? lo : *last;
}

static void NAME(im2col_rows)(void *ctx, int64_t begin, int64_t end) {
  const NAME(Job) *j = ctx;
  int64_t taps = j->kernel[0] * j->kernel[1] * j->kernel[2];
  int64_t outs = j->out[0] * j->out[1] * j->out[2];
  for (int64_t row = begin; row < end; row++) {
    int64_t channel = row / taps, tap = row % taps;
    int64_t tw = tap % j->kernel[2], th = tap / j->kernel[2] % j->kernel[1];
    int64_t td = tap / j->kernel[2] / j->kernel[1];
    const T *plane = j->x + channel * j->in[0] * j->in[1] * j->in[2];
    T *to = j->columns + row * outs;
    int64_t first, last;
    NAME(inside)(j, tw, &first, &last);
    int64_t shift = tw * j->dilation[2] - j->padding[2], stride = j->stride[2];
    for (int64_t od = 0; od < j->out[0]; od++) {
      int64_t id = od * j->stride[0] - j->padding[0] + td * j->dilation[0];
      for (int64_t oh = 0; oh < j->out[1]; oh++, to += j->out[2]) {
        int64_t ih = oh * j->stride[1] - j->padding[1] + th * j->dilation[1];
        if (id < 0 || id >= j->in[0] || ih < 0 || ih >= j->in[1]) {
          memset(to, 0, (size_t)j->out[2] * sizeof(T));
          continue;
        }
        const T *from = plane + (id * j->in[1] + ih) * j->in[2];
        for (int64_t i = 0; i < first; i++) to[i] = 0;
        if (stride == 1) {
          if (last > first)
            memcpy(to + first, from + first + shift, (size_t)(last - first) * sizeof(T));
        } else {
          for (int64_t i = first; i < last; i++) to[i] = from[i * stride + shift];
        }
        for (int64_t i = last; i < j->out[2]; i++) to[i] = 0;
      }
    }
  }
}

static void NAME(col2im_channels)(void *ctx, int64_t begin, int64_t end) {
  const NAME(Job) *j = ctx;
  int64_t taps = j->kernel[0] * j->kernel[1] * j->kernel[2];
  int64_t outs = j->out[0] * j->out[1] * j->out[2];
  for (int64_t row = begin * taps; row < end * taps; row++) {
    int64_t channel = row / taps, tap = row % taps;
    int64_t tw = tap % j->kernel[2], th = tap / j->kernel[2] % j->kernel[1];
    int64_t td = tap / j->kernel[2] / j->kernel[1];
    T *plane = j->x + channel * j->in[0] * j->in[1] * j->in[2];
    const T *from = j->columns + row * outs;
    int64_t first, last;
    NAME(inside)(j, tw, &first, &last);
    int64_t shift = tw * j->dilation[2] - j->padding[2], stride = j->stride[2];
    for (int64_t od = 0; od < j->out[0]; od++) {
      int64_t id = od * j->stride[0] - j->padding[0] + td * j->dilation[0];
      for (int64_t oh = 0; oh < j->out[1]; oh++, from += j->out[2]) {
        int64_t ih = oh * j->stride[1] - j->padding[1] + th * j->dilation[1];
        if (id < 0 || id >= j->in[0] || ih < 0 || ih >= j->in[1]) continue;
        T *to = plane + (id * j->in[1] + ih) * j->in[2];
        for (int64_t i = first; i < last; i++) to[i * stride + shift] += from[i];
      }
    }
  }
}

static void NAME(im2col)(const LpConvGeometry *g, int64_t channels, const T *x,
                         T *columns) {
  NAME(Job) job = NAME(job)(g, (T *)x, columns);
  int64_t outs = lp_conv_volume(g->out, g->ndim);
  lp_parallel_for(channels * lp_conv_volume(g->kernel, g->ndim),
                  LP_GRAIN / (outs + 1) + 1, NAME(im2col_rows), &job);
}

static void NAME(col2im)(const LpConvGeometry *g, int64_t channels, const T *columns,
                         T *x) {
  NAME(Job) job = NAME(job)(g, x, (T *)columns);
  int64_t work = lp_conv_volume(g->out, g->ndim) * lp_conv_volume(g->kernel, g->ndim);
  lp_parallel_for(channels, LP_GRAIN / (work + 1) + 1, NAME(col2im_channels), &job);
}
