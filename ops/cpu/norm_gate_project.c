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
#include "ops/cpu/gate_gradient.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/norm.h"

enum { W1 = NORM_RUNNING_VAR + 1, B1, W2, B2, W };
enum { BLOCK_ROWS = 128, SLAB = 64, SUMS = 5 };
enum { DZ_SLOPE, SLOPE, DZ_SLOPE_H, SLOPE_H, DZ_S };
/* Floats between rows of z in forward: no multiple of a page's, or rows would share few cache
 * sets. */
enum { Z_ROW = DEPTH_BLOCK + V16 };

typedef struct job {
    norm n;
    const mg_op_call *c;
    int64_t images, pixels, channels, squeezed, out;
    float *mean, *u, *gate; /* in save */
    float *packed;          /* w, or in backward w transposed */
    float *partial;         /* sums of s; or chunks x [C,K] of dw */
    /* forward */
    int64_t piece_rows;
    float *z; /* per thread: z, and z ready for the product */
    /* backward */
    int64_t image_blocks, slabs, chunks;
    float *tiles;  /* per thread: dz, z, and z ready */
    float *panels; /* of dy, block by block */
    float *ready;  /* dy, ready; NULL where it is used as it is */
    float *sums;   /* [blocks, SUMS, C] */
    float *dz;
    bool streams;      /* dz */
    double *image_sum; /* [images, SUMS, C] */
    gate_gradient gradient;
} job;

static job job_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[NORM_X].dim;
    job j = {.n = norm_of(c),
             .c = c,
             .images = x[0],
             .pixels = x[1] * x[2],
             .channels = x[3],
             .squeezed = c->x_shape[W1].dim[1],
             .out = c->x_shape[W].dim[1],
             .slabs = ceil_div(x[3], SLAB)};
    j.image_blocks = ceil_div(j.pixels, BLOCK_ROWS);
    j.chunks = partial_count(j.slabs, j.images * j.image_blocks);
    j.piece_rows = j.n.rows >= 32 * CHUNK_ROWS ? CHUNK_ROWS : CHUNK_ROWS / 2;
    if (!c->save) return j;
    j.mean = (float *)c->save + 2 * j.channels;
    j.u = j.mean + j.images * j.channels;
    j.gate = j.u + j.images * j.squeezed;
    return j;
}

/* --- forward ---------------------------------------------------------------------------------- */

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
        gemm_a a = gemm_ready((gemm_a){z, Z_ROW, 1, false}, rows, steps, z + Z_FLOATS);
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

/* --- backward --------------------------------------------------------------------------------- */

enum { TILE = BLOCK_ROWS * SLAB, THREAD_FLOATS = DEPTH_STEP > 1 ? 3 * TILE : 2 * TILE };

typedef struct block {
    int64_t image, first, rows; /* first: of the whole batch */
} block;

static block block_of(const job *j, int64_t number) {
    int64_t image = number / j->image_blocks, at = number % j->image_blocks * BLOCK_ROWS;
    return (block){image, image * j->pixels + at, min64(BLOCK_ROWS, j->pixels - at)};
}

static float *ready_row(const job *j, int64_t row) {
    return j->ready + row * (panel_count(j->out) / PANEL);
}

static void pack_w_transposed(void *arg, int64_t panel, int thread) {
    (void)thread;
    const job *j = arg;
    float *packed = j->packed + panel * panel_count(j->out);
    pack_panel_transposed(j->c->x[W], j->out, j->out, j->channels, panel, packed);
    panel_ready(packed, j->out);
}

/* dy of one block for both products: its rows, and panels of it. */
static void pack_dy(void *arg, int64_t number, int thread) {
    (void)thread;
    const job *j = arg;
    block b = block_of(j, number);
    const float *dy = (const float *)j->c->dy + b.first * j->out;
    if (j->ready) gemm_ready((gemm_a){dy, j->out, 1, false}, b.rows, j->out, ready_row(j, b.first));
    for (int64_t p = 0; p < panels_of(j->out) && j->c->dx[W]; p++) {
        float *panel =
            j->panels + number * packed_count(BLOCK_ROWS, j->out) + p * panel_count(BLOCK_ROWS);
        pack_panel(dy, j->out, b.rows, j->out, p, panel);
        panel_ready(panel, b.rows);
    }
}

/* dz of one block and slab into a tile; meanwhile the slab of x, needed next, is fetched. */
static void make_dz(const job *j, const block *b, int64_t ch, int64_t width, float *tile) {
    gemm_a dy = {(const float *)j->c->dy + b->first * j->out, j->out, 1, false};
    if (j->ready) dy = (gemm_a){ready_row(j, b->first), panel_count(j->out) / PANEL, 1, false};
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t i = 0; i < width; i += V16)
            __builtin_prefetch(j->n.x + (b->first + r) * j->channels + ch + i, 0, 2);
    for (int64_t k = 0; k < j->out; k += DEPTH_BLOCK) {
        int64_t steps = min64(DEPTH_BLOCK, j->out - k);
        for (int64_t n = 0; n < width; n += PANEL) {
            gemm_c to = {.data = tile + n, .row = SLAB};
            gemm_panel((gemm_a){dy.data + k, dy.row, 1, n == 0}, b->rows,
                       j->packed + (ch + n) / PANEL * panel_count(j->out) + k * PANEL, steps, to,
                       (int)min64(PANEL, width - n), k == 0, k + steps == j->out);
        }
    }
}

/* One vector of channels of a block: z from x, the five sums, and dz to where the second pass finds
 * it. */
MG_INLINE void meet_x(const job *j, const block *b, int64_t ch, int n, const float *dz, float *z,
                      float *sums) {
    norm_lanes l = norm_load(&j->n, ch, n);
    v16 gate = v16_load_n(j->gate + b->image * j->channels + ch, n), sum[SUMS];
    const float *x = j->n.x + b->first * j->channels + ch;
    float *store = j->dz ? j->dz + b->first * j->channels + ch : NULL;
    for (int i = 0; i < SUMS; i++) sum[i] = v16_zero();
    for (int64_t r = 0; r < b->rows; r++) {
        v16 a = v16_load_some(x + r * j->channels, n), g = v16_load_some(dz + r * SLAB, n);
        v16 u = norm_apply(&l, a), h = norm_unit(&l, a), p = v16_sigmoid(u), s = v16_mul(u, p);
        v16 slope = v16_silu_slope_at(u, p), gs = v16_mul(g, slope);
        v16_store_some(z + r * SLAB, v16_mul(s, gate), n);
        if (store) v16_put(j->streams, store + r * j->channels, g, n);
        sum[DZ_SLOPE] = v16_add(sum[DZ_SLOPE], gs);
        sum[SLOPE] = v16_add(sum[SLOPE], slope);
        sum[DZ_SLOPE_H] = v16_fma(gs, h, sum[DZ_SLOPE_H]);
        sum[SLOPE_H] = v16_fma(slope, h, sum[SLOPE_H]);
        sum[DZ_S] = v16_fma(g, s, sum[DZ_S]);
    }
    for (int i = 0; i < SUMS; i++) v16_store_n(sums + i * j->channels + ch, sum[i], n);
}

/* partial += z^T dy for one slab; `first` when there is nothing to add to. */
static void add_dw(const job *j, const block *b, float *z, int64_t width, const float *panels,
                   float *partial, bool first) {
    gemm_a a = gemm_ready((gemm_a){z, 1, SLAB, false}, width, b->rows, z + TILE);
    for (int64_t p = 0; p < panels_of(j->out); p++) {
        gemm_c to = {.data = partial + p * PANEL, .row = j->out, .accumulate = !first};
        gemm_panel(a, width, panels + p * panel_count(BLOCK_ROWS), b->rows, to,
                   (int)min64(PANEL, j->out - p * PANEL), true, true);
    }
}

static void backward_piece(void *arg, int64_t piece, int thread) {
    const job *j = arg;
    int64_t chunk = piece / j->slabs, ch = piece % j->slabs * SLAB;
    int64_t width = min64(SLAB, j->channels - ch), all = j->images * j->image_blocks;
    int64_t each = ceil_div(all, j->chunks), begin = chunk * each, end = min64(begin + each, all);
    float *dz = j->tiles + thread * (int64_t)THREAD_FLOATS, *z = dz + TILE;
    float *partial = j->partial + (chunk * j->channels + ch) * j->out;
    if (begin >= end) memset(partial, 0, (size_t)(width * j->out) * sizeof *partial);
    tiles_begin();
    for (int64_t k = begin; k < end; k++) {
        block b = block_of(j, k);
        float *sums = j->sums + k * SUMS * j->channels;
        make_dz(j, &b, ch, width, dz);
        for (int64_t i = 0; i < width; i += V16) {
            int n = (int)min64(V16, width - i);
            if (n == V16) meet_x(j, &b, ch + i, V16, dz + i, z + i, sums);
            else meet_x(j, &b, ch + i, n, dz + i, z + i, sums);
        }
        const float *panels = j->panels + k * packed_count(BLOCK_ROWS, j->out);
        if (j->c->dx[W]) add_dw(j, &b, z, width, panels, partial, k == begin);
    }
    tiles_end();
    if (j->streams) stream_end();
}

static void combine_row(void *arg, int64_t ch, int thread) {
    (void)thread;
    const job *j = arg;
    add_partials(j->partial + ch * j->out, j->chunks, j->channels * j->out, j->out,
                 (float *)j->c->dx[W] + ch * j->out);
}

/* The sums of one image, and what the gate makes of them. */
static void gradient_image(void *arg, int64_t image, int thread) {
    (void)thread;
    const job *j = arg;
    double *total = j->image_sum + image * SUMS * j->channels;
    for (int64_t i = 0; i < SUMS * j->channels; i++) {
        total[i] = 0;
        for (int64_t b = 0; b < j->image_blocks; b++)
            total[i] += (double)j->sums[(image * j->image_blocks + b) * SUMS * j->channels + i];
    }
    for (int64_t ch = 0; ch < j->channels; ch++)
        j->gradient.dt[image * j->channels + ch] = (float)total[DZ_S * j->channels + ch];
    gate_gradient_image(&j->gradient, image);
    float *dmean = j->gradient.dmean + image * j->channels;
    for (int64_t ch = 0; ch < j->channels; ch++)
        dmean[ch] /= (float)j->pixels; /* a pixel's share */
}

static void norm_sums(void *arg, int64_t lane_block, int thread) {
    (void)thread;
    const job *j = arg;
    int64_t c = j->channels;
    for (int64_t ch = lane_block * V16; ch < min64((lane_block + 1) * V16, c); ch++) {
        double sum = 0, sum_h = 0;
        for (int64_t i = 0; i < j->images; i++) {
            const double *total = j->image_sum + i * SUMS * c + ch;
            double a = (double)j->gate[i * c + ch], m = (double)j->gradient.dmean[i * c + ch];
            sum += a * total[DZ_SLOPE * c] + m * total[SLOPE * c];
            sum_h += a * total[DZ_SLOPE_H * c] + m * total[SLOPE_H * c];
        }
        norm_note_sums(&j->n, ch, sum, sum_h);
    }
}

MG_INLINE void dx_lanes(const job *j, int64_t image, int64_t row, int64_t ch, int n, bool fresh) {
    norm_lanes l = norm_load(&j->n, ch, n);
    v16 gate = v16_load_n(j->gate + image * j->channels + ch, n);
    v16 dmean = v16_load_n(j->gradient.dmean + image * j->channels + ch, n);
    v16 mean_dy = v16_load_n(j->n.mean_dy + ch, n), mean_h = v16_load_n(j->n.mean_dy_h + ch, n);
    int64_t at = row * j->channels + ch;
    float *dx = (float *)j->c->dx[NORM_X] + at;
    v16 a = v16_load_some(j->n.x + at, n), g = v16_load_some(j->dz + at, n);
    v16 dn = v16_mul(v16_fma(g, gate, dmean), v16_silu_slope(norm_apply(&l, a)));
    v16 onto = v16_load_onto(fresh, dx, n);
    v16_store_some(dx, norm_gradient(&l, dn, norm_unit(&l, a), mean_dy, mean_h, onto), n);
}

MG_INLINE void dx_rows(const job *j, int64_t number, bool fresh) {
    block b = block_of(j, number);
    for (int64_t r = b.first; r < b.first + b.rows; r++) {
        int64_t ch = 0;
        for (; ch + V16 <= j->channels; ch += V16) dx_lanes(j, b.image, r, ch, V16, fresh);
        if (ch < j->channels) dx_lanes(j, b.image, r, ch, (int)(j->channels - ch), fresh);
    }
}

static void dx_block(void *arg, int64_t number, int thread) {
    (void)thread;
    const job *j = arg;
    if (j->c->overwrite & 1) dx_rows(j, number, true);
    else dx_rows(j, number, false);
}

/* dz needs a tensor of its own unless it can be put where dx will be. */
static bool dz_apart(const mg_op_call *c) { return c->dx[NORM_X] && !(c->overwrite & 1); }

enum { BACKWARD_PARTS = 9 };

/* Floats of the parts of scratch, in order. */
static int64_t backward_parts(const job *j, int threads, int64_t *part) {
    int64_t all = j->images * j->image_blocks;
    part[0] = 2 * j->images * SUMS * j->channels; /* doubles */
    part[1] = packed_count(j->out, j->channels);
    part[2] = threads * (int64_t)THREAD_FLOATS;
    part[3] = all * SUMS * j->channels;
    part[4] = j->chunks * j->channels * j->out;
    part[5] = 2 * j->channels + gate_gradient_floats(j->images, j->channels, j->squeezed);
    part[6] = dz_apart(j->c) ? j->n.rows * j->channels : 0;
    part[7] = j->c->dx[W] ? all * packed_count(BLOCK_ROWS, j->out) : 0;
    part[8] = DEPTH_STEP > 1 ? (j->n.rows + ROWS_BEYOND) * (panel_count(j->out) / PANEL) : 0;
    int64_t total = 0;
    for (int i = 0; i < BACKWARD_PARTS; i++) total += part[i];
    return total;
}

static void backward_memory(job *j) {
    const mg_op_call *c = j->c;
    int64_t part[BACKWARD_PARTS];
    backward_parts(j, mg_pool_threads(c->pool), part);
    j->image_sum = c->scratch;
    j->packed = (float *)c->scratch + part[0];
    j->tiles = j->packed + part[1];
    j->sums = j->tiles + part[2];
    j->partial = j->sums + part[3];
    j->n.mean_dy = j->partial + part[4];
    j->n.mean_dy_h = j->n.mean_dy + j->channels;
    j->gradient = (gate_gradient){.w1 = c->x[W1],
                                  .w2 = c->x[W2],
                                  .images = j->images,
                                  .channels = j->channels,
                                  .squeezed = j->squeezed,
                                  .mean = j->mean,
                                  .u = j->u,
                                  .gate = j->gate,
                                  .dw1 = c->dx[W1],
                                  .dw2 = c->dx[W2]};
    gate_gradient_use(&j->gradient, j->n.mean_dy_h + j->channels);
    float *left = j->n.mean_dy + part[5];
    j->dz = dz_apart(c) ? left : c->dx[NORM_X];
    j->panels = left + part[6];
    j->ready = part[8] ? j->panels + part[7] : NULL;
    j->streams = stream_wanted(j->dz, j->channels, j->n.rows * j->channels);
}

static void backward(const mg_op_call *c) {
    const mg_kernels *other = kernels_by_halves(c, MG_HALVES_NORM_GATE_PROJECT);
    if (other) {
        other->backward(c);
        return;
    }
    job j = job_of(c);
    backward_memory(&j);
    mg_parallel_for(c->pool, panels_of(j.channels), pack_w_transposed, &j);
    mg_parallel_for(c->pool, j.images * j.image_blocks, pack_dy, &j);
    mg_parallel_for(c->pool, j.chunks * j.slabs, backward_piece, &j);
    mg_parallel_for(c->pool, j.images, gradient_image, &j);
    gate_gradient_weights(&j.gradient, c->pool, c->dx[B1], c->dx[B2]);
    mg_parallel_for(c->pool, ceil_div(j.channels, V16), norm_sums, &j);
    if (c->dx[W]) mg_parallel_for(c->pool, j.channels, combine_row, &j);
    if (c->dx[NORM_X]) mg_parallel_for(c->pool, j.images * j.image_blocks, dx_block, &j);
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
