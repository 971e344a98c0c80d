/* A loader whose images the emulated device prepares while its consumer waits: the batches are those
 * of a loader without a device, whoever prepared what, and the consumer has the device for itself
 * in between. */
#include <stdlib.h>
#include <string.h>

#include "tests/data/loader_fixture.h"
#include "tests/lib/emulator.h"

static mg_manifest manifest;
static mg_plan plan;

static void make_data(void) {
    mg_error err = {0};
    int32_t list[IMAGES];
    scratch_make();
    manifest = loader_data(true);
    for (int32_t i = 0; i < IMAGES; i++) list[i] = i;
    mg_status s = mg_plan_images(&manifest, list, IMAGES, 5, &plan, &err);
    cr_assert_eq(s, MG_OK, "%s", err.message);
}

static void drop_data(void) {
    mg_plan_free(&plan);
    mg_manifest_free(&manifest);
    scratch_remove();
}

/* What a consumer does with the device between two batches. */
static void compute(void) {
    float range[2];
    static float pixels[3000];
    for (int i = 0; i < 3000; i++) pixels[i] = (float)(i * 7 % 3001);
    const mg_memory *m = emulator->memory;
    float *x = m->alloc(sizeof pixels, "x"), *found = m->alloc(sizeof range, "found");
    void *scratch = m->alloc(emulator->imaging->range_scratch(3000), "scratch");
    m->write(x, pixels, sizeof pixels);
    emulator->imaging->range(x, 3000, scratch, found);
    m->read(range, found, sizeof range);
    cr_assert(range[0] == 0 && range[1] == 3000);
    m->free(x);
    m->free(found);
    m->free(scratch);
}

static mg_status run(mg_preprocess_device *device, int workers, uint64_t *digest, mg_error *err) {
    mg_loader_options o = loader_options(&manifest, &plan);
    o.workers = workers;
    o.device = device;
    mg_loader *l = mg_loader_start(&o, err);
    cr_assert(l);
    const mg_batch *batch = NULL;
    mg_status s;
    *digest = 0;
    while (!(s = mg_loader_next(l, &batch, err)) && batch) {
        *digest = loader_digest(*digest, batch);
        compute();
    }
    compute(); /* the consumer's again, although nothing is left to wait for */
    mg_loader_stop(l);
    return s;
}

EMULATOR_TEST(simt_loader, same_batches) {
    make_data();
    uint64_t want, got;
    mg_error err = {0};
    cr_assert_eq(run(NULL, 2, &want, &err), MG_OK);
    for (int k = 0; k < 4; k++) {
        mg_preprocess_device *d = mg_preprocess_device_create(emulator, k & 1, NULL);
        cr_assert_eq(run(d, k < 2 ? 1 : 3, &got, &err), MG_OK, "%s", err.message);
        cr_expect_eq(got, want);
        mg_preprocess_counts c;
        mg_preprocess_device_counts(d, &c);
        const int usable = IMAGES - (IMAGES + 1) / 5;
        cr_expect(c.on_device + c.busy == usable && !(k & 1 && c.busy) && !c.unable && !c.no_room,
                  "%d: %d on the device, %d on the CPU", k, (int)c.on_device, (int)c.busy);
        mg_preprocess_device_destroy(d);
    }
    drop_data();
}

/* Workers that wait for a device which its owner does not lend. */
EMULATOR_TEST(simt_loader, stops_at_once) {
    make_data();
    mg_loader_options o = loader_options(&manifest, &plan);
    mg_error err = {0};
    o.workers = 3;
    o.device = mg_preprocess_device_create(emulator, true, NULL);
    mg_loader *l = mg_loader_start(&o, &err);
    cr_assert(l);
    compute();
    mg_loader_stop(l);
    mg_preprocess_device_destroy(o.device);
    drop_data();
}

static const char *burnt(bool wait) {
    (void)wait;
    return "kernel burnt";
}

/* One file less would be a wrong answer where the device is what failed. */
EMULATOR_TEST(simt_loader, a_failing_device_ends_the_run) {
    make_data();
    mg_memory memory = *emulator->memory;
    mg_device_plugin plugin = *emulator;
    memory.failure = burnt;
    plugin.memory = &memory;
    mg_preprocess_device *d = mg_preprocess_device_create(&plugin, true, NULL);
    mg_error err = {0};
    uint64_t digest;
    cr_expect_eq(run(d, 2, &digest, &err), MG_ERR_DEVICE);
    cr_expect(strstr(err.message, ".dcm") && strstr(err.message, "kernel burnt"), "%s",
              err.message);
    mg_preprocess_device_destroy(d);
    drop_data();
}
