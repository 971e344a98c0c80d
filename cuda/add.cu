/* add on the GPU: the residual connection, bound by memory.
 *
 *     y = a + b;   da += dy,  db += dy
 *
 * Grid: one thread per four elements, 256 threads a block, the last n mod 4 elements one thread
 * each. Forward moves 12 bytes per element. Backward serves both inputs in one launch, so that dy
 * is read once: 20 bytes per element (dy; da and db read and written), 12 when one is wanted, four
 * less for each that holds nothing yet. The gradient pointers carry no __restrict__: a + a has da =
 * db, and then each thread adds twice, one after the other. Source: He et al. 2015. */
#include "cuda/elementwise.h"

static __global__ void __launch_bounds__(MG_MAP_THREADS)
    add_forward_kernel(const float *__restrict__ a, const float *__restrict__ b,
                       float *__restrict__ y, int64_t n, int64_t quads) {
    const int64_t i = (int64_t)blockIdx.x * MG_MAP_THREADS + threadIdx.x;
    const int64_t k = 4 * quads + (i - quads); /* the tail's element, for threads past the quads */
    if (i < quads) {
        const float4 u = reinterpret_cast<const float4 *>(a)[i];
        const float4 v = reinterpret_cast<const float4 *>(b)[i];
        reinterpret_cast<float4 *>(y)[i] = make_float4(u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w);
    } else if (k < n) {
        y[k] = a[k] + b[k];
    }
}

__device__ __forceinline__ void add_quad(float *to, int64_t i, float4 g, bool fresh) {
    float4 d = make_float4(0, 0, 0, 0);
    if (!fresh) d = reinterpret_cast<float4 *>(to)[i];
    d.x += g.x;
    d.y += g.y;
    d.z += g.z;
    d.w += g.w;
    reinterpret_cast<float4 *>(to)[i] = d;
}

/* fresh_a, fresh_b: nothing to add to; never both for a + a. */
static __global__ void __launch_bounds__(MG_MAP_THREADS)
    add_backward_kernel(const float *dy, float *da, float *db, int64_t n, int64_t quads,
                        bool fresh_a, bool fresh_b) {
    const int64_t i = (int64_t)blockIdx.x * MG_MAP_THREADS + threadIdx.x;
    const int64_t k = 4 * quads + (i - quads);
    if (i < quads) {
        const float4 g = reinterpret_cast<const float4 *>(dy)[i];
        if (da) add_quad(da, i, g, fresh_a);
        if (db) add_quad(db, i, g, fresh_b);
    } else if (k < n) {
        const float g = dy[k];
        if (da) da[k] = fresh_a ? g : da[k] + g;
        if (db) db[k] = fresh_b ? g : db[k] + g;
    }
}

static void forward(const mg_op_call *c) {
    const int64_t n = mg_shape_elements(&c->y_shape);
    const int64_t quads = mg_quads(n, c->x[0], c->x[1], c->y);
    mg_cuda_cost(12.0 * (double)n, (double)n);
    MG_LAUNCH(add_forward_kernel, mg_map_blocks(n, quads), MG_MAP_THREADS, 0,
              (const float *)c->x[0], (const float *)c->x[1], (float *)c->y, n, quads);
}

static void backward(const mg_op_call *c) {
    const int64_t n = mg_shape_elements(&c->y_shape);
    const int64_t quads = mg_quads(n, c->dy, c->dx[0], c->dx[1]); /* NULL counts as aligned */
    const int wanted = (c->dx[0] != NULL) + (c->dx[1] != NULL);
    if (!wanted) return;
    const bool fresh_a = c->overwrite & 1, fresh_b = c->overwrite & 2;
    const double moves = 1 + 2 * wanted - (c->dx[0] && fresh_a) - (c->dx[1] && fresh_b);
    mg_cuda_cost(4 * moves * (double)n, (double)wanted * (double)n);
    MG_LAUNCH(add_backward_kernel, mg_map_blocks(n, quads), MG_MAP_THREADS, 0, (const float *)c->dy,
              (float *)c->dx[0], (float *)c->dx[1], n, quads, fresh_a, fresh_b);
}

MG_CUDA_OP(add, forward, backward, NULL, 3);
