/* concat on the GPU: two tensors joined along one axis; nothing but copies.
 *
 *     y = [a b] along the axis;   da += the part of dy that came from a,  db += the rest
 *
 * Seen from the axis on, all three tensors are matrices with the same number of rows; a row of y is
 * a row of a, then a row of b. A block takes as many rows as its 256 threads cover, or 256 vectors
 * of one row where rows are longer (x counts groups of rows, y slices of a row): a thread divides
 * two small numbers once. V = 4 elements a thread when both row lengths are multiples of 4 and the
 * arrays aligned, else 1. Forward moves 8 bytes per element, backward 12, in one launch for both
 * inputs. Source: Szegedy et al. 2014. */
#include "cuda/lanes.h"

enum { THREADS = 256 };
static const int64_t most_slices = 65535; /* limit of the grid's y; longer rows loop */

typedef struct geometry {
    int64_t rows, first, second; /* vectors in a row of a and of b */
    int lanes, row_lanes;        /* of a block */
} geometry;

/* Calls body(row, at) for the vectors of this thread: at < first lies in a, the rest in b. */
template <class F> __device__ __forceinline__ void each_vector(const geometry &g, F body) {
    const int row_lane = (int)threadIdx.x / g.lanes, lane = (int)threadIdx.x - row_lane * g.lanes;
    const int64_t row = (int64_t)blockIdx.x * g.row_lanes + row_lane;
    if (row_lane >= g.row_lanes || row >= g.rows) return;
    for (int64_t at = (int64_t)blockIdx.y * g.lanes + lane; at < g.first + g.second;
         at += (int64_t)gridDim.y * g.lanes)
        body(row, at);
}

template <int V> static __global__ void __launch_bounds__(THREADS)
    concat_forward_kernel(geometry g, const float *__restrict__ a, const float *__restrict__ b,
                          float *__restrict__ y) {
    each_vector(g, [=](int64_t row, int64_t at) {
        const float *from =
            at < g.first ? a + (row * g.first + at) * V : b + (row * g.second + at - g.first) * V;
        mg_store(y + (row * (g.first + g.second) + at) * V, mg_load<V>(from));
    });
}

template <int V> static __global__ void __launch_bounds__(THREADS)
    concat_backward_kernel(geometry g, const float *__restrict__ dy, float *da, float *db) {
    each_vector(g, [=](int64_t row, int64_t at) {
        const bool left = at < g.first;
        float *to = left ? da : db;
        if (!to) return;
        to += (left ? row * g.first + at : row * g.second + at - g.first) * V;
        mg_lanes<V> sum = mg_load<V>(to);
        mg_add(sum, mg_load<V>(dy + (row * (g.first + g.second) + at) * V));
        mg_store(to, sum);
    });
}

/* Elements from one step along the dims before the axis to the next. */
static int64_t row_length(const mg_shape *shape, int axis) {
    int64_t n = 1;
    for (int i = axis; i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

/* Fills g in units of vectors; returns elements per vector. */
static int geometry_of(const mg_op_call *c, const void *p, const void *q, const void *r,
                       geometry *g) {
    g->first = row_length(&c->x_shape[0], c->attr.axis);
    g->second = row_length(&c->x_shape[1], c->attr.axis);
    g->rows = mg_shape_elements(&c->x_shape[0]) / g->first;
    const int v = mg_lane_width(g->first | g->second, p, q, r, NULL); /* both multiples of 4 */
    g->first /= v;
    g->second /= v;
    const int64_t width = g->first + g->second;
    g->lanes = (int)(width < (int64_t)THREADS ? width : (int64_t)THREADS);
    g->row_lanes = THREADS / g->lanes;
    return v;
}

static dim3 grid_of(const geometry *g) {
    const int64_t slices = mg_ceil_div(g->first + g->second, g->lanes);
    return dim3((unsigned)mg_ceil_div(g->rows, g->row_lanes),
                (unsigned)(slices < most_slices ? slices : most_slices));
}

static void forward(const mg_op_call *c) {
    geometry g;
    const int v = geometry_of(c, c->x[0], c->x[1], c->y, &g);
    mg_cuda_cost(8.0 * (double)mg_shape_elements(&c->y_shape), 0);
    if (v == 4)
        MG_LAUNCH((concat_forward_kernel<4>), grid_of(&g), THREADS, 0, g, (const float *)c->x[0],
                  (const float *)c->x[1], (float *)c->y);
    else
        MG_LAUNCH((concat_forward_kernel<1>), grid_of(&g), THREADS, 0, g, (const float *)c->x[0],
                  (const float *)c->x[1], (float *)c->y);
}

static void backward(const mg_op_call *c) {
    geometry g;
    const int v = geometry_of(c, c->dx[0], c->dx[1], c->dy, &g);
    double n = 0;
    for (int i = 0; i < 2; i++)
        if (c->dx[i]) n += (double)mg_shape_elements(&c->x_shape[i]);
    if (n == 0) return;
    mg_cuda_cost(12.0 * n, n);
    if (v == 4)
        MG_LAUNCH((concat_backward_kernel<4>), grid_of(&g), THREADS, 0, g, (const float *)c->dy,
                  (float *)c->dx[0], (float *)c->dx[1]);
    else
        MG_LAUNCH((concat_backward_kernel<1>), grid_of(&g), THREADS, 0, g, (const float *)c->dy,
                  (float *)c->dx[0], (float *)c->dx[1]);
}

MG_CUDA_OP(concat, forward, backward, NULL);
