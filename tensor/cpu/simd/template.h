/* Block functions of one dtype, and its row of the kernel table (Note [Pointwise
 * kernels]). Included with the macros of scalar.h and CATEGORY = FLOAT, COMPLEX, INT or
 * BOOL. */

#include "cpu/simd/scalar.h"
#ifdef OWN_LOOPS
#include OWN_LOOPS
#endif

#define OUT_NONE T
#define OUT_INT_TO_FLOAT T
#define OUT_BOOL_RESULT uint8_t
#define PARAMS_0
#define PARAMS_1 const T p0 = FN(of)(params[0]);
#define PARAMS_2 PARAMS_1 const T p1 = FN(of)(params[1]);
#define PARAMS_3 PARAMS_2 const T p2 = FN(of)(params[2]);
#define PASS_0
#define PASS_1 , p0
#define PASS_2 , p0, p1
#define PASS_3 , p0, p1, p2
#define INPUTS_1 const T *a = (const T *)ptrs[1];
#define INPUTS_2 INPUTS_1 const T *b = (const T *)ptrs[2];
#define INPUTS_3 INPUTS_2 const T *c = (const T *)ptrs[3];
#define POINTERS_1 a, a
#define POINTERS_2 a, b
#define ELEMENTS_1 a[i]
#define ELEMENTS_2 a[i], b[i]
#define ELEMENTS_3 a[i], b[i], c[i]

/* A name for which LP_OWN_LOOP_<name>_<dtype> is defined (as `~, OWN`) has its own loop,
 * loop_<name>_<dtype>(out, a, b, n); b is a where there is one input. */
#define LOOP_KIND_2(a, kind, ...) kind
#define LOOP_KIND_1(...) LOOP_KIND_2(__VA_ARGS__)
#define LOOP_KIND(name) LOOP_KIND_1(FN(LP_OWN_LOOP_##name), PLAIN, ~)
#define LOOP_OWN(name, n_params, arity) FN(loop_##name)(out, POINTERS_##arity, n);
#define LOOP_PLAIN(name, n_params, arity)                                                \
  LP_IVDEP                                                                               \
  for (int64_t i = 0; i < n; i++) out[i] = FN(name)(ELEMENTS_##arity PASS_##n_params);

/* The count is a multiple of the vector length, which lets gcc leave out the remainder
 * loop. */
#define BLOCK_YES(name, promote, n_params, arity)                                        \
  static void FN(block_##name)(char *const *ptrs, int64_t n, const LpScalar *params) {   \
    OUT_##promote *out = (OUT_##promote *)ptrs[0];                                       \
    INPUTS_##arity PARAMS_##n_params n &= -(int64_t)LP_GRANULE(T, OUT_##promote);        \
    LP_CHOOSE_2(LOOP_, LOOP_KIND(name))(name, n_params, arity)                           \
  }
#define BLOCK_NO(name, promote, n_params, arity)

/* Blocks by numbers, for the ops that are as fast as their operands' memory: a buffer
 * filled with the number would be one operand more to read. Rows of a granule or more,
 * each with its own numbers. Elements are computed twice, in place those that are left
 * from before: what is beside whole vectors is part of one more, which ends with the row.
 * And a vector across lines of the cache takes twice as long to write: where a row's
 * results do not begin where a vector may, the first one is followed by those that do. */
#define NUMBERS_2 const T y = *(const T *)(ptrs[2] + r * steps[2]);
#define NUMBERS_3 NUMBERS_2 const T z = *(const T *)(ptrs[3] + r * steps[3]);
#define BY_NUMBERS_2 y
#define BY_NUMBERS_3 y, z
#define LP_BY_NUMBER_add ~, YES
#define LP_BY_NUMBER_sub ~, YES
#define LP_BY_NUMBER_rsub ~, YES
#define LP_BY_NUMBER_mul ~, YES
#define LP_BY_NUMBER_div ~, YES
#define LP_BY_NUMBER_maximum ~, YES
#define LP_BY_NUMBER_minimum ~, YES
#define LP_BY_NUMBER_eq ~, YES
#define LP_BY_NUMBER_ne ~, YES
#define LP_BY_NUMBER_lt ~, YES
#define LP_BY_NUMBER_le ~, YES
#define LP_BY_NUMBER_gt ~, YES
#define LP_BY_NUMBER_ge ~, YES
#define LP_BY_NUMBER_clamp ~, YES
#define LP_BY_NUMBER_prelu_elements ~, YES
#define HAS_NUMBER(name) LOOP_KIND_1(LP_BY_NUMBER_##name, NO, ~)
#define NUMBER_BLOCK_YES(name, promote, n_params, arity)                                 \
  static void FN(number_##name)(char *const *ptrs, const int64_t *steps, int64_t rows,   \
                                int64_t n, const LpScalar *params) {                     \
    enum { VECTOR = LP_GRANULE(T, OUT_##promote) };                                      \
    const int64_t vector = VECTOR;                                                       \
    PARAMS_##n_params for (int64_t r = 0; r < rows; r++) {                               \
      OUT_##promote *out = (OUT_##promote *)(ptrs[0] + r * steps[0]);                    \
      const T *a = (const T *)(ptrs[1] + r * steps[1]), *from = a;                       \
      T last[VECTOR]; /* of a row in place */                                            \
      const bool in_place = (void *)out == (void *)a;                                    \
      if (in_place) memcpy(last, a + n - vector, sizeof last);                           \
      NUMBERS_##arity const int64_t across =                                             \
          (int64_t)((uintptr_t)out % LP_VECTOR_BYTES);                                   \
      int64_t lead = (LP_VECTOR_BYTES - across) / (int64_t)sizeof *out, at = 0, m = n;   \
      if (!across || n < 4 * vector || in_place) lead = 0;                               \
      if (lead) m = vector;                                                              \
      for (;;) {                                                                         \
        m &= -vector;                                                                    \
        LP_IVDEP                                                                         \
        for (int64_t i = 0; i < m; i++)                                                  \
          out[at + i] = FN(name)(from[i], BY_NUMBERS_##arity PASS_##n_params);           \
        if (at + m == n) break;                                                          \
        at = lead ? lead : n - vector;                                                   \
        from = in_place ? last : a + at;                                                 \
        m = n - at;                                                                      \
        lead = 0;                                                                        \
      }                                                                                  \
    }                                                                                    \
  }
#define NUMBER_BLOCK_NO(name, promote, n_params, arity)
#define NUMBER_YES(name, promote, n_params, arity)                                       \
  LP_CHOOSE_2(NUMBER_BLOCK_, HAS_NUMBER(name))(name, promote, n_params, arity)
#define NUMBER_NO(name, promote, n_params, arity)
#define NUMBER_ENTRY_YES(index, name)                                                    \
  LP_CHOOSE_2(ENTRY_, HAS_NUMBER(name))(index, number_##name)
#define NUMBER_ENTRY_NO(index, name)
#define ENTRY_YES(index, function) [index] = FN(function),
#define ENTRY_NO(index, function)

#define BLOCK_UNARY(name, dtypes, promote, n_params)                                     \
  LP_CHOOSE(BLOCK_, CATEGORY, dtypes)(name, promote, n_params, 1)
#define BLOCK_BINARY(name, dtypes, promote, n_params)                                    \
  LP_CHOOSE(BLOCK_, CATEGORY, dtypes)(name, promote, n_params, 2)
#define BLOCK_EXTRA(name, dtypes, promote, n_params, arity)                              \
  LP_CHOOSE(BLOCK_, CATEGORY, dtypes)(name, promote, n_params, arity)
#define ENTRY_UNARY(name, dtypes, promote, n_params)                                     \
  LP_CHOOSE(ENTRY_, CATEGORY, dtypes)(LP_POINTWISE_UNARY(LP_UNARY_##name), block_##name)
#define ENTRY_BINARY(name, dtypes, promote, n_params)                                    \
  LP_CHOOSE(ENTRY_, CATEGORY, dtypes)(LP_POINTWISE_BINARY(LP_BINARY_##name), block_##name)
#define ENTRY_EXTRA(name, dtypes, promote, n_params, arity)                              \
  LP_CHOOSE(ENTRY_, CATEGORY, dtypes)(LP_POINTWISE_EXTRA(LP_EXTRA_##name), block_##name)

#define NUMBER_BINARY(name, dtypes, promote, n_params)                                   \
  LP_CHOOSE(NUMBER_, CATEGORY, dtypes)(name, promote, n_params, 2)
#define NUMBER_EXTRA(name, dtypes, promote, n_params, arity)                             \
  LP_CHOOSE(NUMBER_, CATEGORY, dtypes)(name, promote, n_params, arity)
#define NUMBER_ENTRY_BINARY(name, dtypes, promote, n_params)                             \
  LP_CHOOSE(NUMBER_ENTRY_, CATEGORY, dtypes)(LP_POINTWISE_BINARY(LP_BINARY_##name), name)
#define NUMBER_ENTRY_EXTRA(name, dtypes, promote, n_params, arity)                       \
  LP_CHOOSE(NUMBER_ENTRY_, CATEGORY, dtypes)(LP_POINTWISE_EXTRA(LP_EXTRA_##name), name)

LP_UNARY_OPS(BLOCK_UNARY)
LP_BINARY_OPS(BLOCK_BINARY)
LP_EXTRA_OPS(BLOCK_EXTRA)
LP_BINARY_OPS(NUMBER_BINARY)
LP_EXTRA_OPS(NUMBER_EXTRA)

const LpPointwiseRow LP_SIMD(FN(lp_pointwise)) = {
    {LP_UNARY_OPS(ENTRY_UNARY) LP_BINARY_OPS(ENTRY_BINARY) LP_EXTRA_OPS(ENTRY_EXTRA)},
    {LP_BINARY_OPS(NUMBER_ENTRY_BINARY) LP_EXTRA_OPS(NUMBER_ENTRY_EXTRA)}};

#undef OUT_NONE
#undef OUT_INT_TO_FLOAT
#undef OUT_BOOL_RESULT
#undef PARAMS_0
#undef PARAMS_1
#undef PARAMS_2
#undef PARAMS_3
#undef PASS_0
#undef PASS_1
#undef PASS_2
#undef PASS_3
#undef INPUTS_1
#undef INPUTS_2
#undef INPUTS_3
#undef POINTERS_1
#undef POINTERS_2
#undef ELEMENTS_1
#undef ELEMENTS_2
#undef ELEMENTS_3
#undef LOOP_KIND_2
#undef LOOP_KIND_1
#undef LOOP_KIND
#undef LOOP_OWN
#undef LOOP_PLAIN
#undef BLOCK_YES
#undef BLOCK_NO
#undef ENTRY_YES
#undef ENTRY_NO
#undef BLOCK_UNARY
#undef BLOCK_BINARY
#undef BLOCK_EXTRA
#undef ENTRY_UNARY
#undef ENTRY_BINARY
#undef ENTRY_EXTRA
#undef NUMBERS_2
#undef NUMBERS_3
#undef BY_NUMBERS_2
#undef BY_NUMBERS_3
#undef HAS_NUMBER
#undef NUMBER_BLOCK_YES
#undef NUMBER_BLOCK_NO
#undef NUMBER_YES
#undef NUMBER_NO
#undef NUMBER_ENTRY_YES
#undef NUMBER_ENTRY_NO
#undef NUMBER_BINARY
#undef NUMBER_EXTRA
#undef NUMBER_ENTRY_BINARY
#undef NUMBER_ENTRY_EXTRA
