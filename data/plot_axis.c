#include "data/plot_axis.h"

#include <math.h>
#include <stdio.h>

double mg_axis_place(const mg_axis *axis, double value) {
    double low = axis->low, high = axis->high;
    if (axis->log) {
        low = log10(low);
        high = log10(high);
        value = log10(value);
    }
    return axis->from + (value - low) / (high - low) * (axis->to - axis->from);
}

/* 1, 2 or 5 times a power of ten, near range / wanted. */
static double round_step(double range, int wanted, bool whole) {
    double raw = range / wanted, power = pow(10, floor(log10(raw))), part = raw / power;
    double step = power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
    return whole && step < 1 ? 1 : step;
}

void mg_axis_round(mg_axis *axis) {
    if (axis->log) {
        axis->low = pow(10, floor(log10(axis->low) + 1e-9));
        axis->high = pow(10, ceil(log10(axis->high) - 1e-9));
        if (axis->high <= axis->low) axis->high = 10 * axis->low;
        return;
    }
    if (!(axis->high > axis->low)) {
        double half = axis->whole ? 1 : fmax(fabs(axis->low) * 0.1, 1e-6);
        axis->low -= axis->whole ? 0 : half;
        axis->high += half;
    }
    if (axis->whole) return;
    double step = round_step(axis->high - axis->low, 5, false);
    axis->low = floor(axis->low / step + 1e-9) * step;
    axis->high = ceil(axis->high / step - 1e-9) * step;
}

int mg_axis_ticks(const mg_axis *axis, int wanted, double ticks[MG_AXIS_MAX_TICKS]) {
    int n = 0;
    if (axis->log) {
        for (double p = ceil(log10(axis->low) - 1e-9);
             p <= log10(axis->high) + 1e-9 && n < MG_AXIS_MAX_TICKS; p++)
            ticks[n++] = pow(10, p);
        return n;
    }
    double step = round_step(axis->high - axis->low, wanted, axis->whole);
    double first = ceil(axis->low / step - 1e-9);
    for (; n < MG_AXIS_MAX_TICKS; n++) {
        ticks[n] = (first + n) * step;
        if (ticks[n] > axis->high + 1e-9 * step) break;
    }
    return n;
}

void mg_axis_label(const mg_axis *axis, double tick, double step, char out[24]) {
    if (axis->log && tick < 0.099) {
        snprintf(out, 24, "1e−%d", (int)lround(-log10(tick)));
        return;
    }
    if (axis->log) {
        snprintf(out, 24, "%g", tick);
        return;
    }
    int digits = step > 0 ? (int)ceil(-log10(step) - 1e-9) : 0;
    if (fabs(tick) < 1e-9 * step) tick = 0;
    snprintf(out, 24, "%.*f", digits < 0 ? 0 : digits > 6 ? 6 : digits, tick);
}
