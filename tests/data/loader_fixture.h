/* loader_fixture.h: a data set of small DICOM files with some bad ones, for the loader's tests. */
#ifndef MG_TESTS_LOADER_FIXTURE_H
#define MG_TESTS_LOADER_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "data/loader.h"
#include "tests/lib/mammogram_file.h"
#include "tests/lib/scratch.h"

enum { IMAGES = 24, HEIGHT = 48, WIDTH = 32 };

/* Image i belongs to patient i/4; sides alternate. `bad` of them (every fifth) are text files. */
static inline mg_manifest loader_data(bool bad) {
    char name[64];
    FILE *csv = fopen(scratch_path("train.csv"), "wb");
    fputs("patient_id,image_id,laterality,cancer\n", csv);
    for (int i = 0; i < IMAGES; i++) {
        fprintf(csv, "%d,%d,%c,%d\n", i / 4, i, i % 2 ? 'R' : 'L', i / 4 % 2);
        snprintf(name, sizeof name, "train_images/%d/%d.dcm", i / 4, i);
        if (bad && i % 5 == 3) scratch_text(name, "no image");
        else mammogram_write(&(mammogram_file){.seed = (uint32_t)i + 1}, scratch_path("%s", name));
    }
    fclose(csv);
    mg_manifest m;
    mg_error err = {0};
    if (mg_manifest_read(&(mg_manifest_options){.data = scratch_path("."), .labels = true}, &m,
                         &err)) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    return m;
}

static inline mg_loader_options loader_options(const mg_manifest *m, const mg_plan *plan) {
    mg_preprocess_settings s = mg_preprocess_defaults();
    s.height = HEIGHT, s.width = WIDTH;
    return (mg_loader_options){.manifest = m, .plan = plan, .settings = s, .seed = 11};
}

/* A number that depends on all that a batch says, in order. */
static inline uint64_t loader_digest(uint64_t h, const mg_batch *b) {
    const uint8_t *p = (const uint8_t *)b->pixels;
    size_t n = (size_t)b->count * HEIGHT * WIDTH * sizeof(float);
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    for (int32_t i = 0; i < b->count; i++)
        h = (h ^ (uint64_t)(b->image[i] * 1000 + b->item[i])) * 0x100000001b3u;
    for (int32_t i = 0; i < b->bad_count; i++)
        h = (h ^ (uint64_t)(b->bad[i].image + 7)) * 0x100000001b3u;
    return (h ^ (uint64_t)b->index) * 0x100000001b3u;
}

#endif
