/* csv.h: comma-separated tables (RFC 4180 and what is found in the wild).
 *
 * Reads the header line and all rows in one pass: quoted cells with doubled quotes and line breaks,
 * LF, CRLF or CR line ends, a UTF-8 byte order mark, blank lines, blanks around unquoted cells. A
 * row with another number of cells than the header is an error naming its line. */
#ifndef MG_DATA_CSV_H
#define MG_DATA_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/files.h"
#include "tensor/atomic_file.h"
#include "tensor/error.h"

typedef struct mg_csv {
    char *name;              /* for messages: the file's path */
    size_t rows, columns;    /* rows of data, the header not counted */
    const char *const *head; /* column names */
    const char *const *cell; /* rows * columns, row by row; "" where empty */
    const uint32_t *line;    /* line number of each row in the file, the header's is 1 */
    char *text;              /* what the cells point into */
} mg_csv;

mg_status mg_csv_read(const char *path, mg_csv *out, mg_error *err);
/* The same from memory; `name` stands in messages. */
mg_status mg_csv_parse(const void *data, size_t size, const char *name, mg_csv *out, mg_error *err);
void mg_csv_free(mg_csv *csv);

/* Index of the column of that name (upper and lower case are the same), or -1. */
int mg_csv_column(const mg_csv *csv, const char *name);
/* The same, but a missing column is an error that lists the columns there are. */
mg_status mg_csv_require(const mg_csv *csv, const char *name, int *out, mg_error *err);

/* Cell of a row; "" for column -1. */
const char *mg_csv_cell(const mg_csv *csv, size_t row, int column);
/* "", NA, N/A, NaN, null, none (any case) count as missing. */
bool mg_csv_is_missing(const char *cell);

/* Typed cells. A missing cell or column gives `missing`; anything else that is no number of the
 * kind is an error naming file, line, column and value. Whole numbers may be written "3.0". */
mg_status mg_csv_int(const mg_csv *csv, size_t row, int column, int missing, int *out,
                     mg_error *err);
mg_status mg_csv_number(const mg_csv *csv, size_t row, int column, double missing, double *out,
                        mg_error *err);
/* true/false, yes/no, 1/0 (any case) as 1 and 0. */
mg_status mg_csv_flag(const mg_csv *csv, size_t row, int column, int missing, int *out,
                      mg_error *err);
/* Records "FILE line N, column NAME: value "X" PROBLEM" and returns MG_ERR_FORMAT. */
mg_status mg_csv_bad_cell(const mg_csv *csv, size_t row, int column, const char *problem,
                          mg_error *err);

/* --- writing ---------------------------------------------------------------------------------- */

/* Writes a table crash-safely; cells are quoted where needed. Errors are kept until close. */
typedef struct mg_csv_writer {
    mg_atomic_file *file;
    size_t cells; /* in the current row */
} mg_csv_writer;

mg_status mg_csv_open(mg_csv_writer *w, const char *path, mg_error *err);
void mg_csv_put_text(mg_csv_writer *w, const char *text); /* NULL: an empty cell */
void mg_csv_put_int(mg_csv_writer *w, long long value);
/* Shortest text that reads back as the same float or double; NaN is an empty cell. */
void mg_csv_put_float(mg_csv_writer *w, float value);
void mg_csv_put_number(mg_csv_writer *w, double value);
void mg_csv_end_row(mg_csv_writer *w);
mg_status mg_csv_close(mg_csv_writer *w, mg_error *err); /* commits */
void mg_csv_abandon(mg_csv_writer *w);

#endif
