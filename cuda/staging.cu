/* Host to device without waiting: pinned buffers and a stream of their own.
 *
 * A transfer straight from ordinary memory makes the driver wait for the compute stream. Here a
 * write goes through one of two slots, each a piece of pinned host memory and one of device memory:
 *
 *     caller   memcpy to pinned          (after the slot's last transfer has left pinned memory)
 *     copies   pinned -> slot            (after compute has emptied the slot), record `arrived`
 *     compute  wait `arrived`, slot -> destination, record `emptied`
 *
 * so that the bus carries one batch while kernels work on the one before. The extra copy on the
 * device costs 2 bytes of its bandwidth a byte, some sixty times less than the bus. The caller may
 * reuse its memory at once. */
#include "cuda/kernel.h"
#include "cuda/plugin.h"

enum { SLOTS = 2 };
static const size_t slot_bytes = (size_t)8 << 20;

static struct slot {
    char *pinned, *device;
    cudaEvent_t arrived, emptied;
    bool used;
} slots[SLOTS];
static int next_slot;

bool mg_cuda_staging_open(void) {
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &slots[i];
        if (!mg_cuda_ok(cudaHostAlloc((void **)&s->pinned, slot_bytes, cudaHostAllocDefault),
                        "reserving pinned memory") ||
            !mg_cuda_ok(cudaMalloc((void **)&s->device, slot_bytes), "reserving staging memory") ||
            !mg_cuda_ok(cudaEventCreateWithFlags(&s->arrived, cudaEventDisableTiming),
                        "creating an event") ||
            !mg_cuda_ok(cudaEventCreateWithFlags(&s->emptied, cudaEventDisableTiming),
                        "creating an event"))
            return false;
        s->used = false;
    }
    return true;
}

void mg_cuda_staging_close(void) {
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &slots[i];
        if (s->pinned) cudaFreeHost(s->pinned);
        if (s->device) cudaFree(s->device);
        if (s->arrived) cudaEventDestroy(s->arrived);
        if (s->emptied) cudaEventDestroy(s->emptied);
        *s = slot();
    }
}

static bool write_piece(char *to, const char *host, size_t bytes) {
    struct slot *s = &slots[next_slot];
    next_slot = (next_slot + 1) % SLOTS;
    static const char what[] = "copying to the device";
    if (s->used && !mg_cuda_ok(cudaEventSynchronize(s->arrived), what)) return false;
    memcpy(s->pinned, host, bytes);
    if (s->used && !mg_cuda_ok(cudaStreamWaitEvent(mg_cuda_copy_stream(), s->emptied, 0), what))
        return false;
    s->used = true;
    return mg_cuda_ok(cudaMemcpyAsync(s->device, s->pinned, bytes, cudaMemcpyHostToDevice,
                                      mg_cuda_copy_stream()),
                      what) &&
           mg_cuda_ok(cudaEventRecord(s->arrived, mg_cuda_copy_stream()), what) &&
           mg_cuda_ok(cudaStreamWaitEvent(mg_cuda_stream(), s->arrived, 0), what) &&
           mg_cuda_ok(
               cudaMemcpyAsync(to, s->device, bytes, cudaMemcpyDeviceToDevice, mg_cuda_stream()),
               what) &&
           mg_cuda_ok(cudaEventRecord(s->emptied, mg_cuda_stream()), what);
}

void mg_cuda_staged_write(void *device, const void *host, size_t bytes) {
    for (size_t at = 0; at < bytes; at += slot_bytes) {
        const size_t piece = bytes - at < slot_bytes ? bytes - at : slot_bytes;
        if (!write_piece((char *)device + at, (const char *)host + at, piece)) return;
    }
}
