/* predictor.h: prediction over files, folders or a table: scores, tables, overlays, report. */
#ifndef MG_APPS_LIB_PREDICTOR_H
#define MG_APPS_LIB_PREDICTOR_H

#include "apps/lib/assessment.h"
#include "apps/lib/cam_pass.h"
#include "apps/lib/cli.h"
#include "apps/lib/model.h"
#include "apps/lib/preprocess_choice.h"
#include "data/loader.h"

typedef struct mg_predict_options {
    mg_cli_list model; /* an ensemble when several */
    const char *csv, *data, *images, *out, *cache, *aggregation, *window, *crop, *j2k_reduce,
        *trace, *dicom_out;
    const char *flips, *device, *precision, *preprocess;
    double threshold, prevalence;
    int64_t threads, workers, bootstrap, overlay_side;
    bool cam, strict, no_report, full_content;
} mg_predict_options;

extern mg_predict_options mg_predict;
int mg_predict_options_parse(int *argc, char ***argv);
const mg_cli_program *mg_predict_program(void);

/* What became of an image. */
typedef enum mg_outcome {
    MG_OUTCOME_OK,
    MG_OUTCOME_FAILED,   /* it could not be used */
    MG_OUTCOME_REPEAT,   /* the same image (SOPInstanceUID) was scored from another file */
    MG_OUTCOME_NOT_DONE, /* the run was interrupted before */
} mg_outcome;

typedef struct mg_predictor {
    mg_pool *pool;
    mg_model model[MG_CLI_LIST_MOST];
    int models;
    mg_manifest manifest;
    mg_preprocess_device *preprocess; /* NULL: images are prepared on the host */
    mg_cache *cache;                  /* of the first model's settings, or NULL */
    double *logit, *probability;      /* per image; NaN: none */
    uint8_t *outcome;                 /* per image: mg_outcome */
    char **reason;                    /* per image: why there is none; NULL: fine */
    int64_t bad, repeats, scored;     /* images of these outcomes */
    bool interrupted; /* while scoring: nothing but predictions.csv can be written */
    mg_aggregation aggregation;
    /* What is called cancer, and the words for where that comes from. */
    double image_threshold, breast_threshold, patient_threshold;
    const char *threshold_name;
    double prevalence;
    bool labelled; /* the table gives a label for some image */
    mg_assessment assessment;
} mg_predictor;

/* predictor.c */
mg_status mg_predictor_open(mg_predictor *p, char **files, int file_count, mg_error *err);
/* MG_ERR_INTERRUPTED after Ctrl-C; what was scored until then stays. */
mg_status mg_predictor_score(mg_predictor *p, mg_error *err);
void mg_predictor_close(mg_predictor *p);
const char *mg_predict_path(const char *name); /* OUT/name in a static buffer */
mg_loader_options mg_predictor_loader(const mg_predictor *p, int model);
/* An image's probability, prior-corrected. */
double mg_predictor_calibrated(const mg_predictor *p, double probability);
/* A breast's: the aggregate of its images' corrected probabilities (an aggregate of uncorrected
 * ones has no known prior to correct). NaN without a scored image, or memory. */
double mg_predictor_calibrated_breast(const mg_predictor *p, const mg_manifest_group *breast);

/* predict_tables.c: predictions.csv, submission.csv, patients.csv. */
mg_status mg_predict_write_tables(mg_predictor *p, mg_error *err);
mg_status mg_predict_write_predictions(mg_predictor *p, mg_error *err); /* the first alone */
/* predict_cams.c: the first model looks again at every usable image; on_item gets (p, item) with
 * map and overlay. */
mg_status mg_predict_look(mg_predictor *p, mg_status (*on_item)(void *, mg_cam_item *, mg_error *),
                          const char *progress, mg_error *err);
/* An overlay per image under OUT/cam/. */
mg_status mg_predict_write_cams(mg_predictor *p, mg_error *err);
/* predict_report.c: OUT/report.html. */
mg_status mg_predict_write_report(mg_predictor *p, mg_error *err);
/* predict_trace.c: every stage of every image as .safetensors (small inputs only). */
mg_status mg_predict_write_traces(mg_predictor *p, mg_error *err);
/* predict_dicom.c: Secondary Capture and structured report objects. */
mg_status mg_predict_write_dicom(mg_predictor *p, mg_error *err);

#endif
