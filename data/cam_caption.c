#include "data/cam_caption.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/colormap.h"
#include "data/plot_font.h"
#include "data/plot_raster.h"

static const uint8_t paper[3] = {14, 17, 21};
static const mg_ink bright = {{236, 240, 244}, 1}, soft = {{150, 160, 171}, 1};

/* Text size follows the picture's width, within what is readable and what is not silly. */
static double text_size(int width) { return fmin(64, fmax(11, width / 24.0)); }

int mg_cam_caption_height(int width) { return (int)ceil(6.6 * text_size(width)); }

static void write_right(mg_raster *raster, double right, double y, double size, bool bold,
                        mg_ink ink, const char *text) {
    mg_raster_text(raster, right - mg_font_width(text, size), y, size, bold, false, ink, text);
}

/* The largest size up to `size` at which the text fits. */
static double fit(const char *text, double size, double room) {
    double width = mg_font_width(text, size);
    return width > room ? size * room / width : size;
}

static void draw_bar(mg_raster *raster, double left, double top, double width, double height) {
    const uint8_t(*colors)[3] = mg_colormap_ember();
    for (int y = (int)top; y < (int)(top + height) && y < raster->height; y++) {
        for (int x = (int)left; x < (int)(left + width) && x < raster->width; x++) {
            double level = (x - left) / width;
            int index = (int)(MG_CAM_FIRST_COLOR + level * (255 - MG_CAM_FIRST_COLOR));
            memcpy(raster->rgb + 3 * ((size_t)y * (size_t)raster->width + (size_t)x), colors[index],
                   3);
        }
    }
}

/* Two decimals, with a minus sign that is one. */
static void signed_text(char *out, size_t size, double value) {
    snprintf(out, size, "%s%.2f", value < 0 ? "−" : "", fabs(value));
}

mg_status mg_cam_caption(mg_png *picture, int top, double threshold, double highest,
                         const mg_cam_overlay_options *o, mg_error *err) {
    int width = (int)picture->width, height = (int)picture->height;
    mg_raster raster = {.width = width, .height = height, .rgb = picture->pixels};
    for (size_t i = (size_t)top * (size_t)width; i < (size_t)height * (size_t)width; i++)
        memcpy(raster.rgb + 3 * i, paper, 3);
    double s = text_size(width), left = 0.7 * s, right = width - 0.7 * s, y = top + 1.6 * s;
    char text[96];
    double verdict_width = 0;
    if (o->verdict) {
        write_right(&raster, right, y, s, false, soft, o->verdict);
        verdict_width = mg_font_width(o->verdict, s) + s;
    }
    if (o->title)
        mg_raster_text(&raster, left, y, fit(o->title, s, right - left - verdict_width), true,
                       false, bright, o->title);
    y += 1.8 * s;
    if (!isnan(o->probability)) {
        snprintf(text, sizeof text, "Probability %.3f", o->probability);
        mg_raster_text(&raster, left, y, 1.15 * s, true, false, bright, text);
    }
    if (!isnan(o->calibrated)) {
        snprintf(text, sizeof text, "prior-corrected %.3f", o->calibrated);
        write_right(&raster, right, y, s, false, soft, text);
    }
    y += 0.8 * s;
    draw_bar(&raster, left, y, right - left, 0.6 * s);
    y += 1.75 * s;
    double small = 0.8 * s;
    bool shown = highest > threshold;
    if (shown) signed_text(text, sizeof text, threshold);
    else snprintf(text, sizeof text, "nothing above mean + 1 SD");
    mg_raster_text(&raster, left, y, small, false, false, soft, text);
    if (shown) {
        signed_text(text, sizeof text, highest);
        write_right(&raster, right, y, small, false, soft, text);
        const char *label = "activation above mean + 1 SD";
        double size = fit(label, small, (right - left) * 0.62);
        mg_raster_text(&raster, (left + right - mg_font_width(label, size)) / 2, y, size, false,
                       false, soft, label);
    }
    if (raster.failed) return mg_fail(err, MG_ERR_MEMORY, "no memory for a caption");
    return MG_OK;
}
