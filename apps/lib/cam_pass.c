#include "apps/lib/cam_pass.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/scoring.h"
#include "data/files.h"
#include "nn/cam.h"

/* The pointing game forgives 15 pixels on images of about 500 (Zhang et al. 2016). */
#define POINTING_TOLERANCE 0.03

typedef struct run {
    const mg_cam_pass *pass;
    mg_cam_item *items;
    mg_preprocessor *preprocessor;
    mg_status status;
    mg_error *err;
} run;

/* The lesion mask of an image, one byte per pixel of the original; NULL: none. */
static uint8_t *read_mask(const run *r, const mg_manifest_image *image, const mg_geometry *g) {
    if (!r->pass->masks) return NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s.png", r->pass->masks, image->patient_id, image->image_id);
    mg_png png;
    if (!mg_is_file(path) || mg_png_read(path, &png, NULL)) return NULL;
    size_t n = (size_t)png.width * png.height;
    uint8_t *mask =
        png.width == g->columns && png.height == g->rows && png.bits == 8 ? malloc(n) : NULL;
    for (size_t i = 0; mask && i < n; i++)
        mask[i] = ((const uint8_t *)png.pixels)[i * (size_t)png.channels] != 0;
    mg_png_free(&png);
    return mask;
}

static mg_status play(mg_cam_item *item, const mg_cam *cam, const uint8_t *mask, mg_error *err) {
    int rows = (int)cam->geometry->rows, columns = (int)cam->geometry->columns;
    float *spread = malloc((size_t)rows * (size_t)columns * sizeof *spread);
    if (!spread) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    mg_status s = mg_cam_resample(cam, rows, columns, NAN, spread, err);
    if (!s)
        item->has_mask = mg_pointing_game(spread, mask, rows, columns,
                                          POINTING_TOLERANCE * (rows > columns ? rows : columns),
                                          &item->pointing);
    free(spread);
    return s;
}

static mg_status draw(run *r, mg_cam_item *item, const mg_cam *cam, const uint8_t *mask,
                      const mg_manifest_image *image, mg_error *err) {
    float *grey = NULL;
    uint32_t rows = 0, columns = 0;
    mg_status s = mg_preprocess_display(r->preprocessor, image->path, &grey, &rows, &columns, err);
    char title[200];
    snprintf(title, sizeof title, "%.90s_%c  %.40s", image->patient_id, image->laterality,
             image->view);
    mg_cam_overlay_options options = {.max_side = r->pass->max_side,
                                      .title = title,
                                      .no_caption = r->pass->no_caption,
                                      .probability = item->probability,
                                      .calibrated = item->calibrated,
                                      .verdict = item->verdict,
                                      .mask = mask};
    if (!s) s = mg_cam_overlay(grey, (int)rows, (int)columns, cam, &options, &item->overlay, err);
    free(grey);
    return s;
}

static mg_status look(run *r, const mg_scored *one, mg_error *err) {
    mg_cam_item *item = &r->items[one->item];
    const mg_manifest_image *image = &r->pass->loader.manifest->image[one->image];
    int64_t cells = one->feature_height * one->feature_width;
    float *map = malloc((size_t)cells * sizeof *map);
    if (!map) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    double identity =
        mg_cam_map(r->pass->net, one->features, one->feature_height, one->feature_width, map);
    mg_status s = MG_OK;
    if (fabs(identity - (double)one->logit) > mg_cam_tolerance((double)one->logit))
        s = mg_fail(err, MG_ERR_NUMERIC, "%s: the map's mean plus bias is %g, the logit %g",
                    image->path, identity, (double)one->logit);
    /* Tiles, not stride centres: on phantoms, maps read as tiles hit the lesion and maps read by
     * stride centres missed it by half a cell. Measured, not explained. */
    mg_cam cam = {(int)one->feature_height, (int)one->feature_width, map, one->geometry,
                  MG_ALIGN_STRETCH};
    item->map = map;
    item->map_height = cam.height;
    item->map_width = cam.width;
    item->geometry = one->geometry;
    item->logit = one->logit;
    uint8_t *mask = s ? NULL : read_mask(r, image, one->geometry);
    if (mask) s = play(item, &cam, mask, err);
    if (!s && item->want_overlay) s = draw(r, item, &cam, mask, image, err);
    if (!s) s = r->pass->on_item(r->pass->arg, item, err);
    mg_png_free(&item->overlay);
    item->overlay = (mg_png){0};
    free(mask);
    free(map);
    item->map = NULL;
    return s;
}

static bool on_image(void *arg, const mg_scored *one) {
    run *r = arg;
    r->status = look(r, one, r->err);
    return r->status == MG_OK;
}

mg_status mg_cam_run(const mg_cam_pass *pass, mg_cam_item *items, int32_t count, mg_error *err) {
    if (!count) return MG_OK;
    mg_context_to_host(pass->ctx); /* the classifier's weights */
    run r = {.pass = pass, .items = items, .err = err};
    int32_t *list = malloc((size_t)count * sizeof *list);
    if (!list) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int32_t i = 0; i < count; i++) list[i] = items[i].image;
    mg_plan plan = {0};
    mg_status s = mg_plan_images(pass->loader.manifest, list, count, 4, &plan, err);
    free(list);
    r.preprocessor = s ? NULL : mg_preprocessor_create(&pass->card->input, err);
    if (!s && !r.preprocessor) s = err->code;
    mg_scoring scoring = {.ctx = pass->ctx,
                          .net = pass->net,
                          .card = pass->card,
                          .loader = pass->loader,
                          .want_features = true,
                          .on_image = on_image,
                          .arg = &r,
                          .progress = pass->progress};
    scoring.loader.plan = &plan;
    scoring.loader.keep_geometry = true;
    if (!s) s = mg_score(&scoring, err);
    if (r.status) s = r.status;
    mg_preprocessor_destroy(r.preprocessor);
    mg_plan_free(&plan);
    return s;
}
