/* phantom_dicom.h: a rendered phantom as a DICOM file. */
#ifndef MG_DATA_PHANTOM_DICOM_H
#define MG_DATA_PHANTOM_DICOM_H

#include "data/manifest.h"
#include "data/phantom.h"

#define MG_PHANTOM_MANUFACTURER "mammograd phantom"

/* Writes one image as its machine would: Digital Mammography X-Ray Image, for presentation. */
mg_status mg_phantom_write_dicom(const mg_phantom_settings *settings,
                                 const mg_phantom_patient *patient, int image,
                                 const mg_phantom_pixels *pixels, const char *path, mg_error *err);

/* Whether a file is a phantom of ours. */
bool mg_phantom_is_ours(const char *path);

/* Whether a data set is one of ours: what Manufacturer says in its first image that is a readable
 * DICOM file. */
bool mg_phantom_recognise(const mg_manifest *manifest);

#endif
