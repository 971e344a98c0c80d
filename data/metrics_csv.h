/* metrics_csv.h: metrics.csv, a row per epoch, that survives kill -9.
 *
 * The first line names the columns, the first column is the epoch. Numbers are written with the
 * digits that read back to the same double, NaN as an empty field, and no clock times, so an
 * interrupted and resumed run ends with the same bytes as an uninterrupted one. A row is one
 * write() and an fsync; a last line without its newline was cut by a crash and is dropped. */
#ifndef MG_DATA_METRICS_CSV_H
#define MG_DATA_METRICS_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef struct mg_metrics_csv mg_metrics_csv;

/* columns[0] is "epoch". keep_through < 0 starts a new file; otherwise the existing file is
 * continued: its header must be the same (else MG_ERR_FORMAT), a cut last line and the rows with
 * epoch > keep_through are dropped. A file that is not there is started. NULL on failure. */
mg_metrics_csv *mg_metrics_csv_open(const char *path, const char *const *columns, size_t count,
                                    int64_t keep_through, mg_error *err);
/* values[count]; values[0] must be a whole number. On the disk when it returns MG_OK. */
mg_status mg_metrics_csv_append(mg_metrics_csv *csv, const double *values, mg_error *err);
void mg_metrics_csv_close(mg_metrics_csv *csv);

/* The whole file as numbers; one allocation each, free with mg_metrics_table_free(). */
typedef struct mg_metrics_table {
    size_t columns, rows;
    char **name;   /* [columns] */
    double *value; /* [rows][columns], NaN where a field is empty */
} mg_metrics_table;

mg_status mg_metrics_csv_read(const char *path, mg_metrics_table *out, mg_error *err);
void mg_metrics_table_free(mg_metrics_table *table);
/* Column number by name, -1 if there is none. */
int mg_metrics_table_column(const mg_metrics_table *table, const char *name);

#endif
