#include "data/report_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"

void mg_page_raw(mg_page *page, const char *markup) { mg_text_add(&page->html, markup); }
void mg_page_text(mg_page *page, const char *text) { mg_text_escaped(&page->html, text); }

/* The arguments are escaped as a whole: markup goes through mg_page_raw(). */
void mg_page_format(mg_page *page, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mg_text_escaped(&page->html, text);
}

void mg_page_open(mg_page *page, const char *title, const char *subtitle, bool phantom) {
    mg_page_raw(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                      "<title>");
    mg_page_text(page, title);
    mg_page_raw(page, "</title>\n<style>\n");
    mg_page_raw(page, mg_report_style);
    mg_page_raw(page, "</style>\n</head>\n<body>\n<main>\n<header>\n<h1>");
    mg_page_text(page, title);
    mg_page_raw(page, "</h1>\n");
    if (subtitle && *subtitle) {
        mg_page_raw(page, "<p>");
        mg_page_text(page, subtitle);
        mg_page_raw(page, "</p>\n");
    }
    mg_page_raw(page, "<p class=\"banner\">Research use only; not a medical device. ");
    if (phantom)
        mg_page_raw(page, "<b>All images are synthetic phantoms</b>: no figure on this page says "
                          "anything about patients.");
    else mg_page_raw(page, "Nothing on this page is a diagnosis.");
    mg_page_raw(page, "</p>\n</header>\n");
}

mg_status mg_page_write(mg_page *page, const char *path) {
    mg_page_raw(page, "<footer>Written by mammograd " MG_VERSION ".</footer>\n</main>\n</body>\n"
                      "</html>\n");
    if (page->html.failed && !page->status)
        page->status = mg_fail(page->err, MG_ERR_MEMORY, "%s: no memory for the report", path);
    if (!page->status)
        page->status = mg_file_write(path, page->html.data, page->html.size, page->err);
    mg_text_free(&page->html);
    return page->status;
}

void mg_page_section(mg_page *page, const char *anchor, const char *heading) {
    mg_page_raw(page, "<section id=\"");
    mg_page_text(page, anchor);
    mg_page_raw(page, "\">\n<h2>");
    mg_page_text(page, heading);
    mg_page_raw(page, "</h2>\n");
}

void mg_page_section_end(mg_page *page) { mg_page_raw(page, "</section>\n"); }

void mg_page_plot(mg_page *page, mg_plot *plot, const char *label) {
    mg_page_raw(page, "<figure>");
    mg_status status = mg_plot_svg(plot, label, &page->html, page->err);
    if (!page->status) page->status = status;
    mg_plot_destroy(plot);
    mg_page_raw(page, "</figure>\n");
}

void mg_page_image(mg_page *page, const mg_png *png, const char *alternative) {
    uint8_t *data = NULL;
    size_t size = 0;
    mg_status status = mg_png_encode(png, &data, &size, page->err);
    if (!page->status) page->status = status;
    if (status) return;
    mg_page_raw(page, "<img alt=\"");
    mg_page_text(page, alternative);
    mg_text_format(&page->html,
                   "\" width=\"%u\" height=\"%u\" loading=\"lazy\" "
                   "src=\"data:image/png;base64,",
                   png->width, png->height);
    mg_text_base64(&page->html, data, size);
    mg_page_raw(page, "\">");
    free(data);
}

/* --- figures in words ------------------------------------------------------------------------- */

static char *next_buffer(void) {
    static _Thread_local char buffer[16][64];
    static _Thread_local unsigned turn;
    return buffer[turn++ % 16];
}

const char *mg_say_figure(double value) {
    if (isnan(value)) return "–";
    char *out = next_buffer();
    snprintf(out, 64, "%.3f", value);
    return out;
}

const char *mg_say_percent(double share) {
    if (isnan(share)) return "–";
    char *out = next_buffer();
    double percent = 100 * share;
    snprintf(out, 64, percent < 10 && percent > 0 ? "%.2f%%" : "%.1f%%", percent);
    return out;
}

const char *mg_say_count(double count) {
    char digits[48], *out = next_buffer();
    int size = snprintf(digits, sizeof digits, "%.0f", count), n = 0;
    for (int i = 0; i < size && n < 60; i++) {
        if (i && (size - i) % 3 == 0 && digits[i - 1] != '-') out[n++] = ',';
        out[n++] = digits[i];
    }
    out[n] = 0;
    return out;
}

const char *mg_say_interval(const mg_interval *v) {
    if (isnan(v->low)) return mg_say_figure(v->value);
    char *out = next_buffer();
    snprintf(out, 64, "%.3f (95%% interval %.3f–%.3f)", v->value, v->low, v->high);
    return out;
}

void mg_page_interval_cell(mg_page *page, const mg_interval *v) {
    mg_page_raw(page, "<td>");
    mg_page_text(page, mg_say_figure(v->value));
    if (!isnan(v->low)) mg_text_format(&page->html, "<small>%.3f–%.3f</small>", v->low, v->high);
    mg_page_raw(page, "</td>");
}
