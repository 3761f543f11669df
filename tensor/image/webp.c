/* WebP by libwebp. Of an animation by Pillow's rules the first frame, which torchvision
 * refuses. */
#include <stdlib.h>
#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include "image/picture.h"
#include "lampad/io.h"

/* The EXIF chunk of the container. */
static void find_exif(const LpImageSource *source, LpImageInfo *info) {
  const uint8_t *b = source->bytes;
  for (size_t at = 12; at + 8 <= source->size_bytes;) {
    const size_t size = lp_le32(b + at + 4), start = at + 8;
    if (size > source->size_bytes - start) return;
    if (memcmp(b + at, "EXIF", 4) == 0) {
      const size_t skip = size >= 6 && memcmp(b + start, "Exif\0\0", 6) == 0 ? 6 : 0;
      info->orientation = lp_exif_orientation(b + start + skip, size - skip);
      return;
    }
    at = start + size + (size & 1);
  }
}

static bool read_features(const LpImageSource *source, WebPBitstreamFeatures *features) {
  const VP8StatusCode status =
      WebPGetFeatures(source->bytes, source->size_bytes, features);
  CHECK(status == VP8_STATUS_OK, LP_ERR_IO, "the picture is %s",
        status == VP8_STATUS_NOT_ENOUGH_DATA ? "truncated"
                                             : "damaged: its header is no WebP header");
  return true;
}

bool lp_webp_info(const LpImageSource *source, LpImageInfo *info) {
  WebPBitstreamFeatures features;
  TRY(read_features(source, &features));
  info->width = features.width;
  info->height = features.height;
  info->mode = features.has_alpha ? LP_MODE_RGBA : LP_MODE_RGB;
  find_exif(source, info);
  return true;
}

/* The first frame on its canvas. */
static bool decode_animation(const LpImageSource *source, bool has_alpha,
                             LpPicture *picture) {
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  options.color_mode = MODE_RGBA;
  const WebPData data = {source->bytes, source->size_bytes};
  WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
  CHECK(decoder, LP_ERR_IO, "the animation is damaged");
  WebPAnimInfo info;
  uint8_t *canvas;
  int timestamp;
  const bool ok = WebPAnimDecoderGetInfo(decoder, &info) &&
                  WebPAnimDecoderGetNext(decoder, &canvas, &timestamp);
  if (ok && (picture->pixels = lp_image_new(info.canvas_height, info.canvas_width,
                                            has_alpha ? 4 : 3, LP_UINT8))) {
    uint8_t *to = lp_data(picture->pixels);
    const size_t count = (size_t)info.canvas_width * info.canvas_height,
                 channels = has_alpha ? 4 : 3;
    for (size_t i = 0; i < count; i++)
      memcpy(to + i * channels, canvas + i * 4, channels);
  }
  WebPAnimDecoderDelete(decoder);
  CHECK(ok, LP_ERR_IO, "the animation is damaged");
  return picture->pixels != NULL;
}

bool lp_webp_decode(const LpImageSource *source, LpPicture *picture) {
  WebPBitstreamFeatures features;
  TRY(read_features(source, &features));
  TRY(lp_image_check_size(source, features.width, features.height));
  const bool by_io = source->read->rules == LP_RULES_IO;
  const LpImageMode wish = source->read->mode;
  CHECK(!by_io || !features.has_animation, LP_ERR_IO,
        "Animated webp files are not supported");
  bool has_alpha = features.has_alpha;
  /* torchvision knows no gray here: what is neither RGB nor RGBA stays as it is. */
  if (by_io && wish == LP_MODE_RGB) has_alpha = false;
  if (by_io && wish == LP_MODE_RGBA) has_alpha = true;
  picture->mode = has_alpha ? LP_MODE_RGBA : LP_MODE_RGB;
  picture->is_converted = by_io;
  if (features.has_animation) return decode_animation(source, has_alpha, picture);
  TRY(picture->pixels =
          lp_image_new(features.height, features.width, has_alpha ? 4 : 3, LP_UINT8));
  WebPDecoderConfig config;
  CHECK(WebPInitDecoderConfig(&config), LP_ERR_INTERNAL,
        "libwebp has another version than its header");
  config.output.colorspace = has_alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = lp_data(picture->pixels);
  config.output.u.RGBA.stride = features.width * (has_alpha ? 4 : 3);
  config.output.u.RGBA.size = (size_t)lp_numel(picture->pixels);
  const VP8StatusCode status = WebPDecode(source->bytes, source->size_bytes, &config);
  WebPFreeDecBuffer(&config.output);
  CHECK(status != VP8_STATUS_OUT_OF_MEMORY, LP_ERR_MEMORY,
        "out of memory reading a picture");
  CHECK(status == VP8_STATUS_OK, LP_ERR_IO, "the picture is %s",
        status == VP8_STATUS_NOT_ENOUGH_DATA || status == VP8_STATUS_SUSPENDED
            ? "truncated"
            : "damaged");
  return true;
}

bool lp_image_encode_webp(LpTensor *pixels, double quality, bool lossless, uint8_t **data,
                          size_t *size_bytes) {
  TRY(lp_image_check_pixels(pixels));
  const int64_t height = lp_size(pixels, 0), width = lp_size(pixels, 1),
                channels = lp_size(pixels, 2);
  CHECK(channels == 3 || channels == 4, LP_ERR_ARGUMENT,
        "the number of channels should be 3 or 4, got %lld", (long long)channels);
  CHECK(height > 0 && width > 0 && height <= WEBP_MAX_DIMENSION &&
            width <= WEBP_MAX_DIMENSION,
        LP_ERR_ARGUMENT, "WebP holds 1 to %d pixels a side, got %lld x %lld",
        WEBP_MAX_DIMENSION, (long long)width, (long long)height);
  CHECK(quality >= 0 && quality <= 100, LP_ERR_ARGUMENT,
        "quality should be between 0 and 100, got %g", quality);
  WebPConfig config;
  WebPPicture picture;
  CHECK(WebPConfigInit(&config) && WebPPictureInit(&picture), LP_ERR_INTERNAL,
        "libwebp has another version than its header");
  config.quality = (float)quality;
  config.lossless = lossless;
  config.exact = lossless;
  WebPMemoryWriter writer;
  WebPMemoryWriterInit(&writer);
  picture.use_argb = lossless;
  picture.width = (int)width;
  picture.height = (int)height;
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  const int stride = (int)(width * channels);
  bool ok = channels == 3 ? WebPPictureImportRGB(&picture, lp_data(pixels), stride)
                          : WebPPictureImportRGBA(&picture, lp_data(pixels), stride);
  ok = ok && WebPEncode(&config, &picture);
  /* The writer's memory is libwebp's; what is handed out is freed by free(). */
  uint8_t *copy = ok ? malloc(writer.size) : NULL;
  if (copy) memcpy(copy, writer.mem, writer.size);
  const size_t size = writer.size;
  const WebPEncodingError code = picture.error_code;
  WebPPictureFree(&picture);
  WebPMemoryWriterClear(&writer);
  CHECK(copy, LP_ERR_MEMORY, "cannot encode the picture as WebP (error %d of libwebp)",
        (int)code);
  *data = copy;
  *size_bytes = size;
  return true;
}
