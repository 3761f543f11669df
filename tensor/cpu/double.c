/* The table and the loops of kernels that are functions of doubles; see double.h. */
#include "cpu/double.h"

#include "cpu/special.h"

static const LpDoubleKernel kernels[LP_POINTWISE_COUNT] = {
#define ENTRY(list, name, operands)                                                      \
  [LP_POINTWISE_##list(LP_##list##_##name)] = {.operands = lp_##name##_f64},
    LP_DOUBLE_OPS(ENTRY) ENTRY(EXTRA, polygamma, two)};

const LpDoubleKernel *lp_double_kernel(int op) {
  return &kernels[op];
}

#define LOOP(T, id)                                                                      \
  static void loop_##id(char *const *ptrs, const int64_t *strides, int64_t n,            \
                        const void *params) {                                            \
    const LpDoubleCall *call = params;                                                   \
    const LpDoubleKernel f = *call->kernel;                                              \
    const double given = call->params ? lp_scalar_to_double(*call->params) : 0;          \
    for (int64_t i = 0; i < n; i++) {                                                    \
      const double a = *(const T *)(ptrs[1] + i * strides[1]);                           \
      T *out = (T *)(ptrs[0] + i * strides[0]);                                          \
      if (f.one)                                                                         \
        *out = (T)f.one(a);                                                              \
      else if (call->params)                                                             \
        *out = (T)f.two(a, given);                                                       \
      else                                                                               \
        *out = (T)f.two(a, *(const T *)(ptrs[2] + i * strides[2]));                      \
    }                                                                                    \
  }
LOOP(float, f32)
LOOP(double, f64)

LpLoop lp_double_loop(LpDtype dtype) {
  return dtype == LP_FLOAT32 ? loop_f32 : loop_f64;
}
