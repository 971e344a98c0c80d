/* assessment.h: from a probability per image to everything that is said about a set: per image,
 * per breast, per patient, with intervals, and by subgroup. */
#ifndef MG_APPS_LIB_ASSESSMENT_H
#define MG_APPS_LIB_ASSESSMENT_H

#include "data/aggregate.h"
#include "data/manifest.h"
#include "data/metrics_evaluation.h"

enum { MG_LEVEL_IMAGE, MG_LEVEL_BREAST, MG_LEVEL_PATIENT, MG_LEVELS, MG_SUBGROUPS = 5 };

/* One level's items. `source` is the manifest's image, group or patient index. */
typedef struct mg_level {
    size_t count;
    double *probability;
    uint8_t *label; /* 1 cancer, 0 none or unknown */
    int32_t *patient, *source;
    size_t unknown; /* how many have no label and are left out of the evaluation */
} mg_level;

typedef struct mg_assessment {
    mg_level level[MG_LEVELS];
    mg_evaluation evaluation[MG_LEVELS]; /* items 0: not evaluated (labels unknown) */
    mg_subgroup_table subgroup[MG_SUBGROUPS];
    int subgroups;
    char *names; /* private: texts of the subgroups */
} mg_assessment;

typedef struct mg_assess_options {
    mg_aggregation aggregation;
    double threshold[MG_LEVELS];
    bool threshold_given; /* false: the F1-best is found here, and subgroups are judged at .5 */
    int bootstrap;        /* resamples; 0: no intervals */
    uint64_t seed;
} mg_assess_options;

/* probability[image] for every image of the manifest, NaN where there is none. Evaluated are the
 * scored items that have a label; a breast's and a patient's is that of their labelled images. The
 * bootstrap draws from the patients of these items. */
mg_status mg_assess(const mg_manifest *m, const double *probability,
                    const mg_assess_options *options, mg_assessment *out, mg_error *err);
void mg_assessment_free(mg_assessment *a);

#endif
