/* train_runs.h: small runs of apps/train on a phantom of eight patients. */
#ifndef MG_TESTS_APPS_TRAIN_RUNS_H
#define MG_TESTS_APPS_TRAIN_RUNS_H

#include <criterion/criterion.h>

#include "tests/apps/programs.h"

#define SMALL                                                                                      \
    "--arch pico --height 64 --width 48 --epochs 3 --epoch-draws 8 --batch 4 --validation 0.4 "    \
    "--lr 0.003 --bootstrap 50 --workers 1"

/* FOLDER/phantom; the folder. */
static inline char *phantom(char *folder) {
    cr_assert_eq(shell("%s/phantom %s/phantom --patients 8 --size 208x256 --seed 3 --quiet 2>&1",
                       apps_folder(), folder),
                 0);
    return folder;
}

/* Its exit code; what it says is in FOLDER/RUN.out. */
static inline int train(const char *folder, const char *run, const char *options) {
    return shell("%s/train --data %s/phantom --out %s/%s " SMALL " %s >%s/%s.out 2>&1",
                 apps_folder(), folder, folder, run, options, folder, run);
}

static inline void cat_if(bool failed, const char *folder, const char *run) {
    if (failed) shell("cat %s/%s.out >&2", folder, run);
}

/* Whether RUN.out holds the text; what it holds instead goes to stderr. */
static inline bool says(const char *folder, const char *run, const char *text) {
    char name[64];
    snprintf(name, sizeof name, "%s.out", run);
    char *said = slurp(folder, name, NULL);
    bool found = said && strstr(said, text);
    if (!found) fprintf(stderr, "no \"%s\" in: %s\n", text, said ? said : "nothing");
    free(said);
    return found;
}

#endif
