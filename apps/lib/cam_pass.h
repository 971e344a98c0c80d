/* cam_pass.h: a second look at chosen images: their class activation maps, overlays on the
 * original, and, where lesion masks exist, whether the maps point at the lesions. */
#ifndef MG_APPS_LIB_CAM_PASS_H
#define MG_APPS_LIB_CAM_PASS_H

#include "apps/lib/model.h"
#include "data/cam_overlay.h"
#include "data/loader.h"
#include "data/metrics_pointing.h"

typedef struct mg_cam_item {
    int32_t image;                  /* into the manifest */
    double probability, calibrated; /* shown in the caption; NaN: not */
    const char *verdict;            /* caption: "true positive"; NULL: none */
    bool want_overlay;
    mg_png overlay; /* filled; the pass frees it after on_item */
    bool has_mask;  /* filled */
    mg_pointing pointing;
    const float *map; /* during on_item: [map_height, map_width] */
    int map_height, map_width;
    const mg_geometry *geometry;
    float logit;
} mg_cam_item;

typedef struct mg_cam_pass {
    mg_context *ctx;
    mg_efficientnet *net;
    const mg_card *card;
    mg_loader_options loader; /* manifest, cache, workers; the plan is made here */
    const char *masks;        /* folder of <patient>/<image>.png lesion masks, or NULL */
    int max_side;             /* of the overlays; 0: the original's size */
    bool no_caption;
    mg_status (*on_item)(void *arg, mg_cam_item *item, mg_error *err); /* may take the overlay */
    void *arg;
    const char *progress;
} mg_cam_pass;

/* Images that cannot be read (any more) are left out. Checks mean(map) + bias = logit. */
mg_status mg_cam_run(const mg_cam_pass *pass, mg_cam_item *items, int32_t count, mg_error *err);

#endif
