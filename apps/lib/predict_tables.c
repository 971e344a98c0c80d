/* predict_tables.c: the three tables. */
#include <math.h>

#include "apps/lib/predictor.h"
#include "data/csv.h"

mg_status mg_predict_write_predictions(mg_predictor *p, mg_error *err) {
    static const char *const outcomes[] = {"ok", "failed", "repeat", "not done"};
    static const char *const head[] = {"file",       "patient_id",    "image_id", "laterality",
                                       "view",       "prediction_id", "logit",    "probability",
                                       "calibrated", "status",        "error"};
    mg_csv_writer w;
    mg_status s = mg_csv_open(&w, mg_predict_path("predictions.csv"), err);
    if (s) return s;
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) mg_csv_put_text(&w, head[i]);
    mg_csv_end_row(&w);
    for (int32_t i = 0; i < p->manifest.image_count; i++) {
        const mg_manifest_image *image = &p->manifest.image[i];
        char laterality[2] = {image->laterality == 'U' ? 0 : image->laterality, 0};
        mg_csv_put_text(&w, image->path);
        mg_csv_put_text(&w, image->patient_id);
        mg_csv_put_text(&w, image->image_id);
        mg_csv_put_text(&w, laterality);
        mg_csv_put_text(&w, image->view);
        mg_csv_put_text(&w, p->manifest.group[image->group].id);
        double probability = p->probability[i];
        mg_csv_put_number(&w, isnan(probability) ? NAN : p->logit[i]);
        mg_csv_put_number(&w, probability);
        mg_csv_put_number(&w, isnan(probability) ? NAN : mg_predictor_calibrated(p, probability));
        mg_csv_put_text(&w, outcomes[p->outcome[i]]);
        mg_csv_put_text(&w, p->reason[i] ? p->reason[i] : "");
        mg_csv_end_row(&w);
    }
    return mg_csv_close(&w, err);
}

/* id,cancer for every breast or patient; those without a readable image get the prevalence. */
static mg_status per_level(mg_predictor *p, const char *file, const char *column, int level,
                           int32_t count, mg_error *err) {
    const mg_level *l = &p->assessment.level[level];
    mg_csv_writer w;
    mg_status s = mg_csv_open(&w, mg_predict_path(file), err);
    if (s) return s;
    mg_csv_put_text(&w, column);
    mg_csv_put_text(&w, "cancer");
    mg_csv_end_row(&w);
    size_t next = 0; /* the level's items are in the manifest's order */
    for (int32_t i = 0; i < count; i++) {
        bool scored = next < l->count && l->source[next] == i;
        mg_csv_put_text(&w, level == MG_LEVEL_BREAST ? p->manifest.group[i].id
                                                     : p->manifest.patient[i].id);
        mg_csv_put_number(&w, scored ? l->probability[next++] : p->prevalence);
        mg_csv_end_row(&w);
    }
    return mg_csv_close(&w, err);
}

mg_status mg_predict_write_tables(mg_predictor *p, mg_error *err) {
    mg_status s = mg_predict_write_predictions(p, err);
    if (!s)
        s = per_level(p, "submission.csv", "prediction_id", MG_LEVEL_BREAST,
                      p->manifest.group_count, err);
    if (!s)
        s = per_level(p, "patients.csv", "patient_id", MG_LEVEL_PATIENT, p->manifest.patient_count,
                      err);
    return s;
}
