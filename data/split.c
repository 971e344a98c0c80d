#include "data/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/csv.h"
#include "data/text_store.h"
#include "tensor/rng.h"

typedef struct ranked {
    uint32_t draw[2];
    const char *id;
    int32_t patient;
} ranked;

static int by_draw(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    for (int i = 0; i < 2; i++)
        if (x->draw[i] != y->draw[i]) return x->draw[i] < y->draw[i] ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* A patient's draw depends on seed and id alone. */
static ranked rank_patient(const mg_manifest *m, int32_t p, uint64_t seed) {
    uint64_t h = mg_text_hash(m->patient[p].id);
    mg_rng_key key = {seed, MG_RNG_SPLIT, (uint32_t)(h >> 32), (uint32_t)h};
    uint32_t words[4];
    mg_rng_words(&key, 0, words);
    return (ranked){{words[0], words[1]}, m->patient[p].id, p};
}

static int32_t share(int32_t n, double fraction) {
    if (fraction <= 0) return 0;
    int32_t k = (int32_t)floor(fraction * n + 0.5);
    if (n < 2) return 0;
    return k < 1 ? 1 : k > n - 1 ? n - 1 : k;
}

static mg_status allocate(const mg_manifest *m, mg_split *out, mg_error *err) {
    *out = (mg_split){.validation = calloc((size_t)m->patient_count + 1, 1)};
    return out->validation ? MG_OK : mg_fail(err, MG_ERR_MEMORY, "split: out of memory");
}

static void count(const mg_manifest *m, mg_split *s) {
    for (int32_t p = 0; p < m->patient_count; p++) {
        s->patients[s->validation[p]]++;
        s->positive[s->validation[p]] += m->patient[p].cancer > 0;
    }
}

mg_status mg_split_make(const mg_manifest *m, double fraction, uint64_t seed, mg_split *out,
                        mg_error *err) {
    *out = (mg_split){0};
    if (!(fraction >= 0 && fraction < 1))
        return mg_fail(err, MG_ERR_ARG, "validation fraction %g: it must be in [0, 1)", fraction);
    mg_status status = allocate(m, out, err);
    ranked *list = calloc((size_t)m->patient_count + 1, sizeof *list);
    if (!status && !list) status = mg_fail(err, MG_ERR_MEMORY, "split: out of memory");
    for (int positive = 0; positive < 2 && !status; positive++) {
        int32_t n = 0;
        for (int32_t p = 0; p < m->patient_count; p++)
            if ((m->patient[p].cancer > 0) == positive) list[n++] = rank_patient(m, p, seed);
        qsort(list, (size_t)n, sizeof *list, by_draw);
        int32_t k = share(n, fraction);
        for (int32_t i = 0; i < k; i++) out->validation[list[i].patient] = 1;
    }
    free(list);
    if (status) mg_split_free(out);
    else count(m, out);
    return status;
}

mg_status mg_split_write(const mg_manifest *m, const mg_split *split, const char *path,
                         mg_error *err) {
    mg_csv_writer w;
    mg_status status = mg_csv_open(&w, path, err);
    if (status) return status;
    mg_csv_put_text(&w, "patient_id");
    mg_csv_put_text(&w, "cancer");
    mg_csv_put_text(&w, "split");
    mg_csv_end_row(&w);
    for (int32_t p = 0; p < m->patient_count; p++) {
        mg_csv_put_text(&w, m->patient[p].id);
        if (m->patient[p].cancer < 0) mg_csv_put_text(&w, NULL);
        else mg_csv_put_int(&w, m->patient[p].cancer);
        mg_csv_put_text(&w, split->validation[p] ? "val" : "train");
        mg_csv_end_row(&w);
    }
    return mg_csv_close(&w, err);
}

static mg_status read_side(const mg_csv *csv, size_t row, int column, uint8_t *out, mg_error *err) {
    const char *cell = mg_csv_cell(csv, row, column);
    if (strcasecmp(cell, "val") == 0 || strcasecmp(cell, "validation") == 0) *out = 1;
    else if (strcasecmp(cell, "train") == 0 || strcasecmp(cell, "training") == 0) *out = 0;
    else return mg_csv_bad_cell(csv, row, column, "is neither train nor val", err);
    return MG_OK;
}

static mg_status read_rows(const mg_manifest *m, const mg_csv *csv, const mg_text_map *map,
                           uint8_t *seen, mg_split *out, mg_error *err) {
    int id, side;
    mg_status status = mg_csv_require(csv, "patient_id", &id, err);
    if (!status) status = mg_csv_require(csv, "split", &side, err);
    for (size_t row = 0; row < csv->rows && !status; row++) {
        uint8_t validation = 0;
        status = read_side(csv, row, side, &validation, err);
        int32_t p = mg_text_map_find(map, mg_csv_cell(csv, row, id));
        if (status || p < 0) continue;
        if (seen[p]) status = mg_csv_bad_cell(csv, row, id, "stands there twice", err);
        seen[p] = 1;
        out->validation[p] = validation;
    }
    for (int32_t p = 0; p < m->patient_count && !status; p++)
        if (!seen[p])
            status = mg_fail(err, MG_ERR_FORMAT,
                             "%s has no row for patient %s: it was made for another data set",
                             csv->name, m->patient[p].id);
    return status;
}

mg_status mg_split_read(const mg_manifest *m, const char *path, mg_split *out, mg_error *err) {
    mg_csv csv;
    *out = (mg_split){0};
    mg_status status = mg_csv_read(path, &csv, err);
    if (status) return status;
    status = allocate(m, out, err);
    mg_text_map map = {0};
    uint8_t *seen = calloc((size_t)m->patient_count + 1, 1);
    if (!status && !seen) status = mg_fail(err, MG_ERR_MEMORY, "split: out of memory");
    for (int32_t p = 0; p < m->patient_count && !status; p++)
        if (mg_text_map_add(&map, m->patient[p].id, p) < 0)
            status = mg_fail(err, MG_ERR_MEMORY, "split: out of memory");
    if (!status) status = read_rows(m, &csv, &map, seen, out, err);
    mg_text_map_free(&map);
    free(seen);
    mg_csv_free(&csv);
    if (status) mg_split_free(out);
    else count(m, out);
    return status;
}

void mg_split_free(mg_split *split) {
    free(split->validation);
    *split = (mg_split){0};
}

mg_status mg_split_groups(const mg_manifest *m, const mg_split *split, int validation,
                          int32_t **groups, int32_t *group_count, mg_error *err) {
    *group_count = 0;
    *groups = calloc((size_t)m->group_count + 1, sizeof **groups);
    if (!*groups) return mg_fail(err, MG_ERR_MEMORY, "split: out of memory");
    for (int32_t g = 0; g < m->group_count; g++)
        if (split->validation[m->group[g].patient] == (validation != 0))
            (*groups)[(*group_count)++] = g;
    return MG_OK;
}
