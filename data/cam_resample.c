/* A coarse map in the original image's geometry: interpolating cubic B-spline (Unser 1999), which
 * passes through the cells' values and has no visible facets. Rows and columns are independent, so
 * positions and weights are computed once per axis. */
#include "data/cam_resample.h"

#include <math.h>
#include <stdlib.h>

/* --- axes ------------------------------------------------------------------------------------- */

/* Index beyond the ends, mirrored at the outermost cell centres. */
static int mirror(int i, int n) {
    if (n == 1) return 0;
    int period = 2 * (n - 1);
    i = abs(i) % period;
    return i < n ? i : period - i;
}

static double cell_position(mg_map_alignment alignment, double at, int size, int cells) {
    if (alignment == MG_ALIGN_STRETCH) return at / size * cells - 0.5;
    double stride = pow(2, round(log2((double)size / cells)));
    return (at - 0.5) / stride;
}

static void set_tap(mg_cam_tap *tap, double position, int cells) {
    position = fmin(cells - 0.5, fmax(-0.5, position));
    double base = floor(position), t = position - base, s = 1 - t;
    double weight[4] = {s * s * s / 6, (4 - 6 * t * t + 3 * t * t * t) / 6,
                        (4 - 6 * s * s + 3 * s * s * s) / 6, t * t * t / 6};
    for (int k = 0; k < 4; k++) {
        tap->cell[k] = mirror((int)base - 1 + k, cells);
        tap->weight[k] = (float)weight[k];
    }
    tap->inside = true;
}

/* First and last kept line of an axis of a geometry. */
static void kept_range(const mg_kept *kept, double *low, double *high) {
    uint32_t last = kept->count - 1;
    *low = kept->list ? kept->list[0] : kept->first;
    *high = (kept->list ? kept->list[last] : kept->first + last) + 1.0;
}

mg_cam_tap *mg_cam_taps(const mg_cam *cam, int original, int samples, bool vertical) {
    mg_cam_tap *taps = calloc((size_t)samples, sizeof *taps);
    if (!taps) return NULL;
    const mg_geometry *g = cam->geometry;
    int cells = vertical ? cam->height : cam->width;
    double low = 0, high = original, other_low = 0, other_high;
    if (g) {
        kept_range(vertical ? &g->row : &g->column, &low, &high);
        kept_range(vertical ? &g->column : &g->row, &other_low, &other_high);
    }
    for (int i = 0; i < samples; i++) {
        double at = (i + 0.5) * original / samples, y = at, x = at;
        if (at < low || at > high) continue; /* cropped away: taps[i].inside stays false */
        if (g && vertical) mg_geometry_to_input(g, at, other_low + 0.5, &y, &x);
        else if (g) mg_geometry_to_input(g, other_low + 0.5, at, &y, &x);
        int size = !g ? original : (int)(vertical ? g->height : g->width);
        set_tap(&taps[i], cell_position(cam->alignment, vertical ? y : x, size, cells), cells);
    }
    return taps;
}

/* --- coefficients ----------------------------------------------------------------------------- */

/* Solves (c[i-1] + 4 c[i] + c[i+1]) / 6 = v[i] with mirrored ends, in place: a tridiagonal system.
 * `room` holds n doubles. */
static void solve_axis(double *v, double *room, int n, int step) {
    if (n == 1) return;
    double below = 2.0 / 4; /* mirrored: c[-1] = c[1] */
    room[0] = below;
    v[0] = 6 * v[0] / 4;
    for (int i = 1; i < n; i++) {
        double left = i == n - 1 ? 2 : 1, pivot = 4 - left * room[i - 1];
        room[i] = 1 / pivot;
        v[i * step] = (6 * v[i * step] - left * v[(i - 1) * step]) / pivot;
    }
    for (int i = n - 2; i >= 0; i--) v[i * step] -= room[i] * v[(i + 1) * step];
}

double *mg_cam_coefficients(const mg_cam *cam) {
    int h = cam->height, w = cam->width, longest = h > w ? h : w;
    double *c = malloc(((size_t)h * (size_t)w + (size_t)longest) * sizeof *c);
    if (!c) return NULL;
    double *room = c + (size_t)h * (size_t)w;
    for (int i = 0; i < h * w; i++) c[i] = (double)cam->value[i];
    for (int y = 0; y < h; y++) solve_axis(c + y * w, room, w, 1);
    for (int x = 0; x < w; x++) solve_axis(c + x, room, h, w);
    return c;
}

/* --- evaluation ------------------------------------------------------------------------------- */

mg_status mg_cam_sample(const mg_cam *cam, int rows, int columns, int height, int width,
                        float outside, float *out, mg_error *err) {
    if (cam->height < 1 || cam->width < 1 || cam->height > 4096 || cam->width > 4096)
        return mg_fail(err, MG_ERR_ARG, "an activation map of %d x %d cells", cam->height,
                       cam->width);
    const mg_geometry *g = cam->geometry;
    if (g && ((int)g->rows != rows || (int)g->columns != columns))
        return mg_fail(err, MG_ERR_ARG,
                       "the image is %d x %d, but its activation map was computed from %u x %u",
                       rows, columns, g->rows, g->columns);
    mg_cam_tap *down = mg_cam_taps(cam, rows, height, true);
    mg_cam_tap *across = mg_cam_taps(cam, columns, width, false);
    double *coefficient = mg_cam_coefficients(cam);
    float *line = malloc((size_t)cam->width * sizeof *line);
    mg_status status = MG_OK;
    if (!down || !across || !coefficient || !line)
        status = mg_fail(err, MG_ERR_MEMORY, "no memory to enlarge an activation map");
    for (int y = 0; y < height && !status; y++) {
        float *row = out + (size_t)y * (size_t)width;
        for (int c = 0; c < cam->width; c++) {
            double sum = 0;
            for (int k = 0; k < 4; k++)
                sum += (double)down[y].weight[k] * coefficient[down[y].cell[k] * cam->width + c];
            line[c] = (float)sum;
        }
        for (int x = 0; x < width; x++) {
            const mg_cam_tap *t = &across[x];
            float sum = 0;
            for (int k = 0; k < 4; k++) sum += t->weight[k] * line[t->cell[k]];
            row[x] = down[y].inside && t->inside ? sum : outside;
        }
    }
    free(down);
    free(across);
    free(coefficient);
    free(line);
    return status;
}

mg_status mg_cam_resample(const mg_cam *cam, int rows, int columns, float outside, float *out,
                          mg_error *err) {
    return mg_cam_sample(cam, rows, columns, rows, columns, outside, out, err);
}
