/* From pixels side by side to planes of floats: ToTensor and Normalize in one walk. */
#include "image/pixels.h"

/* There are only 256 values: a table of the results keeps the rounding of every step. */
static void make_table(float *table, const float *mean, const float *std) {
  for (int v = 0; v < 256; v++) {
    const float unit = (float)v / 255.0f;
    table[v] = mean ? (unit - *mean) / *std : unit;
  }
}

static inline void plane_row(const uint8_t *in, float *out, int64_t width, int channels,
                             const float *table) {
  for (int64_t x = 0; x < width; x++) out[x] = table[in[x * channels]];
}

static inline void plane_row_back(const uint8_t *in, float *out, int64_t width,
                                  int channels, const float *table) {
  for (int64_t x = 0; x < width; x++) out[width - 1 - x] = table[in[x * channels]];
}

void lp_pixels_to_float(LpPixels in, float *out, const float *mean, const float *std,
                        bool flip) {
  float tables[4][256];
  for (int c = 0; c < in.channels; c++)
    make_table(tables[c], mean ? mean + c : 0, std ? std + c : 0);
  const int64_t plane = in.height * in.width;
  for (int64_t y = 0; y < in.height; y++)
    for (int c = 0; c < in.channels; c++) {
      const uint8_t *p = in.data + y * in.stride_bytes + c;
      float *o = out + c * plane + y * in.width;
      if (flip) {
        plane_row_back(p, o, in.width, in.channels, tables[c]);
      } else {
        plane_row(p, o, in.width, in.channels, tables[c]);
      }
    }
}
