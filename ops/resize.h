/* resize.h: which input pixels, with which weights, make one output pixel of a resize; what
 * resize_bilinear and resize_bicubic share, in the reference and in the CPU kernels.
 *
 * A resize is separable: weights of an axis depend on that axis only. Position o of the output lies
 * over input position
 *     half-pixel centres (default):  (o + 0.5) in/out - 0.5
 *     align_corners:                 o (in - 1)/(out - 1), 0 when out = 1
 * No antialiasing: shrinking samples, it does not average. */
#ifndef MG_OPS_RESIZE_H
#define MG_OPS_RESIZE_H

#include <math.h>

#include "ops/real.h"

/* CUDA kernels use the same rules on the device. */
#ifdef __CUDACC__
#define MG_RESIZE_RULE __host__ __device__ static inline
#else
#define MG_RESIZE_RULE static inline
#endif

enum { MG_RESIZE_TAPS = 4 };

typedef struct mg_resize_taps {
    int64_t at[MG_RESIZE_TAPS];
    double weight[MG_RESIZE_TAPS];
} mg_resize_taps;

MG_RESIZE_RULE double mg_resize_source(bool align_corners, int64_t o, int64_t in, int64_t out) {
    if (align_corners) return out > 1 ? (double)o * ((double)(in - 1) / (double)(out - 1)) : 0;
    return ((double)o + 0.5) * ((double)in / (double)out) - 0.5;
}

MG_RESIZE_RULE int64_t mg_resize_clamp(int64_t i, int64_t count) {
    return i < 0 ? 0 : i >= count ? count - 1 : i;
}

/* Two taps; left of the first centre and right of the last the border pixel counts alone. */
MG_RESIZE_RULE mg_resize_taps mg_bilinear_taps(bool align_corners, int64_t o, int64_t in,
                                               int64_t out) {
    double source = mg_resize_source(align_corners, o, in, out);
    if (source < 0) source = 0;
    int64_t first = mg_resize_clamp((int64_t)source, in);
    double t = source - (double)first;
    mg_resize_taps taps = {{first, mg_resize_clamp(first + 1, in), first, first}, {1 - t, t, 0, 0}};
    return taps;
}

/* Keys' kernel with a = -0.75 at distance d from a tap. */
MG_RESIZE_RULE double mg_cubic_weight(double d) {
    const double a = -0.75;
    d = fabs(d);
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/* Four taps; those outside read the border pixel. */
MG_RESIZE_RULE mg_resize_taps mg_bicubic_taps(bool align_corners, int64_t o, int64_t in,
                                              int64_t out) {
    double source = mg_resize_source(align_corners, o, in, out), first = floor(source);
    mg_resize_taps taps;
    for (int k = 0; k < MG_RESIZE_TAPS; k++) {
        taps.at[k] = mg_resize_clamp((int64_t)first + k - 1, in);
        taps.weight[k] = mg_cubic_weight(source - (first + k - 1));
    }
    return taps;
}

typedef mg_resize_taps mg_resize_rule(bool align_corners, int64_t o, int64_t in, int64_t out);

static inline mg_status mg_resize_shape(mg_op_call *c, const char *op, mg_error *err) {
    mg_status s = mg_expect_rank(c, op, 0, "x", 4, "[N,H,W,C]", err);
    if (s) return s;
    if (c->attr.height < 1 || c->attr.width < 1)
        return mg_fail(err, MG_ERR_ARG, "%s: output size %lldx%lld must be positive", op,
                       (long long)c->attr.height, (long long)c->attr.width);
    const int64_t *x = c->x_shape[0].dim;
    c->y_shape = (mg_shape)MG_SHAPE(x[0], c->attr.height, c->attr.width, x[3]);
    return mg_shape_valid(&c->y_shape)
               ? MG_OK
               : mg_fail(err, MG_ERR_SHAPE, "%s: output size %lldx%lld is too large", op,
                         (long long)c->attr.height, (long long)c->attr.width);
}

/* The loop nest of both references: calls visit(c, output element, input element, weight). */
static inline void mg_resize_each(const mg_op_call *c, mg_resize_rule *rule, int taps,
                                  void (*visit)(const mg_op_call *c, int64_t o, int64_t i,
                                                real weight)) {
    const int64_t *x = c->x_shape[0].dim, *y = c->y_shape.dim;
    for (int64_t n = 0; n < y[0]; n++)
        for (int64_t i = 0; i < y[1]; i++)
            for (int64_t j = 0; j < y[2]; j++) {
                mg_resize_taps row = rule(c->attr.align_corners, i, x[1], y[1]);
                mg_resize_taps column = rule(c->attr.align_corners, j, x[2], y[2]);
                for (int a = 0; a < taps; a++)
                    for (int b = 0; b < taps; b++)
                        for (int64_t ch = 0; ch < x[3]; ch++)
                            visit(c, ((n * y[1] + i) * y[2] + j) * x[3] + ch,
                                  ((n * x[1] + row.at[a]) * x[2] + column.at[b]) * x[3] + ch,
                                  (real)(row.weight[a] * column.weight[b]));
            }
}

#endif
