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
#include "cpu/simd/template.h"
#undef T
#undef FN
#undef W
#undef CATEGORY
#undef IS_INT

#define CATEGORY BOOL
#define T uint8_t
#define FN(name) name##_bool
#include "cpu/simd/template.h"
