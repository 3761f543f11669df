/* Includes BODY once for each floating dtype, in the order of nn_float_index, with T the
 * element type, A the type arithmetic is done in, LOAD and STORE between them, and
 * TYPED(name) a name of its own for each. Define BODY first; no include guard. */
#include "core/half.h"

#define TYPED_PASTE(a, b) a##_##b
#define TYPED_NAME(a, b) TYPED_PASTE(a, b)
#define TYPED(name) TYPED_NAME(name, SUFFIX)

#define T float
#define A float
#define SUFFIX f32
#define LOAD(v) (v)
#define STORE(v) (v)
#include BODY
#undef T
#undef A
#undef SUFFIX
#undef LOAD
#undef STORE

#define T double
#define A double
#define SUFFIX f64
#define LOAD(v) (v)
#define STORE(v) (v)
#include BODY
#undef T
#undef A
#undef SUFFIX
#undef LOAD
#undef STORE

#ifndef WITHOUT_F16 /* float16 goes through the float kernels */
#define T uint16_t
#define A float
#define SUFFIX f16
#define LOAD(v) lp_half_to_float(v)
#define STORE(v) lp_half_from_float(v)
#include BODY
#undef T
#undef A
#undef SUFFIX
#undef LOAD
#undef STORE
#endif

#define T uint16_t
#define A float
#define SUFFIX bf16
#define LOAD(v) lp_bf16_to_float(v)
#define STORE(v) lp_bf16_from_float(v)
#include BODY
#undef T
#undef A
#undef SUFFIX
#undef LOAD
#undef STORE

/* {name_f32, name_f64, name_f16, name_bf16} */
#define EACH_TYPE(name)                                                                  \
  { name##_f32, name##_f64, name##_f16, name##_bf16 }
