/* The CUDA runtime's functions on memory, copies and devices, for the emulated device. */
#include "memory.h"

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace simt;

namespace {

cudaError_t check_direction(const void *to, const void *from, cudaMemcpyKind kind,
                            uintptr_t caller) {
    static const char *const names[] = {"cudaMemcpyHostToHost", "cudaMemcpyHostToDevice",
                                        "cudaMemcpyDeviceToHost", "cudaMemcpyDeviceToDevice"};
    if (kind == cudaMemcpyDefault) return cudaSuccess;
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (to_device == is_device(to) && from_device == is_device(from)) return cudaSuccess;
    finding("memcheck", source_line(caller), "a copy from %s to %s memory is called %s",
            is_device(from) ? "device" : "host", is_device(to) ? "device" : "host", names[kind]);
    return cudaErrorInvalidValue;
}

/* Copies between the host's ordinary memory and the device are synchronous for the host, whatever
 * they are called: the source has been read, or the target written, when the call returns. */
cudaError_t copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream,
                 uintptr_t caller) {
    if (!bytes) return cudaSuccess;
    const cudaError_t error = check_direction(to, from, kind, caller);
    if (error != cudaSuccess) return error;
    const auto run = [=](const void *source) {
        if (checker) checker->begin("the copy");
        touch(source, bytes, false, "the copy", caller);
        touch(to, bytes, true, "the copy", caller);
        memmove(to, source, bytes);
    };
    if (is_device(to) && !is_device(from) && !is_pinned(from)) {
        if (!config().lazy) {
            submit(stream, [=] { run(from); });
            return cudaSuccess;
        }
        std::string staged((const char *)from, bytes);
        submit(stream, [=] { run(staged.data()); });
        return cudaSuccess;
    }
    const void *lent = is_pinned(from) ? from : is_pinned(to) ? to : nullptr;
    submit(stream, [=] {
        if (lent) pinned_open(lent, true);
        run(from);
        if (lent) pinned_open(lent, false);
    });
    if (lent) pinned_lend(lent, bytes, lent == to, last_moment(stream), caller);
    else if (!is_device(to)) wait_stream(stream);
    return cudaSuccess;
}

cudaError_t set(void *pointer, int value, size_t bytes, cudaStream_t stream, uintptr_t caller) {
    if (!is_device(pointer)) {
        finding("memcheck", source_line(caller), "cudaMemset of host memory");
        return cudaErrorInvalidValue;
    }
    submit(stream, [=] {
        if (checker) checker->begin("the memset");
        touch(pointer, bytes, true, "the memset", caller);
        memset(pointer, value, bytes);
    });
    return cudaSuccess;
}

cudaError_t release(void *pointer, cudaStream_t stream, uintptr_t caller) {
    if (!pointer) return cudaSuccess;
    if (!device_is_block(pointer)) {
        finding("memcheck", source_line(caller),
                "%p is freed, but no block of device memory starts there", pointer);
        return cudaErrorInvalidValue;
    }
    submit(stream, [=] { device_end(pointer, caller); });
    return cudaSuccess;
}

} // namespace

extern "C" {

/* --- allocation ------------------------------------------------------------------------------- */

cudaError_t cudaMallocAsync(void **pointer, size_t bytes, cudaStream_t stream) {
    *pointer = nullptr;
    if (!bytes) return cudaSuccess;
    void *p = device_reserve(bytes);
    if (!p) {
        set_last_error(cudaErrorMemoryAllocation);
        return cudaErrorMemoryAllocation;
    }
    *pointer = p;
    submit(stream, [=] { device_begin(p); });
    return cudaSuccess;
}
cudaError_t cudaMalloc(void **pointer, size_t bytes) {
    *pointer = nullptr;
    if (!bytes) return cudaSuccess;
    *pointer = device_reserve(bytes);
    if (*pointer) device_begin(*pointer);
    else set_last_error(cudaErrorMemoryAllocation);
    return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream) {
    return release(pointer, stream, SIMT_CALLER);
}
cudaError_t cudaFree(void *pointer) {
    wait_all();
    const cudaError_t error = release(pointer, nullptr, SIMT_CALLER);
    wait_stream(nullptr);
    return error;
}

void simt_mark_alloc(void *pointer, size_t bytes, const char *label) {
    const std::string name = label ? label : "";
    auto *mark = new auto([=] { mark_part((uintptr_t)pointer, bytes, name.c_str()); });
    submit_fence(
        [](void *p) {
            auto *m = static_cast<decltype(mark)>(p);
            (*m)();
            delete m;
        },
        mark);
}
void simt_mark_free(void *pointer) {
    submit_fence([](void *p) { unmark_part((uintptr_t)p); }, pointer);
}

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned) {
    *pointer = bytes ? pinned_reserve(bytes) : nullptr;
    return *pointer || !bytes ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaMallocHost(void **pointer, size_t bytes) {
    return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault);
}
cudaError_t cudaFreeHost(void *pointer) {
    wait_all();
    return !pointer || pinned_release(pointer) ? cudaSuccess : cudaErrorInvalidValue;
}

/* --- copies ----------------------------------------------------------------------------------- */

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return copy(to, from, bytes, kind, stream, SIMT_CALLER);
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    const cudaError_t error = copy(to, from, bytes, kind, nullptr, SIMT_CALLER);
    wait_stream(nullptr);
    return error;
}
cudaError_t cudaMemsetAsync(void *pointer, int value, size_t bytes, cudaStream_t stream) {
    return set(pointer, value, bytes, stream, SIMT_CALLER);
}
cudaError_t cudaMemset(void *pointer, int value, size_t bytes) {
    return set(pointer, value, bytes, nullptr, SIMT_CALLER);
}

/* --- the device ------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device ? cudaErrorInvalidDevice : cudaSuccess; }
cudaError_t cudaDeviceReset(void) {
    wait_all();
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *unused, size_t *total) {
    *total = config().memory_bytes;
    *unused = *total - device_bytes_in_use();
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) { return cudaDriverGetVersion(version); }

/* Numbers of compute capability 8.0, as far as kernels choose their grids by them. */
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device) {
    if (device) return cudaErrorInvalidDevice;
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "SIMT emulator");
    p->major = 8;
    p->warpSize = 32;
    p->multiProcessorCount = 4;
    p->totalGlobalMem = config().memory_bytes;
    p->sharedMemPerBlock = 48 << 10;
    p->sharedMemPerBlockOptin = 163 << 10;
    p->sharedMemPerMultiprocessor = 164 << 10;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->l2CacheSize = 40 << 20;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, device) != cudaSuccess) return cudaErrorInvalidDevice;
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (int)p.sharedMemPerBlockOptin; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    default: return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

/* Memory pools: cudaMallocAsync needs none here. */
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int) {
    *pool = nullptr;
    return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

const char *cudaGetErrorName(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    default: return "cudaErrorUnknown";
    }
}
const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorNotReady: return "device not ready";
    default: return "unknown error";
    }
}
}
