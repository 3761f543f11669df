/* Shared by the files that make pointwise kernels, one file per kind of type.
 * LP_CHOOSE(PREFIX_, FLOAT, FLOAT_INT) is PREFIX_YES when the set of dtypes has the category, else
 * PREFIX_NO. */
#ifndef LP_CPU_POINTWISE_KERNELS_H
#define LP_CPU_POINTWISE_KERNELS_H

#include "cpu/simd/simd.h"
#include <complex.h>
#include <math.h>
#include <string.h>
#include "cpu/simd/vecmath.h"
#include "dispatch/pointwise.h"

/* Elements in a vector of the narrower of two types: what the counts of a block are multiples of. */
#define LP_GRANULE(in, out) \
  (LP_VECTOR_BYTES / (int)(sizeof(in) < sizeof(out) ? sizeof(in) : sizeof(out)))

#define LP_CHOOSE_3(prefix, answer) prefix##answer
#define LP_CHOOSE_2(prefix, answer) LP_CHOOSE_3(prefix, answer)
#define LP_CHOOSE_1(prefix, category, dtypes) LP_CHOOSE_2(prefix, LP_##category##_IN_##dtypes)
#define LP_CHOOSE(prefix, category, dtypes) LP_CHOOSE_1(prefix, category, dtypes)

#define LP_FLOAT_IN_FLOAT YES
#define LP_FLOAT_IN_COMPLEX NO
#define LP_FLOAT_IN_INT NO
#define LP_FLOAT_IN_BOOL NO
#define LP_FLOAT_IN_FLOAT_COMPLEX YES
#define LP_FLOAT_IN_FLOAT_INT YES
#define LP_FLOAT_IN_FLOAT_BOOL YES
#define LP_FLOAT_IN_COMPLEX_INT NO
#define LP_FLOAT_IN_COMPLEX_BOOL NO
#define LP_FLOAT_IN_INT_BOOL NO
#define LP_FLOAT_IN_FLOAT_COMPLEX_INT YES
#define LP_FLOAT_IN_FLOAT_COMPLEX_BOOL YES
#define LP_FLOAT_IN_FLOAT_INT_BOOL YES
#define LP_FLOAT_IN_COMPLEX_INT_BOOL NO
#define LP_FLOAT_IN_ALL YES
#define LP_FLOAT_IN_DOUBLE NO
#define LP_COMPLEX_IN_FLOAT NO
#define LP_COMPLEX_IN_COMPLEX YES
#define LP_COMPLEX_IN_INT NO
#define LP_COMPLEX_IN_BOOL NO
#define LP_COMPLEX_IN_FLOAT_COMPLEX YES
#define LP_COMPLEX_IN_FLOAT_INT NO
#define LP_COMPLEX_IN_FLOAT_BOOL NO
#define LP_COMPLEX_IN_COMPLEX_INT YES
#define LP_COMPLEX_IN_COMPLEX_BOOL YES
#define LP_COMPLEX_IN_INT_BOOL NO
#define LP_COMPLEX_IN_FLOAT_COMPLEX_INT YES
#define LP_COMPLEX_IN_FLOAT_COMPLEX_BOOL YES
#define LP_COMPLEX_IN_FLOAT_INT_BOOL NO
#define LP_COMPLEX_IN_COMPLEX_INT_BOOL YES
#define LP_COMPLEX_IN_ALL YES
#define LP_COMPLEX_IN_DOUBLE NO
#define LP_INT_IN_FLOAT NO
#define LP_INT_IN_COMPLEX NO
#define LP_INT_IN_INT YES
#define LP_INT_IN_BOOL NO
#define LP_INT_IN_FLOAT_COMPLEX NO
#define LP_INT_IN_FLOAT_INT YES
#define LP_INT_IN_FLOAT_BOOL NO
#define LP_INT_IN_COMPLEX_INT YES
#define LP_INT_IN_COMPLEX_BOOL NO
#define LP_INT_IN_INT_BOOL YES
#define LP_INT_IN_FLOAT_COMPLEX_INT YES
#define LP_INT_IN_FLOAT_COMPLEX_BOOL NO
#define LP_INT_IN_FLOAT_INT_BOOL YES
#define LP_INT_IN_COMPLEX_INT_BOOL YES
#define LP_INT_IN_ALL YES
#define LP_INT_IN_DOUBLE NO
#define LP_BOOL_IN_FLOAT NO
#define LP_BOOL_IN_COMPLEX NO
#define LP_BOOL_IN_INT NO
#define LP_BOOL_IN_BOOL YES
#define LP_BOOL_IN_FLOAT_COMPLEX NO
#define LP_BOOL_IN_FLOAT_INT NO
#define LP_BOOL_IN_FLOAT_BOOL YES
#define LP_BOOL_IN_COMPLEX_INT NO
#define LP_BOOL_IN_COMPLEX_BOOL YES
#define LP_BOOL_IN_INT_BOOL YES
#define LP_BOOL_IN_FLOAT_COMPLEX_INT NO
#define LP_BOOL_IN_FLOAT_COMPLEX_BOOL YES
#define LP_BOOL_IN_FLOAT_INT_BOOL YES
#define LP_BOOL_IN_COMPLEX_INT_BOOL YES
#define LP_BOOL_IN_ALL YES
#define LP_BOOL_IN_DOUBLE NO

#endif
