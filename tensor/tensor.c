#include "tensor/tensor.h"

#include <stdio.h>

size_t mg_dtype_size(mg_dtype dtype) {
    static const size_t sizes[MG_DTYPE_COUNT] = {4, 8, 2, 2};
    return sizes[dtype];
}

const char *mg_dtype_name(mg_dtype dtype) {
    static const char *const names[MG_DTYPE_COUNT] = {"f32", "f64", "bf16", "u16"};
    return names[dtype];
}

int64_t mg_shape_elements(const mg_shape *shape) {
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

bool mg_shape_equal(const mg_shape *a, const mg_shape *b) {
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bool mg_shape_valid(const mg_shape *shape) {
    if (shape->rank < 0 || shape->rank > MG_MAX_DIMS) return false;
    int64_t bytes = 8;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 1 || __builtin_mul_overflow(bytes, shape->dim[i], &bytes)) return false;
        if (bytes > (int64_t)1 << 60) return false;
    }
    return true;
}

char *mg_shape_text(const mg_shape *shape, char *out, size_t size) {
    size_t at = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < shape->rank && at < size; i++)
        at +=
            (size_t)snprintf(out + at, size - at, "%s%lld", i ? "," : "", (long long)shape->dim[i]);
    if (at < size) snprintf(out + at, size - at, "]");
    return out;
}
