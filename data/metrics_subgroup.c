/* Tables by view, density, machine, site, age: the same figures within each group. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/aggregate.h"
#include "data/metrics_evaluation.h"

/* "2" before "10", "under 40" before "40–49", "missing" last, the rest by bytes. */
static int name_class(const char *name) {
    if (strcmp(name, "missing") == 0) return 3;
    if (strncmp(name, "under ", 6) == 0) return 0;
    return isdigit((unsigned char)name[0]) ? 1 : 2;
}

static int by_name(const void *a, const void *b) {
    const char *x = ((const mg_subgroup_row *)a)->name, *y = ((const mg_subgroup_row *)b)->name;
    int cx = name_class(x), cy = name_class(y);
    if (cx != cy) return cx - cy;
    double nx = strtod(x, NULL), ny = strtod(y, NULL);
    if (cx == 1 && nx != ny) return nx < ny ? -1 : 1;
    return strcmp(x, y);
}

/* Room for one group at a time. */
typedef struct workspace {
    const char **names;
    int32_t *group, *first, *cluster, *renumber;
    double *probability;
    uint8_t *label;
    int32_t clusters;
} workspace;

static void workspace_free(workspace *w) {
    free(w->names);
    free(w->group);
    free(w->first);
    free(w->cluster);
    free(w->renumber);
    free(w->probability);
    free(w->label);
}

static mg_status workspace_create(const mg_eval_set *set, workspace *w, mg_error *err) {
    size_t n = set->count ? set->count : 1;
    w->clusters = set->cluster ? set->clusters : (int32_t)set->count;
    w->names = malloc(n * sizeof *w->names);
    w->group = malloc(n * sizeof *w->group);
    w->first = malloc(n * sizeof *w->first);
    w->cluster = malloc(n * sizeof *w->cluster);
    w->renumber = malloc(((size_t)w->clusters + 1) * sizeof *w->renumber);
    w->probability = malloc(n * sizeof *w->probability);
    w->label = malloc(n);
    if (w->names && w->group && w->first && w->cluster && w->renumber && w->probability && w->label)
        return MG_OK;
    workspace_free(w);
    return mg_fail(err, MG_ERR_MEMORY, "no memory for a subgroup table of %zu items", set->count);
}

/* The items of one group, their patients renumbered from 0 so that only they are drawn. */
static mg_eval_set select_group(const mg_eval_set *set, workspace *w, int32_t group) {
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (w->group[i] != group) continue;
        w->cluster[n] = set->cluster ? set->cluster[i] : (int32_t)i;
        w->probability[n] = set->probability[i];
        w->label[n++] = set->label[i];
    }
    int32_t clusters = mg_renumber_clusters(w->cluster, n, w->renumber, w->clusters);
    return (mg_eval_set){n, w->probability, w->label, w->cluster, clusters};
}

static mg_status fill_rows(const mg_eval_set *set, workspace *w, double threshold,
                           const mg_bootstrap_options *bootstrap, mg_subgroup_table *out,
                           mg_error *err) {
    for (size_t g = 0; g < out->count; g++) {
        mg_subgroup_row *row = &out->row[g];
        mg_eval_set part = select_group(set, w, (int32_t)g);
        mg_metric_options how = {.threshold = threshold};
        row->name = w->names[w->first[g]];
        mg_status status =
            mg_bootstrap_metrics(&part, &how, bootstrap, &row->metrics, row->interval, err);
        if (status) return status;
    }
    qsort(out->row, out->count, sizeof *out->row, by_name);
    return MG_OK;
}

mg_status mg_subgroup_compute(const mg_eval_set *set, const char *title, const char *const *values,
                              double threshold, const mg_bootstrap_options *bootstrap,
                              mg_subgroup_table *out, mg_error *err) {
    *out = (mg_subgroup_table){.title = title};
    workspace w = {0};
    mg_status status = workspace_create(set, &w, err);
    if (status) return status;
    for (size_t i = 0; i < set->count; i++)
        w.names[i] = values[i] && values[i][0] ? values[i] : "missing";
    int32_t groups = 0;
    status = mg_group_strings(w.names, set->count, w.group, w.first, &groups, err);
    if (!status) {
        out->count = (size_t)groups;
        out->row = calloc(out->count + 1, sizeof *out->row);
        status = out->row ? fill_rows(set, &w, threshold, bootstrap, out, err)
                          : mg_fail(err, MG_ERR_MEMORY, "no memory for %d subgroups", groups);
    }
    if (status) mg_subgroup_free(out);
    workspace_free(&w);
    return status;
}

void mg_subgroup_free(mg_subgroup_table *table) {
    free(table->row);
    table->row = NULL;
    table->count = 0;
}

const char *mg_age_band(double age) {
    if (isnan(age)) return "missing";
    if (age < 40) return "under 40";
    if (age < 50) return "40–49";
    if (age < 60) return "50–59";
    if (age < 70) return "60–69";
    return "70 and over";
}
