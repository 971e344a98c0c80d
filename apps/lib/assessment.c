#include "apps/lib/assessment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool level_alloc(mg_level *l, size_t room) {
    room = room ? room : 1;
    l->probability = malloc(room * sizeof *l->probability);
    l->label = malloc(room);
    l->patient = malloc(room * sizeof *l->patient);
    l->source = malloc(room * sizeof *l->source);
    return l->probability && l->label && l->patient && l->source;
}

static void level_add(mg_level *l, double p, int label, int32_t patient, int32_t source) {
    size_t i = l->count++;
    l->probability[i] = p;
    l->label[i] = (uint8_t)(label == 1);
    l->unknown += label < 0;
    l->patient[i] = patient;
    l->source[i] = source;
}

/* The aggregate of the scored ones among `count` images; NaN when none is. `p` is scratch. */
static double aggregate(const double *probability, const int32_t *images, int32_t count,
                        mg_aggregation how, double *p) {
    size_t n = 0;
    for (int32_t k = 0; k < count; k++)
        if (!isnan(probability[images[k]])) p[n++] = probability[images[k]];
    return n ? mg_aggregate(how, p, n) : NAN;
}

static void fill_levels(const mg_manifest *m, const double *probability, mg_aggregation how,
                        double *scratch, mg_assessment *out) {
    for (int32_t i = 0; i < m->image_count; i++)
        if (!isnan(probability[i]))
            level_add(&out->level[MG_LEVEL_IMAGE], probability[i], m->image[i].cancer,
                      m->image[i].patient, i);
    for (int32_t g = 0; g < m->group_count; g++) {
        const mg_manifest_group *b = &m->group[g];
        double p = aggregate(probability, m->group_image + b->first, b->count, how, scratch);
        if (!isnan(p)) level_add(&out->level[MG_LEVEL_BREAST], p, b->cancer, b->patient, g);
    }
    for (int32_t k = 0; k < m->patient_count; k++) {
        const mg_manifest_patient *b = &m->patient[k];
        double p = aggregate(probability, m->patient_image + b->first, b->count, how, scratch);
        if (!isnan(p)) level_add(&out->level[MG_LEVEL_PATIENT], p, b->cancer, k, k);
    }
}

static int label_of(const mg_manifest *m, int level, int32_t source) {
    return level == MG_LEVEL_IMAGE    ? m->image[source].cancer
           : level == MG_LEVEL_BREAST ? m->group[source].cancer
                                      : m->patient[source].cancer;
}

static void level_free(mg_level *l) {
    free(l->probability);
    free(l->label);
    free(l->patient);
    free(l->source);
}

/* What is evaluated of a level: the items with a label, their patients numbered from 0. */
typedef struct known {
    mg_level level;
    int32_t patients;
} known;

static mg_status known_of(const mg_manifest *m, const mg_level *l, int level, known *out,
                          mg_error *err) {
    *out = (known){0};
    int32_t *renumber = malloc(((size_t)m->patient_count + 1) * sizeof *renumber);
    if (!renumber || !level_alloc(&out->level, l->count)) {
        free(renumber);
        return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < l->count; i++)
        if (label_of(m, level, l->source[i]) >= 0)
            level_add(&out->level, l->probability[i], l->label[i], l->patient[i], l->source[i]);
    out->patients =
        mg_renumber_clusters(out->level.patient, out->level.count, renumber, m->patient_count);
    free(renumber);
    return MG_OK;
}

static mg_eval_set set_of(const known *k) {
    return (mg_eval_set){.count = k->level.count,
                         .probability = k->level.probability,
                         .label = k->level.label,
                         .cluster = k->level.patient,
                         .clusters = k->patients};
}

/* --- subgroups ------------------------------------------------------------------------------- */

enum { NAME = 24 };

static void name_of(const mg_manifest_image *image, int which, char *out) {
    out[0] = 0;
    switch (which) {
    case 0: snprintf(out, NAME, "%.20s", image->view); break;
    case 1:
        if (image->density) snprintf(out, NAME, "%c", image->density);
        break;
    case 2:
        if (image->machine >= 0) snprintf(out, NAME, "%d", image->machine);
        break;
    case 3:
        if (image->site >= 0) snprintf(out, NAME, "%d", image->site);
        break;
    default:
        if (!isnan(image->age)) snprintf(out, NAME, "%s", mg_age_band((double)image->age));
    }
}

static mg_status subgroups(const mg_manifest *m, const known *images,
                           const mg_bootstrap_options *bootstrap, double threshold,
                           mg_assessment *out, mg_error *err) {
    static const char *const titles[MG_SUBGROUPS] = {"View", "Density", "Machine", "Site", "Age"};
    const mg_level *l = &images->level;
    out->names = malloc(l->count * MG_SUBGROUPS * NAME + 1);
    const char **value = malloc((l->count + 1) * sizeof *value);
    mg_status s = out->names && value ? MG_OK : mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int which = 0; which < MG_SUBGROUPS && !s; which++) {
        bool any = false;
        for (size_t i = 0; i < l->count; i++) {
            char *name = out->names + ((size_t)which * l->count + i) * NAME;
            name_of(&m->image[l->source[i]], which, name);
            any |= name[0] != 0;
            value[i] = name;
        }
        mg_eval_set set = set_of(images);
        if (!any) continue;
        s = mg_subgroup_compute(&set, titles[which], value, threshold, bootstrap,
                                &out->subgroup[out->subgroups], err);
        if (!s) out->subgroups++;
    }
    free(value);
    return s;
}

mg_status mg_assess(const mg_manifest *m, const double *probability,
                    const mg_assess_options *options, mg_assessment *out, mg_error *err) {
    *out = (mg_assessment){0};
    size_t room[MG_LEVELS] = {(size_t)m->image_count, (size_t)m->group_count,
                              (size_t)m->patient_count};
    for (int k = 0; k < MG_LEVELS; k++)
        if (!level_alloc(&out->level[k], room[k]))
            return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    double *scratch = malloc(((size_t)m->image_count + 1) * sizeof *scratch);
    if (!scratch) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    fill_levels(m, probability, options->aggregation, scratch, out);
    free(scratch);
    mg_bootstrap_options bootstrap = {.resamples = options->bootstrap, .seed = options->seed};
    mg_status s = MG_OK;
    for (int k = 0; k < MG_LEVELS && !s; k++) {
        if (out->level[k].count == out->level[k].unknown) continue;
        mg_evaluation_options how = {.bootstrap = bootstrap,
                                     .threshold = options->threshold[k],
                                     .threshold_given = options->threshold_given};
        known items;
        s = known_of(m, &out->level[k], k, &items, err);
        mg_eval_set set = set_of(&items);
        if (!s) s = mg_evaluate(&set, &how, &out->evaluation[k], err);
        if (!s && k == MG_LEVEL_IMAGE)
            s = subgroups(m, &items, &bootstrap,
                          options->threshold_given ? options->threshold[k] : 0.5, out, err);
        level_free(&items.level);
    }
    return s;
}

void mg_assessment_free(mg_assessment *a) {
    for (int k = 0; k < MG_LEVELS; k++) {
        level_free(&a->level[k]);
        mg_evaluation_free(&a->evaluation[k]);
    }
    for (int i = 0; i < a->subgroups; i++) mg_subgroup_free(&a->subgroup[i]);
    free(a->names);
    *a = (mg_assessment){0};
}
