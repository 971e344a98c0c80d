/* dicom_print.c: a file's elements as text, and a summary for people. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/dicom_commands.h"

/* --- dump ------------------------------------------------------------------------------------- */

static bool is_binary(const mg_dicom_element *e) {
    return e->vr[0] == 'O' || memcmp(e->vr, "UN", 2) == 0;
}

/* Puts control characters out of the way, so that one element stays one line. */
static void print_clean(const char *text, FILE *to) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool latin = *p == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0; /* those above 0x7F */
        fputc(latin || *p < 0x20 || *p == 0x7F ? '.' : *p, to);
        p += latin;
    }
}

static void print_bytes(const mg_dicom_element *e, bool whole, FILE *to) {
    uint64_t shown = whole || e->length <= 16 ? e->length : 16;
    for (uint64_t i = 0; i < shown; i++) fprintf(to, i ? "\\%02x" : "%02x", e->value[i]);
    if (shown < e->length) fprintf(to, "...");
}

static void print_values(const mg_dicom *d, const mg_dicom_element *e, bool whole, FILE *to) {
    size_t shown = 0, room = whole ? SIZE_MAX : 64;
    char *all = mg_dicom_command_values(d, e), *rest = all, number[64];
    if (all) fputc('[', to);
    for (int i = 0; shown < room; i++) {
        char *value = number;
        if (all) value = mg_dicom_command_next_value(e, &rest);
        else if (mg_dicom_element_text(d, e, i, number, sizeof number) < 0) value = NULL;
        if (!value) break;
        if (i) fputc('\\', to);
        size_t length = strlen(value);
        if (length > room - shown) {
            size_t cut = room - shown; /* not inside a character */
            while (cut > 0 && ((unsigned char)value[cut] & 0xC0) == 0x80) cut--;
            value[cut] = 0;
            print_clean(value, to);
            fputs("...", to);
        } else {
            print_clean(value, to);
        }
        shown += length + 1;
    }
    if (all) fputc(']', to);
    free(all);
}

static void print_element(const mg_dicom *d, const mg_dicom_element *e, bool whole, FILE *to) {
    const char *name = mg_dicom_tag_name(e->tag);
    bool item = e->tag == 0xFFFEE000;
    fprintf(to, "%*s(%04x,%04x) %s ", 2 * e->depth, "", e->tag >> 16, e->tag & 0xFFFF, e->vr);
    if (memcmp(e->vr, "SQ", 2) == 0)
        fprintf(to, "(sequence of %d, %s)", mg_dicom_count(d, e),
                e->undefined ? "undefined length" : "defined length");
    else if (item) fprintf(to, "(item%s)", e->undefined ? ", undefined length" : "");
    else if (e->length == 0) fprintf(to, "(no value)");
    else if (e->undefined) fprintf(to, "(%u fragments)", mg_dicom_fragment_count(d));
    else if (is_binary(e)) print_bytes(e, whole, to);
    else print_values(d, e, whole, to);
    fprintf(to, " # %" PRIu64 ", %s\n", e->length, item ? "Item" : name ? name : "?");
}

void mg_dicom_print_dump(const mg_dicom *d, bool whole_values, FILE *to) {
    const char *syntax = mg_dicom_transfer_syntax(d), *name = mg_dicom_uid_name(syntax);
    fprintf(to, "# transfer syntax %s (%s)\n", syntax, name ? name : "unknown");
    mg_dicom_iterator it = {0};
    for (const mg_dicom_element *e; (e = mg_dicom_next(d, &it));) {
        print_element(d, e, whole_values, to);
        if (!e->undefined || e->depth || e->tag >> 16 != 0x7FE0) continue;
        for (uint32_t i = 0; i < mg_dicom_fragment_count(d); i++) {
            uint64_t offset, length;
            mg_dicom_fragment_bytes(d, i, &offset, &length);
            fprintf(to, "  (fffe,e000) -- (fragment %u at byte %" PRIu64 ") # %" PRIu64 ", Item\n",
                    i + 1, offset, length);
        }
    }
    if (mg_dicom_truncated(d)) fprintf(to, "# the data set is incomplete\n");
}

/* --- info ------------------------------------------------------------------------------------- */

static bool text_of(const mg_dicom *d, uint32_t tag, char out[200]) {
    return mg_dicom_text(d, tag, out, 200) && out[0];
}

static void print_text(const mg_dicom *d, const char *label, const uint32_t *tags, FILE *to) {
    char text[200];
    bool any = false;
    for (; *tags; tags++) {
        if (!text_of(d, *tags, text)) continue;
        if (any) fprintf(to, ", ");
        else fprintf(to, "  %-18s", label);
        print_clean(text, to);
        any = true;
    }
    if (any) fputc('\n', to);
}

static void print_uid(const mg_dicom *d, const char *label, uint32_t tag, FILE *to) {
    char uid[200];
    if (!text_of(d, tag, uid)) return;
    const char *name = mg_dicom_uid_name(uid);
    fprintf(to, "  %-18s%s%s%s%s\n", label, name ? name : uid, name ? " (" : "", name ? uid : "",
            name ? ")" : "");
}

static void print_windows(const mg_dicom *d, FILE *to) {
    static const char *const functions[] = {"LINEAR", "LINEAR_EXACT", "SIGMOID"};
    mg_dicom_window w;
    for (int i = 0; mg_dicom_window_of(d, 0, i, &w); i++) {
        fprintf(to, "  %-18scentre %g, width %g, %s%s", i ? "" : "window", w.center, w.width,
                functions[w.function], w.explanation[0] ? ": " : "");
        print_clean(w.explanation, to);
        fputc('\n', to);
    }
    char explanation[64];
    for (int i = 0; mg_dicom_voi_lut_of(d, 0, i, explanation); i++) {
        fprintf(to, "  %-18sVOI LUT %d%s", i ? "" : "lookup table", i + 1,
                explanation[0] ? ": " : "");
        print_clean(explanation, to);
        fputc('\n', to);
    }
}

static void print_image(const mg_dicom *d, FILE *to) {
    mg_dicom_error err = {0};
    mg_dicom_image i;
    if (mg_dicom_image_info(d, &i, &err) != MG_DICOM_OK) {
        fprintf(to, "  %-18s%s\n", "image",
                err.code == MG_DICOM_ERR_NO_PIXELS ? "none" : err.message);
        return;
    }
    fprintf(to, "  %-18s%u columns x %u rows", "image", i.columns, i.rows);
    if (i.frames > 1) fprintf(to, " x %u frames", i.frames);
    fprintf(to, ", %s, %d of %d bits, %s\n", i.photometric, i.bits_stored, i.bits_allocated,
            i.is_signed ? "signed" : "unsigned");
    uint64_t bytes = (uint64_t)i.frame_bytes * i.frames, stored = 0;
    for (uint32_t k = 0; k < mg_dicom_fragment_count(d); k++) {
        uint64_t length;
        mg_dicom_fragment_bytes(d, k, NULL, &length);
        stored += length;
    }
    if (mg_dicom_is_encapsulated(d))
        fprintf(to, "  %-18s%.2f MB in %u fragments, %.2f : 1\n", "pixel data",
                (double)stored / 1e6, mg_dicom_fragment_count(d),
                (double)bytes / (double)(stored ? stored : 1));
    else fprintf(to, "  %-18s%.2f MB, native\n", "pixel data", (double)bytes / 1e6);
    print_windows(d, to);
}

/* Several values of an element on one line. */
static void print_pair(const mg_dicom *d, const char *label, uint32_t tag, const char *unit,
                       FILE *to) {
    const mg_dicom_element *e = mg_dicom_find(d, tag);
    char *all = e ? mg_dicom_command_values(d, e) : NULL, *rest = all, *value;
    if (all && all[0]) {
        fprintf(to, "  %-18s", label);
        for (int i = 0; i < 8 && (value = mg_dicom_command_next_value(e, &rest)); i++) {
            if (i) fputs(" x ", to);
            print_clean(value, to);
        }
        fprintf(to, " %s\n", unit);
    }
    free(all);
}

/* Which breast, from where: also the words of the view's code, and where tomosynthesis keeps the
 * side. */
static void print_breast(const mg_dicom *d, FILE *to) {
    static const uint32_t per_frame[] = {0x52009230, 0, 0x00209071, 0, 0x00209072};
    static const uint32_t shared[] = {0x52009229, 0, 0x00209071, 0, 0x00209072};
    static const uint32_t view[] = {0x00540220, 0, 0x00080104};
    const mg_dicom_element *side = mg_dicom_find_path(d, per_frame, 5);
    const mg_dicom_element *parts[] = {
        mg_dicom_find(d, 0x00200062), side ? side : mg_dicom_find_path(d, shared, 5),
        mg_dicom_find(d, 0x00185101), mg_dicom_find_path(d, view, 3)};
    bool any = false;
    for (int i = 0; i < 4; i++) {
        char text[200];
        if (mg_dicom_element_text(d, parts[i], 0, text, sizeof text) <= 0) continue;
        if (any) fputs(", ", to);
        else fprintf(to, "  %-18s", "breast");
        print_clean(text, to);
        any = true;
    }
    if (any) fputc('\n', to);
}

void mg_dicom_print_info(const mg_dicom *d, const char *path, FILE *to) {
    const char *syntax = mg_dicom_transfer_syntax(d), *name = mg_dicom_uid_name(syntax);
    fprintf(to, "%s\n  %-18s%s (%s)\n", path, "transfer syntax", name ? name : "unknown", syntax);
    print_uid(d, "class", 0x00080016, to);
    print_text(d, "patient", (const uint32_t[]){0x00100020, 0x00100010, 0x00100040, 0x00101010, 0},
               to);
    print_text(d, "study", (const uint32_t[]){0x00080020, 0x00081030, 0}, to);
    print_text(d, "series", (const uint32_t[]){0x00080060, 0x0008103E, 0}, to);
    print_text(d, "device", (const uint32_t[]){0x00080070, 0x00081090, 0}, to);
    print_breast(d, to);
    print_text(d, "implant", (const uint32_t[]){0x00281300, 0}, to);
    print_text(d, "intent", (const uint32_t[]){0x00080068, 0}, to);
    print_pair(d, "imager spacing", 0x00181164, "mm", to);
    print_pair(d, "pixel spacing", 0x00280030, "mm", to);
    print_image(d, to);
    if (mg_dicom_truncated(d)) fprintf(to, "  %-18sthe data set is incomplete\n", "");
    for (int i = 0; i < mg_dicom_warnings(d); i++)
        fprintf(to, "  %-18s%s\n", i ? "" : "warnings", mg_dicom_warning(d, i));
}
