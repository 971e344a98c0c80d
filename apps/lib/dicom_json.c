/* dicom_json.c: the DICOM JSON model (PS3.18 annex F). */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/dicom_commands.h"

typedef struct printer {
    const mg_dicom *d;
    const char *path;
    uint64_t most_inline;
    FILE *to;
} printer;

static void print_string(const char *text, size_t n, FILE *to) {
    fputc('"', to);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') fprintf(to, "\\%c", c);
        else if (c < 0x20 || c == 0x7F) fprintf(to, "\\u%04x", c);
        else fputc(c, to);
    }
    fputc('"', to);
}

static void print_base64(const uint8_t *p, uint64_t n, FILE *to) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    fputc('"', to);
    for (uint64_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0u);
        fputc(digits[v >> 18], to);
        fputc(digits[v >> 12 & 63], to);
        fputc(i + 1 < n ? digits[v >> 6 & 63] : '=', to);
        fputc(i + 2 < n ? digits[v & 63] : '=', to);
    }
    fputc('"', to);
}

/* A person name as its three component groups. */
static void print_person(const char *name, FILE *to) {
    static const char *const groups[] = {"Alphabetic", "Ideographic", "Phonetic"};
    bool any = false;
    fputc('{', to);
    for (int i = 0; i < 3 && *name; i++) {
        size_t n = strcspn(name, "=");
        if (n) {
            fprintf(to, "%s\"%s\":", any ? "," : "", groups[i]);
            print_string(name, n, to);
            any = true;
        }
        name += n + (name[n] == '=');
    }
    fputc('}', to);
}

/* Whether e has one of the VRs in a list such as "DS IS". */
static bool is_vr(const mg_dicom_element *e, const char *list) {
    const char *found = strstr(list, e->vr);
    return found && (found - list) % 3 == 0;
}

/* A text that is a JSON number as it stands. */
static bool is_json_number(const char *t) {
    if (*t == '-') t++;
    if (*t == '0') t++;
    else if (*t >= '1' && *t <= '9') t += strspn(t, "0123456789");
    else return false;
    if (*t == '.') {
        size_t n = strspn(t + 1, "0123456789");
        if (n == 0) return false;
        t += n + 1;
    }
    if (*t == 'e' || *t == 'E') {
        t++;
        if (*t == '+' || *t == '-') t++;
        size_t n = strspn(t, "0123456789");
        if (n == 0) return false;
        t += n;
    }
    return *t == 0;
}

/* "+1", ".5", "1,5": legal DS or common, but not JSON. */
static bool is_other_number(const char *text, double *out) {
    char copy[65], *end;
    size_t n = strlen(text);
    if (n == 0 || n >= sizeof copy || strspn(text, "0123456789+-.,eE") != n) return false;
    memcpy(copy, text, n + 1);
    for (char *c = copy; *c; c++)
        if (*c == ',') *c = '.';
    *out = strtod(copy, &end); /* programs here run in the C locale */
    return *end == 0 && isfinite(*out);
}

static void print_value(const printer *p, const mg_dicom_element *e, const char *text) {
    double v;
    if (text[0] == 0 && !is_vr(e, "ST LT UT")) {
        fputs("null", p->to);
    } else if (is_vr(e, "PN")) {
        print_person(text, p->to);
    } else if (is_vr(e, "AT")) { /* "(gggg,eeee)" without the punctuation */
        fprintf(p->to, "\"%.4s%.4s\"", text + 1, text + 6);
    } else if (is_vr(e, "DS IS US SS UL SL UV SV FL FD") && is_json_number(text)) {
        fputs(text, p->to);
    } else if (is_vr(e, "DS IS") && is_other_number(text, &v)) {
        fprintf(p->to, "%.17g", v);
    } else {
        print_string(text, strlen(text), p->to);
    }
}

static void print_values(const printer *p, const mg_dicom_element *e) {
    fputs(",\"Value\":[", p->to);
    char *all = mg_dicom_command_values(p->d, e), *rest = all, number[64];
    for (int i = 0;; i++) {
        const char *text = number;
        if (all) text = mg_dicom_command_next_value(e, &rest);
        else if (mg_dicom_element_text(p->d, e, i, number, sizeof number) < 0) text = NULL;
        if (!text) break;
        if (i) fputc(',', p->to);
        print_value(p, e, text);
    }
    free(all);
    fputc(']', p->to);
}

static void print_bulk(const printer *p, const mg_dicom_element *e) {
    bool bytes = e->vr[0] == 'O' || is_vr(e, "UN");
    /* Bytes of a deflated data set are nowhere in the file as they are. */
    bool deflated = strcmp(mg_dicom_transfer_syntax(p->d), "1.2.840.10008.1.2.1.99") == 0;
    if (bytes && (deflated || e->length <= p->most_inline) && !e->undefined && !e->big_endian) {
        fputs(",\"InlineBinary\":", p->to);
        print_base64(e->value, e->length, p->to);
        return;
    }
    if (deflated) return;
    fputs(",\"BulkDataURI\":\"file:", p->to);
    for (const unsigned char *c = (const unsigned char *)p->path; *c; c++)
        if (isalnum(*c) || strchr("/._~-", *c)) fputc(*c, p->to);
        else fprintf(p->to, "%%%02X", *c);
    fprintf(p->to, "?offset=%" PRIu64 "&length=%" PRIu64 "\"", e->offset + (e->implicit ? 8 : 12),
            e->length);
}

static void print_members(const printer *p, const mg_dicom_element *item);

static void print_sequence(const printer *p, const mg_dicom_element *e) {
    fputs(",\"Value\":[", p->to);
    const mg_dicom_element *item = mg_dicom_first_in(p->d, e);
    for (bool first = true; item; item = mg_dicom_after(p->d, e, item), first = false) {
        if (!first) fputc(',', p->to);
        print_members(p, item);
    }
    fputc(']', p->to);
}

/* The content of an item, or of the data set for NULL. Recursion is limited by the parser. */
static void print_members(const printer *p, const mg_dicom_element *item) {
    bool any = false;
    fputs(item ? "{" : "{\n", p->to);
    const mg_dicom_element *e = mg_dicom_first_in(p->d, item);
    for (; e; e = mg_dicom_after(p->d, item, e)) {
        if (e->tag >> 16 == 2 || (e->tag & 0xFFFF) == 0) continue; /* PS3.18 F.2.2 */
        if (any) fputs(item ? "," : ",\n", p->to);
        any = true;
        fprintf(p->to, "\"%08X\":{\"vr\":\"%s\"", e->tag, e->vr);
        if (is_vr(e, "SQ")) {
            if (e->length) print_sequence(p, e);
        } else if (e->length == 0) {
            /* only the VR */
        } else if (e->undefined || e->vr[0] == 'O' || is_vr(e, "UN")) {
            print_bulk(p, e);
        } else {
            print_values(p, e);
        }
        fputc('}', p->to);
    }
    fputs(item ? "}" : "\n}\n", p->to);
}

void mg_dicom_print_json(const mg_dicom *d, const char *path, uint64_t most_inline, FILE *to) {
    printer p = {d, path, most_inline, to};
    print_members(&p, NULL);
}
