/* dictionary.c: the data dictionary (PS3.6), from the one table in dictionary.def.
 *
 * Texts live in one struct of character arrays and are found by offsetof, so the table needs no
 * relocation when the program starts. */
#include <stdlib.h>

#include "dicom/internal.h"

#define ROW(tag, vr, keyword, name)                                                                \
    char k##tag[sizeof keyword];                                                                   \
    char n##tag[sizeof name];
static const struct texts {
#include "dicom/dictionary.def"
} texts = {
#undef ROW
#define ROW(tag, vr, keyword, name) keyword, name,
#include "dicom/dictionary.def"
#undef ROW
};

static const uint32_t tags[] = {
#define ROW(tag, vr, keyword, name) tag,
#include "dicom/dictionary.def"
#undef ROW
};

enum { COUNT = sizeof tags / sizeof tags[0] };

static const struct row {
    char vr[16];
    uint32_t keyword, name;
} rows[COUNT] = {
#define ROW(tag, vr, keyword, name)                                                                \
    {vr, offsetof(struct texts, k##tag), offsetof(struct texts, n##tag)},
#include "dicom/dictionary.def"
#undef ROW
};

static const struct uid {
    char uid[40];
    char name[120];
} uids[] = {
#define UID(uid, name) {uid, name},
#include "dicom/uids.def"
#undef UID
};

static const struct row *search(uint32_t tag) {
    uint32_t low = 0, n = COUNT;
    while (n > 1) { /* invariant: the row, if any, is in low … low+n-1 */
        uint32_t half = n / 2;
        low = tags[low + half] <= tag ? low + half : low;
        n -= half;
    }
    return tags[low] == tag ? &rows[low] : NULL;
}

static const struct row *lookup(uint32_t tag) {
    const struct row *r = search(tag);
    if (r) return r;
    /* Repeating groups (PS3.5 7.6): curves 50xx, overlays 60xx, and (0020,31xx). */
    uint32_t top = tag >> 24;
    if ((top == 0x50 || top == 0x60) && (tag & 0x00010000u) == 0 &&
        (tag & 0x00FF0000u) < 0x00200000u)
        return search(tag & 0xFF00FFFFu);
    if (tag >> 8 == 0x002031) return search(tag & 0xFFFFFF00u);
    return NULL;
}

const char *mg_dicom_keyword(uint32_t tag) {
    const struct row *r = lookup(tag);
    return r ? (const char *)&texts + r->keyword : NULL;
}

const char *mg_dicom_tag_name(uint32_t tag) {
    const struct row *r = lookup(tag);
    if (r) return (const char *)&texts + r->name;
    if ((tag & 0xFFFF) == 0) return "Group Length";
    if ((tag >> 16 & 1) && (tag & 0xFFFF) >= 0x10 && (tag & 0xFFFF) <= 0xFF)
        return "Private Creator";
    return NULL;
}

const char *mg_dicom_tag_vr(uint32_t tag) {
    const struct row *r = lookup(tag);
    if (r) return r->vr;
    if ((tag & 0xFFFF) == 0) return "UL"; /* group length, private groups too */
    if ((tag >> 16 & 1) && (tag & 0xFFFF) >= 0x10 && (tag & 0xFFFF) <= 0xFF) return "LO";
    return NULL;
}

const char *mg_dicom_resolve_vr(const mg_dicom *d, uint32_t tag) {
    const char *vr = mg_dicom_tag_vr(tag);
    if (!vr) return "UN";
    if (vr[2] == 0) return vr;
    if (strcmp(vr, "US or SS") == 0) return d->pixel_representation ? "SS" : "US";
    return "OW"; /* "OB or OW", "US or OW", "US or SS or OW": words, PS3.5 A.1 */
}

uint32_t mg_dicom_tag_of(const char *keyword) {
    if (!keyword) return 0;
    for (uint32_t i = 0; i < COUNT; i++)
        if (strcmp((const char *)&texts + rows[i].keyword, keyword) == 0) return tags[i];
    return 0;
}

static int compare_uid(const void *key, const void *row) {
    return strcmp(key, ((const struct uid *)row)->uid);
}

const char *mg_dicom_uid_name(const char *uid) {
    const struct uid *r =
        uid ? bsearch(uid, uids, sizeof uids / sizeof uids[0], sizeof uids[0], compare_uid) : NULL;
    return r ? r->name : NULL;
}
