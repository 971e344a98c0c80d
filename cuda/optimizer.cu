/* The optimiser on the GPU: one launch over all tensors, bound by memory.
 *
 *     SGD    b = mu b + g,  w -= lr b                              (g includes decay · w)
 *     Adam   m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g²,  w -= step m / (sqrt(v)/root + eps)
 *     AdamW  w shrinks by 1 - lr · decay first
 *
 * A network has hundreds of tensors, most of them tiny: a launch each would cost more than the
 * work. So the list of tensors travels as an argument of the kernel, 48 bytes a tensor, and the
 * grid has a block for every 8192 elements of every tensor; a block finds its tensor by bisection
 * in constant memory. CUDA 12.1 allows 32 KiB of arguments, room for more tensors than
 * EfficientNet-B7 trains; older compilers, and the emulator, which copies arguments for every
 * thread, take several launches. Nothing is copied or waited for.
 *
 * A thread updates 4 elements at a time, 16 bytes per access (1 where an array is not aligned).
 * Bytes per element: SGD 20, Adam 28, moving average 12. Every product and sum is rounded on its
 * own (__fmul_rn, __fadd_rn are never fused), in the order of optim/optimizer.c: the same bits as
 * on the CPU.
 * Sources: Kingma & Ba 2015, Loshchilov & Hutter 2019, Polyak 1964. */
#include "cuda/lanes.h"
#include "cuda/plugin.h"

enum { THREADS = 256, CHUNK = 8192, MOST_CONSTANTS = 16 };
#if defined(__CUDACC__) && CUDART_VERSION >= 12010
enum { MOST_TENSORS = 640 };
#else
enum { MOST_TENSORS = 72 };
#endif

typedef struct entry {
    float *w, *grad, *first, *second;
    int64_t n;
    int first_chunk;
    short constants;
    bool wide; /* all arrays are aligned: 16 bytes per access */
} entry;

typedef struct constants { /* of a group of parameters */
    float lr, decay, step, shrink, l2;
} constants;

typedef struct table {
    entry tensor[MOST_TENSORS];
    constants group[MOST_CONSTANTS];
    int count, groups, chunks;
} table;

__device__ __forceinline__ float mul(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float plus(float a, float b) { return __fadd_rn(a, b); }

static_assert(sizeof(entry) == 48, "an entry travels in 48 bytes");
#if defined(__CUDACC__) && CUDART_VERSION >= 12010
static_assert(sizeof(table) + 64 <= 32764, "arguments of a kernel end at 32,764 bytes");
#else
static_assert(sizeof(table) + 64 <= 4096, "arguments of a kernel end at 4,096 bytes");
#endif

/* --- what is done to L elements at i ---------------------------------------------------------- */

struct sgd {
    float momentum;
    bool fresh; /* momentum starts with the first gradient itself */
    template <int L>
    __device__ __forceinline__ void at(const entry &e, const constants &c, int64_t i) const {
        mg_lanes<L> w = mg_load<L>(e.w + i), d = mg_load<L>(e.grad + i);
        const mg_lanes<L> old = mg_load_if<L>(e.first && !fresh, e.first + i);
#pragma unroll
        for (int l = 0; l < L; l++) {
            if (c.decay != 0) d.v[l] = plus(d.v[l], mul(c.decay, w.v[l]));
            if (e.first && !fresh) d.v[l] = plus(mul(momentum, old.v[l]), d.v[l]);
            w.v[l] = plus(w.v[l], -mul(c.lr, d.v[l]));
        }
        if (e.first) mg_store(e.first + i, d);
        mg_store(e.w + i, w);
    }
};

struct adam {
    mg_update_rule rule;
    template <int L>
    __device__ __forceinline__ void at(const entry &e, const constants &c, int64_t i) const {
        mg_lanes<L> w = mg_load<L>(e.w + i), m = mg_load<L>(e.first + i);
        mg_lanes<L> v = mg_load<L>(e.second + i);
        const mg_lanes<L> grad = mg_load<L>(e.grad + i);
#pragma unroll
        for (int l = 0; l < L; l++) {
            const float d = plus(grad.v[l], mul(c.l2, w.v[l]));
            m.v[l] = plus(mul(rule.beta1, m.v[l]), mul(rule.one_minus_beta1, d));
            v.v[l] = plus(mul(rule.beta2, v.v[l]), mul(mul(rule.one_minus_beta2, d), d));
            const float size = plus(__fdiv_rn(__fsqrt_rn(v.v[l]), rule.root), rule.eps);
            w.v[l] = plus(mul(w.v[l], c.shrink), -__fdiv_rn(mul(c.step, m.v[l]), size));
        }
        mg_store(e.first + i, m);
        mg_store(e.second + i, v);
        mg_store(e.w + i, w);
    }
};

struct zero {
    template <int L>
    __device__ __forceinline__ void at(const entry &e, const constants &, int64_t i) const {
        mg_store(e.grad + i, mg_splat<L>(0));
    }
};

struct scale {
    float factor;
    template <int L>
    __device__ __forceinline__ void at(const entry &e, const constants &, int64_t i) const {
        mg_lanes<L> grad = mg_load<L>(e.grad + i);
#pragma unroll
        for (int l = 0; l < L; l++) grad.v[l] = mul(grad.v[l], factor);
        mg_store(e.grad + i, grad);
    }
};

struct average { /* w: the average; grad: the weights it follows */
    float kept, rest;
    template <int L>
    __device__ __forceinline__ void at(const entry &e, const constants &, int64_t i) const {
        mg_lanes<L> shadow = mg_load<L>(e.w + i);
        const mg_lanes<L> w = mg_load<L>(e.grad + i);
#pragma unroll
        for (int l = 0; l < L; l++) shadow.v[l] = plus(mul(kept, shadow.v[l]), mul(rest, w.v[l]));
        mg_store(e.w + i, shadow);
    }
};

/* --- walking all tensors ---------------------------------------------------------------------- */

/* The last tensor that starts at or before this block's chunk. */
__device__ __forceinline__ int tensor_of_block(const table &t) {
    int low = 0, high = t.count - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (t.tensor[middle].first_chunk <= (int)blockIdx.x) low = middle;
        else high = middle - 1;
    }
    return low;
}

template <class F> static __global__ void __launch_bounds__(THREADS)
    each_tensor_kernel(F f, const table t) {
    const entry &e = t.tensor[tensor_of_block(t)];
    const constants &c = t.group[e.constants];
    const int64_t begin = (int64_t)((int)blockIdx.x - e.first_chunk) * CHUNK;
    const int64_t end = begin + CHUNK < e.n ? begin + CHUNK : e.n;
    int64_t narrow = begin; /* where single elements start */
    if (e.wide) {
        narrow = end - end % 4;
        for (int64_t i = begin + 4 * threadIdx.x; i < narrow; i += 4 * THREADS)
            f.template at<4>(e, c, i);
    }
    for (int64_t i = narrow + threadIdx.x; i < end; i += THREADS) f.template at<1>(e, c, i);
}

/* partial[chunk] = sum of squares of the chunk's gradients, in f64: each thread in order, then a
 * fixed tree in shared memory (2 KiB). */
static __global__ void __launch_bounds__(THREADS)
    squares_kernel(const table t, double *__restrict__ partial) {
    MG_SHARED(double, sums, [THREADS]);
    const entry &e = t.tensor[tensor_of_block(t)];
    const int64_t begin = (int64_t)((int)blockIdx.x - e.first_chunk) * CHUNK;
    const int64_t end = begin + CHUNK < e.n ? begin + CHUNK : e.n;
    double sum = 0;
    int64_t narrow = begin;
    if (e.wide) {
        narrow = end - end % 4;
        for (int64_t i = begin + 4 * threadIdx.x; i < narrow; i += 4 * THREADS) {
            const mg_lanes<4> g = mg_load<4>(e.grad + i);
#pragma unroll
            for (int l = 0; l < 4; l++) sum += (double)g.v[l] * (double)g.v[l];
        }
    }
    for (int64_t i = narrow + threadIdx.x; i < end; i += THREADS)
        sum += (double)e.grad[i] * (double)e.grad[i];
    sums[threadIdx.x] = sum;
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) partial[blockIdx.x] = sums[0];
}

/* --- host side -------------------------------------------------------------------------------- */

/* The number of these constants in the table, put there if new; -1 when it is full. */
static int constants_in(table *t, const mg_update_tensor *u) {
    const constants c = {u->lr, u->decay, u->step, u->shrink, u->l2};
    for (int i = 0; i < t->groups; i++)
        if (memcmp(&t->group[i], &c, sizeof c) == 0) return i;
    if (t->groups == MOST_CONSTANTS) return -1;
    t->group[t->groups] = c;
    return t->groups++;
}

/* Fills t with as many of the tensors from *next on as fit, and moves *next behind them. Returns
 * the number of elements. */
static int64_t fill(table *t, const mg_update_tensor *tensors, int count, int *next) {
    int64_t elements = 0;
    t->count = t->groups = t->chunks = 0;
    for (; *next < count && t->count < MOST_TENSORS; (*next)++) {
        const mg_update_tensor *u = &tensors[*next];
        const int group = constants_in(t, u);
        if (group < 0) break;
        if (u->n == 0) continue;
        t->tensor[t->count++] = {u->w,
                                 u->grad,
                                 u->first,
                                 u->second,
                                 u->n,
                                 t->chunks,
                                 (short)group,
                                 mg_aligned16(u->w) && mg_aligned16(u->grad) &&
                                     mg_aligned16(u->first) && mg_aligned16(u->second)};
        t->chunks += (int)mg_ceil_div(u->n, CHUNK);
        elements += u->n;
    }
    return elements;
}

/* bytes: moved per element. */
template <class F>
static void each_tensor(F f, const mg_update_tensor *tensors, int count, double bytes) {
    table t;
    for (int next = 0; next < count;) {
        const double elements = (double)fill(&t, tensors, count, &next);
        if (!t.count) continue;
        mg_cuda_cost(bytes * elements, 0);
        MG_LAUNCH((each_tensor_kernel<F>), (unsigned)t.chunks, THREADS, 0, f, t);
    }
}

void mg_cuda_update(const mg_update_rule *rule, const mg_update_tensor *tensors, int count) {
    const bool momentum = count > 0 && tensors[0].first;
    if (rule->adam) each_tensor(adam{*rule}, tensors, count, 28);
    else each_tensor(sgd{rule->momentum, rule->fresh}, tensors, count, momentum ? 20 : 12);
}

void mg_cuda_zero_grad(const mg_update_tensor *tensors, int count) {
    each_tensor(zero(), tensors, count, 4);
}

void mg_cuda_scale_grad(const mg_update_tensor *tensors, int count, float factor) {
    each_tensor(scale{factor}, tensors, count, 8);
}

void mg_cuda_average(const mg_update_tensor *tensors, int count, float kept) {
    each_tensor(average{kept, 1 - kept}, tensors, count, 12);
}

double mg_cuda_squared_norm(const mg_update_tensor *tensors, int count) {
    table t;
    double total = 0;
    for (int next = 0; next < count;) {
        const double elements = (double)fill(&t, tensors, count, &next);
        const size_t bytes = (size_t)t.chunks * sizeof(double);
        if (!t.count) continue;
        double *on_device = (double *)mg_cuda_memory.alloc(bytes, "gradient norm");
        double *partial = (double *)calloc((size_t)t.chunks, sizeof(double));
        if (!on_device || !partial) total = NAN;
        if (on_device && partial) {
            mg_cuda_cost(4 * elements, 2 * elements);
            MG_LAUNCH(squares_kernel, (unsigned)t.chunks, THREADS, 0, t, on_device);
            mg_cuda_memory.read(partial, on_device, bytes);
            for (int i = 0; i < t.chunks; i++) total += partial[i]; /* in order */
        }
        mg_cuda_memory.free(on_device);
        free(partial);
    }
    return total;
}
