/* norm_gate_project.h: what the forward and the backward file of norm_gate_project share: sizes,
 * groups of images, the walk of a block, and n from x. */
#ifndef MG_CUDA_NORM_GATE_PROJECT_H
#define MG_CUDA_NORM_GATE_PROJECT_H

#include "cuda/activation.h"
#include "cuda/columns.h"
#include "cuda/gate.h"
#include "cuda/image_groups.h"

enum {
    MG_NGP_X,
    MG_NGP_GAMMA,
    MG_NGP_BETA,
    MG_NGP_W1 = 5,
    MG_NGP_B1,
    MG_NGP_W2,
    MG_NGP_B2,
    MG_NGP_W
};

/* A wide tensor of a group of images is written by one launch and read by the next: within this it
 * is still in the L2 cache (40 MB on an A100, 50 on an H100), beside what streams through. */
enum { MG_NGP_GROUP_KIB = 16 << 10 };

/* What turns x into n = scale (x - mean) + beta, scale = gamma inverse. Arrays of channels. */
typedef struct mg_norm_arrays {
    const float *x, *mean, *inverse, *gamma, *beta;
} mg_norm_arrays;

typedef struct mg_norm_gate {
    int64_t images, pixels, channels, squeezed, out, group; /* group: images at once */
    int vector;                                             /* channels per access, 4 or 1 */
    mg_columns walk;                                        /* of one image */
    mg_norm_arrays norm;
    mg_gate gate; /* of all images; h is scratch, the rest was or is saved */
} mg_norm_gate;

static inline mg_norm_gate mg_norm_gate_of(const mg_op_call *c) {
    const int64_t *x = c->x_shape[MG_NGP_X].dim;
    mg_norm_gate j = {};
    j.images = x[0], j.pixels = x[1] * x[2], j.channels = x[3];
    j.squeezed = c->x_shape[MG_NGP_W1].dim[1], j.out = c->x_shape[MG_NGP_W].dim[1];
    j.group = mg_images_at_once(j.images, 4 * j.pixels * j.channels, MG_NGP_GROUP_KIB);
    float *save = (float *)c->save;
    j.norm = {(const float *)c->x[MG_NGP_X], save, save + j.channels,
              (const float *)c->x[MG_NGP_GAMMA], (const float *)c->x[MG_NGP_BETA]};
    mg_gate *g = &j.gate;
    g->images = j.images, g->channels = (int)j.channels, g->squeezed = (int)j.squeezed;
    g->w1 = (const float *)c->x[MG_NGP_W1], g->b1 = (const float *)c->x[MG_NGP_B1];
    g->w2 = (const float *)c->x[MG_NGP_W2], g->b2 = (const float *)c->x[MG_NGP_B2];
    g->mean = save + 2 * j.channels;
    g->u = g->mean + j.images * j.channels;
    g->gate = g->u + j.images * j.squeezed;
    const bool wide = mg_lane_width(j.channels, j.norm.x, j.norm.gamma, j.norm.beta, save) == 4 &&
                      mg_aligned16(c->scratch) && mg_aligned16(c->dx[MG_NGP_X]);
    j.vector = wide ? 4 : 1;
    j.walk = mg_columns_of(j.pixels, j.channels, j.vector);
    return j;
}

/* Chunks of an image at most, whichever vector width the addresses will allow. */
static inline int64_t mg_norm_gate_most_chunks(const mg_norm_gate *j) {
    const int64_t narrow = mg_columns_of(j->pixels, j->channels, 1).chunks;
    const int64_t wide = j->channels % 4 ? 0 : mg_columns_of(j->pixels, j->channels, 4).chunks;
    return narrow > wide ? narrow : wide;
}

/* Blocks that walk n images; and which part of which image a block owns. */
static inline unsigned mg_norm_gate_blocks(const mg_norm_gate *j, int64_t n) {
    return (unsigned)(n * j->walk.chunks * j->walk.slices);
}

/* Gives each part of scratch its place, on 16-byte boundaries; returns the floats of all. */
typedef struct mg_part {
    float **to;
    int64_t floats;
} mg_part;

static inline int64_t mg_lay_out(const mg_part *parts, int count, float *scratch) {
    int64_t total = 0;
    for (int i = 0; i < count; i++) {
        if (scratch) *parts[i].to = scratch + total;
        total += mg_ceil_div(parts[i].floats, 4) * 4;
    }
    return total;
}

void mg_norm_gate_project_backward(const mg_op_call *c);
size_t mg_norm_gate_project_scratch(const mg_op_call *c); /* backward's */

/* --- device side ------------------------------------------------------------------------------ */

typedef struct mg_image_piece {
    int64_t image, piece; /* piece: chunks of all images, counted */
    int64_t start;        /* first element of the image */
} mg_image_piece;

template <int V>
__device__ __forceinline__ mg_column_place mg_image_place(const mg_columns &g, mg_image_piece *at) {
    at->piece = blockIdx.x / g.slices;
    at->image = at->piece / g.chunks;
    at->start = at->image * g.rows * g.channels;
    return mg_column_place_at<V>(g, at->piece - at->image * g.chunks, (int)(blockIdx.x % g.slices));
}

/* A thread's channels of the arrays. */
template <int V> struct mg_norm_lanes { mg_lanes<V> mean, inverse, scale, shift; };

template <int V> __device__ __forceinline__ mg_norm_lanes<V>
mg_norm_lanes_at(const mg_norm_arrays &n, int64_t channel) {
    mg_norm_lanes<V> l;
    l.mean = mg_load<V>(n.mean + channel);
    l.inverse = mg_load<V>(n.inverse + channel);
    l.scale = mg_load<V>(n.gamma + channel);
    l.shift = mg_load<V>(n.beta + channel);
#pragma unroll
    for (int k = 0; k < V; k++) l.scale.v[k] *= l.inverse.v[k];
    return l;
}

/* From an address that may lie off the boundary of V floats, as gates do behind what else is
 * saved. */
template <int V> __device__ __forceinline__ mg_lanes<V> mg_load_anywhere(const float *p) {
    mg_lanes<V> r;
    if ((uintptr_t)p % (4 * V) == 0) return mg_load<V>(p);
#pragma unroll
    for (int k = 0; k < V; k++) r.v[k] = p[k];
    return r;
}

template <int V>
__device__ __forceinline__ float mg_norm_of(const mg_norm_lanes<V> &l, int k, float x) {
    return fmaf(x - l.mean.v[k], l.scale.v[k], l.shift.v[k]);
}

/* Adds `count` arrays of sums over the row lanes of a block, in place, by a fixed tree; row lane 0
 * finds the sums in its places and needs no barrier. Every thread of the block must call it. */
template <int COUNT, int THREADS> __device__ __forceinline__ void
mg_add_row_lanes(const mg_columns &g, const mg_column_place &p, float (&sums)[COUNT][THREADS]) {
    const int t = (int)threadIdx.x;
    for (int half = mg_half_of(g.row_lanes); half > 0; half /= 2) {
        __syncthreads();
        if (p.row_lane >= half || p.row_lane + half >= g.row_lanes) continue;
#pragma unroll
        for (int k = 0; k < COUNT; k++) sums[k][t] += sums[k][t + half * g.lanes];
    }
}

#endif
