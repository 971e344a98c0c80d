#include "data/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mg_events {
    FILE *stream;
    char *path;
};

/* --- checksums -------------------------------------------------------------------------------- */

uint32_t mg_crc32c(const void *data, size_t size) {
    uint32_t table[16]; /* four bits at a time: small enough to make anew for each short record */
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 4; bit++) c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
        table[i] = c;
    }
    uint32_t crc = ~0u;
    for (const uint8_t *p = data, *end = p + size; p < end; p++) {
        crc ^= *p;
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

uint32_t mg_crc32c_masked(const void *data, size_t size) {
    uint32_t crc = mg_crc32c(data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* --- encoding --------------------------------------------------------------------------------- */

enum { MAX_TAG = 256, MAX_EVENT = 512 };

/* A protobuf message under construction; sizes are bounded by MAX_TAG, checked before. */
typedef struct message {
    uint8_t data[MAX_EVENT];
    size_t size;
} message;

static void put_little(message *m, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) m->data[m->size++] = (uint8_t)(value >> 8 * i);
}

static void put_varint(message *m, uint64_t value) {
    for (; value >= 0x80; value >>= 7) m->data[m->size++] = (uint8_t)(value | 0x80);
    m->data[m->size++] = (uint8_t)value;
}

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */

static void put_key(message *m, uint32_t field, uint32_t wire) {
    put_varint(m, (uint64_t)field << 3 | wire);
}

static void put_bytes(message *m, uint32_t field, const void *data, size_t size) {
    put_key(m, field, BYTES);
    put_varint(m, size);
    memcpy(m->data + m->size, data, size);
    m->size += size;
}

static void put_double(message *m, uint32_t field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    put_key(m, field, FIXED64);
    put_little(m, bits, 8);
}

static mg_status write_record(mg_events *events, const message *m, mg_error *err) {
    message head = {.size = 0}, tail = {.size = 0};
    put_little(&head, m->size, 8);
    put_little(&head, mg_crc32c_masked(head.data, 8), 4);
    put_little(&tail, mg_crc32c_masked(m->data, m->size), 4);
    if (fwrite(head.data, 1, 12, events->stream) != 12 ||
        fwrite(m->data, 1, m->size, events->stream) != m->size ||
        fwrite(tail.data, 1, 4, events->stream) != 4)
        return mg_fail(err, MG_ERR_IO, "%s: cannot write: %s", events->path, strerror(errno));
    return MG_OK;
}

/* --- reading back, for resuming --------------------------------------------------------------- */

static uint64_t get_little(const uint8_t *p, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)p[i] << 8 * i;
    return value;
}

static int get_varint(const uint8_t *data, size_t size, size_t *at, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 64 && *at < size; shift += 7) {
        uint8_t byte = data[(*at)++];
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return 1;
    }
    return 0;
}

/* The step of an event payload (0 if it has none); 0 as a result if the payload is no message. */
static int event_step(const uint8_t *data, size_t size, int64_t *step) {
    *step = 0;
    for (size_t at = 0; at < size;) {
        uint64_t key, value;
        if (!get_varint(data, size, &at, &key)) return 0;
        size_t skip = 0;
        switch (key & 7) {
        case VARINT:
            if (!get_varint(data, size, &at, &value)) return 0;
            if (key >> 3 == 2) *step = (int64_t)value;
            break;
        case FIXED64: skip = 8; break;
        case FIXED32: skip = 4; break;
        case BYTES:
            if (!get_varint(data, size, &at, &value) || value > size) return 0;
            skip = (size_t)value;
            break;
        default: return 0;
        }
        if (skip > size - at) return 0;
        at += skip;
    }
    return 1;
}

/* Bytes of the file that hold intact records with step <= keep_through. */
static long intact_prefix(FILE *f, int64_t keep_through) {
    long end = 0;
    uint8_t head[12], payload[MAX_EVENT + 4];
    while (fread(head, 1, 12, f) == 12) {
        uint64_t size = get_little(head, 8);
        int64_t step;
        if (get_little(head + 8, 4) != mg_crc32c_masked(head, 8) || size > MAX_EVENT) break;
        size_t n = (size_t)size;
        if (fread(payload, 1, n + 4, f) != n + 4) break;
        if (get_little(payload + n, 4) != mg_crc32c_masked(payload, n)) break;
        if (!event_step(payload, n, &step) || step > keep_through) break;
        end += 12 + (long)n + 4;
    }
    return end;
}

/* --- the file --------------------------------------------------------------------------------- */

/* The stream at the place where the next record goes; *fresh when nothing is before it. */
static FILE *open_stream(const char *path, int64_t keep_through, int *fresh) {
    *fresh = 1;
    FILE *f = keep_through >= 0 ? fopen(path, "r+b") : NULL;
    if (!f) return keep_through < 0 || errno == ENOENT ? fopen(path, "wb") : NULL;
    long end = intact_prefix(f, keep_through);
    *fresh = end == 0;
    if (ftruncate(fileno(f), end) == 0 && fseek(f, end, SEEK_SET) == 0) return f;
    fclose(f);
    return NULL;
}

static mg_status write_version(mg_events *events, double wall_time, mg_error *err) {
    message m = {.size = 0};
    put_double(&m, 1, wall_time);
    put_bytes(&m, 3, "brain.Event:2", 13);
    mg_status status = write_record(events, &m, err);
    return status ? status : mg_events_flush(events, err);
}

mg_events *mg_events_open(const char *path, int64_t keep_through, double wall_time, mg_error *err) {
    mg_events *events = calloc(1, sizeof *events);
    char *copy = strdup(path);
    if (!events || !copy) {
        free(events);
        free(copy);
        mg_fail(err, MG_ERR_MEMORY, "%s: no memory to open an event file", path);
        return NULL;
    }
    int fresh;
    events->path = copy;
    events->stream = open_stream(path, keep_through, &fresh);
    if (!events->stream) {
        mg_fail(err, MG_ERR_IO, "%s: cannot open the event file for writing: %s", path,
                strerror(errno));
        free(copy);
        free(events);
        return NULL;
    }
    if (!fresh || write_version(events, wall_time, err) == MG_OK) return events;
    mg_events_close(events, NULL);
    return NULL;
}

mg_status mg_events_scalar(mg_events *events, const char *tag, int64_t step, double value,
                           double wall_time, mg_error *err) {
    size_t tag_size = strlen(tag);
    if (tag_size == 0 || tag_size > MAX_TAG)
        return mg_fail(err, MG_ERR_ARG, "%s: an event tag of %zu bytes; 1 to %d are possible",
                       events->path, tag_size, MAX_TAG);
    message m = {.size = 0}, summary = {.size = 0}, scalar = {.size = 0};
    float simple = (float)value;
    uint32_t bits;
    memcpy(&bits, &simple, 4);
    put_bytes(&scalar, 1, tag, tag_size);
    put_key(&scalar, 2, FIXED32);
    put_little(&scalar, bits, 4);
    put_bytes(&summary, 1, scalar.data, scalar.size);
    put_double(&m, 1, wall_time);
    put_key(&m, 2, VARINT);
    put_varint(&m, (uint64_t)step);
    put_bytes(&m, 5, summary.data, summary.size);
    return write_record(events, &m, err);
}

mg_status mg_events_flush(mg_events *events, mg_error *err) {
    if (fflush(events->stream) != 0 || fsync(fileno(events->stream)) != 0)
        return mg_fail(err, MG_ERR_IO, "%s: cannot write: %s", events->path, strerror(errno));
    return MG_OK;
}

mg_status mg_events_close(mg_events *events, mg_error *err) {
    if (!events) return MG_OK;
    mg_status status = mg_events_flush(events, err);
    if (fclose(events->stream) != 0 && !status)
        status = mg_fail(err, MG_ERR_IO, "%s: cannot write: %s", events->path, strerror(errno));
    free(events->path);
    free(events);
    return status;
}
