/* The writing half of csv.h. Write errors stay in the stream and surface at commit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv.h"

mg_status mg_csv_open(mg_csv_writer *w, const char *path, mg_error *err) {
    w->cells = 0;
    return mg_file_writer_open(&w->file, path, err);
}

void mg_csv_put_text(mg_csv_writer *w, const char *text) {
    FILE *f = w->file.stream;
    if (w->cells++) fputc(',', f);
    if (!text) return;
    size_t n = strlen(text);
    bool blank =
        n && (text[0] == ' ' || text[0] == '\t' || text[n - 1] == ' ' || text[n - 1] == '\t');
    if (!blank && !strpbrk(text, ",\"\r\n")) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (const char *c = text; *c; c++) {
        if (*c == '"') fputc('"', f);
        fputc(*c, f);
    }
    fputc('"', f);
}

void mg_csv_put_int(mg_csv_writer *w, long long value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", value);
    mg_csv_put_text(w, text);
}

void mg_csv_put_float(mg_csv_writer *w, float value) {
    char text[40] = "";
    for (int digits = 1; digits <= 9 && !isnan(value); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    mg_csv_put_text(w, text);
}

void mg_csv_put_number(mg_csv_writer *w, double value) {
    char text[40] = "";
    for (int digits = 1; digits <= 17 && !isnan(value); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    mg_csv_put_text(w, text);
}

void mg_csv_end_row(mg_csv_writer *w) {
    /* A line with one empty cell would read back as a blank line. */
    fputs(w->cells == 0 ? "\"\"\n" : "\n", w->file.stream);
    w->cells = 0;
}

mg_status mg_csv_close(mg_csv_writer *w, mg_error *err) {
    return mg_file_writer_commit(&w->file, err);
}

void mg_csv_abandon(mg_csv_writer *w) { mg_file_writer_abandon(&w->file); }
