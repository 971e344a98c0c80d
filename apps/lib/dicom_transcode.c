/* dicom_transcode.c: the same data set with its pixels in another encoding. */
#include <stdlib.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/dicom_commands.h"
#include "apps/lib/dicom_output.h"
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

typedef struct args {
    mg_dicom *d;
    const char *from, *to;
    mg_dicom_encode_options options;
} args;

/* What the decoded values are: decoders undo JPEG 2000's transform and subsampling. */
static void settle_photometric(mg_dicom_image *image) {
    if (strcmp(image->photometric, "YBR_RCT") == 0 || strcmp(image->photometric, "YBR_ICT") == 0)
        strcpy(image->photometric, "RGB");
    else if (strncmp(image->photometric, "YBR_FULL_", 9) == 0)
        strcpy(image->photometric, "YBR_FULL");
}

static void *read_all(mg_dicom *d, const mg_dicom_image *image, mg_dicom_error *err) {
    size_t bytes;
    uint8_t *frames = malloc(image->frame_bytes);
    /* The number of frames is only a claim: whether the last one is there comes before the memory
     * for all. */
    mg_dicom_status last = MG_DICOM_OK;
    if (frames && image->frames > 1)
        last = mg_dicom_read_frame(d, image->frames - 1, NULL, frames, image->frame_bytes, err);
    free(frames);
    if (last != MG_DICOM_OK) return NULL;
    frames = NULL;
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

/* Whether compressed pixel data lies somewhere inside: an icon's. */
static bool has_fragments(const mg_dicom *d, const mg_dicom_element *parent) {
    const mg_dicom_element *e = mg_dicom_first_in(d, parent);
    for (; e; e = mg_dicom_after(d, parent, e)) {
        if (e->undefined && e->tag == 0x7FE00010) return true;
        bool nests = strcmp(e->vr, "SQ") == 0 || e->tag == 0xFFFEE000;
        if (nests && has_fragments(d, e)) return true;
    }
    return false;
}

/* All but the pixels. Icons that are compressed in the old syntax would lie in the new file as what
 * they are not. */
static void copy_elements(const args *a, mg_dicom_dataset *s) {
    const mg_dicom_element *e = mg_dicom_first_in(a->d, NULL);
    for (; e; e = mg_dicom_after(a->d, NULL, e)) {
        if (e->tag >> 16 <= 2 || e->tag >> 16 == 0x7FE0) continue;
        if (strcmp(e->vr, "SQ") == 0 && has_fragments(a->d, e) &&
            strcmp(mg_dicom_transfer_syntax(a->d), a->options.transfer_syntax) != 0) {
            const char *name = mg_dicom_tag_name(e->tag);
            fprintf(stderr,
                    "%s: warning: (%04x,%04x) %s is left out: its image is compressed in the old "
                    "transfer syntax\n",
                    a->from, e->tag >> 16, e->tag & 0xFFFF, name ? name : "");
            continue;
        }
        mg_dicom_put_copy(s, a->d, e, false);
    }
}

/* BitsStored as it should have been, where values exceed it: nothing may be cut off. */
static void widen(const args *a, mg_dicom_image *image, const void *frames) {
    int bits = mg_dicom_bits_needed(image, frames);
    if (bits <= image->bits_stored) return;
    fprintf(stderr, "%s: warning: BitsStored %d becomes %d, which the values need\n", a->from,
            image->bits_stored, bits);
    image->bits_stored = bits;
}

static mg_dicom_status write_dataset(const args *a, mg_dicom_dataset *s, mg_dicom_error *err) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    mg_error failure = {0};
    mg_dicom_status status = mg_dicom_write_memory(s, &bytes, &size, err);
    if (status == MG_DICOM_OK &&
        mg_dicom_output_file(a->to, a->from, bytes, size, &failure) != MG_OK) {
        err->code = status = MG_DICOM_ERR_IO;
        snprintf(err->message, sizeof err->message, "%.*s", (int)sizeof err->message - 1,
                 failure.message);
    }
    free(bytes);
    return status;
}

static mg_dicom_status transcode(args *a, const struct syntax *syntax, mg_dicom_error *err) {
    mg_dicom_image image;
    mg_dicom *d = a->d;
    mg_dicom_encode_options *o = &a->options;
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    o->transfer_syntax = syntax->uid;
    copy_elements(a, s);
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
        status = mg_dicom_move_overlays(d, &image, s, err);
        void *frames = status == MG_DICOM_OK ? read_all(d, &image, err) : NULL;
        if (frames) widen(a, &image, frames);
        status = frames ? mg_dicom_put_image(s, &image, frames, o, err) : err->code;
        free(frames);
        if (syntax->lossy) rename_instance(s, d, o);
    }
    if (status == MG_DICOM_OK) status = write_dataset(a, s, err);
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
    args a = {d, argv[0], argv[1], {.near = (int)near, .ratio = ratio}};
    mg_dicom_status status = transcode(&a, syntax_of(to), &err);
    mg_dicom_command_warn(argv[0], d);
    mg_dicom_close(d);
    if (status == MG_DICOM_OK) return MG_EXIT_DONE;
    fprintf(stderr, "%s: %s\n", argv[0], err.message);
    return MG_EXIT_FAILED;
}
