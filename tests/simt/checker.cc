/* The checker: races, bounds, uninitialised reads, alignment, host memory in kernels.
 *
 * Kernels are compiled with -fsanitize=thread, which puts a call before every access of memory;
 * the functions called are ours (tsan.cc) instead of ThreadSanitizer's. They know CUDA's rules:
 * two accesses of the same bytes, one of them a write, are ordered when a barrier lies between
 * them, or a __syncwarp between lanes of one warp; blocks of one launch are never ordered.
 *
 * Shadow memory: one state (Bytes) per byte, and per 4-byte cell the last write and two of the
 * reads since then, each with its thread, block, epochs and code address. */
#include "checker.h"
#include "profile.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <link.h>
#include <sys/mman.h>

namespace simt {
namespace {

struct Access {
    uint32_t block; /* running number over all blocks of all launches; 0: none */
    uint16_t thread, barrier_epoch, warp_epoch;
    uint8_t bytes;  /* which of the cell's four */
    uint8_t atomic; /* 0, or how: */
    uint32_t code;  /* offset in this program or library */
};
enum { ATOMIC_LOAD = 1, ATOMIC_UPDATE = 2 };
/* Updates are kept among the reads as well: the last write alone would hide the others. */
struct Cell {
    Access write, read[2];
};
struct Region {
    uintptr_t low, high;
    Bytes *state;
    Cell *cells;
    bool shared;
    const char *name() const { return shared ? "shared" : "global"; }
} global_region, shared_region;

uintptr_t image_low, image_high;
uint32_t block_number, seen_block;

/* Operations by the running number of their first block, as far as a later one may race with them:
 * none that the host has waited for. */
struct Operation {
    uint32_t first_block;
    const char *what;
    Moment moment;
};
auto &operations = *new std::deque<Operation>;
/* Of the running operation; all blocks before `ordered` belong to operations that precede it. */
uint32_t first_of_operation, ordered;
constexpr uint16_t no_thread = 0xffff; /* an access by a copy or a library call */

/* --- which operation -------------------------------------------------------------------------- */

/* The operation that a block belongs to. */
const Operation &operation_of(uint32_t block) {
    size_t low = 0, high = operations.size();
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        (operations[middle].first_block <= block ? low : high) = middle;
    }
    return operations[low];
}

/* Is a block of an earlier operation unordered with the running one? */
bool unordered(uint32_t block) {
    return block >= ordered && !operations.back().moment.follows(operation_of(block).moment);
}

/* --- reports: each once per place ------------------------------------------------------------- */

/* An open-addressed set; forgetting when full only repeats a report. */
bool first_time(uint32_t code, uint32_t what) {
    static uint64_t seen[4096];
    const uint64_t key = (uint64_t)code << 32 | (what + 1);
    uint64_t &place = seen[(key * 0x9E3779B97F4A7C15ull) >> 52];
    if (place == key) return false;
    place = key;
    return true;
}

const char *line_of(uint32_t code) { return source_line(image_low + code); }

void report_race(const char *what, const char *earlier, uint32_t code, uintptr_t address,
                 const Access &other, const Region &region) {
    if (!first_time(code, 1000 + other.code)) return;
    char other_line[512], by[256];
    snprintf(other_line, sizeof other_line, "%s", line_of(other.code));
    if (other.block < first_of_operation)
        snprintf(by, sizeof by, "%s on another stream, which nothing orders with this operation",
                 operation_of(other.block).what);
    else
        snprintf(by, sizeof by, "%s of %s block", thread_name(other.thread),
                 other.block == block_number ? "the same" : "another");
    finding("racecheck", line_of(code),
            "%s %s memory races with an earlier %s%s by %s\n    earlier at %s\n    memory: %s",
            what, region.name(), other.atomic ? "atomic " : "", earlier, by, other_line,
            describe_address(address));
}

/* --- the rules -------------------------------------------------------------------------------- */

inline uint16_t this_thread() { return current.in_kernel ? (uint16_t)current.thread : no_thread; }

inline bool races(const Access &other, uint8_t bytes, bool atomic, bool shared) {
    if (!(other.bytes & bytes) || other.block < ordered) return false;
    if (other.block < first_of_operation) return !shared && unordered(other.block);
    if (other.atomic && atomic) return false;
    if (other.block != block_number) return !shared;
    if (other.thread == this_thread()) return false;
    if (other.barrier_epoch != (uint16_t)current.barrier_epoch) return false;
    const bool same_warp = other.thread / 32 == current.thread / 32;
    return !(same_warp && other.warp_epoch != (uint16_t)current.warp_epoch);
}

inline bool same_moment(const Access &a, const Access &b) {
    return a.block == b.block && a.thread == b.thread && a.barrier_epoch == b.barrier_epoch &&
           a.warp_epoch == b.warp_epoch;
}

void remember_read(Cell &cell, Access me, bool shared) {
    Access *place = &cell.read[1];
    for (Access &r : cell.read)
        if (r.block == me.block && r.thread == me.thread) {
            place = &r;
            break;
        }
    if (place == &cell.read[1] && !races(cell.read[0], 15, false, shared))
        place = &cell.read[0]; /* ordered before us: whoever races with it races with us */
    if (same_moment(*place, me)) {
        me.bytes |= place->bytes;
        if (place->atomic > me.atomic) me.atomic = place->atomic;
    }
    *place = me;
}

void check_cell(Region &region, size_t index, uintptr_t low, uintptr_t high, bool write,
                bool atomic, uint32_t code) {
    Cell &cell = region.cells[index];
    const uintptr_t start = region.low + 4 * index;
    const uintptr_t from = low > start ? low : start, to = high < start + 4 ? high : start + 4;
    const uint8_t bytes = (uint8_t)(((1u << (to - from)) - 1) << (from - start));
    const uint8_t how = !atomic ? 0 : write ? ATOMIC_UPDATE : ATOMIC_LOAD;
    const Access me{block_number,
                    this_thread(),
                    (uint16_t)current.barrier_epoch,
                    (uint16_t)current.warp_epoch,
                    bytes,
                    how,
                    code};
    if (races(cell.write, bytes, atomic, region.shared))
        report_race(write ? "a write to" : "a read of", "write", code, from, cell.write, region);
    for (const Access &r : cell.read)
        if ((write || r.atomic == ATOMIC_UPDATE) && races(r, bytes, atomic, region.shared)) {
            report_race(write ? "a write to" : "a read of", write ? "read" : "update", code, from,
                        r, region);
            break;
        }
    if (!write || atomic) remember_read(cell, me, region.shared);
    if (write) cell.write = me;
}

/* False: nothing more can be said about this access. */
bool check_bytes(Region &region, uintptr_t address, size_t n, bool write, uint32_t code) {
    Bytes *state = region.state + (address - region.low);
    for (size_t i = 0; i < n; i++) {
        if (state[i] == Bytes::initialised) continue;
        if (state[i] == Bytes::untouched)
            state[i] = region.shared ? Bytes::forbidden : state_of(address + i);
        if (state[i] == Bytes::forbidden) {
            if (first_time(code, 3))
                finding("memcheck", line_of(code), "out-of-bounds %s of %zu bytes of %s memory: %s",
                        write ? "write" : "read", n, region.name(), describe_address(address + i));
            return false;
        }
        if (write || !config().check_init) continue;
        if (first_time(code, 4))
            finding("initcheck", line_of(code), "read of %s memory that was never written: %s",
                    region.name(), describe_address(address + i));
        break;
    }
    if (write) memset(state, (int)Bytes::initialised, n);
    return true;
}

inline bool within(uintptr_t a, uintptr_t low, uintptr_t high) { return a - low < high - low; }

void host_memory(uintptr_t address, size_t n, bool write, uint32_t code) {
    if (within(address, current.stack_low, current.stack_high) ||
        within(address, image_low, image_high) ||
        within(address, current.closure_low, current.closure_high))
        return;
    if (first_time(code, 1))
        finding("memcheck", line_of(code), "a kernel %s %zu bytes of host memory at %p",
                write ? "writes" : "reads", n, (void *)address);
}

/* --- shadow memory ---------------------------------------------------------------------------- */

void *shadow(size_t bytes) {
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("simt: no address space for shadow memory");
        abort();
    }
    return p;
}

Region &region_of(uintptr_t address) {
    return within(address, global_region.low, global_region.high) ? global_region : shared_region;
}

void add_region(void *base, size_t bytes, bool shared) {
    Region &r = shared ? shared_region : global_region;
    r.low = (uintptr_t)base;
    r.high = r.low + bytes;
    r.shared = shared;
    r.state = (Bytes *)shadow(bytes);
    r.cells = (Cell *)shadow(bytes / 4 * sizeof(Cell));
    if (!shared) profile_region(bytes);
}

void set_state(uintptr_t address, size_t bytes, Bytes state) {
    Region &r = region_of(address);
    memset(r.state + (address - r.low), (int)state, bytes);
}

Bytes find_state(uintptr_t address, size_t bytes, Bytes wanted, uintptr_t *where) {
    const Region &r = region_of(address);
    Bytes *state = r.state + (address - r.low);
    for (size_t i = 0; i < bytes; i++) {
        if (state[i] == Bytes::untouched) state[i] = state_of(address + i);
        if (state[i] != wanted) continue;
        *where = address + i;
        return wanted;
    }
    return Bytes::initialised;
}

void begin_operation(const char *what) {
    const Moment *moment = running_moment();
    while (!operations.empty() && host_knows(operations.front().moment)) operations.pop_front();
    first_of_operation = ordered = ++block_number;
    operations.push_back({block_number, what, *moment});
    for (const Operation &o : operations)
        if (!moment->follows(o.moment)) {
            ordered = o.first_block;
            break;
        }
    seen_block = 0;
}

void check_range(uintptr_t address, size_t bytes, bool write, uintptr_t caller) {
    const uint32_t code = (uint32_t)(caller - image_low);
    Region &r = global_region;
    current.barrier_epoch = current.warp_epoch = 0;
    for (size_t i = (address - r.low) / 4; i <= (address + bytes - 1 - r.low) / 4; i++)
        check_cell(r, i, address, address + bytes, write, false, code);
}

/* Where everything so far precedes whatever comes, as on a single stream, there is nothing to
 * forget. */
void forget(uintptr_t address, size_t bytes) {
    const Moment *now = running_moment();
    bool precedes = true;
    for (const Operation &o : operations)
        precedes = precedes && (now ? now->follows(o.moment) : host_knows(o.moment));
    if (!precedes)
        memset(global_region.cells + (address - global_region.low) / 4, 0,
               (bytes + 3) / 4 * sizeof(Cell));
}

const Checker functions = {add_region, set_state, find_state, begin_operation, check_range, forget};

/* The addresses of the program or library that kernels and emulator are part of. */
int find_image(dl_phdr_info *info, size_t, void *) {
    const uintptr_t self = (uintptr_t)&functions;
    uintptr_t high = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto &p = info->dlpi_phdr[i];
        const uintptr_t end = info->dlpi_addr + p.p_vaddr + p.p_memsz;
        if (p.p_type == PT_LOAD && end > high) high = end;
    }
    if (self < info->dlpi_addr || self >= high) return 0;
    image_low = info->dlpi_addr;
    image_high = high;
    return 1;
}

} // namespace

const Checker *checker = &functions;

void checker_start() {
    if (!image_high) dl_iterate_phdr(find_image, nullptr);
}

uintptr_t image_base() { return image_low; }

void check_access(uintptr_t address, size_t n, bool write, bool atomic, uintptr_t return_address) {
    const uint32_t code = (uint32_t)(return_address - image_low);
    Region *region = within(address, global_region.low, global_region.high)   ? &global_region
                     : within(address, shared_region.low, shared_region.high) ? &shared_region
                                                                              : nullptr;
    if (!region) {
        host_memory(address, n, write, code);
        return;
    }
    if (current.block != seen_block) {
        seen_block = current.block;
        ++block_number;
    }
    if ((n == 2 || n == 4 || n == 8 || n == 16) && address % n && first_time(code, 2))
        finding("memcheck", line_of(code), "misaligned access of %zu bytes: %s", n,
                describe_address(address));
    if (!check_bytes(*region, address, n, write, code)) return;
    profile_access(address - region->low, address, n, write, region->shared, code);
    const size_t first = (address - region->low) / 4, last = (address + n - 1 - region->low) / 4;
    for (size_t i = first; i <= last; i++)
        check_cell(*region, i, address, address + n, write, atomic, code);
}

} // namespace simt
