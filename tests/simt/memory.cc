/* Device memory: one reserved range of addresses, closed to the host (PROT_NONE) except while a
 * kernel or a copy runs, so that a host dereference of a device pointer faults.
 *
 * Blocks lie at least 256 bytes apart. The bytes between them, and those of freed blocks, are
 * forbidden. New blocks hold NaN. */
#include "internal.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <sys/mman.h>

#include "memory.h"

namespace simt {
namespace {

constexpr size_t granule = 256, page = 4096, huge = (size_t)256 << 10 << 20;

struct Part { /* of an arena, marked by its allocator */
    size_t bytes;
    std::string label;
};
struct Allocation {
    size_t bytes, reserved;
    bool live, arena;
    std::string label;
    std::map<uintptr_t, Part> parts;
};

char *base;
size_t used, in_use; /* used: addresses ever handed out */
int open_count;
/* Never destroyed: static destructors of other files may still free device memory. */
auto &allocations = *new std::map<uintptr_t, Allocation>;
auto &reusable = *new std::multimap<size_t, uintptr_t>;

void protect(int access) {
    if (config().guard && used) mprotect(base, (used + page - 1) & ~(page - 1), access);
}

/* The allocation that an address belongs to, or lies behind. */
std::map<uintptr_t, Allocation>::iterator at_or_before(uintptr_t address) {
    auto it = allocations.upper_bound(address);
    return it == allocations.begin() ? allocations.end() : --it;
}

constexpr size_t large = (size_t)64 << 20;

void forbid(uintptr_t address, size_t bytes, bool forbidden) {
    const Bytes allowed = bytes < large ? Bytes::uninitialised : Bytes::untouched;
    if (checker) checker->set(address, bytes, forbidden ? Bytes::forbidden : allowed);
    if (!__asan_poison_memory_region) return;
    (forbidden ? __asan_poison_memory_region : __asan_unpoison_memory_region)((void *)address,
                                                                              bytes);
}

/* NaN. Of a large block the beginning; the rest is left as the zero pages that it is. */
void fill(uintptr_t address, size_t bytes) {
    OpenMemory open;
    memset((void *)address, 0xff, bytes < large ? bytes : large);
}

bool reserve() {
    if (base) return true;
    void *p = mmap(nullptr, huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    base = (char *)p;
    fault_handler_install();
    if (checker) checker->region(base, huge, false);
    return true;
}

} // namespace

OpenMemory::OpenMemory() {
    if (!open_count++) protect(PROT_READ | PROT_WRITE);
}
OpenMemory::~OpenMemory() {
    if (!--open_count) protect(PROT_NONE);
}

bool is_device(const void *pointer) {
    return base && (char *)pointer >= base && (char *)pointer < base + huge;
}

void *device_reserve(size_t bytes) {
    size_t reserved = ((bytes + granule - 1) & ~(granule - 1)) + granule;
    if (bytes > config().memory_bytes - in_use || !reserve()) return nullptr;
    uintptr_t address;
    /* The smallest that is large enough, unless it is much too large. Images are of many sizes, and
     * opening and closing takes time for every page that was ever used. */
    auto again = reusable.lower_bound(reserved);
    if (again != reusable.end() && again->first / 2 <= reserved) {
        address = again->second;
        reserved = again->first;
        reusable.erase(again);
    } else {
        if (reserved > huge - used) return nullptr;
        address = (uintptr_t)base + used;
        used += reserved;
        if (open_count || !config().guard) /* the guard opened less than this */
            mprotect(base, (used + page - 1) & ~(page - 1), PROT_READ | PROT_WRITE);
    }
    in_use += bytes;
    allocations[address] = {bytes, reserved, false, false, "", {}};
    return (void *)address;
}

void device_begin(void *pointer) {
    Allocation &a = allocations[(uintptr_t)pointer];
    a.live = true;
    forbid((uintptr_t)pointer, a.reserved, true);
    forbid((uintptr_t)pointer, a.bytes, false);
    fill((uintptr_t)pointer, a.bytes);
    if (checker) checker->forget((uintptr_t)pointer, a.bytes);
}

bool device_is_block(const void *pointer) {
    auto it = allocations.find((uintptr_t)pointer);
    return it != allocations.end() && it->second.reserved;
}

void device_end(void *pointer, uintptr_t caller) {
    auto it = allocations.find((uintptr_t)pointer);
    Allocation &a = it->second;
    if (!a.live) {
        finding("memcheck", source_line(caller), "%s is freed twice",
                describe_address((uintptr_t)pointer));
        return;
    }
    a.live = false;
    in_use -= a.bytes;
    forbid(it->first, a.bytes, true);
    reusable.emplace(a.reserved, it->first);
}

size_t device_bytes_in_use() { return in_use; }

Bytes state_of(uintptr_t address) {
    auto it = at_or_before(address);
    if (it == allocations.end() || !it->second.live) return Bytes::forbidden;
    if (address >= it->first + it->second.bytes || it->second.arena) return Bytes::forbidden;
    return Bytes::uninitialised;
}

/* --- parts of an arena ------------------------------------------------------------------------ */

void mark_part(uintptr_t address, size_t bytes, const char *label) {
    auto it = at_or_before(address);
    if (it == allocations.end() || address + bytes > it->first + it->second.bytes) {
        finding("memcheck", nullptr, "simt_mark_alloc: %p is not device memory", (void *)address);
        return;
    }
    Allocation &a = it->second;
    if (address == it->first && bytes == a.bytes) { /* a whole block: only its name is news */
        a.label = label ? label : "";
        return;
    }
    if (!a.arena) {
        a.arena = true;
        forbid(it->first, a.bytes, true);
    }
    a.parts[address] = {bytes, label ? label : ""};
    forbid(address, bytes, false);
    fill(address, bytes);
}

void unmark_part(uintptr_t address) {
    auto it = at_or_before(address);
    if (it == allocations.end()) return;
    auto part = it->second.parts.find(address);
    if (part == it->second.parts.end()) return;
    forbid(address, part->second.bytes, true);
    part->second.label += " (freed)";
}

/* --- words for addresses ---------------------------------------------------------------------- */

namespace {

struct SharedName {
    uintptr_t address;
    size_t bytes;
    const char *name;
} shared_names[80];
int shared_name_count;

void describe_offset(char *out, size_t size, uintptr_t address, uintptr_t start, size_t bytes,
                     const char *name) {
    if (address < start + bytes)
        snprintf(out, size, "byte %zu of %s (%zu bytes)", (size_t)(address - start), name, bytes);
    else
        snprintf(out, size, "%zu bytes past the end of %s (%zu bytes)",
                 (size_t)(address - start - bytes), name, bytes);
}

} // namespace

void name_shared(void *pointer, size_t bytes, const char *name) {
    if (!pointer) shared_name_count = 0;
    else if (shared_name_count < 80)
        shared_names[shared_name_count++] = {(uintptr_t)pointer, bytes, name};
}

const char *describe_address(uintptr_t address) {
    static char text[256];
    char name[160];
    const SharedName *nearest = nullptr;
    for (int i = 0; i < shared_name_count; i++)
        if (shared_names[i].address <= address) /* they lie in ascending order */
            nearest = &shared_names[i];
    if (nearest && address - nearest->address < nearest->bytes + (64 << 10)) {
        snprintf(name, sizeof name, "`%s`", nearest->name);
        describe_offset(text, sizeof text, address, nearest->address, nearest->bytes, name);
        return text;
    }
    auto it = is_device((void *)address) ? at_or_before(address) : allocations.end();
    if (it == allocations.end()) return "not device memory";
    const Allocation &a = it->second;
    auto part = a.parts.upper_bound(address);
    if (part != a.parts.begin()) {
        --part;
        snprintf(name, sizeof name, "`%s`", part->second.label.c_str());
        describe_offset(text, sizeof text, address, part->first, part->second.bytes, name);
        return text;
    }
    if (a.label.empty()) snprintf(name, sizeof name, "%s block", a.live ? "a device" : "a freed");
    else snprintf(name, sizeof name, "`%s`%s", a.label.c_str(), a.live ? "" : " (freed)");
    describe_offset(text, sizeof text, address, it->first, a.bytes, name);
    return text;
}

void touch(const void *pointer, size_t bytes, bool write, const char *what, uintptr_t caller) {
    if (!bytes || !is_device(pointer)) return;
    const uintptr_t address = (uintptr_t)pointer;
    auto it = at_or_before(address);
    uintptr_t where = address;
    bool inside = it != allocations.end() && it->second.live;
    if (inside && address + bytes > it->first + it->second.bytes) {
        where = it->first + it->second.bytes;
        inside = false;
    }
    if (inside && checker)
        inside = checker->find(address, bytes, Bytes::forbidden, &where) != Bytes::forbidden;
    if (!inside) {
        finding("memcheck", source_line(caller), "%s %s %zu bytes out of bounds: %s", what,
                write ? "writes" : "reads", bytes, describe_address(where));
        return;
    }
    if (!checker) return;
    if (!write && config().check_init &&
        checker->find(address, bytes, Bytes::uninitialised, &where) == Bytes::uninitialised)
        finding("initcheck", source_line(caller), "%s reads memory that was never written: %s",
                what, describe_address(where));
    if (write) checker->set(address, bytes, Bytes::initialised);
    if (streams_in_use()) checker->range(address, bytes, write, caller);
}

} // namespace simt
