/* dicom_output.h: the file that a command of apps/dicom writes. */
#ifndef MG_APPS_LIB_DICOM_OUTPUT_H
#define MG_APPS_LIB_DICOM_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tensor/atomic_file.h"

/* A regular file appears whole or not at all (tensor/atomic_file.h). Pipes and devices are written
 * to as they are and stay what they are. */
typedef struct mg_dicom_output {
    mg_atomic_file *file;
    FILE *stream;
    const char *path;
} mg_dicom_output;

/* "-" is stdout. `input` is the file being read: the output may not be the same one. */
mg_status mg_dicom_output_open(mg_dicom_output *o, const char *path, const char *input,
                               mg_error *err);
mg_status mg_dicom_output_write(mg_dicom_output *o, const void *bytes, size_t size, mg_error *err);
/* keep: what was written appears under its name; else as if nothing had been written. */
mg_status mg_dicom_output_close(mg_dicom_output *o, bool keep, mg_error *err);
/* All in one. */
mg_status mg_dicom_output_file(const char *path, const char *input, const void *bytes, size_t size,
                               mg_error *err);

#endif
