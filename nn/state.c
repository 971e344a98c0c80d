#include "nn/state.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mg_status mg_state_probe(const mg_weights *file, const mg_arch *arch, int input_channels,
                         int logits, mg_key_format format, mg_key_import *out, mg_error *err) {
    mg_keys *keys = mg_keys_create(arch, input_channels, logits, err);
    if (!keys) return err ? err->code : MG_ERR_MEMORY;
    mg_status s = mg_keys_import(keys, file, format, out, err);
    mg_keys_free(keys);
    return s;
}

void mg_state_conventions(const mg_key_import *import, mg_efficientnet_options *options) {
    options->bn_eps = import->bn_epsilon;
    options->bn_momentum = import->bn_momentum;
    options->padding = import->padding;
    options->nominal_size = import->nominal_size;
}

/* A file's elements (outputs, inputs, taps) into our order (taps, inputs, outputs): a transposition
 * per tap, in squares that fit the first cache. Network weights are tens of millions of elements,
 * and starting up should take no longer than reading them. */
static void lay_out_f32(const mg_parameter_info *p, const float *from, float *to) {
    enum { SIDE = 16 };
    mg_shape torch = mg_parameter_torch_shape(p);
    if (torch.rank < 2) {
        memcpy(to, from, (size_t)mg_shape_elements(&torch) * sizeof *to);
        return;
    }
    int64_t out = torch.dim[0], in = torch.dim[1];
    int64_t taps = torch.rank == 4 ? torch.dim[2] * torch.dim[3] : 1;
    int64_t columns = in * taps; /* of the file's matrix; its rows are the outputs */
    for (int64_t o0 = 0; o0 < out; o0 += SIDE)
        for (int64_t c0 = 0; c0 < columns; c0 += SIDE) {
            int64_t o1 = o0 + SIDE < out ? o0 + SIDE : out;
            int64_t c1 = c0 + SIDE < columns ? c0 + SIDE : columns;
            for (int64_t c = c0; c < c1; c++) {
                float *row = to + (c % taps * in + c / taps) * out;
                for (int64_t o = o0; o < o1; o++) row[o] = from[o * columns + c];
            }
        }
}

static void lay_out(const mg_parameter_info *p, const float *from) {
    if (p->tensor->dtype == MG_F32) {
        lay_out_f32(p, from, p->tensor->data);
        return;
    }
    int64_t n = mg_shape_elements(&p->tensor->shape);
    for (int64_t i = 0; i < n; i++)
        mg_tensor_set(p->tensor, mg_parameter_offset(p, i), (double)from[i]);
}

/* Weights that are no numbers, or a negative variance, would make every result NaN. */
static mg_status check_numbers(const mg_parameter_info *p, const float *x, int64_t n,
                               mg_error *err) {
    uint32_t largest = 0;
    bool negative = false;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    for (int64_t i = 0; p->kind == MG_KIND_RUNNING_VAR && i < n; i++) negative |= x[i] < 0;
    if (largest >= 0x7f800000)
        return mg_fail(err, MG_ERR_NUMERIC,
                       "%s holds a NaN or an infinity: the weights are damaged", p->name);
    if (negative)
        return mg_fail(err, MG_ERR_NUMERIC, "%s holds a negative variance: the weights are damaged",
                       p->name);
    return MG_OK;
}

/* The import lists the file's tensors in torchvision's state_dict order, ours is the same without
 * the counters that follow every running variance. */
mg_status mg_state_load(mg_efficientnet *net, const mg_key_import *import, mg_error *err) {
    size_t at = 0;
    for (int k = 0; k < net->parameters; k++) {
        mg_parameter_info *p = &net->parameter[k];
        const mg_stored_tensor *t = import->tensors[at++];
        if (p->kind == MG_KIND_RUNNING_VAR) {
            const mg_stored_tensor *counter = import->tensors[at++];
            if (counter && k < 6) {
                double n = 0;
                mg_status s = mg_stored_to_f64(counter, &n, 1, err);
                if (!s && !(n >= 0 && n < 0x1p53))
                    s = mg_fail(err, MG_ERR_FORMAT, "%s: %g is no count of batches", counter->name,
                                n);
                if (s) return s;
                net->batches_tracked = (int64_t)n;
            }
        }
        if (!t) continue;
        int64_t n = mg_shape_elements(&p->tensor->shape);
        float *flat = malloc((size_t)n * sizeof *flat);
        if (!flat) return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", p->name);
        mg_status s = mg_stored_to_f32(t, flat, n, err);
        if (!s) s = check_numbers(p, flat, n, err);
        if (!s) lay_out(p, flat);
        free(flat);
        if (s) return s;
    }
    return MG_OK;
}

/* --- saving ---------------------------------------------------------------------------------- */

typedef struct saver {
    const mg_efficientnet *net;
    mg_tensor *const *extra;
    int *parameter; /* per written tensor: parameter number, -1 a counter, -2 - i extra i */
    float *scratch;
    int64_t counter;
} saver;

static mg_status provide(void *context, size_t index, const void **bytes, mg_error *err) {
    (void)err;
    saver *s = context;
    int k = s->parameter[index];
    if (k == -1) {
        s->counter = s->net->batches_tracked;
        *bytes = &s->counter;
    } else if (k < -1) {
        *bytes = s->extra[-2 - k]->data;
    } else {
        const mg_parameter_info *p = &s->net->parameter[k];
        int64_t n = mg_shape_elements(&p->tensor->shape);
        for (int64_t i = 0; i < n; i++)
            s->scratch[i] = (float)mg_tensor_get(p->tensor, mg_parameter_offset(p, i));
        *bytes = s->scratch;
    }
    return MG_OK;
}

static mg_stored_tensor describe(const char *name, mg_stored_type type, const mg_shape *shape) {
    mg_stored_tensor t = {
        .name = name, .type = type, .rank = shape->rank, .count = mg_shape_elements(shape)};
    for (int i = 0; i < shape->rank; i++) t.shape[i] = shape->dim[i];
    return t;
}

mg_status mg_state_save(const char *path, const mg_efficientnet *net, mg_tensor *const *extra,
                        const char *const *extra_names, int extras,
                        const mg_metadata_entry *metadata, size_t metadata_count, mg_error *err) {
    size_t room = 2 * (size_t)net->parameters + (size_t)extras, count = 0;
    int64_t largest = 1;
    for (int k = 0; k < net->parameters; k++) {
        int64_t n = mg_shape_elements(&net->parameter[k].tensor->shape);
        if (n > largest) largest = n;
    }
    mg_stored_tensor *tensors = calloc(room, sizeof *tensors);
    char(*counters)[72] = calloc((size_t)net->parameters, sizeof *counters);
    saver s = {net, extra, calloc(room, sizeof(int)), malloc((size_t)largest * sizeof(float)), 0};
    mg_status status = MG_OK;
    if (!tensors || !counters || !s.parameter || !s.scratch) {
        status = mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", path);
        goto done;
    }
    for (int k = 0; k < net->parameters; k++) {
        const mg_parameter_info *p = &net->parameter[k];
        mg_shape shape = mg_parameter_torch_shape(p), scalar = {0};
        s.parameter[count] = k;
        tensors[count++] = describe(p->name, MG_STORED_F32, &shape);
        if (p->kind != MG_KIND_RUNNING_VAR) continue;
        int stem = (int)(strlen(p->name) - strlen("running_var"));
        snprintf(counters[k], sizeof *counters, "%.*snum_batches_tracked", stem, p->name);
        s.parameter[count] = -1;
        tensors[count++] = describe(counters[k], MG_STORED_I64, &scalar);
    }
    for (int i = 0; i < extras; i++) {
        s.parameter[count] = -2 - i;
        tensors[count++] = describe(extra_names[i], MG_STORED_F32, &extra[i]->shape);
    }
    status = mg_safetensors_write(path, tensors, count, metadata, metadata_count, provide, &s, err);
done:
    free(tensors);
    free(counters);
    free(s.parameter);
    free(s.scratch);
    return status;
}

mg_status mg_state_load_extra(const mg_weights *file, const char *name, mg_tensor *out,
                              mg_error *err) {
    const mg_stored_tensor *t = mg_weights_find(file, name);
    if (!t) return mg_fail(err, MG_ERR_FORMAT, "the file has no tensor %s", name);
    return mg_stored_to_f32(t, out->data, mg_shape_elements(&out->shape), err);
}
