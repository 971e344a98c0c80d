/* A cache entry of any bytes is refused or fully usable. Checksums would stop nearly every input at
 * the door, so they are mended first: what is tested is what stands behind them. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t key[16];
    mg_prepared p;
    if (size < 192) {
        memset(key, 0, sizeof key);
        MG_ASSERT(mg_cache_decode(data, size, key, &p, NULL) == MG_ERR_FORMAT);
        return 0;
    }
    uint8_t *entry = malloc(size);
    memcpy(entry, data, size);
    memcpy(entry, "MGCACHE1", 8);
    memcpy(key, entry + 8, 16);
    put(entry + 88, (uint32_t)crc32(crc32(0, NULL, 0), entry + 192, (uInt)(size - 192)));
    put(entry + 188, (uint32_t)crc32(crc32(0, NULL, 0), entry, 188));
    mg_error err = {0};
    mg_status status = mg_cache_decode(entry, size, key, &p, &err);
    MG_ASSERT((status == MG_OK) == (p.pixels != NULL));
    MG_ASSERT((status == MG_OK) == (*err.message == '\0'));
    if (!status) {
        double y, x;
        mg_geometry_to_original(&p.geometry, 1, 1, &y, &x);
        MG_ASSERT(y <= p.geometry.rows && x <= p.geometry.columns);
        (void)mg_geometry_to_input(&p.geometry, y, x, &y, &x);
        uint64_t sum = 0;
        for (size_t i = 0; i < (size_t)p.geometry.height * p.geometry.width; i++)
            sum += p.pixels[i];
        MG_ASSERT(sum <= UINT64_MAX / 2);
        mg_prepared_free(&p);
    }
    free(entry);
    return 0;
}
