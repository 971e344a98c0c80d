/* predict_trace.c: every stage of one image in one .safetensors file per image: stored pixels, VOI
 * output, normalised, cropped, network input, stem … head, CAM, logit; so that any step can be
 * compared with another implementation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/batch_input.h"
#include "apps/lib/predictor.h"
#include "data/files.h"
#include "nn/cam.h"

enum { STAGES = 24 };

typedef struct trace {
    mg_stored_tensor tensor[STAGES];
    char name[STAGES][32];
    float *data[STAGES];
    size_t count;
    mg_context *ctx;
    bool failed; /* out of memory, or too many stages */
} trace;

static void add(trace *t, const char *name, const float *data, int rank, const int64_t *shape) {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    float *copy = t->count < STAGES ? malloc((size_t)n * sizeof *copy) : NULL;
    if (!copy) {
        t->failed = true;
        return;
    }
    memcpy(copy, data, (size_t)n * sizeof *copy);
    size_t k = t->count++;
    snprintf(t->name[k], sizeof t->name[k], "%s", name);
    t->data[k] = copy;
    t->tensor[k] = (mg_stored_tensor){
        .name = t->name[k], .type = MG_STORED_F32, .rank = rank, .count = n, .bytes = copy};
    for (int i = 0; i < rank; i++) t->tensor[k].shape[i] = shape[i];
}

/* Other values for a stage that was added before. */
static void replace(trace *t, const char *name, const float *data) {
    for (size_t k = 0; k < t->count; k++)
        if (strcmp(t->name[k], name) == 0)
            memcpy(t->data[k], data, (size_t)t->tensor[k].count * sizeof *data);
}

static void stage(void *arg, const char *name, const float *pixels, uint32_t rows,
                  uint32_t columns) {
    add(arg, name, pixels, 2, (int64_t[]){rows, columns});
}

static void on_stage(void *arg, int number, const mg_tensor *y) {
    char name[32];
    snprintf(name, sizeof name, "features.%d", number);
    trace *t = arg;
    float *values = malloc((size_t)mg_shape_elements(&y->shape) * sizeof *values);
    if (values) {
        mg_tensor_read(t->ctx, y, values);
        add(t, name, values, y->shape.rank, y->shape.dim);
    }
    t->failed |= !values;
    free(values);
}

/* The network's part: every stage's output, map and logit. */
static mg_status trace_network(mg_model *m, const mg_prepared *prepared, trace *t, mg_error *err) {
    int64_t h = m->card.input.height, w = m->card.input.width;
    float *pixels = malloc((size_t)(h * w) * sizeof *pixels);
    if (!pixels) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    mg_prepared_input(prepared, 0, pixels);
    mg_imaging_augment as_it_is = {.map = {1, 0, 0, 0, 1, 0}, .contrast = 1};
    mg_batch batch = {.count = 1, .pixels = pixels, .levels = prepared->pixels, .how = &as_it_is};
    mg_tensor *features = NULL;
    t->ctx = m->ctx;
    m->net->on_stage = on_stage;
    m->net->on_stage_arg = t;
    bool on_device = mg_batch_on_device(m->ctx, &m->card, NULL);
    mg_tensor *x = mg_batch_input(m->ctx, &m->card, &batch, 0, 1, on_device);
    if (x && on_device) { /* what the network is given, not what the CPU would give it */
        mg_tensor_read(m->ctx, x, pixels);
        replace(t, "input", pixels);
    }
    mg_tensor *y = mg_efficientnet_forward(m->ctx, m->net, x, false, &features);
    m->net->on_stage = NULL;
    free(pixels);
    if (!y) return mg_fail(err, m->ctx->error.code, "%s", m->ctx->error.message);
    int64_t mh = features->shape.dim[1], mw = features->shape.dim[2];
    float *map = malloc((size_t)(mh * mw) * sizeof *map), logit = 0;
    float *values = malloc((size_t)mg_shape_elements(&features->shape) * sizeof *values);
    if (map && values) {
        mg_tensor_read(m->ctx, features, values);
        mg_tensor_read(m->ctx, y, &logit);
        mg_cam_map(m->net, values, mh, mw, map);
        add(t, "cam", map, 2, (int64_t[]){mh, mw});
        add(t, "logit", &logit, 1, (int64_t[]){1});
    }
    t->failed |= !map || !values;
    free(map);
    free(values);
    mg_step_reset(m->ctx, false);
    return MG_OK;
}

static mg_status trace_image(mg_predictor *p, mg_preprocessor *pre, int32_t i, mg_error *err) {
    const mg_manifest_image *image = &p->manifest.image[i];
    static trace t;
    t = (trace){.count = 0};
    mg_prepared prepared;
    mg_preprocess_trace hook = {stage, &t};
    mg_status s = mg_preprocess_file(pre, image->path, &hook, &prepared, err);
    if (s) return s;
    s = trace_network(&p->model[0], &prepared, &t, err);
    mg_prepared_free(&prepared);
    if (!s && t.failed) s = mg_fail(err, MG_ERR_MEMORY, "out of memory");
    char name[512], path[4096];
    snprintf(name, sizeof name, "%.200s_%.200s.safetensors", p->manifest.group[image->group].id,
             image->image_id);
    for (char *c = name; *c; c++)
        if (*c == '/') *c = '_';
    snprintf(path, sizeof path, "%s/%s", mg_predict.trace, name);
    mg_metadata_entry about = {"source", image->path};
    if (!s) s = mg_safetensors_write(path, t.tensor, t.count, &about, 1, NULL, NULL, err);
    for (size_t k = 0; k < t.count; k++) free(t.data[k]);
    return s;
}

mg_status mg_predict_write_traces(mg_predictor *p, mg_error *err) {
    mg_status s = mg_make_folders(mg_predict.trace, err);
    mg_preprocessor *pre = s ? NULL : mg_preprocessor_create(&p->model[0].card.input, err);
    if (!s && !pre) s = err->code;
    for (int32_t i = 0; i < p->manifest.image_count && !s; i++)
        if (!p->reason[i]) s = trace_image(p, pre, i, err);
    mg_preprocessor_destroy(pre);
    return s;
}
