/* The elementwise functions, one per op and kind of type: FN(exp)(x) is the exponential of a T.
 * Included once per dtype by template.h with these macros set:
 *   T                  the element type; bool elements are uint8_t 0 or 1
 *   FN(name)           name with the dtype's suffix
 *   IS_FLOAT / IS_COMPLEX / IS_INT / IS_BOOL   which of the parts below serves T
 * and, for floats, V(name) a vector function, BI(name) gcc's builtin, BITS the integer of T's width;
 * for complex, R the real type, CX(name) the C library's function, VR(name) R's vector function;
 * for integers, W the unsigned type in which arithmetic wraps.
 * Scalar parameters of an op follow its operands and have type T, too.
 * To add an op: a schema row, and a function of its name in each part the row's dtypes name. */

#if IS_FLOAT
#include "cpu/simd/scalar_float.h"
#elif IS_COMPLEX
#include "cpu/simd/scalar_complex.h"
#elif IS_INT
#include "cpu/simd/scalar_int.h"
#else
#include "cpu/simd/scalar_bool.h"
#endif
