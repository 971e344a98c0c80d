/* elements.c: finding elements and walking over them. */
#include "dicom/internal.h"

static uint32_t position_of(const mg_dicom *d, const mg_dicom_element *e) {
    return (uint32_t)(e - d->elements);
}

/* The first sibling with `tag` among [first, end); elements inside others are stepped over. */
static const mg_dicom_element *find_between(const mg_dicom *d, uint32_t first, uint32_t end,
                                            uint32_t tag) {
    for (uint32_t i = first; i < end; i = d->elements[i].next)
        if (d->elements[i].tag == tag) return &d->elements[i];
    return NULL;
}

const mg_dicom_element *mg_dicom_find(const mg_dicom *d, uint32_t tag) {
    return find_between(d, 0, d->element_count, tag);
}

const mg_dicom_element *mg_dicom_item(const mg_dicom *d, const mg_dicom_element *sequence,
                                      int index) {
    if (!sequence || index < 0 || memcmp(sequence->vr, "SQ", 2) != 0) return NULL;
    uint32_t i = position_of(d, sequence) + 1;
    for (; i < sequence->next; i = d->elements[i].next)
        if (index-- == 0) return &d->elements[i];
    return NULL;
}

const mg_dicom_element *mg_dicom_find_in(const mg_dicom *d, const mg_dicom_element *item,
                                         uint32_t tag) {
    if (!item) return mg_dicom_find(d, tag);
    return find_between(d, position_of(d, item) + 1, item->next, tag);
}

const mg_dicom_element *mg_dicom_find_path(const mg_dicom *d, const uint32_t *path, size_t n) {
    if (n % 2 == 0) return NULL;
    const mg_dicom_element *e = mg_dicom_find(d, path[0]);
    for (size_t i = 1; e && i + 1 < n; i += 2) {
        const mg_dicom_element *item =
            path[i] <= INT32_MAX ? mg_dicom_item(d, e, (int)path[i]) : NULL;
        e = item ? mg_dicom_find_in(d, item, path[i + 1]) : NULL;
    }
    return e;
}

const mg_dicom_element *mg_dicom_first_in(const mg_dicom *d, const mg_dicom_element *parent) {
    uint32_t first = parent ? position_of(d, parent) + 1 : 0;
    uint32_t end = parent ? parent->next : d->element_count;
    return first < end ? &d->elements[first] : NULL;
}

const mg_dicom_element *mg_dicom_after(const mg_dicom *d, const mg_dicom_element *parent,
                                       const mg_dicom_element *e) {
    uint32_t end = parent ? parent->next : d->element_count;
    return e && e->next < end ? &d->elements[e->next] : NULL;
}

const mg_dicom_element *mg_dicom_next(const mg_dicom *d, mg_dicom_iterator *it) {
    return it->next < d->element_count ? &d->elements[it->next++] : NULL;
}

bool mg_dicom_walk(const mg_dicom *d, bool (*visit)(void *arg, const mg_dicom_element *e),
                   void *arg) {
    for (uint32_t i = 0; i < d->element_count; i++)
        if (!visit(arg, &d->elements[i])) return false;
    return true;
}
