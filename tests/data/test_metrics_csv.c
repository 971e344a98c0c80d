/* metrics.csv: rows that survive a crash, resuming to the same bytes. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"
#include "data/metrics_csv.h"

static char path[64];
static const char *const columns[] = {"epoch", "train_loss", "f1"};

static void make_path(void) {
    snprintf(path, sizeof path, "/tmp/mg-metrics-XXXXXX");
    int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
    unlink(path);
}

static void remove_path(void) { unlink(path); }

TestSuite(metrics_csv, .init = make_path, .fini = remove_path);

static char *contents(void) {
    uint8_t *data;
    size_t size;
    cr_assert_eq(mg_file_read(path, 0, &data, &size, NULL), MG_OK);
    return (char *)data;
}

static void write_text(const char *text, size_t size) {
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(text, 1, size, f) == size && fclose(f) == 0);
}

/* Epochs from…4 with losses that need all their digits. */
static void append(mg_metrics_csv *csv, int from) {
    for (int e = from; e <= 4; e++) {
        double row[] = {e, 1.0 / (3 * e), e == 2 ? NAN : 0.5};
        cr_assert_eq(mg_metrics_csv_append(csv, row, NULL), MG_OK);
    }
}

Test(metrics_csv, writes_what_reads_back) {
    mg_metrics_csv *csv = mg_metrics_csv_open(path, columns, 3, -1, NULL);
    append(csv, 1);
    double row[] = {5, 0.1 + 0.2, -1e-300};
    cr_assert_eq(mg_metrics_csv_append(csv, row, NULL), MG_OK);
    cr_assert_eq(mg_metrics_csv_append(csv, (double[]){5.5, 0, 0}, NULL), MG_ERR_ARG);
    cr_assert_eq(mg_metrics_csv_append(csv, (double[]){NAN, 0, 0}, NULL), MG_ERR_ARG);
    mg_metrics_csv_close(csv);
    mg_metrics_table t;
    mg_error err = {0};
    cr_assert_eq(mg_metrics_csv_read(path, &t, &err), MG_OK, "%s", err.message);
    cr_assert(t.rows == 5 && t.columns == 3);
    cr_assert_eq(mg_metrics_table_column(&t, "f1"), 2);
    cr_assert_eq(mg_metrics_table_column(&t, "auc"), -1);
    cr_assert_eq(t.value[3 * 2 + 1], 1.0 / 9, "the same double");
    cr_assert_eq(t.value[3 * 4 + 1], 0.1 + 0.2);
    cr_assert_eq(t.value[3 * 4 + 2], -1e-300);
    cr_assert(isnan(t.value[3 * 1 + 2]));
    mg_metrics_table_free(&t);
}

/* Cut the file anywhere, resume after the last checkpoint, end with the same bytes. */
Test(metrics_csv, resumes_to_the_same_bytes) {
    mg_metrics_csv *csv = mg_metrics_csv_open(path, columns, 3, -1, NULL);
    append(csv, 1);
    mg_metrics_csv_close(csv);
    char *expected = contents();
    size_t size = strlen(expected), third = (size_t)(strstr(expected, "\n3,") + 1 - expected);
    for (size_t cut = 0; cut <= size; cut++) {
        int done = cut >= third ? 2 : 0; /* what the checkpoint says */
        if (done == 0 && cut > (size_t)(strstr(expected, "\n1,") + 1 - expected)) continue;
        write_text(expected, cut);
        mg_error err = {0};
        csv = mg_metrics_csv_open(path, columns, 3, done, &err);
        cr_assert(csv, "%s", err.message);
        append(csv, done + 1);
        mg_metrics_csv_close(csv);
        char *now = contents();
        cr_assert_str_eq(now, expected, "cut at %zu", cut);
        free(now);
    }
    free(expected);
}

Test(metrics_csv, a_cut_last_line_is_not_read) {
    write_text("epoch,f1\n1,0.5\n2,0.", 19);
    mg_metrics_table t;
    cr_assert_eq(mg_metrics_csv_read(path, &t, NULL), MG_OK);
    cr_assert(t.rows == 1 && t.value[1] == 0.5);
    mg_metrics_table_free(&t);
}

Test(metrics_csv, refuses_another_runs_file) {
    write_text("epoch,loss\n1,2\n", 15);
    mg_error err = {0};
    cr_assert_null(mg_metrics_csv_open(path, columns, 3, 1, &err));
    cr_assert_eq(err.code, MG_ERR_FORMAT);
    cr_assert(strstr(err.message, "epoch,train_loss,f1"), "%s", err.message);
    char *now = contents();
    cr_assert_str_eq(now, "epoch,loss\n1,2\n", "and leaves it alone");
    free(now);
    write_text("epoch,train_loss,f1\nx,2,3\n", 26);
    mg_error_clear(&err);
    cr_assert_null(mg_metrics_csv_open(path, columns, 3, 1, &err));
    cr_assert_eq(err.code, MG_ERR_FORMAT);
    cr_assert_null(mg_metrics_csv_open("/nowhere/at/all.csv", columns, 3, -1, NULL));
}
