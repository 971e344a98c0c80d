/* header.c: element headers in every encoding, and telling the encodings apart.
 *
 * Explicit VR: tag, two letters, 16-bit length; or two letters, two reserved bytes, 32-bit length.
 * Implicit VR: tag, 32-bit length. Writers mix them up, so nothing is believed that does
 * not fit. */
#include "dicom/internal.h"

enum vr_form { NOT_A_VR, SHORT_LENGTH, LONG_LENGTH };

static enum vr_form form_of(const uint8_t *vr) {
    switch (vr[0] << 8 | vr[1]) {
#define VR(a, b) ((a) << 8 | (b))
    case VR('A', 'E'):
    case VR('A', 'S'):
    case VR('A', 'T'):
    case VR('C', 'S'):
    case VR('D', 'A'):
    case VR('D', 'S'):
    case VR('D', 'T'):
    case VR('F', 'L'):
    case VR('F', 'D'):
    case VR('I', 'S'):
    case VR('L', 'O'):
    case VR('L', 'T'):
    case VR('P', 'N'):
    case VR('S', 'H'):
    case VR('S', 'L'):
    case VR('S', 'S'):
    case VR('S', 'T'):
    case VR('T', 'M'):
    case VR('U', 'I'):
    case VR('U', 'L'):
    case VR('U', 'S'): return SHORT_LENGTH;
    case VR('O', 'B'):
    case VR('O', 'D'):
    case VR('O', 'F'):
    case VR('O', 'L'):
    case VR('O', 'V'):
    case VR('O', 'W'):
    case VR('S', 'Q'):
    case VR('S', 'V'):
    case VR('U', 'C'):
    case VR('U', 'N'):
    case VR('U', 'R'):
    case VR('U', 'T'):
    case VR('U', 'V'): return LONG_LENGTH;
#undef VR
    default: return NOT_A_VR;
    }
}

static bool upper(uint8_t c) { return c >= 'A' && c <= 'Z'; }

static void set_vr(mg_dicom_header *h, const char *vr) {
    h->vr[0] = vr[0];
    h->vr[1] = vr[1];
    h->vr[2] = 0;
}

static bool read_implicit(const mg_dicom *d, const uint8_t *p, uint64_t available, bool big_endian,
                          mg_dicom_header *h) {
    h->length = mg_dicom_u32(p + 4, big_endian);
    h->size = 8;
    h->implicit = true;
    set_vr(h, mg_dicom_resolve_vr(d, h->tag));
    return h->length == UINT32_MAX || h->length <= available - 8;
}

/* Two letters that are no VR of ours: new VRs have the long form (PS3.5 7.1.2), broken writers use
 * the short one. The reserved bytes and what fits decide. */
static bool read_unknown_vr(const uint8_t *p, uint64_t available, bool big_endian,
                            mg_dicom_header *h) {
    h->deviation = "unknown value representation";
    set_vr(h, "UN");
    if (available >= 12 && p[6] == 0 && p[7] == 0 &&
        mg_dicom_u32(p + 8, big_endian) <= available - 12) {
        h->length = mg_dicom_u32(p + 8, big_endian);
        h->size = 12;
        return true;
    }
    h->length = mg_dicom_u16(p + 6, big_endian);
    h->size = 8;
    return h->length <= available - 8;
}

bool mg_dicom_read_header(const mg_dicom *d, uint64_t position, uint64_t end, bool implicit,
                          bool big_endian, mg_dicom_header *h) {
    const uint8_t *p = d->bytes + position;
    uint64_t available = end - position;
    h->tag = mg_dicom_read_tag(p, big_endian);
    h->implicit = false;
    h->deviation = NULL;
    if (implicit) {
        read_implicit(d, p, available, big_endian, h);
        return true;
    }
    switch (form_of(p + 4)) {
    case SHORT_LENGTH:
        h->length = mg_dicom_u16(p + 6, big_endian);
        h->size = 8;
        set_vr(h, (const char *)p + 4);
        return true;
    case LONG_LENGTH:
        if (available < 12) return false;
        h->length = mg_dicom_u32(p + 8, big_endian);
        h->size = 12;
        set_vr(h, (const char *)p + 4);
        return true;
    default: break;
    }
    if ((upper(p[4]) && upper(p[5])) || (p[4] == '?' && p[5] == '?'))
        return read_unknown_vr(p, available, big_endian, h);
    h->deviation = "no value representation where one should be: read as implicit";
    return read_implicit(d, p, available, big_endian, h);
}

bool mg_dicom_looks_explicit(const mg_dicom *d, uint64_t position, uint64_t end, bool big_endian) {
    const uint8_t *p = d->bytes + position;
    enum vr_form form = form_of(p + 4);
    if (form == NOT_A_VR) return false;
    /* The same bytes as an implicit length are at least 0x4141: only large values are in doubt. */
    uint32_t length = mg_dicom_u32(p + 4, big_endian);
    uint64_t room = end - position - 8;
    if (length > room) return true;
    const char *vr = mg_dicom_tag_vr(mg_dicom_read_tag(p, big_endian));
    return vr && (memcmp(vr, p + 4, 2) == 0 || (strlen(vr) > 2 && strstr(vr, "or")));
}

/* The byte order in which the first tag makes sense: one the dictionary knows, else the smaller
 * group, since data sets begin with small ones. `declared` where neither tells. */
static bool guess_order(const uint8_t *p, bool declared) {
    bool little = mg_dicom_keyword(mg_dicom_read_tag(p, false)) != NULL;
    bool big = mg_dicom_keyword(mg_dicom_read_tag(p, true)) != NULL;
    if (little != big) return big;
    uint32_t little_group = mg_dicom_u16(p, false), big_group = mg_dicom_u16(p, true);
    if (!declared && little_group > 0xFF && big_group && big_group <= 0xFF) return !little;
    if (declared && big_group > 0xFF && little_group && little_group <= 0xFF) return big;
    return declared;
}

bool mg_dicom_detect_encoding(const mg_dicom *d, uint64_t position, bool *implicit,
                              bool *big_endian) {
    if (d->size - position < 8) return false;
    const uint8_t *p = d->bytes + position;
    *big_endian = guess_order(p, *big_endian);
    /* Group 0 only begins a command set, with its length; else it is padding. */
    if (mg_dicom_u16(p, *big_endian) == 0 &&
        (mg_dicom_u16(p + 2, *big_endian) != 0 || mg_dicom_u32(p + 4, *big_endian) == 0))
        return false;
    if (!*implicit && upper(p[4]) && upper(p[5])) return true; /* as declared, known VR or not */
    if (mg_dicom_looks_explicit(d, position, d->size, *big_endian)) {
        *implicit = false;
        return true;
    }
    uint32_t length = mg_dicom_u32(p + 4, *big_endian);
    if (length > d->size - position - 8 && length != UINT32_MAX) return false;
    *implicit = true;
    return true;
}
