#include "apps/lib/gallery.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/files.h"

enum { TP, FP, FN, TN, KINDS };

static int kind_of(double probability, int label, double threshold) {
    bool called = probability >= threshold;
    return called ? (label ? TP : FP) : (label ? FN : TN);
}

/* How telling an item is for its kind: the surest calls and the worst misses first. */
static double interest(double probability, int kind) {
    return kind == TP || kind == FP ? probability : -probability;
}

/* The `each` most telling images of a kind, one per breast, as flags over the level's items. */
static void choose(const mg_manifest *m, const mg_level *l, int kind, double threshold, int each,
                   bool *chosen) {
    for (int n = 0; n < each; n++) {
        size_t best = l->count;
        for (size_t i = 0; i < l->count; i++) {
            if (chosen[i] || kind_of(l->probability[i], l->label[i], threshold) != kind) continue;
            bool seen = false;
            for (size_t k = 0; k < l->count && !seen; k++)
                seen = chosen[k] && m->image[l->source[k]].group == m->image[l->source[i]].group;
            if (seen) continue;
            if (best == l->count ||
                interest(l->probability[i], kind) > interest(l->probability[best], kind))
                best = i;
        }
        if (best == l->count) return;
        chosen[best] = true;
    }
}

static bool mask_exists(const char *folder, const mg_manifest_image *image) {
    char path[4096];
    if (!folder) return false;
    snprintf(path, sizeof path, "%s/%s/%s.png", folder, image->patient_id, image->image_id);
    return mg_is_file(path);
}

typedef struct collector {
    const mg_manifest *m;
    const mg_level *level;
    mg_gallery *out;
    double threshold;
} collector;

static mg_status collect(void *arg, mg_cam_item *item, mg_error *err) {
    (void)err;
    collector *c = arg;
    mg_report_pointing *p = &c->out->pointing;
    if (item->has_mask) {
        bool detected = item->probability >= c->threshold;
        p->images++;
        p->hits += item->pointing.hit;
        p->detected_images += detected;
        p->detected_hits += detected && item->pointing.hit;
        if (!isnan(item->pointing.energy)) p->mean_energy += item->pointing.energy;
        p->mean_iou += item->pointing.iou;
    }
    if (!item->want_overlay) return MG_OK;
    const mg_manifest_image *image = &c->m->image[item->image];
    size_t k = c->out->count++;
    c->out->overlay[k] = item->overlay;
    item->overlay = (mg_png){0};
    c->out->picture[k] = (mg_report_picture){.id = c->m->group[image->group].id,
                                             .view = image->view,
                                             .probability = item->probability,
                                             .calibrated = item->calibrated,
                                             .label = image->cancer,
                                             .threshold = c->threshold,
                                             .overlay = &c->out->overlay[k]};
    return MG_OK;
}

mg_status mg_gallery_make(const mg_cam_pass *pass, const mg_assessment *assessment,
                          double threshold, double prevalence, int each, mg_gallery *out,
                          mg_error *err) {
    const mg_manifest *m = pass->loader.manifest;
    const mg_level *l = &assessment->level[MG_LEVEL_IMAGE];
    *out = (mg_gallery){0};
    bool *chosen = calloc(l->count + 1, sizeof *chosen);
    mg_cam_item *items = calloc(l->count + 1, sizeof *items);
    out->picture = calloc((size_t)(KINDS * each) + 1, sizeof *out->picture);
    out->overlay = calloc((size_t)(KINDS * each) + 1, sizeof *out->overlay);
    mg_status s = chosen && items && out->picture && out->overlay
                      ? MG_OK
                      : mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int kind = TP; kind <= TN && !s; kind++) choose(m, l, kind, threshold, each, chosen);
    int32_t n = 0;
    for (size_t i = 0; i < l->count && !s; i++) {
        if (!chosen[i] && !(l->label[i] && mask_exists(pass->masks, &m->image[l->source[i]])))
            continue;
        double p = l->probability[i];
        items[n++] = (mg_cam_item){
            .image = l->source[i],
            .probability = p,
            .want_overlay = chosen[i],
            .calibrated = prevalence > 0 && prevalence < 1 ? mg_prior_correct(p, prevalence) : NAN};
    }
    collector c = {m, l, out, threshold};
    mg_cam_pass mine = *pass;
    mine.on_item = collect;
    mine.arg = &c;
    mine.max_side = pass->max_side ? pass->max_side : 420;
    mine.no_caption = true;
    if (!s) s = mg_cam_run(&mine, items, n, err);
    if (out->pointing.images) {
        out->pointing.mean_energy /= (double)out->pointing.images;
        out->pointing.mean_iou /= (double)out->pointing.images;
    }
    free(chosen);
    free(items);
    return s;
}

void mg_gallery_free(mg_gallery *g) {
    for (size_t i = 0; i < g->count; i++) mg_png_free(&g->overlay[i]);
    free(g->overlay);
    free(g->picture);
    *g = (mg_gallery){0};
}
