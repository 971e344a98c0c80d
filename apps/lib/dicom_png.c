/* dicom_png.c: one frame as a PNG, through the grey pipeline or, for colour, as it is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/dicom_commands.h"
#include "apps/lib/dicom_output.h"
#include "data/png.h"

typedef struct settings {
    const char *window, *function;
    int64_t frame, bits, reduce, which;
    bool no_voi_lut, no_modality, partial;
} settings;

static float *read_grey(mg_dicom *d, const mg_dicom_image *image, const settings *s, uint32_t *rows,
                        uint32_t *columns, mg_dicom_error *err) {
    mg_dicom_window window = {.function = MG_DICOM_VOI_LINEAR};
    mg_dicom_grey_options options = {.no_modality = s->no_modality,
                                     .no_voi_lut = s->no_voi_lut,
                                     .window = (int)s->which - 1,
                                     .read = {.reduce = (int)s->reduce,
                                              .allow_partial = s->partial,
                                              .rows = rows,
                                              .columns = columns}};
    if (s->window) {
        sscanf(s->window, "%lf,%lf", &window.center, &window.width);
        window.function = strcmp(s->function, "sigmoid") == 0        ? MG_DICOM_VOI_SIGMOID
                          : strcmp(s->function, "linear-exact") == 0 ? MG_DICOM_VOI_LINEAR_EXACT
                                                                     : MG_DICOM_VOI_LINEAR;
        options.override = &window;
    }
    float *grey = malloc((size_t)image->rows * image->columns * sizeof *grey);
    if (!grey) {
        err->code = MG_DICOM_ERR_MEMORY;
        snprintf(err->message, sizeof err->message, "no memory for the image");
        return NULL;
    }
    if (mg_dicom_read_grey(d, (uint32_t)(s->frame - 1), &options, grey, err) == MG_DICOM_OK)
        return grey;
    free(grey);
    return NULL;
}

/* 0…1 to whole numbers, in place of the floats. */
static void quantise(float *grey, size_t n, int bits) {
    float most = bits == 16 ? 65535.0f : 255.0f;
    for (size_t i = 0; i < n; i++) {
        float v = grey[i] > 0 ? grey[i] < 1 ? grey[i] : 1 : 0; /* NaN becomes 0 */
        uint32_t q = (uint32_t)(v * most + 0.5f);
        if (bits == 16) ((uint16_t *)(void *)grey)[i] = (uint16_t)q;
        else ((uint8_t *)(void *)grey)[i] = (uint8_t)q;
    }
}

static uint8_t clamp8(double v) { return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5); }

/* PS3.3 C.7.6.3.1.2: full-range YBR of 8 bits. */
static void ybr_to_rgb(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++, p += 3) {
        double y = p[0], b = p[1] - 128.0, r = p[2] - 128.0;
        p[0] = clamp8(y + 1.402 * r);
        p[1] = clamp8(y - 0.344136 * b - 0.714136 * r);
        p[2] = clamp8(y + 1.772 * b);
    }
}

static void *read_colour(mg_dicom *d, const mg_dicom_image *image, const settings *s,
                         uint32_t *rows, uint32_t *columns, mg_dicom_error *err) {
    mg_dicom_read_options options = {
        .reduce = (int)s->reduce, .allow_partial = s->partial, .rows = rows, .columns = columns};
    if (image->samples != 3 || image->bits_allocated != 8) {
        err->code = MG_DICOM_ERR_UNSUPPORTED;
        snprintf(err->message, sizeof err->message, "%s of %d bits cannot be made a PNG",
                 image->photometric, image->bits_allocated);
        return NULL;
    }
    uint8_t *pixels = malloc(image->frame_bytes);
    if (!pixels) {
        err->code = MG_DICOM_ERR_MEMORY;
        snprintf(err->message, sizeof err->message, "no memory for the image");
        return NULL;
    }
    if (mg_dicom_read_frame(d, (uint32_t)(s->frame - 1), &options, pixels, image->frame_bytes,
                            err) != MG_DICOM_OK) {
        free(pixels);
        return NULL;
    }
    if (strncmp(image->photometric, "YBR_FULL", 8) == 0)
        ybr_to_rgb(pixels, (size_t)*rows * *columns);
    return pixels;
}

static int write_png(const char *from, const char *to, const settings *s) {
    mg_dicom_error err = {0};
    mg_dicom_image image;
    mg_dicom *d = mg_dicom_command_open(from, NULL);
    if (!d) return MG_EXIT_FAILED;
    mg_png png = {0};
    if (mg_dicom_image_info(d, &image, &err) == MG_DICOM_OK) {
        bool grey = image.samples == 1 && strncmp(image.photometric, "PALETTE", 7) != 0;
        uint32_t rows = image.rows, columns = image.columns;
        if (s->frame > (int64_t)image.frames) {
            err.code = MG_DICOM_ERR_ARG;
            snprintf(err.message, sizeof err.message, "has %u frames, frame %lld was asked for",
                     image.frames, (long long)s->frame);
        } else if (grey) {
            png.pixels = read_grey(d, &image, s, &rows, &columns, &err);
            if (png.pixels) quantise(png.pixels, (size_t)rows * columns, (int)s->bits);
        } else {
            png.pixels = read_colour(d, &image, s, &rows, &columns, &err);
        }
        png.width = columns;
        png.height = rows;
        png.channels = grey ? 1 : 3;
        png.bits = grey ? (int)s->bits : 8;
    }
    mg_dicom_command_warn(from, d);
    mg_dicom_close(d);
    if (!png.pixels) {
        fprintf(stderr, "%s: %s\n", from, err.message);
        return MG_EXIT_FAILED;
    }
    mg_error png_error = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    mg_status status = mg_png_encode(&png, &bytes, &size, &png_error);
    if (status == MG_OK) status = mg_dicom_output_file(to, from, bytes, size, &png_error);
    free(bytes);
    free(png.pixels);
    if (status == MG_OK) return MG_EXIT_DONE;
    fprintf(stderr, "%s: %s\n", to, png_error.message);
    return MG_EXIT_FAILED;
}

int mg_dicom_command_png(int argc, char **argv) {
    settings s = {.function = "linear", .frame = 1, .bits = 8, .which = 1};
    const mg_cli_option options[] = {
        {"bits", 'b', MG_CLI_INT, &s.bits, "8|16", "8", "bits of a grey sample", 8, 16},
        {"frame", 'f', MG_CLI_INT, &s.frame, "N", "1", "which frame, from 1", 1, 4294967295.0},
        {"which", 'w', MG_CLI_INT, &s.which, "N", "1",
         "which of the file's windows, or of its VOI LUTs if it has no windows, from 1", 1, 1000},
        {"window", 0, MG_CLI_STRING, &s.window, "CENTRE,WIDTH", NULL,
         "use this window instead of the file's", 0, 0},
        {"function", 0, MG_CLI_CHOICE, &s.function, "linear|linear-exact|sigmoid", "linear",
         "VOI function that goes with --window", 0, 0},
        {"no-voi-lut", 0, MG_CLI_FLAG, &s.no_voi_lut, NULL, NULL,
         "the window where the file has a VOI LUT too", 0, 0},
        {"no-modality", 0, MG_CLI_FLAG, &s.no_modality, NULL, NULL,
         "stored values, without the file's rescaling", 0, 0},
        {"reduce", 'r', MG_CLI_INT, &s.reduce, "N", "0", "JPEG 2000: halve the size N times", 0,
         32},
        {"allow-partial", 0, MG_CLI_FLAG, &s.partial, NULL, NULL,
         "zeros where data is missing instead of an error", 0, 0},
    };
    const mg_cli_program program = {.name = "dicom png",
                                    .summary = "Write one frame of a DICOM file as PNG",
                                    .usage = "[OPTION]... FILE OUT.png",
                                    .options = options,
                                    .option_count = sizeof options / sizeof options[0],
                                    .least_arguments = 2,
                                    .most_arguments = 2};
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    if (s.bits != 8 && s.bits != 16) return mg_cli_usage_error(&program, "--bits is 8 or 16");
    double center, width;
    char rest;
    if (s.window && (sscanf(s.window, "%lf,%lf%c", &center, &width, &rest) != 2 || !(width > 0)))
        return mg_cli_usage_error(&program, "--window is CENTRE,WIDTH with a width above 0");
    return write_png(argv[0], argv[1], &s);
}
