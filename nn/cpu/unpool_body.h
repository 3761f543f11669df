/* The loop of cpu/unpool.h for one dtype; included by unpool.c through nn_each.h. */

static void TYPED(fractional)(const LpFractionalShape *s, const int64_t *const starts[3],
                              const void *px, void *py, int64_t *index) {
  const T *x = px;
  T *y = py;
  for (int64_t od = 0; od < s->out[0]; od++)
    for (int64_t oh = 0; oh < s->out[1]; oh++)
      for (int64_t ow = 0; ow < s->out[2]; ow++) {
        int64_t d0 = starts[0][od], h0 = starts[1][oh], w0 = starts[2][ow];
        A best = -(A)INFINITY;
        int64_t at = (d0 * s->in[1] + h0) * s->in[2] + w0;
        for (int64_t d = d0; d < d0 + s->kernel[0]; d++)
          for (int64_t h = h0; h < h0 + s->kernel[1]; h++)
            for (int64_t w = w0; w < w0 + s->kernel[2]; w++) {
              int64_t here = (d * s->in[1] + h) * s->in[2] + w;
              A v = LOAD(x[here]);
              if (v > best || v != v) {
                best = v;
                at = here;
              }
            }
        *y++ = STORE(best);
        *index++ = at;
      }
}
