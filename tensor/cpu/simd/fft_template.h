/* The transforms' loops for one precision; included by fft.c with T, FN, LANES and EACH.
 */

#define V FN(Vector)
#define U FN(Unaligned)
#define Cell FN(Cell)
typedef T V __attribute__((vector_size(LP_VECTOR_BYTES), may_alias));
typedef T U __attribute__((vector_size(LP_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
typedef struct Cell {
  V re, im;
} Cell;

#define SHUFFLE(a, b, f, h) __builtin_shufflevector(a, b, EACH(f, h))

static inline V FN(load)(const T *p) {
  return *(const U *)p;
}
static inline void FN(store)(T *p, V v) {
  *(U *)p = v;
}

/* The square of LANES rows, transposed: halves of rows h apart change places, for each h.
 */
static inline __attribute__((always_inline)) void FN(turn)(V *r) {
#define STAGE(h)                                                                         \
  for (int i = 0; i < LANES; i++)                                                        \
    if (!(i & (h))) {                                                                    \
      V a = r[i], b = r[i + (h)];                                                        \
      r[i] = SHUFFLE(a, b, TURN_LOW, h);                                                 \
      r[i + (h)] = SHUFFLE(a, b, TURN_HIGH, h);                                          \
    }
#if LP_VECTOR_BYTES == 64
  if (LANES > 8) {
    STAGE(LANES > 8 ? 8 : 1)
  }
#endif
#if LP_VECTOR_BYTES >= 32
  if (LANES > 4) {
    STAGE(LANES > 4 ? 4 : 1)
  }
#endif
  if (LANES > 2) {
    STAGE(LANES > 2 ? 2 : 1)
  }
  STAGE(1)
#undef STAGE
}

/* --- butterflies -------------------------------------------------------------------- */

static inline Cell FN(add)(Cell a, Cell b) {
  return (Cell){a.re + b.re, a.im + b.im};
}
static inline Cell FN(sub)(Cell a, Cell b) {
  return (Cell){a.re - b.re, a.im - b.im};
}
/* times -i */
static inline Cell FN(turned)(Cell a) {
  return (Cell){a.im, -a.re};
}
static inline Cell FN(scaled)(Cell a, T re, T im) {
  return (Cell){a.re * re - a.im * im, a.re * im + a.im * re};
}
static inline Cell FN(times)(Cell a, Cell b) {
  return (Cell){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static inline __attribute__((always_inline)) void FN(butterfly2)(Cell *a) {
  Cell sum = FN(add)(a[0], a[1]);
  a[1] = FN(sub)(a[0], a[1]);
  a[0] = sum;
}

/* a[0], a[step], a[2 step], a[3 step]. */
static inline __attribute__((always_inline)) void FN(butterfly4)(Cell *a, int step) {
  Cell s02 = FN(add)(a[0], a[2 * step]), d02 = FN(sub)(a[0], a[2 * step]);
  Cell s13 = FN(add)(a[step], a[3 * step]),
       d13 = FN(turned)(FN(sub)(a[step], a[3 * step]));
  a[0] = FN(add)(s02, s13);
  a[step] = FN(add)(d02, d13);
  a[2 * step] = FN(sub)(s02, s13);
  a[3 * step] = FN(sub)(d02, d13);
}

static inline __attribute__((always_inline)) void FN(butterfly8)(Cell *a) {
  const T c = (T)0.70710678118654752440;
  FN(butterfly4)(a, 2);
  FN(butterfly4)(a + 1, 2);
  Cell e0 = a[0], e1 = a[2], e2 = a[4], e3 = a[6], o0 = a[1], o2 = FN(turned)(a[5]);
  Cell o1 = {(a[3].re + a[3].im) * c, (a[3].im - a[3].re) * c};
  Cell o3 = {(a[7].im - a[7].re) * c, -(a[7].re + a[7].im) * c};
  a[0] = FN(add)(e0, o0), a[4] = FN(sub)(e0, o0);
  a[1] = FN(add)(e1, o1), a[5] = FN(sub)(e1, o1);
  a[2] = FN(add)(e2, o2), a[6] = FN(sub)(e2, o2);
  a[3] = FN(add)(e3, o3), a[7] = FN(sub)(e3, o3);
}

/* Odd radix: terms j and radix - j share a cosine, and have sines of opposite sign. */
static inline __attribute__((always_inline)) void FN(butterfly_odd)(Cell *a, int radix,
                                                                    const T *roots) {
  Cell sum[LP_FFT_MAX_PRIME / 2], difference[LP_FFT_MAX_PRIME / 2], total = a[0];
  int half = radix / 2;
  for (int j = 0; j < half; j++) {
    sum[j] = FN(add)(a[j + 1], a[radix - 1 - j]);
    difference[j] = FN(sub)(a[j + 1], a[radix - 1 - j]);
    total = FN(add)(total, sum[j]);
  }
  Cell first = a[0];
  a[0] = total;
  for (int k = 0; k < half; k++, roots += 2 * half) {
    Cell c = first, s = {difference[0].re * roots[1], difference[0].im * roots[1]};
    c.re += sum[0].re * roots[0], c.im += sum[0].im * roots[0];
    for (int j = 1; j < half; j++) {
      T cosine = roots[2 * j], sine = roots[2 * j + 1];
      c.re += sum[j].re * cosine, c.im += sum[j].im * cosine;
      s.re += difference[j].re * sine, s.im += difference[j].im * sine;
    }
    a[k + 1] = FN(add)(c, FN(turned)(s));
    a[radix - 1 - k] = FN(sub)(c, FN(turned)(s));
  }
}

/* --- passes ------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void FN(butterfly)(Cell *a, int radix,
                                                                const T *roots) {
  if (radix == 2)
    FN(butterfly2)(a);
  else if (radix == 4)
    FN(butterfly4)(a, 1);
  else if (radix == 8)
    FN(butterfly8)(a);
  else
    FN(butterfly_odd)(a, radix, roots);
}

/* Stockham's step, decimating in frequency: of sequences of length m * radix, s of them
 * interleaved, y[q + s (radix p + k)] = w^(p k) * sum over j of x[q + s (p + j m)] exp(-2
 * pi i j k / radix). */
static inline __attribute__((always_inline)) void
FN(pass)(const LpFftPass *pass, const Cell *restrict x, Cell *restrict y, const int radix,
         Cell *restrict a) {
  const int64_t m = pass->m, s = pass->s, apart = m * s;
  const T *restrict w = pass->twiddles, *restrict roots = pass->roots;
  for (int64_t q = 0; q < s; q++) {
    for (int j = 0; j < radix; j++) a[j] = x[q + j * apart];
    FN(butterfly)(a, radix, roots);
    for (int k = 0; k < radix; k++) y[q + k * s] = a[k];
  }
  for (int64_t p = 1; p < m; p++) {
    x += s, y += s * radix, w += 2 * (radix - 1);
    for (int64_t q = 0; q < s; q++) {
      for (int j = 0; j < radix; j++) a[j] = x[q + j * apart];
      FN(butterfly)(a, radix, roots);
      y[q] = a[0];
      for (int k = 1; k < radix; k++)
        y[q + k * s] = FN(scaled)(a[k], w[2 * k - 2], w[2 * k - 1]);
    }
  }
}

#define FIXED(radix)                                                                     \
  static void FN(pass##radix)(const LpFftPass *pass, const Cell *x, Cell *y) {           \
    Cell a[radix];                                                                       \
    FN(pass)(pass, x, y, radix, a);                                                      \
  }
FIXED(2)
FIXED(3)
FIXED(4)
FIXED(5)
FIXED(7)
FIXED(8)
#undef FIXED
static void FN(pass_any)(const LpFftPass *pass, const Cell *x, Cell *y) {
  Cell a[LP_FFT_MAX_PRIME];
  FN(pass)(pass, x, y, (int)pass->radix, a);
}

/* The transform of f->n cells in a, with b as the other buffer; where the result lies. */
static Cell *FN(run)(const LpFftLanes *f, Cell *a, Cell *b) {
  for (int i = 0; i < f->n_passes; i++) {
    const LpFftPass *pass = &f->passes[i];
    switch (pass->radix) {
    case 2: FN(pass2)(pass, a, b); break;
    case 3: FN(pass3)(pass, a, b); break;
    case 4: FN(pass4)(pass, a, b); break;
    case 5: FN(pass5)(pass, a, b); break;
    case 7: FN(pass7)(pass, a, b); break;
    case 8: FN(pass8)(pass, a, b); break;
    default: FN(pass_any)(pass, a, b);
    }
    Cell *t = a;
    a = b;
    b = t;
  }
  return a;
}

/* --- between memory and cells ------------------------------------------------------- */

static inline Cell FN(load_cell)(const T *p) {
  V low = FN(load)(p), high = FN(load)(p + LANES);
  return (Cell){SHUFFLE(low, high, EVEN, 0), SHUFFLE(low, high, ODD, 0)};
}
static inline void FN(store_cell)(T *p, Cell c) {
  FN(store)(p, SHUFFLE(c.re, c.im, ZIP_LOW, 0));
  FN(store)(p + LANES, SHUFFLE(c.re, c.im, ZIP_HIGH, 0));
}
static inline Cell FN(swapped)(Cell c) {
  return (Cell){c.im, c.re};
}

/* Lane l at in + at[l]: neighbours `apart` scalars away from each other? */
static bool FN(side_by_side)(const int64_t *at, int64_t apart) {
  for (int l = 1; l < LANES; l++)
    if (at[l] != at[0] + l * apart) return false;
  return true;
}

/* Sequences in a row pass as squares of LANES by LANES; the last one goes back over some
 * of what the one before has done, rather than leave the odd elements to a scalar loop.
 */

/* Element j of the lanes' real sequences goes to to[2 j]: every other vector of cells. */
static void FN(load_real)(V *to, const T *in, const int64_t *at, int64_t step,
                          int64_t n) {
  int64_t j = 0;
  if (FN(side_by_side)(at, 1)) {
    for (; j < n; j++) to[2 * j] = FN(load)(in + at[0] + j * step);
    return;
  }
  if (step == 1 && n >= LANES)
    for (; j < n; j += LANES) {
      if (j + LANES > n) j = n - LANES;
      V r[LANES];
      for (int l = 0; l < LANES; l++) r[l] = FN(load)(in + at[l] + j);
      FN(turn)(r);
      for (int l = 0; l < LANES; l++) to[2 * (j + l)] = r[l];
    }
  for (; j < n; j++)
    for (int l = 0; l < LANES; l++) ((T *)(to + 2 * j))[l] = in[at[l] + j * step];
}

static void FN(store_real)(const V *from, T *out, const int64_t *at, int count,
                           int64_t step, int64_t n, T scale) {
  int64_t j = 0;
  if (count == LANES && FN(side_by_side)(at, 1)) {
    for (; j < n; j++) FN(store)(out + at[0] + j * step, from[2 * j] * scale);
    return;
  }
  if (step == 1 && n >= LANES)
    for (; j < n; j += LANES) {
      if (j + LANES > n) j = n - LANES;
      V r[LANES];
      for (int l = 0; l < LANES; l++) r[l] = from[2 * (j + l)] * scale;
      FN(turn)(r);
      for (int l = 0; l < count; l++) FN(store)(out + at[l] + j, r[l]);
    }
  for (; j < n; j++)
    for (int l = 0; l < count; l++)
      out[at[l] + j * step] = ((const T *)(from + 2 * j))[l] * scale;
}

static void FN(load_complex)(Cell *to, const T *in, const int64_t *at, int64_t step,
                             int64_t n, bool swap) {
  int64_t j = 0;
  if (FN(side_by_side)(at, 2)) {
    for (; j < n; j++) to[j] = FN(load_cell)(in + at[0] + j * step);
  } else if (step == 2 && n >= LANES) {
    for (; j < n; j += LANES) {
      if (j + LANES > n) j = n - LANES;
      V re[LANES], im[LANES];
      for (int l = 0; l < LANES; l++) {
        Cell c = FN(load_cell)(in + at[l] + 2 * j);
        re[l] = c.re, im[l] = c.im;
      }
      FN(turn)(re);
      FN(turn)(im);
      for (int l = 0; l < LANES; l++) to[j + l] = (Cell){re[l], im[l]};
    }
  }
  for (; j < n; j++)
    for (int l = 0; l < LANES; l++) {
      const T *p = in + at[l] + j * step;
      ((T *)&to[j].re)[l] = p[0];
      ((T *)&to[j].im)[l] = p[1];
    }
  if (swap)
    for (j = 0; j < n; j++) to[j] = FN(swapped)(to[j]);
}

/* Real and imaginary parts are multiplied by `re` and `im`. */
static void FN(store_complex)(const Cell *from, T *out, const int64_t *at, int count,
                              int64_t step, int64_t n, bool swap, T re, T im) {
  int64_t j = 0;
  if (count == LANES && FN(side_by_side)(at, 2)) {
    for (; j < n; j++) {
      Cell c = swap ? FN(swapped)(from[j]) : from[j];
      FN(store_cell)(out + at[0] + j * step, (Cell){c.re * re, c.im * im});
    }
    return;
  }
  if (step == 2 && n >= LANES)
    for (; j < n; j += LANES) {
      if (j + LANES > n) j = n - LANES;
      V r[LANES], i[LANES];
      for (int l = 0; l < LANES; l++) {
        Cell c = swap ? FN(swapped)(from[j + l]) : from[j + l];
        r[l] = c.re * re, i[l] = c.im * im;
      }
      FN(turn)(r);
      FN(turn)(i);
      for (int l = 0; l < count; l++)
        FN(store_cell)(out + at[l] + 2 * j, (Cell){r[l], i[l]});
    }
  for (; j < n; j++) {
    Cell c = swap ? FN(swapped)(from[j]) : from[j];
    c.re *= re, c.im *= im;
    for (int l = 0; l < count; l++) {
      T *p = out + at[l] + j * step;
      p[0] = ((const T *)&c.re)[l];
      p[1] = ((const T *)&c.im)[l];
    }
  }
}

/* --- real sequences of even length n = 2 h ------------------------------------------ */

/* With E and O the transforms of the even and the odd elements, z = E + i O:
 * X[k] = E[k] + w^k O[k], X[h - k] = conj(E[k] - w^k O[k]). */
static void FN(after_cells)(Cell *z, int64_t h, const T *w) {
  Cell z0 = z[0];
  z[0] = (Cell){z0.re + z0.im, (V){0}};
  z[h] = (Cell){z0.re - z0.im, (V){0}};
  for (int64_t k = 1; k <= h - k; k++) {
    Cell a = z[k], b = z[h - k];
    Cell e = {(a.re + b.re) * (T)0.5, (a.im - b.im) * (T)0.5};
    Cell o = {(a.im + b.im) * (T)0.5, (b.re - a.re) * (T)0.5};
    o = FN(scaled)(o, w[2 * k], w[2 * k + 1]);
    Cell low = FN(add)(e, o), high = FN(sub)(e, o);
    z[k] = low;
    z[h - k] = (Cell){high.re, -high.im};
  }
}

/* Z[k] = (X[k] + conj X[h - k]) + i w^-k (X[k] - conj X[h - k]), whose inverse transform
 * holds the even elements in its real and the odd ones in its imaginary parts. */
static void FN(before_cells)(Cell *x, int64_t h, bool conj, const T *w) {
  if (conj)
    for (int64_t k = 0; k <= h; k++) x[k].im = -x[k].im;
  Cell first = x[0], last = x[h];
  x[0] = (Cell){first.re + last.re, first.re - last.re};
  for (int64_t k = 1; k <= h - k; k++) {
    Cell a = x[k], b = x[h - k];
    Cell s = {a.re + b.re, a.im - b.im}, d = {a.re - b.re, a.im + b.im};
    d = FN(scaled)(d, w[2 * k], -w[2 * k + 1]);
    x[k] = (Cell){s.re - d.im, s.im + d.re};
    x[h - k] = (Cell){s.re + d.im, d.re - s.im};
  }
}

/* The same two for one sequence: vectors of k upwards and of h - k downwards, then what
 * is left in the middle one by one. `sign` is -1 for a conjugate spectrum. */
static inline Cell FN(reversed)(Cell c) {
  return (Cell){SHUFFLE(c.re, c.re, REVERSED, 0), SHUFFLE(c.im, c.im, REVERSED, 0)};
}

static void FN(real_after)(const LpFftPlan *plan, bool conj, void *data) {
  T *z = data, sign = conj ? -1 : 1;
  const T *w = plan->real;
  int64_t h = plan->n / 2, k = 1;
  T re = z[0], im = z[1];
  z[0] = re + im, z[2 * h] = re - im;
  z[1] = z[2 * h + 1] = 0;
  for (; k + LANES - 1 < h - k - LANES + 1; k += LANES) {
    T *low = z + 2 * k, *high = z + 2 * (h - k - LANES + 1);
    Cell a = FN(load_cell)(low), b = FN(reversed)(FN(load_cell)(high));
    Cell e = {(a.re + b.re) * (T)0.5, (a.im - b.im) * (T)0.5};
    Cell o = {(a.im + b.im) * (T)0.5, (b.re - a.re) * (T)0.5};
    o = FN(times)(o, FN(load_cell)(w + 2 * k));
    FN(store_cell)(low, (Cell){e.re + o.re, (e.im + o.im) * sign});
    FN(store_cell)(high, FN(reversed)((Cell){e.re - o.re, (o.im - e.im) * sign}));
  }
  for (; k <= h - k; k++) {
    T *a = z + 2 * k, *b = z + 2 * (h - k);
    T er = (a[0] + b[0]) * (T)0.5, ei = (a[1] - b[1]) * (T)0.5;
    T odd_re = (a[1] + b[1]) * (T)0.5, odd_im = (b[0] - a[0]) * (T)0.5;
    T pr = odd_re * w[2 * k] - odd_im * w[2 * k + 1],
      pi = odd_re * w[2 * k + 1] + odd_im * w[2 * k];
    a[0] = er + pr, a[1] = sign * (ei + pi);
    b[0] = er - pr, b[1] = sign * (pi - ei);
  }
}

static void FN(real_before)(const LpFftPlan *plan, bool conj, const void *in, void *out) {
  const T *x = in, *w = plan->real;
  T *z = out, sign = conj ? -1 : 1;
  int64_t h = plan->n / 2, k = 1;
  T first = x[0], last = x[2 * h];
  z[0] = first + last, z[1] = first - last;
  for (; k + LANES - 1 < h - k - LANES + 1; k += LANES) {
    int64_t low = 2 * k, high = 2 * (h - k - LANES + 1);
    Cell a = FN(load_cell)(x + low), b = FN(reversed)(FN(load_cell)(x + high)),
         u = FN(load_cell)(w + low);
    Cell s = {a.re + b.re, (a.im - b.im) * sign}, d = {a.re - b.re, (a.im + b.im) * sign};
    Cell p = {d.re * u.re + d.im * u.im, d.im * u.re - d.re * u.im};
    FN(store_cell)(z + low, (Cell){s.re - p.im, s.im + p.re});
    FN(store_cell)(z + high, FN(reversed)((Cell){s.re + p.im, p.re - s.im}));
  }
  for (; k <= h - k; k++) {
    const T *a = x + 2 * k, *b = x + 2 * (h - k);
    T sr = a[0] + b[0], si = sign * (a[1] - b[1]), dr = a[0] - b[0],
      di = sign * (a[1] + b[1]);
    T pr = dr * w[2 * k] + di * w[2 * k + 1], pi = di * w[2 * k] - dr * w[2 * k + 1];
    T *za = z + 2 * k, *zb = z + 2 * (h - k);
    zb[0] = sr + pi, zb[1] = pr - si;
    za[0] = sr - pi, za[1] = si + pr;
  }
}

/* --- batches ------------------------------------------------------------------------ */

static void FN(group_real)(const LpFftJob *job, const LpFftLanes *f, const T *w,
                           const int64_t *in, const int64_t *out, int count, Cell *a,
                           Cell *b) {
  int64_t n = job->n, h = n / 2;
  bool even = n % 2 == 0;
  if (even && job->in_step == 1) {
    FN(load_complex)(a, job->in, in, 2, h, false);
  } else if (even) {
    FN(load_real)(&a->re, job->in, in, 2 * job->in_step, h);
    FN(load_real)(&a->im, (const T *)job->in + job->in_step, in, 2 * job->in_step, h);
  } else {
    FN(load_real)(&a->re, job->in, in, job->in_step, n);
    for (int64_t j = 0; j < n; j++) a[j].im = (V){0};
  }
  Cell *r = FN(run)(f, a, b);
  if (even) FN(after_cells)(r, h, w);
  bool full = job->kind == LP_FFT_R2C_FULL;
  for (int64_t k = h + 1; full && k < n; k++) r[k] = (Cell){r[n - k].re, -r[n - k].im};
  T scale = (T)job->scale;
  FN(store_complex)
  (r, job->out, out, count, job->out_step, full ? n : h + 1, false, scale,
   job->forward ? scale : -scale);
}

static void FN(group_to_real)(const LpFftJob *job, const LpFftLanes *f, const T *w,
                              const int64_t *in, const int64_t *out, int count, Cell *a,
                              Cell *b) {
  int64_t n = job->n, h = n / 2;
  bool even = n % 2 == 0;
  T scale = (T)job->scale;
  FN(load_complex)(a, job->in, in, job->in_step, h + 1, false);
  if (even) {
    FN(before_cells)(a, h, job->forward, w);
  } else {
    a[0].im = (V){0};
    for (int64_t k = 1; k <= h; k++) {
      if (job->forward) a[k].im = -a[k].im;
      a[n - k] = (Cell){a[k].re, -a[k].im};
    }
  }
  for (int64_t k = 0; k < f->n; k++) a[k] = FN(swapped)(a[k]); /* an inverse transform */
  Cell *r = FN(run)(f, a, b);
  if (even && job->out_step == 1) {
    FN(store_complex)(r, job->out, out, count, 2, h, true, scale, scale);
  } else if (even) {
    FN(store_real)(&r->im, job->out, out, count, 2 * job->out_step, h, scale);
    FN(store_real)
    (&r->re, (T *)job->out + job->out_step, out, count, 2 * job->out_step, h, scale);
  } else {
    FN(store_real)(&r->im, job->out, out, count, job->out_step, n, scale);
  }
}

static void FN(group)(const LpFftJob *job, const LpFftPlan *plan, const void *real,
                      int64_t first, int count, void *work) {
  int64_t in[MAX_LANES], out[MAX_LANES];
  lp_fft_offsets(job, first, count, in, out);
  for (int l = count; l < LANES; l++)
    in[l] = in[count - 1]; /* idle lanes repeat the last one */
  Cell *a = work, *b = a + job->n + 1;
  T scale = (T)job->scale;
  if (job->kind == LP_FFT_C2R) {
    FN(group_to_real)(job, &plan->direct, real, in, out, count, a, b);
  } else if (job->kind != LP_FFT_C2C) {
    FN(group_real)(job, &plan->direct, real, in, out, count, a, b);
  } else {
    FN(load_complex)(a, job->in, in, job->in_step, job->n, !job->forward);
    Cell *r = FN(run)(&plan->direct, a, b);
    FN(store_complex)
    (r, job->out, out, count, job->out_step, job->n, !job->forward, scale, scale);
  }
}

/* --- one long transform ------------------------------------------------------------- */

static void FN(columns)(const LpFftPlan *plan, const void *in, bool swap, void *tmp,
                        int64_t begin, int64_t end, void *work) {
  int64_t n1 = plan->n1, n2 = plan->n2;
  const Cell *within = plan->split_within;
  for (int64_t block = begin; block < end; block++) {
    const T *from = (const T *)in + 2 * block * LANES;
    const T *across = (const T *)plan->split_across + 2 * block * n1;
    int count = n2 - block * LANES < LANES ? (int)(n2 - block * LANES) : LANES;
    Cell *a = work, *b = a + n1;
    if (count == LANES) {
      for (int64_t j = 0; j < n1; j++) a[j] = FN(load_cell)(from + 2 * j * n2);
    } else {
      for (int64_t j = 0; j < n1; j++) {
        T part[2 * LANES] = {0};
        memcpy(part, from + 2 * j * n2, (size_t)count * 2 * sizeof(T));
        a[j] = FN(load_cell)(part);
      }
    }
    if (swap)
      for (int64_t j = 0; j < n1; j++) a[j] = FN(swapped)(a[j]);
    Cell *r = FN(run)(&plan->first, a, b);
    for (int64_t k = 0; k < n1; k += LANES) {
      V re[LANES], im[LANES];
      for (int l = 0; l < LANES; l++) {
        Cell c = {{0}, {0}};
        if (k + l < n1) {
          const T *w = across + 2 * (k + l);
          c = FN(times)(r[k + l], FN(scaled)(within[k + l], w[0], w[1]));
        }
        re[l] = c.re, im[l] = c.im;
      }
      FN(turn)(re);
      FN(turn)(im);
      Cell *to = (Cell *)tmp + k / LANES * n2 + block * LANES;
      for (int l = 0; l < count; l++) to[l] = (Cell){re[l], im[l]};
    }
  }
}

static void FN(rows)(const LpFftPlan *plan, void *tmp, void *out, bool swap, double scale,
                     int64_t begin, int64_t end, void *work) {
  int64_t n1 = plan->n1, n2 = plan->n2;
  T factor = (T)scale;
  for (int64_t block = begin; block < end; block++) {
    Cell *r = FN(run)(&plan->second, (Cell *)tmp + block * n2, work);
    T *to = (T *)out + 2 * block * LANES;
    int count = n1 - block * LANES < LANES ? (int)(n1 - block * LANES) : LANES;
    for (int64_t k = 0; k < n2; k++) {
      Cell c = {r[k].re * factor, r[k].im * factor};
      if (swap) c = FN(swapped)(c);
      if (count == LANES) {
        FN(store_cell)(to + 2 * k * n1, c);
      } else {
        T part[2 * LANES];
        FN(store_cell)(part, c);
        memcpy(to + 2 * k * n1, part, (size_t)count * 2 * sizeof(T));
      }
    }
  }
}

/* --- Bluestein ---------------------------------------------------------------------- */

static void FN(chirp_in)(const LpFftPlan *plan, const void *in, bool swap, void *out) {
  const T *restrict x = in, *restrict c = plan->chirp;
  T *restrict y = out;
  int64_t n = plan->n, re = swap ? 1 : 0, im = 1 - re;
  for (int64_t k = 0; k < n; k++) {
    T xr = x[2 * k + re], xi = x[2 * k + im];
    y[2 * k] = xr * c[2 * k] - xi * c[2 * k + 1];
    y[2 * k + 1] = xr * c[2 * k + 1] + xi * c[2 * k];
  }
  memset(y + 2 * n, 0, (size_t)(plan->inner->n - n) * 2 * sizeof(T));
}

static void FN(chirp_filter)(const LpFftPlan *plan, void *data) {
  const T *restrict f = plan->filter;
  T *restrict y = data;
  for (int64_t k = 0; k < plan->inner->n; k++) {
    T re = y[2 * k], im = y[2 * k + 1];
    y[2 * k] = re * f[2 * k] - im * f[2 * k + 1];
    y[2 * k + 1] = re * f[2 * k + 1] + im * f[2 * k];
  }
}

static void FN(chirp_out)(const LpFftPlan *plan, const void *data, void *out, bool swap,
                          double scale) {
  const T *restrict x = data, *restrict c = plan->chirp;
  T *restrict y = out, factor = (T)scale;
  int64_t re = swap ? 1 : 0, im = 1 - re;
  for (int64_t k = 0; k < plan->n; k++) {
    T xr = x[2 * k] * factor, xi = x[2 * k + 1] * factor;
    y[2 * k + re] = xr * c[2 * k] - xi * c[2 * k + 1];
    y[2 * k + im] = xr * c[2 * k + 1] + xi * c[2 * k];
  }
}

#ifndef KERNEL_SET
#define KERNEL_SET(name, type)                                                           \
  {                                                                                      \
    .lanes = LP_LANES(type), .group = group_##name, .columns = columns_##name,           \
    .rows = rows_##name, .chirp_in = chirp_in_##name,                                    \
    .chirp_filter = chirp_filter_##name, .chirp_out = chirp_out_##name,                  \
    .real_after = real_after_##name, .real_before = real_before_##name                   \
  }
#endif

#undef V
#undef U
#undef Cell
#undef SHUFFLE
