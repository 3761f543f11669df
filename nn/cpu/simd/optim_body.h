/* The elementwise steps of cpu/optim.h for one dtype; included by optim.c through
 * nn_each.h. x is the parameter, d its gradient after maximize and weight decay. Choices
 * that do not depend on the element are parameters of inline functions or conditions that
 * the compiler takes out of the loops. */

/* Without decay the parameter must not come in: 0 * inf would be NaN. */
#define GRADIENT(o)                                                                      \
  const A sign = (o)->grad.maximize ? -1 : 1, decay = (A)(o)->grad.decay;                \
  const bool decays = decay != 0
#define DIRECTION(i, x) (decays ? sign * LOAD(g[i]) + decay * (x) : sign * LOAD(g[i]))

static inline void TYPED(sgd_momentum)(T *p, const T *g, T *buffer, int64_t n,
                                       const LpSgdOptions *o, bool first, bool nesterov) {
  GRADIENT(o);
  const A momentum = (A)o->momentum, fresh = (A)(1 - o->dampening), step = (A)-o->lr;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]), d = DIRECTION(i, x);
    A b = first ? d : momentum * LOAD(buffer[i]) + fresh * d;
    buffer[i] = STORE(b);
    p[i] = STORE(x + step * (nesterov ? d + momentum * b : b));
  }
}

static void TYPED(sgd)(void *const *at, int64_t n, const void *options) {
  const LpSgdOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *buffer = at[LP_OPTIM_STATE];
  const T *g = at[LP_OPTIM_GRAD];
  if (buffer) {
    if (o->first && o->nesterov)
      TYPED(sgd_momentum)(p, g, buffer, n, o, true, true);
    else if (o->first)
      TYPED(sgd_momentum)(p, g, buffer, n, o, true, false);
    else if (o->nesterov)
      TYPED(sgd_momentum)(p, g, buffer, n, o, false, true);
    else
      TYPED(sgd_momentum)(p, g, buffer, n, o, false, false);
    return;
  }
  GRADIENT(o);
  const A step = (A)-o->lr;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]);
    p[i] = STORE(x + step * DIRECTION(i, x));
  }
}

static void TYPED(adam)(void *const *at, int64_t n, const void *options) {
  const LpAdamOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *m = at[LP_OPTIM_STATE], *v = at[LP_OPTIM_STATE + 1];
  T *largest = at[LP_OPTIM_STATE + 2];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A keep = (A)o->keep;
  const A b1 = (A)(1 - o->beta1), beta2 = (A)o->beta2, b2 = (A)(1 - o->beta2);
  const A step = (A)-o->step_size, correction = (A)o->root_correction, eps = (A)o->eps;
  if (largest) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) {
      A x = LOAD(p[i]) * keep, d = DIRECTION(i, x), m0 = LOAD(m[i]);
      A m1 = m0 + b1 * (d - m0), v1 = beta2 * LOAD(v[i]) + b2 * d * d;
      A old = LOAD(largest[i]), top = old >= v1 ? old : v1; /* v1 when it is NaN */
      m[i] = STORE(m1);
      v[i] = STORE(v1);
      largest[i] = STORE(top);
      p[i] = STORE(x + step * (m1 / (ROOT(top) / correction + eps)));
    }
    return;
  }
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]) * keep, d = DIRECTION(i, x), m0 = LOAD(m[i]);
    A m1 = m0 + b1 * (d - m0), v1 = beta2 * LOAD(v[i]) + b2 * d * d;
    m[i] = STORE(m1);
    v[i] = STORE(v1);
    p[i] = STORE(x + step * (m1 / (ROOT(v1) / correction + eps)));
  }
}

static void TYPED(adadelta)(void *const *at, int64_t n, const void *options) {
  const LpAdadeltaOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *s = at[LP_OPTIM_STATE], *a = at[LP_OPTIM_STATE + 1];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A rho = (A)o->rho, fresh = (A)(1 - o->rho), eps = (A)o->eps, step = (A)-o->lr;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]), d = DIRECTION(i, x), a0 = LOAD(a[i]);
    A s1 = rho * LOAD(s[i]) + fresh * d * d;
    A delta = ROOT(a0 + eps) / ROOT(s1 + eps) * d;
    s[i] = STORE(s1);
    a[i] = STORE(rho * a0 + fresh * delta * delta);
    p[i] = STORE(x + step * delta);
  }
}

static void TYPED(adagrad)(void *const *at, int64_t n, const void *options) {
  const LpAdagradOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *sum = at[LP_OPTIM_STATE];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A step = (A)-o->lr, eps = (A)o->eps;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]), d = DIRECTION(i, x), s = LOAD(sum[i]) + d * d;
    sum[i] = STORE(s);
    p[i] = STORE(x + step * (d / (ROOT(s) + eps)));
  }
}

static void TYPED(adamax)(void *const *at, int64_t n, const void *options) {
  const LpAdamaxOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *m = at[LP_OPTIM_STATE], *u = at[LP_OPTIM_STATE + 1];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A b1 = (A)(1 - o->beta1), beta2 = (A)o->beta2, eps = (A)o->eps;
  const A step = (A)-o->step_size;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]), d = DIRECTION(i, x), m0 = LOAD(m[i]), m1 = m0 + b1 * (d - m0);
    A old = beta2 * LOAD(u[i]), new = ABS(d) + eps;
    A top = old >= new || old != old ? old : new; /* NaN on either side stays */
    m[i] = STORE(m1);
    u[i] = STORE(top);
    p[i] = STORE(x + step * (m1 / top));
  }
}

static void TYPED(asgd)(void *const *at, int64_t n, const void *options) {
  const LpAsgdOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *ax = at[LP_OPTIM_STATE];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A keep = (A)o->keep, step = (A)-o->eta, mu = (A)o->mu;
  const bool copies = o->mu == 1;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]), x1 = x * keep + step * DIRECTION(i, x), a = LOAD(ax[i]);
    p[i] = STORE(x1);
    ax[i] = STORE(copies ? x1 : a + mu * (x1 - a));
  }
}

static void TYPED(nadam)(void *const *at, int64_t n, const void *options) {
  const LpNadamOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *m = at[LP_OPTIM_STATE], *v = at[LP_OPTIM_STATE + 1];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A keep = (A)o->keep, eps = (A)o->eps, correction = (A)o->correction2;
  const A b1 = (A)(1 - o->beta1), beta2 = (A)o->beta2, b2 = (A)(1 - o->beta2);
  const A grad_step = (A)o->grad_step, avg_step = (A)o->avg_step;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]) * keep, d = DIRECTION(i, x), m0 = LOAD(m[i]);
    A m1 = m0 + b1 * (d - m0), v1 = beta2 * LOAD(v[i]) + b2 * d * d;
    A root = ROOT(v1 / correction) + eps;
    m[i] = STORE(m1);
    v[i] = STORE(v1);
    p[i] = STORE(x + (grad_step * d + avg_step * m1) / root);
  }
}

static inline void TYPED(radam_either)(void *const *at, int64_t n,
                                       const LpRadamOptions *o, bool rectified) {
  T *p = at[LP_OPTIM_PARAM], *m = at[LP_OPTIM_STATE], *v = at[LP_OPTIM_STATE + 1];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A keep = (A)o->keep, eps = (A)o->eps, step = (A)-o->step_size;
  const A b1 = (A)(1 - o->beta1), beta2 = (A)o->beta2, b2 = (A)(1 - o->beta2);
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]) * keep, d = DIRECTION(i, x), m0 = LOAD(m[i]);
    A m1 = m0 + b1 * (d - m0), v1 = beta2 * LOAD(v[i]) + b2 * d * d;
    m[i] = STORE(m1);
    v[i] = STORE(v1);
    p[i] = STORE(x + step * (rectified ? m1 / (ROOT(v1) + eps) : m1));
  }
}

static void TYPED(radam)(void *const *at, int64_t n, const void *options) {
  const LpRadamOptions *o = options;
  if (o->rectified)
    TYPED(radam_either)(at, n, o, true);
  else
    TYPED(radam_either)(at, n, o, false);
}

static inline void TYPED(rmsprop_case)(void *const *at, int64_t n,
                                       const LpRmspropOptions *o, bool has_buffer,
                                       bool centered) {
  T *p = at[LP_OPTIM_PARAM], *s = at[LP_OPTIM_STATE], *buffer = at[LP_OPTIM_STATE + 1];
  T *mean = at[LP_OPTIM_STATE + 2];
  const T *g = at[LP_OPTIM_GRAD];
  GRADIENT(o);
  const A alpha = (A)o->alpha, fresh = (A)(1 - o->alpha), eps = (A)o->eps;
  const A momentum = (A)o->momentum, step = (A)-o->lr;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]), d = DIRECTION(i, x), s1 = alpha * LOAD(s[i]) + fresh * d * d;
    A variance = s1;
    s[i] = STORE(s1);
    if (centered) {
      A m0 = LOAD(mean[i]), m1 = m0 + fresh * (d - m0);
      mean[i] = STORE(m1);
      variance = s1 - m1 * m1;
    }
    A move = d / (ROOT(variance) + eps);
    if (has_buffer) {
      move = momentum * LOAD(buffer[i]) + move;
      buffer[i] = STORE(move);
    }
    p[i] = STORE(x + step * move);
  }
}

static void TYPED(rmsprop)(void *const *at, int64_t n, const void *options) {
  const LpRmspropOptions *o = options;
  bool has_buffer = at[LP_OPTIM_STATE + 1] != NULL;
  bool centered = at[LP_OPTIM_STATE + 2] != NULL;
  if (has_buffer && centered)
    TYPED(rmsprop_case)(at, n, o, true, true);
  else if (has_buffer)
    TYPED(rmsprop_case)(at, n, o, true, false);
  else if (centered)
    TYPED(rmsprop_case)(at, n, o, false, true);
  else
    TYPED(rmsprop_case)(at, n, o, false, false);
}

static void TYPED(rprop)(void *const *at, int64_t n, const void *options) {
  const LpRpropOptions *o = options;
  T *p = at[LP_OPTIM_PARAM], *prev = at[LP_OPTIM_STATE], *size = at[LP_OPTIM_STATE + 1];
  const T *g = at[LP_OPTIM_GRAD];
  const A sign = o->grad.maximize ? -1 : 1;
  const A minus = (A)o->eta_minus, plus = (A)o->eta_plus;
  const A low = (A)o->step_min, high = (A)o->step_max;
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A d = sign * LOAD(g[i]), turn = d * LOAD(prev[i]);
    A factor = turn > 0 ? plus : turn < 0 ? minus : 1;
    A s = LOAD(size[i]) * factor;
    s = s < low ? low : s;
    s = s > high ? high : s;
    d = turn < 0 ? 0 : d; /* after a change of sign the step is left out */
    A way = d > 0 ? (A)1 : d < 0 ? (A)-1 : (A)0;
    prev[i] = STORE(d);
    size[i] = STORE(s);
    p[i] = STORE(LOAD(p[i]) - way * s);
  }
}

#undef GRADIENT
#undef DIRECTION
