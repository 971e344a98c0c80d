/* Resuming any file as metrics.csv: refused with a message, or cut to whole rows so that a row can
 * follow and the file can be resumed again. Reading it never fails badly. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/metrics_csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const columns[] = {"epoch", "loss"};
    if (size == 0) return 0;
    int file = memfd_create("metrics", 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    MG_ASSERT(file >= 0 && write(file, data + 1, size - 1) == (ssize_t)size - 1);
    mg_metrics_table table;
    mg_error err = {0};
    if (mg_metrics_csv_read(path, &table, &err)) MG_ASSERT(*err.message);
    else mg_metrics_table_free(&table);
    mg_error_clear(&err);
    mg_metrics_csv *csv = mg_metrics_csv_open(path, columns, 2, data[0], &err);
    MG_ASSERT(csv || *err.message);
    if (csv) {
        MG_ASSERT(mg_metrics_csv_append(csv, (double[]){data[0], 0.25}, &err) == MG_OK);
        mg_metrics_csv_close(csv);
        csv = mg_metrics_csv_open(path, columns, 2, data[0], &err);
        MG_ASSERT(csv);
        mg_metrics_csv_close(csv);
    }
    close(file);
    return 0;
}
