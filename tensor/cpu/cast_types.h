/* Names of the element types for the loops that convert between all pairs of dtypes, and
 * how each is read: halves as float, bool as 0 or 1. For cpu/simd/cast.c and
 * cpu/cast_limited.c alone. */
#ifndef LP_CPU_CAST_TYPES_H
#define LP_CPU_CAST_TYPES_H

#include <stdint.h>
#include "core/half.h"

typedef uint8_t u8;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef uint16_t f16;
typedef uint16_t bf16;
typedef float f32;
typedef double f64;
typedef float _Complex c64;
typedef double _Complex c128;
typedef uint8_t b8; /* bool: any byte but 0 is true */

#define LOAD_u8(x) (x)
#define LOAD_i8(x) (x)
#define LOAD_i16(x) (x)
#define LOAD_i32(x) (x)
#define LOAD_i64(x) (x)
#define LOAD_f16(x) lp_half_to_float(x)
#define LOAD_bf16(x) lp_bf16_to_float(x)
#define LOAD_f32(x) (x)
#define LOAD_f64(x) (x)
#define LOAD_c64(x) (x)
#define LOAD_c128(x) (x)
#define LOAD_b8(x) ((u8)((x) != 0))

/* Is the value of a type with fractions? */
#define IS_FRACTION(v) ((__typeof__((v) + 0))0.5 != 0)
/* Stores that need no care. */
#define STORE_i64(v) ((i64)(v))
#define STORE_f16(v) lp_half_from_float((float)(v))
#define STORE_bf16(v) lp_bf16_from_float((float)(v))
#define STORE_f32(v) ((f32)(v))
#define STORE_f64(v) ((f64)(v))
#define STORE_c64(v) ((c64)(v))
#define STORE_c128(v) ((c128)(v))
#define STORE_b8(v) ((u8)((v) != 0))

#endif
