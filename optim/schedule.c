#include "optim/schedule.h"

#include <math.h>
#include <string.h>

mg_plateau mg_plateau_init(void) {
    return (mg_plateau){
        .factor = 0.1, .min_lr = 1e-6, .eps = 1e-8, .relative = true, .best = INFINITY};
}

double mg_plateau_step(mg_plateau *p, double loss, double lr) {
    double bar = p->relative ? p->best * (1 - p->threshold) : p->best - p->threshold;
    if (isinf(p->best)) bar = p->best;
    if (loss < bar) {
        p->best = loss;
        p->bad_epochs = 0;
    } else {
        p->bad_epochs++;
    }
    if (p->cooling > 0) {
        p->cooling--;
        p->bad_epochs = 0; /* bad epochs during the cooldown do not count */
    }
    if (p->bad_epochs <= p->patience) return lr;
    p->cooling = p->cooldown;
    p->bad_epochs = 0;
    double lower = fmax(lr * p->factor, p->min_lr);
    return lr - lower > p->eps ? lower : lr;
}

mg_early_stop mg_early_stop_init(void) { return (mg_early_stop){.patience = 8, .min_delta = 0.01}; }

bool mg_early_stop_step(mg_early_stop *s, double loss) {
    if (isfinite(loss) && (!s->started || loss < s->reference - s->min_delta)) {
        s->started = true;
        s->reference = loss;
        s->waited = 0;
        return false;
    }
    return ++s->waited >= s->patience;
}

void mg_lr_finder_init(mg_lr_finder *f, double start, double end, int steps) {
    memset(f, 0, sizeof *f);
    f->start = start;
    f->end = end;
    f->smoothing = 0.05;
    f->diverge = 5;
    f->steps = steps < 2 ? 2 : steps > MG_LR_FINDER_MAX ? MG_LR_FINDER_MAX : steps;
}

double mg_lr_finder_rate(const mg_lr_finder *f) {
    return f->start * pow(f->end / f->start, (double)f->done / (f->steps - 1));
}

bool mg_lr_finder_add(mg_lr_finder *f, double loss) {
    if (f->done >= f->steps || !isfinite(loss)) return false;
    int i = f->done;
    f->lr[i] = mg_lr_finder_rate(f);
    f->loss[i] = i == 0 ? loss : f->smoothing * loss + (1 - f->smoothing) * f->loss[i - 1];
    f->done++;
    double best = f->loss[0];
    for (int k = 1; k <= i; k++) best = fmin(best, f->loss[k]);
    return f->done < f->steps && !(i > 0 && f->loss[i] > f->diverge * best);
}

bool mg_lr_finder_suggest(const mg_lr_finder *f, double *steepest, double *minimum_tenth) {
    if (f->done < 10) return false;
    int skip = f->done / 10, best = skip, low = skip;
    double slope = INFINITY;
    for (int i = skip > 0 ? skip : 1; i < f->done - 1; i++) {
        double d = (f->loss[i + 1] - f->loss[i - 1]) / log(f->lr[i + 1] / f->lr[i - 1]);
        if (d < slope) slope = d, best = i;
        if (f->loss[i] < f->loss[low]) low = i;
    }
    *steepest = f->lr[best];
    *minimum_tenth = f->lr[low] / 10;
    return true;
}
