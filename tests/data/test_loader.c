/* The loader: order, bad files, cache and no cache, resuming, cancelling. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "tests/data/loader_fixture.h"

static void setup(void) { scratch_make(); }
TestSuite(loader, .init = setup, .fini = scratch_remove, .timeout = 60);

static uint64_t run(const mg_loader_options *o, mg_loader_statistics *statistics) {
    mg_error err = {0};
    mg_loader *l = mg_loader_start(o, &err);
    cr_assert(l, "%s", err.message);
    const mg_batch *b;
    uint64_t digest = 1;
    int32_t expected = o->first_batch;
    for (;;) {
        cr_assert_eq(mg_loader_next(l, &b, &err), MG_OK, "%s", err.message);
        if (!b) break;
        cr_assert_eq(b->index, expected++);
        digest = loader_digest(digest, b);
    }
    cr_assert_eq(expected, o->plan->batch_count);
    cr_assert_eq(mg_loader_next(l, &b, &err), MG_OK);
    cr_assert_null(b, "the end stays the end");
    if (statistics) mg_loader_get_statistics(l, statistics);
    mg_loader_stop(l);
    return digest;
}

static mg_plan train_plan(const mg_manifest *m) {
    int32_t groups[12], drawn[20];
    for (int32_t g = 0; g < 12; g++) groups[g] = g;
    cr_assert_eq(m->group_count, 12);
    cr_assert_eq(mg_sampler_draw(m, groups, 12, MG_SAMPLE_BALANCED, 5, 0, drawn, 20, NULL), MG_OK);
    mg_plan plan;
    cr_assert_eq(mg_plan_groups(m, drawn, 20, 3, &plan, NULL), MG_OK);
    return plan;
}

Test(loader, same_bits_for_any_number_of_workers_with_and_without_cache) {
    mg_manifest m = loader_data(true);
    mg_plan plan = train_plan(&m);
    mg_augment_settings augment = mg_augment_defaults();
    mg_loader_options o = loader_options(&m, &plan);
    o.augment = &augment;
    o.workers = 1, o.ahead = 1;
    mg_loader_statistics s;
    uint64_t expected = run(&o, &s);
    cr_assert_eq(s.images + s.bad, plan.item_count);
    cr_assert(s.bad > 0 && s.cached == 0 && s.elapsed >= s.waiting && s.waiting >= 0);
    for (int workers = 2; workers <= 7; workers += 5)
        for (int ahead = 1; ahead <= 4; ahead += 3) {
            o.workers = workers, o.ahead = ahead;
            cr_assert_eq(run(&o, NULL), expected, "%d workers, %d ahead", workers, ahead);
        }
    o.cache = mg_cache_open(scratch_path("cache"), &o.settings, NULL, NULL);
    cr_assert_eq(run(&o, NULL), expected, "filling the cache");
    cr_assert_eq(run(&o, &s), expected, "from the cache");
    cr_assert_eq(s.cached, s.images);
    mg_cache_close(o.cache);
    o.cache = NULL;
    o.epoch = 1;
    cr_assert_neq(run(&o, NULL), expected, "another epoch is augmented otherwise");
    mg_plan_free(&plan);
    mg_manifest_free(&m);
}

Test(loader, begins_in_the_middle) {
    mg_manifest m = loader_data(false);
    mg_plan plan;
    cr_assert_eq(mg_plan_images(&m, NULL, 0, 5, &plan, NULL), MG_OK);
    mg_loader_options o = loader_options(&m, &plan);
    o.first_batch = 3;
    mg_loader_statistics s;
    run(&o, &s);
    cr_assert_eq(s.images, IMAGES - 15);
    o.first_batch = plan.batch_count;
    run(&o, &s);
    cr_assert_eq(s.images, 0);
    o.first_batch = plan.batch_count + 1;
    cr_assert_null(mg_loader_start(&o, NULL));
    mg_plan_free(&plan);
    mg_manifest_free(&m);
}

Test(loader, bad_files_are_left_out_and_named) {
    mg_manifest m = loader_data(true);
    remove(m.image[0].path);
    m.image[1].path = NULL;
    mg_plan plan;
    cr_assert_eq(mg_plan_images(&m, NULL, 0, 10, &plan, NULL), MG_OK);
    mg_loader_options o = loader_options(&m, &plan);
    o.keep_geometry = true;
    mg_loader *l = mg_loader_start(&o, NULL);
    const mg_batch *b;
    cr_assert_eq(mg_loader_next(l, &b, NULL), MG_OK);
    static const int32_t good[] = {2, 4, 5, 6, 7, 9};
    cr_assert(b->count == 6 && b->bad_count == 4);
    for (int i = 0; i < 6; i++) {
        cr_assert(b->image[i] == good[i] && b->item[i] == good[i]);
        cr_assert(b->geometry[i].rows == 120 && b->geometry[i].height == HEIGHT);
        mg_prepared p; /* pixels moved together with their image */
        mg_preprocessor *pre = mg_preprocessor_create(&o.settings, NULL);
        cr_assert_eq(mg_preprocess_file(pre, m.image[good[i]].path, NULL, &p, NULL), MG_OK);
        static float input[HEIGHT * WIDTH];
        mg_prepared_input(&p, 0, input);
        cr_assert_eq(memcmp(input, b->pixels + i * HEIGHT * WIDTH, sizeof input), 0);
        mg_prepared_free(&p);
        mg_preprocessor_destroy(pre);
    }
    cr_assert(b->bad[0].image == 0 && b->bad[0].status == MG_ERR_IO);
    cr_assert(strstr(b->bad[0].reason, "No such file") && strstr(b->bad[1].reason, "no file for"));
    cr_assert(b->bad[2].image == 3 && b->bad[3].image == 8);
    cr_assert(strstr(b->bad[2].reason, "3.dcm"), "%s", b->bad[2].reason);
    mg_loader_stop(l);
    o.strict = true;
    mg_error err = {0};
    l = mg_loader_start(&o, NULL);
    cr_assert_eq(mg_loader_next(l, &b, &err), MG_ERR_IO);
    cr_assert_null(b);
    cr_assert(strstr(err.message, "No such file"));
    mg_loader_stop(l);
    mg_plan_free(&plan);
    mg_manifest_free(&m);
}

Test(loader, a_batch_of_bad_files_only) {
    mg_manifest m = loader_data(true);
    mg_plan plan;
    cr_assert_eq(mg_plan_images(&m, (int32_t[]){3, 8, 3}, 3, 2, &plan, NULL), MG_OK);
    mg_loader_options o = loader_options(&m, &plan);
    mg_loader_statistics s;
    run(&o, &s);
    cr_assert(s.images == 0 && s.bad == 3);
    mg_plan_free(&plan);
    mg_manifest_free(&m);
}

Test(loader, fixed_flips) {
    mg_manifest m = loader_data(false);
    mg_plan plan;
    cr_assert_eq(mg_plan_images(&m, (int32_t[]){4, 4}, 2, 2, &plan, NULL), MG_OK);
    plan.item[1].flip = MG_FLIP_HORIZONTAL;
    mg_loader_options o = loader_options(&m, &plan);
    o.keep_geometry = true;
    mg_loader *l = mg_loader_start(&o, NULL);
    const mg_batch *b;
    cr_assert_eq(mg_loader_next(l, &b, NULL), MG_OK);
    const float *plain = b->pixels, *flipped = b->pixels + HEIGHT * WIDTH;
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        cr_assert_eq(plain[i], flipped[i / WIDTH * WIDTH + WIDTH - 1 - i % WIDTH]);
    cr_assert(!b->geometry[0].flip_horizontal && b->geometry[1].flip_horizontal);
    mg_loader_stop(l);
    mg_plan_free(&plan);
    mg_manifest_free(&m);
}

static void *cancel(void *loader) {
    mg_loader_cancel(loader);
    return NULL;
}

Test(loader, cancelling_and_early_stop) {
    mg_manifest m = loader_data(false);
    mg_plan plan;
    cr_assert_eq(mg_plan_images(&m, NULL, 0, 2, &plan, NULL), MG_OK);
    mg_loader_options o = loader_options(&m, &plan);
    const mg_batch *b;
    for (int taken = 0; taken < 4; taken++) {
        mg_loader *l = mg_loader_start(&o, NULL);
        for (int i = 0; i < taken; i++) cr_assert_eq(mg_loader_next(l, &b, NULL), MG_OK);
        mg_loader_stop(l); /* with work under way */
        l = mg_loader_start(&o, NULL);
        pthread_t t;
        pthread_create(&t, NULL, cancel, l);
        mg_status status = MG_OK;
        for (int i = 0; i < 13 && !status; i++) status = mg_loader_next(l, &b, NULL);
        pthread_join(t, NULL);
        cr_assert(status == MG_ERR_INTERRUPTED || b == NULL);
        mg_loader_stop(l);
    }
    mg_loader_stop(NULL);
    mg_plan_free(&plan);
    mg_manifest_free(&m);
}

Test(loader, options_are_checked) {
    mg_manifest m = loader_data(false);
    mg_plan plan;
    mg_error err = {0};
    cr_assert_eq(mg_plan_images(&m, (int32_t[]){99}, 1, 1, &plan, NULL), MG_OK);
    mg_loader_options o = loader_options(&m, &plan);
    cr_assert_null(mg_loader_start(&o, &err));
    cr_assert(strstr(err.message, "image 99 of 24"), "%s", err.message);
    mg_plan_free(&plan);
    mg_manifest_free(&m);
}
