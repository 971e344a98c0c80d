/* planted.h: kernels with a bug planted, and the same kernels without it.
 *
 * Each case is a function template run once with the bug and once without. The line that must be
 * reported carries the comment "BUG: name"; test_simt_bugs.c looks it up there. Also a collection
 * of what goes wrong in kernels, to learn from. */
#ifndef SIMT_PLANTED_H
#define SIMT_PLANTED_H

#include "simt.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

/* Which builds must report it. */
enum Builds { CHECKED, BOTH };

struct Planted {
    const char *name, *kind, *file;
    Builds builds;
    void (*with)(), (*without)();
    Planted *next;
    static Planted *first;
    Planted(const char *name_, const char *kind_, const char *file_, Builds builds_,
            void (*with_)(), void (*without_)())
        : name(name_), kind(kind_), file(file_), builds(builds_), with(with_), without(without_),
          next(first) {
        first = this;
    }
};
#define PLANT(name, kind, builds)                                                                  \
    static Planted planted_##name(#name, kind, __FILE__, builds, name<true>, name<false>)

/* A device array; filled with 0, 1, 2, … or left unwritten. */
struct Array {
    float *p = nullptr;
    size_t n;
    explicit Array(size_t count, bool fill = true) : n(count) {
        cudaMalloc((void **)&p, n * sizeof(float));
        if (!fill) return;
        std::vector<float> values(n);
        for (size_t i = 0; i < n; i++) values[i] = (float)i;
        cudaMemcpy(p, values.data(), n * sizeof(float), cudaMemcpyHostToDevice);
    }
    ~Array() { cudaFree(p); }
    Array(const Array &) = delete;
    float first() const {
        float value;
        cudaMemcpy(&value, p, sizeof value, cudaMemcpyDeviceToHost);
        return value;
    }
};

#endif
