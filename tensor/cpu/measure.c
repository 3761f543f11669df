/* Loops behind histogram, frexp and fake_quantize; see measure.h. */
#include "cpu/measure.h"

#include <math.h>
#include "core/check.h"
#include "core/parallel.h"

/* --- histogram -------------------------------------------------------------------------
 */

/* The cell of v between the edges, -1 outside: edges[i] <= v < edges[i + 1]. */
static int64_t cell_of(const double *edges, int64_t n, double v) {
  if (n < 2 || !(v >= edges[0] && v <= edges[n - 1])) return -1;
  int64_t low = 0, high = n; /* the first edge above v lies in [low, high] */
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (edges[middle] > v)
      high = middle;
    else
      low = middle + 1;
  }
  return low == n ? n - 2 : low - 1;
}

bool lp_cpu_histogram(const LpGrid *grid, const double *points, const double *weights,
                      int64_t count, double *cells) {
  for (int64_t i = 0; i < count; i++) {
    if ((i & 0xffff) == 0 && lp_interrupt_pending()) return false;
    int64_t at = 0;
    for (int64_t d = 0; d < grid->ndim && at >= 0; d++) {
      int64_t cell =
          cell_of(grid->edges[d], grid->n_edges[d], points[i * grid->ndim + d]);
      at = cell < 0 ? -1 : at * (grid->n_edges[d] - 1) + cell;
    }
    if (at >= 0) cells[at] += weights ? weights[i] : 1;
  }
  return true;
}

/* --- frexp
 * ------------------------------------------------------------------------------ */

typedef struct Frexp {
  bool is_double;
  const void *x;
  void *mantissa;
  int32_t *exponent;
} Frexp;

static void frexp_range(void *ctx, int64_t begin, int64_t end) {
  const Frexp *f = ctx;
  for (int64_t i = begin; i < end; i++) {
    int e = 0;
    double v = f->is_double ? ((const double *)f->x)[i] : ((const float *)f->x)[i];
    double m = isfinite(v) ? frexp(v, &e) : v;
    if (f->is_double)
      ((double *)f->mantissa)[i] = m;
    else
      ((float *)f->mantissa)[i] = (float)m;
    f->exponent[i] = e;
  }
}

void lp_cpu_frexp(bool is_double, const void *x, void *mantissa, int32_t *exponent,
                  int64_t n) {
  Frexp f = {is_double, x, mantissa, exponent};
  lp_parallel_for(n, LP_GRAIN, frexp_range, &f);
}

/* --- fake_quantize
 * ------------------------------------------------------------------------ */

typedef struct Fake {
  const LpFakeQuantize *q;
  bool is_double;
  const void *x;
  void *out;
  bool *mask;
} Fake;

static void fake_range(void *ctx, int64_t begin, int64_t end) {
  const Fake *f = ctx;
  const LpFakeQuantize *q = f->q;
  const double low = (double)q->quant_min, high = (double)q->quant_max;
  for (int64_t i = begin; i < end; i++) {
    int64_t c = i / q->inner % q->channels;
    float scale = q->scale[c], inverse = 1.0F / scale;
    double zero = q->zero_point[c], steps;
    if (f->is_double)
      steps = nearbyint(((const double *)f->x)[i] * (double)inverse);
    else
      steps = nearbyintf(((const float *)f->x)[i] * inverse);
    double level = trunc(zero + steps);
    bool within = level >= low && level <= high; /* false for NaN, which becomes `low` */
    double kept = within ? level : level > high ? high : low;
    double value = (kept - zero) * (double)scale;
    if (f->is_double)
      ((double *)f->out)[i] = value;
    else
      ((float *)f->out)[i] = (float)value;
    f->mask[i] = within;
  }
}

void lp_cpu_fake_quantize(const LpFakeQuantize *q, bool is_double, const void *x,
                          void *out, bool *mask, int64_t n) {
  Fake f = {q, is_double, x, out, mask};
  lp_parallel_for(n, LP_GRAIN, fake_range, &f);
}
