/* dicom_check.c: reads files completely and says what is wrong with them. */
#include <stdlib.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/dicom_commands.h"
#include "data/files.h"

typedef struct totals {
    uint64_t good, with_warnings, bad, skipped;
    bool quiet, header_only;
} totals;

/* What must be there in every composite object. */
static const char *missing_attribute(const mg_dicom *d) {
    static const uint32_t needed[] = {0x00080016, 0x00080018, 0x0020000D, 0x0020000E};
    char text[100];
    if (mg_dicom_find(d, 0x00041220)) return NULL; /* a DICOMDIR has none of them */
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!mg_dicom_text(d, needed[i], text, sizeof text) || !text[0])
            return mg_dicom_keyword(needed[i]);
    return NULL;
}

/* Decodes every frame; the first failure stops. */
static mg_dicom_status read_frames(mg_dicom *d, const mg_dicom_image *image, mg_dicom_error *err) {
    void *frame = malloc(image->frame_bytes);
    if (!frame) {
        err->code = MG_DICOM_ERR_MEMORY;
        snprintf(err->message, sizeof err->message, "no memory for a frame of %zu bytes",
                 image->frame_bytes);
        return err->code;
    }
    mg_dicom_status status = MG_DICOM_OK;
    for (uint32_t f = 0; f < image->frames && status == MG_DICOM_OK; f++)
        status = mg_dicom_read_frame(d, f, NULL, frame, image->frame_bytes, err);
    free(frame);
    return status;
}

static void check_file(const char *path, bool named, totals *t) {
    mg_dicom_error err = {0};
    mg_dicom_image image;
    char what[64] = "no image";
    mg_dicom *d = mg_dicom_open(path, NULL, &err);
    if (!d && err.code == MG_DICOM_ERR_NOT_DICOM && !named) {
        t->skipped++;
        if (!t->quiet) printf("skipped  %s: not DICOM\n", path);
        return;
    }
    if (d) {
        mg_dicom_status status = mg_dicom_image_info(d, &image, &err);
        if (status == MG_DICOM_OK) {
            snprintf(what, sizeof what, "%u x %u x %u", image.columns, image.rows, image.frames);
            if (!t->header_only) read_frames(d, &image, &err);
        } else if (status == MG_DICOM_ERR_NO_PIXELS && !mg_dicom_truncated(d)) {
            err.code = MG_DICOM_OK;
        }
    }
    if (err.code != MG_DICOM_OK) {
        t->bad++;
        printf("BAD      %s: %s: %s\n", path, mg_dicom_status_name(err.code), err.message);
    } else {
        const char *missing = missing_attribute(d);
        int warnings = mg_dicom_warnings(d) + (missing != NULL);
        bool cut = mg_dicom_truncated(d);
        if (cut) t->bad++;
        else if (warnings) t->with_warnings++;
        else t->good++;
        if (cut) printf("BAD      %s: the data set is incomplete (%s)\n", path, what);
        else if (!t->quiet) printf("%s  %s: %s\n", warnings ? "warning" : "ok     ", path, what);
        if (missing && (cut || !t->quiet)) printf("         %s is missing or empty\n", missing);
    }
    for (int i = 0; d && i < mg_dicom_warnings(d); i++)
        if (!t->quiet || err.code) printf("         %s\n", mg_dicom_warning(d, i));
    mg_dicom_close(d);
}

int mg_dicom_command_check(int argc, char **argv) {
    totals t = {0};
    const mg_cli_option options[] = {
        {"quiet", 'q', MG_CLI_FLAG, &t.quiet, NULL, NULL, "only what is bad", 0, 0},
        {"header-only", 0, MG_CLI_FLAG, &t.header_only, NULL, NULL, "do not decode pixels", 0, 0},
    };
    const mg_cli_program program = {
        .name = "dicom check",
        .summary = "Read DICOM files completely and say what is wrong",
        .usage = "[OPTION]... FILE|DIR...",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .description = "Folders are searched through; what is not DICOM in them is skipped.\n"
                       "The exit code is 1 when any file is bad.",
        .least_arguments = 1,
        .most_arguments = -1};
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    for (int i = 0; i < argc; i++) {
        mg_path_list list = {0};
        mg_error err = {0};
        bool folder = mg_is_folder(argv[i]);
        if (!folder) {
            check_file(argv[i], true, &t);
        } else if (mg_list_files(argv[i], &list, &err) != MG_OK) {
            printf("BAD      %s: %s\n", argv[i], err.message);
            t.bad++;
        }
        for (size_t k = 0; k < list.count; k++) check_file(list.path[k], false, &t);
        mg_path_list_free(&list);
        fflush(stdout);
    }
    printf("%llu good, %llu with warnings, %llu bad, %llu skipped\n", (unsigned long long)t.good,
           (unsigned long long)t.with_warnings, (unsigned long long)t.bad,
           (unsigned long long)t.skipped);
    return t.bad ? MG_EXIT_FAILED : MG_EXIT_DONE;
}
