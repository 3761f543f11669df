/* JPEG by libjpeg-turbo: decoding, whole or of a box, and encoding. Accurate transform
 * and smooth upsampling, as Pillow and torchvision.
 *
 * Note [Only the box]: the entropy-coded data must be read from the beginning, but the
 * transform, the upsampling and the colours are needed only for the box. libjpeg-turbo
 * skips rows, and cuts columns at the borders of its blocks; as smooth upsampling looks
 * at the neighbours, a cut border differs from the whole picture's. So one block more
 * than needed is decoded on each side, which makes the box equal bit for bit. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>
#include <jerror.h>
#include "image/picture.h"
#include "lampad/io.h"

/* Files with more are made to keep a decoder busy. */
#define MAX_SCANS 500
#define EXIF_MARKER (JPEG_APP0 + 1)

/* --- errors: libjpeg calls exit() unless it is led out by longjmp
 * --------------------------- */

typedef struct Errors {
  struct jpeg_error_mgr base; /* first: libjpeg's pointer is ours */
  jmp_buf out;
  bool is_recorded; /* lp_fail has been called */
} Errors;

static void on_error(j_common_ptr jpeg) {
  Errors *errors = (Errors *)jpeg->err;
  char message[JMSG_LENGTH_MAX];
  if (!errors->is_recorded) {
    jpeg->err->format_message(jpeg, message);
    lp_fail(jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? LP_ERR_MEMORY : LP_ERR_IO, "%s",
            jpeg->err->msg_code == JERR_INPUT_EMPTY ? "the file is empty" : message);
  }
  longjmp(errors->out, 1);
}

static void ignore_message(j_common_ptr jpeg) {}
static void ignore_warning(j_common_ptr jpeg, int level) {
  if (level < 0) jpeg->err->num_warnings++;
}

static void open_errors(Errors *errors) {
  jpeg_std_error(&errors->base);
  errors->base.error_exit = on_error;
  errors->base.output_message = ignore_message;
  errors->base.emit_message = ignore_warning;
  errors->is_recorded = false;
}

static void give_up(j_common_ptr jpeg) {
  ((Errors *)jpeg->err)->is_recorded = true;
  on_error(jpeg);
}

/* --- the source: bytes in memory, whose end is an error
 * -------------------------------------- */

static void source_start(j_decompress_ptr jpeg) {}
static boolean source_more(j_decompress_ptr jpeg) {
  lp_fail(LP_ERR_IO, "the picture is truncated");
  give_up((j_common_ptr)jpeg);
  return FALSE;
}
static void source_skip(j_decompress_ptr jpeg, long count) {
  if (count <= 0) return;
  if ((size_t)count > jpeg->src->bytes_in_buffer) source_more(jpeg);
  jpeg->src->next_input_byte += count;
  jpeg->src->bytes_in_buffer -= (size_t)count;
}

/* libjpeg calls this many times in each pass. */
static void on_progress(j_common_ptr common) {
  j_decompress_ptr jpeg = (j_decompress_ptr)common;
  if (jpeg->input_scan_number > MAX_SCANS) {
    lp_fail(LP_ERR_IO, "the picture has more than %d scans", MAX_SCANS);
    give_up(common);
  }
  if (lp_image_interrupted()) give_up(common);
}

typedef struct Reader {
  struct jpeg_decompress_struct jpeg;
  Errors errors;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  uint8_t *row; /* of the widened box */
} Reader;

/* Reads the header. */
static void open_reader(Reader *r, const LpImageSource *source) {
  jpeg_create_decompress(&r->jpeg);
  r->source = (struct jpeg_source_mgr){
      .next_input_byte = source->bytes,
      .bytes_in_buffer = source->size_bytes,
      .init_source = source_start,
      .fill_input_buffer = source_more,
      .skip_input_data = source_skip,
      .resync_to_restart = jpeg_resync_to_restart,
      .term_source = source_start,
  };
  r->jpeg.src = &r->source;
  r->progress = (struct jpeg_progress_mgr){.progress_monitor = on_progress};
  r->jpeg.progress = &r->progress;
}

/* --- decoding
 * -------------------------------------------------------------------------------- */

static LpImageMode mode_of(int components) {
  return components == 1 ? LP_MODE_L : components == 4 ? LP_MODE_CMYK : LP_MODE_RGB;
}

static bool check_components(j_decompress_ptr jpeg) {
  const int n = jpeg->num_components;
  CHECK(n == 1 || n == 3 || n == 4, LP_ERR_IO,
        "pictures of %d components are not supported", n);
  return true;
}

bool lp_jpeg_info(const LpImageSource *source, LpImageInfo *info) {
  Reader r = {0};
  r.jpeg.err = &r.errors.base;
  open_errors(&r.errors);
  bool ok = false;
  if (setjmp(r.errors.out) == 0) {
    open_reader(&r, source);
    jpeg_save_markers(&r.jpeg, EXIF_MARKER, 0xFFFF);
    jpeg_read_header(&r.jpeg, TRUE);
    info->width = r.jpeg.image_width;
    info->height = r.jpeg.image_height;
    info->mode = mode_of(r.jpeg.num_components);
    for (jpeg_saved_marker_ptr m = r.jpeg.marker_list; m; m = m->next)
      if (m->marker == EXIF_MARKER && m->data_length > 6 &&
          memcmp(m->data, "Exif\0\0", 6) == 0) {
        info->orientation = lp_exif_orientation(m->data + 6, m->data_length - 6);
        break;
      }
    ok = check_components(&r.jpeg);
  }
  jpeg_destroy_decompress(&r.jpeg);
  return ok;
}

/* Which mode libjpeg itself should make; the rest is converted later. */
static void choose_colors(j_decompress_ptr jpeg, const LpImageRead *read,
                          LpPicture *picture) {
  picture->mode = mode_of(jpeg->num_components);
  if (jpeg->num_components == 4) {
    jpeg->out_color_space = JCS_CMYK;
    return;
  }
  jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  /* Gray three times is what both rules make of gray; the file's own luminance is
   * torchvision's gray only. */
  if (read->mode == LP_MODE_RGB && jpeg->num_components == 1) {
    jpeg->out_color_space = JCS_RGB;
    picture->mode = LP_MODE_RGB;
  }
  if (read->mode == LP_MODE_L && read->rules == LP_RULES_IO) {
    jpeg->out_color_space = JCS_GRAYSCALE;
    picture->mode = LP_MODE_L;
  }
}

/* Reads the rows of the box [left, left + width) x [top, top + height) into `to`. */
static bool read_rows(Reader *r, const LpImageRead *box, uint8_t *to) {
  j_decompress_ptr jpeg = &r->jpeg;
  const size_t pixel = (size_t)jpeg->output_components;
  const size_t row = (size_t)box->width * pixel;
  JDIMENSION start = 0, decoded = jpeg->output_width;
  if (box->width < jpeg->output_width) {
    const int64_t block = (int64_t)jpeg->max_h_samp_factor * jpeg->min_DCT_scaled_size;
    const int64_t begin = box->left > block ? box->left - block : 0;
    int64_t end = box->left + box->width + block;
    if (end > jpeg->output_width) end = jpeg->output_width;
    start = (JDIMENSION)begin;
    decoded = (JDIMENSION)(end - begin);
    if (decoded < jpeg->output_width) jpeg_crop_scanline(jpeg, &start, &decoded);
    if (!(r->row = malloc((size_t)decoded * pixel)))
      return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  }
  const int64_t margin = (int64_t)jpeg->max_v_samp_factor * jpeg->min_DCT_scaled_size;
  const int64_t skipped = box->top > margin ? box->top - margin : 0;
  if (skipped) jpeg_skip_scanlines(jpeg, (JDIMENSION)skipped);
  const size_t offset = ((size_t)box->left - start) * pixel;
  while (jpeg->output_scanline < box->top + box->height) {
    const bool is_wanted = jpeg->output_scanline >= box->top;
    JSAMPROW target = r->row ? r->row : to;
    if (jpeg_read_scanlines(jpeg, &target, 1) != 1) {
      lp_fail(LP_ERR_IO, "the picture is truncated");
      return false;
    }
    if (!is_wanted) continue;
    if (r->row) memcpy(to, r->row + offset, row);
    to += row;
  }
  return true;
}

static bool decode(Reader *r, const LpImageSource *source, LpPicture *picture) {
  const LpImageRead *read = source->read;
  j_decompress_ptr jpeg = &r->jpeg;
  open_reader(r, source);
  jpeg_read_header(jpeg, TRUE);
  TRY(check_components(jpeg));
  TRY(lp_image_check_size(source, jpeg->image_width, jpeg->image_height));
  choose_colors(jpeg, read, picture);
  jpeg->dct_method = JDCT_ISLOW;
  jpeg->do_fancy_upsampling = TRUE;
  jpeg->scale_num = 1;
  jpeg->scale_denom = (unsigned)(read->scale ? read->scale : 1);
  jpeg_calc_output_dimensions(jpeg);
  LpImageRead box = *read;
  if (box.height == 0)
    box = (LpImageRead){.height = jpeg->output_height, .width = jpeg->output_width};
  CHECK(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 &&
            box.top <= jpeg->output_height - box.height &&
            box.left <= jpeg->output_width - box.width,
        LP_ERR_ARGUMENT,
        "the box (top %lld, left %lld, height %lld, width %lld) lies outside the picture "
        "of %u x %u",
        (long long)box.top, (long long)box.left, (long long)box.height,
        (long long)box.width, jpeg->output_width, jpeg->output_height);
  TRY(picture->pixels = lp_image_new(box.height, box.width,
                                     lp_image_mode_channels(picture->mode), LP_UINT8));
  picture->is_cut = read->height != 0;
  jpeg_start_decompress(jpeg);
  /* A whole picture is read into the tensor; when only a part of its rows is wanted,
   * those above go to a row. */
  if (box.top > 0 && box.width == jpeg->output_width &&
      !(r->row = malloc((size_t)box.width * (size_t)jpeg->output_components)))
    return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  return read_rows(r, &box, lp_data(picture->pixels));
}

/* CMYK in JPEG files is inverted, as Adobe's programs write it. Pillow turns it;
 * torchvision turns it when it makes RGB or gray of it. */
static bool settle_cmyk(const LpImageRead *read, LpPicture *picture) {
  if (picture->mode != LP_MODE_CMYK) return true;
  if (read->rules == LP_RULES_IO && read->mode == LP_MODE_UNCHANGED) return true;
  uint8_t *p = lp_data(picture->pixels);
  const int64_t n = lp_numel(picture->pixels);
  for (int64_t i = 0; i < n; i++) p[i] = (uint8_t)(255 - p[i]);
  return true;
}

bool lp_jpeg_decode(const LpImageSource *source, LpPicture *picture) {
  const LpImageMode wish = source->read->mode;
  CHECK(source->read->rules != LP_RULES_IO || wish == LP_MODE_UNCHANGED ||
            wish == LP_MODE_L || wish == LP_MODE_RGB,
        LP_ERR_ARGUMENT,
        "The provided mode is not supported for JPEG files: expected UNCHANGED, GRAY or "
        "RGB");
  Reader *r = calloc(1, sizeof *r);
  if (!r) return lp_fail(LP_ERR_MEMORY, "out of memory reading a picture");
  r->jpeg.err = &r->errors.base;
  open_errors(&r->errors);
  /* What changes after setjmp lives in *r and *picture, not in this frame. */
  volatile bool ok = false;
  if (setjmp(r->errors.out) == 0) ok = decode(r, source, picture);
  jpeg_destroy_decompress(&r->jpeg);
  free(r->row);
  free(r);
  return ok && settle_cmyk(source->read, picture);
}

/* --- encoding
 * -------------------------------------------------------------------------------- */

typedef struct Writer {
  struct jpeg_compress_struct jpeg;
  Errors errors;
  unsigned char *data;
  unsigned long size_bytes;
} Writer;

static bool encode(Writer *w, LpTensor *pixels, int quality) {
  j_compress_ptr jpeg = &w->jpeg;
  const int64_t height = lp_size(pixels, 0), width = lp_size(pixels, 1),
                channels = lp_size(pixels, 2);
  jpeg_create_compress(jpeg);
  jpeg_mem_dest(jpeg, &w->data, &w->size_bytes);
  jpeg->image_width = (JDIMENSION)width;
  jpeg->image_height = (JDIMENSION)height;
  jpeg->input_components = (int)channels;
  jpeg->in_color_space = channels == 1   ? JCS_GRAYSCALE
                         : channels == 3 ? JCS_RGB
                                         : JCS_CMYK;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, quality, TRUE);
  jpeg_start_compress(jpeg, TRUE);
  const uint8_t *from = lp_data(pixels);
  while (jpeg->next_scanline < jpeg->image_height) {
    if (lp_image_interrupted()) return false;
    JSAMPROW row = (JSAMPROW)(uintptr_t)(from + (size_t)jpeg->next_scanline *
                                                    (size_t)(width * channels));
    jpeg_write_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_compress(jpeg);
  return true;
}

bool lp_image_encode_jpeg(LpTensor *pixels, int quality, uint8_t **data,
                          size_t *size_bytes) {
  TRY(lp_image_check_pixels(pixels));
  const int64_t height = lp_size(pixels, 0), width = lp_size(pixels, 1),
                channels = lp_size(pixels, 2);
  CHECK(channels == 1 || channels == 3 || channels == 4, LP_ERR_ARGUMENT,
        "the number of channels should be 1 or 3, got %lld", (long long)channels);
  CHECK(height > 0 && width > 0 && height <= JPEG_MAX_DIMENSION &&
            width <= JPEG_MAX_DIMENSION,
        LP_ERR_ARGUMENT, "JPEG holds 1 to %ld pixels a side, got %lld x %lld",
        JPEG_MAX_DIMENSION, (long long)width, (long long)height);
  CHECK(quality >= 1 && quality <= 100, LP_ERR_ARGUMENT,
        "image quality should be a positive number between 1 and 100, got %d", quality);
  Writer *w = calloc(1, sizeof *w);
  if (!w) return lp_fail(LP_ERR_MEMORY, "out of memory writing a picture");
  w->jpeg.err = &w->errors.base;
  open_errors(&w->errors);
  volatile bool ok = false;
  if (setjmp(w->errors.out) == 0) ok = encode(w, pixels, quality);
  jpeg_destroy_compress(&w->jpeg);
  if (ok) {
    *data = w->data;
    *size_bytes = w->size_bytes;
  } else {
    free(w->data);
  }
  free(w);
  return ok;
}
