/* phantom_dicom.h: a rendered phantom as a DICOM file. */
#ifndef MG_DATA_PHANTOM_DICOM_H
#define MG_DATA_PHANTOM_DICOM_H

#include "data/phantom.h"

/* Writes one image as its machine would: Digital Mammography X-Ray Image, for presentation. */
mg_status mg_phantom_write_dicom(const mg_phantom_settings *settings,
                                 const mg_phantom_patient *patient, int image,
                                 const mg_phantom_pixels *pixels, const char *path, mg_error *err);

#endif
