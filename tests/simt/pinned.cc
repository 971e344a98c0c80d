/* Page-locked host memory. While a copy that the host has not waited for reads it, it is closed to
 * the host's writes, and while one writes it, to its reads too: a forgotten synchronisation faults
 * where the host touches the memory (fault.cc). Whole pages only: neighbours are not hit. */
#include "memory.h"

#include <list>
#include <map>
#include <sys/mman.h>

namespace simt {
namespace {

constexpr size_t page = 4096;

auto &blocks = *new std::map<uintptr_t, size_t>;
struct Loan {
    uintptr_t low, high; /* pages */
    bool write;
    Moment moment;
    uintptr_t caller;
};
auto &loans = *new std::list<Loan>;

std::map<uintptr_t, size_t>::iterator block_of(uintptr_t address) {
    auto it = blocks.upper_bound(address);
    if (it == blocks.begin()) return blocks.end();
    --it;
    return address < it->first + it->second ? it : blocks.end();
}

void protect(uintptr_t low, uintptr_t high) {
    int access = PROT_READ | PROT_WRITE;
    mprotect((void *)low, high - low, access);
    for (const Loan &loan : loans) {
        const uintptr_t from = std::max(low, loan.low), to = std::min(high, loan.high);
        if (from < to && !loan.write) mprotect((void *)from, to - from, PROT_READ);
    }
    for (const Loan &loan : loans) {
        const uintptr_t from = std::max(low, loan.low), to = std::min(high, loan.high);
        if (from < to && loan.write) mprotect((void *)from, to - from, PROT_NONE);
    }
}

size_t pages(size_t bytes) { return (bytes + page - 1) & ~(page - 1); }

} // namespace

void *pinned_reserve(size_t bytes) {
    void *p =
        mmap(nullptr, pages(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    fault_handler_install();
    blocks[(uintptr_t)p] = bytes;
    return p;
}

bool pinned_release(void *pointer) {
    auto it = blocks.find((uintptr_t)pointer);
    if (it == blocks.end()) return false;
    munmap(pointer, pages(it->second));
    blocks.erase(it);
    return true;
}

bool is_pinned(const void *pointer) { return block_of((uintptr_t)pointer) != blocks.end(); }

void pinned_lend(const void *pointer, size_t bytes, bool write, const Moment &moment,
                 uintptr_t caller) {
    if (!config().guard || host_knows(moment)) return;
    auto it = block_of((uintptr_t)pointer);
    const uintptr_t start = (uintptr_t)pointer, end = start + bytes;
    const uintptr_t low = (start + page - 1) & ~(page - 1);
    /* Behind the end of the block there is no neighbour. */
    const uintptr_t high =
        end == it->first + it->second ? it->first + pages(it->second) : end & ~(page - 1);
    if (low >= high) return;
    loans.push_back({low, high, write, moment, caller});
    protect(low, high);
}

void pinned_open(const void *pointer, bool open) {
    if (!config().guard) return;
    auto it = block_of((uintptr_t)pointer);
    const uintptr_t low = it->first, high = low + pages(it->second);
    if (open) mprotect((void *)low, high - low, PROT_READ | PROT_WRITE);
    else protect(low, high);
}

void host_waited() {
    for (auto it = loans.begin(); it != loans.end();) {
        if (!host_knows(it->moment)) {
            ++it;
            continue;
        }
        const uintptr_t low = it->low, high = it->high;
        it = loans.erase(it);
        protect(low, high);
    }
}

uintptr_t pinned_borrower(uintptr_t address) {
    for (const Loan &loan : loans)
        if (address >= loan.low && address < loan.high) return loan.caller;
    return 0;
}

} // namespace simt
