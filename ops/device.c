#include "ops/device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 1024 };

static const mg_device_plugin *opened[MG_DEVICE_COUNT];

/* The plugin lies beside the program, in the build folder around it, or where it was installed. */
static void *load(const char *name, char *why, size_t size) {
    static const char *const places[] = {"", "../", "../build/", "../lib/mammograd/", "../lib/"};
    char folder[PATH_SIZE] = "", path[PATH_SIZE + 64];
    const char *chosen = getenv("MG_PLUGIN_DIR");
    if (chosen) {
        snprintf(path, sizeof path, "%s/lib%s.so", chosen, name);
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library) snprintf(why, size, "%s", dlerror());
        return library;
    }
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    char *slash = length > 0 ? strrchr(folder, '/') : NULL;
    if (slash) slash[1] = 0;
    /* Test programs lie one folder deeper than the apps. */
    for (int up = 0; slash && up < 3; up++) {
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            snprintf(path, sizeof path, "%s%slib%s.so", folder, places[i], name);
            if (access(path, R_OK) != 0) continue;
            void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
            if (!library) snprintf(why, size, "%s", dlerror());
            return library;
        }
        if (strlen(folder) + 4 < sizeof folder) strcat(folder, "../");
    }
    snprintf(why, size, "lib%s.so is not built; run `make %s`", name,
             strstr(name, "cuda") ? "cuda" : "simt");
    return NULL;
}

static const char *library_name(mg_device device) {
    if (device == MG_DEVICE_CUDA) return "mammograd_cuda";
    const char *kind = getenv("MG_SIMT"); /* MG_SIMT=check: with the race and memory checker */
    return kind && strcmp(kind, "check") == 0 ? "mammograd_simt_check" : "mammograd_simt";
}

static mg_status open_plugin(mg_device device, int ordinal, mg_error *err) {
    const char *label = device == MG_DEVICE_CUDA ? "cuda" : "simt";
    /* Without a driver everything behind it would only fail later and less clearly. */
    if (device == MG_DEVICE_CUDA) {
        void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
        if (!driver)
            return mg_fail(err, MG_ERR_DEVICE,
                           "--device cuda: no NVIDIA driver on this machine (libcuda.so.1 is "
                           "missing); use --device cpu");
        dlclose(driver);
    }
    char why[256] = "";
    void *library = load(library_name(device), why, sizeof why);
    if (!library) return mg_fail(err, MG_ERR_DEVICE, "--device %s: %s", label, why);
    const mg_device_plugin *p = dlsym(library, "mg_device_plugin_table");
    if (!p || p->version != MG_DEVICE_PLUGIN_VERSION || p->ops != MG_OP_COUNT)
        return mg_fail(err, MG_ERR_DEVICE,
                       "--device %s: the plugin belongs to another version; run `make %s` again",
                       label, label);
    if (!p->open(ordinal)) {
        const char *reason = p->reason();
        return mg_fail(err, MG_ERR_DEVICE, "--device %s: %s", label, reason ? reason : "no reason");
    }
    for (int i = 0; i < MG_OP_COUNT; i++)
        if (p->kernels[i]) mg_op_bind((mg_op_id)i, device, p->kernels[i]);
    opened[device] = p;
    return MG_OK;
}

mg_status mg_device_open(const char *spec, mg_device *device, const mg_device_plugin **plugin,
                         mg_error *err) {
    *plugin = NULL;
    *device = MG_DEVICE_CPU;
    if (strcmp(spec, "cpu") == 0) return MG_OK;
    if (strcmp(spec, "reference") == 0) {
        *device = MG_DEVICE_REFERENCE;
        return MG_OK;
    }
    int ordinal = 0, end = 0;
    if (strncmp(spec, "cuda", 4) == 0) *device = MG_DEVICE_CUDA;
    else if (strncmp(spec, "simt", 4) == 0) *device = MG_DEVICE_SIMT;
    else
        return mg_fail(err, MG_ERR_ARG, "there is no device %s; use cpu, cuda, cuda:N or simt",
                       spec);
    if (spec[4] && (sscanf(spec + 4, ":%d%n", &ordinal, &end) != 1 || spec[4 + end]))
        return mg_fail(err, MG_ERR_ARG, "--device %s: want cuda or cuda:N, e.g. cuda:1", spec);
    mg_status s = open_plugin(*device, ordinal, err);
    *plugin = opened[*device];
    return s;
}

/* --- kernels of a device on ordinary memory --------------------------------------------------- */

typedef struct staged {
    void *host, *device;
    size_t bytes;
} staged;

typedef struct staging {
    const mg_memory *memory;
    staged list[3 * MG_MAX_INPUTS];
    int count;
} staging;

/* A device copy of a host buffer, what it holds included (dx is added to). */
static void *stage(staging *s, const void *host, int64_t elements) {
    if (!host || !elements) return NULL;
    staged *b = &s->list[s->count++];
    *b = (staged){(void *)(uintptr_t)host, NULL, (size_t)elements * sizeof(float)};
    b->device = s->memory->alloc(b->bytes, "staged");
    if (b->device) s->memory->write(b->device, host, b->bytes);
    return b->device;
}

/* The device kernels behind mg_staged_kernels. */
static const mg_kernels *staged_of[MG_OP_COUNT];

static void run_staged(mg_op_id id, const mg_device_plugin *p, const mg_op_call *call, bool back) {
    const mg_op *op = mg_op_get(id, MG_F32);
    mg_op_call c = *call;
    staging s = {.memory = p->memory};
    for (int i = 0; i < c.inputs; i++) {
        int64_t n = mg_shape_elements(&c.x_shape[i]);
        c.x[i] = stage(&s, call->x[i], n);
        c.dx[i] = stage(&s, call->dx[i], n);
    }
    int64_t n = mg_shape_elements(&c.y_shape);
    c.y = stage(&s, call->y, n);
    c.dy = stage(&s, call->dy, n);
    c.save = stage(&s, call->save, op->save_count ? op->save_count(call) : 0);
    const mg_kernels *k = staged_of[id];
    size_t scratch = k->scratch_bytes ? k->scratch_bytes(&c, back, 1) : 0;
    c.scratch = scratch ? p->memory->alloc(scratch, "kernel scratch") : NULL;
    c.pool = NULL;
    (back ? k->backward : k->forward)(&c);
    p->memory->free(c.scratch);
    for (int i = 0; i < s.count; i++) {
        if (!s.list[i].device) continue;
        p->memory->read(s.list[i].host, s.list[i].device, s.list[i].bytes);
        p->memory->free(s.list[i].device);
    }
}

/* A kernel is told nothing but its call, so each op needs functions of its own. */
static const mg_device_plugin *staged_plugin;
#define MG_STAGED(name)                                                                            \
    static void forward_##name(const mg_op_call *c) {                                              \
        run_staged(MG_OP_##name, staged_plugin, c, false);                                         \
    }                                                                                              \
    static void backward_##name(const mg_op_call *c) {                                             \
        run_staged(MG_OP_##name, staged_plugin, c, true);                                          \
    }
MG_OP_LIST(MG_STAGED)
#define MG_STAGED_ROW(name) {.forward = forward_##name, .backward = backward_##name},
static mg_kernels staged_kernels[MG_OP_COUNT] = {MG_OP_LIST(MG_STAGED_ROW)};

const mg_kernels *mg_staged_kernels(mg_op_id id, const mg_device_plugin *plugin) {
    if (!plugin->kernels[id]) return NULL;
    staged_plugin = plugin;
    staged_of[id] = plugin->kernels[id];
    staged_kernels[id].overwrites = plugin->kernels[id]->overwrites;
    return &staged_kernels[id];
}

const mg_kernels *mg_staged_lab_kernels(const mg_lab_level *level, const mg_device_plugin *plugin) {
    staged_plugin = plugin;
    staged_of[level->op] = &level->kernels;
    staged_kernels[level->op].overwrites = level->kernels.overwrites;
    return &staged_kernels[level->op];
}
