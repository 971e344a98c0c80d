/* trainer_folder.c: the run's folder: who works in it, what of an older run goes, what is opened.
 *
 * A start that fails leaves the folder as it was: until data, network, optimizer and memory were
 * opened, what is said is kept in memory, and the folder of a new run is not even made. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "apps/lib/trainer.h"
#include "data/files.h"
#include "tensor/atomic_file.h"

#define LAST   "last.safetensors"
#define CONFIG "config.json"
#define BEST   "best.safetensors"
#define CURVES "metrics.csv"
#define EVENTS "events.out.tfevents.mammograd"

void mg_trainer_say(mg_trainer *t, const char *format, ...) {
    va_list args;
    char line[700];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "%s\n", line);
    if (!t->log) return;
    char when[32];
    time_t now = time(NULL);
    struct tm parts;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", localtime_r(&now, &parts));
    fprintf(t->log, "%s  %s\n", when, line);
    fflush(t->log);
}

const char *mg_trainer_path(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", mg_train.out, name);
    return path;
}

/* The kernel takes the lock back when the process ends, however it ends. */
static mg_status lock_folder(mg_trainer *t, mg_error *err) {
    const char *path = mg_trainer_path("train.lock");
    t->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->lock < 0)
        return mg_fail(err, MG_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    if (flock(t->lock, LOCK_EX | LOCK_NB) == 0) return MG_OK;
    if (errno == EWOULDBLOCK)
        return mg_fail(err, MG_ERR_ARG,
                       "another train works in %s; wait for its end, or give another --out",
                       mg_train.out);
    mg_trainer_say(t, "warning: %s: cannot be locked (%s); start no other train in this folder",
                   path, strerror(errno));
    return MG_OK;
}

static mg_status refuse_a_run(mg_error *err) {
    if (mg_train.resume || mg_train.overwrite) return MG_OK;
    if (!mg_is_file(mg_trainer_path(LAST)) && !mg_is_file(mg_trainer_path(BEST))) return MG_OK;
    return mg_fail(err, MG_ERR_ARG,
                   "%s holds a run already: --resume goes on with it, "
                   "--overwrite starts afresh",
                   mg_train.out);
}

mg_status mg_trainer_enter_folder(mg_trainer *t, mg_error *err) {
    t->log = open_memstream(&t->early, &t->early_size);
    if (!t->log) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    if (mg_train.find_lr || !mg_is_folder(mg_train.out)) return MG_OK;
    mg_status s = lock_folder(t, err);
    return s ? s : refuse_a_run(err);
}

/* The state goes first and the options next: whenever this is cut short, --resume finds either the
 * old run's beginning or nothing, never old weights under new options. */
static mg_status remove_old_run(mg_error *err) {
    static const char *const names[] = {LAST, CONFIG, BEST, CURVES, EVENTS, "report.html"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = mg_trainer_path(names[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            return mg_fail(err, MG_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    }
    return MG_OK;
}

/* config.json comes last, so that where it is the split is, too. */
static mg_status write_beginning(mg_trainer *t, mg_error *err) {
    mg_status s = remove_old_run(err);
    if (!s) s = mg_split_write(&t->manifest, &t->split, mg_trainer_path("split.csv"), err);
    return s ? s : mg_train_options_save(mg_trainer_path(CONFIG), err);
}

static const char *const columns[] = {"epoch",      "train_loss", "val_loss",    "val_precision",
                                      "val_recall", "val_f1",     "val_roc_auc", "lr",
                                      "images",     "bad"};

static mg_status open_tables(mg_trainer *t, mg_error *err) {
    int64_t keep = mg_train.resume ? t->state.epoch : -1; /* finished epochs; rows count from 1 */
    t->csv = mg_metrics_csv_open(mg_trainer_path(CURVES), columns, sizeof columns / sizeof *columns,
                                 keep, err);
    if (!t->csv) return err->code;
    t->events = mg_events_open(mg_trainer_path(EVENTS), keep, (double)time(NULL), err);
    return t->events ? MG_OK : err->code;
}

/* From memory to the file. */
static mg_status open_log(mg_trainer *t, mg_error *err) {
    const char *path = mg_trainer_path("train.log");
    FILE *log = fopen(path, mg_train.resume ? "a" : "w");
    if (!log) return mg_fail(err, MG_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    fclose(t->log);
    if (t->early) fputs(t->early, log);
    free(t->early);
    t->early = NULL;
    t->log = log;
    return MG_OK;
}

mg_status mg_trainer_take_folder(mg_trainer *t, mg_error *err) {
    mg_status s = mg_make_folders(mg_train.out, err);
    if (!s && t->lock < 0) {
        s = lock_folder(t, err);
        if (!s) s = refuse_a_run(err); /* that was made in the meantime */
    }
    if (s) return s;
    mg_atomic_remove_leftovers(mg_train.out); /* of a run that was killed */
    if (!mg_train.resume) s = write_beginning(t, err);
    else if (mg_train.epochs != mg_train.config_epochs)
        s = mg_train_options_save(mg_trainer_path(CONFIG), err);
    if (!s) s = open_tables(t, err);
    return s ? s : open_log(t, err);
}

void mg_trainer_leave_folder(mg_trainer *t) {
    mg_metrics_csv_close(t->csv);
    if (t->events) mg_events_close(t->events, NULL);
    if (t->log) fclose(t->log);
    free(t->early);
    if (t->lock >= 0) close(t->lock);
}
