/* Moving elements: transposed tiles and fills, one function per element size
 * (cpu/copy.h). */
#include "cpu/simd/simd.h"
#include <string.h>
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
TRANSPOSE_BLOCKS(e4, float, 8)
TRANSPOSE_BLOCKS(e8, double, 4)
#else
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

/* --- packed rows
 * ---------------------------------------------------------------------- */

/* Of one element each, repeated. */
#define PACK_REPEATED(type)                                                              \
  {                                                                                      \
    typedef type Lanes __attribute__((vector_size(LP_VECTOR_BYTES)));                    \
    for (int64_t r = 0; r < rows; r++, to += bytes, from += row_stride) {                \
      const Lanes lanes = (Lanes){0} + *(const type *)from;                              \
      for (int64_t at = 0; at < bytes; at += LP_VECTOR_BYTES)                            \
        memcpy(to + at, &lanes, LP_VECTOR_BYTES);                                        \
    }                                                                                    \
    break;                                                                               \
  }
static void pack_repeated(char *to, const char *from, int size, int64_t bytes,
                          int64_t row_stride, int64_t rows) {
  switch (size) {
  case 1: PACK_REPEATED(uint8_t)
  case 2: PACK_REPEATED(uint16_t)
  case 4: PACK_REPEATED(uint32_t)
  case 8: PACK_REPEATED(uint64_t)
  default:
    for (int64_t r = 0; r < rows; r++, to += bytes, from += row_stride)
      for (int64_t at = 0; at < bytes; at += 16) memcpy(to + at, from, 16);
  }
}

/* Of dense bytes, as pieces of one length, of which the last one may overlap the one
 * before. */
#define PACK_PIECES(piece)                                                               \
  for (int64_t r = 0; r < rows; r++, to += bytes, from += row_stride) {                  \
    for (int64_t at = 0; at + piece < bytes; at += piece)                                \
      memcpy(to + at, from + at, piece);                                                 \
    memcpy(to + bytes - piece, from + bytes - piece, piece);                             \
  }
static void pack_dense(char *restrict to, const char *restrict from, int64_t bytes,
                       int64_t row_stride, int64_t rows) {
  if (bytes >= 64) {
    PACK_PIECES(64)
  } else if (bytes >= 32) {
    PACK_PIECES(32)
  } else if (bytes >= 16) {
    PACK_PIECES(16)
  } else if (bytes >= 8) {
    PACK_PIECES(8)
  } else if (bytes >= 4) {
    PACK_PIECES(4)
  } else {
    PACK_PIECES(1)
  }
}

#define PACK_SPREAD(type)                                                                \
  {                                                                                      \
    type *out = (type *)to;                                                              \
    for (int64_t r = 0; r < rows; r++, out += n, from += row_stride)                     \
      for (int64_t i = 0; i < n; i++) out[i] = *(const type *)(from + i * stride);       \
    break;                                                                               \
  }
static void pack_spread(char *restrict to, const char *restrict from, int size,
                        int64_t stride, int64_t n, int64_t row_stride, int64_t rows) {
  switch (size) {
  case 1: PACK_SPREAD(uint8_t)
  case 2: PACK_SPREAD(uint16_t)
  case 4: PACK_SPREAD(uint32_t)
  case 8: PACK_SPREAD(uint64_t)
  default: PACK_SPREAD(double _Complex)
  }
}

static void pack_rows(char *to, const char *from, int size, int64_t stride, int64_t n,
                      int64_t row_stride, int64_t rows) {
  if (stride == 0)
    pack_repeated(to, from, size, n * size, row_stride, rows);
  else if (stride == size)
    pack_dense(to, from, n * size, row_stride, rows);
  else
    pack_spread(to, from, size, stride, n, row_stride, rows);
}

static void mask_bytes(char *dst, const char *src, const char *mask, int64_t n) {
  LP_IVDEP
  for (int64_t i = 0; i < n; i++) dst[i] = (char)(src[i] & mask[i]);
}

const LpCopyKernels LP_SIMD(lp_copy_kernels) = {
    .transpose = {transpose_e1, transpose_e2, transpose_fast_e4, transpose_fast_e8,
                  transpose_e16},
    .fill = {fill_e1, fill_e2, fill_e4, fill_e8, fill_e16},
    .reverse = reverse_blocks,
    .pack = pack_rows,
    .mask = mask_bytes};
