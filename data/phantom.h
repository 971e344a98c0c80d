/* phantom.h: synthetic screening mammograms, for the demo and the tests.
 *
 * A phantom set is a pure function of its settings: planning draws every patient's facts (age,
 * density, machine, findings, labels) and rendering turns one planned image into pixels. The same
 * settings give the same bytes on any machine and at any thread count: all randomness is
 * counter-based (tensor/rng.h), and the arithmetic that reaches a pixel is +, -, *, / and sqrt,
 * which IEEE 754 fixes to the last bit, with our own exp and sine on top of them.
 *
 * Geometry is in millimetres: an image always shows a field 240 mm high, so the number of pixels
 * chooses the sampling and not the patient. x grows from the chest wall to the nipple, y downwards;
 * right breasts are mirrored last.
 *
 * The task is meant to be honest. Age, density, machine and every global property of an image are
 * drawn without looking at the label. A malignant mass takes the place that a benign one of the
 * same brightness has in nine of ten healthy breasts, and bright benign calcifications are
 * everywhere. What tells cancer apart is local shape: spicules, an irregular outline, specks that
 * lie close together. tests/data/test_phantom_honest.c measures what brightness alone gives away.
 */
#ifndef MG_DATA_PHANTOM_H
#define MG_DATA_PHANTOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"
#include "tensor/pool.h"

#define MG_PHANTOM_FIELD_MM 240.0f

enum { MG_PHANTOM_MAX_FINDINGS = 8, MG_PHANTOM_MAX_IMAGES = 8, MG_PHANTOM_MIN_SIDE = 64 };

typedef struct mg_phantom_settings {
    uint64_t seed;
    int patients, test_patients;    /* train_images/ and test_images/; streams never overlap */
    double positive, test_positive; /* share of patients with cancer, rounded to whole patients */
    int columns, rows;              /* pixels of an image, each at least MG_PHANTOM_MIN_SIDE */
    double difficulty;              /* 0: plain to see, 1: barely; scales contrast and size */
} mg_phantom_settings;

/* seed 1, 100 + 0 patients, half of them positive (20% of the test patients), 1664 x 2048. */
mg_phantom_settings mg_phantom_defaults(void);

typedef enum mg_phantom_view {
    MG_PHANTOM_CC,  /* cranio-caudal */
    MG_PHANTOM_MLO, /* medio-lateral oblique, with the pectoral muscle */
    MG_PHANTOM_ML,  /* medio-lateral */
    MG_PHANTOM_LM,  /* latero-medial */
    MG_PHANTOM_VIEW_COUNT
} mg_phantom_view;

typedef enum mg_phantom_kind {
    MG_PHANTOM_SPICULATED,  /* malignant: irregular core, radiating strands */
    MG_PHANTOM_LOBULATED,   /* malignant: dense, microlobulated, with specks inside */
    MG_PHANTOM_CLUSTER,     /* malignant: fine calcifications close together */
    MG_PHANTOM_BENIGN_MASS, /* round or oval, smooth, thin dark halo */
    MG_PHANTOM_LYMPH_NODE,  /* small bean with a fatty centre */
    MG_PHANTOM_SCATTERED,   /* benign: a few fine calcifications, far apart */
    MG_PHANTOM_COARSE,      /* benign: one large calcification */
    MG_PHANTOM_VASCULAR,    /* benign: a calcified vessel */
    MG_PHANTOM_KIND_COUNT
} mg_phantom_kind;

/* A finding in the breast's own coordinates, so that every view shows it where it would lie:
 * depth is the same in all, `medial` is what a CC view sees of the rest and `superior` what an MLO
 * view sees (with some of `medial`, for the obliqueness). */
typedef struct mg_phantom_finding {
    mg_phantom_kind kind;
    bool malignant;
    float depth;            /* 0 chest wall … 1 nipple */
    float medial, superior; /* -1 … 1 of the half height at that depth */
    float radius;           /* mm; of a cluster: its extent */
    float contrast;         /* of a mass, of the machine's full scale */
    float speck;            /* of fine calcifications */
    uint32_t stream;        /* its own random numbers */
} mg_phantom_finding;

typedef struct mg_phantom_breast {
    char laterality; /* 'L' or 'R' */
    bool cancer, biopsy, invasive, difficult_negative;
    int birads; /* -1: missing */
    int findings;
    mg_phantom_finding finding[MG_PHANTOM_MAX_FINDINGS];
} mg_phantom_breast;

typedef struct mg_phantom_image {
    uint32_t id;
    int breast; /* 0 left, 1 right */
    mg_phantom_view view;
    int repeat; /* 0, or 1 for a second exposure of the same view */
} mg_phantom_image;

typedef struct mg_phantom_patient {
    uint32_t id;
    int index; /* stream number: place in the plan, test patients after the others */
    bool test;
    int machine;        /* index for mg_phantom_machine_at() */
    int age;            /* -1: missing */
    char density;       /* 'A' … 'D': what is rendered */
    bool density_known; /* false: the CSV leaves it empty */
    mg_phantom_breast breast[2];
    int images;
    mg_phantom_image image[MG_PHANTOM_MAX_IMAGES];
} mg_phantom_patient;

/* How one X-ray machine writes its files and what its processing looks like. */
typedef struct mg_phantom_machine {
    int id, site;
    const char *model;
    const char *transfer_syntax; /* UID */
    bool monochrome1, sigmoid;
    int bits;         /* bits stored: 12, 14 or 16 (allocated: always 16) */
    int padding;      /* PixelPaddingValue, or -1 for none */
    float share;      /* of patients */
    float equalise;   /* 0 … 1: how far the thinner edge of the breast is evened out */
    float gamma;      /* tone curve: value^gamma */
    float sharpen;    /* strength of the unsharp mask */
    float noise;      /* quantum noise at mid grey, of full scale */
    float background; /* level outside the breast, of full scale */
} mg_phantom_machine;

int mg_phantom_machine_count(void);
const mg_phantom_machine *mg_phantom_machine_at(int index);

const char *mg_phantom_view_name(mg_phantom_view view); /* "CC", … */
const char *mg_phantom_kind_name(mg_phantom_kind kind); /* "spiculated mass", … */

/* Draws all patients of a set: settings->patients, then settings->test_patients. `out` holds both.
 * Fails on settings that make no sense. */
mg_status mg_phantom_plan(const mg_phantom_settings *settings, mg_phantom_patient *out,
                          mg_error *err);

/* Buffers for one image at a time; one per thread. NULL when memory is short. */
typedef struct mg_phantom_renderer mg_phantom_renderer;
mg_phantom_renderer *mg_phantom_renderer_create(const mg_phantom_settings *settings);
void mg_phantom_renderer_destroy(mg_phantom_renderer *renderer);

/* What was rendered: stored pixel values (borrowed from the renderer until its next call), the
 * lesion mask (255 on malignant findings, else 0) and how to display them. */
typedef struct mg_phantom_pixels {
    int rows, columns;
    const uint16_t *pixels;
    const uint8_t *mask, *breast; /* breast: 255 inside the skin line */
    bool has_lesion;
    float window_center, window_width;
    float spacing_mm;
    float nipple_x, nipple_y; /* pixels */
} mg_phantom_pixels;

void mg_phantom_render(mg_phantom_renderer *renderer, const mg_phantom_patient *patient, int image,
                       mg_phantom_pixels *out);

/* Writes a whole set: OUT/train.csv, train_images/<patient>/<image>.dcm, masks/<patient>/
 * <image>.png for images with a lesion; with test patients also test.csv, test_truth.csv (the
 * columns of train.csv) and test_images/. Phantoms and masks of an earlier set in OUT are removed
 * first; other files among the images are an error. Every file is written under a temporary name
 * and renamed; the CSV files come last, so a folder with a train.csv is complete. `progress` may be
 * NULL; it is called from one thread at a time and returns false to stop (MG_ERR_INTERRUPTED). */
typedef bool mg_phantom_progress(void *arg, int64_t images_done, int64_t images);
mg_status mg_phantom_write(const mg_phantom_settings *settings, const char *out, mg_pool *pool,
                           mg_phantom_progress *progress, void *arg, mg_error *err);

#endif
