#include "data/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"

/* libpng reports failures by calling back and expects not to return: its own longjmp stays inside
 * the two functions that set it up, and the message is kept here. */
typedef struct context {
    mg_error *err;
    mg_status status;
    const uint8_t *in; /* reading */
    size_t left;
    uint8_t *out; /* writing */
    size_t size, capacity;
} context;

static void on_error(png_structp png, png_const_charp message) {
    context *c = png_get_error_ptr(png);
    if (!c->status) c->status = mg_fail(c->err, MG_ERR_FORMAT, "PNG: %s", message);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void read_bytes(png_structp png, png_bytep to, size_t n) {
    context *c = png_get_io_ptr(png);
    if (n > c->left) png_error(png, "the file ends in the middle of its data");
    memcpy(to, c->in, n);
    c->in += n;
    c->left -= n;
}

static void write_bytes(png_structp png, png_bytep from, size_t n) {
    context *c = png_get_io_ptr(png);
    if (n > c->capacity - c->size) {
        size_t capacity = 2 * c->capacity + n + 4096;
        uint8_t *more = capacity > n ? realloc(c->out, capacity) : NULL;
        if (!more) {
            c->status = mg_fail(c->err, MG_ERR_MEMORY, "PNG: out of memory");
            png_error(png, "out of memory");
        }
        c->out = more;
        c->capacity = capacity;
    }
    memcpy(c->out + c->size, from, n);
    c->size += n;
}

static void flush_bytes(png_structp png) { (void)png; }

bool mg_png_recognise(const void *data, size_t size) {
    return size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
}

/* Brings every kind of PNG to 8 or 16 bits of grey or colour, in native byte order. */
static void ask_for_plain_pixels(png_structp png, png_infop info) {
    png_set_palette_to_rgb(png);
    png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
    const uint16_t one = 1;
    if (png_get_bit_depth(png, info) == 16 && *(const uint8_t *)&one) png_set_swap(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

/* Fills *out as far as it comes; c->status says how it went. */
static void decode(png_structp png, png_infop info, context *c, mg_png *out, png_bytep **rows) {
    if (setjmp(png_jmpbuf(png))) return;
    png_set_user_limits(png, 1000000, 1000000);
    png_set_chunk_malloc_max(png, 64 << 20);
    png_set_read_fn(png, c, read_bytes);
    size_t size = c->left;
    png_read_info(png, info);
    /* deflate shrinks 1032-fold at most: do not allocate for a size that cannot be true */
    if (png_get_rowbytes(png, info) > 1040 * size / png_get_image_height(png, info))
        png_error(png, "more pixels than a file of this length can hold");
    ask_for_plain_pixels(png, info);
    out->width = png_get_image_width(png, info);
    out->height = png_get_image_height(png, info);
    out->channels = png_get_channels(png, info);
    out->bits = png_get_bit_depth(png, info);
    uint64_t samples = (uint64_t)out->width * out->height * (unsigned)out->channels;
    if (samples > (uint64_t)1 << 28) {
        c->status = mg_fail(c->err, MG_ERR_MEMORY, "PNG of %u x %u pixels: more than 2^28 samples",
                            out->width, out->height);
        return;
    }
    size_t stride = png_get_rowbytes(png, info);
    if (stride != (size_t)out->width * (size_t)out->channels * (size_t)(out->bits / 8))
        png_error(png, "unexpected row size");
    out->pixels = calloc(out->height, stride);
    *rows = malloc(out->height * sizeof **rows);
    if (!out->pixels || !*rows) {
        c->status = mg_fail(c->err, MG_ERR_MEMORY, "PNG of %u x %u pixels: out of memory",
                            out->width, out->height);
        return;
    }
    for (uint32_t y = 0; y < out->height; y++) (*rows)[y] = (png_bytep)out->pixels + y * stride;
    png_read_image(png, *rows);
    png_read_end(png, NULL);
}

mg_status mg_png_decode(const void *data, size_t size, mg_png *out, mg_error *err) {
    *out = (mg_png){0};
    if (!mg_png_recognise(data, size))
        return mg_fail(err, MG_ERR_FORMAT, "not a PNG file: its signature is missing");
    context c = {.err = err, .in = data, .left = size};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &c, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    png_bytep *rows = NULL;
    if (info) decode(png, info, &c, out, &rows);
    else c.status = mg_fail(err, MG_ERR_MEMORY, "PNG: out of memory");
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    if (c.status) mg_png_free(out);
    return c.status;
}

mg_status mg_png_read(const char *path, mg_png *out, mg_error *err) {
    *out = (mg_png){0};
    uint8_t *data;
    size_t size;
    mg_status status = mg_file_read(path, 0, &data, &size, err);
    if (status) return status;
    status = mg_png_decode(data, size, out, err);
    if (status) mg_error_prefix(err, "%s", path);
    free(data);
    return status;
}

void mg_png_free(mg_png *png) {
    free(png->pixels);
    *png = (mg_png){0};
}

static void encode(png_structp png, png_infop info, context *c, const mg_png *image) {
    static const int kinds[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(png_jmpbuf(png))) return;
    png_set_write_fn(png, c, write_bytes, flush_bytes);
    png_set_compression_level(png, 6);
    png_set_IHDR(png, info, image->width, image->height, image->bits, kinds[image->channels - 1],
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    const uint16_t one = 1;
    if (image->bits == 16 && *(const uint8_t *)&one) png_set_swap(png);
    size_t stride = (size_t)image->width * (size_t)image->channels * (size_t)(image->bits / 8);
    for (uint32_t y = 0; y < image->height; y++)
        png_write_row(png, (png_const_bytep)image->pixels + y * stride);
    png_write_end(png, NULL);
}

mg_status mg_png_encode(const mg_png *image, uint8_t **data, size_t *size, mg_error *err) {
    *data = NULL;
    *size = 0;
    if (image->width == 0 || image->height == 0 || image->channels < 1 || image->channels > 4 ||
        (image->bits != 8 && image->bits != 16))
        return mg_fail(err, MG_ERR_ARG, "no PNG of %u x %u pixels, %d channels, %d bits",
                       image->width, image->height, image->channels, image->bits);
    context c = {.err = err};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &c, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info) encode(png, info, &c, image);
    else c.status = mg_fail(err, MG_ERR_MEMORY, "PNG: out of memory");
    png_destroy_write_struct(&png, &info);
    if (c.status) {
        free(c.out);
        return c.status;
    }
    *data = c.out;
    *size = c.size;
    return MG_OK;
}

mg_status mg_png_write(const char *path, const mg_png *png, mg_error *err) {
    uint8_t *data;
    size_t size;
    mg_status status = mg_png_encode(png, &data, &size, err);
    if (!status) status = mg_file_write(path, data, size, err);
    else mg_error_prefix(err, "%s", path);
    free(data);
    return status;
}
