/* dicom_commands.c: info, dump and pixels; what all commands share. */
#include "apps/lib/dicom_commands.h"

#include <stdlib.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/dicom_output.h"
#include "dicom/writer.h"

mg_dicom *mg_dicom_command_open(const char *path, const mg_dicom_options *options) {
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open(path, options, &err);
    if (!d) fprintf(stderr, "%s: %s\n", path, err.message);
    return d;
}

void mg_dicom_command_warn(const char *path, const mg_dicom *d) {
    for (int i = 0; i < mg_dicom_warnings(d); i++)
        fprintf(stderr, "%s: warning: %s\n", path, mg_dicom_warning(d, i));
}

char *mg_dicom_command_values(const mg_dicom *d, const mg_dicom_element *e) {
    int length = mg_dicom_element_all_text(d, e, NULL, 0);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) mg_dicom_element_all_text(d, e, text, (size_t)length + 1);
    return text;
}

char *mg_dicom_command_next_value(const mg_dicom_element *e, char **rest) {
    char *value = *rest, *end;
    *rest = NULL;
    if (!value || (e->vr[1] == 'T' && strchr("SLU", e->vr[0])) || memcmp(e->vr, "UR", 2) == 0)
        return value; /* one text, backslashes and all */
    if ((end = strchr(value, '\\'))) *rest = end + 1;
    else end = value + strlen(value);
    while (end > value && end[-1] == ' ') end--;
    *end = 0;
    return value + strspn(value, " ");
}

/* --- info ------------------------------------------------------------------------------------- */

int mg_dicom_command_info(int argc, char **argv) {
    static const mg_cli_program program = {.name = "dicom info",
                                           .summary = "Say what DICOM files are",
                                           .usage = "FILE...",
                                           .least_arguments = 1,
                                           .most_arguments = -1};
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    code = MG_EXIT_DONE;
    for (int i = 0; i < argc; i++) {
        mg_dicom *d = mg_dicom_command_open(argv[i], NULL);
        if (d) mg_dicom_print_info(d, argv[i], stdout);
        else code = MG_EXIT_FAILED;
        mg_dicom_close(d);
    }
    return code;
}

/* --- dump ------------------------------------------------------------------------------------- */

int mg_dicom_command_dump(int argc, char **argv) {
    bool json = false, whole = false;
    int64_t most_inline = 1024;
    const mg_cli_option options[] = {
        {"json", 'j', MG_CLI_FLAG, &json, NULL, NULL, "DICOM JSON model (PS3.18 annex F)", 0, 0},
        {"whole", 'w', MG_CLI_FLAG, &whole, NULL, NULL, "values in full length", 0, 0},
        {"inline", 0, MG_CLI_INT, &most_inline, "BYTES", "1024",
         "JSON: longer binary values become BulkDataURI", 0, 1e15},
    };
    const mg_cli_program program = {.name = "dicom dump",
                                    .summary = "Print every element of DICOM files",
                                    .usage = "[OPTION]... FILE...",
                                    .options = options,
                                    .option_count = sizeof options / sizeof options[0],
                                    .least_arguments = 1,
                                    .most_arguments = -1};
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    code = MG_EXIT_DONE;
    if (json && argc > 1) printf("[\n");
    bool first = true;
    for (int i = 0; i < argc; i++) {
        mg_dicom *d = mg_dicom_command_open(argv[i], NULL);
        if (!d) {
            code = MG_EXIT_FAILED;
            continue;
        }
        if (json) {
            if (!first) printf(",\n");
            mg_dicom_print_json(d, argv[i], (uint64_t)most_inline, stdout);
        } else {
            if (argc > 1) printf("# %s\n", argv[i]);
            mg_dicom_print_dump(d, whole, stdout);
        }
        first = false;
        mg_dicom_command_warn(argv[i], d);
        mg_dicom_close(d);
    }
    if (json && argc > 1) printf("]\n");
    return code;
}

/* --- pixels ----------------------------------------------------------------------------------- */

typedef struct pixel_sink {
    mg_dicom_output raw;
    bool writing;
    mg_dicom_sha256 hash;
    bool hashing;
} pixel_sink;

/* Frames first … last, little endian whatever the machine. */
static mg_dicom_status copy_frames(mg_dicom *d, const mg_dicom_image *image, int64_t only,
                                   const mg_dicom_read_options *read, pixel_sink *sink,
                                   mg_dicom_error *err) {
    uint8_t *frame = malloc(image->frame_bytes);
    if (!frame) {
        err->code = MG_DICOM_ERR_MEMORY;
        snprintf(err->message, sizeof err->message, "no memory for a frame of %zu bytes",
                 image->frame_bytes);
        return err->code;
    }
    uint32_t first = only > 0 ? (uint32_t)(only - 1) : 0;
    uint32_t last = only > 0 ? first : image->frames - 1;
    mg_dicom_status status = MG_DICOM_OK;
    for (uint32_t f = first; f <= last && status == MG_DICOM_OK; f++) {
        uint32_t rows = image->rows, columns = image->columns;
        mg_dicom_read_options options = *read;
        options.rows = &rows;
        options.columns = &columns;
        status = mg_dicom_read_frame(d, f, &options, frame, image->frame_bytes, err);
        if (status != MG_DICOM_OK) break;
        size_t width = (size_t)image->word_bytes;
        size_t bytes = (size_t)rows * columns * (size_t)image->samples * width;
        if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
            for (size_t i = 0; i < bytes; i += width)
                for (size_t k = 0; k < width / 2; k++) {
                    uint8_t swap = frame[i + k];
                    frame[i + k] = frame[i + width - 1 - k];
                    frame[i + width - 1 - k] = swap;
                }
        mg_error failure = {0};
        if (sink->writing && mg_dicom_output_write(&sink->raw, frame, bytes, &failure) != MG_OK) {
            err->code = status = MG_DICOM_ERR_IO;
            snprintf(err->message, sizeof err->message, "%.390s", failure.message);
        }
        if (sink->hashing) mg_dicom_sha256_add(&sink->hash, frame, bytes);
    }
    free(frame);
    return status;
}

/* One file to one output, which appears when everything went well. */
static int copy_pixels(const char *path, const char *raw, bool hash, int64_t frame,
                       const mg_dicom_read_options *read) {
    mg_dicom_error err = {0};
    mg_dicom_image image;
    mg_dicom *d = mg_dicom_command_open(path, NULL);
    if (!d) return MG_EXIT_FAILED;
    pixel_sink sink = {.hashing = hash};
    mg_dicom_sha256_begin(&sink.hash);
    mg_error failure = {0};
    mg_dicom_status status = mg_dicom_image_info(d, &image, &err);
    if (status == MG_DICOM_OK && frame > (int64_t)image.frames) {
        err.code = status = MG_DICOM_ERR_ARG;
        snprintf(err.message, sizeof err.message, "has %u frames, frame %lld was asked for",
                 image.frames, (long long)frame);
    }
    if (status == MG_DICOM_OK && raw) {
        sink.writing = mg_dicom_output_open(&sink.raw, raw, path, &failure) == MG_OK;
        if (!sink.writing) status = MG_DICOM_ERR_IO;
    }
    if (status == MG_DICOM_OK) status = copy_frames(d, &image, frame, read, &sink, &err);
    if (sink.writing &&
        mg_dicom_output_close(&sink.raw, status == MG_DICOM_OK, &failure) != MG_OK &&
        status == MG_DICOM_OK)
        status = MG_DICOM_ERR_IO;
    mg_dicom_command_warn(path, d);
    mg_dicom_close(d);
    if (status != MG_DICOM_OK) {
        fprintf(stderr, "%s: %s\n", path, err.message[0] ? err.message : failure.message);
        return MG_EXIT_FAILED;
    }
    if (hash) {
        uint8_t digest[32];
        mg_dicom_sha256_end(&sink.hash, digest);
        for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
        printf("  %s\n", path);
    }
    return MG_EXIT_DONE;
}

int mg_dicom_command_pixels(int argc, char **argv) {
    const char *raw = NULL;
    bool hash = false, partial = false, was_partial = false;
    int64_t frame = 0, reduce = 0;
    const mg_cli_option options[] = {
        {"raw", 'o', MG_CLI_STRING, &raw, "OUT", NULL, "write the stored values; - is stdout", 0,
         0},
        {"sha256", 0, MG_CLI_FLAG, &hash, NULL, NULL, "print the hash of the stored values", 0, 0},
        {"frame", 'f', MG_CLI_INT, &frame, "N", "all", "only this frame, from 1", 1, 4294967295.0},
        {"reduce", 'r', MG_CLI_INT, &reduce, "N", "0", "JPEG 2000: halve the size N times", 0, 32},
        {"allow-partial", 0, MG_CLI_FLAG, &partial, NULL, NULL,
         "zeros where data is missing instead of an error", 0, 0},
    };
    const mg_cli_program program = {
        .name = "dicom pixels",
        .summary = "Get the stored pixel values out of a DICOM file",
        .usage = "--raw=OUT|--sha256 [OPTION]... FILE...",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .description = "The values of all frames one after another: the low BitsStored bits, "
                       "sign-extended when\nPixelRepresentation is 1, in little endian words of "
                       "BitsAllocated bits, samples interleaved.\nNo lookup table, no inversion, "
                       "no colour conversion. One-bit images: a byte 0 or 1 per pixel.",
        .least_arguments = 1,
        .most_arguments = -1};
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    if (!raw && !hash) return mg_cli_usage_error(&program, "say --raw=OUT or --sha256");
    if (raw && argc > 1) return mg_cli_usage_error(&program, "--raw takes one file");
    mg_dicom_read_options read = {
        .reduce = (int)reduce, .allow_partial = partial, .partial = &was_partial};
    int worst = MG_EXIT_DONE;
    for (int i = 0; i < argc; i++) {
        was_partial = false;
        code = copy_pixels(argv[i], raw, hash, frame, &read);
        if (code == MG_EXIT_DONE && was_partial)
            fprintf(stderr, "%s: warning: the image is incomplete, zeros stand for the rest\n",
                    argv[i]);
        if (code != MG_EXIT_DONE) worst = code;
    }
    return worst;
}
