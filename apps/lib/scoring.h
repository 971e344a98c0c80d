/* scoring.h: running a network over images in evaluation mode. */
#ifndef MG_APPS_LIB_SCORING_H
#define MG_APPS_LIB_SCORING_H

#include "apps/lib/model.h"
#include "data/loader.h"

/* Called for every usable image, in plan order. features: [h,w,C] of the head, NULL unless asked
 * for. Return false to stop early. */
typedef struct mg_scored {
    int32_t image, item; /* into the manifest, into the plan */
    float logit;
    const float *features;
    int64_t feature_height, feature_width, feature_channels;
    const mg_geometry *geometry; /* with options.keep_geometry */
} mg_scored;

typedef struct mg_scoring {
    mg_context *ctx;
    mg_efficientnet *net; /* folded by the caller */
    const mg_card *card;
    mg_loader_options loader;
    bool want_features;
    bool (*on_image)(void *arg, const mg_scored *scored);
    void (*on_bad)(void *arg, const mg_bad_item *bad); /* may be NULL */
    void *arg;
    const char *progress; /* label of the bar; NULL: none */
} mg_scoring;

/* MG_ERR_INTERRUPTED after Ctrl-C or when on_image returned false. */
mg_status mg_score(const mg_scoring *scoring, mg_error *err);

#endif
