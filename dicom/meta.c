/* meta.c: the beginning of a file: preamble, file meta information (PS3.10), transfer syntax. */
#include <stdio.h>

#include "dicom/parse.h"

static void copy_transfer_syntax(mg_dicom *d) {
    for (uint32_t i = 0; i < d->element_count; i = d->elements[i].next) {
        const mg_dicom_element *e = &d->elements[i];
        if (e->tag != 0x00020010) continue;
        size_t n = e->length < sizeof d->transfer_syntax - 1 ? (size_t)e->length
                                                             : sizeof d->transfer_syntax - 1;
        while (n && (e->value[n - 1] == 0 || e->value[n - 1] == ' ')) n--;
        for (size_t k = 0; k < n; k++)
            if ((e->value[k] < '0' || e->value[k] > '9') && e->value[k] != '.') n = k;
        memcpy(d->transfer_syntax, e->value, n);
        d->transfer_syntax[n] = 0;
        return;
    }
}

static void check_group_length(parser *p) {
    const mg_dicom_element *e = p->d->element_count ? p->d->elements : NULL;
    if (!e) {
        mg_dicom_parse_warn(p, p->position, "no file meta information");
    } else if (e->tag != 0x00020000 || e->length != 4) {
        mg_dicom_parse_warn(p, e->offset, "file meta information without its group length");
    } else if ((uint64_t)(e->value - p->d->bytes) + 4 + mg_dicom_u32(e->value, e->big_endian) !=
               p->position) {
        mg_dicom_parse_warn(p, e->offset, "wrong group length in the file meta information");
    }
}

void mg_dicom_begin_data_set(parser *p) {
    mg_dicom *d = p->d;
    const char *syntax = d->transfer_syntax;
    p->meta = false;
    check_group_length(p);
    copy_transfer_syntax(d);
    bool deflated = strcmp(syntax, "1.2.840.10008.1.2.1.99") == 0;
    bool implicit = strcmp(syntax, "1.2.840.10008.1.2") == 0;
    bool big_endian = strcmp(syntax, "1.2.840.10008.1.2.2") == 0;
    if (deflated && p->position < d->size && p->status == MG_DICOM_OK) {
        bool plain_implicit = false, plain_big = false;
        mg_dicom_error inflate_error = {0};
        mg_dicom_status status = mg_dicom_inflate(d, p->position, &inflate_error);
        if (status == MG_DICOM_ERR_FORMAT &&
            mg_dicom_detect_encoding(d, p->position, &plain_implicit, &plain_big)) {
            mg_dicom_parse_warn(p, p->position, inflate_error.message);
        } else if (status != MG_DICOM_OK) {
            p->status =
                mg_dicom_fail(p->err, status, inflate_error.offset, "%s", inflate_error.message);
        }
        p->levels[0].end = d->size;
    }
    if (p->status != MG_DICOM_OK) return;
    if (p->position == d->size) {
        p->status = mg_dicom_fail(p->err, MG_DICOM_ERR_FORMAT, p->position,
                                  "the file ends after its meta information at byte %llu",
                                  (unsigned long long)p->position);
        return;
    }
    d->implicit = implicit;
    d->big_endian = big_endian;
    if (!mg_dicom_detect_encoding(d, p->position, &d->implicit, &d->big_endian)) {
        p->status = mg_dicom_fail(p->err, MG_DICOM_ERR_FORMAT, p->position,
                                  "no data element where the data set should begin, byte %llu",
                                  (unsigned long long)p->position);
        return;
    }
    if (!syntax[0])
        strcpy(d->transfer_syntax, d->implicit     ? "1.2.840.10008.1.2"
                                   : d->big_endian ? "1.2.840.10008.1.2.2"
                                                   : "1.2.840.10008.1.2.1");
    else if (d->implicit != implicit || d->big_endian != big_endian)
        mg_dicom_parse_warn(p, p->position, "data set is not encoded as its transfer syntax says");
    p->levels[0].implicit = d->implicit;
    p->levels[0].big_endian = d->big_endian;
    p->levels[0].last_tag = 0;
}

uint64_t mg_dicom_find_start(parser *p) {
    mg_dicom *d = p->d;
    bool implicit = false, big_endian = false;
    if (d->size >= 132 && memcmp(d->bytes + 128, "DICM", 4) == 0) return 132;
    if (d->size >= 4 && memcmp(d->bytes, "DICM", 4) == 0) {
        mg_dicom_parse_warn(p, 0, "no preamble before DICM");
        return 4;
    }
    if (mg_dicom_detect_encoding(d, 0, &implicit, &big_endian) &&
        (mg_dicom_tag_vr(mg_dicom_read_tag(d->bytes, big_endian)) != NULL)) {
        mg_dicom_parse_warn(p, 0, "neither preamble nor DICM");
        return 0;
    }
    for (uint64_t i = 0; i < 128 && d->size > 136; i++)
        if (d->bytes[i]) return UINT64_MAX;
    if (d->size > 136 && mg_dicom_detect_encoding(d, 128, &implicit, &big_endian)) {
        mg_dicom_parse_warn(p, 128, "no DICM behind the preamble");
        return 128;
    }
    return UINT64_MAX;
}
