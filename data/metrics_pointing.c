#include "data/metrics_pointing.h"

#include <math.h>
#include <stddef.h>

/* Is any mask pixel within `tolerance` of (row, col)? */
static bool near_mask(const uint8_t *mask, int height, int width, int row, int col,
                      double tolerance) {
    int reach = (int)ceil(tolerance);
    int top = row > reach ? row - reach : 0, left = col > reach ? col - reach : 0;
    for (int r = top; r < height && r <= row + reach; r++) {
        for (int c = left; c < width && c <= col + reach; c++) {
            double dy = r - row, dx = c - col;
            if (mask[(size_t)r * (size_t)width + (size_t)c] &&
                dx * dx + dy * dy <= tolerance * tolerance)
                return true;
        }
    }
    return false;
}

bool mg_pointing_game(const float *map, const uint8_t *mask, int height, int width,
                      double tolerance, mg_pointing *out) {
    *out = (mg_pointing){0};
    size_t n = (size_t)height * (size_t)width, best = 0, finite = 0, masked = 0;
    double sum = 0, square = 0, energy = 0, inside = 0;
    for (size_t i = 0; i < n; i++) {
        masked += mask[i] != 0;
        if (!isfinite(map[i])) continue; /* cropped away */
        double v = (double)map[i];
        if (finite++ == 0 || v > (double)map[best]) best = i;
        sum += v;
        if (v > 0) energy += v;
        if (v > 0 && mask[i]) inside += v;
    }
    if (masked == 0 || finite == 0) return false;
    double mean = sum / (double)finite;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(map[i])) square += ((double)map[i] - mean) * ((double)map[i] - mean);
    }
    double threshold = mean + sqrt(square / (double)finite);
    size_t both = 0, either = 0;
    for (size_t i = 0; i < n; i++) {
        bool on = isfinite(map[i]) && (double)map[i] > threshold;
        both += on && mask[i];
        either += on || mask[i];
    }
    out->row = (int)(best / (size_t)width);
    out->col = (int)(best % (size_t)width);
    out->hit = near_mask(mask, height, width, out->row, out->col, tolerance);
    out->energy = energy > 0 ? inside / energy : NAN;
    out->iou = (double)both / (double)either;
    return true;
}
