/* dataset_copy.c: elements of a parsed file into a data set that is to be written. */
#include <stdlib.h>

#include "dicom/dataset.h"

/* Bytes of one number, whose order a big endian file has reversed. */
static size_t number_width(const char *vr) {
    static const struct {
        char vr[3];
        uint8_t width;
    } widths[] = {{"US", 2}, {"SS", 2}, {"OW", 2}, {"UL", 4}, {"SL", 4}, {"FL", 4}, {"OF", 4},
                  {"OL", 4}, {"AT", 2}, {"FD", 8}, {"OD", 8}, {"OV", 8}, {"SV", 8}, {"UV", 8}};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        if (memcmp(widths[i].vr, vr, 2) == 0) return widths[i].width;
    return 1;
}

static bool has_charset(const char *vr) {
    static const char list[] = "LOLTPNSHSTUCUT";
    for (size_t i = 0; i + 1 < sizeof list; i += 2)
        if (memcmp(list + i, vr, 2) == 0) return true;
    return false;
}

static bool is_ascii(const mg_dicom_element *e) {
    for (uint64_t i = 0; i < e->length; i++)
        if (e->value[i] >= 0x80 || e->value[i] == 0x1B) return false;
    return true;
}

static void out_of_memory(mg_dicom_dataset *s) {
    mg_dicom_fail(&s->root->error, MG_DICOM_ERR_MEMORY, 0, "out of memory for a data set");
}

/* All values of a text, converted. A byte becomes at most four. */
static void copy_text(mg_dicom_dataset *s, const mg_dicom *d, const mg_dicom_element *e) {
    size_t room = (size_t)e->length * 4 + 8;
    char *text = malloc(room);
    if (!text) {
        out_of_memory(s);
        return;
    }
    int n = mg_dicom_element_all_text(d, e, text, room);
    if (n >= 0) mg_dicom_put_bytes(s, e->tag, e->vr, text, strlen(text));
    s->root->not_ascii = true;
    free(text);
}

static void copy_value(mg_dicom_dataset *s, const mg_dicom_element *e) {
    size_t width = e->big_endian ? number_width(e->vr) : 1;
    if (width == 1) {
        mg_dicom_put_bytes(s, e->tag, e->vr, e->value, (size_t)e->length);
        return;
    }
    size_t n = (size_t)e->length / width * width;
    uint8_t *swapped = malloc(n ? n : 1);
    if (!swapped) {
        out_of_memory(s);
        return;
    }
    for (size_t i = 0; i < n; i++)
        swapped[i] = e->value[i / width * width + (width - 1 - i % width)];
    mg_dicom_put_bytes(s, e->tag, e->vr, swapped, n);
    free(swapped);
}

/* Items of encapsulated pixel data inside a sequence (icons): byte for byte, if complete. */
static void copy_encapsulated(mg_dicom_dataset *s, const mg_dicom_element *e) {
    static const uint8_t delimiter[8] = {0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0};
    if (e->length < 8 || e->length & 1) return;
    if (memcmp(e->value + e->length - 8, delimiter, 8) != 0) return;
    uint8_t *bytes = malloc((size_t)e->length);
    if (!bytes) {
        out_of_memory(s);
        return;
    }
    memcpy(bytes, e->value, (size_t)e->length);
    mg_dicom_node_take(s, e->tag, "OB", bytes, e->length, true);
}

/* Recursion is as deep as mg_dicom_put_item lets items nest. */
void mg_dicom_put_copy(mg_dicom_dataset *s, const mg_dicom *d, const mg_dicom_element *e,
                       bool to_utf8) {
    if (!s || !e || (e->tag & 0xFFFF) == 0 || e->tag == 0xFFFCFFFC) return;
    if (to_utf8 && e->tag == 0x00080005) return;
    if (memcmp(e->vr, "SQ", 2) == 0) {
        if (!mg_dicom_node_of(s, e->tag, "SQ")) return;
        for (uint32_t i = (uint32_t)(e - d->elements) + 1; i < e->next; i = d->elements[i].next) {
            mg_dicom_dataset *item = mg_dicom_put_item(s, e->tag);
            if (!item) return;
            for (uint32_t k = i + 1; k < d->elements[i].next; k = d->elements[k].next)
                mg_dicom_put_copy(item, d, &d->elements[k], to_utf8);
        }
    } else if (e->undefined) {
        copy_encapsulated(s, e);
    } else if (to_utf8 && has_charset(e->vr) && !is_ascii(e)) {
        copy_text(s, d, e);
    } else {
        copy_value(s, e);
    }
}
