/* gate.h: the small network inside squeeze-and-excitation, for one image; squeeze_excite and mbconv
 * share it. */
#ifndef MG_OPS_CPU_GATE_H
#define MG_OPS_CPU_GATE_H

#include "ops/cpu/chunks.h"

typedef struct gate_weights {
    const float *w1, *b1, *w2, *b2; /* [channels, squeezed], [squeezed], [squeezed, channels], … */
    int64_t channels, squeezed;
} gate_weights;

/* y[o] = b[o] + sum_i x[i] w[i * outputs + o], in order of i. */
static inline void gate_layer(const float *x, const float *w, const float *b, int64_t inputs,
                              int64_t outputs, float *y) {
    for (int64_t o = 0; o < outputs; o += V16) {
        int n = (int)min64(V16, outputs - o);
        v16 sum = v16_load_n(b + o, n);
        for (int64_t i = 0; i < inputs; i++)
            sum = v16_fma(v16_set(x[i]), v16_load_some(w + i * outputs + o, n), sum);
        v16_store_n(y + o, sum, n);
    }
}

/* y[i] = silu(x[i]) */
static inline void gate_silu(const float *x, int64_t count, float *y) {
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        v16 a = v16_load_n(x + i, n);
        v16_store_n(y + i, v16_silu(a), n);
    }
}

/* mean [channels] to squeezed (before SiLU) [squeezed] and gate [channels]; h [squeezed] is scratch
 * and holds silu(squeezed) afterwards. */
static inline void gate_forward(const gate_weights *w, const float *mean, float *squeezed, float *h,
                                float *gate) {
    gate_layer(mean, w->w1, w->b1, w->channels, w->squeezed, squeezed);
    gate_silu(squeezed, w->squeezed, h);
    gate_layer(h, w->w2, w->b2, w->squeezed, w->channels, gate);
    for (int64_t ch = 0; ch < w->channels; ch += V16) {
        int n = (int)min64(V16, w->channels - ch);
        v16_store_n(gate + ch, v16_sigmoid(v16_load_n(gate + ch, n)), n);
    }
}

#endif
