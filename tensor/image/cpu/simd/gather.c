/* Rows of pixels backwards, or picked one by one: called by image/gather.c.
 *
 * Pixels of three bytes are moved as four: the fourth byte lands where the next pixel
 * will be written. Where there is no next pixel, or no byte to read, three are moved. */
#include "image/gather.h"
#include "cpu/simd/simd.h"
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

static void reverse3(const uint8_t *in, uint8_t *out, int64_t width) {
  int64_t left = width; /* pixels to do: in[0, left) */
#if defined(__AVX2__)
  /* Bytes 1 to 15 are five pixels. */
  const __m128i backwards =
      _mm_setr_epi8(13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, -1);
  for (; left > 5; left -= 5, out += 15) {
    const __m128i five = _mm_loadu_si128((const __m128i *)(in + (left - 5) * 3 - 1));
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(five, backwards));
  }
#endif
  for (; left > 0; left--, out += 3) memcpy(out, in + (left - 1) * 3, 3);
}

static void reverse(const uint8_t *in, uint8_t *out, int64_t width, int channels) {
  switch (channels) {
  case 1:
    for (int64_t x = 0; x < width; x++) out[x] = in[width - 1 - x];
    break;
  case 2:
    for (int64_t x = 0; x < width; x++) memcpy(out + 2 * x, in + 2 * (width - 1 - x), 2);
    break;
  case 3: reverse3(in, out, width); break;
  default:
    for (int64_t x = 0; x < width; x++) memcpy(out + 4 * x, in + 4 * (width - 1 - x), 4);
    break;
  }
}

static inline __attribute__((always_inline)) void
pick_of(const uint8_t *in, uint8_t *out, const int32_t *cols, int64_t width,
        const int channels, const uint8_t *fill) {
  for (int64_t x = 0; x < width; x++, out += channels) {
    const uint8_t *p = cols[x] < 0 ? fill : in + (int64_t)cols[x] * channels;
    memcpy(out, p, channels);
  }
}

static void pick3(const uint8_t *in, const uint8_t *end, uint8_t *out,
                  const int32_t *cols, int64_t width, const uint8_t *fill) {
  for (int64_t x = 0; x < width; x++, out += 3) {
    const uint8_t *p = cols[x] < 0 ? fill : in + (int64_t)cols[x] * 3;
    if (x + 1 < width && (cols[x] < 0 || p + 4 <= end)) {
      memcpy(out, p, 4); /* `fill` has four bytes */
    } else {
      memcpy(out, p, 3);
    }
  }
}

static void pick(const uint8_t *in, const uint8_t *end, uint8_t *out, const int32_t *cols,
                 int64_t width, int channels, const uint8_t *fill) {
  switch (channels) {
  case 1: pick_of(in, out, cols, width, 1, fill); break;
  case 2: pick_of(in, out, cols, width, 2, fill); break;
  case 3: pick3(in, end, out, cols, width, fill); break;
  default: pick_of(in, out, cols, width, 4, fill); break;
  }
}

const LpGatherKernels LP_SIMD(lp_gather_kernels) = {.reverse = reverse, .pick = pick};
