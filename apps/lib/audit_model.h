/* audit_model.h: where the time of a whole network goes, layer by layer, beside what the machine
 * would allow. Random weights: time does not depend on them. */
#ifndef MG_APPS_LIB_AUDIT_MODEL_H
#define MG_APPS_LIB_AUDIT_MODEL_H

#include "apps/lib/audit_machine.h"
#include "ops/table.h"

typedef struct mg_audit_model_options {
    const char *arch;             /* "b0" … "b7", "pico" */
    int64_t height, width, batch; /* of the input, one channel */
    int64_t threads, runs;        /* 0 threads: one per core; runs after one to warm up */
    bool train;                   /* a training step too */
    int64_t unfreeze;             /* the first trained stage */
    const char *precision;        /* of folded stages: "f32" or "bf16" */
    const char *plot;             /* a .png of time per layer; NULL: none */
} mg_audit_model_options;

enum { MG_AUDIT_MAX_RUNS = 64 };

/* All calls of one op with one output shape within one layer and pass. */
typedef struct mg_audit_layer {
    char scope[24]; /* "features.4.0" */
    const mg_op *op;
    bool backward;
    mg_shape shape;      /* of the output */
    int calls;           /* in one run */
    double flops, bytes; /* of one run */
    double seconds[MG_AUDIT_MAX_RUNS], median;
} mg_audit_layer;

typedef struct mg_audit_profile {
    mg_audit_layer *layer;
    size_t count, room;
    int run, runs;                           /* the one in progress */
    double total[MG_AUDIT_MAX_RUNS], median; /* wall clock of whole runs */
    double flops, bytes;                     /* sums over layers */
    bool failed;                             /* no memory for another layer */
} mg_audit_profile;

/* Prints the layer table, then one line "forward median_s=… gflops=… peak_share=… rss_mb=…"
 * and, with train, "train_step …" of the same form. The table is that of the training step if
 * there is one. */
mg_status mg_audit_model(const mg_audit_model_options *options, mg_error *err);

/* Bars of time per layer (all ops and both passes of a scope), the part the machine's limits ask
 * for in full colour. */
mg_status mg_audit_model_plot(const mg_audit_profile *profile, const mg_machine *machine,
                              const char *title, const char *path, mg_error *err);

#endif
