/* train_options.h: every number of a training run, as command-line options and as config.json.
 *
 * A resumed run takes its options from RUN/config.json; options given beside --resume must agree
 * with it, except those that cannot change a result (threads, workers, memory, epochs). */
#ifndef MG_APPS_LIB_TRAIN_OPTIONS_H
#define MG_APPS_LIB_TRAIN_OPTIONS_H

#include "apps/lib/cli.h"
#include "tensor/error.h"

typedef struct mg_train_options {
    /* data */
    const char *data, *csv, *images, *out, *cache, *split;
    double validation_fraction;
    int64_t height, width;
    const char *window, *crop, *j2k_reduce;
    double margin;
    bool imagenet_norm, full_content;
    /* model */
    const char *arch, *pretrained, *pretrained_format;
    int64_t unfreeze;
    double dropout, stochastic_depth;
    /* recipe */
    int64_t epochs, batch_ids, accumulate, seed;
    const char *epoch_draws;
    int64_t draws; /* epoch_draws as a number; 0: all */
    const char *optimizer;
    double lr, weight_decay, momentum, clip, ema;
    bool class_weight;
    double plateau_factor, min_lr;
    int64_t plateau_patience, patience;
    double min_delta;
    /* augmentation */
    bool no_augment;
    double rotation, translation, scale_low, shear, contrast, brightness, gamma;
    /* the run */
    const char *aggregation, *device, *precision, *preprocess;
    int64_t threads, workers, bootstrap;
    double memory_limit; /* GiB */
    bool resume, find_lr, strict, overwrite, no_report;
    int64_t checkpoint_steps;
    int64_t config_epochs; /* what config.json says; 0: no run is resumed */
} mg_train_options;

extern mg_train_options mg_train; /* filled by mg_train_options_parse */

/* Parses the command line (and config.json under --resume). MG_CLI_RUN or the exit code. */
int mg_train_options_parse(int *argc, char ***argv);
const mg_cli_program *mg_train_program(void);

/* RUN/config.json: name -> value for every option. */
mg_status mg_train_options_save(const char *path, mg_error *err);

enum { MG_HASH_TEXT = 33 };
/* 128 bits in hexadecimal over what defines the run: the options of config.json that are not at
 * their defaults (so that options added later change nothing), without epochs, which may grow, and
 * without where the data lie (mg_trainer_data_hash sees what they are). */
void mg_train_options_hash(char out[MG_HASH_TEXT]);

#endif
