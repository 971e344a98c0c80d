/* norm_gate_project on the GPU: its four ops one after another (cuda/compose.h).
 *
 *     n = batch_norm(x), s = silu(n), z = squeeze_excite(s), y = z w
 *
 * Any sizes that the parts take. What it spares is memory, not traffic: s and z live in scratch
 * memory while the op runs, where op by op they would stay until backward. Backward makes s and z
 * again (8 and 8 bytes per element), lets pointwise_conv make dz and dw, squeeze_excite put ds
 * where z was, turns ds into dn = ds silu'(n) in place (12), and hands it to batch_norm.
 * Scratch: two tensors like x forward, three backward, and that of the part at work.
 * Source: Hu, Shen & Sun 2017; Tan & Le 2019, section 4. */
#include "cuda/compose.h"

enum { W1 = MG_NORM_RUNNING_VAR + 1, B1, W2, B2, W };

typedef struct parts {
    mg_op_call norm, gate, scale, project;
    int64_t tensor, scratch; /* floats of a tensor like x, and of the largest part's scratch */
} parts;

static parts parts_of(const mg_op_call *c, bool backward) {
    parts p = {mg_norm_part(c),
               mg_part_after(c, W1, 5),
               mg_part_after(c, W, 2),
               mg_part_after(c, W, 2),
               0,
               0};
    const int64_t channels = c->x_shape[MG_NORM_GAMMA].dim[0], images = c->x_shape[0].dim[0];
    p.project.y_shape = c->y_shape;
    p.project.attr.activation = MG_ACTIVATION_NONE;
    p.scale.x_shape[1] = (mg_shape){};
    p.scale.x_shape[1].rank = 2;
    p.scale.x_shape[1].dim[0] = images;
    p.scale.x_shape[1].dim[1] = channels;
    p.scale.dx[1] = NULL;
    if (c->save) { /* batch_norm's part, then squeeze_excite's: means, squeezed, gates */
        float *save = (float *)c->save + 2 * channels;
        p.gate.save = save;
        p.scale.x[1] = save + images * (channels + c->x_shape[W1].dim[1]);
    }
    p.tensor = mg_whole_fours(mg_shape_elements(&c->x_shape[MG_NORM_X]));
    const int64_t needs[] = {mg_part_floats(&mg_cuda_batch_norm, &p.norm, backward),
                             mg_part_floats(&mg_cuda_squeeze_excite, &p.gate, backward),
                             mg_part_floats(&mg_cuda_pointwise_conv, &p.project, backward)};
    for (int i = 0; i < MG_COUNT(needs); i++)
        if (needs[i] > p.scratch) p.scratch = needs[i];
    return p;
}

static size_t scratch_bytes(const mg_op_call *c, bool backward, int threads) {
    (void)threads;
    const parts p = parts_of(c, backward);
    return (size_t)((backward ? 3 : 2) * p.tensor + p.scratch) * sizeof(float);
}

static void forward(const mg_op_call *c) {
    parts p = parts_of(c, false);
    float *s = (float *)c->scratch, *z = s + p.tensor;
    p.norm.scratch = p.gate.scratch = p.project.scratch = z + p.tensor;
    p.norm.y = s;
    mg_cuda_batch_norm.forward(&p.norm);
    mg_activate<false>(c, s);
    p.gate.x[0] = s;
    p.gate.y = z;
    mg_cuda_squeeze_excite.forward(&p.gate);
    p.project.x[0] = z;
    p.project.y = c->y;
    mg_cuda_pointwise_conv.forward(&p.project);
}

static void backward(const mg_op_call *c) {
    parts p = parts_of(c, true);
    const size_t bytes = (size_t)mg_shape_elements(&c->x_shape[MG_NORM_X]) * sizeof(float);
    float *s = (float *)c->scratch, *z = s + p.tensor, *dz = z + p.tensor, *ds = z;
    p.norm.scratch = p.gate.scratch = p.project.scratch = dz + p.tensor;
    mg_activate<false>(c, s);
    p.scale.x[0] = s;
    p.scale.y = z;
    mg_cuda_channel_scale.forward(&p.scale);
    mg_cuda_memory.zero(dz, bytes);
    p.project.x[0] = z;
    p.project.dx[0] = dz;
    p.project.dy = c->dy;
    mg_cuda_pointwise_conv.backward(&p.project);
    mg_cuda_memory.zero(ds, bytes);
    p.gate.x[0] = s;
    p.gate.dx[0] = ds;
    p.gate.dy = dz;
    mg_cuda_squeeze_excite.backward(&p.gate);
    mg_activate<true>(c, ds);
    p.norm.dy = ds;
    mg_cuda_batch_norm.backward(&p.norm);
}

MG_CUDA_OP(norm_gate_project, forward, backward, scratch_bytes);
