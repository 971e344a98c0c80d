/* jpeg_interval.c: entropy-coded data between two markers (T.81 B.1.1.5, E.1.4). A zero byte is
 * stuffed behind every FF of the data; taking them out once, with memchr from FF to FF, is faster
 * than looking at each byte while decoding bits, and leaves the bit reader without special
 * cases. */
#include "dicom/jpeg_internal.h"

#include <stdlib.h>
#include <string.h>

static mg_dicom_status reserve(mg_jpeg *j, size_t n) {
    if (n <= j->unstuffed_capacity) return MG_DICOM_OK;
    free(j->unstuffed);
    j->unstuffed = malloc(n);
    j->unstuffed_capacity = j->unstuffed ? n : 0;
    if (j->unstuffed) return MG_DICOM_OK;
    return mg_dicom_fail(j->err, MG_DICOM_ERR_MEMORY, j->pos,
                         "JPEG: no memory for %zu bytes of "
                         "entropy-coded data",
                         n);
}

mg_dicom_status mg_jpeg_interval_open(mg_jpeg *j) {
    /* The whole rest may be one interval; later ones reuse the same memory. */
    mg_dicom_status status = reserve(j, j->size - j->pos + MG_JPEG_BITS_PAD);
    if (status) return status;
    const uint8_t *data = j->data;
    size_t pos = j->pos, n = 0;
    j->interval_start = pos;
    j->interval_end = j->size;
    while (pos < j->size) {
        const uint8_t *ff = memchr(data + pos, 0xFF, j->size - pos);
        size_t run = (ff ? (size_t)(ff - data) : j->size) - pos;
        memcpy(j->unstuffed + n, data + pos, run);
        n += run;
        pos += run;
        if (pos == j->size) break;
        if (pos + 1 == j->size || data[pos + 1] != 0) { /* a marker, or a lone FF at the end */
            j->interval_end = pos;
            break;
        }
        j->unstuffed[n++] = 0xFF;
        pos += 2;
    }
    memset(j->unstuffed + n, 0, MG_JPEG_BITS_PAD);
    j->bits = (mg_jpeg_bits){.data = j->unstuffed, .size = n};
    j->pos = j->interval_end;
    return MG_DICOM_OK;
}

uint64_t mg_jpeg_bit_offset(const mg_jpeg *j) {
    uint64_t wanted = mg_jpeg_bits_taken(&j->bits) / 8;
    if (wanted > j->bits.size) wanted = j->bits.size;
    size_t pos = j->interval_start;
    for (; wanted && pos < j->interval_end; wanted--) pos += j->data[pos] == 0xFF ? 2 : 1;
    return pos;
}

mg_dicom_status mg_jpeg_entropy_error(mg_jpeg *j, const char *unit, uint32_t where) {
    uint64_t offset = mg_jpeg_bit_offset(j);
    /* A code that is cut off looks unassigned: 16 bits are the longest. */
    if (mg_jpeg_bits_taken(&j->bits) + 16 > 8 * (uint64_t)j->bits.size)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, offset,
                             "JPEG: entropy-coded data ends "
                             "early, at offset %llu, in %s %u",
                             (unsigned long long)j->interval_end, unit, (unsigned)where);
    return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, offset,
                         "JPEG: unassigned Huffman code near "
                         "offset %llu, in %s %u",
                         (unsigned long long)offset, unit, (unsigned)where);
}

/* What is left of an interval must be the padding of its last byte. Whole bytes of ones or zeros
 * are written by some encoders; anything else is data that nobody asked for. */
static mg_dicom_status check_used_up(mg_jpeg *j) {
    uint64_t taken = mg_jpeg_bits_taken(&j->bits), size = 8 * (uint64_t)j->bits.size;
    if (taken > size)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, j->interval_end,
                             "JPEG: entropy-coded data "
                             "ends early, at offset %zu",
                             j->interval_end);
    if (size - taken < 8) return MG_DICOM_OK;
    size_t left = (size_t)(size - taken) / 8;
    const uint8_t *rest = j->bits.data + j->bits.size - left;
    for (size_t i = 0; i < left; i++)
        if (rest[i] != rest[0] || (rest[0] != 0x00 && rest[0] != 0xFF))
            return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, mg_jpeg_bit_offset(j),
                                 "JPEG: %zu bytes "
                                 "of entropy-coded data are left over at offset %llu",
                                 left, (unsigned long long)mg_jpeg_bit_offset(j));
    mg_codec_warn(j->options, mg_jpeg_bit_offset(j),
                  "JPEG: %zu padding bytes behind the "
                  "entropy-coded data",
                  left);
    return MG_DICOM_OK;
}

mg_dicom_status mg_jpeg_interval_close(mg_jpeg *j, bool more) {
    mg_dicom_status status = check_used_up(j);
    if (status) return status;
    uint8_t marker = 0;
    size_t at = mg_jpeg_find_marker(j, j->interval_end, &marker);
    bool restart = at < j->size && marker >= MG_JPEG_RST0 && marker <= MG_JPEG_RST7;
    if (!more) {
        if (!restart) return MG_DICOM_OK;
        if (j->restart_interval) { /* one behind the last interval does no harm */
            mg_codec_warn(j->options, at, "JPEG: restart marker behind the last interval");
            j->pos = at + 2;
            return MG_DICOM_OK;
        }
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, at,
                             "JPEG: restart marker FF%02X at offset "
                             "%zu, but all data of the scan has been read",
                             marker, at);
    }
    if (!restart)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, j->interval_end,
                             "JPEG: entropy-coded data "
                             "ends early, at offset %zu, where a restart marker (RST%u) is due",
                             j->interval_end, j->next_restart);
    if (marker - MG_JPEG_RST0 != (int)j->next_restart)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, at,
                             "JPEG: restart marker RST%d at offset "
                             "%zu where RST%u is due",
                             marker - MG_JPEG_RST0, at, j->next_restart);
    j->next_restart = (j->next_restart + 1) & 7;
    j->pos = at + 2;
    return mg_jpeg_interval_open(j);
}
