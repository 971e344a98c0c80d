/* Streams: each operation knows those that must run before it, the ones before it on its stream and
 * the events it waits for. Eagerly (the default) an operation runs when it is submitted. Lazily
 * (SIMT_ASYNC=1) it runs when something waits for it and not before, so that a forgotten
 * synchronisation shows as a wrong value. */
#include "memory.h"

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

namespace simt {
namespace {

struct Operation {
    uint64_t number; /* in order of submission */
    bool done;
    Moment moment;
    std::vector<std::shared_ptr<Operation>> after;
    void (*run)(void *);
    void *argument;
};
using Handle = std::shared_ptr<Operation>;

struct Stream {
    Handle last;
    bool blocking; /* takes turns with the default stream */
    int slot;
    Clock clock;
};
struct Event {
    Handle last;
    Clock clock;
};

auto &streams = *new std::map<cudaStream_t, Stream>{{nullptr, {nullptr, true, 0, {}}}};
Handle last_fence;
uint64_t submitted;
Clock host; /* what the host has waited for */
const Moment *running;

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
        running = &operation.moment;
        operation.run(operation.argument);
        running = nullptr;
        operation.after.clear();
    }
}

/* The next operation of a stream, after those that its rules put before it. */
Handle make(Stream &stream, void (*run)(void *), void *argument) {
    Handle operation = std::make_shared<Operation>();
    operation->number = ++submitted;
    operation->run = run;
    operation->argument = argument;
    const bool is_default = &stream == &streams[nullptr];
    for (auto &entry : streams) {
        Stream &other = entry.second;
        const bool turns =
            (is_default && other.blocking) || (stream.blocking && &other == &streams[nullptr]);
        if (&other != &stream && !turns) continue;
        add(operation->after, other.last);
        stream.clock.join(other.clock);
    }
    stream.clock.join(host);
    const uint32_t count = ++stream.clock.count[stream.slot];
    operation->moment = {stream.slot, count, stream.clock};
    add(operation->after, last_fence);
    stream.last = operation;
    return operation;
}

void nothing(void *) {}

} // namespace

void submit(cudaStream_t stream, void (*run)(void *), void *argument) {
    Handle operation = make(streams[stream], run, argument);
    if (!config().lazy) run_up_to(operation);
}

const Moment *running_moment() { return running; }
const Moment &last_moment(cudaStream_t stream) { return streams[stream].last->moment; }
bool host_knows(const Moment &moment) { return host.count[moment.slot] >= moment.count; }
bool streams_in_use() { return streams.size() > 1; }

void submit_fence(void (*run)(void *), void *argument) {
    if (!config().lazy) {
        run(argument);
        return;
    }
    Handle operation = std::make_shared<Operation>();
    operation->number = ++submitted;
    operation->run = run;
    operation->argument = argument;
    for (auto &entry : streams) add(operation->after, entry.second.last);
    add(operation->after, last_fence);
    last_fence = operation;
}

void wait_stream(cudaStream_t stream) {
    auto it = streams.find(stream);
    if (it == streams.end()) return;
    run_up_to(Handle(it->second.last));
    host.join(it->second.clock);
    host_waited();
}

void wait_all() {
    for (auto &entry : streams) {
        run_up_to(Handle(entry.second.last));
        host.join(entry.second.clock);
    }
    run_up_to(Handle(last_fence));
    host_waited();
}

} // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    *stream = reinterpret_cast<cudaStream_t>(new char);
    static int created; /* slot 0 is the default stream's */
    Stream &s = streams[*stream];
    s = {nullptr, flags != cudaStreamNonBlocking, 1 + created++ % (clock_slots - 1), {}};
    for (auto &entry : streams) /* continue the count of an earlier stream with this slot */
        s.clock.count[s.slot] = std::max(s.clock.count[s.slot], entry.second.clock.count[s.slot]);
    s.clock.join(host);
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
    if (it == streams.end()) return cudaErrorInvalidResourceHandle;
    if (it->second.last && !it->second.last->done) return cudaErrorNotReady;
    wait_stream(stream);
    return cudaSuccess;
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
    if (it == streams.end()) return cudaErrorInvalidResourceHandle;
    *reinterpret_cast<Event *>(event) = {it->second.last, it->second.clock};
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const Event &e = *reinterpret_cast<Event *>(event);
    run_up_to(Handle(e.last));
    host.join(e.clock);
    host_waited();
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    const Event &e = *reinterpret_cast<Event *>(event);
    return e.last && !e.last->done ? cudaErrorNotReady : cudaEventSynchronize(event);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    const Event &e = *reinterpret_cast<Event *>(event);
    auto it = streams.find(stream);
    if (it == streams.end()) return cudaErrorInvalidResourceHandle;
    Handle operation = make(it->second, nothing, nullptr);
    add(operation->after, e.last);
    it->second.clock.join(e.clock);
    operation->moment.before = it->second.clock;
    if (!config().lazy) run_up_to(operation);
    return cudaSuccess;
}
/* The emulator's time is not a GPU's: none passes. */
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t, cudaEvent_t) {
    *milliseconds = 0;
    return cudaSuccess;
}
}
