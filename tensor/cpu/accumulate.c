/* Elementwise sums into, and quotients of, tensors for the gradients of views: plain
 * loops that allow several elements to share one address, as views made by as_strided do.
 * Serial, so that sums are exact and repeatable. */
#include "core/half.h"
#include "dispatch/accumulate.h"
#include "dispatch/iter.h"

#define LOAD_PLAIN(x) (x)
#define LOAD_half(x) lp_half_to_float(x)
#define LOAD_bf16(x) lp_bf16_to_float(x)
#define STORE_half(x) lp_half_from_float(x)
#define STORE_bf16(x) lp_bf16_from_float(x)

#define LOOPS(name, type, load, store)                                                   \
  static void add_##name(char *const *p, const int64_t *s, int64_t n,                    \
                         const void *params) {                                           \
    for (int64_t i = 0; i < n; i++) {                                                    \
      type *out = (type *)(p[0] + i * s[0]);                                             \
      *out = store(load(*out) + load(*(const type *)(p[1] + i * s[1])));                 \
    }                                                                                    \
  }                                                                                      \
  static void div_##name(char *const *p, const int64_t *s, int64_t n,                    \
                         const void *params) {                                           \
    for (int64_t i = 0; i < n; i++) {                                                    \
      type *out = (type *)(p[0] + i * s[0]);                                             \
      const type count = *(const type *)(p[1] + i * s[1]);                               \
      if (load(count) != 0) *out = store(load(*out) / load(count));                      \
    }                                                                                    \
  }

LOOPS(f16, uint16_t, LOAD_half, STORE_half)
LOOPS(bf16, uint16_t, LOAD_bf16, STORE_bf16)
LOOPS(f32, float, LOAD_PLAIN, LOAD_PLAIN)
LOOPS(f64, double, LOAD_PLAIN, LOAD_PLAIN)
LOOPS(c64, float _Complex, LOAD_PLAIN, LOAD_PLAIN)
LOOPS(c128, double _Complex, LOAD_PLAIN, LOAD_PLAIN)

static const struct {
  LpLoop add, div;
} loops[LP_DTYPE_COUNT] = {
    [LP_FLOAT16] = {add_f16, div_f16},   [LP_BFLOAT16] = {add_bf16, div_bf16},
    [LP_FLOAT32] = {add_f32, div_f32},   [LP_FLOAT64] = {add_f64, div_f64},
    [LP_COMPLEX64] = {add_c64, div_c64}, [LP_COMPLEX128] = {add_c128, div_c128},
};

static bool run_into(LpTensor *dst, LpTensor *src, LpLoop loop) {
  CHECK(loop && dst->dtype == src->dtype, LP_ERR_TYPE,
        "gradients must be floating or complex, got %s",
        lp_dtype_name((LpDtype)dst->dtype));
  LpIter it;
  lp_iter_init(&it);
  it.allow_overlap = it.no_resize = true;
  lp_iter_output(&it, dst);
  lp_iter_input(&it, src);
  bool ok = lp_iter_build(&it) && lp_iter_run_serial(&it, loop, NULL);
  lp_iter_done(&it);
  return ok;
}

bool lp_add_into(LpTensor *dst, LpTensor *src) {
  return run_into(dst, src, loops[dst->dtype].add);
}

bool lp_divide_by_counts(LpTensor *dst, LpTensor *counts) {
  return run_into(dst, counts, loops[dst->dtype].div);
}
