/* The loops of cpu/optim.h for one dtype; included by optim.c through nn_each.h. */

static void TYPED(sgd)(void *pp, const void *pg, void *pbuffer, int64_t n,
                       const LpSgdOptions *o) {
  T *p = pp, *buffer = pbuffer;
  const T *g = pg;
  const A sign = o->maximize ? -1 : 1, decay = (A)o->weight_decay,
          momentum = (A)o->momentum;
  const A fresh = (A)(1 - o->dampening), step = (A)-o->lr,
          look = o->nesterov ? momentum : 0;
  if (!buffer) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) {
      A x = LOAD(p[i]), d = sign * LOAD(g[i]) + decay * x;
      p[i] = STORE(x + step * d);
    }
  } else if (o->first) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) {
      A x = LOAD(p[i]), d = sign * LOAD(g[i]) + decay * x;
      buffer[i] = STORE(d);
      p[i] = STORE(x + step * (d + look * d));
    }
  } else if (o->nesterov) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) {
      A x = LOAD(p[i]), d = sign * LOAD(g[i]) + decay * x;
      A b = momentum * LOAD(buffer[i]) + fresh * d;
      buffer[i] = STORE(b);
      p[i] = STORE(x + step * (d + momentum * b));
    }
  } else {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) {
      A x = LOAD(p[i]), d = sign * LOAD(g[i]) + decay * x;
      A b = momentum * LOAD(buffer[i]) + fresh * d;
      buffer[i] = STORE(b);
      p[i] = STORE(x + step * b);
    }
  }
}

static void TYPED(adam)(void *pp, const void *pg, void *pm, void *pv, void *plargest,
                        int64_t n, const LpAdamOptions *o) {
  T *p = pp, *m = pm, *v = pv, *largest = plargest;
  const T *g = pg;
  const A sign = o->maximize ? -1 : 1, decay = o->decoupled ? 0 : (A)o->weight_decay;
  const A keep = o->decoupled ? (A)(1 - o->lr * o->weight_decay) : 1;
  const A b1 = (A)(1 - o->beta1), beta2 = (A)o->beta2, b2 = (A)(1 - o->beta2);
  const A step = (A)-o->step_size, correction = (A)o->root_correction, eps = (A)o->eps;
  if (largest) {
    LP_IVDEP
    for (int64_t i = 0; i < n; i++) {
      A x = LOAD(p[i]) * keep, d = sign * LOAD(g[i]) + decay * x, m0 = LOAD(m[i]);
      A m1 = m0 + b1 * (d - m0), v1 = beta2 * LOAD(v[i]) + b2 * d * d,
        old = LOAD(largest[i]);
      A top = v1 > old ? v1 : old;
      m[i] = STORE(m1);
      v[i] = STORE(v1);
      largest[i] = STORE(top);
      p[i] = STORE(x + step * (m1 / (ROOT(top) / correction + eps)));
    }
    return;
  }
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) {
    A x = LOAD(p[i]) * keep, d = sign * LOAD(g[i]) + decay * x, m0 = LOAD(m[i]);
    A m1 = m0 + b1 * (d - m0), v1 = beta2 * LOAD(v[i]) + b2 * d * d;
    m[i] = STORE(m1);
    v[i] = STORE(v1);
    p[i] = STORE(x + step * (m1 / (ROOT(v1) / correction + eps)));
  }
}
