#include "data/manifest_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mg_status mg_manifest_no_memory(const char *source, mg_error *err) {
    return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", source);
}

static mg_status number_patients(mg_manifest *m, const char *source, mg_error *err) {
    mg_text_map map = {0};
    mg_status status = MG_OK;
    for (int32_t i = 0; i < m->image_count && !status; i++) {
        mg_manifest_image *image = &m->image[i];
        image->patient = mg_text_map_add(&map, image->patient_id, m->patient_count);
        if (image->patient < 0) status = mg_manifest_no_memory(source, err);
        else if (image->patient == m->patient_count)
            m->patient[m->patient_count++] =
                (mg_manifest_patient){.id = image->patient_id, .cancer = -1};
    }
    mg_text_map_free(&map);
    return status;
}

static mg_status number_groups(mg_manifest *m, const char *const *group_id, const char *source,
                               mg_error *err) {
    mg_text_map map = {0};
    mg_status status = MG_OK;
    for (int32_t i = 0; i < m->image_count && !status; i++) {
        mg_manifest_image *image = &m->image[i];
        image->group = mg_text_map_add(&map, group_id[i], m->group_count);
        if (image->group < 0) {
            status = mg_manifest_no_memory(source, err);
        } else if (image->group == m->group_count) {
            m->group[m->group_count++] = (mg_manifest_group){.id = group_id[i],
                                                             .patient = image->patient,
                                                             .cancer = -1,
                                                             .laterality = image->laterality};
        } else if (m->group[image->group].patient != image->patient) {
            status = mg_fail(err, MG_ERR_FORMAT,
                             "%s line %u: prediction id %s belongs to patient %s and to patient %s",
                             source, image->line, group_id[i],
                             m->patient[m->group[image->group].patient].id, image->patient_id);
        }
    }
    mg_text_map_free(&map);
    return status;
}

static mg_status find_duplicates(const mg_manifest *m, const char *source, mg_error *err) {
    mg_text_map map = {0};
    mg_text_store *keys = mg_text_store_create();
    mg_status status = keys ? MG_OK : mg_manifest_no_memory(source, err);
    for (int32_t i = 0; i < m->image_count && !status; i++) {
        const mg_manifest_image *image = &m->image[i];
        char key[512];
        int n = snprintf(key, sizeof key, "%s\n%s", image->patient_id, image->image_id);
        if (n < 0 || (size_t)n >= sizeof key) {
            status = mg_fail(err, MG_ERR_FORMAT, "%s line %u: ids of more than 500 bytes", source,
                             image->line);
            break;
        }
        const char *kept = mg_text_store_add(keys, key, (size_t)n);
        int32_t seen = kept ? mg_text_map_add(&map, kept, i) : -1;
        if (seen < 0) status = mg_manifest_no_memory(source, err);
        else if (seen != i)
            status = mg_fail(err, MG_ERR_FORMAT,
                             "%s line %u: patient %s, image %s stands in line %u already", source,
                             image->line, image->patient_id, image->image_id, m->image[seen].line);
    }
    mg_text_map_free(&map);
    mg_text_store_destroy(keys);
    return status;
}

static void add_label(int8_t *label, int8_t one) {
    if (one > *label) *label = one;
}

/* Counting sort: members of every group and patient in table order. */
static void fill_members(mg_manifest *m) {
    for (int32_t i = 0; i < m->image_count; i++) {
        m->group[m->image[i].group].count++;
        m->patient[m->image[i].patient].count++;
        add_label(&m->group[m->image[i].group].cancer, m->image[i].cancer);
        add_label(&m->patient[m->image[i].patient].cancer, m->image[i].cancer);
    }
    for (int32_t g = 1; g < m->group_count; g++)
        m->group[g].first = m->group[g - 1].first + m->group[g - 1].count;
    for (int32_t p = 1; p < m->patient_count; p++)
        m->patient[p].first = m->patient[p - 1].first + m->patient[p - 1].count;
    for (int32_t g = 0; g < m->group_count; g++) m->group[g].count = 0;
    for (int32_t p = 0; p < m->patient_count; p++) m->patient[p].count = 0;
    for (int32_t i = 0; i < m->image_count; i++) {
        mg_manifest_group *g = &m->group[m->image[i].group];
        mg_manifest_patient *p = &m->patient[m->image[i].patient];
        m->group_image[g->first + g->count++] = i;
        m->patient_image[p->first + p->count++] = i;
    }
}

mg_status mg_manifest_group_images(mg_manifest *m, const char *const *group_id, const char *source,
                                   mg_error *err) {
    size_t n = (size_t)m->image_count + 1; /* never a zero-sized block */
    m->group = calloc(n, sizeof *m->group);
    m->patient = calloc(n, sizeof *m->patient);
    m->group_image = calloc(n, sizeof *m->group_image);
    m->patient_image = calloc(n, sizeof *m->patient_image);
    if (!m->group || !m->patient || !m->group_image || !m->patient_image)
        return mg_manifest_no_memory(source, err);
    mg_status status = number_patients(m, source, err);
    if (!status) status = number_groups(m, group_id, source, err);
    if (!status) status = find_duplicates(m, source, err);
    if (!status) fill_members(m);
    return status;
}

void mg_manifest_free(mg_manifest *m) {
    free(m->image);
    free(m->group);
    free(m->patient);
    free(m->group_image);
    free(m->patient_image);
    mg_text_store_destroy(m->text);
    *m = (mg_manifest){0};
}

int32_t mg_manifest_find_group(const mg_manifest *m, const char *id) {
    for (int32_t g = 0; g < m->group_count; g++)
        if (strcmp(m->group[g].id, id) == 0) return g;
    return -1;
}

int32_t mg_manifest_find_patient(const mg_manifest *m, const char *id) {
    for (int32_t p = 0; p < m->patient_count; p++)
        if (strcmp(m->patient[p].id, id) == 0) return p;
    return -1;
}
