/* The writing half of csv.h. Write errors stay in the file and surface at commit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv.h"

mg_status mg_csv_open(mg_csv_writer *w, const char *path, mg_error *err) {
    w->cells = 0;
    w->file = mg_atomic_open(path, err);
    return w->file ? MG_OK : err ? err->code : MG_ERR_IO;
}

static void put(mg_csv_writer *w, const char *text, size_t n) { mg_atomic_write(w->file, text, n); }

void mg_csv_put_text(mg_csv_writer *w, const char *text) {
    if (w->cells++) put(w, ",", 1);
    if (!text) return;
    size_t n = strlen(text);
    bool blank =
        n && (text[0] == ' ' || text[0] == '\t' || text[n - 1] == ' ' || text[n - 1] == '\t');
    if (!blank && !strpbrk(text, ",\"\r\n")) {
        put(w, text, n);
        return;
    }
    put(w, "\"", 1);
    for (const char *quote; (quote = strchr(text, '"')); text = quote + 1) {
        put(w, text, (size_t)(quote - text));
        put(w, "\"\"", 2);
    }
    put(w, text, strlen(text));
    put(w, "\"", 1);
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
    if (w->cells == 0) put(w, "\"\"", 2);
    put(w, "\n", 1);
    w->cells = 0;
}

mg_status mg_csv_close(mg_csv_writer *w, mg_error *err) {
    mg_atomic_file *file = w->file;
    w->file = NULL;
    return mg_atomic_commit(file, err);
}

void mg_csv_abandon(mg_csv_writer *w) {
    mg_atomic_abandon(w->file);
    w->file = NULL;
}
