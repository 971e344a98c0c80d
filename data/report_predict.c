#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/report_page.h"

static void summary(mg_page *page, const mg_report_predict *r) {
    size_t flagged = 0;
    for (size_t i = 0; i < r->breast_count; i++) flagged += r->breasts[i].flagged;
    mg_page_section(page, "summary", "Summary");
    mg_page_raw(page, "<p>");
    mg_page_format(page, "%s", r->model ? r->model : "The model");
    if (r->model_file) mg_page_format(page, " (%s)", r->model_file);
    mg_page_format(page, " read %s images of %s breasts and %s patients. ",
                   mg_say_count((double)r->counts.images), mg_say_count((double)r->counts.breasts),
                   mg_say_count((double)r->counts.patients));
    mg_page_format(page, "%s of %s breasts have a probability of %s%s%s%s or more. ",
                   mg_say_count((double)flagged), mg_say_count((double)r->breast_count),
                   mg_say_figure(r->threshold), r->threshold_name ? " (" : "",
                   r->threshold_name ? r->threshold_name : "", r->threshold_name ? ")" : "");
    if (r->skipped_count)
        mg_page_format(page, "%s files were not used; they are listed below with the reason.",
                       mg_say_count((double)r->skipped_count));
    else mg_page_format(page, "Every file could be used.");
    mg_page_raw(page, "</p>\n");
    if (r->prevalence > 0) {
        mg_page_raw(page, "<p>");
        mg_page_format(page,
                       "Training gave breasts with and without cancer the same weight. The "
                       "corrected probabilities take into account that about %s of breasts have "
                       "cancer: the logit of each image plus ln(π / (1 − π)) with that share π; a "
                       "breast's is aggregated from its images' corrected ones.",
                       mg_say_percent(r->prevalence));
        mg_page_raw(page, "</p>\n");
    }
    const mg_report_evaluation *main =
        mg_report_main_evaluation(r->evaluations, r->evaluation_count);
    if (main) {
        mg_report_plain_words(page, main);
        mg_report_key_figures(page, main);
    }
    mg_page_section_end(page);
}

/* --- breasts ---------------------------------------------------------------------------------- */

static int by_probability(const void *a, const void *b) {
    const mg_report_breast *x = *(const mg_report_breast *const *)a;
    const mg_report_breast *y = *(const mg_report_breast *const *)b;
    bool xn = isnan(x->probability), yn = isnan(y->probability);
    if (xn != yn) return xn ? 1 : -1; /* without a readable image: last */
    if (!xn && x->probability != y->probability) return x->probability < y->probability ? 1 : -1;
    return strcmp(x->prediction_id, y->prediction_id);
}

static void breast_row(mg_page *page, const mg_report_breast *b, bool labels) {
    bool pictures = b->picture_count > 0;
    mg_text_format(&page->html, "<tr class=\"%s%s\"><th class=\"id\">", b->flagged ? "flag" : "",
                   pictures ? " last" : "");
    mg_page_text(page, b->prediction_id);
    mg_page_raw(page, "</th><td class=\"wide\">");
    mg_page_text(page, mg_say_count((double)b->images));
    if (b->unreadable) {
        mg_page_raw(page, "<small>");
        mg_page_format(page, "%s unreadable", mg_say_count((double)b->unreadable));
        mg_page_raw(page, "</small>");
    }
    mg_page_raw(page, "</td><td>");
    if (!isnan(b->probability))
        mg_text_format(&page->html, "<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span>",
                       100 * fmin(1, fmax(0, b->probability)));
    mg_page_text(page, mg_say_figure(b->probability));
    mg_page_raw(page, "</td><td>");
    mg_page_text(page, mg_say_figure(b->calibrated));
    mg_page_raw(page, "</td><td class=\"verdict\">");
    mg_page_raw(page, isnan(b->probability) ? "unread" : b->flagged ? "flagged" : "clear");
    if (labels) {
        mg_page_raw(page, "</td><td>");
        mg_page_raw(page, b->label < 0 ? "–" : b->label ? "cancer" : "healthy");
    }
    mg_page_raw(page, "</td></tr>\n");
    if (!pictures) return;
    mg_text_format(&page->html, "<tr><td colspan=\"%d\"><div class=\"pictures\">\n",
                   labels ? 6 : 5);
    for (size_t i = 0; i < b->picture_count; i++) mg_report_picture_figure(page, &b->pictures[i]);
    mg_page_raw(page, "</div></td></tr>\n");
}

static void breasts(mg_page *page, const mg_report_predict *r) {
    if (r->breast_count == 0) return;
    const mg_report_breast **order = malloc(r->breast_count * sizeof *order);
    if (!order) {
        page->html.failed = true;
        return;
    }
    bool labels = false;
    for (size_t i = 0; i < r->breast_count; i++) {
        order[i] = &r->breasts[i];
        labels |= r->breasts[i].label >= 0;
    }
    qsort(order, r->breast_count, sizeof *order, by_probability);
    size_t limit = r->breast_limit ? r->breast_limit : 500;
    size_t shown = r->breast_count < limit ? r->breast_count : limit;
    mg_page_section(page, "breasts", "Breasts, most suspicious first");
    mg_page_raw(page, "<div class=\"scroll\"><table>\n<thead><tr><th>Breast</th>"
                      "<th class=\"wide\">Images</th><th>Probability</th><th>Corrected</th>"
                      "<th>Verdict</th>");
    mg_page_raw(page,
                labels ? "<th>Truth</th></tr></thead>\n<tbody>\n" : "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < shown; i++) breast_row(page, order[i], labels);
    mg_page_raw(page, "</tbody></table></div>\n");
    if (shown < r->breast_count) {
        mg_page_raw(page, "<p class=\"soft\">");
        mg_page_format(page, "%s more with lower probability are in predictions.csv.",
                       mg_say_count((double)(r->breast_count - shown)));
        mg_page_raw(page, "</p>\n");
    }
    mg_page_section_end(page);
    free(order);
}

/* --- skipped files ---------------------------------------------------------------------------- */

static void skipped(mg_page *page, const mg_report_predict *r) {
    enum { LIMIT = 1000 };
    if (r->skipped_count == 0) return;
    size_t shown = r->skipped_count < LIMIT ? r->skipped_count : LIMIT;
    mg_page_section(page, "skipped", "Files that were not used");
    mg_page_raw(page, "<div class=\"scroll\"><table class=\"files\">\n<thead><tr><th>File</th>"
                      "<th style=\"text-align:left\">Reason</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < shown; i++) {
        mg_page_raw(page, "<tr><td>");
        mg_page_text(page, r->skipped[i].file);
        mg_page_raw(page, "</td><td>");
        mg_page_text(page, r->skipped[i].reason);
        mg_page_raw(page, "</td></tr>\n");
    }
    mg_page_raw(page, "</tbody></table></div>\n");
    if (shown < r->skipped_count) {
        mg_page_raw(page, "<p class=\"soft\">");
        mg_page_format(page, "and %s more; predictions.csv has all of them.",
                       mg_say_count((double)(r->skipped_count - shown)));
        mg_page_raw(page, "</p>\n");
    }
    mg_page_section_end(page);
}

mg_status mg_report_write_predict(const char *path, const mg_report_predict *r, mg_error *err) {
    mg_page page = {.err = err};
    mg_page_open(&page, r->title ? r->title : "Prediction report", r->data, r->phantom);
    summary(&page, r);
    breasts(&page, r);
    skipped(&page, r);
    mg_report_results(&page, r->evaluations, r->evaluation_count);
    if (r->pointing.images) {
        mg_page_section(&page, "pointing", "Do the maps point at the lesions?");
        mg_report_pointing_words(&page, &r->pointing);
        mg_page_section_end(&page);
    }
    mg_report_subgroups(&page, r->subgroups, r->subgroup_count, r->subgroup_unit);
    mg_report_settings(&page, r->settings, r->setting_count);
    mg_report_notes(&page, &(mg_report_note_facts){.phantom = r->phantom,
                                                   .aggregation = r->aggregation,
                                                   .evaluations = r->evaluations,
                                                   .evaluation_count = r->evaluation_count,
                                                   .notes = r->notes,
                                                   .note_count = r->note_count});
    return mg_page_write(&page, path);
}
