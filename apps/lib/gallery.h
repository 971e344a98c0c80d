/* gallery.h: the pictures of a report (the clearest true and false positives and negatives) and
 * the pointing game over every image that has a lesion mask, in one pass. */
#ifndef MG_APPS_LIB_GALLERY_H
#define MG_APPS_LIB_GALLERY_H

#include "apps/lib/assessment.h"
#include "apps/lib/cam_pass.h"
#include "data/report.h"

typedef struct mg_gallery {
    mg_report_picture *picture; /* strings are the manifest's; overlays are owned */
    mg_png *overlay;
    size_t count;
    mg_report_pointing pointing;
} mg_gallery;

/* `pass` needs ctx, net, card, loader and masks. `each`: pictures per kind. prevalence corrects the
 * probabilities shown (0: none shown). */
mg_status mg_gallery_make(const mg_cam_pass *pass, const mg_assessment *assessment,
                          double threshold, double prevalence, int each, mg_gallery *out,
                          mg_error *err);
void mg_gallery_free(mg_gallery *g);

#endif
