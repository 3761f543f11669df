/* Colours of 8-bit images: tables, histograms, luma, blending, hue, smoothing, alpha. */
#include "image/colour.h"
#include <math.h>
#include <string.h>
#include "core/alloc.h"
#include "core/parallel.h"
#include "cpu/caps.h"
#include "image/pixels.h"

LP_DISPATCH(LpColourKernels, lp_colour_kernels)

static inline const uint8_t *row_of(LpPixels in, int64_t y) {
  return in.data + y * in.stride_bytes;
}

static inline int64_t row_bytes(LpPixels in) {
  return in.width * in.channels;
}

/* --- tables and histograms ------------------------------------------------------- */

void lp_pixels_lut(LpPixels in, uint8_t *out, const uint8_t *luts) {
  const uint8_t *l0 = luts, *l1 = luts + 256, *l2 = luts + 512;
  for (int64_t y = 0; y < in.height; y++) {
    const uint8_t *p = row_of(in, y);
    if (in.channels == 3) {
      for (int64_t x = 0; x < in.width; x++, p += 3, out += 3) {
        out[0] = l0[p[0]];
        out[1] = l1[p[1]];
        out[2] = l2[p[2]];
      }
    } else if (in.channels == 1) {
      for (int64_t x = 0; x < in.width; x++) *out++ = l0[p[x]];
    } else {
      for (int64_t x = 0; x < in.width; x++)
        for (int c = 0; c < in.channels; c++) *out++ = luts[c * 256 + *p++];
    }
  }
}

/* Adds to counts (channels x 256). Neighbours are counted apart: equal ones, which
 * pictures are full of, need not wait for each other. */
static void histogram(LpPixels in, int64_t *counts) {
  uint32_t parts[2][4][256];
  for (int64_t y = 0; y < in.height; y++) {
    if (y % 256 == 0)
      memset(parts, 0, sizeof parts); /* 2^24 columns at most: no overflow */
    const uint8_t *p = row_of(in, y);
    if (in.channels == 3) {
      for (int64_t x = 0; x < in.width; x++, p += 3) {
        uint32_t(*part)[256] = parts[x & 1];
        part[0][p[0]]++;
        part[1][p[1]]++;
        part[2][p[2]]++;
      }
    } else {
      for (int64_t x = 0; x < in.width; x++)
        for (int c = 0; c < in.channels; c++) parts[x & 1][c][*p++]++;
    }
    if (y % 256 != 255 && y + 1 != in.height) continue;
    for (int c = 0; c < in.channels; c++)
      for (int v = 0; v < 256; v++)
        counts[c * 256 + v] += (int64_t)parts[0][c][v] + parts[1][c][v];
  }
}

/* Every channel through a table that `make` draws up from its counts. */
static void by_histogram(LpPixels in, uint8_t *out,
                         void (*make)(const int64_t *counts, uint8_t *table)) {
  int64_t counts[4 * 256] = {0};
  uint8_t tables[4 * 256];
  histogram(in, counts);
  for (int c = 0; c < in.channels; c++) make(counts + c * 256, tables + c * 256);
  lp_pixels_lut(in, out, tables);
}

static void keep_values(uint8_t *table) {
  for (int v = 0; v < 256; v++) table[v] = (uint8_t)v;
}

static void stretch(const int64_t *counts, uint8_t *table) {
  int low = 0, high = 255;
  while (low < 255 && counts[low] == 0) low++;
  while (high > 0 && counts[high] == 0) high--;
  if (high <= low) {
    keep_values(table);
    return;
  }
  const double scale = 255.0 / (high - low), offset = -low * scale;
  for (int v = 0; v < 256; v++) {
    const int level = (int)(v * scale + offset);
    table[v] = level < 0 ? 0 : level > 255 ? 255 : (uint8_t)level;
  }
}

void lp_pixels_autocontrast(LpPixels in, uint8_t *out) {
  by_histogram(in, out, stretch);
}

/* Each level should get 1/255 of all pixels but those of the lightest value. */
static void flatten(const int64_t *counts, uint8_t *table) {
  int64_t sum = 0, last = 0;
  for (int v = 0; v < 256; v++)
    if (counts[v] > 0) sum += last = counts[v];
  const int64_t step = (sum - last) / 255;
  if (step == 0) {
    keep_values(table);
    return;
  }
  int64_t n = step / 2;
  for (int v = 0; v < 256; n += counts[v++]) {
    const int64_t level = n / step;
    table[v] = level > 255 ? 255 : (uint8_t)level;
  }
}

void lp_pixels_equalize(LpPixels in, uint8_t *out) {
  by_histogram(in, out, flatten);
}

/* --- grey ------------------------------------------------------------------------ */

void lp_pixels_luma(LpPixels in, uint8_t *out) {
  for (int64_t y = 0; y < in.height; y++)
    lp_colour_kernels()->luma(row_of(in, y), out + y * in.width, in.width, in.channels);
}

enum { BLOCK = 256 };

int64_t lp_pixels_luma_sum(LpPixels in) {
  int64_t sum = 0;
  uint8_t grey[BLOCK];
  for (int64_t y = 0; y < in.height; y++) {
    const uint8_t *p = row_of(in, y);
    if (in.channels < 3) {
      for (int64_t x = 0; x < in.width; x++) sum += p[x * in.channels];
      continue;
    }
    for (int64_t x = 0; x < in.width; x += BLOCK) {
      const int64_t n = in.width - x < BLOCK ? in.width - x : BLOCK;
      lp_colour_kernels()->luma(p + x * in.channels, grey, n, in.channels);
      uint32_t part = 0;
      for (int64_t i = 0; i < n; i++) part += grey[i];
      sum += part;
    }
  }
  return sum;
}

void lp_pixels_saturate(LpPixels in, uint8_t *out, float factor) {
  uint8_t grey[BLOCK], wide[BLOCK * 4];
  for (int64_t y = 0; y < in.height; y++) {
    const uint8_t *p = row_of(in, y);
    for (int64_t x = 0; x < in.width; x += BLOCK) {
      const int64_t n = in.width - x < BLOCK ? in.width - x : BLOCK;
      const int64_t bytes = n * in.channels;
      lp_colour_kernels()->luma(p, grey, n, in.channels);
      if (in.channels == 3) {
        for (int64_t i = 0; i < n; i++)
          wide[3 * i] = wide[3 * i + 1] = wide[3 * i + 2] = grey[i];
      } else {
        for (int64_t i = 0; i < n; i++) {
          wide[4 * i] = wide[4 * i + 1] = wide[4 * i + 2] = grey[i];
          wide[4 * i + 3] = p[4 * i + 3];
        }
      }
      lp_colour_kernels()->blend(wide, p, out, bytes, factor);
      p += bytes;
      out += bytes;
    }
  }
}

void lp_pixels_blend_grey(LpPixels in, uint8_t *out, uint8_t grey, float factor) {
  uint8_t values[256], from[256], luts[4 * 256];
  for (int i = 0; i < 256; i++) values[i] = (uint8_t)i;
  memset(from, grey, sizeof from);
  lp_colour_kernels()->blend(from, values, luts, 256, factor);
  for (int c = 1; c < 4; c++) memcpy(luts + c * 256, luts, 256);
  /* The alpha of LA and RGBA stays. */
  const bool alpha = in.channels == 2 || in.channels == 4;
  if (alpha) memcpy(luts + (in.channels - 1) * 256, values, 256);
  lp_pixels_lut(in, out, luts);
}

void lp_pixels_blend(const uint8_t *a, const uint8_t *b, uint8_t *out, int64_t n,
                     float factor) {
  lp_colour_kernels()->blend(a, b, out, n, factor);
}

/* --- hue ------------------------------------------------------------------------- */

static inline uint8_t byte_of(int v) {
  return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

/* Hue and saturation in [0, 255], in single precision but where Pillow's constants are
 * doubles. */
static inline void hue_of(int r, int g, int b, int max, int min, uint8_t *hue,
                          uint8_t *saturation) {
  const float range = (float)(max - min);
  const float s = range / (float)max;
  const float red = (float)(max - r) / range, green = (float)(max - g) / range,
              blue = (float)(max - b) / range;
  float h;
  if (r == max) {
    h = blue - green;
  } else if (g == max) {
    h = (float)(2.0 + (double)red - (double)blue);
  } else {
    h = (float)(4.0 + (double)green - (double)red);
  }
  double turn = (double)h / 6.0 + 1.0; /* in [5/6, 2) */
  if (turn >= 1.0) turn -= 1.0;
  h = (float)turn;
  *hue = byte_of((int)((double)h * 255.0));
  *saturation = byte_of((int)((double)s * 255.0));
}

typedef struct Sector {
  int index;      /* of the six */
  float fraction; /* within it */
} Sector;

void lp_pixels_shift_hue(LpPixels in, uint8_t *out, uint8_t shift) {
  Sector sectors[256];
  for (int h = 0; h < 256; h++) {
    const double at = (double)(float)h * 6.0 / 255.0;
    const int i = (int)floor(at);
    sectors[h] = (Sector){i % 6, (float)(at - (double)(float)i)};
  }
  for (int64_t y = 0; y < in.height; y++) {
    const uint8_t *p = row_of(in, y);
    for (int64_t x = 0; x < in.width; x++, p += in.channels, out += in.channels) {
      const int r = p[0], g = p[1], b = p[2];
      const int max = r > g ? (r > b ? r : b) : (g > b ? g : b);
      const int min = r < g ? (r < b ? r : b) : (g < b ? g : b);
      for (int c = 3; c < in.channels; c++) out[c] = p[c];
      uint8_t hue = 0, saturation = 0;
      if (max != min) hue_of(r, g, b, max, min, &hue, &saturation);
      if (saturation == 0) {
        out[0] = out[1] = out[2] = (uint8_t)max;
        continue;
      }
      const Sector s = sectors[(uint8_t)(hue + shift)];
      const float fs = (float)((double)(float)saturation / 255.0);
      const double v = max, f = s.fraction;
      const uint8_t low = byte_of((int)(v * (1.0 - (double)fs) + 0.5));
      const uint8_t fall = byte_of((int)(v * (1.0 - (double)(float)fs * f) + 0.5));
      const uint8_t rise = byte_of((int)(v * (1.0 - (double)fs * (1.0 - f)) + 0.5));
      const uint8_t top = (uint8_t)max;
      switch (s.index) {
      case 0: out[0] = top, out[1] = rise, out[2] = low; break;
      case 1: out[0] = fall, out[1] = top, out[2] = low; break;
      case 2: out[0] = low, out[1] = top, out[2] = rise; break;
      case 3: out[0] = low, out[1] = fall, out[2] = top; break;
      case 4: out[0] = rise, out[1] = low, out[2] = top; break;
      default: out[0] = top, out[1] = low, out[2] = fall; break;
      }
    }
  }
}

/* --- sharpness ------------------------------------------------------------------- */

typedef struct Sharpen {
  LpPixels in;
  uint8_t *out, *scratch; /* scratch: a row for each result row */
  float factor;
  bool keep_last;
} Sharpen;

static void sharpen_rows(void *ctx, int64_t begin, int64_t end) {
  const Sharpen *s = ctx;
  const LpPixels in = s->in;
  const int64_t bytes = row_bytes(in);
  const int c = in.channels;
  for (int64_t y = begin; y < end; y++) {
    const uint8_t *row = row_of(in, y);
    uint8_t *out = s->out + y * bytes;
    if (y == 0 || y == in.height - 1) {
      memcpy(out, row, (size_t)bytes);
      continue;
    }
    uint8_t *smooth = s->scratch + y * bytes;
    memcpy(smooth, row, (size_t)c);
    memcpy(smooth + bytes - c, row + bytes - c, (size_t)c);
    lp_colour_kernels()->smooth(row_of(in, y - 1) + c, row + c, row_of(in, y + 1) + c,
                                smooth + c, bytes - 2 * c, c);
    if (s->keep_last)
      for (int64_t x = c - 1; x < bytes; x += c) smooth[x] = row[x];
    lp_colour_kernels()->blend(smooth, row, out, bytes, s->factor);
  }
}

bool lp_pixels_sharpen(LpPixels in, uint8_t *out, float factor, bool keep_last) {
  Sharpen s = {.in = in, .out = out, .factor = factor, .keep_last = keep_last};
  const size_t bytes = (size_t)(in.height * row_bytes(in));
  if (in.height < 3 || in.width < 3) { /* nothing inside the border */
    for (int64_t y = 0; y < in.height; y++)
      memcpy(out + y * row_bytes(in), row_of(in, y), (size_t)row_bytes(in));
    return true;
  }
  if (!(s.scratch = lp_alloc(bytes))) return false;
  lp_parallel_for(in.height, 8 * LP_GRAIN / (row_bytes(in) + 1) + 1, sharpen_rows, &s);
  lp_free(s.scratch, bytes);
  return true;
}

/* --- alpha ----------------------------------------------------------------------- */

void lp_pixels_premultiply(LpPixels in, uint8_t *out) {
  const int last = in.channels - 1;
  for (int64_t y = 0; y < in.height; y++) {
    const uint8_t *p = row_of(in, y);
    for (int64_t x = 0; x < in.width; x++, p += in.channels, out += in.channels) {
      const unsigned alpha = p[last];
      for (int c = 0; c < last; c++) {
        const unsigned t = p[c] * alpha + 128; /* / 255, rounded */
        out[c] = (uint8_t)(((t >> 8) + t) >> 8);
      }
      out[last] = (uint8_t)alpha;
    }
  }
}

void lp_pixels_unpremultiply(LpPixels in, uint8_t *out) {
  const int last = in.channels - 1;
  for (int64_t y = 0; y < in.height; y++) {
    const uint8_t *p = row_of(in, y);
    for (int64_t x = 0; x < in.width; x++, p += in.channels, out += in.channels) {
      const unsigned alpha = p[last];
      for (int c = 0; c < last; c++)
        out[c] = alpha == 0 || alpha == 255 ? p[c] : byte_of((int)(255u * p[c] / alpha));
      out[last] = (uint8_t)alpha;
    }
  }
}
