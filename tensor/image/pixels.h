/* Operations on 8-bit images whose pixels lie in rows, the channels of a pixel side by
 * side (H, W, C). Every result equals Pillow's bit for bit. Callers allocate the results
 * (contiguous, of the size each comment says); a function returns false only when memory
 * runs out or the user interrupts. Knows neither Lua nor tensors; called by vm/pixels.c.
 */
#ifndef LP_IMAGE_PIXELS_H
#define LP_IMAGE_PIXELS_H

#include "lampad/base.h"

/* A borrowed image, or a box of one. */
typedef struct LpPixels {
  const uint8_t *data;
  int64_t height, width;
  int channels;         /* 1 to 4 */
  int64_t stride_bytes; /* from a row to the next */
} LpPixels;

/* Pillow's numbers. */
typedef enum LpFilter {
  LP_FILTER_NEAREST = 0,
  LP_FILTER_LANCZOS = 1,
  LP_FILTER_BILINEAR = 2,
  LP_FILTER_BICUBIC = 3,
  LP_FILTER_BOX = 4,
  LP_FILTER_HAMMING = 5
} LpFilter;

/* --- resample.c: resizing by convolution ----------------------------------------- */
/* Along one axis: a source of `in` elements is resized to `out`, of which `count` from
 * `from` on are wanted; the pixels at hand begin with the source's element `skip`. */
typedef struct LpSpan {
  int64_t in, out;
  int64_t from, count;
  int64_t skip;
} LpSpan;
/* Which elements of the source the wanted ones depend on: *first and how many. */
LP_API void lp_pixels_needed(const LpSpan *span, LpFilter filter, int64_t *first,
                             int64_t *count);
/* out: rows.count x columns.count x channels. `in` holds what is needed, at least. Any
 * filter but NEAREST; sizes are at least 1. */
LP_API bool lp_pixels_resample(LpPixels in, uint8_t *out, LpSpan rows, LpSpan columns,
                               LpFilter filter);

/* --- gather.c: pixels moved along rows and columns ------------------------------- */
/* What lies outside an image. */
typedef enum LpBorder {
  LP_BORDER_CONSTANT = 0, /* a colour */
  LP_BORDER_EDGE,         /* the nearest pixel */
  LP_BORDER_REFLECT,      /* mirrored at the outermost pixel */
  LP_BORDER_SYMMETRIC     /* mirrored at its edge */
} LpBorder;
/* The window of the plane whose first pixel is (top, left): crops and pads. out: height x
 * width x channels; `fill` has one value a channel. Needs a pixel unless CONSTANT. */
LP_API bool lp_pixels_window(LpPixels in, uint8_t *out, int64_t top, int64_t left,
                             int64_t height, int64_t width, LpBorder border,
                             const uint8_t *fill);
LP_API bool lp_pixels_flip(LpPixels in, uint8_t *out, bool columns, bool rows);
/* Nearest-neighbour resizing. */
LP_API bool lp_pixels_nearest(LpPixels in, uint8_t *out, int64_t height, int64_t width);
/* out[x][y] = in[y][x]: width x height x channels. */
LP_API void lp_pixels_transpose(LpPixels in, uint8_t *out);

/* --- warp.c: affine and perspective maps ----------------------------------------- */
typedef struct LpWarp {
  double m[8];      /* maps a result's pixel to the source's: 6 values, or 8 */
  bool perspective; /* m[6] and m[7] count */
  LpFilter filter;  /* NEAREST, BILINEAR or BICUBIC */
} LpWarp;
/* out: height x width x channels; pixels from outside the source are `fill`, one value a
 * channel. */
LP_API bool lp_pixels_warp(LpPixels in, uint8_t *out, int64_t height, int64_t width,
                           const LpWarp *warp, const uint8_t *fill);

/* --- colour.c -------------------------------------------------------------------- */
/* out[i] = luts[channel][in[i]]; luts: channels x 256. */
LP_API void lp_pixels_lut(LpPixels in, uint8_t *out, const uint8_t *luts);
/* Each channel stretched to black and white, and so that its levels have about as many
 * pixels. */
LP_API void lp_pixels_autocontrast(LpPixels in, uint8_t *out);
LP_API void lp_pixels_equalize(LpPixels in, uint8_t *out);
/* The luma of RGB pixels (Rec. 601, 16 fractional bits): height x width. channels >= 3.
 */
LP_API void lp_pixels_luma(LpPixels in, uint8_t *out);
/* The sum of the luma of all pixels; the first channel where there are one or two. */
LP_API int64_t lp_pixels_luma_sum(LpPixels in);
/* Between grey (factor 0) and the image (1) or beyond; a fourth channel is kept. */
LP_API void lp_pixels_saturate(LpPixels in, uint8_t *out, float factor);
/* Between `grey` in every channel and the image; the alpha of 2 and 4 channels is kept.
 */
LP_API void lp_pixels_blend_grey(LpPixels in, uint8_t *out, uint8_t grey, float factor);
/* Between two images of one size, whose rows are adjacent, and beyond. */
LP_API void lp_pixels_blend(const uint8_t *a, const uint8_t *b, uint8_t *out, int64_t n,
                            float factor);
/* Turns the hue by shift/255 of a circle. channels >= 3; others than the first three are
 * copied. */
LP_API void lp_pixels_shift_hue(LpPixels in, uint8_t *out, uint8_t shift);
/* Between the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13 and the image. */
LP_API bool lp_pixels_sharpen(LpPixels in, uint8_t *out, float factor, bool keep_last);
/* Colours times alpha (the last channel), and back. */
LP_API void lp_pixels_premultiply(LpPixels in, uint8_t *out);
LP_API void lp_pixels_unpremultiply(LpPixels in, uint8_t *out);

/* --- planes.c: from pixels to tensors -------------------------------------------- */
/* out (channels x height x width) = in / 255, then (x - mean) / std with one value a
 * channel unless mean is NULL; columns backwards when flip. Each step rounds to float32.
 */
LP_API void lp_pixels_to_float(LpPixels in, float *out, const float *mean,
                               const float *std, bool flip);

#endif
