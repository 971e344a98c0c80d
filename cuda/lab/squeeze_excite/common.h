/* What the levels of the squeeze-and-excitation ladder share: the pointers of a call. */
#ifndef MG_LAB_SQUEEZE_EXCITE_COMMON_H
#define MG_LAB_SQUEEZE_EXCITE_COMMON_H

#include "cuda/channels.h"
#include "cuda/gate.h"
#include "cuda/lab/lab.h"

enum { LAB_X, LAB_W1, LAB_B1, LAB_W2, LAB_B2 };
enum { LAB_THREADS = 256 };

typedef struct lab_excite {
    mg_gate g;
    int64_t pixels, chunks;
    const float *x;
    float *y, *partial;
} lab_excite;

static inline int64_t lab_pixels(const mg_op_call *c) {
    return c->x_shape[LAB_X].dim[1] * c->x_shape[LAB_X].dim[2];
}

/* Floats of scratch: h, and partial sums. */
static inline int64_t lab_excite_floats(const mg_op_call *c) {
    const int64_t *d = c->x_shape[LAB_X].dim;
    return d[0] * (c->x_shape[LAB_W1].dim[1] + mg_sum_chunks(lab_pixels(c)) * d[3]);
}

static inline lab_excite lab_excite_of(const mg_op_call *c) {
    const int64_t *d = c->x_shape[LAB_X].dim, squeezed = c->x_shape[LAB_W1].dim[1];
    lab_excite e = {};
    e.pixels = lab_pixels(c), e.chunks = mg_sum_chunks(e.pixels);
    e.x = (const float *)c->x[LAB_X], e.y = (float *)c->y;
    e.g.images = d[0], e.g.channels = (int)d[3], e.g.squeezed = (int)squeezed;
    e.g.w1 = (const float *)c->x[LAB_W1], e.g.b1 = (const float *)c->x[LAB_B1];
    e.g.w2 = (const float *)c->x[LAB_W2], e.g.b2 = (const float *)c->x[LAB_B2];
    e.g.mean = (float *)c->save;
    e.g.u = e.g.mean + d[0] * d[3];
    e.g.gate = e.g.u + d[0] * squeezed;
    e.g.h = (float *)c->scratch;
    e.partial = e.g.h + d[0] * squeezed;
    return e;
}

/* Bytes of reading (and, with it, writing) the image `times` times. */
static inline void lab_excite_cost(const lab_excite *e, double times) {
    mg_cuda_cost(4 * times * (double)(e->g.images * e->pixels * e->g.channels), 0);
}

/* From means to gates within one block: all of its threads call it, image by image. */
static __device__ __forceinline__ void lab_gate_of_image(const mg_gate &g, int64_t n) {
    for (int s = (int)threadIdx.x; s < g.squeezed; s += LAB_THREADS) {
        float u = g.b1[s];
        for (int c = 0; c < g.channels; c++)
            u = fmaf(g.mean[n * g.channels + c], g.w1[(int64_t)c * g.squeezed + s], u);
        g.u[n * g.squeezed + s] = u;
        g.h[n * g.squeezed + s] = mg_silu(u);
    }
    __syncthreads(); /* every channel needs every h */
    for (int c = (int)threadIdx.x; c < g.channels; c += LAB_THREADS) {
        float t = g.b2[c];
        for (int s = 0; s < g.squeezed; s++)
            t = fmaf(g.h[n * g.squeezed + s], g.w2[(int64_t)s * g.channels + c], t);
        g.gate[n * g.channels + c] = mg_sigmoid(t);
    }
}

/* y = x gate, element by element: levels 2 to 4. */
struct lab_excite_step {
    const float *x, *gate;
    float *y;
    __device__ __forceinline__ void operator()(int64_t i, int64_t s) const {
        y[i] = x[i] * gate[s];
    }
};

static inline void lab_scale(const lab_excite *e) {
    lab_excite_cost(e, 2);
    mg_each_channel<1>(lab_excite_step{e->x, e->g.gate, e->y}, e->g.images, e->pixels,
                       e->g.channels);
}

#endif
