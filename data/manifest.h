/* manifest.h: which images there are, whose they are, and what is known about them.
 *
 * From an RSNA-shaped table (train.csv, test.csv) or from plain DICOM or PNG files. Images are
 * grouped twice: by prediction id (patient_id + "_" + laterality, one breast) and by patient.
 *
 *     mg_manifest m;
 *     if (mg_manifest_read(&(mg_manifest_options){.data = "DIR", .labels = true}, &m, &err)) …
 *     for (int g = 0; g < m.group_count; g++)
 *         for (int k = 0; k < m.group[g].count; k++)
 *             use(&m.image[m.group_image[m.group[g].first + k]]);
 *     mg_manifest_free(&m);
 */
#ifndef MG_DATA_MANIFEST_H
#define MG_DATA_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/files.h"
#include "tensor/error.h"

/* One image. Text is owned by the manifest, never NULL except where stated; -1 (or NaN) is "the
 * table does not say". */
typedef struct mg_manifest_image {
    const char *patient_id, *image_id;
    const char *path; /* NULL: no file was found (only under MG_MISSING_KEEP) */
    const char *view; /* "CC", "MLO", …; "" unknown */
    /* SOPInstanceUID of a file, NULL unknown: equal ones are the same image. */
    const char *instance;
    char laterality; /* 'L', 'R', or 'U' unknown */
    char density;    /* 'A'…'D', or 0 */
    int8_t cancer;   /* 0, 1, or -1 */
    int8_t biopsy, invasive, implant, difficult_negative;
    int8_t birads;          /* RSNA's coding: 0 follow-up, 1 negative, 2 normal */
    int32_t site, machine;  /* -1 unknown */
    float age;              /* years; NaN unknown */
    int32_t group, patient; /* indices into the manifest's tables */
    uint32_t line;          /* in the table; 0 without one */
} mg_manifest_image;

/* A prediction id: one breast of one patient. Its images are group_image[first … first+count-1],
 * in table order. */
typedef struct mg_manifest_group {
    const char *id;
    int32_t patient;
    int32_t first, count;
    int8_t cancer; /* 1 when any of its images is positive, 0, or -1 unknown */
    char laterality;
} mg_manifest_group;

/* A patient's images are patient_image[first … first+count-1]. */
typedef struct mg_manifest_patient {
    const char *id;
    int32_t first, count;
    int8_t cancer; /* 1 when any image is positive */
} mg_manifest_patient;

typedef struct mg_manifest {
    mg_manifest_image *image;
    mg_manifest_group *group;     /* in order of first appearance */
    mg_manifest_patient *patient; /* likewise */
    int32_t *group_image, *patient_image;
    int32_t image_count, group_count, patient_count;
    int32_t dropped;            /* rows left out for want of a file (MG_MISSING_DROP) */
    const char *first_dropped;  /* what was looked for, for the first of them; or NULL */
    struct mg_text_store *text; /* private: owns the strings */
} mg_manifest;

/* What to do with a row whose image file is not there. */
typedef enum mg_missing_files {
    MG_MISSING_ERROR, /* fail, naming row, image and the places looked at */
    MG_MISSING_KEEP,  /* keep it with path NULL: the loader reports it as unreadable */
    MG_MISSING_DROP,  /* leave it out and count it */
} mg_missing_files;

typedef struct mg_manifest_options {
    const char *data;   /* the data set's folder; NULL: the folder of `csv` */
    const char *csv;    /* NULL: train.csv in `data`; a name without slash is sought there */
    const char *images; /* folder of the images; NULL: found by the rule below */
    bool labels;        /* the column cancer is required and may not be empty */
    mg_missing_files missing;
    bool no_files; /* do not look for image files at all: every path is NULL */
} mg_manifest_options;

/* Reads a table. Required columns: patient_id, image_id, laterality (and cancer with `labels`);
 * prediction_id wins over the computed id where the table has it; others are optional, unknown ones
 * are ignored. image_id may carry an extension. Duplicate (patient, image) rows are an error.
 *
 * Files are sought as <images>/<patient_id>/<image_id>, <images>/<patient_id>_<image_id> and
 * <images>/<image_id>, each with .dcm, .png, .dicom and no extension, where <images> is, in this
 * order, the stem of the table's name + "_images" (train.csv: train_images), "images", and the data
 * folder itself. What matched last is tried first, so a uniform data set costs one look per row. */
mg_status mg_manifest_read(const mg_manifest_options *options, mg_manifest *out, mg_error *err);

/* Makes a manifest from files, labels unknown. DICOM: PatientID, ImageLaterality (else Laterality,
 * else the file's name), ViewPosition, PatientAge, SOPInstanceUID. Anything else, and files that
 * cannot be read, takes its ids from the file's name: they stay in, so that the loader reports them
 * by name. Without a PatientID the patient is what stands before side and view in the name ("1234"
 * of "1234_L_CC.png", "1234_RMLO.png"); where nothing stands there, the folder ("case1" of
 * "case1/L_CC.png"); else the whole stem. Patients of the same such name in different folders are
 * told apart by these ("a/1234", "b/1234", from where the folders differ on). Without a laterality
 * an image is always a group of its own (patient_id + "_" + stem). */
mg_status mg_manifest_from_files(const mg_path_list *files, mg_manifest *out, mg_error *err);

void mg_manifest_free(mg_manifest *m);

/* Index of the prediction id or patient of that name, or -1. Linear: not for inner loops. */
int32_t mg_manifest_find_group(const mg_manifest *m, const char *id);
int32_t mg_manifest_find_patient(const mg_manifest *m, const char *id);

#endif
