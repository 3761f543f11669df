/* Pictures: files of JPEG, PNG, WebP, GIF, BMP, PNM and TIFF to tensors and back. What a file is, its content says, not its
 * name. Decoded pictures are contiguous tensors (height, width, channels). Any number of threads may call these
 * functions at once. */
#ifndef LAMPAD_IMAGE_H
#define LAMPAD_IMAGE_H

#include "lampad/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The channels of a pixel. */
typedef enum LpImageMode {
  LP_MODE_UNCHANGED, /* what the file holds */
  LP_MODE_L,
  LP_MODE_LA,
  LP_MODE_RGB,
  LP_MODE_RGBA,
  LP_MODE_CMYK,
  LP_MODE_P, /* indices into a palette: masks of classes are kept so */
  LP_MODE_I  /* gray as int32, of files with up to 16 bits */
} LpImageMode;

typedef enum LpImageFormat {
  LP_IMAGE_UNKNOWN,
  LP_IMAGE_JPEG,
  LP_IMAGE_PNG,
  LP_IMAGE_WEBP,
  LP_IMAGE_GIF,
  LP_IMAGE_BMP,
  LP_IMAGE_PNM,
  LP_IMAGE_TIFF,
  LP_IMAGE_FORMAT_COUNT
} LpImageFormat;

/* Whose conversions between modes: Pillow's, or those of torchvision.io. */
typedef enum LpImageRules { LP_RULES_PILLOW, LP_RULES_IO } LpImageRules;

typedef struct LpImageInfo {
  LpImageFormat format;
  int64_t width, height; /* as stored: before orientation */
  LpImageMode mode;      /* of the decoded pixels, without a wish, by Pillow's rules */
  int orientation;       /* EXIF's, 1 to 8; 1 when the file has none */
  /* The colour that a PNG without an alpha channel calls transparent. */
  bool has_key;
  uint8_t key[3]; /* gray three times, or red, green, blue */
  int palette_count; /* 0: the file has none */
  uint8_t palette[256][4]; /* red, green, blue, alpha */
} LpImageInfo;

/* What is wanted of a picture. All zero: the whole picture as it is, by Pillow's rules. */
typedef struct LpImageRead {
  const char *name; /* the file's, for messages; may be NULL */
  LpImageMode mode;
  LpImageRules rules;
  bool orient; /* turn as EXIF says, before the box is cut */
  /* Only this box; height 0: all. The pixels are those of the whole picture, bit for bit; JPEG files spend less time
   * on a smaller box. */
  int64_t top, left, height, width;
  /* 1, 2, 4 or 8: JPEG files are decoded to 1/n of their size, rounded up, by the transform itself (fast, and not what
   * resizing gives); other formats ignore it. 0 is 1. The box is one of the smaller picture. */
  int scale;
  int64_t max_pixels; /* 0: LP_IMAGE_MAX_PIXELS; -1: no limit */
} LpImageRead;

/* Pillow's limit, above which a picture counts as an attack on the memory. */
#define LP_IMAGE_MAX_PIXELS ((int64_t)178956970)

/* "jpeg", "png", ...; "unknown". */
LP_API const char *lp_image_format_name(LpImageFormat format);
/* "L", "RGB", ...; and how many channels. */
LP_API const char *lp_image_mode_name(LpImageMode mode);
LP_API int lp_image_mode_channels(LpImageMode mode);

/* From the first bytes. */
LP_API LpImageFormat lp_image_sniff(const uint8_t *bytes, size_t size_bytes);
/* Reads the header only. False with LP_ERR_IO for a file that is none, or damaged there. */
LP_API bool lp_image_info(const uint8_t *bytes, size_t size_bytes, const char *name, LpImageInfo *info);
/* uint8 (height, width, channels), of mode I int32; owned; *mode (may be NULL) is theirs. By the rules of torchvision.io a PNG of 16 bits
 * gives int32, and an animated GIF (frames, height, width, 3). NULL with LP_ERR_IO for a damaged or too large file,
 * LP_ERR_ARGUMENT for a wrong wish. */
LP_API LpTensor *lp_image_decode(const uint8_t *bytes, size_t size_bytes, const LpImageRead *read, LpImageMode *mode);
/* Pillow's conversion of uint8 (height, width, channels) in one mode to another; owned. key: NULL or the transparent
 * colour of L and RGB pictures, which LA and RGBA ones then show. */
LP_API LpTensor *lp_image_convert(LpTensor *pixels, LpImageMode from, LpImageMode to, const uint8_t key[3]);

/* Encoding of a contiguous uint8 tensor (height, width, channels), with 1 or 3 channels, PNG and WebP also with 2
 * and 4, JPEG also CMYK with 4 (mode). *data: free with lp_bytes_free. */
LP_API bool lp_image_encode_jpeg(LpTensor *pixels, int quality, uint8_t **data, size_t *size_bytes);
LP_API bool lp_image_encode_png(LpTensor *pixels, int compression_level, uint8_t **data, size_t *size_bytes);
/* quality 0 to 100; lossless: quality is then the effort. */
LP_API bool lp_image_encode_webp(LpTensor *pixels, double quality, bool lossless, uint8_t **data, size_t *size_bytes);
/* P5 or P6, and BMP; 1 or 3 channels. */
LP_API bool lp_image_encode_pnm(LpTensor *pixels, uint8_t **data, size_t *size_bytes);
LP_API bool lp_image_encode_bmp(LpTensor *pixels, uint8_t **data, size_t *size_bytes);

#ifdef __cplusplus
}
#endif
#endif
