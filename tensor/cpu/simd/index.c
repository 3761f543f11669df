/* Indexing kernels, compiled once per instruction set; see cpu/index.h for what a row is. */
#include "cpu/simd/simd.h"

#include <math.h>
#include <string.h>
#ifdef LP_CAP_avx512
#include <immintrin.h>
#endif
#include "core/half.h"
#include "cpu/index.h"

typedef struct { uint64_t part[2]; } Bytes16;

/* The four forms of a row, so that each loop has few strides: dense on both sides, strided, indexed with all
 * else dense (the usual gather and scatter along the last dim), indexed. */
#define ROW(name, T, dense, strided)                                                        \
  static void name(const LpIndexRow *row) {                                                 \
    const int64_t n = row->n, t_step = row->t_step, v_step = row->v_step;                   \
    if (!row->idx && t_step == (int64_t)sizeof(T) && v_step == (int64_t)sizeof(T)) {        \
      dense;                                                                                \
      return;                                                                               \
    }                                                                                       \
    const int64_t *idx = row->idx;                                                          \
    if (!idx) {                                                                             \
      for (int64_t j = 0; j < n; j++) {                                                     \
        T *t = (T *)(row->t + j * t_step), *v = (T *)(row->v + j * v_step);                 \
        strided;                                                                            \
      }                                                                                     \
      return;                                                                               \
    }                                                                                       \
    const int64_t idx_step = row->idx_step, scale = row->scale;                             \
    if (t_step == 0 && idx_step == 1 && scale == (int64_t)sizeof(T) && v_step == scale) {   \
      T *t0 = (T *)row->t, *v = (T *)row->v;                                                \
      for (int64_t j = 0; j < n; j++, v++) {                                                \
        T *t = t0 + idx[j];                                                                 \
        strided;                                                                            \
      }                                                                                     \
      return;                                                                               \
    }                                                                                       \
    for (int64_t j = 0; j < n; j++) {                                                       \
      T *t = (T *)(row->t + j * t_step + idx[j * idx_step] * scale);                        \
      T *v = (T *)(row->v + j * v_step);                                                    \
      strided;                                                                              \
    }                                                                                       \
  }

#define MOVES(suffix, T)                                                                    \
  ROW(get_##suffix, T, memcpy(row->v, row->t, (size_t)n * sizeof(T)), *v = *t)              \
  ROW(put_##suffix, T, memcpy(row->t, row->v, (size_t)n * sizeof(T)), *t = *v)
MOVES(1, uint8_t)
MOVES(2, uint16_t)
MOVES(4, uint32_t)
MOVES(8, uint64_t)
MOVES(16, Bytes16)

/* Blocks as pieces of one length, of which the last one may overlap the one before. */
#define MOVE_PIECES(piece)                                                                  \
  for (int64_t i = 0; i < m->n; i++) {                                                      \
    char *to = m->to + (m->to_at ? m->to_at[i] : i) * to_step;                              \
    const char *from = m->from + (m->from_at ? m->from_at[i] : i) * from_step;              \
    for (int64_t at = 0; at + piece < bytes; at += piece) memcpy(to + at, from + at, piece); \
    memcpy(to + bytes - piece, from + bytes - piece, piece);                                \
  }
static void move_blocks(const LpIndexMoves *m) {
  const int64_t bytes = m->bytes, to_step = m->to_step, from_step = m->from_step;
  if (bytes > 1024) {
    for (int64_t i = 0; i < m->n; i++)
      memcpy(m->to + (m->to_at ? m->to_at[i] : i) * to_step, m->from + (m->from_at ? m->from_at[i] : i) * from_step,
             (size_t)bytes);
  } else if (bytes >= 64) {
    MOVE_PIECES(64)
  } else if (bytes >= 32) {
    MOVE_PIECES(32)
  } else if (bytes >= 16) {
    MOVE_PIECES(16)
  } else if (bytes >= 8) {
    MOVE_PIECES(8)
  } else if (bytes >= 4) {
    MOVE_PIECES(4)
  } else if (bytes >= 2) {
    MOVE_PIECES(2)
  } else {
    MOVE_PIECES(1)
  }
}

#define DENSE(T, combine)                                                                   \
  T *t0 = (T *)row->t;                                                                      \
  const T *v0 = (const T *)row->v;                                                          \
  LP_IVDEP                                                                                  \
  for (int64_t j = 0; j < n; j++) t0[j] = combine(t0[j], v0[j])
#define COMBINE(name, T, combine) ROW(name, T, DENSE(T, combine), *t = combine(*t, *v))

#define ADD(a, b) (__typeof__(a))((a) + (b))
#define MUL(a, b) (__typeof__(a))((a) * (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define FMAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define FMIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define OR(a, b) ((a) | (b))
#define AND(a, b) ((a) & (b))

#define NUMBERS(suffix, T, larger, smaller)                                                 \
  COMBINE(max_##suffix, T, larger)                                                          \
  COMBINE(min_##suffix, T, smaller)
#define SUMS(suffix, U)                                                                     \
  COMBINE(add_##suffix, U, ADD)                                                             \
  COMBINE(mul_##suffix, U, MUL)

/* Integers wrap around: their sums and products are taken unsigned. */
SUMS(8, uint8_t)
SUMS(16, uint16_t)
SUMS(32, uint32_t)
SUMS(64, uint64_t)
SUMS(f32, float)
SUMS(f64, double)
NUMBERS(u8, uint8_t, MAX, MIN)
NUMBERS(i8, int8_t, MAX, MIN)
NUMBERS(i16, int16_t, MAX, MIN)
NUMBERS(i32, int32_t, MAX, MIN)
NUMBERS(i64, int64_t, MAX, MIN)
NUMBERS(f32, float, FMAX, FMIN)
NUMBERS(f64, double, FMAX, FMIN)
COMBINE(add_bool, uint8_t, OR)
COMBINE(mul_bool, uint8_t, AND)

#define HALF(name, widen, narrow)                                                           \
  static inline uint16_t name##_add2(uint16_t a, uint16_t b) { return narrow(widen(a) + widen(b)); } \
  static inline uint16_t name##_mul2(uint16_t a, uint16_t b) { return narrow(widen(a) * widen(b)); } \
  static inline uint16_t name##_max2(uint16_t a, uint16_t b) {                              \
    float x = widen(a), y = widen(b);                                                       \
    return FMAX(x, y) == x || x != x ? a : b;                                               \
  }                                                                                         \
  static inline uint16_t name##_min2(uint16_t a, uint16_t b) {                              \
    float x = widen(a), y = widen(b);                                                       \
    return FMIN(x, y) == x || x != x ? a : b;                                               \
  }                                                                                         \
  COMBINE(add_##name, uint16_t, name##_add2)                                                \
  COMBINE(mul_##name, uint16_t, name##_mul2)                                                \
  COMBINE(max_##name, uint16_t, name##_max2)                                                \
  COMBINE(min_##name, uint16_t, name##_min2)
HALF(f16, lp_half_to_float, lp_half_from_float)
HALF(bf16, lp_bf16_to_float, lp_bf16_from_float)

#define COMPLEX(name, T)                                                                    \
  typedef struct { T re, im; } name;                                                        \
  static inline name name##_add2(name a, name b) { return (name){a.re + b.re, a.im + b.im}; } \
  static inline name name##_mul2(name a, name b) {                                          \
    return (name){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};                    \
  }                                                                                         \
  COMBINE(add_##name, name, name##_add2)                                                    \
  COMBINE(mul_##name, name, name##_mul2)
COMPLEX(c64, float)
COMPLEX(c128, double)

static bool in_range(const int64_t *idx, int64_t step, int64_t n, int64_t size) {
  uint64_t outside = 0; /* the top bit, of indices below 0 or from size on */
  if (step == 1) {
    for (int64_t j = 0; j < n; j++) outside |= (uint64_t)idx[j] | ((uint64_t)size - 1 - (uint64_t)idx[j]);
  } else {
    for (int64_t j = 0; j < n; j++) outside |= (uint64_t)idx[j * step] | ((uint64_t)size - 1 - (uint64_t)idx[j * step]);
  }
  return !(outside >> 63);
}

static bool add_offsets(int64_t *offsets, const int64_t *idx, int64_t n, int64_t size, int64_t scale) {
  uint64_t outside = 0; /* as in in_range */
  for (int64_t j = 0; j < n; j++) {
    uint64_t at = (uint64_t)idx[j];
    at += (0 - (at >> 63)) & (uint64_t)size;
    outside |= at | ((uint64_t)size - 1 - at);
    offsets[j] = (int64_t)((uint64_t)offsets[j] + at * (uint64_t)scale);
  }
  return !(outside >> 63);
}

static bool place(int64_t *places, const int64_t *from, const int64_t *idx, int64_t n, int64_t size, int64_t scale) {
  uint64_t outside = 0; /* as in in_range */
  if (scale == 1) {
    LP_IVDEP
    for (int64_t j = 0; j < n; j++) {
      const uint64_t at = (uint64_t)idx[j];
      outside |= at | ((uint64_t)size - 1 - at);
      places[j] = (int64_t)((uint64_t)from[j] + at);
    }
  } else {
    LP_IVDEP
    for (int64_t j = 0; j < n; j++) {
      const uint64_t at = (uint64_t)idx[j];
      outside |= at | ((uint64_t)size - 1 - at);
      places[j] = (int64_t)((uint64_t)from[j] + at * (uint64_t)scale);
    }
  }
  return !(outside >> 63);
}

static int64_t within(const int64_t *offsets, int64_t n, int64_t low, int64_t span, int64_t first,
                      int64_t *chosen, int64_t *places) {
  int64_t count = 0, j = 0;
#ifdef LP_CAP_avx512
  const __m512i lows = _mm512_set1_epi64(low), spans = _mm512_set1_epi64(span), step = _mm512_set1_epi64(8);
  __m512i place = _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
  for (; j + 8 <= n; j += 8) { /* count <= j: whole vectors fit */
    __m512i x = _mm512_loadu_si512(offsets + j);
    __mmask8 in = _mm512_cmplt_epu64_mask(_mm512_sub_epi64(x, lows), spans);
    _mm512_storeu_si512(chosen + count, _mm512_maskz_compress_epi64(in, x));
    _mm512_storeu_si512(places + count, _mm512_maskz_compress_epi64(in, place));
    count += __builtin_popcount(in);
    place = _mm512_add_epi64(place, step);
  }
#endif
  for (; j < n; j++) { /* without a branch to guess */
    chosen[count] = offsets[j];
    places[count] = first + j;
    count += (uint64_t)offsets[j] - (uint64_t)low < (uint64_t)span;
  }
  return count;
}

static int64_t count_true(const uint8_t *truth, int64_t n) {
  int64_t count = 0;
  for (int64_t j = 0; j < n; j += 4096) { /* sums of 32 bits keep vectors full */
    int32_t some = 0;
    for (int64_t i = j, end = n - j < 4096 ? n : j + 4096; i < end; i++) some += truth[i] != 0;
    count += some;
  }
  return count;
}

static int64_t true_places(const uint8_t *truth, int64_t n, int64_t first, int64_t *places) {
  int64_t count = 0, j = 0;
#ifdef LP_CAP_avx512
  const __m512i step = _mm512_set1_epi64(8);
  __m512i place = _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
  for (; j + 64 <= n; j += 64) {
    __m512i bytes = _mm512_loadu_si512(truth + j);
    uint64_t mask = _mm512_test_epi8_mask(bytes, bytes);
    for (int part = 0; part < 8; part++, mask >>= 8) {
      _mm512_storeu_si512(places + count, _mm512_maskz_compress_epi64((__mmask8)mask, place));
      count += __builtin_popcount(mask & 255);
      place = _mm512_add_epi64(place, step);
    }
  }
#endif
  for (; j < n; j++) { /* without a branch to guess */
    places[count] = first + j;
    count += truth[j] != 0;
  }
  return count;
}

/* The quotient of doubles is off by one at most. */
static void split_places(int64_t *restrict places, int64_t n, int64_t size, int64_t *restrict rests, int64_t step) {
  const double inverse = 1.0 / (double)size;
  for (int64_t j = 0; j < n; j++) {
    int64_t quotient = (int64_t)((double)places[j] * inverse);
    int64_t rest = places[j] - quotient * size;
    const int64_t below = rest >> 63; /* -1 where the quotient is too large */
    quotient += below;
    rest += below & size;
    const int64_t above = ~((rest - size) >> 63); /* -1 where it is too small */
    places[j] = quotient - above;
    rests[j * step] = rest - (above & size);
  }
}

const LpIndexTable LP_SIMD(lp_index_table) = {
  .in_range = in_range,
  .add_offsets = add_offsets,
  .place = place,
  .within = within,
  .count_true = count_true,
  .true_places = true_places,
  .split_places = split_places,
  .move = move_blocks,
  .get = {get_1, get_2, get_4, get_8, get_16},
  .put = {put_1, put_2, put_4, put_8, put_16},
  .add = {[LP_UINT8] = add_8, [LP_INT8] = add_8, [LP_INT16] = add_16, [LP_INT32] = add_32,
          [LP_INT64] = add_64, [LP_FLOAT16] = add_f16, [LP_FLOAT32] = add_f32,
          [LP_FLOAT64] = add_f64, [LP_COMPLEX64] = add_c64, [LP_COMPLEX128] = add_c128,
          [LP_BOOL] = add_bool, [LP_BFLOAT16] = add_bf16},
  .mul = {[LP_UINT8] = mul_8, [LP_INT8] = mul_8, [LP_INT16] = mul_16, [LP_INT32] = mul_32,
          [LP_INT64] = mul_64, [LP_FLOAT16] = mul_f16, [LP_FLOAT32] = mul_f32,
          [LP_FLOAT64] = mul_f64, [LP_COMPLEX64] = mul_c64, [LP_COMPLEX128] = mul_c128,
          [LP_BOOL] = mul_bool, [LP_BFLOAT16] = mul_bf16},
  .max = {[LP_UINT8] = max_u8, [LP_INT8] = max_i8, [LP_INT16] = max_i16, [LP_INT32] = max_i32,
          [LP_INT64] = max_i64, [LP_FLOAT16] = max_f16, [LP_FLOAT32] = max_f32,
          [LP_FLOAT64] = max_f64, [LP_BOOL] = add_bool, [LP_BFLOAT16] = max_bf16},
  .min = {[LP_UINT8] = min_u8, [LP_INT8] = min_i8, [LP_INT16] = min_i16, [LP_INT32] = min_i32,
          [LP_INT64] = min_i64, [LP_FLOAT16] = min_f16, [LP_FLOAT32] = min_f32,
          [LP_FLOAT64] = min_f64, [LP_BOOL] = mul_bool, [LP_BFLOAT16] = min_bf16},
};
