/* secondary_capture.c: an RGB image derived from a mammogram (PS3.3 A.8.1). */
#include <stdio.h>

#include "dicom/derived_internal.h"

/* Which breast and view the source shows, as far as it says. */
static void put_anatomy(mg_dicom_dataset *s, const mg_dicom *source) {
    static const uint32_t tags[] = {0x00200062, 0x00185101, 0x00180015, 0x00540220, 0x00082218};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        mg_dicom_put_copy(s, source, mg_dicom_find(source, tags[i]), true);
    const mg_dicom_element *orientation = mg_dicom_find(source, 0x00200020);
    if (orientation) mg_dicom_put_copy(s, source, orientation, true);
    else mg_dicom_put_empty(s, 0x00200020);
}

static void put_series(mg_dicom_dataset *s, const mg_dicom *source, const mg_dicom_author *author) {
    char uid[65];
    mg_dicom_derive_uid(source, author, "capture series", 0x0020000E, uid);
    mg_dicom_put_text(s, 0x0020000E, uid);
    mg_dicom_put_text(s, 0x00080060, "OT");
    mg_dicom_put_int(s, 0x00200011, author && author->series_number ? author->series_number : 9000);
    mg_dicom_put_text(s, 0x0008103E,
                      author && author->series_description ? author->series_description
                                                           : "CAM overlay - RESEARCH USE ONLY");
}

static void put_source(mg_dicom_dataset *s, const mg_dicom *source, const mg_dicom_capture *c) {
    mg_dicom_put_text(s, 0x00080008, "DERIVED\\SECONDARY");
    mg_dicom_put_text(s, 0x00082111,
                      c->derivation ? c->derivation : "Overlay of a class activation map");
    mg_dicom_dataset *item = mg_dicom_put_item(s, 0x00082112);
    mg_dicom_put_reference(item, source);
    mg_dicom_put_code(item, 0x0040A170, "121322", "DCM",
                      "Source image for image processing operation");
    /* Once lossy, always lossy (PS3.3 C.7.6.1.1.5). */
    for (uint32_t tag = 0x00282110; tag <= 0x00282114; tag += 2)
        mg_dicom_put_copy(s, source, mg_dicom_find(source, tag), true);
}

mg_dicom_status mg_dicom_make_capture(const mg_dicom *source, const mg_dicom_capture *c,
                                      const mg_dicom_author *author, mg_dicom_dataset **out,
                                      mg_dicom_error *err) {
    char uid[65];
    int64_t number = 1;
    *out = NULL;
    if (!mg_dicom_has_identity(source, err)) return MG_DICOM_ERR_ARG;
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    if (!s) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for a data set");
    mg_dicom_derive_uid(source, author, "capture", 0x00080018, uid);
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.7");
    mg_dicom_put_text(s, 0x00080018, uid);
    mg_dicom_put_patient_and_study(s, source);
    put_series(s, source, author);
    put_anatomy(s, source);
    mg_dicom_put_device(s, author);
    mg_dicom_put_date(s, source, author);
    mg_dicom_put_text(s, 0x00080064, "WSD");
    mg_dicom_put_text(s, 0x00181016, "mammograd");
    mg_dicom_put_text(s, 0x00181018, mg_dicom_algorithm(author));
    mg_dicom_put_text(s, 0x00181019, mg_dicom_version(author));
    if (c->instance_number > 0) number = c->instance_number;
    else mg_dicom_int(source, 0x00200013, &number);
    mg_dicom_put_int(s, 0x00200013, number);
    mg_dicom_put_text(s, 0x00204000, MG_DICOM_RESEARCH);
    mg_dicom_put_text(s, 0x00280301, c->burned_in_text ? "YES" : "NO");
    put_source(s, source, c);
    mg_dicom_image image = {.rows = c->rows,
                            .columns = c->columns,
                            .frames = 1,
                            .samples = 3,
                            .bits_allocated = 8,
                            .bits_stored = 8,
                            .high_bit = 7,
                            .word_bytes = 1,
                            .photometric = "RGB"};
    mg_dicom_status status = mg_dicom_put_image(s, &image, c->rgb, c->encoding, err);
    if (status != MG_DICOM_OK) {
        mg_dicom_dataset_destroy(s);
        return status;
    }
    *out = s;
    return MG_DICOM_OK;
}
