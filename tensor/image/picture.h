/* What the decoders of tensor/image/ share. A decoder is two functions: one reads the
 * header, one the pixels. */
#ifndef LP_IMAGE_PICTURE_H
#define LP_IMAGE_PICTURE_H

#include <string.h>
#include "core/check.h"
#include "lampad/image.h"
#include "lampad/tensor.h"

/* A file in memory and what is wanted of it. */
typedef struct LpImageSource {
  const uint8_t *bytes;
  size_t size_bytes;
  const LpImageRead
      *read; /* never NULL; mode and box are wishes that a decoder may serve itself */
} LpImageSource;

/* What a decoder made. */
typedef struct LpPicture {
  LpTensor *pixels;  /* (height, width, channels), owned */
  LpImageMode mode;  /* UNCHANGED: as many channels as the tensor has */
  bool is_cut;       /* the box has been served */
  bool is_converted; /* the wanted mode has been served, by the rules asked for */
} LpPicture;

/* One pair for each format. Headers fill all of info but the format, which the caller
 * knows; info starts as zeros with orientation 1. Both record LP_ERR_IO without the
 * file's name, which the caller puts in front. */
bool lp_jpeg_info(const LpImageSource *source, LpImageInfo *info);
bool lp_jpeg_decode(const LpImageSource *source, LpPicture *picture);
bool lp_png_info(const LpImageSource *source, LpImageInfo *info);
bool lp_png_decode(const LpImageSource *source, LpPicture *picture);
bool lp_webp_info(const LpImageSource *source, LpImageInfo *info);
bool lp_webp_decode(const LpImageSource *source, LpPicture *picture);
bool lp_gif_info(const LpImageSource *source, LpImageInfo *info);
bool lp_gif_decode(const LpImageSource *source, LpPicture *picture);
bool lp_bmp_info(const LpImageSource *source, LpImageInfo *info);
bool lp_bmp_decode(const LpImageSource *source, LpPicture *picture);
bool lp_tiff_info(const LpImageSource *source, LpImageInfo *info);
bool lp_tiff_decode(const LpImageSource *source, LpPicture *picture);
bool lp_pnm_info(const LpImageSource *source, LpImageInfo *info);
bool lp_pnm_decode(const LpImageSource *source, LpPicture *picture);

/* Fails when the picture has no pixels or more than the limit. */
bool lp_image_check_size(const LpImageSource *source, int64_t width, int64_t height);
/* Fails unless the pixels are what an encoder takes: contiguous uint8 (height, width,
 * channels). */
bool lp_image_check_pixels(const LpTensor *pixels);
/* A new uint8 tensor (height, width, channels). */
LpTensor *lp_image_new(int64_t height, int64_t width, int64_t channels, LpDtype dtype);
/* The picture turned as EXIF's orientation 2 to 8 says, owned. */
LpTensor *lp_image_turn(LpTensor *pixels, int orientation);
/* Between two rows: true, with LP_ERR_INTERRUPT recorded, when the user wants to stop. */
bool lp_image_interrupted(void);
/* The orientation in EXIF data (which begins with the header of TIFF); 1 when there is
 * none. */
int lp_exif_orientation(const uint8_t *exif, size_t size_bytes);

/* Luminance as Pillow computes it. */
static inline uint8_t lp_luminance(const uint8_t *rgb) {
  return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

/* Indices into a palette of 256 colours with alpha -> the wanted mode, as Pillow converts
 * its mode P; UNCHANGED: RGBA when has_alpha, else RGB. */
bool lp_image_from_palette(const uint8_t *indices, int64_t height, int64_t width,
                           const uint8_t palette[256][4], bool has_alpha,
                           const LpImageSource *source, LpPicture *picture);

static inline uint32_t lp_le32(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint32_t lp_le16(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8;
}
static inline uint32_t lp_be32(const uint8_t *p) {
  return p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}
static inline uint32_t lp_be16(const uint8_t *p) {
  return p[1] | (uint32_t)p[0] << 8;
}

#endif
