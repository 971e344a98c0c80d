/* trainer.h: a training run: data, network, optimizer, schedule and the state that
 * survives kill -9.
 *
 * Every draw is a function of (seed, epoch, sample), every loop has a fixed order, and what has
 * been reached is one struct of numbers, so a run that is killed and resumed ends with the same
 * bytes as one that was left alone. */
#ifndef MG_APPS_LIB_TRAINER_H
#define MG_APPS_LIB_TRAINER_H

#include <stdio.h>

#include "apps/lib/model.h"
#include "apps/lib/train_options.h"
#include "data/events.h"
#include "data/loader.h"
#include "data/metrics_csv.h"
#include "data/split.h"
#include "optim/ema.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

/* What a checkpoint must know besides tensors. */
typedef struct mg_run_state {
    int64_t epoch;      /* the one in work, from 0 */
    int64_t next_batch; /* of its plan */
    int64_t step;       /* optimizer steps since the start */
    double loss_sum;    /* of this epoch's images so far */
    int64_t images, bad;
    double best_loss;   /* of validation; of training where there is no validation */
    int64_t best_epoch; /* counted from 1; 0: none yet */
    double lr;
    mg_plateau plateau;
    mg_early_stop stop;
    bool finished; /* the epochs are over; what may be left is the report */
} mg_run_state;

/* The losses of the step that a device may still be computing, one of each part of its batch. They
 * are read when the next batch is on its way, so that the device has work and the bus is busy. On
 * the CPU nothing is ever left here. */
typedef struct mg_late_loss {
    float *device; /* one per part; NULL until the first step */
    int *images;   /* of each part */
    int parts, room;
    int total;    /* images of the step; 0: nothing is pending */
    int64_t step; /* its number */
} mg_late_loss;

typedef struct mg_trainer {
    mg_manifest manifest;
    mg_split split;
    int32_t *groups[2], group_count[2]; /* training and validation prediction ids */
    mg_plan validation_plan;            /* the fixed balanced set, every image once */
    float class_weight[2];
    mg_cache *cache;
    mg_preprocess_device *preprocess; /* NULL: images are prepared on the host */
    mg_augment_settings augment;
    mg_pool *pool;
    mg_context *ctx;
    mg_efficientnet *net;
    mg_card card;
    mg_optimizer *optimizer;
    mg_ema *ema; /* or NULL */
    mg_run_state state;
    mg_late_loss late;
    mg_metrics_csv *csv;
    mg_events *events;
    FILE *log; /* train.log; until the folder is taken, memory: early, early_size */
    char *early;
    size_t early_size;
    int lock;                                                /* of the folder; -1: none */
    char config_hash[MG_HASH_TEXT], data_hash[MG_HASH_TEXT]; /* what a resumed run must match */
    char start[160], stop_reason[96];                        /* for the report */
} mg_trainer;

/* trainer_setup.c */
mg_status mg_trainer_create(mg_trainer *t, mg_error *err);
void mg_trainer_destroy(mg_trainer *t);
/* Loader options that fit every use here. */
mg_loader_options mg_trainer_loader(const mg_trainer *t, const mg_plan *plan);
/* Of training images; NULL: none. */
const mg_augment_settings *mg_trainer_augment(const mg_trainer *t);

/* trainer_data.c: table, split, validation set. Writes nothing. */
mg_status mg_trainer_open_data(mg_trainer *t, mg_error *err);
/* 128 bits over ids, labels, sides of the split and sizes of the files, in the table's order. */
void mg_trainer_data_hash(const mg_trainer *t, char out[MG_HASH_TEXT]);

/* trainer_folder.c: nothing in RUN changes before everything else was opened. */
/* Refuses a folder that another process trains in, and one with a run that was not meant. */
mg_status mg_trainer_enter_folder(mg_trainer *t, mg_error *err);
/* Makes the folder this run's: an older run's files go, split.csv and config.json are written,
 * tables and log opened. */
mg_status mg_trainer_take_folder(mg_trainer *t, mg_error *err);
void mg_trainer_leave_folder(mg_trainer *t);
/* RUN/name, in a static buffer: use at once. */
const char *mg_trainer_path(const char *name);
/* A line to RUN/train.log (with the time) and to stderr. */
void mg_trainer_say(mg_trainer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* trainer_state.c */
mg_status mg_trainer_save_last(mg_trainer *t, mg_error *err);
mg_status mg_trainer_save_best(mg_trainer *t, mg_error *err);
mg_status mg_trainer_restore(mg_trainer *t, const char *path, mg_error *err);
/* Only the network, from best.safetensors. */
mg_status mg_trainer_load_best(mg_trainer *t, mg_error *err);

/* trainer.c */
mg_status mg_trainer_run(mg_trainer *t, mg_error *err);
/* One optimizer step on a batch; state.loss_sum grows by the sum of its losses, on a device with
 * the next step or mg_trainer_settle(). In a dry run: only allocates. */
mg_status mg_trainer_step(mg_trainer *t, const mg_batch *batch, mg_error *err);
/* Waits for the last step's loss. Before state is saved or loss_sum used. */
mg_status mg_trainer_settle(mg_trainer *t, mg_error *err);
mg_status mg_trainer_plan_epoch(const mg_trainer *t, int64_t epoch, mg_plan *out, mg_error *err);

/* trainer_find_lr.c */
mg_status mg_trainer_find_lr(mg_trainer *t, mg_error *err);

/* trainer_report.c: the best weights on the whole validation split; thresholds into the card;
 * report.html and plots. */
mg_status mg_trainer_report(mg_trainer *t, mg_error *err);

#endif
