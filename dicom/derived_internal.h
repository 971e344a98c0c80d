/* derived_internal.h: shared by the makers of derived objects. */
#ifndef MG_DICOM_DERIVED_INTERNAL_H
#define MG_DICOM_DERIVED_INTERNAL_H

#include "dicom/derived.h"
#include "dicom/internal.h"

void mg_dicom_put_patient_and_study(mg_dicom_dataset *s, const mg_dicom *source);
void mg_dicom_put_device(mg_dicom_dataset *s, const mg_dicom_author *author);
/* Content date and time; false when nobody knows a date. */
bool mg_dicom_put_date(mg_dicom_dataset *s, const mg_dicom *source, const mg_dicom_author *author);
const char *mg_dicom_algorithm(const mg_dicom_author *author);
const char *mg_dicom_version(const mg_dicom_author *author);
/* A UID for `purpose`, made from the source's UID `tag` and the author. */
void mg_dicom_derive_uid(const mg_dicom *source, const mg_dicom_author *author, const char *purpose,
                         uint32_t tag, char out[65]);
/* Whether the source has the UIDs that a reference needs. */
bool mg_dicom_has_identity(const mg_dicom *source, mg_dicom_error *err);
/* Referenced SOP Class and Instance UID. */
void mg_dicom_put_reference(mg_dicom_dataset *s, const mg_dicom *source);

#define MG_DICOM_RESEARCH "For research use only. Not for diagnosis."

#endif
