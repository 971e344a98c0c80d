#include "data/metrics_csv.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/csv.h"
#include "data/text.h"

struct mg_metrics_csv {
    char *path;
    int file;
    size_t columns;
};

/* The shortest of %.15g … %.17g that reads back as the same double. */
static void add_number(mg_text *line, double value) {
    char text[40] = "";
    for (int digits = 15; digits <= 17 && !isnan(value); digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    mg_text_add(line, text);
}

static mg_status write_all(int file, const char *path, const mg_text *t, mg_error *err) {
    if (t->failed) return mg_fail(err, MG_ERR_MEMORY, "%s: no memory for a row", path);
    for (size_t done = 0; done < t->size;) {
        ssize_t n = write(file, t->data + done, t->size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return mg_fail(err, MG_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        done += (size_t)n;
    }
    if (fsync(file) != 0)
        return mg_fail(err, MG_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    return MG_OK;
}

/* How many bytes of an existing file stay: whole lines up to the last row to keep. */
static mg_status kept_bytes(const char *path, const uint8_t *data, size_t size, const mg_text *head,
                            int64_t keep_through, size_t *keep, mg_error *err) {
    *keep = 0;
    const char *text = (const char *)data, *end = memchr(text, '\n', size);
    if (!end) return MG_OK; /* not even the header survived: start over */
    if (size < head->size || memcmp(text, head->data, head->size) != 0)
        return mg_fail(err, MG_ERR_FORMAT,
                       "%s: has other columns than this run writes (expected %.*s); move it away "
                       "or resume with the options of the run that wrote it",
                       path, (int)head->size - 1, head->data);
    for (*keep = head->size; *keep < size;) {
        const char *line = text + *keep, *stop = memchr(line, '\n', size - *keep);
        char *after;
        if (!stop) break; /* cut by a crash */
        long long epoch = strtoll(line, &after, 10);
        if (after == line || (*after != ',' && *after != '\n'))
            return mg_fail(err, MG_ERR_FORMAT, "%s: byte %zu: a row without a whole epoch number",
                           path, *keep);
        if (epoch > keep_through) break;
        *keep = (size_t)(stop + 1 - text);
    }
    return MG_OK;
}

static mg_status prepare(mg_metrics_csv *csv, const mg_text *head, int64_t keep_through,
                         mg_error *err) {
    size_t keep = 0, size = 0;
    uint8_t *data = NULL;
    if (keep_through >= 0 && mg_is_file(csv->path)) {
        mg_status status = mg_file_read(csv->path, 0, &data, &size, err);
        if (!status) status = kept_bytes(csv->path, data, size, head, keep_through, &keep, err);
        free(data);
        if (status) return status;
    }
    csv->file = open(csv->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (csv->file < 0 || ftruncate(csv->file, (off_t)keep) != 0 ||
        lseek(csv->file, 0, SEEK_END) < 0)
        return mg_fail(err, MG_ERR_IO, "%s: cannot open for writing: %s", csv->path,
                       strerror(errno));
    return keep ? MG_OK : write_all(csv->file, csv->path, head, err);
}

mg_metrics_csv *mg_metrics_csv_open(const char *path, const char *const *columns, size_t count,
                                    int64_t keep_through, mg_error *err) {
    mg_text head = {0};
    for (size_t i = 0; i < count; i++) {
        mg_text_add(&head, i ? "," : "");
        mg_text_add(&head, columns[i]);
    }
    mg_text_add(&head, "\n");
    mg_metrics_csv *csv = calloc(1, sizeof *csv);
    if (csv) *csv = (mg_metrics_csv){.path = strdup(path), .file = -1, .columns = count};
    mg_status status = csv && csv->path && !head.failed
                           ? prepare(csv, &head, keep_through, err)
                           : mg_fail(err, MG_ERR_MEMORY, "%s: no memory to open it", path);
    mg_text_free(&head);
    if (!status) return csv;
    mg_metrics_csv_close(csv);
    return NULL;
}

mg_status mg_metrics_csv_append(mg_metrics_csv *csv, const double *values, mg_error *err) {
    if (!(fabs(values[0]) < 9e15) || values[0] != floor(values[0]))
        return mg_fail(err, MG_ERR_ARG, "%s: epoch %g is not a whole number", csv->path, values[0]);
    mg_text line = {0};
    for (size_t i = 0; i < csv->columns; i++) {
        mg_text_add(&line, i ? "," : "");
        add_number(&line, values[i]);
    }
    mg_text_add(&line, "\n");
    mg_status status = write_all(csv->file, csv->path, &line, err);
    mg_text_free(&line);
    return status;
}

void mg_metrics_csv_close(mg_metrics_csv *csv) {
    if (!csv) return;
    if (csv->file >= 0) close(csv->file);
    free(csv->path);
    free(csv);
}

/* --- reading ---------------------------------------------------------------------------------- */

static mg_status table_from_csv(const mg_csv *csv, mg_metrics_table *out, mg_error *err) {
    *out = (mg_metrics_table){.columns = csv->columns, .rows = csv->rows};
    out->name = calloc(csv->columns + 1, sizeof *out->name);
    out->value = calloc(csv->rows * csv->columns + 1, sizeof *out->value);
    if (!out->name || !out->value)
        return mg_fail(err, MG_ERR_MEMORY, "%s: no memory for %zu rows", csv->name, csv->rows);
    for (size_t c = 0; c < csv->columns; c++) {
        out->name[c] = strdup(csv->head[c]);
        if (!out->name[c]) return mg_fail(err, MG_ERR_MEMORY, "%s: no memory", csv->name);
    }
    for (size_t r = 0; r < csv->rows; r++) {
        for (size_t c = 0; c < csv->columns; c++) {
            mg_status status =
                mg_csv_number(csv, r, (int)c, NAN, &out->value[r * csv->columns + c], err);
            if (status) return status;
        }
    }
    return MG_OK;
}

mg_status mg_metrics_csv_read(const char *path, mg_metrics_table *out, mg_error *err) {
    *out = (mg_metrics_table){0};
    uint8_t *data;
    size_t size;
    mg_status status = mg_file_read(path, 0, &data, &size, err);
    if (status) return status;
    while (size && data[size - 1] != '\n') size--; /* a last line cut by a crash */
    mg_csv csv;
    status = mg_csv_parse(data, size, path, &csv, err);
    free(data);
    if (status) return status;
    status = table_from_csv(&csv, out, err);
    mg_csv_free(&csv);
    if (status) mg_metrics_table_free(out);
    return status;
}

void mg_metrics_table_free(mg_metrics_table *table) {
    for (size_t c = 0; table->name && c < table->columns; c++) free(table->name[c]);
    free(table->name);
    free(table->value);
    *table = (mg_metrics_table){0};
}

int mg_metrics_table_column(const mg_metrics_table *table, const char *name) {
    for (size_t c = 0; c < table->columns; c++)
        if (strcmp(table->name[c], name) == 0) return (int)c;
    return -1;
}
