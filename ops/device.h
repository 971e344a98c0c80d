/* device.h: devices other than the CPU, each in a plugin of its own.
 *
 * libmammograd_cuda.so and libmammograd_simt.so are made from the same cuda/X.cu files, the first
 * by nvcc, the second by a C++ compiler against the emulator in tests/simt. They are opened with
 * dlopen, so that a run on the CPU pays nothing for CUDA. A plugin exports one symbol,
 * mg_device_plugin_table; it never calls back into the program. */
#ifndef MG_OPS_DEVICE_H
#define MG_OPS_DEVICE_H

#include "ops/table.h"
#include "tensor/memory.h"

#define MG_DEVICE_PLUGIN_VERSION 4

/* One trained tensor as a fused update sees it; device pointers, n elements each. */
typedef struct mg_update_tensor {
    float *w, *grad;
    float *first, *second; /* momentum or m; v. NULL where the rule needs none */
    int64_t n;
    float lr, decay; /* of its group */
    float step;      /* Adam: lr / (1 - beta1^t) */
    float shrink;    /* AdamW: 1 - lr·decay; else 1 */
    float l2;        /* Adam: decay added to the gradient; else 0 */
} mg_update_tensor;

typedef struct mg_update_rule {
    bool adam;      /* else SGD */
    bool fresh;     /* SGD: the first step, momentum starts with the gradient */
    float momentum; /* SGD */
    float beta1, beta2, one_minus_beta1, one_minus_beta2, eps;
    float root; /* Adam: sqrt(1 - beta2^t) */
} mg_update_rule;

/* A kernel launch, for the audit: what was launched and what it must move and compute. */
typedef struct mg_launch {
    const char *kernel; /* as written in the source, e.g. "silu_forward_kernel" */
    const char *file;
    int line;
    unsigned grid[3], block[3];
    size_t shared_bytes;
    double bytes, flops; /* compulsory; 0 where the op did not say */
} mg_launch;

/* What kernels asked of memory since the last question, as the emulator counts it. A request is one
 * instruction of one warp; a sector 32 bytes; a turn one cycle of shared memory. `least` is what
 * the same bytes would have cost in the best arrangement. */
typedef struct mg_access_counts {
    int64_t launches; /* cuBLAS's are not seen */
    int64_t load_requests, load_sectors, least_load_sectors;
    int64_t store_requests, store_sectors, least_store_sectors;
    int64_t touched_sectors; /* different ones of each launch, summed over launches */
    int64_t shared_requests, turns, least_turns;
} mg_access_counts;

/* One level of a teaching ladder (cuda/lab): the op, from naive (1) to production. */
typedef struct mg_lab_level {
    mg_op_id op;
    int level;
    const char *name, *idea; /* one word; one line */
    const char *file;
    mg_kernels kernels; /* forward is the level's, backward the production one */
} mg_lab_level;

typedef struct mg_device_plugin {
    int version; /* MG_DEVICE_PLUGIN_VERSION */
    int ops;     /* MG_OP_COUNT when it was built */
    mg_device device;
    int (*count)(void); /* devices present; 0 with a reason in reason() */
    const char *(*reason)(void);
    /* Opens device `ordinal` for this process. false: see reason(). */
    bool (*open)(int ordinal);
    /* Before a thread other than the one that opened it uses the device. One thread at a time. */
    void (*enter)(void);
    void (*close)(void);
    void (*describe)(char *out, size_t size); /* "NVIDIA H100 PCIe, 80 GiB, sm_90, driver 12.4" */
    const mg_memory *memory;
    const mg_kernels *kernels[MG_OP_COUNT]; /* NULL: none */

    /* The optimiser, one launch over all tensors each. `tensors` is host memory. */
    void (*update)(const mg_update_rule *rule, const mg_update_tensor *tensors, int count);
    void (*zero_grad)(const mg_update_tensor *tensors, int count);
    void (*scale_grad)(const mg_update_tensor *tensors, int count, float factor);
    /* w = kept w + (1 - kept) grad, rounded as optim/ema.c does: moving averages w of weights that
     * stand in `grad`. */
    void (*average)(const mg_update_tensor *tensors, int count, float kept);
    /* Sum of squares of all gradients in f64 over fixed chunks in order; waits. */
    double (*squared_norm)(const mg_update_tensor *tensors, int count);

    /* Launches are only told to `sink`, not run, until called with NULL; needs no device. */
    void (*record)(void (*sink)(void *arg, const mg_launch *launch), void *arg);
    /* GEMM arithmetic: 0 f32, 1 TF32, 2 bf16 inputs with f32 sums. */
    void (*gemm_precision)(int mode);
    int (*findings)(void); /* of the emulator's checker so far; NULL where there is none */
    /* Waits, gives the counts and starts anew (out may be NULL); the first call starts counting.
     * NULL where nothing counts: only the emulator with its checker does. */
    void (*count_accesses)(mg_access_counts *out);
    const struct mg_device_imaging *imaging; /* preprocessing (ops/imaging.h) */
    const mg_lab_level *const *lab;          /* all levels of all ladders, then NULL */
} mg_device_plugin;

/* Opens "cpu", "reference", "cuda", "cuda:1" or "simt": binds its kernels and sets *plugin (NULL
 * for the first two). The message of a failure is one line that says what to do. A process uses one
 * plugin of a kind; opening it again is fine. */
mg_status mg_device_open(const char *spec, mg_device *device, const mg_device_plugin **plugin,
                         mg_error *err);

/* Kernels of a device that work on ordinary memory: copies in, runs, copies out. This lets
 * mg_check_device and every other test of ops/check.h run on any device. */
const mg_kernels *mg_staged_kernels(mg_op_id id, const mg_device_plugin *plugin);
/* The same for a level of a ladder. Either call decides what the op's staged kernels run from then
 * on, so use one before asking for the next. */
const mg_kernels *mg_staged_lab_kernels(const mg_lab_level *level, const mg_device_plugin *plugin);

#endif
