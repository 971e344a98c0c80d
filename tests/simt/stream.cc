/* Streams: each operation knows those that must run before it, the ones before it on its stream and
 * the events it waits for. Eagerly (the default) an operation runs when it is submitted. Lazily
 * (SIMT_ASYNC=1) it runs when something waits for it and not before, so that a forgotten
 * synchronisation shows as a wrong value. */
#include "internal.h"

#include <map>
#include <memory>
#include <vector>

namespace simt {
namespace {

struct Operation {
    uint64_t number; /* in order of submission */
    bool done;
    std::vector<std::shared_ptr<Operation>> after;
    void (*run)(void *);
    void *argument;
};
using Handle = std::shared_ptr<Operation>;

struct Stream {
    Handle last;
    bool blocking; /* takes turns with the default stream */
};
struct Event {
    Handle last;
};

auto &streams = *new std::map<cudaStream_t, Stream>;
Handle last_fence;
uint64_t submitted;

void add(std::vector<Handle> &list, const Handle &operation) {
    if (operation && !operation->done) list.push_back(operation);
}

/* Runs an operation and all that it comes after, in order of submission. */
void run_up_to(const Handle &last) {
    if (!last || last->done) return;
    std::map<uint64_t, Handle> needed;
    std::vector<Handle> open{last};
    while (!open.empty()) {
        Handle operation = open.back();
        open.pop_back();
        if (operation->done || !needed.emplace(operation->number, operation).second) continue;
        for (const Handle &before : operation->after) open.push_back(before);
    }
    OpenMemory memory;
    for (auto &entry : needed) {
        Operation &operation = *entry.second;
        operation.done = true;
        operation.run(operation.argument);
        operation.after.clear();
    }
}

Handle make(void (*run)(void *), void *argument) {
    return std::make_shared<Operation>(Operation{++submitted, false, {}, run, argument});
}

void nothing(void *) {}

} // namespace

void submit(cudaStream_t stream, void (*run)(void *), void *argument) {
    if (!config().lazy) {
        OpenMemory memory;
        run(argument);
        return;
    }
    Handle operation = make(run, argument);
    if (!stream) {
        for (auto &entry : streams)
            if (entry.second.blocking || !entry.first) add(operation->after, entry.second.last);
    } else {
        add(operation->after, streams[stream].last);
        if (streams[stream].blocking) add(operation->after, streams[nullptr].last);
    }
    add(operation->after, last_fence);
    streams[stream].last = operation;
}

void submit_fence(void (*run)(void *), void *argument) {
    if (!config().lazy) {
        run(argument);
        return;
    }
    Handle operation = make(run, argument);
    for (auto &entry : streams) add(operation->after, entry.second.last);
    add(operation->after, last_fence);
    last_fence = operation;
}

void wait_stream(cudaStream_t stream) {
    auto it = streams.find(stream);
    if (it != streams.end()) run_up_to(Handle(it->second.last));
}

void wait_all() {
    for (auto &entry : streams) run_up_to(Handle(entry.second.last));
    run_up_to(Handle(last_fence));
}

} // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    *stream = reinterpret_cast<cudaStream_t>(new char);
    streams[*stream] = {nullptr, flags != cudaStreamNonBlocking};
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int) {
    return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    wait_stream(stream);
    return cudaPeekAtLastError() == cudaErrorLaunchFailure ? cudaErrorLaunchFailure : cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    auto it = streams.find(stream);
    return it == streams.end() || !it->second.last || it->second.last->done ? cudaSuccess
                                                                            : cudaErrorNotReady;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    if (!streams.count(stream)) return cudaErrorInvalidResourceHandle;
    wait_stream(stream);
    streams.erase(stream);
    delete reinterpret_cast<char *>(stream);
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void) {
    wait_all();
    return cudaPeekAtLastError() == cudaErrorLaunchFailure ? cudaErrorLaunchFailure : cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    *event = reinterpret_cast<cudaEvent_t>(new Event);
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete reinterpret_cast<Event *>(event);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    auto it = streams.find(stream);
    reinterpret_cast<Event *>(event)->last = it == streams.end() ? nullptr : it->second.last;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    run_up_to(Handle(reinterpret_cast<Event *>(event)->last));
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    const Handle &last = reinterpret_cast<Event *>(event)->last;
    return !last || last->done ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    if (!config().lazy) return cudaSuccess;
    submit(stream, nothing, nullptr);
    add(streams[stream].last->after, reinterpret_cast<Event *>(event)->last);
    return cudaSuccess;
}
/* The emulator's time is not a GPU's: none passes. */
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t, cudaEvent_t) {
    *milliseconds = 0;
    return cudaSuccess;
}
}
