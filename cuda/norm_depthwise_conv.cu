/* norm_depthwise_conv on the GPU: its three ops one after another (cuda/compose.h).
 *
 *     n = batch_norm(x), s = silu(n), y = depthwise_conv(s, w)
 *
 * Any sizes that the parts take. What it spares is memory, not traffic: n and s live in scratch
 * memory while the op runs, where op by op they would stay until backward. Forward, batch_norm
 * writes n and one more pass from x replaces it by s (8 bytes per element). Backward makes s again
 * (8), lets depthwise_conv put ds beside it, turns ds into dn = ds silu'(n) in place (12, n from
 * x), and hands it to batch_norm.
 * Scratch: one tensor like x forward, two backward, and that of the part at work.
 * Source: Ioffe & Szegedy 2015; Tan & Le 2019, section 4. */
#include "cuda/compose.h"

enum { W = MG_NORM_RUNNING_VAR + 1 };

static mg_op_call conv_part(const mg_op_call *c) {
    mg_op_call part = mg_part_after(c, W, 2);
    part.y_shape = c->y_shape;
    return part;
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t tensor_floats(const mg_op_call *c) {
    return mg_whole_fours(mg_shape_elements(&c->x_shape[MG_NORM_X]));
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    const mg_op_call norm = mg_norm_part(c), conv = conv_part(c);
    const int64_t part = most(mg_part_floats(&mg_cuda_batch_norm, &norm, backward),
                              mg_part_floats(&mg_cuda_depthwise_conv, &conv, backward));
    return (size_t)((backward ? 2 : 1) * tensor_floats(c) + part) * sizeof(float);
}

static void forward(const mg_op_call *c) {
    mg_op_call norm = mg_norm_part(c), conv = conv_part(c);
    float *s = (float *)c->scratch;
    norm.scratch = conv.scratch = s + tensor_floats(c);
    norm.y = s;
    mg_cuda_batch_norm.forward(&norm);
    mg_activate<false>(c, s);
    conv.x[0] = s;
    conv.y = c->y;
    mg_cuda_depthwise_conv.forward(&conv);
}

static void backward(const mg_op_call *c) {
    mg_op_call norm = mg_norm_part(c), conv = conv_part(c);
    float *s = (float *)c->scratch, *ds = s + tensor_floats(c);
    norm.scratch = conv.scratch = ds + tensor_floats(c);
    mg_activate<false>(c, s);
    mg_cuda_memory.zero(ds, (size_t)mg_shape_elements(&c->x_shape[MG_NORM_X]) * sizeof *ds);
    conv.x[0] = s;
    conv.dx[0] = ds;
    conv.dy = c->dy;
    mg_cuda_depthwise_conv.backward(&conv);
    mg_activate<true>(c, ds);
    norm.dy = ds;
    mg_cuda_batch_norm.backward(&norm);
}

MG_CUDA_OP(norm_depthwise_conv, forward, backward, scratch_bytes);
