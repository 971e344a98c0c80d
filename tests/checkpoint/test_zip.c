/* The zip container of .pth files: what a damaged or foreign archive is told. Each case patches one
 * field of the directory's record of an entry, of a file that torch wrote. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/weights.h"
#include "tests/lib/scratch.h"

#define PLAIN "tests/golden/checkpoint/plain.pth"

/* Offsets within a central directory record (APPNOTE 4.3.12). */
enum { FLAGS = 8, METHOD = 10, CRC = 16, STORED_SIZE = 20, SIZE = 24, HEADER = 42, NAME = 46 };

/* The directory's record of the entry whose name ends with this. */
static unsigned char *record(unsigned char *bytes, size_t size, const char *name) {
    for (unsigned char *p = bytes; (p = memmem(p, size - (size_t)(p - bytes), "PK\1\2", 4)); p++) {
        size_t length = (size_t)p[28], n = strlen(name);
        if (length >= n && !memcmp(p + NAME + length - n, name, n)) return p;
    }
    cr_assert(false, "no entry %s", name);
    return NULL;
}

static void put(unsigned char *p, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(value >> 8 * i);
}

static void says(const unsigned char *bytes, size_t size, const char *expected) {
    mg_error err = {0};
    cr_assert_null(mg_weights_open_memory(bytes, size, &err), "%s: was read", expected);
    cr_assert(strstr(err.message, expected), "%s", err.message);
}

Test(zip, entries) {
    static const struct {
        const char *entry;
        int field, bytes;
        uint64_t value;
        const char *says;
    } cases[] = {
        {"/data.pkl", FLAGS, 2, 1, "plain/data.pkl is encrypted"},
        {"/data.pkl", METHOD, 2, 12, "plain/data.pkl is compressed (method 12)"},
        {"/data.pkl", SIZE, 4, 5, "plain/data.pkl is compressed"},
        {"/data.pkl", HEADER, 4, 3, "does not lie where"},
        {"/data.pkl", HEADER, 4, 0xfffffff0, "does not lie where"},
        {"/data.pkl", HEADER, 4, 0xffffffff, "does not lie where"},
        {"/data.pkl", CRC, 4, 0x12345678, "plain/data.pkl is damaged (its CRC-32 differs)"},
        {"/data.pkl", NAME + 10, 4, 0x78787878, "it has 0 data.pkl"},
        {"/data/0", CRC, 4, 0x12345678, "plain/data/0 is damaged"},
        {"/data/0", NAME + 11, 1, 'x', "lacks the storage data/0"},
        {"/data/0", NAME + 11, 1, '1', "holds plain/data/1 twice"},
        {"/data/0", 28, 2, 60000, "directory is cut off"},
        {"/data/0", 0, 1, 'Q', "directory is damaged"},
        {"/byteorder", CRC, 4, 0x12345678, "plain/byteorder is damaged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size;
        unsigned char *bytes = slurp(PLAIN, &size);
        put(record(bytes, size, cases[i].entry) + cases[i].field, cases[i].value, cases[i].bytes);
        says(bytes, size, cases[i].says);
        free(bytes);
    }
}

Test(zip, sizes_of_a_storage) {
    static const struct {
        uint64_t size;
        const char *says;
    } cases[] = {{44, "storage 0 should hold 12 F32 elements but has 44 bytes"},
                 {1000000, "plain/data/0 reaches beyond the file"},
                 {0xfffffffe, "plain/data/0 reaches beyond the file"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size;
        unsigned char *bytes = slurp(PLAIN, &size), *r = record(bytes, size, "/data/0");
        put(r + CRC, 0, 4); /* "not computed" */
        put(r + SIZE, cases[i].size, 4);
        put(r + STORED_SIZE, cases[i].size, 4);
        says(bytes, size, cases[i].says);
        free(bytes);
    }
}

Test(zip, end_records) {
    /* Offsets of count, size, offset in the ZIP64 end record (APPNOTE 4.3.14). */
    static const struct {
        int field;
        uint64_t value;
        const char *says;
    } cases[] = {{32, UINT64_MAX, "lies outside of the file"},
                 {32, 1000, "lies outside"},
                 {40, UINT64_MAX, "lies outside of the file"},
                 {48, UINT64_MAX, "lies outside"},
                 {16, 1, "in several parts"},
                 {0, 0, "ZIP64 end record is damaged"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size;
        unsigned char *bytes = slurp(PLAIN, &size), *end = memmem(bytes, size, "PK\6\6", 4);
        cr_assert(end, "torch no longer writes ZIP64 end records");
        put(end + cases[i].field, cases[i].value, cases[i].field == 16 ? 4 : 8);
        says(bytes, size, cases[i].says);
        free(bytes);
    }
}

Test(zip, comments_and_checksums_not_computed) {
    size_t size;
    unsigned char *bytes = slurp(PLAIN, &size);
    bytes = realloc(bytes, size + 5);
    bytes[size - 2] = 5; /* length of the archive's comment */
    memcpy(bytes + size, "hello", 5);
    put(record(bytes, size, "/data/0") + CRC, 0, 4);
    mg_error err = {0};
    mg_weights *w = mg_weights_open_memory(bytes, size + 5, &err);
    cr_assert(w, "%s", err.message);
    cr_assert_eq(mg_weights_count(w), 4);
    mg_weights_close(w);
    free(bytes);
}
