/* predict_cams.c: overlays in the original geometry. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/lib/predictor.h"
#include "data/files.h"

static mg_status save(void *arg, mg_cam_item *item, mg_error *err) {
    const mg_predictor *p = arg;
    const mg_manifest_image *image = &p->manifest.image[item->image];
    char name[512];
    snprintf(name, sizeof name, "cam/%.200s_%.200s.png", p->manifest.group[image->group].id,
             image->image_id);
    for (char *c = name + 4; *c; c++)
        if (*c == '/') *c = '_';
    return mg_png_write(mg_predict_path(name), &item->overlay, err);
}

/* For the caption, where the truth is known. */
static const char *verdict(const mg_predictor *p, int32_t image) {
    static const char *const words[2][2] = {{"true negative", "false positive"},
                                            {"false negative", "true positive"}};
    int cancer = p->manifest.image[image].cancer;
    return cancer < 0 ? NULL : words[cancer == 1][p->probability[image] >= p->image_threshold];
}

mg_status mg_predict_look(mg_predictor *p, mg_status (*on_item)(void *, mg_cam_item *, mg_error *),
                          const char *progress, mg_error *err) {
    int32_t n = 0, total = p->manifest.image_count;
    mg_cam_item *items = calloc((size_t)total + 1, sizeof *items);
    if (!items) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int32_t i = 0; i < total; i++)
        if (!p->reason[i])
            items[n++] = (mg_cam_item){.image = i,
                                       .probability = p->probability[i],
                                       .calibrated = mg_predictor_calibrated(p, p->probability[i]),
                                       .verdict = verdict(p, i),
                                       .want_overlay = true};
    mg_cam_pass pass = {.ctx = p->model[0].ctx,
                        .net = p->model[0].net,
                        .card = &p->model[0].card,
                        .loader = mg_predictor_loader(p, 0),
                        .max_side = (int)mg_predict.overlay_side,
                        .on_item = on_item,
                        .arg = p,
                        .progress = progress};
    mg_status s = mg_cam_run(&pass, items, n, err);
    free(items);
    return s;
}

mg_status mg_predict_write_cams(mg_predictor *p, mg_error *err) {
    mg_status s = mg_make_folders(mg_predict_path("cam"), err);
    return s ? s : mg_predict_look(p, save, "activation maps", err);
}
