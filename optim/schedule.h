/* schedule.h: what watches the validation loss: learning-rate plateau, early stopping, and the
 * learning-rate finder. Plain structs of numbers: copy them into a checkpoint to save them. */
#ifndef MG_OPTIM_SCHEDULE_H
#define MG_OPTIM_SCHEDULE_H

#include <stdbool.h>

/* torch.optim.lr_scheduler.ReduceLROnPlateau, mode "min". The defaults of mg_plateau_init are the
 * seed's text: a factor of 0.1 as soon as one epoch brings no improvement, floor 1e-6. */
typedef struct mg_plateau {
    double factor, threshold, min_lr, eps;
    bool relative;          /* threshold_mode: better means loss < best (1 - threshold) */
    int patience, cooldown; /* settings */
    double best;            /* state from here on */
    int bad_epochs, cooling;
} mg_plateau;

mg_plateau mg_plateau_init(void); /* factor .1, threshold 0, patience 0, cooldown 0, min_lr 1e-6 */
/* Takes an epoch's loss; returns the learning rate to go on with. A NaN loss counts as bad. */
double mg_plateau_step(mg_plateau *p, double loss, double lr);

/* Stops after `patience` epochs in a row without loss < reference - min_delta. The reference is
 * the first loss and moves only when an epoch improves on it by more than min_delta. */
typedef struct mg_early_stop {
    double min_delta;
    int patience;
    double reference; /* state */
    int waited;
    bool started;
} mg_early_stop;

mg_early_stop mg_early_stop_init(void); /* patience 8, min_delta 0.01 */
/* Returns true when training should stop after this epoch. */
bool mg_early_stop_step(mg_early_stop *s, double loss);

/* Learning-rate range test (Smith 2017): the rate grows geometrically from start to end over
 * `steps`; the exponentially smoothed loss is watched; suggestion is the rate of
 * steepest descent. */
enum { MG_LR_FINDER_MAX = 1000 };
typedef struct mg_lr_finder {
    double start, end, smoothing, diverge; /* 1e-7, 1, 0.05, stop at 5x the best */
    int steps, done;
    double lr[MG_LR_FINDER_MAX], loss[MG_LR_FINDER_MAX];
} mg_lr_finder;

void mg_lr_finder_init(mg_lr_finder *f, double start, double end, int steps);
double mg_lr_finder_rate(const mg_lr_finder *f); /* for the next step */
/* Takes that step's loss; false when the test is over. */
bool mg_lr_finder_add(mg_lr_finder *f, double loss);
/* Steepest descent of the smoothed curve in log rate, and the rate at a tenth of the minimum's.
 * False when the curve has too few points. */
bool mg_lr_finder_suggest(const mg_lr_finder *f, double *steepest, double *minimum_tenth);

#endif
