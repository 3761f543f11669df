/* Pointwise kernels on the integers and bool. */
#include "cpu/simd/kernels.h"

/* uint8 passes through the code of the signed types. */
#pragma GCC diagnostic ignored "-Wtype-limits"

#define CATEGORY INT
#define IS_INT 1

#define T uint8_t
#define W uint32_t
#define IS_SIGNED 0
#define FN(name) name##_u8
#include "cpu/simd/template.h"
#undef T
#undef FN
#undef IS_SIGNED
#define IS_SIGNED 1

#define T int8_t
#define FN(name) name##_i8
#include "cpu/simd/template.h"
#undef T
#undef FN

#define T int16_t
#define FN(name) name##_i16
#include "cpu/simd/template.h"
#undef T
#undef FN

#define T int32_t
#define FN(name) name##_i32
#include "cpu/simd/template.h"
#undef T
#undef FN
#undef W

#define T int64_t
#define W uint64_t
#define FN(name) name##_i64
#if defined(LP_CAP_avx512) /* converts between int64 and double */
#define BITS uint64_t
#define LP_OWN_LOOP_div_trunc_i64 ~, OWN
#define LP_OWN_LOOP_floor_divide_i64 ~, OWN
#define LP_OWN_LOOP_remainder_i64 ~, OWN
#define LP_OWN_LOOP_fmod_i64 ~, OWN
#define OWN_LOOPS "cpu/simd/quotients.h"
#endif
#include "cpu/simd/template.h"
#undef OWN_LOOPS
#undef T
#undef FN
#undef W
#undef CATEGORY
#undef IS_INT

#define CATEGORY BOOL
#define T uint8_t
#define FN(name) name##_bool
#include "cpu/simd/template.h"
