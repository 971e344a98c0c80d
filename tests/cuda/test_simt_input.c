/* The network's input made on the emulated device from a loader's 16-bit images against the same
 * plan prepared on the CPU: equal bits for every image of a phantom set, with mirrored items, with
 * augmentation and with an unusable file in the middle; within rounding where contrast changes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/batch_input.h"
#include "data/phantom.h"
#include "tests/lib/emulator.h"
#include "tests/lib/scratch.h"

static mg_manifest manifest;
static mg_plan plan;
static mg_context *ctx;
static mg_card card;

static void open_all(void) {
    mg_error err = {0};
    emulator_open();
    scratch_make();
    mg_phantom_settings settings = mg_phantom_defaults();
    settings.patients = 3;
    settings.columns = settings.rows = 96;
    const char *folder = scratch_path("simt_input");
    mg_status s = mg_phantom_write(&settings, folder, NULL, NULL, NULL, &err);
    cr_assert_eq(s, MG_OK, "%s", err.message);
    mg_manifest_options from = {.data = folder, .csv = "train.csv", .missing = MG_MISSING_KEEP};
    s = mg_manifest_read(&from, &manifest, &err);
    cr_assert_eq(s, MG_OK, "%s", err.message);
    int32_t n = manifest.image_count, *list = malloc((size_t)n * sizeof *list);
    for (int32_t i = 0; i < n; i++) list[i] = i;
    s = mg_plan_images(&manifest, list, n, 5, &plan, &err);
    cr_assert_eq(s, MG_OK, "%s", err.message);
    free(list);
    for (int32_t i = 0; i < n; i++) plan.item[i].flip = (uint8_t)(i % 4);
    FILE *f = fopen(manifest.image[2].path, "w"); /* not an image any more */
    cr_assert(f);
    fclose(f);
    card.input = mg_preprocess_defaults();
    card.input.height = 53;
    card.input.width = 31;
    ctx = mg_context_create(MG_DEVICE_SIMT, MG_F32, NULL, (size_t)1 << 28);
    mg_context_use(ctx, MG_DEVICE_SIMT, emulator);
}

/* The largest difference between the two inputs over the whole plan. */
static double compare(const mg_augment_settings *augment) {
    double worst = 0;
    int32_t images = 0, bad = 0;
    mg_error err = {0};
    mg_loader_options options = {.manifest = &manifest,
                                 .plan = &plan,
                                 .settings = card.input,
                                 .augment = augment,
                                 .seed = 4,
                                 .epoch = 2,
                                 .workers = 1};
    mg_loader *cpu = mg_loader_start(&options, &err);
    options.levels = mg_batch_on_device(ctx, &card, augment);
    cr_assert(options.levels);
    mg_loader *device = mg_loader_start(&options, &err);
    cr_assert(cpu && device, "%s", err.message);
    const mg_batch *a, *b;
    const int64_t each = (int64_t)card.input.height * card.input.width;
    for (;;) {
        cr_assert_eq(mg_loader_next(cpu, &a, &err), MG_OK, "%s", err.message);
        cr_assert_eq(mg_loader_next(device, &b, &err), MG_OK, "%s", err.message);
        if (!a || !b) break;
        cr_assert(a->count == b->count && a->bad_count == b->bad_count);
        cr_assert(!b->pixels && b->levels && b->how);
        bad += b->bad_count;
        /* In two parts, as --accumulate does. */
        for (int first = 0, part = 2; first < b->count; first += part) {
            int count = b->count - first < part ? b->count - first : part;
            float *got = malloc((size_t)(count * each) * sizeof *got);
            mg_tensor *x = mg_batch_input(ctx, &card, b, first, count, true);
            cr_assert(x, "%s", ctx->error.message);
            mg_tensor_read(ctx, x, got);
            mg_step_reset(ctx, false);
            for (int64_t i = 0; i < count * each; i++) {
                double d = fabs((double)got[i] - (double)a->pixels[first * each + i]);
                if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
            }
            free(got);
            images += count;
        }
    }
    cr_assert(!a && !b);
    cr_expect_eq(bad, 1);
    cr_expect_eq(images, manifest.image_count - 1);
    const char *failure = emulator->memory->failure(true);
    cr_expect(!failure, "%s", failure ? failure : "");
    mg_loader_stop(cpu);
    mg_loader_stop(device);
    return worst;
}

Test(simt_input, mirrored, .init = open_all, .fini = scratch_remove) {
    cr_expect_eq(compare(NULL), 0);
}

Test(simt_input, augmented, .init = open_all, .fini = scratch_remove) {
    mg_augment_settings settings = mg_augment_defaults();
    cr_expect_eq(compare(&settings), 0);
}

/* The mean of an image is summed in another order. */
Test(simt_input, contrast, .init = open_all, .fini = scratch_remove) {
    mg_augment_settings settings = mg_augment_defaults();
    settings.contrast = settings.brightness = 0.2f;
    cr_expect_lt(compare(&settings), 0.25 / 65535);
}

Test(simt_input, what_stays_on_the_cpu, .init = open_all, .fini = scratch_remove) {
    mg_augment_settings settings = mg_augment_defaults();
    mg_error err = {0};
    settings.gamma = 0.1f;
    cr_expect_not(mg_batch_on_device(ctx, &card, &settings));
    mg_loader_options options = {.manifest = &manifest,
                                 .plan = &plan,
                                 .settings = card.input,
                                 .augment = &settings,
                                 .levels = true};
    cr_expect_null(mg_loader_start(&options, &err));
    cr_expect(strstr(err.message, "gamma"), "%s", err.message);
    card.imagenet_norm = true;
    cr_expect_not(mg_batch_on_device(ctx, &card, NULL));
    card.imagenet_norm = false;
    mg_context *cpu = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0);
    cr_expect_not(mg_batch_on_device(cpu, &card, NULL));
    mg_context_destroy(cpu);
}
