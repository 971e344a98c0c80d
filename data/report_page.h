/* report_page.h: the building blocks of report.html; inside of report.h. */
#ifndef MG_DATA_REPORT_PAGE_H
#define MG_DATA_REPORT_PAGE_H

#include "data/plot.h"
#include "data/plot_charts.h"
#include "data/report.h"
#include "data/text.h"

/* A page being written. The first failure is kept; the rest of the calls then do nothing much. */
typedef struct mg_page {
    mg_text html;
    mg_status status;
    mg_error *err;
} mg_page;

extern const char mg_report_style[]; /* the style sheet */

void mg_page_open(mg_page *page, const char *title, const char *subtitle, bool phantom);
/* Ends the page, writes the file if nothing failed, frees the page. */
mg_status mg_page_write(mg_page *page, const char *path);

void mg_page_section(mg_page *page, const char *anchor, const char *heading);
void mg_page_section_end(mg_page *page);
/* Escaped text, a printf, and markup as it is. */
void mg_page_text(mg_page *page, const char *text);
void mg_page_format(mg_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mg_page_raw(mg_page *page, const char *markup);

/* A <figure> with the plot, which is destroyed. NULL counts as out of memory. */
void mg_page_plot(mg_page *page, mg_plot *plot, const char *label);
/* An <img> with the picture inside the page. */
void mg_page_image(mg_page *page, const mg_png *png, const char *alternative);

/* "0.912", "–" for NaN; static rotating buffers, valid for the next 16 calls. */
const char *mg_say_figure(double value);
const char *mg_say_percent(double share); /* "84.6%" */
const char *mg_say_count(double count);   /* "54,706" */
/* "0.912 (95% interval 0.871–0.953)" */
const char *mg_say_interval(const mg_interval *interval);

/* A table cell with the value and, below and smaller, its interval. */
void mg_page_interval_cell(mg_page *page, const mg_interval *interval);

/* --- parts that both reports share ------------------------------------------------------------ */

/* The level that key figures speak of: per breast where it exists. NULL without any. */
const mg_report_evaluation *mg_report_main_evaluation(const mg_report_evaluation *evaluations,
                                                      size_t count);
void mg_report_key_figures(mg_page *page, const mg_report_evaluation *main);
/* Sentences: what the figures of this level mean for people. */
void mg_report_plain_words(mg_page *page, const mg_report_evaluation *main);
/* Sections: figures, confusion, curves, calibration. */
void mg_report_results(mg_page *page, const mg_report_evaluation *evaluations, size_t count);
void mg_report_subgroups(mg_page *page, const mg_subgroup_table *tables, size_t count,
                         const char *unit);
void mg_report_pointing_words(mg_page *page, const mg_report_pointing *pointing);
void mg_report_picture_figure(mg_page *page, const mg_report_picture *picture);
void mg_report_settings(mg_page *page, const mg_report_pair *settings, size_t count);

typedef struct mg_report_note_facts {
    bool phantom;
    const char *aggregation;
    const mg_report_evaluation *evaluations;
    size_t evaluation_count;
    const char *const *notes;
    size_t note_count;
} mg_report_note_facts;
void mg_report_notes(mg_page *page, const mg_report_note_facts *facts);

#endif
