/* The loader under ThreadSanitizer, which Criterion's process model does not get along with: a
 * plain main that exits 0 when the batches are the same whoever makes them.
 *
 *     make SAN=thread BUILD/tests/data/tsan_loader */
#include "tests/data/loader_fixture.h"

static uint64_t run(const mg_loader_options *o, int stop_after) {
    mg_loader *l = mg_loader_start(o, NULL);
    uint64_t digest = 1;
    const mg_batch *b;
    mg_loader_statistics s;
    for (int n = 0; l && n != stop_after && !mg_loader_next(l, &b, NULL) && b; n++) {
        digest = loader_digest(digest, b);
        mg_loader_get_statistics(l, &s);
    }
    mg_loader_stop(l);
    return digest;
}

/* A device without any memory: workers take turns and then prepare every image by themselves. */
static void *no_room(size_t bytes, const char *label) {
    (void)bytes, (void)label;
    return NULL;
}
static void release(void *block) { (void)block; }
static const char *no_failure(bool wait) {
    (void)wait;
    return NULL;
}
static void enter(void) {}
static const mg_memory memory = {.alloc = no_room, .free = release, .failure = no_failure};
static const mg_device_plugin plugin = {.memory = &memory, .enter = enter};

/* The same batches while the device goes from hand to hand. */
static bool with_device(mg_loader_options o, uint64_t expected) {
    bool good = true;
    for (int always = 0; always < 2; always++) {
        o.device = mg_preprocess_device_create(&plugin, always, NULL);
        good &= o.device && run(&o, -1) == expected;
        (void)run(&o, 1);
        mg_preprocess_device_destroy(o.device);
    }
    return good;
}

int main(void) {
    scratch_make();
    mg_manifest m = loader_data(true);
    mg_plan plan;
    mg_augment_settings augment = mg_augment_defaults();
    augment.contrast = 0.2f;
    if (mg_plan_images(&m, NULL, 0, 3, &plan, NULL)) return 1;
    mg_loader_options o = loader_options(&m, &plan);
    o.augment = &augment;
    o.workers = 1;
    uint64_t expected = run(&o, -1);
    o.workers = 4, o.ahead = 3;
    bool good = run(&o, -1) == expected;
    good &= with_device(o, expected);
    o.cache = mg_cache_open(scratch_path("cache"), &o.settings, NULL, NULL);
    good &= o.cache && run(&o, -1) == expected && run(&o, -1) == expected;
    for (int stop = 0; stop < 4; stop++) (void)run(&o, stop);
    mg_cache_close(o.cache);
    mg_plan_free(&plan);
    mg_manifest_free(&m);
    scratch_remove();
    puts(good ? "same batches" : "DIFFERENT BATCHES");
    return !good;
}
