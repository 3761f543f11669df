/* Moving elements: transposed tiles and fills, one function per element size
 * (cpu/copy.h). */
#include "cpu/simd/simd.h"
#include <string.h>
#include "core/move.h"
#include "cpu/copy.h"
#if defined(LP_CAP_avx2) || defined(LP_CAP_avx512)
#include <immintrin.h>
#endif

typedef uint8_t e1;
typedef uint16_t e2;
typedef uint32_t e4;
typedef uint64_t e8;
typedef struct {
  uint64_t half[2];
} e16;

/* Writes run along dst; the rows of src stay in the first-level cache for the tile. The
 * compiler makes vectors of neighbours that are told apart or mixed where it knows by how
 * few: by constant steps. */
#define TRANSPOSE(type)                                                                  \
  static inline __attribute__((always_inline)) void part_##type(                         \
      type *dst, int64_t ds, const type *src, const int64_t ss, int64_t rows,            \
      int64_t columns) {                                                                 \
    for (int64_t j = 0; j < columns; j++) {                                              \
      LP_IVDEP                                                                           \
      for (int64_t i = 0; i < rows; i++) dst[j * ds + i] = src[i * ss + j];              \
    }                                                                                    \
  }                                                                                      \
  static inline __attribute__((always_inline)) void mix_##type(                          \
      type *dst, const type *src, int64_t ss, const int64_t rows, int64_t columns) {     \
    LP_IVDEP                                                                             \
    for (int64_t j = 0; j < columns; j++)                                                \
      for (int64_t i = 0; i < rows; i++) dst[j * rows + i] = src[i * ss + j];            \
  }                                                                                      \
  static void transpose_##type(char *dst_, int64_t ds, const char *src_, int64_t ss,     \
                               int64_t rows, int64_t columns) {                          \
    type *dst = (type *)dst_;                                                            \
    const type *src = (const type *)src_;                                                \
    switch (ds == rows ? rows : 0) {                                                     \
    case 2: mix_##type(dst, src, ss, 2, columns); return;                                \
    case 3: mix_##type(dst, src, ss, 3, columns); return;                                \
    case 4: mix_##type(dst, src, ss, 4, columns); return;                                \
    }                                                                                    \
    switch (ss) {                                                                        \
    case 2: part_##type(dst, ds, src, 2, rows, columns); return;                         \
    case 3: part_##type(dst, ds, src, 3, rows, columns); return;                         \
    case 4: part_##type(dst, ds, src, 4, rows, columns); return;                         \
    }                                                                                    \
    part_##type(dst, ds, src, ss, rows, columns);                                        \
  }

TRANSPOSE(e1)
TRANSPOSE(e2)
TRANSPOSE(e4)
TRANSPOSE(e8)
TRANSPOSE(e16)

#if defined(LP_CAP_avx2) || defined(LP_CAP_avx512)
/* A block of 8 rows of 4-byte elements, in registers: `columns` of them, up to 8. */
static inline __attribute__((always_inline)) void
block_e4(float *dst, int64_t ds, const float *src, int64_t ss, int64_t columns) {
  __m256 r[8], t[8];
  if (columns == 8) {
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(src + i * ss);
  } else {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)columns), lane);
    for (int i = 0; i < 8; i++) r[i] = _mm256_maskload_ps(src + i * ss, mask);
  }
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    if (i < columns)
      _mm256_storeu_ps(dst + i * ds, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    if (i + 4 < columns)
      _mm256_storeu_ps(dst + (i + 4) * ds, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

/* A block of 4 rows of 8-byte elements. */
static inline __attribute__((always_inline)) void
block_e8(double *dst, int64_t ds, const double *src, int64_t ss, int64_t columns) {
  __m256d r[4], t[4];
  if (columns == 4) {
    for (int i = 0; i < 4; i++) r[i] = _mm256_loadu_pd(src + i * ss);
  } else {
    const __m256i mask =
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(columns), _mm256_setr_epi64x(0, 1, 2, 3));
    for (int i = 0; i < 4; i++) r[i] = _mm256_maskload_pd(src + i * ss, mask);
  }
  for (int i = 0; i < 4; i += 2) {
    t[i] = _mm256_unpacklo_pd(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_pd(r[i], r[i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    if (i < columns)
      _mm256_storeu_pd(dst + i * ds, _mm256_permute2f128_pd(t[i], t[i + 2], 0x20));
    if (i + 2 < columns)
      _mm256_storeu_pd(dst + (i + 2) * ds, _mm256_permute2f128_pd(t[i], t[i + 2], 0x31));
  }
}

/* The first bytes of a vector, up to 16, and zeros. */
static inline __attribute__((always_inline)) __m128i load_part(const void *p,
                                                               int64_t bytes) {
#if defined(LP_CAP_avx512)
  return _mm_maskz_loadu_epi8((__mmask16)((1 << bytes) - 1), p);
#else
  char part[16] = {0};
  for (int64_t i = 0; i < bytes; i++) part[i] = ((const char *)p)[i];
  return _mm_loadu_si128((const __m128i *)part);
#endif
}

/* A block of 8 rows of 2-byte elements. */
static inline __attribute__((always_inline)) void
block_e2(uint16_t *dst, int64_t ds, const uint16_t *src, int64_t ss, int64_t columns) {
  __m128i r[8], t[8];
  for (int i = 0; i < 8; i++)
    r[i] = columns == 8 ? _mm_loadu_si128((const __m128i *)(src + i * ss))
                        : load_part(src + i * ss, 2 * columns);
  for (int i = 0; i < 4; i++) { /* pairs of rows i and i + 4 */
    t[2 * i] = _mm_unpacklo_epi16(r[i], r[i + 4]);
    t[2 * i + 1] = _mm_unpackhi_epi16(r[i], r[i + 4]);
  }
  for (int i = 0; i < 4; i++) {
    r[2 * i] = _mm_unpacklo_epi16(t[i], t[i + 4]);
    r[2 * i + 1] = _mm_unpackhi_epi16(t[i], t[i + 4]);
  }
  for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm_unpacklo_epi16(r[i], r[i + 4]);
    t[2 * i + 1] = _mm_unpackhi_epi16(r[i], r[i + 4]);
  }
  for (int i = 0; i < 8 && i < columns; i++)
    _mm_storeu_si128((__m128i *)(dst + i * ds), t[i]);
}

/* A block of 8 rows of bytes. */
static inline __attribute__((always_inline)) void
block_e1(uint8_t *dst, int64_t ds, const uint8_t *src, int64_t ss, int64_t columns) {
  __m128i r[8], t[4];
  for (int i = 0; i < 8; i++)
    r[i] = columns == 8 ? _mm_loadl_epi64((const __m128i *)(src + i * ss))
                        : load_part(src + i * ss, columns);
  for (int i = 0; i < 4; i++) t[i] = _mm_unpacklo_epi8(r[i], r[i + 4]);
  for (int i = 0; i < 2; i++) {
    r[2 * i] = _mm_unpacklo_epi8(t[i], t[i + 2]);
    r[2 * i + 1] = _mm_unpackhi_epi8(t[i], t[i + 2]);
  }
  for (int i = 0; i < 2; i++) { /* two columns each */
    t[2 * i] = _mm_unpacklo_epi8(r[i], r[i + 2]);
    t[2 * i + 1] = _mm_unpackhi_epi8(r[i], r[i + 2]);
  }
  for (int i = 0; i < 4; i++) {
    if (2 * i < columns) _mm_storel_epi64((__m128i *)(dst + 2 * i * ds), t[i]);
    if (2 * i + 1 < columns)
      _mm_storel_epi64((__m128i *)(dst + (2 * i + 1) * ds), _mm_srli_si128(t[i], 8));
  }
}

/* The last blocks of rows and of columns may overlap the ones before; rows of less than a
 * block are read in part. */
#define TRANSPOSE_BLOCKS(name, type, B)                                                  \
  static void transpose_fast_##name(char *dst_, int64_t ds, const char *src_,            \
                                    int64_t ss, int64_t rows, int64_t columns) {         \
    type *dst = (type *)dst_;                                                            \
    const type *src = (const type *)src_;                                                \
    if (rows < B || ss <= 4) {                                                           \
      transpose_##name(dst_, ds, src_, ss, rows, columns);                               \
      return;                                                                            \
    }                                                                                    \
    for (int64_t i = 0; i < rows; i += B) {                                              \
      if (i > rows - B) i = rows - B;                                                    \
      if (columns < B) {                                                                 \
        block_##name(dst + i, ds, src + i * ss, ss, columns);                            \
        continue;                                                                        \
      }                                                                                  \
      for (int64_t j = 0; j < columns; j += B) {                                         \
        if (j > columns - B) j = columns - B;                                            \
        block_##name(dst + j * ds + i, ds, src + i * ss + j, ss, B);                     \
      }                                                                                  \
    }                                                                                    \
  }
TRANSPOSE_BLOCKS(e1, uint8_t, 8)
TRANSPOSE_BLOCKS(e2, uint16_t, 8)
TRANSPOSE_BLOCKS(e4, float, 8)
TRANSPOSE_BLOCKS(e8, double, 4)
#else
#define transpose_fast_e1 transpose_e1
#define transpose_fast_e2 transpose_e2
#define transpose_fast_e4 transpose_e4
#define transpose_fast_e8 transpose_e8
#endif

#define FILL(type)                                                                       \
  static void fill_##type(char *const *ptrs, const int64_t *strides, int64_t n,          \
                          const void *params) {                                          \
    type value;                                                                          \
    memcpy(&value, params, sizeof value);                                                \
    char *out = ptrs[0];                                                                 \
    if (strides[0] == sizeof(type)) {                                                    \
      for (int64_t i = 0; i < n; i++) ((type *)out)[i] = value;                          \
    } else {                                                                             \
      for (int64_t i = 0; i < n; i++, out += strides[0]) *(type *)out = value;           \
    }                                                                                    \
  }

FILL(e1)
FILL(e2)
FILL(e4)
FILL(e8)
FILL(e16)

/* Blocks need not be aligned to their size. */
#define REVERSE(type)                                                                    \
  typedef type any_##type __attribute__((aligned(1), may_alias));                        \
  static void reverse_##type(char *restrict dst, const char *restrict src, int64_t n) {  \
    any_##type *to = (any_##type *)dst;                                                  \
    const any_##type *from = (const any_##type *)src;                                    \
    for (int64_t i = 0; i < n; i++) to[i] = from[-i];                                    \
  }

REVERSE(e1)
REVERSE(e2)
REVERSE(e4)
REVERSE(e8)

#if defined(LP_CAP_avx2) || defined(LP_CAP_avx512)
/* As many blocks as fit into 16 bytes are turned round together; what is stored behind
 * them is written over by the next ones. Returns how many blocks are done. */
static int64_t reverse_small(char *dst, const char *src, int64_t n, int64_t bytes) {
  const int64_t together = 16 / bytes, behind = 16 - together * bytes;
  uint8_t from[16];
  for (int64_t i = 0; i < 16; i++) {
    int64_t at = (together - 1 - i / bytes) * bytes + i % bytes;
    from[i] = at < 0 ? 0x80 : (uint8_t)at; /* 0x80: a zero */
  }
  const __m128i order = _mm_loadu_si128((const __m128i *)from);
  int64_t i = behind > 0; /* reads, too, reach `behind` bytes too far */
  if (i) memcpy(dst, src, (size_t)bytes);
  for (; i + 2 * together <= n; i += together) {
    __m128i x = _mm_loadu_si128((const __m128i *)(src - (i + together - 1) * bytes));
    _mm_storeu_si128((__m128i *)(dst + i * bytes), _mm_shuffle_epi8(x, order));
  }
  return i;
}
#endif

static void reverse_blocks(char *dst, const char *src, int64_t n, int64_t bytes) {
  int64_t i = 0;
  switch (bytes) {
  case 1: reverse_e1(dst, src, n); return;
  case 2: reverse_e2(dst, src, n); return;
  case 4: reverse_e4(dst, src, n); return;
  case 8: reverse_e8(dst, src, n); return;
  case 12:
    for (; i < n; i++) memcpy(dst + i * 12, src - i * 12, 12);
    return;
  case 16:
    for (; i < n; i++) memcpy(dst + i * 16, src - i * 16, 16);
    return;
  }
#if defined(LP_CAP_avx2) || defined(LP_CAP_avx512)
  if (bytes < 8) i = reverse_small(dst, src, n, bytes);
#endif
  for (; i < n; i++) memcpy(dst + i * bytes, src - i * bytes, (size_t)bytes);
}

/* --- rows --------------------------------------------------------------------------- */

/* The steps are kept in registers: what is written might be r. */
#define EACH_ROW                                                                         \
  for (int64_t left = rows, to_row = r->to_row, from_row = r->from_row; left > 0;        \
       left--, to += to_row, from += from_row)
#define INLINE static inline __attribute__((always_inline))

/* What is written densely is made of pieces of one constant length, of which the last one
 * may overlap the one before. CALL(p) with the largest of those lengths in the row. */
#define WITH_PIECES(bytes, CALL)                                                         \
  if (bytes >= 64) {                                                                     \
    CALL(64);                                                                            \
  } else if (bytes >= 32) {                                                              \
    CALL(32);                                                                            \
  } else if (bytes >= 16) {                                                              \
    CALL(16);                                                                            \
  } else if (bytes >= 8) {                                                               \
    CALL(8);                                                                             \
  } else if (bytes >= 4) {                                                               \
    CALL(4);                                                                             \
  } else if (bytes >= 2) {                                                               \
    CALL(2);                                                                             \
  } else {                                                                               \
    CALL(1);                                                                             \
  }

INLINE void dense_pieces(const LpRowSteps *r, char *restrict to,
                         const char *restrict from, int64_t rows, int64_t bytes,
                         const int64_t piece) {
  if (bytes == piece) {
#pragma GCC unroll 4
    EACH_ROW memcpy(to, from, (size_t)piece);
    return;
  }
  if (bytes <= 2 * piece) {
#pragma GCC unroll 2
    EACH_ROW {
      memcpy(to, from, (size_t)piece);
      memcpy(to + bytes - piece, from + bytes - piece, (size_t)piece);
    }
    return;
  }
  EACH_ROW {
    for (int64_t at = 0; at + piece < bytes; at += piece)
      memcpy(to + at, from + at, (size_t)piece);
    memcpy(to + bytes - piece, from + bytes - piece, (size_t)piece);
  }
}

#define LONG_ROW 2048 /* bytes; what memcpy does better */

static void move_dense(const LpRowSteps *r, char *to, const char *from, int64_t rows,
                       int64_t bytes) {
  if (bytes >= LONG_ROW) {
    EACH_ROW lp_move(to, from, (size_t)bytes);
    return;
  }
#define DENSE(piece) dense_pieces(r, to, from, rows, bytes, piece)
  WITH_PIECES(bytes, DENSE)
}

/* A row of one element: 16 bytes of it, again and again. */
INLINE void repeated_pieces(const LpRowSteps *r, char *restrict to,
                            const char *restrict from, int64_t rows,
                            const int64_t piece) {
  typedef uint64_t Lanes __attribute__((vector_size(64)));
  const int64_t bytes = r->n * r->size, size = r->size;
  EACH_ROW {
    uint64_t low, high;
    switch (size) {
    case 1: low = high = *(const uint8_t *)from * UINT64_C(0x0101010101010101); break;
    case 2: low = high = *(const uint16_t *)from * UINT64_C(0x0001000100010001); break;
    case 4: low = high = *(const uint32_t *)from * UINT64_C(0x0000000100000001); break;
    case 8: low = high = *(const uint64_t *)from; break;
    default: low = *(const uint64_t *)from, high = *(const uint64_t *)(from + 8);
    }
    const Lanes lanes = {low, high, low, high, low, high, low, high};
    for (int64_t at = 0; at + piece < bytes; at += piece)
      memcpy(to + at, &lanes, (size_t)piece);
    memcpy(to + bytes - piece, &lanes, (size_t)piece);
  }
}

/* clang-format off */
static void move_repeated(const LpRowSteps *r, char *to, const char *from, int64_t rows) {
#define REPEATED(piece) repeated_pieces(r, to, from, rows, piece)
  WITH_PIECES(r->n * r->size, REPEATED)
}
/* clang-format on */

/* Rows that are read from their end to their front: in vectors of `bytes`. */
#define REVERSED(type, bytes, ...)                                                       \
  static void reversed_##type##_##bytes(const LpRowSteps *r, char *to, const char *from, \
                                        int64_t rows) {                                  \
    typedef type Piece __attribute__((vector_size(bytes)));                              \
    const int64_t n = r->n, lanes = bytes / (int64_t)sizeof(type);                       \
    EACH_ROW {                                                                           \
      for (int64_t at = 0; at < n; at += lanes) {                                        \
        if (at > n - lanes) at = n - lanes;                                              \
        Piece piece;                                                                     \
        memcpy(&piece, (const type *)from - at - (lanes - 1), bytes);                    \
        piece = __builtin_shuffle(piece, (Piece){__VA_ARGS__});                          \
        memcpy((type *)to + at, &piece, bytes);                                          \
      }                                                                                  \
    }                                                                                    \
  }
#define FROM7 7, 6, 5, 4, 3, 2, 1, 0
#define FROM15 15, 14, 13, 12, 11, 10, 9, 8, FROM7
#define FROM31 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, FROM15
#define FROM63                                                                           \
  63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43,    \
      42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, FROM31

/* clang-format off */
REVERSED(e1, 16, FROM15)
REVERSED(e1, 32, FROM31)
REVERSED(e1, 64, FROM63)
REVERSED(e2, 16, FROM7)
REVERSED(e2, 32, FROM15)
REVERSED(e2, 64, FROM31)
REVERSED(e4, 16, 3, 2, 1, 0)
REVERSED(e4, 32, FROM7)
REVERSED(e4, 64, FROM15)
REVERSED(e8, 16, 1, 0)
REVERSED(e8, 32, 3, 2, 1, 0)
REVERSED(e8, 64, FROM7)
/* clang-format on */

#define MOVE_REVERSED(type)                                                              \
  static void move_reversed_##type(const LpRowSteps *r, char *to, const char *from,      \
                                   int64_t rows) {                                       \
    const int64_t bytes = r->n * r->size;                                                \
    if (LP_VECTOR_BYTES >= 64 && bytes >= 64)                                            \
      reversed_##type##_64(r, to, from, rows);                                           \
    else if (LP_VECTOR_BYTES >= 32 && bytes >= 32)                                       \
      reversed_##type##_32(r, to, from, rows);                                           \
    else if (bytes >= 16)                                                                \
      reversed_##type##_16(r, to, from, rows);                                           \
    else                                                                                 \
      move_spread_##type(r, to, from, rows);                                             \
  }

/* Any rows. */
#define MOVE_SPREAD(type)                                                                \
  static inline void spread_##type(char *restrict to, int64_t to_step,                   \
                                   const char *restrict from, int64_t from_step,         \
                                   int64_t n) {                                          \
    _Pragma("GCC unroll 4") for (int64_t i = 0; i < n;                                   \
                                 i++, to += to_step, from += from_step) {                \
      *(type *)to = *(const type *)from;                                                 \
    }                                                                                    \
  }                                                                                      \
  static void move_spread_##type(const LpRowSteps *r, char *to, const char *from,        \
                                 int64_t rows) {                                         \
    const int64_t n = r->n, to_step = r->to_step, from_step = r->from_step;              \
    if (n >= 8 || n >= rows) {                                                           \
      EACH_ROW spread_##type(to, to_step, from, from_step, n);                           \
      return;                                                                            \
    }                                                                                    \
    for (int64_t i = 0; i < n; i++, to += to_step, from += from_step)                    \
      spread_##type(to, r->to_row, from, r->from_row, rows);                             \
  }

/* clang-format off */
MOVE_SPREAD(e1)
MOVE_SPREAD(e2)
MOVE_SPREAD(e4)
MOVE_SPREAD(e8)
MOVE_SPREAD(e16)
MOVE_REVERSED(e1)
MOVE_REVERSED(e2)
MOVE_REVERSED(e4)
MOVE_REVERSED(e8)
/* clang-format on */
#define move_reversed_e16 move_spread_e16

#define BY_SIZE(kind)                                                                    \
  switch (r->size) {                                                                     \
  case 1: kind##_e1(r, to, from, rows); break;                                           \
  case 2: kind##_e2(r, to, from, rows); break;                                           \
  case 4: kind##_e4(r, to, from, rows); break;                                           \
  case 8: kind##_e8(r, to, from, rows); break;                                           \
  default: kind##_e16(r, to, from, rows);                                                \
  }

static void move_rows(const LpRowSteps *r, char *to, const char *from, int64_t rows) {
  const bool dense = r->to_step == r->size;
  if (r->n == 1 || (dense && r->from_step == r->size)) {
    move_dense(r, to, from, rows, r->n * r->size);
  } else if (dense && r->from_step == 0) {
    move_repeated(r, to, from, rows);
  } else if (dense && r->from_step == -r->size) {
    BY_SIZE(move_reversed)
  } else {
    BY_SIZE(move_spread)
  }
}

static void mask_bytes(char *dst, const char *src, const char *mask, int64_t n) {
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) dst[i] = (char)(src[i] & mask[i]);
}

const LpCopyKernels LP_SIMD(lp_copy_kernels) = {
    .transpose = {transpose_fast_e1, transpose_fast_e2, transpose_fast_e4,
                  transpose_fast_e8, transpose_e16},
    .fill = {fill_e1, fill_e2, fill_e4, fill_e8, fill_e16},
    .reverse = reverse_blocks,
    .move = move_rows,
    .mask = mask_bytes};
