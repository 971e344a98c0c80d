/* The cache of prepared images: round trips, damage, staleness, sharing. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/cache.h"
#include "data/files.h"
#include "tests/lib/mammogram_file.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(cache, .init = setup, .fini = scratch_remove);

static mg_preprocess_settings small_settings(void) {
    mg_preprocess_settings s = mg_preprocess_defaults();
    s.height = 60, s.width = 40;
    return s;
}

static mg_prepared example(mg_crop_mode crop) {
    mg_preprocess_settings s = small_settings();
    s.crop = crop;
    const char *path = scratch_path("example.dcm");
    mammogram_write(&(mammogram_file){.photometric = "MONOCHROME1"}, path);
    mg_preprocessor *p = mg_preprocessor_create(&s, NULL);
    mg_prepared out;
    cr_assert_eq(mg_preprocess_file(p, path, NULL, &out, NULL), MG_OK);
    mg_preprocessor_destroy(p);
    return out;
}

static void same_kept(const mg_kept *a, const mg_kept *b) {
    cr_assert(a->first == b->first && a->count == b->count && !a->list == !b->list);
    if (a->list) cr_assert_eq(memcmp(a->list, b->list, a->count * sizeof *a->list), 0);
}

static void same(const mg_prepared *a, const mg_prepared *b) {
    const mg_geometry *g = &a->geometry, *h = &b->geometry;
    cr_assert(g->height == h->height && g->width == h->width);
    cr_assert(g->rows == h->rows && g->columns == h->columns);
    same_kept(&g->row, &h->row);
    same_kept(&g->column, &h->column);
    cr_assert(a->lowest == b->lowest && a->highest == b->highest && a->low == b->low);
    cr_assert(a->high == b->high && a->inverted == b->inverted);
    cr_assert_str_eq(a->warning, b->warning);
    cr_assert_eq(memcmp(a->pixels, b->pixels, (size_t)g->height * g->width * 2), 0);
}

static const uint8_t key[16] = "0123456789abcde";

Test(cache, entries_round_trip) {
    for (int level = 0; level <= 9; level += 3)
        for (int lists = 0; lists < 2; lists++) {
            mg_prepared in = example(MG_CROP_BREAST), out;
            if (lists) {
                in.geometry.row.list = malloc(3 * sizeof(uint32_t));
                memcpy(in.geometry.row.list, (uint32_t[]){4, 8, 119}, 12);
                in.geometry.row.first = 4, in.geometry.row.count = 3;
            }
            snprintf(in.warning, sizeof in.warning, "odd");
            uint8_t *data;
            size_t size;
            cr_assert_eq(mg_cache_encode(&in, key, level, &data, &size, NULL), MG_OK);
            mg_error err = {0};
            cr_assert_eq(mg_cache_decode(data, size, key, &out, &err), MG_OK, "%s", err.message);
            same(&in, &out);
            mg_prepared_free(&out);
            free(data);
            mg_prepared_free(&in);
        }
}

/* Every byte counts: whichever is changed, and wherever the entry is cut, it is refused. */
Test(cache, any_damage_is_found) {
    mg_prepared in = example(MG_CROP_BREAST), out;
    uint8_t *data;
    size_t size;
    for (int level = 0; level < 2; level++) {
        cr_assert_eq(mg_cache_encode(&in, key, level, &data, &size, NULL), MG_OK);
        for (size_t i = 0; i < size; i++) {
            data[i] ^= (uint8_t)(1u << (i % 8));
            cr_assert_eq(mg_cache_decode(data, size, key, &out, NULL), MG_ERR_FORMAT, "byte %zu",
                         i);
            cr_assert_null(out.pixels);
            data[i] ^= (uint8_t)(1u << (i % 8));
        }
        for (size_t cut = 0; cut < size; cut += 7)
            cr_assert_eq(mg_cache_decode(data, cut, key, &out, NULL), MG_ERR_FORMAT);
        uint8_t other[16] = {0};
        cr_assert_eq(mg_cache_decode(data, size, other, &out, NULL), MG_ERR_FORMAT);
        free(data);
    }
    mg_prepared_free(&in);
}

typedef struct fixture {
    mg_preprocess_settings settings;
    mg_preprocessor *preprocessor;
    mg_cache *cache;
    char source[1024];
} fixture;

static fixture begin(const mg_cache_options *options) {
    fixture f = {.settings = small_settings()};
    snprintf(f.source, sizeof f.source, "%s", scratch_path("source.dcm"));
    mammogram_write(&(mammogram_file){.seed = 1}, f.source);
    f.preprocessor = mg_preprocessor_create(&f.settings, NULL);
    f.cache = mg_cache_open(scratch_path("cache/deep"), &f.settings, options, NULL);
    cr_assert(f.preprocessor && f.cache);
    return f;
}

static void end(fixture *f) {
    mg_preprocessor_destroy(f->preprocessor);
    mg_cache_close(f->cache);
}

static bool prepare(fixture *f, mg_prepared *out) {
    bool hit;
    mg_error err = {0};
    cr_assert_eq(mg_prepare(f->cache, f->preprocessor, f->source, out, &hit, &err), MG_OK, "%s",
                 err.message);
    return hit;
}

static mg_cache_statistics counted(fixture *f) {
    mg_cache_statistics s;
    mg_cache_get_statistics(f->cache, &s);
    return s;
}

Test(cache, second_time_is_a_hit_with_the_same_bits) {
    for (int level = 0; level <= 1; level++) {
        fixture f = begin(&(mg_cache_options){.compression = level});
        mg_prepared a, b;
        prepare(&f, &a);
        cr_assert(prepare(&f, &b));
        same(&a, &b);
        mg_prepared_free(&a);
        mg_prepared_free(&b);
        end(&f);
    }
}

Test(cache, moved_sources_hit_rewritten_ones_miss) {
    for (int full = 0; full < 2; full++) {
        fixture f = begin(&(mg_cache_options){.full_content = full});
        mg_prepared a, b;
        cr_assert(!prepare(&f, &a));
        const char *moved = scratch_path("moved.dcm");
        cr_assert_eq(rename(f.source, moved), 0);
        snprintf(f.source, sizeof f.source, "%s", moved);
        cr_assert(prepare(&f, &b), "the path is not part of the key");
        mg_prepared_free(&b);
        mammogram_write(&(mammogram_file){.seed = 2}, moved); /* same size, other pixels */
        cr_assert(!prepare(&f, &b));
        cr_assert_neq(memcmp(a.pixels, b.pixels, 60 * 40 * 2), 0);
        mg_prepared_free(&a);
        mg_prepared_free(&b);
        end(&f);
    }
}

/* Same size and the same modification time to the nanosecond: the content decides. */
Test(cache, content_counts_when_times_are_restored) {
    fixture f = begin(NULL);
    mg_prepared a, b;
    struct stat st;
    cr_assert(!prepare(&f, &a));
    cr_assert_eq(stat(f.source, &st), 0);
    mammogram_write(&(mammogram_file){.seed = 2}, f.source);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    cr_assert_eq(utimensat(AT_FDCWD, f.source, times, 0), 0);
    cr_assert(!prepare(&f, &b));
    mg_prepared_free(&a);
    mg_prepared_free(&b);
    end(&f);
}

Test(cache, other_settings_have_other_entries) {
    fixture f = begin(NULL);
    mg_prepared a;
    bool hit;
    prepare(&f, &a);
    mg_prepared_free(&a);
    for (int k = 0; k < 6; k++) {
        mg_preprocess_settings s = f.settings;
        if (k == 0) s.height++;
        if (k == 1) s.width++;
        if (k == 2) s.window = MG_WINDOW_DICOM;
        if (k == 3) s.crop = MG_CROP_ZERO;
        if (k == 4) s.margin = 0.02f;
        if (k == 5) s.reduce = MG_REDUCE_AUTO;
        mg_cache *other = mg_cache_open(scratch_path("cache/deep"), &s, NULL, NULL);
        cr_assert_eq(mg_cache_get(other, f.source, &a, &hit, NULL), MG_OK);
        cr_assert(!hit, "setting %d", k);
        mg_cache_close(other);
    }
    end(&f);
}

static void damage_all(const char *folder, int how) {
    mg_path_list list = {0};
    cr_assert_eq(mg_list_files(folder, &list, NULL), MG_OK);
    cr_assert_eq(list.count, 1);
    if (how == 0) cr_assert_eq(truncate(list.path[0], 1000), 0);
    if (how == 1) cr_assert_eq(truncate(list.path[0], 0), 0);
    if (how == 2) {
        FILE *f = fopen(list.path[0], "r+b");
        fseek(f, 700, SEEK_SET);
        fputc('!', f);
        fclose(f);
    }
    mg_path_list_free(&list);
}

Test(cache, damaged_entries_are_made_again) {
    for (int how = 0; how < 3; how++) {
        fixture f = begin(NULL);
        mg_prepared a, b;
        prepare(&f, &a);
        damage_all(scratch_path("cache/deep"), how);
        cr_assert(!prepare(&f, &b));
        same(&a, &b);
        mg_prepared_free(&b);
        cr_assert_eq(counted(&f).damaged, 1);
        cr_assert(prepare(&f, &b));
        mg_prepared_free(&a);
        mg_prepared_free(&b);
        end(&f);
        scratch_remove();
        scratch_make();
    }
}

Test(cache, failure_to_write_costs_only_speed) {
    fixture f = begin(NULL);
    mg_prepared a;
    /* A file stands where the entry's folder would be made: all 256 of them. */
    for (int i = 0; i < 256; i++) {
        char name[32];
        snprintf(name, sizeof name, "cache/deep/%02x", i);
        scratch_text(name, "in the way");
    }
    cr_assert(!prepare(&f, &a));
    mg_prepared_free(&a);
    mg_cache_statistics s = counted(&f);
    cr_assert(s.write_failures == 1 && s.written == 0);
    cr_assert(strstr(s.first_failure, "cache/deep"), "%s", s.first_failure);
    end(&f);
    mg_error err = {0};
    mg_preprocess_settings settings = small_settings();
    cr_assert_null(mg_cache_open(scratch_path("cache/deep/00"), &settings, NULL, &err));
    cr_assert(strstr(err.message, "a file of that name"), "%s", err.message);
}

Test(cache, unreadable_source_is_an_error) {
    fixture f = begin(NULL);
    mg_prepared a;
    bool hit;
    mg_error err = {0};
    cr_assert_eq(mg_cache_get(f.cache, scratch_path("no.dcm"), &a, &hit, &err), MG_ERR_IO);
    cr_assert(strstr(err.message, "no.dcm"));
    end(&f);
}

/* A run that was killed while it wrote an entry: the next one tidies up. */
Test(cache, leftovers_of_a_killed_run_go) {
    mg_preprocess_settings s = small_settings();
    pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
    const char *left = scratch_path("cache/5e/.5e.mgc.%ld-3.tmp", (long)child);
    scratch_text(left + strlen(scratch_path("%s", "")), "half an entry");
    cr_assert(mg_is_file(left));
    mg_cache *c = mg_cache_open(scratch_path("cache"), &s, NULL, NULL);
    cr_assert(c);
    cr_assert(!mg_is_file(left));
    mg_cache_close(c);
}
