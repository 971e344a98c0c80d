/* Any bytes are either refused with a message or read as a table whose cells can all be asked for;
 * the same bytes as a manifest give groups that are consistent. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/csv.h"
#include "data/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_cells(const mg_csv *t) {
    size_t total = 0;
    for (size_t row = 0; row < t->rows; row++) {
        MG_ASSERT(t->line[row] > (row ? t->line[row - 1] : 0));
        for (int c = 0; c < (int)t->columns; c++) {
            int whole;
            double number;
            total += strlen(mg_csv_cell(t, row, c));
            (void)mg_csv_int(t, row, c, -1, &whole, NULL);
            (void)mg_csv_flag(t, row, c, -1, &whole, NULL);
            (void)mg_csv_number(t, row, c, 0, &number, NULL);
        }
    }
    for (size_t c = 0; c < t->columns; c++) total += strlen(t->head[c]);
    MG_ASSERT(total < SIZE_MAX);
}

static void check(const mg_manifest *m) {
    int32_t members = 0;
    for (int32_t g = 0; g < m->group_count; g++) {
        members += m->group[g].count;
        for (int32_t k = 0; k < m->group[g].count; k++)
            MG_ASSERT(m->image[m->group_image[m->group[g].first + k]].group == g);
    }
    MG_ASSERT(members == m->image_count && m->patient_count <= m->group_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64];
    if (!*path) snprintf(path, sizeof path, "/tmp/mg-fuzz-csv-%d.csv", (int)getpid());
    mg_error err = {0};
    mg_csv t;
    mg_status status = mg_csv_parse(data, size, "input", &t, &err);
    MG_ASSERT((status == MG_OK) == (*err.message == '\0'));
    if (status) return 0;
    read_cells(&t);
    mg_csv_free(&t);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) return 0;
    mg_manifest m;
    mg_error_clear(&err);
    status = mg_manifest_read(&(mg_manifest_options){.csv = path, .no_files = true}, &m, &err);
    MG_ASSERT((status == MG_OK) == (*err.message == '\0'));
    if (!status) check(&m);
    mg_manifest_free(&m);
    unlink(path);
    return 0;
}
