/* dicom_check.c: reads files completely and says what is wrong with them. */
#include <stdarg.h>
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

/* What the parser reads over without a word, since values are none of its business. */
typedef struct remarks {
    int count;
    char text[6][160];
} remarks;

static void remark(remarks *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void remark(remarks *r, const char *format, ...) {
    if (r->count == 6) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->text[r->count++], sizeof r->text[0], format, arguments);
    va_end(arguments);
}

static bool is_charset(const char *term) {
    static const char *const terms[] = {
        "",           "ISO_IR 6",   "ISO_IR 13",  "ISO_IR 100", "ISO_IR 101", "ISO_IR 109",
        "ISO_IR 110", "ISO_IR 126", "ISO_IR 127", "ISO_IR 138", "ISO_IR 144", "ISO_IR 148",
        "ISO_IR 149", "ISO_IR 166", "ISO_IR 192", "ISO_IR 203", "GB18030",    "GBK"};
    char plain[40];
    if (strncmp(term, "ISO 2022 IR ", 12) == 0) {
        if (!strcmp(term + 12, "58") || !strcmp(term + 12, "87") || !strcmp(term + 12, "159"))
            return true;
        snprintf(plain, sizeof plain, "ISO_IR %.20s", term + 12);
        term = plain;
    }
    for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++)
        if (strcmp(terms[i], term) == 0) return true;
    return false;
}

static bool beyond_ascii(const mg_dicom_element *e) {
    for (uint64_t i = 0; i < e->length; i++)
        if (e->value[i] >= 0x80 || e->value[i] == 0x1B) return true;
    return false;
}

/* PS3.3 C.12.1.1.2: text beyond ASCII needs a declared set, and the set has to be one. */
static void check_charset(const mg_dicom *d, remarks *r) {
    const mg_dicom_element *declared = mg_dicom_find(d, 0x00080005);
    char term[64];
    for (int i = 0; i < mg_dicom_count(d, declared); i++)
        if (mg_dicom_element_text(d, declared, i, term, sizeof term) >= 0 && !is_charset(term)) {
            for (char *c = term; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7F) *c = '.';
            remark(r, "Specific Character Set '%s' is none that is defined", term);
            break;
        }
    mg_dicom_iterator it = {0};
    for (const mg_dicom_element *e; (e = mg_dicom_next(d, &it));) {
        if (!strstr("LO LT PN SH ST UC UT", e->vr) || !beyond_ascii(e)) continue;
        char *text = mg_dicom_command_values(d, e);
        const char *what = NULL;
        if (!e->charset && !(declared && declared->length))
            what = "has text beyond ASCII, but no character set is declared";
        else if (text && strstr(text, "\xEF\xBF\xBD"))
            what = "has bytes that its Specific Character Set gives no meaning";
        free(text);
        if (!what) continue;
        remark(r, "(%04x,%04x) %s", e->tag >> 16, e->tag & 0xFFFF, what);
        return;
    }
}

static void collect_remarks(const mg_dicom *d, remarks *r) {
    const char *missing = missing_attribute(d);
    char meta[100], uid[100];
    if (missing) remark(r, "%s is missing or empty", missing);
    const mg_dicom_element *syntax = mg_dicom_find(d, 0x00020010);
    bool has_meta = mg_dicom_find(d, 0x00020000) || mg_dicom_find(d, 0x00020002);
    if (syntax ? syntax->length == 0 || mg_dicom_element_text(d, syntax, 0, NULL, 0) <= 0
               : has_meta)
        remark(r, "Transfer Syntax UID is missing or empty, the data set was taken as %s",
               mg_dicom_transfer_syntax(d));
    if (mg_dicom_text(d, 0x00020003, meta, sizeof meta) && meta[0] &&
        mg_dicom_text(d, 0x00080018, uid, sizeof uid) && uid[0] && strcmp(meta, uid) != 0)
        remark(r, "Media Storage SOP Instance UID and SOP Instance UID differ");
    check_charset(d, r);
}

/* Decodes every frame, grey ones as they would be shown; the first failure stops. */
static mg_dicom_status read_frames(mg_dicom *d, const mg_dicom_image *image, mg_dicom_error *err) {
    bool grey = image->samples == 1 && strncmp(image->photometric, "MONOCHROME", 10) == 0;
    size_t pixels = (size_t)image->rows * image->columns;
    size_t bytes = grey ? pixels * sizeof(float) : image->frame_bytes;
    void *frame = malloc(bytes);
    if (!frame) {
        err->code = MG_DICOM_ERR_MEMORY;
        snprintf(err->message, sizeof err->message, "no memory for a frame of %zu bytes", bytes);
        return err->code;
    }
    mg_dicom_status status = MG_DICOM_OK;
    for (uint32_t f = 0; f < image->frames && status == MG_DICOM_OK; f++)
        status = grey ? mg_dicom_read_grey(d, f, NULL, frame, err)
                      : mg_dicom_read_frame(d, f, NULL, frame, image->frame_bytes, err);
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
        remarks r = {0};
        collect_remarks(d, &r);
        int warnings = mg_dicom_warnings(d) + r.count;
        bool cut = mg_dicom_truncated(d);
        if (cut) t->bad++;
        else if (warnings) t->with_warnings++;
        else t->good++;
        if (cut) printf("BAD      %s: the data set is incomplete (%s)\n", path, what);
        else if (!t->quiet) printf("%s  %s: %s\n", warnings ? "warning" : "ok     ", path, what);
        for (int i = 0; i < r.count && (cut || !t->quiet); i++) printf("         %s\n", r.text[i]);
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
