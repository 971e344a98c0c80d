/* norm_gate_project_gradient.h: backward of norm_gate_project (see the .c). */
#ifndef MG_OPS_CPU_NORM_GATE_PROJECT_GRADIENT_H
#define MG_OPS_CPU_NORM_GATE_PROJECT_GRADIENT_H

#include "ops/cpu/norm_gate_project.h"

enum { TILE = BLOCK_ROWS * SLAB, THREAD_FLOATS = DEPTH_STEP > 1 ? 3 * TILE : 2 * TILE };

typedef struct block {
    int64_t image, first, rows; /* first: of the whole batch */
} block;

static block block_of(const job *j, int64_t number) {
    int64_t image = number / j->image_blocks, at = number % j->image_blocks * BLOCK_ROWS;
    return (block){image, image * j->pixels + at, min64(BLOCK_ROWS, j->pixels - at)};
}

static float *ready_row(const job *j, int64_t row) { return j->ready + row * padded_depth(j->out); }

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
    if (j->ready)
        gemm_ready((gemm_a){dy, j->out, 1, .ready = false}, b.rows, j->out, ready_row(j, b.first));
    for (int64_t p = 0; p < panels_of(j->out) && j->c->dx[W]; p++) {
        float *panel =
            j->panels + number * packed_count(BLOCK_ROWS, j->out) + p * panel_count(BLOCK_ROWS);
        pack_panel(dy, j->out, b.rows, j->out, p, panel);
        panel_ready(panel, b.rows);
    }
}

/* dz of one block and slab into a tile; meanwhile the slab of x, needed next, is fetched. */
static void make_dz(const job *j, const block *b, int64_t ch, int64_t width, float *tile) {
    gemm_a dy = {(const float *)j->c->dy + b->first * j->out, j->out, 1, .ready = false};
    if (j->ready) dy = (gemm_a){ready_row(j, b->first), padded_depth(j->out), 1, .ready = true};
    for (int64_t r = 0; r < b->rows; r++)
        for (int64_t i = 0; i < width; i += V16)
            __builtin_prefetch(j->n.x + (b->first + r) * j->channels + ch + i, 0, 2);
    for (int64_t k = 0; k < j->out; k += DEPTH_BLOCK) {
        int64_t steps = min64(DEPTH_BLOCK, j->out - k);
        for (int64_t n = 0; n < width; n += PANEL) {
            gemm_c to = {.data = tile + n, .row = SLAB};
            gemm_panel((gemm_a){dy.data + k, dy.row, 1, .ahead = n == 0}, b->rows,
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
    gemm_a a = gemm_ready((gemm_a){z, 1, SLAB, .ready = false}, width, b->rows, z + TILE);
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
    part[8] = DEPTH_STEP > 1 ? (j->n.rows + ROWS_BEYOND) * padded_depth(j->out) : 0;
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

#endif
