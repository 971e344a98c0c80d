/* norm_gate_project.h: what forward and backward of norm_gate_project share. */
#ifndef MG_OPS_CPU_NORM_GATE_PROJECT_H
#define MG_OPS_CPU_NORM_GATE_PROJECT_H

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

#endif
