#include "data/csv.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Growing lists of cells and of line numbers while the number of rows is unknown. */
typedef struct reader {
    mg_csv *csv;
    char *at, *end;
    uint32_t line_number;
    const char **cell;
    size_t cells, cell_capacity;
    uint32_t *line;
    size_t line_capacity;
    mg_error *err;
} reader;

static mg_status out_of_memory(reader *r) {
    return mg_fail(r->err, MG_ERR_MEMORY, "%s line %u: out of memory", r->csv->name,
                   r->line_number);
}

static mg_status add_cell(reader *r, const char *text) {
    if (r->cells == r->cell_capacity) {
        size_t capacity = r->cell_capacity ? 2 * r->cell_capacity : 256;
        const char **more = realloc(r->cell, capacity * sizeof *more);
        if (!more) return out_of_memory(r);
        r->cell = more;
        r->cell_capacity = capacity;
    }
    r->cell[r->cells++] = text;
    return MG_OK;
}

static bool at_line_end(const reader *r) {
    return r->at == r->end || *r->at == '\n' || *r->at == '\r';
}

/* Steps over one line end: LF, CRLF or CR. The byte itself may become a cell's NUL. */
static void skip_line_end(reader *r) {
    if (r->at < r->end && *r->at == '\r') r->at++, *(r->at - 1) = '\0';
    else if (r->at < r->end && *r->at == '\n') {
        *r->at++ = '\0';
        r->line_number++;
        return;
    } else return;
    if (r->at < r->end && *r->at == '\n') r->at++;
    r->line_number++;
}

/* A quoted cell is unquoted in place: what it becomes is never longer than what it was. */
static mg_status quoted_cell(reader *r, const char **out) {
    uint32_t began = r->line_number;
    char *to = ++r->at;
    *out = to;
    for (;;) {
        if (r->at == r->end)
            return mg_fail(r->err, MG_ERR_FORMAT,
                           "%s line %u: a quoted cell begins here and never ends", r->csv->name,
                           began);
        char c = *r->at++;
        if (c == '"') {
            if (r->at == r->end || *r->at != '"') break;
            r->at++;
        }
        if (c == '\n') r->line_number++;
        *to++ = c;
    }
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t')) r->at++;
    if (!at_line_end(r) && *r->at != ',')
        return mg_fail(r->err, MG_ERR_FORMAT,
                       "%s line %u: text follows a closing quote; write \"\" for a quote inside",
                       r->csv->name, r->line_number);
    *to = '\0'; /* at the latest on the closing quote */
    return MG_OK;
}

static void plain_cell(reader *r, const char **out) {
    char *begin = r->at;
    while (!at_line_end(r) && *r->at != ',') r->at++;
    char *stop = r->at;
    while (stop > begin && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
    *out = begin;
    /* When nothing was trimmed this NUL replaces the comma or line end, whose kind the caller reads
     * first; so it is set by the caller there. */
    if (stop < r->at) *stop = '\0';
}

/* Reads one line into cells; *count is their number, 0 for a blank line. */
static mg_status read_row(reader *r, size_t *count) {
    *count = 0;
    if (at_line_end(r)) {
        skip_line_end(r);
        return MG_OK;
    }
    for (;;) {
        const char *text;
        while (r->at < r->end && (*r->at == ' ' || *r->at == '\t')) r->at++;
        mg_status status = MG_OK;
        if (r->at < r->end && *r->at == '"') status = quoted_cell(r, &text);
        else plain_cell(r, &text);
        if (!status) status = add_cell(r, text);
        if (status) return status;
        ++*count;
        if (r->at < r->end && *r->at == ',') {
            *r->at++ = '\0';
            continue;
        }
        skip_line_end(r);
        return MG_OK;
    }
}

static mg_status read_body(reader *r) {
    mg_csv *csv = r->csv;
    while (r->at < r->end) {
        uint32_t line = r->line_number;
        size_t count;
        mg_status status = read_row(r, &count);
        if (status) return status;
        if (count == 0) continue;
        if (csv->columns == 0) {
            csv->columns = count;
            continue;
        }
        if (count != csv->columns)
            return mg_fail(r->err, MG_ERR_FORMAT,
                           "%s line %u: %zu cells where the header has %zu columns", csv->name,
                           line, count, csv->columns);
        if (csv->rows == r->line_capacity) {
            size_t capacity = r->line_capacity ? 2 * r->line_capacity : 256;
            uint32_t *more = realloc(r->line, capacity * sizeof *more);
            if (!more) return out_of_memory(r);
            r->line = more;
            r->line_capacity = capacity;
        }
        r->line[csv->rows++] = line;
    }
    if (csv->columns == 0)
        return mg_fail(r->err, MG_ERR_FORMAT, "%s: no header line, the file is empty", csv->name);
    return MG_OK;
}

/* Takes over `text` (size bytes and a NUL). */
static mg_status parse(char *text, size_t size, const char *name, mg_csv *out, mg_error *err) {
    *out = (mg_csv){.name = strdup(name), .text = text};
    if (!out->name) {
        mg_csv_free(out);
        return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", name);
    }
    reader r = {.csv = out, .at = text, .end = text + size, .line_number = 1, .err = err};
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) r.at += 3;
    mg_status status = MG_OK;
    if (memchr(text, '\0', size))
        status = mg_fail(err, MG_ERR_FORMAT, "%s: holds NUL bytes, so it is no text table", name);
    else if (size > UINT32_MAX) status = mg_fail(err, MG_ERR_FORMAT, "%s: larger than 4 GiB", name);
    if (!status) status = read_body(&r);
    out->head = r.cell;
    out->cell = r.cell ? r.cell + out->columns : NULL;
    out->line = r.line;
    if (status) mg_csv_free(out);
    return status;
}

mg_status mg_csv_read(const char *path, mg_csv *out, mg_error *err) {
    uint8_t *data;
    size_t size;
    *out = (mg_csv){0};
    mg_status status = mg_file_read(path, 0, &data, &size, err);
    if (status) return status;
    return parse((char *)data, size, path, out, err);
}

mg_status mg_csv_parse(const void *data, size_t size, const char *name, mg_csv *out,
                       mg_error *err) {
    *out = (mg_csv){0};
    char *text = size < SIZE_MAX ? malloc(size + 1) : NULL;
    if (!text) return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", name);
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    return parse(text, size, name, out, err);
}

void mg_csv_free(mg_csv *csv) {
    free(csv->name);
    free(csv->text);
    free((void *)(uintptr_t)csv->head); /* the cells follow in the same block */
    free((void *)(uintptr_t)csv->line);
    *csv = (mg_csv){0};
}

/* --- cells ------------------------------------------------------------------------------------ */

int mg_csv_column(const mg_csv *csv, const char *name) {
    for (size_t i = 0; i < csv->columns; i++)
        if (strcasecmp(csv->head[i], name) == 0) return i <= INT_MAX ? (int)i : -1;
    return -1;
}

mg_status mg_csv_require(const mg_csv *csv, const char *name, int *out, mg_error *err) {
    *out = mg_csv_column(csv, name);
    if (*out >= 0) return MG_OK;
    char list[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < csv->columns && n < sizeof list; i++) {
        int wrote = snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", csv->head[i]);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
    return mg_fail(err, MG_ERR_FORMAT, "%s line 1: there is no column \"%s\" (there are: %s%s)",
                   csv->name, name, list, n >= sizeof list ? " …" : "");
}

const char *mg_csv_cell(const mg_csv *csv, size_t row, int column) {
    return column < 0 ? "" : csv->cell[row * csv->columns + (size_t)column];
}

bool mg_csv_is_missing(const char *cell) {
    static const char *const words[] = {"", "NA", "N/A", "NaN", "null", "none"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(cell, words[i]) == 0) return true;
    return false;
}

mg_status mg_csv_bad_cell(const mg_csv *csv, size_t row, int column, const char *problem,
                          mg_error *err) {
    return mg_fail(err, MG_ERR_FORMAT, "%s line %u, column %s: value \"%.80s\" %s", csv->name,
                   csv->line[row], column < 0 ? "?" : csv->head[column],
                   mg_csv_cell(csv, row, column), problem);
}

mg_status mg_csv_number(const mg_csv *csv, size_t row, int column, double missing, double *out,
                        mg_error *err) {
    const char *cell = mg_csv_cell(csv, row, column);
    *out = missing;
    if (mg_csv_is_missing(cell)) return MG_OK;
    char *stop;
    double value = strtod(cell, &stop);
    if (*stop || isspace((unsigned char)*cell) || !isfinite(value))
        return mg_csv_bad_cell(csv, row, column, "is not a number", err);
    *out = value;
    return MG_OK;
}

mg_status mg_csv_int(const mg_csv *csv, size_t row, int column, int missing, int *out,
                     mg_error *err) {
    double value;
    mg_status status = mg_csv_number(csv, row, column, missing, &value, err);
    *out = missing;
    if (status) return status;
    if (value < INT_MIN || value > INT_MAX || value != (int)value)
        return mg_csv_bad_cell(csv, row, column, "is not a whole number", err);
    *out = (int)value;
    return MG_OK;
}

mg_status mg_csv_flag(const mg_csv *csv, size_t row, int column, int missing, int *out,
                      mg_error *err) {
    static const char *const yes[] = {"1", "true", "yes", "1.0", "t", "y"};
    static const char *const no[] = {"0", "false", "no", "0.0", "f", "n"};
    const char *cell = mg_csv_cell(csv, row, column);
    *out = missing;
    if (mg_csv_is_missing(cell)) return MG_OK;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcasecmp(cell, yes[i]) == 0) return *out = 1, MG_OK;
        if (strcasecmp(cell, no[i]) == 0) return *out = 0, MG_OK;
    }
    return mg_csv_bad_cell(csv, row, column, "is neither 0/1 nor true/false", err);
}
