/* report.h: report.html, one self-contained file (inline SVG and PNG, no scripts, nothing from the
 * network) for a phone, a desk and paper, light and dark.
 *
 * The programs fill plain structs; everything is borrowed for the call. NULL strings, NaN numbers
 * and zero counts mean "not known" or "none", and the part of the page they would fill is left out.
 * Strings are escaped by the writer. The file is written crash-safely. */
#ifndef MG_DATA_REPORT_H
#define MG_DATA_REPORT_H

#include "data/metrics_evaluation.h"
#include "data/png.h"

typedef struct mg_report_pair {
    const char *key, *value;
} mg_report_pair;

/* One epoch of the learning curves, numbered from 1. */
typedef struct mg_report_epoch {
    int epoch;
    double train_loss, validation_loss, learning_rate;
    double validation_f1; /* instance, threshold .5; NaN when unknown */
} mg_report_epoch;

/* One level of evaluation. */
typedef struct mg_report_evaluation {
    const char *name; /* "Per image", "Per breast", "Per patient" */
    const char *unit; /* "images", "breasts", "patients" */
    const mg_evaluation *evaluation;
    const char *threshold_name; /* of its second threshold; NULL: "the F1-best threshold" */
    int shown; /* MG_AT_HALF or MG_AT_BEST: of the words, the key figures and the matrices */
} mg_report_evaluation;

/* A picture of the gallery (keep to about 320 pixels wide; the reader scrolls through all). */
typedef struct mg_report_picture {
    const char *id;                 /* "10006_L" */
    const char *view;               /* "MLO" */
    double probability, calibrated; /* calibrated: NaN when unknown */
    int label;                      /* 0, 1; -1: unknown */
    double threshold;               /* decides true/false positive/negative together with label */
    const mg_png *overlay;          /* from mg_cam_overlay(), without caption; 8-bit RGB or grey */
} mg_report_picture;

/* Images in, images out. */
typedef struct mg_report_counts {
    int64_t images, breasts, patients, positive_images, positive_breasts;
} mg_report_counts;

/* Pointing game over the images that have a lesion mask. */
typedef struct mg_report_pointing {
    int64_t images, hits;                   /* all images with a mask */
    int64_t detected_images, detected_hits; /* those whose probability is over the threshold */
    double mean_energy, mean_iou;
} mg_report_pointing;

typedef struct mg_report_train {
    const char *title;        /* NULL: "Training report" */
    const char *run;          /* name of the run folder */
    const char *data;         /* where the images come from, in the words of the reader */
    bool phantom;             /* synthetic images: said at the top and in the notes */
    const char *model;        /* "EfficientNet-B4" */
    const char *start;        /* "ImageNet weights from efficientnet_b4.safetensors" or
                               "random weights" */
    const char *trained_part; /* "stages 7–8 and the classifier (30.1% of the parameters)" */
    int input_height, input_width;
    mg_report_counts train, validation;
    const mg_report_epoch *epochs;
    size_t epoch_count;
    int best_epoch;
    const char *stop_reason;                 /* "no improvement for 8 epochs" */
    const char *aggregation;                 /* mg_aggregation_name() */
    const mg_report_evaluation *evaluations; /* instance first, then per breast, … */
    size_t evaluation_count;
    const mg_subgroup_table *subgroups;
    size_t subgroup_count;
    const char *subgroup_unit; /* "images" */
    const mg_report_picture *pictures;
    size_t picture_count;
    mg_report_pointing pointing;
    const mg_report_pair *settings;
    size_t setting_count;
    const char *const *notes; /* further honest notes, a sentence each */
    size_t note_count;
} mg_report_train;

typedef struct mg_report_breast {
    const char *prediction_id, *patient_id, *laterality;
    int64_t images;     /* used */
    int64_t unreadable; /* of this breast */
    double probability, calibrated;
    bool flagged;                      /* over the threshold */
    int label;                         /* -1: unknown */
    const mg_report_picture *pictures; /* shown beside it */
    size_t picture_count;
} mg_report_breast;

typedef struct mg_report_skipped {
    const char *file, *reason;
} mg_report_skipped;

typedef struct mg_report_predict {
    const char *title; /* NULL: "Prediction report" */
    const char *data, *model, *model_file;
    bool phantom;
    double threshold, prevalence;
    const char *threshold_name; /* "the model's threshold"; NULL: not said */
    const char *aggregation;
    mg_report_counts counts;
    const mg_report_breast *breasts; /* any order; the page sorts by probability */
    size_t breast_count;
    size_t breast_limit; /* rows shown; 0 means 500; the page says how many it left out */
    const mg_report_skipped *skipped;
    size_t skipped_count;
    const mg_report_evaluation *evaluations; /* when the labels are known */
    size_t evaluation_count;
    const mg_subgroup_table *subgroups;
    size_t subgroup_count;
    const char *subgroup_unit;
    mg_report_pointing pointing;
    const mg_report_pair *settings;
    size_t setting_count;
    const char *const *notes;
    size_t note_count;
} mg_report_predict;

mg_status mg_report_write_train(const char *path, const mg_report_train *report, mg_error *err);
mg_status mg_report_write_predict(const char *path, const mg_report_predict *report, mg_error *err);

/* The same charts as files in `folder`: learning_curves.png, roc.png, precision_recall.png,
 * calibration.png, confusion_<level>.png; those that have data. */
mg_status mg_report_write_plots(const char *folder, const mg_report_train *report, mg_error *err);

#endif
