/* fuzz_dicom_deflate.c: the input is what follows the file meta information of a file with the
 * deflated transfer syntax: as a stream when the first byte is odd, else as a data set that is
 * deflated here, so that the parser behind the stream is reached too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "dicom/dicom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t meta[] = "\x02\x00\x10\x00UI\x16\x00"
                              "1.2.840.10008.1.2.1.99";

static size_t compress_raw(const uint8_t *in, size_t size, uint8_t *out, size_t room) {
    z_stream z = {0};
    if (deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
    z.next_in = (Bytef *)(uintptr_t)in;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    size_t n = z.total_out;
    deflateEnd(&z);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 1 << 16) return 0;
    enum { HEAD = 132 + sizeof meta - 1 };
    size_t room = HEAD + 2 * size + 1024;
    uint8_t *file = calloc(1, room);
    if (!file) return 0;
    memcpy(file + 128, "DICM", 4);
    memcpy(file + 132, meta, sizeof meta - 1);
    size_t n = size - 1;
    if (data[0] & 1) memcpy(file + HEAD, data + 1, n);
    else n = compress_raw(data + 1, n, file + HEAD, room - HEAD);
    mg_dicom_options options = {.max_inflated = 1 << 22, .max_elements = 1 << 14};
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(file, HEAD + n, &options, &err);
    if (!d && (err.code == MG_DICOM_OK || !err.message[0])) abort();
    mg_dicom_iterator it = {0};
    for (const mg_dicom_element *e; d && (e = mg_dicom_next(d, &it));) {
        volatile uint8_t sum = 0;
        if (e->length) sum = (uint8_t)(e->value[0] + e->value[e->length - 1]);
        (void)sum;
    }
    mg_dicom_close(d);
    free(file);
    return 0;
}
