/* A safetensors file: the length of the header is set to fit, so that mutations reach the JSON. */
#include "tensor/safetensors.h"
#include "tests/fuzz/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_and_read(data, size);
    const uint8_t *end = size > 8 ? memchr(data + 8, '\n', size - 8) : NULL;
    if (!end) return 0;
    uint8_t *copy = malloc(size);
    uint64_t length = (uint64_t)(end - data) - 8; /* the header ends before the first line break */
    memcpy(copy, data, size);
    memcpy(copy, &length, sizeof length);
    open_and_read(copy, size);
    free(copy);
    return 0;
}
