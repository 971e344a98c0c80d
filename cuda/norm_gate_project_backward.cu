/* Backward of norm_gate_project (cuda/norm_gate_project.cu has the formulas): two passes over x.
 *
 *     dz = dy w^T,  dw += z^T dy,  z = s a;   dt = a (1 - a) sum_{h,w} dz s, then gate_gradient.h
 *     dn = (dz a + dmean / P) silu'(n),   dmean = du w1^T
 *     dx += gamma r (dn - mean(dn) - h mean(dn h)),   h = (x - mean) r,  r = 1 / sqrt(var + eps)
 *
 * dmean of an image is known only when all of its dz were seen, mean(dn) and mean(dn h) only when
 * the whole batch was. But dn is linear in dmean, which is the same for all pixels: five sums per
 * image and channel, taken in one pass, give dt and then both means,
 *
 *     sum dz silu'   sum silu'   sum dz silu' h   sum silu' h   sum dz s
 *
 * and a second pass writes dx. With X the size of x, groups of images as forward:
 *
 *     launch                          reads       writes
 *     for each group: dz = dy w^T     dy          dz          cuBLAS
 *       meet_kernel                   x, dz       z           and the sums per chunk of pixels
 *       dw += z^T dy                  z, dy       dw          cuBLAS
 *     sums of chunks; gate; means     the sums                small: sums.h, gate_gradient.h
 *     for each group: dx_kernel       x, dz       dx
 *
 * dz is needed by both passes. Up to 64 outputs (K) it is made again: 2 K flops for an element that
 * would have to be written and read, 8 bytes; from data sheets, memory is the faster from K = 50
 * (A100) to 80 (H100) on, which no GPU has confirmed. Made again, dz lives in the place of a group,
 * z takes its place there, both stay in the L2 cache, and of memory x is read twice and dx written:
 * 3 X, the least without a barrier across the grid and with cuBLAS. Kept, it takes 2 X more, and z
 * has a place of its own. Where dx holds nothing yet it is the place of dz in the second pass, and
 * of a kept dz in both.
 *
 * Bits do not change from run to run. dw is summed group by group, so that another size of groups
 * rounds it differently; the other gradients come from fixed chunks and trees and, but for cuBLAS's
 * own choice, do not depend on it. Blocks: as forward; 20 KiB of shared memory for the sums.
 * Source: Hu, Shen & Sun 2017; Ioffe & Szegedy 2015. */
#include "cuda/batch_norm.h" /* finishing blocks */
#include "cuda/gate_gradient.h"
#include "cuda/norm_gate_project.h"

enum { AGAIN_OUTPUTS = 64 }; /* up to so many, dz is made twice */
enum { DZ_SLOPE, SLOPE, DZ_SLOPE_H, SLOPE_H, DZ_S, SUMS };

/* s (1 + n (1 - s)) of the sigmoid s of n. */
__device__ __forceinline__ float slope_at(float n, float sigmoid) {
    return sigmoid * (1 + n * (1 - sigmoid));
}

/* --- first pass ------------------------------------------------------------------------------- */

/* z = s a where dz was or elsewhere (z NULL: not at all), and the five sums, `apart` floats from
 * one to the next, each [image][chunk][channel]. */
template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    meet_kernel(mg_columns g, mg_norm_arrays norm, const float *gate, const float *dz, float *z,
                float *partial, int64_t apart) {
    MG_SHARED(float, sums, [SUMS * V][MG_COLUMN_THREADS]);
    mg_image_piece at;
    const mg_column_place p = mg_image_place<V>(g, &at);
    mg_lanes<V> sum[SUMS];
#pragma unroll
    for (int q = 0; q < SUMS; q++) sum[q] = mg_splat<V>(0);
    if (p.begin < p.end) {
        const mg_norm_lanes<V> l = mg_norm_lanes_at<V>(norm, p.channel);
        const mg_lanes<V> a = mg_load_anywhere<V>(gate + at.image * g.channels + p.channel);
#pragma unroll 2
        for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
            const int64_t i = at.start + r * g.channels + p.channel;
            const mg_lanes<V> x = mg_load<V>(norm.x + i), d = mg_load<V>(dz + i);
            mg_lanes<V> to;
#pragma unroll
            for (int k = 0; k < V; k++) {
                const float n = mg_norm_of<V>(l, k, x.v[k]), sigmoid = mg_sigmoid(n);
                const float s = n * sigmoid, slope = slope_at(n, sigmoid), ds = d.v[k] * slope;
                const float h = (x.v[k] - l.mean.v[k]) * l.inverse.v[k];
                to.v[k] = s * a.v[k];
                sum[DZ_SLOPE].v[k] += ds;
                sum[SLOPE].v[k] += slope;
                sum[DZ_SLOPE_H].v[k] = fmaf(ds, h, sum[DZ_SLOPE_H].v[k]);
                sum[SLOPE_H].v[k] = fmaf(slope, h, sum[SLOPE_H].v[k]);
                sum[DZ_S].v[k] = fmaf(d.v[k], s, sum[DZ_S].v[k]);
            }
            if (z) mg_store(z + i, to);
        }
    }
#pragma unroll
    for (int q = 0; q < SUMS; q++)
#pragma unroll
        for (int k = 0; k < V; k++) sums[q * V + k][threadIdx.x] = sum[q].v[k];
    mg_add_row_lanes(g, p, sums);
    if (p.row_lane > 0 || p.end == 0) return;
    float *to = partial + at.piece * g.channels + p.channel;
#pragma unroll
    for (int q = 0; q < SUMS; q++) {
#pragma unroll
        for (int k = 0; k < V; k++) sum[q].v[k] = sums[q * V + k][p.lane];
        mg_store(to + q * apart, sum[q]);
    }
}

/* --- between the passes ----------------------------------------------------------------------- */

typedef struct means {
    const float *totals, *gate, *dmean; /* the first four sums [4,N,C]; [N,C]; [N,C] */
    float *dgamma, *dbeta;              /* may be NULL */
    float *mean_dn, *mean_dn_h;         /* [C]; zeros where statistics are constants */
    int64_t images, channels, rows;
    bool training;
} means;

/* A block owns 32 channels; its warps take the images in turn. f64: sums may cancel. */
static __global__ void __launch_bounds__(MG_FINISH_THREADS) means_kernel(means m) {
    MG_SHARED(double, sums, [MG_FINISH_THREADS]);
    const int warp = (int)threadIdx.x / MG_WARP;
    const int64_t channel = (int64_t)blockIdx.x * MG_WARP + threadIdx.x % MG_WARP;
    const int64_t apart = m.images * m.channels;
    const bool mine = channel < m.channels;
    double sum = 0, sum_h = 0;
    for (int64_t n = warp; mine && n < m.images; n += MG_FINISH_WARPS) {
        const int64_t i = n * m.channels + channel;
        const float *t = m.totals + i;
        const double a = (double)m.gate[i], share = (double)m.dmean[i];
        sum += a * (double)t[DZ_SLOPE * apart] + share * (double)t[SLOPE * apart];
        sum_h += a * (double)t[DZ_SLOPE_H * apart] + share * (double)t[SLOPE_H * apart];
    }
    sum = mg_across_warps(sums, sum);
    sum_h = mg_across_warps(sums, sum_h);
    if (!mine || warp > 0) return;
    if (m.dbeta) m.dbeta[channel] += (float)sum;
    if (m.dgamma) m.dgamma[channel] += (float)sum_h;
    m.mean_dn[channel] = m.training ? (float)(sum / (double)m.rows) : 0;
    m.mean_dn_h[channel] = m.training ? (float)(sum_h / (double)m.rows) : 0;
}

/* --- second pass ------------------------------------------------------------------------------ */

typedef struct slopes {
    const float *gate, *dmean;        /* of the group's first image on */
    const float *mean_dn, *mean_dn_h; /* of channels */
} slopes;

/* dx += …, fresh: =. dz may be dx. */
template <int V> static __global__ void __launch_bounds__(MG_COLUMN_THREADS)
    dx_kernel(mg_columns g, mg_norm_arrays norm, slopes d, const float *dz, float *dx, bool fresh) {
    mg_image_piece at;
    const mg_column_place p = mg_image_place<V>(g, &at);
    if (p.begin >= p.end) return;
    const mg_norm_lanes<V> l = mg_norm_lanes_at<V>(norm, p.channel);
    const mg_lanes<V> mean_dn = mg_load<V>(d.mean_dn + p.channel);
    const mg_lanes<V> mean_dn_h = mg_load<V>(d.mean_dn_h + p.channel);
    const int64_t own = at.image * g.channels + p.channel;
    const mg_lanes<V> a = mg_load_anywhere<V>(d.gate + own), share = mg_load<V>(d.dmean + own);
#pragma unroll 2
    for (int64_t r = p.begin; r < p.end; r += g.row_lanes) {
        const int64_t i = at.start + r * g.channels + p.channel;
        const mg_lanes<V> x = mg_load<V>(norm.x + i), gradient = mg_load<V>(dz + i);
        mg_lanes<V> sum = mg_load_if<V>(!fresh, dx + i);
#pragma unroll
        for (int k = 0; k < V; k++) {
            const float n = mg_norm_of<V>(l, k, x.v[k]), slope = slope_at(n, mg_sigmoid(n));
            const float h = (x.v[k] - l.mean.v[k]) * l.inverse.v[k];
            const float dn = fmaf(gradient.v[k], a.v[k], share.v[k]) * slope;
            sum.v[k] = fmaf(l.scale.v[k], fmaf(-h, mean_dn_h.v[k], dn - mean_dn.v[k]), sum.v[k]);
        }
        mg_store(dx + i, sum);
    }
}

/* --- host side -------------------------------------------------------------------------------- */

typedef struct job {
    const mg_op_call *c;
    mg_norm_gate all;
    bool again, fresh; /* dz is made twice; dx holds nothing yet */
    float *dz;         /* of a group, if made again; else of all images */
    float *z;          /* of a group */
    float *partial, *totals, *mean_dn, *mean_dn_h, *dmean;
    mg_gate_slopes slopes;
} job;

static job job_of(const mg_op_call *c) {
    job j = {};
    j.c = c;
    j.all = mg_norm_gate_of(c);
    j.again = !c->dx[MG_NGP_X] || j.all.out <= AGAIN_OUTPUTS;
    j.fresh = c->overwrite & 1;
    return j;
}

static int64_t lay_out(job *j, float *scratch) {
    const mg_norm_gate *a = &j->all;
    const int64_t one = a->pixels * a->channels, nc = a->images * a->channels;
    const int64_t chunks = mg_norm_gate_most_chunks(a);
    const int64_t kept = j->again ? 0 : j->fresh ? 0 : a->images * one;
    float *group = NULL, *tensor = NULL;
    const mg_part parts[] = {{&group, a->group * one},
                             {&tensor, kept},
                             {&j->partial, SUMS * chunks * nc},
                             {&j->totals, chunks > 1 ? DZ_S * nc : 0},
                             {&j->mean_dn, a->channels},
                             {&j->mean_dn_h, a->channels},
                             {&j->dmean, nc},
                             {&j->slopes.dt, nc},
                             {&j->slopes.du, a->images * a->squeezed},
                             {&j->all.gate.h, a->images * a->squeezed}};
    const int64_t floats = mg_lay_out(parts, MG_COUNT(parts), scratch);
    j->z = group;
    j->dz = j->again ? group : j->fresh ? (float *)j->c->dx[MG_NGP_X] : tensor;
    return floats;
}

size_t mg_norm_gate_project_scratch(const mg_op_call *c) {
    job j = job_of(c);
    return (size_t)lay_out(&j, NULL) * sizeof(float);
}

/* n images from `first` on. */
typedef struct group {
    int64_t first, n, at; /* at: elements before it */
    mg_norm_arrays norm;
    const float *dy, *gate;
} group;

static group group_of(const job *j, int64_t first) {
    const mg_norm_gate *a = &j->all;
    group g = {first, a->group, first * a->pixels * a->channels, a->norm, NULL, NULL};
    if (first + g.n > a->images) g.n = a->images - first;
    g.norm.x += g.at;
    g.dy = (const float *)j->c->dy + first * a->pixels * a->out;
    g.gate = a->gate.gate + first * a->channels;
    return g;
}

/* to = dy w^T */
static void make_dz(const job *j, const group *at, float *to) {
    const mg_norm_gate *a = &j->all;
    mg_gemm g = {};
    g.m = at->n * a->pixels, g.k = a->out, g.n = a->channels;
    g.a = at->dy, g.lda = a->out;
    g.b = (const float *)j->c->x[MG_NGP_W], g.ldb = a->out, g.transpose_b = true;
    g.c = to, g.ldc = a->channels;
    g.alpha = 1;
    mg_cuda_gemm(&g);
}

static void add_dw(const job *j, const group *at) {
    const mg_norm_gate *a = &j->all;
    mg_gemm g = {};
    g.m = a->channels, g.k = at->n * a->pixels, g.n = a->out;
    g.a = j->z, g.lda = a->channels, g.transpose_a = true;
    g.b = at->dy, g.ldb = a->out;
    g.c = (float *)j->c->dx[MG_NGP_W], g.ldc = a->out;
    g.alpha = 1, g.beta = 1;
    mg_cuda_gemm(&g);
}

template <int V> static void first_pass(const job *j) {
    const mg_norm_gate *a = &j->all;
    const bool wants_dw = j->c->dx[MG_NGP_W] != NULL;
    const int64_t apart = a->images * a->walk.chunks * a->channels;
    for (int64_t first = 0; first < a->images; first += a->group) {
        const group g = group_of(j, first);
        float *dz = j->dz + (j->again ? 0 : g.at);
        const double elements = (double)(g.n * a->pixels * a->channels);
        make_dz(j, &g, dz);
        mg_cuda_cost((wants_dw ? 12 : 8) * elements, 22 * elements);
        MG_LAUNCH((meet_kernel<V>), mg_norm_gate_blocks(a, g.n), mg_columns_threads(&a->walk), 0,
                  a->walk, g.norm, g.gate, (const float *)dz, wants_dw ? j->z : NULL,
                  j->partial + first * a->walk.chunks * a->channels, apart);
        if (wants_dw) add_dw(j, &g);
    }
}

/* dmean = du w1^T / pixels: what each pixel gets. */
static void make_dmean(const job *j) {
    const mg_norm_gate *a = &j->all;
    mg_gemm g = {};
    g.m = a->images, g.k = a->squeezed, g.n = a->channels;
    g.a = j->slopes.du, g.lda = a->squeezed;
    g.b = a->gate.w1, g.ldb = a->squeezed, g.transpose_b = true;
    g.c = j->dmean, g.ldc = a->channels;
    g.alpha = 1.0f / (float)a->pixels;
    mg_cuda_gemm(&g);
}

static void between(const job *j) {
    const mg_norm_gate *a = &j->all;
    void *const *dx = j->c->dx;
    const int64_t chunks = a->walk.chunks, nc = a->images * a->channels;
    mg_gate_backward(&a->gate, &j->slopes, j->partial + DZ_S * chunks * nc, chunks,
                     (float *)dx[MG_NGP_W1], (float *)dx[MG_NGP_B1], (float *)dx[MG_NGP_W2],
                     (float *)dx[MG_NGP_B2]);
    make_dmean(j);
    if (chunks > 1)
        mg_combine(j->partial, DZ_S * a->images, chunks, a->channels, 1, false, j->totals);
    const means m = {chunks > 1 ? j->totals : j->partial,
                     a->gate.gate,
                     j->dmean,
                     (float *)dx[MG_NGP_GAMMA],
                     (float *)dx[MG_NGP_BETA],
                     j->mean_dn,
                     j->mean_dn_h,
                     a->images,
                     a->channels,
                     a->images * a->pixels,
                     j->c->attr.training};
    mg_cuda_cost(24.0 * (double)nc, 8.0 * (double)nc);
    MG_LAUNCH(means_kernel, (unsigned)mg_ceil_div(a->channels, MG_WARP), MG_FINISH_THREADS, 0, m);
}

/* Groups from the last to the first: what the first pass saw last is likeliest to be cached. */
template <int V> static void second_pass(const job *j) {
    const mg_norm_gate *a = &j->all;
    float *dx = (float *)j->c->dx[MG_NGP_X];
    const int64_t last = (a->images - 1) / a->group * a->group;
    for (int64_t first = last; first >= 0; first -= a->group) {
        const group g = group_of(j, first);
        float *dz = !j->again ? j->dz + g.at : j->fresh ? dx + g.at : j->dz;
        const double elements = (double)(g.n * a->pixels * a->channels);
        if (j->again) make_dz(j, &g, dz);
        const slopes d = {g.gate, j->dmean + first * a->channels, j->mean_dn, j->mean_dn_h};
        mg_cuda_cost((j->fresh ? 12 : 16) * elements, 16 * elements);
        MG_LAUNCH((dx_kernel<V>), mg_norm_gate_blocks(a, g.n), mg_columns_threads(&a->walk), 0,
                  a->walk, g.norm, d, (const float *)dz, dx + g.at, j->fresh);
    }
}

template <int V> static void backward_of(const job *j) {
    first_pass<V>(j);
    between(j);
    if (j->c->dx[MG_NGP_X]) second_pass<V>(j);
}

void mg_norm_gate_project_backward(const mg_op_call *c) {
    job j = job_of(c);
    lay_out(&j, (float *)c->scratch);
    if (j.all.vector == 4) backward_of<4>(&j);
    else backward_of<1>(&j);
}
