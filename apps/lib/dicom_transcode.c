/* dicom_transcode.c: the same data set with its pixels in another encoding. */
#include <stdlib.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/dicom_commands.h"
#include "dicom/writer.h"

static const struct syntax {
    const char *name, *uid;
    bool lossy;
} syntaxes[] = {{"explicit", "1.2.840.10008.1.2.1", false},
                {"implicit", "1.2.840.10008.1.2", false},
                {"deflated", "1.2.840.10008.1.2.1.99", false},
                {"jpeg-lossless", "1.2.840.10008.1.2.4.70", false},
                {"jpeg-ls", "1.2.840.10008.1.2.4.80", false},
                {"jpeg-ls-near", "1.2.840.10008.1.2.4.81", true},
                {"j2k", "1.2.840.10008.1.2.4.90", false},
                {"j2k-lossy", "1.2.840.10008.1.2.4.91", true},
                {"rle", "1.2.840.10008.1.2.5", false}};

static const struct syntax *syntax_of(const char *name) {
    for (size_t i = 0; i < sizeof syntaxes / sizeof syntaxes[0]; i++)
        if (strcmp(syntaxes[i].name, name) == 0) return &syntaxes[i];
    return NULL;
}

/* What the decoded values are: decoders undo JPEG 2000's transform and subsampling. */
static void settle_photometric(mg_dicom_image *image) {
    if (strcmp(image->photometric, "YBR_RCT") == 0 || strcmp(image->photometric, "YBR_ICT") == 0)
        strcpy(image->photometric, "RGB");
    else if (strncmp(image->photometric, "YBR_FULL_", 9) == 0)
        strcpy(image->photometric, "YBR_FULL");
}

static void *read_all(mg_dicom *d, const mg_dicom_image *image, mg_dicom_error *err) {
    size_t bytes;
    uint8_t *frames = NULL;
    if (!__builtin_mul_overflow(image->frame_bytes, (size_t)image->frames, &bytes))
        frames = malloc(bytes);
    if (!frames) {
        err->code = MG_DICOM_ERR_MEMORY;
        snprintf(err->message, sizeof err->message, "no memory for %u frames of %zu bytes",
                 image->frames, image->frame_bytes);
        return NULL;
    }
    for (uint32_t f = 0; f < image->frames; f++) {
        if (mg_dicom_read_frame(d, f, NULL, frames + f * image->frame_bytes, image->frame_bytes,
                                err) == MG_DICOM_OK)
            continue;
        free(frames);
        return NULL;
    }
    return frames;
}

/* Lossy coding makes another image: it needs another name (PS3.3 C.7.6.1.1.5). */
static void rename_instance(mg_dicom_dataset *s, const mg_dicom *d,
                            const mg_dicom_encode_options *o) {
    char old[100] = "", seed[200], uid[65];
    mg_dicom_text(d, 0x00080018, old, sizeof old);
    snprintf(seed, sizeof seed, "%s %s %d %g", old, o->transfer_syntax, o->near, o->ratio);
    mg_dicom_uid_from(seed, uid);
    mg_dicom_put_text(s, 0x00080018, uid);
}

static mg_dicom_status transcode(mg_dicom *d, const char *to, const struct syntax *syntax,
                                 mg_dicom_encode_options *o, mg_dicom_error *err) {
    mg_dicom_image image;
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    o->transfer_syntax = syntax->uid;
    const mg_dicom_element *e = mg_dicom_first_in(d, NULL);
    for (; e; e = mg_dicom_after(d, NULL, e))
        if (e->tag >> 16 > 2 && e->tag >> 16 != 0x7FE0) mg_dicom_put_copy(s, d, e, false);
    mg_dicom_status status = mg_dicom_image_info(d, &image, err);
    if (status == MG_DICOM_ERR_NO_PIXELS && !mg_dicom_truncated(d)) {
        *err =
            (mg_dicom_error){0}; /* nothing to encode: only the data set's own encoding changes */
        mg_dicom_set_transfer_syntax(s, strncmp(syntax->uid, "1.2.840.10008.1.2.4", 19) == 0 ||
                                                strcmp(syntax->name, "rle") == 0
                                            ? "1.2.840.10008.1.2.1"
                                            : syntax->uid);
        status = MG_DICOM_OK;
    } else if (status == MG_DICOM_OK) {
        settle_photometric(&image);
        void *frames = read_all(d, &image, err);
        status = frames ? mg_dicom_put_image(s, &image, frames, o, err) : err->code;
        free(frames);
        if (syntax->lossy) rename_instance(s, d, o);
    }
    if (status == MG_DICOM_OK) status = mg_dicom_write_file(s, to, err);
    mg_dicom_dataset_destroy(s);
    return status;
}

int mg_dicom_command_transcode(int argc, char **argv) {
    const char *to = "explicit";
    int64_t near = 2;
    double ratio = 10;
    const mg_cli_option options[] = {
        {"to", 't', MG_CLI_CHOICE, &to,
         "explicit|implicit|deflated|jpeg-lossless|jpeg-ls|jpeg-ls-near|j2k|j2k-lossy|rle",
         "explicit", "transfer syntax to write", 0, 0},
        {"near", 0, MG_CLI_INT, &near, "N", "2", "jpeg-ls-near: largest error of a sample", 1, 255},
        {"ratio", 0, MG_CLI_FLOAT, &ratio, "X", "10", "j2k-lossy: compression to aim at", 1, 10000},
    };
    const mg_cli_program program = {
        .name = "dicom transcode",
        .summary = "Write a DICOM file with another transfer syntax",
        .usage = "[OPTION]... FILE OUT",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .description = "The data set stays as it is, apart from the description of its pixels. "
                       "Lossy coding gives\nthe copy a SOP Instance UID of its own.",
        .least_arguments = 2,
        .most_arguments = 2};
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    mg_dicom *d = mg_dicom_command_open(argv[0], NULL);
    if (!d) return MG_EXIT_FAILED;
    mg_dicom_error err = {0};
    mg_dicom_encode_options o = {.near = (int)near, .ratio = ratio};
    mg_dicom_status status = transcode(d, argv[1], syntax_of(to), &o, &err);
    mg_dicom_command_warn(argv[0], d);
    mg_dicom_close(d);
    if (status == MG_DICOM_OK) return MG_EXIT_DONE;
    fprintf(stderr, "%s: %s\n", argv[0], err.message);
    return MG_EXIT_FAILED;
}
