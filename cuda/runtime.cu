/* The device's life, its streams, its memory and its first failure (runtime.h, tensor/memory.h).
 *
 * Memory comes from the driver's stream-ordered pool: a block freed by backward is reused by the
 * next op without waiting, because both happen on the compute stream. */
#include <stdarg.h>
#include <stdio.h>

#include "cuda/kernel.h"
#include "cuda/plugin.h"

static struct {
    bool open, sync;
    int ordinal;
    cudaDeviceProp properties;
    cudaStream_t compute, copies;
    char failure[480], told[480];
    mg_launch launch; /* the one between before_launch and after_launch */
    double bytes, flops;
    void (*sink)(void *arg, const mg_launch *launch);
    void *sink_arg;
    size_t in_use, peak;
} state;

cudaStream_t mg_cuda_stream(void) { return state.compute; }
cudaStream_t mg_cuda_copy_stream(void) { return state.copies; }
int mg_cuda_multiprocessors(void) {
    return state.open ? state.properties.multiProcessorCount : 132;
}

void mg_cuda_fail(const char *format, ...) {
    if (state.failure[0]) return; /* the first is the cause */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(state.failure, sizeof state.failure, format, arguments);
    va_end(arguments);
}

bool mg_cuda_ok(cudaError_t status, const char *what) {
    if (status == cudaSuccess) return true;
    mg_cuda_fail("%s failed: %s (%s)", what, cudaGetErrorString(status), cudaGetErrorName(status));
    return false;
}

/* --- launches --------------------------------------------------------------------------------- */

void mg_cuda_cost(double bytes, double flops) {
    state.bytes = bytes;
    state.flops = flops;
}

bool mg_cuda_before_launch(const char *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                           const char *file, int line) {
    mg_launch *l = &state.launch;
    *l = (mg_launch){kernel,
                     file,
                     line,
                     {grid.x, grid.y, grid.z},
                     {block.x, block.y, block.z},
                     shared_bytes,
                     state.bytes,
                     state.flops};
    state.bytes = state.flops = 0;
    if (!state.sink) return !state.failure[0];
    state.sink(state.sink_arg, l);
    return false;
}

void mg_cuda_after_launch(void) {
    cudaError_t status = cudaGetLastError();
    if (status == cudaSuccess && state.sync) status = cudaStreamSynchronize(state.compute);
    if (status == cudaSuccess) return;
    const mg_launch *l = &state.launch;
    mg_cuda_fail(
        "kernel %s (%s:%d) with grid %u x %u x %u, block %u x %u x %u, %zu bytes of shared memory "
        "failed: %s (%s)",
        l->kernel, l->file, l->line, l->grid[0], l->grid[1], l->grid[2], l->block[0], l->block[1],
        l->block[2], l->shared_bytes, cudaGetErrorString(status), cudaGetErrorName(status));
}

void mg_cuda_record(void (*sink)(void *arg, const mg_launch *launch), void *arg) {
    state.sink = sink;
    state.sink_arg = arg;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void *device_alloc(size_t bytes, const char *label) {
    void *block = NULL;
    cudaError_t status = cudaMallocAsync(&block, bytes, state.compute);
    if (status == cudaSuccess) return block;
    cudaGetLastError(); /* running out is no lasting error of the device */
    size_t unused = 0, total = 0;
    cudaMemGetInfo(&unused, &total);
    mg_cuda_fail("%s: no room for %s of %.1f MiB (%.1f of %.1f MiB free): %s",
                 state.properties.name, label ? label : "a tensor", (double)bytes / 1048576.0,
                 (double)unused / 1048576.0, (double)total / 1048576.0, cudaGetErrorString(status));
    return NULL;
}

static void device_free(void *block) {
    if (block) mg_cuda_ok(cudaFreeAsync(block, state.compute), "freeing device memory");
}

static void device_write(void *device, const void *host, size_t bytes) {
    if (state.failure[0] || state.sink) return;
    mg_cuda_staged_write(device, host, bytes);
}

static void device_read(void *host, const void *device, size_t bytes) {
    if (state.failure[0] || state.sink) return;
    mg_cuda_ok(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, state.compute),
               "copying from the device");
    mg_cuda_ok(cudaStreamSynchronize(state.compute), "copying from the device");
}

static void device_zero(void *device, size_t bytes) {
    if (state.failure[0] || state.sink) return;
    mg_cuda_ok(cudaMemsetAsync(device, 0, bytes, state.compute), "clearing device memory");
}

static void device_copy(void *to, const void *from, size_t bytes) {
    if (state.failure[0] || state.sink) return;
    mg_cuda_ok(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, state.compute),
               "copying on the device");
}

static const char *device_failure(bool wait) {
    if (wait && state.open && !state.failure[0])
        mg_cuda_ok(cudaStreamSynchronize(state.compute), "running kernels");
    if (!state.failure[0]) return NULL;
    memcpy(state.told, state.failure, sizeof state.told);
    state.failure[0] = 0;
    return state.told;
}

static void device_room(size_t *unused, size_t *total) {
    mg_cuda_ok(cudaMemGetInfo(unused, total), "asking for free device memory");
}

const mg_memory mg_cuda_memory = {device_alloc, device_free, device_write,   device_read,
                                  device_zero,  device_copy, device_failure, device_room};

/* --- opening ---------------------------------------------------------------------------------- */

int mg_cuda_count(void) {
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && count > 0) return count;
    mg_cuda_fail("no NVIDIA GPU can be used: %s",
                 status == cudaSuccess ? "none is present" : cudaGetErrorString(status));
    return 0;
}

const char *mg_cuda_reason(void) { return device_failure(false); }

bool mg_cuda_open(int ordinal) {
    if (state.open && state.ordinal == ordinal) return true;
    const int count = mg_cuda_count();
    if (!count) return false;
    if (ordinal < 0 || ordinal >= count) {
        mg_cuda_fail("there is no device %d: this machine has %d, numbered from 0", ordinal, count);
        return false;
    }
    const char *sync = getenv("MG_CUDA_SYNC");
    state.sync = sync && strcmp(sync, "0") != 0;
    state.ordinal = ordinal;
    if (!mg_cuda_ok(cudaSetDevice(ordinal), "choosing the device") ||
        !mg_cuda_ok(cudaGetDeviceProperties(&state.properties, ordinal), "reading the device") ||
        !mg_cuda_ok(cudaStreamCreateWithFlags(&state.compute, cudaStreamNonBlocking),
                    "creating the compute stream") ||
        !mg_cuda_ok(cudaStreamCreateWithFlags(&state.copies, cudaStreamNonBlocking),
                    "creating the copy stream"))
        return false;
    cudaMemPool_t pool;
    unsigned long long keep = ~0ull; /* freed blocks stay with the pool: no trips to the driver */
    if (!mg_cuda_ok(cudaDeviceGetDefaultMemPool(&pool, ordinal), "finding the memory pool") ||
        !mg_cuda_ok(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
                    "configuring the memory pool"))
        return false;
    state.open = mg_cuda_gemm_open() && mg_cuda_staging_open();
    return state.open;
}

/* CUDA keeps the current device per thread, and a new thread starts with device 0. */
void mg_cuda_enter(void) { mg_cuda_ok(cudaSetDevice(state.ordinal), "choosing the device"); }

void mg_cuda_close(void) {
    if (!state.open) return;
    cudaStreamSynchronize(state.compute);
    mg_cuda_staging_close();
    mg_cuda_gemm_close();
    cudaStreamDestroy(state.compute);
    cudaStreamDestroy(state.copies);
    state.open = false;
}

void mg_cuda_describe(char *out, size_t size) {
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    const cudaDeviceProp *p = &state.properties;
    snprintf(out, size, "%s, %.1f GiB, sm_%d%d, %d multiprocessors, driver for CUDA %d.%d", p->name,
             (double)p->totalGlobalMem / 1073741824.0, p->major, p->minor, p->multiProcessorCount,
             driver / 1000, driver % 1000 / 10);
}
