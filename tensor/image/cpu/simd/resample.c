/* Convolution of rows and columns of 8-bit pixels with fixed-point weights: called by
 * image/resample.c, see Note [Exact sums] in image/resample.h. */
#include "cpu/simd/simd.h"
#include "image/resample.h"
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define ROUND (1 << (LP_WEIGHT_BITS - 1))

static inline uint8_t to_byte(int32_t sum) {
  const int32_t v = sum >> LP_WEIGHT_BITS;
  return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

/* --- plain loops --------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void
plain_row(const uint8_t *in, uint8_t *out, int channels, const LpTaps *t) {
  for (int64_t x = 0; x < t->count; x++) {
    const uint8_t *p = in + (int64_t)t->first[x] * channels;
    const int32_t *k = t->weights + x * t->width;
    int32_t sum[4] = {ROUND, ROUND, ROUND, ROUND};
    for (int32_t i = 0; i < t->used[x]; i++, p += channels)
      for (int c = 0; c < channels; c++) sum[c] += p[c] * k[i];
    for (int c = 0; c < channels; c++) *out++ = to_byte(sum[c]);
  }
}

static void plain_horizontal(const uint8_t *in, int64_t in_stride, uint8_t *out,
                             int64_t out_stride, int64_t rows, int channels,
                             const LpTaps *t) {
  for (int64_t y = 0; y < rows; y++, in += in_stride, out += out_stride) {
    switch (channels) {
    case 1: plain_row(in, out, 1, t); break;
    case 2: plain_row(in, out, 2, t); break;
    case 3: plain_row(in, out, 3, t); break;
    default: plain_row(in, out, 4, t); break;
    }
  }
}

/* Bytes [begin, end) of a result row. */
static void plain_vertical(const uint8_t *in, int64_t in_stride, uint8_t *out,
                           int64_t begin, int64_t end, int64_t y, const LpTaps *t) {
  const uint8_t *base = in + t->first[y] * in_stride;
  const int32_t *k = t->weights + y * t->width;
  enum { BLOCK = 128 };
  for (int64_t x = begin; x < end; x += BLOCK) {
    const int64_t n = end - x < BLOCK ? end - x : BLOCK;
    int32_t sum[BLOCK];
    for (int64_t i = 0; i < n; i++) sum[i] = ROUND;
    for (int32_t r = 0; r < t->used[y]; r++) {
      const uint8_t *p = base + r * in_stride + x;
      const int32_t w = k[r];
      for (int64_t i = 0; i < n; i++) sum[i] += p[i] * w;
    }
    for (int64_t i = 0; i < n; i++) out[x + i] = to_byte(sum[i]);
  }
}

#if defined(__AVX2__)

/* --- AVX2 ---------------------------------------------------------------------------- */

/* Four pixels of 3 or 4 bytes, in both halves -> 16-bit pairs (pixel 0, pixel 1) of each
 * channel in the lower half, (pixel 2, pixel 3) in the upper. */
static inline __m256i pair_mask(int channels) {
  if (channels == 3)
    return _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6,
                            -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  return _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1, 8, -1,
                          12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
}

/* `rows` rows at once share the weights. */
static inline __attribute__((always_inline)) void
wide_rows(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t out_stride,
          const int rows, const int channels, const LpTaps *t) {
  const __m256i pairs = pair_mask(channels);
  /* Weights: (0, 1) for the lower half, (2, 3) for the upper, for each channel. */
  const __m256i low_of = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3,
                                          4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
  const __m256i high_of = _mm256_add_epi8(low_of, _mm256_set1_epi8(8));
  const __m128i round = _mm_set1_epi32(ROUND);
  const int64_t count = t->count, quads = t->width / 4;
  for (int64_t x = 0; x < count; x++) {
    const uint8_t *p = in + (int64_t)t->first[x] * channels;
    const int16_t *k = t->split + x * quads * 8;
    const int used = (t->used[x] + 3) / 4;
    __m256i low[4], high[4];
    for (int r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
    for (int q = 0; q < used; q++, k += 8, p += 4 * channels) {
      const __m256i both =
          _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)k));
      const __m256i k_low = _mm256_shuffle_epi8(both, low_of);
      const __m256i k_high = _mm256_shuffle_epi8(both, high_of);
      for (int r = 0; r < rows; r++) {
        const __m128i four = _mm_loadu_si128((const __m128i *)(p + r * in_stride));
        const __m256i v = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(four), pairs);
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(v, k_low));
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(v, k_high));
      }
    }
    for (int r = 0; r < rows; r++) {
      const __m256i s =
          _mm256_add_epi32(_mm256_slli_epi32(high[r], LP_WEIGHT_LOW_BITS), low[r]);
      __m128i v =
          _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
      v = _mm_srai_epi32(_mm_add_epi32(v, round), LP_WEIGHT_BITS);
      v = _mm_packs_epi32(v, v);
      const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(v, v));
      uint8_t *o = out + r * out_stride + x * channels;
      /* The next pixel overwrites the fourth byte; the last one has no next. */
      if (channels == 4 || x + 1 < count) {
        memcpy(o, &bytes, 4);
      } else {
        memcpy(o, &bytes, 3);
      }
    }
  }
}

static inline __attribute__((always_inline)) void
wide_horizontal(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t out_stride,
                int64_t rows, const int channels, const LpTaps *t) {
  int64_t y = 0;
  for (; y + 4 <= rows; y += 4)
    wide_rows(in + y * in_stride, in_stride, out + y * out_stride, out_stride, 4,
              channels, t);
  for (; y < rows; y++)
    wide_rows(in + y * in_stride, in_stride, out + y * out_stride, out_stride, 1,
              channels, t);
}

/* Four rows of one channel at once: four taps of each make a vector. */
static void grey_rows(const uint8_t *in, int64_t in_stride, uint8_t *out,
                      int64_t out_stride, const LpTaps *t) {
  const int64_t quads = t->width / 4;
  const __m128i round = _mm_set1_epi32(ROUND);
  for (int64_t x = 0; x < t->count; x++) {
    const uint8_t *p = in + t->first[x];
    const int16_t *k = t->split + x * quads * 8;
    const int used = (t->used[x] + 3) / 4;
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int q = 0; q < used; q++, k += 8, p += 4) {
      int32_t four[4];
      for (int r = 0; r < 4; r++) memcpy(four + r, p + r * in_stride, 4);
      const __m256i v =
          _mm256_cvtepu8_epi16(_mm_setr_epi32(four[0], four[1], four[2], four[3]));
      int64_t parts[2];
      memcpy(parts, k, 16);
      low = _mm256_add_epi32(low, _mm256_madd_epi16(v, _mm256_set1_epi64x(parts[0])));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(v, _mm256_set1_epi64x(parts[1])));
    }
    const __m256i s = _mm256_add_epi32(_mm256_slli_epi32(high, LP_WEIGHT_LOW_BITS), low);
    __m128i v = _mm_hadd_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    v = _mm_srai_epi32(_mm_add_epi32(v, round), LP_WEIGHT_BITS);
    v = _mm_packs_epi32(v, v);
    const uint32_t bytes = (uint32_t)_mm_cvtsi128_si32(_mm_packus_epi16(v, v));
    for (int r = 0; r < 4; r++) out[r * out_stride + x] = (uint8_t)(bytes >> 8 * r);
  }
}

static void horizontal(const uint8_t *in, int64_t in_stride, uint8_t *out,
                       int64_t out_stride, int64_t rows, int channels, const LpTaps *t) {
  if (channels == 1) {
    int64_t y = 0;
    for (; y + 4 <= rows; y += 4)
      grey_rows(in + y * in_stride, in_stride, out + y * out_stride, out_stride, t);
    plain_horizontal(in + y * in_stride, in_stride, out + y * out_stride, out_stride,
                     rows - y, 1, t);
  } else if (channels == 3) {
    wide_horizontal(in, in_stride, out, out_stride, rows, 3, t);
  } else if (channels == 4) {
    wide_horizontal(in, in_stride, out, out_stride, rows, 4, t);
  } else {
    plain_horizontal(in, in_stride, out, out_stride, rows, channels, t);
  }
}

static inline __m256i finish(__m256i low, __m256i high) {
  const __m256i s = _mm256_add_epi32(_mm256_slli_epi32(high, LP_WEIGHT_LOW_BITS), low);
  return _mm256_srai_epi32(_mm256_add_epi32(s, _mm256_set1_epi32(ROUND)), LP_WEIGHT_BITS);
}

/* 32 bytes of a result row. */
static inline void vertical_block(const uint8_t *p, int64_t in_stride, uint8_t *out,
                                  const int32_t *k, int32_t used) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i low[4] = {zero, zero, zero, zero}, high[4] = {zero, zero, zero, zero};
  const int32_t mask = (1 << LP_WEIGHT_LOW_BITS) - 1;
  for (int32_t r = 0; r < used; r += 2, p += 2 * in_stride) {
    /* The weight after the last is 0 (the width of taps is even), its row any. */
    const bool odd = r + 1 == used;
    const int32_t k1 = odd ? 0 : k[r + 1];
    const __m256i k_low = _mm256_set1_epi32((k[r] & mask) | (k1 & mask) << 16);
    const __m256i k_high =
        _mm256_set1_epi32((int32_t)((uint16_t)(k[r] >> LP_WEIGHT_LOW_BITS) |
                                    (uint32_t)(k1 >> LP_WEIGHT_LOW_BITS) << 16));
    const __m256i a = _mm256_loadu_si256((const __m256i *)p);
    const __m256i b = odd ? a : _mm256_loadu_si256((const __m256i *)(p + in_stride));
    const __m256i front = _mm256_unpacklo_epi8(a, b), back = _mm256_unpackhi_epi8(a, b);
    const __m256i v[4] = {
        _mm256_unpacklo_epi8(front, zero), _mm256_unpackhi_epi8(front, zero),
        _mm256_unpacklo_epi8(back, zero), _mm256_unpackhi_epi8(back, zero)};
    for (int i = 0; i < 4; i++) {
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(v[i], k_low));
      high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(v[i], k_high));
    }
  }
  const __m256i s01 =
      _mm256_packs_epi32(finish(low[0], high[0]), finish(low[1], high[1]));
  const __m256i s23 =
      _mm256_packs_epi32(finish(low[2], high[2]), finish(low[3], high[3]));
  _mm256_storeu_si256((__m256i *)out, _mm256_packus_epi16(s01, s23));
}

static void vertical(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t bytes,
                     int64_t y, const LpTaps *t) {
  if (bytes < 32) {
    plain_vertical(in, in_stride, out, 0, bytes, y, t);
    return;
  }
  const uint8_t *base = in + t->first[y] * in_stride;
  const int32_t *k = t->weights + y * t->width;
  for (int64_t x = 0; x < bytes; x += 32) {
    if (x + 32 > bytes) x = bytes - 32; /* the last block overlaps the one before */
    vertical_block(base + x, in_stride, out + x, k, t->used[y]);
  }
}

#else

static void horizontal(const uint8_t *in, int64_t in_stride, uint8_t *out,
                       int64_t out_stride, int64_t rows, int channels, const LpTaps *t) {
  plain_horizontal(in, in_stride, out, out_stride, rows, channels, t);
}

static void vertical(const uint8_t *in, int64_t in_stride, uint8_t *out, int64_t bytes,
                     int64_t y, const LpTaps *t) {
  plain_vertical(in, in_stride, out, 0, bytes, y, t);
}

#endif

const LpResampleKernels LP_SIMD(lp_resample_kernels) = {.horizontal = horizontal,
                                                        .vertical = vertical};
