/* Subgroups, pictures, settings, notes; shared by both reports. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/report_page.h"

/* --- subgroups -------------------------------------------------------------------------------- */

static void subgroup_row(mg_page *page, const mg_subgroup_row *row) {
    const mg_metrics *m = &row->metrics;
    mg_page_raw(page, "<tr><th>");
    mg_page_text(page, row->name);
    mg_page_raw(page, "</th><td>");
    mg_page_text(page, mg_say_count((double)(m->positives + m->negatives)));
    mg_page_raw(page, "</td><td>");
    mg_page_text(page, mg_say_count((double)m->positives));
    mg_page_raw(page, "</td>");
    mg_page_interval_cell(page, &row->interval[MG_METRIC_ROC_AUC]);
    mg_page_interval_cell(page, &row->interval[MG_METRIC_RECALL]);
    mg_page_interval_cell(page, &row->interval[MG_METRIC_SPECIFICITY]);
    mg_page_raw(page, "</tr>\n");
}

void mg_report_subgroups(mg_page *page, const mg_subgroup_table *tables, size_t count,
                         const char *unit) {
    if (count == 0) return;
    mg_page_section(page, "subgroups", "Subgroups");
    mg_page_raw(page, "<p>");
    mg_page_format(page,
                   "Counted in %s, at threshold %s. Wide intervals mean few cancers: compare "
                   "rows with care.",
                   unit ? unit : "images",
                   tables[0].count ? mg_say_figure(tables[0].row[0].metrics.threshold) : "–");
    mg_page_raw(page, "</p>\n");
    for (size_t t = 0; t < count; t++) {
        mg_page_raw(page, "<div class=\"scroll\"><table>\n<thead><tr><th>");
        mg_page_text(page, tables[t].title);
        mg_page_raw(page, "</th><th>n</th><th>cancer</th><th>ROC-AUC</th><th>Recall</th>"
                          "<th>Specificity</th></tr></thead>\n<tbody>\n");
        for (size_t r = 0; r < tables[t].count; r++) subgroup_row(page, &tables[t].row[r]);
        mg_page_raw(page, "</tbody></table></div>\n");
    }
    mg_page_section_end(page);
}

/* --- pictures --------------------------------------------------------------------------------- */

void mg_report_pointing_words(mg_page *page, const mg_report_pointing *p) {
    if (p->images == 0) return;
    mg_page_raw(page, "<p>");
    mg_page_format(page,
                   "Pointing game: on %s images with a lesion mask, the map's maximum lies in "
                   "the lesion, or within 3%% of the image's longer side of it (the 15 pixels of "
                   "Zhang et al. 2016), on %s (%s). ",
                   mg_say_count((double)p->images), mg_say_count((double)p->hits),
                   mg_say_percent((double)p->hits / (double)p->images));
    if (p->detected_images)
        mg_page_format(page, "Among the %s images that are called cancer: %s (%s). ",
                       mg_say_count((double)p->detected_images),
                       mg_say_count((double)p->detected_hits),
                       mg_say_percent((double)p->detected_hits / (double)p->detected_images));
    if (!isnan(p->mean_energy))
        mg_page_format(page, "On average %s of the map's positive part lies inside the lesion",
                       mg_say_percent(p->mean_energy));
    if (!isnan(p->mean_energy) && !isnan(p->mean_iou))
        mg_page_format(page, ", and the shown region overlaps it with an IoU of %s",
                       mg_say_figure(p->mean_iou));
    mg_page_raw(page, isnan(p->mean_energy) ? "</p>\n" : ".</p>\n");
}

void mg_report_picture_figure(mg_page *page, const mg_report_picture *picture) {
    char alternative[256];
    snprintf(alternative, sizeof alternative,
             "Mammogram %s %s with class activation map, "
             "probability %.3f",
             picture->id, picture->view ? picture->view : "", picture->probability);
    mg_page_raw(page, "<figure>");
    if (picture->overlay) mg_page_image(page, picture->overlay, alternative);
    mg_page_raw(page, "<figcaption><b>");
    mg_page_text(page, mg_say_figure(picture->probability));
    mg_page_raw(page, "</b> ");
    if (!isnan(picture->calibrated)) {
        mg_page_format(page, "(%s)", mg_say_figure(picture->calibrated));
        mg_page_raw(page, " ");
    }
    mg_page_text(page, picture->id);
    if (picture->view) mg_page_format(page, " %s", picture->view);
    mg_page_raw(page, "</figcaption></figure>\n");
}

/* --- settings and notes ----------------------------------------------------------------------- */

void mg_report_settings(mg_page *page, const mg_report_pair *settings, size_t count) {
    if (count == 0) return;
    mg_page_section(page, "settings", "Settings of the run");
    mg_page_raw(page, "<dl class=\"settings\">\n");
    for (size_t i = 0; i < count; i++) {
        if (!settings[i].key || !settings[i].value) continue;
        mg_page_raw(page, "<div><dt>");
        mg_page_text(page, settings[i].key);
        mg_page_raw(page, "</dt><dd>");
        mg_page_text(page, settings[i].value);
        mg_page_raw(page, "</dd></div>\n");
    }
    mg_page_raw(page, "</dl>\n");
    mg_page_section_end(page);
}

static void note(mg_page *page, const char *text) {
    mg_page_raw(page, "<li>");
    mg_page_text(page, text);
    mg_page_raw(page, "</li>\n");
}

/* What every reader of the figures has to know, as far as it applies here. */
static void evaluation_notes(mg_page *page, const mg_report_evaluation *main) {
    const mg_evaluation *e = main->evaluation;
    char text[512];
    snprintf(text, sizeof text,
             "Intervals: 95%% percentile intervals from %s resamples in which whole patients are "
             "drawn with replacement; they cover the choice of patients, not another training run.",
             mg_say_count(e->resamples));
    if (e->resamples > 0) note(page, text);
    if (e->positives > 0 && e->positives < e->items) {
        snprintf(text, sizeof text,
                 "“Balanced classes” weighs cancer and no cancer alike, as studies that draw a "
                 "balanced set do. It flatters: the same answers give an F1 of %s there and %s at "
                 "this set's prevalence of %s.",
                 mg_say_figure(e->view[MG_BALANCED][main->shown].metrics.value[MG_METRIC_F1]),
                 mg_say_figure(e->view[MG_NATURAL][main->shown].metrics.value[MG_METRIC_F1]),
                 mg_say_percent(e->prevalence));
        note(page, text);
    }
    if (e->threshold_found_here)
        note(page, "The F1-best threshold was chosen on the very data it is judged on, so its "
                   "figures are optimistic.");
    if (e->positives < 30) {
        snprintf(text, sizeof text,
                 "Only %s of the evaluated %s are positive. With so few, intervals are wide and "
                 "still tend to be too narrow.",
                 mg_say_count((double)e->positives), main->unit);
        note(page, text);
    }
}

void mg_report_notes(mg_page *page, const mg_report_note_facts *facts) {
    mg_page_section(page, "notes", "What to keep in mind");
    mg_page_raw(page, "<ul>\n");
    note(page, "For research. Not a medical device, not approved for any clinical use.");
    if (facts->phantom)
        note(page, "The images are synthetic phantoms with synthetic lesions. They show that the "
                   "machinery works, not how well it would do on patients.");
    const mg_report_evaluation *main =
        mg_report_main_evaluation(facts->evaluations, facts->evaluation_count);
    if (main) evaluation_notes(page, main);
    if (facts->aggregation && strcmp(facts->aggregation, "seed") == 0)
        note(page,
             "Per-breast probabilities are 1 − (1 − mean p²)ⁿ over the breast's n images: the "
             "same image probabilities give a higher verdict when there are more images (all "
             "0.5: 0.438 for two images, 0.578 for three).");
    else if (facts->aggregation && strcmp(facts->aggregation, "noisy-or") == 0)
        note(page, "Per-breast probabilities are 1 − ∏(1 − p) over the breast's images: they rise "
                   "with the number of images.");
    note(page, "A class activation map shows what moved this model's output. It is no outline of a "
               "lesion, and it says nothing about cancers the model did not see.");
    for (size_t i = 0; i < facts->note_count; i++) note(page, facts->notes[i]);
    mg_page_raw(page, "</ul>\n");
    mg_page_section_end(page);
}
