/* grey_lut.c: Modality and VOI LUTs (PS3.3 C.11.1.1, C.11.2.1.1).
 *
 * The descriptor's three numbers are 16 bits each, whatever their VR is, and full of traps: 0
 * entries means 65536; the first mapped value may be signed when the other two never are; 8-bit
 * entries may lie two in a word; 16-bit LUTs may fill fewer bits than they claim. */
#include <math.h>
#include <stdlib.h>

#include "dicom/grey.h"

#define DESCRIPTOR MG_DICOM_TAG(0x0028, 0x3002)
#define DATA       MG_DICOM_TAG(0x0028, 0x3006)

static bool vr_among(const mg_dicom_element *e, const char *list) {
    return strstr(list, e->vr) != NULL;
}

static mg_dicom_status read_descriptor(const mg_dicom_element *e, bool signed_input,
                                       mg_dicom_lut *out, mg_dicom_error *err) {
    if (!vr_among(e, "US SS OW OB UN") || e->length < 6)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, e->offset,
                             "LUT Descriptor (VR %s, %llu bytes) is not three 16-bit numbers",
                             e->vr, (unsigned long long)e->length);
    uint16_t entries = mg_dicom_u16(e->value, e->big_endian);
    uint16_t first = mg_dicom_u16(e->value + 2, e->big_endian);
    uint16_t bits = mg_dicom_u16(e->value + 4, e->big_endian);
    bool says_signed = !e->implicit && strcmp(e->vr, "SS") == 0;
    out->count = entries ? entries : 65536;
    out->first = signed_input || says_signed ? (int16_t)first : first;
    out->bits = bits;
    if (bits < 1 || bits > 16)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, e->offset,
                             "LUT Descriptor says %u bits per entry, expected 8 to 16", bits);
    return MG_DICOM_OK;
}

static mg_dicom_status read_data(const mg_dicom_element *e, mg_dicom_lut *out,
                                 mg_dicom_error *err) {
    bool packed = out->bits <= 8 && e->length < (uint64_t)out->count * 2;
    uint64_t need = packed ? out->count : (uint64_t)out->count * 2;
    if (!vr_among(e, "US SS OW OB UN"))
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, e->offset, "LUT Data has VR %s", e->vr);
    if (e->length < need)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, e->offset,
                             "LUT Data has %llu bytes, %u entries of %d bits need %llu",
                             (unsigned long long)e->length, out->count, out->bits,
                             (unsigned long long)need);
    out->values = malloc(out->count * sizeof *out->values);
    if (!out->values)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, e->offset, "no memory for a LUT");
    /* Bytes packed into big endian words are swapped in pairs. */
    unsigned swap = packed && e->big_endian && strcmp(e->vr, "OB") != 0;
    uint16_t most = 0;
    for (uint32_t i = 0; i < out->count; i++) {
        uint32_t at = i ^ swap;
        if (at >= e->length) at = i;
        uint16_t v = packed ? e->value[at] : mg_dicom_u16(e->value + 2 * (size_t)i, e->big_endian);
        out->values[i] = v;
        if (v > most) most = v;
    }
    /* The entries have the last word where they need more bits than promised. */
    int used = 1;
    while (most >> used) used++;
    out->used = used;
    if (used > out->bits) out->bits = used;
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_lut_read(const mg_dicom *d, const mg_dicom_element *item,
                                  bool signed_input, mg_dicom_lut *out, mg_dicom_error *err) {
    const mg_dicom_element *descriptor = mg_dicom_find_in(d, item, DESCRIPTOR);
    const mg_dicom_element *data = mg_dicom_find_in(d, item, DATA);
    *out = (mg_dicom_lut){0};
    if (!item || !descriptor || !data)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, item ? item->offset : 0,
                             "a LUT sequence without LUT Descriptor or LUT Data");
    mg_dicom_status status = read_descriptor(descriptor, signed_input, out, err);
    if (status == MG_DICOM_OK) status = read_data(data, out, err);
    return status;
}

void mg_dicom_lut_free(mg_dicom_lut *lut) {
    free(lut->values);
    lut->values = NULL;
}

void mg_dicom_lut_apply(const mg_dicom_lut *lut, double *x, size_t n) {
    double last = (double)(lut->count - 1);
    for (size_t i = 0; i < n; i++) {
        double at = floor(x[i] - (double)lut->first + 0.5);
        at = at > 0 ? at : 0; /* NaN too */
        at = at < last ? at : last;
        x[i] = (double)lut->values[(uint32_t)at];
    }
}
