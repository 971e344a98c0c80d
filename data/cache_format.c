/* The cache entry's bytes (all numbers little-endian):
 *
 *    0  8  "MGCACHE1"
 *    8 16  key
 *   24  4  height      28 4 width       of the input
 *   32  4  rows        36 4 columns     of the original
 *   40  4  first row   44 4 row count   48 4 entries of the row list (0: contiguous)
 *   52  4  first column, 56 count, 60 entries of the column list
 *   64  4  lowest, 68 highest, 72 low, 76 high (f32 bits)
 *   80  4  flags: 1 inverted, 2 payload is zlib over byte planes of row differences
 *   84  4  payload bytes
 *   88  4  CRC-32 of lists and payload
 *   92 96  warning, NUL-padded
 *  188  4  CRC-32 of bytes 0 … 187
 *  192     row list, column list (u32 each), payload */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "data/cache.h"

enum {
    HEADER = 192,
    AT_KEY = 8,
    AT_NUMBERS = 24,
    AT_RANGES = 64,
    AT_FLAGS = 80,
    AT_PAYLOAD = 84,
    AT_BODY_CRC = 88,
    AT_WARNING = 92,
    AT_HEADER_CRC = 188,
    FLAG_INVERTED = 1,
    FLAG_PACKED = 2,
    MAX_SIDE = 1 << 14,
};
static const char magic[8] = "MGCACHE1";

static void put(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_float(uint8_t *p, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put(p, bits);
}

static float get_float(const uint8_t *p) {
    uint32_t bits = get(p);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint32_t crc(const uint8_t *p, size_t n) {
    uLong c = crc32(0, NULL, 0);
    for (; n > 1 << 30; n -= 1 << 30, p += 1 << 30) c = crc32(c, p, 1 << 30);
    return (uint32_t)crc32(c, p, (uInt)n);
}

/* Differences to the pixel above (to the left in the first row), high bytes before low bytes: deep
 * background becomes runs of zeros. */
static void split_planes(const uint16_t *in, uint32_t h, uint32_t w, uint8_t *out) {
    size_t n = (size_t)h * w;
    for (size_t i = 0; i < n; i++) {
        uint16_t before = i >= w ? in[i - w] : i > 0 ? in[i - 1] : 0;
        uint16_t d = (uint16_t)(in[i] - before);
        out[i] = (uint8_t)(d >> 8);
        out[n + i] = (uint8_t)d;
    }
}

static void join_planes(const uint8_t *in, uint32_t h, uint32_t w, uint16_t *out) {
    size_t n = (size_t)h * w;
    for (size_t i = 0; i < n; i++) {
        uint16_t before = i >= w ? out[i - w] : i > 0 ? out[i - 1] : 0;
        out[i] = (uint16_t)(before + ((uint32_t)in[i] << 8 | in[n + i]));
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

static mg_status no_memory(mg_error *err) {
    return mg_fail(err, MG_ERR_MEMORY, "cache entry: out of memory");
}

static mg_status pack(const mg_prepared *p, int level, uint8_t *to, size_t room, size_t *used,
                      mg_error *err) {
    size_t bytes = 2 * (size_t)p->geometry.height * p->geometry.width;
    uint8_t *planes = malloc(bytes);
    if (!planes) return no_memory(err);
    split_planes(p->pixels, p->geometry.height, p->geometry.width, planes);
    uLongf n = (uLongf)room;
    int result = compress2(to, &n, planes, (uLong)bytes, level);
    free(planes);
    *used = (size_t)n;
    return result == Z_OK ? MG_OK : no_memory(err);
}

static void put_header(const mg_prepared *p, const uint8_t key[16], uint8_t *h) {
    const mg_geometry *g = &p->geometry;
    uint32_t numbers[10] = {g->height,
                            g->width,
                            g->rows,
                            g->columns,
                            g->row.first,
                            g->row.count,
                            g->row.list ? g->row.count : 0,
                            g->column.first,
                            g->column.count,
                            g->column.list ? g->column.count : 0};
    memset(h, 0, HEADER);
    memcpy(h, magic, sizeof magic);
    memcpy(h + AT_KEY, key, 16);
    for (int i = 0; i < 10; i++) put(h + AT_NUMBERS + 4 * i, numbers[i]);
    const float ranges[4] = {p->lowest, p->highest, p->low, p->high};
    for (int i = 0; i < 4; i++) put_float(h + AT_RANGES + 4 * i, ranges[i]);
    memcpy(h + AT_WARNING, p->warning, sizeof p->warning);
}

static uint8_t *put_list(const mg_kept *kept, uint8_t *to) {
    for (uint32_t i = 0; kept->list && i < kept->count; i++, to += 4) put(to, kept->list[i]);
    return to;
}

mg_status mg_cache_encode(const mg_prepared *p, const uint8_t key[16], int compression,
                          uint8_t **data, size_t *size, mg_error *err) {
    const mg_geometry *g = &p->geometry;
    *data = NULL;
    *size = 0;
    if (!p->pixels || g->height > MAX_SIDE || g->width > MAX_SIDE)
        return mg_fail(err, MG_ERR_ARG, "cache entry of %u x %u pixels", g->height, g->width);
    size_t n = (size_t)g->height * g->width, room = compressBound((uLong)(2 * n));
    size_t lists = 4 * ((g->row.list ? (size_t)g->row.count : 0) +
                        (g->column.list ? (size_t)g->column.count : 0));
    uint8_t *entry = malloc(HEADER + lists + room);
    if (!entry) return no_memory(err);
    put_header(p, key, entry);
    uint8_t *payload = put_list(&g->column, put_list(&g->row, entry + HEADER));
    size_t used = 2 * n;
    mg_status status = MG_OK;
    if (compression > 0)
        status = pack(p, compression > 9 ? 9 : compression, payload, room, &used, err);
    for (size_t i = 0; i < n && compression <= 0; i++) {
        payload[2 * i] = (uint8_t)p->pixels[i];
        payload[2 * i + 1] = (uint8_t)(p->pixels[i] >> 8);
    }
    if (status) {
        free(entry);
        return status;
    }
    put(entry + AT_FLAGS,
        (p->inverted ? FLAG_INVERTED : 0u) | (compression > 0 ? FLAG_PACKED : 0u));
    put(entry + AT_PAYLOAD, (uint32_t)used);
    put(entry + AT_BODY_CRC, crc(entry + HEADER, lists + used));
    put(entry + AT_HEADER_CRC, crc(entry, AT_HEADER_CRC));
    *data = entry;
    *size = HEADER + lists + used;
    return MG_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static mg_status damaged(const char *what, mg_error *err) {
    return mg_fail(err, MG_ERR_FORMAT, "cache entry is damaged: %s", what);
}

/* An axis must lie within the original, a list must ascend. */
static mg_status get_axis(const uint8_t *numbers, uint32_t original, const uint8_t *list,
                          mg_kept *out, mg_error *err) {
    uint32_t entries = get(numbers + 8);
    *out = (mg_kept){.first = get(numbers), .count = get(numbers + 4)};
    if (out->count == 0 || out->count > original || out->first > original - out->count)
        return damaged("kept range", err);
    if (entries == 0) return MG_OK;
    out->list = malloc((size_t)entries * sizeof *out->list);
    if (!out->list) return no_memory(err);
    for (uint32_t i = 0; i < entries; i++) {
        out->list[i] = get(list + 4 * (size_t)i);
        if (out->list[i] >= original || (i > 0 && out->list[i] <= out->list[i - 1]))
            return damaged("kept list", err);
    }
    return MG_OK;
}

static mg_status get_pixels(const uint8_t *payload, size_t bytes, bool packed, mg_prepared *p,
                            mg_error *err) {
    uint32_t h = p->geometry.height, w = p->geometry.width;
    size_t n = (size_t)h * w;
    if (!packed && bytes != 2 * n) return damaged("payload size", err);
    /* deflate shrinks 1032-fold at most: do not allocate for a size that cannot be true */
    if (packed && bytes < n / 600) return damaged("payload size", err);
    p->pixels = malloc(n * sizeof *p->pixels);
    if (!p->pixels) return no_memory(err);
    if (!packed) {
        for (size_t i = 0; i < n; i++)
            p->pixels[i] = (uint16_t)(payload[2 * i] | (uint32_t)payload[2 * i + 1] << 8);
        return MG_OK;
    }
    uint8_t *planes = malloc(2 * n);
    if (!planes) return no_memory(err);
    uLongf length = (uLongf)(2 * n);
    int result = uncompress(planes, &length, payload, (uLong)bytes);
    if (result == Z_OK && length == 2 * n) join_planes(planes, h, w, p->pixels);
    free(planes);
    return result == Z_OK && length == 2 * n ? MG_OK : damaged("compressed payload", err);
}

static mg_status decode(const uint8_t *d, size_t size, mg_prepared *p, mg_error *err) {
    mg_geometry *g = &p->geometry;
    const uint8_t *numbers = d + AT_NUMBERS;
    g->height = get(numbers), g->width = get(numbers + 4);
    g->rows = get(numbers + 8), g->columns = get(numbers + 12);
    if (g->height == 0 || g->width == 0 || g->height > MAX_SIDE || g->width > MAX_SIDE)
        return damaged("image size", err);
    uint32_t row_list = get(numbers + 24), column_list = get(numbers + 36);
    if ((row_list && row_list != get(numbers + 20)) ||
        (column_list && column_list != get(numbers + 32)))
        return damaged("list length", err);
    uint64_t lists = 4 * ((uint64_t)row_list + column_list), payload = get(d + AT_PAYLOAD);
    if (lists + payload != size - HEADER) return damaged("file length", err);
    if (crc(d + HEADER, size - HEADER) != get(d + AT_BODY_CRC)) return damaged("checksum", err);
    const uint8_t *at = d + HEADER;
    mg_status status = get_axis(numbers + 16, g->rows, at, &g->row, err);
    at += 4 * (size_t)row_list;
    if (!status) status = get_axis(numbers + 28, g->columns, at, &g->column, err);
    at += 4 * (size_t)column_list;
    if (status) return status;
    uint32_t flags = get(d + AT_FLAGS);
    p->inverted = flags & FLAG_INVERTED;
    p->lowest = get_float(d + AT_RANGES), p->highest = get_float(d + AT_RANGES + 4);
    p->low = get_float(d + AT_RANGES + 8), p->high = get_float(d + AT_RANGES + 12);
    memcpy(p->warning, d + AT_WARNING, sizeof p->warning);
    p->warning[sizeof p->warning - 1] = '\0';
    return get_pixels(at, (size_t)payload, flags & FLAG_PACKED, p, err);
}

mg_status mg_cache_decode(const uint8_t *data, size_t size, const uint8_t key[16], mg_prepared *out,
                          mg_error *err) {
    *out = (mg_prepared){0};
    if (size < HEADER || memcmp(data, magic, sizeof magic) != 0) return damaged("header", err);
    if (crc(data, AT_HEADER_CRC) != get(data + AT_HEADER_CRC)) return damaged("header", err);
    if (memcmp(data + AT_KEY, key, 16) != 0) return damaged("it belongs to another image", err);
    mg_status status = decode(data, size, out, err);
    if (status) mg_prepared_free(out);
    return status;
}
