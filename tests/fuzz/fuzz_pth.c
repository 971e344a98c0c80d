/* A PyTorch checkpoint. Zip archives carry checksums that mutations break, so they are set to 0
 * ("not computed") first. */
#include "tests/fuzz/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || (memcmp(data, "PK", 2) && data[0] != 0x80)) return 0;
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    for (size_t i = 0; i + 46 <= size; i++)
        if (!memcmp(copy + i, "PK\1\2", 4)) memset(copy + i + 16, 0, 4);
    open_and_read(copy, size);
    free(copy);
    return 0;
}
