/* inflate.c: the deflated transfer syntax (PS3.5 A.5): everything behind the file meta information
 * is one raw deflate stream. */
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

#include "dicom/internal.h"

/* What a stream may become before it counts as a bomb: images with much background shrink by up to
 * a thousand, so small outputs are always allowed and large ones only at ordinary ratios. */
#define ALWAYS_ALLOWED (UINT64_C(128) << 20)
#define LARGEST_RATIO  200

static uint64_t limit_of(const mg_dicom *d, uint64_t compressed) {
    uint64_t limit =
        compressed > UINT64_MAX / LARGEST_RATIO ? UINT64_MAX : compressed * LARGEST_RATIO;
    if (limit < ALWAYS_ALLOWED) limit = ALWAYS_ALLOWED;
    return limit < d->options.max_inflated ? limit : d->options.max_inflated;
}

typedef struct output {
    uint8_t *bytes;
    uint64_t size, capacity;
} output;

static bool grow(output *o, uint64_t most) {
    uint64_t capacity = o->capacity < (1 << 16) ? (1 << 16) : o->capacity + o->capacity / 2;
    if (capacity > most) capacity = most;
    uint8_t *grown = capacity > o->capacity ? realloc(o->bytes, capacity) : NULL;
    if (!grown) return false;
    o->bytes = grown;
    o->capacity = capacity;
    return true;
}

/* Runs the stream to its end. Returns zlib's last word; Z_BUF_ERROR stands for a stream that ends
 * early, Z_MEM_ERROR for no memory, Z_STREAM_ERROR for the limit. */
static int run(z_stream *z, const uint8_t *in, uint64_t in_size, output *o, uint64_t most) {
    z->next_in = (Bytef *)in;
    for (;;) {
        if (o->size == o->capacity && !grow(o, most))
            return o->capacity >= most ? Z_STREAM_ERROR : Z_MEM_ERROR;
        uint64_t left = in_size - (uint64_t)(z->next_in - in);
        uint64_t room = o->capacity - o->size;
        z->avail_in = left > UINT_MAX ? UINT_MAX : (uInt)left;
        z->avail_out = room > UINT_MAX ? UINT_MAX : (uInt)room;
        z->next_out = o->bytes + o->size;
        int code = inflate(z, Z_NO_FLUSH);
        o->size = (uint64_t)(z->next_out - o->bytes);
        if (code != Z_OK && code != Z_BUF_ERROR) return code;
        if (z->avail_out != 0 && (uint64_t)(z->next_in - in) == in_size) return Z_BUF_ERROR;
    }
}

mg_dicom_status mg_dicom_inflate(mg_dicom *d, uint64_t start, mg_dicom_error *err) {
    const uint8_t *in = d->bytes + start;
    uint64_t in_size = d->size - start;
    uint64_t limit = limit_of(d, in_size);
    uint64_t most;
    if (__builtin_add_overflow(start, limit, &most)) most = UINT64_MAX;
    output o = {0};
    if (!grow(&o, start + (1 << 16)))
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, start, "out of memory while inflating");
    while (o.capacity < start)
        if (!grow(&o, start + (1 << 16))) {
            free(o.bytes);
            return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, start, "out of memory while inflating");
        }
    memcpy(o.bytes, d->bytes, start);
    o.size = start;
    z_stream z = {0};
    int code = inflateInit2(&z, -MAX_WBITS) == Z_OK ? run(&z, in, in_size, &o, most) : Z_MEM_ERROR;
    uint64_t used = (uint64_t)z.total_in;
    inflateEnd(&z);
    if (code == Z_STREAM_ERROR || code == Z_MEM_ERROR) {
        free(o.bytes);
        if (code == Z_MEM_ERROR)
            return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, start, "out of memory while inflating");
        return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, start,
                             "deflated data set of %llu bytes grows beyond the limit of %llu bytes",
                             (unsigned long long)in_size, (unsigned long long)limit);
    }
    if (code != Z_STREAM_END) {
        if (o.size == start) { /* nothing came out: the caller may try it as it is */
            free(o.bytes);
            return mg_dicom_fail(err, MG_DICOM_ERR_FORMAT, start,
                                 "data set is not a deflate stream as its transfer syntax says");
        }
        d->truncated = true;
        if (!mg_dicom_warn(d, start + used, "deflate stream %s at byte %llu",
                           code == Z_BUF_ERROR ? "ends early" : "is broken",
                           (unsigned long long)(start + used))) {
            free(o.bytes);
            return mg_dicom_fail(err, MG_DICOM_ERR_FORMAT, start + used, "stopped at a warning");
        }
    }
    d->owned = o.bytes;
    d->bytes = o.bytes;
    d->size = o.size;
    return MG_DICOM_OK;
}
