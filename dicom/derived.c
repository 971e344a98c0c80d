/* derived.c: what derived objects take over from their source. */
#include "dicom/derived_internal.h"

#include <stdio.h>

static void copy_or_empty(mg_dicom_dataset *s, const mg_dicom *d, uint32_t tag) {
    const mg_dicom_element *e = mg_dicom_find(d, tag);
    if (e) mg_dicom_put_copy(s, d, e, true);
    else mg_dicom_put_empty(s, tag);
}

void mg_dicom_put_patient_and_study(mg_dicom_dataset *s, const mg_dicom *source) {
    static const uint32_t type_2[] = {0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x00080020,
                                      0x00080030, 0x00080050, 0x00080090, 0x00200010};
    static const uint32_t type_3[] = {0x00081030, 0x00101010, 0x00120062, 0x00120063, 0x0020000D};
    for (size_t i = 0; i < sizeof type_2 / sizeof type_2[0]; i++)
        copy_or_empty(s, source, type_2[i]);
    for (size_t i = 0; i < sizeof type_3 / sizeof type_3[0]; i++)
        mg_dicom_put_copy(s, source, mg_dicom_find(source, type_3[i]), true);
}

void mg_dicom_put_device(mg_dicom_dataset *s, const mg_dicom_author *author) {
    mg_dicom_put_text(s, 0x00080070, "mammograd");
    mg_dicom_put_text(s, 0x00081090, mg_dicom_algorithm(author));
    mg_dicom_put_text(s, 0x00181020, mg_dicom_version(author));
}

const char *mg_dicom_algorithm(const mg_dicom_author *a) {
    return a && a->algorithm ? a->algorithm : "mammograd";
}
const char *mg_dicom_version(const mg_dicom_author *a) {
    return a && a->version ? a->version : "unknown";
}

bool mg_dicom_put_date(mg_dicom_dataset *s, const mg_dicom *source, const mg_dicom_author *author) {
    char date[32] = "", time[32] = "";
    if (author && author->date) snprintf(date, sizeof date, "%.8s", author->date);
    else mg_dicom_text(source, 0x00080020, date, sizeof date);
    if (author && author->time) snprintf(time, sizeof time, "%.13s", author->time);
    else if (!mg_dicom_text(source, 0x00080030, time, sizeof time) || !time[0])
        strcpy(time, "000000");
    if (strlen(date) != 8) return false;
    mg_dicom_put_text(s, 0x00080023, date);
    mg_dicom_put_text(s, 0x00080033, time);
    return true;
}

void mg_dicom_derive_uid(const mg_dicom *source, const mg_dicom_author *author, const char *purpose,
                         uint32_t tag, char out[65]) {
    char base[100] = "", seed[600];
    mg_dicom_text(source, tag, base, sizeof base);
    snprintf(seed, sizeof seed, "%s|%s|%.120s|%.120s|%.160s", base, purpose,
             mg_dicom_algorithm(author), mg_dicom_version(author),
             author && author->seed ? author->seed : "");
    mg_dicom_uid_from(seed, out);
}

bool mg_dicom_has_identity(const mg_dicom *source, mg_dicom_error *err) {
    static const uint32_t needed[] = {0x00080016, 0x00080018, 0x0020000D, 0x0020000E};
    char text[100];
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!mg_dicom_text(source, needed[i], text, sizeof text) || !text[0]) {
            mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "the source has no %s: nothing can refer to it",
                          mg_dicom_keyword(needed[i]));
            return false;
        }
    return true;
}

void mg_dicom_put_reference(mg_dicom_dataset *s, const mg_dicom *source) {
    char text[100];
    if (mg_dicom_text(source, 0x00080016, text, sizeof text))
        mg_dicom_put_text(s, 0x00081150, text);
    if (mg_dicom_text(source, 0x00080018, text, sizeof text))
        mg_dicom_put_text(s, 0x00081155, text);
}
