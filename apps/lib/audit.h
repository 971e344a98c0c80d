/* audit.h: walking the op table for people: every check of every op on every device, in one place,
 * shown as a table, a page, JSON, Markdown or HTML.
 *
 * An audit never stops at the first failure: each check of each case has its own verdict, and the
 * first message of a case is kept. */
#ifndef MG_APPS_LIB_AUDIT_H
#define MG_APPS_LIB_AUDIT_H

#include "apps/lib/audit_machine.h"
#include "data/text.h"
#include "ops/check.h"

typedef enum mg_verdict { MG_VERDICT_NONE, MG_VERDICT_PASS, MG_VERDICT_FAIL } mg_verdict;

/* The checks of one case. MG_VERDICT_NONE: does not apply. */
typedef enum mg_audit_check {
    MG_AUDIT_BOUND,    /* f32 kernel against the f64 reference, within the error bound */
    MG_AUDIT_GRADIENT, /* f64 backward of the reference against central differences */
    MG_AUDIT_GUARDS,   /* nothing written outside buffers, everything inside written, no NaN */
    MG_AUDIT_REPEAT,   /* two runs, the same bits */
    MG_AUDIT_BITS,     /* the same bits on every instruction set, with 1, 2 and 3 threads */
    MG_AUDIT_RACES,    /* the emulator's checker found nothing */
    MG_AUDIT_CHECKS
} mg_audit_check;

/* A short name ("bound", "gradient", …) and what it means, one line. */
const char *mg_audit_check_name(mg_audit_check check);
const char *mg_audit_check_meaning(mg_audit_check check);

typedef struct mg_audit_case {
    const mg_case *test_case;
    mg_shape y_shape;
    mg_verdict verdict[MG_AUDIT_CHECKS];
    mg_device_check error; /* largest error as a share of the bound */
    mg_gradient_check gradient;
    bool has_backward;
    char message[480]; /* of the first failure */
} mg_audit_case;

/* Time of one representative call (mg_audit_workload); 0 where it was not measured. */
typedef struct mg_audit_time {
    double forward, backward; /* seconds, the best of several */
} mg_audit_time;

typedef struct mg_audit_op {
    mg_op_id id;
    const mg_op *op; /* the f32 descriptor */
    mg_device device;
    mg_audit_case *cases; /* op->case_count */
    mg_verdict verdict[MG_AUDIT_CHECKS];
    double forward_error, backward_error, gradient_error; /* the worst over cases */
    bool has_backward;
    mg_cost cost; /* of the representative call */
    mg_audit_time time;
    bool failed;
} mg_audit_op;

const char *mg_device_name(mg_device device);

/* A call that is typical of the op's use in EfficientNet-B4 at 955 x 500; the name says where. NULL
 * attributes of mg_case stay unused. For an op without one, its first test case. */
const mg_case *mg_audit_workload(mg_op_id id);
/* The call's shapes, validated, no memory. */
mg_status mg_audit_workload_call(mg_op_id id, mg_op_call *call, mg_error *err);

/* Thread pools of 1, 2 and 3 threads, made once for all ops. */
typedef struct mg_audit_pools {
    mg_pool *pool[3];
} mg_audit_pools;
mg_status mg_audit_pools_open(mg_audit_pools *pools, mg_error *err);
void mg_audit_pools_close(mg_audit_pools *pools);

/* Runs every check of every case of op `id`. Fails only without memory or without a kernel; a check
 * that does not pass is a result. */
mg_status mg_audit_run(mg_op_id id, mg_device device, const mg_audit_pools *pools, mg_audit_op *out,
                       mg_error *err);
/* Times the representative call, about `seconds` each way. */
mg_status mg_audit_measure(mg_audit_op *a, mg_pool *pool, double seconds, mg_error *err);
void mg_audit_free(mg_audit_op *a);

/* --- what can be said of an op without running it --------------------------------------------- */

/* "kernel 3, stride 2, SAME padding": the attributes that are set. */
void mg_audit_attributes(const mg_attr *attr, char *out, size_t size);
/* "x [2,5,7,3], w [3,3,3]", absent inputs left out. */
void mg_audit_shapes(const mg_op *op, const mg_case *test_case, char *out, size_t size);
/* Formula or gradient, one statement a line. */
void mg_audit_statements(const char *statements, mg_text *out);
/* The gradient error as a power of ten above it, "1e-8": the same on every machine. */
void mg_audit_decade(double error, char *out, size_t size);
/* A share of the bound rounded up to whole bounds: 1 for all that pass, however kernels change. */
double mg_audit_bounds(double share);

/* --- output ----------------------------------------------------------------------------------- */

/* machine may be NULL: no timing. */
void mg_audit_print_table(const mg_audit_op *ops, size_t count, const mg_machine *machine);
void mg_audit_print_page(const mg_audit_op *a, const mg_machine *machine);
/* The page's part about CUDA kernels; `source` is the tree with build/cuda. */
void mg_audit_print_gpu(const mg_audit_op *a, const char *source);
mg_status mg_audit_print_json(const mg_audit_op *ops, size_t count, const mg_machine *machine,
                              mg_error *err);
/* A Markdown page per op and index.md into `folder`; nothing in them depends on the machine. */
mg_status mg_audit_write_docs(const mg_audit_op *ops, size_t count, const char *folder,
                              mg_error *err);
/* The atlas: one page when `path` ends in ".html", else a folder with index.html and a page per op.
 * Sources are read below `source`. */
mg_status mg_audit_write_html(const mg_audit_op *ops, size_t count, const char *source,
                              const char *path, mg_error *err);

#endif
