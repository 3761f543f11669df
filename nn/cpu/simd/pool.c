/* Pooling loops; see cpu/pool.h. */
#include <math.h>
#include <string.h>
#include "cpu/simd/simd.h"
#include "cpu/pool.h"

#define COLUMNS 128
#define LINE 512 /* elements that a row of windows covers at a time */

/* The outputs [lo, hi) of columns [c0, c0 + m), counted from c0, whose tap lies inside
 * the row. */
static inline void inside(int64_t in, int64_t shift, int64_t step, int64_t c0, int64_t m,
                          int64_t *lo, int64_t *hi) {
  int64_t first = shift < 0 ? (-shift + step - 1) / step : 0;
  int64_t last = in - 1 - shift < 0 ? 0 : (in - 1 - shift) / step + 1;
  *lo = first <= c0 ? 0 : first - c0 < m ? first - c0 : m;
  *hi = last - c0 < m ? last - c0 : m;
  if (*hi < *lo) *hi = *lo;
}

/* The taps [from, to) of the windows at o along dim d that lie inside. */
static inline void taps_inside(const LpPoolShape *s, int d, int64_t o, int64_t *from,
                               int64_t *to) {
  const int64_t at = o * s->stride[d] - s->padding[d], step = s->dilation[d];
  *from = at < 0 ? (-at + step - 1) / step : 0;
  *to = at < s->in[d] ? (s->in[d] - 1 - at) / step + 1 : 0;
  if (*to > s->kernel[d]) *to = s->kernel[d];
}

static inline bool is_2x2(const LpPoolShape *s) {
  return s->in[0] == 1 && s->kernel[0] == 1 && s->out[0] == 1 && s->padding[0] == 0 &&
         s->kernel[1] == 2 && s->kernel[2] == 2 && s->stride[1] == 2 &&
         s->stride[2] == 2 && s->padding[1] == 0 && s->padding[2] == 0 &&
         s->dilation[1] == 1 && s->dilation[2] == 1 && 2 * s->out[1] <= s->in[1] &&
         2 * s->out[2] <= s->in[2];
}

/* Is each element of the plane in one window? */
static inline bool is_paved(const LpPoolShape *s) {
  for (int d = 0; d < 3; d++)
    if (s->adaptive || s->padding[d] || s->stride[d] != s->kernel[d] ||
        (s->kernel[d] > 1 && s->dilation[d] != 1) || s->out[d] * s->kernel[d] != s->in[d])
      return false;
  return true;
}

/* Elements of the window along dim d that count for the mean. */
static inline int64_t counted(const LpPoolShape *s, int d, int64_t o) {
  int64_t from = o * s->stride[d] - s->padding[d];
  int64_t to = from + s->kernel[d], end = s->in[d] + s->padding[d];
  if (to > end) to = end;
  if (!s->count_include_pad) {
    if (from < 0) from = 0;
    if (to > s->in[d]) to = s->in[d];
  }
  return to - from;
}
static inline int64_t divisor_rows(const LpPoolShape *s, int64_t od, int64_t oh) {
  return s->divisor ? 0 : counted(s, 0, od) * counted(s, 1, oh);
}
static inline int64_t divisor(const LpPoolShape *s, int64_t rows, int64_t ow) {
  return s->divisor ? s->divisor : rows * counted(s, 2, ow);
}

/* Adaptive windows along one dim, one after another, without a division for each: `rest`
 * is what rounding `from` down left of out. */
typedef struct Walk {
  int64_t from, to, rest, out, whole, part;
  int64_t left; /* windows from this one on */
} Walk;
static inline void set_end(Walk *w) {
  const int64_t rest = w->rest + w->part;
  w->to = w->from + w->whole + (rest > 0) + (rest > w->out);
}
static inline Walk walk(const LpPoolShape *s, int d) {
  Walk w = {.out = s->out[d], .left = s->out[d]};
  if (w.out == 0) return w;
  w.whole = w.out == 1 ? s->in[d] : s->in[d] / w.out;
  w.part = s->in[d] - w.whole * w.out;
  set_end(&w);
  return w;
}
static inline void step(Walk *w) {
  w->left--;
  w->rest += w->part;
  w->from += w->whole + (w->rest >= w->out);
  if (w->rest >= w->out) w->rest -= w->out;
  set_end(w);
}

/* All windows, d, h and w being the parts of one along each dim. */
#define EACH_WINDOW(s, d, h, w)                                                          \
  for (Walk d = walk(s, 0), first_##h = walk(s, 1), first_##w = walk(s, 2); d.left > 0;  \
       step(&d))                                                                         \
    for (Walk h = first_##h; h.left > 0; step(&h))                                       \
      for (Walk w = first_##w; w.left > 0; step(&w))

/* The window's elements in rows of neighbours; those that span the image are one. */
typedef struct Rows {
  int64_t deep, high, length;
} Rows;
static inline Rows rows_of(const LpPoolShape *s, const Walk *d, const Walk *h,
                           const Walk *w) {
  Rows r = {d->to - d->from, h->to - h->from, w->to - w->from};
  if (r.length == s->in[2]) {
    r.length *= r.high;
    r.high = 1;
    if (h->to - h->from == s->in[1]) {
      r.length *= r.deep;
      r.deep = 1;
    }
  }
  return r;
}

/* The part of an output pixel's window that lies inside the image. */
typedef struct Window {
  int64_t from[3], to[3];
} Window;

/* The taps inside the image along dim d of output pixels at o. */
static inline void set_taps(Window *w, const LpPoolShape *s, int d, int64_t o) {
  const int64_t step = s->dilation[d];
  if (s->adaptive) {
    w->from[d] = o * s->in[d] / s->out[d];
    w->to[d] = ((o + 1) * s->in[d] + s->out[d] - 1) / s->out[d];
    return;
  }
  w->from[d] = o * s->stride[d] - s->padding[d];
  w->to[d] = w->from[d] + (s->kernel[d] - 1) * step + 1;
  if (w->from[d] < 0) w->from[d] += (step - 1 - w->from[d]) / step * step;
  if (w->to[d] > s->in[d]) w->to[d] = s->in[d];
}
/* The window of output pixel o, which is at at; and of the pixel after that. */
static inline Window first_window(const LpPoolShape *s, int64_t o, int64_t at[3]) {
  at[2] = o % s->out[2];
  at[1] = o / s->out[2] % s->out[1];
  at[0] = o / s->out[2] / s->out[1];
  Window w;
  for (int d = 0; d < 3; d++) set_taps(&w, s, d, at[d]);
  return w;
}
static inline void next_window(const LpPoolShape *s, int64_t at[3], Window *w) {
  if (++at[2] == s->out[2]) {
    at[2] = 0;
    if (++at[1] == s->out[1]) {
      at[1] = 0;
      set_taps(w, s, 0, ++at[0]);
    }
    set_taps(w, s, 1, at[1]);
  }
  set_taps(w, s, 2, at[2]);
}
/* What the sum over w, the window of the output pixel at at, is divided by. */
static inline int64_t divisor_at(const LpPoolShape *s, const Window *w,
                                 const int64_t *at) {
  if (!s->adaptive) return divisor(s, divisor_rows(s, at[0], at[1]), at[2]);
  int64_t size = 1;
  for (int d = 0; d < 3; d++) size *= w->to[d] - w->from[d];
  return size;
}
static inline bool is_empty(const Window *w) {
  return w->from[0] >= w->to[0] || w->from[1] >= w->to[1] || w->from[2] >= w->to[2];
}
static inline int64_t pixel_at(const LpPoolShape *s, const int64_t *at) {
  return (at[0] * s->in[1] + at[1]) * s->in[2] + at[2];
}

/* Taps that are compared at once, of so many left. */
static inline int taps_at_once(int64_t left) {
  return left == 4 ? 2 : left < 3 ? (int)left : 3;
}

#define LANES LP_LANES(float)
#define VECTORS 4 /* of channels, whose sums are in registers together */
typedef int32_t Indices __attribute__((vector_size(LANES * sizeof(int32_t))));
/* The integer type of a number's size. */
#define int_of(A)                                                                        \
  __typeof__(__builtin_choose_expr(sizeof(A) == 8, (int64_t)0, (int32_t)0))

#define WITHOUT_F16
#define BODY "cpu/simd/pool_body.h"
#include "cpu/simd/nn_each.h"
#undef BODY
#undef EACH_TYPE
#define BODY "cpu/simd/pool_last_body.h"
#include "cpu/simd/nn_each.h"

#define BUT_F16(name)                                                                    \
  { name##_f32, name##_f64, NULL, name##_bf16 }

const LpPoolKernels LP_SIMD(lp_pool_kernels) = {
    .max = BUT_F16(max),
    .scatter = BUT_F16(scatter),
    .average = BUT_F16(average),
    .average_grad = BUT_F16(average_grad),
    .adaptive_average = BUT_F16(adaptive_average),
    .adaptive_average_grad = BUT_F16(adaptive_average_grad),
    .adaptive_max = BUT_F16(adaptive_max),
    .max_last = BUT_F16(max_last),
    .scatter_last = BUT_F16(scatter_last),
    .max_grad_last = BUT_F16(max_grad_last),
    .average_last = BUT_F16(average_last),
    .average_grad_last = BUT_F16(average_grad_last),
};
