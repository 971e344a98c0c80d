/* The access profile: how a warp's accesses meet the memory system, counted per source line.
 *
 * What one warp asks for with one instruction is a request. Global memory answers in sectors of 32
 * bytes: a request costs as many as it touches, and could have cost as few as its distinct bytes
 * fill. Shared memory has 32 banks of 4 bytes: accesses of 16 bytes go 8 lanes at a time, of 8
 * bytes 16 at a time, and each such part takes as many turns as its busiest bank has different
 * words. Beside the requests stand the sectors of a launch that are touched at all, each once: what
 * must come from memory when nothing is forgotten in between.
 *
 * Threads run one after another here, so requests are put together afterwards: the k-th time that
 * the lanes of a warp execute an instruction counts as one request. This is what a GPU does as long
 * as the warp's loops run equally often. The instructions are those of the C++ compiler, which
 * neither hoists nor merges as many loads as nvcc.
 *
 * SIMT_PROFILE=1 prints the lines at exit; simt_profile() gives sums to programs. */
#include "checker.h"
#include "profile.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

namespace simt {
namespace {

constexpr uint32_t max_requests = 1 << 18, slots = 1 << 19, max_lines = 1 << 13;
constexpr unsigned sector_bytes = 32, banks = 32, lanes = 32;

struct Request {
    uint64_t key;
    uintptr_t address[lanes];
    uint32_t mask, code;
    uint8_t bytes;
    bool write, shared;
};
/* How often a thread of the block has executed an instruction. */
struct Count {
    uint64_t key;
    uint32_t times;
};
struct Line {
    uint32_t code;
    const char *kernel;
    bool used, write, shared;
    uint8_t bytes;
    int64_t requests, cost, least; /* sectors, or turns of shared memory */
};

bool enabled;
Request *requests;      /* of the running block */
uint32_t *request_slot; /* hash table of indices into requests, plus 1 */
Count *counts;
uint32_t *request_used, *count_used; /* the slots in use, for clearing them */
uint32_t request_count, count_count;
uint64_t running_block; /* launch and block the requests belong to */
const char *running_kernel;
uint32_t *stamps; /* per sector of device memory: the launch that last touched it */
size_t region_bytes;
Line lines[max_lines];
simt_profile_totals totals;
uint64_t last_launch;

void *reserve(size_t bytes) {
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("simt: no address space for the profile");
        abort();
    }
    return p;
}

uint32_t hash(uint64_t key) { return (uint32_t)((key * 0x9E3779B97F4A7C15ull) >> 45); }

/* --- what a request costs --------------------------------------------------------------------- */

/* Adds value to a set of at most 64; false when it was there. */
bool insert(uintptr_t *set, unsigned *size, uintptr_t value) {
    for (unsigned i = 0; i < *size; i++)
        if (set[i] == value) return false;
    set[(*size)++] = value;
    return true;
}

void global_cost(const Request &r, int64_t *cost, int64_t *least) {
    uintptr_t sectors[2 * lanes], places[lanes];
    unsigned sector_count = 0, place_count = 0;
    for (unsigned l = 0; l < lanes; l++) {
        if (!(r.mask >> l & 1)) continue;
        insert(places, &place_count, r.address[l]);
        insert(sectors, &sector_count, r.address[l] / sector_bytes);
        insert(sectors, &sector_count, (r.address[l] + r.bytes - 1) / sector_bytes);
    }
    *cost = sector_count;
    *least = (place_count * r.bytes + sector_bytes - 1) / sector_bytes;
}

void shared_cost(const Request &r, int64_t *cost, int64_t *least) {
    const unsigned words = r.bytes > 4 ? r.bytes / 4 : 1, together = lanes / words;
    *cost = *least = 0;
    for (unsigned first = 0; first < lanes; first += together) {
        uintptr_t seen[2 * lanes];
        unsigned seen_count = 0, busy[banks] = {}, most = 0;
        for (unsigned l = first; l < first + together; l++)
            for (unsigned w = 0; w < words && (r.mask >> l & 1); w++) {
                const uintptr_t word = r.address[l] / 4 + w;
                if (!insert(seen, &seen_count, word)) continue;
                const unsigned turns = ++busy[word % banks];
                if (turns > most) most = turns;
            }
        *cost += most;
        *least += most > 0;
    }
}

Line &line_of(const Request &r) {
    uint32_t i = hash((uint64_t)r.code << 2 | r.write) % max_lines;
    while (lines[i].used && (lines[i].code != r.code || lines[i].write != r.write))
        i = (i + 1) % max_lines;
    Line &line = lines[i];
    if (!line.used) line = {r.code, running_kernel, true, r.write, r.shared, r.bytes, 0, 0, 0};
    return line;
}

void account(const Request &r) {
    int64_t cost, least;
    (r.shared ? shared_cost : global_cost)(r, &cost, &least);
    Line &line = line_of(r);
    line.requests++;
    line.cost += cost;
    line.least += least;
    if (r.shared) {
        totals.shared_requests++;
        totals.turns += cost;
        totals.least_turns += least;
    } else {
        (r.write ? totals.store_requests : totals.load_requests)++;
        (r.write ? totals.store_sectors : totals.load_sectors) += cost;
        (r.write ? totals.least_store_sectors : totals.least_load_sectors) += least;
    }
}

/* The block is over, or the tables are full. */
void flush() {
    for (uint32_t i = 0; i < request_count; i++) account(requests[i]);
    for (uint32_t i = 0; i < request_count; i++) request_slot[request_used[i]] = 0;
    for (uint32_t i = 0; i < count_count; i++) counts[count_used[i]] = {};
    request_count = count_count = 0;
}

/* --- while a block runs ----------------------------------------------------------------------- */

uint32_t times_before(uint32_t code, uint32_t thread) {
    const uint64_t key = ((uint64_t)code << 11 | thread) + 1;
    uint32_t i = hash(key);
    while (counts[i].key && counts[i].key != key) i = (i + 1) % slots;
    if (!counts[i].key) count_used[count_count++] = i;
    counts[i].key = key;
    return counts[i].times++;
}

Request &request_of(uint32_t code, uint32_t warp, uint32_t times, bool write) {
    const uint64_t key = ((uint64_t)code << 38 | (uint64_t)times << 6 | (warp << 1 | write)) + 1;
    uint32_t i = hash(key);
    while (request_slot[i] && requests[request_slot[i] - 1].key != key) i = (i + 1) % slots;
    if (!request_slot[i]) {
        requests[request_count] = {};
        requests[request_count].key = key;
        request_used[request_count] = i;
        request_slot[i] = ++request_count;
    }
    return requests[request_slot[i] - 1];
}

void touch_sectors(size_t offset, size_t n) {
    const uint32_t stamp = (uint32_t)current.launch + 1;
    for (size_t s = offset / sector_bytes; s <= (offset + n - 1) / sector_bytes; s++)
        if (stamps[s] != stamp) {
            stamps[s] = stamp;
            totals.touched_sectors++;
        }
}

void start() {
    enabled = true;
    if (requests) return;
    requests = (Request *)reserve(max_requests * sizeof *requests);
    request_slot = (uint32_t *)reserve(slots * sizeof *request_slot);
    counts = (Count *)reserve(slots * sizeof *counts);
    request_used = (uint32_t *)reserve(max_requests * sizeof *request_used);
    count_used = (uint32_t *)reserve(slots * sizeof *count_used);
    stamps = (uint32_t *)reserve(region_bytes / sector_bytes * sizeof *stamps);
}

/* --- at the end ------------------------------------------------------------------------------- */

void print() {
    flush();
    std::vector<Line> used;
    for (const Line &l : lines)
        if (l.used) used.push_back(l);
    std::sort(used.begin(), used.end(),
              [](const Line &a, const Line &b) { return a.cost > b.cost; });
    fprintf(stderr,
            "\nsimt profile: sectors of 32 bytes per global request, turns per shared one\n");
    fprintf(stderr, "%10s %7s %7s %6s  %s\n", "requests", "each", "least", "ratio", "access");
    for (const Line &l : used)
        fprintf(stderr, "%10lld %7.2f %7.2f %6.2f  %s of %d bytes, %s, %s, %s\n",
                (long long)l.requests, (double)l.cost / (double)l.requests,
                (double)l.least / (double)l.requests, (double)l.cost / (double)l.least,
                l.write ? "write" : "read", l.bytes, l.shared ? "shared" : "global",
                source_line(image_base() + l.code), l.kernel);
}

} // namespace

void profile_region(size_t bytes) {
    region_bytes = bytes;
    if (!config().profile || enabled) return;
    start();
    atexit(print);
}

void profile_access(size_t offset, uintptr_t address, size_t n, bool write, bool shared,
                    uint32_t code) {
    if (!enabled) return;
    const uint64_t here = current.launch << 32 | current.block;
    if (here != running_block || request_count == max_requests || count_count > slots / 2) {
        flush();
        running_block = here;
        running_kernel = current.what->kernel;
    }
    if (current.launch != last_launch) totals.launches++;
    last_launch = current.launch;
    if (!shared) touch_sectors(offset, n);
    Request &r =
        request_of(code, current.thread / lanes, times_before(code, current.thread), write);
    const unsigned lane = current.thread % lanes;
    r.address[lane] = address;
    r.mask |= 1u << lane;
    r.code = code;
    r.bytes = (uint8_t)n;
    r.write = write;
    r.shared = shared;
}

} // namespace simt

void simt_profile(simt_profile_totals *out) {
    simt::wait_all();
    simt::start();
    simt::flush();
    if (out) *out = simt::totals;
    simt::totals = {};
    simt::running_block = ~0ull;
}
