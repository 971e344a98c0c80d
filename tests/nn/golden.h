/* golden.h: the other side of tests/oracle/efficientnet.py: same weights, same images. */
#ifndef MG_TESTS_NN_GOLDEN_H
#define MG_TESTS_NN_GOLDEN_H

#include <math.h>
#include <stdlib.h>

#include "nn/efficientnet.h"

enum { PROJECTIONS = 8 };

typedef struct golden_tensor {
    double norm, torch_f32_error, projection[PROJECTIONS];
} golden_tensor;

/* The oracle's weights: drawn in torch's element order, by position in the state dict. */
static inline void golden_fill(mg_efficientnet *net) {
    for (int k = 0; k < net->parameters; k++) {
        mg_parameter_info *p = &net->parameter[k];
        mg_rng_key key = {.seed = 7, .purpose = MG_RNG_TEST, .epoch = 100 + (uint32_t)k};
        mg_shape torch = mg_parameter_torch_shape(p);
        int64_t n = mg_shape_elements(&torch);
        double scale = 1.25 / sqrt((double)n / (double)torch.dim[0]);
        for (int64_t i = 0; i < n; i++) {
            double value = scale * mg_rng_normal(&key, (uint32_t)i);
            if (p->kind == MG_KIND_RUNNING_VAR || p->kind == MG_KIND_NORM_WEIGHT)
                value = 0.5 + (double)mg_rng_uniform(&key, (uint32_t)i);
            else if (torch.rank == 1) value = 0.1 * mg_rng_normal(&key, (uint32_t)i);
            mg_tensor_set(p->tensor, mg_parameter_offset(p, i), (double)(float)value);
        }
    }
}

/* Grey images [n,h,w,1]; the caller frees. */
static inline float *golden_image(int n, int h, int w) {
    mg_rng_key key = {.seed = 7, .purpose = MG_RNG_TEST, .epoch = 1};
    float *x = malloc((size_t)n * (size_t)h * (size_t)w * sizeof *x);
    for (int i = 0; i < n * h * w; i++) x[i] = (float)mg_rng_normal(&key, (uint32_t)i);
    return x;
}

/* Estimated ||ours - golden|| / ||golden|| from the stored projections. `values` gives our element
 * for an index in torch's order. */
static inline double golden_distance(const golden_tensor *g, int k, int64_t n,
                                     double (*value)(void *arg, int64_t i), void *arg) {
    double sum = 0;
    for (int j = 0; j < PROJECTIONS; j++) {
        mg_rng_key key = {
            .seed = 7, .purpose = MG_RNG_TEST, .epoch = 5000 + (uint32_t)k, .sample = (uint32_t)j};
        double dot = 0;
        for (int64_t i = 0; i < n; i++) dot += mg_rng_normal(&key, (uint32_t)i) * value(arg, i);
        sum += (dot - g->projection[j]) * (dot - g->projection[j]);
    }
    return sqrt(sum / PROJECTIONS) / (g->norm > 0 ? g->norm : 1e-300);
}

#endif
