/* Any bytes are either refused or become pixels; pixels survive writing and reading again. */
#include <stdlib.h>
#include <string.h>

#include "data/png.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mg_error err = {0};
    mg_png png, again;
    mg_status status = mg_png_decode(data, size, &png, &err);
    MG_ASSERT((status == MG_OK) == (png.pixels != NULL));
    MG_ASSERT((status == MG_OK) == (*err.message == '\0'));
    if (status) return 0;
    size_t n = (size_t)png.width * png.height * (size_t)png.channels * (size_t)(png.bits / 8);
    uint8_t *out;
    size_t out_size;
    if (n < 1 << 16 && mg_png_encode(&png, &out, &out_size, NULL) == MG_OK) {
        MG_ASSERT(mg_png_decode(out, out_size, &again, NULL) == MG_OK);
        MG_ASSERT(again.width == png.width && again.channels == png.channels);
        MG_ASSERT(memcmp(png.pixels, again.pixels, n) == 0);
        mg_png_free(&again);
        free(out);
    }
    mg_png_free(&png);
    return 0;
}
