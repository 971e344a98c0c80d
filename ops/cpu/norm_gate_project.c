/* norm_gate_project on the CPU: neither the normalised tensor nor the gated one ever exists as a
 * whole; blocks of them are made in cache, where a matrix product takes them up.
 *
 *     forward    statistics (norm.h); means of s = silu(n); the gate (gate.h); then pieces of rows:
 *                z = s gate, 256 channels at a time, times w
 *     backward   A block is BLOCK_ROWS rows of one image, a slab SLAB channels. For each block and
 *                slab dz = dy w^T is made in L1, stored, and beside x gives z for dw += z^T dy and
 *                five sums per channel. The gradient at n is
 *                    dn = (dz a + dmean / P) silu'(n)
 *                where the gate a is known but dmean (of the image) only after the last block. But
 *                dn is linear in it, so that the sums batch norm and gate need come from the five:
 *                    sum dz silu'   sum silu'   sum dz silu' h   sum silu' h   sum dz s
 *                A second pass over dz and x writes dx, in place where dx is fresh.
 *
 * Slabs and chunks of blocks are pieces of work; dw is summed per chunk (chunks.h), the sums per
 * block, and added in double, in order.
 * Compiled with MG_GEMM_HALVES too, for calls that may be relaxed (mg_attr); rows of dy are then
 * taken apart once for all slabs.
 * Passes over a tensor the size of x: forward 3 reads, backward 2 reads of x, 2 writes and a read
 * of dz. Op by op, gradients written and not added: 9 and 14. */
#include "ops/cpu/norm_gate_project.h"
#include "ops/cpu/norm_gate_project_gradient.h"

/* s = silu(n) of n channels from ch on, where x points. */
MG_INLINE v16 activated(const job *j, const float *x, int64_t ch, int n) {
    norm_lanes l = norm_load(&j->n, ch, n);
    return v16_silu(norm_apply(&l, v16_load_some(x, n)));
}

/* Sums of s over `rows` rows, for vectors x n channels from ch on. */
MG_INLINE void sum_activated(const job *j, const float *x, int64_t rows, int64_t ch,
                             const int vectors, int n, float *out) {
    v16 sum[COLUMN_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) sum[v] = v16_zero();
    for (int64_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] = v16_add(sum[v], activated(j, x + r * j->channels + v * V16, ch + v * V16, n));
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) v16_store_some(out + v * V16, sum[v], n);
}

static void means_chunk(void *arg, int64_t piece, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t chunks = ceil_div(j->pixels, ROW_CHUNK), first = piece % chunks * ROW_CHUNK, ch = 0;
    int64_t rows = min64(ROW_CHUNK, j->pixels - first);
    const float *x = j->n.x + (first + piece / chunks * j->pixels) * j->channels;
    float *out = j->partial + piece * j->channels;
    for (; ch + COLUMN_VECTORS * V16 <= j->channels; ch += COLUMN_VECTORS * V16)
        sum_activated(j, x + ch, rows, ch, COLUMN_VECTORS, V16, out + ch);
    for (; ch + V16 <= j->channels; ch += V16) sum_activated(j, x + ch, rows, ch, 1, V16, out + ch);
    if (ch < j->channels) sum_activated(j, x + ch, rows, ch, 1, (int)(j->channels - ch), out + ch);
}

static void gate_image(void *arg, int64_t image, int thread) {
    (void)thread;
    const job *j = arg;
    const mg_op_call *c = j->c;
    image_sums s = {
        .images = j->images, .pixels = j->pixels, .channels = j->channels, .partial = j->partial};
    float *mean = j->mean + image * j->channels;
    for (int64_t ch = 0; ch < j->channels; ch++)
        mean[ch] = (float)(image_sum(&s, image, ch) / (double)j->pixels);
    gate_weights w = {c->x[W1], c->x[B1], c->x[W2], c->x[B2], j->channels, j->squeezed};
    gate_forward(&w, mean, j->u + image * j->squeezed, j->z + image * j->squeezed,
                 j->gate + image * j->channels);
}

static void pack_w(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    float *packed = j->packed + panel * panel_count(j->channels);
    pack_panel(j->c->x[W], j->out, j->channels, j->out, panel, packed);
    panel_ready(packed, j->channels);
}

MG_INLINE void z_lanes(const job *j, const float *x, const float *gate, int64_t ch, int n,
                       float *z) {
    v16_store_some(z, v16_mul(activated(j, x + ch, ch, n), v16_load_some(gate + ch, n)), n);
}

/* z of rows [first, first + rows), channels [k, k + steps); rows may belong to several images. */
static void fill_z(const job *j, int64_t first, int64_t rows, int64_t k, int64_t steps, float *z) {
    for (int64_t r = 0; r < rows; r++, z += Z_ROW) {
        const float *x = j->n.x + (first + r) * j->channels;
        const float *gate = j->gate + (first + r) / j->pixels * j->channels;
        int64_t ch = 0;
        for (; ch + V16 <= steps; ch += V16) z_lanes(j, x, gate, k + ch, V16, z + ch);
        if (ch < steps) z_lanes(j, x, gate, k + ch, (int)(steps - ch), z + ch);
    }
}

/* Floats per thread. */
enum { Z_FLOATS = CHUNK_ROWS * Z_ROW, Z_READY = DEPTH_STEP > 1 ? CHUNK_ROWS *DEPTH_BLOCK : 0 };

static void project_piece(void *arg, int64_t piece, int thread) {
    const job *j = arg;
    int64_t first = piece * j->piece_rows, rows = min64(j->piece_rows, j->n.rows - first);
    float *z = j->z + (int64_t)thread * (Z_FLOATS + Z_READY);
    tiles_begin();
    for (int64_t k = 0; k < j->channels; k += DEPTH_BLOCK) {
        int64_t steps = min64(DEPTH_BLOCK, j->channels - k);
        fill_z(j, first, rows, k, steps, z);
        gemm_a a = gemm_ready((gemm_a){z, Z_ROW, 1, .ready = false}, rows, steps, z + Z_FLOATS);
        for (int64_t p = 0; p < panels_of(j->out); p++) {
            gemm_c to = {.data = (float *)j->c->y + first * j->out + p * PANEL, .row = j->out};
            gemm_panel(a, rows, j->packed + p * panel_count(j->channels) + k * PANEL, steps, to,
                       (int)min64(PANEL, j->out - p * PANEL), k == 0, k + steps == j->channels);
        }
    }
    tiles_end();
}

static int64_t forward_parts(const job *j, int threads, int64_t *part) {
    part[0] = packed_count(j->channels, j->out);
    part[1] = image_sums_floats(j->images, j->pixels, j->channels);
    int64_t z = threads * (int64_t)(Z_FLOATS + Z_READY), h = j->images * j->squeezed;
    part[2] = norm_floats(&j->n) > (z > h ? z : h) ? norm_floats(&j->n) : z > h ? z : h;
    return part[0] + part[1] + part[2];
}

static void forward(const mg_op_call *c) {
    const mg_kernels *other = kernels_by_halves(c, MG_HALVES_NORM_GATE_PROJECT);
    if (other) {
        other->forward(c);
        return;
    }
    job j = job_of(c);
    int64_t part[3];
    forward_parts(&j, mg_pool_threads(c->pool), part);
    j.packed = c->scratch;
    j.partial = j.packed + part[0];
    j.z = j.partial + part[1];
    norm_statistics(&j.n, j.z);
    mg_parallel_for(c->pool, j.images * ceil_div(j.pixels, ROW_CHUNK), means_chunk, &j);
    mg_parallel_for(c->pool, j.images, gate_image, &j);
    mg_parallel_for(c->pool, panels_of(j.out), pack_w, &j);
    mg_parallel_for(c->pool, ceil_div(j.n.rows, j.piece_rows), project_piece, &j);
}

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    const mg_kernels *other = kernels_by_halves(c, MG_HALVES_NORM_GATE_PROJECT);
    if (other) return other->scratch_bytes(c, back, threads);
    job j = job_of(c);
    int64_t part[BACKWARD_PARTS];
    return (size_t)(back ? backward_parts(&j, threads, part) : forward_parts(&j, threads, part)) *
           sizeof(float);
}

extern MG_CPU_KERNELS(norm_gate_project);
MG_CPU_KERNELS(norm_gate_project) = {forward, backward, scratch_bytes, 1};
