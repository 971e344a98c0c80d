#include "tests/lib/report_sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/aggregate.h"
#include "data/cam_overlay.h"
#include "tensor/rng.h"

enum { PATIENTS = 240, BREASTS = 2 * PATIENTS, IMAGES = 2 * BREASTS, EPOCHS = 17, PICTURES = 16 };

static double normal(uint32_t stream, int i) {
    mg_rng_key key = {.seed = 2024, .purpose = MG_RNG_TEST, .sample = stream};
    return mg_rng_normal(&key, (uint32_t)i);
}

/* --- evaluations ------------------------------------------------------------------------------ */

static double image_p[IMAGES], breast_p[BREASTS];
static uint8_t image_y[IMAGES], breast_y[BREASTS];
static int32_t image_patient[IMAGES], image_breast[IMAGES], breast_patient[BREASTS];
static double patient_p[PATIENTS];
static uint8_t patient_y[PATIENTS];
static mg_evaluation per_image, per_breast, per_patient;

static void make_scores(void) {
    for (int b = 0; b < BREASTS; b++) {
        breast_y[b] = b % 20 == 3;
        breast_patient[b] = b / 2;
        double skill = 1.5 * breast_y[b] - 0.7 + 0.9 * normal(1, b);
        for (int k = 0; k < 2; k++) {
            int i = 2 * b + k;
            image_p[i] = 1 / (1 + exp(-1.3 * (skill + 0.5 * normal(2, i))));
            image_y[i] = breast_y[b];
            image_breast[i] = b;
            image_patient[i] = b / 2;
        }
    }
    mg_aggregate_groups(MG_AGGREGATE_SEED, image_p, image_breast, IMAGES, BREASTS, breast_p, NULL);
    mg_evaluation_options o = {.bootstrap = {.seed = 5, .resamples = 400}};
    mg_eval_set images = {IMAGES, image_p, image_y, image_patient, PATIENTS};
    mg_eval_set breasts = {BREASTS, breast_p, breast_y, breast_patient, PATIENTS};
    mg_evaluate(&images, &o, &per_image, NULL);
    mg_evaluate(&breasts, &o, &per_breast, NULL);
    mg_aggregate_groups(MG_AGGREGATE_SEED, image_p, image_patient, IMAGES, PATIENTS, patient_p,
                        NULL);
    mg_aggregate_labels(image_y, image_patient, IMAGES, PATIENTS, patient_y);
    mg_eval_set patients = {PATIENTS, patient_p, patient_y, NULL, 0};
    mg_evaluate(&patients, &o, &per_patient, NULL);
}

static mg_subgroup_table subgroups[3];

static void make_subgroups(void) {
    static const char *view[IMAGES], *density[IMAGES], *age[IMAGES];
    const char *densities[] = {"A", "B", "C", "D", ""};
    for (int i = 0; i < IMAGES; i++) {
        view[i] = i % 2 ? "MLO" : "CC";
        density[i] = densities[(image_patient[i] * 7) % 5];
        age[i] = mg_age_band(35 + image_patient[i] % 43);
    }
    mg_bootstrap_options b = {.seed = 6, .resamples = 200};
    mg_eval_set images = {IMAGES, image_p, image_y, image_patient, PATIENTS};
    mg_subgroup_compute(&images, "View", view, 0.5, &b, &subgroups[0], NULL);
    mg_subgroup_compute(&images, "Density", density, 0.5, &b, &subgroups[1], NULL);
    mg_subgroup_compute(&images, "Age", age, 0.5, &b, &subgroups[2], NULL);
}

/* --- pictures --------------------------------------------------------------------------------- */

enum { ROWS = 480, COLUMNS = 250 };
static mg_png overlays[PICTURES];
static mg_report_picture pictures[PICTURES];
static char ids[PICTURES][16];

/* A half ellipse with a few soft blobs: enough of a breast to judge the page by. */
static void draw_breast(int number, float *grey, uint8_t *mask, double lesion[2]) {
    lesion[0] = ROWS * (0.4 + 0.12 * normal(3, number));
    lesion[1] = COLUMNS * 0.42;
    for (int y = 0; y < ROWS; y++) {
        for (int x = 0; x < COLUMNS; x++) {
            double dy = (y - ROWS * 0.5) / (ROWS * 0.42), dx = x / (COLUMNS * 0.86);
            double depth = 1 - dx * dx - dy * dy, v = 0.015;
            if (depth > 0) {
                v = 0.16 + 0.22 * fmin(1, 6 * depth);
                for (int k = 0; k < 9; k++) {
                    double cy = ROWS * (0.5 + 0.17 * normal(4, number * 40 + 2 * k));
                    double cx = COLUMNS * (0.36 + 0.15 * normal(4, number * 40 + 2 * k + 1));
                    double r = COLUMNS * 0.11, d = (y - cy) * (y - cy) + (x - cx) * (x - cx);
                    v += 0.16 * exp(-d / (r * r));
                }
            }
            double ly = y - lesion[0], lx = x - lesion[1], d = ly * ly + lx * lx;
            mask[y * COLUMNS + x] = number % 4 < 2 && d < 20 * 20;
            if (number % 4 < 2) v += 0.35 * exp(-d / 300);
            grey[y * COLUMNS + x] = (float)v;
        }
    }
}

static void make_pictures(void) {
    static float grey[ROWS * COLUMNS], map[30 * 16];
    static uint8_t mask[ROWS * COLUMNS];
    for (int i = 0; i < PICTURES; i++) {
        double lesion[2];
        bool called = i % 2 == 0;
        draw_breast(i, grey, mask, lesion);
        for (int c = 0; c < 30 * 16; c++) {
            double y = c / 16 - lesion[0] / 16 + (called ? 0 : 6), x = c % 16 - lesion[1] / 15.6;
            map[c] = (float)((called ? 3 : 0.8) * exp(-(x * x + y * y) / 5) - 0.5 +
                             0.1 * normal(5, i * 480 + c));
        }
        mg_cam cam = {.height = 30, .width = 16, .value = map};
        mg_cam_overlay_options o = {.no_caption = true,
                                    .max_side = 300,
                                    .range_high = 2.6,
                                    .mask = i % 4 < 2 ? mask : NULL};
        mg_cam_overlay(grey, ROWS, COLUMNS, &cam, &o, &overlays[i], NULL);
        snprintf(ids[i], sizeof ids[i], "%d_%c", 10006 + 137 * i, i % 3 ? 'L' : 'R');
        double p = called ? 0.93 - 0.02 * i : 0.31 - 0.015 * i;
        pictures[i] = (mg_report_picture){.id = ids[i],
                                          .view = i % 3 ? "MLO" : "CC",
                                          .probability = p,
                                          .calibrated = mg_prior_correct(p, 0.05),
                                          .label = i % 4 < 2,
                                          .threshold = 0.5,
                                          .overlay = &overlays[i]};
    }
}

/* --- the rest --------------------------------------------------------------------------------- */

static mg_report_epoch epochs[EPOCHS];
static mg_report_breast breasts[60];
static char breast_ids[60][32];

static void make_epochs(void) {
    for (int i = 0; i < EPOCHS; i++) {
        double rate = i < 8 ? 1e-3 : i < 11 ? 1e-4 : i < 14 ? 1e-5 : 1e-6;
        epochs[i] = (mg_report_epoch){
            .epoch = i + 1,
            .train_loss = 0.24 + 0.45 * exp(-i / 4.0) + 0.008 * normal(7, i),
            .validation_loss = 0.36 + 0.35 * exp(-i / 3.0) + 0.004 * i + 0.012 * normal(8, i),
            .learning_rate = rate,
            .validation_f1 = 0.83 - 0.3 * exp(-i / 3.0) + 0.012 * normal(9, i)};
    }
}

static void make_breasts(void) {
    for (int i = 0; i < 60; i++) {
        snprintf(breast_ids[i], sizeof breast_ids[i], "%d_%c", 10006 + 31 * i, i % 2 ? 'R' : 'L');
        double p = i == 7 ? NAN : breast_p[i];
        breasts[i] = (mg_report_breast){.prediction_id = breast_ids[i],
                                        .patient_id = "10006",
                                        .laterality = i % 2 ? "R" : "L",
                                        .images = i == 7 ? 0 : 2,
                                        .unreadable = i == 7 ? 2 : 0,
                                        .probability = p,
                                        .calibrated = mg_prior_correct(p, 0.05),
                                        .flagged = p >= 0.5,
                                        .label = breast_y[i],
                                        .pictures = &pictures[2 * (i % 8)],
                                        .picture_count = p >= 0.5 ? 2 : 0};
    }
}

void report_sample(mg_report_train *train, mg_report_predict *predict) {
    static mg_report_evaluation levels[3];
    static const mg_report_pair settings[] = {
        {"Architecture", "EfficientNet-B4"},
        {"Input", "955 × 500"},
        {"Window", "seed"},
        {"Crop", "breast"},
        {"Batch", "8 prediction ids"},
        {"Optimiser", "Adam, 1e-3"},
        {"Plateau", "×0.1 after 1 epoch"},
        {"Early stop", "8 epochs, 0.01"},
        {"Seed", "1"},
        {"Weights file", "/data/weights/efficientnet_b4_rwightman-7eb33cd5.pth <&\"'>"}};
    static const mg_report_skipped skipped[] = {
        {"test_images/10102/447.dcm",
         "DICOM: ends in the middle of the pixel data, at byte 120,331"},
        {"test_images/<script>alert(1)</script>.dcm", "not a DICOM file: no DICM after 128 bytes"}};
    static const char *const notes[] = {"Two patients have breasts in different density classes."};
    if (!train) return;
    if (!levels[0].name) {
        make_scores();
        make_subgroups();
        make_pictures();
        make_epochs();
        make_breasts();
        levels[0] =
            (mg_report_evaluation){.name = "Per image", .unit = "images", .evaluation = &per_image};
        levels[1] = (mg_report_evaluation){
            .name = "Per breast", .unit = "breasts", .evaluation = &per_breast};
        levels[2] = (mg_report_evaluation){
            .name = "Per patient", .unit = "patients", .evaluation = &per_patient};
    }
    *train = (mg_report_train){
        .title = "Training report",
        .run = "runs/b4-955",
        .data = "phantom-1200",
        .phantom = true,
        .model = "EfficientNet-B4",
        .start = "weights trained on phantoms",
        .trained_part = "stages 7–8 and the classifier (30.1% of the parameters)",
        .input_height = 955,
        .input_width = 500,
        .train = {3840, 1920, 960, 384, 192},
        .validation = {IMAGES, BREASTS, PATIENTS, 48, 24},
        .epochs = epochs,
        .epoch_count = EPOCHS,
        .best_epoch = 9,
        .stop_reason = "no improvement of the validation loss by 0.01 for 8 epochs",
        .aggregation = "seed",
        .evaluations = levels,
        .evaluation_count = 3,
        .subgroups = subgroups,
        .subgroup_count = 3,
        .subgroup_unit = "images",
        .pictures = pictures,
        .picture_count = PICTURES,
        .pointing = {48, 37, 40, 34, 0.34, 0.21},
        .settings = settings,
        .setting_count = 10,
        .notes = notes,
        .note_count = 1};
    *predict = (mg_report_predict){.data = "test.csv, 60 breasts",
                                   .model = "EfficientNet-B4",
                                   .model_file = "best.safetensors",
                                   .phantom = true,
                                   .threshold = 0.5,
                                   .prevalence = 0.05,
                                   .aggregation = "seed",
                                   .counts = {118, 60, 30, 6, 3},
                                   .breasts = breasts,
                                   .breast_count = 60,
                                   .breast_limit = 40,
                                   .skipped = skipped,
                                   .skipped_count = 2,
                                   .settings = settings,
                                   .setting_count = 4};
}
