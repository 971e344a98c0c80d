/* bce_with_logits on the CPU: a batch is a few vectors, so one thread. The losses are summed in
 * sixteen partial sums and one fixed tree. */
#include "ops/cpu/chunks.h"

enum { Z, TARGET, WEIGHT };

/* The two factors of one vector: q t w before softplus(-z), (1 - t) w before softplus(z). */
typedef struct factors {
    v16 positive, negative;
} factors;

static factors factors_of(const mg_op_call *c, int64_t i, int n) {
    float q = c->attr.positive_weight > 0 ? (float)c->attr.positive_weight : 1;
    v16 t = v16_load_n((const float *)c->x[TARGET] + i, n), w = v16_set(1);
    if (mg_has_input(c, WEIGHT)) w = v16_load_n((const float *)c->x[WEIGHT] + i, n);
    return (factors){v16_mul(v16_mul(v16_set(q), t), w), v16_mul(v16_sub(v16_set(1), t), w)};
}

static void forward(const mg_op_call *c) {
    int64_t count = c->x_shape[Z].dim[0];
    v16 sum = v16_zero();
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        factors f = factors_of(c, i, n);
        v16 z = v16_load_n((const float *)c->x[Z] + i, n);
        v16 loss = v16_mul(f.negative, v16_softplus(z));
        loss = v16_fma(f.positive, v16_softplus(v16_sub(v16_zero(), z)), loss);
        v16 inside = v16_select_less(v16_iota(), v16_set((float)n), loss, v16_zero());
        sum = v16_add(sum, inside);
    }
    ((float *)c->y)[0] = v16_sum(sum) / (float)count;
}

static void backward(const mg_op_call *c) {
    int64_t count = c->x_shape[Z].dim[0];
    float *dz = c->dx[Z];
    v16 share = v16_set(((const float *)c->dy)[0] / (float)count);
    for (int64_t i = 0; i < count; i += V16) {
        int n = (int)min64(V16, count - i);
        factors f = factors_of(c, i, n);
        v16 z = v16_load_n((const float *)c->x[Z] + i, n);
        v16 slope = v16_mul(f.negative, v16_sigmoid(z));
        slope = v16_fnma(f.positive, v16_sigmoid(v16_sub(v16_zero(), z)), slope);
        v16_store_n(dz + i, v16_fma(share, slope, v16_load_n(dz + i, n)), n);
    }
}

extern MG_CPU_KERNELS(bce_with_logits);
MG_CPU_KERNELS(bce_with_logits) = {forward, backward, NULL, 0};
